//! Keys that are fetched from an issuer and kept fresh.

use std::any::Any;
use std::fmt;
use std::future::ready;
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::time::SystemTime;

use arc_swap::ArcSwapOption;

#[cfg(feature = "oidc")]
use super::discovery::IssuerMetadata;
use super::error::ProviderError;
use super::key_cache::{KeyCache, State};
use super::loader::Loader;
#[cfg(feature = "oidc")]
use super::loader::Origin;
use super::schedule::{Cause, RefetchDecision, Serve, Timing};
use super::settings::{KeyLocation, RemoteKeysBuilder};
use super::single_flight::{Flight, NoRuntime, TaskLost};
use super::status::KeysStatus;
use crate::clock::Clock;
use crate::failure::Failure;
use crate::jwt::{Algorithm, Current, KeyProvider, KeySet, KeySource, KeysFuture, Missing};
use crate::validator::Dependency;

/// The keys of an issuer, fetched from its JWK Set
/// ([RFC 7517 section 5](https://www.rfc-editor.org/rfc/rfc7517#section-5)) and kept fresh.
///
/// Clones are cheap and share everything. The [module](super) says when keys are fetched.
///
/// # Example
///
/// ```no_run
/// use tower_bearer::provider::RemoteKeys;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), tower_bearer::provider::ProviderError> {
/// let keys = RemoteKeys::builder("https://issuer.example/jwks.json").connect().await?;
/// for (kid, algorithm) in keys.status().keys() {
///     println!("{kid:?} for {algorithm}");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RemoteKeys {
    key_cache: Arc<KeyCache>,
}

impl RemoteKeys {
    /// Creates a builder for the keys of the JWK Set at this address: `https`, `http` on this machine, or
    /// `http` to the host that [`insecure_http_host`](RemoteKeysBuilder::insecure_http_host) names.
    pub fn builder(jwks_uri: impl Into<String>) -> RemoteKeysBuilder {
        RemoteKeysBuilder::new(KeyLocation::Keys(jwks_uri.into()))
    }

    /// The keys of this issuer, at the address that its metadata names. Looked for are
    /// `<issuer>/.well-known/openid-configuration`, then, with the path of the issuer behind it,
    /// `/.well-known/oauth-authorization-server`, and if the issuer has a path
    /// `/.well-known/openid-configuration`; the next one only if there is nothing at the one before. The document is that of [OpenID
    /// Connect Discovery 1.0](https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfig),
    /// or else that of [RFC 8414 section 3](https://www.rfc-editor.org/rfc/rfc8414#section-3). It is read
    /// again after 24 hours, and whenever there are no keys at the address it named.
    ///
    /// Write the issuer exactly as the provider does in its document and in its tokens. Be it
    /// `https://issuer.example` or `https://issuer.example/`: a slash at the end makes another issuer.
    /// [`metadata_url`](RemoteKeysBuilder::metadata_url) sets another address for the document.
    ///
    /// # Example
    ///
    /// ```no_run
    /// use tower_bearer::provider::RemoteKeys;
    ///
    /// # async fn main_() -> Result<(), tower_bearer::provider::ProviderError> {
    /// let keys = RemoteKeys::discover("https://issuer.example/realms/shop").connect().await?;
    /// assert_eq!(keys.issuer(), Some("https://issuer.example/realms/shop"));
    /// # Ok(()) }
    /// ```
    #[cfg(feature = "oidc")]
    pub fn discover(issuer: impl Into<String>) -> RemoteKeysBuilder {
        RemoteKeysBuilder::new(KeyLocation::Issuer(issuer.into()))
    }

    pub(super) fn new(loader: Loader, timing: Timing, clock: Arc<dyn Clock>) -> Self {
        Self {
            key_cache: Arc::new(KeyCache {
                loader: Arc::new(loader),
                timing,
                clock,
                snapshot: ArcSwapOption::empty(),
                state: Mutex::default(),
            }),
        }
    }

    /// Fetches the keys now, cooldown or not, or waits for the fetch that is in flight. For a timer of
    /// your own, or for an event by which the issuer announces new keys.
    ///
    /// # Errors
    ///
    /// [`ProviderError`] if no set could be fetched. The one at hand stays in use then.
    ///
    /// # Example
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use tower_bearer::provider::RemoteKeys;
    ///
    /// async fn keep_fresh(keys: RemoteKeys) {
    ///     loop {
    ///         tokio::time::sleep(Duration::from_secs(300)).await;
    ///         if let Err(error) = keys.refresh().await {
    ///             eprintln!("keys are {:?} old: {error}", keys.status().age(std::time::SystemTime::now()));
    ///         }
    ///     }
    /// }
    /// ```
    pub async fn refresh(&self) -> Result<(), ProviderError> {
        let waiter = {
            let mut state = self.key_cache.lock();
            if !state.in_flight() {
                let now = self.key_cache.clock.now();
                self.key_cache
                    .start(&mut state, Cause::Scheduled, now)
                    .map_err(|NoRuntime| ProviderError::NoRuntime)?;
            }
            state.flight.as_ref().map(Flight::wait)
        };
        match waiter {
            Some(waiter) => waiter.await.unwrap_or(Err(ProviderError::Interrupted))?,
            None => return Err(ProviderError::Interrupted),
        };
        Ok(())
    }

