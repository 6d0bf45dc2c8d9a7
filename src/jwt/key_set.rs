//! Keys by name and algorithm.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::value::RawValue;

use super::algorithm::{Algorithm, Family};
use super::backend::{CryptoBackend, Verifier};
use super::jwk::Jwk;
use super::key::{Key, KeyKind, PublicKey};
use super::key_error::KeyError;

/// Keys that are ready to verify with.
///
/// A token is checked with the key that its `kid` names, and only with the algorithm of that key. Keys
/// without a name are tried for tokens whose `kid` no key has, and for tokens without one. A token
/// without `kid` is checked with a named key only if no other key is for its algorithm, unless
/// [`with_max_trials_without_kid`](JwksOptions::with_max_trials_without_kid) allows several.
///
/// # Example
///
/// ```
/// use tower_bearer::jwt::KeySet;
///
/// # #[cfg(any(feature = "aws_lc_rs", feature = "rust_crypto"))] {
/// let keys = KeySet::from_jwks(
///     r#"{"keys":[
///         {"kty":"OKP","crv":"Ed25519","kid":"2026-11","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
///         {"kty":"RSA","use":"enc","kid":"old","n":"AQAB","e":"AQAB"}
///     ]}"#,
/// )?;
/// assert_eq!(keys.len(), 1);
/// assert_eq!(keys.skipped()[0].kid(), Some("old"));
/// # }
/// # Ok::<_, tower_bearer::jwt::KeyError>(())
/// ```
pub struct KeySet {
    /// No other set has it.
    #[cfg_attr(
        not(any(feature = "issuing", feature = "jwks")),
        expect(dead_code, reason = "local keys never change")
    )]
    generation: u64,
    keys: Box<[Prepared]>,
    skipped: Box<[SkippedKey]>,
    /// The number of keys that are tried for a token without `kid`.
    max_trials: usize,
}

/// A key, ready.
pub(crate) struct Prepared {
    kid: Option<Box<str>>,
    algorithm: Algorithm,
    /// The key names no algorithm.
    has_default_algorithm: bool,
    verifier: Verifier,
}

/// A key of a JWK Set that is not used, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedKey {
    index: usize,
    kid: Option<String>,
    reason: KeyError,
}

impl SkippedKey {
    /// Its position in the set, counted from 0.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// Its name, if it has a readable one.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Why it is not used.
    #[must_use]
    pub fn reason(&self) -> &KeyError {
        &self.reason
    }
}

/// Options for reading a JWK Set, and for choosing keys from a [`KeySet`].
///
/// # Example
///
/// ```
/// use tower_bearer::jwt::{Algorithm, JwksOptions};
///
/// // An issuer whose RSA keys do not say that they are for PSS.
/// let options = JwksOptions::new().with_rsa_algorithms([Algorithm::PS256]);
/// # let _ = options;
/// ```
#[derive(Clone, Debug)]
pub struct JwksOptions {
    rsa_algorithms: Vec<Algorithm>,
    max_keys: usize,
    max_keys_without_kid: usize,
    max_trials_without_kid: usize,
    backend: Option<CryptoBackend>,
}

impl Default for JwksOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl JwksOptions {
    /// Creates the default options: RS256 for RSA keys without `alg`, at most 100 keys, 16 of them without
    /// `kid` for each algorithm, one key for a token without `kid`, and the preferred back end.
    #[must_use]
    pub fn new() -> Self {
        Self {
            rsa_algorithms: vec![Algorithm::RS256],
            max_keys: 100,
            max_keys_without_kid: 16,
            max_trials_without_kid: 1,
            backend: None,
        }
    }

