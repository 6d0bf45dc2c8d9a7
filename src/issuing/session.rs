//! A session, and what a refresh token does to it. Pure: the time goes in, the next state comes out.

use std::fmt;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::refresh_token::{Digest, RefreshToken, Salt};
use super::scope_list;
use crate::clock::seconds;
use crate::issuing::store::{SessionId, SessionRecord, StoreError};
use crate::revocation::GRACE;

/// How far the clocks of machines may differ before an entry or a record is removed too early.
pub(crate) const MARGIN: Duration = Duration::from_secs(60);

/// All that is kept of a session. In whole seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    /// What was granted at the beginning. An access token has this or less.
    pub(crate) scope: String,
    pub(crate) started_at: u64,
    pub(crate) last_used_at: u64,
    /// However often it is used.
    pub(crate) ends_at: u64,
    /// If it is not used.
    pub(crate) idle_ends_at: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) label: Option<String>,
    /// What every access token of the session says besides.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub(crate) claims: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) token_version: Option<u64>,
    pub(crate) current: Digest,
    /// The one that was spent last, as long as its holder may ask again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) previous: Option<SpentToken>,
    /// The greatest `iat` and `exp` of all access tokens that were issued for the session. Ending the session
    /// revokes up to these values, independent of the local clock and configuration (M02: records of what was
    /// issued).
    pub(crate) latest_iat: u64,
    pub(crate) latest_exp: u64,
    /// Orders the sessions of a user by use: microseconds by the clock, but always greater than those of all sessions
    /// that the user had before.
    pub(crate) use_order: u64,
    /// Digests of the access tokens that were revoked individually (M05: bounded entries).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) revoked_tokens: Vec<u64>,
    /// Set before anything else when the session is ended, and never cleared (M03: endings resume).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ended: Option<EndReason>,
}

/// Why a session was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EndReason {
    /// On request, or because of a revocation.
    Revoked,
    /// A spent refresh token was presented.
    Reused,
}

/// `iat` and `exp` of an access token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dates {
    pub(crate) iat: u64,
    pub(crate) exp: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SpentToken {
    digest: Digest,
    at: u64,
    salt: Salt,
}

/// The settings that concern sessions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lifetimes {
    pub(crate) access: Duration,
    pub(crate) idle: Duration,
    pub(crate) session: Duration,
    pub(crate) grace: Duration,
}

/// What comes of presenting a refresh token.
#[derive(Debug, PartialEq)]
pub(crate) enum Step {
    /// It was the current one: this state takes the place of the one before, and this token that of the presented one.
    Rotate(Box<State>, RefreshToken),
    /// It was spent within the grace period, so the same refresh token is returned again. The state replaces
    /// the stored one if the new access token is dated later than all earlier ones.
    Again(Option<Box<State>>, RefreshToken),
}

/// Why nothing comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RefreshRejected {
    /// It was issued to another client.
    Client,
    /// The session has expired.
    Expired,
    /// The session has been ended. Its hub entry may be missing.
    Ended(EndReason),
    /// It has been spent. Somebody holds a copy.
    Reused,
    /// More is asked for than was granted.
    Scope,
}

impl State {
    pub(crate) fn start(
        grant: super::Grant,
        token: &RefreshToken,
        lifetimes: &Lifetimes,
        begin: SystemTime,
        use_order: u64,
    ) -> Self {
        let now = seconds(begin);
        let ends_at = now.saturating_add(lifetimes.session.as_secs());
        Self {
            scope: grant.scope,
            started_at: now,
            last_used_at: now,
            ends_at,
            idle_ends_at: idle_end(now, ends_at, lifetimes),
            label: grant.label,
            claims: grant.claims,
            token_version: grant.token_version,
            current: token.digest(),
            previous: None,
            latest_iat: now,
            latest_exp: now.saturating_add(lifetimes.access.as_secs()),
            use_order,
            revoked_tokens: Vec::new(),
            ended: None,
        }
    }

    /// Returns `iat` and `exp` of an access token issued now. `started_at` may be later than `now` (K06: whole seconds).
    pub(crate) fn dates(&self, lifetimes: &Lifetimes, now: SystemTime) -> Dates {
        let iat = seconds(now).max(self.started_at);
        let exp = iat.saturating_add(lifetimes.access.as_secs());
        Dates { iat, exp }
    }

    /// Records the dates of a token that is about to be issued (M02: records of what was issued).
    fn record_dates(&mut self, dates: Dates) {
        self.latest_iat = self.latest_iat.max(dates.iat);
        self.latest_exp = self.latest_exp.max(dates.exp);
    }

    /// Returns the state of the session after it is ended.
    pub(crate) fn to_ended(&self, reason: EndReason) -> Self {
        Self {
            ended: Some(reason),
            previous: None,
            ..self.clone()
        }
    }

