//! What is kept, for how long, and what never is.

use tower_bearer::ValidatorExt as _;
use tower_bearer::policy::{Denial, PolicyContext, policy_fn, scope};
use tower_bearer::validator_fn;

use super::*;

#[tokio::test]
async fn validator_is_called_once_per_token() {
    let (source, clock) = (Source::yes(), clock());
    let service = service(source.remembered(), &clock);
    for _ in 0..100 {
        let answer = ask(&service, "abc").await;
        assert_eq!((answer.status(), &*answer.body), (200, "alice"));
    }
    assert_eq!(source.calls(), 1);
    for _ in 0..100 {
        assert_eq!(status(&service, "abd").await, 200);
    }
    assert_eq!(source.calls(), 2);
}

#[tokio::test]
async fn token_is_cached_as_a_whole() {
    // (F01: whole-token keys)
    let source = Source::new(|token| match token.len() {
        300 => Ok(alice()).into(),
        _ => Err(refusal(InvalidReason::Unknown)).into(),
    });
    let clock = clock();
    let service = service(source.remembered(), &clock);
    let good = "a".repeat(300);
    assert_eq!(status(&service, &good).await, 200);
    // Whatever it has in common with it.
    for bad in [&good[..299], &good[1..], &"a".repeat(301), "a"] {
        assert_eq!(status(&service, bad).await, 401, "{bad}");
    }
    let mut calls = 5;
    assert_eq!(source.calls(), calls);
    for at in [0, 1, 20, 150, 298, 299] {
        let mut other = good.clone();
        other.replace_range(at..=at, "b");
        assert_eq!(status(&service, &other).await, 200);
        calls += 1;
        assert_eq!(source.calls(), calls, "{at}");
    }
    assert_eq!(status(&service, &good).await, 200);
    assert_eq!(source.calls(), calls);
}

#[tokio::test]
async fn policies_run_on_each_request() {
    // (F03: checks on hits)
    let (source, clock) = (Source::yes(), clock());
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let layer = BearerAuthLayer::new(source.remembered()).with_clock(clock.clone());
    let counting = layer.clone().with_policy(policy_fn(
        move |_: &PolicyContext<'_, User>| -> Result<(), Denial> {
            match counted.fetch_add(1, Ordering::SeqCst) % 2 {
                0 => Ok(()),
                _ => Err(Denial::forbidden()),
            }
        },
    ));
    for number in 0..10 {
        let answer = send(counting.layer(Greet), request("abc")).await;
        assert_eq!(answer.status(), [200, 403][number % 2]);
    }
    assert_eq!(asked.load(Ordering::SeqCst), 10);
    // Another policy before the same validator.
    for (needs, expected) in [("orders:read", 200), ("orders:write", 403)] {
        let other = layer.clone().with_policy(scope(needs)).layer(Greet);
        let answer = send(other, request("abc")).await;
        assert_eq!(answer.status(), expected, "{needs}");
    }
    assert_eq!(source.calls(), 1);
}

#[tokio::test]
async fn credential_expires_exactly_at_expiry_cached_or_uncached() {
    // (F04: expiry on hits)
    let clock = clock();
    let ends = start() + MINUTE;
    let source = Source::new(move |_| Ok(alice().with_expiry(ends)).into());
    let validator = source.remembered();
    let service = service(validator.clone(), &clock);
    for (before, expected) in [
        (MINUTE, 200),
        (SECOND, 200),
        (Duration::from_nanos(1), 200),
        (Duration::ZERO, 401),
    ] {
        clock.set(ends - before);
        assert_eq!(status(&service, "abc").await, expected, "{before:?}");
    }
    // What has ended is asked about again, and not kept then.
    assert_eq!((source.calls(), validator.cache().len()), (2, 0));
    for calls in 3..6 {
        assert_eq!(status(&service, "abc").await, 401);
        assert_eq!((source.calls(), validator.cache().len()), (calls, 0));
    }
}

#[tokio::test]
async fn verdict_is_cached_for_configured_time() {
    for time_to_live in [SECOND, 10 * SECOND, TIME_TO_LIVE] {
        let (source, clock) = (Source::yes(), clock());
        let settings = CacheSettings::new().with_time_to_live(time_to_live);
        let service = service(source.clone().cached(settings), &clock);
        for round in 0..3 {
            for since in [
                Duration::ZERO,
                time_to_live / 2,
                time_to_live - Duration::from_nanos(1),
            ] {
                clock.set(start() + time_to_live * round + since);
                assert_eq!(status(&service, "abc").await, 200);
                // Being used does not lengthen its life.
                let calls = usize::try_from(round).unwrap() + 1;
                assert_eq!(source.calls(), calls, "{time_to_live:?} {since:?}");
            }
        }
    }
}

