//! The layer in a stack: the contract of `Service`, stepped by hand, and the company of the layers,
//! routers and bodies that people put around it.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io;
use std::mem::size_of;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use futures_util::stream;
use http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, ORIGIN,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt as _, Full, StreamBody};
use tokio::sync::Notify;
use tower::limit::ConcurrencyLimit;
use tower::load_shed::LoadShed;
use tower::load_shed::error::Overloaded;
use tower::util::option_layer;
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt as _, service_fn};
use tower_bearer::policy::{
    Policies, Policy, PolicyContext, authenticated, guard, policy_fn, public,
};
use tower_bearer::{
    Authenticated, BearerAuth, BearerAuthLayer, Credential, Failure, InvalidReason, ResponseBody,
    ResponseFuture, Validator, validator_fn,
};
use tower_http::cors::CorsLayer;
use tower_http::normalize_path::NormalizePathLayer;
use tower_http::trace::{DefaultMakeSpan, TraceLayer};
use tower_test::mock;

// ===== Who asks =====

#[derive(Debug, PartialEq)]
struct User;

const TOKEN: &str = "a-token-that-nobody-may-see";

fn check(credential: &Credential<'_>) -> Result<User, Failure> {
    match credential.token() {
        TOKEN => Ok(User),
        _ => Err(Failure::invalid(InvalidReason::Unknown)),
    }
}

fn at_once() -> impl Validator<Principal = User> + Clone {
    validator_fn(|credential: Credential<'_>| check(&credential))
}

/// A validator that waits until the gate is opened, once for every request.
fn after(gate: &Arc<Notify>) -> impl Validator<Principal = User> + Clone + use<> {
    let gate = Arc::clone(gate);
    validator_fn(move |credential: Credential<'static>| {
        let gate = Arc::clone(&gate);
        async move {
            gate.notified().await;
            check(&credential)
        }
    })
}

/// A policy that waits until the gate is opened, and then gives this answer.
fn decided_after(gate: &Arc<Notify>, answer: bool) -> impl Policy<User> + use<> {
    let gate = Arc::clone(gate);
    policy_fn(move |_: &PolicyContext<'_, User>| {
        let gate = Arc::clone(&gate);
        async move {
            gate.notified().await;
            answer
        }
    })
}

fn layer() -> BearerAuthLayer<impl Validator<Principal = User> + Clone> {
    BearerAuthLayer::new(at_once())
}

fn request<B: Default>(path: &str, token: Option<&str>) -> Request<B> {
    let mut request = Request::new(B::default());
    *request.uri_mut() = path.parse().unwrap();
    if let Some(token) = token {
        let value = HeaderValue::try_from(format!("Bearer {token}")).unwrap();
        request.headers_mut().insert(AUTHORIZATION, value);
    }
    request
}

fn preflight<B: Default>(path: &str) -> Request<B> {
    let mut request = request(path, None);
    *request.method_mut() = Method::OPTIONS;
    let headers = request.headers_mut();
    headers.insert(ORIGIN, HeaderValue::from_static("https://app.example.com"));
    let method = HeaderValue::from_static("GET");
    headers.insert(ACCESS_CONTROL_REQUEST_METHOD, method);
    request
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn is_ready<S: Service<R>, R>(service: &mut S) -> bool {
    let ready = service.poll_ready(&mut Context::from_waker(Waker::noop()));
    matches!(ready, Poll::Ready(Ok(())))
}

fn is_authenticated<B>(request: &Request<B>) -> bool {
    request.extensions().get::<Authenticated<User>>().is_some()
}

/// An inner service that says 200 to whom was let through with a principal, 204 to others.
async fn serve<B>(request: Request<B>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::default());
    if !is_authenticated(&request) {
        *response.status_mut() = StatusCode::NO_CONTENT;
    }
    Ok(response)
}

// ===== The contract =====

/// Bodies without any trait: the layer asks nothing of them.
type Answer = Response<&'static str>;
type Steps = mock::Handle<Request<()>, Answer>;

fn steps<L: Layer<mock::Mock<Request<()>, Answer>>>(layer: L) -> (mock::Spawn<L::Service>, Steps) {
    mock::spawn_layer(layer)
}

