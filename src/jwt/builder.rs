//! The settings of a JWT validator.

use std::fmt;
#[cfg(feature = "logout")]
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::access_token::AccessToken;
use super::algorithm::Algorithm;
use super::check_settings::{check_setters, problem};
use super::checks::{Checks, MAX_LEEWAY};
use super::header::media_type;
use super::known_headers::KnownHeaders;
#[cfg(feature = "logout")]
use super::profile::TokenProfile;
use super::token::MAX_LENGTH;
use super::validator::{
    Inner, JwtValidator, KeySource, Keys, OwnCheck, ReadClaims, read_access_token, read_own,
};
use crate::cache::{CacheSettings, VerdictCache};
use crate::error::ConfigError;
use crate::revocation::RevocationCheck;

/// The longest token that is read unless told otherwise, in bytes.
const DEFAULT_LENGTH: usize = 8 * 1024;

/// Makes a [`JwtValidator`]. Begun by [`JwtValidator::builder`].
///
/// # What has to be said
///
/// The issuer and the audience ([RFC 8725 sections 3.8 and 3.9](https://www.rfc-editor.org/rfc/rfc8725#section-3.8)).
/// Keys that were found by discovery bring their issuer with them. What weakens a check says
/// `insecure`.
#[must_use]
pub struct JwtValidatorBuilder<C = AccessToken> {
    keys: KeySource,
    checks: Checks,
    any_issuer: bool,
    any_audience: bool,
    max_length: usize,
    read: ReadClaims<C>,
    own: Vec<OwnCheck<C>>,
    lost_checks: bool,
    cache: Option<CacheSettings>,
    cache_is_chosen: bool,
    revocations: Option<RevocationCheck>,
}

impl JwtValidatorBuilder {
    pub(super) fn new(keys: KeySource) -> Self {
        Self {
            keys,
            checks: Checks::default(),
            any_issuer: false,
            any_audience: false,
            max_length: DEFAULT_LENGTH,
            read: read_access_token,
            own: Vec::new(),
            lost_checks: false,
            cache: Some(CacheSettings::new()),
            cache_is_chosen: false,
            revocations: None,
        }
    }

    /// Reads the claims into a type of the application, which becomes the principal. All checks of the
    /// registered claims stay as they are. The text is read a second time, after the signature has been
    /// verified; what does not fit the type is 401 with [`TokenError::Deserialize`](super::TokenError::Deserialize).
    ///
    /// Of the [layout](Self::claims_layout), the audience and the mark of the provider still count. Roles,
    /// scopes and tenant do not: implement [`Claims`](crate::policy::Claims) for the type, from its own
    /// fields, to use the built-in policies. To keep both, stay with [`AccessToken`] and make your type of
    /// it with [`and_then`](crate::Validator::and_then); this is also how JWTs and opaque tokens get the same
    /// principal.
    ///
    /// Call it before [`check`](Self::check).
    ///
    /// # Example
    ///
    /// ```
    /// use tower_bearer::jwt::{JwtValidator, KeySet};
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Session {
    ///     sub: String,
    ///     plan: Option<String>,
    /// }
    ///
    /// # fn build(keys: KeySet) -> Result<(), tower_bearer::ConfigError> {
    /// let validator = JwtValidator::builder(keys)
    ///     .issuer("https://login.example.com/")
    ///     .audience("https://api.example.com")
    ///     .claims::<Session>()
    ///     .check(|session| match session.plan.as_deref() {
    ///         Some("suspended") => Err(tower_bearer::Failure::invalid(tower_bearer::InvalidReason::Revoked)),
    ///         _ => Ok(()),
    ///     })
    ///     .build()?;
    /// # let _ = validator; Ok(()) }
    /// ```
    pub fn claims<C: DeserializeOwned + Send + Sync + 'static>(self) -> JwtValidatorBuilder<C> {
        self.reading(read_own::<C>)
    }

    /// Accepts another kind of token instead of access tokens. Such tokens are not cached.
    #[cfg(feature = "logout")]
    pub(crate) fn profile<C>(
        mut self,
        profile: impl TokenProfile + 'static,
        read: ReadClaims<C>,
    ) -> JwtValidatorBuilder<C> {
        self.checks.profile = Some(Arc::new(profile));
        self.reading(read).without_cache()
    }

    fn reading<C>(self, read: ReadClaims<C>) -> JwtValidatorBuilder<C> {
        JwtValidatorBuilder {
            keys: self.keys,
            checks: self.checks,
            any_issuer: self.any_issuer,
            any_audience: self.any_audience,
            max_length: self.max_length,
            read,
            own: Vec::new(),
            // A check for another type would be lost without a word.
            lost_checks: !self.own.is_empty(),
            cache: self.cache,
            cache_is_chosen: self.cache_is_chosen,
            revocations: self.revocations,
        }
    }
}

