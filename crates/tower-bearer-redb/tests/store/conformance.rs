//! The conformance suite, on files and in memory.

use std::cell::RefCell;

use tower_bearer::issuing::store::RevocationStore as _;
use tower_bearer::issuing::store::conformance::{
    SessionModel, check_issuers, check_revocations, check_sessions,
};
use tower_bearer_redb::RedbStore;

use super::directory::Directory;

/// Creates new files, and removes them at the end.
#[derive(Default)]
struct Directories(RefCell<Vec<Directory>>);

impl Directories {
    fn new_store(&self) -> RedbStore {
        let directory = Directory::new();
        let store = RedbStore::open(directory.file()).unwrap();
        self.0.borrow_mut().push(directory);
        store
    }
}

#[tokio::test]
async fn file_keeps_sessions() {
    let directories = Directories::default();
    check_sessions(async || directories.new_store()).await;
}

#[tokio::test]
async fn file_keeps_revocations() {
    let directories = Directories::default();
    check_revocations(async || directories.new_store()).await;
}

#[tokio::test]
async fn store_in_memory_keeps_sessions_and_revocations() {
    check_sessions(async || RedbStore::in_memory().unwrap()).await;
    check_revocations(async || RedbStore::in_memory().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn issuers_on_store_in_memory_keep_session_rules() {
    check_issuers(async || RedbStore::in_memory().unwrap()).await;
}

#[tokio::test]
async fn file_agrees_with_session_model() {
    let new_location = || {
        let directory = Directory::new();
        async move || RedbStore::open(directory.file()).unwrap()
    };
    SessionModel::new().histories(16).check(new_location).await;
}

#[test]
fn store_is_not_shared() {
    assert!(!RedbStore::in_memory().unwrap().is_shared());
}
