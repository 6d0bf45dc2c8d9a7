//! What can be wrong with a configuration.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use crate::path_ambiguity::PathAmbiguity;

/// A configuration that cannot work, found when it is made and never during a request.
///
/// Every variant carries the input at fault, and its `Display` says what was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A path pattern that cannot mean one thing.
    #[error("path pattern {pattern:?}: {problem}")]
    Pattern {
        /// The pattern as it was given.
        pattern: String,
        /// What is wrong with it, and what to write instead.
        problem: PatternProblem,
    },
    /// An invalid or ambiguous prefix in [`BearerAuthLayer::nested_at`](crate::BearerAuthLayer::nested_at).
    #[error("prefix {prefix:?} of `nested_at`: {problem}")]
    Prefix {
        /// The prefix as it was given.
        prefix: String,
        /// What is wrong with it, and what to write instead.
        problem: PatternProblem,
    },
    /// A policy needs the value of a parameter in the prefix of
    /// [`BearerAuthLayer::nested_at`](crate::BearerAuthLayer::nested_at), and the value is unknown.
    ///
    /// This is the source of a [`Rejection`](crate::Rejection) and never an error of a constructor.
    #[error(
        "the value of `{{{segment}}}`, a parameter in the prefix of `nested_at`, is unknown: it is read from \
         axum's `OriginalUri` (feature `axum`) if the literal segments of the prefix agree with that path and \
         axum's router matched the same value; name the prefix that axum strips, and rewrite no URI in front of it"
    )]
    UnknownPrefixValue {
        /// The name of the segment in the pattern of the rule.
        segment: String,
    },
    /// A rule that repeats an earlier one, so that it can never take effect.
    #[error(
        "rule {duplicate_index} `{duplicate}` repeats rule {first_index} `{first}` and can never take effect; \
         remove one of them"
    )]
    DuplicateRule {
        /// The position of the later rule, counted from 0.
        duplicate_index: usize,
        /// The later rule.
        duplicate: String,
        /// The position of the earlier rule, counted from 0.
        first_index: usize,
        /// The earlier rule.
        first: String,
    },
    /// A rule that can never take effect because an earlier one ends every reading that reaches it.
    #[error(
        "rule {hidden_index} `{hidden}` can never take effect: rule {hiding_index} `{hiding}` stands \
         above it and decides every request it names; move it up or remove it"
    )]
    UnreachableRule {
        /// The position of the rule without effect, counted from 0.
        hidden_index: usize,
        /// The rule without effect.
        hidden: String,
        /// The position of the rule that hides it, counted from 0.
        hiding_index: usize,
        /// The rule that hides it.
        hiding: String,
    },
    /// A rule whose policy has a fault.
    #[error("rule `{rule}`: {fault}")]
    Rule {
        /// The rule at fault.
        rule: String,
        /// What is wrong with it.
        #[source]
        fault: Box<ConfigError>,
    },
    /// A rule limited to an empty list of methods.
    #[error(
        "rule `{rule}`: `.on([])` names no method, so it would never apply; leave `.on` out for all methods"
    )]
    NoMethods {
        /// The rule at fault.
        rule: String,
    },
    /// A policy reads a path segment that the pattern of its rule does not name.
    #[error(
        "reads the segment {segment:?}, which no pattern names: write `{{{segment}}}` into the path of the rule"
    )]
    UnknownSegment {
        /// The name that the pattern lacks.
        segment: String,
    },
    /// A text that is not a scope token of RFC 6749 section 3.3.
    #[error(
        "scope {scope:?} is not one scope token: 1 or more printable ASCII characters without space, `\"` and `\\` (RFC 6749 section 3.3)"
    )]
    Scope {
        /// The text at fault.
        scope: String,
    },
    /// A policy that was given an empty list or an empty name, so that it could never be satisfied.
    #[error(
        "`{policy}` was given nothing to look for, so no request could ever satisfy it; name at least one value"
    )]
    Empty {
        /// The name of the policy.
        policy: &'static str,
    },
    /// An authentication context class that cannot stand in a challenge.
    #[error(
        "acr value {acr:?} is not usable: 1 or more printable ASCII characters without space, `\"` and `\\` (RFC 9470 section 3)"
    )]
    Acr {
        /// The text at fault.
        acr: String,
    },
    /// A role that the hierarchy does not know, which is most often a spelling mistake.
    #[error("role {role:?} is not in the hierarchy, which knows {known:?}")]
    UnknownRole {
        /// The role asked for.
        role: String,
        /// The roles of the hierarchy.
        known: Vec<String>,
    },
    /// Roles that stand above each other in a circle.
    #[error("roles stand above each other in a circle: {circle:?}")]
    RoleCircle {
        /// The roles of the circle, in order.
        circle: Vec<String>,
    },
    /// A list of credential sources that names none.
    #[error("no credential source was given; name at least one, for example `Source::bearer()`")]
    NoSource,
    /// Two sources that read the same place.
    #[error("credential source `{source_name}` is given twice")]
    DuplicateSource {
        /// The source at fault.
        source_name: String,
    },
    /// A source that reads a header with a meaning of its own, or a name that no client can send.
    #[error("credential source `{source_name}`: {expected}")]
    Source {
        /// The source at fault.
        source_name: String,
        /// What was expected.
        expected: &'static str,
    },
    /// A trusted origin that no browser would ever send.
    #[error(
        "trusted origin {origin:?}: expected `scheme://host` or `scheme://host:port`, in lower case, without a path or a trailing slash"
    )]
    Origin {
        /// The text at fault.
        origin: String,
    },
    /// A text that is neither an address nor a network of addresses that could be trusted.
    #[error(
        "network {network:?}: expected an IP address, or a network such as `10.0.0.0/8` that is not that of all addresses; one of IPv4 written in its own form"
    )]
    Network {
        /// The text at fault.
        network: String,
    },
    /// A setting that is missing, contradicts another, or cannot work.
    #[error("setting `{setting}`: {problem}")]
    Setting {
        /// The method that sets it.
        setting: &'static str,
        /// What is wrong, and what to do.
        problem: &'static str,
    },
    /// An error of a module above this one, such as a key that cannot be used.
    #[error(transparent)]
    Other(OtherError),
    /// A token that could never be presented, or a digest that is none. The text itself is not repeated.
    #[error("{what}: expected {expected}, got {length} bytes")]
    Token {
        /// Which argument it was.
        what: &'static str,
        /// What was expected.
        expected: &'static str,
        /// How long the rejected text was.
        length: usize,
    },
}

