//! What a validator answers when the credential is good.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

/// A principal, and until when the credential that named it is good.
pub struct Validated<T> {
    principal: Arc<T>,
    expires_at: Option<SystemTime>,
}

impl<T> Validated<T> {
    /// A principal whose credential does not end by itself.
    pub fn new(principal: T) -> Self {
        Self::from_shared(Arc::new(principal))
    }

    /// A principal shared with a table or a cache, which costs no allocation.
    #[must_use]
    pub fn from_shared(principal: Arc<T>) -> Self {
        Self {
            principal,
            expires_at: None,
        }
    }

    /// Sets the moment from which the layer refuses the credential: at `expires_at` and later it is
    /// 401 `invalid_token`. The layer adds no leeway; a validator that grants some adds it here.
    #[must_use]
    pub fn with_expiry(mut self, expires_at: SystemTime) -> Self {
        self.expires_at = Some(expires_at);
        self
    }

    /// The principal.
    #[must_use]
    pub fn principal(&self) -> &Arc<T> {
        &self.principal
    }

    /// The moment from which the credential is refused, if it ends by itself.
    #[must_use]
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.expires_at
    }

    /// Whether the credential has ended at `now`. At the very moment of its expiry it has
    /// ([RFC 7519 section 4.1.4](https://www.rfc-editor.org/rfc/rfc7519#section-4.1.4)).
    #[must_use]
    pub fn is_expired(&self, now: SystemTime) -> bool {
        self.expires_at.is_some_and(|expires_at| now >= expires_at)
    }

    /// Ends no later than `ends`.
    pub(crate) fn ending_by(mut self, ends: Option<SystemTime>) -> Self {
        self.expires_at = match (self.expires_at, ends) {
            (Some(own), Some(ends)) => Some(own.min(ends)),
            (own, ends) => own.or(ends),
        };
        self
    }

    pub(crate) fn into_parts(self) -> (Arc<T>, Option<SystemTime>) {
        (self.principal, self.expires_at)
    }
}

impl<T> Clone for Validated<T> {
    fn clone(&self) -> Self {
        Self {
            principal: Arc::clone(&self.principal),
            expires_at: self.expires_at,
        }
    }
}

impl<T> From<T> for Validated<T> {
    fn from(principal: T) -> Self {
        Self::new(principal)
    }
}

impl<T> fmt::Debug for Validated<T> {
    /// Without the principal, which may hold anything.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Validated")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}
