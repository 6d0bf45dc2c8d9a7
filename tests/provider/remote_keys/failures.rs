//! What can go wrong between this service and the issuer.

use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use tower_bearer::provider::{FetchErrorKind, ProviderError};
use tower_bearer::{Rejection, RejectionKind};

use super::*;
use crate::http_server::Gate;

const MIB: usize = 1024 * 1024;

/// What an issuer may answer instead of keys, and what the operator is told.
fn faults() -> Vec<(&'static str, Reply, &'static str)> {
    let deep = format!(
        "{{\"keys\":[{}{}]}}",
        "[".repeat(10_000),
        "]".repeat(10_000)
    );
    let private = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "AAAA", "d": "AAAA"}]});
    vec![
        ("closed", Reply::Close, "ended before the answer was whole"),
        ("cut", Reply::Cut(100), "ended before the answer was whole"),
        (
            "announced 10 MiB",
            Reply::text(" ".repeat(10 * MIB)),
            "at most 524288 bytes",
        ),
        (
            "announced more than there is memory",
            Reply::Stalled(1 << 40),
            "at most 524288 bytes",
        ),
        (
            "unannounced, without end",
            Reply::Endless,
            "at most 524288 bytes",
        ),
        ("500", Reply::status(500), "expected status 200, got 500"),
        ("503", Reply::status(503), "got 503"),
        ("401", Reply::status(401), "without a login"),
        ("404", Reply::status(404), "check the address"),
        (
            "202",
            Reply::json(jwks([&signer("a")])).with_status(202),
            "got 202",
        ),
        (
            "HTML",
            Reply::text("<html>secret-body</html>"),
            "not a JWK Set",
        ),
        ("nothing", Reply::text(""), "not a JWK Set"),
        (
            "two texts",
            Reply::json(r#"{"keys":[]}{"keys":[]}"#),
            "not a JWK Set",
        ),
        ("nested", Reply::json(deep), ""),
        ("no key", Reply::json(r#"{"keys":[]}"#), "no usable key"),
        ("a private key", Reply::json(private), "private"),
    ]
}

impl Reply {
    fn with_status(mut self, new: u16) -> Self {
        if let Self::Answer { status, .. } = &mut self {
            *status = http::StatusCode::from_u16(new).unwrap();
        }
        self
    }
}

/// That nothing about the issuer reaches the client, and something the operator.
fn check_outage(name: &str, answer: &Answer, server: &HttpServer) {
    assert_eq!(answer.status(), 503, "{name}");
    assert!(answer.header("retry-after").is_some(), "{name}");
    assert!(
        answer.challenges().is_empty(),
        "{name}: {:?}",
        answer.challenges()
    );
    // (E14: details for the operator)
    let text = format!("{:?} {}", answer.response.headers(), answer.body);
    for secret in [
        &*server.port().to_string(),
        "127.0.0.1",
        "jwks",
        "secret-body",
        "kid",
    ] {
        assert!(!text.contains(secret), "{name}: {text}");
    }
    let rejection = answer.response.extensions().get::<Rejection>().unwrap();
    assert_eq!(rejection.kind(), RejectionKind::Unavailable, "{name}");
    let source = rejection.source().unwrap();
    assert!(source.downcast_ref::<ProviderError>().is_some(), "{name}");
}

#[tokio::test]
async fn invalid_issuer_response_is_unavailable_and_never_client_error() {
    // (E04: allowed addresses, E05: last good key set, E06: unusable keys, E14: details for the
    // operator)
    for (name, reply, told) in faults() {
        let (signer, clock) = (signer("a"), clock());
        let server = HttpServer::with(JWKS, reply);
        let error = builder(&server, &clock).connect().await.expect_err(name);
        let text = error.to_string();
        assert!(text.contains(&server.url(JWKS)), "{name}: {text}");
        assert!(text.contains(told), "{name}: {text}");
        assert!(
            !format!("{error:?} {text}").contains("secret-body"),
            "{name}: {text}"
        );

        let keys = builder(&server, &clock).connect_lazily().unwrap();
        let service = service(&keys, &clock);
        check_outage(name, &ask(&service, &token(&signer)).await, &server);
        assert_eq!(keys.status().last_error(), Some(&*text), "{name}");
        // (E01: fetch cooldown) Neither waits nor asks, until the cooldown is over.
        clock.advance(COOLDOWN - Duration::from_secs(1));
        check_outage(name, &ask(&service, &token(&signer)).await, &server);
        assert_eq!(server.total(), 2, "{name}");
        server.set(JWKS, Reply::json(jwks([&signer])));
        clock.advance(Duration::from_secs(1));
        assert_eq!(status(&service, &token(&signer)).await, 200, "{name}");
        assert_eq!(server.total(), 3, "{name}");
    }
}

#[tokio::test]
async fn issuer_down_at_start_is_used_after_recovery() {
    // (E01: fetch cooldown, E05: last good key set)
    let (signer, clock) = (signer("a"), clock());
    let mut server = issuer([&signer]);
    server.stop();
    let error = builder(&server, &clock).connect().await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains(&server.url(JWKS)) && text.contains("refused"),
        "{text}"
    );

    let keys = builder(&server, &clock).connect_lazily().unwrap();
    let service = service(&keys, &clock);
    check_outage("down", &ask(&service, &token(&signer)).await, &server);
    server.restart();
    let answer = ask(&service, &token(&signer)).await;
    assert_eq!(
        (answer.status(), answer.header("retry-after")),
        (503, Some("30"))
    );
    clock.advance(COOLDOWN);
    assert_eq!(status(&service, &token(&signer)).await, 200);
}

#[tokio::test]
async fn redirect_is_not_followed() {
    // (E04: allowed addresses)
    let (signer, clock) = (signer("a"), clock());
    let target = issuer([&signer]);
    for code in [301, 302, 303, 307, 308] {
        let reply = Reply::redirect(&target.url(JWKS)).with_status(code);
        let server = HttpServer::with(JWKS, reply);
        let error = builder(&server, &clock).connect().await.unwrap_err();
        let text = error.to_string();
        // (E04: allowed addresses) No redirects. The error names the target and the setting.
        let expected = format!(
            "it redirects with status {code} to {:?}; redirects are not followed, so give `RemoteKeys::builder`",
            target.url(JWKS)
        );
        assert!(text.contains(&expected), "{text}");
        assert!(matches!(error, ProviderError::Redirect { .. }), "{text}");
        let same = HttpServer::with("/moved", Reply::json(jwks([&signer])));
        same.set(JWKS, Reply::redirect("/moved").with_status(code));
        builder(&same, &clock).connect().await.unwrap_err();
        assert_eq!(same.count("/moved"), 0);
    }
    assert_eq!(target.total(), 0);
}

#[tokio::test]
async fn redirect_error_shows_no_secret_of_its_location() {
    // (E14: details for the operator)
    let clock = clock();
    let long = format!("https://issuer.example/{}", "x".repeat(2_000));
    for (location, expected) in [
        (Some("/login?code=secret#secret"), Some("/login?...")),
        (
            Some("https://user:secret@issuer.example/"),
            Some("https://...@issuer.example/"),
        ),
        (Some(&*long), Some(&long[..256])),
        (Some(""), Some("")),
        (None, None),
    ] {
        let reply = Reply::status(302);
        let reply = match location {
            Some(location) => reply.header(http::header::LOCATION, location),
            None => reply,
        };
        let server = HttpServer::with(JWKS, reply);
        let error = builder(&server, &clock).connect().await.unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(!text.contains("secret"), "{text}");
        let ProviderError::Redirect { location, .. } = error else {
            panic!("{text}");
        };
        assert_eq!(location.as_deref(), expected, "{text}");
    }
    // A status of this class that is no redirect.
    for code in [300, 304, 305] {
        let server = HttpServer::with(JWKS, Reply::status(code));
        let error = builder(&server, &clock).connect().await.unwrap_err();
        assert!(matches!(error, ProviderError::Status { .. }), "{error}");
    }
}

#[tokio::test]
async fn compressed_answer_and_byte_order_mark_are_distinct_errors() {
    // (G02: compression) Compression is rejected
    let (signer, clock) = (signer("a"), clock());
    let keys = jwks([&signer]).to_string();
    // The head of a gzip stream; nothing is decompressed.
    let gzip = b"\x1f\x8b\x08\0\0\0\0\0\0\x03secret-body".to_vec();
    let coded = |coding: &str| Reply::bytes(&gzip).header(CONTENT_ENCODING, coding);
    let marked = |mark: &[u8]| Reply::bytes([mark, keys.as_bytes()].concat());
    for (name, reply, told) in [
        ("gzip", coded("gzip"), "`Content-Encoding` gzip"),
        ("GZIP", coded("GZIP"), "`Content-Encoding` GZIP"),
        ("br", coded("br"), "`Content-Encoding` br"),
        (
            "two",
            coded("deflate, gzip"),
            "`Content-Encoding` deflate, gzip",
        ),
        (
            "odd",
            coded("a\"secret-body"),
            "`Content-Encoding` another one",
        ),
        (
            "long",
            coded(&"x".repeat(100)),
            "`Content-Encoding` another one",
        ),
        ("undeclared", Reply::bytes(&gzip), "compressed by gzip"),
        ("UTF-8 BOM", marked(b"\xef\xbb\xbf"), "byte order mark"),
        ("UTF-16 BOM", marked(b"\xff\xfe"), "byte order mark"),
        ("UTF-16BE BOM", marked(b"\xfe\xff"), "byte order mark"),
    ] {
        let server = HttpServer::with(JWKS, reply);
        let error = builder(&server, &clock).connect().await.expect_err(name);
        let text = format!("{error}");
        assert!(
            text.contains(told) && text.contains("configure the server"),
            "{name}: {text}"
        );
        assert!(!format!("{error:?} {text}").contains("secret"), "{text}");
        let ProviderError::Fetch { source, .. } = error else {
            panic!("{name}: {text}");
        };
        assert_eq!(source.kind(), FetchErrorKind::Encoding, "{name}");
        // To the client it is an outage like any other.
        let keys = builder(&server, &clock).connect_lazily().unwrap();
        let service = service(&keys, &clock);
        check_outage(name, &ask(&service, &token(&signer)).await, &server);
    }
    for coding in ["identity", "IDENTITY", ""] {
        let reply = Reply::text(&keys).header(CONTENT_ENCODING, coding);
        let server = HttpServer::with(JWKS, reply);
        builder(&server, &clock).connect().await.expect(coding);
    }
    // Of an answer without keys, the status is what matters.
    let server = HttpServer::with(JWKS, coded("gzip").with_status(500));
    let error = builder(&server, &clock).connect().await.unwrap_err();
    assert!(error.to_string().contains("got 500"), "{error}");
}

#[tokio::test]
async fn slow_issuer_is_unavailable() {
    // (E04: allowed addresses)
    let (signer, clock) = (signer("a"), clock());
    let gate = Gate::closed();
    let server = HttpServer::with(JWKS, Reply::json(jwks([&signer])).held(&gate));
    let keys = builder(&server, &clock)
        .timeout(Duration::from_millis(100))
        .connect_lazily()
        .unwrap();
    let service = service(&keys, &clock);
    check_outage("slow", &ask(&service, &token(&signer)).await, &server);
    let error = keys.status().last_error().unwrap().to_owned();
    assert!(error.contains("no whole answer in time"), "{error}");
    server.abandoned(1).await;
    gate.open();
    clock.advance(COOLDOWN);
    // On a machine that is busy, 100 ms may be too short for the good answer too.
    let patient = builder(&server, &clock).connect_lazily().unwrap();
    assert_eq!(
        status(&super::service(&patient, &clock), &token(&signer)).await,
        200
    );
}

#[tokio::test]
async fn body_length_limit_is_exact() {
    // (E04: allowed addresses)
    let (signer, clock) = (signer("a"), clock());
    let text = jwks([&signer]).to_string();
    for (limit, is_good) in [(text.len(), true), (text.len() - 1, false)] {
        let server = HttpServer::with(JWKS, Reply::json(&text));
        let connected = builder(&server, &clock).max_body(limit).connect().await;
        assert_eq!(connected.is_ok(), is_good, "{limit}");
    }
    let padded = |length: usize| format!("{text}{}", " ".repeat(length - text.len()));
    for (length, is_good) in [(512 * 1024, true), (512 * 1024 + 1, false)] {
        let server = HttpServer::with(JWKS, Reply::json(padded(length)));
        let connected = builder(&server, &clock).connect().await;
        assert_eq!(connected.is_ok(), is_good, "{length}");
        let announced = server.last().headers.contains_key(CONTENT_LENGTH);
        assert!(!announced, "the request has no body");
    }
}

#[tokio::test]
async fn content_type_of_response_is_ignored() {
    // Many serve their keys as plain text; what is no JWK Set is found out by reading it.
    for content_type in [None, Some("text/plain"), Some("application/jwk-set+json")] {
        let clock = clock();
        let mut reply = Reply::text(jwks([&signer("a")]));
        if let Some(content_type) = content_type {
            reply = reply.header(CONTENT_TYPE, content_type);
        }
        let server = HttpServer::with(JWKS, reply);
        builder(&server, &clock).connect().await.unwrap();
    }
}

#[tokio::test]
async fn grpc_status_distinguishes_outage_from_invalid_token() {
    // (E05: last good key set, E14: details for the operator)
    let (signer, clock) = (signer("a"), clock());
    let server = HttpServer::with(JWKS, Reply::status(500));
    let keys = builder(&server, &clock).connect_lazily().unwrap();
    let service = service(&keys, &clock);
    let call = async |token: String| {
        let request = Request::post("/shop.Orders/List")
            .header(CONTENT_TYPE, "application/grpc")
            .header(AUTHORIZATION, format!("Bearer {token}"));
        let answer = send(service.clone(), request.body(Body::default()).unwrap()).await;
        (
            answer.status(),
            answer.header("grpc-status").map(String::from),
        )
    };
    let grpc = |code: &str| (200, Some(code.to_owned()));
    assert_eq!(call(token(&signer)).await, grpc("14"));
    server.set(JWKS, Reply::json(jwks([&signer])));
    clock.advance(COOLDOWN);
    assert_eq!(call(token(&signer)).await, (200, None));
    assert_eq!(call(forged("a")).await, grpc("16"));
}

/// What makes a token bad whatever its key is.
fn hopeless(kid: &str, elsewhere: &HttpServer) -> Vec<(String, String)> {
    let signer = other_signer(kid);
    let changed = |changes: serde_json::Value| {
        let token = signer.token(&with(claims(), changes.clone()));
        (changes.to_string(), token)
    };
    let mut tokens: Vec<_> = [
        json!({"iss": elsewhere.url("")}),
        json!({"iss": null}),
        json!({"aud": "https://elsewhere.example"}),
        json!({"exp": NOW - 1_000}),
        json!({"nbf": NOW + 1_000_000}),
        json!({"cnf": {"jkt": "x"}}),
        json!({"nonce": "n", "events": {}}),
    ]
    .map(changed)
    .into();
    for (alg, typ) in [("HS256", "JWT"), ("none", "JWT"), ("EdDSA", "dpop+jwt")] {
        let header = json!({"alg": alg, "typ": typ, "kid": kid});
        tokens.push((header.to_string(), signer.token_with(&header, &claims())));
    }
    tokens
}

#[tokio::test]
async fn invalid_token_causes_no_fetch() {
    // (E02: no needless fetch)
    let (signer, clock) = (signer("a"), clock());
    let server = issuer([&signer]);
    let elsewhere = HttpServer::start();
    let keys = builder(&server, &clock).connect_lazily().unwrap();
    let service = service(&keys, &clock);
    for (name, token) in hopeless("a", &elsewhere) {
        assert_eq!(status(&service, &token).await, 401, "{name}");
    }
    assert_eq!(server.total(), 0, "before the first fetch");

    let header = json!({
        "alg": "EdDSA", "kid": "a", "jku": elsewhere.url(JWKS), "x5u": elsewhere.url("/cert"),
    });
    let pointing = signer.token_with(&header, &claims());
    assert_eq!(
        status(&service, &pointing).await,
        200,
        "addresses in it are read over"
    );
    assert_eq!((server.total(), elsewhere.total()), (1, 0));

    // Neither for a key that is not there, nor for one whose signature does not match.
    for kid in ["unknown", "a"] {
        for (name, token) in hopeless(kid, &elsewhere) {
            assert_eq!(status(&service, &token).await, 401, "{kid} {name}");
        }
    }
    assert_eq!(server.total(), 1, "with keys at hand");
    assert_eq!(status(&service, &forged("unknown")).await, 401);
    assert_eq!(server.total(), 2, "the one that could have been good");
}

#[tokio::test]
async fn invalid_token_is_rejected_while_keys_are_missing() {
    // (E02: no needless fetch, E05: last good key set)
    let (signer, clock) = (signer("a"), clock());
    let server = HttpServer::with(JWKS, Reply::status(500));
    let keys = builder(&server, &clock).connect_lazily().unwrap();
    let service = service(&keys, &clock);
    assert_eq!(status(&service, &token(&signer)).await, 503);
    for (name, token) in hopeless("a", &server) {
        assert_eq!(status(&service, &token).await, 401, "{name}");
    }
    assert_eq!(
        status(&service, &token(&signer)).await,
        503,
        "in the cooldown"
    );
    assert_eq!(server.total(), 1);
}

#[tokio::test]
async fn forged_token_is_invalid_while_issuer_is_down() {
    // (E05: last good key set, J05: bounded labels) Otherwise a stranger could raise an alarm
    // whenever the issuer is down.
    let (signer, clock) = (signer("a"), clock());
    let server = issuer([&signer]);
    let keys = builder(&server, &clock).connect().await.unwrap();
    let service = service(&keys, &clock);
    server.set(JWKS, Reply::status(500));
    let other = Signer::new("ES256").kid("a").token(&claims());
    for _ in 0..2 {
        // The first one starts the fetch that fails, the others come within the cooldown.
        for token in [&forged("a"), &other, &forged("a"), &other] {
            assert_eq!(status(&service, token).await, 401);
        }
        assert_eq!(
            status(&service, &forged("unknown")).await,
            503,
            "nobody can tell"
        );
        assert_eq!(status(&service, &token(&signer)).await, 200);
        clock.advance(COOLDOWN);
    }
}

#[tokio::test]
async fn thousand_requests_at_first_use_make_one_fetch() {
    // (E08: shared fetches)
    let (signer, clock) = (signer("a"), clock());
    let gate = Gate::closed();
    let server = HttpServer::with(JWKS, Reply::json(jwks([&signer])).held(&gate));
    let keys = builder(&server, &clock).connect_lazily().unwrap();
    let service = service(&keys, &clock);
    let token: Arc<str> = token(&signer).into();
    let asked = Arc::new(AtomicUsize::new(0));
    let waiting: Vec<_> = (0..1_000)
        .map(|_| {
            let (service, token, asked) = (service.clone(), Arc::clone(&token), Arc::clone(&asked));
            tokio::spawn(async move {
                asked.fetch_add(1, Ordering::Relaxed);
                status(&service, &token).await
            })
        })
        .collect();
    server.arrived(JWKS, 1).await;
    while asked.load(Ordering::Relaxed) < 1_000 {
        tokio::task::yield_now().await;
    }
    // A client that goes away disturbs nobody.
    for waiting in waiting.iter().take(10) {
        waiting.abort();
    }
    gate.open();
    for (number, waiting) in waiting.into_iter().enumerate() {
        match waiting.await {
            Ok(status) => assert_eq!(status, 200, "{number}"),
            Err(error) => assert!(error.is_cancelled() && number < 10, "{number}: {error}"),
        }
    }
    assert_eq!(server.total(), 1);
}
