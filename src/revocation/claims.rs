//! By what a token is known to a store of revocations.

use std::fmt;
use std::time::SystemTime;

/// What a token says about itself that it may be taken back by. `Debug` shows nothing of it.
///
/// # Example
///
/// ```
/// use tower_bearer::revocation::RevocationClaims;
///
/// let identity = RevocationClaims::new()
///     .with_issuer("https://login.example.com/")
///     .with_token_id("6f5b3c");
/// assert_eq!(identity.token_id(), Some("6f5b3c"));
/// assert_eq!(identity.subject(), None);
/// ```
#[derive(Clone, Copy, Default)]
pub struct RevocationClaims<'a> {
    issuer: Option<&'a str>,
    token_id: Option<&'a str>,
    subject: Option<&'a str>,
    session: Option<&'a str>,
    client: Option<&'a str>,
    version: Option<u64>,
    issued_at: Option<SystemTime>,
}

impl<'a> RevocationClaims<'a> {
    /// Of a token that says nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets who issued it: `iss`.
    #[must_use]
    pub fn with_issuer(mut self, issuer: impl Into<Option<&'a str>>) -> Self {
        self.issuer = issuer.into();
        self
    }

    /// Sets its own name: `jti`.
    #[must_use]
    pub fn with_token_id(mut self, token_id: impl Into<Option<&'a str>>) -> Self {
        self.token_id = token_id.into();
        self
    }

    /// Sets for whom it was issued: `sub`.
    #[must_use]
    pub fn with_subject(mut self, subject: impl Into<Option<&'a str>>) -> Self {
        self.subject = subject.into();
        self
    }

    /// Sets the session in which it was issued: `sid` of [OpenID Connect Front-Channel
    /// Logout](https://openid.net/specs/openid-connect-frontchannel-1_0.html#OPLogout).
    #[must_use]
    pub fn with_session(mut self, session: impl Into<Option<&'a str>>) -> Self {
        self.session = session.into();
        self
    }

    /// Sets to which client it was issued: `client_id`.
    #[must_use]
    pub fn with_client(mut self, client: impl Into<Option<&'a str>>) -> Self {
        self.client = client.into();
        self
    }

    /// Sets the version of what it says about its subject: `token_version`.
    #[must_use]
    pub fn with_version(mut self, version: impl Into<Option<u64>>) -> Self {
        self.version = version.into();
        self
    }

    /// Sets when it was issued: `iat`.
    #[must_use]
    pub fn with_issued_at(mut self, issued_at: impl Into<Option<SystemTime>>) -> Self {
        self.issued_at = issued_at.into();
        self
    }

    /// Who issued it.
    #[must_use]
    pub fn issuer(&self) -> Option<&'a str> {
        self.issuer
    }

    /// Its own name.
    #[must_use]
    pub fn token_id(&self) -> Option<&'a str> {
        self.token_id
    }

    /// For whom it was issued.
    #[must_use]
    pub fn subject(&self) -> Option<&'a str> {
        self.subject
    }

    /// The session in which it was issued.
    #[must_use]
    pub fn session(&self) -> Option<&'a str> {
        self.session
    }

    /// To which client it was issued.
    #[must_use]
    pub fn client(&self) -> Option<&'a str> {
        self.client
    }

    /// The version of what it says about its subject.
    #[must_use]
    pub fn version(&self) -> Option<u64> {
        self.version
    }

    /// When it was issued.
    #[must_use]
    pub fn issued_at(&self) -> Option<SystemTime> {
        self.issued_at
    }

    pub(crate) fn owned(self) -> OwnedRevocationClaims {
        let own = |text: Option<&str>| text.map(Box::from);
        OwnedRevocationClaims {
            issuer: own(self.issuer),
            token_id: own(self.token_id),
            subject: own(self.subject),
            session: own(self.session),
            client: own(self.client),
            version: self.version,
            issued_at: self.issued_at,
        }
    }
}

impl fmt::Debug for RevocationClaims<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevocationClaims").finish_non_exhaustive()
    }
}

/// One that is kept with a verdict.
pub(crate) struct OwnedRevocationClaims {
    issuer: Option<Box<str>>,
    token_id: Option<Box<str>>,
    subject: Option<Box<str>>,
    session: Option<Box<str>>,
    client: Option<Box<str>>,
    version: Option<u64>,
    issued_at: Option<SystemTime>,
}

impl OwnedRevocationClaims {
    pub(crate) fn borrow(&self) -> RevocationClaims<'_> {
        RevocationClaims {
            issuer: self.issuer.as_deref(),
            token_id: self.token_id.as_deref(),
            subject: self.subject.as_deref(),
            session: self.session.as_deref(),
            client: self.client.as_deref(),
            version: self.version,
            issued_at: self.issued_at,
        }
    }
}
