//! Rules written for another principal than the validator's.
use tower_bearer::policy::{Claims, Policies, scope};
use tower_bearer::{BearerAuthLayer, Credential, Failure, validator_fn};

struct User;
struct Service;

impl Claims for Service {}

pub fn layer() {
    let validator = validator_fn(|_: Credential<'_>| Ok::<_, Failure>(User));
    let policies: Policies<Service> = Policies::builder()
        .under("/orders", scope("orders:read"))
        .build()
        .unwrap();
    let _ = BearerAuthLayer::new(validator).with_policy(policies);
}
