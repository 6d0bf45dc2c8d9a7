//! The settings of remote keys.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "oidc")]
use super::discovery::{Discovery, IssuerUrl};
use super::error::ProviderError;
use super::fetch::{Exchange, Fetch};
use super::http_fetcher::HttpFetcher;
use super::loader::{Loader, Origin};
use super::remote_keys::RemoteKeys;
use super::schedule::{Timing, random_ahead};
use super::url::{AddressPolicy, shown};
use crate::clock::{Clock, SystemClock};
use crate::jwt::JwksOptions;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const MAX_BODY: usize = 16 * 1024 * 1024;

/// Sets up [`RemoteKeys`].
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use tower_bearer::provider::RemoteKeys;
///
/// let keys = RemoteKeys::builder("https://issuer.example/jwks.json")
///     .max_stale(Duration::from_secs(4 * 60 * 60))
///     .timeout(Duration::from_secs(2))
///     .connect_lazily()?;
///
/// let refused = RemoteKeys::builder("http://issuer.example/jwks.json").connect_lazily();
/// assert!(refused.unwrap_err().to_string().contains("expected an `https` URL"));
/// # let _ = keys;
/// # Ok::<_, tower_bearer::provider::ProviderError>(())
/// ```
#[must_use]
pub struct RemoteKeysBuilder {
    location: KeyLocation,
    fetcher: Option<Arc<dyn Fetch>>,
    clock: Arc<dyn Clock>,
    options: JwksOptions,
    timing: Timing,
    max_body: usize,
    #[cfg(feature = "oidc")]
    metadata_url: Option<String>,
    insecure_http_host: Option<String>,
}

pub(super) enum KeyLocation {
    Keys(String),
    #[cfg(feature = "oidc")]
    Issuer(String),
}

impl RemoteKeysBuilder {
    pub(super) fn new(location: KeyLocation) -> Self {
        Self {
            location,
            fetcher: None,
            clock: Arc::new(SystemClock),
            options: JwksOptions::new(),
            timing: Timing {
                default_ttl: 10 * MINUTE,
                min_ttl: MINUTE,
                max_ttl: DAY,
                max_stale: HOUR,
                cooldown: 30 * SECOND,
                timeout: 5 * SECOND,
                ahead: random_ahead(),
            },
            max_body: 512 * 1024,
            #[cfg(feature = "oidc")]
            metadata_url: None,
            insecure_http_host: None,
        }
    }

    /// Replaces what sends the requests.
    ///
    /// Default: an [`HttpFetcher`] with the [timeout](Self::timeout) that is set here.
    pub fn fetcher(mut self, fetcher: impl Fetch) -> Self {
        self.fetcher = Some(Arc::new(fetcher));
        self
    }

    /// Replaces the clock that [`connect`](Self::connect) and [`RemoteKeys::refresh`] read. Requests
    /// bring the time of their layer, so give both the same clock.
    ///
    /// Default: the clock of the system.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Sets the address of the metadata, for an issuer whose metadata is not at its well-known paths.
    /// Examples are a provider that services reach by an internal address, Azure AD B2C and AD FS. No other
    /// address is tried.
    ///
    /// The issuer itself does not change: the document has to name the one that was given to
    /// [`discover`](RemoteKeys::discover) in `issuer`, character by character, and tokens have to name it in
    /// `iss`. It may be any text, since no request is sent to it. AD FS names the issuer of its access tokens
    /// in the member `access_token_issuer` of its document
    /// ([MS-OIDCE](https://learn.microsoft.com/en-us/openspecs/windows_protocols/ms-oidce/586de7dd-3385-47c7-93a2-935d9e90441c));
    /// that name is accepted as well.
    ///
    /// Default: the well-known paths of the issuer, as [`discover`](RemoteKeys::discover) lists them.
    ///
    /// # Example
    ///
    /// ```
    /// use tower_bearer::provider::RemoteKeys;
    ///
    /// // Tokens name the public address of the provider. This service reaches it by another one.
    /// let keycloak = RemoteKeys::discover("https://login.example.com/realms/shop")
    ///     .metadata_url("https://keycloak.internal/realms/shop/.well-known/openid-configuration")
    ///     .connect_lazily()?;
    ///
    /// let adfs = RemoteKeys::discover("http://adfs.example.com/adfs/services/trust")
    ///     .metadata_url("https://adfs.example.com/adfs/.well-known/openid-configuration")
    ///     .connect_lazily()?;
    /// # assert_eq!(adfs.issuer(), Some("http://adfs.example.com/adfs/services/trust")); let _ = keycloak;
    /// # Ok::<_, tower_bearer::provider::ProviderError>(())
    /// ```
    #[cfg(feature = "oidc")]
    pub fn metadata_url(mut self, url: impl Into<String>) -> Self {
        self.metadata_url = Some(url.into());
        self
    }