    /// The state at this moment.
    #[must_use]
    pub fn status(&self) -> KeysStatus {
        let state = self.key_cache.lock();
        KeysStatus {
            issuer: self.issuer().map(String::from),
            jwks_uri: self.key_cache.loader.origin().jwks_uri(),
            held: state.schedule.held(),
            keys: state.keys.clone(),
            last_attempt: state.schedule.last_attempt(),
            last_error: state.last_error().map(|error| error.to_string()),
        }
    }

    /// The issuer, if the keys are found by its name.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.key_cache.loader.origin().issuer()
    }

    /// The metadata of the issuer, if the keys are found by its name and it has been read.
    #[cfg(feature = "oidc")]
    #[must_use]
    pub fn metadata(&self) -> Option<Arc<IssuerMetadata>> {
        match self.key_cache.loader.origin() {
            Origin::Issuer(discovery) => discovery.metadata(),
            Origin::Keys(_) => None,
        }
    }

    /// Whether the keys for a request are still those of this generation. Sees to it that they are fetched
    /// again in time, as [`current`](Self::current) does: with a cache in front, nobody else may.
    pub(crate) fn still_uses(&self, generation: u64, now: SystemTime) -> bool {
        let snapshot = self.key_cache.snapshot.load();
        match &*snapshot {
            None => false,
            Some(snapshot) if snapshot.keys.generation() != generation => false,
            Some(snapshot) if snapshot.held.is_quiet(&self.key_cache.timing, now) => true,
            Some(_) => match self.current(now) {
                Current::Keys(keys) => keys.generation() == generation,
                Current::Pending(_) | Current::Unavailable(_) => false,
            },
        }
    }

    fn resolve(
        &self,
        mut state: MutexGuard<'_, State>,
        doubt: RefetchDecision,
        now: SystemTime,
    ) -> Missing {
        match doubt {
            RefetchDecision::NoFetch => Missing::Definitive,
            RefetchDecision::LookAgain => match &state.keys {
                Some(keys) => Missing::Pending(Box::pin(ready(Ok(Arc::clone(keys))))),
                None => Missing::Definitive,
            },
            RefetchDecision::Unavailable(left) => {
                Missing::Unavailable(state.failure().with_retry_after(left))
            }
            RefetchDecision::Join => match self.wait(&state, now) {
                Some(waiter) => Missing::Pending(waiter),
                None => Missing::Unavailable(Failure::unavailable(ProviderError::Interrupted)),
            },
            RefetchDecision::Fetch => match self.fetch(&mut state, Cause::OnDemand, now) {
                Ok(waiter) => Missing::Pending(waiter),
                Err(failure) => Missing::Unavailable(failure),
            },
        }
    }

    fn fetch(
        &self,
        state: &mut State,
        cause: Cause,
        now: SystemTime,
    ) -> Result<KeysFuture, Failure> {
        self.key_cache
            .start(state, cause, now)
            .map_err(|NoRuntime| Failure::unavailable(ProviderError::NoRuntime))?;
        self.wait(state, now)
            .ok_or_else(|| Failure::unavailable(ProviderError::Interrupted))
    }

    /// Waits for the fetch in flight.
    fn wait(&self, state: &State, now: SystemTime) -> Option<KeysFuture> {
        let waiter = state.flight.as_ref()?.wait();
        // The fetch ends with the last owner, and whoever waits for it is one.
        let key_cache = Arc::clone(&self.key_cache);
        Some(Box::pin(async move {
            let error = match waiter.await {
                Ok(Ok(keys)) => return Ok(keys),
                Ok(Err(error)) => error,
                Err(TaskLost) => ProviderError::Interrupted,
            };
            let failure = Failure::unavailable(error);
            Err(
                match key_cache
                    .lock()
                    .schedule
                    .cooling_down(&key_cache.timing, now)
                {
                    Some(left) => failure.with_retry_after(left),
                    None => failure,
                },
            )
        }))
    }
}

