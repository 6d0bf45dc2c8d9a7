//! A store whose calls fail on demand.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use crate::clock::{Clock as _, ManualClock};
use crate::issuing::store::{
    Changes, Cursor, RevocationStore, SessionId, SessionRecord, SessionStore, SessionsOf,
    StoreError, StoreFuture,
};
use crate::revocation::Revocation;

/// When a call of the store fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// Before the call takes effect.
    Before,
    /// After the call took effect: the answer is lost.
    After,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Every call from this one on.
    From(usize, When),
    /// Every revocation.
    Add,
}

/// A store whose calls fail on demand, and that returns no expired revocations. Clones share everything.
#[derive(Clone)]
pub(super) struct Faulty<S> {
    store: S,
    /// The clock by which revocations expire.
    time: ManualClock,
    faults: Arc<Faults>,
}

#[derive(Default)]
struct Faults {
    fault: Mutex<Option<Fault>>,
    calls: AtomicUsize,
    failures: AtomicUsize,
    removals: AtomicUsize,
    /// Records that were replaced since the fault was set.
    marks: AtomicUsize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Call {
    Add,
    Remove,
    Replace,
    Other,
}

impl<S> Faulty<S> {
    pub(super) fn new(store: S, time: ManualClock) -> Self {
        Self {
            store,
            time,
            faults: Arc::default(),
        }
    }

    /// Hides revocations that have expired by this time.
    pub(super) fn remove_ended_at(&self, time: SystemTime) {
        self.time.set(time);
    }

    /// Lets `call` calls succeed, and no more.
    pub(super) fn fail_from(&self, call: usize, when: When) {
        let faults = &*self.faults;
        for count in [
            &faults.calls,
            &faults.failures,
            &faults.removals,
            &faults.marks,
        ] {
            count.store(0, Ordering::SeqCst);
        }
        *faults.fault.lock().unwrap() = Some(Fault::From(call, when));
    }

    pub(super) fn fail_add(&self) {
        *self.faults.fault.lock().unwrap() = Some(Fault::Add);
    }

    pub(super) fn recover(&self) {
        *self.faults.fault.lock().unwrap() = None;
    }

    pub(super) fn failures(&self) -> usize {
        self.faults.failures.load(Ordering::SeqCst)
    }

    pub(super) fn only_removal_failed(&self) -> bool {
        self.failures() == self.faults.removals.load(Ordering::SeqCst)
    }

    pub(super) fn marks(&self) -> usize {
        self.faults.marks.load(Ordering::SeqCst)
    }

    async fn run<'a, T>(
        &'a self,
        call: Call,
        // A store may do its work before its future is polled.
        work: impl FnOnce() -> StoreFuture<'a, T> + Send,
    ) -> Result<T, StoreError>
    where
        T: Send,
    {
        let faults = &*self.faults;
        let fault = *faults.fault.lock().unwrap();
        let number = faults.calls.fetch_add(1, Ordering::SeqCst);
        let fails = match fault {
            Some(Fault::From(from, when)) if number >= from => Some(when),
            Some(Fault::Add) if call == Call::Add => Some(When::Before),
            _ => None,
        };
        let done = match fails {
            Some(When::Before) => None,
            _ => Some(work().await?),
        };
        if call == Call::Replace && done.is_some() {
            faults.marks.fetch_add(1, Ordering::SeqCst);
        }
        if fails.is_some() {
            faults.failures.fetch_add(1, Ordering::SeqCst);
            if call == Call::Remove {
                faults.removals.fetch_add(1, Ordering::SeqCst);
            }
        }
        match (fails, done) {
            (None, Some(done)) => Ok(done),
            _ => Err(StoreError::unavailable("of the test", "a fault was set")),
        }
    }
}

impl<S: SessionStore> SessionStore for Faulty<S> {
    fn insert(&self, record: SessionRecord, now: SystemTime) -> StoreFuture<'_, ()> {
        Box::pin(self.run(Call::Other, move || self.store.insert(record, now)))
    }

    fn find(&self, id: SessionId) -> StoreFuture<'_, Option<SessionRecord>> {
        Box::pin(self.run(Call::Other, move || self.store.find(id)))
    }

    fn replace(&self, record: SessionRecord) -> StoreFuture<'_, bool> {
        Box::pin(self.run(Call::Replace, move || self.store.replace(record)))
    }

    fn remove(&self, id: SessionId) -> StoreFuture<'_, bool> {
        Box::pin(self.run(Call::Remove, move || self.store.remove(id)))
    }

    fn list<'a>(
        &'a self,
        issuer: &'a str,
        of: SessionsOf<'a>,
        after: Option<SessionId>,
        limit: usize,
    ) -> StoreFuture<'a, Vec<SessionRecord>> {
        Box::pin(self.run(Call::Other, move || {
            self.store.list(issuer, of, after, limit)
        }))
    }
}

impl<S: RevocationStore> RevocationStore for Faulty<S> {
    fn add<'a>(&'a self, revocation: &'a Revocation, now: SystemTime) -> StoreFuture<'a, ()> {
        Box::pin(self.run(Call::Add, move || self.store.add(revocation, now)))
    }

    fn changes<'a>(&'a self, cursor: Option<&'a Cursor>) -> StoreFuture<'a, Changes> {
        Box::pin(async move {
            let now = self.time.now();
            let mut changes = self.store.changes(cursor).await?;
            changes.revocations.retain(|entry| entry.expires_at() > now);
            Ok(changes)
        })
    }

    fn is_shared(&self) -> bool {
        self.store.is_shared()
    }
}