#[tokio::test]
async fn clock_moved_backwards_makes_no_entry_valid() {
    // (F04: expiry on hits) What was not yet good then is not, though it was found to be good
    // later.
    let clock = clock();
    for back in [Duration::from_nanos(1), SECOND, 5 * SECOND, MINUTE] {
        let begins = start();
        let source = NotBefore {
            begins,
            calls: Arc::default(),
        };
        clock.set(begins);
        let service = service(source.clone().cached(CacheSettings::new()), &clock);
        assert_eq!(status(&service, "abc").await, 200);
        clock.set(begins - back);
        assert_eq!(status(&service, "abc").await, 401, "{back:?}");
        clock.set(begins);
        assert_eq!(status(&service, "abc").await, 200, "{back:?}");
        assert_eq!(source.calls.load(Ordering::SeqCst), 3, "{back:?}");
    }
}

/// Says yes from a moment on.
#[derive(Clone)]
struct NotBefore {
    begins: std::time::SystemTime,
    calls: Arc<AtomicUsize>,
}

impl Validator for NotBefore {
    type Principal = User;

    fn validate(&self, _: &Credential<'_>, request: &RequestView<'_>) -> Verdict<User> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        match request.now() >= self.begins {
            true => Ok(alice()).into(),
            false => Err(refusal(InvalidReason::NotYetValid)).into(),
        }
    }
}

#[tokio::test]
async fn rejected_credential_is_validated_each_time() {
    // (E10: bounded negative results)
    let clock = clock();
    let failures: [(fn() -> Failure, u16); 5] = [
        (|| refusal(InvalidReason::Unknown), 401),
        (|| refusal(InvalidReason::Malformed), 400),
        (Failure::unrecognized, 401),
        (|| Failure::unavailable("down"), 503),
        (|| Failure::throttled(SECOND), 429),
    ];
    for (failure, expected) in failures {
        for waits in [false, true] {
            let source = Source::new(move |_| match waits {
                true => Verdict::pending(async move { Err(failure()) }),
                false => Err(failure()).into(),
            });
            let validator = source.remembered();
            let service = service(validator.clone(), &clock);
            for round in 1..=3 {
                assert_eq!(status(&service, "abc").await, expected);
                assert_eq!(source.calls(), round);
                assert!(validator.cache().is_empty());
            }
            // As soon as it is good, it is.
            *source.0.answer.lock().unwrap() = Box::new(|_| Ok(alice()).into());
            assert_eq!(status(&service, "abc").await, 200);
        }
    }
}

#[tokio::test]
async fn clones_of_validator_share_cache_and_others_do_not() {
    // (F02: separate caches)
    let clock = clock();
    let source = Source::new(|token| match token {
        "one" => Ok(named("one")).into(),
        _ => Ok(named("other")).into(),
    });
    let (one, other) = (source.remembered(), source.remembered());
    for (validator, calls) in [(&one, 1), (&one, 1), (&other, 2), (&one.clone(), 2)] {
        assert!(judge(validator, "one", &clock).await.is_ok());
        assert_eq!(source.calls(), calls);
    }
    one.cache().clear();
    assert!(!recalls(&one.clone(), "one", &clock));
    assert!(recalls(&other, "one", &clock));
}

#[tokio::test]
async fn verdict_is_removed_with_its_dependency() {
    // (F05: removal of cached results)
    let clock = clock();
    let (tenant, session) = (
        Arc::new(AtomicBool::new(true)),
        Arc::new(AtomicBool::new(true)),
    );
    let rests_on = (Arc::clone(&tenant), Arc::clone(&session));
    let source = Source::new(move |_| {
        let (tenant, session) = &rests_on;
        match tenant.load(Ordering::SeqCst) && session.load(Ordering::SeqCst) {
            true => Ok(alice()
                .with_dependency(Arc::clone(tenant))
                .with_dependency(Arc::clone(session)))
            .into(),
            false => Err(refusal(InvalidReason::Revoked)).into(),
        }
    });
    let validator = source.remembered();
    let service = service(validator.clone(), &clock);
    let mut calls = 0;
    for gone in [&tenant, &session] {
        for _ in 0..3 {
            assert_eq!(status(&service, "abc").await, 200);
        }
        calls += 1;
        assert_eq!(source.calls(), calls);
        gone.store(false, Ordering::SeqCst);
        for _ in 0..3 {
            assert_eq!(status(&service, "abc").await, 401);
            calls += 1;
            assert_eq!(source.calls(), calls);
            assert!(validator.cache().is_empty());
        }
        gone.store(true, Ordering::SeqCst);
    }
    assert_eq!(status(&service, "abc").await, 200);
}

