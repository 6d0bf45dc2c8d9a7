//! Tokens that are taken back while they are remembered, and others.

use std::sync::Mutex;

use tower_bearer::ValidatorExt as _;
use tower_bearer::cache::CacheSettings;
use tower_bearer::jwt::JwtIssuers;
use tower_bearer::revocation::RevocationCheck;
use tower_bearer::{Failure, Validated, validator_fn};

use super::*;
use crate::support::User;

/// A way to take `token` back.
type Revoke = fn(&RevocationList);

const WAYS: [(&str, Revoke, Revoke); 4] = [
    (
        "its id",
        |list| {
            list.revoke_token(Some(ISSUER), "t-1", now() + HOUR)
                .unwrap();
        },
        |list| {
            list.revoke_token(Some("https://x.example"), "t-1", now() + HOUR)
                .unwrap();
        },
    ),
    (
        "its session",
        |list| {
            list.revoke_session(Some(ISSUER), "s-1", now() + HOUR)
                .unwrap();
        },
        |list| {
            list.revoke_session(Some(ISSUER), "s-2", now() + HOUR)
                .unwrap();
        },
    ),
    (
        "its subject",
        |list| {
            list.revoke_subject(Some(ISSUER), "alice", at(NOW - 60), now() + HOUR)
                .unwrap();
        },
        |list| {
            list.revoke_subject(Some(ISSUER), "alice", at(NOW - 61), now() + HOUR)
                .unwrap();
        },
    ),
    (
        "its issuer",
        |list| {
            list.revoke_issuer(Some(ISSUER), at(NOW - 60), now() + HOUR)
                .unwrap();
        },
        |list| {
            list.revoke_issuer(Some(ISSUER), at(NOW - 61), now() + HOUR)
                .unwrap();
        },
    ),
];

#[test]
fn token_is_rejected_from_the_moment_of_revocation() {
    // (K01: revocation on hits, K06: same second, F04: expiry on hits)
    #[derive(serde::Deserialize)]
    struct Session {
        #[expect(dead_code, reason = "that it is read is enough")]
        department: Option<String>,
    }
    for (name, revoke, revoke_another) in WAYS {
        let (list, clock, token) = (RevocationList::new(), clock(), token(json!({})));
        let with = |builder: JwtValidatorBuilder| builder.revocations(list.clone());
        let remembered = with(builder()).build().unwrap();
        let anew = with(builder()).without_cache().build().unwrap();
        let own = with(builder()).claims::<Session>().build().unwrap();
        let issuers = JwtIssuers::new();
        issuers.insert(remembered.clone()).unwrap();
        let all = |expected: (Result<(), FailureKind>, bool)| {
            assert_eq!(ask(&remembered, &token, &clock), expected, "{name}");
            assert_eq!(ask(&own, &token, &clock), expected, "{name}");
            assert_eq!(ask(&issuers, &token, &clock), expected, "{name}");
            assert_eq!(ask(&anew, &token, &clock), (expected.0, false), "{name}");
        };
        all((Ok(()), false));
        all((Ok(()), true));
        // Something else is taken back: they are asked about, and stay.
        revoke_another(&list);
        all((Ok(()), true));
        revoke(&list);
        all((Err(REVOKED), false));
        all((Err(REVOKED), false));
        assert!(remembered.cache().unwrap().is_empty(), "{name}");
        assert!(issuers.cache().unwrap().is_empty(), "{name}");
        // For ever, as far as the list is concerned, and before it was seen, too.
        clock.advance(30 * MINUTE);
        all((Err(REVOKED), false));
        let late = with(builder()).build().unwrap();
        assert_eq!(says(&late, &token, &clock), Err(REVOKED), "{name}");
    }
}

