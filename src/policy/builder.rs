//! Builds a list of rules, and finds what can never take effect in it.

use std::collections::HashMap;
use std::fmt;

use super::list::Policies;
use super::rule::{Effect, IntoRule, Rule};
use super::tree::{Tree, TreeRule};
use crate::error::ConfigError;
use crate::path::{Allowed, Extent, PathPattern, Segment};
use crate::path_ambiguity::PathAmbiguity;

/// Builds [`Policies`]. Order matters: rules are read from the top.
#[must_use = "a builder does nothing until `build` is called"]
pub struct PoliciesBuilder<T: ?Sized> {
    rules: Vec<Rule<T>>,
    error: Option<ConfigError>,
    allowed: Allowed,
    deny_unmatched: bool,
}

impl<T: ?Sized> PoliciesBuilder<T> {
    pub(super) fn new() -> Self {
        Self {
            rules: Vec::new(),
            error: None,
            allowed: Allowed::default(),
            deny_unmatched: false,
        }
    }

    /// Appends a rule for one path.
    ///
    /// `path` begins with `/`; `{name}` stands for exactly one segment. A restricting rule means the
    /// path with and without a trailing slash, and an empty segment where `{name}` stands last,
    /// since some routers take these for the same. An opening rule means the path to the letter.
    ///
    /// A file server answers `/docs/` with a file of another name, such as `/docs/index.html`: guard
    /// directories with [`under`](Self::under).
    pub fn at(self, path: &str, rule: impl IntoRule<T>) -> Self {
        self.push(path, Extent::At, rule)
    }

    /// Appends a rule for a path and all below it: `under("/admin", ..)` means `/admin`, `/admin/`
    /// and `/admin/users`, never `/administrator`. `under("/", ..)` means every path.
    pub fn under(self, path: &str, rule: impl IntoRule<T>) -> Self {
        self.push(path, Extent::Under, rule)
    }

    /// Refuses requests that no rule names: 401 without a valid credential, 403 with one.
    ///
    /// A request is named by a rule for its path and method, both taken to the letter as an opening rule
    /// takes them: a restricting rule governs `/a/` and invented methods as well, but names neither. A
    /// permission that is not given names nothing, and a rule for every path, `under("/", ..)`, names none: it
    /// restricts, and what no other rule names is refused all the same. In such a list a path is taken out of the general refusal
    /// by the first rule for it, so there, and only there, a restricting rule for a path lets more
    /// through than none.
    ///
    /// Default: a valid credential is enough for what no rule names.
    pub fn deny_unmatched(mut self) -> Self {
        self.deny_unmatched = true;
        self
    }

    /// Lets paths with one kind of ambiguity through to the rules.
    ///
    /// Such a path is then read raw and in its most generous form (decoded, dot segments resolved,
    /// slashes collapsed, parameters dropped), and a restricting rule applies if either matches. If
    /// the service behind the layer reads it in yet another way, it serves what the rules do not
    /// protect: make sure that it does not, and allow one kind at a time.
    ///
    /// Default: every kind is refused with 400.
    pub fn insecure_allow_path(mut self, ambiguity: PathAmbiguity) -> Self {
        self.allowed.insert(ambiguity);
        self
    }

    fn push(mut self, path: &str, extent: Extent, rule: impl IntoRule<T>) -> Self {
        match PathPattern::parse(path, extent) {
            Ok(pattern) => {
                let (effect, methods) = rule.into_parts();
                self.rules.push(Rule::new(pattern, methods, effect));
            }
            Err(problem) => {
                self.error = self.error.or_else(|| {
                    Some(ConfigError::Pattern {
                        pattern: path.to_owned(),
                        problem,
                    })
                });
            }
        }
        self
    }

