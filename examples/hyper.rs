//! Bearer authentication without a framework: a `tower::service_fn` behind a `BearerAuthLayer`,
//! served by hyper over HTTP/1.1 and HTTP/2.
//!
//! Run it, and copy what it prints into another terminal:
//!
//! ```sh
//! cargo run --example hyper
//! ```
//!
//! It listens on `127.0.0.1:3000`, or on what the environment variable `ADDR` says.

use std::convert::Infallible;
use std::env;
use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tower::{Layer, Service, service_fn};
use tower_bearer::policy::{Claims, Policies, public, scope, scope_list_contains};
use tower_bearer::{Authenticated, BearerAuthLayer, ConfigError, OpaqueTokens, ResponseBody};

/// The principal: whom a token stands for.
#[derive(Debug)]
pub struct User {
    name: &'static str,
    scope: &'static str,
}

impl Claims for User {
    fn has_scope(&self, scope: &str) -> bool {
        scope_list_contains(self.scope, scope)
    }
}

/// The whole server but its socket.
pub fn app(
    tokens: OpaqueTokens<User>,
) -> Result<
    impl Service<
        Request<Incoming>,
        Response = Response<ResponseBody<Full<Bytes>>>,
        Error = Infallible,
        Future: Send,
    > + Clone
    + Send
    + 'static,
    ConfigError,
> {
    let policies = Policies::builder()
        .at("/health", public())
        .under("/notes", scope("notes:read"))
        .under("/notes", scope("notes:write").on([Method::POST]))
        .build()?;
    let written = Arc::new(AtomicU64::new(0));
    let handler = service_fn(move |request: Request<Incoming>| {
        let written = Arc::clone(&written);
        async move { Ok::<_, Infallible>(handle(request, &written).await) }
    });
    Ok(BearerAuthLayer::new(tokens)
        .with_policy(policies)
        .with_realm("notes")
        // Nothing behind the layer needs the token, so nothing behind it can leak it.
        .remove_credential()
        .layer(handler))
}

async fn handle(request: Request<Incoming>, written: &AtomicU64) -> Response<Full<Bytes>> {
    let user = request.extensions().get::<Authenticated<User>>().cloned();
    match (request.method(), request.uri().path(), user) {
        (&Method::GET, "/health", _) => text(StatusCode::OK, "up\n"),
        (&Method::GET, "/me", Some(user)) => text(StatusCode::OK, format!("{}\n", user.name)),
        (&Method::GET, "/notes", _) => {
            let count = written.load(Ordering::Relaxed);
            text(StatusCode::OK, format!("{count} notes\n"))
        }
        (&Method::POST, "/notes", Some(user)) => {
            // The layer passes the body on unread, so its size is still for the handler to limit.
            match Limited::new(request.into_body(), 64 * 1024).collect().await {
                Ok(note) => {
                    written.fetch_add(1, Ordering::Relaxed);
                    let length = note.to_bytes().len();
                    let name = user.name;
                    text(
                        StatusCode::CREATED,
                        format!("{name} wrote {length} bytes\n"),
                    )
                }
                Err(error) if error.is::<LengthLimitError>() => {
                    text(StatusCode::PAYLOAD_TOO_LARGE, "at most 64 KiB\n")
                }
                Err(_) => text(StatusCode::BAD_REQUEST, "the body broke off\n"),
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

/// Answers every connection in a task of its own. Never returns.
pub async fn serve<S>(listener: TcpListener, service: S)
where
    S: Service<
            Request<Incoming>,
            Response = Response<ResponseBody<Full<Bytes>>>,
            Error = Infallible,
        > + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, most likely: trying again at once would only spin.
                eprintln!("accept: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let service = TowerToHyperService::new(service.clone());
        tokio::spawn(async move {
            let mut server = auto::Builder::new(TokioExecutor::new());
            // With a timer, hyper ends connections that never finish their headers.
            server.http1().timer(TokioTimer::new());
            server.http2().timer(TokioTimer::new());
            if let Err(error) = server.serve_connection(TokioIo::new(stream), service).await {
                eprintln!("connection: {error}");
            }
        });
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let (alice, bob) = (random_token()?, random_token()?);
    let tokens = OpaqueTokens::new();
    let user = |name, scope| User { name, scope };
    tokens.insert(&alice, user("alice", "notes:read notes:write"))?;
    tokens.insert(&bob, user("bob", "notes:read"))?;

    let service = app(tokens)?;
    let listener = listen().await?;
    let base = format!("http://{}", listener.local_addr()?);
    println!(
        r#"ALICE={alice}
BOB={bob}

# 200: public
curl -i {base}/health
# 401: no credential
curl -i {base}/me
# 401: nobody's token, so error="invalid_token"
curl -i -H "Authorization: Bearer somebody-elses" {base}/me
# 200: alice
curl -i -H "Authorization: Bearer $ALICE" {base}/me
# 200: bob may read
curl -i -H "Authorization: Bearer $BOB" {base}/notes
# 403: but not write, and is told which scopes that takes
curl -i -H "Authorization: Bearer $BOB" -d "milk" {base}/notes
# 201: alice wrote 4 bytes
curl -i -H "Authorization: Bearer $ALICE" -d "milk" {base}/notes
# 200: the same over HTTP/2
curl -i --http2-prior-knowledge -H "Authorization: Bearer $ALICE" {base}/notes
# 400: a path that could be read in two ways
curl -i --path-as-is -H "Authorization: Bearer $ALICE" {base}/health/../notes
"#
    );
    serve(listener, service).await;
    Ok(())
}

async fn listen() -> Result<TcpListener, String> {
    let addr = env::var_os("ADDR").map_or_else(
        || String::from("127.0.0.1:3000"),
        |addr| addr.to_string_lossy().into_owned(),
    );
    TcpListener::bind(&addr).await.map_err(|error| {
        format!("cannot listen on ADDR {addr:?}: {error}; expected a free HOST:PORT, such as 127.0.0.1:3000")
    })
}

/// 128 random bits, which nobody can guess, in hexadecimal digits.
fn random_token() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
