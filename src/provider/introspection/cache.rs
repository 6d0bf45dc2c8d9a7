//! Answers that are used more than once, where that is asked for.

use std::fmt;
use std::time::{Duration, Instant, SystemTime};

use sha2::{Digest as _, Sha256};

use super::response::Answer;
use crate::cache::{CacheSettings, Store};

/// How long a bad token is remembered at most (E10: bounded negative results).
const MAX_NEGATIVE: Duration = Duration::from_secs(5);
/// How long all kept answers may be together, in bytes.
const MAX_BYTES: usize = 32 * 1024 * 1024;
/// What an entry takes besides its answer and what the cache needs for itself, roughly.
const OVERHEAD: usize = 256;

/// The whole SHA-256 of a token: the token itself is not kept, and no part of it is a name (F01: whole-token keys).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key([u8; 32]);

impl Key {
    pub(super) fn of(token: &[u8]) -> Self {
        Self(Sha256::digest(token).into())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key([redacted])")
    }
}

/// When the server was asked, by the clock of the request and by one that is never set.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestStart {
    pub(super) at: SystemTime,
    pub(super) really: Instant,
}

impl RequestStart {
    pub(super) fn at(now: SystemTime) -> Self {
        Self {
            at: now,
            really: Instant::now(),
        }
    }
}

/// The answers of one validator. Nothing is ever kept that is not an answer about a token.
#[derive(Debug)]
pub(super) struct Cache {
    /// Kept apart, so that a flood of bad tokens drives out no good one (E10: bounded negative results).
    good: Segment,
    bad: Segment,
}

/// Answers with one lifetime.
#[derive(Debug)]
struct Segment {
    lifetime: Duration,
    entries: Store<Entry>,
}

#[derive(Clone)]
struct Entry {
    answer: Answer,
    really: Instant,
}

impl Cache {
    /// At most `capacity` good and as many bad ones, for at most `lifetime`.
    pub(super) fn new(lifetime: Duration, capacity: usize) -> Self {
        Self {
            good: Segment::new(lifetime, capacity),
            bad: Segment::new(lifetime.min(MAX_NEGATIVE), capacity),
        }
    }

    /// The answer about a token, if it may still be used at `now`.
    pub(super) fn get(&self, key: &Key, now: SystemTime) -> Option<Answer> {
        self.good.get(key, now).or_else(|| self.bad.get(key, now))
    }

    /// Keeps an answer of `length` bytes, at most until the token `ends`.
    pub(super) fn insert(
        &self,
        key: &Key,
        answer: Answer,
        length: usize,
        asked: RequestStart,
        ends: Option<SystemTime>,
    ) {
        let (own, other) = match answer {
            Answer::Active(_) => (&self.good, &self.bad),
            Answer::Inactive | Answer::Unsupported | Answer::Refused(_) => (&self.bad, &self.good),
        };
        other.remove(key);
        own.insert(key, answer, length, asked, ends);
    }
}

impl Segment {
    fn new(lifetime: Duration, capacity: usize) -> Self {
        let settings = CacheSettings::new()
            .with_time_to_live(lifetime)
            .with_max_entries(capacity)
            .with_max_bytes(MAX_BYTES);
        Self {
            lifetime,
            entries: Store::new(&settings),
        }
    }

    fn get(&self, key: &Key, now: SystemTime) -> Option<Answer> {
        let token = self.entries.find_digest(&key.0);
        // A clock that is set back does not make it live longer.
        let is_fresh = |entry: &Entry| entry.really.elapsed() < self.lifetime;
        let entry = self.entries.get(token, now, is_fresh)?;
        Some(entry.value().answer.clone())
    }

    fn insert(
        &self,
        key: &Key,
        answer: Answer,
        length: usize,
        asked: RequestStart,
        ends: Option<SystemTime>,
    ) {
        // What was said before is no longer true, whether or not this is kept.
        self.remove(key);
        let entry = Entry {
            answer,
            really: asked.really,
        };
        let bytes = length.saturating_add(OVERHEAD);
        let token = self.entries.find_digest(&key.0);
        let asked = self.entries.asked(asked.at);
        self.entries.keep(token, entry, bytes, asked, ends);
    }

    fn remove(&self, key: &Key) {
        self.entries.discard(self.entries.find_digest(&key.0));
    }
}

#[cfg(test)]
mod tests;
