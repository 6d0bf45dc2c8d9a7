//! `RedisStore` on a real Redis, which is stopped, killed and started again. `cargo test` leaves this file out, since not
//! every machine has one; `cargo test --all-features --test store_redis` runs it.

#[path = "support/redis_server.rs"]
mod redis_server;
#[path = "support/session_model.rs"]
mod session_model;
#[path = "support/session_rules.rs"]
mod session_rules;
#[path = "support/store_contract.rs"]
mod store_contract;
#[path = "support/tokens.rs"]
mod tokens;

#[path = "store_redis/checks.rs"]
mod checks;
#[path = "store_redis/configuration.rs"]
mod configuration;
#[path = "store_redis/contract.rs"]
mod contract;
#[path = "store_redis/hubs.rs"]
mod hubs;
#[path = "store_redis/issuers.rs"]
mod issuers;
#[path = "store_redis/model.rs"]
mod model;
#[path = "store_redis/outages.rs"]
mod outages;
#[path = "store_redis/processes.rs"]
mod processes;
#[path = "store_redis/resuming.rs"]
mod resuming;
#[path = "store_redis/rules.rs"]
mod rules;
#[path = "store_redis/sessions.rs"]
mod sessions;

use std::time::{Duration, Instant, SystemTime};

use redis_server::RedisServer;
use tower_bearer::issuing::RevocationHub;
use tower_bearer::issuing::store::{RedisStore, SessionId, SessionRecord, StoreError};
use tower_bearer::revocation::{Revocation, RevocationClaims, Revocations as _};

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
