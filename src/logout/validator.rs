//! Whether a logout token is one.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::logout_token::{LogoutRules, LogoutToken};
use super::replays::{Replays, Reservation};
use crate::error::ConfigError;
use crate::failure::Failure;
use crate::jwt::{JwtValidator, JwtValidatorBuilder, KeySource};
use crate::validator::Verdict;

/// For how long a token may be on the way, unless told otherwise: as long as the specification recommends its `exp` to be.
const DEFAULT_MAX_AGE: Duration = Duration::from_secs(120);
/// The most that may be set.
const MAX_AGE: Duration = Duration::from_secs(86_400);
/// How many tokens are remembered unless told otherwise.
const DEFAULT_REPLAY_CAPACITY: usize = 100_000;
/// The leeway unless told otherwise: that of a [`JwtValidator`].
const DEFAULT_LEEWAY: Duration = Duration::from_secs(60);

/// Checks logout tokens ([OpenID Connect Back-Channel Logout 1.0 section
/// 2.6](https://openid.net/specs/openid-connect-backchannel-1_0.html#Validation)). Clones are cheap and share what has
/// been used.
///
/// # What is checked
///
/// * All that a [`JwtValidator`] checks of any token: strict reading, the algorithm that belongs to the key (`none` belongs
///   to no key), the signature, keys that are fetched again when they change.
/// * `typ` is `logout+jwt`, unless [told otherwise](LogoutTokenValidatorBuilder::accept_untyped).
/// * `iss` is the provider, and `aud` is this client and nobody else.
/// * `exp` and `iat` are there; it is not over, not of the future and not
///   [too old](LogoutTokenValidatorBuilder::max_age).
/// * `events` has the event of a logout, an object; there is no `nonce`.
/// * `sub` or `sid` is there, or both, as texts that are not empty.
/// * `jti` is there and has not been used before.
///
/// An access token or an ID token is never accepted here, nor is a logout token by a `JwtValidator`.
///
/// # Example
///
/// ```
/// use tower_bearer::jwt::KeySet;
/// use tower_bearer::logout::LogoutTokenValidator;
///
/// # fn build(keys: KeySet) -> Result<(), tower_bearer::ConfigError> {
/// // With the feature `oidc`, `RemoteKeys::discover` finds the keys and sets the issuer.
/// let validator = LogoutTokenValidator::builder(keys)
///     .issuer("https://login.example.com/")
///     .audience("shop-frontend")
///     .build()?;
/// # let _ = validator; Ok(()) }
/// ```
#[derive(Clone)]
pub struct LogoutTokenValidator {
    jwt: JwtValidator<LogoutToken>,
    rules: LogoutRules,
    leeway: Duration,
    replays: Arc<Replays>,
}

/// Makes a [`LogoutTokenValidator`]. Begun by [`LogoutTokenValidator::builder`].
#[must_use]
pub struct LogoutTokenValidatorBuilder {
    jwt: JwtValidatorBuilder,
    rules: LogoutRules,
    leeway: Duration,
    replay_capacity: usize,
}

impl LogoutTokenValidator {
    /// Starts with the keys with which the provider signs ID tokens: all that
    /// [`JwtValidator::builder`] takes.
    ///
    /// [`build`](LogoutTokenValidatorBuilder::build) asks for an issuer and an audience.
    pub fn builder(keys: impl Into<KeySource>) -> LogoutTokenValidatorBuilder {
        LogoutTokenValidatorBuilder {
            jwt: JwtValidator::builder(keys),
            rules: LogoutRules {
                untyped: false,
                max_age: DEFAULT_MAX_AGE,
            },
            leeway: DEFAULT_LEEWAY,
            replay_capacity: DEFAULT_REPLAY_CAPACITY,
        }
    }

