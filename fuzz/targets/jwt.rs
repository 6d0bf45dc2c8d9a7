//! Any token against a JWT validator.
//!
//! An input that starts with `{` is a header and a payload with a line feed between them, which the target signs. So the checks
//! behind the signature are reached. Any other input is the token itself. The model: a token is accepted only if its signature,
//! algorithm, issuer, audience and times are right.
#![no_main]

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Request;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tower_bearer::clock::ManualClock;
use tower_bearer::jwt::{JwtValidator, SharedSecret};
use tower_bearer::{Credential, RequestView, Validator, Verdict};

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
const ISSUER: &str = "https://login.example.com/";
const AUDIENCE: &str = "https://api.example.com";
const NOW: u64 = 1_800_000_000;
/// The default of the validator.
const LEEWAY: f64 = 60.0;

static KEY: LazyLock<hmac::Key> = LazyLock::new(|| hmac::Key::new(hmac::HMAC_SHA256, SECRET));
static CLOCK: LazyLock<ManualClock> =
    LazyLock::new(|| ManualClock::new(SystemTime::UNIX_EPOCH + Duration::from_secs(NOW)));
static VALIDATOR: LazyLock<JwtValidator> = LazyLock::new(|| {
    JwtValidator::builder(SharedSecret::hs256(SECRET).expect("the secret is long enough"))
        .issuer(ISSUER)
        .audience(AUDIENCE)
        .without_cache()
        .build()
        .expect("the settings are valid")
});

fn sign(header: &[u8], payload: &[u8]) -> String {
    let mut token = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(payload)
    );
    let signature = hmac::sign(&KEY, token.as_bytes());
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    token
}

fn is_accepted(token: &str) -> bool {
    let Some(credential) = Credential::bearer(token) else {
        return false;
    };
    let request = Request::new(());
    let view = RequestView::with_clock(&request, &*CLOCK);
    match VALIDATOR.validate(&credential, &view) {
        Verdict::Ready(result) => result.is_ok(),
        _ => panic!("a validator with a secret waits"),
    }
}

/// Panics unless the token may be accepted.
fn check_accepted(token: &str) {
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = parts[..] else {
        panic!("{} parts", parts.len())
    };
    let message = &token[..header.len() + 1 + payload.len()];
    let signature = URL_SAFE_NO_PAD
        .decode(signature)
        .expect("the signature is base64url");
    hmac::verify(&KEY, message.as_bytes(), &signature).expect("the signature is valid");

    let parse = |part: &str| -> Value {
        let bytes = URL_SAFE_NO_PAD.decode(part).expect("the part is base64url");
        serde_json::from_slice(&bytes).expect("the part is JSON")
    };
    let header = parse(header);
    assert_eq!(header["alg"], "HS256");
    assert!(header.get("crit").is_none());
    assert!(header.get("b64").is_none());

    let claims = parse(payload);
    assert_eq!(claims["iss"], ISSUER);
    match &claims["aud"] {
        Value::String(audience) => assert_eq!(audience, AUDIENCE),
        Value::Array(audiences) => assert!(audiences.iter().any(|audience| audience == AUDIENCE)),
        other => panic!("aud is {other}"),
    }
    let now = NOW as f64;
    let expires_at = claims["exp"].as_f64().expect("exp is a number");
    assert!(now < expires_at + LEEWAY + 1.0, "the token has expired");
    for claim in ["nbf", "iat"] {
        if let Some(value) = claims.get(claim) {
            let time = value.as_f64().expect("the time is a number");
            assert!(time <= now + LEEWAY + 1.0, "{claim} is in the future");
        }
    }
}

fuzz_target!(init: {
    let payload = format!(r#"{{"iss":"{ISSUER}","aud":"{AUDIENCE}","sub":"alice","exp":{}}}"#, NOW + 60);
    assert!(is_accepted(&sign(br#"{"alg":"HS256","typ":"JWT"}"#, payload.as_bytes())), "a valid token is accepted");
}, |data: &[u8]| {
    let token = if data.starts_with(b"{") {
        let mut parts = data.splitn(2, |byte| *byte == b'\n');
        sign(parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
    } else {
        let Ok(token) = std::str::from_utf8(data) else { return };
        token.to_owned()
    };
    if is_accepted(&token) {
        check_accepted(&token);
    }
});
