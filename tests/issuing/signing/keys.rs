//! Where keys come from, and that others read what they sign.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tower_bearer::InvalidReason;
use tower_bearer::jwt::{KeyError, KeySet, PublicKey, SharedSecret};

use super::*;
use crate::pem::{damaged_pems, pem_spellings};
use crate::tokens::{SECRET, base64url, private_pem, public_pem, read};

/// A key for each algorithm, without the time that it takes to find RSA keys.
fn key(algorithm: Algorithm) -> SigningKey {
    match algorithm.name().as_bytes() {
        [b'R' | b'P', ..] => SigningKey::from_pem(private_pem("rsa"))
            .unwrap()
            .with_algorithm(algorithm)
            .unwrap(),
        _ => SigningKey::generate(algorithm).unwrap(),
    }
}

/// Another library reads the published key, and the token with it.
fn others_verify(key: &SigningKey, token: &str) -> bool {
    let jwk = Value::Object(key.public_jwk().unwrap());
    let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_value(jwk).unwrap();
    assert_eq!(jwk.common.key_id.as_deref(), Some(key.kid()));
    let header = jsonwebtoken::decode_header(token).unwrap();
    assert_eq!(header.kid.as_deref(), Some(key.kid()));
    assert_eq!(
        jwk.common.key_algorithm.unwrap().to_string(),
        format!("{:?}", header.alg)
    );
    let mut expected = jsonwebtoken::Validation::new(header.alg);
    expected.set_issuer(&[ISSUER]);
    expected.set_audience(&[AUDIENCE]);
    expected.validate_exp = false;
    let verifier = jsonwebtoken::DecodingKey::from_jwk(&jwk).unwrap();
    jsonwebtoken::decode::<Value>(token, &verifier, &expected).is_ok()
}

#[test]
fn every_algorithm_verifies_locally_and_with_jsonwebtoken() {
    // `jsonwebtoken` has two back ends in the tests and wants to be told.
    let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
    for algorithm in ALL {
        let key = key(algorithm);
        assert_eq!(key.algorithm(), algorithm);
        let token = sign(&key, 1);
        let jwk = key.public_jwk();
        assert_eq!(jwk.is_none(), algorithm.is_symmetric(), "{algorithm}");
        // jsonwebtoken 11 has no ES512.
        if jwk.is_some() && algorithm != Algorithm::ES512 {
            assert!(others_verify(&key, &token), "{algorithm}");
        }
        if let Some(jwk) = jwk {
            let own = PublicKey::from_jwk(serde_json::to_vec(&jwk).unwrap()).unwrap();
            assert_eq!(says(&validator(own), &token), Ok(()), "{algorithm}");
        }
        let validator = validator(SigningKeys::new(key).unwrap());
        assert_eq!(says(&validator, &token), Ok(()), "{algorithm}");
        // Tampered with, in each of its parts.
        let parts: Vec<&str> = token.split('.').collect();
        for (name, part, reason) in [
            ("claims", 1, InvalidReason::Signature),
            ("signature", 2, InvalidReason::Signature),
        ] {
            let mut parts = parts.clone();
            let changed = match part {
                1 => base64url(with(claims(), json!({"sub": "mallory"})).to_string()),
                _ => {
                    let first = if parts[2].starts_with('A') { "B" } else { "A" };
                    format!("{first}{}", &parts[2][1..])
                }
            };
            parts[part] = &changed;
            assert_eq!(
                says(&validator, &parts.join(".")),
                Err(FailureKind::Invalid(reason)),
                "{algorithm} {name}"
            );
        }
    }
}

#[test]
fn rsa_key_is_generated() {
    let key = SigningKey::generate(Algorithm::PS256).unwrap();
    assert_eq!(key.algorithm(), Algorithm::PS256);
    let jwk = key.public_jwk().unwrap();
    assert_eq!(jwk["alg"], "PS256");
    // 2048 bits
    assert_eq!(jwk["n"].as_str().unwrap().len(), 342);
    let token = sign(&key, 1);
    assert_eq!(
        says(&validator(SigningKeys::new(key).unwrap()), &token),
        Ok(())
    );
}

