//! tower-http's check for one static token: it compares a text and verifies nothing.

use tower::Layer;
use tower_http::validate_request::ValidateRequestHeaderLayer;

use crate::harness::{Made, bare, direct};
use crate::tokens::{Keys, Tokens};

#[expect(deprecated, reason = "it is what people compare with")]
pub(crate) fn service(_: &Keys, tokens: &Tokens) -> Made {
    direct(ValidateRequestHeaderLayer::bearer(&tokens.allowed).layer(bare()))
}
