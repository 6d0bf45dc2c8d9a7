//! Ending sessions, and revoking what was issued.
//!
//! A session ends in three steps, each of which may be the last one that happens (M03). First its record is marked as ended, by
//! compare-and-set: no refresh token of it is accepted any more, also if the next steps fail. Then the hub revokes its access
//! tokens, until the latest of them has expired, which the record knows (M02). Then the record is removed. A request that
//! finds a marked record completes the last two steps.

use std::future::Future;
use std::time::SystemTime;

use super::issuer::{ATTEMPTS, Inner};
use super::session::{MARGIN, State, micros, time};
use super::{IssueError, TokenIssuer};
use crate::revocation::{Revocation, Revocations, TokenIdentity, seconds};
use crate::store::{SessionId, SessionRecord, SessionsOf, StoreError};

/// So many sessions are read at a time.
const PAGE: usize = 256;
/// So many access tokens of a session are revoked one by one. One more ends the session instead, so that no client fills
/// the hub (M05).
const MAX_REVOKED_TOKENS: u32 = 16;

/// A session that has been marked as ended, or that cannot be read.
struct Ended {
    id: SessionId,
    /// The greatest `iat` of its access tokens.
    latest_iat: u64,
    /// When the last of its access tokens has expired, for machines whose clocks differ.
    until: u64,
    is_marked: bool,
}

impl Ended {
    fn of(record: &SessionRecord) -> Self {
        match State::from_record(record) {
            Ok(state) => Self::new(record, &state),
            Err(_) => Self::unreadable(record),
        }
    }

    fn new(record: &SessionRecord, state: &State) -> Self {
        Self {
            id: record.id(),
            latest_iat: state.latest_iat,
            until: state.latest_exp.saturating_add(MARGIN.as_secs()),
            is_marked: true,
        }
    }

    /// Of a record whose data cannot be read, its end is known: no token of it is accepted after that.
    fn unreadable(record: &SessionRecord) -> Self {
        Self {
            id: record.id(),
            latest_iat: u64::MAX,
            until: record.ends_at_second(),
            is_marked: false,
        }
    }

    /// Whether a revocation of everything that was issued until `second` concerns all its access tokens.
    fn is_covered(&self, issued_until: u64, until: SystemTime) -> bool {
        self.latest_iat <= issued_until && self.until <= seconds(until)
    }
}

impl TokenIssuer {
    /// Ends a session: its refresh token is rejected, and its access tokens are revoked. Returns whether there was such a
    /// session.
    ///
    /// Its user is not checked; [`end_session_of`](Self::end_session_of) does that. In the handler of a logout, with a
    /// `token: Authenticated<AccessToken>`, the id is `token.session().and_then(|id| id.parse().ok())`.
    ///
    /// # Errors
    ///
    /// [`IssueError::Store`]: try again. No refresh token of the session may be accepted any more, but its access tokens may
    /// still be valid.
    pub async fn end_session(&self, id: SessionId) -> Result<bool, IssueError> {
        match self.find(id).await? {
            Some(record) => self.end(record).await,
            None => Ok(false),
        }
    }

    /// Does the same if it is a session of this user. Returns `false` for a session of another user, as if there were none.
    ///
    /// # Errors
    ///
    /// As for [`end_session`](Self::end_session).
    pub async fn end_session_of(&self, subject: &str, id: SessionId) -> Result<bool, IssueError> {
        match self.find(id).await? {
            Some(record) if record.subject() == subject => self.end(record).await,
            _ => Ok(false),
        }
    }

