//! What a policy decides about.

use std::borrow::Cow;
use std::fmt;

use super::pattern::{FormOfPath, PathPattern};
use super::plan::Plan;
use crate::principal::Authenticated;
use crate::request::RequestView;

/// A principal, its request, and the segments that the rule's pattern names.
///
/// It lives only as long as the call. What an asynchronous policy needs later, it copies out before
/// it returns its future.
pub struct PolicyContext<'a, T: ?Sized> {
    authenticated: &'a Authenticated<T>,
    request: &'a RequestView<'a>,
    plan: &'a Plan<'a>,
    rule: Option<(&'a PathPattern, FormOfPath<'a>)>,
}

impl<'a, T: ?Sized> PolicyContext<'a, T> {
    pub(crate) fn new(
        authenticated: &'a Authenticated<T>,
        request: &'a RequestView<'a>,
        plan: &'a Plan<'a>,
    ) -> Self {
        Self {
            authenticated,
            request,
            plan,
            rule: None,
        }
    }

    /// The same context for a rule with `pattern` that matched `path`.
    pub(super) fn for_rule(&self, pattern: &'a PathPattern, path: FormOfPath<'a>) -> Self {
        Self {
            authenticated: self.authenticated,
            request: self.request,
            plan: self.plan,
            rule: Some((pattern, path)),
        }
    }

    /// Who is calling.
    #[must_use]
    pub fn principal(&self) -> &'a T {
        self.authenticated.principal()
    }

    /// The principal as a handle that a future can keep, and what is known of its credential.
    #[must_use]
    pub fn authenticated(&self) -> &'a Authenticated<T> {
        self.authenticated
    }

    /// The request without its body.
    #[must_use]
    pub fn request(&self) -> &'a RequestView<'a> {
        self.request
    }

    /// The value of the segment `{name}` in the pattern of the rule, decoded.
    ///
    /// `None` if the pattern does not name it, or outside of a list of rules.
    ///
    /// # Example
    ///
    /// ```
    /// use tower_bearer::policy::{Policies, PolicyContext, policy_fn};
    ///
    /// struct User {
    ///     shops: Vec<String>,
    /// }
    ///
    /// let policies: Policies<User> = Policies::builder()
    ///     .under("/shops/{shop}", policy_fn(|cx: &PolicyContext<'_, User>| {
    ///         cx.segment("shop")
    ///             .is_some_and(|shop| cx.principal().shops.iter().any(|own| *own == shop))
    ///     }))
    ///     .build()?;
    /// # Ok::<(), tower_bearer::ConfigError>(())
    /// ```
    #[must_use]
    pub fn segment(&self, name: &str) -> Option<Cow<'a, str>> {
        let (pattern, path) = self.rule?;
        pattern.value(name, path)
    }

    pub(super) fn plan(&self) -> &'a Plan<'a> {
        self.plan
    }
}

impl<T: ?Sized> fmt::Debug for PolicyContext<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyContext")
            .field("request", self.request)
            .finish_non_exhaustive()
    }
}
