//! Connections to Redis, which are replaced after a failure.
//!
//! `redis::aio::ConnectionManager` replaces connections too, and never sends a command twice either. It does not serve
//! here for two reasons:
//!
//! - It uses a new connection at once. This store checks version, role, rights and eviction policy on each new connection
//!   before the first command (M08: checks when connecting), since a fail-over can lead to a replica or to another policy.
//! - It keeps a connection after a timeout. This store abandons it, so the next command does not wait for the same dead
//!   peer.
//!
//! Commands that block (`XREAD BLOCK`) have connections of their own, so that no other command waits behind them. A
//! command whose result is unknown is an error and is never repeated.

use std::collections::HashMap;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisConnectionInfo, RedisError, RedisResult, Value, cmd};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use crate::address::{Address, Place};
use crate::problem::Problem;
use crate::requirements::{self, PolicySource, Requirements, Scope, is_unknown_command};
use crate::scripts::WRITE;
use tower_bearer::issuing::store::StoreError;

const NO_REDIS: &str = "what answers there is no Redis";
const OLD: &str = "it is older than Redis 6, or no Redis";
/// The first version with `HELLO` and ACLs.
const LEAST_MAJOR_VERSION: u32 = 6;
/// A ClientHello of TLS 1.2 without extensions (RFC 5246, section 7.4.1.2). A TLS server answers with a handshake or
/// an alert record, whether it accepts the offer or not.
const CLIENT_HELLO: [u8; 56] = {
    let mut hello = [0; 56];
    // A handshake record of 51 bytes with a ClientHello of 47. A random of 32 zeros and an empty session id follow.
    let start = [22, 3, 1, 0, 51, 1, 0, 0, 47, 3, 3];
    // Four cipher suites and no compression.
    let end = [0, 8, 0xc0, 0x2b, 0xc0, 0x2f, 0, 0x9c, 0, 0x2f, 1, 0];
    let mut index = 0;
    while index < start.len() {
        hello[index] = start[index];
        index += 1;
    }
    index = 0;
    while index < end.len() {
        hello[56 - end.len() + index] = end[index];
        index += 1;
    }
    hello
};

/// A Redis, and the connections to it.
pub(crate) struct Server {
    address: Address,
    timeout: Duration,
    required: Requirements,
    /// Whether the next shared connection checks all rights: it is the first, the server has closed the
    /// previous one, or a right was missing.
    checks_all: AtomicBool,
    /// What all commands go over that are answered at once.
    shared: Mutex<Option<Arc<Connection>>>,
    /// For commands that wait, one connection each.
    idle: StdMutex<Vec<Connection>>,
}

/// Ends when it is dropped, whatever is under way on it.
pub(crate) struct Connection {
    commands: MultiplexedConnection,
    driver: JoinHandle<()>,
    is_given_up: AtomicBool,
    policy: PolicySource,
}

/// A connection for commands that wait.
pub(crate) struct Link {
    pub(crate) commands: MultiplexedConnection,
    /// Whether no command has waited on this connection yet.
    pub(crate) is_new: bool,
    /// The command that reports the eviction policy.
    pub(crate) policy: PolicySource,
}

/// Why there is no connection, or no answer.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// There may be a connection later.
    Unavailable(Problem),
    /// The server answers a command with an error, or not at all.
    Command(Problem),
    /// There is no connection until the configuration is changed. The text contains the remedy.
    Wrong(String),
}

impl<P: Into<Problem>> From<P> for Refusal {
    fn from(problem: P) -> Self {
        Self::Unavailable(problem.into())
    }
}

