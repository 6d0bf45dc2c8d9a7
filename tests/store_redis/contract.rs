//! What every store has to do.

use std::time::SystemTime;

use crate::redis_server::RedisServer;
use crate::{store, store_contract};

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_kept_as_in_every_store() {
    let server = RedisServer::start();
    let empty = async || {
        server.command(&["FLUSHALL"]);
        store(&server).await
    };
    store_contract::sessions(empty, SystemTime::now()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn revocations_are_kept_as_in_every_store() {
    let server = RedisServer::start();
    let empty = async || {
        server.command(&["FLUSHALL"]);
        store(&server).await
    };
    store_contract::revocations(empty, SystemTime::now()).await;
}
