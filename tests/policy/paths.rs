//! Path rules in front of real routers: what stands in a guarded place is reached with the credential
//! and the role that it needs, and in no other way.
//!
//! The identifiers in the comments (`A01: whole segments` and so on) name one family of mistakes each. First come the
//! properties, with a grammar that knows the tricks of all families; then tables for each of them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs;
use std::future::ready;
use std::path::PathBuf;

use axum::Router;
use axum::body::Body;
use axum::routing::{self, MethodRouter};
use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, Select, select};
use proptest::test_runner::{Config, TestRunner};
use tokio::net::{TcpListener, TcpStream};
use tonic::server::NamedService;
use tower::util::{BoxCloneSyncService, MapRequestLayer};
use tower::{Layer as _, Service, ServiceExt, service_fn};
use tower_bearer::policy::{
    Claims, Explanation, IntoRule, PathAmbiguity, PoliciesBuilder, PolicyContext, Requirement,
    authenticated, deny, optional, permit, policy_fn, public, role, tenant,
};
use tower_bearer::{
    BearerAuthLayer, ConfigError, Credential, Failure, InvalidReason, Policies, Rejection,
    RejectionKind, Validator, validator_fn,
};
use tower_http::services::ServeDir;

// ===== Who asks, and what answers =====

/// A principal with these roles, of the tenant `acme`.
struct User(&'static [&'static str]);

impl Claims for User {
    fn has_role(&self, role: &str) -> bool {
        self.0.contains(&role)
    }

    fn has_tenant(&self, tenant: &str) -> bool {
        tenant == "acme"
    }
}

const ADMIN: &str = "token-of-an-admin";
const EDITOR: &str = "token-of-an-editor";
/// Somebody whom the validator knows, without any role.
const MEMBER: &str = "token-of-a-member";
const UNKNOWN: &str = "token-of-nobody";

fn layer(
    policies: &Policies<User>,
) -> BearerAuthLayer<impl Validator<Principal = User> + use<>, Policies<User>> {
    let validator = validator_fn(|credential: Credential<'_>| match credential.token() {
        ADMIN => Ok(User(&["admin"])),
        EDITOR => Ok(User(&["editor"])),
        MEMBER => Ok(User(&[])),
        _ => Err(Failure::invalid(InvalidReason::Unknown)),
    });
    BearerAuthLayer::new(validator).with_policy(policies.clone())
}

/// How well a place is guarded. Every handler answers with the area that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Area {
    Open,
    Member,
    Admin,
}

/// A header and not the body, because routers drop the body of an answer to HEAD.
const AREA: &str = "x-area";

impl Area {
    fn mark<B>(self, mut response: Response<B>) -> Response<B> {
        let value = HeaderValue::from(self as u16);
        response.headers_mut().insert(AREA, value);
        response
    }

    fn of<B>(response: &Response<B>) -> Option<Self> {
        let value = response.headers().get(AREA)?;
        let areas = [Area::Open, Area::Member, Area::Admin];
        areas
            .into_iter()
            .find(|area| *value == HeaderValue::from(*area as u16))
    }
}

/// A handler for every method.
fn place(area: Area) -> MethodRouter {
    routing::any(move || ready(area.mark(Response::new(Body::empty()))))
}

/// A handler that is guarded for these methods, and for those nobody knows.
fn guarded_for(methods: &'static str) -> MethodRouter {
    const KNOWN: &str = "GET HEAD POST PUT DELETE PATCH OPTIONS TRACE CONNECT";
    let names = |methods: &str, method: &Method| methods.split(' ').any(|name| method == name);
    routing::any(move |method: Method| {
        let area = match names(KNOWN, &method) && !names(methods, &method) {
            true => Area::Member,
            false => Area::Admin,
        };
        ready(area.mark(Response::new(Body::empty())))
    })
}

fn orders() -> MethodRouter {
    guarded_for("POST DELETE")
}

fn reports() -> MethodRouter {
    guarded_for("GET HEAD CONNECT")
}

/// A handler for what no route names: open where the rules open a path, and else for members.
fn elsewhere() -> MethodRouter {
    routing::any(|method: Method, uri: Uri| {
        let reads = matches!(method.as_str(), "GET" | "HEAD" | "CONNECT");
        let area = match uri.path() {
            "/" | "/health" | "/health.txt" | "/pkg.Public/Do" | "/public" => Area::Open,
            // A target that is an authority alone, where that is let through, counts as the root.
            "" => Area::Open,
            "/docs" if reads => Area::Open,
            path if path.starts_with("/public/") => Area::Open,
            path if path.starts_with("/docs/") && reads => Area::Open,
            _ => Area::Member,
        };
        ready(area.mark(Response::new(Body::empty())))
    })
}

/// A gRPC service made by hand.
#[derive(Clone)]
struct Rpc<const GUARDED: bool>;

impl<const GUARDED: bool> NamedService for Rpc<GUARDED> {
    const NAME: &'static str = if GUARDED { "pkg.Admin" } else { "pkg.Public" };
}

impl<const GUARDED: bool> Service<Request<tonic::body::Body>> for Rpc<GUARDED> {
    type Response = Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<tonic::body::Body>) -> Self::Future {
        let area = match request.uri().path() {
            _ if GUARDED => Area::Admin,
            "/pkg.Public/Do" => Area::Open,
            _ => Area::Member,
        };
        ready(Ok(area.mark(Response::new(tonic::body::Body::empty()))))
    }
}

/// A directory that is gone when the test is over.
struct Files(PathBuf);

