//! The keys with which this process signs, and their succession.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use serde_json::{Map, Value};

use super::signing_key::SigningKey;
use crate::jwt::{Algorithm, Current, KeyError, KeyProvider, KeySet, KeySource};
use crate::validator::Dependency;

/// How many keys there may be. Verifiers look through them for each token.
const MAX_KEYS: usize = 16;

/// The keys with which this process signs: a current one, those that will follow it, and those that have been and whose
/// tokens are still good. Clones are cheap and share it.
///
/// All of them are published: by a [`JwkSetEndpoint`](super::JwkSetEndpoint), for verifiers elsewhere, and for validators in
/// this process at once, which are made with `JwtValidator::builder(&keys)`. A key that is taken out takes along what
/// validators remember of its tokens. To sign takes no lock.
///
/// # Changing the key
///
/// 1. [`publish`](Self::publish) the next one. Verifiers that keep the set for a while learn of it, and nothing is signed
///    with it yet.
/// 2. When all of them have had the time, that is after the `max-age` of the endpoint,
///    [`activate`](Self::activate) it. Tokens of the former one stay good for as long as said.
///
/// Where nobody else verifies, [`rotate`](Self::rotate) does both at once. In either case no token is refused that was good
/// before. If a key has become known to others, [`remove`](Self::remove) it after that: its tokens end at once.
///
/// Several processes that issue tokens for one another need the same keys, and change them in these steps: no one
/// may activate a key before all have published it.
///
/// # Example
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use tower_bearer::BearerAuthLayer;
/// use tower_bearer::issuing::{SigningKey, SigningKeys};
/// use tower_bearer::jwt::{Algorithm, JwtValidator};
///
/// let keys = SigningKeys::new(SigningKey::generate(Algorithm::ES256)?.with_kid("2026-11")?)?;
/// let validator = JwtValidator::builder(&keys)
///     .issuer("https://login.example.com")
///     .audience("https://api.example.com")
///     .build()?;
/// let layer = BearerAuthLayer::new(validator);
///
/// // A month later. Tokens are issued for an hour, and verifiers grant a minute.
/// keys.publish(SigningKey::generate(Algorithm::ES256)?.with_kid("2026-12")?)?;
/// // Ten minutes later.
/// keys.activate("2026-12", SystemTime::now(), Duration::from_secs(3_660))?;
/// assert_eq!(keys.current().kid(), "2026-12");
/// # let _ = layer;
/// # Ok::<_, tower_bearer::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct SigningKeys {
    shared: Arc<Shared>,
}

struct Shared {
    state: ArcSwap<State>,
    /// Held by whoever changes the keys; never by a request.
    changing: Mutex<()>,
}

struct State {
    current: Arc<SigningKey>,
    /// The current one first.
    keys: Vec<Entry>,
    /// What is published from when on, the first of them from the beginning of time: keys that retire only leave. So a
    /// clock that is set ahead for a moment takes no key away.
    published: Vec<PublishedKey>,
}

#[derive(Clone)]
struct Entry {
    key: Arc<SigningKey>,
    /// When it goes by itself.
    retires_at: Option<SystemTime>,
}

struct PublishedKey {
    from: Option<SystemTime>,
    set: Arc<KeySet>,
    jwks: Arc<str>,
}

impl SigningKeys {
    /// Signs with this key.
    ///
    /// # Errors
    ///
    /// [`KeyError`] if the crypto library does not take its public half.
    pub fn new(current: SigningKey) -> Result<Self, KeyError> {
        let state = State::new(vec![Entry {
            key: Arc::new(current),
            retires_at: None,
        }])?;
        Ok(Self {
            shared: Arc::new(Shared {
                state: ArcSwap::from_pointee(state),
                changing: Mutex::new(()),
            }),
        })
    }

    /// Publishes a key that is not used for signing yet.
    ///
    /// # Errors
    ///
    /// [`KeyError::DuplicateKeyId`] if there is a key of its name, [`KeyError::Mixed`] if it is a secret and the others
    /// are not, or the other way around, [`KeyError::TooMany`] if there are 16 keys, those included whose time has run out since the last
    /// [`activate`](Self::activate) or [`rotate`](Self::rotate).
    pub fn publish(&self, next: SigningKey) -> Result<(), KeyError> {
        self.change(|keys| add(keys, next).map(|_| ()))
    }

