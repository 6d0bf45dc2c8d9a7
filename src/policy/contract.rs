//! The trait that every policy implements.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use super::context::PolicyContext;
use super::decision::{Decision, RequiredScopes};
use super::plan::{Plan, Requirement};
use crate::error::ConfigError;
use crate::path_ambiguity::PathAmbiguity;
use crate::request::RequestView;

/// Says whether a principal of type `T` may make a request.
///
/// Policies are asked after authentication, with a principal that a validator vouched for a moment
/// ago. Most are written with [`policy_fn`](super::policy_fn); to use a type that implements this trait in a list of
/// rules, wrap it with [`guard`](super::guard()).
///
/// # Example
///
/// ```
/// use tower_bearer::policy::{Decision, Denial, Policy, PolicyContext};
///
/// struct User {
///     age: u8,
/// }
///
/// struct Adult;
///
/// impl Policy<User> for Adult {
///     fn decide(&self, cx: &PolicyContext<'_, User>) -> Decision {
///         if cx.principal().age >= 18 {
///             Decision::Allow
///         } else {
///             Decision::Deny(Denial::forbidden())
///         }
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a `Policy` for the principal `{T}`",
    label = "this does not decide about a `{T}`",
    note = "the built-in policies need `impl tower_bearer::policy::Claims for {T}`, with the methods that they ask for",
    note = "a type of your own implements `Policy<{T}>`; a closure is wrapped in `tower_bearer::policy::policy_fn(|cx: &PolicyContext<'_, {T}>| ...)`"
)]
pub trait Policy<T: ?Sized>: Send + Sync {
    /// Decides, now or in a future.
    fn decide(&self, cx: &PolicyContext<'_, T>) -> Decision;

    /// Says what a request has to present before it is decided about. Called first, and without a
    /// principal.
    ///
    /// The default wants a valid credential for every request. For a policy that stands in a list or in
    /// a combination, only an error counts: what opens a path there is said by the list.
    ///
    /// # Errors
    ///
    /// The reason why the path of the request has no single meaning: 400. Only policies that look
    /// at the path ever return one.
    fn plan(&self, request: &RequestView<'_>) -> Result<Plan<'_>, PathAmbiguity> {
        let _ = request;
        Ok(Plan::of(Requirement::Credential))
    }

    /// Adds what a client has to bring for this request, so that a challenge can name it. Called
    /// only for requests that are refused. The default adds nothing.
    fn required_scopes(
        &self,
        request: &RequestView<'_>,
        plan: &Plan<'_>,
        needs: &mut RequiredScopes,
    ) {
        let _ = (request, plan, needs);
    }

    /// Writes the policy the way it was written in the code, for tables and logs. The default
    /// writes `custom`.
    ///
    /// # Errors
    ///
    /// Only those of the formatter.
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("custom")
    }

    /// Checks the configuration. Called by [`PoliciesBuilder::build`](super::PoliciesBuilder::build), with the names of the
    /// `{segments}` in the rule's pattern.
    ///
    /// # Errors
    ///
    /// What is wrong with it. A policy that is wrong refuses every request.
    fn check(&self, segments: &[&str]) -> Result<(), ConfigError> {
        let _ = segments;
        Ok(())
    }

    /// What it says to every request of every principal, if that is always the same: `true` passes,
    /// `false` refuses. With it a list finds the rules that can never take effect. The default says
    /// that it depends.
    fn constant_decision(&self) -> Option<bool> {
        None
    }

    /// Returns whether every policy with the same [description](Self::describe) makes the same decisions. A
    /// list of rules uses this to find rules that repeat an earlier one. The default returns `false`.
    fn is_fully_described(&self) -> bool {
        false
    }
}

macro_rules! forward {
    ($($pointer:ty),*) => {$(
        impl<T: ?Sized, P: Policy<T> + ?Sized> Policy<T> for $pointer {
            fn decide(&self, cx: &PolicyContext<'_, T>) -> Decision {
                (**self).decide(cx)
            }

            fn plan(&self, request: &RequestView<'_>) -> Result<Plan<'_>, PathAmbiguity> {
                (**self).plan(request)
            }

            fn required_scopes(&self, request: &RequestView<'_>, plan: &Plan<'_>, needs: &mut RequiredScopes) {
                (**self).required_scopes(request, plan, needs);
            }

            fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                (**self).describe(f)
            }

            fn check(&self, segments: &[&str]) -> Result<(), ConfigError> {
                (**self).check(segments)
            }

            fn constant_decision(&self) -> Option<bool> {
                (**self).constant_decision()
            }

            fn is_fully_described(&self) -> bool {
                (**self).is_fully_described()
            }
        }
    )*};
}

forward!(&P, Arc<P>, Box<P>);

/// Formats a policy with its [`describe`](Policy::describe).
struct Described<'a, P: ?Sized, T: ?Sized>(&'a P, PhantomData<fn(&T)>);

impl<P: Policy<T> + ?Sized, T: ?Sized> fmt::Display for Described<'_, P, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.describe(f)
    }
}

/// Returns the description of a policy.
pub(crate) fn describe<T: ?Sized, P: Policy<T> + ?Sized>(policy: &P) -> String {
    Described(policy, PhantomData).to_string()
}
