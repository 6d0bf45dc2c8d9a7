//! A gRPC server whose methods need different scopes, and a client to try them with.
//!
//! Two services are behind one layer: the public health service of `tonic-health`, and `shop.Orders`. A gRPC method is
//! a path, `/package.Service/Method`, so a rule for a method is a rule `at` its path, and a rule for a service is a
//! rule `under` its name. A call that no rule names is rejected before the services see it, so an unauthenticated
//! client cannot find out which exist.
//!
//! `cargo run -p example-tonic` prints its address, two tokens, and the calls to try in a second terminal. `ADDR` sets
//! the address (default 127.0.0.1:50051).

mod client;
pub(crate) mod orders;

use std::net::SocketAddr;

use examples::{Failure, listen, random_token, variable};
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::{Router, TcpIncoming};
use tower::layer::util::{Identity, Stack};
use tower_bearer::policy::{Claims, Policies, public, scope, scope_list_contains};
use tower_bearer::{BearerAuthLayer, ConfigError, OpaqueTokens, Validator};

use orders::Orders;

const DEFAULT_ADDR: &str = "127.0.0.1:50051";

/// The principal.
pub(crate) struct User {
    pub(crate) name: &'static str,
    pub(crate) scope: &'static str,
}

impl Claims for User {
    fn has_scope(&self, scope: &str) -> bool {
        scope_list_contains(self.scope, scope)
    }
}

/// The rules. A service without a rule is rejected.
pub(crate) fn policies() -> Result<Policies<User>, ConfigError> {
    Policies::builder()
        .at("/shop.Orders/Get", scope("orders:read"))
        .at("/shop.Orders/Watch", scope("orders:read"))
        .at("/shop.Orders/Create", scope("orders:write"))
        .under("/grpc.health.v1.Health", public())
        .deny_unmatched()
        .build()
}

/// The layer.
pub(crate) fn auth<V>(validator: V) -> Result<BearerAuthLayer<V, Policies<User>>, ConfigError>
where
    V: Validator<Principal = User>,
{
    Ok(BearerAuthLayer::new(validator)
        .with_policy(policies()?)
        .with_realm("shop"))
}

/// The server: the layer is in front of all services, and sees calls to unknown services too.
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

async fn serve() -> Result<(), Failure> {
    let (listener, address) = listen(DEFAULT_ADDR).await?;
    let tokens = OpaqueTokens::new();
    println!("{}", policies()?);
    println!("Paste these lines into a second terminal:\n\nexport ADDR={address}");
    for (name, scope) in [
        ("alice", "orders:read orders:write"),
        ("bob", "orders:read"),
    ] {
        let token = random_token()?;
        println!("{}={token}", name.to_uppercase());
        tokens.insert(&token, User { name, scope })?;
    }
    println!("\nand try there:\n\n{}", include_str!("tries.sh"));
    let services = services(Orders::of(["a chair", "a table"])).await;
    let app = app(auth(tokens)?, services);
    app.serve_with_incoming(TcpIncoming::from(listener)).await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    // Not `args`, which panics if an argument is not UTF-8.
    let arguments = std::env::args_os().skip(1);
    let arguments: Vec<_> = arguments
        .map(|text| text.to_string_lossy().into_owned())
        .collect();
    match &arguments[..] {
        [] => serve().await,
        [call, token, method] if call == "call" => {
            let address = variable("ADDR").unwrap_or_else(|| DEFAULT_ADDR.to_owned());
            let address: SocketAddr = address.parse().map_err(|_| {
                format!("ADDR={address}: expected IP:PORT, for example {DEFAULT_ADDR}")
            })?;
            Ok(client::call(address, token, method).await?)
        }
        _ => Err("usage: example-tonic [call TOKEN METHOD]".into()),
    }
}
