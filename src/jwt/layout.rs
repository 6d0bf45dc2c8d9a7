//! Where a provider puts roles, scopes and tenants.

use super::claim_path::{ClaimPath, Scopes};
use super::claims::RawClaims;
use super::error::TokenError;
use super::json::Text;

/// Where [`AccessToken`](super::AccessToken) finds scopes, roles, groups, entitlements, the tenant and the
/// client.
///
/// The default is that of [RFC 9068](https://www.rfc-editor.org/rfc/rfc9068#section-2.2.3): `scope`,
/// or `scp` if there is no `scope`; `roles`; `groups`; `entitlements`; `client_id`, or `azp`; no tenant.
/// What a location holds in another shape than a text or a list of texts makes the token invalid; what
/// is not there grants nothing.
///
/// Several locations of one thing add up. Nothing adds up that was not asked for.
///
/// | preset | scopes | roles | groups | tenant | client |
/// |---|---|---|---|---|---|
/// | [`new`](Self::new) | `scope`, or `scp` | `roles` | `groups` | – | `client_id`, `azp` |
/// | [`keycloak_realm`](Self::keycloak_realm) | `scope`, or `scp` | `realm_access.roles` | `groups` | – | `azp`, `client_id` |
/// | [`keycloak_client`](Self::keycloak_client) | `scope`, or `scp` | `resource_access.<client>.roles` | `groups` | – | `azp`, `client_id` |
/// | [`auth0`](Self::auth0) | `scope` and `permissions` | – | `groups` | `org_id` | `azp`, `client_id` |
/// | [`entra_id`](Self::entra_id) | `scp` | `roles` | `groups` | `tid` | `azp`, `appid` |
/// | [`okta`](Self::okta) | `scp` | `roles` | `groups` | – | `cid` |
/// | [`cognito`](Self::cognito) | `scope`, or `scp` | `cognito:groups` | `cognito:groups` | – | `client_id`, `azp` |
/// | [`google`](Self::google) | – | – | `groups` | `hd` | `azp` |
///
/// # Example
///
/// ```
/// use tower_bearer::jwt::{ClaimPath, ClaimsLayout};
///
/// let layout = ClaimsLayout::new()
///     .with_roles_at([ClaimPath::from(["realm_access", "roles"])])
///     .with_tenant_at("org");
/// # let _ = layout;
/// ```
#[derive(Clone, Debug)]
pub struct ClaimsLayout {
    scopes: Option<Box<[ClaimPath]>>,
    roles: Box<[ClaimPath]>,
    groups: Box<[ClaimPath]>,
    entitlements: Box<[ClaimPath]>,
    tenant: Option<ClaimPath>,
    client: Box<[ClaimPath]>,
    pub(crate) audience_is_client: bool,
    pub(crate) mark: Option<Mark>,
    /// All JWTs of the provider are ID tokens.
    pub(crate) only_id_tokens: bool,
}

/// What only access tokens of a provider have.
#[derive(Clone, Debug)]
pub(crate) enum Mark {
    /// A claim with this value.
    Value(&'static str, &'static str),
    /// One of these claims, with any value.
    OneOf(Box<[Box<str>]>),
}

impl Mark {
    fn one_of(claims: &[&str]) -> Option<Self> {
        Some(Self::OneOf(
            claims.iter().map(|claim| Box::from(*claim)).collect(),
        ))
    }

    pub(crate) fn is_on(&self, claims: &RawClaims<'_>) -> bool {
        match self {
            Self::Value(name, value) => claims.rest.get(*name).is_some_and(|found| found == value),
            Self::OneOf(names) => names.iter().any(|name| claims.has(name)),
        }
    }
}

impl Default for ClaimsLayout {
    fn default() -> Self {
        Self::new()
    }
}

impl ClaimsLayout {
    /// The layout of RFC 9068.
    #[must_use]
    pub fn new() -> Self {
        Self {
            scopes: None,
            roles: Box::new([ClaimPath::from("roles")]),
            groups: Box::new([ClaimPath::from("groups")]),
            entitlements: Box::new([ClaimPath::from("entitlements")]),
            tenant: None,
            client: Box::new([ClaimPath::from("client_id"), ClaimPath::from("azp")]),
            audience_is_client: false,
            mark: None,
            only_id_tokens: false,
        }
    }

    /// Keycloak with the roles of its realm (`realm_access.roles`), from its
    /// [documentation](https://www.keycloak.org/docs/latest/server_admin/#_role_scope_mappings). Tokens
    /// have to say `"typ": "Bearer"` in their claims, as Keycloak's access tokens do. Keycloak puts an
    /// audience into them only with an audience mapper.
    #[must_use]
    pub fn keycloak_realm() -> Self {
        Self::of_keycloak(ClaimPath::from(["realm_access", "roles"]))
    }

