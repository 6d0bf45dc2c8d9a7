//! A token among the subprotocols of a WebSocket handshake.

use http::header::{CONNECTION, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http::{HeaderMap, Method};

use super::credential::{Credential, CredentialSource, Scheme};
use super::source::ExtractError;
use super::token68::{is_token, is_token68};

/// Whether the request asks for a WebSocket: `Upgrade: websocket`
/// ([RFC 6455 section 4.1](https://www.rfc-editor.org/rfc/rfc6455#section-4.1)) or an extended
/// CONNECT ([RFC 8441](https://www.rfc-editor.org/rfc/rfc8441#section-4)).
pub(super) fn is_handshake(method: &Method, headers: &HeaderMap) -> bool {
    if *method == Method::CONNECT {
        return true;
    }
    *method == Method::GET
        && (has_token(headers, UPGRADE, b"websocket") || has_token(headers, CONNECTION, b"upgrade"))
}

fn has_token(headers: &HeaderMap, name: http::HeaderName, token: &[u8]) -> bool {
    headers.get_all(name).iter().any(|value| {
        value
            .as_bytes()
            .split(|byte| *byte == b',')
            .any(|part| part.trim_ascii().eq_ignore_ascii_case(token))
    })
}

/// Reads the element behind `marker`: `new WebSocket(url, ["bearer", token])` sends
/// `Sec-WebSocket-Protocol: bearer, <token>`.
pub(super) fn read<'a>(
    headers: &'a HeaderMap,
    marker: &str,
    max_length: usize,
) -> Result<Option<Credential<'a>>, ExtractError> {
    let mut found = None;
    let mut after_marker = false;
    for value in headers.get_all(SEC_WEBSOCKET_PROTOCOL) {
        let bytes = value.as_bytes();
        let mut start = 0;
        for element in bytes.split(|byte| *byte == b',') {
            let lead = element.len() - element.trim_ascii_start().len();
            let text = element.trim_ascii();
            let range = start + lead..start + lead + text.len();
            start += element.len() + 1;
            if after_marker {
                after_marker = false;
                if found.is_some() {
                    return Err(ExtractError::Multiple);
                }
                if text.len() > max_length {
                    return Err(ExtractError::TooLong);
                }
                // A list element is a token, and a bearer credential a token68.
                if !is_token(text) || !is_token68(text) {
                    return Err(ExtractError::Malformed);
                }
                found = Some(Credential::new(
                    Scheme::Bearer,
                    CredentialSource::WebSocketProtocol,
                    value,
                    range,
                ));
            } else if text == marker.as_bytes() {
                after_marker = true;
            }
        }
    }
    if after_marker {
        // The marker was promised a token and stands last.
        return Err(ExtractError::Malformed);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn token_is_the_subprotocol_after_the_marker() {
        use ExtractError::{Malformed, Multiple, TooLong};
        let cases: &[(&str, &[&[u8]], Result<Option<&str>, ExtractError>)] = &[
            ("none", &[], Ok(None)),
            ("other protocols", &[b"chat, superchat"], Ok(None)),
            ("pair", &[b"bearer, abc"], Ok(Some("abc"))),
            ("among others", &[b"chat, bearer,abc , x"], Ok(Some("abc"))),
            ("two lines", &[b"bearer", b"abc"], Ok(Some("abc"))),
            ("marker last", &[b"chat, bearer"], Err(Malformed)),
            ("twice", &[b"bearer, a, bearer, b"], Err(Multiple)),
            ("empty token", &[b"bearer, , x"], Err(Malformed)),
            ("slash", &[b"bearer, a/b"], Err(Malformed)),
            ("no token68", &[b"bearer, a'b"], Err(Malformed)),
            ("longest", &[b"bearer, 12345678"], Ok(Some("12345678"))),
            ("too long", &[b"bearer, 123456789"], Err(TooLong)),
        ];
        for (name, lines, expected) in cases {
            let mut headers = HeaderMap::new();
            for line in *lines {
                headers.append(
                    SEC_WEBSOCKET_PROTOCOL,
                    HeaderValue::from_bytes(line).unwrap(),
                );
            }
            let found = read(&headers, "bearer", 8);
            let found = found
                .as_ref()
                .map(|found| found.as_ref().map(Credential::token))
                .map_err(|error| *error);
            assert_eq!(found, *expected, "{name}");
        }
    }
}
