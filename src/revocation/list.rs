//! What has been taken back, in the memory of this process.

use std::collections::hash_map::RandomState;
use std::error::Error;
use std::fmt;
use std::future::ready;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use papaya::HashMap;

use super::entry::Kind;
use super::{Revocation, RevocationClaims, Revocations, Revoke, RevokeFuture};
use crate::clock::{ClampedClock, Clock, seconds};

/// How many entries there may be unless told otherwise.
const DEFAULT_LIMIT: usize = 1_000_000;
/// One in so many entries is kept free for sessions, users, clients and issuers.
const RESERVE: usize = 10;
/// So many more than a tenth of the limit may come from others.
const SLACK: usize = 16;
/// So many entries are not worth looking through for old ones.
const FEW: usize = 1_024;

/// What has been taken back, in the memory of this process: other instances of the service do not see it, and it is
/// gone when the process ends. Clones are cheap and share it. Needs the feature `revocation`.
///
/// Reading takes no lock. An entry is a digest of 128 bits made with a secret of the process, no name, and takes 85
/// bytes. It goes five minutes, the longest leeway, after the moment `until` that it was asked for, and cannot be taken off
/// before: look at how long tokens are issued for. For tokens without an end that is never.
///
/// Single tokens leave a tenth of the entries free, so that a client that gives back one token after the other does not keep
/// anybody from ending a session.
///
/// `issuer` is the `iss` of the token, to the letter. `None` means tokens without one, not those of any issuer.
///
/// # Example
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use tower_bearer::revocation::{RevocationList, Revocations, RevocationClaims};
///
/// let revoked = RevocationList::new();
/// let now = SystemTime::now();
/// revoked.revoke_token(Some("https://login.example.com/"), "6f5b3c", now + Duration::from_secs(900))?;
///
/// let token = RevocationClaims::new()
///     .with_issuer("https://login.example.com/")
///     .with_token_id("6f5b3c");
/// assert!(revoked.is_revoked(&token, now).unwrap());
/// # Ok::<_, tower_bearer::revocation::RevocationListFull>(())
/// ```
#[derive(Clone)]
pub struct RevocationList {
    inner: Arc<Inner>,
}

struct Inner {
    entries: HashMap<Digest, Entry, PrecomputedHash>,
    /// How many there are of each kind, so that nobody looks for what is not there.
    counts: [AtomicUsize; Kind::COUNT],
    epoch: AtomicU64,
    secrets: [RandomState; 2],
    clock: Box<dyn Clock>,
    limit: usize,
    /// Held by whoever adds an entry; never by a request.
    writer: Mutex<Writer>,
}

struct Writer {
    /// With so many entries it is time to look for old ones.
    sweep_at: usize,
    /// In no earlier second one of them may go.
    first_end: u64,
}

/// Which token, session and so on, without saying so.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Digest(u64, u64);

#[derive(Clone, Copy)]
struct Entry {
    kind: Kind,
    /// What was issued up to this second, or the first version that is good.
    bound: u64,
    /// When the entry may go, in seconds.
    until: u64,
}

/// There are as many entries as allowed, and none of them may go yet.
///
/// What was to be taken back has **not** been.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the revocation list is full: {limit} entries; raise its limit, or issue tokens for a shorter time"
)]
pub struct RevocationListFull {
    limit: usize,
}

impl RevocationListFull {
    #[cfg(feature = "issuing")]
    pub(crate) fn limit(self) -> usize {
        self.limit
    }
}

impl Default for RevocationList {
    fn default() -> Self {
        Self::new()
    }
}

impl RevocationList {
    /// An empty list for at most 1,000,000 entries.
    #[must_use]
    pub fn new() -> Self {
        Self::with_limit(DEFAULT_LIMIT)
    }

    /// An empty list for at most `limit` entries, nine tenths of which may be single tokens.
    #[must_use]
    pub fn with_limit(limit: usize) -> Self {
        Self::with_clock(limit, ClampedClock::new())
    }

