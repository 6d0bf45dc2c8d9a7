//! A service behind an OpenID Connect or OAuth 2.0 issuer, found by its name.
//!
//! `ISSUER=https://login.example.com/ AUDIENCE=https://api.example.com cargo run --example oidc
//! --features aws_lc_rs,axum,oidc` protects it with the tokens of a real provider. `ADDR` sets where it
//! listens (default 127.0.0.1:3000).
//!
//! Without `ISSUER` it starts a small issuer of its own in the process, which makes a new key every few
//! seconds, and sends requests to itself to show that none is refused.

use std::collections::VecDeque;
use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Json;
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Request, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower::ServiceExt as _;
use tower_bearer::jwt::{AccessToken, JwtValidator};
use tower_bearer::policy::scope;
use tower_bearer::provider::RemoteKeys;
use tower_bearer::{Authenticated, BearerAuthLayer, Policies};

/// The routes behind the layer.
fn app(validator: JwtValidator) -> Result<Router, Box<dyn Error>> {
    let policies = Policies::builder()
        .under("/orders", scope("orders:read"))
        .build()?;
    Ok(Router::new()
        .route("/me", get(me))
        .route("/orders/{id}", get(order))
        .layer(BearerAuthLayer::new(validator).with_policy(policies)))
}

async fn me(token: Authenticated<AccessToken>) -> Json<Value> {
    Json(json!({
        "subject": token.subject(),
        "client": token.client_id(),
        "scopes": token.scopes().collect::<Vec<_>>(),
    }))
}

