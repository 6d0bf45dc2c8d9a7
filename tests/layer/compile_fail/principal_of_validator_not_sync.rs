//! A validator whose principal threads cannot share.
use std::cell::Cell;

use tower_bearer::{Credential, RequestView, Validator, Verdict};

struct Sessions;

impl Validator for Sessions {
    type Principal = Cell<u64>;

    fn validate(&self, _: &Credential<'_>, _: &RequestView<'_>) -> Verdict<Cell<u64>> {
        unimplemented!()
    }
}