#[test]
fn layer_is_ready_when_inner_service_is_ready() {
    let (mut service, mut inner) = steps(layer());
    inner.allow(0);
    assert!(service.poll_ready::<Request<()>>().is_pending());
    assert!(!service.is_woken());
    inner.allow(1);
    assert!(service.is_woken());
    assert!(matches!(
        service.poll_ready::<Request<()>>(),
        Poll::Ready(Ok(()))
    ));
}

#[test]
fn readiness_error_of_inner_service_is_returned() {
    let (mut service, mut inner) = steps(layer());
    inner.send_error("the pool is gone");
    let Poll::Ready(Err(error)) = service.poll_ready::<Request<()>>() else {
        panic!("no error");
    };
    assert_eq!(error.to_string(), "the pool is gone");
}

/// The mock panics if it is called without having been ready, as a clone is.
fn step_through<V, P>(name: &str, layer: BearerAuthLayer<V, P>, gate: &Notify, waits: u32)
where
    V: Validator<Principal = User>,
    P: Policy<User>,
{
    let (mut service, mut inner) = steps(layer);
    for round in 0..2 {
        inner.allow(1);
        assert!(service.poll_ready::<Request<()>>().is_ready(), "{name}");
        let mut response = pin!(service.call(request("/", Some(TOKEN))));
        for _ in 0..waits {
            assert!(poll(response.as_mut()).is_pending(), "{name}");
            assert!(
                inner.poll_request().is_pending(),
                "{name}: called too early"
            );
            gate.notify_one();
        }
        assert!(poll(response.as_mut()).is_pending(), "{name}");
        let Poll::Ready(Some((received, answer))) = inner.poll_request() else {
            panic!("{name}: not called in round {round}");
        };
        assert!(is_authenticated(&received), "{name}");
        answer.send_response(Response::new("hello"));
        let Poll::Ready(Ok(response)) = poll(response.as_mut()) else {
            panic!("{name}: no response in round {round}");
        };
        assert_eq!(response.status(), StatusCode::OK, "{name}");
    }
}

#[test]
fn ready_instance_is_called_in_sync_and_async_paths() {
    // (G08: readiness)
    let gate = Arc::new(Notify::new());
    let policy = || decided_after(&gate, true);
    step_through("at once", layer(), &gate, 0);
    step_through("validator", BearerAuthLayer::new(after(&gate)), &gate, 1);
    step_through("policy", layer().with_policy(policy()), &gate, 1);
    let both = BearerAuthLayer::new(after(&gate)).with_policy(policy());
    step_through("both", both, &gate, 2);
}

#[test]
fn rejected_request_does_not_reach_inner_service() {
    fn refuse<V, P>(name: &str, layer: BearerAuthLayer<V, P>, gate: &Notify, token: Option<&str>)
    where
        V: Validator<Principal = User>,
        P: Policy<User>,
    {
        let (mut service, mut inner) = steps(layer);
        inner.allow(1);
        assert!(service.poll_ready::<Request<()>>().is_ready(), "{name}");
        let mut response = pin!(service.call(request("/", token)));
        let mut polled = poll(response.as_mut());
        if polled.is_pending() {
            gate.notify_one();
            polled = poll(response.as_mut());
        }
        let Poll::Ready(Ok(response)) = polled else {
            panic!("{name}: no response");
        };
        assert!(response.status().is_client_error(), "{name}");
        assert!(inner.poll_request().is_pending(), "{name}: called");
    }
    let gate = Arc::new(Notify::new());
    let waiting = || BearerAuthLayer::new(after(&gate));
    refuse("no credential", layer(), &gate, None);
    refuse("a bad one", layer(), &gate, Some("other"));
    refuse("no credential, nothing to wait for", waiting(), &gate, None);
    refuse("a bad one, later", waiting(), &gate, Some("other"));
    let denied = decided_after(&gate, false);
    refuse(
        "denied later",
        layer().with_policy(denied),
        &gate,
        Some(TOKEN),
    );
}

