//! The calls under way: one for each token, whoever asks.

use std::collections::HashMap;
use std::fmt;
use std::future::{Future, ready};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use super::cache::Key;
use super::response::Answer;
use crate::failure::Failure;
use crate::provider::error::ProviderError;
use crate::provider::single_flight::{Flight, NoRuntime};
use crate::validator::BoxFuture;

/// How often calls are looked for whose runtime stands still.
const SWEEP: Duration = Duration::from_secs(1);
/// When to come back if no more calls may be under way.
const RETRY: Duration = Duration::from_secs(1);

/// What comes of a call. A failure says nothing about the token.
pub(super) type Outcome = Result<Answer, Failure>;

/// What a request waits for: nothing if the call came to no end.
pub(super) type Waiter = BoxFuture<Option<Outcome>>;

/// The calls of one validator. They end with it; a request that is given up ends none.
pub(super) struct InFlightRequests {
    max_concurrent_requests: usize,
    /// Never held across an await.
    state: Mutex<State>,
}

struct State {
    under_way: HashMap<Key, Call>,
    number: u64,
    swept: Instant,
}

struct Call {
    number: u64,
    flight: Flight<Outcome>,
}

impl InFlightRequests {
    pub(super) fn new(max_concurrent_requests: usize) -> Arc<Self> {
        Arc::new(Self {
            max_concurrent_requests,
            state: Mutex::new(State {
                under_way: HashMap::new(),
                number: 0,
                swept: Instant::now(),
            }),
        })
    }

    /// The call about this token that is under way; or what is `known`, if one has ended in the
    /// meantime; or else `work`, which has to end by itself within `limit`.
    pub(super) fn join_or_start<W>(
        self: &Arc<Self>,
        key: Key,
        limit: Duration,
        known: impl FnOnce() -> Option<Answer>,
        work: W,
    ) -> Result<Waiter, Failure>
    where
        W: Future<Output = Outcome> + Send + 'static,
    {
        // Dropped after the lock, since their waiters are told.
        let mut over = Vec::new();
        let mut state = self.lock();
        state.sweep(&mut over);
        match state.under_way.get(&key) {
            Some(call) if !call.flight.is_over() => return Ok(wait(&call.flight)),
            Some(_) => over.extend(state.under_way.remove(&key)),
            None => {}
        }
        if let Some(answer) = known() {
            return Ok(Box::pin(ready(Some(Ok(answer)))));
        }
        if state.under_way.len() >= self.max_concurrent_requests {
            let busy = ProviderError::Busy {
                max_concurrent_requests: self.max_concurrent_requests,
            };
            return Err(Failure::unavailable(busy).with_retry_after(RETRY));
        }
        let no_runtime = |NoRuntime| Failure::unavailable(ProviderError::NoRuntime);
        let flight = Flight::start(limit, work).map_err(no_runtime)?;
        state.number += 1;
        let number = state.number;
        let removal = Removal {
            calls: Arc::downgrade(self),
            key,
            number,
        };
        let (waiter, end) = (wait(&flight), wait(&flight));
        state.under_way.insert(key, Call { number, flight });
        drop(state);
        // A task and not the waiters, because those may be given up.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                let _removal = removal;
                end.await;
            });
        }
        Ok(waiter)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wait(flight: &Flight<Outcome>) -> Waiter {
    let end = flight.wait();
    Box::pin(async move { end.await.ok() })
}

impl State {
    /// Takes out calls that nobody else takes out, because their runtime is not driven.
    fn sweep(&mut self, over: &mut Vec<Call>) {
        if self.swept.elapsed() >= SWEEP {
            self.swept = Instant::now();
            let ended = self.under_way.extract_if(|_, call| call.flight.is_over());
            over.extend(ended.map(|(_, call)| call));
        }
    }
}

/// Takes a call out when it is dropped, which it is even if its runtime is shut down.
struct Removal {
    calls: Weak<InFlightRequests>,
    key: Key,
    number: u64,
}

impl Drop for Removal {
    fn drop(&mut self) {
        let Some(calls) = self.calls.upgrade() else {
            return;
        };
        let removed = {
            let mut state = calls.lock();
            match state.under_way.get(&self.key) {
                Some(call) if call.number == self.number => state.under_way.remove(&self.key),
                _ => None,
            }
        };
        drop(removed);
    }
}

impl fmt::Debug for InFlightRequests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InFlightRequests")
            .field("max_concurrent_requests", &self.max_concurrent_requests)
            .finish_non_exhaustive()
    }
}
