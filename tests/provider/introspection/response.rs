//! What each answer of the server is to the client.

use http::header::{CONTENT_TYPE, RETRY_AFTER};
use tower_bearer::RejectionKind;
use tower_bearer::jwt::TokenError;
use tower_bearer::provider::FetchErrorKind;

use super::*;
use crate::http_server::Gate;

/// What a reply has to become.
#[derive(Clone, Copy, Debug)]
enum Expected {
    Good,
    /// 401 and 16, for this reason.
    Bad(&'static str),
    /// 503 and 14, with this in the error for the operator.
    Outage(&'static str),
}
use Expected::{Bad, Good, Outage};

fn row(reply: Reply, expected: Expected) -> (Reply, Expected) {
    (reply, expected)
}

fn body(text: &str) -> Reply {
    Reply::json(text)
}

#[tokio::test]
async fn each_server_response_maps_to_its_failure() {
    // (D09: `active`, E12: checks of the response, E13: rejected client credentials, E14: details
    // for the operator)
    let other = |members| active(&members);
    let big = format!(
        r#"{{"active":true,"a":"{}"}}"#,
        "x".repeat(10 * 1024 * 1024)
    );
    for (reply, expected) in [
        row(good(), Good),
        row(other(json!({"token_type": "bearer"})), Good),
        row(other(json!({"iss": "https://issuer.example/"})), Good),
        row(other(json!({"exp": NOW + 1})), Good),
        row(other(json!({"exp": NOW - 59})), Good),
        row(other(json!({"nbf": NOW + 60, "iat": NOW + 60})), Good),
        // The token is bad.
        row(inactive(), Bad("unknown")),
        row(body(r#"{"active":false,"exp":null}"#), Bad("unknown")),
        row(
            other(json!({"aud": "https://other.example"})),
            Bad("audience"),
        ),
        row(body(r#"{"active":true}"#), Bad("claims")),
        row(
            other(json!({"iss": "https://other.example/"})),
            Bad("issuer"),
        ),
        row(
            other(json!({"iss": "https://issuer.example"})),
            Bad("issuer"),
        ),
        row(other(json!({"exp": NOW - 60})), Bad("expired")),
        row(other(json!({"exp": 0})), Bad("expired")),
        row(other(json!({"nbf": NOW + 61})), Bad("not-yet-valid")),
        row(other(json!({"iat": NOW + 61})), Bad("not-yet-valid")),
        row(
            other(json!({"cnf": {"jkt": "x"}})),
            Bad("sender-constrained"),
        ),
        row(
            other(json!({"token_type": "DPoP"})),
            Bad("sender-constrained"),
        ),
        row(other(json!({"token_type": "mtls"})), Bad("token-type")),
        row(other(json!({"token_type": "N_A"})), Bad("token-type")),
        row(
            other(json!({"token_type": "refresh_token"})),
            Bad("token-type"),
        ),
        row(
            other(json!({"token_use": "refresh_token"})),
            Bad("token-type"),
        ),
        row(other(json!({"token_type": "id_token"})), Bad("token-type")),
        row(other(json!({"nonce": "n"})), Bad("token-type")),
        // The server is broken, or not what it should be.
        row(body(""), Outage("JSON object")),
        row(body("{}"), Outage("`active`")),
        row(body("null"), Outage("JSON object")),
        row(body("[]"), Outage("JSON object")),
        row(body(r#"{"active":"true"}"#), Outage("`active`")),
        row(body(r#"{"active":"false"}"#), Outage("`active`")),
        row(body(r#"{"active":1}"#), Outage("`active`")),
        row(body(r#"{"active":null}"#), Outage("`active`")),
        row(
            body(r#"{"active":true,"active":true}"#),
            Outage("JSON object"),
        ),
        row(
            body(r#"{"active":false,"active":true}"#),
            Outage("JSON object"),
        ),
        row(body("<html>"), Outage("JSON object")),
        row(other(json!({"exp": "1900000000"})), Outage("`exp`")),
        row(other(json!({"aud": {}})), Outage("`aud`")),
        row(other(json!({"token_type": 1})), Outage("`token_type`")),
        row(Reply::text(r#"{"active":false}"#), Outage("Content-Type")),
        row(
            Reply::text(r#"{"active":true}"#).header(CONTENT_TYPE, "text/html"),
            Outage("Content-Type"),
        ),
        row(
            Reply::text("a.b.c").header(CONTENT_TYPE, "application/token-introspection+jwt"),
            Outage("RFC 9701"),
        ),
        // Its own answers in another way.
        row(Reply::status(204), Outage("status 200, got 204")),
        row(Reply::status(400), Outage("got 400")),
        row(Reply::status(401), Outage("credentials of this service")),
        row(Reply::status(403), Outage("credentials of this service")),
        row(Reply::status(404), Outage("got 404")),
        row(Reply::status(405), Outage("got 405")),
        row(Reply::status(429), Outage("got 429")),
        row(Reply::status(500), Outage("got 500")),
        row(Reply::status(502), Outage("got 502")),
        row(Reply::status(503), Outage("got 503")),
        // It does not answer.
        row(Reply::Close, Outage("before the answer was whole")),
        row(Reply::Cut(100), Outage("before the answer was whole")),
        row(Reply::Endless, Outage("longer than accepted")),
        row(body(&big), Outage("longer than accepted")),
    ] {
        let server = HttpServer::with(ENDPOINT, reply);
        let issuer = "https://issuer.example/";
        let service = service(builder(&server).issuer(issuer).build().unwrap());
        let plain = get(&service, TOKEN).await;
        let grpc = grpc(&service, TOKEN).await;
        check(&plain, &grpc, expected);
        for seen in server.seen() {
            assert_eq!(seen.path, ENDPOINT);
        }
    }
}

fn check(plain: &Answer, grpc: &Answer, expected: Expected) {
    let codes = (plain.status(), grpc.header("grpc-status"));
    let kind = plain.response.extensions().get().map(Rejection::kind);
    match expected {
        Good => {
            assert_eq!(codes, (200, None));
            assert_eq!(plain.body, "alice");
        }
        Bad(reason) => {
            assert_eq!(codes, (401, Some("16")), "{reason}");
            assert_eq!(kind.and_then(RejectionKind::reason), Some(reason));
            let challenge = r#"Bearer realm="api", error="invalid_token""#;
            assert_eq!(plain.challenges(), [challenge]);
            assert_eq!(plain.header("retry-after"), None);
        }
        Outage(part) => {
            let cause = cause(plain).to_string();
            assert_eq!(codes, (503, Some("14")), "{part}: {cause}");
            assert!(cause.contains(part), "{part}: {cause}");
            assert_eq!(kind, Some(RejectionKind::Unavailable));
            // (E13: rejected client credentials, E14: details for the operator) The token may be
            // good, and the client is told nothing else.
            assert!(plain.challenges().is_empty());
            assert_eq!(plain.header("retry-after"), Some("5"));
            for text in [&plain.body, grpc.header("grpc-message").unwrap_or("")] {
                for detail in ["127.0.0.1", "introspect", "invalid_token", "expected", part] {
                    assert!(!text.contains(detail), "{text}");
                }
            }
        }
    }
}

#[tokio::test]
async fn rejected_client_credentials_are_unavailable_and_not_invalid() {
    // (E13: rejected client credentials)
    for reply in [
        Reply::status(401),
        Reply::status(403),
        Reply::json(json!({"error": "invalid_token"})).header(RETRY_AFTER, "1"),
    ] {
        let reply = match reply {
            Reply::Answer { headers, body, .. } if !body.is_empty() => Reply::Answer {
                status: http::StatusCode::UNAUTHORIZED,
                headers,
                body,
            },
            reply => reply,
        };
        let server = HttpServer::with(ENDPOINT, reply);
        let answer = get(&service(validator(&server)), TOKEN).await;
        assert_eq!(answer.status(), 503);
        let cause = cause(&answer);
        assert!(
            matches!(cause, ProviderError::Credentials { .. }),
            "{cause}"
        );
        assert!(cause.to_string().contains("`client`"), "{cause}");
    }
}

#[tokio::test]
async fn retry_after_of_server_is_clamped() {
    for (status, line, expected) in [
        (429, "7", "7"),
        (503, "120", "120"),
        (429, "0", "1"),
        (429, "86400", "300"),
        (429, "Fri, 31 Dec 2027 23:59:59 GMT", "5"),
    ] {
        let reply = Reply::status(status).header(RETRY_AFTER, line);
        let server = HttpServer::with(ENDPOINT, reply);
        let answer = get(&service(validator(&server)), TOKEN).await;
        assert_eq!(answer.status(), 503);
        assert_eq!(answer.header("retry-after"), Some(expected), "{line}");
    }
}

#[tokio::test]
async fn reason_for_inactive_token_is_in_error_source() {
    // (I04: client texts)
    let server = HttpServer::with(ENDPOINT, active(&json!({"aud": "b"})));
    let answer = get(&service(validator(&server)), TOKEN).await;
    let rejection = answer.response.extensions().get::<Rejection>().unwrap();
    let error = rejection.source().unwrap().downcast_ref::<TokenError>();
    assert_eq!(error, Some(&TokenError::Audience));
    assert!(!answer.body.contains("aud"), "{}", answer.body);
}

#[tokio::test]
async fn redirect_is_not_followed() {
    // (E04: allowed addresses, E11: introspection requests)
    for status in [301, 302, 303, 307, 308] {
        let elsewhere = HttpServer::with("/", good());
        let to = elsewhere.url("/");
        let reply = Reply::status(status).header(http::header::LOCATION, &to);
        let server = HttpServer::with(ENDPOINT, reply);
        let answer = get(&service(validator(&server)), TOKEN).await;
        assert_eq!(answer.status(), 503);
        // (E04: allowed addresses) No redirects. The error names the target and the setting.
        let text = cause(&answer).to_string();
        assert!(text.contains("redirects are not followed"), "{text}");
        let origin = format!("to {:?}", to.trim_end_matches('/'));
        assert!(text.contains(&origin), "{text}");
        assert!(text.contains("`Introspection::builder`"), "{text}");
        assert_eq!((server.total(), elsewhere.total()), (1, 0), "{status}");
    }
}

#[tokio::test]
async fn compressed_answer_and_byte_order_mark_are_named_in_outage() {
    // (G02: compression) Compression is rejected
    for (reply, told) in [
        (
            good().header(http::header::CONTENT_ENCODING, "gzip"),
            "`Content-Encoding` gzip",
        ),
        (Reply::bytes(b"\x1f\x8b\x08"), "compressed by gzip"),
        (
            Reply::bytes(b"\xef\xbb\xbf{\"active\":true}"),
            "byte order mark",
        ),
    ] {
        let server = HttpServer::with(ENDPOINT, reply);
        let answer = get(&service(validator(&server)), TOKEN).await;
        assert_eq!(answer.status(), 503, "{told}");
        let text = cause(&answer).to_string();
        assert!(text.contains(told), "{text}");
        assert_eq!(
            server.last().headers[http::header::ACCEPT_ENCODING],
            "identity"
        );
        assert_eq!(server.total(), 1, "{told}");
    }
}

#[tokio::test]
async fn slow_server_times_out() {
    // (E04: allowed addresses)
    let gate = Gate::closed();
    let server = HttpServer::with(ENDPOINT, good().held(&gate));
    let timeout = Duration::from_millis(500);
    let service = service(builder(&server).timeout(timeout).build().unwrap());
    let answer = get(&service, TOKEN).await;
    assert_eq!(answer.status(), 503);
    match cause(&answer) {
        ProviderError::Fetch { source, .. } => assert_eq!(source.kind(), FetchErrorKind::TimedOut),
        other => panic!("{other}"),
    }
    // The next one is asked anew.
    server.set(ENDPOINT, good());
    assert_eq!(status(&service, TOKEN).await, 200);
}

#[tokio::test]
async fn connection_failure_is_unavailable_until_server_returns() {
    // (E05: last good key set, E14: details for the operator)
    let mut server = HttpServer::with(ENDPOINT, good());
    let service = service(validator(&server));
    server.stop();
    let answer = get(&service, TOKEN).await;
    assert_eq!(answer.status(), 503);
    assert!(matches!(cause(&answer), ProviderError::Fetch { .. }));
    server.restart();
    assert_eq!(status(&service, TOKEN).await, 200);
}

#[tokio::test]
async fn closed_connection_is_retried_once() {
    let incomplete = || Err(FetchError::new(FetchErrorKind::Incomplete));
    let answer = || Ok(json_response(&json!({"active": true, "aud": AUDIENCE})));
    let once = Scripted::new(move |number| match number {
        0 => incomplete(),
        _ => answer(),
    });
    let validator = once.builder().build().unwrap();
    assert_eq!(status(&service(validator), TOKEN).await, 200);
    assert_eq!(once.count(), 2);

    let always = Scripted::new(move |_| incomplete());
    let validator = always.builder().build().unwrap();
    assert_eq!(status(&service(validator), TOKEN).await, 503);
    assert_eq!(always.count(), 2);

    let never = Scripted::new(|_| Err(FetchError::new(FetchErrorKind::Connect)));
    let validator = never.builder().build().unwrap();
    assert_eq!(status(&service(validator), TOKEN).await, 503);
    assert_eq!(never.count(), 1);
}
