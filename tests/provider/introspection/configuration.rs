//! What is wrong with a configuration is told when it is made.

use super::*;

fn error(change: impl FnOnce(IntrospectionBuilder) -> IntrospectionBuilder) -> String {
    let builder = Introspection::builder("https://issuer.example/introspect")
        .client(client())
        .audience(AUDIENCE);
    change(builder)
        .build()
        .map_or_else(|error| error.to_string(), |_| "none".to_owned())
}

#[test]
fn missing_setting_is_named_in_error() {
    let missing = |builder: IntrospectionBuilder| builder.build().unwrap_err().to_string();
    let builder = || Introspection::builder("https://issuer.example/introspect");
    let text = missing(builder().audience(AUDIENCE));
    assert!(text.starts_with("setting `client`: is missing"), "{text}");
    let text = missing(builder().client(client()));
    assert!(text.starts_with("setting `audience`: is missing"), "{text}");
    let any = builder().client(client()).insecure_any_audience().build();
    assert!(any.is_ok());
}

#[test]
fn invalid_settings_are_rejected() {
    type Change = fn(IntrospectionBuilder) -> IntrospectionBuilder;
    let rows: [(Change, &str); 33] = [
        (|builder| builder, "none"),
        (
            |builder| builder.client(ClientAuthentication::basic("", "s")),
            "client",
        ),
        (
            |builder| builder.client(ClientAuthentication::post("i", "")),
            "client",
        ),
        (
            |builder| builder.client(ClientAuthentication::bearer("a b")),
            "client",
        ),
        (|builder| builder.issuer(""), "issuer"),
        (|builder| builder.issuer("any text"), "none"),
        (|builder| builder.audience(""), "audience"),
        (
            |builder| builder.insecure_any_audience(),
            "insecure_any_audience",
        ),
        (|builder| builder.subject(""), "subject"),
        (|builder| builder.require(""), "require"),
        (|builder| builder.leeway(300 * SECOND), "none"),
        (|builder| builder.leeway(301 * SECOND), "leeway"),
        (|builder| builder.cache(Duration::ZERO), "cache"),
        (|builder| builder.cache(60 * SECOND), "none"),
        (|builder| builder.cache(61 * SECOND), "cache"),
        (|builder| builder.cache_capacity(10), "cache_capacity"),
        (
            |builder| builder.cache(SECOND).cache_capacity(0),
            "cache_capacity",
        ),
        (|builder| builder.cache(SECOND).cache_capacity(1), "none"),
        (
            |builder| builder.cache(SECOND).cache_capacity(1_000_001),
            "cache_capacity",
        ),
        (|builder| builder.max_length(63), "max_length"),
        (|builder| builder.max_length(64), "none"),
        (|builder| builder.max_length(16_384), "none"),
        (|builder| builder.max_length(16_385), "max_length"),
        (|builder| builder.timeout(Duration::ZERO), "timeout"),
        (|builder| builder.timeout(60 * SECOND), "none"),
        (|builder| builder.timeout(61 * SECOND), "timeout"),
        (|builder| builder.max_body(0), "max_body"),
        (|builder| builder.max_body(1024 * 1024), "none"),
        (|builder| builder.max_body(1024 * 1024 + 1), "max_body"),
        (
            |builder| builder.max_concurrent_requests(0),
            "max_concurrent_requests",
        ),
        (|builder| builder.max_concurrent_requests(1), "none"),
        (|builder| builder.max_concurrent_requests(65_536), "none"),
        (
            |builder| builder.max_concurrent_requests(65_537),
            "max_concurrent_requests",
        ),
    ];
    for (number, (change, setting)) in rows.into_iter().enumerate() {
        let text = error(change);
        let expected = match setting {
            "none" => "none".to_owned(),
            setting => format!("setting `{setting}`: "),
        };
        assert!(text.starts_with(&expected), "row {number}: {text}");
    }
}

#[test]
fn only_confidential_endpoint_address_is_accepted() {
    // (E04: allowed addresses, E11: introspection requests)
    for (url, good) in [
        ("https://issuer.example/introspect", true),
        ("https://issuer.example/introspect?tenant=1", true),
        ("http://127.0.0.1:8080/introspect", true),
        ("http://localhost/introspect", true),
        ("http://issuer.example/introspect", false),
        ("https://user:topsecret@issuer.example/introspect", false),
        ("https://issuer.example/introspect#fragment", false),
        ("issuer.example/introspect", false),
        ("", false),
    ] {
        let builder = Introspection::builder(url)
            .client(client())
            .audience(AUDIENCE);
        let shown = format!("{builder:?}");
        assert!(!shown.contains("topsecret"), "{shown}");
        match builder.build() {
            Ok(_) => assert!(good, "{url}"),
            Err(error) => {
                assert!(!good, "{url}: {error}");
                assert!(matches!(error, ProviderError::Url { .. }), "{error}");
                let text = error.to_string();
                assert!(text.starts_with("introspection endpoint"), "{text}");
                assert!(!text.contains("topsecret"), "{text}");
            }
        }
    }
}

#[test]
fn types_are_clone_send_and_sync() {
    fn is<T: Clone + Send + Sync + 'static>() {}
    is::<Introspection>();
    is::<ClientAuthentication>();
    let validator = Introspection::builder("https://issuer.example/introspect")
        .client(client())
        .audience(AUDIENCE)
        .issuer("https://issuer.example/")
        .build()
        .unwrap();
    assert_eq!(validator.issuer(), Some("https://issuer.example/"));
    let erased: Arc<dyn Validator<Principal = AccessToken>> = Arc::new(validator);
    let _ = erased;
}

#[tokio::test]
async fn insecure_opt_outs_accept_exactly_the_named_tokens() {
    // (E12: checks of the response)
    let server = HttpServer::with(ENDPOINT, good());
    type Change = fn(IntrospectionBuilder) -> IntrospectionBuilder;
    let any_audience: Change = |builder| builder;
    let rows: [(Value, Change, &str); 5] = [
        (
            json!({"cnf": {}}),
            IntrospectionBuilder::insecure_ignore_sender_constraint,
            "alice",
        ),
        (
            json!({"token_type": "DPoP"}),
            IntrospectionBuilder::insecure_ignore_sender_constraint,
            "alice",
        ),
        (
            json!({"nonce": "n"}),
            IntrospectionBuilder::insecure_accept_id_tokens,
            "alice",
        ),
        (
            json!({}),
            |builder| builder.subject("alice").require("scope"),
            "alice",
        ),
        (json!({}), any_audience, "alice"),
    ];
    for (members, change, subject) in rows {
        server.set(ENDPOINT, active(&members));
        let service = service(change(builder(&server)).build().unwrap());
        let answer = get(&service, TOKEN).await;
        assert_eq!(
            (answer.status(), &*answer.body),
            (200, subject),
            "{members}"
        );
    }
    server.set(ENDPOINT, Reply::json(r#"{"active":true}"#));
    let any = Introspection::builder(server.url(ENDPOINT))
        .client(client())
        .insecure_any_audience()
        .build();
    assert_eq!(status(&service(any.unwrap()), TOKEN).await, 200);
    for change in [
        (|builder| builder.subject("bob")) as Change,
        |builder| builder.require("iss"),
        |builder| builder.require("username"),
    ] {
        server.set(ENDPOINT, good());
        let service = service(change(builder(&server)).build().unwrap());
        assert_eq!(status(&service, TOKEN).await, 401);
    }
}
