//! One call for all that ask about a token at the same time.

use std::time::SystemTime;

use tower_bearer::{
    Credential, Failure, FailureKind, InvalidReason, RequestView, Validated, Verdict,
};

use super::*;
use crate::http_server::Gate;

type Judged = Result<Validated<AccessToken>, Failure>;

/// What the validator alone says, once it is waited for.
fn ask(validator: &Introspection, token: &str, now: SystemTime) -> BoxFuture<Judged> {
    let request = Request::new(());
    let clock = ManualClock::new(now);
    let view = RequestView::with_clock(&request, &clock);
    let credential = Credential::bearer(token).unwrap();
    match validator.validate(&credential, &view) {
        Verdict::Ready(judged) => Box::pin(std::future::ready(judged)),
        Verdict::Pending(judged) => judged,
    }
}

#[tokio::test]
async fn thousand_requests_with_one_token_make_one_call() {
    // (E08: shared fetches)
    for cache in [false, true] {
        let gate = Gate::closed();
        let server = HttpServer::with(ENDPOINT, good().held(&gate));
        let builder = match cache {
            true => builder(&server).cache(SECOND),
            false => builder(&server),
        };
        let service = service(builder.build().unwrap());
        let mut requests: Vec<_> = (0..1_000).map(|_| Box::pin(get(&service, TOKEN))).collect();
        poll_once(&mut requests).await;
        gate.open();
        for request in requests {
            assert_eq!(request.await.status(), 200);
        }
        assert_eq!(server.total(), 1);
        // Whoever comes later asks anew, unless answers are kept.
        assert_eq!(status(&service, TOKEN).await, 200);
        assert_eq!(server.total(), if cache { 1 } else { 2 });
    }
}

