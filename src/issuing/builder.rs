//! The settings of a [`TokenIssuer`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::access_claims::MAX_ACCESS_TTL;
use super::issuer::Inner;
use super::session::Lifetimes;
use super::{SigningKeys, TokenIssuer};
use crate::clock::{ClampedClock, Clock, SystemClock};
use crate::error::ConfigError;
use crate::issuing::RevocationHub;
use crate::issuing::store::{MemoryStore, SessionStore};
use crate::jwt::JwtValidator;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// Settings of a [`TokenIssuer`]. Made by [`TokenIssuer::builder`].
#[must_use]
pub struct TokenIssuerBuilder {
    issuer: String,
    keys: SigningKeys,
    audiences: Vec<String>,
    lifetimes: Lifetimes,
    max_sessions: usize,
    sessions: Arc<dyn SessionStore>,
    hub: Option<RevocationHub>,
    clock: Option<Arc<dyn Clock>>,
}

impl TokenIssuerBuilder {
    pub(super) fn new(issuer: String, keys: SigningKeys) -> Self {
        Self {
            issuer,
            keys,
            audiences: Vec::new(),
            lifetimes: Lifetimes {
                access: MINUTE * 15,
                idle: DAY * 7,
                session: DAY * 30,
                grace: Duration::ZERO,
            },
            max_sessions: 100,
            sessions: Arc::new(MemoryStore::new()),
            hub: None,
            clock: None,
        }
    }

    /// For which service the tokens are: `aud`. May be called again for several. Required.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// For how long an access token is issued, in whole seconds. Default: 15 minutes, short enough to do without a
    /// check of revocations elsewhere, long enough to refresh rarely. At most a day.
    pub fn access_ttl(mut self, access_ttl: Duration) -> Self {
        self.lifetimes.access = access_ttl;
        self
    }

    /// For how long a refresh token is good if it is not used, in whole seconds. Each use begins anew. Default: 7 days.
    pub fn refresh_ttl(mut self, refresh_ttl: Duration) -> Self {
        self.lifetimes.idle = refresh_ttl;
        self
    }

    /// After which time a session ends, however often it is refreshed, in whole seconds. Default: 30 days.
    pub fn session_ttl(mut self, session_ttl: Duration) -> Self {
        self.lifetimes.session = session_ttl;
        self
    }

    /// For how long a client that has lost the answer may present a spent refresh token again, in whole seconds. It is
    /// given the same new one once more, unless that has been used already. Default: zero, because so long a thief may do
    /// the same unnoticed. At most a minute; a few seconds are enough for a retry, or for two tabs of a browser.
    pub fn reuse_grace(mut self, grace: Duration) -> Self {
        self.lifetimes.grace = grace;
        self
    }

    /// Sets how many sessions a user may have. A login beyond that ends the least recently used session. The
    /// limit also holds for concurrent logins in several processes. Expired sessions do not count; at most as
    /// many again are kept. Default: 100, so that no user fills the store for all others. `usize::MAX`
    /// disables the limit. After the limit was lowered, each login ends at most 256 sessions.
    pub fn max_sessions_per_user(mut self, max_sessions: usize) -> Self {
        self.max_sessions = max_sessions;
        self
    }

    /// Where sessions are kept. Default: in memory, so that they are gone when the process ends.
    pub fn sessions(mut self, store: impl SessionStore + 'static) -> Self {
        self.sessions = Arc::new(store);
        self
    }

    /// Where everything is taken back. Default: in memory.
    pub fn revocations(mut self, hub: RevocationHub) -> Self {
        self.hub = Some(hub);
        self
    }

    /// Takes the time from this clock. Default: that of the system; sessions are then cleared away by a time that is never
    /// ahead of the one that really passes.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Makes the issuer.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming the setting: no audience, an empty name, a lifetime that cannot work.
    pub fn build(self) -> Result<TokenIssuer, ConfigError> {
        let wrong = |setting, problem| Err(ConfigError::Setting { setting, problem });
        let second = Duration::from_secs(1);
        if self.issuer.is_empty() {
            return wrong("issuer", "is empty; give the URL of this service");
        }
        if self.audiences.is_empty() || self.audiences.iter().any(String::is_empty) {
            return wrong(
                "audience",
                "is missing or empty; give the name of the service that the tokens are for",
            );
        }
        let Lifetimes {
            access,
            idle,
            session,
            grace,
        } = self.lifetimes;
        if access < second || access > MAX_ACCESS_TTL {
            return wrong(
                "access_ttl",
                "is not between a second and a day; use refresh tokens for longer sessions",
            );
        }
        if idle < second {
            return wrong("refresh_ttl", "is less than a second");
        }
        if session < idle {
            return wrong(
                "session_ttl",
                "is less than `refresh_ttl`, which could then never be reached",
            );
        }
        if self.max_sessions == 0 {
            return wrong(
                "max_sessions_per_user",
                "is zero; for tokens without a session there is `issue_access_token`",
            );
        }
        if session > DAY * 3_650 {
            return wrong("session_ttl", "is more than ten years");
        }
        if grace > MINUTE || (!grace.is_zero() && grace < second) {
            return wrong(
                "reuse_grace",
                "is neither zero nor between a second and a minute",
            );
        }
        let own = JwtValidator::builder(&self.keys)
            .issuer(self.issuer.clone())
            .rfc9068()
            .without_cache();
        let own = self
            .audiences
            .iter()
            .fold(own, |own, audience| own.audience(audience.clone()));
        let clearing: Arc<dyn Clock> = match &self.clock {
            Some(clock) => Arc::clone(clock),
            None => Arc::new(ClampedClock::new()),
        };
        Ok(TokenIssuer::from_inner(Inner {
            own: own.build()?,
            issuer: self.issuer,
            audiences: self.audiences,
            keys: self.keys,
            lifetimes: self.lifetimes,
            max_sessions: self.max_sessions,
            sessions: self.sessions,
            hub: self.hub.unwrap_or_else(RevocationHub::in_memory),
            clock: self.clock.unwrap_or_else(|| Arc::new(SystemClock)),
            clearing,
            dated_ahead: Default::default(),
            logins: Default::default(),
        }))
    }
}

impl fmt::Debug for TokenIssuerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenIssuerBuilder")
            .field("issuer", &self.issuer)
            .field("audience", &self.audiences)
            .field("lifetimes", &self.lifetimes)
            .finish_non_exhaustive()
    }
}
