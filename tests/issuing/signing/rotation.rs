//! One key after another.

use super::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tower_bearer::jwt::KeyError;

#[test]
fn rotation_under_load_rejects_no_valid_token() {
    let keys = keys("0");
    let validator = validator(&keys);
    let is_over = Arc::new(AtomicBool::new(false));
    let checked = Arc::new(AtomicUsize::new(0));
    let threads: Vec<_> = (0..3)
        .map(|thread| {
            let (keys, validator) = (keys.clone(), validator.clone());
            let (is_over, checked) = (Arc::clone(&is_over), Arc::clone(&checked));
            std::thread::spawn(move || {
                // Of before, each of which is asked for again and again.
                let mut tokens = vec![sign(&keys.current(), thread)];
                while !is_over.load(Ordering::SeqCst) {
                    tokens.push(sign(&keys.current(), thread));
                    for token in tokens.iter().rev().take(8).chain(&tokens[..1]) {
                        assert_eq!(says(&validator, token), Ok(()));
                        checked.fetch_add(1, Ordering::SeqCst);
                    }
                }
            })
        })
        .collect();
    for number in 1..=12 {
        let before = checked.load(Ordering::SeqCst);
        let next = generate(&number.to_string());
        match number % 2 {
            0 => keys.rotate(next, now(), HOUR).unwrap(),
            _ => {
                keys.publish(next).unwrap();
                keys.activate(&number.to_string(), now(), HOUR).unwrap();
            }
        }
        while checked.load(Ordering::SeqCst) < before + 30
            && !threads.iter().all(std::thread::JoinHandle::is_finished)
        {
            std::thread::yield_now();
        }
    }
    is_over.store(true, Ordering::SeqCst);
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(keys.kids(now()).len(), 13);
}

#[test]
fn removed_key_invalidates_its_tokens() {
    // (E03: replaced key sets, F05: removal of cached results)
    let keys = keys("a");
    let validator = validator(&keys);
    let of_a = sign(&keys.current(), 1);
    assert_eq!(ask(&validator, &of_a, now()), (Ok(()), false));
    assert_eq!(ask(&validator, &of_a, now()), (Ok(()), true));
    assert!(matches!(keys.remove("a"), Err(KeyError::KeyInUse { kid }) if kid == "a"));
    assert!(matches!(keys.remove("b"), Err(KeyError::UnknownKeyId { kid }) if kid == "b"));

    keys.rotate(generate("b"), now(), HOUR).unwrap();
    let of_b = sign(&keys.current(), 1);
    assert_eq!(ask(&validator, &of_a, now()), (Ok(()), false));
    assert_eq!(ask(&validator, &of_a, now()), (Ok(()), true));
    assert_eq!(says(&validator, &of_b), Ok(()));

    keys.remove("a").unwrap();
    let refused = Err(FailureKind::Invalid(tower_bearer::InvalidReason::Key));
    assert_eq!(ask(&validator, &of_a, now()), (refused, false));
    assert_eq!(says(&validator, &of_b), Ok(()));
}

#[test]
fn former_key_stays_valid_for_configured_time() {
    let keys = keys("a");
    let validator = validator(&keys);
    let claims = with(claims(), json!({"exp": NOW + 100_000}));
    let of_a = keys.current().sign_jwt("at+jwt", &claims).unwrap();
    keys.rotate(generate("b"), now(), HOUR).unwrap();
    keys.rotate(generate("c"), now() + MINUTE, HOUR).unwrap();
    let kids = |after| keys.kids(now() + after);
    assert_eq!(keys.current().kid(), "c");
    assert_eq!(kids(MINUTE), ["c", "b", "a"]);
    let second = Duration::from_secs(1);
    for (after, expected, published) in [
        (HOUR - second, Ok(()), 3),
        (
            HOUR,
            Err(FailureKind::Invalid(tower_bearer::InvalidReason::Key)),
            2,
        ),
        (
            HOUR + MINUTE - second,
            Err(FailureKind::Invalid(tower_bearer::InvalidReason::Key)),
            2,
        ),
        (
            HOUR + MINUTE,
            Err(FailureKind::Invalid(tower_bearer::InvalidReason::Key)),
            1,
        ),
        // A clock that was ahead and is set right takes nothing away.
        (HOUR - second, Ok(()), 3),
    ] {
        assert_eq!(
            ask(&validator, &of_a, now() + after).0,
            expected,
            "{after:?}"
        );
        assert_eq!(
            ask(&validator, &of_a, now() + after).0,
            expected,
            "{after:?}"
        );
        let set: Value = serde_json::from_str(&keys.jwks_json(now() + after)).unwrap();
        assert_eq!(
            set["keys"].as_array().unwrap().len(),
            published,
            "{after:?}"
        );
        assert_eq!(kids(after).len(), published);
    }
    // With the next change it goes for good.
    keys.rotate(generate("d"), now() + HOUR * 2, Duration::MAX)
        .unwrap();
    assert_eq!(kids(Duration::ZERO), ["d", "c"]);
    assert_eq!(kids(HOUR * 1_000_000), ["d", "c"]);
}