    /// An empty list for at most `limit` entries, whose old ones go by `clock`.
    #[must_use]
    pub fn with_clock(limit: usize, clock: impl Clock + 'static) -> Self {
        Self {
            inner: Arc::new(Inner {
                entries: HashMap::with_hasher(PrecomputedHash),
                counts: Default::default(),
                epoch: AtomicU64::new(0),
                secrets: [RandomState::new(), RandomState::new()],
                clock: Box::new(clock),
                limit,
                writer: Mutex::new(Writer {
                    sweep_at: FEW,
                    first_end: u64::MAX,
                }),
            }),
        }
    }

    /// Takes back what `revocation` says.
    ///
    /// # Errors
    ///
    /// [`RevocationListFull`].
    pub fn revoke(&self, revocation: &Revocation) -> Result<(), RevocationListFull> {
        self.add(revocation, true)
    }

    /// The same for what others have taken back, which may take a tenth more: each of them stops at the limit, but they do
    /// not hear of one another at once.
    #[cfg(feature = "issuing")]
    pub(crate) fn take_in(&self, revocation: &Revocation) -> Result<(), RevocationListFull> {
        self.add(revocation, false)
    }

    /// Takes back the token with this `jti`, which expires at `until`.
    ///
    /// # Errors
    ///
    /// [`RevocationListFull`].
    pub fn revoke_token(
        &self,
        issuer: Option<&str>,
        token_id: &str,
        until: SystemTime,
    ) -> Result<(), RevocationListFull> {
        self.add(&Revocation::token(issuer, token_id, until), true)
    }

    /// Takes back all tokens with this `sid`. The last of them expires at `until`.
    ///
    /// # Errors
    ///
    /// [`RevocationListFull`].
    pub fn revoke_session(
        &self,
        issuer: Option<&str>,
        session: &str,
        until: SystemTime,
    ) -> Result<(), RevocationListFull> {
        self.add(&Revocation::session(issuer, session, until), true)
    }

    /// Takes back all tokens with this `sub` that were issued up to the second of `issued_until`. The last of them
    /// expires at `until`.
    ///
    /// # Errors
    ///
    /// [`RevocationListFull`].
    pub fn revoke_subject(
        &self,
        issuer: Option<&str>,
        subject: &str,
        issued_until: SystemTime,
        until: SystemTime,
    ) -> Result<(), RevocationListFull> {
        self.add(
            &Revocation::subject(issuer, subject, issued_until, until),
            true,
        )
    }

    /// Takes back all tokens of this issuer that were issued up to the second of `issued_until`. The last of them
    /// expires at `until`.
    ///
    /// # Errors
    ///
    /// [`RevocationListFull`].
    pub fn revoke_issuer(
        &self,
        issuer: Option<&str>,
        issued_until: SystemTime,
        until: SystemTime,
    ) -> Result<(), RevocationListFull> {
        self.add(&Revocation::issuer(issuer, issued_until, until), true)
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn add(&self, revocation: &Revocation, reserve: bool) -> Result<(), RevocationListFull> {
        let inner = &*self.inner;
        let kind = revocation.kind;
        let digest = inner.digest(kind, revocation.issuer.as_deref(), &revocation.name);
        let mut entry = Entry {
            kind,
            bound: revocation.bound,
            until: revocation.expires_at_second(),
        };
        let writer = inner.writer.lock();
        let mut writer = writer.unwrap_or_else(PoisonError::into_inner);
        let entries = inner.entries.pin();
        match entries.get(&digest) {
            // What was taken back stays so.
            Some(known) => {
                entry.bound = entry.bound.max(known.bound);
                entry.until = entry.until.max(known.until);
            }
            None => {
                let now = seconds(inner.clock.now());
                let count = inner.len();
                let limit = match (kind, reserve) {
                    // Single tokens leave room for what ends more than one.
                    (Kind::Token, true) => inner.limit - inner.limit / RESERVE,
                    (_, true) => inner.limit,
                    // What others have added while they had room.
                    (_, false) => inner
                        .limit
                        .saturating_add(inner.limit / RESERVE)
                        .saturating_add(SLACK),
                };
                // A full list is looked through only if that makes room.
                if count >= writer.sweep_at.min(limit) && now >= writer.first_end {
                    writer.first_end = inner.sweep(now);
                    writer.sweep_at = inner.len().saturating_mul(2).max(FEW);
                }
                if inner.len() >= limit {
                    return Err(RevocationListFull { limit: inner.limit });
                }
                inner.counts[kind as usize].fetch_add(1, Ordering::Release);
            }
        }
        writer.first_end = writer.first_end.min(entry.until);
        entries.insert(digest, entry);
        inner.epoch.fetch_add(1, Ordering::Release);
        Ok(())
    }
}

impl Inner {
    fn len(&self) -> usize {
        let count = |count: &AtomicUsize| count.load(Ordering::Acquire);
        self.counts.iter().map(count).sum()
    }

