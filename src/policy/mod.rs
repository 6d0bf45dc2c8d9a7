//! Authorization: may this principal make this request.
//!
//! A [`Policy`] answers for one principal and one request. The ready-made ones are functions: [`scope`],
//! [`role`], [`tenant`], [`owner`], [`acr`], [`max_age`], [`policy_fn`] and so on. They are combined with
//! [`Guard::and`], [`Guard::or`] and [`Guard::not`], and put in front of paths by [`Policies`]. Behind a
//! nested router, [`nested_at`](crate::BearerAuthLayer::nested_at) declares the prefix for rules with full
//! paths.

mod builder;
mod claims;
mod closure;
mod combine;
mod context;
mod contract;
mod decision;
mod denial;
mod explain;
mod guard;
mod list;
mod methods;
mod opening;
mod plan;
mod role;
mod rule;
mod scope;
mod segment;
mod step_up;
mod tree;

pub use builder::PoliciesBuilder;
pub use claims::Claims;
pub use closure::{IntoDecision, PolicyFn, decision_markers, policy_fn};
pub use combine::{And, Not, Or};
pub use context::PolicyContext;
pub use contract::Policy;
pub(crate) use contract::describe;
pub use decision::{Decision, RequiredScopes};
pub use denial::{Denial, DenialKind};
pub use explain::{AppliedRule, Explanation};
pub use guard::{AuthenticatedOnly, Deny, Guard, OnMethods, authenticated, deny, guard};
pub use list::Policies;
pub use opening::{Opening, Optional, Permit, Public, optional, permit, public};
pub use plan::{Plan, Requirement};
pub use role::{Role, RoleHierarchy, RoleHierarchyBuilder, any_role, role};
pub use rule::IntoRule;
pub use scope::{Scopes, all_scopes, any_scope, scope, scope_list_contains};
pub use segment::{Owner, Tenant, owner, tenant};
pub use step_up::{Acr, MaxAge, acr, max_age};

pub use crate::path_ambiguity::PathAmbiguity;
