//! A store that cannot tell.

use tower_bearer::revocation::RevocationCheck;
use tower_bearer::{Rejection, RejectionKind};

use super::*;

const UNAVAILABLE: Result<(), FailureKind> = Err(FailureKind::Unavailable);

#[tokio::test]
async fn outage_rejects_cached_and_uncached_tokens_by_default() {
    // (K02: revocation outages, E13: rejected client credentials, E14: details for the operator)
    for has_epochs in [false, true] {
        let (store, clock) = (Store::new(has_epochs), clock());
        let (seen, fresh) = (token(json!({})), token(json!({"jti": "t-2"})));
        let validator = builder().revocations(Arc::clone(&store)).build().unwrap();
        for _ in 0..2 {
            assert_eq!(says(&validator, &seen, &clock), Ok(()));
        }
        store.go_down(true);
        for _ in 0..3 {
            for token in [&seen, &fresh] {
                let answer = answer(validator.clone(), token, &clock).await;
                assert_eq!(answer.status(), 503);
                assert_eq!(answer.header("retry-after"), Some("5"));
                assert_eq!(answer.challenges(), Vec::<&str>::new());
                // The operator finds what the store says, the client does not.
                assert!(!answer.body.contains("redis"), "{}", answer.body);
                let rejection = answer.response.extensions().get::<Rejection>().unwrap();
                assert_eq!(rejection.kind(), RejectionKind::Unavailable);
                let source = Error::source(rejection).unwrap();
                assert_eq!(source.to_string(), DETAIL);
            }
        }
        store.go_down(false);
        for token in [&seen, &fresh] {
            assert_eq!(answer(validator.clone(), token, &clock).await.status(), 200);
        }
    }
}

#[test]
fn outage_is_tolerated_for_configured_time() {
    // (K02: revocation outages)
    let max = Duration::from_secs(30);
    for has_epochs in [false, true] {
        for cached in [false, true] {
            let (store, clock) = (Store::new(has_epochs), clock());
            let check = RevocationCheck::new(Arc::clone(&store)).insecure_allow_in_outage(max);
            let mut builder = builder().revocations(check);
            if !cached {
                builder = builder.without_cache();
            }
            let validator = builder.build().unwrap();
            let (seen, fresh) = (token(json!({})), token(json!({"jti": "t-2"})));
            assert_eq!(says(&validator, &seen, &clock), Ok(()));
            store.go_down(true);
            for (after, expected) in [
                (Duration::ZERO, Ok(())),
                (SECOND, Ok(())),
                (max - Duration::from_nanos(1), Ok(())),
                (max, Ok(())),
                (max + Duration::from_nanos(1), UNAVAILABLE),
                (max + SECOND, UNAVAILABLE),
                (HOUR / 2, UNAVAILABLE),
                // Nobody knows how long ago that was.
                (max, Ok(())),
            ] {
                clock.set(now() + after);
                for token in [&seen, &fresh] {
                    let said = says(&validator, token, &clock);
                    assert_eq!(said, expected, "{after:?} {has_epochs} {cached}");
                }
            }
            // Each time that it can tell, it begins anew.
            store.go_down(false);
            clock.set(now() + MINUTE);
            assert_eq!(says(&validator, &seen, &clock), Ok(()));
            store.go_down(true);
            clock.advance(max);
            assert_eq!(says(&validator, &fresh, &clock), Ok(()));
            clock.advance(SECOND);
            assert_eq!(says(&validator, &fresh, &clock), UNAVAILABLE);
            assert_eq!(says(&validator, &seen, &clock), UNAVAILABLE);
            // What is revoked is, as soon as the store is back.
            store.go_down(false);
            store.revoke();
            for token in [&seen, &fresh] {
                assert_eq!(says(&validator, token, &clock), Err(REVOKED));
            }
        }
    }
}

