//! The floor: the bare verification of the signature by aws-lc-rs, with a key that was parsed once.

use std::hint::black_box;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{self, ParsedPublicKey, VerificationAlgorithm};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use criterion::BenchmarkGroup;
use criterion::measurement::WallTime;
use jsonwebtoken::Algorithm;

use crate::tokens::{Keys, SECRET};

enum Raw {
    Secret(Box<hmac::Key>),
    Public(ParsedPublicKey),
}

impl Raw {
    fn new(keys: &Keys) -> Self {
        let algorithm: &'static dyn VerificationAlgorithm = match keys.algorithm {
            Algorithm::HS256 => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
                return Self::Secret(Box::new(key));
            }
            Algorithm::RS256 => &signature::RSA_PKCS1_2048_8192_SHA256,
            Algorithm::ES256 => &signature::ECDSA_P256_SHA256_FIXED,
            _ => &signature::ED25519,
        };
        let text: String = keys
            .pem
            .lines()
            .filter(|line| !line.starts_with("-----"))
            .collect();
        let der = STANDARD.decode(text).unwrap();
        Self::Public(ParsedPublicKey::new(algorithm, der).unwrap())
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Secret(key) => hmac::verify(key, message, signature).is_ok(),
            Self::Public(key) => key.verify_sig(message, signature).is_ok(),
        }
    }
}

pub(crate) fn bench(group: &mut BenchmarkGroup<'_, WallTime>, keys: &Keys, token: &str) {
    let raw = Raw::new(keys);
    let (message, signature) = token.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    group.bench_function("raw", |bencher| {
        bencher.iter(|| assert!(raw.verify(black_box(message.as_bytes()), &signature)));
    });
}
