//! A store that outlives its users, fails when told to, and lets others come in between.

#![allow(dead_code, reason = "each test uses some of it")]

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;
use tower_bearer::issuing::store::{
    Changes, Cursor, MemoryStore, RevocationStore, SessionId, SessionRecord, SessionStore,
    SessionsOf, StoreError, StoreFuture,
};
use tower_bearer::revocation::Revocation;

/// So many revocations are read at a time, so that it takes several times.
const PAGE: usize = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Insert,
    Find,
    Replace,
    Remove,
    List,
    Add,
    Changes,
}

/// When an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// It is not done.
    Before,
    /// It is done, and nobody hears of it.
    After,
}

/// Clones share everything.
#[derive(Clone)]
pub(crate) struct TestStore {
    inner: Arc<Inner>,
}

struct Inner {
    sessions: MemoryStore,
    revocations: Mutex<Vec<String>>,
    /// How often the revocations were lost.
    generation: AtomicUsize,
    added: Notify,
    is_shared: bool,
    faults: Mutex<Vec<(Op, When)>>,
    yields: AtomicBool,
    calls: AtomicUsize,
    meanwhile: Mutex<Option<(Op, Box<dyn FnOnce() + Send>)>>,
}

impl TestStore {
    /// That one process has for itself.
    pub(crate) fn new() -> Self {
        Self::with(false)
    }

    /// That several share.
    pub(crate) fn shared() -> Self {
        Self::with(true)
    }

    fn with(is_shared: bool) -> Self {
        Self {
            inner: Arc::new(Inner {
                sessions: MemoryStore::new(),
                revocations: Mutex::default(),
                generation: AtomicUsize::new(0),
                added: Notify::new(),
                is_shared,
                faults: Mutex::default(),
                yields: AtomicBool::new(false),
                calls: AtomicUsize::new(0),
                meanwhile: Mutex::default(),
            }),
        }
    }

    pub(crate) fn fail(&self, op: Op, when: When) {
        self.inner.faults.lock().unwrap().push((op, when));
    }

    pub(crate) fn recover(&self) {
        self.inner.faults.lock().unwrap().clear();
    }

    /// From now on every operation lets others come first.
    pub(crate) fn yields(&self) {
        self.inner.yields.store(true, Ordering::SeqCst);
    }

    /// Does this before `op` is done the next time.
    pub(crate) fn meanwhile(&self, op: Op, does: impl FnOnce() + Send + 'static) {
        *self.inner.meanwhile.lock().unwrap() = Some((op, Box::new(does)));
    }

    /// Forgets all revocations.
    pub(crate) fn lose_revocations(&self) {
        self.inner.generation.fetch_add(1, Ordering::SeqCst);
        self.inner.revocations.lock().unwrap().clear();
    }

    /// How many sessions there are.
    pub(crate) fn sessions(&self) -> usize {
        self.inner.sessions.len()
    }

    /// Removes the revocations for which `keeps` is false.
    pub(crate) fn retain_revocations(&self, keeps: impl Fn(&str) -> bool) {
        let mut revocations = self.inner.revocations.lock().unwrap();
        revocations.retain(|text| keeps(text));
    }

    pub(crate) fn revocations(&self) -> Vec<String> {
        self.inner.revocations.lock().unwrap().clone()
    }

    /// How often it was asked for anything but changes.
    pub(crate) fn calls(&self) -> usize {
        self.inner.calls.load(Ordering::SeqCst)
    }

    /// How many hold it.
    pub(crate) fn holders(&self) -> usize {
        Arc::strong_count(&self.inner)
    }

