//! From a token to its claims.

mod provided_keys;

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use serde::de::DeserializeOwned;

use super::access_token::AccessToken;
use super::builder::JwtValidatorBuilder;
use super::checks::Checks;
use super::claims::RawClaims;
use super::decode_buffer::{PayloadBuffer, SignatureBuffer};
use super::error::TokenError;
use super::key::Key;
use super::key_error::KeyError;
use super::key_provider::KeyProvider;
use super::key_set::{KeySet, NoKey};
use super::known_headers::KnownHeaders;
use super::layout::ClaimsLayout;
use super::token::{Parts, UnverifiedToken};
use crate::cache::{CacheLimit, VerdictCache};
use crate::extract::{Credential, UncheckedCredential};
use crate::failure::Failure;
use crate::request::RequestView;
use crate::revocation::RevocationCheck;
use crate::validator::{Dependency, Validated, Validator, Verdict};

/// Validates JSON Web Tokens: signature, issuer, audience, time and kind
/// ([RFC 7519](https://www.rfc-editor.org/rfc/rfc7519), [RFC 8725](https://www.rfc-editor.org/rfc/rfc8725),
/// [RFC 9068](https://www.rfc-editor.org/rfc/rfc9068)).
///
/// The principal is an [`AccessToken`], or the application's own type
/// ([`claims`](JwtValidatorBuilder::claims)). Cloning is cheap.
///
/// # What is checked, in this order
///
/// 1. Length and shape: three parts, strict base64url.
/// 2. The header: strict JSON, no `crit`, no nested or encrypted token, `typ`.
/// 3. The key: the one that `kid` names, and its algorithm is that of the header. Keys in the header
///    are never looked at.
/// 4. The issuer, exactly. A token from somebody else costs no signature work.
/// 5. The signature.
/// 6. The claims: kind of token, sender binding, audience, time, subject, required claims, then whether it has been
///    [revoked](JwtValidatorBuilder::revocations) and the application's own [checks](JwtValidatorBuilder::check).
///
/// A token that was accepted is [remembered](JwtValidatorBuilder::cache) for five minutes, if it has no more than 4096
/// bytes. Of it, only what may have changed is looked at again: its end, the keys, revocation and the checks.
///
/// A token that is no JWT at all is [unrecognized](Failure::unrecognized), so that another validator
/// may know it. Why a token was refused is a [`TokenError`], the source of the rejection.
///
/// # Example
///
/// ```
/// use tower_bearer::BearerAuthLayer;
/// use tower_bearer::jwt::{JwtValidator, PublicKey};
///
/// # #[cfg(any(feature = "aws_lc_rs", feature = "rust_crypto"))] {
/// # let pem = "-----BEGIN PUBLIC KEY-----\n\
/// #     MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n\
/// #     -----END PUBLIC KEY-----\n";
/// let validator = JwtValidator::builder(PublicKey::from_pem(pem)?)
///     .issuer("https://login.example.com/")
///     .audience("https://api.example.com")
///     .build()?;
/// let layer = BearerAuthLayer::new(validator);
/// # let _ = layer; }
/// # Ok::<_, tower_bearer::ConfigError>(())
/// ```
pub struct JwtValidator<C = AccessToken> {
    pub(super) inner: Arc<Inner<C>>,
    cache: Option<VerdictCache<C>>,
}

pub(crate) struct Inner<C> {
    pub(crate) keys: Keys,
    pub(crate) checks: Checks,
    pub(crate) headers: KnownHeaders,
    pub(crate) max_length: usize,
    pub(crate) read: ReadClaims<C>,
    pub(crate) own: Arc<[OwnCheck<C>]>,
    pub(crate) revocations: Option<RevocationCheck>,
    /// Whether the application has chosen the settings of the cache.
    pub(crate) cache_is_chosen: bool,
}

/// Makes the principal of claims that have been checked.
pub(crate) type ReadClaims<C> = fn(RawClaims<'_>, &ClaimsLayout) -> Result<C, TokenError>;
/// A check of the application.
pub(crate) type OwnCheck<C> = Box<dyn Fn(&C) -> Result<(), Failure> + Send + Sync>;

/// Where keys come from.
pub(crate) enum Keys {
    /// Keys that never change.
    Local(KeySet),
    /// Keys that may change.
    #[cfg_attr(
        not(any(feature = "issuing", feature = "jwks")),
        expect(dead_code, reason = "created by the modules above")
    )]
    Provided(Arc<dyn KeyProvider>),
}

