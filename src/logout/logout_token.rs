//! What a logout token says, and what it has to say.

use std::fmt;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::jwt::{ClaimsLayout, RawClaims, Times, TokenError, TokenProfile, Typing, is_of_type};

/// The member of `events` by which a token is one ([section
/// 2.4](https://openid.net/specs/openid-connect-backchannel-1_0.html#LogoutToken)).
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// Who has logged out, as the provider says: a logout token that has been checked.
///
/// It has a session, a subject, or both. Without a session, all sessions of the subject are meant. `Debug` shows nothing
/// of it.
#[derive(Clone)]
pub struct LogoutToken {
    issuer: Box<str>,
    token_id: Box<str>,
    subject: Option<Box<str>>,
    session: Option<Box<str>>,
    issued_at: SystemTime,
}

impl LogoutToken {
    #[expect(
        clippy::needless_pass_by_value,
        reason = "has the form of `ReadClaims`"
    )]
    pub(super) fn read(claims: RawClaims<'_>, _: &ClaimsLayout) -> Result<Self, TokenError> {
        let missing = TokenError::missing;
        let own = |text: &str| Box::<str>::from(text);
        Ok(Self {
            issuer: claims
                .iss
                .as_deref()
                .map(own)
                .ok_or_else(|| missing("iss"))?,
            token_id: claims
                .jti
                .as_deref()
                .map(own)
                .ok_or_else(|| missing("jti"))?,
            session: session(&claims)?.map(own),
            issued_at: claims.times.iat.ok_or_else(|| missing("iat"))?.time(),
            subject: claims.sub.as_deref().map(own),
        })
    }

    /// The provider: `iss`.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Who has logged out: `sub`.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// The session that has ended: `sid`.
    #[must_use]
    pub fn session(&self) -> Option<&str> {
        self.session.as_deref()
    }

    /// When it was issued, by the clock of the provider: `iat`. What was issued later belongs to a later login.
    #[must_use]
    pub fn issued_at(&self) -> SystemTime {
        self.issued_at
    }

    /// Its own name: `jti`.
    #[must_use]
    pub fn token_id(&self) -> &str {
        &self.token_id
    }
}

impl fmt::Debug for LogoutToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogoutToken").finish_non_exhaustive()
    }
}

/// The rules that concern no other token ([section
/// 2.6](https://openid.net/specs/openid-connect-backchannel-1_0.html#Validation)). Pure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogoutRules {
    /// Whether `typ` may be `JWT` or missing.
    pub(super) untyped: bool,
    pub(super) max_age: Duration,
}

impl TokenProfile for LogoutRules {
    /// (D07: access tokens only)
    fn token_type(&self, typ: Option<&str>) -> Result<Typing, TokenError> {
        if is_of_type(typ, "logout+jwt") {
            Ok(Typing::Explicit)
        } else if self.untyped && (typ.is_none() || is_of_type(typ, "JWT")) {
            Ok(Typing::General)
        } else {
            Err(TokenError::LogoutToken {
                problem: "`typ` is not `logout+jwt`",
            })
        }
    }

    /// What makes it one, and whom it is about.
    fn kind(&self, claims: &RawClaims<'_>) -> Result<(), TokenError> {
        let wrong = |problem| Err(TokenError::LogoutToken { problem });
        match claims.rest.get("events") {
            Some(Value::Object(events)) => match events.get(EVENT) {
                Some(Value::Object(_)) => {}
                Some(_) => return wrong("the event in `events` is not an object"),
                None => return wrong("`events` does not have the event of a logout"),
            },
            Some(_) => return Err(TokenError::claim("events")),
            None => return Err(TokenError::missing("events")),
        }
        // So that it can never pass for an ID token, nor an ID token for it.
        if claims.rest.contains_key("nonce") {
            return wrong("it has a `nonce`");
        }
        if session(claims)?.is_none() && claims.sub.is_none() {
            return wrong("it has neither `sub` nor `sid`");
        }
        Ok(())
    }

    /// Whether it has been on the way for too long. That it is none of the future is looked at elsewhere.
    fn age(&self, times: &Times, leeway: Duration, now: SystemTime) -> Result<(), TokenError> {
        let iat = times.iat.ok_or_else(|| TokenError::missing("iat"))?;
        match now > self.ends(iat.time(), leeway) {
            true => Err(TokenError::Expired),
            false => Ok(()),
        }
    }
}

impl LogoutRules {
    /// The last moment at which one that was issued at this time is accepted.
    pub(super) fn ends(&self, issued_at: SystemTime, leeway: Duration) -> SystemTime {
        let accepted = self.max_age.saturating_add(leeway);
        // Both are bounded, so the sum always exists.
        issued_at.checked_add(accepted).unwrap_or(issued_at)
    }
}

/// D01: one that cannot be compared is none.
fn session<'c>(claims: &'c RawClaims<'_>) -> Result<Option<&'c str>, TokenError> {
    match claims.rest.get("sid") {
        None => Ok(None),
        Some(Value::String(session)) if !session.is_empty() => Ok(Some(session)),
        Some(_) => Err(TokenError::claim("sid")),
    }
}
