//! The cases that every back end has to pass.

use std::time::{Duration, SystemTime};

use http::Request;
use http::header::AUTHORIZATION;
use jsonwebtoken::errors::Error;
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, Validation};
use serde::Deserialize;
use serde_json::{Value, json};
use tower::{Layer as _, service_fn};
use tower_bearer::cache::CacheSettings;
use tower_bearer::clock::ManualClock;
use tower_bearer::jsonwebtoken::JsonwebtokenValidator;
use tower_bearer::jwt::{JwtValidator, SharedSecret};
use tower_bearer::policy::{self, scope, scope_list_contains};
use tower_bearer::revocation::{RevocationClaims, RevocationList};
use tower_bearer::{
    BearerAuthLayer, ConfigError, Credential, FailureKind, InvalidReason, RequestView, Validated,
    Validator, ValidatorExt, Verdict,
};

use super::support::{Body, send};
use super::tokens::{AUDIENCE, ISSUER, SECRET, Signer, base64url, public_pem, with};

#[derive(Debug, Deserialize)]
struct Claims {
    sub: String,
    jti: Option<String>,
    #[serde(default)]
    scope: String,
}

impl policy::Claims for Claims {
    fn has_scope(&self, scope: &str) -> bool {
        scope_list_contains(&self.scope, scope)
    }
}

/// The whole second of the system clock, which `jsonwebtoken` reads.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap().as_secs()
}

fn at(second: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(second)
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "jti": "t-1", "scope": "orders:read",
        "iat": now() - 60, "exp": now() + 3_540,
    })
}

fn validation(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[AUDIENCE]);
    validation.set_required_spec_claims(&["exp", "iss", "aud"]);
    validation.validate_nbf = true;
    validation
}

fn secret() -> DecodingKey {
    DecodingKey::from_secret(SECRET).unwrap()
}

fn rsa() -> DecodingKey {
    DecodingKey::from_rsa_pem(public_pem("rsa").as_bytes()).unwrap()
}

fn p256() -> DecodingKey {
    DecodingKey::from_ec_pem(public_pem("p256").as_bytes()).unwrap()
}

fn new(key: DecodingKey, validation: Validation) -> JsonwebtokenValidator<Claims> {
    let _ = super::PROVIDER.install_default();
    JsonwebtokenValidator::new(key, validation).unwrap()
}

fn hs256() -> JsonwebtokenValidator<Claims> {
    new(secret(), validation(Algorithm::HS256))
}

/// Returns the result of a validator, and the source of a failure as text.
fn outcome<V: Validator>(
    validator: &V,
    token: &str,
) -> Result<Validated<V::Principal>, (FailureKind, String)> {
    let request = Request::new(());
    let view = RequestView::new(&request);
    match validator.validate(&Credential::bearer(token).unwrap(), &view) {
        Verdict::Ready(result) => result.map_err(|failure| {
            let source = std::error::Error::source(&failure).map(ToString::to_string);
            (failure.kind(), source.unwrap_or_default())
        }),
        Verdict::Pending(_) => panic!("the validator does not wait"),
    }
}

fn rejection<V: Validator>(validator: &V, token: &str) -> FailureKind {
    match outcome(validator, token) {
        Ok(_) => panic!("accepted: {token}"),
        Err((kind, _)) => kind,
    }
}

const fn invalid(reason: InvalidReason) -> FailureKind {
    FailureKind::Invalid(reason)
}

