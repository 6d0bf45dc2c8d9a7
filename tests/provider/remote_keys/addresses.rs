//! Connections to an issuer: the address of its metadata (M16: metadata address and issuer name), `http` to
//! one host, a bearer token and an additional certificate authority.

use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tower_bearer::provider::{FetchErrorKind, HttpFetcher, ProviderError};

use super::*;

/// A host that is no loopback address by its text, but reaches this machine.
const OTHER_HOST: &str = "0.0.0.0";

fn token_of(signer: &Signer, issuer: &str) -> String {
    let changes = json!({"iss": issuer, "exp": NOW + 1_000_000});
    signer.token(&with(claims(), changes))
}

/// The address of the server by the name of [`OTHER_HOST`].
fn elsewhere(server: &HttpServer, path: &str) -> String {
    format!("http://{OTHER_HOST}:{}{path}", server.port())
}

#[tokio::test]
async fn issuer_and_metadata_address_are_two_settings() {
    // (M16: metadata and issuer, E07: issuer of the metadata, D02: exact issuer)
    const B2C: &str = "https://contoso.b2clogin.com/8c6a5d7e-0000-4000-8000-000000000001/v2.0/";
    const B2C_PATH: &str =
        "/contoso.onmicrosoft.com/v2.0/.well-known/openid-configuration?p=b2c_1_signin";
    const B2C_POLICY: &str =
        "/contoso.onmicrosoft.com/b2c_1_signin/v2.0/.well-known/openid-configuration";
    const ADFS: &str = "https://adfs.example.com/adfs";
    const ADFS_TOKENS: &str = "http://adfs.example.com/adfs/services/trust";
    const ADFS_PATH: &str = "/adfs/.well-known/openid-configuration";
    const KEYCLOAK: &str = "https://login.example.com/realms/shop";
    const KEYCLOAK_PATH: &str = "/realms/shop/.well-known/openid-configuration";
    let only = |issuer: &str| json!({"issuer": issuer});
    let adfs = |tokens: serde_json::Value| json!({"issuer": ADFS, "access_token_issuer": tokens});
    for (name, issuer, path, document, is_accepted) in [
        ("Keycloak", KEYCLOAK, KEYCLOAK_PATH, only(KEYCLOAK), true),
        ("B2C, policy in the query", B2C, B2C_PATH, only(B2C), true),
        ("B2C, policy in the path", B2C, B2C_POLICY, only(B2C), true),
        (
            "AD FS, ID tokens",
            ADFS,
            ADFS_PATH,
            adfs(json!(ADFS_TOKENS)),
            true,
        ),
        (
            "AD FS, access tokens",
            ADFS_TOKENS,
            ADFS_PATH,
            adfs(json!(ADFS_TOKENS)),
            true,
        ),
        (
            "a URN",
            "urn:example:issuer",
            "/metadata",
            only("urn:example:issuer"),
            true,
        ),
        (
            "an issuer with a query",
            "https://a.example/?b",
            "/metadata",
            only("https://a.example/?b"),
            true,
        ),
        (
            "AD FS without the member",
            ADFS_TOKENS,
            ADFS_PATH,
            only(ADFS),
            false,
        ),
        (
            "AD FS, a list",
            ADFS_TOKENS,
            ADFS_PATH,
            adfs(json!([ADFS_TOKENS])),
            false,
        ),
        (
            "AD FS, null",
            ADFS_TOKENS,
            ADFS_PATH,
            adfs(json!(null)),
            false,
        ),
        (
            "AD FS, another",
            ADFS_TOKENS,
            ADFS_PATH,
            adfs(json!("http://adfs.example.com/")),
            false,
        ),
        (
            "a slash more",
            KEYCLOAK,
            KEYCLOAK_PATH,
            only(&format!("{KEYCLOAK}/")),
            false,
        ),
        (
            "B2C without its slash",
            B2C.trim_end_matches('/'),
            B2C_PATH,
            only(B2C),
            false,
        ),
        (
            "another case",
            KEYCLOAK,
            KEYCLOAK_PATH,
            only(&KEYCLOAK.to_uppercase()),
            false,
        ),
        (
            "http for https",
            KEYCLOAK,
            KEYCLOAK_PATH,
            only(&KEYCLOAK.replace("https", "http")),
            false,
        ),
        (
            "the internal name",
            KEYCLOAK,
            KEYCLOAK_PATH,
            only("http://keycloak:8080/realms/shop"),
            false,
        ),
        ("no issuer", KEYCLOAK, KEYCLOAK_PATH, json!({}), false),
        ("an empty issuer", KEYCLOAK, KEYCLOAK_PATH, only(""), false),
    ] {
        let (signer, clock) = (signer("a"), clock());
        let server = self::issuer([&signer]);
        let document = with(document, json!({"jwks_uri": server.url(JWKS)}));
        server.set(path, Reply::json(document));
        let keys = RemoteKeys::discover(issuer)
            .metadata_url(server.url(path))
            .clock(clock.clone())
            .connect()
            .await;
        assert_eq!(server.count(path), 1, "{name}");
        let keys = match keys {
            Ok(keys) => keys,
            Err(error) => {
                assert!(!is_accepted, "{name}: {error}");
                assert_eq!(server.total(), 1, "{name}");
                continue;
            }
        };
        assert!(is_accepted, "{name}");
        assert_eq!(server.total(), 2, "{name}");
        assert_eq!(keys.issuer(), Some(issuer), "{name}");
        assert_eq!(keys.metadata().unwrap().issuer(), issuer, "{name}");
        let service = service(&keys, &clock);
        assert_eq!(
            status(&service, &token_of(&signer, issuer)).await,
            200,
            "{name}"
        );
        for other in [
            format!("{issuer}/"),
            server.url(""),
            server.url(path),
            ISSUER.to_owned(),
        ] {
            let token = token_of(&signer, &other);
            assert_eq!(status(&service, &token).await, 401, "{name}: {other}");
        }
    }
}