    /// Checks a token, which counts as used then: for a transport of your own. Over HTTP there is
    /// [`BackChannelLogout`](super::BackChannelLogout).
    ///
    /// # Errors
    ///
    /// [`Failure`]: [invalid](crate::FailureKind::Invalid) with a [`TokenError`](crate::jwt::TokenError) as its source,
    /// unrecognized if it is no JWT at all, or unavailable if the keys cannot be fetched, or too many tokens have been used.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::SystemTime;
    /// use tower_bearer::Failure;
    /// use tower_bearer::logout::LogoutTokenValidator;
    ///
    /// # async fn hear(validator: LogoutTokenValidator, text: &str) -> Result<(), Failure> {
    /// let logout = validator.validate(text, SystemTime::now()).await?;
    /// match (logout.session(), logout.subject()) {
    ///     (Some(session), _) => println!("the session {session} is over"),
    ///     (None, subject) => println!("all sessions of {subject:?} are over"),
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn validate(&self, token: &str, now: SystemTime) -> Result<LogoutToken, Failure> {
        let (token, reservation) = self.begin(token, now).await?;
        reservation.used();
        Ok(token)
    }

    /// Checks a token that is about to be used.
    pub(super) async fn begin(
        &self,
        token: &str,
        now: SystemTime,
    ) -> Result<(LogoutToken, Reservation), Failure> {
        let validated = match self.jwt.decide_text(token.as_bytes(), now) {
            Verdict::Ready(result) => result?,
            Verdict::Pending(future) => future.await?,
        };
        let token = LogoutToken::clone(validated.principal());
        let until = self.rules.ends(token.issued_at(), self.leeway);
        let until = validated.expires_at().map_or(until, |ends| ends.min(until));
        let reservation = self.replays.reserve(token.token_id(), until, now)?;
        Ok((token, reservation))
    }
}

impl LogoutTokenValidatorBuilder {
    /// The provider: `iss` has to be this text, character by character. Keys that were found by discovery bring it along.
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.jwt = self.jwt.issuer(issuer);
        self
    }

    /// The client that has logged the user in, by its `client_id`: not the API, whose name stands in access tokens. Each
    /// value of `aud` has to be one of those that are given here, and there has to be one.
    pub fn audience(mut self, client_id: impl Into<String>) -> Self {
        self.jwt = self.jwt.audience(client_id);
        self
    }

    /// How far the clocks of the provider and of this machine may be apart. Default: 60 seconds, at most 300.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// How old a token may be, by its `iat`, in addition to the leeway. Default: 120 seconds, which is what the specification
    /// recommends for `exp`; at most a day. So long a provider may try again with the same token, and so long it has to be
    /// remembered.
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.rules.max_age = max_age;
        self
    }

    /// Accepts tokens whose `typ` is `JWT` or missing. Default: `logout+jwt` alone, which the specification recommends and
    /// many providers do not send yet. Logout tokens are then told from others by `events`, and by what they must not have: a
    /// `nonce`. That holds as long as the provider lets nobody choose the claims of his tokens.
    pub fn accept_untyped(mut self) -> Self {
        self.rules.untyped = true;
        self
    }

    /// How many tokens that have been used are remembered until they are over: as many as there may be in about four
    /// minutes. Default: 100,000, which takes 5 MB. When there is no room, logouts are answered with 503.
    pub fn replay_capacity(mut self, replay_capacity: usize) -> Self {
        self.replay_capacity = replay_capacity;
        self
    }

    /// Makes the validator.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming the setting: no issuer, no audience, an unusable key, a limit that cannot work.
    pub fn build(self) -> Result<LogoutTokenValidator, ConfigError> {
        if self.rules.max_age.is_zero() || self.rules.max_age > MAX_AGE {
            return Err(ConfigError::Setting {
                setting: "max_age",
                problem: "is not usable; give a time of up to a day",
            });
        }
        if self.replay_capacity == 0 {
            return Err(ConfigError::Setting {
                setting: "replay_capacity",
                problem: "is zero, so no token would be accepted",
            });
        }
        let jwt = self
            .jwt
            .leeway(self.leeway)
            .profile(self.rules, LogoutToken::read)
            .require("iat")
            .require("jti")
            .build()?;
        Ok(LogoutTokenValidator {
            jwt,
            rules: self.rules,
            leeway: self.leeway,
            replays: Arc::new(Replays::new(self.replay_capacity)),
        })
    }
}

impl fmt::Debug for LogoutTokenValidator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogoutTokenValidator")
            .field("jwt", &self.jwt)
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for LogoutTokenValidatorBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogoutTokenValidatorBuilder")
            .field("jwt", &self.jwt)
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}
