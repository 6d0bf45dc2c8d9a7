//! The rules of a store of revocations.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::rule::{ODD_NAMES, hour, rule};
use crate::issuing::store::{Cursor, RevocationStore};
use crate::revocation::Revocation;

/// Tests a store of revocations that outlive the process, or that other processes read.
///
/// `new_store` returns an empty store each time. It is called once for each of the seven rules. A store that keeps
/// nothing, such as [`MemoryStore`](crate::issuing::store::MemoryStore), does not pass.
///
/// # Panics
///
/// If the store breaks a rule. The message contains the rule.
pub async fn check_revocations<S: RevocationStore + 'static>(new_store: impl AsyncFn() -> S) {
    let now = SystemTime::now();
    let store = async || new_store().await;
    rule(
        "revocations are read completely and in the order in which they were added",
        added_revocations_are_read_in_order(&store().await, now),
    )
    .await;
    rule(
        "a revocation that is added twice is not lost",
        revocation_added_twice_is_not_lost(&store().await, now),
    )
    .await;
    rule(
        "a reader with a cursor reads only the revocations behind it",
        cursor_continues_behind_read_revocations(&store().await, now),
    )
    .await;
    rule(
        "a cursor of another store loses nothing",
        unknown_cursor_loses_nothing(&store().await, now),
    )
    .await;
    rule(
        "many revocations are read in pages, and none is left out",
        many_revocations_are_read_in_pages(&store().await, now),
    )
    .await;
    rule(
        "expired revocations may be removed, and no others",
        only_expired_revocations_are_removed(&store().await, now),
    )
    .await;
    rule(
        "revocations that are added concurrently are all kept",
        concurrent_revocations_are_kept(store().await, now),
    )
    .await;
}

/// Returns all revocations, read page by page.
async fn all_changes(store: &impl RevocationStore) -> Vec<Revocation> {
    let mut all = Vec::new();
    let mut cursor: Option<Cursor> = None;
    loop {
        let changes = store.changes(cursor.as_ref()).await.unwrap();
        all.extend(changes.revocations);
        if !changes.more {
            return all;
        }
        cursor = Some(changes.cursor);
    }
}

fn texts(revocations: &[Revocation]) -> BTreeSet<String> {
    revocations.iter().map(Revocation::to_text).collect()
}

fn revocation(name: &str, until: SystemTime) -> Revocation {
    Revocation::token(Some("https://login.example.com/"), name, until)
}

async fn added_revocations_are_read_in_order(store: &impl RevocationStore, now: SystemTime) {
    let changes = store.changes(None).await.unwrap();
    assert!(changes.revocations.is_empty() && !changes.more);
    let until = now + hour();
    let mut all = vec![
        Revocation::issuer(None, now, until),
        Revocation::versions_below(Some(""), "alice", 7, until),
        revocation(&"x".repeat(100_000), until),
    ];
    for name in ODD_NAMES {
        all.push(Revocation::session(Some(name), "", until));
        all.push(Revocation::subject(None, name, now, until));
        all.push(Revocation::client(None, name, now, until));
    }
    for revocation in &all {
        store.add(revocation, now).await.unwrap();
    }
    assert_eq!(all_changes(store).await, all, "oldest first");
}

async fn revocation_added_twice_is_not_lost(store: &impl RevocationStore, now: SystemTime) {
    for _ in 0..3 {
        for name in ["a", "b"] {
            store
                .add(&revocation(name, now + hour()), now)
                .await
                .unwrap();
        }
    }
    store
        .add(&revocation("a", now + 2 * hour()), now)
        .await
        .unwrap();
    // That something is read twice does no harm, that something is missing does.
    let expected = [
        revocation("a", now + hour()),
        revocation("b", now + hour()),
        revocation("a", now + 2 * hour()),
    ];
    assert_eq!(texts(&all_changes(store).await), texts(&expected));
}

async fn cursor_continues_behind_read_revocations(store: &impl RevocationStore, now: SystemTime) {
    let mut cursor = store.changes(None).await.unwrap().cursor;
    for name in ["a", "b", "c"] {
        let added = revocation(name, now + hour());
        store.add(&added, now).await.unwrap();
        let changes = store.changes(Some(&cursor)).await.unwrap();
        assert_eq!(changes.revocations, [added], "{name}");
        cursor = changes.cursor;
    }
    let changes = store.changes(Some(&cursor)).await.unwrap();
    assert!(changes.revocations.is_empty() && !changes.more);
    assert_eq!(all_changes(store).await.len(), 3);
}

async fn unknown_cursor_loses_nothing(store: &impl RevocationStore, now: SystemTime) {
    store
        .add(&revocation("a", now + hour()), now)
        .await
        .unwrap();
    for strange in ["", "x", "-1", "99999999999999999999999", "\u{1f600}"] {
        let read = store.changes(Some(&Cursor::new(strange))).await;
        assert!(
            read.is_err() || read.is_ok_and(|changes| changes.revocations.len() == 1),
            "{strange:?}"
        );
    }
}

async fn many_revocations_are_read_in_pages(store: &impl RevocationStore, now: SystemTime) {
    let long = "y".repeat(10_000);
    let all: Vec<_> = (0..300)
        .map(|number| revocation(&format!("{number}{long}"), now + hour()))
        .collect();
    for revocation in &all {
        store.add(revocation, now).await.unwrap();
    }
    assert_eq!(all_changes(store).await, all);
}

async fn only_expired_revocations_are_removed(store: &impl RevocationStore, now: SystemTime) {
    let until = |seconds| now + Duration::from_secs(seconds);
    for number in 0..10 {
        store
            .add(&revocation(&format!("short{number}"), until(1)), now)
            .await
            .unwrap();
    }
    let before = store.changes(None).await.unwrap().cursor;
    // They are kept for five minutes of leeway.
    for (name, when) in [("in time", until(300)), ("later", until(302))] {
        store
            .add(&revocation(name, until(10_000)), when)
            .await
            .unwrap();
    }
    let left = texts(&all_changes(store).await);
    for stays in ["in time", "later"] {
        assert!(
            left.contains(&revocation(stays, until(10_000)).to_text()),
            "{stays}"
        );
    }
    // Where a reader stood, it finds what is new.
    let new = store.changes(Some(&before)).await.unwrap().revocations;
    assert!(new.contains(&revocation("later", until(10_000))));
    // What was cleared away can be added again.
    store
        .add(&revocation("short1", until(1)), now)
        .await
        .unwrap();
    let again = revocation("short1", until(1)).to_text();
    assert!(texts(&all_changes(store).await).contains(&again));
}

async fn concurrent_revocations_are_kept<S: RevocationStore + 'static>(store: S, now: SystemTime) {
    let store = Arc::new(store);
    let tasks: Vec<_> = (0..100)
        .map(|number| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                // Two of each.
                let added = revocation(&format!("{}", number / 2), now + hour());
                store.add(&added, now).await.unwrap();
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(texts(&all_changes(&*store).await).len(), 50);
}
