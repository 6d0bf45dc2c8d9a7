//! `JsonwebtokenValidator` with the back end `rust_crypto` of `jsonwebtoken`, which is selected for the whole process.

#[path = "jsonwebtoken/cases.rs"]
mod cases;
mod support;
#[path = "support/tokens.rs"]
mod tokens;

use jsonwebtoken::crypto::{CryptoProvider, rust_crypto};
use tower_bearer::FailureKind;

static PROVIDER: &CryptoProvider = &rust_crypto::DEFAULT_PROVIDER;
const UNUSABLE_KEY: FailureKind = FailureKind::Unavailable;
