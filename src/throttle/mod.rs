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
mod budgets;
mod builder;
mod client_address;
mod forwarded;
mod keys;
mod known_addresses;
mod throttled;
mod time;

pub use attempt::{Attempt, TooManyAttempts};
pub use budgets::Throttle;
pub use builder::ThrottleBuilder;
pub use client_address::{ClientAddress, PeerAddress, ProxyHeader};
pub use throttled::Throttled;
