//! Stores that need nothing installed: all of them do what a store has to do, and a file survives what files go through.

#[path = "support/store_contract.rs"]
mod store_contract;

#[path = "store_redb/contract.rs"]
mod contract;
#[path = "store_redb/damage.rs"]
mod damage;
#[path = "store_redb/directory.rs"]
mod directory;
#[cfg(unix)]
#[path = "store_redb/exclusive.rs"]
mod exclusive;
#[path = "store_redb/opening.rs"]
mod opening;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake};
use std::thread::{self, Thread};

/// Waits without any runtime.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = Arc::new(Unpark(thread::current())).into();
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
