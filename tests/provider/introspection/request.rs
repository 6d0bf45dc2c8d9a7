//! What the server gets to see.

use http::Method;
use tower_bearer::jwt::TokenError;
use tower_bearer::{Failure, Scheme, Source, validator_fn};

use tower_bearer::provider::HttpFetcher;

use super::*;

#[tokio::test]
async fn server_receives_one_post_with_token_in_body() {
    // (E11: introspection requests, B09: query and form tokens)
    let server = HttpServer::with(ENDPOINT, good());
    // All characters that a bearer token may have.
    let token = "AZaz09-._~+/==";
    assert_eq!(status(&service(validator(&server)), token).await, 200);
    let seen = server.last();
    assert_eq!(server.total(), 1);
    assert_eq!((seen.method, &*seen.path), (Method::POST, ENDPOINT));
    let expected = "token=AZaz09-._%7E%2B%2F%3D%3D&token_type_hint=access_token";
    assert_eq!(seen.body, expected);
    let header = |name: &str| seen.headers[name].to_str().unwrap();
    assert_eq!(header("content-type"), "application/x-www-form-urlencoded");
    assert_eq!(header("accept"), "application/json");
    assert_eq!(header("content-length"), expected.len().to_string());
    // Both are harmless to the encoding.
    assert_eq!(
        header("authorization"),
        "Basic b3JkZXJzLWFwaTp0aGUtY2xpZW50LXNlY3JldA=="
    );
    for (name, value) in &seen.headers {
        let value = value.to_str().unwrap();
        assert!(!value.contains("AZaz09"), "{name}: {value}");
    }
}

#[tokio::test]
async fn client_id_and_secret_arrive_unchanged() {
    // RFC 6749 sections 2.3.1 and B
    let (id, secret) = ("a:b c+d", "p\u{e4}ss%:&=+ \"");
    let encoded = ("a%3Ab+c%2Bd", "p%C3%A4ss%25%3A%26%3D%2B+%22");
    let server = HttpServer::with(ENDPOINT, good());
    let ask = async |client: ClientAuthentication| {
        let validator = builder(&server).client(client).build().unwrap();
        assert_eq!(status(&service(validator), "t").await, 200);
        server.last()
    };
    let base = "token=t&token_type_hint=access_token";

    let basic = ask(ClientAuthentication::basic(id, secret)).await;
    let login = basic.headers["authorization"].to_str().unwrap();
    let expected = "YSUzQWIrYyUyQmQ6cCVDMyVBNHNzJTI1JTNBJTI2JTNEJTJCKyUyMg==";
    assert_eq!(login, format!("Basic {expected}"), "of {encoded:?}");
    assert_eq!(basic.body, base);

    let post = ask(ClientAuthentication::post(id, secret)).await;
    assert_eq!(post.headers.get("authorization"), None);
    let (id, secret) = encoded;
    assert_eq!(
        post.body,
        format!("{base}&client_id={id}&client_secret={secret}")
    );

    let bearer = ask(ClientAuthentication::bearer("mF_9.B5f-4.1JqM")).await;
    assert_eq!(bearer.headers["authorization"], "Bearer mF_9.B5f-4.1JqM");
    assert_eq!(bearer.body, base);
}

#[tokio::test]
async fn custom_client_authentication_is_created_for_each_call() {
    let server = HttpServer::with(ENDPOINT, good());
    let made = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&made);
    let custom = ClientAuthentication::custom(move || {
        let number = counter.fetch_add(1, Ordering::Relaxed);
        async move { Ok(vec![("client_assertion", format!("a.{number}"))]) }
    });
    let service = service(builder(&server).client(custom).build().unwrap());
    for number in 0..3 {
        assert_eq!(status(&service, "t").await, 200);
        let expected = format!("token=t&token_type_hint=access_token&client_assertion=a.{number}");
        assert_eq!(server.last().body, expected);
    }
}

#[tokio::test]
async fn bearer_token_of_fetcher_does_not_replace_client_authentication() {
    let server = HttpServer::with(ENDPOINT, good());
    for (client, expected) in [
        (ClientAuthentication::basic("a", "b"), "Basic YTpi"),
        (ClientAuthentication::bearer("own"), "Bearer own"),
        (
            ClientAuthentication::post("a", "b"),
            "Bearer of-the-fetcher",
        ),
    ] {
        let source = || async { Ok("of-the-fetcher".to_owned()) };
        let fetcher = HttpFetcher::new().with_bearer_token(server.url(""), source);
        let builder = builder(&server).client(client).fetcher(fetcher.unwrap());
        let service = service(builder.build().unwrap());
        assert_eq!(status(&service, "t").await, 200);
        let sent = server
            .last()
            .headers
            .get_all("authorization")
            .iter()
            .cloned()
            .collect::<Vec<_>>();
        assert_eq!(sent, [expected]);
    }
}

