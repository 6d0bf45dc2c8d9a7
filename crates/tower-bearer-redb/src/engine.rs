//! The database, which is opened anew when something has gone wrong with it.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use redb::{Builder, Database, ReadableDatabase as _, StorageBackend};
use tower_bearer::issuing::store::StoreError;

use crate::file::check_header;
use crate::tables::{FORMAT, Failed, Tables, read_format};
use crate::trial::{Held, Trial};

/// How much of the file is kept in memory.
const CACHE_BYTES: usize = 64 << 20;
const DEFAULT_PAUSE: Duration = Duration::from_secs(1);

pub(crate) struct Engine {
    store: Arc<str>,
    backend: Arc<dyn StorageBackend>,
    /// None after a failure.
    database: RwLock<Option<Open>>,
    /// When the file was last tried in vain, and what was wrong.
    trouble: Mutex<Option<(Instant, StoreError)>>,
    /// How long a file that could not be opened again is left alone.
    pub(crate) pause: Duration,
}

struct Open {
    database: Database,
    held: Held,
}

impl Engine {
    /// The database that is in `backend`.
    pub(crate) fn open(store: &str, backend: Arc<dyn StorageBackend>) -> Result<Self, StoreError> {
        let open = open(&backend).map_err(|problem| StoreError::open(store, problem))?;
        Ok(Self {
            store: store.into(),
            backend,
            database: RwLock::new(Some(open)),
            trouble: Mutex::default(),
            pause: DEFAULT_PAUSE,
        })
    }

    /// A new database in `backend`, which is empty. Once it is complete, `publish` is called.
    pub(crate) fn create(
        store: &str,
        backend: Arc<dyn StorageBackend>,
        publish: impl FnOnce() -> Result<(), String>,
    ) -> Result<Self, StoreError> {
        create(&backend)
            .map_err(|error| explain(&error))
            .and_then(|()| publish())
            .map_err(|problem| StoreError::open(store, problem))?;
        Self::open(store, backend)
    }

    pub(crate) fn store(&self) -> Arc<str> {
        Arc::clone(&self.store)
    }

    /// Does something with the database. If that fails, the database is opened anew, and checked, before anything else
    /// is done with it: after a failed write nobody knows what is on the disk, and redb would refuse everything.
    pub(crate) fn with<T>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, Failed>,
    ) -> Result<T, StoreError> {
        self.reopen()?;
        let error = {
            let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
            let Some(open) = &*database else {
                return Err(self.trouble());
            };
            match catch_unwind(AssertUnwindSafe(|| work(&open.database))) {
                Ok(Ok(done)) => return Ok(done),
                Ok(Err(error)) => Self::failure(&self.store, &error),
                Err(panic) => StoreError::unavailable(&*self.store, panic_text(&*panic)),
            }
        };
        self.close();
        // The next one is told if it is in vain.
        let _ = self.reopen();
        Err(error)
    }

    pub(crate) fn failure(store: &str, failed: &Failed) -> StoreError {
        match failed.error() {
            redb::Error::Corrupted(what) => StoreError::corrupt("a damaged page", what.clone()),
            other => StoreError::unavailable(store, other.to_string()),
        }
    }

    fn close(&self) {
        let mut database = self
            .database
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = database.take() {
            // What it has in memory must not reach the file any more.
            open.held.let_go();
            let _ = catch_unwind(AssertUnwindSafe(|| drop(open)));
        }
    }

    fn reopen(&self) -> Result<(), StoreError> {
        let is_open = |database: &Option<Open>| database.is_some();
        if is_open(&self.database.read().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(());
        }
        let mut database = self
            .database
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if is_open(&database) {
            return Ok(());
        }
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((when, error)) = &*trouble
            && when.elapsed() < self.pause
        {
            return Err(error.clone());
        }
        match open(&self.backend) {
            Ok(open) => {
                *database = Some(open);
                *trouble = None;
                Ok(())
            }
            Err(problem) => {
                let error = StoreError::unavailable(&*self.store, problem);
                *trouble = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    fn trouble(&self) -> StoreError {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        match &*trouble {
            Some((_, error)) => error.clone(),
            None => StoreError::unavailable(&*self.store, "it is being opened again"),
        }
    }
}

fn builder() -> Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

fn create(backend: &Arc<dyn StorageBackend>) -> Result<(), Failed> {
    let held = Held::new(Arc::clone(backend));
    let database = builder().create_with_backend(held)?;
    let mut transaction = database.begin_write()?;
    transaction.set_two_phase_commit(true);
    Tables::open(&transaction)?.set_up()?;
    transaction.commit()?;
    Ok(())
}

/// Opens what is in `backend` if it is sound to the last page, and says what is wrong otherwise.
fn open(backend: &Arc<dyn StorageBackend>) -> Result<Open, String> {
    check_header(&**backend)?;
    // redb writes while it opens a file, and panics about some kinds of damage. So it is first shown a copy that lasts
    // as long as the trial does, and what it refuses is left as it was found.
    guarded(|| check(Trial::new(Arc::clone(backend))))?;
    guarded(|| {
        let held = Held::new(Arc::clone(backend));
        let database = builder()
            .create_with_backend(held.clone())
            .map_err(|error| explain(&error.into()))?;
        Ok(Open { database, held })
    })
}

fn check(trial: Trial) -> Result<(), String> {
    // After a crash all checksums are compared in any case.
    let is_checked = Rc::new(Cell::new(false));
    let sees = Rc::clone(&is_checked);
    let mut database = builder()
        .set_repair_callback(move |_| sees.set(true))
        .create_with_backend(trial)
        .map_err(|error| explain(&error.into()))?;
    if !is_checked.get() {
        database
            .check_integrity()
            .map_err(|error| explain(&error.into()))?;
    }
    let reading = database
        .begin_read()
        .map_err(|error| explain(&error.into()))?;
    match read_format(&reading).map_err(|error| explain(&error))? {
        Some(FORMAT) => Ok(()),
        Some(later) => Err(format!(
            "it is of format {later}, and this version of tower-bearer knows {FORMAT}: use a later one"
        )),
        None => Err("it is a file of redb, but none of tower-bearer: choose another path".into()),
    }
}

fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(damaged(&panic_text(&*panic))))
}

fn explain(failed: &Failed) -> String {
    match failed.error() {
        redb::Error::DatabaseAlreadyOpen => crate::file::IN_USE.into(),
        redb::Error::Corrupted(what) => damaged(what),
        redb::Error::UpgradeRequired(format) => format!(
            "it is in file format {format} of redb, which this version cannot read: choose another path, or upgrade it with redb 2.6"
        ),
        redb::Error::TableTypeMismatch { .. } => damaged(&failed.error().to_string()),
        other => other.to_string(),
    }
}

pub(crate) fn damaged(what: &str) -> String {
    format!(
        "it is damaged ({what}), and was left as it is: put a copy of it back, or move it away to start with none"
    )
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("redb panicked: {}", text.unwrap_or("without a word"))
}
