//! One budget for each key, by the generic cell rate algorithm of the crate `governor`.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use foldhash::fast::RandomState;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::{Quota, RateLimiter};
use quick_cache::UnitWeighter;
use quick_cache::sync::{Cache, DefaultLifecycle};

use super::keys::Digest;
use super::time::SharedClock;

/// When the budget will be full again, in nanoseconds since the throttle was made; 0 if it always was.
type Bucket = Arc<AtomicU64>;

/// The buckets of one kind, within a bound. Which of them goes when there are too many is decided by `quick_cache`:
/// one that is asked for again and again stays.
#[derive(Clone)]
struct Buckets(Arc<Cache<Digest, Bucket, UnitWeighter, RandomState>>);

impl Buckets {
    fn new(max_entries: usize) -> Self {
        Self(Arc::new(Cache::with(
            max_entries,
            max_entries as u64,
            UnitWeighter,
            RandomState::default(),
            DefaultLifecycle::default(),
        )))
    }

    fn bucket(&self, key: &Digest) -> Bucket {
        let made = self
            .0
            .get_or_insert_with(key, || Ok::<_, Infallible>(Bucket::default()));
        let Ok(bucket) = made;
        bucket
    }
}

impl StateStore for Buckets {
    type Key = Digest;

    fn measure_and_replace<T, F, E>(&self, key: &Digest, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let bucket = self.bucket(key);
        let mut known = bucket.load(Ordering::Relaxed);
        loop {
            let (outcome, next) = f((known > 0).then(|| known.into()))?;
            match bucket.compare_exchange_weak(
                known,
                next.into(),
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Ok(outcome),
                Err(other) => known = other,
            }
        }
    }
}

/// How much may be spent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    pub(super) burst: u32,
    pub(super) one_every: Duration,
}

/// Budgets by key.
pub(super) struct Limiter {
    limiter: RateLimiter<Digest, Buckets, SharedClock, NoOpMiddleware<Nanos>>,
    buckets: Buckets,
    hand: SharedClock,
    budget: Budget,
    /// What one attempt takes.
    one: u64,
    /// How far ahead a bucket may be filled and still give something.
    tolerance: u64,
    /// Until then some key may be refused, none afterwards.
    blocked_until: AtomicU64,
}

/// What was taken from a bucket, and may be given back.
pub(super) struct BudgetSpent {
    bucket: Bucket,
    one: u64,
    /// When it will have been filled in again.
    filled_at: u64,
}

impl Limiter {
    /// The bounds of `budget` have been checked, and `hand` has not been started.
    pub(super) fn new(budget: Budget, max_entries: usize, hand: &SharedClock) -> Self {
        let burst = budget.burst.max(1);
        let burst = std::num::NonZeroU32::new(burst).unwrap_or(std::num::NonZeroU32::MIN);
        let one_every = budget.one_every.max(Duration::from_nanos(1));
        let quota = Quota::with_period(one_every)
            .unwrap_or(Quota::per_second(burst))
            .allow_burst(burst);
        let one = u64::try_from(one_every.as_nanos()).unwrap_or(u64::MAX);
        let buckets = Buckets::new(max_entries);
        Self {
            limiter: RateLimiter::new(quota, buckets.clone(), hand.clone()),
            buckets,
            hand: hand.clone(),
            budget,
            one,
            tolerance: one.saturating_mul(u64::from(burst.get() - 1)),
            blocked_until: AtomicU64::new(0),
        }
    }

    /// Takes one, or says how long to wait for it.
    pub(super) fn take(&self, key: Digest) -> Result<BudgetSpent, Duration> {
        if let Err(until) = self.limiter.check_key(&key) {
            return Err(until.wait_time_from(self.hand.nanos().into()));
        }
        let bucket = self.buckets.bucket(&key);
        // Another attempt may just have moved it on, and then this one would get back a little too much if it took very
        // long. That is less than what the other one has paid.
        let filled_at = bucket.load(Ordering::Relaxed);
        self.note(filled_at);
        Ok(BudgetSpent {
            bucket,
            one: self.one,
            filled_at,
        })
    }

    /// Takes one from where there may be none. So that nobody is shut out for ever, no more is owed than can be
    /// spent.
    pub(super) fn charge(&self, key: Digest) {
        let now = self.hand.nanos();
        let most = now + 2 * (self.tolerance + self.one);
        let bucket = self.buckets.bucket(&key);
        let mut filled_at = 0;
        // A closure that always says `Some` cannot fail.
        let _ = bucket.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |known| {
            filled_at = (known.max(now) + self.one).min(most);
            Some(filled_at)
        });
        self.note(filled_at);
    }

    /// Whether no key can be refused. One load, until one was.
    #[inline]
    pub(super) fn none_blocked(&self) -> bool {
        let until = self.blocked_until.load(Ordering::Relaxed);
        until == 0 || self.hand.nanos() >= until
    }

    /// How long to wait for one, without taking it.
    pub(super) fn blocked(&self, key: Digest) -> Option<Duration> {
        let filled_at = self.buckets.0.get(&key)?.load(Ordering::Relaxed);
        let free_at = filled_at.saturating_sub(self.tolerance);
        let wait = free_at.checked_sub(self.hand.nanos())?;
        (wait > 0).then(|| Duration::from_nanos(wait))
    }

    fn note(&self, filled_at: u64) {
        let free_at = filled_at.saturating_sub(self.tolerance);
        if free_at > self.hand.nanos() {
            self.blocked_until.fetch_max(free_at, Ordering::Relaxed);
        }
    }
}

impl BudgetSpent {
    /// Gives it back, without what time has filled in already: else an attempt that was held open long enough would
    /// pay for another one.
    pub(super) fn give_back(&self, now: u64) {
        let left = self.filled_at.saturating_sub(now).min(self.one);
        let _ = self
            .bucket
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |filled_at| {
                Some(filled_at.saturating_sub(left))
            });
    }
}

impl fmt::Debug for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.budget.fmt(f)
    }
}
