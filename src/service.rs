//! The service: joins extraction, authentication and authorization, and decides nothing itself.

use std::any::Any;
use std::fmt;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{ACCESS_CONTROL_REQUEST_METHOD, ORIGIN};
use http::{Method, Request, Response};
use tower_service::Service;

use crate::body::ResponseBody;
use crate::failure::{Failure, InvalidReason};
use crate::future::{ResponseFuture, Work};
use crate::layer::Shared;
use crate::observe::{DecisionEvent, Latency, Outcome};
use crate::policy::{Decision, Denial, Plan, Policy, PolicyContext, RequiredScopes, Requirement};
use crate::principal::{self, Authenticated, Presented};
use crate::rejection::Rejection;
use crate::request::RequestView;
use crate::trace;
use crate::validator::{Validated, Validator, Verdict};

/// A service with authentication and authorization in front. Made by
/// [`BearerAuthLayer`](crate::BearerAuthLayer).
///
/// It is the inner service and one pointer. Its error is the inner service's: refusals are responses.
/// Where nothing has to be awaited, the inner service is called in place, without a clone.
pub struct BearerAuth<S, V, P> {
    inner: S,
    shared: Arc<Shared<V, P>>,
}

impl<S, V, P> BearerAuth<S, V, P> {
    pub(crate) fn new(inner: S, shared: Arc<Shared<V, P>>) -> Self {
        Self { inner, shared }
    }

    /// The inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The inner service, without what stood in front.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S: Clone, V, P> Clone for BearerAuth<S, V, P> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<S: fmt::Debug, V, P> fmt::Debug for BearerAuth<S, V, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerAuth")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

impl<S, V, P, ReqBody, ResBody> Service<Request<ReqBody>> for BearerAuth<S, V, P>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    V: Validator,
    P: Policy<V::Principal>,
{
    type Response = Response<ResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, V, P, ReqBody>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        principal::revoke::<V::Principal, _>(&mut request);
        let step = self.shared.begin(&self.shared.view(&request));
        match step {
            Step::Forward(authenticated) => {
                self.shared.admit(&mut request, authenticated);
                ResponseFuture::inner(self.inner.call(request))
            }
            Step::Reject(response) => ResponseFuture::rejected(response),
            Step::Pending(work) => {
                // Take the service that was made ready, leave the clone, which is not:
                // https://docs.rs/tower-service/latest/tower_service/trait.Service.html#be-careful-when-cloning-inner-services
                let clone = self.inner.clone();
                let ready = mem::replace(&mut self.inner, clone);
                ResponseFuture::waiting(ready, request, Arc::clone(&self.shared), work)
            }
        }
    }
}

/// What to do with a request next.
pub(crate) enum Step<T> {
    /// Hand it to the inner service, with the proof if there is one.
    Forward(Option<Authenticated<T>>),
    Reject(Box<Response<Bytes>>),
    Pending(Work<T>),
}