#[test]
fn signatures_have_jose_length() {
    // (C07: encoding of signatures) r and s in full length, also where they begin with zeros.
    for (algorithm, length) in [
        (Algorithm::ES256, 64),
        (Algorithm::ES384, 96),
        (Algorithm::ES512, 132),
        (Algorithm::Ed25519, 64),
        (Algorithm::HS256, 32),
        (Algorithm::RS256, 256),
    ] {
        let key = key(algorithm);
        let times = if length == 256 { 1 } else { 300 };
        for number in 0..times {
            let token = sign(&key, number);
            let signature = token.rsplit('.').next().unwrap();
            assert_eq!(
                signature.len(),
                (length * 4_usize).div_ceil(3),
                "{algorithm}"
            );
        }
    }
}

#[test]
fn header_has_alg_kid_and_typ_only() {
    for (algorithm, alg) in [
        (Algorithm::Ed25519, "EdDSA"),
        (Algorithm::ES256, "ES256"),
        (Algorithm::HS256, "HS256"),
    ] {
        let key = key(algorithm).with_kid("a\"b").unwrap();
        let token = sign(&key, 1);
        let header = token.split('.').next().unwrap();
        let header = base64::engine::general_purpose::URL_SAFE_NO_PAD
            .decode(header)
            .unwrap();
        let header: Value = serde_json::from_slice(&header).unwrap();
        assert_eq!(header, json!({"alg": alg, "typ": "at+jwt", "kid": "a\"b"}));
    }
}

#[test]
fn only_json_object_is_signed() {
    let key = key(Algorithm::ES256);
    for claims in [json!(null), json!([1]), json!("{}"), json!(1)] {
        assert!(key.sign_jwt("at+jwt", &claims).is_err(), "{claims}");
    }
    assert!(key.sign_jwt("at+jwt", &json!({})).is_ok());
}

#[test]
fn private_keys_load_from_every_format() {
    let sec1 = |name: &str| {
        // What `openssl ec` writes: the key within PKCS#8.
        let pkcs8 = crate::tokens::der(&private_pem(name));
        let start = pkcs8
            .windows(4)
            .position(|window| window[..3] == [2, 1, 1] && window[3] == 4)
            .unwrap();
        let mut start = start - 2;
        if pkcs8[start] != 0x30 {
            start -= 1;
        }
        let text = STANDARD.encode(&pkcs8[start..]);
        let lines: Vec<_> = text
            .as_bytes()
            .chunks(64)
            .map(|line| str::from_utf8(line).unwrap())
            .collect();
        format!(
            "-----BEGIN EC PRIVATE KEY-----\n{}\n-----END EC PRIVATE KEY-----\n",
            lines.join("\n")
        )
    };
    let parameters =
        "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
    for (name, pem, algorithm, public) in [
        ("PKCS#8", private_pem("rsa"), Algorithm::RS256, "rsa"),
        (
            "PKCS#1",
            read("rsa.private.pkcs1.pem"),
            Algorithm::RS256,
            "rsa",
        ),
        ("PKCS#8", private_pem("p256"), Algorithm::ES256, "p256"),
        ("PKCS#8", private_pem("p384"), Algorithm::ES384, "p384"),
        ("PKCS#8", private_pem("p521"), Algorithm::ES512, "p521"),
        ("SEC1", sec1("p256"), Algorithm::ES256, "p256"),
        (
            "SEC1",
            format!("{parameters}{}", sec1("p256")),
            Algorithm::ES256,
            "p256",
        ),
        ("SEC1", sec1("p384"), Algorithm::ES384, "p384"),
        ("SEC1", sec1("p521"), Algorithm::ES512, "p521"),
        (
            "PKCS#8",
            private_pem("ed25519"),
            Algorithm::Ed25519,
            "ed25519",
        ),
    ] {
        let key =
            SigningKey::from_pem(&pem).unwrap_or_else(|error| panic!("{name} {public}: {error}"));
        assert_eq!(key.algorithm(), algorithm, "{name} {public}");
        let token = sign(&key, 1);
        let public = PublicKey::from_pem(public_pem(public)).unwrap();
        assert_eq!(
            says(&validator(public), &token),
            Ok(()),
            "{name} {algorithm}"
        );
        // Written and read again it is the same.
        let text = key.to_pkcs8_pem().unwrap();
        let again = SigningKey::from_pem(text.as_str()).unwrap();
        assert_eq!(again.kid(), key.kid(), "{name} {algorithm}");
        let again = SigningKey::from_der(crate::tokens::der(text.as_str())).unwrap();
        assert_eq!(again.kid(), key.kid(), "{name} {algorithm}");
    }
}

