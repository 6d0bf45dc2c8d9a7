//! Several issuers behind one layer.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use super::access_token::AccessToken;
use super::claims::RawClaims;
use super::decode_buffer::PayloadBuffer;
use super::error::TokenError;
use super::header::Header;
use super::token::{MAX_LENGTH, Parts, UnverifiedToken};
use super::validator::{JwtValidator, may_be_a_jwt};
use crate::cache::{CacheLimit, CacheSettings, VerdictCache};
use crate::error::ConfigError;
use crate::extract::{Credential, UncheckedCredential};
use crate::request::RequestView;
use crate::validator::{Validator, Verdict};

/// How many issuers there may be unless told otherwise.
const DEFAULT_LIMIT: usize = 1_000;

/// Accepts the tokens of several issuers, each with its own keys, audience and settings.
///
/// The `iss` of a token, which is not verified yet, chooses among the issuers that were added, and does
/// nothing else: a token from anybody else is refused before a key is looked up or fetched. The chosen
/// validator then checks everything, its issuer included. So keys are found by issuer and `kid`
/// together, and a key of one issuer never signs for another.
///
/// Issuers can be added and removed while requests run; clones share them. Reading takes no lock.
///
/// # Example
///
/// ```
/// use tower_bearer::BearerAuthLayer;
/// use tower_bearer::jwt::{JwtIssuers, JwtValidator, KeySet};
///
/// # fn main_(keys: KeySet, other_keys: KeySet) -> Result<(), tower_bearer::ConfigError> {
/// let issuers = JwtIssuers::new();
/// for (issuer, keys) in [("https://one.example", keys), ("https://two.example", other_keys)] {
///     issuers.insert(
///         JwtValidator::builder(keys).issuer(issuer).audience("https://api.example.com").build()?,
///     )?;
/// }
/// let layer = BearerAuthLayer::new(issuers.clone());
///
/// // later, when a tenant goes
/// issuers.remove("https://two.example");
/// # let _ = layer; Ok(()) }
/// ```
pub struct JwtIssuers<C = AccessToken> {
    shared: Arc<Shared<C>>,
}

type Table<C> = HashMap<Box<str>, Issuer<C>>;

struct Issuer<C> {
    validator: JwtValidator<C>,
    /// Whether it is still in the table: what is remembered rests on it.
    is_there: Arc<AtomicBool>,
}

struct Shared<C> {
    table: ArcSwap<Table<C>>,
    /// Held by whoever changes the table; never by a request.
    changing: Mutex<()>,
    limit: usize,
    cache: Option<VerdictCache<C>>,
}

impl<C> JwtIssuers<C> {
    /// No issuer yet, and at most 1,000.
    #[must_use]
    pub fn new() -> Self {
        Self::with_limit(DEFAULT_LIMIT)
    }

    /// At most `limit` issuers, so that what somebody else adds stays bounded. With 0 none can be added.
    #[must_use]
    pub fn with_limit(limit: usize) -> Self {
        Self::made_of(Table::new(), limit, Some(CacheSettings::new()))
    }

    /// Sets how many tokens of all issuers together are cached, and for how long: see [`cache`](crate::cache). Call it
    /// before cloning: earlier clones are separate lists. Default: [`CacheSettings::new`].
    ///
    /// The caches of the validators themselves are not used here, but their settings are limits. Tokens of a
    /// validator that was built [`without_cache`](super::JwtValidatorBuilder::without_cache) are not cached.
    /// Tokens of a validator with a [`cache`](super::JwtValidatorBuilder::cache) are cached within its [time
    /// to live](CacheSettings::with_time_to_live) and its [token
    /// length](CacheSettings::with_max_token_length), if these are below the settings here.
    ///
    /// # Example
    ///
    /// ```
    /// use tower_bearer::cache::CacheSettings;
    /// use tower_bearer::jwt::{AccessToken, JwtIssuers};
    ///
    /// let settings = CacheSettings::new()
    ///     .with_max_entries(100_000)
    ///     .with_max_bytes(256 * 1024 * 1024);
    /// let issuers = JwtIssuers::<AccessToken>::new().with_cache(settings);
    /// # let _ = issuers;
    /// ```
    #[must_use]
    pub fn with_cache(self, settings: CacheSettings) -> Self {
        let table = Table::clone(&self.shared.table.load());
        Self::made_of(table, self.shared.limit, Some(settings))
    }

    /// Checks every token anew, its signature included. To be called before it is cloned.
    #[must_use]
    pub fn without_cache(self) -> Self {
        let table = Table::clone(&self.shared.table.load());
        Self::made_of(table, self.shared.limit, None)
    }

    fn made_of(table: Table<C>, limit: usize, cache: Option<CacheSettings>) -> Self {
        Self {
            shared: Arc::new(Shared {
                table: ArcSwap::from_pointee(table),
                changing: Mutex::new(()),
                limit,
                cache: cache.map(|settings| VerdictCache::new(&settings)),
            }),
        }
    }

    /// The tokens that are remembered, if any are.
    #[must_use]
    pub fn cache(&self) -> Option<&VerdictCache<C>> {
        self.shared.cache.as_ref()
    }

