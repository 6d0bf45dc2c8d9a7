//! Refusals in the application's own words, an audit line for every decision, and metrics.
//!
//! * A responder answers in the application's JSON, with the id of the request.
//! * Below `/projects` it hides what exists: 403 becomes the 404 of any page that does not exist.
//! * A browser without a credential is sent to `/login`; other clients get 401.
//! * A hook prints an audit line and counts outcomes, which `GET /metrics` shows to Prometheus.
//!
//! Run it, and copy what it prints into another terminal:
//!
//! ```sh
//! cargo run --features axum --example custom_responses
//! ```
//!
//! It listens on `127.0.0.1:3000`, or on what the environment variable `ADDR` says.

use std::collections::{BTreeMap, HashSet};
use std::env;
use std::error::Error;
use std::fmt::Write as _;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::{Extension, Path, Request, State};
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, LOCATION, VARY};
use axum::http::{HeaderValue, Method, Response, StatusCode};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse};
use axum::routing::get;
use bytes::Bytes;
use http_body_util::Full;
use serde_json::json;
use tokio::net::TcpListener;
use tower_bearer::policy::{
    Claims, Policies, PolicyContext, policy_fn, public, scope, scope_list_contains,
};
use tower_bearer::{
    Authenticated, BearerAuthLayer, ConfigError, DecisionEvent, OpaqueTokens, Outcome, Rejection,
    RejectionKind, RequestView, Responder,
};

/// The principal: whom a token stands for.
#[derive(Debug)]
pub struct User {
    name: &'static str,
    projects: &'static [&'static str],
    scope: &'static str,
}

impl Claims for User {
    fn has_scope(&self, scope: &str) -> bool {
        scope_list_contains(self.scope, scope)
    }
}

/// The whole server but its socket.
pub fn app(tokens: OpaqueTokens<User>) -> Result<Router, ConfigError> {
    let is_member = policy_fn(|cx: &PolicyContext<'_, User>| {
        cx.segment("project")
            .is_some_and(|project| cx.principal().projects.contains(&project.as_ref()))
    });
    let policies = Policies::builder()
        .at("/login", public())
        .at("/metrics", public().on([Method::GET]))
        .under("/projects/{project}", is_member.named("member"))
        .under("/reports", scope("reports:read"))
        .build()?;

    // Asked of the list and not told by the path of a request, which can be spelled in many ways.
    let hiding = policies.explain(&Method::GET, "/projects/any");
    let answers = Answers {
        hiding_rules: hiding
            .rules()
            .iter()
            .map(|rule| rule.rule().to_owned())
            .collect(),
    };

    let metrics = Arc::new(Metrics::default());
    let counted = Arc::clone(&metrics);
    let auth = BearerAuthLayer::new(tokens)
        .with_policy(policies)
        .with_responder(answers)
        .on_decision(move |event| {
            counted.count(event);
            audit(event);
        });

    Ok(Router::new()
        .route("/login", get(login))
        .route("/metrics", get(show_metrics))
        .route("/projects/{project}", get(project))
        .route("/reports", get(|| async { "all is well\n" }))
        .fallback(|Extension(id): Extension<RequestId>| async move {
            not_found(Some(id)).map(Full::new)
        })
        .layer(auth)
        // Outermost, so that refusals have an id too.
        .layer(axum::middleware::from_fn(with_request_id))
        .with_state(metrics))
}

async fn login() -> Html<&'static str> {
    Html("<!doctype html><title>Login</title><p>The login of the application would be here.\n")
}

async fn project(user: Authenticated<User>, Path(project): Path<String>) -> String {
    format!("project {project}, shown to {}\n", user.name)
}

