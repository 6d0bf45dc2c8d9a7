//! Properties of the validator of JWTs: what holds for every token, not only for those that somebody has
//! thought of.

use std::cell::Cell;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value, json};
use tower_bearer::jwt::{
    CryptoBackend, JwksOptions, JwtIssuers, JwtValidator, JwtValidatorBuilder, KeyError, KeySet,
    PublicKey, SharedSecret, TokenError,
};

use crate::tokens::{
    AUDIENCE, ISSUER, NOW, SECRET, Signer, base64url, claims, now, public_pem, with,
};
use crate::verdicts::{Judge, Refusal, ask};

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

fn standard(keys: KeySet) -> JwtValidatorBuilder {
    JwtValidator::builder(keys)
        .issuer(ISSUER)
        .audience(AUDIENCE)
}

fn judge(builder: JwtValidatorBuilder) -> Judge {
    Arc::new(builder.build().unwrap())
}

fn judge_of(signer: &Signer, backend: CryptoBackend) -> Judge {
    let keys = match signer.alg {
        "HS256" => KeySet::with_backend(backend, [SharedSecret::hs256(SECRET).unwrap()]),
        _ => {
            let jwk = signer.jwk().to_string();
            KeySet::with_backend(backend, [PublicKey::from_jwk(jwk).unwrap()])
        }
    };
    judge(standard(keys.unwrap()))
}

/// The validator for tokens that need no signature of their own: with the fastest algorithm.
fn quick() -> (Signer, Judge) {
    let signer = Signer::new("HS256");
    let judge = judge_of(&signer, CryptoBackend::preferred().unwrap());
    (signer, judge)
}

/// With another byte at a place.
fn changed(token: &str, place: usize, byte: u8) -> Vec<u8> {
    let mut changed = token.as_bytes().to_vec();
    changed[place] = byte;
    changed
}

// (C07: encoding of signatures, C14: strict base64url, C15: identity of a token) No other text of
// the same length is the same token. All of them.
#[test]
fn token_with_one_changed_character_is_rejected() {
    let (signer, judge) = quick();
    let token = signer.token(&claims());
    assert!(ask(&judge, &token, now()).is_ok());
    for place in 0..token.len() {
        for byte in 0..=u8::MAX {
            if byte != token.as_bytes()[place] {
                let answer = ask(&judge, changed(&token, place, byte), now());
                assert!(answer.is_err(), "{byte} at {place} is accepted");
            }
        }
    }
}

// (C07: encoding of signatures, C14: strict base64url) The same for signatures that cost more, at
// random places, but often where a part ends and has bits to spare.
#[test]
fn signed_token_with_one_changed_byte_is_rejected() {
    for alg in ["RS256", "ES256", "EdDSA"] {
        let signer = Signer::new(alg);
        let token = signer.token(&claims());
        let ends: Vec<_> = token
            .match_indices('.')
            .flat_map(|(dot, _)| [dot - 1, dot, dot + 1])
            .chain([token.len() - 2, token.len() - 1])
            .collect();
        for backend in CryptoBackend::available() {
            let judge = judge_of(&signer, *backend);
            assert!(ask(&judge, &token, now()).is_ok());
            let place = prop_oneof![
                3 => 0..token.len(),
                1 => prop::sample::select(ends.clone()),
            ];
            let byte = prop_oneof![
                3 => prop::char::range('-', 'z').prop_map(|c| u8::try_from(c).unwrap()),
                1 => any::<u8>(),
            ];
            let reached = Cell::new(0);
            let ran = TestRunner::new(config(512)).run(&(place, byte), |(place, byte)| {
                if byte == token.as_bytes()[place] {
                    return Ok(());
                }
                match ask(&judge, changed(&token, place, byte), now()) {
                    Err(Refusal::Token(TokenError::Signature)) => reached.set(reached.get() + 1),
                    Err(_) => {}
                    Ok(_) => prop_assert!(false, "{byte} at {place} is accepted"),
                }
                Ok(())
            });
            ran.unwrap_or_else(|error| panic!("{alg} {backend:?}: {error}"));
            // Or the signature would never have been asked about.
            assert!(reached.get() >= 60, "{} got that far", reached.get());
        }
    }
}

