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
/// // {"admin": {"165": "example.com"}} holds the role "admin".
/// let names = ClaimPath::from("urn:zitadel:iam:org:project:roles").member_names();
/// # let _ = (flat, nested, names);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPath {
    names: Box<[Box<str>]>,
    member_names: bool,
}

impl ClaimPath {
    /// Reads the names of the members of an object. Some providers write roles or groups as an object whose
    /// values describe each of them. Default: the value is a text or a list.
    ///
    /// The value of each member is an object that is not empty. A member whose value is `null` or an empty object
    /// grants nothing. Any other value makes a token invalid, as another shape always does: `{"admin": false}` does
    /// not grant the role "admin".
    #[must_use]
    pub fn member_names(mut self) -> Self {
        self.member_names = true;
        self
    }
}

impl From<&str> for ClaimPath {
    fn from(name: &str) -> Self {
        Self::from([name])
    }
}

impl<const N: usize> From<[&str; N]> for ClaimPath {
    fn from(names: [&str; N]) -> Self {
        names.into_iter().collect()
    }
}

impl<S: Into<String>> FromIterator<S> for ClaimPath {
    /// Of names that come from a configuration. No name is a path that nothing stands at.
    fn from_iter<I: IntoIterator<Item = S>>(names: I) -> Self {
        Self {
            names: names
                .into_iter()
                .map(|name| name.into().into_boxed_str())
                .collect(),
            member_names: false,
        }
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
        match &*self.names {
            [] => true,
            [first, ..] => REGISTERED.iter().chain(also).any(|name| **first == **name),
        }
    }

    /// Returns whether the claim can never be a text, number or boolean.
    pub(crate) fn is_without_value(&self) -> bool {
        let never = ["exp", "nbf", "iat", "cnf", "amr", "auth_time"];
        self.member_names
            || match &*self.names {
                [] => true,
                [first, ..] => first.is_empty() || never.contains(&&**first),
            }
    }

    /// Returns whether this path is the location of one text.
    pub(crate) fn is_of_one_text(&self) -> bool {
        !self.member_names
    }

    fn error(&self) -> TokenError {
        TokenError::claim(&self.names.join("."))
    }

    pub(crate) fn text<'c>(
        &self,
        claims: &'c RawClaims<'_>,
    ) -> Result<Option<&'c str>, TokenError> {
        let registered = match &*self.names {
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
        if let Some(Some(registered)) = registered {
            return Ok(Some(registered));
        }
        // Also a registered claim of another type.
        match claims.value_at(&self.names) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.error()),
        }
    }

    pub(crate) fn list<'c>(&self, claims: &'c RawClaims<'_>) -> Result<Vec<Text<'c>>, TokenError> {
        claims
            .value_at(&self.names)
            .map_or(Ok(Vec::new()), |value| {
                self.texts(value).ok_or_else(|| self.error())
            })
    }

    /// Returns whether the claim, in any field, has the expected value. A list of texts equals no value.
    pub(crate) fn equals(&self, claims: &RawClaims<'_>, expected: &Value) -> bool {
        let one = |texts: &Option<Texts<'_>>| match texts {
            Some(Texts::One(text)) => *expected == **text,
            Some(Texts::List(_)) | None => false,
        };
        match &*self.names {
            [name] if **name == *"scope" => one(&claims.scope),
            [name] if **name == *"scp" => one(&claims.scp),
            [name] if **name == *"aud" => one(&claims.aud),
            _ => match self.text(claims) {
                Ok(Some(text)) => *expected == *text,
                Ok(None) | Err(_) => claims
                    .value_at(&self.names)
                    .is_some_and(|value| value == expected),
            },
        }
    }

    fn texts<'c>(&self, value: &'c Value) -> Option<Vec<Text<'c>>> {
        match self.member_names {
            true => member_names(value),
            false => texts(value),
        }
    }

    pub(crate) fn scopes<'c>(
        &self,
        claims: &'c RawClaims<'_>,
    ) -> Result<Option<Scopes<'c>>, TokenError> {
        match &*self.names {
            [name] if **name == *"scope" => return Ok(claims.scope.as_ref().map(Scopes::from)),
            [name] if **name == *"scp" => return Ok(claims.scp.as_ref().map(Scopes::from)),
            _ => {}
        }
        match claims.value_at(&self.names) {
            None => Ok(None),
            Some(Value::String(text)) if !self.member_names => Ok(Some(Scopes::Text(text))),
            Some(value) => self
                .texts(value)
                .map(|list| Some(Scopes::List(list.into())))
                .ok_or_else(|| self.error()),
        }
    }
}

/// Returns the names of the members of an object whose values are objects.
fn member_names(value: &Value) -> Option<Vec<Text<'_>>> {
    let mut names = Vec::new();
    for (name, value) in value.as_object()? {
        match value {
            Value::Object(members) if !members.is_empty() => names.push(name.as_str().into()),
            Value::Object(_) | Value::Null => {}
            _ => return None,
        }
    }
    Some(names)
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
