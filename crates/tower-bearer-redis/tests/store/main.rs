//! `RedisStore` on a real Redis, which each test starts, stops and kills itself: the conformance suite, outages, other
//! processes, and what is checked when connecting. Needs `redis-server` and `redis-cli`.

mod checks;
mod configuration;
mod conformance;
mod hubs;
mod issuers;
mod outages;
mod processes;
mod redis_server;
mod resuming;
mod sessions;
mod tokens;

use std::time::{Duration, Instant, SystemTime};

use redis_server::RedisServer;
use tower_bearer::issuing::RevocationHub;
use tower_bearer::issuing::store::{SessionId, SessionRecord, StoreError};
use tower_bearer::revocation::{Revocation, RevocationClaims, Revocations as _};
use tower_bearer_redis::RedisStore;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);
const DEADLINE: Duration = Duration::from_secs(20);
const ISSUER: &str = "https://login.example.com/";

async fn store(server: &RedisServer) -> RedisStore {
    RedisStore::connect(&server.url()).await.unwrap()
}

/// Waits until it is so, and returns how long that took.
#[track_caller]
fn until(what: &str, is_so: impl Fn() -> bool) -> impl Future<Output = Duration> {
    let start = Instant::now();
    async move {
        while !is_so() {
            assert!(start.elapsed() < DEADLINE, "waited in vain: {what}");
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        start.elapsed()
    }
}

fn id(number: u128) -> SessionId {
    SessionId::from_bytes(number.to_be_bytes())
}

fn record(number: u128, version: u64) -> SessionRecord {
    let end = SystemTime::now() + HOUR;
    SessionRecord::new(
        id(number),
        version,
        ISSUER,
        "alice",
        "web",
        end,
        vec![0, 13, 10, 255],
    )
}

fn session(name: &str) -> Revocation {
    Revocation::session(Some(ISSUER), name, SystemTime::now() + HOUR)
}

/// What a hub says of a token in that session; `None` if it cannot tell.
fn asks(hub: &RevocationHub, name: &str) -> Option<bool> {
    let token = RevocationClaims::new()
        .with_issuer(ISSUER)
        .with_session(name);
    hub.is_revoked(&token, SystemTime::now()).ok()
}

#[track_caller]
#[allow(
    clippy::needless_pass_by_value,
    reason = "reads better at the many calls"
)]
fn is_unavailable<T: std::fmt::Debug>(answer: Result<T, StoreError>) {
    assert!(
        matches!(answer, Err(StoreError::Unavailable { .. })),
        "{answer:?}"
    );
}
