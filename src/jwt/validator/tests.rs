use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;
use crate::clock::ManualClock;
use crate::jwt::known_headers::FoundHeader;
use crate::jwt::{JwtIssuers, SharedSecret};

const SECRET: &[u8; 32] = b"\x17q\xe4\x9b\x02\xd8\x63\x3f\xac\x58\xf1\x0d\x94\xbe\x26\x7a\
    \xc3\x5d\x81\xee\x39\x14\xa6\xf2\x4b\xd0\x97\x68\x1c\xb5\x5a\x03";
const OTHER: &[u8; 32] = b"\x8e\x41\xfa\x29\x76\xcd\x13\xe8\xb0\x6c\x95\x3a\x57\xd4\x0f\x82\
    \x61\xbb\x2e\xf7\x99\x44\xa1\x5c\xe0\x37\x8d\x12\xc6\x7f\x3b\xe5";
const GOOD: &str = r#"{"iss":"us","aud":"here","exp":2000}"#;

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000)
}

fn token(secret: &[u8], kid: &str, claims: &str) -> String {
    let header = format!(r#"{{"alg":"HS256","kid":"{kid}"}}"#);
    let text = [header.as_str(), claims].map(|part| URL_SAFE_NO_PAD.encode(part));
    let text = text.join(".");
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), text.as_bytes());
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn key(kid: &str) -> SharedSecret {
    SharedSecret::hs256(SECRET).unwrap().with_kid(kid).unwrap()
}

fn validator() -> JwtValidator {
    let builder = JwtValidator::builder(key("a"))
        .issuer("us")
        .audience("here");
    builder.build().unwrap()
}

/// Whether a token is good.
fn ask(validator: &impl Validator, token: &str) -> bool {
    let request = http::Request::new(());
    let clock = ManualClock::new(now());
    let view = RequestView::with_clock(&request, &clock);
    match validator.validate(&Credential::bearer(token).unwrap(), &view) {
        Verdict::Ready(answer) => answer.is_ok(),
        Verdict::Pending(_) => panic!("the key is at hand"),
    }
}

/// Whether the header of a token is known.
fn is_known(validator: &JwtValidator, token: &str) -> bool {
    let token = validator.parse(token.as_bytes()).unwrap();
    matches!(token.header, FoundHeader::Known(..))
}

