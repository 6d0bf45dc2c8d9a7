//! Tokens that only the authorization server understands.

mod build;
mod builder;
mod cache;
mod client;
mod client_auth;
mod endpoint;
mod in_flight;
mod response;
mod validator;

pub use builder::IntrospectionBuilder;
pub use client_auth::ClientAuthentication;
pub use validator::Introspection;