// (C13: three parts, C16: whole tokens) Nothing can be added and nothing taken away.
#[test]
fn token_with_inserted_or_removed_text_is_rejected() {
    let (signer, judge) = quick();
    let token = signer.token(&claims());
    for place in 0..=token.len() {
        let (start, end) = token.split_at(place);
        for inserted in ["A", "AA", "AAA", "AAAA", ".", "=", "-"] {
            let longer = format!("{start}{inserted}{end}");
            assert!(
                ask(&judge, &longer, now()).is_err(),
                "{inserted} at {place}"
            );
        }
        for removed in 1..=end.len().min(4) {
            let shorter = format!("{start}{}", &end[removed..]);
            assert!(
                ask(&judge, &shorter, now()).is_err(),
                "{removed} at {place}"
            );
        }
    }
}

/// JSON of all kinds, with the names that mean something among the names.
fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[ -~]{0,12}".prop_map(Value::from),
        ".{0,6}".prop_map(Value::from),
        prop::sample::select(vec![
            ISSUER, AUDIENCE, "JWT", "at+jwt", "HS256", "none", "orders"
        ])
        .prop_map(Value::from),
        (NOW - 100..NOW + 100).prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            members(inner).prop_map(Value::Object),
        ]
    })
}

fn members(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
    let name = prop_oneof![
        4 => prop::sample::select(NAMES).prop_map(String::from),
        1 => "[a-z]{0,3}",
        1 => ".{0,3}",
    ];
    prop::collection::btree_map(name, value, 0..6).prop_map(|members| members.into_iter().collect())
}

/// The names that the validator knows.
const NAMES: &[&str] = &[
    "iss",
    "sub",
    "aud",
    "exp",
    "nbf",
    "iat",
    "jti",
    "client_id",
    "scope",
    "scp",
    "acr",
    "amr",
    "auth_time",
    "cnf",
    "nonce",
    "at_hash",
    "typ",
    "token_use",
    "events",
    "htm",
    "roles",
    "groups",
    "entitlements",
    "azp",
    "alg",
    "kid",
    "cty",
    "crit",
    "b64",
    "enc",
    "zip",
    "jwk",
    "keys",
    "kty",
    "crv",
    "x",
    "y",
    "n",
    "e",
    "d",
    "k",
    "use",
    "key_ops",
];

/// Good claims, with some of them changed, and good claims often enough.
fn claims_like() -> impl Strategy<Value = Value> {
    members(json_value()).prop_map(|changes| {
        let mut claims = claims();
        claims.as_object_mut().unwrap().extend(changes);
        claims
    })
}

/// What is to be seen of a verdict: not the number of accepted tokens alone.
#[derive(Default)]
struct Seen {
    accepted: Cell<u32>,
    claims: Cell<u32>,
}

impl Seen {
    fn note(&self, answer: &Result<impl Sized, Refusal>) {
        let count = |cell: &Cell<u32>| cell.set(cell.get() + 1);
        match answer {
            Ok(_) => count(&self.accepted),
            // These errors come after the signature.
            Err(Refusal::Token(
                TokenError::Audience
                | TokenError::Expired
                | TokenError::NotYetValid
                | TokenError::SenderConstrained
                | TokenError::TokenType { .. }
                | TokenError::MissingClaim { .. },
            )) => count(&self.claims),
            Err(_) => {}
        }
    }
}

