//! Remembering what a validator has said yes to. Needs the feature `cache`, which `jwt` brings along.
//!
//! To check a signature takes a hundred times as long as all the rest of a request, and a client sends the
//! same token again and again. A [`JwtValidator`](crate::jwt::JwtValidator) remembers by itself; any other
//! validator does with [`Validator::cached`](crate::Validator::cached).
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
//!   set of keys that it was checked with, its issuer in [`JwtIssuers`](crate::jwt::JwtIssuers), the
//!   application's own checks, and that it has not been [revoked](crate::revocation),
//! - it is [removed](VerdictCache::remove),
//! - there is no room. Then the one goes that is asked for least; a credential that is used again and again
//!   outlives any number of others that come by once.
//! - the clock is set back by more than five seconds.
//!
//! Only authentication is remembered. Policies are applied to each request.
//!
//! # What must not be remembered
//!
//! The verdict of a validator that looks at anything but the credential: at another header, the address of the
//! client, the method. Nor that of a validator that counts. Put such steps behind the cache:
//! `tokens.cached(settings).and_then(..)` runs its closure with each request.
//!
//! # Validations that have to wait
//!
//! Requests that come with the same credential while it is being validated wait for that validation. It is
//! driven by whoever waits, goes on as long as one of them is left, and is given up with the last; nothing is
//! kept then. Who comes after the verdict was [removed](VerdictCache::remove), or when the time to live is over,
//! waits for another one. If something that the verdict rests on goes in between, those who joined get 503, since
//! nobody has looked at it for them.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use tower_bearer::cache::CacheSettings;
//! use tower_bearer::{BearerAuthLayer, Credential, Failure, InvalidReason, Validator, validator_fn};
//!
//! # #[derive(Clone)] struct Sessions;
//! # impl Sessions { async fn user(&self, _: &str) -> Result<Option<String>, std::io::Error> { Ok(None) } }
//! # let sessions = Sessions;
//! let tokens = validator_fn(move |credential: Credential<'_>| {
//!     let sessions = sessions.clone();
//!     let credential = credential.into_owned();
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
mod pending;
mod settings;
mod store;
mod token_key;
mod verdicts;

pub use cached::Cached;
pub use settings::CacheSettings;
#[cfg(feature = "introspection")]
pub(crate) use store::Store;
pub use verdicts::VerdictCache;
