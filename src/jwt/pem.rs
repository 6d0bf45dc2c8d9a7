//! PEM ([RFC 7468](https://www.rfc-editor.org/rfc/rfc7468)).
//!
//! The base64 text is decoded strictly. Around it, the lax grammar of section 3 applies: white space of any
//! kind, lines of any length, and text before and after a block (M15: harmless spelling).

use zeroize::Zeroizing;

use super::key_error::KeyError;

const BEGIN: &[u8] = b"-----BEGIN ";
const DASHES: &[u8] = b"-----";
/// The length of a line of base64.
const WIDTH: usize = 64;

/// One block, decoded.
pub(crate) struct Block<'t> {
    pub(crate) label: &'t str,
    pub(crate) der: Zeroizing<Vec<u8>>,
}

/// Decodes a text with exactly one block. The curve of an elliptic curve key, which `openssl ecparam
/// -genkey` writes in front of the key, is not counted: the key names the curve again.
pub(crate) fn single(text: &[u8]) -> Result<Block<'_>, KeyError> {
    let mut rest = text;
    loop {
        let (label, body, after) = split(rest).ok_or_else(not_one_block)?;
        let is_last = find(after, BEGIN).is_none();
        if is_last {
            return decode(label, body);
        }
        if label != "EC PARAMETERS" {
            return Err(not_one_block());
        }
        rest = after;
    }
}

/// Decodes all blocks of a text, which may have none.
#[cfg(feature = "jwks")]
pub(crate) fn all(text: &[u8]) -> Result<Vec<Block<'_>>, KeyError> {
    let mut blocks = Vec::new();
    let mut rest = text;
    while find(rest, BEGIN).is_some() {
        let (label, body, after) = split(rest).ok_or_else(not_one_block)?;
        blocks.push(decode(label, body)?);
        rest = after;
    }
    Ok(blocks)
}

/// Returns whether a text holds an encrypted private key, in PKCS#8 or in the older formats ([RFC 1421
/// section 4.6.1.1](https://www.rfc-editor.org/rfc/rfc1421#section-4.6.1.1)).
pub(crate) fn is_encrypted(text: &[u8]) -> bool {
    find(text, b"-----BEGIN ENCRYPTED PRIVATE KEY-----").is_some()
        || find(text, b"Proc-Type: 4,ENCRYPTED").is_some()
}

/// Returns the label and the body of the first block, and the text after the block.
fn split(text: &[u8]) -> Option<(&str, &[u8], &[u8])> {
    let (_, text) = split_at(text, BEGIN)?;
    let (label, text) = split_at(text, DASHES)?;
    let label = str::from_utf8(label).ok()?;
    let (body, text) = split_at(text, format!("-----END {label}-----").as_bytes())?;
    Some((label, body, text))
}

/// Decodes a body after its lines have been brought into the form of the strict grammar.
fn decode<'t>(label: &'t str, body: &[u8]) -> Result<Block<'t>, KeyError> {
    let boundaries = 2 * (label.len() + BEGIN.len() + DASHES.len() + 1);
    // Allocated once, since a reallocation would leave a copy of a private key in memory.
    let mut text = Zeroizing::new(Vec::with_capacity(
        body.len() + body.len() / WIDTH + 1 + boundaries,
    ));
    text.extend_from_slice(format!("-----BEGIN {label}-----").as_bytes());
    let is_text = |byte: &&u8| !matches!(**byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c);
    for (number, byte) in body.iter().filter(is_text).enumerate() {
        if number % WIDTH == 0 {
            text.push(b'\n');
        }
        text.push(*byte);
    }
    text.extend_from_slice(format!("\n-----END {label}-----\n").as_bytes());
    let (_, der) = pem_rfc7468::decode_vec(&text).map_err(|_| not_one_block())?;
    Ok(Block {
        label,
        der: Zeroizing::new(der),
    })
}

fn split_at<'t>(text: &'t [u8], needle: &[u8]) -> Option<(&'t [u8], &'t [u8])> {
    let place = find(text, needle)?;
    Some((text.get(..place)?, text.get(place + needle.len()..)?))
}

fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    text.windows(needle.len())
        .position(|window| window == needle)
}

fn not_one_block() -> KeyError {
    KeyError::format(
        "the text",
        "the text (not the path) of exactly one PEM block, `-----BEGIN ...-----` to `-----END ...-----`, with base64 between them",
    )
}
