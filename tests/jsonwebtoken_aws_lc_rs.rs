//! `JsonwebtokenValidator` with the back end `aws_lc_rs` of `jsonwebtoken`, which is selected for the whole process.

#[path = "jsonwebtoken/cases.rs"]
mod cases;
mod support;
#[path = "support/tokens.rs"]
mod tokens;

use jsonwebtoken::crypto::{CryptoProvider, aws_lc};
use tower_bearer::{FailureKind, InvalidReason};

static PROVIDER: &CryptoProvider = &aws_lc::DEFAULT_PROVIDER;
/// This back end reads the key when it verifies, and reports a bad key as a bad signature.
const UNUSABLE_KEY: FailureKind = FailureKind::Invalid(InvalidReason::Signature);
