//! The claims of an access token, verified.

use std::borrow::Cow;
use std::fmt;
use std::sync::LazyLock;
use std::time::SystemTime;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::claim_path::Scopes;
use super::claims::{NumericDate, RawClaims, Texts, Times, is_word, words};
use super::error::TokenError;
use super::layout::ClaimsLayout;
use super::packed_texts::{List, Packer, Span};
use crate::policy::Claims;

/// A verified access token: what its claims say
/// ([RFC 9068 section 2.2](https://www.rfc-editor.org/rfc/rfc9068#section-2.2)).
///
/// Only a [`JwtValidator`](super::JwtValidator) makes one, after the signature and the claims have been
/// checked, or, with feature `introspection`, `provider::Introspection`, after the authorization server has
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
    /// All its texts, but for those in other claims.
    text: Box<str>,
    issuer: Span,
    subject: Span,
    token_id: Span,
    client: Span,
    /// If it is one text.
    audience: Span,
    /// If they are one text, with spaces between them.
    scope: Span,
    times: Times,
    more: Option<Box<More>>,
}

/// What many tokens do not have: lists, and claims that are not registered or that are rare.
#[derive(Default)]
struct More {
    lists: Box<[Span]>,
    audience: List,
    scopes: List,
    roles: List,
    groups: List,
    entitlements: List,
    amr: List,
    tenant: Span,
    acr: Span,
    auth_time: Option<NumericDate>,
    cnf: Option<Value>,
    rest: Map<String, Value>,
}

static NO_CLAIMS: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);

impl AccessToken {
    /// Only for claims that have been checked.
    pub(crate) fn from_checked(
        mut claims: RawClaims<'_>,
        layout: &ClaimsLayout,
    ) -> Result<Self, TokenError> {
        let (scope, scopes) = match layout.scopes(&claims)? {
            Scopes::Text(text) => (Some(text), Cow::default()),
            Scopes::List(list) => (None, list),
        };
        let roles = layout.roles(&claims)?;
        let tenant = layout.tenant(&claims)?;
        // M12: no check and no policy of this crate decides by these, so another shape counts as absence.
        let groups = layout.groups(&claims).unwrap_or_default();
        let entitlements = layout.entitlements(&claims).unwrap_or_default();
        let client = layout.client(&claims).unwrap_or_default();
        let (audience, audiences) = match &claims.aud {
            Some(Texts::One(text)) => (Some(&**text), &[][..]),
            Some(Texts::List(list)) => (None, &list[..]),
            None => (None, &[][..]),
        };
        let amr = claims.amr.as_ref().map_or(&[][..], Texts::as_slice);

        let iss = claims.iss.as_deref();
        let sub = claims.sub.as_deref();
        let jti = claims.jti.as_deref();
        let acr = claims.acr.as_deref();
        let mut bytes = 0;
        for text in [iss, sub, jti, client, audience, scope, tenant, acr] {
            bytes += text.map_or(0, str::len);
        }
        let lists = [audiences, &*scopes, &roles, &groups, &entitlements, amr];
        let mut listed = 0;
        for list in lists {
            listed += list.len();
            bytes += list.iter().map(|text| text.len()).sum::<usize>();
        }
        let mut packer = Packer::new(bytes, listed);
        let issuer = packer.text(iss);
        let subject = packer.text(sub);
        let token_id = packer.text(jti);
        let client = packer.text(client);
        let audience = packer.text(audience);
        let scope = packer.text(scope);
        let is_more = listed > 0
            || tenant.is_some()
            || acr.is_some()
            || claims.auth_time.is_some()
            || claims.cnf.is_some()
            || !claims.rest.is_empty();
        let more = is_more.then(|| More {
            audience: packer.list(audiences),
            scopes: packer.list(&scopes),
            roles: packer.list(&roles),
            groups: packer.list(&groups),
            entitlements: packer.list(&entitlements),
            amr: packer.list(amr),
            tenant: packer.text(tenant),
            acr: packer.text(acr),
            auth_time: claims.auth_time,
            ..More::default()
        });
        let (text, lists) = packer.finish();
        let with_the_rest = |more| {
            Box::new(More {
                lists,
                cnf: claims.cnf.take(),
                rest: std::mem::take(&mut claims.rest),
                ..more
            })
        };
        Ok(Self {
            text,
            issuer,
            subject,
            token_id,
            client,
            audience,
            scope,
            times: claims.times,
            more: more.map(with_the_rest),
        })
    }

    fn text(&self, span: Span) -> Option<&str> {
        span.of(&self.text)
    }

    fn list(&self, list: fn(&More) -> List) -> impl Iterator<Item = &str> {
        let more = self.more.as_deref();
        let spans = more.map_or(&[][..], |more| list(more).of(&more.lists));
        spans.iter().filter_map(|span| self.text(*span))
    }

