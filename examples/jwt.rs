//! JWTs checked with a public key: signature, issuer, audience, time, kind of token, scopes and roles. What was accepted
//! is remembered, and a logout works at once all the same.
//!
//! Run it with `cargo run --example jwt --features aws_lc_rs,axum,revocation`. It makes a key, signs a few tokens
//! with it, and prints curl lines that show what becomes of each. `ADDR` sets where it listens (default
//! 127.0.0.1:3000).

use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Json;
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower_bearer::jwt::{AccessToken, ClaimPath, ClaimsLayout, JwtValidator, PublicKey};
use tower_bearer::policy::{public, role, scope};
use tower_bearer::revocation::RevocationList;
use tower_bearer::{Authenticated, BearerAuthLayer, Policies};

const ISSUER: &str = "https://login.example.com/";
const AUDIENCE: &str = "https://api.example.com";

/// The routes behind the layer: all that a service has to write.
fn app(key: PublicKey) -> Result<Router, Box<dyn Error>> {
    let revoked = RevocationList::new();
    let validator = JwtValidator::builder(key)
        .issuer(ISSUER)
        .audience(AUDIENCE)
        .claims_layout(
            ClaimsLayout::new().with_roles_at([ClaimPath::from(["realm_access", "roles"])]),
        )
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

/// Takes the token back with which it was called.
async fn logout(
    State(revoked): State<RevocationList>,
    token: Authenticated<AccessToken>,
) -> Result<StatusCode, StatusCode> {
    let (Some(id), Some(until)) = (token.token_id(), token.expires_at()) else {
        return Err(StatusCode::CONFLICT); // nothing that it could be taken back by
    };
    revoked
        .revoke_token(token.issuer(), id, until)
        .map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn order(Path(id): Path<String>) -> Json<Value> {
    Json(json!({"order": id}))
}

/// Signs claims, as an issuer does.
fn sign(key: &Ed25519KeyPair, header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let input = format!("{}.{}", part(header), part(claims));
    let signature = URL_SAFE_NO_PAD.encode(key.sign(input.as_bytes()));
    format!("{input}.{signature}")
}

/// The tokens to try, by name.
fn tokens(
    key: &Ed25519KeyPair,
    other: &Ed25519KeyPair,
) -> Result<Vec<(&'static str, String)>, Box<dyn Error>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let header = json!({"alg": "EdDSA", "typ": "at+jwt", "kid": "2026-11"});
    let claims = |subject: &str, scope: &str| {
        json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": subject, "client_id": "shop",
            "iat": now, "exp": now + 3600, "jti": format!("{subject}-1"), "scope": scope,
        })
    };
    let changed = |name: &str, value: Value| {
        let mut claims = claims("alice", "orders:read");
        claims[name] = value;
        claims
    };
    let mut admin = claims("admin", "");
    admin["realm_access"] = json!({"roles": ["admin"]});
    let alice = claims("alice", "orders:read");
    Ok(vec![
        ("ALICE", sign(key, &header, &alice)),
        ("BOB", sign(key, &header, &claims("bob", ""))),
        ("ADMIN", sign(key, &header, &admin)),
        ("FORGED", sign(other, &header, &alice)),
        (
            "EXPIRED",
            sign(key, &header, &changed("exp", json!(now - 3600))),
        ),
        (
            "ELSEWHERE",
            sign(
                key,
                &header,
                &changed("aud", json!("https://other.example.com")),
            ),
        ),
        (
            "STRANGER",
            sign(key, &header, &changed("iss", json!("https://evil.example"))),
        ),
        (
            "BOUND",
            sign(
                key,
                &header,
                &changed(
                    "cnf",
                    json!({"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}),
                ),
            ),
        ),
        (
            "PROOF",
            sign(
                key,
                &json!({"alg": "EdDSA", "typ": "dpop+jwt", "kid": "2026-11"}),
                &alice,
            ),
        ),
        ("UNSIGNED", {
            let token = sign(key, &json!({"alg": "none"}), &alice);
            token[..=token.rfind('.').unwrap_or_default()].to_owned()
        }),
    ])
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
    let addr = std::env::var("ADDR").unwrap_or_else(|_| String::from("127.0.0.1:3000"));
    let addr: SocketAddr = addr
        .parse()
        .map_err(|_| format!("ADDR={addr}: expected IP:PORT, for example 127.0.0.1:3000"))?;
    let listener = TcpListener::bind(addr).await.map_err(|error| {
        format!("cannot listen on {addr}: {error}; choose another with ADDR=IP:PORT")
    })?;
    let base = format!("http://{}", listener.local_addr()?);

    // What the issuer has, and never gives away.
    let private = Ed25519KeyPair::generate().map_err(|_| "no key could be made")?;
    let other = Ed25519KeyPair::generate().map_err(|_| "no key could be made")?;
    // What it publishes. A PEM file would be read with `PublicKey::from_pem`.
    let public = PublicKey::from_jwk(
        json!({
            "kty": "OKP", "crv": "Ed25519", "kid": "2026-11",
            "x": URL_SAFE_NO_PAD.encode(private.public_key()),
        })
        .to_string(),
    )?;

    for (name, token) in tokens(&private, &other)? {
        println!("{name}={token}");
    }
    println!("\nCopy the lines with the tokens into a shell, then try:\n");
    for (path, token, expect) in [
        ("/health", "", "200, no token needed"),
        ("/me", "", "401, a token is needed"),
        ("/me", "ALICE", "200"),
        ("/orders/7", "ALICE", "200"),
        ("/orders/7", "BOB", "403 insufficient_scope"),
        ("/admin/users", "BOB", "403"),
        ("/admin/users", "ADMIN", "200"),
        ("/me", "FORGED", "401, signed with another key"),
        ("/me", "EXPIRED", "401, its time is over"),
        ("/me", "ELSEWHERE", "401, meant for another service"),
        ("/me", "STRANGER", "401, from another issuer"),
        (
            "/me",
            "BOUND",
            "401, bound to a sender and sent as a plain bearer token",
        ),
        ("/me", "PROOF", "401, not an access token"),
        ("/me", "UNSIGNED", "401, not signed"),
        ("/logout", "BOB", "204"),
        ("/me", "BOB", "401, taken back"),
        ("/me", "ALICE", "200, hers is another"),
    ] {
        let header = match token {
            "" => String::new(),
            token => format!(r#" -H "Authorization: Bearer ${token}""#),
        };
        let method = if path == "/logout" { " -X POST" } else { "" };
        println!("curl -i{method} {base}{path}{header}   # {expect}");
    }
    axum::serve(listener, app(public)?).await?;
    Ok(())
}