#[test]
fn token_with_unreadable_session_is_rejected_if_sessions_are_revoked() {
    // (D01: wrong types)
    for (session, is_good) in [
        (json!("s-1"), true),
        (json!(7), false),
        (json!(["s-1"]), false),
        (json!({}), false),
    ] {
        let (clock, token) = (clock(), token(json!({"sid": session})));
        let asked = builder()
            .revocations(RevocationList::new())
            .build()
            .unwrap();
        let not_asked = builder().build().unwrap();
        let expected = match is_good {
            true => Ok(()),
            false => Err(FailureKind::Invalid(InvalidReason::Claims)),
        };
        assert_eq!(says(&asked, &token, &clock), expected, "{session}");
        assert_eq!(says(&not_asked, &token, &clock), Ok(()), "{session}");
    }
}

#[test]
fn revocation_claims_come_from_the_token() {
    // (D08: absent claims, K06: same second)
    for (changes, revoked_by) in [
        (json!({}), [true, true, true, true]),
        (json!({"jti": null}), [false, true, true, true]),
        (json!({"sid": null}), [true, false, true, true]),
        (json!({"sub": null}), [true, true, false, true]),
        (json!({"iat": null}), [true, true, true, true]),
        (json!({"iat": NOW - 59}), [true, true, false, false]),
        (json!({"iat": NOW as f64 - 59.5}), [true, true, true, true]),
        (
            json!({"jti": "t-2", "sid": "s-2", "sub": "bob"}),
            [false, false, false, true],
        ),
    ] {
        for ((name, revoke, _), expected) in WAYS.into_iter().zip(revoked_by) {
            let (list, clock) = (RevocationList::new(), clock());
            let token = token(changes.clone());
            let validator = builder().revocations(list.clone()).build().unwrap();
            assert_eq!(says(&validator, &token, &clock), Ok(()), "{changes} {name}");
            revoke(&list);
            let expected = if expected { Err(REVOKED) } else { Ok(()) };
            assert_eq!(
                says(&validator, &token, &clock),
                expected,
                "{changes} {name}"
            );
        }
    }
}

#[tokio::test]
async fn response_for_revoked_token_is_invalid_token_without_reason() {
    // (I04: client texts)
    let (list, clock, token) = (RevocationList::new(), clock(), token(json!({})));
    let validator = builder().revocations(list.clone()).build().unwrap();
    for _ in 0..2 {
        assert_eq!(
            answer(validator.clone(), &token, &clock).await.status(),
            200
        );
    }
    list.revoke_session(Some(ISSUER), "s-1", now() + HOUR)
        .unwrap();
    for _ in 0..2 {
        let answer = answer(validator.clone(), &token, &clock).await;
        assert_eq!(answer.status(), 401);
        let challenge = r#"Bearer realm="api", error="invalid_token""#;
        assert_eq!(answer.challenges(), [challenge]);
        assert!(!answer.body.contains("revoked"), "{}", answer.body);
        let rejection = answer
            .response
            .extensions()
            .get::<tower_bearer::Rejection>();
        let kind = tower_bearer::RejectionKind::InvalidToken(InvalidReason::Revoked);
        assert_eq!(rejection.unwrap().kind(), kind);
    }
}

#[test]
fn store_is_queried_once_per_epoch_for_cached_token() {
    let (store, clock, token) = (Store::new(true), clock(), token(json!({})));
    let validator = builder().revocations(Arc::clone(&store)).build().unwrap();
    for _ in 0..10 {
        assert_eq!(says(&validator, &token, &clock), Ok(()));
    }
    assert_eq!(store.asked(), 1);
    for epoch in 1..=5 {
        store.forgive();
        for _ in 0..10 {
            assert_eq!(ask(&validator, &token, &clock), (Ok(()), true));
        }
        assert_eq!(store.asked(), 1 + epoch);
    }
    // Any other number is another one, also a lower one.
    store.epoch.store(2, Ordering::SeqCst);
    assert_eq!(ask(&validator, &token, &clock), (Ok(()), true));
    assert_eq!(store.asked(), 7);
    store.revoke();
    assert_eq!(ask(&validator, &token, &clock), (Err(REVOKED), false));
    // Once for what was remembered, and once anew.
    assert_eq!(store.asked(), 9);
    for asked in 10..13 {
        assert_eq!(says(&validator, &token, &clock), Err(REVOKED));
        assert_eq!(store.asked(), asked);
    }
    store.forgive();
    for _ in 0..10 {
        assert_eq!(says(&validator, &token, &clock), Ok(()));
    }
    assert_eq!(store.asked(), 13);
}

