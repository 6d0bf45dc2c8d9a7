//! Whatever happens to sessions, every token is judged as a simple model does: on each kind of store that needs nothing
//! installed. `PROPTEST_CASES` sets how many runs there are.

#[path = "session_model/clocks.rs"]
mod clocks;
#[path = "support/session_model.rs"]
mod session_model;
#[path = "support/session_rules.rs"]
mod session_rules;
#[path = "support/test_store.rs"]
mod test_store;

use session_model::{Place, holds_for};
use test_store::TestStore;
use tower_bearer::issuing::store::MemoryStore;

struct InMemory;

impl Place for InMemory {
    type Store = MemoryStore;

    const LASTS: bool = false;

    async fn open(&self) -> MemoryStore {
        MemoryStore::new()
    }
}

#[test]
fn sessions_in_memory_are_those_of_the_model() {
    holds_for(128, || InMemory);
}

struct Kept(TestStore);

impl Place for Kept {
    type Store = TestStore;

    const LASTS: bool = true;

    async fn open(&self) -> TestStore {
        self.0.clone()
    }
}

#[test]
fn sessions_that_are_kept_are_those_of_the_model() {
    holds_for(128, || Kept(TestStore::new()));
}

mod rules_in_memory {
    use super::session_rules::{self, Stores};
    use super::test_store::TestStore;

    struct InMemory;

    impl Stores for InMemory {
        type Store = TestStore;

        async fn store(&self) -> TestStore {
            TestStore::new()
        }
    }

    session_rules::session_rules!(InMemory, 1_000);
}

#[cfg(feature = "redb")]
mod rules_in_redb {
    use super::session_rules::{self, Stores};
    use tower_bearer::issuing::store::RedbStore;

    struct InRedb;

    impl Stores for InRedb {
        type Store = RedbStore;

        async fn store(&self) -> RedbStore {
            RedbStore::in_memory().unwrap()
        }
    }

    session_rules::session_rules!(InRedb, 400);
}

#[cfg(feature = "redb")]
mod in_a_file {
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use tower_bearer::issuing::store::RedbStore;

    struct InAFile(PathBuf);

    impl InAFile {
        fn new() -> Self {
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let name = format!("session-model-{}-{count}.redb", std::process::id());
            Self(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name))
        }
    }

    impl Drop for InAFile {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    impl Place for InAFile {
        type Store = RedbStore;

        const LASTS: bool = true;

        async fn open(&self) -> RedbStore {
            RedbStore::open(&self.0).unwrap()
        }
    }

    #[test]
    fn sessions_in_a_file_are_those_of_the_model() {
        holds_for(16, InAFile::new);
    }
}
