//! What an issuer publishes about itself.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use http::StatusCode;
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::error::ProviderError;
use super::fetch::{Exchange, get_json};
use super::url::{AddressPolicy, CheckedUrl, shown, shown_foreign};
use crate::jwt::json;

/// How long a document is used before it is read anew.
const READ_ANEW: Duration = Duration::from_secs(24 * 60 * 60);
/// How much of a foreign issuer is shown.
const MAX_SHOWN: usize = 256;

const OPENID: &str = "/.well-known/openid-configuration";
const OAUTH: &str = "/.well-known/oauth-authorization-server";

/// The metadata of an issuer, from [OpenID Connect Discovery
/// 1.0](https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderMetadata) or
/// [RFC 8414 section 2](https://www.rfc-editor.org/rfc/rfc8414#section-2).
///
/// The issuer is the configured one. Only `jwks_uri` has been checked as an address to which requests may be sent.
///
/// # Example
///
/// ```no_run
/// use tower_bearer::provider::RemoteKeys;
///
/// # async fn main_() -> Result<(), tower_bearer::provider::ProviderError> {
/// let keys = RemoteKeys::discover("https://issuer.example").connect().await?;
/// if let Some(metadata) = keys.metadata() {
///     println!("{} has its keys at {:?}", metadata.issuer(), metadata.jwks_uri());
/// }
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct IssuerMetadata {
    issuer: String,
    jwks_uri: Option<CheckedUrl>,
    introspection_endpoint: Option<String>,
    introspection_endpoint_auth_methods_supported: Option<Vec<String>>,
    jwks_uri_text: Option<String>,
    /// Where the document was read.
    address: CheckedUrl,
}

impl IssuerMetadata {
    /// The issuer, exactly as its tokens have to name it.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Where its keys are.
    #[must_use]
    pub fn jwks_uri(&self) -> Option<&str> {
        self.jwks_uri_text.as_deref()
    }

    /// Where it answers questions about tokens
    /// ([RFC 7662](https://www.rfc-editor.org/rfc/rfc7662#section-2)).
    #[must_use]
    pub fn introspection_endpoint(&self) -> Option<&str> {
        self.introspection_endpoint.as_deref()
    }

    #[cfg(feature = "introspection")]
    pub(crate) fn address(&self) -> &CheckedUrl {
        &self.address
    }

    /// How one may log in there, or nothing if it does not say.
    #[must_use]
    pub fn introspection_endpoint_auth_methods_supported(&self) -> Option<&[String]> {
        self.introspection_endpoint_auth_methods_supported
            .as_deref()
    }
}

impl fmt::Debug for IssuerMetadata {
    /// Addresses without user and query, which may hold secrets (E14: details for the operator).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let endpoint = self.introspection_endpoint().map(shown);
        f.debug_struct("IssuerMetadata")
            .field("issuer", &self.issuer)
            .field("jwks_uri", &self.jwks_uri)
            .field("introspection_endpoint", &endpoint)
            .finish_non_exhaustive()
    }
}

/// The configured name of an issuer, and the location of its metadata (M16: metadata and issuer and issuer name).
#[derive(Clone, Debug)]
pub(crate) struct IssuerUrl {
    name: String,
    place: Place,
    addresses: AddressPolicy,
}

/// Where the metadata of an issuer is.
#[derive(Clone, Debug)]
enum Place {
    /// At the well-known paths of the issuer.
    WellKnown(CheckedUrl),
    /// At a configured address.
    At(CheckedUrl),
}