#[test]
fn store_without_epoch_is_queried_on_each_request() {
    // (K01: revocation on hits)
    for (name, epoch) in [("none", None), ("one that is none", Some(u64::MAX))] {
        let store = Store::new(epoch.is_some());
        store.epoch.store(epoch.unwrap_or(0), Ordering::SeqCst);
        let (clock, token) = (clock(), token(json!({})));
        let validator = builder().revocations(Arc::clone(&store)).build().unwrap();
        for asked in 1..=10 {
            let (said, is_recalled) = ask(&validator, &token, &clock);
            assert_eq!((said, is_recalled), (Ok(()), asked > 1), "{name}");
            assert_eq!(store.asked(), asked, "{name}");
        }
        store.revoked.store(true, Ordering::SeqCst);
        assert_eq!(
            ask(&validator, &token, &clock),
            (Err(REVOKED), false),
            "{name}"
        );
        assert_eq!(store.asked(), 12, "{name}");
    }
    // One that has epochs now and then.
    let (store, clock, token) = (Store::new(true), clock(), token(json!({})));
    let validator = builder().revocations(Arc::clone(&store)).build().unwrap();
    for (has_epochs, asked) in [
        (true, 1),
        (true, 1),
        (false, 2),
        (false, 3),
        (true, 4),
        (true, 4),
    ] {
        store.has_epochs.store(has_epochs, Ordering::SeqCst);
        assert_eq!(says(&validator, &token, &clock), Ok(()));
        assert_eq!(store.asked(), asked);
    }
}

#[test]
fn revocation_during_store_query_triggers_second_query() {
    // (K01: revocation on hits) The answer is older than the epoch after it.
    struct Racing {
        store: Arc<Store>,
        races: AtomicBool,
    }
    impl Revocations for Racing {
        fn is_revoked(
            &self,
            token: &RevocationClaims<'_>,
            now: SystemTime,
        ) -> Result<bool, Box<dyn Error + Send + Sync>> {
            let answer = self.store.is_revoked(token, now);
            if self.races.swap(false, Ordering::SeqCst) {
                self.store.revoke();
            }
            answer
        }

        fn epoch(&self) -> Option<u64> {
            self.store.epoch()
        }
    }
    for remembered_before in [false, true] {
        let (store, clock, token) = (Store::new(true), clock(), token(json!({})));
        let racing = Arc::new(Racing {
            store: Arc::clone(&store),
            races: AtomicBool::new(false),
        });
        let validator = builder().revocations(Arc::clone(&racing)).build().unwrap();
        if remembered_before {
            assert_eq!(says(&validator, &token, &clock), Ok(()));
            store.forgive();
        }
        racing.races.store(true, Ordering::SeqCst);
        let said = ask(&validator, &token, &clock);
        assert_eq!(said, (Ok(()), remembered_before), "it began before");
        assert_eq!(ask(&validator, &token, &clock), (Err(REVOKED), false));
    }
}

#[test]
fn invalid_token_is_not_queried() {
    // (G06: cheap checks first)
    let store = Store::new(true);
    store.go_down(true);
    let clock = clock();
    let validator = builder().revocations(Arc::clone(&store)).build().unwrap();
    let good = token(json!({}));
    for bad in [
        "abc",
        &good[..good.len() - 4],
        &token(json!({"exp": NOW - 60})),
        &token(json!({"aud": "https://other.example"})),
        &token(json!({"iss": "https://other.example"})),
        &token(json!({"cnf": {"jkt": "x"}})),
    ] {
        let refused = says(&validator, bad, &clock).unwrap_err();
        assert_ne!(refused, FailureKind::Unavailable, "{bad}");
        assert_ne!(refused, REVOKED, "{bad}");
    }
    assert_eq!(store.asked(), 0);
    assert_eq!(
        says(&validator, &good, &clock),
        Err(FailureKind::Unavailable)
    );
}