impl<C> JwtValidatorBuilder<C> {
    check_setters! {
        claims: C,
        /// The issuer: `iss` has to be this text, character by character
        /// ([RFC 9068 section 4](https://www.rfc-editor.org/rfc/rfc9068#section-4)).
        issuer,
        /// How far the clocks of the issuer and of this machine may be apart. Default: 60 seconds, at most
        /// 300. A token is accepted that much longer than its `exp` says, and that much earlier than its `nbf`
        /// and `iat`.
        leeway,
        /// Accepts ID tokens too. They tell a client who logged in; they are not meant for an API
        /// ([RFC 8725 section 3.12](https://www.rfc-editor.org/rfc/rfc8725#section-3.12)). Their audience is
        /// the client, so only an audience of one's own keeps those of other clients out. The mark by which a
        /// [preset](crate::jwt::ClaimsLayout) knows access tokens is then not asked for.
        insecure_accept_id_tokens,
        /// Where the provider puts scopes, roles and so on. Default: as in RFC 9068.
        ///
        /// # Example
        ///
        /// ```
        /// use tower_bearer::jwt::{ClaimsLayout, JwtValidator, KeySet};
        ///
        /// # fn build(keys: KeySet) -> Result<(), tower_bearer::ConfigError> {
        /// // Keycloak names this service in `aud` only if the client has an audience mapper.
        /// let validator = JwtValidator::builder(keys)
        ///     .issuer("https://login.example.com/realms/shop")
        ///     .audience("orders")
        ///     .claims_layout(ClaimsLayout::keycloak_realm())
        ///     .build()?;
        /// # let _ = validator; Ok(()) }
        /// ```
        claims_layout,
        /// Adds a check of the application, after all others. Checks run in the order in which they were
        /// added, with each request. One that has to wait, say for a database, is
        /// [`Validator::and_then`](crate::Validator::and_then).
        ///
        /// # Example
        ///
        /// ```
        /// use tower_bearer::jwt::{JwtValidator, KeySet};
        /// use tower_bearer::{Failure, InvalidReason};
        ///
        /// # fn build(keys: KeySet) -> Result<(), tower_bearer::ConfigError> {
        /// let validator = JwtValidator::builder(keys)
        ///     .issuer("https://login.example.com/")
        ///     .audience("https://api.example.com")
        ///     .check(|token| match token.client_id() {
        ///         Some("shop" | "backoffice") => Ok(()),
        ///         _ => Err(Failure::invalid(InvalidReason::Claims)),
        ///     })
        ///     .build()?;
        /// # let _ = validator; Ok(()) }
        /// ```
        check,
    }

    /// Accepts tokens of any issuer, or of none, that the keys have signed. Tokens that another
    /// service signed with the same keys for another purpose are then accepted too.
    pub fn insecure_any_issuer(mut self) -> Self {
        self.any_issuer = true;
        self
    }

    /// Refuses tokens that were issued for longer: `exp` may be at most this much after `iat`, and both
    /// have to be there. Default: no limit.
    pub fn max_lifetime(mut self, max_lifetime: Duration) -> Self {
        self.checks.max_lifetime = Some(max_lifetime);
        self
    }

    /// Sets the maximum age of a token, independent of its `exp`. `iat` is then required, and may be at most
    /// `max_age` plus the [leeway](Self::leeway) ago. A cached token expires at that time too. Default: no
    /// limit.
    ///
    /// Use it if an issuer sets lifetimes that are too long for this service. To limit the age of the login,
    /// use the policy [`max_age`](crate::policy::max_age), which reads `auth_time`.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower_bearer::jwt::{Algorithm, JwtValidator, KeySet};
    ///
    /// # fn build(keys: KeySet) -> Result<(), tower_bearer::ConfigError> {
    /// let validator = JwtValidator::builder(keys)
    ///     .issuer("https://login.example.com/")
    ///     .audience("https://api.example.com")
    ///     .algorithms([Algorithm::ES256])
    ///     .only_token_types(["at+jwt"])
    ///     .max_token_age(Duration::from_secs(15 * 60))
    ///     .build()?;
    /// # let _ = validator; Ok(()) }
    /// ```
    pub fn max_token_age(mut self, max_age: Duration) -> Self {
        self.checks.max_token_age = Some(max_age);
        self
    }

    /// Accepts tokens without `exp`, which are good until their key goes.
    pub fn insecure_without_expiry(mut self) -> Self {
        self.checks.expiry_required = false;
        self
    }

