//! Where parts of a token are decoded to.

use super::base64url;

/// A buffer for a decoded part of a token: on the stack, or, for more than `N` bytes, on the heap.
pub(crate) struct DecodeBuffer<const N: usize> {
    near: [u8; N],
    far: Vec<u8>,
}

/// For the headers of nearly all tokens.
pub(crate) type HeaderBuffer = DecodeBuffer<512>;
/// For the claims of nearly all tokens.
pub(crate) type PayloadBuffer = DecodeBuffer<2048>;
/// For the signatures of nearly all tokens: those of RSA with up to 4096 bits, and all shorter ones.
pub(crate) type SignatureBuffer = DecodeBuffer<512>;

impl<const N: usize> DecodeBuffer<N> {
    pub(crate) fn new() -> Self {
        Self {
            near: [0; N],
            far: Vec::new(),
        }
    }

    /// [Strict base64url](base64url).
    pub(crate) fn decode(&mut self, text: &[u8]) -> Option<&[u8]> {
        let length = base64url::decoded_length(text.len())?;
        let bytes = if length <= N {
            self.near.get_mut(..length)?
        } else {
            self.far = vec![0; length];
            &mut self.far
        };
        base64url::decode(text, bytes).then_some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    #[test]
    fn decoding_does_not_depend_on_the_buffer() {
        // (C14: strict base64url)
        let long = "QUJD".repeat(40);
        for text in [
            "",
            "QQ",
            "QUI",
            "QUJD",
            "QUJDRA",
            "-_-_",
            &long,
            "Q",
            "QR",
            "QUJ",
            "QQ==",
            "QQ=",
            "QUJ=",
            "+/+/",
            "QU JD",
            "QUJD\n",
            "QUJD.",
            "QUJDR",
            &format!("{long}="),
            &format!("{long}Q"),
            &format!("{long}QR"),
        ] {
            let whole = URL_SAFE_NO_PAD.decode(text).ok();
            let mut near = DecodeBuffer::<256>::new();
            let mut far = DecodeBuffer::<0>::new();
            let mut exact = DecodeBuffer::<3>::new();
            for read in [
                near.decode(text.as_bytes()),
                far.decode(text.as_bytes()),
                exact.decode(text.as_bytes()),
            ] {
                assert_eq!(read, whole.as_deref(), "{text}");
            }
        }
    }

    #[test]
    fn buffer_contains_no_previous_content() {
        let mut room = DecodeBuffer::<8>::new();
        for (text, expected) in [
            ("QUJDRA", Some(&b"ABCD"[..])),
            ("QQ", Some(b"A")),
            ("QUJDREVGR0hJSktM", Some(b"ABCDEFGHIJKL")),
            ("Q?", None),
            ("", Some(b"")),
        ] {
            assert_eq!(room.decode(text.as_bytes()), expected, "{text}");
        }
    }
}
