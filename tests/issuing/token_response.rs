//! What clients are given, and what they are told if not.

use super::*;
use http::Response;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE};
use http_body_util::BodyExt as _;
use tower_bearer::ConfigError;
use tower_bearer::issuing::store::StoreError;
use tower_bearer::jwt::SharedSecret;

async fn read<B>(response: Response<B>) -> (Response<()>, Value)
where
    B: http_body::Body<Data: std::fmt::Debug, Error: std::fmt::Debug>,
{
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let body = serde_json::from_slice(&body).unwrap();
    (Response::from_parts(parts, ()), body)
}

fn is_never_stored(response: &Response<()>) -> bool {
    response.headers()[CACHE_CONTROL] == "no-store"
        && response.headers()[PRAGMA] == "no-cache"
        && response.headers()[CONTENT_TYPE] == "application/json"
}

#[tokio::test]
async fn token_response_has_form_of_rfc_6749() {
    // RFC 6749 section 5.1
    let world = World::new().await;
    let tokens = world.issue().await;
    let (response, body) = read(tokens.to_response()).await;
    assert_eq!(response.status(), 200);
    assert!(is_never_stored(&response));
    let expected = json!({
        "access_token": tokens.access_token(),
        "token_type": "Bearer",
        "expires_in": 900,
        "refresh_token": refresh_token(&tokens),
        "scope": "read write",
    });
    assert_eq!(body, expected);
    assert_eq!(tokens.expires_in(), world.issuer.access_ttl());
    assert_eq!(tokens.scopes().collect::<Vec<_>>(), ["read", "write"]);

    let alone = Grant::new("robot", "robot");
    let alone = world.issuer.issue_access_token(alone).unwrap();
    let (response, body) = read(alone.to_response()).await;
    assert!(is_never_stored(&response));
    let expected = json!({
        "access_token": alone.access_token(), "token_type": "Bearer", "expires_in": 900,
    });
    assert_eq!(body, expected);
    assert_eq!((alone.session(), alone.refresh_token()), (None, None));
    assert_eq!(alone.scopes().count(), 0);
    assert_eq!(world.status(&alone).await, 200);
}

#[tokio::test]
async fn access_token_has_claims_of_rfc_9068() {
    // RFC 9068 section 2.2
    let world = World::with(|builder| builder.access_ttl(MINUTE)).await;
    world.clock.advance(Duration::from_millis(999));
    let grant = Grant::new("alice", "web")
        .scope("read")
        .claim("roles", json!(["admin"]))
        .auth_time(now() - MINUTE)
        .token_version(7)
        .label("Firefox");
    let tokens = world.issuer.issue(grant.clone()).await.unwrap();
    let header = part_of(tokens.access_token(), 0);
    assert_eq!(header["typ"], "at+jwt");
    assert_eq!(header["kid"], world.issuer.keys().current().kid());
    let claims = claims_of(tokens.access_token());
    let jti = claims["jti"].as_str().unwrap();
    assert_eq!(URL_SAFE_NO_PAD.decode(jti).unwrap().len(), 16);
    let expected = json!({
        "iss": ISSUER, "sub": "alice", "aud": AUDIENCE, "client_id": "web",
        "iat": NOW, "exp": NOW + 60, "jti": jti, "scope": "read",
        "sid": session(&tokens).to_string(), "token_version": 7,
        "roles": ["admin"], "auth_time": NOW - 60,
    });
    assert_eq!(claims, expected);
    assert_eq!(tokens.expires_in(), MINUTE);

    // A refreshed one says the same at its own time.
    world.at(2 * MINUTE);
    let next = world.refresh(&tokens).await.unwrap();
    let next = claims_of(next.access_token());
    assert_ne!(next["jti"], claims["jti"]);
    for (name, value) in expected.as_object().unwrap() {
        match name.as_str() {
            "iat" => assert_eq!(next[name], NOW + 120),
            "exp" => assert_eq!(next[name], NOW + 180),
            "jti" => {}
            _ => assert_eq!(&next[name], value, "{name}"),
        }
    }

    let least = Grant::new("robot", "robot");
    let least = world.issuer.issue_access_token(least).unwrap();
    let mut names: Vec<_> = claims_of(least.access_token())
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    names.sort();
    assert_eq!(
        names,
        ["aud", "client_id", "exp", "iat", "iss", "jti", "sub"]
    );

    let several = World::with(|builder| builder.audience("https://b.example")).await;
    let tokens = several.issue().await;
    let claims = claims_of(tokens.access_token());
    assert_eq!(claims["aud"], json!([AUDIENCE, "https://b.example"]));
    assert_eq!(several.status(&tokens).await, 200);
}