#[tokio::test]
async fn failed_client_authentication_is_unavailable() {
    // (E13: rejected client credentials)
    let server = HttpServer::with(ENDPOINT, good());
    let broken = ClientAuthentication::custom(|| async { Err("no key".into()) });
    let never = ClientAuthentication::custom(std::future::pending);
    let panicking = ClientAuthentication::custom(|| async { panic!("as the test wants it") });
    for client in [broken, never, panicking] {
        let builder = builder(&server).timeout(Duration::from_millis(50));
        let service = service(builder.client(client).build().unwrap());
        assert_eq!(status(&service, "t").await, 503);
    }
    assert_eq!(server.total(), 0);
}

#[tokio::test]
async fn token_longer_than_limit_is_not_sent() {
    // (B07: length limit, G04: lengths first)
    let server = HttpServer::with(ENDPOINT, good());
    let default = service(validator(&server));
    assert_eq!(status(&default, &"a".repeat(8 * 1024)).await, 200);
    assert_eq!(server.total(), 1);
    assert_eq!(status(&default, &"a".repeat(8 * 1024 + 1)).await, 401);
    assert_eq!(server.total(), 1);

    let short = service(builder(&server).max_length(64).build().unwrap());
    assert_eq!(status(&short, &"a".repeat(64)).await, 200);
    assert_eq!(server.total(), 2);
    let answer = get(&short, &"a".repeat(65)).await;
    assert_eq!(answer.status(), 401);
    let rejection = answer.response.extensions().get::<Rejection>().unwrap();
    let error = rejection.source().unwrap().downcast_ref::<TokenError>();
    let (length, limit) = (65, 64);
    assert_eq!(error, Some(&TokenError::TooLong { length, limit }));
    assert_eq!(server.total(), 2);
}

#[tokio::test]
async fn basic_password_is_not_sent() {
    let server = HttpServer::with(ENDPOINT, good());
    let layer = BearerAuthLayer::new(validator(&server))
        .with_sources([Source::bearer(), Source::basic(), Source::cookie("sid")])
        .unwrap();
    let service = layer.layer(crate::support::Greet);
    let request = |name: &str, value: &str| {
        let request = Request::get("/").header(name, value);
        request.body(Body::default()).unwrap()
    };
    let basic = request("authorization", "Basic YWxpY2U6c2VjcmV0");
    assert_eq!(send(service.clone(), basic).await.status(), 401);
    assert_eq!(server.total(), 0);
    let cookie = request("cookie", "sid=a%26b");
    assert_eq!(send(service, cookie).await.status(), 200);
    assert_eq!(
        server.last().body,
        "token=a%2526b&token_type_hint=access_token"
    );
}

#[tokio::test]
async fn endpoint_is_called_only_for_tokens_that_first_validator_does_not_recognize() {
    let server = HttpServer::with(ENDPOINT, good());
    let local = |waits: bool| {
        validator_fn(move |credential| async move {
            if waits {
                tokio::task::yield_now().await;
            }
            match credential.token() {
                "revoked" => Err(Failure::invalid(tower_bearer::InvalidReason::Revoked)),
                _ => Err::<AccessToken, _>(Failure::unrecognized()),
            }
        })
    };
    for waits in [false, true] {
        let service = service(local(waits).or(validator(&server)));
        let before = server.total();
        assert_eq!(status(&service, "revoked").await, 401);
        assert_eq!(server.total(), before, "the first has decided");
        assert_eq!(status(&service, TOKEN).await, 200);
        assert_eq!(server.total(), before + 1);
    }
    let keys = validator(&server).for_scheme(Scheme::ApiKey);
    let before = server.total();
    assert_eq!(status(&service(keys), TOKEN).await, 401);
    assert_eq!(server.total(), before);
}

#[tokio::test]
async fn outage_of_first_validator_is_503_despite_second() {
    let server = HttpServer::with(ENDPOINT, Reply::status(500));
    let other = validator_fn(|_| Err::<AccessToken, _>(Failure::unrecognized()));
    let service = service(validator(&server).or(other));
    assert_eq!(status(&service, TOKEN).await, 503);
    server.set(ENDPOINT, inactive());
    assert_eq!(status(&service, TOKEN).await, 401);
}