#[tokio::test]
async fn only_the_configured_metadata_address_is_tried() {
    // (M16: metadata and issuer)
    let (signer, clock) = (signer("a"), clock());
    let server = issuer([&signer]);
    let name = server.url("");
    // A document is at the well-known path, too.
    let document = json!({"issuer": name, "jwks_uri": server.url(JWKS)});
    server.set("/.well-known/openid-configuration", Reply::json(document));
    for (reply, told) in [
        (Reply::status(404), "`metadata_url`"),
        (Reply::status(403), "`HttpFetcher::with_bearer_token`"),
        (Reply::status(500), "got 500"),
        (
            Reply::redirect("/.well-known/openid-configuration"),
            "give `metadata_url`",
        ),
        (
            Reply::json(json!({"issuer": name})),
            "`RemoteKeys::builder`",
        ),
        (
            Reply::json(json!({"issuer": "https://other.example"})),
            "`RemoteKeys::builder`",
        ),
    ] {
        let before = server.total();
        server.set("/metadata", reply);
        let url = server.url("/metadata");
        let keys = RemoteKeys::discover(&*name).metadata_url(&*url);
        let error = keys.clock(clock.clone()).connect().await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains(told) && text.contains(&url), "{told}: {text}");
        assert_eq!(server.total() - before, 1, "{text}");
    }
}

#[test]
fn metadata_address_is_checked_at_configuration() {
    // (M16: metadata and issuer, E04: allowed addresses)
    let discover = || RemoteKeys::discover("https://issuer.example");
    for (url, told) in [
        ("http://keycloak/metadata", "`insecure_http_host`"),
        ("https://a:secret@keycloak/metadata", "no user"),
        ("https://keycloak/metadata#secret", "no `#`"),
        ("/metadata", "`https` URL"),
        ("", "`https` URL"),
    ] {
        let error = discover()
            .metadata_url(url)
            .connect_lazily()
            .expect_err(url);
        let text = format!("{error} {error:?}");
        assert!(
            matches!(
                error,
                ProviderError::Url {
                    what: "address of the metadata",
                    ..
                }
            ),
            "{text}"
        );
        assert!(text.contains(told) && !text.contains("secret"), "{text}");
    }
    let builder = discover().metadata_url("https://keycloak/metadata?code=secret");
    let builder = builder.insecure_http_host("user:secret@keycloak");
    assert!(!format!("{builder:?}").contains("secret"), "{builder:?}");
    let builder = builder.insecure_http_host("keycloak");
    builder.connect_lazily().unwrap();
    let unused =
        RemoteKeys::builder("https://issuer.example/jwks").metadata_url("https://a.example");
    let error = unused.connect_lazily().unwrap_err();
    assert!(
        matches!(
            error,
            ProviderError::Setting {
                setting: "metadata_url",
                ..
            }
        ),
        "{error}"
    );
    let error = RemoteKeys::discover("").metadata_url("https://a.example/m");
    let error = error.connect_lazily().unwrap_err();
    assert!(
        matches!(error, ProviderError::Url { what: "issuer", .. }),
        "{error}"
    );
}

