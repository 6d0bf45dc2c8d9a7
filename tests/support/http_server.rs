//! A real HTTP server that answers as the test says, on a thread and a runtime of its own.

#![allow(dead_code, reason = "each test uses some of it")]

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// No test waits longer for what has to happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// A request that came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// What is answered.
#[derive(Clone)]
pub(crate) enum Reply {
    Answer {
        status: StatusCode,
        headers: HeaderMap,
        body: Bytes,
    },
    /// 304 to whoever has this tag.
    Tagged(&'static str, Box<Reply>),
    /// Nothing until the gate is opened.
    Held(Gate, Box<Reply>),
    /// The connection is closed without an answer.
    Close,
    /// A length of this much is announced, and the connection closed after less.
    Cut(u64),
    /// A body without announced length that never ends.
    Endless,
    /// A length of this much is announced, and hardly anything comes.
    Stalled(u64),
}

impl Reply {
    pub(crate) fn status(status: u16) -> Self {
        Self::Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    pub(crate) fn json(body: impl ToString) -> Self {
        Self::text(body).header(CONTENT_TYPE, "application/json")
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "so that texts and JSON values are given alike"
    )]
    pub(crate) fn text(body: impl ToString) -> Self {
        Self::Answer {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: body.to_string().into(),
        }
    }

    pub(crate) fn bytes(body: impl AsRef<[u8]>) -> Self {
        Self::Answer {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: Bytes::copy_from_slice(body.as_ref()),
        }
    }

    pub(crate) fn redirect(to: &str) -> Self {
        Self::status(302).header(LOCATION, to)
    }

    pub(crate) fn header(mut self, name: HeaderName, value: &str) -> Self {
        match &mut self {
            Self::Answer { headers, .. } => {
                headers.append(name, HeaderValue::from_str(value).unwrap());
            }
            Self::Tagged(_, reply) | Self::Held(_, reply) => {
                **reply = reply.as_ref().clone().header(name, value);
            }
            Self::Close | Self::Cut(_) | Self::Endless | Self::Stalled(_) => {
                panic!("there are no headers")
            }
        }
        self
    }

    pub(crate) fn tagged(self, etag: &'static str) -> Self {
        Self::Tagged(etag, Box::new(self.header(ETAG, etag)))
    }

    pub(crate) fn held(self, gate: &Gate) -> Self {
        Self::Held(gate.clone(), Box::new(self))
    }
}

/// Holds answers back until it is opened.
#[derive(Clone)]
pub(crate) struct Gate(Arc<watch::Sender<bool>>);

impl Gate {
    pub(crate) fn closed() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    pub(crate) fn open(&self) {
        self.0.send_replace(true);
    }
}

#[derive(Default)]
struct Shared {
    replies: Mutex<HashMap<String, Reply>>,
    seen: Mutex<Vec<Seen>>,
    /// How many requests came for each path.
    arrived: watch::Sender<HashMap<String, usize>>,
    /// How many answers nobody was there for any more.
    abandoned: watch::Sender<usize>,
}

pub(crate) struct HttpServer {
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    shared: Arc<Shared>,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl HttpServer {
    /// On a free port of 127.0.0.1. Every path is 404 until [`set`](Self::set).
    pub(crate) fn start() -> Self {
        Self::listen(None)
    }

    /// Starts a server with TLS and the certificate `tests/keys/tls-server.pem`.
    pub(crate) fn start_tls() -> Self {
        let path = |file: &str| format!("{}/tests/keys/{file}", env!("CARGO_MANIFEST_DIR"));
        let certificate = CertificateDer::from_pem_file(path("tls-server.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_file(path("tls-server.key.pem")).unwrap();
        let config = ServerConfig::builder_with_provider(aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        Self::listen(Some(TlsAcceptor::from(Arc::new(config))))
    }

    fn listen(tls: Option<TlsAcceptor>) -> Self {
        let shared = Arc::default();
        let address = ([127, 0, 0, 1], 0).into();
        let (address, running) = run(address, tls.clone(), Arc::clone(&shared));
        Self {
            address,
            tls,
            shared,
            running: Some(running),
        }
    }

    /// With this answer for `path`.
    pub(crate) fn with(path: &str, reply: Reply) -> Self {
        let server = Self::start();
        server.set(path, reply);
        server
    }

    pub(crate) fn set(&self, path: &str, reply: Reply) {
        let mut replies = self.shared.replies.lock().unwrap();
        replies.insert(path.to_owned(), reply);
    }

    pub(crate) fn url(&self, path: &str) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.address)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Nobody listens any more.
    pub(crate) fn stop(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            drop(stop);
            thread.join().unwrap();
        }
    }

    /// Listens again, at the same port.
    pub(crate) fn restart(&mut self) {
        assert!(self.running.is_none());
        let (_, running) = run(self.address, self.tls.clone(), Arc::clone(&self.shared));
        self.running = Some(running);
    }

    /// How many requests came for `path`, with its query.
    pub(crate) fn count(&self, path: &str) -> usize {
        self.shared.arrived.borrow().get(path).copied().unwrap_or(0)
    }

    /// How many requests came.
    pub(crate) fn total(&self) -> usize {
        self.shared.arrived.borrow().values().sum()
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    pub(crate) fn last(&self) -> Seen {
        self.seen().last().expect("a request").clone()
    }

    /// Waits until as many requests have come for `path`.
    pub(crate) async fn arrived(&self, path: &str, count: usize) {
        let mut arrived = self.shared.arrived.subscribe();
        let enough =
            arrived.wait_for(|arrived| arrived.get(path).is_some_and(|have| *have >= count));
        let waited = tokio::time::timeout(PATIENCE, enough).await;
        waited
            .unwrap_or_else(|_| panic!("{count} requests for {path}"))
            .unwrap();
    }

    /// Waits until nobody was there any more for as many answers.
    pub(crate) async fn abandoned(&self, count: usize) {
        let mut abandoned = self.shared.abandoned.subscribe();
        let enough = abandoned.wait_for(|abandoned| *abandoned >= count);
        let waited = tokio::time::timeout(PATIENCE, enough).await;
        waited.expect("an abandoned request").unwrap();
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.stop();
    }
}

fn run(
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    shared: Arc<Shared>,
) -> (SocketAddr, (oneshot::Sender<()>, JoinHandle<()>)) {
    let (stop, mut stopped) = oneshot::channel::<()>();
    let (tell, told) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async move {
            let listener = TcpListener::bind(address).await.unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
            loop {
                let stream = tokio::select! {
                    _ = &mut stopped => break,
                    stream = listener.accept() => stream.unwrap().0,
                };
                let (shared, tls) = (Arc::clone(&shared), tls.clone());
                tokio::spawn(async move {
                    let service = service_fn(move |request| serve(Arc::clone(&shared), request));
                    let http = http1::Builder::new();
                    // Whoever closes a connection early means it.
                    let _ = match tls {
                        None => http.serve_connection(TokioIo::new(stream), service).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => {
                                http.serve_connection(TokioIo::new(stream), service).await
                            }
                            Err(_) => return,
                        },
                    };
                });
            }
        });
        // All connections end with the runtime.
    });
    let address = told.recv().expect("a free port");
    (address, (stop, thread))
}

