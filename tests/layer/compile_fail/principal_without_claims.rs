//! A principal that cannot tell its scopes.
use tower_bearer::policy::{Policies, scope};
use tower_bearer::{BearerAuthLayer, Credential, Failure, validator_fn};

struct User;

pub fn layer() {
    let validator = validator_fn(|_: Credential<'_>| Ok::<_, Failure>(User));
    let policies = Policies::<User>::builder()
        .under("/orders", scope("orders:read"))
        .build()
        .unwrap();
    let _ = BearerAuthLayer::new(validator).with_policy(policies);
}
