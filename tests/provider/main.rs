//! Remote keys, discovery and token introspection, from the HTTP call to the response of the layer.

#[cfg(feature = "tracing")]
#[path = "../support/dispatcher.rs"]
mod dispatcher;
#[path = "../support/http_server.rs"]
mod http_server;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/tokens.rs"]
mod tokens;

mod introspection;
mod remote_keys;
