//! What the fuzz targets share: one call of a service without a runtime.

use std::convert::Infallible;
use std::future::Ready;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use http::{Request, Response};
use tower::{Service, service_fn};

/// Marks the response of the inner service.
#[derive(Clone, Copy, Debug)]
pub struct Reached;

/// An inner service that marks its responses.
pub fn inner() -> impl Service<
    Request<()>,
    Response = Response<()>,
    Error = Infallible,
    Future = Ready<Result<Response<()>, Infallible>>,
> + Clone {
    service_fn(|_: Request<()>| {
        let mut response = Response::new(());
        response.extensions_mut().insert(Reached);
        std::future::ready(Ok(response))
    })
}

/// Calls a service that needs no wait, and returns its response.
pub fn call<S, B>(service: &mut S, request: Request<()>) -> Response<B>
where
    S: Service<Request<()>, Response = Response<B>, Error = Infallible>,
{
    let mut context = Context::from_waker(Waker::noop());
    assert!(matches!(
        service.poll_ready(&mut context),
        Poll::Ready(Ok(()))
    ));
    match pin!(service.call(request)).poll(&mut context) {
        Poll::Ready(Ok(response)) => response,
        Poll::Ready(Err(error)) => match error {},
        Poll::Pending => panic!("the service waits"),
    }
}

/// Returns whether the request reached the inner service.
pub fn is_allowed<B>(response: &Response<B>) -> bool {
    response.extensions().get::<Reached>().is_some()
}
