//! Tokens and keys are wiped before their memory is freed, and caches keep to their limits.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::Request;
use serde_json::json;
use tower_bearer::ValidatorExt as _;
use tower_bearer::cache::{CacheSettings, Cached, VerdictCache};
use tower_bearer::clock::ManualClock;
use tower_bearer::jwt::{JwtIssuers, JwtValidator, SharedSecret};
use tower_bearer::{
    Credential, Failure, InvalidReason, RequestView, Validated, Validator, Verdict, validator_fn,
};

use crate::allocator::{held_bytes, marked_in_freed_blocks};
use crate::tokens::{AUDIENCE, ISSUER, NOW, SECRET, Signer, claims, now, with};

/// In each token of these tests. Whoever frees a block with it has left a token behind.
const MARKER: &str = "VThKWnBERTBpR1hsRDZnTkNG";
/// The text that it is in base64url.
const TEXT: &str = "U8JZpDE0iGXlD6gNCF";

/// How many freed blocks had a token in them.
fn left_behind(act: impl FnOnce()) -> usize {
    marked_in_freed_blocks(MARKER.as_bytes(), act)
}

/// A credential whose own bytes are never freed, whatever is done with its clones.
fn credential(token: &str) -> &'static Credential<'static> {
    Box::leak(Box::new(Credential::bearer(token).unwrap()))
}

fn token(number: usize) -> String {
    format!("{MARKER}-{number}")
}

fn clock() -> &'static ManualClock {
    Box::leak(Box::new(ManualClock::new(now())))
}

fn ask<V: Validator>(
    validator: &V,
    credential: &Credential<'_>,
    clock: &ManualClock,
) -> Verdict<V::Principal> {
    let request = Request::new(());
    let view = RequestView::with_clock(&request, clock);
    match validator.cached_verdict(&credential.unchecked(), &view) {
        Some(verdict) => verdict,
        None => validator.validate(credential, &view),
    }
}

/// Whether it is accepted at once.
fn is_good<V: Validator>(validator: &V, credential: &Credential<'_>, clock: &ManualClock) -> bool {
    match ask(validator, credential, clock) {
        Verdict::Ready(answer) => answer.is_ok(),
        Verdict::Pending(_) => panic!("nothing has to wait"),
    }
}

/// Says yes, and keeps nothing of the token.
fn yes(settings: CacheSettings) -> Cached<impl Validator<Principal = usize> + Clone> {
    validator_fn(|credential: Credential<'_>| Ok::<_, Failure>(credential.token().len()))
        .cached(settings)
}

#[test]
fn search_finds_unwiped_token() {
    let plain = || token(1).into_bytes().into_boxed_slice();
    let kept = plain();
    assert_eq!(left_behind(|| drop(kept)), 1);
    let mut wiped = plain();
    assert_eq!(
        left_behind(|| {
            wiped.fill(0);
            drop(wiped);
        }),
        0
    );
    // Also what moves when a vector grows.
    let mut grown = token(1).into_bytes();
    grown.shrink_to_fit();
    let left = left_behind(|| {
        grown.reserve(10_000);
        grown.fill(0);
        drop(grown);
    });
    assert_eq!(left, 1);
    // A header value, which is not ours to wipe.
    let value = Credential::bearer(&token(1)).unwrap();
    assert_eq!(left_behind(|| drop(value)), 1);
}

/// A way for tokens to go.
type Going = fn(&VerdictCache<usize>, &dyn Fn(usize), &ManualClock, &[String]);

#[test]
fn removed_cache_entry_leaves_no_token_in_freed_memory() {
    // (J03: no secrets in texts)
    let ways: [(&str, CacheSettings, Going); 8] = [
        (
            "there is no room",
            CacheSettings::new().with_max_entries(2),
            |cache, present, _, _| {
                for number in 10..60 {
                    present(number);
                    // Some move between the parts of the table.
                    present(number / 2);
                }
                assert_eq!(cache.len(), 2);
            },
        ),
        (
            "it is too large",
            CacheSettings::new().with_max_bytes(100),
            |cache, _, _, _| assert!(cache.is_empty()),
        ),
        (
            "it is removed",
            CacheSettings::new(),
            |cache, _, _, tokens| {
                for token in &tokens[..10] {
                    assert!(cache.remove(token));
                }
                assert!(cache.is_empty());
            },
        ),
        (
            "its time is over",
            CacheSettings::new(),
            |cache, present, clock, _| {
                clock.advance(Duration::from_secs(300));
                for number in 0..10 {
                    present(number);
                }
                assert_eq!(cache.len(), 10);
            },
        ),
        ("it is cleared", CacheSettings::new(), |cache, _, _, _| {
            cache.clear();
        }),
        (
            "the clock is set back",
            CacheSettings::new(),
            |cache, present, clock, _| {
                clock.set(now() - Duration::from_secs(6));
                present(10);
                assert_eq!(cache.len(), 1);
            },
        ),
        (
            "the table grows",
            CacheSettings::new(),
            |cache, present, _, _| {
                for number in 10..1_000 {
                    present(number);
                }
                assert_eq!(cache.len(), 1_000);
            },
        ),
        ("the cache goes", CacheSettings::new(), |_, _, _, _| {}),
    ];
    for (name, settings, going) in ways {
        let validator = yes(settings);
        let clock = clock();
        let tokens: Vec<_> = (0..1_000).map(token).collect();
        let credentials: Vec<_> = tokens.iter().map(|token| credential(token)).collect();
        let cache = validator.cache().clone();
        let left = left_behind(|| {
            let present = |number: usize| {
                let credential: &Credential<'_> = credentials[number];
                assert!(is_good(&validator, credential, clock), "{name}");
            };
            for _ in 0..2 {
                (0..10).for_each(present);
            }
            going(&cache, &present, clock, &tokens);
            drop(cache);
        });
        assert_eq!(left, 0, "{name}");
        assert_eq!(left_behind(|| drop(validator)), 0, "{name}");
    }
}

#[test]
fn invalid_dependency_leaves_no_token_in_freed_memory() {
    // (J03: no secrets in texts)
    let flag = Arc::new(AtomicBool::new(true));
    let rests_on = Arc::clone(&flag);
    let validator = validator_fn(move |_: Credential<'_>| {
        Verdict::from(match rests_on.load(Ordering::SeqCst) {
            true => Ok(Validated::new(7_usize).with_dependency(Arc::clone(&rests_on))),
            false => Err(Failure::invalid(InvalidReason::Revoked)),
        })
    })
    .cached(CacheSettings::new());
    let (credential, clock) = (credential(&token(1)), clock());
    let left = left_behind(|| {
        for good in [true, true, false, false, true] {
            flag.store(good, Ordering::SeqCst);
            assert_eq!(is_good(&validator, credential, clock), good);
        }
    });
    assert_eq!(left, 0);
}

