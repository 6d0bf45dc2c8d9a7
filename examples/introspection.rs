//! A service that asks its authorization server about opaque tokens (RFC 7662).
//!
//! `ISSUER=https://login.example.com/ CLIENT_ID=api CLIENT_SECRET=... cargo run --example introspection
//! --features aws_lc_rs,axum,introspection,oidc` asks a real one. `AUDIENCE` is the text by which it names
//! this service in `aud`; `ADDR` sets where the service listens (default 127.0.0.1:3000).
//!
//! Without `ISSUER` it starts a small authorization server of its own in the process.

use std::collections::HashMap;
use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::{Form, Path, State};
use axum::response::Json;
use axum::routing::{get, post};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower_bearer::jwt::AccessToken;
use tower_bearer::policy::scope;
use tower_bearer::provider::{ClientAuthentication, Introspection};
use tower_bearer::{Authenticated, BearerAuthLayer, Policies};

/// The routes behind the layer.
fn app(introspection: Introspection) -> Result<Router, Box<dyn Error>> {
    let policies = Policies::builder()
        .under("/orders", scope("orders:read"))
        .build()?;
    Ok(Router::new()
        .route("/me", get(me))
        .route("/orders/{id}", get(order))
        .layer(BearerAuthLayer::new(introspection).with_policy(policies)))
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

    let (issuer, client, audience) = match variable("ISSUER") {
        Some(issuer) => {
            let id = variable("CLIENT_ID").ok_or(
                "CLIENT_ID is not set: give the name by which the issuer knows this service",
            )?;
            let secret = variable("CLIENT_SECRET")
                .ok_or("CLIENT_SECRET is not set: give the secret of this service at the issuer")?;
            println!("With a token of {issuer} in TOKEN, try:\n");
            for path in ["/me", "/orders/7"] {
                println!(r#"curl -i {base}{path} -H "Authorization: Bearer $TOKEN""#);
            }
            let client = ClientAuthentication::basic(id, secret);
            (issuer, client, variable("AUDIENCE"))
        }
        None => {
            let server = LocalServer::start().await?;
            let client = ClientAuthentication::basic("api", server.secret.clone());
            print_tries(&base, &server);
            (server.name, client, Some(String::from(AUDIENCE)))
        }
    };
    let introspection = Introspection::discover(&issuer).client(client);
    let introspection = match audience {
        Some(audience) => introspection.audience(audience),
        None => {
            eprintln!("AUDIENCE is not set: tokens for any service of {issuer} are accepted");
            introspection.insecure_any_audience()
        }
    };
    let app = app(introspection.connect().await?)?;
    println!("{issuer} is asked about tokens; the service is {base}");
    axum::serve(listener, app).await?;
    Ok(())
}

fn print_tries(base: &str, server: &LocalServer) {
    let tokens = server.tokens.lock().unwrap_or_else(PoisonError::into_inner);
    let mut lines: Vec<_> = tokens
        .iter()
        .map(|(token, user)| {
            let name = user["sub"].as_str().unwrap_or_default();
            format!("{}={token}", name.to_uppercase())
        })
        .collect();
    lines.sort();
    println!("{}", lines.join("\n"));
    println!(
        "\nNo ISSUER is set, so {} in this process is the authorization server.",
        server.name
    );
    println!("Copy the lines with the tokens into a shell, then try:\n");
    for (path, token, expect) in [
        ("/me", "", "401, a token is needed"),
        ("/me", "$ALICE", "200"),
        ("/orders/7", "$ALICE", "200"),
        ("/orders/7", "$BOB", "403 insufficient_scope"),
        ("/me", "$CAROL", "401, meant for another service"),
        (
            "/me",
            "nonsense",
            "401, unknown to the authorization server",
        ),
    ] {
        let header = match token {
            "" => String::new(),
            token => format!(r#" -H "Authorization: Bearer {token}""#),
        };
        println!("curl -i {base}{path}{header}   # {expect}");
    }
    println!(
        "curl -i -d token=$ALICE {}/revoke   # 200, revoked",
        server.name
    );
    println!(r#"curl -i {base}/me -H "Authorization: Bearer $ALICE"   # 401, revoked"#);
    println!();
}

const AUDIENCE: &str = "https://api.example.com";

/// An authorization server as small as one can be: metadata, and what it knows about tokens.
#[derive(Clone)]
struct LocalServer {
    name: String,
    secret: String,
    tokens: Arc<Mutex<HashMap<String, Value>>>,
}

type TokenForm = Form<HashMap<String, String>>;

impl LocalServer {
    async fn start() -> Result<Self, Box<dyn Error>> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let user = |name: &str, scope: &str, audience: &str| json!({"active": true, "sub": name, "client_id": "shop", "scope": scope, "aud": audience});
        let tokens = HashMap::from([
            (random()?, user("alice", "orders:read", AUDIENCE)),
            (random()?, user("bob", "", AUDIENCE)),
            (
                random()?,
                user("carol", "orders:read", "https://other.example.com"),
            ),
        ]);
        let server = Self {
            name: format!("http://{}", listener.local_addr()?),
            secret: random()?,
            tokens: Arc::new(Mutex::new(tokens)),
        };
        let routes = Router::new()
            .route("/.well-known/openid-configuration", get(metadata))
            .route("/introspect", post(introspect))
            .route("/revoke", post(revoke))
            .with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Ok(server)
    }
}

/// 256 random bits as text.
fn random() -> Result<String, Box<dyn Error>> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

async fn metadata(State(server): State<LocalServer>) -> Json<Value> {
    Json(json!({
        "issuer": server.name,
        "introspection_endpoint": format!("{}/introspect", server.name),
        "revocation_endpoint": format!("{}/revoke", server.name),
    }))
}

/// Tells only those who may know (RFC 7662 section 2.1).
async fn introspect(
    State(server): State<LocalServer>,
    headers: HeaderMap,
    Form(form): TokenForm,
) -> Result<Json<Value>, StatusCode> {
    use base64::Engine as _;
    let expected =
        base64::engine::general_purpose::STANDARD.encode(format!("api:{}", server.secret));
    let presented = headers
        .get("authorization")
        .and_then(|value| value.to_str().ok());
    if presented != Some(&format!("Basic {expected}")) {
        return Err(StatusCode::UNAUTHORIZED);
    }
    let tokens = server.tokens.lock().unwrap_or_else(PoisonError::into_inner);
    let known = form.get("token").and_then(|token| tokens.get(token));
    Ok(Json(known.cloned().unwrap_or(json!({"active": false}))))
}

/// A real server asks who it is that revokes.
async fn revoke(State(server): State<LocalServer>, Form(form): TokenForm) -> StatusCode {
    if let Some(token) = form.get("token") {
        let mut tokens = server.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.remove(token);
    }
    StatusCode::OK
}