#[tokio::test]
async fn http_to_another_host_needs_opt_in_for_that_host() {
    // (E04: allowed addresses)
    let (signer, clock) = (signer("a"), clock());
    let server = issuer([&signer]);
    let builder = || RemoteKeys::builder(elsewhere(&server, JWKS)).clock(clock.clone());
    for host in [
        None,
        Some("127.0.0.1"),
        Some("issuer.example"),
        Some("0.0.0.1"),
        Some("0.0.0.0.example"),
    ] {
        let builder = match host {
            Some(host) => builder().insecure_http_host(host),
            None => builder(),
        };
        let error = builder.connect().await.unwrap_err();
        assert!(
            error.to_string().contains("`insecure_http_host`"),
            "{host:?}: {error}"
        );
    }
    for host in ["keycloak:8080", "http://keycloak", "", "a/b", "*.example/"] {
        let error = builder()
            .insecure_http_host(host)
            .connect_lazily()
            .unwrap_err();
        let is_setting = matches!(
            error,
            ProviderError::Setting {
                setting: "insecure_http_host",
                ..
            }
        );
        assert!(is_setting, "{host:?}: {error}");
    }
    assert_eq!(server.total(), 0);
    let allowed = || builder().insecure_http_host(OTHER_HOST);
    let keys = allowed().connect().await.unwrap();
    assert_eq!(status(&service(&keys, &clock), &token(&signer)).await, 200);
    // A fetcher of the application needs no setting of its own.
    let fetcher = HttpFetcher::new().with_timeout(Duration::from_secs(3));
    allowed().fetcher(fetcher).connect().await.unwrap();
    let fetcher = Arc::new(HttpFetcher::new());
    allowed().fetcher(fetcher).connect().await.unwrap();
    // Redirects stay off.
    let target = issuer([&signer]);
    server.set(JWKS, Reply::redirect(&target.url(JWKS)));
    let error = allowed().connect().await.unwrap_err();
    assert!(matches!(error, ProviderError::Redirect { .. }), "{error}");
    server.set(JWKS, Reply::redirect(&elsewhere(&target, JWKS)));
    allowed().connect().await.unwrap_err();
    assert_eq!(target.total(), 0);
}

