//! A validator that remembers among others.

use http::{HeaderName, HeaderValue};
use tower_bearer::ValidatorExt as _;
use tower_bearer::cache::VerdictCache;
use tower_bearer::jwt::JwtOrOpaque;
use tower_bearer::revocation::{RevocationClaims, RevocationList};
use tower_bearer::{Scheme, validator_fn};

use super::*;

/// What looks like a JWT.
const JWT: &str = "eyJhbGciOiJub25lIn0.e30.c2ln";

#[tokio::test]
async fn step_after_cache_runs_on_each_request() {
    // (F03: checks on hits)
    for waits in [false, true] {
        let (source, clock) = (Source::yes(), clock());
        let (steps, is_active) = (
            Arc::new(AtomicUsize::new(0)),
            Arc::new(AtomicBool::new(true)),
        );
        let step = {
            let (steps, is_active) = (Arc::clone(&steps), Arc::clone(&is_active));
            move |user: Arc<User>| {
                steps.fetch_add(1, Ordering::SeqCst);
                let answer = match is_active.load(Ordering::SeqCst) {
                    true => Ok(Validated::from_shared(user)),
                    false => Err(refusal(InvalidReason::Revoked)),
                };
                match waits {
                    true => Verdict::pending(async move { answer }),
                    false => Verdict::Ready(answer),
                }
            }
        };
        let outside = service(source.remembered().and_then(step.clone()), &clock);
        for (round, active) in [true, true, false, true, false, true]
            .into_iter()
            .enumerate()
        {
            is_active.store(active, Ordering::SeqCst);
            let expected = if active { 200 } else { 401 };
            assert_eq!(status(&outside, "abc").await, expected);
            assert_eq!(
                (source.calls(), steps.load(Ordering::SeqCst)),
                (1, round + 1)
            );
        }
        // Inside it is remembered with the rest.
        let inside = service(
            source.clone().and_then(step).cached(CacheSettings::new()),
            &clock,
        );
        for _ in 0..3 {
            assert_eq!(status(&inside, "abc").await, 200);
            assert_eq!((source.calls(), steps.load(Ordering::SeqCst)), (2, 7));
        }
    }
}

#[tokio::test]
async fn expiry_of_each_step_applies_on_hit() {
    // (F04: expiry on hits)
    let first = start() + MINUTE;
    let second = start() + 2 * MINUTE;
    for (inner, outer) in [
        (Some(first), None),
        (None, Some(first)),
        (Some(first), Some(second)),
        (Some(second), Some(first)),
    ] {
        let ending = |ends: Option<std::time::SystemTime>, mut validated: Validated<User>| {
            if let Some(ends) = ends {
                validated = validated.with_expiry(ends);
            }
            Verdict::from(Ok(validated))
        };
        let clock = clock();
        let source = Source::new(move |_| ending(inner, alice()));
        let then = move |user: Arc<User>| ending(outer, Validated::from_shared(user));
        let outside = service(source.remembered().and_then(then), &clock);
        let inside = service(
            source.clone().and_then(then).cached(CacheSettings::new()),
            &clock,
        );
        let by_itself = move |_: &User| outer;
        let expiring = service(source.remembered().expiring(by_itself), &clock);
        for (at, expected) in [
            (start(), 200),
            (first - Duration::from_nanos(1), 200),
            (first, 401),
            (second, 401),
        ] {
            clock.set(at);
            assert_eq!(status(&outside, "abc").await, expected);
            assert_eq!(status(&inside, "abc").await, expected);
            assert_eq!(status(&expiring, "abc").await, expected);
        }
    }
}

