//! What applications write around jsonwebtoken: key and checks prepared once, one call per request.

use std::sync::Arc;

use axum::body::Body;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use jsonwebtoken::{DecodingKey, Validation, decode};

use crate::harness::Claims;
use crate::tokens::{AUDIENCE, ISSUER, Keys, SECRET};

#[derive(Clone)]
pub(crate) struct Verifier(Arc<(DecodingKey, Validation)>);

impl Verifier {
    pub(crate) fn new(keys: &Keys) -> Self {
        let key = match keys.pem {
            "" => DecodingKey::from_secret(SECRET.as_bytes()),
            _ => DecodingKey::try_from(&keys.jwk).unwrap(),
        };
        let mut validation = Validation::new(keys.algorithm);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        Self(Arc::new((key, validation)))
    }

    pub(crate) fn verify(&self, headers: &HeaderMap) -> Option<Claims> {
        let header = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        let (scheme, token) = header.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let (key, validation) = &*self.0;
        decode(token, key, validation).ok().map(|data| data.claims)
    }
}

pub(crate) fn unauthorized() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    response.headers_mut().insert(
        header::WWW_AUTHENTICATE,
        HeaderValue::from_static("Bearer error=\"invalid_token\""),
    );
    response
}
