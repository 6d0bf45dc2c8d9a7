//! JWTs checked with a public key: signature, issuer, audience, expiry, token type, scopes and roles. Accepted tokens
//! are cached, and a logout takes effect at once.
//!
//! `cargo run -p examples --example jwt --features jwt` generates a key, signs tokens with it, and prints curl lines that show
//! the response to each. `ADDR` sets the address (default 127.0.0.1:3000).

use std::error::Error;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Json;
use axum::routing::{get, post};
use examples::issuer::{AUDIENCE, PrivateKey, now};
use examples::{Failure, listen, print_tries};
use serde_json::{Value, json};
use tower_bearer::jwt::{AccessToken, ClaimPath, ClaimsLayout, JwtValidator, PublicKey};
use tower_bearer::policy::{public, role, scope};
use tower_bearer::revocation::RevocationList;
use tower_bearer::{Authenticated, BearerAuthLayer, Policies};

const ISSUER: &str = "https://login.example.com/";

/// The routes behind the layer: the complete code of a service.
fn app(key: PublicKey) -> Result<Router, Box<dyn Error>> {
    let revoked = RevocationList::new();
    let roles = ClaimPath::from(["realm_access", "roles"]);
    let validator = JwtValidator::builder(key)
        .issuer(ISSUER)
        .audience(AUDIENCE)
        .claims_layout(ClaimsLayout::new().with_roles_at([roles]))
        .revocations(revoked.clone())
        .build()?;
    let policies = Policies::builder()
        .at("/health", public())
        .under("/orders", scope("orders:read"))
        .under("/admin", role("admin"))
        .build()?;
    Ok(Router::new()
        .route("/health", get(|| async { "ok\n" }))
        .route("/me", get(me))
        .route("/logout", post(logout).with_state(revoked))
        .route("/orders/{id}", get(order))
        .route("/admin/users", get(|| async { Json(json!({"users": 2})) }))
        .layer(BearerAuthLayer::new(validator).with_policy(policies)))
}

async fn me(token: Authenticated<AccessToken>) -> Json<Value> {
    Json(json!({
        "subject": token.subject(),
        "client": token.client_id(),
        "scopes": token.scopes().collect::<Vec<_>>(),
        "roles": token.roles().collect::<Vec<_>>(),
    }))
}

/// Revokes the token of the request.
async fn logout(
    State(revoked): State<RevocationList>,
    token: Authenticated<AccessToken>,
) -> Result<StatusCode, StatusCode> {
    let (Some(id), Some(until)) = (token.token_id(), token.expires_at()) else {
        return Err(StatusCode::CONFLICT); // The token has no `jti` to revoke it by.
    };
    let revocation = revoked.revoke_token(token.issuer(), id, until);
    revocation.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn order(Path(id): Path<String>) -> Json<Value> {
    Json(json!({"order": id}))
}

/// Prints a good token of each user, and tokens with one fault each.
fn print_tokens(key: &PrivateKey) -> Result<(), Failure> {
    let claims = |changes: Value| {
        let mut claims = json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "client_id": "shop", "iat": now(),
            "exp": now() + 3600, "jti": changes.to_string(), "scope": "orders:read",
        });
        for (name, value) in changes.as_object().into_iter().flatten() {
            claims[name] = value.clone();
        }
        claims
    };
    let access_token = key.header("at+jwt");
    let roles = json!({"roles": ["admin"]});
    for (name, changes) in [
        ("ALICE", json!({})),
        ("BOB", json!({"sub": "bob", "scope": ""})),
        ("ADMIN", json!({"sub": "admin", "realm_access": roles})),
        ("EXPIRED", json!({"exp": now() - 3600})),
        ("ELSEWHERE", json!({"aud": "https://other.example.com"})),
        ("FOREIGN", json!({"iss": "https://evil.example"})),
        ("BOUND", json!({"cnf": {"jkt": "0ZcOCORZNYy"}})),
    ] {
        println!("{name}={}", key.sign(&access_token, &claims(changes)));
    }
    let alice = claims(json!({}));
    println!("PROOF={}", key.sign(&key.header("dpop+jwt"), &alice));
    let other = PrivateKey::generate("2026-11")?;
    println!("FORGED={}", other.sign(&access_token, &alice));
    let unsigned = key.sign(&json!({"alg": "none"}), &alice);
    let (input, _) = unsigned.rsplit_once('.').unwrap_or_default();
    println!("UNSIGNED={input}.");
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let (listener, address) = listen("127.0.0.1:3000").await?;
    let private = PrivateKey::generate("2026-11")?;
    print_tokens(&private)?;
    println!("\nCopy the lines with the tokens into a shell, then try:\n");
    print_tries(&format!("http://{address}"), include_str!("jwt.sh"));
    // For a PEM file: `PublicKey::from_pem`.
    let public = PublicKey::from_jwk(private.jwk().to_string())?;
    axum::serve(listener, app(public)?).await?;
    Ok(())
}
