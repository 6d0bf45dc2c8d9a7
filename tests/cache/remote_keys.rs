//! Tokens that are remembered, and the keys of their issuer.

use std::time::SystemTime;

use serde_json::json;
use tower_bearer::clock::Clock as _;
use tower_bearer::jwt::{JwtIssuers, JwtValidator};
use tower_bearer::provider::{RemoteKeys, RemoteKeysBuilder};

use super::*;
use crate::http_server::{Gate, HttpServer, Reply};
use crate::tokens::{AUDIENCE, ISSUER, NOW, Signer, claims, jwks, now, with};

const JWKS: &str = "/jwks";

fn signer(kid: &str) -> Signer {
    Signer::with_key("EdDSA", "ed25519").kid(kid)
}

fn other_signer(kid: &str) -> Signer {
    Signer::with_key("EdDSA", "ed25519-other").kid(kid)
}

/// A token that outlives every test.
fn token(signer: &Signer) -> String {
    signer.token(&with(claims(), json!({"exp": NOW + 1_000_000})))
}

fn issuer<'a>(signers: impl IntoIterator<Item = &'a Signer>) -> HttpServer {
    HttpServer::with(JWKS, Reply::json(jwks(signers)))
}

fn keys_of(server: &HttpServer, clock: &ManualClock) -> RemoteKeysBuilder {
    RemoteKeys::builder(server.url(JWKS)).clock(clock.clone())
}

/// A validator that remembers until a key goes, and one that never does.
fn validators(keys: &RemoteKeys) -> (JwtValidator, JwtValidator) {
    let long = CacheSettings::new().with_time_to_live(Duration::from_secs(1_000_000));
    let builder = || {
        JwtValidator::builder(keys.clone())
            .issuer(ISSUER)
            .audience(AUDIENCE)
            .cache(long)
    };
    (
        builder().build().unwrap(),
        builder().without_cache().build().unwrap(),
    )
}

fn clock() -> ManualClock {
    ManualClock::new(now())
}

fn at(seconds: u64) -> SystemTime {
    now() + Duration::from_secs(seconds)
}

/// Status and `Retry-After`.
async fn answer(
    validator: &JwtValidator,
    token: &str,
    clock: &ManualClock,
) -> (u16, Option<String>) {
    let service = BearerAuthLayer::new(validator.clone())
        .with_clock(clock.clone())
        .layer(Greet);
    let answer = send(service, request(token)).await;
    let retry = answer.header("retry-after").map(str::to_owned);
    (answer.status(), retry)
}

/// Lets the fetch in flight get its answer, and waits until it has been read.
async fn finish(keys: &RemoteKeys, gate: &Gate) {
    let (finished, ()) = tokio::join!(biased; keys.refresh(), async { gate.open() });
    finished.unwrap();
}

#[tokio::test]
async fn cache_hits_trigger_scheduled_key_fetch() {
    // (E08: shared fetches, F05: removal of cached results)
    let (signer, clock) = (signer("a"), clock());
    let server = issuer([&signer]);
    let keys = keys_of(&server, &clock).connect().await.unwrap();
    let (validator, _) = validators(&keys);
    let token = token(&signer);
    assert_eq!(answer(&validator, &token, &clock).await, (200, None));
    let gate = Gate::closed();
    server.set(JWKS, Reply::json(jwks([&signer])).held(&gate));

    // Before 80 % of the fresh time nothing is due, after 95 % something is.
    clock.set(at(479));
    assert!(recalls(&validator, &token, &clock));
    assert_eq!(server.total(), 1);
    clock.set(at(570));
    for _ in 0..100 {
        assert!(recalls(&validator, &token, &clock), "nobody waits");
    }
    server.arrived(JWKS, 2).await;
    assert!(recalls(&validator, &token, &clock));
    finish(&keys, &gate).await;
    assert_eq!(keys.status().fetched_at(), Some(clock.now()));
    // The same set again.
    assert!(recalls(&validator, &token, &clock));
    assert_eq!(server.total(), 2);
    // Another one, though it has the key.
    server.set(JWKS, Reply::json(jwks([&other_signer("b"), &signer])));
    keys.refresh().await.unwrap();
    assert!(!recalls(&validator, &token, &clock));
    assert_eq!(answer(&validator, &token, &clock).await, (200, None));
    assert!(recalls(&validator, &token, &clock));
}