    /// Adds an issuer, or replaces the validator of one that is there. Copies the table, whose validators
    /// are shared: for changes now and then, not for each request.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Setting`] if the validator accepts any issuer, or if there are as many as allowed.
    pub fn insert(&self, validator: JwtValidator<C>) -> Result<(), ConfigError> {
        let Some(issuer) = validator.issuer().map(Box::<str>::from) else {
            return Err(ConfigError::Setting {
                setting: "insecure_any_issuer",
                problem: "tokens are told apart by their issuer; give `issuer` instead",
            });
        };
        let limit = self.shared.limit;
        self.change(|table| {
            if !table.contains_key(&issuer) && table.len() >= limit {
                return Err(ConfigError::Setting {
                    setting: "with_limit",
                    problem: "there are as many issuers as allowed; raise the limit or remove one",
                });
            }
            let is_there = Arc::new(AtomicBool::new(true));
            let issuer = table.insert(
                issuer,
                Issuer {
                    validator,
                    is_there,
                },
            );
            Ok(issuer)
        })
        .map(|replaced| replaced.iter().for_each(Issuer::gone))
    }

    /// Removes an issuer; from the next request on its tokens are refused. Whether there was one.
    pub fn remove(&self, issuer: &str) -> bool {
        let removed = self.change(|table| table.remove(issuer));
        removed.iter().for_each(Issuer::gone);
        removed.is_some()
    }

    /// The issuers there are, in no order.
    #[must_use]
    pub fn issuers(&self) -> Vec<String> {
        let table = self.shared.table.load();
        table.keys().map(|issuer| issuer.to_string()).collect()
    }

    fn change<R>(&self, change: impl FnOnce(&mut Table<C>) -> R) -> R {
        let changing = self.shared.changing.lock();
        let _changing = changing.unwrap_or_else(PoisonError::into_inner);
        let mut table = Table::clone(&self.shared.table.load());
        let result = change(&mut table);
        self.shared.table.store(Arc::new(table));
        result
    }
}

impl<C: Send + Sync + 'static> Validator for JwtIssuers<C> {
    type Principal = C;

    fn validate(&self, credential: &Credential<'_>, request: &RequestView<'_>) -> Verdict<C> {
        let decide = || self.decide(credential.token_bytes(), request);
        match &self.shared.cache {
            Some(cache) if may_be_a_jwt(credential.token_bytes()) => {
                cache.validate_within(credential, request.now(), decide)
            }
            _ => decide().0,
        }
    }

    fn cached_verdict(
        &self,
        unchecked: &UncheckedCredential<'_>,
        request: &RequestView<'_>,
    ) -> Option<Verdict<C>> {
        let cache = self.shared.cache.as_ref()?;
        if !may_be_a_jwt(unchecked.token_bytes()) {
            return None;
        }
        let validated = cache.recall(unchecked, request.now())?;
        Some(Verdict::Ready(Ok(validated)))
    }
}

impl<C: Send + Sync + 'static> JwtIssuers<C> {
    /// Returns the verdict, and the limit that the chosen validator sets for caching it.
    fn decide(&self, text: &[u8], request: &RequestView<'_>) -> (Verdict<C>, CacheLimit) {
        let table = self.shared.table.load();
        let mut room = PayloadBuffer::new();
        let (issuer, token, claims) = match choose(&table, text, &mut room) {
            Ok(chosen) => chosen,
            Err(error) => return (Verdict::Ready(Err(error.into())), CacheLimit::NOTHING),
        };
        let limit = issuer.validator.cache_limit(text);
        let verdict =
            issuer
                .validator
                .decide_with_claims(text, &token, Some(claims), request.now());
        let is_there = Arc::clone(&issuer.is_there);
        let verdict = match verdict {
            Verdict::Ready(result) => {
                Verdict::Ready(result.map(|validated| validated.with_dependency(is_there)))
            }
            Verdict::Pending(future) => Verdict::pending(async move {
                let validated = future.await?;
                Ok(validated.with_dependency(is_there))
            }),
        };
        (verdict, limit)
    }
}

type IssuerAndToken<'a, C> = (&'a Issuer<C>, UnverifiedToken<'a>, RawClaims<'a>);

fn choose<'a, C: Send + Sync + 'static>(
    table: &'a Table<C>,
    text: &'a [u8],
    room: &'a mut PayloadBuffer,
) -> Result<IssuerAndToken<'a, C>, TokenError> {
    if text.len() > MAX_LENGTH {
        return Err(TokenError::TooLong {
            length: text.len(),
            limit: MAX_LENGTH,
        });
    }
    let parts = Parts::of(text)?;
    let chosen = parts.claims(room).and_then(|claims| {
        let issuer = claims.iss.as_deref();
        let issuer = issuer.ok_or_else(|| TokenError::missing("iss"))?;
        let issuer = table.get(issuer).ok_or(TokenError::Issuer)?;
        issuer.validator.check_length(text)?;
        Ok((issuer, claims))
    });
    match chosen {
        Ok((issuer, claims)) => Ok((issuer, issuer.validator.read_header(parts)?, claims)),
        // The validator knows its headers, so the claims come first. If both are bad, it is the header
        // that is told.
        Err(error) => Err(Header::read(parts.header()).err().unwrap_or(error)),
    }
}

impl<C> Issuer<C> {
    fn gone(&self) {
        self.is_there.store(false, Ordering::Release);
    }
}

impl<C> Clone for Issuer<C> {
    fn clone(&self) -> Self {
        Self {
            validator: self.validator.clone(),
            is_there: Arc::clone(&self.is_there),
        }
    }
}

impl<C> Clone for JwtIssuers<C> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<C> Default for JwtIssuers<C> {
    fn default() -> Self {
        Self::new()
    }
}

impl<C> fmt::Debug for JwtIssuers<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtIssuers")
            .field("issuers", &self.issuers())
            .field("limit", &self.shared.limit)
            .finish()
    }
}
