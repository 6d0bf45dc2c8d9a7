use std::cell::Cell;
use std::rc::{Rc, Weak};
use std::sync;
use std::time::Duration;

use super::*;
use crate::extract::{CredentialSource, Scheme};

const PLACE: CredentialPlace = (Scheme::Bearer, CredentialSource::Authorization);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const INSTANT: Duration = Duration::from_nanos(1);

fn start() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn lasting(time_to_live: Duration) -> CacheSettings {
    CacheSettings::new().with_time_to_live(time_to_live)
}

fn store<V>(settings: CacheSettings) -> Store<V> {
    Store::new(&settings)
}

fn find<'t, V>(store: &Store<V>, token: &'t str) -> TokenRef<'t> {
    store.find_at(PLACE, token.as_bytes()).unwrap()
}

/// Keeps a value that was found out at once.
fn keep<V>(store: &Store<V>, token: &str, value: V, at: SystemTime) {
    store.keep(find(store, token), value, 0, store.asked(at), None);
}

fn get<V: Copy>(store: &Store<V>, token: &str, now: SystemTime) -> Option<V> {
    let kept = store.get(find(store, token), now, |_| true);
    kept.map(|kept| *kept.value())
}

#[test]
fn entry_is_found_from_its_insertion_until_its_expiry() {
    // (F04: expiry on hits)
    let after = |by: Duration| start() + by;
    for (name, time_to_live, ends, now, expected) in [
        ("at once", MINUTE, None, after(Duration::ZERO), true),
        ("before", MINUTE, None, start() - INSTANT, false),
        ("in time", MINUTE, None, after(MINUTE - INSTANT), true),
        ("at the end", MINUTE, None, after(MINUTE), false),
        ("long after", MINUTE, None, after(1_000 * MINUTE), false),
        (
            "before it ends by itself",
            MINUTE,
            Some(after(SECOND)),
            after(SECOND - INSTANT),
            true,
        ),
        (
            "when it ends by itself",
            MINUTE,
            Some(after(SECOND)),
            after(SECOND),
            false,
        ),
        (
            "it would end later",
            MINUTE,
            Some(after(MINUTE + SECOND)),
            after(MINUTE),
            false,
        ),
        (
            "it ends at once",
            MINUTE,
            Some(start()),
            after(Duration::ZERO),
            false,
        ),
        (
            "it ended before",
            MINUTE,
            Some(start() - SECOND),
            start() - 2 * SECOND,
            false,
        ),
        ("for an instant", INSTANT, None, after(Duration::ZERO), true),
        ("after it", INSTANT, None, after(INSTANT), false),
        (
            "no time to live",
            Duration::ZERO,
            None,
            after(Duration::ZERO),
            false,
        ),
        (
            "a time that cannot be counted",
            Duration::MAX,
            None,
            after(Duration::ZERO),
            false,
        ),
        (
            "nor can this one, whenever it ends",
            Duration::MAX,
            Some(after(SECOND)),
            after(Duration::ZERO),
            false,
        ),
    ] {
        let store = store(lasting(time_to_live));
        let asked = store.asked(start());
        store.keep(find(&store, "abc"), 7, 0, asked, ends);
        assert_eq!(get(&store, "abc", now).is_some(), expected, "{name}");
        // Nor does what has ended stay, or come again with another clock.
        assert_eq!(store.len(), usize::from(expected), "{name}");
        if !expected {
            assert_eq!(get(&store, "abc", start()), None, "{name}");
        }
    }
}

#[test]
fn invalidated_entry_is_removed_on_lookup() {
    // (F05: removal of cached results)
    let store = store(lasting(MINUTE));
    keep(&store, "abc", 7, start());
    let found = |stands| {
        let kept = store.get(find(&store, "abc"), start(), |value| {
            assert_eq!(*value, 7);
            stands
        });
        kept.is_some()
    };
    assert!(found(true));
    assert!(!found(false));
    assert!(!found(true), "it has gone");
    assert_eq!(store.len(), 0);
}

#[test]
fn replacement_survives_removal_of_the_previous_entry() {
    let store = store(lasting(MINUTE));
    keep(&store, "abc", 7, start());
    let kept = store.get(find(&store, "abc"), start(), |_| {
        keep(&store, "abc", 8, start());
        false
    });
    assert!(kept.is_none());
    assert_eq!(get(&store, "abc", start()), Some(8));
}

