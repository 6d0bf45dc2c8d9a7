//! One place at which everything is taken back.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime};

use super::store::{Changes, Cursor, MemoryStore, RevocationStore, StoreError};
use crate::clock::{ClampedClock, Clock};
use crate::revocation::{
    Revocation, RevocationClaims, RevocationList, Revocations, Revoke, RevokeFuture,
};
use crate::trace;

/// How many entries there may be unless told otherwise.
const DEFAULT_LIMIT: usize = 1_000_000;
/// How old what is known of a shared store may be, unless told otherwise.
const DEFAULT_MAX_STALENESS: Duration = Duration::from_secs(2);
/// An answer may take half a second, and tells how things stood when it was asked for; the next one takes as long. With
/// less than both and some time on the way, a store that is well would seem silent now and then.
const MIN_MAX_STALENESS: Duration = Duration::from_millis(1_500);
/// After a failure the store is asked again this much later,
const MIN_BACKOFF: Duration = Duration::from_millis(50);
/// and never later than this.
const MAX_BACKOFF: Duration = Duration::from_secs(1);
/// After an overflow all of it is read again this much later, since that is a lot.
const OVERFLOW_BACKOFF: Duration = Duration::from_secs(5);

/// One place at which everything is taken back: kept in a store, looked up in memory. Clones share it.
///
/// What is [revoked](Self::revoke) here is refused from then on by every validator of this process that was given the
/// hub, remembered tokens included. If the store is shared, every other process refuses it within
/// [`max_staleness`](RevocationHubBuilder::max_staleness), usually within milliseconds: each keeps a copy that follows the store,
/// and says that it [cannot tell](Revocations::is_revoked) once it has heard nothing for that long. Requests are then
/// refused with 503, or let through for a bounded time by
/// [`insecure_allow_in_outage`](crate::revocation::RevocationCheck::insecure_allow_in_outage).
///
/// Entries go when the tokens that they concern have expired.
///
/// # Example
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use tower_bearer::jwt::JwtValidator;
/// use tower_bearer::issuing::RevocationHub;
/// use tower_bearer::revocation::Revocation;
///
/// # async fn main_(keys: tower_bearer::jwt::KeySet) -> Result<(), Box<dyn std::error::Error>> {
/// let hub = RevocationHub::in_memory();
/// let validator = JwtValidator::builder(keys)
///     .issuer("https://login.example.com/")
///     .audience("https://api.example.com")
///     .revocations(hub.clone())
///     .build()?;
///
/// // At logout. Tokens are issued for a quarter of an hour here.
/// let until = SystemTime::now() + Duration::from_secs(900);
/// hub.revoke(&Revocation::session(Some("https://login.example.com/"), "08a5019c", until)).await?;
/// # let _ = validator; Ok(()) }
/// ```
#[derive(Clone)]
pub struct RevocationHub {
    inner: Arc<Inner>,
}

struct Inner {
    list: RevocationList,
    store: Arc<dyn RevocationStore>,
    clock: Arc<dyn Clock>,
    touch: Option<SyncState>,
    /// Why the store was not heard the last time.
    trouble: Mutex<Option<StoreError>>,
    /// An entry of the store found no room here, so nothing can be told any more.
    overflowed: AtomicBool,
}

/// When the store was heard for the last time.
struct SyncState {
    max_staleness: Duration,
    start: Instant,
    /// Everything that was in the store so many nanoseconds after `start` is known.
    heard: AtomicU64,
}

/// Settings of a [`RevocationHub`]. Made by [`RevocationHub::builder`].
#[must_use]
pub struct RevocationHubBuilder {
    store: Arc<dyn RevocationStore>,
    max_staleness: Duration,
    limit: usize,
    clock: Arc<dyn Clock>,
}

/// Nothing is known of the store at the moment.
#[derive(Debug, thiserror::Error)]
enum NotSynced {
    #[error("the store of revocations has not been heard for {silence:?}, longer than {max:?}")]
    Silence { silence: Duration, max: Duration },
    #[error("the store holds more revocations than the limit of the hub: raise it")]
    Overflowed,
}