/// A session of `user`.
struct Session {
    id: &'static str,
    user: &'static str,
}

fn identify(session: &Session) -> RevocationClaims<'_> {
    RevocationClaims::new()
        .with_session(session.id)
        .with_subject(session.user)
}

#[test]
fn revocation_check_wraps_any_validator() {
    // (K01: revocation on hits)
    type Dyn = Box<dyn Validator<Principal = Session>>;
    let calls = Arc::new(AtomicUsize::new(0));
    let sessions = || {
        let calls = Arc::clone(&calls);
        validator_fn(move |credential: Credential<'_>| {
            calls.fetch_add(1, Ordering::SeqCst);
            match credential.token() {
                "abc" => Ok(Session {
                    id: "s-1",
                    user: "alice",
                }),
                "abd" => Ok(Session {
                    id: "s-2",
                    user: "bob",
                }),
                _ => Err(Failure::unrecognized()),
            }
        })
    };
    let settings = CacheSettings::new();
    for way in ["session", "subject"] {
        let list = RevocationList::new();
        // With how many calls of the validator itself for three requests and, revoked, two more.
        let validators: [(&str, Dyn, usize); 4] = [
            (
                "alone",
                Box::new(sessions().revocable(list.clone(), identify)),
                5,
            ),
            (
                "cached",
                Box::new(
                    sessions()
                        .revocable(list.clone(), identify)
                        .cached(settings),
                ),
                3,
            ),
            (
                "of a cache",
                Box::new(
                    sessions()
                        .cached(settings)
                        .revocable(list.clone(), identify),
                ),
                1,
            ),
            (
                "twice",
                Box::new(
                    sessions()
                        .cached(settings)
                        .revocable(list.clone(), identify)
                        .cached(settings),
                ),
                1,
            ),
        ];
        let clock = clock();
        for (name, validator, _) in &validators {
            for _ in 0..2 {
                assert_eq!(says(validator, "abc", &clock), Ok(()), "{name}");
                assert_eq!(says(validator, "abd", &clock), Ok(()), "{name}");
                let unknown = Err(FailureKind::Unrecognized);
                assert_eq!(says(validator, "abe", &clock), unknown, "{name}");
            }
        }
        match way {
            "session" => list.revoke_session(None, "s-1", now() + HOUR).unwrap(),
            _ => list
                .revoke_subject(None, "alice", now(), now() + HOUR)
                .unwrap(),
        }
        for (name, validator, _) in &validators {
            for _ in 0..2 {
                assert_eq!(says(validator, "abc", &clock), Err(REVOKED), "{name}");
                assert_eq!(says(validator, "abd", &clock), Ok(()), "{name}");
            }
        }
        // And how much each of them saves.
        let list = RevocationList::new();
        let fresh: [(&str, Dyn, usize); 3] = [
            (
                "alone",
                Box::new(sessions().revocable(list.clone(), identify)),
                5,
            ),
            (
                "cached",
                Box::new(
                    sessions()
                        .revocable(list.clone(), identify)
                        .cached(settings),
                ),
                3,
            ),
            (
                "of a cache",
                Box::new(
                    sessions()
                        .cached(settings)
                        .revocable(list.clone(), identify),
                ),
                1,
            ),
        ];
        let mut counted = Vec::new();
        for (_, validator, _) in &fresh {
            let before = calls.load(Ordering::SeqCst);
            for _ in 0..3 {
                assert_eq!(says(validator, "abc", &clock), Ok(()));
            }
            counted.push(calls.load(Ordering::SeqCst) - before);
        }
        list.revoke_session(None, "s-1", now() + HOUR).unwrap();
        for ((name, validator, expected), counted) in fresh.iter().zip(counted) {
            let before = calls.load(Ordering::SeqCst);
            for _ in 0..2 {
                assert_eq!(says(validator, "abc", &clock), Err(REVOKED));
            }
            let all = counted + calls.load(Ordering::SeqCst) - before;
            assert_eq!(all, *expected, "{name}");
        }
    }
}

