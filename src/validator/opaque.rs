//! A table of opaque tokens.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::SystemTime;

use papaya::HashMap;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::{Validated, Validator, Verdict};
use crate::error::ConfigError;
use crate::extract::{Credential, Scheme};
use crate::failure::{Failure, InvalidReason};
use crate::request::RequestView;

/// Opaque tokens and whom they stand for: any number of them, changeable while requests run. Needs the
/// feature `opaque`, which is on by default.
///
/// Only the SHA-256 digest of a token is kept. A token that is presented is hashed, the digest is
/// looked up in a table whose order depends on a random key of the process, and what is found there
/// is compared in constant time. So neither the table nor the time of an answer tells anything about
/// the tokens in it. Readers take no lock; a change is seen by every request that starts after it.
///
/// A digest without a key protects tokens that nobody can guess: make them of at least 128 random
/// bits. Passwords need a password hash, not this.
///
/// Before it is asked, the credential has passed the checks that [`Validator`] lists. Every scheme
/// but `Basic` is looked up. Clones share one table.
///
/// # Example
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use tower_bearer::{BearerAuthLayer, OpaqueTokens};
///
/// let tokens = OpaqueTokens::new();
/// tokens.insert("W3n5iYp2Tn6Vd8qR0sXkLw", "alice")?;
/// tokens.insert_until(
///     "k2Jt9sQm4Zr7uBx1YcVe0A",
///     "bob",
///     SystemTime::now() + Duration::from_secs(3600),
/// )?;
/// let layer = BearerAuthLayer::new(tokens.clone());
///
/// // Later, while requests run:
/// assert!(tokens.remove("W3n5iYp2Tn6Vd8qR0sXkLw"));
/// # let _ = layer;
/// # Ok::<(), tower_bearer::ConfigError>(())
/// ```
pub struct OpaqueTokens<T> {
    table: Arc<HashMap<TokenDigest, Entry<T>>>,
}

struct Entry<T> {
    principal: Arc<T>,
    expires_at: Option<SystemTime>,
}

impl<T: Send + Sync + 'static> OpaqueTokens<T> {
    /// An empty table, which accepts nothing.
    #[must_use]
    pub fn new() -> Self {
        Self {
            table: Arc::new(HashMap::new()),
        }
    }

    /// Adds a token without an end. A token that is known already stands for the new principal then.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Token`] if no source could yield the token: it is empty, or not printable ASCII
    /// without space. (A `Bearer` token has to be a `token68` besides, and no longer than the layer
    /// allows.)
    pub fn insert(&self, token: &str, principal: T) -> Result<(), ConfigError> {
        self.put(check(token)?, principal, None);
        Ok(())
    }

    /// Adds a token that is refused from `expires_at` on.
    ///
    /// # Errors
    ///
    /// As [`insert`](Self::insert).
    pub fn insert_until(
        &self,
        token: &str,
        principal: T,
        expires_at: SystemTime,
    ) -> Result<(), ConfigError> {
        self.put(check(token)?, principal, Some(expires_at));
        Ok(())
    }

    /// Adds a token by its digest, so that a configuration or a database need not hold the token.
    ///
    /// # Example
    ///
    /// ```
    /// use tower_bearer::{OpaqueTokens, TokenDigest};
    ///
    /// let tokens = OpaqueTokens::new();
    /// // printf %s "$TOKEN" | sha256sum
    /// let digest = TokenDigest::from_hex(
    ///     "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    /// )?;
    /// tokens.insert_digest(digest, "alice", None);
    /// # Ok::<(), tower_bearer::ConfigError>(())
    /// ```
    pub fn insert_digest(&self, digest: TokenDigest, principal: T, expires_at: Option<SystemTime>) {
        self.put(digest, principal, expires_at);
    }

    fn put(&self, digest: TokenDigest, principal: T, expires_at: Option<SystemTime>) {
        let entry = Entry {
            principal: Arc::new(principal),
            expires_at,
        };
        self.table.pin().insert(digest, entry);
    }

    /// Takes a token back. Says whether it was known.
    #[expect(clippy::must_use_candidate, reason = "called for its effect")]
    pub fn remove(&self, token: &str) -> bool {
        self.remove_digest(&TokenDigest::of(token))
    }

    /// Takes a token back by its digest. Says whether it was known.
    #[expect(clippy::must_use_candidate, reason = "called for its effect")]
    pub fn remove_digest(&self, digest: &TokenDigest) -> bool {
        self.table.pin().remove(digest).is_some()
    }

    /// Takes back every token whose principal and end `keep` does not want, for example all of one
    /// user, or those that have expired.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::SystemTime;
    /// use tower_bearer::OpaqueTokens;
    ///
    /// # let tokens = OpaqueTokens::<&str>::new();
    /// let now = SystemTime::now();
    /// tokens.retain(|user, expires_at| {
    ///     *user != "mallory" && expires_at.is_none_or(|end| end > now)
    /// });
    /// ```
    pub fn retain(&self, mut keep: impl FnMut(&T, Option<SystemTime>) -> bool) {
        self.table
            .pin()
            .retain(|_, entry| keep(&entry.principal, entry.expires_at));
    }

    /// How many tokens there are, expired ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is no token at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }
}

