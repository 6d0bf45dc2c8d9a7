//! Slowing clients that guess: at the login, and in front of a validator. Needs the feature `throttle`.
//!
//! A [`Throttle`] keeps budgets of failed attempts. Who has used up a budget is refused until it fills again, with
//! 429 ([RFC 6585 section 4](https://www.rfc-editor.org/rfc/rfc6585#section-4)) and `Retry-After` ([RFC 9110 section
//! 10.2.3](https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3)). What succeeds costs nothing.
//!
//! # At the login
//!
//! ```
//! # #[cfg(feature = "axum")] {
//! use std::net::SocketAddr;
//!
//! use axum::extract::{ConnectInfo, State};
//! use axum::http::{HeaderMap, StatusCode};
//! use axum::response::{IntoResponse, Response};
//! use axum::routing::post;
//! use axum::{Form, Router};
//! use tower_bearer::throttle::{ClientAddress, Throttle};
//!
//! # #[derive(serde::Deserialize)] struct Login { user: String, password: String }
//! # async fn password_is_right(_: &Login) -> Result<bool, std::io::Error> { Ok(true) }
//! #[derive(Clone)]
//! struct App {
//!     throttle: Throttle,
//!     client: ClientAddress,
//! }
//!
//! async fn login(
//!     State(app): State<App>,
//!     ConnectInfo(peer): ConnectInfo<SocketAddr>,
//!     headers: HeaderMap,
//!     Form(login): Form<Login>,
//! ) -> Response {
//!     let address = app.client.resolve(peer.ip(), &headers);
//!     // Before the password is looked at, or guesses made at the same time would all pass.
//!     let attempt = match app.throttle.attempt(address, &login.user) {
//!         Ok(attempt) => attempt,
//!         Err(too_many) => return too_many.into_response(),
//!     };
//!     match password_is_right(&login).await {
//!         Ok(true) => {
//!             attempt.succeeded();
//!             StatusCode::NO_CONTENT.into_response()
//!         }
//!         Ok(false) => {
//!             attempt.failed();
//!             StatusCode::UNAUTHORIZED.into_response()
//!         }
//!         Err(_) => {
//!             attempt.undecided();
//!             StatusCode::SERVICE_UNAVAILABLE.into_response()
//!         }
//!     }
//! }
//!
//! # fn app() -> Result<Router, tower_bearer::ConfigError> {
//! let app = App {
//!     throttle: Throttle::new(),
//!     client: ClientAddress::from_connection(),
//! };
//! let router: Router = Router::new().route("/login", post(login)).with_state(app);
//! # Ok(router) }
//! # app().unwrap();
//! # }
//! ```
//!
//! The server is then started with `router.into_make_service_with_connect_info::<SocketAddr>()`.
//!
//! # In front of a validator
//!
//! [`ValidatorExt::throttled`](crate::ValidatorExt::throttled) does it by address, for credentials that could be guessed,
//! and to keep who sends rubbish away from a validator that has to work for it. Its [`ClientAddress`] looks into the
//! request: in axum with [`from_fn`](ClientAddress::from_fn), elsewhere [`from_connection`](ClientAddress::from_connection) finds
//! the [`PeerAddress`] that the server has to put into the extensions. Without either, all clients count as one.
//!
//! # Which budgets there are
//!
//! | budget of failures | default | who is refused when it is used up |
//! |---|---|---|
//! | of an address | 100, one more every 20 seconds | that address, but see below |
//! | of an address with an account | 5, one more every 2 minutes | that address, for that account |
//! | of an account, from addresses that are strange to it | 20, one more every 15 minutes | nobody: each strange network then has one attempt every 10 minutes |
//!
//! An address is **strange** to an account until a login from it has succeeded there. The last 8 addresses of an
//! account are known to it. So:
//!
//! * A stranger cannot lock an account out. However many addresses guess at it, its owner passes from a known
//!   address, and from any fresh one has an attempt every ten minutes. Only who shares the owner's address can use up
//!   the 5 attempts of that address for the account, or who shares a fresh network the one of that.
//! * A network of many machines has 20 guesses at an account, then 96 a day and one for each machine every ten
//!   minutes.
//! * When the budget of an address is used up, by a neighbour behind the same NAT, say, those who have logged in from
//!   it before still have an attempt every ten minutes each.
//! * A login that succeeds gives back what it took itself and nothing more. Logging in with an account of one's own
//!   in between gives no further guesses.
//!
//! An account that does not exist is counted like any other, so that the answer does not tell which do.
//!
//! An address is a whole IPv4 address, or the first 64 bits of an IPv6 address, which is what one customer has at
//! least. A network is the same for IPv4, and the first 48 bits for IPv6. `::ffff:192.0.2.1` is 192.0.2.1.
//!
//! # How much memory it takes
//!
//! Names and addresses are kept as digests of 128 bits made with a secret of the process, so the longest name costs
//! what the shortest does. There are five tables, each with as many entries as
//! [`max_entries`](ThrottleBuilder::max_entries) allows, 100,000 by default; an entry takes 220 bytes at most, so all
//! of it no more than 110 MB, and nothing at the beginning.
//!
//! A full table lets go of entries that nobody asked for again before those that are asked for: an address or an
//! account under attack stays. An entry that goes is a budget filled early, never one used up. To push one out,
//! somebody has to fill a table, which takes as many addresses as it has entries, or that many attempts that were
//! admitted: names alone do not do it, because an address without budget adds no entry. Who is known to an account
//! stands in a table of its own, where only successful logins write, one entry for an account.
//!
//! # What it does not do
//!
//! It knows the memory of one process: of several instances each has its own budgets, and a restart fills them. It
//! does not count requests; a limit for these belongs into the proxy. It is no answer to a password that many use:
//! that is for the list of forbidden passwords. Who has tens of thousands of networks makes as many guesses every ten
//! minutes: that is for a second factor.

mod attempt;
mod buckets;
mod builder;
mod client_address;
mod forwarded;
mod keys;
mod known_addresses;
mod throttled;
mod time;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

pub use attempt::{Attempt, TooManyAttempts};
pub use builder::ThrottleBuilder;
pub use client_address::{ClientAddress, PeerAddress, ProxyHeader};
pub use throttled::Throttled;

use buckets::Limiter;
use keys::Keys;
use known_addresses::KnownAddresses;
use time::SharedClock;

/// Budgets of failed attempts. Clones are cheap and share them.
///
/// The [module](self) says which there are, and how they work together.
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
    inner: Arc<Inner>,
}

struct Inner {
    keys: Keys,
    addresses: Limiter,
    pairs: Limiter,
    accounts: Limiter,
    /// One attempt at a time, for when a budget has been used up by others.
    reserve: Limiter,
    familiar: KnownAddresses,
    hand: SharedClock,
}

impl Default for Throttle {
    fn default() -> Self {
        Self::new()
    }
}

impl Throttle {
    /// One with the defaults of the [module](self).
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
    /// `address` comes from a [`ClientAddress`]. All clients without an address (`None`) count as one, for which
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
    fn blocked(&self, address: impl FnOnce() -> Option<IpAddr>) -> Result<(), TooManyAttempts> {
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
    fn count(&self, address: Option<IpAddr>) {
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