    async fn run<'a, T>(
        &'a self,
        op: Op,
        work: impl FnOnce() -> StoreFuture<'a, T> + Send,
    ) -> Result<T, StoreError>
    where
        T: Send,
    {
        if op != Op::Changes {
            self.inner.calls.fetch_add(1, Ordering::SeqCst);
        }
        let fault = {
            let faults = self.inner.faults.lock().unwrap();
            faults.iter().find(|(other, _)| *other == op).copied()
        };
        let does = {
            let mut meanwhile = self.inner.meanwhile.lock().unwrap();
            meanwhile.take_if(|(other, _)| *other == op)
        };
        if let Some((_, does)) = does {
            does();
        }
        let failure = || {
            Err(StoreError::unavailable(
                "of the test",
                "as the test wants it",
            ))
        };
        let yields = self.inner.yields.load(Ordering::SeqCst);
        if yields {
            tokio::task::yield_now().await;
        }
        let done = match fault {
            Some((_, When::Before)) => return failure(),
            _ => work().await,
        };
        if yields {
            tokio::task::yield_now().await;
        }
        match fault {
            Some(_) => failure(),
            None => done,
        }
    }

    /// Returns the revocations behind the cursor, or all if the cursor is from before the revocations were lost.
    fn behind(&self, cursor: Option<&Cursor>) -> Result<Changes, StoreError> {
        let revocations = self.inner.revocations.lock().unwrap();
        let generation = self.inner.generation.load(Ordering::SeqCst);
        let place = cursor.and_then(|cursor| {
            let (of, place) = cursor.as_str().split_once(' ').unwrap();
            (of == generation.to_string()).then(|| place.parse().unwrap())
        });
        let place = place.unwrap_or(0);
        let end = revocations.len().min(place + PAGE);
        let read = |text: &String| Revocation::from_text(text.as_bytes());
        let some: Result<Vec<_>, _> = revocations[place..end].iter().map(read).collect();
        let cursor = Cursor::new(format!("{generation} {end}"));
        Ok(Changes::new(some?, cursor, end < revocations.len()))
    }
}

impl SessionStore for TestStore {
    fn insert(&self, record: SessionRecord, now: SystemTime) -> StoreFuture<'_, ()> {
        Box::pin(self.run(Op::Insert, move || self.inner.sessions.insert(record, now)))
    }

    fn find(&self, id: SessionId) -> StoreFuture<'_, Option<SessionRecord>> {
        Box::pin(self.run(Op::Find, move || self.inner.sessions.find(id)))
    }

    fn replace(&self, record: SessionRecord) -> StoreFuture<'_, bool> {
        Box::pin(self.run(Op::Replace, move || self.inner.sessions.replace(record)))
    }

    fn remove(&self, id: SessionId) -> StoreFuture<'_, bool> {
        Box::pin(self.run(Op::Remove, move || self.inner.sessions.remove(id)))
    }

    fn list<'a>(
        &'a self,
        issuer: &'a str,
        of: SessionsOf<'a>,
        after: Option<SessionId>,
        limit: usize,
    ) -> StoreFuture<'a, Vec<SessionRecord>> {
        Box::pin(self.run(Op::List, move || {
            self.inner.sessions.list(issuer, of, after, limit)
        }))
    }
}

impl RevocationStore for TestStore {
    fn add<'a>(&'a self, revocation: &'a Revocation, _: SystemTime) -> StoreFuture<'a, ()> {
        Box::pin(self.run(Op::Add, move || {
            let mut revocations = self.inner.revocations.lock().unwrap();
            revocations.push(revocation.to_text());
            self.inner.added.notify_waiters();
            Box::pin(std::future::ready(Ok(())))
        }))
    }

    fn changes<'a>(&'a self, cursor: Option<&'a Cursor>) -> StoreFuture<'a, Changes> {
        Box::pin(self.run(Op::Changes, move || {
            Box::pin(async move {
                let added = self.inner.added.notified();
                let changes = self.behind(cursor)?;
                if !self.inner.is_shared || cursor.is_none() || !changes.revocations.is_empty() {
                    return Ok(changes);
                }
                let _ = tokio::time::timeout(Duration::from_millis(500), added).await;
                self.behind(cursor)
            })
        }))
    }

    fn is_shared(&self) -> bool {
        self.inner.is_shared
    }
}

impl fmt::Debug for TestStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestStore").finish_non_exhaustive()
    }
}
