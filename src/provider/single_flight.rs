//! One piece of work for many waiters.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// How much longer than its own limit a piece of work may seem to take before it is given up.
const GRACE: Duration = Duration::from_secs(1);

/// A piece of work that runs as a task of its own, and whose result anybody may wait for.
///
/// A waiter that is dropped does not disturb it. It ends with its owner: dropping this aborts it.
/// Whatever happens to the task, its waiters get an answer, though not before somebody drops this if
/// the runtime exists and is not driven. [`is_over`](Self::is_over) tells the owner when to do that.
pub(crate) struct Flight<T> {
    result: Arc<watch::Sender<Option<Result<T, TaskLost>>>>,
    task: AbortHandle,
    ends: Instant,
}

/// The work came to no end: it panicked, was aborted, or its runtime is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TaskLost;

/// There is no tokio runtime to work on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoRuntime;

impl<T: Clone + Send + Sync + 'static> Flight<T> {
    /// Starts `work` on the runtime of the caller. It has to end by itself within `limit`.
    pub(crate) fn start(
        limit: Duration,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<Self, NoRuntime> {
        let runtime = Handle::try_current().map_err(|_| NoRuntime)?;
        let result = Arc::new(watch::Sender::new(None));
        let landing = CompletionGuard(Arc::clone(&result));
        let task = runtime.spawn(async move {
            let landing = landing;
            let value = work.await;
            landing
                .0
                .send_if_modified(|result| settle(result, Ok(value)));
        });
        Ok(Self {
            result,
            task: task.abort_handle(),
            ends: Instant::now() + limit + GRACE,
        })
    }

    /// Whether there is nothing to wait for any more.
    pub(crate) fn is_over(&self) -> bool {
        self.result.borrow().is_some() || Instant::now() >= self.ends
    }

    /// The result, once it is there.
    pub(crate) fn wait(&self) -> impl Future<Output = Result<T, TaskLost>> + Send + use<T> {
        let mut result = self.result.subscribe();
        async move {
            match result.wait_for(Option::is_some).await {
                Ok(result) => result.clone().unwrap_or(Err(TaskLost)),
                Err(_) => Err(TaskLost),
            }
        }
    }
}

impl<T> Drop for Flight<T> {
    fn drop(&mut self) {
        self.task.abort();
        // An aborted task is dropped by its runtime, which may take its time.
        self.result
            .send_if_modified(|result| settle(result, Err(TaskLost)));
    }
}

impl<T> fmt::Debug for Flight<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flight").finish_non_exhaustive()
    }
}

/// Tells the waiters when the task is dropped before its end.
struct CompletionGuard<T>(Arc<watch::Sender<Option<Result<T, TaskLost>>>>);

impl<T> Drop for CompletionGuard<T> {
    fn drop(&mut self) {
        self.0
            .send_if_modified(|result| settle(result, Err(TaskLost)));
    }
}

/// The first result stands.
fn settle<T>(place: &mut Option<Result<T, TaskLost>>, result: Result<T, TaskLost>) -> bool {
    if place.is_some() {
        return false;
    }
    *place = Some(result);
    true
}

#[cfg(test)]
mod tests {
    use tokio::runtime::{Builder, Runtime};
    use tokio::sync::oneshot;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    fn runtime() -> Runtime {
        Builder::new_current_thread().enable_all().build().unwrap()
    }

    #[test]
    fn cancelled_waiter_does_not_cancel_the_shared_task() {
        // (E08: shared fetches)
        runtime().block_on(async {
            let (go, start) = oneshot::channel();
            let flight = Flight::start(LIMIT, async { start.await.unwrap() }).unwrap();
            let cancelled = tokio::spawn(flight.wait());
            let waiters: Vec<_> = (0..100).map(|_| tokio::spawn(flight.wait())).collect();
            tokio::task::yield_now().await;
            cancelled.abort();
            drop(flight.wait());
            assert!(!flight.is_over());
            go.send(7).unwrap();
            for waiter in waiters {
                assert_eq!(waiter.await.unwrap(), Ok(7));
            }
            assert!(flight.is_over());
            assert_eq!(flight.wait().await, Ok(7), "who comes late gets the same");
        });
    }

    #[test]
    fn waiters_receive_an_error_when_the_task_panics() {
        runtime().block_on(async {
            let flight = Flight::start(LIMIT, async { panic!("as the test wants it") }).unwrap();
            let waiting: Result<(), TaskLost> = flight.wait().await;
            assert_eq!(waiting, Err(TaskLost));
            assert!(flight.is_over());
        });
    }

    #[test]
    fn task_is_aborted_when_its_owner_is_dropped() {
        runtime().block_on(async {
            let (alive, gone) = oneshot::channel::<()>();
            let flight = Flight::start(LIMIT, async move {
                let _alive = alive;
                std::future::pending::<()>().await;
            })
            .unwrap();
            tokio::task::yield_now().await;
            let waiter = flight.wait();
            drop(flight);
            assert_eq!(waiter.await, Err(TaskLost));
            let gone = tokio::time::timeout(LIMIT / 2, gone).await;
            assert!(gone.expect("the task is aborted").is_err());
        });
    }

    #[test]
    fn task_fails_when_its_runtime_shuts_down() {
        let first = runtime();
        let flight = first
            .block_on(async { Flight::start(LIMIT, std::future::pending::<()>()) })
            .unwrap();
        let waiter = flight.wait();
        assert!(!flight.is_over());
        drop(first);
        assert!(flight.is_over());
        assert_eq!(runtime().block_on(waiter), Err(TaskLost));
    }

    #[test]
    fn task_on_a_stalled_runtime_times_out() {
        let first = runtime();
        let mut flight = first
            .block_on(async { Flight::start(LIMIT, std::future::ready(())) })
            .unwrap();
        assert!(!flight.is_over(), "nobody drives the runtime");
        flight.ends = Instant::now();
        assert!(flight.is_over());
        let waiter = flight.wait();
        drop(flight);
        assert_eq!(runtime().block_on(waiter), Err(TaskLost));
    }

    #[test]
    fn task_fails_to_start_without_a_runtime() {
        let started = Flight::start(LIMIT, std::future::ready(()));
        assert_eq!(started.err(), Some(NoRuntime));
    }

    #[test]
    fn waiter_needs_no_runtime() {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .build()
            .unwrap();
        let flight = {
            let _entered = runtime.enter();
            Flight::start(LIMIT, std::future::ready(7)).unwrap()
        };
        let waiter = flight.wait();
        let thread = std::thread::spawn(|| block_on(waiter));
        assert_eq!(thread.join().unwrap(), Ok(7));
    }

    /// An executor without anything of tokio.
    fn block_on<F: Future>(future: F) -> F::Output {
        struct Unpark(std::thread::Thread);
        impl std::task::Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }
        let waker = Arc::new(Unpark(std::thread::current())).into();
        let mut context = std::task::Context::from_waker(&waker);
        let mut future = std::pin::pin!(future);
        loop {
            if let std::task::Poll::Ready(output) = future.as_mut().poll(&mut context) {
                return output;
            }
            std::thread::park();
        }
    }
}