impl RevocationHub {
    /// One that keeps up to 1,000,000 entries in the memory of the process alone.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::builder(MemoryStore::new()).new_hub()
    }

    /// Reads what is in the store, and follows it if other processes may add to it. That is done by a task of
    /// tokio, which ends with the last clone of the hub.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store cannot be read, or holds more than the hub may.
    ///
    /// # Panics
    ///
    /// If the store is shared and this is not called within a runtime of tokio.
    pub async fn open(store: impl RevocationStore + 'static) -> Result<Self, StoreError> {
        Self::builder(store).open().await
    }

    /// Starts with the store, for other settings.
    pub fn builder(store: impl RevocationStore + 'static) -> RevocationHubBuilder {
        RevocationHubBuilder {
            store: Arc::new(store),
            max_staleness: DEFAULT_MAX_STALENESS,
            limit: DEFAULT_LIMIT,
            clock: Arc::new(ClampedClock::new()),
        }
    }

    /// Takes back what `revocation` says: here when the future is first polled, everywhere else once the store has it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`] if there is no room, and nothing has been taken back. With any other, it has been taken back in
    /// this process, but not reliably anywhere else, nor after a restart: try again.
    pub async fn revoke(&self, revocation: &Revocation) -> Result<(), StoreError> {
        let inner = &self.inner;
        // What has no room here would have none in the other processes either, and they could tell nothing any more.
        inner
            .list
            .revoke(revocation)
            .map_err(|full| StoreError::Full {
                what: "revocations",
                limit: full.limit(),
            })?;
        inner.store.add(revocation, inner.clock.now()).await
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.list.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Why the store could not be followed, the last time that it was asked. `None` if it could. Also an event of
    /// `tracing`, `revocations-not-followed`, when it begins.
    #[must_use]
    pub fn last_error(&self) -> Option<StoreError> {
        self.inner.trouble().clone()
    }

    /// Whether it can tell at the moment. Always, if the store is not shared.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        self.inner.check_touch().is_ok()
    }
}

impl Revoke for RevocationHub {
    fn revoke<'a>(&'a self, revocation: &'a Revocation) -> RevokeFuture<'a> {
        Box::pin(async { Ok(RevocationHub::revoke(self, revocation).await?) })
    }
}

impl RevocationHubBuilder {
    /// How old what is known of a shared store may be: the bound on how late a revocation takes effect in other
    /// processes. Default: 2 seconds. Not below a second and a half: the store is heard about twice a second, and what it
    /// says counts from when it was asked.
    pub fn max_staleness(mut self, max_staleness: Duration) -> Self {
        self.max_staleness = max_staleness.max(MIN_MAX_STALENESS);
        self
    }

    /// How many entries there may be, a tenth of which is not for single tokens. Default: 1,000,000, which take 85 MB. All
    /// processes that share a store should have the same. If the store holds more (a tenth, since they do not hear of one
    /// another at once), nothing can be told until enough has ended.
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// By which time entries are cleared away. Default: the clock of the system, but never ahead of the time that
    /// really passes.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Reads what is in the store, and follows it if it is shared.
    ///
    /// # Errors
    ///
    /// As for [`RevocationHub::open`].
    ///
    /// # Panics
    ///
    /// As for [`RevocationHub::open`].
    pub async fn open(self) -> Result<RevocationHub, StoreError> {
        let limit = self.limit;
        let hub = self.new_hub();
        let started = Instant::now();
        let mut cursor = None;
        loop {
            let changes = hub.inner.store.changes(cursor.as_ref()).await?;
            if !hub.inner.apply(&changes) {
                return Err(StoreError::Full {
                    what: "revocations",
                    limit,
                });
            }
            cursor = Some(changes.cursor);
            if !changes.more {
                break;
            }
        }
        if let Some(touch) = &hub.inner.touch {
            touch.heard_at(started);
            tokio::spawn(follow(Arc::downgrade(&hub.inner), cursor));
        }
        Ok(hub)
    }

    fn new_hub(self) -> RevocationHub {
        let touch = self.store.is_shared().then(|| SyncState {
            max_staleness: self.max_staleness,
            start: Instant::now(),
            heard: AtomicU64::new(0),
        });
        RevocationHub {
            inner: Arc::new(Inner {
                list: RevocationList::with_clock(self.limit, Arc::clone(&self.clock)),
                store: self.store,
                clock: self.clock,
                touch,
                trouble: Mutex::new(None),
                overflowed: AtomicBool::new(false),
            }),
        }
    }
}

