//! What modules above `validator` add to every validator.

#[cfg(feature = "cache")]
use crate::cache::{CacheSettings, Cached};
use crate::revocation::{Revocable, RevocationCheck, RevocationClaims};
#[cfg(feature = "throttle")]
use crate::throttle::{ClientAddress, Throttle, Throttled};
use crate::validator::Validator;

/// An extension trait for [`Validator`]s: caching, revocation and limits for failed attempts.
///
/// Every validator implements it. Import it to call its methods.
pub trait ValidatorExt: Validator {
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
    /// use tower_bearer::{Credential, Failure, ValidatorExt, validator_fn};
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
    /// use tower_bearer::{Credential, Failure, ValidatorExt, validator_fn};
    ///
    /// let validator = validator_fn(|_: Credential<'_>| async { Ok::<_, Failure>("alice") })
    ///     .cached(CacheSettings::new());
    /// # let _ = validator;
    /// ```
    #[cfg(feature = "cache")]
    fn cached(self, settings: CacheSettings) -> Cached<Self>
    where
        Self: Sized,
    {
        Cached::new(self, &settings)
    }

    /// Refuses clients that have presented too many bad credentials, with 429, before this validator is asked: see
    /// [`throttle`](crate::throttle).
    ///
    /// It goes by the address of the client alone; `client` says how to find it. What counts is a credential that may
    /// have been made up: one that is [invalid](crate::Failure::invalid) or [not recognised](crate::Failure::unrecognized). One
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
    /// use tower_bearer::{Credential, Failure, RequestView, ValidatorExt, validator_fn};
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
    fn throttled(self, throttle: Throttle, client: ClientAddress) -> Throttled<Self>
    where
        Self: Sized,
    {
        Throttled::new(self, throttle, client)
    }
}

impl<V: Validator + ?Sized> ValidatorExt for V {}