impl<V, P> Shared<V, P>
where
    V: Validator,
    P: Policy<V::Principal>,
{
    /// Returns the view of a request that validators and policies of this layer get.
    #[inline]
    pub(crate) fn view<'a, B>(&'a self, request: &'a Request<B>) -> RequestView<'a> {
        let settings = &self.settings;
        RequestView::in_layer(request, &*settings.clock, &settings.nest)
    }

    /// Reads a request as far as possible without waiting.
    #[inline]
    pub(crate) fn begin(&self, request: &RequestView<'_>) -> Step<V::Principal> {
        let settings = &self.settings;
        if settings.allow_preflight && is_preflight(request) {
            self.observe(
                request,
                Latency::Immediate,
                Outcome::Preflight,
                None,
                None,
                None,
            );
            return Step::Forward(None);
        }
        let plan = match self.policy.plan(request) {
            Ok(plan) => plan,
            Err(ambiguity) => {
                return self.reject(
                    &Rejection::path(ambiguity),
                    request,
                    Latency::Immediate,
                    None,
                    None,
                );
            }
        };
        if plan.requirement() == Requirement::Public {
            return self.pass_anonymous(request, &plan);
        }
        let unchecked = match settings.sources.extract(request, settings.max_length) {
            Ok(Some(unchecked)) => unchecked,
            Ok(None) if plan.requirement() == Requirement::Optional => {
                return self.pass_anonymous(request, &plan);
            }
            Ok(None) => {
                let rejection = Rejection::missing(self.required_scopes(request, &plan));
                return self.reject(&rejection, request, Latency::Immediate, None, None);
            }
            Err(error) => {
                let rejection = Rejection::extract(error);
                return self.reject(&rejection, request, Latency::Immediate, None, None);
            }
        };
        let presented = Presented::from(&unchecked);
        let verdict = match self.validator.cached_verdict(&unchecked, request) {
            Some(verdict) => verdict,
            None => match settings.sources.check(unchecked) {
                Ok(credential) => self.validator.validate(&credential, request),
                Err(error) => {
                    let rejection = Rejection::extract(error);
                    return self.reject(&rejection, request, Latency::Immediate, None, None);
                }
            },
        };
        match verdict {
            Verdict::Ready(result) => {
                self.validated(request, plan, presented, result, Latency::Immediate)
            }
            Verdict::Pending(future) => Step::Pending(Work::validation(plan, presented, future)),
        }
    }

    /// Continues after an awaited validation, with the plan that was made before.
    pub(crate) fn resume_validation(
        &self,
        request: &RequestView<'_>,
        plan: Plan<'_>,
        presented: Presented,
        result: Result<Validated<V::Principal>, Failure>,
    ) -> Step<V::Principal> {
        self.validated(request, plan, presented, result, Latency::Waited)
    }

    /// Continues after an awaited policy, with the plan that was made before.
    pub(crate) fn resume_decision(
        &self,
        request: &RequestView<'_>,
        plan: &Plan<'_>,
        authenticated: Authenticated<V::Principal>,
        result: Result<(), Denial>,
    ) -> Step<V::Principal> {
        match result {
            // The lookup took its time.
            Ok(()) if authenticated.is_expired(request) => {
                self.expired(request, authenticated.presented(), Latency::Waited)
            }
            Ok(()) => self.pass(request, authenticated, Latency::Waited),
            Err(denial) => self.denied(request, plan, &authenticated, denial, Latency::Waited),
        }
    }

    #[inline]
    fn validated(
        &self,
        request: &RequestView<'_>,
        plan: Plan<'_>,
        presented: Presented,
        result: Result<Validated<V::Principal>, Failure>,
        latency: Latency,
    ) -> Step<V::Principal> {
        let authenticated = match result {
            Ok(validated) => Authenticated::assertion(validated, presented),
            Err(failure) => {
                let rejection = Rejection::failure(failure, presented.scheme);
                return self.reject(&rejection, request, latency, Some(presented), None);
            }
        };
        if authenticated.is_expired(request) {
            return self.expired(request, presented, latency);
        }
        match self
            .policy
            .decide(&PolicyContext::new(&authenticated, request, &plan))
        {
            Decision::Allow => self.pass(request, authenticated, latency),
            Decision::Deny(denial) => self.denied(request, &plan, &authenticated, denial, latency),
            Decision::Pending(future) => Step::Pending(Work::decision(plan, authenticated, future)),
        }
    }

    #[inline]
    fn pass(
        &self,
        request: &RequestView<'_>,
        authenticated: Authenticated<V::Principal>,
        latency: Latency,
    ) -> Step<V::Principal> {
        self.observe(
            request,
            latency,
            Outcome::Allowed,
            None,
            Some(authenticated.presented()),
            Some(authenticated.shared()),
        );
        Step::Forward(Some(authenticated))
    }

    #[inline]
    fn pass_anonymous(&self, request: &RequestView<'_>, plan: &Plan<'_>) -> Step<V::Principal> {
        self.observe(
            request,
            Latency::Immediate,
            Outcome::Anonymous,
            plan.opened_by(),
            None,
            None,
        );
        Step::Forward(None)
    }

    fn denied(
        &self,
        request: &RequestView<'_>,
        plan: &Plan<'_>,
        authenticated: &Authenticated<V::Principal>,
        denial: Denial,
        latency: Latency,
    ) -> Step<V::Principal> {
        let presented = authenticated.presented();
        let needs = self.required_scopes(request, plan);
        let rejection = Rejection::denial(denial, presented.scheme, needs);
        self.reject(
            &rejection,
            request,
            latency,
            Some(presented),
            Some(authenticated.shared()),
        )
    }

    fn expired(
        &self,
        request: &RequestView<'_>,
        presented: Presented,
        latency: Latency,
    ) -> Step<V::Principal> {
        let failure = Failure::invalid(InvalidReason::Expired);
        let rejection = Rejection::failure(failure, presented.scheme);
        self.reject(&rejection, request, latency, Some(presented), None)
    }

    fn required_scopes(&self, request: &RequestView<'_>, plan: &Plan<'_>) -> Vec<Arc<str>> {
        let mut needs = RequiredScopes::new();
        self.policy.required_scopes(request, plan, &mut needs);
        needs.into_scopes()
    }

    #[cold]
    fn reject(
        &self,
        rejection: &Rejection,
        request: &RequestView<'_>,
        latency: Latency,
        presented: Option<Presented>,
        principal: Option<&Arc<V::Principal>>,
    ) -> Step<V::Principal> {
        self.observe(
            request,
            latency,
            Outcome::Rejected(rejection),
            rejection.rule(),
            presented,
            principal,
        );
        Step::Reject(Box::new(
            self.settings.responses.respond(rejection, request),
        ))
    }

    #[inline]
    fn observe(
        &self,
        request: &RequestView<'_>,
        latency: Latency,
        outcome: Outcome<'_>,
        rule: Option<&str>,
        presented: Option<Presented>,
        principal: Option<&Arc<V::Principal>>,
    ) {
        if !trace::ENABLED && self.settings.hook.is_none() {
            return;
        }
        let event = DecisionEvent {
            outcome,
            rule,
            latency,
            method: request.method(),
            presented,
            extensions: request.extensions(),
            principal: principal.map(|principal| &**principal as &(dyn Any + Send + Sync)),
        };
        if trace::ENABLED {
            event.log();
        }
        if let Some(hook) = &self.settings.hook {
            hook(&event);
        }
    }

    /// Makes the request what the inner service may see.
    #[inline]
    pub(crate) fn admit<B>(
        &self,
        request: &mut Request<B>,
        authenticated: Option<Authenticated<V::Principal>>,
    ) {
        let settings = &self.settings;
        match authenticated {
            Some(authenticated) => {
                if settings.remove_credential {
                    settings.sources.redact_all(request, true);
                } else {
                    let source = authenticated.presented().source;
                    settings.sources.hide(request, source, false);
                }
                principal::grant(request, authenticated);
            }
            None => settings
                .sources
                .redact_all(request, settings.remove_credential),
        }
    }
}

/// Fetch, CORS-preflight request: these three together, and nothing less.
fn is_preflight(request: &RequestView<'_>) -> bool {
    *request.method() == Method::OPTIONS
        && request.headers().contains_key(ORIGIN)
        && request
            .headers()
            .contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}