    /// Removes what concerns no token any more, and says when the first of the others may go.
    fn sweep(&self, now: u64) -> u64 {
        let mut first_end = u64::MAX;
        self.entries.pin().retain(|_, entry| {
            let stays = entry.until > now;
            if stays {
                first_end = first_end.min(entry.until);
            } else {
                self.counts[entry.kind as usize].fetch_sub(1, Ordering::Release);
            }
            stays
        });
        first_end
    }

    fn digest(&self, kind: Kind, issuer: Option<&str>, name: &str) -> Digest {
        let [first, second] = &self.secrets;
        let what = (kind as u8, issuer, name);
        Digest(first.hash_one(what), second.hash_one(what))
    }

    fn find(&self, kind: Kind, issuer: Option<&str>, name: Option<&str>) -> Option<Entry> {
        if self.counts[kind as usize].load(Ordering::Acquire) == 0 {
            return None;
        }
        let digest = self.digest(kind, issuer, name?);
        self.entries.pin().get(&digest).copied()
    }
}

impl Revocations for RevocationList {
    fn is_revoked(
        &self,
        token: &RevocationClaims<'_>,
        _: SystemTime,
    ) -> Result<bool, Box<dyn Error + Send + Sync>> {
        // (K06: same second)
        let issued = token.issued_at().map_or(0, seconds);
        // What is below the first version that is good. The greatest there is is below none.
        let version = token.version().unwrap_or(0).checked_add(1);
        let versioned = token.subject().filter(|_| version.is_some());
        let names = [
            (Kind::Token, token.token_id(), 0),
            (Kind::Session, token.session(), 0),
            (Kind::Subject, token.subject(), issued),
            (Kind::Issuer, Some(""), issued),
            (Kind::Client, token.client(), issued),
            (Kind::Version, versioned, version.unwrap_or(0)),
        ];
        Ok(names.into_iter().any(|(kind, name, own)| {
            self.inner
                .find(kind, token.issuer(), name)
                .is_some_and(|entry| own <= entry.bound)
        }))
    }

    fn epoch(&self) -> Option<u64> {
        Some(self.inner.epoch.load(Ordering::Acquire))
    }
}

impl Revoke for RevocationList {
    fn revoke<'a>(&'a self, revocation: &'a Revocation) -> RevokeFuture<'a> {
        let result = RevocationList::revoke(self, revocation);
        Box::pin(ready(result.map_err(Into::into)))
    }
}

impl Hash for Digest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0);
    }
}

/// Takes the digest for the hash, which it is.
#[derive(Clone, Copy, Default)]
struct PrecomputedHash;

struct PrecomputedHasher(u64);

impl BuildHasher for PrecomputedHash {
    type Hasher = PrecomputedHasher;

    fn build_hasher(&self) -> PrecomputedHasher {
        PrecomputedHasher(0)
    }
}

impl Hasher for PrecomputedHasher {
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl fmt::Debug for RevocationList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevocationList")
            .field("len", &self.len())
            .field("limit", &self.inner.limit)
            .finish()
    }
}