    /// Ends all sessions of a user or client at this issuer, and revokes every access token that was issued to it until now,
    /// also those without a session. Returns how many sessions there were. The work continues if the future is dropped,
    /// within a runtime of tokio.
    ///
    /// # What it covers when clocks differ
    ///
    /// All access tokens of the sessions are revoked, also if the clocks of the machines differ and if other lifetimes were
    /// configured when they were issued. Of access tokens without a session, which leave no record, those are revoked whose `iat`
    /// is not later than now by the clock of this machine: a token survives if it was issued by a machine whose clock is ahead
    /// of this one, within as many seconds before this call as the clocks differ.
    ///
    /// Tokens that were issued within the same second are revoked too, since `iat` has no fraction. Later logins are given
    /// tokens that are dated after the revocation, up to 60 seconds ahead. If the clock of this machine is ahead of others by
    /// more than that, logins of this user fail there with [`IssueError::Revocations`] for the rest of the difference.
    ///
    /// The entry stays in the hub and its store for as long as a refresh token is valid, at least a day: limit how often a
    /// client may call this.
    ///
    /// # Errors
    ///
    /// [`IssueError::Store`]: some sessions may have been ended, try again. With [`StoreError::Full`] all have been, but access
    /// tokens may still be valid until they expire.
    pub async fn end_sessions(&self, of: SessionsOf<'_>) -> Result<usize, IssueError> {
        let issuer = self.clone();
        let (is_subject, name) = match of {
            SessionsOf::Subject(name) => (true, name.to_owned()),
            SessionsOf::Client(name) => (false, name.to_owned()),
        };
        to_completion(async move {
            let of = match is_subject {
                true => SessionsOf::Subject(&name),
                false => SessionsOf::Client(&name),
            };
            issuer.end_all(of).await
        })
        .await
    }

    async fn end_all(&self, of: SessionsOf<'_>) -> Result<usize, IssueError> {
        let inner = &*self.inner;
        // All access tokens first, since there may be very many sessions. If it fails, every session is ended all the
        // same, with an entry of its own where the hub has room.
        let mut revoked = self.revoke_issued(of, inner.clock.now()).await;
        let covered = revoked.as_ref().ok().copied();
        let mut failure = revoked.as_ref().err().cloned();
        // A hub that cannot be reached is not tried again for each session.
        let is_away = |error: &IssueError| !error.is_full();
        let mut hub_is_away = failure.as_ref().is_some_and(is_away);
        let (mut ended, mut after) = (0, None);
        loop {
            let page = inner.sessions.list(&inner.issuer, of, after, PAGE).await?;
            after = page.last().map(SessionRecord::id);
            let is_last = page.len() < PAGE;
            for record in page {
                let session = match self.mark_ended(record).await {
                    Ok(Some(session)) => session,
                    Ok(None) => continue,
                    // A client that uses one session all the time does not keep the others alive.
                    Err(contended @ IssueError::Store(StoreError::Contended)) => {
                        failure = Some(contended);
                        continue;
                    }
                    Err(error) => return Err(error),
                };
                ended += 1;
                let is_covered =
                    covered.is_some_and(|(second, until)| session.is_covered(second, until));
                let done = match (is_covered, hub_is_away) {
                    (true, _) => inner.remove_ended(&session).await,
                    (false, true) => Ok(()),
                    (false, false) => inner.complete(&session).await,
                };
                if let Err(error) = done {
                    hub_is_away |= is_away(&error);
                    failure = Some(error);
                }
            }
            if is_last {
                break;
            }
        }
        // A login may have stored its session since.
        let later = inner.clock.now();
        if let Ok((second, _)) = revoked
            && seconds(later) > second
        {
            revoked = self.revoke_issued(of, later).await;
        }
        match failure {
            Some(error) => Err(error),
            None => revoked.map(|_| ended),
        }
    }

    /// Revokes all access tokens of a user whose [version](super::Grant::token_version) is below this one, and ends the sessions
    /// in which they were issued, at their next refresh. For applications that count up a number at the user when the password
    /// or the rights change.
    ///
    /// # Errors
    ///
    /// [`IssueError::Store`]: try again.
    pub async fn revoke_versions_below(
        &self,
        subject: &str,
        version: u64,
    ) -> Result<(), IssueError> {
        let inner = &*self.inner;
        let until = inner.until_refreshed(inner.clock.now());
        let issuer = Some(&*inner.issuer);
        let revocation = Revocation::versions_below(issuer, subject, version, until);
        let hub = inner.hub.clone();
        to_completion(async move { Ok(hub.revoke(&revocation).await?) }).await
    }

