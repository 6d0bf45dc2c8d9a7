//! Where tokens are asked about.

#[cfg(feature = "oidc")]
use std::sync::{Mutex, PoisonError};
#[cfg(feature = "oidc")]
use std::time::Duration;
use std::time::SystemTime;

use tokio::time::Instant;

use crate::provider::error::ProviderError;
use crate::provider::fetch::Exchange;
use crate::provider::url::CheckedUrl;
#[cfg(feature = "oidc")]
use crate::provider::{
    discovery::{self, IssuerUrl},
    fetch::{FetchError, FetchErrorKind},
    schedule::remaining,
    single_flight::{Flight, NoRuntime},
    url::{shown, shown_foreign},
};

/// The address of the introspection endpoint.
#[derive(Debug)]
pub(super) enum Endpoint {
    /// As it was given.
    Fixed(CheckedUrl),
    /// Where the metadata of the issuer says.
    #[cfg(feature = "oidc")]
    Discovered(Box<Discovered>),
}

impl Endpoint {
    /// The address, as far as that is known; for logs.
    pub(super) fn shown(&self) -> Option<String> {
        match self {
            Self::Fixed(url) => Some(url.shown()),
            #[cfg(feature = "oidc")]
            Self::Discovered(discovered) => Some(discovered.known()?.shown()),
        }
    }

    /// The address. Reads the metadata if that has not been done. Only within a tokio runtime.
    #[cfg_attr(
        not(feature = "oidc"),
        expect(unused_variables, clippy::unused_async, reason = "for metadata only")
    )]
    pub(super) async fn url(
        &self,
        exchange: &Exchange,
        now: SystemTime,
        deadline: Instant,
    ) -> Result<CheckedUrl, ProviderError> {
        match self {
            Self::Fixed(url) => Ok(url.clone()),
            #[cfg(feature = "oidc")]
            Self::Discovered(discovered) => discovered.url(exchange, now, deadline).await,
        }
    }

    /// Nothing is there any more.
    #[cfg_attr(
        not(feature = "oidc"),
        expect(unused_variables, reason = "for metadata only")
    )]
    pub(super) fn moved(&self, now: SystemTime) {
        #[cfg(feature = "oidc")]
        if let Self::Discovered(discovered) = self {
            let mut state = discovered.lock();
            // Not for each token, if what the metadata names stays wrong.
            if !state.is_cooling(now) {
                state.known = None;
            }
        }
    }
}

/// An endpoint that is found by the name of its issuer.
#[cfg(feature = "oidc")]
#[derive(Debug)]
pub(super) struct Discovered {
    issuer: IssuerUrl,
    /// Never held across an await.
    state: Mutex<State>,
}

#[cfg(feature = "oidc")]
#[derive(Debug, Default)]
struct State {
    known: Option<CheckedUrl>,
    /// One reading for all that wait for it.
    flight: Option<Flight<Result<CheckedUrl, ProviderError>>>,
    /// When the last reading began, and why it failed if it did (E01: fetch cooldown).
    began: Option<SystemTime>,
    failed: Option<ProviderError>,
}

/// How long the metadata is not read again, whatever came of it.
#[cfg(feature = "oidc")]
const COOLDOWN: Duration = Duration::from_secs(5);

#[cfg(feature = "oidc")]
impl State {
    fn is_cooling(&self, now: SystemTime) -> bool {
        self.began
            .is_some_and(|began| remaining(began, COOLDOWN, now).is_some())
    }
}

#[cfg(feature = "oidc")]
impl Discovered {
    pub(super) fn new(issuer: IssuerUrl) -> Self {
        Self {
            issuer,
            state: Mutex::default(),
        }
    }

    fn known(&self) -> Option<CheckedUrl> {
        self.lock().known.clone()
    }

    async fn url(
        &self,
        exchange: &Exchange,
        now: SystemTime,
        deadline: Instant,
    ) -> Result<CheckedUrl, ProviderError> {
        let waiter = {
            let mut state = self.lock();
            if let Some(known) = &state.known {
                return Ok(known.clone());
            }
            let is_cooling = state.is_cooling(now);
            match (&state.flight, &state.failed) {
                (Some(flight), _) if !flight.is_over() => flight.wait(),
                (_, Some(error)) if is_cooling => return Err(error.clone()),
                _ => {
                    let (own, issuer) = (exchange.clone(), self.issuer.clone());
                    let work = async move { read(&own, &issuer, deadline).await };
                    let flight = Flight::start(exchange.timeout(), work)
                        .map_err(|NoRuntime| ProviderError::NoRuntime)?;
                    let waiter = flight.wait();
                    state.flight = Some(flight);
                    state.began = Some(now);
                    waiter
                }
            }
        };
        let found = match tokio::time::timeout_at(deadline, waiter).await {
            // A runtime that went away says nothing about the issuer.
            Ok(found) => found.unwrap_or(Err(ProviderError::Interrupted)),
            Err(_) => {
                return Err(ProviderError::Fetch {
                    url: shown(self.issuer.name()),
                    source: FetchError::new(FetchErrorKind::TimedOut),
                });
            }
        };
        let mut state = self.lock();
        match &found {
            Ok(url) => {
                state.known = Some(url.clone());
                state.failed = None;
            }
            Err(ProviderError::Interrupted) => {}
            Err(error) => state.failed = Some(error.clone()),
        }
        found
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(feature = "oidc")]
async fn read(
    exchange: &Exchange,
    issuer: &IssuerUrl,
    deadline: Instant,
) -> Result<CheckedUrl, ProviderError> {
    let metadata = discovery::read(exchange, issuer, deadline).await?;
    let Some(text) = metadata.introspection_endpoint() else {
        return Err(ProviderError::Metadata {
            url: metadata.address().shown(),
            problem: "expected a member `introspection_endpoint`, found none; name the address of the endpoint with `Introspection::builder`",
        });
    };
    let checked = issuer.check_named(metadata.address(), text);
    checked.map_err(|expected| ProviderError::Url {
        what: "`introspection_endpoint` of the issuer",
        url: shown_foreign(text),
        expected,
    })
}
