//! Attacks on a validator of JWTs, one a row: what it says to each, exactly, and with every back end. Next
//! to each group of attacks stands what has to be accepted, so that a validator that refuses everything
//! does not pass.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rsa::BigUint;
use rsa::pkcs8::DecodePrivateKey as _;
use rsa::signature::{RandomizedSigner as _, SignatureEncoding as _, Signer as _};
use rsa::traits::{PrivateKeyParts as _, PublicKeyParts as _};
use serde_json::{Value, json};
use tower_bearer::ConfigError;
use tower_bearer::jwt::{
    AccessToken, Algorithm, ClaimsLayout, CryptoBackend, JwksOptions, JwtIssuers, JwtOrOpaque,
    JwtValidator, JwtValidatorBuilder, Key, KeyError, KeySet, PublicKey, SharedSecret, TokenError,
};
use tower_bearer::policy::Claims;
use tower_bearer::revocation::RevocationList;

use crate::tokens::{
    AUDIENCE, ISSUER, NOW, SECRET, Signer, base64url, claims, der, jwks, now, private_pem,
    public_pem, with,
};
use crate::verdicts::{Judge, Refusal, ask};

/// All rules of the sections.
const RULES: [(&str, u32); 3] = [("C", 18), ("D", 17), ("G", 9)];
/// Rules of other sections that are shown besides.
const BESIDES: [&str; 7] = ["H01", "H02", "M12", "M13", "M14", "M15", "M17"];
/// Those that no token, key or setting can show, and why.
const ELSEWHERE: [(&str, &str); 4] = [
    ("D09", "concerns introspection"),
    ("D17", "concerns documentation and revocation"),
    ("G08", "concerns the service"),
    ("G09", "concerns how many issuers there are"),
];

// What the table is made of. Where its rows are written down, a row is a line, whatever rustfmt would
// make of it.

type Setting = fn(CryptoBackend) -> Judge;
type Look = fn(&AccessToken) -> bool;

struct Row {
    rules: &'static str,
    name: String,
    setting: Setting,
    token: String,
    /// What the principal has to look like, or why there is none.
    expected: Result<Look, Refusal>,
}

struct Table {
    rows: Vec<Row>,
    rules: &'static str,
    setting: Setting,
}

impl Table {
    /// The rules and the validator of the rows that follow.
    fn section(&mut self, rules: &'static str, setting: Setting) {
        (self.rules, self.setting) = (rules, setting);
    }

    fn row(&mut self, name: impl Into<String>, token: String, expected: Result<Look, Refusal>) {
        self.rows.push(Row {
            rules: self.rules,
            name: name.into(),
            setting: self.setting,
            token,
            expected,
        });
    }

    fn accepts(&mut self, name: impl Into<String>, token: String) {
        self.row(name, token, Ok(|_| true));
    }

    fn accepts_as(&mut self, name: impl Into<String>, token: String, look: Look) {
        self.row(name, token, Ok(look));
    }

    fn refuses(&mut self, name: impl Into<String>, token: String, error: TokenError) {
        self.row(name, token, Err(error.into()));
    }

    /// No verdict: another validator may know it.
    fn leaves(&mut self, name: impl Into<String>, token: String) {
        self.row(name, token, Err(Refusal::Unrecognized));
    }

    /// No request can present it.
    fn never_sees(&mut self, name: impl Into<String>, token: String) {
        self.row(name, token, Err(Refusal::NoCredential));
    }
}

/// Whoever signs in this table.
struct Signers {
    rs: Signer,
    /// Another key pair of the same kind: the attacker's.
    rs_other: Signer,
    rs512: Signer,
    ps: Signer,
    hs: Signer,
    es: Signer,
    ed: Signer,
    ed_other: Signer,
}

impl Signers {
    fn new() -> Self {
        Self {
            rs: Signer::new("RS256"),
            rs_other: Signer::with_key("RS256", "rsa-other"),
            rs512: Signer::new("RS512"),
            ps: Signer::new("PS256"),
            hs: Signer::new("HS256"),
            es: Signer::new("ES256"),
            ed: Signer::new("EdDSA"),
            ed_other: Signer::with_key("EdDSA", "ed25519-other"),
        }
    }
}

// Validators.

fn standard(keys: KeySet) -> JwtValidatorBuilder {
    JwtValidator::builder(keys)
        .issuer(ISSUER)
        .audience(AUDIENCE)
}

fn with_key(backend: CryptoBackend, key: impl Into<Key>) -> JwtValidatorBuilder {
    standard(KeySet::with_backend(backend, [key]).unwrap())
}

fn with_pem(backend: CryptoBackend, name: &str) -> JwtValidatorBuilder {
    with_key(backend, PublicKey::from_pem(public_pem(name)).unwrap())
}

fn with_jwks(backend: CryptoBackend, jwks: &Value) -> JwtValidatorBuilder {
    let options = JwksOptions::new().with_backend(backend);
    standard(KeySet::from_jwks_with(jwks.to_string(), &options).unwrap())
}

fn judge(builder: JwtValidatorBuilder) -> Judge {
    Arc::new(builder.build().unwrap())
}

const RS256: Setting = |backend| judge(with_pem(backend, "rsa"));
const HS256: Setting = |backend| judge(with_key(backend, SharedSecret::hs256(SECRET).unwrap()));
const ES256: Setting = |backend| judge(with_pem(backend, "p256"));
const ES384: Setting = |backend| judge(with_pem(backend, "p384"));
const ES512: Setting = |backend| judge(with_pem(backend, "p521"));
const ED25519: Setting = |backend| judge(with_pem(backend, "ed25519"));
const PS256: Setting = |backend| {
    let key = PublicKey::from_pem(public_pem("rsa")).unwrap();
    judge(with_key(
        backend,
        key.with_algorithm(Algorithm::PS256).unwrap(),
    ))
};
/// One key, with a name.
const NAMED: Setting = |backend| {
    let key = PublicKey::from_pem(public_pem("rsa")).unwrap();
    judge(with_key(backend, key.with_kid("rs").unwrap()))
};
/// A JWK Set with a key for each of several algorithms, and with keys that are not for use.
const SET: Setting = |backend| judge(with_jwks(backend, &jwk_set()));
/// Two keys for one algorithm, each with a name.
const TWO: Setting = |backend| {
    let signers = [
        Signer::new("RS256").kid("one"),
        Signer::with_key("RS256", "rsa-other").kid("two"),
    ];
    judge(with_jwks(backend, &jwks(&signers)))
};
/// One key pair without a name for two algorithms.
const UNNAMED: Setting = |backend| {
    let key = PublicKey::from_pem(public_pem("rsa")).unwrap();
    let other = key.clone().with_algorithm(Algorithm::PS256).unwrap();
    judge(standard(
        KeySet::with_backend(backend, [key, other]).unwrap(),
    ))
};
/// RFC 9068 to the letter.
const PROFILE: Setting = |backend| judge(with_pem(backend, "rsa").rfc9068());
/// Everything off that can be switched off.
const LENIENT: Setting = |backend| {
    let key = PublicKey::from_pem(public_pem("rsa")).unwrap();
    let builder = JwtValidator::builder(KeySet::with_backend(backend, [key]).unwrap())
        .insecure_any_issuer()
        .insecure_any_audience()
        .insecure_without_expiry()
        .insecure_accept_id_tokens()
        .insecure_ignore_sender_constraint();
    judge(builder)
};
/// Two issuers whose keys have the same name.
const ISSUERS: Setting = |backend| {
    let issuers = JwtIssuers::new();
    for (issuer, file) in [(ISSUER, "rsa"), (OTHER_ISSUER, "rsa-other")] {
        let jwks = jwks([&Signer::with_key("RS256", file).kid("k")]);
        let validator = with_jwks(backend, &jwks).issuer(issuer).build();
        issuers.insert(validator.unwrap()).unwrap();
    }
    Arc::new(issuers)
};
/// JWTs to one validator, all else to another that would take a JWT too.
const BY_SHAPE: Setting = |backend| {
    let other = with_key(backend, SharedSecret::hs256(SECRET).unwrap());
    let jwt = with_pem(backend, "rsa").build().unwrap();
    Arc::new(JwtOrOpaque::new(jwt, other.build().unwrap()))
};

/// The same for the longest tokens.
const BY_SHAPE_LONG: Setting = |backend| {
    let other = with_key(backend, SharedSecret::hs256(SECRET).unwrap());
    let jwt = with_pem(backend, "rsa").max_length(16_384).build().unwrap();
    Arc::new(JwtOrOpaque::new(jwt, other.build().unwrap()))
};

const OTHER_ISSUER: &str = "https://other.example";

fn jwk_set() -> Value {
    let usable = [
        Signer::new("RS256").kid("rs"),
        Signer::with_key("PS256", "rsa-other").kid("ps"),
        Signer::new("ES256").kid("es256"),
        Signer::new("ES384").kid("es384"),
        Signer::new("ES512").kid("es512"),
        Signer::new("EdDSA").kid("ed"),
    ];
    let rsa = Signer::new("RS256").jwk();
    let mut set = jwks(&usable);
    set["keys"].as_array_mut().unwrap().extend([
        with(rsa.clone(), json!({"kid": "enc", "use": "enc"})),
        with(rsa.clone(), json!({"kid": "oaep", "alg": "RSA-OAEP"})),
        with(rsa.clone(), json!({"kid": "signs", "key_ops": ["sign"]})),
        with(rsa, json!({"kid": "private", "d": "AQAB"})),
        with(weak_jwk(), json!({"kid": "weak"})),
        with(Signer::new("HS256").jwk(), json!({"kid": "oct"})),
    ]);
    set
}

// Errors.

const NOT_STRICT: TokenError = TokenError::Header {
    problem: "not one JSON object that names no member twice",
};
const CRIT: TokenError = TokenError::Header {
    problem: "`crit`: no extension is understood",
};
const ENCRYPTED: TokenError = TokenError::Header {
    problem: "`enc`: an encrypted token is not accepted",
};
const COMPRESSED: TokenError = TokenError::Header {
    problem: "`zip`: compression is not accepted",
};
const B64: TokenError = TokenError::Header {
    problem: "`b64`: only `true` is accepted",
};
const NESTED: TokenError = TokenError::Header {
    problem: "`cty`: a nested token is not accepted",
};
const KID_LENGTH: TokenError = TokenError::Header {
    problem: "`kid` is longer than 256 bytes",
};
const UNKNOWN_KEY: TokenError = TokenError::Key {
    problem: "no key has this `kid`",
};
const SEVERAL_KEYS: TokenError = TokenError::Key {
    problem: "the token has no `kid`, and several keys fit; `JwksOptions::with_max_trials_without_kid` allows trying them in turn",
};
const OTHER_TYPE: TokenError = TokenError::TokenType {
    found: "`typ` names another kind of token",
};
const NOT_AT_JWT: TokenError = TokenError::TokenType {
    found: "`typ` is not `at+jwt`",
};
const NONCE: TokenError = TokenError::TokenType {
    found: "`nonce`: an ID token, unless the provider writes it into access tokens too; set `claims_layout` then, by a preset or `with_access_token_values`",
};
const HASH: TokenError = TokenError::TokenType {
    found: "`at_hash`, `c_hash` or `s_hash`: an ID token",
};
const OTHER_THAN_LISTED: TokenError = TokenError::TokenType {
    found: "`typ` is none of `only_token_types`",
};
const SAYS_OTHER_KIND: TokenError = TokenError::TokenType {
    found: "a claim says that it is an ID, refresh or logout token",
};
const EVENTS: TokenError = TokenError::TokenType {
    found: "`events`: a security event or logout token",
};
const PROOF: TokenError = TokenError::TokenType {
    found: "`htm`: a DPoP proof",
};
const NO_MARKER: TokenError = TokenError::TokenType {
    found: "the claim by which `claims_layout` knows access tokens is missing or has another value",
};

fn wrong_type(member: &str) -> TokenError {
    TokenError::Header {
        problem: match member {
            "alg" => "`alg` is not a string",
            "kid" => "`kid` is not a string",
            "typ" => "`typ` is not a string",
            "cty" => "`cty` is not a string",
            "b64" => "`b64` is not a boolean",
            _ => panic!("no error for {member}"),
        },
    }
}

fn claim(claim: &str) -> TokenError {
    TokenError::Claim {
        claim: claim.into(),
    }
}

fn missing(claim: &str) -> TokenError {
    TokenError::MissingClaim {
        claim: claim.into(),
    }
}

// Tokens.

/// Claims with one more member, whose value is this text.
fn spliced(member: &str, value: &str) -> String {
    let rest = with(claims(), json!({member: null})).to_string();
    format!("{{\"{member}\":{value},{}", &rest[1..])
}

fn parts(token: &str) -> [&str; 3] {
    let parts: Vec<_> = token.split('.').collect();
    parts.try_into().unwrap()
}

fn unsigned(header: &Value) -> String {
    let claims = base64url(claims().to_string());
    format!("{}.{claims}.", base64url(header.to_string()))
}

/// A token with its signature replaced by what `change` makes of it.
fn resigned(token: &str, change: impl FnOnce(Vec<u8>) -> Vec<u8>) -> String {
    let [header, claims, signature] = parts(token);
    let signature = change(URL_SAFE_NO_PAD.decode(signature).unwrap());
    format!("{header}.{claims}.{}", base64url(signature))
}

/// An HMAC over the usual claims, keyed with something public.
fn hmac_token(alg: &str, header: Value, secret: &[u8]) -> String {
    let algorithm = match alg {
        "HS256" => hmac::HMAC_SHA256,
        "HS384" => hmac::HMAC_SHA384,
        _ => hmac::HMAC_SHA512,
    };
    let header = with(header, json!({"alg": alg})).to_string();
    let signing_input = format!("{}.{}", base64url(header), base64url(claims().to_string()));
    let tag = hmac::sign(&hmac::Key::new(algorithm, secret), signing_input.as_bytes());
    format!("{signing_input}.{}", base64url(tag))
}

/// The same text with another last character that stands for the same bytes.
fn with_stray_bits(part: &str) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    assert_ne!(part.len() % 4, 0, "no bits are left over in {part}");
    let (start, last) = part.split_at(part.len() - 1);
    let at = ALPHABET.iter().position(|c| *c == last.as_bytes()[0]);
    format!("{start}{}", char::from(ALPHABET[at.unwrap() ^ 1]))
}

/// `part` with every `-` and `_` as the ordinary alphabet writes it.
fn in_other_alphabet(part: &str) -> String {
    let other = part.replace('-', "+").replace('_', "/");
    assert_ne!(other, part, "no such character");
    other
}

/// Objects within each other, so many that there are `levels` with the one around them.
fn deep(levels: usize) -> String {
    let inner = levels - 1;
    format!("{}1{}", "{\"a\":".repeat(inner), "}".repeat(inner))
}

fn members(count: usize) -> Value {
    let members = (0..count).map(|n| (format!("m{n}"), json!(n)));
    Value::Object(members.collect())
}

fn merged(base: Value, more: &Value) -> Value {
    with(base, more.clone())
}

/// A good token of exactly this length.
fn of_length(signer: &Signer, length: usize) -> String {
    (0..8)
        .flat_map(|shift| (length / 2..length).map(move |padding| (shift, padding)))
        .map(|(shift, padding)| {
            let header = with(signer.header(), json!({"x": "x".repeat(shift)})).to_string();
            let claims = with(claims(), json!({"x": "x".repeat(padding)})).to_string();
            (header, claims)
        })
        .find(|(header, claims)| {
            let part = |bytes: usize| (bytes * 4).div_ceil(3);
            part(header.len()) + part(claims.len()) + part(256) + 2 == length
        })
        .map(|(header, claims)| signer.token_of(&header, &claims))
        .unwrap()
}

// Numbers.

fn number(bytes: &[u8]) -> BigUint {
    BigUint::from_bytes_be(bytes)
}

/// A number big-endian in `length` bytes.
fn fixed(number: &BigUint, length: usize) -> Vec<u8> {
    let bytes = number.to_bytes_be();
    [vec![0; length - bytes.len()], bytes].concat()
}

/// The order of P-256.
fn p256_order() -> BigUint {
    BigUint::parse_bytes(
        b"ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
        16,
    )
    .unwrap()
}

/// The order of Ed25519.
fn ed25519_order() -> BigUint {
    BigUint::parse_bytes(
        b"1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed",
        16,
    )
    .unwrap()
}

/// An ECDSA signature as X.509 writes it.
fn ecdsa_der(signature: &[u8]) -> Vec<u8> {
    let integer = |bytes: &[u8]| {
        let mut bytes = number(bytes).to_bytes_be();
        if bytes[0] >= 0x80 {
            bytes.insert(0, 0);
        }
        [vec![2, u8::try_from(bytes.len()).unwrap()], bytes].concat()
    };
    let (r, s) = signature.split_at(signature.len() / 2);
    let both = [integer(r), integer(s)].concat();
    [vec![0x30, u8::try_from(both.len()).unwrap()], both].concat()
}

fn rsa_key(name: &str) -> rsa::RsaPrivateKey {
    rsa::RsaPrivateKey::from_pkcs8_der(&der(&private_pem(name))).unwrap()
}

fn weak_jwk() -> Value {
    let key = rsa_key("rsa-1024");
    json!({
        "kty": "RSA", "alg": "RS256",
        "n": base64url(key.n().to_bytes_be()), "e": base64url(key.e().to_bytes_be()),
    })
}

/// What RSA makes of a padded message, whatever the padding.
fn rsa_raw(padded: &[u8]) -> Vec<u8> {
    let key = rsa_key("rsa");
    fixed(&number(padded).modpow(key.d(), key.n()), 256)
}

/// The DigestInfo of SHA-256 up to the digest, with and without the NULL that belongs there.
const SHA256_INFO: &[u8] =
    b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20";
const SHA256_INFO_WITHOUT_NULL: &[u8] =
    b"\x30\x2f\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x04\x20";

struct Padding {
    block_type: u8,
    filler: u8,
    info: &'static [u8],
    /// What stands behind the digest.
    tail: &'static [u8],
}

const GOOD_PADDING: Padding = Padding {
    block_type: 1,
    filler: 0xff,
    info: SHA256_INFO,
    tail: b"",
};

impl Padding {
    fn token(&self, signing_input: &str) -> String {
        let hash = digest::digest(&digest::SHA256, signing_input.as_bytes());
        let message = [self.info, hash.as_ref(), self.tail].concat();
        let filler = vec![self.filler; 256 - 3 - message.len()];
        let padded = [vec![0, self.block_type], filler, vec![0], message].concat();
        format!("{signing_input}.{}", base64url(rsa_raw(&padded)))
    }
}

/// Random numbers for a salt: always the same.
struct NotRandom;

impl rsa::rand_core::RngCore for NotRandom {
    fn next_u32(&mut self) -> u32 {
        0x5a5a_5a5a
    }

