//! The HTTP client.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Request, Response};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client};
use zeroize::Zeroizing;

use super::error::ProviderError;
use super::fetch::{Fetch, FetchError, FetchErrorKind, too_long};
use super::url::{AddressPolicy, CheckedUrl, Transport, checked_url, shown};
use crate::extract::Credential;
use crate::jwt::{is_certificate, pem};
use crate::validator::BoxFuture;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the text of an error may be.
const MAX_DETAIL: usize = 200;

/// Sends requests over HTTP/1.1, with TLS by rustls.
///
/// * `https` only; `http` only to 127.0.0.0/8, `[::1]` and `localhost` (without a DNS lookup), and to the one
///   host that `insecure_http_host` of [`RemoteKeysBuilder`](super::RemoteKeysBuilder::insecure_http_host) or
///   `IntrospectionBuilder` names.
/// * Redirects are not followed, cookies are not kept, and nothing is decompressed.
/// * A body is read up to the limit and no further, whether or not its length was announced.
/// * Certificates are checked by the platform: on Linux against the certificates of the system, or those
///   that the environment variables `SSL_CERT_FILE` and `SSL_CERT_DIR` name.
///   [`with_root_certificates_pem`](Self::with_root_certificates_pem) adds others.
/// * No credentials are sent, except the token of [`with_bearer_token`](Self::with_bearer_token) to its origin.
/// * `https` goes through the proxy that the environment names (`HTTPS_PROXY`, `ALL_PROXY`,
///   `NO_PROXY`), `http` never does.
///
/// Clones share one client.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use tower_bearer::provider::HttpFetcher;
///
/// let fetcher = HttpFetcher::new().with_timeout(Duration::from_secs(2));
/// # let _ = fetcher;
/// ```
///
/// The keys of a Kubernetes cluster. Its API server requires the token of a service account, and its
/// certificate is issued by the authority of the cluster:
///
/// ```no_run
/// use tower_bearer::provider::{HttpFetcher, RemoteKeys};
///
/// # async fn main_() -> Result<(), Box<dyn std::error::Error>> {
/// const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
///
/// let api_server = "https://kubernetes.default.svc";
/// let ca = std::fs::read(format!("{ACCOUNT}/ca.crt"))?;
/// let fetcher = HttpFetcher::new()
///     .with_root_certificates_pem(ca)?
///     // The file is replaced before its token expires, so it is read for each request.
///     .with_bearer_token(api_server, || async {
///         Ok(std::fs::read_to_string(format!("{ACCOUNT}/token"))?)
///     })?;
/// let keys = RemoteKeys::builder(format!("{api_server}/openid/v1/jwks"))
///     .fetcher(fetcher)
///     .connect()
///     .await?;
/// # let _ = keys; Ok(()) }
/// ```
#[derive(Clone)]
pub struct HttpFetcher {
    timeout: Duration,
    idle_connections: usize,
    roots: Vec<Certificate>,
    tokens: Vec<BearerToken>,
    clients: Arc<Clients>,
}

/// A source of tokens for one origin.
#[derive(Clone)]
struct BearerToken {
    origin: CheckedUrl,
    source: Arc<dyn Fn() -> BoxFuture<Result<String, AnyError>> + Send + Sync>,
}

type AnyError = Box<dyn Error + Send + Sync>;

/// Made when they are needed: without certificates on the machine there is none for `https`.
#[derive(Default)]
struct Clients {
    https: OnceLock<Client>,
    http: OnceLock<Client>,
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
            roots: Vec::new(),
            tokens: Vec::new(),
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

    /// Adds certificates of authorities in PEM, as one or more `CERTIFICATE` blocks. They are accepted in
    /// addition to those of the platform, for `https` to any host. Clusters and company networks often have
    /// their own authority.
    ///
    /// Default: the certificates of the platform. Certificates of repeated calls accumulate.
    ///
    /// # Errors
    ///
    /// [`ProviderError::Setting`] if the text has no block, or a block that is not an X.509 certificate, or a
    /// certificate that the TLS library rejects as an authority.
    pub fn with_root_certificates_pem(
        mut self,
        pem: impl AsRef<[u8]>,
    ) -> Result<Self, ProviderError> {
        let wrong = |problem: &str| ProviderError::Setting {
            setting: "with_root_certificates_pem",
            problem: problem.to_owned(),
        };
        let not_certificates = "expected the text (not the path) of PEM blocks with the label `CERTIFICATE`, each an X.509 certificate";
        let blocks = pem::all(pem.as_ref()).map_err(|_| wrong(not_certificates))?;
        if blocks.is_empty() {
            return Err(wrong(not_certificates));
        }
        for block in blocks {
            let certificate = match block.label {
                "CERTIFICATE" if is_certificate(&block.der) => Certificate::from_der(&block.der),
                _ => return Err(wrong(not_certificates)),
            };
            self.roots
                .push(certificate.map_err(|_| wrong(not_certificates))?);
        }
        self.clients = Arc::default();
        // Checked here, since a certificate that the TLS library rejects would fail every later request, to any host.
        let cannot_be_used = |error| {
            let cause = root_cause(&error);
            wrong(&format!(
                "has a certificate that cannot be used as an authority: {cause}"
            ))
        };
        self.build(false).map_err(cannot_be_used)?;
        Ok(self)
    }

