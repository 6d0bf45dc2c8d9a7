//! Tasks, runtimes and their ends.

use std::sync::Arc;

use bytes::Bytes;
use tokio::runtime::{Builder, Runtime};
use tower_bearer::BoxFuture;
use tower_bearer::provider::{Fetch, FetchError, ProviderError};

use super::*;
use crate::http_server::Gate;

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// An executor without anything of tokio.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        if let std::task::Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        std::thread::park();
    }
}

#[tokio::test]
async fn background_fetch_ends_with_validator() {
    // (E08: shared fetches)
    let (signer, clock) = (signer("a"), clock());
    let server = issuer([&signer]);
    // A fetch that is left alone lasts longer than this test.
    let keys = builder(&server, &clock).timeout(MINUTE);
    let keys = keys.connect().await.unwrap();
    let service = service(&keys, &clock);
    server.set(JWKS, Reply::json(jwks([&signer])).held(&Gate::closed()));
    clock.advance(10 * MINUTE);
    assert_eq!(status(&service, &token(&signer)).await, 200);
    server.arrived(JWKS, 2).await;
    drop(keys);
    drop(service);
    server.abandoned(1).await;
}

#[tokio::test]
async fn fetch_lasts_while_a_request_waits() {
    // (E08: shared fetches) Also if the service of that request is gone.
    let (signer, clock) = (signer("a"), clock());
    let gate = Gate::closed();
    let server = HttpServer::with(JWKS, Reply::json(jwks([&signer])).held(&gate));
    let keys = builder(&server, &clock).connect_lazily().unwrap();
    let service = service(&keys, &clock);
    drop(keys);
    let waiting = tokio::spawn({
        let token = token(&signer);
        async move { status(&service, &token).await }
    });
    server.arrived(JWKS, 1).await;
    gate.open();
    assert_eq!(waiting.await.unwrap(), 200);
}

#[tokio::test]
async fn cancelled_request_does_not_cancel_shared_fetch() {
    // (E08: shared fetches)
    let (signer, clock) = (signer("a"), clock());
    let gate = Gate::closed();
    let server = HttpServer::with(JWKS, Reply::json(jwks([&signer])).held(&gate));
    let keys = builder(&server, &clock).connect_lazily().unwrap();
    let service = service(&keys, &clock);
    let request = || {
        let (service, token) = (service.clone(), token(&signer));
        tokio::spawn(async move { status(&service, &token).await })
    };
    let first = request();
    server.arrived(JWKS, 1).await;
    let second = request();
    tokio::task::yield_now().await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    gate.open();
    assert_eq!(second.await.unwrap(), 200);
    assert_eq!(server.total(), 1);
}

#[test]
fn keys_serve_several_runtimes_in_sequence() {
    // (E08: shared fetches)
    let (signer, clock) = (signer("a"), clock());
    let server = issuer([&signer]);
    let keys = runtime()
        .block_on(builder(&server, &clock).connect())
        .unwrap();
    let service = service(&keys, &clock);
    for round in 1..=3 {
        assert_eq!(runtime().block_on(status(&service, &token(&signer))), 200);
        assert_eq!(
            runtime().block_on(status(&service, &forged("unknown"))),
            401
        );
        assert_eq!(server.total(), 1 + round);
        clock.advance(2 * COOLDOWN);
    }
}

#[test]
fn keys_serve_several_runtimes_at_once() {
    // (E08: shared fetches)
    let (signer, clock) = (signer("a"), clock());
    let gate = Gate::closed();
    let server = HttpServer::with(JWKS, Reply::json(jwks([&signer])).held(&gate));
    let keys = builder(&server, &clock).connect_lazily().unwrap();
    let service = service(&keys, &clock);
    let request = || {
        let (service, token) = (service.clone(), token(&signer));
        std::thread::spawn(move || runtime().block_on(status(&service, &token)))
    };
    let threads: Vec<_> = (0..4).map(|_| request()).collect();
    runtime().block_on(server.arrived(JWKS, 1));
    gate.open();
    for thread in threads {
        // The runtime of the fetch may end as soon as its own request has its answer.
        assert_eq!(thread.join().unwrap(), 200);
    }
    assert_eq!(server.total(), 1);
}

