//! An invalid logout token is 400 and revokes nothing (K03: logout tokens).

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http_body_util::{BodyExt as _, StreamBody};
use tower::ServiceExt as _;
use tower_bearer::jwt::TokenError;
use tower_bearer::{ConfigError, Failure};

use super::*;
use crate::tokens::base64url;

/// Why, as the operator finds it.
fn why(answer: &Answer) -> String {
    let failure = answer.response.extensions().get::<Failure>();
    match failure.and_then(|failure| std::error::Error::source(failure)) {
        Some(error) => error.downcast_ref::<TokenError>().unwrap().to_string(),
        None => format!("{failure:?}"),
    }
}

async fn assert_refused(service: &Service, name: &str, token: &str, reason: &str) {
    let access = access_token(json!({}));
    assert_eq!(service.access(&access).0, Ok(()), "{name}");
    let answer = service.post(token).await;
    assert_eq!(answer.status(), 400, "{name}");
    let why = why(&answer);
    assert!(why.contains(reason), "{name}: {why}");
    assert!(service.revoked.is_empty(), "{name}");
    assert_eq!(service.access(&access), (Ok(()), true), "{name}");
}

#[tokio::test]
async fn claims_outside_logout_token_profile_are_rejected() {
    // (K03: logout tokens, D01: wrong types, D02: exact issuer, D05: expiry, D07: access tokens
    // only, D08: absent claims)
    let event = |value: Value| json!({"events": value});
    let cases = [
        ("no iss", json!({"iss": null}), "`iss` is missing"),
        (
            "another iss",
            json!({"iss": "https://issuer.example/"}),
            "`iss` is not",
        ),
        (
            "iss as a list",
            json!({"iss": [ISSUER]}),
            "`iss` has the wrong type",
        ),
        ("no aud", json!({"aud": null}), "`aud` is missing"),
        ("the API as aud", json!({"aud": AUDIENCE}), "`aud` does not"),
        (
            "aud in other letters",
            json!({"aud": "Shop-Frontend"}),
            "`aud` does not",
        ),
        (
            "aud that begins so",
            json!({"aud": "shop-frontend-2"}),
            "`aud` does not",
        ),
        ("empty aud", json!({"aud": []}), "`aud` does not"),
        (
            "somebody else too",
            json!({"aud": [CLIENT, "other"]}),
            "`aud` does not",
        ),
        (
            "aud as an object",
            json!({"aud": {CLIENT: 1}}),
            "`aud` has the wrong type",
        ),
        ("no iat", json!({"iat": null}), "`iat` is missing"),
        (
            "iat as a text",
            json!({"iat": NOW.to_string()}),
            "`iat` has the wrong type",
        ),
        ("of the future", json!({"iat": NOW + 61}), "not valid yet"),
        ("too old", json!({"iat": NOW - 181}), "expired"),
        ("of 1970", json!({"iat": 0}), "expired"),
        ("no exp", json!({"exp": null}), "`exp` is missing"),
        ("over", json!({"exp": NOW - 60}), "expired"),
        (
            "exp as a text",
            json!({"exp": (NOW + 60).to_string()}),
            "`exp` has the wrong type",
        ),
        (
            "nbf of the future",
            json!({"nbf": NOW + 61}),
            "not valid yet",
        ),
        ("no jti", json!({"jti": null}), "`jti` is missing"),
        ("empty jti", json!({"jti": ""}), "`jti` is missing"),
        (
            "jti as a number",
            json!({"jti": 1}),
            "`jti` has the wrong type",
        ),
        (
            "neither sub nor sid",
            json!({"sub": null, "sid": null}),
            "neither `sub` nor `sid`",
        ),
        (
            "empty sub",
            json!({"sub": "", "sid": null}),
            "`sub` has the wrong type",
        ),
        (
            "empty sub beside a sid",
            json!({"sub": ""}),
            "`sub` has the wrong type",
        ),
        (
            "sub as a number",
            json!({"sub": 7}),
            "`sub` has the wrong type",
        ),
        (
            "empty sid",
            json!({"sid": "", "sub": null}),
            "`sid` has the wrong type",
        ),
        (
            "empty sid beside a sub",
            json!({"sid": ""}),
            "`sid` has the wrong type",
        ),
        (
            "sid as a list",
            json!({"sid": ["s-1"]}),
            "`sid` has the wrong type",
        ),
        ("nonce", json!({"nonce": "n"}), "`nonce`"),
        ("empty nonce", json!({"nonce": ""}), "`nonce`"),
        ("no events", json!({"events": null}), "`events` is missing"),
        (
            "events as a text",
            event(json!(EVENT)),
            "`events` has the wrong type",
        ),
        (
            "events as a list",
            event(json!([EVENT])),
            "`events` has the wrong type",
        ),
        ("no event", event(json!({})), "does not have the event"),
        (
            "another event",
            event(json!({"https://schemas.openid.net/event/backchannel-logout": {}})),
            "does not have the event",
        ),
        (
            "the event is null",
            event(json!({EVENT: null})),
            "is not an object",
        ),
        (
            "the event is a list",
            event(json!({EVENT: []})),
            "is not an object",
        ),
        (
            "the event is true",
            event(json!({EVENT: true})),
            "is not an object",
        ),
        (
            "bound to a sender",
            json!({"cnf": {"jkt": "x"}}),
            "bound to a sender",
        ),
    ];
    let service = Service::new(builder().build().unwrap());
    for (name, changes, reason) in cases {
        assert_refused(&service, name, &logout_token(changes), reason).await;
    }
    // `null` in the claims itself, which `with` cannot write.
    for (member, reason) in [
        // (M13: `null` is absence) `null` is absence, and these claims are required.
        ("\"events\":null", "`events` is missing"),
        ("\"jti\":null", "`jti` is missing"),
        ("\"iat\":null", "`iat` is missing"),
        ("\"cnf\":null", "bound to a sender"),
        ("\"sub\":null,\"sub\":\"bob\"", "`sub` has the wrong type"),
        ("\"sid\":null,\"sid\":\"b\"", "names no member twice"),
        ("\"jti\":null,\"jti\":\"l-2\"", "`jti` has the wrong type"),
        (
            "\"sub\":\"alice\",\"sub\":\"bob\"",
            "`sub` has the wrong type",
        ),
        ("\"sid\":\"a\",\"sid\":\"b\"", "names no member twice"),
        ("\"x\":{\"a\":1,\"a\":2}", "names no member twice"),
    ] {
        let name = member.split('"').nth(1).unwrap();
        let base = with(logout(), json!({name: null})).to_string();
        let claims = format!("{{{member},{}", &base[1..]);
        let token = signer().token_of(&header().to_string(), &claims);
        assert_refused(&service, member, &token, reason).await;
    }
    // The same is good without the fault.
    assert_eq!(service.post(&logout_token(json!({}))).await.status(), 200);
}

