//! An asynchronous validator and an asynchronous policy. Both query a user directory over HTTP with a timeout.
//!
//! An unknown token is 401. A lookup without a result in time is 503 with `Retry-After`, so that no client discards a
//! valid token because of an outage. The directory runs in the process and can be switched off and on.
//!
//! `cargo run -p examples --example async_validator` prints what to try. `ADDR` sets the address (default 127.0.0.1:3000).

use std::collections::HashMap;
use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use examples::directory::{self, DirectoryClient};
use examples::{Failure as ExampleFailure, listen, print_tries, random_token};
use tower_bearer::policy::{Denial, Guard, Policies, Policy, PolicyContext, policy_fn, public};
use tower_bearer::{
    Authenticated, BearerAuthLayer, ConfigError, Credential, Failure, InvalidReason, Outcome,
    validator_fn,
};

/// The `Retry-After` of a response during an outage.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// The principal.
struct User {
    id: String,
    name: String,
}

/// The routes behind the layer.
fn app(directory: DirectoryClient) -> Result<Router, ConfigError> {
    let users = directory.clone();
    // The closure owns the credential, so the future can keep it and borrows nothing.
    let validator = validator_fn(move |credential: Credential<'static>| {
        let users = users.clone();
        async move {
            match users.user(credential.token()).await {
                Ok(Some((id, name))) => Ok(User { id, name }),
                Ok(None) => Err(Failure::invalid(InvalidReason::Unknown)),
                Err(error) => Err(Failure::unavailable(error).with_retry_after(RETRY_AFTER)),
            }
        }
    });
    let policies = Policies::builder()
        .at("/health", public())
        .under("/tasks/{task}", is_owner(directory))
        .build()?;
    let auth = BearerAuthLayer::new(validator)
        .with_policy(policies)
        .with_realm("tasks")
        .remove_credential()
        .on_decision(|event| {
            // The response does not contain the cause. The log does.
            if let Outcome::Rejected(rejection) = event.outcome()
                && let Some(cause) = rejection.source()
            {
                eprintln!("{rejection}: {cause}");
            }
        });
    Ok(Router::new()
        .route("/health", get(|| async { "up\n" }))
        .route("/me", get(me))
        .route("/tasks/{task}", get(task))
        .layer(auth))
}

/// Allows the owner of the task in the path.
fn is_owner(directory: DirectoryClient) -> Guard<impl Policy<User>> {
    policy_fn(move |cx: &PolicyContext<'_, User>| {
        // The context is borrowed for this call, so the future owns copies.
        let user = Arc::clone(cx.authenticated().shared());
        let task = cx.segment("task").unwrap_or_default().into_owned();
        let directory = directory.clone();
        async move {
            match directory.owner(task).await {
                Ok(Some(owner)) if owner == user.id => Ok(()),
                // The same response for a task of another user and for one that does not exist.
                Ok(_) => Err(Denial::forbidden()),
                // The hook in `app` finds the error as the source of the rejection.
                Err(error) => Err(Denial::unavailable()
                    .with_retry_after(RETRY_AFTER)
                    .with_source(error)),
            }
        }
    })
    .named("owner of the task")
}

async fn me(user: Authenticated<User>) -> String {
    format!("{}\n", user.name)
}

async fn task(user: Authenticated<User>, Path(task): Path<String>) -> String {
    format!("task {task} of {}\n", user.name)
}

#[tokio::main]
async fn main() -> Result<(), ExampleFailure> {
    let (listener, address) = listen("127.0.0.1:3000").await?;
    let mut users = HashMap::new();
    for (id, name) in [("u1", "alice"), ("u2", "bob")] {
        let token = random_token()?;
        println!("{}={token}", name.to_uppercase());
        users.insert(token, (id, name));
    }
    let owners = HashMap::from([("7", "u1"), ("8", "u2")]);
    let (directory, directory_address) = directory::start(users, owners).await?;
    let tries = include_str!("async_validator.sh").replace("DIRECTORY", &directory_address);
    print_tries(&format!("http://{address}"), &tries);
    axum::serve(listener, app(directory)?).await?;
    Ok(())
}
