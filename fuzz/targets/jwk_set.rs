//! Any text as a JWK Set.
//!
//! The model: a set that is accepted is a JSON object whose `keys` are at most 100, and no key comes from a private or a symmetric
//! JWK. What is not used is reported.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tower_bearer::jwt::{JwksOptions, KeySet, PublicKey};

fuzz_target!(|data: &[u8]| {
    let _ = PublicKey::from_jwk(data);
    let Ok(set) = KeySet::from_jwks_with(data, &JwksOptions::new()) else {
        return;
    };
    let json: Value = serde_json::from_slice(data).expect("the set is JSON");
    let keys = json["keys"].as_array().expect("the set has keys");

    assert!(keys.len() <= 100);
    // With one algorithm for RSA keys, each JWK is one key or is skipped.
    assert_eq!(set.len() + set.skipped().len(), keys.len());
    assert_eq!(set.keys().count(), set.len());
    assert!(
        set.keys()
            .all(|(_, algorithm)| !algorithm.to_string().starts_with("HS"))
    );

    let skipped: Vec<usize> = set.skipped().iter().map(|key| key.index()).collect();
    for (index, key) in keys.iter().enumerate() {
        if !skipped.contains(&index) {
            assert!(key["kty"] != "oct", "a symmetric key is used");
            assert!(key.get("d").is_none(), "a private key is used");
        }
    }
});
