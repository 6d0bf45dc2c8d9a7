//! Issues tokens, refreshes them, and takes them back.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::access_claims::{DatedAhead, MAX_ACCESS_TTL};
use super::logins::Logins;
use super::refresh_token::{NoRandomness, RefreshToken, Salt};
use super::session::{EndReason, Lifetimes, RefreshRejected, Session, State, Step, micros};
use super::session_limit::NewSession;
use super::{
    Grant, InvalidGrant, IssuingError, JwkSetEndpoint, RevocationEndpoint, SigningKeys,
    TokenIssuerBuilder, TokenResponse,
};
use crate::clock::Clock;
use crate::clock::seconds;
use crate::error::ConfigError;
use crate::issuing::RevocationHub;
use crate::issuing::store::{SessionId, SessionRecord, SessionStore, SessionsOf, StoreError};
use crate::jwt::{Authenticity, JwtValidator, JwtValidatorBuilder};

/// How often a change of a record is tried again after other requests have changed it.
pub(super) const ATTEMPTS: usize = 64;

/// Issues access tokens ([RFC 9068](https://www.rfc-editor.org/rfc/rfc9068)) and refresh tokens, and keeps the sessions
/// behind them. Clones are cheap and share everything.
///
/// An access token is a signed JWT that lives for 15 minutes and is checked without asking anybody. A refresh token is 48
/// random bytes, of which a store keeps nothing but SHA-256; each use exchanges it for another one. Who uses one a second time
/// holds a copy, or somebody else does: the session ends, and with it every token of it
/// ([RFC 9700 section 4.14.2](https://www.rfc-editor.org/rfc/rfc9700#section-4.14.2)).
///
/// Nothing here checks a password: the application does, and then says in a [`Grant`] who it was.
///
/// # Example
///
/// ```
/// use tower_bearer::BearerAuthLayer;
/// use tower_bearer::issuing::{Grant, SigningKey, SigningKeys, TokenIssuer};
/// use tower_bearer::jwt::Algorithm;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let keys = SigningKeys::new(SigningKey::generate(Algorithm::ES256)?)?;
/// let issuer = TokenIssuer::builder("https://api.example.com", keys)
///     .audience("https://api.example.com")
///     .build()?;
///
/// // In front of the service. What is ended below is refused here from then on.
/// let layer = BearerAuthLayer::new(issuer.validator()?);
///
/// // After the login.
/// let tokens = issuer.issue(Grant::new("alice", "web").scope("orders:read")).await?;
/// // A quarter of an hour later.
/// let refresh_token = tokens.refresh_token().ok_or("no session")?;
/// let tokens = issuer.refresh(refresh_token, "web", None).await?;
/// // At logout.
/// issuer.end_session(tokens.session().ok_or("no session")?).await?;
/// # let _ = layer; Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct TokenIssuer {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) issuer: String,
    pub(super) audiences: Vec<String>,
    pub(super) keys: SigningKeys,
    pub(super) lifetimes: Lifetimes,
    pub(super) max_sessions: usize,
    pub(super) sessions: Arc<dyn SessionStore>,
    pub(super) hub: RevocationHub,
    pub(super) clock: Arc<dyn Clock>,
    /// By which time sessions are cleared away.
    pub(super) clearing: Arc<dyn Clock>,
    /// Recognises what was issued here.
    pub(super) own: JwtValidator,
    pub(super) dated_ahead: DatedAhead,
    pub(super) logins: Logins,
}

impl TokenIssuer {
    /// Starts with the name of the issuer, which stands in `iss`, and the keys to sign with. The name should be the
    /// `https` URL under which the keys are published.
    pub fn builder(issuer: impl Into<String>, keys: SigningKeys) -> TokenIssuerBuilder {
        TokenIssuerBuilder::new(issuer.into(), keys)
    }

