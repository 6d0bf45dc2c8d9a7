use super::*;

const COOLDOWN: u64 = 30;

fn timing() -> Timing {
    Timing {
        default_ttl: Duration::from_secs(600),
        min_ttl: Duration::from_secs(60),
        max_ttl: Duration::from_secs(86_400),
        max_stale: Duration::from_secs(3_600),
        cooldown: Duration::from_secs(COOLDOWN),
        timeout: Duration::from_secs(5),
        ahead: 900,
    }
}

/// Seconds after the beginning of the test, which may be negative.
fn at(seconds: i64) -> SystemTime {
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let by = Duration::from_secs(seconds.unsigned_abs());
    match seconds {
        0.. => start + by,
        _ => start - by,
    }
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// What happened, in order, with the second at which it began.
#[derive(Clone, Copy, Debug)]
enum Event {
    Failed(Cause, i64),
    /// With the same set as before.
    Same(Cause, i64),
    /// With another set.
    Changed(Cause, i64),
    UnknownKeyIds(&'static str, i64),
}

use Cause::{OnDemand, Scheduled};
use Event::{Changed, Failed, Same, UnknownKeyIds as Without};

fn after(events: &[Event]) -> Schedule {
    let mut schedule = Schedule::default();
    for event in events {
        match *event {
            Failed(cause, second) => schedule.started(cause, at(second)),
            Same(cause, second) | Changed(cause, second) => {
                schedule.started(cause, at(second));
                let changed = matches!(event, Changed(..));
                schedule.succeeded(&timing(), at(second), None, changed);
            }
            Without(kid, second) => schedule.absent(Some(kid), at(second)),
        }
    }
    schedule
}

#[test]
fn freshness_lifetime_is_clamped_on_both_sides() {
    // (E15: clamped freshness)
    for (name, said, fresh) in [
        ("nothing said", None, 600),
        ("within", Some(secs(3_600)), 3_600),
        ("none at all", Some(Duration::ZERO), 60),
        ("just too short", Some(secs(59)), 60),
        ("the shortest", Some(secs(60)), 60),
        ("the longest", Some(secs(86_400)), 86_400),
        ("just too long", Some(secs(86_401)), 86_400),
        ("ten years", Some(secs(315_360_000)), 86_400),
    ] {
        let expected = Held {
            fetched_at: at(0),
            refresh_at: at(fresh * 9 / 10),
            fresh_until: at(fresh),
            usable_until: at(fresh + 3_600),
        };
        assert_eq!(timing().held(at(0), said), expected, "{name}");
    }
}

#[test]
fn fetch_is_due_after_80_to_95_percent_of_the_freshness_lifetime() {
    // (E08: shared fetches)
    let drawn: Vec<u32> = (0..1_000).map(|_| random_ahead()).collect();
    assert!(drawn.iter().all(|ahead| (800..=950).contains(ahead)));
    assert!(drawn.iter().any(|ahead| *ahead < 820), "the whole range");
    assert!(drawn.iter().any(|ahead| *ahead > 930), "the whole range");
    for (ahead, second) in [(800, 480), (950, 570)] {
        let timing = Timing { ahead, ..timing() };
        assert_eq!(timing.held(at(0), None).refresh_at, at(second));
    }
}

#[test]
fn cooldown_reports_the_remaining_time() {
    for (now, expected) in [
        (0, Some(30)),
        (1, Some(29)),
        (29, Some(1)),
        (30, None),
        (31, None),
        // Another request read the clock a moment earlier.
        (-1, Some(30)),
        (-30, Some(30)),
        // The clock was set back.
        (-31, None),
        (-1_000_000, None),
    ] {
        let left = remaining(at(0), secs(30), at(now));
        assert_eq!(left, expected.map(secs), "{now}");
    }
    assert_eq!(remaining(at(0), Duration::ZERO, at(0)), None);
}

#[test]
fn requests_wait_only_without_a_usable_set() {
    // (E01: fetch cooldown, E05: last good key set, E08: shared fetches)
    // A set fetched at 0 is due at 540, fresh until 600 and usable until 4,200.
    let fetched = [Changed(Scheduled, 0)];
    for (name, events, now, in_flight, expected) in [
        ("never asked", &[][..], 0, false, Serve::Fetch),
        (
            "first fetch in flight",
            &[Failed(Scheduled, 0)],
            1,
            true,
            Serve::Join,
        ),
        (
            "first fetch failed",
            &[Failed(Scheduled, 0)],
            1,
            false,
            Serve::Unavailable(secs(29)),
        ),
        (
            "last second of the cooldown",
            &[Failed(Scheduled, 0)],
            29,
            false,
            Serve::Unavailable(secs(1)),
        ),
        (
            "cooldown over",
            &[Failed(Scheduled, 0)],
            30,
            false,
            Serve::Fetch,
        ),
        (
            "a token has its own cooldown",
            &[Failed(Scheduled, 0), Failed(OnDemand, 29)],
            30,
            false,
            Serve::Fetch,
        ),
        ("fetched", &fetched, 0, false, Serve::FromMemory),
        ("last quiet second", &fetched, 539, false, Serve::FromMemory),
        ("due", &fetched, 540, false, Serve::FromMemoryAndFetch),
        ("due and in flight", &fetched, 540, true, Serve::FromMemory),
        ("not fresh", &fetched, 601, false, Serve::FromMemoryAndFetch),
        (
            "due, failed just now",
            &[Changed(Scheduled, 0), Failed(Scheduled, 540)],
            569,
            false,
            Serve::FromMemory,
        ),
        (
            "due, failed, cooldown over",
            &[Changed(Scheduled, 0), Failed(Scheduled, 540)],
            570,
            false,
            Serve::FromMemoryAndFetch,
        ),
        (
            "due, a token failed to find its key",
            &[Changed(Scheduled, 0), Failed(OnDemand, 540)],
            541,
            false,
            Serve::FromMemoryAndFetch,
        ),
        (
            "a fetch for a token counts as any other",
            &[Changed(Scheduled, 0), Same(OnDemand, 500)],
            1_039,
            false,
            Serve::FromMemory,
        ),
        (
            "last second of the stale limit",
            &fetched,
            4_199,
            false,
            Serve::FromMemoryAndFetch,
        ),
        ("past the stale limit", &fetched, 4_200, false, Serve::Fetch),
        (
            "past the stale limit, in flight",
            &fetched,
            4_200,
            true,
            Serve::Join,
        ),
        (
            "past the stale limit, failed",
            &[Changed(Scheduled, 0), Failed(Scheduled, 4_190)],
            4_200,
            false,
            Serve::Unavailable(secs(20)),
        ),
        (
            "a moment before the fetch",
            &fetched,
            -1,
            false,
            Serve::FromMemory,
        ),
    ] {
        let found = after(events).serve(&timing(), at(now), in_flight);
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn unknown_kid_triggers_one_fetch_per_cooldown() {
    // (E01: fetch cooldown)
    let fetched = [Changed(Scheduled, 0)];
    for (name, events, now, in_flight, expected) in [
        (
            "right after a scheduled fetch",
            &fetched[..],
            1,
            false,
            RefetchDecision::Fetch,
        ),
        (
            "a fetch is in flight",
            &fetched,
            1,
            true,
            RefetchDecision::Join,
        ),
        (
            "asked in vain",
            &[Changed(Scheduled, 0), Same(OnDemand, 10)],
            39,
            false,
            RefetchDecision::NoFetch,
        ),
        (
            "asked in vain, cooldown over",
            &[Changed(Scheduled, 0), Same(OnDemand, 10)],
            40,
            false,
            RefetchDecision::Fetch,
        ),
        (
            "asked, no answer",
            &[Changed(Scheduled, 0), Failed(OnDemand, 10)],
            39,
            false,
            RefetchDecision::Unavailable(secs(1)),
        ),
        (
            "asked, no answer, cooldown over",
            &[Changed(Scheduled, 0), Failed(OnDemand, 10)],
            40,
            false,
            RefetchDecision::Fetch,
        ),
        (
            "asked in vain, and then the issuer went down",
            &[
                Changed(Scheduled, 0),
                Same(OnDemand, 535),
                Failed(Scheduled, 540),
            ],
            545,
            false,
            RefetchDecision::Unavailable(secs(20)),
        ),
        (
            "no answer, and then the issuer came back",
            &[
                Changed(Scheduled, 0),
                Failed(OnDemand, 535),
                Same(Scheduled, 540),
            ],
            545,
            false,
            RefetchDecision::NoFetch,
        ),
        (
            "a scheduled fetch failed",
            &[Changed(Scheduled, 0), Failed(Scheduled, 540)],
            541,
            false,
            RefetchDecision::Fetch,
        ),
        (
            "the clock was set back",
            &[Changed(Scheduled, 0), Same(OnDemand, 10)],
            -21,
            false,
            RefetchDecision::Fetch,
        ),
    ] {
        let schedule = after(events);
        let found = schedule.unknown(&timing(), Some("a"), false, at(now), in_flight);
        assert_eq!(found, expected, "{name}");
        let there = schedule.unknown(&timing(), Some("a"), true, at(now), in_flight);
        assert_eq!(
            there,
            RefetchDecision::LookAgain,
            "{name}: it came in between"
        );
    }
}

#[test]
fn missing_kid_triggers_no_second_fetch() {
    // (E01: fetch cooldown)
    let vain = [Changed(Scheduled, 0), Same(OnDemand, 10), Without("a", 10)];
    let unknown = |events: &[Event], kid, now, in_flight| {
        after(events).unknown(&timing(), Some(kid), false, at(now), in_flight)
    };
    assert_eq!(unknown(&vain, "a", 39, false), RefetchDecision::NoFetch);
    assert_eq!(
        unknown(&vain, "a", 39, true),
        RefetchDecision::NoFetch,
        "nor waited for"
    );
    assert_eq!(unknown(&vain, "b", 39, true), RefetchDecision::Join);
    // No longer than the cooldown: who asked first may have been a stranger.
    assert_eq!(unknown(&vain, "a", 40, false), RefetchDecision::Fetch);
    assert_eq!(unknown(&vain, "b", 40, false), RefetchDecision::Fetch);
    let changed = [&vain[..], &[Changed(OnDemand, 45)]].concat();
    assert_eq!(unknown(&changed, "a", 75, false), RefetchDecision::Fetch);
    let same = [&vain[..], &[Same(Scheduled, 20)]].concat();
    assert_eq!(unknown(&same, "a", 39, true), RefetchDecision::NoFetch);
    let failed = [&vain[..], &[Failed(Scheduled, 20)]].concat();
    assert_eq!(unknown(&failed, "a", 39, false), RefetchDecision::NoFetch);
}

#[test]
fn signature_mismatch_counts_as_an_unknown_kid() {
    // (E09: reused `kid`)
    let before = Changed(Scheduled, -1_000);
    for (name, events, now, in_flight, expected) in [
        ("first", &[before][..], 0, false, RefetchDecision::Fetch),
        ("in flight", &[before], 0, true, RefetchDecision::Join),
        (
            "asked, the same set",
            &[before, Same(OnDemand, 0)],
            29,
            false,
            RefetchDecision::NoFetch,
        ),
        (
            "asked, cooldown over",
            &[before, Same(OnDemand, 0)],
            30,
            false,
            RefetchDecision::Fetch,
        ),
        (
            "asked, no answer",
            &[before, Failed(OnDemand, 0)],
            29,
            false,
            RefetchDecision::Unavailable(secs(1)),
        ),
        (
            "another set came in between",
            &[before, Changed(OnDemand, 0)],
            0,
            false,
            RefetchDecision::LookAgain,
        ),
        (
            "or while the request ran",
            &[before, Changed(OnDemand, 1)],
            0,
            false,
            RefetchDecision::LookAgain,
        ),
        (
            "another set came long ago",
            &[before, Changed(Scheduled, 0), Same(OnDemand, 30)],
            35,
            false,
            RefetchDecision::NoFetch,
        ),
        (
            "as long as a request may have seen the one before",
            &[before, Changed(Scheduled, 0), Same(OnDemand, 30)],
            34,
            false,
            RefetchDecision::LookAgain,
        ),
    ] {
        let schedule = after(events);
        let found = schedule.mismatch(&timing(), at(now), in_flight);
        assert_eq!(found, expected, "{name}");
        // A token without a `kid` that no key is for is the same question.
        let found = schedule.unknown(&timing(), None, false, at(now), in_flight);
        assert_eq!(found, expected, "{name}, without a kid");
    }
}

#[test]
fn clock_moved_backwards_does_not_extend_keys() {
    // (E05: last good key set)
    for (now, expected) in [
        (-30, None),
        (-31, Some(-31)),
        (-1_000_000, Some(-1_000_000)),
    ] {
        let mut schedule = after(&[Changed(Scheduled, 0)]);
        let quiet = schedule.held().unwrap().is_quiet(&timing(), at(now));
        assert_eq!(quiet, expected.is_none(), "{now}");
        assert_eq!(
            schedule.set_back(&timing(), at(now)),
            expected.is_some(),
            "{now}"
        );
        let fetched_at = schedule.held().unwrap().fetched_at;
        assert_eq!(fetched_at, at(expected.unwrap_or(0)), "{now}");
        let Some(since) = expected else { continue };
        assert!(!schedule.set_back(&timing(), at(now)), "{now}: once");
        let serve = |second| schedule.serve(&timing(), at(since + second), false);
        assert_eq!(serve(0), Serve::FromMemoryAndFetch, "{now}");
        assert_eq!(serve(3_599), Serve::FromMemoryAndFetch, "{now}");
        assert_eq!(serve(3_600), Serve::Fetch, "{now}");
    }
}

#[test]
fn far_future_times_do_not_panic() {
    let far = SystemTime::UNIX_EPOCH + Duration::from_secs(i64::MAX as u64 - 1);
    let held = timing().held(far, Some(secs(u64::MAX)));
    assert_eq!(held.fetched_at, far);
    assert!(!held.is_quiet(&timing(), far));
    let mut schedule = Schedule::default();
    schedule.started(Scheduled, far);
    schedule.succeeded(&timing(), far, None, true);
    for now in [SystemTime::UNIX_EPOCH, far] {
        schedule.set_back(&timing(), now);
        schedule.serve(&timing(), now, false);
        schedule.mismatch(&timing(), now, false);
    }
}
