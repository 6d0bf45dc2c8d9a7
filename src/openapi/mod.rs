//! What an OpenAPI document says about a layer, so that `/docs` shows locks where there are some.
//!
//! [`Security`] asks the policies of a [`BearerAuthLayer`](crate::BearerAuthLayer) about each operation of
//! a document and writes what they say into it: the member `security` of the operation, and the
//! [security schemes](https://spec.openapis.org/oas/v3.1.0#security-scheme-object) that the "Authorize"
//! button offers. Nothing is written twice by hand, so nothing can drift apart: schemes come from the
//! layer's [sources](crate::Source), requirements and scopes from its rules.
//!
//! # Example
//!
//! ```
//! use tower_bearer::openapi::{BearerScheme, OAuthFlow, Security};
//! use tower_bearer::policy::{Claims, Policies, public, scope};
//! use tower_bearer::{BearerAuthLayer, Failure, validator_fn};
//!
//! # #[derive(Clone)]
//! # struct User;
//! # impl Claims for User {}
//! let policies = Policies::builder()
//!     .at("/health", public())
//!     .under("/orders", scope("orders:read"))
//!     .build()?;
//! let layer = BearerAuthLayer::new(validator_fn(|_| Ok::<_, Failure>(User))).with_policy(policies);
//!
//! // With utoipa: `serde_json::to_value(ApiDoc::openapi())?`.
//! let mut document = serde_json::json!({
//!     "openapi": "3.1.0",
//!     "info": { "title": "Orders", "version": "1" },
//!     "paths": {
//!         "/health": { "get": { "responses": {} } },
//!         "/orders/{id}": { "get": { "responses": {} } },
//!     },
//! });
//! Security::of(&layer)
//!     .with_bearer("oauth2", BearerScheme::oauth2(OAuthFlow::password("/login")))?
//!     .apply(&mut document)?;
//!
//! let security = |path: &str| document["paths"][path]["get"]["security"].to_string();
//! assert_eq!(security("/health"), "[]");
//! assert_eq!(security("/orders/{id}"), r#"[{"oauth2":["orders:read"]}]"#);
//! assert_eq!(
//!     document["components"]["securitySchemes"]["oauth2"]["flows"]["password"]["scopes"].to_string(),
//!     r#"{"orders:read":""}"#,
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # With utoipa
//!
//! The document goes through JSON, so that no version of utoipa is tied to this crate. Serve that JSON
//! where the page looks for it.
//!
//! ```
//! use tower_bearer::openapi::Security;
//! use utoipa::OpenApi;
//!
//! #[utoipa::path(get, path = "/orders/{id}", params(("id" = u64, Path)), responses((status = 200)))]
//! async fn order() {}
//!
//! #[derive(OpenApi)]
//! #[openapi(paths(order))]
//! struct ApiDoc;
//!
//! fn document(security: &Security) -> Result<serde_json::Value, Box<dyn std::error::Error>> {
//!     let mut document = serde_json::to_value(ApiDoc::openapi())?;
//!     security.apply(&mut document)?;
//!     Ok(document)
//! }
//! # let layer = tower_bearer::BearerAuthLayer::new(tower_bearer::validator_fn(|_| Ok::<_, tower_bearer::Failure>(())));
//! let document = document(&Security::of(&layer))?;
//! assert_eq!(
//!     document["paths"]["/orders/{id}"]["get"]["security"],
//!     serde_json::json!([{ "bearerAuth": [] }]),
//! );
//!
//! // Back to the type of utoipa, where something else wants that.
//! let document: utoipa::openapi::OpenApi = serde_json::from_value(document)?;
//! # let _ = document;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The way back loses the `tokenUrl` of [`OAuthFlow::authorization_code`]: utoipa 6 reads such a flow as the
//! implicit one.
//!
//! The page itself has to be open where people read it before they have a token:
//! `.at("/openapi.json", public())` and `.under("/docs", public())`.
//!
//! # What it says, and what not
//!
//! * What an operation needs is what a request for it without a credential is told: whether one is wanted,
//!   and which scopes. A credential with these scopes lacks none. There may be another way in, which
//!   [`permit`](crate::policy::permit), [`or`](crate::policy::Guard::or) and
//!   [`any_scope`](crate::policy::any_scope) make; as in a challenge, the first that names scopes is named.
//! * Roles, owners, tenants and policies of your own are not in the document, and neither is
//!   [`deny`](crate::policy::deny) nor
//!   [`deny_unmatched`](crate::policy::PoliciesBuilder::deny_unmatched): such an operation needs a
//!   credential, and that none is enough is said by [`explain`](crate::Policies::explain).
//! * `/users/{id}` says what holds for an `id` that no rule names: a rule for `/users/me` neither opens it
//!   nor adds scopes to it. A rule for `/users/{user}` does.
//! * Every operation of the document is taken to be behind the layer, and what it said about its security is
//!   replaced. Where several layers share one document, apply each to the part it guards and merge the parts.
//! * Webhooks and callbacks are requests that others answer, so they are left alone.

mod access;
mod document;
mod error;
mod scheme;
mod security;
mod template;

pub use access::OperationAccess;
pub use error::OpenApiError;
pub use scheme::{BearerScheme, OAuthFlow};
pub use security::Security;
