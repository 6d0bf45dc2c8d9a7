//! A validator in front of which failing clients are refused.

use std::fmt;

use super::{ClientAddress, Throttle};
use crate::extract::{Credential, UncheckedCredential};
use crate::failure::{Failure, FailureKind};
use crate::request::RequestView;
use crate::validator::{Validator, Verdict};

/// A validator that is not asked by clients that have presented too many bad credentials. Made by
/// [`ValidatorExt::throttled`](crate::ValidatorExt::throttled).
#[derive(Clone)]
#[must_use]
pub struct Throttled<V> {
    validator: V,
    throttle: Throttle,
    client: ClientAddress,
}

impl<V> Throttled<V> {
    pub(crate) fn new(validator: V, throttle: Throttle, client: ClientAddress) -> Self {
        Self {
            validator,
            throttle,
            client,
        }
    }
}

impl<V: Validator> Validator for Throttled<V> {
    type Principal = V::Principal;

    fn validate(
        &self,
        credential: &Credential<'_>,
        request: &RequestView<'_>,
    ) -> Verdict<Self::Principal> {
        if let Err(refused) = self.throttle.blocked(|| self.client.of(request)) {
            return Verdict::Ready(Err(refused.into()));
        }
        match self.validator.validate(credential, request) {
            Verdict::Ready(Err(failure)) => {
                if is_guess(&failure) {
                    self.throttle.count(self.client.of(request));
                }
                Verdict::Ready(Err(failure))
            }
            Verdict::Ready(Ok(validated)) => Verdict::Ready(Ok(validated)),
            Verdict::Pending(future) => {
                let throttle = self.throttle.clone();
                let address = self.client.of(request);
                Verdict::pending(async move {
                    let result = future.await;
                    if result.as_ref().is_err_and(is_guess) {
                        throttle.count(address);
                    }
                    result
                })
            }
        }
    }

    /// What is remembered was right before and is no guess, so it passes from a refused address too: a neighbour
    /// behind the same NAT does not stop those who are at work.
    fn cached_verdict(
        &self,
        unchecked: &UncheckedCredential<'_>,
        request: &RequestView<'_>,
    ) -> Option<Verdict<Self::Principal>> {
        self.validator.cached_verdict(unchecked, request)
    }
}

/// Whether a credential may have been made up. One that was good once, and one about which nobody can tell, were not.
fn is_guess(failure: &Failure) -> bool {
    match failure.kind() {
        FailureKind::Invalid(reason) => !reason.is_definitive(),
        FailureKind::Unrecognized => true,
        FailureKind::Throttled | FailureKind::Unavailable => false,
    }
}

impl<V: fmt::Debug> fmt::Debug for Throttled<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Throttled")
            .field("validator", &self.validator)
            .field("throttle", &self.throttle)
            .field("client", &self.client)
            .finish()
    }
}
