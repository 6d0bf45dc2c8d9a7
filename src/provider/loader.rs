//! Fetches a JWK Set and reads it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{ETAG, IF_NONE_MATCH};
use http::{HeaderValue, StatusCode};
use tokio::time::Instant;

#[cfg(feature = "oidc")]
use super::discovery::Discovery;
use super::error::ProviderError;
use super::fetch::{Exchange, get_json};
use super::freshness::fresh_time;
use super::url::{CheckedUrl, shown_foreign};
use crate::jwt::{JwksOptions, KeySet};

/// How long an entity tag may be that is sent back.
const MAX_ETAG: usize = 256;

/// Fetches the keys of one issuer. It keeps what the next fetch can build on.
#[derive(Debug)]
pub(crate) struct Loader {
    exchange: Exchange,
    origin: Origin,
    options: JwksOptions,
    last: Mutex<Option<Last>>,
}

/// Where the keys are.
#[derive(Debug)]
pub(crate) enum Origin {
    /// At this address.
    Keys(CheckedUrl),
    /// Where the metadata of the issuer says.
    #[cfg(feature = "oidc")]
    Issuer(Box<Discovery>),
}

impl Origin {
    /// The name of the issuer, if that is what was given.
    pub(crate) fn issuer(&self) -> Option<&str> {
        match self {
            Self::Keys(_) => None,
            #[cfg(feature = "oidc")]
            Self::Issuer(discovery) => Some(discovery.issuer()),
        }
    }

    /// Where the keys are, as far as that is known; for logs.
    pub(crate) fn jwks_uri(&self) -> Option<String> {
        match self {
            Self::Keys(url) => Some(url.shown()),
            #[cfg(feature = "oidc")]
            Self::Issuer(discovery) => discovery.jwks_uri(),
        }
    }
}

/// A fetched set.
pub(crate) struct Loaded {
    /// The same pointer as before if the set is the same as before.
    pub(crate) keys: Arc<KeySet>,
    /// How long the answer says that it is fresh.
    pub(crate) fresh: Option<Duration>,
}

/// The last set and what it was made of.
#[derive(Debug)]
struct Last {
    url: String,
    etag: Option<HeaderValue>,
    body: Bytes,
    keys: Arc<KeySet>,
}

impl Loader {
    pub(crate) fn new(exchange: Exchange, origin: Origin, options: JwksOptions) -> Self {
        Self {
            exchange,
            origin,
            options,
            last: Mutex::new(None),
        }
    }

    /// How long [`load`](Self::load) takes at most.
    pub(crate) fn timeout(&self) -> Duration {
        self.exchange.timeout()
    }

    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Fetches the keys. Only within a tokio runtime, and not twice at once.
    #[cfg_attr(
        not(feature = "oidc"),
        expect(unused_variables, reason = "for metadata only")
    )]
    pub(crate) async fn load(&self, now: SystemTime) -> Result<Loaded, ProviderError> {
        let deadline = self.exchange.deadline();
        match &self.origin {
            Origin::Keys(url) => self.keys_at(url, deadline).await,
            #[cfg(feature = "oidc")]
            Origin::Issuer(issuer) => {
                let url = match issuer.known(now) {
                    Some(url) => {
                        let error = match self.keys_at(&url, deadline).await {
                            Ok(loaded) => {
                                issuer.confirmed();
                                return Ok(loaded);
                            }
                            Err(error) => error,
                        };
                        // The keys may have moved. If not, what was wrong with them is the error.
                        match issuer.look_up(&self.exchange, now, deadline).await {
                            Ok(found) if found.uri() != url.uri() => found,
                            _ => return Err(error),
                        }
                    }
                    None => {
                        issuer
                            .look_up_or_known(&self.exchange, now, deadline)
                            .await?
                    }
                };
                let loaded = self.keys_at(&url, deadline).await?;
                issuer.confirmed();
                Ok(loaded)
            }
        }
    }

    async fn keys_at(&self, url: &CheckedUrl, deadline: Instant) -> Result<Loaded, ProviderError> {
        let mut request = get_json(url);
        let before = self.before(url);
        if let Some((etag, _)) = &before {
            request.headers_mut().insert(IF_NONE_MATCH, etag.clone());
        }
        let answer = self.exchange.send(request, deadline).await;
        let answer = answer.map_err(|source| ProviderError::Fetch {
            url: url.shown(),
            source,
        })?;
        let fresh = fresh_time(answer.headers());
        match (answer.status(), before) {
            (StatusCode::OK, _) => {
                let etag = answer.headers().get(ETAG).cloned();
                let keys = self.read(url, etag, answer.into_body())?;
                Ok(Loaded { keys, fresh })
            }
            // RFC 9110 section 15.4.5
            (StatusCode::NOT_MODIFIED, Some((_, keys))) => Ok(Loaded { keys, fresh }),
            _ => Err(ProviderError::status(
                url,
                &answer,
                "`RemoteKeys::builder`",
                shown_foreign,
            )),
        }
    }

    /// The last set from this address, if it has a tag to ask by.
    fn before(&self, url: &CheckedUrl) -> Option<(HeaderValue, Arc<KeySet>)> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let last = last.as_ref().filter(|last| *url.uri() == *last.url)?;
        Some((last.etag.clone()?, Arc::clone(&last.keys)))
    }

    fn read(
        &self,
        url: &CheckedUrl,
        etag: Option<HeaderValue>,
        body: Bytes,
    ) -> Result<Arc<KeySet>, ProviderError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let keys = match &*last {
            Some(last) if last.body == body => Arc::clone(&last.keys),
            _ => {
                // (E04: allowed addresses, E06: unusable keys) How many keys, and which of them are used, is decided there.
                let keys = KeySet::from_jwks_with(&body, &self.options);
                Arc::new(keys.map_err(|source| ProviderError::Keys {
                    url: url.shown(),
                    source,
                })?)
            }
        };
        *last = Some(Last {
            url: url.uri().to_string(),
            etag: etag.filter(|etag| etag.len() <= MAX_ETAG),
            body,
            keys: Arc::clone(&keys),
        });
        Ok(keys)
    }
}
