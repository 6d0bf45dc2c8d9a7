//! Cross-site requests with a cookie, told by what the browser says of them.

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, HeaderName, Method, Uri};

use super::websocket;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether a request that authenticates by a cookie may be acted upon.
///
/// The rule is that of Go's `CrossOriginProtection`, with one addition: a WebSocket handshake is a
/// GET but not a safe one, since the socket carries on with the user's authority.
///
/// 1. GET, HEAD and OPTIONS pass, unless they open a WebSocket.
/// 2. `Sec-Fetch-Site` of `same-origin` or `none` passes.
/// 3. An `Origin` in `trusted` passes, compared whole and with its scheme.
/// 4. Any other `Sec-Fetch-Site` is refused, an unknown value too.
/// 5. Without `Sec-Fetch-Site`: no `Origin` passes (not a browser), an `Origin` with the host and
///    port of the request passes, everything else is refused.
///
/// The layer asks this by itself for its cookie [`Source`](crate::Source)s. It is public for handlers on public paths that
/// set a cookie or act by one: a login, a refresh. `trusted` are whole origins, `https://app.example.com`.
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
    if let Some(origin) = origin
        && trusted.iter().any(|known| known.as_bytes() == origin)
    {
        return true;
    }
    if site.is_some() {
        return false;
    }
    let Some(origin) = origin else {
        return true;
    };
    let Ok(host) = single(headers, HOST) else {
        return false;
    };
    let host = match (uri.authority(), host) {
        (Some(authority), _) => authority.as_str().as_bytes(),
        (None, Some(host)) => host,
        (None, None) => return false,
    };
    let Some(at) = origin.windows(3).position(|window| window == b"://") else {
        // `null`, of a sandboxed frame or a data URL.
        return false;
    };
    origin[at + 3..].eq_ignore_ascii_case(host)
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
    fn the_host_of_a_request_is_one_and_its_authority_comes_first() {
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

    #[test]
    fn a_cookie_acts_only_for_its_own_site() {
        // B10, L01, L02
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
