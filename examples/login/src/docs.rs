//! `/docs`: Swagger UI, whose locks are those of the layer and whose "Authorize" button logs in.

use axum::Router;
use axum::http::header::CONTENT_SECURITY_POLICY;
use axum::middleware::map_response;
use axum::response::Response;
use tower_bearer::openapi::{BearerScheme, OAuthFlow, Security};
use tower_bearer::policy::Policy;
use tower_bearer::{BearerAuthLayer, Validator};
use utoipa::OpenApi;
use utoipa_swagger_ui::{Config, SwaggerUi, oauth};

use crate::{Fault, auth, tasks};

/// It stands beside a page with cookies, so it runs nothing but its own scripts either. Its styles are inline.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "The example login",
        description = "\"Authorize\" logs in, with the name and password of a user",
        version = "1"
    ),
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

pub(crate) fn router<V, P>(layer: &BearerAuthLayer<V, P>) -> Result<Router, Fault>
where
    V: Validator + 'static,
    P: Policy<V::Principal> + 'static,
{
    let mut document = serde_json::to_value(ApiDoc::openapi())?;
    let flow = OAuthFlow::password("/auth/token").with_refresh_url("/auth/token");
    Security::of(layer)
        .with_bearer("login", BearerScheme::oauth2(flow))?
        .apply(&mut document)?;
    let docs = SwaggerUi::new("/docs")
        .external_url_unchecked("/openapi.json", document)
        .config(Config::default().try_it_out_enabled(true))
        .oauth(oauth::Config::new().client_id("docs"));
    let guarded = |answer: Response| async { ([(CONTENT_SECURITY_POLICY, POLICY)], answer) };
    Ok(Router::from(docs).layer(map_response(guarded)))
}
