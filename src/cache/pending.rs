//! Validations under way: one for each token, whoever asks.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::{FutureExt as _, Shared, WeakShared};

use super::token_key::{Brought, TokenKey, TokenRef};
use crate::validator::{BoxFuture, Failure, Validated};

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
    flights: HashMap<TokenKey, Flight<T>, Brought>,
    number: u64,
}

struct Flight<T> {
    number: u64,
    outcome: WeakShared<BoxFuture<Outcome<T>>>,
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
    /// The validation of this token that is under way.
    #[inline]
    pub(super) fn join(&self, token: TokenRef<'_>) -> Option<SharedOutcome<T>> {
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let key = token.to_key();
        self.lock().flights.get(&key)?.outcome.upgrade()
    }

    /// The validation of this token that is under way, or `work`, which others may join from now on.
    pub(super) fn join_or_start(
        self: &Arc<Self>,
        token: TokenRef<'_>,
        work: BoxFuture<Outcome<T>>,
    ) -> SharedOutcome<T> {
        let mut landing = Landing {
            pending: Arc::clone(self),
            key: token.to_key(),
            number: None,
        };
        let mut state = self.lock();
        let there = state.flights.get(&landing.key);
        if let Some(other) = there.and_then(|flight| flight.outcome.upgrade()) {
            drop(state);
            return other;
        }
        if state.flights.len() >= MAX_SHARED {
            drop(state);
            return work.shared();
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
            state.flights.insert(key, Flight { number, outcome });
            self.count.store(state.flights.len(), Ordering::Release);
        }
        shared
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a validation out when it has ended, or is dropped before.
struct Landing<T: Send + Sync + 'static> {
    pending: Arc<Pending<T>>,
    key: TokenKey,
    number: Option<u64>,
}

impl<T: Send + Sync + 'static> Drop for Landing<T> {
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
