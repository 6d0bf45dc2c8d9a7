//! What can be wrong with a key.

use super::algorithm::Algorithm;
use super::key::MAX_KID;
use super::material::{MAX_RSA_BITS, MIN_RSA_BITS};
use crate::error::ConfigError;

/// What is wrong with a key. No variant shows key material.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Neither crypto back end is enabled.
    #[error(
        "no crypto back end is enabled: turn on the feature `aws_lc_rs` or `rust_crypto` of tower-bearer"
    )]
    NoBackend,
    /// An algorithm that does not exist, is not supported, or does not sign.
    #[error(
        "algorithm {name:?} is not supported; one of HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA, Ed25519 is"
    )]
    Algorithm {
        /// The name at fault, shortened if it is long.
        name: String,
    },
    /// An algorithm and a key that do not go together.
    #[error("{algorithm} does not work with {key}")]
    Mismatch {
        /// The algorithm.
        algorithm: Algorithm,
        /// What kind of key it was.
        key: &'static str,
    },
    /// Not in the form that was expected.
    #[error("{what} is not usable: expected {expected}")]
    Format {
        /// What was read.
        what: &'static str,
        /// What it should have been.
        expected: &'static str,
    },
    /// The crypto back end does not accept the key, for example because a point is not on its curve.
    #[error("{key} was rejected by the crypto back end: it is not a valid key")]
    Rejected {
        /// What kind of key it was.
        key: &'static str,
    },
    /// An RSA key below 2048 bits
    /// ([RFC 7518 section 3.3](https://www.rfc-editor.org/rfc/rfc7518#section-3.3)).
    #[error("an RSA key of {bits} bits is too weak: at least {MIN_RSA_BITS} bits are needed")]
    RsaTooShort {
        /// The length of its modulus.
        bits: usize,
    },
    /// An RSA key above 8192 bits, which would make each token expensive.
    #[error("an RSA key of {bits} bits is too large: at most {MAX_RSA_BITS} bits are accepted")]
    RsaTooLong {
        /// The length of its modulus.
        bits: usize,
    },
    /// An RSA exponent that is even, 1, or longer than 33 bits.
    #[error("the RSA exponent is not usable: expected an odd number from 3 to 33 bits")]
    RsaExponent,
    /// A private or symmetric key where only public ones belong.
    #[error(
        "the key is {kind}: a JWK Set holds public keys only; whoever can read this one can sign tokens"
    )]
    NotPublic {
        /// `private` or `symmetric`.
        kind: &'static str,
    },
    /// A key that is not for verifying signatures, by its `use` or `key_ops`.
    #[error("the key is not for verifying signatures: its `{member}` says otherwise")]
    NotForVerifying {
        /// The member of the JWK that says so.
        member: &'static str,
    },
    /// A shared secret shorter than the hash of its algorithm
    /// ([RFC 7518 section 3.2](https://www.rfc-editor.org/rfc/rfc7518#section-3.2)).
    #[error(
        "a shared secret for {algorithm} needs at least {minimum} random bytes, got {length}; `openssl rand -base64 {minimum}` makes one"
    )]
    SecretTooShort {
        /// The algorithm.
        algorithm: Algorithm,
        /// The length that it needs, in bytes.
        minimum: usize,
        /// The length of the secret, in bytes.
        length: usize,
    },
    /// A shared secret that is public: a key or certificate in some textual or binary form.
    #[error(
        "the shared secret is {found}: use `PublicKey` for a public key; anyone who knows it could sign tokens"
    )]
    SecretIsPublicKey {
        /// What it looks like.
        found: &'static str,
    },
    /// A shared secret that everybody knows, from an example, or one that is no secret at all.
    #[error(
        "the shared secret is a well-known or trivial one; `openssl rand -base64 64` makes one"
    )]
    SecretIsKnown,
    /// A key identifier of more than 256 bytes, or an empty one.
    #[error("`kid` is {length} bytes long: expected 1 to {MAX_KID}")]
    KeyId {
        /// Its length in bytes.
        length: usize,
    },
    /// Two keys with one identifier and one algorithm.
    #[error("two keys for {algorithm} have the same `kid`: {kid:?}")]
    DuplicateKeyId {
        /// The identifier.
        kid: String,
        /// The algorithm of both.
        algorithm: Algorithm,
    },
    /// A key of this identifier is not there.
    #[error("no key has the `kid` {kid:?}")]
    UnknownKeyId {
        /// The identifier.
        kid: String,
    },
    /// The key that signs cannot be taken away.
    #[error("the key {kid:?} is the one that signs: put another one in its place first")]
    KeyInUse {
        /// Its identifier.
        kid: String,
    },
    /// Too many keys.
    #[error("{count} keys {which}: at most {limit} are accepted")]
    TooMany {
        /// How many there were.
        count: usize,
        /// Which ones.
        which: &'static str,
        /// How many are accepted.
        limit: usize,
    },
    /// Shared secrets and public keys together.
    #[error(
        "a key set holds shared secrets or public keys, not both: combine two validators with `or`"
    )]
    Mixed,
    /// Not one key that can be used.
    #[error("no usable key{}", .skipped.as_ref().map(|first| format!("; the first one: {first}")).unwrap_or_default())]
    NoUsableKey {
        /// Why the first of them could not be used, if there were any.
        skipped: Option<Box<KeyError>>,
    },
    /// Not a JWK or a JWK Set.
    #[error("not a {expected}: {problem}")]
    Json {
        /// `JWK` or `JWK Set`.
        expected: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl KeyError {
    pub(crate) fn unknown_algorithm(name: &str) -> Self {
        Self::Algorithm {
            name: name.chars().take(32).collect(),
        }
    }

    pub(crate) fn mismatch(algorithm: Algorithm, key: &'static str) -> Self {
        Self::Mismatch { algorithm, key }
    }

    pub(crate) fn format(what: &'static str, expected: &'static str) -> Self {
        Self::Format { what, expected }
    }

    pub(crate) fn rejected(key: &'static str) -> Self {
        Self::Rejected { key }
    }
}

impl From<KeyError> for ConfigError {
    fn from(error: KeyError) -> Self {
        Self::other(error)
    }
}
