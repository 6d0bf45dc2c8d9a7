//! The crypto back ends: a prepared key, and what it says about a signature. All that is not the call
//! into a library stands elsewhere.

#[cfg(feature = "aws_lc_rs")]
mod aws_lc_rs;
mod crypto_backend;
mod edwards;
#[cfg(feature = "rust_crypto")]
mod rust_crypto;
mod verifier;

pub(crate) use self::edwards::is_usable_edwards_point;
pub use crypto_backend::CryptoBackend;
pub(crate) use verifier::Verifier;