    /// Allows `http` to one host, such as a provider inside a cluster that has no certificate. An attacker
    /// who can change the traffic between this service and that host can replace the keys of the issuer and
    /// so sign tokens.
    ///
    /// `host` is a name or an address without port, compared exactly; subdomains are other hosts. The setting
    /// also applies to the `jwks_uri` of the metadata. Redirects from that host are not followed either.
    ///
    /// Default: `http` to this machine only.
    ///
    /// # Example
    ///
    /// ```
    /// use tower_bearer::provider::RemoteKeys;
    ///
    /// let keys = RemoteKeys::builder("http://keycloak:8080/realms/shop/protocol/openid-connect/certs")
    ///     .insecure_http_host("keycloak")
    ///     .connect_lazily()?;
    /// # let _ = keys;
    /// # Ok::<_, tower_bearer::provider::ProviderError>(())
    /// ```
    pub fn insecure_http_host(mut self, host: impl Into<String>) -> Self {
        self.insecure_http_host = Some(host.into());
        self
    }

    /// Sets how the key set is read: the algorithms of RSA keys without `alg`, the number of keys, how many
    /// are tried for a token without `kid`, the crypto back end.
    ///
    /// Default: [`JwksOptions::new`].
    pub fn jwks_options(mut self, options: JwksOptions) -> Self {
        self.options = options;
        self
    }

    /// Replaces how long a set is fresh if its answer does not say so by `Cache-Control: max-age`
    /// ([RFC 9111 section 5.2.2.1](https://www.rfc-editor.org/rfc/rfc9111#section-5.2.2.1)). A fetch
    /// is started after 80 to 95 % of it.
    ///
    /// Default: 10 minutes. It must lie between [`min_ttl`](Self::min_ttl) and
    /// [`max_ttl`](Self::max_ttl).
    pub fn default_ttl(mut self, fresh: Duration) -> Self {
        self.timing.default_ttl = fresh;
        self
    }

    /// Replaces how long a set is fresh at least, whatever its answer says. It also holds for
    /// `no-store` and `no-cache`, which would mean a fetch for each request.
    ///
    /// Default: 1 minute. At least 1 second.
    pub fn min_ttl(mut self, fresh: Duration) -> Self {
        self.timing.min_ttl = fresh;
        self
    }

    /// Replaces how long a set is fresh at most, whatever its answer says. A key that the issuer took
    /// back is accepted up to this long if nothing else causes a fetch.
    ///
    /// Default: 24 hours. At most 7 days.
    pub fn max_ttl(mut self, fresh: Duration) -> Self {
        self.timing.max_ttl = fresh;
        self
    }

    /// Replaces how long past its fresh time a set is still used if no other can be fetched. After that,
    /// requests are answered with 503.
    ///
    /// Default: 1 hour. At most 24 hours; 0 uses no set that is not fresh.
    pub fn max_stale(mut self, max_stale: Duration) -> Self {
        self.timing.max_stale = max_stale;
        self
    }

    /// Replaces how long nothing is fetched after the start of a fetch, whether it succeeded or not.
    /// Fetches because of time and fetches because of tokens that the keys do not explain are counted
    /// each for themselves.
    ///
    /// Default: 30 seconds. From 1 second to 1 hour, and no more than a set is usable at least, which is
    /// [`min_ttl`](Self::min_ttl) and the [stale limit](Self::max_stale) together.
    pub fn cooldown(mut self, cooldown: Duration) -> Self {
        self.timing.cooldown = cooldown;
        self
    }

