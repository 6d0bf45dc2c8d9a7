//! The security of a layer, as OpenAPI describes it.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use http::{Method, Request, Uri};
use serde_json::{Map, Value};

use super::access::{OperationAccess, Rules};
use super::document::{self, Version};
use super::scheme::{Kind, Scheme, check_name};
use super::template::expand;
use super::{BearerScheme, OpenApiError};
use crate::clock::SystemClock;
use crate::extract;
use crate::layer::{BearerAuthLayer, Shared};
use crate::policy::{Policy, Requirement};
use crate::request::RequestView;
use crate::validator::Validator;

/// The security of a layer as OpenAPI describes it. See the [module](super) for an example.
///
/// It is a view of the layer that it was made of, cheap to clone, and used when a document is made, not with
/// each request.
#[derive(Clone)]
#[must_use]
pub struct Security {
    rules: Arc<dyn Rules>,
    schemes: Vec<Named>,
    takes_bearer: bool,
    base_path: String,
    pub(super) documents_refusals: bool,
}

#[derive(Clone, Debug)]
struct Named {
    name: String,
    scheme: Scheme,
    /// Whether it describes bearer tokens, for which there may be several descriptions.
    is_bearer: bool,
}

impl Security {
    /// Describes `layer`: its policies, and one scheme for each of its [sources](crate::Source).
    ///
    /// The names of the schemes are `bearerAuth`, `basicAuth`, `apiKeyAuth` and `cookieAuth`; the second
    /// source of a kind is `apiKeyAuth2`, and so on. OpenAPI has no scheme for a WebSocket subprotocol, so
    /// that source is left out.
    ///
    /// # Example
    ///
    /// ```
    /// use http::HeaderName;
    /// use tower_bearer::openapi::Security;
    /// use tower_bearer::{BearerAuthLayer, Failure, Source, validator_fn};
    ///
    /// let layer = BearerAuthLayer::new(validator_fn(|_| Ok::<_, Failure>(()))).with_sources([
    ///     Source::bearer(),
    ///     Source::api_key(HeaderName::from_static("x-api-key")),
    /// ])?;
    /// assert_eq!(
    ///     Security::of(&layer).schemes(),
    ///     serde_json::json!({
    ///         "bearerAuth": { "type": "http", "scheme": "bearer" },
    ///         "apiKeyAuth": { "type": "apiKey", "in": "header", "name": "x-api-key" },
    ///     }),
    /// );
    /// # Ok::<(), tower_bearer::ConfigError>(())
    /// ```
    pub fn of<V, P>(layer: &BearerAuthLayer<V, P>) -> Self
    where
        V: Validator + 'static,
        P: Policy<V::Principal> + 'static,
    {
        let shared = layer.shared();
        let mut security = Self {
            rules: Arc::<Shared<V, P>>::clone(shared),
            schemes: Vec::new(),
            takes_bearer: false,
            base_path: String::new(),
            documents_refusals: false,
        };
        for source in shared.settings.sources.kinds() {
            let (name, kind) = match source {
                extract::Kind::ApiKey(header) => (
                    "apiKeyAuth",
                    Kind::ApiKey {
                        place: "header",
                        name: header.to_string(),
                    },
                ),
                extract::Kind::Basic => ("basicAuth", Kind::Basic),
                extract::Kind::Bearer => {
                    security.takes_bearer = true;
                    ("bearerAuth", Kind::Bearer { format: None })
                }
                extract::Kind::Cookie { name } => (
                    "cookieAuth",
                    Kind::ApiKey {
                        place: "cookie",
                        name: name.clone(),
                    },
                ),
                extract::Kind::WebSocketProtocol { .. } => continue,
            };
            let is_bearer = matches!(kind, Kind::Bearer { .. });
            let named = Named {
                name: security.free_name(name),
                scheme: Scheme::of(kind),
                is_bearer,
            };
            security.schemes.push(named);
        }
        security
    }

