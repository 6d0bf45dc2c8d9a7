//! Every algorithm, with every crypto back end that is on: both, one alone, or none.

#[path = "support/tokens.rs"]
mod tokens;

use tower_bearer::jwt::{CryptoBackend, KeyError, PublicKey, SharedSecret};

use tokens::{SECRET, public_pem};

#[test]
fn enabled_backends_match_enabled_features() {
    let expected =
        usize::from(cfg!(feature = "aws_lc_rs")) + usize::from(cfg!(feature = "rust_crypto"));
    assert_eq!(CryptoBackend::available().len(), expected);
    let preferred = CryptoBackend::preferred();
    assert_eq!(preferred.as_ref().ok(), CryptoBackend::available().first());
    #[cfg(feature = "aws_lc_rs")]
    assert_eq!(preferred, Ok(CryptoBackend::AwsLcRs));
}

/// Without a back end nothing can be built, so nothing can fail in a request.
#[test]
fn key_construction_without_backend_fails() {
    let expected = match CryptoBackend::available() {
        [] => Some(KeyError::NoBackend),
        _ => None,
    };
    let key = PublicKey::from_pem(public_pem("ed25519"));
    assert_eq!(key.err(), expected);
    let secret = SharedSecret::hs256(SECRET);
    assert_eq!(secret.err(), expected);
    let text = KeyError::NoBackend.to_string();
    assert!(text.contains("`aws_lc_rs` or `rust_crypto`"), "{text}");
}

#[cfg(any(feature = "aws_lc_rs", feature = "rust_crypto"))]
mod verification {
    use http::{Request, Response, StatusCode};
    use serde_json::json;
    use tower::{Layer as _, ServiceExt as _, service_fn};
    use tower_bearer::clock::ManualClock;
    use tower_bearer::jwt::{
        AccessToken, CryptoBackend, JwksOptions, JwtValidator, KeyError, KeySet, PublicKey,
        SharedSecret,
    };
    use tower_bearer::{Authenticated, BearerAuthLayer, Validator};

    use crate::tokens::{AUDIENCE, ISSUER, SECRET, Signer, base64url, claims, now};

    const ALGORITHMS: [&str; 14] = [
        "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256",
        "ES384", "ES512", "EdDSA", "Ed25519",
    ];

    fn keys(signer: &Signer, backend: CryptoBackend) -> KeySet {
        match signer.alg {
            "HS256" => KeySet::with_backend(backend, [SharedSecret::hs256(SECRET).unwrap()]),
            "HS384" => KeySet::with_backend(backend, [SharedSecret::hs384(SECRET).unwrap()]),
            "HS512" => KeySet::with_backend(backend, [SharedSecret::hs512(SECRET).unwrap()]),
            _ => KeySet::with_backend(
                backend,
                [PublicKey::from_jwk(signer.jwk().to_string()).unwrap()],
            ),
        }
        .unwrap()
    }

    async fn status<V>(validator: V, token: &str) -> (StatusCode, String)
    where
        V: Validator<Principal = AccessToken>,
    {
        let service = BearerAuthLayer::new(validator)
            .with_clock(ManualClock::new(now()))
            .layer(service_fn(|request: Request<()>| async move {
                let token = request.extensions().get::<Authenticated<AccessToken>>();
                let subject = token.and_then(|token| token.subject()).unwrap_or_default();
                Ok::<_, std::convert::Infallible>(Response::new(subject.to_owned()))
            }));
        let request = Request::get("/").header("authorization", format!("Bearer {token}"));
        let response = service.oneshot(request.body(()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = http_body_util::BodyExt::collect(body).await.unwrap();
        let text = String::from_utf8(body.to_bytes().to_vec()).unwrap();
        (parts.status, text)
    }

    #[test]
    fn every_backend_rejects_non_canonical_ed25519_point() {
        // (M15: key checks, C07: encoding of signatures) RFC 8032 section 5.1.3
        let bytes = |first: u8, middle: u8, last: u8| {
            let mut bytes = [middle; 32];
            (bytes[0], bytes[31]) = (first, last);
            bytes
        };
        for (name, x) in [
            ("y = 2, which has no x", bytes(2, 0, 0)),
            ("y = 7, which has no x", bytes(7, 0, 0)),
            (
                "y = p + 3, a point beyond the field",
                bytes(0xf0, 0xff, 0x7f),
            ),
            (
                "y = p + 4, a point beyond the field",
                bytes(0xf1, 0xff, 0x7f),
            ),
            ("the same with the other sign", bytes(0xf1, 0xff, 0xff)),
            ("y = 2^255 - 1", bytes(0xff, 0xff, 0x7f)),
            ("the identity", bytes(1, 0, 0)),
            ("the identity with a sign", bytes(1, 0, 0x80)),
            ("a point of order 2 with a sign", bytes(0xec, 0xff, 0xff)),
            ("a point of order 4", bytes(0, 0, 0)),
        ] {
            let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": base64url(x)});
            let rejected = KeyError::Rejected {
                key: "an Ed25519 key",
            };
            assert_eq!(
                PublicKey::from_jwk(jwk.to_string()).err(),
                Some(rejected),
                "{name}"
            );
            for backend in CryptoBackend::available() {
                let options = JwksOptions::new().with_backend(*backend);
                // The other key of the set stays usable.
                let good = Signer::new("EdDSA").kid("good").jwk();
                let set = json!({"keys": [jwk, good]}).to_string();
                let keys = KeySet::from_jwks_with(set, &options).unwrap();
                assert_eq!(
                    (keys.len(), keys.skipped().len()),
                    (1, 1),
                    "{name} {backend:?}"
                );
            }
        }
    }

    #[tokio::test]
    async fn every_backend_verifies_every_algorithm() {
        for alg in ALGORITHMS {
            let signer = Signer::new(alg);
            let token = signer.token(&claims());
            for backend in CryptoBackend::available() {
                let validator = JwtValidator::builder(keys(&signer, *backend))
                    .issuer(ISSUER)
                    .audience(AUDIENCE)
                    .build()
                    .unwrap();
                assert_eq!(
                    status(validator.clone(), &token).await,
                    (StatusCode::OK, "alice".to_owned()),
                    "{alg} {backend:?}"
                );
                // A character in the middle of the signature.
                let middle = token.len() - 20;
                let other = if &token[middle..=middle] == "A" {
                    "B"
                } else {
                    "A"
                };
                let other = format!("{}{other}{}", &token[..middle], &token[middle + 1..]);
                assert_eq!(
                    status(validator, &other).await.0,
                    StatusCode::UNAUTHORIZED,
                    "{alg} {backend:?}"
                );
            }
        }
    }
}
