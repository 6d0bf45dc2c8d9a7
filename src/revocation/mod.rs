//! Taking back what was issued: tokens, sessions, all that a user holds.
//!
//! A signed token is good until it expires, whatever happens to its user. Where that is too long, a store of
//! [`Revocations`] is asked for each request, remembered or not. `RevocationList`, which needs the feature `revocation`,
//! is one in the memory of the process:
//!
//! ```
//! # #[cfg(all(feature = "jwt", feature = "revocation"))]
//! # fn build(keys: tower_bearer::jwt::KeySet) -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::{Duration, SystemTime};
//! use tower_bearer::jwt::JwtValidator;
//! use tower_bearer::revocation::RevocationList;
//!
//! let revoked = RevocationList::new();
//! let validator = JwtValidator::builder(keys)
//!     .issuer("https://login.example.com/")
//!     .audience("https://api.example.com")
//!     .revocations(revoked.clone())
//!     .build()?;
//!
//! // At logout. Tokens are issued for an hour here, so the entry may go then.
//! let until = SystemTime::now() + Duration::from_secs(3_600);
//! revoked.revoke_session(Some("https://login.example.com/"), "08a5019c", until)?;
//! # let _ = validator; Ok(()) }
//! ```
//!
//! A validator of another kind gets the check with [`ValidatorExt::revocable`](crate::ValidatorExt::revocable).
//!
//! # What can be taken back
//!
//! | what | how a token says that it belongs to it |
//! |---|---|
//! | a token | `jti` |
//! | a session | `sid` |
//! | all that was issued to a subject up to a moment | `sub` and `iat` |
//! | all that was issued to a client up to a moment | `client_id` and `iat` |
//! | all that was issued for an older version of a subject | `sub` and `token_version` |
//! | all that an issuer issued up to a moment | `iat` |
//!
//! Each goes with `iss`. A token without `iat` counts as issued before any moment. A moment counts with its whole
//! second, because `iat` mostly has no fraction: who logs in again within the second of a logout does so once
//! more. A version, a number that the application counts up at its user, does without: a token without
//! `token_version` has version 0. `iat` is by the clock of the issuer: if that may be ahead of this one, take a moment that is as much later.
//!
//! `AccessToken::session` returns the `sid` of a token to a handler.
//!
//! # Logged out elsewhere
//!
//! With the feature `logout`, `BackChannelLogout` is the endpoint at which an OpenID provider says who has logged out.
//!
//! # When the store cannot tell
//!
//! The request is refused with 503, unless
//! [`insecure_allow_in_outage`](RevocationCheck::insecure_allow_in_outage) sets a time for which it is not.

mod check;
mod claims;
mod contract;
#[cfg(feature = "revocation")]
mod entry;
#[cfg(feature = "revocation")]
mod list;
mod revocable;
#[cfg(feature = "revocation")]
mod revoke;

pub use check::RevocationCheck;
pub use claims::RevocationClaims;
pub use contract::Revocations;
#[cfg(feature = "issuing")]
pub(crate) use entry::GRACE;
#[cfg(feature = "issuing")]
pub use entry::InvalidRevocationText;
#[cfg(feature = "revocation")]
pub use entry::Revocation;
#[cfg(feature = "revocation")]
pub use list::{RevocationList, RevocationListFull};
pub use revocable::Revocable;
#[cfg(feature = "revocation")]
pub use revoke::{Revoke, RevokeFuture};
