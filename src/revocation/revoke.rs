//! Somewhere to take back.

use std::error::Error;
use std::future::{Future, ready};
use std::pin::Pin;

use super::{Revocation, RevocationList};

/// What is taken back, or why it has not been, later.
pub type RevokeFuture<'a> =
    Pin<Box<dyn Future<Output = Result<(), Box<dyn Error + Send + Sync>>> + Send + 'a>>;

/// Somewhere to take back: a [`RevocationList`], a `RevocationHub`, or a store of one's own.
pub trait Revoke: Send + Sync {
    /// Takes back what `revocation` says. With `Ok` that holds from now on.
    ///
    /// # Errors
    ///
    /// Anything, if it may not hold.
    fn revoke<'a>(&'a self, revocation: &'a Revocation) -> RevokeFuture<'a>;
}

impl Revoke for RevocationList {
    fn revoke<'a>(&'a self, revocation: &'a Revocation) -> RevokeFuture<'a> {
        let done = RevocationList::revoke(self, revocation);
        Box::pin(ready(done.map_err(Into::into)))
    }
}
