//! The settings of introspection.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::client_auth::ClientAuthentication;
use crate::jwt::{AccessToken, Checks, OwnCheck, check_setters};
use crate::provider::fetch::Fetch;
use crate::provider::url::shown;

/// Sets up [`Introspection`](super::Introspection).
///
/// # What has to be said
///
/// The [client](Self::client) and the [audience](Self::audience). What weakens a check says `insecure`.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use tower_bearer::provider::{ClientAuthentication, Introspection};
///
/// # let secret = "gX1fBat3bV";
/// let validator = Introspection::builder("https://login.example.com/introspect")
///     .client(ClientAuthentication::basic("orders-api", secret))
///     .issuer("https://login.example.com/")
///     .audience("https://api.example.com")
///     .cache(Duration::from_secs(10))
///     .build()?;
///
/// let refused = Introspection::builder("https://login.example.com/introspect")
///     .audience("https://api.example.com")
///     .build();
/// assert!(refused.unwrap_err().to_string().contains("`client`"));
/// # let _ = validator;
/// # Ok::<_, tower_bearer::provider::ProviderError>(())
/// ```
#[must_use]
pub struct IntrospectionBuilder {
    pub(super) asked: EndpointLocation,
    pub(super) client: Option<ClientAuthentication>,
    pub(super) checks: Checks,
    pub(super) any_audience: bool,
    pub(super) own: Vec<OwnCheck<AccessToken>>,
    pub(super) max_length: usize,
    pub(super) cache: Option<Duration>,
    pub(super) cache_capacity: Option<usize>,
    pub(super) fetcher: Option<Arc<dyn Fetch>>,
    pub(super) timeout: Duration,
    pub(super) max_body: usize,
    pub(super) max_concurrent_requests: usize,
    #[cfg(feature = "oidc")]
    pub(super) metadata_url: Option<String>,
    pub(super) insecure_http_host: Option<String>,
}

/// Who is asked.
pub(super) enum EndpointLocation {
    Endpoint(String),
    #[cfg(feature = "oidc")]
    Issuer(String),
}

impl IntrospectionBuilder {
    pub(super) fn new(asked: EndpointLocation) -> Self {
        Self {
            asked,
            client: None,
            checks: Checks {
                expiry_required: false,
                ..Checks::default()
            },
            any_audience: false,
            own: Vec::new(),
            max_length: 8 * 1024,
            cache: None,
            cache_capacity: None,
            fetcher: None,
            timeout: Duration::from_secs(5),
            max_body: 64 * 1024,
            max_concurrent_requests: 1_024,
            #[cfg(feature = "oidc")]
            metadata_url: None,
            insecure_http_host: None,
        }
    }

    check_setters! {
        claims: AccessToken,
        /// The issuer: `iss` has to be this text, character by character, if the server says it. Add
        /// [`require("iss")`](Self::require) if it always does. [`discover`](super::Introspection::discover) sets it.
        ///
        /// Default: not looked at.
        issuer,
        /// How far the clocks of the server and of this machine may be apart. Default: 60 seconds, at most
        /// 300. A token is accepted that much longer than its `exp` says, as long as the server calls it
        /// active.
        leeway,
        /// Accepts an answer with members of an ID token, `nonce` or `at_hash`. Some servers write these members
        /// into answers for access tokens, but others also answer for ID tokens, whose audience is the client. If
        /// a member distinguishes the kinds, use
        /// [`with_access_token_values`](crate::jwt::ClaimsLayout::with_access_token_values) instead.
        insecure_accept_id_tokens,
        /// Where the server puts scopes, roles and so on. Default: as in RFC 9068, which for scopes is that of
        /// RFC 7662.
        claims_layout,
        /// Adds a check of the application, after all others. Checks run in the order in which they were
        /// added, with each request, also if the answer was kept.
        ///
        /// # Example
        ///
        /// ```
        /// use tower_bearer::provider::{ClientAuthentication, Introspection};
        /// use tower_bearer::{Failure, InvalidReason};
        ///
        /// # let secret = "gX1fBat3bV";
        /// let validator = Introspection::builder("https://login.example.com/introspect")
        ///     .client(ClientAuthentication::basic("orders-api", secret))
        ///     .audience("https://api.example.com")
        ///     .check(|token| match token.client_id() {
        ///         Some("shop" | "backoffice") => Ok(()),
        ///         _ => Err(Failure::invalid(InvalidReason::Claims)),
        ///     })
        ///     .build()?;
        /// # let _ = validator;
        /// # Ok::<_, tower_bearer::provider::ProviderError>(())
        /// ```
        check,
    }

