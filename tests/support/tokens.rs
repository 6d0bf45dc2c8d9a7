//! Tokens and keys, made in the test from the key pairs of `tests/keys`.

#![allow(dead_code, reason = "each test uses some of it")]

use std::time::{Duration, SystemTime};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaEncoding, RsaKeyPair,
};
use aws_lc_rs::{hmac, rsa};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

pub(crate) const ISSUER: &str = "https://issuer.example";
pub(crate) const AUDIENCE: &str = "https://api.example";
/// Now, in all tests.
pub(crate) const NOW: u64 = 1_800_000_000;
/// A shared secret of 64 bytes.
pub(crate) const SECRET: &[u8] = b"\x17q\xe4\x9b\x02\xd8\x63\x3f\xac\x58\xf1\x0d\x94\xbe\x26\x7a\
    \xc3\x5d\x81\xee\x39\x14\xa6\xf2\x4b\xd0\x97\x68\x1c\xb5\x5a\x03\
    \x8e\x41\xfa\x29\x76\xcd\x13\xe8\xb0\x6c\x95\x3a\x57\xd4\x0f\x82\
    \x61\xbb\x2e\xf7\x99\x44\xa1\x5c\xe0\x37\x8d\x12\xc6\x7f\x3b\xe5";

pub(crate) fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(NOW)
}

/// Claims that every validator of the tests accepts, for a minute less than an hour.
pub(crate) fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "client_id": "shop", "jti": "t-1",
        "iat": NOW - 60, "exp": NOW + 3_540, "scope": "orders:read",
    })
}

/// `base` with the members of `changes`; `null` takes a member away.
#[allow(
    clippy::needless_pass_by_value,
    reason = "reads better at the many calls"
)]
pub(crate) fn with(mut base: Value, changes: Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            base.as_object_mut().unwrap().remove(name);
        } else {
            base[name] = value.clone();
        }
    }
    base
}

