//! Compiles: what the other files get wrong, done right.
use tower_bearer::policy::{Claims, Policies, PolicyContext, policy_fn, scope};
use tower_bearer::{BearerAuthLayer, Credential, Failure, InvalidReason, validator_fn};

struct User;

impl Claims for User {}

pub fn layer() {
    let validator = validator_fn(|credential: Credential<'_>| match credential.token() {
        "alice" => Ok(User),
        _ => Err(Failure::invalid(InvalidReason::Unknown)),
    });
    let policies: Policies<User> = Policies::builder()
        .under("/orders", scope("orders:read"))
        .under("/", policy_fn(|_: &PolicyContext<'_, User>| true))
        .build()
        .unwrap();
    let _ = BearerAuthLayer::new(validator).with_policy(policies);
}
