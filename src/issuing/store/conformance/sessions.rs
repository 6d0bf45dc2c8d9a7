//! The rules of a store of sessions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::rule::{ODD_NAMES, hour, rule};
use crate::issuing::store::{SessionId, SessionRecord, SessionStore, SessionsOf, StoreError};

/// Tests a store of sessions.
///
/// `new_store` returns an empty store each time. It is called once for each of the 13 rules.
///
/// # Panics
///
/// If the store breaks a rule. The message contains the rule.
///
/// # Examples
///
/// ```
/// use tower_bearer::issuing::store::{MemoryStore, conformance};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// conformance::check_sessions(async || MemoryStore::new()).await;
/// # }
/// ```
pub async fn check_sessions<S: SessionStore + 'static>(new_store: impl AsyncFn() -> S) {
    let now = SystemTime::now();
    let store = async || new_store().await;
    rule(
        "a record that was inserted is found unchanged",
        inserted_record_is_found_unchanged(&store().await, now),
    )
    .await;
    rule(
        "an id is inserted once",
        id_is_inserted_once(&store().await, now),
    )
    .await;
    rule(
        "a record is replaced only by the next version",
        record_is_replaced_only_by_next_version(&store().await, now),
    )
    .await;
    rule(
        "a session that was removed is not found or listed",
        removed_session_stays_removed(&store().await, now),
    )
    .await;
    rule(
        "a list is ordered by the bytes of the ids and read in pages",
        list_is_ordered_and_paged(&store().await, now),
    )
    .await;
    rule(
        "a list contains the sessions of its user or client, and no others",
        list_contains_only_its_user_or_client(&store().await, now),
    )
    .await;
    rule(
        "issuers in one store have separate lists",
        issuers_have_separate_lists(&store().await, now),
    )
    .await;
    rule(
        "the expiry of a session moves both ways",
        expiry_moves_both_ways(&store().await, now),
    )
    .await;
    rule(
        "a long name is stored entirely, or the session is rejected",
        long_name_is_stored_or_rejected(&store().await, now),
    )
    .await;
    rule(
        "expired sessions may be removed, and no others",
        only_expired_sessions_are_removed(&store().await, now),
    )
    .await;
    rule(
        "an expired session does not block its id",
        expired_session_does_not_block_its_id(&store().await, now),
    )
    .await;
    rule(
        "one of many concurrent replacements of a version succeeds",
        one_of_many_replacements_succeeds(store().await, now),
    )
    .await;
    rule(
        "concurrent changes of different sessions are all kept",
        concurrent_changes_are_kept(store().await, now),
    )
    .await;
}

/// The issuer of all sessions below but those that belong to another one.
const ISSUER: &str = "https://issuer.example";

fn id(number: u64) -> SessionId {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    SessionId::from_bytes(bytes)
}

/// Version 0 of a session of alice by the client web.
fn record(number: u64, end: SystemTime) -> SessionRecord {
    SessionRecord::new(id(number), 0, ISSUER, "alice", "web", end, vec![0, 255])
}

/// The same session with another version and other data.
fn version(record: &SessionRecord, version: u64) -> SessionRecord {
    with_end(record, version, record.expires_at())
}

fn with_end(record: &SessionRecord, version: u64, end: SystemTime) -> SessionRecord {
    let data = version.to_be_bytes().to_vec();
    SessionRecord::new(
        record.id(),
        version,
        ISSUER,
        record.subject(),
        record.client(),
        end,
        data,
    )
}

/// All of them, read in parts of `limit`.
async fn list_all(
    store: &impl SessionStore,
    of: SessionsOf<'_>,
    limit: usize,
) -> Vec<SessionRecord> {
    let mut all: Vec<SessionRecord> = Vec::new();
    loop {
        let after = all.last().map(SessionRecord::id);
        let part = store.list(ISSUER, of, after, limit).await.unwrap();
        assert!(part.len() <= limit);
        if part.is_empty() {
            return all;
        }
        all.extend(part);
    }
}

async fn inserted_record_is_found_unchanged(store: &impl SessionStore, now: SystemTime) {
    assert_eq!(store.find(id(1)).await.unwrap(), None);
    let mut all = Vec::new();
    for (number, name) in (0..).zip(ODD_NAMES) {
        let data = vec![number as u8; number as usize * 100];
        let record = SessionRecord::new(id(number), 0, ISSUER, name, "", now + hour(), data);
        store.insert(record.clone(), now).await.unwrap();
        all.push(record);
    }
    for record in all {
        assert_eq!(store.find(record.id()).await.unwrap(), Some(record));
    }
    assert_eq!(store.find(id(77)).await.unwrap(), None);
}