async fn show_metrics(State(metrics): State<Arc<Metrics>>) -> impl IntoResponse {
    (
        [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        metrics.to_string(),
    )
}

/// The id of a request, in its extensions, where the layer and the handlers find it.
#[derive(Clone, Copy)]
struct RequestId(u64);

/// Gives the request an id. One from the client could be anything, so it is not asked for.
async fn with_request_id(mut request: Request, next: Next) -> axum::response::Response {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let id = LAST.fetch_add(1, Ordering::Relaxed) + 1;
    request.extensions_mut().insert(RequestId(id));
    let mut response = next.run(request).await;
    response.headers_mut().insert("x-request-id", id.into());
    response
}

/// Makes the refusals. The layer adds the challenges, `Retry-After` and `Cache-Control`.
#[derive(Debug)]
struct Answers {
    hiding_rules: HashSet<String>,
}

impl Responder for Answers {
    fn respond(&self, rejection: &Rejection, request: &RequestView<'_>) -> Response<Bytes> {
        let id = request.extensions().get().copied();
        if rejection.status() == StatusCode::FORBIDDEN
            && rejection
                .rule()
                .is_some_and(|rule| self.hiding_rules.contains(rule))
        {
            return not_found(id);
        }
        if rejection.kind() == RejectionKind::MissingCredential && is_browser(request) {
            return to_login();
        }
        let message = match rejection.kind() {
            RejectionKind::MissingCredential => "Present a token.",
            RejectionKind::InvalidToken(_) => "The token is no good. Get a new one.",
            RejectionKind::InsufficientScope => "The token does not cover this.",
            _ => "The request is refused.",
        };
        // The kind and never its reason: why exactly a token is bad is for the audit log.
        json_error(rejection.status(), rejection.kind().as_str(), message, id)
    }
}

/// The one answer for what does not exist and for what is nobody's business, with the same headers, or
/// they would tell the two apart. (axum itself adds `Allow` where a route lacks the method, which tells
/// that there is a route for projects, not that there is the project.)
fn not_found(id: Option<RequestId>) -> Response<Bytes> {
    let mut response = json_error(
        StatusCode::NOT_FOUND,
        "not-found",
        "There is nothing here.",
        id,
    );
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn json_error(
    status: StatusCode,
    code: &str,
    message: &str,
    id: Option<RequestId>,
) -> Response<Bytes> {
    let id = id.map(|id| id.0);
    let body = json!({ "error": { "code": code, "message": message, "request_id": id } });
    let mut response = Response::new(Bytes::from(format!("{body}\n")));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn to_login() -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::SEE_OTHER;
    let headers = response.headers_mut();
    headers.insert(LOCATION, HeaderValue::from_static("/login"));
    headers.insert(VARY, HeaderValue::from_static("accept"));
    response
}

/// Whether somebody looks at a page, as opposed to a program that would take the login for its answer.
fn is_browser(request: &RequestView<'_>) -> bool {
    let is_page_view = matches!(*request.method(), Method::GET | Method::HEAD);
    is_page_view
        && request.headers().get_all(ACCEPT).iter().any(|value| {
            value.as_bytes().split(|byte| *byte == b',').any(|range| {
                let kind = range.split(|byte| *byte == b';').next().unwrap_or_default();
                kind.trim_ascii().eq_ignore_ascii_case(b"text/html")
            })
        })
}

/// One line for each decision. It holds no token, because the event holds none.
fn audit(event: &DecisionEvent<'_>) {
    let (outcome, kind) = describe(event);
    let user = event.principal::<User>().map_or("-", |user| user.name);
    let reason = match event.outcome() {
        Outcome::Rejected(rejection) => rejection.kind().reason().unwrap_or("-"),
        _ => "-",
    };
    eprintln!(
        "audit request={} method={} outcome={outcome} kind={kind} reason={reason} user={user} rule={:?}",
        event.extension::<RequestId>().map_or(0, |id| id.0),
        event.method(),
        event.rule().unwrap_or("-"),
    );
}

/// How many decisions ended in which way.
#[derive(Debug, Default)]
struct Metrics {
    counts: Mutex<BTreeMap<Labels, u64>>,
}

/// Each is `&'static str`: nothing that a client sends can become a label, so their number has a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Labels {
    outcome: &'static str,
    kind: &'static str,
    method: &'static str,
    scheme: &'static str,
}

impl Metrics {
    fn count(&self, event: &DecisionEvent<'_>) {
        let (outcome, kind) = describe(event);
        let labels = Labels {
            outcome,
            kind,
            method: method_label(event.method()),
            scheme: event.scheme().map_or("none", |scheme| scheme.as_str()),
        };
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(labels).or_default() += 1;
    }
}

/// The text format of Prometheus.
impl std::fmt::Display for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = String::from(
            "# HELP auth_decisions_total Decisions of the authentication layer.\n\
             # TYPE auth_decisions_total counter\n",
        );
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        for (labels, count) in &*counts {
            let Labels {
                outcome,
                kind,
                method,
                scheme,
            } = labels;
            writeln!(
                text,
                r#"auth_decisions_total{{outcome="{outcome}",kind="{kind}",method="{method}",scheme="{scheme}"}} {count}"#
            )?;
        }
        f.write_str(&text)
    }
}

fn describe(event: &DecisionEvent<'_>) -> (&'static str, &'static str) {
    match event.outcome() {
        Outcome::Allowed => ("allowed", "none"),
        Outcome::Anonymous => ("anonymous", "none"),
        Outcome::Preflight => ("preflight", "none"),
        Outcome::Rejected(rejection) => ("refused", rejection.kind().as_str()),
        _ => ("other", "none"),
    }
}

/// A stranger can invent methods, and as many labels would fill the memory of whoever stores them.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
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
    let tokens = OpaqueTokens::new();
    tokens.insert(
        &alice,
        User {
            name: "alice",
            projects: &["apollo"],
            scope: "reports:read",
        },
    )?;
    tokens.insert(
        &bob,
        User {
            name: "bob",
            projects: &[],
            scope: "",
        },
    )?;

    let app = app(tokens)?;
    let listener = listen().await?;
    let base = format!("http://{}", listener.local_addr()?);
    println!(
        r#"ALICE={alice}
BOB={bob}

# 401: JSON of the application, with the id of the request
curl -i {base}/reports
# 303: a browser is sent to the login
curl -i -H "Accept: text/html,*/*;q=0.8" {base}/reports
# 200: which is public
curl -i {base}/login
# 401: a bad token is not repaired by logging in, so the browser sees why
curl -i -H "Accept: text/html" -H "Authorization: Bearer somebody-elses" {base}/reports
# 403: bob lacks a scope, and is told which
curl -i -H "Authorization: Bearer $BOB" {base}/reports
# 200: alice is a member of the project
curl -i -H "Authorization: Bearer $ALICE" {base}/projects/apollo
# 404: bob is not, and cannot tell
curl -i -H "Authorization: Bearer $BOB" {base}/projects/apollo
# 404: that project from one that does not exist
curl -i -H "Authorization: Bearer $BOB" {base}/projects/zeus
# 404: or from any other page that does not
curl -i -H "Authorization: Bearer $BOB" {base}/nothing
# 401: a method that somebody made up
curl -i -X MADEUP {base}/reports
# 200: what has been counted, the invented method as "other"
curl -i {base}/metrics
"#
    );
    axum::serve(listener, app).await?;
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
