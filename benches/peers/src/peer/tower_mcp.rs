//! tower-mcp's OAuth layer, which any service with the bodies of axum can have.

use jsonwebtoken::Algorithm;
use tower::Layer;
use tower_mcp::oauth::{
    JwksValidator, JwtValidator, OAuthLayer, ProtectedResourceMetadata, TokenValidator,
};

use crate::harness::{Made, bare, direct};
use crate::key_server::{block_on, serve};
use crate::tokens::{AUDIENCE, ISSUER, Keys, SECRET, Tokens};

pub(crate) fn service(keys: &Keys, _: &Tokens) -> Made {
    match keys.algorithm {
        Algorithm::HS256 => {
            layered(JwtValidator::from_secret(SECRET.as_bytes()).expected_issuer(ISSUER))
        }
        Algorithm::RS256 => {
            let validator = JwtValidator::from_rsa_pem(keys.pem.as_bytes()).unwrap();
            layered(validator.expected_issuer(ISSUER))
        }
        Algorithm::ES256 => {
            let validator = JwtValidator::from_ec_pem(keys.pem.as_bytes()).unwrap();
            layered(validator.expected_issuer(ISSUER))
        }
        // There is no constructor for a key in PEM; a JWK Set may have one.
        _ => {
            let builder = JwksValidator::builder(serve(keys.jwks())).expected_issuer(ISSUER);
            layered(block_on(builder.build()).unwrap())
        }
    }
}

/// The layer itself checks the audience: it is the name of the resource.
fn layered<V: TokenValidator>(validator: V) -> Made {
    let metadata = ProtectedResourceMetadata::new(AUDIENCE).authorization_server(ISSUER);
    direct(OAuthLayer::new(validator, metadata).layer(bare()))
}
