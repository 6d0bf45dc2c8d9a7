//! What a client is given.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use serde::Serialize;
use zeroize::Zeroize as _;

use super::error::json_response;
use crate::body::ResponseBody;
use crate::issuing::store::SessionId;

/// The tokens that a client is given, in the shape of
/// [RFC 6749 section 5.1](https://www.rfc-editor.org/rfc/rfc6749#section-5.1): its JSON has `access_token`, `token_type`,
/// `expires_in` (seconds), `refresh_token` if there is a session, and `scope` if there is one. `Debug` shows no
/// token, and they are wiped when this goes. With the
/// feature `axum` it is a response.
#[derive(Clone, Serialize)]
pub struct TokenResponse {
    pub(crate) access_token: String,
    pub(crate) token_type: &'static str,
    pub(crate) expires_in: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) refresh_token: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) scope: String,
    #[serde(skip)]
    pub(crate) session: Option<SessionId>,
}

impl TokenResponse {
    /// The access token, a JWT.
    #[must_use]
    pub fn access_token(&self) -> &str {
        &self.access_token
    }

    /// For how long the access token is good.
    #[must_use]
    pub fn expires_in(&self) -> Duration {
        Duration::from_secs(self.expires_in)
    }

    /// The refresh token. `None` if there is no session.
    #[must_use]
    pub fn refresh_token(&self) -> Option<&str> {
        self.refresh_token.as_deref()
    }

    /// The scopes of the access token.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.scope.split(' ').filter(|scope| !scope.is_empty())
    }

    /// The session to which they belong. It is not in the JSON, but in the access token, as `sid`.
    #[must_use]
    pub fn session(&self) -> Option<SessionId> {
        self.session
    }

    /// The answer: 200, JSON, never to be stored. An axum handler may return it.
    #[must_use]
    pub fn to_response(&self) -> Response<ResponseBody> {
        // Texts and numbers: there is nothing that could fail.
        let body = serde_json::to_vec(self).unwrap_or_default();
        json_response(StatusCode::OK, Bytes::from(body))
    }
}

impl Drop for TokenResponse {
    fn drop(&mut self) {
        self.access_token.zeroize();
        self.refresh_token.zeroize();
    }
}

impl fmt::Debug for TokenResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenResponse")
            .field("expires_in", &self.expires_in)
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}
