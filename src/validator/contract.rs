//! The trait that validators implement.

use std::sync::Arc;

use super::and_then::AndThen;
use super::expiring::Expiring;
use super::for_scheme::ForScheme;
use super::or::Or;
use super::validator_fn::IntoVerdict;
use super::verdict::Verdict;
use crate::extract::{Credential, Scheme, UncheckedCredential};
use crate::request::RequestView;

/// Says who presents a credential.
///
/// Most validators are written with [`validator_fn`](crate::validator_fn). Implement the trait for state of your own, for
/// an answer without an allocation, or to see the rest of the request.
///
/// # What has been checked before
///
/// There is exactly one credential in the sources that the layer offers; it is no longer than the layer
/// allows and consists of the characters its source permits; a cookie or a Basic credential came from a site
/// that may use it. The rules for the path require a credential; requests for public paths never reach the
/// validator.
///
/// # What has not been checked
///
/// Anything about the token itself. Whether the principal may make the request is not the
/// validator's question but that of the [`Policy`](crate::Policy) behind it.
///
/// # What to answer
///
/// * `Ok` with a [`Validated`](crate::Validated): the principal, and until when the credential is good. The layer
///   refuses it from that moment on, whoever says so and from whatever cache.
/// * [`Failure::invalid`](crate::Failure::invalid) when the credential is bad: 401 `invalid_token`.
/// * [`Failure::unrecognized`](crate::Failure::unrecognized) when it is not one of yours, so that another validator may know it;
///   to the client this is the same as invalid.
/// * [`Failure::unavailable`](crate::Failure::unavailable) when you cannot tell right now: 503 with `Retry-After`. Never answer
///   "invalid" for an outage, or clients will throw good tokens away.
///
/// # Example
///
/// ```
/// use std::collections::HashMap;
/// use tower_bearer::{Credential, Failure, InvalidReason, RequestView, Validated, Validator, Verdict};
///
/// struct Sessions(HashMap<String, u64>);
///
/// impl Validator for Sessions {
///     type Principal = u64;
///
///     fn validate(&self, credential: &Credential<'_>, _: &RequestView<'_>) -> Verdict<u64> {
///         // A table of secrets of your own: see `OpaqueTokens` for one that keeps only digests.
///         match self.0.get(credential.token()) {
///             Some(user) => Ok(Validated::new(*user)).into(),
///             None => Err(Failure::invalid(InvalidReason::Unknown)).into(),
///         }
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a `Validator`",
    label = "this has to be a `Validator`",
    note = "wrap a closure in `tower_bearer::validator_fn(|credential| ...)`, finish a builder with `.build()?`, or implement `Validator` for your type"
)]
pub trait Validator: Send + Sync {
    /// Who it says is calling. It ends up in the request extensions as
    /// [`Authenticated<Principal>`](crate::Authenticated), behind an `Arc`, so it need not be cheap to clone.
    /// It is `Sync`, because several threads may use it at once. Keep changing state in an atomic or a
    /// `Mutex`.
    type Principal: Send + Sync + 'static;

    /// Says who presents `credential`, now or in a future.
    fn validate(
        &self,
        credential: &Credential<'_>,
        request: &RequestView<'_>,
    ) -> Verdict<Self::Principal>;

    /// Returns the cached result for this credential, if there is one and it is still valid. The layer calls
    /// this method before it checks the characters of the token, so that a cache hit costs no check.
    ///
    /// The default returns `None`, which is always correct: the layer then calls
    /// [`validate`](Self::validate). A validator that wraps another one may pass the call on. The result must
    /// not accept a credential that `validate` would reject at that moment.
    fn cached_verdict(
        &self,
        unchecked: &UncheckedCredential<'_>,
        request: &RequestView<'_>,
    ) -> Option<Verdict<Self::Principal>> {
        let _ = (unchecked, request);
        None
    }

    /// Asks `other` where this validator does not accept.
    ///
    /// See [`Or`] for what happens when one of them cannot tell.
    fn or<B>(self, other: B) -> Or<Self, B>
    where
        Self: Sized,
        B: Validator<Principal = Self::Principal>,
    {
        Or::new(self, other)
    }

