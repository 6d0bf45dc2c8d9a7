//! What is known about a request before its credential is read.

use std::fmt;

use super::list::RuleMatch;

/// What a request has to present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Requirement {
    /// A valid credential; without one it is 401.
    Credential,
    /// A valid credential or none. An invalid one is 401 all the same.
    Optional,
    /// Nothing: no credential is looked at.
    Public,
}

/// What a policy found out about a request before its credential is read. Made by
/// [`Policy::plan`](super::Policy::plan) and handed back to the same policy, so that a list of rules
/// is searched once.
pub struct Plan<'p> {
    requirement: Requirement,
    matched: Option<RuleMatch<'p>>,
    opened_by: Option<&'p str>,
}

impl<'p> Plan<'p> {
    /// A plan that knows nothing but the requirement.
    #[must_use]
    pub fn of(requirement: Requirement) -> Self {
        Self {
            requirement,
            matched: None,
            opened_by: None,
        }
    }

    pub(super) fn matched(
        requirement: Requirement,
        matched: RuleMatch<'p>,
        opened_by: Option<&'p str>,
    ) -> Self {
        Self {
            requirement,
            matched: Some(matched),
            opened_by,
        }
    }

    /// What the request has to present.
    #[must_use]
    pub fn requirement(&self) -> Requirement {
        self.requirement
    }

    /// Returns the plan and leaves one without rules in its place.
    pub(crate) fn take(&mut self) -> Self {
        std::mem::replace(self, Self::of(self.requirement))
    }

    /// Returns the plan without its borrows, to keep it while a validator or a policy is awaited.
    pub(crate) fn into_owned(self) -> Plan<'static> {
        Plan {
            requirement: self.requirement,
            matched: self.matched.map(RuleMatch::into_owned),
            // Only a request without a credential reports it, and such a request never waits.
            opened_by: None,
        }
    }

    pub(super) fn rules(&self) -> Option<&RuleMatch<'p>> {
        self.matched.as_ref()
    }

    /// The rule that made the path public or optional.
    pub(crate) fn opened_by(&self) -> Option<&'p str> {
        self.opened_by
    }
}

impl fmt::Debug for Plan<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan")
            .field("requirement", &self.requirement)
            .finish_non_exhaustive()
    }
}
