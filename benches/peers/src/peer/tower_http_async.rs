//! tower-http's layer for a check of one's own, with jsonwebtoken. The check needs no waiting, so its
//! future is one that is ready and not boxed.

use std::future::{Ready, ready};

use axum::body::Body;
use http::Response;
use tower::Layer;
use tower_http::auth::{AsyncAuthorizeRequest, AsyncRequireAuthorizationLayer};

use crate::by_hand::{Verifier, unauthorized};
use crate::harness::{Made, Request, bare, direct};
use crate::tokens::{Keys, Tokens};

#[derive(Clone)]
struct CheckToken(Verifier);

impl AsyncAuthorizeRequest<Body> for CheckToken {
    type RequestBody = Body;
    type ResponseBody = Body;
    type Future = Ready<Result<Request, Response<Body>>>;

    fn authorize(&mut self, mut request: Request) -> Self::Future {
        ready(match self.0.verify(request.headers()) {
            Some(claims) => {
                request.extensions_mut().insert(claims);
                Ok(request)
            }
            None => Err(unauthorized()),
        })
    }
}

pub(crate) fn service(keys: &Keys, _: &Tokens) -> Made {
    let check = CheckToken(Verifier::new(keys));
    direct(AsyncRequireAuthorizationLayer::new(check).layer(bare()))
}
