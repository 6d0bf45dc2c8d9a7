//! A service with a login of its own: access and refresh tokens, sessions that can be listed and ended, revocation, a page
//! with a cookie session, and `/docs`.
//!
//! Run it with `cargo run -p example-login`. It makes two users with random
//! passwords, prints these, and says what to try. All of it is in the environment:
//!
//! | variable | what it sets | default |
//! |---|---|---|
//! | `ADDR` | where it listens | `127.0.0.1:3000` |
//! | `STORE` | where sessions, revocations and users are kept: the path of a file, or `redis://…`, with the users then in memory | memory |
//! | `ACCESS_TTL` | for how many seconds an access token is good | 900 |
//! | `SIGNING_KEY` | the private key in PEM, as `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256` makes one; several processes need the same, and one that starts again with a `STORE` | made at start |
//! | `ALICE_PASSWORD`, `ADMIN_PASSWORD` | the passwords of the two users, if they are not in the store yet | made at start |
//!
//! Clients are `cli`, `docs` and `page`; another `client_id` is refused. Several processes on one Redis need the same
//! passwords too, since each has the users in its memory.

mod auth;
mod docs;
mod page;
mod tasks;
mod users;

use std::env::{self, VarError};
use std::error::Error;
use std::iter;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::Method;
use axum::http::header::CACHE_CONTROL;
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::{delete, get, post};
use tokio::net::TcpListener;
use tower_bearer::issuing::RevocationHub;
use tower_bearer::issuing::store::{MemoryStore, RevocationStore, SessionStore, StoreError};
use tower_bearer::issuing::{SigningKey, SigningKeys, TokenIssuer, TokenIssuerBuilder};
use tower_bearer::jwt::Algorithm;
use tower_bearer::policy::{public, role, scope};
use tower_bearer::throttle::{ClientAddress, Throttle};
use tower_bearer::{BearerAuthLayer, Policies, Source};
use tower_bearer_redb::RedbStore;
use tower_bearer_redis::RedisStore;

use crate::tasks::Tasks;
use crate::users::{Password, Users};

/// What can go wrong at the start, or within a store.
pub(crate) type Fault = Box<dyn Error + Send + Sync>;

/// The longest body that is read. What names, passwords and tasks can be long is so bounded, too.
const MAX_BODY: usize = 16_384;

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) issuer: TokenIssuer,
    pub(crate) users: Users,
    pub(crate) tasks: Tasks,
    pub(crate) throttle: Throttle,
    /// From the connection. Behind a proxy: `.behind_proxies(..)`, or everybody has the address of the proxy.
    pub(crate) client_address: Arc<ClientAddress>,
}

fn router(app: App) -> Result<Router, Fault> {
    let policies = Policies::builder()
        .at("/", public().on([Method::GET]))
        .at("/page.css", public().on([Method::GET]))
        .at("/page.js", public().on([Method::GET]))
        .at("/.well-known/jwks.json", public())
        .under("/docs", public())
        .at("/openapi.json", public())
        // These look at passwords, refresh tokens and clients themselves.
        .at("/auth/token", public())
        .at("/auth/refresh", public())
        .at("/auth/revoke", public())
        .at("/session", public())
        .at("/session/refresh", public())
        .under("/admin", role("admin"))
        .under("/tasks", scope("tasks:read"))
        .under("/tasks", scope("tasks:write").on([Method::POST]))
        .build()?;
    let layer = BearerAuthLayer::new(app.issuer.validator()?)
        .with_realm("login")
        .with_sources([Source::bearer(), Source::cookie(page::ACCESS_COOKIE)])?
        .with_policy(policies);
    let docs = docs::router(&layer)?;
    // What is for one user is for no cache, least of all where a cookie was the credential.
    let no_store = |answer: Response| async { ([(CACHE_CONTROL, "no-store")], answer) };
    Ok(Router::new()
        .route("/auth/token", post(auth::token))
        .route("/auth/refresh", post(auth::refresh))
        .route("/auth/logout", post(auth::logout))
        .route("/auth/sessions", get(auth::sessions))
        .route("/auth/sessions/{id}", delete(auth::end_session))
        .route("/me", get(auth::me))
        .route("/admin/users/{id}/logout", post(auth::log_out_user))
        .route("/tasks", get(tasks::list).post(tasks::add))
        .route("/tasks/{id}", get(tasks::show))
        .route("/", get(page::page))
        .route("/page.css", get(page::style))
        .route("/page.js", get(page::script))
        .route("/session", post(page::log_in).delete(page::log_out))
        .route("/session/refresh", post(page::refresh))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(map_response(no_store))
        .route_service("/.well-known/jwks.json", app.issuer.jwk_set_endpoint())
        .route_service("/auth/revoke", app.issuer.revocation_endpoint())
        .with_state(app)
        .merge(docs)
        .layer(layer))
}