    /// How this service authenticates to the server. Has to be set: an endpoint that answers everybody is
    /// a place to try tokens at
    /// ([RFC 7662 section 2.1](https://www.rfc-editor.org/rfc/rfc7662#section-2.1)).
    pub fn client(mut self, client: ClientAuthentication) -> Self {
        self.client = Some(client);
        self
    }

    /// Keeps answers for this long, but no longer than the token lives. A token that is taken back is
    /// accepted for that long
    /// ([RFC 7662 section 4](https://www.rfc-editor.org/rfc/rfc7662#section-4)). That a token is bad is kept
    /// for 5 seconds at most; that the server could not be asked is not kept.
    ///
    /// Default: the server is asked with each request. At most 60 seconds.
    pub fn cache(mut self, lifetime: Duration) -> Self {
        self.cache = Some(lifetime);
        self
    }

    /// How many good tokens the [cache](Self::cache) keeps, and how many bad ones. Those make room that are asked for least.
    /// All answers about good tokens together are never longer than 32 MiB.
    ///
    /// Default: 10,000. From 1 to 1,000,000.
    pub fn cache_capacity(mut self, capacity: usize) -> Self {
        self.cache_capacity = Some(capacity);
        self
    }

    /// Sets the address of the metadata of the issuer, as
    /// [`RemoteKeysBuilder::metadata_url`](crate::provider::RemoteKeysBuilder::metadata_url) does.
    ///
    /// Default: the well-known paths of the issuer.
    #[cfg(feature = "oidc")]
    pub fn metadata_url(mut self, url: impl Into<String>) -> Self {
        self.metadata_url = Some(url.into());
        self
    }

    /// Allows `http` to one host, compared exactly and given without port. It also holds for the
    /// `introspection_endpoint` of the metadata. An attacker who can read the traffic to that host reads
    /// every introspected token and the credentials of this service. An attacker who can change the traffic
    /// can make any token valid.
    ///
    /// Default: `http` to this machine only.
    pub fn insecure_http_host(mut self, host: impl Into<String>) -> Self {
        self.insecure_http_host = Some(host.into());
        self
    }

    /// Replaces what sends the requests.
    ///
    /// Default: an [`HttpFetcher`](crate::provider::HttpFetcher) with the [timeout](Self::timeout) that is set here, which keeps up
    /// to 16 idle connections. If requests come from several runtimes, and one of them may stand still,
    /// give it an `HttpFetcher` that keeps none.
    pub fn fetcher(mut self, fetcher: impl Fetch) -> Self {
        self.fetcher = Some(Arc::new(fetcher));
        self
    }

    /// Replaces how long a call may take, the reading of metadata included. Nobody waits longer for an
    /// answer.
    ///
    /// Default: 5 seconds. At most 1 minute.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Replaces how many bytes an answer may have.
    ///
    /// Default: 64 KiB. At most 1 MiB.
    pub fn max_body(mut self, max_body: usize) -> Self {
        self.max_body = max_body;
        self
    }

    /// Replaces how many calls may be under way at once, each about another token. Further tokens are
    /// answered with 503 and `Retry-After: 1`.
    ///
    /// Default: 1,024. From 1 to 65,536.
    pub fn max_concurrent_requests(mut self, max_concurrent_requests: usize) -> Self {
        self.max_concurrent_requests = max_concurrent_requests;
        self
    }
}

impl EndpointLocation {
    fn shown(&self) -> String {
        match self {
            Self::Endpoint(text) => shown(text),
            #[cfg(feature = "oidc")]
            Self::Issuer(name) => shown(name),
        }
    }
}

impl fmt::Debug for IntrospectionBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntrospectionBuilder")
            .field("address", &self.asked.shown())
            .field("issuer", &self.checks.issuer)
            .field("audience", &self.checks.audiences)
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}
