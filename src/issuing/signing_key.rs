//! A key that signs.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::private_key::{self, PrivateKey};
use crate::jwt::{
    Algorithm, Key, KeyError, PublicKey, PublicMaterial, SharedSecret, checked_kid, encrypted, pem,
};

/// A private key or a shared secret with which this process signs tokens, for one algorithm.
///
/// It has a name, which goes as `kid` into each token. Unless it is given one, that of a private key is the thumbprint
/// of its public half ([RFC 7638](https://www.rfc-editor.org/rfc/rfc7638), SHA-256): the same in every process that
/// reads the key. That of a secret is random, since a digest of the secret would be something to guess against; give
/// it a name if several processes share it.
///
/// # Which algorithm
///
/// | algorithm | for |
/// |---|---|
/// | ES256 | tokens that others verify: short signatures, known everywhere |
/// | Ed25519 | the same, faster, where all verifiers know it |
/// | RS256 | verifiers that know nothing else ([RFC 9068 section 2.1](https://www.rfc-editor.org/rfc/rfc9068#section-2.1) demands it of them): long signatures, slow to make |
/// | HS256 | tokens that nobody but this service verifies: who can verify can also sign |
///
/// Ed25519 is called `EdDSA` in tokens and JWKs: [RFC 9864](https://www.rfc-editor.org/rfc/rfc9864) has the name `Ed25519`
/// for it, which hardly a verifier knows yet. [`JwtValidator`](crate::jwt::JwtValidator) takes both.
///
/// # Crypto
///
/// Always that of aws-lc-rs, whatever features are on: the crate `rsa` of RustCrypto leaks private keys by the time that
/// signing takes ([RUSTSEC-2023-0071](https://rustsec.org/advisories/RUSTSEC-2023-0071.html)). The key lies in memory that
/// is wiped when it goes; `Debug` shows its algorithm and its name.
///
/// # Example
///
/// ```
/// use tower_bearer::issuing::{SigningKey, SigningKeys};
/// use tower_bearer::jwt::Algorithm;
///
/// // For tests and trials: a key that is gone when the process ends, and all tokens with it.
/// let key = SigningKey::generate(Algorithm::ES256)?;
/// assert_eq!(key.kid().len(), 43);
///
/// // In production the key comes from a secret store.
/// let pem = key.to_pkcs8_pem()?;
/// let key = SigningKey::from_pem(pem.as_str())?;
/// let keys = SigningKeys::new(key)?;
/// # let _ = keys;
/// # Ok::<_, tower_bearer::jwt::KeyError>(())
/// ```
pub struct SigningKey {
    kid: Box<str>,
    algorithm: Algorithm,
    private: PrivateKey,
    /// `None` for a secret.
    public: Option<PublicMaterial>,
}

/// Why a token could not be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SigningError {
    /// The claims are not one JSON object.
    #[error("the claims cannot be written as one JSON object")]
    Claims,
    /// The crypto library failed, for example for lack of memory.
    #[error("the crypto library could not sign")]
    Crypto,
}

/// A private key as text, in PKCS#8. Wiped when it is dropped; `Debug` shows nothing of it.
pub struct PrivateKeyPem(Zeroizing<String>);

impl SigningKey {
    /// Makes a new key: a random secret for HS256, HS384 and HS512, a key pair for all others. RSA keys have 2048 bits,
    /// and take up to some seconds to find: do that before the service starts, or better once, with
    /// `openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072`.
    ///
    /// A key that is not kept ([`to_pkcs8_pem`](Self::to_pkcs8_pem)) takes all its tokens along when the process ends.
    ///
    /// # Errors
    ///
    /// [`KeyError::Rejected`] if the crypto library fails.
    pub fn generate(algorithm: Algorithm) -> Result<Self, KeyError> {
        Self::new(PrivateKey::generate(algorithm)?, false)?.with_algorithm(algorithm)
    }

