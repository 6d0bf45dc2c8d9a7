//! Storing a new session, and the limit of sessions of a user.

use super::ending::{PAGE, to_completion};
use super::session::{EndReason, State, micros};
use super::{IssuingError, TokenIssuer};
use crate::issuing::store::{SessionId, SessionRecord, SessionsOf, StoreError};

/// A session that a login is about to store.
pub(super) struct NewSession {
    pub(super) id: SessionId,
    pub(super) subject: String,
    pub(super) client: String,
    pub(super) state: State,
}

/// The sessions of a user, each with its place in the order of use.
#[derive(Default)]
struct Listed {
    /// The sessions that count towards the limit.
    valid: Vec<(u64, SessionRecord)>,
    /// The sessions that have expired or ended, and whose access tokens may still be valid.
    over: Vec<(u64, SessionRecord)>,
}

impl TokenIssuer {
    /// Stores a session and enforces the limit of its user. The work continues if the future is dropped.
    pub(super) async fn store(&self, new: NewSession) -> Result<(), IssuingError> {
        let issuer = self.clone();
        to_completion(async move {
            let inner = &*issuer.inner;
            if inner.max_sessions == usize::MAX {
                return issuer.insert(&new).await.map(|_| ());
            }
            let turn = inner.logins.turn(&new.subject).await?;
            let stored = issuer.store_within_limit(new).await;
            match &stored {
                // The logins that wait would meet the same error one after another, except that of a full store.
                Err(error @ IssuingError::Store(_)) if !error.is_full() => turn.fail(),
                _ => {}
            }
            stored
        })
        .await
    }

    /// Evicts sessions, stores the new one, and enforces the limit again. A limit that is checked before the
    /// insert alone does not hold for concurrent logins. The last login to list the sessions sees all of them
    /// (M06: limits hold under concurrency).
    async fn store_within_limit(&self, mut new: NewSession) -> Result<(), IssuingError> {
        let max = self.inner.max_sessions;
        let mut listed = self.listed(&new.subject).await?;
        // Greater than the number of every existing session, also if a machine whose clock is ahead used them.
        let latest = listed.valid.iter().map(|(order, _)| *order).max();
        let next = latest.map_or(0, |latest| latest.saturating_add(1));
        let now = micros(self.inner.clock.now());
        new.state.use_order = now.max(next);
        let is_enforced = self.evict(&mut listed.valid, max.saturating_sub(1)).await?;
        self.evict(&mut listed.over, max).await?;
        let record = self.insert(&new).await?;
        if !is_enforced {
            return Ok(());
        }
        let enforced = match self.listed(&new.subject).await {
            Ok(mut listed) => self.evict(&mut listed.valid, max).await.map(|_| ()),
            Err(error) => Err(error),
        };
        if let Err(error) = enforced {
            self.withdraw(&record).await;
            return Err(error);
        }
        Ok(())
    }

    /// Stores the session, unless everything of its user was revoked while the login ran.
    async fn insert(&self, new: &NewSession) -> Result<SessionRecord, IssuingError> {
        let inner = &*self.inner;
        let record = new
            .state
            .to_record(new.id, &inner.issuer, &new.subject, &new.client);
        let clearing = inner.clearing.now();
        match inner.sessions.insert(record.clone(), clearing).await {
            Ok(()) => {}
            Err(StoreError::Exists) => return Err(StoreError::Exists.into()),
            Err(error) => {
                // The session may have been stored nevertheless.
                self.withdraw(&record).await;
                return Err(error.into());
            }
        }
        match inner.is_revoked(&record, &new.state, inner.clock.now()) {
            Ok(false) => Ok(record),
            Ok(true) => {
                self.withdraw(&record).await;
                Err(IssuingError::Revocations {
                    problem: "the sessions of the user were ended during the login".into(),
                })
            }
            Err(error) => {
                self.withdraw(&record).await;
                Err(error)
            }
        }
    }

    /// Removes a session whose tokens were not returned. If the removal fails, the session counts towards the limit.
    async fn withdraw(&self, record: &SessionRecord) {
        let _ = self.inner.sessions.remove(record.id()).await;
    }

    /// Ends the least recently used sessions until `keep` are left, but at most a page of them. Returns
    /// whether at most `keep` are left. If the limit was lowered, later logins evict the rest.
    async fn evict(
        &self,
        sessions: &mut Vec<(u64, SessionRecord)>,
        keep: usize,
    ) -> Result<bool, IssuingError> {
        let excess = sessions.len().saturating_sub(keep).min(PAGE);
        sessions.sort_unstable_by_key(|(order, record)| (*order, record.id()));
        for (_, record) in sessions.drain(..excess) {
            let id = record.id();
            match self.end_one(record, EndReason::Revoked).await {
                // Eviction does not require that its access tokens are revoked. Without this, a full hub would let one
                // user fill the store.
                Err(error) if error.is_full() => _ = self.inner.sessions.remove(id).await?,
                other => _ = other?,
            }
        }
        Ok(sessions.len() <= keep)
    }

    /// Returns the sessions of a user. Completes interrupted endings.
    async fn listed(&self, subject: &str) -> Result<Listed, IssuingError> {
        let inner = &*self.inner;
        let now = inner.clock.now();
        let of = SessionsOf::Subject(subject);
        let mut listed = Listed::default();
        let (mut after, mut hub_is_away) = (None, false);
        loop {
            let page = inner.sessions.list(&inner.issuer, of, after, PAGE).await?;
            let is_last = page.len() < PAGE;
            after = page.last().map(SessionRecord::id);
            for record in page {
                match State::from_record(&record) {
                    Ok(state) if state.ended.is_some() => {
                        // The login does not depend on it. A hub that cannot be reached is not tried again for each session.
                        if !hub_is_away {
                            match self.end_one(record.clone(), EndReason::Revoked).await {
                                Ok(_) => continue,
                                Err(error) => hub_is_away = !error.is_full(),
                            }
                        }
                        listed.over.push((state.use_order, record));
                    }
                    Ok(state) if state.is_over(&inner.lifetimes, now) => {
                        listed.over.push((state.use_order, record));
                    }
                    Ok(state) => listed.valid.push((state.use_order, record)),
                    // Unreadable records are evicted first.
                    Err(_) => listed.valid.push((0, record)),
                }
            }
            if is_last {
                return Ok(listed);
            }
        }
    }
}
