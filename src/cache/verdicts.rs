//! Verdicts that are used more than once.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::FutureExt as _;

use super::pending::{Awaited, Pending, SharedOutcome};
use super::settings::CacheSettings;
use super::store::Store;
use super::token_key::{PLACES, TokenRef};
use crate::extract::{Credential, UncheckedCredential};
use crate::failure::Failure;
use crate::validator::{Validated, Verdict};

/// The verdicts that a validator remembers: [`Cached::cache`](super::Cached::cache),
/// `JwtValidator::cache`. Clones share them.
///
/// # Example
///
/// ```
/// use tower_bearer::cache::{CacheSettings, VerdictCache};
/// use tower_bearer::{Credential, Failure, ValidatorExt, validator_fn};
///
/// let validator = validator_fn(|_: Credential<'_>| Ok::<_, Failure>("alice"))
///     .cached(CacheSettings::new());
/// let cache: VerdictCache<&str> = validator.cache().clone();
///
/// // The roles of everybody have changed.
/// cache.clear();
/// assert!(cache.is_empty());
/// ```
pub struct VerdictCache<T> {
    inner: Arc<Inner<T>>,
}

struct Inner<T> {
    store: Store<Validated<T>>,
    pending: Arc<Pending<T>>,
    /// What each verdict takes besides its token and what grows with it.
    fixed_bytes: usize,
}

/// The longest time for which a validator allows a cache around it to keep a result.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CacheLimit(Option<Duration>);

impl CacheLimit {
    /// No limit. The settings of the cache apply alone.
    pub(crate) const NONE: Self = Self(Some(Duration::MAX));
    /// Nothing is cached.
    #[cfg(feature = "jwt")]
    pub(crate) const NOTHING: Self = Self(None);
}

/// The panic of a validation that others wait for too.
#[derive(Debug, thiserror::Error)]
#[error("the validation panicked")]
struct ValidationPanicked;

/// What a validation found out no longer holds.
#[derive(Debug, thiserror::Error)]
#[error("what the verdict rests on has changed while it was waited for")]
struct DependencyChanged;

impl<T> VerdictCache<T> {
    pub(crate) fn new(settings: &CacheSettings) -> Self {
        Self {
            inner: Arc::new(Inner {
                store: Store::new(settings),
                pending: Arc::default(),
                fixed_bytes: size_of::<T>()
                    .saturating_add(size_of::<Validated<T>>())
                    .saturating_add(settings.principal_bytes),
            }),
        }
    }

    /// Forgets the verdict about this token ([`Credential::token`], without its scheme), wherever in a request it
    /// stood, one that is being found out included, so that the validator is asked again. Whether there was one.
    ///
    /// It takes nothing back by itself: end the session first, then remove it here. Other caches and other
    /// instances of the service do not notice. A JWT would be accepted anew: see [`revocation`](crate::revocation).
    #[expect(clippy::must_use_candidate, reason = "called for its effect")]
    pub fn remove(&self, token: &str) -> bool {
        let mut removed = false;
        for place in PLACES {
            if let Some(token) = self.inner.store.find_at(place, token.as_bytes()) {
                removed |= self.inner.store.remove(token);
                self.inner.pending.forget(token);
            }
        }
        removed
    }

    /// Removes the cached results of the principals for which `keep` returns `false`, and returns their
    /// number. Use it, for example, after a change of a user's roles, when the tokens of the user are not
    /// known.
    ///
    /// A validation that began before this method returned is not cached afterwards, for any principal: it
    /// may have read the state before the change, and `keep` cannot judge its result yet. Requests that
    /// already wait for such a validation receive its result, as with [`remove`](Self::remove); requests that
    /// arrive after this method has returned do not join it. Make the change first, then call this method.
    ///
    /// This method visits every entry, so call it for a change and not for each request. It holds no lock
    /// while it calls `keep`. Until it returns, cache hits may return results that are about to be removed.
    /// If `keep` panics, all results are removed.
    ///
    /// Like `remove`, this method revokes nothing: a token that the validator still accepts is cached again.
    ///
    /// # Example
    ///
    /// ```
    /// use tower_bearer::cache::CacheSettings;
    /// use tower_bearer::{Credential, Failure, ValidatorExt, validator_fn};
    ///
    /// let validator = validator_fn(|_: Credential<'_>| Ok::<_, Failure>("alice"))
    ///     .cached(CacheSettings::new());
    ///
    /// // The roles of Alice have changed.
    /// validator.cache().retain(|user| *user != "alice");
    /// ```
    pub fn retain(&self, mut keep: impl FnMut(&T) -> bool) -> usize {
        let Inner { store, pending, .. } = &*self.inner;
        store.retain(
            |validated| keep(validated.principal()),
            || pending.forget_all(),
        )
    }

    /// Forgets all verdicts, those that are being found out included.
    pub fn clear(&self) {
        self.inner.store.clear();
    }

