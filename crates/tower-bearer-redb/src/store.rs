//! Sessions and revocations in a file.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tower_bearer::issuing::store::{
    Changes, Cursor, RevocationStore, SessionId, SessionRecord, SessionStore, SessionsOf,
    StoreError, StoreFuture,
};
use tower_bearer::revocation::Revocation;

use crate::engine::Engine;
use crate::file;
use crate::queue::Queues;
use crate::tables::{Write, list_sessions, read_changes, read_session};

/// Sessions and revocations in one file, for a service that runs in one process. Nothing has to be installed for it.
/// Clones share it.
///
/// # What is kept
///
/// What is acknowledged has been written and synced to the disk (`fsync`), so it is there after the process was killed
/// at any moment, after a power failure too if the disk keeps its word. What was under way at that moment is there
/// entirely or not at all. Requests that come in while the disk is busy are written together, with one sync for all of
/// them.
///
/// Ended sessions and revocations are cleared away when others are added, at most 64 at a time. The space is used again;
/// the file does not shrink by much. There is no limit on how many there may be but the disk.
///
/// # The file
///
/// The file contains the names of users and digests of refresh tokens, and no tokens. Put it into a directory
/// that only the service can write to.
///
/// On Unix, a new file has mode 0600 whatever the umask, so only its owner can read and write it. An existing
/// file keeps its mode. Opening fails if every user of the machine has access to the file (any of the bits
/// 0007). Access for the group is accepted, since Kubernetes (`fsGroup`) gives a volume to the group of the
/// container.
///
/// Opening also fails if the path is a symbolic link or not a regular file. Links among the directories of
/// the path are followed.
///
/// A new file is created exclusively with the suffix `.tower-bearer-new`, and renamed once it is complete. If
/// a process ends earlier, the next one removes the unfinished file and starts again. Any other file with
/// that name is an error, and is not changed.
///
/// All of it is read and all checksums are compared when it is opened. A file that is damaged, cut off, empty, or somebody
/// else's is refused and left as it is: nothing is ever repaired by leaving something out. Opening a file takes
/// the longer the more there is in it: do that when the service starts.
///
/// One process has the file at a time. Others are refused; several that share sessions need Redis.
///
/// # Threads
///
/// One thread writes and another one reads, so nothing that runs on a runtime ever waits for the disk, and any runtime
/// will do. 64 MB of the file are kept in memory at most. Dropping the last clone waits until what was begun is done and the file is
/// closed, usually for some milliseconds.
///
/// # Outages
///
/// If the disk is full or fails, all that was being written fails with [`StoreError::Unavailable`]. The file is then opened and checked again
/// before anything else is read or written, at once and later at most once a second, and goes on with what was
/// acknowledged.
///
/// # Why redb
///
/// It is written in Rust and needs no C library. The database is one file with checksums throughout, and commits are
/// atomic without a log to recover. Several processes could share a SQLite file on one machine; `tower-bearer-redis`
/// serves several processes on several machines.
///
/// # Example
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use tower_bearer::issuing::store::{SessionId, SessionRecord, SessionStore};
/// use tower_bearer_redb::RedbStore;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = std::env::temp_dir().join(format!("tower-bearer-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&directory)?;
/// let path = directory.join("sessions.redb");
/// let now = SystemTime::now();
/// let id = SessionId::from_bytes([7; 16]);
///
/// let store = RedbStore::open(&path)?;
/// let end = now + Duration::from_secs(86_400);
/// let record = SessionRecord::new(id, 0, "https://api.example.com", "alice", "web", end, Vec::new());
/// store.insert(record, now).await?;
/// drop(store);
///
/// let store = RedbStore::open(&path)?;
/// assert_eq!(store.find(id).await?.unwrap().subject(), "alice");
///
/// // Nobody else may have the file meanwhile.
/// let error = RedbStore::open(&path).unwrap_err();
/// assert!(error.to_string().contains("in use"), "{error}");
/// # drop(store);
/// # std::fs::remove_dir_all(&directory)?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct RedbStore {
    queues: Arc<Queues>,
}