#[tokio::test]
async fn foreign_headers_and_signatures_are_rejected() {
    // (K03: logout tokens, C01: no `none`, C07: encoding of signatures, C08: critical headers)
    let service = Service::new(builder().build().unwrap());
    let sealed = |header: Value| signer().token_with(&header, &logout());
    let parts = |header: Value| {
        let parts = [header.to_string(), logout().to_string()].map(base64url);
        parts.join(".")
    };
    let other = Signer::with_key("EdDSA", "ed25519-other").kid("k");
    let hmac = aws_lc_rs::hmac::Key::new(
        aws_lc_rs::hmac::HMAC_SHA256,
        public_pem("ed25519").as_bytes(),
    );
    let input = parts(with(header(), json!({"alg": "HS256"})));
    let confused = aws_lc_rs::hmac::sign(&hmac, input.as_bytes());
    let good = logout_token(json!({}));
    let cases = [
        (
            "no typ",
            sealed(with(header(), json!({"typ": null}))),
            "`typ` is not",
        ),
        (
            "JWT",
            sealed(with(header(), json!({"typ": "JWT"}))),
            "`typ` is not",
        ),
        (
            "at+jwt",
            sealed(with(header(), json!({"typ": "at+jwt"}))),
            "`typ` is not",
        ),
        (
            "secevent+jwt",
            sealed(with(header(), json!({"typ": "secevent+jwt"}))),
            "`typ` is not",
        ),
        (
            "none",
            sealed(with(header(), json!({"alg": "none"}))),
            "`alg`",
        ),
        (
            "none without a signature",
            format!("{}.", parts(with(header(), json!({"alg": "none"})))),
            "",
        ),
        (
            "the public key as a secret",
            format!("{input}.{}", base64url(confused.as_ref())),
            "`alg`",
        ),
        (
            "another algorithm",
            sealed(with(header(), json!({"alg": "ES256"}))),
            "`alg`",
        ),
        (
            "another kid",
            sealed(with(header(), json!({"kid": "x"}))),
            "`kid`",
        ),
        (
            "crit",
            sealed(with(header(), json!({"crit": ["x"], "x": 1}))),
            "crit",
        ),
        (
            "another key",
            other.token_with(&header(), &logout()),
            "signature",
        ),
        ("an access token", access_token(json!({})), "`typ` is not"),
        (
            "no signature",
            good.rsplit_once('.').unwrap().0.to_owned(),
            "",
        ),
        ("an opaque token", String::from("abc"), ""),
        ("nothing", String::new(), ""),
        (
            "too long",
            format!("{good}{}", "A".repeat(9_000)),
            "bytes long",
        ),
        ("white space", format!("{good}%20"), "signature"),
    ];
    for (name, token, reason) in cases {
        assert_refused(&service, name, &token, reason).await;
    }
    let tampered = with(logout(), json!({"sid": "s-2"})).to_string();
    let signature = good.rsplit('.').next().unwrap();
    let header = good.split('.').next().unwrap();
    let token = format!("{header}.{}.{signature}", base64url(tampered));
    assert_refused(&service, "tampered", &token, "signature").await;
}

