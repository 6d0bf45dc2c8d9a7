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
//!
//! # How a request is decided
//!
//! 1. A principal that came in with the request is taken out of its extensions.
//! 2. The policy says what the request has to present: a credential, a credential or none, or
//!    nothing. A list of rules looks at the path for that, and refuses one without a single meaning
//!    (400).
//! 3. A public path goes straight on.
//! 4. The credential is read from the [sources](Source) that the layer offers, by default the
//!    `Authorization` header. None is 401; two, or one that cannot be read, is 400.
//! 5. The [`Validator`] says whom it stands for. A bad one is 401 `invalid_token`; if it cannot be
//!    told right now, 503. One that was accepted before and still stands is not asked about again if the
//!    validator remembers; whether it has been [taken back](revocation) is.
//! 6. A credential whose time is over is 401, whatever the validator said.
//! 7. The [policies](policy) are asked in their order: 403, or 401 for a stronger login.
//! 8. The proof goes into the extensions, the credential is hidden from `Debug`, and the inner
//!    service is called: in place, without a box or a clone, unless something had to be awaited.
//!
//! Each refusal carries its [`Rejection`] in the response extensions and `Cache-Control: no-store`.
//!
//! | what happened | HTTP | challenge | gRPC |
//! |---|---|---|---|
//! | no credential, or another scheme | 401 | no error code, `scope` if known | 16 |
//! | more than one credential, or a malformed one | 400 | `invalid_request` | 16 |
//! | invalid, expired or revoked | 401 | `invalid_token` | 16 |
//! | a stronger or fresher login is needed | 401 | `insufficient_user_authentication` | 16 |
//! | a scope is missing | 403 | `insufficient_scope`, with all scopes that the request needs | 7 |
//! | refused by a policy otherwise, or a cookie or Basic credential from another site | 403 | no error code | 7 |
//! | a path without a single meaning | 400 | none | 3 |
//! | it cannot be told right now | 503, `Retry-After` | none | 14 |
//! | too many attempts | 429, `Retry-After` | none | 8 |
//!
//! # Writing a validator
//!
//! [`validator_fn`] makes one of a closure, which may answer at once or in a future:
//!
//! ```
//! use tower_bearer::{Failure, InvalidReason, validator_fn};
//!
//! # #[derive(Clone)] struct Sessions;
//! # struct User;
//! # impl Sessions { async fn find(&self, _: &str) -> Result<Option<User>, std::io::Error> { Ok(None) } }
//! # let sessions = Sessions;
//! let validator = validator_fn(move |credential| {
//!     let sessions = sessions.clone();
//!     async move {
//!         sessions
//!             .find(credential.token())
//!             .await
//!             .map_err(Failure::unavailable)? // an outage is 503, never "invalid"
//!             .ok_or_else(|| Failure::invalid(InvalidReason::Unknown))
//!     }
//! });
//! # let _ = tower_bearer::BearerAuthLayer::new(validator);
//! ```
//!
//! Implement [`Validator`] for state of your own. Two are combined with [`Validator::or`], and limited
//! to one scheme with [`Validator::for_scheme`]. `OpaqueTokens` (feature `opaque`)
//! is a table of tokens that may change while requests run.
//!
//! [`Validator::and_then`] adds a second step, such as loading the user behind a token.
//!
//! # JSON Web Tokens and issuers
//!
//! With the feature `jwt` and a crypto back end, `aws_lc_rs` or `rust_crypto`, the module `jwt` has a
//! validator for JSON Web Tokens; `jwks` and `oidc` fetch its keys and find its issuer; `introspection` asks
//! the authorization server about opaque tokens. `JwtIssuers` is for several issuers, `JwtOrOpaque` for JWTs
//! beside opaque tokens; a `ClaimsLayout` says where a provider puts roles and scopes, and
//! `.claims::<T>()` reads the claims into a type of the application.
//!
//! ```no_run
//! # #[cfg(all(feature = "aws_lc_rs", feature = "oidc"))]
//! # async fn main_() -> Result<(), Box<dyn std::error::Error>> {
//! use tower_bearer::BearerAuthLayer;
//! use tower_bearer::jwt::JwtValidator;
//!
//! let validator = JwtValidator::discover("https://login.example.com/")
//!     .await?
//!     .audience("https://api.example.com")
//!     .build()?;
//! let layer = BearerAuthLayer::new(validator);
//! # let _ = layer; Ok(()) }
//! ```
//!
//! # Tokens of one's own
//!
//! A service without an identity provider issues its tokens with `issuing::TokenIssuer` (feature `issuing`): access and refresh
//! tokens, sessions that can be listed and ended, revocation that takes effect at the next request. `issuing::store` keeps them, in
//! memory, in a file (crate `tower-bearer-redb`) or in Redis (crate `tower-bearer-redis`), `throttle` slows down who guesses
//! passwords, `openapi` describes the layer to an API's documentation, and the example `login` puts it all together.
//!
//! # The order of layers
//!
//! From the outside in, and why:
//!
//! | layer | place | because |
//! |---|---|---|
//! | tracing, request id | outside | refusals should be seen too |
//! | timeout, load shedding | outside | a validator may wait |
//! | concurrency limit | outside, or inside with care | this layer reserves the inner service (`poll_ready`) before it validates a credential, so a limit inside also counts requests whose validation is pending, and a slow validator uses up its permits |
//! | CORS | outside | preflights carry no credential, and a browser can read a 401 only with CORS headers; expose `WWW-Authenticate`, and for gRPC-Web `grpc-status` and `grpc-message` |
//! | `NormalizePath`, anything that rewrites the URI | outside | what the rules match must be what the router routes; a rewrite behind this layer is not seen |
//! | **this layer** | | |
//! | body limits, compression, the router | inside | nothing is spent on a stranger |
//!
//! ## In axum
//!
//! Put the layer on the outermost router, and last: `Router::layer` covers the routes, nested routers
//! and the fallback that are there when it is called, and nothing that is added later or merged
//! beside it. On an inner router it does not cover the paths that the inner router does not know; axum
//! hands those to the fallback of the outer one.
//!
//! With `Router::layer` an unknown path is 401 for a stranger, with `route_layer` it is 404.
//!
//! Inside `Router::nest` and `Router::nest_service`, axum strips the prefix from the URI. Rules are matched
//! against the path that the layer receives, so there they are relative to the nested router.
//! [`BearerAuthLayer::nested_at`] declares the prefix for rules with full paths, and works for any service
//! behind something that strips a prefix. No feature changes the path of a rule. With the features `axum` and
//! `tracing`, a layer with path rules in a nest without a declaration, or in another nest than the declared
//! one, logs one warning.
//!
//! The layer changes the type of the response body, so `tower::util::option_layer` needs it mapped:
//! `ServiceBuilder::new().map_response(|response: Response<ResponseBody<Body>>|
//! response.map(Body::new)).layer(auth)`.
//!
//! ## In tonic
//!
//! `Server::builder().layer(..)` stands in front of all services and can refuse unknown ones with
//! [`deny_unmatched`](policy::PoliciesBuilder::deny_unmatched). One service alone is wrapped by
//! `layer.named_layer(service)` of `tonic::service::LayerExt`; there, tonic answers unknown services
//! itself. A gRPC method is a path: `at("/shop.Orders/Create", scope("orders:write"))`.
//!
//! # Testing your application
//!
//! The rules alone are tested without a request: which apply, in which order, and the whole table
//! against a snapshot.
//!
//! ```
//! use http::Method;
//! use tower_bearer::policy::{Claims, Policies, Requirement, public, role};
//!
//! # struct User;
//! # impl Claims for User {}
//! # fn policies() -> Policies<User> {
//! #     Policies::builder().at("/health", public()).under("/admin", role("admin")).build().unwrap()
//! # }
//! let policies = policies();
//! assert_eq!(policies.explain(&Method::GET, "/health").requirement(), Ok(Requirement::Public));
//! let admin = policies.explain(&Method::GET, "/admin/users");
//! assert_eq!(admin.rules()[0].rule(), "under /admin: role(admin)");
//! let table = policies.to_string();
//! # assert!(table.contains("role(admin)"));
//! ```
//!
//! Whether somebody may is tested with a validator that makes whom the test wants, and no socket:
//!
//! ```
//! use http::{Request, Response, StatusCode};
//! use tower::{Layer, ServiceExt, service_fn};
//! use tower_bearer::policy::{Claims, Policies, role};
//! use tower_bearer::{BearerAuthLayer, Failure, validator_fn};
//!
//! #[derive(Clone)]
//! struct User {
//!     admin: bool,
//! }
//!
//! impl Claims for User {
//!     fn has_role(&self, role: &str) -> bool {
//!         self.admin && role == "admin"
//!     }
//! }
//!
//! # fn policies() -> Policies<User> { Policies::builder().under("/admin", role("admin")).build().unwrap() }
//! async fn status(user: User, request: http::request::Builder) -> StatusCode {
//!     let service = BearerAuthLayer::new(validator_fn(move |_| Ok::<_, Failure>(user.clone())))
//!         .with_policy(policies())
//!         .layer(service_fn(|_| async { Ok::<_, Failure>(Response::new(String::new())) }));
//!     let request = request.header("authorization", "Bearer any").body(()).unwrap();
//!     service.oneshot(request).await.unwrap().status()
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! assert_eq!(status(User { admin: true }, Request::get("/admin/users")).await, StatusCode::OK);
//! assert_eq!(status(User { admin: false }, Request::get("/admin/users")).await, StatusCode::FORBIDDEN);
//! # }
//! ```
//!
//! A router is tested the same way, with `layer(..)` on it. [`clock::ManualClock`] moves time by hand.
//!
//! # What it does not do
//!
//! * It checks no passwords and keeps no users. What comes after that, tokens, sessions and their end, is in the module `issuing`
//!   (feature `issuing`), for services without an identity provider.
//! * It terminates no TLS; without TLS in front, a bearer token is anybody's
//!   ([RFC 6750 section 5.3](https://www.rfc-editor.org/rfc/rfc6750#section-5.3)).
//! * It reads no token from the query or from a form.
//! * It decrypts no tokens (JWE), and checks no sender binding (DPoP, mutual TLS): a bound token is refused.
//! * It decides once for each request. A stream or a WebSocket that outlives its credential ends when
//!   the service ends it: [`Authenticated::expires_at`] says when.
//! * It looks at no body, and at no header but those of its sources, `Content-Type` (is it gRPC?), and, for
//!   cookies, Basic and preflights, those in which a browser names the origin of a request.
//! * It reads no Digest credential and no client certificate. Browsers attach both by themselves, like
//!   cookies and Basic credentials. A service that accepts either of them otherwise calls [`permits_cookie`].
//!
//! # Features
//!
//! | feature | what it enables | default |
//! |---|---|---|
//! | `opaque` | `OpaqueTokens`: a table of tokens, kept as digests | yes |
//! | `axum` | `Authenticated<T>` as an extractor; the value of a parameter in the prefix of [`nested_at`](BearerAuthLayer::nested_at) | no |
//! | `aws_lc_rs` | `jwt` with the crypto of aws-lc-rs: the faster one, needs a C compiler | no |
//! | `basic` | reading user and password of a Basic credential | no |
//! | `cache` | `ValidatorExt::cached`: remembering what a validator accepts; `jwt` brings it along | no |
//! | `introspection` | `provider::Introspection`: opaque tokens by RFC 7662 | no |
//! | `issuing` | `issuing::TokenIssuer`: tokens and sessions of one's own; brings `aws_lc_rs`, `logout` and `revocation` along | no |
//! | `jsonwebtoken` | `jsonwebtoken::JsonwebtokenValidator`: your own `DecodingKey` and `Validation` of the crate `jsonwebtoken` | no |
//! | `jwks` | `provider::RemoteKeys`: keys fetched from a JWK Set and kept fresh | no |
//! | `jwt` | `jwt::JwtValidator`; needs `aws_lc_rs` or `rust_crypto`, both may be on | no |
//! | `logout` | `logout::BackChannelLogout`: hearing from an OpenID provider who has logged out; brings `jwt` and `revocation` along, and needs a crypto back end as `jwt` does | no |
//! | `oidc` | discovery of an issuer by its name | no |
//! | `openapi` | `openapi::Security`: locks and the "Authorize" button for an OpenAPI document | no |
//! | `testing` | `issuing::store::conformance`: tests for your own store | no |
//! | `revocation` | `revocation::RevocationList`: what has been taken back, in memory | no |
//! | `rust_crypto` | `jwt` with the crypto of RustCrypto: Rust only, unless `jwks` brings TLS | no |
//! | `throttle` | `throttle::Throttle`: slowing down who guesses | no |
//! | `tracing` | events for refusals and outages, without secrets | no |
//!
//! Events of `tracing` have the target `tower_bearer` and the fields `outcome`, `reason`, `rule`, `scheme`,
//! `source` (the place of the credential) and `status`: WARN for an outage, DEBUG for other refusals, TRACE
//! for what passes. The cause of an outage is in none of them, because it may quote its input; a hook
//! ([`on_decision`](BearerAuthLayer::on_decision)) finds it as the source of the [`Rejection`]. Further
//! events are for the operator: WARN with the outcome `keys-not-fetched` where an issuer's keys could not be
//! fetched, `revocations-not-followed` where a shared store of revocations could not be read,
//! `logout-not-done` where a logout was not carried out, `redis-without-append-only-file` where a Redis has
//! no append-only file, or `nest-differs` where a layer is nested at another prefix than the one declared
//! (fields `nested_path` and `nested_at`), and ERROR with `introspection-credentials-refused` where an
//! authorization server does not let this service ask about tokens.
//!
//! Without features the crate depends on `http`, `http-body`, the two `tower` traits and a few small
//! crates. The minimum supported Rust version is 1.88; raising it is not a breaking change, but always
//! a minor release.
//!
//! The [threat model](_documentation::threat_model) says what is defended against what,
//! [the design](_documentation::design) why it is built as it is, and [a list](_documentation::rules) what
//! the numbers in comments of the source mean.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]
// Nothing that a request can reach may panic; tests may.
#![cfg_attr(not(test), warn(clippy::expect_used, clippy::unwrap_used))]

