//! The trait of stores of revocations.

use std::sync::Arc;
use std::time::SystemTime;

use super::StoreFuture;
use crate::revocation::Revocation;

/// A store of revocations.
///
/// What is acknowledged with `Ok` has been kept, as durably as the store promises, and all who share the store
/// find it among the [`changes`](Self::changes).
pub trait RevocationStore: Send + Sync {
    /// Keeps it until it [ends](Revocation::expires_at). By `now`, those that have ended may be cleared away on this occasion.
    ///
    /// # Errors
    ///
    /// [`StoreError`](super::StoreError).
    fn add<'a>(&'a self, revocation: &'a Revocation, now: SystemTime) -> StoreFuture<'a, ()>;

    /// What was added after `cursor`; all there is if that is `None`. Of a [shared](Self::is_shared) store, with a
    /// cursor and nothing new, the answer waits for something, but at most half a second. Dropping the future loses
    /// nothing.
    ///
    /// A reader keeps its cursor after an error, and during any outage of the store. The store returns only
    /// the entries behind the cursor if it can prove that it contains no other entry that the reader has not
    /// read. It cannot prove that if it was restored from an older copy, emptied or replaced, and the entry
    /// at the cursor is no longer the same. It then returns all entries from the beginning, and a cursor
    /// behind them. Revocations that have [ended](Revocation::expires_at) may be missing.
    ///
    /// # Errors
    ///
    /// [`StoreError`](super::StoreError).
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
