//! Verification by aws-lc-rs, with keys parsed once.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{self, KeyPair as _, ParsedPublicKey, VerificationAlgorithm};

use crate::jwt::algorithm::{Algorithm, Curve, Family};
use crate::jwt::key_error::KeyError;
use crate::jwt::material::PublicMaterial;

#[derive(Clone)]
pub(crate) enum Prepared {
    Secret(Box<hmac::Key>),
    Public(ParsedPublicKey),
}

impl Prepared {
    pub(super) fn public(
        algorithm: Algorithm,
        material: &PublicMaterial,
    ) -> Result<Self, KeyError> {
        let verification: &'static dyn VerificationAlgorithm = match algorithm {
            Algorithm::RS256 => &signature::RSA_PKCS1_2048_8192_SHA256,
            Algorithm::RS384 => &signature::RSA_PKCS1_2048_8192_SHA384,
            Algorithm::RS512 => &signature::RSA_PKCS1_2048_8192_SHA512,
            Algorithm::PS256 => &signature::RSA_PSS_2048_8192_SHA256,
            Algorithm::PS384 => &signature::RSA_PSS_2048_8192_SHA384,
            Algorithm::PS512 => &signature::RSA_PSS_2048_8192_SHA512,
            Algorithm::ES256 => &signature::ECDSA_P256_SHA256_FIXED,
            Algorithm::ES384 => &signature::ECDSA_P384_SHA384_FIXED,
            Algorithm::ES512 => &signature::ECDSA_P521_SHA512_FIXED,
            Algorithm::Ed25519 => &signature::ED25519,
            Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => {
                return Err(KeyError::mismatch(algorithm, "a public key"));
            }
        };
        let parsed = match material {
            PublicMaterial::Rsa { .. } => {
                ParsedPublicKey::new(verification, material.to_pkcs1_der()?)
            }
            PublicMaterial::Ec { point, .. } => ParsedPublicKey::new(verification, point),
            PublicMaterial::Ed25519(bytes) => ParsedPublicKey::new(verification, bytes),
        };
        parsed
            .map(Self::Public)
            .map_err(|_| KeyError::rejected(material.name()))
    }

    pub(super) fn secret(algorithm: Algorithm, secret: &[u8]) -> Result<Self, KeyError> {
        let hash = match algorithm {
            Algorithm::HS256 => hmac::HMAC_SHA256,
            Algorithm::HS384 => hmac::HMAC_SHA384,
            Algorithm::HS512 => hmac::HMAC_SHA512,
            _ => return Err(KeyError::mismatch(algorithm, "a shared secret")),
        };
        Ok(Self::Secret(Box::new(hmac::Key::new(hash, secret))))
    }

    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Secret(key) => hmac::verify(key, message, signature).is_ok(),
            Self::Public(key) => key.verify_sig(message, signature).is_ok(),
        }
    }
}

pub(super) fn public_point(family: Family, pkcs8: &[u8]) -> Option<Vec<u8>> {
    let curve = match family {
        Family::Ec(Curve::P256) => &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
        Family::Ec(Curve::P384) => &signature::ECDSA_P384_SHA384_FIXED_SIGNING,
        Family::Ec(Curve::P521) => &signature::ECDSA_P521_SHA512_FIXED_SIGNING,
        Family::Ed25519 => {
            let pair = signature::Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8).ok()?;
            return Some(pair.public_key().as_ref().to_vec());
        }
        Family::Rsa | Family::Hmac => return None,
    };
    let pair = signature::EcdsaKeyPair::from_pkcs8(curve, pkcs8).ok()?;
    Some(pair.public_key().as_ref().to_vec())
}
