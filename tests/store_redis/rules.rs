//! Rules of sessions that hold on every store.

use std::sync::atomic::{AtomicU32, Ordering};

use tower_bearer::issuing::store::RedisStore;

use crate::redis_server::RedisServer;
use crate::session_rules::{self, Stores};

struct InRedis {
    server: RedisServer,
    count: AtomicU32,
}

impl InRedis {
    fn new() -> Self {
        Self {
            server: RedisServer::start(),
            count: AtomicU32::new(0),
        }
    }
}

impl Stores for InRedis {
    type Store = RedisStore;

    async fn store(&self) -> RedisStore {
        let prefix = format!("rules-{}", self.count.fetch_add(1, Ordering::Relaxed));
        let builder = RedisStore::builder(&self.server.url()).prefix(prefix);
        builder.connect().await.unwrap()
    }
}

session_rules::session_rules!(InRedis::new(), 1_000);