async fn order(Path(id): Path<String>) -> Json<Value> {
    Json(json!({"order": id}))
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
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
    let addr = variable("ADDR").unwrap_or_else(|| String::from("127.0.0.1:3000"));
    let addr: SocketAddr = addr
        .parse()
        .map_err(|_| format!("ADDR={addr}: expected IP:PORT, for example 127.0.0.1:3000"))?;
    let listener = TcpListener::bind(addr).await.map_err(|error| {
        format!("cannot listen on {addr}: {error}; choose another with ADDR=IP:PORT")
    })?;
    let base = format!("http://{}", listener.local_addr()?);

    match variable("ISSUER") {
        Some(issuer) => {
            let audience = variable("AUDIENCE").ok_or(
                "AUDIENCE is not set: give the text by which the issuer names this service in `aud`",
            )?;
            // The five lines that a service needs.
            let validator = JwtValidator::discover(&issuer)
                .await?
                .audience(&audience)
                .build()?;
            let app = app(validator)?;
            println!("{issuer} is known. With a token of it for {audience} in TOKEN, try:\n");
            for path in ["/me", "/orders/7"] {
                println!(r#"curl -i {base}{path} -H "Authorization: Bearer $TOKEN""#);
            }
            axum::serve(listener, app).await?;
        }
        None => {
            let issuer = LocalIssuer::start().await?;
            // An issuer that makes keys every few seconds is asked again sooner than a real one.
            let keys = RemoteKeys::discover(&issuer.name)
                .cooldown(Duration::from_secs(1))
                .connect()
                .await?;
            let validator = JwtValidator::builder(keys.clone())
                .audience(AUDIENCE)
                .rfc9068()
                .build()?;
            let app = app(validator)?;
            print_tries(&base, &issuer.name);
            tokio::spawn(rotate_and_ask(issuer, keys, app.clone()));
            axum::serve(listener, app).await?;
        }
    }
    Ok(())
}

fn print_tries(base: &str, issuer: &str) {
    println!("No ISSUER is set, so {issuer} in this process is the issuer. Try:\n");
    let token = |scope: &str| format!("$(curl -s -d {scope} {issuer}/token)");
    for (path, token, expect) in [
        ("/me", String::new(), "401, a token is needed"),
        ("/me", token("orders:write"), "200"),
        ("/orders/7", token("orders:read"), "200"),
        ("/orders/7", token("orders:write"), "403 insufficient_scope"),
        ("/me", String::from("e30.e30.e30"), "401 invalid_token"),
    ] {
        let header = match token.is_empty() {
            true => String::new(),
            false => format!(r#" -H "Authorization: Bearer {token}""#),
        };
        println!("curl -i {base}{path}{header}   # {expect}");
    }
    println!();
}

/// Sends requests with fresh tokens, and every two seconds has the issuer make a new key.
async fn rotate_and_ask(issuer: LocalIssuer, keys: RemoteKeys, app: Router) {
    let mut second = tokio::time::interval(Duration::from_secs(1));
    let (mut allowed, mut refused) = (0, 0);
    for round in 0_u64.. {
        second.tick().await;
        if round % 2 == 1 {
            issuer.rotate();
        }
        for _ in 0..10 {
            let request = Request::get("/orders/7")
                .header(
                    "authorization",
                    format!("Bearer {}", issuer.token("orders:read")),
                )
                .body(axum::body::Body::empty())
                .unwrap_or_default();
            match app
                .clone()
                .oneshot(request)
                .await
                .map(|answer| answer.status())
            {
                Ok(StatusCode::OK) => allowed += 1,
                _ => refused += 1,
            }
        }
        if round % 2 == 1 {
            let status = keys.status();
            let known: Vec<_> = status.keys().filter_map(|(kid, _)| kid).collect();
            println!(
                "signing with {}, known here: {known:?}; {allowed} requests allowed, {refused} refused",
                issuer.kid()
            );
        }
    }
}

const AUDIENCE: &str = "https://api.example.com";

/// An issuer as small as one can be: metadata, a JWK Set, and tokens for whoever asks.
#[derive(Clone)]
struct LocalIssuer {
    name: String,
    keys: Arc<Mutex<VecDeque<(String, Ed25519KeyPair)>>>,
}

impl LocalIssuer {
    async fn start() -> Result<Self, Box<dyn Error>> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let issuer = Self {
            name: format!("http://{}", listener.local_addr()?),
            keys: Arc::default(),
        };
        issuer.rotate();
        let routes = Router::new()
            .route("/.well-known/openid-configuration", get(metadata))
            .route("/jwks.json", get(jwks))
            .route(
                "/token",
                post(
                    |State(issuer): State<Self>, scope: String| async move { issuer.token(&scope) },
                ),
            )
            .with_state(issuer.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Ok(issuer)
    }

    /// Makes a key to sign with. The last three stay in the JWK Set, for the tokens they have signed.
    fn rotate(&self) {
        let Ok(key) = Ed25519KeyPair::generate() else {
            return;
        };
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let number = keys
            .front()
            .map_or(1, |(kid, _)| kid.parse().unwrap_or(0) + 1_u64);
        keys.push_front((number.to_string(), key));
        keys.truncate(3);
    }

    fn kid(&self) -> String {
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.front().map(|(kid, _)| kid.clone()).unwrap_or_default()
    }

    fn token(&self, scope: &str) -> String {
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((kid, key)) = keys.front() else {
            return String::new();
        };
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let input = format!(
            "{}.{}",
            part(json!({"alg": "EdDSA", "typ": "at+jwt", "kid": kid})),
            part(json!({
                "iss": self.name, "aud": AUDIENCE, "sub": "alice", "client_id": "shop",
                "iat": now, "exp": now + 5, "jti": format!("{kid}-{now}"), "scope": scope,
            })),
        );
        format!(
            "{input}.{}",
            URL_SAFE_NO_PAD.encode(key.sign(input.as_bytes()))
        )
    }
}

async fn metadata(State(issuer): State<LocalIssuer>) -> Json<Value> {
    Json(json!({
        "issuer": issuer.name,
        "jwks_uri": format!("{}/jwks.json", issuer.name),
        "token_endpoint": format!("{}/token", issuer.name),
    }))
}

async fn jwks(State(issuer): State<LocalIssuer>) -> Json<Value> {
    let keys = issuer.keys.lock().unwrap_or_else(PoisonError::into_inner);
    let keys: Vec<_> = keys
        .iter()
        .map(|(kid, key)| {
            json!({
                "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": kid,
                "x": URL_SAFE_NO_PAD.encode(key.public_key()),
            })
        })
        .collect();
    Json(json!({"keys": keys}))
}
