//! Public keys as numbers and bytes, before a back end prepares them: read from PEM and DER, and
//! measured.

use der::asn1::{BitStringRef, ObjectIdentifier, UintRef};
use der::{Decode as _, Encode as _};
use pkcs1::{RsaPrivateKey, RsaPublicKey};
use pkcs8::PrivateKeyInfoRef;
use spki::{AlgorithmIdentifierRef, SubjectPublicKeyInfoRef};

use super::algorithm::{Algorithm, Curve, Family};
use super::backend::{CryptoBackend, is_usable_edwards_point};
use super::key_error::KeyError;
use super::pem;

/// RFC 7518 section 3.3: a key of 2048 bits or larger MUST be used.
pub(crate) const MIN_RSA_BITS: usize = 2048;
/// Larger ones cost a multiple for each token, at the choice of whoever publishes them.
pub(crate) const MAX_RSA_BITS: usize = 8192;
/// The largest that both back ends take.
const MAX_RSA_EXPONENT_BITS: usize = 33;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const RSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PublicMaterial {
    /// Both numbers big-endian, without leading zeros.
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
        /// Its own format says that it is for PSS only.
        only_pss: bool,
    },
    Ec {
        curve: Curve,
        /// Uncompressed: `04`, x, y.
        point: Vec<u8>,
    },
    Ed25519([u8; 32]),
}

impl PublicMaterial {
    /// An RSA key of an acceptable size. The numbers may have leading zeros.
    pub(crate) fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<Self, KeyError> {
        let modulus = without_leading_zeros(modulus);
        let exponent = without_leading_zeros(exponent);
        let bits = bits(modulus);
        if bits < MIN_RSA_BITS {
            return Err(KeyError::RsaTooShort { bits });
        }
        if bits > MAX_RSA_BITS {
            return Err(KeyError::RsaTooLong { bits });
        }
        let odd = |number: &[u8]| number.last().is_some_and(|last| last & 1 == 1);
        if !odd(modulus) {
            return Err(KeyError::format("an RSA key", "an odd modulus"));
        }
        if !odd(exponent) || exponent == [1] || self::bits(exponent) > MAX_RSA_EXPONENT_BITS {
            return Err(KeyError::RsaExponent);
        }
        Ok(Self::Rsa {
            modulus: modulus.to_vec(),
            exponent: exponent.to_vec(),
            only_pss: false,
        })
    }

    /// A point in uncompressed form. Whether it is on the curve is for the back end to say.
    pub(crate) fn ec(curve: Curve, point: &[u8]) -> Result<Self, KeyError> {
        if point.len() != 1 + 2 * curve.field_length() || point.first() != Some(&4) {
            return Err(KeyError::format(
                "an elliptic curve key",
                "an uncompressed point of the curve's size",
            ));
        }
        Ok(Self::Ec {
            curve,
            point: point.to_vec(),
        })
    }

    /// Checks a point of edwards25519: its encoding is canonical, and its order is not small
    /// (C07: encoding of signatures, M15: key checks).
    pub(crate) fn ed25519(bytes: &[u8]) -> Result<Self, KeyError> {
        let bytes: [u8; 32] = bytes
            .try_into()
            .map_err(|_| KeyError::format("an Ed25519 key", "32 bytes"))?;
        if is_usable_edwards_point(&bytes) {
            Ok(Self::Ed25519(bytes))
        } else {
            Err(KeyError::rejected("an Ed25519 key"))
        }
    }

    /// Whether `der` is a key or a certificate, of whatever kind.
    pub(crate) fn is_any_der(der: &[u8]) -> bool {
        SubjectPublicKeyInfoRef::from_der(der).is_ok()
            || RsaPublicKey::<UintRef<'_>>::from_der(der).is_ok()
            || PrivateKeyInfoRef::from_der(der).is_ok()
            || RsaPrivateKey::<UintRef<'_>>::from_der(der).is_ok()
            || x509_cert::Certificate::from_der(der).is_ok()
    }

