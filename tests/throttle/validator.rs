//! In front of a validator.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::Request;
use tower::Layer as _;
use tower_bearer::ValidatorExt as _;
use tower_bearer::clock::ManualClock;
use tower_bearer::throttle::{ClientAddress, PeerAddress, Throttle, Throttled};
use tower_bearer::{
    BearerAuthLayer, Credential, Failure, InvalidReason, Validated, Validator, Verdict,
    validator_fn,
};

use super::{clock, seconds, with};
use crate::support::{Answer, Body, Greet, User, send};

fn small(clock: &ManualClock) -> Throttle {
    with(clock, |builder| builder.per_address(3, seconds(10)))
}

/// What a token says happens, and how often somebody asked.
fn answering(
    asked: Arc<AtomicUsize>,
    waits: bool,
) -> impl Validator<Principal = User> + Clone + 'static {
    validator_fn(move |credential: Credential<'_>| {
        asked.fetch_add(1, Ordering::Relaxed);
        let result = match credential.token() {
            "good" => Ok(Validated::new(User {
                subject: "alice",
                ..User::default()
            })),
            "unrecognized" => Err(Failure::unrecognized()),
            "malformed" => Err(Failure::invalid(InvalidReason::Malformed)),
            "signature" => Err(Failure::invalid(InvalidReason::Signature)),
            "expired" => Err(Failure::invalid(InvalidReason::Expired)),
            "revoked" => Err(Failure::invalid(InvalidReason::Revoked)),
            "throttled" => Err(Failure::throttled(seconds(1))),
            "down" => Err(Failure::unavailable("down")),
            _ => Err(Failure::invalid(InvalidReason::Unknown)),
        };
        match waits {
            true => Verdict::pending(async move { result }),
            false => Verdict::Ready(result),
        }
    })
}

async fn ask<V>(validator: &Throttled<V>, from: u8, token: &str) -> Answer
where
    V: Validator<Principal = User> + Clone + 'static,
{
    let layer = BearerAuthLayer::new(validator.clone());
    let mut request = Request::get("/").body(Body::default()).unwrap();
    if !token.is_empty() {
        let value = format!("Bearer {token}").parse().unwrap();
        request.headers_mut().insert("authorization", value);
    }
    let peer = SocketAddr::from(([192, 0, 2, from], 5_000));
    request.extensions_mut().insert(PeerAddress(peer));
    send(layer.layer(Greet), request).await
}

#[tokio::test]
async fn too_many_invalid_credentials_are_429_before_validation() {
    for waits in [false, true] {
        let clock = clock();
        let asked = Arc::new(AtomicUsize::new(0));
        let validator = answering(asked.clone(), waits)
            .throttled(small(&clock), ClientAddress::from_connection());
        for token in ["guess", "signature", "unrecognized"] {
            assert_eq!(ask(&validator, 1, token).await.status(), 401);
        }
        assert_eq!(asked.load(Ordering::Relaxed), 3);
        for token in ["guess", "good"] {
            let refused = ask(&validator, 1, token).await;
            assert_eq!(refused.status(), 429);
            assert_eq!(refused.header("retry-after"), Some("10"));
            assert_eq!(refused.header("cache-control"), Some("no-store"));
            assert!(refused.challenges().is_empty());
        }
        assert_eq!(asked.load(Ordering::Relaxed), 3);
        // Elsewhere nothing has happened.
        assert_eq!(ask(&validator, 2, "good").await.status(), 200);

        clock.advance(seconds(10));
        assert_eq!(ask(&validator, 1, "good").await.status(), 200);
        assert_eq!(ask(&validator, 1, "malformed").await.status(), 400);
        assert_eq!(ask(&validator, 1, "good").await.status(), 429);
    }
}

#[tokio::test]
async fn request_without_guess_uses_no_budget() {
    for waits in [false, true] {
        let clock = clock();
        let validator = answering(Arc::default(), waits)
            .throttled(small(&clock), ClientAddress::from_connection());
        for (token, status) in [
            ("good", 200),
            ("expired", 401),
            ("revoked", 401),
            ("down", 503),
            ("throttled", 429),
            ("", 401),
        ] {
            for _ in 0..10 {
                assert_eq!(ask(&validator, 1, token).await.status(), status, "{token}");
            }
        }
        assert_eq!(ask(&validator, 1, "guess").await.status(), 401);
    }
}

#[tokio::test]
async fn credential_accepted_by_either_validator_uses_no_budget() {
    let clock = clock();
    let keys = validator_fn(|_: Credential<'_>| Err::<User, _>(Failure::unrecognized()));
    let validator = keys
        .or(answering(Arc::default(), false))
        .throttled(small(&clock), ClientAddress::from_connection());
    for _ in 0..10 {
        assert_eq!(ask(&validator, 1, "good").await.status(), 200);
    }
}

/// Those who wait at the same time are all told, and what was too much is paid for.
#[tokio::test]
async fn concurrent_failures_beyond_budget_are_bounded() {
    let clock = clock();
    let validator =
        answering(Arc::default(), true).throttled(small(&clock), ClientAddress::from_connection());
    let at_once = |number: usize| {
        let mut request = Request::new(());
        let peer = SocketAddr::from(([192, 0, 2, 1], 5_000));
        request.extensions_mut().insert(PeerAddress(peer));
        let view = tower_bearer::RequestView::new(&request);
        let credential = Credential::bearer("guess").unwrap();
        (0..number)
            .map(|_| match validator.validate(&credential, &view) {
                Verdict::Pending(future) => future,
                Verdict::Ready(_) => panic!("it waits"),
            })
            .collect::<Vec<_>>()
    };
    for future in at_once(5) {
        assert!(future.await.is_err());
    }
    assert_eq!(
        ask(&validator, 1, "good").await.header("retry-after"),
        Some("30")
    );
    clock.advance(seconds(50));
    for future in at_once(1_000) {
        assert!(future.await.is_err());
    }
    // Twice the budget at most.
    assert_eq!(
        ask(&validator, 1, "good").await.header("retry-after"),
        Some("40")
    );
    clock.advance(seconds(40));
    assert_eq!(ask(&validator, 1, "good").await.status(), 200);
}

#[cfg(feature = "cache")]
#[tokio::test]
async fn cached_credential_is_accepted_from_throttled_address() {
    use tower_bearer::cache::CacheSettings;

    let clock = clock();
    let validator = answering(Arc::default(), false)
        .cached(CacheSettings::new())
        .throttled(small(&clock), ClientAddress::from_connection());
    assert_eq!(ask(&validator, 1, "good").await.status(), 200);
    for _ in 0..3 {
        assert_eq!(ask(&validator, 1, "guess").await.status(), 401);
    }
    assert_eq!(ask(&validator, 1, "guess").await.status(), 429);
    assert_eq!(ask(&validator, 1, "good").await.status(), 200);
}
