//! What is kept of credentials, within bounds of count, bytes and time.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};

use super::settings::CacheSettings;
use super::token_key::{Brought, TokenHasher, TokenKey, TokenRef};
use crate::extract::Credential;

/// What an entry takes besides its token and its value: its places in the tables of the cache, and the
/// headers of what is allocated for it.
const OVERHEAD: usize = 256;
/// How many seconds older than the newest request one may seem before the clock counts as set back.
const SET_BACK: u64 = 5;

/// Values by credential. Which of them goes when there are too many is decided by `quick_cache`: one that is
/// asked for again and again stays, whatever passes through besides.
pub(crate) struct Store<V> {
    entries: Cache<TokenKey, Kept<V>, Weight, Brought>,
    hasher: TokenHasher,
    settings: CacheSettings,
    least_weight: usize,
    /// An entry of an earlier epoch is gone, though it may still lie about.
    epoch: AtomicU64,
    /// How often a single value was removed.
    removals: AtomicU64,
    /// The latest time that was seen, in seconds.
    newest: AtomicU64,
    /// The number of the next entry.
    next: AtomicU64,
}

/// A value, and when it was found out.
#[derive(Clone)]
struct Kept<V> {
    value: V,
    asked: Asked,
    until: SystemTime,
    weight: u64,
    /// Tells it from another one about the same token.
    number: u64,
}

/// When a value was asked for. Taken before, so that what happens meanwhile is not overlooked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    at: SystemTime,
    epoch: u64,
    removals: u64,
}

#[derive(Clone)]
struct Weight;

impl<V> Weighter<TokenKey, Kept<V>> for Weight {
    fn weight(&self, _: &TokenKey, kept: &Kept<V>) -> u64 {
        kept.weight
    }
}

impl<V: Clone> Store<V> {
    pub(crate) fn new(settings: &CacheSettings) -> Self {
        // Counted so, there are never more of them than allowed, and there is room for all.
        let least_weight = match settings.max_bytes.checked_div(settings.max_entries) {
            Some(share) => share.max(1),
            None => 0,
        };
        let bytes = least_weight
            .saturating_mul(settings.max_entries)
            .min(settings.max_bytes);
        let options = OptionsBuilder::new()
            .estimated_items_capacity(settings.max_entries)
            .weight_capacity(bytes as u64)
            // What comes by once has a tenth of the room.
            .hot_allocation(0.9)
            .build();
        let entries = match options {
            Ok(options) => {
                Cache::with_options(options, Weight, Brought, DefaultLifecycle::default())
            }
            // Only if one of the two were not given. It keeps nothing then.
            Err(_) => Cache::with(0, 0, Weight, Brought, DefaultLifecycle::default()),
        };
        Self {
            entries,
            hasher: TokenHasher::new(),
            settings: *settings,
            least_weight,
            epoch: AtomicU64::new(0),
            removals: AtomicU64::new(0),
            newest: AtomicU64::new(0),
            next: AtomicU64::new(0),
        }
    }

    /// What to look for; nothing if it is too long to be here.
    #[inline]
    pub(crate) fn find<'t>(&self, credential: &'t Credential<'_>) -> Option<TokenRef<'t>> {
        if credential.token_bytes().len() > self.settings.max_token_length {
            return None;
        }
        Some(self.hasher.find(credential))
    }

    #[cfg(feature = "introspection")]
    pub(crate) fn find_digest<'t>(&self, digest: &'t [u8; 32]) -> TokenRef<'t> {
        self.hasher.find_digest(digest)
    }

    /// The value that is kept, if it may still be used at `now` and `stands`. Otherwise it goes.
    #[inline]
    pub(crate) fn get(
        &self,
        token: TokenRef<'_>,
        now: SystemTime,
        stands: impl FnOnce(&V) -> bool,
    ) -> Option<V> {
        self.notice(now);
        let kept = self.entries.get(&token)?;
        let is_usable = kept.asked.epoch == self.epoch.load(Ordering::Acquire)
            && kept.asked.at <= now
            && now < kept.until
            && stands(&kept.value);
        if is_usable {
            return Some(kept.value);
        }
        self.remove_kept(&token, kept.number);
        None
    }

    #[cold]
    fn remove_kept(&self, token: &TokenRef<'_>, number: u64) {
        self.entries
            .remove_if(token, |there| there.number == number);
    }

    /// To be called before a value is found out.
    pub(crate) fn asked(&self, now: SystemTime) -> Asked {
        Asked {
            at: now,
            epoch: self.epoch.load(Ordering::Acquire),
            removals: self.removals.load(Ordering::SeqCst),
        }
    }

    /// Keeps a value that takes so many `bytes`, until its time to live is over, and no longer than until it
    /// `ends`.
    pub(crate) fn keep(
        &self,
        token: TokenRef<'_>,
        value: V,
        bytes: usize,
        asked: Asked,
        ends: Option<SystemTime>,
    ) {
        // A time that cannot be counted has no end that can be kept.
        let Some(until) = asked.at.checked_add(self.settings.time_to_live) else {
            return;
        };
        let until = ends.map_or(until, |ends| ends.min(until));
        if until <= asked.at {
            return;
        }
        let weight = bytes
            .saturating_add(token.len())
            .saturating_add(OVERHEAD)
            .max(self.least_weight);
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let kept = Kept {
            value,
            asked,
            until,
            weight: weight as u64,
            number,
        };
        self.entries.insert(token.to_key(), kept);
        // Whoever removes counts first and removes then, so one of the two sees the other.
        if self.removals.load(Ordering::SeqCst) != asked.removals {
            self.remove_kept(&token, number);
        }
    }

    /// Removes a value, and keeps what is being found out from taking its place. Whether there was one.
    pub(crate) fn remove(&self, credential: &Credential<'_>) -> bool {
        self.removals.fetch_add(1, Ordering::SeqCst);
        let token = self.hasher.find(credential);
        self.entries.remove(&token).is_some()
    }

    /// Removes a value that another place knows better.
    #[cfg(feature = "introspection")]
    pub(crate) fn discard(&self, token: TokenRef<'_>) {
        self.entries.remove(&token);
    }

    /// Removes what has ended by `now`, and is of no use though nobody has asked for it since.
    pub(crate) fn remove_ended(&self, now: SystemTime) {
        let epoch = self.epoch.load(Ordering::Acquire);
        self.entries
            .retain(|_, kept| kept.asked.epoch == epoch && now < kept.until);
    }

    /// Removes all, what is being found out included.
    pub(crate) fn clear(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
        self.entries.clear();
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// A clock that is set back would make everything live longer, so nothing survives it.
    #[inline]
    fn notice(&self, now: SystemTime) {
        let now = now
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
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

impl<V: Clone> fmt::Debug for Store<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("entries", &self.len())
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