    /// Keycloak with the roles of one client (`resource_access.<client>.roles`), otherwise as
    /// [`keycloak_realm`](Self::keycloak_realm).
    #[must_use]
    pub fn keycloak_client(client: &str) -> Self {
        Self::of_keycloak(ClaimPath::from(["resource_access", client, "roles"]))
    }

    fn of_keycloak(roles: ClaimPath) -> Self {
        Self {
            client: Box::new([ClaimPath::from("azp"), ClaimPath::from("client_id")]),
            mark: Some(Mark::Value("typ", "Bearer")),
            ..Self::new().with_roles_at([roles])
        }
    }

    /// Auth0: tokens have to have `scope`, `azp` or `client_id`, which its ID tokens do not. Scopes from `scope`, and from `permissions` where RBAC adds them
    /// ([documentation](https://auth0.com/docs/get-started/apis/enable-role-based-access-control-for-apis)),
    /// the organization as the tenant (`org_id`). Roles are custom claims there, below a namespace of
    /// one's own: `.with_roles_at(["https://example.com/roles"])`.
    #[must_use]
    pub fn auth0() -> Self {
        Self {
            mark: Mark::one_of(&["scope", "azp", "client_id"]),
            client: Box::new([ClaimPath::from("azp"), ClaimPath::from("client_id")]),
            ..Self::new()
                .with_scopes_at(["scope", "permissions"])
                .with_roles_at([] as [&str; 0])
                .with_tenant_at("org_id")
        }
    }

    /// Microsoft Entra ID: delegated permissions from `scp`, application roles from `roles`, the
    /// directory as the tenant (`tid`), the client from `azp` or `appid`, one of which a token has to have: its ID
    /// tokens do not, and may be for the same audience. A user in very many groups has a token of more than 8
    /// KiB; raise [`max_length`](super::JwtValidatorBuilder::max_length) and the limit of the layer then
    /// ([documentation](https://learn.microsoft.com/en-us/entra/identity-platform/access-token-claims-reference)).
    #[must_use]
    pub fn entra_id() -> Self {
        Self {
            mark: Mark::one_of(&["azp", "appid"]),
            client: Box::new([ClaimPath::from("azp"), ClaimPath::from("appid")]),
            ..Self::new().with_scopes_at(["scp"]).with_tenant_at("tid")
        }
    }

    /// Okta: scopes from the list `scp`, the client from `cid`, which its ID tokens do not have
    /// ([documentation](https://developer.okta.com/docs/api/openapi/okta-oauth/guides/overview/)). Groups
    /// are there if the authorization server was told to add them.
    #[must_use]
    pub fn okta() -> Self {
        Self {
            mark: Mark::one_of(&["cid"]),
            client: Box::new([ClaimPath::from("cid")]),
            ..Self::new().with_scopes_at(["scp"])
        }
    }

    /// Amazon Cognito: groups and roles from `cognito:groups`, and the client as the audience where a
    /// token has no `aud`; tokens have to say `"token_use": "access"`
    /// ([documentation](https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-access-token.html)).
    /// The audience to configure is then the identifier of the app client.
    #[must_use]
    pub fn cognito() -> Self {
        Self {
            audience_is_client: true,
            mark: Some(Mark::Value("token_use", "access")),
            ..Self::new()
                .with_roles_at(["cognito:groups"])
                .with_groups_at(["cognito:groups"])
        }
    }

    /// Google: the Workspace domain as the tenant (`hd`), no scopes and no roles. Google's access tokens
    /// are opaque; what its services present as a JWT are ID tokens
    /// ([documentation](https://cloud.google.com/docs/authentication/token-types#id)), so this needs
    /// [`insecure_accept_id_tokens`](super::JwtValidatorBuilder::insecure_accept_id_tokens) and an
    /// audience of one's own.
    #[must_use]
    pub fn google() -> Self {
        Self {
            only_id_tokens: true,
            client: Box::new([ClaimPath::from("azp")]),
            ..Self::new()
                .with_scopes_at([] as [&str; 0])
                .with_roles_at([] as [&str; 0])
                .with_tenant_at("hd")
        }
    }

    /// Takes the scopes from these locations, all together.
    #[must_use]
    pub fn with_scopes_at<P: Into<ClaimPath>>(
        mut self,
        paths: impl IntoIterator<Item = P>,
    ) -> Self {
        self.scopes = Some(collect(paths));
        self
    }

    /// Takes the roles from these locations, all together.
    #[must_use]
    pub fn with_roles_at<P: Into<ClaimPath>>(mut self, paths: impl IntoIterator<Item = P>) -> Self {
        self.roles = collect(paths);
        self
    }

