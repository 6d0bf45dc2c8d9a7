//! Answers that are used more than once, where that is asked for.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use sha2::{Digest as _, Sha256};

use super::answer::Answer;

/// How long a bad token is remembered at most (E10).
const MAX_NEGATIVE: Duration = Duration::from_secs(5);
/// How long all kept answers may be together, in bytes.
const MAX_BYTES: usize = 32 * 1024 * 1024;
/// What an entry takes besides its answer, roughly.
const OVERHEAD: usize = 512;

/// The whole SHA-256 of a token: the token itself is not kept, and no part of it is a name (F01).
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
pub(super) struct Asked {
    pub(super) at: SystemTime,
    pub(super) really: Instant,
}

impl Asked {
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
    /// Kept apart, so that a flood of bad tokens drives out no good one (E10).
    good: RwLock<Area>,
    bad: RwLock<Area>,
}

impl Cache {
    /// At most `capacity` good and as many bad ones, for at most `lifetime`.
    pub(super) fn new(lifetime: Duration, capacity: usize) -> Self {
        Self {
            good: RwLock::new(Area::new(lifetime, capacity)),
            bad: RwLock::new(Area::new(lifetime.min(MAX_NEGATIVE), capacity)),
        }
    }

    /// The answer about a token, if it may still be used at `now`.
    pub(super) fn get(&self, key: &Key, now: SystemTime) -> Option<Answer> {
        read(&self.good, |area| area.get(key, now))
            .or_else(|| read(&self.bad, |area| area.get(key, now)))
    }

    /// Keeps an answer of `length` bytes, at most until the token `ends`.
    pub(super) fn insert(
        &self,
        key: Key,
        answer: Answer,
        length: usize,
        asked: Asked,
        ends: Option<SystemTime>,
    ) {
        let (own, other) = match answer {
            Answer::Active(_) => (&self.good, &self.bad),
            Answer::Inactive | Answer::Unsupported | Answer::Refused(_) => (&self.bad, &self.good),
        };
        write(other, |area| area.remove(&key));
        write(own, |area| area.insert(key, answer, length, asked, ends));
    }
}

fn read<T>(area: &RwLock<Area>, f: impl FnOnce(&Area) -> T) -> T {
    f(&area.read().unwrap_or_else(PoisonError::into_inner))
}

fn write<T>(area: &RwLock<Area>, f: impl FnOnce(&mut Area) -> T) -> T {
    f(&mut area.write().unwrap_or_else(PoisonError::into_inner))
}

/// Entries with one lifetime. The oldest makes room.
struct Area {
    lifetime: Duration,
    capacity: usize,
    entries: HashMap<Key, Entry>,
    /// In the order in which they came. One whose number is not that of its entry has been replaced.
    order: VecDeque<(Key, u64)>,
    bytes: usize,
    number: u64,
}

struct Entry {
    answer: Answer,
    asked: Asked,
    until: SystemTime,
    bytes: usize,
    number: u64,
}

impl Area {
    fn new(lifetime: Duration, capacity: usize) -> Self {
        Self {
            lifetime,
            capacity,
            entries: HashMap::new(),
            order: VecDeque::new(),
            bytes: 0,
            number: 0,
        }
    }

    fn get(&self, key: &Key, now: SystemTime) -> Option<Answer> {
        let entry = self.entries.get(key)?;
        entry
            .is_usable(now, self.lifetime)
            .then(|| entry.answer.clone())
    }

    fn insert(
        &mut self,
        key: Key,
        answer: Answer,
        length: usize,
        asked: Asked,
        ends: Option<SystemTime>,
    ) {
        self.remove(&key);
        // A time that cannot be counted has no end that can be kept.
        let Some(until) = asked.at.checked_add(self.lifetime) else {
            return;
        };
        let until = ends.map_or(until, |ends| ends.min(until));
        if until > asked.at {
            self.number += 1;
            let bytes = length.saturating_add(OVERHEAD);
            let entry = Entry {
                answer,
                asked,
                until,
                bytes,
                number: self.number,
            };
            self.entries.insert(key, entry);
            self.order.push_back((key, self.number));
            self.bytes = self.bytes.saturating_add(bytes);
        }
        self.make_room(asked.at);
    }

    fn remove(&mut self, key: &Key) {
        if let Some(entry) = self.entries.remove(key) {
            self.bytes = self.bytes.saturating_sub(entry.bytes);
        }
    }

    /// Removes the oldest as long as they are of no use, or there are too many.
    fn make_room(&mut self, now: SystemTime) {
        while let Some((key, number)) = self.order.front().copied() {
            let is_full = self.order.len() > self.capacity || self.bytes > MAX_BYTES;
            match self
                .entries
                .get(&key)
                .filter(|entry| entry.number == number)
            {
                Some(entry) if !is_full && entry.is_usable(now, self.lifetime) => return,
                Some(_) => self.remove(&key),
                None => {}
            }
            self.order.pop_front();
        }
    }
}

impl Entry {
    fn is_usable(&self, now: SystemTime, lifetime: Duration) -> bool {
        // A clock that is set back does not make it live longer.
        self.asked.at <= now && now < self.until && self.asked.really.elapsed() < lifetime
    }
}

impl fmt::Debug for Area {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Area")
            .field("lifetime", &self.lifetime)
            .field("entries", &self.entries.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