    fn next_u64(&mut self) -> u64 {
        0x5a5a_5a5a_5a5a_5a5a
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        bytes.fill(0x5a);
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rsa::rand_core::Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}

impl rsa::rand_core::CryptoRng for NotRandom {}

fn pss_token(salt_length: usize) -> String {
    let signing_input = unsigned(&json!({"alg": "PS256"}));
    let signing_input = signing_input.trim_end_matches('.');
    let key =
        rsa::pss::SigningKey::<rsa::sha2::Sha256>::new_with_salt_len(rsa_key("rsa"), salt_length);
    let signature = key.sign_with_rng(&mut NotRandom, signing_input.as_bytes());
    format!("{signing_input}.{}", base64url(signature.to_bytes()))
}

// Section C.

fn rows() -> Vec<Row> {
    let signers = &Signers::new();
    let mut table = Table {
        rows: Vec::new(),
        rules: "",
        setting: RS256,
    };
    for group in [
        no_algorithm,
        other_algorithms,
        keys_in_the_header,
        keys_for_something_else,
        elliptic_signatures,
        rsa_signatures,
        edwards_signatures,
        foreign_signatures,
        extensions,
        key_names,
        keys_of_other_issuers,
        encrypted_and_nested,
        wrong_shapes,
        loose_base64,
        malleable_text,
        switches,
        issuer,
        audience,
        dates,
        dates_of_wrong_types,
        wrong_types,
        member_names,
        kinds_of_token,
        tells_of_other_kinds,
        missing_claims,
        scopes,
        order_of_errors,
        limits,
        not_unicode,
        sender_constraint,
        unused_claims,
        nulls,
        only_some,
        age,
        markers,
    ] {
        group(&mut table, signers);
    }
    table.rows
}

// (C01: no `none`) There is no `none`.
#[rustfmt::skip]
fn no_algorithm(t: &mut Table, k: &Signers) {
    t.section("C01", RS256);
    t.accepts("RS256", k.rs.token(&claims()));
    for alg in ["none", "None", "NONE", "nOnE", "nonE", " none", "none ", "no\u{0}ne", "none\u{0}", "null", ""] {
        let header = json!({"alg": alg});
        t.leaves(format!("alg {alg:?} without a signature"), unsigned(&header));
        t.refuses(
            format!("alg {alg:?} with an RSA signature"),
            k.rs.token_with(&header, &claims()),
            TokenError::Algorithm,
        );
    }
    let empty_hmac = hmac_token("HS256", json!({}), b"");
    let [_, claims_part, tag] = parts(&empty_hmac);
    let header = base64url(json!({"alg": "none"}).to_string());
    let token = format!("{header}.{claims_part}.{tag}");
    t.refuses("alg none with an HMAC of the empty key", token, TokenError::Algorithm);
    t.refuses(
        "no alg at all",
        k.rs.token_with(&json!({"typ": "JWT"}), &claims()),
        TokenError::Header { problem: "`alg` is missing" },
    );
    for alg in [json!(256), json!(true), json!(["RS256"]), json!({"RS256": 1})] {
        let token = k.rs.token_with(&json!({"alg": alg}), &claims());
        t.refuses(format!("alg {alg}"), token, wrong_type("alg"));
    }
    t.section("C01 M13", RS256);
    t.refuses(
        "alg null",
        k.rs.token_with(&json!({"alg": null}), &claims()),
        TokenError::Header { problem: "`alg` is missing" },
    );
    t.section("C01", SET);
    let token = k.rs.token_with(&json!({"alg": "none", "kid": "rs"}), &claims());
    t.refuses("alg none with the kid of a key", token, TokenError::Algorithm);
}

// (C02: algorithm of the key) The key says which algorithm; the header only agrees.
#[rustfmt::skip]
fn other_algorithms(t: &mut Table, k: &Signers) {
    t.section("C02", RS256);
    for alg in [
        "HS256", "HS384", "HS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519", "ES256K", "ESP256", "Ed448", "RS1",
        "HS1", "rs256", "Rs256", "RS256 ", "RSA-OAEP", "RSA1_5", "dir", "A128KW", "ECDH-ES",
    ] {
        let token = k.rs.token_with(&json!({"alg": alg}), &claims());
        t.refuses(format!("signed with RS256, alg {alg:?}"), token, TokenError::Algorithm);
    }
    // (M15: key checks) The algorithm of the key is a default, and the error names the option that
    // sets it.
    t.section("C02 M15", RS256);
    for alg in ["RS384", "RS512", "PS256", "PS384", "PS512"] {
        let token = k.rs.token_with(&json!({"alg": alg}), &claims());
        t.refuses(format!("signed with RS256, alg {alg:?}"), token, TokenError::DefaultAlgorithm);
    }
    // Good signatures of the very same key, by other algorithms.
    t.refuses("RS512 by the key", k.rs512.token(&claims()), TokenError::DefaultAlgorithm);
    t.refuses("PS256 by the key", k.ps.token(&claims()), TokenError::DefaultAlgorithm);

    // (C03: public keys as secrets) An HMAC over everything that the public key looks like.
    t.section("C02 C03", RS256);
    let pem = public_pem("rsa");
    let spki = der(&pem);
    let jwk = k.rs.jwk();
    let modulus = jwk["n"].as_str().unwrap();
    for (name, secret) in [
        ("the PEM text", pem.clone().into_bytes()),
        ("the PEM text without its last line end", pem.trim_end().into()),
        ("the PEM text with CRLF", pem.replace('\n', "\r\n").into_bytes()),
        ("the lines of the PEM text", STANDARD.encode(&spki).into_bytes()),
        ("the DER", spki.clone()),
        ("the JWK", jwk.to_string().into_bytes()),
        ("the JWK Set", jwks([&k.rs]).to_string().into_bytes()),
        ("the modulus", URL_SAFE_NO_PAD.decode(modulus).unwrap()),
        ("the modulus as text", modulus.into()),
        ("nothing", Vec::new()),
    ] {
        for alg in ["HS256", "HS512"] {
            let token = hmac_token(alg, json!({}), &secret);
            t.refuses(format!("{alg} with {name}"), token, TokenError::Algorithm);
        }
    }
    t.section("C02 C03", SET);
    let token = hmac_token("HS256", json!({"kid": "rs"}), pem.as_bytes());
    t.refuses("HS256 with the PEM text and its kid", token, TokenError::Algorithm);
    t.refuses(
        "HS256 with the PEM text and no kid",
        hmac_token("HS256", json!({}), pem.as_bytes()),
        TokenError::Algorithm,
    );

    t.section("C02", HS256);
    t.accepts("HS256", k.hs.token(&claims()));
    t.refuses("HS512 by the secret", Signer::new("HS512").token(&claims()), TokenError::Algorithm);
    t.refuses("RS256", k.rs.token(&claims()), TokenError::Algorithm);
    let token = hmac_token("HS256", json!({}), public_pem("rsa").as_bytes());
    t.refuses("HS256 with a PEM text", token, TokenError::Signature);

    t.section("C02", ES256);
    t.accepts("ES256", k.es.token(&claims()));
    t.refuses("ES384", Signer::new("ES384").token(&claims()), TokenError::Algorithm);
    let token = k.es.token_with(&json!({"alg": "ES384"}), &claims());
    t.refuses("ES256 called ES384", token, TokenError::Algorithm);

    t.section("C02", ED25519);
    t.accepts("EdDSA", k.ed.token(&claims()));
    t.accepts("Ed25519", Signer::new("Ed25519").token(&claims()));
    let token = k.ed.token_with(&json!({"alg": "Ed448"}), &claims());
    t.refuses("Ed25519 called Ed448", token, TokenError::Algorithm);
    let x = k.ed.jwk()["x"].as_str().map(|x| URL_SAFE_NO_PAD.decode(x));
    let token = hmac_token("HS256", json!({}), &x.unwrap().unwrap());
    t.refuses("HS256 with the 32 bytes of the key", token, TokenError::Algorithm);

    t.section("C02", PS256);
    t.accepts("PS256", k.ps.token(&claims()));
    t.refuses("RS256", k.rs.token(&claims()), TokenError::Algorithm);

    t.section("C02", UNNAMED);
    t.accepts("RS256, by a key for RS256 and PS256", k.rs.token(&claims()));
    t.accepts("PS256, by the same key", k.ps.token(&claims()));
    let token = k.ps.token_with(&json!({"alg": "RS256"}), &claims());
    t.refuses("PS256 called RS256", token, TokenError::Signature);
    let token = k.rs.token_with(&json!({"alg": "PS256"}), &claims());
    t.refuses("RS256 called PS256", token, TokenError::Signature);
    t.refuses("RS512 by the key", k.rs512.token(&claims()), TokenError::DefaultAlgorithm);

    t.section("C02", SET);
    for (alg, file, kid) in [
        ("RS256", "rsa", "rs"),
        ("PS256", "rsa-other", "ps"),
        ("ES256", "p256", "es256"),
        ("ES384", "p384", "es384"),
        ("ES512", "p521", "es512"),
        ("EdDSA", "ed25519", "ed"),
    ] {
        let signer = Signer::with_key(alg, file).kid(kid);
        t.accepts(format!("{alg} of the set"), signer.token(&claims()));
    }
    let token = Signer::with_key("RS256", "rsa-other").kid("ps").token(&claims());
    t.refuses("RS256 by the key for PS256", token, TokenError::Algorithm);
    let token = Signer::new("PS256").kid("rs").token(&claims());
    t.refuses("PS256 by the key for RS256", token, TokenError::Algorithm);
}

// (C05: keys in headers) A key in the header is no key.
#[rustfmt::skip]
fn keys_in_the_header(t: &mut Table, k: &Signers) {
    let url = "https://attacker.example/keys";
    let attacker = k.rs_other.jwk();
    let brought = [
        ("jwk", attacker.clone()),
        ("jku", json!(url)),
        ("x5u", json!(url)),
        ("x5c", json!([ED25519_CERTIFICATE])),
        ("x5t", json!("AAAA")),
        ("x5t#S256", json!("AAAA")),
    ];
    t.section("C05", RS256);
    for (member, value) in brought.clone() {
        let header = with(k.rs.header(), json!({member: value}));
        t.refuses(
            format!("{member}, and a signature of its key"),
            k.rs_other.token_with(&header, &claims()),
            TokenError::Signature,
        );
        t.accepts(format!("{member}, and a signature of our key"), k.rs.token_with(&header, &claims()));
    }
    let header = with(k.ed_other.header(), json!({"jwk": k.ed_other.jwk()}));
    let token = k.ed_other.token_with(&header, &claims());
    t.refuses("jwk of another kind", token, TokenError::Algorithm);
    let oct = json!({"jwk": {"kty": "oct", "k": "AAAA"}});
    t.refuses("jwk with a secret", hmac_token("HS256", oct, &[0; 3]), TokenError::Algorithm);

    t.section("C05", SET);
    for (member, value) in brought {
        let header = json!({"alg": "RS256", "kid": "mine", member: value});
        let token = k.rs_other.token_with(&header, &claims());
        t.refuses(format!("{member} with a kid of its own"), token, UNKNOWN_KEY);
        let header = with(header, json!({"kid": "rs"}));
        let token = k.rs_other.token_with(&header, &claims());
        t.refuses(format!("{member} with the kid of a key"), token, TokenError::Signature);
    }
}

// (C06: key metadata) A key that is not for verifying is not there.
#[rustfmt::skip]
fn keys_for_something_else(t: &mut Table, k: &Signers) {
    t.section("C06", SET);
    for kid in ["enc", "oaep", "signs", "private"] {
        let header = json!({"alg": "RS256", "kid": kid});
        let token = k.rs.token_with(&header, &claims());
        t.refuses(format!("signed with the key {kid:?}"), token, UNKNOWN_KEY);
    }
    let token = hmac_token("HS256", json!({"kid": "oct"}), SECRET);
    t.refuses("signed with the secret in the set", token, UNKNOWN_KEY);
    let signing_input = unsigned(&json!({"alg": "RS256", "kid": "weak"}));
    let signing_input = signing_input.trim_end_matches('.');
    let key = rsa::pkcs1v15::SigningKey::<rsa::sha2::Sha256>::new(rsa_key("rsa-1024"));
    let signature = base64url(key.sign(signing_input.as_bytes()).to_bytes());
    let token = format!("{signing_input}.{signature}");
    t.refuses("signed with the RSA key of 1024 bits", token, UNKNOWN_KEY);
}

// (C07: encoding of signatures) Signatures of elliptic curves.
#[rustfmt::skip]
fn elliptic_signatures(t: &mut Table, k: &Signers) {
    let good = k.es.token(&claims());
    let order = fixed(&p256_order(), 32);
    type Change<'c> = Box<dyn Fn(&[u8], &[u8]) -> Vec<u8> + 'c>;
    let changes: Vec<(&str, Change<'_>)> = vec![
        ("all zero", Box::new(|_, _| vec![0; 64])),
        ("all one", Box::new(|_, _| vec![0xff; 64])),
        ("r zero", Box::new(|_, s| [&[0; 32], s].concat())),
        ("s zero", Box::new(|r, _| [r, &[0; 32]].concat())),
        ("r the order", Box::new(|_, s| [&order, s].concat())),
        ("s the order", Box::new(|r, _| [r, &order].concat())),
        ("both the order", Box::new(|_, _| [&order[..], &order].concat())),
        ("r one, s one", Box::new(|_, _| [&fixed(&1_u8.into(), 32)[..], &fixed(&1_u8.into(), 32)].concat())),
        ("r and s swapped", Box::new(|r, s| [s, r].concat())),
        ("in DER", Box::new(|r, s| ecdsa_der(&[r, s].concat()))),
        ("a byte short", Box::new(|r, s| [r, &s[..31]].concat())),
        ("a byte long", Box::new(|r, s| [r, s, &[0]].concat())),
        ("a zero in front", Box::new(|r, s| [&[0], r, s].concat())),
        ("r alone", Box::new(|r, _| r.to_vec())),
        ("twice", Box::new(|r, s| [r, s, r, s].concat())),
        ("one byte", Box::new(|_, _| vec![0])),
    ];
    t.section("C07", ES256);
    t.accepts("ES256 as it should be", good.clone());
    for (name, change) in changes {
        let token = resigned(&good, |signature| {
            let (r, s) = signature.split_at(32);
            change(r, s)
        });
        t.refuses(name, token, TokenError::Signature);
    }
    for (setting, alg, length) in [(ES384, "ES384", 96), (ES512, "ES512", 132)] {
        let good = Signer::new(alg).token(&claims());
        t.section("C07", setting);
        t.accepts(format!("{alg} as it should be"), good.clone());
        let token = resigned(&good, |_| vec![0; length]);
        t.refuses(format!("{alg} all zero"), token, TokenError::Signature);
        let token = resigned(&good, |signature| ecdsa_der(&signature)[..].to_vec());
        t.refuses(format!("{alg} in DER"), token, TokenError::Signature);
        let token = resigned(&good, |signature| signature[..64].to_vec());
        t.refuses(format!("{alg} cut to 64 bytes"), token, TokenError::Signature);
    }
}

// (C07: encoding of signatures) Signatures of RSA.
#[rustfmt::skip]
fn rsa_signatures(t: &mut Table, k: &Signers) {
    let modulus = rsa_key("rsa").n().clone();
    // The first of many that `good` says yes to: a signature that begins with a zero, say.
    let find = |signer: &Signer, good: &dyn Fn(&[u8]) -> bool| {
        (0..10_000)
            .map(|n| signer.token(&with(claims(), json!({"n": n}))))
            .find(|token| good(&URL_SAFE_NO_PAD.decode(parts(token)[2]).unwrap()))
            .unwrap()
    };
    for (setting, signer) in [(RS256, &k.rs), (PS256, &k.ps)] {
        let alg = signer.alg;
        let good = signer.token(&claims());
        t.section("C07", setting);
        let mut refuses = |name: &str, token: String| {
            t.refuses(format!("{alg} {name}"), token, TokenError::Signature);
        };
        refuses("all zero", resigned(&good, |_| vec![0; 256]));
        refuses("one", resigned(&good, |_| fixed(&1_u8.into(), 256)));
        refuses("the modulus", resigned(&good, |_| fixed(&modulus, 256)));
        refuses("a zero in front", resigned(&good, |s| [&[0][..], &s].concat()));
        refuses("a zero behind", resigned(&good, |s| [&s[..], &[0]].concat()));
        refuses("a byte short", resigned(&good, |s| s[..255].to_vec()));
        refuses("of 512 bytes", resigned(&good, |s| [&[0; 256][..], &s].concat()));
        let begins_with_zero = find(signer, &|signature| signature[0] == 0);
        let stripped = resigned(&begins_with_zero, |s| s[1..].to_vec());
        refuses("without its leading zero", stripped);
        // The same number modulo n, in as many bytes.
        let small = find(signer, &|signature| (number(signature) + &modulus).bits() <= 2048);
        let larger = resigned(&small, |s| fixed(&(number(&s) + &modulus), 256));
        refuses("with the modulus added", larger);
        t.accepts(format!("{alg} that begins with a zero"), begins_with_zero);
        t.accepts(format!("{alg} that is small"), small);
    }

    t.section("C07", RS256);
    let good = unsigned(&json!({"alg": "RS256"}));
    let signing_input = good.trim_end_matches('.');
    t.accepts("RS256 padded by hand", GOOD_PADDING.token(signing_input));
    for (name, padding) in [
        ("block type 2", Padding { block_type: 2, ..GOOD_PADDING }),
        ("another filler", Padding { filler: 0xfe, ..GOOD_PADDING }),
        ("no NULL", Padding { info: SHA256_INFO_WITHOUT_NULL, ..GOOD_PADDING }),
        ("no DigestInfo", Padding { info: b"", ..GOOD_PADDING }),
        ("text behind the digest", Padding { tail: &[0x41; 180], ..GOOD_PADDING }),
    ] {
        let token = padding.token(signing_input);
        t.refuses(format!("RS256 with {name}"), token, TokenError::Signature);
    }
    t.refuses("RS256 over SHA-512", k.rs512.seal(signing_input), TokenError::Signature);
    t.refuses("RS256 with the padding of PS256", k.ps.seal(signing_input), TokenError::Signature);

    t.section("C07", PS256);
    t.accepts("PS256 with a salt of 32 bytes", pss_token(32));
    for length in [0, 20, 31, 33, 64, 222] {
        let name = format!("PS256 with a salt of {length} bytes");
        t.refuses(name, pss_token(length), TokenError::Signature);
    }
}

// (C07: encoding of signatures, C15: identity of a token) Signatures of Ed25519.
#[rustfmt::skip]
fn edwards_signatures(t: &mut Table, k: &Signers) {
    let good = k.ed.token(&claims());
    let plus_order = |signature: &[u8], times: u8| {
        let s = BigUint::from_bytes_le(&signature[32..]) + ed25519_order() * times;
        let mut s = s.to_bytes_le();
        s.resize(32, 0);
        [&signature[..32], &s].concat()
    };
    t.section("C07 C15", ED25519);
    t.accepts("Ed25519 as it should be", good.clone());
    for times in [1, 2, 7] {
        let token = resigned(&good, |signature| plus_order(&signature, times));
        t.refuses(format!("S with {times} times the order added"), token, TokenError::Signature);
    }
    let identity = [&[1][..], &[0; 63]].concat();
    for (name, signature) in
        [("all zero", vec![0; 64]), ("all one", vec![0xff; 64]), ("R the identity, S zero", identity)]
    {
        t.refuses(name, resigned(&good, |_| signature), TokenError::Signature);
    }
    let changes: [(&str, fn(Vec<u8>) -> Vec<u8>); 5] = [
        ("a byte short", |s| s[..63].to_vec()),
        ("a byte long", |s| [&s[..], &[0]].concat()),
        ("half of it", |s| s[..32].to_vec()),
        ("R and S swapped", |s| [&s[32..], &s[..32]].concat()),
        ("the sign of R changed", |mut s| {
            s[31] ^= 0x80;
            s
        }),
    ];
    for (name, change) in changes {
        t.refuses(name, resigned(&good, change), TokenError::Signature);
    }
}

// (C07: encoding of signatures, C16: whole tokens) A signature of something else, or by somebody
// else.
#[rustfmt::skip]
fn foreign_signatures(t: &mut Table, k: &Signers) {
    t.section("C07", RS256);
    t.refuses("another key pair", k.rs_other.token(&claims()), TokenError::Signature);
    let alice = k.rs.token(&claims());
    let mallory = k.rs_other.token(&with(claims(), json!({"sub": "mallory"})));
    let bob = k.rs.token(&with(claims(), json!({"sub": "bob", "scope": "admin"})));
    let [header, payload, signature] = parts(&alice);
    for (name, other) in [("of ours", &bob), ("of theirs", &mallory)] {
        let [_, other_payload, other_signature] = parts(other);
        for (what, token) in [
            ("claims", format!("{header}.{other_payload}.{signature}")),
            ("signature", format!("{header}.{payload}.{other_signature}")),
        ] {
            let name = format!("the {what} of another token {name}");
            t.refuses(name, token, TokenError::Signature);
        }
    }
    let other_header = base64url(json!({"alg": "RS256", "typ": "JWT"}).to_string());
    let token = format!("{other_header}.{payload}.{signature}");
    t.refuses("another header", token, TokenError::Signature);
    let signature = base64url(k.rs.sign(payload.as_bytes()));
    let token = format!("{header}.{payload}.{signature}");
    t.refuses("a signature of the claims alone", token, TokenError::Signature);
    let signature = base64url(k.hs.sign(format!("{header}.{payload}").as_bytes()));
    let token = format!("{header}.{payload}.{signature}");
    t.refuses("an HMAC as the signature", token, TokenError::Signature);

    t.section("C07", ED25519);
    t.refuses("another Ed25519 key pair", k.ed_other.token(&claims()), TokenError::Signature);
    t.section("C07", HS256);
    let token = hmac_token("HS256", json!({}), &[SECRET, b"\n"].concat());
    t.refuses("another secret", token, TokenError::Signature);
    let token = resigned(&k.hs.token(&claims()), |tag| tag[..16].to_vec());
    t.refuses("a truncated tag", token, TokenError::Signature);
    let token = resigned(&k.hs.token(&claims()), |_| vec![0; 32]);
    t.refuses("a tag of zeros", token, TokenError::Signature);
    t.section("C07", SET);
    let token = Signer::with_key("RS256", "rsa-other").kid("rs").token(&claims());
    t.refuses("another key of the set under this kid", token, TokenError::Signature);

    // (C16: whole tokens)
    t.section("C16", HS256);
    let good = k.hs.token(&claims());
    t.accepts("the whole token", good.clone());
    t.refuses("a character short", good[..good.len() - 1].to_owned(), TokenError::Signature);
    t.refuses("four characters short", good[..good.len() - 4].to_owned(), TokenError::Signature);
    t.refuses("four characters long", format!("{good}AAAA"), TokenError::Signature);
    t.refuses("twice", format!("{good}{}", good.replace('.', "")), TokenError::Signature);
}

// (C08: critical headers) Nothing that would have to be understood.
#[rustfmt::skip]
fn extensions(t: &mut Table, k: &Signers) {
    t.section("C08", RS256);
    for crit in [
        json!(["exp"]),
        json!(["b64"]),
        json!(["unknown"]),
        json!(["alg"]),
        json!(["crit"]),
        json!([]),
        json!(["x", "x"]),
        json!([1]),
        json!("exp"),
        json!(null),
        json!({}),
    ] {
        let header = with(k.rs.header(), json!({"exp": 1, "x": 1, "b64": true}));
        // Not by `with`, which would take `null` for "none".
        let mut header = header;
        header["crit"] = crit.clone();
        let token = k.rs.token_with(&header, &claims());
        t.refuses(format!("crit {crit}"), token, CRIT);
    }
    for (b64, error) in [
        (json!(false), B64),
        (json!("true"), wrong_type("b64")),
        (json!(1), wrong_type("b64")),
    ] {
        let mut header = k.rs.header();
        header["b64"] = b64.clone();
        let token = k.rs.token_with(&header, &claims());
        t.refuses(format!("b64 {b64} without crit"), token, error);
    }
    let header = with(k.rs.header(), json!({"b64": true}));
    t.accepts("b64 true", k.rs.token_with(&header, &claims()));
    // RFC 7797 with the claims as they are.
    for (name, members, error) in [
        ("crit and b64 false", json!({"b64": false, "crit": ["b64"]}), CRIT),
        ("b64 false", json!({"b64": false}), B64),
    ] {
        let header = base64url(with(k.rs.header(), members).to_string());
        let token = k.rs.seal(&format!("{header}.{}", claims()).replace('.', "x"));
        t.leaves(format!("{name}, and no dot at all"), token);
        let bare = claims().to_string().replace('.', "x");
        let token = k.rs.seal(&format!("{header}.{bare}"));
        t.refuses(format!("{name}, claims not encoded"), token, error);
    }
}

// (C09: opaque `kid`) A name is looked up, and nothing else happens to it.
#[rustfmt::skip]
fn key_names(t: &mut Table, k: &Signers) {
    let injections = [
        "../../../../dev/null",
        "/dev/null",
        "rs'; DROP TABLE keys; --",
        "' UNION SELECT 'secret' --",
        "https://attacker.example/key",
        "file:///etc/passwd",
        "rs\u{0}",
        "rs\r\nSet-Cookie: a=b",
        "${jndi:ldap://attacker.example}",
        "| cat /etc/passwd",
        "RS",
        "rs ",
        "r",
        "__proto__",
    ];
    let named = |kid: &str| k.rs.token_with(&json!({"alg": "RS256", "kid": kid}), &claims());
    t.section("C09", SET);
    t.accepts("a kid of the set", named("rs"));
    t.accepts("no kid, and one key for the algorithm", k.rs.token(&claims()));
    for kid in injections {
        t.refuses(format!("kid {kid:?}"), named(kid), UNKNOWN_KEY);
    }
    t.refuses("kid of 256 bytes", named(&"k".repeat(256)), UNKNOWN_KEY);
    t.section("C09", RS256);
    t.accepts("any kid where the key has no name", named(injections[0]));
    t.accepts("kid of 256 bytes", named(&"k".repeat(256)));
    for (name, kid) in [("of 257 bytes", "k".repeat(257)), ("of 129 ü", "ü".repeat(129))] {
        t.refuses(format!("kid {name}"), named(&kid), KID_LENGTH);
    }
    for kid in [json!(1), json!(["rs"]), json!({"rs": 1}), json!(true)] {
        let mut header = k.rs.header();
        header["kid"] = kid.clone();
        let token = k.rs.token_with(&header, &claims());
        t.refuses(format!("kid {kid}"), token, wrong_type("kid"));
    }
    t.section("C09", NAMED);
    t.accepts("no kid, and one key", k.rs.token(&claims()));
    t.refuses("another kid than that of the one key", named("other"), UNKNOWN_KEY);
    t.section("C09", TWO);
    t.accepts("one of two", named("one"));
    t.refuses("the other of two", named("two"), TokenError::Signature);
    t.refuses("no kid, and two keys", k.rs.token(&claims()), SEVERAL_KEYS);
}

// (C10: issuer and `kid`, D03: required issuer, D14: unverified claims) The issuer chooses its
// keys, and a claim that is not verified does nothing else.
#[rustfmt::skip]
fn keys_of_other_issuers(t: &mut Table, k: &Signers) {
    let header = json!({"alg": "RS256", "kid": "k"});
    let from = |signer: &Signer, issuer: Value| {
        let mut claims = claims();
        claims["iss"] = issuer;
        signer.token_with(&header, &claims)
    };
    t.section("C10 D03 D14", ISSUERS);
    t.accepts_as("the one issuer", from(&k.rs, json!(ISSUER)), |token| token.issuer() == Some(ISSUER));
    t.accepts_as("the other issuer", from(&k.rs_other, json!(OTHER_ISSUER)), |token| {
        token.issuer() == Some(OTHER_ISSUER)
    });
    t.refuses("the name of one, the key of the other", from(&k.rs_other, json!(ISSUER)), TokenError::Signature);
    t.refuses("and the other way round", from(&k.rs, json!(OTHER_ISSUER)), TokenError::Signature);
    for issuer in [
        "https://nobody.example",
        "",
        "https://issuer.example/k",
        "https://issuer.example:k",
        "https://issuer.example#k",
        "https://issuer.example\u{0}",
        "https://ISSUER.example",
    ] {
        t.refuses(format!("iss {issuer:?}"), from(&k.rs, json!(issuer)), TokenError::Issuer);
    }
    t.refuses("iss both", from(&k.rs, json!([ISSUER, OTHER_ISSUER])), claim("iss"));
    t.refuses("no iss", k.rs.token_with(&header, &with(claims(), json!({"iss": null}))), missing("iss"));
}

// (C11: encrypted tokens, C12: compact serialization) Signed tokens in compact serialization,
// nothing else.
#[rustfmt::skip]
fn encrypted_and_nested(t: &mut Table, k: &Signers) {
    let good = k.rs.token(&claims());
    let [header, payload, signature] = parts(&good);
    let jwe = |header: Value| format!("{}.AAAA.BBBB.CCCC.DDDD", base64url(header.to_string()));
    t.section("C11", RS256);
    t.leaves("a JWE", jwe(json!({"alg": "RSA-OAEP", "enc": "A256GCM"})));
    // pac4j CVE-2026-29000: a plain JWT in an envelope.
    t.leaves("a JWE around a plain JWT", jwe(json!({"alg": "RSA-OAEP", "enc": "A256GCM", "cty": "JWT"})));
    t.leaves("a JWE with alg dir and an empty key", jwe(json!({"alg": "dir", "enc": "A256GCM"})).replace("AAAA", ""));
    t.leaves("a JWE that says it is signed", jwe(json!({"alg": "RS256"})));
    for (name, members, error) in [
        ("enc", json!({"enc": "A256GCM"}), ENCRYPTED),
        ("zip", json!({"zip": "DEF"}), COMPRESSED),
        ("cty JWT", json!({"cty": "JWT"}), NESTED),
        ("cty jwt", json!({"cty": "jwt"}), NESTED),
        ("cty application/jwt", json!({"cty": "application/JWT"}), NESTED),
        ("cty a number", json!({"cty": 1}), wrong_type("cty")),
    ] {
        let header = with(k.rs.header(), members);
        let token = k.rs.token_with(&header, &claims());
        t.refuses(format!("signed, with {name}"), token, error);
    }
    let header_with_cty = with(k.rs.header(), json!({"cty": "json"}));
    t.accepts("cty json", k.rs.token_with(&header_with_cty, &claims()));
    let nested = k.rs.seal(&format!("{header}.{}", base64url(&good)));
    t.refuses("a token as the claims", nested, TokenError::Claims);

    t.section("C11", BY_SHAPE);
    t.accepts("RS256, to the validator of JWTs", good.clone());
    t.refuses("HS256, not to the other one", k.hs.token(&claims()), TokenError::Algorithm);
    t.leaves("a JWE, to nobody", jwe(json!({"alg": "RSA-OAEP", "enc": "A256GCM"})));

    t.section("C12", RS256);
    let flattened = json!({"protected": header, "payload": payload, "signature": signature});
    let general = json!({
        "payload": payload, "signatures": [{"protected": header, "signature": signature}],
    });
    let unprotected = json!({
        "header": {"alg": "RS256"}, "payload": payload, "signature": signature,
    });
    for (name, json) in
        [("flattened JSON", flattened), ("general JSON", general), ("an unprotected header", unprotected)]
    {
        t.leaves(name, json.to_string());
        t.leaves(format!("{name} in base64url"), base64url(json.to_string()));
    }
    // What would be read as a header in some library that merges both.
    let claims_with_alg = with(claims(), json!({"alg": "none", "typ": "dpop+jwt"}));
    t.accepts("alg among the claims", k.rs.token(&claims_with_alg));
}

// (C13: three parts, G01: cost of splitting)
#[rustfmt::skip]
fn wrong_shapes(t: &mut Table, k: &Signers) {
    let good = k.rs.token(&claims());
    let [header, payload, signature] = parts(&good);
    t.section("C13", RS256);
    t.accepts("three parts", good.clone());
    for (name, token) in [
        ("one part", header.to_owned()),
        ("two parts", format!("{header}.{payload}")),
        ("four parts", format!("{good}.{signature}")),
        ("five parts", format!("{header}.{payload}.{signature}.{payload}.{signature}")),
        ("no header", format!(".{payload}.{signature}")),
        ("no claims", format!("{header}..{signature}")),
        ("no signature", format!("{header}.{payload}.")),
        ("no header and no signature", format!(".{payload}.")),
        ("a dot in front", format!(".{good}")),
        ("a dot behind", format!("{good}.")),
        ("a dot behind the header", format!("{header}..{payload}.{signature}")),
        ("a dot behind the claims", format!("{header}.{payload}..{signature}")),
        ("two dots", "..".to_owned()),
        ("three dots", "...".to_owned()),
        ("one dot", ".".to_owned()),
        ("an opaque token", "mF_9.B5f-4.1JqM".to_owned()),
        ("a word", "null".to_owned()),
        ("a header that is an array", k.rs.token_of("[\"RS256\"]", "{}")),
        ("a header that is a text", k.rs.token_of("\"RS256\"", "{}")),
        ("a header that is not JSON", k.rs.token_of("alg=RS256", "{}")),
        ("an empty object, and nothing", format!("{}..", base64url("{}"))),
    ] {
        t.leaves(name, token);
    }
    for (name, header) in [
        ("nothing behind the brace", "{"),
        ("text behind the object", "{\"alg\":\"RS256\"}x"),
        ("two objects", "{\"alg\":\"RS256\"}{}"),
        ("a comma too many", "{\"alg\":\"RS256\",}"),
        ("single quotes", "{'alg':'RS256'}"),
        ("a comment", "{\"alg\":\"RS256\"/**/}"),
        ("a NUL behind", "{\"alg\":\"RS256\"}\0"),
        ("a form feed in front", "\u{c}{\"alg\":\"RS256\"}"),
    ] {
        let token = k.rs.token_of(header, &claims().to_string());
        t.refuses(format!("a header with {name}"), token, NOT_STRICT);
    }
    for (name, header) in [
        ("spaces", " { \"alg\" : \"RS256\" } "),
        ("line ends", "\r\n{\n\"alg\":\t\"RS256\"\n}\n"),
        ("escapes", "{\"\\u0061lg\":\"\\u0052S256\"}"),
    ] {
        let token = k.rs.token_of(header, &claims().to_string());
        t.accepts(format!("a header with {name}"), token);
    }
    for (name, claims) in [
        ("an array", "[]".to_owned()),
        ("a text", "\"alice\"".to_owned()),
        ("a number", "1".to_owned()),
        ("null", "null".to_owned()),
        ("no JSON", "sub=alice".to_owned()),
        ("text behind the object", format!("{}x", claims())),
        ("a second object", format!("{}{{}}", claims())),
        ("half an object", spliced("x", "1")[..6].to_owned()),
        ("a byte order mark", format!("\u{feff}{}", claims())),
        ("a NUL behind", format!("{}\0", claims())),
    ] {
        let token = k.rs.token_of(&k.rs.header().to_string(), &claims);
        t.refuses(format!("claims that are {name}"), token, TokenError::Claims);
    }
    let bom = format!("\u{feff}{}", k.rs.header());
    t.leaves("a header with a byte order mark", k.rs.token_of(&bom, &claims().to_string()));
}

// (C14: strict base64url) One text for one token. The signature is good for the text as it stands.
#[rustfmt::skip]
fn loose_base64(t: &mut Table, k: &Signers) {
    // A header and claims with `-` and `_` in them, and with bits to spare.
    let padded = |base: Value| {
        (0..3)
            .map(|n| with(base.clone(), json!({"x": "~~~???>>>", "y": "y".repeat(n)})))
            .map(|value| base64url(value.to_string()))
            .find(|text| text.len() % 4 != 0 && text.contains(['-', '_']))
            .unwrap()
    };
    let (header, payload) = (padded(k.rs.header()), padded(claims()));
    let good = k.rs.seal(&format!("{header}.{payload}"));
    let signature = parts(&good)[2];
    t.section("C14", RS256);
    t.accepts("base64url as it should be", good.clone());
    type Change = fn(&str) -> String;
    let changes: [(&str, Change); 6] = [
        ("padding", |part| format!("{part}{}", "=".repeat(4 - part.len() % 4))),
        ("stray bits", with_stray_bits),
        ("the other alphabet", in_other_alphabet),
        ("a tilde", |part| format!("{part}~")),
        ("four characters of padding", |part| format!("{part}====")),
        ("one character too many", |part| format!("{part}{}", "A".repeat(5 - part.len() % 4))),
    ];
    for (name, change) in changes {
        let header = k.rs.seal(&format!("{}.{payload}", change(&header)));
        t.leaves(format!("{name} in the header"), header);
        let claims = k.rs.seal(&format!("{header}.{}", change(&payload), header = padded(k.rs.header())));
        t.refuses(format!("{name} in the claims"), claims, TokenError::Claims);
        let signature = format!("{}.{payload}.{}", padded(k.rs.header()), change(signature));
        t.refuses(format!("{name} in the signature"), signature, TokenError::Signature);
    }
    for (name, space) in
        [("space", " "), ("tab", "\t"), ("line end", "\n"), ("NUL", "\0"), ("no-break space", "\u{a0}")]
    {
        for (place, token) in [
            ("in front", format!("{space}{good}")),
            ("behind", format!("{good}{space}")),
            ("behind the header", format!("{header}{space}.{payload}.{signature}")),
            ("within the claims", format!("{header}.{}{space}{}.{signature}", &payload[..4], &payload[4..])),
        ] {
            t.never_sees(format!("a {name} {place}"), token);
        }
    }
    t.section("C14", HS256);
    let good = k.hs.token(&claims());
    let [header, payload, tag] = parts(&good);
    let token = format!("{header}.{payload}.{}", with_stray_bits(tag));
    t.refuses("stray bits in an HMAC", token, TokenError::Signature);
    t.refuses("padding in an HMAC", format!("{good}="), TokenError::Signature);
}

// (C15: identity of a token) What else a text can be is still the same token, by its `jti`.
#[rustfmt::skip]
fn malleable_text(t: &mut Table, k: &Signers) {
    let same: Look = |token| token.token_id() == Some("t-1");
    t.section("C15", ES256);
    let good = k.es.token(&claims());
    t.accepts_as("one signature of ECDSA", good.clone(), same);
    // -s is as good as s, so a list of revoked texts would be evaded.
    let negated = resigned(&good, |signature| {
        let (r, s) = signature.split_at(32);
        [r, &fixed(&(p256_order() - number(s)), 32)].concat()
    });
    t.accepts_as("the other signature of ECDSA", negated, same);
}

// (C17: no bypass) What is insecure on demand still verifies.
#[rustfmt::skip]
fn switches(t: &mut Table, k: &Signers) {
    t.section("C17", LENIENT);
    t.accepts("claims that say nothing", k.rs.token(&json!({})));
    t.accepts("an ID token", k.rs.token_with(&json!({"alg": "RS256"}), &json!({"nonce": "n", "at_hash": "h"})));
    t.accepts("a bound token", k.rs.token(&json!({"cnf": {"jkt": "x"}})));
    t.refuses("another key", k.rs_other.token(&claims()), TokenError::Signature);
    t.leaves("no signature", unsigned(&json!({"alg": "RS256"})));
    t.leaves("alg none", unsigned(&json!({"alg": "none"})));
    t.refuses("alg none, signed", k.rs.token_with(&json!({"alg": "none"}), &claims()), TokenError::Algorithm);
    let token = hmac_token("HS256", json!({}), public_pem("rsa").as_bytes());
    t.refuses("an HMAC with the public key", token, TokenError::Algorithm);
    t.refuses("over", k.rs.token(&json!({"exp": NOW - 60})), TokenError::Expired);
    t.refuses("not yet", k.rs.token(&json!({"nbf": NOW + 61})), TokenError::NotYetValid);
    for (name, text) in [
        ("exp", "\"1\""),
        ("iss", "[]"),
        ("aud", "{}"),
        ("sub", "1"),
    ] {
        let token = k.rs.token_of(&k.rs.header().to_string(), &format!("{{\"{name}\":{text}}}"));
        t.refuses(format!("{name} {text}"), token, claim(name));
    }
    // (M13: `null` is absence) `null` is absence, and none of them is required here.
    for name in ["exp", "iss", "aud", "sub"] {
        let token = k.rs.token_of(&k.rs.header().to_string(), &format!("{{\"{name}\":null}}"));
        t.accepts(format!("{name} null, not required"), token);
    }
    t.refuses("a logout token", k.rs.token(&json!({"events": {}})), EVENTS);
    t.refuses("a DPoP proof", k.rs.token(&json!({"htm": "GET", "htu": "https://x"})), PROOF);
}

// Section D.

// (D02: exact issuer, D16: no normalization) The issuer, code point by code point.
#[rustfmt::skip]
fn issuer(t: &mut Table, k: &Signers) {
    t.section("D02 D16", RS256);
    for issuer in [
        "https://issuer.example/",
        "https://issuer.exampl",
        "https://issuer.example.evil.example",
        "https://issuer.example/x",
        "https://ISSUER.example",
        "HTTPS://issuer.example",
        "http://issuer.example",
        "issuer.example",
        "https://issuer.example:443",
        "https://a@issuer.example",
        "https://issuer.example?",
        "https://issuer.example#",
        "https://issuer%2eexample",
        " https://issuer.example",
        "https://issuer.example ",
        "https://issuer.example\n",
        "https://issuer.example\u{0}",
        "https://issuer.example\u{200b}",
        "https://\u{456}ssuer.example",
        "https://issuer\u{3002}example",
        "https\u{ff1a}//issuer.example",
        "https://issuer.example,https://other.example",
        "",
        "*",
    ] {
        let token = k.rs.token(&with(claims(), json!({"iss": issuer})));
        t.refuses(format!("iss {issuer:?}"), token, TokenError::Issuer);
    }
    let token = k.rs.token_of(&k.rs.header().to_string(), &spliced("iss", "\"https://issuer\\u002eexample\""));
    t.accepts("iss with an escape in JSON", token);
    t.section("D02 D16", |backend| judge(with_pem(backend, "rsa").issuer("https://zo\u{eb}.example")));
    let token = k.rs.token(&with(claims(), json!({"iss": "https://zo\u{eb}.example"})));
    t.accepts("iss with one code point for ë", token);
    let token = k.rs.token(&with(claims(), json!({"iss": "https://zoe\u{308}.example"})));
    t.refuses("iss with two code points for ë", token, TokenError::Issuer);

    t.section("D16", RS256);
    for (subject, look) in [
        ("alice\u{0}", (|token| token.subject() == Some("alice\u{0}")) as Look),
        ("\u{430}lice", |token| token.subject() == Some("\u{430}lice")),
        ("zoe\u{308}", |token| token.subject() == Some("zoe\u{308}")),
        (" alice", |token| token.subject() == Some(" alice")),
        ("ALICE", |token| token.subject() == Some("ALICE")),
    ] {
        let token = k.rs.token(&with(claims(), json!({"sub": subject})));
        t.accepts_as(format!("sub {subject:?}, unchanged"), token, look);
    }
    t.section("D16", |backend| judge(with_pem(backend, "rsa").subject("alice")));
    t.accepts("the subject asked for", k.rs.token(&claims()));
    for subject in ["alice\u{0}", "\u{430}lice", " alice", "ALICE", "alic", "alice2"] {
        let token = k.rs.token(&with(claims(), json!({"sub": subject})));
        t.refuses(format!("sub {subject:?}, and alice asked for"), token, TokenError::Subject);
    }
}

// (D03: required issuer, D04: required audience) Who it is from and whom it is for.
#[rustfmt::skip]
fn audience(t: &mut Table, k: &Signers) {
    let with_audience = |aud: Value| {
        let mut claims = claims();
        claims["aud"] = aud;
        k.rs.token(&claims)
    };
    t.section("D04", RS256);
    for aud in [json!(AUDIENCE), json!([AUDIENCE]), json!(["https://x.example", AUDIENCE, ""])] {
        t.accepts(format!("aud {aud}"), with_audience(aud));
    }
    for aud in [
        json!([]),
        json!(""),
        json!([""]),
        json!("https://api.example/"),
        json!("https://api.exampl"),
        json!("https://api.example.evil"),
        json!("https://API.example"),
        json!("api.example"),
        json!("https://api.example\u{0}"),
        json!("https://api.example https://x.example"),
        json!("https://api.example,https://x.example"),
        json!("[\"https://api.example\"]"),
        json!("*"),
        json!(ISSUER),
        json!(["https:", "//api.example"]),
    ] {
        t.refuses(format!("aud {aud}"), with_audience(aud), TokenError::Audience);
    }
    // (D01: wrong types)
    t.section("D01 D04", RS256);
    for aud in [
        json!(1),
        json!(true),
        json!({}),
        json!({AUDIENCE: true}),
        json!([[AUDIENCE]]),
        json!([AUDIENCE, 1]),
        json!([AUDIENCE, null]),
        json!([{"value": AUDIENCE}]),
    ] {
        t.refuses(format!("aud {aud}"), with_audience(aud), claim("aud"));
    }
    for iss in [json!(1), json!(true), json!({}), json!([ISSUER]), json!([])] {
        let mut claims = claims();
        claims["iss"] = iss.clone();
        t.refuses(format!("iss {iss}"), k.rs.token(&claims), claim("iss"));
    }
    t.section("D04", |backend| judge(with_pem(backend, "rsa").audience("https://second.example")));
    t.accepts("one of two audiences of ours", with_audience(json!(["https://second.example"])));
    t.refuses("neither of them", with_audience(json!("https://third.example")), TokenError::Audience);
    t.section("D04", |backend| judge(with_pem(backend, "rsa").claims_layout(ClaimsLayout::cognito()).audience("shop")));
    let cognito = with(claims(), json!({"aud": null, "token_use": "access"}));
    t.accepts("the client as the audience, where the provider has none", k.rs.token(&cognito));
    t.refuses(
        "another client",
        k.rs.token(&with(cognito.clone(), json!({"client_id": "other"}))),
        TokenError::Audience,
    );
    t.refuses("no client", k.rs.token(&with(cognito, json!({"client_id": null}))), missing("client_id"));
}

// (D05: expiry) The time, to the second.
#[rustfmt::skip]
fn dates(t: &mut Table, k: &Signers) {
    let dated = |changes: Value| k.rs.token(&with(claims(), changes));
    t.section("D05", RS256);
    // The leeway is 60 seconds.
    t.accepts("exp a second before its end", dated(json!({"exp": NOW - 59})));
    t.refuses("exp at its end", dated(json!({"exp": NOW - 60})), TokenError::Expired);
    t.accepts("exp with a fraction before its end", dated(json!({"exp": NOW as f64 - 59.5})));
    t.accepts("nbf at the end of the leeway", dated(json!({"nbf": NOW + 60})));
    t.refuses("nbf behind the leeway", dated(json!({"nbf": NOW + 61})), TokenError::NotYetValid);
    t.refuses("nbf a fraction behind it", dated(json!({"nbf": NOW as f64 + 60.5})), TokenError::NotYetValid);
    t.accepts("iat at the end of the leeway", dated(json!({"iat": NOW + 60})));
    t.refuses("iat behind the leeway", dated(json!({"iat": NOW + 61})), TokenError::NotYetValid);
    t.accepts("nbf zero", dated(json!({"nbf": 0})));
    t.accepts("iat zero", dated(json!({"iat": 0})));
    t.refuses("exp zero", dated(json!({"exp": 0})), TokenError::Expired);
    t.refuses("exp a second after 1970", dated(json!({"exp": 1})), TokenError::Expired);
    t.accepts("exp in the last second of the year 9999", dated(json!({"exp": 253_402_300_799_u64})));
    t.refuses("no exp", dated(json!({"exp": null})), missing("exp"));
    t.section("D05", |backend| judge(with_pem(backend, "rsa").leeway(Duration::ZERO)));
    t.accepts("exp in a second", dated(json!({"exp": NOW + 1})));
    t.refuses("exp now", dated(json!({"exp": NOW})), TokenError::Expired);
    t.accepts("nbf now", dated(json!({"nbf": NOW})));
    t.refuses("nbf in a second", dated(json!({"nbf": NOW + 1})), TokenError::NotYetValid);
    t.section("D05", |backend| judge(with_pem(backend, "rsa").leeway(Duration::from_secs(300))));
    t.accepts("exp 299 seconds ago", dated(json!({"exp": NOW - 299})));
    t.refuses("exp 300 seconds ago", dated(json!({"exp": NOW - 300})), TokenError::Expired);
    t.section("D05", |backend| judge(with_pem(backend, "rsa").max_lifetime(Duration::from_secs(3_600))));
    t.accepts("an hour of lifetime", dated(json!({})));
    t.refuses("a second more", dated(json!({"exp": NOW + 3_541})), TokenError::Lifetime);
    t.refuses("a lifetime without iat", dated(json!({"iat": null})), missing("iat"));
}

// (D01: wrong types, D05: expiry) What is not a date.
#[rustfmt::skip]
fn dates_of_wrong_types(t: &mut Table, k: &Signers) {
    let header = k.rs.header().to_string();
    t.section("D01 D05", RS256);
    for name in ["exp", "nbf", "iat"] {
        for text in [
            "\"1800003540\"",
            "\"\"",
            "true",
            "false",
            "[]",
            "{}",
            "[1800003540]",
            "-1",
            "-1800003540",
            "-0.5",
            "1e400",
            "-1e400",
            "NaN",
            "Infinity",
            "1e300",
            "9007199254740993",
            "9223372036854775807",
            "9223372036854775808",
            "18446744073709551615",
            "18446744073709551616",
            "1800003540000",
            "253402300800",
            "01800003540",
            "+1800003540",
        ] {
            let token = k.rs.token_of(&header, &spliced(name, text));
            t.refuses(format!("{name} {text}"), token, claim(name));
        }
    }
    for text in ["1800003540.0", "1800003540.999", "1.80000354e9", "18000035400e-1"] {
        t.accepts(format!("exp {text}"), k.rs.token_of(&header, &spliced("exp", text)));
    }
    for text in ["0x6b49d200", "1_800_003_540", "1800003540n", "1800003540 s"] {
        let token = k.rs.token_of(&header, &spliced("exp", text));
        t.refuses(format!("exp {text}"), token, TokenError::Claims);
    }
    for text in ["0", "0.0", "-0", "1e-400", "1.799999939e9"] {
        let token = k.rs.token_of(&header, &spliced("exp", text));
        t.refuses(format!("exp {text}"), token, TokenError::Expired);
    }
}

// (D01: wrong types) A wrong type is not the same as none.
#[rustfmt::skip]
fn wrong_types(t: &mut Table, k: &Signers) {
    t.section("D01", RS256);
    let scalar = [json!(1), json!(true), json!([]), json!(["alice"]), json!({})];
    for name in ["iss", "sub"] {
        for value in &scalar {
            let mut claims = claims();
            claims[name] = value.clone();
            t.refuses(format!("{name} {value}"), k.rs.token(&claims), claim(name));
        }
    }
    let list = [json!(1), json!(true), json!({}), json!([1]), json!([null]), json!([["a"]])];
    for name in ["aud", "scope", "scp", "roles"] {
        for value in &list {
            let mut claims = claims();
            claims[name] = value.clone();
            t.refuses(format!("{name} {value}"), k.rs.token(&claims), claim(name));
        }
    }
    t.refuses("sub empty", k.rs.token(&with(claims(), json!({"sub": ""}))), claim("sub"));
    t.accepts("no sub", k.rs.token(&with(claims(), json!({"sub": null}))));
}

// (D06: duplicate members) Every member once.
#[rustfmt::skip]
fn member_names(t: &mut Table, k: &Signers) {
    t.section("D06", RS256);
    for header in [
        r#"{"alg":"RS256","alg":"RS256"}"#,
        r#"{"alg":"none","alg":"RS256"}"#,
        r#"{"alg":"RS256","alg":"none"}"#,
        r#"{"alg":"RS256","al\u0067":"none"}"#,
        r#"{"alg":"RS256","kid":"a","kid":"b"}"#,
        r#"{"alg":"RS256","typ":"JWT","typ":"at+jwt"}"#,
        r#"{"alg":"RS256","x":1,"x":1}"#,
        r#"{"alg":"RS256","x":{"y":1,"y":2}}"#,
        r#"{"alg":"RS256","x":[{"y":1,"\u0079":2}]}"#,
        r#"{"alg":"RS256","jwk":{},"jwk":{}}"#,
    ] {
        let token = k.rs.token_of(header, &claims().to_string());
        t.refuses(format!("header {header}"), token, NOT_STRICT);
    }
    let header = k.rs.header().to_string();
    let twice = |more: &str| {
        let claims = claims().to_string();
        k.rs.token_of(&header, &format!("{},{more}}}", &claims[..claims.len() - 1]))
    };
    t.accepts("one more member", twice(r#""x":{"y":1},"y":[{"y":1},{"y":2}]"#));
    for (more, error) in [
        (r#""exp":1800003540"#, claim("exp")),
        (r#""exp":9999999999"#, claim("exp")),
        (r#""\u0065xp":9999999999"#, claim("exp")),
        (r#""iss":"https://issuer.example""#, claim("iss")),
        (r#""aud":"https://api.example""#, claim("aud")),
        (r#""sub":"admin""#, claim("sub")),
        (r#""scope":"admin""#, claim("scope")),
        (r#""s\u0063ope":"admin""#, claim("scope")),
        (r#""role":"user","role":"admin""#, TokenError::Claims),
        (r#""role":"user","r\u006fle":"admin""#, TokenError::Claims),
        (r#""cnf":{},"cnf":{}"#, TokenError::Claims),
        (r#""x":{"y":1,"y":1}"#, TokenError::Claims),
        (r#""x":[[{"y":1,"y":1}]]"#, TokenError::Claims),
        (r#""cnf":{"jkt":"a","jkt":"b"}"#, TokenError::Claims),
        (r#""realm_access":{"roles":[],"roles":["admin"]}"#, TokenError::Claims),
    ] {
        t.refuses(format!("claims with {more}"), twice(more), error);
    }
}

// (D07: access tokens only) Access tokens, and no others, by `typ`.
#[rustfmt::skip]
fn kinds_of_token(t: &mut Table, k: &Signers) {
    let typed = |typ: Option<&str>| {
        let header = match typ {
            Some(typ) => json!({"alg": "RS256", "typ": typ}),
            None => json!({"alg": "RS256"}),
        };
        k.rs.token_with(&header, &claims())
    };
    let explicit = ["at+jwt", "at+JWT", "AT+JWT", "application/at+jwt", "Application/AT+JWT"];
    let general = ["JWT", "jwt", "Jwt", "application/jwt", "application/JWT"];
    let others = [
        "dpop+jwt",
        "logout+jwt",
        "secevent+jwt",
        "statuslist+jwt",
        "token-introspection+jwt",
        "kb+jwt",
        "vc+sd-jwt",
        "oauth-authz-req+jwt",
        "client-authentication+jwt",
        "entity-statement+jwt",
        "id_token",
        "ID",
        "Refresh",
        "JWS",
        "JOSE",
        "JOSE+JSON",
        "",
        " ",
        "application/",
        "at+jwt ",
        " at+jwt",
        "at-jwt",
        "at+jwt\u{0}",
        "at+jwt; v=1",
        "text/at+jwt",
        "application/application/at+jwt",
        "\u{ff41}t+jwt",
    ];
    t.section("D07", RS256);
    t.accepts("no typ", typed(None));
    for typ in explicit.into_iter().chain(general) {
        t.accepts(format!("typ {typ:?}"), typed(Some(typ)));
    }
    for typ in others {
        t.refuses(format!("typ {typ:?}"), typed(Some(typ)), OTHER_TYPE);
    }
    t.section("D07", PROFILE);
    for typ in explicit {
        t.accepts(format!("profile, typ {typ:?}"), typed(Some(typ)));
    }
    t.refuses("profile, no typ", typed(None), NOT_AT_JWT);
    for typ in general {
        t.refuses(format!("profile, typ {typ:?}"), typed(Some(typ)), NOT_AT_JWT);
    }
    for typ in others {
        t.refuses(format!("profile, typ {typ:?}"), typed(Some(typ)), OTHER_TYPE);
    }
    for setting in [RS256, PROFILE] {
        t.section("D01 D07", setting);
        for typ in [json!(1), json!(["at+jwt"]), json!({})] {
            let header = format!(r#"{{"alg":"RS256","typ":{typ}}}"#);
            let token = k.rs.token_of(&header, &claims().to_string());
            t.refuses(format!("typ {typ}"), token, wrong_type("typ"));
        }
    }
    t.section("D07", |backend| judge(with_pem(backend, "rsa").token_type("application/Custom+JWT")));
    t.accepts("a typ of the provider", typed(Some("custom+jwt")));
    t.refuses("and still no other", typed(Some("dpop+jwt")), OTHER_TYPE);
    t.section("D07", |backend| judge(with_pem(backend, "rsa").rfc9068().token_type("JWT")));
    t.accepts("typ JWT, by name", typed(Some("JWT")));
    let id_token = with(claims(), json!({"nonce": "x"}));
    let token = k.rs.token_with(&json!({"alg": "RS256", "typ": "JWT"}), &id_token);
    t.refuses("typ JWT, by name, of an ID token", token, NONCE);
}

// (D07: access tokens only) Access tokens, and no others, by what their claims give away.
#[rustfmt::skip]
fn tells_of_other_kinds(t: &mut Table, k: &Signers) {
    let general = |changes: Value| k.rs.token_with(&json!({"alg": "RS256", "typ": "JWT"}), &with(claims(), changes));
    let explicit = |changes: Value| k.rs.token(&with(claims(), changes));
    t.section("D07", RS256);
    for name in ["nonce", "at_hash", "c_hash", "s_hash"] {
        let error = if name == "nonce" { NONCE } else { HASH };
        t.refuses(name, general(json!({name: "x"})), error.clone());
        t.refuses(format!("{name}, not even a text"), general(json!({name: 0})), error);
        t.accepts(format!("{name} where typ is at+jwt"), explicit(json!({name: "x"})));
    }
    for (name, value) in [
        ("token_use", "id"),
        ("token_use", "ID"),
        ("token_use", "refresh"),
        ("typ", "ID"),
        ("typ", "Refresh"),
        ("typ", "Offline"),
        ("typ", "Logout"),
        ("typ", "Serialized-ID"),
    ] {
        t.refuses(format!("claim {name} {value}"), general(json!({name: value})), SAYS_OTHER_KIND);
    }
    t.accepts("claim typ Bearer, with a nonce", general(json!({"typ": "Bearer", "nonce": "x"})));
    t.accepts("claim token_use access", general(json!({"token_use": "access"})));
    // Of two claims that tell, the worse one has to count.
    t.refuses("claim typ JWT, token_use id", general(json!({"typ": "JWT", "token_use": "id"})), SAYS_OTHER_KIND);
    t.refuses("claim typ Bearer, token_use id", general(json!({"typ": "Bearer", "token_use": "id"})), SAYS_OTHER_KIND);
    for token in [general(json!({"events": {}})), explicit(json!({"events": {}}))] {
        t.refuses("a logout token", token, EVENTS);
    }
    for name in ["htm", "htu"] {
        for token in [general(json!({name: "GET"})), explicit(json!({name: "GET"}))] {
            t.refuses(format!("a DPoP proof with {name}"), token, PROOF);
        }
    }
    t.section("D07", |backend| judge(with_pem(backend, "rsa").claims_layout(ClaimsLayout::keycloak_realm())));
    t.accepts("Keycloak, typ Bearer", general(json!({"typ": "Bearer"})));
    for typ in [json!(null), json!("ID"), json!("Refresh"), json!("bearer"), json!(["Bearer"])] {
        t.refuses(format!("Keycloak, typ {typ}"), general(json!({"typ": typ})), NO_MARKER);
    }
    t.section("D07", |backend| judge(with_pem(backend, "rsa").claims_layout(ClaimsLayout::cognito())));
    t.accepts("Cognito, token_use access", general(json!({"token_use": "access"})));
    for token_use in [json!(null), json!("id"), json!("Access")] {
        let token = general(json!({"token_use": token_use}));
        t.refuses(format!("Cognito, token_use {token_use}"), token, NO_MARKER);
    }
}

// (D08: absent claims) What is not there satisfies nothing.
#[rustfmt::skip]
fn missing_claims(t: &mut Table, k: &Signers) {
    let without = |name: &str| k.rs.token(&with(claims(), json!({name: null})));
    t.section("D08", PROFILE);
    t.accepts("all claims of the profile", k.rs.token(&claims()));
    for name in ["iss", "exp", "aud", "sub", "client_id", "iat", "jti"] {
        t.refuses(format!("profile without {name}"), without(name), missing(name));
    }
    for name in ["client_id", "jti"] {
        let token = k.rs.token(&with(claims(), json!({name: ""})));
        t.refuses(format!("profile with an empty {name}"), token, missing(name));
    }
    t.section("D08 D03 D04 D05", RS256);
    for name in ["iss", "exp", "aud"] {
        t.refuses(format!("without {name}"), without(name), missing(name));
    }
    for name in ["sub", "client_id", "iat", "jti"] {
        t.accepts(format!("without {name}, outside the profile"), without(name));
    }
    t.section("D08", |backend| judge(with_pem(backend, "rsa").subject("alice")));
    t.refuses("without sub, and one is asked for", without("sub"), TokenError::Subject);
    // What the application requires: there, and neither `null` nor the empty text.
    let requires: [(&str, Setting); 5] = [
        ("acr", |backend| judge(with_pem(backend, "rsa").require("acr"))),
        ("scope", |backend| judge(with_pem(backend, "rsa").require("scope"))),
        ("scp", |backend| judge(with_pem(backend, "rsa").require("scp"))),
        ("amr", |backend| judge(with_pem(backend, "rsa").require("amr"))),
        ("plan", |backend| judge(with_pem(backend, "rsa").require("plan"))),
    ];
    for (name, setting) in requires {
        t.section("D08", setting);
        t.accepts(format!("{name} required"), k.rs.token(&with(claims(), json!({name: "x"}))));
        t.refuses(format!("{name} required, missing"), without(name), missing(name));
        let token = k.rs.token(&with(claims(), json!({name: ""})));
        t.refuses(format!("{name} required, empty"), token, missing(name));
    }
    let token = k.rs.token_of(&k.rs.header().to_string(), &spliced("plan", "null"));
    t.refuses("plan required, null", token, missing("plan"));
    // A principal without a claim has nothing of it.
    t.section("D08", RS256);
    t.accepts_as("no scope", without("scope"), |token| {
        !token.has_scope("") && !token.has_scope("orders:read") && token.scopes().count() == 0
    });
    let nothing = json!({"scope": null, "sub": null, "client_id": null, "jti": null});
    t.accepts_as("nothing at all", k.rs.token(&with(claims(), nothing)), |token| {
        !token.has_role("")
            && !token.has_tenant("")
            && token.subject().is_none()
            && token.client_id().is_none()
            && Claims::acr(token).is_none()
            && Claims::auth_time(token).is_none()
    });
}

// (D10: whole scopes, D11: `scope` and `scp`, D12: time of login) What a principal has.
#[rustfmt::skip]
fn scopes(t: &mut Table, k: &Signers) {
    let with_claims = |changes: Value| k.rs.token(&with(claims(), changes));
    t.section("D10", RS256);
    t.accepts_as("a text of scopes", with_claims(json!({"scope": "read write:all"})), |token| {
        token.has_scope("read")
            && token.has_scope("write:all")
            && !token.has_scope("write")
            && !token.has_scope("all")
            && !token.has_scope("read write:all")
            && !token.has_scope("*")
    });
    t.accepts_as("other white space between scopes", with_claims(json!({"scope": "a\tb\nc\u{a0}d,e"})), |token| {
        ["a", "b", "c", "d", "e", "d,e"].iter().all(|scope| !token.has_scope(scope))
    });
    t.accepts_as("a star", with_claims(json!({"scope": "* orders:*"})), |token| {
        !token.has_scope("orders:read") && !token.has_scope("read")
    });
    t.accepts_as("an element with a space", with_claims(json!({"scope": ["read admin", "write"]})), |token| {
        token.has_scope("write")
            && !token.has_scope("read")
            && !token.has_scope("admin")
            && token.scopes().eq(["write"])
    });
    t.accepts_as("empty elements", with_claims(json!({"scope": ["", " "]})), |token| {
        !token.has_scope("") && token.scopes().count() == 0
    });
    t.accepts_as("case", with_claims(json!({"scope": "READ"})), |token| !token.has_scope("read"));
    t.section("D11", RS256);
    t.accepts_as("scope and scp", with_claims(json!({"scope": "read", "scp": ["admin"]})), |token| {
        token.has_scope("read") && !token.has_scope("admin")
    });
    t.accepts_as("an empty scope, and scp", with_claims(json!({"scope": "", "scp": "admin"})), |token| {
        !token.has_scope("admin")
    });
    t.accepts_as("scp alone", with_claims(json!({"scope": null, "scp": ["read"]})), |token| token.has_scope("read"));
    t.section("D12", RS256);
    t.accepts_as("iat without auth_time", with_claims(json!({"iat": NOW})), |token| Claims::auth_time(token).is_none());
    t.accepts_as("an old auth_time", with_claims(json!({"iat": NOW, "auth_time": 5})), |token| {
        Claims::auth_time(token) == Some(UNIX_EPOCH + Duration::from_secs(5))
    });
}

// (D13: forged and expired, G06: cheap checks first) The error is that of the first check that
// fails, and a bad signature comes before what the claims say.
#[rustfmt::skip]
fn order_of_errors(t: &mut Table, k: &Signers) {
    let forged = |changes: Value| k.rs_other.token(&with(claims(), changes));
    t.section("D13", RS256);
    t.refuses("over", k.rs.token(&with(claims(), json!({"exp": 1}))), TokenError::Expired);
    for (name, changes) in [
        ("over", json!({"exp": 1})),
        ("not yet", json!({"nbf": NOW + 1_000})),
        ("for others", json!({"aud": "https://x.example"})),
        ("without exp", json!({"exp": null})),
        ("bound", json!({"cnf": {}})),
        ("a logout token", json!({"events": {}})),
        ("without a subject", json!({"sub": ""})),
    ] {
        t.refuses(format!("{name}, and badly signed"), forged(changes), TokenError::Signature);
    }
    t.section("G06", SET);
    let unknown = json!({"alg": "RS256", "kid": "unknown"});
    let typed = json!({"alg": "none", "typ": "dpop+jwt", "kid": "unknown"});
    let no_json = "no JSON";
    t.refuses("typ before alg", k.rs.token_of(&typed.to_string(), no_json), OTHER_TYPE);
    let unsupported = with(typed, json!({"typ": null})).to_string();
    t.refuses("alg before kid", k.rs.token_of(&unsupported, no_json), TokenError::Algorithm);
    t.refuses("kid before the claims", k.rs.token_of(&unknown.to_string(), no_json), UNKNOWN_KEY);
    let known = json!({"alg": "RS256", "kid": "rs"}).to_string();
    t.refuses("the claims before the signature", k.rs_other.token_of(&known, no_json), TokenError::Claims);
    let elsewhere = with(claims(), json!({"iss": "https://x.example"})).to_string();
    t.refuses("the issuer before the signature", k.rs_other.token_of(&known, &elsewhere), TokenError::Issuer);
}

// (D15: depth limits, G01: cost of splitting, G02: compression, G03: key derivation,
// G04: lengths first, G05: no panics)
#[rustfmt::skip]
fn limits(t: &mut Table, k: &Signers) {
    let header = k.rs.header().to_string();
    let with_x = |text: &str| k.rs.token_of(&header, &spliced("x", text));
    let header_with_x = |text: &str| k.rs.token_of(&format!(r#"{{"alg":"RS256","x":{text}}}"#), &claims().to_string());
    t.section("D15", RS256);
    t.accepts("claims 16 deep", with_x(&deep(16)));
    t.refuses("claims 17 deep", with_x(&deep(17)), TokenError::Claims);
    t.accepts("arrays 16 deep", with_x(&format!("{}{}", "[".repeat(15), "]".repeat(15))));
    t.refuses("arrays 17 deep", with_x(&format!("{}{}", "[".repeat(16), "]".repeat(16))), TokenError::Claims);
    t.refuses("claims 900 deep", with_x(&deep(900)), TokenError::Claims);
    t.refuses("arrays without an end", with_x(&"[".repeat(5_000)), TokenError::Claims);
    t.refuses("depth in aud", k.rs.token_of(&header, &spliced("aud", &"[".repeat(5_000))), claim("aud"));
    t.refuses("depth in cnf", k.rs.token_of(&header, &spliced("cnf", &deep(17))), TokenError::Claims);
    t.accepts("a header 16 deep", header_with_x(&deep(16)));
    t.refuses("a header 17 deep", header_with_x(&deep(17)), NOT_STRICT);
    t.refuses("a header without an end", header_with_x(&"[".repeat(3_000)), NOT_STRICT);
    t.accepts("256 members", k.rs.token(&merged(claims(), &members(256))));
    t.refuses("257 members", k.rs.token(&merged(claims(), &members(257))), TokenError::Claims);
    t.accepts("256 members of a member", with_x(&members(256).to_string()));
    t.refuses("257 members of a member", with_x(&members(257).to_string()), TokenError::Claims);
    t.accepts("24 members of a header", k.rs.token_with(&merged(k.rs.header(), &members(22)), &claims()));
    t.refuses("25 members of a header", k.rs.token_with(&merged(k.rs.header(), &members(23)), &claims()), NOT_STRICT);
    t.section("D15 G04", |backend| judge(with_pem(backend, "rsa").max_length(16_384)));
    t.refuses("arrays 10,000 deep", with_x(&"[".repeat(10_000)), TokenError::Claims);
    t.refuses("objects 10,000 within each other", k.rs.token_of(&header, &"{\"\":".repeat(2_900)), TokenError::Claims);

    t.section("G01", RS256);
    t.leaves("8,000 dots", ".".repeat(8_000));
    t.leaves("8,000 dots between letters", "a.".repeat(4_000));
    t.leaves("a header and dots", format!("{}{}", base64url("{\"alg\":\"RS256\"}"), ".".repeat(8_000)));
    t.section("G02", RS256);
    let compressed = with(k.rs.header(), json!({"zip": "DEF"}));
    t.refuses("compressed claims", k.rs.token_with(&compressed, &claims()), COMPRESSED);
    t.section("G03", RS256);
    let passwords = json!({"alg": "PBES2-HS512+A256KW", "p2c": 2_147_483_647, "p2s": "AAAA"});
    t.refuses("a password to be hashed for long", k.rs.token_with(&passwords, &claims()), TokenError::Algorithm);
    let jwe = with(passwords, json!({"enc": "A256GCM"})).to_string();
    t.leaves("the same as a JWE", format!("{}.A.B.C.D", base64url(jwe)));

    t.section("G04", RS256);
    t.accepts("8,192 bytes", of_length(&k.rs, 8_192));
    let too_long = |length, limit| TokenError::TooLong { length, limit };
    t.refuses("8,193 bytes", of_length(&k.rs, 8_193), too_long(8_193, 8_192));
    t.refuses("16 KiB", of_length(&k.rs, 16_384), too_long(16_384, 8_192));
    t.refuses("a mebibyte of no JWT", "a".repeat(1 << 20), too_long(1 << 20, 8_192));
    t.section("G04", |backend| judge(with_pem(backend, "rsa").max_length(16_384)));
    t.accepts("16,384 bytes where that is set", of_length(&k.rs, 16_384));
    t.refuses("16,385 bytes", of_length(&k.rs, 16_385), too_long(16_385, 16_384));
    t.section("G04", ISSUERS);
    t.refuses("16,385 bytes for several issuers", of_length(&k.rs, 16_385), too_long(16_385, 16_384));
    t.section("G04", RS256);
    // 4,096 characters of base64url are 3,072 bytes.
    let padded = |length: usize| {
        let padding = length - r#"{"alg":"RS256","x":""}"#.len();
        header_with_x(&format!("\"{}\"", "x".repeat(padding)))
    };
    // (G04: lengths first) A header may be as long as the token.
    for setting in [RS256, ISSUERS, BY_SHAPE] {
        t.section("G04 M17", setting);
        t.accepts("a header of 4,096 characters", padded(3_072));
        t.accepts("a header of 4,098 characters", padded(3_073));
        let chain = r#"{"alg":"RS256","x5c":[""#.to_owned() + &"MIID".repeat(1_200) + r#""]}"#;
        t.accepts("a header with a certificate chain", k.rs.token_of(&chain, &claims().to_string()));
    }
    t.section("G04 M17", RS256);
    let long = padded(6_000);
    let length = long.len();
    t.refuses("a header that makes the token too long", long, too_long(length, 8_192));
    for setting in [
        (|backend| judge(with_pem(backend, "rsa").max_length(16_384))) as Setting,
        BY_SHAPE_LONG,
    ] {
        t.section("G04 M17", setting);
        t.accepts("a header of 15,000 characters", padded(11_250));
    }
}

// (M12: unused claims) Unused claims, with unreadable values.
#[rustfmt::skip]
fn unused_claims(t: &mut Table, k: &Signers) {
    let header = k.rs.header().to_string();
    let shapes = [
        "1", "1.5", "true", "{}", "[1]", "[null]", "{\"a\":{\"b\":null}}", "1e300", "[\"pwd\",{\"method\":\"otp\"}]",
        "[{\"method\":\"password\",\"timestamp\":1799999000}]",
    ];
    let nothing_of_it: Look = |token| {
        token.token_id().is_none()
            && token.client_id().is_none()
            && token.acr().is_none()
            && token.amr().count() == 0
            && token.auth_time().is_none()
            && token.groups().count() == 0
            && token.entitlements().count() == 0
            && Claims::acr(token).is_none()
            && Claims::auth_time(token).is_none()
    };
    t.section("M12", |backend| judge(with_pem(backend, "rsa").leeway(Duration::from_secs(30))));
    for shape in shapes {
        for name in ["jti", "client_id", "acr", "amr", "azp", "email", "sid", "groups", "token_version"] {
            t.accepts(format!("{name} {shape}"), k.rs.token_of(&header, &spliced(name, shape)));
        }
        let all = ["jti", "client_id", "azp", "acr", "amr", "groups", "entitlements"];
        let mut claims = with(claims(), json!({"auth_time": "1799999000"}));
        for name in all {
            claims[name] = serde_json::from_str(shape).unwrap();
        }
        t.accepts_as(format!("all of them {shape}"), k.rs.token(&claims), nothing_of_it);
    }
    for text in [
        "\"1799999000\"", "\"\"", "\"2027-01-15T08:00:00Z\"", "true", "[]", "{}", "[1800003540]", "-1", "-0.5", "1e300",
        "9007199254740993", "9223372036854775808", "253402300800", "1800003540000", "\"1\"",
    ] {
        let token = k.rs.token_of(&header, &spliced("auth_time", text));
        t.accepts_as(format!("auth_time {text}"), token, |token| {
            Claims::auth_time(token).is_none() && token.claim("auth_time").is_some()
        });
    }
    t.accepts_as("amr with objects, for the application", k.rs.token_of(&header, &spliced("amr", shapes[9])), |token| {
        token.claim("amr").is_some_and(|amr| amr[0]["method"] == "password" && amr[0]["timestamp"] == 1_799_999_000)
    });
    t.accepts_as("amr mixed, for the application", k.rs.token_of(&header, &spliced("amr", shapes[8])), |token| {
        token.claim("amr").is_some_and(|amr| *amr == json!(["pwd", {"method": "otp"}]))
    });
    t.accepts_as("amr as it should be", k.rs.token_of(&header, &spliced("amr", "[\"pwd\",\"otp\"]")), |token| {
        token.amr().eq(["pwd", "otp"]) && token.claim("amr").is_none()
    });
    // Unused claims are parsed as strictly as any other JSON.
    for (name, text) in [("amr", r#"[{"a":1,"a":2}]"#), ("acr", r#"{"a":1,"\u0061":2}"#), ("jti", r#"[{"a":{"b":1,"b":1}}]"#)] {
        t.refuses(format!("D06: {name} {text}"), k.rs.token_of(&header, &spliced(name, text)), claim(name));
    }
    for name in ["amr", "acr", "jti", "client_id", "auth_time"] {
        t.refuses(format!("D15: {name} too deep"), k.rs.token_of(&header, &spliced(name, &deep(17))), claim(name));
        t.accepts(format!("{name} as deep as allowed"), k.rs.token_of(&header, &spliced(name, &deep(15))));
        let list = format!("{}{}", "[".repeat(16), "]".repeat(16));
        t.refuses(format!("D15: {name}, lists too deep"), k.rs.token_of(&header, &spliced(name, &list)), claim(name));
    }
    for (first, second) in [("[1]", "[1]"), ("null", "\"x\""), ("\"x\"", "null"), ("null", "null"), ("{}", "\"x\"")] {
        for name in ["jti", "client_id", "acr", "amr", "auth_time"] {
            let rest = with(claims(), json!({name: null})).to_string();
            let twice = format!("{},\"{name}\":{first},\"{name}\":{second}}}", &rest[..rest.len() - 1]);
            t.refuses(format!("D06: {name} {first} and {second}"), k.rs.token_of(&header, &twice), claim(name));
        }
    }

    // If a setting requires such a claim, the token is rejected.
    let requires: [(&str, Setting); 6] = [
        ("jti", |backend| judge(with_pem(backend, "rsa").require("jti"))),
        ("client_id", |backend| judge(with_pem(backend, "rsa").require("client_id"))),
        ("acr", |backend| judge(with_pem(backend, "rsa").require("acr"))),
        ("amr", |backend| judge(with_pem(backend, "rsa").require("amr"))),
        ("auth_time", |backend| judge(with_pem(backend, "rsa").require("auth_time"))),
        ("jti", PROFILE),
    ];
    for (name, setting) in requires {
        t.section("M12 D08", setting);
        for shape in ["{}", "[1]", "true", "{\"a\":1}"] {
            t.refuses(format!("{name} {shape}, required"), k.rs.token_of(&header, &spliced(name, shape)), claim(name));
        }
        t.refuses(format!("{name} null, required"), k.rs.token_of(&header, &spliced(name, "null")), missing(name));
    }
    // If a revocation could name the claim, it is an error.
    t.section("M12 D01", |backend| judge(with_pem(backend, "rsa").revocations(RevocationList::new())));
    t.accepts("all that a revocation may name", k.rs.token(&with(claims(), json!({"sid": "s", "token_version": 3}))));
    for name in ["jti", "client_id", "sid", "token_version"] {
        for shape in ["{}", "[\"t-1\"]", "true", "-1"] {
            let token = k.rs.token_of(&header, &spliced(name, shape));
            t.refuses(format!("{name} {shape}, with revocations"), token, claim(name));
        }
        t.accepts(format!("{name} null, with revocations"), k.rs.token_of(&header, &spliced(name, "null")));
    }
    t.section("M12 D01", |backend| judge(with_pem(backend, "rsa").claims_layout(ClaimsLayout::new().with_tenant_at("acr"))));
    t.refuses("acr as the tenant", k.rs.token_of(&header, &spliced("acr", "[\"acme\"]")), claim("acr"));
    t.section("M12 D01", |backend| judge(with_pem(backend, "rsa").claims_layout(ClaimsLayout::new().with_tenant_at("org"))));
    for shape in ["7", "[\"acme\"]", "{}", "true"] {
        t.refuses(format!("a tenant {shape}"), k.rs.token_of(&header, &spliced("org", shape)), claim("org"));
    }
    // The client stands in for the audience.
    t.section("M12 D04", |backend| judge(with_pem(backend, "rsa").claims_layout(ClaimsLayout::cognito())));
    let cognito = with(claims(), json!({"token_use": "access", "aud": null, "client_id": [AUDIENCE]}));
    t.refuses("a list of clients as the audience", k.rs.token(&cognito), claim("client_id"));
}

// (M13: `null` is absence)
#[rustfmt::skip]
fn nulls(t: &mut Table, k: &Signers) {
    let header = k.rs.header().to_string();
    t.section("M13", RS256);
    for name in [
        "sub", "nbf", "iat", "jti", "client_id", "azp", "scope", "scp", "roles", "groups", "entitlements", "acr", "amr",
        "auth_time", "nonce", "at_hash", "c_hash", "s_hash", "sid", "token_version", "typ", "token_use", "events", "htm",
        "htu", "email", "x",
    ] {
        let claims = spliced(name, "null");
        t.accepts(format!("{name} null"), k.rs.token_of(&header, &claims));
        t.accepts(format!("{name} null, typ JWT"), k.rs.token_of(r#"{"alg":"RS256","typ":"JWT"}"#, &claims));
    }
    for name in ["iss", "aud", "exp"] {
        t.refuses(format!("{name} null"), k.rs.token_of(&header, &spliced(name, "null")), missing(name));
    }
    t.refuses("cnf null", k.rs.token_of(&header, &spliced("cnf", "null")), TokenError::SenderConstrained);
    let all = with(claims(), json!({"scope": null})).to_string();
    let all = format!("{},\"scope\":null,\"roles\":null,\"groups\":null,\"x\":null}}", &all[..all.len() - 1]);
    t.accepts_as("several", k.rs.token_of(&header, &all), |token| {
        token.scopes().count() == 0 && token.roles().count() == 0 && token.claim("x").is_none()
            && token.other_claims().is_empty()
    });
    // A member may be named once, `null` or not.
    for name in ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "scope", "scp", "acr", "amr", "auth_time"] {
        for (first, second) in [("null", claims()[name].to_string()), (&claims()[name].to_string(), "null".into()), ("null", "null".into())] {
            let rest = with(claims(), json!({name: null})).to_string();
            let twice = format!("{},\"{name}\":{first},\"{name}\":{second}}}", &rest[..rest.len() - 1]);
            t.refuses(format!("D06: {name} {first} and {second}"), k.rs.token_of(&header, &twice), claim(name));
        }
    }
    for text in [r#""x":null,"x":1"#, r#""x":1,"x":null"#, r#""roles":null,"roles":["admin"]"#, r#""cnf":null,"cnf":null"#] {
        let rest = claims().to_string();
        let twice = format!("{},{text}}}", &rest[..rest.len() - 1]);
        t.refuses(format!("D06: {text}"), k.rs.token_of(&header, &twice), TokenError::Claims);
    }
    t.section("M13 D08", |backend| judge(with_pem(backend, "rsa").claims_layout(ClaimsLayout::keycloak_realm().with_tenant_at(["org", "id"]))));
    for (name, text) in [("realm_access", "null"), ("realm_access", "{\"roles\":null}"), ("org", "null"), ("org", "{\"id\":null}")] {
        let claims = spliced(name, text).replacen('{', "{\"typ\":\"Bearer\",", 1);
        t.accepts_as(format!("{name} {text}"), k.rs.token_of(&header, &claims), |token| {
            token.roles().count() == 0 && token.tenant().is_none()
        });
    }

    // The header.
    t.section("M13", RS256);
    let claims = claims().to_string();
    for members in [
        r#""kid":null"#, r#""kid":"""#, r#""typ":null"#, r#""cty":null"#, r#""b64":null"#, r#""zip":null"#, r#""enc":null"#,
        r#""jwk":null"#, r#""x5c":null"#, r#""kid":null,"typ":null,"cty":null"#,
    ] {
        t.accepts(format!("header {members}"), k.rs.token_of(&format!(r#"{{"alg":"RS256",{members}}}"#), &claims));
    }
    let crit = format!(r#"{{"alg":"RS256","{}":null}}"#, "crit");
    t.refuses("header crit null", k.rs.token_of(&crit, &claims), CRIT);
    for members in [
        r#""kid":null,"kid":"a""#, r#""kid":"a","kid":null"#, r#""kid":"","kid":"a""#, r#""typ":null,"typ":"at+jwt""#,
        r#""alg":null"#, r#""zip":null,"zip":"DEF""#, r#""cty":null,"cty":null"#,
    ] {
        let token = k.rs.token_of(&format!(r#"{{"alg":"RS256",{members}}}"#), &claims);
        t.refuses(format!("D06: header {members}"), token, NOT_STRICT);
    }
    for setting in [NAMED, SET] {
        t.section("M13", setting);
        for kid in ["null", "\"\""] {
            t.accepts(format!("kid {kid}, as none"), k.rs.token_of(&format!(r#"{{"alg":"RS256","kid":{kid}}}"#), &claims));
        }
    }
    t.section("M13", TWO);
    t.refuses("kid empty, and two keys", k.rs.token_of(r#"{"alg":"RS256","kid":""}"#, &claims), SEVERAL_KEYS);
    t.section("M13", PROFILE);
    t.refuses("profile, typ null", k.rs.token_of(r#"{"alg":"RS256","typ":null}"#, &claims), NOT_AT_JWT);
}

// (D07: access tokens only, C02: algorithm of the key) `only_token_types` and `algorithms`.
#[rustfmt::skip]
fn only_some(t: &mut Table, k: &Signers) {
    let typed = |typ: &str, changes: Value| k.rs.token_of(&format!(r#"{{"alg":"RS256"{typ}}}"#), &with(claims(), changes).to_string());
    t.section("M17 D07", |backend| judge(with_pem(backend, "rsa").only_token_types(["at+jwt", "application/Example/x"])));
    for typ in ["at+jwt", "AT+JWT", "application/at+jwt", "Application/AT+jwt", "application/example/x"] {
        t.accepts(format!("only some, typ {typ}"), typed(&format!(r#","typ":"{typ}""#), json!({})));
    }
    t.accepts("only some, without the claims of the profile", typed(r#","typ":"at+jwt""#, json!({"jti": null, "client_id": null})));
    for typ in [r#","typ":"JWT""#, r#","typ":null"#, "", r#","typ":"text/at+jwt""#, r#","typ":"example/x""#, r#","typ":"application/application/at+jwt""#, r#","typ":"dpop+jwt""#] {
        t.refuses(format!("only some, typ {typ}"), typed(typ, json!({})), OTHER_THAN_LISTED);
    }
    t.section("M17 D07", |backend| judge(with_pem(backend, "rsa").only_token_types(["JWT"])));
    t.accepts("only JWT", typed(r#","typ":"application/jwt""#, json!({})));
    t.refuses("only JWT, of an ID token", typed(r#","typ":"JWT""#, json!({"nonce": "x"})), NONCE);
    t.refuses("only JWT, typ at+jwt", typed(r#","typ":"at+jwt""#, json!({})), OTHER_THAN_LISTED);
    t.section("M17 D07", |backend| judge(with_pem(backend, "rsa").token_type("example/x+jwt")));
    t.accepts("a type with a slash", typed(r#","typ":"Example/X+jwt""#, json!({})));
    t.refuses("the same below application", typed(r#","typ":"application/example/x+jwt""#, json!({})), OTHER_TYPE);
    t.section("M17 C11", RS256);
    t.refuses("a nested token by its whole type", typed(r#","cty":"application/JWT""#, json!({})), NESTED);

    t.section("M17 C02", |backend| judge(with_jwks(backend, &jwk_set()).algorithms([Algorithm::ES256, Algorithm::Ed25519, Algorithm::HS256])));
    t.accepts("an algorithm of the list", Signer::new("ES256").kid("es256").token(&claims()));
    t.accepts("another of the list", Signer::new("EdDSA").kid("ed").token(&claims()));
    for (alg, file, kid) in [("RS256", "rsa", "rs"), ("PS256", "rsa-other", "ps"), ("ES384", "p384", "es384")] {
        let token = Signer::with_key(alg, file).kid(kid).token(&claims());
        t.refuses(format!("{alg}, which is not in the list"), token, TokenError::Algorithm);
    }
    let token = hmac_token("HS256", json!({"kid": "rs"}), public_pem("rsa").as_bytes());
    t.refuses("HS256, which is in the list, with a public key", token, TokenError::Algorithm);
}

// The maximum age of a token, by `iat`.
#[rustfmt::skip]
fn age(t: &mut Table, k: &Signers) {
    t.section("M17 D05", |backend| judge(with_pem(backend, "rsa").max_token_age(Duration::from_secs(300)).leeway(Duration::from_secs(10))));
    let issued = |iat: Value| k.rs.token(&with(claims(), json!({"iat": iat, "exp": NOW + 1_000_000})));
    for ago in [0, 60, 300, 309] {
        t.accepts(format!("issued {ago} s ago"), issued(json!(NOW - ago)));
    }
    t.accepts("issued 309.9 s ago", issued(json!(NOW as f64 - 309.9)));
    t.accepts("issued in 10 s", issued(json!(NOW + 10)));
    t.refuses("issued in 11 s", issued(json!(NOW + 11)), TokenError::NotYetValid);
    for ago in [310, 311, 1_000_000] {
        t.refuses(format!("issued {ago} s ago"), issued(json!(NOW - ago)), TokenError::TooOld);
    }
    t.refuses("issued in 1970", issued(json!(0)), TokenError::TooOld);
    t.refuses("without iat", issued(json!(null)), missing("iat"));
    t.refuses("iat null", k.rs.token_of(&k.rs.header().to_string(), &spliced("iat", "null")), missing("iat"));
    t.refuses("expired and too old", k.rs.token(&with(claims(), json!({"iat": 5, "exp": 6}))), TokenError::Expired);
}

// (M14: kinds of tokens) Kinds of tokens, by the value of a claim or by its presence.
#[rustfmt::skip]
fn markers(t: &mut Table, k: &Signers) {
    let general = |changes: Value| k.rs.token_with(&json!({"alg": "RS256", "typ": "JWT"}), &with(claims(), changes));
    t.section("M14 D07", |backend| {
        judge(with_pem(backend, "rsa").claims_layout(ClaimsLayout::new().with_access_token_values("kind", ["access", "service"])))
    });
    for kind in ["access", "service"] {
        t.accepts(format!("kind {kind}"), general(json!({"kind": kind})));
        t.accepts(format!("kind {kind}, with a nonce"), general(json!({"kind": kind, "nonce": "n"})));
    }
    for kind in [json!(null), json!("id"), json!("Access"), json!("access "), json!(""), json!(["access"]), json!({"access": 1}), json!(true), json!(1)] {
        t.refuses(format!("kind {kind}"), general(json!({"kind": kind})), NO_MARKER);
        t.refuses(format!("kind {kind}, with a nonce"), general(json!({"kind": kind, "nonce": "n"})), NO_MARKER);
    }
    t.refuses("a value of an access token, and one of another kind", general(json!({"kind": "access", "token_use": "id"})), SAYS_OTHER_KIND);
    t.refuses("a value of an access token, in a logout token", general(json!({"kind": "access", "events": {}})), EVENTS);
    t.section("M14 D07", |backend| {
        judge(with_pem(backend, "rsa").claims_layout(ClaimsLayout::new().with_access_token_values(["ext", "level"], [2])))
    });
    t.accepts("a number below", general(json!({"ext": {"level": 2}, "nonce": "n"})));
    for ext in [json!({"level": "2"}), json!({"level": 2.5}), json!({"level": null}), json!({}), json!(2)] {
        t.refuses(format!("ext {ext}"), general(json!({"ext": ext})), NO_MARKER);
    }
    for (name, setting) in [
        ("scope", (|backend| judge(with_pem(backend, "rsa").claims_layout(ClaimsLayout::new().with_access_token_values("scope", ["api"])))) as Setting),
        ("client_id", |backend| judge(with_pem(backend, "rsa").claims_layout(ClaimsLayout::new().with_access_token_values("client_id", ["api"])))),
    ] {
        t.section("M14 D07", setting);
        t.accepts(format!("{name} as the marker"), general(json!({name: "api", "nonce": "n"})));
        for value in [json!("api more"), json!(["api"]), json!(null)] {
            t.refuses(format!("{name} {value} as the marker"), general(json!({name: value})), NO_MARKER);
        }
    }
    t.section("M14 D07", |backend| {
        judge(with_pem(backend, "rsa").claims_layout(ClaimsLayout::new().with_access_token_claims(["uid"])))
    });
    t.accepts("a claim of access tokens, with a nonce", general(json!({"uid": "u", "nonce": "n"})));
    for hash in ["at_hash", "c_hash", "s_hash"] {
        t.refuses(format!("a claim of access tokens, with {hash}"), general(json!({"uid": "u", hash: "h"})), HASH);
    }
}

// (D16: no normalization, G05: no panics) Text that is none.
#[rustfmt::skip]
fn not_unicode(t: &mut Table, k: &Signers) {
    let of_bytes = |header: &[u8], claims: &[u8]| k.rs.seal(&format!("{}.{}", base64url(header), base64url(claims)));
    let header = k.rs.header().to_string();
    let with_bytes = |name: &str, bytes: &[u8]| {
        let claims = spliced(name, "\"@\"").into_bytes();
        let at = claims.iter().position(|byte| *byte == b'@').unwrap();
        of_bytes(header.as_bytes(), &[&claims[..at], bytes, &claims[at + 1..]].concat())
    };
    t.section("G05", RS256);
    let in_bytes = TokenError::Claims;
    let in_text = claim("sub");
    for (what, bytes, error) in [
        ("a byte that is no UTF-8", &b"\xff"[..], &in_bytes),
        ("a cut sequence", b"\xe2\x82", &in_bytes),
        ("an overlong slash", b"\xc0\xaf", &in_bytes),
        ("a surrogate in UTF-8", b"\xed\xa0\x80", &in_bytes),
        ("a code point too large", b"\xf4\x90\x80\x80", &in_bytes),
        ("a lone surrogate", br"\ud800", &in_text),
        ("two surrogates the wrong way round", br"\udc00\ud800", &in_text),
        ("half an escape", br"\u12", &in_text),
        ("a control character", b"\x01", &in_text),
        ("an escape that is none", br"\x41", &in_text),
    ] {
        t.refuses(format!("{what} in sub"), with_bytes("sub", bytes), error.clone());
        t.refuses(format!("{what} in another claim"), with_bytes("x", bytes), TokenError::Claims);
        let header = [br#"{"alg":"RS256","x":""#, bytes, b"\"}"].concat();
        let token = of_bytes(&header, claims().to_string().as_bytes());
        t.refuses(format!("{what} in the header"), token, NOT_STRICT);
    }
    let name = [b"{\"\xff\":1,", &claims().to_string().as_bytes()[1..]].concat();
    t.refuses("a name that is no UTF-8", of_bytes(header.as_bytes(), &name), TokenError::Claims);
    t.accepts_as("a pair of surrogates", with_bytes("sub", br"\ud83d\ude00"), |token| {
        token.subject() == Some("\u{1f600}")
    });
}

// (H01: bound tokens, H02: unreadable `cnf`) A bound token is not a bearer token, however it is
// bound.
#[rustfmt::skip]
fn sender_constraint(t: &mut Table, k: &Signers) {
    let bound = |text: &str| k.rs.token_of(&k.rs.header().to_string(), &spliced("cnf", text));
    let bindings = [
        r#"{"jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}"#,
        r#"{"x5t#S256":"bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}"#,
        "{}",
        "null",
        "\"\"",
        "\"jkt\"",
        "0",
        "false",
        "[]",
    ];
    for (setting, name) in [(RS256, "usual"), (PROFILE, "profile")] {
        t.section("H01 H02", setting);
        for cnf in bindings {
            t.refuses(format!("{name}, cnf {cnf}"), bound(cnf), TokenError::SenderConstrained);
        }
    }
    t.section("H01 H02", |backend| judge(with_pem(backend, "rsa").insecure_ignore_sender_constraint()));
    for cnf in bindings {
        t.accepts(format!("ignored, cnf {cnf}"), bound(cnf));
    }
}

// Keys.

struct KeyRow {
    rules: &'static str,
    name: String,
    made: Result<(), KeyError>,
    expected: Result<(), KeyError>,
}

struct KeyTable {
    rows: Vec<KeyRow>,
    rules: &'static str,
}

impl KeyTable {
    fn row<K>(
        &mut self,
        name: impl Into<String>,
        made: Result<K, KeyError>,
        expected: Result<(), KeyError>,
    ) {
        self.rows.push(KeyRow {
            rules: self.rules,
            name: name.into(),
            made: made.map(drop),
            expected,
        });
    }

    /// A JWK alone, and in a set with every back end.
    fn jwk(&mut self, name: &str, jwk: &Value, expected: Result<(), KeyError>) {
        self.jwk_text(name, &jwk.to_string(), expected);
    }

    #[allow(
        clippy::needless_pass_by_value,
        reason = "reads better at the many calls"
    )]
    fn jwk_text(&mut self, name: &str, jwk: &str, expected: Result<(), KeyError>) {
        self.row(name, PublicKey::from_jwk(jwk), expected.clone());
        for backend in CryptoBackend::available() {
            let options = JwksOptions::new().with_backend(*backend);
            let set = KeySet::from_jwks_with(format!(r#"{{"keys":[{jwk}]}}"#), &options);
            let expected = expected.clone().map_err(|reason| KeyError::NoUsableKey {
                skipped: Some(Box::new(reason)),
            });
            self.row(format!("{name}, in a set with {backend:?}"), set, expected);
        }
    }

    fn secret(
        &mut self,
        name: impl Into<String>,
        secret: impl AsRef<[u8]>,
        expected: Result<(), KeyError>,
    ) {
        self.row(name, SharedSecret::hs256(secret), expected);
    }
}

fn key_rows() -> Vec<KeyRow> {
    let mut table = KeyTable {
        rows: Vec::new(),
        rules: "",
    };
    for group in [
        public_secrets,
        weak_secrets,
        rsa_keys,
        elliptic_keys,
        edwards_keys,
        purposes,
        key_sets,
    ] {
        group(&mut table);
    }
    table.rows
}

/// Certificates of two keys of `tests/keys`: all that a certificate holds is public.
const ED25519_CERTIFICATE: &str = "\
    MIIBLDCB36ADAgECAhQ3g44Jaz7STJj3kvimmzSNDVPnITAFBgMrZXAwDDEKMAgGA1UEAwwBYTAeFw0yNjExMjIwOTA3MjJa\
    Fw0yOTA4MTgwOTA3MjJaMAwxCjAIBgNVBAMMAWEwKjAFBgMrZXADIQAoGVbQ2R1tKz751hjilkVAQdzhf145OzQoK/PStSA2\
    v6NTMFEwHQYDVR0OBBYEFKu7IjfUDS50CSIeGP0/Nm0FLBpoMB8GA1UdIwQYMBaAFKu7IjfUDS50CSIeGP0/Nm0FLBpoMA8G\
    A1UdEwEB/wQFMAMBAf8wBQYDK2VwA0EAS8/oqtUj6GtbNWNzyZhq9JDAoq35cqsQ4TfnzTG8ChnVjEe+yzuJOanlbFl2yuSW\
    5bWkXhPbPnZLjSepgCSkAQ==";
const RSA_1024_CERTIFICATE: &str = "\
    MIIB9DCCAV2gAwIBAgIUYIdKrRle0Tt3TCWoTkEZ8oUK104wDQYJKoZIhvcNAQELBQAwDDEKMAgGA1UEAwwBYTAeFw0yNjEx\
    MjIwOTA3MjJaFw0yOTA4MTgwOTA3MjJaMAwxCjAIBgNVBAMMAWEwgZ8wDQYJKoZIhvcNAQEBBQADgY0AMIGJAoGBALw9l5+Z\
    yAPE8Q3TXWl069PdaytGTduIG4PZLKPL7dG3SukD5xDvckxxQYhL4t6d1M53Rf4SAB56g+/vEDX4ylk5+zzHHHNZmfuloat8\
    7rVC6ZmoDkPU8mO2M8KRfedaQJopcqfEzPfwe/eD3wjT57KD/NyeTptOg6IWlcTLXjn7AgMBAAGjUzBRMB0GA1UdDgQWBBSS\
    OCB+79OZSl/mG+kiNPY9S3kuoDAfBgNVHSMEGDAWgBSSOCB+79OZSl/mG+kiNPY9S3kuoDAPBgNVHRMBAf8EBTADAQH/MA0G\
    CSqGSIb3DQEBCwUAA4GBACvKAM35MpNV395XNLcA0l6Ug/doEXuPprbWpfWgrlD+RdyjR4flUHIkCrhEarf1zeK2TOmZEAY4\
    HMkV84EEH28Ctoya72jlqMifNlWfBBY+yAbIYD0mNBEQ8zHSqNFjRjEu+kajkVCh2nDyDR4cuRBZ22bq9r/4hAdTZDSfbDJs";
/// Public keys in DER that are for no algorithm here, and public all the same.
const OTHER_PUBLIC_KEYS: [(&str, &str); 3] = [
    (
        "Ed448",
        "MEMwBQYDK2VxAzoAmjZUPEh+gfz6V/yux6q7wQhYZ3JdpgfhkWHMixU/hMGYI4y7tUUeRiim6bBbIQABROP4gBtprukA",
    ),
    (
        "X25519",
        "MCowBQYDK2VuAyEAyiDw3+URcEkaFYtZVIHc4G98qwZGHVpwk9DbMU5Hkko=",
    ),
    (
        "secp256k1",
        "MFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAEJwso9Mk8dQMJmjVMBtBz9aDIyRUMJyAS6XXKntojmtOyjHba7XPurobGUVsdXrpZA2nRsPQbOm2h2Qm9+2pgbg==",
    ),
];

/// A public key as OpenSSH writes it, without the name of its kind in front.
const SSH_BLOB: &str = "AAAAC3NzaC1lZDI1NTE5AAAAICgZVtDZHW0rPvnWGOKWRUBB3OF/Xjk7NCgr89K1IDa/";

// (C03: public keys as secrets) Nothing public is a secret.
#[rustfmt::skip]
fn public_secrets(t: &mut KeyTable) {
    t.rules = "C03";
    let public = |found| Err(KeyError::SecretIsPublicKey { found });
    let pem_text = || public("a PEM text");
    let pem = public_pem("rsa");
    let certificate = format!("-----BEGIN CERTIFICATE-----\n{ED25519_CERTIFICATE}\n-----END CERTIFICATE-----\n");
    for (name, text) in [
        ("PEM", pem.clone()),
        ("PEM of an Ed25519 key", public_pem("ed25519")),
        ("PEM with white space in front", format!(" \r\n\t{pem}")),
        ("PEM with a byte order mark", format!("\u{feff}{pem}")),
        ("PEM with text in front", format!("The key:\n{pem}")),
        ("PEM in one line", pem.replace('\n', "")),
        ("PEM with line ends as `\\n`", pem.replace('\n', "\\n")),
        ("PEM in lower case", pem.to_lowercase()),
        ("PEM of a private key", private_pem("p256")),
        ("PEM of PKCS#1", pem.replace("PUBLIC KEY", "RSA PUBLIC KEY")),
        ("PEM of a certificate", certificate),
        ("PEM of a PGP key", "-----BEGIN PGP PUBLIC KEY BLOCK-----\nAAAA".to_owned()),
    ] {
        t.secret(name, text, pem_text());
    }
    for (name, text) in [
        ("SSH", format!("ssh-ed25519 {SSH_BLOB} alice@example")),
        ("SSH for an RSA key", format!("ssh-rsa {SSH_BLOB}")),
        ("SSH for a curve", format!("ecdsa-sha2-nistp256 {SSH_BLOB}")),
        ("SSH with options in front", format!("no-pty ssh-ed25519 {SSH_BLOB}")),
        ("SSH for a security key", format!("sk-ssh-ed25519@openssh.com {SSH_BLOB}")),
        ("SSH without the name in front", SSH_BLOB.to_owned()),
        (
            "SSH as RFC 4716 writes it",
            format!("---- BEGIN SSH2 PUBLIC KEY ----\n{SSH_BLOB}\n---- END SSH2 PUBLIC KEY ----"),
        ),
    ] {
        t.secret(name, text, public("an SSH key"));
    }
    let jwk = Signer::new("RS256").jwk();
    for (name, text) in [
        ("JWK", jwk.to_string()),
        ("JWK in lines", serde_json::to_string_pretty(&jwk).unwrap()),
        ("JWK with a byte order mark", format!("\u{feff}{jwk}")),
        ("JWK Set", json!({"keys": [jwk]}).to_string()),
        ("empty JWK Set", json!({"keys": [], "x": "0123456789012345"}).to_string()),
    ] {
        t.secret(name, text, public("a JWK or JWK Set"));
    }
    let mut ders: Vec<(String, Vec<u8>)> = ["rsa", "rsa-1024", "p256", "p384", "p521", "ed25519"]
        .into_iter()
        .flat_map(|name| {
            [
                (format!("public key {name}"), der(&public_pem(name))),
                (format!("private key {name}"), der(&private_pem(name))),
            ]
        })
        .collect();
    // PKCS#1 is what a SubjectPublicKeyInfo has inside.
    ders.push(("PKCS#1".to_owned(), der(&public_pem("rsa"))[24..].to_vec()));
    ders.push(("certificate".to_owned(), STANDARD.decode(ED25519_CERTIFICATE).unwrap()));
    // Such keys are of no use here, and public all the same.
    ders.push(("certificate of a weak key".to_owned(), STANDARD.decode(RSA_1024_CERTIFICATE).unwrap()));
    ders.extend(OTHER_PUBLIC_KEYS.map(|(name, text)| (format!("public key {name}"), STANDARD.decode(text).unwrap())));
    for (name, bytes) in ders {
        let in_der = || public("a key or certificate in DER");
        let text = STANDARD.encode(&bytes);
        let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        t.secret(format!("DER of a {name}"), &bytes, in_der());
        t.secret(format!("base64 of the DER of a {name}"), &text, in_der());
        t.secret(format!("lines of base64 of a {name}"), lines.join("\n"), in_der());
        t.secret(format!("base64url of the DER of a {name}"), base64url(&bytes), in_der());
    }
    let jwk = |secret: &[u8]| json!({"kty": "oct", "alg": "HS256", "k": base64url(secret)}).to_string();
    t.row("a JWK with a PEM as the secret", SharedSecret::from_jwk(jwk(pem.as_bytes())), pem_text());
    t.row("a JWK with a secret", SharedSecret::from_jwk(jwk(SECRET)), Ok(()));
    let format = |what, expected| Err(KeyError::Format { what, expected });
    t.row(
        "a public JWK as a secret",
        SharedSecret::from_jwk(Signer::new("RS256").jwk().to_string()),
        format("kty", "oct"),
    );
    let without_alg = json!({"kty": "oct", "k": base64url(SECRET)}).to_string();
    t.row("a secret for no algorithm", SharedSecret::from_jwk(without_alg), format("alg", "HS256, HS384 or HS512"));
    let for_rsa = json!({"kty": "oct", "alg": "RS256", "k": base64url(SECRET)}).to_string();
    let mismatch = KeyError::Mismatch { algorithm: Algorithm::RS256, key: "a shared secret" };
    t.row("a secret for RS256", SharedSecret::from_jwk(for_rsa), Err(mismatch));
    let der_format = "a SubjectPublicKeyInfo, an RSAPublicKey or a certificate";
    t.row("a secret as a public key", PublicKey::from_der(SECRET), format("the DER", der_format));
}

// (C04: short secrets, C18: known secrets) Secrets that can be guessed or looked up.
#[rustfmt::skip]
fn weak_secrets(t: &mut KeyTable) {
    type Make = fn(&[u8]) -> Result<SharedSecret, KeyError>;
    let makers: [(Algorithm, usize, Make); 3] = [
        (Algorithm::HS256, 32, |secret| SharedSecret::hs256(secret)),
        (Algorithm::HS384, 48, |secret| SharedSecret::hs384(secret)),
        (Algorithm::HS512, 64, |secret| SharedSecret::hs512(secret)),
    ];
    t.rules = "C04";
    for (algorithm, minimum, make) in makers {
        t.row(format!("{algorithm} as short as may be"), make(&SECRET[..minimum]), Ok(()));
        for length in [0, 1, minimum - 1] {
            let short = KeyError::SecretTooShort { algorithm, minimum, length };
            t.row(format!("{algorithm} of {length} bytes"), make(&SECRET[..length]), Err(short));
        }
    }
    t.row("short on demand", SharedSecret::insecure_short_hs256(&SECRET[..8]), Ok(()));
    let known = || Err(KeyError::SecretIsKnown);
    t.row("empty on demand", SharedSecret::insecure_short_hs256(""), known());
    t.row(
        "a PEM on demand",
        SharedSecret::insecure_short_hs256(public_pem("p256")),
        Err(KeyError::SecretIsPublicKey { found: "a PEM text" }),
    );
    let empty = json!({"kty": "oct", "alg": "HS256", "k": ""}).to_string();
    let short = KeyError::SecretTooShort { algorithm: Algorithm::HS256, minimum: 32, length: 0 };
    t.row("an empty JWK", SharedSecret::from_jwk(empty), Err(short));

    t.rules = "C18";
    for secret in
        ["secret", "Secret!", "changeme", "your-256-bit-secret", "password", "x", "000000", "super_secret_key"]
    {
        t.row(format!("{secret} on demand"), SharedSecret::insecure_short_hs256(secret), known());
    }
    for (name, secret) in [
        ("the secret of jwt.io", "a-string-secret-at-least-256-bits-long".to_owned()),
        ("the secret of a tutorial", "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7".to_owned()),
        ("secret, many times", "secret".repeat(6)),
        ("secret, with spaces", "secret ".repeat(6)),
        ("changeme, many times", "changeme".repeat(4)),
        // As people do who are told that 32 bytes are needed.
        ("secret, as often as fits into 32 bytes", "secret".repeat(6)[..32].to_owned()),
        ("one letter", "x".repeat(32)),
        ("zeros", "\0".repeat(64)),
        ("the letter of zeros", "0".repeat(64)),
    ] {
        t.secret(name, secret, known());
    }
}

fn rsa_jwk(modulus: &[u8], exponent: &[u8]) -> Value {
    json!({"kty": "RSA", "n": base64url(modulus), "e": base64url(exponent)})
}

// (C06: key metadata, G07: RSA limits) RSA keys that are too weak or too dear.
#[rustfmt::skip]
fn rsa_keys(t: &mut KeyTable) {
    let n = rsa_key("rsa").n().to_bytes_be();
    let e = [1, 0, 1];
    // A modulus of so many bits, all of them one.
    let ones = |bits: usize| {
        let mut bytes = vec![0xff; bits.div_ceil(8)];
        bytes[0] >>= bytes.len() * 8 - bits;
        bytes
    };
    t.rules = "C06 G07";
    t.jwk("RSA", &rsa_jwk(&n, &e), Ok(()));
    t.jwk("RSA with a zero in front", &rsa_jwk(&[&[0], &n[..]].concat(), &[0, 1, 0, 1]), Ok(()));
    t.jwk("exponent 3", &rsa_jwk(&n, &[3]), Ok(()));
    t.jwk("modulus of 2048 bits", &rsa_jwk(&ones(2048), &e), Ok(()));
    t.jwk("modulus of 2049 bits", &rsa_jwk(&ones(2049), &e), Ok(()));
    t.jwk("modulus of 8192 bits", &rsa_jwk(&ones(8192), &e), Ok(()));
    t.jwk("exponent of 33 bits", &rsa_jwk(&n, &[1, 0xff, 0xff, 0xff, 0xff]), Ok(()));
    for bits in [0, 1, 512, 1024, 2047] {
        let name = format!("modulus of {bits} bits");
        let modulus = if bits == 0 { Vec::new() } else { ones(bits) };
        t.jwk(&name, &rsa_jwk(&modulus, &e), Err(KeyError::RsaTooShort { bits }));
    }
    t.jwk("modulus of zeros", &rsa_jwk(&[0; 256], &e), Err(KeyError::RsaTooShort { bits: 0 }));
    for bits in [8193, 16_384, 65_536] {
        let name = format!("modulus of {bits} bits");
        t.jwk(&name, &rsa_jwk(&ones(bits), &e), Err(KeyError::RsaTooLong { bits }));
    }
    let even = [&n[..255], &[n[255] & 0xfe]].concat();
    let odd_modulus = KeyError::Format { what: "an RSA key", expected: "an odd modulus" };
    t.jwk("even modulus", &rsa_jwk(&even, &e), Err(odd_modulus));
    for (name, exponent) in [
        ("exponent 0", &[0][..]),
        ("no exponent", &[]),
        ("exponent 1", &[1]),
        ("exponent 2", &[2]),
        ("exponent 65536", &[1, 0, 0]),
        ("exponent of 34 bits", &[2, 0, 0, 0, 1]),
        ("exponent of 64 bytes", &[0xff; 64]),
        ("exponent as large as the modulus", &n),
    ] {
        t.jwk(name, &rsa_jwk(&n, exponent), Err(KeyError::RsaExponent));
    }
    let text = "base64url without padding";
    for (name, changes, what) in [
        ("n with padding", json!({"n": "AQAB=="}), "n"),
        ("n in the other alphabet", json!({"n": "+/+/"}), "n"),
        ("no n", json!({"n": null}), "n"),
        ("no e", json!({"e": null}), "e"),
    ] {
        let jwk = with(rsa_jwk(&n, &e), changes);
        t.jwk(name, &jwk, Err(KeyError::Format { what, expected: text }));
    }
    t.jwk(
        "n a number",
        &with(rsa_jwk(&n, &e), json!({"n": 1})),
        Err(KeyError::Format { what: "n", expected: "a string" }),
    );
    let weak = || Err(KeyError::RsaTooShort { bits: 1024 });
    t.row("PEM of 1024 bits", PublicKey::from_pem(public_pem("rsa-1024")), weak());
    t.row("DER of 1024 bits", PublicKey::from_der(der(&public_pem("rsa-1024"))), weak());
    t.row("PEM", PublicKey::from_pem(public_pem("rsa")), Ok(()));
    t.row("DER", PublicKey::from_der(der(&public_pem("rsa"))), Ok(()));
    t.row("certificate", PublicKey::from_der(STANDARD.decode(ED25519_CERTIFICATE).unwrap()), Ok(()));
}

// (C06: key metadata, C07: encoding of signatures) Points that are none.
#[rustfmt::skip]
fn elliptic_keys(t: &mut KeyTable) {
    t.rules = "C06";
    for (alg, key, length) in [("ES256", "a P-256 key", 32), ("ES384", "a P-384 key", 48), ("ES512", "a P-521 key", 66)]
    {
        let good = Signer::new(alg).jwk();
        let coordinate = |name: &str| URL_SAFE_NO_PAD.decode(good[name].as_str().unwrap()).unwrap();
        let (x, y) = (coordinate("x"), coordinate("y"));
        let with_point = |x: &[u8], y: &[u8]| with(good.clone(), json!({"x": base64url(x), "y": base64url(y)}));
        let rejected = || Err(KeyError::Rejected { key });
        let size =
            || Err(KeyError::Format { what: "an elliptic curve key", expected: "coordinates of the curve's size" });
        let mut next = y.clone();
        *next.last_mut().unwrap() ^= 1;
        t.jwk(alg, &good, Ok(()));
        t.jwk(&format!("{alg} off its curve"), &with_point(&x, &next), rejected());
        t.jwk(&format!("{alg} with x and y swapped"), &with_point(&y, &x), rejected());
        t.jwk(&format!("{alg} with zeros"), &with_point(&vec![0; length], &vec![0; length]), rejected());
        t.jwk(&format!("{alg} beyond its field"), &with_point(&vec![0xff; length], &y), rejected());
        // The tail of P-521, whose coordinates begin with a zero more often than not, is cut in the middle.
        t.jwk(&format!("{alg} with a short x"), &with_point(&x[length / 2..], &y), rejected());
        t.jwk(&format!("{alg} with a long y"), &with_point(&x, &[&[0], &y[..]].concat()), size());
        t.jwk(&format!("{alg} with no x"), &with_point(&[], &y), size());
    }
    let p256 = Signer::new("ES256").jwk();
    let curves = || Err(KeyError::Format { what: "crv", expected: "P-256, P-384 or P-521" });
    for crv in ["secp256k1", "P-192", "P-224", "p-256", "brainpoolP256r1", "Ed25519", ""] {
        t.jwk(&format!("crv {crv:?}"), &with(p256.clone(), json!({"crv": crv})), curves());
    }
    t.jwk("no crv", &with(p256.clone(), json!({"crv": null})), curves());
    let rejected = || Err(KeyError::Rejected { key: "a P-384 key" });
    t.jwk("P-256 called P-384", &with(p256.clone(), json!({"crv": "P-384", "alg": "ES384"})), rejected());
    let size = Err(KeyError::Format { what: "an elliptic curve key", expected: "coordinates of the curve's size" });
    let p384 = Signer::new("ES384").jwk();
    t.jwk("P-384 called P-256", &with(p384, json!({"crv": "P-256", "alg": "ES256"})), size);

    // (M15: key checks) Points with a coordinate that begins with a zero, with the zero and without
    // it.
    t.rules = "C06 M15";
    for (alg, crv, x, y) in short_points() {
        let jwk = |x: &[u8], y: &[u8]| json!({"kty": "EC", "crv": crv, "x": base64url(x), "y": base64url(y)});
        let stripped = |bytes: &[u8]| bytes.iter().copied().skip_while(|byte| *byte == 0).collect::<Vec<_>>();
        assert!(x[0] == 0 || y[0] == 0, "{alg}");
        t.jwk(&format!("{alg} in full"), &jwk(&x, &y), Ok(()));
        t.jwk(&format!("{alg} with stripped zeros"), &jwk(&stripped(&x), &stripped(&y)), Ok(()));
        let key = match crv { "P-256" => "a P-256 key", "P-384" => "a P-384 key", _ => "a P-521 key" };
        let rejected = || Err(KeyError::Rejected { key });
        // A zero at the end is not a leading zero.
        let moved = [&stripped(&x)[..], &vec![0; x.len() - stripped(&x).len()]].concat();
        if moved != x {
            t.jwk(&format!("{alg} with a zero moved to the end"), &jwk(&moved, &y), rejected());
        }
        t.jwk(&format!("{alg} with both swapped"), &jwk(&stripped(&y), &stripped(&x)), rejected());
    }
}

/// Returns a point of each curve with a coordinate that begins with a zero, found among new keys.
fn short_points() -> Vec<(&'static str, &'static str, Vec<u8>, Vec<u8>)> {
    use aws_lc_rs::signature::{self, EcdsaKeyPair, KeyPair as _};
    [
        (
            "ES256",
            "P-256",
            &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
        ),
        (
            "ES384",
            "P-384",
            &signature::ECDSA_P384_SHA384_FIXED_SIGNING,
        ),
        (
            "ES512",
            "P-521",
            &signature::ECDSA_P521_SHA512_FIXED_SIGNING,
        ),
    ]
    .into_iter()
    .map(|(alg, crv, curve)| {
        let points = std::iter::repeat_with(|| {
            let pair = EcdsaKeyPair::generate(curve).unwrap();
            let point = &pair.public_key().as_ref()[1..];
            let (x, y) = point.split_at(point.len() / 2);
            (x.to_vec(), y.to_vec())
        });
        let mut short = points.filter(|(x, y)| x[0] == 0 || y[0] == 0);
        let (x, y) = short.next().unwrap();
        (alg, crv, x, y)
    })
    .collect()
}

// (C06: key metadata, C07: encoding of signatures) Points of Edwards curves that are none, or that
// everybody can sign for.
#[rustfmt::skip]
fn edwards_keys(t: &mut KeyTable) {
    t.rules = "C06 C07";
    let okp = |crv: &str, x: &[u8]| json!({"kty": "OKP", "crv": crv, "x": base64url(x)});
    let good = Signer::new("EdDSA").jwk();
    let length = || Err(KeyError::Format { what: "an Ed25519 key", expected: "32 bytes" });
    let crv = || Err(KeyError::Format { what: "crv", expected: "Ed25519" });
    t.jwk("Ed25519", &good, Ok(()));
    t.jwk("Ed25519 without alg", &with(good, json!({"alg": null})), Ok(()));
    for bytes in [0, 1, 31, 33, 57, 64] {
        t.jwk(&format!("Ed25519 of {bytes} bytes"), &okp("Ed25519", &vec![1; bytes]), length());
    }
    for name in ["X25519", "X448", "Ed448", "P-256", "ed25519", ""] {
        t.jwk(&format!("crv {name:?}"), &okp(name, &[1; 32]), crv());
    }
    // With points of order 1, 2 and 4, R = identity and S = 0 would be a signature of every message, or of
    // one in two or four.
    let rejected = || Err(KeyError::Rejected { key: "an Ed25519 key" });
    let near_the_prime = |first: u8| [&[first][..], &[0xff; 30], &[0x7f]].concat();
    let of_order_8 = |hex: &[u8]| fixed(&BigUint::parse_bytes(hex, 16).unwrap(), 32);
    for (name, mut point) in [
        ("the identity", [&[1][..], &[0; 31]].concat()),
        ("the identity, spelled beyond the field", near_the_prime(0xee)),
        ("a point of order 2", near_the_prime(0xec)),
        ("a point of order 4", vec![0; 32]),
        ("a point of order 4, spelled beyond the field", near_the_prime(0xed)),
        ("a point of order 8", of_order_8(b"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")),
        ("another of order 8", of_order_8(b"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")),
    ] {
        t.jwk(name, &okp("Ed25519", &point), rejected());
        point[31] |= 0x80;
        t.jwk(&format!("{name}, with the other sign"), &okp("Ed25519", &point), rejected());
    }
    // (M15: key checks) RFC 8032 section 5.1.3: for half of all `y` there is no `x`, and `y` is
    // below the prime.
    t.rules = "C06 M15";
    let small = |first: u8| [&[first][..], &[0; 31]].concat();
    let beyond = |more: u8| near_the_prime(0xed + more);
    // Beyond the prime by this much, so equal to the number in `small`.
    for y in 2..=18 {
        let is_point = ed25519_dalek::VerifyingKey::from_bytes(small(y)[..].try_into().unwrap()).is_ok();
        t.jwk(&format!("y = {y}"), &okp("Ed25519", &small(y)), if is_point { Ok(()) } else { rejected() });
        t.jwk(&format!("y = p + {y}"), &okp("Ed25519", &beyond(y)), rejected());
        let mut signed = beyond(y);
        signed[31] |= 0x80;
        t.jwk(&format!("y = p + {y}, with the other sign"), &okp("Ed25519", &signed), rejected());
    }
    let spki = |x: &[u8]| [&[0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0][..], x].concat();
    t.row("DER of an Ed25519 key", PublicKey::from_der(der(&public_pem("ed25519"))), Ok(()));
    t.row("DER, y = 2", PublicKey::from_der(spki(&small(2))), rejected());
    t.row("DER, y = p + 3", PublicKey::from_der(spki(&beyond(3))), rejected());
}

// (C06: key metadata) Keys for something else.
#[rustfmt::skip]
fn purposes(t: &mut KeyTable) {
    t.rules = "C06";
    let rsa = Signer::new("RS256").jwk();
    let ec = Signer::new("ES256").jwk();
    let changed = |changes: Value| with(rsa.clone(), changes);
    let not_for = |member| Err(KeyError::NotForVerifying { member });
    let not_public = |kind| Err(KeyError::NotPublic { kind });
    let format = |what, expected| Err(KeyError::Format { what, expected });
    let mismatch = |algorithm, key| Err(KeyError::Mismatch { algorithm, key });
    let unsupported = |name: &str| Err(KeyError::Algorithm { name: name.to_owned() });
    for (name, changes, expected) in [
        ("use sig", json!({"use": "sig"}), Ok(())),
        ("use enc", json!({"use": "enc"}), not_for("use")),
        ("use Sig", json!({"use": "Sig"}), not_for("use")),
        ("use empty", json!({"use": ""}), not_for("use")),
        ("use a number", json!({"use": 1}), format("use", "a string")),
        ("key_ops verify", json!({"key_ops": ["verify"]}), Ok(())),
        ("key_ops encrypt", json!({"key_ops": ["encrypt"]}), not_for("key_ops")),
        ("key_ops sign", json!({"key_ops": ["sign"]}), not_for("key_ops")),
        ("key_ops none", json!({"key_ops": []}), not_for("key_ops")),
        ("key_ops a text", json!({"key_ops": "verify"}), format("key_ops", "an array of strings")),
        ("use sig, key_ops encrypt", json!({"use": "sig", "key_ops": ["encrypt"]}), not_for("key_ops")),
        ("alg RSA-OAEP", json!({"alg": "RSA-OAEP"}), unsupported("RSA-OAEP")),
        ("alg none", json!({"alg": "none"}), unsupported("none")),
        ("alg rs256", json!({"alg": "rs256"}), unsupported("rs256")),
        ("alg empty", json!({"alg": ""}), unsupported("")),
        ("alg a number", json!({"alg": 1}), format("alg", "a string")),
        ("alg HS256", json!({"alg": "HS256"}), mismatch(Algorithm::HS256, "an RSA key")),
        ("alg ES256", json!({"alg": "ES256"}), mismatch(Algorithm::ES256, "an RSA key")),
        ("alg PS512", json!({"alg": "PS512"}), Ok(())),
        ("private", json!({"d": "AQAB"}), not_public("private")),
        ("half private", json!({"p": "AQAB"}), not_public("private")),
        ("a secret besides", json!({"k": "AQAB"}), not_public("symmetric")),
        ("kty oct", json!({"kty": "oct"}), not_public("symmetric")),
        ("kty rsa", json!({"kty": "rsa"}), format("kty", "RSA, EC or OKP")),
        ("kty AKP", json!({"kty": "AKP"}), format("kty", "RSA, EC or OKP")),
        ("kty a number", json!({"kty": 1}), format("kty", "a string")),
        ("no kty", json!({"kty": null}), format("kty", "a string")),
        ("kid of 256 bytes", json!({"kid": "k".repeat(256)}), Ok(())),
        ("kid of 257 bytes", json!({"kid": "k".repeat(257)}), Err(KeyError::KeyId { length: 257 })),
        ("kid a number", json!({"kid": 1}), format("kid", "a string")),
        ("x5c besides", json!({"x5c": [RSA_1024_CERTIFICATE], "x5u": "https://x.example"}), Ok(())),
    ] {
        t.jwk(name, &changed(changes), expected);
    }
    // RFC 7517 section 4.3
    t.rules = "C06 M15";
    for (name, changes, expected) in [
        ("key_ops twice the same", json!({"key_ops": ["verify", "verify"]}), format("key_ops", "an array that names no operation twice")),
        ("key_ops twice another", json!({"key_ops": ["verify", "sign", "sign"]}), format("key_ops", "an array that names no operation twice")),
        ("key_ops with a number", json!({"key_ops": ["verify", 1]}), format("key_ops", "an array of strings")),
        ("key_ops with null", json!({"key_ops": [null, "verify"]}), format("key_ops", "an array of strings")),
        ("key_ops with a list", json!({"key_ops": [["verify"]]}), format("key_ops", "an array of strings")),
        ("key_ops an object", json!({"key_ops": {"verify": true}}), format("key_ops", "an array of strings")),
        ("key_ops sign and verify", json!({"key_ops": ["sign", "verify"]}), Ok(())),
        ("use sig, key_ops verify", json!({"use": "sig", "key_ops": ["verify"]}), Ok(())),
    ] {
        t.jwk(name, &changed(changes), expected);
    }
    // Values that count as absent. `with` treats `null` as "remove", so the members are inserted here.
    t.rules = "C06 M13";
    let absent = [
        "use", "alg", "key_ops", "kid", "d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv", "x5c", "x5u", "x5t", "crv", "x",
    ];
    for member in absent {
        let mut jwk = rsa.clone();
        jwk[member] = Value::Null;
        t.jwk(&format!("{member} null"), &jwk, Ok(()));
    }
    let mut all = rsa.clone();
    absent.iter().for_each(|member| all[*member] = Value::Null);
    t.jwk("all of them null", &all, Ok(()));
    for (name, changes, expected) in [
        ("kid empty", json!({"kid": ""}), Ok(())),
        ("oth empty", json!({"oth": []}), Ok(())),
        ("x5c empty", json!({"x5c": []}), Ok(())),
        ("use sig, key_ops empty", json!({"use": "sig", "key_ops": []}), Ok(())),
        ("use enc, key_ops empty", json!({"use": "enc", "key_ops": []}), not_for("use")),
        ("oth with a prime", json!({"oth": [{"r": "AQAB"}]}), not_public("private")),
        ("oth with null", json!({"oth": [null]}), not_public("private")),
        ("oth an object", json!({"oth": {}}), not_public("private")),
        ("oth a text", json!({"oth": ""}), not_public("private")),
        ("d empty", json!({"d": ""}), not_public("private")),
        ("d a number", json!({"d": 0}), not_public("private")),
        ("d false", json!({"d": false}), not_public("private")),
        ("k empty", json!({"k": ""}), not_public("symmetric")),
        ("p an empty list", json!({"p": []}), not_public("private")),
    ] {
        t.jwk(name, &changed(changes), expected);
    }
    for (member, what, expected) in [("kty", "kty", "a string"), ("n", "n", "base64url without padding"), ("e", "e", "base64url without padding")] {
        let mut jwk = rsa.clone();
        jwk[member] = Value::Null;
        t.jwk(&format!("{member} null"), &jwk, format(what, expected));
    }
    let secret = |member: &str, value: Value| {
        let mut jwk = json!({"kty": "oct", "alg": "HS256", "k": base64url(SECRET)});
        jwk[member] = value;
        SharedSecret::from_jwk(jwk.to_string())
    };
    for member in ["use", "key_ops", "kid", "x5c"] {
        t.row(format!("a secret with {member} null"), secret(member, Value::Null), Ok(()));
    }
    t.row("a secret with an empty kid", secret("kid", json!("")), Ok(()));
    t.row("a secret without k", secret("k", Value::Null), format("k", "base64url without padding"));
    t.row("a secret without alg", secret("alg", Value::Null), format("alg", "HS256, HS384 or HS512"));
    t.rules = "C06";
    let changed = |changes: Value| with(ec.clone(), changes);
    t.jwk("P-256 for RS256", &changed(json!({"alg": "RS256"})), mismatch(Algorithm::RS256, "a P-256 key"));
    t.jwk("P-256 for ES384", &changed(json!({"alg": "ES384"})), mismatch(Algorithm::ES384, "a P-256 key"));
    t.jwk("P-256 for HS256", &changed(json!({"alg": "HS256"})), mismatch(Algorithm::HS256, "a P-256 key"));
    t.jwk("a private P-256 key", &changed(json!({"d": "AQAB"})), not_public("private"));
    let ed = with(Signer::new("EdDSA").jwk(), json!({"alg": "ES256"}));
    t.jwk("Ed25519 for ES256", &ed, mismatch(Algorithm::ES256, "an Ed25519 key"));
    t.jwk("a secret", &json!({"kty": "oct", "k": base64url(SECRET), "alg": "HS256"}), not_public("symmetric"));
    let not_a_jwk =
        || Err(KeyError::Json { expected: "JWK", problem: "expected one JSON object that names no member twice" });
    for (name, text) in [
        ("a member named twice", r#"{"kty":"oct","kty":"RSA"}"#),
        ("an array", "[]"),
        ("a text", "\"RSA\""),
        ("null", "null"),
    ] {
        t.jwk_text(name, text, not_a_jwk());
    }
    t.row("no JSON", PublicKey::from_jwk("RSA"), not_a_jwk());
    let key = || PublicKey::from_pem(public_pem("rsa")).unwrap();
    t.row("an RSA key for PS256", key().with_algorithm(Algorithm::PS256), Ok(()));
    t.row("an RSA key for HS256", key().with_algorithm(Algorithm::HS256), mismatch(Algorithm::HS256, "an RSA key"));
    t.row("an RSA key for ES256", key().with_algorithm(Algorithm::ES256), mismatch(Algorithm::ES256, "an RSA key"));
}

// (C06: key metadata, C10: issuer and `kid`) Keys together.
#[rustfmt::skip]
fn key_sets(t: &mut KeyTable) {
    t.rules = "C06 C10";
    let public = |name: &str| PublicKey::from_pem(public_pem(name)).unwrap();
    let named = |name: &str, kid: &str| public(name).with_kid(kid).unwrap();
    let secret = || SharedSecret::hs256(SECRET).unwrap();
    t.row("two keys", KeySet::new([named("rsa", "a"), named("rsa-other", "b")]), Ok(()));
    t.row("one name for two algorithms", KeySet::new([named("rsa", "a"), named("p256", "a")]), Ok(()));
    let duplicate = KeyError::DuplicateKeyId { kid: "a".to_owned(), algorithm: Algorithm::RS256 };
    t.row("one name twice", KeySet::new([named("rsa", "a"), named("rsa-other", "a")]), Err(duplicate));
    t.row(
        "a secret and a public key",
        KeySet::new([Key::from(secret()), Key::from(public("rsa"))]),
        Err(KeyError::Mixed),
    );
    t.row(
        "a public key and a secret",
        KeySet::new([Key::from(public("rsa")), Key::from(secret())]),
        Err(KeyError::Mixed),
    );
    t.row("no key", KeySet::new([] as [PublicKey; 0]), Err(KeyError::NoUsableKey { skipped: None }));
    let too_many = |count, which, limit| Err(KeyError::TooMany { count, which, limit });
    let without_kid = "of one algorithm without `kid` (see `JwksOptions::with_max_keys_without_kid`)";
    t.rules = "C06 C10 M15";
    t.row("16 keys without a name", KeySet::new([(); 16].map(|()| public("p256"))), Ok(()));
    t.row("17 keys without a name", KeySet::new([(); 17].map(|()| public("p256"))), too_many(17, without_kid, 16));
    let options = |max| JwksOptions::new().with_max_keys_without_kid(max);
    t.row("40 keys, by an option", KeySet::new_with([(); 40].map(|()| public("p256")), &options(40)), Ok(()));
    t.row("two keys, by an option", KeySet::new_with([(); 2].map(|()| public("p256")), &options(1)), too_many(2, without_kid, 1));
    t.row("one key, by an option", KeySet::new_with([public("p256")], &options(0)), too_many(1, without_kid, 0));
    t.row("a named key, by the same option", KeySet::new_with([named("p256", "a")], &options(0)), Ok(()));
    t.rules = "C06 C10";
    let set = |count: usize| {
        let jwk = Signer::new("EdDSA").jwk();
        let keys: Vec<_> = (0..count).map(|n| with(jwk.clone(), json!({"kid": n.to_string()}))).collect();
        json!({"keys": keys}).to_string()
    };
    t.row("a set of 100", KeySet::from_jwks(set(100)), Ok(()));
    t.row("a set of 101", KeySet::from_jwks(set(101)), too_many(101, "in the JWK Set", 100));
    t.row("an empty set", KeySet::from_jwks(set(0)), Err(KeyError::NoUsableKey { skipped: None }));
    let jwk = Signer::new("EdDSA").jwk();
    for (name, text) in [
        ("a JWK as a set", jwk.to_string()),
        ("an array of keys", json!([jwk]).to_string()),
        ("an array with an array of keys", json!([[jwk]]).to_string()),
        ("keys an object", json!({"keys": {"a": jwk}}).to_string()),
        ("keys null", json!({"keys": null}).to_string()),
        ("keys twice", format!(r#"{{"keys":[{jwk}],"keys":[{jwk}]}}"#)),
        ("text behind a set", format!(r#"{{"keys":[{jwk}]}}x"#)),
        ("nothing", String::new()),
        ("HTML", "<html></html>".to_owned()),
    ] {
        let json = KeyError::Json { expected: "JWK Set", problem: "expected a JSON object with an array `keys`" };
        t.row(name, KeySet::from_jwks(text), Err(json));
    }
    // A key that is skipped is not used either.
    let rsa = with(Signer::new("RS256").jwk(), json!({"alg": null, "kid": "a"}));
    let options = JwksOptions::new().with_rsa_algorithms([Algorithm::RS256, Algorithm::ES256]);
    let mismatch = KeyError::Mismatch { algorithm: Algorithm::ES256, key: "an RSA key" };
    t.row(
        "an RSA key for RS256 and ES256",
        KeySet::from_jwks_with(json!({"keys": [rsa]}).to_string(), &options),
        Err(KeyError::NoUsableKey { skipped: Some(Box::new(mismatch)) }),
    );
}

// Settings.

/// What the builder does not take, by rule, and the setting that it names.
#[rustfmt::skip]
fn setting_rows() -> Vec<(&'static str, JwtValidatorBuilder, Option<&'static str>)> {
    let keys = || KeySet::new([PublicKey::from_pem(public_pem("p256")).unwrap()]).unwrap();
    let bare = || JwtValidator::builder(keys());
    let good = || standard(keys());
    let seconds = Duration::from_secs;
    vec![
        ("D03", good(), None),
        ("D03", bare().audience(AUDIENCE), Some("issuer")),
        ("D03", good().issuer(""), Some("issuer")),
        ("D03", good().insecure_any_issuer(), Some("insecure_any_issuer")),
        ("D04", bare().issuer(ISSUER), Some("audience")),
        ("D04", good().audience(""), Some("audience")),
        ("D04", good().insecure_any_audience(), Some("insecure_any_audience")),
        ("D05", good().leeway(seconds(300)), None),
        ("D05", good().leeway(seconds(301)), Some("leeway")),
        ("D05", good().max_lifetime(seconds(0)), Some("max_lifetime")),
        ("D05", good().rfc9068().insecure_without_expiry(), Some("insecure_without_expiry")),
        ("D07", good().rfc9068().insecure_accept_id_tokens(), Some("insecure_accept_id_tokens")),
        ("D07", good().token_type(""), Some("token_type")),
        ("D07", good().token_type("custom+jwt"), None),
        ("D07", good().token_type("application/DPoP+JWT"), Some("token_type")),
        ("D07", good().token_type("logout+jwt"), Some("token_type")),
        ("M17", good().only_token_types(["at+jwt"]), None),
        ("M17", good().only_token_types([] as [&str; 0]), Some("only_token_types")),
        ("M17", good().only_token_types(["at+jwt", ""]), Some("only_token_types")),
        ("M17", good().only_token_types(["application/dpop+jwt"]), Some("only_token_types")),
        ("M17", good().only_token_types(["at+jwt"]).token_type("x"), Some("only_token_types")),
        ("M17", good().only_token_types(["at+jwt"]).rfc9068(), Some("only_token_types")),
        ("M17", good().algorithms([Algorithm::ES256, Algorithm::RS256]), None),
        ("M17", good().algorithms([]), Some("algorithms")),
        ("M17", good().algorithms([Algorithm::RS256, Algorithm::HS256]), Some("algorithms")),
        ("M17", good().max_token_age(seconds(1)), None),
        ("M17", good().max_token_age(seconds(0)), Some("max_token_age")),
        ("M14", good().claims_layout(ClaimsLayout::new().with_access_token_claims(["uid"])), None),
        ("M14", good().claims_layout(ClaimsLayout::new().with_access_token_claims([] as [&str; 0])), Some("claims_layout")),
        ("M14", good().claims_layout(ClaimsLayout::new().with_access_token_claims([""])), Some("claims_layout")),
        ("M14", good().claims_layout(ClaimsLayout::new().with_access_token_values("kind", ["access"])), None),
        ("M14", good().claims_layout(ClaimsLayout::new().with_access_token_values("kind", [] as [&str; 0])), Some("claims_layout")),
        ("M14", good().claims_layout(ClaimsLayout::new().with_access_token_values("kind", [""])), Some("claims_layout")),
        ("M14", good().claims_layout(ClaimsLayout::new().with_access_token_values("kind", [Value::Null])), Some("claims_layout")),
        ("M14", good().claims_layout(ClaimsLayout::new().with_access_token_values("kind", [json!(["a"])])), Some("claims_layout")),
        ("M14", good().claims_layout(ClaimsLayout::new().with_access_token_values("", ["access"])), Some("claims_layout")),
        ("M14", good().claims_layout(ClaimsLayout::new().with_access_token_values("exp", [1])), Some("claims_layout")),
        ("D08", good().require(""), Some("require")),
        ("D08", good().subject(""), Some("subject")),
        ("G04", good().max_length(16_384), None),
        ("G04", good().max_length(16_385), Some("max_length")),
        ("G04", good().max_length(0), Some("max_length")),
    ]
}

#[test]
fn every_backend_rejects_every_attack_with_its_own_error() {
    assert_eq!(CryptoBackend::available().len(), 2);
    let mut wrong = Vec::new();
    for row in rows() {
        for backend in CryptoBackend::available() {
            let answer = ask(&(row.setting)(*backend), &row.token, now());
            let found = match (answer, &row.expected) {
                (Ok(validated), Ok(look)) if look(validated.principal()) => continue,
                (Err(refusal), Err(expected)) if refusal == *expected => continue,
                (Ok(_), Ok(_)) => "accepted as somebody else".to_owned(),
                (Ok(_), Err(_)) => "accepted".to_owned(),
                (Err(refusal), _) => format!("{refusal:?}"),
            };
            let expected = row.expected.as_ref().map(|_| "accepted");
            wrong.push(format!(
                "{} {}: {backend:?} says {found}, expected {expected:?}",
                row.rules, row.name
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn unusable_keys_are_rejected_each_with_its_own_error() {
    let wrong: Vec<_> = key_rows()
        .iter()
        .filter(|row| row.made != row.expected)
        .map(|row| {
            let KeyRow {
                rules,
                name,
                made,
                expected,
            } = row;
            format!("{rules} {name}: {made:?}, expected {expected:?}")
        })
        .collect();
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn insecure_settings_are_rejected() {
    for (rule, builder, expected) in setting_rows() {
        let found = match builder.build() {
            Ok(_) => None,
            Err(ConfigError::Setting { setting, .. }) => Some(setting),
            Err(error) => panic!("{rule}: {error}"),
        };
        assert_eq!(found, expected, "{rule}");
    }
}

#[test]
fn every_rule_has_at_least_one_attack() {
    let rows = rows();
    let key_rows = key_rows();
    let distinct: HashSet<_> = rows.iter().map(|row| &row.token).collect();
    let attacks = rows.iter().filter(|row| row.expected.is_err());
    let attacks: HashSet<_> = attacks.map(|row| &row.token).collect();
    println!(
        "{} rows with {} tokens, of which {} are attacks; {} keys",
        rows.len(),
        distinct.len(),
        attacks.len(),
        key_rows.len(),
    );
    assert!(attacks.len() >= 150, "only {}", attacks.len());

    let all: BTreeSet<String> = RULES
        .iter()
        .flat_map(|(section, last)| (1..=*last).map(move |n| format!("{section}{n:02}")))
        .collect();
    let tokens = rows.iter().map(|row| row.rules);
    let keys = key_rows.iter().map(|row| row.rules);
    let settings = setting_rows().into_iter().map(|(rule, ..)| rule);
    let shown: BTreeSet<String> = tokens
        .chain(keys)
        .chain(settings)
        .flat_map(str::split_whitespace)
        .map(String::from)
        .collect();
    let elsewhere = ELSEWHERE
        .iter()
        .map(|(rule, _)| (*rule).to_owned())
        .collect();
    let missing: Vec<_> = all
        .difference(&shown)
        .filter(|rule| !BTreeSet::contains(&elsewhere, *rule))
        .collect();
    assert_eq!(missing, Vec::<&String>::new(), "not shown");
    assert!(shown.is_disjoint(&elsewhere), "shown after all");
    let known = |rule: &String| all.contains(rule) || BESIDES.contains(&rule.as_str());
    assert!(shown.iter().all(known), "no such rule");
}
