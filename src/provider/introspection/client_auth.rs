//! How this service authenticates to the introspection endpoint.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request};
use zeroize::Zeroizing;

use crate::extract::Credential;
use crate::provider::url::CheckedUrl;
use crate::validator::BoxFuture;

type Parameters = Vec<(&'static str, String)>;
type AnyError = Box<dyn Error + Send + Sync>;

/// How this service proves to the introspection endpoint who it is
/// ([RFC 7662 section 2.1](https://www.rfc-editor.org/rfc/rfc7662#section-2.1)). What the endpoint takes is
/// in the metadata of the issuer, `introspection_endpoint_auth_methods_supported`.
///
/// `Debug` shows the method and nothing else. Secrets are overwritten in memory when they are dropped.
///
/// # Example
///
/// ```
/// use tower_bearer::provider::ClientAuthentication;
///
/// # let secret = "gX1fBat3bV";
/// let client = ClientAuthentication::basic("orders-api", secret);
/// assert_eq!(format!("{client:?}"), "ClientAuthentication(basic)");
/// ```
#[derive(Clone)]
#[must_use]
pub struct ClientAuthentication(Kind);

#[derive(Clone)]
enum Kind {
    Basic(Login),
    Bearer(Zeroizing<String>),
    Custom(Arc<dyn Fn() -> BoxFuture<Result<Parameters, AnyError>> + Send + Sync>),
    Post(Login),
}

#[derive(Clone)]
struct Login {
    id: Zeroizing<String>,
    secret: Zeroizing<String>,
}

impl Login {
    fn new(id: String, secret: String) -> Self {
        Self {
            id: Zeroizing::new(id),
            secret: Zeroizing::new(secret),
        }
    }
}

impl ClientAuthentication {
    /// Identifier and secret in the `Authorization` header, by Basic authentication: `client_secret_basic`.
    /// Both are form-encoded first, as
    /// [RFC 6749 section 2.3.1](https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1) demands; give them as
    /// they are.
    pub fn basic(id: impl Into<String>, secret: impl Into<String>) -> Self {
        Self(Kind::Basic(Login::new(id.into(), secret.into())))
    }

    /// Identifier and secret as parameters in the body: `client_secret_post`. Only for a server that does
    /// not take [`basic`](Self::basic).
    pub fn post(id: impl Into<String>, secret: impl Into<String>) -> Self {
        Self(Kind::Post(Login::new(id.into(), secret.into())))
    }

    /// A bearer token of this service, which does not change.
    pub fn bearer(token: impl Into<String>) -> Self {
        Self(Kind::Bearer(Zeroizing::new(token.into())))
    }

    /// Parameters for the body, made for each call by a closure: for anything else.
    ///
    /// `private_key_jwt` and `client_secret_jwt` are two parameters,
    /// [`client_assertion_type` and `client_assertion`](https://www.rfc-editor.org/rfc/rfc7523#section-2.2);
    /// the application signs the assertion. With a certificate
    /// ([RFC 8705 section 2](https://www.rfc-editor.org/rfc/rfc8705#section-2)), which a
    /// [fetcher](super::IntrospectionBuilder::fetcher) of one's own presents, it is `client_id` alone.
    ///
    /// The closure is called once for each call, and has to be done within its
    /// [timeout](super::IntrospectionBuilder::timeout). If it fails, the request is answered with 503.
    /// The names `token` and `token_type_hint` are taken, so they fail too.
    ///
    /// # Example
    ///
    /// ```
    /// use tower_bearer::provider::ClientAuthentication;
    ///
    /// # #[derive(Clone)] struct Signer;
    /// # impl Signer { async fn assertion(&self) -> Result<String, std::io::Error> { Ok(String::new()) } }
    /// # let signer = Signer;
    /// let client = ClientAuthentication::custom(move || {
    ///     let signer = signer.clone();
    ///     async move {
    ///         Ok(vec![
    ///             ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer".into()),
    ///             ("client_assertion", signer.assertion().await?),
    ///         ])
    ///     }
    /// });
    /// # let _ = client;
    /// ```
    pub fn custom<F, R>(parameters: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<Vec<(&'static str, String)>, Box<dyn Error + Send + Sync>>>
            + Send
            + 'static,
    {
        Self(Kind::Custom(Arc::new(move || Box::pin(parameters()))))
    }

    /// What makes it unusable.
    pub(super) fn problem(&self) -> Option<&'static str> {
        match &self.0 {
            Kind::Basic(login) | Kind::Post(login) => {
                if login.id.is_empty() {
                    return Some("the identifier of the client is empty");
                }
                login
                    .secret
                    .is_empty()
                    .then_some("the secret of the client is empty")
            }
            Kind::Bearer(token) => Credential::bearer(token)
                .is_none()
                .then_some("the token cannot stand in an `Authorization` header"),
            Kind::Custom(_) => None,
        }
    }

    /// The question about a token. The token stands in the body and nowhere else (E11: introspection requests).
    pub(super) async fn request(
        &self,
        endpoint: &CheckedUrl,
        token: &str,
    ) -> Result<Request<Bytes>, AnyError> {
        let mut form = Form::default();
        form.add("token", token);
        form.add("token_type_hint", "access_token");
        let mut authorization = None;
        match &self.0 {
            Kind::Basic(Login { id, secret }) => {
                let mut login = Form::default();
                login.encode(id);
                login.0.push(b':');
                login.encode(secret);
                let text = Zeroizing::new(STANDARD.encode(&*login.0));
                authorization = Some(Zeroizing::new(format!("Basic {}", &*text)));
            }
            Kind::Bearer(token) => {
                authorization = Some(Zeroizing::new(format!("Bearer {}", &**token)));
            }
            Kind::Custom(parameters) => {
                for (name, value) in parameters().await? {
                    let value = Zeroizing::new(value);
                    if name == "token" || name == "token_type_hint" {
                        return Err("the parameters of `custom` must not say what is asked".into());
                    }
                    form.add(name, &value);
                }
            }
            Kind::Post(Login { id, secret }) => {
                form.add("client_id", id);
                form.add("client_secret", secret);
            }
        }
        let mut request = Request::new(Bytes::from_owner(form.0));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = endpoint.uri().clone();
        let headers = request.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        );
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(authorization) = authorization {
            let mut value = HeaderValue::from_str(&authorization)?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        Ok(request)
    }
}

impl fmt::Debug for ClientAuthentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Kind::Basic(_) => "ClientAuthentication(basic)",
            Kind::Bearer(_) => "ClientAuthentication(bearer)",
            Kind::Custom(_) => "ClientAuthentication(custom)",
            Kind::Post(_) => "ClientAuthentication(post)",
        })
    }
}