impl KeyProvider for RemoteKeys {
    fn current(&self, now: SystemTime) -> Current {
        let key_cache = &self.key_cache;
        let at_hand = {
            let snapshot = key_cache.snapshot.load();
            snapshot.as_ref().map(|snapshot| {
                let is_quiet = snapshot.held.is_quiet(&key_cache.timing, now);
                (Arc::clone(&snapshot.keys), is_quiet, snapshot.held)
            })
        };
        let mut state = match at_hand {
            Some((keys, true, _)) => return Current::Keys(keys),
            // Somebody else is about to see to it.
            Some((keys, false, held)) if now < held.usable_until => {
                match key_cache.state.try_lock() {
                    Ok(state) => state,
                    Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                    Err(TryLockError::WouldBlock) => return Current::Keys(keys),
                }
            }
            _ => key_cache.lock(),
        };
        if state.schedule.set_back(&key_cache.timing, now) {
            key_cache.publish(&state);
        }
        let in_flight = state.in_flight();
        let serve = state.schedule.serve(&key_cache.timing, now, in_flight);
        match (serve, &state.keys) {
            (Serve::FromMemory, Some(keys)) => Current::Keys(Arc::clone(keys)),
            (Serve::FromMemoryAndFetch, Some(keys)) => {
                let keys = Arc::clone(keys);
                // Without a runtime nothing can be fetched, and the keys are good.
                let _ = key_cache.start(&mut state, Cause::Scheduled, now);
                Current::Keys(keys)
            }
            (Serve::Join, _) => match self.wait(&state, now) {
                Some(waiter) => Current::Pending(waiter),
                None => Current::Unavailable(Failure::unavailable(ProviderError::Interrupted)),
            },
            (Serve::Unavailable(left), _) => {
                Current::Unavailable(state.failure().with_retry_after(left))
            }
            (Serve::Fetch | Serve::FromMemory | Serve::FromMemoryAndFetch, _) => {
                match self.fetch(&mut state, Cause::Scheduled, now) {
                    Ok(waiter) => Current::Pending(waiter),
                    Err(failure) => Current::Unavailable(failure),
                }
            }
        }
    }

    fn missing(&self, kid: Option<&str>, now: SystemTime) -> Missing {
        let state = self.key_cache.lock();
        let is_there = kid.is_some() && state.keys.as_ref().is_some_and(|keys| has(keys, kid));
        let timing = &self.key_cache.timing;
        let in_flight = state.in_flight();
        let doubt = state
            .schedule
            .unknown(timing, kid, is_there, now, in_flight);
        match self.resolve(state, doubt, now) {
            Missing::Pending(keys) if doubt != RefetchDecision::LookAgain => {
                let key_cache = Arc::clone(&self.key_cache);
                let kid = kid.map(String::from);
                Missing::Pending(Box::pin(async move {
                    let keys = keys.await?;
                    if !has(&keys, kid.as_deref()) {
                        key_cache.lock().schedule.absent(kid.as_deref(), now);
                    }
                    Ok(keys)
                }))
            }
            missing => missing,
        }
    }

    fn suspicious(&self, now: SystemTime) -> Missing {
        let state = self.key_cache.lock();
        let in_flight = state.in_flight();
        let doubt = state
            .schedule
            .mismatch(&self.key_cache.timing, now, in_flight);
        self.resolve(state, doubt, now)
    }

    fn can_fetch(&self) -> bool {
        true
    }

    fn dependency(&self, keys: &KeySet) -> Arc<dyn Dependency> {
        Arc::new(SameKeys {
            remote: self.clone(),
            generation: keys.generation(),
        })
    }

    /// The keys that the issuer will publish are unknown, but none of them is a secret.
    fn may_be_for(&self, algorithms: &[Algorithm]) -> bool {
        algorithms.iter().any(|algorithm| !algorithm.is_symmetric())
    }

    fn issuer(&self) -> Option<&str> {
        self.issuer()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl From<RemoteKeys> for KeySource {
    fn from(keys: RemoteKeys) -> Self {
        Self::provided(keys)
    }
}

/// Holds while the keys are those with which a token was verified, and are fresh enough to be used (F05: a
/// cached result depends on its keys).
struct SameKeys {
    remote: RemoteKeys,
    generation: u64,
}

impl Dependency for SameKeys {
    fn holds(&self, now: SystemTime) -> bool {
        self.remote.still_uses(self.generation, now)
    }
}

fn has(keys: &KeySet, kid: Option<&str>) -> bool {
    keys.keys().any(|(name, _)| name == kid)
}

impl fmt::Debug for RemoteKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteKeys")
            .field("origin", self.key_cache.loader.origin())
            .field("timing", &self.key_cache.timing)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, any(feature = "aws_lc_rs", feature = "rust_crypto")))]
mod tests;