    /// Revokes one access token, or ends its session if that has had enough of this.
    pub(super) async fn revoke_access_token(
        &self,
        token_id: &str,
        session: Option<SessionId>,
        expires_at: SystemTime,
    ) -> Result<(), IssueError> {
        let issuer = self.clone();
        let token_id = token_id.to_owned();
        to_completion(async move {
            let inner = &*issuer.inner;
            let token = TokenIdentity::new()
                .with_issuer(&*inner.issuer)
                .with_token_id(&*token_id);
            // The same token again takes no further entry.
            let is_known = inner.hub.is_revoked(&token, inner.clock.now());
            if let (Some(id), false) = (session, is_known.unwrap_or(false))
                && issuer.count_revoked_token(id, expires_at).await?
            {
                return Ok(());
            }
            let revocation = Revocation::token(Some(&inner.issuer), &token_id, expires_at);
            Ok(inner.hub.revoke(&revocation).await?)
        })
        .await
    }

    /// Enters into the record of a session that one more of its access tokens is revoked. Returns whether all of them are,
    /// with one entry: because that was one too many, or because there is no such session any more.
    async fn count_revoked_token(
        &self,
        id: SessionId,
        expires_at: SystemTime,
    ) -> Result<bool, IssueError> {
        let inner = &*self.inner;
        for _ in 0..ATTEMPTS {
            let Some(record) = self.find(id).await? else {
                let id = id.to_string();
                let revocation = Revocation::session(Some(&inner.issuer), &id, expires_at);
                inner.hub.revoke(&revocation).await?;
                return Ok(true);
            };
            let next = match State::from_record(&record) {
                Ok(state) if !state.is_ended && state.revoked_tokens < MAX_REVOKED_TOKENS => {
                    state.with_revoked_token().to_successor(&record)
                }
                _ => {
                    self.end_one(record).await?;
                    return Ok(true);
                }
            };
            if inner.sessions.replace(next).await? {
                return Ok(false);
            }
        }
        Err(StoreError::Contended.into())
    }

    /// Revokes what was issued until now. Returns the last second of `iat` that is concerned, and until when.
    async fn revoke_issued(
        &self,
        of: SessionsOf<'_>,
        now: SystemTime,
    ) -> Result<(u64, SystemTime), IssueError> {
        let inner = &*self.inner;
        let issuer = Some(&*inner.issuer);
        let all = TokenIdentity::new()
            .with_issuer(issuer)
            .with_version(u64::MAX);
        let all = match of {
            SessionsOf::Subject(subject) => all.with_subject(subject),
            SessionsOf::Client(client) => all.with_client(client),
        };
        // If everything until now is revoked already, there may be tokens that were dated to the next second. A hub that
        // cannot answer is no reason to end nothing.
        let moment = inner
            .first_good_second(all, now)
            .ok()
            .flatten()
            .unwrap_or(now);
        // Also if that was a revocation of another kind: a user logs in again and the client is ended now.
        let moment = moment.max(inner.dated(now));
        // A session that a login is about to store is found to be revoked when it is refreshed.
        let until = inner.until_refreshed(moment);
        let revocation = match of {
            SessionsOf::Subject(subject) => Revocation::subject(issuer, subject, moment, until),
            SessionsOf::Client(client) => Revocation::client(issuer, client, moment, until),
        };
        inner.hub.revoke(&revocation).await?;
        Ok((seconds(moment), until))
    }

    /// Returns the record of a session of this issuer (M01).
    pub(super) async fn find(&self, id: SessionId) -> Result<Option<SessionRecord>, IssueError> {
        let found = self.inner.sessions.find(id).await?;
        Ok(found.filter(|record| record.issuer() == self.inner.issuer))
    }

    /// Ends one session. The work continues if the future is dropped.
    pub(super) async fn end(&self, record: SessionRecord) -> Result<bool, IssueError> {
        let issuer = self.clone();
        to_completion(async move { issuer.end_one(record).await }).await
    }

    async fn end_one(&self, record: SessionRecord) -> Result<bool, IssueError> {
        let inner = &*self.inner;
        let known = Ended::of(&record);
        match self.mark_ended(record).await {
            Ok(Some(session)) => inner.complete(&session).await.map(|()| true),
            Ok(None) => Ok(false),
            Err(error) => {
                // Not ended for good, so the caller gets an error and tries again. This process rejects its access tokens.
                let _ = inner.revoke_access_tokens(&known).await;
                Err(error)
            }
        }
    }

