//! Rules for people: a table of all, and the story of one request.

use std::fmt;
use std::sync::Arc;

use http::Method;

use super::plan::Requirement;
use super::rule::Effect;
use crate::path_ambiguity::PathAmbiguity;

/// Which rules apply to one request. Made by [`Policies::explain`](super::Policies::explain).
///
/// Its `Display` is meant for people and for snapshot tests:
///
/// ```
/// use http::Method;
/// use tower_bearer::policy::{Claims, Policies, public, role};
///
/// # struct User;
/// # impl Claims for User {}
/// let policies: Policies<User> = Policies::builder()
///     .under("/admin", role("admin"))
///     .under("/docs", public())
///     .build()?;
/// assert_eq!(
///     policies.explain(&Method::GET, "/admin/users").to_string(),
///     "GET /admin/users needs a valid credential\n  \
///      0 restricts  under /admin: role(admin)\n  \
///      then passes, if they do\n",
/// );
/// # Ok::<(), tower_bearer::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Explanation {
    method: Method,
    path: String,
    requirement: Result<Requirement, PathAmbiguity>,
    rules: Vec<AppliedRule>,
    denied: bool,
}

/// One rule of an [`Explanation`].
#[derive(Clone, Debug)]
pub struct AppliedRule {
    index: usize,
    label: Arc<str>,
    verb: &'static str,
    ends: bool,
    may_permit: bool,
}

impl AppliedRule {
    pub(super) fn new<T: ?Sized>(index: usize, label: Arc<str>, effect: &Effect<T>) -> Self {
        let (verb, ends) = match effect {
            Effect::Restrict(_) => ("restricts", false),
            Effect::Permit(_) => ("may permit", false),
            Effect::Public | Effect::Optional => ("opens", true),
        };
        Self {
            index,
            label,
            verb,
            ends,
            may_permit: matches!(effect, Effect::Permit(_)),
        }
    }

    /// The position of the rule in the list, counted from 0.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// The rule as text.
    #[must_use]
    pub fn rule(&self) -> &str {
        &self.label
    }
}

impl Explanation {
    pub(super) fn new(
        method: &Method,
        path: &str,
        requirement: Requirement,
        rules: Vec<AppliedRule>,
        denied: bool,
    ) -> Self {
        Self {
            method: method.clone(),
            path: path.to_owned(),
            requirement: Ok(requirement),
            rules,
            denied,
        }
    }

    pub(super) fn refused(method: &Method, path: &str, ambiguity: PathAmbiguity) -> Self {
        Self {
            method: method.clone(),
            path: path.to_owned(),
            requirement: Err(ambiguity),
            rules: Vec::new(),
            denied: true,
        }
    }

    /// What the request has to present.
    ///
    /// # Errors
    ///
    /// Why the path has no single meaning, which is refused with 400.
    pub fn requirement(&self) -> Result<Requirement, PathAmbiguity> {
        self.requirement
    }

    /// The rules that are read for it, in their order; the last may end the reading.
    #[must_use]
    pub fn rules(&self) -> &[AppliedRule] {
        &self.rules
    }

    /// Whether it is refused whoever asks, because no rule names it and none may permit it.
    #[must_use]
    pub fn is_unmatched_and_denied(&self) -> bool {
        self.denied && self.requirement.is_ok() && !self.rules.iter().any(|rule| rule.may_permit)
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.escape_debug();
        write!(f, "{} {path} ", self.method)?;
        match self.requirement {
            Err(ambiguity) => return writeln!(f, "is refused with 400: {ambiguity}"),
            Ok(Requirement::Credential) => writeln!(f, "needs a valid credential")?,
            Ok(Requirement::Optional) => writeln!(f, "needs a valid credential or none")?,
            Ok(Requirement::Public) => writeln!(f, "is public")?,
        }
        for rule in &self.rules {
            writeln!(f, "  {} {:<10} {}", rule.index, rule.verb, rule.label)?;
        }
        if self.denied {
            writeln!(f, "  then is refused with 403: no rule names it")
        } else if self.rules.last().is_some_and(|rule| rule.ends) {
            Ok(())
        } else if self.rules.is_empty() {
            writeln!(f, "  then passes")
        } else {
            writeln!(f, "  then passes, if they do")
        }
    }
}

/// Writes rows under a header, columns as wide as they need to be.
pub(super) fn write_table(
    f: &mut fmt::Formatter<'_>,
    rows: Vec<[String; 3]>,
    rest: &str,
) -> fmt::Result {
    let mut table = vec![(
        String::from("#"),
        ["path", "methods", "rule"].map(String::from),
    )];
    for (index, row) in rows.into_iter().enumerate() {
        table.push((index.to_string(), row));
    }
    table.push((
        String::from("-"),
        [String::from("the rest"), String::from("*"), rest.to_owned()],
    ));
    let width = |column: fn(&(String, [String; 3])) -> &str| {
        table
            .iter()
            .map(|row| column(row).chars().count())
            .max()
            .unwrap_or(0)
    };
    let (number, path, methods) = (
        width(|row| &row.0),
        width(|row| &row.1[0]),
        width(|row| &row.1[1]),
    );
    for (index, [a, b, c]) in &table {
        writeln!(f, "{index:>number$}  {a:<path$}  {b:<methods$}  {c}")?;
    }
    Ok(())
}
