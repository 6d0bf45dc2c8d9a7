//! A principal that knows until when its credential is good.

use std::fmt;
use std::time::SystemTime;

use super::{Validated, Validator, Verdict};
use crate::extract::{Credential, UncheckedCredential};
use crate::request::RequestView;

/// A validator whose principals say when they end. Made by [`Validator::expiring`].
#[derive(Clone)]
#[must_use]
pub struct Expiring<V, F> {
    validator: V,
    expires_at: F,
}

impl<V, F> Expiring<V, F> {
    pub(super) fn new(validator: V, expires_at: F) -> Self {
        Self {
            validator,
            expires_at,
        }
    }
}

impl<V: fmt::Debug, F> fmt::Debug for Expiring<V, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Expiring")
            .field("validator", &self.validator)
            .finish_non_exhaustive()
    }
}

impl<V, F> Validator for Expiring<V, F>
where
    V: Validator,
    F: Fn(&V::Principal) -> Option<SystemTime> + Clone + Send + Sync + 'static,
{
    type Principal = V::Principal;

    fn validate(
        &self,
        credential: &Credential<'_>,
        request: &RequestView<'_>,
    ) -> Verdict<Self::Principal> {
        self.limit(self.validator.validate(credential, request))
    }

    fn cached_verdict(
        &self,
        unchecked: &UncheckedCredential<'_>,
        request: &RequestView<'_>,
    ) -> Option<Verdict<Self::Principal>> {
        let verdict = self.validator.cached_verdict(unchecked, request)?;
        Some(self.limit(verdict))
    }
}

impl<V, F> Expiring<V, F>
where
    V: Validator,
    F: Fn(&V::Principal) -> Option<SystemTime> + Clone + Send + Sync + 'static,
{
    fn limit(&self, verdict: Verdict<V::Principal>) -> Verdict<V::Principal> {
        match verdict {
            Verdict::Ready(result) => {
                Verdict::Ready(result.map(|validated| limit(validated, &self.expires_at)))
            }
            Verdict::Pending(future) => {
                let expires_at = self.expires_at.clone();
                Verdict::pending(async move {
                    future.await.map(|validated| limit(validated, &expires_at))
                })
            }
        }
    }
}

/// The earlier of what the validator said and what the principal says.
fn limit<T>(
    validated: Validated<T>,
    expires_at: &impl Fn(&T) -> Option<SystemTime>,
) -> Validated<T> {
    let own = expires_at(validated.principal());
    validated.ending_by(own)
}
