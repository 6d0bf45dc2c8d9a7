//! Why authentication did not yield a principal.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Why a validator did not yield a principal.
///
/// "The credential is bad" and "I cannot tell right now" are different kinds and different answers
/// to the client. An error may be attached for the operator; it never reaches the client, and
/// neither `Debug` nor `Display` shows it, because such texts tend to quote their input.
///
/// # Example
///
/// ```
/// use tower_bearer::{Failure, FailureKind, InvalidReason};
///
/// # fn query() -> Result<Option<u32>, std::io::Error> { Ok(None) }
/// fn find_user() -> Result<u32, Failure> {
///     query()
///         .map_err(Failure::unavailable)?
///         .ok_or_else(|| Failure::invalid(InvalidReason::Unknown))
/// }
/// assert_eq!(find_user().unwrap_err().kind(), FailureKind::Invalid(InvalidReason::Unknown));
/// ```
#[derive(Clone)]
pub struct Failure {
    kind: FailureKind,
    retry_after: Option<Duration>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

/// The kinds of [`Failure`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// The credential is bad: 401 `invalid_token`, or 400 `invalid_request` if it is
    /// [malformed](InvalidReason::Malformed).
    Invalid(InvalidReason),
    /// Too many attempts: 429 with `Retry-After`.
    Throttled,
    /// It cannot be told right now: 503 with `Retry-After`.
    Unavailable,
    /// Not a credential of this validator; another one may know it. If none does: 401
    /// `invalid_token`.
    Unrecognized,
}

/// Why a credential is bad. For logs and metrics: the client is not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InvalidReason {
    /// Signed with an algorithm that its key is not for.
    Algorithm,
    /// Not meant for this service.
    Audience,
    /// It claims something else than it must, or lacks a claim, or what it claims is unreadable.
    Claims,
    /// Its time is over.
    Expired,
    /// Issued by somebody else.
    Issuer,
    /// No key is known by the name that it gives.
    Key,
    /// It does not have the form that its scheme asks for. The one reason that is answered with 400.
    Malformed,
    /// Its time has not come.
    NotYetValid,
    /// Any other reason.
    Other,
    /// Taken back.
    Revoked,
    /// Bound to a sender, so it must not be presented as a plain bearer token.
    SenderConstrained,
    /// Its signature does not match.
    Signature,
    /// A token of another kind: an ID token, say.
    TokenType,
    /// Nobody knows it.
    Unknown,
}

impl InvalidReason {
    /// Whether the validator knew the credential and turned it down for good, so that no other
    /// validator may accept it.
    #[must_use]
    pub fn is_definitive(self) -> bool {
        match self {
            InvalidReason::Expired
            | InvalidReason::NotYetValid
            | InvalidReason::Revoked
            | InvalidReason::SenderConstrained => true,
            InvalidReason::Algorithm
            | InvalidReason::Audience
            | InvalidReason::Claims
            | InvalidReason::Issuer
            | InvalidReason::Key
            | InvalidReason::Malformed
            | InvalidReason::Other
            | InvalidReason::Signature
            | InvalidReason::TokenType
            | InvalidReason::Unknown => false,
        }
    }

    /// The reason in one word, for logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            InvalidReason::Algorithm => "algorithm",
            InvalidReason::Audience => "audience",
            InvalidReason::Claims => "claims",
            InvalidReason::Expired => "expired",
            InvalidReason::Issuer => "issuer",
            InvalidReason::Key => "key",
            InvalidReason::Malformed => "malformed",
            InvalidReason::NotYetValid => "not-yet-valid",
            InvalidReason::Other => "other",
            InvalidReason::Revoked => "revoked",
            InvalidReason::SenderConstrained => "sender-constrained",
            InvalidReason::Signature => "signature",
            InvalidReason::TokenType => "token-type",
            InvalidReason::Unknown => "unknown",
        }
    }
}

impl Failure {
    fn new(kind: FailureKind) -> Self {
        Self {
            kind,
            retry_after: None,
            source: None,
        }
    }

    /// The credential is bad, for this reason.
    #[must_use]
    pub fn invalid(reason: InvalidReason) -> Self {
        Self::new(FailureKind::Invalid(reason))
    }

    /// It cannot be told right now, because of `error`: a store, a key or a service is out of reach.
    #[must_use]
    pub fn unavailable(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(FailureKind::Unavailable).with_source(error)
    }

    /// The credential is none of this validator's.
    #[must_use]
    pub fn unrecognized() -> Self {
        Self::new(FailureKind::Unrecognized)
    }

    /// Too many attempts: the client should come back after `retry_after`.
    #[must_use]
    pub fn throttled(retry_after: Duration) -> Self {
        Self::new(FailureKind::Throttled).with_retry_after(retry_after)
    }

    /// Sets what `Retry-After` says. Default: 5 seconds. Has no effect on kinds that are answered
    /// without that header.
    #[must_use]
    pub fn with_retry_after(mut self, retry_after: Duration) -> Self {
        self.retry_after = Some(retry_after);
        self
    }

    /// Attaches an error for the operator, found again as the `source` of the
    /// [`Rejection`](crate::Rejection).
    #[must_use]
    pub fn with_source(mut self, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(Arc::from(error.into()));
        self
    }

    /// The same for an error that is not in a box yet.
    #[cfg(feature = "jwt")]
    pub(crate) fn with_own_source(mut self, error: impl Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(error));
        self
    }

    /// What kind of failure it is.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        self.kind
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    pub(crate) fn into_source(self) -> Option<Arc<dyn Error + Send + Sync>> {
        self.source
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failure")
            .field("kind", &self.kind)
            .field("retry_after", &self.retry_after)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            FailureKind::Invalid(reason) => {
                write!(f, "the credential is invalid: {}", reason.as_str())
            }
            FailureKind::Throttled => f.write_str("too many attempts"),
            FailureKind::Unavailable => f.write_str("the credential cannot be checked right now"),
            FailureKind::Unrecognized => f.write_str("the credential is not recognized"),
        }
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source
            .as_deref()
            .map(|error| error as &(dyn Error + 'static))
    }
}
