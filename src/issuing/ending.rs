//! Session termination, and revocation of issued tokens.
//!
//! A session ends in three steps. The process may die after each of them (M03: endings resume). First its
//! record is marked as ended, by compare-and-set: no refresh token of it is accepted any more, also if the
//! next steps fail. Then the hub revokes its access tokens, until the latest of them has expired. The record
//! holds that time (M02: records of what was issued). Then the record is removed. A request that finds a
//! marked record completes the last two steps.

use std::future::Future;
use std::time::SystemTime;

use aws_lc_rs::digest::{SHA256, digest};

use super::access_claims::MAX_ACCESS_TTL;
use super::issuer::{ATTEMPTS, Inner};
use super::session::{EndReason, MARGIN, State, time};
use super::{IssuingError, TokenIssuer};
use crate::clock::seconds;
use crate::issuing::store::{SessionId, SessionRecord, SessionsOf, StoreError};
use crate::revocation::{Revocation, RevocationClaims};

/// Page size for listing sessions.
pub(super) const PAGE: usize = 256;
/// Limit of individually revoked access tokens per session. The next one ends the session (M05: bounded entries).
const MAX_REVOKED_TOKENS: usize = 16;

/// A session that is marked as ended, or whose record cannot be read.
pub(super) struct EndedSession {
    id: SessionId,
    /// The greatest `iat` of its access tokens.
    latest_iat: u64,
    /// When the last of its access tokens has expired, for machines whose clocks differ.
    until: u64,
    is_marked: bool,
    /// Whether this request has marked the session.
    is_new: bool,
}

impl EndedSession {
    fn of(record: &SessionRecord) -> Self {
        match State::from_record(record) {
            Ok(state) => Self::new(record, &state, false),
            Err(_) => Self::unreadable(record),
        }
    }

    fn new(record: &SessionRecord, state: &State, is_new: bool) -> Self {
        Self {
            id: record.id(),
            latest_iat: state.latest_iat,
            until: state.latest_exp.saturating_add(MARGIN.as_secs()),
            is_marked: true,
            is_new,
        }
    }

    /// Creates the entry for a record whose data cannot be read. The revocation lasts until the record
    /// expires, since no token outlives the record.
    fn unreadable(record: &SessionRecord) -> Self {
        Self {
            id: record.id(),
            latest_iat: u64::MAX,
            until: record.expires_at_second(),
            is_marked: false,
            is_new: true,
        }
    }
}

/// The errors of an operation on many sessions.
#[derive(Default)]
struct Failures {
    worst: Option<IssuingError>,
    /// The hub is unavailable, so it is not called again for each session.
    hub_is_away: bool,
}

impl Failures {
    /// Notes an error. If the hub is full, every session has ended all the same; after any other error, a
    /// session may not have ended.
    fn note(&mut self, error: IssuingError) {
        if self.worst.as_ref().is_none_or(IssuingError::is_full) {
            self.worst = Some(error);
        }
    }

    fn note_hub(&mut self, error: IssuingError) {
        self.hub_is_away |= !error.is_full();
        self.note(error);
    }
}

impl TokenIssuer {
    /// Ends a session: its refresh token is rejected, and its access tokens are revoked. Returns whether
    /// there was such a session.
    ///
    /// Does not check the user; see [`end_session_of`](Self::end_session_of). In the handler of a logout, with a
    /// `token: Authenticated<AccessToken>`, the id is `token.session().and_then(|id| id.parse().ok())`.
    ///
    /// # Errors
    ///
    /// [`IssuingError::Store`] if the session may have ended only in part. Its access tokens may still be
    /// valid; try again.
    pub async fn end_session(&self, id: SessionId) -> Result<bool, IssuingError> {
        match self.find(id).await? {
            Some(record) => self.end(record, EndReason::Revoked).await,
            None => Ok(false),
        }
    }

    /// Ends a session if it belongs to `subject`. Returns `false` for a session of another user, as if there were none.
    ///
    /// # Errors
    ///
    /// As for [`end_session`](Self::end_session).
    pub async fn end_session_of(&self, subject: &str, id: SessionId) -> Result<bool, IssuingError> {
        match self.find(id).await? {
            Some(record) if record.subject() == subject => {
                self.end(record, EndReason::Revoked).await
            }
            _ => Ok(false),
        }
    }

