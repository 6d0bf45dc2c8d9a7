//! The `Authorization` header field.

use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::credential::{Credential, CredentialSource, Scheme, UncheckedCredential};
use super::source::ExtractError;
use super::token68::is_token68;

/// Reads the `Authorization` field
/// ([RFC 9110 section 11.6.2](https://www.rfc-editor.org/rfc/rfc9110#section-11.6.2),
/// [RFC 6750 section 2.1](https://www.rfc-editor.org/rfc/rfc6750#section-2.1)).
///
/// Another scheme than the offered ones is no credential of ours, so it yields `None`.
pub(super) fn read<'a>(
    headers: &'a HeaderMap,
    offered: impl Fn(Scheme) -> bool,
    max_length: usize,
) -> Result<Option<Credential<'a>>, ExtractError> {
    find(headers, offered, max_length)?.map(check).transpose()
}

/// Returns the credential if its characters are those of token68.
#[inline]
pub(super) fn check(unchecked: UncheckedCredential<'_>) -> Result<Credential<'_>, ExtractError> {
    if is_token68(unchecked.token_bytes()) {
        Ok(unchecked.into_checked())
    } else {
        Err(ExtractError::Malformed)
    }
}

/// As [`read`], but the characters of the token have still to be [checked](check).
#[inline]
pub(super) fn find<'a>(
    headers: &'a HeaderMap,
    offered: impl Fn(Scheme) -> bool,
    max_length: usize,
) -> Result<Option<UncheckedCredential<'a>>, ExtractError> {
    let Some(value) = headers.get(AUTHORIZATION) else {
        return Ok(None);
    };
    // A singleton field (RFC 9110 section 11.6.2): which of two lines a proxy or a service behind
    // us would take is anybody's guess. With as many names as fields, each stands once.
    if headers.len() != headers.keys_len() && headers.get_all(AUTHORIZATION).iter().nth(1).is_some()
    {
        return Err(ExtractError::Multiple);
    }
    let bytes = value.as_bytes();
    if bytes.len() > max_length {
        return Err(ExtractError::TooLong);
    }
    let (scheme, scheme_end) = match bytes {
        // As nearly everybody writes it.
        [b'B', b'e', b'a', b'r', b'e', b'r', b' ', ..] => (Some(Scheme::Bearer), 6),
        _ => read_scheme(bytes),
    };
    let Some(scheme) = scheme.filter(|scheme| offered(*scheme)) else {
        return match bytes.is_ascii() {
            true => Ok(None),
            false => Err(ExtractError::Malformed),
        };
    };
    // 1*SP, then one token68 up to the end of the line.
    let spaces = bytes[scheme_end..]
        .iter()
        .take_while(|byte| **byte == b' ')
        .count();
    let start = scheme_end + spaces;
    if spaces == 0 {
        return Err(ExtractError::Malformed);
    }
    Ok(Some(UncheckedCredential::new(Credential::new(
        scheme,
        CredentialSource::Authorization,
        value,
        start..bytes.len(),
    ))))
}