proptest! {
    #![proptest_config(config(2_048))]

    // (G05: no panics)
    #[test]
    fn arbitrary_text_does_not_panic_validator(text in "(\\PC|[.A-Za-z0-9_=-]){0,80}") {
        let (_, judge) = quick();
        let answer = ask(&judge, text, now());
        prop_assert!(answer.is_err());
    }

    // (G05: no panics)
    #[test]
    fn three_arbitrary_parts_do_not_panic_validator(
        header in prop::collection::vec(any::<u8>(), 0..60),
        claims in prop::collection::vec(any::<u8>(), 0..60),
        braces in any::<bool>(),
    ) {
        let (signer, judge) = quick();
        let wrap = |bytes: Vec<u8>| if braces { [b"{", &bytes[..], b"}"].concat() } else { bytes };
        let (header, claims) = (base64url(wrap(header)), base64url(wrap(claims)));
        let good = base64url(signer.header().to_string());
        for header in [header, good] {
            let token = signer.seal(&[header, claims.clone()].join("."));
            prop_assert!(ask(&judge, token, now()).is_err());
        }
    }

    // (G05: no panics)
    #[test]
    fn arbitrary_key_set_does_not_panic_parser(value in json_value(), jwks in prop::collection::vec(jwk_like(), 0..4)) {
        let texts = [
            value.to_string(),
            json!({"keys": value}).to_string(),
            json!({"keys": [value]}).to_string(),
            json!({"keys": jwks}).to_string(),
        ];
        for text in texts {
            for backend in CryptoBackend::available() {
                let options = JwksOptions::new().with_backend(*backend);
                match KeySet::from_jwks_with(&text, &options) {
                    Ok(keys) => prop_assert!(keys.len() > 0),
                    Err(KeyError::Json { .. } | KeyError::NoUsableKey { .. }) => {}
                    Err(error) => prop_assert!(false, "{error}"),
                }
            }
            let _ = (PublicKey::from_jwk(&text), SharedSecret::from_jwk(&text));
        }
    }

    // (G05: no panics)
    #[test]
    fn arbitrary_bytes_do_not_panic_key_parsers(
        bytes in prop::collection::vec(any::<u8>(), 0..80), at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let (_, _) = (PublicKey::from_der(&bytes), PublicKey::from_pem(&bytes));
        let _ = (KeySet::from_jwks(&bytes), SharedSecret::hs256(&bytes));
        let mut der = crate::tokens::der(&public_pem("p256"));
        let place = at.index(der.len());
        der[place] = byte;
        let _ = PublicKey::from_der(&der);
        prop_assert!(SharedSecret::insecure_short_hs256(&public_pem("p256")[..place.max(12)]).is_err());
    }
}

/// A JWK of ours with a member changed, added or removed.
fn jwk_like() -> impl Strategy<Value = Value> {
    let base = prop::sample::select(vec!["HS256", "RS256", "ES256", "ES512", "EdDSA"]);
    (base, members(json_value())).prop_map(|(alg, changes)| {
        let mut jwk = Signer::new(alg).jwk();
        jwk.as_object_mut().unwrap().extend(changes);
        jwk
    })
}

// (G05: no panics, D01: wrong types) Whatever the claims are, and signed.
#[test]
fn arbitrary_signed_claims_do_not_panic_validator() {
    let (signer, judge) = quick();
    let keys = || KeySet::new([SharedSecret::hs256(SECRET).unwrap()]).unwrap();
    let strict = self::judge(
        standard(keys())
            .rfc9068()
            .max_lifetime(Duration::from_secs(9_000)),
    );
    let issuers = JwtIssuers::new();
    issuers.insert(standard(keys()).build().unwrap()).unwrap();
    let issuers: Judge = Arc::new(issuers);
    let seen = Seen::default();
    let cases = (claims_like(), members(json_value()), any::<bool>());
    let ran = TestRunner::new(config(4_096)).run(&cases, |(claims, header, plain)| {
        let mut good = signer.header();
        if !plain {
            good.as_object_mut().unwrap().extend(header);
        }
        let token = signer.token_with(&good, &claims);
        let answer = ask(&judge, &token, now());
        seen.note(&answer);
        // Who chooses by issuer comes to the same verdict, and the profile never to a milder one.
        let by_issuer = ask(&issuers, &token, now());
        prop_assert_eq!(answer.is_ok(), by_issuer.is_ok());
        prop_assert!(answer.is_ok() || ask(&strict, &token, now()).is_err());
        if let Ok(accepted) = answer {
            let principal = accepted.principal();
            prop_assert_eq!(principal.issuer(), Some(ISSUER));
            prop_assert!(principal.audience().any(|audience| audience == AUDIENCE));
            prop_assert!(
                principal
                    .scopes()
                    .all(|scope| !scope.is_empty() && !scope.contains(' '))
            );
        }
        Ok(())
    });
    ran.unwrap();
    // Or nothing would be shown of what passes and of what the claims decide.
    let (accepted, decided) = (seen.accepted.get(), seen.claims.get());
    assert!(
        accepted >= 200 && decided >= 50,
        "{accepted} accepted, {decided} decided by claims"
    );
}

