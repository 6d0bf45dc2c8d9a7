//! The character sets of credentials.

/// `token68` of [RFC 9110 section 11.2](https://www.rfc-editor.org/rfc/rfc9110#section-11.2), which
/// is `b64token` of [RFC 6750 section 2.1](https://www.rfc-editor.org/rfc/rfc6750#section-2.1).
///
/// Looks at every byte without a branch on its value, so that the compiler can vectorise the loop.
pub(super) fn is_token68(bytes: &[u8]) -> bool {
    let mut end = bytes.len();
    while end > 0 && bytes[end - 1] == b'=' {
        end -= 1;
    }
    if end == 0 {
        return false;
    }
    let mut bad = 0_u8;
    for &byte in &bytes[..end] {
        // Folding to lower case maps no other character onto a letter.
        let letter = (byte | 0x20).wrapping_sub(b'a') < 26;
        // `-` `.` `/` and the digits stand side by side: 0x2D to 0x39.
        let digit = byte.wrapping_sub(b'-') < 13;
        let other = (byte == b'_') | (byte == b'~') | (byte == b'+');
        bad |= u8::from(!(letter | digit | other));
    }
    bad == 0
}

/// What an API key header may hold: printable ASCII without space. Wider than `token68`, because
/// keys handed out long ago hold what they hold.
pub(super) fn is_visible_ascii(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(u8::is_ascii_graphic)
}

/// `cookie-octet` of [RFC 6265 section 4.1.1](https://www.rfc-editor.org/rfc/rfc6265#section-4.1.1).
pub(super) fn is_cookie_value(bytes: &[u8]) -> bool {
    !bytes.is_empty()
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b',' | b';' | b'\\'))
}

/// `token` of [RFC 9110 section 5.6.2](https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2).
pub(super) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty()
        && bytes.iter().all(|byte| {
            byte.is_ascii_alphanumeric()
                || matches!(
                    byte,
                    b'!' | b'#'
                        | b'$'
                        | b'%'
                        | b'&'
                        | b'\''
                        | b'*'
                        | b'+'
                        | b'-'
                        | b'.'
                        | b'^'
                        | b'_'
                        | b'`'
                        | b'|'
                        | b'~'
                )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token68_accepts_exactly_the_characters_of_the_rfc() {
        // (B06: token grammar)
        for byte in 0..=u8::MAX {
            let named = byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
            assert_eq!(is_token68(&[byte]), named, "{byte:#x}");
            assert_eq!(
                is_token68(&[b'a', byte]),
                named || byte == b'=',
                "{byte:#x}"
            );
            assert_eq!(is_token68(&[b'a', byte, b'a']), named, "{byte:#x}");
        }
    }

    #[test]
    fn padding_is_accepted_only_after_a_character() {
        for (token, expected) in [
            ("a=", true),
            ("a==", true),
            ("=", false),
            ("==", false),
            ("=a", false),
            ("a=b", false),
            ("", false),
        ] {
            assert_eq!(is_token68(token.as_bytes()), expected, "{token:?}");
        }
    }
}
