//! Connections, made anew when they break.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError};
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, RedisConnectionInfo, RedisError, RedisResult, Value, cmd};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::address::{Address, Place};
use super::problem::Problem;
use crate::store::StoreError;

const NO_REDIS: &str = "what answers there is no Redis";

/// A Redis, and the connections to it.
pub(super) struct Server {
    address: Address,
    timeout: Duration,
    /// What all commands go over that are answered at once.
    shared: Mutex<Option<Arc<Connection>>>,
    /// For commands that wait, one connection each.
    idle: StdMutex<Vec<Connection>>,
}

/// Ends when it is dropped, whatever is under way on it.
pub(super) struct Connection {
    commands: MultiplexedConnection,
    driver: JoinHandle<()>,
    is_given_up: AtomicBool,
}

/// Why there is no connection.
enum Refusal {
    /// There may be one later.
    Problem(Problem),
    /// There will be none until somebody changes something.
    Wrong(String),
}

impl<P: Into<Problem>> From<P> for Refusal {
    fn from(problem: P) -> Self {
        Self::Problem(problem.into())
    }
}

impl Server {
    pub(super) fn new(address: Address, timeout: Duration) -> Self {
        Self {
            address,
            timeout,
            shared: Mutex::default(),
            idle: StdMutex::default(),
        }
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Looks whether there is a Redis that this store can work with.
    pub(super) async fn check(&self) -> Result<(), StoreError> {
        self.run(async |_| Ok(())).await
    }

    /// Has commands answered within the timeout, over the connection that all share. It is made now if there is none; all
    /// of that is within the timeout too. Nothing is sent twice.
    pub(super) async fn run<T>(
        &self,
        commands: impl AsyncFnOnce(MultiplexedConnection) -> RedisResult<T>,
    ) -> Result<T, StoreError> {
        let mut used = None;
        let answer = self
            .in_time(self.timeout, async {
                let connection = self.shared().await?;
                let multiplexed = connection.commands.clone();
                used = Some(connection);
                Ok(commands(multiplexed).await?)
            })
            .await;
        if let (Err(_), Some(used)) = (&answer, used) {
            // Whatever happened to it: the next one is better, or fails as well.
            used.is_given_up.store(true, Ordering::Release);
        }
        answer
    }

    /// Has commands answered that wait for up to `wait`, over a connection of their own. It ends with the future, and
    /// with any failure.
    pub(super) async fn run_alone<T>(
        &self,
        wait: Duration,
        commands: impl AsyncFnOnce(MultiplexedConnection) -> RedisResult<T>,
    ) -> Result<T, StoreError> {
        self.in_time(self.timeout + wait, async {
            let connection = match self.take_idle() {
                Some(connection) => connection,
                None => {
                    let connecting = self.connect();
                    match tokio::time::timeout(self.timeout, connecting).await {
                        Ok(connection) => connection?,
                        Err(_) => return Err(Problem::Timeout(self.timeout).into()),
                    }
                }
            };
            let answer = commands(connection.commands.clone()).await?;
            self.idle().push(connection);
            Ok(answer)
        })
        .await
    }

    async fn in_time<T>(
        &self,
        limit: Duration,
        work: impl Future<Output = Result<T, Refusal>>,
    ) -> Result<T, StoreError> {
        match tokio::time::timeout(limit, work).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(Refusal::Problem(problem))) => Err(self.unavailable(problem)),
            Ok(Err(Refusal::Wrong(problem))) => {
                Err(StoreError::open(self.address.to_string(), problem))
            }
            Err(_) => Err(self.unavailable(Problem::Timeout(limit))),
        }
    }

    pub(super) fn unavailable(&self, problem: Problem) -> StoreError {
        StoreError::unavailable(self.address.to_string(), problem)
    }

    async fn shared(&self) -> Result<Arc<Connection>, Refusal> {
        // Held while connecting, so that of many who need a connection one makes it.
        let mut shared = self.shared.lock().await;
        if let Some(connection) = shared.as_ref().filter(|connection| connection.is_open()) {
            return Ok(Arc::clone(connection));
        }
        *shared = None;
        let connection = Arc::new(self.connect().await?);
        *shared = Some(Arc::clone(&connection));
        Ok(connection)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_idle(&self) -> Option<Connection> {
        let mut idle = self.idle();
        idle.retain(Connection::is_open);
        idle.pop()
    }

    async fn connect(&self) -> Result<Connection, Refusal> {
        let connection = match &self.address.place {
            Place::Tcp { host, port } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                Connection::new(stream).await?
            }
            #[cfg(unix)]
            Place::Unix(path) => {
                Connection::new(tokio::net::UnixStream::connect(path).await?).await?
            }
        };
        greet(connection.commands.clone(), &self.address).await?;
        Ok(connection)
    }
}

