//! One request to an issuer, and its whole answer.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING};
use http::{HeaderValue, Request, Response};
use tokio::time::Instant;

use super::url::{AddressPolicy, CheckedUrl};
use crate::validator::BoxFuture;

/// Sends a request to an issuer: the HTTP client of this module.
///
/// [`HttpFetcher`](super::HttpFetcher) is the default. Write your own to go through another client, to
/// count and trace what is sent, or to answer from memory in a test.
///
/// Its types are those of the crates `http` and `bytes`. It is called inside a task on the tokio runtime of whoever needs the answer, which may be another
/// one each time. The future is dropped when the answer takes too long.
///
/// # Example
///
/// ```
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use tower_bearer::BoxFuture;
/// use tower_bearer::provider::{Fetch, FetchError, RemoteKeys};
///
/// /// Answers every request with one JWK Set.
/// struct Fixed(&'static str);
///
/// impl Fetch for Fixed {
///     fn fetch(
///         &self,
///         _: Request<Bytes>,
///         _: usize,
///     ) -> BoxFuture<Result<Response<Bytes>, FetchError>> {
///         let body = Bytes::from_static(self.0.as_bytes());
///         Box::pin(async move { Ok(Response::new(body)) })
///     }
/// }
///
/// # #[cfg(any(feature = "aws_lc_rs", feature = "rust_crypto"))]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), tower_bearer::provider::ProviderError> {
/// let jwks = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"1","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
/// let keys = RemoteKeys::builder("https://issuer.example/jwks.json")
///     .fetcher(Fixed(jwks))
///     .connect()
///     .await?;
/// assert_eq!(keys.status().keys().count(), 1);
/// # Ok(())
/// # }
/// # #[cfg(not(any(feature = "aws_lc_rs", feature = "rust_crypto")))]
/// # fn main() {}
/// ```
pub trait Fetch: Send + Sync + 'static {
    /// Sends one request and returns the whole answer, whatever its status.
    ///
    /// It must not follow redirects: only the address in the request has been checked. It must not read more
    /// than `max_body` bytes of a body. A fetcher that wraps another fetcher has to keep the extensions of
    /// the request. Without them, [`HttpFetcher`](super::HttpFetcher) rejects the host that
    /// [`insecure_http_host`](super::RemoteKeysBuilder::insecure_http_host) names.
    ///
    /// # Errors
    ///
    /// [`FetchError`] if there is no answer, or none that is whole and within `max_body`.
    fn fetch(
        &self,
        request: Request<Bytes>,
        max_body: usize,
    ) -> BoxFuture<Result<Response<Bytes>, FetchError>>;
}

impl<F: Fetch + ?Sized> Fetch for Arc<F> {
    fn fetch(
        &self,
        request: Request<Bytes>,
        max_body: usize,
    ) -> BoxFuture<Result<Response<Bytes>, FetchError>> {
        (**self).fetch(request, max_body)
    }
}

/// Why a request got no whole answer.
///
/// Neither `Debug` nor `Display` shows the error behind it, because such texts may quote their input;
/// it is found as its [`source`](Error::source).
///
/// # Example
///
/// ```
/// use tower_bearer::provider::{FetchError, FetchErrorKind};
///
/// let cause = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
/// let error = FetchError::new(FetchErrorKind::Incomplete).with_source(cause);
/// assert_eq!(error.to_string(), "the connection ended before the answer was whole");
/// ```
#[derive(Clone)]
pub struct FetchError {
    kind: FetchErrorKind,
    /// A text that is known to hold nothing from a request or a body.
    detail: Option<Arc<str>>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

/// The kinds of [`FetchError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FetchErrorKind {
    /// No connection: the name is not known, nobody listens, or the certificate is not accepted.
    Connect,
    /// The body is not JSON in plain UTF-8: it is compressed, although the request accepts `identity`
    /// alone, or begins with a byte order mark.
    Encoding,
    /// The connection ended, or broke the protocol, before the answer was whole.
    Incomplete,
    /// Anything else.
    Other,
    /// The address must not be asked.
    Refused,
    /// No whole answer in time.
    TimedOut,
    /// The body is longer than accepted.
    TooLong,
}

impl FetchError {
    /// An error of this kind.
    #[must_use]
    pub fn new(kind: FetchErrorKind) -> Self {
        Self {
            kind,
            detail: None,
            source: None,
        }
    }

    /// Attaches the error behind it, for the operator.
    #[must_use]
    pub fn with_source(mut self, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(Arc::from(error.into()));
        self
    }

    pub(super) fn with_detail(mut self, detail: impl AsRef<str>) -> Self {
        self.detail = Some(Arc::from(detail.as_ref()));
        self
    }

    /// What kind of error it is.
    #[must_use]
    pub fn kind(&self) -> FetchErrorKind {
        self.kind
    }
}

impl fmt::Debug for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FetchError")
            .field("kind", &self.kind)
            .field("detail", &self.detail)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            FetchErrorKind::Connect => "no connection could be made",
            FetchErrorKind::Encoding => "the body cannot be read",
            FetchErrorKind::Incomplete => "the connection ended before the answer was whole",
            FetchErrorKind::Other => "the request could not be sent",
            FetchErrorKind::Refused => "the address is refused",
            FetchErrorKind::TimedOut => "no whole answer in time",
            FetchErrorKind::TooLong => "the body is longer than accepted",
        })?;
        match &self.detail {
            Some(detail) => write!(f, " ({detail})"),
            None => Ok(()),
        }
    }
}

impl Error for FetchError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source
            .as_deref()
            .map(|error| error as &(dyn Error + 'static))
    }
}

