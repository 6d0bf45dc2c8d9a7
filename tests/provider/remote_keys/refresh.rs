//! How long a set is used, and when the next one is fetched.

use http::Method;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, AGE, AUTHORIZATION, CACHE_CONTROL, COOKIE, HeaderName, IF_NONE_MATCH,
    REFERER, USER_AGENT,
};

use super::*;
use crate::http_server::Gate;

/// Lets the fetch in flight get its answer, and waits until it has been read.
async fn finish(keys: &RemoteKeys, gate: &Gate) {
    let (finished, ()) = tokio::join!(biased; keys.refresh(), async { gate.open() });
    finished.unwrap();
}

#[tokio::test]
async fn keys_are_fetched_once_and_then_cached() {
    let (signer, clock) = (signer("a"), clock());
    let server = issuer([&signer]);
    let keys = builder(&server, &clock).connect().await.unwrap();
    let service = service(&keys, &clock);
    for _ in 0..100 {
        assert_eq!(status(&service, &token(&signer)).await, 200);
    }
    assert_eq!(server.total(), 1);

    // (E04: allowed addresses, E11: introspection requests) What is sent, and nothing more.
    let seen = server.last();
    assert_eq!(seen.method, Method::GET);
    assert!(seen.body.is_empty());
    assert_eq!(
        seen.headers[ACCEPT],
        "application/json, application/jwk-set+json"
    );
    let agent = seen.headers[USER_AGENT].to_str().unwrap();
    assert!(agent.starts_with("tower-bearer/"), "{agent}");
    // (G02: compression) Compression is rejected. Without this header, a server may compress.
    assert_eq!(seen.headers[ACCEPT_ENCODING], "identity");
    for absent in [AUTHORIZATION, COOKIE, IF_NONE_MATCH, REFERER] {
        assert!(!seen.headers.contains_key(&absent), "{absent}");
    }

    let status = keys.status();
    assert_eq!(status.jwks_uri(), Some(&*server.url(JWKS)));
    assert_eq!(status.issuer(), None);
    assert_eq!(status.fetched_at(), Some(now()));
    assert_eq!(status.last_attempt(), Some(now()));
    assert_eq!(status.age(now() + MINUTE), Some(MINUTE));
    assert_eq!(status.age(now() - MINUTE), Some(Duration::ZERO));
    assert_eq!(status.fresh_until(), Some(now() + 10 * MINUTE));
    assert_eq!(status.usable_until(), Some(now() + 10 * MINUTE + HOUR));
    assert_eq!(status.last_error(), None);
    let names: Vec<_> = status.keys().map(|(kid, _)| kid).collect();
    assert_eq!(names, [Some("a")]);
}

#[tokio::test]
async fn due_key_set_is_fetched_in_background() {
    // (E08: shared fetches)
    let (signer, clock) = (signer("a"), clock());
    let server = issuer([&signer]);
    let keys = builder(&server, &clock).connect().await.unwrap();
    let service = service(&keys, &clock);
    let token = token(&signer);
    let gate = Gate::closed();
    server.set(JWKS, Reply::json(jwks([&signer])).held(&gate));

    // Before 80 % of the fresh time nothing is due, after 95 % something is.
    clock.set(now() + Duration::from_secs(479));
    assert_eq!(status(&service, &token).await, 200);
    clock.set(now() + Duration::from_secs(570));
    assert_eq!(
        status(&service, &token).await,
        200,
        "the answer is held back"
    );
    server.arrived(JWKS, 2).await;
    for _ in 0..100 {
        assert_eq!(status(&service, &token).await, 200);
    }
    assert_eq!(keys.status().fetched_at(), Some(now()));
    finish(&keys, &gate).await;
    assert_eq!(keys.status().fetched_at(), Some(clock.now()));
    assert_eq!(status(&service, &token).await, 200);
    assert_eq!(server.total(), 2);
}

#[tokio::test]
async fn removed_key_stops_working_with_next_key_set() {
    // (E03: replaced key sets)
    let (old, new, clock) = (signer("old"), other_signer("new"), clock());
    let server = issuer([&old, &new]);
    let keys = builder(&server, &clock).connect().await.unwrap();
    let service = service(&keys, &clock);
    assert_eq!(status(&service, &token(&old)).await, 200);
    server.set(JWKS, Reply::json(jwks([&new])));
    keys.refresh().await.unwrap();
    assert_eq!(status(&service, &token(&old)).await, 401);
    assert_eq!(status(&service, &token(&new)).await, 200);
}

