//! The endpoint that the metadata of an issuer names.

use super::*;

const METADATA: &str = "/.well-known/openid-configuration";
const OAUTH: &str = "/.well-known/oauth-authorization-server";

/// A server that names itself as the issuer.
fn issuer() -> (HttpServer, String) {
    let server = HttpServer::with(ENDPOINT, good());
    let name = server.url("");
    let document = json!({"issuer": name, "introspection_endpoint": server.url(ENDPOINT)});
    server.set(METADATA, Reply::json(document));
    (server, name)
}

fn discover(name: &str) -> IntrospectionBuilder {
    Introspection::discover(name)
        .client(client())
        .audience(AUDIENCE)
}

#[tokio::test]
async fn endpoint_is_discovered_from_issuer() {
    // (E07: issuer of the metadata, E12: checks of the response)
    let (server, name) = issuer();
    let validator = discover(&name).connect().await.unwrap();
    assert_eq!(validator.issuer(), Some(&*name));
    assert_eq!((server.count(METADATA), server.count(ENDPOINT)), (1, 0));
    let service = service(validator);
    assert_eq!(status(&service, TOKEN).await, 200);
    server.set(ENDPOINT, active(&json!({"iss": name})));
    assert_eq!(status(&service, TOKEN).await, 200);
    // Tokens of somebody else are not for us.
    server.set(ENDPOINT, active(&json!({"iss": format!("{name}/")})));
    assert_eq!(status(&service, TOKEN).await, 401);
    assert_eq!((server.count(METADATA), server.count(ENDPOINT)), (1, 3));
}

#[tokio::test]
async fn rfc_8414_metadata_is_accepted() {
    let (server, name) = issuer();
    server.set(METADATA, Reply::status(404));
    let document = json!({"issuer": name, "introspection_endpoint": server.url(ENDPOINT)});
    server.set(OAUTH, Reply::json(document));
    let service = service(discover(&name).connect().await.unwrap());
    assert_eq!(status(&service, TOKEN).await, 200);
}

#[tokio::test]
async fn metadata_is_fetched_on_first_use() {
    // (E08: shared fetches)
    let (server, name) = issuer();
    let service = service(discover(&name).build().unwrap());
    assert_eq!(server.total(), 0);
    let (document, gate) = (server.url(ENDPOINT), crate::http_server::Gate::closed());
    let document = json!({"issuer": name, "introspection_endpoint": document});
    server.set(METADATA, Reply::json(&document).held(&gate));
    let tokens: Vec<_> = (0..100).map(|number| format!("t{number}")).collect();
    let mut requests: Vec<_> = tokens
        .iter()
        .map(|token| Box::pin(get(&service, token)))
        .collect();
    poll_once(&mut requests).await;
    server.arrived(METADATA, 1).await;
    gate.open();
    for request in requests {
        assert_eq!(request.await.status(), 200);
    }
    assert_eq!((server.count(METADATA), server.count(ENDPOINT)), (1, 100));
}

#[tokio::test]
async fn missing_metadata_is_unavailable() {
    // (E14: details for the operator)
    let (server, name) = issuer();
    let place = server.url(ENDPOINT);
    for document in [
        Reply::status(500),
        Reply::json("{}"),
        Reply::json(json!({"issuer": name})),
        Reply::json(json!({"issuer": name, "introspection_endpoint": 1})),
        Reply::json(json!({"issuer": name, "introspection_endpoint": "http://issuer.example/"})),
        Reply::json(json!({"issuer": "https://other.example", "introspection_endpoint": place})),
    ] {
        server.set(METADATA, document);
        let service = service(discover(&name).build().unwrap());
        let answer = get(&service, TOKEN).await;
        assert_eq!(answer.status(), 503, "{}", cause(&answer));
        let connected = discover(&name).connect().await;
        assert_eq!(
            connected.unwrap_err().to_string(),
            cause(&answer).to_string()
        );
    }
    assert_eq!(server.count(ENDPOINT), 0);
}

