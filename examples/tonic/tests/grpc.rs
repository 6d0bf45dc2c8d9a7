//! The layer in front of gRPC services: the example's server on a loopback port, called by tonic's
//! own client, by clients of gRPC-Web, and over bare HTTP.

#![allow(
    clippy::unwrap_used,
    reason = "clippy's own exception does not cover the helpers of a test"
)]

#[path = "../src/main.rs"]
#[allow(dead_code, reason = "the program around the server is not used here")]
mod example;
#[path = "../../../tests/support/mod.rs"]
mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderMap, StatusCode, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_stream::StreamExt as _;
use tonic::codec::Streaming;
use tonic::server::NamedService;
use tonic::service::{LayerExt as _, Routes};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Request, Status};
use tonic_health::ServingStatus;
use tonic_health::pb::health_check_response::ServingStatus as Seen;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_prost::ProstCodec;
use tonic_web::{GrpcWebClientService, GrpcWebLayer};
use tower_bearer::policy::{Policies, scope};
use tower_bearer::{BearerAuthLayer, Credential, Failure, InvalidReason, Validator, validator_fn};

use example::User;
use example::orders::{CreateRequest, GetRequest, Order, Orders, WatchRequest};

const GET: &str = "/shop.Orders/Get";
const CREATE: &str = "/shop.Orders/Create";
const WATCH: &str = "/shop.Orders/Watch";
const HEALTH: &str = "/grpc.health.v1.Health/Check";

const READER: &str = "Bearer reader";
const WRITER: &str = "Bearer writer";
const NOBODY: &str = "Bearer nobody";

// Validators.

/// Decides by the text of the token, so that a test can cause what it is about.
fn user(token: &str) -> Result<User, Failure> {
    let (name, scope) = match token {
        "reader" => ("rita", "orders:read"),
        "writer" => ("walt", "orders:read orders:write"),
        "nobody" => ("nora", ""),
        "down" => return Err(Failure::unavailable("the token store is down")),
        "busy" => return Err(Failure::throttled(Duration::from_secs(7))),
        _ => return Err(Failure::invalid(InvalidReason::Unknown)),
    };
    Ok(User { name, scope })
}

fn at_once() -> impl Validator<Principal = User> {
    validator_fn(|credential: Credential<'_>| user(credential.token()))
}

fn after_a_wait() -> impl Validator<Principal = User> {
    validator_fn(|credential: Credential<'static>| async move {
        // Pending at least once, as a lookup over the network is.
        tokio::task::yield_now().await;
        user(credential.token())
    })
}

// Servers.

struct Running {
    address: SocketAddr,
    task: JoinHandle<Result<(), tonic::transport::Error>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run<F>(serve: impl FnOnce(TcpIncoming) -> F) -> Running
where
    F: Future<Output = Result<(), tonic::transport::Error>> + Send + 'static,
{
    // Bound before the task starts, so that a client never comes too early.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    Running {
        address: listener.local_addr().unwrap(),
        task: tokio::spawn(serve(TcpIncoming::from(listener))),
    }
}

fn orders() -> Orders {
    Orders::of(["a chair", "a table"])
}

fn auth() -> BearerAuthLayer<impl Validator<Principal = User> + 'static, Policies<User>> {
    example::auth(at_once()).unwrap()
}

/// The server of the example.
async fn shop<V>(validator: V, orders: Orders) -> Running
where
    V: Validator<Principal = User> + 'static,
{
    let auth = example::auth(validator).unwrap();
    let app = example::app(auth, example::services(orders).await);
    run(|incoming| app.serve_with_incoming(incoming)).await
}

/// A server whose other services nobody guards: only that of the orders has the layer.
async fn guarded_orders_alone() -> Running {
    let (_, health) = tonic_health::server::health_reporter();
    let app = Server::builder()
        .add_service(health)
        .add_service(auth().named_layer(orders()));
    run(|incoming| app.serve_with_incoming(incoming)).await
}

async fn outside_of_grpc_web() -> Running {
    let app = Server::builder()
        .accept_http1(true)
        .layer(auth())
        .layer(GrpcWebLayer::new())
        .add_routes(example::services(orders()).await);
    run(|incoming| app.serve_with_incoming(incoming)).await
}

