//! `/docs`: Swagger UI, whose locks are those of the layer and whose "Authorize" button logs in.

use std::error::Error;
use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use tower_bearer::openapi::{BearerScheme, OAuthFlow, Security};
use tower_bearer::policy::Policy;
use tower_bearer::{BearerAuthLayer, Validator};
use utoipa::OpenApi;
use utoipa_swagger_ui::{Config, oauth};

use crate::{auth, tasks};

#[derive(OpenApi)]
#[openapi(
    info(title = "tower-bearer, the example login", version = "1"),
    paths(
        auth::token,
        auth::refresh,
        auth::logout,
        auth::sessions,
        auth::end_session,
        auth::me,
        auth::log_out_user,
        tasks::list,
        tasks::show,
        tasks::add,
    )
)]
struct ApiDoc;

pub fn router<V, P>(layer: &BearerAuthLayer<V, P>) -> Result<Router, Box<dyn Error>>
where
    V: Validator,
    P: Policy<V::Principal>,
{
    let mut document = serde_json::to_value(ApiDoc::openapi())?;
    let flow = OAuthFlow::password("/auth/token").with_refresh_url("/auth/token");
    Security::of(layer)
        .with_bearer("login", BearerScheme::oauth2(flow))?
        .apply(&mut document)?;
    let document = serde_json::to_string(&document)?;
    let config = Config::from("/openapi.json")
        .oauth(oauth::Config::new().client_id("docs"))
        .try_it_out_enabled(true);
    let config = Arc::new(config);
    let json = [(header::CONTENT_TYPE, "application/json")];
    Ok(Router::new()
        .route("/openapi.json", get(move || async move { (json, document) }))
        .route("/docs", get(|| async { Redirect::to("/docs/") }))
        .route("/docs/", get({
            let config = Arc::clone(&config);
            || async move { file("", config) }
        }))
        .route("/docs/{*file}", get(|Path(path): Path<String>| async move { file(&path, config) })))
}

fn file(path: &str, config: Arc<Config<'static>>) -> Response {
    match utoipa_swagger_ui::serve(path, config) {
        Ok(Some(file)) => ([(header::CONTENT_TYPE, file.content_type)], file.bytes).into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}
