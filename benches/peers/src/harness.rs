//! What all contenders share: the request, the two bare services, and the calls.

use std::convert::Infallible;
use std::fmt::Debug;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use axum::Router;
use axum::body::Body;
use axum::handler::Handler;
use axum::routing::get;
use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup};
use http::{Response, StatusCode, header};
use serde::Deserialize;
use tower::Service;

pub(crate) type Request = http::Request<Body>;
type Group<'a> = BenchmarkGroup<'a, WallTime>;

/// So many requests are made in advance, outside of the measured time: few enough to stay in the
/// cache, as a request does that a server has just read, and enough to hide the cost of the clock.
const BATCH: BatchSize = BatchSize::NumIterations(16);

/// What the token says, for every peer that lets the application choose the type.
#[derive(Clone, Deserialize)]
#[allow(dead_code, reason = "read for its cost")]
pub(crate) struct Claims {
    iss: String,
    sub: String,
    aud: String,
    exp: u64,
    iat: u64,
    jti: String,
    scope: String,
}

/// A request as a server hands it on, with a few headers. The same for all.
pub(crate) fn request(token: &str) -> Request {
    http::Request::get("/orders/7")
        .header(header::HOST, "api.example.com")
        .header(header::USER_AGENT, "bench/1.0")
        .header(header::ACCEPT, "*/*")
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .body(Body::empty())
        .unwrap()
}

/// The service that layers are put in front of.
pub(crate) fn bare() -> impl Service<
    Request,
    Response = Response<Body>,
    Error = Infallible,
    Future = impl Future<Output = Result<Response<Body>, Infallible>> + Send,
> + Clone
+ Send
+ 'static {
    tower::service_fn(|request: Request| async move {
        std::hint::black_box(&request);
        Ok(Response::new(Body::empty()))
    })
}

/// The axum router that layers are put around, or whose handler takes an extractor.
pub(crate) fn router<H, T, S>(handler: H) -> Router<S>
where
    H: Handler<T, S>,
    T: 'static,
    S: Clone + Send + Sync + 'static,
{
    Router::new().route("/orders/{id}", get(handler))
}

/// What a contender answered.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) challenge: bool,
}

pub(crate) trait ToAnswer {
    fn to_answer(&self) -> Answer;
}

impl<B> ToAnswer for Response<B> {
    fn to_answer(&self) -> Answer {
        Answer {
            status: self.status(),
            challenge: self.headers().contains_key(header::WWW_AUTHENTICATE),
        }
    }
}

/// Something that is measured.
pub(crate) trait Contender {
    fn send(&mut self, request: Request) -> Answer;
    fn bench(&mut self, group: &mut Group<'_>, id: &str, make: &dyn Fn() -> Request);
}

/// Why there is no contender for an algorithm.
pub(crate) type Unsupported = &'static str;
pub(crate) type Made = Result<Box<dyn Contender>, Unsupported>;

/// A layer in front of [`bare`].
pub(crate) fn direct<S>(service: S) -> Made
where
    S: Service<Request, Response: ToAnswer, Error: Debug> + 'static,
{
    Ok(Box::new(Direct(service)))
}

/// An axum router, used as `axum::serve` does: prepared once, cloned for every request.
pub(crate) fn routed(router: Router) -> Made {
    Ok(Box::new(Routed(router.with_state(()))))
}

struct Direct<S>(S);

impl<S> Contender for Direct<S>
where
    S: Service<Request, Response: ToAnswer, Error: Debug>,
{
    fn send(&mut self, request: Request) -> Answer {
        call(&mut self.0, request).to_answer()
    }

    fn bench(&mut self, group: &mut Group<'_>, id: &str, make: &dyn Fn() -> Request) {
        group.bench_function(id, |bencher| {
            bencher.iter_batched(make, |request| call(&mut self.0, request), BATCH);
        });
    }
}

struct Routed(Router);

impl Contender for Routed {
    fn send(&mut self, request: Request) -> Answer {
        call(&mut self.0.clone(), request).to_answer()
    }

    fn bench(&mut self, group: &mut Group<'_>, id: &str, make: &dyn Fn() -> Request) {
        group.bench_function(id, |bencher| {
            bencher.iter_batched(make, |request| call(&mut self.0.clone(), request), BATCH);
        });
    }
}

/// Calls a service that is always ready. Some peers are written with `async`; none of them waits for
/// anything once its keys are there, so nothing but polling is needed.
fn call<S>(service: &mut S, request: Request) -> S::Response
where
    S: Service<Request, Error: Debug>,
{
    let mut cx = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut cx).is_ready());
    let mut future = pin!(service.call(request));
    for _ in 0..100 {
        if let Poll::Ready(response) = future.as_mut().poll(&mut cx) {
            return response.unwrap();
        }
    }
    unreachable!("nothing in this benchmark waits")
}
