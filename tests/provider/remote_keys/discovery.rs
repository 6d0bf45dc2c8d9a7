//! Finding the keys by the name of the issuer.

use bytes::Bytes;
use tower_bearer::BoxFuture;
use tower_bearer::provider::{Fetch, FetchError, ProviderError};

use super::*;
use crate::http_server::Gate;

const OPENID: &str = "/.well-known/openid-configuration";
const OAUTH: &str = "/.well-known/oauth-authorization-server";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A document at `place` that names the issuer `name` and the keys at [`JWKS`].
fn document(server: &HttpServer, name: &str) -> serde_json::Value {
    json!({"issuer": name, "jwks_uri": server.url(JWKS), "response_types_supported": ["code"]})
}

/// An issuer with a path, keys and a document in the first place.
fn provider<'a>(signers: impl IntoIterator<Item = &'a Signer>) -> (HttpServer, String) {
    let server = issuer(signers);
    let name = server.url("/tenant");
    let place = format!("/tenant{OPENID}");
    server.set(&place, Reply::json(document(&server, &name)));
    (server, name)
}

fn discover(name: &str, clock: &ManualClock) -> RemoteKeysBuilder {
    RemoteKeys::discover(name).clock(clock.clone())
}

#[tokio::test]
async fn keys_are_discovered_from_issuer() {
    // (E07: issuer of the metadata)
    let (signer, clock) = (signer("a"), clock());
    let (server, name) = provider([&signer]);
    let keys = discover(&name, &clock).connect().await.unwrap();
    assert_eq!(keys.issuer(), Some(&*name));
    assert_eq!(keys.status().issuer(), Some(&*name));
    assert_eq!(keys.status().jwks_uri(), Some(&*server.url(JWKS)));
    let metadata = keys.metadata().unwrap();
    assert_eq!(metadata.issuer(), name);
    assert_eq!(metadata.jwks_uri(), Some(&*server.url(JWKS)));
    assert_eq!(metadata.introspection_endpoint(), None);
    assert_eq!(
        metadata.introspection_endpoint_auth_methods_supported(),
        None
    );

    let service = service(&keys, &clock);
    let token_of = |issuer: &str| {
        signer.token(&with(
            claims(),
            json!({"iss": issuer, "exp": NOW + 1_000_000}),
        ))
    };
    assert_eq!(status(&service, &token_of(&name)).await, 200);
    assert_eq!(status(&service, &token_of(ISSUER)).await, 401);
    assert_eq!(status(&service, &token_of(&format!("{name}/"))).await, 401);
    assert_eq!(server.count(&format!("/tenant{OPENID}")), 1);
    assert_eq!(server.total(), 2);

    let validator = JwtValidator::discover(&*name).await.unwrap();
    validator.audience(AUDIENCE).build().unwrap();
}

#[tokio::test]
async fn metadata_locations_are_tried_in_order() {
    // RFC 8414 section 3.1, OpenID Connect Discovery section 4
    for (name, places) in [
        ("", &[OPENID, OAUTH][..]),
        ("/", &[OPENID, OAUTH]),
        (
            "/tenant",
            &[
                "/tenant/.well-known/openid-configuration",
                "/.well-known/oauth-authorization-server/tenant",
                "/.well-known/openid-configuration/tenant",
            ],
        ),
        (
            "/a/b%2Fc/",
            &[
                "/a/b%2Fc/.well-known/openid-configuration",
                "/.well-known/oauth-authorization-server/a/b%2Fc",
                "/.well-known/openid-configuration/a/b%2Fc",
            ],
        ),
    ] {
        for (number, place) in places.iter().enumerate() {
            let server = issuer([&signer("a")]);
            let issuer = server.url(name);
            server.set(place, Reply::json(document(&server, &issuer)));
            discover(&issuer, &clock()).connect().await.expect(place);
            let asked: Vec<_> = server.seen().into_iter().map(|seen| seen.path).collect();
            let expected = [&places[..=number], &[JWKS]].concat();
            assert_eq!(asked, expected, "{name}");
        }
        let server = issuer([&signer("a")]);
        let error = discover(&server.url(name), &clock())
            .connect()
            .await
            .unwrap_err();
        assert_eq!(server.total(), places.len(), "{name}");
        let text = error.to_string();
        assert!(matches!(error, ProviderError::NoMetadata { .. }), "{text}");
        for place in places {
            assert!(text.contains(&server.url(place)), "{text}");
        }
    }
}

