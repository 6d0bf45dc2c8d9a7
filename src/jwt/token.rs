//! The compact serialization of a JWS ([RFC 7515 section 7.1](https://www.rfc-editor.org/rfc/rfc7515#section-7.1)),
//! read strictly. Nothing here is verified.

use super::claims::RawClaims;
use super::decode_buffer::{HeaderBuffer, PayloadBuffer, SignatureBuffer};
use super::error::TokenError;
use super::header::Header;
use super::known_headers::FoundHeader;

/// The longest token that any validator reads, in bytes.
pub(crate) const MAX_LENGTH: usize = 16 * 1024;

/// A token taken apart at its dots. Nothing in it has been decoded.
#[derive(Clone, Copy)]
pub(crate) struct Parts<'t> {
    signing_input: &'t [u8],
    header: &'t [u8],
    payload: &'t [u8],
    signature: &'t [u8],
}

impl<'t> Parts<'t> {
    /// Splits a token into exactly three parts, none of them empty (C13: three parts, G01: three parts). The caller has
    /// checked the length of the whole token, which bounds each part (G04: lengths first).
    pub(crate) fn of(token: &'t [u8]) -> Result<Self, TokenError> {
        let (header, rest) = split_at_dot(token).ok_or(TokenError::NotAJwt)?;
        let (payload, signature) = split_at_dot(rest).ok_or(TokenError::NotAJwt)?;
        if payload.is_empty()
            || signature.is_empty()
            || split_at_dot(signature).is_some()
            // The first six bits of `{`, or of white space before it.
            || !matches!(header, [b'e' | b'I' | b'C' | b'D', ..])
        {
            return Err(TokenError::NotAJwt);
        }
        Ok(Self {
            signing_input: &token[..header.len() + 1 + payload.len()],
            header,
            payload,
            signature,
        })
    }

    /// The header, in base64url.
    pub(crate) fn header(&self) -> &'t [u8] {
        self.header
    }

    pub(crate) fn signing_input(&self) -> &'t [u8] {
        self.signing_input
    }

    /// Reads the claims. Not verified.
    pub(crate) fn claims<'r>(
        &self,
        room: &'r mut PayloadBuffer,
    ) -> Result<RawClaims<'r>, TokenError> {
        let bytes = room.decode(self.payload).ok_or(TokenError::Claims)?;
        RawClaims::read(std::str::from_utf8(bytes).map_err(|_| TokenError::Claims)?)
    }

    pub(crate) fn signature<'r>(
        &self,
        room: &'r mut SignatureBuffer,
    ) -> Result<&'r [u8], TokenError> {
        room.decode(self.signature).ok_or(TokenError::Signature)
    }
}

/// What stands before the first dot, and what behind it.
fn split_at_dot(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (blocks, _) = text.as_chunks::<16>();
    // Looks at all bytes of a block without a branch on their values, so that the compiler can vectorise it.
    let has_dot = |block: &&[u8; 16]| {
        let dots = block.iter().map(|byte| *byte == b'.');
        dots.fold(false, |any, dot| any | dot)
    };
    let start = blocks.iter().take_while(|block| !has_dot(block)).count() * 16;
    let dot = start + text[start..].iter().position(|byte| *byte == b'.')?;
    Some((&text[..dot], &text[dot + 1..]))
}

/// A token taken apart, with its header read. What it claims has not been looked at, and who signed it
/// is not known.
pub(crate) struct UnverifiedToken<'t> {
    pub(crate) parts: Parts<'t>,
    pub(crate) header: FoundHeader,
}

impl UnverifiedToken<'_> {
    pub(crate) fn header(&self) -> &Header {
        self.header.get()
    }
}

/// Whether a token looks like a JWT, signed or encrypted: parts with dots between them, and a JSON
/// object in front.
pub(crate) fn looks_like_a_jwt(token: &[u8]) -> bool {
    split_at_dot(token).is_some_and(|(header, rest)| {
        let mut room = HeaderBuffer::new();
        split_at_dot(rest).is_some()
            && header.len() <= MAX_LENGTH
            && room
                .decode(header)
                .is_some_and(|header| header.trim_ascii_start().first() == Some(&b'{'))
    })
}