#[test]
fn signing_key_pem_loads_with_surrounding_white_space_and_text() {
    // (M15: key checks) RFC 7468 sections 2 and 3
    for pem in [private_pem("p256"), read("rsa.private.pkcs1.pem")] {
        let kid = SigningKey::from_pem(&pem).unwrap().kid().to_owned();
        for (name, text) in pem_spellings(&pem) {
            let key = SigningKey::from_pem(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(key.kid(), kid, "{name}");
        }
        for (name, text) in damaged_pems(&pem) {
            let error = SigningKey::from_pem(&text).expect_err(name).to_string();
            assert!(!error.contains("MI"), "{name}: {error}");
        }
    }
    // `openssl ecparam -genkey` writes the curve in front of the key.
    let parameters =
        "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
    for between in ["", "\n", "  \n\n", "text\n"] {
        let text = format!("{parameters}{between}{}", private_pem("p256"));
        assert!(SigningKey::from_pem(&text).is_ok(), "{between:?}");
    }
    assert!(SigningKey::from_pem(parameters).is_err());
}

#[test]
fn key_that_cannot_sign_is_rejected_with_remedy() {
    let says = |pem: &str| SigningKey::from_pem(pem).unwrap_err().to_string();
    let block = |label: &str, inner: &str| {
        format!("-----BEGIN {label}-----\n{inner}\n-----END {label}-----\n")
    };
    let rsa = private_pem("rsa");
    for (name, pem, expected) in [
        ("public", public_pem("rsa"), "a public one cannot sign"),
        (
            "public PKCS#1",
            read("rsa.pkcs1.pem"),
            "a public one cannot sign",
        ),
        (
            "certificate",
            read("p256.certificate.pem"),
            "a public one cannot sign",
        ),
        (
            "encrypted",
            block("ENCRYPTED PRIVATE KEY", "MIIB"),
            "openssl pkey -in",
        ),
        (
            "encrypted as of old",
            block(
                "RSA PRIVATE KEY",
                "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nMIIB",
            ),
            "openssl pkey -in",
        ),
        (
            "OpenSSH",
            block("OPENSSH PRIVATE KEY", "b3BlbnNzaA=="),
            "ssh-keygen",
        ),
        ("weak", private_pem("rsa-1024"), "1024 bits is too weak"),
        ("path", String::from("/etc/keys/key.pem"), "not the path"),
        ("two blocks", format!("{rsa}{rsa}"), "exactly one PEM block"),
        ("empty", String::new(), "exactly one PEM block"),
        ("garbage", block("PRIVATE KEY", "AAAA"), "PKCS#8 in DER"),
        ("garbage", block("RSA PRIVATE KEY", "AAAA"), "PKCS#1"),
        (
            "garbage",
            block("EC PRIVATE KEY", "AAAA"),
            "P-256, P-384 or P-521",
        ),
        ("another label", block("CMS", "AAAA"), "`PRIVATE KEY`"),
        (
            "X25519",
            block(
                "PRIVATE KEY",
                "MC4CAQAwBQYDK2VuBCIEIHcHbQpzGKV9PBbBclGyZkXfTC+H68CZKrF3+6UduSwq",
            ),
            "Ed25519",
        ),
    ] {
        let said = says(&pem);
        assert!(said.contains(expected), "{name}: {said}");
        assert!(!said.contains("MII"), "{name}: {said}");
    }
    assert!(SigningKey::from_der(crate::tokens::der(&public_pem("p256"))).is_err());
    assert!(SigningKey::from_der(b"").is_err());
}

#[test]
fn key_accepts_only_algorithms_of_its_type() {
    for (file, fits) in [("p256", Algorithm::ES256), ("ed25519", Algorithm::Ed25519)] {
        for algorithm in ALL {
            let key = SigningKey::from_pem(private_pem(file)).unwrap();
            let result = key.with_algorithm(algorithm);
            assert_eq!(result.is_ok(), algorithm == fits, "{file} {algorithm}");
        }
    }
    let key = SigningKey::generate(Algorithm::HS512).unwrap();
    assert!(matches!(
        key.with_algorithm(Algorithm::HS256),
        Err(KeyError::Mismatch { .. })
    ));
    for kid in [String::new(), "x".repeat(257)] {
        let key = SigningKey::generate(Algorithm::ES256).unwrap();
        assert!(matches!(key.with_kid(kid), Err(KeyError::KeyId { .. })));
    }
}

#[test]
fn kid_of_secret_reveals_nothing() {
    let secret = || SharedSecret::hs256(SECRET).unwrap();
    let key = |secret| SigningKey::from_secret(secret).unwrap();
    assert_ne!(key(secret()).kid(), key(secret()).kid());
    assert_eq!(key(secret().with_kid("a").unwrap()).kid(), "a");
    assert!(key(secret()).to_pkcs8_pem().is_err());

    let token = sign(&key(secret()), 1);
    assert_eq!(says(&validator(secret()), &token), Ok(()));
    let mut expected = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::HS256);
    expected.set_audience(&[AUDIENCE]);
    expected.validate_exp = false;
    let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
    let verifier = jsonwebtoken::DecodingKey::from_secret(SECRET).unwrap();
    assert!(jsonwebtoken::decode::<Value>(&token, &verifier, &expected).is_ok());

    // (C04: short secrets)
    let short = SharedSecret::insecure_short_hs256("k8Gz!2").unwrap();
    assert!(matches!(
        SigningKey::from_secret(short),
        Err(KeyError::SecretTooShort { length: 6, .. })
    ));
    let one = SigningKey::generate(Algorithm::HS256).unwrap();
    let other = SigningKey::generate(Algorithm::HS256).unwrap();
    let validator = validator(SigningKeys::new(one.with_kid("k").unwrap()).unwrap());
    assert!(says(&validator, &sign(&other.with_kid("k").unwrap(), 1)).is_err());
}

