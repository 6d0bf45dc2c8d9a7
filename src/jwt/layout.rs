//! Where a provider puts roles, scopes and tenants.

use serde_json::Value;

use super::claim_path::{ClaimPath, Scopes};
use super::claims::RawClaims;
use super::error::TokenError;
use super::json::Text;

/// Where [`AccessToken`](super::AccessToken) finds scopes, roles, groups, entitlements, the tenant and the
/// client.
///
/// The default is that of [RFC 9068](https://www.rfc-editor.org/rfc/rfc9068#section-2.2.3): `scope`,
/// or `scp` if there is no `scope`; `roles`; `groups`; `entitlements`; `client_id`, or `azp`; no tenant.
/// A claim that is missing or `null` grants nothing. Scopes, roles and a tenant in another shape than a text or a
/// list of texts make the token invalid. Groups, entitlements and a client in another shape count as missing.
///
/// Several locations of one thing add up. Nothing adds up that was not asked for.
///
/// A layout also distinguishes access tokens from ID tokens of the same provider, which are signed with the
/// same keys. The presets contain the claim for this, and
/// [`with_access_token_values`](Self::with_access_token_values) or
/// [`with_access_token_claims`](Self::with_access_token_claims) set the claim for other providers.
///
/// | preset | access tokens have | scopes | roles | groups | tenant | client |
/// |---|---|---|---|---|---|---|
/// | [`new`](Self::new) | – | `scope`, or `scp` | `roles` | `groups` | – | `client_id`, `azp` |
/// | [`auth0`](Self::auth0) | `scope`, `azp` or `client_id` | `scope` and `permissions` | – | `groups` | `org_id` | `azp`, `client_id` |
/// | [`authentik`](Self::authentik) | `azp` and `uid` | `scope`, or `scp` | `roles` | `groups` | – | `azp`, `client_id` |
/// | [`cognito`](Self::cognito) | `token_use` = `access` | `scope`, or `scp` | `cognito:groups` | `cognito:groups` | – | `client_id`, `azp` |
/// | [`entra_id`](Self::entra_id) | `azp` or `appid` | `scp` | `roles` | `groups` | `tid` | `azp`, `appid` |
/// | [`forgerock`](Self::forgerock) | `tokenName` = `access_token` | `scope`, or `scp` | `roles` | `groups` | – | `client_id`, `azp` |
/// | [`google`](Self::google) | – (ID tokens only) | – | – | `groups` | `hd` | `azp` |
/// | [`keycloak_client`](Self::keycloak_client) | `typ` = `Bearer` | `scope`, or `scp` | `resource_access.<client>.roles` | `groups` | – | `azp`, `client_id` |
/// | [`keycloak_realm`](Self::keycloak_realm) | `typ` = `Bearer` | `scope`, or `scp` | `realm_access.roles` | `groups` | – | `azp`, `client_id` |
/// | [`okta`](Self::okta) | `cid` | `scp` | `roles` | `groups` | – | `cid` |
/// | [`supabase`](Self::supabase) | `aal` = `aal1`, `aal2` or `aal3` | `scope`, or `scp` | `role` | `groups` | – | `client_id` |
/// | [`zitadel`](Self::zitadel) | `jti` | `scope`, or `scp` | names in `urn:zitadel:iam:org:project:roles` | `groups` | – | `azp`, `client_id` |
/// | [`zitadel_project`](Self::zitadel_project) | `jti` | `scope`, or `scp` | names in `urn:zitadel:iam:org:project:<project>:roles` | `groups` | – | `azp`, `client_id` |
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
    /// Access tokens meet all of these. Empty if nothing is known.
    markers: Box<[Marker]>,
    /// All JWTs of the provider are ID tokens.
    pub(crate) only_id_tokens: bool,
}

/// A property of the access tokens of a provider that its ID tokens do not have.
#[derive(Clone, Debug)]
enum Marker {
    /// A claim with one of these values.
    Values(ClaimPath, Box<[Value]>),
    /// One of these claims, with any value.
    OneOf(Box<[Box<str>]>),
}

impl Marker {
    fn values(claim: &str, values: &[&str]) -> Self {
        let values = values.iter().map(|value| Value::from(*value));
        Self::Values(ClaimPath::from(claim), values.collect())
    }

    fn one_of(claims: &[&str]) -> Self {
        Self::OneOf(claims.iter().map(|claim| Box::from(*claim)).collect())
    }