    /// Which algorithms an RSA key without `alg` is for. Such keys are common; one key should serve
    /// one algorithm ([RFC 8725 section 3.1](https://www.rfc-editor.org/rfc/rfc8725#section-3.1)), so
    /// the default is RS256 alone. Algorithms of other kinds make every such key a skipped one.
    #[must_use]
    pub fn with_rsa_algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.rsa_algorithms = algorithms.into_iter().collect();
        self
    }

    /// How many keys a set may have before it is refused as a whole. Default: 100.
    #[must_use]
    pub fn with_max_keys(mut self, max_keys: usize) -> Self {
        self.max_keys = max_keys;
        self
    }

    /// Sets how many keys of one algorithm may have no `kid`. A token without `kid`, or with a `kid` that no
    /// key has, is checked with each of them in turn, so this limit bounds the cost of a forged token.
    /// Further keys are [skipped](KeySet::skipped).
    ///
    /// Default: 16. With 0, keys without `kid` are not used.
    #[must_use]
    pub fn with_max_keys_without_kid(mut self, max_keys: usize) -> Self {
        self.max_keys_without_kid = max_keys;
        self
    }

    /// Sets how many keys may be tried in turn for a token without `kid`: all keys for its algorithm, up to
    /// this number. If there are more, only the keys without `kid` are tried, and if there are none the token
    /// is rejected.
    ///
    /// Use it for an issuer that names its keys and leaves `kid` out of its tokens
    /// ([RFC 7515 section 4.1.4](https://www.rfc-editor.org/rfc/rfc7515#section-4.1.4) makes it optional) while
    /// it replaces a key. Each trial is a signature verification, and a forged token costs all of them.
    ///
    /// Default: 1, so a token without `kid` that several named keys fit is rejected as ambiguous.
    ///
    /// # Example
    ///
    /// ```
    /// use tower_bearer::jwt::JwksOptions;
    ///
    /// // The key that signs, the one before, and the next one.
    /// let options = JwksOptions::new().with_max_trials_without_kid(3);
    /// # let _ = options;
    /// ```
    #[must_use]
    pub fn with_max_trials_without_kid(mut self, max_trials: usize) -> Self {
        self.max_trials_without_kid = max_trials;
        self
    }

    /// The back end that prepares the keys.
    #[must_use]
    pub fn with_backend(mut self, backend: CryptoBackend) -> Self {
        self.backend = Some(backend);
        self
    }

    fn backend(&self) -> Result<CryptoBackend, KeyError> {
        match self.backend {
            Some(backend) => Ok(backend),
            None => CryptoBackend::preferred(),
        }
    }
}

/// Which keys a token may be signed with.
pub(crate) enum Candidates<'a> {
    One(&'a Prepared),
    /// The keys of this algorithm without a name.
    Unnamed(&'a [Prepared], Algorithm),
    /// All keys of this algorithm.
    Each(&'a [Prepared], Algorithm),
}

impl Candidates<'_> {
    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::One(key) => key.verify(message, signature),
            Self::Unnamed(keys, algorithm) => keys
                .iter()
                .filter(|key| key.kid.is_none() && key.algorithm == *algorithm)
                .any(|key| key.verify(message, signature)),
            Self::Each(keys, algorithm) => keys
                .iter()
                .filter(|key| key.algorithm == *algorithm)
                .any(|key| key.verify(message, signature)),
        }
    }
}

/// Why there is no key for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoKey {
    /// No key has its name.
    Unknown,
    /// The key it names, or every key if it names none, is for another algorithm.
    Algorithm,
    /// No key has the algorithm of the token; the key has a default RSA algorithm, and the token has another one.
    DefaultAlgorithm,
    /// It names none, and several fit.
    Ambiguous,
}

impl Prepared {
    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        // C07: a signature of another length is none.
        let may_be_one = self
            .algorithm
            .signature_length()
            .is_none_or(|length| signature.len() == length);
        #[cfg(test)]
        VERIFIED.set(VERIFIED.get() + u32::from(may_be_one));
        may_be_one && self.verifier.verify(message, signature)
    }
}

