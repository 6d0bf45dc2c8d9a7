//! The keys, and the tokens that are sent.

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

pub(crate) const ISSUER: &str = "https://issuer.example.com/";
pub(crate) const AUDIENCE: &str = "https://api.example.com";
pub(crate) const KID: &str = "2026-11-k1";
/// A text, as one peer takes no other bytes.
pub(crate) const SECRET: &str = "q7Xw2ZkP9sVbT4nYd1LrGm6HcJf8UaEo3xKiNvQ5RtB0yWzMjSeCpDlFgAhOuI";

pub(crate) const ALGORITHMS: [Algorithm; 4] = [
    Algorithm::RS256,
    Algorithm::HS256,
    Algorithm::ES256,
    Algorithm::EdDSA,
];

macro_rules! key {
    ($file:literal) => {
        include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/keys/",
            $file
        ))
    };
}

/// The key of an algorithm, in each form that a peer may want it in.
pub(crate) struct Keys {
    pub(crate) algorithm: Algorithm,
    /// The public key; empty for HS256.
    pub(crate) pem: &'static str,
    pub(crate) jwk: Jwk,
    private: EncodingKey,
}

impl Keys {
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        let (private, pem) = match algorithm {
            Algorithm::HS256 => (EncodingKey::from_secret(SECRET.as_bytes()), ""),
            Algorithm::RS256 => {
                let private = EncodingKey::from_rsa_pem(key!("rsa.pem").as_bytes());
                (private.unwrap(), key!("rsa.pub.pem"))
            }
            Algorithm::ES256 => {
                let private = EncodingKey::from_ec_pem(key!("p256.pem").as_bytes());
                (private.unwrap(), key!("p256.pub.pem"))
            }
            Algorithm::EdDSA => {
                let private = EncodingKey::from_ed_pem(key!("ed25519.pem").as_bytes());
                (private.unwrap(), key!("ed25519.pub.pem"))
            }
            other => panic!("no key for {other:?}"),
        };
        let mut jwk = Jwk::from_encoding_key(&private, algorithm).unwrap();
        jwk.common.key_id = Some(KID.to_owned());
        Self {
            algorithm,
            pem,
            jwk,
            private,
        }
    }

    /// A JWK Set of this one key.
    pub(crate) fn jwks(&self) -> String {
        json!({"keys": [self.jwk]}).to_string()
    }

    fn token(&self, claims: &Value) -> String {
        let mut header = Header::new(self.algorithm);
        header.typ = Some("at+jwt".to_owned());
        header.kid = Some(KID.to_owned());
        encode(&header, claims, &self.private).unwrap()
    }
}

/// What is sent to every contender.
pub(crate) struct Tokens {
    pub(crate) allowed: String,
    /// The signature of another token: as long as the right one, and well formed.
    pub(crate) bad_signature: String,
    pub(crate) garbage: String,
    pub(crate) wrong_issuer: String,
    pub(crate) wrong_audience: String,
    pub(crate) expired: String,
}

impl Tokens {
    pub(crate) fn new(keys: &Keys) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let with = |member: &str, value: Value| {
            let mut claims = claims(now.as_secs());
            claims[member] = value;
            keys.token(&claims)
        };
        let allowed = keys.token(&claims(now.as_secs()));
        let other = with("jti", json!("f1b8a27c-60de-4935-8a14-7c0e9d52b3a6"));
        let (message, _) = allowed.rsplit_once('.').unwrap();
        let (_, signature) = other.rsplit_once('.').unwrap();
        Self {
            bad_signature: format!("{message}.{signature}"),
            garbage: garbage(),
            wrong_issuer: with("iss", json!("https://another.example.com/")),
            wrong_audience: with("aud", json!("https://other.example.com")),
            expired: with("exp", json!(now.as_secs() - 600)),
            allowed,
        }
    }
}

/// Good for a day, so that no run outlives it.
fn claims(now: u64) -> Value {
    json!({
        "iss": ISSUER,
        "sub": "248289761001",
        "aud": AUDIENCE,
        "exp": now + 86_400,
        "iat": now,
        "jti": "0b9e5a3d-4c7f-4d21-9e68-2f5a1c8b7d40",
        "scope": "orders:read orders:write",
    })
}

/// 400 characters that a token may consist of, without a dot; the same in every run.
fn garbage() -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..400)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            char::from(ALPHABET[(state >> 58) as usize])
        })
        .collect()
}
