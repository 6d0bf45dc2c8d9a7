//! A Redis that hangs, is killed, and comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use tower_bearer::issuing::store::{RevocationStore as _, SessionStore as _};
use tower_bearer_redis::RedisStore;

use crate::redis_server::RedisServer;
use crate::{DEADLINE, SECOND, id, is_unavailable, record, session, store};

const LIMIT: Duration = Duration::from_millis(200);

async fn impatient(server: &RedisServer) -> RedisStore {
    let builder = RedisStore::builder(&server.url()).timeout(LIMIT);
    builder.connect().await.unwrap()
}

#[tokio::test]
async fn a_redis_that_hangs_is_not_waited_for() {
    let server = RedisServer::start();
    let store = impatient(&server).await;
    let now = SystemTime::now();
    store.insert(record(1, 0), now).await.unwrap();
    server.pause();
    for _ in 0..3 {
        let start = Instant::now();
        is_unavailable(store.find(id(1)).await);
        assert!((LIMIT..SECOND).contains(&start.elapsed()));
        let start = Instant::now();
        is_unavailable(store.changes(None).await);
        assert!((LIMIT..SECOND).contains(&start.elapsed()));
    }
    // Many at a time wait no longer.
    let start = Instant::now();
    let revocation = session("s");
    let all = (0..50).map(|_| store.add(&revocation, now));
    for answer in futures_util::future::join_all(all).await {
        is_unavailable(answer);
    }
    assert!(start.elapsed() < SECOND);
    server.resume();
    assert!(store.find(id(1)).await.unwrap().is_some());
    assert!(store.changes(None).await.is_ok());
}

#[tokio::test]
async fn a_redis_that_answers_late_is_not_waited_for() {
    let server = RedisServer::start();
    let store = impatient(&server).await;
    server.command(&["CLIENT", "PAUSE", "600000", "WRITE"]);
    let start = Instant::now();
    is_unavailable(store.insert(record(1, 0), SystemTime::now()).await);
    assert!((LIMIT..SECOND).contains(&start.elapsed()));
    // Who only reads goes on.
    store.find(id(1)).await.unwrap();
    server.command(&["CLIENT", "UNPAUSE"]);
    store.insert(record(2, 0), SystemTime::now()).await.unwrap();
}

#[tokio::test]
async fn at_most_one_command_fails_after_the_return() {
    let mut server = RedisServer::start();
    let store = store(&server).await;
    store.insert(record(1, 0), SystemTime::now()).await.unwrap();
    for version in 1..=5 {
        server.kill();
        if version % 2 == 0 {
            let start = Instant::now();
            for _ in 0..3 {
                is_unavailable(store.find(id(1)).await);
            }
            assert!(start.elapsed() < SECOND);
        }
        server.start_again();
        // One command may meet the dead connection before that is noticed.
        let start = Instant::now();
        let is_replaced = match store.replace(record(1, version)).await {
            Err(_) => store.replace(record(1, version)).await,
            answer => answer,
        };
        assert!(is_replaced.unwrap());
        assert!(start.elapsed() < SECOND);
    }
}

#[tokio::test]
async fn a_store_outlives_the_runtime_that_made_its_connection() {
    let server = RedisServer::start();
    let url = server.url();
    let store = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(RedisStore::connect(&url)).unwrap()
    });
    let store = store.await.unwrap();
    store.insert(record(1, 0), SystemTime::now()).await.unwrap();
    store.changes(None).await.unwrap();
}

#[tokio::test]
async fn who_no_longer_waits_leaves_nothing_behind() {
    let server = RedisServer::start();
    let store = store(&server).await;
    let start = store.changes(None).await.unwrap();
    for _ in 0..20 {
        let waiting = store.changes(Some(&start.cursor));
        let patience = Duration::from_millis(5);
        assert!(tokio::time::timeout(patience, waiting).await.is_err());
    }
    store.add(&session("s"), SystemTime::now()).await.unwrap();
    let found = store.changes(Some(&start.cursor)).await.unwrap();
    assert_eq!(found.revocations.len(), 1);
    // The two connections of this store, and that of who asks.
    let clients = || server.command(&["CLIENT", "LIST"]).lines().count();
    crate::until("connections end", || clients() <= 3).await;
}

/// All writers write until Redis is killed in the middle of it; what was acknowledged is there afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_missing_after_a_kill() {
    let mut server = RedisServer::start();
    let store = store(&server).await;
    for round in 0..4_u128 {
        // The connection of the round before is dead, which the first who uses it may learn.
        _ = store.find(id(0)).await;
        let key = "{tower-bearer}:revocations";
        let count = || server.command(&["XLEN", key]).parse::<usize>().unwrap();
        let before = count();
        let is_over = Arc::new(AtomicBool::new(false));
        let tasks: Vec<_> = (0..8_u128)
            .map(|task| {
                let (store, is_over) = (store.clone(), Arc::clone(&is_over));
                tokio::spawn(write((round << 8) + task, store, is_over))
            })
            .collect();
        // In the midst of it, each time at another place.
        let enough = 50 + 37 * round as usize;
        let start = Instant::now();
        while count() < before + enough {
            assert!(start.elapsed() < DEADLINE);
        }
        server.kill();
        is_over.store(true, Ordering::Relaxed);
        let mut written = Vec::new();
        for task in tasks {
            written.push(task.await.unwrap());
        }
        server.start_again();

        let mut names = Vec::new();
        let mut page = store.changes(None).await.unwrap();
        names.extend(
            page.revocations
                .iter()
                .map(|revocation| revocation.to_text()),
        );
        while page.more {
            page = store.changes(Some(&page.cursor)).await.unwrap();
            names.extend(
                page.revocations
                    .iter()
                    .map(|revocation| revocation.to_text()),
            );
        }
        for written in &written {
            for (number, version) in &written.versions {
                let found = store.find(id(*number)).await.unwrap();
                let found = found.unwrap_or_else(|| panic!("session {number:x} is missing"));
                // The one change whose answer was lost may have been made.
                assert!(found.version() == *version || found.version() == version + 1);
            }
            for name in &written.revoked {
                assert!(names.iter().any(|text| text.contains(name)), "{name}");
            }
        }
        let count: usize = written.iter().map(|written| written.versions.len()).sum();
        assert!(count >= enough, "{count} sessions");
        println!("round {round}: {count} sessions acknowledged, all there");
    }
}

#[derive(Default)]
struct Written {
    /// Sessions with the last version that was acknowledged.
    versions: Vec<(u128, u64)>,
    revoked: Vec<String>,
}

async fn write(task: u128, store: RedisStore, is_over: Arc<AtomicBool>) -> Written {
    let mut written = Written::default();
    for count in 0.. {
        let number = (task << 32) + count;
        let now = SystemTime::now();
        if store.insert(record(number, 0), now).await.is_err() {
            break;
        }
        written.versions.push((number, 0));
        for version in 1..4 {
            match store.replace(record(number, version)).await {
                Ok(is_replaced) => assert!(is_replaced),
                Err(_) => break,
            }
            written.versions.last_mut().unwrap().1 = version;
        }
        let name = format!("s-{number:x}-");
        match store.add(&session(&name), now).await {
            Ok(()) => written.revoked.push(name),
            Err(_) => break,
        }
        if is_over.load(Ordering::Relaxed) {
            break;
        }
    }
    written
}
