//! Secrets that both sides share.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use super::algorithm::Algorithm;
use super::backend::{CryptoBackend, Verifier};
use super::jwk;
use super::key::checked_kid;
use super::key_error::KeyError;
use super::material::PublicMaterial;

/// A secret that both sides know: whoever can verify with it can also sign.
///
/// The bytes are used as they are given. If the issuer's secret is a text of base64 or hex that stands for
/// bytes, decode it first.
///
/// Kept in memory that is wiped when it goes; no `Debug` shows it.
///
/// # Example
///
/// ```
/// use tower_bearer::jwt::{KeyError, SharedSecret};
///
/// # #[cfg(any(feature = "aws_lc_rs", feature = "rust_crypto"))] {
/// // at least 32 random bytes, from the environment or a secret store
/// let secret = SharedSecret::hs256(b"\x9a\x1f\x55\xe2\x71\x0c\xb3\x48\xd5\x06\x8e\xfa\x27\x93\xc4\x61\
///     \x3d\xb8\x0f\xa6\x52\xe9\x14\x7b\xcc\x30\x95\x4e\xd7\x68\x01\xbf")?;
///
/// assert!(matches!(SharedSecret::hs256("changeme"), Err(KeyError::SecretTooShort { .. })));
/// # let _ = secret; }
/// # Ok::<_, KeyError>(())
/// ```
#[derive(Clone)]
pub struct SharedSecret {
    kid: Option<Box<str>>,
    algorithm: Algorithm,
    secret: Zeroizing<Vec<u8>>,
}

impl SharedSecret {
    /// A secret of at least 32 bytes for HS256.
    ///
    /// # Errors
    ///
    /// [`KeyError`] if it is shorter, well known, trivial, or a public key or certificate in any
    /// form.
    pub fn hs256(secret: impl AsRef<[u8]>) -> Result<Self, KeyError> {
        Self::new(Algorithm::HS256, secret.as_ref())
    }

    /// A secret of at least 48 bytes for HS384.
    ///
    /// # Errors
    ///
    /// As for [`hs256`](Self::hs256).
    pub fn hs384(secret: impl AsRef<[u8]>) -> Result<Self, KeyError> {
        Self::new(Algorithm::HS384, secret.as_ref())
    }

    /// A secret of at least 64 bytes for HS512.
    ///
    /// # Errors
    ///
    /// As for [`hs256`](Self::hs256).
    pub fn hs512(secret: impl AsRef<[u8]>) -> Result<Self, KeyError> {
        Self::new(Algorithm::HS512, secret.as_ref())
    }

    /// Reads a JWK of the type `oct` with its `kid`. Its `alg` has to name the algorithm.
    ///
    /// # Errors
    ///
    /// As for [`hs256`](Self::hs256), and if it is not such a JWK.
    pub fn from_jwk(json: impl AsRef<[u8]>) -> Result<Self, KeyError> {
        let jwk = jwk::Jwk::parse(json.as_ref())?.into_secret()?;
        let mut secret = Self::new(jwk.algorithm, &jwk.secret)?;
        secret.kid = jwk.kid;
        Ok(secret)
    }

    /// A secret for HS256, however short. A short secret can be guessed from any one token, without
    /// a request: use this only where a foreign system leaves no choice.
    ///
    /// # Errors
    ///
    /// [`KeyError`] if it is empty, well known, trivial, or a public key or certificate.
    pub fn insecure_short_hs256(secret: impl AsRef<[u8]>) -> Result<Self, KeyError> {
        Self::unmeasured(Algorithm::HS256, secret.as_ref())
    }

    fn new(algorithm: Algorithm, secret: &[u8]) -> Result<Self, KeyError> {
        let minimum = algorithm.signature_length().unwrap_or(usize::MAX);
        if secret.len() < minimum {
            return Err(KeyError::SecretTooShort {
                algorithm,
                minimum,
                length: secret.len(),
            });
        }
        Self::unmeasured(algorithm, secret)
    }

    fn unmeasured(algorithm: Algorithm, secret: &[u8]) -> Result<Self, KeyError> {
        if let Some(found) = public_form(secret) {
            return Err(KeyError::SecretIsPublicKey { found });
        }
        if is_known(secret) {
            return Err(KeyError::SecretIsKnown);
        }
        CryptoBackend::preferred()?.secret(algorithm, secret)?;
        Ok(Self {
            kid: None,
            algorithm,
            secret: Zeroizing::new(secret.to_vec()),
        })
    }