async fn id_is_inserted_once(store: &impl SessionStore, now: SystemTime) {
    let first = record(1, now + hour());
    store.insert(first.clone(), now).await.unwrap();
    let second = SessionRecord::new(
        id(1),
        0,
        ISSUER,
        "mallory",
        "app",
        now + 2 * hour(),
        vec![1],
    );
    for again in [first.clone(), second] {
        let error = store.insert(again, now).await.unwrap_err();
        assert!(matches!(error, StoreError::Exists), "{error}");
    }
    assert_eq!(store.find(id(1)).await.unwrap(), Some(first));
    let of_mallory = list_all(store, SessionsOf::Subject("mallory"), 9).await;
    assert!(of_mallory.is_empty(), "a refused session is listed");
}

async fn record_is_replaced_only_by_next_version(store: &impl SessionStore, now: SystemTime) {
    let first = record(1, now + hour());
    assert!(
        !store.replace(version(&first, 1)).await.unwrap(),
        "there is none"
    );
    store.insert(first.clone(), now).await.unwrap();
    for wrong in [0, 2, u64::MAX] {
        assert!(
            !store.replace(version(&first, wrong)).await.unwrap(),
            "{wrong}"
        );
        assert_eq!(store.find(id(1)).await.unwrap().as_ref(), Some(&first));
    }
    let second = with_end(&first, 1, now + 2 * hour());
    assert!(store.replace(second.clone()).await.unwrap());
    assert!(!store.replace(second.clone()).await.unwrap(), "twice");
    assert_eq!(store.find(id(1)).await.unwrap(), Some(second.clone()));
    for of in [SessionsOf::Subject("alice"), SessionsOf::Client("web")] {
        assert_eq!(
            list_all(store, of, 9).await,
            std::slice::from_ref(&second),
            "{of:?}"
        );
    }
}

async fn removed_session_stays_removed(store: &impl SessionStore, now: SystemTime) {
    let first = record(1, now + hour());
    assert!(!store.remove(id(1)).await.unwrap());
    store.insert(first.clone(), now).await.unwrap();
    store.insert(record(2, now + hour()), now).await.unwrap();
    assert!(store.remove(id(1)).await.unwrap());
    assert!(!store.remove(id(1)).await.unwrap());
    assert!(!store.replace(version(&first, 1)).await.unwrap());
    assert_eq!(store.find(id(1)).await.unwrap(), None);
    for of in [SessionsOf::Subject("alice"), SessionsOf::Client("web")] {
        assert_eq!(
            list_all(store, of, 9).await,
            [record(2, now + hour())],
            "{of:?}"
        );
    }
    // Its id may be used again.
    store.insert(first.clone(), now).await.unwrap();
    assert_eq!(store.find(id(1)).await.unwrap(), Some(first));
}

async fn list_is_ordered_and_paged(store: &impl SessionStore, now: SystemTime) {
    let mut ids: Vec<SessionId> = (0..20).map(|number| id(number * 7_919 % 20)).collect();
    ids.push(SessionId::from_bytes([0xff; 16]));
    ids.push(SessionId::from_bytes([0x80; 16]));
    for id in &ids {
        let record = SessionRecord::new(*id, 0, ISSUER, "alice", "web", now + hour(), Vec::new());
        store.insert(record, now).await.unwrap();
    }
    ids.sort_unstable();
    for of in [SessionsOf::Subject("alice"), SessionsOf::Client("web")] {
        for limit in [1, 2, 7, 22, 23, 1_000] {
            let all = list_all(store, of, limit).await;
            let listed: Vec<_> = all.iter().map(SessionRecord::id).collect();
            assert_eq!(listed, ids, "{of:?}, {limit} at a time");
        }
        assert!(store.list(ISSUER, of, None, 0).await.unwrap().is_empty());
        // Behind one that is not there.
        let behind = store.list(ISSUER, of, Some(id(1_000)), 9).await.unwrap();
        let behind: Vec<_> = behind.iter().map(SessionRecord::id).collect();
        assert_eq!(behind, ids[20..], "{of:?}");
        let last = SessionId::from_bytes([0xff; 16]);
        assert!(
            store
                .list(ISSUER, of, Some(last), 9)
                .await
                .unwrap()
                .is_empty()
        );
    }
}

