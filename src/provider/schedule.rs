//! When keys are fetched and what is done meanwhile: decisions without I/O and without a clock.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, SystemTime};

use super::unknown_key_ids::UnknownKeyIds;

/// The settings of time, which [`RemoteKeysBuilder`](super::RemoteKeysBuilder) has checked.
#[derive(Clone, Debug)]
pub(crate) struct Timing {
    pub(crate) default_ttl: Duration,
    pub(crate) min_ttl: Duration,
    pub(crate) max_ttl: Duration,
    pub(crate) max_stale: Duration,
    pub(crate) cooldown: Duration,
    /// How long one fetch may take.
    pub(crate) timeout: Duration,
    /// After which share of the fresh time a set is fetched anew, in thousandths.
    pub(crate) ahead: u32,
}

/// From 800 to 950 thousandths, by chance: many instances that start together do not fetch together.
pub(crate) fn random_ahead() -> u32 {
    let random = RandomState::new().hash_one(0_u8) % 151;
    800 + u32::try_from(random).unwrap_or(0)
}

/// Until when a set is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) fetched_at: SystemTime,
    /// From here on a request starts a fetch.
    pub(crate) refresh_at: SystemTime,
    pub(crate) fresh_until: SystemTime,
    /// From here on it is no longer used.
    pub(crate) usable_until: SystemTime,
}

impl Timing {
    /// For a set whose answer says that it is fresh for `said`.
    pub(crate) fn held(&self, fetched_at: SystemTime, said: Option<Duration>) -> Held {
        // E15: neither a fetch for each request nor keys for years.
        let fresh = said
            .unwrap_or(self.default_ttl)
            .clamp(self.min_ttl, self.max_ttl);
        let ahead = fresh / 1_000 * self.ahead;
        let fresh_until = later(fetched_at, fresh);
        Held {
            fetched_at,
            refresh_at: later(fetched_at, ahead),
            fresh_until,
            usable_until: later(fresh_until, self.max_stale),
        }
    }

    /// How long a name that was missing is not asked for again. No longer than the cooldown: a stranger may
    /// have asked for it just before the issuer published it.
    pub(crate) fn absent_for(&self) -> Duration {
        self.cooldown
    }
}

impl Held {
    /// Whether nothing but serving is to be done. Decided without a lock.
    pub(crate) fn is_quiet(&self, timing: &Timing, now: SystemTime) -> bool {
        now < self.refresh_at && !self.is_ahead(timing, now)
    }

    /// Whether it was fetched in the future, so that the clock was set back (E05: or it would be used
    /// for as much longer). What the cooldown covers is two requests that read the clock in turn.
    fn is_ahead(&self, timing: &Timing, now: SystemTime) -> bool {
        later(now, timing.cooldown) < self.fetched_at
    }
}

/// What remains of `length` from `since` on, if anything. Nothing does if `since` lies in the future by
/// more than that: the clock was set back.
pub(crate) fn remaining(since: SystemTime, length: Duration, now: SystemTime) -> Option<Duration> {
    match now.duration_since(since) {
        Ok(elapsed) => length.checked_sub(elapsed).filter(|left| !left.is_zero()),
        Err(ahead) => (ahead.duration() <= length).then_some(length),
    }
}

fn later(time: SystemTime, by: Duration) -> SystemTime {
    time.checked_add(by).unwrap_or(time)
}

/// Why a fetch is started. Each has a cooldown of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// A token that the keys at hand do not explain.
    OnDemand,
    /// The set is due, there is none, or the operator wants it.
    Scheduled,
}

/// What to do for a request that needs keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Serve {
    FromMemory,
    /// The same, and start a fetch that nobody waits for.
    FromMemoryAndFetch,
    /// Wait for the fetch in flight.
    Join,
    /// Start a fetch and wait for it.
    Fetch,
    /// 503, with what remains of the cooldown.
    Unavailable(Duration),
}

/// What to do for a token that the keys do not explain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RefetchDecision {
    /// The token is bad.
    NoFetch,
    /// Look once more at the set at hand, which is newer than the one that was looked at.
    LookAgain,
    /// Wait for the fetch in flight.
    Join,
    /// Start a fetch and wait for it.
    Fetch,
    /// 503, with what remains of the cooldown.
    Unavailable(Duration),
}

/// What happened so far.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    held: Option<Held>,
    /// When the last fetch of each cause began.
    scheduled: Option<SystemTime>,
    on_demand: Option<SystemTime>,
    /// When the last fetch began, and whether it brought a set. One that comes to no end did not.
    last: Option<(SystemTime, bool)>,
    /// When the fetch began that changed the set last.
    changed: Option<SystemTime>,
    absent: UnknownKeyIds,
}

impl Schedule {
    pub(crate) fn held(&self) -> Option<Held> {
        self.held
    }

    pub(crate) fn last_attempt(&self) -> Option<SystemTime> {
        self.last.map(|(started, _)| started)
    }

