//! Why a policy refuses.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::error::ConfigError;

/// An error for the operator.
pub(crate) type Source = Arc<dyn Error + Send + Sync>;

/// Why a policy refuses a request of an authenticated principal.
#[derive(Clone)]
pub struct Denial {
    kind: DenialKind,
    rule: Option<Arc<str>>,
    source: Option<Source>,
}

/// The kinds of [`Denial`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DenialKind {
    /// It may not, and no other token of this principal would change that: 403.
    Forbidden,
    /// The token lacks a scope: 403 `insufficient_scope`
    /// ([RFC 6750 section 3.1](https://www.rfc-editor.org/rfc/rfc6750#section-3.1)). The challenge
    /// names these and all others that the rules for the request need.
    #[non_exhaustive]
    InsufficientScope {
        /// The scopes that are needed.
        scopes: Vec<Arc<str>>,
    },
    /// The user has to authenticate more strongly or again: 401
    /// `insufficient_user_authentication`
    /// ([RFC 9470 section 3](https://www.rfc-editor.org/rfc/rfc9470#section-3)).
    #[non_exhaustive]
    StepUp {
        /// The context classes that would be enough, best first.
        acr_values: Vec<Arc<str>>,
        /// How long ago the user may have been authenticated.
        max_age: Option<Duration>,
    },
    /// It cannot be told right now: 503 with `Retry-After`.
    #[non_exhaustive]
    Unavailable {
        /// What `Retry-After` says. `None`: 5 seconds.
        retry_after: Option<Duration>,
    },
}

impl Denial {
    fn new(kind: DenialKind) -> Self {
        Self {
            kind,
            rule: None,
            source: None,
        }
    }

    /// It may not: 403.
    #[must_use]
    pub fn forbidden() -> Self {
        Self::new(DenialKind::Forbidden)
    }

    /// The token lacks these scopes: 403 `insufficient_scope`.
    pub fn insufficient_scope<I>(scopes: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<Arc<str>>,
    {
        Self::new(DenialKind::InsufficientScope {
            scopes: scopes.into_iter().map(Into::into).collect(),
        })
    }

    /// The user has to authenticate by one of these context classes, or again: 401
    /// `insufficient_user_authentication`.
    pub fn step_up<I>(acr_values: I, max_age: Option<Duration>) -> Self
    where
        I: IntoIterator,
        I::Item: Into<Arc<str>>,
    {
        Self::new(DenialKind::StepUp {
            acr_values: acr_values.into_iter().map(Into::into).collect(),
            max_age,
        })
    }

    /// It cannot be told right now: 503 with `Retry-After: 5`.
    #[must_use]
    pub fn unavailable() -> Self {
        Self::new(DenialKind::Unavailable { retry_after: None })
    }

    /// What a policy with a fault says. Not "no", because `not` would turn that into "yes".
    pub(super) fn misconfigured(fault: &ConfigError) -> Self {
        Self::unavailable().with_source(fault.clone())
    }

    /// Sets what `Retry-After` says. Has no effect on kinds that are answered without that header.
    #[must_use]
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        if let DenialKind::Unavailable { retry_after } = &mut self.kind {
            *retry_after = Some(after);
        }
        self
    }

    /// Attaches an error for the operator, found again as the `source` of the
    /// [`Rejection`](crate::Rejection). It never reaches the client.
    #[must_use]
    pub fn with_source(mut self, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(Arc::from(error.into()));
        self
    }

    /// What kind of denial it is.
    #[must_use]
    pub fn kind(&self) -> &DenialKind {
        &self.kind
    }

    /// The rule that refused, as a [`Policies`](super::Policies) list prints it.
    #[must_use]
    pub fn rule(&self) -> Option<&str> {
        self.rule.as_deref()
    }

    pub(super) fn by_rule(mut self, rule: &Arc<str>) -> Self {
        if self.rule.is_none() {
            self.rule = Some(Arc::clone(rule));
        }
        self
    }

    pub(crate) fn into_parts(self) -> (DenialKind, Option<Arc<str>>, Option<Source>) {
        (self.kind, self.rule, self.source)
    }

    pub(super) fn is_unavailable(&self) -> bool {
        matches!(self.kind, DenialKind::Unavailable { .. })
    }

    pub(super) fn is_step_up(&self) -> bool {
        matches!(self.kind, DenialKind::StepUp { .. })
    }

    /// Of two demands that both refuse: the first; of two for another login, one login for both.
    pub(super) fn and(mut self, other: Self) -> Self {
        if let (
            DenialKind::StepUp {
                acr_values,
                max_age,
            },
            DenialKind::StepUp {
                acr_values: more_values,
                max_age: other_age,
            },
        ) = (&mut self.kind, other.kind)
        {
            if acr_values.is_empty() {
                *acr_values = more_values;
            }
            *max_age = match (*max_age, other_age) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
        }
        self
    }

    /// Of two alternatives that both refuse: the one that tells the client what it could do, and
    /// "cannot tell" before any "no", because the alternative might have passed.
    pub(super) fn or(self, other: Self) -> Self {
        fn rank(denial: &Denial) -> u8 {
            match denial.kind {
                DenialKind::Unavailable { .. } => 3,
                DenialKind::StepUp { .. } => 2,
                DenialKind::InsufficientScope { .. } => 1,
                DenialKind::Forbidden => 0,
            }
        }
        if rank(&other) > rank(&self) {
            other
        } else {
            self
        }
    }
}

impl fmt::Debug for Denial {
    /// Without the error, whose text may quote its input.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Denial")
            .field("kind", &self.kind)
            .field("rule", &self.rule)
            .finish_non_exhaustive()
    }
}
