//! What claims have to say. Pure: the claims and the time go in, the verdict comes out.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::algorithm::Algorithm;
use super::claims::{RawClaims, Times};
use super::error::TokenError;
use super::header::{Header, media_type};
use super::layout::{ClaimsLayout, MarkerMatch};
use super::profile::TokenProfile;

/// The most that a clock may be off (D05: expiry).
pub(crate) const MAX_LEEWAY: Duration = Duration::from_secs(300);

/// The settings of a validator that concern claims.
#[derive(Clone, Debug)]
pub(crate) struct Checks {
    /// The kind of token. `None`: access tokens.
    pub(crate) profile: Option<Arc<dyn TokenProfile>>,
    /// `None`: any, or none.
    pub(crate) issuer: Option<Box<str>>,
    /// Empty: any, or none.
    pub(crate) audiences: Vec<Box<str>>,
    pub(crate) leeway: Duration,
    pub(crate) max_lifetime: Option<Duration>,
    pub(crate) max_token_age: Option<Duration>,
    pub(crate) subject: Option<Box<str>>,
    pub(crate) required: Vec<Box<str>>,
    pub(crate) expiry_required: bool,
    /// RFC 9068 to the letter.
    pub(crate) at_jwt: bool,
    /// Further values of `typ`.
    pub(crate) types: Vec<Box<str>>,
    /// The only values of `typ`.
    pub(crate) only_types: Option<Box<[Box<str>]>>,
    /// The only algorithms. `None`: all that the keys are for.
    pub(crate) algorithms: Option<Box<[Algorithm]>>,
    pub(crate) accept_id_tokens: bool,
    pub(crate) ignore_confirmation: bool,
    pub(crate) layout: ClaimsLayout,
}

impl Default for Checks {
    fn default() -> Self {
        Self {
            profile: None,
            issuer: None,
            audiences: Vec::new(),
            leeway: Duration::from_secs(60),
            max_lifetime: None,
            max_token_age: None,
            subject: None,
            required: Vec::new(),
            expiry_required: true,
            at_jwt: false,
            types: Vec::new(),
            only_types: None,
            algorithms: None,
            accept_id_tokens: false,
            ignore_confirmation: false,
            layout: ClaimsLayout::new(),
        }
    }
}

/// What the header says about the kind of token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Typing {
    /// Nothing: the claims have to tell.
    General,
    /// That it is one of the accepted kinds.
    Explicit,
}

impl Checks {
    /// RFC 8725 section 3.11, RFC 9068 section 4.
    pub(crate) fn token_type(&self, typ: Option<&str>) -> Result<Typing, TokenError> {
        if let Some(profile) = &self.profile {
            return profile.token_type(typ);
        }
        let is = |accepted: &str| is_of_type(typ, accepted);
        if let Some(only) = &self.only_types {
            return match only.iter().any(|accepted| is(accepted)) {
                true if is("JWT") => Ok(Typing::General),
                true => Ok(Typing::Explicit),
                false => Err(TokenError::TokenType {
                    found: "`typ` is none of `only_token_types`",
                }),
            };
        }
        let listed = self.types.iter().any(|accepted| is(accepted));
        if is("at+jwt") {
            Ok(Typing::Explicit)
        } else if typ.is_none() || is("JWT") {
            // Which says nothing, so that the claims are looked at, even if somebody lists it.
            match self.at_jwt && !listed {
                true => Err(TokenError::TokenType {
                    found: "`typ` is not `at+jwt`",
                }),
                false => Ok(Typing::General),
            }
        } else if listed {
            Ok(Typing::Explicit)
        } else {
            Err(TokenError::TokenType {
                found: "`typ` names another kind of token",
            })
        }
    }

    /// Returns the algorithm that a header names, if it is allowed. The key has to agree (C02: algorithms
    /// come from keys).
    pub(crate) fn algorithm(&self, header: &Header) -> Result<Algorithm, TokenError> {
        let algorithm = header.algorithm.ok_or(TokenError::Algorithm)?;
        match &self.algorithms {
            Some(allowed) if !allowed.contains(&algorithm) => Err(TokenError::Algorithm),
            _ => Ok(algorithm),
        }
    }

    /// (D02: exact issuer, D03: required issuer).
    pub(crate) fn issuer(&self, claims: &RawClaims<'_>) -> Result<(), TokenError> {
        match (&self.issuer, &claims.iss) {
            (None, _) => Ok(()),
            (Some(_), None) => Err(TokenError::missing("iss")),
            (Some(expected), Some(iss)) if **expected == **iss => Ok(()),
            (Some(_), Some(_)) => Err(TokenError::Issuer),
        }
    }

    /// Checks all other claims. Returns the expiry of the token: `exp` or the maximum age, plus the leeway.
    pub(crate) fn claims(
        &self,
        claims: &RawClaims<'_>,
        typing: Typing,
        now: SystemTime,
    ) -> Result<Option<SystemTime>, TokenError> {
        self.purpose(claims, typing)?;
        let expires_at = self.time(&claims.times, now)?;
        self.contents(claims)?;
        Ok(expires_at)
    }

    /// For what the token is, and for whom.
    pub(crate) fn purpose(&self, claims: &RawClaims<'_>, typing: Typing) -> Result<(), TokenError> {
        self.kind(claims, typing)?;
        if claims.cnf.is_some() && !self.ignore_confirmation {
            return Err(TokenError::SenderConstrained);
        }
        self.audience(claims)
    }

