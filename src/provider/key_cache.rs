//! Runs the fetches and holds what they bring.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use arc_swap::ArcSwapOption;

use super::error::ProviderError;
use super::loader::{Loaded, Loader};
use super::schedule::{Cause, Held, Schedule, Timing};
use super::single_flight::{Flight, NoRuntime};
use crate::clock::Clock;
use crate::failure::Failure;
use crate::jwt::KeySet;

/// Fetches the keys and keeps them. The clones of [`RemoteKeys`](super::RemoteKeys) share one.
pub(super) struct KeyCache {
    pub(super) loader: Arc<Loader>,
    pub(super) timing: Timing,
    pub(super) clock: Arc<dyn Clock>,
    /// What requests read. Written only under the lock.
    pub(super) snapshot: ArcSwapOption<Snapshot>,
    /// Never held across an await.
    pub(super) state: Mutex<State>,
}

/// What requests read.
pub(super) struct Snapshot {
    pub(super) keys: Arc<KeySet>,
    pub(super) held: Held,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) schedule: Schedule,
    pub(super) keys: Option<Arc<KeySet>>,
    pub(super) flight: Option<Flight<Outcome>>,
    pub(super) last_error: Option<ProviderError>,
}

pub(super) type Outcome = Result<Arc<KeySet>, ProviderError>;

impl KeyCache {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a fetch in place of the one before, which is over.
    pub(super) fn start(
        self: &Arc<Self>,
        state: &mut State,
        cause: Cause,
        now: SystemTime,
    ) -> Result<(), NoRuntime> {
        let loader = Arc::clone(&self.loader);
        // Not an owner, or the task would keep alive what ends it.
        let key_cache = Arc::downgrade(self);
        let flight = Flight::start(loader.timeout(), async move {
            let loaded = loader.load(now).await;
            match key_cache.upgrade() {
                Some(key_cache) => key_cache.finish(now, loaded),
                None => loaded.map(|loaded| loaded.keys),
            }
        })?;
        state.flight = Some(flight);
        state.schedule.started(cause, now);
        Ok(())
    }

    fn finish(&self, started: SystemTime, loaded: Result<Loaded, ProviderError>) -> Outcome {
        if let Err(error) = &loaded {
            crate::trace::keys_not_fetched(error);
        }
        let mut state = self.lock();
        let loaded = match loaded {
            Ok(loaded) => loaded,
            Err(error) => {
                state.last_error = Some(error.clone());
                return Err(error);
            }
        };
        let before = state.keys.as_ref();
        let changed = before.is_none_or(|before| !Arc::ptr_eq(before, &loaded.keys));
        state
            .schedule
            .succeeded(&self.timing, started, loaded.fresh, changed);
        // E03: in place of the set before.
        state.keys = Some(Arc::clone(&loaded.keys));
        state.last_error = None;
        self.publish(&state);
        Ok(loaded.keys)
    }

    pub(super) fn publish(&self, state: &State) {
        if let (Some(keys), Some(held)) = (&state.keys, state.schedule.held()) {
            let keys = Arc::clone(keys);
            self.snapshot.store(Some(Arc::new(Snapshot { keys, held })));
        }
    }
}

impl State {
    pub(super) fn in_flight(&self) -> bool {
        self.flight.as_ref().is_some_and(|flight| !flight.is_over())
    }

    /// Why the last fetch brought nothing, if it did not. One that came to no end could not say so.
    pub(super) fn last_error(&self) -> Option<ProviderError> {
        let is_lost = || self.schedule.has_failed() && !self.in_flight();
        self.last_error
            .clone()
            .or_else(|| is_lost().then_some(ProviderError::Interrupted))
    }

    /// Why there are no keys.
    pub(super) fn failure(&self) -> Failure {
        Failure::unavailable(self.last_error().unwrap_or(ProviderError::Interrupted))
    }
}