#[cfg(test)]
thread_local! {
    /// How often this thread has asked a back end about a signature.
    pub(crate) static VERIFIED: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

impl KeySet {
    /// Makes a set of [`PublicKey`]s or of [`SharedSecret`](super::SharedSecret)s.
    ///
    /// # Errors
    ///
    /// [`KeyError`] if there is none, if both kinds are mixed, if two have the same name and
    /// algorithm, or if more than 16 of one algorithm have no name.
    pub fn new<K: Into<Key>>(keys: impl IntoIterator<Item = K>) -> Result<Self, KeyError> {
        Self::new_with(keys, &JwksOptions::new())
    }

    /// Creates a set as [`new`](Self::new) does, with options.
    /// [`with_rsa_algorithms`](JwksOptions::with_rsa_algorithms) and
    /// [`with_max_keys`](JwksOptions::with_max_keys) have no effect here: each key already has its algorithm,
    /// and the caller chooses the number of keys.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    pub fn new_with<K: Into<Key>>(
        keys: impl IntoIterator<Item = K>,
        options: &JwksOptions,
    ) -> Result<Self, KeyError> {
        let backend = options.backend()?;
        let mut prepared = Vec::new();
        let mut symmetric = None;
        for key in keys {
            let key = key.into();
            let is_secret = matches!(key.0, KeyKind::Secret(_));
            if *symmetric.get_or_insert(is_secret) != is_secret {
                return Err(KeyError::Mixed);
            }
            add(&mut prepared, key, backend, options)?;
        }
        if prepared.is_empty() {
            return Err(KeyError::NoUsableKey { skipped: None });
        }
        Ok(Self {
            generation: next_generation(),
            keys: prepared.into_boxed_slice(),
            skipped: Box::default(),
            max_trials: options.max_trials_without_kid,
        })
    }

    /// Creates a set as [`new`](Self::new) does, with this back end.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    pub fn with_backend<K: Into<Key>>(
        backend: CryptoBackend,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Self, KeyError> {
        Self::new_with(keys, &JwksOptions::new().with_backend(backend))
    }

    /// Reads a JWK Set ([RFC 7517 section 5](https://www.rfc-editor.org/rfc/rfc7517#section-5)). What
    /// cannot be used in it is skipped, key by key: other types and curves, encryption keys, weak
    /// keys, and whatever is private or symmetric.
    ///
    /// # Errors
    ///
    /// [`KeyError`] if it is not a JWK Set, has more than 100 keys, or no usable one.
    pub fn from_jwks(json: impl AsRef<[u8]>) -> Result<Self, KeyError> {
        Self::from_jwks_with(json, &JwksOptions::new())
    }

    /// The same with options.
    ///
    /// # Errors
    ///
    /// As for [`from_jwks`](Self::from_jwks).
    pub fn from_jwks_with(json: impl AsRef<[u8]>, options: &JwksOptions) -> Result<Self, KeyError> {
        let backend = options.backend()?;
        let texts = read_set(json.as_ref())?;
        if texts.len() > options.max_keys {
            return Err(KeyError::TooMany {
                count: texts.len(),
                which: "in the JWK Set",
                limit: options.max_keys,
            });
        }
        let mut prepared = Vec::new();
        let mut skipped = Vec::new();
        for (index, text) in texts.iter().enumerate() {
            let mut kid = None;
            let added = Jwk::parse(text.get().as_bytes()).and_then(|jwk| {
                kid = jwk.kid().ok().flatten().map(String::from);
                let jwk = jwk.into_public()?;
                let own = [jwk.algorithm.unwrap_or(jwk.material.usual_algorithm())];
                let rsa = matches!(jwk.material, super::material::PublicMaterial::Rsa { .. });
                let algorithms = match jwk.algorithm {
                    None if rsa => &options.rsa_algorithms[..],
                    _ => &own[..],
                };
                if algorithms.is_empty() {
                    return Err(KeyError::format(
                        "alg",
                        "a name, since RSA keys have no default",
                    ));
                }
                for algorithm in algorithms {
                    jwk.material.check_algorithm(*algorithm)?;
                }
                for algorithm in algorithms {
                    let mut key =
                        PublicKey::from_parts(jwk.kid.clone(), *algorithm, jwk.material.clone())?;
                    if rsa && jwk.algorithm.is_none() {
                        key = key.with_default_algorithm();
                    }
                    add(&mut prepared, key.into(), backend, options)?;
                }
                Ok(())
            });
            if let Err(reason) = added {
                skipped.push(SkippedKey { index, kid, reason });
            }
        }
        if prepared.is_empty() {
            return Err(KeyError::NoUsableKey {
                skipped: skipped.first().map(|key| Box::new(key.reason.clone())),
            });
        }
        Ok(Self {
            generation: next_generation(),
            keys: prepared.into_boxed_slice(),
            skipped: skipped.into_boxed_slice(),
            max_trials: options.max_trials_without_kid,
        })
    }

    /// Tells it from every other set that was ever made in this process.
    #[cfg(any(feature = "issuing", feature = "jwks"))]
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// How many keys there are. An RSA key for several algorithms counts once for each.
    #[must_use]
    #[expect(
        clippy::len_without_is_empty,
        reason = "a set without keys cannot be made"
    )]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Returns whether one of the keys is for one of `algorithms`.
    pub(crate) fn may_be_for(&self, algorithms: &[Algorithm]) -> bool {
        self.keys()
            .any(|(_, algorithm)| algorithms.contains(&algorithm))
    }

    /// The names of its keys and their algorithms, in the order in which they were given.
    pub fn keys(&self) -> impl Iterator<Item = (Option<&str>, Algorithm)> {
        self.keys
            .iter()
            .map(|key| (key.kid.as_deref(), key.algorithm))
    }

    /// The keys of a JWK Set that are not used.
    #[must_use]
    pub fn skipped(&self) -> &[SkippedKey] {
        &self.skipped
    }

    /// The keys for a token, by what its header says. Nothing is verified yet.
    pub(crate) fn find(
        &self,
        algorithm: Algorithm,
        kid: Option<&str>,
    ) -> Result<Candidates<'_>, NoKey> {
        let mut named = None;
        let mut named_count = 0;
        let mut unnamed_count = 0;
        let mut known = false;
        for key in &self.keys {
            match (&key.kid, kid) {
                (Some(own), Some(kid)) if **own == *kid => {
                    if key.algorithm == algorithm {
                        return Ok(Candidates::One(key));
                    }
                    known = true;
                }
                (None, _) => unnamed_count += usize::from(key.algorithm == algorithm),
                (Some(_), None) if key.algorithm == algorithm => {
                    named_count += 1;
                    named = Some(key);
                }
                (Some(_), _) => {}
            }
        }
        match named {
            _ if known => Err(self.wrong_algorithm(algorithm, kid)),
            Some(key) if named_count + unnamed_count == 1 => Ok(Candidates::One(key)),
            Some(_) if named_count + unnamed_count <= self.max_trials => {
                Ok(Candidates::Each(&self.keys, algorithm))
            }
            _ if unnamed_count > 0 => Ok(Candidates::Unnamed(&self.keys, algorithm)),
            Some(_) => Err(NoKey::Ambiguous),
            None if kid.is_some() && self.keys.iter().any(|key| key.kid.is_some()) => {
                Err(NoKey::Unknown)
            }
            None => Err(self.wrong_algorithm(algorithm, kid)),
        }
    }

    /// Returns the error for a token whose algorithm differs from that of every matching key.
    fn wrong_algorithm(&self, algorithm: Algorithm, kid: Option<&str>) -> NoKey {
        let is_meant =
            |key: &&Prepared| kid.is_none() || key.kid.is_none() || key.kid.as_deref() == kid;
        let is_default = |key: &Prepared| key.has_default_algorithm;
        if algorithm.family() == Family::Rsa && self.keys.iter().filter(is_meant).any(is_default) {
            NoKey::DefaultAlgorithm
        } else {
            NoKey::Algorithm
        }
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys()).finish()
    }
}

