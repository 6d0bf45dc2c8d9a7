//! Answers that are used more than once.

use tower_bearer::ValidatorExt as _;
use tower_bearer::{Failure, InvalidReason};

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

struct Kept {
    server: HttpServer,
    clock: ManualClock,
    service: Service,
}

fn kept(reply: Reply, change: impl Fn(IntrospectionBuilder) -> IntrospectionBuilder) -> Kept {
    let server = HttpServer::with(ENDPOINT, reply);
    let clock = ManualClock::new(start());
    let validator = change(builder(&server)).build().unwrap();
    Kept {
        service: service_with_clock(validator, &clock),
        server,
        clock,
    }
}

impl Kept {
    async fn at(&self, path: &str) -> (u16, usize) {
        let answer = send(self.service.clone(), request_for(path, TOKEN)).await;
        (answer.status(), self.server.total())
    }

    /// The status of a request that comes after this time, and how many calls there were until then.
    async fn after(&self, time: Duration) -> (u16, usize) {
        self.clock.set(start() + time);
        self.at("/").await
    }
}

#[tokio::test]
async fn each_request_calls_endpoint_by_default() {
    // (E11: introspection requests, K01: revocation on hits) A revoked token is rejected immediately.
    let kept = kept(good(), |builder| builder);
    assert_eq!(kept.at("/").await, (200, 1));
    assert_eq!(kept.at("/").await, (200, 2));
    kept.server.set(ENDPOINT, inactive());
    assert_eq!(kept.at("/").await, (401, 3));
    kept.server.set(ENDPOINT, Reply::status(500));
    assert_eq!(kept.at("/").await, (503, 4));
    kept.server.set(ENDPOINT, good());
    assert_eq!(kept.at("/").await, (200, 5));
}

#[tokio::test]
async fn active_response_is_cached_for_configured_time() {
    // (E11: introspection requests)
    let kept = kept(good(), |builder| builder.cache(MINUTE));
    assert_eq!(kept.after(Duration::ZERO).await, (200, 1));
    kept.server.set(ENDPOINT, inactive());
    assert_eq!(kept.after(MINUTE - SECOND).await, (200, 1));
    assert_eq!(kept.after(MINUTE).await, (401, 2));
}

#[tokio::test]
async fn cache_time_starts_at_the_call() {
    // (E11: introspection requests) The answer may have come late.
    use crate::http_server::Gate;

    let gate = Gate::closed();
    let kept = kept(good().held(&gate), |builder| builder.cache(MINUTE));
    let mut requests = vec![Box::pin(kept.at("/"))];
    poll_once(&mut requests).await;
    kept.server.arrived(ENDPOINT, 1).await;
    kept.clock.advance(30 * SECOND);
    gate.open();
    assert_eq!(requests.remove(0).await, (200, 1));
    assert_eq!(kept.after(MINUTE - SECOND).await, (200, 1));
    assert_eq!(kept.after(MINUTE).await, (200, 2));
}

#[tokio::test]
async fn cached_response_expires_with_token() {
    // (E11: introspection requests, F04: expiry on hits)
    let ends_soon = active(&json!({"exp": NOW + 10}));
    let kept_1 = kept(ends_soon.clone(), |builder| {
        builder.cache(MINUTE).leeway(Duration::ZERO)
    });
    assert_eq!(kept_1.after(Duration::ZERO).await, (200, 1));
    assert_eq!(kept_1.after(9 * SECOND).await, (200, 1));
    // Asked once more: the server knows best, and its own answer has ended too.
    assert_eq!(kept_1.after(10 * SECOND).await, (401, 2));
    kept_1
        .server
        .set(ENDPOINT, active(&json!({"exp": NOW + 100})));
    assert_eq!(kept_1.after(10 * SECOND).await, (200, 3));

    let kept_2 = kept(ends_soon, |builder| {
        builder.cache(MINUTE).leeway(20 * SECOND)
    });
    assert_eq!(kept_2.after(Duration::ZERO).await, (200, 1));
    assert_eq!(kept_2.after(29 * SECOND).await, (200, 1));
    assert_eq!(kept_2.after(30 * SECOND).await, (401, 2));
}

#[tokio::test]
async fn cached_response_becomes_valid_at_not_before() {
    // (F04: expiry on hits)
    let begins = active(&json!({"nbf": NOW + 10}));
    let kept = kept(begins, |builder| {
        builder.cache(MINUTE).leeway(Duration::ZERO)
    });
    assert_eq!(kept.after(9 * SECOND).await, (401, 1));
    assert_eq!(kept.after(10 * SECOND).await, (200, 1));
}

#[tokio::test]
async fn inactive_response_is_cached_for_five_seconds() {
    // (E10: bounded negative results)
    for bad in [
        inactive(),
        active(&json!({"aud": "b"})),
        active(&json!({"cnf": {}})),
    ] {
        for (lifetime, negative) in [(MINUTE, 5 * SECOND), (2 * SECOND, 2 * SECOND)] {
            let kept = kept(bad.clone(), |builder| builder.cache(lifetime));
            assert_eq!(kept.after(Duration::ZERO).await, (401, 1));
            kept.server.set(ENDPOINT, good());
            assert_eq!(kept.after(negative - SECOND / 10).await, (401, 1));
            assert_eq!(kept.after(negative).await, (200, 2));
        }
    }
}

