//! One question to the authorization server, and its answer.

use std::time::SystemTime;

use bytes::Bytes;
use http::Response;
use tokio::time::Instant;

use super::client_auth::ClientAuthentication;
use super::endpoint::Endpoint;
use super::response::{self, Answer, Trouble};
use crate::failure::Failure;
use crate::jwt::Checks;
use crate::provider::error::ProviderError;
use crate::provider::fetch::{Exchange, FetchError, FetchErrorKind};
use crate::provider::url::{CheckedUrl, shown_origin};

/// Everything that a call needs.
#[derive(Debug)]
pub(super) struct IntrospectionClient {
    pub(super) endpoint: Endpoint,
    pub(super) client: ClientAuthentication,
    pub(super) exchange: Exchange,
    pub(super) checks: Checks,
}

impl IntrospectionClient {
    /// What the server says about a token, and how long its answer is. Only within a tokio runtime.
    pub(super) async fn ask(
        &self,
        token: &str,
        now: SystemTime,
    ) -> Result<(Answer, usize), Failure> {
        let deadline = self.exchange.deadline();
        let url = self.endpoint.url(&self.exchange, now, deadline).await;
        let url = url.map_err(Failure::unavailable)?;
        let response = match self.send(&url, token, deadline).await? {
            // A connection that was kept may end just when it is used again. Asking changes nothing, so
            // it may be done twice.
            Err(error) if error.kind() == FetchErrorKind::Incomplete => {
                self.send(&url, token, deadline).await?
            }
            response => response,
        };
        let response = response.map_err(|source| {
            let url = url.shown();
            Failure::unavailable(ProviderError::Fetch { url, source })
        })?;
        let length = response.body().len();
        match response::read(&response, &self.checks) {
            Ok(answer) => Ok((answer, length)),
            Err(trouble) => Err(self.failure(&url, &response, trouble, now)),
        }
    }

    async fn send(
        &self,
        url: &CheckedUrl,
        token: &str,
        deadline: Instant,
    ) -> Result<Result<Response<Bytes>, FetchError>, Failure> {
        let request = self.client.request(url, token);
        let request = match tokio::time::timeout_at(deadline, request).await {
            Ok(request) => request.map_err(Failure::unavailable)?,
            Err(_) => return Ok(Err(FetchError::new(FetchErrorKind::TimedOut))),
        };
        Ok(self.exchange.send(request, deadline).await)
    }

    /// None of this is the client's fault, and the response does not reveal it (E13: rejected client credentials,
    /// E14: details for the operator).
    fn failure(
        &self,
        address: &CheckedUrl,
        response: &Response<Bytes>,
        trouble: Trouble,
        now: SystemTime,
    ) -> Failure {
        let url = address.shown();
        match trouble {
            Trouble::Content(problem) => {
                Failure::unavailable(ProviderError::Introspection { url, problem })
            }
            Trouble::Credentials { status } => {
                crate::trace::credentials_refused(status);
                Failure::unavailable(ProviderError::Credentials { url, status })
            }
            Trouble::Status {
                status,
                retry_after,
            } => {
                if matches!(status, 300..=399 | 404 | 410) {
                    self.endpoint.moved(now);
                }
                let error = ProviderError::status(
                    address,
                    response,
                    "`Introspection::builder`",
                    shown_origin,
                );
                let failure = Failure::unavailable(error);
                match retry_after {
                    Some(retry_after) => failure.with_retry_after(retry_after),
                    None => failure,
                }
            }
        }
    }
}