    /// Replaces how long a fetch may take, with all its requests. Nobody waits longer for keys.
    ///
    /// Default: 5 seconds. At most 1 minute.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timing.timeout = timeout;
        self
    }

    /// Replaces how many bytes an answer may have.
    ///
    /// Default: 512 KiB. At most 16 MiB.
    pub fn max_body(mut self, max_body: usize) -> Self {
        self.max_body = max_body;
        self
    }

    /// Fetches the keys. Use it to start only with keys at hand.
    ///
    /// # Errors
    ///
    /// [`ProviderError::Setting`] or [`ProviderError::Url`] as for [`connect_lazily`](Self::connect_lazily);
    /// otherwise what kept the keys from being fetched, with the address and what to change.
    pub async fn connect(self) -> Result<RemoteKeys, ProviderError> {
        let keys = self.connect_lazily()?;
        keys.refresh().await?;
        Ok(keys)
    }

    /// Leaves the fetching to the first request that needs keys. Use it where the issuer may start later
    /// than this service; until it answers, requests are answered with 503.
    ///
    /// Nothing is sent, so no runtime is needed.
    ///
    /// # Errors
    ///
    /// [`ProviderError::Setting`] for a setting out of its range or without effect, [`ProviderError::Url`] for an
    /// address that is not `https`, `http` on this machine or `http` to the
    /// [allowed host](Self::insecure_http_host), or that has a user or a fragment.
    pub fn connect_lazily(self) -> Result<RemoteKeys, ProviderError> {
        self.timing.check()?;
        if self.max_body == 0 || self.max_body > MAX_BODY {
            return Err(ProviderError::Setting {
                setting: "max_body",
                problem: format!("expected 1 to {MAX_BODY} bytes, got {}", self.max_body),
            });
        }
        let timeout = self.timing.timeout;
        let fetcher = self
            .fetcher
            .unwrap_or_else(|| Arc::new(HttpFetcher::new().with_timeout(timeout)));
        let addresses = address_policy(self.insecure_http_host.as_deref())?;
        let origin = match self.location {
            KeyLocation::Keys(text) => {
                #[cfg(feature = "oidc")]
                check_metadata_url(self.metadata_url.as_ref(), "RemoteKeys::builder")?;
                Origin::Keys(
                    addresses
                        .check(&text)
                        .map_err(|expected| ProviderError::Url {
                            what: "address of the JWK Set",
                            url: shown(&text),
                            expected,
                        })?,
                )
            }
            #[cfg(feature = "oidc")]
            KeyLocation::Issuer(name) => {
                let metadata_url = self.metadata_url.as_deref();
                let issuer = IssuerUrl::new(name, metadata_url, addresses.clone())?;
                Origin::Issuer(Box::new(Discovery::new(issuer)))
            }
        };
        let exchange = Exchange::new(fetcher, timeout, self.max_body, addresses);
        let loader = Loader::new(exchange, origin, self.options);
        Ok(RemoteKeys::new(loader, self.timing, self.clock))
    }
}

/// Returns the policy for addresses from the setting `insecure_http_host`.
pub(super) fn address_policy(host: Option<&str>) -> Result<AddressPolicy, ProviderError> {
    let Some(host) = host else {
        return Ok(AddressPolicy::default());
    };
    AddressPolicy::allowing_http_to(host).map_err(|expected| ProviderError::Setting {
        setting: "insecure_http_host",
        problem: expected.to_owned(),
    })
}

/// Returns an error for a metadata address without discovery, where it would have no effect.
#[cfg(feature = "oidc")]
pub(super) fn check_metadata_url(
    metadata_url: Option<&String>,
    builder: &str,
) -> Result<(), ProviderError> {
    match metadata_url {
        None => Ok(()),
        Some(_) => Err(ProviderError::Setting {
            setting: "metadata_url",
            problem: format!("has no effect with `{builder}`; use it with `discover`"),
        }),
    }
}

impl Timing {
    fn check(&self) -> Result<(), ProviderError> {
        within("max_ttl", self.max_ttl, SECOND..=7 * DAY)?;
        within("min_ttl", self.min_ttl, SECOND..=self.max_ttl)?;
        within("default_ttl", self.default_ttl, self.min_ttl..=self.max_ttl)?;
        within("max_stale", self.max_stale, Duration::ZERO..=DAY)?;
        within("cooldown", self.cooldown, SECOND..=HOUR)?;
        within("timeout", self.timeout, Duration::from_millis(1)..=MINUTE)?;
        let usable = self.min_ttl.saturating_add(self.max_stale);
        if self.cooldown > usable {
            return Err(ProviderError::Setting {
                setting: "cooldown",
                problem: format!(
                    "expected no more than `min_ttl` and `max_stale` together, {usable:?}, got {:?}; otherwise a set could end before the next one may be fetched",
                    self.cooldown
                ),
            });
        }
        Ok(())
    }
}

fn within(
    setting: &'static str,
    value: Duration,
    range: RangeInclusive<Duration>,
) -> Result<(), ProviderError> {
    if range.contains(&value) {
        return Ok(());
    }
    let (least, most) = range.into_inner();
    Err(ProviderError::Setting {
        setting,
        problem: format!("expected {least:?} to {most:?}, got {value:?}"),
    })
}

impl fmt::Debug for RemoteKeysBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let location = match &self.location {
            KeyLocation::Keys(text) => shown(text),
            #[cfg(feature = "oidc")]
            KeyLocation::Issuer(name) => shown(name),
        };
        #[cfg(feature = "oidc")]
        let metadata_url = self.metadata_url.as_deref().map(shown);
        let insecure_http_host = self.insecure_http_host.as_deref().map(shown);
        let mut debug = f.debug_struct("RemoteKeysBuilder");
        debug.field("address", &location);
        #[cfg(feature = "oidc")]
        debug.field("metadata_url", &metadata_url);
        debug
            .field("insecure_http_host", &insecure_http_host)
            .field("timing", &self.timing)
            .field("max_body", &self.max_body)
            .finish_non_exhaustive()
    }
}
