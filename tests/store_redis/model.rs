//! Whatever happens to sessions, every token is judged as a simple model does.

use std::sync::atomic::{AtomicU32, Ordering};

use super::session_model::{Place, holds_for};
use super::*;

struct InRedis<'a> {
    server: &'a RedisServer,
    prefix: String,
}

impl Place for InRedis<'_> {
    type Store = RedisStore;

    const LASTS: bool = true;

    async fn open(&self) -> RedisStore {
        let builder = RedisStore::builder(&self.server.url()).prefix(self.prefix.clone());
        builder.connect().await.unwrap()
    }
}

#[test]
fn sessions_in_redis_are_those_of_the_model() {
    let server = RedisServer::start();
    let count = AtomicU32::new(0);
    holds_for(16, || InRedis {
        server: &server,
        prefix: format!("model-{}", count.fetch_add(1, Ordering::Relaxed)),
    });
}
