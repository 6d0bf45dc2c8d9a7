//! Extraction: where in the request the credential stands. Nothing here knows whether it is good.

mod authorization;
#[cfg(any(feature = "basic", feature = "issuing"))]
#[cfg_attr(
    not(feature = "basic"),
    allow(unreachable_pub, reason = "public with the feature `basic`")
)]
mod basic;
mod cookie;
mod credential;
mod fetch_metadata;
mod redact;
mod source;
mod token68;
mod websocket;

pub use credential::{Credential, CredentialSource, Scheme, UncheckedCredential};
pub use fetch_metadata::permits_cookie;
pub use source::Source;

#[cfg(feature = "basic")]
pub use basic::BasicCredentials;
#[cfg(all(feature = "issuing", not(feature = "basic")))]
pub(crate) use basic::BasicCredentials;

pub(crate) use source::{ExtractError, Kind, Sources};