/// The scheme, and where it ends. RFC 9110 section 11.1: it is compared without regard to case.
fn read_scheme(bytes: &[u8]) -> (Option<Scheme>, usize) {
    let end = bytes
        .iter()
        .position(|byte| matches!(byte, b' ' | b'\t'))
        .unwrap_or(bytes.len());
    let scheme = if bytes[..end].eq_ignore_ascii_case(b"bearer") {
        Some(Scheme::Bearer)
    } else if bytes[..end].eq_ignore_ascii_case(b"basic") {
        Some(Scheme::Basic)
    } else {
        None
    };
    (scheme, end)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn read_lines(lines: &[&[u8]]) -> Result<Option<String>, ExtractError> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(AUTHORIZATION, HeaderValue::from_bytes(line).unwrap());
        }
        read(&headers, |scheme| scheme == Scheme::Bearer, 40)
            .map(|found| found.map(|credential| credential.token().to_owned()))
    }

    #[test]
    fn authorization_header_follows_the_grammar_of_the_rfc() {
        struct Case {
            name: &'static str,
            lines: &'static [&'static [u8]],
            expected: Result<Option<&'static str>, ExtractError>,
        }
        use ExtractError::{Malformed, Multiple, TooLong};
        let cases = [
            Case {
                name: "no header",
                lines: &[],
                expected: Ok(None),
            },
            Case {
                name: "plain",
                lines: &[b"Bearer abc"],
                expected: Ok(Some("abc")),
            },
            // (B01: case of the scheme)
            Case {
                name: "lower case scheme",
                lines: &[b"bearer abc"],
                expected: Ok(Some("abc")),
            },
            Case {
                name: "upper case scheme",
                lines: &[b"BEARER abc"],
                expected: Ok(Some("abc")),
            },
            // (B02: one Authorization line)
            Case {
                name: "two lines",
                lines: &[b"Bearer abc", b"Bearer abc"],
                expected: Err(Multiple),
            },
            Case {
                name: "two lines, one foreign",
                lines: &[b"Bearer abc", b"Basic YTpi"],
                expected: Err(Multiple),
            },
            Case {
                name: "two lines, one empty",
                lines: &[b"Bearer abc", b""],
                expected: Err(Multiple),
            },
            // (B03: joined credentials)
            Case {
                name: "comma joined",
                lines: &[b"Bearer a, Bearer b"],
                expected: Err(Malformed),
            },
            Case {
                name: "comma in token",
                lines: &[b"Bearer a,b"],
                expected: Err(Malformed),
            },
            // (B04: white space)
            Case {
                name: "several spaces",
                lines: &[b"Bearer    abc"],
                expected: Ok(Some("abc")),
            },
            Case {
                name: "tab",
                lines: &[b"Bearer\tabc"],
                expected: Err(Malformed),
            },
            Case {
                name: "space and tab",
                lines: &[b"Bearer \tabc"],
                expected: Err(Malformed),
            },
            Case {
                name: "nbsp",
                lines: &[b"Bearer \xa0abc"],
                expected: Err(Malformed),
            },
            Case {
                name: "scheme alone",
                lines: &[b"Bearer"],
                expected: Err(Malformed),
            },
            Case {
                name: "scheme and space",
                lines: &[b"Bearer "],
                expected: Err(Malformed),
            },
            Case {
                name: "trailing space",
                lines: &[b"Bearer abc "],
                expected: Err(Malformed),
            },
            Case {
                name: "trailing junk",
                lines: &[b"Bearer abc def"],
                expected: Err(Malformed),
            },
            Case {
                name: "leading space",
                lines: &[b" Bearer abc"],
                expected: Ok(None),
            },
            // (B05: longer schemes)
            Case {
                name: "longer scheme",
                lines: &[b"BearerToken abc"],
                expected: Ok(None),
            },
            Case {
                name: "no space",
                lines: &[b"Bearerabc"],
                expected: Ok(None),
            },
            Case {
                name: "other scheme",
                lines: &[b"Basic YTpi"],
                expected: Ok(None),
            },
            Case {
                name: "auth-params",
                lines: &[b"Bearer token=\"abc\""],
                expected: Err(Malformed),
            },
            Case {
                name: "empty header",
                lines: &[b""],
                expected: Ok(None),
            },
            // (B06: token grammar)
            Case {
                name: "all characters",
                lines: &[b"Bearer aZ09-._~+/=="],
                expected: Ok(Some("aZ09-._~+/==")),
            },
            Case {
                name: "quote",
                lines: &[b"Bearer \"abc\""],
                expected: Err(Malformed),
            },
            // (B07: length limit) The boundary of the 40 bytes that are set above.
            Case {
                name: "longest",
                lines: &[b"Bearer 890123456789012345678901234567890"],
                expected: Ok(Some("890123456789012345678901234567890")),
            },
            Case {
                name: "too long",
                lines: &[b"Bearer 8901234567890123456789012345678901"],
                expected: Err(TooLong),
            },
            Case {
                name: "too long, other scheme",
                lines: &[b"Custom 8901234567890123456789012345678901"],
                expected: Err(TooLong),
            },
            // (B08: bytes beyond ASCII)
            Case {
                name: "obs-text in token",
                lines: &[b"Bearer ab\xffc"],
                expected: Err(Malformed),
            },
            Case {
                name: "obs-text in scheme",
                lines: &[b"B\xe4rer abc"],
                expected: Err(Malformed),
            },
            // (B16: placeholder tokens)
            Case {
                name: "null",
                lines: &[b"Bearer null"],
                expected: Ok(Some("null")),
            },
            Case {
                name: "undefined",
                lines: &[b"Bearer undefined"],
                expected: Ok(Some("undefined")),
            },
        ];
        for case in cases {
            let expected = case.expected.map(|token| token.map(str::to_owned));
            assert_eq!(read_lines(case.lines), expected, "{}", case.name);
        }
    }
}
