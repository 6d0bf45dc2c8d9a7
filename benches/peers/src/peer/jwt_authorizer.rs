//! jwt-authorizer's layer, with its own answer to what it refuses.

use axum::body::Body;
use http::Response;
use jsonwebtoken::Algorithm;
use jwt_authorizer::{AuthError, IntoLayer, JwtAuthorizer, Validation};
use tower::{Layer, ServiceExt};

use crate::harness::{Answer, Claims, Made, ToAnswer, bare, direct};
use crate::key_server::block_on;
use crate::tokens::{AUDIENCE, ISSUER, Keys, SECRET, Tokens};

/// The layer wants responses that can be made of its error. It knows those of axum 0.7; this carries
/// its status and headers over to the body that is used here.
struct Reply(Response<Body>);

impl From<AuthError> for Reply {
    fn from(error: AuthError) -> Self {
        let (parts, _) = <Response<_> as From<AuthError>>::from(error).into_parts();
        Self(Response::from_parts(parts, Body::empty()))
    }
}

impl ToAnswer for Reply {
    fn to_answer(&self) -> Answer {
        self.0.to_answer()
    }
}

pub(crate) fn service(keys: &Keys, _: &Tokens) -> Made {
    let builder = match keys.algorithm {
        Algorithm::HS256 => JwtAuthorizer::<Claims>::from_secret(SECRET),
        Algorithm::RS256 => JwtAuthorizer::from_rsa_pem_text(keys.pem),
        Algorithm::ES256 => JwtAuthorizer::from_ec_pem_text(keys.pem),
        _ => JwtAuthorizer::from_ed_pem_text(keys.pem),
    };
    let validation = Validation::new().iss(&[ISSUER]).aud(&[AUDIENCE]);
    let authorizer = block_on(builder.validation(validation).build()).unwrap();
    direct(authorizer.into_layer().layer(bare().map_response(Reply)))
}
