//! Where verifiers fetch the public keys.

use std::convert::Infallible;
use std::fmt;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use tower_service::Service;

use super::private_key::sha256;
use super::signing_keys::SigningKeys;
use crate::body::ResponseBody;
use crate::clock::{Clock, SystemClock};

/// For how long a verifier may keep the set, unless told otherwise.
const DEFAULT_MAX_AGE: Duration = Duration::from_secs(300);

/// Answers with the JWK Set of [`SigningKeys`]: a Tower service for the `jwks_uri` of an issuer, mostly
/// `/.well-known/jwks.json`. It is for everybody, so it stands outside of what asks for a credential.
///
/// GET and HEAD get `application/jwk-set+json` ([RFC 7517 section 8.5.2](https://www.rfc-editor.org/rfc/rfc7517#section-8.5.2)),
/// which the verifiers in use take, with `Cache-Control: public` and an `ETag`; who has the set already gets 304. Any other
/// method gets 405.
///
/// # Example
///
/// ```
/// use http::{Request, StatusCode};
/// use tower::ServiceExt;
/// use tower_bearer::issuing::{JwkSetEndpoint, SigningKey, SigningKeys};
/// use tower_bearer::jwt::Algorithm;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let keys = SigningKeys::new(SigningKey::generate(Algorithm::ES256)?)?;
/// let endpoint = JwkSetEndpoint::new(&keys);
/// // In axum: `Router::new().route_service("/.well-known/jwks.json", endpoint)`.
/// let response = endpoint.oneshot(Request::get("/.well-known/jwks.json").body(())?).await?;
/// assert_eq!(response.status(), StatusCode::OK);
/// assert_eq!(response.headers()["cache-control"], "public, max-age=300");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct JwkSetEndpoint {
    keys: SigningKeys,
    cache_control: HeaderValue,
    clock: Arc<dyn Clock>,
}

impl JwkSetEndpoint {
    /// Publishes these keys, whatever they are at the moment. Verifiers may keep them for 300 seconds.
    #[must_use]
    pub fn new(keys: &SigningKeys) -> Self {
        Self {
            keys: keys.clone(),
            cache_control: cache_control(DEFAULT_MAX_AGE),
            clock: Arc::new(SystemClock),
        }
    }

    /// For how long verifiers and caches on the way may keep the set, in full seconds. Default: 300. So long a key has to be
    /// published before it is used, and so long a key that was removed may be trusted elsewhere.
    #[must_use]
    pub fn with_max_age(mut self, max_age: Duration) -> Self {
        self.cache_control = cache_control(max_age);
        self
    }

    /// Takes the time, by which keys retire, from this clock. Default: that of the system.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    fn answer(&self, method: &Method, headers: &HeaderMap) -> Response<ResponseBody> {
        let mut response = Response::new(ResponseBody::bytes(Bytes::new()));
        if *method != Method::GET && *method != Method::HEAD {
            *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
            let allowed = HeaderValue::from_static("GET, HEAD");
            response.headers_mut().insert(ALLOW, allowed);
            return response;
        }
        let jwks = self.keys.jwks_json(self.clock.now());
        let tag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(sha256(jwks.as_bytes())));
        let is_known = is_among(&tag, headers);
        let answer = response.headers_mut();
        answer.insert(CACHE_CONTROL, self.cache_control.clone());
        // base64url between quotes is a value that a header can have.
        if let Ok(tag) = HeaderValue::try_from(tag) {
            answer.insert(ETAG, tag);
        }
        if is_known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return response;
        }
        answer.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/jwk-set+json"),
        );
        answer.insert(CONTENT_LENGTH, HeaderValue::from(jwks.len()));
        if *method == Method::GET {
            *response.body_mut() = ResponseBody::bytes(Bytes::copy_from_slice(jwks.as_bytes()));
        }
        response
    }
}

/// [RFC 9110 section 13.1.2](https://www.rfc-editor.org/rfc/rfc9110#section-13.1.2), where weak tags count too.
fn is_among(tag: &str, headers: &HeaderMap) -> bool {
    headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        // The tag has no comma.
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

fn cache_control(max_age: Duration) -> HeaderValue {
    let value = format!("public, max-age={}", max_age.as_secs());
    HeaderValue::try_from(value).unwrap_or_else(|_| HeaderValue::from_static("no-store"))
}

impl<B> Service<Request<B>> for JwkSetEndpoint {
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = Ready<Result<Response<ResponseBody>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ready(Ok(self.answer(request.method(), request.headers())))
    }
}

impl fmt::Debug for JwkSetEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwkSetEndpoint")
            .field("keys", &self.keys)
            .field("cache_control", &self.cache_control)
            .finish_non_exhaustive()
    }
}
