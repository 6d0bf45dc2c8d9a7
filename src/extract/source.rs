//! The ordered list of places that a credential may stand in.

use http::header::{self, AUTHORIZATION, COOKIE, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderMap, HeaderName, Request};

use super::credential::{Credential, CredentialSource, Scheme, UncheckedCredential};
use super::redact::{redact_elements, redact_field};
use super::token68::{is_token, is_visible_ascii};
use super::{authorization, cookie, fetch_metadata, websocket};
use crate::error::ConfigError;
use crate::request::RequestView;

/// A place where a credential may stand. Given to
/// [`BearerAuthLayer::with_sources`](crate::BearerAuthLayer::with_sources).
///
/// The default of a layer is [`Source::bearer`] alone. A request that uses two of the offered
/// sources at once is refused with 400
/// ([RFC 6750 section 2](https://www.rfc-editor.org/rfc/rfc6750#section-2)). The order of the list
/// is the order of the challenges in a 401. A token in the query is not offered: URLs end up in
/// logs, and OAuth 2.1 forbids it.
///
/// # Example
///
/// ```
/// use http::HeaderName;
/// use tower_bearer::{BearerAuthLayer, Credential, Failure, Source, validator_fn};
///
/// let validator = validator_fn(|_: Credential<'_>| Ok::<_, Failure>("somebody"));
/// let layer = BearerAuthLayer::new(validator).with_sources([
///     Source::bearer(),
///     Source::api_key(HeaderName::from_static("x-api-key")),
///     Source::cookie("session").trust_origin("https://app.example.com"),
/// ])?;
/// # let _ = layer;
/// # Ok::<(), tower_bearer::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Source {
    kind: Kind,
    /// The other origins whose requests may use a credential that browsers attach by themselves.
    trusted: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    ApiKey(HeaderName),
    Basic,
    Bearer,
    Cookie { name: String },
    WebSocketProtocol { marker: String },
}

impl Kind {
    /// Returns whether browsers attach such a credential by themselves, to requests of other sites too.
    fn is_attached_by_browsers(&self) -> bool {
        match self {
            Kind::Basic | Kind::Cookie { .. } => true,
            Kind::ApiKey(_) | Kind::Bearer | Kind::WebSocketProtocol { .. } => false,
        }
    }
}

impl Source {
    fn of(kind: Kind) -> Self {
        Self {
            kind,
            trusted: Vec::new(),
        }
    }

    /// `Authorization: Bearer <token>`
    /// ([RFC 6750 section 2.1](https://www.rfc-editor.org/rfc/rfc6750#section-2.1)).
    pub fn bearer() -> Self {
        Self::of(Kind::Bearer)
    }

    /// `Authorization: Basic <base64>`
    /// ([RFC 7617](https://www.rfc-editor.org/rfc/rfc7617#section-2)). With the feature `basic`,
    /// `Credential::basic` reads user and password.
    ///
    /// Once a user has entered a password, the browser attaches it to later requests by itself, also to those
    /// that another site has caused. Basic therefore has the same defence against cross-site requests as a
    /// [cookie](Self::cookie), with the same [trusted origins](Self::trust_origin).
    pub fn basic() -> Self {
        Self::of(Kind::Basic)
    }

    /// A header field that holds nothing but a key, such as `x-api-key`. The key is printable
    /// ASCII without space.
    pub fn api_key(header: HeaderName) -> Self {
        Self::of(Kind::ApiKey(header))
    }

    /// A cookie by its exact name.
    ///
    /// A browser sends cookies along with requests that another site has caused. So a request that may change
    /// something (any method but GET, HEAD and OPTIONS, and every WebSocket handshake) passes with a cookie
    /// only if the browser says that it comes from the same origin (`Sec-Fetch-Site`, or an `Origin` equal to
    /// the host) or from a [trusted one](Self::trust_origin); otherwise it is rejected with 403. A client
    /// that sends neither header is not a browser, and its request passes.
    /// [`permits_cookie`](crate::permits_cookie) documents the complete rule.
    ///
    /// A browser sends its cookie whether it is wanted or not: an expired one is 401 behind
    /// [`optional`](crate::policy::optional) too (let a [`Responder`](crate::Responder) clear it), and
    /// a page that sends `Authorization` besides has two credentials, which is 400. Where the check falls back to comparing `Origin` with the
    /// host, the scheme is not compared, because behind a proxy it is not known: use HSTS.
    pub fn cookie(name: impl Into<String>) -> Self {
        Self::of(Kind::Cookie { name: name.into() })
    }