#[tokio::test]
async fn not_modified_key_set_keeps_cached_tokens() {
    let (signer, clock) = (signer("a"), clock());
    let server = HttpServer::with(JWKS, Reply::json(jwks([&signer])).tagged(r#""v1""#));
    let keys = keys_of(&server, &clock).connect().await.unwrap();
    let (validator, _) = validators(&keys);
    let token = token(&signer);
    assert_eq!(answer(&validator, &token, &clock).await.0, 200);
    for round in 1..=3 {
        clock.advance(MINUTE);
        keys.refresh().await.unwrap();
        assert!(recalls(&validator, &token, &clock), "{round}");
    }
    let set = jwks([&signer, &other_signer("b")]);
    server.set(JWKS, Reply::json(set).tagged(r#""v2""#));
    keys.refresh().await.unwrap();
    assert!(!recalls(&validator, &token, &clock));
    assert_eq!(answer(&validator, &token, &clock).await.0, 200);
}

#[tokio::test]
async fn key_removed_by_issuer_removes_its_cached_tokens() {
    // (E03: replaced key sets, F05: removal of cached results)
    let (old, new, clock) = (signer("old"), other_signer("new"), clock());
    let server = issuer([&old, &new]);
    let keys = keys_of(&server, &clock).connect().await.unwrap();
    let (validator, anew) = validators(&keys);
    let issuers = JwtIssuers::new();
    issuers.insert(validator.clone()).unwrap();
    let (old, new_token) = (token(&old), token(&new));
    for token in [&old, &new_token] {
        assert_eq!(answer(&validator, token, &clock).await.0, 200);
        assert!(judge(&issuers, token, &clock).await.is_ok());
        assert!(recalls(&validator, token, &clock));
        assert!(recalls(&issuers, token, &clock));
    }
    server.set(JWKS, Reply::json(jwks([&new])));
    keys.refresh().await.unwrap();
    for _ in 0..2 {
        assert!(!recalls(&validator, &old, &clock));
        assert!(!recalls(&issuers, &old, &clock));
        let expected = answer(&anew, &old, &clock).await;
        assert_eq!(answer(&validator, &old, &clock).await, expected);
        assert_eq!(expected.0, 401);
        assert!(judge(&issuers, &old, &clock).await.is_err());
        assert_eq!(answer(&validator, &new_token, &clock).await.0, 200);
        assert!(judge(&issuers, &new_token, &clock).await.is_ok());
    }
}

#[tokio::test]
async fn new_key_with_same_kid_removes_cached_tokens_of_old_key() {
    // (E09: reused `kid`, F05: removal of cached results)
    let (old, new, clock) = (signer("same"), other_signer("same"), clock());
    let server = issuer([&old]);
    let keys = keys_of(&server, &clock).connect().await.unwrap();
    let (validator, _) = validators(&keys);
    let (old, new_token) = (token(&old), token(&new));
    assert_eq!(answer(&validator, &old, &clock).await.0, 200);
    server.set(JWKS, Reply::json(jwks([&new])));
    // That there is a new key shows by a token that it has signed.
    assert_eq!(answer(&validator, &new_token, &clock).await.0, 200);
    assert!(!recalls(&validator, &old, &clock));
    assert_eq!(answer(&validator, &old, &clock).await.0, 401);
    assert!(recalls(&validator, &new_token, &clock));
}

#[tokio::test]
async fn keys_beyond_max_stale_are_unavailable_for_cached_and_uncached_tokens() {
    // (E05: last good key set, F05: removal of cached results, F07: equal results)
    let (signer, clock) = (signer("a"), clock());
    let mut server = issuer([&signer]);
    // Each has keys of its own, or one would see what the other has tried.
    let (keys, other_keys) = (
        keys_of(&server, &clock).connect().await.unwrap(),
        keys_of(&server, &clock).connect().await.unwrap(),
    );
    let (validator, _) = validators(&keys);
    let (_, anew) = validators(&other_keys);
    let token = token(&signer);
    assert_eq!(answer(&validator, &token, &clock).await.0, 200);
    server.stop();
    // Usable for 4,200 seconds.
    for seconds in [
        0, 599, 600, 2_000, 4_199, 4_200, 4_201, 4_228, 4_500, 10_000,
    ] {
        clock.set(at(seconds));
        for _ in 0..2 {
            let expected = answer(&anew, &token, &clock).await;
            assert_eq!(
                answer(&validator, &token, &clock).await,
                expected,
                "{seconds}"
            );
            let status = if seconds < 4_200 { 200 } else { 503 };
            assert_eq!(expected.0, status, "{seconds}");
            assert_eq!(
                recalls(&validator, &token, &clock),
                status == 200,
                "{seconds}"
            );
            // What was started in the background has failed.
            for keys in [&keys, &other_keys] {
                let _ = keys.refresh().await;
            }
        }
    }
    server.restart();
    clock.advance(MINUTE);
    for validator in [&anew, &validator] {
        assert_eq!(answer(validator, &token, &clock).await, (200, None));
    }
    assert!(recalls(&validator, &token, &clock));
}

#[tokio::test]
async fn hundred_requests_waiting_for_first_keys_make_one_validation() {
    // (E08: shared fetches)
    let (signer, clock) = (signer("a"), clock());
    let gate = Gate::closed();
    let server = HttpServer::with(JWKS, Reply::json(jwks([&signer])).held(&gate));
    let keys = keys_of(&server, &clock).connect_lazily().unwrap();
    let (validator, _) = validators(&keys);
    let token = token(&signer);
    let waiting: Vec<_> = (0..100)
        .map(|_| {
            let (validator, token, clock) = (validator.clone(), token.clone(), clock.clone());
            tokio::spawn(async move { answer(&validator, &token, &clock).await })
        })
        .collect();
    server.arrived(JWKS, 1).await;
    tokio::task::yield_now().await;
    assert!(!recalls(&validator, &token, &clock));
    gate.open();
    for waiting in waiting {
        assert_eq!(waiting.await.unwrap(), (200, None));
    }
    assert!(recalls(&validator, &token, &clock));
    assert_eq!(server.total(), 1);
    assert_eq!(validator.cache().unwrap().len(), 1);
}

#[tokio::test]
async fn clock_moved_backwards_triggers_key_fetch() {
    // (F04: expiry on hits, E05: last good key set)
    let (signer, clock) = (signer("a"), clock());
    let server = issuer([&signer]);
    let keys = keys_of(&server, &clock).connect().await.unwrap();
    let (validator, _) = validators(&keys);
    let token = signer.token(&with(claims(), json!({"iat": NOW - 1_000})));
    assert_eq!(answer(&validator, &token, &clock).await.0, 200);
    clock.set(now() - Duration::from_secs(31));
    assert!(!recalls(&validator, &token, &clock));
    assert_eq!(answer(&validator, &token, &clock).await.0, 200);
    server.arrived(JWKS, 2).await;
}
