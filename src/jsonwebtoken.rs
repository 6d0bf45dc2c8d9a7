//! JSON Web Tokens verified by the crate [`jsonwebtoken`](https://docs.rs/jsonwebtoken), with the application's own
//! [`DecodingKey`] and [`Validation`]. Needs the feature `jsonwebtoken`.
//!
//! [`JsonwebtokenValidator`] is for services that already have keys and validation settings of that crate and want to
//! keep them. The layer, the policies, the cache and the revocation check work as with any other validator. Other services should use `JwtValidator` (feature `jwt`), which
//! [checks more](#what-it-does-not-check).
//!
//! # Example
//!
//! ```
//! use jsonwebtoken::{Algorithm, DecodingKey, Validation};
//! use tower_bearer::cache::CacheSettings;
//! use tower_bearer::jsonwebtoken::JsonwebtokenValidator;
//! use tower_bearer::{BearerAuthLayer, ValidatorExt};
//!
//! #[derive(serde::Deserialize)]
//! struct Claims {
//!     sub: String,
//!     jti: Option<String>,
//! }
//!
//! // Not necessary if exactly one of the features `aws_lc_rs` and `rust_crypto` of `jsonwebtoken` is enabled.
//! let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
//!
//! let mut validation = Validation::new(Algorithm::HS256);
//! validation.set_issuer(&["https://login.example.com/"]);
//! validation.set_audience(&["https://api.example.com"]);
//! validation.set_required_spec_claims(&["exp", "iss", "aud"]);
//! validation.validate_nbf = true;
//! let key = DecodingKey::from_secret(b"32 bytes or more, from a secret store")?;
//!
//! let validator = JsonwebtokenValidator::<Claims>::new(key, validation)?;
//! # #[cfg(feature = "revocation")] {
//! # use tower_bearer::revocation::{RevocationClaims, RevocationList};
//! # let validator = validator.clone();
//! let revoked = RevocationList::new();
//! let validator = validator
//!     .revocable(revoked.clone(), |claims: &Claims| {
//!         RevocationClaims::new().with_token_id(claims.jti.as_deref()).with_subject(&*claims.sub)
//!     })
//!     .cached(CacheSettings::new());
//! let layer = BearerAuthLayer::new(validator);
//! # let _ = layer; }
//! # let _ = validator.cached(CacheSettings::new());
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! # What `Validation` decides
//!
//! `Validation` works as `jsonwebtoken` documents it, with its defaults:
//!
//! * `iss` and `sub` are compared only if the `Validation` has a value for them, and `nbf` only if `validate_nbf` is set.
//! * A token **without** `iss`, `aud`, `sub` or `nbf` is accepted unless `required_spec_claims` lists the claim. The default
//!   lists `exp` alone.
//! * With `validate_exp`, the default, the principal expires at `exp` plus `leeway`, less
//!   `reject_tokens_expiring_in_less_than`. A cached result expires at the same time.
//! * A token without `exp` is rejected unless `exp` is removed from `required_spec_claims`. It then never expires. The
//!   same applies to every token if `validate_exp` is `false`. A cached result is still limited by its time to live.
//!
//! # Time
//!
//! That crate reads the system clock. The [clock](crate::BearerAuthLayer::with_clock) of the layer applies to the expiry
//! in addition: a token is rejected if it has expired by either of them. `nbf` is compared with the system clock alone.
//!
//! # Crypto provider
//!
//! The process-wide `CryptoProvider` of that crate verifies the signature. This module installs none. Without an
//! installed provider, and without features that select one, `jsonwebtoken::decode` panics. This validator detects that
//! case and returns [`Failure::unavailable`] (503) until a provider is installed. Call `install_default` before the first
//! request: it fails once `jsonwebtoken` has selected a provider.
//!
//! # Failures
//!
//! The source of a failure is the [`jsonwebtoken::errors::Error`], for the operator. Its text may quote the token.
//!
//! | `ErrorKind` | result |
//! |---|---|
//! | not three parts, a header that is not JSON or has an unknown algorithm, or `Base64` | [unrecognized](Failure::unrecognized): 401 unless another validator accepts the credential |
//! | `InvalidSignature` | 401, reason [`Signature`](InvalidReason::Signature) |
//! | `InvalidAlgorithm` | 401, reason [`Algorithm`](InvalidReason::Algorithm) |
//! | `ExpiredSignature`; `ImmatureSignature` | 401, reason [`Expired`](InvalidReason::Expired); [`NotYetValid`](InvalidReason::NotYetValid) |
//! | `InvalidIssuer`; `InvalidAudience` | 401, reason [`Issuer`](InvalidReason::Issuer); [`Audience`](InvalidReason::Audience) |
//! | `InvalidSubject`, `MissingRequiredClaim`, `InvalidClaimFormat`, `Json`, `Utf8` | 401, reason [`Claims`](InvalidReason::Claims) |
//! | `InvalidToken` | 401, reason [`Other`](InvalidReason::Other): `crit` or `b64` in the header, or an `exp` below `reject_tokens_expiring_in_less_than` |
//! | a `kid` without a key | 401, reason [`Key`](InvalidReason::Key) |
//! | all others: an unusable key, an algorithm that the provider lacks, an error of the provider | [unavailable](Failure::unavailable): 503 |
//!
//! A back end that cannot use a key may report `InvalidSignature` for every token (`aws_lc_rs` does for every kind of
//! public key, `rust_crypto` for RSA). Test a new key with a token.
//!
//! # What it does not check
//!
//! `JwtValidator` checks the following; `jsonwebtoken` 12 does not:
//!
//! * **Other kinds of tokens.** `typ` is not read, nor are the claims that distinguish ID tokens, logout tokens and DPoP
//!   proofs ([RFC 8725 section 3.11](https://www.rfc-editor.org/rfc/rfc8725#section-3.11)). There is no profile of
//!   [RFC 9068](https://www.rfc-editor.org/rfc/rfc9068) either. Use an `aud` that such tokens do not have.
//! * **Nested tokens.** `cty` is not read.
//! * **Sender-constrained tokens.** `cnf` is not read, so a token that is bound to a client certificate or a DPoP key is
//!   accepted as a plain bearer token.
//! * **A key for each issuer.** Every key verifies tokens of every issuer that the `Validation` lists.
//! * **Algorithms for each key.** The `Validation` lists algorithms for all keys. This validator confines each key to the
//!   listed algorithms of its type and curve, but an RSA key verifies all listed RSA algorithms, whatever its JWK says,
//!   and a secret all listed HMAC algorithms. Short HMAC secrets are accepted.
//! * **`kid`**, with [`new`](JsonwebtokenValidator::new). With [`by_kid`](JsonwebtokenValidator::by_kid) a token must
//!   have one. Keys are fixed for the lifetime of the validator; none are fetched.
//! * **Repeated members.** Repeated claims of the names `aud`, `exp`, `iss`, `nbf` and `sub` and repeated known members
//!   of the header are rejected. Of another claim that is repeated, the type of the application decides: a derived
//!   `Deserialize` rejects repeated fields, and a map keeps the last.
//! * **Several values of `iss`.** An array is accepted if one of its members matches.
//! * **`iat`.** It is not read: no maximum age or lifetime, and a token issued in the future is accepted.
//! * **Size.** Only the layer limits the length of a token
//!   ([`with_max_credential_length`](crate::BearerAuthLayer::with_max_credential_length)). The number of members is not
//!   limited, nesting by `serde_json` to 128 levels.
//! * **Range of dates.** `exp` may be any number from 0 to 2⁶⁴, fractions are rounded.
//!
//! `jsonwebtoken` itself rejects `crit` (except for `b64` with the value `true`), `alg: none`, encrypted tokens, padded
//! base64url, and a header algorithm that the `Validation` does not list.

