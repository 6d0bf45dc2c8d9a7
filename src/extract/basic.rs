//! User and password of a Basic credential.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

#[cfg(feature = "basic")]
use super::{Credential, Scheme};
#[cfg(feature = "basic")]
use crate::failure::{Failure, InvalidReason};

/// User and password of a `Basic` credential. Its `Debug` shows neither, and they are overwritten in memory when it is
/// dropped. Needs the feature `basic`.
pub struct BasicCredentials {
    text: Zeroizing<String>,
    colon: usize,
}

impl BasicCredentials {
    /// Decodes the base64 text of a credential. Returns `None` unless it stands for UTF-8 text with a colon.
    pub(crate) fn decode(token: &[u8]) -> Option<Self> {
        let bytes = Zeroizing::new(STANDARD.decode(token).ok()?);
        let text = Zeroizing::new(std::str::from_utf8(&bytes).ok()?.to_owned());
        let colon = text.find(':')?;
        Some(Self { text, colon })
    }

    /// Returns the user id: everything before the first colon, possibly empty.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.text[..self.colon]
    }

    /// Returns the password: everything after the first colon, possibly empty.
    #[must_use]
    pub fn password(&self) -> &str {
        &self.text[self.colon + 1..]
    }
}

impl fmt::Debug for BasicCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BasicCredentials").finish_non_exhaustive()
    }
}

#[cfg(feature = "basic")]
impl Credential<'_> {
    /// Reads user and password. Needs the feature `basic`
    /// ([RFC 7617 section 2](https://www.rfc-editor.org/rfc/rfc7617#section-2)).
    ///
    /// # Errors
    ///
    /// [`Failure::unrecognized`] if the scheme is not [`Scheme::Basic`], and
    /// [`InvalidReason::Malformed`] if the token is not base64 of UTF-8 text with a colon and
    /// without control characters.
    ///
    /// # Example
    ///
    /// ```
    /// use tower_bearer::{Credential, Failure, validator_fn};
    ///
    /// let validator = validator_fn(|credential: Credential<'_>| {
    ///     let basic = credential.basic()?;
    ///     // Look the user up and check the password with a password hash here.
    ///     Ok::<_, Failure>(basic.user().to_owned())
    /// });
    /// # let _ = validator;
    /// ```
    pub fn basic(&self) -> Result<BasicCredentials, Failure> {
        if self.scheme() != Scheme::Basic {
            return Err(Failure::unrecognized());
        }
        BasicCredentials::decode(self.token_bytes())
            .filter(|basic| !basic.text.chars().any(char::is_control))
            .ok_or_else(|| Failure::invalid(InvalidReason::Malformed))
    }
}

#[cfg(all(test, feature = "basic"))]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::extract::CredentialSource;
    use crate::failure::FailureKind;

    #[test]
    fn first_colon_separates_user_from_password() {
        let malformed = Err(FailureKind::Invalid(InvalidReason::Malformed));
        let cases: &[(&str, &[u8], Result<(&str, &str), FailureKind>)] = &[
            ("plain", b"alice:secret", Ok(("alice", "secret"))),
            ("colon in password", b"alice:a:b", Ok(("alice", "a:b"))),
            ("empty password", b"alice:", Ok(("alice", ""))),
            ("empty user", b":secret", Ok(("", "secret"))),
            ("UTF-8", "zoë:ü".as_bytes(), Ok(("zoë", "ü"))),
            ("no colon", b"alice", malformed),
            ("control character", b"alice:a\nb", malformed),
            ("no UTF-8", b"alice:\xff", malformed),
        ];
        for (name, text, expected) in cases {
            let token = STANDARD.encode(text);
            let value = HeaderValue::from_str(&token).unwrap();
            let credential = Credential::new(
                Scheme::Basic,
                CredentialSource::Authorization,
                &value,
                0..value.len(),
            );
            let read = credential.basic();
            let found = read.as_ref().map(|basic| (basic.user(), basic.password()));
            // (J03: no secrets in output)
            assert!(
                !format!("{read:?} {credential:?}").contains("alice"),
                "{name}"
            );
            assert_eq!(found.map_err(|failure| failure.kind()), *expected, "{name}");
        }
        let bearer = Credential::bearer("YTpi").unwrap().basic().unwrap_err();
        assert_eq!(bearer.kind(), FailureKind::Unrecognized);
    }
}
