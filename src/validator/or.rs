//! Two validators of one kind of principal.

use super::{Validated, Validator, Verdict};
use crate::extract::Credential;
use crate::failure::{Failure, FailureKind};
use crate::request::RequestView;

/// Asks one validator, and another where the first does not accept. Made by [`Validator::or`].
///
/// | the first says | the second says | the answer |
/// |---|---|---|
/// | yes | is not asked | yes |
/// | known, and [turned down for good](crate::InvalidReason::is_definitive) | is not asked | the first's refusal |
/// | throttled | is not asked | throttled |
/// | invalid, unrecognized | anything | the second's; if it does not recognise the credential either, the first's |
/// | cannot tell | yes | yes |
/// | cannot tell | anything else | cannot tell |
///
/// An outage of the first is therefore never passed off as a bad credential. If the first has to
/// wait, the second is asked before the wait, since the request is at hand only then; its own future
/// is polled only if needed. So put the one that answers at once first.
#[derive(Clone, Debug)]
#[must_use]
pub struct Or<A, B> {
    first: A,
    second: B,
}

impl<A, B> Or<A, B> {
    pub(super) fn new(first: A, second: B) -> Self {
        Self { first, second }
    }
}

impl<A, B> Validator for Or<A, B>
where
    A: Validator,
    B: Validator<Principal = A::Principal>,
{
    type Principal = A::Principal;

    fn validate(
        &self,
        credential: &Credential<'_>,
        request: &RequestView<'_>,
    ) -> Verdict<Self::Principal> {
        match self.first.validate(credential, request) {
            Verdict::Ready(Ok(validated)) => Verdict::Ready(Ok(validated)),
            Verdict::Ready(Err(failure)) if is_definitive(&failure) => Verdict::Ready(Err(failure)),
            Verdict::Ready(Err(failure)) => match self.second.validate(credential, request) {
                Verdict::Ready(second) => Verdict::Ready(merge(failure, second)),
                Verdict::Pending(second) => {
                    Verdict::pending(async move { merge(failure, second.await) })
                }
            },
            Verdict::Pending(first) => {
                let second = self.second.validate(credential, request);
                Verdict::pending(async move {
                    match first.await {
                        Ok(validated) => Ok(validated),
                        Err(failure) if is_definitive(&failure) => Err(failure),
                        Err(failure) => match second {
                            Verdict::Ready(second) => merge(failure, second),
                            Verdict::Pending(second) => merge(failure, second.await),
                        },
                    }
                })
            }
        }
    }
}

/// Whether the second need not be asked.
fn is_definitive(failure: &Failure) -> bool {
    match failure.kind() {
        FailureKind::Invalid(reason) => reason.is_definitive(),
        FailureKind::Throttled => true,
        FailureKind::Unavailable | FailureKind::Unrecognized => false,
    }
}

fn merge<T>(
    first: Failure,
    second: Result<Validated<T>, Failure>,
) -> Result<Validated<T>, Failure> {
    let second = match second {
        Ok(validated) => return Ok(validated),
        Err(failure) => failure,
    };
    Err(match (first.kind(), second.kind()) {
        (FailureKind::Unavailable, _) | (_, FailureKind::Unrecognized) => first,
        (_, _) => second,
    })
}

#[cfg(test)]
mod tests {
    use std::future::Future as _;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use http::Request;

    use super::*;
    use crate::failure::InvalidReason;
    use crate::validator::validator_fn;

    fn answer(text: &str) -> Result<u8, Failure> {
        match text {
            "yes1" => Ok(1),
            "yes2" => Ok(2),
            "invalid" => Err(Failure::invalid(InvalidReason::Unknown)),
            "signature" => Err(Failure::invalid(InvalidReason::Signature)),
            "revoked" => Err(Failure::invalid(InvalidReason::Revoked)),
            "down" => Err(Failure::unavailable("down")),
            "throttled" => Err(Failure::throttled(std::time::Duration::from_secs(1))),
            _ => Err(Failure::unrecognized()),
        }
    }

    fn run(validator: &dyn Validator<Principal = u8>) -> String {
        let request = Request::new(());
        let credential = Credential::bearer("x").unwrap();
        let result = match validator.validate(&credential, &RequestView::new(&request)) {
            Verdict::Ready(result) => result,
            Verdict::Pending(future) => {
                let mut future = pin!(future);
                match future
                    .as_mut()
                    .poll(&mut Context::from_waker(Waker::noop()))
                {
                    Poll::Ready(result) => result,
                    Poll::Pending => unreachable!("no test future waits"),
                }
            }
        };
        match result {
            Ok(validated) => format!("yes{}", validated.principal()),
            Err(failure) => match failure.kind() {
                FailureKind::Invalid(InvalidReason::Unknown) => "invalid".into(),
                FailureKind::Invalid(InvalidReason::Signature) => "signature".into(),
                FailureKind::Invalid(_) => "revoked".into(),
                FailureKind::Unavailable => "down".into(),
                FailureKind::Throttled => "throttled".into(),
                FailureKind::Unrecognized => "unrecognized".into(),
            },
        }
    }

    #[test]
    fn outage_of_the_first_validator_is_never_an_invalid_token() {
        for (first, second, expected) in [
            ("yes1", "yes2", "yes1"),
            ("yes1", "down", "yes1"),
            ("invalid", "yes2", "yes2"),
            ("unrecognized", "yes2", "yes2"),
            ("invalid", "down", "down"),
            ("invalid", "revoked", "revoked"),
            ("signature", "invalid", "invalid"),
            ("signature", "unrecognized", "signature"),
            ("unrecognized", "unrecognized", "unrecognized"),
            ("revoked", "yes2", "revoked"),
            ("throttled", "yes2", "throttled"),
            ("down", "yes2", "yes2"),
            ("down", "invalid", "down"),
            ("down", "revoked", "down"),
            ("down", "unrecognized", "down"),
            ("down", "down", "down"),
        ] {
            let sync = |text: &'static str| validator_fn(move |_| answer(text));
            let wait = |text: &'static str| validator_fn(move |_| async move { answer(text) });
            let name = format!("{first}, {second}");
            assert_eq!(
                run(&sync(first).or(sync(second))),
                expected,
                "{name}: now, now"
            );
            assert_eq!(
                run(&sync(first).or(wait(second))),
                expected,
                "{name}: now, later"
            );
            assert_eq!(
                run(&wait(first).or(sync(second))),
                expected,
                "{name}: later, now"
            );
            assert_eq!(
                run(&wait(first).or(wait(second))),
                expected,
                "{name}: later, later"
            );
        }
    }
}
