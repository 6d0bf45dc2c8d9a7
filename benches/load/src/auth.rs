//! A key, a token signed with it, and a validator that knows the key.

use std::error::Error;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeySize, PublicKeyComponents};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tower_bearer::jwt::{JwtValidator, PublicKey};

const ISSUER: &str = "https://login.example.com/";
const AUDIENCE: &str = "https://api.example.com";
const KID: &str = "2026-11";

/// Longer than any measurement takes.
const LIFETIME_SECONDS: u64 = 24 * 60 * 60;

pub(crate) struct Issued {
    pub(crate) validator: JwtValidator,
    pub(crate) token: String,
}

impl Issued {
    pub(crate) fn new() -> Result<Self, Box<dyn Error>> {
        let private = RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| "no key could be made")?;
        // With the cache that a validator has unless told otherwise.
        let validator = JwtValidator::builder(public_half(&private)?)
            .issuer(ISSUER)
            .audience(AUDIENCE)
            .build()?;
        let token = token(&private)?;
        Ok(Self { validator, token })
    }
}

fn public_half(private: &RsaKeyPair) -> Result<PublicKey, Box<dyn Error>> {
    let public = PublicKeyComponents::<Vec<u8>>::from(private.public_key());
    let jwk = json!({
        "kty": "RSA", "alg": "RS256", "kid": KID,
        "n": URL_SAFE_NO_PAD.encode(public.n), "e": URL_SAFE_NO_PAD.encode(public.e),
    });
    Ok(PublicKey::from_jwk(jwk.to_string())?)
}

/// A token for orders, which is what is measured.
fn token(private: &RsaKeyPair) -> Result<String, Box<dyn Error>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let header = json!({"alg": "RS256", "typ": "at+jwt", "kid": KID});
    let claims = json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "client_id": "shop", "jti": "t-1",
        "iat": now, "exp": now + LIFETIME_SECONDS, "scope": "orders:read orders:write",
    });
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let input = format!("{}.{}", part(&header), part(&claims));
    let mut signature = vec![0; private.public_modulus_len()];
    private
        .sign(
            &RSA_PKCS1_SHA256,
            &SystemRandom::new(),
            input.as_bytes(),
            &mut signature,
        )
        .map_err(|_| "the token could not be signed")?;
    Ok(format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature)))
}