impl RedbStore {
    /// Opens the file at `path`, or makes one if there is none. Its directory has to exist.
    ///
    /// This reads the whole file.
    ///
    /// # Errors
    ///
    /// [`StoreError::Open`] if the file is in use, cannot be read and written, is a symbolic link, has a mode
    /// that gives access to every user, is damaged or not such a file, or was written by a later version. The
    /// error contains the remedy.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref();
        let name = path.display().to_string();
        let engine = match file::open(path).map_err(|problem| StoreError::open(&name, problem))? {
            file::Opened::Existing(backend) => Engine::open(&name, backend)?,
            file::Opened::New(backend) => Engine::create(&name, backend, || file::publish(path))?,
        };
        Self::start(engine)
    }

    /// An empty store in memory, for tests and examples. Everything is gone with its last clone.
    ///
    /// # Errors
    ///
    /// [`StoreError::Open`] if no thread can be started.
    ///
    /// # Example
    ///
    /// ```
    /// use tower_bearer::issuing::RevocationHub;
    /// use tower_bearer_redb::RedbStore;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let hub = RevocationHub::open(RedbStore::in_memory()?).await?;
    /// assert!(hub.is_empty());
    /// # Ok(()) }
    /// ```
    pub fn in_memory() -> Result<Self, StoreError> {
        let backend = Arc::new(redb::backends::InMemoryBackend::new());
        Self::start(Engine::create("in memory", backend, || Ok(()))?)
    }

    pub(crate) fn start(engine: Engine) -> Result<Self, StoreError> {
        Ok(Self {
            queues: Arc::new(Queues::start(engine)?),
        })
    }
}

impl SessionStore for RedbStore {
    fn insert(&self, record: SessionRecord, now: SystemTime) -> StoreFuture<'_, ()> {
        let now = seconds(now);
        Box::pin(async move {
            self.queues.write(Write::Insert { record, now }).await?;
            Ok(())
        })
    }

    fn find(&self, id: SessionId) -> StoreFuture<'_, Option<SessionRecord>> {
        Box::pin(self.queues.read(move |reading| read_session(reading, id)))
    }

    fn replace(&self, record: SessionRecord) -> StoreFuture<'_, bool> {
        Box::pin(self.queues.write(Write::Replace(record)))
    }

    fn remove(&self, id: SessionId) -> StoreFuture<'_, bool> {
        Box::pin(self.queues.write(Write::Remove(id)))
    }

    fn list<'a>(
        &'a self,
        issuer: &'a str,
        of: SessionsOf<'a>,
        after: Option<SessionId>,
        limit: usize,
    ) -> StoreFuture<'a, Vec<SessionRecord>> {
        let (is_subject, name) = match of {
            SessionsOf::Subject(name) => (true, name),
            SessionsOf::Client(name) => (false, name),
        };
        let (issuer, name) = (Box::<str>::from(issuer), Box::<str>::from(name));
        Box::pin(self.queues.read(move |reading| {
            let of = match is_subject {
                true => SessionsOf::Subject(&name),
                false => SessionsOf::Client(&name),
            };
            list_sessions(reading, &issuer, of, after, limit)
        }))
    }
}

impl RevocationStore for RedbStore {
    fn add<'a>(&'a self, revocation: &'a Revocation, now: SystemTime) -> StoreFuture<'a, ()> {
        let write = Write::Add {
            text: revocation.to_text(),
            end: revocation.expires_at_second(),
            now: seconds(now),
        };
        Box::pin(async move {
            self.queues.write(write).await?;
            Ok(())
        })
    }

    fn changes<'a>(&'a self, cursor: Option<&'a Cursor>) -> StoreFuture<'a, Changes> {
        // What another store calls a place is none here: all is read then.
        let after = cursor.and_then(|cursor| cursor.as_str().parse().ok());
        Box::pin(
            self.queues
                .read(move |reading| read_changes(reading, after)),
        )
    }

    fn is_shared(&self) -> bool {
        false
    }
}

/// Returns the whole seconds since the Unix epoch.
fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

impl fmt::Debug for RedbStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbStore")
            .field("file", &self.queues.store())
            .finish_non_exhaustive()
    }
}
