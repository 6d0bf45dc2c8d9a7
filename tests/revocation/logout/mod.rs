//! Hearing from a provider who has logged out, from the request to the access tokens that are refused.

mod accepted;
mod rejected;
mod remote_keys;

use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{Method, Request};
use serde_json::{Value, json};
use tower_bearer::clock::ManualClock;
use tower_bearer::jwt::{JwtValidator, KeySet, PublicKey};
use tower_bearer::logout::{BackChannelLogout, LogoutTokenValidator, LogoutTokenValidatorBuilder};
use tower_bearer::revocation::RevocationList;
use tower_bearer::{Credential, FailureKind, InvalidReason, RequestView, Validator, Verdict};

use crate::support::{Answer, Body, send};
use crate::tokens::{AUDIENCE, ISSUER, NOW, Signer, claims, now, public_pem, with};

const CLIENT: &str = "shop-frontend";
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
const HOUR: Duration = Duration::from_secs(3_600);
const FORM: &str = "application/x-www-form-urlencoded";
const INVALID: &str = r#"{"error":"invalid_request"}"#;

fn signer() -> Signer {
    Signer::with_key("EdDSA", "ed25519").kid("k")
}

fn key(file: &str) -> PublicKey {
    let key = PublicKey::from_pem(public_pem(file)).unwrap();
    key.with_kid("k").unwrap()
}

fn header() -> Value {
    json!({"alg": "EdDSA", "typ": "logout+jwt", "kid": "k"})
}

/// What a good logout token claims.
fn logout() -> Value {
    json!({
        "iss": ISSUER, "aud": CLIENT, "iat": NOW - 5, "exp": NOW + 115, "jti": "l-1",
        "sub": "alice", "sid": "s-1", "events": {EVENT: {}},
    })
}

fn logout_token(changes: Value) -> String {
    signer().token_with(&header(), &with(logout(), changes))
}

fn builder() -> LogoutTokenValidatorBuilder {
    LogoutTokenValidator::builder(KeySet::new([key("ed25519")]).unwrap())
        .issuer(ISSUER)
        .audience(CLIENT)
}

/// An endpoint, and the access tokens of the same provider.
struct Service {
    endpoint: BackChannelLogout,
    revoked: RevocationList,
    access: JwtValidator,
    clock: ManualClock,
}

impl Service {
    fn new(validator: LogoutTokenValidator) -> Self {
        Self::with(validator, BackChannelLogout::revoking)
    }

    fn with(
        validator: LogoutTokenValidator,
        make: impl FnOnce(LogoutTokenValidator, RevocationList, Duration) -> BackChannelLogout,
    ) -> Self {
        let clock = ManualClock::new(now());
        let revoked = RevocationList::with_clock(1_000, clock.clone());
        let access = JwtValidator::builder(key("ed25519"))
            .issuer(ISSUER)
            .audience(AUDIENCE)
            .revocations(revoked.clone())
            .build()
            .unwrap();
        Self {
            endpoint: make(validator, revoked.clone(), HOUR).with_clock(clock.clone()),
            revoked,
            access,
            clock,
        }
    }

    async fn post(&self, token: &str) -> Answer {
        self.send(form(&[("logout_token", token)])).await
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let answer = send(self.endpoint.clone(), request).await;
        // Section 2.8
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(
            answer.header("retry-after").is_some(),
            answer.status() == 503
        );
        let (body, json) = match answer.status() {
            400 | 413 => (INVALID, Some("application/json")),
            _ => ("", None),
        };
        assert_eq!(answer.body, body, "{}", answer.status());
        assert_eq!(answer.header("content-type"), json);
        answer
    }

    /// What is said about an access token, and whether from memory.
    fn access(&self, token: &str) -> (Result<(), FailureKind>, bool) {
        let request = Request::new(());
        let credential = Credential::bearer(token).unwrap();
        let view = RequestView::with_clock(&request, &self.clock);
        let (verdict, is_recalled) =
            match self.access.cached_verdict(&credential.unchecked(), &view) {
                Some(verdict) => (verdict, true),
                None => (self.access.validate(&credential, &view), false),
            };
        match verdict {
            Verdict::Ready(answer) => (
                answer.map(|_| ()).map_err(|failure| failure.kind()),
                is_recalled,
            ),
            Verdict::Pending(_) => panic!("nothing has to wait"),
        }
    }
}

fn access_token(changes: Value) -> String {
    let claims = with(claims(), json!({"sid": "s-1"}));
    signer().token(&with(claims, changes))
}

fn form(parameters: &[(&str, &str)]) -> Request<Body> {
    let body: Vec<_> = parameters
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    request(Method::POST, FORM, body.join("&"))
}

fn request(method: Method, content_type: &str, body: impl Into<Body>) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri("/backchannel-logout")
        .header(CONTENT_TYPE, content_type)
        .body(body.into())
        .unwrap()
}
