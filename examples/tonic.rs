//! A gRPC server whose methods need different scopes, and a client to try them with.
//!
//! Two services stand behind one layer: the health service of `tonic-health`, which is public, and
//! `shop.Orders`, written by hand here so that the example needs neither `protoc` nor a build script.
//! A gRPC method is a path, `/package.Service/Method`, so a rule for a method is a rule `at` its path
//! and a rule for a service is one `under` its name. Whatever no rule names is refused before the
//! services are looked for, so a stranger cannot find out which exist.
//!
//! Start the server in one terminal:
//!
//! ```sh
//! cargo run --example tonic
//! ```
//!
//! It prints its address and two tokens as shell lines. Paste these into a second terminal and call
//! it from there; `-` stands for no token:
//!
//! ```sh
//! cargo run --example tonic -- call "$ALICE" Get
//! cargo run --example tonic -- call "$BOB" Create
//! cargo run --example tonic -- call - Health
//! ```
//!
//! Set `ADDR` to use another address than 127.0.0.1:50051.

use std::convert::Infallible;
use std::env;
use std::error::Error;
use std::fmt::Debug;
use std::net::SocketAddr;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::uri::PathAndQuery;
use tokio::net::TcpListener;
use tokio::sync::RwLock;
use tokio_stream::StreamExt as _;
use tonic::body::Body;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic::transport::server::{Router, TcpIncoming};
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_prost::ProstCodec;
use tower::layer::util::{Identity, Stack};
use tower::service_fn;
use tower_bearer::policy::{Claims, Policies, public, scope, scope_list_contains};
use tower_bearer::{Authenticated, BearerAuthLayer, ConfigError, OpaqueTokens, Validator};

const DEFAULT_ADDR: &str = "127.0.0.1:50051";

// Who may call what.

pub(crate) struct User {
    pub(crate) name: &'static str,
    pub(crate) scope: &'static str,
}

impl Claims for User {
    fn has_scope(&self, scope: &str) -> bool {
        scope_list_contains(self.scope, scope)
    }
}

/// The rules. A service that is added later, be it only reflection, is refused until it has one.
pub(crate) fn policies() -> Result<Policies<User>, ConfigError> {
    Policies::builder()
        .at("/shop.Orders/Get", scope("orders:read"))
        .at("/shop.Orders/Watch", scope("orders:read"))
        .at("/shop.Orders/Create", scope("orders:write"))
        .under("/grpc.health.v1.Health", public())
        .deny_unmatched()
        .build()
}

/// The layer, for tokens that `validator` knows.
pub(crate) fn auth<V>(validator: V) -> Result<BearerAuthLayer<V, Policies<User>>, ConfigError>
where
    V: Validator<Principal = User>,
{
    Ok(BearerAuthLayer::new(validator)
        .with_policy(policies()?)
        .with_realm("shop"))
}

/// The server: the layer in front of all services, so that it also sees calls to those that do not
/// exist.
pub(crate) fn app<L>(auth: L, services: Routes) -> Router<Stack<L, Identity>>
where
    L: Clone,
{
    Server::builder().layer(auth).add_routes(services)
}

/// The health service and the orders.
pub(crate) async fn services(orders: Orders) -> Routes {
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_serving::<Orders>().await;
    Routes::new(health).add_service(orders)
}