#[tokio::test]
async fn indeterminate_result_is_not_cached() {
    // (D09: `active`, E13: rejected client credentials, E14: details for the operator)
    for trouble in [
        Reply::status(401),
        Reply::status(429),
        Reply::status(500),
        Reply::json(""),
        Reply::json("{}"),
        Reply::text(r#"{"active":false}"#),
        Reply::Close,
    ] {
        let kept = kept(trouble, |builder| builder.cache(MINUTE));
        assert_eq!(kept.at("/").await.0, 503);
        let calls = kept.server.total();
        kept.server.set(ENDPOINT, good());
        assert_eq!(kept.at("/").await, (200, calls + 1));
        assert_eq!(kept.at("/").await, (200, calls + 1));
    }
}

#[tokio::test]
async fn policies_and_checks_run_on_each_request() {
    // (F03: checks on hits, F04: expiry on hits)
    let allowed = Arc::new(AtomicUsize::new(1));
    let asked = Arc::clone(&allowed);
    let kept = kept(good(), move |builder| {
        let asked = Arc::clone(&asked);
        builder.cache(MINUTE).check(move |token| {
            assert_eq!(token.subject(), Some("alice"));
            match asked.load(Ordering::Relaxed) {
                0 => Err(Failure::invalid(InvalidReason::Revoked)),
                _ => Ok(()),
            }
        })
    });
    assert_eq!(kept.at("/read").await, (200, 1));
    assert_eq!(kept.at("/write").await, (403, 1));
    assert_eq!(kept.at("/read").await, (200, 1));
    allowed.store(0, Ordering::Relaxed);
    assert_eq!(kept.at("/read").await, (401, 1));
    allowed.store(1, Ordering::Relaxed);
    assert_eq!(kept.at("/read").await, (200, 1));
}

#[tokio::test]
async fn cache_hit_is_ready_immediately() {
    use tower_bearer::{Credential, RequestView, Verdict};

    let server = HttpServer::with(ENDPOINT, good());
    let validator = builder(&server).cache(MINUTE).build().unwrap();
    let request = Request::new(());
    let clock = ManualClock::new(start());
    let ask = || {
        let credential = Credential::bearer(TOKEN).unwrap();
        validator.validate(&credential, &RequestView::with_clock(&request, &clock))
    };
    let Verdict::Pending(first) = ask() else {
        panic!("the server has to be asked");
    };
    let first = first.await.unwrap();
    let Verdict::Ready(Ok(second)) = ask() else {
        panic!("the answer is kept");
    };
    assert!(Arc::ptr_eq(first.principal(), second.principal()));
    // Clones share the cache, other validators do not (F02: separate caches).
    let clone = validator.clone();
    let credential = Credential::bearer(TOKEN).unwrap();
    let view = RequestView::with_clock(&request, &clock);
    assert!(matches!(
        clone.validate(&credential, &view),
        Verdict::Ready(Ok(_))
    ));
    let other = builder(&server).cache(MINUTE).build().unwrap();
    assert!(matches!(
        other.validate(&credential, &view),
        Verdict::Pending(_)
    ));
}

#[tokio::test]
async fn flood_of_inactive_tokens_evicts_no_active_token() {
    // (E10: bounded negative results)
    let server = HttpServer::with(ENDPOINT, good());
    let builder = builder(&server).cache(MINUTE).cache_capacity(10);
    let service = service(builder.build().unwrap());
    let good_ones: Vec<_> = (0..10).map(|number| format!("good{number}")).collect();
    for token in &good_ones {
        assert_eq!(status(&service, token).await, 200);
    }
    server.set(ENDPOINT, inactive());
    for number in 0..100 {
        assert_eq!(status(&service, &format!("bad{number}")).await, 401);
    }
    let calls = server.total();
    for token in &good_ones {
        assert_eq!(status(&service, token).await, 200);
    }
    assert_eq!(status(&service, "bad99").await, 401);
    assert_eq!(server.total(), calls);
    for number in 0..100 {
        assert_eq!(status(&service, &format!("bad{number}")).await, 401);
    }
    assert!(server.total() >= calls + 90, "no more than ten are kept");
    // Good ones make room for other good ones.
    server.set(ENDPOINT, good());
    let calls = server.total();
    for number in 10..30 {
        assert_eq!(status(&service, &format!("good{number}")).await, 200);
    }
    assert_eq!(server.total(), calls + 20);
}

#[tokio::test]
async fn clock_moved_backwards_does_not_extend_cached_response() {
    let kept = kept(good(), |builder| builder.cache(MINUTE));
    kept.clock.set(start());
    assert_eq!(kept.at("/").await, (200, 1));
    kept.clock.set(start() - SECOND);
    assert_eq!(kept.at("/").await, (200, 2));
    assert_eq!(kept.after(MINUTE - 2 * SECOND).await, (200, 2));
    assert_eq!(kept.after(MINUTE - SECOND).await, (200, 3));
}

#[tokio::test]
async fn outer_cache_runs_checks_on_hit() {
    // (F03: checks on hits)
    use std::sync::atomic::{AtomicBool, Ordering};
    use tower_bearer::cache::CacheSettings;

    let server = HttpServer::with(ENDPOINT, good());
    let is_fine = Arc::new(AtomicBool::new(true));
    let flag = Arc::clone(&is_fine);
    let validator = builder(&server)
        .check(move |_| match flag.load(Ordering::SeqCst) {
            true => Ok(()),
            false => Err(Failure::invalid(InvalidReason::Revoked)),
        })
        .build()
        .unwrap()
        .cached(CacheSettings::new());
    let service = service_with_clock(validator, &ManualClock::new(start()));
    let status = || async {
        send(service.clone(), request_for("/", TOKEN))
            .await
            .status()
    };
    assert_eq!(status().await, 200);
    assert_eq!(status().await, 200);
    assert_eq!(server.total(), 1);
    is_fine.store(false, Ordering::SeqCst);
    assert_eq!(status().await, 401);
}
