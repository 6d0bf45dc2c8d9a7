//! Issues tokens, refreshes them, and takes them back.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::{Map, Value};

use super::refresh_token::{NoRandomness, RefreshToken, Salt, random};
use super::session::{Lifetimes, NoStep, Session, State, Step};
use super::{
    Grant, InvalidGrant, IssueError, JwkSetEndpoint, RevocationEndpoint, SigningKeys,
    TokenIssuerBuilder, TokenResponse,
};
use crate::clock::Clock;
use crate::error::ConfigError;
use crate::jwt::{JwtValidator, JwtValidatorBuilder};
use crate::revocation::{Revocation, RevocationHub, Revocations, TokenIdentity, seconds};
use crate::store::{SessionId, SessionRecord, SessionStore, SessionsOf, StoreError};
use crate::validator::Verdict;

/// So many times a refresh looks again after somebody else has changed its session.
const ATTEMPTS: usize = 4;
/// So many sessions are ended at a time.
const PAGE: usize = 256;
/// The longest token that a validator takes unless told otherwise.
const MAX_TOKEN: usize = 8_192;
/// So many seconds ahead a token is dated at most, when what was issued until now has been taken back.
const MAX_AHEAD: u64 = 4;
/// Entries of the hub live this much longer than the tokens they concern, in case the clocks of machines differ.
const MARGIN: Duration = Duration::from_secs(60);
/// The longest for which a validator accepts a token after its end.
const LEEWAY: Duration = Duration::from_secs(300);

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
/// use tower_bearer::issue::{Grant, SigningKey, SigningKeys, TokenIssuer};
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
    inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) issuer: String,
    pub(super) audiences: Vec<String>,
    pub(super) keys: SigningKeys,
    pub(super) access_ttl: Duration,
    pub(super) lifetimes: Lifetimes,
    pub(super) max_sessions: usize,
    pub(super) sessions: Arc<dyn SessionStore>,
    pub(super) hub: RevocationHub,
    pub(super) clock: Arc<dyn Clock>,
    /// By which time sessions are cleared away.
    pub(super) clearing: Arc<dyn Clock>,
    /// Recognises what was issued here.
    pub(super) own: JwtValidator,
    /// The latest second to which a token was dated before it had come.
    pub(super) dated: AtomicU64,
}

/// RFC 9068 section 2.2.
#[derive(Serialize)]
struct AccessClaims<'a> {
    iss: &'a str,
    sub: &'a str,
    #[serde(serialize_with = "one_or_several")]
    aud: &'a [String],
    client_id: &'a str,
    iat: u64,
    exp: u64,
    jti: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    scope: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_version: Option<u64>,
    #[serde(flatten)]
    claims: &'a Map<String, Value>,
}

