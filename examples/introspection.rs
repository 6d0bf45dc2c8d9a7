//! A service that introspects opaque tokens at its authorization server (RFC 7662).
//!
//! `ISSUER=https://login.example.com/ CLIENT_ID=api CLIENT_SECRET=... cargo run -p examples --example introspection --features
//! introspection` uses a real authorization server. `AUDIENCE` is the `aud` of the tokens for this service; `ADDR` sets the address
//! (default 127.0.0.1:3000).
//!
//! Without `ISSUER`, the example starts a small authorization server in the process.

use std::error::Error;

use axum::Router;
use axum::extract::Path;
use axum::response::Json;
use axum::routing::get;
use examples::authorization_server::{CLIENT_ID, LocalServer};
use examples::issuer::AUDIENCE;
use examples::{Failure, listen, print_tries, variable};
use serde_json::{Value, json};
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
    let scopes: Vec<_> = token.scopes().collect();
    Json(json!({"subject": token.subject(), "client": token.client_id(), "scopes": scopes}))
}

async fn order(Path(id): Path<String>) -> Json<Value> {
    Json(json!({"order": id}))
}

/// The settings: issuer, client authentication and audience.
struct Settings {
    issuer: String,
    client: ClientAuthentication,
    audience: Option<String>,
}

fn settings_of_environment(issuer: String, base: &str) -> Result<Settings, Failure> {
    let id = variable("CLIENT_ID").ok_or("CLIENT_ID is not set: set it to the `client_id`")?;
    let secret = variable("CLIENT_SECRET").ok_or("CLIENT_SECRET is not set")?;
    println!("With a token of {issuer} in TOKEN, try:\n");
    println!(r#"curl -i {base}/orders/7 -H "Authorization: Bearer $TOKEN""#);
    Ok(Settings {
        issuer,
        client: ClientAuthentication::basic(id, secret),
        audience: variable("AUDIENCE"),
    })
}

async fn settings_of_local_server(base: &str) -> Result<Settings, Failure> {
    let server = LocalServer::start().await?;
    let name = &server.name;
    println!("\nNo ISSUER is set, so {name} in this process is the authorization server.");
    println!("Copy the lines with the tokens into a shell, then try:\n");
    print_tries(
        base,
        &include_str!("introspection.sh").replace("SERVER", name),
    );
    Ok(Settings {
        client: ClientAuthentication::basic(CLIENT_ID, server.secret),
        audience: Some(AUDIENCE.to_owned()),
        issuer: server.name,
    })
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let (listener, address) = listen("127.0.0.1:3000").await?;
    let base = format!("http://{address}");
    let settings = match variable("ISSUER") {
        Some(issuer) => settings_of_environment(issuer, &base)?,
        None => settings_of_local_server(&base).await?,
    };
    let issuer = settings.issuer;
    let introspection = Introspection::discover(&issuer).client(settings.client);
    let introspection = match settings.audience {
        Some(audience) => introspection.audience(audience),
        None => {
            eprintln!("AUDIENCE is not set: tokens for any service of {issuer} are accepted");
            introspection.insecure_any_audience()
        }
    };
    let app = app(introspection.connect().await?)?;
    println!("{issuer} introspects the tokens of {base}");
    axum::serve(listener, app).await?;
    Ok(())
}
