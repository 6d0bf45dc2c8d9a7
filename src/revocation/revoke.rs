//! The trait for making revocations. [`Revocations`](super::Revocations) is the one for looking them up.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;

use super::Revocation;

/// The future of [`Revoke::revoke`].
pub type RevokeFuture<'a> =
    Pin<Box<dyn Future<Output = Result<(), Box<dyn Error + Send + Sync>>> + Send + 'a>>;

/// A place that takes revocations: a [`RevocationList`](super::RevocationList), a `RevocationHub`, or your own store.
pub trait Revoke: Send + Sync {
    /// Makes a revocation. After `Ok`, it is in effect.
    ///
    /// # Errors
    ///
    /// Any error, if the revocation may not be in effect.
    fn revoke<'a>(&'a self, revocation: &'a Revocation) -> RevokeFuture<'a>;
}
