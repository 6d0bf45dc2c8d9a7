//! One line of a list: pattern, methods, effect.

use std::fmt;
use std::sync::Arc;

use http::Method;

use super::guard::{Guard, OnMethods};
use super::methods::MethodSet;
use super::opening::{Opening, Optional, Permit, Public};
use super::{Policy, describe};
use crate::path::{Extent, PathPattern};

/// What may stand in a list of rules for principals of type `T`: a [`Guard`], an [`Opening`], or one
/// of them limited to methods with `on`. A policy of your own becomes a guard with
/// [`guard`](super::guard).
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a rule for the principal `{T}`",
    label = "this cannot stand in a list of rules",
    note = "the built-in policies need `impl tower_bearer::policy::Claims for {T}`, with the methods that they ask for",
    note = "a closure is wrapped in `policy_fn(|cx: &PolicyContext<'_, {T}>| ...)`, a type that implements `Policy<{T}>` in `guard(...)`"
)]
pub trait IntoRule<T: ?Sized>: Sealed<T> {}

impl<T: ?Sized, R: Sealed<T>> IntoRule<T> for R {}

pub trait Sealed<T: ?Sized> {
    fn into_parts(self) -> (Effect<T>, Option<MethodSet>);
}

/// What a rule does to a request that it means.
pub enum Effect<T: ?Sized> {
    Optional,
    Permit(Arc<dyn Policy<T>>),
    Public,
    Restrict(Arc<dyn Policy<T>>),
}

impl<T: ?Sized> Effect<T> {
    pub(super) fn is_opening(&self) -> bool {
        match self {
            Effect::Optional | Effect::Permit(_) | Effect::Public => true,
            Effect::Restrict(_) => false,
        }
    }

    pub(super) fn policy(&self) -> Option<&Arc<dyn Policy<T>>> {
        match self {
            Effect::Permit(policy) | Effect::Restrict(policy) => Some(policy),
            Effect::Optional | Effect::Public => None,
        }
    }
}

impl<T: ?Sized> fmt::Debug for Effect<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<T: ?Sized> fmt::Display for Effect<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Effect::Optional => f.write_str("optional()"),
            Effect::Permit(policy) => write!(f, "permit({})", describe(&**policy)),
            Effect::Public => f.write_str("public()"),
            Effect::Restrict(policy) => f.write_str(&describe(&**policy)),
        }
    }
}

impl<T: ?Sized, P: Policy<T> + 'static> Sealed<T> for Guard<P> {
    fn into_parts(self) -> (Effect<T>, Option<MethodSet>) {
        (Effect::Restrict(Arc::new(self.into_policy())), None)
    }
}

impl<T: ?Sized> Sealed<T> for Opening<Public> {
    fn into_parts(self) -> (Effect<T>, Option<MethodSet>) {
        (Effect::Public, None)
    }
}

impl<T: ?Sized> Sealed<T> for Opening<Optional> {
    fn into_parts(self) -> (Effect<T>, Option<MethodSet>) {
        (Effect::Optional, None)
    }
}

impl<T: ?Sized, P: Policy<T> + 'static> Sealed<T> for Opening<Permit<P>> {
    fn into_parts(self) -> (Effect<T>, Option<MethodSet>) {
        (Effect::Permit(Arc::new(self.kind.policy)), None)
    }
}

impl<T: ?Sized, R: Sealed<T>> Sealed<T> for OnMethods<R> {
    fn into_parts(self) -> (Effect<T>, Option<MethodSet>) {
        let (effect, _) = self.rule.into_parts();
        (effect, Some(self.methods))
    }
}

/// A rule as the list keeps it.
pub(super) struct Rule<T: ?Sized> {
    pub(super) pattern: PathPattern,
    pub(super) methods: Option<MethodSet>,
    pub(super) effect: Effect<T>,
    /// The rule as text, made once: it names the rule in refusals and logs.
    pub(super) label: Arc<str>,
}

impl<T: ?Sized> Rule<T> {
    pub(super) fn new(pattern: PathPattern, methods: Option<MethodSet>, effect: Effect<T>) -> Self {
        let label = match &methods {
            Some(methods) => format!("{pattern}: {effect} on {methods}").into(),
            None => format!("{pattern}: {effect}").into(),
        };
        Self {
            pattern,
            methods,
            effect,
            label,
        }
    }

    /// Whether it applies to `method`, its path being matched already.
    #[inline]
    pub(super) fn applies(&self, method: &Method) -> bool {
        match &self.methods {
            Some(methods) => methods.applies(method, self.effect.is_opening()),
            None => true,
        }
    }

    /// Whether a request of this method, its path being matched already, counts as named by the rule. A
    /// rule for every path names none, and a permission that was not given is none.
    pub(super) fn names(&self, method: &Method) -> bool {
        let is_about_paths =
            self.pattern.extent() == Extent::At || !self.pattern.segments().is_empty();
        let is_named = match &self.methods {
            Some(methods) => methods.applies(method, true),
            None => true,
        };
        matches!(self.effect, Effect::Restrict(_)) && is_about_paths && is_named
    }

    /// Whether `self`, if it ends every reading, leaves nothing to `later`.
    pub(super) fn hides(&self, later: &Self) -> bool {
        self.pattern.covers(&later.pattern) && self.covers_methods(later, self.effect.is_opening())
    }

    /// Returns whether `later`, a restricting rule with the same pattern and policy, changes nothing. A rule
    /// restricts methods that it does not name, so `later` may name one that `self` does not.
    pub(super) fn is_repeated_by(&self, later: &Self) -> bool {
        self.covers_methods(later, true)
    }

    fn covers_methods(&self, later: &Self, opening: bool) -> bool {
        match (&self.methods, &later.methods) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(mine), Some(theirs)) => mine.covers(theirs, opening),
        }
    }
}

impl<T: ?Sized> Rule<T> {
    /// Returns a text that is the same for equal restricting policies. `None` if the policy cannot be compared.
    pub(super) fn restriction(&self) -> Option<String> {
        match &self.effect {
            Effect::Restrict(policy) if policy.is_fully_described() => Some(describe(&**policy)),
            _ => None,
        }
    }
}

impl<T: ?Sized> fmt::Debug for Rule<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Rule").field(&self.label).finish()
    }
}
