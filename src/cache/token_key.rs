//! What a kept verdict is found by: the whole credential.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};

use foldhash::SharedSeed;
use foldhash::quality::SeedableRandomState;
use quick_cache::Equivalent;
use zeroize::Zeroizing;

use crate::extract::{CredentialSource, Scheme};

/// A credential that is kept: all its bytes, where it stood, and their hash
/// (F01: whole-token keys). The bytes are wiped when it is dropped.
pub(crate) struct TokenKey {
    hash: u64,
    place: CredentialPlace,
    token: Zeroizing<Box<[u8]>>,
}

/// Where a credential stood.
pub(crate) type CredentialPlace = (Scheme, CredentialSource);

/// All places from which a source may bring a token.
pub(crate) const PLACES: [CredentialPlace; 5] = [
    (Scheme::ApiKey, CredentialSource::ApiKeyHeader),
    (Scheme::Basic, CredentialSource::Authorization),
    (Scheme::Bearer, CredentialSource::Authorization),
    (Scheme::Bearer, CredentialSource::WebSocketProtocol),
    (Scheme::Cookie, CredentialSource::Cookie),
];

/// A credential that is looked for.
#[derive(Clone, Copy)]
pub(crate) struct TokenRef<'t> {
    hash: u64,
    place: CredentialPlace,
    token: &'t [u8],
}

impl TokenRef<'_> {
    pub(crate) fn len(&self) -> usize {
        self.token.len()
    }

    pub(crate) fn to_key(self) -> TokenKey {
        TokenKey {
            hash: self.hash,
            place: self.place,
            token: Zeroizing::new(self.token.into()),
        }
    }
}

impl TokenKey {
    pub(crate) fn by_ref(&self) -> TokenRef<'_> {
        TokenRef {
            hash: self.hash,
            place: self.place,
            token: &self.token,
        }
    }
}

/// The bytes are looked at only if the whole hash is the same, so how long that takes tells a guesser
/// nothing about them (J01: constant time).
impl Equivalent<TokenKey> for TokenRef<'_> {
    #[inline]
    fn equivalent(&self, key: &TokenKey) -> bool {
        self.hash == key.hash && self.place == key.place && *self.token == **key.token
    }
}

impl PartialEq for TokenKey {
    fn eq(&self, other: &Self) -> bool {
        self.by_ref().equivalent(other)
    }
}

impl Eq for TokenKey {}

impl Hash for TokenKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl Hash for TokenRef<'_> {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKey([redacted])")
    }
}

/// Hashes credentials with a secret of the process: which of them meet in a table, nobody outside can tell.
///
/// The hash is a fast one, since nothing rests on it but the time of a search: tokens are compared as a whole.
pub(crate) struct TokenHasher(SeedableRandomState);

impl TokenHasher {
    pub(crate) fn new() -> Self {
        // From the operating system, by way of the standard library.
        let random = || RandomState::new().hash_one(0_u8);
        static SHARED: std::sync::OnceLock<SharedSeed> = std::sync::OnceLock::new();
        let shared = SHARED.get_or_init(|| SharedSeed::from_u64(random()));
        Self(SeedableRandomState::with_seed(random(), shared))
    }

    #[inline]
    pub(crate) fn find<'t>(&self, place: CredentialPlace, token: &'t [u8]) -> TokenRef<'t> {
        let mut hasher = self.0.build_hasher();
        hasher.write(token);
        hasher.write_u16(u16::from_be_bytes([place.0 as u8, place.1 as u8]));
        TokenRef {
            hash: hasher.finish(),
            place,
            token,
        }
    }
}

/// Takes the hash that a key brings along.
#[derive(Clone, Copy, Default)]
pub(crate) struct PrecomputedHash;

pub(crate) struct PrecomputedHasher(u64);

impl BuildHasher for PrecomputedHash {
    type Hasher = PrecomputedHasher;

    #[inline]
    fn build_hasher(&self) -> PrecomputedHasher {
        PrecomputedHasher(0)
    }
}

impl Hasher for PrecomputedHasher {
    #[inline]
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: CredentialPlace = (Scheme::Bearer, CredentialSource::Authorization);

    #[test]
    fn credential_key_covers_the_whole_credential() {
        // (F01: whole-token keys)
        let hasher = TokenHasher::new();
        let key = |text: &str| hasher.find(PLACE, text.as_bytes()).to_key();
        let long = "a".repeat(2_000);
        for token in ["a", "abc", "eyJ.eyJ.sig", &long] {
            let own = key(token);
            assert!(hasher.find(PLACE, token.as_bytes()).equivalent(&own));
            // Each character counts, the length too.
            for at in 0..token.len() {
                let mut other = token.to_owned().into_bytes();
                other[at] = if other[at] == b'b' { b'c' } else { b'b' };
                let other = key(std::str::from_utf8(&other).unwrap());
                assert!(own != other, "{token} {at}");
                assert_ne!(own.hash, other.hash);
            }
            assert!(own != key(&format!("{token}a")));
            // Even if the hashes met.
            let mut met = key(&format!("{token}a"));
            met.hash = own.hash;
            assert!(own != met);
        }
    }

    #[test]
    fn credential_key_includes_the_source() {
        let hasher = TokenHasher::new();
        for (at, place) in PLACES.into_iter().enumerate() {
            for (other_at, other) in PLACES.into_iter().enumerate() {
                let (own, mut other_key) = (
                    hasher.find(place, b"abc"),
                    hasher.find(other, b"abc").to_key(),
                );
                let is_same = own.equivalent(&other_key);
                assert_eq!(is_same, at == other_at, "{place:?} {other:?}");
                // Even if the hashes met.
                other_key.hash = own.hash;
                let is_same = own.equivalent(&other_key);
                assert_eq!(is_same, at == other_at, "{place:?} {other:?}");
            }
        }
    }

    #[test]
    fn each_cache_has_its_own_hash_seed_and_hides_it() {
        // (J03: no secrets in texts)
        let keys = [TokenHasher::new(), TokenHasher::new()]
            .map(|hasher| hasher.find(PLACE, b"abc").to_key());
        assert_ne!(keys[0].hash, keys[1].hash);
        assert!(!format!("{:?}", keys[0]).contains("abc"));
    }
}
