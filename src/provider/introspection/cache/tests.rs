use super::*;
use crate::provider::introspection::response::tests::any_token;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn start() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn key(number: usize) -> Key {
    Key::of(number.to_string().as_bytes())
}

fn area(lifetime: Duration, capacity: usize) -> Segment {
    Segment::new(lifetime, capacity)
}

fn keep(area: &Segment, number: usize, at: SystemTime) {
    area.insert(
        &key(number),
        Answer::Inactive,
        10,
        RequestStart::at(at),
        None,
    );
}

fn has(area: &Segment, number: usize, at: SystemTime) -> bool {
    area.get(&key(number), at).is_some()
}

#[test]
fn cache_key_is_the_whole_digest() {
    // (F01: whole-token keys)
    let long = "a".repeat(8_000);
    assert_ne!(Key::of(long.as_bytes()), Key::of(&long.as_bytes()[1..]));
    let (one, other) = (format!("{long}b{long}"), format!("{long}c{long}"));
    assert_ne!(Key::of(one.as_bytes()), Key::of(other.as_bytes()));
    assert_eq!(format!("{:?}", key(1)), "Key([redacted])");
}

#[test]
fn entry_expires_after_its_time_to_live() {
    // (E11: introspection requests, F04: expiry on hits)
    for (name, ends, after, usable) in [
        ("at once", None, Duration::ZERO, true),
        ("before its end", None, MINUTE - SECOND / 1_000, true),
        ("at its end", None, MINUTE, false),
        ("before the token ends", Some(10), 9 * SECOND, true),
        ("when the token ends", Some(10), 10 * SECOND, false),
        ("a token that ends later", Some(61), MINUTE, false),
        ("a token that has ended", Some(0), Duration::ZERO, false),
    ] {
        let area = area(MINUTE, 10);
        let ends = ends.map(|seconds| start() + seconds * SECOND);
        area.insert(
            &key(1),
            Answer::Inactive,
            10,
            RequestStart::at(start()),
            ends,
        );
        assert_eq!(has(&area, 1, start() + after), usable, "{name}");
    }
}

#[test]
fn clock_moved_backwards_extends_no_entry() {
    let area = area(MINUTE, 10);
    keep(&area, 1, start());
    assert!(!has(&area, 1, start() - SECOND));
    let Some(before) = Instant::now().checked_sub(MINUTE) else {
        return; // a machine that has just been started
    };
    let asked = RequestStart {
        at: start(),
        really: before,
    };
    area.insert(&key(2), Answer::Inactive, 10, asked, None);
    assert!(!has(&area, 2, start()));
}

#[test]
fn entry_count_never_exceeds_the_limit() {
    // (E10: bounded negative results, F06: bounded cache)
    for capacity in [10, 100] {
        let area = area(MINUTE, capacity);
        for number in 0..1_000 {
            keep(&area, number, start());
            assert!(area.entries.len() <= capacity);
            assert!(has(&area, number, start()), "the newest is there");
        }
        for round in 0..100 {
            // One token that is asked about again and again.
            keep(&area, 999, start() + round * MINUTE);
            assert!(area.entries.len() <= capacity);
        }
        assert!(has(&area, 999, start() + 99 * MINUTE));
    }
}

#[test]
fn byte_count_never_exceeds_the_limit() {
    // (F06: bounded cache)
    let area = area(MINUTE, 100);
    let keep = |number, length| {
        let asked = RequestStart::at(start());
        area.insert(&key(number), Answer::Inactive, length, asked, None);
        area.entries.len()
    };
    for number in 0..40 {
        assert!(
            keep(number, 1024 * 1024) < 32,
            "each takes more than its answer"
        );
    }
    let before = area.entries.len();
    keep(41, MAX_BYTES);
    assert!(
        !has(&area, 41, start()),
        "what is too long for all is not kept"
    );
    assert_eq!(area.entries.len(), before, "and drives out nothing");
}

#[test]
fn inactive_tokens_evict_no_active_token() {
    // (E10: bounded negative results)
    let cache = Cache::new(MINUTE, 10);
    let asked = RequestStart::at(start());
    let good = Answer::Active(std::sync::Arc::new(any_token()));
    cache.insert(&key(0), good, 10, asked, None);
    for number in 1..1_000 {
        cache.insert(&key(number), Answer::Inactive, 10, asked, None);
    }
    assert!(matches!(
        cache.get(&key(0), start()),
        Some(Answer::Active(_))
    ));
    assert!(matches!(
        cache.get(&key(999), start()),
        Some(Answer::Inactive)
    ));
    let there = (1..1_000).filter(|number| cache.get(&key(*number), start()).is_some());
    assert!(there.count() <= 10);
    // The bad ones end sooner, and what is known about a token is the last that was said.
    assert!(cache.get(&key(999), start() + MAX_NEGATIVE).is_none());
    cache.insert(&key(0), Answer::Inactive, 10, asked, None);
    assert!(matches!(
        cache.get(&key(0), start()),
        Some(Answer::Inactive)
    ));
    assert!(cache.get(&key(0), start() + MAX_NEGATIVE).is_none());
}
