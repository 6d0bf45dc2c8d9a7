//! What is kept of credentials, within bounds of count, bytes and time.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use quick_cache::sync::Cache;
use quick_cache::{Lifecycle, OptionsBuilder, Weighter};

use super::settings::CacheSettings;
use super::token_key::{CredentialPlace, PrecomputedHash, TokenHasher, TokenKey, TokenRef};
use crate::clock::seconds;
use crate::extract::Credential;
#[cfg(feature = "introspection")]
use crate::extract::{CredentialSource, Scheme};

/// What an entry takes besides its token and its value: its places in the tables of the cache, and the
/// headers of what is allocated for it.
const OVERHEAD: usize = 256;
/// What an entry takes that is no unusual one. The table is divided for so many: each part has room for 32 of them,
/// so also for the longest tokens, and the hashes of those that had to go are remembered for half as many.
const USUAL: usize = 2 * 1024;
/// For how long others may join a validation.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How many seconds older than the newest request one may seem before the clock counts as set back.
const SET_BACK: u64 = 5;

/// Values by credential. Which of them goes when there are too many is decided by `quick_cache`: one that is
/// asked for again and again stays, whatever passes through besides.
pub(crate) struct Store<V> {
    entries: Cache<TokenKey, Arc<CachedEntry<V>>, Weight, PrecomputedHash, EvictedEntries>,
    hasher: TokenHasher,
    settings: CacheSettings,
    least_weight: usize,
    /// An entry of an earlier epoch is gone, though it may still lie about.
    epoch: AtomicU64,
    /// How often values were removed one by one or by a predicate.
    removals: AtomicU64,
    /// How many calls of `retain` are running. Nothing is cached during a call.
    retaining: AtomicUsize,
    /// The latest time that was seen, in seconds.
    newest: AtomicU64,
}

/// A value, and when it was found out.
pub(crate) struct CachedEntry<V> {
    value: V,
    asked: Observation,
    until: SystemTime,
    weight: u64,
    /// Whether nothing was removed while it was found out. Until that is known nobody gets it.
    settled: AtomicBool,
}

/// When a value was asked for. Taken before, so that what happens meanwhile is not overlooked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Observation {
    at: SystemTime,
    time_to_live: Duration,
    epoch: u64,
    removals: u64,
}

impl Observation {
    pub(crate) fn at(&self) -> SystemTime {
        self.at
    }

    /// Returns the same request with at most this time to live.
    pub(crate) fn within(self, time_to_live: Duration) -> Self {
        Self {
            time_to_live: self.time_to_live.min(time_to_live),
            ..self
        }
    }
}

#[derive(Clone)]
struct Weight;

impl<V> Weighter<TokenKey, Arc<CachedEntry<V>>> for Weight {
    fn weight(&self, _: &TokenKey, kept: &Arc<CachedEntry<V>>) -> u64 {
        kept.weight
    }
}

/// Collects what has to make room, and drops it when no lock is held any more: what a principal does then is
/// not ours, and may be to ask this very table.
#[derive(Clone)]
struct EvictedEntries;

impl<V> Lifecycle<TokenKey, Arc<CachedEntry<V>>> for EvictedEntries {
    type RequestState = Vec<(TokenKey, Arc<CachedEntry<V>>)>;

    fn on_evict(&self, gone: &mut Self::RequestState, token: TokenKey, kept: Arc<CachedEntry<V>>) {
        gone.push((token, kept));
    }
}

impl<V> Store<V> {
    pub(crate) fn new(settings: &CacheSettings) -> Self {
        // Sums of weights have to be numbers too.
        let bytes = settings.max_bytes.min(usize::MAX / 4);
        // Each takes at least its part, so there cannot be more of them than allowed.
        let (bytes, least_weight) = match bytes.checked_div(settings.max_entries) {
            Some(part) if part > OVERHEAD => (part * settings.max_entries, part),
            Some(_) => (bytes, OVERHEAD),
            None => (0, 0),
        };
        let usual = USUAL.saturating_add(settings.principal_bytes);
        // Of the room, 3 % are kept for what has come by once; a single entry needs it all.
        let hot = if settings.max_entries == 1 { 1.0 } else { 0.97 };
        let options = OptionsBuilder::new()
            .estimated_items_capacity(settings.max_entries.min(bytes / usual))
            .weight_capacity(bytes as u64)
            .hot_allocation(hot)
            .build();
        let entries = match options {
            Ok(options) => Cache::with_options(options, Weight, PrecomputedHash, EvictedEntries),
            // Only if one of the two were not given. It keeps nothing then.
            Err(_) => Cache::with(0, 0, Weight, PrecomputedHash, EvictedEntries),
        };
        Self {
            entries,
            hasher: TokenHasher::new(),
            settings: *settings,
            least_weight,
            epoch: AtomicU64::new(0),
            removals: AtomicU64::new(0),
            retaining: AtomicUsize::new(0),
            newest: AtomicU64::new(0),
        }
    }

