//! Remembering what a validator has said yes to. Needs the feature `cache`, which `jwt` brings along.
//!
//! To check an RSA or elliptic-curve signature takes many times what all the rest of a request does, and a client
//! sends the same token again and again. A `JwtValidator` remembers by itself; any other validator does with
//! [`ValidatorExt::cached`](crate::ValidatorExt::cached).
//!
//! # What is remembered
//!
//! That a credential is good, and whose it is. What is bad, or cannot be told, is found out each time, so a
//! flood of bad tokens drives out nothing. A credential is known by all of its bytes and by where it stood in
//! the request. The copy that is kept is wiped when it goes.
//!
//! # For how long
//!
//! Until the first of these:
//!
//! - the credential expires,
//! - its [time to live](CacheSettings::with_time_to_live) is over,
//! - something that the verdict rests on no longer holds ([`Dependency`](crate::Dependency)): for a JWT, the
//!   set of keys that it was checked with, its issuer in `JwtIssuers`, the application's own checks, and that it
//!   has not been [revoked](crate::revocation),
//! - it is removed by its [token](VerdictCache::remove) or its [principal](VerdictCache::retain),
//! - the clock is set back by more than five seconds,
//! - there is no room, and others are asked for more: a credential that is used again and again outlives any number
//!   of others that come by once.
//!
//! Only authentication is remembered. Policies are applied to each request.
//!
//! # What must not be remembered
//!
//! * The verdict of a validator that looks at anything but the credential: another header, the address of the client,
//!   the method. A step that looks at the request is a policy, or a validator of your own around the cache.
//! * That of a validator that counts, or loads what must be fresh. Put such a step behind the cache:
//!   `tokens.cached(settings).and_then(..)` runs its closure with each request.
//! * That of a validator that changes its mind without a `Dependency` to say so. `OpaqueTokens` needs no cache, and
//!   with one a removed token would work for the time to live. `Introspection` has one of its own, with tighter limits.
//! * That of `a.or(b)`, if a refusal by `a` has to count at once: cache `a` and `b` instead.
//!
//! A cache around a cache, such as `cached` behind the [`and_then`](crate::Validator::and_then) of a JWT validator,
//! remembers twice: the times to live add up, and both have to be told to forget.
//!
//! # Validations that have to wait
//!
//! Requests that come with the same credential within five seconds of the beginning of its validation wait for that
//! one; who comes later starts another, since the first may hang. It is driven by whoever waits, goes on as long as
//! one of them is left, and is given up with the last; nothing is kept then. Who comes after the verdict was
//! [removed](VerdictCache::remove) waits for another one. If something that the verdict rests on goes in between, those who
//! joined get 503, since nobody has looked at it for them.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use tower_bearer::cache::CacheSettings;
//! use tower_bearer::{BearerAuthLayer, Credential, Failure, InvalidReason, ValidatorExt, validator_fn};
//!
//! # #[derive(Clone)] struct Sessions;
//! # impl Sessions { async fn user(&self, _: &str) -> Result<Option<String>, std::io::Error> { Ok(None) } }
//! # let sessions = Sessions;
//! let tokens = validator_fn(move |credential: Credential<'static>| {
//!     let sessions = sessions.clone();
//!     async move {
//!         let user = sessions.user(credential.token()).await.map_err(Failure::unavailable)?;
//!         user.ok_or_else(|| Failure::invalid(InvalidReason::Unknown))
//!     }
//! });
//! // A session that was ended works for ten more seconds at most.
//! let settings = CacheSettings::new().with_time_to_live(Duration::from_secs(10));
//! let layer = BearerAuthLayer::new(tokens.cached(settings));
//! # let _ = layer;
//! ```

mod cached;
mod in_flight;
mod pending;
mod settings;
mod store;
mod token_key;
mod verdicts;

pub use cached::Cached;
#[cfg(feature = "introspection")]
pub(crate) use in_flight::{InFlight, Number};
pub use settings::CacheSettings;
#[cfg(feature = "introspection")]
pub(crate) use store::Store;
#[cfg(feature = "jwt")]
pub(crate) use verdicts::CacheLimit;
pub use verdicts::VerdictCache;
