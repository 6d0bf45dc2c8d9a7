//! What all parts of the suite use.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;

use crate::issuing::store::{RevocationStore, SessionStore};

/// A store of sessions and revocations.
pub(super) trait Store: SessionStore + RevocationStore + Clone + 'static {}

impl<S: SessionStore + RevocationStore + Clone + 'static> Store for S {}

/// Names that an encoding between the store and its disk may change.
pub(super) const ODD_NAMES: [&str; 12] = [
    "",
    " ",
    "a",
    "a\0",
    "a\0b",
    "a:b",
    "{a}",
    "*",
    "a\r\nDEL x\r\n",
    "\u{1f600}",
    "e\u{301}",
    "\u{e9}",
];

pub(super) fn hour() -> Duration {
    Duration::from_secs(3_600)
}

/// Runs the test of a rule. A failure panics with the rule.
pub(super) async fn rule(rule: &str, test: impl Future<Output = ()>) {
    if let Err(panic) = AssertUnwindSafe(test).catch_unwind().await {
        panic!("the store breaks the rule \"{rule}\": {}", text_of(&*panic));
    }
}

pub(super) fn text_of(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("the test panicked")
}
