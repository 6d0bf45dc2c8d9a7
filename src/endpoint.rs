//! Reads the forms of endpoints.

use std::pin::pin;

use bytes::{Buf as _, BufMut as _};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use http_body::Body;
use http_body_util::BodyExt as _;

/// Returns whether the body is `application/x-www-form-urlencoded`.
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

/// Reads a body of at most `max` bytes.
///
/// # Errors
///
/// The status of the response: 413 if the body is longer, which its size hint may already show, or 400 if it cannot
/// be received.
pub(crate) async fn read<B: Body>(body: B, max: usize) -> Result<Vec<u8>, StatusCode> {
    let is_too_long = |length: u64| usize::try_from(length).map_or(true, |length| length > max);
    if is_too_long(body.size_hint().lower()) {
        return Err(StatusCode::PAYLOAD_TOO_LARGE);
    }
    let mut body = pin!(body);
    // Copied frame by frame. `BodyExt::collect` would keep every frame, and a client may send frames of one byte, each
    // of which takes more than 32 times as much memory.
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| StatusCode::BAD_REQUEST)?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if data.remaining() > max - bytes.len() {
            return Err(StatusCode::PAYLOAD_TOO_LARGE);
        }
        bytes.put(data);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use bytes::Bytes;
    use futures_util::FutureExt as _;
    use futures_util::stream::{self, Stream, StreamExt as _};
    use http_body::Frame;
    use http_body_util::{Full, StreamBody};

    use super::*;

    fn read_now<B: Body>(body: B, max: usize) -> Result<Vec<u8>, StatusCode> {
        read(body, max).now_or_never().expect("the body is ready")
    }

    fn frames<E>(
        parts: impl IntoIterator<Item = Result<&'static str, E>>,
    ) -> StreamBody<impl Stream<Item = Result<Frame<Bytes>, E>>> {
        let frame = |part: Result<&'static str, E>| part.map(|part| Frame::data(part.into()));
        StreamBody::new(stream::iter(
            parts.into_iter().map(frame).collect::<Vec<_>>(),
        ))
    }

    #[test]
    fn body_is_read_up_to_the_limit() {
        let whole = |parts: &'static [&'static str], max| {
            let parts = parts.iter().map(|part| Ok::<_, Infallible>(*part));
            read_now(frames(parts), max)
        };
        assert_eq!(whole(&[], 0), Ok(Vec::new()));
        assert_eq!(whole(&["a=", "", "1"], 3), Ok(b"a=1".to_vec()));
        assert_eq!(whole(&["a=", "1"], 2), Err(StatusCode::PAYLOAD_TOO_LARGE));
        assert_eq!(whole(&["a=1"], 2), Err(StatusCode::PAYLOAD_TOO_LARGE));
    }

    #[test]
    fn size_hint_above_the_limit_is_413_without_reading() {
        struct Announced;

        impl Body for Announced {
            type Data = Bytes;
            type Error = Infallible;

            fn poll_frame(
                self: std::pin::Pin<&mut Self>,
                _: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
                panic!("the body was read")
            }

            fn size_hint(&self) -> http_body::SizeHint {
                http_body::SizeHint::with_exact(4)
            }
        }

        assert_eq!(read_now(Announced, 3), Err(StatusCode::PAYLOAD_TOO_LARGE));
        let whole = Full::new(Bytes::from("abcd"));
        assert_eq!(read_now(whole, 4), Ok(b"abcd".to_vec()));
    }

    #[test]
    fn interrupted_body_is_400_and_trailers_are_ignored() {
        // Not an `Error` type, as the endpoints allow.
        struct Reset;

        let broken = frames([Ok("a="), Err(Reset)]);
        assert_eq!(read_now(broken, 9), Err(StatusCode::BAD_REQUEST));
        let trailers = [
            Ok::<_, Infallible>(Frame::data(Bytes::from("a=1"))),
            Ok(Frame::trailers(HeaderMap::new())),
        ];
        let body = StreamBody::new(stream::iter(trailers));
        assert_eq!(read_now(body, 3), Ok(b"a=1".to_vec()));
    }

    #[test]
    fn short_frames_are_not_kept() {
        struct OneByte(Arc<AtomicUsize>);
        impl AsRef<[u8]> for OneByte {
            fn as_ref(&self) -> &[u8] {
                b"a"
            }
        }
        impl Drop for OneByte {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
        let live = Arc::new(AtomicUsize::new(0));
        let most = Arc::new(AtomicUsize::new(0));
        let body = StreamBody::new(stream::iter(0..1_000).map(|_| {
            let before = live.fetch_add(1, Ordering::Relaxed);
            most.fetch_max(before + 1, Ordering::Relaxed);
            let data = Bytes::from_owner(OneByte(Arc::clone(&live)));
            Ok::<_, Infallible>(Frame::data(data))
        }));
        assert_eq!(read_now(body, 1_000).map(|bytes| bytes.len()), Ok(1_000));
        assert_eq!(most.load(Ordering::Relaxed), 1);
    }
}