async fn inside_of_grpc_web() -> Running {
    let app = Server::builder()
        .accept_http1(true)
        .layer(GrpcWebLayer::new())
        .layer(auth())
        .add_routes(example::services(orders()).await);
    run(|incoming| app.serve_with_incoming(incoming)).await
}

// Clients.

fn request<M>(authorization: &[&str], message: M) -> Request<M> {
    let mut request = Request::new(message);
    for line in authorization {
        let value = line.parse().unwrap();
        request.metadata_mut().append("authorization", value);
    }
    request
}

impl Running {
    async fn client(&self) -> tonic::client::Grpc<Channel> {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address)).unwrap();
        tonic::client::Grpc::new(endpoint.connect().await.unwrap())
    }

    async fn unary<M, R>(&self, path: &str, authorization: &[&str], message: M) -> Result<R, Status>
    where
        M: Message + Send + Sync + 'static,
        R: Message + Default + Send + Sync + 'static,
    {
        let mut client = self.client().await;
        client.ready().await.unwrap();
        let codec = ProstCodec::<M, R>::default();
        let request = request(authorization, message);
        let reply = client.unary(request, path.parse().unwrap(), codec).await?;
        Ok(reply.into_inner())
    }

    async fn stream<M, R>(
        &self,
        path: &str,
        authorization: &[&str],
        message: M,
    ) -> Result<Streaming<R>, Status>
    where
        M: Message + Send + Sync + 'static,
        R: Message + Default + Send + Sync + 'static,
    {
        let mut client = self.client().await;
        client.ready().await.unwrap();
        let codec = ProstCodec::<M, R>::default();
        let request = request(authorization, message);
        let path = path.parse().unwrap();
        let reply = client.server_streaming(request, path, codec).await?;
        Ok(reply.into_inner())
    }

    async fn get(&self, authorization: &[&str]) -> Result<Order, Status> {
        self.unary(GET, authorization, GetRequest { id: 1 }).await
    }

    async fn create(&self, authorization: &[&str]) -> Result<Order, Status> {
        let item = String::from("a lamp");
        self.unary(CREATE, authorization, CreateRequest { item })
            .await
    }

    async fn watch(&self, authorization: &[&str]) -> Result<Vec<Order>, Status> {
        let stream = self.stream(WATCH, authorization, WatchRequest {}).await?;
        stream.collect().await
    }

    /// How a call to any path ends, with an empty message.
    async fn code(&self, path: &str, authorization: &[&str]) -> Code {
        match self.unary::<(), ()>(path, authorization, ()).await {
            Ok(()) => Code::Ok,
            Err(status) => status.code(),
        }
    }

    /// What a client without any idea of gRPC sees.
    async fn raw(&self, version: Version, request: http::Request<Full<Bytes>>) -> Answer {
        let io = TokioIo::new(TcpStream::connect(self.address).await.unwrap());
        let response = if version == Version::HTTP_2 {
            let (mut client, connection) =
                hyper::client::conn::http2::handshake(TokioExecutor::new(), io)
                    .await
                    .unwrap();
            tokio::spawn(connection);
            client.send_request(request).await.unwrap()
        } else {
            let (mut client, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
            tokio::spawn(connection);
            // The path alone, as a client sends it that talks to no proxy.
            let (mut parts, body) = request.into_parts();
            parts.uri = parts.uri.path().parse().unwrap();
            let request = http::Request::from_parts(parts, body);
            client.send_request(request).await.unwrap()
        };
        Answer::read(response).await
    }

    fn post(
        &self,
        path: &str,
        content_type: &str,
        authorization: &[&str],
    ) -> http::request::Builder {
        let mut request = http::Request::post(format!("http://{}{path}", self.address))
            .header(HOST, self.address.to_string())
            .header(CONTENT_TYPE, content_type);
        for line in authorization {
            request = request.header(AUTHORIZATION, *line);
        }
        request
    }
}

/// A response, read to its end.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    /// Whether the header frame already ended the stream.
    ended_with_headers: bool,
    body: Bytes,
    trailers: HeaderMap,
}

