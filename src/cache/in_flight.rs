//! Work in progress, by key.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A table of the work in progress. An entry is removed by the work that inserted it, and never by earlier work of the
/// same key.
pub(crate) struct InFlight<K, V, S = RandomState> {
    /// Read without the lock.
    count: AtomicUsize,
    /// Never held across an await, nor while a value is dropped.
    state: Mutex<State<K, V, S>>,
}

struct State<K, V, S> {
    entries: HashMap<K, Entry<V>, S>,
    last: Number,
}

struct Entry<V> {
    number: Number,
    value: V,
}

/// The identity of an entry. No two entries of a table have the same one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Number(u64);

/// The table while it is locked.
pub(crate) struct Locked<'a, K, V, S> {
    count: &'a AtomicUsize,
    state: MutexGuard<'a, State<K, V, S>>,
}

impl<K, V, S: Default> Default for InFlight<K, V, S> {
    fn default() -> Self {
        Self {
            count: AtomicUsize::new(0),
            state: Mutex::new(State {
                entries: HashMap::default(),
                last: Number(0),
            }),
        }
    }
}

impl<K, V, S> InFlight<K, V, S> {
    /// Returns whether there is no entry, without a lock.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    pub(crate) fn lock(&self) -> Locked<'_, K, V, S> {
        Locked {
            count: &self.count,
            state: self.state.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }
}

impl<K: Eq + Hash, V, S: BuildHasher> InFlight<K, V, S> {
    /// Removes an entry if it still is the one with this number.
    pub(crate) fn remove_own(&self, key: &K, number: Number) {
        let mut locked = self.lock();
        let entry = locked.state.entries.get(key);
        let removed = match entry.is_some_and(|entry| entry.number == number) {
            true => locked.remove(key),
            false => None,
        };
        // The value is dropped without the lock.
        drop(locked);
        drop(removed);
    }
}

impl<K: Eq + Hash, V, S: BuildHasher> Locked<'_, K, V, S> {
    pub(crate) fn len(&self) -> usize {
        self.state.entries.len()
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.state.entries.get(key).map(|entry| &entry.value)
    }

    /// Returns the number of the next entry.
    pub(crate) fn next_number(&mut self) -> Number {
        self.state.last.0 += 1;
        self.state.last
    }

    /// Inserts an entry, and returns the value that it replaces. The caller drops that value without the lock.
    #[must_use]
    pub(crate) fn insert(&mut self, key: K, number: Number, value: V) -> Option<V> {
        let replaced = self.state.entries.insert(key, Entry { number, value });
        replaced.map(|entry| entry.value)
    }

    /// Removes an entry. The caller drops the value without the lock.
    #[must_use]
    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        self.state.entries.remove(key).map(|entry| entry.value)
    }

    /// Removes all entries for which the condition holds. The caller drops the values without the lock.
    #[must_use]
    pub(crate) fn remove_if(&mut self, mut condition: impl FnMut(&V) -> bool) -> Vec<V> {
        let entries = &mut self.state.entries;
        let removed = entries.extract_if(|_, entry| condition(&entry.value));
        removed.map(|(_, entry)| entry.value).collect()
    }
}

impl<K, V, S> Drop for Locked<'_, K, V, S> {
    /// Publishes the count before the lock is released.
    fn drop(&mut self) {
        self.count
            .store(self.state.entries.len(), Ordering::Release);
    }
}

impl<K, V, S> fmt::Debug for InFlight<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InFlight")
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entry_is_removed_only_by_its_own_number() {
        let table: InFlight<&str, u8> = InFlight::default();
        let insert = |value| {
            let mut locked = table.lock();
            let number = locked.next_number();
            assert_eq!(locked.insert("a", number, value).is_some(), value > 1);
            number
        };
        let first = insert(1);
        let second = insert(2);
        table.remove_own(&"a", first);
        assert_eq!(table.lock().get(&"a"), Some(&2));
        assert!(!table.is_empty());
        table.remove_own(&"a", second);
        assert!(table.is_empty());
        table.remove_own(&"a", second);
        assert_eq!(table.lock().len(), 0);
    }

    #[test]
    fn removed_values_are_returned_and_the_count_follows() {
        let table: InFlight<u8, u8> = InFlight::default();
        for value in 0..4 {
            let mut locked = table.lock();
            let number = locked.next_number();
            assert_eq!(locked.insert(value, number, value), None);
        }
        let mut odd = table.lock().remove_if(|value| value % 2 == 1);
        odd.sort_unstable();
        assert_eq!(odd, [1, 3]);
        assert_eq!(table.lock().remove(&0), Some(0));
        assert_eq!(table.lock().len(), 1);
        assert_eq!(table.lock().remove_if(|_| true), [2]);
        assert!(table.is_empty());
    }
}
