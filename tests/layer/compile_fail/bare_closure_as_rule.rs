//! A closure in a list, without `policy_fn`.
use tower_bearer::policy::{Policies, PolicyContext};

struct User;

pub fn policies() {
    let _ = Policies::<User>::builder().under("/", |_: &PolicyContext<'_, User>| true);
}