#[test]
fn dropped_response_future_releases_everything() {
    let gate = Arc::new(Notify::new());
    let (mut service, mut inner) = steps(BearerAuthLayer::new(after(&gate)));
    let idle = Arc::strong_count(&gate);
    // Never polled, polled once, and dropped when the inner service had been called.
    for polls in 0..3 {
        assert!(service.poll_ready::<Request<()>>().is_ready());
        let mut response = Box::pin(service.call(request("/", Some(TOKEN))));
        assert!(Arc::strong_count(&gate) > idle, "the validator is at work");
        for _ in 0..polls {
            assert!(poll(response.as_mut()).is_pending());
            gate.notify_one();
        }
        drop(response);
        assert_eq!(Arc::strong_count(&gate), idle, "after {polls} polls");
        let called = matches!(inner.poll_request(), Poll::Ready(Some(_)));
        assert_eq!(called, polls == 2);
    }
}

/// No `Error`, no `Display`, nothing that could be converted.
#[derive(Debug, PartialEq)]
struct Broken(u32);

#[tokio::test]
async fn error_of_inner_service_is_returned_unchanged() {
    let broken = service_fn(|_: Request<()>| ready(Err::<Answer, _>(Broken(7))));
    let gate = Arc::new(Notify::new());
    gate.notify_one();
    let at_once = layer().layer(broken);
    let later = BearerAuthLayer::new(after(&gate)).layer(broken);
    let error: Broken = at_once
        .clone()
        .oneshot(request("/", Some(TOKEN)))
        .await
        .unwrap_err();
    assert_eq!(error, Broken(7));
    assert_eq!(
        later.oneshot(request("/", Some(TOKEN))).await.unwrap_err(),
        Broken(7)
    );
    // A refusal is a response and never an error.
    let refused = at_once.oneshot(request("/", None)).await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
}

// ===== Layers of tower =====

#[test]
fn waiting_request_holds_and_releases_concurrency_permit() {
    let gate = Arc::new(Notify::new());
    let inner = ConcurrencyLimit::new(service_fn(serve::<()>), 1);
    let mut service = BearerAuthLayer::new(after(&gate)).layer(inner);
    let mut other = service.clone();
    assert!(is_ready(&mut service));
    let mut response = Box::pin(service.call(request("/", Some(TOKEN))));
    assert!(poll(response.as_mut()).is_pending());
    assert!(!is_ready(&mut other), "the one permit is taken");
    assert!(!is_ready(&mut service), "what is left behind has none");
    drop(response);
    assert!(is_ready(&mut other), "the permit is free again");
}

#[tokio::test]
async fn rejected_request_releases_concurrency_permit() {
    let inner = ConcurrencyLimit::new(service_fn(serve::<()>), 1);
    let service = layer().layer(inner);
    for _ in 0..3 {
        let refused = service.clone().oneshot(request("/", None)).await.unwrap();
        assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    }
    let passed = service.oneshot(request("/", Some(TOKEN))).await.unwrap();
    assert_eq!(passed.status(), StatusCode::OK);
}

#[tokio::test]
async fn load_shed_works_outside_and_inside() {
    // Outside, it sees that the inner service is not ready; inside, refusals cost no capacity.
    let (mock, mut inner) = mock::pair::<Request<()>, Answer>();
    inner.allow(0);
    let outside = LoadShed::new(layer().layer(mock.clone()));
    let error = outside
        .oneshot(request("/", Some(TOKEN)))
        .await
        .unwrap_err();
    assert!(error.is::<Overloaded>());
    let inside = layer().layer(LoadShed::new(mock));
    let refused = inside.clone().oneshot(request("/", None)).await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    let error = inside.oneshot(request("/", Some(TOKEN))).await.unwrap_err();
    assert!(error.is::<Overloaded>());
}

/// Asks with the token and without it.
async fn statuses<S, ResBody>(service: S) -> [u16; 2]
where
    S: Service<Request<axum::body::Body>, Response = Response<ResBody>> + Clone,
    S::Error: std::fmt::Debug,
{
    let passed = service.clone().oneshot(request("/", Some(TOKEN))).await;
    let refused = service.oneshot(request("/", None)).await;
    let (passed, refused) = (passed.unwrap(), refused.unwrap());
    crate::support::check_challenges(refused.headers());
    [passed.status().as_u16(), refused.status().as_u16()]
}

