//! From where a request comes.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::HeaderMap;
use ipnet::IpNet;

use super::forwarded;
use crate::error::ConfigError;
use crate::request::RequestView;

/// The address of the other end of the connection, as a request extension. Whoever accepts connections puts it there,
/// for [`ClientAddress::from_connection`] to find.
///
/// # Example
///
/// ```
/// use std::net::SocketAddr;
/// use tower_bearer::throttle::PeerAddress;
///
/// # let peer = SocketAddr::from(([192, 0, 2, 1], 50_000));
/// let mut request = http::Request::new(());
/// request.extensions_mut().insert(PeerAddress(peer));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "others make it")]
pub struct PeerAddress(pub SocketAddr);

/// In which header a proxy says from whom it has a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProxyHeader {
    /// `Forwarded: for=192.0.2.1` ([RFC 7239](https://www.rfc-editor.org/rfc/rfc7239)).
    Forwarded,
    /// `X-Forwarded-For: 192.0.2.1`.
    XForwardedFor,
}

/// How to find out from which address a request comes.
///
/// The address is that of the connection. A header is read only if told which proxies write it, and never where the
/// connection comes from anywhere else, since anybody can send one.
///
/// # Behind a proxy
///
/// ```
/// use std::net::IpAddr;
///
/// use http::{HeaderMap, HeaderValue};
/// use tower_bearer::throttle::{ClientAddress, ProxyHeader};
///
/// let client = ClientAddress::from_connection()
///     .behind_proxies(ProxyHeader::XForwardedFor, ["10.0.0.0/8", "2001:db8:5::7"])?;
///
/// let mut headers = HeaderMap::new();
/// // The first was sent by the client, the second added by the proxy.
/// headers.insert("x-forwarded-for", HeaderValue::from_static("127.0.0.1, 192.0.2.1"));
/// let proxy = IpAddr::from([10, 1, 2, 3]);
/// assert_eq!(client.resolve(proxy, &headers), IpAddr::from([192, 0, 2, 1]));
///
/// let stranger = IpAddr::from([198, 51, 100, 7]);
/// assert_eq!(client.resolve(stranger, &headers), stranger);
/// # Ok::<_, tower_bearer::ConfigError>(())
/// ```
///
/// # With axum, in front of a validator
///
/// ```
/// use std::net::SocketAddr;
///
/// use axum::extract::ConnectInfo;
/// use tower_bearer::RequestView;
/// use tower_bearer::throttle::ClientAddress;
///
/// let client = ClientAddress::from_fn(|request: &RequestView<'_>| {
///     let peer = request.extensions().get::<ConnectInfo<SocketAddr>>()?;
///     Some(peer.0.ip())
/// });
/// # let _ = client;
/// ```
///
/// # Without an address
///
/// All requests of which no address is found count as one client: a stranger's failures refuse everybody then, so
/// look at the first request in a test. On a Unix socket behind a proxy, say that the proxy is this machine:
///
/// ```
/// use std::net::{IpAddr, Ipv4Addr};
/// use tower_bearer::throttle::{ClientAddress, ProxyHeader};
///
/// let client = ClientAddress::from_fn(|_| Some(IpAddr::V4(Ipv4Addr::LOCALHOST)))
///     .behind_proxies(ProxyHeader::Forwarded, ["127.0.0.1"])?;
/// # let _ = client;
/// # Ok::<_, tower_bearer::ConfigError>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct ClientAddress {
    peer: Peer,
    proxies: Option<Arc<Proxies>>,
}

#[derive(Clone)]
enum Peer {
    Connection,
    Closure(Arc<dyn Fn(&RequestView<'_>) -> Option<IpAddr> + Send + Sync>),
}

struct Proxies {
    header: ProxyHeader,
    trusted: Vec<IpNet>,
}

impl ClientAddress {
    /// That of the connection, found in the extension [`PeerAddress`], for [`of`](Self::of) and validators. **axum does not
    /// set that**: use [`from_fn`](Self::from_fn) with its `ConnectInfo` there, or all clients count as one.
    /// [`resolve`](Self::resolve) is given the address and needs neither.
    pub fn from_connection() -> Self {
        Self {
            peer: Peer::Connection,
            proxies: None,
        }
    }

    /// That of the connection, as the closure finds it in a request. Not for reading a header that anybody can send.
    pub fn from_fn<F>(peer: F) -> Self
    where
        F: Fn(&RequestView<'_>) -> Option<IpAddr> + Send + Sync + 'static,
    {
        Self {
            peer: Peer::Closure(Arc::new(peer)),
            proxies: None,
        }
    }

    /// Believes these proxies, and no others, what they write into this header. Each is an address, or a network such
    /// as `10.0.0.0/8`. Default: none.
    ///
    /// Where the connection comes from one of them, the header is read from its end, which the nearest proxy has
    /// written: addresses of proxies named here are passed over, the first other one is the client. What stands
    /// before it may have been sent by the client, and is not looked at. Several lines of the header are one list.
    /// Where the list ends, or an element is not an address, the nearest proxy known until then counts: never what
    /// stands before.
    ///
    /// Name every proxy on the way, and only machines through which nobody else can send requests: of a network
    /// shared with others, anybody in it could write what he likes.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Network`] for a text that is neither an address nor a network, or a network of all addresses;
    /// [`ConfigError::Setting`] for none at all.
    pub fn behind_proxies<'a>(
        mut self,
        header: ProxyHeader,
        trusted: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, ConfigError> {
        let trusted = trusted
            .into_iter()
            .map(network)
            .collect::<Result<Vec<_>, _>>()?;
        if trusted.is_empty() {
            return Err(ConfigError::Setting {
                setting: "behind_proxies",
                problem: "names no proxy, so the header would never be read; name them, or leave it out",
            });
        }
        self.proxies = Some(Arc::new(Proxies { header, trusted }));
        Ok(self)
    }

    /// The address of who sent this request, if the one of the connection is known.
    #[must_use]
    pub fn of(&self, request: &RequestView<'_>) -> Option<IpAddr> {
        let peer = match &self.peer {
            Peer::Connection => request
                .extensions()
                .get()
                .map(|peer: &PeerAddress| peer.0.ip()),
            Peer::Closure(find) => find(request),
        };
        Some(self.resolve(peer?, request.headers()))
    }

    /// The same in a handler, which knows the address of the connection.
    #[must_use]
    pub fn resolve(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        let Some(proxies) = &self.proxies else {
            return peer;
        };
        let is_trusted = |address: &IpAddr| {
            proxies
                .trusted
                .iter()
                .any(|network| network.contains(address))
        };
        forwarded::client(peer, headers, proxies.header, is_trusted)
    }
}

/// An address is a network of one.
fn network(text: &str) -> Result<IpNet, ConfigError> {
    let parsed = text.parse::<IpNet>().ok();
    let parsed = parsed.or_else(|| {
        text.parse()
            .ok()
            .map(|address: IpAddr| address.to_canonical().into())
    });
    // Addresses are compared in their canonical form, so a network of mapped ones would never match.
    let is_mapped = |network: &IpNet| network.addr() != network.addr().to_canonical();
    parsed
        .filter(|network| network.prefix_len() > 0 && !is_mapped(network))
        .ok_or_else(|| ConfigError::Network {
            network: text.to_owned(),
        })
}

impl fmt::Debug for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("ClientAddress");
        if let Some(proxies) = &self.proxies {
            out.field("header", &proxies.header)
                .field("trusted", &proxies.trusted);
        }
        out.finish_non_exhaustive()
    }
}
