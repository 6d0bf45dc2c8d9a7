//! Where the provider says it.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use tower_service::Service;

use super::logout_token::LogoutToken;
use super::validator::LogoutTokenValidator;
use crate::body::ResponseBody;
use crate::clock::{Clock, SystemClock};
use crate::endpoint::{is_form, read};
use crate::failure::{Failure, FailureKind};
use crate::rejection::retry_after_seconds;
use crate::revocation::{Revocation, Revoke};
use crate::trace;
use crate::validator::BoxFuture;

/// The longest body that is read unless told otherwise, in bytes.
const DEFAULT_MAX_BODY: usize = 64 * 1024;
/// When to come back, unless the failure says so.
const RETRY: Duration = Duration::from_secs(5);
/// Longer than any token is good for, and short enough for every clock.
const CENTURY: Duration = Duration::from_secs(100 * 365 * 86_400);

type AnyError = Box<dyn Error + Send + Sync>;
type Handler = dyn Fn(LogoutToken, SystemTime) -> BoxFuture<Result<(), AnyError>> + Send + Sync;

/// Hears from an OpenID provider who has logged out ([OpenID Connect Back-Channel Logout
/// 1.0](https://openid.net/specs/openid-connect-backchannel-1_0.html)): a Tower service for the `backchannel_logout_uri` of
/// a client. The provider sends no credential but the logout token, so it stands outside of what asks for one.
///
/// | what came | answer |
/// |---|---|
/// | a logout token, and what is to be done about it was done | 200 |
/// | another method than POST | 405 |
/// | a body of more than [64 KiB](Self::with_max_body) | 413 |
/// | no form, not exactly one `logout_token`, a token that is [none](LogoutTokenValidator), or one that was used before | 400 `{"error":"invalid_request"}` |
/// | the keys of the provider cannot be fetched, what is to be done failed, the same token is being worked on | 503 with `Retry-After` |
///
/// Each with `Cache-Control: no-store` (section 2.8). Why is left in the extensions of the response as a [`Failure`], and is
/// told nobody else. A token counts as used when it has been worked on with success, so a provider may try again after
/// a 503 with the same one.
///
/// # What a resource server makes of it
///
/// The token names a session (`sid`) or a user (`sub`) of the provider. Access tokens are refused by it if they have the same
/// `iss`, and the same `sid` or `sub`.
///
/// Tokens of a `TokenIssuer` of one's own have another `iss`, so [`revoking`](Self::revoking) does not concern them. Who logs
/// users in by a provider and then issues tokens takes [`new`](Self::new), with a handler that calls `end_sessions` with the
/// user's own name.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use tower_bearer::jwt::{JwtValidator, KeySet};
/// use tower_bearer::logout::{BackChannelLogout, LogoutTokenValidator};
/// use tower_bearer::revocation::RevocationList;
///
/// # fn build(keys: KeySet, more_keys: KeySet) -> Result<(), tower_bearer::ConfigError> {
/// let revoked = RevocationList::new();
/// let access_tokens = JwtValidator::builder(keys)
///     .issuer("https://login.example.com/")
///     .audience("https://api.example.com")
///     .revocations(revoked.clone())
///     .build()?;
///
/// let logout_tokens = LogoutTokenValidator::builder(more_keys)
///     .issuer("https://login.example.com/")
///     .audience("shop-frontend")
///     .build()?;
/// // Access tokens are issued for an hour.
/// let endpoint = BackChannelLogout::revoking(logout_tokens, revoked, Duration::from_secs(3_600));
/// // In axum: `Router::new().route_service("/backchannel-logout", endpoint)`.
/// # let _ = (access_tokens, endpoint); Ok(()) }
/// ```
#[derive(Clone)]
pub struct BackChannelLogout {
    validator: LogoutTokenValidator,
    handler: Arc<Handler>,
    clock: Arc<dyn Clock>,
    max_body: usize,
}

/// What is taken back.
#[derive(Clone, Copy)]
enum Extent {
    /// What the token names, be it both.
    Named,
    /// The session, or without one the subject.
    Narrow,
}

