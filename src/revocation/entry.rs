//! One thing that is taken back.

use std::fmt;
use std::time::{Duration, SystemTime};

use crate::clock::seconds;

/// The most that a validator accepts a token after its end: entries live that much longer.
pub(crate) const GRACE: Duration = Duration::from_secs(300);

/// What is taken back, and until when that has to be remembered. `Debug` shows the kind and nothing else.
///
/// `issuer` is the `iss` of the tokens, to the letter; `None` means tokens without one, not those of any issuer. `until`
/// is when the last of the tokens concerned expires: what is longer costs memory, what is shorter brings them back to
/// life. All times count in whole seconds, `until` rounded up.
///
/// This concerns access tokens. The refresh token of a session outlives the entry, so sessions of a
/// `TokenIssuer` (feature `issuing`) are better ended by its `end_session` and `end_sessions`, which take back their access
/// tokens as well. Otherwise `until` has to be the end of the sessions: a refresh asks the hub too, and ends what it finds
/// revoked.
///
/// # Example
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use tower_bearer::revocation::{Revocation, RevocationList};
///
/// let now = SystemTime::now();
/// let until = now + Duration::from_secs(900);
/// let revoked = RevocationList::new();
/// revoked.revoke(&Revocation::session(Some("https://login.example.com/"), "08a5019c", until))?;
/// revoked.revoke(&Revocation::versions_below(Some("https://login.example.com/"), "alice", 4, until))?;
/// # Ok::<_, tower_bearer::revocation::RevocationListFull>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Revocation {
    pub(crate) kind: Kind,
    pub(crate) issuer: Option<Box<str>>,
    pub(crate) name: Box<str>,
    /// The greatest `iat` that it concerns, or the first version that it does not.
    pub(crate) bound: u64,
    /// In seconds.
    pub(crate) until: u64,
}

/// What kind of thing that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "issuing", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "issuing", serde(rename_all = "lowercase"))]
pub(crate) enum Kind {
    Token,
    Session,
    Subject,
    Issuer,
    Client,
    Version,
}

impl Kind {
    pub(crate) const COUNT: usize = 6;
}

impl Revocation {
    fn new(kind: Kind, issuer: Option<&str>, name: &str, bound: u64, until: SystemTime) -> Self {
        Self {
            kind,
            issuer: issuer.map(Box::from),
            name: name.into(),
            bound,
            until: next_second(until),
        }
    }

    /// The token with this `jti`, which expires at `until`.
    #[must_use]
    pub fn token(issuer: Option<&str>, token_id: &str, until: SystemTime) -> Self {
        Self::new(Kind::Token, issuer, token_id, u64::MAX, until)
    }

    /// All tokens with this `sid`. The last of them expires at `until`.
    #[must_use]
    pub fn session(issuer: Option<&str>, session: &str, until: SystemTime) -> Self {
        Self::new(Kind::Session, issuer, session, u64::MAX, until)
    }

    /// All tokens with this `sub` that were issued up to the second of `issued_until`. The last of them expires at
    /// `until`.
    #[must_use]
    pub fn subject(
        issuer: Option<&str>,
        subject: &str,
        issued_until: SystemTime,
        until: SystemTime,
    ) -> Self {
        Self::new(Kind::Subject, issuer, subject, seconds(issued_until), until)
    }

    /// All tokens of this client (`client_id`) that were issued up to the second of `issued_until`. The last of them
    /// expires at `until`.
    #[must_use]
    pub fn client(
        issuer: Option<&str>,
        client: &str,
        issued_until: SystemTime,
        until: SystemTime,
    ) -> Self {
        Self::new(Kind::Client, issuer, client, seconds(issued_until), until)
    }

    /// All tokens of this issuer that were issued up to the second of `issued_until`. The last of them expires at
    /// `until`.
    #[must_use]
    pub fn issuer(issuer: Option<&str>, issued_until: SystemTime, until: SystemTime) -> Self {
        Self::new(Kind::Issuer, issuer, "", seconds(issued_until), until)
    }

    /// All tokens with this `sub` whose version is below `version`; one that says none has version 0. The last of them
    /// expires at `until`.
    ///
    /// An application that counts up a number at its user when the password or the rights change takes back with it
    /// what was issued before, to the token and not to the second.
    #[must_use]
    pub fn versions_below(
        issuer: Option<&str>,
        subject: &str,
        version: u64,
        until: SystemTime,
    ) -> Self {
        Self::new(Kind::Version, issuer, subject, version, until)
    }

