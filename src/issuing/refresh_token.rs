//! Refresh tokens: 48 random bytes, of which nothing but digests is kept.

use std::fmt;

use aws_lc_rs::{digest, hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroize;

use crate::issuing::store::SessionId;

/// How many bytes say to which family a token belongs.
const FAMILY: usize = 16;
/// How many are new with each rotation.
const SECRET: usize = 32;
const LENGTH: usize = FAMILY + SECRET;

/// A refresh token: 128 bits that stay the same in a session, and 256 that are new after each use.
///
/// Whoever presents the first half without being current has held one of its tokens before, so a spent token is
/// recognised without a list of those that were spent. The session's public name is a digest of that half: with it alone
/// nobody can end a session.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct RefreshToken([u8; LENGTH]);

/// What successors are made with.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Salt([u8; 32]);

/// By what a refresh token is recognised.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Digest([u8; 32]);

/// The random number generator of the system failed.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the random number generator failed")]
pub(crate) struct NoRandomness;

pub(crate) fn random<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(bytes)
}

impl RefreshToken {
    /// The first one of a new session.
    pub(crate) fn generate() -> Result<Self, NoRandomness> {
        random().map(Self)
    }

    /// `None` for a text that is no refresh token of ours: 64 characters of base64url are.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut token = Self([0; LENGTH]);
        match URL_SAFE_NO_PAD.decode_slice(text, &mut token.0) {
            Ok(LENGTH) => Some(token),
            _ => None,
        }
    }

    pub(crate) fn to_text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// Returns the id of the session of this token. The issuer is part of the digest, so a token of one
    /// issuer never names a session of another issuer in the same store (M01: separate issuers).
    pub(crate) fn session(&self, issuer: &str) -> SessionId {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(b"tower-bearer session\0");
        context.update(&self.0[..FAMILY]);
        context.update(issuer.as_bytes());
        let mut id = [0; 16];
        id.copy_from_slice(&context.finish().as_ref()[..16]);
        SessionId::from_bytes(id)
    }

    pub(crate) fn digest(&self) -> Digest {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, &self.0).as_ref());
        Digest(bytes)
    }

    /// The next one in its session. Only who holds this token can make it, even with the salt; only who has the salt
    /// can, even with this token. So it is as good as random, and can be made again for who has lost it.
    pub(crate) fn successor(&self, salt: &Salt) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &salt.0);
        let secret = hmac::sign(&key, &self.0);
        let mut next = self.clone();
        next.0[FAMILY..].copy_from_slice(secret.as_ref());
        next
    }
}

impl Drop for RefreshToken {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshToken(..)")
    }
}

impl Salt {
    pub(crate) fn generate() -> Result<Self, NoRandomness> {
        random().map(Self)
    }
}

impl Digest {
    /// J01: in a time that does not depend on where they differ.
    pub(crate) fn is_of(&self, token: &RefreshToken) -> bool {
        aws_lc_rs::constant_time::verify_slices_are_equal(&self.0, &token.digest().0).is_ok()
    }
}

/// Both stand in a session's JSON in base64url.
macro_rules! as_base64url {
    ($name:ident) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&URL_SAFE_NO_PAD.encode(self.0))
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                let mut bytes = [0; 32];
                match URL_SAFE_NO_PAD.decode_slice(&*text, &mut bytes) {
                    Ok(32) => Ok(Self(bytes)),
                    _ => Err(serde::de::Error::custom("expected 32 bytes in base64url")),
                }
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    };
}

as_base64url!(Salt);
as_base64url!(Digest);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refresh_token_is_parsed_exactly() {
        let token = RefreshToken::generate().unwrap();
        let text = token.to_text();
        assert_eq!(text.len(), 64);
        assert_eq!(RefreshToken::parse(&text), Some(token));
        // (C16: whole tokens)
        for bad in [
            "",
            &text[..63],
            &format!("{text}A"),
            &format!("{text}="),
            &text.replace(|_| true, "+"),
        ] {
            assert_eq!(RefreshToken::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn refresh_tokens_of_a_session_form_a_chain() {
        let first = RefreshToken::generate().unwrap();
        let salt = Salt::generate().unwrap();
        let second = first.successor(&salt);
        assert_eq!(first.session("i"), second.session("i"));
        // M01: separate issuers. At another issuer the token names another session.
        assert_ne!(first.session("i"), first.session("j"));
        assert_eq!(first.successor(&salt), second);
        assert_ne!(first.successor(&Salt::generate().unwrap()), second);
        assert!(first.digest().is_of(&first));
        assert!(!first.digest().is_of(&second));
        // J01: the name of a session is no part of a token.
        assert_ne!(first.session("i").as_bytes()[..], first.0[..16]);
        let other = RefreshToken::generate().unwrap();
        assert_ne!(first.session("i"), other.session("i"));
    }
}
