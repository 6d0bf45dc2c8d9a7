//! Taking back a token for the client that holds it.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Body;
use tower_service::Service;
use zeroize::Zeroizing;

use super::error::json_response;
use super::{IssuingError, TokenForm, TokenIssuer};
use crate::body::ResponseBody;
use crate::endpoint::{is_form, read};
use crate::extract::BasicCredentials;

/// The longest form: a token, and little more.
const MAX_FORM: usize = 16_384;

type Allowed = Pin<Box<dyn Future<Output = Result<bool, IssuingError>> + Send>>;
type Authenticate = dyn Fn(ClientCredentials) -> Allowed + Send + Sync;

/// A Tower service by which a client gives back a token ([RFC 7009](https://www.rfc-editor.org/rfc/rfc7009)):
/// a form with `token`, by POST. A refresh token is revoked with its session. Up to 16 access tokens of a
/// session are revoked individually; the next one ends the session. Created by
/// [`TokenIssuer::revocation_endpoint`].
///
/// A token that is unknown, or no longer good, is answered with 200 as well. Only the client to which a token was issued
/// can take it back. Clients are public unless there is [a way to authenticate them](Self::with_client_authentication):
/// they say who they are in `client_id`, and holding the token is all the proof there is. One that presents a secret
/// meanwhile is refused, since nobody would look at it. `token_type_hint` is not needed.
///
/// # Example
///
/// ```
/// use http::{Request, StatusCode};
/// use tower::ServiceExt;
/// # use tower_bearer::issuing::{Grant, SigningKey, SigningKeys, TokenIssuer};
/// # use tower_bearer::jwt::Algorithm;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let keys = SigningKeys::new(SigningKey::generate(Algorithm::ES256)?)?;
/// # let issuer = TokenIssuer::builder("https://a.example", keys).audience("https://a.example").build()?;
/// let tokens = issuer.issue(Grant::new("alice", "web")).await?;
/// let form = format!("client_id=web&token={}", tokens.refresh_token().unwrap_or_default());
/// // In axum: `Router::new().route_service("/auth/revoke", issuer.revocation_endpoint())`.
/// let request = Request::post("/auth/revoke")
///     .header("content-type", "application/x-www-form-urlencoded")
///     .body(form)?;
/// let response = issuer.revocation_endpoint().oneshot(request).await?;
/// assert_eq!(response.status(), StatusCode::OK);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RevocationEndpoint {
    issuer: TokenIssuer,
    authenticate: Option<Arc<Authenticate>>,
}

/// What a client says about itself ([RFC 6749 section 2.3.1](https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1)): by Basic,
/// or in the form. `Debug` shows nothing of it.
#[non_exhaustive]
pub struct ClientCredentials {
    id: String,
    secret: Option<Zeroizing<String>>,
}

impl ClientCredentials {
    /// Reads them from an `Authorization: Basic` header, or else from `client_id` and `client_secret` of the form.
    ///
    /// # Errors
    ///
    /// [`IssuingError::InvalidRequest`] if there are none, or a client uses both ways. [`IssuingError::InvalidClient`] if the header
    /// cannot be read.
    pub fn read(headers: &HeaderMap, form: &TokenForm) -> Result<Self, IssuingError> {
        let mut all = headers.get_all(AUTHORIZATION).iter();
        let (Some(header), more) = (all.next(), all.next()) else {
            let secret = form.get("client_secret");
            return Ok(Self {
                id: form.require("client_id")?.to_owned(),
                secret: secret.map(|secret| Zeroizing::new(secret.to_owned())),
            });
        };
        if more.is_some() || form.get("client_secret").is_some() {
            return Err(IssuingError::InvalidRequest {
                problem: "the client authenticates in two ways",
            });
        }
        let client = basic(header.as_bytes()).ok_or(IssuingError::InvalidClient)?;
        match form.get("client_id") {
            Some(id) if id != client.id => Err(IssuingError::InvalidClient),
            _ => Ok(client),
        }
    }

