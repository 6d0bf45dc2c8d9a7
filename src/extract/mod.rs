//! Extraction: where in the request the credential stands. Nothing here knows whether it is good.

mod authorization;
mod cookie;
mod credential;
mod fetch_metadata;
mod redact;
mod source;
mod token68;
mod websocket;

pub use credential::{Credential, CredentialSource, Scheme};
pub use fetch_metadata::permits_cookie;
pub use source::Source;

#[cfg(feature = "basic")]
pub use credential::BasicCredentials;

#[cfg(feature = "openapi")]
pub(crate) use source::Kind;
pub(crate) use source::{ExtractError, Sources};