    /// What to look for; nothing if it is too long to be here.
    #[inline]
    pub(crate) fn find<'t>(&self, credential: &'t Credential<'_>) -> Option<TokenRef<'t>> {
        let place = (credential.scheme(), credential.source());
        self.find_at(place, credential.token_bytes())
    }

    /// The same for a token that is in no request.
    #[inline]
    pub(crate) fn find_at<'t>(
        &self,
        place: CredentialPlace,
        token: &'t [u8],
    ) -> Option<TokenRef<'t>> {
        if token.len() > self.settings.max_token_length {
            return None;
        }
        Some(self.hasher.find(place, token))
    }

    /// A digest in place of the token, wherever that stood.
    #[cfg(feature = "introspection")]
    pub(crate) fn find_digest<'t>(&self, digest: &'t [u8; 32]) -> TokenRef<'t> {
        let place = (Scheme::Bearer, CredentialSource::Authorization);
        self.hasher.find(place, digest)
    }

    /// The value that is kept, if it may still be used at `now` and `stands`. Otherwise it goes.
    #[inline]
    pub(crate) fn get(
        &self,
        token: TokenRef<'_>,
        now: SystemTime,
        stands: impl FnOnce(&V) -> bool,
    ) -> Option<Arc<CachedEntry<V>>> {
        self.notice(now);
        let kept = self.entries.get(&token)?;
        if !kept.settled.load(Ordering::Acquire) {
            return None;
        }
        let is_usable =
            self.is_current(&kept.asked, now) && now < kept.until && stands(&kept.value);
        if is_usable {
            return Some(kept);
        }
        self.entries
            .remove_if(&token, |there| Arc::ptr_eq(there, &kept));
        None
    }

    /// To be called before a value is found out.
    pub(crate) fn asked(&self, now: SystemTime) -> Observation {
        Observation {
            at: now,
            time_to_live: self.settings.time_to_live,
            epoch: self.epoch.load(Ordering::Acquire),
            removals: self.removals.load(Ordering::SeqCst),
        }
    }

    /// Whether somebody who comes at `now` may have a value that was asked for then.
    #[inline]
    pub(crate) fn is_current(&self, asked: &Observation, now: SystemTime) -> bool {
        asked.epoch == self.epoch.load(Ordering::Acquire) && asked.at <= now
    }

    /// The same for a value that is still being found out. One that takes long may never come, so who comes
    /// later asks anew.
    pub(crate) fn may_be_awaited(&self, asked: &Observation, now: SystemTime) -> bool {
        let kept_until = Self::until(asked);
        let joined_until = asked.at.checked_add(LONGEST_WAIT);
        self.is_current(asked, now)
            && [kept_until, joined_until]
                .iter()
                .all(|until| until.is_some_and(|until| now < until))
    }

    /// Returns whether a value was removed since then, or may be at this moment.
    pub(crate) fn has_removed_since(&self, asked: &Observation) -> bool {
        // In this order, since a `retain` that ends in between has changed the count.
        self.retaining.load(Ordering::SeqCst) != 0
            || self.removals.load(Ordering::SeqCst) != asked.removals
    }

    /// Returns for how long a value for this token is cached at most. `None` if it is not cached.
    #[cfg(feature = "jwt")]
    pub(crate) fn lifetime(&self, token: &[u8]) -> Option<Duration> {
        let settings = &self.settings;
        let keeps_some = settings.max_entries > 0
            && settings.max_bytes > 0
            && !settings.time_to_live.is_zero()
            && token.len() <= settings.max_token_length;
        keeps_some.then_some(settings.time_to_live)
    }

    /// Returns when the time to live is over. `None` if that time cannot be represented.
    fn until(asked: &Observation) -> Option<SystemTime> {
        asked.at.checked_add(asked.time_to_live)
    }

    /// Keeps a value that takes so many `bytes`, until its time to live is over, and no longer than until it
    /// `ends`.
    pub(crate) fn keep(
        &self,
        token: TokenRef<'_>,
        value: V,
        bytes: usize,
        asked: Observation,
        ends: Option<SystemTime>,
    ) {
        let Some(until) = Self::until(&asked) else {
            return;
        };
        let until = ends.map_or(until, |ends| ends.min(until));
        if until <= asked.at || !self.is_current(&asked, asked.at) {
            return;
        }
        let weight = bytes
            .saturating_add(token.len())
            .saturating_add(OVERHEAD)
            .max(self.least_weight);
        let kept = Arc::new(CachedEntry {
            value,
            asked,
            until,
            weight: weight as u64,
            settled: AtomicBool::new(false),
        });
        self.entries.insert(token.to_key(), Arc::clone(&kept));
        // Whoever removes counts first and removes then, so one of the two sees the other.
        if self.has_removed_since(&asked) {
            self.entries
                .remove_if(&token, |there| Arc::ptr_eq(there, &kept));
        } else {
            kept.settled.store(true, Ordering::Release);
        }
    }

    /// Removes a value, and keeps what is being found out from taking its place. Whether there was one.
    pub(crate) fn remove(&self, token: TokenRef<'_>) -> bool {
        self.removals.fetch_add(1, Ordering::SeqCst);
        self.entries.remove(&token).is_some()
    }

    /// Removes a value that another place knows better.
    #[cfg(feature = "introspection")]
    pub(crate) fn discard(&self, token: TokenRef<'_>) {
        self.entries.remove(&token);
    }

    /// Removes what has ended by `now`, and is of no use though nobody has asked for it since.
    pub(crate) fn remove_expired(&self, now: SystemTime) {
        let epoch = self.epoch.load(Ordering::Acquire);
        // Dropped when no lock is held any more.
        let gone = RefCell::new(Vec::new());
        self.entries.retain(|_, kept| {
            let stays = kept.asked.epoch == epoch && now < kept.until;
            if !stays {
                gone.borrow_mut().push(Arc::clone(kept));
            }
            stays
        });
    }

    /// Removes the values for which `keep` returns `false`. Values whose lookup began before this method
    /// returns are not cached, since `keep` has not seen them. `others` is called before this method returns,
    /// when no such value can be cached any more. Visits every entry, and calls `keep` without a lock. If
    /// `keep` panics, all values are removed.
    pub(crate) fn retain(&self, mut keep: impl FnMut(&V) -> bool, others: impl FnOnce()) -> usize {
        let guard = RetainGuard::begin(self);
        let all = RefCell::new(Vec::new());
        self.entries.retain(|_, kept| {
            all.borrow_mut().push(Arc::clone(kept));
            true
        });
        let mut removed = all.into_inner();
        removed.retain(|kept| !keep(&kept.value));
        // Compared by address, so an entry that has replaced another is not removed.
        let addresses: HashSet<_> = removed.iter().map(Arc::as_ptr).collect();
        if !addresses.is_empty() {
            self.entries
                .retain(|_, kept| !addresses.contains(&Arc::as_ptr(kept)));
        }
        guard.end(others);
        // The values are dropped here, without a lock.
        removed.len()
    }

    /// Removes all, what is being found out included.
    pub(crate) fn clear(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
        // One by one, because each is dropped without a lock then.
        self.entries.drain().for_each(drop);
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// A clock that is set back would make everything live longer, so nothing survives it.
    #[inline]
    fn notice(&self, now: SystemTime) {
        let now = seconds(now);
        let newest = self.newest.load(Ordering::Relaxed);
        if now != newest {
            self.move_on(now, newest);
        }
    }

    /// Once a second.
    #[cold]
    fn move_on(&self, now: u64, newest: u64) {
        if now > newest {
            self.newest.fetch_max(now, Ordering::Relaxed);
        } else if now.saturating_add(SET_BACK) < newest {
            // Whoever comes first does it.
            let first =
                self.newest
                    .compare_exchange(newest, now, Ordering::Relaxed, Ordering::Relaxed);
            if first.is_ok() {
                self.clear();
            }
        }
    }
}

/// A running `retain`.
struct RetainGuard<'s, V> {
    store: &'s Store<V>,
    has_ended: bool,
}

impl<'s, V> RetainGuard<'s, V> {
    fn begin(store: &'s Store<V>) -> Self {
        store.retaining.fetch_add(1, Ordering::SeqCst);
        Self {
            store,
            has_ended: false,
        }
    }

    fn end(mut self, others: impl FnOnce()) {
        // First the count, so that validations registered later see it.
        self.store.removals.fetch_add(1, Ordering::SeqCst);
        others();
        self.has_ended = true;
    }
}

impl<V> Drop for RetainGuard<'_, V> {
    fn drop(&mut self) {
        // The predicate has panicked. Which values it would have removed is not known.
        if !self.has_ended {
            self.store.clear();
        }
        self.store.retaining.fetch_sub(1, Ordering::SeqCst);
    }
}

impl<V> CachedEntry<V> {
    pub(crate) fn value(&self) -> &V {
        &self.value
    }
}

impl<V> fmt::Debug for Store<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("entries", &self.len())
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
