//! A small shop API in axum: tokens generated at startup, path rules, and the principal in the handlers.
//!
//! `cargo run -p examples --example axum` prints its tokens, its rules, and curl lines that show each response. `ADDR` sets
//! the address (default 127.0.0.1:3000).

use axum::Router;
use axum::extract::Path;
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::response::{Json, Response};
use axum::routing::{any, delete, get, post};
use examples::{Failure, listen, print_tries, random_token};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tower_bearer::policy::{Claims, acr, owner, public, role, scope, scope_list_contains, tenant};
use tower_bearer::{Authenticated, BearerAuthLayer, ConfigError, OpaqueTokens, Policies, Source};

/// The principal. The built-in policies read it through [`Claims`].
struct User {
    name: &'static str,
    tenant: &'static str,
    scope: &'static str,
    role: &'static str,
}

impl Claims for User {
    fn subject(&self) -> Option<&str> {
        Some(self.name)
    }

    fn has_tenant(&self, tenant: &str) -> bool {
        self.tenant == tenant
    }

    fn has_scope(&self, scope: &str) -> bool {
        scope_list_contains(self.scope, scope)
    }

    fn has_role(&self, role: &str) -> bool {
        self.role == role
    }
}

/// The access rules of the API, in one place for a review. `main` prints them.
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
        .route("/orders", post(|| async { StatusCode::CREATED }))
        .route("/orders/{id}", get(show))
        .route("/admin/users", get(|| async { Json(json!({"users": 3})) }))
        .route("/admin/ledger", delete(|| async { StatusCode::NO_CONTENT }))
        .route("/tenants/{tenant}/reports", get(show))
        .route("/users/{user}/profile", get(show))
        .route("/ws", any(socket))
        .layer(auth))
}

async fn me(user: Authenticated<User>) -> Json<Value> {
    Json(json!({"subject": user.name}))
}

async fn show(Path(name): Path<String>) -> Json<Value> {
    Json(json!({"shown": name}))
}

/// Echoes messages. The response names the subprotocol `bearer`, or a browser closes the socket.
async fn socket(upgrade: WebSocketUpgrade) -> Response {
    let echo = |mut socket: WebSocket| async move {
        while let Some(Ok(message)) = socket.recv().await {
            let _ = socket.send(message).await;
        }
    };
    upgrade.protocols(["bearer"]).on_upgrade(echo)
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let (listener, address) = listen("127.0.0.1:3000").await?;
    let tokens = OpaqueTokens::new();
    for (name, tenant, scope, role) in [
        ("alice", "acme", "orders:read orders:write", ""),
        ("bob", "globex", "orders:read", ""),
        ("admin", "", "", "admin"),
    ] {
        // The table keeps only a digest of the token.
        let token = random_token()?;
        println!("{}={token}", name.to_uppercase());
        let user = User {
            name,
            tenant,
            scope,
            role,
        };
        tokens.insert(&token, user)?;
    }
    println!("\n{}", policies()?);
    println!("Copy the three lines with the tokens into a shell, then try:\n");
    print_tries(&format!("http://{address}"), include_str!("axum.sh"));
    axum::serve(listener, app(tokens)?).await?;
    Ok(())
}
