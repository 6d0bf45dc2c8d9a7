//! The validator that introspects each token.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::SystemTime;

use super::super::error::ProviderError;
use super::builder::{EndpointLocation, IntrospectionBuilder};
use super::cache::{Cache, Key, RequestStart};
use super::client::IntrospectionClient;
use super::in_flight::{InFlightRequests, Outcome};
use super::response::Answer;
use crate::extract::{Credential, Scheme};
use crate::failure::{Failure, InvalidReason};
use crate::jwt::{AccessToken, OwnCheck, TokenError, checked};
use crate::request::RequestView;
use crate::validator::{Validated, Validator, Verdict};

/// Asks the authorization server about each token
/// ([RFC 7662](https://www.rfc-editor.org/rfc/rfc7662)): for opaque tokens, and for those that have to be
/// refused as soon as they are taken back.
///
/// Cloning is cheap, and clones share everything. To combine it with a JWT validator, both have to yield the
/// same principal: [`AccessToken`], or what [`and_then`](Validator::and_then) makes of it on both sides.
///
/// # What is decided how
///
/// | the server | the answer |
/// |---|---|
/// | says `"active": true`, and all that it says besides fits | the principal |
/// | says `"active": true`, but for another audience, issuer, kind of token or time | invalid |
/// | says that the token is bound to a sender: `cnf`, or `token_type` `DPoP` | invalid |
/// | says `"active": false` | invalid ([`InvalidReason::Unknown`]) |
/// | does not answer for tokens of this kind: 400 `unsupported_token_type` | not recognized |
/// | does not accept the credentials of this service: 401, 403, or 400 with `invalid_client` | cannot tell, and an ERROR event with feature `tracing` |
/// | answers with anything else, too late, or not at all | cannot tell |
///
/// What is invalid is 401 `invalid_token`, with a [`TokenError`] as the source of the rejection. What
/// cannot be told is 503 with an [`ProviderError`] there, or with what a
/// [`custom`](super::ClientAuthentication::custom) proof failed with; `Retry-After` is that of the server, from 1
/// second to 5 minutes. A redirect is not followed.
///
/// # What is sent
///
/// One POST with the token in its body, and the [credentials](super::ClientAuthentication) of this service. The
/// token is in no address, no event and no error. Basic credentials, and tokens that are too
/// [long](IntrospectionBuilder::max_length), are not sent.
///
/// # How often it is asked
///
/// Each token that nobody knows is a call: at most [`max_concurrent_requests`](IntrospectionBuilder::max_concurrent_requests) at once, then
/// 503. Where strangers may try, put a rate limit in front, and [`JwtOrOpaque`](crate::jwt::JwtOrOpaque) before it if
/// there are JWTs too.
///
/// With each request, but requests that come with the same token at the same time wait for one call. That
/// call belongs to none of them: it goes on if they are given up, and ends with the validator. Who
/// joins a call that is under way gets what was true when it began.
///
/// An answer is used more than once only if a [cache](IntrospectionBuilder::cache) is asked for. Even then
/// the time, the application's own [checks](IntrospectionBuilder::check) and the policies are checked with
/// each request. What could not be told is never kept.
///
/// A call runs as a task on the tokio runtime of the request that started it. Without a runtime it is 503.
///
/// # Example
///
/// ```
/// use tower_bearer::BearerAuthLayer;
/// use tower_bearer::provider::{ClientAuthentication, Introspection};
///
/// # let secret = "gX1fBat3bV";
/// let validator = Introspection::builder("https://login.example.com/introspect")
///     .client(ClientAuthentication::basic("orders-api", secret))
///     .audience("https://api.example.com")
///     .build()?;
/// let layer = BearerAuthLayer::new(validator);
/// # let _ = layer;
/// # Ok::<_, tower_bearer::provider::ProviderError>(())
/// ```
#[derive(Clone)]
pub struct Introspection {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) client: Arc<IntrospectionClient>,
    pub(super) cache: Option<Arc<Cache>>,
    /// Nothing that a call holds leads back here, so that the calls end with the validator.
    pub(super) calls: Arc<InFlightRequests>,
    pub(super) own: Arc<[OwnCheck<AccessToken>]>,
    pub(super) max_length: usize,
}

impl Introspection {
    /// Queries the endpoint at this address: `https`, `http` on this machine, or `http` to the host that
    /// [`insecure_http_host`](IntrospectionBuilder::insecure_http_host) names.
    pub fn builder(endpoint: impl Into<String>) -> IntrospectionBuilder {
        IntrospectionBuilder::new(EndpointLocation::Endpoint(endpoint.into()))
    }