type Waiting = Pin<Box<dyn Future<Output = Result<Validated<usize>, Failure>> + Send>>;

#[test]
fn asynchronous_validation_leaves_no_token_in_freed_memory() {
    // (F08: unfinished validations, J03: no secrets in texts)
    type Ending = fn(Vec<Waiting>, &VerdictCache<usize>, &AtomicBool, &str);
    fn poll(waiting: &mut Waiting) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        match waiting.as_mut().poll(&mut cx) {
            Poll::Ready(Ok(_)) => true,
            Poll::Ready(Err(failure)) => panic!("{failure}"),
            Poll::Pending => false,
        }
    }
    let endings: [(&str, Ending); 5] = [
        ("none is looked at", |waiting, _, _, _| drop(waiting)),
        ("all are given up", |mut waiting, cache, _, _| {
            assert!(!waiting.iter_mut().any(poll));
            drop(waiting);
            assert!(cache.is_empty());
        }),
        ("all come to an end", |mut waiting, cache, is_done, _| {
            assert!(!poll(&mut waiting[0]));
            is_done.store(true, Ordering::SeqCst);
            assert!(waiting.iter_mut().all(poll));
            assert_eq!(cache.len(), 1);
        }),
        (
            "it is removed meanwhile",
            |mut waiting, cache, is_done, token| {
                assert!(!poll(&mut waiting[0]));
                assert!(!cache.remove(token));
                is_done.store(true, Ordering::SeqCst);
                assert!(waiting.iter_mut().all(poll));
                assert!(cache.is_empty());
            },
        ),
        (
            "all are cleared meanwhile",
            |mut waiting, cache, is_done, _| {
                assert!(!poll(&mut waiting[0]));
                cache.clear();
                is_done.store(true, Ordering::SeqCst);
                assert!(waiting.iter_mut().all(poll));
                assert!(cache.is_empty());
            },
        ),
    ];
    for (name, ending) in endings {
        let is_done = Arc::new(AtomicBool::new(false));
        let done = Arc::clone(&is_done);
        let validator = validator_fn(move |_: Credential<'_>| {
            let done = Arc::clone(&done);
            async move {
                std::future::poll_fn(|_| match done.load(Ordering::SeqCst) {
                    true => Poll::Ready(()),
                    false => Poll::Pending,
                })
                .await;
                Ok::<_, Failure>(7_usize)
            }
        })
        .cached(CacheSettings::new());
        let token = token(1);
        let (credential, clock) = (credential(&token), clock());
        let left = left_behind(|| {
            let waiting: Vec<Waiting> = (0..3)
                .map(|_| match ask(&validator, credential, clock) {
                    Verdict::Pending(waiting) => waiting,
                    Verdict::Ready(_) => panic!("it has to wait"),
                })
                .collect();
            ending(waiting, validator.cache(), &is_done, &token);
            drop(validator);
        });
        assert_eq!(left, 0, "{name}");
    }
}

