//! Which methods a rule means.

use std::fmt;

use http::Method;

/// A set of methods. Empty only by mistake, which `build` reports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MethodSet {
    named: Vec<Method>,
    /// The bits of those that have one.
    bits: u16,
}

/// The methods that everybody knows, as bits; 0 for another one.
#[inline]
fn bit(method: &Method) -> u16 {
    match *method {
        Method::GET => 1,
        Method::POST => 1 << 1,
        Method::PUT => 1 << 2,
        Method::DELETE => 1 << 3,
        Method::PATCH => 1 << 4,
        Method::OPTIONS => 1 << 5,
        Method::TRACE => 1 << 6,
        Method::HEAD => 1 << 7,
        Method::CONNECT => 1 << 8,
        _ => 0,
    }
}

impl MethodSet {
    pub(super) fn new(methods: impl IntoIterator<Item = Method>) -> Self {
        let mut named: Vec<Method> = Vec::new();
        for method in methods {
            if !named.contains(&method) {
                named.push(method);
            }
        }
        let bits = named.iter().fold(0, |bits, method| bits | bit(method));
        Self { named, bits }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.named.is_empty()
    }

    /// Whether a rule for these methods applies to `method`.
    ///
    /// Methods are compared with regard to case
    /// ([RFC 9110 section 9.1](https://www.rfc-editor.org/rfc/rfc9110#section-9.1)). `GET` means
    /// `HEAD`, which handlers of `GET` answer, and an extended `CONNECT`, which is how HTTP/2 asks
    /// for what is a `GET` with `Upgrade` in HTTP/1.1
    /// ([RFC 8441](https://www.rfc-editor.org/rfc/rfc8441#section-4)).
    #[inline]
    pub(super) fn applies(&self, method: &Method, opening: bool) -> bool {
        const GET: u16 = 1;
        match bit(method) {
            // Nobody names the methods that nobody knows of, but an `any` handler answers them.
            0 => !opening || self.named.contains(method),
            bit if self.bits & bit != 0 => true,
            _ => matches!(*method, Method::HEAD | Method::CONNECT) && self.bits & GET != 0,
        }
    }

    /// Whether a rule for `self` applies to every method that `other` names.
    pub(super) fn covers(&self, other: &Self, opening: bool) -> bool {
        other
            .named
            .iter()
            .all(|method| self.applies(method, opening))
    }
}

impl fmt::Display for MethodSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.named.is_empty() {
            return f.write_str("no method");
        }
        for (index, method) in self.named.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{method}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_applies_to_every_method_that_its_handlers_may_serve() {
        // (A13: case of paths and methods, A15: unlisted methods)
        let cases: &[(&[Method], &str, bool, bool)] = &[
            // methods, asked, restricting, opening
            (&[Method::GET], "GET", true, true),
            (&[Method::GET], "HEAD", true, true),
            (&[Method::GET], "CONNECT", true, true),
            (&[Method::GET], "POST", false, false),
            (&[Method::GET], "OPTIONS", false, false),
            (&[Method::GET], "get", true, false),
            (&[Method::GET], "GETX", true, false),
            (&[Method::GET], "PROPFIND", true, false),
            (&[Method::HEAD], "HEAD", true, true),
            (&[Method::HEAD], "GET", false, false),
            (&[Method::POST, Method::DELETE], "DELETE", true, true),
            (&[Method::POST, Method::DELETE], "PUT", false, false),
        ];
        for (methods, asked, restricting, opening) in cases {
            let set = MethodSet::new(methods.iter().cloned());
            let asked: Method = asked.parse().unwrap();
            assert_eq!(set.applies(&asked, false), *restricting, "{set} {asked}");
            assert_eq!(
                set.applies(&asked, true),
                *opening,
                "{set} {asked}, opening"
            );
        }
    }
}
