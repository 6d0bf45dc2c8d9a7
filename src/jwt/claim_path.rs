//! Places among the claims, and what stands there.

use std::borrow::Cow;

use serde_json::Value;

use super::claims::{RawClaims, Texts, texts, words};
use super::error::TokenError;
use super::json::Text;

/// Where a value stands among the claims: the name of a claim, or names of members below each other.
///
/// A dot is part of a name and means nothing, because names such as `https://example.com/roles` have
/// dots.
///
/// # Example
///
/// ```
/// use tower_bearer::jwt::ClaimPath;
///
/// let flat = ClaimPath::from("https://example.com/roles");
/// let nested = ClaimPath::from(["realm_access", "roles"]);
/// # let _ = (flat, nested);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPath(Box<[Box<str>]>);

impl From<&str> for ClaimPath {
    fn from(name: &str) -> Self {
        Self(Box::new([name.into()]))
    }
}

impl<const N: usize> From<[&str; N]> for ClaimPath {
    fn from(names: [&str; N]) -> Self {
        Self(names.into_iter().map(Box::from).collect())
    }
}

impl<S: Into<String>> FromIterator<S> for ClaimPath {
    /// Of names that come from a configuration. No name is a path that nothing stands at.
    fn from_iter<I: IntoIterator<Item = S>>(names: I) -> Self {
        Self(
            names
                .into_iter()
                .map(|name| name.into().into_boxed_str())
                .collect(),
        )
    }
}

/// Claims that are no lists of texts to take roles from, and that are read elsewhere.
const REGISTERED: [&str; 10] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "nbf",
    "iat",
    "jti",
    "acr",
    "auth_time",
    "cnf",
];

impl ClaimPath {
    /// Whether nothing that a layout looks for can ever stand there.
    pub(crate) fn is_in_vain(&self, also: &[&str]) -> bool {
        match &*self.0 {
            [] => true,
            [first, ..] => REGISTERED.iter().chain(also).any(|name| **first == **name),
        }
    }

    fn error(&self) -> TokenError {
        TokenError::claim(&self.0.join("."))
    }

    pub(crate) fn text<'c>(
        &self,
        claims: &'c RawClaims<'_>,
    ) -> Result<Option<&'c str>, TokenError> {
        let registered = match &*self.0 {
            [name] => match &**name {
                "iss" => Some(&claims.iss),
                "sub" => Some(&claims.sub),
                "jti" => Some(&claims.jti),
                "client_id" => Some(&claims.client_id),
                "acr" => Some(&claims.acr),
                _ => None,
            },
            _ => None,
        };
        if let Some(registered) = registered {
            return Ok(registered.as_deref());
        }
        match claims.value_at(&self.0) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.error()),
        }
    }

    pub(crate) fn list<'c>(&self, claims: &'c RawClaims<'_>) -> Result<Vec<Text<'c>>, TokenError> {
        claims.value_at(&self.0).map_or(Ok(Vec::new()), |value| {
            texts(value).ok_or_else(|| self.error())
        })
    }

    pub(crate) fn scopes<'c>(
        &self,
        claims: &'c RawClaims<'_>,
    ) -> Result<Option<Scopes<'c>>, TokenError> {
        match &*self.0 {
            [name] if **name == *"scope" => return Ok(claims.scope.as_ref().map(Scopes::from)),
            [name] if **name == *"scp" => return Ok(claims.scp.as_ref().map(Scopes::from)),
            _ => {}
        }
        match claims.value_at(&self.0) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(Scopes::Text(text))),
            Some(value) => texts(value)
                .map(|list| Some(Scopes::List(list.into())))
                .ok_or_else(|| self.error()),
        }
    }
}

/// The scopes of a token: as one text with spaces between them, or one by one.
pub(crate) enum Scopes<'c> {
    Text(&'c str),
    List(Cow<'c, [Text<'c>]>),
}

impl<'c> Scopes<'c> {
    pub(crate) fn none() -> Self {
        Self::List(Cow::Borrowed(&[]))
    }

    /// Both together, in this order.
    pub(crate) fn and(self, others: Self) -> Self {
        let mut all = self.into_list();
        all.append(&mut others.into_list());
        Self::List(all.into())
    }

    fn into_list(self) -> Vec<Text<'c>> {
        match self {
            Self::Text(text) => words(text).map(Text::from).collect(),
            Self::List(list) => list.into_owned(),
        }
    }
}

impl<'c> From<&'c Texts<'_>> for Scopes<'c> {
    fn from(texts: &'c Texts<'_>) -> Self {
        match texts {
            Texts::One(text) => Self::Text(text),
            Texts::List(list) => Self::List(Cow::Borrowed(list)),
        }
    }
}
