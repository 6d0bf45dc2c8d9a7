//! aliri_tower's layer, with a JWK Set given at start.

use aliri::jwa;
use aliri::jwt::{Audience, Audiences, CoreClaims, CoreValidator, Issuer, IssuerRef};
use aliri::jwt::{Subject, SubjectRef};
use aliri_clock::UnixTime;
use aliri_oauth2::{Authority, HasScope, Scope};
use aliri_tower::Oauth2Authorizer;
use axum::body::Body;
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use tower::Layer;

use crate::harness::{Made, bare, direct};
use crate::tokens::{AUDIENCE, ISSUER, Keys, Tokens};

/// The claims in the types that the layer asks for.
#[derive(Clone, Deserialize)]
struct Claims {
    iss: Issuer,
    sub: Subject,
    aud: Audiences,
    exp: UnixTime,
    #[allow(dead_code, reason = "read for its cost")]
    iat: UnixTime,
    #[allow(dead_code, reason = "read for its cost")]
    jti: String,
    scope: Scope,
}

impl CoreClaims for Claims {
    fn nbf(&self) -> Option<UnixTime> {
        None
    }

    fn exp(&self) -> Option<UnixTime> {
        Some(self.exp)
    }

    fn aud(&self) -> &Audiences {
        &self.aud
    }

    fn iss(&self) -> Option<&IssuerRef> {
        Some(&self.iss)
    }

    fn sub(&self) -> Option<&SubjectRef> {
        Some(&self.sub)
    }
}

impl HasScope for Claims {
    fn scope(&self) -> &Scope {
        &self.scope
    }
}

pub(crate) fn service(keys: &Keys, _: &Tokens) -> Made {
    let algorithm = match keys.algorithm {
        Algorithm::HS256 => jwa::Algorithm::HS256,
        Algorithm::RS256 => jwa::Algorithm::RS256,
        Algorithm::ES256 => return Err("ES256 needs OpenSSL, which is not used here"),
        _ => return Err("no EdDSA"),
    };
    let validator = CoreValidator::default()
        .check_expiration()
        .with_leeway_secs(60)
        .add_approved_algorithm(algorithm)
        .add_allowed_audience(Audience::from_static(AUDIENCE))
        .require_issuer(Issuer::from_static(ISSUER));
    let authority = Authority::new(serde_json::from_str(&keys.jwks()).unwrap(), validator);
    let layer = Oauth2Authorizer::new()
        .with_claims::<Claims>()
        .with_terse_error_handler::<Body>()
        .jwt_layer(authority);
    direct(layer.layer(bare()))
}