use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jsonwebtoken::crypto::CryptoProvider;
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind, Validation, decode, decode_header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::error::ConfigError;
use crate::extract::Credential;
use crate::failure::{Failure, InvalidReason};
use crate::request::RequestView;
use crate::validator::{Validated, Validator, Verdict};

/// A validator for JSON Web Tokens over the application's own [`DecodingKey`] and [`Validation`].
///
/// The claims are deserialized into `C`, which becomes the principal. Implement [`Claims`](crate::policy::Claims) for
/// it to use the built-in policies. Cloning is cheap. The [module](self) describes what is checked and what is not, and
/// has an example.
pub struct JsonwebtokenValidator<C> {
    keys: Arc<Keys>,
    claims: PhantomData<fn() -> C>,
}

enum Keys {
    Single(Box<Verifier>),
    ByKid(HashMap<String, Verifier>),
}

/// A key, and the validation confined to the algorithms of the key.
struct Verifier {
    key: DecodingKey,
    validation: Validation,
}

impl<C> JsonwebtokenValidator<C> {
    /// Creates a validator that verifies every token with `key`, whatever its `kid`.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Setting`] if `validation` lists no algorithm of the key, or has a leeway of more than a year.
    pub fn new(key: DecodingKey, validation: Validation) -> Result<Self, ConfigError> {
        let verifier = Verifier::new(key, validation)?;
        Ok(Self::from_keys(Keys::Single(Box::new(verifier))))
    }

