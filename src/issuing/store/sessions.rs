//! The trait of stores of sessions.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::SystemTime;

use super::{SessionId, SessionRecord, StoreError};

/// The result of an operation of a store, once it is complete.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// A store of sessions.
///
/// What is acknowledged with `Ok` has been kept, as durably as the store promises. After an error nobody knows
/// whether it was.
pub trait SessionStore: Send + Sync {
    /// Keeps a new session, whose [`version`](SessionRecord::version) is 0. By `now`, sessions that have
    /// [ended](SessionRecord::expires_at) may be cleared away on this occasion.
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
    /// [end](SessionRecord::expires_at) may move both ways.
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

/// The sessions of a user or of a client. Every store has an index for each variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(
    clippy::exhaustive_enums,
    reason = "a store that does not know a variant would return incomplete lists"
)]
pub enum SessionsOf<'a> {
    /// Those of a user.
    Subject(&'a str),
    /// Those of a client.
    Client(&'a str),
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