impl Answer {
    async fn read(response: http::Response<Incoming>) -> Self {
        let (parts, body) = response.into_parts();
        let ended_with_headers = body.is_end_stream();
        let collected = body.collect().await.unwrap();
        Self {
            status: parts.status,
            headers: parts.headers,
            ended_with_headers,
            trailers: collected.trailers().cloned().unwrap_or_default(),
            body: collected.to_bytes(),
        }
    }

    fn header(&self, name: &str) -> Option<&str> {
        Some(self.headers.get(name)?.to_str().unwrap())
    }

    /// What a client of gRPC-Web makes of it: the messages, and the status from the last frame of
    /// the body or, where there is no body, from the headers.
    fn grpc_web(&self) -> (Vec<Bytes>, Option<String>) {
        const TRAILERS: u8 = 0x80;
        let mut status = self.header("grpc-status").map(str::to_owned);
        let mut messages = Vec::new();
        let mut rest = self.body.clone();
        while rest.has_remaining() {
            let flags = rest.get_u8();
            let length = rest.get_u32();
            let frame = rest.split_to(usize::try_from(length).unwrap());
            if flags & TRAILERS == 0 {
                messages.push(frame);
                continue;
            }
            for line in std::str::from_utf8(&frame).unwrap().lines() {
                if let Some(code) = line.strip_prefix("grpc-status:") {
                    status = Some(code.trim().to_owned());
                }
            }
        }
        (messages, status)
    }
}

/// A message as it stands in the body: not compressed, and its length in front.
fn framed(message: &impl Message) -> Full<Bytes> {
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.encoded_len()).unwrap());
    message.encode(&mut frame).unwrap();
    Full::new(frame.freeze())
}

/// The orders of the book as `reader` is shown them.
fn shown_to(reader: &str, items: &[&str]) -> Vec<Order> {
    let order = |(id, item): (u64, &&str)| Order {
        id,
        item: String::from(*item),
        placed_by: String::from("shop"),
        read_by: reader.to_owned(),
    };
    (1..).zip(items).map(order).collect()
}

// What a refused client sees.

