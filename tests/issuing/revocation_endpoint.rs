//! The endpoint by which clients give back tokens, as a service.

use super::*;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::stream;
use http::Method;
use http::header::CONTENT_TYPE;
use http_body_util::{BodyExt, StreamBody};
use tower::ServiceExt as _;
use tower_bearer::issuing::{ClientCredentials, RevocationEndpoint};

const FORM: &str = "application/x-www-form-urlencoded";

fn post(body: impl Into<Bytes>) -> Request<Body> {
    Request::post("/revoke")
        .header(CONTENT_TYPE, FORM)
        .body(Body::new(body.into()))
        .unwrap()
}

fn with_header(mut request: Request<Body>, value: impl AsRef<[u8]>) -> Request<Body> {
    let value = http::HeaderValue::from_bytes(value.as_ref()).unwrap();
    request.headers_mut().append(AUTHORIZATION, value);
    request
}

fn basic(credentials: &str) -> String {
    format!("Basic {}", STANDARD.encode(credentials))
}

/// Which error the answer names, if any.
fn code(answer: &Answer) -> String {
    match answer.body.is_empty() {
        true => String::new(),
        false => {
            let body: Value = serde_json::from_str(&answer.body).unwrap();
            body["error"].as_str().unwrap().to_owned()
        }
    }
}

/// Knows `web` with a secret, and the public client `app`.
fn authenticated(endpoint: RevocationEndpoint) -> RevocationEndpoint {
    endpoint.with_client_authentication(|client: ClientCredentials| async move {
        Ok::<_, Infallible>(match client.id() {
            "web" => client.secret() == Some("s%cr+t :€"),
            "app" => client.secret().is_none(),
            _ => false,
        })
    })
}

/// The same as a form has it.
const SECRET: &str = "s%25cr%2Bt+%3A%E2%82%AC";

#[tokio::test]
async fn public_client_is_identified_by_client_id() {
    let world = World::new().await;
    let endpoint = world.issuer.revocation_endpoint();
    let tokens = world.issue().await;
    let (refresh, access) = (refresh_token(&tokens), tokens.access_token());
    let rows: Vec<(&str, Request<Body>, u16, &str)> = vec![
        (
            "no client",
            post(format!("token={refresh}")),
            400,
            "invalid_request",
        ),
        (
            "no token",
            post("client_id=web&token="),
            400,
            "invalid_request",
        ),
        ("nothing", post(""), 400, "invalid_request"),
        (
            "another client",
            post(format!("client_id=app&token={refresh}")),
            400,
            "invalid_grant",
        ),
        (
            "two tokens",
            post(format!("client_id=web&token={refresh}&token={refresh}")),
            400,
            "invalid_request",
        ),
        (
            "two clients",
            post(format!("client_id=web&client_id=app&token={refresh}")),
            400,
            "invalid_request",
        ),
        (
            "a secret that nobody looks at",
            post(format!("client_id=web&client_secret=x&token={refresh}")),
            401,
            "invalid_client",
        ),
        (
            "the same by Basic",
            with_header(post(format!("token={refresh}")), basic("web:x")),
            401,
            "invalid_client",
        ),
        (
            "a bearer",
            with_header(
                post(format!("client_id=web&token={refresh}")),
                format!("Bearer {access}"),
            ),
            401,
            "invalid_client",
        ),
        (
            "not UTF-8",
            post(format!("client_id=web&token={refresh}%ff")),
            400,
            "invalid_request",
        ),
        ("garbage", post("client_id=web&token=garbage"), 200, ""),
        (
            "a hint is not needed",
            post("client_id=web&token=x&token_type_hint=sun"),
            200,
            "",
        ),
    ];
    for (name, request, status, expected) in rows {
        let answer = send(endpoint.clone(), request).await;
        assert_eq!(answer.status(), status, "{name}");
        assert_eq!(code(&answer), expected, "{name}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{name}");
        assert_eq!(answer.header("pragma"), Some("no-cache"), "{name}");
        let challenge = (status == 401).then_some("Basic realm=\"clients\"");
        assert_eq!(answer.header("www-authenticate"), challenge, "{name}");
        assert!(world.is_alive(session(&tokens)).await, "{name}");
    }
    assert_eq!(world.status(&tokens).await, 200);
    let answer = send(
        endpoint.clone(),
        post(format!(
            "token={access}&client_id=web&token_type_hint=refresh_token"
        )),
    )
    .await;
    assert_eq!((answer.status(), &*answer.body), (200, ""));
    assert_eq!(world.status(&tokens).await, 401);
    assert!(world.is_alive(session(&tokens)).await);
    let basic = with_header(post(format!("token={refresh}")), basic("web:"));
    assert_eq!(send(endpoint, basic).await.status(), 200);
    assert!(!world.is_alive(session(&tokens)).await);
}