#[tokio::test]
async fn dependency_of_inner_verdict_applies_to_outer_verdict() {
    // (F05: removal of cached results)
    let clock = clock();
    for which in 0..2 {
        let flags = [true, true].map(|flag| Arc::new(AtomicBool::new(flag)));
        let [inner, outer] = flags.clone();
        let source = Source::new(move |_| match inner.load(Ordering::SeqCst) {
            true => Ok(alice().with_dependency(Arc::clone(&inner))).into(),
            false => Err(refusal(InvalidReason::Unknown)).into(),
        });
        let both = source.clone().and_then(move |user: Arc<User>| {
            Verdict::from(match outer.load(Ordering::SeqCst) {
                true => Ok(Validated::from_shared(user).with_dependency(Arc::clone(&outer))),
                false => Err(refusal(InvalidReason::Revoked)),
            })
        });
        let validator = both
            .for_scheme(Scheme::Bearer)
            .expiring(|_| None)
            .cached(CacheSettings::new());
        let service = service(validator, &clock);
        for _ in 0..3 {
            assert_eq!(status(&service, "abc").await, 200);
        }
        assert_eq!(source.calls(), 1);
        flags[which].store(false, Ordering::SeqCst);
        assert_eq!(status(&service, "abc").await, 401, "{which}");
        assert_eq!(source.calls(), 2);
    }
}

#[tokio::test]
async fn cache_miss_in_first_validator_reaches_second() {
    let clock = clock();
    let of = |name: &'static str| {
        Source::new(move |token| match token.starts_with(name) {
            true => Ok(named(name)).into(),
            false => Err(Failure::unrecognized()).into(),
        })
    };
    let (one, other) = (of("one"), of("other"));
    let service = service(one.remembered().or(other.remembered()), &clock);
    for _ in 0..3 {
        assert_eq!(ask(&service, "one-1").await.body, "one");
        assert_eq!(ask(&service, "other-1").await.body, "other");
        assert_eq!(status(&service, "nobody").await, 401);
    }
    // A refusal of the first is no verdict to keep.
    assert_eq!(one.calls(), 1 + 3 + 3);
    assert_eq!(other.calls(), 1 + 3);
}

#[tokio::test]
async fn combined_verdict_of_two_validators_is_cached_as_one() {
    let clock = clock();
    let down = Arc::new(AtomicBool::new(false));
    let is_down = Arc::clone(&down);
    let first = Source::new(move |_| match is_down.load(Ordering::SeqCst) {
        true => Err(Failure::unavailable("down")).into(),
        false => Err(Failure::unrecognized()).into(),
    });
    let second = Source::new(|token| match token {
        "good" => Ok(alice()).into(),
        _ => Err(refusal(InvalidReason::Unknown)).into(),
    });
    let both = first.clone().or(second.clone());
    let service = service(both.cached(CacheSettings::new()), &clock);
    for (is_down, token, expected, calls) in [
        (true, "good", 200, 1),
        (true, "bad", 503, 2),
        (false, "bad", 401, 3),
        (true, "bad", 503, 4),
        (false, "good", 200, 4),
    ] {
        down.store(is_down, Ordering::SeqCst);
        assert_eq!(status(&service, token).await, expected, "{token}");
        assert_eq!((first.calls(), second.calls()), (calls, calls));
    }
}

#[tokio::test]
async fn nested_caches_expire_with_the_earlier_entry() {
    // (F05: removal of cached results)
    let (source, clock) = (Source::yes(), clock());
    let inner = source
        .clone()
        .cached(CacheSettings::new().with_time_to_live(10 * SECOND));
    let outer = inner
        .clone()
        .cached(CacheSettings::new().with_time_to_live(15 * SECOND));
    let service = service(outer.clone(), &clock);
    // The inner one goes at 10, and the outer one at 15 asks it again.
    for (seconds, calls) in [(0, 1), (9, 1), (14, 1), (15, 2), (24, 2), (29, 2), (30, 3)] {
        clock.set(start() + seconds * SECOND);
        assert_eq!(status(&service, "abc").await, 200);
        assert_eq!(source.calls(), calls, "{seconds}");
    }
    // Both have to forget it.
    outer.cache().clear();
    assert_eq!(status(&service, "abc").await, 200);
    assert_eq!(source.calls(), 3);
    inner.cache().clear();
    assert_eq!(status(&service, "abc").await, 200);
    assert_eq!(source.calls(), 3);
    inner.cache().clear();
    outer.cache().clear();
    assert_eq!(status(&service, "abc").await, 200);
    assert_eq!(source.calls(), 4);
}

