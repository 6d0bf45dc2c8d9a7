//! The call into aws-lc-rs: keys that sign.

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rand::{self, SystemRandom};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RsaEncoding,
    RsaKeyPair,
};
use aws_lc_rs::{digest, hmac};
use zeroize::Zeroizing;

use super::signing_key::SigningError;
use crate::jwt::{Algorithm, Curve, Family, KeyError, PublicMaterial, SharedSecret};

/// A key that signs. What aws-lc holds of it, it wipes when it goes.
pub(super) enum PrivateKey {
    Ec(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
    Secret {
        key: Box<hmac::Key>,
        secret: SharedSecret,
    },
}

impl PrivateKey {
    pub(super) fn generate(algorithm: Algorithm) -> Result<Self, KeyError> {
        let failed = |_| KeyError::rejected("a new key");
        match algorithm.family() {
            Family::Ec(_) => EcdsaKeyPair::generate(curve(algorithm)?)
                .map(Self::Ec)
                .map_err(failed),
            Family::Ed25519 => Ed25519KeyPair::generate()
                .map(Self::Ed25519)
                .map_err(failed),
            Family::Rsa => RsaKeyPair::generate(KeySize::Rsa2048)
                .map(Self::Rsa)
                .map_err(failed),
            Family::Hmac => {
                let mut bytes = Zeroizing::new([0; 64]);
                rand::fill(&mut *bytes).map_err(failed)?;
                Self::secret(match algorithm {
                    Algorithm::HS256 => SharedSecret::hs256(&bytes[..32]),
                    Algorithm::HS384 => SharedSecret::hs384(&bytes[..48]),
                    _ => SharedSecret::hs512(&bytes[..]),
                }?)
            }
        }
    }

    /// From PKCS#8. Also whether it is an RSA key for PSS only.
    pub(super) fn from_pkcs8(der: &[u8]) -> Result<(Self, bool), KeyError> {
        let (family, inner, only_pss) = PublicMaterial::open_pkcs8(der)?;
        let rejected = |_| KeyError::rejected("the private key");
        let key = match family {
            // aws-lc takes keys for PSS only without the wrapping that says so.
            Family::Rsa => return Ok((Self::from_pkcs1(inner)?, only_pss)),
            Family::Ec(of) => EcdsaKeyPair::from_pkcs8(curve(of.algorithm())?, der)
                .map(Self::Ec)
                .map_err(rejected)?,
            Family::Ed25519 | Family::Hmac => Ed25519KeyPair::from_pkcs8(der)
                .map(Self::Ed25519)
                .map_err(rejected)?,
        };
        Ok((key, false))
    }

    /// From PKCS#1.
    pub(super) fn from_pkcs1(der: &[u8]) -> Result<Self, KeyError> {
        // First, so that the error names the size.
        PublicMaterial::from_pkcs1_private(der)?;
        RsaKeyPair::from_der(der)
            .map(Self::Rsa)
            .map_err(|_| KeyError::rejected("the private key"))
    }

    /// From SEC1 ([RFC 5915](https://www.rfc-editor.org/rfc/rfc5915)).
    pub(super) fn from_sec1(der: &[u8]) -> Result<Self, KeyError> {
        [Algorithm::ES256, Algorithm::ES384, Algorithm::ES512]
            .into_iter()
            .filter_map(|algorithm| curve(algorithm).ok())
            .find_map(|curve| EcdsaKeyPair::from_private_key_der(curve, der).ok())
            .map(Self::Ec)
            .ok_or(KeyError::format(
                "the `EC PRIVATE KEY`",
                "an elliptic curve key on P-256, P-384 or P-521",
            ))
    }

    pub(super) fn secret(secret: SharedSecret) -> Result<Self, KeyError> {
        let algorithm = match secret.algorithm() {
            Algorithm::HS256 => hmac::HMAC_SHA256,
            Algorithm::HS384 => hmac::HMAC_SHA384,
            _ => hmac::HMAC_SHA512,
        };
        let minimum = secret.algorithm().signature_length().unwrap_or(usize::MAX);
        let length = secret.as_bytes().len();
        // Whoever signs has the choice.
        if length < minimum {
            return Err(KeyError::SecretTooShort {
                algorithm: secret.algorithm(),
                minimum,
                length,
            });
        }
        Ok(Self::Secret {
            key: Box::new(hmac::Key::new(algorithm, secret.as_bytes())),
            secret,
        })
    }