// (A24: every transport)
#[tokio::test]
async fn every_method_refuses_alike_whether_the_validator_waits_or_not() {
    struct Case {
        name: &'static str,
        authorization: &'static [&'static str],
        code: Code,
        message: &'static str,
        /// `SCOPE` stands for that of the method.
        challenge: Option<&'static str>,
        retry_after: Option<&'static str>,
    }
    let cases = [
        Case {
            name: "no credential",
            authorization: &[],
            code: Code::Unauthenticated,
            message: "a credential is required",
            challenge: Some(r#"Bearer realm="shop", scope="SCOPE""#),
            retry_after: None,
        },
        Case {
            name: "another scheme",
            authorization: &["Digest username=x"],
            code: Code::Unauthenticated,
            message: "a credential is required",
            challenge: Some(r#"Bearer realm="shop", scope="SCOPE""#),
            retry_after: None,
        },
        Case {
            name: "unknown token",
            authorization: &["Bearer somebody-elses"],
            code: Code::Unauthenticated,
            message: "the credential is invalid or has expired",
            challenge: Some(r#"Bearer realm="shop", error="invalid_token""#),
            retry_after: None,
        },
        Case {
            name: "unreadable token",
            authorization: &["Bearer a b"],
            code: Code::Unauthenticated,
            message: "the credential cannot be read",
            challenge: Some(r#"Bearer realm="shop", error="invalid_request""#),
            retry_after: None,
        },
        // (B02: one Authorization line)
        Case {
            name: "two lines, both good",
            authorization: &[WRITER, WRITER],
            code: Code::Unauthenticated,
            message: "the credential cannot be read",
            challenge: Some(r#"Bearer realm="shop", error="invalid_request""#),
            retry_after: None,
        },
        Case {
            name: "missing scope",
            authorization: &[NOBODY],
            code: Code::PermissionDenied,
            message: "insufficient scope",
            challenge: Some(r#"Bearer realm="shop", error="insufficient_scope", scope="SCOPE""#),
            retry_after: None,
        },
        Case {
            name: "validator out of order",
            authorization: &["Bearer down"],
            code: Code::Unavailable,
            message: "the credential cannot be checked right now",
            challenge: None,
            retry_after: Some("5"),
        },
        Case {
            name: "too many attempts",
            authorization: &["Bearer busy"],
            code: Code::ResourceExhausted,
            message: "too many attempts",
            challenge: None,
            retry_after: Some("7"),
        },
    ];
    let servers = [
        ("at once", shop(at_once(), orders()).await),
        ("after a wait", shop(after_a_wait(), orders()).await),
    ];
    for (validator, server) in &servers {
        for case in &cases {
            let authorization = case.authorization;
            for (method, scope, answer) in [
                (GET, "orders:read", server.get(authorization).await.err()),
                (
                    WATCH,
                    "orders:read",
                    server.watch(authorization).await.err(),
                ),
                (
                    CREATE,
                    "orders:write",
                    server.create(authorization).await.err(),
                ),
            ] {
                let name = format!("{}, {validator}, {method}", case.name);
                let status = answer.expect(&name);
                support::check_challenges(&status.metadata().clone().into_headers());
                assert_eq!(status.code(), case.code, "{name}");
                assert_eq!(status.message(), case.message, "{name}");
                let metadata = |key| {
                    status
                        .metadata()
                        .get(key)
                        .map(|value| value.to_str().unwrap())
                };
                let challenge = case.challenge.map(|text| text.replace("SCOPE", scope));
                assert_eq!(metadata("www-authenticate"), challenge.as_deref(), "{name}");
                assert_eq!(metadata("retry-after"), case.retry_after, "{name}");
            }
        }
        // None of the calls to Create has reached its handler.
        let book = server.watch(&[READER]).await.unwrap();
        assert_eq!(
            book,
            shown_to("rita", &["a chair", "a table"]),
            "{validator}"
        );
    }
}

// (I06: trailers-only)
#[tokio::test]
async fn a_refusal_is_one_header_frame() {
    struct Case {
        name: &'static str,
        content_type: &'static str,
        path: &'static str,
        authorization: &'static [&'static str],
        status: &'static str,
        message: &'static str,
        answered_as: &'static str,
    }
    let cases = [
        Case {
            name: "no credential",
            content_type: "application/grpc",
            path: GET,
            authorization: &[],
            status: "16",
            message: "a credential is required",
            answered_as: "application/grpc",
        },
        Case {
            name: "no credential, messages named as protobuf",
            content_type: "application/grpc+proto",
            path: GET,
            authorization: &[],
            status: "16",
            message: "a credential is required",
            answered_as: "application/grpc+proto",
        },
        Case {
            name: "missing scope, streaming method",
            content_type: "application/grpc",
            path: WATCH,
            authorization: &[NOBODY],
            status: "7",
            message: "insufficient scope",
            answered_as: "application/grpc",
        },
        Case {
            name: "validator out of order",
            content_type: "application/grpc",
            path: GET,
            authorization: &["Bearer down"],
            status: "14",
            message: "the credential cannot be checked right now",
            answered_as: "application/grpc",
        },
        Case {
            name: "unknown service",
            content_type: "application/grpc",
            path: "/shop.Stock/Get",
            authorization: &[WRITER],
            status: "7",
            message: "permission denied",
            answered_as: "application/grpc",
        },
    ];
    let server = shop(at_once(), orders()).await;
    for case in cases {
        let name = case.name;
        let request = server
            .post(case.path, case.content_type, case.authorization)
            .body(framed(&GetRequest { id: 1 }))
            .unwrap();
        let answer = server.raw(Version::HTTP_2, request).await;
        assert_eq!(answer.status, StatusCode::OK, "{name}");
        assert!(answer.ended_with_headers, "{name}");
        assert_eq!(
            answer.header("content-type"),
            Some(case.answered_as),
            "{name}"
        );
        assert_eq!(answer.header("grpc-status"), Some(case.status), "{name}");
        assert_eq!(answer.header("grpc-message"), Some(case.message), "{name}");
        assert!(answer.body.is_empty(), "{name}");
        assert!(answer.trailers.is_empty(), "{name}");
    }

    // The same client does see the frames of an answer that has some.
    let request = server
        .post(GET, "application/grpc", &[READER])
        .body(framed(&GetRequest { id: 1 }))
        .unwrap();
    let answer = server.raw(Version::HTTP_2, request).await;
    assert!(!answer.ended_with_headers);
    assert_eq!(answer.header("grpc-status"), None);
    assert!(!answer.body.is_empty());
    assert_eq!(answer.trailers["grpc-status"], "0");
}

#[tokio::test]
async fn a_request_that_is_not_grpc_is_refused_as_http() {
    let server = shop(at_once(), orders()).await;
    let request = server
        .post(GET, "application/json", &[])
        .body(Full::default())
        .unwrap();
    let answer = server.raw(Version::HTTP_2, request).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json")
    );
    assert_eq!(answer.header("grpc-status"), None);
    assert!(!answer.body.is_empty());
}

// Which rule a call comes under.

// (A25: gRPC methods)
#[tokio::test]
async fn a_method_is_matched_whole_and_with_regard_to_case() {
    let server = shop(at_once(), orders()).await;
    for path in [
        "/shop.orders/Get",
        "/SHOP.Orders/Get",
        "/shop.Orders/get",
        "/shop.Orders/GET",
        "/shop.OrdersX/Get",
        "/Xshop.Orders/Get",
        "/shop.Orders/GetX",
        "/shop.Orders/Ge",
        "/shop.Orders/Get/Get",
        "/shop.Orders/Delete",
        "/shop.Orders",
        "/Orders/Get",
        "/shop/Orders/Get",
        "/shop.Stock/Get",
        "/grpc.health.v1.health/Check",
        "/grpc.health.v1.HealthX/Check",
        "/grpc.health.v1/Health/Check",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/",
    ] {
        // Not Unimplemented, which would tell a stranger what there is: no service was looked for.
        assert_eq!(
            server.code(path, &[]).await,
            Code::Unauthenticated,
            "{path}"
        );
        assert_eq!(
            server.code(path, &[WRITER]).await,
            Code::PermissionDenied,
            "{path}"
        );
    }
    // The id 0 of an empty message is that of no order, so the handler was asked.
    assert_eq!(server.code(GET, &[WRITER]).await, Code::NotFound);
    assert_eq!(server.code(HEALTH, &[]).await, Code::Ok);
}

// (A25: gRPC methods)
#[tokio::test]
async fn no_other_spelling_of_a_method_escapes_its_rule() {
    let server = shop(at_once(), orders()).await;
    for path in [
        "/shop.Orders/%47et",
        "/shop%2EOrders/Get",
        "/%73hop.Orders/Get",
        "/shop.Orders/Get/",
        "/shop.Orders/Get?Health",
    ] {
        assert_eq!(
            server.code(path, &[]).await,
            Code::Unauthenticated,
            "{path}"
        );
        let refused = server
            .unary::<(), ()>(path, &[NOBODY], ())
            .await
            .unwrap_err();
        assert_eq!(refused.message(), "insufficient scope", "{path}");
    }
}

#[tokio::test]
async fn an_ambiguous_path_is_an_invalid_argument_whoever_asks() {
    let server = shop(at_once(), orders()).await;
    for path in [
        "/shop.Orders//Get",
        "//shop.Orders/Get",
        "/shop.Orders/./Get",
        "/shop.Stock/../shop.Orders/Get",
        "/grpc.health.v1.Health/../../shop.Orders/Get",
        "/shop.Orders%2FGet",
        "/shop.Orders/Get;x",
        "/shop.Orders/%2547et",
        "/shop.Orders/%zzet",
        "/shop.Orders/Get%00",
        "/shop.Orders%5CGet",
    ] {
        for authorization in [&[][..], &[WRITER], &["Bearer somebody-elses"]] {
            let name = format!("{path} {authorization:?}");
            let request = server
                .post(path, "application/grpc", authorization)
                .body(framed(&GetRequest { id: 1 }))
                .unwrap();
            let answer = server.raw(Version::HTTP_2, request).await;
            assert_eq!(answer.status, StatusCode::OK, "{name}");
            assert_eq!(answer.header("grpc-status"), Some("3"), "{name}");
            assert_eq!(
                answer.header("grpc-message"),
                Some("the path has no single meaning"),
                "{name}"
            );
            assert!(answer.ended_with_headers, "{name}");
        }
    }
}

// What an allowed client gets.

#[tokio::test]
async fn the_handler_sees_the_principal_of_the_token() {
    for server in [
        shop(at_once(), orders()).await,
        shop(after_a_wait(), orders()).await,
    ] {
        let [chair, table] = ["a chair", "a table"];
        assert_eq!(
            server.get(&[READER]).await.unwrap(),
            shown_to("rita", &[chair])[0]
        );
        assert_eq!(
            server.get(&[WRITER]).await.unwrap(),
            shown_to("walt", &[chair])[0]
        );

        let lamp = server.create(&[WRITER]).await.unwrap();
        assert_eq!(lamp.placed_by, "walt");
        let mut book = shown_to("rita", &[chair, table]);
        book.push(Order {
            read_by: String::from("rita"),
            ..lamp
        });
        assert_eq!(server.watch(&[READER]).await.unwrap(), book);
    }
}

#[tokio::test]
async fn a_public_service_needs_no_token_and_ignores_a_bad_one() {
    let server = shop(at_once(), orders()).await;
    for authorization in [&[][..], &["Bearer somebody-elses"], &[READER, READER]] {
        let service = String::from(Orders::NAME);
        let reply: HealthCheckResponse = server
            .unary(HEALTH, authorization, HealthCheckRequest { service })
            .await
            .unwrap();
        assert_eq!(reply.status(), Seen::Serving);
    }
}

#[tokio::test]
async fn a_stream_passes_every_item_and_its_end_untouched() {
    let items: Vec<String> = (0..2000).map(|n| format!("{n}").repeat(n % 50)).collect();
    let texts: Vec<&str> = items.iter().map(String::as_str).collect();
    for server in [
        shop(at_once(), Orders::of(&items)).await,
        shop(after_a_wait(), Orders::of(&items)).await,
    ] {
        let request = server
            .post(WATCH, "application/grpc", &[READER])
            .body(framed(&WatchRequest {}))
            .unwrap();
        let answer = server.raw(Version::HTTP_2, request).await;
        let mut expected = BytesMut::new();
        for order in shown_to("rita", &texts) {
            expected.extend(framed(&order).collect().await.unwrap().to_bytes());
        }
        assert!(answer.body == expected, "the bytes of the messages differ");
        assert_eq!(answer.trailers["grpc-status"], "0");

        assert_eq!(
            server.watch(&[READER]).await.unwrap(),
            shown_to("rita", &texts)
        );
    }
}

#[tokio::test]
async fn a_stream_is_passed_on_item_by_item() {
    let policies = Policies::builder()
        .under("/grpc.health.v1.Health", scope("orders:read"))
        .build()
        .unwrap();
    let (reporter, health) = tonic_health::server::health_reporter();
    let app = Server::builder()
        .layer(BearerAuthLayer::new(after_a_wait()).with_policy(policies))
        .add_service(health);
    let server = run(|incoming| app.serve_with_incoming(incoming)).await;

    let path = "/grpc.health.v1.Health/Watch";
    let refused = server
        .stream::<_, HealthCheckResponse>(path, &[NOBODY], HealthCheckRequest::default())
        .await;
    assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied);

    // This stream never ends, so an item that is held back would never come.
    let mut replies = server
        .stream::<_, HealthCheckResponse>(path, &[READER], HealthCheckRequest::default())
        .await
        .unwrap();
    let mut next = async || replies.next().await.unwrap().unwrap().status();
    assert_eq!(next().await, Seen::Serving);
    reporter
        .set_service_status("", ServingStatus::NotServing)
        .await;
    assert_eq!(next().await, Seen::NotServing);
}

#[tokio::test]
async fn a_client_that_goes_on_sending_is_told_that_it_is_refused() {
    let server = shop(at_once(), orders()).await;
    let path = "/shop.Orders/Import";
    for (authorization, code) in [
        (&[][..], Code::Unauthenticated),
        (&[WRITER], Code::PermissionDenied),
        (&["Bearer down"], Code::Unavailable),
    ] {
        let mut client = server.client().await;
        client.ready().await.unwrap();
        let endless = tokio_stream::iter(std::iter::repeat_with(|| CreateRequest {
            item: "x".repeat(1000),
        }));
        let codec = ProstCodec::<CreateRequest, Order>::default();
        let request = request(authorization, endless);
        let answer = client
            .client_streaming(request, path.parse().unwrap(), codec)
            .await;
        assert_eq!(answer.unwrap_err().code(), code, "{authorization:?}");
    }
}

#[tokio::test]
async fn a_call_that_waits_for_its_validator_holds_up_no_other() {
    let asked = Arc::new(Notify::new());
    let found = Arc::new(Notify::new());
    let validator = {
        let (asked, found) = (Arc::clone(&asked), Arc::clone(&found));
        validator_fn(move |credential: Credential<'static>| {
            let (asked, found) = (Arc::clone(&asked), Arc::clone(&found));
            async move {
                if credential.token() == "writer" {
                    asked.notify_one();
                    found.notified().await;
                }
                user(credential.token())
            }
        })
    };
    let server = shop(validator, orders()).await;
    let client = server.client().await;
    let get = |authorization: &'static str| {
        let mut client = client.clone();
        async move {
            client.ready().await.unwrap();
            let codec = ProstCodec::<GetRequest, Order>::default();
            let request = request(&[authorization], GetRequest { id: 1 });
            client.unary(request, GET.parse().unwrap(), codec).await
        }
    };

    let slow = tokio::spawn(get(WRITER));
    asked.notified().await;
    let quick = get(READER).await.unwrap();
    assert_eq!(quick.get_ref().read_by, "rita");
    assert!(!slow.is_finished());

    found.notify_one();
    assert_eq!(slow.await.unwrap().unwrap().get_ref().read_by, "walt");
}

