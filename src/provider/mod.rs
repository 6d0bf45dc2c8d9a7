//! Issuers: their keys, their metadata, and asking them about tokens.
//!
//! [`RemoteKeys`] are the keys of an issuer, fetched from its JWK Set and kept fresh. They are named by
//! the address of the set, or found by the name of the issuer (feature `oidc`).
//!
//! ```no_run
//! use tower_bearer::provider::RemoteKeys;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), tower_bearer::provider::ProviderError> {
//! let keys = RemoteKeys::builder("https://issuer.example/jwks.json").connect().await?;
//! println!("{} keys", keys.status().keys().count());
//! # Ok(())
//! # }
//! ```
//!
//! `Introspection` (feature `introspection`) asks the authorization server about tokens that only it
//! understands.
//!
//! For a provider at an internal address, [`RemoteKeysBuilder`] has `metadata_url` (feature `oidc`) and
//! [`insecure_http_host`](RemoteKeysBuilder::insecure_http_host). For an issuer that requires authentication,
//! such as a Kubernetes API server, use [`HttpFetcher::with_bearer_token`].
//!
//! # When keys are fetched
//!
//! * Before they are stale, in the background: the first request after 80 to 95 % of their fresh time
//!   starts it and does not wait for it. The share differs from instance to instance, so that many do
//!   not ask at once.
//! * When a token names a key that is not there, or when its signature does not match: at most once
//!   per cooldown, for all such tokens together. Those requests wait for it.
//! * When there are no usable keys: once per cooldown. Requests wait for it, all for the same one.
//!
//! There is no timer task. What does not answer requests asks for nothing, and nothing is left behind
//! when the last clone is dropped. Call [`RemoteKeys::refresh`] from a timer of your own to be ahead of
//! the first request.
//!
//! A fetched set replaces the one before: a key that the issuer took out no longer counts. If no set can
//! be fetched, the last good one is used for the stale limit; after that requests are answered with 503,
//! never with 401.
//!
//! # Watching, and starting without the issuer
//!
//! `connect` fails if the issuer is down; `connect_lazily` does not ask it, and requests are answered with 503
//! until it is up. A clone of the keys stays with the service for its health check, or comes from
//! `JwtValidator::remote_keys`:
//!
//! ```
//! use tower_bearer::provider::RemoteKeys;
//! use tower_bearer::jwt::JwtValidator;
//!
//! # #[cfg(any(feature = "aws_lc_rs", feature = "rust_crypto"))] {
//! let keys = RemoteKeys::builder("https://issuer.example/jwks.json").connect_lazily()?;
//! let validator = JwtValidator::builder(keys.clone())
//!     .issuer("https://issuer.example")
//!     .audience("https://api.example.com")
//!     .build()?;
//!
//! // in the health check
//! let status = keys.status();
//! let healthy = status.usable_until().is_some_and(|until| until > std::time::SystemTime::now());
//! # assert!(!healthy); let _ = validator; }
//! # Ok::<_, tower_bearer::provider::ProviderError>(())
//! ```
//!
//! # Runtimes
//!
//! A fetch runs as a task on the tokio runtime of the request that caused it; timers and I/O have to be
//! enabled there. Everybody else waits for that task, on whatever runtime. Without a runtime, keys
//! in memory are used, and everything else is 503.

#[cfg(feature = "oidc")]
mod discovery;
mod error;
mod fetch;
mod freshness;
mod http_fetcher;
#[cfg(feature = "introspection")]
mod introspection;
mod key_cache;
mod loader;
mod remote_keys;
mod schedule;
mod settings;
mod single_flight;
mod status;
mod unknown_key_ids;
mod url;
mod validator;

#[cfg(feature = "oidc")]
pub use discovery::IssuerMetadata;
pub use error::ProviderError;
pub use fetch::{Fetch, FetchError, FetchErrorKind};
pub use http_fetcher::HttpFetcher;
#[cfg(feature = "introspection")]
pub use introspection::{ClientAuthentication, Introspection, IntrospectionBuilder};
pub use remote_keys::RemoteKeys;
pub use settings::RemoteKeysBuilder;
pub use status::KeysStatus;