    /// Returns the state of the session after the access token with this digest is revoked.
    pub(crate) fn with_revoked_token(&self, digest: u64) -> Self {
        let mut state = self.clone();
        state.revoked_tokens.push(digest);
        state
    }

    /// Also if the idle time has been made shorter since: what was revoked is remembered for that long.
    pub(crate) fn is_over(&self, lifetimes: &Lifetimes, now: SystemTime) -> bool {
        seconds(now)
            >= self.idle_ends_at.min(idle_end(
                self.last_used_at.max(self.started_at),
                self.ends_at,
                lifetimes,
            ))
    }

    /// RFC 6749 section 6, RFC 9700 section 4.14.2. `salt` is a new random one.
    pub(crate) fn present(
        &self,
        token: &RefreshToken,
        is_client: bool,
        scope: Option<&str>,
        lifetimes: &Lifetimes,
        salt: Salt,
        now: SystemTime,
    ) -> Result<Step, RefreshRejected> {
        if !is_client {
            return Err(RefreshRejected::Client);
        }
        if let Some(reason) = self.ended {
            return Err(RefreshRejected::Ended(reason));
        }
        if self.is_over(lifetimes, now) {
            return Err(RefreshRejected::Expired);
        }
        let dates = self.dates(lifetimes, now);
        let use_order = micros(now).max(self.use_order.saturating_add(1));
        let now = seconds(now);
        let step = if self.current.is_of(token) {
            let next = token.successor(&salt);
            let previous = (!lifetimes.grace.is_zero()).then_some(SpentToken {
                digest: self.current,
                at: now,
                salt,
            });
            let mut state = Self {
                last_used_at: now,
                idle_ends_at: idle_end(now, self.ends_at, lifetimes),
                current: next.digest(),
                previous,
                use_order,
                ..self.clone()
            };
            state.record_dates(dates);
            Step::Rotate(Box::new(state), next)
        } else {
            let spent = self.previous.as_ref().filter(|spent| {
                // Either way, since a clock may be set back.
                spent.digest.is_of(token) && spent.at.abs_diff(now) < lifetimes.grace.as_secs()
            });
            let spent = spent.ok_or(RefreshRejected::Reused)?;
            let is_recorded = dates.iat <= self.latest_iat && dates.exp <= self.latest_exp;
            let raised = (!is_recorded).then(|| {
                let mut state = self.clone();
                state.record_dates(dates);
                Box::new(state)
            });
            Step::Again(raised, token.successor(&spent.salt))
        };
        // Last, so that a spent token is noticed whatever it asks for, and before anything is spent.
        match scope {
            Some(scope) if !scope_list::is_part_of(scope, &self.scope) => {
                Err(RefreshRejected::Scope)
            }
            _ => Ok(step),
        }
    }

    /// Returns the record of a new session.
    pub(crate) fn to_record(
        &self,
        id: SessionId,
        issuer: &str,
        subject: &str,
        client: &str,
    ) -> SessionRecord {
        self.record(id, 0, issuer, subject, client)
    }

    /// Returns the record that replaces `known` with this state.
    pub(crate) fn to_successor(&self, known: &SessionRecord) -> SessionRecord {
        let version = known.version().saturating_add(1);
        let (issuer, subject, client) = (known.issuer(), known.subject(), known.client());
        self.record(known.id(), version, issuer, subject, client)
    }

    fn record(
        &self,
        id: SessionId,
        version: u64,
        issuer: &str,
        subject: &str,
        client: &str,
    ) -> SessionRecord {
        // Texts, numbers and JSON that was read: there is nothing that could fail.
        let data = serde_json::to_vec(self).unwrap_or_default();
        let ends_at = time(self.record_ends_at());
        SessionRecord::new(id, version, issuer, subject, client, ends_at, data)
    }

    /// Returns when the record may be removed. The record outlives every token, so the session can be ended until then.
    fn record_ends_at(&self) -> u64 {
        let last = match self.ended.is_some() {
            true => self.latest_exp,
            false => self.latest_exp.max(self.idle_ends_at),
        };
        last.saturating_add((GRACE + MARGIN).as_secs())
    }

    pub(crate) fn from_record(record: &SessionRecord) -> Result<Self, StoreError> {
        serde_json::from_slice(record.data())
            .map_err(|error| StoreError::not_json("a session", &error))
    }
}

fn idle_end(now: u64, ends_at: u64, lifetimes: &Lifetimes) -> u64 {
    now.saturating_add(lifetimes.idle.as_secs()).min(ends_at)
}

/// A session as it is shown to its user or to an operator. Nothing in it is a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Session {
    id: SessionId,
    subject: String,
    client: String,
    scope: String,
    label: Option<String>,
    started_at: u64,
    last_used_at: u64,
    ends_at: u64,
    idle_ends_at: u64,
}