    /// What kind of key it is, for an error.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Rsa { .. } => "an RSA key",
            Self::Ec { curve, .. } => match curve {
                Curve::P256 => "a P-256 key",
                Curve::P384 => "a P-384 key",
                Curve::P521 => "a P-521 key",
            },
            Self::Ed25519(_) => "an Ed25519 key",
        }
    }

    /// The algorithm meant where the key itself does not say. For RSA that is the one of RFC 9068.
    pub(crate) fn usual_algorithm(&self) -> Algorithm {
        match self {
            Self::Rsa { only_pss: true, .. } => Algorithm::PS256,
            Self::Rsa { .. } => Algorithm::RS256,
            Self::Ec { curve, .. } => curve.algorithm(),
            Self::Ed25519(_) => Algorithm::Ed25519,
        }
    }

    pub(crate) fn check_algorithm(&self, algorithm: Algorithm) -> Result<(), KeyError> {
        let fits = match self {
            Self::Rsa { only_pss, .. } => {
                algorithm.family() == Family::Rsa
                    && (!only_pss || algorithm.name().starts_with("PS"))
            }
            Self::Ec { curve, .. } => algorithm.family() == Family::Ec(*curve),
            Self::Ed25519(_) => algorithm.family() == Family::Ed25519,
        };
        if fits {
            Ok(())
        } else {
            Err(KeyError::mismatch(algorithm, self.name()))
        }
    }

    /// The PKCS#1 form of an RSA key.
    #[cfg(feature = "aws_lc_rs")]
    pub(crate) fn to_pkcs1_der(&self) -> Result<Vec<u8>, KeyError> {
        let Self::Rsa {
            modulus, exponent, ..
        } = self
        else {
            return Err(KeyError::rejected(self.name()));
        };
        let rejected = |_| KeyError::rejected(self.name());
        let key = RsaPublicKey {
            modulus: UintRef::new(modulus).map_err(rejected)?,
            public_exponent: UintRef::new(exponent).map_err(rejected)?,
        };
        key.to_der().map_err(rejected)
    }

    /// Reads a public key or a certificate in PEM.
    pub(crate) fn from_pem(text: &[u8]) -> Result<Self, KeyError> {
        let private = is_private(
            "a public key or a certificate; `PublicKey::from_private_pem` reads the public half of a private key, and `SigningKey::from_pem` (feature `issuing`) signs with it",
        );
        if pem::is_encrypted(text) {
            return Err(private);
        }
        let block = pem::single(text)?;
        match block.label {
            "PUBLIC KEY" => Self::from_spki(&block.der),
            "RSA PUBLIC KEY" => Self::from_pkcs1(&block.der),
            "CERTIFICATE" => Self::from_certificate(&block.der),
            label if label.ends_with("PRIVATE KEY") => Err(private),
            _ => Err(KeyError::format(
                "the PEM block",
                "`PUBLIC KEY`, `RSA PUBLIC KEY` or `CERTIFICATE`",
            )),
        }
    }

    /// Reads the public half of a private key in PEM.
    pub(crate) fn from_private_pem(text: &[u8], backend: CryptoBackend) -> Result<Self, KeyError> {
        if pem::is_encrypted(text) {
            return Err(encrypted());
        }
        let block = pem::single(text)?;
        match block.label {
            "PRIVATE KEY" => Self::from_pkcs8(&block.der, backend),
            "RSA PRIVATE KEY" => Self::from_pkcs1_private(&block.der),
            "PUBLIC KEY" | "RSA PUBLIC KEY" | "CERTIFICATE" => Err(KeyError::format(
                "a public key or certificate",
                "a private key; `PublicKey::from_pem` reads a public one",
            )),
            _ => Err(KeyError::format(
                "the PEM block",
                "`PRIVATE KEY` or `RSA PRIVATE KEY`; `openssl pkey -in key.pem` writes the former",
            )),
        }
    }

    /// Reads a public key or a certificate. The formats cannot be confused.
    pub(crate) fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        if SubjectPublicKeyInfoRef::from_der(der).is_ok() {
            Self::from_spki(der)
        } else if RsaPublicKey::<UintRef<'_>>::from_der(der).is_ok() {
            Self::from_pkcs1(der)
        } else if PrivateKeyInfoRef::from_der(der).is_ok()
            || RsaPrivateKey::<UintRef<'_>>::from_der(der).is_ok()
        {
            Err(is_private(
                "a public key or a certificate; `PublicKey::from_private_der` reads the public half of a private key, and `SigningKey::from_der` (feature `issuing`) signs with it",
            ))
        } else {
            Self::from_certificate(der).map_err(|_| {
                KeyError::format(
                    "the DER",
                    "a SubjectPublicKeyInfo, an RSAPublicKey or a certificate",
                )
            })
        }
    }

    /// Reads the public half of a private key: PKCS#8, or PKCS#1 for RSA.
    pub(crate) fn from_private_der(der: &[u8], backend: CryptoBackend) -> Result<Self, KeyError> {
        if RsaPrivateKey::<UintRef<'_>>::from_der(der).is_ok() {
            Self::from_pkcs1_private(der)
        } else {
            Self::from_pkcs8(der, backend)
        }
    }

    fn from_spki(der: &[u8]) -> Result<Self, KeyError> {
        let spki = SubjectPublicKeyInfoRef::from_der(der)
            .map_err(|_| KeyError::format("the public key", "a SubjectPublicKeyInfo in DER"))?;
        Self::from_bits(&spki.algorithm, spki.subject_public_key)
    }

    fn from_certificate(der: &[u8]) -> Result<Self, KeyError> {
        let certificate = x509_cert::Certificate::from_der(der)
            .map_err(|_| KeyError::format("the certificate", "X.509 in DER"))?;
        let spki = certificate
            .tbs_certificate()
            .subject_public_key_info()
            .to_der()
            .map_err(|_| KeyError::rejected("the key of the certificate"))?;
        Self::from_spki(&spki)
    }

    pub(crate) fn from_pkcs1(der: &[u8]) -> Result<Self, KeyError> {
        let key = RsaPublicKey::<UintRef<'_>>::from_der(der)
            .map_err(|_| KeyError::format("the RSA key", "an RSAPublicKey in DER (PKCS#1)"))?;
        Self::rsa(key.modulus.as_bytes(), key.public_exponent.as_bytes())
    }

    pub(crate) fn from_pkcs1_private(der: &[u8]) -> Result<Self, KeyError> {
        let key = RsaPrivateKey::<UintRef<'_>>::from_der(der)
            .map_err(|_| KeyError::format("the RSA key", "an RSAPrivateKey in DER (PKCS#1)"))?;
        Self::rsa(key.modulus.as_bytes(), key.public_exponent.as_bytes())
    }

    /// The public half of a private key.
    fn from_pkcs8(der: &[u8], backend: CryptoBackend) -> Result<Self, KeyError> {
        let info = PrivateKeyInfoRef::from_der(der)
            .map_err(|_| KeyError::format("the private key", "PKCS#8 in DER"))?;
        match family(&info.algorithm)? {
            Family::Rsa => {
                let mut key = Self::from_pkcs1_private(info.private_key.as_bytes())?;
                key.mark_pss(&info.algorithm);
                Ok(key)
            }
            family => {
                let point = backend
                    .public_point(family, der)
                    .ok_or(KeyError::rejected("the private key"))?;
                match family {
                    Family::Ec(curve) => Self::ec(curve, &point),
                    _ => Self::ed25519(&point),
                }
            }
        }
    }

    /// A private key in PKCS#8, told by its kind and not looked at any further: the bytes of the key itself, and
    /// whether it is for PSS only.
    #[cfg(feature = "issuing")]
    pub(crate) fn open_pkcs8(der: &[u8]) -> Result<(Family, &[u8], bool), KeyError> {
        let info = PrivateKeyInfoRef::from_der(der)
            .map_err(|_| KeyError::format("the private key", "PKCS#8 in DER"))?;
        let only_pss = info.algorithm.oid == RSA_PSS;
        Ok((
            family(&info.algorithm)?,
            info.private_key.as_bytes(),
            only_pss,
        ))
    }

    fn from_bits(
        algorithm: &AlgorithmIdentifierRef<'_>,
        bits: BitStringRef<'_>,
    ) -> Result<Self, KeyError> {
        let bytes = bits
            .as_bytes()
            .ok_or(KeyError::format("the public key", "whole bytes"))?;
        match family(algorithm)? {
            Family::Rsa => {
                let mut key = Self::from_pkcs1(bytes)?;
                key.mark_pss(algorithm);
                Ok(key)
            }
            Family::Ec(curve) => Self::ec(curve, bytes),
            Family::Ed25519 | Family::Hmac => Self::ed25519(bytes),
        }
    }

    fn mark_pss(&mut self, algorithm: &AlgorithmIdentifierRef<'_>) {
        if let Self::Rsa { only_pss, .. } = self {
            *only_pss = algorithm.oid == RSA_PSS;
        }
    }
}

