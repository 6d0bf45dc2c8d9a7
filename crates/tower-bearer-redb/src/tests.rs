//! What happens when the disk fails: that takes a disk that fails when it is told to.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use redb::StorageBackend;
use redb::backends::InMemoryBackend;
use tower_bearer::issuing::store::{
    SessionId, SessionRecord, SessionStore as _, SessionsOf, StoreError,
};

use crate::RedbStore;
use crate::engine::Engine;

const ISSUER: &str = "https://issuer.example";

/// Of which writes, syncs and changes of length the disk will have no more.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Trouble {
    /// After so many, all fail until the disk is repaired.
    Lasting(u64),
    /// One of them fails.
    Passing(u64),
    /// One of them panics.
    Panic(u64),
}

#[derive(Debug, Default)]
struct Disk {
    memory: InMemoryBackend,
    trouble: std::sync::Mutex<Option<Trouble>>,
    count: AtomicU64,
    has_failed: AtomicBool,
}

impl Disk {
    fn begin(&self, trouble: Trouble) {
        self.count.store(0, Ordering::SeqCst);
        self.has_failed.store(false, Ordering::SeqCst);
        *self.trouble.lock().unwrap() = Some(trouble);
    }

    fn repair(&self) -> bool {
        *self.trouble.lock().unwrap() = None;
        self.has_failed.load(Ordering::SeqCst)
    }

    fn change(&self) -> io::Result<()> {
        let count = self.count.fetch_add(1, Ordering::SeqCst);
        let trouble = *self.trouble.lock().unwrap();
        let fails = match trouble {
            None => false,
            Some(Trouble::Lasting(after)) => count >= after,
            Some(Trouble::Passing(at) | Trouble::Panic(at)) => count == at,
        };
        if !fails {
            return Ok(());
        }
        self.has_failed.store(true, Ordering::SeqCst);
        assert!(!matches!(trouble, Some(Trouble::Panic(_))), "told to panic");
        Err(io::ErrorKind::StorageFull.into())
    }
}

/// One that the test keeps hold of.
#[derive(Clone, Debug)]
struct Shared(Arc<Disk>);

impl StorageBackend for Shared {
    fn len(&self) -> io::Result<u64> {
        self.0.memory.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        StorageBackend::read(&self.0.memory, offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.change()?;
        self.0.memory.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.change()?;
        self.0.memory.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.change()?;
        StorageBackend::write(&self.0.memory, offset, data)
    }
}

fn store_on(disk: &Arc<Disk>) -> RedbStore {
    let backend = Arc::new(Shared(Arc::clone(disk)));
    let mut engine = Engine::create("a disk", backend, || Ok(())).unwrap();
    engine.pause = Duration::ZERO;
    RedbStore::start(engine).unwrap()
}

fn record(number: u8, version: u64) -> SessionRecord {
    let end = SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000);
    let data = vec![number; usize::from(number) * 100];
    SessionRecord::new(
        SessionId::from_bytes([number; 16]),
        version,
        ISSUER,
        "alice",
        "web",
        end,
        data,
    )
}

/// What is listed, which is also what is found.
async fn all(store: &RedbStore) -> BTreeMap<SessionId, SessionRecord> {
    let list = store.list(ISSUER, SessionsOf::Subject("alice"), None, 1_000);
    let list = list.await.unwrap();
    for record in &list {
        assert_eq!(
            store.find(record.id()).await.unwrap().as_ref(),
            Some(record)
        );
    }
    list.into_iter()
        .map(|record| (record.id(), record))
        .collect()
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_whenever_the_disk_fails() {
    let now = SystemTime::UNIX_EPOCH;
    for trouble in [Trouble::Lasting, Trouble::Passing, Trouble::Panic] {
        let disk = Arc::new(Disk::default());
        let store = store_on(&disk);
        for number in 1..20 {
            store.insert(record(number, 0), now).await.unwrap();
        }
        let mut expected = all(&store).await;
        for at in 0.. {
            assert!(at < 200, "no operation is ever free of trouble");
            let (old, new) = (record(7, at), record(7, at + 1));
            disk.begin(trouble(at));
            let replaced = store.replace(new.clone()).await;
            let has_failed = disk.repair();
            let now_there = all(&store).await;
            match &replaced {
                Ok(true) => {
                    expected.insert(new.id(), new.clone());
                }
                Ok(false) => panic!("{old:?} was not there"),
                Err(StoreError::Unavailable { store, .. }) => {
                    assert_eq!(store, "a disk");
                    // It may have been done or not.
                    if now_there.get(&new.id()) == Some(&new) {
                        expected.insert(new.id(), new.clone());
                    }
                }
                Err(error) => panic!("{error}"),
            }
            assert_eq!(now_there, expected, "{:?}", trouble(at));
            if expected[&new.id()] == old {
                assert!(
                    store.replace(new.clone()).await.unwrap(),
                    "{:?}",
                    trouble(at)
                );
                expected.insert(new.id(), new);
            }
            if !has_failed {
                assert!(at > 3 && replaced.is_ok());
                break;
            }
        }
        // And nothing of it was in memory alone.
        drop(store);
        let engine = Engine::open("a disk", Arc::new(Shared(disk))).unwrap();
        let store = RedbStore::start(engine).unwrap();
        assert_eq!(all(&store).await, expected);
    }
}

#[tokio::test]
async fn all_that_were_written_together_fail_together_and_later_ones_succeed() {
    let now = SystemTime::UNIX_EPOCH;
    let disk = Arc::new(Disk::default());
    let store = store_on(&disk);
    disk.begin(Trouble::Lasting(0));
    let together = (1..50).map(|number| store.insert(record(number, 0), now));
    let answers = futures_util::future::join_all(together).await;
    assert!(
        answers
            .iter()
            .all(|answer| matches!(answer, Err(StoreError::Unavailable { .. })))
    );
    // It cannot be opened again either.
    let error = store
        .find(SessionId::from_bytes([1; 16]))
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");

    assert!(disk.repair());
    let together = (1..50).map(|number| store.insert(record(number, 0), now));
    for answer in futures_util::future::join_all(together).await {
        answer.unwrap();
    }
    assert_eq!(all(&store).await.len(), 49);
}