#[tokio::test]
async fn layer_works_at_any_position_in_tower_stack() {
    let inner = || service_fn(serve::<axum::body::Body>);
    let gate = Arc::new(Notify::new());
    let later = BearerAuthLayer::new(after(&gate));

    let buffered = ServiceBuilder::new()
        .buffer(4)
        .layer(layer())
        .service(inner());
    assert_eq!(statuses(buffered).await, [200, 401], "behind a buffer");
    let buffered = ServiceBuilder::new()
        .layer(layer())
        .buffer(4)
        .service(inner());
    assert_eq!(statuses(buffered).await, [200, 401], "in front of a buffer");
    gate.notify_one();
    let buffered = ServiceBuilder::new()
        .layer(later)
        .buffer(1)
        .service(inner());
    assert_eq!(
        statuses(buffered).await,
        [200, 401],
        "in front of a buffer, waiting"
    );

    let limited = ServiceBuilder::new().concurrency_limit(1).layer(layer());
    assert_eq!(
        statuses(limited.service(inner())).await,
        [200, 401],
        "behind a limit"
    );

    let stack = ServiceBuilder::new()
        .load_shed()
        .layer(layer())
        .concurrency_limit(1);
    let boxed = stack.service(inner()).boxed_clone();
    assert_eq!(statuses(boxed).await, [200, 401], "boxed");
    let boxed = layer().layer(inner().boxed_clone());
    assert_eq!(statuses(boxed).await, [200, 401], "in front of a box");

    let twice = ServiceBuilder::new().layer(layer()).layer(layer());
    assert_eq!(statuses(twice.service(inner())).await, [200, 401], "twice");
}

// `Either` wants one type of response, so the body of the layer's is boxed where the layer may be
// missing.
#[tokio::test]
async fn layer_works_inside_option_layer() {
    let boxing = || {
        let boxing = |response: Response<ResponseBody<_>>| response.map(axum::body::Body::new);
        ServiceBuilder::new().map_response(boxing).layer(layer())
    };
    let router = || Router::new().route("/", get(|| async { "hello" }));
    let on = ServiceBuilder::new().layer(option_layer(Some(boxing())));
    assert_eq!(
        statuses(on.service(router())).await,
        [200, 401],
        "a service, with it"
    );
    let off = ServiceBuilder::new().layer(option_layer(Some(boxing()).filter(|_| false)));
    assert_eq!(
        statuses(off.service(router())).await,
        [200, 200],
        "a service, without it"
    );
    let on = router().layer(option_layer(Some(boxing())));
    assert_eq!(statuses(on).await, [200, 401], "a router, with it");
}

// ===== axum and tower-http =====

#[tokio::test]
async fn router_hides_routes_with_layer_and_reveals_them_with_route_layer() {
    let handler = || get(|| async { "hello" });
    let router = || Router::new().route("/known", handler());
    let layered = router().layer(layer());
    let route_layered = router().route_layer(layer());
    let method_layered = Router::new().route("/known", handler().route_layer(layer()));
    for (method, path, token, expected) in [
        ("GET", "/known", Some(TOKEN), [200, 200, 200]),
        ("GET", "/known", None, [401, 401, 401]),
        ("HEAD", "/known", None, [401, 401, 401]),
        // Here they differ: a stranger who is answered 404 or 405 learns what there is.
        ("GET", "/unknown", None, [401, 404, 404]),
        ("POST", "/known", None, [401, 401, 405]),
        ("GET", "/unknown", Some(TOKEN), [404, 404, 404]),
        ("POST", "/known", Some(TOKEN), [405, 405, 405]),
    ] {
        let mut found = Vec::new();
        for router in [&layered, &route_layered, &method_layered] {
            let mut request = request::<axum::body::Body>(path, token);
            *request.method_mut() = method.parse().unwrap();
            let response = router.clone().oneshot(request).await.unwrap();
            found.push(response.status().as_u16());
        }
        assert_eq!(found, expected, "{method} {path} {token:?}");
    }
}