    /// When it may be forgotten: `until`, and the five minutes of the longest leeway.
    #[must_use]
    pub fn expires_at(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
            .checked_add(Duration::from_secs(self.expires_at_second()))
            .unwrap_or(SystemTime::UNIX_EPOCH + Duration::from_secs(u32::MAX.into()))
    }

    /// Returns the time [at which the revocation ends](Self::expires_at), in whole seconds since the Unix epoch. A store
    /// sorts its revocations by this number to remove those that have expired.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::{Duration, UNIX_EPOCH};
    /// use tower_bearer::revocation::Revocation;
    ///
    /// let until = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    /// let revocation = Revocation::token(Some("https://api.example.com"), "6f5b3c", until);
    /// assert_eq!(revocation.expires_at_second(), 1_800_000_300);
    /// ```
    #[must_use]
    pub fn expires_at_second(&self) -> u64 {
        self.until.saturating_add(GRACE.as_secs())
    }
}

impl fmt::Debug for Revocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revocation")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// As a store keeps it.
#[cfg(feature = "issuing")]
#[derive(serde::Serialize, serde::Deserialize)]
struct StoredRevocation<'a> {
    #[serde(rename = "k")]
    kind: Kind,
    #[serde(rename = "i", borrow)]
    issuer: Option<std::borrow::Cow<'a, str>>,
    #[serde(rename = "n", borrow)]
    name: std::borrow::Cow<'a, str>,
    #[serde(rename = "b")]
    bound: u64,
    #[serde(rename = "u")]
    until: u64,
}

#[cfg(feature = "issuing")]
impl Revocation {
    /// The text by which a store keeps it. Names are in it as they are. The same revocation has the same text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let stored = StoredRevocation {
            kind: self.kind,
            issuer: self.issuer.as_deref().map(Into::into),
            name: (&*self.name).into(),
            bound: self.bound,
            until: self.until,
        };
        // Texts and numbers alone: there is nothing that could fail.
        serde_json::to_string(&stored).unwrap_or_default()
    }

    /// Reads what [`to_text`](Self::to_text) has written.
    ///
    /// # Errors
    ///
    /// [`InvalidRevocationText`] if `text` is not such a text.
    pub fn from_text(text: &[u8]) -> Result<Self, InvalidRevocationText> {
        let stored: StoredRevocation<'_> =
            serde_json::from_slice(text).map_err(|error| InvalidRevocationText {
                category: error.classify(),
                column: error.column(),
            })?;
        Ok(Self {
            kind: stored.kind,
            issuer: stored.issuer.map(|issuer| issuer.into_owned().into()),
            name: stored.name.into_owned().into(),
            bound: stored.bound,
            until: stored.until,
        })
    }
}

/// A text that [`Revocation::from_text`] cannot read. The text itself is not repeated: it has names of users.
#[cfg(feature = "issuing")]
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("{category:?} error in its JSON at byte {column}")]
pub struct InvalidRevocationText {
    category: serde_json::error::Category,
    column: usize,
}

/// The first full second that is not before `time`: an entry stays rather too long.
fn next_second(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| {
            let has_fraction = since.subsec_nanos() > 0;
            since.as_secs().saturating_add(u64::from(has_fraction))
        })
}

#[cfg(all(test, feature = "issuing"))]
mod tests {
    use super::*;

    #[test]
    fn revocation_text_round_trips() {
        let time = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let all = [
            Revocation::token(Some("i"), "a\"b", time(9)),
            Revocation::session(None, "\u{1f600}", time(9)),
            Revocation::subject(Some(""), "alice", time(3), time(9)),
            Revocation::client(Some("i"), "web", time(3), time(9)),
            Revocation::issuer(Some("i"), time(3), time(u64::from(u32::MAX))),
            Revocation::versions_below(Some("i"), "alice", u64::MAX, time(9)),
        ];
        for revocation in all {
            let text = revocation.to_text();
            assert_eq!(Revocation::from_text(text.as_bytes()).unwrap(), revocation);
        }
        for bad in ["", "{}", "[]", r#"{"k":"sun","i":null,"n":"","b":0,"u":0}"#] {
            assert!(Revocation::from_text(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
