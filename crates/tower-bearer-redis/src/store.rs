//! Sessions and revocations in Redis.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tower_bearer::issuing::store::StoreError;

use crate::address::Address;
use crate::connection::Server;
use crate::requirements::Requirements;

/// What the keys begin with unless told otherwise.
const DEFAULT_PREFIX: &str = "tower-bearer";
/// How long an answer may take unless told otherwise.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1);

/// Sessions and revocations in one Redis, which many processes share. Clones share its connections. Needs a runtime of
/// tokio, and Redis 6 or newer, or Valkey.
///
/// Each change is one atomic script. Of several concurrent replacements of a record, one succeeds.
/// Revocations are in a stream. Every [`RevocationHub`](tower_bearer::issuing::RevocationHub) reads new ones at
/// once, over a connection of its own.
///
/// # Outages
///
/// [`connect`](Self::connect) and `RevocationHub::open` fail while Redis is unavailable. The caller tries again.
///
/// Commands fail with [`StoreError::Unavailable`] within the [timeout](RedisStoreBuilder::timeout), and nothing is sent
/// twice: after an error the change may have been made or not. When Redis is back, a command that still meets the dead
/// connection fails at once, and the next one makes a new connection.
///
/// While a hub cannot read, requests are rejected with 503, or accepted for a bounded time by
/// [`insecure_allow_in_outage`](tower_bearer::revocation::RevocationCheck::insecure_allow_in_outage). After a lost
/// connection, a hub continues behind the last revocation that it has read, if Redis still has exactly that
/// one. Otherwise Redis may have lost revocations, and the hub reads all of them again. In either case the
/// hub keeps those that it has read.
///
/// # Checks
///
/// [`connect`](Self::connect) checks the version, the role (no replica), the rights of the user and
/// `maxmemory-policy`. If one of them is wrong, the error is [`StoreError::Open`] and contains the remedy.
/// `connect` also writes a key and removes it again, and fails with [`StoreError::Rejected`] if Redis accepts
/// no writes.
///
/// A connection that replaces a lost one makes the same checks, except for the write. Each read of a hub
/// checks role and policy again, since both can change without a new connection. If a right is removed later,
/// the error of the next command names it.
///
/// These rights are enough, with your own prefix, user and password:
///
/// ```text
/// ACL SETUSER <user> on ><password> ~{tower-bearer}:* \
/// +del +evalsha +exists +get +getrange +hdel +hget +hset \
/// +script|load +set +time +xadd +xdel +xrange +xread +xrevrange \
/// +zadd +zrangebylex +zrangebyscore +zrem +zscore +info +select
/// ```
///
/// `info` is needed to read `maxmemory-policy`; `+config|get` can replace it. `select` is needed for a
/// database other than 0.
///
/// # Eviction
///
/// `maxmemory-policy` has to be `noeviction`. With any other policy, Redis may evict revocations when its
/// memory is full, and processes that start afterwards accept revoked tokens. The `volatile` policies evict
/// only keys with a time to live, and this store sets none; they are rejected too, since nothing prevents
/// another program from setting one. [`insecure_allow_eviction`](RedisStoreBuilder::insecure_allow_eviction)
/// accepts all of them.
///
/// Sessions and revocations are removed as others are added, once they have expired by the clocks of both
/// this process and Redis. In addition, a revocation stays for five minutes after the next one was added, so
/// that hubs can continue behind it.
///
/// # Durability
///
/// What is acknowledged survives what Redis survives. With `appendonly yes` and `appendfsync always` that is
/// a kill and a loss of power at any moment. With `appendfsync everysec`, the default of an append-only file,
/// it is all but the last second or two. Without an append-only file, all but the last minutes, up to an
/// hour, survives, or nothing at all. Lost data has two effects: refresh tokens that were used since then can
/// be used once more, and processes that start later accept tokens that were revoked since then. (A running
/// hub keeps the revocations that it has read.) After a fail-over, changes that the replica had not received
/// yet are lost in the same way. [`has_append_only_file`](Self::has_append_only_file) helps to monitor this.
///
/// # What it does not speak to
///
/// Redis Cluster and Sentinel, which it refuses, and TLS. All keys have the same hash tag, so a proxy may put them
/// into one slot of a cluster.
///
/// # Example
///
/// ```no_run
/// use tower_bearer::issuing::RevocationHub;
/// use tower_bearer_redis::RedisStore;
///
/// # async fn main_() -> Result<(), Box<dyn std::error::Error>> {
/// let store = RedisStore::connect("redis://:password@redis.example:6379/0").await?;
/// let hub = RevocationHub::open(store.clone()).await?;
/// # let _ = hub; Ok(()) }
/// ```
#[derive(Clone)]
pub struct RedisStore {
    inner: Arc<Inner>,
}