#[test]
fn every_algorithm_is_verified() {
    for (name, algorithm) in [
        ("HS256", Algorithm::HS256),
        ("HS384", Algorithm::HS384),
        ("HS512", Algorithm::HS512),
        ("RS256", Algorithm::RS256),
        ("RS384", Algorithm::RS384),
        ("RS512", Algorithm::RS512),
        ("PS256", Algorithm::PS256),
        ("PS384", Algorithm::PS384),
        ("PS512", Algorithm::PS512),
        ("ES256", Algorithm::ES256),
        ("ES384", Algorithm::ES384),
        ("EdDSA", Algorithm::EdDSA),
    ] {
        let signer = Signer::new(name);
        let jwk = serde_json::from_value(signer.jwk()).unwrap();
        let validator = new(DecodingKey::from_jwk(&jwk).unwrap(), validation(algorithm));
        let token = signer.token(&claims());
        let validated = outcome(&validator, &token).expect(name);
        assert_eq!(validated.principal().sub, "alice", "{name}");

        let (unsigned, signature) = token.rsplit_once('.').unwrap();
        let flipped = if signature.starts_with('A') { "B" } else { "A" };
        for forged in [
            format!("{unsigned}.{flipped}{}", &signature[1..]),
            format!("{unsigned}."),
            signer.token(&with(claims(), json!({"sub": "mallory"})))[..unsigned.len()].to_owned()
                + "."
                + signature,
        ] {
            let rejected = rejection(&validator, &forged);
            assert_eq!(rejected, invalid(InvalidReason::Signature), "{name}");
        }
    }
}