    /// Forgets the verdicts that have ended by `now`. They are of no use to anybody, but until somebody asks for
    /// them or their room is needed they stay in memory, their tokens too: for a timer of your own, where that
    /// matters. Looks at each of them.
    pub fn remove_expired(&self, now: SystemTime) {
        self.inner.store.remove_expired(now);
    }

    /// Returns the limit that the settings of this cache impose on an outer cache, for this token.
    #[cfg(feature = "jwt")]
    pub(crate) fn limit(&self, token: &[u8]) -> CacheLimit {
        CacheLimit(self.inner.store.lifetime(token))
    }

    /// How many verdicts there are, ended ones included that nobody has asked for since.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.store.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T: Send + Sync + 'static> VerdictCache<T> {
    /// The verdict that is kept, if it still stands. The characters of the token need not have been checked:
    /// those of a kept one have.
    #[inline]
    pub(crate) fn recall(
        &self,
        unchecked: &UncheckedCredential<'_>,
        now: SystemTime,
    ) -> Option<Validated<T>> {
        let place = (unchecked.scheme(), unchecked.source());
        let token = self.inner.store.find_at(place, unchecked.token_bytes())?;
        self.inner.recall(token, now)
    }

    /// The verdict that is kept, or that of `ask`.
    pub(crate) fn validate(
        &self,
        credential: &Credential<'_>,
        now: SystemTime,
        ask: impl FnOnce() -> Verdict<T>,
    ) -> Verdict<T> {
        self.validate_within(credential, now, || (ask(), CacheLimit::NONE))
    }

    /// Validates a credential as `validate` does, for a validator that limits caching.
    pub(crate) fn validate_within(
        &self,
        credential: &Credential<'_>,
        now: SystemTime,
        ask: impl FnOnce() -> (Verdict<T>, CacheLimit),
    ) -> Verdict<T> {
        let inner = &self.inner;
        let Some(token) = inner.store.find(credential) else {
            return ask().0;
        };
        if let Some(validated) = inner.recall(token, now) {
            return Verdict::Ready(Ok(validated));
        }
        if let Some(outcome) = inner.pending.join(token, &inner.store, now) {
            return Verdict::pending(joined(outcome, now));
        }
        let asked = inner.store.asked(now);
        let (verdict, limit) = ask();
        let Some(time_to_live) = limit.0 else {
            return verdict;
        };
        let asked = asked.within(time_to_live);
        match verdict {
            Verdict::Ready(result) => {
                if let Ok(validated) = &result {
                    inner.keep(token, validated, asked);
                }
                Verdict::Ready(result)
            }
            Verdict::Pending(future) => {
                let inner = Arc::clone(inner);
                let key = token.to_key();
                let work = async move {
                    let result = AssertUnwindSafe(future)
                        .catch_unwind()
                        .await
                        .unwrap_or_else(|_| Err(Failure::unavailable(ValidationPanicked)));
                    // F08: here it has come to its end.
                    if let Ok(validated) = &result {
                        inner.keep(key.by_ref(), validated, asked);
                    }
                    result
                };
                let Inner { store, pending, .. } = &*self.inner;
                match pending.join_or_start(token, store, asked, Box::pin(work)) {
                    Awaited::Own(outcome) => Verdict::Pending(Box::pin(outcome)),
                    Awaited::Other(outcome) => Verdict::pending(joined(outcome, now)),
                }
            }
        }
    }
}

/// What somebody else's validation says to one who came at `now`, after it had begun.
async fn joined<T: Send + Sync + 'static>(
    outcome: SharedOutcome<T>,
    now: SystemTime,
) -> Result<Validated<T>, Failure> {
    match outcome.await {
        // F05: what it rests on may have gone before this request came, and the request cannot be looked at again.
        Ok(validated) if !validated.stands(now) => {
            Err(Failure::unavailable(DependencyChanged).with_retry_after(Duration::ZERO))
        }
        result => result,
    }
}

impl<T> Inner<T> {
    #[inline]
    fn recall(&self, token: TokenRef<'_>, now: SystemTime) -> Option<Validated<T>> {
        let kept = self
            .store
            .get(token, now, |validated| validated.stands(now))?;
        Some(kept.value().clone())
    }

    fn keep(
        &self,
        token: TokenRef<'_>,
        validated: &Validated<T>,
        asked: super::store::Observation,
    ) {
        // What a principal takes is not known. One that was read from its token is about as long.
        let bytes = token
            .len()
            .saturating_add(self.fixed_bytes)
            .saturating_add(validated.bytes());
        let ends = validated.expires_at();
        self.store
            .keep(token, validated.clone(), bytes, asked, ends);
    }
}

impl<T> Clone for VerdictCache<T> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<T> fmt::Debug for VerdictCache<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerdictCache")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