    pub(super) fn from_inner(inner: Inner) -> Self {
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Begins a session: an access token, and a refresh token with which to get the next.
    ///
    /// # Errors
    ///
    /// [`IssuingError::Store`] if the session could not be kept, [`IssuingError::Revocations`] if the hub cannot tell at the moment
    /// what has been taken back, [`IssuingError::Grant`] if the grant cannot be put into a token.
    pub async fn issue(&self, grant: Grant) -> Result<TokenResponse, IssuingError> {
        grant.check()?;
        let inner = &*self.inner;
        let now = inner.clock.now();
        let (subject, client) = (grant.subject.clone(), grant.client.clone());
        let begin = inner.begin(&grant, now)?;
        let token = RefreshToken::generate()?;
        let id = token.session(&inner.issuer);
        let state = State::start(grant, &token, &inner.lifetimes, begin, micros(now));
        let dates = state.dates(&inner.lifetimes, now);
        let scope = state.scope.clone();
        let access_token = inner.sign(&subject, &client, &scope, Some(id), &state, dates)?;
        self.store(NewSession {
            id,
            subject,
            client,
            state,
        })
        .await?;
        Ok(inner.response(access_token, scope, Some((id, &token))))
    }

    /// An access token alone, for who can prove who they are at any time: a service with credentials of its own
    /// ([RFC 6749 section 4.4](https://www.rfc-editor.org/rfc/rfc6749#section-4.4)).
    ///
    /// # Errors
    ///
    /// [`IssuingError::Grant`] if the grant cannot be put into a token, [`IssuingError::Revocations`] if the hub cannot tell at the
    /// moment what has been taken back.
    pub fn issue_access_token(&self, grant: Grant) -> Result<TokenResponse, IssuingError> {
        grant.check()?;
        let inner = &*self.inner;
        let now = inner.clock.now();
        let (subject, client) = (grant.subject.clone(), grant.client.clone());
        let begin = inner.begin(&grant, now)?;
        // No refresh token leaves this function, so there is no session.
        let unused = RefreshToken::generate()?;
        let state = State::start(grant, &unused, &inner.lifetimes, begin, 0);
        let dates = state.dates(&inner.lifetimes, now);
        let iat = dates.iat;
        inner.dated_ahead.note(&subject, &client, iat, seconds(now));
        let access_token = inner.sign(&subject, &client, &state.scope, None, &state, dates)?;
        Ok(inner.response(access_token, state.scope, None))
    }

    /// Exchanges a refresh token ([RFC 6749 section 6](https://www.rfc-editor.org/rfc/rfc6749#section-6)). Of all who present
    /// the same one, one is given new tokens. With `scope` the new access token has only these of the scopes; the
    /// session keeps all of them.
    ///
    /// # Errors
    ///
    /// [`IssuingError::InvalidGrant`], [`IssuingError::InvalidScope`], or, if it cannot be told, [`IssuingError::Store`] and
    /// [`IssuingError::Revocations`]. After `Store` the token may have been spent: with a
    /// [grace](TokenIssuerBuilder::reuse_grace) the client can ask again.
    pub async fn refresh(
        &self,
        refresh_token: &str,
        client: &str,
        scope: Option<&str>,
    ) -> Result<TokenResponse, IssuingError> {
        let inner = &*self.inner;
        let unknown = IssuingError::invalid_grant(InvalidGrant::Unknown);
        let Some(presented) = RefreshToken::parse(refresh_token) else {
            return Err(unknown);
        };
        let id = presented.session(&inner.issuer);
        for _ in 0..ATTEMPTS {
            let Some(record) = self.find(id).await? else {
                return Err(unknown);
            };
            let now = inner.clock.now();
            let state = State::from_record(&record)?;
            let is_client = record.client() == client;
            let salt = Salt::generate()?;
            let step = state.present(&presented, is_client, scope, &inner.lifetimes, salt, now);
            let step = match step {
                Ok(step) => step,
                Err(RefreshRejected::Client) => {
                    return Err(IssuingError::invalid_grant(InvalidGrant::Client));
                }
                Err(RefreshRejected::Expired) => {
                    return Err(IssuingError::invalid_grant(InvalidGrant::Expired));
                }
                Err(RefreshRejected::Scope) => return Err(IssuingError::InvalidScope),
                // The request that ended it may have failed before the access tokens were revoked (M03: endings resume).
                Err(RefreshRejected::Ended(reason)) => {
                    let reported = match reason {
                        EndReason::Revoked => InvalidGrant::Revoked,
                        EndReason::Reused => InvalidGrant::Reused { session: id },
                    };
                    return match self.end(record, reason).await {
                        Err(error) if !error.is_full() => Err(error),
                        _ => Err(IssuingError::invalid_grant(reported)),
                    };
                }
                Err(RefreshRejected::Reused) => {
                    self.end(record, EndReason::Reused).await?;
                    return Err(IssuingError::invalid_grant(InvalidGrant::Reused {
                        session: id,
                    }));
                }
            };
            if inner.is_revoked(&record, &state, now)? {
                // An entry of the hub goes when the access tokens have; the session has to go with it.
                self.end(record, EndReason::Revoked).await?;
                return Err(IssuingError::invalid_grant(InvalidGrant::Revoked));
            }
            let scope = scope.unwrap_or(&state.scope);
            let (subject, client) = (record.subject(), record.client());
            // Before the token is spent, so that what fails here costs nobody a session.
            let dates = state.dates(&inner.lifetimes, now);
            let access_token = inner.sign(subject, client, scope, Some(id), &state, dates)?;
            let (next, token) = match step {
                Step::Again(next, token) => (next, token),
                Step::Rotate(next, token) => (Some(next), token),
            };
            // The record is written before the token is returned (M02: records of what was issued).
            if let Some(next) = next
                && !inner.sessions.replace(next.to_successor(&record)).await?
            {
                continue;
            }
            return Ok(inner.response(access_token, scope.to_owned(), Some((id, &token))));
        }
        Err(StoreError::Contended.into())
    }

    /// Revokes a token ([RFC 7009](https://www.rfc-editor.org/rfc/rfc7009)): a refresh token with its
    /// session, an access token alone. A text that is not a token of this issuer is not an error.
    ///
    /// Of an access token only the signature, the issuer and the type are checked, so a token that has just
    /// expired, or that is dated ahead, is revoked for every validator that may still accept it. A client can
    /// revoke 16 access tokens of a session individually; the next one ends the session.
    ///
    /// # Errors
    ///
    /// [`IssuingError::InvalidGrant`] if it was issued to another client, [`IssuingError::InvalidRequest`] if it
    /// is an access token that cannot be revoked individually, because it has no `jti` or no `exp`,
    /// [`IssuingError::UnknownKey`] if it names this issuer and a signing key that this process does not hold,
    /// [`IssuingError::Store`] if the revocation may not be in effect everywhere: try again.
    pub async fn revoke(&self, token: &str, client: &str) -> Result<(), IssuingError> {
        let inner = &*self.inner;
        let wrong_client = || Err(IssuingError::invalid_grant(InvalidGrant::Client));
        if let Some(refresh_token) = RefreshToken::parse(token) {
            let id = refresh_token.session(&inner.issuer);
            let Some(record) = self.find(id).await? else {
                return Ok(());
            };
            if record.client() != client {
                return wrong_client();
            }
            return self.end(record, EndReason::Revoked).await.map(|_| ());
        }
        let now = inner.clock.now();
        // A day after its end, no validator accepts it. Not sooner: this clock may be ahead of theirs.
        let is_past = |expires_at: Option<SystemTime>| {
            expires_at
                .and_then(|end| end.checked_add(MAX_ACCESS_TTL))
                .is_some_and(|end| end <= now)
        };
        let unreadable = || IssuingError::InvalidRequest {
            problem: "the token has no readable `jti` or `exp`, so it cannot be revoked individually",
        };
        let token = match inner
            .own
            .authenticate(token.as_bytes(), &inner.keys.with_retired())
        {
            Authenticity::Authentic(token) => token,
            Authenticity::Unreadable => return Err(unreadable()),
            Authenticity::UnknownKey { expires_at } if !is_past(expires_at) => {
                return Err(IssuingError::UnknownKey);
            }
            Authenticity::UnknownKey { .. } | Authenticity::Foreign => return Ok(()),
        };
        if is_past(token.expires_at) {
            return Ok(());
        }
        if token.client.as_deref() != Some(client) {
            return wrong_client();
        }
        let (Some(token_id), Some(expires_at)) = (token.token_id, token.expires_at) else {
            return Err(unreadable());
        };
        let session = token.session.and_then(|id| id.parse().ok());
        self.revoke_access_token(&token_id, session, expires_at)
            .await
    }

    /// The sessions of a user or client, in the order of their ids: at most `limit` of those behind `after`. Those that are
    /// over are left out.
    ///
    /// # Errors
    ///
    /// [`IssuingError::Store`].
    pub async fn sessions(
        &self,
        of: SessionsOf<'_>,
        after: Option<SessionId>,
        limit: usize,
    ) -> Result<Vec<Session>, IssuingError> {
        let inner = &*self.inner;
        let now = inner.clock.now();
        let mut after = after;
        let mut sessions = Vec::new();
        while sessions.len() < limit {
            let wanted = limit - sessions.len();
            let page = inner
                .sessions
                .list(&inner.issuer, of, after, wanted)
                .await?;
            let is_last = page.len() < wanted;
            after = page.last().map(SessionRecord::id);
            for record in &page {
                let state = State::from_record(record)?;
                if state.ended.is_none() && !state.is_over(&inner.lifetimes, now) {
                    sessions.push(Session::new(record, state));
                }
            }
            if is_last {
                break;
            }
        }
        Ok(sessions)
    }

    /// A validator for the tokens of this issuer: its keys at any moment, its audience, RFC 9068 to the letter, and what has
    /// been taken back. For other settings see [`validator_builder`](Self::validator_builder).
    ///
    /// # Errors
    ///
    /// [`ConfigError`]; none is known.
    pub fn validator(&self) -> Result<JwtValidator, ConfigError> {
        self.validator_builder().build()
    }

    /// The same before it is built. While the hub cannot tell what has been taken back, requests are refused with 503; for
    /// another answer, give it a [`RevocationCheck`](crate::revocation::RevocationCheck) of `self.revocations().clone()`.
    pub fn validator_builder(&self) -> JwtValidatorBuilder {
        let inner = &*self.inner;
        let builder = JwtValidator::builder(&inner.keys)
            .issuer(inner.issuer.clone())
            .rfc9068()
            .revocations(inner.hub.clone());
        inner.audiences.iter().fold(builder, |builder, audience| {
            builder.audience(audience.clone())
        })
    }

    /// Publishes the public keys, for verifiers elsewhere.
    #[must_use]
    pub fn jwk_set_endpoint(&self) -> JwkSetEndpoint {
        JwkSetEndpoint::new(&self.inner.keys).with_clock(Arc::clone(&self.inner.clock))
    }

    /// Takes back tokens for clients that ask for it (RFC 7009).
    #[must_use]
    pub fn revocation_endpoint(&self) -> RevocationEndpoint {
        RevocationEndpoint::new(self.clone())
    }

    /// The keys, to change them.
    #[must_use]
    pub fn keys(&self) -> &SigningKeys {
        &self.inner.keys
    }

    /// Where everything is taken back.
    #[must_use]
    pub fn revocations(&self) -> &RevocationHub {
        &self.inner.hub
    }

    /// For how long access tokens are issued.
    #[must_use]
    pub fn access_ttl(&self) -> Duration {
        self.inner.lifetimes.access
    }
}

impl From<NoRandomness> for IssuingError {
    fn from(error: NoRandomness) -> Self {
        Self::Crypto {
            problem: error.to_string(),
        }
    }
}

impl fmt::Debug for TokenIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenIssuer")
            .field("issuer", &self.inner.issuer)
            .field("audience", &self.inner.audiences)
            .field("keys", &self.inner.keys)
            .field("revocations", &self.inner.hub)
            .finish_non_exhaustive()
    }
}
