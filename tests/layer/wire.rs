//! What stands on the wire: raw bytes over loopback TCP into hyper and axum with the layer in front,
//! and every answer read by parsers that are none of ours. The ids are those of the security rules.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::ws::{Message as Frame, WebSocketUpgrade};
use axum::routing::{any, get};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, SEC_WEBSOCKET_PROTOCOL,
    WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tower::{Layer, service_fn};
use tower_bearer::policy::{
    Claims, Policies, Policy, acr, authenticated, deny, public, scope, scope_list_contains,
};
use tower_bearer::{
    Authenticated, BearerAuthLayer, Credential, Failure, InvalidReason, Outcome, Rejection,
    RequestView, Source, Validator, validator_fn,
};

// ---------------------------------------------------------------------------------------------
// The service

struct User {
    name: &'static str,
    scope: &'static str,
}

impl Claims for User {
    fn has_scope(&self, scope: &str) -> bool {
        scope_list_contains(self.scope, scope)
    }
}

/// What only the operator may learn.
const DETAIL: &str = "replica 7 of the user table is gone";

/// The longest credential, with its scheme, that the layer takes by default.
const MAX_LENGTH: usize = 8192;

/// Every known token ends in `-token`, so that one look finds any of them in an answer.
fn validator() -> impl Validator<Principal = User> + 'static {
    validator_fn(|credential: Credential<'_>| {
        let token = credential.token();
        let user = |name, scope| Ok(User { name, scope });
        match token {
            "alice-token" => user("alice", "orders:read orders:write"),
            "bob-token" => user("bob", ""),
            "expired-token" => Err(Failure::invalid(InvalidReason::Expired).with_source(DETAIL)),
            "shapeless-token" => {
                Err(Failure::invalid(InvalidReason::Malformed).with_source(DETAIL))
            }
            "outage-token" => {
                Err(Failure::unavailable(DETAIL).with_retry_after(Duration::from_millis(6001)))
            }
            "flood-token" => Err(Failure::throttled(Duration::from_secs(30))),
            _ if token.bytes().all(|byte| byte == b'l') => user("longest", ""),
            _ => Err(Failure::invalid(InvalidReason::Unknown)),
        }
    })
}

fn layer() -> BearerAuthLayer<impl Validator<Principal = User> + 'static, Policies<User>> {
    let policies = Policies::builder()
        .at("/health", public())
        .under("/public", public())
        .under("/orders", scope("orders:read"))
        .under("/orders", scope("orders:write").on([Method::POST]))
        .under("/closed", deny())
        .under("/vault", acr(["gold", "silver"]))
        .build()
        .unwrap();
    BearerAuthLayer::new(validator()).with_policy(policies)
}

/// A layer that looks for credentials everywhere.
fn many_sources() -> BearerAuthLayer<impl Validator<Principal = User> + 'static, Policies<User>> {
    layer()
        .with_sources([
            Source::bearer(),
            Source::api_key(HeaderName::from_static("x-api-key")),
            Source::cookie("session").trust_origin("https://app.example.com"),
            Source::websocket_protocol("bearer"),
        ])
        .unwrap()
}

/// Says which user it was called by, and which path and credentials it was shown.
fn handle<B>(request: &Request<B>, reached: &AtomicUsize) -> Response<Full<Bytes>> {
    reached.fetch_add(1, Ordering::SeqCst);
    let user = request.extensions().get::<Authenticated<User>>();
    let mut response = Response::new(Full::from(request.uri().path().to_owned()));
    let headers = response.headers_mut();
    let name = user.map_or("nobody", |user| user.name);
    headers.insert("x-called-by", HeaderValue::from_static(name));
    headers.insert(
        "x-saw",
        HeaderValue::from_str(&seen(request.headers())).unwrap(),
    );
    response
}

/// The credentials that a service finds in its headers.
fn seen(headers: &HeaderMap) -> String {
    [
        "authorization",
        "x-api-key",
        "cookie",
        "sec-websocket-protocol",
    ]
    .iter()
    .flat_map(|name| headers.get_all(*name))
    .map(|value| String::from_utf8_lossy(value.as_bytes()))
    .collect::<Vec<_>>()
    .join(" | ")
}

struct Server {
    name: &'static str,
    addr: SocketAddr,
    reached: Arc<AtomicUsize>,
}

impl Server {
    /// hyper, with the layer around a bare service.
    async fn hyper<V, P>(layer: BearerAuthLayer<V, P>) -> Self
    where
        V: Validator<Principal = User> + 'static,
        P: Policy<User> + 'static,
    {
        let reached = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&reached);
        let service = layer.layer(service_fn(
            move |request: Request<hyper::body::Incoming>| {
                let response = handle(&request, &counter);
                async { Ok::<_, Infallible>(response) }
            },
        ));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let service = TowerToHyperService::new(service.clone());
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .timer(TokioTimer::new())
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Self {
            name: "hyper",
            addr,
            reached,
        }
    }

    /// axum, with the layer on a router: around each route, and around the fallback.
    async fn axum<V, P>(layer: BearerAuthLayer<V, P>) -> Self
    where
        V: Validator<Principal = User> + 'static,
        P: Policy<User> + 'static,
    {
        let reached = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&reached);
        let handler =
            any(move |request: axum::extract::Request| async move { handle(&request, &counter) });
        let socket_counter = Arc::clone(&reached);
        let socket = get(
            move |headers: HeaderMap, upgrade: WebSocketUpgrade| async move {
                socket_counter.fetch_add(1, Ordering::SeqCst);
                echo(headers, upgrade)
            },
        );
        let router = Router::new()
            .route("/orders", handler.clone())
            .route("/ws", socket)
            .fallback(handler)
            .layer(layer);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        tokio::spawn(axum::serve(listener, router).into_future());
        Self {
            name: "axum",
            addr,
            reached,
        }
    }

    async fn both() -> [Self; 2] {
        [Self::hyper(layer()).await, Self::axum(layer()).await]
    }

    fn reached(&self) -> usize {
        self.reached.load(Ordering::SeqCst)
    }

    /// Sends one request and reads its answer and nothing else until the server closes.
    async fn exchange(&self, raw: &[u8]) -> Reply {
        let mut wire = Wire::open(self.addr).await;
        wire.send(raw).await;
        let reply = wire.reader.reply(raw.starts_with(b"HEAD ")).await;
        assert_eq!(
            wire.reader.rest().await,
            b"",
            "{}: bytes behind the answer",
            self.name
        );
        reply
    }
}

/// First what the handler saw of credentials, then whatever the client says.
fn echo(headers: HeaderMap, upgrade: WebSocketUpgrade) -> axum::response::Response {
    upgrade
        .protocols(["bearer"])
        .on_upgrade(move |mut socket| async move {
            let seen = Frame::Text(seen(&headers).into());
            if socket.send(seen).await.is_err() {
                return;
            }
            while let Some(Ok(frame)) = socket.recv().await {
                let is_content = matches!(frame, Frame::Text(_) | Frame::Binary(_));
                if is_content && socket.send(frame).await.is_err() {
                    return;
                }
            }
        })
}

// ---------------------------------------------------------------------------------------------
// The client