#[tokio::test]
async fn a_layer_around_one_service_leaves_the_others_alone() {
    fn name_of<S: NamedService>(_: &S) -> &'static str {
        S::NAME
    }
    // The router finds the service by this name.
    assert_eq!(name_of(&auth().named_layer(orders())), "shop.Orders");

    let server = guarded_orders_alone().await;
    let refused = server.get(&[]).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert_eq!(refused.message(), "a credential is required");
    assert_eq!(
        server.create(&[READER]).await.unwrap_err().code(),
        Code::PermissionDenied
    );
    assert_eq!(
        server.watch(&[NOBODY]).await.unwrap_err().code(),
        Code::PermissionDenied
    );

    assert_eq!(server.get(&[READER]).await.unwrap().read_by, "rita");
    assert_eq!(server.create(&[WRITER]).await.unwrap().placed_by, "walt");
    assert_eq!(server.watch(&[READER]).await.unwrap().len(), 3);

    // `deny_unmatched` speaks for what the layer sees, and it sees only calls to this service.
    assert_eq!(
        server.code("/shop.Orders/Delete", &[]).await,
        Code::Unauthenticated
    );
    assert_eq!(
        server.code("/shop.Stock/Get", &[]).await,
        Code::Unimplemented
    );
    assert_eq!(server.code(HEALTH, &[]).await, Code::Ok);
}

