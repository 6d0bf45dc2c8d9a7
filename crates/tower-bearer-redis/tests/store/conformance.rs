//! The conformance suite.

use std::sync::atomic::{AtomicU32, Ordering};

use tower_bearer::issuing::store::conformance::{
    SessionModel, check_issuers, check_revocations, check_sessions,
};
use tower_bearer_redis::RedisStore;

use crate::redis_server::RedisServer;

/// Empty locations in one Redis: each has a prefix of its own.
struct Locations {
    server: RedisServer,
    count: AtomicU32,
}

impl Locations {
    fn new() -> Self {
        Self {
            server: RedisServer::start(),
            count: AtomicU32::new(0),
        }
    }

    fn prefix(&self) -> String {
        format!("test-{}", self.count.fetch_add(1, Ordering::Relaxed))
    }

    async fn open(&self, prefix: &str) -> RedisStore {
        let builder = RedisStore::builder(&self.server.url()).prefix(prefix);
        builder.connect().await.unwrap()
    }

    async fn new_store(&self) -> RedisStore {
        self.open(&self.prefix()).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_store_keeps_sessions() {
    let locations = Locations::new();
    check_sessions(async || locations.new_store().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_store_keeps_revocations() {
    let locations = Locations::new();
    check_revocations(async || locations.new_store().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn issuers_on_redis_store_keep_session_rules() {
    let locations = Locations::new();
    check_issuers(async || locations.new_store().await).await;
}

#[tokio::test]
async fn redis_store_agrees_with_session_model() {
    let locations = &Locations::new();
    let new_location = || {
        let prefix = locations.prefix();
        async move || locations.open(&prefix).await
    };
    SessionModel::new().histories(16).check(new_location).await;
}
