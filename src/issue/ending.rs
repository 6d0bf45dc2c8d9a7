//! Ending sessions, and taking back what was issued.

use std::future::Future;
use std::time::{Duration, SystemTime};

use super::session::State;
use super::{IssueError, TokenIssuer};
use crate::revocation::{Revocation, TokenIdentity, seconds};
use crate::store::{SessionId, SessionRecord, SessionsOf, StoreError};

/// So many sessions are ended at a time.
const PAGE: usize = 256;

impl TokenIssuer {
    /// Ends a session: its refresh token is worthless, and its access tokens are refused from now on. Returns whether there
    /// was one.
    ///
    /// Whose it is is not looked at; [`end_session_of`](Self::end_session_of) is for users. In the handler of a logout, with a
    /// `token: Authenticated<AccessToken>`, it is `token.session().and_then(|id| id.parse().ok())`.
    ///
    /// # Errors
    ///
    /// [`IssueError::Store`]: try again.
    pub async fn end_session(&self, id: SessionId) -> Result<bool, IssueError> {
        match self.inner.sessions.find(id).await? {
            Some(record) => self.end(record).await,
            None => Ok(false),
        }
    }

    /// The same, if it is a session of this user. To have a foreign one is like having none.
    ///
    /// # Errors
    ///
    /// As for [`end_session`](Self::end_session).
    pub async fn end_session_of(&self, subject: &str, id: SessionId) -> Result<bool, IssueError> {
        match self.inner.sessions.find(id).await? {
            Some(record) if record.subject() == subject => self.end(record).await,
            _ => Ok(false),
        }
    }

