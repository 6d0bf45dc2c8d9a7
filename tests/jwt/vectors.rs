//! The examples that the RFCs print: which of them are accepted, and which are refused for what reason.
//!
//! That an example is copied without a fault is shown by its signature, which the test verifies for
//! itself, because most of the payloads are no claims and the validator does not get that far.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey};
use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tower_bearer::jwt::{
    Algorithm, CryptoBackend, JwtValidator, KeySet, PublicKey, SharedSecret, TokenError,
};
use tower_bearer::policy::Claims as _;

use crate::tokens::{Signer, base64url, jwks, with};
use crate::verdicts::{Judge, Refusal, ask};

/// `exp` in the examples of RFC 7515.
const EXP: u64 = 1_300_819_380;

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn decode(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

/// The members of a printed JWK that matter.
#[derive(Clone, Copy)]
enum Printed {
    Oct(&'static str),
    /// The exponent is always 65537.
    Rsa(&'static str),
    Ec(&'static str, &'static str, &'static str),
    Ed25519(&'static str),
}

impl Printed {
    fn jwk(self) -> Value {
        match self {
            Printed::Oct(k) => json!({"kty": "oct", "k": k}),
            Printed::Rsa(n) => json!({"kty": "RSA", "n": n, "e": "AQAB"}),
            Printed::Ec(crv, x, y) => json!({"kty": "EC", "crv": crv, "x": x, "y": y}),
            Printed::Ed25519(x) => json!({"kty": "OKP", "crv": "Ed25519", "x": x}),
        }
    }

    fn keys(self, alg: &str, backend: CryptoBackend) -> KeySet {
        match self {
            // The printed secrets do not say what they are for.
            Printed::Oct(k) => {
                KeySet::with_backend(backend, [SharedSecret::hs256(decode(k)).unwrap()])
            }
            _ => {
                let key = PublicKey::from_jwk(self.jwk().to_string()).unwrap();
                let key = key.with_algorithm(alg.parse::<Algorithm>().unwrap());
                KeySet::with_backend(backend, [key.unwrap()])
            }
        }
        .unwrap()
    }

    /// Whether the signature is right, by other means than those under test.
    fn verifies(self, alg: &str, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Printed::Oct(k) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, &decode(k));
                hmac::verify(&key, message, signature).is_ok()
            }
            Printed::Rsa(n) => {
                let key = RsaPublicKeyComponents {
                    n: decode(n),
                    e: vec![1, 0, 1],
                };
                let parameters = match alg {
                    "RS256" => &signature::RSA_PKCS1_2048_8192_SHA256,
                    "PS384" => &signature::RSA_PSS_2048_8192_SHA384,
                    _ => panic!("no example has {alg}"),
                };
                key.verify(parameters, message, signature).is_ok()
            }
            Printed::Ec(_, x, y) => {
                let parameters = match alg {
                    "ES256" => &signature::ECDSA_P256_SHA256_FIXED,
                    "ES512" => &signature::ECDSA_P521_SHA512_FIXED,
                    _ => panic!("no example has {alg}"),
                };
                let point = [vec![4], decode(x), decode(y)].concat();
                let key = UnparsedPublicKey::new(parameters, point);
                key.verify(message, signature).is_ok()
            }
            Printed::Ed25519(x) => UnparsedPublicKey::new(&signature::ED25519, decode(x))
                .verify(message, signature)
                .is_ok(),
        }
    }
}

// The keys.

/// RFC 7515 appendix A.1.
const A1_KEY: Printed = Printed::Oct(
    "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
);
/// RFC 7515 appendix A.2.
const A2_KEY: Printed = Printed::Rsa(concat!(
    "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp",
    "-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOW",
    "vG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUs",
    "LA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9k",
    "G4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2",
    "PAcDTW9gb54h4FRWyuXpoQ",
));
/// RFC 7515 appendix A.3.
const A3_KEY: Printed = Printed::Ec(
    "P-256",
    "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
);
/// RFC 7515 appendix A.4.
const A4_KEY: Printed = Printed::Ec(
    "P-521",
    "AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk",
    "ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2",
);
/// RFC 7520 section 3.1.
const BILBO_EC: Printed = Printed::Ec(
    "P-521",
    "AHKZLLOsCOzz5cY97ewNUajB957y-C-U88c3v13nmGZx6sYl_oJXu9A5RkTKqjqvjyekWF-7ytDyRXYgCF5cj0Kt",
    "AdymlHvOiLxXkEhayXQnNCvDX4h9htZaCJN34kfmC6pV5OhQHiraVySsUdaQkAgDPrwQrJmbnX9cwlGfP-HqHZR1",
);
/// RFC 7520 section 3.3.
const BILBO_RSA: Printed = Printed::Rsa(concat!(
    "n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTeT-O-XV2jRoj",
    "dNhxJWTDvNd7nqQ0VEiZQHz_AJmSCpMaJMRBSFKrKb2wqVwGU_NsYOYL-QtiWN2l",
    "bzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-oBHqFEHYpPe7Tpe-OfVfHd1E6c",
    "S6M1FZcD1NNLYD5lFHpPI9bTwJlsde3uhGqC0ZCuEHg8lhzwOHrtIQbS0FVbb9k3",
    "-tVTU4fg_3L_vniUFAKwuCLqKnS2BYwdq_mzSnbLY7h_qixoR7jig3__kRhuaxwU",
    "kRz5iaiQkqgc5gHdrNP5zw",
));
/// RFC 7520 section 3.5.
const BILBO_OCT: Printed = Printed::Oct("hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg");
/// RFC 8037 appendix A.2.
const ED25519_KEY: Printed = Printed::Ed25519("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");

// The payloads.

/// `{"iss":"joe",\r\n "exp":1300819380,\r\n "http://example.com/is_root":true}`
const JOE: &str = concat!(
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQog",
    "Imh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ",
);
/// "It's a dangerous business, Frodo, ..."
const FRODO: &str = concat!(
    "SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIg",
    "ZG9vci4gWW91IHN0ZXAgb250byB0aGUgcm9hZCwgYW5kIGlmIHlvdSBkb24ndCBrZWVw",
    "IHlvdXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJl",
    "IHN3ZXB0IG9mZiB0by4",
);

// The examples.

struct Vector {
    section: &'static str,
    alg: &'static str,
    key: Printed,
    /// The protected header, as it is printed.
    header: &'static str,
    payload: &'static str,
    signature: &'static str,
    /// How the example is written.
    written: fn(&Vector) -> String,
    expected: Result<(), Refusal>,
}

fn compact(vector: &Vector) -> String {
    [vector.header, vector.payload, vector.signature].join(".")
}

fn detached(vector: &Vector) -> String {
    [vector.header, "", vector.signature].join(".")
}

/// The signature with its protected header, as both JSON serializations write it.
fn protected(vector: &Vector) -> Value {
    json!({"protected": vector.header, "signature": vector.signature})
}

fn flattened(vector: &Vector) -> String {
    with(protected(vector), json!({"payload": vector.payload})).to_string()
}

fn general(vector: &Vector) -> String {
    json!({"payload": vector.payload, "signatures": [protected(vector)]}).to_string()
}

fn unprotected(vector: &Vector) -> String {
    let header = json!({"alg": vector.alg});
    json!({"header": header, "payload": vector.payload, "signature": vector.signature}).to_string()
}

#[rustfmt::skip]
fn vectors() -> Vec<Vector> {
    let accepted = || Ok(());
    // The payload is a text. It is found to be no claims before the signature is looked at.
    let no_claims = || Err(Refusal::Token(TokenError::Claims));
    // Detached payloads and the JSON serializations are not supported (C12: compact serialization).
    let not_compact = || Err(Refusal::Unrecognized);
    vec![
        Vector {
            section: "RFC 7515 A.1", alg: "HS256", key: A1_KEY, written: compact, expected: accepted(),
            // {"typ":"JWT",\r\n "alg":"HS256"}
            header: "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9",
            payload: JOE,
            signature: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        },
        Vector {
            section: "RFC 7515 A.2", alg: "RS256", key: A2_KEY, written: compact, expected: accepted(),
            header: "eyJhbGciOiJSUzI1NiJ9", payload: JOE, signature: A2_SIGNATURE,
        },
        Vector {
            section: "RFC 7515 A.3", alg: "ES256", key: A3_KEY, written: compact, expected: accepted(),
            header: "eyJhbGciOiJFUzI1NiJ9", payload: JOE, signature: A3_SIGNATURE,
        },
        Vector {
            section: "RFC 7515 A.4", alg: "ES512", key: A4_KEY, written: compact, expected: no_claims(),
            header: "eyJhbGciOiJFUzUxMiJ9",
            payload: "UGF5bG9hZA",
            signature: concat!(
                "AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZq",
                "wqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8Kp",
                "EHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn",
            ),
        },
        Vector {
            section: "RFC 7515 A.6, the first signature", alg: "RS256", key: A2_KEY, written: general,
            header: "eyJhbGciOiJSUzI1NiJ9", payload: JOE, signature: A2_SIGNATURE,
            expected: not_compact(),
        },
        Vector {
            section: "RFC 7515 A.6, the second signature", alg: "ES256", key: A3_KEY, written: general,
            header: "eyJhbGciOiJFUzI1NiJ9", payload: JOE, signature: A3_SIGNATURE,
            expected: not_compact(),
        },
        Vector {
            section: "RFC 7515 A.7", alg: "ES256", key: A3_KEY, written: flattened,
            header: "eyJhbGciOiJFUzI1NiJ9", payload: JOE, signature: A3_SIGNATURE,
            expected: not_compact(),
        },
        Vector {
            section: "RFC 7520 4.1", alg: "RS256", key: BILBO_RSA, written: compact, expected: no_claims(),
            header: "eyJhbGciOiJSUzI1NiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9",
            payload: FRODO,
            signature: concat!(
                "MRjdkly7_-oTPTS3AXP41iQIGKa80A0ZmTuV5MEaHoxnW2e5CZ5NlKtainoFmKZo",
                "pdHM1O2U4mwzJdQx996ivp83xuglII7PNDi84wnB-BDkoBwA78185hX-Es4JIwmD",
                "LJK3lfWRa-XtL0RnltuYv746iYTh_qHRD68BNt1uSNCrUCTJDt5aAE6x8wW1Kt9e",
                "Ro4QPocSadnHXFxnt8Is9UzpERV0ePPQdLuW3IS_de3xyIrDaLGdjluPxUAhb6L2",
                "aXic1U12podGU0KLUQSE_oI-ZnmKJ3F4uOZDnd6QZWJushZ41Axf_fcIe8u9ipH8",
                "4ogoree7vjbU5y18kDquDg",
            ),
        },
        Vector {
            section: "RFC 7520 4.2", alg: "PS384", key: BILBO_RSA, written: compact, expected: no_claims(),
            header: "eyJhbGciOiJQUzM4NCIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9",
            payload: FRODO,
            signature: concat!(
                "cu22eBqkYDKgIlTpzDXGvaFfz6WGoz7fUDcfT0kkOy42miAh2qyBzk1xEsnk2IpN",
                "6-tPid6VrklHkqsGqDqHCdP6O8TTB5dDDItllVo6_1OLPpcbUrhiUSMxbbXUvdvW",
                "Xzg-UD8biiReQFlfz28zGWVsdiNAUf8ZnyPEgVFn442ZdNqiVJRmBqrYRXe8P_ij",
                "Q7p8Vdz0TTrxUeT3lm8d9shnr2lfJT8ImUjvAA2Xez2Mlp8cBE5awDzT0qI0n6ui",
                "P1aCN_2_jLAeQTlqRHtfa64QQSUmFAAjVKPbByi7xho0uTOcbH510a6GYmJUAfmW",
                "jwZ6oD4ifKo8DYM-X72Eaw",
            ),
        },
        Vector {
            section: "RFC 7520 4.3", alg: "ES512", key: BILBO_EC, written: compact, expected: no_claims(),
            header: "eyJhbGciOiJFUzUxMiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9",
            payload: FRODO,
            signature: concat!(
                "AE_R_YZCChjn4791jSQCrdPZCNYqHXCTZH0-JZGYNlaAjP2kqaluUIIUnC9qvbu9",
                "Plon7KRTzoNEuT4Va2cmL1eJAQy3mtPBu_u_sDDyYjnAMDxXPn7XrT0lw-kvAD89",
                "0jl8e2puQens_IEKBpHABlsbEPX6sFY8OcGDqoRuBomu9xQ2",
            ),
        },
        Vector {
            section: "RFC 7520 4.4", alg: "HS256", key: BILBO_OCT, written: compact, expected: no_claims(),
            header: BILBO_OCT_HEADER, payload: FRODO, signature: BILBO_OCT_SIGNATURE,
        },
        Vector {
            section: "RFC 7520 4.5", alg: "HS256", key: BILBO_OCT, written: detached,
            header: BILBO_OCT_HEADER, payload: FRODO, signature: BILBO_OCT_SIGNATURE,
            expected: not_compact(),
        },
        Vector {
            section: "RFC 7520 4.6", alg: "HS256", key: BILBO_OCT, written: flattened,
            header: "eyJhbGciOiJIUzI1NiJ9",
            payload: FRODO,
            signature: "bWUSVaxorn7bEF1djytBd0kHv70Ly5pvbomzMWSOr20",
            expected: not_compact(),
        },
        Vector {
            section: "RFC 7520 4.7", alg: "HS256", key: BILBO_OCT, written: unprotected,
            header: "",
            payload: FRODO,
            signature: "xuLifqLGiblpv9zBpuZczWhNj1gARaLV3UxvxhJxZuk",
            expected: not_compact(),
        },
        Vector {
            section: "RFC 7520 4.7 with an empty header", alg: "HS256", key: BILBO_OCT, written: compact,
            header: "",
            payload: FRODO,
            signature: "xuLifqLGiblpv9zBpuZczWhNj1gARaLV3UxvxhJxZuk",
            expected: not_compact(),
        },
        Vector {
            section: "RFC 7520 4.8, the first signature", alg: "RS256", key: BILBO_RSA, written: general,
            header: "eyJhbGciOiJSUzI1NiJ9",
            payload: FRODO,
            signature: concat!(
                "MIsjqtVlOpa71KE-Mss8_Nq2YH4FGhiocsqrgi5NvyG53uoimic1tcMdSg-qptrz",
                "Zc7CG6Svw2Y13TDIqHzTUrL_lR2ZFcryNFiHkSw129EghGpwkpxaTn_THJTCglNb",
                "ADko1MZBCdwzJxwqZc-1RlpO2HibUYyXSwO97BSe0_evZKdjvvKSgsIqjytKSeAM",
                "bhMBdMma622_BG5t4sdbuCHtFjp9iJmkio47AIwqkZV1aIZsv33uPUqBBCXbYoQJ",
                "wt7mxPftHmNlGoOSMxR_3thmXTCm4US-xiNOyhbm8afKK64jU6_TPtQHiJeQJxz9",
                "G3Tx-083B745_AfYOnlC9w",
            ),
            expected: not_compact(),
        },
        Vector {
            section: "RFC 7520 4.8, the second signature", alg: "ES512", key: BILBO_EC, written: unprotected,
            header: "",
            payload: FRODO,
            signature: concat!(
                "ARcVLnaJJaUWG8fG-8t5BREVAuTY8n8YHjwDO1muhcdCoFZFFjfISu0Cdkn9Ybdl",
                "mi54ho0x924DUz8sK7ZXkhc7AFM8ObLfTvNCrqcI3Jkl2U5IX3utNhODH6v7xgy1",
                "Qahsn0fyb4zSAkje8bAWz4vIfj5pCMYxxm4fgV3q7ZYhm5eD",
            ),
            expected: not_compact(),
        },
        Vector {
            section: "RFC 7520 4.8, the third signature", alg: "HS256", key: BILBO_OCT, written: general,
            header: BILBO_OCT_HEADER, payload: FRODO, signature: BILBO_OCT_SIGNATURE,
            expected: not_compact(),
        },
        Vector {
            section: "RFC 8037 A.4", alg: "EdDSA", key: ED25519_KEY, written: compact, expected: no_claims(),
            header: "eyJhbGciOiJFZERTQSJ9",
            // "Example of Ed25519 signing"
            payload: "RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
            signature: concat!(
                "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5B",
                "hVsPt9g7sVvpAr_MuM0KAg",
            ),
        },
    ]
}

const A2_SIGNATURE: &str = concat!(
    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7",
    "AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4",
    "BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K",
    "0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqv",
    "hJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrB",
    "p0igcN_IoypGlUPQGe77Rw",
);
const A3_SIGNATURE: &str = concat!(
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSA",
    "pmWQxfKTUJqPP3-Kg6NU1Q",
);
/// `{"alg":"HS256","kid":"018c0ae5-4d9b-471b-bfd6-eef314bc7037"}`
const BILBO_OCT_HEADER: &str = concat!(
    "eyJhbGciOiJIUzI1NiIsImtpZCI6IjAxOGMwYWU1LTRkOWItNDcxYi1iZmQ2LWVl",
    "ZjMxNGJjNzAzNyJ9",
);
const BILBO_OCT_SIGNATURE: &str = "s0h6KThzkfBBBkLspW1h84VsJZFTsPPqMDA7g1Md7p0";

/// Accepts what `joe` has issued, for whomever.
fn joe(keys: KeySet) -> Judge {
    let validator = JwtValidator::builder(keys)
        .issuer("joe")
        .insecure_any_audience();
    Arc::new(validator.build().unwrap())
}

#[test]
fn rfc_signatures_verify_with_rfc_keys() {
    for vector in vectors() {
        let Vector {
            section,
            alg,
            key,
            header,
            payload,
            signature,
            ..
        } = vector;
        let message = format!("{header}.{payload}");
        assert!(
            key.verifies(alg, message.as_bytes(), &decode(signature)),
            "{section}"
        );
    }
}

#[test]
fn rfc_examples_get_expected_verdict() {
    for vector in vectors() {
        for backend in CryptoBackend::available() {
            let judge = joe(vector.key.keys(vector.alg, *backend));
            let answer = ask(&judge, (vector.written)(&vector), at(EXP - 1));
            let found = answer.map(drop);
            assert_eq!(found, vector.expected, "{} {backend:?}", vector.section);
        }
    }
}

// (C07: encoding of signatures) The same examples with one bit of the signature changed, where
// there are claims to refuse.
#[test]
fn rfc_examples_with_other_signature_are_rejected() {
    let mut refused = 0;
    for vector in vectors().iter().filter(|vector| vector.expected == Ok(())) {
        for backend in CryptoBackend::available() {
            let judge = joe(vector.key.keys(vector.alg, *backend));
            let mut signature = decode(vector.signature);
            signature[7] ^= 1;
            let signature = base64url(signature);
            let token = [vector.header, vector.payload, &signature].join(".");
            let found = ask(&judge, token, at(EXP - 1)).map(drop);
            let expected = Err(Refusal::Token(TokenError::Signature));
            assert_eq!(found, expected, "{} {backend:?}", vector.section);
            refused += 1;
        }
    }
    assert_eq!(refused, 6);
}

// (D05: expiry) RFC 7519 section 4.1.4, with the leeway of a minute that is the default.
#[test]
fn rfc_examples_expire_at_exp() {
    let vectors = vectors();
    let a2 = &vectors[1];
    assert_eq!(a2.section, "RFC 7515 A.2");
    let judge = joe(a2.key.keys(a2.alg, CryptoBackend::preferred().unwrap()));
    let expired = Err(Refusal::Token(TokenError::Expired));
    for (seconds, expected) in [
        (0, Ok(())),
        (EXP, Ok(())),
        (EXP + 59, Ok(())),
        (EXP + 60, expired.clone()),
        (1_800_000_000, expired),
    ] {
        let found = ask(&judge, compact(a2), at(seconds)).map(drop);
        assert_eq!(found, expected, "{seconds}");
    }
    let principal = ask(&judge, compact(a2), at(0)).unwrap();
    let token = principal.principal();
    assert_eq!(token.issuer(), Some("joe"));
    assert_eq!(token.expires_at(), Some(at(EXP)));
    assert_eq!(
        token.claim("http://example.com/is_root"),
        Some(&json!(true))
    );
}

// (C01: no `none`) RFC 7515 appendix A.5 and RFC 7519 section 6.1.
#[test]
fn rfc_unsecured_token_is_rejected_with_and_without_signature() {
    let header = "eyJhbGciOiJub25lIn0";
    for key in [A1_KEY, A2_KEY, A3_KEY] {
        let alg = match key {
            Printed::Oct(_) => "HS256",
            Printed::Rsa(_) => "RS256",
            _ => "ES256",
        };
        for backend in CryptoBackend::available() {
            let judge = joe(key.keys(alg, *backend));
            let bare = ask(&judge, format!("{header}.{JOE}."), at(EXP - 1));
            assert_eq!(bare.map(drop), Err(Refusal::Unrecognized));
            let signed = ask(
                &judge,
                format!("{header}.{JOE}.{A3_SIGNATURE}"),
                at(EXP - 1),
            );
            let expected = Err(Refusal::Token(TokenError::Algorithm));
            assert_eq!(signed.map(drop), expected);
        }
    }
}

// (C08: critical headers, C12: compact serialization) RFC 7797 sections 4.1 and 4.2, whose payload
// is `$.02`.
#[test]
fn rfc_unencoded_payload_is_rejected() {
    // {"alg":"HS256"}, and {"alg":"HS256","b64":false,"crit":["b64"]}
    let encoded = (
        "eyJhbGciOiJIUzI1NiJ9",
        "JC4wMg",
        "5mvfOroL-g7HyqJoozehmsaqmvTYGEq5jTI1gVvoEoQ",
    );
    let unencoded = (
        "eyJhbGciOiJIUzI1NiIsImI2NCI6ZmFsc2UsImNyaXQiOlsiYjY0Il19",
        "$.02",
        "A5dxf2s96_n5FLueVuW1Z_vh161FwXZC4YLPff6dmDY",
    );
    let judge = joe(A1_KEY.keys("HS256", CryptoBackend::preferred().unwrap()));
    for (header, payload, signature) in [encoded, unencoded] {
        let message = format!("{header}.{payload}");
        assert!(A1_KEY.verifies("HS256", message.as_bytes(), &decode(signature)));
    }
    let verdict = |token: String| ask(&judge, token, at(EXP - 1)).map(drop);
    let (header, payload, signature) = encoded;
    assert_eq!(
        verdict(format!("{header}.{payload}.{signature}")),
        Err(Refusal::Token(TokenError::Claims))
    );
    let (header, payload, signature) = unencoded;
    for token in [
        format!("{header}..{signature}"),
        format!("{header}.{payload}.{signature}"),
    ] {
        assert_eq!(verdict(token), Err(Refusal::Unrecognized));
    }
}

// RFC 7638 section 3.1: the key is read. Thumbprints are not made by the crate; the one that is printed
// shows that the key is copied without a fault.
#[test]
fn rfc_thumbprint_key_loads() {
    let n = concat!(
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86z",
        "wu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5Js",
        "GY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMic",
        "AtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-",
        "bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csF",
        "Cur-kEgU8awapJzKnqDKgw",
    );
    let input = format!(r#"{{"e":"AQAB","kty":"RSA","n":"{n}"}}"#);
    let thumbprint = digest::digest(&digest::SHA256, input.as_bytes());
    assert_eq!(
        base64url(thumbprint),
        "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    );
    let jwk = json!({"kty": "RSA", "n": n, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"});
    let key = PublicKey::from_jwk(jwk.to_string()).unwrap();
    assert_eq!(key.kid(), Some("2011-04-29"));
    assert_eq!(key.algorithm(), Algorithm::RS256);
}

// (C06: key metadata) RFC 7515 appendix A, RFC 7520 section 3 and RFC 8037 appendix A.2.
#[test]
fn rfc_keys_load_for_their_declared_use() {
    let keys = [
        (A2_KEY, Algorithm::RS256),
        (A3_KEY, Algorithm::ES256),
        (A4_KEY, Algorithm::ES512),
        (BILBO_EC, Algorithm::ES512),
        (BILBO_RSA, Algorithm::RS256),
        (ED25519_KEY, Algorithm::Ed25519),
    ];
    for (printed, algorithm) in keys {
        let mut jwk = printed.jwk();
        jwk["kid"] = json!("bilbo.baggins@hobbiton.example");
        jwk["use"] = json!("sig");
        let key = PublicKey::from_jwk(jwk.to_string()).unwrap();
        assert_eq!(key.algorithm(), algorithm);
        assert_eq!(key.kid(), Some("bilbo.baggins@hobbiton.example"));
        jwk["use"] = json!("enc");
        assert!(PublicKey::from_jwk(jwk.to_string()).is_err());
    }
    // RFC 7520 section 3.5 says what the secret is for.
    let mut jwk = BILBO_OCT.jwk();
    jwk["use"] = json!("sig");
    jwk["alg"] = json!("HS256");
    jwk["kid"] = json!("018c0ae5-4d9b-471b-bfd6-eef314bc7037");
    let secret = SharedSecret::from_jwk(jwk.to_string()).unwrap();
    assert_eq!(secret.algorithm(), Algorithm::HS256);
    assert_eq!(secret.kid(), Some("018c0ae5-4d9b-471b-bfd6-eef314bc7037"));
}

// RFC 9068 section 3 prints header and claims, not a token: the key is one of ours.
#[test]
fn rfc_access_token_is_accepted_by_its_profile() {
    let header = r#"{"typ":"at+JWT","alg":"RS256","kid":"RjEwOwOA"}"#;
    let claims = r#"{
        "iss": "https://authorization-server.example.com/",
        "sub": "5ba552d67",
        "aud":   "https://rs.example.com/",
        "exp": 1639528912,
        "iat": 1618354090,
        "jti" : "dbe39bf3a3ba4238a513f51d6e1691c4",
        "client_id": "s6BhdRkqt3",
        "scope": "openid profile reademail"
    }"#;
    let signer = Signer::new("RS256").kid("RjEwOwOA");
    let token = signer.token_of(header, claims);
    let judge = |issuer: &str, audience: &str| -> Judge {
        let keys = KeySet::from_jwks(jwks([&signer]).to_string()).unwrap();
        let validator = JwtValidator::builder(keys)
            .issuer(issuer)
            .audience(audience)
            .rfc9068();
        Arc::new(validator.build().unwrap())
    };
    let issuer = "https://authorization-server.example.com/";
    let audience = "https://rs.example.com/";
    let strict = judge(issuer, audience);
    let accepted = ask(&strict, &token, at(1_618_354_090)).unwrap();
    let principal = accepted.principal();
    assert_eq!(principal.subject(), Some("5ba552d67"));
    assert_eq!(principal.client_id(), Some("s6BhdRkqt3"));
    assert_eq!(
        principal.token_id(),
        Some("dbe39bf3a3ba4238a513f51d6e1691c4")
    );
    assert!(principal.audience().eq([audience]));
    assert!(principal.scopes().eq(["openid", "profile", "reademail"]));
    assert!(principal.has_scope("profile") && !principal.has_scope("email"));
    assert_eq!(accepted.expires_at(), Some(at(1_639_528_912 + 60)));

    let verdict = |judge: &Judge, seconds| ask(judge, &token, at(seconds)).map(drop);
    let refused = |error: TokenError| Err(Refusal::Token(error));
    assert_eq!(
        verdict(&strict, 1_639_528_912 + 60),
        refused(TokenError::Expired)
    );
    assert_eq!(
        verdict(&strict, 1_618_354_090 - 61),
        refused(TokenError::NotYetValid)
    );
    let other = judge("https://authorization-server.example.com", audience);
    assert_eq!(verdict(&other, 1_618_354_090), refused(TokenError::Issuer));
    let other = judge(issuer, "https://rs.example.com");
    assert_eq!(
        verdict(&other, 1_618_354_090),
        refused(TokenError::Audience)
    );
}
