//! Kinds of token other than access tokens. Implemented by the modules above this one.

use std::fmt;
use std::time::{Duration, SystemTime};

use super::checks::Typing;
use super::claims::{RawClaims, Times};
use super::error::TokenError;

/// The rules of a kind of token. They replace the rules that distinguish access tokens from other kinds, and every
/// audience of the token has to be an audience of the validator.
pub(crate) trait TokenProfile: fmt::Debug + Send + Sync {
    /// Checks `typ` of the header.
    fn token_type(&self, typ: Option<&str>) -> Result<Typing, TokenError>;

    /// Checks the claims that only this kind has.
    fn kind(&self, claims: &RawClaims<'_>) -> Result<(), TokenError>;

    /// Checks the age of the token.
    fn age(&self, times: &Times, leeway: Duration, now: SystemTime) -> Result<(), TokenError>;
}
