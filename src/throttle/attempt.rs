//! One attempt, and the refusal of one.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response};

use super::Throttle;
use super::buckets::BudgetSpent;
use super::keys::Digest;
use crate::failure::Failure;
use crate::rejection::RejectionKind;
use crate::rejection::answer;
use crate::rejection::retry_after_seconds;

/// An attempt that may be made. Made by [`Throttle::attempt`].
///
/// It counts as failed from the beginning. Say how it ended; dropped, it stays as it is.
#[must_use = "an attempt counts as failed unless it is said to have succeeded"]
pub struct Attempt {
    throttle: Throttle,
    address: Digest,
    account: Digest,
    /// From the address, from the pair, and from the account or the reserve.
    spent: [Option<BudgetSpent>; 3],
}

impl Attempt {
    pub(super) fn new(throttle: Throttle, address: Digest, account: Digest) -> Self {
        Self {
            throttle,
            address,
            account,
            spent: [None, None, None],
        }
    }

    pub(super) fn add(&mut self, spent: BudgetSpent) {
        if let Some(place) = self.spent.iter_mut().find(|place| place.is_none()) {
            *place = Some(spent);
        }
    }

    pub(super) fn refuse(self, wait: Duration) -> TooManyAttempts {
        self.give_back();
        TooManyAttempts::new(wait)
    }

    /// It succeeded: the budgets get back what it took, and the address is known to the account from now on.
    ///
    /// Say so only after the last step of the login, if there is a second factor: who knows the password and guesses
    /// the code would otherwise guess for nothing.
    pub fn succeeded(self) {
        self.give_back();
        let familiar = &self.throttle.inner.familiar;
        familiar.remember(self.account, self.address);
    }

    /// It failed. Dropping it says the same.
    pub fn failed(self) {}

    /// Nobody has told whether it was right, because of an outage of your own: the budgets get back what it took. Not
    /// for what a client can bring about.
    pub fn undecided(self) {
        self.give_back();
    }

    fn give_back(&self) {
        let now = self.throttle.inner.hand.nanos();
        for spent in self.spent.iter().flatten() {
            spent.give_back(now);
        }
    }
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt").finish_non_exhaustive()
    }
}

/// There have been too many failed attempts: 429.
///
/// With the feature `axum` it is a response. It turns into a [`Failure`] with `?`, for a validator that checks
/// passwords itself.
///
/// # Example
///
/// ```
/// use std::net::IpAddr;
/// use tower_bearer::throttle::Throttle;
///
/// let throttle = Throttle::new();
/// let address = IpAddr::from([192, 0, 2, 1]);
/// let refused = loop {
///     match throttle.attempt(address, "alice") {
///         Ok(attempt) => attempt.failed(),
///         Err(refused) => break refused,
///     }
/// };
/// let response = refused.to_response();
/// assert_eq!(response.status(), 429);
/// assert!(response.headers().contains_key("retry-after"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many attempts")]
pub struct TooManyAttempts {
    retry_after: Duration,
}

impl TooManyAttempts {
    pub(super) fn new(retry_after: Duration) -> Self {
        Self { retry_after }
    }

    /// When it makes sense to come back.
    #[must_use]
    pub fn retry_after(&self) -> Duration {
        self.retry_after
    }

    /// The answer: 429 with `Retry-After` in whole seconds, at least 1, and a problem document
    /// ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)) as the layer sends it. Not to be cached.
    #[must_use]
    pub fn to_response(&self) -> Response<Bytes> {
        let answer = answer(RejectionKind::Throttled);
        let mut response = Response::new(Bytes::from_static(answer.problem.as_bytes()));
        *response.status_mut() = answer.status;
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(RETRY_AFTER, retry_after_seconds(self.retry_after));
        response
    }
}

impl From<TooManyAttempts> for Failure {
    fn from(refused: TooManyAttempts) -> Self {
        Failure::throttled(refused.retry_after)
    }
}

#[cfg(feature = "axum")]
impl axum_core::response::IntoResponse for TooManyAttempts {
    fn into_response(self) -> axum_core::response::Response {
        self.to_response().map(axum_core::body::Body::from)
    }
}