type ReplyBody = BoxBody<Bytes, io::Error>;

async fn serve(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Response<ReplyBody>, io::Error> {
    /// Counts itself, unless it is forgotten.
    struct Abandoned(Arc<Shared>);

    impl Drop for Abandoned {
        fn drop(&mut self) {
            self.0.abandoned.send_modify(|abandoned| *abandoned += 1);
        }
    }

    let (parts, body) = request.into_parts();
    let path = parts.uri.to_string();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    shared.seen.lock().unwrap().push(Seen {
        method: parts.method,
        path: path.clone(),
        headers: parts.headers.clone(),
        body,
    });
    let mut reply = shared.replies.lock().unwrap().get(&path).cloned();
    shared
        .arrived
        .send_modify(|arrived| *arrived.entry(path).or_default() += 1);
    let abandoned = Abandoned(Arc::clone(&shared));
    let response = loop {
        match reply.unwrap_or_else(|| Reply::status(404)) {
            Reply::Held(gate, then) => {
                let mut gate = gate.0.subscribe();
                gate.wait_for(|open| *open)
                    .await
                    .map_err(io::Error::other)?;
                reply = Some(*then);
            }
            Reply::Tagged(etag, _)
                if parts
                    .headers
                    .get(IF_NONE_MATCH)
                    .is_some_and(|tag| tag == etag) =>
            {
                let mut response = Response::new(full(Bytes::new()));
                *response.status_mut() = StatusCode::NOT_MODIFIED;
                break Ok(response);
            }
            Reply::Tagged(_, then) => reply = Some(*then),
            Reply::Answer {
                status,
                headers,
                body,
            } => {
                let mut response = Response::new(full(body));
                *response.status_mut() = status;
                *response.headers_mut() = headers;
                break Ok(response);
            }
            Reply::Close => break Err(io::Error::other("as the test wants it")),
            Reply::Cut(length) => {
                let cut = [
                    Ok(Frame::data(Bytes::from_static(b"{"))),
                    Err(io::Error::other("as the test wants it")),
                ];
                let body = StreamBody::new(stream::iter(cut));
                let mut response = Response::new(BodyExt::boxed(body));
                response.headers_mut().insert(CONTENT_LENGTH, length.into());
                break Ok(response);
            }
            Reply::Stalled(length) => {
                let first = Ok(Frame::data(Bytes::from_static(b"{")));
                let chunks = stream::iter([first]);
                let body = StreamBody::new(StreamExt::chain(chunks, stream::pending()));
                let mut response = Response::new(BodyExt::boxed(body));
                response.headers_mut().insert(CONTENT_LENGTH, length.into());
                break Ok(response);
            }
            Reply::Endless => {
                let chunk = Bytes::from(vec![b' '; 64 * 1024]);
                let chunks = std::iter::repeat_with(move || Ok(Frame::data(chunk.clone())));
                let body = StreamBody::new(stream::iter(chunks));
                break Ok(Response::new(BodyExt::boxed(body)));
            }
        }
    };
    std::mem::forget(abandoned);
    response
}

fn full(body: Bytes) -> ReplyBody {
    Full::new(body)
        .map_err(|never: Infallible| match never {})
        .boxed()
}