async fn list_contains_only_its_user_or_client(store: &impl SessionStore, now: SystemTime) {
    for (number, name) in (0..).zip(ODD_NAMES) {
        let client = ODD_NAMES[(number as usize + 1) % ODD_NAMES.len()];
        for each in 0..2 {
            let id = id(number * 2 + each);
            let record = SessionRecord::new(id, 0, ISSUER, name, client, now + hour(), Vec::new());
            store.insert(record, now).await.unwrap();
        }
    }
    for name in ODD_NAMES {
        let of_subject = list_all(store, SessionsOf::Subject(name), 1).await;
        assert_eq!(of_subject.len(), 2, "{name:?}");
        assert!(
            of_subject.iter().all(|record| record.subject() == name),
            "{name:?}"
        );
        let of_client = list_all(store, SessionsOf::Client(name), 9).await;
        assert_eq!(of_client.len(), 2, "{name:?}");
        assert!(
            of_client.iter().all(|record| record.client() == name),
            "{name:?}"
        );
    }
    for nobody in ["A", "a\0\0", "alice", "\u{e9} "] {
        assert!(
            list_all(store, SessionsOf::Subject(nobody), 9)
                .await
                .is_empty(),
            "{nobody:?}"
        );
        assert!(
            list_all(store, SessionsOf::Client(nobody), 9)
                .await
                .is_empty(),
            "{nobody:?}"
        );
    }
}

/// M01: one issuer per session, also for names that are equal when issuer and name are joined without care.
async fn issuers_have_separate_lists(store: &impl SessionStore, now: SystemTime) {
    let pairs = [
        ("a", "bc"),
        ("ab", "c"),
        ("abc", ""),
        ("", "abc"),
        ("1:a", "bc"),
        ("a:", "bc"),
        ("a\0", "bc"),
        ("a", "\0bc"),
    ];
    for (number, (issuer, name)) in (0..).zip(pairs) {
        let end = now + hour();
        let record = SessionRecord::new(id(number), 0, issuer, name, name, end, Vec::new());
        store.insert(record.clone(), now).await.unwrap();
        let found = store.find(id(number)).await.unwrap().unwrap();
        assert_eq!(found.issuer(), issuer);
    }
    for (number, (issuer, name)) in (0..).zip(pairs) {
        for of in [SessionsOf::Subject(name), SessionsOf::Client(name)] {
            let listed = store.list(issuer, of, None, 9).await.unwrap();
            let ids: Vec<_> = listed.iter().map(SessionRecord::id).collect();
            assert_eq!(ids, [id(number)], "{issuer:?} {of:?}");
        }
        assert!(store.remove(id(number)).await.unwrap());
        for of in [SessionsOf::Subject(name), SessionsOf::Client(name)] {
            let listed = store.list(issuer, of, None, 9).await.unwrap();
            assert!(listed.is_empty(), "{issuer:?} {of:?}");
        }
    }
}

async fn expiry_moves_both_ways(store: &impl SessionStore, now: SystemTime) {
    let first = record(1, now + hour());
    store.insert(first.clone(), now).await.unwrap();
    for (number, end) in [(1, now + 2 * hour()), (2, now + hour() / 2)] {
        let next = with_end(&first, number, end);
        assert!(store.replace(next.clone()).await.unwrap());
        assert_eq!(store.find(id(1)).await.unwrap(), Some(next));
    }
}

/// A store may refuse them, but then entirely.
async fn long_name_is_stored_or_rejected(store: &impl SessionStore, now: SystemTime) {
    for (number, length) in (0..).zip([255, 256, 4_096, 65_535, 65_536, 100_000]) {
        let name = "x".repeat(length);
        let record = SessionRecord::new(
            id(number),
            0,
            ISSUER,
            &name,
            &name,
            now + hour(),
            Vec::new(),
        );
        let kept = match store.insert(record.clone(), now).await {
            Ok(()) => vec![record],
            Err(_) => Vec::new(),
        };
        assert_eq!(
            store.find(id(number)).await.unwrap().as_slice(),
            kept,
            "{length}"
        );
        assert_eq!(
            list_all(store, SessionsOf::Subject(&name), 9).await,
            kept,
            "{length}"
        );
        assert_eq!(
            list_all(store, SessionsOf::Client(&name), 9).await,
            kept,
            "{length}"
        );
    }
    store.insert(record(99, now + hour()), now).await.unwrap();
}

