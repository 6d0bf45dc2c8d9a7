//! Security schemes: how a credential is presented, and where to get one.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::OpenApiError;

/// How the bearer tokens of a layer are described
/// ([Security Scheme Object](https://spec.openapis.org/oas/v3.1.0#security-scheme-object)).
///
/// Given to [`Security::with_bearer`](super::Security::with_bearer). All of them are the same on the wire,
/// `Authorization: Bearer <token>`; they differ in where a person gets the token.
///
/// # Example
///
/// ```
/// use tower_bearer::openapi::{BearerScheme, OAuthFlow};
///
/// // A field to paste a token into.
/// let pasted = BearerScheme::http_with_format("JWT");
/// // A form for user and password.
/// let form = BearerScheme::oauth2(OAuthFlow::password("/login"));
/// // Whatever the issuer says about itself.
/// let issuer = BearerScheme::openid_connect("https://login.example.com/.well-known/openid-configuration");
/// # let _ = (pasted, form, issuer);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct BearerScheme(Scheme);

impl BearerScheme {
    /// `http` with the scheme `bearer`: a field to paste a token into. The default of a layer.
    pub fn http() -> Self {
        Self(Scheme::of(Kind::Bearer { format: None }))
    }

    /// As [`http`](Self::http), with a hint for people on what a token looks like, such as `JWT`.
    pub fn http_with_format(format: impl Into<String>) -> Self {
        Self(Scheme::of(Kind::Bearer {
            format: Some(format.into()),
        }))
    }

    /// `oauth2` with one flow: the button asks the authorization server for a token. A second flow is a
    /// second scheme ([`Security::add_bearer`](super::Security::add_bearer)).
    pub fn oauth2(flow: OAuthFlow) -> Self {
        Self(Scheme::of(Kind::OAuth2(flow)))
    }

    /// `openIdConnect`, by the URL of the issuer's metadata
    /// ([OpenID Connect Discovery](https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfig)).
    pub fn openid_connect(url: impl Into<String>) -> Self {
        Self(Scheme::of(Kind::OpenIdConnect { url: url.into() }))
    }

    /// Replaces the description, which may be CommonMark.
    ///
    /// Default: none.
    pub fn with_description(mut self, text: impl Into<String>) -> Self {
        self.0.description = Some(text.into());
        self
    }

    pub(super) fn into_scheme(self) -> Result<Scheme, OpenApiError> {
        self.0.check()?;
        Ok(self.0)
    }
}

/// How a client comes by a token
/// ([OAuth Flow Object](https://spec.openapis.org/oas/v3.1.0#oauth-flow-object)).
///
/// URLs may be relative to the server of the document, such as `/login`. The implicit flow is not offered:
/// it puts tokens into URLs, and OAuth 2.1 omits it.
///
/// # Example
///
/// ```
/// use tower_bearer::openapi::OAuthFlow;
///
/// let flow = OAuthFlow::authorization_code(
///     "https://login.example.com/authorize",
///     "https://login.example.com/token",
/// )
/// .with_refresh_url("https://login.example.com/token")
/// .add_scope("orders:read", "See your orders");
/// # let _ = flow;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct OAuthFlow {
    name: &'static str,
    authorization_url: Option<String>,
    token_url: String,
    refresh_url: Option<String>,
    scopes: Vec<(String, String)>,
}

impl OAuthFlow {
    /// User and password are sent to `token_url` as a form
    /// ([RFC 6749 section 4.3](https://www.rfc-editor.org/rfc/rfc6749#section-4.3)). OAuth 2.1 omits it; it
    /// is for an application that has its own login.
    pub fn password(token_url: impl Into<String>) -> Self {
        Self::of("password", None, token_url.into())
    }

    /// The user logs in at `authorization_url`, and the code that comes back is exchanged at `token_url`
    /// ([RFC 6749 section 4.1](https://www.rfc-editor.org/rfc/rfc6749#section-4.1)).
    pub fn authorization_code(
        authorization_url: impl Into<String>,
        token_url: impl Into<String>,
    ) -> Self {
        Self::of(
            "authorizationCode",
            Some(authorization_url.into()),
            token_url.into(),
        )
    }

    /// The client logs in for itself at `token_url`
    /// ([RFC 6749 section 4.4](https://www.rfc-editor.org/rfc/rfc6749#section-4.4)).
    pub fn client_credentials(token_url: impl Into<String>) -> Self {
        Self::of("clientCredentials", None, token_url.into())
    }

    fn of(name: &'static str, authorization_url: Option<String>, token_url: String) -> Self {
        Self {
            name,
            authorization_url,
            token_url,
            refresh_url: None,
            scopes: Vec::new(),
        }
    }

