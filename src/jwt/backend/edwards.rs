//! The check of Ed25519 public keys, for every back end.
//!
//! aws-lc-rs decodes the point of a key when it verifies a signature and not when it parses the key, and has
//! no function that decodes a point alone: it reports a bad key as a bad signature. `ed25519-dalek` decodes
//! the point when it parses the key, but accepts a coordinate beyond the field. Both back ends therefore use
//! `curve25519-dalek`, on which `ed25519-dalek` is built.

/// Returns whether 32 bytes are the canonical encoding of a point of edwards25519 ([RFC 8032 section
/// 5.1.3](https://www.rfc-editor.org/rfc/rfc8032#section-5.1.3)), and none of small order.
///
/// A point that was decoded is encoded again: the bytes differ if `y` was not below the prime, or if `x` is
/// zero and its sign was set. With a point of small order, one signature fits many messages (C07: valid
/// signatures and keys).
#[cfg(any(feature = "aws_lc_rs", feature = "rust_crypto"))]
pub(crate) fn is_usable_edwards_point(bytes: &[u8; 32]) -> bool {
    curve25519_dalek::edwards::CompressedEdwardsY(*bytes)
        .decompress()
        .is_some_and(|point| point.compress().as_bytes() == bytes && !point.is_small_order())
}

/// Returns `false`: without a back end no key is created.
#[cfg(not(any(feature = "aws_lc_rs", feature = "rust_crypto")))]
pub(crate) fn is_usable_edwards_point(_: &[u8; 32]) -> bool {
    false
}
