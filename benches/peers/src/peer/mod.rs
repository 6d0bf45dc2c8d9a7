//! One file per peer, each with a function that makes the contender for a key.

pub(crate) mod aliri_tower;
pub(crate) mod authkestra;
pub(crate) mod axum_from_fn;
pub(crate) mod axum_jwt_auth;
pub(crate) mod bare;
pub(crate) mod jwt_authorizer;
pub(crate) mod tower_bearer;
pub(crate) mod tower_http_async;
pub(crate) mod tower_http_bearer;
pub(crate) mod tower_mcp;
pub(crate) mod tower_oauth2_resource_server;
