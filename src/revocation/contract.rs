//! The trait that every source of revocations implements.

use std::error::Error;
use std::sync::Arc;
use std::time::SystemTime;

use super::claims::RevocationClaims;

/// A store of what has been taken back.
///
/// It is asked within a request, so it answers from memory: a store that several machines share keeps a copy
/// here, follows its changes, and says that it cannot tell once it has lost touch. To ask over the network with each
/// request, use [`Validator::and_then`](crate::Validator::and_then) instead, which may wait.
///
/// # Example
///
/// ```
/// use std::collections::HashSet;
/// use std::error::Error;
/// use std::sync::RwLock;
/// use std::time::SystemTime;
/// use tower_bearer::revocation::{Revocations, RevocationClaims};
///
/// struct Banned(RwLock<HashSet<String>>);
///
/// impl Revocations for Banned {
///     fn is_revoked(
///         &self,
///         token: &RevocationClaims<'_>,
///         _: SystemTime,
///     ) -> Result<bool, Box<dyn Error + Send + Sync>> {
///         let banned = self.0.read().map_err(|error| error.to_string())?;
///         Ok(token.subject().is_some_and(|subject| banned.contains(subject)))
///     }
/// }
/// ```
pub trait Revocations: Send + Sync {
    /// Whether the token has been taken back by `now`.
    ///
    /// # Errors
    ///
    /// Anything, if that cannot be told.
    fn is_revoked(
        &self,
        token: &RevocationClaims<'_>,
        now: SystemTime,
    ) -> Result<bool, Box<dyn Error + Send + Sync>>;

    /// A number that is another one after anything has been taken back, so that a verdict that is remembered
    /// need not be checked again while it stays. The change comes first, the new number after it. `None`, the
    /// default, if there is no such number, if an answer may change by time alone, or if the store has lost touch:
    /// with a number it says that it can tell.
    fn epoch(&self) -> Option<u64> {
        None
    }
}

impl<R: Revocations + ?Sized> Revocations for Arc<R> {
    fn is_revoked(
        &self,
        token: &RevocationClaims<'_>,
        now: SystemTime,
    ) -> Result<bool, Box<dyn Error + Send + Sync>> {
        (**self).is_revoked(token, now)
    }

    fn epoch(&self) -> Option<u64> {
        (**self).epoch()
    }
}