#[tokio::test]
async fn expired_token_is_not_queried() {
    // (G06: cheap checks first) So that an outage of the store is none for it.
    for waits in [false, true] {
        let (store, clock) = (Store::new(true), clock());
        store.go_down(true);
        let validator = validator_fn(move |_: Credential<'_>| {
            let ended = Ok(Validated::new(User::default()).with_expiry(now()));
            match waits {
                true => Verdict::pending(async { ended }),
                false => ended.into(),
            }
        })
        .revocable(Arc::clone(&store), |_: &User| RevocationClaims::new());
        let answer = answer(validator, "abc", &clock).await;
        assert_eq!((answer.status(), store.asked()), (401, 0));
    }
}

#[tokio::test]
async fn store_is_queried_after_asynchronous_validation() {
    // (K01: revocation on hits)
    let list = RevocationList::new();
    let place = Arc::new(Mutex::new(Some(list.clone())));
    let validator = validator_fn(move |_: Credential<'_>| {
        let place = Arc::clone(&place);
        async move {
            tokio::task::yield_now().await;
            // Taken back while it was looked up, the first time.
            if let Some(list) = place.lock().unwrap().take() {
                list.revoke_session(None, "s-1", now() + HOUR).unwrap();
            }
            Ok::<_, Failure>(User {
                subject: "s-1",
                ..User::default()
            })
        }
    })
    .revocable(list, |user: &User| {
        RevocationClaims::new().with_session(user.subject)
    })
    .cached(CacheSettings::new());
    let clock = clock();
    for _ in 0..3 {
        assert_eq!(answer(validator.clone(), "abc", &clock).await.status(), 401);
    }
    assert!(validator.cache().is_empty());
}

#[tokio::test]
async fn coalesced_request_is_checked_when_validation_ends() {
    // (K01: revocation on hits) The store was asked early, and then the validator waits for
    // something else.
    let (list, clock) = (RevocationList::new(), clock());
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let opened = Arc::clone(&gate);
    let validator = validator_fn(|_: Credential<'_>| {
        Ok::<_, Failure>(User {
            subject: "s-1",
            ..User::default()
        })
    })
    .revocable(list.clone(), |user: &User| {
        RevocationClaims::new().with_session(user.subject)
    })
    .and_then(move |user: Arc<User>| {
        let gate = Arc::clone(&opened);
        Verdict::pending(async move {
            let _passed = gate.acquire().await.unwrap();
            Ok(Validated::from_shared(user))
        })
    })
    .cached(CacheSettings::new());
    let ask = || async { answer(validator.clone(), "abc", &clock).await.status() };
    // Each gets as far as it can before the next one begins.
    let (first, (), second, ()) = tokio::join!(
        biased;
        ask(),
        async { list.revoke_session(None, "s-1", now() + HOUR).unwrap() },
        ask(),
        async { gate.add_permits(1) },
    );
    assert_eq!((first, second), (200, 503), "the first began before");
    assert_eq!(ask().await, 401);
}

#[test]
fn revocation_check_works_alone() {
    let list = RevocationList::new();
    let check = RevocationCheck::from(list.clone());
    let token = RevocationClaims::new().with_token_id("t-1");
    check.check(&token, now()).unwrap();
    list.revoke_token(None, "t-1", now() + HOUR).unwrap();
    let refused = check.clone().check(&token, now()).unwrap_err();
    assert_eq!(refused.kind(), REVOKED);
}
