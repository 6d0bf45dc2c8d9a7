//! One `WWW-Authenticate` value, valid by construction.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;

/// One challenge of a `WWW-Authenticate` header field
/// ([RFC 9110 section 11.3](https://www.rfc-editor.org/rfc/rfc9110#section-11.3)).
///
/// Whatever is put in, what comes out is one grammatical challenge: characters that a value must
/// not contain are left out, never escaped, because the grammars of
/// [RFC 6750 section 3](https://www.rfc-editor.org/rfc/rfc6750#section-3) have no escapes. A
/// parameter stands once; setting it again replaces it.
///
/// # Example
///
/// ```
/// use tower_bearer::Challenge;
///
/// let challenge = Challenge::bearer("orders")
///     .error("insufficient_scope")
///     .scope(["orders:read", "orders:write"]);
/// assert_eq!(
///     challenge.to_string(),
///     r#"Bearer realm="orders", error="insufficient_scope", scope="orders:read orders:write""#,
/// );
///
/// // What would break out of the quotes is dropped.
/// assert_eq!(Challenge::bearer("a\", x=\"b\r\n").to_string(), r#"Bearer realm="a, x=b""#);
/// ```
#[derive(Clone, PartialEq, Eq)]
#[must_use]
pub struct Challenge {
    scheme: &'static str,
    parameters: Vec<(&'static str, String)>,
}

impl Challenge {
    /// A `Bearer` challenge ([RFC 6750](https://www.rfc-editor.org/rfc/rfc6750#section-3)).
    /// `realm` may be empty; the parameter is always there, since RFC 6750 asks for at least one.
    pub fn bearer(realm: &str) -> Self {
        Self::of("Bearer", realm)
    }

    /// A `Basic` challenge ([RFC 7617](https://www.rfc-editor.org/rfc/rfc7617#section-2.1)), with
    /// `charset="UTF-8"`.
    pub fn basic(realm: &str) -> Self {
        Self::of("Basic", realm).push("charset", "UTF-8")
    }

    /// An `ApiKey` challenge that names the header field to use. The scheme is not registered;
    /// it is what Elasticsearch and others answer, and RFC 9110 asks a 401 for some challenge.
    pub fn api_key(realm: &str, header: &str) -> Self {
        Self::of("ApiKey", realm).push("header", header)
    }

    /// A `Cookie` challenge that names the cookie to use. The scheme is not registered; RFC 9110
    /// asks a 401 for some challenge.
    pub fn cookie(realm: &str, name: &str) -> Self {
        Self::of("Cookie", realm).push("cookie-name", name)
    }

    fn of(scheme: &'static str, realm: &str) -> Self {
        Self {
            scheme,
            parameters: Vec::new(),
        }
        .push("realm", realm)
    }

    /// The error code, for example `invalid_token`
    /// ([RFC 6750 section 3.1](https://www.rfc-editor.org/rfc/rfc6750#section-3.1)).
    pub fn error(self, code: &str) -> Self {
        self.push("error", code)
    }

    /// A description of the error for a developer. Keep what you know about the token out of it.
    pub fn error_description(self, description: &str) -> Self {
        self.push("error_description", description)
    }

    /// The scopes that the request needs, in this order
    /// ([RFC 6749 section 3.3](https://www.rfc-editor.org/rfc/rfc6749#section-3.3)). An empty list
    /// leaves the parameter out.
    pub fn scope<I>(self, scopes: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let joined = join(scopes);
        if joined.is_empty() {
            return self;
        }
        self.push("scope", &joined)
    }

    /// The authentication context classes that would be enough, best first
    /// ([RFC 9470 section 3](https://www.rfc-editor.org/rfc/rfc9470#section-3)). An empty list
    /// leaves the parameter out.
    pub fn acr_values<I>(self, values: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let joined = join(values);
        if joined.is_empty() {
            return self;
        }
        self.push("acr_values", &joined)
    }

    /// How long ago the user may have logged in, in whole seconds
    /// ([RFC 9470 section 3](https://www.rfc-editor.org/rfc/rfc9470#section-3)).
    pub fn max_age(self, age: Duration) -> Self {
        self.push("max_age", &age.as_secs().to_string())
    }

    /// The challenge as a header value.
    #[must_use]
    pub fn to_header_value(&self) -> HeaderValue {
        to_header_value(self.to_text(0))
    }

    /// The challenge with more parameters, none of which it has yet, as a header value.
    pub(crate) fn with(
        &self,
        error: Option<&str>,
        acr_values: &[Arc<str>],
        scopes: &[Arc<str>],
        max_age: Option<Duration>,
    ) -> HeaderValue {
        let list = |values: &[Arc<str>]| values.iter().map(|value| value.len() + 1).sum::<usize>();
        let more = error.map_or(0, str::len) + list(acr_values) + list(scopes);
        let mut text = self.to_text(more + 80);
        if let Some(error) = error {
            parameter(&mut text, ", ", "error", |text| push_text(text, error));
        }
        for (name, values) in [("acr_values", acr_values), ("scope", scopes)] {
            let before = text.len();
            let mut is_empty = true;
            parameter(&mut text, ", ", name, |text| {
                push_list(text, values);
                is_empty = text.ends_with('"');
            });
            if is_empty {
                text.truncate(before);
            }
        }
        if let Some(age) = max_age {
            let age = age.as_secs().to_string();
            parameter(&mut text, ", ", "max_age", |text| text.push_str(&age));
        }
        to_header_value(text)
    }

