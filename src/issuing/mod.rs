//! Issuing tokens: access tokens signed here, refresh tokens that are good once, sessions that can be listed and ended.
//!
//! Who has an identity provider needs none of this. For a service that logs in its own users:
//!
//! ```
//! use tower_bearer::BearerAuthLayer;
//! use tower_bearer::issuing::{Grant, SigningKey, SigningKeys, TokenIssuer};
//! use tower_bearer::jwt::Algorithm;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // For trials. In earnest `SigningKey::from_pem(..)`, the same in all instances and after a restart.
//! let keys = SigningKeys::new(SigningKey::generate(Algorithm::ES256)?)?;
//! let issuer = TokenIssuer::builder("https://api.example.com", keys)
//!     .audience("https://api.example.com")
//!     .build()?;
//! let layer = BearerAuthLayer::new(issuer.validator()?);
//!
//! // In the handler of the login, once the password has been checked:
//! let tokens = issuer.issue(Grant::new("alice", "web").scope("orders:read")).await?;
//! let response = tokens.to_response();
//! # let _ = (layer, response); Ok(())
//! # }
//! ```
//!
//! With the feature `axum`, [`TokenResponse`] and [`IssuingError`] are responses, so a handler may be
//! `async fn login(..) -> Result<TokenResponse, IssuingError>`.
//!
//! # What happens to a session
//!
//! | what | the refresh token | the access tokens |
//! |---|---|---|
//! | [`refresh`](TokenIssuer::refresh) | is exchanged for another one | the new one counts beside the old one |
//! | a refresh token is used again | the session ends | are refused |
//! | [`revoke`](TokenIssuer::revoke) with a refresh token, [`end_session`](TokenIssuer::end_session) | the session ends | are refused |
//! | [`revoke`](TokenIssuer::revoke) with an access token | stays valid; the 17th such call ends the session | that token is rejected |
//! | [`revoke_versions_below`](TokenIssuer::revoke_versions_below) | sessions of lower versions end | are rejected |
//! | [`end_sessions`](TokenIssuer::end_sessions) of a user or client | all end | all are refused |
//! | nobody refreshes for [`refresh_ttl`](TokenIssuerBuilder::refresh_ttl) (7 days), or [`session_ttl`](TokenIssuerBuilder::session_ttl) (30 days) is over | expires | expire by themselves, after 15 minutes at most |
//!
//! "Refused" holds from the next request on, for tokens that a validator remembers too, in every process that shares the
//! store of the [`RevocationHub`].
//!
//! # Stores
//!
//! Sessions and revocations are kept in memory unless told otherwise. With a [store] that lasts:
//!
//! ```
//! # use tower_bearer::issuing::{SigningKeys, TokenIssuer};
//! use tower_bearer::issuing::RevocationHub;
//! use tower_bearer::issuing::store::{RevocationStore, SessionStore};
//!
//! # async fn build(keys: SigningKeys, store: impl SessionStore + RevocationStore + Clone + 'static)
//! # -> Result<(), Box<dyn std::error::Error>> {
//! let issuer = TokenIssuer::builder("https://api.example.com", keys)
//!     .audience("https://api.example.com")
//!     .revocations(RevocationHub::open(store.clone()).await?)
//!     .sessions(store)
//!     .build()?;
//! # let _ = issuer; Ok(()) }
//! ```

mod access_claims;
mod builder;
mod ending;
mod error;
mod form;
mod grant;
mod issuer;
mod jwk_set_endpoint;
mod logins;
mod private_key;
mod refresh_token;
mod response;
mod revocation_endpoint;
mod revocation_hub;
mod scope_list;
mod session;
mod session_limit;
mod signing_key;
mod signing_keys;
pub mod store;

pub use builder::TokenIssuerBuilder;
pub use error::{InvalidGrant, IssuingError};
pub use form::TokenForm;
pub use grant::Grant;
pub use issuer::TokenIssuer;
pub use jwk_set_endpoint::JwkSetEndpoint;
pub use response::TokenResponse;
pub use revocation_endpoint::{ClientCredentials, RevocationEndpoint};
pub use revocation_hub::{RevocationHub, RevocationHubBuilder};
pub use session::Session;
pub use signing_key::{PrivateKeyPem, SigningError, SigningKey};
pub use signing_keys::SigningKeys;

pub use store::{SessionId, SessionsOf};