    /// The public half. `None` for a secret.
    pub(super) fn public(&self) -> Result<Option<PublicMaterial>, KeyError> {
        match self {
            Self::Ec(pair) => {
                let point = pair.public_key().as_ref();
                let curve = Curve::ALL
                    .into_iter()
                    .find(|curve| 1 + 2 * curve.field_length() == point.len())
                    .ok_or(KeyError::rejected("the private key"))?;
                PublicMaterial::ec(curve, point)
            }
            Self::Ed25519(pair) => PublicMaterial::ed25519(pair.public_key().as_ref()),
            // aws-lc has it in PKCS#1.
            Self::Rsa(pair) => PublicMaterial::from_pkcs1(pair.public_key().as_ref()),
            Self::Secret { .. } => return Ok(None),
        }
        .map(Some)
    }

    /// Appends the signature in the form of JOSE ([RFC 7518 section 3](https://www.rfc-editor.org/rfc/rfc7518#section-3)).
    pub(super) fn sign(
        &self,
        algorithm: Algorithm,
        message: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), SigningError> {
        let random = SystemRandom::new();
        match self {
            Self::Ec(pair) => {
                let signature = pair.sign(&random, message);
                out.extend_from_slice(signature.map_err(|_| SigningError::Crypto)?.as_ref());
            }
            Self::Ed25519(pair) => {
                let signature = pair.try_sign(message);
                out.extend_from_slice(signature.map_err(|_| SigningError::Crypto)?.as_ref());
            }
            Self::Rsa(pair) => {
                let start = out.len();
                out.resize(start + pair.public_modulus_len(), 0);
                let signed = match rsa_encoding(algorithm) {
                    Some(encoding) => pair
                        .sign(encoding, &random, message, &mut out[start..])
                        .is_ok(),
                    None => false,
                };
                if !signed {
                    out.truncate(start);
                    return Err(SigningError::Crypto);
                }
            }
            Self::Secret { key, .. } => {
                out.extend_from_slice(hmac::sign(key, message).as_ref());
            }
        }
        Ok(())
    }

    /// PKCS#8.
    pub(super) fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let der = match self {
            Self::Ec(pair) => pair
                .to_pkcs8v1()
                .map(|der| Zeroizing::new(der.as_ref().to_vec())),
            Self::Ed25519(pair) => pair
                .to_pkcs8v1()
                .map(|der| Zeroizing::new(der.as_ref().to_vec())),
            Self::Rsa(pair) => pair
                .as_der()
                .map(|der: Pkcs8V1Der<'_>| Zeroizing::new(der.as_ref().to_vec())),
            Self::Secret { .. } => {
                return Err(KeyError::format(
                    "a shared secret",
                    "a private key to be written as PKCS#8; make the secret with `openssl rand` instead, and keep that",
                ));
            }
        };
        der.map_err(|_| KeyError::rejected("the private key"))
    }
}

/// Random bytes for a name.
pub(super) fn random_name() -> Result<[u8; 16], KeyError> {
    let mut name = [0; 16];
    rand::fill(&mut name).map_err(|_| KeyError::rejected("a new name"))?;
    Ok(name)
}

pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    hash
}

fn curve(algorithm: Algorithm) -> Result<&'static EcdsaSigningAlgorithm, KeyError> {
    match algorithm {
        Algorithm::ES256 => Ok(&signature::ECDSA_P256_SHA256_FIXED_SIGNING),
        Algorithm::ES384 => Ok(&signature::ECDSA_P384_SHA384_FIXED_SIGNING),
        Algorithm::ES512 => Ok(&signature::ECDSA_P521_SHA512_FIXED_SIGNING),
        _ => Err(KeyError::mismatch(algorithm, "an elliptic curve key")),
    }
}

fn rsa_encoding(algorithm: Algorithm) -> Option<&'static dyn RsaEncoding> {
    Some(match algorithm {
        Algorithm::RS256 => &signature::RSA_PKCS1_SHA256,
        Algorithm::RS384 => &signature::RSA_PKCS1_SHA384,
        Algorithm::RS512 => &signature::RSA_PKCS1_SHA512,
        Algorithm::PS256 => &signature::RSA_PSS_SHA256,
        Algorithm::PS384 => &signature::RSA_PSS_SHA384,
        Algorithm::PS512 => &signature::RSA_PSS_SHA512,
        _ => return None,
    })
}