impl Session {
    pub(crate) fn new(record: &SessionRecord, state: State) -> Self {
        Self {
            id: record.id(),
            subject: record.subject().into(),
            client: record.client().into(),
            scope: state.scope,
            label: state.label,
            started_at: state.started_at,
            last_used_at: state.last_used_at,
            ends_at: state.ends_at,
            idle_ends_at: state.idle_ends_at,
        }
    }

    /// Its name, `sid` in its access tokens.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// Whose it is.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// To which client it was given.
    #[must_use]
    pub fn client(&self) -> &str {
        &self.client
    }

    /// The scopes that were granted.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.scope.split(' ').filter(|scope| !scope.is_empty())
    }

    /// What the application called it: a device, a browser.
    #[must_use]
    pub fn label(&self) -> Option<&str> {
        self.label.as_deref()
    }

    /// When it began, in whole seconds.
    #[must_use]
    pub fn started_at(&self) -> SystemTime {
        time(self.started_at)
    }

    /// When its refresh token was used for the last time.
    #[must_use]
    pub fn last_used_at(&self) -> SystemTime {
        time(self.last_used_at)
    }

    /// When it ends, unless it is used before.
    #[must_use]
    pub fn idle_ends_at(&self) -> SystemTime {
        time(self.idle_ends_at)
    }

    /// When it ends, however often it is used.
    #[must_use]
    pub fn ends_at(&self) -> SystemTime {
        time(self.ends_at)
    }
}

/// Returns the microseconds since 1970, for the order of use.
pub(crate) fn micros(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| {
            u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
        })
}

