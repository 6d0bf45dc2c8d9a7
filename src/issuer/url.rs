//! Which addresses may be asked.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use http::Uri;
use reqwest::Url;

/// An address that may be asked: `https`, or `http` on this machine; no user, no fragment.
///
/// It is parsed by the parser of the HTTP client, so that what is checked is what is asked (E04).
#[derive(Clone)]
pub(crate) struct CheckedUrl {
    url: Url,
    uri: Uri,
}

const SCHEME: &str = "expected an `https` URL; `http` is accepted only for 127.0.0.0/8, [::1] and localhost, because keys and \
     tokens must not cross a network in the clear";
const CHARACTERS: &str = "expected printable ASCII characters without spaces, `\\`, `\"`, `<` and `>`; write international names in their ASCII form";

impl CheckedUrl {
    /// The address in normal form, for a request.
    pub(crate) fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Whether it is `http`, which is only so on this machine.
    pub(crate) fn is_plain(&self) -> bool {
        self.url.scheme() == "http"
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// The same server with another path and without a query.
    #[cfg(feature = "oidc")]
    pub(crate) fn with_path(&self, path: &str) -> Result<Self, &'static str> {
        let mut url = self.url.clone();
        url.set_path(path);
        url.set_query(None);
        checked_url(url.as_str())
    }

    #[cfg(feature = "oidc")]
    pub(crate) fn path(&self) -> &str {
        self.url.path()
    }

    /// For logs: a query may hold a secret.
    pub(crate) fn shown(&self) -> String {
        let mut url = self.url.clone();
        url.set_query(self.url.query().map(|_| "..."));
        url.into()
    }
}

impl fmt::Debug for CheckedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

/// Checks an address. The error says what was expected.
pub(crate) fn checked_url(text: &str) -> Result<CheckedUrl, &'static str> {
    // The parser drops tabs and line ends, trims spaces and takes `\` for `/`. What looks like one
    // address to the reader must not be another one.
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"\\\"<>".contains(&byte);
    if !text.bytes().all(is_plain) {
        return Err(CHARACTERS);
    }
    let url = Url::parse(text).map_err(|_| SCHEME)?;
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&url) => {}
        _ => return Err(SCHEME),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("expected no user and no password in it");
    }
    if url.fragment().is_some() {
        return Err("expected no `#`");
    }
    let uri = url
        .as_str()
        .parse::<Uri>()
        .map_err(|_| "expected a URL that can stand in a request")?;
    Ok(CheckedUrl { url, uri })
}

/// The address without user, password and query, for an error about an address that is refused.
pub(crate) fn shown(text: &str) -> String {
    let (text, query) = match text.split_once(['?', '#']) {
        Some((text, _)) => (text, "?..."),
        None => (text, ""),
    };
    match (text.rfind('@'), text.find("://")) {
        (Some(at), Some(scheme)) if scheme + 3 <= at => {
            format!("{}...{}{query}", &text[..scheme + 3], &text[at..])
        }
        (Some(at), _) => format!("...{}{query}", &text[at..]),
        (None, _) => format!("{text}{query}"),
    }
}

/// By name or by address. The fetcher does not ask the DNS for `localhost`.
fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let v6 = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    match v6 {
        Some(v6) => v6.parse().is_ok_and(|ip: Ipv6Addr| ip.is_loopback()),
        None => host == "localhost" || host.parse().is_ok_and(|ip: Ipv4Addr| ip.is_loopback()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_or_this_machine_is_asked() {
        // E04
        for (text, expected) in [
            ("https://issuer.example", Some("https://issuer.example/")),
            (
                "https://issuer.example:8443/a?b=c",
                Some("https://issuer.example:8443/a?b=c"),
            ),
            ("HTTPS://Issuer.Example/A", Some("https://issuer.example/A")),
            (
                "https://issuer.example/a/../b",
                Some("https://issuer.example/b"),
            ),
            ("https://10.0.0.1/", Some("https://10.0.0.1/")),
            ("http://127.0.0.1:80/a", Some("http://127.0.0.1/a")),
            (
                "http://127.255.255.254:1234",
                Some("http://127.255.255.254:1234/"),
            ),
            ("http://127.1/", Some("http://127.0.0.1/")),
            ("http://2130706433/", Some("http://127.0.0.1/")),
            ("http://[::1]:8080/a", Some("http://[::1]:8080/a")),
            ("http://LOCALHOST:8080/", Some("http://localhost:8080/")),
            ("http://issuer.example/", None),
            ("http://10.0.0.1/", None),
            ("http://128.0.0.1/", None),
            ("http://0.0.0.0/", None),
            ("http://[::]/", None),
            ("http://[::ffff:127.0.0.1]/", None),
            ("http://localhost./", None),
            ("http://localhost.example/", None),
            ("http://127.0.0.1.example/", None),
            ("http://127.0.0.1@issuer.example/", None),
            ("http://issuer.example#@127.0.0.1/", None),
            ("http://issuer.example\\@127.0.0.1/", None),
            ("https://user@issuer.example/", None),
            ("https://user:password@issuer.example/", None),
            ("https://:password@issuer.example/", None),
            ("https://issuer.example/#", None),
            ("https://issuer.example/#fragment", None),
            (" https://issuer.example/", None),
            ("https://issuer.example/ ", None),
            ("https://issuer.exa\tmple/", None),
            ("https://issuer.exa\nmple/", None),
            ("https://issuer.example/\u{0}", None),
            ("https://b\u{fc}cher.example/", None),
            ("https://", None),
            ("https:///", None),
            ("issuer.example", None),
            ("//issuer.example", None),
            ("ftp://issuer.example/", None),
            ("file:///etc/passwd", None),
            ("data:,x", None),
            ("", None),
        ] {
            let found = checked_url(text);
            let found = found.as_ref().ok().map(|url| url.uri().to_string());
            assert_eq!(found.as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn no_secret_of_an_address_is_shown() {
        // E14
        for (text, expected) in [
            ("https://a.example/b", "https://a.example/b"),
            ("https://a.example/b?code=secret", "https://a.example/b?..."),
            ("https://user:secret@a.example/b", "https://...@a.example/b"),
            (
                "https://user:secret@a.example/b?secret",
                "https://...@a.example/b?...",
            ),
            (
                "https://us@er:secret@a.example/b",
                "https://...@a.example/b",
            ),
            ("user:secret@a.example", "...@a.example"),
            ("https://a.example/#secret", "https://a.example/?..."),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
        let url = checked_url("https://a.example/b?code=secret").unwrap();
        assert_eq!(url.shown(), "https://a.example/b?...");
        assert_eq!(format!("{url:?}"), "https://a.example/b?...");
    }
}
