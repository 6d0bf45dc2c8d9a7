//! The service `shop.Orders`, as `tonic-prost-build` generates it from a `shop.proto`.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::RwLock;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use tower::service_fn;
use tower_bearer::Authenticated;

use super::User;

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