    /// What has to be said besides.
    pub(crate) fn contents(&self, claims: &RawClaims<'_>) -> Result<(), TokenError> {
        if claims.sub.as_ref().is_some_and(|sub| sub.is_empty()) {
            return Err(TokenError::claim("sub"));
        }
        if self.subject.is_some() && self.subject.as_deref() != claims.sub.as_deref() {
            return Err(TokenError::Subject);
        }
        // RFC 9068 section 2.2
        let profile: &[&str] = match self.at_jwt {
            true => &["iss", "exp", "aud", "sub", "client_id", "iat", "jti"],
            false => &[],
        };
        let required = self.required.iter().map(|name| &**name);
        match profile
            .iter()
            .copied()
            .chain(required)
            .find(|name| !claims.has(name))
        {
            Some(name) if claims.is_unreadable(name) => Err(TokenError::claim(name)),
            Some(name) => Err(TokenError::missing(name)),
            None => Ok(()),
        }
    }

    /// Tells tokens of other kinds by what only they have.
    pub(crate) fn kind(&self, claims: &RawClaims<'_>, typing: Typing) -> Result<(), TokenError> {
        if let Some(profile) = &self.profile {
            return profile.kind(claims);
        }
        let found = |found| Err(TokenError::TokenType { found });
        let text = |name: &str| claims.rest.get(name).and_then(Value::as_str);
        let has = |name: &&str| claims.rest.contains_key(*name);
        let marker = self.layout.marker_match(claims);
        if marker == MarkerMatch::Missing && !self.accept_id_tokens {
            return found(
                "the claim by which `claims_layout` knows access tokens is missing or has another value",
            );
        }
        if claims.rest.get("events").is_some_and(Value::is_object) {
            return found("`events`: a security event or logout token");
        }
        if has(&"htm") || has(&"htu") {
            return found("`htm`: a DPoP proof");
        }
        if typing == Typing::Explicit || self.accept_id_tokens {
            return Ok(());
        }
        // Keycloak and Cognito name the kind in a claim.
        let says = |kinds: &[&str]| {
            [text("typ"), text("token_use")]
                .into_iter()
                .flatten()
                .any(|said| kinds.iter().any(|kind| said.eq_ignore_ascii_case(kind)))
        };
        if says(&["id", "refresh", "offline", "logout", "serialized-id"]) {
            return found("a claim says that it is an ID, refresh or logout token");
        }
        // M14: kinds of tokens. A value decides; the presence of a claim only outweighs `nonce`.
        if marker == MarkerMatch::ByValue || says(&["bearer", "access"]) {
            return Ok(());
        }
        if ["at_hash", "c_hash", "s_hash"].iter().any(has) {
            return found("`at_hash`, `c_hash` or `s_hash`: an ID token");
        }
        if marker == MarkerMatch::Unknown && has(&"nonce") {
            return found(
                "`nonce`: an ID token, unless the provider writes it into access tokens too; set `claims_layout` then, by a preset or `with_access_token_values`",
            );
        }
        Ok(())
    }

    /// RFC 9068 section 4, RFC 8725 section 3.9.
    fn audience(&self, claims: &RawClaims<'_>) -> Result<(), TokenError> {
        if self.audiences.is_empty() {
            return Ok(());
        }
        let is_ours = |audience: &str| self.audiences.iter().any(|own| **own == *audience);
        match &claims.aud {
            Some(aud)
                if self.profile.is_some()
                    && !aud.as_slice().iter().all(|audience| is_ours(audience)) =>
            {
                Err(TokenError::Audience)
            }
            Some(aud) if aud.as_slice().iter().any(|audience| is_ours(audience)) => Ok(()),
            Some(_) => Err(TokenError::Audience),
            None if self.layout.audience_is_client => match self.layout.client(claims)? {
                Some(client) if is_ours(client) => Ok(()),
                Some(_) => Err(TokenError::Audience),
                None => Err(TokenError::missing("client_id")),
            },
            None => Err(TokenError::missing("aud")),
        }
    }

    /// RFC 7519 sections 4.1.4 to 4.1.6.
    pub(crate) fn time(
        &self,
        times: &Times,
        now: SystemTime,
    ) -> Result<Option<SystemTime>, TokenError> {
        let later = |time: SystemTime| time.checked_add(self.leeway).unwrap_or(time);
        let mut expires_at = match times.exp {
            Some(exp) => Some(later(exp.time())),
            None if self.expiry_required => return Err(TokenError::missing("exp")),
            None => None,
        };
        if expires_at.is_some_and(|expires_at| now >= expires_at) {
            return Err(TokenError::Expired);
        }
        let latest = later(now);
        if [times.nbf, times.iat]
            .into_iter()
            .flatten()
            .any(|date| date.time() > latest)
        {
            return Err(TokenError::NotYetValid);
        }
        if let Some(profile) = &self.profile {
            profile.age(times, self.leeway, now)?;
        }
        if let Some(max_age) = self.max_token_age {
            let iat = times.iat.ok_or(TokenError::missing("iat"))?;
            // A limit beyond all representable dates never applies.
            if let Some(too_old_at) = iat.time().checked_add(max_age).map(later) {
                if now >= too_old_at {
                    return Err(TokenError::TooOld);
                }
                // F04: expiry on hits
                expires_at = Some(expires_at.map_or(too_old_at, |end| end.min(too_old_at)));
            }
        }
        if let Some(max_lifetime) = self.max_lifetime {
            let iat = times.iat.ok_or(TokenError::missing("iat"))?;
            let exp = times.exp.ok_or(TokenError::missing("exp"))?;
            if exp.0.saturating_sub(iat.0) > max_lifetime {
                return Err(TokenError::Lifetime);
            }
        }
        Ok(expires_at)
    }
}

/// Whether a header's `typ` is this one.
pub(crate) fn is_of_type(typ: Option<&str>, accepted: &str) -> bool {
    typ.is_some_and(|typ| {
        typ == accepted || media_type(typ).eq_ignore_ascii_case(media_type(accepted))
    })
}
