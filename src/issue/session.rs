//! A session, and what a refresh token does to it. Pure: the time goes in, the next state comes out.

use std::fmt;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::refresh_token::{Digest, RefreshToken, Salt};
use super::scopes;
use crate::revocation::seconds;
use crate::store::{SessionId, SessionRecord, StoreError};

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
    pub(crate) previous: Option<Spent>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spent {
    digest: Digest,
    at: u64,
    salt: Salt,
}

/// The settings that concern sessions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lifetimes {
    pub(crate) idle: Duration,
    pub(crate) session: Duration,
    pub(crate) grace: Duration,
}

/// What comes of presenting a refresh token.
#[derive(Debug, PartialEq)]
pub(crate) enum Step {
    /// It was the current one: this state takes the place of the one before, and this token that of the presented one.
    Rotate(Box<State>, RefreshToken),
    /// It was spent a moment ago, and its holder asks again: the same token once more.
    Again(RefreshToken),
}

/// Why nothing comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoStep {
    /// It was issued to another client.
    Client,
    /// The session is over.
    Expired,
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
        now: SystemTime,
    ) -> Self {
        let now = seconds(now);
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
        }
    }

    /// The latest second to which one of its tokens is dated.
    pub(crate) fn dated(&self) -> u64 {
        self.last_used_at.max(self.started_at)
    }

    /// Also if the idle time has been made shorter since: what was revoked is remembered for that long.
    pub(crate) fn is_over(&self, lifetimes: &Lifetimes, now: SystemTime) -> bool {
        seconds(now)
            >= self
                .idle_ends_at
                .min(idle_end(self.dated(), self.ends_at, lifetimes))
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
    ) -> Result<Step, NoStep> {
        if !is_client {
            return Err(NoStep::Client);
        }
        if self.is_over(lifetimes, now) {
            return Err(NoStep::Expired);
        }
        let now = seconds(now);
        let step = if self.current.is_of(token) {
            let next = token.successor(&salt);
            let previous = (!lifetimes.grace.is_zero()).then_some(Spent {
                digest: self.current,
                at: now,
                salt,
            });
            let state = Self {
                last_used_at: now,
                idle_ends_at: idle_end(now, self.ends_at, lifetimes),
                current: next.digest(),
                previous,
                ..self.clone()
            };
            Step::Rotate(Box::new(state), next)
        } else {
            let spent = self.previous.as_ref().filter(|spent| {
                // Either way, since a clock may be set back.
                spent.digest.is_of(token) && spent.at.abs_diff(now) < lifetimes.grace.as_secs()
            });
            let spent = spent.ok_or(NoStep::Reused)?;
            Step::Again(token.successor(&spent.salt))
        };
        // Last, so that a spent token is noticed whatever it asks for, and before anything is spent.
        match scope {
            Some(scope) if !scopes::is_part_of(scope, &self.scope) => Err(NoStep::Scope),
            _ => Ok(step),
        }
    }

    /// The session stays for `outlived` after its end: as long as access tokens of it may be good, it can be ended.
    pub(crate) fn to_record(
        &self,
        id: SessionId,
        version: u64,
        subject: &str,
        client: &str,
        outlived: Duration,
    ) -> SessionRecord {
        // Texts, numbers and JSON that was read: there is nothing that could fail.
        let data = serde_json::to_vec(self).unwrap_or_default();
        let ends_at = self.idle_ends_at.saturating_add(outlived.as_secs());
        SessionRecord::new(id, version, subject, client, time(ends_at), data)
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
    pub(crate) fn from_record(record: &SessionRecord) -> Result<Self, StoreError> {
        let state = State::from_record(record)?;
        Ok(Self {
            id: record.id(),
            subject: record.subject().into(),
            client: record.client().into(),
            scope: state.scope,
            label: state.label,
            started_at: state.started_at,
            last_used_at: state.last_used_at,
            ends_at: state.ends_at,
            idle_ends_at: state.idle_ends_at,
        })
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

fn time(seconds: u64) -> SystemTime {
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
    use crate::issue::Grant;

    const LIFETIMES: Lifetimes = Lifetimes {
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
        (State::start(grant, &token, lifetimes, at(0)), token)
    }

    fn present(
        state: &State,
        token: &RefreshToken,
        lifetimes: &Lifetimes,
        second: u64,
    ) -> Result<Step, NoStep> {
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
    fn every_use_rotates_and_a_spent_one_is_noticed() {
        let lifetimes = Lifetimes {
            grace: Duration::ZERO,
            ..LIFETIMES
        };
        let (state, first) = start(&lifetimes);
        let (state, second) = rotate(&state, &first, &lifetimes, 1);
        assert_eq!(state.previous, None);
        assert_eq!(present(&state, &first, &lifetimes, 1), Err(NoStep::Reused));
        let (state, third) = rotate(&state, &second, &lifetimes, 1);
        assert_eq!(present(&state, &first, &lifetimes, 2), Err(NoStep::Reused));
        assert_eq!(present(&state, &second, &lifetimes, 2), Err(NoStep::Reused));
        rotate(&state, &third, &lifetimes, 2);
    }

    #[test]
    fn within_the_grace_the_same_answer_comes_again() {
        let (state, first) = start(&LIFETIMES);
        let (state, second) = rotate(&state, &first, &LIFETIMES, 20);
        for second_of in [20, 29, 11] {
            let again = present(&state, &first, &LIFETIMES, second_of);
            assert_eq!(again, Ok(Step::Again(second.clone())), "{second_of}");
        }
        for second_of in [30, 10, 99] {
            assert_eq!(
                present(&state, &first, &LIFETIMES, second_of),
                Err(NoStep::Reused),
                "{second_of}"
            );
        }
        // Who has used the second one has not lost it.
        let (state, _) = rotate(&state, &second, &LIFETIMES, 21);
        assert_eq!(present(&state, &first, &LIFETIMES, 21), Err(NoStep::Reused));
    }

    #[test]
    fn a_session_ends_idle_or_not() {
        let (state, token) = start(&LIFETIMES);
        assert_eq!(
            present(&state, &token, &LIFETIMES, 100),
            Err(NoStep::Expired)
        );
        let (state, token) = rotate(&state, &token, &LIFETIMES, 99);
        let (state, token) = rotate(&state, &token, &LIFETIMES, 198);
        assert_eq!(state.idle_ends_at, 1_250);
        assert_eq!(
            present(&state, &token, &LIFETIMES, 250),
            Err(NoStep::Expired)
        );
        // A clock that was ahead and is set right has ended nothing.
        rotate(&state, &token, &LIFETIMES, 249);
    }

    #[test]
    fn scopes_only_shrink_and_the_client_stays() {
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
            assert_eq!(ask(true, bad), Err(NoStep::Scope), "{bad:?}");
        }
        assert_eq!(ask(false, None), Err(NoStep::Client));
    }

    #[test]
    fn what_is_kept_is_what_there_was_and_no_token() {
        let (state, first) = start(&LIFETIMES);
        let (state, second) = rotate(&state, &first, &LIFETIMES, 1);
        let record = state.to_record(first.session(), 1, "alice", "web", Duration::from_secs(7));
        assert_eq!(record.ends_at(), time(state.idle_ends_at + 7));
        assert_eq!(State::from_record(&record).unwrap(), state);
        let text = String::from_utf8(record.data().to_vec()).unwrap();
        for token in [&first, &second] {
            let text_of = token.to_text();
            assert!(!text.contains(&text_of[22..]) && !text.contains(&text_of[..21]));
        }
    }
}
