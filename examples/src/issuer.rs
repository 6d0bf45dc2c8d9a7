//! An issuer of JWTs in the process: Ed25519 keys, metadata, a JWK Set and a token endpoint.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use axum::Router;
use axum::extract::State;
use axum::response::Json;
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::Failure;

/// The audience of all tokens.
pub const AUDIENCE: &str = "https://api.example.com";

/// A private key with its `kid`.
pub struct PrivateKey {
    kid: String,
    pair: Ed25519KeyPair,
}

impl PrivateKey {
    /// Generates a key.
    ///
    /// # Errors
    ///
    /// Returns an error if the operating system provides no random bytes.
    pub fn generate(kid: impl Into<String>) -> Result<Self, Failure> {
        let pair = Ed25519KeyPair::generate().map_err(|_| "no key could be generated")?;
        let kid = kid.into();
        Ok(Self { kid, pair })
    }

    /// Returns the public key as a JWK.
    #[must_use]
    pub fn jwk(&self) -> Value {
        let x = URL_SAFE_NO_PAD.encode(self.pair.public_key());
        json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": self.kid, "x": x})
    }

    /// Returns the JOSE header of a token of this type.
    #[must_use]
    pub fn header(&self, typ: &str) -> Value {
        json!({"alg": "EdDSA", "typ": typ, "kid": self.kid})
    }

    /// Signs claims.
    #[must_use]
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let input = format!("{}.{}", part(header), part(claims));
        let signature = URL_SAFE_NO_PAD.encode(self.pair.sign(input.as_bytes()));
        format!("{input}.{signature}")
    }
}

/// Returns the seconds since the Unix epoch.
#[must_use]
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

/// An OpenID provider with a token endpoint that requires no client authentication.
#[derive(Clone)]
pub struct LocalIssuer {
    /// The issuer identifier, `iss`.
    pub name: String,
    keys: Arc<Mutex<VecDeque<PrivateKey>>>,
}

impl LocalIssuer {
    /// Starts the issuer on a free port.
    ///
    /// # Errors
    ///
    /// Returns an error if no port is free or no random bytes are available.
    pub async fn start() -> Result<Self, Failure> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let name = format!("http://{}", listener.local_addr()?);
        let keys = Arc::default();
        let issuer = Self { name, keys };
        issuer.rotate()?;
        let token = |State(issuer): State<Self>, scope: String| async move { issuer.token(&scope) };
        let routes = Router::new()
            .route("/.well-known/openid-configuration", get(metadata))
            .route("/jwks.json", get(jwks))
            .route("/token", post(token))
            .with_state(issuer.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Ok(issuer)
    }

    /// Generates the key that signs from now on. The JWK Set keeps the last three keys.
    ///
    /// # Errors
    ///
    /// Returns an error if the operating system provides no random bytes.
    pub fn rotate(&self) -> Result<(), Failure> {
        let mut keys = self.lock();
        let last: u64 = keys.front().map_or(Ok(0), |key| key.kid.parse())?;
        keys.push_front(PrivateKey::generate((last + 1).to_string())?);
        keys.truncate(3);
        Ok(())
    }

    /// Returns the `kid` of the key that signs.
    #[must_use]
    pub fn kid(&self) -> String {
        let keys = self.lock();
        keys.front().map(|key| key.kid.clone()).unwrap_or_default()
    }

    /// Returns an access token for alice with this scope, for five seconds.
    #[must_use]
    pub fn token(&self, scope: &str) -> String {
        let now = now();
        let keys = self.lock();
        let sign = |key: &PrivateKey| {
            let claims = json!({
                "iss": self.name, "aud": AUDIENCE, "sub": "alice", "client_id": "shop",
                "iat": now, "exp": now + 5, "jti": format!("{}-{now}", key.kid), "scope": scope,
            });
            key.sign(&key.header("at+jwt"), &claims)
        };
        keys.front().map(sign).unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<PrivateKey>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn metadata(State(issuer): State<LocalIssuer>) -> Json<Value> {
    let name = &issuer.name;
    Json(json!({
        "issuer": name, "jwks_uri": format!("{name}/jwks.json"), "token_endpoint": format!("{name}/token"),
    }))
}

async fn jwks(State(issuer): State<LocalIssuer>) -> Json<Value> {
    let keys: Vec<_> = issuer.lock().iter().map(PrivateKey::jwk).collect();
    Json(json!({"keys": keys}))
}
