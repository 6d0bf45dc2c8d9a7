//! Reading the form that an endpoint is sent.

use std::pin::pin;

use bytes::Buf as _;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use http_body::Body;
use http_body_util::BodyExt as _;

/// Whether it is one `application/x-www-form-urlencoded`.
pub(crate) fn is_form(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(only), None) = (types.next(), types.next()) else {
        return false;
    };
    let media_type = only.as_bytes().split(|byte| *byte == b';').next();
    media_type.is_some_and(|media_type| {
        let media_type = media_type.trim_ascii();
        media_type.eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
    })
}

/// A body of at most `max` bytes, or how to answer: 413, or 400 if it breaks off.
pub(crate) async fn read<B: Body>(body: B, max: usize) -> Result<Vec<u8>, StatusCode> {
    let is_too_long = |length: u64| usize::try_from(length).map_or(true, |length| length > max);
    if is_too_long(body.size_hint().lower()) {
        return Err(StatusCode::PAYLOAD_TOO_LARGE);
    }
    let mut body = pin!(body);
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| StatusCode::BAD_REQUEST)?;
        let Ok(mut data) = frame.into_data() else {
            continue;
        };
        if data.remaining() > max - bytes.len() {
            return Err(StatusCode::PAYLOAD_TOO_LARGE);
        }
        while data.has_remaining() {
            let chunk = data.chunk();
            bytes.extend_from_slice(chunk);
            let length = chunk.len();
            data.advance(length);
        }
    }
    Ok(bytes)
}
