//! The list in the memory of this process.

use tower_bearer::revocation::RevocationListFull;

use super::*;

const ONE: Option<&str> = Some("https://one.example");
const OTHER: Option<&str> = Some("https://other.example");

/// A token that has everything.
fn identity() -> RevocationClaims<'static> {
    RevocationClaims::new()
        .with_issuer(ONE)
        .with_token_id("id-1")
        .with_session("s-1")
        .with_subject("alice")
        .with_issued_at(at(NOW))
}

fn is_revoked(list: &RevocationList, token: &RevocationClaims<'_>) -> bool {
    list.is_revoked(token, now()).unwrap()
}

fn list() -> RevocationList {
    RevocationList::with_clock(1_000, clock())
}

/// A way to take `identity` back, by an issuer and a name.
type Revoke = fn(&RevocationList, Option<&str>, &str) -> Result<(), RevocationListFull>;

const TOKEN: Revoke = |list, issuer, name| list.revoke_token(issuer, name, now() + HOUR);
const SESSION: Revoke = |list, issuer, name| list.revoke_session(issuer, name, now() + HOUR);
const SUBJECT: Revoke = |list, issuer, name| list.revoke_subject(issuer, name, now(), now() + HOUR);
const ISSUER_OF: Revoke = |list, issuer, _| list.revoke_issuer(issuer, now(), now() + HOUR);

