//! Bearer authentication without a framework: a `tower::service_fn` behind a `BearerAuthLayer`, served by hyper over
//! HTTP/1.1 and HTTP/2.
//!
//! `cargo run -p examples --example hyper --features hyper` prints what to try. `ADDR` sets the address (default 127.0.0.1:3000).

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use examples::{Failure, listen, print_tries, random_token};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tower::{Layer, service_fn};
use tower_bearer::policy::{Claims, Policies, public, scope, scope_list_contains};
use tower_bearer::{Authenticated, BearerAuthLayer, OpaqueTokens};

/// The principal.
struct User {
    name: &'static str,
    scope: &'static str,
}

impl Claims for User {
    fn has_scope(&self, scope: &str) -> bool {
        scope_list_contains(self.scope, scope)
    }
}

/// Handles the requests that the layer allows.
async fn handle(request: Request<Incoming>, notes: &AtomicU64) -> Response<Full<Bytes>> {
    let user = request.extensions().get::<Authenticated<User>>().cloned();
    match (request.method(), request.uri().path(), user) {
        (&Method::GET, "/health", _) => text(StatusCode::OK, "up\n"),
        (&Method::GET, "/me", Some(user)) => text(StatusCode::OK, format!("{}\n", user.name)),
        (&Method::GET, "/notes", _) => {
            let count = notes.load(Ordering::Relaxed);
            text(StatusCode::OK, format!("{count} notes\n"))
        }
        (&Method::POST, "/notes", Some(user)) => {
            // The layer does not read the body, so the handler limits its size.
            match Limited::new(request.into_body(), 64 * 1024).collect().await {
                Ok(note) => {
                    notes.fetch_add(1, Ordering::Relaxed);
                    let (name, length) = (user.name, note.to_bytes().len());
                    let written = format!("{name} wrote {length} bytes\n");
                    text(StatusCode::CREATED, written)
                }
                Err(error) if error.is::<LengthLimitError>() => {
                    text(StatusCode::PAYLOAD_TOO_LARGE, "at most 64 KiB\n")
                }
                Err(_) => text(StatusCode::BAD_REQUEST, "the body is incomplete\n"),
            }
        }
        _ => text(StatusCode::NOT_FOUND, "no such page\n"),
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let (listener, address) = listen("127.0.0.1:3000").await?;
    let tokens = OpaqueTokens::new();
    for (name, scope) in [("alice", "notes:read notes:write"), ("bob", "notes:read")] {
        let token = random_token()?;
        println!("{}={token}", name.to_uppercase());
        tokens.insert(&token, User { name, scope })?;
    }
    print_tries(&format!("http://{address}"), include_str!("hyper.sh"));

    let policies = Policies::builder()
        .at("/health", public())
        .under("/notes", scope("notes:read"))
        .under("/notes", scope("notes:write").on([Method::POST]))
        .build()?;
    let notes = Arc::new(AtomicU64::new(0));
    let service = BearerAuthLayer::new(tokens)
        .with_policy(policies)
        .with_realm("notes")
        // The handler does not need the token, so it cannot leak it.
        .remove_credential()
        .layer(service_fn(move |request: Request<Incoming>| {
            let notes = Arc::clone(&notes);
            async move { Ok::<_, Infallible>(handle(request, &notes).await) }
        }));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Usually there are no file descriptors left. An immediate retry would fail as well.
                eprintln!("accept: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let service = TowerToHyperService::new(service.clone());
        tokio::spawn(async move {
            let mut server = auto::Builder::new(TokioExecutor::new());
            // With a timer, hyper closes connections that never complete their headers.
            server.http1().timer(TokioTimer::new());
            server.http2().timer(TokioTimer::new());
            let connection = server.serve_connection(TokioIo::new(stream), service);
            if let Err(error) = connection.await {
                eprintln!("connection: {error}");
            }
        });
    }
}