#[tokio::test]
async fn outer_cors_layer_answers_preflight_and_exposes_rejection() {
    // (I08: CORS)
    let unreachable = service_fn(|_: Request<Full<Bytes>>| async {
        panic!("a preflight is answered by the CORS layer, and the rest is refused");
        #[expect(unreachable_code, reason = "the type of the response")]
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let service = CorsLayer::permissive().layer(layer().layer(unreachable));
    let answered = service.clone().oneshot(preflight("/")).await.unwrap();
    assert_eq!(answered.status(), StatusCode::OK);
    let mut refused = request("/", None);
    let origin = HeaderValue::from_static("https://app.example.com");
    refused.headers_mut().insert(ORIGIN, origin);
    let refused = service.oneshot(refused).await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert!(refused.headers().contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));
}

#[tokio::test]
async fn inner_cors_layer_receives_preflight_only_with_opt_in() {
    let cors = CorsLayer::permissive().layer(service_fn(serve::<Full<Bytes>>));
    let open = layer().allow_cors_preflight().layer(cors.clone());
    let closed = layer().layer(cors);
    let answered = open.clone().oneshot(preflight("/")).await.unwrap();
    assert_eq!(answered.status(), StatusCode::OK);
    assert!(answered.headers().contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));
    let refused = closed.oneshot(preflight("/")).await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    // Nothing else gets through with it.
    let refused = open.oneshot(request("/", None)).await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
}

/// What a `TraceLayer` writes that was told to write all headers.
async fn traced<L>(outer: L) -> String
where
    L: Layer<tower::util::BoxCloneService<Request<Full<Bytes>>, Response<Full<Bytes>>, BoxError>>,
    L::Service: Service<Request<Full<Bytes>>, Error: std::fmt::Debug>,
{
    use tracing_subscriber::filter::LevelFilter;
    use tracing_subscriber::util::SubscriberInitExt as _;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[cfg(feature = "tracing")]
    crate::dispatcher::register_second();
    let written = Written::default();
    let writer = written.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone());
    let _guard = subscriber.set_default();
    let traced = ServiceBuilder::new()
        .map_response(|response: Response<_>| response.map(|_| Full::default()))
        .layer(
            TraceLayer::new_for_http().make_span_with(DefaultMakeSpan::new().include_headers(true)),
        )
        .map_err(BoxError::from)
        .service(service_fn(serve::<Full<Bytes>>))
        .boxed_clone();
    let service = outer.layer(traced);
    service
        .oneshot(request("/", Some(TOKEN)))
        .await
        .map(drop)
        .unwrap();
    let bytes = written.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn inner_trace_layer_does_not_log_token() {
    // Without our layer it would, so the test is not blind.
    let exposed = traced(tower::layer::util::Identity::new()).await;
    assert!(exposed.contains(TOKEN), "{exposed}");
    let hidden = traced(layer()).await;
    assert!(!hidden.contains(TOKEN), "{hidden}");
    assert!(hidden.contains(r#""authorization": Sensitive"#), "{hidden}");
    let removed = traced(layer().remove_credential()).await;
    assert!(removed.contains("headers={}"), "{removed}");
    // On a public path, where nobody looks at it, too.
    let everything = Policies::builder().under("/", public()).build().unwrap();
    let open = traced(layer().with_policy(everything)).await;
    assert!(!open.contains(TOKEN), "{open}");
}

#[tokio::test]
async fn outer_normalize_path_layer_applies_before_rules() {
    let policies = Policies::builder()
        .at("/health", public())
        .under("/admin", authenticated())
        .build()
        .unwrap();
    let inner = layer().with_policy(policies).layer(service_fn(serve::<()>));
    let normalized = NormalizePathLayer::trim_trailing_slash().layer(inner.clone());
    for (path, by_itself, behind) in [
        ("/admin/", 401, 401),
        ("//admin", 400, 401),
        ("/health", 204, 204),
        ("/health/", 401, 204),
        ("//health", 400, 204),
        ("/health/../admin/", 400, 400),
    ] {
        let alone = inner.clone().oneshot(request(path, None)).await.unwrap();
        assert_eq!(alone.status(), by_itself, "{path}");
        let response = normalized
            .clone()
            .oneshot(request(path, None))
            .await
            .unwrap();
        assert_eq!(response.status(), behind, "{path} behind `NormalizePath`");
    }
}

// ===== Bodies =====

fn trailers() -> HeaderMap {
    HeaderMap::from_iter([("x-checksum".parse().unwrap(), HeaderValue::from_static("7"))])
}

/// A body of several frames and trailers.
fn streamed() -> impl Body<Data = Bytes, Error = io::Error> + Send + 'static {
    let frames =
        ["first", "second", "third"].map(|text| Frame::data(Bytes::from_static(text.as_bytes())));
    let frames = frames.into_iter().chain([Frame::trailers(trailers())]);
    StreamBody::new(stream::iter(frames.map(Ok::<_, io::Error>)))
}

/// The frames one by one, not joined.
async fn frames<B: Body<Data = Bytes, Error: std::fmt::Debug>>(body: B) -> Vec<String> {
    let mut body = pin!(body);
    let mut seen = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.unwrap().into_data();
        seen.push(match frame {
            Ok(data) => String::from_utf8(data.to_vec()).unwrap(),
            Err(frame) => format!("{:?}", frame.into_trailers().unwrap()),
        });
    }
    seen
}