/// The keys of a validator: one key, a [`KeySet`], keys fetched from an issuer, or those with which this process signs.
///
/// Made by `From`; see [`JwtValidator::builder`].
#[derive(Debug)]
pub struct KeySource(pub(crate) Result<Keys, KeyError>);

#[diagnostic::do_not_recommend]
impl<K: Into<Key>> From<K> for KeySource {
    fn from(key: K) -> Self {
        Self(KeySet::new([key]).map(Keys::Local))
    }
}

impl From<KeySet> for KeySource {
    fn from(keys: KeySet) -> Self {
        Self(Ok(Keys::Local(keys)))
    }
}

impl KeySource {
    /// Creates a source of keys that may change.
    #[cfg(any(feature = "issuing", feature = "jwks"))]
    pub(crate) fn provided(provider: impl KeyProvider + 'static) -> Self {
        Self(Ok(Keys::Provided(Arc::new(provider))))
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(keys) => keys.fmt(f),
            Self::Provided(provider) => provider.fmt(f),
        }
    }
}

impl JwtValidator {
    /// Starts with the keys: a [`PublicKey`](super::PublicKey), a [`SharedSecret`](super::SharedSecret), a [`KeySet`]
    /// or, with feature `jwks`, `provider::RemoteKeys`, or, with feature `issuing`, the `issuing::SigningKeys` of this process.
    ///
    /// [`build`](JwtValidatorBuilder::build) asks for an issuer and an audience.
    pub fn builder(keys: impl Into<KeySource>) -> JwtValidatorBuilder {
        JwtValidatorBuilder::new(keys.into())
    }
}

impl<C> JwtValidator<C> {
    pub(crate) fn from_inner(inner: Inner<C>, cache: Option<VerdictCache<C>>) -> Self {
        Self {
            inner: Arc::new(inner),
            cache,
        }
    }

    /// Returns the cached results. `None` if the validator was built [without a
    /// cache](JwtValidatorBuilder::without_cache). Within [`JwtIssuers`](super::JwtIssuers), [their
    /// cache](super::JwtIssuers::cache) is used instead.
    #[must_use]
    pub fn cache(&self) -> Option<&VerdictCache<C>> {
        self.cache.as_ref()
    }

    /// Returns the limit for a cache around this validator, for this token (M18: caching is the choice of
    /// each validator).
    pub(crate) fn cache_limit(&self, token: &[u8]) -> CacheLimit {
        match &self.cache {
            None => CacheLimit::NOTHING,
            Some(cache) if self.inner.cache_is_chosen => cache.limit(token),
            Some(_) => CacheLimit::NONE,
        }
    }

    /// Returns the provider of the keys. `None` for keys that never change.
    #[cfg(feature = "jwks")]
    pub(crate) fn key_provider(&self) -> Option<&dyn KeyProvider> {
        match &self.inner.keys {
            Keys::Local(_) => None,
            Keys::Provided(provider) => Some(&**provider),
        }
    }

    /// The issuer whose tokens it accepts. `None` if it accepts any.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.inner.checks.issuer.as_deref()
    }
}

impl<C: Send + Sync + 'static> Validator for JwtValidator<C> {
    type Principal = C;

    fn validate(&self, credential: &Credential<'_>, request: &RequestView<'_>) -> Verdict<C> {
        let text = credential.token_bytes();
        let ask = || self.decide_text(text, request.now());
        match &self.cache {
            Some(cache) if may_be_a_jwt(credential.token_bytes()) => {
                cache.validate(credential, request.now(), ask)
            }
            _ => ask(),
        }
    }

    fn cached_verdict(
        &self,
        unchecked: &UncheckedCredential<'_>,
        request: &RequestView<'_>,
    ) -> Option<Verdict<C>> {
        let cache = self.cache.as_ref()?;
        if !may_be_a_jwt(unchecked.token_bytes()) {
            return None;
        }
        let validated = cache.recall(unchecked, request.now())?;
        Some(Verdict::Ready(Ok(validated)))
    }
}