    /// Replaces the URL where a refresh token is exchanged.
    ///
    /// Default: none.
    pub fn with_refresh_url(mut self, url: impl Into<String>) -> Self {
        self.refresh_url = Some(url.into());
        self
    }

    /// Adds a scope with a short description, or describes it anew.
    ///
    /// Default: the scopes that the operations of the document need are added by themselves, without a
    /// description, so that the button offers each of them.
    pub fn add_scope(mut self, scope: impl Into<String>, description: impl Into<String>) -> Self {
        let scope = scope.into();
        self.scopes.retain(|(known, _)| *known != scope);
        self.scopes.push((scope, description.into()));
        self
    }

    fn to_json(&self, needed: &BTreeSet<Arc<str>>) -> Value {
        let mut scopes: Map<String, Value> = needed
            .iter()
            .map(|scope| (scope.to_string(), Value::from("")))
            .collect();
        for (scope, description) in &self.scopes {
            scopes.insert(scope.clone(), Value::from(description.as_str()));
        }
        let mut flow = Map::new();
        if let Some(url) = &self.authorization_url {
            flow.insert("authorizationUrl".to_owned(), Value::from(url.as_str()));
        }
        flow.insert("tokenUrl".to_owned(), Value::from(self.token_url.as_str()));
        if let Some(url) = &self.refresh_url {
            flow.insert("refreshUrl".to_owned(), Value::from(url.as_str()));
        }
        flow.insert("scopes".to_owned(), Value::Object(scopes));
        let mut flows = Map::new();
        flows.insert(self.name.to_owned(), Value::Object(flow));
        Value::Object(flows)
    }
}

/// One security scheme of any kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scheme {
    kind: Kind,
    description: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    ApiKey { place: &'static str, name: String },
    Basic,
    Bearer { format: Option<String> },
    OAuth2(OAuthFlow),
    OpenIdConnect { url: String },
}

impl Scheme {
    pub(super) fn of(kind: Kind) -> Self {
        Self {
            kind,
            description: None,
        }
    }

    /// Whether a requirement of this scheme is a list of scopes in every version of OpenAPI. For others
    /// 3.0 wants an empty list, and 3.1 permits roles
    /// (<https://spec.openapis.org/oas/v3.1.0#security-requirement-object>).
    pub(super) fn has_scopes(&self) -> bool {
        match self.kind {
            Kind::OAuth2(_) | Kind::OpenIdConnect { .. } => true,
            Kind::ApiKey { .. } | Kind::Basic | Kind::Bearer { .. } => false,
        }
    }

    /// `needed` are the scopes that a flow has to offer besides those it was given.
    pub(super) fn to_json(&self, needed: &BTreeSet<Arc<str>>) -> Value {
        let mut json = match &self.kind {
            Kind::ApiKey { place, name } => json!({ "type": "apiKey", "in": place, "name": name }),
            Kind::Basic => json!({ "type": "http", "scheme": "basic" }),
            Kind::Bearer { format: None } => json!({ "type": "http", "scheme": "bearer" }),
            Kind::Bearer {
                format: Some(format),
            } => json!({ "type": "http", "scheme": "bearer", "bearerFormat": format }),
            Kind::OAuth2(flow) => json!({ "type": "oauth2", "flows": flow.to_json(needed) }),
            Kind::OpenIdConnect { url } => {
                json!({ "type": "openIdConnect", "openIdConnectUrl": url })
            }
        };
        if let (Some(text), Some(members)) = (&self.description, json.as_object_mut()) {
            members.insert("description".to_owned(), Value::from(text.as_str()));
        }
        json
    }

    fn check(&self) -> Result<(), OpenApiError> {
        match &self.kind {
            Kind::OAuth2(flow) => [&flow.authorization_url, &flow.refresh_url]
                .into_iter()
                .flatten()
                .chain([&flow.token_url])
                .try_for_each(|url| check_url(url)),
            Kind::OpenIdConnect { url } => check_url(url),
            Kind::ApiKey { .. } | Kind::Basic | Kind::Bearer { .. } => Ok(()),
        }
    }
}

fn check_url(url: &str) -> Result<(), OpenApiError> {
    if !url.is_empty() && url.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    Err(OpenApiError::Url {
        url: url.to_owned(),
    })
}

/// The key of a component (<https://spec.openapis.org/oas/v3.1.0#components-object>).
pub(super) fn check_name(name: String) -> Result<String, OpenApiError> {
    let is_key = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'));
    if is_key {
        Ok(name)
    } else {
        Err(OpenApiError::SchemeName { name })
    }
}