    /// Who it says it is.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its secret, if it presents one. Compare it in constant time, or better a hash of it.
    #[must_use]
    pub fn secret(&self) -> Option<&str> {
        self.secret.as_ref().map(|secret| secret.as_str())
    }
}

impl RevocationEndpoint {
    pub(super) fn new(issuer: TokenIssuer) -> Self {
        Self {
            issuer,
            authenticate: None,
        }
    }

    /// Asks `authenticate` whether a client is who it says it is: `Ok(false)` is answered with 401 `invalid_client`, an error
    /// with 503. A public client has no [secret](ClientCredentials::secret).
    #[must_use]
    pub fn with_client_authentication<F, R, E>(mut self, authenticate: F) -> Self
    where
        F: Fn(ClientCredentials) -> R + Send + Sync + 'static,
        R: Future<Output = Result<bool, E>> + Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        self.authenticate = Some(Arc::new(move |client| {
            let asked = authenticate(client);
            Box::pin(async move {
                let answer = asked.await;
                answer.map_err(|error| {
                    crate::issuing::store::StoreError::unavailable("of clients", error).into()
                })
            })
        }));
        self
    }

    async fn answer<B>(self, request: Request<B>) -> Result<(), IssuingError>
    where
        B: Body,
    {
        let (parts, body) = request.into_parts();
        if parts.method != Method::POST {
            return Err(IssuingError::Method);
        }
        let form = read_form(&parts.headers, body).await?;
        let client = ClientCredentials::read(&parts.headers, &form)?;
        let id = client.id.clone();
        let is_client = match &self.authenticate {
            Some(authenticate) => authenticate(client).await?,
            None => client.secret.is_none(),
        };
        if !is_client {
            return Err(IssuingError::InvalidClient);
        }
        self.issuer.revoke(form.require("token")?, &id).await
    }
}

async fn read_form<B: Body>(headers: &HeaderMap, body: B) -> Result<TokenForm, IssuingError> {
    if !is_form(headers) {
        return Err(IssuingError::InvalidRequest {
            problem: "the content type is not application/x-www-form-urlencoded",
        });
    }
    match read(body, MAX_FORM).await {
        Ok(body) => TokenForm::parse(&Zeroizing::new(body)),
        Err(StatusCode::PAYLOAD_TOO_LARGE) => Err(IssuingError::TooLong { limit: MAX_FORM }),
        Err(_) => Err(IssuingError::InvalidRequest {
            problem: "the form could not be received",
        }),
    }
}

fn basic(header: &[u8]) -> Option<ClientCredentials> {
    let header = std::str::from_utf8(header).ok()?;
    let (scheme, credentials) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let credentials = BasicCredentials::decode(credentials.trim().as_bytes())?;
    // RFC 6749 section 2.3.1: both were encoded as in a form before.
    let decode = |text: &str| {
        let text = Zeroizing::new(text.replace('+', " "));
        let text = percent_encoding::percent_decode_str(&text)
            .decode_utf8()
            .ok()?;
        Some(text.into_owned())
    };
    let id = decode(credentials.user()).filter(|id| !id.is_empty())?;
    let secret = Zeroizing::new(decode(credentials.password())?);
    Some(ClientCredentials {
        id,
        secret: (!secret.is_empty()).then_some(secret),
    })
}

impl<B> Service<Request<B>> for RevocationEndpoint
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Send,
{
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let endpoint = self.clone();
        Box::pin(async move {
            Ok(match endpoint.answer(request).await {
                // RFC 7009 section 2.2: the body says nothing.
                Ok(()) => json_response(StatusCode::OK, Bytes::new()),
                Err(error) => error.to_response(),
            })
        })
    }
}

impl fmt::Debug for RevocationEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevocationEndpoint")
            .field("issuer", &self.issuer)
            .field("authenticates_clients", &self.authenticate.is_some())
            .finish()
    }
}

impl fmt::Debug for ClientCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCredentials").finish_non_exhaustive()
    }
}
