//! Why a request was refused.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use super::mapping::answer;
use crate::extract::{ExtractError, Scheme};
use crate::failure::{Failure, FailureKind, InvalidReason};
use crate::path_ambiguity::PathAmbiguity;
use crate::policy::{Denial, DenialKind};

/// Why a request was refused.
///
/// The layer leaves one in the extensions of every response that it makes itself, whatever made its
/// body, so that outer layers can tell its refusals from those of the service. It is safe to log:
/// neither `Debug` nor `Display` shows a token, a claim or the text of an underlying error. That
/// error, if there is one, is the [`source`](Error::source); mind what it quotes before it is logged.
///
/// # Example
///
/// ```
/// use http::Response;
/// use tower_bearer::{Rejection, RejectionKind};
///
/// fn is_login_needed<B>(response: &Response<B>) -> bool {
///     response
///         .extensions()
///         .get::<Rejection>()
///         .is_some_and(|rejection| rejection.kind() == RejectionKind::MissingCredential)
/// }
/// # assert!(!is_login_needed(&Response::new(())));
/// ```
#[derive(Clone)]
pub struct Rejection {
    inner: Arc<Inner>,
}

struct Inner {
    kind: RejectionKind,
    scheme: Option<Scheme>,
    scopes: Vec<Arc<str>>,
    acr_values: Vec<Arc<str>>,
    max_age: Option<Duration>,
    retry_after: Option<Duration>,
    rule: Option<Arc<str>>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

/// The kinds of [`Rejection`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectionKind {
    /// The path has no single meaning: 400.
    AmbiguousPath(PathAmbiguity),
    /// A cookie or a Basic credential, which browsers attach by themselves, on a request that another
    /// site may have caused: 403.
    CrossSite,
    /// A policy refused: 403.
    Forbidden,
    /// The token lacks a scope: 403.
    InsufficientScope,
    /// A credential that cannot be read: 400.
    InvalidRequest(RequestFault),
    /// The credential was checked and is bad: 401.
    InvalidToken(InvalidReason),
    /// No credential, or one of a scheme that is not offered: 401.
    MissingCredential,
    /// The user has to authenticate more strongly or again: 401.
    StepUp,
    /// Too many attempts: 429.
    Throttled,
    /// It cannot be told right now: 503.
    Unavailable,
}

/// Why a credential could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RequestFault {
    /// It has not the form of its scheme.
    Malformed,
    /// There is more than one.
    Multiple,
    /// It is longer than the layer allows.
    TooLong,
}

impl RequestFault {
    fn as_str(self) -> &'static str {
        match self {
            RequestFault::Malformed => "malformed",
            RequestFault::Multiple => "multiple",
            RequestFault::TooLong => "too-long",
        }
    }
}

impl RejectionKind {
    /// The kind in one word, for logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            RejectionKind::AmbiguousPath(_) => "ambiguous-path",
            RejectionKind::CrossSite => "cross-site",
            RejectionKind::Forbidden => "forbidden",
            RejectionKind::InsufficientScope => "insufficient-scope",
            RejectionKind::InvalidRequest(_) => "invalid-request",
            RejectionKind::InvalidToken(_) => "invalid-token",
            RejectionKind::MissingCredential => "missing-credential",
            RejectionKind::StepUp => "step-up",
            RejectionKind::Throttled => "throttled",
            RejectionKind::Unavailable => "unavailable",
        }
    }

    /// The reason within the kind, where there is one, for logs and metrics.
    #[must_use]
    pub fn reason(self) -> Option<&'static str> {
        match self {
            RejectionKind::AmbiguousPath(ambiguity) => Some(ambiguity.as_str()),
            RejectionKind::InvalidRequest(fault) => Some(fault.as_str()),
            RejectionKind::InvalidToken(reason) => Some(reason.as_str()),
            RejectionKind::CrossSite
            | RejectionKind::Forbidden
            | RejectionKind::InsufficientScope
            | RejectionKind::MissingCredential
            | RejectionKind::StepUp
            | RejectionKind::Throttled
            | RejectionKind::Unavailable => None,
        }
    }
}

impl Rejection {
    fn of(kind: RejectionKind) -> Inner {
        Inner {
            kind,
            scheme: None,
            scopes: Vec::new(),
            acr_values: Vec::new(),
            max_age: None,
            retry_after: None,
            rule: None,
            source: None,
        }
    }

    pub(crate) fn path(ambiguity: PathAmbiguity) -> Self {
        Self::of(RejectionKind::AmbiguousPath(ambiguity)).into()
    }

    pub(crate) fn missing(scopes: Vec<Arc<str>>) -> Self {
        Inner {
            scopes,
            ..Self::of(RejectionKind::MissingCredential)
        }
        .into()
    }

    pub(crate) fn extract(error: ExtractError) -> Self {
        let kind = match error {
            ExtractError::CrossSite(scheme) => {
                return Inner {
                    scheme: Some(scheme),
                    ..Self::of(RejectionKind::CrossSite)
                }
                .into();
            }
            ExtractError::Malformed => RequestFault::Malformed,
            ExtractError::Multiple => RequestFault::Multiple,
            ExtractError::TooLong => RequestFault::TooLong,
        };
        Self::of(RejectionKind::InvalidRequest(kind)).into()
    }