impl BackChannelLogout {
    /// Calls `handler` for each logout. An error is answered with 503, so that the provider tries again; it goes into the
    /// response's extensions, as the source of the [`Failure`].
    ///
    /// # Example
    ///
    /// ```
    /// use tower_bearer::logout::{BackChannelLogout, LogoutToken, LogoutTokenValidator};
    ///
    /// # #[derive(Clone)] struct Sessions;
    /// # impl Sessions { async fn end(&self, _: &str, _: Option<&str>, _: Option<&str>) -> Result<(), std::io::Error> { Ok(()) } }
    /// # fn build(validator: LogoutTokenValidator, sessions: Sessions) {
    /// let endpoint = BackChannelLogout::new(validator, move |logout: LogoutToken| {
    ///     let sessions = sessions.clone();
    ///     async move { sessions.end(logout.issuer(), logout.session(), logout.subject()).await }
    /// });
    /// # let _ = endpoint; }
    /// ```
    pub fn new<F, R, E>(validator: LogoutTokenValidator, handler: F) -> Self
    where
        F: Fn(LogoutToken) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        Self::with_handler(validator, move |logout, _| {
            let done = handler(logout);
            Box::pin(async move { done.await.map_err(Into::into) })
        })
    }

    /// Takes back all that the token names: the tokens of the session (`sid`), and those of the subject (`sub`) that were
    /// issued up to the second in which the logout token was. A later login of the same user is not touched, whenever the
    /// token arrives. Access tokens are issued for at most `token_lifetime`; entries stay that long.
    ///
    /// With a session *and* a subject the specification means that one session ([section
    /// 2.4](https://openid.net/specs/openid-connect-backchannel-1_0.html#LogoutToken)). But the access tokens of many
    /// providers have no `sid`, and would outlive it. So those of the user's other sessions go too, and are replaced by the
    /// clients' refresh tokens. Where access tokens have a `sid`, use [`revoking_session`](Self::revoking_session).
    ///
    /// `revoked` is a [`RevocationList`](crate::revocation::RevocationList), or a `RevocationHub` for more than one process. If it is
    /// full or cannot be reached, the answer is 503, and nothing is forgotten.
    #[must_use]
    pub fn revoking(
        validator: LogoutTokenValidator,
        revoked: impl Revoke + 'static,
        token_lifetime: Duration,
    ) -> Self {
        Self::revoke(validator, revoked, token_lifetime, Extent::Named)
    }

    /// The same, to the letter of the specification: if the token names a session, the tokens of that session alone. For
    /// access tokens that have a `sid`, each of them: any other outlives the logout.
    #[must_use]
    pub fn revoking_session(
        validator: LogoutTokenValidator,
        revoked: impl Revoke + 'static,
        token_lifetime: Duration,
    ) -> Self {
        Self::revoke(validator, revoked, token_lifetime, Extent::Narrow)
    }

    fn revoke(
        validator: LogoutTokenValidator,
        revoked: impl Revoke + 'static,
        token_lifetime: Duration,
        extent: Extent,
    ) -> Self {
        let lifetime = token_lifetime.min(CENTURY);
        let revoked = Arc::new(revoked);
        Self::with_handler(validator, move |logout, now| {
            let until = now.checked_add(lifetime).unwrap_or(now);
            let revoked = Arc::clone(&revoked);
            Box::pin(async move {
                for revocation in what(&logout, until, extent) {
                    revoked.revoke(&revocation).await?;
                }
                Ok(())
            })
        })
    }

    fn with_handler(
        validator: LogoutTokenValidator,
        handler: impl Fn(LogoutToken, SystemTime) -> BoxFuture<Result<(), AnyError>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Self {
            validator,
            handler: Arc::new(handler),
            clock: Arc::new(SystemClock),
            max_body: DEFAULT_MAX_BODY,
        }
    }

    /// Takes the time from this clock. Default: that of the system.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The longest body that is read, in bytes. Default: 65,536, several times as long as a logout token may be.
    #[must_use]
    pub fn with_max_body(mut self, max_body: usize) -> Self {
        self.max_body = max_body;
        self
    }

    async fn answer<B: Body>(self, request: Request<B>) -> Response<ResponseBody> {
        let (parts, body) = request.into_parts();
        if parts.method != Method::POST {
            let mut response = plain(StatusCode::METHOD_NOT_ALLOWED);
            let allowed = HeaderValue::from_static("POST");
            response.headers_mut().insert(ALLOW, allowed);
            return response;
        }
        if !is_form(&parts.headers) {
            trace::logout_refused("no form");
            return invalid(StatusCode::BAD_REQUEST);
        }
        let body = match read(body, self.max_body).await {
            Ok(body) => body,
            Err(status) => {
                trace::logout_refused("body");
                return invalid(status);
            }
        };
        let Some(token) = only_token(&body) else {
            trace::logout_refused("not one logout_token");
            return invalid(StatusCode::BAD_REQUEST);
        };
        match self.work(&token).await {
            Ok(()) => plain(StatusCode::OK),
            Err(failure) => refused(failure),
        }
    }

    async fn work(&self, token: &str) -> Result<(), Failure> {
        let now = self.clock.now();
        let (logout, reservation) = self.validator.begin(token, now).await?;
        (self.handler)(logout, now)
            .await
            .map_err(Failure::unavailable)?;
        reservation.used();
        Ok(())
    }
}