/// RFC 7519 section 4.1.3: one audience may stand alone, which every verifier understands.
fn one_or_several<S: serde::Serializer>(
    audiences: &&[String],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match audiences {
        [one] => serializer.serialize_str(one),
        several => several.serialize(serializer),
    }
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
    /// [`IssueError::Store`] if the session could not be kept, [`IssueError::Revocations`] if the hub cannot tell at the moment
    /// what has been taken back, [`IssueError::Grant`] if the grant cannot be put into a token.
    pub async fn issue(&self, grant: Grant) -> Result<TokenResponse, IssueError> {
        grant.check()?;
        let inner = &*self.inner;
        let now = inner.clock.now();
        let (subject, client) = (grant.subject.clone(), grant.client.clone());
        let begin = inner.begin(&grant, now)?;
        let token = RefreshToken::generate()?;
        let id = token.session();
        let state = State::start(grant, &token, &inner.lifetimes, begin);
        let access_token = inner.sign(&subject, &client, &state.scope, Some(id), &state, now)?;
        let record = state.to_record(id, 0, &subject, &client, inner.outlived());
        self.keep_to_limit(&subject).await?;
        let clearing = inner.clearing.now();
        inner.sessions.insert(record, clearing).await?;
        Ok(inner.response(access_token, state.scope, Some((id, &token))))
    }

    /// An access token alone, for who can prove who they are at any time: a service with credentials of its own
    /// ([RFC 6749 section 4.4](https://www.rfc-editor.org/rfc/rfc6749#section-4.4)).
    ///
    /// # Errors
    ///
    /// [`IssueError::Grant`] if the grant cannot be put into a token, [`IssueError::Revocations`] if the hub cannot tell at the
    /// moment what has been taken back.
    pub fn issue_access_token(&self, grant: Grant) -> Result<TokenResponse, IssueError> {
        grant.check()?;
        let inner = &*self.inner;
        let now = inner.clock.now();
        let (subject, client) = (grant.subject.clone(), grant.client.clone());
        let begin = inner.begin(&grant, now)?;
        // No refresh token leaves this function, so there is no session.
        let nobody = RefreshToken::generate()?;
        let state = State::start(grant, &nobody, &inner.lifetimes, begin);
        let access_token = inner.sign(&subject, &client, &state.scope, None, &state, now)?;
        Ok(inner.response(access_token, state.scope, None))
    }

    /// Exchanges a refresh token ([RFC 6749 section 6](https://www.rfc-editor.org/rfc/rfc6749#section-6)). Of all who present
    /// the same one, one is given new tokens. With `scope` the new access token has only these of the scopes; the
    /// session keeps all of them.
    ///
    /// # Errors
    ///
    /// [`IssueError::InvalidGrant`], [`IssueError::InvalidScope`], or, if it cannot be told, [`IssueError::Store`] and
    /// [`IssueError::Revocations`]. After `Store` the token may have been spent: with a
    /// [grace](TokenIssuerBuilder::reuse_grace) the client can ask again.
    pub async fn refresh(
        &self,
        refresh_token: &str,
        client: &str,
        scope: Option<&str>,
    ) -> Result<TokenResponse, IssueError> {
        let inner = &*self.inner;
        let unknown = IssueError::invalid_grant(InvalidGrant::Unknown);
        let Some(presented) = RefreshToken::parse(refresh_token) else {
            return Err(unknown);
        };
        let id = presented.session();
        for _ in 0..ATTEMPTS {
            let Some(record) = inner.sessions.find(id).await? else {
                return Err(unknown);
            };
            let now = inner.clock.now();
            let state = State::from_record(&record)?;
            let is_client = record.client() == client;
            let salt = Salt::generate()?;
            let step = state.present(&presented, is_client, scope, &inner.lifetimes, salt, now);
            let step = match step {
                Ok(step) => step,
                Err(NoStep::Client) => {
                    return Err(IssueError::invalid_grant(InvalidGrant::Client));
                }
                Err(NoStep::Expired) => {
                    return Err(IssueError::invalid_grant(InvalidGrant::Expired));
                }
                Err(NoStep::Scope) => return Err(IssueError::InvalidScope),
                Err(NoStep::Reused) => {
                    self.end(record).await?;
                    return Err(IssueError::invalid_grant(InvalidGrant::Reused {
                        session: id,
                    }));
                }
            };
            if inner.is_revoked(&record, &state, now)? {
                // An entry of the hub goes when the access tokens have; the session has to go with it.
                self.end(record).await?;
                return Err(IssueError::invalid_grant(InvalidGrant::Revoked));
            }
            let scope = scope.unwrap_or(&state.scope);
            let (subject, client) = (record.subject(), record.client());
            // Before the token is spent, so that what fails here costs nobody a session.
            let access_token = inner.sign(subject, client, scope, Some(id), &state, now)?;
            let next = match step {
                Step::Again(token) => token,
                Step::Rotate(next, token) => {
                    let version = record.version().saturating_add(1);
                    let next = next.to_record(id, version, subject, client, inner.outlived());
                    if !inner.sessions.replace(next).await? {
                        continue;
                    }
                    token
                }
            };
            return Ok(inner.response(access_token, scope.to_owned(), Some((id, &next))));
        }
        // Only who holds the current token changes a session, so this takes several of them at once.
        Err(unknown)
    }

    /// Takes back a token ([RFC 7009](https://www.rfc-editor.org/rfc/rfc7009)): with a refresh token its session ends, of
    /// access tokens the one that is presented. A text that is no token, or none any more, is no error.
    ///
    /// # Errors
    ///
    /// [`IssueError::InvalidGrant`] if it was issued to another client, [`IssueError::Store`] if nobody knows whether it was
    /// taken back everywhere.
    pub async fn revoke(&self, token: &str, client: &str) -> Result<(), IssueError> {
        let inner = &*self.inner;
        let wrong_client = || Err(IssueError::invalid_grant(InvalidGrant::Client));
        if let Some(refresh_token) = RefreshToken::parse(token) {
            let Some(record) = inner.sessions.find(refresh_token.session()).await? else {
                return Ok(());
            };
            if record.client() != client {
                return wrong_client();
            }
            return self.end(record).await.map(|_| ());
        }
        let now = inner.clock.now();
        let Ok(unverified) = inner.own.parse(token.as_bytes()) else {
            return Ok(());
        };
        let Verdict::Ready(Ok(validated)) = inner.own.decide(token.as_bytes(), &unverified, now)
        else {
            return Ok(());
        };
        let token = validated.principal();
        if token.client_id() != Some(client) {
            return wrong_client();
        }
        let (Some(token_id), Some(expires_at)) = (token.token_id(), token.expires_at()) else {
            return Ok(());
        };
        let revocation = Revocation::token(Some(&inner.issuer), token_id, expires_at);
        self.take_back(revocation).await
    }

    /// The sessions of a user or client, in the order of their ids: at most `limit` of those behind `after`. Those that are
    /// over are left out.
    ///
    /// # Errors
    ///
    /// [`IssueError::Store`].
    pub async fn sessions(
        &self,
        of: SessionsOf<'_>,
        after: Option<SessionId>,
        limit: usize,
    ) -> Result<Vec<Session>, IssueError> {
        let inner = &*self.inner;
        let now = inner.clock.now();
        let mut after = after;
        let mut sessions = Vec::new();
        while sessions.len() < limit {
            let wanted = limit - sessions.len();
            let page = inner.sessions.list(of, after, wanted).await?;
            let is_last = page.len() < wanted;
            after = page.last().map(SessionRecord::id);
            for record in &page {
                let session = Session::from_record(record)?;
                if session.idle_ends_at() > now {
                    sessions.push(session);
                }
            }
            if is_last {
                break;
            }
        }
        Ok(sessions)
    }

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

    /// Takes back all access tokens of a user whose [version](Grant::token_version) is below this one, and ends the sessions
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
    async fn take_back(&self, revocation: Revocation) -> Result<(), IssueError> {
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
        self.inner.access_ttl
    }

    /// Ends one session, even if nobody waits for it any more: half done, it would leave a session that works again when
    /// the revocation of its tokens is forgotten.
    async fn end(&self, record: SessionRecord) -> Result<bool, IssueError> {
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
    async fn keep_to_limit(&self, subject: &str) -> Result<(), IssueError> {
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

impl Inner {
    /// When the last token has expired that is issued now.
    fn until(&self, now: SystemTime) -> SystemTime {
        now.checked_add(self.access_ttl + MARGIN).unwrap_or(now)
    }

    /// When every session has been refreshed that was good at `now`, or is over, and the last token has expired.
    fn until_refreshed(&self, now: SystemTime) -> SystemTime {
        let longest = self.lifetimes.idle.max(self.access_ttl) + MARGIN;
        now.checked_add(longest).unwrap_or(now)
    }

    /// For how long the access tokens of a session may be good after its end.
    fn outlived(&self) -> Duration {
        self.access_ttl + LEEWAY
    }

    fn identity<'a>(&'a self, grant: &'a Grant) -> TokenIdentity<'a> {
        TokenIdentity::new()
            .with_issuer(&*self.issuer)
            .with_subject(&*grant.subject)
            .with_client(&*grant.client)
            .with_version(grant.token_version)
    }

    /// From when on a token can be dated: now, unless everything was taken back within this second (K06). Then with the
    /// next, so that who ends all sessions can begin one at once.
    fn first_good_second(
        &self,
        identity: TokenIdentity<'_>,
        now: SystemTime,
    ) -> Result<Option<SystemTime>, IssueError> {
        for ahead in 0..=MAX_AHEAD {
            let second = now.checked_add(Duration::from_secs(ahead)).unwrap_or(now);
            if !self.asks_hub(&identity.with_issued_at(second), now)? {
                return Ok(Some(second));
            }
        }
        Ok(None)
    }

    /// The latest second, of now and the next ones, to which a token was dated here.
    fn dated(&self, now: SystemTime) -> SystemTime {
        let ahead = self.dated.load(Ordering::Acquire);
        let ahead = ahead.saturating_sub(seconds(now));
        match ahead <= MAX_AHEAD {
            true => now.checked_add(Duration::from_secs(ahead)).unwrap_or(now),
            // The clock has been set back.
            false => now,
        }
    }

    /// From when on a token for this grant can be dated.
    fn begin(&self, grant: &Grant, now: SystemTime) -> Result<SystemTime, IssueError> {
        let identity = self.identity(grant);
        if let Some(second) = self.first_good_second(identity, now)? {
            return Ok(second);
        }
        // A token that is dead from the beginning helps nobody.
        match self.first_good_second(identity.with_version(u64::MAX), now)? {
            Some(_) => Err(IssueError::Grant {
                problem: "its token version has been taken back",
            }),
            None => Err(IssueError::Revocations {
                problem: "all that is issued in the next seconds has been taken back".into(),
            }),
        }
    }

    fn asks_hub(&self, identity: &TokenIdentity<'_>, now: SystemTime) -> Result<bool, IssueError> {
        let revoked = self.hub.is_revoked(identity, now);
        revoked.map_err(|error| IssueError::Revocations {
            problem: error.to_string(),
        })
    }

    fn is_revoked(
        &self,
        record: &SessionRecord,
        state: &State,
        now: SystemTime,
    ) -> Result<bool, IssueError> {
        let id = record.id().to_string();
        let started_at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(state.started_at));
        let identity = TokenIdentity::new()
            .with_issuer(&*self.issuer)
            .with_subject(record.subject())
            .with_client(record.client())
            .with_session(&*id)
            .with_version(state.token_version)
            .with_issued_at(started_at);
        self.asks_hub(&identity, now)
    }

    fn sign(
        &self,
        subject: &str,
        client: &str,
        scope: &str,
        session: Option<SessionId>,
        state: &State,
        now: SystemTime,
    ) -> Result<String, IssueError> {
        // A session may begin with the next second.
        let iat = seconds(now).max(state.started_at);
        // Those of a session are found by it.
        if session.is_none() && iat > seconds(now) {
            self.dated.fetch_max(iat, Ordering::AcqRel);
        }
        let claims = AccessClaims {
            iss: &self.issuer,
            sub: subject,
            aud: &self.audiences,
            client_id: client,
            iat,
            exp: iat.saturating_add(self.access_ttl.as_secs()),
            jti: &URL_SAFE_NO_PAD.encode(random::<16>()?),
            scope,
            sid: session.map(|session| session.to_string()),
            token_version: state.token_version,
            claims: &state.claims,
        };
        let token = self.keys.current().sign_jwt("at+jwt", &claims);
        let token = token.map_err(|error| IssueError::Crypto {
            problem: error.to_string(),
        })?;
        match token.len() <= MAX_TOKEN {
            true => Ok(token),
            false => Err(IssueError::Grant {
                problem: "the token would have more than 8192 bytes, which validators refuse",
            }),
        }
    }

    fn response(
        &self,
        access_token: String,
        scope: String,
        session: Option<(SessionId, &RefreshToken)>,
    ) -> TokenResponse {
        TokenResponse {
            access_token,
            token_type: "Bearer",
            expires_in: self.access_ttl.as_secs(),
            refresh_token: session.map(|(_, token)| token.to_text()),
            scope,
            session: session.map(|(id, _)| id),
        }
    }
}

impl From<NoRandomness> for IssueError {
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