/// A fetcher with limits that hold whatever the fetcher does.
#[derive(Clone)]
pub(crate) struct Exchange {
    fetcher: Arc<dyn Fetch>,
    timeout: Duration,
    max_body: usize,
    addresses: AddressPolicy,
}

impl Exchange {
    pub(crate) fn new(
        fetcher: Arc<dyn Fetch>,
        timeout: Duration,
        max_body: usize,
        addresses: AddressPolicy,
    ) -> Self {
        Self {
            fetcher,
            timeout,
            max_body,
            addresses,
        }
    }

    /// How long all requests of one attempt may take together.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// When an attempt that begins now has to be over. Only within a tokio runtime.
    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }

    /// Sends one request. Only within a tokio runtime; the address has to be that of a [`CheckedUrl`].
    pub(crate) async fn send(
        &self,
        mut request: Request<Bytes>,
        deadline: Instant,
    ) -> Result<Response<Bytes>, FetchError> {
        // RFC 9110 section 12.5.3: without this header any coding is acceptable.
        let identity = HeaderValue::from_static("identity");
        request.headers_mut().insert(ACCEPT_ENCODING, identity);
        if !self.addresses.is_default() {
            // The fetcher reads the allowed host from this extension.
            request.extensions_mut().insert(self.addresses.clone());
        }
        let answer = self.fetcher.fetch(request, self.max_body);
        let answer = tokio::time::timeout_at(deadline, answer)
            .await
            .map_err(|_| FetchError::new(FetchErrorKind::TimedOut))??;
        if answer.body().len() > self.max_body {
            return Err(too_long(self.max_body));
        }
        match answer.status().is_success().then(|| unreadable(&answer)) {
            Some(Some(error)) => Err(error),
            _ => Ok(answer),
        }
    }
}

/// Returns an error if a body is compressed or begins with a byte order mark (G02: compression is rejected).
/// The JSON parser could not name the cause.
fn unreadable(answer: &Response<Bytes>) -> Option<FetchError> {
    const MARKS: [&[u8]; 3] = [b"\xef\xbb\xbf", b"\xfe\xff", b"\xff\xfe"];
    let body = answer.body();
    let coding = answer.headers().get(CONTENT_ENCODING);
    let coding = coding.map(|coding| coding.to_str().unwrap_or_default().trim());
    let problem = match coding {
        Some(coding) if !coding.is_empty() && !coding.eq_ignore_ascii_case("identity") => {
            // Only known names; no other text of a header.
            let is_known = |name: &str| {
                let known = ["gzip", "x-gzip", "deflate", "br", "zstd", "compress"];
                known.iter().any(|known| known.eq_ignore_ascii_case(name.trim()))
            };
            let coding = match coding.split(',').all(is_known) {
                true => coding,
                false => "another one",
            };
            format!(
                "it has the `Content-Encoding` {coding}, although the request accepts `identity` alone; configure the server, or the proxy in front of it, not to compress, or decompress and remove the header in a `Fetch` of your own"
            )
        }
        _ if body.starts_with(b"\x1f\x8b") => "it is compressed by gzip without a `Content-Encoding`; configure the server not to compress, or decompress in a `Fetch` of your own".to_owned(),
        _ if MARKS.iter().any(|mark| body.starts_with(mark)) => "it begins with a byte order mark, which JSON does not have (RFC 8259 section 8.1); configure the server to write UTF-8 without one, or strip it in a `Fetch` of your own".to_owned(),
        _ => return None,
    };
    Some(FetchError::new(FetchErrorKind::Encoding).with_detail(problem))
}

/// A request for JSON, or for a JWK Set, which has a type of its own
/// ([RFC 7517 section 8.5](https://www.rfc-editor.org/rfc/rfc7517#section-8.5)).
pub(crate) fn get_json(url: &CheckedUrl) -> Request<Bytes> {
    let mut request = Request::new(Bytes::new());
    *request.uri_mut() = url.uri().clone();
    let accept = HeaderValue::from_static("application/json, application/jwk-set+json");
    request.headers_mut().insert(ACCEPT, accept);
    request
}

pub(super) fn too_long(max_body: usize) -> FetchError {
    FetchError::new(FetchErrorKind::TooLong).with_detail(format!("at most {max_body} bytes"))
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("timeout", &self.timeout)
            .field("max_body", &self.max_body)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers with a body of this many bytes, or never.
    struct Careless(Option<usize>);

    impl Fetch for Careless {
        fn fetch(
            &self,
            _: Request<Bytes>,
            _: usize,
        ) -> BoxFuture<Result<Response<Bytes>, FetchError>> {
            let length = self.0;
            Box::pin(async move {
                match length {
                    Some(length) => Ok(Response::new(Bytes::from(vec![b' '; length]))),
                    None => std::future::pending().await,
                }
            })
        }
    }

    #[tokio::test]
    async fn fetch_limits_hold_for_any_fetcher() {
        // (E04: allowed addresses)
        for (length, expected) in [
            (Some(8), None),
            (Some(9), Some(FetchErrorKind::TooLong)),
            (None, Some(FetchErrorKind::TimedOut)),
        ] {
            let exchange = Exchange::new(
                Arc::new(Careless(length)),
                Duration::from_millis(20),
                8,
                AddressPolicy::default(),
            );
            let answer = exchange.send(Request::default(), exchange.deadline()).await;
            assert_eq!(
                answer.err().map(|error| error.kind()),
                expected,
                "{length:?}"
            );
        }
    }

    #[test]
    fn fetch_error_text_hides_its_source() {
        // (E14: details for the operator)
        let error = FetchError::new(FetchErrorKind::Other).with_source("token=secret");
        assert_eq!(error.to_string(), "the request could not be sent");
        assert!(!format!("{error:?}").contains("secret"));
        assert_eq!(error.source().unwrap().to_string(), "token=secret");
    }
}