#[tokio::test]
async fn asynchronous_validation_works_through_two_caches() {
    let source = Source::new(|_| {
        Verdict::pending(async {
            tokio::task::yield_now().await;
            Ok(alice())
        })
    });
    let clock = clock();
    let validator = source.remembered().cached(CacheSettings::new());
    let service = service(validator.clone(), &clock);
    let waiting: Vec<_> = (0..50)
        .map(|_| {
            let service = service.clone();
            tokio::spawn(async move { status(&service, "abc").await })
        })
        .collect();
    for waiting in waiting {
        assert_eq!(waiting.await.unwrap(), 200);
    }
    assert_eq!(source.calls(), 1);
    assert!(recalls(&validator, "abc", &clock));
}

#[tokio::test]
async fn every_wrapper_forwards_cached_verdict() {
    let (source, clock) = (Source::yes(), clock());
    let inner = source.remembered();
    let revoked = RevocationList::new();
    fn ident(user: &User) -> RevocationClaims<'_> {
        RevocationClaims::new().with_subject(user.subject)
    }
    let plain = source.clone();
    type Dyn = Box<dyn Validator<Principal = User>>;
    let validators: [(&str, Dyn); 9] = [
        ("itself", Box::new(inner.clone())),
        ("Arc", Box::new(Arc::new(inner.clone()))),
        ("Box", Box::new(Box::new(inner.clone()))),
        ("&", Box::new(&*Box::leak(Box::new(inner.clone())))),
        (
            "for_scheme",
            Box::new(inner.clone().for_scheme(Scheme::Bearer)),
        ),
        ("expiring", Box::new(inner.clone().expiring(|_| None))),
        (
            "and_then",
            Box::new(
                inner
                    .clone()
                    .and_then(|user: Arc<User>| Verdict::from(Ok(Validated::from_shared(user)))),
            ),
        ),
        (
            "revocable",
            Box::new(inner.clone().revocable(revoked, ident)),
        ),
        (
            "JwtOrOpaque",
            Box::new(JwtOrOpaque::new(inner.clone(), inner.clone())),
        ),
    ];
    for (name, validator) in &validators {
        for token in ["abc", JWT] {
            inner.cache().clear();
            assert!(!recalls(validator, token, &clock), "{name}");
            assert!(judge(validator, token, &clock).await.is_ok(), "{name}");
            assert!(recalls(validator, token, &clock), "{name}");
            assert!(!recalls(validator, "abd", &clock), "{name}");
        }
    }
    // And whatever does not is not wrong.
    assert!(!recalls(&plain, "abc", &clock));
    let other_scheme = inner.clone().for_scheme(Scheme::ApiKey);
    assert!(!recalls(&other_scheme, "abc", &clock));
    let either = inner.clone().or(plain);
    assert!(judge(&either, "abc", &clock).await.is_ok());
    // By shape only one of the two is looked at.
    let (jwt, opaque) = (source.remembered(), source.remembered());
    let by_shape = JwtOrOpaque::new(jwt.clone(), opaque.clone());
    for token in ["abc", JWT] {
        assert!(judge(&by_shape, token, &clock).await.is_ok());
    }
    for (cache, kept, not_kept) in [(jwt, JWT, "abc"), (opaque, "abc", JWT)] {
        assert!(recalls(&cache, kept, &clock));
        assert!(!recalls(&cache, not_kept, &clock));
    }
}

