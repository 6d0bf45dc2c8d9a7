//! Two policies as one.
//!
//! Whatever its parts open, a combination wants a credential: it is asked about a principal.

use std::fmt;

use super::context::PolicyContext;
use super::decision::{Decision, RequiredScopes};
use super::plan::{Plan, Requirement};
use super::{PathAmbiguity, Policy, describe};
use crate::error::ConfigError;
use crate::request::RequestView;

/// Both must pass. Made by [`Guard::and`](super::Guard::and).
#[derive(Clone, Debug)]
pub struct And<A, B> {
    first: A,
    second: B,
}

impl<A, B> And<A, B> {
    pub(super) fn new(first: A, second: B) -> Self {
        Self { first, second }
    }
}

impl<T: ?Sized, A: Policy<T>, B: Policy<T>> Policy<T> for And<A, B> {
    fn decide(&self, cx: &PolicyContext<'_, T>) -> Decision {
        self.first.decide(cx).and(|| self.second.decide(cx))
    }

    fn plan(&self, request: &RequestView<'_>) -> Result<Plan<'_>, PathAmbiguity> {
        self.first.plan(request)?;
        self.second.plan(request)?;
        Ok(Plan::of(Requirement::Credential))
    }

    fn required_scopes(
        &self,
        request: &RequestView<'_>,
        plan: &Plan<'_>,
        needs: &mut RequiredScopes,
    ) {
        self.first.required_scopes(request, plan, needs);
        self.second.required_scopes(request, plan, needs);
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "({} and {})",
            describe(&self.first),
            describe(&self.second)
        )
    }

    fn check(&self, segments: &[&str]) -> Result<(), ConfigError> {
        self.first.check(segments)?;
        self.second.check(segments)
    }

    fn is_fully_described(&self) -> bool {
        self.first.is_fully_described() && self.second.is_fully_described()
    }
}

/// One of two must pass. Made by [`Guard::or`](super::Guard::or).
#[derive(Clone, Debug)]
pub struct Or<A, B> {
    first: A,
    second: B,
}

impl<A, B> Or<A, B> {
    pub(super) fn new(first: A, second: B) -> Self {
        Self { first, second }
    }
}

impl<T: ?Sized, A: Policy<T>, B: Policy<T>> Policy<T> for Or<A, B> {
    fn decide(&self, cx: &PolicyContext<'_, T>) -> Decision {
        self.first.decide(cx).or(|| self.second.decide(cx))
    }

    fn plan(&self, request: &RequestView<'_>) -> Result<Plan<'_>, PathAmbiguity> {
        self.first.plan(request)?;
        self.second.plan(request)?;
        Ok(Plan::of(Requirement::Credential))
    }

    /// One way in is enough to be told: the first that names scopes.
    fn required_scopes(
        &self,
        request: &RequestView<'_>,
        plan: &Plan<'_>,
        needs: &mut RequiredScopes,
    ) {
        let mut first = RequiredScopes::new();
        self.first.required_scopes(request, plan, &mut first);
        if first.scopes().is_empty() {
            self.second.required_scopes(request, plan, needs);
        } else {
            for scope in first.scopes() {
                needs.add_scope(scope.clone());
            }
        }
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "({} or {})",
            describe(&self.first),
            describe(&self.second)
        )
    }

    fn check(&self, segments: &[&str]) -> Result<(), ConfigError> {
        self.first.check(segments)?;
        self.second.check(segments)
    }

    fn is_fully_described(&self) -> bool {
        self.first.is_fully_described() && self.second.is_fully_described()
    }
}

/// The opposite. Made by [`Guard::not`](super::Guard::not).
#[derive(Clone, Debug)]
pub struct Not<P> {
    policy: P,
}

impl<P> Not<P> {
    pub(super) fn new(policy: P) -> Self {
        Self { policy }
    }
}

impl<T: ?Sized, P: Policy<T>> Policy<T> for Not<P> {
    fn decide(&self, cx: &PolicyContext<'_, T>) -> Decision {
        self.policy.decide(cx).not()
    }

    fn plan(&self, request: &RequestView<'_>) -> Result<Plan<'_>, PathAmbiguity> {
        self.policy.plan(request)?;
        Ok(Plan::of(Requirement::Credential))
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not {}", describe(&self.policy))
    }

    fn check(&self, segments: &[&str]) -> Result<(), ConfigError> {
        self.policy.check(segments)
    }

    fn is_fully_described(&self) -> bool {
        self.policy.is_fully_described()
    }
}