#[tokio::test]
async fn confidential_client_must_authenticate() {
    // RFC 6749 section 2.3.1
    let world = World::new().await;
    let endpoint = authenticated(world.issuer.revocation_endpoint());
    let web = world.issue().await;
    let app = world.issue_to("alice", "app").await;
    let token = |tokens: &TokenResponse| format!("token={}", refresh_token(tokens));
    let plain = || post(token(&web));
    for (name, request, status) in [
        (
            "no secret",
            post(format!("client_id=web&{}", token(&web))),
            401,
        ),
        (
            "a wrong one",
            post(format!("client_id=web&client_secret=x&{}", token(&web))),
            401,
        ),
        (
            "a wrong one by Basic",
            with_header(plain(), basic("web:x")),
            401,
        ),
        (
            "not encoded",
            with_header(plain(), basic("web:s%cr+t :€")),
            401,
        ),
        (
            "somebody",
            with_header(plain(), basic(&format!("eve:{SECRET}"))),
            401,
        ),
        (
            "nobody",
            with_header(plain(), basic(&format!(":{SECRET}"))),
            401,
        ),
        ("no colon", with_header(plain(), basic("web")), 401),
        ("no base64", with_header(plain(), "Basic !!!"), 401),
        ("nothing behind", with_header(plain(), "Basic"), 401),
        ("not ASCII", with_header(plain(), b"Basic \xff"), 401),
        (
            "escapes that are not UTF-8",
            with_header(plain(), basic("web:%ff")),
            401,
        ),
        (
            "by Basic and in the form",
            with_header(
                post(format!("client_secret={SECRET}&{}", token(&web))),
                basic(&format!("web:{SECRET}")),
            ),
            400,
        ),
        (
            "by Basic twice",
            with_header(
                with_header(plain(), basic(&format!("web:{SECRET}"))),
                basic(&format!("web:{SECRET}")),
            ),
            400,
        ),
        (
            "by Basic, and another in the form",
            with_header(
                post(format!("client_id=app&{}", token(&web))),
                basic(&format!("web:{SECRET}")),
            ),
            401,
        ),
        (
            "as another client than it was issued to",
            with_header(post(token(&app)), basic(&format!("web:{SECRET}"))),
            400,
        ),
        (
            "the public one with a secret",
            post(format!("client_id=app&client_secret=x&{}", token(&app))),
            401,
        ),
    ] {
        let answer = send(endpoint.clone(), request).await;
        assert_eq!(answer.status(), status, "{name}");
        for tokens in [&web, &app] {
            assert!(world.is_alive(session(tokens)).await, "{name}");
        }
    }
    for (name, form, header) in [
        (
            "Basic",
            String::new(),
            Some(basic(&format!("web:{SECRET}"))),
        ),
        (
            "Basic in small letters, and the same client in the form",
            String::from("client_id=web&"),
            Some(basic(&format!("web:{SECRET}")).replace("Basic", "bAsIC")),
        ),
        (
            "the form",
            format!("client_id=web&client_secret={SECRET}&"),
            None,
        ),
    ] {
        let tokens = world.issue().await;
        let mut request = post(format!("{form}{}", token(&tokens)));
        if let Some(header) = header {
            request = with_header(request, header);
        }
        let answer = send(endpoint.clone(), request).await;
        assert_eq!(answer.status(), 200, "{name}");
        assert!(!world.is_alive(session(&tokens)).await, "{name}");
    }
    let public = post(format!("client_id=app&{}", token(&app)));
    assert_eq!(send(endpoint, public).await.status(), 200);
    assert!(!world.is_alive(session(&app)).await);
}

#[tokio::test]
async fn client_authentication_outage_is_503() {
    let world = World::new().await;
    let tokens = world.issue().await;
    let endpoint = world
        .issuer
        .revocation_endpoint()
        .with_client_authentication(|_| async {
            Err::<bool, _>(io::Error::other("ldap.internal is gone"))
        });
    let request = post(format!("client_id=web&token={}", refresh_token(&tokens)));
    let answer = send(endpoint, request).await;
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.header("retry-after"), Some("5"));
    assert_eq!(code(&answer), "temporarily_unavailable");
    assert!(!answer.body.contains("ldap"), "{}", answer.body);
    assert!(world.is_alive(session(&tokens)).await);
}

