//! Cross-site requests with a credential that browsers attach, recognized by Fetch metadata.

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, HeaderName, Method, Uri};

use super::websocket;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Returns whether a request may act with a credential that browsers attach by themselves.
///
/// Browsers attach cookies, Basic and Digest credentials and TLS client certificates to requests that
/// another site causes. The rule is that of Go's `CrossOriginProtection`, with one addition: a WebSocket handshake is a
/// GET but not a safe one, since the socket carries on with the user's authority.
///
/// 1. GET, HEAD and OPTIONS pass, unless they open a WebSocket.
/// 2. `Sec-Fetch-Site` of `same-origin` or `none` passes.
/// 3. An `Origin` in `trusted` passes: scheme, host and port are equal.
/// 4. Any other `Sec-Fetch-Site` is refused, an unknown value too.
/// 5. Without `Sec-Fetch-Site`: no `Origin` passes (not a browser), an `Origin` with the host and
///    port of the request passes, everything else is refused.
///
/// A port that is absent or empty is the default port of the scheme: 443 for `https` and `wss`, 80 for `http`
/// and `ws`. The host and port of the request are those of its URI (the `:authority` of HTTP/2) or of `Host`.
/// Behind a proxy, neither contains the scheme. The default port is therefore that of the `Origin`, and only
/// an `Origin` with one of these four schemes can match the request.
///
/// The layer calls this function for its [`Source::cookie`](crate::Source::cookie) and
/// [`Source::basic`](crate::Source::basic). Call it in handlers on public paths that set or use a cookie,
/// such as a login or a refresh, and in policies of services whose TLS server accepts client certificates.
/// `trusted` are whole origins, such as `https://app.example.com`.
///
/// # Example
///
/// ```
/// use http::{HeaderMap, Method, Uri};
/// use tower_bearer::permits_cookie;
///
/// let uri = Uri::from_static("/session");
/// let mut headers = HeaderMap::new();
/// headers.insert("sec-fetch-site", "cross-site".parse().unwrap());
/// assert!(!permits_cookie(&Method::POST, &uri, &headers, &[]));
/// headers.insert("sec-fetch-site", "same-origin".parse().unwrap());
/// assert!(permits_cookie(&Method::POST, &uri, &headers, &[]));
/// ```
#[must_use]
pub fn permits_cookie(method: &Method, uri: &Uri, headers: &HeaderMap, trusted: &[String]) -> bool {
    let safe = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    if safe && !websocket::is_handshake(method, headers) {
        return true;
    }
    let Ok(origin) = single(headers, ORIGIN) else {
        return false;
    };
    let Ok(site) = single(headers, SEC_FETCH_SITE) else {
        return false;
    };
    if matches!(site, Some(b"same-origin" | b"none")) {
        return true;
    }
    let Some(origin) = origin else {
        return site.is_none();
    };
    // `null` is the origin of a sandboxed frame or a data URL. It equals no origin.
    let Some(origin) = Origin::parse(origin) else {
        return false;
    };
    if trusted
        .iter()
        .any(|known| Origin::parse(known.as_bytes()).is_some_and(|known| known.equals(&origin)))
    {
        return true;
    }
    if site.is_some() {
        return false;
    }
    let Ok(host) = single(headers, HOST) else {
        return false;
    };
    match (uri.authority(), host) {
        (Some(authority), _) => origin.is_at(authority.as_str().as_bytes()),
        (None, Some(host)) => origin.is_at(host),
        (None, None) => false,
    }
}

/// A scheme, a host and a port
/// ([RFC 6454 section 4](https://www.rfc-editor.org/rfc/rfc6454#section-4)).
struct Origin<'a> {
    scheme: &'a [u8],
    host: &'a [u8],
    /// The default port of the scheme if none is written; `None` if the scheme has none.
    port: Option<u16>,
}

impl<'a> Origin<'a> {
    fn parse(text: &'a [u8]) -> Option<Self> {
        let at = text.windows(3).position(|window| window == b"://")?;
        let scheme = &text[..at];
        let (host, port) = split_authority(&text[at + 3..])?;
        Some(Self {
            scheme,
            host,
            port: port.or(default_port(scheme)),
        })
    }