#[test]
fn expired_entry_is_not_revalidated() {
    let store = store(lasting(MINUTE));
    let asked_again = Cell::new(0);
    for now in [start() - INSTANT, start() + MINUTE] {
        keep(&store, "abc", 7, start());
        let kept = store.get(find(&store, "abc"), now, |_| {
            asked_again.set(asked_again.get() + 1);
            true
        });
        assert!(kept.is_none());
    }
    assert_eq!(asked_again.get(), 0);
}

#[test]
fn clock_moved_back_by_more_than_five_seconds_clears_the_cache() {
    for (name, steps, survives) in [
        ("not at all", &[0][..], true),
        ("by five seconds", &[5], true),
        ("by six seconds", &[6], false),
        ("by years", &[100_000_000], false),
        ("second by second, five of them", &[1, 2, 3, 4, 5], true),
        ("second by second, six of them", &[1, 2, 3, 4, 5, 6], false),
        ("and on again", &[6, 0], false),
        ("five, and on, and five again", &[5, 0, 5], true),
        (
            "behind the first moment that is counted",
            &[2_000_000_000],
            false,
        ),
    ] {
        let store = store(lasting(100 * MINUTE));
        // Long before, so that it would be good at all these times.
        let long_ago = start() - Duration::from_secs(60);
        keep(&store, "old", 7, long_ago);
        keep(&store, "other", 8, long_ago);
        assert_eq!(get(&store, "old", start()), Some(7));
        let pending = store.asked(long_ago);
        for back in steps {
            // Another token is asked for, so it is not this one alone that goes.
            let now = start() - Duration::from_secs(*back);
            assert_eq!(get(&store, "absent", now), None);
        }
        assert_eq!(store.len(), if survives { 2 } else { 0 }, "{name}");
        assert_eq!(get(&store, "old", start()).is_some(), survives, "{name}");
        // Nor what was being found out.
        store.keep(find(&store, "pending"), 9, 0, pending, None);
        let kept = get(&store, "pending", start());
        assert_eq!(kept.is_some(), survives, "{name}");
        assert_eq!(store.may_be_awaited(&pending, long_ago), survives, "{name}");
        // And things go on.
        keep(&store, "new", 10, start());
        assert_eq!(get(&store, "new", start()), Some(10), "{name}");
    }
}

#[test]
fn result_of_validation_started_before_clear_is_not_cached() {
    // (F05: removal of cached results)
    let store = store(lasting(MINUTE));
    keep(&store, "abc", 7, start());
    let before = store.asked(start());
    store.clear();
    assert_eq!((store.len(), get(&store, "abc", start())), (0, None));
    store.keep(find(&store, "abc"), 8, 0, before, None);
    assert_eq!(get(&store, "abc", start()), None);
    assert_eq!(store.len(), 0);
    assert!(!store.may_be_awaited(&before, start()));
    keep(&store, "abc", 9, start());
    assert_eq!(get(&store, "abc", start()), Some(9));
}

#[test]
fn result_of_validation_started_before_removal_is_not_cached() {
    // (F05: removal of cached results)
    let store = store(lasting(MINUTE));
    let before = store.asked(start());
    assert!(!store.remove(find(&store, "abc")), "there was none");
    store.keep(find(&store, "abc"), 7, 0, before, None);
    assert_eq!((store.len(), get(&store, "abc", start())), (0, None));
    keep(&store, "abc", 8, start());
    assert_eq!(get(&store, "abc", start()), Some(8));
    assert!(store.remove(find(&store, "abc")));
    assert_eq!(get(&store, "abc", start()), None);
    assert!(!store.remove(find(&store, "abc")));
}

/// Looks for another one when it goes.
struct Last {
    table: Weak<Store<Option<Last>>>,
    looked: Rc<Cell<u32>>,
}

impl Drop for Last {
    fn drop(&mut self) {
        if let Some(table) = self.table.upgrade() {
            self.looked.set(self.looked.get() + 1);
            let kept = table.get(find(&table, "new"), start(), |_| true);
            assert!(kept.is_none());
        }
    }
}

/// Asks the table when it goes.
struct Curious(sync::Weak<Store<Curious>>);

