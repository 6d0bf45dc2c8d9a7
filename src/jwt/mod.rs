//! JSON Web Tokens: keys, claims, and a validator that checks all of it.
//!
//! # From a key to a layer
//!
//! | what there is | what to write |
//! |---|---|
//! | a public key in PEM | `JwtValidator::builder(PublicKey::from_pem(pem)?)` |
//! | a secret that both sides share | `JwtValidator::builder(SharedSecret::hs256(secret)?)` |
//! | a JWK Set in a file | `JwtValidator::builder(KeySet::from_jwks(json)?)` |
//! | the address of a JWK Set | `JwtValidator::builder(RemoteKeys::builder(url).connect().await?)` |
//! | an OpenID Connect or OAuth 2.0 issuer | `JwtValidator::discover("https://login.example.com/").await?` |
//! | several issuers | [`JwtIssuers`] |
//! | JWTs and opaque tokens | [`ByShape`], or [`or`](crate::Validator::or) |
//!
//! followed by `.issuer(..)` (discovery sets it), `.audience(..)` and `.build()?`.
//!
//! # Crypto
//!
//! Either feature `aws_lc_rs` or feature `rust_crypto` has to be on. Both may be; nothing is installed
//! for the process, and other crates' choices make no difference. See [`CryptoBackend`].

mod access_token;
mod algorithm;
mod backend;
mod builder;
mod by_shape;
mod checks;
mod claims;
mod error;
mod issuers;
pub(crate) mod json;
mod jwk;
mod key;
mod key_error;
mod key_set;
mod layout;
mod material;
mod secret;
mod token;
mod validator;

pub use access_token::AccessToken;
pub use algorithm::Algorithm;
pub use backend::CryptoBackend;
pub use builder::JwtValidatorBuilder;
pub use by_shape::ByShape;
#[cfg(feature = "introspection")]
pub(crate) use checks::{Checks, MAX_LEEWAY, Typing};
#[cfg(feature = "introspection")]
pub(crate) use claims::RawClaims;
pub use error::TokenError;
pub use issuers::JwtIssuers;
pub use key::{Key, PublicKey};
pub use key_error::KeyError;
pub use key_set::{JwksOptions, KeySet, SkippedKey};
pub use layout::{ClaimPath, ClaimsLayout};
pub use secret::SharedSecret;
pub use validator::{JwtValidator, KeySource};
