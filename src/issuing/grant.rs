//! What a token is to say.

use std::fmt;
use std::time::SystemTime;

use serde_json::{Map, Value};

use super::error::IssuingError;
use super::scope_list;
use crate::clock::seconds;

/// The longest name of a user or client, in bytes.
const MAX_NAME: usize = 1_024;
/// The longest list of scopes, and the longest label.
const MAX_TEXT: usize = 4_096;
/// The most that the claims of the application may take as JSON: with them a token still fits into a header.
const MAX_CLAIMS: usize = 4_096;

/// What the issuer itself says, so that nobody else may.
const OWN: [&str; 17] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "nbf",
    "iat",
    "jti",
    "client_id",
    "azp",
    "scope",
    "scp",
    "sid",
    "cnf",
    "events",
    "nonce",
    "act",
    "token_version",
];

/// Whom a token is for and what it says. Made after the login has been checked: nothing here is.
///
/// # Example
///
/// ```
/// use serde_json::json;
/// use tower_bearer::issuing::Grant;
///
/// let grant = Grant::new("alice", "web")
///     .scope("orders:read orders:write")
///     .claim("roles", json!(["admin"]))
///     .label("Firefox on Linux");
/// # let _ = grant;
/// ```
#[derive(Clone)]
#[must_use]
pub struct Grant {
    pub(crate) subject: String,
    pub(crate) client: String,
    pub(crate) scope: String,
    pub(crate) label: Option<String>,
    pub(crate) claims: Map<String, Value>,
    pub(crate) token_version: Option<u64>,
}

impl Grant {
    /// For this user (`sub`) and client (`client_id`), each of at most 1024 bytes. A service that acts for itself is its
    /// own subject ([RFC 9068 section 2.2](https://www.rfc-editor.org/rfc/rfc9068#section-2.2)).
    pub fn new(subject: impl Into<String>, client: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            client: client.into(),
            scope: String::new(),
            label: None,
            claims: Map::new(),
            token_version: None,
        }
    }

    /// The scopes, with one space between them. Default: none.
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = scope.into();
        self
    }

    /// A further claim of every access token: `roles`, `groups`, `tenant`, `acr`, `amr`, or one of your own. Not one that
    /// the issuer sets.
    pub fn claim(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.claims.insert(name.into(), value.into());
        self
    }

    /// When the user proved who they are, `auth_time`, in whole seconds.
    pub fn auth_time(self, time: SystemTime) -> Self {
        self.claim("auth_time", seconds(time))
    }

    /// The version of what the token says about its subject, `token_version`: a number that the application counts up at the
    /// user, say when the password changes, and then hands to
    /// [`revoke_versions_below`](super::TokenIssuer::revoke_versions_below).
    pub fn token_version(mut self, version: u64) -> Self {
        self.token_version = Some(version);
        self
    }

    /// What the session is called in a list: the device, the browser. At most 4096 bytes. It is shown to the user, and
    /// may well come from a header of the request: escape it.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    pub(crate) fn check(&self) -> Result<(), IssuingError> {
        let problem = if self.subject.is_empty() || self.client.is_empty() {
            "the subject or the client is empty"
        } else if self.subject.len() > MAX_NAME || self.client.len() > MAX_NAME {
            "the subject or the client has more than 1024 bytes"
        } else if !self.scope.is_empty() && !scope_list::is_list(&self.scope) {
            "the scope is not a list of scope tokens (RFC 6749 section 3.3)"
        } else if self.scope.len() > MAX_TEXT {
            "the scopes have more than 4096 bytes"
        } else if self
            .label
            .as_ref()
            .is_some_and(|label| label.len() > MAX_TEXT)
        {
            "the label has more than 4096 bytes"
        } else if OWN.iter().any(|name| self.claims.contains_key(*name)) {
            "a claim has a name that the issuer itself sets"
        } else if serde_json::to_vec(&self.claims).map_or(true, |json| json.len() > MAX_CLAIMS) {
            "the claims take more than 4096 bytes"
        } else {
            return Ok(());
        };
        Err(IssuingError::Grant { problem })
    }
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_grant_is_an_error() {
        let long = "x".repeat(5_000);
        let good = || Grant::new("alice", "web").scope("a b");
        assert!(good().claim("roles", vec!["admin"]).check().is_ok());
        assert!(Grant::new("alice", "web").check().is_ok());
        let bad = [
            Grant::new("", "web"),
            Grant::new("alice", ""),
            Grant::new(long.clone(), "web"),
            Grant::new("alice", long.clone()),
            good().scope("a  b"),
            good().scope(long.clone()),
            good().scope("a\"b"),
            good().label(long.clone()),
            good().claim("sub", "bob"),
            good().claim("exp", 9_999_999_999_u64),
            good().claim("x", long),
        ];
        for grant in bad {
            assert!(matches!(grant.check(), Err(IssuingError::Grant { .. })));
        }
    }
}
