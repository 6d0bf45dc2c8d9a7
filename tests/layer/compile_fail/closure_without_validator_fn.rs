//! A closure given as it is.
use tower_bearer::{BearerAuthLayer, Credential, Failure};

pub fn layer() {
    let _ = BearerAuthLayer::new(|_: Credential<'_>| Ok::<_, Failure>("alice"));
}
