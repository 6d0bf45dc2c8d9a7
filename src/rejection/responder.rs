//! How a refusal looks: a problem document, a gRPC status, or what the application makes of it.

use std::fmt;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};

use super::challenge::Challenge;
use super::mapping::{Answer, Challenges, answer};
use super::reason::{Rejection, RejectionKind};
use crate::extract::{Kind, Scheme, Sources};
use crate::request::RequestView;

/// Makes the body of a refusal, and its status where that should differ.
///
/// Implemented by [`ProblemDetails`], the default, and by closures. Whatever it returns, the layer
/// adds the [`Rejection`] to the extensions, `Cache-Control: no-store` and `Retry-After` where they
/// are missing, and the challenges, unless it brings its own, if the status is that of the rejection or
/// 401. It drops the body for HEAD. gRPC requests (a POST with `content-type: application/grpc..`) are always
/// answered with a gRPC status.
///
/// # Example
///
/// Hide from strangers what exists, and speak the application's own JSON:
///
/// ```
/// use bytes::Bytes;
/// use http::{Response, StatusCode};
/// use tower_bearer::{BearerAuthLayer, Credential, Failure, Rejection, RequestView, validator_fn};
///
/// let validator = validator_fn(|_: Credential<'_>| Ok::<_, Failure>("somebody"));
/// let layer = BearerAuthLayer::new(validator).with_responder(
///     |rejection: &Rejection, _: &RequestView<'_>| {
///         let status = match rejection.status() {
///             StatusCode::FORBIDDEN => StatusCode::NOT_FOUND,
///             status => status,
///         };
///         let mut response = Response::new(Bytes::from_static(b"{\"ok\":false}"));
///         *response.status_mut() = status;
///         response
///     },
/// );
/// # let _ = layer;
/// ```
pub trait Responder: Send + Sync {
    /// Makes the response. The challenges need not be set.
    fn respond(&self, rejection: &Rejection, request: &RequestView<'_>) -> Response<Bytes>;
}

impl<F> Responder for F
where
    F: Fn(&Rejection, &RequestView<'_>) -> Response<Bytes> + Send + Sync,
{
    fn respond(&self, rejection: &Rejection, request: &RequestView<'_>) -> Response<Bytes> {
        self(rejection, request)
    }
}

/// Gives a closure the types of a [`Responder`], so that it needs none of its own.
///
/// ```
/// use bytes::Bytes;
/// use http::Response;
/// use tower_bearer::{BearerAuthLayer, Failure, responder_fn, validator_fn};
///
/// let layer = BearerAuthLayer::new(validator_fn(|_| Ok::<_, Failure>("somebody")))
///     .with_responder(responder_fn(|rejection, _| {
///         let mut response = Response::new(Bytes::from_static(b"no"));
///         *response.status_mut() = rejection.status();
///         response
///     }));
/// # let _ = layer;
/// ```
pub fn responder_fn<F>(f: F) -> F
where
    F: Fn(&Rejection, &RequestView<'_>) -> Response<Bytes> + Send + Sync,
{
    f
}

/// Answers with `application/problem+json`
/// ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)): type, title, status, detail, and the OAuth
/// error code as the member `error`.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct ProblemDetails;

impl Responder for ProblemDetails {
    fn respond(&self, rejection: &Rejection, _: &RequestView<'_>) -> Response<Bytes> {
        let answer = answer(rejection.kind());
        let mut response = Response::new(Bytes::from_static(answer.problem.as_bytes()));
        *response.status_mut() = answer.status;
        response.headers_mut().insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        response
    }
}

/// Everything that an answer needs besides the rejection.
#[derive(Clone)]
pub(crate) struct RejectionResponses {
    responder: Arc<dyn Responder>,
    challenges: Vec<Offer>,
}

/// A challenge that is offered, with the frequent ones made in advance.
#[derive(Clone)]
struct Offer {
    scheme: Scheme,
    challenge: Challenge,
    plain: HeaderValue,
    invalid_token: HeaderValue,
    invalid_request: HeaderValue,
}

impl RejectionResponses {
    pub(crate) fn new(responder: Arc<dyn Responder>, sources: &Sources, realm: &str) -> Self {
        let challenges = challenges(sources, realm)
            .into_iter()
            .map(|(scheme, challenge)| Offer {
                scheme,
                plain: challenge.to_header_value(),
                invalid_token: with_error(scheme, &challenge, Some("invalid_token"))
                    .to_header_value(),
                invalid_request: with_error(scheme, &challenge, Some("invalid_request"))
                    .to_header_value(),
                challenge,
            })
            .collect();
        Self {
            responder,
            challenges,
        }
    }

    pub(crate) fn responder(&self) -> Arc<dyn Responder> {
        Arc::clone(&self.responder)
    }

    pub(crate) fn with_responder(&self, responder: Arc<dyn Responder>) -> Self {
        Self {
            responder,
            challenges: self.challenges.clone(),
        }
    }

    /// Turns a rejection into a response.
    #[cold]
    pub(crate) fn respond(
        &self,
        rejection: &Rejection,
        request: &RequestView<'_>,
    ) -> Response<Bytes> {
        let answer = answer(rejection.kind());
        // gRPC is POST; anything else only claims to be.
        let grpc_type =
            grpc_content_type(request.headers()).filter(|_| *request.method() == Method::POST);
        let mut response = match grpc_type {
            Some(content_type) => grpc(&answer, content_type),
            None => {
                let mut response = self.responder.respond(rejection, request);
                if *request.method() == Method::HEAD {
                    let body = mem::take(response.body_mut());
                    // RFC 9110 section 8.6: the length of what GET would send. Without it, axum
                    // announces that of the empty body.
                    response
                        .headers_mut()
                        .entry(CONTENT_LENGTH)
                        .or_insert_with(|| HeaderValue::from(body.len()));
                }
                response
            }
        };
        let status = response.status();
        let headers = response.headers_mut();
        // There are one or two, so to read them is faster than to look for three.
        let present = PresentHeaders::read(headers);
        let is_expected =
            present.grpc_status || status == answer.status || status == StatusCode::UNAUTHORIZED;
        if !present.challenge && is_expected {
            self.challenge(rejection, &answer, status, headers);
        }
        if let Some(after) = rejection.retry_after()
            && !present.retry_after
        {
            headers.insert(RETRY_AFTER, retry_after_seconds(after));
        }
        if !present.cache_control {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        response.extensions_mut().insert(rejection.clone());
        response
    }

    /// One challenge a header line: several in one line are hard to tell apart
    /// ([RFC 9110 section 11.6.1](https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1)).
    fn challenge(
        &self,
        rejection: &Rejection,
        answer: &Answer,
        status: StatusCode,
        headers: &mut HeaderMap,
    ) {
        let used = rejection.scheme();
        for offer in &self.challenges {
            let is_used = used.is_none_or(|used| used == offer.scheme);
            let value = match answer.challenge {
                // RFC 9110 section 15.5.2: a responder may have made a 401 of it.
                Challenges::None if status == StatusCode::UNAUTHORIZED => offer.plain.clone(),
                Challenges::None => continue,
                Challenges::Used if !is_used => continue,
                Challenges::All if !is_used => offer.plain.clone(),
                Challenges::All | Challenges::Used => offer.value(rejection, answer),
            };
            headers.append(WWW_AUTHENTICATE, value);
        }
    }
}

impl Offer {
    fn value(&self, rejection: &Rejection, answer: &Answer) -> HeaderValue {
        match rejection.kind() {
            RejectionKind::InvalidToken(_) => return self.invalid_token.clone(),
            RejectionKind::InvalidRequest(_) => return self.invalid_request.clone(),
            RejectionKind::MissingCredential if rejection.scopes().is_empty() => {
                return self.plain.clone();
            }
            _ => {}
        }
        if self.scheme == Scheme::Basic {
            return self.plain.clone();
        }
        self.challenge.with(
            answer.error,
            rejection.acr_values(),
            rejection.scopes(),
            rejection.max_age(),
        )
    }
}

/// Returns one challenge for each scheme that the sources offer, in their order.
fn challenges(sources: &Sources, realm: &str) -> Vec<(Scheme, Challenge)> {
    let mut challenges: Vec<(Scheme, Challenge)> = Vec::new();
    for kind in sources.kinds() {
        let (scheme, challenge) = match kind {
            Kind::ApiKey(header) => (Scheme::ApiKey, Challenge::api_key(realm, header.as_str())),
            Kind::Basic => (Scheme::Basic, Challenge::basic(realm)),
            Kind::Bearer | Kind::WebSocketProtocol { .. } => {
                (Scheme::Bearer, Challenge::bearer(realm))
            }
            Kind::Cookie { name } => (Scheme::Cookie, Challenge::cookie(realm, name)),
        };
        if !challenges.iter().any(|(_, known)| *known == challenge) {
            challenges.push((scheme, challenge));
        }
    }
    challenges
}

/// Whole seconds, and never "at once".
pub(crate) fn retry_after_seconds(after: Duration) -> HeaderValue {
    let seconds = after
        .as_secs()
        .saturating_add(u64::from(after.subsec_nanos() > 0));
    HeaderValue::from(seconds.max(1))
}

/// What a responder has set itself.
struct PresentHeaders {
    challenge: bool,
    retry_after: bool,
    cache_control: bool,
    grpc_status: bool,
}

impl PresentHeaders {
    fn read(headers: &HeaderMap) -> Self {
        let mut present = Self {
            challenge: false,
            retry_after: false,
            cache_control: false,
            grpc_status: false,
        };
        for name in headers.keys() {
            present.challenge |= *name == WWW_AUTHENTICATE;
            present.retry_after |= *name == RETRY_AFTER;
            present.cache_control |= *name == CACHE_CONTROL;
            present.grpc_status |= *name == GRPC_STATUS;
        }
        present
    }
}

/// RFC 7617 knows no parameter for errors.
fn with_error(scheme: Scheme, challenge: &Challenge, error: Option<&str>) -> Challenge {
    match error {
        Some(error) if scheme != Scheme::Basic => challenge.clone().error(error),
        _ => challenge.clone(),
    }
}

impl fmt::Debug for RejectionResponses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.challenges.iter().map(|offer| &offer.challenge))
            .finish()
    }
}

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// A gRPC response of headers alone ("Trailers-Only"): HTTP 200, and the status as a header. gRPC-Web
/// clients read it from there as well.
fn grpc(answer: &Answer, content_type: &'static str) -> Response<Bytes> {
    let (code, message) = answer.grpc;
    let mut response = Response::new(Bytes::new());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(GRPC_STATUS, HeaderValue::from_static(code));
    headers.insert(GRPC_MESSAGE, HeaderValue::from_static(message));
    response
}

/// The content type of the answer to a gRPC request, `None` for all others.
fn grpc_content_type(headers: &HeaderMap) -> Option<&'static str> {
    let content_type = headers.get(CONTENT_TYPE)?.as_bytes();
    let essence = content_type
        .split(|byte| matches!(byte, b';' | b' ' | b'\t'))
        .next()?;
    let essence = essence.to_ascii_lowercase();
    let rest = essence.strip_prefix(b"application/grpc")?;
    let (kind, format) = match rest.iter().position(|byte| *byte == b'+') {
        Some(plus) => rest.split_at(plus),
        None => (rest, &b""[..]),
    };
    match (kind, format) {
        (b"", b"+proto") => Some("application/grpc+proto"),
        (b"", _) => Some("application/grpc"),
        (b"-web", b"+proto") => Some("application/grpc-web+proto"),
        (b"-web", _) => Some("application/grpc-web"),
        (b"-web-text", b"+proto") => Some("application/grpc-web-text+proto"),
        (b"-web-text", _) => Some("application/grpc-web-text"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_request_is_detected_by_its_content_type() {
        for (content_type, expected) in [
            ("application/grpc", Some("application/grpc")),
            ("application/grpc+proto", Some("application/grpc+proto")),
            ("application/grpc+json", Some("application/grpc")),
            ("application/grpc;charset=utf-8", Some("application/grpc")),
            ("Application/GRPC", Some("application/grpc")),
            ("application/grpc-web", Some("application/grpc-web")),
            (
                "application/grpc-web+proto",
                Some("application/grpc-web+proto"),
            ),
            (
                "application/grpc-web-text",
                Some("application/grpc-web-text"),
            ),
            ("application/grpcx", None),
            ("application/grpc-webx", None),
            ("application/json", None),
            ("text/application/grpc", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
            assert_eq!(grpc_content_type(&headers), expected, "{content_type}");
        }
    }
}