    fn equals(&self, other: &Self) -> bool {
        self.scheme.eq_ignore_ascii_case(other.scheme)
            && self.host.eq_ignore_ascii_case(other.host)
            && self.port == other.port
    }

    /// Returns whether a request for `authority` has this origin, if its scheme is the same.
    fn is_at(&self, authority: &[u8]) -> bool {
        let Some(default_port) = default_port(self.scheme) else {
            return false;
        };
        split_authority(authority).is_some_and(|(host, port)| {
            host.eq_ignore_ascii_case(self.host) && Some(port.unwrap_or(default_port)) == self.port
        })
    }
}

fn default_port(scheme: &[u8]) -> Option<u16> {
    [
        (b"http".as_slice(), 80),
        (b"https", 443),
        (b"ws", 80),
        (b"wss", 443),
    ]
    .into_iter()
    .find_map(|(known, port)| scheme.eq_ignore_ascii_case(known).then_some(port))
}

/// Returns the host and the port of an authority ([RFC 3986 section
/// 3.2](https://www.rfc-editor.org/rfc/rfc3986#section-3.2)). An empty port counts as absent. Returns `None`
/// for text that is invalid in both `Host` and `Origin`, such as user information.
fn split_authority(authority: &[u8]) -> Option<(&[u8], Option<u16>)> {
    let host_end = if authority.first() == Some(&b'[') {
        authority.iter().position(|byte| *byte == b']')? + 1
    } else {
        let end = authority.iter().position(|byte| *byte == b':');
        end.unwrap_or(authority.len())
    };
    let (host, port) = authority.split_at(host_end);
    let is_host = match host {
        [b'[', address @ .., b']'] => address
            .iter()
            .all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.')),
        name => {
            !name.is_empty()
                && name
                    .iter()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(byte))
        }
    };
    if !is_host {
        return None;
    }
    let port = match port {
        [] | [b':'] => None,
        [b':', digits @ ..] if digits.iter().all(u8::is_ascii_digit) => {
            Some(std::str::from_utf8(digits).ok()?.parse().ok()?)
        }
        _ => return None,
    };
    Some((host, port))
}