    /// Reads a private key in PEM: `PRIVATE KEY` (PKCS#8), `RSA PRIVATE KEY` (PKCS#1) or `EC PRIVATE KEY` (SEC1).
    ///
    /// An RSA key is for RS256, unless it says itself that it is for PSS (then PS256), or
    /// [`with_algorithm`](Self::with_algorithm) says otherwise.
    ///
    /// # Errors
    ///
    /// [`KeyError`] if it is encrypted, public, in another format, of an unsupported kind, too weak, or no valid key.
    pub fn from_pem(pem: impl AsRef<[u8]>) -> Result<Self, KeyError> {
        let text = pem.as_ref();
        if pem::is_encrypted(text) {
            return Err(encrypted());
        }
        let pem::Block { label, der } = pem::single(text)?;
        match label {
            "PRIVATE KEY" => Self::from_der(&*der),
            "RSA PRIVATE KEY" => Self::new(PrivateKey::from_pkcs1(&der)?, false),
            "EC PRIVATE KEY" => Self::new(PrivateKey::from_sec1(&der)?, false),
            "PUBLIC KEY" | "RSA PUBLIC KEY" | "CERTIFICATE" => Err(KeyError::format(
                "a public key or certificate",
                "the private key that belongs to it: a public one cannot sign",
            )),
            "OPENSSH PRIVATE KEY" => Err(KeyError::format(
                "an `OPENSSH PRIVATE KEY`",
                "PKCS#8; `ssh-keygen -p -m PKCS8 -f key` converts it where it is RSA or ECDSA",
            )),
            _ => Err(KeyError::format(
                "the PEM block",
                "`PRIVATE KEY`, `RSA PRIVATE KEY` or `EC PRIVATE KEY`",
            )),
        }
    }

    /// Reads a private key in DER: PKCS#8 ([RFC 5958](https://www.rfc-editor.org/rfc/rfc5958)), not encrypted.
    ///
    /// # Errors
    ///
    /// As for [`from_pem`](Self::from_pem).
    pub fn from_der(der: impl AsRef<[u8]>) -> Result<Self, KeyError> {
        let (private, only_pss) = PrivateKey::from_pkcs8(der.as_ref())?;
        Self::new(private, only_pss)
    }

    /// Signs with a secret that the verifiers know too. Its algorithm and, if it has one, its name stay.
    ///
    /// # Errors
    ///
    /// [`KeyError::SecretTooShort`] if it is one that was made without regard to its length.
    ///
    /// # Example
    ///
    /// ```
    /// use tower_bearer::issuing::SigningKey;
    /// use tower_bearer::jwt::SharedSecret;
    ///
    /// # let secret = b"\x9a\x1f\x55\xe2\x71\x0c\xb3\x48\xd5\x06\x8e\xfa\x27\x93\xc4\x61\
    /// #     \x3d\xb8\x0f\xa6\x52\xe9\x14\x7b\xcc\x30\x95\x4e\xd7\x68\x01\xbf";
    /// let key = SigningKey::from_secret(SharedSecret::hs256(secret)?.with_kid("2026-11")?)?;
    /// assert_eq!(key.kid(), "2026-11");
    /// # Ok::<_, tower_bearer::jwt::KeyError>(())
    /// ```
    pub fn from_secret(secret: SharedSecret) -> Result<Self, KeyError> {
        Self::new(PrivateKey::secret(secret)?, false)
    }

    fn new(private: PrivateKey, is_for_pss: bool) -> Result<Self, KeyError> {
        let mut public = private.public()?;
        if let Some(PublicMaterial::Rsa { only_pss, .. }) = &mut public {
            *only_pss = is_for_pss;
        }
        let (kid, algorithm) = match (&private, &public) {
            (PrivateKey::Secret { secret, .. }, _) => {
                let kid = match secret.kid() {
                    Some(kid) => kid.into(),
                    None => URL_SAFE_NO_PAD.encode(private_key::random_name()?).into(),
                };
                (kid, secret.algorithm())
            }
            (_, Some(public)) => (thumbprint(public), public.usual_algorithm()),
            (_, None) => return Err(KeyError::rejected("the private key")),
        };
        Ok(Self {
            kid,
            algorithm,
            private,
            public,
        })
    }

    /// For another algorithm of its kind: an RSA key for PS256, say. One key should be for one algorithm
    /// ([RFC 8725 section 3.1](https://www.rfc-editor.org/rfc/rfc8725#section-3.1)), so its name does not
    /// tell them apart.
    ///
    /// # Errors
    ///
    /// [`KeyError::Mismatch`] if the key is of another kind. A secret stays with its algorithm.
    pub fn with_algorithm(mut self, algorithm: Algorithm) -> Result<Self, KeyError> {
        match &self.public {
            Some(public) => public.check_algorithm(algorithm)?,
            None if algorithm == self.algorithm => {}
            None => {
                return Err(KeyError::mismatch(
                    algorithm,
                    "a shared secret for another one",
                ));
            }
        }
        self.algorithm = algorithm;
        Ok(self)
    }

