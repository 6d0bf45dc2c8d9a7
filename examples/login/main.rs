//! A service with a login of its own: access and refresh tokens, sessions that can be listed and ended, revocation, a page
//! with a cookie session, and `/docs`.
//!
//! Run it with `cargo run --example login --features axum,issue,openapi,redb,redis,throttle`. It makes two users with random
//! passwords, prints them, and says what to try. All of it is in the environment:
//!
//! | variable | what it sets | default |
//! |---|---|---|
//! | `ADDR` | where it listens | `127.0.0.1:3000` |
//! | `STORE` | where sessions, revocations and users are kept: the path of a file, or `redis://…`, with the users then in memory | memory |
//! | `ACCESS_TTL` | for how many seconds an access token is good | 900 |
//! | `SIGNING_KEY` | the private key in PEM; several processes need the same | made at start |
//! | `ALICE_PASSWORD`, `ADMIN_PASSWORD` | the passwords of the two users, if they are not in the store yet | made at start |

mod auth;
mod docs;
mod page;
mod tasks;
mod users;

use std::env;
use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::Method;
use axum::routing::{delete, get, post};
use tokio::net::TcpListener;
use tower_bearer::issue::{SigningKey, SigningKeys, TokenIssuer};
use tower_bearer::jwt::Algorithm;
use tower_bearer::policy::{public, role, scope};
use tower_bearer::revocation::RevocationHub;
use tower_bearer::store::{MemoryStore, RedbStore, RedisStore, RevocationStore, SessionStore};
use tower_bearer::throttle::{ClientAddress, Throttle};
use tower_bearer::{BearerAuthLayer, Policies, Source};

use crate::tasks::Tasks;
use crate::users::Users;

/// What can go wrong at the start, or within a store.
pub(crate) type Fault = Box<dyn Error + Send + Sync>;

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
    Ok(Router::new()
        .route_service("/.well-known/jwks.json", app.issuer.jwk_set_endpoint())
        .route_service("/auth/revoke", app.issuer.revocation_endpoint())
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
        .route("/page.js", get(page::script))
        .route("/session", post(page::log_in).delete(page::log_out))
        .route("/session/refresh", post(page::refresh))
        .with_state(app)
        .merge(docs)
        .layer(layer))
}

/// A variable of the environment that is set to something.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn signing_keys() -> Result<SigningKeys, Fault> {
    let key = match variable("SIGNING_KEY") {
        Some(pem) => SigningKey::from_pem(pem).map_err(|error| format!("SIGNING_KEY: {error}"))?,
        None => SigningKey::generate(Algorithm::ES256)?,
    };
    Ok(SigningKeys::new(key)?)
}

fn access_ttl() -> Result<Duration, String> {
    let Some(text) = variable("ACCESS_TTL") else {
        return Ok(Duration::from_secs(900));
    };
    let seconds = text
        .parse()
        .ok()
        .filter(|seconds| (1..=86_400).contains(seconds));
    seconds
        .map(Duration::from_secs)
        .ok_or(format!("ACCESS_TTL={text}: expected seconds, 1 to 86400"))
}

async fn issuer<S>(store: S, base: &str) -> Result<TokenIssuer, Fault>
where
    S: SessionStore + RevocationStore + Clone + 'static,
{
    // Processes that share a store are one issuer, wherever each of them listens.
    Ok(TokenIssuer::builder(base, signing_keys()?)
        .audience(base)
        .access_ttl(access_ttl()?)
        .revocations(RevocationHub::open(store.clone()).await?)
        .sessions(store)
        .build()?)
}

async fn app() -> Result<App, Fault> {
    let base = "http://login.example";
    let (issuer, users) = match variable("STORE") {
        None => (issuer(MemoryStore::new(), base).await?, Users::in_memory()?),
        Some(url) if url.starts_with("redis://") || url.starts_with("rediss://") => (
            issuer(RedisStore::connect(&url).await?, base).await?,
            Users::in_memory()?,
        ),
        Some(path) => (
            issuer(RedbStore::open(&path)?, base).await?,
            Users::open(&format!("{path}.users"))?,
        ),
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
    let address = variable("ADDR").unwrap_or_else(|| "127.0.0.1:3000".into());
    let address: SocketAddr = address
        .parse()
        .map_err(|_| format!("ADDR={address}: expected IP:PORT, for example 127.0.0.1:3000"))?;
    let app = app().await?;
    for (name, roles, scopes) in [
        ("alice", &[][..], "tasks:read tasks:write"),
        ("admin", &["admin"][..], "tasks:read"),
    ] {
        let password = app.users.seed(name, roles, scopes)?;
        let variable = format!("{}_PASSWORD", name.to_uppercase());
        match password {
            Some(password) => println!("{variable}={password}"),
            None => println!("# {name} has the password of the last time"),
        }
    }
    let router = router(app)?;
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    println!("URL=http://{address}");
    println!("# a page to log in on: http://{address}/");
    println!("# the API, with a button to log in: http://{address}/docs/");
    println!(
        "# all of it by curl: set URL and the passwords as above, then run examples/login/try.sh"
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
            eprintln!("{error}");
            let mut source = error.source();
            while let Some(cause) = source {
                eprintln!("  because: {cause}");
                source = cause.source();
            }
            ExitCode::FAILURE
        }
    }
}