#[tokio::test]
async fn response_that_arrived_meanwhile_is_used_if_caching_is_enabled() {
    let server = HttpServer::with(ENDPOINT, good());
    for (cache, calls) in [(None, 2), (Some(SECOND), 3)] {
        let builder = match cache {
            Some(lifetime) => builder(&server).cache(lifetime),
            None => builder(&server),
        };
        let validator = builder.build().unwrap();
        // Neither knows of the other, and nothing is sent before somebody waits.
        let verdicts = [(); 2].map(|()| ask(&validator, TOKEN, start()));
        for verdict in verdicts {
            assert!(verdict.await.is_ok());
        }
        assert_eq!(server.total(), calls);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn threads_share_calls() {
    // (E08: shared fetches, E10: bounded negative results)
    let server = HttpServer::with(ENDPOINT, good());
    let service = service(builder(&server).cache(60 * SECOND).build().unwrap());
    let requests: Vec<_> = (0..2_000)
        .map(|number| {
            let service = service.clone();
            tokio::spawn(async move { status(&service, &format!("t{}", number % 10)).await })
        })
        .collect();
    for request in requests {
        assert_eq!(request.await.unwrap(), 200);
    }
    assert_eq!(server.total(), 10, "one for each token");
}

#[tokio::test]
async fn outage_is_shared_by_waiting_requests_and_not_cached() {
    // (E14: details for the operator)
    let gate = Gate::closed();
    let server = HttpServer::with(ENDPOINT, Reply::status(500).held(&gate));
    let service = service(builder(&server).cache(60 * SECOND).build().unwrap());
    let mut requests: Vec<_> = (0..100).map(|_| Box::pin(get(&service, TOKEN))).collect();
    poll_once(&mut requests).await;
    server.arrived(ENDPOINT, 1).await;
    server.set(ENDPOINT, good());
    gate.open();
    for request in requests {
        assert_eq!(request.await.status(), 503);
    }
    assert_eq!(server.total(), 1);
    assert_eq!(status(&service, TOKEN).await, 200);
    assert_eq!(server.total(), 2);
}

#[tokio::test]
async fn each_token_makes_a_separate_call() {
    // (F01: whole-token keys) Neither the first nor the last characters are its name.
    let gate = Gate::closed();
    let server = HttpServer::with(ENDPOINT, good().held(&gate));
    let service = service(validator(&server));
    let long = "a".repeat(2_000);
    let tokens: Vec<_> = ["1", "2", "3"]
        .map(|middle| format!("{long}{middle}{long}"))
        .into();
    let mut requests: Vec<_> = tokens
        .iter()
        .map(|token| Box::pin(get(&service, token)))
        .collect();
    poll_once(&mut requests).await;
    server.arrived(ENDPOINT, 3).await;
    gate.open();
    for request in requests {
        assert_eq!(request.await.status(), 200);
    }
    let asked = |token: &String| {
        let seen = server.seen();
        seen.iter()
            .filter(|seen| String::from_utf8_lossy(&seen.body).contains(token))
            .count()
    };
    assert!(tokens.iter().all(|token| asked(token) == 1));
}

#[tokio::test]
async fn dropped_request_does_not_affect_others() {
    // (E08: shared fetches, F08: unfinished validations)
    let gate = Gate::closed();
    let server = HttpServer::with(ENDPOINT, good().held(&gate));
    let service = service(builder(&server).cache(60 * SECOND).build().unwrap());
    let mut requests: Vec<_> = (0..3).map(|_| Box::pin(get(&service, TOKEN))).collect();
    poll_once(&mut requests).await;
    server.arrived(ENDPOINT, 1).await;
    // The one that started the call.
    drop(requests.remove(0));
    gate.open();
    for request in requests {
        assert_eq!(request.await.status(), 200);
    }
    assert_eq!(server.total(), 1);
}

#[tokio::test]
async fn call_continues_without_requests_and_ends_with_validator() {
    // (E08: shared fetches)
    let gate = Gate::closed();
    let server = HttpServer::with(ENDPOINT, good().held(&gate));
    let service_1 = service(validator(&server));
    let mut requests = vec![Box::pin(get(&service_1, TOKEN))];
    poll_once(&mut requests).await;
    server.arrived(ENDPOINT, 1).await;
    drop(requests);
    // The next one joins the same call.
    let mut requests = vec![Box::pin(get(&service_1, TOKEN))];
    poll_once(&mut requests).await;
    gate.open();
    assert_eq!(requests.remove(0).await.status(), 200);
    assert_eq!(server.total(), 1);
    drop(requests);

    let closed = Gate::closed();
    server.set(ENDPOINT, good().held(&closed));
    let service_2 = service(validator(&server));
    let mut requests = vec![Box::pin(get(&service_2, TOKEN))];
    poll_once(&mut requests).await;
    server.arrived(ENDPOINT, 2).await;
    drop(requests);
    drop(service_2);
    server.abandoned(1).await;
}

#[tokio::test]
async fn concurrent_calls_stay_within_limit() {
    // G: a stranger chooses the tokens.
    let gate = Gate::closed();
    let server = HttpServer::with(ENDPOINT, good().held(&gate));
    let service = service(builder(&server).max_concurrent_requests(3).build().unwrap());
    let tokens = ["1", "2", "3"];
    let mut requests: Vec<_> = tokens.map(|token| Box::pin(get(&service, token))).into();
    poll_once(&mut requests).await;
    for _ in 0..10 {
        let answer = get(&service, "4").await;
        assert_eq!(
            (answer.status(), answer.header("retry-after")),
            (503, Some("1"))
        );
        assert!(matches!(
            cause(&answer),
            ProviderError::Busy {
                max_concurrent_requests: 3,
                ..
            }
        ));
    }
    // Those that are under way may be joined, and are not lost with their requests.
    drop(requests.remove(0));
    let mut joined = vec![Box::pin(get(&service, "1"))];
    poll_once(&mut joined).await;
    requests.append(&mut joined);
    gate.open();
    for request in requests {
        assert_eq!(request.await.status(), 200);
    }
    assert_eq!(server.total(), 3);
    assert_eq!(status(&service, "4").await, 200);
    assert_eq!(server.total(), 4);
}

#[tokio::test]
async fn dropped_requests_free_capacity_of_default_limit() {
    let open = tokio::sync::watch::Sender::new(false);
    let opened = open.subscribe();
    let held = Scripted::waiting(move |_| {
        let mut opened = opened.clone();
        Box::pin(async move {
            opened.wait_for(|open| *open).await.unwrap();
            Ok(json_response(&json!({"active": true, "aud": AUDIENCE})))
        })
    });
    let service = service(held.builder().build().unwrap());
    let tokens: Vec<_> = (0..1_025).map(|number| format!("t{number}")).collect();
    let mut requests: Vec<_> = tokens[..1_024]
        .iter()
        .map(|token| Box::pin(get(&service, token)))
        .collect();
    poll_once(&mut requests).await;
    drop(requests);
    assert_eq!(status(&service, &tokens[1_024]).await, 503);
    open.send_replace(true);
    // Joins the last call, and is woken when all before it are over.
    assert_eq!(status(&service, &tokens[1_023]).await, 200);
    for token in &tokens {
        assert_eq!(status(&service, token).await, 200);
    }
}

#[tokio::test]
async fn each_request_is_validated_at_its_own_time() {
    // (F04: expiry on hits)
    let gate = Gate::closed();
    let reply = active(&json!({"exp": NOW + 100, "nbf": NOW})).held(&gate);
    let server = HttpServer::with(ENDPOINT, reply);
    let validator = builder(&server).leeway(Duration::ZERO).build().unwrap();
    let times = [0, 99, 100, 1_000].map(|seconds| start() + seconds * SECOND);
    let mut verdicts: Vec<_> = std::iter::once(start() - SECOND)
        .chain(times)
        .map(|now| Box::pin(ask(&validator, TOKEN, now)))
        .collect();
    poll_once(&mut verdicts).await;
    gate.open();
    let mut kinds = Vec::new();
    for verdict in verdicts {
        kinds.push(verdict.await.err().map(|failure| failure.kind()));
    }
    let early = Some(FailureKind::Invalid(InvalidReason::NotYetValid));
    let late = Some(FailureKind::Invalid(InvalidReason::Expired));
    assert_eq!(kinds, [early, None, None, late, late]);
    assert_eq!(server.total(), 1);
}

#[test]
fn validation_without_runtime_is_unavailable() {
    use futures_util::FutureExt as _;

    let server = HttpServer::with(ENDPOINT, good());
    let validator = builder(&server).cache(60 * SECOND).build().unwrap();
    let failure = ask(&validator, TOKEN, start())
        .now_or_never()
        .unwrap()
        .unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Unavailable);
    let error = failure.source().unwrap().downcast_ref::<ProviderError>();
    assert!(matches!(error, Some(ProviderError::NoRuntime)));
    assert_eq!(server.total(), 0);
    // What is kept needs none.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    assert!(runtime.block_on(ask(&validator, TOKEN, start())).is_ok());
    assert!(
        ask(&validator, TOKEN, start())
            .now_or_never()
            .unwrap()
            .is_ok()
    );
}

#[test]
fn call_lost_with_its_runtime_is_repeated() {
    // (E08: shared fetches)
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let gate = Gate::closed();
    let server = HttpServer::with(ENDPOINT, good().held(&gate));
    let validator = validator(&server);
    let first = runtime();
    let mut started = vec![Box::pin(ask(&validator, TOKEN, start()))];
    first.block_on(async {
        poll_once(&mut started).await;
        server.arrived(ENDPOINT, 1).await;
    });
    let second = runtime();
    let mut joined = vec![Box::pin(ask(&validator, TOKEN, start()))];
    second.block_on(poll_once(&mut joined));
    gate.open();
    drop(first);
    assert!(second.block_on(joined.remove(0)).is_ok());
    assert_eq!(server.total(), 2);
}