fn single(headers: &HeaderMap, name: HeaderName) -> Result<Option<&[u8]>, ()> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(());
    }
    Ok(first.map(http::HeaderValue::as_bytes))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn request_has_one_host_and_the_authority_wins() {
        let origin = ("origin", "https://api.example.com");
        let cases: &[(&str, &str, &[(&str, &str)], bool)] = &[
            ("host", "/", &[origin, ("host", "api.example.com")], true),
            (
                "two hosts",
                "/",
                &[
                    origin,
                    ("host", "api.example.com"),
                    ("host", "evil.example"),
                ],
                false,
            ),
            ("no host", "/", &[origin], false),
            ("authority", "https://api.example.com/", &[origin], true),
            (
                "authority before host",
                "https://other.example/",
                &[origin, ("host", "api.example.com")],
                false,
            ),
        ];
        for (name, uri, fields, expected) in cases {
            let mut request = Request::post(*uri);
            for (field, value) in *fields {
                request = request.header(*field, *value);
            }
            let request = request.body(()).unwrap();
            let permits = permits_cookie(request.method(), request.uri(), request.headers(), &[]);
            assert_eq!(permits, *expected, "{name}");
        }
    }

    // M11: default ports are filled in, for `Host`, `:authority`, `Origin` and trusted origins.
    #[test]
    fn origins_with_and_without_default_port_are_equal() {
        // Origin, host of the request, and whether they are the same.
        let cases = [
            ("https://a.example", "a.example", true),
            ("https://a.example", "a.example:443", true),
            ("https://a.example:443", "a.example", true),
            ("http://a.example", "a.example:80", true),
            ("http://a.example:80", "a.example", true),
            ("wss://a.example", "a.example:443", true),
            ("ws://a.example", "a.example:80", true),
            ("https://a.example", "a.example:80", false),
            ("http://a.example", "a.example:443", false),
            ("https://a.example", "a.example:8443", false),
            ("https://a.example:8443", "a.example", false),
            ("https://a.example:8443", "a.example:8443", true),
            // Case of scheme and host.
            ("https://a.example", "A.EXAMPLE:443", true),
            ("HTTPS://A.example", "a.example", true),
            // An empty port is the default one, and leading zeros are no other number.
            ("https://a.example", "a.example:", true),
            ("https://a.example:", "a.example:443", true),
            ("https://a.example", "a.example:0443", true),
            ("https://a.example", "a.example:04430", false),
            // Port 0 is a port, and not the default one.
            ("https://a.example", "a.example:0", false),
            ("https://a.example:0", "a.example", false),
            ("https://a.example:0", "a.example:0", true),
            ("https://a.example:65979", "a.example:443", false),
            ("https://a.example:443", "a.example:65979", false),
            ("https://a.example:+443", "a.example", false),
            ("https://a.example:443x", "a.example", false),
            // IPv6 literals.
            ("https://[::1]", "[::1]:443", true),
            ("https://[::1]:443", "[::1]", true),
            ("https://[2001:DB8::1]", "[2001:db8::1]", true),
            ("http://[::1]:8080", "[::1]:8080", true),
            ("http://[::1]:8080", "[::1]", false),
            ("https://[::1]", "[::2]", false),
            ("https://[::1", "[::1", false),
            ("https://[::1]x", "[::1]x", false),
            ("https://::1", "::1", false),
            // Neither has user information, a path or a second authority.
            ("https://user@a.example", "a.example", false),
            ("https://user@a.example", "user@a.example", false),
            ("https://a.example", "user@a.example", false),
            ("https://a.example/", "a.example", false),
            ("https://a.example/x", "a.example/x", false),
            ("https://a.example?", "a.example?", false),
            ("https://a.example https://b.example", "a.example", false),
            ("https://a.example\\", "a.example\\", false),
            // Another host.
            ("https://a.example.", "a.example", false),
            ("https://a.example.evil", "a.example", false),
            ("https://evil-a.example", "a.example", false),
            // No origin that a request can have.
            ("null", "null", false),
            ("null", "a.example", false),
            ("", "", false),
            ("https://", "", false),
            ("https://:443", ":443", false),
            ("a.example", "a.example", false),
            ("capacitor://localhost", "localhost", false),
            ("chrome-extension://abcdef", "abcdef", false),
        ];
        let post = |uri: &str, fields: &[(&str, &str)], trusted: &[String]| {
            let mut request = Request::post(uri);
            for (name, value) in fields {
                request = request.header(*name, *value);
            }
            let request = request.body(()).unwrap();
            permits_cookie(request.method(), request.uri(), request.headers(), trusted)
        };
        for (origin, host, expected) in cases {
            let found = post("/", &[("origin", origin), ("host", host)], &[]);
            assert_eq!(found, expected, "Origin {origin:?}, Host {host:?}");
            for scheme in ["http", "https"] {
                let uri = format!("{scheme}://{host}/");
                if uri.parse::<Uri>().is_ok() && !host.contains(['/', '?']) {
                    let found = post(&uri, &[("origin", origin)], &[]);
                    assert_eq!(found, expected, "Origin {origin:?}, URI {uri:?}");
                }
            }
        }
        for (trusted, origin, expected) in [
            ("https://a.example", "https://a.example", true),
            ("https://a.example:443", "https://a.example", true),
            ("https://a.example", "https://a.example:443", true),
            ("http://a.example:80", "http://a.example", true),
            ("https://a.example", "http://a.example:443", false),
            ("https://a.example", "http://a.example", false),
            ("https://a.example", "https://a.example:8443", false),
            ("https://[::1]:443", "https://[::1]", true),
            ("capacitor://localhost", "capacitor://localhost", true),
            ("capacitor://localhost", "capacitor://localhost:80", false),
            ("null", "null", false),
            ("*", "https://a.example", false),
        ] {
            let fields = [
                ("origin", origin),
                ("host", "api.example"),
                ("sec-fetch-site", "cross-site"),
            ];
            let found = post("/", &fields, &[trusted.to_owned()]);
            assert_eq!(found, expected, "trusted {trusted:?}, Origin {origin:?}");
        }
    }

    #[test]
    fn cookie_is_accepted_only_from_its_own_site() {
        // (B10: cross-site requests, L01: exact origins, L02: unknown values)
        let trusted = [String::from("https://app.example.com")];
        let cases: &[(&str, &str, &[(&str, &str)], bool)] = &[
            ("safe", "GET", &[("sec-fetch-site", "cross-site")], true),
            ("head", "HEAD", &[("sec-fetch-site", "cross-site")], true),
            (
                "same origin",
                "POST",
                &[("sec-fetch-site", "same-origin")],
                true,
            ),
            (
                "typed by the user",
                "POST",
                &[("sec-fetch-site", "none")],
                true,
            ),
            (
                "same site",
                "POST",
                &[("sec-fetch-site", "same-site")],
                false,
            ),
            (
                "cross site",
                "POST",
                &[("sec-fetch-site", "cross-site")],
                false,
            ),
            (
                "unknown value",
                "POST",
                &[("sec-fetch-site", "maybe")],
                false,
            ),
            ("empty value", "POST", &[("sec-fetch-site", "")], false),
            (
                "other case",
                "POST",
                &[("sec-fetch-site", "Same-Origin")],
                false,
            ),
            (
                "twice",
                "POST",
                &[
                    ("sec-fetch-site", "same-origin"),
                    ("sec-fetch-site", "cross-site"),
                ],
                false,
            ),
            ("no browser", "POST", &[], true),
            (
                "origin is host",
                "POST",
                &[("origin", "https://api.example.com")],
                true,
            ),
            (
                "origin is host, other port",
                "POST",
                &[("origin", "https://api.example.com:8443")],
                false,
            ),
            (
                "origin is another host",
                "POST",
                &[("origin", "https://evil.example")],
                false,
            ),
            (
                "origin ends like host",
                "POST",
                &[("origin", "https://evil-api.example.com")],
                false,
            ),
            ("origin null", "POST", &[("origin", "null")], false),
            (
                "two origins",
                "POST",
                &[
                    ("origin", "https://api.example.com"),
                    ("origin", "https://evil.example"),
                ],
                false,
            ),
            (
                "trusted",
                "POST",
                &[
                    ("sec-fetch-site", "same-site"),
                    ("origin", "https://app.example.com"),
                ],
                true,
            ),
            (
                "trusted, other scheme",
                "POST",
                &[
                    ("sec-fetch-site", "cross-site"),
                    ("origin", "http://app.example.com"),
                ],
                false,
            ),
            (
                "delete",
                "DELETE",
                &[("sec-fetch-site", "cross-site")],
                false,
            ),
            (
                "own method",
                "get",
                &[("sec-fetch-site", "cross-site")],
                false,
            ),
            (
                "websocket",
                "GET",
                &[("upgrade", "websocket"), ("origin", "https://evil.example")],
                false,
            ),
            (
                "websocket, own origin",
                "GET",
                &[
                    ("upgrade", "WebSocket"),
                    ("origin", "https://api.example.com"),
                ],
                true,
            ),
            (
                "extended connect",
                "CONNECT",
                &[("sec-fetch-site", "cross-site")],
                false,
            ),
        ];
        for (name, method, fields, expected) in cases {
            let mut request = Request::builder()
                .method(*method)
                .uri("/")
                .header("host", "api.example.com");
            for (field, value) in *fields {
                request = request.header(*field, *value);
            }
            let request = request.body(()).unwrap();
            assert_eq!(
                permits_cookie(request.method(), request.uri(), request.headers(), &trusted),
                *expected,
                "{name}"
            );
        }
    }
}