#[tokio::test]
async fn http_opt_in_holds_for_jwks_uri_of_metadata_and_no_other_host() {
    // (E04: allowed addresses, E07: issuer of the metadata)
    let (signer, clock) = (signer("a"), clock());
    let server = issuer([&signer]);
    let path = "/realms/shop/.well-known/openid-configuration";
    let name = elsewhere(&server, "/realms/shop");
    for (what, issuer, metadata_url, jwks_uri, told) in [
        ("all inside", &*name, None, elsewhere(&server, JWKS), None),
        (
            "split horizon",
            ISSUER,
            Some(elsewhere(&server, path)),
            elsewhere(&server, JWKS),
            None,
        ),
        (
            "another host",
            &*name,
            None,
            "http://keycloak:8080/jwks".to_owned(),
            Some("`insecure_http_host`"),
        ),
        (
            "a host below it",
            &*name,
            None,
            "http://a.0.0.0.0.example/".to_owned(),
            Some("`insecure_http_host`"),
        ),
        (
            "this machine by https",
            &*name,
            None,
            server.url(JWKS).replace("http:", "https:"),
            Some("not on this machine"),
        ),
        (
            "this machine by https and name",
            &*name,
            None,
            format!("https://localhost.:{}{JWKS}", server.port()),
            Some("not on this machine"),
        ),
        // This machine is neither the host of the metadata nor the named host.
        (
            "this machine",
            &*name,
            None,
            server.url(JWKS),
            Some("not on this machine"),
        ),
        (
            "this machine",
            ISSUER,
            Some(elsewhere(&server, path)),
            server.url(JWKS),
            Some("not on this machine"),
        ),
    ] {
        server.set(
            path,
            Reply::json(json!({"issuer": issuer, "jwks_uri": jwks_uri})),
        );
        let mut builder = RemoteKeys::discover(issuer).clock(clock.clone());
        if let Some(url) = metadata_url {
            builder = builder.metadata_url(url);
        }
        let before = server.count(JWKS);
        let result = builder.insecure_http_host(OTHER_HOST).connect().await;
        match told {
            None => {
                let service = service(&result.expect(what), &clock);
                assert_eq!(
                    status(&service, &token_of(&signer, issuer)).await,
                    200,
                    "{what}"
                );
            }
            Some(told) => {
                let text = result.expect_err(what).to_string();
                assert!(
                    text.contains(told) && text.contains("`jwks_uri`"),
                    "{what}: {text}"
                );
                assert_eq!(server.count(JWKS), before, "{what}");
            }
        }
    }
    let strict = RemoteKeys::discover(&*name).connect().await.unwrap_err();
    assert!(
        matches!(strict, ProviderError::Url { what: "issuer", .. }),
        "{strict}"
    );
}

/// Creates a source of the tokens `t1`, `t2` and so on, and its counter.
fn counted() -> (
    Arc<AtomicUsize>,
    impl Fn() -> std::future::Ready<Result<String, Box<dyn std::error::Error + Send + Sync>>>
    + Send
    + Sync
    + 'static,
) {
    let count = Arc::new(AtomicUsize::new(0));
    let made = Arc::clone(&count);
    let source = move || {
        let number = made.fetch_add(1, Ordering::Relaxed) + 1;
        std::future::ready(Ok(format!("secret-t{number}\n")))
    };
    (count, source)
}

#[tokio::test]
async fn bearer_token_is_made_for_each_request_to_its_origin() {
    let (signer, clock) = (signer("a"), clock());
    let server = issuer([&signer]);
    let (count, source) = counted();
    // The origin is compared as a URL and not as a text.
    let origin = format!("HTTP://127.0.0.1:{}/", server.port());
    let fetcher = HttpFetcher::new()
        .with_bearer_token(&*origin, source)
        .unwrap();
    let keys = builder(&server, &clock).fetcher(fetcher.clone());
    let keys = keys.connect().await.unwrap();
    keys.refresh().await.unwrap();
    let sent: Vec<_> = server
        .seen()
        .iter()
        .map(|seen| seen.headers[AUTHORIZATION].to_str().unwrap().to_owned())
        .collect();
    assert_eq!(sent, ["Bearer secret-t1", "Bearer secret-t2"]);
    assert_eq!(count.load(Ordering::Relaxed), 2);
    let text = format!("{fetcher:?} {keys:?} {:?}", keys.status());
    assert!(!text.contains("secret"), "{text}");
    // The last source of an origin counts.
    let fetcher = fetcher.with_bearer_token(server.url(""), || async { Ok("other".to_owned()) });
    builder(&server, &clock)
        .fetcher(fetcher.unwrap())
        .connect()
        .await
        .unwrap();
    assert_eq!(server.last().headers[AUTHORIZATION], "Bearer other");
}

