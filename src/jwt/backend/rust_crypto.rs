//! Verification by the crates of RustCrypto, with keys parsed once.

use hmac::{Hmac, KeyInit as _, Mac as _};
use pkcs8::DecodePrivateKey as _;
use rsa::BigUint;
use rsa::signature::Verifier as _;
use rsa::{RsaPublicKey, pkcs1v15, pss, sha2 as rsa_sha2};
use sha2::{Sha256, Sha384, Sha512};

use crate::jwt::algorithm::{Algorithm, Curve, Family};
use crate::jwt::key_error::KeyError;
use crate::jwt::material::{MAX_RSA_BITS, PublicMaterial};

#[derive(Clone)]
pub(crate) enum Prepared {
    Hs256(Hmac<Sha256>),
    Hs384(Hmac<Sha384>),
    Hs512(Hmac<Sha512>),
    Rs256(pkcs1v15::VerifyingKey<rsa_sha2::Sha256>),
    Rs384(pkcs1v15::VerifyingKey<rsa_sha2::Sha384>),
    Rs512(pkcs1v15::VerifyingKey<rsa_sha2::Sha512>),
    Ps256(pss::VerifyingKey<rsa_sha2::Sha256>),
    Ps384(pss::VerifyingKey<rsa_sha2::Sha384>),
    Ps512(pss::VerifyingKey<rsa_sha2::Sha512>),
    Es256(p256::ecdsa::VerifyingKey),
    Es384(p384::ecdsa::VerifyingKey),
    Es512(p521::ecdsa::VerifyingKey),
    Ed25519(ed25519_dalek::VerifyingKey),
}

impl Prepared {
    pub(super) fn public(
        algorithm: Algorithm,
        material: &PublicMaterial,
    ) -> Result<Self, KeyError> {
        let rejected = || KeyError::rejected(material.name());
        match material {
            PublicMaterial::Rsa {
                modulus, exponent, ..
            } => {
                let key = RsaPublicKey::new_with_max_size(
                    BigUint::from_bytes_be(modulus),
                    BigUint::from_bytes_be(exponent),
                    MAX_RSA_BITS,
                )
                .map_err(|_| rejected())?;
                Ok(match algorithm {
                    Algorithm::RS256 => Self::Rs256(pkcs1v15::VerifyingKey::new(key)),
                    Algorithm::RS384 => Self::Rs384(pkcs1v15::VerifyingKey::new(key)),
                    Algorithm::RS512 => Self::Rs512(pkcs1v15::VerifyingKey::new(key)),
                    Algorithm::PS256 => Self::Ps256(pss::VerifyingKey::new(key)),
                    Algorithm::PS384 => Self::Ps384(pss::VerifyingKey::new(key)),
                    Algorithm::PS512 => Self::Ps512(pss::VerifyingKey::new(key)),
                    _ => return Err(KeyError::mismatch(algorithm, material.name())),
                })
            }
            PublicMaterial::Ec { curve, point } if curve.algorithm() == algorithm => match curve {
                Curve::P256 => p256::ecdsa::VerifyingKey::from_sec1_bytes(point)
                    .map(Self::Es256)
                    .map_err(|_| rejected()),
                Curve::P384 => p384::ecdsa::VerifyingKey::from_sec1_bytes(point)
                    .map(Self::Es384)
                    .map_err(|_| rejected()),
                Curve::P521 => p521::ecdsa::VerifyingKey::from_sec1_bytes(point)
                    .map(Self::Es512)
                    .map_err(|_| rejected()),
            },
            PublicMaterial::Ed25519(bytes) if algorithm == Algorithm::Ed25519 => {
                ed25519_dalek::VerifyingKey::from_bytes(bytes)
                    .map(Self::Ed25519)
                    .map_err(|_| rejected())
            }
            PublicMaterial::Ec { .. } | PublicMaterial::Ed25519(_) => {
                Err(KeyError::mismatch(algorithm, material.name()))
            }
        }
    }

    pub(super) fn secret(algorithm: Algorithm, secret: &[u8]) -> Result<Self, KeyError> {
        let rejected = |_| KeyError::rejected("shared secret");
        match algorithm {
            Algorithm::HS256 => Hmac::new_from_slice(secret)
                .map(Self::Hs256)
                .map_err(rejected),
            Algorithm::HS384 => Hmac::new_from_slice(secret)
                .map(Self::Hs384)
                .map_err(rejected),
            Algorithm::HS512 => Hmac::new_from_slice(secret)
                .map(Self::Hs512)
                .map_err(rejected),
            _ => Err(KeyError::mismatch(algorithm, "a shared secret")),
        }
    }

    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        macro_rules! hmac {
            ($key:ident) => {
                $key.clone()
                    .chain_update(message)
                    .verify_slice(signature)
                    .is_ok()
            };
        }
        macro_rules! signed {
            ($key:ident, $signature:ty) => {
                <$signature>::try_from(signature)
                    .is_ok_and(|signature| $key.verify(message, &signature).is_ok())
            };
        }
        macro_rules! ecdsa {
            ($key:ident, $curve:ident) => {{
                use $curve::ecdsa::signature::Verifier as _;
                $curve::ecdsa::Signature::from_slice(signature)
                    .is_ok_and(|signature| $key.verify(message, &signature).is_ok())
            }};
        }
        match self {
            Self::Hs256(key) => hmac!(key),
            Self::Hs384(key) => hmac!(key),
            Self::Hs512(key) => hmac!(key),
            Self::Rs256(key) => signed!(key, pkcs1v15::Signature),
            Self::Rs384(key) => signed!(key, pkcs1v15::Signature),
            Self::Rs512(key) => signed!(key, pkcs1v15::Signature),
            Self::Ps256(key) => signed!(key, pss::Signature),
            Self::Ps384(key) => signed!(key, pss::Signature),
            Self::Ps512(key) => signed!(key, pss::Signature),
            Self::Es256(key) => ecdsa!(key, p256),
            Self::Es384(key) => ecdsa!(key, p384),
            Self::Es512(key) => ecdsa!(key, p521),
            Self::Ed25519(key) => ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(message, &signature).is_ok()),
        }
    }
}

pub(super) fn public_point(family: Family, pkcs8: &[u8]) -> Option<Vec<u8>> {
    macro_rules! point {
        ($curve:ident) => {
            $curve::ecdsa::SigningKey::from_pkcs8_der(pkcs8)
                .ok()
                .map(|key| key.verifying_key().to_sec1_point(false).as_bytes().to_vec())
        };
    }
    match family {
        Family::Ec(Curve::P256) => point!(p256),
        Family::Ec(Curve::P384) => point!(p384),
        Family::Ec(Curve::P521) => point!(p521),
        Family::Ed25519 => ed25519_dalek::SigningKey::from_pkcs8_der(pkcs8)
            .ok()
            .map(|key| key.verifying_key().to_bytes().to_vec()),
        Family::Rsa | Family::Hmac => None,
    }
}
