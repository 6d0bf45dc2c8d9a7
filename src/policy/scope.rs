//! OAuth scopes.

use std::fmt;
use std::sync::Arc;

use super::Policy;
use super::claims::Claims;
use super::context::PolicyContext;
use super::decision::{Decision, RequiredScopes};
use super::denial::Denial;
use super::guard::{Guard, guard, write_words};
use super::plan::Plan;
use crate::error::ConfigError;
use crate::request::RequestView;

/// Requires one scope: 403 `insufficient_scope` without it.
///
/// A text that is not a scope token is reported by
/// [`PoliciesBuilder::build`](super::PoliciesBuilder::build); used without a list it refuses every
/// request with 503.
pub fn scope(scope: impl Into<Arc<str>>) -> Guard<Scopes> {
    Scopes::new("scope", Mode::All, [scope.into()])
}

/// Requires all of these scopes.
pub fn all_scopes<I>(scopes: I) -> Guard<Scopes>
where
    I: IntoIterator,
    I::Item: Into<Arc<str>>,
{
    Scopes::new("all_scopes", Mode::All, scopes.into_iter().map(Into::into))
}

/// Requires one of these scopes. The challenge names the first, so put the one that grants least first.
pub fn any_scope<I>(scopes: I) -> Guard<Scopes>
where
    I: IntoIterator,
    I::Item: Into<Arc<str>>,
{
    Scopes::new("any_scope", Mode::Any, scopes.into_iter().map(Into::into))
}

/// A policy about scopes. Made by [`scope`], [`all_scopes`] and [`any_scope`].
#[derive(Clone, Debug)]
pub struct Scopes {
    name: &'static str,
    mode: Mode,
    scopes: Vec<Arc<str>>,
    /// Kept, so that a request does not check the configuration.
    fault: Option<ConfigError>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    All,
    Any,
}

impl Scopes {
    fn new(
        name: &'static str,
        mode: Mode,
        scopes: impl IntoIterator<Item = Arc<str>>,
    ) -> Guard<Self> {
        let mut scopes = Self {
            name,
            mode,
            scopes: scopes.into_iter().collect(),
            fault: None,
        };
        scopes.fault = scopes.find_fault();
        guard(scopes)
    }

    fn find_fault(&self) -> Option<ConfigError> {
        if self.scopes.is_empty() {
            return Some(ConfigError::Empty { policy: self.name });
        }
        self.scopes
            .iter()
            .find(|scope| !is_scope_token(scope))
            .map(|scope| ConfigError::Scope {
                scope: scope.to_string(),
            })
    }

    /// What the client has to ask for.
    fn wanted(&self) -> &[Arc<str>] {
        match self.mode {
            Mode::All => &self.scopes,
            Mode::Any => self.scopes.get(..1).unwrap_or_default(),
        }
    }
}

impl<T: Claims + ?Sized> Policy<T> for Scopes {
    #[inline]
    fn decide(&self, cx: &PolicyContext<'_, T>) -> Decision {
        if let Some(fault) = &self.fault {
            return Denial::misconfigured(fault).into();
        }
        let principal = cx.principal();
        let granted = match self.mode {
            Mode::All => self.scopes.iter().all(|scope| principal.has_scope(scope)),
            Mode::Any => self.scopes.iter().any(|scope| principal.has_scope(scope)),
        };
        if granted {
            return Decision::Allow;
        }
        Decision::Deny(Denial::insufficient_scope(self.wanted().iter().cloned()))
    }

    fn required_scopes(&self, _: &RequestView<'_>, _: &Plan<'_>, needs: &mut RequiredScopes) {
        for scope in self.wanted() {
            needs.add_scope(scope.clone());
        }
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.name)?;
        write_words(f, &self.scopes)?;
        f.write_str(")")
    }

    fn check(&self, _: &[&str]) -> Result<(), ConfigError> {
        self.fault.clone().map_or(Ok(()), Err)
    }

    fn is_fully_described(&self) -> bool {
        true
    }
}

/// `scope-token` of [RFC 6749 section 3.3](https://www.rfc-editor.org/rfc/rfc6749#section-3.3).
pub(super) fn is_scope_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}

/// Whether a space-separated list, as the claim `scope` holds it, contains `scope` as a whole
/// ([RFC 6749 section 3.3](https://www.rfc-editor.org/rfc/rfc6749#section-3.3)). There are no
/// wildcards, and case matters.
///
/// # Example
///
/// ```
/// use tower_bearer::policy::scope_list_contains;
///
/// assert!(scope_list_contains("read orders:write", "orders:write"));
/// assert!(!scope_list_contains("read:all", "read"));
/// assert!(!scope_list_contains("read", ""));
/// ```
#[must_use]
pub fn scope_list_contains(list: &str, scope: &str) -> bool {
    let (list, scope) = (list.as_bytes(), scope.as_bytes());
    if scope.is_empty() {
        return false;
    }
    // Many lists hold nothing else. One with a space in it is no scope.
    if list.len() <= scope.len() {
        let has_space = scope
            .iter()
            .fold(false, |found, byte| found | (*byte == b' '));
        return list == scope && !has_space;
    }
    list.split(|byte| *byte == b' ')
        .any(|granted| granted == scope)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_match_as_whole_tokens() {
        // (D10: whole scopes)
        for (list, scope, expected) in [
            ("read", "read", true),
            ("write read", "read", true),
            ("write  read", "read", true),
            ("read:all", "read", false),
            ("read", "read:all", false),
            ("Read", "read", false),
            ("read\twrite", "read", false),
            ("read,write", "read", false),
            ("*", "read", false),
            ("", "read", false),
            ("", "", false),
            (" ", "", false),
            ("a b", "a b", false),
        ] {
            assert_eq!(
                scope_list_contains(list, scope),
                expected,
                "{list:?} {scope:?}"
            );
        }
    }

    #[test]
    fn scope_token_accepts_exactly_the_characters_of_the_rfc() {
        for (text, expected) in [
            ("orders:read", true),
            ("https://api/x", true),
            ("!#[]~", true),
            ("", false),
            ("a b", false),
            ("a\"b", false),
            ("a\\b", false),
            ("ä", false),
            ("a\n", false),
        ] {
            assert_eq!(is_scope_token(text), expected, "{text:?}");
        }
    }
}
