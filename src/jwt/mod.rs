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
//! | the keys with which this process signs (feature `issuing`) | `JwtValidator::builder(&signing_keys)` |
//! | JWTs and opaque tokens | [`JwtOrOpaque`], or [`or`](crate::Validator::or) |
//!
//! followed by `.issuer(..)` (discovery sets it), `.audience(..)` and `.build()?`.
//!
//! # Why a token is refused
//!
//! The client is told `invalid_token` and nothing else. The operator finds a [`TokenError`] as the source of
//! the [`Rejection`](crate::Rejection), and its kind as `reason` in the events of `tracing`:
//!
//! ```
//! use std::error::Error;
//! use tower_bearer::jwt::{JwtValidator, TokenError};
//! use tower_bearer::{BearerAuthLayer, Outcome};
//!
//! # fn main_(validator: JwtValidator) {
//! let layer = BearerAuthLayer::new(validator).on_decision(|event| {
//!     let Outcome::Rejected(rejection) = event.outcome() else { return };
//!     if let Some(error) = rejection.source().and_then(|source| source.downcast_ref::<TokenError>()) {
//!         eprintln!("refused: {error}");
//!     }
//! });
//! # let _ = layer; }
//! ```
//!
//! The usual causes: an `aud` that is not the one configured, an `iss` that differs by a slash, an ID token
//! instead of an access token, a key of a provider that signs with PS256 and does not say so
//! ([`JwksOptions::with_rsa_algorithms`]).
//!
//! # Restricting tokens, and the claims of a provider
//!
//! [`only_token_types`](JwtValidatorBuilder::only_token_types),
//! [`algorithms`](JwtValidatorBuilder::algorithms) and [`max_token_age`](JwtValidatorBuilder::max_token_age)
//! restrict the accepted tokens further. [`ClaimsLayout`] has presets for the claims of common providers.
//!
//! # Limits
//!
//! 8192 bytes for a token, 24 members for its header, 256 bytes for `kid`, 16 levels of nesting and 256 members for each
//! object in the claims, dates from 1970 to the year 9999.
//!
//! # Claims that cannot be read
//!
//! A claim or a member of the header whose value is `null` is absent; only `cnf` and `crit` are an error in
//! any form. The claims that decide must have their type: `iss`, `sub`, `aud`, `exp`, `nbf`, `iat`, `cnf`,
//! scopes, roles and the tenant. All others may have any shape, and count as absent where they cannot be
//! read, so that a policy that needs one denies. [`require`](JwtValidatorBuilder::require) and
//! [`revocations`](JwtValidatorBuilder::revocations) reject a token if a claim that they need cannot be read.
//! An object with a repeated member is always rejected.
//!
//! # Crypto
//!
//! Either feature `aws_lc_rs` or feature `rust_crypto` has to be on. Both may be; nothing is installed
//! for the process, and other crates' choices make no difference. See [`CryptoBackend`].

mod access_token;
mod algorithm;
#[cfg(feature = "issuing")]
mod authenticity;
mod backend;
mod base64url;
mod builder;
mod check_settings;
mod checks;
mod claim_path;
mod claims;
mod decode_buffer;
mod error;
mod header;
mod inline_text;
mod issuers;
pub(crate) mod json;
mod jwk;
mod jwt_or_opaque;
mod key;
mod key_error;
#[cfg_attr(
    not(feature = "jwks"),
    expect(dead_code, reason = "only keys that are fetched need all of it")
)]
mod key_provider;
mod key_set;
mod known_headers;
mod layout;
mod material;
mod packed_texts;
pub(crate) mod pem;
mod profile;
mod secret;
mod token;
mod validator;

pub use access_token::AccessToken;
pub use algorithm::Algorithm;
#[cfg(feature = "issuing")]
pub(crate) use algorithm::{Curve, Family};
#[cfg(feature = "issuing")]
pub(crate) use authenticity::Authenticity;
pub use backend::CryptoBackend;
pub use builder::JwtValidatorBuilder;
#[cfg(feature = "introspection")]
pub(crate) use check_settings::{check_setters, problem};
#[cfg(any(feature = "introspection", feature = "logout"))]
pub(crate) use checks::Typing;
#[cfg(feature = "logout")]
pub(crate) use checks::is_of_type;
#[cfg(feature = "introspection")]
pub(crate) use checks::{Checks, MAX_LEEWAY};
pub use claim_path::ClaimPath;
#[cfg(any(feature = "introspection", feature = "logout"))]
pub(crate) use claims::RawClaims;
#[cfg(feature = "logout")]
pub(crate) use claims::Times;
pub use error::TokenError;
pub use issuers::JwtIssuers;
pub use jwt_or_opaque::JwtOrOpaque;
#[cfg(feature = "issuing")]
pub(crate) use key::checked_kid;
pub use key::{Key, PublicKey};
pub use key_error::KeyError;
#[cfg(any(feature = "issuing", feature = "jwks"))]
pub(crate) use key_provider::{Current, KeyProvider};
#[cfg(feature = "jwks")]
pub(crate) use key_provider::{KeysFuture, Missing};
pub use key_set::{JwksOptions, KeySet, SkippedKey};
pub use layout::ClaimsLayout;
#[cfg(feature = "jwks")]
pub(crate) use material::is_certificate;
#[cfg(feature = "issuing")]
pub(crate) use material::{PublicMaterial, encrypted};
#[cfg(feature = "logout")]
pub(crate) use profile::TokenProfile;
pub use secret::SharedSecret;
pub use validator::{JwtValidator, KeySource};
#[cfg(feature = "introspection")]
pub(crate) use validator::{OwnCheck, checked};
