//! What a policy decides about.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::num::NonZeroUsize;

use super::decision::Decision;
use super::denial::Denial;
use super::plan::Plan;
use crate::error::ConfigError;
use crate::path::{FormOfPath, PathPattern, Segment};
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
    /// The position, counted from 1, of a segment whose value was requested and is unknown.
    unknown: Cell<Option<NonZeroUsize>>,
}

/// The value of a segment that a policy requests.
pub(super) enum SegmentValue<'a> {
    Known(Cow<'a, str>),
    /// The pattern has the segment, but its value cannot be determined.
    Unknown(NonZeroUsize),
    /// No pattern names the segment.
    Unnamed,
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
            unknown: Cell::new(None),
        }
    }

    /// The same context for a rule with `pattern` that matched `path`.
    pub(super) fn for_rule(&self, pattern: &'a PathPattern, path: FormOfPath<'a>) -> Self {
        Self {
            authenticated: self.authenticated,
            request: self.request,
            plan: self.plan,
            rule: Some((pattern, path)),
            unknown: Cell::new(None),
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
    /// `None` if the pattern does not name it, or outside of a list of rules. Also `None` if the segment is a
    /// parameter in the prefix of [`nested_at`](crate::BearerAuthLayer::nested_at) whose value is unknown.
    /// The decision of a policy that requested such a value is discarded, and the request is rejected with
    /// 503.
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
        match self.lookup(name) {
            SegmentValue::Known(value) => Some(value),
            SegmentValue::Unknown(position) => {
                self.unknown.set(Some(position));
                None
            }
            SegmentValue::Unnamed => None,
        }
    }

    pub(super) fn lookup(&self, name: &str) -> SegmentValue<'a> {
        let Some((pattern, path)) = self.rule else {
            return SegmentValue::Unnamed;
        };
        let Some(index) = pattern.index(name) else {
            return SegmentValue::Unnamed;
        };
        let nest = self.request.nest();
        let value = match index.checked_sub(nest.segments().len()) {
            Some(below) => path.segment(below),
            None => nest.value(index, self.request.extensions()),
        };
        let position = NonZeroUsize::MIN.saturating_add(index);
        value.map_or(SegmentValue::Unknown(position), SegmentValue::Known)
    }

    /// Returns the decision of `decide`, or a denial if `decide` requested an unknown value. An unknown value
    /// that an earlier policy requested stays noted, so that no other policy can hide it.
    #[inline]
    pub(super) fn settled(&self, decide: impl FnOnce() -> Decision) -> Decision {
        let earlier = self.unknown.take();
        let decision = decide();
        match self.unknown.replace(earlier) {
            None => decision,
            Some(position) => Decision::Deny(self.unknown_value(position)),
        }
    }

    /// Returns the denial of a policy that needs an unknown value. The denial is unavailable, because `not`
    /// cannot turn that into a pass.
    #[cold]
    pub(super) fn unknown_value(&self, position: NonZeroUsize) -> Denial {
        let index = position.get() - 1;
        let segment = match self.rule.and_then(|(rule, _)| rule.segments().get(index)) {
            Some(Segment::Variable(name)) => name.clone(),
            _ => String::new(),
        };
        Denial::misconfigured(&ConfigError::UnknownPrefixValue { segment })
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