impl IssuerUrl {
    /// Creates the name of an issuer and the location of its metadata. An issuer is a URL without query and
    /// fragment ([RFC 8414 section 2](https://www.rfc-editor.org/rfc/rfc8414#section-2)). An issuer whose
    /// metadata has a configured address may be any text, since it is compared and never requested.
    pub(crate) fn new(
        name: String,
        metadata_url: Option<&str>,
        addresses: AddressPolicy,
    ) -> Result<Self, ProviderError> {
        let problem = |what, url: &str, expected| ProviderError::Url {
            what,
            url: shown(url),
            expected,
        };
        let place = match metadata_url {
            Some(_) if name.is_empty() => {
                return Err(problem("issuer", &name, "expected a non-empty text"));
            }
            Some(text) => addresses
                .check(text)
                .map(Place::At)
                .map_err(|expected| problem("address of the metadata", text, expected)),
            None if name.contains('?') => Err(problem(
                "issuer",
                &name,
                "expected no `?`: an issuer has no query",
            )),
            None => addresses
                .check(&name)
                .map(Place::WellKnown)
                .map_err(|expected| problem("issuer", &name, expected)),
        }?;
        Ok(Self {
            name,
            place,
            addresses,
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns the possible addresses of the metadata. OpenID Connect appends the well-known path; RFC 8414
    /// section 3.1 inserts it before the path of the issuer.
    fn places(&self) -> Result<Vec<CheckedUrl>, ProviderError> {
        let issuer = match &self.place {
            Place::At(url) => return Ok(vec![url.clone()]),
            Place::WellKnown(issuer) => issuer,
        };
        let path = issuer.path();
        let path = path.strip_suffix('/').unwrap_or(path);
        let mut places = vec![format!("{path}{OPENID}"), format!("{OAUTH}{path}")];
        if !path.is_empty() {
            places.push(format!("{OPENID}{path}"));
        }
        let places = places.iter().map(|place| issuer.with_path(place));
        places
            .collect::<Result<_, _>>()
            .map_err(|expected| ProviderError::Url {
                what: "issuer",
                url: issuer.shown(),
                expected,
            })
    }

    /// Returns whether a document names this issuer. AD FS names the issuer of its access tokens in the
    /// member `access_token_issuer`
    /// ([MS-OIDCE](https://learn.microsoft.com/en-us/openspecs/windows_protocols/ms-oidce/586de7dd-3385-47c7-93a2-935d9e90441c)),
    /// which is accepted if the address of the document is configured.
    fn is_named_in(&self, document: &Map<String, Value>, issuer: &str) -> bool {
        let of_access_tokens = match self.place {
            Place::At(_) => document.get("access_token_issuer"),
            Place::WellKnown(_) => None,
        };
        issuer == self.name || of_access_tokens.and_then(Value::as_str) == Some(&self.name)
    }

    /// Checks an address that the document at `from` names.
    pub(crate) fn check_named(
        &self,
        from: &CheckedUrl,
        address: &str,
    ) -> Result<CheckedUrl, &'static str> {
        let url = self.addresses.check(address)?;
        // Metadata from another machine must not name an address on this machine, with or without TLS.
        if url.names_this_machine() && !from.names_this_machine() {
            return Err(
                "expected an address of another machine, since the metadata is not on this machine; if it is meant, configure it with `RemoteKeys::builder` or `Introspection::builder`",
            );
        }
        Ok(url)
    }
}

/// Reads the metadata of an issuer. Only within a tokio runtime.
pub(crate) async fn read(
    exchange: &Exchange,
    issuer: &IssuerUrl,
    deadline: Instant,
) -> Result<IssuerMetadata, ProviderError> {
    let mut tried = Vec::new();
    let mut refused = None;
    for url in issuer.places()? {
        let answer = exchange.send(get_json(&url), deadline).await;
        let answer = answer.map_err(|source| ProviderError::Fetch {
            url: url.shown(),
            source,
        })?;
        match answer.status() {
            StatusCode::OK => return metadata(issuer, &url, answer.body()),
            StatusCode::NOT_FOUND | StatusCode::GONE => tried.push(url.shown()),
            status => {
                let error = ProviderError::status(&url, &answer, "`metadata_url`", shown_foreign);
                // Many a server answers with a login, or with 403, where it has nothing. One that is in
                // trouble, or busy, says nothing about the place.
                let is_elsewhere = status.is_redirection() || status.is_client_error();
                if !is_elsewhere || status == StatusCode::TOO_MANY_REQUESTS {
                    return Err(error);
                }
                refused.get_or_insert(error);
            }
        }
    }
    Err(refused.unwrap_or(ProviderError::NoMetadata {
        issuer: issuer.name.clone(),
        tried,
    }))
}

fn metadata(
    issuer: &IssuerUrl,
    url: &CheckedUrl,
    body: &[u8],
) -> Result<IssuerMetadata, ProviderError> {
    let problem = |problem| ProviderError::Metadata {
        url: url.shown(),
        problem,
    };
    let document = json::object(body)
        .map_err(|_| problem("expected a JSON object that names no member twice"))?;
    let found = text(&document, "issuer")
        .map_err(problem)?
        .ok_or_else(|| problem("expected a member `issuer`"))?;
    // (E07: issuer of the metadata) RFC 8414 section 3.3: otherwise one issuer could speak for another.
    if !issuer.is_named_in(&document, &found) {
        return Err(ProviderError::IssuerMismatch {
            url: url.shown(),
            expected: issuer.name.clone(),
            found: found.chars().take(MAX_SHOWN).collect(),
        });
    }
    let jwks_uri_text = text(&document, "jwks_uri").map_err(problem)?;
    let jwks_uri = match &jwks_uri_text {
        None => None,
        Some(text) => {
            let checked = issuer.check_named(url, text);
            Some(checked.map_err(|expected| ProviderError::Url {
                what: "`jwks_uri` of the issuer",
                url: shown_foreign(text),
                expected,
            })?)
        }
    };
    let methods = "introspection_endpoint_auth_methods_supported";
    Ok(IssuerMetadata {
        issuer: issuer.name.clone(),
        jwks_uri,
        jwks_uri_text,
        introspection_endpoint: text(&document, "introspection_endpoint").map_err(problem)?,
        introspection_endpoint_auth_methods_supported: texts(&document, methods)
            .map_err(problem)?,
        address: url.clone(),
    })
}

/// A member of another type is not an absent one (D01: wrong types); `null` is what some write for that.
fn text(document: &Map<String, Value>, name: &str) -> Result<Option<String>, &'static str> {
    match document.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err("expected `issuer` and the addresses to be strings"),
    }
}

