//! A validator that remembers.

use std::fmt;

use super::settings::CacheSettings;
use super::verdicts::VerdictCache;
use crate::extract::{Credential, UncheckedCredential};
use crate::request::RequestView;
use crate::validator::{Validator, Verdict};

/// A validator that is not asked again about a credential it has accepted, for a while. Made by
/// [`ValidatorExt::cached`](crate::ValidatorExt::cached). Clones share what is remembered.
///
/// The [module](super) says what is kept, and for how long.
#[must_use]
pub struct Cached<V: Validator> {
    validator: V,
    cache: VerdictCache<V::Principal>,
}

impl<V: Validator> Cached<V> {
    pub(crate) fn new(validator: V, settings: &CacheSettings) -> Self {
        Self {
            validator,
            cache: VerdictCache::new(settings),
        }
    }

    /// What it remembers.
    #[must_use]
    pub fn cache(&self) -> &VerdictCache<V::Principal> {
        &self.cache
    }
}

impl<V: Validator> Validator for Cached<V> {
    type Principal = V::Principal;

    fn validate(
        &self,
        credential: &Credential<'_>,
        request: &RequestView<'_>,
    ) -> Verdict<Self::Principal> {
        self.cache.validate(credential, request.now(), || {
            self.validator.validate(credential, request)
        })
    }

    fn cached_verdict(
        &self,
        unchecked: &UncheckedCredential<'_>,
        request: &RequestView<'_>,
    ) -> Option<Verdict<Self::Principal>> {
        let validated = self.cache.recall(unchecked, request.now())?;
        Some(Verdict::Ready(Ok(validated)))
    }
}

impl<V: Validator + Clone> Clone for Cached<V> {
    fn clone(&self) -> Self {
        Self {
            validator: self.validator.clone(),
            cache: self.cache.clone(),
        }
    }
}

impl<V: Validator + fmt::Debug> fmt::Debug for Cached<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cached")
            .field("validator", &self.validator)
            .field("cache", &self.cache)
            .finish()
    }
}
