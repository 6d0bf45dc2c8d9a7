//! What is checked before anything is sent.

use std::error::Error as _;

use tower_bearer::jwt::{Algorithm, JwksOptions};
use tower_bearer::provider::ProviderError;

use super::*;

#[tokio::test]
async fn cleartext_address_is_rejected_at_configuration() {
    // (E04: allowed addresses)
    let server = issuer([&signer("a")]);
    let port = server.port();
    for (url, told) in [
        (
            "http://issuer.example/jwks".to_owned(),
            "expected an `https` URL",
        ),
        (
            "ftp://issuer.example/jwks".to_owned(),
            "expected an `https` URL",
        ),
        ("issuer.example/jwks".to_owned(), "expected an `https` URL"),
        (
            format!("http://user:secret@127.0.0.1:{port}/jwks"),
            "no user and no password",
        ),
        (format!("http://127.0.0.1:{port}/jwks#secret"), "no `#`"),
        (
            format!("http://127.0.0.1:{port}@issuer.example/jwks"),
            "expected an `https` URL",
        ),
        (format!("http://127.0.0.1:{port}/jw ks"), "printable ASCII"),
        (String::new(), "expected an `https` URL"),
    ] {
        let error = RemoteKeys::builder(&*url).connect().await.unwrap_err();
        assert!(matches!(error, ProviderError::Url { .. }), "{url}");
        let text = format!("{error} {error:?}");
        assert!(text.contains(told), "{url}: {text}");
        assert!(!text.contains("secret"), "{text}");
        assert!(
            RemoteKeys::builder(&*url).connect_lazily().is_err(),
            "{url}"
        );
    }
    assert_eq!(server.total(), 0);
    for host in ["127.0.0.1", "localhost", "LOCALHOST"] {
        let url = format!("http://{host}:{port}/jwks");
        RemoteKeys::builder(url).connect().await.expect(host);
    }
}

#[test]
fn invalid_setting_is_named_in_error() {
    type Change = fn(RemoteKeysBuilder) -> RemoteKeysBuilder;
    let cases: &[(&str, Change)] = &[
        ("cooldown", |b| b.cooldown(Duration::ZERO)),
        ("cooldown", |b| b.cooldown(HOUR + Duration::from_secs(1))),
        ("cooldown", |b| {
            let b = b.max_stale(Duration::ZERO);
            b.cooldown(MINUTE + Duration::from_secs(1))
        }),
        ("default_ttl", |b| {
            b.default_ttl(MINUTE - Duration::from_secs(1))
        }),
        ("default_ttl", |b| b.default_ttl(25 * HOUR)),
        ("min_ttl", |b| b.min_ttl(Duration::ZERO)),
        ("min_ttl", |b| b.min_ttl(25 * HOUR)),
        ("max_ttl", |b| b.max_ttl(Duration::ZERO)),
        ("max_ttl", |b| {
            b.max_ttl(7 * 24 * HOUR + Duration::from_secs(1))
        }),
        ("max_ttl", |b| b.max_ttl(Duration::MAX)),
        ("max_stale", |b| {
            b.max_stale(24 * HOUR + Duration::from_secs(1))
        }),
        ("timeout", |b| b.timeout(Duration::ZERO)),
        ("timeout", |b| b.timeout(2 * MINUTE)),
        ("max_body", |b| b.max_body(0)),
        ("max_body", |b| b.max_body(usize::MAX)),
    ];
    for (number, (name, change)) in cases.iter().enumerate() {
        let builder = change(RemoteKeys::builder("https://issuer.example/jwks"));
        let error = builder.connect_lazily().expect_err(name);
        let ProviderError::Setting { setting, .. } = &error else {
            panic!("{number}: {error}");
        };
        assert_eq!(setting, name, "{number}: {error}");
        assert!(error.to_string().contains("expected"), "{number}: {error}");
    }
    let cases: &[Change] = &[
        |b| b,
        |b| b.cooldown(Duration::from_secs(1)),
        |b| b.cooldown(HOUR),
        |b| b.cooldown(MINUTE).max_stale(Duration::ZERO),
        |b| b.max_stale(24 * HOUR),
        |b| b.max_ttl(7 * 24 * HOUR),
        |b| {
            let minute = b.min_ttl(MINUTE).default_ttl(MINUTE);
            minute.max_ttl(MINUTE)
        },
        |b| b.timeout(MINUTE).max_body(16 * 1024 * 1024),
        |b| b.timeout(Duration::from_millis(1)).max_body(1),
    ];
    for (number, change) in cases.iter().enumerate() {
        let builder = change(RemoteKeys::builder("https://issuer.example/jwks"));
        builder
            .connect_lazily()
            .unwrap_or_else(|error| panic!("{number}: {error}"));
    }
}

