//! Sessions and revocations in Redis.

mod address;
mod connection;
mod problem;
mod revocations;
mod scripts;
mod sessions;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use address::Address;
use connection::Server;

use super::StoreError;

/// What the keys begin with unless told otherwise.
const DEFAULT_PREFIX: &str = "tower-bearer";
/// How long an answer may take unless told otherwise.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1);

/// Sessions and revocations in one Redis, which many processes share. Clones share its connections. Needs the feature
/// `redis`, a runtime of tokio, and Redis 6 or newer, or Valkey.
///
/// Each change is one script, so it happens as a whole or not at all, and of all who replace the same record one
/// succeeds. Revocations stand in a stream, from which every [`RevocationHub`](crate::revocation::RevocationHub) is told of
/// new ones at once, over a connection of its own.
///
/// # When Redis is away
///
/// At the start it has to be there: [`connect`](Self::connect) and `RevocationHub::open` fail without it, and the caller tries
/// again.
///
/// Commands fail with [`StoreError::Unavailable`], within the [timeout](RedisStoreBuilder::timeout), and nothing is sent
/// twice: after an error nobody knows whether a change was made. When Redis is back, a command that still meets the dead
/// connection fails at once, and the next one makes a new connection.
///
/// A hub says that it cannot tell, so requests are refused with 503, or let through for a bounded time by
/// [`insecure_allow_in_outage`](crate::revocation::RevocationCheck::insecure_allow_in_outage). When Redis is back, it
/// reads everything again.
///
/// # What Redis has to keep
///
/// What is acknowledged survives what Redis survives. With `appendonly yes` and `appendfsync always` that is a kill and
/// a loss of power at any moment. With `appendfsync everysec`, the default of an append-only file, it is all but the last
/// second or two; without an append-only file, all but the last minutes, up to an hour: refresh tokens that were used
/// since can then be used once more, and what was taken back since is good again for whoever starts anew. (A hub that has
/// heard of it keeps it.) After a fail-over to a replica, what that had not received yet is lost in the same way.
///
/// `maxmemory-policy` has to be `noeviction`, or one of the `volatile` ones: no key has a time to live. Sessions and
/// revocations are cleared away as others are added, once they have ended both by the clock of this process and by that
/// of Redis.
///
/// # What it does not speak to
///
/// Redis Cluster and Sentinel, which it refuses, and TLS. All keys have the same hash tag, so a proxy may put them
/// into one slot of a cluster.
///
/// # Example
///
/// ```no_run
/// use tower_bearer::revocation::RevocationHub;
/// use tower_bearer::store::RedisStore;
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
    /// With its hash tag and the colon.
    prefix: String,
}

/// Settings of a [`RedisStore`]. Made by [`RedisStore::builder`].
#[must_use]
pub struct RedisStoreBuilder {
    address: Result<Address, StoreError>,
    prefix: String,
    timeout: Duration,
}

impl RedisStore {
    /// Connects to the Redis at `redis://[user:password@]host[:port][/database]` or
    /// `redis+unix:///path[?db=..&user=..&pass=..]`. In a user or password, characters that mean something in a URL are
    /// written as `%` and two digits.
    ///
    /// # Errors
    ///
    /// [`StoreError::Open`] if the URL, the password or the database is wrong, or what answers there is none that
    /// this store can work with; [`StoreError::Unavailable`] if nothing answers. Neither has user or password in it.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        Self::builder(url).connect().await
    }

    /// Starts with where Redis is, for other settings.
    pub fn builder(url: &str) -> RedisStoreBuilder {
        RedisStoreBuilder {
            address: Address::parse(url),
            prefix: DEFAULT_PREFIX.into(),
            timeout: DEFAULT_TIMEOUT,
        }
    }

    fn server(&self) -> &Server {
        &self.inner.server
    }

    fn prefix(&self) -> &str {
        &self.inner.prefix
    }

    fn key(&self, kind: &str, name: &str) -> String {
        [&*self.inner.prefix, kind, name].concat()
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

    /// Connects to it.
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
        let server = Server::new(address, self.timeout);
        server.check().await?;
        Ok(RedisStore {
            inner: Arc::new(Inner {
                server,
                prefix: format!("{{{}}}:", self.prefix),
            }),
        })
    }
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