// The messages, as `protoc` would make them of a `shop.proto`.

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct GetRequest {
    #[prost(uint64, tag = "1")]
    pub(crate) id: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct CreateRequest {
    #[prost(string, tag = "1")]
    pub(crate) item: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct WatchRequest {}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Order {
    #[prost(uint64, tag = "1")]
    pub(crate) id: u64,
    #[prost(string, tag = "2")]
    pub(crate) item: String,
    #[prost(string, tag = "3")]
    pub(crate) placed_by: String,
    /// Whom the handler saw asking.
    #[prost(string, tag = "4")]
    pub(crate) read_by: String,
}

// The service.

#[derive(Clone, Debug)]
pub(crate) struct Orders {
    book: Arc<RwLock<Vec<Order>>>,
}

impl Orders {
    /// A book with one order for each item, placed by the shop itself.
    pub(crate) fn of(items: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let placed = (1..).zip(items).map(|(id, item)| Order {
            id,
            item: item.into(),
            placed_by: String::from("shop"),
            read_by: String::new(),
        });
        Self {
            book: Arc::new(RwLock::new(placed.collect())),
        }
    }

    async fn get(self, request: Request<GetRequest>) -> Result<Response<Order>, Status> {
        let user = caller(&request)?;
        let id = request.get_ref().id;
        let book = self.book.read().await;
        match book.iter().find(|order| order.id == id) {
            Some(order) => Ok(Response::new(shown_to(order, &user))),
            None => Err(Status::not_found(format!("there is no order {id}"))),
        }
    }

    async fn create(self, request: Request<CreateRequest>) -> Result<Response<Order>, Status> {
        let user = caller(&request)?;
        let mut book = self.book.write().await;
        let order = Order {
            id: book.last().map_or(1, |last| last.id + 1),
            item: request.into_inner().item,
            placed_by: user.name.to_owned(),
            read_by: String::new(),
        };
        let reply = shown_to(&order, &user);
        book.push(order);
        Ok(Response::new(reply))
    }

    /// All orders there are, one message each.
    async fn watch(self, request: Request<WatchRequest>) -> Result<Response<OrderStream>, Status> {
        let user = caller(&request)?;
        let orders = self.book.read().await.clone();
        let shown = orders
            .into_iter()
            .map(move |order| Ok(shown_to(&order, &user)));
        Ok(Response::new(Box::pin(tokio_stream::iter(shown))))
    }
}

type OrderStream = Pin<Box<dyn tokio_stream::Stream<Item = Result<Order, Status>> + Send>>;

/// The principal that the layer has put into the request. It is always there, unless somebody takes
/// the layer away or makes these methods public; then nobody should be served by mistake.
fn caller<M>(request: &Request<M>) -> Result<Authenticated<User>, Status> {
    request
        .extensions()
        .get::<Authenticated<User>>()
        .cloned()
        .ok_or_else(|| Status::internal("nobody was authenticated"))
}

fn shown_to(order: &Order, user: &User) -> Order {
    Order {
        read_by: user.name.to_owned(),
        ..order.clone()
    }
}

impl NamedService for Orders {
    const NAME: &'static str = "shop.Orders";
}

/// What generated code does: from the path to the method.
impl tower::Service<http::Request<Body>> for Orders {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let orders = self.clone();
        Box::pin(async move {
            let path = request.uri().path();
            Ok(match path {
                "/shop.Orders/Get" => {
                    let method = service_fn(move |message| orders.clone().get(message));
                    grpc().unary(method, request).await
                }
                "/shop.Orders/Create" => {
                    let method = service_fn(move |message| orders.clone().create(message));
                    grpc().unary(method, request).await
                }
                "/shop.Orders/Watch" => {
                    let method = service_fn(move |message| orders.clone().watch(message));
                    grpc().server_streaming(method, request).await
                }
                _ => Status::unimplemented(format!("there is no method {path}")).into_http(),
            })
        })
    }
}

fn grpc<Reply, Message>() -> tonic::server::Grpc<ProstCodec<Reply, Message>>
where
    Reply: prost::Message + Send + 'static,
    Message: prost::Message + Default + Send + 'static,
{
    tonic::server::Grpc::new(ProstCodec::default())
}

// The client.

/// Calls one method and prints what comes back.
async fn call(address: SocketAddr, token: &str, method: &str) -> Result<(), Box<dyn Error>> {
    let path = match method {
        "Get" => "/shop.Orders/Get",
        "Create" => "/shop.Orders/Create",
        "Watch" => "/shop.Orders/Watch",
        "Health" => "/grpc.health.v1.Health/Check",
        path if path.starts_with('/') => path,
        other => {
            let expected = "Get, Create, Watch, Health or a path such as /package.Service/Method";
            return Err(format!("METHOD: expected {expected}, got {other:?}").into());
        }
    };
    let client = Client {
        path: PathAndQuery::try_from(path)
            .map_err(|error| format!("METHOD: {path:?} is not a path: {error}"))?,
        authorization: match token {
            "-" => None,
            token => Some(
                format!("Bearer {token}")
                    .parse()
                    .map_err(|_| "TOKEN: expected printable ASCII, or - for none")?,
            ),
        },
        channel: Endpoint::from_shared(format!("http://{address}"))?
            .connect()
            .await
            .map_err(|error| format!("no server answers at {address}: {}", innermost(&error)))?,
    };
    let answer = match method {
        "Get" => client.call::<_, Order>(GetRequest { id: 1 }).await,
        "Create" => {
            let item = String::from("a lamp");
            client.call::<_, Order>(CreateRequest { item }).await
        }
        "Watch" => client.call::<_, Order>(WatchRequest {}).await,
        "Health" => {
            let message = HealthCheckRequest::default();
            client.call::<_, HealthCheckResponse>(message).await
        }
        _ => client.call::<(), ()>(()).await,
    };
    match answer {
        Ok(messages) => {
            println!("Ok (0)");
            for message in messages {
                println!("  {message}");
            }
        }
        Err(status) => {
            let code = status.code();
            println!("{code:?} ({}): {}", code as i32, status.message());
            for challenge in status.metadata().get_all("www-authenticate") {
                println!("  www-authenticate: {}", challenge.to_str()?);
            }
        }
    }
    Ok(())
}

struct Client {
    channel: Channel,
    path: PathAndQuery,
    authorization: Option<MetadataValue<Ascii>>,
}

impl Client {
    /// The replies as text. On the wire a unary call is a stream of one message, so this does for
    /// both.
    async fn call<M, R>(self, message: M) -> Result<Vec<String>, Status>
    where
        M: prost::Message + Send + Sync + 'static,
        R: prost::Message + Debug + Default + Send + Sync + 'static,
    {
        let mut request = Request::new(message);
        if let Some(value) = self.authorization {
            request.metadata_mut().insert("authorization", value);
        }
        let mut grpc = tonic::client::Grpc::new(self.channel);
        grpc.ready()
            .await
            .map_err(|error| Status::unavailable(innermost(&error)))?;
        let codec = ProstCodec::<M, R>::default();
        let replies = grpc.server_streaming(request, self.path, codec).await?;
        replies
            .into_inner()
            .map(|reply| Ok(format!("{:?}", reply?)))
            .collect()
            .await
    }
}

/// The error below all others: those of tonic say no more than "transport error".
fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

// The program.

async fn serve(address: SocketAddr) -> Result<(), Box<dyn Error>> {
    let tokens = OpaqueTokens::new();
    let alice = new_token()?;
    let bob = new_token()?;
    let users = [
        (&alice, "alice", "orders:read orders:write"),
        (&bob, "bob", "orders:read"),
    ];
    for (token, name, scope) in users {
        tokens.insert(token, User { name, scope })?;
    }
    let app = app(
        auth(tokens)?,
        services(Orders::of(["a chair", "a table"])).await,
    );

    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| format!("ADDR: cannot listen on {address}: {error}"))?;
    let address = listener.local_addr()?;
    println!("{}", policies()?);
    println!("Paste these lines into a second terminal:\n");
    println!("export ADDR={address}\nALICE={alice}\nBOB={bob}\n");
    println!("and try there:\n");
    for (arguments, outcome) in [
        (r#""$ALICE" Get"#, "Ok (0)"),
        (r#""$ALICE" Create"#, "Ok (0)"),
        (r#""$BOB" Watch"#, "Ok (0), a message for each order"),
        (r#""$BOB" Create"#, "PermissionDenied (7)"),
        (r#"- Get"#, "Unauthenticated (16)"),
        (r#"nonsense Get"#, "Unauthenticated (16)"),
        (r#"- Health"#, "Ok (0), it is public"),
        (r#"- /shop.Stock/Get"#, "Unauthenticated (16), no rule"),
        (
            r#""$ALICE" /shop.Stock/Get"#,
            "PermissionDenied (7), no rule",
        ),
        (r#""$ALICE" /shop.Orders//Get"#, "InvalidArgument (3)"),
    ] {
        println!("cargo run -q --example tonic -- call {arguments:<28}  # {outcome}");
    }
    app.serve_with_incoming(TcpIncoming::from(listener)).await?;
    Ok(())
}

/// 256 random bits as hexadecimal digits: nobody guesses them.
fn new_token() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn address() -> Result<SocketAddr, String> {
    let text = env::var_os("ADDR").unwrap_or_else(|| DEFAULT_ADDR.into());
    let text = text.to_string_lossy();
    text.parse().map_err(|_| {
        format!("ADDR: expected an IP address and a port such as {DEFAULT_ADDR}, got {text:?}")
    })
}

async fn run() -> Result<(), Box<dyn Error>> {
    // Not `args`, which panics if one is not UTF-8.
    let arguments: Vec<String> = env::args_os()
        .skip(1)
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [] => serve(address()?).await,
        ["call", token, method] => call(address()?, token, method).await,
        _ => Err("usage: tonic [call TOKEN METHOD]".into()),
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