mod body;
#[cfg(feature = "cache")]
pub mod cache;
pub mod clock;
#[cfg(feature = "logout")]
mod endpoint;
mod error;
mod extract;
mod failure;
mod future;
#[cfg(feature = "issuing")]
pub mod issuing;
#[cfg(feature = "jsonwebtoken")]
pub mod jsonwebtoken;
#[cfg(feature = "jwt")]
pub mod jwt;
mod layer;
#[cfg(feature = "logout")]
pub mod logout;
mod observe;
#[cfg(feature = "openapi")]
pub mod openapi;
mod path;
mod path_ambiguity;
pub mod policy;
mod principal;
#[cfg(feature = "jwks")]
pub mod provider;
mod rejection;
mod request;
pub mod revocation;
mod service;
#[cfg(feature = "throttle")]
pub mod throttle;
mod trace;
mod validator;
mod validator_ext;

#[cfg(feature = "axum")]
mod axum;

pub use body::{NoBody, ResponseBody};
pub use error::{ConfigError, OtherError, PatternProblem};
#[cfg(feature = "basic")]
pub use extract::BasicCredentials;
pub use extract::{
    Credential, CredentialSource, Scheme, Source, UncheckedCredential, permits_cookie,
};
pub use failure::{Failure, FailureKind, InvalidReason};
pub use future::ResponseFuture;
pub use layer::BearerAuthLayer;
pub use observe::{DecisionEvent, Latency, Outcome};
pub use policy::{Policies, Policy};
pub use principal::Authenticated;
pub use rejection::{
    Challenge, ProblemDetails, Rejection, RejectionKind, RequestFault, Responder, responder_fn,
};
pub use request::RequestView;
pub use service::BearerAuth;
pub use validator::{BoxFuture, Dependency, Validated, Validator, Verdict, validator_fn};
#[cfg(feature = "opaque")]
pub use validator::{OpaqueTokens, TokenDigest};
pub use validator_ext::ValidatorExt;

#[cfg(feature = "axum")]
pub use crate::axum::NotAuthenticated;

/// The types behind [`validator_fn`] and the methods of [`Validator`], for those who have to name them. Those of
/// `cached` and `revocable` stand in `cache` and [`revocation`].
pub mod combinators {
    pub use crate::validator::{
        AndThen, Expiring, ForScheme, IntoVerdict, Or, ValidatorFn, markers,
    };
}

/// Longer texts.
pub mod _documentation {
    #[doc = include_str!("../docs/design.md")]
    pub mod design {}

    #[doc = include_str!("../docs/performance.md")]
    pub mod performance {}

    #[doc = include_str!("../docs/threat-model.md")]
    pub mod threat_model {}

    #[doc = include_str!("../docs/rules.md")]
    pub mod rules {}

    #[doc = include_str!("../CHANGELOG.md")]
    pub mod changelog {}
}

/// The code of README.md is compiled and run.
#[cfg(all(
    doctest,
    feature = "aws_lc_rs",
    feature = "axum",
    feature = "introspection",
    feature = "issuing",
    feature = "oidc",
    feature = "opaque",
    feature = "revocation"
))]
#[doc = include_str!("../README.md")]
struct Readme;
