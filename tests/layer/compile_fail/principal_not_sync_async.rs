//! A principal that threads cannot share, from a closure that returns a future.
use std::cell::Cell;

use tower_bearer::{BearerAuthLayer, Credential, Failure, validator_fn};

struct User {
    requests: Cell<u64>,
}

pub fn layer() {
    let validator = validator_fn(|_: Credential<'_>| async {
        Ok::<_, Failure>(User {
            requests: Cell::new(0),
        })
    });
    let _ = BearerAuthLayer::new(validator);
}
