//! Where in the request a token stands.

use http::{HeaderName, HeaderValue, Method};
use tower_bearer::ValidatorExt as _;
use tower_bearer::{CredentialSource, Scheme};

use super::*;

const TOKEN: &str = "YWxpY2U6eA";

/// The token in each place that there is.
fn requests() -> Vec<(&'static str, Request<Body>)> {
    let with = |name: HeaderName, value: String| {
        let mut request = Request::new(Body::default());
        let value = HeaderValue::try_from(value).unwrap();
        request.headers_mut().insert(name, value);
        request
    };
    let mut handshake = with(
        http::header::SEC_WEBSOCKET_PROTOCOL,
        format!("bearer, {TOKEN}"),
    );
    *handshake.method_mut() = Method::GET;
    let websocket = HeaderValue::from_static("websocket");
    handshake
        .headers_mut()
        .insert(http::header::UPGRADE, websocket);
    vec![
        ("bearer", with(AUTHORIZATION, format!("Bearer {TOKEN}"))),
        ("basic", with(AUTHORIZATION, format!("Basic {TOKEN}"))),
        (
            "api key",
            with(HeaderName::from_static("x-api-key"), TOKEN.to_owned()),
        ),
        (
            "cookie",
            with(http::header::COOKIE, format!("a=b; sid={TOKEN}")),
        ),
        ("websocket", handshake),
    ]
}

/// Says yes, and whom it was presented as.
#[derive(Clone, Default)]
struct Place(Arc<AtomicUsize>);

impl Validator for Place {
    type Principal = User;

    fn validate(&self, credential: &Credential<'_>, _: &RequestView<'_>) -> Verdict<User> {
        self.0.fetch_add(1, Ordering::SeqCst);
        let subject = match (credential.scheme(), credential.source()) {
            (Scheme::Bearer, CredentialSource::Authorization) => "bearer",
            (Scheme::Basic, CredentialSource::Authorization) => "basic",
            (Scheme::ApiKey, CredentialSource::ApiKeyHeader) => "api key",
            (Scheme::Cookie, CredentialSource::Cookie) => "cookie",
            (Scheme::Bearer, CredentialSource::WebSocketProtocol) => "websocket",
            place => panic!("{place:?}"),
        };
        Ok(named(subject)).into()
    }
}

fn layer<V: Validator<Principal = User>>(validator: V) -> BearerAuthLayer<V> {
    BearerAuthLayer::new(validator)
        .with_clock(clock())
        .with_sources([
            tower_bearer::Source::bearer(),
            tower_bearer::Source::basic(),
            tower_bearer::Source::api_key(HeaderName::from_static("x-api-key")),
            tower_bearer::Source::cookie("sid"),
            tower_bearer::Source::websocket_protocol("bearer"),
        ])
        .unwrap()
}

#[tokio::test]
async fn same_text_in_another_source_is_another_credential() {
    // (F02: separate caches)
    let source = Place::default();
    let validator = source.clone().cached(CacheSettings::new());
    let service = layer(validator.clone()).layer(Greet);
    for calls in [5, 5, 5] {
        for (place, request) in requests() {
            let answer = send(service.clone(), request).await;
            assert_eq!((answer.status(), &*answer.body), (200, place));
        }
        assert_eq!(source.0.load(Ordering::SeqCst), calls);
    }
    assert_eq!(validator.cache().len(), 5);
}

#[tokio::test]
async fn remove_applies_to_every_source_of_token() {
    // (F05: removal of cached results)
    let source = Place::default();
    let validator = source.clone().cached(CacheSettings::new());
    let service = layer(validator.clone()).layer(Greet);
    for (number, (place, request)) in requests().into_iter().enumerate() {
        assert_eq!(send(service.clone(), request).await.status(), 200);
        assert_eq!(source.0.load(Ordering::SeqCst), number + 1);
        assert!(validator.cache().remove(TOKEN), "{place}");
        assert!(validator.cache().is_empty(), "{place}");
    }
    for (_, request) in requests() {
        assert_eq!(send(service.clone(), request).await.status(), 200);
    }
    assert_eq!(validator.cache().len(), 5);
    assert!(validator.cache().remove(TOKEN));
    assert!(validator.cache().is_empty());
}

#[tokio::test]
async fn unaccepted_source_is_rejected_with_cached_token() {
    // (B02: one Authorization line, B09: query and form tokens)
    let source = Place::default();
    let validator = source.clone().cached(CacheSettings::new());
    let all = layer(validator.clone()).layer(Greet);
    for (_, request) in requests() {
        assert_eq!(send(all.clone(), request).await.status(), 200);
    }
    // A layer that offers nothing but one of them.
    let bearer = BearerAuthLayer::new(validator)
        .with_clock(clock())
        .layer(Greet);
    for (place, request) in requests() {
        let expected = if place == "bearer" { 200 } else { 401 };
        let answer = send(bearer.clone(), request).await;
        assert_eq!(answer.status(), expected, "{place}");
    }
    // Two credentials at once, and credentials that a browser attaches to a request of another site.
    for (place, mut request) in requests() {
        let key = HeaderValue::from_static("another");
        request.headers_mut().append("x-api-key", key);
        let answer = send(all.clone(), request).await;
        assert_eq!(answer.status(), 400, "{place}");
    }
    for (place, mut request) in requests() {
        *request.method_mut() = match place {
            "websocket" => Method::GET,
            _ => Method::POST,
        };
        let site = HeaderValue::from_static("cross-site");
        request.headers_mut().insert("sec-fetch-site", site);
        // (B10: cross-site requests, M10: attached credentials)
        let expected = if matches!(place, "basic" | "cookie") {
            403
        } else {
            200
        };
        let answer = send(all.clone(), request).await;
        assert_eq!(answer.status(), expected, "{place}");
    }
    assert_eq!(source.0.load(Ordering::SeqCst), 5);
}