/// Returns the part of the verdict that is comparable between two tokens.
fn verdict(
    judge: &Judge,
    token: &str,
) -> Result<(Option<SystemTime>, Map<String, Value>), Refusal> {
    let accepted = ask(judge, token, now())?;
    let others = accepted.principal().other_claims().clone();
    Ok((accepted.expires_at(), others))
}

// (M13: `null` is absence) `null` is absence, in claims (except `cnf`) and in headers (except
// `crit`).
#[test]
fn null_member_equals_absent_member() {
    let (signer, judge) = quick();
    let seen = Seen::default();
    let names = || prop::collection::vec(prop::sample::select(NAMES), 0..4);
    let cases = (
        claims_like(),
        members(json_value()),
        any::<bool>(),
        names(),
        names(),
    );
    let ran = TestRunner::new(config(1_024)).run(
        &cases,
        |(claims, members, plain, nulls, nulls_of_header)| {
            let nulled = |object: &Value, nulls: &[&str], exception: &str| {
                let mut with_nulls = object.as_object().unwrap().clone();
                for name in nulls.iter().filter(|name| **name != exception) {
                    with_nulls.insert((*name).to_owned(), Value::Null);
                }
                let mut without = with_nulls.clone();
                without.retain(|name, value| !value.is_null() || name == exception);
                (Value::Object(with_nulls), Value::Object(without))
            };
            let mut header = signer.header();
            if !plain {
                header.as_object_mut().unwrap().extend(members);
            }
            let (claims, claims_without) = nulled(&claims, &nulls, "cnf");
            let (header, header_without) = nulled(&header, &nulls_of_header, "crit");
            let found = verdict(&judge, &signer.token_with(&header, &claims));
            let expected = verdict(&judge, &signer.token_with(&header_without, &claims_without));
            seen.note(&expected);
            prop_assert_eq!(found, expected);
            Ok(())
        },
    );
    ran.unwrap();
    let (accepted, decided) = (seen.accepted.get(), seen.claims.get());
    assert!(
        accepted >= 30 && decided >= 30,
        "{accepted} accepted, {decided} decided by claims"
    );
}

// (M12: unused claims) A claim that nothing uses neither makes a token invalid nor makes an invalid
// one valid.
#[test]
fn value_of_unused_claim_does_not_change_verdict() {
    const UNUSED: [&str; 12] = [
        "jti",
        "client_id",
        "acr",
        "amr",
        "auth_time",
        "azp",
        "email",
        "groups",
        "entitlements",
        "sid",
        "token_version",
        "name",
    ];
    let (signer, judge) = quick();
    let seen = Seen::default();
    let name = prop::sample::select(&UNUSED[..]);
    let unused = prop::collection::btree_map(name, json_value(), 1..6);
    let ran = TestRunner::new(config(1_024)).run(&(claims_like(), unused), |(claims, unused)| {
        let mut without = claims;
        for name in UNUSED {
            without.as_object_mut().unwrap().remove(name);
        }
        let mut with_them = without.clone();
        for (name, value) in &unused {
            with_them[*name] = value.clone();
        }
        let expected = verdict(&judge, &signer.token_with(&signer.header(), &without));
        let found = verdict(&judge, &signer.token_with(&signer.header(), &with_them));
        seen.note(&expected);
        let ends =
            |verdict: Result<(Option<SystemTime>, _), Refusal>| verdict.map(|(ends, _)| ends);
        prop_assert_eq!(ends(found), ends(expected));
        Ok(())
    });
    ran.unwrap();
    let (accepted, decided) = (seen.accepted.get(), seen.claims.get());
    assert!(
        accepted >= 30 && decided >= 30,
        "{accepted} accepted, {decided} decided by claims"
    );
}

