//! Validations under way: one for each token, whoever asks.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use futures_util::future::{FutureExt as _, Shared, WeakShared};

use super::store::{Observation, Store};
use super::token_key::{PrecomputedHash, TokenKey, TokenRef};
use crate::failure::Failure;
use crate::validator::{BoxFuture, Validated};

/// So many are shared at most. Who comes then validates alone.
const MAX_SHARED: usize = 10_000;

pub(super) type Outcome<T> = Result<Validated<T>, Failure>;

/// A validation that several may wait for. Whoever polls drives it, so it goes on as long as one of them
/// is left, and is given up with the last.
pub(super) type SharedOutcome<T> = Shared<BoxFuture<Outcome<T>>>;

pub(super) struct Pending<T> {
    /// Read without the lock, by those who find nothing.
    count: AtomicUsize,
    /// Never held across an await, nor while a validation is dropped.
    state: Mutex<State<T>>,
}

struct State<T> {
    flights: HashMap<TokenKey, Flight<T>, PrecomputedHash>,
    number: u64,
}

struct Flight<T> {
    number: u64,
    asked: Observation,
    outcome: WeakShared<BoxFuture<Outcome<T>>>,
}

/// What there is to wait for.
pub(super) enum Awaited<T> {
    /// One's own validation.
    Own(SharedOutcome<T>),
    /// That of somebody who came before.
    Other(SharedOutcome<T>),
}

impl<T> Flight<T> {
    /// For somebody who comes at `now`. A validation that is handed out is the caller's to drop, so none is here:
    /// to drop the last one takes the lock.
    fn join<V>(&self, store: &Store<V>, now: SystemTime) -> Option<SharedOutcome<T>> {
        match store.may_be_awaited(&self.asked, now) {
            true => self.outcome.upgrade(),
            false => None,
        }
    }
}

impl<T> Default for Pending<T> {
    fn default() -> Self {
        Self {
            count: AtomicUsize::new(0),
            state: Mutex::new(State {
                flights: HashMap::default(),
                number: 0,
            }),
        }
    }
}

impl<T: Send + Sync + 'static> Pending<T> {
    /// The validation of this token that is under way, if somebody who comes at `now` may have what it says.
    #[inline]
    pub(super) fn join<V>(
        &self,
        token: TokenRef<'_>,
        store: &Store<V>,
        now: SystemTime,
    ) -> Option<SharedOutcome<T>> {
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let key = token.to_key();
        self.lock().flights.get(&key)?.join(store, now)
    }

    /// The same, or else `work`, which others may join from now on.
    pub(super) fn join_or_start<V>(
        self: &Arc<Self>,
        token: TokenRef<'_>,
        store: &Store<V>,
        asked: Observation,
        work: BoxFuture<Outcome<T>>,
    ) -> Awaited<T> {
        let mut landing = CompletionGuard {
            pending: Arc::clone(self),
            key: token.to_key(),
            number: None,
        };
        let mut state = self.lock();
        let there = state.flights.get(&landing.key);
        if let Some(other) = there.and_then(|flight| flight.join(store, asked.at())) {
            drop(state);
            return Awaited::Other(other);
        }
        // Whoever removes counts first and comes here then, so one of the two sees the other.
        if state.flights.len() >= MAX_SHARED || store.has_removed_since(&asked) {
            drop(state);
            return Awaited::Own(work.shared());
        }
        state.number += 1;
        let number = state.number;
        landing.number = Some(number);
        let key = token.to_key();
        let work: BoxFuture<Outcome<T>> = Box::pin(async move {
            let _landing = landing;
            work.await
        });
        let shared = work.shared();
        if let Some(outcome) = shared.downgrade() {
            let flight = Flight {
                number,
                asked,
                outcome,
            };
            state.flights.insert(key, flight);
            self.count.store(state.flights.len(), Ordering::Release);
        }
        Awaited::Own(shared)
    }
}

impl<T> Pending<T> {
    /// Lets nobody join the validation of this token any more. Those who have wait on.
    pub(super) fn forget(&self, token: TokenRef<'_>) {
        let key = token.to_key();
        let mut state = self.lock();
        state.flights.remove(&key);
        self.count.store(state.flights.len(), Ordering::Release);
    }

    /// Removes all validations from the table, so that later requests start their own. Requests that have joined one
    /// still wait for it.
    pub(super) fn forget_all(&self) {
        let mut state = self.lock();
        let flights = std::mem::take(&mut state.flights);
        self.count.store(0, Ordering::Release);
        drop(state);
        drop(flights);
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a validation out when it has ended, or is dropped before.
struct CompletionGuard<T: Send + Sync + 'static> {
    pending: Arc<Pending<T>>,
    key: TokenKey,
    number: Option<u64>,
}

impl<T: Send + Sync + 'static> Drop for CompletionGuard<T> {
    fn drop(&mut self) {
        let Some(number) = self.number else {
            return;
        };
        let mut state = self.pending.lock();
        let is_own = |flight: &Flight<T>| flight.number == number;
        if state.flights.get(&self.key).is_some_and(is_own) {
            let flight = state.flights.remove(&self.key);
            self.pending
                .count
                .store(state.flights.len(), Ordering::Release);
            drop(state);
            drop(flight);
        }
    }
}

impl<T> fmt::Debug for Pending<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending")
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}
