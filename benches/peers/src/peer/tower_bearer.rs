//! This crate. `cold` verifies every token anew, `cached` remembers those that it has verified.

use jsonwebtoken::Algorithm;
use tower::Layer;
use tower_bearer::BearerAuthLayer;
use tower_bearer::jwt::{JwtValidator, KeySource, PublicKey, SharedSecret};

use crate::harness::{Made, bare, direct, routed, router};
use crate::tokens::{AUDIENCE, ISSUER, KID, Keys, SECRET, Tokens};

fn key(keys: &Keys) -> KeySource {
    if keys.algorithm == Algorithm::HS256 {
        let secret = SharedSecret::hs256(SECRET).unwrap();
        return secret.with_kid(KID).unwrap().into();
    }
    let key = PublicKey::from_pem(keys.pem).unwrap();
    key.with_kid(KID).unwrap().into()
}

/// The one place where the cache is turned on or off.
fn validator(keys: &Keys, cached: bool) -> JwtValidator {
    let builder = JwtValidator::builder(key(keys))
        .issuer(ISSUER)
        .audience(AUDIENCE);
    let builder = match cached {
        true => builder,
        false => builder.without_cache(),
    };
    builder.build().unwrap()
}

fn layer(keys: &Keys, cached: bool) -> BearerAuthLayer<JwtValidator> {
    BearerAuthLayer::new(validator(keys, cached))
}

pub(crate) fn cold(keys: &Keys, _: &Tokens) -> Made {
    direct(layer(keys, false).layer(bare()))
}

pub(crate) fn cached(keys: &Keys, _: &Tokens) -> Made {
    direct(layer(keys, true).layer(bare()))
}

pub(crate) fn axum_cold(keys: &Keys, _: &Tokens) -> Made {
    routed(router(|| async {}).layer(layer(keys, false)))
}

pub(crate) fn axum_cached(keys: &Keys, _: &Tokens) -> Made {
    routed(router(|| async {}).layer(layer(keys, true)))
}
