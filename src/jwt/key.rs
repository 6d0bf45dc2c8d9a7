//! Public keys.

use std::fmt;

use super::algorithm::{Algorithm, Family};
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
    /// Whether the key names no algorithm although its type has several.
    has_default_algorithm: bool,
    material: PublicMaterial,
}

impl PublicKey {
    /// Reads one PEM block ([RFC 7468](https://www.rfc-editor.org/rfc/rfc7468)): `PUBLIC KEY`
    /// (SubjectPublicKeyInfo), `RSA PUBLIC KEY` (PKCS#1) or `CERTIFICATE` (X.509). Only the key of a
    /// certificate is used; neither its validity nor its issuer is checked. White space around and
    /// within the block, and text before and after it, are ignored.
    ///
    /// An RSA key is for RS256, unless the key itself is for PSS only (then PS256) or
    /// [`with_algorithm`](Self::with_algorithm) sets another algorithm.
    ///
    /// # Errors
    ///
    /// [`KeyError`] if the text is anything else, or if the key is too weak or not accepted by the crypto
    /// back end. A private key is an error as well, because a service that only verifies should not have it.
    /// [`from_private_pem`](Self::from_private_pem) reads private keys.
    pub fn from_pem(pem: impl AsRef<[u8]>) -> Result<Self, KeyError> {
        let backend = CryptoBackend::preferred()?;
        Self::checked(PublicMaterial::from_pem(pem.as_ref())?, backend)
    }

    /// Reads DER: a SubjectPublicKeyInfo, an RSAPublicKey (PKCS#1) or an X.509 certificate.
    ///
    /// # Errors
    ///
    /// As for [`from_pem`](Self::from_pem). [`from_private_der`](Self::from_private_der) reads private keys.
    pub fn from_der(der: impl AsRef<[u8]>) -> Result<Self, KeyError> {
        let backend = CryptoBackend::preferred()?;
        Self::checked(PublicMaterial::from_der(der.as_ref())?, backend)
    }

    /// Reads the public half of a private key in PEM: `PRIVATE KEY` (PKCS#8) or `RSA PRIVATE KEY` (PKCS#1),
    /// not encrypted. Use it if the private key is available anyway, for example in a test. A process that
    /// issues tokens verifies them with its `issuing::SigningKeys` instead.
    ///
    /// The algorithm of an RSA key is as for [`from_pem`](Self::from_pem).
    ///
    /// # Errors
    ///
    /// [`KeyError`] if the text is anything else, or if the key is too weak or not accepted by the
    /// crypto back end.
    pub fn from_private_pem(pem: impl AsRef<[u8]>) -> Result<Self, KeyError> {
        let backend = CryptoBackend::preferred()?;
        let material = PublicMaterial::from_private_pem(pem.as_ref(), backend)?;
        Self::checked(material, backend)
    }

    /// Reads the public half of a private key in DER: PKCS#8, or PKCS#1 for RSA.
    ///
    /// # Errors
    ///
    /// As for [`from_private_pem`](Self::from_private_pem).
    pub fn from_private_der(der: impl AsRef<[u8]>) -> Result<Self, KeyError> {
        let backend = CryptoBackend::preferred()?;
        let material = PublicMaterial::from_private_der(der.as_ref(), backend)?;
        Self::checked(material, backend)
    }

    /// Reads one JWK ([RFC 7517](https://www.rfc-editor.org/rfc/rfc7517#section-4)) with its `kid`
    /// and, if it has one, its `alg`.
    ///
    /// # Errors
    ///
    /// [`KeyError`] as for [`from_pem`](Self::from_pem), and if its members contradict each other, or
    /// it is private, symmetric, or not for signatures. A member that is `null` counts as absent.
    pub fn from_jwk(json: impl AsRef<[u8]>) -> Result<Self, KeyError> {
        let backend = CryptoBackend::preferred()?;
        let jwk = jwk::Jwk::parse(json.as_ref())?.into_public()?;
        let mut key = Self::checked(jwk.material, backend)?;
        if let Some(algorithm) = jwk.algorithm {
            key = key.with_algorithm(algorithm)?;
        }
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
            has_default_algorithm: false,
            material,
        })
    }

    /// Returns the same key, with its algorithm marked as a default.
    pub(crate) fn with_default_algorithm(mut self) -> Self {
        self.has_default_algorithm = true;
        self
    }

    fn checked(material: PublicMaterial, backend: CryptoBackend) -> Result<Self, KeyError> {
        let algorithm = material.usual_algorithm();
        backend.public(algorithm, &material)?;
        Ok(Self {
            kid: None,
            algorithm,
            has_default_algorithm: algorithm.family() == Family::Rsa,
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
        self.has_default_algorithm = false;
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

    pub(crate) fn has_default_algorithm(&self) -> bool {
        match &self.0 {
            KeyKind::Public(key) => key.has_default_algorithm,
            KeyKind::Secret(_) => false,
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
