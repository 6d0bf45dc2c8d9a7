//! The service that the tokens are for.

use std::convert::Infallible;
use std::error::Error as _;

use http::{Request, Response};
use http_body_util::BodyExt as _;
use tower::util::BoxCloneSyncService;
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_bearer::clock::Clock;
use tower_bearer::jwt::AccessToken;
use tower_bearer::{
    Authenticated, BearerAuthLayer, Rejection, RejectionKind, ResponseBody, Validator,
};

/// Answers with the subject, or else the client, and the scopes.
#[derive(Clone)]
pub(crate) struct Api {
    service: BoxCloneSyncService<Request<()>, Response<ResponseBody<String>>, Infallible>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) rejection: Option<Rejection>,
    pub(crate) retry_after: Option<u64>,
}

impl Api {
    pub(crate) fn new<V, C>(validator: V, clock: C) -> Self
    where
        V: Validator<Principal = AccessToken> + 'static,
        C: Clock + 'static,
    {
        let handler = service_fn(|request: Request<()>| async move {
            let token = request
                .extensions()
                .get::<Authenticated<AccessToken>>()
                .unwrap();
            let name = token.subject().or(token.client_id()).unwrap_or("nobody");
            let scopes: Vec<_> = token.scopes().collect();
            Ok(Response::new(format!("{name}: {}", scopes.join(" "))))
        });
        let service = BearerAuthLayer::new(validator)
            .with_clock(clock)
            .layer(handler);
        Self {
            service: BoxCloneSyncService::new(service),
        }
    }

    pub(crate) async fn get(&self, token: &str) -> Answer {
        let request = Request::get("/").header("authorization", format!("Bearer {token}"));
        let request = request.body(()).unwrap();
        let response = self.service.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let retry_after = parts.headers.get("retry-after");
        Answer {
            status: parts.status.as_u16(),
            body: String::from_utf8(body.to_vec()).unwrap(),
            rejection: parts.extensions.get::<Rejection>().cloned(),
            retry_after: retry_after.map(|value| value.to_str().unwrap().parse().unwrap()),
        }
    }
}

impl Answer {
    #[track_caller]
    pub(crate) fn is_from(&self, greeting: &str) {
        assert_eq!(
            (self.status, &*self.body),
            (200, greeting),
            "{self:?} {}",
            self.cause()
        );
    }

    #[track_caller]
    pub(crate) fn is_refused(&self, cause: &str) {
        assert_eq!(self.status, 401, "{self:?}");
        assert!(self.cause().contains(cause), "{self:?}: {}", self.cause());
    }

    #[track_caller]
    pub(crate) fn is_unavailable(&self) {
        assert_eq!(self.status, 503, "{self:?} {}", self.cause());
        assert!(
            self.retry_after.is_some_and(|seconds| seconds > 0),
            "{self:?}"
        );
        assert_eq!(
            self.rejection.as_ref().unwrap().kind(),
            RejectionKind::Unavailable
        );
    }

    /// What the operator is told.
    pub(crate) fn cause(&self) -> String {
        let source = self
            .rejection
            .as_ref()
            .and_then(|rejection| rejection.source());
        source.map(ToString::to_string).unwrap_or_default()
    }
}
