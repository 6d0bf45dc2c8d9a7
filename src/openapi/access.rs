//! What a layer wants of one operation.

use std::sync::Arc;

use crate::layer::Shared;
use crate::path::Nest;
use crate::path_ambiguity::PathAmbiguity;
use crate::policy::{Policy, RequiredScopes, Requirement};
use crate::request::RequestView;
use crate::validator::Validator;

/// What one operation needs. Made by [`Security::access`](super::Security::access).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationAccess {
    requirement: Requirement,
    scopes: Vec<Arc<str>>,
}

impl OperationAccess {
    /// Whether it is public, or wants a credential.
    #[must_use]
    pub fn requirement(&self) -> Requirement {
        self.requirement
    }

    /// The scopes with which a credential lacks none, in the order of the rules: those that a 403 names.
    #[must_use]
    pub fn scopes(&self) -> &[Arc<str>] {
        &self.scopes
    }
}

/// A layer without the types of its validator and its policy.
pub(super) trait Rules: Send + Sync {
    fn ask(&self, request: &RequestView<'_>) -> Result<OperationAccess, PathAmbiguity>;

    /// Returns the nesting that the layer declares.
    fn nest(&self) -> &Nest;
}

impl<V, P> Rules for Shared<V, P>
where
    V: Validator,
    P: Policy<V::Principal>,
{
    /// The questions that the service asks itself before it refuses a request without a credential.
    fn ask(&self, request: &RequestView<'_>) -> Result<OperationAccess, PathAmbiguity> {
        let plan = self.policy.plan(request)?;
        let mut needs = RequiredScopes::new();
        if plan.requirement() == Requirement::Credential {
            self.policy.required_scopes(request, &plan, &mut needs);
        }
        Ok(OperationAccess {
            requirement: plan.requirement(),
            scopes: needs.into_scopes(),
        })
    }

    fn nest(&self) -> &Nest {
        &self.settings.nest
    }
}