    /// Names the key. It is public: it stands in each token and in the JWK Set.
    ///
    /// # Errors
    ///
    /// [`KeyError::KeyId`] if it is empty or longer than 256 bytes.
    pub fn with_kid(mut self, kid: impl Into<String>) -> Result<Self, KeyError> {
        self.kid = checked_kid(kid.into())?;
        Ok(self)
    }

    /// The algorithm that it signs with.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Its name.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The private key as text, to be kept in a secret store and to be read by [`from_pem`](Self::from_pem). Whoever
    /// reads it can sign.
    ///
    /// # Errors
    ///
    /// [`KeyError::Format`] for a secret, which has no such form, [`KeyError::Rejected`] if the crypto library fails.
    pub fn to_pkcs8_pem(&self) -> Result<PrivateKeyPem, KeyError> {
        let der = self.private.to_pkcs8()?;
        let ending = pem_rfc7468::LineEnding::LF;
        pem_rfc7468::encode_string("PRIVATE KEY", ending, &der)
            .map(|pem| PrivateKeyPem(Zeroizing::new(pem)))
            .map_err(|_| KeyError::rejected("the private key"))
    }

    /// The public half as a JWK ([RFC 7517](https://www.rfc-editor.org/rfc/rfc7517#section-4)) with `use`, `alg` and `kid`.
    /// `None` for a secret.
    ///
    /// # Example
    ///
    /// ```
    /// use tower_bearer::issuing::SigningKey;
    /// use tower_bearer::jwt::{Algorithm, PublicKey};
    ///
    /// let key = SigningKey::generate(Algorithm::Ed25519)?.with_kid("2026-11")?;
    /// let jwk = key.public_jwk().unwrap();
    /// assert_eq!(jwk["alg"], "EdDSA");
    /// assert_eq!(PublicKey::from_jwk(serde_json::to_vec(&jwk).unwrap())?.kid(), Some("2026-11"));
    ///
    /// assert!(SigningKey::generate(Algorithm::HS256)?.public_jwk().is_none());
    /// # Ok::<_, tower_bearer::jwt::KeyError>(())
    /// ```
    #[must_use]
    pub fn public_jwk(&self) -> Option<Map<String, Value>> {
        let own = [
            ("use", "sig"),
            ("alg", jose_name(self.algorithm)),
            ("kid", &self.kid),
        ];
        let own = own.map(|(name, value)| (name, value.to_owned()));
        let public = members(self.public.as_ref()?).into_iter().chain(own);
        Some(
            public
                .map(|(name, value)| (name.to_owned(), Value::String(value)))
                .collect(),
        )
    }

