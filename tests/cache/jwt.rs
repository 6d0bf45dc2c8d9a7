//! JWTs that are remembered.

use serde_json::{Value, json};
use tower_bearer::Rejection;
use tower_bearer::ValidatorExt as _;
use tower_bearer::jwt::{
    AccessToken, JwtIssuers, JwtValidator, JwtValidatorBuilder, PublicKey, SharedSecret,
};

use super::*;
use crate::tokens::{AUDIENCE, ISSUER, NOW, SECRET, Signer, claims, now, public_pem, with};

/// Claims that end after the time to live of the cache.
fn token(changes: Value) -> String {
    Signer::new("HS256").token(&with(claims(), changes))
}

fn builder() -> JwtValidatorBuilder {
    JwtValidator::builder(SharedSecret::hs256(SECRET).unwrap())
        .issuer(ISSUER)
        .audience(AUDIENCE)
        .leeway(Duration::ZERO)
}

fn clock() -> ManualClock {
    ManualClock::new(now())
}

async fn accepted<V: Validator>(validator: &V, token: &str, clock: &ManualClock) -> bool {
    judge(validator, token, clock).await.is_ok()
}

#[tokio::test]
async fn token_is_cached_unless_caching_is_disabled() {
    let clock = clock();
    let remembered = builder().build().unwrap();
    let token = token(json!({}));
    assert!(accepted(&remembered, &token, &clock).await);
    assert!(recalls(&remembered, &token, &clock));
    assert!(recalls(&remembered.clone(), &token, &clock));
    let cache = remembered.cache().unwrap();
    assert_eq!(cache.len(), 1);
    assert!(cache.remove(&token));
    assert!(!recalls(&remembered, &token, &clock));

    let settings = CacheSettings::new().with_time_to_live(SECOND);
    let shortly = builder().cache(settings).build().unwrap();
    assert!(accepted(&shortly, &token, &clock).await);
    assert!(recalls(&shortly, &token, &clock));
    clock.advance(SECOND);
    assert!(!recalls(&shortly, &token, &clock));

    let never = builder().without_cache().build().unwrap();
    assert!(accepted(&never, &token, &clock).await);
    assert!(!recalls(&never, &token, &clock));
    assert!(never.cache().is_none());
}

#[tokio::test]
async fn token_is_valid_only_within_its_time_cached_or_uncached() {
    // (F04: expiry on hits)
    let signed = |changes| token(with(json!({"iat": null}), changes));
    for (name, token, times) in [
        (
            "exp",
            signed(json!({"exp": NOW + 100})),
            &[(0, true), (99, true), (100, false), (0, true), (101, false)][..],
        ),
        (
            "nbf",
            signed(json!({"nbf": NOW + 100})),
            &[
                (0, false),
                (99, false),
                (100, true),
                (99, false),
                (101, true),
                (0, false),
            ],
        ),
        (
            "iat",
            signed(json!({"iat": NOW + 100})),
            &[(0, false), (100, true), (99, false), (200, true)],
        ),
        (
            "all of them",
            signed(json!({"nbf": NOW + 10, "iat": NOW + 20, "exp": NOW + 30})),
            &[
                (19, false),
                (20, true),
                (29, true),
                (19, false),
                (29, true),
                (30, false),
            ],
        ),
    ] {
        for leeway in [Duration::ZERO, MINUTE] {
            let (remembered, clock) = (builder().leeway(leeway).build().unwrap(), clock());
            let anew = builder().leeway(leeway).without_cache().build().unwrap();
            for (seconds, expected) in times {
                clock.set(now() + *seconds * SECOND);
                let is_good = accepted(&remembered, &token, &clock).await;
                if leeway.is_zero() {
                    assert_eq!(is_good, *expected, "{name} {seconds}");
                }
                assert_eq!(
                    accepted(&anew, &token, &clock).await,
                    is_good,
                    "{name} {seconds}"
                );
                assert_eq!(recalls(&remembered, &token, &clock), is_good, "{name}");
            }
        }
    }
}