    /// Signs with this published key from now on. The former one stays published for `keep`: as long as tokens are issued
    /// for, and the leeway of their verifiers, or else tokens are refused before their time. For a `TokenIssuer` that is its
    /// `access_ttl()` and 120 seconds: 60 of leeway, and up to 60 by which it dates tokens ahead.
    ///
    /// Keys whose time is over by `now` go for good.
    ///
    /// # Errors
    ///
    /// [`KeyError::UnknownKeyId`] if it has not been published. To activate the current key does nothing.
    pub fn activate(&self, kid: &str, now: SystemTime, keep: Duration) -> Result<(), KeyError> {
        self.change(|keys| {
            let place = find(keys, kid)?;
            promote(keys, place, now, keep);
            Ok(())
        })
    }

    /// Publishes a key and signs with it from now on: [`publish`](Self::publish) and [`activate`](Self::activate) at once.
    /// Verifiers elsewhere that keep the set refuse its tokens until they ask again, and so do other processes that issue: it is
    /// for one process that is alone. `keep` is that of [`activate`](Self::activate).
    ///
    /// # Errors
    ///
    /// As for [`publish`](Self::publish).
    pub fn rotate(
        &self,
        next: SigningKey,
        now: SystemTime,
        keep: Duration,
    ) -> Result<(), KeyError> {
        self.change(|keys| {
            retire(keys, now);
            let place = add(keys, next)?;
            promote(keys, place, now, keep);
            Ok(())
        })
    }

    /// Takes out a key. In this process its tokens are refused at once, elsewhere when the set is fetched again.
    ///
    /// # Errors
    ///
    /// [`KeyError::KeyInUse`] if it is the current one: [`rotate`](Self::rotate) first.
    /// [`KeyError::UnknownKeyId`] if there is none of this name.
    pub fn remove(&self, kid: &str) -> Result<(), KeyError> {
        self.change(|keys| match find(keys, kid)? {
            0 => Err(KeyError::KeyInUse {
                kid: kid.to_owned(),
            }),
            place => {
                keys.remove(place);
                Ok(())
            }
        })
    }

    /// The key that signs.
    #[must_use]
    pub fn current(&self) -> Arc<SigningKey> {
        Arc::clone(&self.shared.state.load().current)
    }

    /// The names of the keys that are published at `now`, the current one first.
    #[must_use]
    pub fn kids(&self, now: SystemTime) -> Vec<String> {
        let state = self.shared.state.load();
        let published = state.keys.iter().filter(|entry| !entry.is_over(now));
        published.map(|entry| entry.key.kid().to_owned()).collect()
    }

    /// The JWK Set ([RFC 7517 section 5](https://www.rfc-editor.org/rfc/rfc7517#section-5)) at `now`: the public halves of all
    /// keys, the current one first. It is kept ready. Secrets are never in it, so of secrets it is empty.
    #[must_use]
    pub fn jwks_json(&self, now: SystemTime) -> Arc<str> {
        let state = self.shared.state.load();
        Arc::clone(&state.at(now).jwks)
    }

    /// The keys that verify at `now`.
    pub(crate) fn key_set(&self, now: SystemTime) -> Arc<KeySet> {
        let state = self.shared.state.load();
        Arc::clone(&state.at(now).set)
    }

    /// Returns all keys that this process holds, retired ones included.
    pub(crate) fn with_retired(&self) -> Arc<KeySet> {
        // At the epoch, no key has retired.
        self.key_set(SystemTime::UNIX_EPOCH)
    }

    fn change(
        &self,
        change: impl FnOnce(&mut Vec<Entry>) -> Result<(), KeyError>,
    ) -> Result<(), KeyError> {
        let changing = self.shared.changing.lock();
        let _changing = changing.unwrap_or_else(PoisonError::into_inner);
        let mut keys = self.shared.state.load().keys.clone();
        change(&mut keys)?;
        let state = State::new(keys)?;
        self.shared.state.store(Arc::new(state));
        Ok(())
    }
}

impl KeyProvider for SigningKeys {
    fn current(&self, now: SystemTime) -> Current {
        Current::Keys(self.key_set(now))
    }

    fn dependency(&self, keys: &KeySet) -> Arc<dyn Dependency> {
        Arc::new(SameKeys {
            keys: self.clone(),
            generation: keys.generation(),
        })
    }