async fn only_expired_sessions_are_removed(store: &impl SessionStore, now: SystemTime) {
    let second = Duration::from_secs(1);
    let short = now + second;
    for number in 0..10 {
        store.insert(record(number, short), now).await.unwrap();
    }
    // Two of them are prolonged, and one is cut short.
    for number in [3, 4] {
        let prolonged = with_end(&record(number, short), 1, now + hour());
        assert!(store.replace(prolonged).await.unwrap());
    }
    store.insert(record(10, now + hour()), now).await.unwrap();
    let cut_short = with_end(&record(10, short), 1, short);
    assert!(store.replace(cut_short).await.unwrap());
    store
        .insert(record(11, now + 3 * second), now)
        .await
        .unwrap();

    // Some stores clear away a few at a time, and only then, and others by their own time.
    for number in 100..110 {
        store
            .insert(record(number, now + hour()), now + 2 * second)
            .await
            .unwrap();
    }
    for stays in [3, 4, 11].into_iter().chain(100..110) {
        assert!(store.find(id(stays)).await.unwrap().is_some(), "{stays}");
    }
    let listed = list_all(store, SessionsOf::Subject("alice"), 4).await;
    let listed: BTreeSet<_> = listed.iter().map(SessionRecord::id).collect();
    assert!(
        [3, 4, 11, 105]
            .iter()
            .all(|stays| listed.contains(&id(*stays)))
    );
    for listed in listed {
        assert!(
            store.find(listed).await.unwrap().is_some(),
            "{listed} is listed and not found"
        );
    }
}

async fn expired_session_does_not_block_its_id(store: &impl SessionStore, now: SystemTime) {
    // Removed and inserted again, whether or not it has been cleared away.
    let past = now - hour();
    store.insert(record(1, past), past - hour()).await.unwrap();
    store.remove(id(1)).await.unwrap();
    store.insert(record(1, now + hour()), now).await.unwrap();
    assert_eq!(
        store.find(id(1)).await.unwrap(),
        Some(record(1, now + hour()))
    );
}

async fn one_of_many_replacements_succeeds<S: SessionStore + 'static>(store: S, now: SystemTime) {
    let store = Arc::new(store);
    let mut known = record(1, now + hour());
    store.insert(known.clone(), now).await.unwrap();
    for round in 1..4 {
        let tasks: Vec<_> = (0..100_u8)
            .map(|task| {
                let store = Arc::clone(&store);
                let end = known.expires_at();
                let next =
                    SessionRecord::new(id(1), round, ISSUER, "alice", "web", end, vec![task]);
                tokio::spawn(async move { (store.replace(next.clone()).await.unwrap(), next) })
            })
            .collect();
        let mut winners = Vec::new();
        for task in tasks {
            let (has_won, record) = task.await.unwrap();
            if has_won {
                winners.push(record);
            }
        }
        assert_eq!(winners.len(), 1, "round {round}");
        known = winners.remove(0);
        assert_eq!(store.find(id(1)).await.unwrap().as_ref(), Some(&known));
    }
}

async fn concurrent_changes_are_kept<S: SessionStore + 'static>(store: S, now: SystemTime) {
    let store = Arc::new(store);
    let tasks: Vec<_> = (0..100)
        .map(|number| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let first = record(number, now + hour());
                store.insert(first.clone(), now).await.unwrap();
                // Each sees what it has done itself.
                assert_eq!(store.find(id(number)).await.unwrap().as_ref(), Some(&first));
                match number % 3 {
                    0 => assert!(store.remove(id(number)).await.unwrap()),
                    1 => assert!(store.replace(version(&first, 1)).await.unwrap()),
                    _ => {}
                }
                let found = store.find(id(number)).await.unwrap();
                assert_eq!(found.is_some(), number % 3 != 0);
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let all = list_all(&*store, SessionsOf::Client("web"), 10).await;
    let versions: BTreeMap<_, _> = all
        .iter()
        .map(|record| (record.id(), record.version()))
        .collect();
    let expected = (0..100).filter(|number| number % 3 != 0);
    let expected: BTreeMap<_, _> = expected
        .map(|number| (id(number), number % 3 % 2))
        .collect();
    assert_eq!(versions, expected);
}
