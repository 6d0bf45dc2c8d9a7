//! Sessions, with nothing in the way.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tower_bearer::issuing::store::{SessionRecord, SessionStore as _, SessionsOf, StoreError};
use tower_bearer_redis::RedisStore;

use crate::redis_server::RedisServer;
use crate::{HOUR, ISSUER, id, record, store};

/// Numbers of the sessions that are listed.
async fn listed(store: &RedisStore, of: SessionsOf<'_>) -> Vec<u128> {
    let records = store.list(ISSUER, of, None, 1_000_000).await.unwrap();
    let ids = records.iter().map(|record| *record.id().as_bytes());
    ids.map(u128::from_be_bytes).collect()
}

#[tokio::test]
async fn a_record_is_kept_as_it_is() {
    let server = RedisServer::start();
    let (one, other) = (store(&server).await, store(&server).await);
    let now = SystemTime::now();
    for (number, name) in ["alice", "", "a}b:{c", "\0\r\n", "\u{1f600}"]
        .iter()
        .enumerate()
    {
        let number = number as u128;
        let every_byte = (0..=255).collect();
        let record = SessionRecord::new(id(number), 0, ISSUER, name, name, now + HOUR, every_byte);
        one.insert(record.clone(), now).await.unwrap();
        assert_eq!(other.find(id(number)).await.unwrap(), Some(record.clone()));
        for of in [SessionsOf::Subject(name), SessionsOf::Client(name)] {
            let listed = other.list(ISSUER, of, None, 10).await.unwrap();
            assert_eq!(listed, std::slice::from_ref(&record));
        }
        assert!(matches!(
            other.insert(record, now).await,
            Err(StoreError::Exists)
        ));
    }
    for number in 0..5 {
        assert!(other.remove(id(number)).await.unwrap());
        assert!(!one.remove(id(number)).await.unwrap());
        assert_eq!(one.find(id(number)).await.unwrap(), None);
        assert!(!one.replace(record(number, 1)).await.unwrap());
    }
    assert_eq!(server.command(&["DBSIZE"]), "0");
}

#[tokio::test]
async fn only_the_next_version_replaces() {
    let server = RedisServer::start();
    let store = store(&server).await;
    store.insert(record(1, 0), SystemTime::now()).await.unwrap();
    // Up to the carry of one byte into the next.
    for version in 1..=300 {
        for other in [version - 1, version + 1, version + 256, u64::MAX] {
            assert!(!store.replace(record(1, other)).await.unwrap(), "{other}");
        }
        assert!(store.replace(record(1, version)).await.unwrap());
        assert!(!store.replace(record(1, version)).await.unwrap());
    }
    let found = store.find(id(1)).await.unwrap().unwrap();
    assert_eq!(found.version(), 300);
}

#[tokio::test]
async fn pages_are_in_order_and_complete() {
    let server = RedisServer::start();
    let store = store(&server).await;
    let now = SystemTime::now();
    let numbers: Vec<u128> = (0..2_500).map(|number| (number << 100) + 7).collect();
    for number in numbers.iter().rev() {
        store.insert(record(*number, 0), now).await.unwrap();
    }
    assert!(listed(&store, SessionsOf::Client("web")).await == numbers);
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = store.list(ISSUER, SessionsOf::Subject("alice"), after, 999);
        let page = page.await.unwrap();
        assert!(page.len() <= 999);
        let Some(last) = page.last() else { break };
        after = Some(last.id());
        seen.extend(
            page.iter()
                .map(|record| u128::from_be_bytes(*record.id().as_bytes())),
        );
    }
    assert!(seen == numbers, "{} were seen", seen.len());
    assert!(
        store
            .list(ISSUER, SessionsOf::Client("web"), None, 0)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(listed(&store, SessionsOf::Client("alice")).await.is_empty());

    // Somebody has deleted some by hand: more than are looked at in one go.
    let keys = numbers[..1_500].iter();
    let keys: Vec<_> = keys
        .map(|number| format!("{{tower-bearer}}:session:{number:032x}"))
        .collect();
    let mut delete = vec!["DEL"];
    delete.extend(keys.iter().map(String::as_str));
    assert_eq!(server.command(&delete), "1500");
    let left = listed(&store, SessionsOf::Client("web")).await;
    assert!(left == numbers[1_500..], "{} are left", left.len());
    assert_eq!(
        server.command(&[
            "ZCARD",
            "{tower-bearer}:client:26:https://login.example.com/web"
        ]),
        "1000"
    );
}