#[tokio::test]
async fn removed_token_is_validated_again() {
    // (F05: removal of cached results)
    let (source, clock) = (Source::yes(), clock());
    let validator = source.remembered();
    let cache = validator.cache().clone();
    let service = service(validator, &clock);
    for token in ["abc", "abd", "abe"] {
        assert_eq!(status(&service, token).await, 200);
    }
    assert_eq!((cache.len(), source.calls()), (3, 3));
    assert!(cache.remove("abd"));
    assert!(!cache.remove("abd"));
    assert!(!cache.remove("ab"));
    assert!(!cache.remove(""));
    assert!(!cache.remove("not a token"));
    assert!(!cache.remove(&"a".repeat(100_000)));
    for (token, calls) in [("abc", 3), ("abe", 3), ("abd", 4), ("abd", 4)] {
        assert_eq!(status(&service, token).await, 200);
        assert_eq!(source.calls(), calls, "{token}");
    }
    cache.clear();
    assert!(cache.is_empty());
    for (token, calls) in [("abc", 5), ("abd", 6), ("abe", 7), ("abc", 7)] {
        assert_eq!(status(&service, token).await, 200);
        assert_eq!(source.calls(), calls, "{token}");
    }
}

#[tokio::test]
async fn retain_removes_results_of_chosen_principals() {
    // (F05: removal of cached results)
    let source = Source::new(|token| Ok(named(if token < "b" { "alice" } else { "bob" })).into());
    let clock = clock();
    let validator = source.remembered();
    let cache = validator.cache().clone();
    let service = service(validator.clone(), &clock);
    assert_eq!(cache.retain(|_| panic!("there is none")), 0);
    for token in ["a1", "a2", "b1", "b2", "b3"] {
        assert_eq!(status(&service, token).await, 200);
    }
    let mut seen = Vec::new();
    let removed = cache.retain(|user| {
        seen.push(user.subject);
        user.subject != "alice"
    });
    seen.sort_unstable();
    assert_eq!(seen, ["alice", "alice", "bob", "bob", "bob"]);
    assert_eq!((removed, cache.len()), (2, 3));
    for (token, is_cached) in [
        ("a1", false),
        ("a2", false),
        ("b1", true),
        ("b2", true),
        ("b3", true),
    ] {
        assert_eq!(recalls(&validator, token, &clock), is_cached, "{token}");
    }
    assert_eq!(status(&service, "a1").await, 200);
    assert_eq!(source.calls(), 6);
    assert!(
        recalls(&validator, "a1", &clock),
        "its validator accepts it again"
    );
    assert_eq!(cache.retain(|_| true), 0);
    assert_eq!(cache.len(), 4);
    assert_eq!(cache.retain(|_| false), 4);
    assert!(cache.is_empty());
}

#[tokio::test]
async fn retain_predicate_may_use_cache_itself() {
    // (F05: removal of cached results) No lock is held while the predicate runs.
    let (source, clock) = (Source::yes(), clock());
    let validator = source.remembered();
    let cache = validator.cache().clone();
    let service = service(validator.clone(), &clock);
    for number in 0..100 {
        assert_eq!(status(&service, &format!("t{number}")).await, 200);
    }
    let mut number = 0;
    let removed = cache.retain(|_| {
        number += 1;
        assert!(!recalls(&validator, "another", &clock));
        cache.remove("t1");
        cache.remove_expired(start());
        match number {
            1 => assert_eq!(cache.retain(|_| true), 0),
            50 => cache.clear(),
            _ => {}
        }
        number % 2 == 0
    });
    assert_eq!((removed, number, cache.len()), (50, 100, 0));
}

#[tokio::test]
async fn panic_in_retain_predicate_removes_everything() {
    // (F05: removal of cached results) The results that the predicate would have removed are not
    // known.
    let (source, clock) = (Source::yes(), clock());
    let validator = source.remembered();
    let cache = validator.cache().clone();
    let service = service(validator.clone(), &clock);
    for token in ["abc", "abd"] {
        assert_eq!(status(&service, token).await, 200);
    }
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        cache.retain(|_| panic!("on purpose"))
    }));
    assert!(caught.is_err());
    assert!(cache.is_empty());
    assert_eq!(status(&service, "abc").await, 200);
    assert!(recalls(&validator, "abc", &clock), "it caches as before");
}