struct Inner {
    server: Server,
    has_append_only_file: Option<bool>,
}

/// Settings of a [`RedisStore`]. Made by [`RedisStore::builder`].
#[must_use]
pub struct RedisStoreBuilder {
    address: Result<Address, StoreError>,
    prefix: String,
    timeout: Duration,
    allows_eviction: bool,
}

impl RedisStore {
    /// Connects to the Redis at `redis://[user:password@]host[:port][/database]` or
    /// `redis+unix:///path[?db=..&user=..&pass=..]`. In a user or password, characters that mean something in a URL are
    /// written as `%` and two digits.
    ///
    /// # Errors
    ///
    /// [`StoreError::Open`] if the URL, the password, the database, a right or the eviction policy is wrong,
    /// or this store does not support the server; [`StoreError::Rejected`] if Redis accepts no writes;
    /// [`StoreError::Unavailable`] if nothing answers. None of them contains the user or the password.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        Self::builder(url).connect().await
    }

    /// Starts with where Redis is, for other settings.
    pub fn builder(url: &str) -> RedisStoreBuilder {
        RedisStoreBuilder {
            address: Address::parse(url),
            prefix: DEFAULT_PREFIX.into(),
            timeout: DEFAULT_TIMEOUT,
            allows_eviction: false,
        }
    }

    /// Returns whether Redis had an append-only file when this store connected. `None` if Redis does not
    /// report that. Without one, a crash of Redis loses the last minutes, or everything.
    ///
    /// Use it for monitoring. Connecting does not fail without such a file, since some deployments rely on
    /// replicas, or accept that users log in again after a crash. The event `redis-without-append-only-file`
    /// of `tracing` reports the same.
    #[must_use]
    pub fn has_append_only_file(&self) -> Option<bool> {
        self.inner.has_append_only_file
    }

    pub(crate) fn server(&self) -> &Server {
        &self.inner.server
    }

    pub(crate) fn prefix(&self) -> &str {
        self.inner.server.prefix()
    }

    pub(crate) fn key(&self, kind: &str, name: &str) -> String {
        [self.prefix(), kind, name].concat()
    }
}

impl RedisStoreBuilder {
    /// What the keys begin with, in braces and with a colon behind it: what they are made a hash tag by. Applications
    /// with different ones do not see each other. Default: `tower-bearer`.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How long a command may take, with a new connection if it needs one. Default: one second, since a request waits for
    /// it.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Accepts a Redis that may evict keys, or that does not report its `maxmemory-policy`.
    ///
    /// An evicted revocation is lost: a process that starts afterwards accepts the revoked token. Use this
    /// only if Redis never reaches its `maxmemory`. By default, connecting fails unless the policy is
    /// `noeviction`, and reading revocations fails after the policy has changed.
    pub fn insecure_allow_eviction(mut self) -> Self {
        self.allows_eviction = true;
        self
    }

    /// Connects to Redis, and checks everything that the store needs later. The check leaves no key behind.
    ///
    /// # Errors
    ///
    /// As for [`RedisStore::connect`]; [`StoreError::Open`] also for a prefix that is empty or has braces in it.
    pub async fn connect(self) -> Result<RedisStore, StoreError> {
        let address = self.address?;
        if self.prefix.is_empty() || self.prefix.contains(['{', '}']) {
            let problem = format!(
                "the prefix {:?} of its keys is empty or has braces in it",
                self.prefix
            );
            return Err(StoreError::open(address.to_string(), problem));
        }
        let required = Requirements {
            prefix: format!("{{{}}}:", self.prefix),
            allows_eviction: self.allows_eviction,
        };
        let server = Server::new(address, self.timeout, required);
        let has_append_only_file = server.check().await?;
        if has_append_only_file == Some(false) {
            warn_without_append_only_file();
        }
        Ok(RedisStore {
            inner: Arc::new(Inner {
                server,
                has_append_only_file,
            }),
        })
    }
}

/// Logs a warning for the operator: Redis keeps sessions and revocations in memory only, or in a snapshot that is minutes
/// old. The target is that of the events of tower-bearer.
#[cfg(feature = "tracing")]
fn warn_without_append_only_file() {
    tracing::warn!(target: "tower_bearer", outcome = "redis-without-append-only-file");
}

#[cfg(not(feature = "tracing"))]
fn warn_without_append_only_file() {}

/// Returns the whole seconds since the Unix epoch.
pub(crate) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("server", &format_args!("{}", self.server().address()))
            .field("prefix", &self.prefix())
            .field("timeout", &self.server().timeout())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RedisStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let server = self.address.as_ref().ok().map(ToString::to_string);
        f.debug_struct("RedisStoreBuilder")
            .field("server", &server)
            .field("prefix", &self.prefix)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