#[test]
fn jwt_validation_leaves_no_token_in_freed_memory() {
    // (J03: no secrets in texts)
    let signer = Signer::new("HS256");
    let header = format!(r#"{{"alg":"HS256","xy":"{TEXT}"}}"#);
    let good = signer.token_of(&header, &claims().to_string());
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let forged = format!("{signed}.{}", signature.chars().rev().collect::<String>());
    let ended = signer.token_of(
        &header,
        &with(claims(), json!({"exp": NOW - 60})).to_string(),
    );
    let key = SharedSecret::hs256(SECRET).unwrap();
    let validator = JwtValidator::builder(key)
        .issuer(ISSUER)
        .audience(AUDIENCE)
        .build()
        .unwrap();
    let clock = clock();
    for (name, token, expected) in [
        ("good", good, true),
        ("forged", forged, false),
        ("ended", ended, false),
    ] {
        assert!(token.contains(MARKER), "{name}");
        let credential = credential(&token);
        let issuers = JwtIssuers::new();
        issuers.insert(validator.clone()).unwrap();
        let left = left_behind(|| {
            for _ in 0..3 {
                assert_eq!(is_good(&validator, credential, clock), expected, "{name}");
                assert_eq!(is_good(&issuers, credential, clock), expected, "{name}");
            }
            let cache = validator.cache().unwrap();
            assert_eq!(cache.remove(&token), expected, "{name}");
            assert_eq!(is_good(&validator, credential, clock), expected, "{name}");
            cache.clear();
            assert!(issuers.remove(ISSUER));
            assert!(!is_good(&issuers, credential, clock), "{name}");
            assert!(issuers.cache().unwrap().is_empty(), "{name}");
            drop(issuers);
        });
        assert_eq!(left, 0, "{name}");
    }
}

#[test]
fn flood_of_tokens_stays_within_byte_limit() {
    // (F06: bounded cache) Nor do those that have gone.
    const MAX_BYTES: usize = 1024 * 1024;
    for max_entries in [10_000, 1_000_000, usize::MAX] {
        let settings = CacheSettings::new()
            .with_max_bytes(MAX_BYTES)
            .with_max_entries(max_entries);
        let before = held_bytes();
        let validator = yes(settings);
        let clock = ManualClock::new(now());
        for number in 0..40_000_usize {
            let credential = Credential::bearer(&format!("{number:0200}")).unwrap();
            assert!(is_good(&validator, &credential, &clock));
        }
        assert!(validator.cache().len() > 1_000);
        let held = usize::try_from(held_bytes() - before).unwrap();
        assert!(held < MAX_BYTES + MAX_BYTES / 4, "{max_entries}: {held}");
        drop(validator);
        let left = held_bytes() - before;
        assert!(left < 10_000, "{max_entries}: {left}");
    }
}

#[cfg(feature = "issuing")]
#[test]
fn signing_secret_is_wiped_before_free() {
    // (J03: no secrets in texts)
    use tower_bearer::issuing::{SigningKey, SigningKeys};

    let bytes: &'static str = Box::leak(format!("{MARKER}{}", "x7Gq!".repeat(4)).into_boxed_str());
    let left = left_behind(|| {
        let key = SigningKey::from_secret(SharedSecret::hs256(bytes).unwrap()).unwrap();
        let keys = SigningKeys::new(key.with_kid("k").unwrap()).unwrap();
        let validator = JwtValidator::builder(&keys)
            .issuer(ISSUER)
            .audience(AUDIENCE)
            .build()
            .unwrap();
        let clock = clock();
        let token = keys.current().sign_jwt("at+jwt", &claims()).unwrap();
        assert!(is_good(&validator, credential(&token), clock));
        let next = SharedSecret::hs256(bytes).unwrap();
        let next = SigningKey::from_secret(next).unwrap();
        keys.rotate(next, now(), Duration::ZERO).unwrap();
        assert!(!is_good(&validator, credential(&token), clock));
    });
    assert_eq!(left, 0);
}

#[cfg(feature = "issuing")]
#[test]
fn private_key_is_wiped_before_free() {
    // (J03: no secrets in texts)
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use tower_bearer::issuing::SigningKey;

    // An Ed25519 key may be any 32 bytes, so these can be found again.
    let mut der = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".to_vec();
    der.extend_from_slice(MARKER.as_bytes());
    der.extend_from_slice(b"12345678");
    let pem: &'static str = Box::leak(
        format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            STANDARD.encode(&der)
        )
        .into_boxed_str(),
    );
    let left = left_behind(|| {
        let key = SigningKey::from_pem(pem).unwrap();
        let text = key.to_pkcs8_pem().unwrap();
        assert_eq!(text.as_str(), pem);
        let _token = key.sign_jwt("at+jwt", &claims()).unwrap();
        let _debug = format!("{key:?} {text:?}");
    });
    assert_eq!(left, 0);
    // The search would have found it.
    assert_eq!(left_behind(|| drop(der)), 1);
}
