//! Keys in JSON ([RFC 7517](https://www.rfc-editor.org/rfc/rfc7517),
//! [RFC 7518 section 6](https://www.rfc-editor.org/rfc/rfc7518#section-6),
//! [RFC 8037 section 2](https://www.rfc-editor.org/rfc/rfc8037#section-2)).
//!
//! Certificates in a JWK (`x5c`, `x5u`) are not read.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use zeroize::{Zeroize as _, Zeroizing};

use super::algorithm::{Algorithm, Curve};
use super::json;
use super::key::checked_kid;
use super::key_error::KeyError;
use super::material::PublicMaterial;

/// The members of a JWK, none of them twice.
pub(crate) struct Jwk(Map<String, Value>);

pub(crate) struct PublicJwk {
    pub(crate) kid: Option<Box<str>>,
    pub(crate) algorithm: Option<Algorithm>,
    pub(crate) material: PublicMaterial,
}

pub(crate) struct SecretJwk {
    pub(crate) kid: Option<Box<str>>,
    pub(crate) algorithm: Algorithm,
    pub(crate) secret: Zeroizing<Vec<u8>>,
}

impl Drop for Jwk {
    fn drop(&mut self) {
        for value in self.0.values_mut() {
            if let Value::String(text) = value {
                text.zeroize();
            }
        }
    }
}

impl Jwk {
    pub(crate) fn parse(text: &[u8]) -> Result<Self, KeyError> {
        let mut members = json::object(text).map_err(|_| KeyError::Json {
            expected: "JWK",
            problem: "expected one JSON object that names no member twice",
        })?;
        members.retain(|name, value| !is_absent(name, value));
        Ok(Self(members))
    }

    /// The text of a member. `None` if there is none.
    fn text(&self, member: &'static str) -> Result<Option<&str>, KeyError> {
        match self.0.get(member) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(KeyError::format(member, "a string")),
        }
    }

    fn bytes(&self, member: &'static str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        const EXPECTED: &str = "base64url without padding";
        let text = self
            .text(member)?
            .ok_or(KeyError::format(member, EXPECTED))?;
        URL_SAFE_NO_PAD
            .decode(text)
            .map(Zeroizing::new)
            .map_err(|_| KeyError::format(member, EXPECTED))
    }

    /// Returns a coordinate in the full size of its field, as [RFC 7518 section
    /// 6.2.1.2](https://www.rfc-editor.org/rfc/rfc7518#section-6.2.1.2) demands. Some issuers strip leading
    /// zeros. The number is the same, and the back end checks that the point is on its curve (M15: harmless
    /// spelling).
    fn coordinate(&self, member: &'static str, curve: Curve) -> Result<Vec<u8>, KeyError> {
        let bytes = self.bytes(member)?;
        let missing = curve.field_length().checked_sub(bytes.len());
        match missing {
            Some(missing) if !bytes.is_empty() => Ok([&vec![0; missing][..], &bytes].concat()),
            _ => Err(KeyError::format(
                "an elliptic curve key",
                "coordinates of the curve's size",
            )),
        }
    }

    pub(crate) fn kid(&self) -> Result<Option<Box<str>>, KeyError> {
        self.text("kid")?
            .map(|kid| checked_kid(kid.to_owned()))
            .transpose()
    }

    fn algorithm(&self) -> Result<Option<Algorithm>, KeyError> {
        self.text("alg")?
            .map(|name| Algorithm::from_name(name).ok_or(KeyError::unknown_algorithm(name)))
            .transpose()
    }

    /// RFC 7517 sections 4.2 and 4.3.
    fn check_purpose(&self) -> Result<(), KeyError> {
        let purpose = self.text("use")?;
        if purpose.is_some_and(|purpose| purpose != "sig") {
            return Err(KeyError::NotForVerifying { member: "use" });
        }
        let not_strings = KeyError::format("key_ops", "an array of strings");
        let operations = match self.0.get("key_ops") {
            None => return Ok(()),
            Some(Value::Array(operations)) => operations,
            Some(_) => return Err(not_strings),
        };
        let mut names = BTreeSet::new();
        for operation in operations {
            let name = operation.as_str().ok_or_else(|| not_strings.clone())?;
            if !names.insert(name) {
                return Err(KeyError::format(
                    "key_ops",
                    "an array that names no operation twice",
                ));
            }
        }
        // M13: `null` is absence. `use` has named the purpose already.
        if names.contains("verify") || names.is_empty() && purpose.is_some() {
            Ok(())
        } else {
            Err(KeyError::NotForVerifying { member: "key_ops" })
        }
    }

    /// Returns the public key. Fails for private, symmetric and encryption keys.
    pub(crate) fn into_public(self) -> Result<PublicJwk, KeyError> {
        let kty = self
            .text("kty")?
            .ok_or(KeyError::format("kty", "a string"))?;
        if kty == "oct" || self.0.contains_key("k") {
            return Err(KeyError::NotPublic { kind: "symmetric" });
        }
        if ["d", "p", "q", "dp", "dq", "qi", "oth", "priv"]
            .iter()
            .any(|member| self.0.contains_key(*member))
        {
            return Err(KeyError::NotPublic { kind: "private" });
        }
        self.check_purpose()?;
        let material = match kty {
            "RSA" => PublicMaterial::rsa(&self.bytes("n")?, &self.bytes("e")?)?,
            "EC" => {
                let crv = self.text("crv")?;
                let curve = Curve::ALL
                    .into_iter()
                    .find(|curve| Some(curve.name()) == crv)
                    .ok_or(KeyError::format("crv", "P-256, P-384 or P-521"))?;
                let (x, y) = (self.coordinate("x", curve)?, self.coordinate("y", curve)?);
                PublicMaterial::ec(curve, &[&[4], &x[..], &y[..]].concat())?
            }
            "OKP" if self.text("crv")? == Some("Ed25519") => {
                PublicMaterial::ed25519(&self.bytes("x")?)?
            }
            "OKP" => return Err(KeyError::format("crv", "Ed25519")),
            _ => return Err(KeyError::format("kty", "RSA, EC or OKP")),
        };
        let algorithm = self.algorithm()?;
        if let Some(algorithm) = algorithm {
            material.check_algorithm(algorithm)?;
        }
        Ok(PublicJwk {
            kid: self.kid()?,
            algorithm,
            material,
        })
    }

    /// A shared secret.
    pub(crate) fn into_secret(self) -> Result<SecretJwk, KeyError> {
        if self.text("kty")? != Some("oct") {
            return Err(KeyError::format("kty", "oct"));
        }
        self.check_purpose()?;
        let algorithm = self
            .algorithm()?
            .ok_or(KeyError::format("alg", "HS256, HS384 or HS512"))?;
        if !algorithm.is_symmetric() {
            return Err(KeyError::mismatch(algorithm, "a shared secret"));
        }
        Ok(SecretJwk {
            kid: self.kid()?,
            algorithm,
            secret: self.bytes("k")?,
        })
    }
}

/// Returns whether a member means the same as its absence (M13: `null` is absence). RFC 7517 has no rule for
/// `null`; issuers that serialize every field write `null`, or an empty `kid`, `oth` or `x5c`, for a member
/// that the key does not have.
fn is_absent(name: &str, value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => name == "kid" && text.is_empty(),
        Value::Array(items) => matches!(name, "oth" | "x5c") && items.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    }
}