    /// Signs claims as they are: a JWT in compact serialization
    /// ([RFC 7515 section 7.1](https://www.rfc-editor.org/rfc/rfc7515#section-7.1)) whose header has `alg`, `typ` and `kid`.
    ///
    /// Nothing is added and nothing is looked at, so this is for kinds of tokens that the crate does not know, and for tests:
    /// a client assertion ([RFC 7523](https://www.rfc-editor.org/rfc/rfc7523)), a logout token. `typ` keeps the kinds apart
    /// ([RFC 8725 section 3.11](https://www.rfc-editor.org/rfc/rfc8725#section-3.11)); `at+jwt` is that of access tokens.
    ///
    /// # Errors
    ///
    /// [`SigningError`] if the claims are not one JSON object.
    ///
    /// # Example
    ///
    /// ```
    /// use serde_json::json;
    /// use tower_bearer::issuing::SigningKey;
    /// use tower_bearer::jwt::Algorithm;
    ///
    /// let key = SigningKey::generate(Algorithm::ES256)?;
    /// let assertion = key.sign_jwt("JWT", &json!({
    ///     "iss": "orders-api", "sub": "orders-api", "aud": "https://login.example.com/token",
    ///     "jti": "5d1c", "iat": 1_800_000_000, "exp": 1_800_000_060,
    /// }))?;
    /// assert_eq!(assertion.split('.').count(), 3);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn sign_jwt(
        &self,
        typ: &str,
        claims: &(impl Serialize + ?Sized),
    ) -> Result<String, SigningError> {
        #[derive(Serialize)]
        struct Header<'a> {
            alg: &'static str,
            typ: &'a str,
            kid: &'a str,
        }
        let header = Header {
            alg: jose_name(self.algorithm),
            typ,
            kid: &self.kid,
        };
        let header = serde_json::to_vec(&header).map_err(|_| SigningError::Claims)?;
        let claims = serde_json::to_vec(claims).map_err(|_| SigningError::Claims)?;
        if claims.first() != Some(&b'{') {
            return Err(SigningError::Claims);
        }
        // Room for all but the longest signatures.
        let mut token = String::with_capacity((header.len() + claims.len()) * 4 / 3 + 360);
        URL_SAFE_NO_PAD.encode_string(header, &mut token);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let mut signature = Vec::with_capacity(256);
        self.private
            .sign(self.algorithm, token.as_bytes(), &mut signature)?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }

    /// What verifies its tokens.
    pub(crate) fn verification_key(&self) -> Result<Key, KeyError> {
        match (&self.private, &self.public) {
            (PrivateKey::Secret { secret, .. }, _) => {
                Ok(secret.clone().with_kid(&*self.kid)?.into())
            }
            (_, Some(public)) => {
                let kid = Some(self.kid.clone());
                Ok(PublicKey::from_parts(kid, self.algorithm, public.clone())?.into())
            }
            (_, None) => Err(KeyError::rejected("the private key")),
        }
    }
}

impl PrivateKeyPem {
    /// The text: one PEM block.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for PrivateKeyPem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKeyPem(..)")
    }
}

/// Its name in tokens and JWKs: the one that verifiers of today know. jose, PyJWT, jsonwebtoken and the like take
/// `EdDSA` alone, [RFC 9864](https://www.rfc-editor.org/rfc/rfc9864) or not.
fn jose_name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Ed25519 => "EdDSA",
        other => other.name(),
    }
}

/// What makes a public key, in the order of RFC 7638 section 3.3, which is that of the alphabet. Also [RFC 8037 section
/// 2](https://www.rfc-editor.org/rfc/rfc8037#section-2).
fn members(public: &PublicMaterial) -> Vec<(&'static str, String)> {
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    match public {
        PublicMaterial::Rsa {
            modulus, exponent, ..
        } => vec![
            ("e", text(exponent)),
            ("kty", String::from("RSA")),
            ("n", text(modulus)),
        ],
        PublicMaterial::Ec { curve, point } => {
            // Uncompressed: a byte that says so, and two coordinates of the same length.
            let (x, y) = point[1..].split_at(curve.field_length());
            vec![
                ("crv", curve.name().to_owned()),
                ("kty", String::from("EC")),
                ("x", text(x)),
                ("y", text(y)),
            ]
        }
        PublicMaterial::Ed25519(x) => vec![
            ("crv", String::from("Ed25519")),
            ("kty", String::from("OKP")),
            ("x", text(x)),
        ],
    }
}

/// [RFC 7638 section 3](https://www.rfc-editor.org/rfc/rfc7638#section-3).
fn thumbprint(public: &PublicMaterial) -> Box<str> {
    // Names and values are such that JSON escapes nothing.
    let members: Vec<_> = members(public)
        .iter()
        .map(|(name, value)| format!("\"{name}\":\"{value}\""))
        .collect();
    let text = format!("{{{}}}", members.join(","));
    let hash = private_key::sha256(text.as_bytes());
    URL_SAFE_NO_PAD.encode(hash).into_boxed_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thumbprints_match_the_examples_of_the_rfcs() {
        let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        for (name, public, expected) in [
            (
                "RFC 7638 section 3.1",
                PublicMaterial::rsa(&bytes(n), &bytes("AQAB")),
                "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
            ),
            (
                "RFC 8037 appendix A.3",
                PublicMaterial::ed25519(&bytes("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")),
                "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
            ),
        ] {
            assert_eq!(&*thumbprint(&public.unwrap()), expected, "{name}");
        }
    }
}