    /// Replaces the description of bearer tokens, and its name.
    ///
    /// Default: `bearerAuth`, which is [`BearerScheme::http`].
    ///
    /// # Errors
    ///
    /// [`OpenApiError::BearerNotOffered`], [`OpenApiError::DuplicateScheme`],
    /// [`OpenApiError::SchemeName`] or [`OpenApiError::Url`].
    ///
    /// # Example
    ///
    /// ```
    /// use tower_bearer::openapi::{BearerScheme, OAuthFlow, OpenApiError, Security};
    /// # use tower_bearer::{BearerAuthLayer, Failure, validator_fn};
    ///
    /// # let layer = BearerAuthLayer::new(validator_fn(|_| Ok::<_, Failure>(())));
    /// let scheme = BearerScheme::oauth2(OAuthFlow::password("/login").with_refresh_url("/refresh"));
    /// let security = Security::of(&layer).with_bearer("oauth2", scheme.clone())?;
    /// assert_eq!(security.schemes()["oauth2"]["flows"]["password"]["tokenUrl"], "/login");
    ///
    /// let error = Security::of(&layer).with_bearer("my login", scheme).unwrap_err();
    /// assert_eq!(error, OpenApiError::SchemeName { name: "my login".into() });
    /// # Ok::<(), OpenApiError>(())
    /// ```
    pub fn with_bearer(
        mut self,
        name: impl Into<String>,
        scheme: BearerScheme,
    ) -> Result<Self, OpenApiError> {
        // In the place of the first, so that the order of the sources stays that of the alternatives.
        let at = self.schemes.iter().position(|known| known.is_bearer);
        self.schemes.retain(|known| !known.is_bearer);
        self.insert_bearer(at.unwrap_or(0), name.into(), scheme)
    }

    /// Adds another description of the same bearer tokens, as an alternative: a login form beside a field to
    /// paste a token into, say.
    ///
    /// # Errors
    ///
    /// As [`with_bearer`](Self::with_bearer).
    ///
    /// # Example
    ///
    /// ```
    /// use http::Method;
    /// use tower_bearer::openapi::{BearerScheme, OAuthFlow, Security};
    /// # use tower_bearer::{BearerAuthLayer, Failure, validator_fn};
    ///
    /// # let layer = BearerAuthLayer::new(validator_fn(|_| Ok::<_, Failure>(())));
    /// let security = Security::of(&layer)
    ///     .add_bearer("login", BearerScheme::oauth2(OAuthFlow::password("/login")))?;
    /// assert_eq!(
    ///     security.requirements(&Method::GET, "/orders")?,
    ///     serde_json::json!([{ "bearerAuth": [] }, { "login": [] }]),
    /// );
    /// # Ok::<(), tower_bearer::openapi::OpenApiError>(())
    /// ```
    pub fn add_bearer(
        self,
        name: impl Into<String>,
        scheme: BearerScheme,
    ) -> Result<Self, OpenApiError> {
        let last = self.schemes.iter().rposition(|known| known.is_bearer);
        self.insert_bearer(last.map_or(0, |last| last + 1), name.into(), scheme)
    }

    /// Gives a scheme another name, one that the rest of the document already uses, say.
    ///
    /// # Errors
    ///
    /// [`OpenApiError::DuplicateScheme`], [`OpenApiError::SchemeName`] or
    /// [`OpenApiError::UnknownScheme`].
    ///
    /// # Example
    ///
    /// ```
    /// use tower_bearer::openapi::{OpenApiError, Security};
    /// # use tower_bearer::{BearerAuthLayer, Failure, validator_fn};
    ///
    /// # let layer = BearerAuthLayer::new(validator_fn(|_| Ok::<_, Failure>(())));
    /// let security = Security::of(&layer).rename("bearerAuth", "token")?;
    /// assert_eq!(security.schemes()["token"]["scheme"], "bearer");
    ///
    /// let error = security.rename("bearerAuth", "jwt").unwrap_err();
    /// assert_eq!(error.to_string(), r#"there is no security scheme "bearerAuth"; known are ["token"]"#);
    /// # Ok::<(), OpenApiError>(())
    /// ```
    pub fn rename(mut self, from: &str, to: impl Into<String>) -> Result<Self, OpenApiError> {
        let to = check_name(to.into())?;
        let Some(at) = self.schemes.iter().position(|known| known.name == from) else {
            return Err(OpenApiError::UnknownScheme {
                name: from.to_owned(),
                known: self.schemes.into_iter().map(|known| known.name).collect(),
            });
        };
        if from != to {
            self.check_free(&to)?;
        }
        self.schemes[at].name = to;
        Ok(self)
    }

