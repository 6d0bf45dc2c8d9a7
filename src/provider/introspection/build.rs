//! From settings to a validator.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;
#[cfg(feature = "oidc")]
use std::time::SystemTime;

use super::builder::{EndpointLocation, IntrospectionBuilder};
use super::cache::Cache;
use super::client::IntrospectionClient;
#[cfg(feature = "oidc")]
use super::endpoint::Discovered;
use super::endpoint::Endpoint;
use super::in_flight::InFlightRequests;
use super::validator::{Inner, Introspection};
use crate::jwt::{Checks, MAX_LEEWAY, problem};
#[cfg(feature = "oidc")]
use crate::provider::discovery::IssuerUrl;
use crate::provider::error::ProviderError;
use crate::provider::fetch::Exchange;
use crate::provider::http_fetcher::HttpFetcher;
use crate::provider::settings::address_policy;
#[cfg(feature = "oidc")]
use crate::provider::settings::check_metadata_url;
#[cfg(feature = "oidc")]
use crate::provider::single_flight::{Flight, NoRuntime};
use crate::provider::url::shown;

/// How long an answer may be kept.
const MAX_CACHE: Duration = Duration::from_secs(60);
const DEFAULT_CAPACITY: usize = 10_000;
/// How many connections are kept open.
const IDLE_CONNECTIONS: usize = 16;

impl IntrospectionBuilder {
    /// Makes the validator. Nothing is sent, so no runtime is needed. What is
    /// [discovered](Introspection::discover) is looked up by the first request; until that succeeds,
    /// requests are answered with 503.
    ///
    /// # Errors
    ///
    /// [`ProviderError::Setting`] for a setting that is missing, out of its range or contradicts another;
    /// [`ProviderError::Url`] for an address that is not `https`, `http` on this machine or `http` to the
    /// [allowed host](Self::insecure_http_host), or that has a user or a fragment.
    pub fn build(self) -> Result<Introspection, ProviderError> {
        self.check_settings()?;
        let addresses = address_policy(self.insecure_http_host.as_deref())?;
        let (endpoint, discovered) = match self.asked {
            EndpointLocation::Endpoint(text) => {
                #[cfg(feature = "oidc")]
                check_metadata_url(self.metadata_url.as_ref(), "Introspection::builder")?;
                let url = addresses
                    .check(&text)
                    .map_err(|expected| ProviderError::Url {
                        what: "introspection endpoint",
                        url: shown(&text),
                        expected,
                    })?;
                (Endpoint::Fixed(url), None)
            }
            #[cfg(feature = "oidc")]
            EndpointLocation::Issuer(name) => {
                let issuer = IssuerUrl::new(name, self.metadata_url.as_deref(), addresses.clone())?;
                let name: Box<str> = issuer.name().into();
                if self
                    .checks
                    .issuer
                    .as_ref()
                    .is_some_and(|other| *other != name)
                {
                    return wrong("issuer", "differs from the one to discover; leave it out");
                }
                let discovered = Discovered::new(issuer);
                (Endpoint::Discovered(Box::new(discovered)), Some(name))
            }
        };
        let checks = Checks {
            issuer: discovered.or(self.checks.issuer),
            ..self.checks
        };
        let Some(client) = self.client else {
            return wrong(
                "client",
                "is missing; say how this service authenticates to the endpoint",
            );
        };
        if let Some(problem) = client.problem() {
            return wrong("client", problem);
        }
        let timeout = self.timeout;
        let fetcher = self.fetcher.unwrap_or_else(|| {
            Arc::new(
                HttpFetcher::new()
                    .with_timeout(timeout)
                    .with_idle_connections(IDLE_CONNECTIONS),
            )
        });
        let capacity = self.cache_capacity.unwrap_or(DEFAULT_CAPACITY);
        Ok(Introspection {
            inner: Arc::new(Inner {
                client: Arc::new(IntrospectionClient {
                    endpoint,
                    client,
                    exchange: Exchange::new(fetcher, timeout, self.max_body, addresses),
                    checks,
                }),
                cache: self
                    .cache
                    .map(|lifetime| Arc::new(Cache::new(lifetime, capacity))),
                calls: InFlightRequests::new(self.max_concurrent_requests),
                own: self.own.into(),
                max_length: self.max_length,
            }),
        })
    }

    /// Makes the validator, and reads the metadata of the issuer now. Use it to start only with an
    /// endpoint at hand. Tokens are not asked about, so wrong credentials do not show yet.
    ///
    /// # Errors
    ///
    /// As for [`build`](Self::build); otherwise what kept the metadata from being read, or that they
    /// name no endpoint.
    #[cfg(feature = "oidc")]
    pub async fn connect(self) -> Result<Introspection, ProviderError> {
        let validator = self.build()?;
        let client = Arc::clone(&validator.inner.client);
        let reading = Flight::start(client.exchange.timeout(), async move {
            let deadline = client.exchange.deadline();
            let now = SystemTime::now();
            client.endpoint.url(&client.exchange, now, deadline).await
        });
        let reading = reading.map_err(|NoRuntime| ProviderError::NoRuntime)?;
        let found = reading.wait().await;
        found.unwrap_or(Err(ProviderError::Interrupted))?;
        Ok(validator)
    }

    fn check_settings(&self) -> Result<(), ProviderError> {
        if let Some((setting, problem)) = problem(&self.checks, self.any_audience) {
            return wrong(setting, problem);
        }
        if self.cache_capacity.is_some() && self.cache.is_none() {
            return wrong("cache_capacity", "has no effect without `cache`");
        }
        let least = Duration::from_millis(1);
        within("leeway", self.checks.leeway, Duration::ZERO..=MAX_LEEWAY)?;
        within("cache", self.cache.unwrap_or(MAX_CACHE), least..=MAX_CACHE)?;
        within("timeout", self.timeout, least..=Duration::from_secs(60))?;
        let capacity = self.cache_capacity.unwrap_or(DEFAULT_CAPACITY);
        within("cache_capacity", capacity, 1..=1_000_000)?;
        within("max_length", self.max_length, 64..=16 * 1024)?;
        within("max_body", self.max_body, 1..=1024 * 1024)?;
        within(
            "max_concurrent_requests",
            self.max_concurrent_requests,
            1..=65_536,
        )
    }
}

fn wrong<T>(setting: &'static str, problem: &str) -> Result<T, ProviderError> {
    Err(ProviderError::Setting {
        setting,
        problem: problem.to_owned(),
    })
}

fn within<T: Copy + PartialOrd + fmt::Debug>(
    setting: &'static str,
    value: T,
    range: RangeInclusive<T>,
) -> Result<(), ProviderError> {
    if range.contains(&value) {
        return Ok(());
    }
    let (least, most) = range.into_inner();
    wrong(
        setting,
        &format!("expected {least:?} to {most:?}, got {value:?}"),
    )
}
