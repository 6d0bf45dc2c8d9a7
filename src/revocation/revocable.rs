//! A validator whose credentials can be taken back.

use std::fmt;

use super::{RevocationCheck, RevocationClaims};
use crate::extract::{Credential, UncheckedCredential};
use crate::failure::{Failure, InvalidReason};
use crate::request::RequestView;
use crate::validator::{Validated, Validator, Verdict};

/// A validator behind which a store of revocations is asked. Made by [`ValidatorExt::revocable`](crate::ValidatorExt::revocable).
#[derive(Clone)]
#[must_use]
pub struct Revocable<V, F> {
    validator: V,
    check: RevocationCheck,
    identify: F,
}

impl<V, F> Revocable<V, F> {
    pub(crate) fn new(validator: V, check: RevocationCheck, identify: F) -> Self {
        Self {
            validator,
            check,
            identify,
        }
    }
}

impl<V, F> Validator for Revocable<V, F>
where
    V: Validator,
    F: Fn(&V::Principal) -> RevocationClaims<'_> + Clone + Send + Sync + 'static,
{
    type Principal = V::Principal;

    fn validate(
        &self,
        credential: &Credential<'_>,
        request: &RequestView<'_>,
    ) -> Verdict<Self::Principal> {
        self.go_on(self.validator.validate(credential, request), request)
    }

    fn cached_verdict(
        &self,
        unchecked: &UncheckedCredential<'_>,
        request: &RequestView<'_>,
    ) -> Option<Verdict<Self::Principal>> {
        let verdict = self.validator.cached_verdict(unchecked, request)?;
        Some(self.go_on(verdict, request))
    }
}

impl<V, F> Revocable<V, F>
where
    V: Validator,
    F: Fn(&V::Principal) -> RevocationClaims<'_> + Clone + Send + Sync + 'static,
{
    fn go_on(
        &self,
        verdict: Verdict<V::Principal>,
        request: &RequestView<'_>,
    ) -> Verdict<V::Principal> {
        let now = request.now();
        match verdict {
            Verdict::Ready(Err(failure)) => Verdict::Ready(Err(failure)),
            Verdict::Ready(Ok(validated)) => {
                Verdict::Ready(check(&self.check, &self.identify, validated, now))
            }
            Verdict::Pending(future) => {
                let (revocations, identify) = (self.check.clone(), self.identify.clone());
                Verdict::pending(async move { check(&revocations, &identify, future.await?, now) })
            }
        }
    }
}

fn check<T>(
    revocations: &RevocationCheck,
    identify: &impl Fn(&T) -> RevocationClaims<'_>,
    validated: Validated<T>,
    now: std::time::SystemTime,
) -> Result<Validated<T>, Failure> {
    // What has ended is not asked about, so that it is no outage.
    if validated.is_expired(now) {
        return Err(Failure::invalid(InvalidReason::Expired));
    }
    let token = identify(validated.principal()).owned();
    revocations.guard(validated, token, now)
}

impl<V: fmt::Debug, F> fmt::Debug for Revocable<V, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revocable")
            .field("validator", &self.validator)
            .field("check", &self.check)
            .finish_non_exhaustive()
    }
}
