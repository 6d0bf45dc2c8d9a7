//! The addresses to which requests may be sent.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use http::Uri;
use reqwest::Url;

/// An address to which requests may be sent: `https`, `http` to this machine, or `http` to the host that
/// [`AddressPolicy`] allows; no user, no fragment.
///
/// It is parsed by the parser of the HTTP client, so that the checked address is the one that receives the
/// request (E04: allowed addresses).
#[derive(Clone)]
pub(crate) struct CheckedUrl {
    url: Url,
    uri: Uri,
    transport: Transport,
}

/// How requests to an address are protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Tls,
    /// `http`, which does not leave this machine.
    Loopback,
    /// `http` over a network, to the host that the configuration names.
    Insecure,
}

/// The host other than this machine to which `http` is allowed (E04: allowed addresses). None by default.
#[derive(Clone, Debug, Default)]
pub(crate) struct AddressPolicy {
    insecure_http_host: Option<Arc<str>>,
}

const SCHEME: &str = "expected an `https` URL; `http` is accepted only for 127.0.0.0/8, [::1] and localhost, because keys and \
     tokens must not cross a network in the clear, and for the one host that `insecure_http_host` names";
const CHARACTERS: &str = "expected printable ASCII characters without spaces, `\\`, `\"`, `<` and `>`; write international names in their ASCII form";
const HOST: &str = "expected one host name or address without scheme, port and path; write an IPv6 address in brackets";

impl CheckedUrl {
    fn new(url: Url, transport: Transport) -> Result<Self, &'static str> {
        let uri = url
            .as_str()
            .parse::<Uri>()
            .map_err(|_| "expected a URL that is valid in a request")?;
        Ok(Self {
            url,
            uri,
            transport,
        })
    }

    /// The address in normal form, for a request.
    pub(crate) fn uri(&self) -> &Uri {
        &self.uri
    }

    pub(crate) fn transport(&self) -> Transport {
        self.transport
    }

    /// Returns whether the text of the address names this machine. A name that the DNS resolves to it is not recognized.
    #[cfg(feature = "oidc")]
    pub(crate) fn names_this_machine(&self) -> bool {
        let host = self.url.host_str().unwrap_or_default();
        let host = host.strip_suffix('.').unwrap_or(host);
        let v6 = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let mapped = v6
            .and_then(|v6| v6.parse().ok())
            .and_then(|ip: Ipv6Addr| ip.to_ipv4_mapped());
        is_loopback(&self.url)
            || host == "localhost"
            || host.ends_with(".localhost")
            || mapped.is_some_and(|ip| ip.is_loopback())
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
        // The scheme and the host are those that were checked.
        Self::new(url, self.transport)
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

impl AddressPolicy {
    /// Allows `http` to `host`, and to no other. The error says what was expected.
    pub(crate) fn allowing_http_to(host: &str) -> Result<Self, &'static str> {
        let bracketed = host.starts_with('[') && host.ends_with(']');
        let is_host = |byte: u8| byte.is_ascii_graphic() && !b"\\\"<>/?#@%".contains(&byte);
        if host.is_empty() || !host.bytes().all(is_host) || host.contains(':') && !bracketed {
            return Err(HOST);
        }
        // Normalized as the parser normalizes the host of an address.
        let url = Url::parse(&format!("http://{host}/")).map_err(|_| HOST)?;
        Ok(Self {
            insecure_http_host: Some(Arc::from(url.host_str().ok_or(HOST)?)),
        })
    }

    /// Returns whether `http` is allowed to this machine alone.
    pub(crate) fn is_default(&self) -> bool {
        self.insecure_http_host.is_none()
    }

    /// Checks an address. The error says what was expected.
    pub(crate) fn check(&self, text: &str) -> Result<CheckedUrl, &'static str> {
        // The parser drops tabs and line ends, trims spaces and takes `\` for `/`. The text that an operator
        // reads must be the address that is used.
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"\\\"<>".contains(&byte);
        if !text.bytes().all(is_plain) {
            return Err(CHARACTERS);
        }
        let url = Url::parse(text).map_err(|_| SCHEME)?;
        let transport = match url.scheme() {
            "https" => Transport::Tls,
            "http" if is_loopback(&url) => Transport::Loopback,
            // The whole host and nothing that ends with it.
            "http"
                if url.host_str().is_some()
                    && url.host_str() == self.insecure_http_host.as_deref() =>
            {
                Transport::Insecure
            }
            _ => return Err(SCHEME),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err("expected no user and no password in it");
        }
        if url.fragment().is_some() {
            return Err("expected no `#`");
        }
        CheckedUrl::new(url, transport)
    }
}

/// Checks an address where `http` is allowed to this machine only. The error says what was expected.
pub(crate) fn checked_url(text: &str) -> Result<CheckedUrl, &'static str> {
    AddressPolicy::default().check(text)
}

/// Returns an address that was received, as it is shown in an error: as [`shown`] does, and shortened.
pub(crate) fn shown_foreign(text: &str) -> String {
    const MAX_SHOWN: usize = 256;
    shown(text)
        .chars()
        .filter(|character| !character.is_control())
        .take(MAX_SHOWN)
        .collect()
}

