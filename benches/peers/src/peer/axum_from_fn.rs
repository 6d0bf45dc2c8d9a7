//! axum's middleware from a function, with jsonwebtoken.

use axum::extract::State;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;

use crate::by_hand::{Verifier, unauthorized};
use crate::harness::{Made, Request, routed, router};
use crate::tokens::{Keys, Tokens};

async fn authenticate(
    State(verifier): State<Verifier>,
    mut request: Request,
    next: Next,
) -> Response {
    match verifier.verify(request.headers()) {
        Some(claims) => {
            request.extensions_mut().insert(claims);
            next.run(request).await
        }
        None => unauthorized(),
    }
}

pub(crate) fn axum(keys: &Keys, _: &Tokens) -> Made {
    let layer = from_fn_with_state(Verifier::new(keys), authenticate);
    routed(router(|| async {}).layer(layer))
}
