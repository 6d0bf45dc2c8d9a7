//! What every store has to do.

use std::cell::RefCell;
use std::time::SystemTime;

use tower_bearer::issuing::store::{MemoryStore, RedbStore, RevocationStore};

use super::directory::Directory;
use super::store_contract;

#[tokio::test]
async fn a_memory_store_keeps_sessions() {
    store_contract::sessions(async || MemoryStore::new(), SystemTime::now()).await;
}

#[tokio::test]
async fn a_file_keeps_sessions() {
    let directories = RefCell::new(Vec::new());
    let new = async || {
        let directory = Directory::new();
        let store = RedbStore::open(directory.file()).unwrap();
        directories.borrow_mut().push(directory);
        store
    };
    store_contract::sessions(new, SystemTime::now()).await;
}

#[tokio::test]
async fn a_file_keeps_revocations() {
    let directories = RefCell::new(Vec::new());
    let new = async || {
        let directory = Directory::new();
        let store = RedbStore::open(directory.file()).unwrap();
        directories.borrow_mut().push(directory);
        store
    };
    store_contract::revocations(new, SystemTime::now()).await;
}

#[tokio::test]
async fn a_redb_store_in_memory_does_the_same() {
    let new = async || RedbStore::in_memory().unwrap();
    store_contract::sessions(new, SystemTime::now()).await;
    store_contract::revocations(new, SystemTime::now()).await;
}

#[test]
fn none_of_them_is_shared() {
    assert!(!MemoryStore::new().is_shared());
    assert!(!RedbStore::in_memory().unwrap().is_shared());
}