#[tokio::test]
async fn sender_constrained_token_is_rejected_each_time() {
    // (F04: expiry on hits, H01: bound tokens)
    let clock = clock();
    let validator = builder().build().unwrap();
    let bound = token(json!({"cnf": {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}}));
    for _ in 0..3 {
        let refused = judge(&validator, &bound, &clock).await.unwrap_err();
        let reason = InvalidReason::SenderConstrained;
        assert_eq!(refused, FailureKind::Invalid(reason));
        assert!(!recalls(&validator, &bound, &clock));
    }
    assert!(validator.cache().unwrap().is_empty());
    // One that ignores it has a memory of its own.
    let ignoring = builder().insecure_ignore_sender_constraint();
    let ignoring = ignoring.build().unwrap();
    assert!(accepted(&ignoring, &bound, &clock).await);
    assert!(recalls(&ignoring, &bound, &clock));
    assert!(!accepted(&validator, &bound, &clock).await);
}

#[tokio::test]
async fn validators_with_different_settings_share_no_entries() {
    // (F02: separate caches)
    let clock = clock();
    let ours = token(json!({}));
    let shared = token(json!({"aud": [AUDIENCE, "https://other.example"]}));
    let keys = || SharedSecret::hs256(SECRET).unwrap();
    let validators = [
        builder().build().unwrap(),
        JwtValidator::builder(keys())
            .issuer(ISSUER)
            .audience("https://other.example")
            .build()
            .unwrap(),
        JwtValidator::builder(keys())
            .issuer("https://other-issuer.example")
            .audience(AUDIENCE)
            .build()
            .unwrap(),
        builder().require("tenant").build().unwrap(),
        builder().subject("bob").build().unwrap(),
    ];
    for _ in 0..3 {
        for (token, expected) in [
            (&ours, [true, false, false, false, false]),
            (&shared, [true, true, false, false, false]),
        ] {
            for (validator, expected) in validators.iter().zip(expected) {
                assert_eq!(accepted(validator, token, &clock).await, expected);
                assert_eq!(recalls(validator, token, &clock), expected);
            }
        }
    }
}

#[tokio::test]
async fn non_jwt_and_rejected_jwt_are_not_cached() {
    // (E10: bounded negative results)
    let clock = clock();
    let validator = builder().build().unwrap();
    let good = token(json!({}));
    let (head, signature) = good.rsplit_once('.').unwrap();
    let forged = format!("{head}.{}", signature.chars().rev().collect::<String>());
    for bad in [
        "abc",
        "eyJhbGciOiJub25lIn0.e30.c2ln",
        &forged,
        &good[..good.len() - 1],
        &format!("{good}A"),
        &format!("{good}="),
        &format!("{good}.{good}"),
        head,
        &token(json!({"exp": NOW})),
        &token(json!({"aud": "https://other.example"})),
        &token(json!({"iss": "https://other.example"})),
        &token(json!({"exp": null})),
    ] {
        assert!(accepted(&validator, &good, &clock).await);
        for _ in 0..2 {
            assert!(!accepted(&validator, bad, &clock).await, "{bad}");
            assert!(!recalls(&validator, bad, &clock), "{bad}");
        }
        assert_eq!(validator.cache().unwrap().len(), 1, "{bad}");
    }
}

#[tokio::test]
async fn token_with_white_space_before_header_is_cached() {
    let clock = clock();
    let validator = builder().build().unwrap();
    let signer = Signer::new("HS256");
    for header in [
        "{\"alg\":\"HS256\"}",
        " {\"alg\":\"HS256\"}",
        "\n{\"alg\":\"HS256\"}",
        "\t{\"alg\":\"HS256\"}",
        "\r\n{\"alg\":\"HS256\"}",
    ] {
        let token = signer.token_of(header, &claims().to_string());
        let is_good = accepted(&validator, &token, &clock).await;
        assert_eq!(recalls(&validator, &token, &clock), is_good, "{header:?}");
        assert!(is_good, "{header:?}");
    }
}