    /// Whether the last fetch brought nothing, or nothing yet.
    pub(crate) fn has_failed(&self) -> bool {
        self.last.is_some_and(|(_, succeeded)| !succeeded)
    }

    /// What remains of the cooldown of the last fetch, whatever its cause.
    pub(crate) fn cooling_down(&self, timing: &Timing, now: SystemTime) -> Option<Duration> {
        remaining(self.last_attempt()?, timing.cooldown, now)
    }

    /// If the clock was set back behind the set: counts the set as fetched and as due from now on.
    /// Says whether it did.
    pub(crate) fn set_back(&mut self, timing: &Timing, now: SystemTime) -> bool {
        match &mut self.held {
            Some(held) if held.is_ahead(timing, now) => {
                *held = Held {
                    fetched_at: now,
                    refresh_at: now,
                    fresh_until: now,
                    usable_until: later(now, timing.max_stale),
                };
                true
            }
            _ => false,
        }
    }

    /// For a request that needs keys.
    pub(crate) fn serve(&self, timing: &Timing, now: SystemTime, in_flight: bool) -> Serve {
        let cooling = self.cooling(Cause::Scheduled, timing, now);
        match self.held {
            // E08: whoever has usable keys does not wait.
            Some(held) if now < held.usable_until => {
                if held.is_quiet(timing, now) || in_flight || cooling.is_some() {
                    Serve::FromMemory
                } else {
                    Serve::FromMemoryAndFetch
                }
            }
            _ if in_flight => Serve::Join,
            // E01: failures and empty sets count as well. E05: not "invalid".
            _ => cooling.map_or(Serve::Fetch, Serve::Unavailable),
        }
    }

    /// For a token whose `kid` no key has. `is_there` if one has it by now.
    pub(crate) fn unknown(
        &self,
        timing: &Timing,
        kid: Option<&str>,
        is_there: bool,
        now: SystemTime,
        in_flight: bool,
    ) -> RefetchDecision {
        if is_there {
            RefetchDecision::LookAgain
        } else if self.absent.contains(kid, now, timing.absent_for()) {
            RefetchDecision::NoFetch
        } else {
            match self.ask(timing, now, in_flight) {
                // Nothing says whether a set that came in between has a key for it.
                RefetchDecision::NoFetch if kid.is_none() && self.changed_lately(timing, now) => {
                    RefetchDecision::LookAgain
                }
                doubt => doubt,
            }
        }
    }

    /// For a token whose signature does not match the key that it names (E09: reused `kid`).
    pub(crate) fn mismatch(
        &self,
        timing: &Timing,
        now: SystemTime,
        in_flight: bool,
    ) -> RefetchDecision {
        match self.ask(timing, now, in_flight) {
            RefetchDecision::NoFetch if self.changed_lately(timing, now) => {
                RefetchDecision::LookAgain
            }
            doubt => doubt,
        }
    }

    /// E01: one fetch per cooldown, whatever came of it.
    fn ask(&self, timing: &Timing, now: SystemTime, in_flight: bool) -> RefetchDecision {
        if in_flight {
            return RefetchDecision::Join;
        }
        match self.cooling(Cause::OnDemand, timing, now) {
            None => RefetchDecision::Fetch,
            // While the last fetch failed, the issuer may have a key that is not known here.
            Some(left) if self.has_failed() => RefetchDecision::Unavailable(left),
            Some(_) => RefetchDecision::NoFetch,
        }
    }

    /// Whether a request that began at `now` may have looked at the set before this one.
    fn changed_lately(&self, timing: &Timing, now: SystemTime) -> bool {
        let longest = timing.cooldown.saturating_add(timing.timeout);
        self.changed
            .is_some_and(|changed| remaining(changed, longest, now).is_some())
    }

    /// What remains of the cooldown.
    fn cooling(&self, cause: Cause, timing: &Timing, now: SystemTime) -> Option<Duration> {
        let started = match cause {
            Cause::OnDemand => self.on_demand,
            Cause::Scheduled => self.scheduled,
        };
        remaining(started?, timing.cooldown, now)
    }

    /// A fetch begins. It counts as failed until it has succeeded.
    pub(crate) fn started(&mut self, cause: Cause, now: SystemTime) {
        match cause {
            Cause::OnDemand => self.on_demand = Some(now),
            Cause::Scheduled => self.scheduled = Some(now),
        }
        self.last = Some((now, false));
    }

    /// The fetch that began at `started` brought a set, `changed` or the same as before.
    pub(crate) fn succeeded(
        &mut self,
        timing: &Timing,
        started: SystemTime,
        said: Option<Duration>,
        changed: bool,
    ) -> Held {
        self.last = Some((started, true));
        if changed {
            self.changed = Some(started);
            self.absent.clear();
        }
        let held = timing.held(started, said);
        self.held = Some(held);
        held
    }

    /// A fetched set does not have this name.
    pub(crate) fn absent(&mut self, kid: Option<&str>, now: SystemTime) {
        self.absent.insert(kid, now);
    }
}

#[cfg(test)]
mod tests;