#[tokio::test]
async fn body_frames_and_trailers_pass_unchanged() {
    let gate = Arc::new(Notify::new());
    gate.notify_one();
    let expected = ["first", "second", "third", &format!("{:?}", trailers())];
    let echo = service_fn(|request: Request<_>| {
        ready(Ok::<_, Infallible>(Response::new(request.into_body())))
    });
    let with_body = || {
        let (parts, ()) = request::<()>("/", Some(TOKEN)).into_parts();
        Request::from_parts(parts, streamed())
    };
    let at_once = layer().layer(echo).oneshot(with_body()).await.unwrap();
    assert_eq!(frames(at_once.into_body()).await, expected);
    let later = BearerAuthLayer::new(after(&gate)).layer(echo);
    let later = later.oneshot(with_body()).await.unwrap();
    assert_eq!(frames(later.into_body()).await, expected);
}

#[tokio::test]
async fn end_of_stream_and_size_hint_of_body_are_forwarded() {
    let hello = service_fn(|_: Request<()>| {
        ready(Ok::<_, Infallible>(Response::new(Full::new(
            Bytes::from_static(b"hello"),
        ))))
    });
    let service = layer().layer(hello);
    let mut body = service
        .clone()
        .oneshot(request("/", Some(TOKEN)))
        .await
        .unwrap()
        .into_body();
    assert_eq!(body.size_hint().exact(), Some(5));
    assert!(!body.is_end_stream());
    body.frame().await.unwrap().unwrap();
    assert!(body.is_end_stream());
    let refusal = service
        .oneshot(request("/", None))
        .await
        .unwrap()
        .into_body();
    let length = refusal.size_hint().exact();
    let bytes = refusal.collect().await.unwrap().to_bytes();
    assert_eq!(length, Some(bytes.len() as u64));
}

/// A body that has no `Default` and no `From`, of data that is no `Bytes`.
struct Odd(Option<Data>);

#[derive(Debug)]
struct Data(Bytes);