#[tokio::test]
async fn untyped_tokens_are_accepted_only_with_opt_in() {
    let typed = |typ: Value| {
        let header = with(header(), json!({"typ": typ}));
        signer().token_with(&header, &logout())
    };
    let untyped = builder().accept_untyped().build().unwrap();
    let service = Service::new(untyped.clone());
    for (name, token) in [
        ("at+jwt", typed(json!("at+jwt"))),
        ("an ID token", {
            let claims = with(logout(), json!({"events": null}));
            signer().token_with(&with(header(), json!({"typ": "JWT"})), &claims)
        }),
        ("an access token", access_token(json!({}))),
    ] {
        assert_refused(&service, name, &token, "").await;
    }
    for typ in [
        json!(null),
        json!("JWT"),
        json!("logout+jwt"),
        json!("application/LOGOUT+jwt"),
    ] {
        let service = Service::new(builder().accept_untyped().build().unwrap());
        assert_eq!(
            service.post(&typed(typ.clone())).await.status(),
            200,
            "{typ}"
        );
    }
}

#[tokio::test]
async fn requests_outside_specification_are_rejected() {
    let service = Service::new(builder().build().unwrap());
    let token = logout_token(json!({}));
    let body = format!("logout_token={token}");
    for method in [
        Method::GET,
        Method::HEAD,
        Method::PUT,
        Method::DELETE,
        Method::OPTIONS,
    ] {
        let answer = service
            .send(request(method.clone(), FORM, body.clone()))
            .await;
        assert_eq!(answer.status(), 405, "{method}");
        assert_eq!(answer.header("allow"), Some("POST"), "{method}");
    }
    for content_type in [
        "application/json",
        "text/plain",
        "multipart/form-data",
        "application/x-www-form-urlencodedx",
        "",
    ] {
        let answer = service
            .send(request(Method::POST, content_type, body.clone()))
            .await;
        assert_eq!(answer.status(), 400, "{content_type}");
    }
    let mut untyped = request(Method::POST, FORM, body.clone());
    untyped.headers_mut().remove(CONTENT_TYPE);
    assert_eq!(service.send(untyped).await.status(), 400);
    let mut twice = request(Method::POST, FORM, body.clone());
    twice
        .headers_mut()
        .append(CONTENT_TYPE, FORM.parse().unwrap());
    assert_eq!(service.send(twice).await.status(), 400);
    for (name, parameters) in [
        ("none", vec![("x", "y")]),
        (
            "two",
            vec![("logout_token", &*token), ("logout_token", &*token)],
        ),
        (
            "two, one of them empty",
            vec![("logout_token", &*token), ("logout_token", "")],
        ),
        ("empty", vec![("logout_token", "")]),
        ("other letters", vec![("Logout_Token", &*token)]),
        ("another kind", vec![("id_token", &*token)]),
    ] {
        assert_eq!(
            service.send(form(&parameters)).await.status(),
            400,
            "{name}"
        );
    }
    assert_eq!(
        service.send(request(Method::POST, FORM, "")).await.status(),
        400
    );
    // In the query it would be in the log of every proxy.
    let mut in_query = request(Method::POST, FORM, "");
    *in_query.uri_mut() = format!("/logout?{body}").parse().unwrap();
    assert_eq!(service.send(in_query).await.status(), 400);
    assert!(service.revoked.is_empty());
    let other = request(
        Method::POST,
        "Application/X-WWW-Form-Urlencoded; charset=UTF-8",
        body,
    );
    assert_eq!(service.send(other).await.status(), 200);
}