    /// Takes the groups from these locations, all together.
    #[must_use]
    pub fn with_groups_at<P: Into<ClaimPath>>(
        mut self,
        paths: impl IntoIterator<Item = P>,
    ) -> Self {
        self.groups = collect(paths);
        self
    }

    /// Takes the entitlements from these locations, all together.
    #[must_use]
    pub fn with_entitlements_at<P: Into<ClaimPath>>(
        mut self,
        paths: impl IntoIterator<Item = P>,
    ) -> Self {
        self.entitlements = collect(paths);
        self
    }

    /// Says which claims only access tokens of the provider have: a token has to have one of them, and is
    /// then not taken for an ID token because of a `nonce`, which some providers put into both.
    #[must_use]
    pub fn with_access_token_claims<S: AsRef<str>>(
        mut self,
        claims: impl IntoIterator<Item = S>,
    ) -> Self {
        self.mark = Some(Mark::OneOf(
            claims
                .into_iter()
                .map(|claim| claim.as_ref().into())
                .collect(),
        ));
        self
    }

    /// What stands in a place where it can never be found, if something does.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        let lists = [&self.roles, &self.groups, &self.entitlements];
        let in_vain =
            |paths: &[ClaimPath], also: &[&str]| paths.iter().any(|path| path.is_in_vain(also));
        let scopes = self.scopes.as_deref().unwrap_or_default();
        if lists
            .into_iter()
            .any(|paths| in_vain(paths, &["scope", "scp", "client_id", "amr"]))
            || in_vain(scopes, &["client_id", "amr"])
        {
            return Some(
                "takes roles, groups, entitlements or scopes from a claim that never holds them, or from a path without names",
            );
        }
        None
    }

    /// Takes the tenant from this location.
    #[must_use]
    pub fn with_tenant_at(mut self, path: impl Into<ClaimPath>) -> Self {
        self.tenant = Some(path.into());
        self
    }

    /// Takes the client from the first of these locations that is there.
    #[must_use]
    pub fn with_client_at<P: Into<ClaimPath>>(
        mut self,
        paths: impl IntoIterator<Item = P>,
    ) -> Self {
        self.client = collect(paths);
        self
    }

    pub(crate) fn scopes<'c>(&self, claims: &'c RawClaims<'_>) -> Result<Scopes<'c>, TokenError> {
        let Some(paths) = &self.scopes else {
            // D11: the one or the other, never both.
            let scopes = claims.scope.as_ref().or(claims.scp.as_ref());
            return Ok(scopes.map_or(Scopes::none(), Scopes::from));
        };
        let mut all = None;
        for path in paths {
            all = match (all, path.scopes(claims)?) {
                (Some(all), Some(more)) => Some(Scopes::and(all, more)),
                (all, more) => all.or(more),
            };
        }
        Ok(all.unwrap_or(Scopes::none()))
    }

    pub(crate) fn roles<'c>(&self, claims: &'c RawClaims<'_>) -> Result<Vec<Text<'c>>, TokenError> {
        lists(&self.roles, claims)
    }

    pub(crate) fn groups<'c>(
        &self,
        claims: &'c RawClaims<'_>,
    ) -> Result<Vec<Text<'c>>, TokenError> {
        lists(&self.groups, claims)
    }

    pub(crate) fn entitlements<'c>(
        &self,
        claims: &'c RawClaims<'_>,
    ) -> Result<Vec<Text<'c>>, TokenError> {
        lists(&self.entitlements, claims)
    }

    pub(crate) fn tenant<'c>(
        &self,
        claims: &'c RawClaims<'_>,
    ) -> Result<Option<&'c str>, TokenError> {
        match &self.tenant {
            Some(path) => path.text(claims),
            None => Ok(None),
        }
    }

    pub(crate) fn client<'c>(
        &self,
        claims: &'c RawClaims<'_>,
    ) -> Result<Option<&'c str>, TokenError> {
        for path in &self.client {
            if let Some(client) = path.text(claims)? {
                return Ok(Some(client));
            }
        }
        Ok(None)
    }
}

fn collect<P: Into<ClaimPath>>(paths: impl IntoIterator<Item = P>) -> Box<[ClaimPath]> {
    paths.into_iter().map(Into::into).collect()
}

fn lists<'c>(paths: &[ClaimPath], claims: &'c RawClaims<'_>) -> Result<Vec<Text<'c>>, TokenError> {
    let mut all = Vec::new();
    if claims.rest.is_empty() {
        return Ok(all);
    }
    for path in paths {
        all.append(&mut path.list(claims)?);
    }
    Ok(all)
}
