//! Keys that sign: what they sign is verified here and elsewhere, and they change under way.

mod endpoint;
mod keys;
mod rotation;

use std::time::{Duration, SystemTime};

use http::Request;
use serde_json::{Value, json};
use tower_bearer::clock::ManualClock;
use tower_bearer::issuing::{SigningKey, SigningKeys};
use tower_bearer::jwt::{Algorithm, JwtValidator, KeySource};
use tower_bearer::{Credential, FailureKind, RequestView, Validator, Verdict};

use crate::tokens::{AUDIENCE, ISSUER, NOW, claims, now, with};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

const ALL: [Algorithm; 13] = [
    Algorithm::HS256,
    Algorithm::HS384,
    Algorithm::HS512,
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::ES512,
    Algorithm::Ed25519,
];

fn generate(kid: &str) -> SigningKey {
    SigningKey::generate(Algorithm::ES256)
        .unwrap()
        .with_kid(kid)
        .unwrap()
}

fn keys(kid: &str) -> SigningKeys {
    SigningKeys::new(generate(kid)).unwrap()
}

fn validator(keys: impl Into<KeySource>) -> JwtValidator {
    JwtValidator::builder(keys)
        .issuer(ISSUER)
        .audience(AUDIENCE)
        .build()
        .unwrap()
}

fn sign(key: &SigningKey, number: usize) -> String {
    let claims = with(claims(), json!({"jti": format!("t-{number}")}));
    key.sign_jwt("at+jwt", &claims).unwrap()
}

/// What a validator says at once, and whether it says so from memory.
fn ask<V: Validator>(
    validator: &V,
    token: &str,
    now: SystemTime,
) -> (Result<(), FailureKind>, bool) {
    let request = Request::new(());
    let clock = ManualClock::new(now);
    let credential = Credential::bearer(token).unwrap();
    let view = RequestView::with_clock(&request, &clock);
    let (verdict, is_recalled) = match validator.cached_verdict(&credential.unchecked(), &view) {
        Some(verdict) => (verdict, true),
        None => (validator.validate(&credential, &view), false),
    };
    match verdict {
        Verdict::Ready(answer) => (
            answer.map(|_| ()).map_err(|failure| failure.kind()),
            is_recalled,
        ),
        Verdict::Pending(_) => panic!("nothing has to wait"),
    }
}

fn says<V: Validator>(validator: &V, token: &str) -> Result<(), FailureKind> {
    ask(validator, token, now()).0
}

fn jwks(keys: &SigningKeys) -> Value {
    serde_json::from_str(&keys.jwks_json(now())).unwrap()
}
