//! What a router clones for every request, and what every request moves.

use std::future::Future;
use std::mem::size_of;

use http::Request;
use tower::{Layer as _, Service};
use tower_bearer::policy::{Policies, scope};
use tower_bearer::{BearerAuthLayer, Credential, Failure, validator_fn};

use crate::support::{Body, Greet};

/// A service whose future has this size.
#[derive(Clone)]
struct Sized<const BYTES: usize>;

impl<const BYTES: usize> Service<Request<Body>> for Sized<BYTES> {
    type Response = http::Response<Body>;
    type Error = std::convert::Infallible;
    type Future = SizedFuture<BYTES>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> SizedFuture<BYTES> {
        SizedFuture([0; BYTES])
    }
}

struct SizedFuture<const BYTES: usize>([u8; BYTES]);

impl<const BYTES: usize> Future for SizedFuture<BYTES> {
    type Output = Result<http::Response<Body>, std::convert::Infallible>;

    fn poll(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        std::hint::black_box(&self.0);
        std::task::Poll::Ready(Ok(http::Response::default()))
    }
}

fn layer() -> BearerAuthLayer<
    impl tower_bearer::Validator<Principal = crate::support::User>,
    Policies<crate::support::User>,
> {
    let validator =
        validator_fn(|_: Credential<'_>| Ok::<_, Failure>(crate::support::User::default()));
    let policies = Policies::builder()
        .under("/orders", scope("orders:read"))
        .build()
        .unwrap();
    BearerAuthLayer::new(validator).with_policy(policies)
}

fn future_of<S: Service<Request<Body>>>(_: &S) -> usize {
    size_of::<S::Future>()
}

#[test]
fn service_size_is_inner_service_plus_one_pointer() {
    let pointer = size_of::<usize>();
    assert_eq!(size_of_val(&layer()), pointer);
    assert_eq!(
        size_of_val(&layer().layer(Greet)),
        size_of::<Greet>() + pointer
    );
    assert_eq!(size_of_val(&layer().layer([0_u64; 4])), 32 + pointer);
}

#[test]
fn future_size_is_inner_future_plus_one_word() {
    let word = size_of::<u64>();
    for (inner, ours) in [
        (8, future_of(&layer().layer(Sized::<8>))),
        (64, future_of(&layer().layer(Sized::<64>))),
        (1_024, future_of(&layer().layer(Sized::<1_024>))),
    ] {
        assert!(ours <= inner + 2 * word, "{ours} for {inner}");
    }
    // Around two layers as around one.
    let twice = future_of(&layer().layer(layer().layer(Sized::<1_024>)));
    assert!(twice <= 1_024 + 4 * word, "{twice}");
}