    /// Checks the list and prepares it for requests.
    ///
    /// # Errors
    ///
    /// The first [`ConfigError`]: a pattern that is not understood, a policy that could never be satisfied, a
    /// segment that the pattern does not name, a rule that can never take effect because one above it decides
    /// every request that it means, or a restricting rule that repeats one above it. Closures and custom
    /// policies cannot be compared, so only built-in policies are found to repeat each other.
    pub fn build(self) -> Result<Policies<T>, ConfigError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        for rule in &self.rules {
            if rule
                .methods
                .as_ref()
                .is_some_and(|methods| methods.is_empty())
            {
                return Err(ConfigError::NoMethods {
                    rule: rule.label.to_string(),
                });
            }
            if let Some(policy) = rule.effect.policy() {
                let names: Vec<&str> = rule
                    .pattern
                    .segments()
                    .iter()
                    .filter_map(|segment| match segment {
                        Segment::Variable(name) => Some(name.as_str()),
                        Segment::Literal(_) => None,
                    })
                    .collect();
                policy.check(&names).map_err(|fault| ConfigError::Rule {
                    rule: rule.label.to_string(),
                    fault: Box::new(fault),
                })?;
            }
        }
        check_reachable(&self.rules)?;
        check_duplicates(&self.rules)?;
        let tree = Tree::new(self.rules.iter().map(|rule| TreeRule {
            pattern: &rule.pattern,
            opening: rule.effect.is_opening(),
        }));
        Ok(Policies::new(
            self.rules,
            tree,
            self.allowed,
            self.deny_unmatched,
        ))
    }
}

impl<T: ?Sized> fmt::Debug for PoliciesBuilder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoliciesBuilder")
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}

/// Returns an error for a restricting rule that repeats an earlier one. It could never take effect (A21:
/// rules without effect), since the earlier rule makes the same decision.
fn check_duplicates<T: ?Sized>(rules: &[Rule<T>]) -> Result<(), ConfigError> {
    let mut known: HashMap<_, Vec<usize>> = HashMap::new();
    for (index, rule) in rules.iter().enumerate() {
        let Some(restriction) = rule.restriction() else {
            continue;
        };
        let pattern = &rule.pattern;
        let key = (
            pattern.segments(),
            pattern.extent(),
            pattern.trailing_slash(),
            restriction,
        );
        let earlier = known.entry(key).or_default();
        if let Some(first) = earlier
            .iter()
            .find(|first| rules[**first].is_repeated_by(rule))
        {
            return Err(ConfigError::DuplicateRule {
                duplicate_index: index,
                duplicate: rule.label.to_string(),
                first_index: *first,
                first: rules[*first].label.to_string(),
            });
        }
        earlier.push(index);
    }
    Ok(())
}

/// A rule below one that ends every reading can never take effect.
fn check_reachable<T: ?Sized>(rules: &[Rule<T>]) -> Result<(), ConfigError> {
    // By their first segment, so that a long list of public paths is not compared pair by pair.
    let mut enders: HashMap<Option<&str>, Vec<usize>> = HashMap::new();
    for (index, rule) in rules.iter().enumerate() {
        let first = match rule.pattern.segments().first() {
            Some(Segment::Literal(text)) => Some(text.as_str()),
            _ => None,
        };
        let hiding = [first, None]
            .iter()
            .filter_map(|key| enders.get(key))
            .flatten()
            .copied()
            .filter(|ender| rules[*ender].hides(rule))
            .min();
        if let Some(hiding) = hiding {
            return Err(ConfigError::UnreachableRule {
                hidden_index: index,
                hidden: rule.label.to_string(),
                hiding_index: hiding,
                hiding: rules[hiding].label.to_string(),
            });
        }
        let ends = match &rule.effect {
            Effect::Public | Effect::Optional => true,
            Effect::Restrict(policy) => policy.constant_decision() == Some(false),
            Effect::Permit(policy) => policy.constant_decision() == Some(true),
        };
        if ends {
            enders.entry(first).or_default().push(index);
        }
    }
    Ok(())
}
