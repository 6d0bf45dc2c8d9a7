//! The services without anything in front of them.

use crate::harness::{Made, bare, direct, routed, router};
use crate::tokens::{Keys, Tokens};

pub(crate) fn service(_: &Keys, _: &Tokens) -> Made {
    direct(bare())
}

pub(crate) fn axum(_: &Keys, _: &Tokens) -> Made {
    routed(router(|| async {}))
}
