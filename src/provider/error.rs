//! What could not be done with an issuer.

use bytes::Bytes;
use http::Response;
use http::header::LOCATION;

use super::fetch::FetchError;
use super::url::CheckedUrl;
use crate::jwt::KeyError;

/// Why something could not be had from an issuer, or why it could not be set up.
///
/// `Display` says what was tried, at which address, and what to change. It repeats no body of an answer,
/// no credential, and of addresses neither user nor query.
///
/// # Example
///
/// ```
/// use tower_bearer::provider::{ProviderError, RemoteKeys};
///
/// let refused = RemoteKeys::builder("http://issuer.example/jwks.json").connect_lazily();
/// assert!(matches!(refused, Err(ProviderError::Url { .. })));
/// ```
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProviderError {
    /// A setting that cannot work.
    #[error("setting `{setting}`: {problem}")]
    Setting {
        /// The setting, by the name of its method.
        setting: &'static str,
        /// What is wrong with it, and what was expected.
        problem: String,
    },
    /// A validator that cannot be built, where one error type is wanted for both.
    #[error(transparent)]
    Config(#[from] crate::error::ConfigError),
    /// An address that must not be used.
    #[error("{what} {url:?}: {expected}")]
    Url {
        /// Which address it was.
        what: &'static str,
        /// The address.
        url: String,
        /// What was expected.
        expected: &'static str,
    },
    /// No answer, or not a whole one.
    #[error("cannot fetch {url}: {source}")]
    Fetch {
        /// The address asked.
        url: String,
        /// Why.
        source: FetchError,
    },
    /// An answer without what was asked for.
    #[error("cannot fetch {url}: expected status 200, got {status}{}", status_hint(*.status))]
    Status {
        /// The address asked.
        url: String,
        /// The status of the answer.
        status: u16,
    },
    /// A redirect, which is not followed: only the configured address has been checked.
    #[error(
        "cannot fetch {url}: it redirects with status {status}{}; redirects are not followed, so give {setting} the address that answers",
        .location.as_ref().map(|location| format!(" to {location:?}")).unwrap_or_default()
    )]
    Redirect {
        /// The requested address.
        url: String,
        /// The status of the answer.
        status: u16,
        /// The address in its `Location`, without user and query, shortened if it is long. For an
        /// introspection request, only the origin.
        location: Option<String>,
        /// The setting that takes an address.
        setting: &'static str,
    },
    /// An answer that is no JWK Set, or none with a usable key.
    #[error("no keys from {url}: {source}; check that this is the address of a JWK Set")]
    Keys {
        /// The address asked.
        url: String,
        /// Why.
        source: KeyError,
    },
    /// A metadata document that cannot be used.
    #[error("metadata of the issuer at {url}: {problem}")]
    Metadata {
        /// The address asked.
        url: String,
        /// What is wrong with it, and what was expected.
        problem: &'static str,
    },
    /// A metadata document of another issuer
    /// ([RFC 8414 section 3.3](https://www.rfc-editor.org/rfc/rfc8414#section-3.3)).
    #[error(
        "metadata of the issuer at {url}: it names the issuer {found:?}, but {expected:?} is configured; both have to be the same, character by character, so write the issuer as the provider writes it; if the tokens carry another issuer than this document, name the address of the keys with `RemoteKeys::builder` and the issuer at the validator"
    )]
    IssuerMismatch {
        /// The address asked.
        url: String,
        /// The issuer as it is configured.
        expected: String,
        /// The issuer that the document names, shortened if it is long.
        found: String,
    },
    /// No metadata document at any of the places where one may be.
    #[error(
        "issuer {issuer:?} publishes no metadata: {} answered that there is nothing; check the issuer, or name the address of its metadata with `metadata_url`, or that of its JWK Set or introspection endpoint with `RemoteKeys::builder` or `Introspection::builder`",
        .tried.join(", ")
    )]
    NoMetadata {
        /// The issuer as it is configured.
        issuer: String,
        /// The addresses asked.
        tried: Vec<String>,
    },
    /// The introspection endpoint does not accept the credentials of this service
    /// ([RFC 7662 section 2.3](https://www.rfc-editor.org/rfc/rfc7662#section-2.3)).
    #[cfg(feature = "introspection")]
    #[error(
        "the introspection endpoint {url} refuses the credentials of this service with status {status}; check `client`, and whether this client may ask about tokens"
    )]
    Credentials {
        /// The address asked.
        url: String,
        /// The status of the answer.
        status: u16,
    },
    /// The introspection endpoint answered with something that says nothing about a token
    /// ([RFC 7662 section 2.2](https://www.rfc-editor.org/rfc/rfc7662#section-2.2)).
    #[cfg(feature = "introspection")]
    #[error("the answer of the introspection endpoint {url} cannot be used: {problem}")]
    Introspection {
        /// The address asked.
        url: String,
        /// What is wrong with it, and what was expected.
        problem: String,
    },
    /// As many tokens are being asked about as may be at once.
    #[cfg(feature = "introspection")]
    #[error(
        "{max_concurrent_requests} tokens are being asked about, and no more may be at once; see `max_concurrent_requests`"
    )]
    Busy {
        /// The limit.
        max_concurrent_requests: usize,
    },
    /// Called outside a tokio runtime, where nothing can be fetched.
    #[error("nothing can be fetched outside a tokio runtime: call this from a task of one")]
    NoRuntime,
    /// The task that fetched came to no end: its runtime was shut down, or it panicked.
    #[error("the fetch came to no end: the runtime it ran on was shut down, or it panicked")]
    Interrupted,
}

impl ProviderError {
    /// Creates the error for a response with an unexpected status. `setting` is the setting for the address,
    /// and `shown` removes secrets from a `Location`.
    pub(crate) fn status(
        url: &CheckedUrl,
        answer: &Response<Bytes>,
        setting: &'static str,
        shown: fn(&str) -> String,
    ) -> Self {
        let (url, status) = (url.shown(), answer.status().as_u16());
        match status {
            301 | 302 | 303 | 307 | 308 => Self::Redirect {
                url,
                status,
                location: answer
                    .headers()
                    .get(LOCATION)
                    .and_then(|location| location.to_str().ok())
                    .map(shown),
                setting,
            },
            _ => Self::Status { url, status },
        }
    }
}

fn status_hint(status: u16) -> &'static str {
    match status {
        401 | 403 => {
            "; it has to be readable without a login, or by the token of `HttpFetcher::with_bearer_token`"
        }
        404 | 410 => "; check the address",
        _ => "",
    }
}
