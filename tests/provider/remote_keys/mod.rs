//! Keys from an issuer over HTTP, from the fetch to the answer of the layer.

mod addresses;
mod connection;
mod discovery;
mod failures;
mod refresh;
mod rotation;
mod runtimes;

use std::convert::Infallible;
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{Request, Response};
use serde_json::json;
use tower::util::BoxCloneSyncService;
use tower::{Layer as _, service_fn};
use tower_bearer::BearerAuthLayer;
use tower_bearer::clock::{Clock as _, ManualClock};
use tower_bearer::jwt::JwtValidator;
use tower_bearer::provider::{RemoteKeys, RemoteKeysBuilder};

use crate::http_server::{HttpServer, Reply};
use crate::support::{Answer, Body, send};
use crate::tokens::{AUDIENCE, ISSUER, NOW, Signer, base64url, claims, jwks, now, with};

/// Where the issuer of the tests has its keys.
const JWKS: &str = "/jwks";
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
/// The default of the cooldown.
const COOLDOWN: Duration = Duration::from_secs(30);

type Service = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

fn signer(kid: &str) -> Signer {
    Signer::with_key("EdDSA", "ed25519").kid(kid)
}

/// Another key.
fn other_signer(kid: &str) -> Signer {
    Signer::with_key("EdDSA", "ed25519-other").kid(kid)
}

/// A token that outlives every test.
fn token(signer: &Signer) -> String {
    signer.token(&with(claims(), json!({"exp": NOW + 1_000_000})))
}

/// A token that nobody signed.
fn forged(kid: &str) -> String {
    let header = json!({"alg": "EdDSA", "typ": "at+jwt", "kid": kid});
    let claims = with(claims(), json!({"exp": NOW + 1_000_000}));
    let parts = [header.to_string(), claims.to_string()].map(base64url);
    format!("{}.{}.{}", parts[0], parts[1], base64url([1; 64]))
}

/// An issuer with these keys.
fn issuer<'a>(signers: impl IntoIterator<Item = &'a Signer>) -> HttpServer {
    HttpServer::with(JWKS, Reply::json(jwks(signers)))
}

/// Its keys, with a clock that the test moves.
fn builder(server: &HttpServer, clock: &ManualClock) -> RemoteKeysBuilder {
    RemoteKeys::builder(server.url(JWKS)).clock(clock.clone())
}

fn clock() -> ManualClock {
    ManualClock::new(now())
}

/// A service that answers `ok` behind a layer with these keys.
fn service(keys: &RemoteKeys, clock: &ManualClock) -> Service {
    let validator = JwtValidator::builder(keys.clone())
        .issuer(keys.issuer().unwrap_or(ISSUER))
        .audience(AUDIENCE)
        .build()
        .unwrap();
    let inner = service_fn(|_: Request<Body>| async {
        Ok::<_, Infallible>(Response::new(Body::from("ok")))
    });
    let layer = BearerAuthLayer::new(validator).with_clock(clock.clone());
    let to_body = |response: Response<_>| response.map(|_| Body::default());
    BoxCloneSyncService::new(tower::util::MapResponse::new(layer.layer(inner), to_body))
}

async fn ask(service: &Service, token: &str) -> Answer {
    let request = Request::get("/orders").header(AUTHORIZATION, format!("Bearer {token}"));
    send(service.clone(), request.body(Body::default()).unwrap()).await
}

async fn status(service: &Service, token: &str) -> u16 {
    ask(service, token).await.status()
}

/// Waits until the fetch in flight has been done, whatever came of it.
async fn settled(keys: &RemoteKeys) {
    // A forced refresh joins a fetch in flight. The tests that use this count requests before it.
    let _ = keys.refresh().await;
}