impl Drop for Curious {
    fn drop(&mut self) {
        if let Some(table) = self.0.upgrade() {
            assert!(table.len() <= 20);
            assert!(
                table
                    .get(find(&table, "absent"), start(), |_| true)
                    .is_none()
            );
            table.remove(find(&table, "absent"));
        }
    }
}

#[test]
fn dropped_value_may_use_the_cache() {
    type MutatingCall = fn(&Arc<Store<Curious>>);
    let ways: [(&str, MutatingCall); 5] = [
        ("many make room for one", |table| {
            let curious = Curious(Arc::downgrade(table));
            let asked = table.asked(start());
            table.keep(find(table, "large"), curious, 60_000, asked, None);
            assert!(table.len() < 10);
        }),
        ("it is removed", |table| {
            assert!(table.remove(find(table, "3")));
        }),
        ("it does not stand", |table| {
            assert!(table.get(find(table, "3"), start(), |_| false).is_none());
        }),
        ("another takes its place", |table| {
            keep(table, "3", Curious(Arc::downgrade(table)), start());
        }),
        ("all are cleared", |table| {
            table.clear();
            assert_eq!(table.len(), 0);
        }),
    ];
    for (name, going) in ways {
        let (told, tells) = sync::mpsc::channel();
        std::thread::spawn(move || {
            let table = Arc::new(Store::new(&CacheSettings::new().with_max_bytes(64 * 1024)));
            for number in 0..20 {
                let token = number.to_string();
                let asked = table.asked(start());
                let curious = Curious(Arc::downgrade(&table));
                table.keep(find(&table, &token), curious, 2_000, asked, None);
            }
            assert_eq!(table.len(), 20);
            going(&table);
            told.send(()).unwrap();
        });
        // Nothing here waits for anything.
        tells.recv_timeout(MINUTE).expect(name);
    }
}

#[test]
fn entry_inserted_after_its_removal_is_never_visible() {
    // F05: between being in the table and being taken out again. There, the one that made room is dropped.
    let looked = Rc::new(Cell::new(0));
    let table = Rc::new(Store::new(&lasting(MINUTE).with_max_entries(1)));
    let last = Last {
        table: Rc::downgrade(&table),
        looked: Rc::clone(&looked),
    };
    keep(&table, "old", Some(last), start());
    assert_eq!(table.len(), 1);
    let asked = table.asked(start());
    table.remove(find(&table, "new"));
    table.keep(find(&table, "new"), None, 0, asked, None);
    assert_eq!(looked.get(), 1);
    assert_eq!(table.len(), 0);
}

#[test]
fn in_flight_validation_is_awaited_only_while_its_result_is_cacheable() {
    for (time_to_live, longest) in [(SECOND, SECOND), (MINUTE, 5 * SECOND)] {
        let store = store::<u8>(lasting(time_to_live));
        let asked = store.asked(start());
        for (now, expected) in [
            (start() - INSTANT, false),
            (start(), true),
            (start() + longest - INSTANT, true),
            (start() + longest, false),
        ] {
            assert_eq!(store.may_be_awaited(&asked, now), expected, "{now:?}");
        }
    }
    for time_to_live in [Duration::ZERO, Duration::MAX] {
        let store = self::store::<u8>(lasting(time_to_live));
        assert!(!store.may_be_awaited(&store.asked(start()), start()));
    }
}

#[test]
fn token_above_the_length_limit_is_not_looked_up() {
    // (F06: bounded cache)
    for limit in [0, 1, 100, 4_096] {
        let store = store::<u8>(CacheSettings::new().with_max_token_length(limit));
        for (length, expected) in [(limit, true), (limit + 1, false), (limit + 1_000, false)] {
            let token = "a".repeat(length);
            let found = store.find_at(PLACE, token.as_bytes());
            assert_eq!(found.is_some(), expected, "{length} of {limit}");
        }
    }
}

#[test]
fn cache_of_capacity_zero_stores_nothing() {
    for (name, settings) in [
        ("no entries", CacheSettings::new().with_max_entries(0)),
        ("no bytes", CacheSettings::new().with_max_bytes(0)),
        (
            "neither",
            CacheSettings::new().with_max_entries(0).with_max_bytes(0),
        ),
        (
            "less than one takes",
            CacheSettings::new().with_max_bytes(OVERHEAD),
        ),
        (
            "no bytes for a single one",
            CacheSettings::new().with_max_entries(1).with_max_bytes(0),
        ),
    ] {
        let store = store(settings);
        for number in 0..100 {
            let token = format!("{number}");
            keep(&store, &token, 7, start());
            assert_eq!(get(&store, &token, start()), None, "{name}");
        }
        assert_eq!((store.len(), store.entries.weight()), (0, 0), "{name}");
    }
}