#[test]
fn no_request_is_sent_before_keys_are_needed() {
    // No runtime here either.
    let server = issuer([&signer("a")]);
    let keys = builder(&server, &clock()).connect_lazily().unwrap();
    let status = keys.status();
    assert_eq!(status.fetched_at(), None);
    assert_eq!(status.fresh_until(), None);
    assert_eq!(status.usable_until(), None);
    assert_eq!(status.last_attempt(), None);
    assert_eq!(status.last_error(), None);
    assert_eq!((status.keys().count(), status.skipped().len()), (0, 0));
    assert_eq!(server.total(), 0);
}

#[tokio::test]
async fn key_set_options_take_effect() {
    // (C06: key metadata)
    let signer = Signer::with_key("PS256", "rsa").kid("a");
    let mut jwk = signer.jwk();
    jwk.as_object_mut().unwrap().remove("alg");
    let server = HttpServer::with(JWKS, Reply::json(json!({"keys": [jwk]})));
    let clock = clock();
    for (options, answered) in [
        (JwksOptions::new(), 401),
        (
            JwksOptions::new().with_rsa_algorithms([Algorithm::PS256]),
            200,
        ),
    ] {
        let keys = builder(&server, &clock).jwks_options(options);
        let keys = keys.connect().await.unwrap();
        assert_eq!(
            status(&service(&keys, &clock), &token(&signer)).await,
            answered
        );
    }
}

#[tokio::test]
async fn secrets_in_address_are_not_shown() {
    // (E14: details for the operator, J03: no secrets in texts)
    let server = issuer([]);
    let url = server.url("/jwks?code=secret-code");
    let builder = RemoteKeys::builder(&*url);
    assert!(!format!("{builder:?}").contains("secret"), "{builder:?}");
    let keys = builder.connect_lazily().unwrap();
    let error = keys.refresh().await.unwrap_err();
    assert_eq!(
        server.count("/jwks?code=secret-code"),
        1,
        "it is sent, though"
    );
    let mut texts = format!("{keys:?} {:?} {error} {error:?}", keys.status());
    let mut source = error.source();
    while let Some(error) = source {
        texts += &format!(" {error} {error:?}");
        source = error.source();
    }
    assert!(!texts.contains("secret"), "{texts}");
    let unreachable = RemoteKeys::builder("https://127.0.0.1:1/?code=secret-code");
    let error = unreachable.connect().await.unwrap_err();
    let mut texts = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(error) = source {
        texts += &format!(" {error} {error:?}");
        source = error.source();
    }
    assert!(!texts.contains("secret"), "{texts}");
    assert!(
        error.to_string().contains("https://127.0.0.1:1/"),
        "{error}"
    );
}

#[tokio::test]
async fn certificate_of_unknown_authority_is_rejected() {
    // (E04: allowed addresses) The server of the test does not even speak TLS.
    let server = issuer([&signer("a")]);
    let url = format!("https://127.0.0.1:{}/jwks", server.port());
    let error = RemoteKeys::builder(url).connect().await.unwrap_err();
    assert!(matches!(error, ProviderError::Fetch { .. }), "{error}");
    assert_eq!(server.total(), 0);
}

/// Runs another test with another environment, which must not be changed within this process.
#[test]
fn loopback_fetch_uses_neither_certificates_nor_proxy() {
    // (E04: allowed addresses)
    let proxy = "http://127.0.0.1:1";
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "remote_keys::refresh::keys_are_fetched_once_and_then_cached",
        ])
        .envs([
            ("HTTP_PROXY", proxy),
            ("http_proxy", proxy),
            ("ALL_PROXY", proxy),
        ])
        .envs([("SSL_CERT_FILE", "/nowhere"), ("SSL_CERT_DIR", "/nowhere")])
        .env_remove("REQUEST_METHOD")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}"
    );
}
