//! A validator and a policy that wait: both ask a user directory over HTTP, with a time limit.
//!
//! What the directory does not know is 401, and what it does not say in time is 503 with
//! `Retry-After`, so that no client throws a good token away because of an outage. The directory runs
//! inside of this program, on a port of its own, and can be switched off and on.
//!
//! Run it, and copy what it prints into another terminal:
//!
//! ```sh
//! cargo run --features axum --example async_validator
//! ```
//!
//! It listens on `127.0.0.1:3000`, or on what the environment variable `ADDR` says.

use std::collections::HashMap;
use std::env;
use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{Request, StatusCode, Uri};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tower_bearer::policy::{Denial, Guard, Policies, Policy, PolicyContext, policy_fn, public};
use tower_bearer::{
    Authenticated, BearerAuthLayer, ConfigError, Credential, Failure, InvalidReason, Outcome,
    validator_fn,
};

/// How long one question to the directory may take.
const PATIENCE: Duration = Duration::from_millis(500);

/// When a client should come back after an outage.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// The principal: whom the directory says a token stands for.
#[derive(Debug)]
pub struct User {
    id: String,
    name: String,
}

/// The server that is protected.
pub fn app(directory: DirectoryClient) -> Result<Router, ConfigError> {
    let users = directory.clone();
    // The credential is the closure's own, so the future can keep it and borrows nothing.
    let validator = validator_fn(move |credential: Credential<'static>| {
        let users = users.clone();
        async move {
            match users.user(credential.token()).await {
                Ok(Some(user)) => Ok(user),
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
            // The client is told nothing of the reason; whoever runs the server is.
            if let Outcome::Rejected(rejection) = event.outcome()
                && let Some(reason) = rejection.source()
            {
                eprintln!("{rejection}: {reason}");
            }
        });

    Ok(Router::new()
        .route("/health", get(|| async { "up\n" }))
        .route("/me", get(me))
        .route("/tasks/{task}", get(task))
        .layer(auth))
}

/// Passes whom the directory names as the owner of the task in the path.
fn is_owner(directory: DirectoryClient) -> Guard<impl Policy<User>> {
    policy_fn(move |cx: &PolicyContext<'_, User>| {
        // The context ends with this call: what the lookup needs is copied out of it.
        let user = Arc::clone(cx.authenticated().shared());
        let task = cx.segment("task").unwrap_or_default().into_owned();
        let directory = directory.clone();
        async move {
            match directory.owner(task).await {
                Ok(Some(owner)) if owner == user.id => Ok(()),
                // The same answer whether the task is somebody else's or nobody's.
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

/// Asks the directory. Clones share their connections.
#[derive(Clone, Debug)]
pub struct DirectoryClient {
    http: Client<HttpConnector, Full<Bytes>>,
    address: String,
}

/// Why there is no answer. None of these is the fault of whoever presented the token.
type Outage = Box<dyn Error + Send + Sync>;

impl DirectoryClient {
    /// A client of the directory at `address`: host and port.
    pub fn new(address: impl Into<String>) -> Self {
        Self {
            http: Client::builder(TokioExecutor::new()).build_http(),
            address: address.into(),
        }
    }

    /// Whom a token stands for.
    async fn user(&self, token: &str) -> Result<Option<User>, Outage> {
        // In the body and never in the URL, which ends up in access logs.
        let Some(answer) = self.ask("/user", token.to_owned()).await? else {
            return Ok(None);
        };
        match (&answer["id"], &answer["name"]) {
            (Value::String(id), Value::String(name)) => Ok(Some(User {
                id: id.clone(),
                name: name.clone(),
            })),
            _ => Err("the directory describes a user without `id` or `name`".into()),
        }
    }

    /// The id of the user that owns a task.
    async fn owner(&self, task: String) -> Result<Option<String>, Outage> {
        let Some(answer) = self.ask("/owner", task).await? else {
            return Ok(None);
        };
        match &answer["owner"] {
            Value::String(owner) => Ok(Some(owner.clone())),
            _ => Err("the directory describes a task without `owner`".into()),
        }
    }

    /// `None` is what the directory does not know. The time limit is for all of it: to connect, to
    /// wait, and to read the answer.
    async fn ask(&self, path: &str, question: String) -> Result<Option<Value>, Outage> {
        match tokio::time::timeout(PATIENCE, self.exchange(path, question)).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer within {PATIENCE:?}").into()),
        }
    }

    async fn exchange(&self, path: &str, question: String) -> Result<Option<Value>, Outage> {
        let uri = Uri::builder()
            .scheme("http")
            .authority(self.address.as_str())
            .path_and_query(path)
            .build()?;
        let request = Request::post(uri).body(Full::from(question))?;
        let response = self.http.request(request).await?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            // A refusal of our own request says nothing about the token either.
            status => return Err(format!("the directory answers {status}").into()),
        }
        let answer = Limited::new(response.into_body(), 16 * 1024)
            .collect()
            .await?;
        Ok(Some(serde_json::from_slice(&answer.to_bytes())?))
    }
}

/// The user directory: a service of its own, somewhere else in a real installation, where it would
/// ask its callers for a credential too.
///
/// `users` maps tokens to ids and names, `owners` maps tasks to ids.
pub fn directory(
    users: HashMap<String, (&'static str, &'static str)>,
    owners: HashMap<&'static str, &'static str>,
) -> Router {
    Router::new()
        .route("/user", post(find_user))
        .route("/owner", post(find_owner))
        .route(
            "/outage",
            post(|directory| switch(directory, true)).delete(|directory| switch(directory, false)),
        )
        .with_state(Directory {
            users: Arc::new(users),
            owners: Arc::new(owners),
            is_out: watch::Sender::new(false),
        })
}

#[derive(Clone)]
struct Directory {
    users: Arc<HashMap<String, (&'static str, &'static str)>>,
    owners: Arc<HashMap<&'static str, &'static str>>,
    is_out: watch::Sender<bool>,
}

async fn find_user(State(directory): State<Directory>, token: String) -> impl IntoResponse {
    directory.wait_for_the_end_of_the_outage().await;
    let found = directory.users.get(&token);
    found
        .map(|(id, name)| Json(json!({ "id": id, "name": name })))
        .ok_or(StatusCode::NOT_FOUND)
}

async fn find_owner(State(directory): State<Directory>, task: String) -> impl IntoResponse {
    directory.wait_for_the_end_of_the_outage().await;
    let found = directory.owners.get(task.as_str());
    found
        .map(|owner| Json(json!({ "owner": owner })))
        .ok_or(StatusCode::NOT_FOUND)
}

async fn switch(State(directory): State<Directory>, is_out: bool) -> &'static str {
    directory.is_out.send_replace(is_out);
    if is_out { "off\n" } else { "on\n" }
}

impl Directory {
    /// The worst kind of outage is not an error but no answer at all.
    async fn wait_for_the_end_of_the_outage(&self) {
        let mut is_out = self.is_out.subscribe();
        // Fails only if there is no sender left, and `self` holds one.
        let _ = is_out.wait_for(|is_out| !is_out).await;
    }
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
    let (alice, bob) = (random_token()?, random_token()?);
    let users = HashMap::from([
        (alice.clone(), ("u1", "alice")),
        (bob.clone(), ("u2", "bob")),
    ]);
    let owners = HashMap::from([("7", "u1"), ("8", "u2")]);

    let listener = listen().await?;
    let base = format!("http://{}", listener.local_addr()?);
    let directory_listener = TcpListener::bind("127.0.0.1:0").await?;
    let directory_address = directory_listener.local_addr()?.to_string();
    let app = app(DirectoryClient::new(&directory_address))?;

    println!(
        r#"ALICE={alice}
BOB={bob}

# 200: the directory knows the token
curl -i -H "Authorization: Bearer $ALICE" {base}/me
# 401: it does not know this one
curl -i -H "Authorization: Bearer somebody-elses" {base}/me
# 200: it names alice as the owner of task 7
curl -i -H "Authorization: Bearer $ALICE" {base}/tasks/7
# 403: and not bob
curl -i -H "Authorization: Bearer $BOB" {base}/tasks/7
# 403: and nobody as that of task 9
curl -i -H "Authorization: Bearer $BOB" {base}/tasks/9

# 200: the directory stops answering
curl -i -X POST http://{directory_address}/outage
# 503: the same good token, with Retry-After, half a second later
curl -i -H "Authorization: Bearer $ALICE" {base}/me
# 200: a public path asks nobody
curl -i {base}/health
# 401: and where there is no credential there is nothing to ask
curl -i {base}/me
# 200: the directory is back
curl -i -X DELETE http://{directory_address}/outage
# 200: and the token as good as before
curl -i -H "Authorization: Bearer $ALICE" {base}/me
"#
    );
    tokio::try_join!(
        axum::serve(listener, app).into_future(),
        axum::serve(directory_listener, directory(users, owners)).into_future(),
    )?;
    Ok(())
}

async fn listen() -> Result<TcpListener, String> {
    let addr = env::var_os("ADDR").map_or_else(
        || String::from("127.0.0.1:3000"),
        |addr| addr.to_string_lossy().into_owned(),
    );
    TcpListener::bind(&addr).await.map_err(|error| {
        format!("cannot listen on ADDR {addr:?}: {error}; expected a free HOST:PORT, such as 127.0.0.1:3000")
    })
}

/// 128 random bits, which nobody can guess, in hexadecimal digits.
fn random_token() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