#[tokio::test]
async fn missing_metadata_is_fetched_from_next_location() {
    // (E07: issuer of the metadata)
    for (reply, goes_on) in [
        (Reply::status(404), true),
        (Reply::status(410), true),
        // A login page or a gateway where nothing is.
        (Reply::status(400), true),
        (Reply::status(401), true),
        (Reply::status(403), true),
        (Reply::redirect("/"), true),
        (Reply::status(429), false),
        (Reply::status(500), false),
        (Reply::text("<html></html>"), false),
        (Reply::json("[]"), false),
        (Reply::Close, false),
        (Reply::Endless, false),
    ] {
        let clock = clock();
        let (server, name) = provider([&signer("a")]);
        server.set(&format!("/tenant{OPENID}"), reply);
        let second = format!("{OAUTH}/tenant");
        server.set(&second, Reply::json(document(&server, &name)));
        let connected = discover(&name, &clock).connect().await;
        assert_eq!(connected.is_ok(), goes_on, "{connected:?}");
        assert_eq!(server.count(&second), usize::from(goes_on), "{connected:?}");
    }
}

#[tokio::test]
async fn first_error_is_reported_if_every_location_fails() {
    let (server, name) = provider([&signer("a")]);
    server.set(&format!("/tenant{OPENID}"), Reply::status(403));
    let error = discover(&name, &clock()).connect().await.unwrap_err();
    let text = error.to_string();
    assert!(
        matches!(error, ProviderError::Status { status: 403, .. }),
        "{text}"
    );
    assert_eq!(server.total(), 3);
}

#[tokio::test]
async fn secrets_in_metadata_addresses_are_not_shown() {
    // (E14: details for the operator)
    let (server, name) = provider([&signer("a")]);
    let document = with(
        document(&server, &name),
        json!({"introspection_endpoint": "https://user:secret@issuer.example/introspect?key=secret"}),
    );
    server.set(&format!("/tenant{OPENID}"), Reply::json(document));
    let keys = discover(&name, &clock()).connect().await.unwrap();
    let text = format!("{:?}", keys.metadata());
    assert!(
        text.contains("issuer.example") && !text.contains("secret"),
        "{text}"
    );
}

#[tokio::test]
async fn null_member_is_absent() {
    let (server, name) = provider([&signer("a")]);
    let mut document = document(&server, &name);
    document["introspection_endpoint"] = json!(null);
    document["introspection_endpoint_auth_methods_supported"] = json!(null);
    server.set(&format!("/tenant{OPENID}"), Reply::json(document));
    let keys = discover(&name, &clock()).connect().await.unwrap();
    assert_eq!(keys.metadata().unwrap().introspection_endpoint(), None);
}

#[tokio::test]
async fn metadata_must_name_issuer_exactly() {
    // (E07: issuer of the metadata, D02: exact issuer)
    let clock = clock();
    let (server, name) = provider([&signer("a")]);
    let place = format!("/tenant{OPENID}");
    for (found, configured) in [
        (format!("{name}/"), name.clone()),
        (name.clone(), format!("{name}/")),
        (name.to_uppercase(), name.clone()),
        (name.replace("127.0.0.1", "localhost"), name.clone()),
        (format!("{name}\u{0}"), name.clone()),
        ("https://somebody-else.example".to_owned(), name.clone()),
        (String::new(), name.clone()),
    ] {
        server.set(&place, Reply::json(document(&server, &found)));
        let error = discover(&configured, &clock).connect().await.unwrap_err();
        assert!(
            matches!(error, ProviderError::IssuerMismatch { .. }),
            "{error}"
        );
        let text = error.to_string();
        assert!(text.contains(&format!("{found:?}")), "{text}");
        assert!(text.contains(&format!("{configured:?}")), "{text}");
        assert!(text.contains("as the provider writes it"), "{text}");
    }
    server.set(&place, Reply::json(document(&server, &"i".repeat(10_000))));
    let error = discover(&name, &clock).connect().await.unwrap_err();
    assert!(error.to_string().len() < 1_000, "{error}");
    assert_eq!(server.count(JWKS), 0);
}

