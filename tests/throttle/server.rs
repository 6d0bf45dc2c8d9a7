//! A login and a protected path of a real server, over loopback.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tower_bearer::ValidatorExt as _;
use tower_bearer::throttle::{ClientAddress, ProxyHeader, Throttle};
use tower_bearer::{BearerAuthLayer, Credential, Failure, RequestView, validator_fn};

#[derive(Clone)]
struct App {
    throttle: Throttle,
    client: ClientAddress,
}

#[derive(serde::Deserialize)]
struct Login {
    user: String,
    password: String,
}

async fn login(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Form(login): Form<Login>,
) -> Response {
    let address = app.client.resolve(peer.ip(), &headers);
    let attempt = match app.throttle.attempt(address, &login.user) {
        Ok(attempt) => attempt,
        Err(refused) => return refused.into_response(),
    };
    if login.password == "right" {
        attempt.succeeded();
        StatusCode::NO_CONTENT.into_response()
    } else {
        attempt.failed();
        StatusCode::UNAUTHORIZED.into_response()
    }
}

async fn serve(proxies: Option<(ProxyHeader, &str)>) -> SocketAddr {
    let mut client = ClientAddress::from_fn(|request: &RequestView<'_>| {
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>()?;
        Some(peer.0.ip())
    });
    if let Some((header, trusted)) = proxies {
        client = client.behind_proxies(header, [trusted]).unwrap();
    }
    let keys = validator_fn(|credential: Credential<'_>| match credential.token() {
        "right" => Ok("service"),
        _ => Err(Failure::unrecognized()),
    })
    .throttled(Throttle::new(), client.clone());
    let app = App {
        throttle: Throttle::new(),
        client,
    };
    let router = Router::new()
        .route("/", get(|| async { "inside" }))
        .route_layer(BearerAuthLayer::new(keys))
        .route("/login", post(login))
        .with_state(app);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
    address
}

/// The answer as it comes over the wire.
async fn say(server: SocketAddr, request: String) -> String {
    let mut stream = TcpStream::connect(server).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn guess(server: SocketAddr, header: &str, password: &str) -> String {
    let body = format!("user=alice&password={password}");
    let length = body.len();
    let request = format!(
        "POST /login HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{header}\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    say(server, request).await
}

fn status(answer: &str) -> u16 {
    answer[9..12].parse().unwrap()
}

// (I05: no storing)
#[tokio::test]
async fn guessed_login_is_429() {
    let server = serve(None).await;
    for _ in 0..50 {
        assert_eq!(status(&guess(server, "", "right").await), 204);
    }
    for _ in 0..5 {
        assert_eq!(status(&guess(server, "", "wrong").await), 401);
    }
    // The right one is not told from a wrong one any more.
    for password in ["wrong", "right"] {
        let answer = guess(server, "", password).await;
        assert_eq!(status(&answer), 429, "{answer}");
        let after = answer.split_once("retry-after: ").unwrap().1;
        let after: u64 = after.split_once("\r\n").unwrap().0.parse().unwrap();
        assert!((60..=120).contains(&after), "{answer}");
        assert!(answer.contains("content-type: application/problem+json\r\n"));
        assert!(answer.contains("cache-control: no-store\r\n"));
    }
}

#[tokio::test]
async fn forwarded_header_from_untrusted_peer_is_ignored() {
    for proxies in [None, Some((ProxyHeader::XForwardedFor, "192.0.2.0/24"))] {
        let server = serve(proxies).await;
        for n in 0..5 {
            let header = format!("x-forwarded-for: 198.51.100.{n}\r\n");
            assert_eq!(status(&guess(server, &header, "wrong").await), 401);
        }
        let header = "x-forwarded-for: 198.51.100.99\r\n";
        assert_eq!(status(&guess(server, header, "wrong").await), 429);
    }
}

#[tokio::test]
async fn clients_behind_trusted_proxy_have_separate_budgets() {
    for (header, line) in [
        (
            ProxyHeader::XForwardedFor,
            "x-forwarded-for: SPOOFED\r\nx-forwarded-for: CLIENT\r\n",
        ),
        (
            ProxyHeader::XForwardedFor,
            "x-forwarded-for: SPOOFED, CLIENT\r\n",
        ),
        (
            ProxyHeader::Forwarded,
            "forwarded: for=\"SPOOFED, for=CLIENT;proto=https\r\n",
        ),
    ] {
        let server = serve(Some((header, "127.0.0.0/8"))).await;
        let header = |n: u8, client: &str| {
            line.replace("SPOOFED", &format!("198.51.100.{n}"))
                .replace("CLIENT", client)
        };
        for n in 0..5 {
            assert_eq!(
                status(&guess(server, &header(n, "192.0.2.1"), "wrong").await),
                401
            );
        }
        assert_eq!(
            status(&guess(server, &header(9, "192.0.2.1"), "wrong").await),
            429
        );
        assert_eq!(
            status(&guess(server, &header(9, "192.0.2.2"), "right").await),
            204
        );
    }
}

#[tokio::test]
async fn protected_path_is_429_after_many_invalid_credentials() {
    let server = serve(Some((ProxyHeader::XForwardedFor, "127.0.0.1"))).await;
    let ask = |client: u8, token: &'static str| {
        let request = format!(
            "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
             x-forwarded-for: 192.0.2.{client}\r\n\r\n"
        );
        async move { say(server, request).await }
    };
    for n in 0..100 {
        assert_eq!(status(&ask(1, "wrong").await), 401, "{n}");
    }
    let answer = ask(1, "right").await;
    assert_eq!(status(&answer), 429, "{answer}");
    assert!(answer.contains("retry-after: "));
    assert_eq!(status(&ask(2, "right").await), 200);
}