#[tokio::test]
async fn token_longer_than_cache_limit_is_validated_each_time() {
    // (F06: bounded cache)
    for (length, calls) in [(1, 1), (100, 1), (101, 3), (4_000, 3)] {
        for waits in [false, true] {
            let source = Source::new(move |_| match waits {
                true => Verdict::pending(async { Ok(alice()) }),
                false => Ok(alice()).into(),
            });
            let clock = clock();
            let settings = CacheSettings::new().with_max_token_length(100);
            let validator = source.clone().cached(settings);
            let service = service(validator.clone(), &clock);
            let token = "a".repeat(length);
            for _ in 0..3 {
                assert_eq!(status(&service, &token).await, 200);
            }
            assert_eq!(source.calls(), calls, "{length}");
            assert_eq!(validator.cache().len(), usize::from(calls == 1), "{length}");
        }
    }
}

#[tokio::test]
async fn cache_without_capacity_behaves_like_no_cache() {
    for settings in [
        CacheSettings::new().with_max_entries(0),
        CacheSettings::new().with_max_bytes(0),
        CacheSettings::new().with_max_token_length(0),
        CacheSettings::new().with_time_to_live(Duration::ZERO),
    ] {
        let (source, clock) = (Source::yes(), clock());
        let validator = source.clone().cached(settings);
        let service = service(validator.clone(), &clock);
        for round in 1..=3 {
            assert_eq!(status(&service, "abc").await, 200);
            assert_eq!(source.calls(), round, "{settings:?}");
            assert!(validator.cache().is_empty(), "{settings:?}");
        }
    }
}

/// Presents `hot` tokens in turn, each after so many others, and says how many of the hot are still remembered.
async fn flood(hot_first: bool, others_between: usize) -> usize {
    const CAPACITY: usize = 1_000;
    const HOT: usize = 100;
    let (source, clock) = (Source::yes(), clock());
    let settings = CacheSettings::new().with_max_entries(CAPACITY);
    let validator = source.clone().cached(settings);
    let service = service(validator.clone(), &clock);
    let hot: Vec<_> = (0..HOT).map(|number| format!("hot-{number}")).collect();
    if hot_first {
        for token in &hot {
            assert_eq!(status(&service, token).await, 200);
        }
    }
    for number in 0..20 * CAPACITY {
        assert_eq!(status(&service, &format!("other-{number}")).await, 200);
        if number % others_between == 0 {
            let token = &hot[number / others_between % HOT];
            assert_eq!(status(&service, token).await, 200);
        }
    }
    assert!(validator.cache().len() <= CAPACITY);
    hot.iter()
        .filter(|token| recalls(&validator, token, &clock))
        .count()
}

#[tokio::test]
async fn occasionally_used_tokens_survive_flood_of_valid_tokens() {
    // (F06: bounded cache) Each of the hot ones is used once in so many hundred requests.
    for (hot_first, others_between) in [(true, 1), (true, 5), (true, 20), (false, 1), (false, 5)] {
        let left = flood(hot_first, others_between).await;
        assert!(left >= 95, "{left} left: {hot_first}, {others_between}");
    }
}

#[tokio::test]
async fn flood_of_invalid_tokens_evicts_nothing() {
    // (E10: bounded negative results, F06: bounded cache)
    let source = Source::new(|token| match token.starts_with("good") {
        true => Ok(alice()).into(),
        false => Err(refusal(InvalidReason::Signature)).into(),
    });
    let clock = clock();
    let settings = CacheSettings::new().with_max_entries(32);
    let validator = source.clone().cached(settings);
    let service = service(validator.clone(), &clock);
    let good: Vec<_> = (0..32).map(|number| format!("good-{number}")).collect();
    for token in &good {
        assert_eq!(status(&service, token).await, 200);
    }
    let kept: Vec<_> = good
        .iter()
        .filter(|token| recalls(&validator, token, &clock))
        .collect();
    assert!(kept.len() >= 30);
    for number in 0..10_000 {
        assert_eq!(status(&service, &format!("bad-{number}")).await, 401);
    }
    let calls = source.calls();
    for token in kept {
        assert_eq!(status(&service, token).await, 200);
    }
    assert_eq!(source.calls(), calls);
}

