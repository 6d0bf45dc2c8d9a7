//! What a request presented.

use std::fmt;
use std::ops::Range;

use http::HeaderValue;

/// The authentication scheme that a credential was presented under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scheme {
    /// An API key in a header field of its own.
    ApiKey,
    /// `Basic` ([RFC 7617](https://www.rfc-editor.org/rfc/rfc7617)): the token is the base64 text.
    Basic,
    /// `Bearer` ([RFC 6750](https://www.rfc-editor.org/rfc/rfc6750)).
    Bearer,
    /// A cookie, which the browser sends by itself.
    Cookie,
}

impl Scheme {
    /// The name of the scheme, for logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Scheme::ApiKey => "ApiKey",
            Scheme::Basic => "Basic",
            Scheme::Bearer => "Bearer",
            Scheme::Cookie => "Cookie",
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where in the request a credential was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CredentialSource {
    /// A header field named by the application.
    ApiKeyHeader,
    /// The `Authorization` header field.
    Authorization,
    /// A cookie.
    Cookie,
    /// The `Sec-WebSocket-Protocol` header field of a WebSocket handshake.
    WebSocketProtocol,
}

impl CredentialSource {
    /// The name of the place, for logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            CredentialSource::ApiKeyHeader => "api-key-header",
            CredentialSource::Authorization => "authorization",
            CredentialSource::Cookie => "cookie",
            CredentialSource::WebSocketProtocol => "websocket-protocol",
        }
    }
}

impl fmt::Display for CredentialSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The credential that a request presented: scheme, token and where it was found.
///
/// It has passed the checks of its source (one only, length, characters), and nothing more: whether
/// it is any good is for a [`Validator`](crate::Validator) to say.
///
/// Its `Debug` never shows the token, it has no `Display`, and it cannot be compared with `==`,
/// which would take a different time for each guess. A credential borrowed from a request becomes
/// one of its own with [`into_owned`](Self::into_owned), which shares the bytes of the header value
/// and copies nothing.
///
/// # Example
///
/// ```
/// use tower_bearer::{Credential, Scheme};
///
/// let credential = Credential::bearer("mF_9.B5f-4.1JqM").unwrap();
/// assert_eq!(credential.scheme(), Scheme::Bearer);
/// assert_eq!(credential.token(), "mF_9.B5f-4.1JqM");
/// assert!(!format!("{credential:?}").contains("mF_9"));
///
/// assert!(Credential::bearer("not a token").is_none());
/// ```
#[derive(Clone)]
pub struct Credential<'a> {
    scheme: Scheme,
    source: CredentialSource,
    value: Value<'a>,
    range: Range<usize>,
}

/// A credential whose characters have not been checked.
///
/// The layer passes it to [`Validator::cached_verdict`](crate::Validator::cached_verdict), so that a cache hit costs no
/// check: a token that equals an accepted one has its characters. Nothing outside this crate can read it; a
/// validator that wraps another one can only pass it on.
#[derive(Debug)]
pub struct UncheckedCredential<'a>(Credential<'a>);

impl<'a> UncheckedCredential<'a> {
    #[inline]
    pub(super) fn new(credential: Credential<'a>) -> Self {
        Self(credential)
    }

    /// Returns the credential after its characters have been checked, or for a source that has checked them.
    #[inline]
    pub(super) fn into_checked(self) -> Credential<'a> {
        self.0
    }

    #[inline]
    pub(crate) fn scheme(&self) -> Scheme {
        self.0.scheme
    }

    #[inline]
    pub(crate) fn source(&self) -> CredentialSource {
        self.0.source
    }

    #[inline]
    pub(crate) fn token_bytes(&self) -> &[u8] {
        self.0.token_bytes()
    }
}

#[derive(Clone)]
enum Value<'a> {
    Borrowed(&'a HeaderValue),
    Owned(HeaderValue),
}

impl<'a> Credential<'a> {
    /// Returns the form in which [`Validator::cached_verdict`](crate::Validator::cached_verdict) takes a credential, for
    /// testing a validator alone.
    #[must_use]
    pub fn unchecked(&self) -> UncheckedCredential<'a> {
        UncheckedCredential(self.clone())
    }

    /// `range` lies within `value`, and its bytes are ASCII.
    pub(super) fn new(
        scheme: Scheme,
        source: CredentialSource,
        value: &'a HeaderValue,
        range: Range<usize>,
    ) -> Self {
        Self {
            scheme,
            source,
            value: Value::Borrowed(value),
            range,
        }
    }

    /// The scheme under which it was presented.
    #[must_use]
    #[inline]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Where in the request it was found.
    #[must_use]
    #[inline]
    pub fn source(&self) -> CredentialSource {
        self.source
    }

    /// The secret itself: ASCII, not empty, no longer than the layer allows.
    ///
    /// For `Bearer` and `Basic` it is a `token68`
    /// ([RFC 9110 section 11.2](https://www.rfc-editor.org/rfc/rfc9110#section-11.2)), for the other
    /// sources printable ASCII without space. Keep it out of logs and error texts.
    #[must_use]
    pub fn token(&self) -> &str {
        // The sources have checked the characters, so the fallback is never taken; an empty token
        // matches nothing.
        std::str::from_utf8(self.token_bytes()).unwrap_or_default()
    }

    /// The bytes of [`token`](Self::token).
    #[must_use]
    #[inline]
    pub fn token_bytes(&self) -> &[u8] {
        let bytes = match &self.value {
            Value::Borrowed(value) => value.as_bytes(),
            Value::Owned(value) => value.as_bytes(),
        };
        bytes.get(self.range.clone()).unwrap_or_default()
    }

    /// A credential that does not borrow from the request, for a future that outlives the call.
    #[must_use]
    pub fn into_owned(self) -> Credential<'static> {
        let mut value = match self.value {
            Value::Borrowed(value) => value.clone(),
            Value::Owned(value) => value,
        };
        value.set_sensitive(true);
        Credential {
            scheme: self.scheme,
            source: self.source,
            value: Value::Owned(value),
            range: self.range,
        }
    }
}

impl Credential<'static> {
    /// A bearer credential as the `Authorization` header would bring it, for testing validators.
    ///
    /// `None` if `token` is not a `token68`: no request could present it.
    #[must_use]
    pub fn bearer(token: &str) -> Option<Self> {
        if !super::token68::is_token68(token.as_bytes()) {
            return None;
        }
        let mut value = HeaderValue::from_str(token).ok()?;
        value.set_sensitive(true);
        Some(Self {
            scheme: Scheme::Bearer,
            source: CredentialSource::Authorization,
            range: 0..value.len(),
            value: Value::Owned(value),
        })
    }
}

impl fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("scheme", &self.scheme)
            .field("source", &self.source)
            .field("token", &"[redacted]")
            .finish()
    }
}
