//! The time of a throttle, in nanoseconds since it was made.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Instant, SystemTime};

use governor::nanos::Nanos;

use crate::clock::Clock;

/// Far enough from the largest number for sums never to overflow. 146 years.
const LATEST: u64 = u64::MAX / 4;

/// Time that passes and is never set. Clones show the same.
#[derive(Clone)]
pub(super) struct SharedClock(Arc<Inner>);

struct Inner {
    source: Source,
    latest: AtomicU64,
}

enum Source {
    Monotonic(OnceLock<Instant>),
    Clock(OnceLock<SystemTime>, Box<dyn Clock>),
}

impl SharedClock {
    /// Stands at zero until it is started, so that what is made with it counts from zero.
    pub(super) fn new(clock: Option<Box<dyn Clock>>) -> Self {
        let source = match clock {
            Some(clock) => Source::Clock(OnceLock::new(), clock),
            None => Source::Monotonic(OnceLock::new()),
        };
        let latest = AtomicU64::new(0);
        Self(Arc::new(Inner { source, latest }))
    }

    pub(super) fn start(&self) {
        match &self.0.source {
            Source::Monotonic(start) => {
                start.get_or_init(Instant::now);
            }
            Source::Clock(start, clock) => {
                start.get_or_init(|| clock.now());
            }
        }
    }

    pub(super) fn nanos(&self) -> u64 {
        let passed = match &self.0.source {
            Source::Monotonic(start) => start.get().map(Instant::elapsed),
            // Set back, it stands still until it is where it was.
            Source::Clock(start, clock) => start
                .get()
                .map(|start| clock.now().duration_since(*start).unwrap_or_default()),
        };
        let nanos = passed.map_or(0, |passed| passed.as_nanos().min(u128::from(LATEST)));
        let nanos = u64::try_from(nanos).unwrap_or(LATEST);
        match self.0.source {
            Source::Monotonic(_) => nanos,
            Source::Clock(..) => self.0.latest.fetch_max(nanos, Ordering::Relaxed).max(nanos),
        }
    }
}

impl governor::clock::Clock for SharedClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.nanos().into()
    }
}
