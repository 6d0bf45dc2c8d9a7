//! The table of opaque tokens: what it accepts, and that it may change while requests run.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use http::Request;
use tower::Layer as _;
use tower_bearer::clock::ManualClock;
use tower_bearer::{
    BearerAuthLayer, Credential, FailureKind, InvalidReason, OpaqueTokens, RequestView, Source,
    TokenDigest, Validator, Verdict,
};

use crate::support::{User, start};

fn ask(
    tokens: &OpaqueTokens<User>,
    token: &str,
    now: SystemTime,
) -> Result<&'static str, FailureKind> {
    let request = Request::new(());
    let clock = ManualClock::new(now);
    let credential = Credential::bearer(token).unwrap();
    match tokens.validate(&credential, &RequestView::with_clock(&request, &clock)) {
        Verdict::Ready(Ok(validated)) => Ok(validated.principal().subject),
        Verdict::Ready(Err(failure)) => Err(failure.kind()),
        Verdict::Pending(_) => panic!("a table in memory has nothing to wait for"),
    }
}

fn user(subject: &'static str) -> User {
    User {
        subject,
        ..User::default()
    }
}

const UNKNOWN: Result<&str, FailureKind> = Err(FailureKind::Invalid(InvalidReason::Unknown));
const EXPIRED: Result<&str, FailureKind> = Err(FailureKind::Invalid(InvalidReason::Expired));

#[test]
fn token_matches_only_as_a_whole() {
    // (C16: whole tokens, J01: constant time, J02: no early end)
    let tokens = OpaqueTokens::new();
    tokens.insert("abcdef", user("alice")).unwrap();
    for (token, expected) in [
        ("abcdef", Ok("alice")),
        ("abcde", UNKNOWN),
        ("abcdefg", UNKNOWN),
        ("Abcdef", UNKNOWN),
        ("abcdef=", UNKNOWN),
        ("bcdef", UNKNOWN),
        // the digest of the token is not the token
        (
            "bef57ec7f53a6d40beb640a780a639c83bc29ac8a9816f1fc6c5c6dcd93c4721",
            UNKNOWN,
        ),
    ] {
        assert_eq!(ask(&tokens, token, start()), expected, "{token}");
    }
}

#[test]
fn basic_credential_text_is_not_accepted_as_token() {
    // Through a layer, because only a request makes such a credential.
    let tokens = OpaqueTokens::new();
    tokens.insert("YWxpY2U6eA==", user("alice")).unwrap();
    let layer = BearerAuthLayer::new(tokens)
        .with_sources([Source::basic(), Source::bearer()])
        .unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    for (scheme, status) in [("Basic", 401), ("Bearer", 200)] {
        let request = Request::get("/").header("authorization", format!("{scheme} YWxpY2U6eA=="));
        let service = layer.layer(crate::support::Greet);
        let answer = runtime.block_on(crate::support::send(
            service,
            request.body(crate::support::Body::default()).unwrap(),
        ));
        assert_eq!(answer.status(), status, "{scheme}");
    }
}

#[test]
fn token_expires_exactly_at_expiry() {
    let tokens = OpaqueTokens::new();
    tokens.insert_until("abc", user("alice"), start()).unwrap();
    assert_eq!(
        ask(&tokens, "abc", start() - Duration::from_nanos(1)),
        Ok("alice")
    );
    assert_eq!(ask(&tokens, "abc", start()), EXPIRED);
    tokens.retain(|_, expires_at| expires_at.is_none_or(|end| end > start()));
    assert!(tokens.is_empty());
    assert_eq!(ask(&tokens, "abc", start()), UNKNOWN);
}

#[test]
fn digest_is_accepted_in_place_of_token() {
    let tokens = OpaqueTokens::new();
    // printf %s abcdef | sha256sum
    let hex = "bef57ec7f53a6d40beb640a780a639c83bc29ac8a9816f1fc6c5c6dcd93c4721";
    let digest = TokenDigest::from_hex(hex).unwrap();
    assert!(digest == TokenDigest::of("abcdef"));
    assert!(digest == TokenDigest::from_hex(&hex.to_uppercase()).unwrap());
    assert!(digest != TokenDigest::of("abcdeg"));
    tokens.insert_digest(digest, user("alice"), None);
    assert_eq!(ask(&tokens, "abcdef", start()), Ok("alice"));
    assert!(tokens.remove("abcdef"));
    assert!(!tokens.remove_digest(&digest));
    for wrong in [
        "",
        "zz",
        &hex[1..],
        &format!("{hex}0"),
        &hex.replace('b', "g"),
        &"é".repeat(32),
    ] {
        assert!(TokenDigest::from_hex(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn digests_with_one_different_bit_are_unequal() {
    let mut bytes = [0x5a; 32];
    let digest = TokenDigest::from_bytes(bytes);
    for bit in 0..256 {
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(digest != TokenDigest::from_bytes(bytes), "bit {bit}");
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
    assert!(digest == TokenDigest::from_bytes(bytes));
}

#[test]
fn concurrent_insert_and_remove_is_atomic_for_readers() {
    let tokens = OpaqueTokens::new();
    tokens.insert("stays", user("alice")).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    assert_eq!(ask(&tokens, "stays", start()), Ok("alice"));
                    let moving = ask(&tokens, "moves", start());
                    assert!(moving == Ok("bob") || moving == UNKNOWN, "{moving:?}");
                }
            });
        }
        for round in 0..2_000 {
            tokens.insert("moves", user("bob")).unwrap();
            assert_eq!(ask(&tokens, "moves", start()), Ok("bob"), "round {round}");
            assert!(tokens.remove("moves"));
            // Taken back means taken back, for every request that starts now.
            assert_eq!(ask(&tokens, "moves", start()), UNKNOWN, "round {round}");
        }
        done.store(true, Ordering::Relaxed);
    });
}
