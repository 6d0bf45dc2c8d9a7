//! The HTTP client.

use std::error::Error;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use reqwest::Client;
use reqwest::redirect::Policy;

use super::fetch::{Fetch, FetchError, FetchErrorKind, too_long};
use super::url::{CheckedUrl, checked_url};
use crate::validator::BoxFuture;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the text of an error may be.
const MAX_DETAIL: usize = 200;

/// Sends requests over HTTP/1.1, with TLS by rustls.
///
/// * `https` only; `http` only to 127.0.0.0/8, `[::1]` and `localhost`, which is never looked up.
/// * Redirects are not followed, cookies are not kept, and nothing is decompressed.
/// * A body is read up to the limit and no further, whether or not its length was announced.
/// * Certificates are checked by the platform: on Linux against the certificates of the system, or those
///   that the environment variables `SSL_CERT_FILE` and `SSL_CERT_DIR` name.
/// * `https` goes through the proxy that the environment names (`HTTPS_PROXY`, `ALL_PROXY`,
///   `NO_PROXY`), `http` never does.
///
/// Clones share one client.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use tower_bearer::issuer::HttpFetcher;
///
/// let fetcher = HttpFetcher::new().with_timeout(Duration::from_secs(2));
/// # let _ = fetcher;
/// ```
#[derive(Clone)]
pub struct HttpFetcher {
    timeout: Duration,
    idle_connections: usize,
    clients: Arc<Clients>,
}

/// Made when they are needed: without certificates on the machine there is none for `https`.
#[derive(Default)]
struct Clients {
    https: OnceLock<Client>,
    loopback: OnceLock<Client>,
}

impl Default for HttpFetcher {
    fn default() -> Self {
        Self::new()
    }
}

impl HttpFetcher {
    /// A fetcher with the defaults.
    #[must_use]
    pub fn new() -> Self {
        Self {
            timeout: Duration::from_secs(5),
            idle_connections: 0,
            clients: Arc::default(),
        }
    }

    /// Replaces the time that one request may take, until its answer is whole. To make the
    /// connection, 2 seconds of it at most.
    ///
    /// Default: 5 seconds.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self.clients = Arc::default();
        self
    }

    /// Replaces the number of connections to one server that are kept for the next request. They belong
    /// to the runtime they were made on, so keep none if requests come from several.
    ///
    /// Default: 0, since keys are fetched rarely.
    #[must_use]
    pub fn with_idle_connections(mut self, idle_connections: usize) -> Self {
        self.idle_connections = idle_connections;
        self.clients = Arc::default();
        self
    }

    fn client(&self, plain: bool) -> Result<&Client, FetchError> {
        let place = match plain {
            true => &self.clients.loopback,
            false => &self.clients.https,
        };
        if let Some(client) = place.get() {
            return Ok(client);
        }
        let client = self.build(plain).map_err(|error| {
            let detail = root_cause(&error);
            FetchError::new(FetchErrorKind::Other)
                .with_detail(format!("no HTTP client could be made: {detail}"))
                .with_source(error)
        })?;
        Ok(place.get_or_init(|| client))
    }

    fn build(&self, plain: bool) -> reqwest::Result<Client> {
        // Everything is said, because another crate of the same build may turn on features of the
        // client that change its defaults.
        let builder = Client::builder()
            .user_agent(concat!("tower-bearer/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .referer(false)
            .no_gzip()
            .no_brotli()
            .no_deflate()
            .no_zstd()
            .http1_only()
            .tls_backend_rustls()
            .https_only(!plain)
            .connect_timeout(CONNECT_TIMEOUT.min(self.timeout))
            .timeout(self.timeout)
            .pool_max_idle_per_host(self.idle_connections);
        if !plain {
            return builder.build();
        }
        // A name server must not say where `localhost` is, nor a proxy see what is sent in the clear.
        let here = [
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(Ipv6Addr::LOCALHOST),
        ];
        builder
            .no_proxy()
            .resolve_to_addrs("localhost", &here.map(|ip| SocketAddr::new(ip, 0)))
            .tls_certs_only([])
            .build()
    }

    async fn send(
        &self,
        url: CheckedUrl,
        request: Request<Bytes>,
        max_body: usize,
    ) -> Result<Response<Bytes>, FetchError> {
        let (parts, body) = request.into_parts();
        let mut request = reqwest::Request::new(parts.method, url.url().clone());
        *request.headers_mut() = parts.headers;
        if !body.is_empty() {
            *request.body_mut() = Some(body.into());
        }
        let client = self.client(url.is_plain())?;
        let mut answer = client.execute(request).await.map_err(fetch_error)?;

        // E04: the announced length first, and then what really comes.
        let announced = answer.content_length().unwrap_or(0);
        if usize::try_from(announced).map_or(true, |length| length > max_body) {
            return Err(too_long(max_body));
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = answer.chunk().await.map_err(fetch_error)? {
            if chunk.len() > max_body - body.len() {
                return Err(too_long(max_body));
            }
            body.extend_from_slice(&chunk);
        }
        let mut whole = Response::new(body.freeze());
        *whole.status_mut() = answer.status();
        *whole.headers_mut() = std::mem::take(answer.headers_mut());
        Ok(whole)
    }
}

impl Fetch for HttpFetcher {
    fn fetch(
        &self,
        request: Request<Bytes>,
        max_body: usize,
    ) -> BoxFuture<Result<Response<Bytes>, FetchError>> {
        let this = self.clone();
        Box::pin(async move {
            let url = checked_url(&request.uri().to_string())
                .map_err(|problem| FetchError::new(FetchErrorKind::Refused).with_detail(problem))?;
            this.send(url, request, max_body).await
        })
    }
}

impl fmt::Debug for HttpFetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The client would show its proxies, with their passwords.
        f.debug_struct("HttpFetcher")
            .field("timeout", &self.timeout)
            .field("idle_connections", &self.idle_connections)
            .finish_non_exhaustive()
    }
}

fn fetch_error(error: reqwest::Error) -> FetchError {
    let kind = if error.is_timeout() {
        FetchErrorKind::TimedOut
    } else if error.is_connect() {
        FetchErrorKind::Connect
    } else {
        FetchErrorKind::Incomplete
    };
    // Its own text names the address, with its query.
    let error = error.without_url();
    let fetch_error = FetchError::new(kind);
    let fetch_error = match kind {
        FetchErrorKind::Connect => fetch_error.with_detail(root_cause(&error)),
        _ => fetch_error,
    };
    fetch_error.with_source(error)
}

/// What the operating system or the check of the certificate said.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    let text = cause.to_string();
    text.chars()
        .filter(|character| !character.is_control())
        .take(MAX_DETAIL)
        .collect()
}
