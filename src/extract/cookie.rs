//! A cookie by name.

use http::HeaderMap;
use http::header::COOKIE;

use super::credential::{Credential, CredentialSource, Scheme};
use super::source::ExtractError;
use super::token68::is_cookie_value;

/// Reads the cookie `name` ([RFC 6265 section 5.4](https://www.rfc-editor.org/rfc/rfc6265#section-5.4)).
///
/// HTTP/2 clients may split the field into several lines, so all are read. A name that stands
/// twice is refused: a cookie set for a parent domain or a longer path would otherwise decide
/// which session is meant.
pub(super) fn read<'a>(
    headers: &'a HeaderMap,
    name: &str,
    max_length: usize,
) -> Result<Option<Credential<'a>>, ExtractError> {
    let mut found = None;
    for value in headers.get_all(COOKIE) {
        let bytes = value.as_bytes();
        let mut start = 0;
        for pair in bytes.split(|byte| *byte == b';') {
            let pair_start = start;
            start += pair.len() + 1;
            let Some(equals) = pair.iter().position(|byte| *byte == b'=') else {
                continue;
            };
            if pair[..equals].trim_ascii() != name.as_bytes() {
                continue;
            }
            let raw = &pair[equals + 1..];
            let mut range = pair_start + equals + 1..pair_start + pair.len();
            range.start += raw.len() - raw.trim_ascii_start().len();
            range.end -= raw.len() - raw.trim_ascii_end().len();
            if range.start >= range.end {
                continue;
            }
            if range.len() >= 2 && bytes[range.start] == b'"' && bytes[range.end - 1] == b'"' {
                range = range.start + 1..range.end - 1;
            }
            if found.is_some() {
                return Err(ExtractError::Multiple);
            }
            if range.len() > max_length {
                return Err(ExtractError::TooLong);
            }
            if !is_cookie_value(&bytes[range.clone()]) {
                return Err(ExtractError::Malformed);
            }
            found = Some(Credential::new(
                Scheme::Cookie,
                CredentialSource::Cookie,
                value,
                range,
            ));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn cookie_is_found_by_its_exact_name() {
        use ExtractError::{Malformed, Multiple, TooLong};
        let cases: &[(&str, &[&[u8]], Result<Option<&str>, ExtractError>)] = &[
            ("none", &[], Ok(None)),
            ("alone", &[b"sid=abc"], Ok(Some("abc"))),
            ("among others", &[b"a=1; sid=abc; b=2"], Ok(Some("abc"))),
            ("without spaces", &[b"a=1;sid=abc;b=2"], Ok(Some("abc"))),
            ("second line", &[b"a=1", b"sid=abc"], Ok(Some("abc"))),
            ("value with equals", &[b"sid=abc=="], Ok(Some("abc=="))),
            ("quoted", &[b"sid=\"abc\""], Ok(Some("abc"))),
            ("longer name", &[b"xsid=abc; sidx=abc"], Ok(None)),
            ("other case", &[b"SID=abc"], Ok(None)),
            ("name in value", &[b"a=sid=abc"], Ok(None)),
            ("empty", &[b"sid="], Ok(None)),
            ("no equals", &[b"sid"], Ok(None)),
            ("twice", &[b"sid=a; sid=b"], Err(Multiple)),
            ("twice, two lines", &[b"sid=a", b"sid=a"], Err(Multiple)),
            ("space inside", &[b"sid=a b"], Err(Malformed)),
            ("empty quotes", &[b"sid=\"\""], Err(Malformed)),
            ("lone quote", &[b"sid=\""], Err(Malformed)),
            ("obs-text", &[b"sid=a\xff"], Err(Malformed)),
            ("longest", &[b"sid=12345678"], Ok(Some("12345678"))),
            ("too long", &[b"sid=123456789"], Err(TooLong)),
        ];
        for (name, lines, expected) in cases {
            let mut headers = HeaderMap::new();
            for line in *lines {
                headers.append(COOKIE, HeaderValue::from_bytes(line).unwrap());
            }
            let found = read(&headers, "sid", 8);
            let found = found
                .as_ref()
                .map(|found| found.as_ref().map(Credential::token))
                .map_err(|error| *error);
            assert_eq!(found, *expected, "{name}");
        }
    }
}