    fn is_met(&self, claims: &RawClaims<'_>) -> bool {
        match self {
            Self::Values(claim, values) => values.iter().any(|value| claim.equals(claims, value)),
            Self::OneOf(names) => names.iter().any(|name| claims.has(name)),
        }
    }

    /// Returns whether no token can ever meet this marker.
    fn is_unsatisfiable(&self) -> bool {
        match self {
            Self::Values(claim, values) => {
                let is_value = |value: &Value| match value {
                    Value::Bool(_) | Value::Number(_) => true,
                    Value::String(text) => !text.is_empty(),
                    Value::Null | Value::Array(_) | Value::Object(_) => false,
                };
                claim.is_without_value() || values.is_empty() || !values.iter().all(is_value)
            }
            Self::OneOf(names) => names.is_empty() || names.iter().any(|name| name.is_empty()),
        }
    }
}

/// The kind of a token according to its claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MarkerMatch {
    /// The layout does not distinguish kinds.
    Unknown,
    /// An access token of this provider has other claims.
    Missing,
    /// The claims of an access token are there.
    ByPresence,
    /// A claim has a value that only access tokens have.
    ByValue,
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
            markers: Box::default(),
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
            markers: Box::new([Marker::values("typ", &["Bearer"])]),
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
            markers: Box::new([Marker::one_of(&["scope", "azp", "client_id"])]),
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
            markers: Box::new([Marker::one_of(&["azp", "appid"])]),
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
            markers: Box::new([Marker::one_of(&["cid"])]),
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
            markers: Box::new([Marker::values("token_use", &["access"])]),
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

    /// Creates the layout of authentik: the client from `azp`; roles, groups and entitlements as in RFC 9068,
    /// which its scope mappings write. authentik derives the access token from the ID token, `nonce`
    /// included, and adds `azp` and `uid`
    /// ([source](https://github.com/goauthentik/authentik/blob/main/authentik/providers/oauth2/id_token.py)):
    /// tokens must have both. `aud` is the client in both kinds, so do not add these two claims to ID tokens
    /// by a scope mapping.
    ///
    /// The introspection endpoint of authentik writes neither claim. With introspection, use
    /// `.with_access_token_claims(["client_id"])`: the endpoint does not answer for ID tokens.
    #[must_use]
    pub fn authentik() -> Self {
        Self {
            markers: Box::new([Marker::one_of(&["azp"]), Marker::one_of(&["uid"])]),
            client: Box::new([ClaimPath::from("azp"), ClaimPath::from("client_id")]),
            ..Self::new()
        }
    }

    /// Creates the layout of ForgeRock Access Management, today PingAM and PingOne Advanced Identity Cloud,
    /// with client-side access tokens: scopes from the list `scope`. Tokens must have `"tokenName":
    /// "access_token"`, which is `id_token` in its ID tokens
    /// ([example](https://docs.pingidentity.com/pingam/8/oidc1-guide/rest-api-oidc-idtoken-validation.html));
    /// `nonce` may be in both. The issuer is written with its port (`https://am.example.com:443/am/oauth2`).
    #[must_use]
    pub fn forgerock() -> Self {
        Self {
            markers: Box::new([Marker::values("tokenName", &["access_token"])]),
            ..Self::new()
        }
    }

    /// Creates the layout of Supabase Auth: the Postgres role of the user as the only role (`role`:
    /// `authenticated`, for example), the client from `client_id`, which tokens of its OAuth server have.
    /// Tokens must have `aal` with the value `aal1`, `aal2` or `aal3`, which ID tokens of Supabase do not
    /// have ([documentation](https://supabase.com/docs/guides/auth/jwt-fields)). The keys `anon` and
    /// `service_role`, which are JWTs too, are rejected. The audience is usually `authenticated`.
    ///
    /// Do not take roles from `user_metadata`: users can edit it.
    #[must_use]
    pub fn supabase() -> Self {
        Self {
            markers: Box::new([Marker::values("aal", &["aal1", "aal2", "aal3"])]),
            client: Box::new([ClaimPath::from("client_id")]),
            ..Self::new().with_roles_at(["role"])
        }
    }

    /// Creates the layout of ZITADEL with JWTs as access tokens: the roles of the project of the client, from
    /// the member names of `urn:zitadel:iam:org:project:roles`. They are present if the project asserts them
    /// or the scope requests them
    /// ([documentation](https://zitadel.com/docs/guides/integrate/retrieve-user-roles)). Tokens must have
    /// `jti`, which ID tokens of ZITADEL do not have
    /// ([documentation](https://zitadel.com/docs/apis/openidoauth/claims)); both kinds can be for the same
    /// audience.
    ///
    /// The object lists for each role the organizations in which it is granted, and the layout takes a role
    /// that is granted in any of them. If users of several organizations have roles in one project, compare
    /// the organization in a policy or a [`check`](super::JwtValidatorBuilder::check), with
    /// [`AccessToken::claim`](super::AccessToken::claim).
    #[must_use]
    pub fn zitadel() -> Self {
        Self::of_zitadel("urn:zitadel:iam:org:project:roles")
    }

    /// Creates the layout of ZITADEL with the roles of one project, by its id
    /// (`urn:zitadel:iam:org:project:<project>:roles`), otherwise as [`zitadel`](Self::zitadel).
    #[must_use]
    pub fn zitadel_project(project: &str) -> Self {
        Self::of_zitadel(&format!("urn:zitadel:iam:org:project:{project}:roles"))
    }

    fn of_zitadel(roles: &str) -> Self {
        Self {
            markers: Box::new([Marker::one_of(&["jti"])]),
            client: Box::new([ClaimPath::from("azp"), ClaimPath::from("client_id")]),
            ..Self::new().with_roles_at([ClaimPath::from(roles).member_names()])
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

    /// Sets the claims that access tokens of the provider have and its ID tokens do not: a token must have
    /// one of them, with any value but `null`, the empty text and the empty list. A `nonce` does not make
    /// such a token an ID token, since some providers write it into both kinds. `at_hash`, `c_hash` or
    /// `s_hash` still do.
    ///
    /// If a claim is in both kinds with different values, use
    /// [`with_access_token_values`](Self::with_access_token_values). Replaces what a preset or an earlier
    /// call set. Default: a token that has a `nonce` and no `typ` of an access token is rejected as an ID
    /// token ([RFC 8725 section 3.11](https://www.rfc-editor.org/rfc/rfc8725#section-3.11)).
    #[must_use]
    pub fn with_access_token_claims<S: AsRef<str>>(
        mut self,
        claims: impl IntoIterator<Item = S>,
    ) -> Self {
        let claims = claims.into_iter().map(|claim| claim.as_ref().into());
        self.markers = Box::new([Marker::OneOf(claims.collect())]);
        self
    }

    /// Sets the claim whose value distinguishes access tokens of the provider from its ID tokens, and the
    /// values of the claim in access tokens. A token must have one of these values exactly. It is then
    /// accepted even if it has claims of an ID token, such as `nonce`.
    ///
    /// Replaces what a preset or an earlier call set. Default: as for
    /// [`with_access_token_claims`](Self::with_access_token_claims).
    ///
    /// # Example
    ///
    /// ```
    /// use tower_bearer::jwt::ClaimsLayout;
    ///
    /// let layout = ClaimsLayout::new().with_access_token_values("token_kind", ["access", "service"]);
    /// # let _ = layout;
    /// ```
    #[must_use]
    pub fn with_access_token_values<V: Into<Value>>(
        mut self,
        claim: impl Into<ClaimPath>,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        let values = values.into_iter().map(Into::into).collect();
        self.markers = Box::new([Marker::Values(claim.into(), values)]);
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
        let mut texts = self.tenant.iter().chain(&self.client);
        if !texts.all(ClaimPath::is_of_one_text) {
            return Some(
                "takes the tenant or the client from the names of members; give the location of one text",
            );
        }
        if self.markers.iter().any(Marker::is_unsatisfiable) {
            return Some(
                "knows access tokens by a claim or a value that no token can have; give names, and values that are texts, numbers or booleans",
            );
        }
        None
    }

    /// Returns whether these are the claims of an access token of the provider.
    pub(crate) fn marker_match(&self, claims: &RawClaims<'_>) -> MarkerMatch {
        if self.markers.is_empty() {
            return MarkerMatch::Unknown;
        }
        if !self.markers.iter().all(|marker| marker.is_met(claims)) {
            return MarkerMatch::Missing;
        }
        let by_value = |marker: &Marker| matches!(marker, Marker::Values(..));
        match self.markers.iter().any(by_value) {
            true => MarkerMatch::ByValue,
            false => MarkerMatch::ByPresence,
        }
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
