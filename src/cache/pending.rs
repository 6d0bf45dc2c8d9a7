//! Validations in progress: one for each token.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use futures_util::future::{FutureExt as _, Shared, WeakShared};

use super::in_flight::{InFlight, Number};
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
    flights: InFlight<TokenKey, Flight<T>, PrecomputedHash>,
}

struct Flight<T> {
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
            flights: InFlight::default(),
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
        if self.flights.is_empty() {
            return None;
        }
        let key = token.to_key();
        self.flights.lock().get(&key)?.join(store, now)
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
        let mut flights = self.flights.lock();
        let there = flights.get(&landing.key);
        if let Some(other) = there.and_then(|flight| flight.join(store, asked.at())) {
            drop(flights);
            return Awaited::Other(other);
        }
        // Whoever removes counts first and comes here then, so one of the two sees the other.
        if flights.len() >= MAX_SHARED || store.has_removed_since(&asked) {
            drop(flights);
            return Awaited::Own(work.shared());
        }
        let number = flights.next_number();
        landing.number = Some(number);
        let key = token.to_key();
        let work: BoxFuture<Outcome<T>> = Box::pin(async move {
            let _landing = landing;
            work.await
        });
        let shared = work.shared();
        if let Some(outcome) = shared.downgrade() {
            let replaced = flights.insert(key, number, Flight { asked, outcome });
            drop(flights);
            drop(replaced);
        }
        Awaited::Own(shared)
    }
}

impl<T> Pending<T> {
    /// Lets nobody join the validation of this token any more. Those who have wait on.
    pub(super) fn forget(&self, token: TokenRef<'_>) {
        let removed = self.flights.lock().remove(&token.to_key());
        drop(removed);
    }

    /// Removes all validations from the table, so that later requests start their own. Requests that have joined one
    /// still wait for it.
    pub(super) fn forget_all(&self) {
        let removed = self.flights.lock().remove_if(|_| true);
        drop(removed);
    }
}

/// Takes a validation out when it has ended, or is dropped before.
struct CompletionGuard<T: Send + Sync + 'static> {
    pending: Arc<Pending<T>>,
    key: TokenKey,
    number: Option<Number>,
}

impl<T: Send + Sync + 'static> Drop for CompletionGuard<T> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.pending.flights.remove_own(&self.key, number);
        }
    }
}

impl<T> fmt::Debug for Pending<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending")
            .field("flights", &self.flights)
            .finish_non_exhaustive()
    }
}
