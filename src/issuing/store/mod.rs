//! Where sessions and revocations are kept: in memory, in a file, or in Redis.
//!
//! | store | survives | shared by several processes | feature |
//! |---|---|---|---|
//! | [`MemoryStore`] | nothing | no | `issuing` |
//! | `RedbStore` | a kill at any moment | no: one process has the file | `redb` |
//! | `RedisStore` | what Redis survives | yes | `redis` |
//!
//! A store knows nothing of tokens. It keeps [`SessionRecord`]s, each of which is replaced only by who has seen the
//! one before, and [`Revocation`]s, which are only ever added. All rules about them are written once, in
//! [`TokenIssuer`](crate::issuing::TokenIssuer) and [`RevocationHub`](crate::issuing::RevocationHub), so every store gives the
//! same verdicts.
//!
//! `RedisStore` requires `maxmemory-policy noeviction`; `RedisStoreBuilder::insecure_allow_eviction` accepts
//! other policies.

mod error;
mod memory;
mod record;
#[cfg(feature = "redb")]
mod redb;
#[cfg(feature = "redis")]
mod redis;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::SystemTime;

pub use error::StoreError;
pub use memory::MemoryStore;
pub use record::{InvalidSessionId, SessionId, SessionRecord};
#[cfg(feature = "redb")]
pub use redb::RedbStore;
#[cfg(feature = "redis")]
pub use redis::{RedisStore, RedisStoreBuilder};

use crate::revocation::Revocation;

/// What a store answers, later.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// A store of sessions.
///
/// What is acknowledged with `Ok` has been kept, as durably as the store promises. After an error nobody knows
/// whether it was.
pub trait SessionStore: Send + Sync {
    /// Keeps a new session, whose [`version`](SessionRecord::version) is 0. By `now`, sessions that have
    /// [ended](SessionRecord::ends_at) may be cleared away on this occasion.
    ///
    /// # Errors
    ///
    /// [`StoreError`], also if there is one with this id.
    fn insert(&self, record: SessionRecord, now: SystemTime) -> StoreFuture<'_, ()>;

    /// The session with this id. One that has ended may be found or not.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    fn find(&self, id: SessionId) -> StoreFuture<'_, Option<SessionRecord>>;

    /// Replaces the record with this id by `record`, if the version of the one there is one less: of
    /// concurrent replacements of the same version, one succeeds. Returns whether this one did; `false` also
    /// if there is no record any more. Issuer, subject and client of a session never change; its
    /// [end](SessionRecord::ends_at) may move both ways.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    fn replace(&self, record: SessionRecord) -> StoreFuture<'_, bool>;

    /// Removes the session with this id and returns whether it was there.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    fn remove(&self, id: SessionId) -> StoreFuture<'_, bool>;

    /// Returns at most `limit` sessions of this issuer and user or client, in the order of their ids, beginning behind
    /// `after`. If it returns fewer, there are no more. Names are unique per issuer only, so index keys contain both.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    fn list<'a>(
        &'a self,
        issuer: &'a str,
        of: SessionsOf<'a>,
        after: Option<SessionId>,
        limit: usize,
    ) -> StoreFuture<'a, Vec<SessionRecord>>;
}

/// The sessions of a user or of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionsOf<'a> {
    /// Those of a user.
    Subject(&'a str),
    /// Those of a client.
    Client(&'a str),
}

/// A store of revocations.
///
/// What is acknowledged with `Ok` has been kept, as durably as the store promises, and all who share the store
/// find it among the [`changes`](Self::changes).
pub trait RevocationStore: Send + Sync {
    /// Keeps it until it [ends](Revocation::ends_at). By `now`, those that have ended may be cleared away on this occasion.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    fn add<'a>(&'a self, revocation: &'a Revocation, now: SystemTime) -> StoreFuture<'a, ()>;

    /// What was added after `cursor`; all there is if that is `None`. Of a [shared](Self::is_shared) store, with a
    /// cursor and nothing new, the answer waits for something, but at most half a second. Dropping the future loses
    /// nothing.
    ///
    /// A reader keeps its cursor after an error, and during any outage of the store. The store returns only
    /// the entries behind the cursor if it can prove that it contains no other entry that the reader has not
    /// read. It cannot prove that if it was restored from an older copy, emptied or replaced, and the entry
    /// at the cursor is no longer the same. It then returns all entries from the beginning, and a cursor
    /// behind them. Revocations that have [ended](Revocation::ends_at) may be missing.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    fn changes<'a>(&'a self, cursor: Option<&'a Cursor>) -> StoreFuture<'a, Changes>;

    /// Whether other processes may add to it. If not, it is read once.
    fn is_shared(&self) -> bool;
}

/// A place in the changes of a store. What it says is the store's business.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(String);

impl Cursor {
    /// A place that the store calls this.
    #[must_use]
    pub fn new(place: impl Into<String>) -> Self {
        Self(place.into())
    }

    /// What the store calls it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Some of the changes of a store, oldest first.
#[derive(Debug)]
#[non_exhaustive]
pub struct Changes {
    /// What was added. That something is among them twice does no harm.
    pub revocations: Vec<Revocation>,
    /// The place behind them, to ask for more.
    pub cursor: Cursor,
    /// Whether there is more already.
    pub more: bool,
}

impl Changes {
    /// These, of which the last stands in front of `cursor`.
    #[must_use]
    pub fn new(revocations: Vec<Revocation>, cursor: Cursor, more: bool) -> Self {
        Self {
            revocations,
            cursor,
            more,
        }
    }
}

impl<S: SessionStore + ?Sized> SessionStore for Arc<S> {
    fn insert(&self, record: SessionRecord, now: SystemTime) -> StoreFuture<'_, ()> {
        (**self).insert(record, now)
    }

    fn find(&self, id: SessionId) -> StoreFuture<'_, Option<SessionRecord>> {
        (**self).find(id)
    }

    fn replace(&self, record: SessionRecord) -> StoreFuture<'_, bool> {
        (**self).replace(record)
    }

    fn remove(&self, id: SessionId) -> StoreFuture<'_, bool> {
        (**self).remove(id)
    }

    fn list<'a>(
        &'a self,
        issuer: &'a str,
        of: SessionsOf<'a>,
        after: Option<SessionId>,
        limit: usize,
    ) -> StoreFuture<'a, Vec<SessionRecord>> {
        (**self).list(issuer, of, after, limit)
    }
}

impl<S: RevocationStore + ?Sized> RevocationStore for Arc<S> {
    fn add<'a>(&'a self, revocation: &'a Revocation, now: SystemTime) -> StoreFuture<'a, ()> {
        (**self).add(revocation, now)
    }

    fn changes<'a>(&'a self, cursor: Option<&'a Cursor>) -> StoreFuture<'a, Changes> {
        (**self).changes(cursor)
    }

    fn is_shared(&self) -> bool {
        (**self).is_shared()
    }
}
