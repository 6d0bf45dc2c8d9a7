//! Asking a store, and what happens when it cannot tell.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use super::claims::OwnedRevocationClaims;
use super::{RevocationClaims, Revocations};
use crate::clock::seconds;
use crate::failure::{Failure, InvalidReason};
use crate::validator::{Dependency, Validated};

/// An epoch that no store has.
const NEVER: u64 = u64::MAX;

/// A store of [`Revocations`], and what holds while it cannot tell. Made of a store by `From`. Clones share it.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use tower_bearer::revocation::RevocationCheck;
/// # use tower_bearer::revocation::Revocations;
///
/// # fn check(store: impl Revocations + 'static) -> RevocationCheck {
/// // Rather let a revoked token through for half a minute than nobody at all.
/// RevocationCheck::new(store).insecure_allow_in_outage(Duration::from_secs(30))
/// # }
/// ```
#[derive(Clone)]
pub struct RevocationCheck {
    store: Arc<dyn Revocations>,
    outage: Option<Arc<Outage>>,
}

/// For how long nothing need be known.
struct Outage {
    allowed: Duration,
    /// When the store could tell for the last time, in seconds.
    told: AtomicU64,
}

/// What the store says.
enum Answer {
    NotRevoked,
    /// It cannot tell, and that is accepted for now.
    Unchecked,
}

impl RevocationCheck {
    /// Asks `store`. While it cannot tell, requests are refused with 503.
    #[must_use]
    pub fn new(store: impl Revocations + 'static) -> Self {
        Self {
            store: Arc::new(store),
            outage: None,
        }
    }

    /// Lets requests through while the store cannot tell, for at most `max` after the last request for which it
    /// could. What is taken back meanwhile works until then, and so does what the store no longer knows. If it never
    /// could tell, or no request came for so long, they are refused.
    #[must_use]
    pub fn insecure_allow_in_outage(mut self, max: Duration) -> Self {
        self.outage = Some(Arc::new(Outage {
            allowed: max,
            told: AtomicU64::new(NEVER),
        }));
        self
    }

    /// Refuses a token that has been taken back. For a validator of your own that is not cached: a cache would not ask
    /// again. [`ValidatorExt::revocable`](crate::ValidatorExt::revocable) sees to that.
    ///
    /// # Errors
    ///
    /// [`InvalidReason::Revoked`], or [`Failure::unavailable`] with what the store says if it cannot tell.
    pub fn check(&self, token: &RevocationClaims<'_>, now: SystemTime) -> Result<(), Failure> {
        self.ask(token, now).map(|_| ())
    }

    /// The same for a verdict, which a cache will then ask about again.
    pub(crate) fn guard<T>(
        &self,
        validated: Validated<T>,
        token: OwnedRevocationClaims,
        now: SystemTime,
    ) -> Result<Validated<T>, Failure> {
        // Before the question, so that what is taken back meanwhile is another epoch.
        let epoch = self.store.epoch();
        let epoch = match self.ask(&token.borrow(), now)? {
            Answer::NotRevoked => epoch.unwrap_or(NEVER),
            Answer::Unchecked => NEVER,
        };
        Ok(validated.with_dependency(Arc::new(NotRevoked {
            check: self.clone(),
            token,
            epoch: AtomicU64::new(epoch),
        })))
    }

    fn ask(&self, token: &RevocationClaims<'_>, now: SystemTime) -> Result<Answer, Failure> {
        match self.store.is_revoked(token, now) {
            Ok(true) => Err(Failure::invalid(InvalidReason::Revoked)),
            Ok(false) => {
                self.told(now);
                Ok(Answer::NotRevoked)
            }
            Err(_) if self.is_allowed(now) => Ok(Answer::Unchecked),
            Err(error) => Err(Failure::unavailable(error)),
        }
    }

    fn told(&self, now: SystemTime) {
        if let Some(outage) = &self.outage {
            let now = seconds(now);
            // Once a second, since all requests share it.
            if outage.told.load(Ordering::Relaxed) != now {
                outage.told.store(now, Ordering::Relaxed);
            }
        }
    }

    fn is_allowed(&self, now: SystemTime) -> bool {
        self.outage.as_ref().is_some_and(|outage| {
            let told = Duration::from_secs(outage.told.load(Ordering::Relaxed));
            // In a time before it nobody knows how long ago that was.
            SystemTime::UNIX_EPOCH
                .checked_add(told)
                .and_then(|told| now.duration_since(told).ok())
                .is_some_and(|since| since <= outage.allowed)
        })
    }
}

impl<R: Revocations + 'static> From<R> for RevocationCheck {
    fn from(store: R) -> Self {
        Self::new(store)
    }
}

impl fmt::Debug for RevocationCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevocationCheck")
            .field(
                "allowed_in_outage",
                &self.outage.as_ref().map(|outage| outage.allowed),
            )
            .finish_non_exhaustive()
    }
}

/// That a token has not been taken back.
struct NotRevoked {
    check: RevocationCheck,
    token: OwnedRevocationClaims,
    /// In which epoch that was known last.
    epoch: AtomicU64,
}

impl Dependency for NotRevoked {
    fn holds(&self, now: SystemTime) -> bool {
        let epoch = self.check.store.epoch();
        if epoch.is_some_and(|epoch| epoch == self.epoch.load(Ordering::Relaxed) && epoch != NEVER)
        {
            self.check.told(now);
            return true;
        }
        match self.check.ask(&self.token.borrow(), now) {
            Ok(Answer::NotRevoked) => {
                self.epoch.store(epoch.unwrap_or(NEVER), Ordering::Relaxed);
                true
            }
            Ok(Answer::Unchecked) => true,
            Err(_) => false,
        }
    }
}
