//! Names of keys that the issuer does not have.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, SystemTime};

use super::schedule::remaining;

/// How many names are remembered. A stranger chooses them, so they are few (G09: bounded tables).
const CAPACITY: usize = 64;

/// The names that were looked for in vain, as keyed hashes, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct UnknownKeyIds {
    hasher: RandomState,
    names: VecDeque<(u64, SystemTime)>,
}

impl UnknownKeyIds {
    /// Remembers that a fetched set does not have this name. The oldest one makes room.
    pub(crate) fn insert(&mut self, kid: Option<&str>, now: SystemTime) {
        let hash = self.hasher.hash_one(kid);
        self.names.retain(|(name, _)| *name != hash);
        if self.names.len() == CAPACITY {
            self.names.pop_front();
        }
        self.names.push_back((hash, now));
    }

    /// Whether this name was missing less than `lifetime` ago.
    pub(crate) fn contains(&self, kid: Option<&str>, now: SystemTime, lifetime: Duration) -> bool {
        let hash = self.hasher.hash_one(kid);
        self.names
            .iter()
            .any(|(name, since)| *name == hash && remaining(*since, lifetime, now).is_some())
    }

    pub(crate) fn clear(&mut self) {
        self.names.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_kids_are_bounded_in_count_and_time() {
        // (E01: fetch cooldown, G09: bounded tables)
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let lifetime = Duration::from_secs(60);
        let mut absent = UnknownKeyIds::default();
        assert!(!absent.contains(Some("a"), now, lifetime));
        absent.insert(Some("a"), now);
        absent.insert(None, now);
        assert!(absent.contains(Some("a"), now, lifetime));
        assert!(absent.contains(None, now, lifetime));
        assert!(!absent.contains(Some(""), now, lifetime));
        assert!(!absent.contains(Some("b"), now, lifetime));
        let at = |seconds| now + Duration::from_secs(seconds);
        assert!(absent.contains(Some("a"), at(59), lifetime));
        assert!(!absent.contains(Some("a"), at(60), lifetime));
        absent.insert(Some("a"), at(50));
        assert!(absent.contains(Some("a"), at(60), lifetime));

        for number in 0..CAPACITY {
            absent.insert(Some(&number.to_string()), now);
        }
        assert_eq!(absent.names.len(), CAPACITY);
        assert!(absent.names.capacity() <= 2 * CAPACITY);
        assert!(!absent.contains(Some("a"), now, lifetime));
        assert!(absent.contains(Some("0"), now, lifetime));
        absent.insert(Some("one more"), now);
        assert!(!absent.contains(Some("0"), now, lifetime));
        assert!(absent.contains(Some("1"), now, lifetime));
        absent.clear();
        assert!(!absent.contains(Some("1"), now, lifetime));
    }
}