#[test]
fn entry_count_stays_at_the_limit() {
    // (F06: bounded cache)
    for max in [1, 2, 3, 7, 31, 32, 33, 64, 100, 1_000] {
        for max_bytes in [32 * 1024 * 1024, max * USUAL, usize::MAX] {
            let settings = CacheSettings::new()
                .with_max_entries(max)
                .with_max_bytes(max_bytes);
            let store = store(settings);
            for number in 0..max * 5 + 20 {
                let token = number.to_string();
                keep(&store, &token, number, start());
                assert!(store.len() <= max, "{} of {max}", store.len());
                // Some are asked for again, which moves them within the table.
                if number % 3 == 0 {
                    get(&store, &(number / 2).to_string(), start());
                }
            }
            // The parts of the table hold whole entries.
            let least = max - max / 20;
            assert!(store.len() >= least, "{} of {max}", store.len());
        }
    }
}

#[test]
fn byte_limit_holds_and_fits_the_longest_token() {
    // (F06: bounded cache)
    let lengths = [1, 30, 800, 4_096];
    for max_bytes in [16 * 1024, 64 * 1024, 100_000, 1024 * 1024, 32 * 1024 * 1024] {
        for max_entries in [2, 100, 10_000, usize::MAX] {
            let settings = CacheSettings::new()
                .with_max_entries(max_entries)
                .with_max_bytes(max_bytes);
            let store = store(settings);
            let mut weight = 0;
            for number in 0..600 {
                let length = lengths[number % lengths.len()];
                let token = format!("{number:0length$}");
                let asked = store.asked(start());
                store.keep(find(&store, &token), number, token.len(), asked, None);
                let kept = get(&store, &token, start());
                assert_eq!(kept, Some(number), "{max_bytes} bytes, {length}");
                weight = store.entries.weight();
                let parts = store.entries.num_shards() as u64;
                assert!(weight < max_bytes as u64 + parts, "{weight}");
                let least = store.len() * (2 + OVERHEAD);
                assert!(weight >= least as u64, "{weight}");
            }
            let most = 600 / 4
                * lengths
                    .iter()
                    .map(|length| 2 * length + OVERHEAD)
                    .sum::<usize>();
            let expected = (max_bytes / 2).min(most);
            assert!(weight >= expected as u64, "{weight} of {max_bytes}");
        }
    }
}

#[test]
fn token_larger_than_the_cache_evicts_nothing() {
    // (F06: bounded cache)
    let store = store(CacheSettings::new().with_max_bytes(64 * 1024));
    keep(&store, "small", 7, start());
    for bytes in [64 * 1024, usize::MAX] {
        let asked = store.asked(start());
        store.keep(find(&store, "large"), 8, bytes, asked, None);
        assert_eq!(get(&store, "large", start()), None);
    }
    assert_eq!(get(&store, "small", start()), Some(7));
}

#[test]
fn heap_size_of_principals_counts_toward_the_byte_limit() {
    // (F06: bounded cache)
    for principal_bytes in [1_000_000, usize::MAX] {
        let settings = CacheSettings::new()
            .with_max_bytes(8_000_000)
            .with_principal_bytes(principal_bytes);
        let store = store(settings);
        for number in 0..100 {
            let token = number.to_string();
            let asked = store.asked(start());
            store.keep(find(&store, &token), 7, principal_bytes, asked, None);
            let is_kept = get(&store, &token, start()).is_some();
            assert_eq!(is_kept, principal_bytes < 8_000_000);
        }
        assert!(store.len() <= 8);
    }
}

#[test]
fn debug_output_contains_no_token() {
    // (J03: no secrets in texts)
    let store = store(CacheSettings::new());
    keep(&store, "abcdef", "ghijkl", start());
    let text = format!("{store:?} {store:#?}");
    assert!(!text.contains("abc") && !text.contains("ghi"), "{text}");
}
