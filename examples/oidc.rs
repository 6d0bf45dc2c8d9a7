//! A service behind an OpenID Connect or OAuth 2.0 issuer, discovered from its issuer identifier.
//!
//! `ISSUER=https://login.example.com/ AUDIENCE=https://api.example.com cargo run -p examples --example oidc --features oidc`
//! accepts the tokens of a real provider. `ADDR` sets the address (default 127.0.0.1:3000).
//!
//! Without `ISSUER`, the example starts an issuer in the process that generates a new key every two seconds, and sends
//! itself requests to show that none is rejected.

use std::error::Error;
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::response::Json;
use axum::routing::get;
use examples::issuer::{AUDIENCE, LocalIssuer};
use examples::{Failure, listen, print_tries, variable};
use http::{Request, StatusCode};
use serde_json::{Value, json};
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
    let scopes: Vec<_> = token.scopes().collect();
    Json(json!({"subject": token.subject(), "client": token.client_id(), "scopes": scopes}))
}

async fn order(Path(id): Path<String>) -> Json<Value> {
    Json(json!({"order": id}))
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let (listener, address) = listen("127.0.0.1:3000").await?;
    let base = format!("http://{address}");
    if let Some(issuer) = variable("ISSUER") {
        let audience = variable("AUDIENCE")
            .ok_or("AUDIENCE is not set: set it to the `aud` of the tokens for this service")?;
        // The lines that a service needs.
        let validator = JwtValidator::discover(&issuer)
            .await?
            .audience(&audience)
            .build()?;
        let app = app(validator)?;
        println!("{issuer} is known. With a token of it for {audience} in TOKEN, try:\n");
        println!(r#"curl -i {base}/orders/7 -H "Authorization: Bearer $TOKEN""#);
        axum::serve(listener, app).await?;
        return Ok(());
    }
    let issuer = LocalIssuer::start().await?;
    // An issuer with a new key every two seconds needs a shorter cooldown than a real one.
    let keys = RemoteKeys::discover(&issuer.name)
        .cooldown(Duration::from_secs(1))
        .connect()
        .await?;
    let validator = JwtValidator::builder(keys.clone())
        .audience(AUDIENCE)
        .rfc9068()
        .build()?;
    let app = app(validator)?;
    let name = &issuer.name;
    println!("No ISSUER is set, so {name} in this process is the issuer. Try:\n");
    print_tries(&base, &include_str!("oidc.sh").replace("ISSUER", name));
    tokio::spawn(rotate_and_request(issuer, keys, app.clone()));
    axum::serve(listener, app).await?;
    Ok(())
}

/// Sends ten requests with fresh tokens each second, and rotates the key every two seconds.
async fn rotate_and_request(issuer: LocalIssuer, keys: RemoteKeys, app: Router) {
    let mut second = tokio::time::interval(Duration::from_secs(1));
    let (mut allowed, mut rejected) = (0, 0);
    for round in 0_u64.. {
        second.tick().await;
        if round % 2 == 1
            && let Err(error) = issuer.rotate()
        {
            eprintln!("{error:?}");
        }
        for _ in 0..10 {
            let token = issuer.token("orders:read");
            let request = Request::get("/orders/7")
                .header("authorization", format!("Bearer {token}"))
                .body(axum::body::Body::empty())
                .unwrap_or_default();
            let response = app.clone().oneshot(request).await;
            match response.map(|response| response.status()) {
                Ok(StatusCode::OK) => allowed += 1,
                _ => rejected += 1,
            }
        }
        if round % 2 == 1 {
            let status = keys.status();
            let known: Vec<_> = status.keys().filter_map(|(kid, _)| kid).collect();
            let kid = issuer.kid();
            println!(
                "signing with {kid}, known: {known:?}; {allowed} requests allowed, {rejected} rejected"
            );
        }
    }
}