    /// Asks this issuer, at the endpoint that its metadata names: the document of [OpenID Connect
    /// Discovery 1.0](https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfig), or else
    /// that of [RFC 8414 section 3](https://www.rfc-editor.org/rfc/rfc8414#section-3). Tokens of another
    /// issuer are then refused. The document is read again when nothing is at the endpoint any more, but never
    /// twice within 5 seconds.
    ///
    /// Write the issuer exactly as the provider does. [`connect`](IntrospectionBuilder::connect) reads the
    /// document now; [`build`](IntrospectionBuilder::build) leaves it to the first request, so that the
    /// service starts while the issuer is down.
    ///
    /// # Example
    ///
    /// ```no_run
    /// use tower_bearer::provider::{ClientAuthentication, Introspection};
    ///
    /// # async fn main_(secret: String) -> Result<(), tower_bearer::provider::ProviderError> {
    /// let validator = Introspection::discover("https://login.example.com/")
    ///     .client(ClientAuthentication::basic("orders-api", secret))
    ///     .audience("https://api.example.com")
    ///     .connect()
    ///     .await?;
    /// # let _ = validator; Ok(()) }
    /// ```
    #[cfg(feature = "oidc")]
    pub fn discover(issuer: impl Into<String>) -> IntrospectionBuilder {
        IntrospectionBuilder::new(EndpointLocation::Issuer(issuer.into()))
    }

    /// The issuer whose tokens it accepts. `None` if it accepts any that the server answers for.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.inner.client.checks.issuer.as_deref()
    }
}

impl Validator for Introspection {
    type Principal = AccessToken;

    fn validate(
        &self,
        credential: &Credential<'_>,
        request: &RequestView<'_>,
    ) -> Verdict<AccessToken> {
        let token = credential.token();
        // A user name and a password are for nobody else.
        if token.is_empty() || credential.scheme() == Scheme::Basic {
            return Verdict::Ready(Err(Failure::unrecognized()));
        }
        if token.len() > self.inner.max_length {
            let error = TokenError::TooLong {
                length: token.len(),
                limit: self.inner.max_length,
            };
            return Verdict::Ready(Err(error.into()));
        }
        let now = request.now();
        let key = Key::of(token.as_bytes());
        let cache = self.inner.cache.as_deref();
        if let Some(answer) = cache.and_then(|cache| cache.get(&key, now)) {
            return Verdict::Ready(self.inner.decide(&answer, now));
        }
        // Nothing is sent before somebody waits for it: a validator in front may accept the token.
        let inner = Arc::clone(&self.inner);
        let credential = credential.clone().into_owned();
        Verdict::pending(async move {
            let answer = inner.answer(key, credential, now).await?;
            inner.decide(&answer, now)
        })
    }
}

impl Inner {
    /// What is looked at with each request, whatever was kept (F04: expiry on hits).
    fn decide(&self, answer: &Answer, now: SystemTime) -> Result<Validated<AccessToken>, Failure> {
        let token = match answer {
            Answer::Active(token) => token,
            Answer::Inactive => return Err(Failure::invalid(InvalidReason::Unknown)),
            Answer::Unsupported => return Err(Failure::unrecognized()),
            Answer::Refused(error) => return Err(error.clone().into()),
        };
        let expires_at = self.client.checks.time(token.times(), now)?;
        let validated = Validated::from_shared(Arc::clone(token));
        let validated = match expires_at {
            Some(expires_at) => validated.with_expiry(expires_at),
            None => validated,
        };
        checked(validated, &self.own)
    }

    async fn answer(&self, key: Key, credential: Credential<'static>, now: SystemTime) -> Outcome {
        let limit = self.client.exchange.timeout();
        // The call of somebody else may end with his runtime. One's own is then the second.
        for _ in 0..2 {
            let known = || self.cache.as_deref()?.get(&key, now);
            let work = self.call(key, credential.clone(), now);
            let waiter = self.calls.join_or_start(key, limit, known, work)?;
            if let Some(outcome) = waiter.await {
                return outcome;
            }
        }
        Err(Failure::unavailable(ProviderError::Interrupted))
    }

    /// One call. Its answer is kept even if nobody waits for it any more.
    fn call(
        &self,
        key: Key,
        credential: Credential<'static>,
        now: SystemTime,
    ) -> impl Future<Output = Outcome> + Send + use<> {
        let client = Arc::clone(&self.client);
        let cache = self.cache.clone();
        async move {
            let asked = RequestStart::at(now);
            let (answer, length) = client.ask(credential.token(), now).await?;
            if let Some(cache) = cache {
                let ends = match &answer {
                    Answer::Active(token) => token
                        .expires_at()
                        .and_then(|exp| exp.checked_add(client.checks.leeway)),
                    Answer::Inactive | Answer::Unsupported | Answer::Refused(_) => None,
                };
                let bytes = match &answer {
                    Answer::Active(token) => length.saturating_add(token.heap()),
                    Answer::Inactive | Answer::Unsupported | Answer::Refused(_) => length,
                };
                cache.insert(&key, answer.clone(), bytes, asked, ends);
            }
            Ok(answer)
        }
    }
}

impl fmt::Debug for Introspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Introspection")
            .field("endpoint", &self.inner.client.endpoint.shown())
            .field("issuer", &self.issuer())
            .field("audience", &self.inner.client.checks.audiences)
            .field("client", &self.inner.client.client)
            .finish_non_exhaustive()
    }
}