#[tokio::test]
async fn stale_keys_are_used_up_to_max_stale_during_outage() {
    // (E05: last good key set)
    let (signer, clock) = (signer("a"), clock());
    let mut server = issuer([&signer]);
    let keys = builder(&server, &clock).connect().await.unwrap();
    let service = service(&keys, &clock);
    let token = token(&signer);
    server.stop();

    // Usable for 4,200 seconds.
    for seconds in [0, 599, 600, 2_000, 4_199] {
        clock.set(now() + Duration::from_secs(seconds));
        assert_eq!(status(&service, &token).await, 200, "{seconds}");
        settled(&keys).await;
        assert_eq!(status(&service, &token).await, 200, "{seconds}");
    }
    let error = keys.status().last_error().unwrap().to_owned();
    assert!(error.contains("no connection"), "{error}");
    assert_eq!(keys.status().fetched_at(), Some(now()));

    clock.set(now() + Duration::from_secs(4_200));
    let answer = ask(&service, &token).await;
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.header("retry-after"), Some("29"));
    assert_eq!(answer.challenges(), Vec::<&str>::new());

    // (E01: fetch cooldown) Back again, and asked once the cooldown is over.
    server.restart();
    clock.set(now() + Duration::from_secs(4_228));
    let answer = ask(&service, &token).await;
    assert_eq!(
        (answer.status(), answer.header("retry-after")),
        (503, Some("1"))
    );
    clock.set(now() + Duration::from_secs(4_229));
    assert_eq!(status(&service, &token).await, 200);
    assert_eq!(keys.status().last_error(), None);
    assert_eq!(server.total(), 2);
}