/// Nothing here takes longer unless it hangs.
async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future)
        .await
        .unwrap_or_else(|_| panic!("{what}: hangs"))
}

struct Wire {
    reader: Reader,
    writer: OwnedWriteHalf,
}

struct Reader {
    stream: OwnedReadHalf,
    buffer: Vec<u8>,
}

impl Wire {
    async fn open(addr: SocketAddr) -> Self {
        let stream = within("connect", TcpStream::connect(addr)).await.unwrap();
        let (stream, writer) = stream.into_split();
        let buffer = Vec::new();
        Self {
            reader: Reader { stream, buffer },
            writer,
        }
    }

    async fn send(&mut self, bytes: &[u8]) {
        within("send", self.writer.write_all(bytes)).await.unwrap();
    }
}

impl Reader {
    /// Reads more into the buffer; `false` at the end of the stream.
    async fn fill(&mut self) -> bool {
        within("read", self.stream.read_buf(&mut self.buffer))
            .await
            .unwrap()
            > 0
    }

    async fn rest(&mut self) -> &[u8] {
        while self.fill().await {}
        &self.buffer
    }

    /// Reads one answer, 100 Continue aside, by its content-length.
    async fn reply(&mut self, is_to_head: bool) -> Reply {
        let mut continued = false;
        loop {
            let end = loop {
                let end = self.buffer.windows(4).position(|four| four == b"\r\n\r\n");
                if let Some(end) = end {
                    break end;
                }
                assert!(self.fill().await, "closed within a head: {:?}", self.buffer);
            };
            let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
            let (status, headers) = parse_head(&head[..end]);
            if status == StatusCode::CONTINUE {
                continued = true;
                continue;
            }
            let length = match headers.get(CONTENT_LENGTH) {
                Some(_) if is_to_head => 0,
                Some(length) => length.to_str().unwrap().parse().unwrap(),
                None => 0,
            };
            while self.buffer.len() < length {
                assert!(self.fill().await, "closed within a body");
            }
            let body = self.buffer.drain(..length).collect();
            let reply = Reply {
                status,
                headers,
                body,
                continued,
            };
            inspect(
                &reply.status,
                &reply.headers,
                (!is_to_head).then_some(&reply.body),
            );
            return reply;
        }
    }
}

fn parse_head(head: &[u8]) -> (StatusCode, HeaderMap) {
    let head = std::str::from_utf8(head).expect("a head of ASCII");
    let mut lines = head.split("\r\n");
    let status_line = lines.next().unwrap();
    let status = status_line.strip_prefix("HTTP/1.").expect("HTTP/1")[2..5]
        .parse()
        .unwrap();
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap();
        let name: HeaderName = name.parse().unwrap();
        headers.append(name, HeaderValue::from_str(value).unwrap());
    }
    (status, headers)
}

#[derive(Debug)]
struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
    /// Whether a 100 Continue came first.
    continued: bool,
}

impl Reply {
    fn challenges(&self) -> Vec<&str> {
        challenges(&self.headers)
    }

    /// Who gave this answer.
    fn by(&self) -> By {
        if let Some(name) = self.headers.get("x-called-by") {
            By::Handler(name.to_str().unwrap().to_owned())
        } else if self.headers.contains_key(CACHE_CONTROL) {
            By::Layer
        } else {
            By::Server
        }
    }

    fn saw(&self) -> &str {
        self.headers["x-saw"].to_str().unwrap()
    }
}

fn challenges(headers: &HeaderMap) -> Vec<&str> {
    let lines = headers.get_all(WWW_AUTHENTICATE).iter();
    lines.map(|line| line.to_str().expect("ASCII")).collect()
}

