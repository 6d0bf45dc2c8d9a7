//! Tokens of an issuer that is not under test.

use std::time::{Duration, SystemTime};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

pub(crate) const ISSUER: &str = "https://issuer.example";
pub(crate) const AUDIENCE: &str = "https://api.example";
pub(crate) const SECRET: &[u8] = b"k3Jp0sXw9QmZt7Rv2Ly5Hn8Cf1Bd4Gae";
/// The current time of the validators, in seconds.
const NOW: u64 = 1_800_000_000;

pub(crate) fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(NOW)
}

/// Returns a token of this session, signed with HS256.
pub(crate) fn token(session: &str) -> String {
    let header = json!({"alg": "HS256", "typ": "at+jwt"});
    let claims = json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "client_id": "shop", "jti": "t-1",
        "iat": NOW - 60, "exp": NOW + 3_540, "sid": session,
    });
    let encode = |text: String| URL_SAFE_NO_PAD.encode(text);
    let input = format!(
        "{}.{}",
        encode(header.to_string()),
        encode(claims.to_string())
    );
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET);
    let signature = hmac::sign(&key, input.as_bytes());
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
}
