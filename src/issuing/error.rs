//! Why no token is given.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, PRAGMA, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};

use crate::body::ResponseBody;
use crate::issuing::store::{SessionId, StoreError};

/// Why no token is given: the errors of [RFC 6749 section 5.2](https://www.rfc-editor.org/rfc/rfc6749#section-5.2), and
/// what cannot be told at the moment. [`to_response`](Self::to_response) makes the answer.
///
/// With the feature `axum` it is a response, and with `throttle` it is made of a `TooManyAttempts` by `?`.
///
/// Nothing of it but the code reaches the client; the rest is for logs, and holds no token and no name.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IssuingError {
    /// 400 `invalid_request`: a parameter is missing, twice or malformed.
    #[error("{problem}")]
    InvalidRequest {
        /// What is wrong.
        problem: &'static str,
    },
    /// 401 `invalid_client`: the client did not say who it is, or could not prove it.
    #[error("the client is unknown or has not proved who it is")]
    InvalidClient,
    /// 400 `invalid_grant`: the password or the refresh token is not good. The same answer whatever the reason.
    #[error("{reason}")]
    InvalidGrant {
        /// Why, for the operator.
        reason: InvalidGrant,
    },
    /// 400 `unauthorized_client`: this client may not use this kind of grant.
    #[error("the client may not use this grant type")]
    UnauthorizedClient,
    /// 400 `unsupported_grant_type`.
    #[error("the grant type is not supported")]
    UnsupportedGrantType,
    /// 400 `invalid_scope`: malformed, unknown, or more than was granted.
    #[error("the scope is malformed, or more than was granted")]
    InvalidScope,
    /// 413 `invalid_request`: the form is too long.
    #[error("the form has more than {limit} bytes")]
    TooLong {
        /// How many it may have.
        limit: usize,
    },
    /// 405 `invalid_request`: anything but POST.
    #[error("the method is not POST")]
    Method,
    /// 429 with `Retry-After`: too many attempts.
    #[error("too many attempts")]
    Throttled {
        /// When to come back.
        retry_after: Duration,
    },
    /// 503 with `Retry-After`: the store did not do it, or nobody knows whether it did.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// 503 with `Retry-After`: whether the session has been revoked cannot be told.
    #[error("whether the session has been revoked cannot be told: {problem}")]
    Revocations {
        /// What the hub says.
        problem: String,
    },
    /// 503 with `Retry-After`: a token that was to be revoked names a signing key that this process does not
    /// hold, so it was neither verified nor revoked. Another process may hold the key.
    #[error(
        "the token names a signing key that this process does not hold, so it cannot be verified or revoked"
    )]
    UnknownKey,
    /// 500: the application asked for a token that cannot be.
    #[error("the grant cannot be put into a token: {problem}")]
    Grant {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// 500: no random numbers, or a signature that failed.
    #[error("the token could not be made: {problem}")]
    Crypto {
        /// What failed.
        problem: String,
    },
}

/// Why a grant is invalid. For the operator alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidGrant {
    /// The user is unknown or the password is wrong; to be used by the application.
    #[error("user and password do not match")]
    Credentials,
    /// It is no token that was ever given out, or its session is gone.
    #[error("the token is unknown")]
    Unknown,
    /// It was given to another client.
    #[error("the token was issued to another client")]
    Client,
    /// Its session has ended by itself.
    #[error("the session has expired")]
    Expired,
    /// It has been used before: somebody holds a copy. The session has been ended.
    #[error("the refresh token was used a second time; session {session} has been ended")]
    Reused {
        /// Which session that was.
        session: SessionId,
    },
    /// Its session has been taken back.
    #[error("the session has been revoked")]
    Revoked,
}

impl IssuingError {
    pub(crate) fn invalid_grant(reason: InvalidGrant) -> Self {
        Self::InvalidGrant { reason }
    }

    pub(crate) fn is_full(&self) -> bool {
        matches!(self, Self::Store(StoreError::Full { .. }))
    }

