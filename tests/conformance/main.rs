//! The conformance suite of stores in memory, and random histories on machines whose clocks differ.
//!
//! `TOWER_BEARER_HISTORIES` sets the number of histories, `TOWER_BEARER_SEED` repeats those of the session model.

mod clocks;
#[path = "../support/test_store.rs"]
mod test_store;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use futures_util::FutureExt as _;
use test_store::TestStore;
use tower_bearer::issuing::store::conformance::{
    SessionModel, check_issuers, check_revocations, check_sessions,
};
use tower_bearer::issuing::store::{
    Changes, Cursor, MemoryStore, RevocationStore, SessionId, SessionRecord, SessionStore,
    SessionsOf, StoreFuture,
};
use tower_bearer::revocation::Revocation;

#[tokio::test]
async fn memory_store_keeps_sessions() {
    check_sessions(async || MemoryStore::new()).await;
}

#[test]
fn memory_store_is_not_shared() {
    assert!(!MemoryStore::new().is_shared());
}

#[tokio::test]
async fn memory_store_agrees_with_session_model() {
    let new_location = || async || MemoryStore::new();
    let model = SessionModel::new().without_restarts();
    model.check(new_location).await;
}

#[tokio::test]
async fn test_store_conforms() {
    check_sessions(async || TestStore::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn issuers_on_test_store_keep_session_rules() {
    check_issuers(async || TestStore::new()).await;
}

#[tokio::test]
async fn test_store_agrees_with_session_model() {
    let new_location = || {
        let store = TestStore::new();
        async move || store.clone()
    };
    SessionModel::new().check(new_location).await;
}

/// A way in which a store breaks a rule.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Defect {
    /// Any version replaces a record.
    LastWriterWins,
    /// Sessions are lost after some insertions.
    Forgets,
    /// A session that was removed is still found.
    KeepsRemoved,
    /// Revocations are not stored.
    DropsRevocations,
}

/// A store with a defect.
#[derive(Clone)]
struct Defective {
    store: TestStore,
    defect: Defect,
    insertions: Arc<AtomicUsize>,
}

impl Defective {
    fn new(defect: Defect) -> Self {
        Self {
            store: TestStore::new(),
            defect,
            insertions: Arc::default(),
        }
    }
}

impl SessionStore for Defective {
    fn insert(&self, record: SessionRecord, now: SystemTime) -> StoreFuture<'_, ()> {
        let count = self.insertions.fetch_add(1, Ordering::SeqCst);
        match self.defect {
            Defect::Forgets if count % 7 == 6 => Box::pin(std::future::ready(Ok(()))),
            _ => self.store.insert(record, now),
        }
    }

    fn find(&self, id: SessionId) -> StoreFuture<'_, Option<SessionRecord>> {
        self.store.find(id)
    }

    fn replace(&self, record: SessionRecord) -> StoreFuture<'_, bool> {
        if self.defect != Defect::LastWriterWins {
            return self.store.replace(record);
        }
        Box::pin(async move {
            if !self.store.remove(record.id()).await? {
                return Ok(false);
            }
            let now = SystemTime::UNIX_EPOCH;
            self.store.insert(record, now).await.map(|()| true)
        })
    }

    fn remove(&self, id: SessionId) -> StoreFuture<'_, bool> {
        match self.defect {
            Defect::KeepsRemoved => {
                Box::pin(async move { Ok(self.store.find(id).await?.is_some()) })
            }
            _ => self.store.remove(id),
        }
    }

    fn list<'a>(
        &'a self,
        issuer: &'a str,
        of: SessionsOf<'a>,
        after: Option<SessionId>,
        limit: usize,
    ) -> StoreFuture<'a, Vec<SessionRecord>> {
        self.store.list(issuer, of, after, limit)
    }
}

impl RevocationStore for Defective {
    fn add<'a>(&'a self, revocation: &'a Revocation, now: SystemTime) -> StoreFuture<'a, ()> {
        match self.defect {
            Defect::DropsRevocations => Box::pin(std::future::ready(Ok(()))),
            _ => self.store.add(revocation, now),
        }
    }

    fn changes<'a>(&'a self, cursor: Option<&'a Cursor>) -> StoreFuture<'a, Changes> {
        self.store.changes(cursor)
    }

    fn is_shared(&self) -> bool {
        self.store.is_shared()
    }
}

/// Returns the message with which a test fails.
async fn failure(test: impl Future<Output = ()>) -> String {
    let panic = std::panic::AssertUnwindSafe(test).catch_unwind().await;
    let panic = panic.expect_err("the store passes");
    panic.downcast_ref::<String>().unwrap().clone()
}

#[tokio::test]
async fn defective_store_fails_with_name_of_rule() {
    for (defect, rule) in [
        (Defect::LastWriterWins, "replaced only by the next version"),
        (Defect::Forgets, "found unchanged"),
        (Defect::KeepsRemoved, "not found or listed"),
    ] {
        let message = failure(check_sessions(async || Defective::new(defect))).await;
        assert!(message.contains(rule), "{defect:?}: {message}");
    }
    let defect = Defect::DropsRevocations;
    let message = failure(check_revocations(async || Defective::new(defect))).await;
    assert!(message.contains("in the order in which"), "{message}");
}

#[tokio::test]
async fn session_model_finds_defects_and_names_seed() {
    for defect in [Defect::Forgets, Defect::DropsRevocations] {
        let new_location = || {
            let store = Defective::new(defect);
            async move || store.clone()
        };
        let check = async || SessionModel::new().seed(7).check(new_location).await;
        let message = failure(check()).await;
        assert!(message.contains("as by the model"), "{defect:?}: {message}");
        assert!(message.contains("TOWER_BEARER_SEED="), "{message}");
    }
}
