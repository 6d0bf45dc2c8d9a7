//! Whether a token was signed by this process, regardless of its times and its audience.

use std::time::SystemTime;

use super::decode_buffer::{PayloadBuffer, SignatureBuffer};
use super::key_set::{KeySet, NoKey};
use super::validator::JwtValidator;

/// A token whose signature, issuer and type were verified, and nothing else.
pub(crate) struct AuthenticToken {
    pub(crate) token_id: Option<String>,
    pub(crate) client: Option<String>,
    pub(crate) session: Option<String>,
    pub(crate) expires_at: Option<SystemTime>,
}

/// The result of a check of authenticity.
pub(crate) enum Authenticity {
    Authentic(AuthenticToken),
    /// A claim by which the token can be revoked has a wrong type.
    Unreadable,
    /// Not verified: the token names this issuer and a key that this process does not hold. Another process
    /// may hold the key.
    UnknownKey {
        expires_at: Option<SystemTime>,
    },
    /// Not a token of this issuer.
    Foreign,
}

impl<C: Send + Sync + 'static> JwtValidator<C> {
    /// Verifies the signature, the issuer and the type of a token and nothing else: neither its times nor its
    /// audience, and no claim that other validators may read in another way (M04: authenticity decides).
    /// `keys` are those of this process, retired ones included.
    pub(crate) fn authenticate(&self, text: &[u8], keys: &KeySet) -> Authenticity {
        self.try_authenticate(text, keys)
            .unwrap_or(Authenticity::Foreign)
    }

    fn try_authenticate(&self, text: &[u8], keys: &KeySet) -> Option<Authenticity> {
        let inner = &*self.inner;
        let token = inner.parse(text).ok()?;
        let header = token.header();
        let typing = inner.checks.token_type(header.typ()).ok()?;
        let algorithm = inner.checks.algorithm(header).ok()?;
        let mut room = PayloadBuffer::new();
        let claims = token.parts.claims(&mut room).ok()?;
        inner.checks.issuer(&claims).ok()?;
        inner.checks.kind(&claims, typing).ok()?;
        let expires_at = claims.times.exp.map(|exp| exp.time());
        let candidates = match keys.find(algorithm, header.kid()) {
            Ok(candidates) => candidates,
            Err(NoKey::Unknown) => return Some(Authenticity::UnknownKey { expires_at }),
            Err(_) => return None,
        };
        let mut room = SignatureBuffer::new();
        let signature = token.parts.signature(&mut room).ok()?;
        if !candidates.verify(token.parts.signing_input(), signature) {
            return None;
        }
        let Ok(identity) = claims.identity(&inner.checks.layout) else {
            return Some(Authenticity::Unreadable);
        };
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Some(Authenticity::Authentic(AuthenticToken {
            token_id: owned(identity.token_id()),
            client: owned(identity.client()),
            session: owned(identity.session()),
            expires_at,
        }))
    }
}
