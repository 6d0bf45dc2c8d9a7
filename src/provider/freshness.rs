//! How long an answer says that it is fresh.

use std::time::Duration;

use http::HeaderMap;
use http::header::{AGE, CACHE_CONTROL};

/// The fresh time of an answer by its `Cache-Control: max-age` less its `Age`
/// ([RFC 9111 section 4.2](https://www.rfc-editor.org/rfc/rfc9111#section-4.2)), or nothing if it says
/// nothing usable. `no-store` and `no-cache` are no fresh time at all; `s-maxage` is for shared caches
/// and `Expires` for clocks that agree. The caller clamps it.
pub(crate) fn fresh_time(headers: &HeaderMap) -> Option<Duration> {
    let mut max_age = None;
    for value in headers.get_all(CACHE_CONTROL) {
        // A line that is no text says nothing.
        let Ok(line) = value.to_str() else { continue };
        for directive in line.split(',') {
            let (name, value) = match directive.split_once('=') {
                Some((name, value)) => (name.trim(), value.trim()),
                None => (directive.trim(), ""),
            };
            if name.eq_ignore_ascii_case("no-store") || name.eq_ignore_ascii_case("no-cache") {
                return Some(Duration::ZERO);
            }
            if name.eq_ignore_ascii_case("max-age") && max_age.is_none() {
                max_age = seconds(value);
            }
        }
    }
    let age = headers.get(AGE).and_then(|age| seconds(age.to_str().ok()?));
    max_age.map(|max_age| max_age.saturating_sub(age.unwrap_or_default()))
}

/// Whole seconds, also in quotes. More than can be counted is the most that can.
fn seconds(text: &str) -> Option<Duration> {
    let digits = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(Duration::from_secs(
        digits.parse().unwrap_or(u64::from(u32::MAX)),
    ))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn freshness_lifetime_is_parsed_from_the_response() {
        // (E15: clamped freshness)
        for (lines, age, expected) in [
            (&[][..], None, None),
            (&["max-age=300"], None, Some(300)),
            (&["public, MAX-AGE=300, must-revalidate"], None, Some(300)),
            (&["public,max-age = 300"], None, Some(300)),
            (&["max-age=\"300\""], None, Some(300)),
            (&["public", "max-age=300"], None, Some(300)),
            (&["max-age=300, max-age=600"], None, Some(300)),
            (&["s-maxage=300"], None, None),
            (&["x-max-age=300"], None, None),
            (&["max-age=0"], None, Some(0)),
            (&["max-age=300"], Some("100"), Some(200)),
            (&["max-age=300"], Some("301"), Some(0)),
            (&["max-age=300"], Some("-1"), Some(300)),
            (&["max-age=300"], Some("soon"), Some(300)),
            (&[], Some("100"), None),
            (&["max-age=-1"], None, None),
            (&["max-age=1.5"], None, None),
            (&["max-age=+5"], None, None),
            (&["max-age="], None, None),
            (&["max-age"], None, None),
            (&["max-age=\""], None, None),
            (&["no-store"], None, Some(0)),
            (&["No-Cache, max-age=300"], None, Some(0)),
            (&["max-age=300", "no-store"], None, Some(0)),
            (&["max-age=315360000"], None, Some(315_360_000)),
            (
                &["max-age=99999999999999999999999"],
                None,
                Some(4_294_967_295),
            ),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(CACHE_CONTROL, HeaderValue::from_static(line));
            }
            if let Some(age) = age {
                headers.insert(AGE, HeaderValue::from_static(age));
            }
            let expected = expected.map(Duration::from_secs);
            assert_eq!(fresh_time(&headers), expected, "{lines:?} {age:?}");
        }
        let mut headers = HeaderMap::new();
        headers.append(
            CACHE_CONTROL,
            HeaderValue::from_bytes(b"max-age=\xff").unwrap(),
        );
        assert_eq!(fresh_time(&headers), None);
    }
}