impl Server {
    pub(crate) fn new(address: Address, timeout: Duration, required: Requirements) -> Self {
        Self {
            address,
            timeout,
            required,
            checks_all: AtomicBool::new(true),
            shared: Mutex::default(),
            idle: StdMutex::default(),
        }
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// Returns the prefix of the keys.
    pub(crate) fn prefix(&self) -> &str {
        &self.required.prefix
    }

    /// Checks that this store can work with the server, by a connection and a write that leaves no key
    /// behind. Returns whether the server has an append-only file, if the server reports that.
    pub(crate) async fn check(&self) -> Result<Option<bool>, StoreError> {
        let mut write = WRITE.prepare_invoke();
        write.key([self.prefix(), "session:probe"].concat());
        let info = self
            .run(async |mut commands| {
                let (): () = write.invoke_async(&mut commands).await?;
                let mut info = cmd("INFO");
                info.arg("persistence");
                // The user may lack the right to run this command, which is not required.
                let info: RedisResult<Option<String>> = info.query_async(&mut commands).await;
                Ok(info.ok().flatten())
            })
            .await?;
        let mut lines = info.as_deref().unwrap_or_default().lines();
        Ok(lines.find_map(|line| Some(line.strip_prefix("aof_enabled:")? == "1")))
    }

    /// Has commands answered within the timeout, over the connection that all share. It is made now if there is none; all
    /// of that is within the timeout too. Nothing is sent twice.
    pub(crate) async fn run<T>(
        &self,
        commands: impl AsyncFnOnce(MultiplexedConnection) -> RedisResult<T>,
    ) -> Result<T, StoreError> {
        let mut used = None;
        let answer = self
            .in_time(self.timeout, async {
                let connection = self.shared().await?;
                let multiplexed = connection.commands.clone();
                used = Some(connection);
                let answer = commands(multiplexed).await.map_err(command_failed);
                // While the memory of Redis is full, every failing command would otherwise cause a new connection.
                if let Err(Refusal::Command(problem)) = &answer
                    && problem.is_of_every_connection()
                {
                    used = None;
                }
                answer
            })
            .await;
        if let (Err(error), Some(used)) = (&answer, used) {
            // Whatever happened to it: the next one is better, or fails as well.
            used.is_given_up.store(true, Ordering::Release);
            // The next connection names all missing rights.
            if matches!(error, StoreError::Rejected { .. }) {
                self.checks_all.store(true, Ordering::Release);
            }
        }
        answer
    }

    /// Has commands answered that wait for up to `wait`, over a connection of their own. It ends with the future, and
    /// with any failure.
    pub(crate) async fn run_alone<T>(
        &self,
        wait: Duration,
        commands: impl AsyncFnOnce(Link) -> Result<T, Refusal>,
    ) -> Result<T, StoreError> {
        self.in_time(self.timeout + wait, async {
            let idle = self.take_idle();
            let is_new = idle.is_none();
            let connection = match idle {
                Some(connection) => connection,
                None => {
                    let connecting = self.connect(Scope::Reader);
                    match tokio::time::timeout(self.timeout, connecting).await {
                        Ok(connection) => connection?,
                        Err(_) => return Err(Problem::Timeout(self.timeout).into()),
                    }
                }
            };
            let link = Link {
                commands: connection.commands.clone(),
                is_new,
                policy: connection.policy,
            };
            let answer = commands(link).await?;
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
            Ok(Err(Refusal::Command(problem))) if !problem.is_transient() => Err(
                StoreError::rejected(self.address.to_string(), problem.to_string()),
            ),
            Ok(Err(Refusal::Unavailable(problem) | Refusal::Command(problem))) => {
                Err(self.unavailable(problem))
            }
            Ok(Err(Refusal::Wrong(problem))) => {
                Err(StoreError::open(self.address.to_string(), problem))
            }
            Err(_) => Err(self.unavailable(Problem::Timeout(limit))),
        }
    }

    fn unavailable(&self, problem: Problem) -> StoreError {
        StoreError::unavailable(self.address.to_string(), problem)
    }

    async fn shared(&self) -> Result<Arc<Connection>, Refusal> {
        // Held while connecting, so that of many who need a connection one makes it.
        let mut shared = self.shared.lock().await;
        if let Some(connection) = shared.as_ref().filter(|connection| connection.is_open()) {
            return Ok(Arc::clone(connection));
        }
        if shared
            .take()
            .is_some_and(|connection| connection.driver.is_finished())
        {
            self.checks_all.store(true, Ordering::Release);
        }
        let scope = match self.checks_all.load(Ordering::Acquire) {
            true => Scope::All,
            false => Scope::Reader,
        };
        let connection = Arc::new(self.connect(scope).await?);
        if scope == Scope::All {
            self.checks_all.store(false, Ordering::Release);
        }
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

    async fn connect(&self, scope: Scope) -> Result<Connection, Refusal> {
        let mut connection = match &self.address.place {
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
        let commands = || connection.commands.clone();
        if let Err(refusal) = greet(commands(), &self.address).await {
            return Err(match refusal.may_mean_tls() && self.speaks_tls().await {
                true => wrong(
                    "the server seems to speak TLS there, which this store does not: use its port without TLS, or a tunnel, such as stunnel",
                ),
                false => refusal,
            });
        }
        connection.policy =
            requirements::check(commands(), self.address.database, &self.required, scope).await?;
        Ok(connection)
    }

    /// Returns whether the server at this address answers a ClientHello with a TLS record.
    async fn speaks_tls(&self) -> bool {
        let (host, port) = match &self.address.place {
            Place::Tcp { host, port } => (host, port),
            #[cfg(unix)]
            Place::Unix(_) => return false,
        };
        let asks = async || {
            let stream = TcpStream::connect((host.as_str(), *port)).await?;
            let mut sent = 0;
            while sent < CLIENT_HELLO.len() {
                stream.writable().await?;
                match stream.try_write(&CLIENT_HELLO[sent..]) {
                    Ok(count) => sent += count,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
            }
            let mut answer = [0; 2];
            loop {
                stream.readable().await?;
                match stream.try_read(&mut answer) {
                    // An alert, or a handshake, of any version since SSL 3.
                    Ok(2) => return Ok(matches!(answer, [21 | 22, 3])),
                    Ok(_) => return Ok(false),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
            }
        };
        // Without an answer, the first error is the one to report.
        let answer: Result<io::Result<bool>, _> =
            tokio::time::timeout(self.timeout / 2, asks()).await;
        matches!(answer, Ok(Ok(true)))
    }
}

impl Refusal {
    /// Returns whether a TLS server may have caused this error: such a server closes the connection, or sends an alert.
    fn may_mean_tls(&self) -> bool {
        match self {
            Self::Unavailable(problem) => matches!(problem, Problem::Io(_)),
            Self::Wrong(text) => text == NO_REDIS,
            Self::Command(_) => false,
        }
    }
}

/// Logs in, and checks the kind of the server. Unlike `INFO`, `HELLO` may be run by every user.
async fn greet(mut commands: MultiplexedConnection, address: &Address) -> Result<(), Refusal> {
    let mut hello = cmd("HELLO");
    hello.arg(2);
    if let Some(password) = &address.password {
        let user = address.user.as_deref().unwrap_or("default");
        hello.arg("AUTH").arg(user).arg(password);
    }
    hello.arg("SETNAME").arg("tower-bearer");
    let about: Value = hello.query_async(&mut commands).await.map_err(refused)?;
    check_server(about)
}

/// Checks mode, role and version, by the answer to `HELLO`.
pub(crate) fn check_server(about: Value) -> Result<(), Refusal> {
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
        return Err(replica());
    }
    let version = about
        .get("version")
        .and_then(|version| version.split('.').next());
    if version
        .and_then(|major| major.parse().ok())
        .is_some_and(|major: u32| major < LEAST_MAJOR_VERSION)
    {
        return Err(wrong(OLD));
    }
    Ok(())
}

pub(crate) fn replica() -> Refusal {
    wrong("it is a replica, which accepts no writes: use the address of the master")
}

/// What it means that `HELLO` is answered with an error.
fn refused(error: RedisError) -> Refusal {
    let is_syntax = |detail: &str| detail.to_ascii_lowercase().starts_with("syntax error");
    let is_unknown = is_unknown_command(error.detail()) || error.detail().is_some_and(is_syntax);
    match Problem::from(error) {
        Problem::Rejected { code, .. } if code == "WRONGPASS" => {
            wrong("it refuses the user or the password")
        }
        Problem::Rejected { code, .. } if code == "NOAUTH" => {
            wrong("it wants a password: redis://user:password@host")
        }
        Problem::Rejected { .. } if is_unknown => wrong(OLD),
        Problem::Protocol | Problem::Answer => wrong(NO_REDIS),
        problem => Refusal::Unavailable(problem),
    }
}

/// Converts the error of a command.
pub(crate) fn command_failed(error: RedisError) -> Refusal {
    Refusal::Command(error.into())
}

pub(crate) fn wrong(problem: &str) -> Refusal {
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
            policy: PolicySource::Unchecked,
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