/// What has to hold for every answer, whatever the question. All tests go through here.
fn inspect(status: &StatusCode, headers: &HeaderMap, body: Option<&Vec<u8>>) {
    // (I01: grammatical headers) One challenge a line, readable for a parser that we did not write.
    let mut errors = Vec::new();
    for line in challenges(headers) {
        let parsed = http_auth::parse_challenges(line).unwrap_or_else(|_| panic!("{line}"));
        let [challenge]: [http_auth::ChallengeRef<'_>; 1] = parsed
            .try_into()
            .unwrap_or_else(|_| panic!("not one challenge: {line}"));
        let mut names: Vec<String> = challenge
            .params
            .iter()
            .map(|(name, _)| name.to_ascii_lowercase())
            .collect();
        if challenge.scheme.eq_ignore_ascii_case("bearer") {
            assert!(names.contains(&String::from("realm")), "{line}");
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(
            names.len(),
            challenge.params.len(),
            "a parameter twice: {line}"
        );
        for (name, value) in &challenge.params {
            // RFC 6750 section 3 leaves nothing to escape.
            assert_eq!(value.as_escaped(), value.to_unescaped(), "{line}");
            if *name == "error" {
                errors.push(value.to_unescaped());
            }
        }
    }
    // (I03: challenge of a 401)
    if *status == StatusCode::UNAUTHORIZED {
        assert!(
            headers.contains_key(WWW_AUTHENTICATE),
            "401 without a challenge"
        );
    }
    if headers.contains_key("x-called-by") || !headers.contains_key(CONTENT_TYPE) {
        // The handler's, the server's own, or an upgrade.
        return;
    }
    // (I05: no storing)
    assert_eq!(headers[CACHE_CONTROL], "no-store");
    assert_eq!(headers[CONTENT_TYPE], "application/problem+json");
    // (I04: client texts, J04: error texts)
    let mut text = format!("{headers:?}");
    if let Some(body) = body {
        text.push_str(std::str::from_utf8(body).unwrap());
    }
    for secret in ["-token", "alice", "bob", DETAIL] {
        assert!(!text.contains(secret), "{secret:?} in {text}");
    }
    // (I07: HTTP framing)
    let Some(body) = body else { return };
    assert_eq!(headers[CONTENT_LENGTH], *body.len().to_string());
    let problem: serde_json::Value = serde_json::from_slice(body).unwrap();
    let mut members: Vec<&str> = problem
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    members.retain(|member| *member != "error");
    members.sort_unstable();
    assert_eq!(members, ["detail", "status", "title", "type"]);
    assert_eq!(problem["type"], "about:blank");
    assert_eq!(problem["status"], status.as_u16());
    assert_eq!(problem["title"], status.canonical_reason().unwrap());
    assert!(
        problem["detail"]
            .as_str()
            .is_some_and(|detail| !detail.is_empty())
    );
    for error in errors {
        assert_eq!(problem["error"], error);
    }
}

// ---------------------------------------------------------------------------------------------
// Tables

/// Who answers a request.
#[derive(Debug, PartialEq)]
enum By {
    /// The handler, called by this user.
    Handler(String),
    Layer,
    /// The HTTP implementation, before there is a request at all.
    Server,
}

struct Case {
    name: &'static str,
    raw: Vec<u8>,
    status: u16,
    by: By,
    challenges: Vec<&'static str>,
}

/// A case that the handler answers.
fn served(name: &'static str, raw: Vec<u8>, user: &str) -> Case {
    let by = By::Handler(user.to_owned());
    Case {
        name,
        raw,
        status: 200,
        by,
        challenges: Vec::new(),
    }
}

/// A case that the layer refuses.
fn refused(
    name: &'static str,
    raw: Vec<u8>,
    status: u16,
    challenges: impl Into<Vec<&'static str>>,
) -> Case {
    Case {
        name,
        raw,
        status,
        by: By::Layer,
        challenges: challenges.into(),
    }
}

/// A case that is no HTTP.
fn unreadable(name: &'static str, raw: Vec<u8>) -> Case {
    Case {
        name,
        raw,
        status: 400,
        by: By::Server,
        challenges: Vec::new(),
    }
}

async fn check(server: &Server, cases: &[Case]) {
    for case in cases {
        let name = format!("{}: {}", server.name, case.name);
        let before = server.reached();
        let reply = within(&name, server.exchange(&case.raw)).await;
        assert_eq!(reply.status, case.status, "{name}");
        assert_eq!(reply.by(), case.by, "{name}");
        assert_eq!(reply.challenges(), case.challenges, "{name}");
        let calls = usize::from(matches!(case.by, By::Handler(_)));
        assert_eq!(server.reached() - before, calls, "{name}");
    }
}

/// A request with this start line and these header lines, after which the server closes.
fn request(line: impl AsRef<[u8]>, fields: &[&[u8]]) -> Vec<u8> {
    let mut raw = line.as_ref().to_vec();
    raw.extend(b"\r\nhost: api.example.com\r\nconnection: close\r\n");
    for field in fields {
        raw.extend(*field);
        raw.extend(b"\r\n");
    }
    raw.extend(b"\r\n");
    raw
}

fn get_me(fields: &[&[u8]]) -> Vec<u8> {
    request("GET /me HTTP/1.1", fields)
}

const ALICE: &[u8] = b"authorization: Bearer alice-token";
const BOB: &[u8] = b"authorization: Bearer bob-token";

const NO_ERROR: [&str; 1] = [r#"Bearer realm="api""#];
const INVALID_REQUEST: [&str; 1] = [r#"Bearer realm="api", error="invalid_request""#];
const INVALID_TOKEN: [&str; 1] = [r#"Bearer realm="api", error="invalid_token""#];

// ---------------------------------------------------------------------------------------------
// Tests

#[tokio::test]
async fn authorization_header_is_parsed_strictly() {
    let raw = |value: &[u8]| get_me(&[&[b"authorization: ", value].concat()]);
    let good = |name, value: &[u8]| served(name, raw(value), "alice");
    let none = |name, value: &[u8]| refused(name, raw(value), 401, NO_ERROR);
    let malformed = |name, value: &[u8]| refused(name, raw(value), 400, INVALID_REQUEST);
    let invalid = |name, value: &[u8]| refused(name, raw(value), 401, INVALID_TOKEN);
    let several = |name, fields| refused(name, get_me(fields), 400, INVALID_REQUEST);
    let no_http = |name, value: &[u8]| unreadable(name, raw(value));

    let of_length = |length: usize| {
        let token = "l".repeat(length - "Bearer ".len());
        format!("Bearer {token}").into_bytes()
    };
    let spaces = format!("Bearer{}alice-token", " ".repeat(60 * 1024));
    let cases = [
        good("plain", b"Bearer alice-token"),
        // (I02: error codes)
        refused("nothing", get_me(&[]), 401, NO_ERROR),
        none("empty", b""),
        // (B01: case of the scheme)
        good("lower case", b"bearer alice-token"),
        good("upper case", b"BEARER alice-token"),
        good("mixed case", b"bEaReR alice-token"),
        // (B02: one Authorization line)
        several("two lines", &[ALICE, ALICE]),
        several("two users", &[ALICE, b"Authorization: Bearer bob-token"]),
        several("foreign first", &[b"authorization: Basic YTpi", ALICE]),
        several("foreign second", &[ALICE, b"authorization: Basic YTpi"]),
        several("one empty", &[ALICE, b"authorization:"]),
        // (B03: joined credentials)
        malformed("comma joined", b"Bearer alice-token, Bearer bob-token"),
        malformed("comma at the end", b"Bearer alice-token,"),
        // (B04: white space)
        good("two spaces", b"Bearer  alice-token"),
        good("ten spaces", b"Bearer          alice-token"),
        good("white space around", b"\t Bearer alice-token \t "),
        malformed("tab", b"Bearer\talice-token"),
        malformed("space and tab", b"Bearer \talice-token"),
        malformed("scheme alone", b"Bearer"),
        malformed("scheme and space", b"Bearer "),
        malformed("trailing junk", b"Bearer alice-token x"),
        malformed("parameters", b"Bearer token=\"alice-token\""),
        // (B05: longer schemes)
        none("longer scheme", b"BearerToken alice-token"),
        none("no space", b"Beareralice-token"),
        none("foreign scheme", b"Basic YTpi"),
        // (B06: token grammar)
        malformed("quotes", b"Bearer \"alice-token\""),
        malformed("padding in front", b"Bearer =alice-token"),
        malformed("path in the token", b"Bearer ../../alice-token?"),
        // (B07: length limit)
        served("longest", raw(&of_length(MAX_LENGTH)), "longest"),
        malformed("one too long", &of_length(MAX_LENGTH + 1)),
        malformed("60 KiB", &of_length(60 * 1024)),
        malformed("60 KiB of spaces", spaces.as_bytes()),
        // (B08: bytes beyond ASCII)
        malformed("no-break space, Latin-1", b"Bearer \xa0alice-token"),
        malformed("no-break space, UTF-8", b"Bearer\xc2\xa0alice-token"),
        malformed("obs-text in the token", b"Bearer alice-token\xff"),
        malformed("obs-text in the scheme", b"B\xe4rer alice-token"),
        // (B16: placeholder tokens)
        invalid("null", b"Bearer null"),
        invalid("undefined", b"Bearer undefined"),
        // (C16: whole tokens)
        invalid("cut short", b"Bearer alice-toke"),
        invalid("extended", b"Bearer alice-token="),
        // What hyper takes for no header at all.
        no_http("folded", b"Bearer\r\n alice-token"),
        no_http("NUL", b"Bearer alice-token\0"),
        no_http("bare CR", b"Bearer\ralice-token"),
        no_http("DEL", b"Bearer alice-token\x7f"),
        unreadable("space before the colon", get_me(&[b"authorization : x"])),
    ];
    for server in Server::both().await {
        check(&server, &cases).await;
    }
}

#[tokio::test]
async fn lookalike_headers_and_client_identity_headers_have_no_effect() {
    let none = |name, fields| refused(name, get_me(fields), 401, NO_ERROR);
    let form = "access_token=alice-token";
    let form = [
        request(
            "POST /me HTTP/1.1",
            &[
                b"content-type: application/x-www-form-urlencoded",
                format!("content-length: {}", form.len()).as_bytes(),
            ],
        ),
        form.into(),
    ];
    let trailers = [
        request(
            "POST /me HTTP/1.1",
            &[b"transfer-encoding: chunked", b"trailer: authorization"],
        ),
        b"0\r\nauthorization: Bearer alice-token\r\n\r\n".to_vec(),
    ];
    let query = request("GET /me?access_token=alice-token HTTP/1.1", &[]);
    let cases = [
        // (B11: lookalike headers)
        none("underscore", &[b"authorization_: Bearer alice-token"]),
        none("in front", &[b"_authorization: Bearer alice-token"]),
        none("CGI", &[b"HTTP_AUTHORIZATION: Bearer alice-token"]),
        none("proxy", &[b"proxy-authorization: Bearer alice-token"]),
        none("x-", &[b"x-forwarded-authorization: Bearer alice-token"]),
        served(
            "a twin is no second header",
            get_me(&[ALICE, b"authorization_: Bearer bob-token"]),
            "alice",
        ),
        none("hop-by-hop", &[b"connection: authorization"]),
        served(
            "hop-by-hop with a credential",
            get_me(&[b"connection: authorization", ALICE]),
            "alice",
        ),
        served(
            "hop-by-hop twin",
            get_me(&[b"connection: x-user, Authorization", ALICE, b"x-user: bob"]),
            "alice",
        ),
        // (B12: identity headers)
        none("identity", &[b"x-user: alice", b"X_User: alice"]),
        none("identity of CGI", &[b"remote-user: alice"]),
        served(
            "identity of somebody else",
            get_me(&[
                BOB,
                b"x-user: alice",
                b"X_User: alice",
                b"remote-user: alice",
                b"x-forwarded-user: alice",
                b"x-auth-request-user: alice",
            ]),
            "bob",
        ),
        served(
            "identity on a public path",
            request(
                "GET /health HTTP/1.1",
                &[b"x-user: alice", b"X_User: alice"],
            ),
            "nobody",
        ),
        // (A18: override headers, A27: client markers)
        none(
            "path by header",
            &[b"x-original-url: /health", b"x-rewrite-url: /health"],
        ),
        none("forwarded path", &[b"x-forwarded-uri: /health"]),
        none("method by header", &[b"x-http-method-override: OPTIONS"]),
        none("probe", &[b"user-agent: kube-probe/1.30"]),
        // (B09: query and form tokens) RFC 6750 sections 2.2 and 2.3 are not offered.
        refused("query", query, 401, NO_ERROR),
        refused("form", form.concat(), 401, NO_ERROR),
        refused("trailers", trailers.concat(), 401, NO_ERROR),
        // Without `Host` and keep-alive.
        refused(
            "HTTP/1.0",
            b"GET /me HTTP/1.0\r\n\r\n".into(),
            401,
            NO_ERROR,
        ),
        served(
            "HTTP/1.0 with a credential",
            b"GET /me HTTP/1.0\r\nauthorization: Bearer alice-token\r\n\r\n".into(),
            "alice",
        ),
    ];
    for server in Server::both().await {
        check(&server, &cases).await;
    }
}

#[tokio::test]
async fn ambiguous_path_is_rejected_before_any_rule() {
    let get = |target: &str, fields| request(format!("GET {target} HTTP/1.1"), fields);
    let open = |name, target| served(name, get(target, &[]), "nobody");
    let closed = |name, target| refused(name, get(target, &[]), 401, NO_ERROR);
    let ambiguous = |name, target| refused(name, get(target, &[]), 400, []);
    // A good token does not make a path any clearer.
    let even_for_alice = |name, line| refused(name, request(line, &[ALICE]), 400, []);
    let orders = [r#"Bearer realm="api", scope="orders:read""#];
    let all_orders = [r#"Bearer realm="api", scope="orders:read orders:write""#];
    let lacking =
        [r#"Bearer realm="api", error="insufficient_scope", scope="orders:read orders:write""#];
    let preflight: [&[u8]; 2] = [
        b"origin: https://a.example",
        b"access-control-request-method: GET",
    ];

    let cases = [
        open("public", "/public/a"),
        // (A01: whole segments)
        closed("longer segment", "/publication"),
        // (A02: dot segments)
        ambiguous("dots", "/public/../orders"),
        ambiguous("one dot", "/public/./orders"),
        ambiguous("encoded dots", "/public/%2e%2E/orders"),
        ambiguous("dots at the end", "/public/.."),
        even_for_alice("dots", "GET /public/../orders HTTP/1.1"),
        // (A03: encoded separators)
        ambiguous("encoded slash", "/public%2forders"),
        ambiguous("encoded slash and dots", "/public/..%2forders"),
        ambiguous("encoded backslash", "/public%5Corders"),
        // (A04: encoded paths)
        refused("encoded letter", get("/%6frders", &[]), 401, orders),
        closed("encoded letter, public", "/%70ublic/a"),
        // (A05: double encoding)
        ambiguous("double encoding", "/public/%252e%252e/orders"),
        // (A06: repeated slashes)
        ambiguous("two slashes", "//public/a"),
        ambiguous("two slashes within", "/public//a"),
        ambiguous("two slashes and a host", "//a.example/public/a"),
        // (A08: path parameters)
        ambiguous("parameter", "/public;x=y/a"),
        ambiguous("parameter and dots", "/public/..;/orders"),
        // (A09: query and fragment)
        closed("query", "/me?/public/a"),
        closed("fragment", "/me#/public/a"),
        ambiguous("encoded fragment", "/me%23/../public/a"),
        open("fragment, public", "/public/a#/../me"),
        // (A10: request targets) RFC 9110 section 9.3.7: no path, so decided like a request that no
        // rule names.
        refused(
            "asterisk of OPTIONS",
            request("OPTIONS * HTTP/1.1", &[]),
            401,
            NO_ERROR,
        ),
        even_for_alice("asterisk of a GET", "GET * HTTP/1.1"),
        even_for_alice("authority", "CONNECT public:443 HTTP/1.1"),
        even_for_alice("authority of a GET", "GET public HTTP/1.1"),
        ambiguous("asterisk, nobody", "*"),
        ambiguous("authority, nobody", "public"),
        closed("absolute", "http://public/me"),
        closed("absolute, no path", "http://public"),
        closed("absolute, other scheme", "ftp://public/me"),
        ambiguous("absolute, dots", "http://public/public/../me"),
        open("absolute, public", "http://evil.example/public/a"),
        served(
            "absolute, alice",
            get("http://public/me", &[ALICE]),
            "alice",
        ),
        // (A11: invalid characters)
        ambiguous("backslash", "/public\\orders"),
        ambiguous("backslash and dots", "/public\\..\\orders"),
        ambiguous("NUL", "/public/%00"),
        ambiguous("line feed", "/public/%0a"),
        ambiguous("line separator", "/public/%e2%80%a8"),
        ambiguous("line separator, raw", "/public/\u{2028}"),
        ambiguous("bad escape", "/public/%zz"),
        ambiguous("escape of no UTF-8", "/public/%ff"),
        open("UTF-8, raw", "/public/ä"),
        closed("UTF-8, raw, not public", "/ä"),
        // (A13: case of paths and methods)
        closed("upper case", "/PUBLIC/a"),
        // (A15: unlisted methods)
        refused(
            "unknown method",
            request("FROB /orders HTTP/1.1", &[BOB]),
            403,
            lacking,
        ),
        refused(
            "lower case",
            request("get /orders HTTP/1.1", &[]),
            401,
            all_orders,
        ),
        // (A16: CORS preflights) A preflight is a request like any other unless the layer is told
        // to pass it.
        refused(
            "preflight",
            request("OPTIONS /me HTTP/1.1", &preflight),
            401,
            NO_ERROR,
        ),
        // What hyper takes for no request at all.
        unreadable("space", get("/public/ a", &[])),
        unreadable("NUL, raw", get("/public/\0", &[])),
        unreadable("no UTF-8", request(b"GET /public/\xff HTTP/1.1", &[])),
        unreadable("no target", request("GET HTTP/1.1", &[])),
    ];
    for server in Server::both().await {
        check(&server, &cases).await;
    }
}

#[tokio::test]
async fn layer_without_rules_accepts_any_path_and_requires_credential() {
    let plain = || BearerAuthLayer::new(validator()).with_policy(authenticated());
    for server in [Server::hyper(plain()).await, Server::axum(plain()).await] {
        for target in ["/", "/a/../b", "//", "/%00", "*", "http://a/b"] {
            let line = format!("GET {target} HTTP/1.1");
            check(
                &server,
                &[
                    refused("anonymous", request(&line, &[]), 401, NO_ERROR),
                    served("alice", request(&line, &[ALICE]), "alice"),
                ],
            )
            .await;
        }
    }
}

#[tokio::test]
async fn each_rejection_kind_has_its_status_and_challenge() {
    struct Kind {
        name: &'static str,
        line: &'static str,
        token: Option<&'static str>,
        status: u16,
        error: Option<&'static str>,
        more: &'static str,
        retry_after: Option<&'static str>,
    }
    let me = Kind {
        name: "nothing",
        line: "GET /me HTTP/1.1",
        token: None,
        status: 401,
        error: None,
        more: "",
        retry_after: None,
    };
    let kinds = [
        // (I02: error codes) RFC 6750 section 3.1
        Kind { ..me },
        Kind {
            name: "nothing, where a scope is needed",
            line: "GET /orders HTTP/1.1",
            more: r#", scope="orders:read""#,
            ..me
        },
        Kind {
            name: "unreadable",
            token: Some("a,b"),
            status: 400,
            error: Some("invalid_request"),
            ..me
        },
        Kind {
            name: "malformed to the validator",
            token: Some("shapeless-token"),
            status: 400,
            error: Some("invalid_request"),
            ..me
        },
        Kind {
            name: "expired",
            token: Some("expired-token"),
            error: Some("invalid_token"),
            ..me
        },
        Kind {
            name: "unknown, where a scope is needed",
            line: "GET /orders HTTP/1.1",
            token: Some("unknown-token"),
            error: Some("invalid_token"),
            ..me
        },
        Kind {
            name: "scopes are lacking",
            line: "POST /orders HTTP/1.1",
            token: Some("bob-token"),
            status: 403,
            error: Some("insufficient_scope"),
            more: r#", scope="orders:read orders:write""#,
            ..me
        },
        Kind {
            name: "forbidden",
            line: "GET /closed HTTP/1.1",
            token: Some("alice-token"),
            status: 403,
            ..me
        },
        // RFC 9470 section 3
        Kind {
            name: "step-up",
            line: "GET /vault HTTP/1.1",
            token: Some("alice-token"),
            error: Some("insufficient_user_authentication"),
            more: r#", acr_values="gold silver""#,
            ..me
        },
        // RFC 9110 section 10.2.3: whole seconds, and never too early.
        Kind {
            name: "outage",
            token: Some("outage-token"),
            status: 503,
            retry_after: Some("7"),
            ..me
        },
        Kind {
            name: "throttled",
            token: Some("flood-token"),
            status: 429,
            retry_after: Some("30"),
            ..me
        },
    ];
    for server in Server::both().await {
        for kind in &kinds {
            let name = format!("{}: {}", server.name, kind.name);
            let token = kind
                .token
                .map(|token| format!("authorization: Bearer {token}"));
            let fields: Vec<&[u8]> = token.iter().map(String::as_bytes).collect();
            let reply = server.exchange(&request(kind.line, &fields)).await;
            assert_eq!(reply.status, kind.status, "{name}");
            assert_eq!(reply.by(), By::Layer, "{name}");

            let error = kind.error.map(|error| format!(r#", error="{error}""#));
            let challenge = format!(
                r#"Bearer realm="api"{}{}"#,
                error.unwrap_or_default(),
                kind.more
            );
            let expected = match kind.status {
                429 | 503 => Vec::new(),
                _ => vec![challenge.as_str()],
            };
            assert_eq!(reply.challenges(), expected, "{name}");

            let retry_after = reply.headers.get(RETRY_AFTER);
            let retry_after = retry_after.map(|value| value.to_str().unwrap());
            assert_eq!(retry_after, kind.retry_after, "{name}");

            // (I04: client texts) What else stands in the body is checked for every answer.
            let problem: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
            let error = problem.get("error").map(|error| error.as_str().unwrap());
            assert_eq!(error, kind.error, "{name}");
        }
        assert_eq!(server.reached(), 0);
    }
}

#[tokio::test]
async fn realm_cannot_escape_its_quotes() {
    // (I01: grammatical headers)
    let realm = "a\", error=\"none\"\r\nset-cookie: x=y\\\u{e9}\0, Basic realm=\"b";
    let server = Server::hyper(layer().with_realm(realm)).await;
    let reply = server.exchange(&get_me(&[])).await;
    let expected = r#"Bearer realm="a, error=noneset-cookie: x=y, Basic realm=b""#;
    assert_eq!(reply.challenges(), [expected]);
    assert!(!reply.headers.contains_key("set-cookie"));
}

const API_KEY_OFFER: &str = r#"ApiKey realm="api", header="x-api-key""#;
const BASIC_OFFER: &str = r#"Basic realm="api", charset="UTF-8""#;
const BEARER_OFFER: &str = r#"Bearer realm="api""#;
const COOKIE_OFFER: &str = r#"Cookie realm="api", cookie-name="session""#;

#[tokio::test]
async fn each_offered_scheme_has_a_separate_challenge_line() {
    // (I01: grammatical headers, I03: challenge of a 401)
    let sources = [
        Source::basic(),
        Source::bearer(),
        Source::api_key(HeaderName::from_static("x-api-key")),
        Source::cookie("session"),
        Source::websocket_protocol("bearer"),
    ];
    let server = Server::axum(layer().with_sources(sources).unwrap()).await;
    let plain = [BASIC_OFFER, BEARER_OFFER, API_KEY_OFFER, COOKIE_OFFER];
    // The scheme that was used is told what was wrong.
    let bad_bearer = [BASIC_OFFER, INVALID_TOKEN[0], API_KEY_OFFER, COOKIE_OFFER];
    let bad_key = [
        BASIC_OFFER,
        BEARER_OFFER,
        r#"ApiKey realm="api", header="x-api-key", error="invalid_token""#,
        COOKIE_OFFER,
    ];
    let unknown_token: &[u8] = b"authorization: Bearer unknown-token";
    let unknown_user: &[u8] = b"authorization: Basic YTpi";
    let cases = [
        refused("nothing", get_me(&[]), 401, plain),
        refused("bearer", get_me(&[unknown_token]), 401, bad_bearer),
        refused("API key", get_me(&[b"x-api-key: x"]), 401, bad_key),
        // RFC 7617 knows no parameter for errors.
        refused("basic", get_me(&[unknown_user]), 401, plain),
    ];
    check(&server, &cases).await;
}

#[tokio::test]
async fn credential_in_two_places_is_rejected() {
    let server = Server::axum(many_sources()).await;
    let key: &[u8] = b"x-api-key: alice-token";
    let cookie: &[u8] = b"cookie: session=alice-token";
    let upgrade: &[u8] = b"upgrade: websocket";
    let protocol: &[u8] = b"sec-websocket-protocol: bearer, alice-token";
    let invalid_request = [
        r#"Bearer realm="api", error="invalid_request""#,
        r#"ApiKey realm="api", header="x-api-key", error="invalid_request""#,
        r#"Cookie realm="api", cookie-name="session", error="invalid_request""#,
    ];
    let nothing = [BEARER_OFFER, API_KEY_OFFER, COOKIE_OFFER];
    let good = |name, field| served(name, get_me(&[field]), "alice");
    let none = |name, field| refused(name, get_me(&[field]), 401, nothing);
    let bad = |name, fields| refused(name, get_me(fields), 400, invalid_request);
    let cases = [
        good("API key", key),
        good("API key in upper case", b"X-API-KEY: alice-token"),
        good("cookie", cookie),
        good(
            "cookie among others",
            b"cookie: a=b; session=alice-token; c=d",
        ),
        // (B09: query and form tokens)
        bad("bearer and API key", &[ALICE, key]),
        bad("bearer and cookie", &[ALICE, cookie]),
        bad("API key and cookie", &[key, cookie]),
        bad("bearer and subprotocol", &[ALICE, upgrade, protocol]),
        bad("all", &[ALICE, key, cookie, upgrade, protocol]),
        bad("API key twice", &[key, key]),
        bad("cookie twice", &[b"cookie: session=alice-token; session=b"]),
        bad("cookie in two lines", &[cookie, cookie]),
        // (B11: lookalike headers)
        none("underscores in the name", b"x_api_key: alice-token"),
        none("cookie of another name", b"cookie: xsession=alice-token"),
        none("subprotocol without a handshake", protocol),
        // (B04: white space, B08: bytes beyond ASCII)
        bad("API key with a space", &[b"x-api-key: alice token"]),
        bad("API key of obs-text", &[b"x-api-key: alice\xff"]),
        bad("empty API key", &[b"x-api-key:"]),
    ];
    check(&server, &cases).await;
}

#[tokio::test]
async fn cross_site_cookie_is_rejected() {
    // (B10: cross-site requests, L01: exact origins, L02: unknown values)
    let server = Server::axum(many_sources()).await;
    let cookie: &[u8] = b"cookie: session=alice-token";
    let post = |fields: &[&[u8]]| request("POST /me HTTP/1.1", &[&[cookie], fields].concat());
    let good = |name, fields| served(name, post(fields), "alice");
    let bad = |name, fields| refused(name, post(fields), 403, [COOKIE_OFFER]);
    let same_origin: &[u8] = b"sec-fetch-site: same-origin";
    let cross_site: &[u8] = b"sec-fetch-site: cross-site";
    let cases = [
        good("same origin", &[same_origin]),
        good("typed by the user", &[b"sec-fetch-site: none"]),
        good("no browser", &[]),
        good("own origin", &[b"origin: https://api.example.com"]),
        good("trusted", &[cross_site, b"origin: https://app.example.com"]),
        bad("cross site", &[cross_site]),
        bad("same site", &[b"sec-fetch-site: same-site"]),
        bad("unknown value", &[b"sec-fetch-site: friendly"]),
        bad("two values", &[same_origin, cross_site]),
        bad("foreign origin", &[b"origin: https://evil.example"]),
        bad("no origin", &[b"origin: null"]),
        bad(
            "other scheme",
            &[cross_site, b"origin: http://app.example.com"],
        ),
        bad(
            "like the host",
            &[b"origin: https://api.example.com.evil.example"],
        ),
        served("safe", get_me(&[cookie, cross_site]), "alice"),
        // No browser sends these by itself, so no other site can have it done.
        served(
            "bearer from another site",
            request("POST /me HTTP/1.1", &[ALICE, cross_site]),
            "alice",
        ),
        served(
            "API key from another site",
            request(
                "POST /me HTTP/1.1",
                &[b"x-api-key: alice-token", cross_site],
            ),
            "alice",
        ),
    ];
    check(&server, &cases).await;
}

#[tokio::test]
async fn hook_event_contains_no_client_input() {
    // (J04: error texts, J05: bounded labels) What is counted and logged has a bound and no secret.
    let told = Arc::new(Mutex::new(Vec::new()));
    let events = Arc::clone(&told);
    let layer = many_sources().on_decision(move |event| {
        let scheme = event.scheme().map(|scheme| scheme.as_str());
        let source = event.source().map(|source| source.as_str());
        let mut text = format!("{event:?} {scheme:?} {source:?}");
        if let Outcome::Rejected(rejection) = event.outcome() {
            let kind = rejection.kind();
            let labels = [Some(kind.as_str()), kind.reason()];
            text = format!("{text} {rejection} {rejection:?} {labels:?}");
        }
        events.lock().unwrap().push(text);
    });
    let server = Server::hyper(layer).await;
    let get = |path: &str, fields| request(format!("GET {path} HTTP/1.1"), fields);
    let questions = [
        get("/marker?marker", &[]),
        get("/public/marker", &[]),
        get("/orders/marker", &[BOB]),
        get("/marker/../marker", &[]),
        get("/%2emarker", &[ALICE]),
        get_me(&[b"authorization: marker marker"]),
        get_me(&[b"authorization: Bearer marker"]),
        get_me(&[b"authorization: Bearer marker, marker"]),
        get_me(&[b"authorization: Bearer expired-token"]),
        get_me(&[b"authorization: Bearer outage-token"]),
        get_me(&[b"x-api-key: marker", b"cookie: session=marker"]),
        get_me(&[b"x-api-key: marker"]),
        get_me(&[b"cookie: session=marker"]),
    ];
    for question in &questions {
        server.exchange(question).await;
    }
    let told = told.lock().unwrap();
    assert_eq!(told.len(), questions.len());
    for text in &*told {
        for secret in ["marker", "expired-token", "outage-token", DETAIL] {
            assert!(!text.contains(secret), "{secret:?} in {text}");
        }
    }
}

#[tokio::test]
async fn responder_changes_body_and_http_rules_still_hold() {
    // (I03: challenge of a 401, I05: no storing, I07: HTTP framing) With an answer of its own for
    // everything, 401 still has its challenge.
    let layer = || {
        layer().with_responder(|_: &Rejection, _: &RequestView<'_>| {
            let mut response = Response::new(Bytes::from_static(b"no"));
            *response.status_mut() = StatusCode::UNAUTHORIZED;
            response
        })
    };
    for server in [Server::hyper(layer()).await, Server::axum(layer()).await] {
        for raw in refusals("GET") {
            let mut wire = Wire::open(server.addr).await;
            wire.send(&raw).await;
            let reply = wire.reader.reply(false).await;
            assert_eq!(reply.status, 401);
            assert_eq!(reply.by(), By::Layer);
            assert_eq!(reply.body, b"no");
            assert_eq!(reply.headers[CACHE_CONTROL], "no-store");
        }
    }
}

#[tokio::test]
async fn inner_service_sees_credential_only_with_opt_in() {
    // (B13: hidden credentials)
    let keeping = Server::hyper(many_sources()).await;
    let removing = Server::hyper(many_sources().remove_credential()).await;
    let cases: [(&str, Vec<u8>, &str, &str); 5] = [
        ("bearer", get_me(&[ALICE]), "Bearer alice-token", ""),
        (
            "hop-by-hop",
            get_me(&[b"connection: authorization", ALICE]),
            "Bearer alice-token",
            "",
        ),
        (
            "API key",
            get_me(&[b"x-api-key: alice-token"]),
            "alice-token",
            "",
        ),
        (
            "cookie",
            get_me(&[b"cookie: a=b; session=alice-token; c=d"]),
            "a=b; session=alice-token; c=d",
            "a=b; c=d",
        ),
        (
            "public path",
            request(
                "GET /health HTTP/1.1",
                &[ALICE, b"cookie: session=alice-token; c=d"],
            ),
            "Bearer alice-token | session=alice-token; c=d",
            "c=d",
        ),
    ];
    for (name, raw, kept, left) in cases {
        assert_eq!(keeping.exchange(&raw).await.saw(), kept, "{name}");
        assert_eq!(removing.exchange(&raw).await.saw(), left, "{name}");
    }
}

/// Requests that are refused in different ways, without `connection: close`.
fn refusals(method: &str) -> Vec<Vec<u8>> {
    let head = |path: &str, field: &str| {
        format!("{method} {path} HTTP/1.1\r\nhost: a\r\n{field}\r\n").into_bytes()
    };
    vec![
        head("/me", ""),
        head("/me", "authorization: Bearer\r\n"),
        head("/me", "authorization: Bearer expired-token\r\n"),
        head("/orders", "authorization: Bearer bob-token\r\n"),
        head("/me", "authorization: Bearer outage-token\r\n"),
        head("/me/../me", ""),
    ]
}

/// Refusals of HEAD on one connection, each with what GET gives. The answers stay in step, so none of
/// those to HEAD has a body.
async fn heads_and_gets(server: &Server) -> Vec<(Reply, Reply)> {
    let mut wire = Wire::open(server.addr).await;
    let mut pairs = Vec::new();
    for (head, get) in refusals("HEAD").into_iter().zip(refusals("GET")) {
        wire.send(&head).await;
        let head = wire.reader.reply(true).await;
        wire.send(&get).await;
        let get = wire.reader.reply(false).await;
        assert_eq!(head.by(), By::Layer);
        assert_eq!(get.by(), By::Layer);
        pairs.push((head, get));
    }
    assert!(wire.reader.buffer.is_empty());
    assert_eq!(server.reached(), 0);
    pairs
}

#[tokio::test]
async fn rejection_of_head_equals_get_without_body() {
    // (I07: HTTP framing, A15: unlisted methods)
    for server in Server::both().await {
        for (head, get) in heads_and_gets(&server).await {
            assert_eq!(head.status, get.status);
            for name in [WWW_AUTHENTICATE, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER] {
                let head: Vec<_> = head.headers.get_all(&name).iter().collect();
                let get: Vec<_> = get.headers.get_all(&name).iter().collect();
                assert_eq!(head, get);
            }
            assert!(!get.body.is_empty());
        }
    }
}

#[tokio::test]
async fn rejection_of_head_has_content_length_of_get_or_none() {
    // (I07: HTTP framing) RFC 9110 section 8.6: any other number would be wrong.
    for server in Server::both().await {
        for (head, get) in heads_and_gets(&server).await {
            let length = head.headers.get(CONTENT_LENGTH);
            assert!(
                length.is_none() || length == get.headers.get(CONTENT_LENGTH),
                "{}: {length:?} for a body of {}",
                server.name,
                get.body.len()
            );
        }
    }
}

#[tokio::test]
async fn connection_stays_usable_and_stateless_after_rejections() {
    // (I07: HTTP framing)
    for server in Server::both().await {
        let mut wire = Wire::open(server.addr).await;
        for _ in 0..3 {
            wire.send(b"GET /me HTTP/1.1\r\nhost: a\r\n\r\n").await;
            assert_eq!(wire.reader.reply(false).await.status, 401);
            wire.send(b"GET /me HTTP/1.1\r\nhost: a\r\nauthorization: Bearer alice-token\r\n\r\n")
                .await;
            assert_eq!(
                wire.reader.reply(false).await.by(),
                By::Handler("alice".into())
            );
        }
        // In one go, so that the second is there before the first is answered.
        wire.send(
            b"GET /me HTTP/1.1\r\nhost: a\r\nauthorization: Bearer alice-token\r\n\r\n\
              GET /health HTTP/1.1\r\nhost: a\r\n\r\n\
              GET /me HTTP/1.1\r\nhost: a\r\n\r\n",
        )
        .await;
        assert_eq!(
            wire.reader.reply(false).await.by(),
            By::Handler("alice".into())
        );
        assert_eq!(
            wire.reader.reply(false).await.by(),
            By::Handler("nobody".into())
        );
        assert_eq!(wire.reader.reply(false).await.by(), By::Layer);
    }
}

#[tokio::test]
async fn body_of_rejected_request_is_not_parsed_as_next_request() {
    // (I07: HTTP framing)
    let inner = "GET /me HTTP/1.1\r\nhost: a\r\nauthorization: Bearer alice-token\r\n\r\n";
    let whole = format!(
        "POST /me HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{inner}",
        inner.len()
    );
    let chunked = format!(
        "POST /me HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{inner}\r\n0\r\n\r\n",
        inner.len()
    );
    for server in Server::both().await {
        for raw in [&whole, &chunked] {
            let mut wire = Wire::open(server.addr).await;
            wire.send(raw.as_bytes()).await;
            assert_eq!(wire.reader.reply(false).await.by(), By::Layer);
            // A small body is read away, so the connection is good for another request.
            wire.send(b"GET /health HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
                .await;
            assert_eq!(
                wire.reader.reply(false).await.by(),
                By::Handler("nobody".into())
            );
            assert_eq!(wire.reader.rest().await, b"");
        }
        assert_eq!(server.reached(), 2);
    }
}

#[tokio::test]
async fn rejection_is_sent_before_request_body_arrives() {
    // (I07: HTTP framing)
    let heads = [
        "POST /me HTTP/1.1\r\nhost: a\r\ncontent-length: 1048576\r\n\r\nonly the beginning",
        "POST /me HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nonly ",
    ];
    for server in Server::both().await {
        for head in heads {
            let mut wire = Wire::open(server.addr).await;
            wire.send(head.as_bytes()).await;
            assert_eq!(wire.reader.reply(false).await.status, 401);
            // What would come next cannot be told from the body, so hyper closes.
            assert_eq!(wire.reader.rest().await, b"");
        }
        assert_eq!(server.reached(), 0);
    }
}

#[tokio::test]
async fn expect_100_continue_is_rejected_without_continue() {
    // (I07: HTTP framing)
    for server in Server::both().await {
        let mut wire = Wire::open(server.addr).await;
        wire.send(
            b"POST /me HTTP/1.1\r\nhost: a\r\ncontent-length: 1048576\r\nexpect: 100-continue\r\n\r\n",
        )
        .await;
        let reply = wire.reader.reply(false).await;
        assert_eq!(reply.status, 401);
        assert!(!reply.continued);
    }
}

#[tokio::test]
async fn large_body_does_not_block_rejection() {
    // (I07: HTTP framing)
    let mut raw = b"POST /me HTTP/1.1\r\nhost: a\r\ncontent-length: 1048576\r\n\r\n".to_vec();
    raw.resize(raw.len() + 1_048_576, b'x');
    for server in Server::both().await {
        let Wire {
            mut reader,
            mut writer,
        } = Wire::open(server.addr).await;
        let (written, reply) = tokio::join!(
            within("write", writer.write_all(&raw)),
            within("answer", reader.reply(false)),
        );
        assert_eq!(reply.status, 401);
        // Then either the body has been read away and the connection goes on, or it ends.
        let next = b"GET /health HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        if written.is_ok() && writer.write_all(next).await.is_ok() {
            let mut end = [0; 12];
            let read = within("next answer", reader.stream.read(&mut end)).await;
            assert!(
                matches!(&read, Ok(0) | Err(_)) || end == *b"HTTP/1.1 200",
                "{}: {read:?}",
                server.name
            );
        }
        assert!(server.reached() <= 1);
    }
}

// ---------------------------------------------------------------------------------------------
// WebSockets

type Socket = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<TcpStream>>;

/// A handshake by a client that we did not write, with these headers added.
async fn connect(
    server: &Server,
    fields: &[(&'static str, &str)],
) -> Result<(Socket, HeaderMap), Reply> {
    let mut request = format!("ws://{}/ws", server.addr)
        .into_client_request()
        .unwrap();
    for (name, value) in fields {
        request
            .headers_mut()
            .insert(*name, HeaderValue::from_str(value).unwrap());
    }
    match within("handshake", tokio_tungstenite::connect_async(request)).await {
        Ok((socket, response)) => {
            assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
            inspect(&response.status(), response.headers(), None);
            Ok((socket, response.headers().clone()))
        }
        Err(tungstenite::Error::Http(response)) => {
            inspect(&response.status(), response.headers(), None);
            assert!(!response.headers().contains_key("sec-websocket-accept"));
            Err(Reply {
                status: response.status(),
                headers: response.headers().clone(),
                body: Vec::new(),
                continued: false,
            })
        }
        Err(error) => panic!("{error}"),
    }
}

async fn next(socket: &mut Socket) -> tungstenite::Message {
    within("frame", socket.next()).await.unwrap().unwrap()
}

/// Sends text and bytes both ways and says what the handler saw of the credential.
async fn echoes(mut socket: Socket) -> String {
    let seen = next(&mut socket).await.into_text().unwrap().to_string();
    let bytes: Vec<u8> = (0..100_000_u32).map(|byte| byte as u8).collect();
    for message in [
        tungstenite::Message::text("grüße"),
        tungstenite::Message::binary(bytes),
    ] {
        socket.send(message.clone()).await.unwrap();
        assert_eq!(next(&mut socket).await, message);
    }
    socket.close(None).await.unwrap();
    seen
}

#[tokio::test]
async fn websocket_without_credential_is_rejected_before_upgrade() {
    let server = Server::axum(layer()).await;
    let reply = connect(&server, &[]).await.unwrap_err();
    assert_eq!(reply.status, 401);
    assert_eq!(reply.challenges(), NO_ERROR);
    let reply = connect(&server, &[("authorization", "Bearer expired-token")])
        .await
        .unwrap_err();
    assert_eq!(reply.status, 401);
    assert_eq!(reply.challenges(), INVALID_TOKEN);
    assert_eq!(server.reached(), 0);
}

#[tokio::test]
async fn websocket_with_authorization_header_upgrades_unchanged() {
    let server = Server::axum(layer()).await;
    let (socket, headers) = connect(&server, &[("authorization", "Bearer alice-token")])
        .await
        .unwrap();
    assert_eq!(headers[CONNECTION], "upgrade");
    assert!(!headers.contains_key(CACHE_CONTROL));
    assert_eq!(echoes(socket).await, "Bearer alice-token");

    // (B13: hidden credentials)
    let server = Server::axum(layer().remove_credential()).await;
    let (socket, _) = connect(&server, &[("authorization", "Bearer alice-token")])
        .await
        .unwrap();
    assert_eq!(echoes(socket).await, "");
}

#[tokio::test]
async fn websocket_with_token_subprotocol_gets_marker_subprotocol() {
    let fields = [("sec-websocket-protocol", "bearer, alice-token")];
    let server = Server::axum(many_sources()).await;
    let (socket, headers) = connect(&server, &fields).await.unwrap();
    assert_eq!(headers[SEC_WEBSOCKET_PROTOCOL], "bearer");
    assert_eq!(echoes(socket).await, "bearer, alice-token");

    // (B13: hidden credentials)
    let server = Server::axum(many_sources().remove_credential()).await;
    let (socket, headers) = connect(&server, &fields).await.unwrap();
    assert_eq!(headers[SEC_WEBSOCKET_PROTOCOL], "bearer");
    assert_eq!(echoes(socket).await, "bearer");

    for (protocols, status) in [
        ("bearer", 400),
        ("bearer, ", 400),
        ("bearer, alice-token, bearer, bob-token", 400),
        ("bearer, expired-token", 401),
        ("Bearer, alice-token", 401),
        ("chat, alice-token", 401),
    ] {
        let reply = connect(&server, &[("sec-websocket-protocol", protocols)])
            .await
            .unwrap_err();
        assert_eq!(reply.status, status, "{protocols}");
    }
    // Not offered, not read.
    let server = Server::axum(layer()).await;
    assert_eq!(connect(&server, &fields).await.unwrap_err().status, 401);
    assert_eq!(server.reached(), 0);
}

#[tokio::test]
async fn websocket_with_cookie_opens_only_from_same_site() {
    // (B10: cross-site requests)
    let server = Server::axum(many_sources()).await;
    let own = format!("http://{}", server.addr);
    let cookie = ("cookie", "session=alice-token");
    for (origin, expected) in [
        (own.as_str(), None),
        ("https://app.example.com", None),
        ("https://evil.example", Some(403)),
        ("null", Some(403)),
    ] {
        let before = server.reached();
        match connect(&server, &[cookie, ("origin", origin)]).await {
            Ok((socket, _)) => {
                assert_eq!(expected, None, "{origin}");
                assert_eq!(echoes(socket).await, "session=alice-token");
            }
            Err(reply) => {
                assert_eq!(Some(reply.status.as_u16()), expected, "{origin}");
                assert_eq!(
                    reply.challenges(),
                    [r#"Cookie realm="api", cookie-name="session""#]
                );
                assert_eq!(server.reached(), before, "{origin}");
            }
        }
    }
    let foreign = [
        cookie,
        ("sec-fetch-site", "cross-site"),
        ("origin", "https://evil.example"),
    ];
    assert_eq!(connect(&server, &foreign).await.unwrap_err().status, 403);
}