impl<C: Send + Sync + 'static> JwtValidator<C> {
    /// The whole decision about a token, nothing remembered.
    pub(crate) fn decide_text(&self, text: &[u8], now: SystemTime) -> Verdict<C> {
        match self.parse(text) {
            Ok(token) => self.decide(text, &token, now),
            Err(error) => Verdict::Ready(Err(error.into())),
        }
    }

    pub(crate) fn parse<'t>(&self, token: &'t [u8]) -> Result<UnverifiedToken<'t>, TokenError> {
        self.inner.parse(token)
    }

    /// The same for a token that has been taken apart.
    pub(crate) fn read_header<'t>(
        &self,
        parts: Parts<'t>,
    ) -> Result<UnverifiedToken<'t>, TokenError> {
        self.inner.read_header(parts)
    }

    pub(crate) fn check_length(&self, token: &[u8]) -> Result<(), TokenError> {
        self.inner.check_length(token)
    }

    /// Decides with the keys at hand, or asks for time to get them.
    pub(crate) fn decide(
        &self,
        text: &[u8],
        token: &UnverifiedToken<'_>,
        now: SystemTime,
    ) -> Verdict<C> {
        self.decide_with_claims(text, token, None, now)
    }

    /// The same where the claims may have been read already.
    pub(crate) fn decide_with_claims(
        &self,
        text: &[u8],
        token: &UnverifiedToken<'_>,
        claims: Option<RawClaims<'_>>,
        now: SystemTime,
    ) -> Verdict<C> {
        match &self.inner.keys {
            Keys::Local(keys) => Verdict::Ready(
                self.inner
                    .check(token, claims, keys, now)
                    .map_err(CheckError::into_failure),
            ),
            Keys::Provided(provider) => {
                self.decide_with_provider(provider, text, token, claims, now)
            }
        }
    }
}

/// Why a token is refused, and whether other keys might change that.
enum CheckError {
    /// It is bad with any key.
    Bad(TokenError),
    /// A check of the application refuses it.
    Own(Failure),
    /// There is no key for it.
    Key(NoKey),
    /// Its key says no.
    Signature,
}

impl CheckError {
    fn into_failure(self) -> Failure {
        match self {
            Self::Bad(error) => error.into(),
            Self::Own(failure) => failure,
            Self::Signature => TokenError::Signature.into(),
            Self::Key(NoKey::Unknown) => TokenError::Key {
                problem: "no key has this `kid`",
            }
            .into(),
            Self::Key(NoKey::Ambiguous) => TokenError::Key {
                problem: "the token has no `kid`, and several keys fit; `JwksOptions::with_max_trials_without_kid` allows trying them in turn",
            }
            .into(),
            Self::Key(NoKey::DefaultAlgorithm) => TokenError::DefaultAlgorithm.into(),
            Self::Key(NoKey::Algorithm) => TokenError::Algorithm.into(),
        }
    }
}

impl From<TokenError> for CheckError {
    fn from(error: TokenError) -> Self {
        Self::Bad(error)
    }
}

