//! From where an account has been logged in to.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;
use quick_cache::UnitWeighter;
use quick_cache::sync::{Cache, DefaultLifecycle};

use super::keys::Digest;

/// How many addresses of an account are known. One with more devices than that, or that moves about, loses the
/// oldest.
const ADDRESSES: usize = 8;

/// The latest addresses of each account, the newest first. One entry for an account, so that an account with very
/// many addresses does not push out others.
pub(super) struct KnownAddresses {
    accounts: Cache<Digest, Entry, UnitWeighter, RandomState>,
}

type Entry = Arc<Mutex<[u64; ADDRESSES]>>;

impl KnownAddresses {
    pub(super) fn new(max_entries: usize) -> Self {
        Self {
            accounts: Cache::with(
                max_entries,
                max_entries as u64,
                UnitWeighter,
                RandomState::default(),
                DefaultLifecycle::default(),
            ),
        }
    }

    pub(super) fn knows(&self, account: Digest, address: Digest) -> bool {
        self.accounts
            .get(&account)
            .is_some_and(|entry| lock(&entry).contains(&address.short()))
    }

    pub(super) fn remember(&self, account: Digest, address: Digest) {
        let made = self.accounts.get_or_insert_with(&account, || {
            Ok::<_, std::convert::Infallible>(Entry::default())
        });
        let Ok(entry) = made;
        let mut addresses = lock(&entry);
        let address = address.short();
        let place = addresses.iter().position(|known| *known == address);
        addresses[..=place.unwrap_or(ADDRESSES - 1)].rotate_right(1);
        addresses[0] = address;
    }
}

fn lock(entry: &Entry) -> MutexGuard<'_, [u64; ADDRESSES]> {
    entry.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::throttle::keys::Keys;

    #[test]
    fn latest_addresses_of_an_account_are_kept() {
        let keys = Keys::new();
        let address = |last: u8| keys.client(Some(IpAddr::from([192, 0, 2, last]))).address;
        let account = keys.account("alice");
        let familiar = KnownAddresses::new(100);
        assert!(!familiar.knows(account, address(0)));
        for last in 0..8 {
            familiar.remember(account, address(last));
        }
        // Used again, it is the newest.
        familiar.remember(account, address(0));
        assert!((0..8).all(|last| familiar.knows(account, address(last))));
        familiar.remember(account, address(8));
        assert!(!familiar.knows(account, address(1)));
        assert!(familiar.knows(account, address(0)));
        assert!(!familiar.knows(keys.account("bob"), address(0)));
    }
}