#[tokio::test]
async fn custom_checks_run_on_each_hit() {
    // (F03: checks on hits, F05: removal of cached results)
    let clock = clock();
    let (runs, is_active) = (
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicBool::new(true)),
    );
    let (counted, active) = (Arc::clone(&runs), Arc::clone(&is_active));
    let validator = builder()
        .check(move |token: &AccessToken| {
            counted.fetch_add(1, Ordering::SeqCst);
            assert_eq!(token.token_id(), Some("t-1"));
            Ok(())
        })
        .check(move |_| match active.load(Ordering::SeqCst) {
            true => Ok(()),
            false => Err(Failure::throttled(7 * SECOND)),
        })
        .build()
        .unwrap();
    let token = token(json!({}));
    for round in 1..=5 {
        assert!(accepted(&validator, &token, &clock).await);
        assert_eq!(runs.load(Ordering::SeqCst), round);
        assert_eq!(validator.cache().unwrap().len(), 1);
    }
    is_active.store(false, Ordering::SeqCst);
    let refused = judge(&validator, &token, &clock).await;
    assert_eq!(refused.unwrap_err(), FailureKind::Throttled);
    assert!(validator.cache().unwrap().is_empty());
    is_active.store(true, Ordering::SeqCst);
    assert!(accepted(&validator, &token, &clock).await);

    // The same for claims of a type of one's own.
    #[derive(serde::Deserialize)]
    struct Session {
        sub: String,
    }
    let banned = Arc::new(Mutex::new(String::new()));
    let list = Arc::clone(&banned);
    let validator = builder()
        .claims::<Session>()
        .check(move |session| match session.sub == *list.lock().unwrap() {
            true => Err(refusal(InvalidReason::Revoked)),
            false => Ok(()),
        })
        .build()
        .unwrap();
    for (name, expected) in [("", true), ("bob", true), ("alice", false), ("bob", true)] {
        *banned.lock().unwrap() = name.to_owned();
        for _ in 0..2 {
            assert_eq!(
                accepted(&validator, &token, &clock).await,
                expected,
                "{name}"
            );
            assert_eq!(recalls(&validator, &token, &clock), expected, "{name}");
        }
    }
}

const OTHER: &str = "https://other-issuer.example";

fn of(issuer: &str) -> JwtValidator {
    JwtValidator::builder(SharedSecret::hs256(SECRET).unwrap())
        .issuer(issuer)
        .audience(AUDIENCE)
        .build()
        .unwrap()
}