#[tokio::test]
async fn metadata_is_not_fetched_for_each_token() {
    // (E01: fetch cooldown)
    let (server, name) = issuer();
    let clock = ManualClock::new(start());
    let service = service_with_clock(discover(&name).build().unwrap(), &clock);
    server.set(METADATA, Reply::status(500));
    for number in 0..50 {
        let token = format!("made-up-{number}");
        assert_eq!(status(&service, &token).await, 503, "{number}");
    }
    assert_eq!(server.total(), 1);
    clock.advance(Duration::from_secs(4));
    assert_eq!(status(&service, TOKEN).await, 503);
    assert_eq!(server.total(), 1);
    let document = json!({"issuer": name, "introspection_endpoint": server.url(ENDPOINT)});
    server.set(METADATA, Reply::json(document));
    clock.advance(Duration::from_secs(1));
    assert_eq!(status(&service, TOKEN).await, 200);
    assert_eq!((server.count(METADATA), server.count(ENDPOINT)), (2, 1));
}

#[tokio::test]
async fn moved_endpoint_is_rediscovered() {
    let (server, name) = issuer();
    let clock = ManualClock::new(start());
    let service = service_with_clock(discover(&name).build().unwrap(), &clock);
    assert_eq!(status(&service, TOKEN).await, 200);
    clock.advance(Duration::from_secs(5));
    let moved = "/moved";
    server.set(moved, good());
    let document = json!({"issuer": name, "introspection_endpoint": server.url(moved)});
    server.set(METADATA, Reply::json(document));
    // As long as the old one answers, it is asked.
    assert_eq!(status(&service, TOKEN).await, 200);
    server.set(ENDPOINT, Reply::status(500));
    assert_eq!(status(&service, TOKEN).await, 503);
    assert_eq!(server.count(METADATA), 1);
    server.set(ENDPOINT, Reply::redirect(&server.url(moved)));
    assert_eq!(status(&service, TOKEN).await, 503);
    assert_eq!(status(&service, TOKEN).await, 200);
    assert_eq!((server.count(METADATA), server.count(moved)), (2, 1));
}

#[tokio::test]
async fn remote_issuer_cannot_name_loopback_endpoint() {
    // (E04: allowed addresses)
    let name = "https://issuer.example";
    for (endpoint, good) in [
        ("https://issuer.example/introspect", true),
        ("https://elsewhere.example/introspect", true),
        ("http://127.0.0.1/introspect", false),
        ("http://localhost/introspect", false),
        ("https://127.0.0.1/introspect", false),
        ("https://[::ffff:127.0.0.1]/introspect", false),
        ("https://localhost:8443/introspect", false),
        ("http://issuer.example/introspect", false),
        ("https://user:secret@issuer.example/introspect", false),
        ("https://user:no?secret@issuer.example/introspect", false),
    ] {
        let document = json!({"issuer": name, "introspection_endpoint": endpoint});
        let fetcher = Scripted::new(move |_| Ok(json_response(&document)));
        let connected = discover(name).fetcher(fetcher).connect().await;
        match connected {
            Ok(_) => assert!(good, "{endpoint}"),
            Err(error) => {
                assert!(
                    !good && matches!(error, ProviderError::Url { .. }),
                    "{error}"
                );
                assert!(!error.to_string().contains("secret"), "{error}");
            }
        }
    }
}

#[test]
fn settings_of_discovery_are_checked() {
    use futures_util::FutureExt as _;

    let name = "https://issuer.example";
    assert!(discover(name).build().is_ok());
    assert!(discover(name).issuer(name).build().is_ok());
    let other = discover(name).issuer("https://issuer.example/").build();
    assert!(
        other
            .unwrap_err()
            .to_string()
            .starts_with("setting `issuer`: ")
    );
    for name in [
        "",
        "issuer.example",
        "http://issuer.example",
        "https://issuer.example/?a",
    ] {
        let error = discover(name).build().unwrap_err();
        assert!(matches!(error, ProviderError::Url { .. }), "{error}");
    }
    let outside = discover(name).connect().now_or_never().unwrap();
    assert!(matches!(outside, Err(ProviderError::NoRuntime)));
}