/// Returns the origin of an address that was received. Its path may repeat a token that was sent (J03: no
/// secrets in output).
#[cfg(feature = "introspection")]
pub(crate) fn shown_origin(text: &str) -> String {
    match Url::parse(text) {
        Ok(url) if url.has_host() => shown_foreign(&url.origin().ascii_serialization()),
        _ => "another address of the same server".to_owned(),
    }
}

/// The address without user, password and query, for an error about an address that is refused.
pub(crate) fn shown(text: &str) -> String {
    let (kept, query) = match text.split_once(['?', '#']) {
        Some((kept, rest)) => {
            // The parser ends a password at `?` or `#` (J03: no secrets in texts).
            if rest.contains('@') {
                let start = kept.find("://").map_or(0, |scheme| scheme + 3);
                return format!("{}...", &kept[..start]);
            }
            (kept, "?...")
        }
        None => (text, ""),
    };
    match (kept.rfind('@'), kept.find("://")) {
        (Some(at), Some(scheme)) if scheme + 3 <= at => {
            format!("{}...{}{query}", &kept[..scheme + 3], &kept[at..])
        }
        (Some(at), _) => format!("...{}{query}", &kept[at..]),
        (None, _) => format!("{kept}{query}"),
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
    fn only_https_and_loopback_urls_are_allowed() {
        // (E04: allowed addresses)
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
    fn insecure_http_host_allows_one_exact_host() {
        // (E04: allowed addresses, M16: metadata and issuer)
        for (host, url, is_allowed) in [
            ("keycloak", "http://keycloak:8080/realms/shop", true),
            ("KeyCloak", "http://keycloak/", true),
            ("keycloak", "http://KEYCLOAK/", true),
            ("10.0.0.7", "http://10.0.0.7:8080/", true),
            ("167772167", "http://10.0.0.7/", true),
            ("[fd00::7]", "http://[fd00:0::7]:8080/", true),
            ("keycloak", "http://keycloak./", false),
            ("keycloak", "http://keycloak.example/", false),
            ("keycloak", "http://a.keycloak/", false),
            ("keycloak", "http://my-keycloak/", false),
            ("keycloak", "http://keycloak@evil.example/", false),
            ("keycloak", "http://evil.example/?keycloak", false),
            ("keycloak", "http://evil.example#@keycloak/", false),
            ("keycloak", "ftp://keycloak/", false),
            ("keycloak", "http://user@keycloak/", false),
            ("example", "http://issuer.example/", false),
            ("*", "http://issuer.example/", false),
            (".example", "http://issuer.example/", false),
        ] {
            let policy = AddressPolicy::allowing_http_to(host).expect(host);
            let found = policy.check(url).ok().map(|url| url.transport());
            let expected = is_allowed.then_some(Transport::Insecure);
            assert_eq!(found, expected, "{host} {url}");
            assert!(checked_url(url).is_err(), "{url}");
        }
        for host in [
            "",
            "keycloak:8080",
            "http://keycloak",
            "keycloak/",
            "a@keycloak",
            "keycloak?",
            "keycloak#",
            "key cloak",
            "a\\b",
            "fd00::7",
            "[fd00::7]:80",
            "%6beycloak",
            "a b",
            "b\u{fc}cher",
        ] {
            assert!(AddressPolicy::allowing_http_to(host).is_err(), "{host:?}");
        }
        // The other rules hold as before.
        let policy = AddressPolicy::allowing_http_to("keycloak").unwrap();
        for (url, transport) in [
            ("https://keycloak/", Transport::Tls),
            ("http://localhost/", Transport::Loopback),
        ] {
            assert_eq!(policy.check(url).unwrap().transport(), transport);
        }
    }

    #[cfg(feature = "oidc")]
    #[test]
    fn loopback_names_are_recognized_for_http_and_https() {
        // E07: the metadata of the configured issuer
        for (url, expected) in [
            ("http://127.0.0.1:8080/", true),
            ("https://127.0.0.1/", true),
            ("https://127.1/", true),
            ("https://127.0.0.1./", true),
            ("https://[::1]/", true),
            ("https://[::ffff:127.0.0.1]/", true),
            ("https://localhost:8443/", true),
            ("https://LOCALHOST./", true),
            ("https://idp.localhost/", true),
            ("https://10.0.0.1/", false),
            ("https://[::ffff:10.0.0.1]/", false),
            ("https://localhost.example/", false),
            ("https://mylocalhost/", false),
            ("https://issuer.example/?localhost", false),
        ] {
            let found = checked_url(url).expect(url).names_this_machine();
            assert_eq!(found, expected, "{url}");
        }
    }

    #[test]
    fn url_is_shown_without_credentials_and_query() {
        // (E14: details for the operator)
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
            ("https://user:sec?ret@a.example/b", "https://..."),
            ("https://user:sec#ret@a.example/b", "https://..."),
            ("https://user:s/ec?ret@a.example/b", "https://..."),
            ("user:sec?ret@a.example", "..."),
            ("secret?://a@b", "..."),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
        let url = checked_url("https://a.example/b?code=secret").unwrap();
        assert_eq!(url.shown(), "https://a.example/b?...");
        assert_eq!(format!("{url:?}"), "https://a.example/b?...");
    }
}