pub(crate) fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads a file of `tests/keys` of the root package. Other packages of the workspace include this file too.
pub(crate) fn read(file: &str) -> String {
    let packages = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let mut paths = packages.map(|package| package.join("tests/keys").join(file));
    let path = paths.find(|path| path.is_file());
    let path = path.unwrap_or_else(|| panic!("there is no tests/keys/{file}"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The private key `name` in PKCS#8, as PEM.
pub(crate) fn private_pem(name: &str) -> String {
    read(&format!("{name}.pem"))
}

/// The public key `name` as a SubjectPublicKeyInfo, in PEM.
pub(crate) fn public_pem(name: &str) -> String {
    read(&format!("{name}.pub.pem"))
}

/// The bytes between the lines of a PEM text.
pub(crate) fn der(pem: &str) -> Vec<u8> {
    let text: String = pem
        .lines()
        .filter(|line| !line.starts_with("-----"))
        .collect();
    base64::engine::general_purpose::STANDARD
        .decode(text)
        .unwrap()
}

/// Something that signs.
pub(crate) struct Signer {
    pub(crate) alg: &'static str,
    pub(crate) kid: Option<String>,
    key: Private,
}

enum Private {
    Secret(Box<hmac::Key>),
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
    Ec(EcdsaKeyPair, &'static str),
    Ed25519(Ed25519KeyPair),
}

impl Signer {
    /// For `HS256` and the like with [`SECRET`], for all others with the key pair of `tests/keys`
    /// that fits. Without a `kid`.
    pub(crate) fn new(alg: &'static str) -> Self {
        let file = match alg {
            "ES256" => "p256",
            "ES384" => "p384",
            "ES512" => "p521",
            "EdDSA" | "Ed25519" => "ed25519",
            _ => "rsa",
        };
        Self::with_key(alg, file)
    }

    /// With the key pair `file`.
    pub(crate) fn with_key(alg: &'static str, file: &str) -> Self {
        let secret = |hash| Private::Secret(Box::new(hmac::Key::new(hash, SECRET)));
        let rsa = |encoding: &'static dyn RsaEncoding| {
            let pair = RsaKeyPair::from_pkcs8(&der(&private_pem(file))).unwrap();
            Private::Rsa(pair, encoding)
        };
        let ec = |curve, name| {
            let pair = EcdsaKeyPair::from_pkcs8(curve, &der(&private_pem(file))).unwrap();
            Private::Ec(pair, name)
        };
        let key = match alg {
            "HS256" => secret(hmac::HMAC_SHA256),
            "HS384" => secret(hmac::HMAC_SHA384),
            "HS512" => secret(hmac::HMAC_SHA512),
            "RS256" => rsa(&signature::RSA_PKCS1_SHA256),
            "RS384" => rsa(&signature::RSA_PKCS1_SHA384),
            "RS512" => rsa(&signature::RSA_PKCS1_SHA512),
            "PS256" => rsa(&signature::RSA_PSS_SHA256),
            "PS384" => rsa(&signature::RSA_PSS_SHA384),
            "PS512" => rsa(&signature::RSA_PSS_SHA512),
            "ES256" => ec(&signature::ECDSA_P256_SHA256_FIXED_SIGNING, "P-256"),
            "ES384" => ec(&signature::ECDSA_P384_SHA384_FIXED_SIGNING, "P-384"),
            "ES512" => ec(&signature::ECDSA_P521_SHA512_FIXED_SIGNING, "P-521"),
            "EdDSA" | "Ed25519" => Private::Ed25519(
                Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der(&private_pem(file))).unwrap(),
            ),
            _ => panic!("no signer for {alg}"),
        };
        Self {
            alg,
            kid: None,
            key,
        }
    }

    pub(crate) fn kid(mut self, kid: &str) -> Self {
        self.kid = Some(kid.to_owned());
        self
    }

    /// `{"alg": .., "typ": "at+jwt"}`, and `kid` if there is one.
    pub(crate) fn header(&self) -> Value {
        let mut header = json!({"alg": self.alg, "typ": "at+jwt"});
        if let Some(kid) = &self.kid {
            header["kid"] = json!(kid);
        }
        header
    }

    /// A token of these claims.
    pub(crate) fn token(&self, claims: &Value) -> String {
        self.token_with(&self.header(), claims)
    }

    /// A token of this header, which is signed as it is.
    pub(crate) fn token_with(&self, header: &Value, claims: &Value) -> String {
        self.token_of(&header.to_string(), &claims.to_string())
    }

    /// A token of two texts.
    pub(crate) fn token_of(&self, header: &str, claims: &str) -> String {
        self.seal(&format!("{}.{}", base64url(header), base64url(claims)))
    }

    /// Adds the signature.
    pub(crate) fn seal(&self, signing_input: &str) -> String {
        format!(
            "{signing_input}.{}",
            base64url(self.sign(signing_input.as_bytes()))
        )
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.key {
            Private::Secret(key) => hmac::sign(key, message).as_ref().to_vec(),
            Private::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &random, message, &mut signature)
                    .unwrap();
                signature
            }
            Private::Ec(pair, _) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Private::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    /// The public half as a JWK, with `alg`, and `kid` if there is one.
    pub(crate) fn jwk(&self) -> Value {
        let mut jwk = match &self.key {
            Private::Secret(_) => json!({"kty": "oct", "k": base64url(SECRET)}),
            Private::Rsa(pair, _) => {
                let components = rsa::PublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                json!({"kty": "RSA", "n": base64url(components.n), "e": base64url(components.e)})
            }
            Private::Ec(pair, crv) => {
                let point = pair.public_key().as_ref();
                let (x, y) = point[1..].split_at((point.len() - 1) / 2);
                json!({"kty": "EC", "crv": crv, "x": base64url(x), "y": base64url(y)})
            }
            Private::Ed25519(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": base64url(pair.public_key())})
            }
        };
        jwk["alg"] = json!(self.alg);
        if let Some(kid) = &self.kid {
            jwk["kid"] = json!(kid);
        }
        jwk
    }
}

/// A JWK Set of the public halves.
pub(crate) fn jwks<'a>(signers: impl IntoIterator<Item = &'a Signer>) -> Value {
    json!({"keys": signers.into_iter().map(Signer::jwk).collect::<Vec<_>>()})
}