    /// Creates a validator that verifies a token with the key that its `kid` names. A token without `kid`, or with an
    /// unknown one, is rejected.
    ///
    /// The keys may be of different types. Each verifies the algorithms of its type that `validation` lists.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Setting`] if there is no key, a `kid` is repeated, `validation` lists no algorithm of one of the
    /// keys, or it has a leeway of more than a year.
    ///
    /// # Example
    ///
    /// ```
    /// use jsonwebtoken::jwk::JwkSet;
    /// use jsonwebtoken::{Algorithm, DecodingKey, Validation};
    /// use tower_bearer::jsonwebtoken::JsonwebtokenValidator;
    ///
    /// # fn build(jwks: JwkSet) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut keys = Vec::new();
    /// for jwk in &jwks.keys {
    ///     let kid = jwk.common.key_id.clone().ok_or("a key has no `kid`")?;
    ///     keys.push((kid, DecodingKey::from_jwk(jwk)?));
    /// }
    /// let mut validation = Validation::new(Algorithm::RS256);
    /// validation.set_issuer(&["https://login.example.com/"]);
    /// validation.set_audience(&["https://api.example.com"]);
    /// validation.set_required_spec_claims(&["exp", "iss", "aud"]);
    /// let validator = JsonwebtokenValidator::<serde_json::Value>::by_kid(keys, validation)?;
    /// # let _ = validator; Ok(()) }
    /// ```
    #[expect(clippy::needless_pass_by_value, reason = "as in `new`")]
    pub fn by_kid<K: Into<String>>(
        keys: impl IntoIterator<Item = (K, DecodingKey)>,
        validation: Validation,
    ) -> Result<Self, ConfigError> {
        let mut verifiers = HashMap::new();
        for (kid, key) in keys {
            let verifier = Verifier::new(key, validation.clone())?;
            if verifiers.insert(kid.into(), verifier).is_some() {
                return Err(wrong("by_kid", "two keys have the same `kid`"));
            }
        }
        if verifiers.is_empty() {
            return Err(wrong("by_kid", "there is no key; give at least one"));
        }
        Ok(Self::from_keys(Keys::ByKid(verifiers)))
    }

    fn from_keys(keys: Keys) -> Self {
        Self {
            keys: Arc::new(keys),
            claims: PhantomData,
        }
    }
}

impl<C: DeserializeOwned + Send + Sync + 'static> JsonwebtokenValidator<C> {
    fn decide(&self, token: &[u8]) -> Result<Validated<C>, Failure> {
        // `decode` would panic. It would also select the provider of the crate's features, exactly as this call does.
        if CryptoProvider::try_get_default().is_none() {
            return Err(Failure::unavailable(NoProvider));
        }
        let header =
            decode_header(token).map_err(|error| Failure::unrecognized().with_source(error))?;
        let verifier = self.keys.find(header.kid.as_deref())?;
        // The raw text is `DeserializeOwned`, and leaves the errors of the application's type to be told apart.
        let claims = decode::<Box<RawValue>>(token, &verifier.key, &verifier.validation)
            .map_err(failure)?
            .claims;
        let expires_at = verifier.expires_at(&claims)?;
        let validated = Validated::new(read(&claims)?);
        Ok(match expires_at {
            Some(expires_at) => validated.with_expiry(expires_at),
            None => validated,
        })
    }
}

impl<C: DeserializeOwned + Send + Sync + 'static> Validator for JsonwebtokenValidator<C> {
    type Principal = C;

    fn validate(&self, credential: &Credential<'_>, _: &RequestView<'_>) -> Verdict<C> {
        Verdict::Ready(self.decide(credential.token_bytes()))
    }
}

impl Keys {
    fn find(&self, kid: Option<&str>) -> Result<&Verifier, Failure> {
        match self {
            Keys::Single(verifier) => Ok(verifier),
            Keys::ByKid(verifiers) => kid
                .and_then(|kid| verifiers.get(kid))
                .ok_or_else(|| Failure::invalid(InvalidReason::Key)),
        }
    }
}

/// `exp`, if the token has one.
#[derive(Deserialize)]
struct Expiry {
    #[serde(default)]
    exp: Option<serde_json::Number>,
}

impl Verifier {
    fn new(key: DecodingKey, mut validation: Validation) -> Result<Self, ConfigError> {
        // The crate adds them to and subtracts them from the time without a check for overflow.
        let most = 365 * 86_400;
        if validation.leeway > most || validation.reject_tokens_expiring_in_less_than > most {
            return Err(wrong(
                "validation",
                "`leeway` and `reject_tokens_expiring_in_less_than` may be at most 31,536,000 seconds (one year)",
            ));
        }
        // `decode` rejects every token if one algorithm of the list is not of the type of the key. With another curve,
        // the error would blame the key for the choice of the client.
        validation
            .algorithms
            .retain(|algorithm| is_usable(&key, *algorithm));
        if validation.algorithms.is_empty() {
            return Err(wrong(
                "validation",
                "`algorithms` lists none that the key is for",
            ));
        }
        Ok(Self { key, validation })
    }