#[tokio::test]
async fn malformed_credential_is_rejected_with_any_cache_content() {
    // (B04: white space, B06: token grammar, G06: cheap checks first)
    let (source, clock) = (Source::yes(), clock());
    let service = service(source.remembered(), &clock);
    for round in 0..2 {
        for value in [
            &b"Bearer"[..],
            b"Bearer ",
            b"Bearer abc def",
            b"Bearer abc,",
            b"Bearer abc, Bearer abc",
            b"Bearer abc;",
            b"Bearer\tabc",
            b"Bearer \tabc",
            b"Bearer ab\xffc",
            b"Bearer abc\xa0",
            b"Bearer \"abc\"",
            b"Bearer =abc",
            b"Bearer abc=c",
        ] {
            let mut request = request("abc");
            let value = http::HeaderValue::from_bytes(value).unwrap();
            request.headers_mut().insert(AUTHORIZATION, value.clone());
            let answer = send(service.clone(), request).await;
            assert_eq!(answer.status(), 400, "{value:?} {round}");
            let challenge = r#"Bearer realm="api", error="invalid_request""#;
            assert_eq!(answer.challenges(), [challenge], "{value:?}");
        }
        // Two of them, remembered or not.
        let mut twice = request("abc");
        let value = twice.headers()[AUTHORIZATION].clone();
        twice.headers_mut().append(AUTHORIZATION, value);
        assert_eq!(send(service.clone(), twice).await.status(), 400);
        assert_eq!(source.calls(), round);
        // However many spaces there are, it is the same token.
        for spaces in ["", "  "] {
            assert_eq!(status(&service, &format!("{spaces}abc")).await, 200);
        }
    }
    assert_eq!(source.calls(), 1);
}

#[tokio::test]
async fn panicking_validator_fails_only_its_own_request() {
    // (F08: unfinished validations)
    let clock = clock();
    let source = Source::new(|token| match token {
        "bad" => panic!("as the test wants it"),
        _ => Ok(alice()).into(),
    });
    let validator = source.remembered();
    let service = service(validator.clone(), &clock);
    for _ in 0..2 {
        let panicking = tokio::spawn({
            let service = service.clone();
            async move { status(&service, "bad").await }
        });
        assert!(panicking.await.unwrap_err().is_panic());
        assert_eq!(status(&service, "good").await, 200);
        assert!(recalls(&validator, "good", &clock));
    }
    assert_eq!(validator.cache().len(), 1);
    assert_eq!(source.calls(), 3);
}

#[tokio::test]
async fn dependency_that_uses_cache_does_not_deadlock() {
    struct Curious(tower_bearer::cache::VerdictCache<User>);
    impl tower_bearer::Dependency for Curious {
        fn holds(&self, _: std::time::SystemTime) -> bool {
            assert_eq!(self.0.len(), 2);
            self.0.remove("other");
            self.0.clear();
            false
        }
    }
    let clock = clock();
    let place: Arc<Mutex<Option<Arc<Curious>>>> = Arc::default();
    let rests_on = Arc::clone(&place);
    let source = Source::new(move |token| match (token, &*rests_on.lock().unwrap()) {
        ("abc", Some(curious)) => Ok(alice().with_dependency(Arc::clone(curious))).into(),
        _ => Ok(alice()).into(),
    });
    let validator = source.remembered();
    *place.lock().unwrap() = Some(Arc::new(Curious(validator.cache().clone())));
    let service = service(validator.clone(), &clock);
    for token in ["abc", "other"] {
        assert_eq!(status(&service, token).await, 200);
    }
    assert_eq!(status(&service, "abc").await, 200);
    assert_eq!((validator.cache().len(), source.calls()), (1, 3));
}

#[tokio::test]
async fn debug_output_shows_no_token_and_no_principal() {
    // (J03: no secrets in texts)
    let clock = clock();
    let validator = validator_fn(|credential: Credential<'_>| {
        Ok::<_, Failure>(User {
            subject: Box::leak(credential.token().repeat(2).into_boxed_str()),
            ..User::default()
        })
    })
    .cached(CacheSettings::new());
    let service = service(validator.clone(), &clock);
    assert_eq!(status(&service, "s3cret").await, 200);
    let cache = validator.cache();
    let text = format!("{validator:?} {validator:#?} {cache:?} {cache:#?}");
    assert!(!text.contains("s3cret"), "{text}");
    assert!(text.contains("len: 1"), "{text}");
}
