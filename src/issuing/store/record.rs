//! A session as a store sees it.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::StoreError;
use crate::clock::seconds;

/// The name of a session, `sid` in its access tokens: 128 bits, written in base64url. Not a secret: it is no part of a
/// refresh token, and cannot be made into one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub(crate) [u8; 16]);

impl SessionId {
    /// One that consists of these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is not the name of any session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a session id: 22 characters of base64url are expected")]
#[non_exhaustive]
pub struct InvalidSessionId;

impl FromStr for SessionId {
    type Err = InvalidSessionId;

    fn from_str(text: &str) -> Result<Self, InvalidSessionId> {
        let mut bytes = [0; 16];
        match URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) {
            Ok(16) => Ok(Self(bytes)),
            _ => Err(InvalidSessionId),
        }
    }
}

/// A session as a store keeps it: what it is found by, and bytes that are nothing to the store. They hold no token,
/// only digests. `Debug` shows the id and the version.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionRecord {
    id: SessionId,
    version: u64,
    issuer: Box<str>,
    subject: Box<str>,
    client: Box<str>,
    /// In seconds.
    expires_at: u64,
    data: Vec<u8>,
}

impl SessionRecord {
    /// Creates the record of a session that `issuer` started and that ends at `expires_at`, in whole seconds.
    #[must_use]
    pub fn new(
        id: SessionId,
        version: u64,
        issuer: &str,
        subject: &str,
        client: &str,
        expires_at: SystemTime,
        data: Vec<u8>,
    ) -> Self {
        Self {
            id,
            version,
            issuer: issuer.into(),
            subject: subject.into(),
            client: client.into(),
            expires_at: seconds(expires_at),
            data,
        }
    }

    /// Which session.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// How often it has been replaced.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Returns the name of the issuer (`iss`) that the session belongs to. No other issuer lists, refreshes or ends it.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Whose session it is.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// To which client it was given.
    #[must_use]
    pub fn client(&self) -> &str {
        &self.client
    }

    /// From when on it may be cleared away.
    #[must_use]
    pub fn expires_at(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
            .checked_add(Duration::from_secs(self.expires_at))
            .unwrap_or(SystemTime::UNIX_EPOCH + Duration::from_secs(u32::MAX.into()))
    }

    /// What else there is to keep.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// Returns the time at which the session ends, in whole seconds since the Unix epoch. A store sorts its records by
    /// this number to remove those that have expired.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::{Duration, UNIX_EPOCH};
    /// use tower_bearer::issuing::store::{SessionId, SessionRecord};
    ///
    /// let id = SessionId::from_bytes([7; 16]);
    /// let end = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    /// let record = SessionRecord::new(id, 0, "https://api.example.com", "alice", "web", end, Vec::new());
    /// assert_eq!(record.expires_at_second(), 1_800_000_000);
    /// ```
    #[must_use]
    pub fn expires_at_second(&self) -> u64 {
        self.expires_at
    }

    /// Encodes the record: version, expiry, then issuer, subject and client, each preceded by its length,
    /// then the data. Numbers take 8 bytes and lengths 4, in network byte order. The id is not part of it.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(
            28 + self.issuer.len() + self.subject.len() + self.client.len() + self.data.len(),
        );
        bytes.extend(self.version.to_be_bytes());
        bytes.extend(self.expires_at.to_be_bytes());
        for name in [&self.issuer, &self.subject, &self.client] {
            // Names come out of a request of limited length.
            let length = u32::try_from(name.len()).unwrap_or(u32::MAX);
            bytes.extend(length.to_be_bytes());
            bytes.extend(name.as_bytes());
        }
        bytes.extend(&self.data);
        bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) has written.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`].
    pub fn from_bytes(id: SessionId, bytes: &[u8]) -> Result<Self, StoreError> {
        read(id, bytes).ok_or_else(|| StoreError::corrupt("a session", "it is cut off"))
    }
}

fn read(id: SessionId, bytes: &[u8]) -> Option<SessionRecord> {
    let (version, bytes) = bytes.split_first_chunk()?;
    let (expires_at, bytes) = bytes.split_first_chunk()?;
    let (issuer, bytes) = read_name(bytes)?;
    let (subject, bytes) = read_name(bytes)?;
    let (client, bytes) = read_name(bytes)?;
    Some(SessionRecord {
        id,
        version: u64::from_be_bytes(*version),
        issuer,
        subject,
        client,
        expires_at: u64::from_be_bytes(*expires_at),
        data: bytes.to_vec(),
    })
}

fn read_name(bytes: &[u8]) -> Option<(Box<str>, &[u8])> {
    let (length, bytes) = bytes.split_first_chunk()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (name, bytes) = bytes.split_at_checked(length)?;
    Some((std::str::from_utf8(name).ok()?.into(), bytes))
}

impl fmt::Debug for SessionRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionRecord")
            .field("id", &self.id)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_round_trips_and_truncated_bytes_are_an_error() {
        let id = SessionId([7; 16]);
        let end = SystemTime::UNIX_EPOCH + Duration::from_secs(9);
        let record = SessionRecord::new(id, 3, "i", "älice", "", end, vec![0, 255, 7]);
        let bytes = record.to_bytes();
        assert_eq!(SessionRecord::from_bytes(id, &bytes).unwrap(), record);
        for cut in 0..bytes.len() - 3 {
            assert!(
                SessionRecord::from_bytes(id, &bytes[..cut]).is_err(),
                "{cut}"
            );
        }
        let mut not_utf8 = bytes;
        not_utf8[20] = 0xff;
        assert!(SessionRecord::from_bytes(id, &not_utf8).is_err());
    }

    #[test]
    fn session_id_is_parsed_exactly() {
        let id = SessionId([0xfb; 16]);
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in [
            "",
            "AAAA",
            "AAAAAAAAAAAAAAAAAAAAAB",
            "AAAAAAAAAAAAAAAAAAAAAA==",
            "AAAAAAAAAAAAAAAAAAAAAAA",
        ] {
            assert_eq!(bad.parse::<SessionId>(), Err(InvalidSessionId), "{bad}");
        }
    }
}
