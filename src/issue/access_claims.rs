//! What an access token says, and how it is dated.

use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::{Map, Value};

use super::issuer::Inner;
use super::refresh_token::{RefreshToken, random};
use super::session::State;
use super::{Grant, IssueError, TokenResponse};
use crate::revocation::{Revocations, TokenIdentity, seconds};
use crate::store::{SessionId, SessionRecord};

/// The longest token that a validator takes unless told otherwise.
const MAX_TOKEN: usize = 8_192;
/// So many seconds ahead a token is dated at most, when what was issued until now has been taken back.
const MAX_AHEAD: u64 = 4;
/// Entries of the hub live this much longer than the tokens they concern, in case the clocks of machines differ.
const MARGIN: Duration = Duration::from_secs(60);
/// The longest for which a validator accepts a token after its end.
const LEEWAY: Duration = Duration::from_secs(300);

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

impl Inner {
    /// When the last token has expired that is issued now.
    pub(super) fn until(&self, now: SystemTime) -> SystemTime {
        now.checked_add(self.access_ttl + MARGIN).unwrap_or(now)
    }

    /// When every session has been refreshed that was good at `now`, or is over, and the last token has expired.
    pub(super) fn until_refreshed(&self, now: SystemTime) -> SystemTime {
        let longest = self.lifetimes.idle.max(self.access_ttl) + MARGIN;
        now.checked_add(longest).unwrap_or(now)
    }

    /// For how long the access tokens of a session may be good after its end.
    pub(super) fn outlived(&self) -> Duration {
        self.access_ttl + LEEWAY
    }

    pub(super) fn identity<'a>(&'a self, grant: &'a Grant) -> TokenIdentity<'a> {
        TokenIdentity::new()
            .with_issuer(&*self.issuer)
            .with_subject(&*grant.subject)
            .with_client(&*grant.client)
            .with_version(grant.token_version)
    }

    /// From when on a token can be dated: now, unless everything was taken back within this second (K06). Then with the
    /// next, so that who ends all sessions can begin one at once.
    pub(super) fn first_good_second(
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
    pub(super) fn dated(&self, now: SystemTime) -> SystemTime {
        let ahead = self.dated.load(Ordering::Acquire);
        let ahead = ahead.saturating_sub(seconds(now));
        match ahead <= MAX_AHEAD {
            true => now.checked_add(Duration::from_secs(ahead)).unwrap_or(now),
            // The clock has been set back.
            false => now,
        }
    }

    /// From when on a token for this grant can be dated.
    pub(super) fn begin(&self, grant: &Grant, now: SystemTime) -> Result<SystemTime, IssueError> {
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

    pub(super) fn is_revoked(
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

    pub(super) fn sign(
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

    pub(super) fn response(
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