    /// Ends all sessions of a user or client, and takes back every access token that was issued to it until now, also those
    /// without a session. Returns how many sessions there were. It goes on if the future is dropped, within a runtime of
    /// tokio.
    ///
    /// Tokens that were issued within the same second are taken back too, since `iat` has no fraction. Who logs in again at
    /// once is given tokens that are dated to the next one. What that leaves in the hub and its store stays as long as a refresh
    /// token is good: slow down who may call this over and over. Of tokens without a session, those that were issued by a machine
    /// whose clock is ahead may survive by as much.
    ///
    /// # Errors
    ///
    /// [`IssueError::Store`]: some may have been ended, try again.
    pub async fn end_sessions(&self, of: SessionsOf<'_>) -> Result<usize, IssueError> {
        let issuer = self.clone();
        let (is_subject, name) = match of {
            SessionsOf::Subject(name) => (true, name.to_owned()),
            SessionsOf::Client(name) => (false, name.to_owned()),
        };
        to_its_end(async move {
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
        let now = inner.clock.now();
        let revoked = self.revoke_issued(of, now).await;
        // A full hub stays full for a while: what cannot be taken back is at least not renewed.
        let issued_until = match &revoked {
            Ok(second) => *second,
            Err(error) if error.is_full() => seconds(now),
            Err(_) => return revoked.map(|_| 0),
        };
        let mut full = Ok(());
        let mut ended = 0;
        let mut after = None;
        loop {
            let page = inner.sessions.list(of, after, PAGE).await?;
            after = page.last().map(SessionRecord::id);
            let is_last = page.len() < PAGE;
            for record in page {
                // One that was used later, by another clock or before this one was set back, has tokens that the entry
                // above does not concern: they are taken back by its name. One that cannot be read has to go as well.
                let dated = State::from_record(&record).map_or(0, |state| state.dated());
                ended += usize::from(match dated > issued_until {
                    true => match self.end_one(&record).await {
                        Ok(was_there) => was_there,
                        Err(error) if error.is_full() => {
                            full = Err(error);
                            true
                        }
                        Err(error) => return Err(error),
                    },
                    false => inner.sessions.remove(record.id()).await?,
                });
            }
            if is_last {
                break;
            }
        }
        revoked?;
        full?;
        // One of them may have been refreshed until it was removed.
        let later = inner.clock.now();
        if seconds(later) > issued_until {
            self.revoke_issued(of, later).await?;
        }
        Ok(ended)
    }

    /// Takes back all access tokens of a user whose [version](super::Grant::token_version) is below this one, and ends the sessions
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
        self.take_back(revocation).await
    }

    /// Takes back, even if nobody waits for it any more: half done, it would hold in this process alone.
    pub(super) async fn take_back(&self, revocation: Revocation) -> Result<(), IssueError> {
        let hub = self.inner.hub.clone();
        to_its_end(async move { Ok(hub.revoke(&revocation).await?) }).await
    }

    /// Takes back what was issued until now, and returns the second up to which that counts.
    async fn revoke_issued(&self, of: SessionsOf<'_>, now: SystemTime) -> Result<u64, IssueError> {
        let inner = &*self.inner;
        let issuer = Some(&*inner.issuer);
        // A session whose login is on its way just now is found out when it is refreshed.
        let until = inner.until_refreshed(now);
        let all = TokenIdentity::new()
            .with_issuer(issuer)
            .with_version(u64::MAX);
        let all = match of {
            SessionsOf::Subject(subject) => all.with_subject(subject),
            SessionsOf::Client(client) => all.with_client(client),
        };
        // For the second time within a second, there may be tokens that were dated to the next. Whether that is so is no
        // reason to let the end of the sessions fail.
        let moment = inner
            .first_good_second(all, now)
            .ok()
            .flatten()
            .unwrap_or(now);
        // Or of the other of the two, a user who was logged out of a client that is ended now.
        let moment = moment.max(inner.dated(now));
        let revocation = match of {
            SessionsOf::Subject(subject) => Revocation::subject(issuer, subject, moment, until),
            SessionsOf::Client(client) => Revocation::client(issuer, client, moment, until),
        };
        inner.hub.revoke(&revocation).await?;
        Ok(seconds(moment))
    }

    /// Ends one session, even if nobody waits for it any more: half done, it would leave a session that works again when
    /// the revocation of its tokens is forgotten.
    pub(super) async fn end(&self, record: SessionRecord) -> Result<bool, IssueError> {
        let issuer = self.clone();
        to_its_end(async move { issuer.end_one(&record).await }).await
    }

    /// First its access tokens, so that a failure in between leaves nothing that works.
    async fn end_one(&self, record: &SessionRecord) -> Result<bool, IssueError> {
        let inner = &*self.inner;
        let now = inner.clock.now();
        // Its tokens are dated by its own time, if that is ahead of the clock.
        let dated = State::from_record(record).map_or(0, |state| state.dated());
        let dated = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(dated));
        let until = inner.until(dated.map_or(now, |dated| dated.max(now)));
        let id = record.id().to_string();
        let revocation = Revocation::session(Some(&inner.issuer), &id, until);
        let revoked = inner
            .hub
            .revoke(&revocation)
            .await
            .map_err(IssueError::from);
        match &revoked {
            Err(error) if !error.is_full() => return revoked.map(|()| false),
            _ => {}
        }
        let removed = inner.sessions.remove(record.id()).await?;
        revoked?;
        Ok(removed)
    }

    /// Makes room for one more session of this user.
    pub(super) async fn keep_to_limit(&self, subject: &str) -> Result<(), IssueError> {
        let inner = &*self.inner;
        if inner.max_sessions == usize::MAX {
            return Ok(());
        }
        let now = inner.clock.now();
        let mut used = Vec::new();
        let mut after = None;
        loop {
            let page = inner
                .sessions
                .list(SessionsOf::Subject(subject), after, PAGE)
                .await?;
            let is_last = page.len() < PAGE;
            after = page.last().map(SessionRecord::id);
            used.extend(page.into_iter().filter_map(|record| {
                match State::from_record(&record) {
                    Ok(state) if state.is_over(&inner.lifetimes, now) => None,
                    Ok(state) => Some((state.last_used_at, record.id())),
                    // One that cannot be read goes first.
                    Err(_) => Some((0, record.id())),
                }
            }));
            if is_last {
                break;
            }
        }
        let too_many = (used.len() + 1).saturating_sub(inner.max_sessions);
        used.sort_unstable();
        // Not more than a page at a time: where the limit was lowered, later logins go on.
        for (_, id) in used.into_iter().take(too_many.min(PAGE)) {
            match self.end_session(id).await {
                // The session has gone, and nobody was to be logged out.
                Err(error) if error.is_full() => {}
                other => _ = other?,
            }
        }
        Ok(())
    }
}

/// Goes on when whoever asked for it has gone, within a runtime of tokio.
async fn to_its_end<T: Send + 'static>(
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
