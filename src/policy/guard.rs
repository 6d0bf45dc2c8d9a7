//! A policy that restricts, and what can be done with one.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use http::Method;

use super::closure::PolicyFn;
use super::combine::{And, Not, Or};
use super::context::PolicyContext;
use super::decision::{Decision, RequiredScopes};
use super::denial::Denial;
use super::methods::MethodSet;
use super::plan::Plan;
use super::{PathAmbiguity, Policy};
use crate::error::ConfigError;
use crate::request::RequestView;

/// A restricting policy: it refuses, or lets the reading of the rules go on.
///
/// The functions of this module return one. [`guard`] makes one of a type of your own.
///
/// # Example
///
/// ```
/// use http::Method;
/// use tower_bearer::policy::{Claims, Policies, owner, role, scope};
///
/// # struct User;
/// # impl Claims for User {}
/// let policies: Policies<User> = Policies::builder()
///     .under("/users/{user}", owner("user").or(role("admin")))
///     .under("/orders", scope("orders:write").on([Method::POST, Method::DELETE]))
///     .under("/beta", role("suspended").not())
///     .build()?;
/// # Ok::<(), tower_bearer::ConfigError>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct Guard<P> {
    policy: P,
}

/// Makes a [`Guard`] of any policy, so that it can be combined and put into a list.
pub fn guard<P>(policy: P) -> Guard<P> {
    Guard { policy }
}

impl<P> Guard<P> {
    /// Both must pass.
    pub fn and<B>(self, other: Guard<B>) -> Guard<And<P, B>> {
        guard(And::new(self.policy, other.policy))
    }

    /// One of the two must pass. Of two refusals the client is told the one that it can do something
    /// about. If one cannot tell and the other refuses, the answer is 503, not 403.
    pub fn or<B>(self, other: Guard<B>) -> Guard<Or<P, B>> {
        guard(Or::new(self.policy, other.policy))
    }

    /// Refuses (with 403) what this policy would pass, and the other way round. What it cannot tell
    /// stays untold: 503.
    #[expect(
        clippy::should_implement_trait,
        reason = "`!scope(..)` would read worse than `scope(..).not()`"
    )]
    pub fn not(self) -> Guard<Not<P>> {
        guard(Not::new(self.policy))
    }

    /// Limits it to these methods; for others it does not apply. A method that no rule of a path names
    /// then needs a valid credential and nothing more: add a rule without `on`, or build the list with
    /// [`deny_unmatched`](super::PoliciesBuilder::deny_unmatched).
    ///
    /// `GET` means `HEAD` and an extended `CONNECT` too, since the same handlers answer them. A
    /// method that is not one of the nine standard ones is restricted by every rule of its path,
    /// whatever methods the rule names: nobody can think of all of them.
    pub fn on(self, methods: impl IntoIterator<Item = Method>) -> OnMethods<Self> {
        OnMethods {
            rule: self,
            methods: MethodSet::new(methods),
        }
    }

    pub(super) fn into_policy(self) -> P {
        self.policy
    }
}

impl<T: ?Sized, F, M> Guard<PolicyFn<T, F, M>> {
    /// The name of the policy in tables and logs.
    pub fn named(self, name: impl Into<Cow<'static, str>>) -> Self {
        guard(self.policy.named(name.into()))
    }
}

impl<P: fmt::Debug> fmt::Debug for Guard<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.policy.fmt(f)
    }
}

impl<T: ?Sized, P: Policy<T>> Policy<T> for Guard<P> {
    #[inline]
    fn decide(&self, cx: &PolicyContext<'_, T>) -> Decision {
        self.policy.decide(cx)
    }

    fn plan(&self, request: &RequestView<'_>) -> Result<Plan<'_>, PathAmbiguity> {
        self.policy.plan(request)
    }

    fn required_scopes(
        &self,
        request: &RequestView<'_>,
        plan: &Plan<'_>,
        needs: &mut RequiredScopes,
    ) {
        self.policy.required_scopes(request, plan, needs);
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.policy.describe(f)
    }

    fn check(&self, segments: &[&str]) -> Result<(), ConfigError> {
        self.policy.check(segments)
    }

    fn constant_decision(&self) -> Option<bool> {
        self.policy.constant_decision()
    }

    fn is_fully_described(&self) -> bool {
        self.policy.is_fully_described()
    }
}

/// A rule that is limited to some methods. Made by `on`.
#[derive(Clone, Debug)]
#[must_use]
pub struct OnMethods<R> {
    pub(super) rule: R,
    pub(super) methods: MethodSet,
}

/// Asks nothing but a valid credential. Made by [`authenticated`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct AuthenticatedOnly;

/// Asks nothing but a valid credential.
///
/// That is the default for what no rule names, so it says something only in a list that was built
/// with [`deny_unmatched`](super::PoliciesBuilder::deny_unmatched).
pub fn authenticated() -> Guard<AuthenticatedOnly> {
    guard(AuthenticatedOnly)
}

impl<T: ?Sized> Policy<T> for AuthenticatedOnly {
    #[inline]
    fn decide(&self, _: &PolicyContext<'_, T>) -> Decision {
        Decision::Allow
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("authenticated()")
    }

    fn constant_decision(&self) -> Option<bool> {
        Some(true)
    }

    fn is_fully_described(&self) -> bool {
        true
    }
}

/// Refuses everybody. Made by [`deny`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Deny;

/// Refuses everybody with 403, after authentication; without a credential it is 401 as elsewhere.
pub fn deny() -> Guard<Deny> {
    guard(Deny)
}

impl<T: ?Sized> Policy<T> for Deny {
    fn decide(&self, _: &PolicyContext<'_, T>) -> Decision {
        Decision::Deny(Denial::forbidden())
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("deny()")
    }

    fn constant_decision(&self) -> Option<bool> {
        Some(false)
    }

    fn is_fully_described(&self) -> bool {
        true
    }
}

/// A list of words as it stands in the code: `a, b`.
pub(super) fn write_words(f: &mut fmt::Formatter<'_>, words: &[Arc<str>]) -> fmt::Result {
    for (index, word) in words.iter().enumerate() {
        if index > 0 {
            f.write_str(", ")?;
        }
        f.write_str(word)?;
    }
    Ok(())
}