#[tokio::test]
async fn untrustworthy_metadata_is_rejected() {
    // (E07: issuer of the metadata, D01: wrong types, D06: duplicate members)
    let clock = clock();
    let (server, name) = provider([&signer("a")]);
    let good = document(&server, &name);
    let keys = server.url(JWKS);
    for (what, body) in [
        (
            "no issuer",
            with(good.clone(), json!({"issuer": null})).to_string(),
        ),
        (
            "an issuer that is none",
            with(good.clone(), json!({"issuer": [name]})).to_string(),
        ),
        (
            "no keys",
            with(good.clone(), json!({"jwks_uri": null})).to_string(),
        ),
        (
            "keys that are none",
            with(good.clone(), json!({"jwks_uri": [keys]})).to_string(),
        ),
        (
            "keys in the clear",
            with(
                good.clone(),
                json!({"jwks_uri": "http://issuer.example/jwks"}),
            )
            .to_string(),
        ),
        (
            "keys with a login",
            with(
                good.clone(),
                json!({"jwks_uri": "https://a:b@issuer.example/jwks"}),
            )
            .to_string(),
        ),
        (
            "a file",
            with(good.clone(), json!({"jwks_uri": "file:///etc/passwd"})).to_string(),
        ),
        (
            "an endpoint that is none",
            with(good.clone(), json!({"introspection_endpoint": 7})).to_string(),
        ),
        (
            "methods that are none",
            with(
                good.clone(),
                json!({"introspection_endpoint_auth_methods_supported": [7]}),
            )
            .to_string(),
        ),
        (
            "two issuers",
            format!(r#"{{"issuer":"x","issuer":"{name}","jwks_uri":"{keys}"}}"#),
        ),
        ("something behind it", format!("{good}x")),
    ] {
        server.set(&format!("/tenant{OPENID}"), Reply::json(&body));
        let error = discover(&name, &clock).connect().await.expect_err(what);
        let text = error.to_string();
        assert!(text.contains("expected"), "{what}: {text}");
        assert!(!text.contains("a:b"), "{what}: {text}");
    }
    assert_eq!(server.count(JWKS), 0);
}

#[tokio::test]
async fn other_metadata_members_are_available() {
    let clock = clock();
    let (server, name) = provider([&signer("a")]);
    let document = with(
        document(&server, &name),
        json!({
            "introspection_endpoint": "https://issuer.example/introspect",
            "introspection_endpoint_auth_methods_supported": ["client_secret_basic"],
        }),
    );
    server.set(&format!("/tenant{OPENID}"), Reply::json(document));
    let keys = discover(&name, &clock).connect().await.unwrap();
    let metadata = keys.metadata().unwrap();
    assert_eq!(
        metadata.introspection_endpoint(),
        Some("https://issuer.example/introspect")
    );
    let methods = metadata.introspection_endpoint_auth_methods_supported();
    assert_eq!(methods, Some(&["client_secret_basic".to_owned()][..]));
}

#[test]
fn issuer_without_https_is_rejected_at_configuration() {
    // (E02: no needless fetch, E07: issuer of the metadata)
    for name in [
        "http://issuer.example",
        "issuer.example",
        "https://issuer.example?tenant=a",
        "https://issuer.example/?",
        "https://issuer.example/#",
        "https://user@issuer.example",
        "",
    ] {
        let error = RemoteKeys::discover(name).connect_lazily().expect_err(name);
        assert!(
            matches!(error, ProviderError::Url { what: "issuer", .. }),
            "{error}"
        );
    }
    let keys = RemoteKeys::discover("https://issuer.example/a").connect_lazily();
    let keys = keys.unwrap();
    assert_eq!(keys.issuer(), Some("https://issuer.example/a"));
    assert_eq!(keys.status().jwks_uri(), None);
    assert!(keys.metadata().is_none());
}

#[tokio::test]
async fn moved_keys_are_found_in_same_attempt() {
    let (old, new, clock) = (signer("old"), other_signer("new"), clock());
    let (server, name) = provider([&old]);
    server.set(JWKS, Reply::json(jwks([&old])).tagged(r#""v1""#));
    let keys = discover(&name, &clock).connect().await.unwrap();
    server.set(JWKS, Reply::status(404));
    // A tag means something at its own address only.
    server.set("/moved", Reply::json(jwks([&new])).tagged(r#""v1""#));
    let place = format!("/tenant{OPENID}");
    let moved = with(
        document(&server, &name),
        json!({"jwks_uri": server.url("/moved")}),
    );
    server.set(&place, Reply::json(moved));
    let token = new.token(&with(claims(), json!({"iss": name})));
    assert_eq!(status(&service(&keys, &clock), &token).await, 200);
    assert_eq!(keys.status().jwks_uri(), Some(&*server.url("/moved")));
    assert_eq!((server.count(JWKS), server.count(&place)), (2, 2));
    assert_eq!(server.count("/moved"), 1);
}

#[tokio::test]
async fn missing_keys_are_reported_if_address_is_unchanged() {
    let clock = clock();
    let (server, name) = provider([&signer("a")]);
    let keys = discover(&name, &clock).connect().await.unwrap();
    server.set(JWKS, Reply::status(500));
    let error = keys.refresh().await.unwrap_err();
    assert!(error.to_string().contains(&server.url(JWKS)), "{error}");
    assert_eq!(server.count(JWKS), 2, "asked once per attempt");
    server.set(&format!("/tenant{OPENID}"), Reply::status(500));
    let error = keys.refresh().await.unwrap_err();
    assert!(error.to_string().contains(&server.url(JWKS)), "{error}");
    assert_eq!(keys.status().keys().count(), 1);
}

#[tokio::test]
async fn metadata_is_refetched_after_one_day() {
    let (signer, clock) = (signer("a"), clock());
    let (server, name) = provider([&signer]);
    let keys = discover(&name, &clock).connect().await.unwrap();
    let place = format!("/tenant{OPENID}");
    for (after, documents) in [
        (DAY - MINUTE, 1),
        (DAY, 2),
        (2 * DAY - MINUTE, 2),
        (2 * DAY, 3),
    ] {
        clock.set(now() + after);
        keys.refresh().await.unwrap();
        assert_eq!(server.count(&place), documents, "{after:?}");
    }
    // If it is not there then, the keys are where they were.
    for reply in [Reply::status(500), Reply::Close] {
        clock.advance(DAY);
        server.set(&place, reply);
        keys.refresh().await.unwrap();
    }
    // A document that now names another issuer is detected (E07: issuer of the metadata).
    let foreign = document(&server, "https://somebody-else.example");
    server.set(&place, Reply::json(foreign));
    clock.advance(DAY);
    keys.refresh().await.unwrap_err();
}

#[tokio::test]
async fn metadata_timeout_leaves_time_for_keys() {
    // (E04: allowed addresses)
    let (signer, clock) = (signer("a"), clock());
    let (server, name) = provider([&signer]);
    let keys = discover(&name, &clock)
        .timeout(Duration::from_secs(2))
        .connect()
        .await
        .unwrap();
    let place = format!("/tenant{OPENID}");
    server.set(&place, Reply::status(200).held(&Gate::closed()));
    clock.advance(DAY);
    keys.refresh().await.unwrap();
    assert_eq!(server.count(&place), 2);
}

#[tokio::test]
async fn key_timeout_triggers_new_discovery() {
    let (signer, clock) = (signer("a"), clock());
    let (server, name) = provider([&signer]);
    let keys = discover(&name, &clock)
        .timeout(Duration::from_secs(1))
        .connect()
        .await
        .unwrap();
    server.set(JWKS, Reply::status(200).held(&Gate::closed()));
    server.set("/moved", Reply::json(jwks([&signer])));
    let moved = with(
        document(&server, &name),
        json!({"jwks_uri": server.url("/moved")}),
    );
    server.set(&format!("/tenant{OPENID}"), Reply::json(moved));
    let error = keys.refresh().await.unwrap_err();
    assert!(error.to_string().contains("in time"), "{error}");
    // That took all the time there was.
    keys.refresh().await.unwrap();
    assert_eq!((server.count(JWKS), server.count("/moved")), (2, 1));
}

/// Answers every request with one text, as if from anywhere.
struct Anywhere(String);

impl Fetch for Anywhere {
    fn fetch(
        &self,
        request: Request<Bytes>,
        _: usize,
    ) -> BoxFuture<Result<Response<Bytes>, FetchError>> {
        assert_eq!(request.uri().host(), Some("issuer.example"));
        let body = Bytes::from(self.0.clone());
        Box::pin(async move { Ok(Response::new(body)) })
    }
}

#[tokio::test]
async fn remote_issuer_cannot_name_loopback_key_address() {
    // (E02: no needless fetch, E07: issuer of the metadata)
    let server = issuer([&signer("a")]);
    for host in ["127.0.0.1", "localhost", "[::1]"] {
        let jwks_uri = format!("http://{host}:{}{JWKS}", server.port());
        let document = json!({"issuer": "https://issuer.example", "jwks_uri": jwks_uri});
        let keys = RemoteKeys::discover("https://issuer.example");
        let keys = keys.fetcher(Anywhere(document.to_string()));
        let error = keys.connect().await.unwrap_err();
        assert!(matches!(error, ProviderError::Url { .. }), "{error}");
    }
    assert_eq!(server.total(), 0);
}

#[tokio::test]
async fn requests_of_one_attempt_share_one_timeout() {
    // (E04: allowed addresses)
    let clock = clock();
    let (server, name) = provider([&signer("a")]);
    let gate = Gate::closed();
    server.set(JWKS, Reply::status(200).held(&gate));
    let keys = discover(&name, &clock).timeout(Duration::from_millis(300));
    let error = keys.connect().await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("in time"), "{text}");
}

#[tokio::test]
async fn discovery_outage_is_503_with_one_attempt_per_cooldown() {
    // (E01: fetch cooldown, E05: last good key set)
    let (signer, clock) = (signer("a"), clock());
    let (server, name) = provider([&signer]);
    let place = format!("/tenant{OPENID}");
    let good = Reply::json(document(&server, &name));
    server.set(&place, Reply::status(500));
    let keys = discover(&name, &clock).connect_lazily().unwrap();
    let service = service(&keys, &clock);
    let token = signer.token(&with(claims(), json!({"iss": name})));
    for _ in 0..10 {
        assert_eq!(status(&service, &token).await, 503);
    }
    assert_eq!(server.total(), 1);
    server.set(&place, good);
    clock.advance(COOLDOWN);
    assert_eq!(status(&service, &token).await, 200);
}
