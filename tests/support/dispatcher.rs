//! Logs of tests that share a process.

use std::sync::LazyLock;

use tracing::Dispatch;

/// Makes every thread report its events to the subscriber of a test. Call it before the subscriber is set.
///
/// With one dispatcher in the process, tracing asks the thread that first reaches an event whether anything is interested, and
/// keeps the answer for all threads. With two, it asks both dispatchers.
pub(crate) fn register_second() {
    static SECOND: LazyLock<Dispatch> =
        LazyLock::new(|| Dispatch::new(tracing_subscriber::registry()));
    LazyLock::force(&SECOND);
}