/// `application/x-www-form-urlencoded`
/// ([RFC 6749 appendix B](https://www.rfc-editor.org/rfc/rfc6749#appendix-B)).
#[derive(Default)]
struct Form(Zeroizing<Vec<u8>>);

impl Form {
    fn add(&mut self, name: &str, value: &str) {
        if !self.0.is_empty() {
            self.0.push(b'&');
        }
        self.encode(name);
        self.0.push(b'=');
        self.encode(value);
    }

    fn encode(&mut self, text: &str) {
        const HEX: &[u8; 16] = b"0123456789ABCDEF";
        self.make_room(3 * text.len() + 16);
        for &byte in text.as_bytes() {
            match byte {
                b'*' | b'-' | b'.' | b'_' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => {
                    self.0.push(byte);
                }
                b' ' => self.0.push(b'+'),
                _ => {
                    let (high, low) = (usize::from(byte >> 4), usize::from(byte & 15));
                    self.0.extend([b'%', HEX[high], HEX[low]]);
                }
            }
        }
    }

    /// Growing in place would leave a copy behind.
    fn make_room(&mut self, length: usize) {
        if self.0.capacity() - self.0.len() < length {
            let mut larger = Vec::with_capacity(2 * self.0.capacity() + self.0.len() + length);
            larger.extend_from_slice(&self.0);
            self.0 = Zeroizing::new(larger);
        }
    }
}

#[cfg(test)]
mod tests;
