//! axum-jwt-auth's extractor, with a key given at start.

use std::sync::Arc;

use axum_jwt_auth::{Decoder, LocalDecoder};
use jsonwebtoken_10::{Algorithm, DecodingKey, Validation};

use crate::harness::{Claims, Made, routed, router};
use crate::tokens::{AUDIENCE, ISSUER, Keys, SECRET, Tokens};

async fn handler(_: axum_jwt_auth::Claims<Claims>) {}

pub(crate) fn axum(keys: &Keys, _: &Tokens) -> Made {
    let pem = keys.pem.as_bytes();
    let (algorithm, key) = match keys.algorithm {
        jsonwebtoken::Algorithm::HS256 => (
            Algorithm::HS256,
            DecodingKey::from_secret(SECRET.as_bytes()),
        ),
        jsonwebtoken::Algorithm::RS256 => {
            (Algorithm::RS256, DecodingKey::from_rsa_pem(pem).unwrap())
        }
        jsonwebtoken::Algorithm::ES256 => {
            (Algorithm::ES256, DecodingKey::from_ec_pem(pem).unwrap())
        }
        _ => (Algorithm::EdDSA, DecodingKey::from_ed_pem(pem).unwrap()),
    };
    let mut validation = Validation::new(algorithm);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[AUDIENCE]);
    validation.set_required_spec_claims(&["exp", "iss", "aud"]);
    let decoder = LocalDecoder::builder()
        .keys(vec![key])
        .validation(validation)
        .build()
        .unwrap();
    let decoder: Decoder<Claims> = Arc::new(decoder);
    routed(router(handler).with_state(decoder))
}
