//! Where a validator gets keys that may change. Implemented by the modules above this one.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use super::algorithm::Algorithm;
use super::key_set::KeySet;
use crate::failure::Failure;
use crate::validator::{BoxFuture, Dependency};

/// A source of keys that may change while the validator is in use.
pub(crate) trait KeyProvider: fmt::Debug + Send + Sync {
    /// Returns the keys to use at `now`.
    fn current(&self, now: SystemTime) -> Current;

    /// Returns what can be done about a token whose key is not among the current keys.
    fn missing(&self, kid: Option<&str>, now: SystemTime) -> Missing {
        let _ = (kid, now);
        Missing::Definitive
    }

    /// Returns what can be done about a token whose signature its key does not verify.
    fn suspicious(&self, now: SystemTime) -> Missing {
        let _ = now;
        Missing::Definitive
    }

    /// Returns whether [`missing`](Self::missing) and [`suspicious`](Self::suspicious) may fetch keys.
    fn can_fetch(&self) -> bool {
        false
    }

    /// Returns a dependency that holds as long as `keys` are the current keys.
    fn dependency(&self, keys: &KeySet) -> Arc<dyn Dependency>;

    /// Returns whether there may be a key for one of `algorithms`.
    fn may_be_for(&self, algorithms: &[Algorithm]) -> bool;

    /// Returns the issuer by which the keys were discovered.
    fn issuer(&self) -> Option<&str> {
        None
    }

    /// Returns the provider as its own type.
    fn as_any(&self) -> &dyn Any;
}

/// A fetch of keys.
pub(crate) type KeysFuture = BoxFuture<Result<Arc<KeySet>, Failure>>;

/// The keys for a request.
pub(crate) enum Current {
    Keys(Arc<KeySet>),
    Pending(KeysFuture),
    Unavailable(Failure),
}

/// What can be done about a token that the current keys do not verify.
pub(crate) enum Missing {
    /// Nothing. The token is rejected.
    Definitive,
    /// The keys may change.
    Pending(KeysFuture),
    /// It cannot be determined whether there are other keys.
    Unavailable(Failure),
}
