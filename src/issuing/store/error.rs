//! What can go wrong with a store.

use std::error::Error;
use std::sync::Arc;

use crate::revocation::InvalidRevocationText;

/// Why a store did not do what it was asked for. No token and no name is in it.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store cannot be reached, does not answer in time, or cannot execute commands at the moment. It may
    /// or may not have executed the command.
    #[error("the store {store} is unavailable")]
    Unavailable {
        /// Which store, without user and password.
        store: String,
        /// Why.
        #[source]
        source: Arc<dyn Error + Send + Sync>,
    },
    /// The store answers, and rejects the command: a right is missing, its memory is full, or it cannot
    /// write. The command may have been executed in part.
    #[error("the store {store} rejects a command: {problem}")]
    Rejected {
        /// Which store, without user and password.
        store: String,
        /// The problem and its remedy.
        problem: String,
    },
    /// There is no room for more.
    #[error(
        "the store is full: {limit} {what}; raise its limit, or let them live for a shorter time"
    )]
    Full {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        limit: usize,
    },
    /// What it holds is not what was put in.
    #[error("the store holds {what} that cannot be read")]
    Corrupt {
        /// What was read.
        what: &'static str,
        /// Why it cannot be read.
        #[source]
        source: Arc<dyn Error + Send + Sync>,
    },
    /// It cannot be opened as it is configured.
    #[error("the store {store} cannot be opened: {problem}")]
    Open {
        /// Which store, without user and password.
        store: String,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// There is a session with this id already.
    #[error("there is a session with this id already")]
    Exists,
    /// Other requests changed the same record at each attempt. This request did not change the record; the
    /// caller may try again.
    #[error("other requests changed the session at each attempt: try again")]
    Contended,
}

impl StoreError {
    /// Creates an error for an unavailable store. `store` is its address, without user and password.
    pub fn unavailable(
        store: impl Into<String>,
        error: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self::Unavailable {
            store: store.into(),
            source: error.into().into(),
        }
    }

    /// Creates an error for a rejected command. `store` is the address, without user and password.
    pub fn rejected(store: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Rejected {
            store: store.into(),
            problem: problem.into(),
        }
    }

    /// It holds `what`, which cannot be read.
    pub fn corrupt(what: &'static str, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Corrupt {
            what,
            source: error.into().into(),
        }
    }

    /// It holds `what`, which is not the JSON that it should be. Only where: the error itself quotes what it has read.
    pub(crate) fn not_json(what: &'static str, error: &serde_json::Error) -> Self {
        let (kind, column) = (error.classify(), error.column());
        Self::corrupt(what, format!("{kind:?} error in its JSON at byte {column}"))
    }

    /// It cannot be opened as it is configured.
    pub fn open(store: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Open {
            store: store.into(),
            problem: problem.into(),
        }
    }
}

impl From<InvalidRevocationText> for StoreError {
    fn from(error: InvalidRevocationText) -> Self {
        Self::corrupt("a revocation", error)
    }
}