#[tokio::test]
async fn a_layer_around_each_service_works_with_routes_of_their_own() {
    let (_, health) = tonic_health::server::health_reporter();
    let routes = Routes::new(auth().named_layer(health)).add_service(auth().named_layer(orders()));
    let app = Server::builder().add_routes(routes);
    let server = run(|incoming| app.serve_with_incoming(incoming)).await;
    assert_eq!(server.code(HEALTH, &[]).await, Code::Ok);
    assert_eq!(
        server.get(&[]).await.unwrap_err().code(),
        Code::Unauthenticated
    );
    assert_eq!(server.get(&[READER]).await.unwrap().read_by, "rita");
}

// gRPC-Web.

// (I06: trailers-only)
#[tokio::test]
async fn a_refusal_can_be_read_by_grpc_web() {
    struct Case {
        name: &'static str,
        content_type: &'static str,
        path: &'static str,
        authorization: &'static [&'static str],
        status: &'static str,
        message: &'static str,
    }
    let cases = [
        Case {
            name: "no credential",
            content_type: "application/grpc-web+proto",
            path: GET,
            authorization: &[],
            status: "16",
            message: "a credential is required",
        },
        Case {
            name: "no credential, text",
            content_type: "application/grpc-web-text+proto",
            path: GET,
            authorization: &[],
            status: "16",
            message: "a credential is required",
        },
        Case {
            name: "unknown token",
            content_type: "application/grpc-web+proto",
            path: WATCH,
            authorization: &["Bearer somebody-elses"],
            status: "16",
            message: "the credential is invalid or has expired",
        },
        Case {
            name: "missing scope",
            content_type: "application/grpc-web+proto",
            path: CREATE,
            authorization: &[READER],
            status: "7",
            message: "insufficient scope",
        },
        Case {
            name: "ambiguous path",
            content_type: "application/grpc-web+proto",
            path: "/shop.Orders//Get",
            authorization: &[READER],
            status: "3",
            message: "the path has no single meaning",
        },
    ];
    let servers = [
        ("outside", outside_of_grpc_web().await),
        ("inside", inside_of_grpc_web().await),
    ];
    for (place, server) in &servers {
        for case in &cases {
            let name = format!("{}, {place}", case.name);
            let request = server
                .post(case.path, case.content_type, case.authorization)
                // Clients of gRPC-Web send both; tonic-web answers by this one.
                .header("accept", case.content_type)
                .body(framed(&GetRequest { id: 1 }))
                .unwrap();
            let answer = server.raw(Version::HTTP_11, request).await;
            assert_eq!(answer.status, StatusCode::OK, "{name}");
            assert_eq!(
                answer.header("content-type"),
                Some(case.content_type),
                "{name}"
            );
            let (messages, status) = answer.grpc_web();
            assert_eq!(status.as_deref(), Some(case.status), "{name}");
            assert_eq!(answer.header("grpc-message"), Some(case.message), "{name}");
            assert!(messages.is_empty(), "{name}");
        }
    }
}

