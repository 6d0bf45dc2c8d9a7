//! Roles, and roles that stand above others.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::Policy;
use super::claims::Claims;
use super::context::PolicyContext;
use super::decision::Decision;
use super::denial::Denial;
use super::guard::{Guard, guard, write_words};
use crate::error::ConfigError;

/// Requires one role: 403 without it.
pub fn role(role: impl Into<Arc<str>>) -> Guard<Role> {
    let role = role.into();
    let fault = role
        .is_empty()
        .then_some(ConfigError::Empty { policy: "role" });
    Role::new(role.clone(), vec![role], fault)
}

/// Requires one of these roles.
pub fn any_role<I>(roles: I) -> Guard<Role>
where
    I: IntoIterator,
    I::Item: Into<Arc<str>>,
{
    let roles: Vec<Arc<str>> = roles.into_iter().map(Into::into).collect();
    let name = roles.join(", ").into();
    let fault = roles
        .is_empty()
        .then_some(ConfigError::Empty { policy: "any_role" });
    Role::new(name, roles, fault)
}

/// A policy about roles. Made by [`role`], [`any_role`] and [`RoleHierarchy::role`].
#[derive(Clone, Debug)]
pub struct Role {
    name: Arc<str>,
    /// The role itself and those above it.
    sufficient: Vec<Arc<str>>,
    fault: Option<ConfigError>,
}

impl Role {
    fn new(name: Arc<str>, sufficient: Vec<Arc<str>>, fault: Option<ConfigError>) -> Guard<Self> {
        guard(Self {
            name,
            sufficient,
            fault,
        })
    }
}

impl<T: Claims + ?Sized> Policy<T> for Role {
    fn decide(&self, cx: &PolicyContext<'_, T>) -> Decision {
        if let Some(fault) = &self.fault {
            return Denial::misconfigured(fault).into();
        }
        let principal = cx.principal();
        self.sufficient
            .iter()
            .any(|role| principal.has_role(role))
            .into()
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "role({}", self.name)?;
        if let [_, above @ ..] = &self.sufficient[..]
            && !self.name.contains(", ")
            && !above.is_empty()
        {
            f.write_str(" or above: ")?;
            write_words(f, above)?;
        }
        f.write_str(")")
    }

    fn check(&self, _: &[&str]) -> Result<(), ConfigError> {
        self.fault.clone().map_or(Ok(()), Err)
    }

    fn is_fully_described(&self) -> bool {
        // A name with a space could be read as two names.
        let mut names = self.sufficient.iter();
        names.all(|name| !name.contains(char::is_whitespace))
    }
}

/// Roles that stand above others: who has the higher one, has the lower one too.
///
/// # Example
///
/// ```
/// use tower_bearer::policy::{Claims, Policies, RoleHierarchy};
///
/// # struct User;
/// # impl Claims for User {}
/// let roles = RoleHierarchy::builder()
///     .above("admin", "editor")
///     .above("editor", "viewer")
///     .build()?;
///
/// let policies: Policies<User> = Policies::builder()
///     .under("/reports", roles.role("viewer")) // editor and admin will do
///     .under("/settings", roles.role("admin"))
///     .build()?;
///
/// // A role that nobody has heard of is an error of `build`, not a rule that refuses everybody.
/// assert!(Policies::<User>::builder().under("/x", roles.role("vewer")).build().is_err());
/// # Ok::<(), tower_bearer::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct RoleHierarchy {
    /// For each role: itself, and all above it.
    sufficient: BTreeMap<Arc<str>, Vec<Arc<str>>>,
}

impl RoleHierarchy {
    /// An empty hierarchy, to be filled.
    pub fn builder() -> RoleHierarchyBuilder {
        RoleHierarchyBuilder { above: Vec::new() }
    }

    /// Requires `role`, or a role above it.
    pub fn role(&self, role: &str) -> Guard<Role> {
        match self.sufficient.get_key_value(role) {
            Some((name, sufficient)) => Role::new(name.clone(), sufficient.clone(), None),
            None => Role::new(
                role.into(),
                Vec::new(),
                Some(ConfigError::UnknownRole {
                    role: role.to_owned(),
                    known: self.sufficient.keys().map(ToString::to_string).collect(),
                }),
            ),
        }
    }
}

/// Builds a [`RoleHierarchy`].
#[derive(Clone, Debug)]
#[must_use]
pub struct RoleHierarchyBuilder {
    above: Vec<(Arc<str>, Arc<str>)>,
}

impl RoleHierarchyBuilder {
    /// Whoever has `higher` has `lower` too.
    pub fn above(mut self, higher: impl Into<Arc<str>>, lower: impl Into<Arc<str>>) -> Self {
        self.above.push((higher.into(), lower.into()));
        self
    }

    /// The hierarchy with all that follows from what was said.
    ///
    /// # Errors
    ///
    /// [`ConfigError::RoleCircle`] if a role stands above itself.
    pub fn build(self) -> Result<RoleHierarchy, ConfigError> {
        let mut sufficient = BTreeMap::new();
        for (higher, lower) in &self.above {
            for role in [higher, lower] {
                if !sufficient.contains_key(role) {
                    sufficient.insert(role.clone(), self.closure(role)?);
                }
            }
        }
        Ok(RoleHierarchy { sufficient })
    }

    /// `role` and all above it, nearest first.
    fn closure(&self, role: &Arc<str>) -> Result<Vec<Arc<str>>, ConfigError> {
        let mut found = vec![role.clone()];
        let mut next = 0;
        while let Some(lower) = found.get(next).cloned() {
            next += 1;
            for (higher, below) in &self.above {
                if *below != lower {
                    continue;
                }
                if higher == role {
                    return Err(ConfigError::RoleCircle {
                        circle: found.iter().map(ToString::to_string).collect(),
                    });
                }
                if !found.contains(higher) {
                    found.push(higher.clone());
                }
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senior_role_includes_junior_roles() {
        let roles = RoleHierarchy::builder()
            .above("admin", "editor")
            .above("editor", "viewer")
            .above("auditor", "viewer")
            .build()
            .unwrap();
        for (role, sufficient) in [
            ("admin", &["admin"][..]),
            ("editor", &["editor", "admin"]),
            ("viewer", &["viewer", "editor", "auditor", "admin"]),
        ] {
            let found: Vec<&str> = roles.sufficient[role].iter().map(AsRef::as_ref).collect();
            assert_eq!(found, sufficient, "{role}");
        }
    }

    #[test]
    fn role_cycle_is_an_error() {
        for circle in [
            &[("a", "a")][..],
            &[("a", "b"), ("b", "a")],
            &[("x", "a"), ("a", "b"), ("b", "c"), ("c", "a")],
        ] {
            let mut builder = RoleHierarchy::builder();
            for (higher, lower) in circle {
                builder = builder.above(*higher, *lower);
            }
            assert!(
                matches!(builder.build(), Err(ConfigError::RoleCircle { .. })),
                "{circle:?}"
            );
        }
    }
}