#[tokio::test]
async fn body_is_read_up_to_its_limit() {
    // (G04: lengths first)
    let body = |length: usize| {
        let token = logout_token(json!({"jti": length.to_string()}));
        let mut body = format!("logout_token={token}&x=");
        body.extend(std::iter::repeat_n('x', length - body.len()));
        body
    };
    let service = Service::new(builder().build().unwrap());
    for (length, expected) in [(65_536, 200), (65_537, 413), (10_000_000, 413)] {
        let answer = service
            .send(request(Method::POST, FORM, body(length)))
            .await;
        assert_eq!(answer.status(), expected, "{length}");
        // In pieces, without its length being known.
        let text = body(length).replace("&x=", "&y=");
        let chunks = text.into_bytes();
        let chunks: Vec<_> = chunks.chunks(1_000).map(Bytes::copy_from_slice).collect();
        let frames = futures_util::stream::iter(
            chunks
                .into_iter()
                .map(|chunk| Ok::<_, std::io::Error>(http_body::Frame::data(chunk))),
        );
        let streamed = Request::post("/").header(CONTENT_TYPE, FORM);
        let streamed = streamed.body(StreamBody::new(frames)).unwrap();
        let response = Service::new(builder().build().unwrap())
            .endpoint
            .oneshot(streamed)
            .await
            .unwrap();
        assert_eq!(response.status(), expected, "{length} in pieces");
    }
    let small = service.endpoint.clone().with_max_body(1_000);
    let answer = send(small, request(Method::POST, FORM, body(1_001))).await;
    assert_eq!(answer.status(), 413);

    let broken = futures_util::stream::iter([
        Ok(http_body::Frame::data(Bytes::from_static(b"logout_token="))),
        Err(std::io::Error::other("gone")),
    ]);
    let request = Request::post("/")
        .header(CONTENT_TYPE, FORM)
        .header(CONTENT_LENGTH, 100)
        .body(StreamBody::new(broken))
        .unwrap();
    let response = service.endpoint.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), 400);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, INVALID);
}