#[tokio::test]
async fn bearer_token_is_not_sent_to_another_origin() {
    let (signer, clock) = (signer("a"), clock());
    let (server, other) = (HttpServer::start(), issuer([&signer]));
    let name = server.url("");
    let document = json!({"issuer": name, "jwks_uri": other.url(JWKS)});
    server.set("/.well-known/openid-configuration", Reply::json(document));
    let (count, source) = counted();
    let fetcher = HttpFetcher::new()
        .with_bearer_token(&*name, source)
        .unwrap();
    let discover = || RemoteKeys::discover(&*name).clock(clock.clone());
    discover().fetcher(fetcher.clone()).connect().await.unwrap();
    assert_eq!(server.last().headers[AUTHORIZATION], "Bearer secret-t1");
    assert!(!other.last().headers.contains_key(AUTHORIZATION));
    assert_eq!(count.load(Ordering::Relaxed), 1);
    // The same machine by another name or another port is another origin.
    for url in [
        format!("http://localhost:{}{JWKS}", server.port()),
        format!("http://127.0.0.2:{}{JWKS}", server.port()),
        other.url(JWKS),
    ] {
        server.set(JWKS, Reply::json(jwks([&signer])));
        let keys = RemoteKeys::builder(&*url).fetcher(fetcher.clone());
        // Nothing listens at 127.0.0.2.
        let _ = keys.connect().await;
        assert_eq!(count.load(Ordering::Relaxed), 1, "{url}");
    }
    // A redirect elsewhere is not followed, so the token does not follow either.
    server.set(JWKS, Reply::redirect(&other.url(JWKS)));
    let before = other.total();
    let keys = RemoteKeys::builder(server.url(JWKS)).fetcher(fetcher.clone());
    keys.connect().await.unwrap_err();
    assert_eq!(other.total(), before);
}

#[tokio::test]
async fn bearer_token_source_that_fails_is_outage_without_details() {
    // (E14: details for the operator, J03: no secrets in texts)
    type Source = fn() -> Result<String, Box<dyn std::error::Error + Send + Sync>>;
    let (signer, clock) = (signer("a"), clock());
    let server = issuer([&signer]);
    let sources: [(&str, Source); 5] = [
        ("fails", || Err("secret reason".into())),
        ("empty", || Ok(String::new())),
        ("blank", || Ok(" \n".to_owned())),
        ("with a line end", || Ok("secret\r\nX-Header: 1".to_owned())),
        ("with a space", || Ok("secret secret".to_owned())),
    ];
    for (name, source) in sources {
        let fetcher = HttpFetcher::new()
            .with_bearer_token(server.url(""), move || std::future::ready(source()))
            .unwrap();
        let error = builder(&server, &clock).fetcher(fetcher).connect().await;
        let error = error.unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(text.contains("`with_bearer_token`"), "{name}: {text}");
        assert!(!text.contains("secret"), "{name}: {text}");
        let ProviderError::Fetch { source, .. } = &error else {
            panic!("{name}: {text}");
        };
        assert_eq!(source.kind(), FetchErrorKind::Other, "{name}");
        assert_eq!(source.source().is_some(), name == "fails", "{name}");
    }
    assert_eq!(server.total(), 0);
    // A source that never completes is aborted at the deadline.
    let fetcher = HttpFetcher::new()
        .with_bearer_token(server.url(""), std::future::pending)
        .unwrap();
    let keys = builder(&server, &clock).fetcher(fetcher);
    let error = keys.timeout(Duration::from_millis(50)).connect().await;
    assert!(error.unwrap_err().to_string().contains("in time"));
}

#[test]
fn origin_of_bearer_token_is_checked() {
    let source = || async { Ok(String::new()) };
    for origin in [
        "http://keycloak:8080",
        "http://0.0.0.0",
        "https://issuer.example/path",
        "https://issuer.example/?query",
        "https://user@issuer.example",
        "https://issuer.example/#a",
        "issuer.example",
        "*",
        "",
    ] {
        let error = HttpFetcher::new().with_bearer_token(origin, source);
        let error = error.expect_err(origin);
        let is_origin = matches!(
            error,
            ProviderError::Url {
                what: "origin of the bearer token",
                ..
            }
        );
        assert!(is_origin, "{origin}: {error}");
    }
    for origin in [
        "https://issuer.example",
        "https://issuer.example:8443/",
        "http://[::1]:80",
    ] {
        HttpFetcher::new()
            .with_bearer_token(origin, source)
            .expect(origin);
    }
}

