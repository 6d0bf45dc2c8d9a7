//! Time as an input: what validators and policies read instead of the system clock.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
#[cfg(feature = "revocation")]
use std::time::Instant;
use std::time::{Duration, SystemTime};

/// Where a layer takes the current time from.
///
/// The default is [`SystemClock`]. Tests hand a [`ManualClock`] to
/// [`BearerAuthLayer::with_clock`](crate::BearerAuthLayer::with_clock) and move it by hand, so
/// that nothing ever has to sleep to see a credential expire.
pub trait Clock: Send + Sync {
    /// The current time.
    fn now(&self) -> SystemTime;
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> SystemTime {
        (**self).now()
    }
}

/// The clock of the operating system.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// A clock that stands still until it is moved. Clones share the same hand.
///
/// # Example
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use tower_bearer::clock::{Clock, ManualClock};
///
/// let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
/// let clock = ManualClock::new(start);
/// clock.advance(Duration::from_secs(60));
/// assert_eq!(clock.now(), start + Duration::from_secs(60));
/// ```
#[derive(Clone)]
pub struct ManualClock {
    now: Arc<Mutex<SystemTime>>,
}

impl ManualClock {
    /// A clock that shows `now`.
    #[must_use]
    pub fn new(now: SystemTime) -> Self {
        Self {
            now: Arc::new(Mutex::new(now)),
        }
    }

    /// Moves the hand forward. Stays where it is if the sum cannot be represented.
    pub fn advance(&self, by: Duration) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(later) = now.checked_add(by) {
            *now = later;
        }
    }

    /// Puts the hand to `now`, which may be in the past.
    pub fn set(&self, now: SystemTime) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> SystemTime {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManualClock")
            .field("now", &self.now())
            .finish()
    }
}

/// Returns the whole seconds since the Unix epoch, and 0 for a time before it.
pub(crate) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// The clock of the system, as long as it does not run ahead of the time that really passes: were it set ahead
/// for a moment, what is cleared away by it would be missing when it is set right.
#[cfg(feature = "revocation")]
#[derive(Clone, Copy)]
pub(crate) struct ClampedClock {
    start: SystemTime,
    really: Instant,
}

#[cfg(feature = "revocation")]
impl ClampedClock {
    pub(crate) fn new() -> Self {
        Self {
            start: SystemTime::now(),
            really: Instant::now(),
        }
    }
}

#[cfg(feature = "revocation")]
impl Clock for ClampedClock {
    fn now(&self) -> SystemTime {
        let passed = self.start.checked_add(self.really.elapsed());
        passed.map_or(self.start, |passed| passed.min(SystemTime::now()))
    }
}

#[cfg(all(test, feature = "revocation"))]
mod tests {
    use super::*;

    #[test]
    fn clamped_clock_never_runs_ahead_of_elapsed_time() {
        let year = Duration::from_secs(31_536_000);
        let behind = ClampedClock {
            start: SystemTime::now() - year,
            really: Instant::now(),
        };
        assert!(behind.now() < SystemTime::now() - year + Duration::from_secs(300));
        let ahead = ClampedClock {
            start: SystemTime::now() + year,
            really: Instant::now(),
        };
        assert!(ahead.now() <= SystemTime::now());
    }
}