#[test]
fn fetch_lost_with_its_runtime_is_repeated() {
    // (E08: shared fetches)
    let (signer, clock) = (signer("a"), clock());
    let server = HttpServer::with(JWKS, Reply::json(jwks([&signer])).held(&Gate::closed()));
    let keys = builder(&server, &clock).connect_lazily().unwrap();
    let service = service(&keys, &clock);
    let first = runtime();
    let waiting = first.spawn({
        let (service, token) = (service.clone(), token(&signer));
        async move { status(&service, &token).await }
    });
    first.block_on(server.arrived(JWKS, 1));
    let other = std::thread::spawn({
        let (service, token) = (service.clone(), token(&signer));
        move || block_on(status(&service, &token))
    });
    drop(first);
    assert!(runtime().block_on(waiting).unwrap_err().is_cancelled());
    assert_eq!(other.join().unwrap(), 503);
    let error = keys.status().last_error().unwrap().to_owned();
    assert_eq!(error, ProviderError::Interrupted.to_string());
    server.set(JWKS, Reply::json(jwks([&signer])));
    clock.advance(COOLDOWN);
    assert_eq!(runtime().block_on(status(&service, &token(&signer))), 200);
}

#[test]
fn validation_without_runtime_uses_cached_keys_or_is_unavailable() {
    // (E08: shared fetches)
    let (signer, clock) = (signer("a"), clock());
    let server = issuer([&signer]);
    let keys = builder(&server, &clock).connect_lazily().unwrap();
    let service = service(&keys, &clock);
    let ask = |token: &str| block_on(status(&service, token));
    assert_eq!(ask(&token(&signer)), 503);
    assert!(matches!(
        block_on(keys.refresh()),
        Err(ProviderError::NoRuntime)
    ));
    // That was no attempt, so no cooldown follows.
    runtime().block_on(keys.refresh()).unwrap();
    assert_eq!(ask(&token(&signer)), 200);
    assert_eq!(ask(&forged("unknown")), 503);
    clock.advance(10 * MINUTE);
    assert_eq!(ask(&token(&signer)), 200, "due, and still good");
    clock.advance(HOUR);
    assert_eq!(ask(&token(&signer)), 503);
    assert_eq!(runtime().block_on(status(&service, &token(&signer))), 200);
    assert_eq!(server.total(), 2);
}

#[test]
fn waiter_without_runtime_gets_shared_result() {
    // (E08: shared fetches)
    let (signer, clock) = (signer("a"), clock());
    let gate = Gate::closed();
    let server = HttpServer::with(JWKS, Reply::json(jwks([&signer])).held(&gate));
    let keys = builder(&server, &clock).connect_lazily().unwrap();
    let service = service(&keys, &clock);
    let token = token(&signer);
    runtime().block_on(async {
        let waiting = tokio::spawn({
            let (service, token) = (service.clone(), token.clone());
            async move { status(&service, &token).await }
        });
        server.arrived(JWKS, 1).await;
        let thread = std::thread::spawn({
            let (service, token) = (service.clone(), token.clone());
            move || block_on(status(&service, &token))
        });
        gate.open();
        assert_eq!(waiting.await.unwrap(), 200);
        assert_eq!(thread.join().unwrap(), 200);
    });
    assert_eq!(server.total(), 1);
}

/// Panics when it is asked.
struct Broken;

impl Fetch for Broken {
    fn fetch(
        &self,
        _: Request<Bytes>,
        _: usize,
    ) -> BoxFuture<Result<http::Response<Bytes>, FetchError>> {
        panic!("as the test wants it")
    }
}

#[tokio::test]
async fn panicking_fetcher_is_unavailable() {
    // (G05: no panics)
    let clock = clock();
    let keys = RemoteKeys::builder("https://issuer.example/jwks")
        .clock(clock.clone())
        .fetcher(Broken)
        .connect_lazily()
        .unwrap();
    let service = service(&keys, &clock);
    for _ in 0..3 {
        assert_eq!(status(&service, &token(&signer("a"))).await, 503);
    }
    assert!(matches!(
        keys.refresh().await,
        Err(ProviderError::Interrupted)
    ));
}