pub(crate) fn time(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH
        .checked_add(Duration::from_secs(seconds))
        .unwrap_or(SystemTime::UNIX_EPOCH)
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::issuing::Grant;

    const LIFETIMES: Lifetimes = Lifetimes {
        access: Duration::from_secs(900),
        idle: Duration::from_secs(100),
        session: Duration::from_secs(250),
        grace: Duration::from_secs(10),
    };

    fn at(second: u64) -> SystemTime {
        time(1_000 + second)
    }

    fn start(lifetimes: &Lifetimes) -> (State, RefreshToken) {
        let token = RefreshToken::generate().unwrap();
        let grant = Grant::new("alice", "web").scope("read write");
        (State::start(grant, &token, lifetimes, at(0), 0), token)
    }

    fn present(
        state: &State,
        token: &RefreshToken,
        lifetimes: &Lifetimes,
        second: u64,
    ) -> Result<Step, RefreshRejected> {
        let salt = Salt::generate().unwrap();
        state.present(token, true, None, lifetimes, salt, at(second))
    }

    fn rotate(
        state: &State,
        token: &RefreshToken,
        lifetimes: &Lifetimes,
        second: u64,
    ) -> (State, RefreshToken) {
        match present(state, token, lifetimes, second) {
            Ok(Step::Rotate(state, token)) => (*state, token),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn refresh_rotates_the_token_and_detects_a_spent_one() {
        let lifetimes = Lifetimes {
            grace: Duration::ZERO,
            ..LIFETIMES
        };
        let (state, first) = start(&lifetimes);
        let (state, second) = rotate(&state, &first, &lifetimes, 1);
        assert_eq!(state.previous, None);
        assert_eq!(
            present(&state, &first, &lifetimes, 1),
            Err(RefreshRejected::Reused)
        );
        let (state, third) = rotate(&state, &second, &lifetimes, 1);
        assert_eq!(
            present(&state, &first, &lifetimes, 2),
            Err(RefreshRejected::Reused)
        );
        assert_eq!(
            present(&state, &second, &lifetimes, 2),
            Err(RefreshRejected::Reused)
        );
        rotate(&state, &third, &lifetimes, 2);
    }

    #[test]
    fn refresh_within_grace_period_returns_the_same_token() {
        let (state, first) = start(&LIFETIMES);
        let (state, second) = rotate(&state, &first, &LIFETIMES, 20);
        for second_of in [20, 29, 11] {
            match present(&state, &first, &LIFETIMES, second_of) {
                Ok(Step::Again(raised, token)) => {
                    assert_eq!(token, second, "{second_of}");
                    // M02: records of what was issued. A later access token is recorded.
                    assert_eq!(raised.is_some(), second_of == 29, "{second_of}");
                }
                other => panic!("{second_of}: {other:?}"),
            }
        }
        for second_of in [30, 10, 99] {
            assert_eq!(
                present(&state, &first, &LIFETIMES, second_of),
                Err(RefreshRejected::Reused),
                "{second_of}"
            );
        }
        // Who has used the second one has not lost it.
        let (state, _) = rotate(&state, &second, &LIFETIMES, 21);
        assert_eq!(
            present(&state, &first, &LIFETIMES, 21),
            Err(RefreshRejected::Reused)
        );
    }

    #[test]
    fn session_ends_after_idle_time_and_after_its_lifetime() {
        let (state, token) = start(&LIFETIMES);
        assert_eq!(
            present(&state, &token, &LIFETIMES, 100),
            Err(RefreshRejected::Expired)
        );
        let (state, token) = rotate(&state, &token, &LIFETIMES, 99);
        let (state, token) = rotate(&state, &token, &LIFETIMES, 198);
        assert_eq!(state.idle_ends_at, 1_250);
        assert_eq!(
            present(&state, &token, &LIFETIMES, 250),
            Err(RefreshRejected::Expired)
        );
        // A clock that was ahead and is set right has ended nothing.
        rotate(&state, &token, &LIFETIMES, 249);
    }

    #[test]
    fn refresh_never_extends_the_scope_or_changes_the_client() {
        let (state, token) = start(&LIFETIMES);
        let ask = |is_client, scope| {
            state.present(
                &token,
                is_client,
                scope,
                &LIFETIMES,
                Salt::generate().unwrap(),
                at(1),
            )
        };
        for good in [None, Some("read"), Some("write read"), Some("read read")] {
            assert!(ask(true, good).is_ok(), "{good:?}");
        }
        for bad in [
            Some("admin"),
            Some("read admin"),
            Some("rea"),
            Some("READ"),
            Some("read  write"),
            Some(""),
        ] {
            assert_eq!(ask(true, bad), Err(RefreshRejected::Scope), "{bad:?}");
        }
        assert_eq!(ask(false, None), Err(RefreshRejected::Client));
    }

    #[test]
    fn record_keeps_the_greatest_dates_of_all_access_tokens() {
        // M02: records of what was issued, also after a change of clock or lifetime.
        let (mut state, mut token) = start(&LIFETIMES);
        assert_eq!((state.latest_iat, state.latest_exp), (1_000, 1_900));
        for (second, access, iat, exp) in [
            (50, 900, 1_050, 1_950),
            // The clock is set back, or the request reaches a machine whose clock is behind.
            (20, 900, 1_050, 1_950),
            // A release with a shorter lifetime.
            (60, 10, 1_060, 1_950),
            (70, 2_000, 1_070, 3_070),
            (65, 900, 1_070, 3_070),
        ] {
            let lifetimes = Lifetimes {
                access: Duration::from_secs(access),
                ..LIFETIMES
            };
            let before = state.use_order;
            (state, token) = rotate(&state, &token, &lifetimes, second);
            assert_eq!((state.latest_iat, state.latest_exp), (iat, exp), "{second}");
            assert!(state.use_order > before, "{second}");
        }
        // The record stays until the last of them has expired everywhere, ended or not.
        let record = |state: &State| state.to_record(token.session("i"), "i", "alice", "web");
        let last = time(3_070 + 300 + 60);
        assert_eq!(record(&state).expires_at(), last);
        assert_eq!(
            record(&state.to_ended(EndReason::Revoked)).expires_at(),
            last
        );
        let (idle, _) = start(&Lifetimes {
            access: Duration::from_secs(5),
            ..LIFETIMES
        });
        assert_eq!(record(&idle).expires_at(), time(1_100 + 360));
        assert_eq!(
            record(&idle.to_ended(EndReason::Revoked)).expires_at(),
            time(1_005 + 360)
        );
    }

    #[test]
    fn ended_session_accepts_no_token() {
        // M03: endings resume
        let (state, first) = start(&LIFETIMES);
        let (state, second) = rotate(&state, &first, &LIFETIMES, 1);
        let ended = state.to_ended(EndReason::Reused);
        for token in [&first, &second] {
            for second_of in [0, 1, 50, 5_000] {
                let step = present(&ended, token, &LIFETIMES, second_of);
                assert_eq!(step, Err(RefreshRejected::Ended(EndReason::Reused)));
            }
        }
        // Nor after it was stored.
        let record = ended.to_record(first.session("i"), "i", "alice", "web");
        assert_eq!(State::from_record(&record).unwrap(), ended);
    }

    #[test]
    fn stored_session_round_trips_and_contains_no_token() {
        let (state, first) = start(&LIFETIMES);
        let (state, second) = rotate(&state, &first, &LIFETIMES, 1);
        let record = state.to_record(first.session("i"), "i", "alice", "web");
        assert_eq!((record.issuer(), record.version()), ("i", 0));
        assert_eq!(state.to_successor(&record).version(), 1);
        assert_eq!(State::from_record(&record).unwrap(), state);
        let text = String::from_utf8(record.data().to_vec()).unwrap();
        for token in [&first, &second] {
            let text_of = token.to_text();
            assert!(!text.contains(&text_of[22..]) && !text.contains(&text_of[..21]));
        }
    }
}
