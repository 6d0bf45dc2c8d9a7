//! What checking a token costs that has not been seen before: against the bare verification of its
//! signature with a key that was parsed once, and against `jsonwebtoken::decode`.
//!
//! All three have the same key and token; ours and jsonwebtoken check issuer, audience and expiry and
//! read the claims. Run with
//! `cargo bench -p benches --bench jwt && benches/jwt_ratios.sh`.

#[path = "../tests/support/tokens.rs"]
mod tokens;

use std::hint::black_box;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{self, ParsedPublicKey, VerificationAlgorithm};
use criterion::{Criterion, criterion_group, criterion_main};
use http::Request;
use serde::Deserialize;
use serde_json::json;
use tokens::{AUDIENCE, ISSUER, SECRET, Signer, claims, der, now, public_pem, with};
use tower_bearer::clock::ManualClock;
use tower_bearer::jwt::{JwtValidator, KeySource, PublicKey, SharedSecret};
use tower_bearer::{Credential, FailureKind, RequestView, Validator, Verdict};

/// What jsonwebtoken reads the claims into: as much as `AccessToken` keeps.
#[derive(Deserialize)]
#[allow(dead_code, reason = "read for its cost")]
struct Claims {
    iss: String,
    sub: String,
    aud: String,
    exp: u64,
    iat: u64,
    jti: String,
    client_id: String,
    scope: String,
}

enum Raw {
    Secret(Box<hmac::Key>),
    Public(ParsedPublicKey),
}

impl Raw {
    fn new(alg: &str) -> Self {
        let (file, algorithm): (_, &'static dyn VerificationAlgorithm) = match alg {
            "HS256" => return Self::secret(hmac::HMAC_SHA256),
            "HS384" => return Self::secret(hmac::HMAC_SHA384),
            "HS512" => return Self::secret(hmac::HMAC_SHA512),
            "RS256" => ("rsa", &signature::RSA_PKCS1_2048_8192_SHA256),
            "RS384" => ("rsa", &signature::RSA_PKCS1_2048_8192_SHA384),
            "RS512" => ("rsa", &signature::RSA_PKCS1_2048_8192_SHA512),
            "PS256" => ("rsa", &signature::RSA_PSS_2048_8192_SHA256),
            "PS384" => ("rsa", &signature::RSA_PSS_2048_8192_SHA384),
            "PS512" => ("rsa", &signature::RSA_PSS_2048_8192_SHA512),
            "ES256" => ("p256", &signature::ECDSA_P256_SHA256_FIXED),
            "ES384" => ("p384", &signature::ECDSA_P384_SHA384_FIXED),
            "ES512" => ("p521", &signature::ECDSA_P521_SHA512_FIXED),
            _ => ("ed25519", &signature::ED25519),
        };
        Self::Public(ParsedPublicKey::new(algorithm, der(&public_pem(file))).unwrap())
    }

    fn secret(hash: hmac::Algorithm) -> Self {
        Self::Secret(Box::new(hmac::Key::new(hash, SECRET)))
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Secret(key) => hmac::verify(key, message, signature).is_ok(),
            Self::Public(key) => key.verify_sig(message, signature).is_ok(),
        }
    }
}

/// The key pair of `tests/keys` for an algorithm.
fn file(alg: &str) -> &'static str {
    match &alg[..2] {
        "RS" | "PS" => "rsa",
        _ => match alg {
            "ES256" => "p256",
            "ES384" => "p384",
            "ES512" => "p521",
            _ => "ed25519",
        },
    }
}

fn source(alg: &str, kid: &str) -> KeySource {
    let secret = match alg {
        "HS256" => SharedSecret::hs256(SECRET),
        "HS384" => SharedSecret::hs384(SECRET),
        "HS512" => SharedSecret::hs512(SECRET),
        _ => {
            let key = PublicKey::from_pem(public_pem(file(alg))).unwrap();
            let key = key.with_algorithm(alg.parse().unwrap()).unwrap();
            return key.with_kid(kid).unwrap().into();
        }
    };
    secret.unwrap().with_kid(kid).unwrap().into()
}

/// `None` for what jsonwebtoken does not have.
fn decoding_key(alg: &str) -> Option<jsonwebtoken::DecodingKey> {
    use jsonwebtoken::DecodingKey;
    let pem = || public_pem(file(alg));
    Some(match &alg[..2] {
        "HS" => DecodingKey::from_secret(SECRET).unwrap(),
        "RS" | "PS" => DecodingKey::from_rsa_pem(pem().as_bytes()).unwrap(),
        _ if alg == "ES512" => return None,
        "ES" => DecodingKey::from_ec_pem(pem().as_bytes()).unwrap(),
        _ => DecodingKey::from_ed_pem(pem().as_bytes()).unwrap(),
    })
}

fn jwt(c: &mut Criterion) {
    // With two back ends in the process, jsonwebtoken has to be told.
    let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
    let request = Request::new(());
    let clock = ManualClock::new(now());
    for alg in [
        "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256",
        "ES384", "ES512", "EdDSA",
    ] {
        let mut group = c.benchmark_group(format!("jwt {alg}"));
        let signer = Signer::new(alg).kid("2026-11");
        // jsonwebtoken looks at the real clock; this `exp` is good with both.
        let token = signer.token(&with(claims(), json!({"exp": 4_000_000_000_u64})));
        let (message, signature) = token.rsplit_once('.').unwrap();

        let raw = Raw::new(alg);
        let signature =
            base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, signature)
                .unwrap();
        group.bench_function("raw", |bencher| {
            bencher.iter(|| assert!(raw.verify(black_box(message.as_bytes()), &signature)));
        });

        let validator = JwtValidator::builder(source(alg, "2026-11"))
            .issuer(ISSUER)
            .audience(AUDIENCE)
            .without_cache()
            .build()
            .unwrap();
        let validate = |credential: &Credential<'_>| {
            let view = RequestView::with_clock(&request, &clock);
            match validator.validate(credential, &view) {
                Verdict::Ready(result) => result,
                Verdict::Pending(_) => unreachable!("the key is at hand"),
            }
        };
        let credential = Credential::bearer(&token).unwrap();
        group.bench_function("tower-bearer", |bencher| {
            bencher.iter(|| validate(black_box(&credential)).unwrap());
        });
        let unknown = Signer::new(alg).kid("unknown").token(&claims());
        let credential = Credential::bearer(&unknown).unwrap();
        group.bench_function("tower-bearer, unknown kid", |bencher| {
            bencher.iter(|| {
                let failure = validate(black_box(&credential)).unwrap_err();
                assert!(matches!(failure.kind(), FailureKind::Invalid(_)));
            });
        });

        let Some(key) = decoding_key(alg) else {
            continue;
        };
        let mut validation = jsonwebtoken::Validation::new(alg.parse().unwrap());
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        group.bench_function("jsonwebtoken", |bencher| {
            bencher.iter(|| {
                jsonwebtoken::decode::<Claims>(black_box(&token), &key, &validation).unwrap()
            });
        });
        group.finish();
    }
}

criterion_group!(benches, jwt);
criterion_main!(benches);