    /// The subprotocol behind `marker` in a WebSocket handshake: a browser cannot set
    /// `Authorization` there, but `new WebSocket(url, ["bearer", token])` sends
    /// `Sec-WebSocket-Protocol: bearer, <token>`.
    ///
    /// Read only from handshakes (a GET with `Upgrade`, or an extended CONNECT). The service has to
    /// answer with the subprotocol `marker`, or the browser closes the socket (axum:
    /// `ws.protocols(["bearer"])`). The header ends up in the access logs of some proxies, so prefer
    /// tokens that live for seconds.
    pub fn websocket_protocol(marker: impl Into<String>) -> Self {
        Self::of(Kind::WebSocketProtocol {
            marker: marker.into(),
        })
    }

    /// Adds an origin whose requests may use a cookie or a Basic credential, for example
    /// `https://app.example.com`. Scheme, host and port are compared, with the default port filled in.
    ///
    /// Default: the origin of the service alone. On a source other than [`cookie`](Self::cookie) and
    /// [`basic`](Self::basic), `with_sources` returns an error, because browsers attach no other credential
    /// by themselves.
    pub fn trust_origin(mut self, origin: impl Into<String>) -> Self {
        self.trusted.push(origin.into());
        self
    }

    fn name(&self) -> String {
        match &self.kind {
            Kind::ApiKey(header) => format!("header {header}"),
            Kind::Basic => String::from("Basic"),
            Kind::Bearer => String::from("Bearer"),
            Kind::Cookie { name } => format!("cookie {name}"),
            Kind::WebSocketProtocol { marker } => format!("websocket protocol {marker}"),
        }
    }

    fn same_place(&self, other: &Self) -> bool {
        self.kind == other.kind
    }

    fn check(&self) -> Result<(), ConfigError> {
        let fault = |expected| {
            Err(ConfigError::Source {
                source_name: self.name(),
                expected,
            })
        };
        match &self.kind {
            Kind::ApiKey(header) if TAKEN.contains(header) => {
                fault("expected a header field of the application's own, such as x-api-key")
            }
            Kind::Cookie { name } if !is_token(name.as_bytes()) => {
                fault("expected a cookie name: a token of RFC 9110 section 5.6.2")
            }
            Kind::WebSocketProtocol { marker } if !is_token(marker.as_bytes()) => {
                fault("expected a subprotocol name: a token of RFC 9110 section 5.6.2")
            }
            kind if kind.is_attached_by_browsers() => {
                match self.trusted.iter().find(|origin| !is_origin(origin)) {
                    None => Ok(()),
                    Some(origin) => Err(ConfigError::Origin {
                        origin: origin.clone(),
                    }),
                }
            }
            _ if !self.trusted.is_empty() => fault(
                "expected no trusted origin: only cookies and Basic credentials have trusted origins",
            ),
            _ => Ok(()),
        }
    }
}

/// Header fields that mean something else already.
const TAKEN: [HeaderName; 14] = [
    header::ACCEPT,
    header::AUTHORIZATION,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::COOKIE,
    header::HOST,
    header::ORIGIN,
    header::PROXY_AUTHORIZATION,
    header::SEC_WEBSOCKET_PROTOCOL,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::USER_AGENT,
];