    /// Sends a bearer token with the requests to one origin: scheme, host and port, such as
    /// `https://kubernetes.default.svc`. No other origin receives it, in particular no `jwks_uri`
    /// elsewhere that the metadata of the issuer names.
    ///
    /// The closure is called for each request, within the time that the request may take, so it can return a
    /// token that is replaced from time to time. White space around the token is removed. If the closure
    /// fails, the request fails. The token appears in no event, error or `Debug` output. A request that
    /// already has an `Authorization` header keeps it.
    ///
    /// Default: no token. Each origin has its own source. A second call for the same origin replaces the source.
    ///
    /// # Errors
    ///
    /// [`ProviderError::Url`] if the origin is neither `https` nor `http` on this machine, or if it has a path,
    /// a query, a user or a fragment. `insecure_http_host` does not apply, because the token would cross a
    /// network in the clear.
    pub fn with_bearer_token<F, R>(
        mut self,
        origin: impl AsRef<str>,
        source: F,
    ) -> Result<Self, ProviderError>
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<String, Box<dyn Error + Send + Sync>>> + Send + 'static,
    {
        let text = origin.as_ref();
        let origin = match checked_url(text) {
            Ok(url) if url.url().path() != "/" || url.url().query().is_some() => {
                Err("expected an origin: scheme, host and port, without path and query")
            }
            checked => checked,
        };
        let origin = origin.map_err(|expected| ProviderError::Url {
            what: "origin of the bearer token",
            url: shown(text),
            expected,
        })?;
        self.tokens.retain(|other| !other.is_for(&origin));
        self.tokens.push(BearerToken {
            origin,
            source: Arc::new(move || Box::pin(source())),
        });
        Ok(self)
    }

    fn client(&self, plain: bool) -> Result<&Client, FetchError> {
        let place = match plain {
            true => &self.clients.http,
            false => &self.clients.https,
        };
        if let Some(client) = place.get() {
            return Ok(client);
        }
        let client = self.build(plain).map_err(|error| {
            let detail = root_cause(&error);
            FetchError::new(FetchErrorKind::Other)
                .with_detail(format!(
                    "no HTTP client could be made: {detail}{}",
                    authority_hint(&detail)
                ))
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
            let roots = self.roots.iter().cloned();
            return builder.tls_certs_merge(roots).build();
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

    /// Adds the bearer token for the origin of an address, if the origin has a source.
    async fn with_token(
        &self,
        url: &CheckedUrl,
        mut headers: HeaderMap,
    ) -> Result<HeaderMap, FetchError> {
        let token = self.tokens.iter().find(|token| token.is_for(url));
        let Some(token) = token.filter(|_| !headers.contains_key(AUTHORIZATION)) else {
            return Ok(headers);
        };
        let failed = |problem| FetchError::new(FetchErrorKind::Other).with_detail(problem);
        let token = (token.source)().await.map_err(|error| {
            failed("the source of `with_bearer_token` failed").with_source(error)
        })?;
        let token = Zeroizing::new(token);
        let unusable = "the source of `with_bearer_token` returned a text that is no bearer token";
        let token = token.trim_ascii();
        if Credential::bearer(token).is_none() {
            return Err(failed(unusable));
        }
        let value = Zeroizing::new(format!("Bearer {token}"));
        let mut value = HeaderValue::from_str(&value).map_err(|_| failed(unusable))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
        Ok(headers)
    }

    async fn send(
        &self,
        url: CheckedUrl,
        request: Request<Bytes>,
        max_body: usize,
    ) -> Result<Response<Bytes>, FetchError> {
        let (parts, body) = request.into_parts();
        let mut request = reqwest::Request::new(parts.method, url.url().clone());
        *request.headers_mut() = self.with_token(&url, parts.headers).await?;
        if !body.is_empty() {
            *request.body_mut() = Some(body.into());
        }
        let client = self.client(url.transport() != Transport::Tls)?;
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
            let addresses = request.extensions().get::<AddressPolicy>();
            let addresses = addresses.cloned().unwrap_or_default();
            let url = addresses
                .check(&request.uri().to_string())
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
            .field("root_certificates", &self.roots.len())
            .field("bearer_tokens_for", &self.tokens)
            .finish_non_exhaustive()
    }
}

impl BearerToken {
    fn is_for(&self, url: &CheckedUrl) -> bool {
        self.origin.url().origin() == url.url().origin()
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.origin.fmt(f)
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
        FetchErrorKind::Connect => {
            let cause = root_cause(&error);
            fetch_error.with_detail(format!("{cause}{}", authority_hint(&cause)))
        }
        _ => fetch_error,
    };
    fetch_error.with_source(error)
}

/// Returns a hint to the setting for additional authorities, if no known authority has issued the
/// certificate. A container image may contain no certificates at all.
fn authority_hint(cause: &str) -> &'static str {
    match ["UnknownIssuer", "No CA certificates"]
        .iter()
        .any(|text| cause.contains(text))
    {
        true => "; `HttpFetcher::with_root_certificates_pem` adds an authority",
        false => "",
    }
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
