//! For a browser: the same sessions, with the tokens in cookies that no script can read.

use std::net::SocketAddr;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, State};
use axum::http::header::{
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, SET_COOKIE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{AppendHeaders, IntoResponse, Response};
use serde_json::json;
use tower_bearer::issuing::{IssuingError, TokenForm, TokenResponse};
use tower_bearer::permits_cookie;

use crate::App;
use crate::auth;

/// `__Host-`: set by this host over TLS, and for no other path or subdomain. Without TLS, Chromium and Firefox take it from
/// `localhost` and 127.0.0.1; Safari does not.
pub(crate) const ACCESS_COOKIE: &str = "__Host-access";
/// Sent nowhere but to `/session`.
const REFRESH_COOKIE: &str = "__Secure-refresh";
/// The client that the page is.
const CLIENT: &str = "page";

/// Nothing but what is served here, and nothing inline.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

pub(crate) async fn page() -> impl IntoResponse {
    file("text/html; charset=utf-8", include_str!("page.html"))
}

pub(crate) async fn script() -> impl IntoResponse {
    file("text/javascript; charset=utf-8", include_str!("page.js"))
}

pub(crate) async fn style() -> impl IntoResponse {
    file("text/css; charset=utf-8", include_str!("page.css"))
}

fn file(kind: &'static str, text: &'static str) -> impl IntoResponse {
    let headers = [
        (CONTENT_TYPE, kind),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, text)
}

/// A form of another site must neither log anybody in (as somebody else, unnoticed) nor out.
fn same_site(method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Refused> {
    match permits_cookie(method, uri, headers, &[]) {
        true => Ok(()),
        false => Err((StatusCode::FORBIDDEN, "cross-site request refused\n")),
    }
}

type Refused = (StatusCode, &'static str);

/// The login form.
pub(crate) async fn log_in(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Response> {
    same_site(&method, &uri, &headers).map_err(Refused::into_response)?;
    let answer = async {
        let form = TokenForm::parse(&body)?;
        let (name, password) = (form.require("username")?, form.require("password")?);
        auth::log_in(&app, peer, &headers, CLIENT, name, password, None).await
    };
    answer
        .await
        .map(|tokens| with_cookies(&tokens))
        .map_err(IssuingError::into_response)
}

/// New cookies for old ones. The page asks for it once the access token has expired.
pub(crate) async fn refresh(
    State(app): State<App>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Response> {
    same_site(&method, &uri, &headers).map_err(Refused::into_response)?;
    let token = cookie(&headers, REFRESH_COOKIE);
    match app.issuer.refresh(token, CLIENT, None).await {
        Ok(tokens) => Ok(with_cookies(&tokens)),
        // What has failed for now may work in a moment: only a definite no takes the cookies away.
        Err(error) if error.status().is_server_error() => Err(error.into_response()),
        Err(error) => Err((without_cookies(), error).into_response()),
    }
}

pub(crate) async fn log_out(
    State(app): State<App>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Response> {
    same_site(&method, &uri, &headers).map_err(Refused::into_response)?;
    // The access token too: it may have been sent without the other.
    for name in [REFRESH_COOKIE, ACCESS_COOKIE] {
        match app.issuer.revoke(cookie(&headers, name), CLIENT).await {
            // What has failed for now may work in a moment.
            Err(error) if error.status().is_server_error() => return Err(error.into_response()),
            _ => {}
        }
    }
    Ok((StatusCode::NO_CONTENT, without_cookies()).into_response())
}

/// Empty if there is none, or more than one: another host of the domain can add one, but cannot take ours away.
fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    let all = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut values = all
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(other, _)| *other == name);
    match (values.next(), values.next()) {
        (Some((_, value)), None) => value,
        _ => "",
    }
}

/// The tokens go into cookies and nowhere else, so a script that should not be there finds none.
fn with_cookies(tokens: &TokenResponse) -> Response {
    let age = tokens.expires_in().as_secs();
    let access = format!(
        "{ACCESS_COOKIE}={}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age={age}",
        tokens.access_token()
    );
    let refresh = format!(
        "{REFRESH_COOKIE}={}; Path=/session; Secure; HttpOnly; SameSite=Strict; Max-Age={}",
        tokens.refresh_token().unwrap_or_default(),
        7 * 86_400
    );
    let headers = AppendHeaders([(SET_COOKIE, access), (SET_COOKIE, refresh)]);
    (headers, Json(json!({ "expires_in": age }))).into_response()
}

fn without_cookies() -> AppendHeaders<[(axum::http::HeaderName, String); 2]> {
    let gone = |name: &str, path: &str| {
        format!("{name}=; Path={path}; Secure; HttpOnly; SameSite=Strict; Max-Age=0")
    };
    AppendHeaders([
        (SET_COOKIE, gone(ACCESS_COOKIE, "/")),
        (SET_COOKIE, gone(REFRESH_COOKIE, "/session")),
    ])
}
