//! What is known about remote keys, for health checks and logs.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::schedule::Held;
use crate::jwt::{Algorithm, KeySet, SkippedKey};

/// The state of [`RemoteKeys`](super::RemoteKeys) at one moment.
///
/// # Example
///
/// ```
/// use std::time::SystemTime;
/// use tower_bearer::provider::RemoteKeys;
///
/// let keys = RemoteKeys::builder("https://issuer.example/jwks.json").connect_lazily()?;
/// let status = keys.status();
/// assert_eq!(status.age(SystemTime::now()), None);
/// assert_eq!(status.keys().count(), 0);
/// assert_eq!(status.last_error(), None);
/// # Ok::<_, tower_bearer::provider::ProviderError>(())
/// ```
#[derive(Clone, Debug)]
pub struct KeysStatus {
    pub(super) issuer: Option<String>,
    pub(super) jwks_uri: Option<String>,
    pub(super) held: Option<Held>,
    pub(super) keys: Option<Arc<KeySet>>,
    pub(super) last_attempt: Option<SystemTime>,
    pub(super) last_error: Option<String>,
}

impl KeysStatus {
    /// The issuer, if the keys are found by its name.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// Where the keys are, unless that has still to be found out. A query is not shown.
    #[must_use]
    pub fn jwks_uri(&self) -> Option<&str> {
        self.jwks_uri.as_deref()
    }

    /// The keys at hand, usable or not: their names and algorithms.
    pub fn keys(&self) -> impl Iterator<Item = (Option<&str>, Algorithm)> {
        self.keys.iter().flat_map(|keys| keys.keys())
    }

    /// The keys of the set that are not used, and why.
    #[must_use]
    pub fn skipped(&self) -> &[SkippedKey] {
        self.keys.as_ref().map_or(&[], |keys| keys.skipped())
    }

    /// When the request for the set at hand was sent, or the last one that the issuer answered with
    /// "not modified".
    #[must_use]
    pub fn fetched_at(&self) -> Option<SystemTime> {
        self.held.map(|held| held.fetched_at)
    }

    /// How long ago that was.
    #[must_use]
    pub fn age(&self, now: SystemTime) -> Option<Duration> {
        let fetched_at = self.fetched_at()?;
        Some(now.duration_since(fetched_at).unwrap_or_default())
    }

    /// Until when the set at hand is fresh.
    #[must_use]
    pub fn fresh_until(&self) -> Option<SystemTime> {
        self.held.map(|held| held.fresh_until)
    }

    /// Until when the set at hand is used if no other can be fetched. From then on, requests are
    /// answered with 503.
    #[must_use]
    pub fn usable_until(&self) -> Option<SystemTime> {
        self.held.map(|held| held.usable_until)
    }

    /// When the last fetch began.
    #[must_use]
    pub fn last_attempt(&self) -> Option<SystemTime> {
        self.last_attempt
    }

    /// Why the last fetch failed, if it did. Safe to log.
    #[must_use]
    pub fn last_error(&self) -> Option<&str> {
        self.last_error.as_deref()
    }
}