    fn to_text(&self, more: usize) -> String {
        let length = self
            .parameters
            .iter()
            .map(|(name, value)| name.len() + value.len() + 5);
        let mut text = String::with_capacity(self.scheme.len() + length.sum::<usize>() + more);
        text.push_str(self.scheme);
        for (index, (name, value)) in self.parameters.iter().enumerate() {
            let separator = if index == 0 { " " } else { ", " };
            parameter(&mut text, separator, name, |text| text.push_str(value));
        }
        text
    }

    fn push(mut self, name: &'static str, value: &str) -> Self {
        let mut cleaned = String::with_capacity(value.len());
        push_text(&mut cleaned, value);
        match self.parameters.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = cleaned,
            None => self.parameters.push((name, cleaned)),
        }
        self
    }
}

fn to_header_value(text: String) -> HeaderValue {
    // Every value went through `is_text`, the rest are literals of this file, so the text is
    // printable ASCII and the conversion cannot fail; a bare scheme is the safe answer if a
    // later change breaks that.
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("Bearer"))
}

fn parameter(text: &mut String, separator: &str, name: &str, value: impl FnOnce(&mut String)) {
    text.push_str(separator);
    text.push_str(name);
    text.push_str("=\"");
    value(text);
    text.push('"');
}

/// Adds what a value may contain of this one.
fn push_text(text: &mut String, value: &str) {
    if value.bytes().all(|byte| is_text(char::from(byte))) {
        text.push_str(value);
    } else {
        text.extend(value.chars().filter(|c| is_text(*c)));
    }
}

/// Adds a list with spaces between its values, of which none is empty.
fn push_list<V: AsRef<str>>(text: &mut String, values: impl IntoIterator<Item = V>) {
    let start = text.len();
    for value in values {
        let before = text.len();
        if before > start {
            text.push(' ');
        }
        let at = text.len();
        text.extend(value.as_ref().chars().filter(|c| *c != ' ' && is_text(*c)));
        if text.len() == at {
            text.truncate(before);
        }
    }
}

impl fmt::Display for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text(0))
    }
}

impl fmt::Debug for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Challenge").field(&self.to_text(0)).finish()
    }
}

/// RFC 6750 section 3: `%x20-21 / %x23-5B / %x5D-7E`, i.e. printable ASCII without `"` and `\`.
fn is_text(c: char) -> bool {
    matches!(c, ' '..='!' | '#'..='[' | ']'..='~')
}

fn join<I>(values: I) -> String
where
    I: IntoIterator,
    I::Item: AsRef<str>,
{
    let mut joined = String::new();
    push_list(&mut joined, values);
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameter_set_twice_appears_once() {
        let challenge = Challenge::bearer("a")
            .error("x")
            .scope(["s"])
            .error("invalid_token");
        assert_eq!(
            challenge.to_string(),
            r#"Bearer realm="a", error="invalid_token", scope="s""#
        );
    }

    #[test]
    fn value_that_looks_like_a_parameter_is_quoted() {
        let challenge = Challenge::bearer("a, error=b")
            .error("x")
            .error("invalid_token");
        assert_eq!(
            challenge.to_string(),
            r#"Bearer realm="a, error=b", error="invalid_token""#
        );
    }

    #[test]
    fn empty_list_adds_no_parameter() {
        let none: [&str; 0] = [];
        assert_eq!(
            Challenge::bearer("").scope(none).to_string(),
            r#"Bearer realm="""#
        );
        assert_eq!(
            Challenge::bearer("").acr_values(["\"\\"]).to_string(),
            r#"Bearer realm="""#
        );
    }

    #[test]
    fn parameters_are_equal_however_they_are_added() {
        let shared = |values: &[&str]| {
            values
                .iter()
                .map(|value| Arc::from(*value))
                .collect::<Vec<_>>()
        };
        let lists: [&[&str]; 5] = [&[], &[""], &["a"], &["a b", "", "c\"d", "e"], &["\"", "f"]];
        for error in [None, Some("invalid_token"), Some("x\"y")] {
            for acr_values in lists {
                for scopes in lists {
                    for max_age in [None, Some(Duration::from_millis(61_500))] {
                        let base = Challenge::bearer("api");
                        let mut one_by_one = base.clone();
                        if let Some(error) = error {
                            one_by_one = one_by_one.error(error);
                        }
                        one_by_one = one_by_one.acr_values(acr_values).scope(scopes);
                        if let Some(age) = max_age {
                            one_by_one = one_by_one.max_age(age);
                        }
                        let at_once =
                            base.with(error, &shared(acr_values), &shared(scopes), max_age);
                        assert_eq!(at_once, one_by_one.to_header_value());
                    }
                }
            }
        }
    }
}
