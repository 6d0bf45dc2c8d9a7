//! Validators that remember: what they say at once, and what they never do.

#[path = "../support/http_server.rs"]
mod http_server;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/tokens.rs"]
mod tokens;

mod combined;
mod entries;
mod in_flight;
mod jwt;
mod properties;
mod remote_keys;
mod sources;
mod threads;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Request;
use http::header::AUTHORIZATION;
use tower::Layer as _;
use tower_bearer::ValidatorExt as _;
use tower_bearer::cache::{CacheSettings, Cached};
use tower_bearer::clock::ManualClock;
use tower_bearer::policy::Policy;
use tower_bearer::{
    BearerAuth, BearerAuthLayer, Credential, Failure, FailureKind, InvalidReason, RequestView,
    Validated, Validator, Verdict,
};

use crate::support::{Answer, Body, Greet, User, send, start};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
/// The default of the time to live.
const TIME_TO_LIVE: Duration = Duration::from_secs(300);

/// A validator that answers as the test says, and counts.
#[derive(Clone)]
struct Source(Arc<Asked>);

struct Asked {
    calls: AtomicUsize,
    answer: Answering,
}

type Answering = Mutex<Box<dyn FnMut(&str) -> Verdict<User> + Send>>;

impl Source {
    fn new(answer: impl FnMut(&str) -> Verdict<User> + Send + 'static) -> Self {
        Self(Arc::new(Asked {
            calls: AtomicUsize::new(0),
            answer: Mutex::new(Box::new(answer)),
        }))
    }

    /// Says yes to everything.
    fn yes() -> Self {
        Self::new(|_| Ok(alice()).into())
    }

    /// How often it was asked.
    fn calls(&self) -> usize {
        self.0.calls.load(Ordering::SeqCst)
    }

    fn remembered(&self) -> Cached<Self> {
        self.clone().cached(CacheSettings::new())
    }
}

impl Validator for Source {
    type Principal = User;

    fn validate(&self, credential: &Credential<'_>, _: &RequestView<'_>) -> Verdict<User> {
        self.0.calls.fetch_add(1, Ordering::SeqCst);
        // Not held while a waiting verdict is dropped, nor poisoned by a test that panics in here.
        let mut answer = self
            .0
            .answer
            .lock()
            .unwrap_or_else(|error| error.into_inner());
        (answer)(credential.token())
    }
}

fn alice() -> Validated<User> {
    named("alice")
}

fn named(subject: &'static str) -> Validated<User> {
    Validated::new(User {
        subject,
        scope: "orders:read",
        ..User::default()
    })
}

fn refusal(reason: InvalidReason) -> Failure {
    Failure::invalid(reason)
}

fn clock() -> ManualClock {
    ManualClock::new(start())
}

fn service<V: Validator<Principal = User>>(
    validator: V,
    clock: &ManualClock,
) -> BearerAuth<Greet, V, impl Policy<User> + use<V>> {
    BearerAuthLayer::new(validator)
        .with_clock(clock.clone())
        .layer(Greet)
}

fn request(token: &str) -> Request<Body> {
    Request::get("/orders")
        .header(AUTHORIZATION, format!("Bearer {token}"))
        .body(Body::default())
        .unwrap()
}

async fn ask<V, P>(service: &BearerAuth<Greet, V, P>, token: &str) -> Answer
where
    V: Validator<Principal = User>,
    P: Policy<User>,
{
    send(service.clone(), request(token)).await
}

async fn status<V, P>(service: &BearerAuth<Greet, V, P>, token: &str) -> u16
where
    V: Validator<Principal = User>,
    P: Policy<User>,
{
    ask(service, token).await.status()
}

/// Whether it is said at once, from memory.
fn recalls<V: Validator>(validator: &V, token: &str, clock: &ManualClock) -> bool {
    let request = Request::new(());
    let credential = Credential::bearer(token).unwrap();
    let view = RequestView::with_clock(&request, clock);
    match validator.cached_verdict(&credential.unchecked(), &view) {
        None => false,
        Some(Verdict::Ready(Ok(validated))) => !validated.is_expired(view.now()),
        Some(Verdict::Ready(Err(failure))) => panic!("{failure}"),
        Some(Verdict::Pending(_)) => panic!("nothing has to wait"),
    }
}

/// What a validator says alone, waited for.
async fn judge<V: Validator>(
    validator: &V,
    token: &str,
    clock: &ManualClock,
) -> Result<Validated<V::Principal>, FailureKind> {
    let verdict = {
        let request = Request::new(());
        let credential = Credential::bearer(token).unwrap();
        let view = RequestView::with_clock(&request, clock);
        match validator.cached_verdict(&credential.unchecked(), &view) {
            Some(verdict) => verdict,
            None => validator.validate(&credential, &view),
        }
    };
    let answer = match verdict {
        Verdict::Ready(answer) => answer,
        Verdict::Pending(answer) => answer.await,
    };
    answer.map_err(|failure| failure.kind())
}