impl<C: Send + Sync + 'static> Inner<C> {
    pub(super) fn parse<'t>(&self, token: &'t [u8]) -> Result<UnverifiedToken<'t>, TokenError> {
        self.check_length(token)?;
        self.read_header(Parts::of(token)?)
    }

    fn check_length(&self, token: &[u8]) -> Result<(), TokenError> {
        if token.len() > self.max_length {
            return Err(TokenError::TooLong {
                length: token.len(),
                limit: self.max_length,
            });
        }
        Ok(())
    }

    fn read_header<'t>(&self, parts: Parts<'t>) -> Result<UnverifiedToken<'t>, TokenError> {
        let header = self.headers.find_or_read(parts.header())?;
        Ok(UnverifiedToken { parts, header })
    }

    /// The whole decision, for these keys at this time. The claims are read unless they have been.
    fn check(
        &self,
        token: &UnverifiedToken<'_>,
        claims: Option<RawClaims<'_>>,
        keys: &KeySet,
        now: SystemTime,
    ) -> Result<Validated<C>, CheckError> {
        let header = token.header();
        let typing = self.checks.token_type(header.typ())?;
        // (C01: no `none`, C02: algorithm of the key) The algorithm is the key's; the header only has to agree.
        let algorithm = self.checks.algorithm(header)?;
        let candidates = keys
            .find(algorithm, header.kid())
            .map_err(CheckError::Key)?;
        let mut room;
        let claims = match claims {
            Some(claims) => claims,
            None => {
                room = PayloadBuffer::new();
                token.parts.claims(&mut room)?
            }
        };
        self.checks.issuer(&claims)?;
        let mut room = SignatureBuffer::new();
        let signature = token.parts.signature(&mut room)?;
        if !candidates.verify(token.parts.signing_input(), signature) {
            return Err(CheckError::Signature);
        }
        self.headers.remember(token.parts.header(), &token.header);
        // From here on the issuer has said what the claims say (D13: forged and expired, D14: unverified claims).
        let expires_at = self.checks.claims(&claims, typing, now)?;
        let token = match &self.revocations {
            Some(_) => Some(claims.identity(&self.checks.layout)?.owned()),
            None => None,
        };
        let bytes = claims.heap();
        let principal = (self.read)(claims, &self.checks.layout)?;
        let mut validated = Validated::new(principal).with_bytes(bytes);
        if let Some(expires_at) = expires_at {
            validated = validated.with_expiry(expires_at);
        }
        if let (Some(revocations), Some(token)) = (&self.revocations, token) {
            validated = revocations
                .guard(validated, token, now)
                .map_err(CheckError::Own)?;
        }
        checked(validated, &self.own).map_err(CheckError::Own)
    }
}

/// The checks of the application, for a cache to ask again.
struct OwnChecks<C> {
    own: Arc<[OwnCheck<C>]>,
    principal: Arc<C>,
}

impl<C: Send + Sync> Dependency for OwnChecks<C> {
    fn holds(&self, _: SystemTime) -> bool {
        run(&self.own, &self.principal).is_ok()
    }
}

fn run<C>(checks: &[OwnCheck<C>], principal: &C) -> Result<(), Failure> {
    checks.iter().try_for_each(|check| check(principal))
}

/// Asks the checks of the application, now and whenever the verdict is used again (F03: checks on hits).
pub(crate) fn checked<C: Send + Sync + 'static>(
    validated: Validated<C>,
    own: &Arc<[OwnCheck<C>]>,
) -> Result<Validated<C>, Failure> {
    if own.is_empty() {
        return Ok(validated);
    }
    run(own, validated.principal())?;
    let principal = Arc::clone(validated.principal());
    let own = Arc::clone(own);
    Ok(validated.with_dependency(Arc::new(OwnChecks { own, principal })))
}

/// Whether it is worth while to look for it: what begins otherwise is no JWT, so it is not remembered.
#[inline]
pub(super) fn may_be_a_jwt(token: &[u8]) -> bool {
    matches!(token, [b'e' | b'I' | b'C' | b'D', ..])
}

/// The claims as [`AccessToken`].
pub(crate) fn read_access_token(
    claims: RawClaims<'_>,
    layout: &ClaimsLayout,
) -> Result<AccessToken, TokenError> {
    AccessToken::from_checked(claims, layout)
}

/// The claims as a type of the application.
#[expect(
    clippy::needless_pass_by_value,
    reason = "has the form of `ReadClaims`"
)]
pub(crate) fn read_own<C: DeserializeOwned>(
    claims: RawClaims<'_>,
    _: &ClaimsLayout,
) -> Result<C, TokenError> {
    serde_json::from_str(claims.text).map_err(|_| TokenError::Deserialize)
}

impl<C> Clone for JwtValidator<C> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            cache: self.cache.clone(),
        }
    }
}

impl<C> fmt::Debug for JwtValidator<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtValidator")
            .field("issuer", &self.inner.checks.issuer)
            .field("audience", &self.inner.checks.audiences)
            .field("keys", &self.inner.keys)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, any(feature = "aws_lc_rs", feature = "rust_crypto")))]
mod tests;