#[test]
fn each_fault_has_its_reason() {
    let signer = Signer::new("HS256");
    let changed = |changes| signer.token(&with(claims(), changes));
    let header = |header| signer.token_with(&header, &claims());
    let mut confined = validation(Algorithm::HS256);
    confined.sub = Some("alice".to_owned());
    let validator = new(secret(), confined);
    assert!(outcome(&validator, &changed(json!({}))).is_ok());
    let unrecognized = FailureKind::Unrecognized;
    let token = signer.token(&claims());
    let (unsigned, signature) = token.rsplit_once('.').unwrap();
    for (name, token, expected) in [
        ("opaque", "2YotnFZFEjr1zCsicMWpAA".to_owned(), unrecognized),
        ("four parts", format!("{token}.e30"), unrecognized),
        (
            "no header",
            format!("e30.{signature}.{signature}"),
            unrecognized,
        ),
        (
            "padded signature",
            format!("{unsigned}.{signature}="),
            unrecognized,
        ),
        ("alg: none", header(json!({"alg": "none"})), unrecognized),
        (
            "`crit`",
            header(json!({"alg": "HS256", "crit": ["exp"]})),
            invalid(InvalidReason::Other),
        ),
        (
            "`b64`",
            header(json!({"alg": "HS256", "b64": false})),
            invalid(InvalidReason::Other),
        ),
        (
            "other alg",
            Signer::new("HS512").token(&claims()),
            invalid(InvalidReason::Algorithm),
        ),
        (
            "expired",
            changed(json!({"exp": now() - 61})),
            invalid(InvalidReason::Expired),
        ),
        (
            "not yet",
            changed(json!({"nbf": now() + 120})),
            invalid(InvalidReason::NotYetValid),
        ),
        (
            "issuer",
            changed(json!({"iss": "https://other.example"})),
            invalid(InvalidReason::Issuer),
        ),
        (
            "audience",
            changed(json!({"aud": ["other"]})),
            invalid(InvalidReason::Audience),
        ),
        (
            "subject",
            changed(json!({"sub": "bob"})),
            invalid(InvalidReason::Claims),
        ),
        (
            "no exp",
            changed(json!({"exp": null})),
            invalid(InvalidReason::Claims),
        ),
        (
            "no aud",
            changed(json!({"aud": null})),
            invalid(InvalidReason::Claims),
        ),
        (
            "exp is no number",
            changed(json!({"exp": "soon"})),
            invalid(InvalidReason::Claims),
        ),
        (
            "exp before 1970",
            changed(json!({"exp": -1})),
            invalid(InvalidReason::Claims),
        ),
        (
            "wrong type",
            changed(json!({"jti": 7})),
            invalid(InvalidReason::Claims),
        ),
        (
            "no object",
            signer.token(&json!(["alice"])),
            invalid(InvalidReason::Claims),
        ),
        (
            "no JSON",
            signer.token_of(r#"{"alg":"HS256"}"#, "{"),
            invalid(InvalidReason::Claims),
        ),
        (
            "repeated exp",
            signer.token_of(
                r#"{"alg":"HS256"}"#,
                r#"{"exp":4000000000,"exp":4000000000}"#,
            ),
            invalid(InvalidReason::Claims),
        ),
        (
            "repeated alg",
            signer.token_of(r#"{"alg":"HS256","alg":"HS256"}"#, &claims().to_string()),
            unrecognized,
        ),
    ] {
        assert_eq!(rejection(&validator, &token), expected, "{name}");
    }
}

#[test]
fn source_of_failure_is_error_of_jsonwebtoken() {
    let token = Signer::new("HS256").token(&with(claims(), json!({"sub": 7})));
    let request = Request::new(());
    let credential = Credential::bearer(&token).unwrap();
    let Verdict::Ready(Err(failure)) = hs256().validate(&credential, &RequestView::new(&request))
    else {
        panic!("accepted");
    };
    let source = std::error::Error::source(&failure).unwrap();
    assert!(source.downcast_ref::<Error>().is_some());
    // J03: secrets in texts
    assert!(!format!("{failure} {failure:?}").contains('7'));
    assert!(!format!("{:?}", hs256()).contains("secret"));
}

#[test]
fn public_key_is_not_accepted_as_secret() {
    // C02: algorithms come from keys. The algorithms of the list that are not those of the key have no effect.
    let mut both = validation(Algorithm::RS256);
    both.algorithms.push(Algorithm::HS256);
    let validator = new(rsa(), both);
    assert!(outcome(&validator, &Signer::new("RS256").token(&claims())).is_ok());
    let input = format!(
        "{}.{}",
        base64url(r#"{"alg":"HS256"}"#),
        base64url(claims().to_string())
    );
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, public_pem("rsa").as_bytes());
    let signature = aws_lc_rs::hmac::sign(&key, input.as_bytes());
    let token = format!("{input}.{}", base64url(signature));
    assert_eq!(
        rejection(&validator, &token),
        invalid(InvalidReason::Algorithm)
    );
}

#[test]
fn client_cannot_cause_outage_by_choice_of_algorithm() {
    let all = Validation {
        algorithms: AlgorithmFamily::Ec.algorithms().to_vec(),
        ..validation(Algorithm::ES256)
    };
    let validator = new(p256(), all);
    assert!(outcome(&validator, &Signer::new("ES256").token(&claims())).is_ok());
    let other = Signer::new("ES384").token(&claims());
    assert_eq!(
        rejection(&validator, &other),
        invalid(InvalidReason::Algorithm)
    );
}

#[test]
fn unusable_key_is_reported_by_back_end() {
    let key = DecodingKey::from_ec_der(&[4; 65]);
    let validator = new(key, validation(Algorithm::ES256));
    let token = Signer::new("ES256").token(&claims());
    assert_eq!(rejection(&validator, &token), super::UNUSABLE_KEY);
}

#[test]
fn principal_expires_as_validation_says() {
    let exp = now() + 1_000;
    let token = |exp| Signer::new("HS256").token(&with(claims(), json!({"exp": exp})));
    let expiry = |validation, token: &str| {
        let validated = outcome(&new(secret(), validation), token);
        validated.map(|validated| validated.expires_at()).unwrap()
    };
    let default = || validation(Algorithm::HS256);
    assert_eq!(expiry(default(), &token(json!(exp))), Some(at(exp + 60)));
    // Rounded, as that crate does.
    let fraction = token(json!(exp as f64 + 0.5));
    assert_eq!(expiry(default(), &fraction), Some(at(exp + 61)));
    let early = Validation {
        leeway: 5,
        reject_tokens_expiring_in_less_than: 30,
        ..default()
    };
    assert_eq!(expiry(early, &token(json!(exp))), Some(at(exp + 5 - 30)));
    // A date beyond those of the system.
    assert_eq!(expiry(default(), &token(json!(u64::MAX))), None);

    let mut optional = default();
    optional.required_spec_claims.remove("exp");
    assert_eq!(
        expiry(optional.clone(), &token(json!(exp))),
        Some(at(exp + 60))
    );
    assert_eq!(expiry(optional.clone(), &token(json!(null))), None);
    let unreadable = rejection(&new(secret(), optional.clone()), &token(json!("soon")));
    assert_eq!(unreadable, invalid(InvalidReason::Claims));
    optional.validate_exp = false;
    assert_eq!(expiry(optional, &token(json!(now() - 1_000))), None);
}

#[tokio::test]
async fn cached_result_expires_with_token_and_is_revoked() {
    let clock = ManualClock::new(SystemTime::now());
    let revoked = RevocationList::new();
    let validator = hs256()
        .revocable(revoked.clone(), |claims: &Claims| {
            RevocationClaims::new().with_token_id(claims.jti.as_deref())
        })
        .cached(CacheSettings::new().with_time_to_live(Duration::from_secs(3_600)));
    let cache = validator.cache().clone();
    let service = BearerAuthLayer::new(validator)
        .with_policy(scope("orders:read"))
        .with_clock(clock.clone())
        .layer(service_fn(|_| async {
            Ok::<_, std::convert::Infallible>(http::Response::new(Body::default()))
        }));
    let token = |changes| Signer::new("HS256").token(&with(claims(), changes));
    let status = async |token: &str| {
        let request = Request::get("/").header(AUTHORIZATION, format!("Bearer {token}"));
        let request = request.body(Body::default()).unwrap();
        send(service.clone(), request).await.status()
    };

    let short = token(json!({"exp": now() + 100}));
    for _ in 0..2 {
        assert_eq!(status(&short).await, 200);
    }
    assert_eq!(cache.len(), 1);
    assert_eq!(status(&token(json!({"scope": "orders:write"}))).await, 403);
    // By the clock of the layer; that of the system has not moved.
    clock.advance(Duration::from_secs(161));
    assert_eq!(status(&short).await, 401);
    assert_eq!(status(&token(json!({"exp": now() + 100}))).await, 401);

    let long = token(json!({"jti": "t-2"}));
    assert_eq!(status(&long).await, 200);
    revoked
        .revoke_token(None, "t-2", at(now() + 3_600))
        .unwrap();
    assert_eq!(status(&long).await, 401);
}

#[test]
fn kid_selects_key() {
    let _ = super::PROVIDER.install_default();
    let mut all = validation(Algorithm::RS256);
    all.algorithms.push(Algorithm::ES256);
    let validator =
        JsonwebtokenValidator::<Claims>::by_kid([("r", rsa()), ("e", p256())], all).unwrap();
    let token = |alg, kid: &str| Signer::new(alg).kid(kid).token(&claims());
    assert!(outcome(&validator, &token("RS256", "r")).is_ok());
    assert!(outcome(&validator, &token("ES256", "e")).is_ok());
    for (token, expected) in [
        (token("RS256", "e"), InvalidReason::Algorithm),
        (token("ES256", "r"), InvalidReason::Algorithm),
        (token("RS512", "r"), InvalidReason::Algorithm),
        (token("RS256", "R"), InvalidReason::Key),
        (token("RS256", ""), InvalidReason::Key),
        (Signer::new("RS256").token(&claims()), InvalidReason::Key),
        (
            Signer::with_key("RS256", "rsa-other")
                .kid("r")
                .token(&claims()),
            InvalidReason::Signature,
        ),
    ] {
        assert_eq!(rejection(&validator, &token), invalid(expected));
    }
}

#[test]
fn settings_that_cannot_work_are_errors() {
    let new = |key, validation| JsonwebtokenValidator::<Claims>::new(key, validation).map(drop);
    let setting = |result: Result<(), ConfigError>| match result {
        Err(ConfigError::Setting { setting, .. }) => setting,
        other => panic!("{other:?}"),
    };
    let default = || validation(Algorithm::HS256);
    let none = Validation {
        algorithms: Vec::new(),
        ..default()
    };
    assert_eq!(setting(new(secret(), none)), "validation");
    assert_eq!(setting(new(rsa(), default())), "validation");
    assert_eq!(
        setting(new(p256(), validation(Algorithm::ES384))),
        "validation"
    );
    for leeway in [31_536_001, u32::MAX.into(), u64::MAX] {
        let leeway = Validation {
            leeway,
            ..default()
        };
        assert_eq!(setting(new(secret(), leeway)), "validation");
    }
    let early = Validation {
        reject_tokens_expiring_in_less_than: u64::MAX,
        ..default()
    };
    assert_eq!(setting(new(secret(), early)), "validation");
    let by_kid = |keys: Vec<(&str, DecodingKey)>| {
        JsonwebtokenValidator::<Claims>::by_kid(keys, default()).map(drop)
    };
    assert_eq!(setting(by_kid(Vec::new())), "by_kid");
    assert_eq!(
        setting(by_kid(vec![("a", secret()), ("a", secret())])),
        "by_kid"
    );
    assert_eq!(
        setting(by_kid(vec![("a", secret()), ("b", rsa())])),
        "validation"
    );
}

/// The list "What it does not check" of the module.
#[test]
fn jwt_validator_rejects_what_documentation_lists() {
    let signer = Signer::new("HS256");
    let strict = JwtValidator::builder(SharedSecret::hs256(SECRET).unwrap())
        .issuer(ISSUER)
        .audience(AUDIENCE)
        .build()
        .unwrap();
    let bridge = hs256();
    let changed = |changes| signer.token(&with(claims(), changes));
    let header = |header| signer.token_with(&header, &claims());
    let repeated = claims()
        .to_string()
        .replacen('{', r#"{"tenant":"a","tenant":"b","#, 1);
    assert!(outcome(&strict, &signer.token(&claims())).is_ok());
    for (name, token) in [
        ("typ", header(json!({"alg": "HS256", "typ": "logout+jwt"}))),
        (
            "ID token",
            signer.token_with(
                &json!({"alg": "HS256"}),
                &with(claims(), json!({"at_hash": "x"})),
            ),
        ),
        ("logout token", changed(json!({"events": {}}))),
        ("DPoP proof", changed(json!({"htm": "GET"}))),
        ("cnf", changed(json!({"cnf": {"jkt": "x"}}))),
        (
            "repeated claim",
            signer.token_of(&signer.header().to_string(), &repeated),
        ),
        (
            "array of issuers",
            changed(json!({"iss": ["https://other.example", ISSUER]})),
        ),
        (
            "issued in the future",
            changed(json!({"iat": now() + 3_000})),
        ),
        ("far date", changed(json!({"exp": 1_u64 << 60}))),
        (
            "nested token",
            header(json!({"alg": "HS256", "cty": "JWT"})),
        ),
        (
            "critical `b64`",
            header(json!({"alg": "HS256", "b64": true, "crit": ["b64"]})),
        ),
        (
            "9,000 bytes",
            changed(json!({"padding": "x".repeat(9_000)})),
        ),
    ] {
        assert!(outcome(&bridge, &token).is_ok(), "{name}");
        assert!(outcome(&strict, &token).is_err(), "{name}");
    }
    let short = DecodingKey::from_secret(b"short").unwrap();
    assert!(JsonwebtokenValidator::<Claims>::new(short, validation(Algorithm::HS256)).is_ok());
    assert!(SharedSecret::hs256(b"short").is_err());
}