#[tokio::test]
async fn issued_tokens_are_unique() {
    let world = World::new().await;
    let (first, second) = (world.issue().await, world.issue().await);
    assert_ne!(first.session(), second.session());
    assert_ne!(refresh_token(&first)[..21], refresh_token(&second)[..21]);
    assert_ne!(refresh_token(&first)[22..], refresh_token(&second)[22..]);
    let jti = |tokens: &TokenResponse| claims_of(tokens.access_token())["jti"].clone();
    assert_ne!(jti(&first), jti(&second));
}

/// Another library reads the set that is published, and the token with it.
async fn others_verify(issuer: &TokenIssuer, token: &str) -> bool {
    let request = Request::get("/jwks").body(Body::default()).unwrap();
    let set = send(issuer.jwk_set_endpoint(), request).await;
    let set: jsonwebtoken::jwk::JwkSet = serde_json::from_str(&set.body).unwrap();
    let header = jsonwebtoken::decode_header(token).unwrap();
    let jwk = set.find(header.kid.as_deref().unwrap()).unwrap();
    let mut expected = jsonwebtoken::Validation::new(header.alg);
    expected.set_issuer(&[ISSUER]);
    expected.set_audience(&[AUDIENCE]);
    expected.validate_exp = false;
    let verifier = jsonwebtoken::DecodingKey::from_jwk(jwk).unwrap();
    jsonwebtoken::decode::<Value>(token, &verifier, &expected).is_ok()
}

#[tokio::test]
async fn tokens_of_every_key_type_verify_locally_and_with_jsonwebtoken() {
    // `jsonwebtoken` has two back ends in the tests and wants to be told.
    let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
    for algorithm in [
        Algorithm::HS256,
        Algorithm::RS256,
        Algorithm::PS256,
        Algorithm::ES256,
        Algorithm::ES384,
        Algorithm::Ed25519,
    ] {
        let key = match algorithm {
            Algorithm::RS256 | Algorithm::PS256 => {
                let key = SigningKey::from_pem(crate::tokens::private_pem("rsa")).unwrap();
                key.with_algorithm(algorithm).unwrap()
            }
            Algorithm::HS256 => {
                SigningKey::from_secret(SharedSecret::hs256(crate::tokens::SECRET).unwrap())
                    .unwrap()
            }
            _ => SigningKey::generate(algorithm).unwrap(),
        };
        let clock = ManualClock::new(now());
        let issuer = TokenIssuer::builder(ISSUER, SigningKeys::new(key).unwrap())
            .audience(AUDIENCE)
            .clock(clock.clone())
            .build()
            .unwrap();
        let world = World {
            validator: issuer.validator().unwrap(),
            store: TestStore::new(),
            clock,
            issuer,
        };
        let tokens = world.issue().await;
        let next = world.refresh(&tokens).await.unwrap();
        for tokens in [&tokens, &next] {
            assert_eq!(world.status(tokens).await, 200, "{algorithm}");
            assert_eq!(
                part_of(tokens.access_token(), 0)["alg"] != "HS256",
                !algorithm.is_symmetric()
            );
            if !algorithm.is_symmetric() {
                let is_good = others_verify(&world.issuer, tokens.access_token()).await;
                assert!(is_good, "{algorithm}");
            }
        }
        // Whatever it is signed with, it can be taken back.
        let revoked = world.issuer.revoke(next.access_token(), "web").await;
        revoked.unwrap();
        assert_eq!(world.status(&next).await, 401, "{algorithm}");
        assert_eq!(world.status(&tokens).await, 200, "{algorithm}");
    }
}