#[tokio::test]
async fn only_post_with_form_is_accepted() {
    let world = World::new().await;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let endpoint = world
        .issuer
        .revocation_endpoint()
        .with_client_authentication(move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            async { Ok::<_, Infallible>(true) }
        });
    let tokens = world.issue().await;
    let form = format!("client_id=web&token={}", refresh_token(&tokens));
    for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "post"] {
        let mut request = post(form.clone());
        *request.method_mut() = Method::from_bytes(method.as_bytes()).unwrap();
        *request.uri_mut() = format!("/revoke?{form}").parse().unwrap();
        let answer = send(endpoint.clone(), request).await;
        assert_eq!(answer.status(), 405, "{method}");
        assert_eq!(answer.header("allow"), Some("POST"), "{method}");
    }
    for content_type in [
        None,
        Some("application/json"),
        Some("text/plain"),
        Some("application/x-www-form-urlencoded2"),
        Some("multipart/form-data"),
        Some(""),
    ] {
        let mut request = post(form.clone());
        request.headers_mut().remove(CONTENT_TYPE);
        if let Some(content_type) = content_type {
            let value = content_type.parse().unwrap();
            request.headers_mut().insert(CONTENT_TYPE, value);
        }
        let answer = send(endpoint.clone(), request).await;
        assert_eq!(answer.status(), 400, "{content_type:?}");
        assert_eq!(code(&answer), "invalid_request", "{content_type:?}");
    }
    // RFC 6749: nothing of it may stand in the URL.
    let mut in_query = post("");
    *in_query.uri_mut() = format!("/revoke?{form}").parse().unwrap();
    assert_eq!(send(endpoint.clone(), in_query).await.status(), 400);
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    assert!(world.is_alive(session(&tokens)).await);

    let mut request = post(form);
    let value = "Application/X-WWW-Form-UrlEncoded ; charset=UTF-8";
    request
        .headers_mut()
        .insert(CONTENT_TYPE, value.parse().unwrap());
    assert_eq!(send(endpoint, request).await.status(), 200);
    assert!(!world.is_alive(session(&tokens)).await);
}

#[tokio::test]
async fn form_length_is_limited() {
    // (G04: lengths first)
    let world = World::new().await;
    let endpoint = world.issuer.revocation_endpoint();
    let padded = |length: usize| {
        let form = String::from("client_id=web&token=x&padding=");
        let padding = "x".repeat(length - form.len());
        format!("{form}{padding}")
    };
    assert_eq!(
        send(endpoint.clone(), post(padded(16_384))).await.status(),
        200
    );
    let answer = send(endpoint.clone(), post(padded(16_385))).await;
    assert_eq!(answer.status(), 413);
    assert_eq!(code(&answer), "invalid_request");
    let many = |count: usize| {
        let more: String = (2..count).map(|number| format!("&p{number}=1")).collect();
        format!("client_id=web&token=x{more}")
    };
    assert_eq!(send(endpoint.clone(), post(many(64))).await.status(), 200);
    assert_eq!(send(endpoint.clone(), post(many(65))).await.status(), 400);

    // One that never ends, and one that breaks off.
    let chunk = || Ok::<_, io::Error>(hyper::body::Frame::data(Bytes::from(vec![b'x'; 1_000])));
    let endless = BodyExt::boxed_unsync(StreamBody::new(stream::repeat_with(chunk)));
    let broken = BodyExt::boxed_unsync(StreamBody::new(stream::iter([
        chunk(),
        Err(io::Error::other("gone")),
    ])));
    for (body, expected) in [(endless, 413), (broken, 400)] {
        let request = Request::post("/revoke")
            .header(CONTENT_TYPE, FORM)
            .body(body)
            .unwrap();
        let response = endpoint.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), expected);
    }
}

#[tokio::test]
async fn store_outage_is_503() {
    let world = World::new().await;
    let endpoint = world.issuer.revocation_endpoint();
    let tokens = world.issue().await;
    world.store.fail(Op::Add, When::Before);
    for text in [refresh_token(&tokens), tokens.access_token()] {
        let answer = send(
            endpoint.clone(),
            post(format!("client_id=web&token={text}")),
        )
        .await;
        assert_eq!(answer.status(), 503);
        assert_eq!(answer.header("retry-after"), Some("5"));
    }
}
