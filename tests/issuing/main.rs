//! Tokens that are issued, refreshed and taken back, as clients, users and operators see it.

#[path = "../support/pem.rs"]
mod pem;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/test_store.rs"]
mod test_store;
#[path = "../support/tokens.rs"]
mod tokens;

mod concurrency;
mod durability;
mod grace;
mod hub;
mod hub_entries;
mod limits;
mod outages;
mod refresh;
mod revocation;
mod revocation_endpoint;
mod secrets;
mod sessions;
mod signing;
mod token_response;

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Request;
use http::header::AUTHORIZATION;
use serde_json::{Value, json};
use tower::Layer as _;
use tower_bearer::BearerAuthLayer;
use tower_bearer::clock::ManualClock;
use tower_bearer::issuing::RevocationHub;
use tower_bearer::issuing::store::{SessionId, SessionsOf};
use tower_bearer::issuing::{
    Grant, InvalidGrant, IssuingError, SigningKey, SigningKeys, TokenIssuer, TokenIssuerBuilder,
    TokenResponse,
};
use tower_bearer::jwt::{Algorithm, JwtValidator};

use crate::support::{Answer, Body, send};
use crate::test_store::{Op, TestStore, When};
use crate::tokens::{AUDIENCE, ISSUER, NOW, base64url, now};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// An issuer, the store behind it, and a validator that remembers.
struct World {
    clock: ManualClock,
    store: TestStore,
    issuer: TokenIssuer,
    validator: JwtValidator,
}

impl World {
    async fn new() -> Self {
        Self::with(|builder| builder).await
    }

    async fn with(change: impl FnOnce(TokenIssuerBuilder) -> TokenIssuerBuilder) -> Self {
        let clock = ManualClock::new(now());
        let store = TestStore::new();
        let hub = RevocationHub::builder(store.clone()).clock(clock.clone());
        let builder = TokenIssuer::builder(ISSUER, keys())
            .audience(AUDIENCE)
            .revocations(hub.open().await.unwrap())
            .sessions(store.clone())
            .max_sessions_per_user(usize::MAX)
            .clock(clock.clone());
        let issuer = change(builder).build().unwrap();
        Self {
            validator: issuer.validator().unwrap(),
            clock,
            store,
            issuer,
        }
    }

    /// Puts the clock so much after the beginning.
    fn at(&self, after: Duration) {
        self.clock.set(now() + after);
    }

    /// A session of `alice` with the client `web`.
    async fn issue(&self) -> TokenResponse {
        self.issue_to("alice", "web").await
    }

    async fn issue_to(&self, subject: &str, client: &str) -> TokenResponse {
        let grant = Grant::new(subject, client).scope("read write");
        self.issuer.issue(grant).await.unwrap()
    }

    async fn refresh(&self, tokens: &TokenResponse) -> Result<TokenResponse, IssuingError> {
        self.issuer
            .refresh(refresh_token(tokens), "web", None)
            .await
    }

    async fn present(&self, tokens: &TokenResponse) -> Answer {
        self.present_text(tokens.access_token()).await
    }

    async fn present_text(&self, token: &str) -> Answer {
        let service = BearerAuthLayer::new(self.validator.clone())
            .with_clock(self.clock.clone())
            .layer(crate::support::Greet);
        let request = Request::get("/orders")
            .header(AUTHORIZATION, format!("Bearer {token}"))
            .body(Body::default())
            .unwrap();
        send(service, request).await
    }

    /// What a request with the access token is answered.
    async fn status(&self, tokens: &TokenResponse) -> u16 {
        self.present(tokens).await.status()
    }

    async fn is_alive(&self, session: SessionId) -> bool {
        let sessions = self
            .issuer
            .sessions(SessionsOf::Subject("alice"), None, 100);
        let sessions = sessions.await.unwrap();
        sessions.iter().any(|other| other.id() == session)
    }
}

fn keys() -> SigningKeys {
    SigningKeys::new(SigningKey::generate(Algorithm::ES256).unwrap()).unwrap()
}

fn refresh_token(tokens: &TokenResponse) -> &str {
    tokens.refresh_token().expect("a session")
}

fn session(tokens: &TokenResponse) -> SessionId {
    tokens.session().expect("a session")
}

/// What an access token says.
fn claims_of(token: &str) -> Value {
    part_of(token, 1)
}

fn part_of(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// Why a grant is not valid.
fn reason<T: std::fmt::Debug>(result: Result<T, IssuingError>) -> InvalidGrant {
    match result {
        Err(IssuingError::InvalidGrant { reason }) => reason,
        other => panic!("{other:?}"),
    }
}

fn is_reused<T: std::fmt::Debug>(result: Result<T, IssuingError>) -> bool {
    matches!(reason(result), InvalidGrant::Reused { .. })
}

/// The status of an error that has to be there.
fn status_of<T: std::fmt::Debug>(result: Result<T, IssuingError>) -> u16 {
    result.unwrap_err().status().as_u16()
}
