//! What a validator answers when the credential is good.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use super::dependency::{Dependencies, Dependency};

/// A principal, and until when the credential that named it is good.
pub struct Validated<T> {
    principal: Arc<T>,
    limits: Limits,
}

/// When a verdict ends.
#[derive(Clone, Debug, Default)]
pub(crate) struct Limits {
    expires_at: Option<SystemTime>,
    dependencies: Dependencies,
    /// What the principal takes besides as many bytes as its token has, as far as that is known.
    #[cfg(feature = "cache")]
    bytes: usize,
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
            limits: Limits::default(),
        }
    }

    /// Sets the moment from which the layer refuses the credential: at `expires_at` and later it is
    /// 401 `invalid_token`. The layer adds no leeway; a validator that grants some adds it here.
    #[must_use]
    pub fn with_expiry(mut self, expires_at: SystemTime) -> Self {
        self.limits.expires_at = Some(expires_at);
        self
    }

    /// Adds something that a cache has to ask before it says the same again. It has to hold at this moment, and
    /// does not refuse anything by itself: a validator looks before it answers. Without a cache it has no effect.
    #[must_use]
    pub fn with_dependency<D: Dependency + 'static>(mut self, dependency: Arc<D>) -> Self {
        self.limits.dependencies = self.limits.dependencies.and(dependency.into());
        self
    }

    /// Adds a dependency whose type is not known here.
    #[cfg(feature = "jwt")]
    pub(crate) fn with_dyn_dependency(mut self, dependency: Arc<dyn Dependency>) -> Self {
        self.limits.dependencies = self.limits.dependencies.and(Dependencies::of(dependency));
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
        self.limits.expires_at
    }

    /// Whether the credential has ended at `now`. At the very moment of its expiry it has
    /// ([RFC 7519 section 4.1.4](https://www.rfc-editor.org/rfc/rfc7519#section-4.1.4)).
    #[must_use]
    pub fn is_expired(&self, now: SystemTime) -> bool {
        self.expires_at()
            .is_some_and(|expires_at| now >= expires_at)
    }

    /// Ends no later than `ends`.
    pub(crate) fn ending_by(self, ends: Option<SystemTime>) -> Self {
        self.within(Limits {
            expires_at: ends,
            ..Limits::default()
        })
    }

    /// Ends no later than what it was made of.
    pub(crate) fn within(mut self, limits: Limits) -> Self {
        let own = self.limits;
        self.limits = Limits {
            expires_at: match (own.expires_at, limits.expires_at) {
                (Some(own), Some(ends)) => Some(own.min(ends)),
                (own, ends) => own.or(ends),
            },
            dependencies: own.dependencies.and(limits.dependencies),
            #[cfg(feature = "cache")]
            bytes: own.bytes.saturating_add(limits.bytes),
        };
        self
    }

    /// Says that the principal takes so many bytes more than its token has.
    #[cfg(feature = "jwt")]
    pub(crate) fn with_bytes(mut self, bytes: usize) -> Self {
        self.limits.bytes = bytes;
        self
    }

    #[cfg(feature = "cache")]
    pub(crate) fn bytes(&self) -> usize {
        self.limits.bytes
    }

    /// Whether all that it rests on is still there.
    #[cfg(feature = "cache")]
    #[inline]
    pub(crate) fn stands(&self, now: SystemTime) -> bool {
        self.limits.dependencies.hold(now)
    }

    pub(crate) fn into_parts(self) -> (Arc<T>, Limits) {
        (self.principal, self.limits)
    }
}

impl Limits {
    pub(crate) fn expires_at(&self) -> Option<SystemTime> {
        self.expires_at
    }
}

impl<T> Clone for Validated<T> {
    fn clone(&self) -> Self {
        Self {
            principal: Arc::clone(&self.principal),
            limits: self.limits.clone(),
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
            .field("expires_at", &self.limits.expires_at)
            .finish_non_exhaustive()
    }
}
