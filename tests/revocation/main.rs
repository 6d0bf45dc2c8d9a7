//! What has been taken back, from the list to the answer of the layer.

#[path = "../support/http_server.rs"]
mod http_server;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/tokens.rs"]
mod tokens;

mod list;
mod logout;
mod outages;
mod requests;

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use http::Request;
use http::header::AUTHORIZATION;
use serde_json::{Value, json};
use tower::Layer as _;
use tower_bearer::clock::ManualClock;
use tower_bearer::jwt::{JwtValidator, JwtValidatorBuilder, SharedSecret};
use tower_bearer::revocation::{RevocationClaims, RevocationList, Revocations};
use tower_bearer::{
    BearerAuthLayer, Credential, FailureKind, InvalidReason, RequestView, Validator, Verdict,
};

use crate::support::{Answer, Body, send};
use crate::tokens::{AUDIENCE, ISSUER, NOW, SECRET, Signer, claims, now, with};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const REVOKED: FailureKind = FailureKind::Invalid(InvalidReason::Revoked);

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn clock() -> ManualClock {
    ManualClock::new(now())
}

/// A token of `alice`, issued a minute ago for an hour, in the session `s-1`.
fn token(changes: Value) -> String {
    let claims = with(claims(), json!({"sid": "s-1"}));
    Signer::new("HS256").token(&with(claims, changes))
}

fn builder() -> JwtValidatorBuilder {
    JwtValidator::builder(SharedSecret::hs256(SECRET).unwrap())
        .issuer(ISSUER)
        .audience(AUDIENCE)
}

/// What a validator says at once, and whether it says so from memory.
fn ask<V: Validator>(
    validator: &V,
    token: &str,
    clock: &ManualClock,
) -> (Result<(), FailureKind>, bool) {
    let request = Request::new(());
    let credential = Credential::bearer(token).unwrap();
    let view = RequestView::with_clock(&request, clock);
    let (verdict, is_recalled) = match validator.cached_verdict(&credential.unchecked(), &view) {
        Some(verdict) => (verdict, true),
        None => (validator.validate(&credential, &view), false),
    };
    match verdict {
        Verdict::Ready(answer) => (
            answer.map(|_| ()).map_err(|failure| failure.kind()),
            is_recalled,
        ),
        Verdict::Pending(_) => panic!("nothing has to wait"),
    }
}

/// What a validator says at once.
fn says<V: Validator>(validator: &V, token: &str, clock: &ManualClock) -> Result<(), FailureKind> {
    ask(validator, token, clock).0
}

/// A store that does as the test says, and counts.
#[derive(Default)]
struct Store {
    asked: AtomicUsize,
    revoked: AtomicBool,
    is_down: AtomicBool,
    /// Whether there are epochs.
    has_epochs: AtomicBool,
    epoch: AtomicU64,
}

impl Store {
    fn new(has_epochs: bool) -> Arc<Self> {
        let store = Self::default();
        store.has_epochs.store(has_epochs, Ordering::SeqCst);
        Arc::new(store)
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn revoke(&self) {
        self.revoked.store(true, Ordering::SeqCst);
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }

    fn forgive(&self) {
        self.revoked.store(false, Ordering::SeqCst);
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }

    /// It has lost touch, so it cannot vouch for its epoch either.
    fn go_down(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::SeqCst);
    }
}

/// What such a store says in an outage, which nobody but the operator may see.
const DETAIL: &str = "redis://revocations.internal:6379 is gone";

impl Revocations for Store {
    fn is_revoked(
        &self,
        _: &RevocationClaims<'_>,
        _: SystemTime,
    ) -> Result<bool, Box<dyn Error + Send + Sync>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        match self.is_down.load(Ordering::SeqCst) {
            true => Err(DETAIL.into()),
            false => Ok(self.revoked.load(Ordering::SeqCst)),
        }
    }

    fn epoch(&self) -> Option<u64> {
        let is_known = !self.is_down.load(Ordering::SeqCst);
        (is_known && self.has_epochs.load(Ordering::SeqCst))
            .then(|| self.epoch.load(Ordering::SeqCst))
    }
}

/// What a layer answers.
async fn answer<V: Validator<Principal: tower_bearer::policy::Claims>>(
    validator: V,
    token: &str,
    clock: &ManualClock,
) -> Answer {
    let service = BearerAuthLayer::new(validator)
        .with_clock(clock.clone())
        .layer(crate::support::Greet);
    let request = Request::get("/orders")
        .header(AUTHORIZATION, format!("Bearer {token}"))
        .body(Body::default())
        .unwrap();
    send(service, request).await
}
