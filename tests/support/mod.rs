//! Helpers of several tests: a principal, inner services, and a check of every challenge.
#![allow(dead_code, reason = "each test uses its own part")]

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Full};
use tower::{Service, ServiceExt as _};
use tower_bearer::Authenticated;
use tower_bearer::policy::{Claims, scope_list_contains};

pub(crate) type Body = Full<Bytes>;

/// A point in time for clocks that are moved by hand.
pub(crate) fn start() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

#[derive(Clone, Default)]
pub(crate) struct User {
    pub(crate) subject: &'static str,
    pub(crate) scope: &'static str,
    pub(crate) roles: &'static [&'static str],
    pub(crate) tenant: &'static str,
    pub(crate) acr: Option<&'static str>,
    pub(crate) auth_time: Option<SystemTime>,
}

impl Claims for User {
    fn subject(&self) -> Option<&str> {
        Some(self.subject)
    }

    fn has_scope(&self, scope: &str) -> bool {
        scope_list_contains(self.scope, scope)
    }

    fn has_role(&self, role: &str) -> bool {
        self.roles.contains(&role)
    }

    fn has_tenant(&self, tenant: &str) -> bool {
        self.tenant == tenant
    }

    fn acr(&self) -> Option<&str> {
        self.acr
    }

    fn auth_time(&self) -> Option<SystemTime> {
        self.auth_time
    }
}

/// Answers with the subject of the principal, or `nobody`.
#[derive(Clone, Debug)]
pub(crate) struct Greet;

impl Service<Request<Body>> for Greet {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let user = request.extensions().get::<Authenticated<User>>();
        let subject = user.map_or("nobody", |user| user.subject);
        ready(Ok(Response::new(Body::from(subject))))
    }
}

/// A service that must not be reached.
#[derive(Clone, Debug)]
pub(crate) struct Unreachable;

impl Service<Request<Body>> for Unreachable {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        panic!("the request should have been refused")
    }
}

/// A response with its complete body.
pub(crate) struct Answer {
    pub(crate) response: Response<()>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.response
            .headers()
            .get(name)
            .map(|value| value.to_str().unwrap())
    }

    pub(crate) fn challenges(&self) -> Vec<&str> {
        self.response
            .headers()
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .map(|value| value.to_str().unwrap())
            .collect()
    }
}

pub(crate) async fn send<S, B>(service: S, request: Request<Body>) -> Answer
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Error: std::fmt::Debug,
    B: http_body::Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    let response = service.oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let answer = Answer {
        response: Response::from_parts(parts, ()),
        body: String::from_utf8(body.to_vec()).unwrap(),
    };
    check_challenges(answer.response.headers());
    answer
}

/// Asserts that an independent parser reads each challenge line as one challenge with a realm
/// (I01: grammatical headers).
pub(crate) fn check_challenges(headers: &HeaderMap) {
    for value in headers.get_all(WWW_AUTHENTICATE) {
        let challenge = value.to_str().unwrap();
        let parsed = http_auth::parser::ChallengeParser::new(challenge)
            .collect::<Result<Vec<_>, _>>()
            .unwrap_or_else(|error| panic!("{challenge}: {error}"));
        assert_eq!(parsed.len(), 1, "one challenge a line: {challenge}");
        let has_realm = parsed[0].params.iter().any(|(name, _)| *name == "realm");
        assert!(has_realm, "{challenge}");
    }
}