    /// `iss`: who issued it. `None` only where the validator was told to accept any issuer, or where an
    /// authorization server that was asked does not say.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.text(self.issuer)
    }

    /// `sub`: for whom it was issued: the user, or the client itself.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.text(self.subject)
    }

    /// `aud`: for which services it was issued.
    pub fn audience(&self) -> impl Iterator<Item = &str> {
        let one = self.text(self.audience).into_iter();
        one.chain(self.list(|more| more.audience))
    }

    /// `exp`: when it ends. [`Authenticated::expires_at`](crate::Authenticated::expires_at) is later by the
    /// leeway; behind an `Authenticated`, this one is `token.principal().expires_at()`.
    #[must_use]
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.times.exp.map(|date| date.time())
    }

    /// `iat`: when it was issued.
    #[must_use]
    pub fn issued_at(&self) -> Option<SystemTime> {
        self.times.iat.map(|date| date.time())
    }

    /// `nbf`: from when on it is valid.
    #[must_use]
    pub fn not_before(&self) -> Option<SystemTime> {
        self.times.nbf.map(|date| date.time())
    }

    /// Returns `jti`, the identifier of the token, unique for its issuer. `None` also if its value is not a
    /// text, unless the validator has [revocations](super::JwtValidatorBuilder::revocations), which reject
    /// such a token; [`require("jti")`](super::JwtValidatorBuilder::require) rejects it in any case.
    #[must_use]
    pub fn token_id(&self) -> Option<&str> {
        self.text(self.token_id)
    }

    /// Returns the client to which the token was issued: `client_id`, or the location that the
    /// [`ClaimsLayout`] sets. `None` also if the value there is not a text.
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        self.text(self.client)
    }

    /// Returns the session in which the token was issued: `sid`. `None` also if its value is not a text,
    /// unless the validator has [revocations](super::JwtValidatorBuilder::revocations), which reject such a
    /// token.
    #[must_use]
    pub fn session(&self) -> Option<&str> {
        self.claim("sid").and_then(Value::as_str)
    }

    /// The scopes that were granted.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        words(self.text(self.scope).unwrap_or_default())
            .chain(self.list(|more| more.scopes).filter(|scope| is_word(scope)))
    }

    /// The roles.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        self.list(|more| more.roles)
    }

    /// Returns the groups. Empty if the claim is neither a text nor a list of texts.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.list(|more| more.groups)
    }

    /// Returns the entitlements. Empty if the claim is neither a text nor a list of texts.
    pub fn entitlements(&self) -> impl Iterator<Item = &str> {
        self.list(|more| more.entitlements)
    }

    /// The tenant, if the [`ClaimsLayout`] says where it stands.
    #[must_use]
    pub fn tenant(&self) -> Option<&str> {
        self.text(self.more.as_ref()?.tenant)
    }

    /// Returns `acr`, the class of authentication of the user. `None` also if its value is not a text.
    #[must_use]
    pub fn acr(&self) -> Option<&str> {
        self.text(self.more.as_ref()?.acr)
    }

    /// Returns `amr`, the methods by which the user was authenticated ([RFC
    /// 8176](https://www.rfc-editor.org/rfc/rfc8176)). Empty if the claim has another shape, such as the list
    /// of objects that some providers write. Use [`read_claim`](Self::read_claim) for such a claim.
    pub fn amr(&self) -> impl Iterator<Item = &str> {
        self.list(|more| more.amr)
    }

    /// Returns `auth_time`, the time of the last authentication of the user. `None` also if its value is not
    /// a date in seconds.
    #[must_use]
    pub fn auth_time(&self) -> Option<SystemTime> {
        self.more.as_ref()?.auth_time.map(|date| date.time())
    }

    /// `cnf`: to which key the token is bound. There is one only if the validator was told to ignore it.
    #[must_use]
    pub fn confirmation(&self) -> Option<&Value> {
        self.more.as_ref()?.cnf.as_ref()
    }

    /// A claim by its name: any but `iss`, `sub`, `aud`, `exp`, `nbf`, `iat`, `jti`, `client_id`, `scope`,
    /// `scp`, `acr`, `amr`, `auth_time` and `cnf`, which have methods of their own. Of these, `jti`,
    /// `client_id`, `acr`, `amr` and `auth_time` are returned here if their value does not have the type that
    /// the method returns. `None` also for `null`.
    #[must_use]
    pub fn claim(&self, name: &str) -> Option<&Value> {
        self.more.as_ref()?.rest.get(name)
    }

    /// All the claims that [`claim`](Self::claim) finds.
    #[must_use]
    pub fn other_claims(&self) -> &Map<String, Value> {
        let more = self.more.as_ref();
        more.map_or(&NO_CLAIMS, |more| &more.rest)
    }

    /// A claim that [`claim`](Self::claim) finds, as a type of the application. `None` if there is none of
    /// this name.
    ///
    /// # Example
    ///
    /// ```
    /// use tower_bearer::jwt::AccessToken;
    ///
    /// // [{"method":"password","timestamp":1764547200}]
    /// #[derive(serde::Deserialize)]
    /// struct Method {
    ///     method: String,
    /// }
    ///
    /// fn used_password(token: &AccessToken) -> bool {
    ///     let methods = token.read_claim::<Vec<Method>>("amr");
    ///     let methods = methods.and_then(Result::ok).unwrap_or_default();
    ///     methods.iter().any(|entry| entry.method == "password")
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
    /// What the claims that are kept as JSON take besides their text, roughly.
    pub(crate) fn heap(&self) -> usize {
        super::json::heap_of_map(self.other_claims())
    }

    pub(crate) fn times(&self) -> &Times {
        &self.times
    }
}

impl Claims for AccessToken {
    fn subject(&self) -> Option<&str> {
        self.subject()
    }

    fn has_scope(&self, scope: &str) -> bool {
        let text = self.text(self.scope).unwrap_or_default();
        crate::policy::scope_list_contains(text, scope)
            || !scope.is_empty()
                && self
                    .list(|more| more.scopes)
                    .any(|granted| granted == scope)
    }

    fn has_role(&self, role: &str) -> bool {
        self.roles().any(|known| known == role)
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
