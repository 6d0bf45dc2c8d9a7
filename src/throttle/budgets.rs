//! The budgets of failed attempts, and the order in which an attempt is charged to them.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use super::attempt::{Attempt, TooManyAttempts};
use super::buckets::Limiter;
use super::builder::ThrottleBuilder;
use super::keys::Keys;
use super::known_addresses::KnownAddresses;
use super::time::SharedClock;

/// Budgets of failed attempts. Clones are cheap and share them.
///
/// The [module](super) says which there are, and how they work together.
///
/// # Example
///
/// ```
/// use std::net::IpAddr;
/// use tower_bearer::throttle::Throttle;
///
/// let throttle = Throttle::new();
/// let guesser = IpAddr::from([192, 0, 2, 1]);
/// for _ in 0..5 {
///     throttle.attempt(guesser, "alice")?.failed();
/// }
/// let refused = throttle.attempt(guesser, "alice").unwrap_err();
/// assert!(refused.retry_after().as_secs() > 100);
///
/// // Alice herself is elsewhere.
/// throttle.attempt(IpAddr::from([198, 51, 100, 7]), "alice")?.succeeded();
/// # Ok::<_, tower_bearer::throttle::TooManyAttempts>(())
/// ```
#[derive(Clone)]
pub struct Throttle {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) keys: Keys,
    pub(super) addresses: Limiter,
    pub(super) pairs: Limiter,
    pub(super) accounts: Limiter,
    /// One attempt at a time, for when a budget has been used up by others.
    pub(super) reserve: Limiter,
    pub(super) familiar: KnownAddresses,
    pub(super) hand: SharedClock,
}

impl Default for Throttle {
    fn default() -> Self {
        Self::new()
    }
}

impl Throttle {
    /// One with the defaults of the [module](super).
    #[must_use]
    pub fn new() -> Self {
        ThrottleBuilder::new().make()
    }

    /// One with other budgets.
    pub fn builder() -> ThrottleBuilder {
        ThrottleBuilder::new()
    }

    /// Asks whether a login from `address` to `account` may be tried. If so, the attempt is counted as failed until
    /// [`Attempt::succeeded`] or [`Attempt::undecided`] says otherwise, so ask before the password is checked:
    /// guesses made at the same time do not slip through then, nor those whose connection is cut. It also means that
    /// an address has no more logins on their way at a time than its budgets allow: 5 to the same account, 100 in
    /// all.
    ///
    /// `account` is the name by which the login finds the account. Upper and lower case, and spaces around it, make
    /// no difference. If yours overlooks more (dots, what follows a `+`, other Unicode forms), hand over the name
    /// that it makes of them, or each spelling has a budget of its own.
    ///
    /// `address` comes from a [`ClientAddress`](super::ClientAddress). All clients without an address (`None`) count as one, for which
    /// guesses of one shut out the others: see there for what to do on a Unix socket.
    ///
    /// # Errors
    ///
    /// [`TooManyAttempts`], which is the answer and says when to come back. It costs nothing: who keeps on asking
    /// waits no longer.
    pub fn attempt(
        &self,
        address: impl Into<Option<IpAddr>>,
        account: &str,
    ) -> Result<Attempt, TooManyAttempts> {
        let Inner {
            keys,
            addresses,
            pairs,
            accounts,
            reserve,
            familiar,
            ..
        } = &*self.inner;
        let client = keys.client(address.into());
        let account = keys.account(account);
        let is_known = familiar.knows(account, client.address);
        let mut attempt = Attempt::new(self.clone(), client.address, account);
        let mut used_up = None;

        // The address comes first, so that one without budget adds no entry to the other tables.
        match addresses.take(client.address) {
            Ok(spent) => attempt.add(spent),
            Err(wait) if is_known => used_up = Some(wait),
            Err(wait) => return Err(attempt.refuse(wait)),
        }
        match pairs.take(keys.pair(client.address, account)) {
            Ok(spent) => attempt.add(spent),
            Err(wait) => return Err(attempt.refuse(wait)),
        }
        if !is_known {
            match accounts.take(account) {
                Ok(spent) => attempt.add(spent),
                Err(wait) => used_up = Some(wait),
            }
        }
        if let Some(wait) = used_up {
            let place = if is_known {
                client.address
            } else {
                client.network
            };
            match reserve.take(keys.pair(place, account)) {
                Ok(spent) => attempt.add(spent),
                Err(other) => return Err(attempt.refuse(wait.min(other))),
            }
        }
        Ok(attempt)
    }

    /// For how long `address` is refused, if it is. Takes nothing from its budget.
    ///
    /// As long as no address has used up its budget, this reads one number.
    #[inline]
    pub(super) fn blocked(
        &self,
        address: impl FnOnce() -> Option<IpAddr>,
    ) -> Result<(), TooManyAttempts> {
        let Inner {
            keys, addresses, ..
        } = &*self.inner;
        if addresses.none_blocked() {
            return Ok(());
        }
        match addresses.blocked(keys.client(address()).address) {
            Some(wait) => Err(TooManyAttempts::new(wait)),
            None => Ok(()),
        }
    }

    /// Counts a failure that was not asked for before. Those beyond the budget are paid for later.
    #[cold]
    pub(super) fn count(&self, address: Option<IpAddr>) {
        let Inner {
            keys, addresses, ..
        } = &*self.inner;
        addresses.charge(keys.client(address).address);
    }
}

impl fmt::Debug for Throttle {
    /// Without what is counted.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Throttle")
            .field("addresses", &self.inner.addresses)
            .field("pairs", &self.inner.pairs)
            .field("accounts", &self.inner.accounts)
            .field("reserve", &self.inner.reserve)
            .finish_non_exhaustive()
    }
}
