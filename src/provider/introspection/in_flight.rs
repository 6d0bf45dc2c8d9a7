//! Introspection requests in progress: one for each token.

use std::fmt;
use std::future::{Future, ready};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use super::cache::Key;
use super::response::Answer;
use crate::cache::{InFlight, Number};
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
    flights: InFlight<Key, Flight<Outcome>>,
    /// When requests were last looked for whose runtime is not driven.
    swept: Mutex<Instant>,
}

impl InFlightRequests {
    pub(super) fn new(max_concurrent_requests: usize) -> Arc<Self> {
        Arc::new(Self {
            max_concurrent_requests,
            flights: InFlight::default(),
            swept: Mutex::new(Instant::now()),
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
        let is_sweep_due = self.is_sweep_due();
        // Declared before the lock, so dropped after it, since dropping a flight wakes its waiters.
        let mut over = Vec::new();
        let mut flights = self.flights.lock();
        if is_sweep_due {
            over = flights.remove_if(Flight::is_over);
        }
        match flights.get(&key) {
            Some(flight) if !flight.is_over() => return Ok(wait(flight)),
            Some(_) => over.extend(flights.remove(&key)),
            None => {}
        }
        if let Some(answer) = known() {
            return Ok(Box::pin(ready(Some(Ok(answer)))));
        }
        if flights.len() >= self.max_concurrent_requests {
            let busy = ProviderError::Busy {
                max_concurrent_requests: self.max_concurrent_requests,
            };
            return Err(Failure::unavailable(busy).with_retry_after(RETRY));
        }
        let no_runtime = |NoRuntime| Failure::unavailable(ProviderError::NoRuntime);
        let flight = Flight::start(limit, work).map_err(no_runtime)?;
        let number = flights.next_number();
        let removal = Removal {
            calls: Arc::downgrade(self),
            key,
            number,
        };
        let (waiter, end) = (wait(&flight), wait(&flight));
        over.extend(flights.insert(key, number, flight));
        drop(flights);
        // A task and not the waiters, because those may be given up.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                let _removal = removal;
                end.await;
            });
        }
        Ok(waiter)
    }

    /// Returns whether to look for requests that nothing else removes, because their runtime is not driven.
    fn is_sweep_due(&self) -> bool {
        let mut swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = swept.elapsed() >= SWEEP;
        if is_due {
            *swept = Instant::now();
        }
        is_due
    }
}

fn wait(flight: &Flight<Outcome>) -> Waiter {
    let end = flight.wait();
    Box::pin(async move { end.await.ok() })
}

/// Removes a request when it is dropped, which happens even if its runtime is shut down.
struct Removal {
    calls: Weak<InFlightRequests>,
    key: Key,
    number: Number,
}

impl Drop for Removal {
    fn drop(&mut self) {
        if let Some(calls) = self.calls.upgrade() {
            calls.flights.remove_own(&self.key, self.number);
        }
    }
}

impl fmt::Debug for InFlightRequests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InFlightRequests")
            .field("max_concurrent_requests", &self.max_concurrent_requests)
            .finish_non_exhaustive()
    }
}
