//! The client.

use std::error::Error;
use std::fmt::Debug;
use std::net::SocketAddr;

use http::uri::PathAndQuery;
use tokio_stream::StreamExt as _;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_prost::ProstCodec;

use super::orders::{CreateRequest, GetRequest, Order, WatchRequest};

/// Calls one method and prints what comes back.
pub(crate) async fn call(
    address: SocketAddr,
    token: &str,
    method: &str,
) -> Result<(), Box<dyn Error>> {
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
