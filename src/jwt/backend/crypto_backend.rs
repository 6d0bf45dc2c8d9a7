//! The choice of a back end, and the keys it prepares.

use super::super::algorithm::{Algorithm, Family};
use super::super::key_error::KeyError;
use super::super::material::PublicMaterial;
#[cfg(feature = "aws_lc_rs")]
use super::aws_lc_rs;
#[cfg(feature = "rust_crypto")]
use super::rust_crypto;
use super::verifier::Verifier;

/// The library that does the cryptography. Which ones there are is decided by the features
/// `aws_lc_rs` and `rust_crypto`; both may be on.
///
/// Neither depends on anything that a process has only one of: there is nothing to install, and what
/// other crates enable or install makes no difference.
///
/// Choose one with [`KeySet::with_backend`](crate::jwt::KeySet::with_backend) or
/// [`JwksOptions::with_backend`](crate::jwt::JwksOptions::with_backend); keys are otherwise prepared with the
/// [preferred](Self::preferred) one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CryptoBackend {
    /// The crate [aws-lc-rs](https://docs.rs/aws-lc-rs): the fastest. Needs a C compiler.
    #[cfg(feature = "aws_lc_rs")]
    AwsLcRs,
    /// The crates of [RustCrypto](https://github.com/RustCrypto): Rust only. (The
    /// TLS of the feature `jwks` is by aws-lc all the same.)
    #[cfg(feature = "rust_crypto")]
    RustCrypto,
}

impl CryptoBackend {
    /// The back ends there are, the preferred one first.
    #[must_use]
    pub fn available() -> &'static [Self] {
        &[
            #[cfg(feature = "aws_lc_rs")]
            CryptoBackend::AwsLcRs,
            #[cfg(feature = "rust_crypto")]
            CryptoBackend::RustCrypto,
        ]
    }

    /// The one used unless told otherwise: aws-lc-rs where it is enabled.
    ///
    /// # Errors
    ///
    /// [`KeyError::NoBackend`] if neither feature is on.
    pub fn preferred() -> Result<Self, KeyError> {
        Self::available()
            .first()
            .copied()
            .ok_or(KeyError::NoBackend)
    }

    /// A key ready to verify with. Fails if the library does not accept it, for example because a
    /// point is not on its curve.
    pub(crate) fn public(
        self,
        algorithm: Algorithm,
        material: &PublicMaterial,
    ) -> Result<Verifier, KeyError> {
        let _ = (algorithm, material);
        match self {
            #[cfg(feature = "aws_lc_rs")]
            Self::AwsLcRs => {
                aws_lc_rs::Prepared::public(algorithm, material).map(Verifier::AwsLcRs)
            }
            #[cfg(feature = "rust_crypto")]
            Self::RustCrypto => rust_crypto::Prepared::public(algorithm, material)
                .map(|prepared| Verifier::RustCrypto(Box::new(prepared))),
        }
    }

    /// A shared secret ready to verify with.
    pub(crate) fn secret(self, algorithm: Algorithm, secret: &[u8]) -> Result<Verifier, KeyError> {
        let _ = (algorithm, secret);
        match self {
            #[cfg(feature = "aws_lc_rs")]
            Self::AwsLcRs => aws_lc_rs::Prepared::secret(algorithm, secret).map(Verifier::AwsLcRs),
            #[cfg(feature = "rust_crypto")]
            Self::RustCrypto => rust_crypto::Prepared::secret(algorithm, secret)
                .map(|prepared| Verifier::RustCrypto(Box::new(prepared))),
        }
    }

    /// The public half of an elliptic curve key of which only the private one is known, as a point.
    /// `None` if the library does not accept the key.
    pub(crate) fn public_point(self, family: Family, pkcs8: &[u8]) -> Option<Vec<u8>> {
        let _ = (family, pkcs8);
        match self {
            #[cfg(feature = "aws_lc_rs")]
            Self::AwsLcRs => aws_lc_rs::public_point(family, pkcs8),
            #[cfg(feature = "rust_crypto")]
            Self::RustCrypto => rust_crypto::public_point(family, pkcs8),
        }
    }
}