    /// Returns the time at which a decoded token expires, or `None` if it never does.
    fn expires_at(&self, claims: &RawValue) -> Result<Option<SystemTime>, Failure> {
        let validation = &self.validation;
        if !validation.validate_exp {
            return Ok(None);
        }
        let Some(exp) = read::<Expiry>(claims)?.exp else {
            return Ok(None);
        };
        // As the crate reads it.
        let exp = exp
            .as_u64()
            .or_else(|| exp.as_f64().map(|exp| exp.round() as u64))
            .ok_or_else(|| Failure::invalid(InvalidReason::Claims))?;
        let end = exp
            .saturating_add(validation.leeway)
            .saturating_sub(validation.reject_tokens_expiring_in_less_than);
        // A time that cannot be represented never comes.
        Ok(SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(end)))
    }
}

/// Returns whether an algorithm is for the type and the curve of a key.
fn is_usable(key: &DecodingKey, algorithm: Algorithm) -> bool {
    // The lengths of a point, compressed and not. A key of another length may be in another encoding.
    let length = match key.kind() {
        DecodingKeyKind::SecretOrDer(bytes) => bytes.len(),
        DecodingKeyKind::RsaModulusExponent { .. } => 0,
    };
    let is_other_curve = match algorithm {
        Algorithm::ES256 => matches!(length, 49 | 97),
        Algorithm::ES384 => matches!(length, 33 | 65),
        _ => false,
    };
    algorithm.family() == key.family() && !is_other_curve
}

fn read<T: DeserializeOwned>(claims: &RawValue) -> Result<T, Failure> {
    serde_json::from_str(claims.get()).map_err(|error| failure(error.into()))
}

/// Maps an error of `decode`. The header has been read, and its algorithm is confined to those of the key.
fn failure(error: Error) -> Failure {
    let reason = match error.kind() {
        ErrorKind::Base64(_) => return Failure::unrecognized().with_source(error),
        ErrorKind::InvalidToken => InvalidReason::Other,
        ErrorKind::InvalidSignature => InvalidReason::Signature,
        ErrorKind::InvalidAlgorithm => InvalidReason::Algorithm,
        ErrorKind::ExpiredSignature => InvalidReason::Expired,
        ErrorKind::ImmatureSignature => InvalidReason::NotYetValid,
        ErrorKind::InvalidIssuer => InvalidReason::Issuer,
        ErrorKind::InvalidAudience => InvalidReason::Audience,
        ErrorKind::InvalidSubject
        | ErrorKind::MissingRequiredClaim(_)
        | ErrorKind::InvalidClaimFormat(_)
        | ErrorKind::Json(_)
        | ErrorKind::Utf8(_) => InvalidReason::Claims,
        ErrorKind::InvalidAlgorithmName
        | ErrorKind::InvalidEcdsaKey
        | ErrorKind::InvalidEddsaKey
        | ErrorKind::InvalidKeyFormat
        | ErrorKind::InvalidRsaKey(_)
        | ErrorKind::MissingAlgorithm
        | ErrorKind::Provider(_)
        | ErrorKind::RsaFailedSigning
        | ErrorKind::Signing(_)
        | ErrorKind::UnsupportedAlgorithm => return Failure::unavailable(error),
        // A kind of a later version of the crate: an outage must not look like a bad token.
        _ => return Failure::unavailable(error),
    };
    Failure::invalid(reason).with_source(error)
}

fn wrong(setting: &'static str, problem: &'static str) -> ConfigError {
    ConfigError::Setting { setting, problem }
}

/// There is no process-wide crypto provider.
#[derive(Debug, thiserror::Error)]
#[error(
    "`jsonwebtoken` has no crypto provider; call `CryptoProvider::install_default` at startup, or enable exactly one of its features `aws_lc_rs` and `rust_crypto`"
)]
struct NoProvider;

impl<C> Clone for JsonwebtokenValidator<C> {
    fn clone(&self) -> Self {
        Self {
            keys: Arc::clone(&self.keys),
            claims: PhantomData,
        }
    }
}

impl<C> fmt::Debug for JsonwebtokenValidator<C> {
    /// Without the keys and the settings.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonwebtokenValidator")
            .finish_non_exhaustive()
    }
}
