//! Rejections in the application's own format.
//!
//! * A responder writes the application's JSON, with the id of the request.
//! * Below `/projects` it hides resources: 403 becomes the 404 of a page that does not exist.
//! * A browser without a credential is redirected to `/login`. Other clients receive 401.
//!
//! `cargo run -p examples --example custom_responses` prints what to try. `ADDR` sets the address (default 127.0.0.1:3000).

use axum::Router;
use axum::extract::Extension;
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, LOCATION, VARY};
use axum::http::{Method, Response, StatusCode};
use axum::middleware::from_fn;
use axum::routing::get;
use bytes::Bytes;
use examples::{Failure, RequestId, User, listen, print_tries, with_request_id};
use http_body_util::Full;
use serde_json::json;
use tower_bearer::policy::{PolicyContext, policy_fn, public, scope};
use tower_bearer::{BearerAuthLayer, ConfigError, OpaqueTokens, Policies};
use tower_bearer::{Rejection, RejectionKind, RequestView, Responder};

/// The routes behind the layer.
fn app(tokens: OpaqueTokens<User>) -> Result<Router, ConfigError> {
    let is_member = policy_fn(|cx: &PolicyContext<'_, User>| {
        let project = cx.segment("project").unwrap_or_default();
        cx.principal().projects.contains(&&*project)
    });
    let policies = Policies::builder()
        .at("/login", public())
        .under("/projects/{project}", is_member.named("member"))
        .under("/reports", scope("reports:read"))
        .build()?;
    // The responder compares the rule and not the path, because a path has many spellings.
    let hiding = policies.explain(&Method::GET, "/projects/any");
    let hiding = hiding.rules().iter().map(|rule| rule.rule().to_owned());
    let responder = JsonResponder(hiding.collect());
    let auth = BearerAuthLayer::new(tokens)
        .with_policy(policies)
        .with_responder(responder);
    Ok(Router::new()
        .route("/login", get(|| async { "The login page.\n" }))
        .route("/projects/{project}", get(|| async { "A project.\n" }))
        .route("/reports", get(|| async { "All is well.\n" }))
        .fallback(|Extension(id): Extension<RequestId>| async move {
            not_found(Some(id)).map(Full::new)
        })
        .layer(auth)
        // Outermost, so that rejections have an id too.
        .layer(from_fn(with_request_id)))
}

/// Writes the rejections. The layer adds the challenges, `Retry-After` and `Cache-Control`.
#[derive(Debug)]
struct JsonResponder(Vec<String>);

impl Responder for JsonResponder {
    fn respond(&self, rejection: &Rejection, request: &RequestView<'_>) -> Response<Bytes> {
        let id = request.extensions().get().copied();
        let is_hidden = rejection.status() == StatusCode::FORBIDDEN;
        if is_hidden && self.0.iter().any(|rule| rejection.rule() == Some(rule)) {
            return not_found(id);
        }
        let message = match rejection.kind() {
            RejectionKind::MissingCredential if is_browser(request) => {
                let redirect = Response::builder().status(StatusCode::SEE_OTHER);
                let redirect = redirect.header(LOCATION, "/login").header(VARY, "accept");
                return redirect.body(Bytes::new()).expect("valid header fields");
            }
            RejectionKind::MissingCredential => "Present a token.",
            RejectionKind::InvalidToken(_) => "The token is invalid. Get a new one.",
            RejectionKind::InsufficientScope => "The scope of the token does not cover this.",
            _ => "The request is rejected.",
        };
        // The kind without its reason, which belongs in the audit log: see the example `metrics`.
        error(rejection.status(), rejection.kind().as_str(), message, id)
    }
}

/// The one response for missing and for hidden resources, or clients could tell them apart.
fn not_found(id: Option<RequestId>) -> Response<Bytes> {
    error(StatusCode::NOT_FOUND, "not-found", "Nothing is here.", id)
}

fn error(status: StatusCode, code: &str, text: &str, id: Option<RequestId>) -> Response<Bytes> {
    let id = id.map(|id| id.0);
    let body = json!({"error": {"code": code, "message": text, "request_id": id}});
    let response = Response::builder().status(status);
    let response = response.header(CONTENT_TYPE, "application/json");
    let response = response.header(CACHE_CONTROL, "no-store");
    let body = Bytes::from(format!("{body}\n"));
    response.body(body).expect("valid header fields")
}

/// Returns whether the client shows pages. Other clients would take the login page for a result.
fn is_browser(request: &RequestView<'_>) -> bool {
    let accept = request.headers().get_all(ACCEPT).iter();
    let mut ranges = accept.flat_map(|value| value.as_bytes().split(|byte| b",;".contains(byte)));
    request.method() == Method::GET && ranges.any(|range| range.trim_ascii() == b"text/html")
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let (listener, address) = listen("127.0.0.1:3000").await?;
    let tokens = OpaqueTokens::new();
    for user in User::all() {
        tokens.insert(&user.print_token()?, user)?;
    }
    print_tries(
        &format!("http://{address}"),
        include_str!("custom_responses.sh"),
    );
    axum::serve(listener, app(tokens)?).await?;
    Ok(())
}