/// Why a path pattern was refused. Part of [`ConfigError::Pattern`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternProblem {
    /// A request path with this feature is refused before any rule, so no pattern may contain it.
    #[error("contains {0}, which is refused in requests too")]
    Ambiguous(PathAmbiguity),
    /// It does not begin with `/`.
    #[error("does not begin with `/`")]
    NotAbsolute,
    /// Something that looks like a capture but is not `{name}`.
    #[error(
        "segment {segment:?} is not understood: a variable segment is a whole `{{name}}` of letters, digits and `_`; for everything below a path use `under`"
    )]
    Capture {
        /// The segment at fault.
        segment: String,
    },
    /// The same name twice.
    #[error("names the segment {name:?} twice")]
    DuplicateName {
        /// The name at fault.
        name: String,
    },
    /// A query or fragment, which is never part of what is matched.
    #[error("contains `?` or `#`; a query or fragment is never matched")]
    Query,
    /// A trailing slash given to `under` or `nested_at`.
    #[error(
        "ends with `/`; leave it out: the path with and without it, and all paths below, are covered anyway"
    )]
    TrailingSlash,
}

/// A configuration error that another module defines. Part of [`ConfigError::Other`].
///
/// Displays as that error does. Two values are equal if their texts are equal.
#[derive(Clone)]
pub struct OtherError(Arc<dyn Error + Send + Sync>);

impl OtherError {
    /// Returns the error itself, for example to downcast it to `jwt::KeyError`.
    #[must_use]
    pub fn get_ref(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.0
    }
}

impl ConfigError {
    /// Creates an error from one that this module does not know.
    #[cfg(feature = "jwt")]
    pub(crate) fn other(error: impl Error + Send + Sync + 'static) -> Self {
        Self::Other(OtherError(Arc::new(error)))
    }
}

impl fmt::Debug for OtherError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for OtherError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for OtherError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

impl PartialEq for OtherError {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_string() == other.0.to_string()
    }
}

impl Eq for OtherError {}