#[tokio::test]
async fn issuer_without_introspection_endpoint_fails_and_names_the_setting() {
    // (M16: metadata and issuer)
    let (server, name) = issuer();
    for document in [
        json!({"issuer": name}),
        json!({"issuer": name, "introspection_endpoint": null}),
    ] {
        server.set(METADATA, Reply::json(document));
        let error = discover(&name).connect().await.unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("`introspection_endpoint`, found none"),
            "{text}"
        );
        assert!(text.contains("`Introspection::builder`"), "{text}");
        assert!(text.contains(&server.url(METADATA)), "{text}");
    }
}

#[tokio::test]
async fn issuer_and_metadata_address_are_two_settings() {
    // (M16: metadata and issuer)
    let (server, _) = issuer();
    let name = "https://login.example.com/realms/shop";
    let document = |issuer: &str| {
        Reply::json(json!({"issuer": issuer, "introspection_endpoint": server.url(ENDPOINT)}))
    };
    server.set("/metadata", document(name));
    let discover = || discover(name).metadata_url(server.url("/metadata"));
    let validator = discover().connect().await.unwrap();
    assert_eq!(validator.issuer(), Some(name));
    let service = service(validator);
    for (issuer, expected) in [(name, 200), ("https://login.example.com/", 401)] {
        server.set(ENDPOINT, active(&json!({"iss": issuer})));
        assert_eq!(status(&service, TOKEN).await, expected, "{issuer}");
    }
    server.set("/metadata", document(&format!("{name}/")));
    let error = discover().connect().await.unwrap_err();
    assert!(
        matches!(error, ProviderError::IssuerMismatch { .. }),
        "{error}"
    );
    let unused = builder(&server).metadata_url(server.url("/metadata"));
    let text = unused.build().unwrap_err().to_string();
    assert!(text.starts_with("setting `metadata_url`: "), "{text}");
}

#[tokio::test]
async fn http_to_another_host_needs_opt_in_for_that_host() {
    // (E04: allowed addresses) By its text the host is no loopback address, although it reaches
    // this machine.
    const HOST: &str = "0.0.0.0";
    let (server, _) = issuer();
    let endpoint = format!("http://{HOST}:{}{ENDPOINT}", server.port());
    let name = format!("http://{HOST}:{}", server.port());
    let document = json!({"issuer": name, "introspection_endpoint": endpoint});
    server.set(METADATA, Reply::json(document));
    let fixed = || {
        let builder = Introspection::builder(&*endpoint).client(client());
        builder.audience(AUDIENCE)
    };
    for builder in [
        fixed(),
        fixed().insecure_http_host("0.0.0.1"),
        discover(&name),
        discover(&name).insecure_http_host("keycloak"),
    ] {
        let error = builder.build().unwrap_err().to_string();
        assert!(error.contains("`insecure_http_host`"), "{error}");
    }
    let text = fixed().insecure_http_host("a:80").build().unwrap_err();
    assert!(
        text.to_string()
            .starts_with("setting `insecure_http_host`: "),
        "{text}"
    );
    assert_eq!(server.total(), 0);
    for builder in [fixed(), discover(&name)] {
        let validator = builder.insecure_http_host(HOST).connect().await.unwrap();
        assert_eq!(status(&service(validator), TOKEN).await, 200);
    }
    // Metadata from another machine must not name an address on this machine.
    let document = json!({"issuer": name, "introspection_endpoint": server.url(ENDPOINT)});
    server.set(METADATA, Reply::json(document));
    let error = discover(&name).insecure_http_host(HOST).connect().await;
    let text = error.unwrap_err().to_string();
    assert!(text.contains("not on this machine"), "{text}");
}
