//! For clients: tokens for a password, tokens for a refresh token, sessions, logout.

use std::net::SocketAddr;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, Path, State};
use axum::http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tower_bearer::Authenticated;
use tower_bearer::issuing::store::{SessionId, SessionsOf, StoreError};
use tower_bearer::issuing::{
    ClientCredentials, Grant, InvalidGrant, IssuingError, Session, TokenForm, TokenResponse,
};
use tower_bearer::jwt::AccessToken;

use crate::App;

/// The clients that there are. None has a secret: a browser or a program on the user's machine could not keep one.
const CLIENTS: [&str; 3] = ["cli", "docs", "page"];

/// Tokens for a password (RFC 6749 section 4.3), or for a refresh token (section 6).
///
/// The password grant is how many APIs begin, and it lets the client see the password. That is fine for a client of one's
/// own. Do not use it where clients are somebody else's, where there is a second factor, or where users may log in
/// with another provider: RFC 9700 section 2.4 forbids it there, and the authorization code flow of an identity provider is
/// the way. This crate then checks its tokens, and nothing of this example is needed.
#[utoipa::path(post, path = "/auth/token", responses((status = 200, description = "tokens")))]
pub(crate) async fn token(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<TokenResponse, IssuingError> {
    let form = TokenForm::parse(&body)?;
    let client = client(&headers, &form)?;
    match form.grant_type()? {
        "password" => {
            let (name, password) = (form.require("username")?, form.require("password")?);
            log_in(
                &app,
                peer,
                &headers,
                &client,
                name,
                password,
                form.get("scope"),
            )
            .await
        }
        "refresh_token" => {
            let token = form.require("refresh_token")?;
            app.issuer.refresh(token, &client, form.get("scope")).await
        }
        _ => Err(IssuingError::UnsupportedGrantType),
    }
}

/// The same for a refresh token alone.
#[utoipa::path(post, path = "/auth/refresh", responses((status = 200, description = "tokens")))]
pub(crate) async fn refresh(
    State(app): State<App>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<TokenResponse, IssuingError> {
    let form = TokenForm::parse(&body)?;
    let client = client(&headers, &form)?;
    let token = form.require("refresh_token")?;
    app.issuer.refresh(token, &client, form.get("scope")).await
}

fn client(headers: &HeaderMap, form: &TokenForm) -> Result<String, IssuingError> {
    let client = ClientCredentials::read(headers, form)?;
    match client.secret() {
        None if CLIENTS.contains(&client.id()) => Ok(client.id().to_owned()),
        _ => Err(IssuingError::InvalidClient),
    }
}

/// What comes of a name and a password. Who guesses is slowed down; why it is refused is told to nobody.
pub(crate) async fn log_in(
    app: &App,
    peer: SocketAddr,
    headers: &HeaderMap,
    client: &str,
    name: &str,
    password: &str,
    scope: Option<&str>,
) -> Result<TokenResponse, IssuingError> {
    let address = app.client_address.resolve(peer.ip(), headers);
    let attempt = app.throttle.attempt(address, name)?;
    let user = match app.users.authenticate(name, password).await {
        Ok(user) => user,
        Err(error) => {
            attempt.undecided();
            return Err(StoreError::unavailable("of users", error).into());
        }
    };
    let Some(user) = user else {
        attempt.failed();
        return Err(IssuingError::InvalidGrant {
            reason: InvalidGrant::Credentials,
        });
    };
    attempt.succeeded();
    let scope = scope.unwrap_or(&user.scopes);
    let may_have = |scope: &str| user.scopes.split(' ').any(|other| other == scope);
    if !scope.split(' ').all(may_have) {
        return Err(IssuingError::InvalidScope);
    }
    let label = headers
        .get("user-agent")
        .and_then(|agent| agent.to_str().ok());
    let label: String = label.unwrap_or("unknown").chars().take(200).collect();
    let grant = Grant::new(user.name, client)
        .scope(scope)
        .claim("roles", user.roles)
        .label(label);
    app.issuer.issue(grant).await
}

#[utoipa::path(get, path = "/me", responses((status = 200, description = "who is calling")))]
pub(crate) async fn me(user: Authenticated<AccessToken>) -> Json<Value> {
    Json(json!({
        "subject": user.subject(),
        "client": user.client_id(),
        "scopes": user.scopes().collect::<Vec<_>>(),
        "roles": user.roles().collect::<Vec<_>>(),
        "session": user.claim("sid"),
        // Of the token. That of `Authenticated` is a minute later, since clocks differ.
        "expires_at": user.principal().expires_at().map(unix),
    }))
}

fn unix(time: std::time::SystemTime) -> u64 {
    time.duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

fn session_of(user: &AccessToken) -> Option<SessionId> {
    user.session()?.parse().ok()
}

/// Ends the session that this token belongs to.
#[utoipa::path(post, path = "/auth/logout", responses((status = 204, description = "ended")))]
pub(crate) async fn logout(
    State(app): State<App>,
    user: Authenticated<AccessToken>,
) -> Result<StatusCode, IssuingError> {
    if let Some(session) = session_of(&user) {
        app.issuer.end_session(session).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// One's own sessions.
#[utoipa::path(get, path = "/auth/sessions", responses((status = 200, description = "one's own sessions")))]
pub(crate) async fn sessions(
    State(app): State<App>,
    user: Authenticated<AccessToken>,
) -> Result<Json<Value>, IssuingError> {
    let own = SessionsOf::Subject(user.subject().unwrap_or_default());
    let sessions = app.issuer.sessions(own, None, 100).await?;
    let this = session_of(&user);
    let show = |session: &Session| {
        json!({
            "id": session.id().to_string(),
            "client": session.client(),
            "label": session.label(),
            "started_at": unix(session.started_at()),
            "last_used_at": unix(session.last_used_at()),
            "ends_at": unix(session.idle_ends_at()),
            "current": Some(session.id()) == this,
        })
    };
    Ok(Json(sessions.iter().map(show).collect()))
}

/// Ends one of one's own sessions, on whatever device it is.
#[utoipa::path(delete, path = "/auth/sessions/{id}", params(("id" = String, Path)), responses((status = 204, description = "ended"), (status = 404, description = "none of yours")))]
pub(crate) async fn end_session(
    State(app): State<App>,
    user: Authenticated<AccessToken>,
    Path(id): Path<String>,
) -> Result<StatusCode, IssuingError> {
    let Ok(id) = id.parse() else {
        return Ok(StatusCode::NOT_FOUND);
    };
    let own = user.subject().unwrap_or_default();
    Ok(match app.issuer.end_session_of(own, id).await? {
        true => StatusCode::NO_CONTENT,
        false => StatusCode::NOT_FOUND,
    })
}

/// Ends all sessions of a user. The layer lets only admins through.
#[utoipa::path(post, path = "/admin/users/{id}/logout", params(("id" = String, Path)), responses((status = 200, description = "how many sessions were ended")))]
pub(crate) async fn log_out_user(
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Json<Value>, IssuingError> {
    let ended = app.issuer.end_sessions(SessionsOf::Subject(&id)).await?;
    Ok(Json(json!({ "ended": ended })))
}
