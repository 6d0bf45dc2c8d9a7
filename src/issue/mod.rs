//! Issuing tokens.

mod jwk_set_endpoint;
mod private_key;
mod signing_key;
mod signing_keys;

pub use jwk_set_endpoint::JwkSetEndpoint;
pub use signing_key::{PrivateKeyPem, SigningError, SigningKey};
pub use signing_keys::SigningKeys;