#[test]
fn each_kind_of_entry_revokes_exactly_its_tokens() {
    // (C15: identity of a token, K01: revocation on hits)
    let none = || RevocationClaims::new();
    let with_id = || none().with_token_id("id-1");
    let cases: [(&str, Revoke, Option<&str>, &str, RevocationClaims<'_>, bool); 26] = [
        ("token", TOKEN, ONE, "id-1", identity(), true),
        ("another token", TOKEN, ONE, "id-2", identity(), false),
        (
            "the beginning of its id",
            TOKEN,
            ONE,
            "id-",
            identity(),
            false,
        ),
        ("its id and more", TOKEN, ONE, "id-1 ", identity(), false),
        ("in other letters", TOKEN, ONE, "ID-1", identity(), false),
        (
            "a token of another issuer",
            TOKEN,
            OTHER,
            "id-1",
            identity(),
            false,
        ),
        (
            "a token of no issuer",
            TOKEN,
            None,
            "id-1",
            identity(),
            false,
        ),
        (
            "a token of the empty issuer",
            TOKEN,
            Some(""),
            "id-1",
            with_id(),
            false,
        ),
        (
            "a token without an issuer",
            TOKEN,
            None,
            "id-1",
            with_id(),
            true,
        ),
        ("one that has none", TOKEN, ONE, "id-1", with_id(), false),
        ("a session", SESSION, ONE, "s-1", identity(), true),
        ("another session", SESSION, ONE, "s-2", identity(), false),
        (
            "a session elsewhere",
            SESSION,
            OTHER,
            "s-1",
            identity(),
            false,
        ),
        ("a subject", SUBJECT, ONE, "alice", identity(), true),
        ("another subject", SUBJECT, ONE, "bob", identity(), false),
        (
            "a subject elsewhere",
            SUBJECT,
            OTHER,
            "alice",
            identity(),
            false,
        ),
        ("an issuer", ISSUER_OF, ONE, "", identity(), true),
        ("another issuer", ISSUER_OF, OTHER, "", identity(), false),
        ("no issuer", ISSUER_OF, None, "", identity(), false),
        ("no issuer at all", ISSUER_OF, None, "", none(), true),
        (
            "an id for a session",
            SESSION,
            ONE,
            "id-1",
            identity(),
            false,
        ),
        (
            "an id for a subject",
            SUBJECT,
            ONE,
            "id-1",
            identity(),
            false,
        ),
        ("a session for an id", TOKEN, ONE, "s-1", identity(), false),
        (
            "a subject for an id",
            TOKEN,
            ONE,
            "alice",
            identity(),
            false,
        ),
        (
            "the empty id",
            TOKEN,
            ONE,
            "",
            none().with_issuer(ONE),
            false,
        ),
        (
            "the empty subject",
            SUBJECT,
            ONE,
            "",
            none().with_issuer(ONE),
            false,
        ),
    ];
    for (name, revoke, issuer, what, token, expected) in cases {
        let list = list();
        assert!(!is_revoked(&list, &token), "{name}");
        let epoch = list.epoch();
        revoke(&list, issuer, what).unwrap();
        assert_eq!(is_revoked(&list, &token), expected, "{name}");
        assert_eq!(is_revoked(&list.clone(), &token), expected, "{name}");
        assert_eq!(list.len(), 1, "{name}");
        // What is remembered has to be asked about again.
        assert_ne!(list.epoch(), epoch, "{name}");
        assert_eq!(list.epoch(), list.clone().epoch(), "{name}");
        // Another list knows nothing of it.
        assert!(!is_revoked(&self::list(), &token), "{name}");
    }
}

#[test]
fn issuer_and_name_are_not_concatenated() {
    // (C10: issuer and `kid`)
    let list = list();
    list.revoke_token(Some("ab"), "c", now() + HOUR).unwrap();
    for (issuer, id, expected) in [("ab", "c", true), ("a", "bc", false), ("abc", "", false)] {
        let token = RevocationClaims::new()
            .with_issuer(issuer)
            .with_token_id(id);
        assert_eq!(is_revoked(&list, &token), expected, "{issuer} {id}");
    }
}

#[test]
fn revocation_covers_its_whole_second() {
    // (K06: same second)
    let fraction = Duration::from_millis(1);
    for (name, issued, revoked, expected) in [
        ("long before", Some(at(NOW - 1_000)), at(NOW), true),
        ("a second before", Some(at(NOW - 1)), at(NOW), true),
        ("in the same second", Some(at(NOW)), at(NOW), true),
        ("late in it", Some(at(NOW + 1) - fraction), at(NOW), true),
        (
            "before, in the same second",
            Some(at(NOW)),
            at(NOW) + fraction,
            true,
        ),
        ("at its end", Some(at(NOW)), at(NOW + 1) - fraction, true),
        ("a second later", Some(at(NOW + 1)), at(NOW), false),
        (
            "in the next second",
            Some(at(NOW + 1)),
            at(NOW + 1) - fraction,
            false,
        ),
        ("long after", Some(at(NOW + 1_000)), at(NOW), false),
        ("nobody knows when", None, at(NOW), true),
        (
            "nobody knows when, and before all",
            None,
            SystemTime::UNIX_EPOCH,
            true,
        ),
        (
            "before all",
            Some(SystemTime::UNIX_EPOCH),
            SystemTime::UNIX_EPOCH - HOUR,
            true,
        ),
    ] {
        let token = identity().with_issued_at(issued);
        let subject = list();
        subject
            .revoke_subject(ONE, "alice", revoked, now() + HOUR)
            .unwrap();
        assert_eq!(is_revoked(&subject, &token), expected, "subject, {name}");
        let issuer = list();
        issuer.revoke_issuer(ONE, revoked, now() + HOUR).unwrap();
        assert_eq!(is_revoked(&issuer, &token), expected, "issuer, {name}");
        // A token and a session are gone whenever they were issued.
        for revoke in [TOKEN, SESSION] {
            let list = list();
            for name in ["id-1", "s-1"] {
                revoke(&list, ONE, name).unwrap();
            }
            assert!(is_revoked(&list, &token), "{name}");
        }
    }
}

#[test]
fn repeated_revocation_does_not_shorten_entry() {
    let clock = clock();
    let first = RevocationList::with_clock(1, clock.clone());
    let subject = |list: &RevocationList, issued: u64, until: u64| {
        let until = now() + Duration::from_secs(until);
        list.revoke_subject(ONE, "alice", at(NOW + issued), until)
    };
    let is_revoked_if_issued = |list: &RevocationList, at_: u64| {
        is_revoked(list, &identity().with_issued_at(at(NOW + at_)))
    };
    // Issued until, and until when it is kept: the later one of each counts.
    for (issued, until) in [(100, 1_000), (50, 2_000), (70, 10), (100, 0)] {
        let epoch = first.epoch();
        subject(&first, issued, until).unwrap();
        assert_ne!(first.epoch(), epoch);
        assert_eq!(first.len(), 1);
        assert!(is_revoked_if_issued(&first, 100), "{issued} {until}");
        assert!(!is_revoked_if_issued(&first, 101), "{issued} {until}");
    }
    // Kept for 2,000 seconds and the most that a token is accepted after its end.
    clock.set(now() + Duration::from_secs(2_299));
    first
        .revoke_token(ONE, "id-9", clock_end(&clock))
        .unwrap_err();
    assert!(is_revoked_if_issued(&first, 100));
    clock.advance(SECOND);
    first.revoke_token(ONE, "id-9", clock_end(&clock)).unwrap();
    assert!(!is_revoked_if_issued(&first, 100));
    assert_eq!(first.len(), 1);
}

fn clock_end(clock: &ManualClock) -> SystemTime {
    use tower_bearer::clock::Clock as _;
    clock.now() + HOUR
}

#[test]
fn full_list_returns_error_and_keeps_entries() {
    // (G09: bounded tables)
    for limit in [0, 1, 7, 1_024, 1_500] {
        let clock = clock();
        let list = RevocationList::with_clock(limit, clock.clone());
        let id = |number: usize| format!("id-{number}");
        // Single tokens leave a tenth of the room,
        let tokens = limit - limit / 10;
        for number in 0..tokens {
            list.revoke_token(ONE, &id(number), now() + HOUR).unwrap();
        }
        let full = list.revoke_token(ONE, "one more", now() + HOUR);
        assert!(
            full.unwrap_err()
                .to_string()
                .contains(&format!("full: {limit} entries"))
        );
        // which all else may take.
        for number in tokens..limit {
            list.revoke_session(ONE, &id(number), now() + HOUR).unwrap();
        }
        let epoch = list.epoch();
        for revoke in [TOKEN, SESSION, SUBJECT, ISSUER_OF] {
            let full = revoke(&list, OTHER, "one more").unwrap_err();
            let text = full.to_string();
            assert!(text.contains(&format!("full: {limit} entries")), "{text}");
            assert!(!format!("{full:?}").contains("one more"));
        }
        assert_eq!((list.len(), list.epoch()), (limit, epoch));
        let is_there = |number: usize| {
            let id = id(number);
            is_revoked(
                &list,
                &RevocationClaims::new().with_issuer(ONE).with_token_id(&*id),
            )
        };
        assert!((0..tokens).all(is_there), "{limit}");
        assert!(!is_there(tokens));
        let other = RevocationClaims::new().with_issuer(OTHER);
        assert!(!is_revoked(&list, &other.with_session("one more")));
        // What is there can be revoked again, and for longer.
        if limit > 0 {
            list.revoke_token(ONE, &id(0), now() + 2 * HOUR).unwrap();
            assert_ne!(list.epoch(), epoch);
        }
        // As soon as some may go, there is room.
        clock.set(now() + HOUR + 5 * MINUTE);
        for number in limit..(limit + tokens).saturating_sub(1) {
            list.revoke_token(ONE, &id(number), now() + 9 * HOUR)
                .unwrap();
        }
        if limit > 0 {
            assert!(is_there(0));
            list.revoke_token(ONE, "one more", now() + HOUR)
                .unwrap_err();
            assert_eq!(list.len(), tokens);
        }
    }
}

#[test]
fn entry_expires_only_after_every_validator_rejects_its_token() {
    let fraction = Duration::from_millis(1);
    for (name, until) in [
        ("a full second", now() + HOUR),
        ("just after it", now() + HOUR + fraction),
        ("just before the next", now() + HOUR + SECOND - fraction),
        ("now", now()),
        ("in the past", now() - HOUR),
    ] {
        // Full with one entry, so that each attempt looks for what may go.
        let clock = clock();
        let list = RevocationList::with_clock(1, clock.clone());
        let token = RevocationClaims::new().with_token_id("id-1");
        list.revoke_token(None, "id-1", until).unwrap();
        // 300 seconds are the most that a clock may be off.
        let ends = until + 5 * MINUTE;
        for before in [2 * HOUR, MINUTE, SECOND, fraction] {
            clock.set(ends - before);
            if ends - before < now() {
                continue;
            }
            list.revoke_token(None, "id-2", ends + HOUR).unwrap_err();
            assert!(is_revoked(&list, &token), "{name} {before:?}");
        }
        // A second later at the latest.
        clock.set(ends + SECOND);
        if clock_end(&clock) - HOUR >= now() {
            list.revoke_token(None, "id-2", ends + HOUR).unwrap();
            assert!(!is_revoked(&list, &token), "{name}");
            assert_eq!(list.len(), 1, "{name}");
        }
    }
}

#[test]
fn expired_entries_are_removed_before_list_is_full() {
    // (G09: bounded tables)
    let clock = clock();
    let list = RevocationList::with_clock(1_000_000, clock.clone());
    for round in 0..20_u64 {
        let start = now() + Duration::from_secs(round * 600);
        clock.set(start);
        for number in 0..1_000 {
            let name = format!("{round}-{number}");
            match number % 4 {
                0 => list.revoke_token(ONE, &name, start + MINUTE),
                1 => list.revoke_session(ONE, &name, start + MINUTE),
                2 => list.revoke_subject(ONE, &name, start, start + MINUTE),
                _ => list.revoke_issuer(Some(&name), start, start + MINUTE),
            }
            .unwrap();
        }
        assert!(list.len() <= 3_000, "{}", list.len());
    }
    // And those of the last minutes are all there.
    for number in 0..1_000 {
        let name = format!("19-{number}");
        let token = match number % 4 {
            0 => RevocationClaims::new()
                .with_issuer(ONE)
                .with_token_id(&*name),
            1 => RevocationClaims::new()
                .with_issuer(ONE)
                .with_session(&*name),
            2 => RevocationClaims::new()
                .with_issuer(ONE)
                .with_subject(&*name),
            _ => RevocationClaims::new().with_issuer(&*name),
        };
        assert!(is_revoked(&list, &token), "{name}");
    }
}

#[test]
fn entries_with_unrepresentable_times_are_kept() {
    let far = SystemTime::UNIX_EPOCH + Duration::from_secs(9_000_000_000_000_000_000);
    let clock = clock();
    let list = RevocationList::with_clock(2, clock.clone());
    list.revoke_token(None, "id-1", far).unwrap();
    list.revoke_subject(None, "alice", far, far).unwrap();
    clock.set(far - HOUR);
    list.revoke_token(None, "id-2", far).unwrap_err();
    for issued in [
        None,
        Some(SystemTime::UNIX_EPOCH - HOUR),
        Some(now()),
        Some(far),
    ] {
        let token = RevocationClaims::new().with_subject("alice");
        assert!(is_revoked(&list, &token.with_issued_at(issued)));
    }
    assert_eq!(list.len(), 2);
}

#[test]
fn debug_output_shows_no_revoked_name() {
    // (J03: no secrets in texts)
    let list = list();
    list.revoke_subject(Some("s3cret-issuer"), "s3cret-name", now(), now() + HOUR)
        .unwrap();
    let token = RevocationClaims::new()
        .with_issuer("s3cret-issuer")
        .with_token_id("s3cret-id")
        .with_subject("s3cret-name")
        .with_session("s3cret-session")
        .with_issued_at(now());
    let check = tower_bearer::revocation::RevocationCheck::new(list.clone());
    let text = format!("{list:?} {list:#?} {token:?} {token:#?} {check:?} {check:#?}");
    assert!(!text.contains("s3cret"), "{text}");
    assert!(text.contains("len: 1"), "{text}");
    // Though it has it all.
    assert_eq!(token.issuer(), Some("s3cret-issuer"));
    assert_eq!(token.token_id(), Some("s3cret-id"));
    assert_eq!(token.subject(), Some("s3cret-name"));
    assert_eq!(token.session(), Some("s3cret-session"));
    assert_eq!(token.issued_at(), Some(now()));
}
