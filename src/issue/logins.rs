//! Logins of one user, one after another.

use std::collections::HashMap;
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError};

use tokio::sync::{Mutex, OwnedMutexGuard};

/// Lets the logins of each user in this process proceed one at a time.
///
/// The limit of sessions holds without it, since every login enforces the limit after it has stored its session. Together,
/// however, each of a thousand logins would read the sessions of all others. Logins of different users do not wait for
/// one another.
#[derive(Default)]
pub(super) struct Logins {
    by_subject: StdMutex<HashMap<Box<str>, Arc<Mutex<()>>>>,
}

/// The turn of one login. The next one begins when it is dropped.
pub(super) struct Turn<'a> {
    logins: &'a Logins,
    subject: Box<str>,
    mutex: Arc<Mutex<()>>,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Logins {
    /// Waits until no other login of this subject is in progress.
    pub(super) async fn turn(&self, subject: &str) -> Turn<'_> {
        let mutex = Arc::clone(self.lock().entry(subject.into()).or_default());
        // Before it waits, so that a future dropped meanwhile removes the entry as well.
        let mut turn = Turn {
            logins: self,
            subject: subject.into(),
            mutex,
            guard: None,
        };
        turn.guard = Some(Arc::clone(&turn.mutex).lock_owned().await);
        turn
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, Arc<Mutex<()>>>> {
        self.by_subject
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.guard = None;
        let mut by_subject = self.logins.lock();
        // The map and this turn: no other login waits for it. New ones need the lock that is held here.
        if Arc::strong_count(&self.mutex) <= 2 {
            by_subject.remove(&self.subject);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn logins_of_one_subject_take_turns_and_leave_no_entry() {
        let logins = Logins::default();
        let Poll::Ready(first) = poll(pin!(logins.turn("alice"))) else {
            panic!("there is no other login");
        };
        {
            let mut second = pin!(logins.turn("alice"));
            let mut dropped = Box::pin(logins.turn("alice"));
            assert!(poll(second.as_mut()).is_pending());
            assert!(poll(dropped.as_mut()).is_pending());
            assert!(poll(pin!(logins.turn("bob"))).is_ready());
            drop(dropped);
            assert_eq!(logins.lock().len(), 1);
            drop(first);
            assert!(poll(second).is_ready());
        }
        assert!(logins.lock().is_empty());
    }
}