#[tokio::test]
async fn unusable_key_set_does_not_replace_usable_one() {
    // (E05: last good key set, E06: unusable keys)
    let (signer, clock) = (signer("a"), clock());
    let server = issuer([&signer]);
    let keys = builder(&server, &clock).connect().await.unwrap();
    let service = service(&keys, &clock);
    let too_many: Vec<_> = (0..101)
        .map(|n| super::signer(&n.to_string()).jwk())
        .collect();
    for (name, reply) in [
        ("empty", Reply::json(r#"{"keys":[]}"#)),
        (
            "all bad",
            Reply::json(r#"{"keys":[{"kty":"oct","k":"AAAA"},{},7]}"#),
        ),
        ("no array", Reply::json(r#"{"keys":{}}"#)),
        ("no set", Reply::json("{}")),
        ("no JSON", Reply::text("<html>maintenance</html>")),
        ("nothing", Reply::text("")),
        ("too many", Reply::json(json!({"keys": too_many}))),
        ("an error", Reply::status(500)),
        ("no content", Reply::status(204)),
        ("not modified, unasked", Reply::status(304)),
    ] {
        server.set(JWKS, reply);
        keys.refresh().await.expect_err(name);
        assert!(keys.status().last_error().is_some(), "{name}");
        assert_eq!(status(&service, &token(&signer)).await, 200, "{name}");
        assert_eq!(keys.status().fetched_at(), Some(now()), "{name}");
    }
    clock.advance(10 * MINUTE + HOUR);
    let answer = ask(&service, &token(&signer)).await;
    assert_eq!(answer.status(), 503, "not 401");
}

#[tokio::test]
async fn unusable_key_does_not_affect_other_keys() {
    // (E06: unusable keys, G07: RSA limits)
    let (signer, clock) = (signer("good"), clock());
    let weak = json!({"kty": "RSA", "kid": "weak", "n": base64url([255; 128]), "e": "AQAB"});
    let secret = Signer::new("HS256").kid("secret").jwk();
    let mut encryption = other_signer("encryption").jwk();
    encryption["use"] = json!("enc");
    let huge = json!({"kty": "RSA", "kid": "huge", "n": base64url([255; 4_096]), "e": "AQAB"});
    let bad = [
        weak,
        secret,
        encryption,
        huge,
        json!({}),
        json!(null),
        json!([]),
    ];
    let mut set = bad.to_vec();
    set.insert(3, signer.jwk());
    let server = HttpServer::with(JWKS, Reply::json(json!({"keys": set})));
    let keys = builder(&server, &clock).connect().await.unwrap();
    assert_eq!(status(&service(&keys, &clock), &token(&signer)).await, 200);
    let status = keys.status();
    assert_eq!(status.keys().count(), 1);
    assert_eq!(status.skipped().len(), bad.len());
    assert_eq!(status.skipped()[0].kid(), Some("weak"));
}

#[tokio::test]
async fn not_modified_response_renews_key_set() {
    let (signer, clock) = (signer("a"), clock());
    let server = issuer([]);
    server.set(JWKS, Reply::json(jwks([&signer])).tagged(r#""v1""#));
    let keys = builder(&server, &clock).connect().await.unwrap();
    let service = service(&keys, &clock);
    for round in 1..=3 {
        clock.advance(HOUR);
        keys.refresh().await.unwrap();
        assert_eq!(server.last().headers[IF_NONE_MATCH], r#""v1""#);
        assert_eq!(keys.status().fetched_at(), Some(clock.now()), "{round}");
        assert_eq!(status(&service, &token(&signer)).await, 200, "{round}");
    }
    // Another set comes whole.
    let new = other_signer("b");
    server.set(JWKS, Reply::json(jwks([&new])).tagged(r#""v2""#));
    keys.refresh().await.unwrap();
    assert_eq!(status(&service, &token(&new)).await, 200);
    assert_eq!(server.total(), 5);
}

#[tokio::test]
async fn only_short_etag_is_sent_back() {
    for (length, is_sent) in [(256, true), (257, false)] {
        let (signer, clock) = (signer("a"), clock());
        let tag = format!("\"{}\"", "t".repeat(length - 2));
        let reply = Reply::json(jwks([&signer])).header(http::header::ETAG, &tag);
        let server = HttpServer::with(JWKS, reply);
        let keys = builder(&server, &clock).connect().await.unwrap();
        keys.refresh().await.unwrap();
        let sent = server.last().headers.contains_key(IF_NONE_MATCH);
        assert_eq!(sent, is_sent, "{length}");
    }
}

#[tokio::test]
async fn freshness_lifetime_of_response_is_clamped() {
    // (E15: clamped freshness)
    let header = |name: HeaderName, value| (name, value);
    for (headers, fresh) in [
        (vec![], 600),
        (vec![header(CACHE_CONTROL, "public, max-age=3600")], 3_600),
        (
            vec![header(CACHE_CONTROL, "max-age=3600"), header(AGE, "600")],
            3_000,
        ),
        (vec![header(CACHE_CONTROL, "no-store")], 60),
        (vec![header(CACHE_CONTROL, "no-cache")], 60),
        (vec![header(CACHE_CONTROL, "max-age=0")], 60),
        (vec![header(CACHE_CONTROL, "max-age=315360000")], 86_400),
        (vec![header(CACHE_CONTROL, "s-maxage=7")], 600),
    ] {
        let clock = clock();
        let mut reply = Reply::json(jwks([&signer("a")]));
        for (name, value) in &headers {
            reply = reply.header(name.clone(), value);
        }
        let server = HttpServer::with(JWKS, reply);
        let keys = builder(&server, &clock).connect().await.unwrap();
        let fresh_until = keys.status().fresh_until();
        assert_eq!(
            fresh_until,
            Some(now() + Duration::from_secs(fresh)),
            "{headers:?}"
        );
    }

    // Without any fresh time, there still is no fetch for each request.
    let (signer, clock) = (signer("a"), clock());
    let reply = Reply::json(jwks([&signer])).header(CACHE_CONTROL, "no-store, max-age=0");
    let server = HttpServer::with(JWKS, reply);
    let keys = builder(&server, &clock).connect().await.unwrap();
    let service = service(&keys, &clock);
    for _ in 0..100 {
        assert_eq!(status(&service, &token(&signer)).await, 200);
    }
    assert_eq!(server.total(), 1);
}

#[tokio::test]
async fn clock_moved_backwards_makes_key_set_due() {
    // (E05: last good key set)
    let (signer, clock) = (signer("a"), clock());
    let server = issuer([&signer]);
    let keys = builder(&server, &clock).connect().await.unwrap();
    let service = service(&keys, &clock);
    let gate = Gate::closed();
    server.set(JWKS, Reply::json(jwks([&signer])).held(&gate));
    // Within the expiry of the test's tokens, which have no `nbf`.
    clock.set(now() - Duration::from_secs(31));
    let token = signer.token(&with(claims(), json!({"iat": NOW - 1_000})));
    assert_eq!(status(&service, &token).await, 200);
    server.arrived(JWKS, 2).await;
    assert_eq!(keys.status().fetched_at(), Some(clock.now()));
    assert_eq!(keys.status().usable_until(), Some(clock.now() + HOUR));
    finish(&keys, &gate).await;
    assert_eq!(keys.status().fresh_until(), Some(clock.now() + 10 * MINUTE));
}

#[tokio::test]
async fn manual_refresh_ignores_cooldown() {
    let clock = clock();
    let server = issuer([&signer("a")]);
    let keys = builder(&server, &clock).connect().await.unwrap();
    for _ in 0..3 {
        keys.refresh().await.unwrap();
    }
    assert_eq!(server.total(), 4);
}

#[tokio::test]
async fn concurrent_refreshes_make_one_fetch() {
    // (E08: shared fetches)
    let clock = clock();
    let gate = Gate::closed();
    let server = HttpServer::with(JWKS, Reply::json(jwks([&signer("a")])).held(&gate));
    let keys = builder(&server, &clock).connect_lazily().unwrap();
    let waiting: Vec<_> = (0..10)
        .map(|_| {
            let keys = keys.clone();
            tokio::spawn(async move { keys.refresh().await })
        })
        .collect();
    server.arrived(JWKS, 1).await;
    finish(&keys, &gate).await;
    for waiting in waiting {
        waiting.await.unwrap().unwrap();
    }
    assert_eq!(server.total(), 1);
}