/// Returns whether `text` is an origin as a browser sends it: scheme, host and port ([RFC 6454 section
/// 6.2](https://www.rfc-editor.org/rfc/rfc6454#section-6.2)). The default port may be written.
fn is_origin(text: &str) -> bool {
    let Ok(uri) = text.parse::<http::Uri>() else {
        return false;
    };
    let (Some(scheme), Some(host)) = (uri.scheme_str(), uri.host()) else {
        return false;
    };
    let written = match uri.port_u16() {
        Some(port) => format!("{scheme}://{host}:{port}"),
        None => format!("{scheme}://{host}"),
    };
    text == written
        && !host.is_empty()
        && !host.contains('*')
        && !text.bytes().any(|byte| byte.is_ascii_uppercase())
}

/// Why no credential could be taken although there was something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExtractError {
    CrossSite(Scheme),
    Malformed,
    Multiple,
    TooLong,
}

/// The checked list.
#[derive(Clone, Debug)]
pub(crate) struct Sources {
    list: Vec<Source>,
    bearer: bool,
    basic: bool,
    /// Whether anything but a bearer token in the `Authorization` header is read.
    others: bool,
}

impl Default for Sources {
    fn default() -> Self {
        Self {
            list: vec![Source::bearer()],
            bearer: true,
            basic: false,
            others: false,
        }
    }
}

impl Sources {
    pub(crate) fn new(list: Vec<Source>) -> Result<Self, ConfigError> {
        if list.is_empty() {
            return Err(ConfigError::NoSource);
        }
        for (index, source) in list.iter().enumerate() {
            source.check()?;
            if list[..index].iter().any(|other| other.same_place(source)) {
                return Err(ConfigError::DuplicateSource {
                    source_name: source.name(),
                });
            }
        }
        Ok(Self {
            bearer: list.iter().any(|source| source.kind == Kind::Bearer),
            basic: list.iter().any(|source| source.kind == Kind::Basic),
            others: list.iter().any(|source| source.kind != Kind::Bearer),
            list,
        })
    }