#[test]
fn header_is_cached_after_a_valid_signature() {
    let good = token(SECRET, "a", GOOD);
    for (name, other, known) in [
        ("good", good.clone(), true),
        ("not signed by the key", token(OTHER, "a", GOOD), false),
        (
            "signed for other claims",
            format!(
                "{}AAAA.{}",
                &good[..good.len() - 44],
                &good[good.len() - 43..]
            ),
            false,
        ),
        ("of an unknown key", token(SECRET, "b", GOOD), false),
        (
            "of another issuer",
            token(SECRET, "a", r#"{"iss":"them","aud":"here","exp":2000}"#),
            false,
        ),
        ("not even claims", token(SECRET, "a", "[]"), false),
        (
            "expired, but signed",
            token(SECRET, "a", r#"{"iss":"us","aud":"here","exp":900}"#),
            true,
        ),
        (
            "for others, but signed",
            token(SECRET, "a", r#"{"iss":"us","aud":"there","exp":2000}"#),
            true,
        ),
    ] {
        let validator = validator();
        let issuers = JwtIssuers::new();
        issuers.insert(validator.clone()).unwrap();
        for _ in 0..2 {
            assert_eq!(ask(&issuers, &other), other == good, "{name}");
            assert_eq!(is_known(&validator, &other), known, "{name}");
            assert_eq!(ask(&validator, &other), other == good, "{name}");
        }
        assert!(ask(&validator, &good) && ask(&issuers, &good), "{name}");
        assert!(is_known(&validator.clone(), &good), "{name}");
    }
}

#[test]
fn cached_header_does_not_validate_a_token() {
    let validator = validator();
    assert!(ask(&validator, &token(SECRET, "a", GOOD)));
    for (secret, claims) in [
        (OTHER, GOOD),
        (SECRET, r#"{"iss":"them","aud":"here","exp":2000}"#),
        (SECRET, r#"{"iss":"us","aud":"here","exp":900}"#),
    ] {
        let bad = token(secret, "a", claims);
        assert!(is_known(&validator, &bad));
        assert!(!ask(&validator, &bad), "{claims}");
    }
    // Keys are looked up as they are at the time.
    let text = token(SECRET, "a", GOOD);
    let token = validator.parse(text.as_bytes()).unwrap();
    let check = |kid| {
        let keys = KeySet::new([key(kid)]).unwrap();
        validator.inner.check(&token, None, &keys, now()).map(drop)
    };
    assert!(matches!(check("a"), Ok(())));
    assert!(matches!(check("b"), Err(CheckError::Key(NoKey::Unknown))));
}

#[test]
fn signature_is_verified_only_after_cheaper_checks() {
    // (G06: cheap checks first)
    use crate::jwt::key_set::VERIFIED;
    let good = token(SECRET, "a", GOOD);
    let claims = |text: &str| token(SECRET, "a", text);
    let (signed, _) = good.rsplit_once('.').unwrap();
    let typed = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","kid":"a","typ":"dpop+jwt"}"#);
    let (_, rest) = good.split_once('.').unwrap();
    let issuers = JwtIssuers::new();
    issuers.insert(validator()).unwrap();
    for (name, token, looks) in [
        ("garbage", "garbage".repeat(50), 0),
        (
            "garbage that begins like one",
            format!("ey{}", "J".repeat(400)),
            0,
        ),
        ("dots", "eyJ.".repeat(500) + "x", 0),
        ("too long", format!("{good}{}", "A".repeat(8_192)), 0),
        ("another kind", format!("{typed}.{rest}"), 0),
        ("unknown kid", token(SECRET, "b", GOOD), 0),
        ("no signature of that length", format!("{signed}.AAAA"), 0),
        ("no claims", claims("[]"), 0),
        (
            "unknown issuer",
            claims(r#"{"iss":"them","aud":"here","exp":2000}"#),
            0,
        ),
        ("forged", token(OTHER, "a", GOOD), 1),
        (
            "expired",
            claims(r#"{"iss":"us","aud":"here","exp":900}"#),
            1,
        ),
        ("good", good, 1),
    ] {
        for validator in [&validator() as &dyn Validator<Principal = _>, &issuers] {
            VERIFIED.set(0);
            assert_eq!(ask(&validator, &token), name == "good", "{name}");
            assert_eq!(VERIFIED.get(), looks, "{name}");
            // Once more, now that it may be remembered.
            assert_eq!(ask(&validator, &token), name == "good", "{name}");
            let more = u32::from(name != "good") * looks;
            assert_eq!(VERIFIED.get(), looks + more, "{name}, again");
        }
    }
}

#[test]
fn token_without_kid_tries_a_bounded_number_of_keys() {
    // (G06: cheap checks first, M15: key checks) Harmless spelling costs nothing.
    use crate::jwt::JwksOptions;
    use crate::jwt::key_set::VERIFIED;
    let without_kid = |secret: &[u8]| {
        let text = [r#"{"alg":"HS256"}"#, GOOD].map(|part| URL_SAFE_NO_PAD.encode(part));
        let text = text.join(".");
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let signature = hmac::sign(&key, text.as_bytes());
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
    };
    let others = |count: u8| {
        (0..count).map(|number| {
            let secret: Vec<u8> = (number..number + 32).collect();
            SharedSecret::hs256(secret)
                .unwrap()
                .with_kid(number.to_string())
                .unwrap()
        })
    };
    for (max_trials, other_keys, trials) in [
        (0, 0, 1),
        (1, 0, 1),
        (0, 1, 0),
        (1, 1, 0),
        (2, 1, 2),
        (2, 2, 0),
        (3, 2, 3),
        (100, 2, 3),
    ] {
        let keys = others(other_keys).chain([key("last")]);
        let options = JwksOptions::new().with_max_trials_without_kid(max_trials);
        let builder = JwtValidator::builder(KeySet::new_with(keys, &options).unwrap())
            .issuer("us")
            .audience("here");
        let validator = builder.without_cache().build().unwrap();
        let name = format!("{max_trials} of {}", other_keys + 1);
        for secret in [SECRET, OTHER] {
            VERIFIED.set(0);
            let is_good = secret == SECRET && trials > 0;
            assert_eq!(ask(&validator, &without_kid(secret)), is_good, "{name}");
            assert_eq!(VERIFIED.get(), trials, "{name}");
        }
        // A token that names its key costs one trial.
        VERIFIED.set(0);
        assert!(ask(&validator, &token(SECRET, "last", GOOD)), "{name}");
        assert_eq!(VERIFIED.get(), 1, "{name}");
    }
}