    fn may_be_for(&self, algorithms: &[Algorithm]) -> bool {
        self.with_retired().may_be_for(algorithms)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The published keys, those that are about to retire included.
impl From<&SigningKeys> for KeySource {
    fn from(keys: &SigningKeys) -> Self {
        Self::provided(keys.clone())
    }
}

impl From<SigningKeys> for KeySource {
    fn from(keys: SigningKeys) -> Self {
        Self::provided(keys)
    }
}

/// That the keys are those with which a token was checked.
struct SameKeys {
    keys: SigningKeys,
    generation: u64,
}

impl Dependency for SameKeys {
    fn holds(&self, now: SystemTime) -> bool {
        let state = self.keys.shared.state.load();
        state.at(now).set.generation() == self.generation
    }
}

impl Entry {
    fn is_over(&self, now: SystemTime) -> bool {
        self.retires_at.is_some_and(|retires_at| now >= retires_at)
    }
}

impl State {
    /// Of at least one key.
    fn new(keys: Vec<Entry>) -> Result<Self, KeyError> {
        let current = keys
            .first()
            .map(|entry| Arc::clone(&entry.key))
            .ok_or(KeyError::NoUsableKey { skipped: None })?;
        let mut moments: Vec<_> = keys.iter().filter_map(|entry| entry.retires_at).collect();
        moments.sort_unstable();
        moments.dedup();
        let published = std::iter::once(None)
            .chain(moments.into_iter().map(Some))
            .map(|from| {
                let stays = |entry: &&Entry| from.is_none_or(|from| !entry.is_over(from));
                PublishedKey::new(from, keys.iter().filter(stays))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            current,
            keys,
            published,
        })
    }

    fn at(&self, now: SystemTime) -> &PublishedKey {
        let has_begun = |published: &&PublishedKey| published.from.is_none_or(|from| now >= from);
        // The first one has no beginning.
        let published = self.published.iter().rev().find(has_begun);
        published.unwrap_or(&self.published[0])
    }
}

impl PublishedKey {
    fn new<'a>(
        from: Option<SystemTime>,
        keys: impl Iterator<Item = &'a Entry> + Clone,
    ) -> Result<Self, KeyError> {
        #[derive(serde::Serialize)]
        struct JwkSet {
            keys: Vec<Map<String, Value>>,
        }
        let jwks = JwkSet {
            keys: keys
                .clone()
                .filter_map(|entry| entry.key.public_jwk())
                .collect(),
        };
        let jwks = serde_json::to_string(&jwks).map_err(|_| KeyError::Json {
            expected: "JWK Set",
            problem: "it cannot be written",
        })?;
        let keys = keys
            .map(|entry| entry.key.verification_key())
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            from,
            set: Arc::new(KeySet::new(keys)?),
            jwks: jwks.into(),
        })
    }
}

/// Adds a key behind all others.
fn add(keys: &mut Vec<Entry>, key: SigningKey) -> Result<usize, KeyError> {
    // Whatever their algorithms: a name is all by which others tell them apart.
    if find(keys, key.kid()).is_ok() {
        return Err(KeyError::DuplicateKeyId {
            kid: key.kid().to_owned(),
            algorithm: key.algorithm(),
        });
    }
    if keys.len() >= MAX_KEYS {
        return Err(KeyError::TooMany {
            count: keys.len() + 1,
            which: "to be published",
            limit: MAX_KEYS,
        });
    }
    keys.push(Entry {
        key: Arc::new(key),
        retires_at: None,
    });
    Ok(keys.len() - 1)
}

fn find(keys: &[Entry], kid: &str) -> Result<usize, KeyError> {
    keys.iter()
        .position(|entry| entry.key.kid() == kid)
        .ok_or_else(|| KeyError::UnknownKeyId {
            kid: kid.chars().take(64).collect(),
        })
}

/// Makes the key at this place the current one.
fn promote(keys: &mut Vec<Entry>, place: usize, now: SystemTime, keep: Duration) {
    if place > 0 {
        // A time beyond all times is none.
        keys[0].retires_at = now.checked_add(keep);
        let mut next = keys.remove(place);
        next.retires_at = None;
        keys.insert(0, next);
    }
    retire(keys, now);
}

fn retire(keys: &mut Vec<Entry>, now: SystemTime) {
    keys.retain(|entry| !entry.is_over(now));
}

impl fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.state.load();
        f.debug_list()
            .entries(state.keys.iter().map(|entry| &entry.key))
            .finish()
    }
}