#[tokio::test]
async fn certificate_authority_extends_platform_authorities() {
    let (signer, clock) = (signer("a"), clock());
    let server = HttpServer::start_tls();
    server.set(JWKS, Reply::json(jwks([&signer])));
    let authority = crate::tokens::read("tls-authority.pem");
    let with = |pem: &str| HttpFetcher::new().with_root_certificates_pem(pem).unwrap();
    // The error names the setting.
    let error = builder(&server, &clock).connect().await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("`HttpFetcher::with_root_certificates_pem`"),
        "{error}"
    );
    let other = crate::tokens::read("ed25519.certificate.pem");
    let error = builder(&server, &clock)
        .fetcher(with(&other))
        .connect()
        .await;
    assert!(error.is_err());
    assert_eq!(server.total(), 0);
    for pem in [
        authority.clone(),
        format!("text\n{other}\n\n{authority}\n \n"),
    ] {
        let keys = builder(&server, &clock).fetcher(with(&pem));
        let keys = keys.connect().await.unwrap();
        assert_eq!(status(&service(&keys, &clock), &token(&signer)).await, 200);
    }
    // As in a cluster: a token for the same server.
    let fetcher = with(&authority)
        .with_bearer_token(server.url(""), || async {
            Ok("of-the-account\n".to_owned())
        })
        .unwrap();
    builder(&server, &clock)
        .fetcher(fetcher)
        .connect()
        .await
        .unwrap();
    assert_eq!(
        server.last().headers[AUTHORIZATION],
        "Bearer of-the-account"
    );
    // The name of the server is still checked.
    let url = format!("https://127.0.0.2:{}{JWKS}", server.port());
    let error = RemoteKeys::builder(url)
        .fetcher(with(&authority))
        .connect()
        .await;
    assert!(error.is_err());
}

#[test]
fn text_without_certificate_is_rejected_as_authority() {
    let good = crate::tokens::read("tls-authority.pem");
    for (name, pem) in [
        ("nothing", String::new()),
        ("a path", "/etc/ssl/ca.pem".to_owned()),
        ("a public key", crate::tokens::public_pem("rsa")),
        ("a private key", crate::tokens::private_pem("rsa")),
        (
            "a certificate and its key",
            format!("{good}{}", crate::tokens::read("tls-server.key.pem")),
        ),
        (
            "a certificate that is none",
            good.replace("CERTIFICATE", "KEY"),
        ),
        (
            "another text with this label",
            crate::tokens::public_pem("rsa").replace("PUBLIC KEY", "CERTIFICATE"),
        ),
        (
            "a damaged one behind a good one",
            format!("{good}{}", good.replacen("MII", "M*I", 1)),
        ),
        (
            "one without its end",
            format!("{good}-----BEGIN CERTIFICATE-----\nMIIB\n"),
        ),
    ] {
        let error = HttpFetcher::new()
            .with_root_certificates_pem(&pem)
            .expect_err(name);
        let text = error.to_string();
        assert!(
            text.contains("`CERTIFICATE`") && !text.contains("MI"),
            "{name}: {text}"
        );
    }
}

#[test]
fn authority_rejected_by_tls_is_a_configuration_error() {
    // Not an error of every later request.
    let good = crate::tokens::read("tls-authority.pem");
    let body: String = good.lines().filter(|line| !line.starts_with('-')).collect();
    let mut der = STANDARD.decode(body).unwrap();
    // ecdsa-with-SHA256 is named twice. The outer name becomes ecdsa-with-SHA384.
    let name = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
    let outer = der.windows(name.len()).rposition(|window| window == name);
    der[outer.unwrap() + name.len() - 1] = 0x03;
    let body = STANDARD.encode(der);
    let pem = format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n");
    let error = HttpFetcher::new().with_root_certificates_pem(format!("{good}{pem}"));
    let error = error.unwrap_err();
    let is_setting = matches!(
        error,
        ProviderError::Setting {
            setting: "with_root_certificates_pem",
            ..
        }
    );
    assert!(
        is_setting && error.to_string().contains("as an authority"),
        "{error}"
    );
}