#[tokio::test]
async fn validator_accepts_only_tokens_of_its_issuer() {
    // (D02: exact issuer, D04: required audience, D07: access tokens only)
    let world = World::new().await;
    let issuer = |name: &str, audience: &str, keys: SigningKeys| {
        TokenIssuer::builder(name, keys)
            .audience(audience)
            .clock(world.clock.clone())
            .build()
            .unwrap()
    };
    let own = world.issuer.keys();
    let grant = || Grant::new("alice", "web");
    for (name, issuer, expected) in [
        ("the same", issuer(ISSUER, AUDIENCE, own.clone()), 200),
        (
            "another name",
            issuer("https://issuer.example/", AUDIENCE, own.clone()),
            401,
        ),
        (
            "another audience",
            issuer(ISSUER, "https://b.example", own.clone()),
            401,
        ),
        ("other keys", issuer(ISSUER, AUDIENCE, keys()), 401),
    ] {
        let tokens = issuer.issue_access_token(grant()).unwrap();
        assert_eq!(world.status(&tokens).await, expected, "{name}");
    }
    let tokens = world.issue().await;
    let claims = claims_of(tokens.access_token());
    for (typ, expected) in [
        ("at+jwt", 200),
        ("JWT", 401),
        ("logout+jwt", 401),
        ("", 401),
    ] {
        let token = own.current().sign_jwt(typ, &claims).unwrap();
        assert_eq!(
            world.present_text(&token).await.status(),
            expected,
            "{typ:?}"
        );
    }
    // A refresh token opens nothing.
    let answer = world.present_text(refresh_token(&tokens)).await;
    assert_eq!(answer.status(), 401);
}

#[tokio::test]
async fn access_token_expires() {
    let world = World::with(|builder| builder.access_ttl(MINUTE)).await;
    let tokens = world.issue().await;
    // The leeway of a validator is a minute.
    for (after, expected) in [
        (0, 200),
        (60, 200),
        (119, 200),
        (120, 401),
        (0, 200),
        (3_600, 401),
    ] {
        world.at(after * SECOND);
        assert_eq!(world.status(&tokens).await, expected, "{after}");
    }
}

