//! What both benchmarks share: the bare service, a principal, and the calls.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::Service;
use tower_bearer::policy::{Claims, scope_list_contains};

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
#[derive(Clone)]
pub(crate) struct Bare;

impl Service<Request<Body>> for Bare {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        std::hint::black_box(&request);
        ready(Ok(Response::new(Body::default())))
    }
}

/// A request as a server hands it on: a few headers, and the extensions that hyper or axum put there.
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
