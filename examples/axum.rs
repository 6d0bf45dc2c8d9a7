//! A small shop API in axum: tokens made at start, rules for paths, the principal in the handlers.
//!
//! Run it with `cargo run --example axum --features axum`. It prints its tokens, its rules, and curl
//! lines that show each answer. `ADDR` sets where it listens (default 127.0.0.1:3000).

use std::error::Error;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::Path;
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::response::{Json, Response};
use axum::routing::{any, delete, get, post};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower_bearer::policy::{Claims, acr, owner, public, role, scope, tenant};
use tower_bearer::{Authenticated, BearerAuthLayer, ConfigError, OpaqueTokens, Policies, Source};

/// Whom a token stands for. The built-in policies ask it through [`Claims`].
#[derive(Clone, Debug)]
struct User {
    subject: &'static str,
    tenant: &'static str,
    scopes: &'static [&'static str],
    roles: &'static [&'static str],
}

impl Claims for User {
    fn subject(&self) -> Option<&str> {
        Some(self.subject)
    }

    fn has_scope(&self, scope: &str) -> bool {
        self.scopes.contains(&scope)
    }

    fn has_role(&self, role: &str) -> bool {
        self.roles.contains(&role)
    }

    fn has_tenant(&self, tenant: &str) -> bool {
        self.tenant == tenant
    }
}

const USERS: [(&str, User); 3] = [
    (
        "ALICE",
        User {
            subject: "alice",
            tenant: "acme",
            scopes: &["orders:read", "orders:write"],
            roles: &[],
        },
    ),
    (
        "BOB",
        User {
            subject: "bob",
            tenant: "globex",
            scopes: &["orders:read"],
            roles: &[],
        },
    ),
    (
        "ADMIN",
        User {
            subject: "admin",
            tenant: "",
            scopes: &[],
            roles: &["admin"],
        },
    ),
];

/// The access rules of the API. Whoever reviews them reads this, or what it prints.
fn policies() -> Result<Policies<User>, ConfigError> {
    Policies::builder()
        .at("/health", public())
        .under("/orders", scope("orders:read").on([Method::GET]))
        .under("/orders", scope("orders:write").on([Method::POST]))
        .under("/admin", role("admin"))
        .at("/admin/ledger", acr(["mfa"]).on([Method::DELETE]))
        .under("/tenants/{tenant}", tenant("tenant"))
        .under("/users/{user}", owner("user").or(role("admin")))
        .build()
}

/// The routes behind the layer.
fn app(tokens: OpaqueTokens<User>) -> Result<Router, ConfigError> {
    let auth = BearerAuthLayer::new(tokens)
        .with_policy(policies()?)
        .with_realm("shop")
        // A browser cannot set `Authorization` on a WebSocket, but it can name subprotocols:
        // new WebSocket(url, ["bearer", token])
        .with_sources([Source::bearer(), Source::websocket_protocol("bearer")])?;
    Ok(Router::new()
        .route("/health", get(|| async { "ok\n" }))
        .route("/me", get(me))
        .route("/orders", post(create_order))
        .route("/orders/{id}", get(order))
        .route("/admin/users", get(|| async { Json(json!({"users": 3})) }))
        .route("/admin/ledger", delete(|| async { StatusCode::NO_CONTENT }))
        .route("/tenants/{tenant}/reports", get(reports))
        .route("/users/{user}/profile", get(profile))
        .route("/ws", any(socket))
        .layer(auth))
}

async fn me(user: Authenticated<User>) -> Json<Value> {
    Json(json!({"subject": user.subject}))
}

async fn order(Path(id): Path<String>) -> Json<Value> {
    Json(json!({"order": id}))
}

async fn create_order(user: Authenticated<User>) -> (StatusCode, Json<Value>) {
    (
        StatusCode::CREATED,
        Json(json!({"created_by": user.subject})),
    )
}

async fn reports(Path(tenant): Path<String>) -> Json<Value> {
    Json(json!({"tenant": tenant, "reports": []}))
}

async fn profile(Path(user): Path<String>) -> Json<Value> {
    Json(json!({"user": user}))
}

/// Answers with the subprotocol `bearer`, or a browser that offered it closes the socket.
async fn socket(upgrade: WebSocketUpgrade) -> Response {
    upgrade.protocols(["bearer"]).on_upgrade(echo)
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if socket.send(message).await.is_err() {
            return;
        }
    }
}

/// 256 random bits as text. Only its digest is kept in the table.
fn new_token() -> Result<String, Box<dyn Error>> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let addr = std::env::var("ADDR").unwrap_or_else(|_| String::from("127.0.0.1:3000"));
    let addr: SocketAddr = addr
        .parse()
        .map_err(|_| format!("ADDR={addr}: expected IP:PORT, for example 127.0.0.1:3000"))?;
    let listener = TcpListener::bind(addr).await.map_err(|error| {
        format!("cannot listen on {addr}: {error}; choose another with ADDR=IP:PORT")
    })?;
    let base = format!("http://{}", listener.local_addr()?);

    let tokens = OpaqueTokens::new();
    for (name, user) in USERS {
        let token = new_token()?;
        tokens.insert(&token, user)?;
        println!("{name}={token}");
    }
    println!("\n{}", policies()?);
    println!("Copy the three lines with the tokens into a shell, then try:\n");
    for (line, expect) in tries() {
        println!("curl -i {}   # {expect}", line.replace("BASE", &base));
    }
    axum::serve(listener, app(tokens)?).await?;
    Ok(())
}

/// What to try, and what to expect of it. `BASE` stands for the address.
fn tries() -> Vec<(&'static str, &'static str)> {
    vec![
        ("BASE/health", "200, no token needed"),
        ("BASE/me", "401, a token is needed"),
        (r#"BASE/me -H "Authorization: Bearer $ALICE""#, "200"),
        (
            r#"BASE/me -H "Authorization: Bearer nonsense""#,
            "401 invalid_token",
        ),
        (r#"BASE/orders/7 -H "Authorization: Bearer $BOB""#, "200"),
        (
            r#"-X POST BASE/orders -H "Authorization: Bearer $BOB""#,
            "403 insufficient_scope",
        ),
        (
            r#"-X POST BASE/orders -H "Authorization: Bearer $ALICE""#,
            "201",
        ),
        (
            r#"BASE/admin/users -H "Authorization: Bearer $ALICE""#,
            "403",
        ),
        (
            r#"BASE/admin/users -H "Authorization: Bearer $ADMIN""#,
            "200",
        ),
        (
            r#"BASE/tenants/acme/reports -H "Authorization: Bearer $ALICE""#,
            "200",
        ),
        (
            r#"BASE/tenants/acme/reports -H "Authorization: Bearer $BOB""#,
            "403",
        ),
        (
            r#"BASE/users/bob/profile -H "Authorization: Bearer $BOB""#,
            "200",
        ),
        (
            r#"BASE/users/bob/profile -H "Authorization: Bearer $ADMIN""#,
            "200",
        ),
        (
            r#"-X DELETE BASE/admin/ledger -H "Authorization: Bearer $ADMIN""#,
            "401, log in with mfa",
        ),
        (
            r#"--max-time 1 BASE/ws -H "Authorization: Bearer $ALICE" -H "Connection: Upgrade" -H "Upgrade: websocket" -H "Sec-WebSocket-Version: 13" -H "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==""#,
            "101, a WebSocket that echoes",
        ),
    ]
}