    /// Requires the profile of [RFC 9068](https://www.rfc-editor.org/rfc/rfc9068#section-4): `typ` is
    /// `at+jwt`, and `iss`, `exp`, `aud`, `sub`, `client_id`, `iat` and `jti` are there. Use it wherever
    /// the issuer can.
    ///
    /// The default also takes tokens whose `typ` is `JWT` or missing, unless a claim shows that they are
    /// ID tokens (`nonce`, `at_hash`, `c_hash`, `s_hash`, or what the [layout](Self::claims_layout) knows of the
    /// provider), refresh tokens, logout tokens or DPoP proofs. Any other `typ` is rejected. An ID token without such a
    /// claim is rejected for its audience, which is the client.
    pub fn rfc9068(mut self) -> Self {
        self.checks.at_jwt = true;
        self
    }

    /// Accepts one more value of `typ`, which a provider has of its own for access tokens. Those that are
    /// registered for other kinds of tokens are an error. Types are compared as media types
    /// ([RFC 7515 section 4.1.9](https://www.rfc-editor.org/rfc/rfc7515#section-4.1.9)): without regard to case, and
    /// with `application/` before a value that has no slash.
    pub fn token_type(mut self, typ: impl Into<String>) -> Self {
        self.checks.types.push(typ.into().into_boxed_str());
        self
    }

    /// Accepts only these values of `typ`, compared as for [`token_type`](Self::token_type). A token without `typ` is
    /// rejected. Default: `at+jwt`, `JWT` and none, and those that [`token_type`](Self::token_type) adds.
    ///
    /// With `["at+jwt"]`, only the type distinguishes access tokens from all other tokens ([RFC 8725 section
    /// 3.11](https://www.rfc-editor.org/rfc/rfc8725#section-3.11)), without the claims that
    /// [`rfc9068`](Self::rfc9068) requires. `JWT` does not name a kind of token: if it is in the list, the
    /// claims decide as they do by default.
    pub fn only_token_types<T: Into<String>>(mut self, types: impl IntoIterator<Item = T>) -> Self {
        let types = types.into_iter().map(|typ| typ.into().into_boxed_str());
        self.checks.only_types = Some(types.collect());
        self
    }