#[tokio::test]
async fn removed_issuer_removes_its_cached_tokens_and_no_others() {
    // (F05: removal of cached results)
    let clock = clock();
    let issuers = JwtIssuers::new();
    let other_key = || {
        JwtValidator::builder(PublicKey::from_pem(public_pem("ed25519")).unwrap())
            .issuer(ISSUER)
            .audience(AUDIENCE)
            .build()
            .unwrap()
    };
    let other_audience = || {
        JwtValidator::builder(SharedSecret::hs256(SECRET).unwrap())
            .issuer(ISSUER)
            .audience("https://elsewhere.example")
            .build()
            .unwrap()
    };
    type Change<'c> = (&'static str, Box<dyn Fn() + 'c>, bool);
    let changes: [Change<'_>; 5] = [
        (
            "removed",
            Box::new(|| assert!(issuers.remove(ISSUER))),
            false,
        ),
        (
            "another key",
            Box::new(|| issuers.insert(other_key()).unwrap()),
            false,
        ),
        (
            "another audience",
            Box::new(|| issuers.insert(other_audience()).unwrap()),
            false,
        ),
        (
            "the same again",
            Box::new(|| issuers.insert(of(ISSUER)).unwrap()),
            true,
        ),
        (
            "removed, and there again",
            Box::new(|| {
                assert!(issuers.remove(ISSUER));
                issuers.insert(of(ISSUER)).unwrap();
            }),
            true,
        ),
    ];
    let (one, other) = (token(json!({})), token(json!({"iss": OTHER})));
    for (name, change, expected) in changes {
        issuers.insert(of(ISSUER)).unwrap();
        issuers.insert(of(OTHER)).unwrap();
        for token in [&one, &other] {
            assert!(accepted(&issuers, token, &clock).await, "{name}");
            assert!(recalls(&issuers, token, &clock), "{name}");
        }
        change();
        assert!(!recalls(&issuers, &one, &clock), "{name}");
        assert!(recalls(&issuers.clone(), &other, &clock), "{name}");
        assert_eq!(accepted(&issuers, &one, &clock).await, expected, "{name}");
        assert_eq!(recalls(&issuers, &one, &clock), expected, "{name}");
    }
    // What is not there does not concern anybody.
    assert!(!issuers.remove("https://nobody.example"));
    assert!(recalls(&issuers, &one, &clock));
    let cache = issuers.cache().unwrap();
    assert!(cache.remove(&one));
    assert!(!recalls(&issuers, &one, &clock));
}

#[tokio::test]
async fn failed_change_leaves_cache_unchanged() {
    let clock = clock();
    let issuers = JwtIssuers::with_limit(1);
    issuers.insert(of(ISSUER)).unwrap();
    let token = token(json!({}));
    assert!(accepted(&issuers, &token, &clock).await);
    issuers.insert(of(OTHER)).unwrap_err();
    let any_issuer = JwtValidator::builder(SharedSecret::hs256(SECRET).unwrap())
        .insecure_any_issuer()
        .audience(AUDIENCE)
        .build()
        .unwrap();
    issuers.insert(any_issuer).unwrap_err();
    assert!(recalls(&issuers, &token, &clock));
}

#[tokio::test]
async fn issuers_share_one_cache_in_place_of_validator_caches() {
    // (F02: separate caches)
    let clock = clock();
    let single = of(ISSUER);
    let token = token(json!({}));
    for (issuers, remembers) in [
        (JwtIssuers::new(), true),
        (JwtIssuers::with_limit(10), true),
        (JwtIssuers::with_limit(10).without_cache(), false),
    ] {
        issuers.insert(single.clone()).unwrap();
        assert!(accepted(&issuers, &token, &clock).await);
        assert_eq!(recalls(&issuers, &token, &clock), remembers);
        assert_eq!(issuers.cache().is_some(), remembers);
        assert!(single.cache().unwrap().is_empty());
    }
    // Nor does one that remembers it help another.
    assert!(accepted(&single, &token, &clock).await);
    let issuers = JwtIssuers::<AccessToken>::new();
    assert!(!accepted(&issuers, &token, &clock).await);
}