#[test]
fn next_key_is_published_before_first_signature() {
    let keys = keys("a");
    keys.publish(generate("b")).unwrap();
    assert_eq!(keys.current().kid(), "a");
    assert_eq!(keys.kids(now()), ["a", "b"]);
    let set = jwks(&keys);
    assert_eq!(set["keys"][0]["kid"], "a");
    assert_eq!(set["keys"][1]["kid"], "b");
    assert_eq!(set["keys"][0]["use"], "sig");
    assert!(matches!(
        keys.activate("c", now(), HOUR),
        Err(KeyError::UnknownKeyId { .. })
    ));
    keys.activate("a", now(), Duration::ZERO).unwrap();
    assert_eq!(keys.kids(now()), ["a", "b"]);
    keys.activate("b", now(), HOUR).unwrap();
    assert_eq!(keys.current().kid(), "b");
    // And back.
    keys.activate("a", now(), HOUR).unwrap();
    assert_eq!(keys.current().kid(), "a");
    assert_eq!(keys.kids(now() + HOUR), ["a"]);
    // Not kept at all.
    keys.activate("b", now(), Duration::ZERO).unwrap();
    assert_eq!(keys.kids(now()), ["b"]);
}

#[test]
fn duplicate_kid_and_too_many_keys_are_rejected() {
    let keys = keys("0");
    let duplicate = |result| matches!(result, Err(KeyError::DuplicateKeyId { .. }));
    assert!(duplicate(keys.publish(generate("0"))));
    assert!(duplicate(keys.rotate(generate("0"), now(), HOUR)));
    // (C10: issuer and `kid`) Another algorithm makes it no other name.
    let other = SigningKey::generate(Algorithm::Ed25519).unwrap();
    assert!(duplicate(keys.publish(other.with_kid("0").unwrap())));
    // (C03: public keys as secrets) Whoever has the secret would be taken for the holder of the
    // private keys.
    let secret = SigningKey::generate(Algorithm::HS256).unwrap();
    assert_eq!(keys.publish(secret).unwrap_err(), KeyError::Mixed);
    for number in 1..16 {
        keys.publish(generate(&number.to_string())).unwrap();
    }
    let full = |result| matches!(result, Err(KeyError::TooMany { limit: 16, .. }));
    assert!(full(keys.publish(generate("16"))));
    assert!(full(keys.rotate(generate("16"), now(), HOUR)));
    // What was refused has changed nothing.
    assert_eq!(keys.current().kid(), "0");
    assert_eq!(keys.kids(now()).len(), 16);
    keys.activate("1", now(), MINUTE).unwrap();
    // The time of one of them is over.
    keys.rotate(generate("16"), now() + MINUTE, HOUR).unwrap();
    assert_eq!(keys.kids(now() + MINUTE).len(), 16);
}

#[test]
fn rotation_can_change_algorithm() {
    let keys = keys("a");
    let validator = validator(&keys);
    let of_a = sign(&keys.current(), 1);
    keys.rotate(
        SigningKey::generate(Algorithm::Ed25519).unwrap(),
        now(),
        HOUR,
    )
    .unwrap();
    let token = sign(&keys.current(), 2);
    assert_eq!(says(&validator, &of_a), Ok(()));
    assert_eq!(says(&validator, &token), Ok(()));
    // A token of one key under the name of the other is none.
    let forged = generate(keys.current().kid());
    assert!(says(&validator, &sign(&forged, 3)).is_err());
}

#[test]
fn rotated_secrets_verify_and_are_never_published() {
    let key = |kid: &str| {
        let key = SigningKey::generate(Algorithm::HS256).unwrap();
        key.with_kid(kid).unwrap()
    };
    let keys = SigningKeys::new(key("a")).unwrap();
    let validator = validator(&keys);
    let of_a = sign(&keys.current(), 1);
    keys.rotate(key("b"), now(), HOUR).unwrap();
    let of_b = sign(&keys.current(), 1);
    assert_eq!(says(&validator, &of_a), Ok(()));
    assert_eq!(says(&validator, &of_b), Ok(()));
    assert_eq!(&*keys.jwks_json(now()), r#"{"keys":[]}"#);
    keys.remove("a").unwrap();
    assert!(says(&validator, &of_a).is_err());
}
