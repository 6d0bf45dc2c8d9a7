//! Lists of scopes as one text (RFC 6749 section 3.3).

/// Whether the text is a list of scope tokens with one space between them.
pub(crate) fn is_list(text: &str) -> bool {
    let is_token = |token: &str| {
        let is_nqchar = |byte| matches!(byte, b'!' | b'#'..=b'[' | b']'..=b'~');
        !token.is_empty() && token.bytes().all(is_nqchar)
    };
    text.split(' ').all(is_token)
}

/// Whether it is a list, and all of it is in `granted`.
pub(crate) fn is_part_of(text: &str, granted: &str) -> bool {
    is_list(text)
        && text
            .split(' ')
            .all(|scope| granted.split(' ').any(|other| scope == other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scope_list_has_single_spaces_and_printable_characters() {
        for good in ["a", "a b", "orders:read !", "a a"] {
            assert!(is_list(good), "{good}");
        }
        for bad in [
            "", " ", "a ", " a", "a  b", "a\tb", "a\"", "a\\", "é", "a\u{7f}",
        ] {
            assert!(!is_list(bad), "{bad}");
        }
    }
}
