//! `JsonwebtokenValidator` in a process without a crypto provider of `jsonwebtoken`, and then with one that fails.

use std::sync::Mutex;

use http::Request;
use http::header::{AUTHORIZATION, RETRY_AFTER};
use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind, new_error};
use jsonwebtoken::signature::{self, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::Value;
use support::{Body, Unreachable, send};
use tower::Layer as _;
use tower_bearer::jsonwebtoken::JsonwebtokenValidator;
use tower_bearer::{
    BearerAuthLayer, Credential, FailureKind, InvalidReason, RequestView, Validator, Verdict,
};

mod support;

// {"alg":"HS256"}.{"exp":4000000000}.
const TOKEN: &str = "eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjQwMDAwMDAwMDB9.c2lnbmF0dXJl";

fn validator() -> JsonwebtokenValidator<Value> {
    let key = DecodingKey::from_secret(b"secret").unwrap();
    JsonwebtokenValidator::new(key, Validation::new(Algorithm::HS256)).unwrap()
}

fn outcome(token: &str) -> Result<(), FailureKind> {
    let request = Request::new(());
    let view = RequestView::new(&request);
    match validator().validate(&Credential::bearer(token).unwrap(), &view) {
        Verdict::Ready(result) => result.map(drop).map_err(|failure| failure.kind()),
        Verdict::Pending(_) => panic!("the validator does not wait"),
    }
}

/// The error with which the provider below fails. `None` if the signature is valid.
static ERROR: Mutex<Option<ErrorKind>> = Mutex::new(None);

static FAILING: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(new_error(ErrorKind::UnsupportedAlgorithm)),
    verifier_factory: |_, _| match ERROR.lock().unwrap().clone() {
        Some(kind) => Err(new_error(kind)),
        None => Ok(Box::new(AnySignature)),
    },
    key_utils: KeyUtils::new_unimplemented(),
};

struct AnySignature;

impl Verifier<Vec<u8>> for AnySignature {
    fn verify(&self, _: &[u8], _: &Vec<u8>) -> Result<(), signature::Error> {
        Ok(())
    }
}

impl JwtVerifier for AnySignature {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

/// One test, since the provider of a process is set once.
#[tokio::test]
async fn missing_and_failing_provider_never_reject_token_as_invalid() {
    let service = BearerAuthLayer::new(validator()).layer(Unreachable);
    let request = Request::get("/").header(AUTHORIZATION, format!("Bearer {TOKEN}"));
    let answer = send(service, request.body(Body::default()).unwrap()).await;
    assert_eq!(answer.status(), 503);
    assert!(answer.header(RETRY_AFTER.as_str()).is_some());
    assert!(CryptoProvider::try_get_default().is_none());
    // The validator has installed none, so the application still can.
    assert!(FAILING.install_default().is_ok());
    assert_eq!(outcome(TOKEN), Ok(()));

    let unrecognized = FailureKind::Unrecognized;
    let unavailable = FailureKind::Unavailable;
    let invalid = FailureKind::Invalid;
    let claims = invalid(InvalidReason::Claims);
    let json: Error = serde_json::from_str::<Value>("{").unwrap_err().into();
    let utf8: Error = String::from_utf8(vec![0xff]).unwrap_err().into();
    for (kind, expected) in [
        (ErrorKind::InvalidToken, invalid(InvalidReason::Other)),
        (
            ErrorKind::InvalidSignature,
            invalid(InvalidReason::Signature),
        ),
        (ErrorKind::InvalidEcdsaKey, unavailable),
        (ErrorKind::InvalidEddsaKey, unavailable),
        (
            ErrorKind::InvalidRsaKey("as the test wants".into()),
            unavailable,
        ),
        (ErrorKind::RsaFailedSigning, unavailable),
        (ErrorKind::Signing("as the test wants".into()), unavailable),
        (ErrorKind::InvalidAlgorithmName, unavailable),
        (ErrorKind::UnsupportedAlgorithm, unavailable),
        (ErrorKind::InvalidKeyFormat, unavailable),
        (ErrorKind::MissingRequiredClaim("exp".into()), claims),
        (ErrorKind::InvalidClaimFormat("exp".into()), claims),
        (ErrorKind::ExpiredSignature, invalid(InvalidReason::Expired)),
        (ErrorKind::InvalidIssuer, invalid(InvalidReason::Issuer)),
        (ErrorKind::InvalidAudience, invalid(InvalidReason::Audience)),
        (ErrorKind::InvalidSubject, claims),
        (
            ErrorKind::ImmatureSignature,
            invalid(InvalidReason::NotYetValid),
        ),
        (
            ErrorKind::InvalidAlgorithm,
            invalid(InvalidReason::Algorithm),
        ),
        (ErrorKind::MissingAlgorithm, unavailable),
        (json.into_kind(), claims),
        (utf8.into_kind(), claims),
        (ErrorKind::Provider("as the test wants".into()), unavailable),
    ] {
        *ERROR.lock().unwrap() = Some(kind.clone());
        assert_eq!(outcome(TOKEN), Err(expected), "{kind:?}");
    }
    *ERROR.lock().unwrap() = None;
    let (unsigned, _) = TOKEN.rsplit_once('.').unwrap();
    assert_eq!(outcome(&format!("{unsigned}.a")), Err(unrecognized));
    assert_eq!(outcome(TOKEN), Ok(()));
}