impl From<Bytes> for Data {
    fn from(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

impl bytes::Buf for Data {
    fn remaining(&self) -> usize {
        self.0.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.0.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.0.advance(count);
    }
}

impl Body for Odd {
    type Data = Data;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Data>, Broken>>> {
        Poll::Ready(self.0.take().map(|data| Ok(Frame::data(data))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// Sends a body through and gets it back, or a refusal that is no part of it.
async fn round_trip<B>(name: &str, body: impl Fn() -> B)
where
    B: Body<Data: From<Bytes>, Error: std::fmt::Debug>,
{
    let echo = service_fn(|request: Request<B>| {
        ready(Ok::<_, Infallible>(Response::new(request.into_body())))
    });
    for (token, status) in [(Some(TOKEN), 200), (None, 401)] {
        let (parts, ()) = request::<()>("/", token).into_parts();
        let sent = Request::from_parts(parts, body());
        let response = layer().layer(echo).oneshot(sent).await.unwrap();
        assert_eq!(response.status(), status, "{name}");
        let received = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(received == "hello", token.is_some(), "{name}: {received:?}");
    }
}

#[tokio::test]
async fn layer_accepts_any_body_type() {
    round_trip("Full", || Full::new(Bytes::from_static(b"hello"))).await;
    round_trip("axum", || axum::body::Body::from("hello")).await;
    round_trip("tonic", || tonic::body::Body::new(Full::from("hello"))).await;
    round_trip("boxed", || Full::new(Bytes::from_static(b"hello")).boxed()).await;
    round_trip("odd", || Odd(Some(Data(Bytes::from_static(b"hello"))))).await;
}

#[tokio::test]
async fn hyper_body_passes_through_server() {
    use hyper_util::rt::TokioIo;
    use hyper_util::service::TowerToHyperService;

    let (client, server) = tokio::io::duplex(4_096);
    // Hyper's `Incoming` both ways: it can be made by nobody but hyper.
    let echo = |request: Request<hyper::body::Incoming>| async {
        Ok::<_, Infallible>(Response::new(request.into_body()))
    };
    let service = TowerToHyperService::new(layer().layer(service_fn(echo)));
    let connection = hyper::server::conn::http1::Builder::new();
    tokio::spawn(connection.serve_connection(TokioIo::new(server), service));
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(client));
    let (mut client, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    for (token, status) in [(Some(TOKEN), 200), (None, 401), (Some(TOKEN), 200)] {
        let (parts, ()) = request::<()>("/", token).into_parts();
        let sent = Request::from_parts(parts, Full::new(Bytes::from_static(b"hello")));
        client.ready().await.unwrap();
        let response = client.send_request(sent).await.unwrap();
        assert_eq!(response.status(), status);
        let received = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(received == "hello", token.is_some());
    }
}

// ===== Types =====

#[tokio::test]
async fn boxed_validator_and_policy_work() {
    let validator: Arc<dyn Validator<Principal = User>> = Arc::new(at_once());
    let shared: Arc<dyn Policy<User>> = Arc::new(authenticated());
    let owned: Box<dyn Policy<User>> = Box::new(authenticated());
    let inner = || service_fn(serve::<axum::body::Body>);
    let layer = BearerAuthLayer::new(validator);
    assert_eq!(statuses(layer.clone().layer(inner())).await, [200, 401]);
    let layers = (
        layer.clone().with_policy(Arc::clone(&shared)),
        layer.clone().with_policy(owned),
        layer.with_policy(guard(shared).and(authenticated())),
    );
    assert_eq!(statuses(layers.0.layer(inner())).await, [200, 401]);
    assert_eq!(statuses(layers.1.layer(inner())).await, [200, 401]);
    assert_eq!(statuses(layers.2.layer(inner())).await, [200, 401]);
}

type Erased = Arc<dyn Validator<Principal = User>>;
type Function = tower::util::ServiceFn<fn(Request<()>) -> Ready<Result<Answer, Infallible>>>;

/// No `Clone`, which a validator need not be.
struct Once;

impl Validator for Once {
    type Principal = User;

    fn validate(
        &self,
        _: &Credential<'_>,
        _: &tower_bearer::RequestView<'_>,
    ) -> tower_bearer::Verdict<User> {
        Err(Failure::unrecognized()).into()
    }
}

#[test]
fn layer_types_are_send_and_sync_if_parts_are() {
    fn shared<T: Send + Sync + 'static>() {}
    fn cloned<T: Clone>() {}

    shared::<BearerAuthLayer<Erased>>();
    shared::<BearerAuthLayer<Erased, Policies<User>>>();
    shared::<BearerAuthLayer<Erased, Box<dyn Policy<User>>>>();
    shared::<BearerAuth<Router, Erased, Policies<User>>>();
    shared::<ResponseFuture<Function, Erased, Policies<User>, ()>>();
    shared::<ResponseBody<Full<Bytes>>>();
    cloned::<BearerAuthLayer<Once, Box<dyn Policy<User>>>>();
    cloned::<BearerAuth<Function, Once, Box<dyn Policy<User>>>>();
}

#[test]
fn service_adds_one_pointer_and_future_adds_two() {
    fn check<S, B>(name: &str)
    where
        S: Service<Request<B>>,
    {
        let added = size_of::<BearerAuth<S, Erased, Policies<User>>>() - size_of::<S>();
        assert_eq!(added, size_of::<usize>(), "the service in front of {name}");
        let future = size_of::<ResponseFuture<S, Erased, Policies<User>, B>>();
        let added = future.saturating_sub(size_of::<S::Future>());
        assert!(added <= 16, "the future in front of {name}: {added} bytes");
    }
    check::<Router, axum::body::Body>("a router");
    check::<Function, ()>("a function");
    check::<mock::Mock<Request<()>, Answer>, ()>("a mock");
    check::<tonic::service::Routes, tonic::body::Body>("gRPC routes");
    type Boxed = tower::util::BoxCloneService<Request<()>, Answer, Infallible>;
    check::<Boxed, ()>("a box");
}