    /// Ends all sessions of a user or client at this issuer, and revokes every access token that was issued to it until now,
    /// also those without a session. Returns how many sessions there were. Sessions that begin before it returns may end as
    /// well. The work continues if the future is dropped, within a runtime of tokio.
    ///
    /// # Clock skew
    ///
    /// All access tokens of the sessions are revoked, also if the clocks of the machines differ and if other
    /// lifetimes were configured when they were issued. Access tokens without a session leave no record. They
    /// are revoked if their `iat` is not later than now by the clock of this machine. Such a token remains
    /// valid in two cases: a machine whose clock is *d* seconds ahead issued it less than *d* seconds before
    /// this call, or another process dated it up to 60 seconds ahead after an earlier call.
    ///
    /// Tokens that were issued within the same second are revoked too, since `iat` has no fraction. Later
    /// logins are given tokens that are dated after the revocation, up to 60 seconds ahead. If the clock of
    /// this machine is ahead of another one by more than that, logins of this user fail there with
    /// [`IssuingError::Revocations`] until the excess over 60 seconds has passed. A third machine that is
    /// behind both rejects a token dated ahead until the difference is within the leeway of its validator.
    ///
    /// The entry stays in the hub and its store for as long as a refresh token is valid, at least a day:
    /// limit how often a client may call this.
    ///
    /// # Errors
    ///
    /// [`IssuingError::Store`] if some sessions may not have ended; try again. After [`StoreError::Full`] every
    /// session has ended, and access tokens may still be valid until they expire.
    pub async fn end_sessions(&self, of: SessionsOf<'_>) -> Result<usize, IssuingError> {
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

    async fn end_all(&self, of: SessionsOf<'_>) -> Result<usize, IssuingError> {
        let mut failures = Failures::default();
        let mut entry: Option<(u64, SystemTime)> = None;
        let mut ended = 0;
        // The second pass ends the sessions of logins that ran during the first one.
        for pass in 0..2 {
            let now = self.inner.clock.now();
            // All access tokens are revoked first, since there may be very many sessions. If that fails,
            // every session is ended nevertheless, with its own entry where the hub has capacity.
            if entry.is_none_or(|(second, _)| seconds(now) > second) {
                match self.revoke_issued(of, now).await {
                    Ok(revoked) => entry = Some(revoked),
                    Err(error) => failures.note_hub(error),
                }
            }
            let covers = |session: &EndedSession| {
                entry.is_some_and(|(second, until)| {
                    session.latest_iat <= second && session.until <= seconds(until)
                })
            };
            let counts = |session: &EndedSession| pass == 0 || session.is_new;
            ended += self
                .end_listed(of, |_| true, covers, counts, &mut failures)
                .await?;
        }
        match failures.worst {
            Some(error) => Err(error),
            None => Ok(ended),
        }
    }

    /// Ends those of the listed sessions that match. Returns how many of them count.
    async fn end_listed(
        &self,
        of: SessionsOf<'_>,
        matches: impl Fn(Option<&State>) -> bool,
        is_covered: impl Fn(&EndedSession) -> bool,
        counts: impl Fn(&EndedSession) -> bool,
        failures: &mut Failures,
    ) -> Result<usize, IssuingError> {
        let inner = &*self.inner;
        let (mut ended, mut after) = (0, None);
        loop {
            let page = inner.sessions.list(&inner.issuer, of, after, PAGE).await?;
            after = page.last().map(SessionRecord::id);
            let is_last = page.len() < PAGE;
            for record in page {
                if !matches(State::from_record(&record).ok().as_ref()) {
                    continue;
                }
                let session = match self.mark_ended(record, EndReason::Revoked).await {
                    Ok(Some(session)) => session,
                    Ok(None) => continue,
                    // One contended session does not stop the others from ending.
                    Err(error @ IssuingError::Store(StoreError::Contended)) => {
                        failures.note(error);
                        continue;
                    }
                    Err(error) => return Err(error),
                };
                ended += usize::from(counts(&session));
                if !is_covered(&session) {
                    if failures.hub_is_away {
                        continue;
                    }
                    if let Err(error) = inner.revoke_access_tokens(&session).await {
                        failures.note_hub(error);
                        continue;
                    }
                }
                if let Err(error) = inner.remove_expired(&session).await {
                    failures.note(error);
                }
            }
            if is_last {
                return Ok(ended);
            }
            // A store in memory never waits, and there may be very many sessions.
            tokio::task::yield_now().await;
        }
    }

    /// Revokes all access tokens of a user whose [version](super::Grant::token_version) is below this one,
    /// and ends the sessions in which they were issued. Use it in applications that increment a number of the
    /// user when the password or the rights change. The work continues if the future is dropped, within a
    /// runtime of tokio.
    ///
    /// # Errors
    ///
    /// [`IssuingError::Store`]: try again.
    pub async fn revoke_versions_below(
        &self,
        subject: &str,
        version: u64,
    ) -> Result<(), IssuingError> {
        let issuer = self.clone();
        let subject = subject.to_owned();
        to_completion(async move { issuer.end_versions_below(&subject, version).await }).await
    }

    async fn end_versions_below(&self, subject: &str, version: u64) -> Result<(), IssuingError> {
        let inner = &*self.inner;
        let until = inner.until_refreshed(inner.clock.now());
        let revocation = Revocation::versions_below(Some(&inner.issuer), subject, version, until);
        let mut failures = Failures::default();
        let revoked = inner.hub.revoke(&revocation).await;
        let is_revoked = revoked.is_ok();
        if let Err(error) = revoked {
            failures.note_hub(error.into());
        }
        let is_below = |state: Option<&State>| {
            state.is_none_or(|state| state.token_version.unwrap_or(0) < version)
        };
        let is_covered = |session: &EndedSession| is_revoked && session.until <= seconds(until);
        let of = SessionsOf::Subject(subject);
        // Twice, for logins that run meanwhile.
        for _ in 0..2 {
            self.end_listed(of, is_below, is_covered, |_| true, &mut failures)
                .await?;
        }
        failures.worst.map_or(Ok(()), Err)
    }

    /// Revokes one access token, or ends its session if the limit of individually revoked tokens is reached.
    pub(super) async fn revoke_access_token(
        &self,
        token_id: &str,
        session: Option<SessionId>,
        expires_at: SystemTime,
    ) -> Result<(), IssuingError> {
        let issuer = self.clone();
        let token_id = token_id.to_owned();
        // Validators on machines whose clock is behind accept the token longer than the store would keep the entry.
        let until = expires_at.checked_add(MARGIN).unwrap_or(expires_at);
        to_completion(async move {
            let inner = &*issuer.inner;
            if let Some(id) = session
                && issuer.count_revoked_token(id, &token_id, until).await?
            {
                return Ok(());
            }
            let revocation = Revocation::token(Some(&inner.issuer), &token_id, until);
            Ok(inner.hub.revoke(&revocation).await?)
        })
        .await
    }

    /// Counts a revoked access token in the record of its session. Returns `true` if the whole session was
    /// revoked instead: the limit is reached, the session has ended, or there is no record.
    async fn count_revoked_token(
        &self,
        id: SessionId,
        token_id: &str,
        until: SystemTime,
    ) -> Result<bool, IssuingError> {
        let inner = &*self.inner;
        let token = short_digest(token_id);
        for _ in 0..ATTEMPTS {
            let Some(record) = self.find(id).await? else {
                // Nearly all tokens of the session get the same expiry, since stores keep an entry for each expiry.
                let day = MAX_ACCESS_TTL.as_secs();
                let until = time(seconds(until).div_ceil(day).saturating_mul(day));
                let id = id.to_string();
                let revocation = Revocation::session(Some(&inner.issuer), &id, until);
                inner.hub.revoke(&revocation).await?;
                return Ok(true);
            };
            let next = match State::from_record(&record) {
                Ok(state) if state.ended.is_none() && state.revoked_tokens.contains(&token) => {
                    return Ok(false);
                }
                Ok(state)
                    if state.ended.is_none() && state.revoked_tokens.len() < MAX_REVOKED_TOKENS =>
                {
                    state.with_revoked_token(token).to_successor(&record)
                }
                _ => {
                    self.end_one(record, EndReason::Revoked).await?;
                    return Ok(true);
                }
            };
            if inner.sessions.replace(next).await? {
                return Ok(false);
            }
        }
        Err(StoreError::Contended.into())
    }

    /// Revokes the tokens issued until now. Returns the latest revoked `iat`, and the expiry of the revocation.
    async fn revoke_issued(
        &self,
        of: SessionsOf<'_>,
        now: SystemTime,
    ) -> Result<(u64, SystemTime), IssuingError> {
        let inner = &*self.inner;
        let issuer = Some(&*inner.issuer);
        let all = RevocationClaims::new()
            .with_issuer(issuer)
            .with_version(u64::MAX);
        let all = match of {
            SessionsOf::Subject(subject) => all.with_subject(subject),
            SessionsOf::Client(client) => all.with_client(client),
        };
        // If all tokens issued until now are revoked already, there may be tokens that were dated ahead. An
        // unavailable hub must not prevent the revocation.
        let moment = inner.earliest_iat(all, now).ok().flatten().unwrap_or(now);
        // Covers tokens without a session that were dated ahead because of a revocation of another kind.
        let ahead = inner.dated_ahead.latest(of, seconds(now));
        let moment = moment.max(ahead.map_or(now, time));
        // A session that a login is about to store is found to be revoked when it is refreshed.
        let until = inner.until_refreshed(moment);
        let revocation = match of {
            SessionsOf::Subject(subject) => Revocation::subject(issuer, subject, moment, until),
            SessionsOf::Client(client) => Revocation::client(issuer, client, moment, until),
        };
        inner.hub.revoke(&revocation).await?;
        Ok((seconds(moment), until))
    }

    /// Returns the record of a session of this issuer (M01: separate issuers).
    pub(super) async fn find(&self, id: SessionId) -> Result<Option<SessionRecord>, IssuingError> {
        let found = self.inner.sessions.find(id).await?;
        Ok(found.filter(|record| record.issuer() == self.inner.issuer))
    }

    /// Ends one session. The work continues if the future is dropped.
    pub(super) async fn end(
        &self,
        record: SessionRecord,
        reason: EndReason,
    ) -> Result<bool, IssuingError> {
        let issuer = self.clone();
        to_completion(async move { issuer.end_one(record, reason).await }).await
    }

    pub(super) async fn end_one(
        &self,
        record: SessionRecord,
        reason: EndReason,
    ) -> Result<bool, IssuingError> {
        let inner = &*self.inner;
        let known = EndedSession::of(&record);
        match self.mark_ended(record, reason).await {
            Ok(Some(session)) => {
                inner.revoke_access_tokens(&session).await?;
                inner.remove_expired(&session).await?;
                Ok(true)
            }
            Ok(None) => Ok(false),
            Err(error) => {
                // The mark was not written, so the caller gets the error. This process rejects the session meanwhile.
                let _ = inner.revoke_access_tokens(&known).await;
                Err(error)
            }
        }
    }

    /// Marks a session as ended. The result covers all tokens of the session. `None` if there is no record
    /// any more, because another request has ended the session.
    async fn mark_ended(
        &self,
        record: SessionRecord,
        reason: EndReason,
    ) -> Result<Option<EndedSession>, IssuingError> {
        let mut record = record;
        for _ in 0..ATTEMPTS {
            let Ok(state) = State::from_record(&record) else {
                return Ok(Some(EndedSession::unreadable(&record)));
            };
            if state.ended.is_some() {
                return Ok(Some(EndedSession::new(&record, &state, false)));
            }
            let marked = state.to_ended(reason).to_successor(&record);
            if self.inner.sessions.replace(marked).await? {
                return Ok(Some(EndedSession::new(&record, &state, true)));
            }
            match self.find(record.id()).await? {
                Some(changed) => record = changed,
                None => return Ok(None),
            }
        }
        Err(StoreError::Contended.into())
    }
}

impl Inner {
    async fn revoke_access_tokens(&self, session: &EndedSession) -> Result<(), IssuingError> {
        let id = session.id.to_string();
        let revocation = Revocation::session(Some(&self.issuer), &id, time(session.until));
        Ok(self.hub.revoke(&revocation).await?)
    }

    /// Removes the record of a session whose access tokens are revoked.
    async fn remove_expired(&self, session: &EndedSession) -> Result<(), IssuingError> {
        match self.sessions.remove(session.id).await {
            // The mark is final. The store removes the record when the access tokens of the session have expired.
            Err(_) if session.is_marked => Ok(()),
            Err(error) => Err(error.into()),
            Ok(_) => Ok(()),
        }
    }
}

/// Returns a digest of 64 bits. Token ids are random, so it identifies a token within its session.
fn short_digest(token_id: &str) -> u64 {
    let all = digest(&SHA256, token_id.as_bytes());
    let first = all.as_ref().first_chunk().copied();
    first.map_or(0, u64::from_be_bytes)
}

/// Spawns the work, so that it completes if the caller drops the future. Without a runtime of tokio, the work
/// runs in place.
pub(super) async fn to_completion<T: Send + 'static>(
    work: impl Future<Output = Result<T, IssuingError>> + Send + 'static,
) -> Result<T, IssuingError> {
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => runtime
            .spawn(work)
            .await
            .unwrap_or_else(|error| Err(StoreError::unavailable("of sessions", error).into())),
        Err(_) => work.await,
    }
}
