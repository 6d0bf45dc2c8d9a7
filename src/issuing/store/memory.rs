//! Sessions and revocations in the memory of the process.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::{
    Changes, Cursor, RevocationStore, SessionId, SessionRecord, SessionStore, SessionsOf,
    StoreError, StoreFuture,
};
use crate::clock::seconds;
use crate::revocation::Revocation;

/// How many sessions there may be unless told otherwise.
const DEFAULT_LIMIT: usize = 1_000_000;

/// Sessions in the memory of the process, all gone when it ends. Clones share them.
///
/// As a store of revocations it keeps nothing: those that count lie in the memory of the
/// [`RevocationHub`](crate::issuing::RevocationHub) anyway.
#[derive(Clone)]
pub struct MemoryStore {
    sessions: Arc<Mutex<Sessions>>,
    limit: usize,
}

/// Issuer, subject or client, and session.
type IndexKey = (Box<str>, Box<str>, SessionId);

#[derive(Default)]
struct Sessions {
    records: HashMap<SessionId, SessionRecord>,
    subjects: BTreeSet<IndexKey>,
    clients: BTreeSet<IndexKey>,
    ends: BTreeSet<(u64, SessionId)>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    /// An empty store for at most 1,000,000 sessions.
    #[must_use]
    pub fn new() -> Self {
        Self::with_limit(DEFAULT_LIMIT)
    }

    /// An empty store for at most `limit` sessions.
    #[must_use]
    pub fn with_limit(limit: usize) -> Self {
        Self {
            sessions: Arc::default(),
            limit,
        }
    }

    /// How many sessions there are, those included that have ended and have not been cleared away.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().records.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, Sessions> {
        // Nothing below panics while it holds the lock.
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sessions {
    fn add(&mut self, record: SessionRecord) {
        let id = record.id();
        self.subjects.insert(key(&record, record.subject()));
        self.clients.insert(key(&record, record.client()));
        self.ends.insert((record.expires_at_second(), id));
        self.records.insert(id, record);
    }

    fn remove(&mut self, id: SessionId) -> bool {
        let Some(record) = self.records.remove(&id) else {
            return false;
        };
        self.subjects.remove(&key(&record, record.subject()));
        self.clients.remove(&key(&record, record.client()));
        self.ends.remove(&(record.expires_at_second(), id));
        true
    }

    fn remove_expired(&mut self, now: u64) {
        while let Some((end, id)) = self.ends.first().copied() {
            if end > now {
                break;
            }
            self.remove(id);
        }
    }

    fn list(
        &self,
        issuer: &str,
        of: SessionsOf<'_>,
        after: Option<SessionId>,
        limit: usize,
    ) -> Vec<SessionRecord> {
        let (index, name) = match of {
            SessionsOf::Subject(name) => (&self.subjects, name),
            SessionsOf::Client(name) => (&self.clients, name),
        };
        let first = after.unwrap_or(SessionId([0; 16]));
        index
            .range((Box::from(issuer), Box::from(name), first)..)
            .take_while(|(at, of, _)| **at == *issuer && **of == *name)
            .map(|(_, _, id)| *id)
            .filter(|id| after != Some(*id))
            .filter_map(|id| self.records.get(&id).cloned())
            .take(limit)
            .collect()
    }
}

fn key(record: &SessionRecord, name: &str) -> IndexKey {
    (record.issuer().into(), name.into(), record.id())
}

fn ready<'a, T: Send + 'a>(answer: Result<T, StoreError>) -> StoreFuture<'a, T> {
    Box::pin(std::future::ready(answer))
}

impl SessionStore for MemoryStore {
    fn insert(&self, record: SessionRecord, now: SystemTime) -> StoreFuture<'_, ()> {
        let mut sessions = self.lock();
        sessions.remove_expired(seconds(now));
        ready(if sessions.records.contains_key(&record.id()) {
            Err(StoreError::Exists)
        } else if sessions.records.len() >= self.limit {
            Err(StoreError::Full {
                what: "sessions",
                limit: self.limit,
            })
        } else {
            sessions.add(record);
            Ok(())
        })
    }

    fn find(&self, id: SessionId) -> StoreFuture<'_, Option<SessionRecord>> {
        ready(Ok(self.lock().records.get(&id).cloned()))
    }

    fn replace(&self, record: SessionRecord) -> StoreFuture<'_, bool> {
        let mut sessions = self.lock();
        let known = sessions.records.get(&record.id());
        let is_next =
            known.is_some_and(|known| known.version().checked_add(1) == Some(record.version()));
        if is_next {
            sessions.remove(record.id());
            sessions.add(record);
        }
        ready(Ok(is_next))
    }

    fn remove(&self, id: SessionId) -> StoreFuture<'_, bool> {
        ready(Ok(self.lock().remove(id)))
    }

    fn list<'a>(
        &'a self,
        issuer: &'a str,
        of: SessionsOf<'a>,
        after: Option<SessionId>,
        limit: usize,
    ) -> StoreFuture<'a, Vec<SessionRecord>> {
        ready(Ok(self.lock().list(issuer, of, after, limit)))
    }
}

impl RevocationStore for MemoryStore {
    fn add<'a>(&'a self, _: &'a Revocation, _: SystemTime) -> StoreFuture<'a, ()> {
        ready(Ok(()))
    }

    fn changes<'a>(&'a self, _: Option<&'a Cursor>) -> StoreFuture<'a, Changes> {
        ready(Ok(Changes::new(Vec::new(), Cursor::new(""), false)))
    }

    fn is_shared(&self) -> bool {
        false
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("sessions", &self.len())
            .field("limit", &self.limit)
            .finish()
    }
}