impl<T: Send + Sync + 'static> Validator for OpaqueTokens<T> {
    type Principal = T;

    fn validate(&self, credential: &Credential<'_>, request: &RequestView<'_>) -> Verdict<T> {
        if credential.scheme() == Scheme::Basic {
            return Verdict::Ready(Err(Failure::unrecognized()));
        }
        let digest = TokenDigest::of_bytes(credential.token_bytes());
        let table = self.table.pin();
        let Some(entry) = table.get(&digest) else {
            return Verdict::Ready(Err(Failure::invalid(InvalidReason::Unknown)));
        };
        let mut validated = Validated::from_shared(Arc::clone(&entry.principal));
        if let Some(expires_at) = entry.expires_at {
            validated = validated.with_expiry(expires_at);
            if validated.is_expired(request.now()) {
                return Verdict::Ready(Err(Failure::invalid(InvalidReason::Expired)));
            }
        }
        Verdict::Ready(Ok(validated))
    }
}

impl<T> Clone for OpaqueTokens<T> {
    fn clone(&self) -> Self {
        Self {
            table: Arc::clone(&self.table),
        }
    }
}

impl<T: Send + Sync + 'static> Default for OpaqueTokens<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for OpaqueTokens<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpaqueTokens").finish_non_exhaustive()
    }
}

/// The SHA-256 digest of a token, which may be kept where the token must not.
///
/// Compared in constant time, and not shown by `Debug`.
#[derive(Clone, Copy)]
pub struct TokenDigest([u64; 4]);

impl TokenDigest {
    /// The digest of `token`.
    #[must_use]
    pub fn of(token: &str) -> Self {
        Self::of_bytes(token.as_bytes())
    }

    fn of_bytes(token: &[u8]) -> Self {
        Self::from_bytes(Sha256::digest(token).into())
    }

    /// A digest from its bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        // In words, because they are compared and hashed as such.
        let (words, _) = bytes.as_chunks::<8>();
        let mut digest = [0; 4];
        let mut at = 0;
        while at < 4 {
            digest[at] = u64::from_be_bytes(words[at]);
            at += 1;
        }
        Self(digest)
    }

    /// A digest from 64 hexadecimal digits, as `sha256sum` prints it.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Token`] if `text` is not 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Result<Self, ConfigError> {
        let fault = || ConfigError::Token {
            what: "token digest",
            expected: "64 hexadecimal digits",
            length: text.len(),
        };
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return Err(fault());
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |ascii: u8| char::from(ascii).to_digit(16).ok_or_else(fault);
            let value = digit(pair[0])? * 16 + digit(pair[1])?;
            *byte = u8::try_from(value).map_err(|_| fault())?;
        }
        Ok(Self::from_bytes(bytes))
    }
}

impl PartialEq for TokenDigest {
    fn eq(&self, other: &Self) -> bool {
        // (J01: constant time)
        let [a, b, c, d] = &self.0;
        let [w, x, y, z] = &other.0;
        (a.ct_eq(w) & b.ct_eq(x) & c.ct_eq(y) & d.ct_eq(z)).into()
    }
}

impl Eq for TokenDigest {}

impl Hash for TokenDigest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // A digest is evenly spread already; the table's own key makes its place unpredictable.
        state.write_u64(self.0[0]);
    }
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenDigest([redacted])")
    }
}

/// A token that no request can present would only look as if it worked.
fn check(token: &str) -> Result<TokenDigest, ConfigError> {
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(ConfigError::Token {
            what: "token",
            expected: "1 or more printable ASCII characters without space",
            length: token.len(),
        });
    }
    Ok(TokenDigest::of(token))
}
