//! What an access token says, and how it is dated.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::{Map, Value};

use super::issuer::Inner;
use super::refresh_token::{RefreshToken, random};
use super::session::{Dates, MARGIN, State, time};
use super::{Grant, IssuingError, TokenResponse};
use crate::issuing::store::{SessionId, SessionRecord, SessionsOf};
use crate::revocation::{RevocationClaims, Revocations};

/// The longest token that a validator takes unless told otherwise.
const MAX_TOKEN: usize = 8_192;
/// Upper bound, in seconds, by which `iat` may lie in the future after a revocation that covers the current
/// second: one made within this second, or by a machine whose clock is ahead. By default, validators reject
/// tokens dated further ahead.
pub(super) const MAX_AHEAD: u64 = 60;
/// The longest lifetime of an access token that a builder accepts. Entries that concern tokens without a
/// record last this long, since a release with other settings may have issued the tokens (M02: records of
/// what was issued).
pub(super) const MAX_ACCESS_TTL: Duration = Duration::from_secs(86_400);

/// Access tokens without a session that were dated ahead, by subject and by client. They leave no record, so
/// this process keeps their `iat` in memory until it has passed.
#[derive(Default)]
pub(super) struct DatedAhead {
    latest: Mutex<HashMap<(bool, Box<str>), u64>>,
}

impl DatedAhead {
    pub(super) fn note(&self, subject: &str, client: &str, iat: u64, now: u64) {
        if iat <= now {
            return;
        }
        let mut latest = self.lock();
        latest.retain(|_, iat| is_ahead(*iat, now));
        for key in [(true, subject.into()), (false, client.into())] {
            let known = latest.entry(key).or_insert(iat);
            *known = iat.max(*known);
        }
    }

    /// Returns the greatest `iat` that lies in the future.
    pub(super) fn latest(&self, of: SessionsOf<'_>, now: u64) -> Option<u64> {
        let key = match of {
            SessionsOf::Subject(name) => (true, name.into()),
            SessionsOf::Client(name) => (false, name.into()),
        };
        let known = self.lock().get(&key).copied();
        known.filter(|iat| is_ahead(*iat, now))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(bool, Box<str>), u64>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns whether `iat` is in the future by at most [`MAX_AHEAD`]. A later `iat` was noted before the clock
/// moved backwards.
fn is_ahead(iat: u64, now: u64) -> bool {
    iat.checked_sub(now)
        .is_some_and(|ahead| (1..=MAX_AHEAD).contains(&ahead))
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

impl Inner {
    /// Returns when every session that was valid at `moment` has been refreshed or has expired, and every
    /// access token that was issued until then has expired.
    pub(super) fn until_refreshed(&self, moment: SystemTime) -> SystemTime {
        let longest = self.lifetimes.idle.max(MAX_ACCESS_TTL) + MARGIN;
        moment.checked_add(longest).unwrap_or(moment)
    }

    pub(super) fn identity<'a>(&'a self, grant: &'a Grant) -> RevocationClaims<'a> {
        RevocationClaims::new()
            .with_issuer(&*self.issuer)
            .with_subject(&*grant.subject)
            .with_client(&*grant.client)
            .with_version(grant.token_version)
    }

    /// Returns the earliest `iat` that no revocation covers, at most [`MAX_AHEAD`] from now. So a user who ended all
    /// sessions can log in within the same second (K06: whole seconds).
    pub(super) fn earliest_iat(
        &self,
        identity: RevocationClaims<'_>,
        now: SystemTime,
    ) -> Result<Option<SystemTime>, IssuingError> {
        for ahead in 0..=MAX_AHEAD {
            let second = now.checked_add(Duration::from_secs(ahead)).unwrap_or(now);
            if !self.is_revoked_in_hub(&identity.with_issued_at(second), now)? {
                return Ok(Some(second));
            }
        }
        Ok(None)
    }

    /// From when on a token for this grant can be dated.
    pub(super) fn begin(&self, grant: &Grant, now: SystemTime) -> Result<SystemTime, IssuingError> {
        let identity = self.identity(grant);
        if let Some(second) = self.earliest_iat(identity, now)? {
            return Ok(second);
        }
        // A token that is dead from the beginning helps nobody.
        match self.earliest_iat(identity.with_version(u64::MAX), now)? {
            Some(_) => Err(IssuingError::Grant {
                problem: "its token version has been revoked",
            }),
            None => Err(IssuingError::Revocations {
                problem: format!(
                    "a revocation covers every token issued in the next {MAX_AHEAD} seconds: sessions were ended \
                     many times in a row, or clocks differ by more than that"
                ),
            }),
        }
    }

    fn is_revoked_in_hub(
        &self,
        identity: &RevocationClaims<'_>,
        now: SystemTime,
    ) -> Result<bool, IssuingError> {
        let revoked = self.hub.is_revoked(identity, now);
        revoked.map_err(|error| IssuingError::Revocations {
            problem: error.to_string(),
        })
    }

    pub(super) fn is_revoked(
        &self,
        record: &SessionRecord,
        state: &State,
        now: SystemTime,
    ) -> Result<bool, IssuingError> {
        let id = record.id().to_string();
        let identity = RevocationClaims::new()
            .with_issuer(&*self.issuer)
            .with_subject(record.subject())
            .with_client(record.client())
            .with_session(&*id)
            .with_version(state.token_version)
            .with_issued_at(time(state.started_at));
        self.is_revoked_in_hub(&identity, now)
    }

    pub(super) fn sign(
        &self,
        subject: &str,
        client: &str,
        scope: &str,
        session: Option<SessionId>,
        state: &State,
        dates: Dates,
    ) -> Result<String, IssuingError> {
        let Dates { iat, exp } = dates;
        let claims = AccessClaims {
            iss: &self.issuer,
            sub: subject,
            aud: &self.audiences,
            client_id: client,
            iat,
            exp,
            jti: &URL_SAFE_NO_PAD.encode(random::<16>()?),
            scope,
            sid: session.map(|session| session.to_string()),
            token_version: state.token_version,
            claims: &state.claims,
        };
        let token = self.keys.current().sign_jwt("at+jwt", &claims);
        let token = token.map_err(|error| IssuingError::Crypto {
            problem: error.to_string(),
        })?;
        match token.len() <= MAX_TOKEN {
            true => Ok(token),
            false => Err(IssuingError::Grant {
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
            expires_in: self.lifetimes.access.as_secs(),
            refresh_token: session.map(|(_, token)| token.to_text()),
            scope,
            session: session.map(|(id, _)| id),
        }
    }
}