#[tokio::test]
async fn replayed_logout_token_is_rejected() {
    // (K03: logout tokens) Jti
    let service = Service::new(builder().build().unwrap());
    let token = logout_token(json!({}));
    assert_eq!(service.post(&token).await.status(), 200);
    let again = service.post(&token).await;
    assert_eq!(again.status(), 400);
    assert_eq!(why(&again), "used before");
    // Another token of the same name is no other.
    let same = logout_token(json!({"sid": "s-2"}));
    assert_eq!(service.post(&same).await.status(), 400);
    assert_eq!(
        service
            .access(&access_token(json!({"sid": "s-2", "sub": "bob"})))
            .0,
        Ok(())
    );
    // Until it is over by itself.
    service.clock.advance(Duration::from_secs(174));
    assert_eq!(why(&service.post(&token).await), "used before");
    service.clock.advance(Duration::from_secs(1));
    assert_eq!(why(&service.post(&token).await), "expired");
    let other = logout_token(json!({"jti": "l-2", "iat": NOW + 170, "exp": NOW + 300}));
    assert_eq!(service.post(&other).await.status(), 200);
}

#[tokio::test]
async fn token_beyond_replay_capacity_is_503() {
    let service = Service::new(builder().replay_capacity(2).build().unwrap());
    let token =
        |number: u64| logout_token(json!({"jti": number.to_string(), "sid": "x", "sub": null}));
    assert_eq!(service.post(&token(1)).await.status(), 200);
    assert_eq!(service.post(&token(2)).await.status(), 200);
    assert_eq!(service.post(&token(3)).await.status(), 503);
    assert_eq!(service.post(&token(1)).await.status(), 400);
}

#[test]
fn invalid_settings_are_rejected() {
    let setting = |result: Result<LogoutTokenValidator, ConfigError>| match result.unwrap_err() {
        ConfigError::Setting { setting, .. } => setting,
        error => panic!("{error}"),
    };
    let keys = || KeySet::new([key("ed25519")]).unwrap();
    let bare = || LogoutTokenValidator::builder(keys());
    assert_eq!(setting(bare().audience(CLIENT).build()), "issuer");
    assert_eq!(setting(bare().issuer(ISSUER).build()), "audience");
    assert_eq!(setting(builder().audience("").build()), "audience");
    assert_eq!(
        setting(builder().leeway(Duration::from_secs(301)).build()),
        "leeway"
    );
    assert_eq!(
        setting(builder().max_age(Duration::ZERO).build()),
        "max_age"
    );
    assert_eq!(
        setting(builder().max_age(Duration::from_secs(86_401)).build()),
        "max_age"
    );
    assert_eq!(
        setting(builder().replay_capacity(0).build()),
        "replay_capacity"
    );
}

#[test]
fn access_token_validator_rejects_logout_token() {
    // (K03: logout tokens, D07: access tokens only)
    let service = Service::new(builder().build().unwrap());
    for typ in [
        json!("logout+jwt"),
        json!("JWT"),
        json!("at+jwt"),
        json!(null),
    ] {
        let header = with(header(), json!({"typ": typ}));
        let claims = with(logout(), json!({"aud": AUDIENCE}));
        let token = signer().token_with(&header, &claims);
        assert_eq!(
            service.access(&token).0,
            Err(FailureKind::Invalid(InvalidReason::TokenType)),
            "{typ}"
        );
    }
}

proptest::proptest! {
    #[test]
    fn arbitrary_body_does_not_panic_endpoint(
        body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200),
        claims in "[ -~]{0,80}",
    ) {
        // (G05: no panics)
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let service = Service::new(builder().build().unwrap());
            for body in [&b""[..], b"logout_token="].map(|start| [start, &body].concat()) {
                let answer = service.send(request(Method::POST, FORM, body)).await;
                assert_eq!(answer.status(), 400);
            }
            // Signed, so that what is behind the signature is reached.
            let token = signer().token_of(&header().to_string(), &claims);
            assert_eq!(service.post(&token).await.status(), 400);
            assert!(service.revoked.is_empty());
        });
    }
}