impl Inner {
    /// Takes in what was added, what has ended included: a clock may be set right later. Returns whether there was room.
    fn apply(&self, changes: &Changes) -> bool {
        let now = self.clock.now();
        let mut has_room = true;
        for revocation in &changes.revocations {
            let is_over = revocation.expires_at() <= now;
            has_room &= self.list.take_in(revocation).is_ok() || is_over;
        }
        if !has_room {
            self.overflowed.store(true, Ordering::Release);
        }
        has_room
    }

    fn trouble(&self) -> MutexGuard<'_, Option<StoreError>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check_touch(&self) -> Result<(), NotSynced> {
        if self.overflowed.load(Ordering::Acquire) {
            return Err(NotSynced::Overflowed);
        }
        let Some(touch) = &self.touch else {
            return Ok(());
        };
        let silence = touch.silence();
        match silence <= touch.max_staleness {
            true => Ok(()),
            false => Err(NotSynced::Silence {
                silence,
                max: touch.max_staleness,
            }),
        }
    }
}

impl SyncState {
    fn heard_at(&self, when: Instant) {
        let since = when.saturating_duration_since(self.start).as_nanos();
        let since = u64::try_from(since).unwrap_or(u64::MAX);
        self.heard.fetch_max(since, Ordering::AcqRel);
    }

    fn silence(&self) -> Duration {
        let heard = Duration::from_nanos(self.heard.load(Ordering::Acquire));
        self.start.elapsed().saturating_sub(heard)
    }
}

/// Follows the store until the last clone of the hub is gone.
async fn follow(hub: Weak<Inner>, mut cursor: Option<Cursor>) {
    let mut pause = MIN_BACKOFF;
    // Whether all that was read since the beginning of the store has found room.
    let mut has_room = true;
    while let Some(inner) = hub.upgrade() {
        let Some(touch) = &inner.touch else { return };
        let (store, patience) = (Arc::clone(&inner.store), touch.max_staleness);
        drop(inner);
        // What the answer says was so when it was asked for, or later.
        let asked = Instant::now();
        let answer = ask(&*store, cursor.as_ref(), patience).await;
        let Some(inner) = hub.upgrade() else { return };
        match answer {
            Ok(changes) => {
                *inner.trouble() = None;
                has_room &= inner.apply(&changes);
                cursor = Some(changes.cursor);
                pause = MIN_BACKOFF;
                // With more to come, it is not known yet how things stood when it was asked.
                if changes.more {
                    continue;
                }
                if has_room {
                    inner.overflowed.store(false, Ordering::Release);
                    if let Some(touch) = &inner.touch {
                        touch.heard_at(asked);
                    }
                    continue;
                }
                // The hub reads everything again, until enough revocations have expired and the rest fits.
                pause = OVERFLOW_BACKOFF;
                cursor = None;
                has_room = true;
            }
            // The cursor is kept: a store that cannot prove that nothing was lost returns all revocations
            // (M05: resuming readers).
            Err(error) => {
                if inner.trouble().replace(error).is_none() {
                    trace::revocations_not_followed();
                }
            }
        }
        drop(inner);
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(MAX_BACKOFF);
    }
}

async fn ask(
    store: &dyn RevocationStore,
    cursor: Option<&Cursor>,
    patience: Duration,
) -> Result<Changes, StoreError> {
    let changes: &mut (dyn Future<Output = _> + Send + Unpin) = &mut store.changes(cursor);
    match tokio::time::timeout(patience, changes).await {
        Ok(answer) => answer,
        Err(late) => Err(StoreError::unavailable("of revocations", late)),
    }
}

impl Revocations for RevocationHub {
    fn is_revoked(
        &self,
        token: &RevocationClaims<'_>,
        now: SystemTime,
    ) -> Result<bool, Box<dyn Error + Send + Sync>> {
        // What is known to be revoked stays so, in touch or not.
        if self.inner.list.is_revoked(token, now)? {
            return Ok(true);
        }
        self.inner.check_touch()?;
        Ok(false)
    }

    fn epoch(&self) -> Option<u64> {
        self.inner.check_touch().ok()?;
        self.inner.list.epoch()
    }
}

impl fmt::Debug for RevocationHub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevocationHub")
            .field("len", &self.len())
            .field("is_synced", &self.is_synced())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RevocationHubBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevocationHubBuilder")
            .field("max_staleness", &self.max_staleness)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
