//! Tokens that the keys at hand do not explain.

use tower_bearer::jwt::{Algorithm, JwksOptions};
use tower_bearer::{InvalidReason, Rejection, RejectionKind};

use super::*;
use crate::http_server::Gate;

#[tokio::test]
async fn new_key_is_fetched_immediately() {
    // (E01: fetch cooldown) Also right after a scheduled fetch, which has a cooldown of its own.
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
async fn unknown_kids_trigger_one_fetch_per_cooldown() {
    // (E01: fetch cooldown)
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
async fn requests_without_usable_key_set_trigger_one_fetch_per_cooldown() {
    // (E01: fetch cooldown)
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
async fn kid_unknown_to_issuer_is_not_fetched_again() {
    // (E01: fetch cooldown, G09: bounded tables)
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
async fn early_request_by_attacker_does_not_keep_new_kid_unknown() {
    // (E01: fetch cooldown, E09: reused `kid`)
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
async fn reused_kid_with_new_key_works_after_one_fetch() {
    // (E09: reused `kid`)
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
async fn invalid_signatures_trigger_one_fetch_per_cooldown() {
    // (E01: fetch cooldown, E09: reused `kid`)
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
async fn valid_token_is_not_rejected_while_new_key_set_arrives() {
    // (E08: shared fetches) Whoever looked at the old set, and asks when the new one is there,
    // looks again.
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
async fn unknown_kid_waits_for_scheduled_fetch() {
    // (E01: fetch cooldown, E08: shared fetches)
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
async fn keys_without_kid_are_replaced_like_others() {
    // (E09: reused `kid`) No `kid` says that there is something new.
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

#[tokio::test]
async fn keys_that_are_tried_for_tokens_without_kid_follow_rotation() {
    // (M15: key checks, F05: removal of cached results)
    let unnamed = |file| Signer::with_key("EdDSA", file);
    let (old, new, clock) = (signer("old"), other_signer("new"), clock());
    let (of_old, of_new) = (token(&unnamed("ed25519")), token(&unnamed("ed25519-other")));
    let server = issuer([&old]);
    let options = JwksOptions::new().with_max_trials_without_kid(2);
    let keys = builder(&server, &clock).jwks_options(options);
    let keys = keys.connect().await.unwrap();
    // With a cache, as by default.
    let service = service(&keys, &clock);
    assert_eq!(status(&service, &of_old).await, 200);
    assert_eq!(status(&service, &of_new).await, 401);
    assert_eq!(server.total(), 2, "one look for a new key");
    server.set(JWKS, Reply::json(jwks([&old, &new])));
    keys.refresh().await.unwrap();
    for _ in 0..2 {
        assert_eq!(status(&service, &of_old).await, 200);
        assert_eq!(status(&service, &of_new).await, 200);
    }
    // A set with more keys than may be tried makes the tokens ambiguous, cached results included.
    let third = signer("third");
    server.set(JWKS, Reply::json(jwks([&old, &new, &third])));
    keys.refresh().await.unwrap();
    assert_eq!(status(&service, &of_old).await, 401);
    assert_eq!(status(&service, &token(&old)).await, 200);
    // The removal of a key takes effect at once.
    server.set(JWKS, Reply::json(jwks([&new])));
    keys.refresh().await.unwrap();
    assert_eq!(status(&service, &of_old).await, 401);
    assert_eq!(status(&service, &of_new).await, 200);
    // Forged tokens cause one fetch per cooldown, as with a `kid`.
    clock.advance(COOLDOWN);
    let before = server.total();
    let (input, _) = of_new.rsplit_once('.').unwrap();
    for number in 0..20 {
        let forged = format!("{input}.{}", base64url([number; 64]));
        assert_eq!(status(&service, &forged).await, 401);
    }
    assert_eq!(server.total() - before, 1);
}

#[tokio::test]
async fn rsa_key_without_alg_triggers_one_fetch_and_error_names_the_option() {
    // (M15: key checks, E01: fetch cooldown)
    let clock = clock();
    let signer = Signer::with_key("PS256", "rsa").kid("a");
    let mut jwk = signer.jwk();
    jwk.as_object_mut().unwrap().remove("alg");
    let server = HttpServer::with(JWKS, Reply::json(json!({"keys": [jwk]})));
    let name = server.url("");
    let document = json!({"issuer": name, "jwks_uri": server.url(JWKS)});
    server.set("/.well-known/openid-configuration", Reply::json(document));
    let token = signer.token(&with(claims(), json!({"iss": name})));
    let discover = || RemoteKeys::discover(&*name).clock(clock.clone());
    let keys = discover().connect().await.unwrap();
    let service_of = |keys: &RemoteKeys| service(keys, &clock);
    let service = service_of(&keys);
    let before = server.count(JWKS);
    for _ in 0..5 {
        let answer = ask(&service, &token).await;
        assert_eq!(answer.status(), 401);
        let rejection = answer.response.extensions().get::<Rejection>().unwrap();
        let kind = RejectionKind::InvalidToken(InvalidReason::Algorithm);
        assert_eq!(rejection.kind(), kind);
        let error = std::error::Error::source(rejection).unwrap().to_string();
        assert!(
            error.contains("`JwksOptions::with_rsa_algorithms`"),
            "{error}"
        );
        assert!(!answer.body.contains("JwksOptions"), "{}", answer.body);
    }
    assert_eq!(server.count(JWKS) - before, 1);
    let options = JwksOptions::new().with_rsa_algorithms([Algorithm::RS256, Algorithm::PS256]);
    let keys = discover().jwks_options(options).connect().await.unwrap();
    assert_eq!(status(&service_of(&keys), &token).await, 200);
}
