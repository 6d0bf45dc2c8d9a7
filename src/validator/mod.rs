//! Authentication: from a credential to a principal.

mod and_then;
mod dependency;
mod expiring;
mod for_scheme;
#[cfg(feature = "opaque")]
mod opaque;
mod or;
mod validated;
mod validator_fn;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

pub use and_then::AndThen;
pub use dependency::Dependency;
pub use expiring::Expiring;
pub use for_scheme::ForScheme;
#[cfg(feature = "opaque")]
pub use opaque::{OpaqueTokens, TokenDigest};
pub use or::Or;
pub use validated::Validated;
pub use validator_fn::{IntoVerdict, ValidatorFn, markers, validator_fn};

use crate::extract::{Credential, Scheme};
use crate::failure::Failure;
use crate::request::RequestView;
use crate::revocation::{Revocable, RevocationCheck, RevocationClaims};

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

/// Says who presents a credential.
///
/// Most validators are written with [`validator_fn`]. Implement the trait for state of your own, for
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
/// * `Ok` with a [`Validated`]: the principal, and until when the credential is good. The layer
///   refuses it from that moment on, whoever says so and from whatever cache.
/// * [`Failure::invalid`] when the credential is bad: 401 `invalid_token`.
/// * [`Failure::unrecognized`] when it is not one of yours, so that another validator may know it;
///   to the client this is the same as invalid.
/// * [`Failure::unavailable`] when you cannot tell right now: 503 with `Retry-After`. Never answer
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

    /// What was said of exactly this credential before, if it is remembered and still stands. The layer
    /// asks before it looks at the characters of the token, so that what is known costs no look at all.
    ///
    /// `None`, the default, is always right: [`validate`](Self::validate) is asked then. Only a validator
    /// that compares the whole token with one that it has accepted before has more to say, and one that
    /// hands a credential on to such a one. It must not say yes to what `validate` would refuse at that
    /// moment.
    fn recall(
        &self,
        unchecked: &Credential<'_>,
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
    /// The closure may return what one given to [`validator_fn`] may: a `Result<T, Failure>`, a future of
    /// one, or a [`Verdict`]. An outage of its own is [`Failure::unavailable`], so errors of a database are
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

    /// Asks a store of revocations about each principal: see [`revocation`](crate::revocation).
    ///
    /// `identify` says by what the credential of a principal may be taken back. With `revocable(..).cached(..)` a
    /// remembered verdict is looked up again when the store has changed, with `cached(..).revocable(..)` each time. A JWT
    /// validator has the check of its own, which reads the claims: `JwtValidatorBuilder::revocations`.
    ///
    /// # Example
    ///
    /// ```
    /// # #[cfg(feature = "revocation")] {
    /// use tower_bearer::revocation::{RevocationList, RevocationClaims};
    /// use tower_bearer::{Credential, Failure, Validator, validator_fn};
    ///
    /// struct Session {
    ///     id: String,
    ///     user: String,
    /// }
    ///
    /// # fn find(_: &str) -> Result<Session, Failure> { Err(Failure::unrecognized()) }
    /// let revoked = RevocationList::new();
    /// let validator = validator_fn(|credential: Credential<'_>| find(credential.token())).revocable(
    ///     revoked.clone(),
    ///     |session: &Session| RevocationClaims::new().with_session(&*session.id).with_subject(&*session.user),
    /// );
    /// # let _ = validator; }
    /// ```
    fn revocable<F>(
        self,
        revocations: impl Into<RevocationCheck>,
        identify: F,
    ) -> Revocable<Self, F>
    where
        Self: Sized,
        F: Fn(&Self::Principal) -> RevocationClaims<'_> + Clone + Send + Sync + 'static,
    {
        Revocable::new(self, revocations.into(), identify)
    }

    /// Remembers what this validator says yes to: see [`cache`](crate::cache) for what that means, and for what it
    /// must not be used.
    ///
    /// # Example
    ///
    /// ```
    /// use tower_bearer::cache::CacheSettings;
    /// use tower_bearer::{Credential, Failure, Validator, validator_fn};
    ///
    /// let validator = validator_fn(|_: Credential<'_>| async { Ok::<_, Failure>("alice") })
    ///     .cached(CacheSettings::new());
    /// # let _ = validator;
    /// ```
    #[cfg(feature = "cache")]
    fn cached(self, settings: crate::cache::CacheSettings) -> crate::cache::Cached<Self>
    where
        Self: Sized,
    {
        crate::cache::Cached::new(self, &settings)
    }

    /// Refuses clients that have presented too many bad credentials, with 429, before this validator is asked: see
    /// [`throttle`](crate::throttle).
    ///
    /// It goes by the address of the client alone; `client` says how to find it. What counts is a credential that may
    /// have been made up: one that is [invalid](Failure::invalid) or [not recognised](Failure::unrecognized). One
    /// that was turned down [for good](crate::InvalidReason::is_definitive) does not: it has expired, say, so its client
    /// did not guess it. Nor does an outage, or a request without a credential. A good credential takes nothing from
    /// the budget, and as long as no address has used its budget up, looking costs one load of an atomic number.
    ///
    /// Put it around all validators of a layer, `keys.or(tokens).throttled(..)`: one that stands before `or` would
    /// count what it does not recognise and the other one accepts.
    ///
    /// Credentials that are checked at the same time are all checked, and those that fail are then counted together,
    /// beyond the budget if need be: their address waits for longer.
    ///
    /// From a refused address, good credentials are refused as well. What is remembered passes nevertheless, so
    /// behind a NAT with many clients write `cached(..).throttled(..)`: who is at work goes on. Give the validator a
    /// [`Throttle`](crate::throttle::Throttle) of its own, or a broken client that repeats a bad key shuts its whole
    /// address out of the login.
    ///
    /// # Example
    ///
    /// ```
    /// use std::net::SocketAddr;
    ///
    /// use axum::extract::ConnectInfo;
    /// use tower_bearer::throttle::{ClientAddress, Throttle};
    /// use tower_bearer::{Credential, Failure, RequestView, Validator, validator_fn};
    ///
    /// let client = ClientAddress::from_fn(|request: &RequestView<'_>| {
    ///     let peer = request.extensions().get::<ConnectInfo<SocketAddr>>()?;
    ///     Some(peer.0.ip())
    /// });
    /// # fn find(_: &str) -> Result<&'static str, Failure> { Err(Failure::unrecognized()) }
    /// let validator = validator_fn(|credential: Credential<'_>| find(credential.token()))
    ///     .throttled(Throttle::new(), client);
    /// # let _ = validator;
    /// ```
    #[cfg(feature = "throttle")]
    fn throttled(
        self,
        throttle: crate::throttle::Throttle,
        client: crate::throttle::ClientAddress,
    ) -> crate::throttle::Throttled<Self>
    where
        Self: Sized,
    {
        crate::throttle::Throttled::new(self, throttle, client)
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
            fn recall(
                &self,
                unchecked: &Credential<'_>,
                request: &RequestView<'_>,
            ) -> Option<Verdict<Self::Principal>> {
                (**self).recall(unchecked, request)
            }
        }
    )*};
}

forward!(&V, Arc<V>, Box<V>);