fn texts(document: &Map<String, Value>, name: &str) -> Result<Option<Vec<String>>, &'static str> {
    const EXPECTED: &str = "expected the methods of login to be an array of strings";
    match document.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| item.as_str().map(String::from).ok_or(EXPECTED))
            .collect::<Result<_, _>>()
            .map(Some),
        Some(_) => Err(EXPECTED),
    }
}

/// An issuer whose keys are where its metadata says.
#[derive(Debug)]
pub(crate) struct Discovery {
    issuer: IssuerUrl,
    known: Mutex<Option<Known>>,
}

#[derive(Debug)]
struct Known {
    metadata: Arc<IssuerMetadata>,
    jwks_uri: CheckedUrl,
    read_at: SystemTime,
    /// No keys have come from there since the last attempt.
    doubted: bool,
}

impl Discovery {
    pub(crate) fn new(issuer: IssuerUrl) -> Self {
        Self {
            issuer,
            known: Mutex::new(None),
        }
    }

    pub(crate) fn issuer(&self) -> &str {
        self.issuer.name()
    }

    pub(crate) fn metadata(&self) -> Option<Arc<IssuerMetadata>> {
        self.with(|known| known.map(|known| Arc::clone(&known.metadata)))
    }

    /// Where the keys are, for logs.
    pub(crate) fn jwks_uri(&self) -> Option<String> {
        self.with(|known| known.map(|known| known.jwks_uri.shown()))
    }

    /// Where the keys are, unless the document has to be read first. An attempt begins with this.
    pub(crate) fn known(&self, now: SystemTime) -> Option<CheckedUrl> {
        self.with(|known| {
            let known = known?;
            let is_recent = now
                .duration_since(known.read_at)
                .is_ok_and(|age| age < READ_ANEW);
            // Stays so if the attempt runs out of time.
            let doubted = std::mem::replace(&mut known.doubted, true);
            (is_recent && !doubted).then(|| known.jwks_uri.clone())
        })
    }

    /// The attempt brought keys.
    pub(crate) fn confirmed(&self) {
        self.with(|known| {
            if let Some(known) = known {
                known.doubted = false;
            }
        });
    }

    /// Reads the document.
    pub(crate) async fn look_up(
        &self,
        exchange: &Exchange,
        now: SystemTime,
        deadline: Instant,
    ) -> Result<CheckedUrl, ProviderError> {
        let metadata = read(exchange, &self.issuer, deadline).await?;
        let Some(jwks_uri) = metadata.jwks_uri.clone() else {
            return Err(ProviderError::Metadata {
                url: metadata.address.shown(),
                problem: "expected a member `jwks_uri`, found none; name the address of the JWK Set with `RemoteKeys::builder`",
            });
        };
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(Known {
            metadata: Arc::new(metadata),
            jwks_uri: jwks_uri.clone(),
            read_at: now,
            doubted: true,
        });
        Ok(jwks_uri)
    }

    /// Reads the document; if there is no answer, goes by the one before. That one gets half the time.
    pub(crate) async fn look_up_or_known(
        &self,
        exchange: &Exchange,
        now: SystemTime,
        deadline: Instant,
    ) -> Result<CheckedUrl, ProviderError> {
        let before = self.with(|known| known.map(|known| known.jwks_uri.clone()));
        let Some(before) = before else {
            return self.look_up(exchange, now, deadline).await;
        };
        let half = deadline.duration_since(Instant::now()) / 2;
        match self.look_up(exchange, now, deadline - half).await {
            Err(
                ProviderError::Fetch { .. }
                | ProviderError::Redirect { .. }
                | ProviderError::Status { .. },
            ) => Ok(before),
            found => found,
        }
    }

    fn with<T>(&self, f: impl FnOnce(Option<&mut Known>) -> T) -> T {
        f(self
            .known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_mut())
    }
}
