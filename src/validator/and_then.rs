//! A second step after a validator.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use super::{IntoVerdict, Validated, Validator, Verdict};
use crate::extract::{Credential, UncheckedCredential};
use crate::failure::{Failure, InvalidReason};
use crate::request::RequestView;

/// A validator followed by a closure that makes another principal. Made by [`Validator::and_then`].
#[must_use]
pub struct AndThen<V, F, M> {
    validator: V,
    then: F,
    marker: PhantomData<fn() -> M>,
}

impl<V, F, M> AndThen<V, F, M> {
    pub(super) fn new(validator: V, then: F) -> Self {
        Self {
            validator,
            then,
            marker: PhantomData,
        }
    }
}

impl<V: Clone, F: Clone, M> Clone for AndThen<V, F, M> {
    fn clone(&self) -> Self {
        Self::new(self.validator.clone(), self.then.clone())
    }
}

impl<V: fmt::Debug, F, M> fmt::Debug for AndThen<V, F, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AndThen")
            .field("validator", &self.validator)
            .finish_non_exhaustive()
    }
}

impl<V, F, R, M> Validator for AndThen<V, F, M>
where
    V: Validator,
    F: Fn(Arc<V::Principal>) -> R + Clone + Send + Sync + 'static,
    R: IntoVerdict<M>,
    R::Principal: Send + Sync + 'static,
{
    type Principal = R::Principal;

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
        let first = self.validator.cached_verdict(unchecked, request)?;
        Some(self.go_on(first, request))
    }
}

impl<V, F, R, M> AndThen<V, F, M>
where
    V: Validator,
    F: Fn(Arc<V::Principal>) -> R + Clone + Send + Sync + 'static,
    R: IntoVerdict<M>,
    R::Principal: Send + Sync + 'static,
{
    fn go_on(
        &self,
        first: Verdict<V::Principal>,
        request: &RequestView<'_>,
    ) -> Verdict<R::Principal> {
        match first {
            Verdict::Ready(Err(failure)) => Verdict::Ready(Err(failure)),
            // What has ended is not looked up: the layer would refuse it anyway.
            Verdict::Ready(Ok(first)) if first.is_expired(request.now()) => {
                Verdict::Ready(Err(Failure::invalid(InvalidReason::Expired)))
            }
            Verdict::Ready(Ok(first)) => {
                let (principal, limits) = first.into_parts();
                match (self.then)(principal).into_verdict() {
                    Verdict::Ready(second) => {
                        Verdict::Ready(second.map(|second| second.within(limits)))
                    }
                    Verdict::Pending(second) => {
                        Verdict::pending(
                            async move { second.await.map(|second| second.within(limits)) },
                        )
                    }
                }
            }
            Verdict::Pending(first) => {
                let then = self.then.clone();
                Verdict::pending(async move {
                    let (principal, limits) = first.await?.into_parts();
                    // The verdict is not `Send` while it is matched on, the future in it is.
                    let second = match then(principal).into_verdict() {
                        Verdict::Ready(second) => {
                            return second.map(|second| second.within(limits));
                        }
                        Verdict::Pending(second) => second,
                    };
                    second
                        .await
                        .map(|second: Validated<R::Principal>| second.within(limits))
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use http::Request;

    use super::*;
    use crate::failure::FailureKind;
    use crate::validator::validator_fn;

    /// Polls until the verdict is there; nothing here waits for anything.
    async fn run<V: Validator>(
        validator: &V,
        now: SystemTime,
    ) -> Result<Validated<V::Principal>, Failure> {
        let request = Request::new(());
        let credential = Credential::bearer("x").unwrap();
        let clock = crate::clock::ManualClock::new(now);
        match validator.validate(&credential, &RequestView::with_clock(&request, &clock)) {
            Verdict::Ready(result) => result,
            Verdict::Pending(future) => future.await,
        }
    }

    #[tokio::test]
    async fn second_step_yields_the_principal_and_the_earlier_expiry_applies() {
        let time = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        for (first_waits, second_waits) in
            [(false, false), (false, true), (true, false), (true, true)]
        {
            for (first_ends, second_ends, expected) in [
                (None, None, None),
                (Some(20), None, Some(20)),
                (None, Some(30), Some(30)),
                (Some(20), Some(30), Some(20)),
                (Some(30), Some(20), Some(20)),
            ] {
                let ending = move |mut validated: Validated<u32>, ends: Option<u64>| {
                    if let Some(ends) = ends {
                        validated = validated.with_expiry(time(ends));
                    }
                    Ok::<_, Failure>(validated)
                };
                let verdict = move |waits, result: Result<Validated<u32>, Failure>| match waits {
                    true => Verdict::pending(async move { result }),
                    false => Verdict::Ready(result),
                };
                let first = validator_fn(move |_: Credential<'_>| {
                    verdict(first_waits, ending(Validated::new(7), first_ends))
                });
                let both = first.and_then(move |number: Arc<u32>| {
                    verdict(
                        second_waits,
                        ending(Validated::new(*number + 1), second_ends),
                    )
                });
                let validated = run(&both, time(10)).await.unwrap();
                assert_eq!(**validated.principal(), 8);
                assert_eq!(validated.expires_at(), expected.map(time));
            }
        }
    }

    #[tokio::test]
    async fn each_step_may_reject_with_its_own_failure() {
        let bad = || Failure::invalid(InvalidReason::Signature);
        let first = validator_fn(move |_: Credential<'_>| Err::<u32, _>(bad()));
        let never = first.and_then(|_: Arc<u32>| -> Result<u32, Failure> { unreachable!() });
        let refused = run(&never, SystemTime::UNIX_EPOCH).await.unwrap_err();
        assert_eq!(refused.kind(), bad().kind());

        let first = validator_fn(|_: Credential<'_>| Ok::<_, Failure>(7_u32));
        let down =
            first.and_then(|_: Arc<u32>| async { Err::<u32, _>(Failure::unavailable("db")) });
        let refused = run(&down, SystemTime::UNIX_EPOCH).await.unwrap_err();
        assert_eq!(refused.kind(), FailureKind::Unavailable);

        let ended = validator_fn(|_: Credential<'_>| {
            Verdict::from(Ok(Validated::new(7_u32).with_expiry(SystemTime::UNIX_EPOCH)))
        });
        let never = ended.and_then(|_: Arc<u32>| -> Result<u32, Failure> { unreachable!() });
        let refused = run(&never, SystemTime::UNIX_EPOCH).await.unwrap_err();
        assert_eq!(refused.kind(), FailureKind::Invalid(InvalidReason::Expired));
    }
}