    pub(crate) fn failure(failure: Failure, scheme: Scheme) -> Self {
        let kind = match failure.kind() {
            FailureKind::Invalid(InvalidReason::Malformed) => {
                RejectionKind::InvalidRequest(RequestFault::Malformed)
            }
            FailureKind::Invalid(reason) => RejectionKind::InvalidToken(reason),
            FailureKind::Unrecognized => RejectionKind::InvalidToken(InvalidReason::Unknown),
            FailureKind::Throttled => RejectionKind::Throttled,
            FailureKind::Unavailable => RejectionKind::Unavailable,
        };
        Inner {
            scheme: Some(scheme),
            retry_after: failure.retry_after(),
            source: failure.into_source(),
            ..Self::of(kind)
        }
        .into()
    }

    /// `needed` are the scopes of all rules for the request.
    pub(crate) fn denial(denial: Denial, scheme: Scheme, needed: Vec<Arc<str>>) -> Self {
        let (kind, rule, source) = denial.into_parts();
        let refused = Inner {
            scheme: Some(scheme),
            rule,
            source,
            ..Self::of(RejectionKind::Forbidden)
        };
        match kind {
            DenialKind::Forbidden => refused,
            DenialKind::InsufficientScope { scopes } => {
                let mut all = needed;
                for scope in scopes {
                    if !all.contains(&scope) {
                        all.push(scope);
                    }
                }
                Inner {
                    kind: RejectionKind::InsufficientScope,
                    scopes: all,
                    ..refused
                }
            }
            DenialKind::StepUp {
                acr_values,
                max_age,
            } => Inner {
                kind: RejectionKind::StepUp,
                acr_values,
                max_age,
                ..refused
            },
            DenialKind::Unavailable { retry_after } => Inner {
                kind: RejectionKind::Unavailable,
                retry_after,
                ..refused
            },
        }
        .into()
    }

    /// What kind of refusal it is.
    #[must_use]
    pub fn kind(&self) -> RejectionKind {
        self.inner.kind
    }

    /// The HTTP status that it is answered with by default.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        answer(self.inner.kind).status
    }

    /// The OAuth error code, where there is one
    /// ([RFC 6750 section 3.1](https://www.rfc-editor.org/rfc/rfc6750#section-3.1),
    /// [RFC 9470 section 3](https://www.rfc-editor.org/rfc/rfc9470#section-3)).
    #[must_use]
    pub fn error_code(&self) -> Option<&'static str> {
        answer(self.inner.kind).error
    }

    /// The problem document that it is answered with by default, as JSON
    /// ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)).
    #[must_use]
    pub fn problem(&self) -> &'static str {
        answer(self.inner.kind).problem
    }

    /// The scopes that the request needs, as far as the rules tell.
    #[must_use]
    pub fn scopes(&self) -> &[Arc<str>] {
        &self.inner.scopes
    }

    /// The authentication context classes that would be enough, for a step-up.
    #[must_use]
    pub fn acr_values(&self) -> &[Arc<str>] {
        &self.inner.acr_values
    }

    /// How long ago the user may have been authenticated, for a step-up.
    #[must_use]
    pub fn max_age(&self) -> Option<Duration> {
        self.inner.max_age
    }

    /// When to try again, for an outage or a throttled client. Default: 5 seconds.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        const DEFAULT: Duration = Duration::from_secs(5);
        match self.inner.kind {
            RejectionKind::Throttled | RejectionKind::Unavailable => {
                Some(self.inner.retry_after.unwrap_or(DEFAULT))
            }
            RejectionKind::AmbiguousPath(_)
            | RejectionKind::CrossSite
            | RejectionKind::Forbidden
            | RejectionKind::InsufficientScope
            | RejectionKind::InvalidRequest(_)
            | RejectionKind::InvalidToken(_)
            | RejectionKind::MissingCredential
            | RejectionKind::StepUp => None,
        }
    }

    /// The rule that refused, as a [`Policies`](crate::policy::Policies) list prints it.
    #[must_use]
    pub fn rule(&self) -> Option<&str> {
        self.inner.rule.as_deref()
    }

    /// The scheme of the credential that was presented, if it could be read.
    #[must_use]
    pub fn scheme(&self) -> Option<Scheme> {
        self.inner.scheme
    }
}

impl From<Inner> for Rejection {
    fn from(inner: Inner) -> Self {
        Self {
            inner: Arc::new(inner),
        }
    }
}

impl fmt::Debug for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejection")
            .field("kind", &self.inner.kind)
            .field("rule", &self.inner.rule)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.inner.kind.as_str())?;
        match self.inner.kind.reason() {
            Some(reason) => write!(f, " ({reason})"),
            None => Ok(()),
        }
    }
}

impl Error for Rejection {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.inner
            .source
            .as_deref()
            .map(|error| error as &(dyn Error + 'static))
    }
}