#[tokio::test]
async fn an_allowed_call_over_grpc_web_is_answered() {
    let servers = [
        ("outside", outside_of_grpc_web().await),
        ("inside", inside_of_grpc_web().await),
    ];
    for (place, server) in &servers {
        let request = server
            .post(WATCH, "application/grpc-web+proto", &[READER])
            .body(framed(&WatchRequest {}))
            .unwrap();
        let answer = server.raw(Version::HTTP_11, request).await;
        assert_eq!(answer.status, StatusCode::OK, "{place}");
        let content_type = answer.header("content-type");
        assert_eq!(content_type, Some("application/grpc-web+proto"), "{place}");
        let (messages, status) = answer.grpc_web();
        let orders: Vec<Order> = messages
            .into_iter()
            .map(|message| Order::decode(message).unwrap())
            .collect();
        assert_eq!(orders, shown_to("rita", &["a chair", "a table"]), "{place}");
        assert_eq!(status.as_deref(), Some("0"), "{place}");
    }
}

#[tokio::test]
async fn a_grpc_web_client_sees_what_a_grpc_client_sees() {
    let servers = [
        ("outside", outside_of_grpc_web().await),
        ("inside", inside_of_grpc_web().await),
    ];
    for (place, server) in &servers {
        let http = legacy::Client::builder(TokioExecutor::new()).build_http();
        let origin = format!("http://{}", server.address).parse().unwrap();
        let web = tonic::client::Grpc::with_origin(GrpcWebClientService::new(http), origin);
        let get = |authorization: &'static [&'static str]| {
            let mut web = web.clone();
            async move {
                web.ready().await.unwrap();
                let codec = ProstCodec::<GetRequest, Order>::default();
                let request = request(authorization, GetRequest { id: 1 });
                let reply = web.unary(request, GET.parse().unwrap(), codec).await;
                reply.map(tonic::Response::into_inner)
            }
        };
        for authorization in [&[][..], &[NOBODY], &["Bearer down"], &["Bearer busy"]] {
            let name = format!("{place} {authorization:?}");
            let by_web = get(authorization).await.unwrap_err();
            let by_grpc = server.get(authorization).await.unwrap_err();
            assert_eq!(by_web.code(), by_grpc.code(), "{name}");
            assert_eq!(by_web.message(), by_grpc.message(), "{name}");
        }
        assert_eq!(get(&[READER]).await.unwrap().read_by, "rita", "{place}");
    }
}