#[test]
fn kid_is_equal_for_equal_keys() {
    let key = || SigningKey::from_pem(private_pem("p256")).unwrap();
    assert_eq!(key().kid(), key().kid());
    let pkcs1 = SigningKey::from_pem(read("rsa.private.pkcs1.pem")).unwrap();
    let pkcs8 = SigningKey::from_pem(private_pem("rsa")).unwrap();
    assert_eq!(pkcs1.kid(), pkcs8.kid());
    let jwk = serde_json::to_string(&json!({"keys": [key().public_jwk()]})).unwrap();
    let set = KeySet::from_jwks(jwk).unwrap();
    assert_eq!(set.keys().next().unwrap().0, Some(key().kid()));
}

#[test]
fn private_key_is_absent_from_debug_and_errors() {
    // (J03: no secrets in texts)
    let key = SigningKey::from_secret(SharedSecret::hs256(SECRET).unwrap()).unwrap();
    let ed25519 = SigningKey::from_pem(private_pem("ed25519")).unwrap();
    let pem = ed25519.to_pkcs8_pem().unwrap();
    let keys = SigningKeys::new(ed25519).unwrap();
    let endpoint = tower_bearer::issuing::JwkSetEndpoint::new(&keys);
    let secrets = SigningKeys::new(key).unwrap();
    let texts = [
        format!("{keys:?} {keys:#?}"),
        format!("{secrets:?} {:?}", secrets.current()),
        format!("{pem:?} {endpoint:?} {endpoint:#?}"),
        keys.jwks_json(now()).to_string(),
        secrets.jwks_json(now()).to_string(),
        format!("{:?}", validator(&secrets)),
    ];
    let seed = crate::tokens::der(pem.as_str());
    let seed = &seed[seed.len() - 32..];
    for text in texts {
        for secret in [SECRET, seed] {
            for form in [
                format!("{secret:?}"),
                base64url(secret),
                STANDARD.encode(secret),
                String::from_utf8_lossy(secret).into_owned(),
            ] {
                assert!(!text.contains(form.trim_matches(['[', ']'])), "{text}");
            }
        }
        assert!(!text.contains("PRIVATE KEY"), "{text}");
    }
}