#[tokio::test]
async fn sessions_go_once_both_clocks_say_that_they_have_ended() {
    let server = RedisServer::start();
    let store = store(&server).await;
    let now = SystemTime::now();
    for number in 0..200 {
        let name = format!("user-{number}");
        let end = now - HOUR;
        let ended = SessionRecord::new(id(number), 0, ISSUER, &name, &name, end, Vec::new());
        // A clock here that is far behind takes nothing away,
        let behind = SystemTime::UNIX_EPOCH;
        store.insert(ended, behind).await.unwrap();
    }
    assert_eq!(server.command(&["ZCARD", "{tower-bearer}:ends"]), "200");
    store.insert(record(1_000, 0), now).await.unwrap();
    assert_eq!(server.command(&["ZCARD", "{tower-bearer}:ends"]), "137");
    for number in 1..10 {
        // nor does one that is far ahead.
        let ahead = now + 1_000_000 * HOUR;
        store
            .insert(record(1_000 + number, 0), ahead)
            .await
            .unwrap();
    }
    assert_eq!(server.command(&["ZCARD", "{tower-bearer}:ends"]), "10");
    // The ten sessions, and three indices.
    assert_eq!(server.command(&["DBSIZE"]), "13");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_hundred_who_replace_one_succeeds() {
    let server = RedisServer::start();
    let stores = [store(&server).await, store(&server).await];
    stores[0]
        .insert(record(1, 0), SystemTime::now())
        .await
        .unwrap();
    let start = Instant::now();
    for version in 1..=20 {
        // They may well all want the same.
        let next = record(1, version);
        let tasks: Vec<_> = (0..100)
            .map(|task| {
                let (store, next) = (stores[task % 2].clone(), next.clone());
                tokio::spawn(async move { store.replace(next).await.unwrap() })
            })
            .collect();
        let mut winners = 0;
        for task in tasks {
            winners += usize::from(task.await.unwrap());
        }
        assert_eq!(winners, 1, "version {version}");
    }
    println!("2000 attempts of 100 tasks in {:?}", start.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_that_redis_has_forgotten_are_given_to_it_again() {
    let server = RedisServer::start();
    let store = store(&server).await;
    store.insert(record(1, 0), SystemTime::now()).await.unwrap();
    for version in 1..10 {
        server.command(&["SCRIPT", "FLUSH"]);
        assert!(store.replace(record(1, version)).await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn prefixes_keep_applications_apart() {
    let server = RedisServer::start();
    let one = store(&server).await;
    let other = RedisStore::builder(&server.url()).prefix("other").connect();
    let other = other.await.unwrap();
    one.insert(record(1, 0), SystemTime::now()).await.unwrap();
    assert_eq!(other.find(id(1)).await.unwrap(), None);
    other.insert(record(1, 0), SystemTime::now()).await.unwrap();
    assert!(other.remove(id(1)).await.unwrap());
    assert!(one.find(id(1)).await.unwrap().is_some());
}

/// Not a test of anything: says how fast it is.
#[tokio::test(flavor = "multi_thread")]
async fn replacing_takes_what_redis_takes() {
    let server = RedisServer::start();
    for (fsync, count) in [("always", 400), ("everysec", 2_000)] {
        server.command(&["CONFIG", "SET", "appendfsync", fsync]);
        let store = Arc::new(store(&server).await);
        let start = Instant::now();
        let tasks: Vec<_> = (0..16_u128)
            .map(|task| {
                let store = Arc::clone(&store);
                let number = task + count as u128 * 100;
                tokio::spawn(async move {
                    store
                        .insert(record(number, 0), SystemTime::now())
                        .await
                        .unwrap();
                    for version in 1..=count {
                        assert!(store.replace(record(number, version)).await.unwrap());
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let rate = 16.0 * count as f64 / start.elapsed().as_secs_f64();
        let start = Instant::now();
        for version in 1..=100 {
            store
                .replace(record(count as u128 * 100, count + version))
                .await
                .unwrap();
        }
        let alone: Duration = start.elapsed() / 100;
        println!("appendfsync {fsync}: {rate:.0} replacements a second, {alone:?} each alone");
    }
}
