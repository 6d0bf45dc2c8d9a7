//! Serialization of the logins of one user.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError};

use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::issuing::store::StoreError;

/// A queue that lets the logins of each user in this process proceed one at a time.
///
/// The limit of sessions holds without the queue, but each of a thousand concurrent logins would then read
/// the sessions of all others. Logins of different users do not wait for one another. When a login fails, the
/// logins that waited for it fail as well. So if the store does not answer, they all fail after one timeout
/// instead of one timeout each.
#[derive(Default)]
pub(super) struct Logins {
    queues: StdMutex<HashMap<Box<str>, Arc<Queue>>>,
}

#[derive(Default)]
struct Queue {
    mutex: Arc<Mutex<()>>,
    failures: AtomicU64,
}

/// Guard held by the login in progress.
pub(super) struct Turn<'a> {
    logins: &'a Logins,
    subject: Box<str>,
    queue: Arc<Queue>,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Logins {
    /// Waits until no other login of this subject is in progress.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] if a login failed meanwhile.
    pub(super) async fn turn(&self, subject: &str) -> Result<Turn<'_>, StoreError> {
        let queue = Arc::clone(self.lock().entry(subject.into()).or_default());
        let failures = queue.failures.load(Ordering::Acquire);
        // Created before waiting, so that dropping the future removes the entry as well.
        let mut turn = Turn {
            logins: self,
            subject: subject.into(),
            queue,
            guard: None,
        };
        let mutex = Arc::clone(&turn.queue.mutex);
        turn.guard = Some(mutex.lock_owned().await);
        match turn.queue.failures.load(Ordering::Acquire) == failures {
            true => Ok(turn),
            false => Err(StoreError::unavailable(
                "of sessions",
                "a login of the same user failed just before",
            )),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, Arc<Queue>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn<'_> {
    /// Makes all waiting logins fail.
    pub(super) fn fail(&self) {
        self.queue.failures.fetch_add(1, Ordering::AcqRel);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.guard = None;
        let mut queues = self.logins.lock();
        // Released while the map is locked, so that of several turns that end at once the last one removes the entry.
        self.queue = Arc::default();
        // One reference, that of the map: no other login waits. A new login cannot clone the queue while the map is
        // locked.
        let queue = queues.get(&self.subject);
        if queue.is_some_and(|queue| Arc::strong_count(queue) == 1) {
            queues.remove(&self.subject);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::{Pin, pin};
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    fn ready<T, E>(poll: Poll<Result<T, E>>) -> Option<T> {
        match poll {
            Poll::Ready(Ok(turn)) => Some(turn),
            _ => None,
        }
    }

    #[test]
    fn logins_of_one_subject_take_turns_and_leave_no_entry() {
        let logins = Logins::default();
        let first = ready(poll(pin!(logins.turn("alice")))).unwrap();
        {
            let mut second = pin!(logins.turn("alice"));
            let mut dropped = Box::pin(logins.turn("alice"));
            assert!(poll(second.as_mut()).is_pending());
            assert!(poll(dropped.as_mut()).is_pending());
            assert!(ready(poll(pin!(logins.turn("bob")))).is_some());
            drop(dropped);
            assert_eq!(logins.lock().len(), 1);
            drop(first);
            assert!(ready(poll(second)).is_some());
        }
        assert!(logins.lock().is_empty());
    }

    #[test]
    fn failed_login_fails_waiting_logins_and_no_later_login() {
        let logins = Logins::default();
        let first = ready(poll(pin!(logins.turn("alice")))).unwrap();
        {
            let mut waiting = pin!(logins.turn("alice"));
            let mut other = pin!(logins.turn("alice"));
            assert!(poll(waiting.as_mut()).is_pending());
            assert!(poll(other.as_mut()).is_pending());
            first.fail();
            let later = logins.turn("alice");
            drop(first);
            assert!(matches!(poll(waiting), Poll::Ready(Err(_))));
            assert!(matches!(poll(other), Poll::Ready(Err(_))));
            assert!(ready(poll(pin!(later))).is_some());
        }
        assert!(logins.lock().is_empty());
    }

    #[test]
    fn concurrently_finished_logins_leave_no_entry() {
        let logins = Logins::default();
        let arrived = AtomicU64::new(0);
        let meet = |count: u64| {
            arrived.fetch_add(1, Ordering::AcqRel);
            while arrived.load(Ordering::Acquire) < count * 2 {
                std::thread::yield_now();
            }
        };
        let run = || {
            for round in 0..20_000 {
                let mut login = Box::pin(logins.turn("alice"));
                let turn = poll(login.as_mut());
                meet(round * 3 + 1);
                drop((turn, login));
                meet(round * 3 + 2);
                let is_empty = logins.lock().is_empty();
                meet(round * 3 + 3);
                assert!(is_empty, "{round}");
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(run);
            scope.spawn(run);
        });
    }
}
