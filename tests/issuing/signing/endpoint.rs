//! The JWK Set, as verifiers elsewhere get it.

use axum::Router;
use http::Method;
use tower_bearer::issuing::JwkSetEndpoint;
use tower_bearer::provider::RemoteKeys;

use super::*;
use crate::support::{Body, send};

fn request(method: Method) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri("/.well-known/jwks.json")
        .body(Body::default())
        .unwrap()
}

fn endpoint(keys: &SigningKeys) -> JwkSetEndpoint {
    JwkSetEndpoint::new(keys).with_clock(ManualClock::new(now()))
}

#[tokio::test]
async fn get_and_head_return_key_set() {
    let keys = keys("a");
    let answer = send(endpoint(&keys), request(Method::GET)).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.body, *keys.jwks_json(now()));
    assert_eq!(
        answer.header("content-type"),
        Some("application/jwk-set+json")
    );
    assert_eq!(answer.header("cache-control"), Some("public, max-age=300"));
    let length = answer.body.len().to_string();
    assert_eq!(answer.header("content-length"), Some(&*length));
    let tag = answer.header("etag").unwrap().to_owned();

    let answer = send(endpoint(&keys), request(Method::HEAD)).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.body, "");
    assert_eq!(answer.header("content-length"), Some(&*length));
    assert_eq!(answer.header("etag"), Some(&*tag));

    let unlimited = endpoint(&keys).with_max_age(Duration::ZERO);
    let answer = send(unlimited, request(Method::GET)).await;
    assert_eq!(answer.header("cache-control"), Some("public, max-age=0"));
}

#[tokio::test]
async fn other_methods_are_405() {
    for method in [
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::OPTIONS,
        Method::from_bytes(b"get").unwrap(),
    ] {
        let answer = send(endpoint(&keys("a")), request(method.clone())).await;
        assert_eq!(answer.status(), 405, "{method}");
        assert_eq!(answer.header("allow"), Some("GET, HEAD"), "{method}");
        assert_eq!(answer.body, "", "{method}");
    }
}

#[tokio::test]
async fn matching_etag_is_304() {
    let keys = keys("a");
    let answer = send(endpoint(&keys), request(Method::GET)).await;
    let tag = answer.header("etag").unwrap().to_owned();
    for (name, known, expected) in [
        ("the same", tag.clone(), 304),
        ("weak", format!("W/{tag}"), 304),
        ("among others", format!("\"x\", {tag}"), 304),
        ("any", String::from("*"), 304),
        ("another", String::from("\"x\""), 200),
        ("without quotes", tag.trim_matches('"').to_owned(), 200),
    ] {
        let mut request = request(Method::GET);
        request
            .headers_mut()
            .insert("if-none-match", known.parse().unwrap());
        let answer = send(endpoint(&keys), request).await;
        assert_eq!(answer.status(), expected, "{name}");
        assert_eq!(answer.body.is_empty(), expected == 304, "{name}");
        assert_eq!(answer.header("etag"), Some(&*tag), "{name}");
    }
    keys.publish(generate("b")).unwrap();
    let mut request = request(Method::GET);
    request
        .headers_mut()
        .insert("if-none-match", tag.parse().unwrap());
    let answer = send(endpoint(&keys), request).await;
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn remote_verifier_follows_key_rotation() {
    let keys = keys("a");
    let app = Router::new().route_service("/jwks", endpoint(&keys));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });

    let clock = ManualClock::new(now());
    let remote = RemoteKeys::builder(format!("http://{address}/jwks"))
        .clock(clock.clone())
        .connect()
        .await
        .unwrap();
    let elsewhere = validator(remote.clone());
    let of_a = sign(&keys.current(), 1);
    assert_eq!(says(&elsewhere, &of_a), Ok(()));

    keys.publish(generate("b")).unwrap();
    remote.refresh().await.unwrap();
    keys.activate("b", now(), HOUR).unwrap();
    let of_b = sign(&keys.current(), 1);
    assert_eq!(says(&elsewhere, &of_b), Ok(()));
    assert_eq!(says(&elsewhere, &of_a), Ok(()));

    keys.remove("a").unwrap();
    remote.refresh().await.unwrap();
    assert!(says(&elsewhere, &sign(&keys.current(), 2)).is_ok());
    // Its verdict was remembered, and is gone.
    let request = Request::new(());
    let credential = Credential::bearer(&of_a).unwrap();
    let view = RequestView::with_clock(&request, &clock);
    let verdict = match elsewhere.validate(&credential, &view) {
        Verdict::Ready(result) => result,
        Verdict::Pending(future) => future.await,
    };
    assert!(verdict.is_err());
    server.abort();
}
