//! JWTs to one validator, all other tokens to another.

use super::token::looks_like_a_jwt;
use crate::extract::{Credential, UncheckedCredential};
use crate::request::RequestView;
use crate::validator::{Validator, Verdict};

/// Hands what looks like a JWT to one validator and everything else to another.
///
/// With [`or`](Validator::or), a JWT that the first validator refuses is asked about once more by the
/// second: for an issuer that is asked over the network, at the price of a call for each bad token. Here
/// it is refused at once.
///
/// # Example
///
/// ```
/// # #[cfg(feature = "introspection")]
/// # fn main_(jwt: tower_bearer::jwt::JwtValidator, secret: String) -> Result<(), tower_bearer::provider::ProviderError> {
/// use tower_bearer::provider::{ClientAuthentication, Introspection};
/// use tower_bearer::jwt::JwtOrOpaque;
///
/// let opaque = Introspection::builder("https://login.example.com/introspect")
///     .client(ClientAuthentication::basic("orders-api", secret))
///     .audience("https://api.example.com")
///     .build()?;
/// let validator = JwtOrOpaque::new(jwt, opaque);
/// # let _ = validator; Ok(()) }
/// ```
///
/// Both have to yield the same principal; [`and_then`](Validator::and_then) brings them to one type.
#[derive(Clone, Debug)]
#[must_use]
pub struct JwtOrOpaque<J, O> {
    jwt: J,
    opaque: O,
}

impl<J, O> JwtOrOpaque<J, O>
where
    J: Validator,
    O: Validator<Principal = J::Principal>,
{
    /// `jwt` gets tokens of three or more parts with dots between them whose first one is a JSON object
    /// in base64url, signed or encrypted; `opaque` gets all others.
    pub fn new(jwt: J, opaque: O) -> Self {
        Self { jwt, opaque }
    }
}

impl<J, O> Validator for JwtOrOpaque<J, O>
where
    J: Validator,
    O: Validator<Principal = J::Principal>,
{
    type Principal = J::Principal;

    fn validate(
        &self,
        credential: &Credential<'_>,
        request: &RequestView<'_>,
    ) -> Verdict<Self::Principal> {
        if looks_like_a_jwt(credential.token_bytes()) {
            self.jwt.validate(credential, request)
        } else {
            self.opaque.validate(credential, request)
        }
    }

    fn cached_verdict(
        &self,
        unchecked: &UncheckedCredential<'_>,
        request: &RequestView<'_>,
    ) -> Option<Verdict<Self::Principal>> {
        if looks_like_a_jwt(unchecked.token_bytes()) {
            self.jwt.cached_verdict(unchecked, request)
        } else {
            self.opaque.cached_verdict(unchecked, request)
        }
    }
}
