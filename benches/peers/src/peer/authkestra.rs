//! authkestra's extractor, over the strategy of authkestra-resource. Keys come from an address only;
//! they are fetched before anything is measured.

use std::sync::Arc;
use std::time::Duration;

use authkestra_axum::Auth;
use authkestra_resource::Guard;
use authkestra_resource::jwt::{JwtStrategy, ValidationConfig};
use jsonwebtoken::Algorithm;
use tower::ServiceExt;

use crate::harness::{Claims, Made, request, routed, router};
use crate::key_server::{block_on, serve};
use crate::tokens::{AUDIENCE, ISSUER, Keys, Tokens};

async fn handler(_: Auth<Claims>) {}

pub(crate) fn axum(keys: &Keys, tokens: &Tokens) -> Made {
    match keys.algorithm {
        Algorithm::HS256 => return Err("no shared secrets"),
        Algorithm::ES256 => return Err("RSA and Ed25519 keys only"),
        _ => {}
    }
    let config = ValidationConfig::builder()
        .jwks_url(serve(keys.jwks()))
        .refresh_interval(Duration::from_secs(86_400))
        .issuer(ISSUER)
        .audience(AUDIENCE)
        .algorithms(vec![keys.algorithm])
        .build();
    let guard = Guard::builder()
        .strategy(JwtStrategy::<Claims>::new(config))
        .build();
    let router = router(handler).with_state(Arc::new(guard));
    let first = block_on(router.clone().oneshot(request(&tokens.allowed))).unwrap();
    assert!(
        first.status().is_success(),
        "authkestra: {}",
        first.status()
    );
    routed(router)
}