    /// Marks a session as ended, with all that was issued for it until this moment. `None` if there is no record any more:
    /// another request has ended it.
    async fn mark_ended(&self, record: SessionRecord) -> Result<Option<Ended>, IssueError> {
        let mut record = record;
        for _ in 0..ATTEMPTS {
            let Ok(state) = State::from_record(&record) else {
                return Ok(Some(Ended::unreadable(&record)));
            };
            if state.is_ended {
                return Ok(Some(Ended::new(&record, &state)));
            }
            let marked = state.ended().to_successor(&record);
            if self.inner.sessions.replace(marked).await? {
                return Ok(Some(Ended::new(&record, &state)));
            }
            match self.find(record.id()).await? {
                Some(changed) => record = changed,
                None => return Ok(None),
            }
        }
        Err(StoreError::Contended.into())
    }

    /// Returns the place of a new session in the order of use: behind all others of the user, also behind those that were
    /// used on a machine whose clock is ahead.
    pub(super) async fn next_use(&self, subject: &str, now: SystemTime) -> Result<u64, IssueError> {
        let others = self.counted(subject).await?;
        let latest = others.into_iter().map(|(order, _)| order).max();
        let next = latest.map_or(0, |latest| latest.saturating_add(1));
        Ok(micros(now).max(next))
    }

    /// Ends the sessions of a user that exceed the limit, those first that were unused for longest. A new session has been
    /// stored before, so of many logins at once the last one sees all (M06).
    pub(super) async fn enforce_limit(&self, subject: &str) -> Result<(), IssueError> {
        let mut counted = self.counted(subject).await?;
        let excess = counted.len().saturating_sub(self.inner.max_sessions);
        counted.sort_unstable();
        for (_, id) in counted.into_iter().take(excess) {
            match self.end_session(id).await {
                // The session has ended, and no user has asked for its access tokens to be revoked.
                Err(error) if error.is_full() => {}
                other => _ = other?,
            }
        }
        Ok(())
    }

    /// Returns the sessions of a user that count towards the limit, with their order of use: neither expired nor ended. An
    /// ending that was not completed is completed.
    async fn counted(&self, subject: &str) -> Result<Vec<(u64, SessionId)>, IssueError> {
        let inner = &*self.inner;
        let mut counted = Vec::new();
        if inner.max_sessions == usize::MAX {
            return Ok(counted);
        }
        let now = inner.clock.now();
        let of = SessionsOf::Subject(subject);
        let mut after = None;
        loop {
            let page = inner.sessions.list(&inner.issuer, of, after, PAGE).await?;
            let is_last = page.len() < PAGE;
            after = page.last().map(SessionRecord::id);
            for record in page {
                match State::from_record(&record) {
                    Ok(state) if state.is_ended => match self.end(record).await {
                        Err(error) if error.is_full() => {}
                        other => _ = other?,
                    },
                    Ok(state) if state.is_over(&inner.lifetimes, now) => {}
                    Ok(state) => counted.push((state.use_order, record.id())),
                    // One that cannot be read is ended first.
                    Err(_) => counted.push((0, record.id())),
                }
            }
            if is_last {
                return Ok(counted);
            }
        }
    }
}

impl Inner {
    /// Completes the ending of a session.
    async fn complete(&self, session: &Ended) -> Result<(), IssueError> {
        self.revoke_access_tokens(session).await?;
        self.remove_ended(session).await
    }

    async fn revoke_access_tokens(&self, session: &Ended) -> Result<(), IssueError> {
        let id = session.id.to_string();
        let revocation = Revocation::session(Some(&self.issuer), &id, time(session.until));
        Ok(self.hub.revoke(&revocation).await?)
    }

    /// Removes the record of a session whose access tokens are revoked.
    async fn remove_ended(&self, session: &Ended) -> Result<(), IssueError> {
        match self.sessions.remove(session.id).await {
            // The mark has ended it for good. The record is cleared away when its access tokens have expired.
            Err(_) if session.is_marked => Ok(()),
            Err(error) => Err(error.into()),
            Ok(_) => Ok(()),
        }
    }
}

/// Continues when the caller is gone, within a runtime of tokio.
async fn to_completion<T: Send + 'static>(
    work: impl Future<Output = Result<T, IssueError>> + Send + 'static,
) -> Result<T, IssueError> {
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => runtime
            .spawn(work)
            .await
            .unwrap_or_else(|error| Err(StoreError::unavailable("of sessions", error).into())),
        Err(_) => work.await,
    }
}