/// JSON with white space where it may be and with the members of the object in this order.
fn spaced(object: &Map<String, Value>, order: &[usize], spaces: &[&str]) -> String {
    let mut spaces = spaces.iter().cycle();
    let mut space = || *spaces.next().unwrap();
    let members: Vec<_> = object.iter().collect();
    let mut text = format!("{}{{{}", space(), space());
    for (n, at) in order.iter().enumerate() {
        let (name, value) = members[*at];
        let comma = if n == 0 { "" } else { "," };
        let name = escaped(name, n);
        let _ = write!(
            text,
            "{comma}{}{name}{}:{}{value}{}",
            space(),
            space(),
            space(),
            space()
        );
    }
    let _ = write!(text, "}}{}", space());
    text
}

/// A JSON string, in every third case with its first character as an escape.
fn escaped(text: &str, n: usize) -> String {
    match text.chars().next() {
        Some(first) if n.is_multiple_of(3) && first.is_ascii_alphanumeric() => {
            format!(
                "\"\\u{:04x}{}",
                u32::from(first),
                &json!(text[1..]).to_string()[1..]
            )
        }
        _ => json!(text).to_string(),
    }
}

// (D06: duplicate members, C14: strict base64url) JSON says the same in any order and with any
// white space, and so does the validator.
#[test]
fn order_and_spacing_of_members_do_not_change_verdict() {
    let (signer, judge) = quick();
    let seen = Seen::default();
    let spaces = prop::sample::select(vec!["", " ", "\n", "\r\n\t", "   "]);
    let cases = claims_like().prop_flat_map(|claims| {
        let claims = claims.as_object().unwrap().clone();
        let order: Vec<_> = (0..claims.len()).collect();
        (Just(claims), Just(order).prop_shuffle())
    });
    let cases = (cases, prop::collection::vec(spaces, 1..9));
    let ran = TestRunner::new(config(2_048)).run(&cases, |((claims, order), spaces)| {
        let header = signer.header();
        let plain = signer.token_with(&header, &Value::Object(claims.clone()));
        let order_of_header: Vec<_> = (0..header.as_object().unwrap().len()).rev().collect();
        let header = spaced(header.as_object().unwrap(), &order_of_header, &spaces);
        let other = signer.token_of(&header, &spaced(&claims, &order, &spaces));
        let verdict = |token: &str| {
            let answer = ask(&judge, token, now());
            answer.map(|accepted| {
                (
                    accepted.expires_at(),
                    accepted.principal().other_claims().clone(),
                )
            })
        };
        let (plain, other) = (verdict(&plain), verdict(&other));
        seen.note(&plain);
        // Of several wrong claims the one is named that is read first.
        match (&plain, &other) {
            (
                Err(Refusal::Token(TokenError::Claim { .. })),
                Err(Refusal::Token(TokenError::Claim { .. })),
            ) => {}
            _ => prop_assert_eq!(&plain, &other),
        }
        Ok(())
    });
    ran.unwrap();
    let (accepted, decided) = (seen.accepted.get(), seen.claims.get());
    assert!(
        accepted >= 100 && decided >= 30,
        "{accepted} accepted, {decided} decided by claims"
    );
}

/// A date as JSON, and what it means: `None` if it is not one.
fn date() -> impl Strategy<Value = (Value, Option<f64>)> {
    const LAST_SECOND: u64 = 253_402_300_799;
    let whole = |seconds: u64| {
        let meaning = (seconds <= LAST_SECOND).then_some(seconds as f64);
        (json!(seconds), meaning)
    };
    let fraction = |seconds: f64| {
        let meaning = (seconds >= 0.0 && seconds < (LAST_SECOND + 1) as f64).then_some(seconds);
        (json!(seconds), meaning)
    };
    prop_oneof![
        8 => (NOW - 200..NOW + 200).prop_map(whole),
        2 => (NOW as f64 - 100.0..NOW as f64 + 100.0).prop_map(move |seconds| {
            // Quarters are exact in both representations.
            fraction((seconds * 4.0).round() / 4.0)
        }),
        2 => any::<u64>().prop_map(whole),
        1 => (0..=LAST_SECOND + 2).prop_map(whole),
        1 => any::<i64>().prop_map(move |seconds| match u64::try_from(seconds) {
            Ok(seconds) => whole(seconds),
            Err(_) => (json!(seconds), None),
        }),
        1 => any::<f64>()
            .prop_filter("JSON has no other numbers", |seconds| seconds.is_finite())
            .prop_map(fraction),
    ]
}