/// A variable of the environment that is set to something.
fn variable(name: &str) -> Result<Option<String>, Fault> {
    match env::var(name) {
        Ok(value) => Ok(Some(value).filter(|value| !value.is_empty())),
        Err(VarError::NotPresent) => Ok(None),
        // The error itself shows the value, which may be a secret.
        Err(VarError::NotUnicode(_)) => Err(format!("{name}: expected UTF-8").into()),
    }
}

/// An error of this variable, with all its reasons.
fn in_variable<E: Into<Fault>>(name: &str) -> impl FnOnce(E) -> Fault {
    move |error| format!("{name}: {}", reasons(&*error.into())).into()
}

fn reasons(error: &(dyn Error + 'static)) -> String {
    let causes = iter::successors(error.source(), |&error| error.source());
    let causes = causes.map(|cause| format!("\n  because: {cause}"));
    iter::once(error.to_string()).chain(causes).collect()
}

fn signing_keys() -> Result<SigningKeys, Fault> {
    let key = match variable("SIGNING_KEY")? {
        Some(pem) => SigningKey::from_pem(pem).map_err(in_variable("SIGNING_KEY"))?,
        None => SigningKey::generate(Algorithm::ES256)?,
    };
    Ok(SigningKeys::new(key)?)
}

fn access_ttl() -> Result<Duration, Fault> {
    let Some(text) = variable("ACCESS_TTL")? else {
        return Ok(Duration::from_secs(900));
    };
    let seconds = text
        .parse()
        .ok()
        .filter(|seconds| (1..=86_400).contains(seconds));
    let problem = || format!("ACCESS_TTL={text}: expected seconds, 1 to 86400");
    Ok(Duration::from_secs(seconds.ok_or_else(problem)?))
}

async fn issuer<S>(builder: TokenIssuerBuilder, store: S) -> Result<TokenIssuer, Fault>
where
    S: SessionStore + RevocationStore + Clone + 'static,
{
    let revocations = RevocationHub::open(store.clone())
        .await
        .map_err(in_variable("STORE"))?;
    Ok(builder.revocations(revocations).sessions(store).build()?)
}

async fn app() -> Result<App, Fault> {
    // Processes that share a store are one issuer, wherever each of them listens.
    let name = "http://login.example";
    let builder = TokenIssuer::builder(name, signing_keys()?)
        .audience(name)
        .access_ttl(access_ttl()?);
    let wrong = in_variable::<StoreError>("STORE");
    let (issuer, users) = match variable("STORE")? {
        None => (
            issuer(builder, MemoryStore::new()).await?,
            Users::in_memory()?,
        ),
        Some(url) if url.contains("://") => {
            let store = RedisStore::connect(&url).await.map_err(wrong)?;
            (issuer(builder, store).await?, Users::in_memory()?)
        }
        Some(path) => {
            let store = RedbStore::open(&path).map_err(wrong)?;
            let users = Users::open(&format!("{path}.users")).map_err(in_variable("STORE"))?;
            (issuer(builder, store).await?, users)
        }
    };
    Ok(App {
        issuer,
        users,
        tasks: Tasks::default(),
        throttle: Throttle::new(),
        client_address: Arc::new(ClientAddress::from_connection()),
    })
}

async fn run() -> Result<(), Fault> {
    let address = variable("ADDR")?.unwrap_or_else(|| "127.0.0.1:3000".into());
    let address: SocketAddr = address
        .parse()
        .map_err(|_| format!("ADDR={address}: expected IP:PORT, for example 127.0.0.1:3000"))?;
    let app = app().await?;
    for (name, roles, scopes) in [
        ("alice", &[][..], "tasks:read tasks:write"),
        ("admin", &["admin"][..], "tasks:read"),
    ] {
        let variable = format!("{}_PASSWORD", name.to_uppercase());
        match app.users.seed(name, roles, scopes, &variable)? {
            Password::MadeUp(password) => println!("{variable}={password}"),
            Password::Given => println!("# {name} has the password in {variable}"),
            Password::Kept => println!("# {name} has the password of the last time"),
        }
    }
    let router = router(app)?;
    let listener = TcpListener::bind(address)
        .await
        .map_err(in_variable("ADDR"))?;
    let address = listener.local_addr()?;
    println!("URL=http://{address}");
    println!("# a page to log in on: http://{address}/");
    println!("# the API, with a button to log in: http://{address}/docs/");
    println!(
        "# all of it by curl: export URL and the passwords as above, then run examples/login/try.sh"
    );
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).await?;
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", reasons(&*error));
            ExitCode::FAILURE
        }
    }
}
