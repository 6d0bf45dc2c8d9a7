//! Rules that open: they end the reading of the list.

use std::fmt;

use http::Method;

use super::context::PolicyContext;
use super::decision::Decision;
use super::guard::{Guard, OnMethods};
use super::methods::MethodSet;
use super::plan::{Plan, Requirement};
use super::{PathAmbiguity, Policy};
use crate::request::RequestView;

/// A rule that opens a path. Made by [`public`], [`optional`] and [`permit`].
///
/// It ends the reading of the list, so it covers what stands below it, and never what stands above.
#[derive(Clone, Debug)]
#[must_use]
pub struct Opening<K> {
    pub(super) kind: K,
}

impl<K> Opening<K> {
    /// Limits it to these methods; for others the reading goes on.
    ///
    /// `GET` means `HEAD` and an extended `CONNECT` too, since the same handlers answer them.
    pub fn on(self, methods: impl IntoIterator<Item = Method>) -> OnMethods<Self> {
        OnMethods {
            rule: self,
            methods: MethodSet::new(methods),
        }
    }
}

/// Made by [`public`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Public;

/// Made by [`optional`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Optional;

/// Made by [`permit`].
#[derive(Clone, Debug)]
pub struct Permit<P> {
    pub(super) policy: P,
}

/// Lets everybody pass and looks at no credential. The service finds no principal, whoever calls.
pub fn public() -> Opening<Public> {
    Opening { kind: Public }
}

/// Lets requests without a credential pass, without a principal. A credential that is there has to
/// be valid, or it is 401.
///
/// It can stand in a list, or alone for a whole service:
///
/// ```
/// use tower_bearer::policy::optional;
/// use tower_bearer::{BearerAuthLayer, Credential, Failure, validator_fn};
///
/// let validator = validator_fn(|_: Credential<'_>| Ok::<_, Failure>("somebody"));
/// let layer = BearerAuthLayer::new(validator).with_policy(optional());
/// # let _ = layer;
/// ```
pub fn optional() -> Opening<Optional> {
    Opening { kind: Optional }
}

/// Lets a principal pass that satisfies `guard`, whatever stands below; for others the reading goes
/// on.
///
/// ```
/// use tower_bearer::policy::{Claims, Policies, owner, permit, role};
///
/// # struct User;
/// # impl Claims for User {}
/// let policies: Policies<User> = Policies::builder()
///     .under("/users/{user}", permit(role("admin")))
///     .under("/users/{user}", owner("user"))
///     .build()?;
/// # Ok::<(), tower_bearer::ConfigError>(())
/// ```
pub fn permit<P>(guard: Guard<P>) -> Opening<Permit<P>> {
    Opening {
        kind: Permit {
            policy: guard.into_policy(),
        },
    }
}

impl<T: ?Sized> Policy<T> for Opening<Optional> {
    fn decide(&self, _: &PolicyContext<'_, T>) -> Decision {
        Decision::Allow
    }

    fn plan(&self, _: &RequestView<'_>) -> Result<Plan<'_>, PathAmbiguity> {
        Ok(Plan::of(Requirement::Optional))
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("optional()")
    }
}