#[tokio::test]
async fn validator_without_cache_is_not_cached_by_issuers() {
    // (M18: caching by choice)
    let clock = clock();
    let never = || {
        let key = SharedSecret::hs256(SECRET).unwrap();
        let builder = JwtValidator::builder(key).issuer(ISSUER).audience(AUDIENCE);
        builder.without_cache().build().unwrap()
    };
    let token = token(json!({}));
    let of_other = Signer::new("HS256").token(&with(claims(), json!({"iss": OTHER})));
    for issuers in [
        JwtIssuers::new(),
        JwtIssuers::new().with_cache(CacheSettings::new()),
    ] {
        issuers.insert(never()).unwrap();
        issuers.insert(of(OTHER)).unwrap();
        for _ in 0..3 {
            assert!(accepted(&issuers, &token, &clock).await);
            assert!(!recalls(&issuers, &token, &clock));
            assert!(accepted(&issuers, &of_other, &clock).await);
            assert!(recalls(&issuers, &of_other, &clock), "the other issuer");
        }
        assert_eq!(issuers.cache().unwrap().len(), 1);
        // A validator that replaces it has its own setting.
        issuers.insert(of(ISSUER)).unwrap();
        assert!(accepted(&issuers, &token, &clock).await);
        assert!(recalls(&issuers, &token, &clock));
        issuers.insert(never()).unwrap();
        assert!(!recalls(&issuers, &token, &clock));
        assert!(accepted(&issuers, &token, &clock).await);
        assert!(!recalls(&issuers, &token, &clock));
        // An explicit cache around them is the caller's choice.
        let cached = issuers.cached(CacheSettings::new());
        assert!(accepted(&cached, &token, &clock).await);
        assert!(recalls(&cached, &token, &clock));
    }
    let cached = never().cached(CacheSettings::new());
    assert!(accepted(&cached, &token, &clock).await);
    assert!(recalls(&cached, &token, &clock));
}

#[tokio::test]
async fn cache_settings_of_validator_limit_cache_of_issuers() {
    // (M18: caching by choice)
    let token = token(json!({}));
    let minutes = |number: u64| Duration::from_secs(60 * number);
    let long = CacheSettings::new().with_time_to_live(minutes(30));
    for (name, settings, lives) in [
        ("default", None, Some(minutes(30))),
        (
            "shorter",
            Some(CacheSettings::new().with_time_to_live(minutes(1))),
            Some(minutes(1)),
        ),
        (
            "longer",
            Some(CacheSettings::new().with_time_to_live(minutes(50))),
            Some(minutes(30)),
        ),
        (
            "no time to live",
            Some(CacheSettings::new().with_time_to_live(Duration::ZERO)),
            None,
        ),
        ("no entries", Some(long.with_max_entries(0)), None),
        ("no bytes", Some(long.with_max_bytes(0)), None),
        (
            "shorter tokens",
            Some(long.with_max_token_length(token.len() - 1)),
            None,
        ),
        (
            "such tokens",
            Some(long.with_max_token_length(token.len())),
            Some(minutes(30)),
        ),
    ] {
        let clock = clock();
        let issuers = JwtIssuers::new().with_cache(long);
        let builder = match settings {
            Some(settings) => builder().cache(settings),
            None => builder(),
        };
        issuers.insert(builder.build().unwrap()).unwrap();
        assert!(accepted(&issuers, &token, &clock).await);
        assert_eq!(recalls(&issuers, &token, &clock), lives.is_some(), "{name}");
        if let Some(lives) = lives {
            clock.advance(lives - SECOND);
            assert!(recalls(&issuers, &token, &clock), "{name}");
            clock.advance(SECOND);
            assert!(!recalls(&issuers, &token, &clock), "{name}");
            assert!(accepted(&issuers, &token, &clock).await, "{name}");
        }
    }
}

