//! What an answer means. Pure: status, header fields and body go in, the verdict comes out.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, Response, StatusCode};
use serde_json::Value;

use crate::jwt::{AccessToken, Checks, RawClaims, TokenError, Typing, json};

/// Between which limits a `Retry-After` is passed on.
const MIN_RETRY: Duration = Duration::from_secs(1);
const MAX_RETRY: Duration = Duration::from_secs(300);

/// What the server has said about a token, for whatever time.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    /// It is good, and it is for this service. When it begins and ends is not yet looked at.
    Active(Arc<AccessToken>),
    /// The server does not know it, or no longer.
    Inactive,
    /// The server does not answer for tokens of this kind.
    Unsupported,
    /// It is good for somebody else, or for something else.
    Refused(TokenError),
}

/// Why an answer says nothing about the token: the fault is not the client's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// What it says is not what RFC 7662 says.
    Content(String),
    /// The server does not let this service ask.
    Credentials { status: u16 },
    /// The server does not answer the question.
    Status {
        status: u16,
        retry_after: Option<Duration>,
    },
}

/// Reads a whole answer ([RFC 7662 section 2.2](https://www.rfc-editor.org/rfc/rfc7662#section-2.2)).
pub(super) fn read(response: &Response<Bytes>, checks: &Checks) -> Result<Answer, Trouble> {
    match response.status() {
        StatusCode::OK => {}
        status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
            return Err(Trouble::Credentials {
                status: status.as_u16(),
            });
        }
        // RFC 6749 section 5.2: a client that cannot be authenticated may be told with 400.
        StatusCode::BAD_REQUEST
            if is_error(response.body(), &["invalid_client", "unauthorized_client"]) =>
        {
            return Err(Trouble::Credentials { status: 400 });
        }
        // Some servers say it of every JWT: RFC 7009 section 2.2.1. Nothing is out of order.
        StatusCode::BAD_REQUEST if is_error(response.body(), &["unsupported_token_type"]) => {
            return Ok(Answer::Unsupported);
        }
        status => {
            return Err(Trouble::Status {
                status: status.as_u16(),
                retry_after: retry_after(response.headers()),
            });
        }
    }
    content_type(response.headers())?;
    document(response.body(), checks)
}

/// Exactly one, and that of JSON: an error page of a proxy in between may come with 200.
fn content_type(headers: &HeaderMap) -> Result<(), Trouble> {
    let mut lines = headers.get_all(CONTENT_TYPE).iter();
    let line = match (lines.next(), lines.next()) {
        (Some(line), None) => line.to_str().unwrap_or_default(),
        _ => "",
    };
    let media_type = line.split(';').next().unwrap_or_default().trim();
    if media_type.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let signed = media_type.eq_ignore_ascii_case("application/token-introspection+jwt");
    content(match signed {
        true => {
            "it is a signed answer (RFC 9701), which is not supported; expected `application/json`"
        }
        false => "expected one `Content-Type`, `application/json`",
    })
}

/// D09: only the boolean `true` is active, and what is no proper document says nothing at all.
fn document(body: &[u8], checks: &Checks) -> Result<Answer, Trouble> {
    let Ok(object) = json::object(body) else {
        return content("expected a JSON object that names no member twice, within the limits");
    };
    match object.get("active") {
        Some(Value::Bool(true)) => {}
        // Whatever else it says.
        Some(Value::Bool(false)) => return Ok(Answer::Inactive),
        Some(_) => return content("expected `active` to be `true` or `false`"),
        None => return content("expected a member `active`"),
    }
    // D01: a member of the wrong type is not an absent one.
    if object
        .get("token_type")
        .is_some_and(|kind| !kind.is_string() && !kind.is_null())
    {
        return content("expected `token_type` to be a string");
    }
    let text = Value::Object(object).to_string();
    let mut claims = RawClaims::read(&text).map_err(|error| Trouble::Content(error.to_string()))?;
    // It says nothing any more, and a cache would keep it.
    claims.rest.remove("active");
    Ok(match check(claims, checks) {
        Ok(token) => Answer::Active(Arc::new(token)),
        Err(error) => Answer::Refused(error),
    })
}

/// E12: the token is good, but is it for this service, and for this use?
fn check(claims: RawClaims<'_>, checks: &Checks) -> Result<AccessToken, TokenError> {
    kind(&claims, checks)?;
    // RFC 7662 makes it optional, and it is the server of this issuer that was asked.
    if claims.iss.is_some() {
        checks.issuer(&claims)?;
    }
    checks.purpose(&claims, Typing::General)?;
    checks.contents(&claims)?;
    AccessToken::from_checked(claims, &checks.layout)
}

/// Endpoints answer for refresh tokens as well, and some for ID tokens.
fn kind(claims: &RawClaims<'_>, checks: &Checks) -> Result<(), TokenError> {
    let is = |name: &str, values: &[&str]| {
        let text = claims.rest.get(name).and_then(Value::as_str);
        text.map(|text| values.iter().any(|value| text.eq_ignore_ascii_case(value)))
    };
    // RFC 9449 section 6.2
    if is("token_type", &["DPoP"]) == Some(true) {
        return match checks.ignore_confirmation {
            true => Ok(()),
            false => Err(TokenError::SenderConstrained),
        };
    }
    let found = |found| Err(TokenError::TokenType { found });
    if is("token_type", &["Bearer", "access_token"]) == Some(false) {
        return found("`token_type` names another kind of token");
    }
    if is("token_use", &["access", "access_token"]) == Some(false) {
        return found("`token_use` names another kind of token");
    }
    if is("typ", &["refresh", "refresh_token", "offline"]) == Some(true) {
        return found("`typ` names a refresh token");
    }
    Ok(())
}

fn content<T>(problem: &str) -> Result<T, Trouble> {
    Err(Trouble::Content(problem.to_owned()))
}

/// Whether the answer is an error document with one of these codes.
fn is_error(body: &[u8], codes: &[&str]) -> bool {
    json::object(body).is_ok_and(|error| {
        let code = error.get("error").and_then(Value::as_str);
        code.is_some_and(|code| codes.contains(&code))
    })
}

/// Seconds ([RFC 9110 section 10.2.3](https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3)) within
/// limits; a date is not read.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds = Duration::from_secs(text.parse().unwrap_or(u64::MAX));
    Some(seconds.clamp(MIN_RETRY, MAX_RETRY))
}

#[cfg(test)]
pub(super) mod tests;
