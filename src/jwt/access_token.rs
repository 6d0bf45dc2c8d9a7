//! The claims of an access token, verified.

use std::fmt;
use std::time::SystemTime;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::claims::{RawClaims, Scopes};
use super::error::TokenError;
use super::layout::ClaimsLayout;
use crate::policy::Claims;

/// A verified access token: what its claims say
/// ([RFC 9068 section 2.2](https://www.rfc-editor.org/rfc/rfc9068#section-2.2)).
///
/// Only a [`JwtValidator`](super::JwtValidator) makes one, after the signature and the claims have been
/// checked, or, with feature `introspection`, `issuer::Introspection`, after the authorization server has
/// answered for it. The built-in policies understand it. `Debug` shows none of its claims.
///
/// # Example
///
/// ```
/// use tower_bearer::Authenticated;
/// use tower_bearer::jwt::AccessToken;
///
/// fn greet(token: &Authenticated<AccessToken>) -> String {
///     format!("hello {}", token.subject().unwrap_or("service"))
/// }
/// # let _ = greet;
/// ```
pub struct AccessToken {
    scopes: Box<[Scopes]>,
    roles: Box<[Box<str>]>,
    groups: Box<[Box<str>]>,
    entitlements: Box<[Box<str>]>,
    tenant: Option<Box<str>>,
    client: Option<Box<str>>,
    claims: RawClaims,
}

impl AccessToken {
    /// Only for claims that have been checked.
    pub(crate) fn from_checked(
        mut claims: RawClaims,
        layout: &ClaimsLayout,
    ) -> Result<Self, TokenError> {
        Ok(Self {
            scopes: layout.scopes(&mut claims)?.into_boxed_slice(),
            roles: layout.roles(&claims)?.into_boxed_slice(),
            groups: layout.groups(&claims)?.into_boxed_slice(),
            entitlements: layout.entitlements(&claims)?.into_boxed_slice(),
            tenant: layout.tenant(&claims)?,
            client: layout.client(&claims)?.map(Box::from),
            claims,
        })
    }

    /// `iss`: who issued it. `None` only where the validator was told to accept any issuer, or where an
    /// authorization server that was asked does not say.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.claims.iss.as_deref()
    }

    /// `sub`: for whom it was issued: the user, or the client itself.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.claims.sub.as_deref()
    }

    /// `aud`: for which services it was issued.
    pub fn audience(&self) -> impl Iterator<Item = &str> {
        let texts = self.claims.aud.as_ref().map_or(&[][..], |aud| &aud.0);
        texts.iter().map(|text| &**text)
    }

    /// `exp`: when it ends. [`Authenticated::expires_at`](crate::Authenticated::expires_at) is later by the
    /// leeway; behind an `Authenticated`, this one is `token.principal().expires_at()`.
    #[must_use]
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.claims.exp.map(|date| date.time())
    }

    /// `iat`: when it was issued.
    #[must_use]
    pub fn issued_at(&self) -> Option<SystemTime> {
        self.claims.iat.map(|date| date.time())
    }

    /// `nbf`: from when on it is valid.
    #[must_use]
    pub fn not_before(&self) -> Option<SystemTime> {
        self.claims.nbf.map(|date| date.time())
    }

    /// `jti`: its own identifier, unique for its issuer.
    #[must_use]
    pub fn token_id(&self) -> Option<&str> {
        self.claims.jti.as_deref()
    }

    /// To which client it was given: `client_id`, or where the [`ClaimsLayout`] says.
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        self.client.as_deref()
    }

    /// The scopes that were granted.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.scopes.iter().flat_map(Scopes::iter)
    }

    /// The roles.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        self.roles.iter().map(|role| &**role)
    }

    /// The groups.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.groups.iter().map(|group| &**group)
    }

    /// The entitlements.
    pub fn entitlements(&self) -> impl Iterator<Item = &str> {
        self.entitlements.iter().map(|entitlement| &**entitlement)
    }

    /// The tenant, if the [`ClaimsLayout`] says where it stands.
    #[must_use]
    pub fn tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }

    /// `acr`: how the user was authenticated.
    #[must_use]
    pub fn acr(&self) -> Option<&str> {
        self.claims.acr.as_deref()
    }

    /// `amr`: by which methods the user was authenticated.
    pub fn amr(&self) -> impl Iterator<Item = &str> {
        let texts = self.claims.amr.as_ref().map_or(&[][..], |amr| &amr.0);
        texts.iter().map(|text| &**text)
    }

    /// `auth_time`: when the user was last authenticated.
    #[must_use]
    pub fn auth_time(&self) -> Option<SystemTime> {
        self.claims.auth_time.map(|date| date.time())
    }

    /// `cnf`: to which key the token is bound. There is one only if the validator was told to ignore it.
    #[must_use]
    pub fn confirmation(&self) -> Option<&Value> {
        self.claims.cnf.as_ref()
    }

    /// A claim by its name: any but `iss`, `sub`, `aud`, `exp`, `nbf`, `iat`, `jti`, `client_id`, `scope`,
    /// `scp`, `acr`, `amr`, `auth_time` and `cnf`, which have methods of their own.
    #[must_use]
    pub fn claim(&self, name: &str) -> Option<&Value> {
        self.claims.rest.get(name)
    }

    /// All the claims that [`claim`](Self::claim) finds.
    #[must_use]
    pub fn other_claims(&self) -> &Map<String, Value> {
        &self.claims.rest
    }

    /// A claim that [`claim`](Self::claim) finds, as a type of the application. `None` if there is none of
    /// this name.
    ///
    /// # Example
    ///
    /// ```
    /// use tower_bearer::jwt::AccessToken;
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Department {
    ///     name: String,
    /// }
    ///
    /// fn department(token: &AccessToken) -> Option<String> {
    ///     let department = token.read_claim::<Department>("department")?.ok()?;
    ///     Some(department.name)
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// What `serde` says if the claim does not fit the type.
    pub fn read_claim<'c, T: Deserialize<'c>>(
        &'c self,
        name: &str,
    ) -> Option<Result<T, serde_json::Error>> {
        self.claim(name).map(T::deserialize)
    }
}

#[cfg(feature = "introspection")]
impl AccessToken {
    /// The claims as they were read, without those that the layout has taken.
    pub(crate) fn raw(&self) -> &RawClaims {
        &self.claims
    }
}

impl Claims for AccessToken {
    fn subject(&self) -> Option<&str> {
        self.subject()
    }

    fn has_scope(&self, scope: &str) -> bool {
        self.scopes.iter().any(|scopes| scopes.contains(scope))
    }

    fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|known| **known == *role)
    }

    fn has_tenant(&self, tenant: &str) -> bool {
        self.tenant() == Some(tenant)
    }

    fn acr(&self) -> Option<&str> {
        self.acr()
    }

    fn auth_time(&self) -> Option<SystemTime> {
        self.auth_time()
    }
}

impl fmt::Debug for AccessToken {
    /// Without any claim: they are about a person.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessToken").finish_non_exhaustive()
    }
}