fn family(algorithm: &AlgorithmIdentifierRef<'_>) -> Result<Family, KeyError> {
    let unsupported = KeyError::format(
        "the key",
        "RSA, an elliptic curve key on P-256, P-384 or P-521, or Ed25519",
    );
    match algorithm.oid {
        RSA | RSA_PSS => Ok(Family::Rsa),
        ED25519 => Ok(Family::Ed25519),
        EC => match algorithm.parameters_oid() {
            Ok(P256) => Ok(Family::Ec(Curve::P256)),
            Ok(P384) => Ok(Family::Ec(Curve::P384)),
            Ok(P521) => Ok(Family::Ec(Curve::P521)),
            _ => Err(unsupported),
        },
        _ => Err(unsupported),
    }
}

/// Returns whether `der` is an X.509 certificate.
#[cfg(feature = "jwks")]
pub(crate) fn is_certificate(der: &[u8]) -> bool {
    x509_cert::Certificate::from_der(der).is_ok()
}

fn is_private(expected: &'static str) -> KeyError {
    KeyError::format("a private key", expected)
}

/// Creates the error for a private key that is encrypted.
pub(crate) fn encrypted() -> KeyError {
    KeyError::format(
        "an encrypted private key",
        "an unencrypted one; `openssl pkey -in key.pem -out plain.pem` decrypts it",
    )
}

fn without_leading_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

/// The length in bits of a number without leading zeros.
fn bits(number: &[u8]) -> usize {
    number
        .first()
        .map_or(0, |first| number.len() * 8 - first.leading_zeros() as usize)
}