#[test]
fn outage_is_not_tolerated_beyond_configured_time() {
    // (K02: revocation outages) The last answer came within a second, whatever part of it had
    // passed.
    for max in [Duration::ZERO, Duration::from_millis(500), 30 * SECOND] {
        for told in [Duration::ZERO, Duration::from_millis(900)] {
            let (store, clock, token) = (Store::new(true), clock(), token(json!({})));
            let check = RevocationCheck::new(Arc::clone(&store)).insecure_allow_in_outage(max);
            let validator = builder().revocations(check).build().unwrap();
            clock.set(now() + told);
            assert_eq!(says(&validator, &token, &clock), Ok(()));
            store.go_down(true);
            for after in [
                0, 1, 400, 501, 600, 999, 1_000, 29_999, 30_001, 30_500, 30_999,
            ] {
                let after = Duration::from_millis(after);
                clock.set(now() + told + after);
                let said = says(&validator, &token, &clock);
                if after > max {
                    assert_eq!(said, UNAVAILABLE, "{max:?} {told:?} {after:?}");
                } else if after + SECOND <= max {
                    assert_eq!(said, Ok(()), "{max:?} {told:?} {after:?}");
                }
            }
        }
    }
}

#[test]
fn cache_hits_count_as_contact_while_epoch_is_available() {
    // (K02: revocation outages)
    let (store, clock, token) = (Store::new(true), clock(), token(json!({})));
    let check = RevocationCheck::new(Arc::clone(&store)).insecure_allow_in_outage(30 * SECOND);
    let validator = builder().revocations(check).build().unwrap();
    assert_eq!(says(&validator, &token, &clock), Ok(()));
    clock.advance(4 * MINUTE);
    assert_eq!(ask(&validator, &token, &clock), (Ok(()), true));
    assert_eq!(store.asked(), 1);
    store.go_down(true);
    clock.advance(30 * SECOND);
    assert_eq!(says(&validator, &token, &clock), Ok(()));
    clock.advance(SECOND);
    assert_eq!(says(&validator, &token, &clock), UNAVAILABLE);
}

#[test]
fn store_without_any_success_rejects_every_token() {
    // (K02: revocation outages)
    for max in [Duration::ZERO, MINUTE, Duration::MAX] {
        let (store, clock) = (Store::new(true), clock());
        store.go_down(true);
        let check = RevocationCheck::new(Arc::clone(&store)).insecure_allow_in_outage(max);
        let validator = builder().revocations(check).build().unwrap();
        let token = token(json!({}));
        for _ in 0..3 {
            assert_eq!(says(&validator, &token, &clock), UNAVAILABLE, "{max:?}");
        }
        clock.set(now() - MINUTE);
        assert_eq!(says(&validator, &token, &clock), UNAVAILABLE, "{max:?}");
        store.go_down(false);
        assert_eq!(says(&validator, &token, &clock), Ok(()), "{max:?}");
    }
}

#[test]
fn clock_moved_backwards_does_not_extend_tolerance() {
    // (K02: revocation outages)
    for back in [Duration::from_nanos(1), SECOND, 5 * SECOND, MINUTE] {
        let (store, clock, token) = (Store::new(true), clock(), token(json!({})));
        let check = RevocationCheck::new(Arc::clone(&store)).insecure_allow_in_outage(HOUR);
        let validator = builder().revocations(check).build().unwrap();
        assert_eq!(says(&validator, &token, &clock), Ok(()));
        store.go_down(true);
        clock.set(now() - back);
        for _ in 0..2 {
            assert_eq!(says(&validator, &token, &clock), UNAVAILABLE, "{back:?}");
        }
    }
}

#[test]
fn outage_of_one_store_does_not_affect_another() {
    // (K02: revocation outages)
    let (down, up, clock, token) = (
        Store::new(true),
        Store::new(true),
        clock(),
        token(json!({})),
    );
    let check = RevocationCheck::new(Arc::clone(&down)).insecure_allow_in_outage(HOUR);
    let bridged = builder().revocations(check.clone()).build().unwrap();
    // The same store without leave, and the same check in another validator.
    let strict = builder().revocations(Arc::clone(&down)).build().unwrap();
    let shares = builder().revocations(check).build().unwrap();
    let other = builder().revocations(Arc::clone(&up)).build().unwrap();
    assert_eq!(says(&bridged, &token, &clock), Ok(()));
    down.go_down(true);
    assert_eq!(says(&bridged, &token, &clock), Ok(()));
    assert_eq!(says(&shares, &token, &clock), Ok(()));
    assert_eq!(says(&strict, &token, &clock), UNAVAILABLE);
    assert_eq!(says(&other, &token, &clock), Ok(()));
}
