//! Path rules and policies: decisions, configuration errors and the OpenAPI description.

#[path = "../support/mod.rs"]
mod support;

#[cfg(feature = "opaque")]
mod configuration;
#[cfg(feature = "openapi")]
mod openapi;
#[cfg(all(feature = "axum", feature = "opaque"))]
mod paths;
mod policies;