    /// Names the secret, as [`PublicKey::with_kid`](super::PublicKey::with_kid) does.
    ///
    /// # Errors
    ///
    /// [`KeyError::KeyId`] if it is empty or longer than 256 bytes.
    pub fn with_kid(mut self, kid: impl Into<String>) -> Result<Self, KeyError> {
        self.kid = Some(checked_kid(kid.into())?);
        Ok(self)
    }

    pub(crate) fn prepare(&self, backend: CryptoBackend) -> Result<Verifier, KeyError> {
        backend.secret(self.algorithm, &self.secret)
    }

    #[cfg(feature = "issuing")]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.secret
    }

    pub(crate) fn into_kid(self) -> Option<Box<str>> {
        self.kid
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

impl fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedSecret")
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

/// What public thing a would-be secret is, if it is one (C03: public keys as secrets): then everybody could sign with it.
fn public_form(secret: &[u8]) -> Option<&'static str> {
    let contains = |needle: &[u8]| {
        secret
            .windows(needle.len())
            .any(|window| window.eq_ignore_ascii_case(needle))
    };
    if contains(b"-----BEGIN") {
        return Some("a PEM text");
    }
    // By the name in front of one, by the name within it in base64, or as RFC 4716 writes it.
    if [
        &b"ssh-rsa "[..],
        b"ssh-ed25519",
        b"ecdsa-sha2-",
        b"AAAAB3NzaC1yc2E",
        b"AAAAC3NzaC1lZDI1NTE5",
        b"AAAAE2VjZHNhLXNoYTIt",
        b"AAAAGnNrLXNzaC1lZDI1NTE5",
        b"AAAAInNrLWVjZHNhLXNoYTIt",
        b"---- BEGIN SSH",
    ]
    .into_iter()
    .any(contains)
    {
        return Some("an SSH key");
    }
    if contains(b"\"kty\"") || contains(b"\"keys\"") {
        return Some("a JWK or JWK Set");
    }
    // A key in DER, bare or in base64 without its PEM lines.
    // With room for all of it, so that nothing of a secret is left behind where it grows (J03: no secrets in texts).
    let mut text = Zeroizing::new(Vec::with_capacity(secret.len()));
    text.extend(
        secret
            .iter()
            .copied()
            .filter(|byte| !byte.is_ascii_whitespace() && *byte != b'='),
    );
    let is_der_in = |engine: GeneralPurpose| {
        let mut der = Zeroizing::new(Vec::with_capacity(text.len() + 4));
        engine.decode_vec(&*text, &mut der).is_ok() && PublicMaterial::is_any_der(&der)
    };
    if PublicMaterial::is_any_der(secret)
        || [STANDARD_NO_PAD, URL_SAFE_NO_PAD]
            .into_iter()
            .any(is_der_in)
    {
        return Some("a key or certificate in DER");
    }
    None
}

/// Secrets from examples and tutorials (C18: known secrets), and such that one byte makes up.
fn is_known(secret: &[u8]) -> bool {
    const KNOWN: &[&str] = &[
        "secret",
        "secretkey",
        "password",
        "changeme",
        "jwtsecret",
        "mysecret",
        "mysecretkey",
        "supersecret",
        "supersecretkey",
        "your256bitsecret",
        "your384bitsecret",
        "your512bitsecret",
        "yoursecretkey",
        "astringsecretatleast256bitslong",
        "avalidstringsecretthatisatleast512bitslongwhichisverylong",
        "avalidstringsecretthatisatleast384bitslong",
        // FastAPI's tutorial, verbatim
        "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
    ];
    if secret.is_empty() || secret.windows(2).all(|pair| pair[0] == pair[1]) {
        return true;
    }
    let mut letters = Zeroizing::new(String::with_capacity(secret.len()));
    letters.extend(
        secret
            .iter()
            .filter(|byte| byte.is_ascii_alphanumeric())
            .map(|byte| char::from(byte.to_ascii_lowercase())),
    );
    // `secretsecretsecretse` is no better than `secret`.
    KNOWN.iter().any(|known| {
        letters.len() >= known.len()
            && letters
                .as_bytes()
                .chunks(known.len())
                .all(|chunk| known.as_bytes().starts_with(chunk))
    })
}