#[tokio::test]
async fn maximum_age_ends_cached_tokens() {
    // (F04: expiry on hits) Expiry of cached results, at the earlier of `exp` and the maximum age,
    // with a clock that steps forwards and backwards.
    let age = |seconds| Duration::from_secs(seconds);
    for (name, exp, max_age, leeway, ends) in [
        ("age first", Some(NOW + 3_540), 100, 0, NOW - 60 + 100),
        (
            "age first, with leeway",
            Some(NOW + 3_540),
            100,
            7,
            NOW - 60 + 107,
        ),
        ("expiry first", Some(NOW + 30), 1_000, 5, NOW + 35),
        ("no expiry", None, 100, 0, NOW - 60 + 100),
    ] {
        let validators = |keep: bool| {
            let builder = builder().leeway(age(leeway)).max_token_age(age(max_age));
            let builder = builder.insecure_without_expiry();
            match keep {
                true => builder.build().unwrap(),
                false => builder.without_cache().build().unwrap(),
            }
        };
        let (cached, anew) = (validators(true), validators(false));
        let issuers = JwtIssuers::new();
        issuers.insert(validators(true)).unwrap();
        let token = token(json!({"exp": exp, "iat": NOW - 60}));
        let clock = clock();
        for (step, time) in [
            NOW,
            ends - 1,
            NOW,
            ends,
            ends + 1,
            ends - 1,
            NOW - 3,
            ends + 1_000,
            NOW,
        ]
        .into_iter()
        .enumerate()
        {
            clock.set(std::time::SystemTime::UNIX_EPOCH + age(time));
            let expected = time < ends;
            assert_eq!(
                accepted(&anew, &token, &clock).await,
                expected,
                "{name} {step}"
            );
            assert_eq!(
                accepted(&cached, &token, &clock).await,
                expected,
                "{name} {step}"
            );
            assert_eq!(
                accepted(&issuers, &token, &clock).await,
                expected,
                "{name} {step}"
            );
            assert_eq!(recalls(&cached, &token, &clock), expected, "{name} {step}");
            assert_eq!(recalls(&issuers, &token, &clock), expected, "{name} {step}");
        }
    }
}

#[tokio::test]
async fn layer_response_is_equal_for_cached_and_uncached_token() {
    // (F07: equal results)
    let clock = clock();
    let layer = |validator: JwtValidator| {
        BearerAuthLayer::new(validator)
            .with_policy(tower_bearer::policy::scope("orders:read"))
            .with_clock(clock.clone())
            .layer(tower::service_fn(|request: Request<Body>| async move {
                let token = request
                    .extensions()
                    .get::<tower_bearer::Authenticated<AccessToken>>()
                    .unwrap();
                let text = format!(
                    "{:?} {:?} {:?} {:?} {:?}",
                    token.subject(),
                    token.token_id(),
                    token.expires_at(),
                    token.claim("department"),
                    token.scopes().collect::<Vec<_>>(),
                );
                Ok::<_, std::convert::Infallible>(http::Response::new(Body::from(text)))
            }))
    };
    let remembered = layer(builder().build().unwrap());
    let anew = layer(builder().without_cache().build().unwrap());
    for token in [
        token(json!({"department": {"name": "sales"}})),
        token(json!({"scope": "orders:write"})),
        token(json!({"exp": NOW})),
        "abc".to_owned(),
    ] {
        let expected = send(anew.clone(), request(&token)).await;
        for _ in 0..3 {
            let answer = send(remembered.clone(), request(&token)).await;
            assert_eq!(answer.status(), expected.status());
            assert_eq!(answer.body, expected.body);
            assert_eq!(answer.challenges(), expected.challenges());
            let kind = |answer: &Answer| {
                let rejection = answer.response.extensions().get::<Rejection>();
                rejection.map(Rejection::kind)
            };
            assert_eq!(kind(&answer), kind(&expected));
        }
    }
}

#[tokio::test]
async fn claims_count_with_their_size_in_memory() {
    // (F06: bounded cache)
    let clock = clock();
    let settings = CacheSettings::new().with_max_bytes(1024 * 1024);
    let validator = builder().cache(settings).build().unwrap();
    for (name, value, most) in [
        ("text", json!("a".repeat(2_000)), 500),
        ("lists", json!(vec![json!([0]); 400]), 40),
        ("objects", json!(vec![json!({"": 0}); 100]), 16),
    ] {
        validator.cache().unwrap().clear();
        for number in 0..600 {
            let token = token(json!({"jti": format!("{number}"), "more": value}));
            assert!(token.len() < 4_096, "{name}");
            assert!(accepted(&validator, &token, &clock).await, "{name}");
        }
        let kept = validator.cache().unwrap().len();
        assert!(kept > 0 && kept <= most, "{name}: {kept}");
    }
}
