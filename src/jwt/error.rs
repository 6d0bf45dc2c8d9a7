//! Why a token is refused.

use std::sync::Arc;

use crate::failure::{Failure, InvalidReason};

/// Why a token is refused, for the operator: found as the `source` of the
/// [`Rejection`](crate::Rejection). It shows names from the configuration and from RFCs, never a part
/// of the token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// Not three non-empty parts of base64url with a JSON object in front: perhaps an opaque token,
    /// perhaps an encrypted one. To a validator behind `or` this is no verdict.
    #[error("not a signed JWT in compact serialization")]
    NotAJwt,
    /// Longer than the validator reads.
    #[error("{length} bytes long, at most {limit} are read")]
    TooLong {
        /// Its length in bytes.
        length: usize,
        /// The limit.
        limit: usize,
    },
    /// The header is not strict JSON, or a member of it is not as it must be.
    #[error("header: {problem}")]
    Header {
        /// What is wrong.
        problem: &'static str,
    },
    /// `alg` is not supported or not allowed, or there is no key for it.
    #[error("`alg` is not supported, or the key is for another algorithm")]
    Algorithm,
    /// The RSA algorithm of the token differs from that of its key, which is a default, because the key names
    /// no algorithm. See [`JwksOptions::with_rsa_algorithms`](super::JwksOptions::with_rsa_algorithms) (for
    /// fetched keys, given to `RemoteKeysBuilder::jwks_options`) and
    /// [`PublicKey::with_algorithm`](super::PublicKey::with_algorithm).
    #[error(
        "`alg` is another RSA algorithm than that of the key; the key names none, and has a default: `JwksOptions::with_rsa_algorithms` (keys from a JWK Set) or `PublicKey::with_algorithm` sets it"
    )]
    DefaultAlgorithm,
    /// `typ`, or a claim that only another kind of token has.
    #[error("not an access token: {found}")]
    TokenType {
        /// What gives it away.
        found: &'static str,
    },
    /// What is expected is a logout token, and this one is none, or one that must not be used.
    #[error("not a usable logout token: {problem}")]
    LogoutToken {
        /// What is wrong.
        problem: &'static str,
    },
    /// A token that may be used once, and has been.
    #[error("used before")]
    Replayed,
    /// No key has this `kid`, or it has none and several keys fit.
    #[error("{problem}")]
    Key {
        /// Which of them.
        problem: &'static str,
    },
    /// The signature is not that of the key.
    #[error("the signature does not match")]
    Signature,
    /// The claims are not one strict JSON object.
    #[error("the claims are not one JSON object that names no member twice, within the limits")]
    Claims,
    /// A claim of the wrong type or with an impossible value.
    #[error("claim `{claim}` has the wrong type or an impossible value")]
    Claim {
        /// Its name.
        claim: Arc<str>,
    },
    /// A claim that has to be there is not.
    #[error("claim `{claim}` is missing")]
    MissingClaim {
        /// Its name.
        claim: Arc<str>,
    },
    /// Issued by somebody else.
    #[error("`iss` is not the expected issuer")]
    Issuer,
    /// Not meant for this service.
    #[error("`aud` does not name this service")]
    Audience,
    /// Not the expected subject.
    #[error("`sub` is not the expected subject")]
    Subject,
    /// Its time is over.
    #[error("expired")]
    Expired,
    /// Its time has not come: `nbf` or `iat` lies in the future.
    #[error("not valid yet")]
    NotYetValid,
    /// It was issued for longer than the validator accepts.
    #[error("issued for longer than the maximum lifetime")]
    Lifetime,
    /// `iat` is longer ago than the validator accepts.
    #[error("issued longer ago than the maximum age")]
    TooOld,
    /// Bound to a sender by `cnf`, and presented as a plain bearer token.
    #[error("bound to a sender (`cnf`), so not usable as a plain bearer token")]
    SenderConstrained,
    /// The claims do not fit the type of the application.
    #[error("the claims do not fit the type that the application reads them into")]
    Deserialize,
}

impl TokenError {
    pub(crate) fn header(problem: &'static str) -> Self {
        Self::Header { problem }
    }

    pub(crate) fn claim(name: &str) -> Self {
        Self::Claim { claim: name.into() }
    }

    pub(crate) fn missing(name: &str) -> Self {
        Self::MissingClaim { claim: name.into() }
    }

    /// What the layer makes of it. `None`: somebody else may know the credential.
    fn reason(&self) -> Option<InvalidReason> {
        Some(match self {
            TokenError::NotAJwt => return None,
            TokenError::Algorithm | TokenError::DefaultAlgorithm => InvalidReason::Algorithm,
            TokenError::LogoutToken { .. } | TokenError::TokenType { .. } => {
                InvalidReason::TokenType
            }
            TokenError::Key { .. } => InvalidReason::Key,
            TokenError::Signature => InvalidReason::Signature,
            TokenError::Issuer => InvalidReason::Issuer,
            TokenError::Audience => InvalidReason::Audience,
            TokenError::Expired | TokenError::TooOld => InvalidReason::Expired,
            TokenError::NotYetValid => InvalidReason::NotYetValid,
            TokenError::SenderConstrained => InvalidReason::SenderConstrained,
            TokenError::TooLong { .. } | TokenError::Header { .. } | TokenError::Replayed => {
                InvalidReason::Other
            }
            TokenError::Claims
            | TokenError::Claim { .. }
            | TokenError::MissingClaim { .. }
            | TokenError::Subject
            | TokenError::Lifetime
            | TokenError::Deserialize => InvalidReason::Claims,
        })
    }
}

impl From<TokenError> for Failure {
    fn from(error: TokenError) -> Self {
        match error.reason() {
            Some(reason) => Failure::invalid(reason).with_own_source(error),
            None => Failure::unrecognized(),
        }
    }
}