fn next_generation() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn add(
    prepared: &mut Vec<Prepared>,
    key: Key,
    backend: CryptoBackend,
    options: &JwksOptions,
) -> Result<(), KeyError> {
    let algorithm = key.algorithm();
    let has_default_algorithm = key.has_default_algorithm();
    let verifier = key.prepare(backend)?;
    let kid = key.into_kid();
    let same = prepared
        .iter()
        .filter(|other| other.algorithm == algorithm && other.kid == kid)
        .count();
    match &kid {
        Some(kid) if same > 0 => {
            return Err(KeyError::DuplicateKeyId {
                kid: kid.to_string(),
                algorithm,
            });
        }
        None if same >= options.max_keys_without_kid => {
            return Err(KeyError::TooMany {
                count: same + 1,
                which: "of one algorithm without `kid` (see `JwksOptions::with_max_keys_without_kid`)",
                limit: options.max_keys_without_kid,
            });
        }
        _ => {}
    }
    prepared.push(Prepared {
        kid,
        algorithm,
        has_default_algorithm,
        verifier,
    });
    Ok(())
}

/// The texts of the keys, each to be read on its own, so that one bad key does not spoil the others.
fn read_set(json: &[u8]) -> Result<Vec<Box<RawValue>>, KeyError> {
    #[derive(serde::Deserialize)]
    struct Set {
        keys: Vec<Box<RawValue>>,
    }
    // A derived reader would take an array for the object.
    let set = match json.trim_ascii_start().first() {
        Some(b'{') => serde_json::from_slice::<Set>(json).ok(),
        _ => None,
    };
    set.map(|set| set.keys).ok_or(KeyError::Json {
        expected: "JWK Set",
        problem: "expected a JSON object with an array `keys`",
    })
}