/// Logs in, and sees who is there. Unlike `INFO`, every user may say `HELLO`.
async fn greet(mut commands: MultiplexedConnection, address: &Address) -> Result<(), Refusal> {
    let mut hello = cmd("HELLO");
    hello.arg(2);
    if let Some(password) = &address.password {
        let user = address.user.as_deref().unwrap_or("default");
        hello.arg("AUTH").arg(user).arg(password);
    }
    hello.arg("SETNAME").arg("tower-bearer");
    let about: Value = hello.query_async(&mut commands).await.map_err(refused)?;
    let about = read_pairs(about).unwrap_or_default();
    if !about.contains_key("mode") {
        return Err(wrong(NO_REDIS));
    }
    let is = |key: &str, value: &str| about.get(key).is_some_and(|is| is == value);
    if is("mode", "sentinel") {
        return Err(wrong("it is a Sentinel: name the Redis behind it"));
    }
    if is("mode", "cluster") {
        return Err(wrong(
            "it is part of a Redis Cluster, which this store does not speak to",
        ));
    }
    if is("role", "replica") || is("role", "slave") {
        return Err(wrong(
            "it is a replica, which takes no writes: name the master",
        ));
    }
    let number = address.database;
    if number != 0 {
        let selected: RedisResult<()> = cmd("SELECT").arg(number).query_async(&mut commands).await;
        selected.map_err(|error| match Problem::from(error) {
            Problem::Refused { code } if code == "ERR" => {
                wrong(&format!("it has no database {number}"))
            }
            other => Refusal::Problem(other),
        })?;
    }
    Ok(())
}

/// What it means that `HELLO` is answered with an error.
fn refused(error: RedisError) -> Refusal {
    let is_unknown = error.detail().is_some_and(|detail| {
        let detail = detail.to_ascii_lowercase();
        detail.starts_with("unknown command") || detail.starts_with("syntax error")
    });
    match Problem::from(error) {
        Problem::Refused { code } if code == "WRONGPASS" => {
            wrong("it refuses the user or the password")
        }
        Problem::Refused { code } if code == "NOAUTH" => {
            wrong("it wants a password: redis://user:password@host")
        }
        Problem::Refused { .. } if is_unknown => wrong("it is older than Redis 6, or no Redis"),
        Problem::Protocol | Problem::Answer => wrong(NO_REDIS),
        problem => Refusal::Problem(problem),
    }
}

fn wrong(problem: &str) -> Refusal {
    Refusal::Wrong(problem.into())
}

/// What `HELLO` says: names and values, in turn.
fn read_pairs(value: Value) -> Option<HashMap<String, String>> {
    let Value::Array(values) = value else {
        return None;
    };
    let text = |value: &Value| match value {
        Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::SimpleString(text) => text.clone(),
        _ => String::new(),
    };
    let pairs = values.chunks_exact(2);
    Some(pairs.map(|pair| (text(&pair[0]), text(&pair[1]))).collect())
}

impl Connection {
    async fn new<C>(stream: C) -> Result<Self, Refusal>
    where
        C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let plain = RedisConnectionInfo::default().set_skip_set_lib_name();
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None);
        let (commands, driver) =
            MultiplexedConnection::new_with_config(&plain, stream, config).await?;
        Ok(Self {
            commands,
            driver: tokio::spawn(driver),
            is_given_up: AtomicBool::new(false),
        })
    }

    /// Whether neither side has closed it, as far as is known here.
    fn is_open(&self) -> bool {
        !self.driver.is_finished() && !self.is_given_up.load(Ordering::Acquire)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
