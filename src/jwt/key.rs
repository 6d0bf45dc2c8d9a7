//! Public keys.

use std::fmt;

use super::algorithm::Algorithm;
use super::backend::{CryptoBackend, Verifier};
use super::jwk;
use super::key_error::KeyError;
use super::material::PublicMaterial;
use super::secret::SharedSecret;

/// The longest `kid`, in bytes. Longer ones in a token are refused, in a key too.
pub(crate) const MAX_KID: usize = 256;

/// A public key that verifies the signatures of tokens, for one algorithm.
///
/// It is read and measured when it is made: RSA below 2048 bits, points of elliptic curves off their
/// curve and the like are errors then and never in a request. There is no way to use it as a [`SharedSecret`].
///
/// # Example
///
/// ```
/// use tower_bearer::jwt::{Algorithm, PublicKey};
///
/// # #[cfg(any(feature = "aws_lc_rs", feature = "rust_crypto"))] {
/// let key = PublicKey::from_pem(
///     "-----BEGIN PUBLIC KEY-----\n\
///      MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n\
///      -----END PUBLIC KEY-----\n",
/// )?;
/// assert_eq!(key.algorithm(), Algorithm::Ed25519);
/// # }
/// # Ok::<_, tower_bearer::jwt::KeyError>(())
/// ```
#[derive(Clone)]
pub struct PublicKey {
    kid: Option<Box<str>>,
    algorithm: Algorithm,
    material: PublicMaterial,
}

impl PublicKey {
    /// Reads one PEM block: `PUBLIC KEY` (SubjectPublicKeyInfo), `RSA PUBLIC KEY` (PKCS#1),
    /// `CERTIFICATE` (X.509, of which only the key is used: neither its validity nor its issuer is
    /// checked), or the public half of a `PRIVATE KEY` (PKCS#8) or `RSA PRIVATE KEY`. A service that
    /// only verifies should not have a private key at all.
    ///
    /// An RSA key is for RS256, unless the key itself says that it is for PSS (then PS256) or
    /// [`with_algorithm`](Self::with_algorithm) says otherwise.
    ///
    /// # Errors
    ///
    /// [`KeyError`] if it is anything else, too weak, or not accepted by the crypto back end.
    pub fn from_pem(pem: impl AsRef<[u8]>) -> Result<Self, KeyError> {
        let backend = CryptoBackend::preferred()?;
        Self::checked(PublicMaterial::from_pem(pem.as_ref(), backend)?, backend)
    }

    /// Reads DER: a SubjectPublicKeyInfo, an RSAPublicKey (PKCS#1), an X.509 certificate, or the
    /// public half of a private key in PKCS#8.
    ///
    /// # Errors
    ///
    /// As for [`from_pem`](Self::from_pem).
    pub fn from_der(der: impl AsRef<[u8]>) -> Result<Self, KeyError> {
        let backend = CryptoBackend::preferred()?;
        Self::checked(PublicMaterial::from_der(der.as_ref(), backend)?, backend)
    }

    /// Reads one JWK ([RFC 7517](https://www.rfc-editor.org/rfc/rfc7517#section-4)) with its `kid`
    /// and, if it has one, its `alg`.
    ///
    /// # Errors
    ///
    /// [`KeyError`] as for [`from_pem`](Self::from_pem), and if its members contradict each other, or
    /// it is private, symmetric, or not for signatures.
    pub fn from_jwk(json: impl AsRef<[u8]>) -> Result<Self, KeyError> {
        let backend = CryptoBackend::preferred()?;
        let jwk = jwk::Jwk::parse(json.as_ref())?.into_public()?;
        let algorithm = jwk.algorithm.unwrap_or(jwk.material.usual_algorithm());
        let mut key = Self::checked(jwk.material, backend)?.with_algorithm(algorithm)?;
        key.kid = jwk.kid;
        Ok(key)
    }

    pub(crate) fn from_parts(
        kid: Option<Box<str>>,
        algorithm: Algorithm,
        material: PublicMaterial,
    ) -> Result<Self, KeyError> {
        material.check_algorithm(algorithm)?;
        Ok(Self {
            kid,
            algorithm,
            material,
        })
    }

    fn checked(material: PublicMaterial, backend: CryptoBackend) -> Result<Self, KeyError> {
        let algorithm = material.usual_algorithm();
        backend.public(algorithm, &material)?;
        Ok(Self {
            kid: None,
            algorithm,
            material,
        })
    }

    /// For another algorithm of its kind: an RSA key for PS256, say.
    ///
    /// # Errors
    ///
    /// [`KeyError::Mismatch`] if the key is of another kind.
    pub fn with_algorithm(mut self, algorithm: Algorithm) -> Result<Self, KeyError> {
        self.material.check_algorithm(algorithm)?;
        self.algorithm = algorithm;
        Ok(self)
    }

    /// Names the key: it then verifies only tokens with this `kid`, or without any if no other key
    /// fits. Without a name it verifies tokens with any `kid`.
    ///
    /// # Errors
    ///
    /// [`KeyError::KeyId`] if it is empty or longer than 256 bytes.
    pub fn with_kid(mut self, kid: impl Into<String>) -> Result<Self, KeyError> {
        self.kid = Some(checked_kid(kid.into())?);
        Ok(self)
    }

    /// The algorithm it is for.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Its name.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicKey")
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

/// A [`PublicKey`] or a [`SharedSecret`], as a [`KeySet`](super::KeySet) takes them.
#[derive(Clone, Debug)]
pub struct Key(pub(crate) KeyKind);

#[derive(Clone, Debug)]
pub(crate) enum KeyKind {
    Public(PublicKey),
    Secret(SharedSecret),
}

impl From<PublicKey> for Key {
    fn from(key: PublicKey) -> Self {
        Self(KeyKind::Public(key))
    }
}

impl From<SharedSecret> for Key {
    fn from(secret: SharedSecret) -> Self {
        Self(KeyKind::Secret(secret))
    }
}

impl Key {
    pub(crate) fn algorithm(&self) -> Algorithm {
        match &self.0 {
            KeyKind::Public(key) => key.algorithm,
            KeyKind::Secret(secret) => secret.algorithm(),
        }
    }

    pub(crate) fn prepare(&self, backend: CryptoBackend) -> Result<Verifier, KeyError> {
        match &self.0 {
            KeyKind::Public(key) => backend.public(key.algorithm, &key.material),
            KeyKind::Secret(secret) => secret.prepare(backend),
        }
    }

    pub(crate) fn into_kid(self) -> Option<Box<str>> {
        match self.0 {
            KeyKind::Public(key) => key.kid,
            KeyKind::Secret(secret) => secret.into_kid(),
        }
    }
}

pub(crate) fn checked_kid(kid: String) -> Result<Box<str>, KeyError> {
    if kid.is_empty() || kid.len() > MAX_KID {
        return Err(KeyError::KeyId { length: kid.len() });
    }
    Ok(kid.into_boxed_str())
}