    /// The code for the client: one of RFC 6749 section 5.2, or of section 4.1.2.1 and of RFC 8628 section 3.5 where that
    /// section knows none.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidRequest { .. } | Self::TooLong { .. } | Self::Method => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant { .. } => "invalid_grant",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidScope => "invalid_scope",
            Self::Throttled { .. } => "slow_down",
            Self::Store(_) | Self::Revocations { .. } | Self::UnknownKey => {
                "temporarily_unavailable"
            }
            Self::Grant { .. } | Self::Crypto { .. } => "server_error",
        }
    }

    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::InvalidRequest { .. }
            | Self::InvalidGrant { .. }
            | Self::UnauthorizedClient
            | Self::UnsupportedGrantType
            | Self::InvalidScope => StatusCode::BAD_REQUEST,
            Self::InvalidClient => StatusCode::UNAUTHORIZED,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLong { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Throttled { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Store(_) | Self::Revocations { .. } | Self::UnknownKey => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Grant { .. } | Self::Crypto { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The answer: JSON with `error` and `error_description`, never to be stored. An axum handler may return it.
    ///
    /// # Example
    ///
    /// ```
    /// use tower_bearer::issuing::{InvalidGrant, IssuingError};
    ///
    /// let error = IssuingError::InvalidGrant { reason: InvalidGrant::Credentials };
    /// let response = error.to_response();
    /// assert_eq!(response.status(), 400);
    /// assert_eq!(response.headers()["cache-control"], "no-store");
    /// ```
    #[must_use]
    pub fn to_response(&self) -> Response<ResponseBody> {
        // Constants: what is known is for logs.
        let body = match self {
            Self::InvalidRequest { .. } => {
                r#"{"error":"invalid_request","error_description":"A parameter is missing, given twice, or malformed."}"#
            }
            Self::TooLong { .. } => {
                r#"{"error":"invalid_request","error_description":"The form is too long."}"#
            }
            Self::Method => r#"{"error":"invalid_request","error_description":"Use POST."}"#,
            Self::InvalidClient => r#"{"error":"invalid_client"}"#,
            Self::InvalidGrant { .. } => {
                r#"{"error":"invalid_grant","error_description":"What was presented is not valid."}"#
            }
            Self::UnauthorizedClient => r#"{"error":"unauthorized_client"}"#,
            Self::UnsupportedGrantType => r#"{"error":"unsupported_grant_type"}"#,
            Self::InvalidScope => r#"{"error":"invalid_scope"}"#,
            Self::Throttled { .. } => {
                r#"{"error":"slow_down","error_description":"Too many attempts."}"#
            }
            Self::Store(_) | Self::Revocations { .. } | Self::UnknownKey => {
                r#"{"error":"temporarily_unavailable","error_description":"Try again later."}"#
            }
            Self::Grant { .. } | Self::Crypto { .. } => r#"{"error":"server_error"}"#,
        };
        let mut response = json_response(self.status(), Bytes::from_static(body.as_bytes()));
        let headers = response.headers_mut();
        match self {
            Self::Throttled { retry_after } => {
                let seconds = retry_after.as_millis().div_ceil(1_000).max(1);
                let seconds = u64::try_from(seconds).unwrap_or(u64::MAX);
                headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
            }
            Self::Store(_) | Self::Revocations { .. } | Self::UnknownKey => {
                headers.insert(RETRY_AFTER, HeaderValue::from(5));
            }
            Self::InvalidClient => {
                // RFC 6749 section 5.2: the scheme that the client may have used.
                let basic = HeaderValue::from_static("Basic realm=\"clients\"");
                headers.insert(http::header::WWW_AUTHENTICATE, basic);
            }
            Self::Method => {
                headers.insert(http::header::ALLOW, HeaderValue::from_static("POST"));
            }
            _ => {}
        }
        response
    }
}

/// RFC 6749 section 5.1: never to be stored.
pub(crate) fn json_response(status: StatusCode, body: Bytes) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::bytes(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

#[cfg(feature = "throttle")]
impl From<crate::throttle::TooManyAttempts> for IssuingError {
    fn from(refused: crate::throttle::TooManyAttempts) -> Self {
        Self::Throttled {
            retry_after: refused.retry_after(),
        }
    }
}