#[tokio::test]
async fn cached_verdict_is_absent_if_validation_would_reject() {
    // (F04: expiry on hits, F05: removal of cached results)
    type Change = fn(&ManualClock, &AtomicBool, &RevocationList, &VerdictCache<User>);
    let changes: [(&str, Change); 7] = [
        ("it ends", |clock, _, _, _| clock.advance(MINUTE)),
        ("the clock is set back", |clock, _, _, _| {
            clock.set(start() - Duration::from_nanos(1));
        }),
        ("its ground goes", |_, flag, _, _| {
            flag.store(false, Ordering::SeqCst);
        }),
        ("it is revoked", |_, _, revoked, _| {
            let until = start() + MINUTE;
            revoked
                .revoke_subject(None, "alice", start(), until)
                .unwrap();
        }),
        ("its session is revoked", |_, _, revoked, _| {
            revoked
                .revoke_session(None, "s-1", start() + MINUTE)
                .unwrap();
        }),
        ("it is removed", |_, _, _, cache| {
            assert!(cache.remove("abc"));
        }),
        ("all are cleared", |_, _, _, cache| cache.clear()),
    ];
    for (name, change) in changes {
        let (clock, revoked) = (clock(), RevocationList::new());
        let flag = Arc::new(AtomicBool::new(true));
        let rests_on = Arc::clone(&flag);
        let source = Source::new(move |_| {
            Ok(alice()
                .with_expiry(start() + MINUTE)
                .with_dependency(Arc::clone(&rests_on)))
            .into()
        });
        let validator = source
            .clone()
            .revocable(revoked.clone(), |user: &User| {
                RevocationClaims::new()
                    .with_subject(user.subject)
                    .with_session("s-1")
                    .with_issued_at(start())
            })
            .cached(CacheSettings::new());
        assert!(judge(&validator, "abc", &clock).await.is_ok());
        assert!(recalls(&validator, "abc", &clock), "{name}");
        change(&clock, &flag, &revoked, validator.cache());
        assert!(!recalls(&validator, "abc", &clock), "{name}");
        // Nor is it again, when things are as they were.
        clock.set(start());
        flag.store(true, Ordering::SeqCst);
        assert!(!recalls(&validator, "abc", &clock), "{name}");
    }
}

#[tokio::test]
async fn one_cache_keeps_api_keys_and_bearer_tokens_separate() {
    let clock = clock();
    let key = HeaderName::from_static("x-api-key");
    let of = |name: &'static str| Source::new(move |_| Ok(named(name)).into());
    let (keys, tokens) = (of("service"), of("user"));
    let validator = keys
        .remembered()
        .for_scheme(Scheme::ApiKey)
        .or(tokens.remembered().for_scheme(Scheme::Bearer));
    let layer = BearerAuthLayer::new(validator)
        .with_sources([
            tower_bearer::Source::bearer(),
            tower_bearer::Source::api_key(key.clone()),
        ])
        .unwrap()
        .with_clock(clock);
    for _ in 0..3 {
        let mut with_key = Request::new(Body::default());
        let value = HeaderValue::from_static("abc");
        with_key.headers_mut().insert(&key, value);
        let answer = send(layer.layer(Greet), with_key).await;
        assert_eq!(answer.body, "service");
        let answer = send(layer.layer(Greet), request("abc")).await;
        assert_eq!(answer.body, "user");
    }
    assert_eq!((keys.calls(), tokens.calls()), (1, 1));
}

#[tokio::test]
async fn closure_called_again_can_return_another_result() {
    let clock = clock();
    let subjects = Mutex::new(["first", "second", "third"].into_iter());
    let validator = validator_fn(move |_: Credential<'_>| {
        let subject = subjects.lock().unwrap().next().unwrap();
        Verdict::from(Ok(named(subject)))
    })
    .cached(CacheSettings::new());
    let validator = Arc::new(validator);
    let service = service(Arc::clone(&validator), &clock);
    for subject in ["first", "second", "third"] {
        for _ in 0..3 {
            assert_eq!(ask(&service, "abc").await.body, subject);
        }
        clock.advance(TIME_TO_LIVE);
    }
}
