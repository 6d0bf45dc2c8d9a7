//! Tokens and keys that other implementations wrote.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};
use tower_bearer::clock::ManualClock;
use tower_bearer::jwt::{
    Algorithm, CryptoBackend, JwksOptions, JwtValidator, KeySet, KeySource, PublicKey, SharedSecret,
};

use crate::api::Api;
use crate::realm::for_mallory;
use crate::tokens::{AUDIENCE, ISSUER, SECRET, claims, now};
use crate::tools::script;

pub(crate) async fn tokens_of_jose_are_accepted(folder: PathBuf) {
    let lines = made_by(&folder, "tokens.mjs");
    assert_eq!(accepted(&lines).await, 14);
}

pub(crate) async fn tokens_of_pyjwt_are_accepted(folder: PathBuf) {
    let lines = made_by(&folder, "tokens.py");
    assert_eq!(accepted(&lines).await, 13);
}

pub(crate) async fn tokens_that_no_api_takes_are_refused(folder: PathBuf) {
    let lines = made_by(&folder, "tokens.mjs");
    let mut count = 0;
    for backend in CryptoBackend::available() {
        let api = api(jwks(&lines, *backend), false);
        for line in lines.iter().filter(|line| line["refused"].is_string()) {
            let answer = api.get(text(line, "token")).await;
            assert_eq!(answer.status, 401, "{} {backend:?}", line["refused"]);
            count += 1;
        }
    }
    assert_eq!(count, 16);
}

/// Runs a script that makes tokens.
fn made_by(folder: &Path, name: &str) -> Vec<Value> {
    let secret: String = SECRET.iter().map(|byte| format!("{byte:02x}")).collect();
    let keys = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/keys");
    let mut child = script(folder, name)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let given = json!({"keys": keys, "secret": secret, "claims": claims()});
    write!(child.stdin.take().unwrap(), "{given}").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{name} failed");
    let printed = String::from_utf8(output.stdout).unwrap();
    printed
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Every token is accepted with the key as a JWK and as PEM, and refused once it is changed. Returns how
/// many algorithms there were.
async fn accepted(lines: &[Value]) -> usize {
    let lines: Vec<_> = lines
        .iter()
        .filter(|line| line["alg"].is_string())
        .collect();
    for backend in CryptoBackend::available() {
        let all = lines.iter().copied().cloned().collect::<Vec<_>>();
        let by_kid = jwks(&all, *backend);
        assert!(by_kid.skipped().is_empty(), "{:?}", by_kid.skipped());
        assert_eq!(by_kid.keys().count(), lines.len() - 3);
        let by_kid = api(by_kid, true);
        for line in &lines {
            let alg = text(line, "alg");
            for (form, api, token) in [
                ("JWK", &by_kid, text(line, "token")),
                (
                    "one key",
                    &api(key(line, *backend), true),
                    text(line, "token"),
                ),
                (
                    "one key, header of the library",
                    &api(key(line, *backend), false),
                    text(line, "plain"),
                ),
            ] {
                if form == "JWK" && line["jwk"].is_null() {
                    continue;
                }
                let case = format!("{alg} {backend:?} {form}");
                let answer = api.get(token).await;
                assert_eq!(answer.status, 200, "{case}: {}", answer.cause());
                assert_eq!(answer.body, "alice: orders:read", "{case}");
                let answer = api.get(&for_mallory(token)).await;
                assert_eq!(answer.status, 401, "{case}");
                assert_eq!(answer.cause(), "the signature does not match", "{case}");
            }
        }
    }
    lines.len()
}

/// The JWK Set of a library.
fn jwks(lines: &[Value], backend: CryptoBackend) -> KeySet {
    let keys = lines.iter().map(|line| &line["jwk"]);
    let keys: Vec<_> = keys.filter(|jwk| jwk.is_object()).collect();
    let options = JwksOptions::new().with_backend(backend);
    KeySet::from_jwks_with(json!({"keys": keys}).to_string(), &options).unwrap()
}

/// The one key of a line, without a name: PEM, or the secret.
fn key(line: &Value, backend: CryptoBackend) -> KeySet {
    let alg = text(line, "alg");
    let key = match alg {
        "HS256" => SharedSecret::hs256(SECRET).unwrap().into(),
        "HS384" => SharedSecret::hs384(SECRET).unwrap().into(),
        "HS512" => SharedSecret::hs512(SECRET).unwrap().into(),
        _ => {
            let key = PublicKey::from_pem(text(line, "pem")).unwrap();
            tower_bearer::jwt::Key::from(
                key.with_algorithm(Algorithm::from_name(alg).unwrap())
                    .unwrap(),
            )
        }
    };
    KeySet::with_backend(backend, [key]).unwrap()
}

fn api(keys: impl Into<KeySource>, at_jwt: bool) -> Api {
    let builder = JwtValidator::builder(keys)
        .issuer(ISSUER)
        .audience(AUDIENCE);
    let builder = if at_jwt { builder.rfc9068() } else { builder };
    Api::new(builder.build().unwrap(), ManualClock::new(now()))
}

fn text<'l>(line: &'l Value, name: &str) -> &'l str {
    line[name].as_str().unwrap_or_else(|| panic!("no `{name}`"))
}
