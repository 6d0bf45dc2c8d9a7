//! The two threads that use the file, and how they are asked.

use std::sync::Arc;
use std::thread::{self, JoinHandle};

use redb::{Database, Durability, ReadTransaction, ReadableDatabase as _};
use tokio::sync::{mpsc, oneshot};
use tower_bearer::issuing::store::StoreError;

use crate::engine::Engine;
use crate::tables::{Failed, Outcome, Tables, Write};

/// So many requests may wait; who comes later waits for a place.
const WAITING: usize = 1_024;
/// So many are done together.
const TOGETHER: usize = 1_024;

/// Requests to the thread that writes and the thread that reads. Both end when this is dropped, which waits for them.
pub(crate) struct Queues {
    writes: Option<mpsc::Sender<Writing>>,
    reads: Option<mpsc::Sender<Reading>>,
    threads: Vec<JoinHandle<()>>,
    store: Arc<str>,
}

struct Writing {
    write: Write,
    answer: oneshot::Sender<Result<bool, StoreError>>,
}

/// Gives its answer itself, and says whether the file can still be trusted.
type Reading = Box<dyn FnOnce(Result<&ReadTransaction, StoreError>) -> Result<(), Failed> + Send>;

impl Queues {
    pub(crate) fn start(engine: Engine) -> Result<Self, StoreError> {
        let engine = Arc::new(engine);
        let (writes, to_write) = mpsc::channel(WAITING);
        let (reads, to_read) = mpsc::channel(WAITING);
        let mut queues = Self {
            writes: Some(writes),
            reads: Some(reads),
            threads: Vec::new(),
            store: engine.store(),
        };
        let (writer, reader) = (Arc::clone(&engine), engine);
        queues.spawn("redb-writer", move || write_all(&writer, to_write))?;
        queues.spawn("redb-reader", move || read_all(&reader, to_read))?;
        Ok(queues)
    }

    pub(crate) fn store(&self) -> &str {
        &self.store
    }

    pub(crate) async fn write(&self, write: Write) -> Result<bool, StoreError> {
        let (answer, answered) = oneshot::channel();
        let sender = self.writes.as_ref().ok_or_else(|| self.gone())?;
        let sent = sender.send(Writing { write, answer }).await;
        sent.map_err(|_| self.gone())?;
        answered.await.map_err(|_| self.gone())?
    }

    pub(crate) async fn read<T, F>(&self, read: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&ReadTransaction) -> Outcome<T> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let store = Arc::clone(&self.store);
        let reading: Reading = Box::new(move |transaction| {
            let (said, left) = match transaction.map(read) {
                Ok(Ok(said)) => (said, Ok(())),
                Ok(Err(error)) => (Err(Engine::failure(&store, &error)), Err(error)),
                Err(error) => (Err(error), Ok(())),
            };
            // Whoever asked may not wait any more.
            let _ = answer.send(said);
            left
        });
        let sender = self.reads.as_ref().ok_or_else(|| self.gone())?;
        sender.send(reading).await.map_err(|_| self.gone())?;
        answered.await.map_err(|_| self.gone())?
    }

    fn spawn(
        &mut self,
        name: &str,
        work: impl FnOnce() + Send + 'static,
    ) -> Result<(), StoreError> {
        let thread = thread::Builder::new()
            .name(name.into())
            .spawn(work)
            .map_err(|error| {
                StoreError::open(&*self.store, format!("no thread can be started: {error}"))
            })?;
        self.threads.push(thread);
        Ok(())
    }

    fn gone(&self) -> StoreError {
        StoreError::unavailable(&*self.store, "it did not survive a panic")
    }
}

impl Drop for Queues {
    fn drop(&mut self) {
        self.writes = None;
        self.reads = None;
        for thread in self.threads.drain(..) {
            // An answer may wake something that drops the last clone on one of these threads.
            if thread.thread().id() != thread::current().id() {
                // What it has panicked with was said on its own thread.
                let _ = thread.join();
            }
        }
    }
}

fn write_all(engine: &Engine, mut queue: mpsc::Receiver<Writing>) {
    let mut requests = Vec::new();
    while queue.blocking_recv_many(&mut requests, TOGETHER) > 0 {
        let (writes, answers): (Vec<_>, Vec<_>) = requests
            .drain(..)
            .map(|request| (request.write, request.answer))
            .unzip();
        match engine.with(|database| write_together(database, &writes)) {
            Ok(outcomes) => {
                for (answer, outcome) in answers.into_iter().zip(outcomes) {
                    let _ = answer.send(outcome);
                }
            }
            Err(error) => {
                for answer in answers {
                    let _ = answer.send(Err(error.clone()));
                }
            }
        }
    }
}

/// Makes all these changes durable with one transaction, or none of them.
fn write_together(
    database: &Database,
    writes: &[Write],
) -> Result<Vec<Result<bool, StoreError>>, Failed> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    // With one phase, damage to what was written last would be taken for a commit that was cut off, and what has been
    // acknowledged would silently be gone.
    transaction.set_two_phase_commit(true);
    let mut tables = Tables::open(&transaction)?;
    let outcomes = writes
        .iter()
        .map(|write| tables.execute(write))
        .collect::<Result<_, _>>()?;
    let has_changed = tables.has_changed();
    drop(tables);
    match has_changed {
        true => transaction.commit()?,
        false => transaction.abort()?,
    }
    Ok(outcomes)
}

fn read_all(engine: &Engine, mut queue: mpsc::Receiver<Reading>) {
    let mut requests = Vec::new();
    while queue.blocking_recv_many(&mut requests, TOGETHER) > 0 {
        let mut readings = requests.drain(..);
        let outcome = engine.with(|database| {
            // Begun after all of them were asked, so each sees what had been acknowledged by then.
            let transaction = database.begin_read()?;
            readings
                .by_ref()
                .try_for_each(|reading| reading(Ok(&transaction)))
        });
        if let Err(error) = outcome {
            for reading in readings {
                // It reads nothing, so nothing can fail.
                let _ = reading(Err(error.clone()));
            }
        }
    }
}
