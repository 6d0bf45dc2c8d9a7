//! The result of a validation, now or later.

use std::future::Future;
use std::pin::Pin;

use super::validated::Validated;
use crate::failure::Failure;

/// A boxed future that owns all it needs.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What a validator says: the verdict, or that it needs time.
#[expect(
    clippy::exhaustive_enums,
    reason = "whoever combines validators has to handle both answers"
)]
pub enum Verdict<T> {
    /// Decided. The inner service is called in place, without a box or a clone.
    Ready(Result<Validated<T>, Failure>),
    /// Something has to be awaited first. The future owns what it needs: it borrows neither from
    /// the request nor from the validator.
    Pending(BoxFuture<Result<Validated<T>, Failure>>),
}

impl<T> Verdict<T> {
    /// A verdict that has to be awaited.
    pub fn pending<F>(future: F) -> Self
    where
        F: Future<Output = Result<Validated<T>, Failure>> + Send + 'static,
    {
        Verdict::Pending(Box::pin(future))
    }
}

impl<T> From<Result<Validated<T>, Failure>> for Verdict<T> {
    fn from(result: Result<Validated<T>, Failure>) -> Self {
        Verdict::Ready(result)
    }
}

impl<T> std::fmt::Debug for Verdict<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Verdict::Ready(Ok(_)) => "Verdict::Ready(Ok(..))",
            Verdict::Ready(Err(_)) => "Verdict::Ready(Err(..))",
            Verdict::Pending(_) => "Verdict::Pending(..)",
        })
    }
}
