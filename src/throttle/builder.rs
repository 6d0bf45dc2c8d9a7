//! How much may be spent, and how much memory.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::buckets::{Budget, Limiter};
use super::budgets::{Inner, Throttle};
use super::keys::Keys;
use super::known_addresses::KnownAddresses;
use super::time::SharedClock;
use crate::clock::Clock;
use crate::error::ConfigError;

const MINUTE: Duration = Duration::from_secs(60);
/// A budget that takes longer to fill shuts out rather than slows down. It also keeps sums small.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);
/// With fewer entries, anybody could push out those of others.
const LEAST_ENTRIES: usize = 1_000;
/// As many addresses as IPv4 has are enough.
const MOST_ENTRIES: usize = 1 << 31;

/// Settings of a [`Throttle`]. Made by [`Throttle::builder`].
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use tower_bearer::throttle::Throttle;
///
/// // A company whose people all come from one address.
/// let throttle = Throttle::builder()
///     .per_address(1_000, Duration::from_secs(2))
///     .max_entries(20_000)
///     .build()?;
/// # let _ = throttle;
/// # Ok::<_, tower_bearer::ConfigError>(())
/// ```
#[must_use]
pub struct ThrottleBuilder {
    address: Budget,
    pair: Budget,
    account: Budget,
    reserve: Duration,
    max_entries: usize,
    clock: Option<Box<dyn Clock>>,
}

impl ThrottleBuilder {
    pub(super) fn new() -> Self {
        let budget = |burst, one_every| Budget { burst, one_every };
        Self {
            address: budget(100, Duration::from_secs(20)),
            pair: budget(5, 2 * MINUTE),
            account: budget(20, 15 * MINUTE),
            reserve: 10 * MINUTE,
            max_entries: 100_000,
            clock: None,
        }
    }

    /// How many attempts from one address may fail, whatever the account: `burst` at once, and one more every
    /// `one_every`. Default: 100, and one every 20 seconds, for the many people behind one NAT.
    pub fn per_address(mut self, burst: u32, one_every: Duration) -> Self {
        self.address = Budget { burst, one_every };
        self
    }

    /// How many attempts from one address to one account may fail. Default: 5, and one every 2 minutes: enough for
    /// somebody who does not remember which password it was.
    pub fn per_address_and_account(mut self, burst: u32, one_every: Duration) -> Self {
        self.pair = Budget { burst, one_every };
        self
    }

    /// How many attempts to one account may fail, from all addresses together that are strange to it, before each of
    /// their networks has only one attempt in [a while](Self::reserve). Default: 20, and one every 15 minutes.
    pub fn per_account(mut self, burst: u32, one_every: Duration) -> Self {
        self.account = Budget { burst, one_every };
        self
    }

    /// How long it is from one attempt to the next when others have used up a budget: for a network with an account
    /// whose budget is used up, and for an address that is known to an account when the address's own budget is.
    /// Default: 10 minutes. It is how long an owner waits who mistypes the password at a new place during an attack,
    /// and the least time between two guesses of one machine of many.
    pub fn reserve(mut self, one_every: Duration) -> Self {
        self.reserve = one_every;
        self
    }

    /// How many addresses, accounts, and pairs of both are kept at most, of each. Default: 100,000; at least 1,000.
    /// The [module](super#how-much-memory-it-takes) says what an entry takes.
    pub fn max_entries(mut self, max_entries: usize) -> Self {
        self.max_entries = max_entries;
        self
    }

    /// What tells the time, for tests. Default: time that passes, whatever the clock of the system is set to, so that
    /// a clock that is set right neither shuts anybody out nor fills a budget. One that is set back stands still
    /// here.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Some(Box::new(clock));
        self
    }

    /// The throttle.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Setting`] for a budget of no attempts, one that refills in no time, or one that takes more than
    /// 366 days to fill; for fewer than 1,000 entries, or more than 2,147,483,648; and where a budget for an account
    /// is smaller than the one of an address for it.
    pub fn build(self) -> Result<Throttle, ConfigError> {
        for (setting, budget) in [
            ("per_address", self.address),
            ("per_address_and_account", self.pair),
            ("per_account", self.account),
            (
                "reserve",
                Budget {
                    burst: 1,
                    one_every: self.reserve,
                },
            ),
        ] {
            check(budget).map_err(|problem| ConfigError::Setting { setting, problem })?;
        }
        if self.account.burst < self.pair.burst {
            return Err(ConfigError::Setting {
                setting: "per_account",
                problem: "allows fewer attempts than one address has, so a single stranger uses it up",
            });
        }
        if !(LEAST_ENTRIES..=MOST_ENTRIES).contains(&self.max_entries) {
            return Err(ConfigError::Setting {
                setting: "max_entries",
                problem: "expected 1,000 to 2,147,483,648: with fewer, anybody could push out the entries of others",
            });
        }
        Ok(self.make())
    }

    /// With settings that have been checked.
    pub(super) fn make(self) -> Throttle {
        let hand = SharedClock::new(self.clock);
        let limiter = |budget| Limiter::new(budget, self.max_entries, &hand);
        let inner = Inner {
            keys: Keys::new(),
            addresses: limiter(self.address),
            pairs: limiter(self.pair),
            accounts: limiter(self.account),
            reserve: limiter(Budget {
                burst: 1,
                one_every: self.reserve,
            }),
            familiar: KnownAddresses::new(self.max_entries),
            hand: hand.clone(),
        };
        hand.start();
        Throttle {
            inner: Arc::new(inner),
        }
    }
}

fn check(budget: Budget) -> Result<(), &'static str> {
    if budget.burst == 0 {
        return Err("allows no attempt at all; expected at least 1");
    }
    if budget.one_every.is_zero() {
        return Err("fills in no time, so it would slow nobody; expected a duration");
    }
    match budget.one_every.checked_mul(budget.burst) {
        Some(whole) if whole <= LONGEST => Ok(()),
        _ => Err("takes more than 366 days to fill; expected fewer attempts or a shorter time"),
    }
}

impl fmt::Debug for ThrottleBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThrottleBuilder")
            .field("address", &self.address)
            .field("pair", &self.pair)
            .field("account", &self.account)
            .field("reserve", &self.reserve)
            .field("max_entries", &self.max_entries)
            .finish_non_exhaustive()
    }
}