#[tokio::test]
async fn error_responses_contain_only_rfc_6749_codes() {
    // (I04: client texts) RFC 6749 section 5.2
    let world = World::new().await;
    let id = session(&world.issue().await);
    let store = StoreError::unavailable("redis", "secret detail");
    let throttled = |millis| IssuingError::Throttled {
        retry_after: Duration::from_millis(millis),
    };
    let grant = |reason| IssuingError::InvalidGrant { reason };
    let problem = "secret detail";
    let rows = [
        (
            IssuingError::InvalidRequest { problem },
            400,
            "invalid_request",
            None,
        ),
        (IssuingError::InvalidClient, 401, "invalid_client", None),
        (grant(InvalidGrant::Credentials), 400, "invalid_grant", None),
        (grant(InvalidGrant::Unknown), 400, "invalid_grant", None),
        (grant(InvalidGrant::Client), 400, "invalid_grant", None),
        (grant(InvalidGrant::Expired), 400, "invalid_grant", None),
        (grant(InvalidGrant::Revoked), 400, "invalid_grant", None),
        (
            grant(InvalidGrant::Reused { session: id }),
            400,
            "invalid_grant",
            None,
        ),
        (
            IssuingError::UnauthorizedClient,
            400,
            "unauthorized_client",
            None,
        ),
        (
            IssuingError::UnsupportedGrantType,
            400,
            "unsupported_grant_type",
            None,
        ),
        (IssuingError::InvalidScope, 400, "invalid_scope", None),
        (
            IssuingError::TooLong { limit: 16_384 },
            413,
            "invalid_request",
            None,
        ),
        (IssuingError::Method, 405, "invalid_request", None),
        (throttled(0), 429, "slow_down", Some("1")),
        (throttled(1_000), 429, "slow_down", Some("1")),
        (throttled(1_001), 429, "slow_down", Some("2")),
        (
            IssuingError::Store(store),
            503,
            "temporarily_unavailable",
            Some("5"),
        ),
        (
            IssuingError::Revocations {
                problem: problem.into(),
            },
            503,
            "temporarily_unavailable",
            Some("5"),
        ),
        (IssuingError::Grant { problem }, 500, "server_error", None),
        (
            IssuingError::Crypto {
                problem: problem.into(),
            },
            500,
            "server_error",
            None,
        ),
    ];
    let mut descriptions = std::collections::HashMap::new();
    for (error, status, code, retry_after) in rows {
        assert_eq!(error.status().as_u16(), status, "{error:?}");
        assert_eq!(error.code(), code, "{error:?}");
        let (response, body) = read(error.to_response()).await;
        assert_eq!(response.status().as_u16(), status, "{error:?}");
        assert_eq!(body["error"], code, "{error:?}");
        assert!(is_never_stored(&response), "{error:?}");
        let header = |name| {
            let value = response.headers().get(name)?;
            value.to_str().ok()
        };
        assert_eq!(header(RETRY_AFTER), retry_after, "{error:?}");
        let allow = (status == 405).then_some("POST");
        assert_eq!(header(ALLOW), allow, "{error:?}");
        let challenge = (status == 401).then_some("Basic realm=\"clients\"");
        assert_eq!(header(WWW_AUTHENTICATE), challenge, "{error:?}");
        assert!(!body.to_string().contains("secret"), "{body}");
        assert!(!body.to_string().contains(&id.to_string()), "{body}");
        // Nobody learns from the answer why a grant is invalid.
        if code == "invalid_grant" {
            let first = descriptions.entry(code).or_insert_with(|| body.clone());
            assert_eq!(*first, body, "{error:?}");
        }
    }
}

#[tokio::test]
async fn invalid_grant_stores_nothing() {
    let world = World::new().await;
    for (name, grant) in [
        ("no subject", Grant::new("", "web")),
        ("no client", Grant::new("alice", "")),
        ("a scope", Grant::new("alice", "web").scope("a  b")),
        (
            "somebody else",
            Grant::new("alice", "web").claim("sub", "bob"),
        ),
        (
            "another session",
            Grant::new("alice", "web").claim("sid", "x"),
        ),
        (
            "another version",
            Grant::new("alice", "web").claim("token_version", 9),
        ),
        (
            "a later end",
            Grant::new("alice", "web").claim("exp", NOW + 1_000_000),
        ),
    ] {
        assert_eq!(
            status_of(world.issuer.issue(grant.clone()).await),
            500,
            "{name}"
        );
        assert_eq!(
            status_of(world.issuer.issue_access_token(grant)),
            500,
            "{name}"
        );
    }
    assert_eq!(world.store.calls(), 0);
    // Each is short enough, all of it is not.
    let scope = ["x".repeat(2_047), "y".repeat(2_048)].join(" ");
    let longest = Grant::new("a".repeat(1_024), "c".repeat(1_024));
    let too_long = longest.clone().scope(scope).claim("x", "z".repeat(1_000));
    assert_eq!(status_of(world.issuer.issue(too_long).await), 500);
    assert_eq!(world.store.calls(), 0);
    // The longest that there may be goes through everything.
    let longest = longest
        .scope(["x".repeat(2_047), "y".repeat(1_200)].join(" "))
        .label("l".repeat(4_096));
    let tokens = world.issuer.issue(longest).await.unwrap();
    let client = "c".repeat(1_024);
    let next = world
        .issuer
        .refresh(refresh_token(&tokens), &client, None)
        .await;
    assert!(next.is_ok());
}

