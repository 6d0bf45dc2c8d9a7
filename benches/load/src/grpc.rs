//! The orders of `examples/tonic.rs` with the one method that is measured, and the health service.

use std::convert::Infallible;
use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use tower::service_fn;
use tower_bearer::jwt::{AccessToken, JwtValidator};
use tower_bearer::policy::{public, scope};
use tower_bearer::{BearerAuthLayer, ConfigError, Policies};

/// Ten rules: one public, two for orders, seven for other services.
fn policies() -> Result<Policies<AccessToken>, ConfigError> {
    let mut policies = Policies::builder()
        .under("/grpc.health.v1.Health", public())
        .under("/shop.Orders", scope("orders:read"))
        .at("/shop.Orders/Create", scope("orders:write"));
    for service in [
        "Admin", "Carts", "Ledger", "Reports", "Stock", "Tenants", "Users",
    ] {
        policies = policies.under(&format!("/shop.{service}"), scope("other"));
    }
    policies.deny_unmatched().build()
}

// The messages, as `protoc` would make them.

#[derive(Clone, PartialEq, prost::Message)]
struct GetRequest {
    #[prost(uint64, tag = "1")]
    id: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Order {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(string, tag = "2")]
    item: String,
}

async fn get(request: Request<GetRequest>) -> Result<Response<Order>, Status> {
    Ok(Response::new(Order {
        id: request.get_ref().id,
        item: String::from("a chair"),
    }))
}

#[derive(Clone)]
struct Orders;

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
        Box::pin(async move {
            Ok(match request.uri().path() {
                "/shop.Orders/Get" => {
                    let codec = ProstCodec::<Order, GetRequest>::default();
                    tonic::server::Grpc::new(codec)
                        .unary(service_fn(get), request)
                        .await
                }
                path => Status::unimplemented(format!("there is no method {path}")).into_http(),
            })
        })
    }
}

pub(crate) async fn serve(
    listener: TcpListener,
    validator: Option<JwtValidator>,
) -> Result<(), Box<dyn Error>> {
    let (_, health) = tonic_health::server::health_reporter();
    let services = Routes::new(health).add_service(Orders);
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    match validator {
        None => {
            let server = Server::builder().add_routes(services);
            server.serve_with_incoming(incoming).await?;
        }
        Some(validator) => {
            let auth = BearerAuthLayer::new(validator).with_policy(policies()?);
            let server = Server::builder().layer(auth).add_routes(services);
            server.serve_with_incoming(incoming).await?;
        }
    }
    Ok(())
}
