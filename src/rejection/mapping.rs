//! The one mapping from a kind of rejection to its answer.

use http::StatusCode;

use super::reason::RejectionKind;

/// How a kind of rejection is answered.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// The OAuth error code, which stands in the challenge and in the body.
    pub(crate) error: Option<&'static str>,
    pub(crate) challenge: Challenges,
    /// The gRPC status code and message. The message is percent-encoded already.
    pub(crate) grpc: (&'static str, &'static str),
    /// The problem document.
    pub(crate) problem: &'static str,
}

/// Which challenges an answer carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Challenges {
    /// One for each scheme offered.
    All,
    None,
    /// The one of the scheme that was used.
    Used,
}

macro_rules! problem {
    ($status:literal, $title:literal, $detail:literal) => {
        concat!(
            r#"{"type":"about:blank","title":""#,
            $title,
            r#"","status":"#,
            $status,
            r#","detail":""#,
            $detail,
            r#""}"#
        )
    };
    ($status:literal, $title:literal, $detail:literal, $error:literal) => {
        concat!(
            r#"{"type":"about:blank","title":""#,
            $title,
            r#"","status":"#,
            $status,
            r#","detail":""#,
            $detail,
            r#"","error":""#,
            $error,
            r#""}"#
        )
    };
}

/// The one mapping from a rejection to its answer. The texts are the same for every request: what is
/// known about a token or a principal is for logs, not for whoever holds the token.
pub(crate) fn answer(kind: RejectionKind) -> Answer {
    match kind {
        // RFC 9110 section 15.5.1; gRPC INVALID_ARGUMENT.
        RejectionKind::AmbiguousPath(_) => Answer {
            status: StatusCode::BAD_REQUEST,
            error: None,
            challenge: Challenges::None,
            grpc: ("3", "the path has no single meaning"),
            problem: problem!(400, "Bad Request", "The path has no single meaning."),
        },
        // RFC 9110 section 15.5.4.
        RejectionKind::CrossSite => Answer {
            status: StatusCode::FORBIDDEN,
            error: None,
            challenge: Challenges::Used,
            grpc: ("7", "cross-site request refused"),
            problem: problem!(
                403,
                "Forbidden",
                "A credential that browsers attach by themselves is not accepted on a request from another site."
            ),
        },
        // RFC 9110 section 15.5.4; RFC 6750 section 3 asks for a challenge here too.
        RejectionKind::Forbidden => Answer {
            status: StatusCode::FORBIDDEN,
            error: None,
            challenge: Challenges::Used,
            grpc: ("7", "permission denied"),
            problem: problem!(
                403,
                "Forbidden",
                "The credential does not permit this request."
            ),
        },
        // RFC 6750 section 3.1, insufficient_scope.
        RejectionKind::InsufficientScope => Answer {
            status: StatusCode::FORBIDDEN,
            error: Some("insufficient_scope"),
            challenge: Challenges::Used,
            grpc: ("7", "insufficient scope"),
            problem: problem!(
                403,
                "Forbidden",
                "The credential lacks a scope that this request needs.",
                "insufficient_scope"
            ),
        },
        // RFC 6750 section 3.1, invalid_request.
        RejectionKind::InvalidRequest(_) => Answer {
            status: StatusCode::BAD_REQUEST,
            error: Some("invalid_request"),
            challenge: Challenges::All,
            grpc: ("16", "the credential cannot be read"),
            problem: problem!(
                400,
                "Bad Request",
                "The request holds more than one credential, or one that cannot be read.",
                "invalid_request"
            ),
        },
        // RFC 6750 section 3.1, invalid_token.
        RejectionKind::InvalidToken(_) => Answer {
            status: StatusCode::UNAUTHORIZED,
            error: Some("invalid_token"),
            challenge: Challenges::All,
            grpc: ("16", "the credential is invalid or has expired"),
            problem: problem!(
                401,
                "Unauthorized",
                "The credential is invalid or has expired.",
                "invalid_token"
            ),
        },
        // RFC 6750 section 3.1: no error code where nothing was presented.
        RejectionKind::MissingCredential => Answer {
            status: StatusCode::UNAUTHORIZED,
            error: None,
            challenge: Challenges::All,
            grpc: ("16", "a credential is required"),
            problem: problem!(401, "Unauthorized", "This request needs a credential."),
        },
        // RFC 9470 section 3.
        RejectionKind::StepUp => Answer {
            status: StatusCode::UNAUTHORIZED,
            error: Some("insufficient_user_authentication"),
            challenge: Challenges::Used,
            grpc: ("16", "a stronger or more recent authentication is required"),
            problem: problem!(
                401,
                "Unauthorized",
                "A stronger or more recent authentication is required.",
                "insufficient_user_authentication"
            ),
        },
        // RFC 6585 section 4; gRPC RESOURCE_EXHAUSTED.
        RejectionKind::Throttled => Answer {
            status: StatusCode::TOO_MANY_REQUESTS,
            error: None,
            challenge: Challenges::None,
            grpc: ("8", "too many attempts"),
            problem: problem!(
                429,
                "Too Many Requests",
                "Too many attempts. Try again later."
            ),
        },
        // RFC 9110 section 15.6.4; gRPC UNAVAILABLE.
        RejectionKind::Unavailable => Answer {
            status: StatusCode::SERVICE_UNAVAILABLE,
            error: None,
            challenge: Challenges::None,
            grpc: ("14", "the credential cannot be checked right now"),
            problem: problem!(
                503,
                "Service Unavailable",
                "The credential cannot be checked right now. Try again later."
            ),
        },
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

    use super::*;
    use crate::failure::InvalidReason;
    use crate::path_ambiguity::PathAmbiguity;
    use crate::rejection::RequestFault;

    /// The characters that a message contains only escaped: all but %x20-24 and %x26-7E
    /// ([gRPC over HTTP/2, Responses](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#responses)).
    const ESCAPED: &AsciiSet = &CONTROLS.add(b'%');

    #[test]
    fn grpc_messages_are_percent_encoded() {
        for kind in [
            RejectionKind::AmbiguousPath(PathAmbiguity::DotSegment),
            RejectionKind::CrossSite,
            RejectionKind::Forbidden,
            RejectionKind::InsufficientScope,
            RejectionKind::InvalidRequest(RequestFault::Malformed),
            RejectionKind::InvalidToken(InvalidReason::Expired),
            RejectionKind::MissingCredential,
            RejectionKind::StepUp,
            RejectionKind::Throttled,
            RejectionKind::Unavailable,
        ] {
            let (code, message) = answer(kind).grpc;
            let text = percent_decode_str(message).decode_utf8().expect(message);
            assert_eq!(utf8_percent_encode(&text, ESCAPED).to_string(), message);
            assert!(!message.is_empty(), "{kind:?}");
            // `HeaderValue::from_static` panics otherwise.
            assert!(HeaderValue::from_str(message).is_ok(), "{message}");
            assert!(code.parse::<u8>().is_ok_and(|code| code <= 16), "{code}");
        }
    }
}
