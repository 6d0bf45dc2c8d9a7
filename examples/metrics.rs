//! An audit line for every decision, and metrics that `GET /metrics` shows to Prometheus.
//!
//! `cargo run -p examples --example metrics` prints what to try. `ADDR` sets the address (default 127.0.0.1:3000).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::http::Method;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use examples::{Failure, User, listen, print_tries};
use tower_bearer::policy::{public, scope};
use tower_bearer::{BearerAuthLayer, ConfigError, DecisionEvent, OpaqueTokens, Outcome, Policies};

/// The routes behind the layer.
fn app(tokens: OpaqueTokens<User>) -> Result<Router, ConfigError> {
    let policies = Policies::builder()
        .at("/metrics", public().on([Method::GET]))
        .under("/reports", scope("reports:read"))
        .build()?;
    let metrics = Arc::new(Metrics::default());
    let counted = Arc::clone(&metrics);
    let auth = BearerAuthLayer::new(tokens)
        .with_policy(policies)
        .on_decision(move |event| {
            counted.count(event);
            audit(event);
        });
    let show = move || async move {
        let text = "text/plain; version=0.0.4; charset=utf-8";
        ([(CONTENT_TYPE, text)], metrics.to_string())
    };
    Ok(Router::new()
        .route("/metrics", get(show))
        .route("/reports", get(|| async { "All is well.\n" }))
        .layer(auth))
}

/// Writes one line for each decision. An event contains no token.
fn audit(event: &DecisionEvent<'_>) {
    let (outcome, kind) = describe(event);
    let user = event.principal::<User>().map_or("-", |user| user.name);
    let reason = match event.outcome() {
        Outcome::Rejected(rejection) => rejection.kind().reason().unwrap_or("-"),
        _ => "-",
    };
    let (method, rule) = (event.method(), event.rule().unwrap_or("-"));
    eprintln!(
        "audit method={method} outcome={outcome} kind={kind} reason={reason} user={user} rule={rule:?}"
    );
}

/// The number of decisions by outcome, kind, method and scheme. Each label is one of a fixed set, since a label
/// that a client chooses would make the number of counters unbounded.
#[derive(Debug, Default)]
struct Metrics(Mutex<BTreeMap<[&'static str; 4], u64>>);

impl Metrics {
    fn count(&self, event: &DecisionEvent<'_>) {
        let (outcome, kind) = describe(event);
        let scheme = event.scheme().map_or("none", |scheme| scheme.as_str());
        let labels = [outcome, kind, method_label(event.method()), scheme];
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(labels).or_default() += 1;
    }
}

/// The text format of Prometheus.
impl fmt::Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "# HELP auth_decisions_total Decisions of the authentication layer."
        )?;
        writeln!(f, "# TYPE auth_decisions_total counter")?;
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for ([outcome, kind, method, scheme], count) in &*counts {
            write!(
                f,
                r#"auth_decisions_total{{outcome="{outcome}",kind="{kind}","#
            )?;
            writeln!(f, r#"method="{method}",scheme="{scheme}"}} {count}"#)?;
        }
        Ok(())
    }
}

fn describe(event: &DecisionEvent<'_>) -> (&'static str, &'static str) {
    match event.outcome() {
        Outcome::Allowed => ("allowed", "none"),
        Outcome::Anonymous => ("anonymous", "none"),
        Outcome::Preflight => ("preflight", "none"),
        Outcome::Rejected(rejection) => ("rejected", rejection.kind().as_str()),
        _ => ("other", "none"),
    }
}

/// Returns `other` for a method that a client invented.
fn method_label(method: &Method) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    let mut known = KNOWN.into_iter();
    known
        .find(|known| *known == method.as_str())
        .unwrap_or("other")
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let (listener, address) = listen("127.0.0.1:3000").await?;
    let tokens = OpaqueTokens::new();
    for user in User::all() {
        tokens.insert(&user.print_token()?, user)?;
    }
    print_tries(&format!("http://{address}"), include_str!("metrics.sh"));
    axum::serve(listener, app(tokens)?).await?;
    Ok(())
}
