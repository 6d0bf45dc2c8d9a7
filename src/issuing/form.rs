//! Forms of the token and revocation endpoints.

use std::fmt;

use super::IssuingError;

/// How many parameters a form may have.
const MAX_PARAMETERS: usize = 64;

/// A form that a client has sent, by the rules of
/// [RFC 6749 section 3.2](https://www.rfc-editor.org/rfc/rfc6749#section-3.2): no parameter twice, and one without a value is
/// none. `Debug` shows nothing of it.
///
/// # Example
///
/// ```
/// use tower_bearer::issuing::TokenForm;
///
/// let form = TokenForm::parse(b"grant_type=password&username=alice&password=s%26cret&scope=")?;
/// assert_eq!(form.grant_type()?, "password");
/// assert_eq!(form.get("password"), Some("s&cret"));
/// assert_eq!(form.get("scope"), None);
/// assert!(form.require("client_id").is_err());
/// assert!(TokenForm::parse(b"scope=a&scope=b").is_err());
/// # Ok::<_, tower_bearer::issuing::IssuingError>(())
/// ```
#[derive(Clone)]
pub struct TokenForm {
    parameters: Vec<(String, String)>,
}

impl TokenForm {
    /// Reads `application/x-www-form-urlencoded`.
    ///
    /// # Errors
    ///
    /// [`IssuingError::InvalidRequest`] if a parameter is given twice, is not UTF-8, or if there are more than 64.
    pub fn parse(body: &[u8]) -> Result<Self, IssuingError> {
        let invalid = |problem| Err(IssuingError::InvalidRequest { problem });
        let mut parameters: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(body) {
            // What is no UTF-8 would otherwise become a replacement character, and two passwords one.
            if name.contains('\u{fffd}') || value.contains('\u{fffd}') {
                return invalid("a parameter is not UTF-8");
            }
            if parameters.len() >= MAX_PARAMETERS {
                return invalid("there are more than 64 parameters");
            }
            if parameters.iter().any(|(other, _)| **other == *name) {
                return invalid("a parameter is given twice");
            }
            parameters.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self { parameters })
    }

    /// The value of a parameter. `None` if there is none, or it is empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(other, value)| other == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    /// The value of a parameter that there has to be.
    ///
    /// # Errors
    ///
    /// [`IssuingError::InvalidRequest`].
    pub fn require(&self, name: &str) -> Result<&str, IssuingError> {
        self.get(name).ok_or(IssuingError::InvalidRequest {
            problem: "a parameter is missing",
        })
    }

    /// What `grant_type` says.
    ///
    /// # Errors
    ///
    /// [`IssuingError::InvalidRequest`] if there is none.
    pub fn grant_type(&self) -> Result<&str, IssuingError> {
        self.require("grant_type")
    }
}

impl Drop for TokenForm {
    fn drop(&mut self) {
        use zeroize::Zeroize;
        // Passwords and tokens.
        for (_, value) in &mut self.parameters {
            value.zeroize();
        }
    }
}

impl fmt::Debug for TokenForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenForm").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn form_parameters_are_unambiguous_or_an_error() {
        let form = TokenForm::parse(b"a=1&b=&c&d=%20x+y&=e").unwrap();
        assert_eq!(form.get("a"), Some("1"));
        assert_eq!(form.get("b"), None);
        assert_eq!(form.get("c"), None);
        assert_eq!(form.get("d"), Some(" x y"));
        assert!(TokenForm::parse(b"").is_ok());
        let many = "x=1&".repeat(3) + "y=2";
        for bad in [
            &b"a=1&a=1"[..],
            b"a=1&%61=2",
            b"a=%ff",
            b"%ff=a",
            b"a=&a=",
            many.as_bytes(),
        ] {
            assert!(TokenForm::parse(bad).is_err(), "{bad:?}");
        }
        let many: String = (0..65).map(|number| format!("p{number}=1&")).collect();
        assert!(TokenForm::parse(many.as_bytes()).is_err());
    }
}
