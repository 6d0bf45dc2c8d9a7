//! An authorization server of opaque tokens in the process: metadata, introspection (RFC 7662) and revocation (RFC 7009).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::{Form, State};
use axum::response::Json;
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use crate::issuer::AUDIENCE;
use crate::{Failure, random_token};

/// The `client_id` of the service that introspects.
pub const CLIENT_ID: &str = "api";

type TokenForm = Form<HashMap<String, String>>;

/// An authorization server with one token for alice, bob and carol each.
#[derive(Clone)]
pub struct LocalServer {
    /// The issuer identifier.
    pub name: String,
    /// The `client_secret` of the service that introspects.
    pub secret: String,
    tokens: Arc<Mutex<HashMap<String, Value>>>,
}

impl LocalServer {
    /// Starts the server on a free port, and prints the tokens.
    ///
    /// # Errors
    ///
    /// Returns an error if no port is free or no random bytes are available.
    pub async fn start() -> Result<Self, Failure> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let mut tokens = HashMap::new();
        for (name, scope, audience) in [
            ("alice", "orders:read", AUDIENCE),
            ("bob", "", AUDIENCE),
            ("carol", "orders:read", "https://other.example.com"),
        ] {
            let token = random_token()?;
            println!("{}={token}", name.to_uppercase());
            let response = json!({
                "active": true, "sub": name, "client_id": "shop", "scope": scope, "aud": audience,
            });
            tokens.insert(token, response);
        }
        let server = Self {
            name: format!("http://{}", listener.local_addr()?),
            secret: random_token()?,
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

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Value>> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn metadata(State(server): State<LocalServer>) -> Json<Value> {
    Json(json!({
        "issuer": server.name,
        "introspection_endpoint": format!("{}/introspect", server.name),
        "revocation_endpoint": format!("{}/revoke", server.name),
    }))
}

/// Only an authenticated client may introspect (RFC 7662 section 2.1).
async fn introspect(
    State(server): State<LocalServer>,
    headers: HeaderMap,
    Form(form): TokenForm,
) -> Result<Json<Value>, StatusCode> {
    let expected = STANDARD.encode(format!("{CLIENT_ID}:{}", server.secret));
    let presented = headers.get("authorization");
    if presented.is_none_or(|value| *value != format!("Basic {expected}")) {
        return Err(StatusCode::UNAUTHORIZED);
    }
    let tokens = server.lock();
    let known = form.get("token").and_then(|token| tokens.get(token));
    Ok(Json(known.cloned().unwrap_or(json!({"active": false}))))
}

/// A real server authenticates the client here as well.
async fn revoke(State(server): State<LocalServer>, Form(form): TokenForm) -> StatusCode {
    if let Some(token) = form.get("token") {
        server.lock().remove(token);
    }
    StatusCode::OK
}