impl Files {
    fn new(test: &str) -> Self {
        const NAMES: &str = "public/a.txt public/private/a.css health.txt admin/index.html admin/secret.css \
             admin/deep/secret.css users/7 api/acme/private/secret.css é+x/secret.css \
             a+b@c/secret.css pkg.Admin/Do administrator.json Admin.json public-admin.json";
        let root = std::env::temp_dir().join(format!("tower-bearer-{test}-{}", std::process::id()));
        for file in NAMES.split(' ') {
            // The one name with a space.
            let path = root.join(file.replace("é+", "é "));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        Self(root)
    }

    /// The type of a file says which area it belongs to.
    fn serve(&self) -> App {
        let files = ServeDir::new(&self.0);
        boxed(ServiceExt::<Request<Body>>::map_response(
            files,
            |response: Response<_>| {
                if !response.status().is_success() {
                    return response;
                }
                let kind = response.headers().get(header::CONTENT_TYPE);
                match kind.map(HeaderValue::as_bytes) {
                    Some(b"text/plain") => Area::Open.mark(response),
                    Some(b"application/json") => Area::Member.mark(response),
                    _ => Area::Admin.mark(response),
                }
            },
        ))
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

// ===== The applications =====

type App = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

fn boxed<S, B>(service: S) -> App
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<tower::BoxError>,
{
    BoxCloneSyncService::new(service.map_response(|response| response.map(Body::new)))
}

/// The layer in front of a service that says 200 to everything.
fn plain(policies: &Policies<User>) -> App {
    let ok = |_: Request<Body>| ready(Ok(Response::new(Body::empty())));
    boxed(layer(policies).layer(service_fn(ok)))
}

/// The same behind a router that is nested at the prefix.
fn below(policies: &Policies<User>, prefix: &str) -> App {
    let ok = |_: Request<Body>| ready(Ok(Response::new(Body::empty())));
    boxed(
        layer(policies)
            .nested_at(prefix)
            .unwrap()
            .layer(service_fn(ok)),
    )
}

fn rules(allowed: Option<PathAmbiguity>) -> Policies<User> {
    let builder = match allowed {
        Some(kind) => Policies::builder().insecure_allow_path(kind),
        None => Policies::builder(),
    };
    builder
        .at("/", public())
        .at("/health", public())
        .at("/health.txt", public())
        .under("/public/private", role("admin"))
        .under("/public", public())
        .under("/docs", public().on([Method::GET]))
        .at("/pkg.Public/Do", public())
        .under("/admin", role("admin"))
        .at("/users/{id}", role("admin"))
        .under("/api/{tenant}/private", role("admin"))
        .under("/orders", role("admin").on([Method::POST, Method::DELETE]))
        .under("/reports", role("admin").on([Method::GET]))
        .under("/é x", role("admin"))
        .under("/a+b@c", role("admin"))
        .under("/pkg.Admin", role("admin"))
        .build()
        .unwrap()
}

/// Handlers for all that the rules guard. axum compares the path as the client sent it, so names that
/// need an escape stand here escaped, two of them in a way that clients do not use.
fn routes() -> Router {
    Router::new()
        .route("/", place(Area::Open))
        .route("/health", place(Area::Open))
        .route("/public/{*rest}", place(Area::Open))
        .route("/public/private/{*rest}", place(Area::Admin))
        .route("/admin", place(Area::Admin))
        .route("/admin/", place(Area::Admin))
        .route("/admin/{*rest}", place(Area::Admin))
        .route("/%61dmin/{*rest}", place(Area::Admin))
        .route("/users/{id}", place(Area::Admin))
        .route("/api/{tenant}/private", place(Area::Admin))
        .route("/api/{tenant}/private/{*rest}", place(Area::Admin))
        .route("/orders", orders())
        .route("/orders/{id}", orders())
        .route("/reports", reports())
        .route("/%C3%A9%20x/{*rest}", place(Area::Admin))
        .route("/a+b@c/{*rest}", place(Area::Admin))
        .route("/a%2Bb@c/{*rest}", place(Area::Admin))
        .route("/pkg.Admin/{method}", place(Area::Admin))
}

fn all(area: Area) -> Router {
    Router::new()
        .route("/", place(area))
        .route("/{*rest}", place(area))
}

fn apps(files: &Files, allowed: Option<PathAmbiguity>) -> Vec<(&'static str, App)> {
    let policies = rules(allowed);
    let auth = || layer(&policies);
    let within = routes().fallback_service(elsewhere()).layer(auth());
    let around = auth().layer(routes().fallback_service(files.serve()));
    let rest = Router::new().route("/{*rest}", elsewhere()).layer(auth());
    let merged = Router::new()
        .merge(routes().layer(auth()))
        .merge(rest)
        .fallback_service(auth().layer(elsewhere()));
    let grpc = tonic::service::Routes::new(Rpc::<true>).add_service(Rpc::<false>);
    let mut apps = vec![
        ("a router with the layer", boxed(within)),
        ("a layer around a router and files", boxed(around)),
        ("merged routers", boxed(merged)),
        ("files", boxed(auth().layer(files.serve()))),
        ("gRPC", boxed(auth().layer(grpc))),
    ];
    // A layer inside of `nest` receives the rest of the path, and declares the prefix.
    let at = |prefix| auth().nested_at(prefix).unwrap();
    let users = Router::new().route("/{id}", place(Area::Admin));
    let private = all(Area::Admin).layer(at("/api/{tenant}/private"));
    let api = Router::new().nest("/private", private);
    let order = Router::new().route("/", orders()).route("/{id}", orders());
    let nested = Router::new()
        .nest("/admin", all(Area::Admin).layer(at("/admin")))
        .nest("/public", all(Area::Open).layer(at("/public")))
        .nest(
            "/public/private",
            all(Area::Admin).layer(at("/public/private")),
        )
        .nest("/users", users.layer(at("/users")))
        .nest("/api/{tenant}", api)
        .nest("/orders", order.layer(at("/orders")))
        .nest_service("/a+b@c", at("/a+b@c").layer(all(Area::Admin)))
        .fallback_service(auth().layer(elsewhere()));
    apps.push(("nested routers with the layer inside", boxed(nested)));
    apps
}

// ===== The grammar =====

/// Where a request is aimed at before it is bent: guarded and open places.
const BASES: &str = "/admin /admin/secret.css /admin/deep/secret.css /users/7 /users/ \
     /api/acme/private /api/acme/private/secret.css /orders /orders/7 /reports /public/private/a.css /%C3%A9%20x/secret.css \
     /a+b@c/secret.css /pkg.Admin/Do /pkg.Public/Do / /health /health.txt /public/a.txt \
     /docs/intro /administrator.json";

// Prefixes, replacements of a slash, insertions, suffixes and whole targets for the rules from
// (A01: whole segments) to (A11: invalid characters).
const PREFIXES: &str = "/ /. /./ /public/.. /public/%2e%2e /public/.%2E /public/..; /public%2f.. \
     /public\\.. /public%5c.. /public /%2f %2f //host http://host https://user@host:8443 \\";
const SLASHES: &str = "// /./ /x/../ /%2e/ /.;/ %2f %2F %5c \\ %252f /;/ /%00/";
const INSERTS: &str = "; ;a=b %3b %3Ba %00 %0a %0d%0a %09 %7f %e2%80%a8 \u{2029} %c3 %ff % %zz \
     %u0061 %25 %2561 \\ %5C . .. %2e %20 + \u{e9} ? # %3f %23 * \0 \u{200b} x";
const SUFFIXES: &str = "/ // /. /.. /../public/a.txt .. x -public .json ;x=y /; %3bx=y ?/public \
     ?a=/../public #/public %3f/public %23/public %00 %20 %2f /secret.css";
const WHOLE: &str = "* admin admin:80 public/../admin http://host ? //";

#[derive(Clone, Debug)]
enum Mutation {
    Append(&'static str),
    /// The other case.
    Case(Index),
    DropFirst,
    /// One byte as an escape, in upper or lower case.
    Encode(Index, bool),
    /// One byte as an escape whose percent sign is an escape.
    EncodeTwice(Index),
    Insert(Index, &'static str),
    Prepend(&'static str),
    /// Another text for one of the slashes.
    Slash(Index, &'static str),
    Whole(&'static str),
}

impl Mutation {
    fn apply(&self, mut path: Vec<u8>) -> Vec<u8> {
        let (range, text) = match self {
            Mutation::Append(text) => (path.len()..path.len(), text.to_string()),
            Mutation::Prepend(text) => (0..0, text.to_string()),
            Mutation::Whole(text) => (0..path.len(), text.to_string()),
            Mutation::DropFirst => (0..path.len().min(1), String::new()),
            Mutation::Insert(index, text) => {
                let at = index.index(path.len() + 1);
                (at..at, text.to_string())
            }
            _ if path.is_empty() => return path,
            Mutation::Case(index) => {
                let at = index.index(path.len());
                path[at] ^= u8::from(path[at].is_ascii_alphabetic()) << 5;
                return path;
            }
            Mutation::Encode(index, upper) => {
                let at = index.index(path.len());
                let byte = path[at];
                let lower = format!("%{byte:02x}");
                let upper = upper.then(|| lower.to_ascii_uppercase());
                (at..at + 1, upper.unwrap_or(lower))
            }
            Mutation::EncodeTwice(index) => {
                let at = index.index(path.len());
                (at..at + 1, format!("%25{:02x}", path[at]))
            }
            Mutation::Slash(index, text) => {
                let slashes: Vec<usize> = (0..path.len()).filter(|at| path[*at] == b'/').collect();
                let Some(at) = (!slashes.is_empty()).then(|| *index.get(&slashes)) else {
                    return path;
                };
                (at..at + 1, text.to_string())
            }
        };
        path.splice(range, text.into_bytes());
        path
    }
}

fn one_of(words: &'static str) -> Select<&'static str> {
    select(words.split(' ').collect::<Vec<_>>())
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = any::<Index>;
    prop_oneof![
        8 => (at(), any::<bool>()).prop_map(|(at, upper)| Mutation::Encode(at, upper)),
        2 => at().prop_map(Mutation::EncodeTwice),
        2 => at().prop_map(Mutation::Case),
        4 => (at(), one_of(SLASHES)).prop_map(|(at, text)| Mutation::Slash(at, text)),
        4 => (at(), one_of(INSERTS)).prop_map(|(at, text)| Mutation::Insert(at, text)),
        4 => one_of(SUFFIXES).prop_map(Mutation::Append),
        4 => one_of(PREFIXES).prop_map(Mutation::Prepend),
        1 => Just(Mutation::DropFirst),
        1 => one_of(WHOLE).prop_map(Mutation::Whole),
    ]
}

/// (A13: case of paths and methods, A15: unlisted methods) Known methods, one in the wrong case,
/// and some that nobody knows.
fn method() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        1 => Just("GET"),
        2 => one_of("GET POST HEAD PUT DELETE PATCH OPTIONS TRACE CONNECT get GETX PROPFIND"),
    ]
}

/// (A15: unlisted methods, A16: CORS preflights, A18: override headers, A27: client markers)
/// Headers that some server somewhere believes.
const HEADERS: &[(&str, &str)] = &[
    ("x-http-method-override", "GET"),
    ("x-http-method", "OPTIONS"),
    ("x-method-override", "HEAD"),
    ("x_http_method_override", "GET"),
    ("x-original-url", "/public/a.txt"),
    ("x-original-uri", "/health"),
    ("x-rewrite-url", "/health"),
    ("x-forwarded-uri", "/public/a.txt"),
    ("x_forwarded_uri", "/public/a.txt"),
    ("x-forwarded-path", "/health"),
    ("x-forwarded-prefix", "/public"),
    ("x-forwarded-method", "OPTIONS"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-for", "127.0.0.1"),
    ("x-forwarded-host", "localhost"),
    ("x-middleware-subrequest", "src/middleware"),
    ("x-authenticated-user", "admin"),
    ("x-internal", "true"),
    ("user-agent", "kube-probe/1.30"),
    ("user-agent", "GoogleHC/1.0"),
    ("connection", "authorization"),
    ("origin", "https://app.example.com"),
    ("access-control-request-method", "GET"),
    ("upgrade", "websocket"),
    ("host", "localhost"),
];

/// A request without its credential.
#[derive(Clone, Debug)]
struct Probe {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
}

impl Probe {
    /// `None` if the `http` crate does not take it, so that no service could ever see it.
    fn new(target: &[u8], method: &str, headers: &[(&'static str, &'static str)]) -> Option<Self> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        Some(Self {
            method: method.parse().ok()?,
            uri: Uri::try_from(target).ok()?,
            headers: map,
        })
    }

    fn get(target: &str) -> Self {
        Self::new(target.as_bytes(), "GET", &[]).unwrap_or_else(|| panic!("{target:?}"))
    }

    fn with(&self, token: Option<&str>) -> Request<Body> {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        if let Some(token) = token {
            let value = HeaderValue::try_from(format!("Bearer {token}")).unwrap();
            request.headers_mut().insert(header::AUTHORIZATION, value);
        }
        request
    }

    /// The answer of a service that need not wait.
    fn ask(&self, app: &App, token: Option<&str>) -> Response<Body> {
        let answer = app.clone().oneshot(self.with(token)).now_or_never();
        let answer = answer.expect("nothing to wait for").unwrap();
        crate::support::check_challenges(answer.headers());
        answer
    }
}

fn probe() -> impl Strategy<Value = Option<Probe>> {
    let target = (one_of(BASES), vec(mutation(), 0..4)).prop_map(|(base, mutations)| {
        let base = base.as_bytes().to_vec();
        mutations
            .iter()
            .fold(base, |path, mutation| mutation.apply(path))
    });
    (target, method(), vec(select(HEADERS), 0..4))
        .prop_map(|(target, method, headers)| Probe::new(&target, method, &headers))
}

/// A failure prints its input; nothing is written beside the sources.
/// `TOWER_BEARER_CASES` sets the number of cases.
fn runner() -> TestRunner {
    let cases = std::env::var("TOWER_BEARER_CASES");
    TestRunner::new(Config {
        cases: cases.map_or(512, |cases| cases.parse().unwrap()),
        failure_persistence: None,
        ..Config::default()
    })
}

// ===== The properties =====

// (A26: guarded places)
#[test]
fn guarded_resource_requires_its_credential_and_role() {
    const KINDS: [PathAmbiguity; 9] = [
        PathAmbiguity::Backslash,
        PathAmbiguity::BadEscape,
        PathAmbiguity::ControlCharacter,
        PathAmbiguity::DotSegment,
        PathAmbiguity::DoubleEncoding,
        PathAmbiguity::EncodedSlash,
        PathAmbiguity::NotAbsolute,
        PathAmbiguity::PathParameter,
        PathAmbiguity::RepeatedSlash,
    ];
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let files = Files::new("property");
    let strict = apps(&files, None);
    let lax = KINDS.map(|kind| apps(&files, Some(kind)));
    let reached = RefCell::new(BTreeMap::<(&str, &str), u32>::new());
    // Half of the cases run as the layer is meant to be used, half with one ambiguity let through.
    let cases = (option::of(0..KINDS.len()), vec(probe(), 8));
    let ran = runner().run(&cases, |(kind, probes)| {
        let apps = kind.map_or(&strict, |kind| &lax[kind]);
        let pairs = |app| probes.iter().flatten().map(move |probe| (app, probe));
        for ((name, app), probe) in apps.iter().flat_map(pairs) {
            for (who, token, limit) in [
                ("nobody", None, Area::Open),
                ("a bad token", Some(UNKNOWN), Area::Open),
                ("a member", Some(MEMBER), Area::Member),
                ("an admin", Some(ADMIN), Area::Admin),
            ] {
                let response = runtime.block_on(app.clone().oneshot(probe.with(token)));
                let Some(area) = Area::of(&response.unwrap()) else {
                    continue;
                };
                let kind = kind.map(|kind| KINDS[kind]);
                prop_assert!(
                    area <= limit,
                    "{who} reached {area:?} of {name}, {kind:?} let through: {probe:?}"
                );
                if area == limit {
                    *reached.borrow_mut().entry((*name, who)).or_default() += 1;
                }
            }
        }
        Ok(())
    });
    ran.unwrap();
    // The doors that stayed shut are doors: with the key they open.
    for (name, _) in &strict {
        for (who, least) in [("nobody", 15), ("an admin", 25)] {
            let count = reached.borrow().get(&(*name, who)).copied().unwrap_or(0);
            assert!(count >= least, "{who} reached {name} {count} times");
        }
    }
}

/// A rule of a random list, or of a table.
#[derive(Clone, Copy, Debug)]
struct RuleSpec {
    path: &'static str,
    under: bool,
    effect: Effect,
    methods: Option<&'static [Method]>,
}

#[derive(Clone, Copy, Debug)]
enum Effect {
    Authenticated,
    Deny,
    Optional,
    Permit,
    Public,
    Role(&'static str),
    /// A role that takes a moment to look up.
    Lookup(&'static str),
}

const RESTRICTING: &[Effect] = &[
    Effect::Authenticated,
    Effect::Deny,
    Effect::Role("admin"),
    Effect::Role("editor"),
    Effect::Lookup("admin"),
];
const OPENING: &[Effect] = &[Effect::Optional, Effect::Permit, Effect::Public];

fn rule(effect: impl Strategy<Value = Effect>) -> impl Strategy<Value = RuleSpec> {
    const METHODS: &[Option<&[Method]>] = &[
        None,
        Some(&[Method::GET]),
        Some(&[Method::HEAD]),
        Some(&[Method::POST, Method::DELETE]),
    ];
    let paths = one_of("/ /a /a/b /{x} /a/{x} /{x}/b /a/{x}/c /é /p");
    (paths, any::<bool>(), effect, select(METHODS)).prop_map(|(path, under, effect, methods)| {
        RuleSpec {
            path,
            under,
            effect,
            methods,
        }
    })
}

fn list() -> impl Strategy<Value = Vec<RuleSpec>> {
    vec(
        rule(prop_oneof![select(RESTRICTING), select(OPENING)]),
        0..6,
    )
}

fn build(rules: &[RuleSpec], deny_unmatched: bool) -> Result<Policies<User>, ConfigError> {
    type Builder = PoliciesBuilder<User>;
    fn place(builder: Builder, spec: &RuleSpec, rule: impl IntoRule<User>) -> Builder {
        match spec.under {
            true => builder.under(spec.path, rule),
            false => builder.at(spec.path, rule),
        }
    }
    macro_rules! place {
        ($builder:ident, $spec:ident, $rule:expr) => {
            match $spec.methods {
                Some(methods) => place($builder, $spec, $rule.on(methods.iter().cloned())),
                None => place($builder, $spec, $rule),
            }
        };
    }
    let lookup =
        |name| policy_fn(move |cx: &PolicyContext<'_, User>| ready(cx.principal().has_role(name)));
    let start = match deny_unmatched {
        true => Policies::builder().deny_unmatched(),
        false => Policies::builder(),
    };
    let filled = rules.iter().fold(start, |builder, spec| match spec.effect {
        Effect::Authenticated => place!(builder, spec, authenticated()),
        Effect::Deny => place!(builder, spec, deny()),
        Effect::Optional => place!(builder, spec, optional()),
        Effect::Permit => place!(builder, spec, permit(role("admin"))),
        Effect::Public => place!(builder, spec, public()),
        Effect::Role(name) => place!(builder, spec, role(name)),
        Effect::Lookup(name) => place!(builder, spec, lookup(name)),
    });
    filled.build()
}

const EVERYBODY: [Option<&str>; 5] = [None, Some(UNKNOWN), Some(MEMBER), Some(EDITOR), Some(ADMIN)];

// A rule that matches only one form of the path, or only for some values of a parameter of the prefix, is uncertain.
#[test]
fn uncertain_optional_rule_rejects_invalid_credential_on_public_path() {
    // (A04: encoded paths, A17: nested routers)
    let policies = Policies::builder()
        .under("/a", optional())
        .under("/{x}", public())
        .build()
        .unwrap();
    let (outside, nested) = (plain(&policies), below(&policies, "/{any}/b"));
    for (name, app, path, expected) in [
        ("optional", &outside, "/a/b", [200, 401, 200]),
        ("public", &outside, "/b/b", [200, 200, 200]),
        ("one form", &outside, "/%61/b", [200, 401, 200]),
        ("some values", &nested, "/c", [200, 401, 200]),
    ] {
        let probe = Probe::new(path.as_bytes(), "GET", &[]).unwrap();
        let found = [None, Some(UNKNOWN), Some(MEMBER)].map(|token| probe.ask(app, token).status());
        assert_eq!(found, expected, "{name}: {path}");
    }
}

// In a list that denies what no rule names, a rule takes its path out of the general refusal, unless
// it is one for every path.
#[test]
fn restricting_rule_at_any_position_never_allows_more() {
    const TARGETS: &str = "/ /a /a/ /a/b /%61/b /a/x/c /a/x/ /b/b /%C3%A9 /p/x /%70";
    let compared = RefCell::new([0; 3]);
    let cases = (
        list(),
        rule(select(RESTRICTING)),
        any::<Index>(),
        any::<bool>(),
    );
    let ran = runner().run(
        &cases,
        |(mut rules, mut restricting, position, deny_unmatched)| {
            if deny_unmatched {
                (restricting.path, restricting.under) = ("/", true);
            }
            let before = build(&rules, deny_unmatched);
            rules.insert(position.index(rules.len() + 1), restricting);
            let (Ok(before), Ok(after)) = (before, build(&rules, deny_unmatched)) else {
                return Ok(());
            };
            let (before, after) = (plain(&before), plain(&after));
            let [lists, passed, stopped] = &mut *compared.borrow_mut();
            *lists += 1;
            for target in TARGETS.split(' ') {
                for method in ["GET", "HEAD", "POST", "GETX"] {
                    let probe = Probe::new(target.as_bytes(), method, &[]).unwrap();
                    for token in EVERYBODY {
                        let passes = |app| probe.ask(app, token).status() == StatusCode::OK;
                        let (before, after) = (passes(&before), passes(&after));
                        prop_assert!(before || !after, "{method} {target} with {token:?}");
                        *passed += u32::from(after);
                        *stopped += u32::from(before && !after);
                    }
                }
            }
            Ok(())
        },
    );
    ran.unwrap();
    // Enough lists that can be built, requests that pass, and requests that the new rule stops.
    let [lists, passed, stopped] = compared.into_inner();
    assert!(lists >= 150, "{lists} lists were compared");
    assert!(passed >= 5_000, "{passed} requests passed");
    assert!(stopped >= 1_000, "{stopped} requests were stopped");
}

#[test]
fn explain_matches_service_decision() {
    let permits = |explained: &Explanation| {
        let mut rules = explained.rules().iter();
        rules.any(|rule| rule.rule().contains("permit("))
    };
    let simple = (one_of("/ /a /a/b /%61 /a/x/c /p /%C3%A9"), method())
        .prop_map(|(path, method)| Probe::new(path.as_bytes(), method, &[]));
    let seen = RefCell::new(BTreeMap::<String, u32>::new());
    let cases = (
        list(),
        any::<bool>(),
        vec(prop_oneof![1 => probe(), 3 => simple], 12),
    );
    let ran = runner().run(&cases, |(rules, deny_unmatched, probes)| {
        let Ok(policies) = build(&rules, deny_unmatched) else {
            return Ok(());
        };
        let app = plain(&policies);
        for probe in probes.iter().flatten() {
            let explained = policies.explain(&probe.method, probe.uri.path());
            let [nobody, unknown, others @ ..] = EVERYBODY.map(|token| probe.ask(&app, token));
            let expected = match explained.requirement() {
                Ok(Requirement::Public) => [200, 200],
                Ok(Requirement::Optional) => [200, 401],
                Ok(Requirement::Credential) => [401, 401],
                Ok(_) => panic!("a requirement that this test does not know"),
                Err(_) => [400, 400],
            };
            prop_assert_eq!(
                [nobody.status(), unknown.status()],
                expected,
                "{}",
                explained
            );
            for response in &others {
                let rejection = response.extensions().get::<Rejection>();
                let by = rejection.and_then(Rejection::rule);
                let named = explained.rules().iter().any(|rule| Some(rule.rule()) == by);
                let agrees = match (explained.requirement(), rejection.map(Rejection::kind)) {
                    (Err(known), kind) => kind == Some(RejectionKind::AmbiguousPath(known)),
                    // "Whoever asks" means whoever asks.
                    (Ok(_), None) if explained.is_unmatched_and_denied() => false,
                    // The general refusal, for whom no rule has given a permission.
                    (Ok(_), Some(RejectionKind::Forbidden)) if by == Some("the rest: deny()") => {
                        explained.is_unmatched_and_denied() || permits(&explained)
                    }
                    (Ok(Requirement::Public), kind) => kind.is_none(),
                    (Ok(_), kind) => kind.is_none() || named,
                };
                prop_assert!(agrees, "{:?} {by:?}: {explained}", response.status());
            }
            let kind = format!("{:?}", explained.requirement().map_err(|_| "ambiguous"));
            *seen.borrow_mut().entry(kind).or_default() += 1;
        }
        Ok(())
    });
    ran.unwrap();
    let seen = seen.into_inner();
    assert_eq!(seen.len(), 4, "{seen:?}");
    assert!(seen.values().all(|count| *count >= 40), "{seen:?}");
}

// ===== Tables =====

/// The lines of a table: who may, the target of a GET, and the name of the case. "Who" stands for the
/// answers to nobody, to a member and to an admin.
fn cases(table: &str) -> impl Iterator<Item = ([u16; 3], &str, &str)> {
    let lines = table.lines().map(|line| line.trim_matches(' '));
    lines.filter(|line| !line.is_empty()).map(|line| {
        let (who, rest) = line.split_once(' ').unwrap();
        let (target, name) = rest.trim_start_matches(' ').split_once(' ').unwrap();
        let expected = match who {
            "all" => [200, 200, 200],
            "members" => [401, 200, 200],
            "admins" => [401, 403, 200],
            "none" => [401, 403, 403],
            "400" => [400, 400, 400],
            other => panic!("{other:?}"),
        };
        (expected, target, name.trim_start_matches(' '))
    })
}

async fn statuses(app: &App, probe: &Probe) -> [u16; 3] {
    let mut found = [0; 3];
    for (found, token) in found.iter_mut().zip([None, Some(MEMBER), Some(ADMIN)]) {
        let response = app.clone().oneshot(probe.with(token)).await.unwrap();
        *found = response.status().as_u16();
    }
    found
}

async fn check(app: &App, table: &str) {
    check_each([("", app.clone())], table).await;
}

async fn check_each(apps: impl IntoIterator<Item = (&str, App)>, table: &str) {
    for (app_name, app) in apps {
        for (expected, target, name) in cases(table) {
            let found = statuses(&app, &Probe::get(target)).await;
            assert_eq!(found, expected, "{app_name} {name}: {target:?}");
        }
    }
}

// (A01: whole segments, A07: trailing slashes)
#[tokio::test]
async fn rule_covers_whole_segments_and_trailing_slash() {
    let table = "
        admins   /admin                the path itself
        admins   /admin/               with a trailing slash
        admins   /admin/x/y            below
        members  /administrator        a longer segment
        members  /admi                 a shorter segment
        members  /x/admin              below something else
        all      /public               an open path
        all      /public/              an open path with a slash
        all      /public/x             below an open path
        members  /public-admin         a longer open segment
        members  /public..             an open segment and dots
        all      /health               one open path
        members  /health/              one open path with a slash is another
        members  /health/x             below one open path
        admins   /users/7              one guarded path
        admins   /users/7/             one guarded path with a slash
        admins   /users/               one guarded path, its variable empty
        members  /users                above one guarded path
        members  /users/7/x            below one guarded path
        admins   /api/acme/private/x   a variable in the middle
        members  /api/acme/public      beside it
    ";
    check(&plain(&rules(None)), table).await;
}

#[tokio::test]
async fn ambiguous_path_is_rejected_before_any_rule() {
    let app = plain(&rules(None));
    let tables = [
        // (A02: dot segments)
        "400  /public/../admin       dots up
         400  /public/..             dots up at the end
         400  /public/./x            one dot
         400  /public/%2e%2e/admin   encoded dots
         400  /public/.%2E/admin     half-encoded dots
         all  /public/...            three dots are a name",
        // (A03: encoded separators)
        "400  /admin%2fx             an encoded slash
         400  /public%2F..%2Fadmin   an encoded slash in upper case
         400  /public%5c..%5Cadmin   an encoded backslash",
        // (A05: double encoding)
        "400  /%2561dmin             double encoding
         400  /public/%252fadmin     a double-encoded slash
         400  /public/%252561        triple encoding
         all  /public/50%25          an encoded percent sign alone",
        // (A06: repeated slashes)
        "400  //admin                slashes in front
         400  /public//admin         slashes within
         400  /public//              slashes at the end",
        // (A08: path parameters)
        "400  /admin;x=y             a parameter
         400  /public;x=y/../admin   a parameter in an earlier segment
         400  /public/..;/admin      a parameter behind dots
         400  /admin%3bx             an encoded parameter",
        // (A10: request targets)
        "400  *                      an asterisk
         400  localhost:80           an authority
         400  admin                  a name without a slash, which is an authority too",
        // (A11: invalid characters)
        "400  /admin\\x               a backslash
         400  /public\\..\\admin       backslashes and dots
         400  /admin%00              an encoded NUL
         400  /public%0d%0a/admin    an encoded line break
         400  /admin%c2%85           an encoded C1 control character
         400  /admin%e2%80%a9        an encoded paragraph separator
         400  /admin%ff              an escape that is not UTF-8
         400  /x%c0%af..%c0%afadmin  an overlong slash
         400  /admin%                a bare percent sign
         400  /%u0061dmin            not hexadecimal",
    ];
    for table in tables {
        check(&app, table).await;
    }
    // (A11: invalid characters) Unescaped
    let separator = statuses(&app, &Probe::get("/admin\u{2028}")).await;
    assert_eq!(separator, [400; 3]);
    // (A10: request targets) Nothing else that does not begin with a slash is a target for the
    // `http` crate.
    for target in "?/admin admin/x  \\admin %2fadmin /admin\0".split(' ') {
        let probe = Probe::new(target.as_bytes(), "GET", &[]);
        assert!(probe.is_none(), "{target:?}");
    }
}

// (A04: encoded paths)
#[tokio::test]
async fn encoded_character_hides_no_path_and_opens_none() {
    let table = "
        admins   /%61dmin              one letter
        admins   /%61%64%6d%69%6E/x    all letters
        admins   /api/acme/%70rivate   a letter behind a variable
        admins   /a%2Bb@c/x            a sub-delim
        admins   /a+b%40c/x            an at sign
        admins   /%c3%a9%20x/y         UTF-8 in lower case
        admins   /é%20x/y              UTF-8 as it is
        members  /%70ublic/x           an open path
        all      /public/%78           below an open path
        members  /healt%68             one open path
    ";
    check(&plain(&rules(None)), table).await;
}

// (A09: query and fragment)
#[tokio::test]
async fn query_and_fragment_are_never_matched() {
    let table = "
        admins   /admin?/public          a path in the query
        admins   /admin?x=/../public/    dots in the query
        admins   /admin??/public         two question marks
        all      /public/x?/admin        a guarded path in the query
        all      /health?                an empty query
        all      /health?a=//;%00%zz     an ambiguous query is no ambiguous path
        admins   /admin#/public          a fragment
        all      /health#/admin          a fragment behind an open path
        400      /public%3f/../admin     an encoded question mark hides no dots
        members  /public%3fx             an encoded question mark is a character
        members  /health%23x             an encoded hash is a character
    ";
    check(&plain(&rules(None)), table).await;
}

// (A12: no regular expressions, A14: no suffix lists)
#[tokio::test]
async fn pattern_is_literal_text_without_regex_or_suffix() {
    let policies = Policies::builder()
        .under("/a.b", role("admin"))
        .under("/(x|y)+$", role("admin"))
        .at("/me", public())
        .build();
    let table = "
        admins   /a.b          a dot
        members  /axb          a dot stands for itself alone
        admins   /(x%7Cy)+$    brackets stand for themselves
        members  /x            and for nothing else
        admins   /a.b/me       an open name at the end
        admins   /a.b/x.me     an open name as an extension
        members  /x/me         an open name below another
    ";
    check(&plain(&policies.unwrap()), table).await;
    for pattern in "/*.png /a/* /{*rest} /x{id} /:id * a /a?x /a#x /a//b /a/../b /a;b".split(' ') {
        let built = Policies::<User>::builder().at(pattern, public()).build();
        let Err(ConfigError::Pattern { pattern: named, .. }) = built else {
            panic!("{pattern}: {built:?}");
        };
        assert_eq!(named, pattern);
    }
}

// (A13: case of paths and methods)
#[tokio::test]
async fn path_is_case_sensitive_like_the_router() {
    let table = "
        members  /Admin      another case is another path
        members  /PUBLIC/x   also of an open path
    ";
    check(&plain(&rules(None)), table).await;
    let files = Files::new("case");
    for (name, app) in apps(&files, None) {
        for target in ["/Admin", "/ADMIN/secret.css", "/pkg.admin/Do"] {
            let request = Probe::get(target).with(Some(ADMIN));
            let response = app.clone().oneshot(request).await.unwrap();
            assert_ne!(Area::of(&response), Some(Area::Admin), "{name}: {target}");
        }
    }
}

// (A13: case of paths and methods, A15: unlisted methods)
#[tokio::test]
async fn get_rule_governs_every_method_that_get_handlers_answer() {
    let policies = Policies::builder()
        .under("/restricted", role("admin").on([Method::GET]))
        .under("/written", role("admin").on([Method::POST, Method::DELETE]))
        .under("/opened", public().on([Method::GET]))
        .under("/head", role("admin").on([Method::HEAD]))
        .build();
    let app = plain(&policies.unwrap());
    // CONNECT is how a WebSocket is asked for over HTTP/2. What nobody knows is restricted by every
    // rule and opened by none.
    let table = "
        admins   /restricted  GET HEAD CONNECT get GETX PROPFIND
        members  /restricted  POST PUT DELETE PATCH OPTIONS TRACE
        admins   /written     POST DELETE post PROPFIND
        members  /written     GET HEAD PUT PATCH OPTIONS TRACE CONNECT
        all      /opened      GET HEAD CONNECT
        members  /opened      POST PUT DELETE PATCH OPTIONS TRACE get GETX PROPFIND
        admins   /head        HEAD GETX
        members  /head        GET POST
    ";
    for (expected, target, methods) in cases(table) {
        for method in methods.split(' ') {
            let probe = Probe::new(target.as_bytes(), method, &[]).unwrap();
            assert_eq!(statuses(&app, &probe).await, expected, "{method} {target}");
        }
    }
}

// (A15: unlisted methods, A18: override headers, A27: client markers)
#[tokio::test]
async fn no_header_changes_what_is_matched() {
    let app = plain(&rules(None));
    let table = "
        admins   /admin            GET
        admins   /admin            OPTIONS
        admins   /orders           POST
        members  /docs/intro       POST
        members  /elsewhere        GET
        400      /public/../admin  GET
        all      /health           GET
    ";
    for header in HEADERS {
        for (expected, target, method) in cases(table) {
            let probe = Probe::new(target.as_bytes(), method, &[*header]).unwrap();
            let found = statuses(&app, &probe).await;
            assert_eq!(found, expected, "{method} {target} with {header:?}");
        }
    }
}

// (A16: CORS preflights)
#[test]
fn options_is_open_only_for_real_preflight_with_opt_in() {
    const ORIGIN: (&str, &str) = ("origin", "https://app.example.com");
    const METHOD: (&str, &str) = ("access-control-request-method", "GET");
    const HEADER: (&str, &str) = ("access-control-request-headers", "accept");
    for (name, method, headers, enabled, expected) in [
        ("a preflight", "OPTIONS", &[ORIGIN, METHOD][..], true, 200),
        ("with more", "OPTIONS", &[ORIGIN, METHOD, HEADER], true, 200),
        ("not enabled", "OPTIONS", &[ORIGIN, METHOD], false, 401),
        ("without headers", "OPTIONS", &[], true, 401),
        ("without method", "OPTIONS", &[ORIGIN, HEADER], true, 401),
        ("without origin", "OPTIONS", &[METHOD], true, 401),
        ("not OPTIONS", "GET", &[ORIGIN, METHOD], true, 401),
        ("another case", "options", &[ORIGIN, METHOD], true, 401),
    ] {
        let mut layer = layer(&rules(None));
        if enabled {
            layer = layer.allow_cors_preflight();
        }
        let app = boxed(layer.layer(place(Area::Admin)));
        let probe = Probe::new(b"/admin", method, headers).unwrap();
        assert_eq!(probe.ask(&app, None).status(), expected, "{name}");
    }
}

// (A17: nested routers, M09: path of the inner service)
#[tokio::test]
async fn rules_in_declared_nest_use_full_path() {
    let policies = Policies::builder()
        .under("/v1/admin", role("admin"))
        .under("/v1/public", public())
        // What the router inside of `nest` would call them: other places.
        .under("/admin", deny())
        .under("/open", public())
        .build()
        .unwrap();
    let auth = || layer(&policies);
    let api = || {
        Router::new()
            .route("/admin", place(Area::Admin))
            .route("/%61dmin", place(Area::Admin))
            .route("/public/{*rest}", place(Area::Open))
            .route("/open", place(Area::Member))
    };
    let at = |prefix| auth().nested_at(prefix).unwrap();
    let around = auth().layer(Router::new().nest("/v1", api()));
    let service = at("/v1").layer(api());
    let apps = [
        ("inside", Router::new().nest("/v1", api().layer(at("/v1")))),
        ("outside", Router::new().nest("/v1", api()).layer(auth())),
        ("around", Router::new().fallback_service(around)),
        ("service", Router::new().nest_service("/v1", service)),
    ];
    let table = "
        admins   /v1/admin            guarded
        admins   /v1/%61dmin          guarded and encoded
        all      /v1/public/x         open
        members  /v1/open             open without its prefix
        400      /v1/public/../admin  ambiguous
    ";
    check_each(apps.map(|(name, app)| (name, boxed(app))), table).await;
    let twice = Router::new().nest("/admin", api().layer(at("/v1/admin")));
    let table = "admins  /v1/admin/open  nested twice, with the prefixes of both";
    check(&boxed(Router::new().nest("/v1", twice)), table).await;
}

// (A19: rewritten requests)
#[tokio::test]
async fn rules_match_outer_rewrite_and_not_inner_rewrite() {
    let policies = rules(None);
    let rewrite = MapRequestLayer::new(|mut request: Request<Body>| {
        if request.uri().path() == "/public/alias" {
            *request.uri_mut() = Uri::from_static("/admin");
        }
        request
    });
    // The layers of a router run behind its routing, so who rewrites stands around the router.
    let apps = [
        (
            "service",
            boxed(rewrite.layer(layer(&policies).layer(routes()))),
        ),
        (
            "router",
            boxed(rewrite.layer(routes().layer(layer(&policies)))),
        ),
    ];
    check_each(apps, "admins  /public/alias  rewritten in front").await;

    // An order to know of: what a layer behind ours makes of a request that passed is its own affair.
    let inside = boxed(layer(&policies).layer(rewrite.layer(routes())));
    let response = Probe::get("/public/alias").ask(&inside, None);
    assert_eq!(Area::of(&response), Some(Area::Admin));
}

// (A19: rewritten requests, M09: path of the inner service) Axum sets `OriginalUri` once for a
// request, so after a rewrite it contains an old path.
#[tokio::test]
async fn rules_match_rewrite_between_two_routers() {
    let policies = rules(None);
    let to_admin = MapRequestLayer::new(|mut request: Request<Body>| {
        *request.uri_mut() = Uri::from_static("/admin");
        request
    });
    let inner = || routes().layer(layer(&policies));
    let apps = [
        (
            "fallback",
            boxed(Router::new().fallback_service(to_admin.layer(inner()))),
        ),
        (
            "nested",
            boxed(Router::new().nest_service("/public", to_admin.layer(inner()))),
        ),
    ];
    for (name, app) in apps {
        for path in ["/public/alias", "/public", "/health"] {
            let response = Probe::get(path).ask(&app, None);
            assert_ne!(Area::of(&response), Some(Area::Admin), "{name} {path}");
        }
    }
}

// (A10: request targets) RFC 9110 section 9.3.7 gives `*` a meaning with OPTIONS alone.
#[test]
fn options_asterisk_is_decided_by_rules_for_every_path() {
    let build = |rules: &[RuleSpec], deny_unmatched| build(rules, deny_unmatched).unwrap();
    let of = |rules: &[&'static str]| {
        build(
            &rules
                .iter()
                .map(|rule| parse_rule(rule))
                .collect::<Vec<_>>(),
            false,
        )
    };
    let tenants = Policies::builder()
        .under("/{tenant}", tenant("tenant"))
        .build()
        .unwrap();
    let unnamed = Policies::builder()
        .deny_unmatched()
        .at("/health", public())
        .under("/a", role("admin"))
        .build()
        .unwrap();
    let for_options = Policies::builder()
        .under("/", public().on([Method::OPTIONS]))
        .build()
        .unwrap();
    let lax = Policies::builder()
        .insecure_allow_path(PathAmbiguity::NotAbsolute)
        .under("/", public())
        .build()
        .unwrap();
    const ALL: [u16; 3] = [200, 200, 200];
    const MEMBERS: [u16; 3] = [401, 200, 200];
    const ADMINS: [u16; 3] = [401, 403, 200];
    const NONE: [u16; 3] = [401, 403, 403];
    for (name, policies, expected) in [
        ("every path is public", of(&["under / public"]), ALL),
        (
            "every path is public, in two rules",
            of(&["at / public", "under /{x} public"]),
            ALL,
        ),
        ("public for OPTIONS", for_options, ALL),
        ("public for GET", of(&["under / public GET"]), MEMBERS),
        ("some path is public", of(&["under /a public"]), MEMBERS),
        ("the root is public", of(&["at / public"]), MEMBERS),
        ("a parameter is public", of(&["at /{x} public"]), ALL),
        ("no rules", of(&[]), MEMBERS),
        ("every path is guarded", of(&["under / admin"]), ADMINS),
        ("one path is guarded", of(&["under /a admin"]), MEMBERS),
        (
            "guarded above public",
            of(&["under /a admin", "under / public"]),
            ALL,
        ),
        ("a value is needed", tenants, NONE),
        ("unnamed and denied", unnamed, NONE),
        ("no leading slash allowed", lax.clone(), ALL),
    ] {
        let app = plain(&policies);
        let asterisk = Probe::new(b"*", "OPTIONS", &[]).unwrap();
        let answers = [None, Some(MEMBER), Some(ADMIN)];
        let found = answers.map(|token| asterisk.ask(&app, token).status().as_u16());
        assert_eq!(found, expected, "{name}");
        let explained = policies.explain(&Method::OPTIONS, "*").requirement();
        let is_public = explained == Ok(Requirement::Public);
        assert_eq!(is_public, expected == ALL, "{name}");
    }
    // Any other method, and any other target without a slash, is ambiguous.
    let app = plain(&of(&["under / public"]));
    for (method, target) in [
        ("GET", "*"),
        ("HEAD", "*"),
        ("POST", "*"),
        ("CONNECT", "*"),
        ("options", "*"),
        ("PROPFIND", "*"),
        ("OPTIONS", "localhost:80"),
        ("OPTIONS", "admin"),
    ] {
        let probe = Probe::new(target.as_bytes(), method, &[]).unwrap();
        assert_eq!(
            probe.ask(&app, Some(ADMIN)).status(),
            400,
            "{method} {target}"
        );
    }
    let probe = Probe::new(b"*", "GET", &[]).unwrap();
    assert_eq!(probe.ask(&plain(&lax), None).status(), 401);
}

// (M09: path of the inner service) A declared prefix in front of a path decides like the full path.
#[test]
fn path_below_declared_prefix_is_decided_like_full_path() {
    let simple = (
        one_of("/ /a /a/ /b /a/b /%61 /x/c /p /%C3%A9 /b/"),
        method(),
    )
        .prop_map(|(path, method)| Probe::new(path.as_bytes(), method, &[]));
    let cases = (
        list(),
        any::<bool>(),
        one_of("/a /a/b /p /%C3%A9 /b/a /{any} /a/{any} /{any}/b /{any}/{other}"),
        vec(prop_oneof![1 => probe(), 3 => simple], 12),
    );
    let compared = RefCell::new([0; 3]);
    let ran = runner().run(&cases, |(rules, deny_unmatched, prefix, probes)| {
        let Ok(policies) = build(&rules, deny_unmatched) else {
            return Ok(());
        };
        let nested = below(&policies, prefix);
        let outside = plain(&policies);
        // The spellings of the prefix that a client can send.
        let values = ["a", "b", "x", "p", "%C3%A9", ""];
        let sent: Vec<String> = match prefix.contains('{') {
            false => vec![prefix.to_owned()],
            true => values
                .iter()
                .filter(|value| !value.is_empty())
                .flat_map(|any| values[..4].iter().map(move |other| (any, other)))
                .map(|(any, other)| prefix.replace("{any}", any).replace("{other}", other))
                .collect(),
        };
        for probe in probes.iter().flatten() {
            let path = probe.uri.path();
            if !path.starts_with('/') {
                continue;
            }
            for token in EVERYBODY {
                let inside = probe.ask(&nested, token).status();
                for sent in &sent {
                    let full = match path {
                        "/" => sent.clone(),
                        path => format!("{sent}{path}"),
                    };
                    let Some(full) = Probe::new(full.as_bytes(), probe.method.as_str(), &[]) else {
                        continue;
                    };
                    let outside = outside.clone();
                    let outside = full.ask(&outside, token).status();
                    let [equal, passed, stopped] = &mut *compared.borrow_mut();
                    // Never more than for any value of a parameter.
                    prop_assert!(
                        inside != 200 || outside == 200,
                        "{inside} below {prefix}, {outside} for {full:?} with {token:?}"
                    );
                    if !prefix.contains('{') && path != "/" {
                        prop_assert_eq!(inside, outside, "{} {:?}", prefix, full);
                        *equal += 1;
                    }
                    *passed += u32::from(inside == 200);
                    *stopped += u32::from(inside != 200);
                }
            }
        }
        Ok(())
    });
    ran.unwrap();
    let [equal, passed, stopped] = compared.into_inner();
    assert!(equal >= 5_000, "{equal} answers were equal");
    assert!(passed >= 10_000, "{passed} requests passed");
    assert!(stopped >= 10_000, "{stopped} requests were stopped");
}

// (A05: double encoding)
#[test]
fn escaped_percent_is_detected_with_any_hex_digits() {
    let policies = rules(None);
    for path in [
        "/public/%25%36%31",
        "/public/%256%31",
        "/public/%25%32%66",
        "/public/%25%32f",
    ] {
        assert_eq!(
            policies.explain(&Method::GET, path).requirement(),
            Err(PathAmbiguity::DoubleEncoding),
            "{path}"
        );
    }
}

// (A20: unmatched requests)
#[tokio::test]
async fn unmatched_path_requires_credential_or_is_denied() {
    let list = || {
        Policies::builder()
            .at("/health", public())
            .under("/me", authenticated())
            .under("/admin", role("admin"))
            .under("/written", role("admin").on([Method::POST]))
    };
    let app = plain(&list().build().unwrap());
    check(&app, "members  /x  unnamed").await;
    check(&app, "members  /  the root").await;
    let table = "
        none     /x          unnamed
        none     /           the root
        none     /mex        a longer segment
        none     /health/x   below one path
        none     /healt%68   one open path, encoded
        none     /written    named for another method
        members  /me         named
        none     /%6de       named in one reading only
        admins   /admin      named with a role
        all      /health     open
        400      /x;y        ambiguous
    ";
    check(&plain(&list().deny_unmatched().build().unwrap()), table).await;
    let empty = build(&[], false).unwrap();
    check(&plain(&empty), "members  /  an empty list").await;
    let empty = build(&[], true).unwrap();
    check(&plain(&empty), "none  /  an empty list that denies").await;
}

/// A rule as it stands in a table: `under /a public GET`.
fn parse_rule(text: &'static str) -> RuleSpec {
    let words: Vec<&str> = text.split_whitespace().collect();
    RuleSpec {
        under: words[0] == "under",
        path: words[1],
        effect: match words[2] {
            "authenticated" => Effect::Authenticated,
            "deny" => Effect::Deny,
            "optional" => Effect::Optional,
            "permit" => Effect::Permit,
            "public" => Effect::Public,
            role => Effect::Role(role),
        },
        methods: words.get(3).map(|method| match *method {
            "GET" => &[Method::GET][..],
            "HEAD" => &[Method::HEAD],
            "POST" => &[Method::POST],
            other => panic!("{other:?}"),
        }),
    }
}

// (A21: rules without effect)
#[test]
fn shadowed_rule_is_an_error_that_names_the_shadowing_rule() {
    let table = "
        below a public path        | 1 by 0 | under /a public        | at /a/b admin
        the same path              | 1 by 0 | at /a public           | at /a admin
        below an optional path     | 1 by 0 | under /a optional      | under /a admin
        below a denied path        | 1 by 0 | under /a deny          | under /a/b public
        below the root             | 2 by 1 | at /b admin            | under / public   | at /a admin
        a variable hides a name    | 1 by 0 | under /{x} public      | under /a admin
        an escape hides nothing    | 1 by 0 | under /é public        | under /%C3%A9 admin
        GET means HEAD             | 1 by 0 | at /a public GET       | at /a admin HEAD
        all methods hide one       | 1 by 0 | at /a public           | at /a admin POST
        by two                     | 2 by 0 | at /a public           | under /a public  | at /a admin
        by the second              | 2 by 1 | under /a admin         | under /b public  | at /b/b admin
        above                      | fine   | at /a/b admin          | under /a public
        beside                     | fine   | under /a public        | under /ab admin
        another method             | fine   | at /a public GET       | at /a admin POST
        the other methods          | fine   | at /a public GET       | at /a admin
        HEAD does not mean GET     | fine   | at /a public HEAD      | at /a admin GET
        one path hides none below  | fine   | at /a public           | under /a admin
        with a slash it is another | fine   | at /a public           | at /a/ public
        a name hides no variable   | fine   | under /a public        | under /{x} admin
        a permit lets read on      | fine   | under /a permit        | under /a admin
        a restriction lets read on | fine   | under /a authenticated | under /a admin
    ";
    for line in table.lines().filter(|line| !line.trim().is_empty()) {
        let mut columns = line.split('|').map(str::trim);
        let (name, expected) = (columns.next().unwrap(), columns.next().unwrap());
        let rules: Vec<RuleSpec> = columns.map(parse_rule).collect();
        let found = match build(&rules, false) {
            Ok(_) => "fine".to_owned(),
            Err(error) => {
                let text = error.to_string();
                let ConfigError::UnreachableRule {
                    hidden_index,
                    hidden,
                    hiding_index,
                    hiding,
                    ..
                } = error
                else {
                    panic!("{name}: {text}");
                };
                for (label, index) in [(&hidden, hidden_index), (&hiding, hiding_index)] {
                    assert!(text.contains(label), "{name}: {text}");
                    let path = format!(" {}: ", rules[index].path);
                    assert!(label.contains(&path), "{name}: {label}");
                }
                format!("{hidden_index} by {hiding_index}")
            }
        };
        assert_eq!(found, expected, "{name}");
    }
}

// (A22: multi-valued fields)
#[test]
fn header_values_are_compared_separately() {
    let group = policy_fn(|cx: &PolicyContext<'_, User>| {
        let mut groups = cx.request().headers().get_all("x-group").iter();
        groups.all(|group| group == "staff")
    });
    let policies = Policies::builder().under("/", group.named("group")).build();
    let app = plain(&policies.unwrap());
    for (name, groups, expected) in [
        ("one", &["staff"][..], 200),
        ("two", &["staff", "staff"], 200),
        ("the second differs", &["staff", "guests"], 403),
        ("the first differs", &["guests", "staff"], 403),
        ("joined by a comma", &["staff,staff"], 403),
    ] {
        let headers: Vec<_> = groups.iter().map(|group| ("x-group", *group)).collect();
        let probe = Probe::new(b"/", "GET", &headers).unwrap();
        assert_eq!(probe.ask(&app, Some(MEMBER)).status(), expected, "{name}");
    }
    const GOOD: &str = "Bearer token-of-an-admin";
    for (name, values, expected) in [
        ("one credential", &[GOOD][..], 200),
        ("the same twice", &[GOOD, GOOD], 400),
        ("another scheme", &[GOOD, "Basic YTpi"], 400),
        ("an empty line", &[GOOD, ""], 400),
        ("in one line", &["Bearer token-of-an-admin, Bearer x"], 400),
    ] {
        let headers: Vec<_> = values
            .iter()
            .map(|value| ("authorization", *value))
            .collect();
        let probe = Probe::new(b"/", "GET", &headers).unwrap();
        assert_eq!(probe.ask(&app, None).status(), expected, "{name}");
    }
}

// (A04: encoded paths, A06: repeated slashes, A23: file servers)
#[tokio::test]
async fn decoding_file_server_serves_no_guarded_file() {
    let files = Files::new("table");
    let app = boxed(layer(&rules(None)).layer(files.serve()));
    let table = "
        admins   /admin/secret.css         a file
        admins   /admin/                   the index
        admins   /%61dmin/secret.css       an encoded letter
        admins   /admin/%73ecret.css       an encoded letter in the file
        400      /admin%2fsecret.css       an encoded slash
        400      //admin/secret.css        slashes in front
        400      /admin//secret.css        slashes within
        400      /./admin/secret.css       a dot segment
        admins   /%C3%A9%20x/secret.css    UTF-8 and a space
        admins   /%c3%a9%20x/secret.css    UTF-8 and a space in lower case
        admins   /é%20x/secret.css         UTF-8 as it is
        admins   /a+b@c/secret.css         sub-delims
        admins   /a%2bb%40c/secret.css     encoded sub-delims
        admins   /users/7                  one path
        members  /administrator.json       a file of members
        all      /public/a.txt             an open file
        all      /public/%61.txt           an open file, encoded
    ";
    check(&app, table).await;
    // That a directory is there is told to those who may look into it.
    let redirected = statuses(&app, &Probe::get("/admin")).await;
    assert_eq!(redirected, [401, 403, 307]);
}

// (A17: nested routers, A23: file servers, M09: path of the inner service)
#[tokio::test]
async fn nested_file_server_is_guarded_by_full_path() {
    let files = Files::new("nest");
    let policies = Policies::builder()
        .under("/files/admin", role("admin"))
        .under("/files", public())
        .build()
        .unwrap();
    let auth = layer(&policies);
    let nested = auth.clone().nested_at("/files").unwrap();
    let fallback = Router::new().fallback_service(files.serve());
    let inside = Router::new().nest_service("/files", nested.layer(files.serve()));
    let outside = Router::new().nest_service("/files", files.serve());
    let apps = [
        ("inside", boxed(inside)),
        ("outside", boxed(outside.layer(auth))),
        (
            "fallback",
            boxed(Router::new().nest("/files", fallback.layer(nested))),
        ),
    ];
    let table = "
        admins  /files/admin/secret.css    guarded
        admins  /files/%61dmin/secret.css  guarded and encoded
        all     /files/public/a.txt        open
        400     /files/admin//secret.css   ambiguous
    ";
    check_each(apps.clone(), table).await;
    // The nest of axum drops one of two slashes behind the prefix, so the file server sees one.
    let [inside, outside, fallback] = apps;
    let table = "admins  /files//admin/secret.css  one slash too many, inside";
    check_each([inside, fallback], table).await;
    let table = "400  /files//admin/secret.css  one slash too many, outside";
    check_each([outside], table).await;
}

// (A24: every transport)
#[tokio::test]
async fn version_scheme_and_authority_do_not_change_decision() {
    let table = "
        admins  /admin    guarded
        admins  /%61dmin  guarded and encoded
        all     /health   open
        400     /x//y     ambiguous
    ";
    let mut origins = vec![""];
    origins.extend("http://localhost https://localhost:8443 HTTP://X ws://user@x".split(' '));
    for origin in origins {
        for version in [Version::HTTP_10, Version::HTTP_2, Version::HTTP_3] {
            let set = move |mut request: Request<Body>| {
                let uri = format!("{origin}{}", request.uri());
                *request.version_mut() = version;
                *request.uri_mut() = uri.parse().unwrap();
                request
            };
            let app = boxed(plain(&rules(None)).map_request(set));
            check_each([(origin, app)], table).await;
        }
    }
}

// (A24: every transport)
#[tokio::test]
async fn rules_hold_over_http_2() {
    use hyper::client::conn::http2;
    use hyper_util::rt::{TokioExecutor, TokioIo};

    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = routes().layer(layer(&rules(None)));
    tokio::spawn(async move { axum::serve(listener, server).await });
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (client, connection) = http2::handshake(TokioExecutor::new(), stream)
        .await
        .unwrap();
    tokio::spawn(connection);
    let app = boxed(service_fn(move |mut request: Request<Body>| {
        let mut client = client.clone();
        async move {
            *request.uri_mut() = format!("http://localhost{}", request.uri())
                .parse()
                .unwrap();
            Ok(client.send_request(request).await.unwrap())
        }
    }));
    let table = "
        admins  /admin                guarded
        admins  /%61dmin/x            guarded and encoded
        400     /public/%2e%2e/admin  ambiguous
        all     /public/a.txt         open
    ";
    check(&app, table).await;
}

// (A25: gRPC methods)
#[tokio::test]
async fn grpc_method_is_matched_exactly_and_case_sensitively() {
    let policies = Policies::builder()
        .at("/pkg.Public/Do", public())
        .under("/pkg.Public", authenticated())
        .under("/pkg.Admin", role("admin"))
        .deny_unmatched()
        .build();
    let routes = tonic::service::Routes::new(Rpc::<true>).add_service(Rpc::<false>);
    let app = boxed(layer(&policies.unwrap()).layer(routes));
    let table = "
        admins   /pkg.Admin/Do          guarded
        none     /pkg.%41dmin/Do        an encoded letter, so named in one reading only
        all      /pkg.Public/Do         open
        members  /pkg.Public/Undo       another method of the service
        members  /pkg.Public/%44o       an encoded method opens nothing
        none     /pkg.Other/Do          an unknown service
        none     /pkg.admin/Do          another case
        none     /pkg.Public.Admin/Do   a longer name
        none     /grpc.health.v1.Health/Check  health is no exception
        none     /grpc.reflection.v1.ServerReflection/ServerReflectionInfo  nor is reflection
        400      pkg.Admin              no leading slash
    ";
    check(&app, table).await;
}

// (A02: dot segments, A03: encoded separators, A05: double encoding, A06: repeated slashes, A08:
// path parameters, A10: request targets, A11: invalid characters)
#[tokio::test]
async fn restricting_rule_matches_both_readings_of_allowed_ambiguity() {
    use PathAmbiguity::*;
    for (kind, table) in [
        (
            EncodedSlash,
            "admins   /admin%2fx            the decoded form is guarded
             members  /public%2fx           the raw form is not open
             all      /public/a%2fb         both are
             admins   /users/a%2fb          the raw form is guarded
             admins   /api/a%2fb/private    the raw form, by its variable
             400      /public/..%2fadmin    no other ambiguity
             400      /public%5cx           not even a similar one",
        ),
        (
            RepeatedSlash,
            "admins   //admin               the collapsed form is guarded
             admins   /users//7             also by a variable
             members  //public/x            the raw form is not open
             all      /public//x            both are",
        ),
        (
            DotSegment,
            "admins   /public/../admin      the resolved form is guarded
             admins   /admin/../public      the raw form is
             members  /public/%2e%2e/x      the resolved form is not open
             all      /public/./x           both are",
        ),
        (
            PathParameter,
            "admins   /admin;v=1/x          the form without is guarded
             members  /public;v=1/x         the raw form is not open
             all      /public/x;v=1         both are
             400      /public/..;/admin     no other ambiguity",
        ),
        (
            Backslash,
            "admins   /admin%5cx            the form with slashes is guarded
             members  /public\\x             the raw form is not open
             400      /public\\..\\admin      no other ambiguity",
        ),
        (
            DoubleEncoding,
            "admins   /%2561dmin            the decoded form is guarded
             members  /%2570ublic           the raw form is not open
             400      /public%252fx         no other ambiguity",
        ),
        (
            BadEscape,
            "admins   /admin/%zz            the raw form is guarded
             admins   /%61dmin/%ff          the decoded form is",
        ),
        (
            ControlCharacter,
            "admins   /%61dmin/%00   the decoded form is guarded",
        ),
        (NotAbsolute, "members  *   an asterisk is no open path"),
    ] {
        check_each([(kind.as_str(), plain(&rules(Some(kind))))], table).await;
    }
    // What a rule asks of a segment has to hold for both readings of it.
    let policies = Policies::builder()
        .insecure_allow_path(EncodedSlash)
        .insecure_allow_path(DotSegment)
        .under("/tenants/{tenant}", tenant("tenant"))
        .build();
    let table = "
        members  /tenants/acme/x             its own
        members  /tenants/acme/x%2fy         its own, above an encoded slash
        members  /tenants/acme/../acme       its own in both
        none     /tenants/other              another's
        none     /tenants/acme%2fx           its own decoded, another's raw
        none     /tenants/other/../acme      its own resolved, another's raw
        none     /tenants/acme/../other      another's resolved, its own raw
    ";
    check(&plain(&policies.unwrap()), table).await;
}
