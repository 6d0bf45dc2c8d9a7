//! The future of a response.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::body::ResponseBody;
use crate::failure::Failure;
use crate::layer::Shared;
use crate::policy::{Denial, Plan, Policy};
use crate::principal::{Authenticated, Presented};
use crate::service::Step;
use crate::validator::{BoxFuture, Validated, Validator};

pin_project! {
    /// The response future of [`BearerAuth`](crate::BearerAuth).
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, V, P, ReqBody>
    where
        S: Service<Request<ReqBody>>,
        V: Validator,
    {
        #[pin]
        state: State<S::Future, Waiting<S, V, P, ReqBody>>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, W> {
        Inner { #[pin] future: F },
        // Boxed, so that the usual case, an allowed request, moves a small future.
        Rejected { response: Option<Box<Response<Bytes>>> },
        Waiting { waiting: Option<Box<W>> },
    }
}

/// A request whose decision has to wait, with the service that was made ready for it.
struct Waiting<S, V: Validator, P, ReqBody> {
    inner: S,
    request: Request<ReqBody>,
    shared: Arc<Shared<V, P>>,
    work: Work<V::Principal>,
}

/// What is waited for.
pub(crate) enum Work<T> {
    Validation {
        plan: Plan<'static>,
        presented: Presented,
        future: Exclusive<Result<Validated<T>, Failure>>,
    },
    Decision {
        plan: Plan<'static>,
        authenticated: Authenticated<T>,
        future: Exclusive<Result<(), Denial>>,
    },
}

impl<T> Work<T> {
    pub(crate) fn validation(
        plan: Plan<'_>,
        presented: Presented,
        future: BoxFuture<Result<Validated<T>, Failure>>,
    ) -> Self {
        Work::Validation {
            plan: plan.into_owned(),
            presented,
            future: Exclusive::new(future),
        }
    }

    pub(crate) fn decision(
        plan: Plan<'_>,
        authenticated: Authenticated<T>,
        future: BoxFuture<Result<(), Denial>>,
    ) -> Self {
        Work::Decision {
            plan: plan.into_owned(),
            authenticated,
            future: Exclusive::new(future),
        }
    }
}

/// A boxed future that is `Sync`, because it can only be reached by whoever owns it: the mutex is
/// never locked.
pub(crate) struct Exclusive<T>(Mutex<BoxFuture<T>>);

impl<T> Exclusive<T> {
    fn new(future: BoxFuture<T>) -> Self {
        Self(Mutex::new(future))
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<T> {
        self.0
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .as_mut()
            .poll(cx)
    }
}

impl<S, V, P, ReqBody> ResponseFuture<S, V, P, ReqBody>
where
    S: Service<Request<ReqBody>>,
    V: Validator,
{
    #[inline]
    pub(crate) fn inner(future: S::Future) -> Self {
        Self {
            state: State::Inner { future },
        }
    }

    pub(crate) fn rejected(response: Box<Response<Bytes>>) -> Self {
        Self {
            state: State::Rejected {
                response: Some(response),
            },
        }
    }

    pub(crate) fn waiting(
        inner: S,
        request: Request<ReqBody>,
        shared: Arc<Shared<V, P>>,
        work: Work<V::Principal>,
    ) -> Self {
        Self {
            state: State::Waiting {
                waiting: Some(Box::new(Waiting {
                    inner,
                    request,
                    shared,
                    work,
                })),
            },
        }
    }
}

impl<S, V, P, ReqBody> Waiting<S, V, P, ReqBody>
where
    V: Validator,
    P: Policy<V::Principal>,
{
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Step<V::Principal>> {
        let Self {
            request,
            shared,
            work,
            ..
        } = self;
        Poll::Ready(match work {
            Work::Validation {
                plan,
                presented,
                future,
            } => {
                let result = ready!(future.poll(cx));
                let view = shared.view(request);
                shared.resume_validation(&view, plan.take(), *presented, result)
            }
            Work::Decision {
                plan,
                authenticated,
                future,
            } => {
                let result = ready!(future.poll(cx));
                let view = shared.view(request);
                shared.resume_decision(&view, plan, authenticated.clone(), result)
            }
        })
    }
}

impl<S, V, P, ReqBody, ResBody> Future for ResponseFuture<S, V, P, ReqBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    V: Validator,
    P: Policy<V::Principal>,
{
    type Output = Result<Response<ResponseBody<ResBody>>, S::Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            match state.as_mut().project() {
                StateProj::Inner { future } => {
                    return future
                        .poll(cx)
                        .map_ok(|response| response.map(ResponseBody::inner));
                }
                StateProj::Rejected { response } => {
                    let response = taken(response);
                    return Poll::Ready(Ok((*response).map(ResponseBody::rejection)));
                }
                StateProj::Waiting { waiting } => {
                    let Some(polled) = waiting else {
                        completed();
                    };
                    let step = ready!(polled.poll(cx));
                    let Waiting {
                        mut inner,
                        mut request,
                        shared,
                        ..
                    } = *taken(waiting);
                    let next = match step {
                        Step::Forward(authenticated) => {
                            shared.admit(&mut request, authenticated);
                            State::Inner {
                                future: inner.call(request),
                            }
                        }
                        Step::Reject(response) => State::Rejected {
                            response: Some(response),
                        },
                        Step::Pending(work) => State::Waiting {
                            waiting: Some(Box::new(Waiting {
                                inner,
                                request,
                                shared,
                                work,
                            })),
                        },
                    };
                    state.set(next);
                }
            }
        }
    }
}

fn taken<T>(slot: &mut Option<T>) -> T {
    match slot.take() {
        Some(value) => value,
        None => completed(),
    }
}

/// A caller's mistake that no request can cause; every future of the standard library does the same.
fn completed() -> ! {
    panic!("`ResponseFuture` polled after completion")
}

impl<S, V, P, ReqBody> fmt::Debug for ResponseFuture<S, V, P, ReqBody>
where
    S: Service<Request<ReqBody>>,
    V: Validator,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
