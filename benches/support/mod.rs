//! What the benchmarks share: the bare service, a principal, rules, and the calls.
#![allow(dead_code, reason = "no benchmark uses all of it")]

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use criterion::BatchSize;
use http::{Method, Request, Response};
use http_body_util::Full;
use tower::Service;
use tower_bearer::policy::{Claims, Policies, public, scope, scope_list_contains};

pub(crate) type Body = Full<Bytes>;

/// A token of 256 random bits in base64url, as services hand them out.
pub(crate) const TOKEN: &str = "mF2bYt5Qe0rLk9VhXw3NcZ7uPj1sDa6gKo8iTyRnUEA";

pub(crate) struct User;

impl Claims for User {
    fn has_scope(&self, scope: &str) -> bool {
        scope_list_contains("orders:read orders:write", scope)
    }
}

/// The service that all layers are put in front of.
pub(crate) fn bare() -> impl Service<
    Request<Body>,
    Response = Response<Body>,
    Error = Infallible,
    Future = impl Future<Output = Result<Response<Body>, Infallible>>,
> + Clone {
    tower::service_fn(|request: Request<Body>| async move {
        std::hint::black_box(&request);
        Ok(Response::new(Body::default()))
    })
}

/// So many requests are made in advance, outside of the measured time: few enough to stay in the
/// cache, as a request does that a server has just read, and enough to hide the cost of the clock.
pub(crate) const BATCH: BatchSize = BatchSize::NumIterations(16);

/// A request with a few headers and without extensions, so that the first extension allocates the map.
/// Behind hyper or axum the map is usually there already.
pub(crate) fn request(path: &str, authorization: Option<&str>) -> Request<Body> {
    let mut request = Request::get(path)
        .header("host", "api.example.com")
        .header("user-agent", "bench/1.0")
        .header("accept", "*/*");
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    request.body(Body::default()).unwrap()
}

/// Calls a service that is always ready and never waits.
pub(crate) fn call<S, R>(service: &mut S, request: R) -> S::Response
where
    S: Service<R>,
    S::Error: std::fmt::Debug,
{
    let mut cx = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut cx).is_ready());
    let mut future = pin!(service.call(request));
    match future.as_mut().poll(&mut cx) {
        Poll::Ready(response) => response.unwrap(),
        Poll::Pending => unreachable!("nothing in this benchmark waits"),
    }
}

/// Ten rules, one of them public; three of them mean a path below `/orders`.
pub(crate) fn ten_rules<T: Claims + ?Sized + 'static>() -> Policies<T> {
    let mut policies = Policies::builder()
        .at("/health", public())
        .under("/orders", scope("orders:read"))
        .under(
            "/orders",
            scope("orders:write").on([Method::POST, Method::DELETE]),
        );
    for other in 3..10 {
        policies = policies.under(&format!("/other/{other}"), scope("other"));
    }
    policies.build().unwrap()
}
