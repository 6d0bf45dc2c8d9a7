//! Tokens that the keys at hand do not explain.

use tower_bearer::{InvalidReason, Rejection, RejectionKind};

use super::*;
use crate::http_server::Gate;

#[tokio::test]
async fn a_new_key_is_found_at_once() {
    // E01: also right after a scheduled fetch, which has a cooldown of its own.
    let (old, new, clock) = (signer("old"), other_signer("new"), clock());
    let server = issuer([&old]);
    let keys = builder(&server, &clock).connect().await.unwrap();
    let service = service(&keys, &clock);
    server.set(JWKS, Reply::json(jwks([&old, &new])));
    assert_eq!(status(&service, &token(&new)).await, 200);
    assert_eq!(status(&service, &token(&old)).await, 200);
    assert_eq!(server.total(), 2);
}

#[tokio::test]
async fn a_storm_of_unknown_keys_is_one_fetch_per_cooldown() {
    // E01
    let signer = signer("a");
    for (name, reply, refused) in [
        ("the same set", Reply::json(jwks([&signer])), 401),
        ("no answer", Reply::status(500), 503),
        ("an empty set", Reply::json(r#"{"keys":[]}"#), 503),
    ] {
        let clock = clock();
        let server = issuer([&signer]);
        let keys = builder(&server, &clock).connect().await.unwrap();
        let service = service(&keys, &clock);
        server.set(JWKS, reply);
        for cooldown in 1..=3 {
            let waiting: Vec<_> = (0..3_400)
                .map(|number| {
                    let service = service.clone();
                    let token = forged(&format!("{cooldown}-{number}"));
                    tokio::spawn(async move { status(&service, &token).await })
                })
                .collect();
            for waiting in waiting {
                assert_eq!(waiting.await.unwrap(), refused, "{name}");
            }
            assert_eq!(server.total(), 1 + cooldown, "{name}");
            // And those that come one after the other.
            clock.advance(COOLDOWN - Duration::from_secs(1));
            for number in 0..10 {
                let token = forged(&format!("{cooldown}-late-{number}"));
                assert_eq!(status(&service, &token).await, refused, "{name}");
            }
            assert_eq!(server.total(), 1 + cooldown, "{name}");
            assert_eq!(status(&service, &token(&signer)).await, 200, "{name}");
            clock.advance(Duration::from_secs(1));
        }
    }
}

#[tokio::test]
async fn a_storm_without_any_usable_set_is_one_fetch_per_cooldown() {
    // E01
    let clock = clock();
    let server = HttpServer::with(JWKS, Reply::json(r#"{"keys":[]}"#));
    let keys = builder(&server, &clock).connect_lazily().unwrap();
    let service = service(&keys, &clock);
    for cooldown in 1..=3 {
        let waiting: Vec<_> = (0..1_000)
            .map(|number| {
                let (service, token) = (service.clone(), forged(&number.to_string()));
                tokio::spawn(async move { status(&service, &token).await })
            })
            .collect();
        for waiting in waiting {
            assert_eq!(waiting.await.unwrap(), 503);
        }
        assert_eq!(server.total(), cooldown);
        clock.advance(COOLDOWN);
    }
}

#[tokio::test]
async fn a_key_that_the_issuer_does_not_have_is_not_asked_for_again() {
    // E01, G09
    let (signer, clock) = (signer("a"), clock());
    let server = issuer([&signer]);
    let keys = builder(&server, &clock).connect().await.unwrap();
    let service = service(&keys, &clock);
    let forged_token = forged("nobody's");
    let answer = ask(&service, &forged_token).await;
    assert_eq!(answer.status(), 401);
    let rejection = answer.response.extensions().get::<Rejection>().unwrap();
    let kind = RejectionKind::InvalidToken(InvalidReason::Key);
    assert_eq!(rejection.kind(), kind);
    assert_eq!(server.total(), 2);
    // For one cooldown, and if the set comes again as it was.
    keys.refresh().await.unwrap();
    clock.advance(COOLDOWN - Duration::from_secs(1));
    assert_eq!(status(&service, &forged_token).await, 401);
    assert_eq!(server.total(), 3);
    clock.advance(Duration::from_secs(1));
    assert_eq!(status(&service, &forged_token).await, 401);
    assert_eq!(server.total(), 4);
    // Unless the issuer changes its keys meanwhile.
    let new = other_signer("nobody's");
    server.set(JWKS, Reply::json(jwks([&signer, &other_signer("another")])));
    keys.refresh().await.unwrap();
    server.set(JWKS, Reply::json(jwks([&signer, &new])));
    clock.advance(COOLDOWN);
    assert_eq!(status(&service, &token(&new)).await, 200);
    assert_eq!(server.total(), 6);
}

#[tokio::test]
async fn a_stranger_cannot_keep_a_key_unknown_by_asking_for_it_first() {
    // E01, E09
    let (old, new, clock) = (signer("a"), other_signer("next"), clock());
    let server = issuer([&old]);
    let keys = builder(&server, &clock).connect().await.unwrap();
    let service = service(&keys, &clock);
    assert_eq!(status(&service, &forged("next")).await, 401);
    server.set(JWKS, Reply::json(jwks([&old, &new])));
    clock.advance(COOLDOWN);
    assert_eq!(status(&service, &token(&new)).await, 200);
    assert_eq!(server.total(), 3);
}

#[tokio::test]
async fn a_name_that_is_used_again_for_a_new_key_works_after_one_fetch() {
    // E09
    let (old, new, clock) = (signer("same"), other_signer("same"), clock());
    let server = issuer([&old]);
    let keys = builder(&server, &clock).connect().await.unwrap();
    let service = service(&keys, &clock);
    server.set(JWKS, Reply::json(jwks([&new])));
    assert_eq!(status(&service, &token(&new)).await, 200);
    assert_eq!(status(&service, &token(&old)).await, 401, "E03");
    assert_eq!(server.total(), 2);
}

#[tokio::test]
async fn bad_signatures_are_one_fetch_per_cooldown() {
    // E01, E09
    let (signer, clock) = (signer("a"), clock());
    let server = issuer([&signer]);
    let keys = builder(&server, &clock).connect().await.unwrap();
    let service = service(&keys, &clock);
    for cooldown in 1..=3 {
        for _ in 0..100 {
            assert_eq!(status(&service, &forged("a")).await, 401);
        }
        assert_eq!(server.total(), 1 + cooldown);
        clock.advance(COOLDOWN);
    }
}

#[tokio::test]
async fn a_good_token_is_not_called_bad_while_the_new_set_arrives() {
    // E08: whoever looked at the old set, and asks when the new one is there, looks again.
    let (old, new, clock) = (signer("old"), other_signer("new"), clock());
    let server = issuer([&old]);
    let keys = builder(&server, &clock).connect().await.unwrap();
    let service = service(&keys, &clock);
    let gate = Gate::closed();
    server.set(JWKS, Reply::json(jwks([&new])).held(&gate));
    let first = tokio::spawn({
        let (service, token) = (service.clone(), token(&new));
        async move { status(&service, &token).await }
    });
    server.arrived(JWKS, 2).await;
    // Others with the same key, and one with a key that nobody has.
    let others: Vec<_> = (0..100)
        .map(|_| {
            let (service, token) = (service.clone(), token(&new));
            tokio::spawn(async move { status(&service, &token).await })
        })
        .collect();
    let stranger = tokio::spawn({
        let (service, token) = (service.clone(), forged("nobody's"));
        async move { status(&service, &token).await }
    });
    // Who has a key does not wait.
    assert_eq!(status(&service, &token(&old)).await, 200);
    gate.open();
    assert_eq!(first.await.unwrap(), 200);
    for other in others {
        assert_eq!(other.await.unwrap(), 200);
    }
    assert_eq!(stranger.await.unwrap(), 401);
    assert_eq!(status(&service, &token(&new)).await, 200);
    assert_eq!(server.total(), 2);
}

#[tokio::test]
async fn an_unknown_key_waits_for_the_scheduled_fetch() {
    // E01, E08
    let (old, new, clock) = (signer("old"), other_signer("new"), clock());
    let server = issuer([&old]);
    let keys = builder(&server, &clock).connect().await.unwrap();
    let service = service(&keys, &clock);
    let gate = Gate::closed();
    server.set(JWKS, Reply::json(jwks([&old, &new])).held(&gate));
    clock.advance(10 * MINUTE);
    assert_eq!(status(&service, &token(&old)).await, 200);
    server.arrived(JWKS, 2).await;
    let waiting = tokio::spawn({
        let (service, token) = (service.clone(), token(&new));
        async move { status(&service, &token).await }
    });
    tokio::task::yield_now().await;
    gate.open();
    assert_eq!(waiting.await.unwrap(), 200);
    assert_eq!(server.total(), 2);
}

#[tokio::test]
async fn keys_without_a_name_are_replaced_like_others() {
    // E09: no `kid` says that there is something new.
    let unnamed = |file| Signer::with_key("EdDSA", file);
    let (old, new, clock) = (unnamed("ed25519"), unnamed("ed25519-other"), clock());
    let server = issuer([&old]);
    let keys = builder(&server, &clock).connect().await.unwrap();
    let service = service(&keys, &clock);
    assert_eq!(status(&service, &token(&old)).await, 200);
    server.set(JWKS, Reply::json(jwks([&new])));
    assert_eq!(status(&service, &token(&new)).await, 200);
    assert_eq!(server.total(), 2);
}
