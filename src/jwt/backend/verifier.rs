//! A prepared key of either back end.

use std::fmt;

#[cfg(feature = "aws_lc_rs")]
use super::aws_lc_rs;
#[cfg(feature = "rust_crypto")]
use super::rust_crypto;

/// A key prepared once, when it was loaded.
#[derive(Clone)]
pub(crate) enum Verifier {
    #[cfg(feature = "aws_lc_rs")]
    AwsLcRs(aws_lc_rs::Prepared),
    #[cfg(feature = "rust_crypto")]
    RustCrypto(Box<rust_crypto::Prepared>),
}

impl Verifier {
    /// Whether `signature` is the key's signature of `message`.
    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        let _ = (message, signature);
        match *self {
            #[cfg(feature = "aws_lc_rs")]
            Self::AwsLcRs(ref prepared) => prepared.verify(message, signature),
            #[cfg(feature = "rust_crypto")]
            Self::RustCrypto(ref prepared) => prepared.verify(message, signature),
        }
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier(..)")
    }
}
