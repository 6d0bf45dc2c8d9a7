//! Decides, in front of any Tower service, who is calling and whether they may.
//!
//! A [`BearerAuthLayer`] takes the credential from the request, hands it to a [`Validator`], puts the
//! principal into the request extensions as [`Authenticated`], and applies [`Policies`]: an ordered
//! list of rules for paths. What it refuses, it answers itself, with the status and the
//! `WWW-Authenticate` that [RFC 6750](https://www.rfc-editor.org/rfc/rfc6750#section-3) asks for, as a
//! problem document or as a gRPC status.
//!
//! ```
//! use http::{Request, Response, StatusCode};
//! use tower::{Layer, ServiceExt, service_fn};
//! use tower_bearer::policy::{Claims, Policies, public, scope, scope_list_contains};
//! use tower_bearer::{Authenticated, BearerAuthLayer, OpaqueTokens};
//!
//! struct User {
//!     name: &'static str,
//!     scope: &'static str,
//! }
//!
//! impl Claims for User {
//!     fn has_scope(&self, scope: &str) -> bool {
//!         scope_list_contains(self.scope, scope)
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let tokens = OpaqueTokens::new();
//! tokens.insert("W3n5iYp2Tn6Vd8qR0sXkLw", User { name: "alice", scope: "orders:read" })?;
//! tokens.insert("k2Jt9sQm4Zr7uBx1YcVe0A", User { name: "bob", scope: "" })?;
//!
//! let policies = Policies::builder()
//!     .at("/health", public())
//!     .under("/orders", scope("orders:read"))
//!     .build()?;
//!
//! let service = BearerAuthLayer::new(tokens).with_policy(policies).layer(service_fn(
//!     |request: Request<String>| async move {
//!         let user = request.extensions().get::<Authenticated<User>>();
//!         let name = user.map_or("nobody", |user| user.name);
//!         Ok::<_, std::convert::Infallible>(Response::new(format!("hello {name}")))
//!     },
//! ));
//!
//! let get = |path: &str, token: &str| {
//!     let request = Request::get(path).header("authorization", format!("Bearer {token}"));
//!     service.clone().oneshot(request.body(String::new()).unwrap())
//! };
//! assert_eq!(get("/orders/7", "W3n5iYp2Tn6Vd8qR0sXkLw").await?.status(), StatusCode::OK);
//!
//! let unknown = get("/orders/7", "somebody-elses-token").await?;
//! assert_eq!(unknown.status(), StatusCode::UNAUTHORIZED);
//! assert_eq!(unknown.headers()["www-authenticate"], r#"Bearer realm="api", error="invalid_token""#);
//!
//! let lacking = get("/orders/7", "k2Jt9sQm4Zr7uBx1YcVe0A").await?;
//! assert_eq!(lacking.status(), StatusCode::FORBIDDEN);
//! assert_eq!(
//!     lacking.headers()["www-authenticate"],
//!     r#"Bearer realm="api", error="insufficient_scope", scope="orders:read""#,
//! );
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]
// Nothing that a request can reach may panic; tests may.
#![cfg_attr(not(test), warn(clippy::expect_used, clippy::unwrap_used))]

mod body;
mod challenge;
pub mod clock;
mod error;
mod extract;
mod future;
mod layer;
mod observe;
pub mod policy;
mod principal;
mod rejection;
mod request;
mod respond;
mod service;
mod trace;
mod validator;

#[cfg(feature = "axum")]
mod axum;

pub use body::ResponseBody;
pub use challenge::Challenge;
pub use error::{ConfigError, PatternProblem};
#[cfg(feature = "basic")]
pub use extract::BasicCredentials;
pub use extract::{Credential, CredentialSource, Scheme, Source};
pub use future::ResponseFuture;
pub use layer::BearerAuthLayer;
pub use observe::{DecisionEvent, Latency, Outcome};
pub use policy::{Policies, Policy};
pub use principal::Authenticated;
pub use rejection::{Rejection, RejectionKind, RequestFault};
pub use request::RequestView;
pub use respond::{ProblemDetails, Responder};
pub use service::BearerAuth;
pub use validator::{
    BoxFuture, Expiring, Failure, FailureKind, ForScheme, IntoVerdict, InvalidReason, Or,
    Validated, Validator, ValidatorFn, Verdict, markers, validator_fn,
};
#[cfg(feature = "opaque")]
pub use validator::{OpaqueTokens, TokenDigest};

#[cfg(feature = "axum")]
pub use crate::axum::NotAuthenticated;
