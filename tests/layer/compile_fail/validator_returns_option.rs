//! A validator that cannot say why.
use tower_bearer::{BearerAuthLayer, Credential, validator_fn};

struct User;

pub fn layer() {
    let validator = validator_fn(|_: Credential<'_>| Some(User));
    let _ = BearerAuthLayer::new(validator);
}