#[test]
fn invalid_settings_are_named_in_error() {
    let build = |change: fn(TokenIssuerBuilder) -> TokenIssuerBuilder| {
        let builder = TokenIssuer::builder(ISSUER, keys()).audience(AUDIENCE);
        match change(builder).build() {
            Ok(_) => None,
            Err(ConfigError::Setting { setting, .. }) => Some(setting),
            Err(other) => panic!("{other:?}"),
        }
    };
    type Row = (
        fn(TokenIssuerBuilder) -> TokenIssuerBuilder,
        Option<&'static str>,
    );
    let rows: [Row; 16] = [
        (|builder| builder, None),
        (|builder| builder.audience(""), Some("audience")),
        (|builder| builder.access_ttl(SECOND), None),
        (
            |builder| builder.access_ttl(SECOND - Duration::from_nanos(1)),
            Some("access_ttl"),
        ),
        (|builder| builder.access_ttl(DAY), None),
        (
            |builder| builder.access_ttl(DAY + SECOND),
            Some("access_ttl"),
        ),
        (|builder| builder.refresh_ttl(SECOND), None),
        (
            |builder| builder.refresh_ttl(Duration::ZERO),
            Some("refresh_ttl"),
        ),
        (|builder| builder.refresh_ttl(30 * DAY), None),
        (
            |builder| builder.refresh_ttl(30 * DAY + SECOND),
            Some("session_ttl"),
        ),
        (|builder| builder.session_ttl(3_650 * DAY), None),
        (
            |builder| builder.session_ttl(3_650 * DAY + SECOND),
            Some("session_ttl"),
        ),
        (|builder| builder.reuse_grace(Duration::ZERO), None),
        (|builder| builder.reuse_grace(MINUTE), None),
        (
            |builder| builder.reuse_grace(MINUTE + SECOND),
            Some("reuse_grace"),
        ),
        (
            |builder| builder.reuse_grace(SECOND / 2),
            Some("reuse_grace"),
        ),
    ];
    for (number, (change, expected)) in rows.into_iter().enumerate() {
        assert_eq!(build(change), expected, "{number}");
    }
    assert!(TokenIssuer::builder(ISSUER, keys()).build().is_err());
    let unnamed = TokenIssuer::builder("", keys()).audience(AUDIENCE);
    assert!(unnamed.build().is_err());
}

#[test]
fn key_rotation_during_issuing_and_validation_rejects_no_token() {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
    };
    let world = runtime().block_on(World::new());
    let is_over = std::sync::atomic::AtomicBool::new(false);
    let refreshed = std::sync::atomic::AtomicUsize::new(0);
    let order = std::sync::atomic::Ordering::SeqCst;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    runtime().block_on(async {
                        let first = world.issue().await;
                        let mut tokens = first.clone();
                        while !is_over.load(order) {
                            tokens = world.refresh(&tokens).await.unwrap();
                            for tokens in [&tokens, &first, &tokens] {
                                assert_eq!(world.status(tokens).await, 200);
                            }
                            // Its own tokens are known under any of the keys.
                            let other = Grant::new("alice", "web");
                            let other = world.issuer.issue_access_token(other).unwrap();
                            assert_eq!(world.status(&other).await, 200);
                            let text = other.access_token();
                            world.issuer.revoke(text, "web").await.unwrap();
                            assert_eq!(world.status(&other).await, 401);
                            refreshed.fetch_add(1, order);
                        }
                    });
                })
            })
            .collect();
        for _ in 0..10 {
            let before = refreshed.load(order);
            let next = SigningKey::generate(Algorithm::ES256).unwrap();
            world.issuer.keys().rotate(next, now(), HOUR).unwrap();
            while refreshed.load(order) < before + 6
                && !threads.iter().any(|thread| thread.is_finished())
            {
                std::thread::yield_now();
            }
        }
        is_over.store(true, order);
    });
    assert_eq!(world.issuer.keys().kids(now()).len(), 11);
}
