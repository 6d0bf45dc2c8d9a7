//! tower-oauth2-resource-server's layer, with a JWK Set given at start.

use axum::body::Body;
use tower::Layer;
use tower_oauth2_resource_server::server::OAuth2ResourceServer;
use tower_oauth2_resource_server::tenant::TenantConfiguration;
use tower_oauth2_resource_server::validation::ClaimsValidationSpec;

use crate::harness::{Claims, Made, bare, direct};
use crate::key_server::block_on;
use crate::tokens::{AUDIENCE, ISSUER, Keys, Tokens};

pub(crate) fn service(keys: &Keys, _: &Tokens) -> Made {
    let claims = ClaimsValidationSpec::new()
        .iss(ISSUER)
        .aud(&vec![AUDIENCE.to_owned()])
        .exp(true);
    let tenant = TenantConfiguration::static_builder(keys.jwks())
        .claims_validation(claims)
        .allowed_algorithms(&[keys.algorithm])
        .build()
        .unwrap();
    let server = OAuth2ResourceServer::<Claims>::builder().add_tenant(tenant);
    let server = block_on(server.build()).unwrap();
    direct(server.into_layer::<Body>().layer(bare()))
}
