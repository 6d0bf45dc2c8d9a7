//! A user directory: its HTTP service, which can be switched off, and a client with a time limit.

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{Request, StatusCode, Uri};
use axum::response::IntoResponse;
use axum::routing::post;
use axum::{Json, Router};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::Failure;

/// The time limit of a lookup.
const TIMEOUT: Duration = Duration::from_millis(500);

/// The error of a failed lookup. The presented token is never its cause.
pub type Outage = Box<dyn Error + Send + Sync>;

/// A client of the directory. Clones share its connections.
#[derive(Clone, Debug)]
pub struct DirectoryClient {
    http: Client<HttpConnector, Full<Bytes>>,
    address: String,
}

impl DirectoryClient {
    /// Returns the id and the name of the user with this token.
    ///
    /// # Errors
    ///
    /// Returns an error if the directory is unavailable.
    pub async fn user(&self, token: &str) -> Result<Option<(String, String)>, Outage> {
        // In the body, since a URL would be in access logs.
        let Some(user) = self.lookup("/user", token.to_owned()).await? else {
            return Ok(None);
        };
        match (&user["id"], &user["name"]) {
            (Value::String(id), Value::String(name)) => Ok(Some((id.clone(), name.clone()))),
            _ => Err("the directory returned a user without `id` or `name`".into()),
        }
    }

    /// Returns the id of the user who owns a task.
    ///
    /// # Errors
    ///
    /// Returns an error if the directory is unavailable.
    pub async fn owner(&self, task: String) -> Result<Option<String>, Outage> {
        let Some(task) = self.lookup("/owner", task).await? else {
            return Ok(None);
        };
        match &task["owner"] {
            Value::String(owner) => Ok(Some(owner.clone())),
            _ => Err("the directory returned a task without `owner`".into()),
        }
    }

    /// The time limit covers everything: to connect, to wait, and to read the response.
    async fn lookup(&self, path: &str, key: String) -> Result<Option<Value>, Outage> {
        match tokio::time::timeout(TIMEOUT, self.exchange(path, key)).await {
            Ok(result) => result,
            Err(_) => Err(format!("no response within {TIMEOUT:?}").into()),
        }
    }

    async fn exchange(&self, path: &str, key: String) -> Result<Option<Value>, Outage> {
        let uri = Uri::builder().scheme("http").authority(&*self.address);
        let request = Request::post(uri.path_and_query(path).build()?).body(Full::from(key))?;
        let response = self.http.request(request).await?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            // Another status does not make the token invalid either.
            status => return Err(format!("the directory responds with {status}").into()),
        }
        let body = Limited::new(response.into_body(), 16 * 1024);
        Ok(Some(serde_json::from_slice(
            &body.collect().await?.to_bytes(),
        )?))
    }
}

#[derive(Clone)]
struct Directory {
    users: Arc<HashMap<String, (&'static str, &'static str)>>,
    owners: Arc<HashMap<&'static str, &'static str>>,
    is_down: watch::Sender<bool>,
}

/// Starts the directory on a free port. `users` maps tokens to ids and names, `owners` maps tasks to ids. Returns a
/// client and the address.
///
/// # Errors
///
/// Returns an error if no port is free.
pub async fn start(
    users: HashMap<String, (&'static str, &'static str)>,
    owners: HashMap<&'static str, &'static str>,
) -> Result<(DirectoryClient, String), Failure> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let outage =
        post(|directory| switch(directory, true)).delete(|directory| switch(directory, false));
    let routes = Router::new()
        .route("/user", post(find_user))
        .route("/owner", post(find_owner))
        .route("/outage", outage)
        .with_state(Directory {
            users: Arc::new(users),
            owners: Arc::new(owners),
            is_down: watch::Sender::new(false),
        });
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let client = DirectoryClient {
        http: Client::builder(TokioExecutor::new()).build_http(),
        address: address.clone(),
    };
    Ok((client, address))
}

async fn find_user(State(directory): State<Directory>, token: String) -> impl IntoResponse {
    directory.wait_for_end_of_outage().await;
    let user = directory.users.get(&token);
    user.map(|(id, name)| Json(json!({"id": id, "name": name})))
        .ok_or(StatusCode::NOT_FOUND)
}

async fn find_owner(State(directory): State<Directory>, task: String) -> impl IntoResponse {
    directory.wait_for_end_of_outage().await;
    let owner = directory.owners.get(task.as_str());
    owner
        .map(|owner| Json(json!({"owner": owner})))
        .ok_or(StatusCode::NOT_FOUND)
}

async fn switch(State(directory): State<Directory>, is_down: bool) -> &'static str {
    directory.is_down.send_replace(is_down);
    if is_down { "off\n" } else { "on\n" }
}

impl Directory {
    /// Waits until the directory is switched on. A missing response tests the timeout of the client.
    async fn wait_for_end_of_outage(&self) {
        let mut is_down = self.is_down.subscribe();
        // An error means that all senders are dropped, and `self` has one.
        let _ = is_down.wait_for(|is_down| !is_down).await;
    }
}
