//! `/docs`: Swagger UI, whose locks are those of the layer and whose "Authorize" button logs in.

use axum::Router;
use tower_bearer::openapi::{BearerScheme, OAuthFlow, Security};
use tower_bearer::policy::Policy;
use tower_bearer::{BearerAuthLayer, Validator};
use utoipa::OpenApi;
use utoipa_swagger_ui::{Config, SwaggerUi, oauth};

use crate::{Fault, auth, tasks};

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
    Ok(docs.into())
}