fn clock() -> impl Strategy<Value = u64> {
    prop_oneof![6 => Just(NOW), 3 => NOW - 200..NOW + 200, 1 => 0..u64::from(u32::MAX) * 4]
}

/// What the first wrong date does, or the time.
fn expected(
    dates: &[(&'static str, Option<(Value, Option<f64>)>)],
    now: u64,
    leeway: u64,
) -> Result<(), TokenError> {
    let mut meanings = Map::new();
    for (name, date) in dates {
        match date {
            None => {}
            Some((_, Some(seconds))) => {
                meanings.insert((*name).to_owned(), json!(seconds));
            }
            Some((_, None)) => {
                return Err(TokenError::Claim {
                    claim: (*name).into(),
                });
            }
        }
    }
    let meaning = |name: &str| meanings.get(name).and_then(Value::as_f64);
    let (now, leeway) = (now as f64, leeway as f64);
    let Some(exp) = meaning("exp") else {
        return Err(TokenError::MissingClaim {
            claim: "exp".into(),
        });
    };
    if now >= exp + leeway {
        return Err(TokenError::Expired);
    }
    if [meaning("nbf"), meaning("iat")]
        .into_iter()
        .flatten()
        .any(|date| date > now + leeway)
    {
        return Err(TokenError::NotYetValid);
    }
    Ok(())
}

// (D05: expiry) Dates of any kind and clocks of any time, against a model of five lines.
#[test]
fn time_claims_are_checked_as_in_the_model() {
    let signer = Signer::new("HS256");
    let seen = Seen::default();
    let maybe = || prop::option::weighted(0.6, date());
    let cases = (
        prop::option::weighted(0.95, date()),
        maybe(),
        maybe(),
        clock(),
        0..=300_u64,
    );
    let ran = TestRunner::new(config(8_192)).run(&cases, |(exp, nbf, iat, now, leeway)| {
        let keys = KeySet::new([SharedSecret::hs256(SECRET).unwrap()]).unwrap();
        let judge = judge(standard(keys).leeway(Duration::from_secs(leeway)));
        // In the order of their names, as `serde_json` writes them.
        let dates = [("exp", exp), ("iat", iat), ("nbf", nbf)];
        let mut claims = with(claims(), json!({"exp": null, "iat": null}));
        for (name, date) in &dates {
            if let Some((value, _)) = date {
                claims[*name] = value.clone();
            }
        }
        let answer = ask(
            &judge,
            signer.token(&claims),
            UNIX_EPOCH + Duration::from_secs(now),
        );
        seen.note(&answer);
        let expected = expected(&dates, now, leeway).map_err(Refusal::Token);
        prop_assert_eq!(
            answer.map(drop),
            expected,
            "{} at {} with {}",
            claims,
            now,
            leeway
        );
        Ok(())
    });
    ran.unwrap();
    let (accepted, decided) = (seen.accepted.get(), seen.claims.get());
    assert!(
        accepted >= 1_000 && decided >= 1_000,
        "{accepted} accepted, {decided} decided by time"
    );
}

// (D05: expiry, G05: no panics) Clocks at the ends of what a clock can show.
#[test]
fn arbitrary_clock_does_not_panic_validator() {
    let (signer, judge) = quick();
    let far = |seconds: u64| UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
    let past = |seconds: u64| UNIX_EPOCH.checked_sub(Duration::from_secs(seconds));
    let times: Vec<SystemTime> = (0..64)
        .flat_map(|bits| {
            [
                far(1 << bits),
                past(1 << bits),
                far(u64::MAX >> bits),
                past(u64::MAX >> bits),
            ]
        })
        .flatten()
        .collect();
    assert!(times.len() > 200);
    let token = signer.token(&with(claims(), json!({"nbf": NOW})));
    for time in times {
        let expected = match time.duration_since(UNIX_EPOCH).map(|since| since.as_secs()) {
            Ok(seconds) if seconds >= NOW + 3_600 => Err(TokenError::Expired.into()),
            Ok(seconds) if seconds >= NOW - 60 => Ok(()),
            _ => Err(TokenError::NotYetValid.into()),
        };
        assert_eq!(ask(&judge, &token, time).map(drop), expected, "{time:?}");
    }
}
