//! The shop of `examples/axum.rs`, less what needs a principal in the handler, which `bare` has not.

use std::error::Error;

use axum::Router;
use axum::extract::Path;
use axum::response::Json;
use axum::routing::{delete, get};
use axum::serve::ListenerExt as _;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower_bearer::jwt::{AccessToken, JwtValidator};
use tower_bearer::policy::{acr, owner, public, role, scope, tenant};
use tower_bearer::{BearerAuthLayer, ConfigError, Policies};

/// Ten rules: one public, two for orders, seven for other paths.
fn policies() -> Result<Policies<AccessToken>, ConfigError> {
    Policies::builder()
        .at("/health", public())
        .under("/orders", scope("orders:read"))
        .under(
            "/orders",
            scope("orders:write").on([Method::POST, Method::DELETE]),
        )
        .under("/admin", role("admin"))
        .at("/admin/ledger", acr(["mfa"]).on([Method::DELETE]))
        .under("/tenants/{tenant}", tenant("tenant"))
        .under("/users/{user}", owner("user").or(role("admin")))
        .under("/carts", scope("carts"))
        .under("/reports", scope("reports"))
        .under("/stock", scope("stock"))
        .build()
}

fn routes() -> Router {
    Router::new()
        .route("/health", get(|| async { "ok\n" }))
        .route("/orders/{id}", get(order))
        .route("/admin/users", get(|| async { Json(json!({"users": 3})) }))
        .route("/admin/ledger", delete(|| async { StatusCode::NO_CONTENT }))
        .route("/tenants/{tenant}/reports", get(reports))
        .route("/users/{user}/profile", get(profile))
}

async fn order(Path(id): Path<String>) -> Json<Value> {
    Json(json!({"order": id}))
}

async fn reports(Path(tenant): Path<String>) -> Json<Value> {
    Json(json!({"tenant": tenant, "reports": []}))
}

async fn profile(Path(user): Path<String>) -> Json<Value> {
    Json(json!({"user": user}))
}

pub(crate) async fn serve(
    listener: TcpListener,
    validator: Option<JwtValidator>,
) -> Result<(), Box<dyn Error>> {
    let app = match validator {
        None => routes(),
        Some(validator) => routes().layer(BearerAuthLayer::new(validator).with_policy(policies()?)),
    };
    let listener = listener.tap_io(|connection| {
        if let Err(error) = connection.set_nodelay(true) {
            eprintln!("TCP_NODELAY: {error}");
        }
    });
    Ok(axum::serve(listener, app).await?)
}