    /// Accepts only these algorithms, among those of the keys ([RFC 8725 section
    /// 3.1](https://www.rfc-editor.org/rfc/rfc8725#section-3.1)). This setting allows no algorithm without a
    /// key. Default: the algorithms of all keys.
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.checks.algorithms = Some(algorithms.into_iter().collect());
        self
    }

    /// Asks a store of revocations about each token, remembered or not: by `jti`, `sid`, `sub` and `iat`, each
    /// with `iss`. See [`revocation`](crate::revocation). Default: none.
    pub fn revocations(mut self, revocations: impl Into<RevocationCheck>) -> Self {
        self.revocations = Some(revocations.into());
        self
    }

    /// Sets how many tokens are cached, and for how long: see [`cache`](crate::cache). Changes of keys and
    /// revocations and the application's own checks apply to cached tokens too.
    /// [`JwtIssuers`](super::JwtIssuers) has one cache for the tokens of all its issuers, in which the tokens
    /// of this validator live no longer than is set here. Default: [`CacheSettings::new`], which sets no
    /// limit there.
    pub fn cache(mut self, settings: CacheSettings) -> Self {
        self.cache = Some(settings);
        self.cache_is_chosen = true;
        self
    }

    /// Disables the cache: every token is checked anew, its signature included, also within
    /// [`JwtIssuers`](super::JwtIssuers). Only an explicit [`cached`](crate::ValidatorExt::cached) around the
    /// validator caches its results.
    pub fn without_cache(mut self) -> Self {
        self.cache = None;
        self
    }

    /// Makes the validator.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming the setting: no issuer, no audience, an unusable key, a limit that cannot
    /// work, settings that contradict each other.
    pub fn build(self) -> Result<JwtValidator<C>, ConfigError> {
        let wrong = |setting, problem| Err(ConfigError::Setting { setting, problem });
        let keys = self.keys.0?;
        let mut checks = self.checks;
        if checks.layout.only_id_tokens && !checks.accept_id_tokens {
            return wrong(
                "claims_layout",
                "is for a provider whose JWTs are ID tokens; add `insecure_accept_id_tokens` if that is meant",
            );
        }
        let found = keys.issuer().map(Box::<str>::from);
        match (&checks.issuer, found) {
            (None, Some(found)) if !self.any_issuer => checks.issuer = Some(found),
            (Some(issuer), Some(found)) if *issuer != found => {
                return wrong(
                    "issuer",
                    "differs from the issuer that the keys were found by; leave it out, discovery sets it",
                );
            }
            _ => {}
        }
        match &checks.issuer {
            Some(_) if self.any_issuer => {
                return wrong(
                    "insecure_any_issuer",
                    "contradicts `issuer`; leave one of them out",
                );
            }
            None if !self.any_issuer => {
                return wrong(
                    "issuer",
                    "is missing; give the text that the provider puts into `iss`",
                );
            }
            _ => {}
        }
        if let Some((setting, problem)) = problem(&checks, self.any_audience) {
            return wrong(setting, problem);
        }
        if checks.leeway > MAX_LEEWAY {
            return wrong("leeway", "is more than 300 seconds; set the clocks instead");
        }
        if checks
            .max_lifetime
            .is_some_and(|lifetime| lifetime.is_zero())
        {
            return wrong("max_lifetime", "is zero, so no token would be accepted");
        }
        if checks.max_token_age.is_some_and(|age| age.is_zero()) {
            return wrong("max_token_age", "is zero, so no token would be accepted");
        }
        if let Some(problem) = types_problem(&checks) {
            return wrong("only_token_types", problem);
        }
        match &checks.algorithms {
            Some(allowed) if allowed.is_empty() => {
                return wrong("algorithms", "is empty, so no token would be accepted");
            }
            Some(allowed) if !keys.may_be_for(allowed) => {
                return wrong("algorithms", "allows none that a key is for");
            }
            _ => {}
        }
        if checks.at_jwt && checks.accept_id_tokens {
            return wrong(
                "insecure_accept_id_tokens",
                "contradicts `rfc9068`; leave one of them out",
            );
        }
        if checks.at_jwt && !checks.expiry_required {
            return wrong(
                "insecure_without_expiry",
                "contradicts `rfc9068`; leave one of them out",
            );
        }
        if checks.types.iter().any(|typ| typ.is_empty()) {
            return wrong("token_type", "is empty; give a value of `typ`");
        }
        if checks.types.iter().any(|typ| is_another_kind(typ)) {
            return wrong(
                "token_type",
                "names a kind of token that is never an access token; leave it out",
            );
        }
        if !(64..=MAX_LENGTH).contains(&self.max_length) {
            return wrong("max_length", "is not usable; give 64 to 16384 bytes");
        }
        if self.lost_checks {
            return wrong(
                "check",
                "was given before `claims`, for another type; give it after",
            );
        }
        let inner = Inner {
            keys,
            checks,
            headers: KnownHeaders::default(),
            max_length: self.max_length,
            read: self.read,
            own: self.own.into(),
            revocations: self.revocations,
            cache_is_chosen: self.cache_is_chosen,
        };
        let cache = self.cache.map(|settings| VerdictCache::new(&settings));
        Ok(JwtValidator::from_inner(inner, cache))
    }
}

/// Returns the problem of the setting `only_token_types`, if there is one.
fn types_problem(checks: &Checks) -> Option<&'static str> {
    let only = checks.only_types.as_deref()?;
    if only.is_empty() {
        return Some("is empty, so no token would be accepted");
    }
    if only.iter().any(|typ| typ.is_empty()) {
        return Some("has an empty text; give values of `typ`");
    }
    if only.iter().any(|typ| is_another_kind(typ)) {
        return Some("names a kind of token that is never an access token; leave it out");
    }
    if !checks.types.is_empty() {
        return Some("contradicts `token_type`; give all values here");
    }
    if checks.at_jwt {
        return Some("contradicts `rfc9068`, which sets the type; leave one of them out");
    }
    None
}

/// Values of `typ` that are registered for something else.
fn is_another_kind(typ: &str) -> bool {
    [
        "dpop+jwt",
        "logout+jwt",
        "oauth-authz-req+jwt",
        "secevent+jwt",
        "statuslist+jwt",
        "token-introspection+jwt",
    ]
    .iter()
    .any(|other| media_type(typ).eq_ignore_ascii_case(other))
}

impl Keys {
    /// Returns whether there may be a key for one of `algorithms`.
    fn may_be_for(&self, algorithms: &[Algorithm]) -> bool {
        match self {
            Keys::Local(keys) => keys.may_be_for(algorithms),
            Keys::Provided(provider) => provider.may_be_for(algorithms),
        }
    }

    fn issuer(&self) -> Option<&str> {
        match self {
            Keys::Local(_) => None,
            Keys::Provided(provider) => provider.issuer(),
        }
    }
}

impl<C> fmt::Debug for JwtValidatorBuilder<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtValidatorBuilder")
            .field("keys", &self.keys)
            .field("issuer", &self.checks.issuer)
            .field("audience", &self.checks.audiences)
            .finish_non_exhaustive()
    }
}