    /// Sets the prefix of the paths of the document in the rules of the layer: `/api` for a document with
    /// `/orders` whose rules are written for `/api/orders`.
    ///
    /// A layer that is [`nested_at`](BearerAuthLayer::nested_at) a prefix has rules with full paths. For it,
    /// a document with full paths needs no base path, and a document with paths below the prefix needs the
    /// prefix as its base path.
    ///
    /// Default: nothing. The `servers` of a document are not read: what they say is where a client sends a
    /// request, and a proxy may have stripped a part of that.
    ///
    /// # Errors
    ///
    /// [`OpenApiError::BasePath`].
    ///
    /// # Example
    ///
    /// ```
    /// use http::Method;
    /// use tower_bearer::openapi::Security;
    /// use tower_bearer::policy::{Policies, Requirement, public};
    /// # use tower_bearer::{BearerAuthLayer, Failure, validator_fn};
    ///
    /// let policies = Policies::builder().at("/api/health", public()).build()?;
    /// # let layer = BearerAuthLayer::new(validator_fn(|_| Ok::<_, Failure>(())));
    /// let security = Security::of(&layer.with_policy(policies)).with_base_path("/api")?;
    /// assert_eq!(security.access(&Method::GET, "/health")?.requirement(), Requirement::Public);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_base_path(mut self, base_path: impl Into<String>) -> Result<Self, OpenApiError> {
        let base_path = base_path.into();
        if base_path.ends_with('/') || expand(&base_path).is_none() {
            return Err(OpenApiError::BasePath { base_path });
        }
        self.base_path = base_path;
        Ok(self)
    }

    /// Writes the responses 401 and 403 of the layer into operations that describe neither them nor all of
    /// `4XX`: a problem document, and for 401 its `WWW-Authenticate`.
    ///
    /// Default: responses are left alone. Generators make types of them, and with a
    /// [`Responder`](crate::Responder) of your own they look different.
    ///
    /// # Example
    ///
    /// ```
    /// use tower_bearer::openapi::Security;
    /// # use tower_bearer::{BearerAuthLayer, Failure, validator_fn};
    ///
    /// # let layer = BearerAuthLayer::new(validator_fn(|_| Ok::<_, Failure>(())));
    /// let mut document = serde_json::json!({
    ///     "openapi": "3.0.3",
    ///     "paths": { "/orders": { "get": {} } },
    /// });
    /// Security::of(&layer).document_refusals().apply(&mut document)?;
    /// let refused = &document["paths"]["/orders"]["get"]["responses"]["401"];
    /// assert!(refused["headers"]["WWW-Authenticate"].is_object());
    /// # Ok::<(), tower_bearer::openapi::OpenApiError>(())
    /// ```
    pub fn document_refusals(mut self) -> Self {
        self.documents_refusals = true;
        self
    }

    /// Writes everything into a document of OpenAPI 3.0, 3.1 or a later 3: `security` of each operation and
    /// `components.securitySchemes`. The rest of the document is kept; an error leaves it as it was.
    ///
    /// A public operation gets `[]`, an optional one `[{}, ..]`, another one its alternatives: one for each
    /// scheme, with the scopes. Where a scheme has no scopes of its own, OpenAPI 3.0 wants an empty list; a
    /// later one permits them, so they are there.
    ///
    /// # Errors
    ///
    /// Any [`OpenApiError`] that names a part of the document: a part with another type than OpenAPI gives
    /// it, another version, a path that is none or that the layer always refuses, or a scheme of the same
    /// name that is described differently.
    ///
    /// # Example
    ///
    /// ```
    /// use tower_bearer::openapi::{OpenApiError, Security};
    /// use tower_bearer::policy::optional;
    /// # use tower_bearer::{BearerAuthLayer, Failure, validator_fn};
    ///
    /// # let layer = BearerAuthLayer::new(validator_fn(|_| Ok::<_, Failure>(())));
    /// let security = Security::of(&layer.with_policy(optional()));
    /// let mut document = serde_json::json!({ "openapi": "3.1.0", "paths": { "/news": { "get": {} } } });
    /// security.apply(&mut document)?;
    /// assert_eq!(
    ///     document["paths"]["/news"]["get"]["security"],
    ///     serde_json::json!([{}, { "bearerAuth": [] }]),
    /// );
    ///
    /// let mut document = serde_json::json!({ "openapi": "3.1.0", "paths": [] });
    /// let error = security.apply(&mut document).unwrap_err();
    /// assert_eq!(error.to_string(), r#"document, at "/paths": expected an object"#);
    /// # Ok::<(), OpenApiError>(())
    /// ```
    pub fn apply(&self, document: &mut Value) -> Result<(), OpenApiError> {
        document::apply(self, document)
    }

    /// The object `components.securitySchemes`, for those who put a document together by hand.
    ///
    /// A flow has the scopes that it was given; which others the operations need, only
    /// [`apply`](Self::apply) knows.
    #[must_use]
    pub fn schemes(&self) -> Value {
        Value::Object(self.schemes_with(&BTreeSet::new()).collect())
    }

    /// The array `security` of one operation, in the form of OpenAPI 3.1.
    ///
    /// # Errors
    ///
    /// As [`access`](Self::access), and [`OpenApiError::NoScheme`].
    ///
    /// # Example
    ///
    /// ```
    /// use http::Method;
    /// use tower_bearer::openapi::Security;
    /// # use tower_bearer::{BearerAuthLayer, Failure, validator_fn};
    ///
    /// # let layer = BearerAuthLayer::new(validator_fn(|_| Ok::<_, Failure>(())));
    /// let security = Security::of(&layer);
    /// assert_eq!(
    ///     security.requirements(&Method::GET, "/orders/{id}")?,
    ///     serde_json::json!([{ "bearerAuth": [] }]),
    /// );
    /// # Ok::<(), tower_bearer::openapi::OpenApiError>(())
    /// ```
    pub fn requirements(&self, method: &Method, path: &str) -> Result<Value, OpenApiError> {
        let access = self.access(method, path)?;
        self.requirements_of(&access, method, path, Version::LATER)
    }

    /// Returns the access that one operation needs, with a path template such as `/orders/{id}`.
    ///
    /// # Errors
    ///
    /// [`OpenApiError::AmbiguousPath`], [`OpenApiError::OutsidePrefix`] or [`OpenApiError::Path`].
    ///
    /// # Example
    ///
    /// ```
    /// use http::Method;
    /// use tower_bearer::openapi::Security;
    /// use tower_bearer::policy::{Claims, Policies, Requirement, public, scope};
    /// # use tower_bearer::{BearerAuthLayer, Failure, validator_fn};
    ///
    /// # struct User;
    /// # impl Claims for User {}
    /// let policies = Policies::builder()
    ///     .at("/users/me", public())
    ///     .under("/users", scope("users:read"))
    ///     .build()?;
    /// # let layer = BearerAuthLayer::new(validator_fn(|_| Ok::<_, Failure>(User)));
    /// let security = Security::of(&layer.with_policy(policies));
    ///
    /// let user = security.access(&Method::GET, "/users/{id}")?;
    /// assert_eq!(user.requirement(), Requirement::Credential);
    /// assert_eq!(*user.scopes()[0], *"users:read");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn access(&self, method: &Method, path: &str) -> Result<OperationAccess, OpenApiError> {
        let not_a_path = || OpenApiError::Path {
            path: path.to_owned(),
        };
        // Each alone, so that the two do not make a `{name}` or a path only together.
        let (Some(base), Some(below)) = (self.base(), expand(path)) else {
            return Err(not_a_path());
        };
        let full = format!("{base}{below}");
        let nest = self.rules.nest();
        let received = nest
            .strip(&full)
            .ok_or_else(|| OpenApiError::OutsidePrefix {
                path: path.to_owned(),
                prefix: nest.text().unwrap_or_default().to_owned(),
            })?;
        let uri: Uri = received.parse().map_err(|_| not_a_path())?;
        let mut request = Request::new(());
        *request.method_mut() = method.clone();
        *request.uri_mut() = uri;
        self.rules
            .ask(&RequestView::in_layer(&request, &SystemClock, nest))
            .map_err(|ambiguity| OpenApiError::AmbiguousPath {
                path: path.to_owned(),
                ambiguity,
            })
    }

    fn base(&self) -> Option<String> {
        if self.base_path.is_empty() {
            return Some(String::new());
        }
        expand(&self.base_path)
    }

    pub(super) fn schemes_with(
        &self,
        needed: &BTreeSet<Arc<str>>,
    ) -> impl Iterator<Item = (String, Value)> {
        self.schemes
            .iter()
            .map(|known| (known.name.clone(), known.scheme.to_json(needed)))
    }

    pub(super) fn requirements_of(
        &self,
        access: &OperationAccess,
        method: &Method,
        path: &str,
        version: Version,
    ) -> Result<Value, OpenApiError> {
        let none_needed = match access.requirement() {
            Requirement::Public => return Ok(Value::Array(Vec::new())),
            Requirement::Optional => Some(Value::Object(Map::new())),
            Requirement::Credential => None,
        };
        if none_needed.is_none() && self.schemes.is_empty() {
            return Err(OpenApiError::NoScheme {
                method: method.clone(),
                path: path.to_owned(),
            });
        }
        let alternatives = self.schemes.iter().map(|known| {
            let scopes: Vec<Value> = if known.scheme.has_scopes() || version.permits_roles() {
                access
                    .scopes()
                    .iter()
                    .map(|scope| (**scope).into())
                    .collect()
            } else {
                Vec::new()
            };
            Value::Object(Map::from_iter([(known.name.clone(), scopes.into())]))
        });
        Ok(Value::Array(
            none_needed.into_iter().chain(alternatives).collect(),
        ))
    }

    fn insert_bearer(
        mut self,
        at: usize,
        name: String,
        scheme: BearerScheme,
    ) -> Result<Self, OpenApiError> {
        let name = check_name(name)?;
        if !self.takes_bearer {
            return Err(OpenApiError::BearerNotOffered { name });
        }
        self.check_free(&name)?;
        let named = Named {
            name,
            scheme: scheme.into_scheme()?,
            is_bearer: true,
        };
        self.schemes.insert(at, named);
        Ok(self)
    }

    fn check_free(&self, name: &str) -> Result<(), OpenApiError> {
        if self.schemes.iter().any(|known| known.name == name) {
            return Err(OpenApiError::DuplicateScheme {
                name: name.to_owned(),
            });
        }
        Ok(())
    }

    fn free_name(&self, name: &str) -> String {
        let taken = self
            .schemes
            .iter()
            .filter(|known| known.name.starts_with(name))
            .count();
        match taken {
            0 => name.to_owned(),
            taken => format!("{name}{}", taken + 1),
        }
    }
}

impl fmt::Debug for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Security")
            .field("schemes", &self.schemes)
            .field("base_path", &self.base_path)
            .field("documents_refusals", &self.documents_refusals)
            .finish_non_exhaustive()
    }
}
