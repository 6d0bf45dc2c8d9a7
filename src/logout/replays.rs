//! Which logout tokens have been used.

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::BuildHasher as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::failure::Failure;
use crate::jwt::TokenError;

/// So many entries are not worth looking through for old ones.
const FEW: usize = 1_024;

/// The logout tokens that have been used, for as long as they would be accepted otherwise. Bounded: only what the
/// provider has signed gets here, and once there is no room, nothing more is accepted.
pub(super) struct Replays {
    seen: Mutex<Seen>,
    secrets: [RandomState; 2],
    limit: usize,
}

#[derive(Default)]
struct Seen {
    tokens: HashMap<Digest, State>,
    /// With so many it is time to look for old ones. Not earlier, so that a clock which is set ahead for a moment
    /// costs nothing.
    sweep_at: usize,
}

type Digest = (u64, u64);

#[derive(Clone, Copy)]
enum State {
    InUse,
    /// Used. It is accepted until then, this moment included.
    Until(SystemTime),
}

/// Why a good token is not accepted now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Busy {
    #[error("{limit} logout tokens have been used that are not over yet: raise `replay_capacity`")]
    Full { limit: usize },
    #[error("the same logout token is being worked on")]
    InUse,
}

/// The right to use a token, which nobody else has meanwhile. Given back unless it is [used](Self::used).
pub(super) struct Reservation {
    replays: Arc<Replays>,
    digest: Digest,
    until: SystemTime,
}

impl Replays {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            seen: Mutex::default(),
            secrets: [RandomState::new(), RandomState::new()],
            limit,
        }
    }

    /// Asks for a token that is accepted until `until`.
    pub(super) fn reserve(
        self: &Arc<Self>,
        token_id: &str,
        until: SystemTime,
        now: SystemTime,
    ) -> Result<Reservation, Failure> {
        let [first, second] = &self.secrets;
        let digest = (first.hash_one(token_id), second.hash_one(token_id));
        let mut seen = self.lock();
        seen.make_room(self.limit, now);
        let is_full = seen.tokens.len() >= self.limit;
        match seen.tokens.entry(digest) {
            Entry::Occupied(entry) => match entry.get() {
                State::Until(_) => Err(TokenError::Replayed.into()),
                State::InUse => {
                    let failure = Failure::unavailable(Busy::InUse);
                    Err(failure.with_retry_after(Duration::from_secs(1)))
                }
            },
            Entry::Vacant(_) if is_full => {
                Err(Failure::unavailable(Busy::Full { limit: self.limit }))
            }
            Entry::Vacant(entry) => {
                entry.insert(State::InUse);
                Ok(Reservation {
                    replays: Arc::clone(self),
                    digest,
                    until,
                })
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn make_room(&mut self, limit: usize, now: SystemTime) {
        if self.tokens.len() < self.sweep_at.max(FEW).min(limit) {
            return;
        }
        self.tokens.retain(|_, state| match state {
            State::InUse => true,
            State::Until(until) => now <= *until,
        });
        self.sweep_at = self.tokens.len().saturating_mul(2);
    }
}

impl Reservation {
    /// It has been used, and must not be again.
    pub(super) fn used(self) {
        let used = State::Until(self.until);
        self.replays.lock().tokens.insert(self.digest, used);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut seen = self.replays.lock();
        if let Some(State::InUse) = seen.tokens.get(&self.digest) {
            seen.tokens.remove(&self.digest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::FailureKind;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn kind(result: Result<Reservation, Failure>) -> Option<FailureKind> {
        result.err().map(|failure| failure.kind())
    }

    #[test]
    fn logout_token_is_accepted_once() {
        // (K03: logout tokens)
        let replays = Arc::new(Replays::new(3));
        let reserved = replays.reserve("a", at(100), at(10)).unwrap();
        let again = kind(replays.reserve("a", at(100), at(10)));
        assert_eq!(again, Some(FailureKind::Unavailable));
        // What was not done may be tried again.
        drop(reserved);
        replays.reserve("a", at(100), at(10)).unwrap().used();
        for now in [10, 100] {
            let again = kind(replays.reserve("a", at(100), at(now)));
            assert!(matches!(again, Some(FailureKind::Invalid(_))), "{now}");
        }
    }

    #[test]
    fn full_replay_table_rejects_new_tokens() {
        let replays = Arc::new(Replays::new(2));
        replays.reserve("a", at(100), at(10)).unwrap().used();
        let held = replays.reserve("b", at(50), at(10)).unwrap();
        let full = kind(replays.reserve("c", at(100), at(10)));
        assert_eq!(full, Some(FailureKind::Unavailable));
        // One that is known is told so all the same.
        let known = kind(replays.reserve("a", at(100), at(100)));
        assert!(matches!(known, Some(FailureKind::Invalid(_))));
        // What is in use stays, whatever its time.
        replays.reserve("c", at(200), at(101)).unwrap().used();
        assert_eq!(kind(replays.reserve("d", at(200), at(101))), full);
        drop(held);
        assert!(replays.reserve("d", at(200), at(101)).is_ok());
    }

    #[test]
    fn expired_replay_entries_are_removed() {
        let replays = Arc::new(Replays::new(1_000_000));
        for number in 0..100_000_u64 {
            let now = at(number / 10);
            let token = replays.reserve(&number.to_string(), now + Duration::from_secs(30), now);
            token.unwrap().used();
            assert!(replays.lock().tokens.len() <= FEW + 1);
        }
    }
}