    /// Asks this validator only for credentials of one scheme; others it does not recognise.
    ///
    /// # Example
    ///
    /// ```
    /// use tower_bearer::{Credential, Failure, Scheme, Validator, validator_fn};
    ///
    /// let keys = validator_fn(|_: Credential<'_>| Ok::<_, Failure>("service"));
    /// let tokens = validator_fn(|_: Credential<'_>| Ok::<_, Failure>("user"));
    /// let validator = keys.for_scheme(Scheme::ApiKey).or(tokens.for_scheme(Scheme::Bearer));
    /// # let _ = validator;
    /// ```
    fn for_scheme(self, scheme: Scheme) -> ForScheme<Self>
    where
        Self: Sized,
    {
        ForScheme::new(self, scheme)
    }

    /// Makes another principal of the one found, now or in a future: loads the user behind a token, say,
    /// to see whether the account is still active and which roles it has by now.
    ///
    /// The closure may return what one given to [`validator_fn`](crate::validator_fn) may: a `Result<T, Failure>`, a future of
    /// one, or a [`Verdict`]. An outage of its own is [`Failure::unavailable`](crate::Failure::unavailable), so errors of a database are
    /// turned with `.map_err(Failure::unavailable)?`. It is not asked about a credential that was refused or
    /// has ended. Of two ends the earlier counts.
    ///
    /// Policies and handlers then see the new principal, and of the old one what it keeps: the `Arc` that the
    /// closure gets, for example. For the built-in policies it has to implement
    /// [`Claims`](crate::policy::Claims).
    ///
    /// # Example
    ///
    /// ```
    /// use std::sync::Arc;
    /// use tower_bearer::{Credential, Failure, InvalidReason, Validator, validator_fn};
    ///
    /// # #[derive(Clone)] struct Database;
    /// # struct Token { subject: String }
    /// struct User { active: bool }
    /// # impl Database { async fn user(&self, _: &str) -> Result<Option<User>, std::io::Error> { Ok(None) } }
    /// # let database = Database;
    /// # let tokens = validator_fn(|_: Credential<'_>| Ok::<_, Failure>(Token { subject: "alice".into() }));
    /// let validator = tokens.and_then(move |token: Arc<Token>| {
    ///     let database = database.clone();
    ///     async move {
    ///         match database.user(&token.subject).await.map_err(Failure::unavailable)? {
    ///             Some(user) if user.active => Ok(user),
    ///             _ => Err(Failure::invalid(InvalidReason::Revoked)),
    ///         }
    ///     }
    /// });
    /// # let _ = validator;
    /// ```
    fn and_then<F, R, M>(self, then: F) -> AndThen<Self, F, M>
    where
        Self: Sized,
        F: Fn(Arc<Self::Principal>) -> R + Clone + Send + Sync + 'static,
        R: IntoVerdict<M>,
    {
        AndThen::new(self, then)
    }

    /// Lets the principal say until when its credential is good.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::SystemTime;
    /// use tower_bearer::{Credential, Failure, Validator, validator_fn};
    ///
    /// struct Session {
    ///     user: String,
    ///     ends: SystemTime,
    /// }
    ///
    /// let validator = validator_fn(|_: Credential<'_>| {
    ///     Ok::<_, Failure>(Session { user: "alice".into(), ends: SystemTime::UNIX_EPOCH })
    /// })
    /// .expiring(|session: &Session| Some(session.ends));
    /// # let _ = validator;
    /// ```
    fn expiring<F>(self, expires_at: F) -> Expiring<Self, F>
    where
        Self: Sized,
        F: Fn(&Self::Principal) -> Option<std::time::SystemTime> + Clone + Send + Sync + 'static,
    {
        Expiring::new(self, expires_at)
    }
}

macro_rules! forward {
    ($($pointer:ty),*) => {$(
        impl<V: Validator + ?Sized> Validator for $pointer {
            type Principal = V::Principal;

            #[inline]
            fn validate(
                &self,
                credential: &Credential<'_>,
                request: &RequestView<'_>,
            ) -> Verdict<Self::Principal> {
                (**self).validate(credential, request)
            }

            #[inline]
            fn cached_verdict(
                &self,
                unchecked: &UncheckedCredential<'_>,
                request: &RequestView<'_>,
            ) -> Option<Verdict<Self::Principal>> {
                (**self).cached_verdict(unchecked, request)
            }
        }
    )*};
}

forward!(&V, Arc<V>, Box<V>);