    /// Finds the one credential of the request, if there is one. Its characters have still to be
    /// [checked](Self::check).
    #[inline]
    pub(crate) fn extract<'a>(
        &self,
        request: &RequestView<'a>,
        max_length: usize,
    ) -> Result<Option<UncheckedCredential<'a>>, ExtractError> {
        let offered = |scheme| match scheme {
            Scheme::Bearer => self.bearer,
            Scheme::Basic => self.basic,
            Scheme::ApiKey | Scheme::Cookie => false,
        };
        if !self.others {
            return authorization::find(request.headers(), offered, max_length);
        }
        let found = if self.bearer || self.basic {
            authorization::read(request.headers(), offered, max_length)?
        } else {
            None
        };
        let found = self.extract_others(request, max_length, found)?;
        Ok(found.map(UncheckedCredential::new))
    }

    /// Returns the source that offers a credential of the `Authorization` header.
    fn source_in_authorization(&self, credential: &Credential<'_>) -> Option<&Source> {
        let kind = match credential.scheme() {
            Scheme::Basic => Kind::Basic,
            Scheme::ApiKey | Scheme::Bearer | Scheme::Cookie => Kind::Bearer,
        };
        self.list.iter().find(|source| source.kind == kind)
    }

    /// Rejects a credential that a browser attached to a request of another site
    /// (M10: attached credentials).
    fn check_site(
        &self,
        request: &RequestView<'_>,
        credential: &Credential<'_>,
        source: Option<&Source>,
    ) -> Result<(), ExtractError> {
        let Some(source) = source else {
            return Ok(());
        };
        if !source.kind.is_attached_by_browsers()
            || fetch_metadata::permits_cookie(
                request.method(),
                request.uri(),
                request.headers(),
                &source.trusted,
            )
        {
            return Ok(());
        }
        Err(ExtractError::CrossSite(credential.scheme()))
    }

    /// Returns an extracted credential if its characters are those that its source permits.
    #[inline]
    pub(crate) fn check<'a>(
        &self,
        unchecked: UncheckedCredential<'a>,
    ) -> Result<Credential<'a>, ExtractError> {
        // With several sources, `extract` has checked the characters already.
        if self.others {
            return Ok(unchecked.into_checked());
        }
        authorization::check(unchecked)
    }

    fn extract_others<'a>(
        &self,
        request: &RequestView<'a>,
        max_length: usize,
        mut found: Option<Credential<'a>>,
    ) -> Result<Option<Credential<'a>>, ExtractError> {
        let headers = request.headers();
        let mut found_in = found
            .as_ref()
            .and_then(|credential| self.source_in_authorization(credential));
        for source in &self.list {
            let next = match &source.kind {
                Kind::Bearer | Kind::Basic => None,
                Kind::ApiKey(header) => read_api_key(headers, header, max_length)?,
                Kind::Cookie { name } => cookie::read(headers, name, max_length)?,
                Kind::WebSocketProtocol { marker }
                    if websocket::is_handshake(request.method(), headers) =>
                {
                    websocket::read(headers, marker, max_length)?
                }
                Kind::WebSocketProtocol { .. } => None,
            };
            if next.is_none() {
                continue;
            }
            if found.is_some() {
                return Err(ExtractError::Multiple);
            }
            found_in = Some(source);
            found = next;
        }
        if let Some(credential) = &found {
            self.check_site(request, credential, found_in)?;
        }
        Ok(found)
    }

    /// Returns the kinds of the sources, in the order of the list.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = &Kind> {
        self.list.iter().map(|source| &source.kind)
    }

    /// Does the same to whatever credential an unauthenticated request brought along.
    #[inline]
    pub(crate) fn redact_all<B>(&self, request: &mut Request<B>, remove: bool) {
        if request.headers().is_empty() {
            return;
        }
        if self.bearer || self.basic {
            // Nobody has looked yet whether there is more than one line.
            redact_elements(
                request.headers_mut(),
                &AUTHORIZATION,
                b',',
                remove,
                |_, _| true,
            );
        }
        if self.others {
            for source in [
                CredentialSource::ApiKeyHeader,
                CredentialSource::Cookie,
                CredentialSource::WebSocketProtocol,
            ] {
                self.hide(request, source, remove);
            }
        }
    }

    /// Marks the header field of the credential as sensitive, or takes the credential out, before
    /// the request goes on.
    #[inline]
    pub(crate) fn hide<B>(&self, request: &mut Request<B>, source: CredentialSource, remove: bool) {
        let headers = request.headers_mut();
        match source {
            CredentialSource::Authorization => redact_field(headers, &AUTHORIZATION, remove),
            CredentialSource::ApiKeyHeader => {
                for place in &self.list {
                    if let Kind::ApiKey(name) = &place.kind {
                        redact_elements(headers, name, b',', remove, |_, _| true);
                    }
                }
            }
            // Other cookies and the marker have to stay for the service.
            CredentialSource::Cookie => {
                for place in &self.list {
                    if let Kind::Cookie { name } = &place.kind {
                        redact_elements(headers, &COOKIE, b';', remove, |_, element| {
                            element
                                .split(|byte| *byte == b'=')
                                .next()
                                .unwrap_or_default()
                                .trim_ascii()
                                == name.as_bytes()
                        });
                    }
                }
            }
            CredentialSource::WebSocketProtocol => {
                for place in &self.list {
                    if let Kind::WebSocketProtocol { marker } = &place.kind {
                        redact_elements(
                            headers,
                            &SEC_WEBSOCKET_PROTOCOL,
                            b',',
                            remove,
                            |before, _| before == marker.as_bytes(),
                        );
                    }
                }
            }
        }
    }
}

fn read_api_key<'a>(
    headers: &'a HeaderMap,
    header: &HeaderName,
    max_length: usize,
) -> Result<Option<Credential<'a>>, ExtractError> {
    let mut fields = headers.get_all(header).iter();
    let Some(value) = fields.next() else {
        return Ok(None);
    };
    if fields.next().is_some() {
        return Err(ExtractError::Multiple);
    }
    if value.len() > max_length {
        return Err(ExtractError::TooLong);
    }
    if !is_visible_ascii(value.as_bytes()) {
        return Err(ExtractError::Malformed);
    }
    Ok(Some(Credential::new(
        Scheme::ApiKey,
        CredentialSource::ApiKeyHeader,
        value,
        0..value.len(),
    )))
}
