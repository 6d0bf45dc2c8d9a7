//! A closure as a validator.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;

use super::{Validated, Validator, Verdict};
use crate::extract::Credential;
use crate::failure::Failure;
use crate::request::RequestView;

/// Makes a validator of a closure or function that takes the [`Credential`].
///
/// It may return a `Result<T, Failure>`, or a future of one, or a [`Verdict`]; `T` is the principal,
/// which is `Send` and `Sync`, because several threads may use it at once.
/// The credential it gets is its own, so it can be moved into the future.
///
/// # Example
///
/// At once:
///
/// ```
/// use tower_bearer::{BearerAuthLayer, Credential, Failure, InvalidReason, validator_fn};
///
/// struct User(u32);
///
/// let validator = validator_fn(|credential: Credential<'_>| {
///     match credential.token().len() {
///         32 => Ok(User(7)), // a real one would look it up
///         _ => Err(Failure::invalid(InvalidReason::Unknown)),
///     }
/// });
/// let layer = BearerAuthLayer::new(validator);
/// # let _ = layer;
/// ```
///
/// After a lookup:
///
/// ```
/// use tower_bearer::{BearerAuthLayer, Credential, Failure, InvalidReason, validator_fn};
///
/// # #[derive(Clone)] struct Database;
/// # struct User;
/// # impl Database { async fn find(&self, _: &str) -> Result<Option<User>, std::io::Error> { Ok(None) } }
/// # let database = Database;
/// let validator = validator_fn(move |credential: Credential<'static>| {
///     let database = database.clone();
///     async move {
///         database
///             .find(credential.token())
///             .await
///             .map_err(Failure::unavailable)?
///             .ok_or_else(|| Failure::invalid(InvalidReason::Unknown))
///     }
/// });
/// let layer = BearerAuthLayer::new(validator);
/// # let _ = layer;
/// ```
pub fn validator_fn<F, R, M>(f: F) -> ValidatorFn<F, M>
where
    F: Fn(Credential<'static>) -> R + Send + Sync,
    R: IntoVerdict<M>,
{
    ValidatorFn {
        f,
        marker: PhantomData,
    }
}

/// A validator made by [`validator_fn`].
#[must_use]
pub struct ValidatorFn<F, M> {
    f: F,
    marker: PhantomData<fn() -> M>,
}

impl<F: Clone, M> Clone for ValidatorFn<F, M> {
    fn clone(&self) -> Self {
        Self {
            f: self.f.clone(),
            marker: PhantomData,
        }
    }
}

impl<F, M> fmt::Debug for ValidatorFn<F, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ValidatorFn").finish_non_exhaustive()
    }
}

// The bounds of the principal are here and not in the implementations of `IntoVerdict`, so that the compiler
// names the offending type.
impl<F, R, M> Validator for ValidatorFn<F, M>
where
    F: Fn(Credential<'static>) -> R + Send + Sync,
    R: IntoVerdict<M>,
    R::Principal: Send + Sync + 'static,
{
    type Principal = R::Principal;

    fn validate(
        &self,
        credential: &Credential<'_>,
        _: &RequestView<'_>,
    ) -> Verdict<Self::Principal> {
        (self.f)(credential.clone().into_owned()).into_verdict()
    }
}

/// What a closure given to [`validator_fn`] may return.
///
/// `Result<T, Failure>`, a `Send + 'static` future of `Result<T, Failure>`, or a [`Verdict<T>`].
#[diagnostic::on_unimplemented(
    message = "a closure given to `validator_fn` cannot return `{Self}`",
    label = "this closure returns something that is no verdict",
    note = "return `Result<Principal, tower_bearer::Failure>`, or an `async move` block with that output that is `Send` and borrows nothing"
)]
pub trait IntoVerdict<M> {
    /// The principal of the result.
    type Principal;

    /// Turns it into a verdict.
    fn into_verdict(self) -> Verdict<Self::Principal>;
}

/// Types that keep the three forms of [`IntoVerdict`] apart. Never written by hand.
pub mod markers {
    /// The closure decides at once.
    #[derive(Debug)]
    #[non_exhaustive]
    pub struct Ready;

    /// The closure returns a future.
    #[derive(Debug)]
    #[non_exhaustive]
    pub struct Future;

    /// The closure returns the crate's own type.
    #[derive(Debug)]
    #[non_exhaustive]
    pub struct Own;
}

impl<T> IntoVerdict<markers::Ready> for Result<T, Failure> {
    type Principal = T;

    fn into_verdict(self) -> Verdict<T> {
        Verdict::Ready(self.map(Validated::new))
    }
}

impl<F, T> IntoVerdict<markers::Future> for F
where
    F: Future<Output = Result<T, Failure>> + Send + 'static,
{
    type Principal = T;

    fn into_verdict(self) -> Verdict<T> {
        Verdict::pending(async move { self.await.map(Validated::new) })
    }
}

impl<T> IntoVerdict<markers::Own> for Verdict<T> {
    type Principal = T;

    fn into_verdict(self) -> Verdict<T> {
        self
    }
}
