//! Tokens that the authorization server is asked about, from the HTTP call to the answer of the layer.

mod caching;
mod configuration;
mod discovery;
mod request;
mod response;
mod secrets;
mod single_flight;

use std::convert::Infallible;
use std::error::Error as _;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{Request, Response};
use serde_json::{Value, json};
use tower::util::BoxCloneSyncService;
use tower::{Layer as _, service_fn};
use tower_bearer::clock::ManualClock;
use tower_bearer::jwt::AccessToken;
use tower_bearer::policy::{Policies, scope};
use tower_bearer::provider::{
    ClientAuthentication, Fetch, FetchError, Introspection, IntrospectionBuilder, ProviderError,
};
use tower_bearer::{Authenticated, BearerAuthLayer, BoxFuture, Rejection, Validator};

use crate::http_server::{HttpServer, Reply};
use crate::support::{Answer, Body, send, start};

/// Where the server of the tests answers.
const ENDPOINT: &str = "/introspect";
const AUDIENCE: &str = "https://api.example";
const TOKEN: &str = "2YotnFZFEjr1zCsicMWpAA";
const SECOND: Duration = Duration::from_secs(1);
/// What the clocks of the tests show at first.
const NOW: u64 = 1_800_000_000;

type Service = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

fn client() -> ClientAuthentication {
    ClientAuthentication::basic("orders-api", "the-client-secret")
}

/// A good answer, with these members besides.
fn active(members: &Value) -> Reply {
    let mut answer = json!({"active": true, "aud": AUDIENCE, "sub": "alice", "scope": "read"});
    let answer_members = answer.as_object_mut().unwrap();
    answer_members.extend(members.as_object().unwrap().clone());
    Reply::json(answer)
}

fn good() -> Reply {
    active(&json!({}))
}

fn inactive() -> Reply {
    Reply::json(json!({"active": false}))
}

fn builder(server: &HttpServer) -> IntrospectionBuilder {
    Introspection::builder(server.url(ENDPOINT))
        .client(client())
        .audience(AUDIENCE)
}

fn validator(server: &HttpServer) -> Introspection {
    builder(server).build().unwrap()
}

/// With a rule for each of two scopes, and a service that says who is calling.
fn service_with_clock<V>(validator: V, clock: &ManualClock) -> Service
where
    V: Validator<Principal = AccessToken> + 'static,
{
    let policies = Policies::builder()
        .under("/read", scope("read"))
        .under("/write", scope("write"))
        .build()
        .unwrap();
    let layer = BearerAuthLayer::new(validator)
        .with_policy(policies)
        .with_clock(clock.clone())
        .with_max_credential_length(32 * 1024);
    let greet = service_fn(|request: Request<Body>| async move {
        let token = request.extensions().get::<Authenticated<AccessToken>>();
        let subject = token.and_then(|token| token.subject()).unwrap_or("nobody");
        Ok::<_, Infallible>(Response::new(Body::from(subject.to_owned())))
    });
    let service = layer.layer(greet);
    let service = tower::ServiceBuilder::new()
        .map_response(|response: Response<_>| response.map(read_at_once))
        .service(service);
    BoxCloneSyncService::new(service)
}

/// The bodies of the tests are there at once.
fn read_at_once<B>(body: B) -> Body
where
    B: http_body::Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    use futures_util::FutureExt as _;
    use http_body_util::BodyExt as _;

    let whole = body.collect().now_or_never().expect("a body in memory");
    Body::from(whole.unwrap().to_bytes())
}

fn service<V>(validator: V) -> Service
where
    V: Validator<Principal = AccessToken> + 'static,
{
    service_with_clock(validator, &ManualClock::new(start()))
}

fn request_for(path: &str, token: &str) -> Request<Body> {
    Request::get(path)
        .header(AUTHORIZATION, format!("Bearer {token}"))
        .body(Body::default())
        .unwrap()
}

async fn get(service: &Service, token: &str) -> Answer {
    send(service.clone(), request_for("/", token)).await
}

async fn status(service: &Service, token: &str) -> u16 {
    get(service, token).await.status()
}

async fn grpc(service: &Service, token: &str) -> Answer {
    let request = Request::post("/shop.Orders/Create")
        .header(AUTHORIZATION, format!("Bearer {token}"))
        .header("content-type", "application/grpc")
        .body(Body::default())
        .unwrap();
    send(service.clone(), request).await
}

/// What the operator finds behind an outage.
fn cause(answer: &Answer) -> ProviderError {
    let rejection = answer.response.extensions().get::<Rejection>().unwrap();
    let source = rejection.source().expect("a source");
    let error = source.downcast_ref::<ProviderError>();
    error.expect("an `ProviderError`").clone()
}

/// Polls each of them once; none is ready then.
async fn poll_once<F: Future>(futures: &mut [Pin<Box<F>>]) {
    std::future::poll_fn(|context| {
        for future in futures.iter_mut() {
            assert!(future.as_mut().poll(context).is_pending());
        }
        Poll::Ready(())
    })
    .await;
}

type Answering = BoxFuture<Result<Response<Bytes>, FetchError>>;

/// Answers from memory. The closure is told how many requests came before.
#[derive(Clone)]
struct Scripted {
    calls: Arc<AtomicUsize>,
    answer: Arc<dyn Fn(usize) -> Answering + Send + Sync>,
}

impl Scripted {
    fn new<F>(answer: F) -> Self
    where
        F: Fn(usize) -> Result<Response<Bytes>, FetchError> + Send + Sync + 'static,
    {
        Self::waiting(move |number| Box::pin(std::future::ready(answer(number))))
    }

    fn waiting<F>(answer: F) -> Self
    where
        F: Fn(usize) -> Answering + Send + Sync + 'static,
    {
        Self {
            calls: Arc::default(),
            answer: Arc::new(answer),
        }
    }

    fn count(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    fn builder(&self) -> IntrospectionBuilder {
        Introspection::builder("https://issuer.example/introspect")
            .client(client())
            .audience(AUDIENCE)
            .fetcher(self.clone())
    }
}

impl Fetch for Scripted {
    fn fetch(&self, _: Request<Bytes>, _: usize) -> Answering {
        (self.answer)(self.calls.fetch_add(1, Ordering::Relaxed))
    }
}

fn json_response(body: &Value) -> Response<Bytes> {
    Response::builder()
        .header("content-type", "application/json")
        .body(body.to_string().into())
        .unwrap()
}
