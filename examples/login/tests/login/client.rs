//! A client that keeps no cookies and follows nothing.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

#[derive(Clone)]
pub(crate) struct Client {
    inner: HyperClient<HttpConnector, Full<Bytes>>,
    address: SocketAddr,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

/// Tokens of a client.
pub(crate) struct Tokens {
    pub(crate) access: String,
    pub(crate) refresh: String,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self::from(None, address)
    }

    /// One that calls from this address.
    pub(crate) fn from(own: Option<IpAddr>, address: SocketAddr) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_local_address(own);
        let inner = HyperClient::builder(TokioExecutor::new()).build(connector);
        Self { inner, address }
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::from(body.to_owned())).unwrap();
        let (parts, body) = self.inner.request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> Answer {
        self.call(Method::GET, path, token).await
    }

    /// Without a body, with this token.
    pub(crate) async fn call(&self, method: Method, path: &str, token: &str) -> Answer {
        let token = format!("Bearer {token}");
        self.send(method, path, &[("authorization", &token)], "")
            .await
    }

    pub(crate) async fn form(&self, path: &str, pairs: &[(&str, &str)]) -> Answer {
        self.send(Method::POST, path, &[FORM], &form(pairs)).await
    }

    pub(crate) async fn try_password(&self, name: &str, password: &str) -> Answer {
        let pairs = [
            ("grant_type", "password"),
            ("client_id", "cli"),
            ("username", name),
            ("password", password),
        ];
        self.form("/auth/token", &pairs).await
    }

    pub(crate) async fn try_refresh(&self, token: &str) -> Answer {
        let pairs = [("client_id", "cli"), ("refresh_token", token)];
        self.form("/auth/refresh", &pairs).await
    }

    pub(crate) async fn log_in(&self, name: &str, password: &str) -> Tokens {
        self.try_password(name, password).await.tokens()
    }
}

impl Answer {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }

    #[track_caller]
    pub(crate) fn tokens(&self) -> Tokens {
        assert_eq!(self.status, 200, "{self:?}");
        let answer = self.json();
        let token = |name: &str| answer[name].as_str().unwrap().to_owned();
        Tokens {
            access: token("access_token"),
            refresh: token("refresh_token"),
        }
    }

    #[track_caller]
    pub(crate) fn is_error(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.json()["error"], code, "{self:?}");
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }
}

pub(crate) const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

pub(crate) fn form(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}