/// What a logout takes back.
fn what(
    logout: &LogoutToken,
    until: SystemTime,
    extent: Extent,
) -> impl Iterator<Item = Revocation> + use<> {
    let issuer = Some(logout.issuer());
    let session = logout.session();
    let session = session.map(|session| Revocation::session(issuer, session, until));
    let is_enough = session.is_some() && matches!(extent, Extent::Narrow);
    let subject = logout.subject().filter(|_| !is_enough);
    let subject =
        subject.map(|subject| Revocation::subject(issuer, subject, logout.issued_at(), until));
    session.into_iter().chain(subject)
}

/// The token, if there is exactly one. Other parameters are not looked at (section 2.5).
fn only_token(form: &[u8]) -> Option<String> {
    let mut tokens = form_urlencoded::parse(form).filter(|(name, _)| name == "logout_token");
    match (tokens.next(), tokens.next()) {
        (Some((_, token)), None) => Some(token.into_owned()),
        _ => None,
    }
}

fn plain(status: StatusCode) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::bytes(Bytes::new()));
    *response.status_mut() = status;
    let no_store = HeaderValue::from_static("no-store");
    response.headers_mut().insert(CACHE_CONTROL, no_store);
    response
}

/// Section 2.8, with the error of [RFC 6749 section 5.2](https://www.rfc-editor.org/rfc/rfc6749#section-5.2).
fn invalid(status: StatusCode) -> Response<ResponseBody> {
    let mut response = plain(status);
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    *response.body_mut() = ResponseBody::bytes(r#"{"error":"invalid_request"}"#);
    response
}

fn refused(failure: Failure) -> Response<ResponseBody> {
    let mut response = match failure.kind() {
        FailureKind::Invalid(reason) => {
            trace::logout_refused(reason.as_str());
            invalid(StatusCode::BAD_REQUEST)
        }
        FailureKind::Unrecognized => {
            trace::logout_refused("no token");
            invalid(StatusCode::BAD_REQUEST)
        }
        // (E14: details for the operator, K02: revocation outages)
        FailureKind::Throttled | FailureKind::Unavailable => {
            trace::logout_not_done();
            let after = failure.retry_after().unwrap_or(RETRY);
            let mut response = plain(StatusCode::SERVICE_UNAVAILABLE);
            let seconds = retry_after_seconds(after);
            response.headers_mut().insert(RETRY_AFTER, seconds);
            response
        }
    };
    response.extensions_mut().insert(failure);
    response
}

impl<B> Service<Request<B>> for BackChannelLogout
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Send,
{
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = BoxFuture<Result<Response<ResponseBody>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let answer = self.clone().answer(request);
        Box::pin(async move { Ok(answer.await) })
    }
}

impl fmt::Debug for BackChannelLogout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackChannelLogout")
            .field("validator", &self.validator)
            .field("max_body", &self.max_body)
            .finish_non_exhaustive()
    }
}
