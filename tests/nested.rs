//! Path rules inside nested routers: the rules see the path that the inner router serves (M09: rules see the
//! path of the inner service).
//!
//! The tests compile with and without the feature `axum` of the crate and expect the same answers. Only
//! the value of a parameter in a prefix is known with the feature alone, and its absence fails closed.

use std::convert::Infallible;
use std::future::ready;

use axum::Router;
use axum::body::Body;
use axum::routing;
use futures_util::FutureExt as _;
use http::{HeaderValue, Method, Request, Response, Uri};
use tower::util::{BoxCloneSyncService, MapRequestLayer};
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_bearer::policy::{
    Claims, Denial, IntoRule, PathAmbiguity, PolicyContext, deny, guard, owner, permit, policy_fn,
    public, role, tenant,
};
use tower_bearer::{
    BearerAuthLayer, ConfigError, Credential, Failure, InvalidReason, Policies, Rejection,
    Validator, validator_fn,
};

/// A principal of the tenant `acme`.
struct User {
    is_admin: bool,
}

impl Claims for User {
    fn has_role(&self, role: &str) -> bool {
        self.is_admin && role == "admin"
    }

    fn has_tenant(&self, tenant: &str) -> bool {
        tenant == "acme"
    }

    fn subject(&self) -> Option<&str> {
        Some("alice")
    }
}

const MEMBER: Option<&str> = Some("token-of-a-member");
const ADMIN: Option<&str> = Some("token-of-an-admin");
const CALLERS: [Option<&str>; 3] = [None, MEMBER, ADMIN];

type Auth<V> = BearerAuthLayer<V, Policies<User>>;

fn layer(policies: &Policies<User>) -> Auth<impl Validator<Principal = User> + use<>> {
    let validator = validator_fn(
        |credential: Credential<'_>| match Some(credential.token()) {
            token if token == ADMIN => Ok(User { is_admin: true }),
            token if token == MEMBER => Ok(User { is_admin: false }),
            _ => Err(Failure::invalid(InvalidReason::Unknown)),
        },
    );
    BearerAuthLayer::new(validator).with_policy(policies.clone())
}

type App = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

fn boxed<S, B>(service: S) -> App
where
    S: tower::Service<Request<Body>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send,
    B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<tower::BoxError>,
{
    BoxCloneSyncService::new(service.map_response(|response| response.map(Body::new)))
}

fn send(app: &App, target: &str, token: Option<&str>) -> Response<Body> {
    let mut request = Request::get(target);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let request = request.body(Body::empty()).unwrap();
    let response = app.clone().oneshot(request).now_or_never();
    response.expect("nothing to wait for").unwrap()
}

/// Returns the statuses for a client without a credential, a member and an admin.
fn statuses(app: &App, target: &str) -> [u16; 3] {
    CALLERS.map(|token| send(app, target, token).status().as_u16())
}

// ===== The inner router =====

/// The protection of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Area {
    Open,
    Member,
    Admin,
}

impl Area {
    fn of<B>(response: &Response<B>) -> Option<Self> {
        let value = response.headers().get("x-area")?;
        [Area::Open, Area::Member, Area::Admin]
            .into_iter()
            .find(|area| *value == HeaderValue::from(*area as u16))
    }
}

/// A handler that reports its area, and the path that the inner router matched.
fn place(area: Area) -> routing::MethodRouter {
    routing::any(move |uri: Uri| {
        let mut response = Response::new(Body::empty());
        let headers = response.headers_mut();
        headers.insert("x-area", HeaderValue::from(area as u16));
        let path = HeaderValue::from_str(uri.path()).unwrap();
        headers.insert("x-path", path);
        ready(response)
    })
}

fn inner() -> Router {
    Router::new()
        .route("/admin", place(Area::Admin))
        .route("/admin/", place(Area::Admin))
        .route("/admin/{*rest}", place(Area::Admin))
        .route("/public", place(Area::Open))
        .route("/public/", place(Area::Open))
        .route("/public/{*rest}", place(Area::Open))
        .fallback(place(Area::Member))
}

/// Rules for the places of the inner router, behind a prefix.
fn rules(prefix: &str) -> Policies<User> {
    // Rules for other places, some of which are a suffix or a prefix of the paths in this test. A prefix
    // that is a parameter could be any of them.
    let decoys: &[&str] = match prefix {
        "/{tenant}" => &[],
        _ => &["/decoy", "/admin/admin", "/public/public"],
    };
    let builder = decoys.iter().fold(Policies::builder(), |builder, decoy| {
        builder.under(&format!("{decoy}{prefix}/x"), deny())
    });
    builder
        .under(&format!("{prefix}/admin"), role("admin"))
        .under(&format!("{prefix}/public"), public())
        .build()
        .unwrap()
}

// ===== Arrangements in front of the layer =====

/// A change of the path between the nest and the layer.
type Change = (&'static str, fn(&str) -> String);

const CHANGES: [Change; 5] = [
    ("no change", str::to_owned),
    ("trailing slash trimmed", |path| {
        let trimmed = path.trim_end_matches('/');
        if trimmed.is_empty() { "/" } else { trimmed }.to_owned()
    }),
    ("lower case", str::to_ascii_lowercase),
    ("own prefix stripped", |path| {
        let rest = path.strip_prefix("/v1").unwrap_or(path);
        if rest.starts_with('/') { rest } else { path }.to_owned()
    }),
    ("rewritten to the root", |_| "/".to_owned()),
];

fn rewrite(
    change: impl Fn(&str) -> String + Clone,
) -> MapRequestLayer<impl Fn(Request<Body>) -> Request<Body> + Clone> {
    MapRequestLayer::new(move |mut request: Request<Body>| {
        *request.uri_mut() = change(request.uri().path()).parse().unwrap();
        request
    })
}

/// Something that strips the prefix from the path in front of a service.
struct Arrangement {
    name: &'static str,
    /// The declared prefix.
    prefix: &'static str,
    /// The prefix that a client sends.
    sent: &'static str,
    nest: fn(App) -> App,
}

fn arrangements() -> Vec<Arrangement> {
    vec![
        Arrangement {
            name: "nest_service",
            prefix: "/api",
            sent: "/api",
            nest: |app| boxed(Router::new().nest_service("/api", app)),
        },
        Arrangement {
            name: "nest",
            prefix: "/api",
            sent: "/api",
            nest: |app| {
                let nested = Router::new().fallback_service(app);
                boxed(Router::new().nest("/api", nested))
            },
        },
        Arrangement {
            name: "nest with a trailing slash",
            prefix: "/api",
            sent: "/api",
            nest: |app| boxed(Router::new().nest_service("/api/", app)),
        },
        Arrangement {
            name: "two levels",
            prefix: "/a/b",
            sent: "/a/b",
            nest: |app| {
                let nested = Router::new().nest_service("/b", app);
                boxed(Router::new().nest("/a", nested))
            },
        },
        Arrangement {
            name: "two levels of services",
            prefix: "/admin/public",
            sent: "/admin/public",
            nest: |app| {
                let nested = Router::new().nest_service("/public", app);
                boxed(Router::new().nest_service("/admin", nested))
            },
        },
        Arrangement {
            name: "a parameter",
            prefix: "/t/{tenant}",
            sent: "/t/admin",
            nest: |app| boxed(Router::new().nest_service("/t/{tenant}", app)),
        },
        Arrangement {
            name: "a parameter between two levels",
            prefix: "/a/{tenant}/b",
            sent: "/a/public/b",
            nest: |app| {
                let nested = Router::new().nest_service("/b", app);
                boxed(Router::new().nest("/a/{tenant}", nested))
            },
        },
        Arrangement {
            name: "a parameter alone",
            prefix: "/{tenant}",
            sent: "/admin",
            nest: |app| boxed(Router::new().nest_service("/{tenant}", app)),
        },
        Arrangement {
            name: "stripped behind a router",
            prefix: "/api",
            sent: "/api",
            nest: |app| {
                let strip = rewrite(|path| strip("/api", path));
                boxed(Router::new().fallback_service(strip.layer(app)))
            },
        },
        Arrangement {
            name: "stripped without a router",
            prefix: "/api",
            sent: "/api",
            nest: |app| boxed(rewrite(|path| strip("/api", path)).layer(app)),
        },
        Arrangement {
            name: "stripped behind a nest",
            prefix: "/api/v2",
            sent: "/api/v2",
            nest: |app| {
                let strip = rewrite(|path| strip("/v2", path));
                boxed(Router::new().nest_service("/api", strip.layer(app)))
            },
        },
    ]
}

fn strip(prefix: &str, path: &str) -> String {
    match path.strip_prefix(prefix) {
        Some("") => "/".to_owned(),
        Some(rest) if rest.starts_with('/') => rest.to_owned(),
        _ => path.to_owned(),
    }
}

/// A first dispatch through another router, whose extensions stay with the request.
fn dispatched_again(app: App) -> App {
    let again = rewrite(|path| strip("/first", path)).layer(app);
    let handler = service_fn(move |request: Request<Body>| again.clone().oneshot(request));
    // `nest_service` strips the path, so the way back to it is the original one.
    let restore = MapRequestLayer::new(|mut request: Request<Body>| {
        let path = request.uri().path().to_owned();
        *request.uri_mut() = format!("/first{path}").parse().unwrap();
        request
    });
    boxed(Router::new().nest_service("/first", restore.layer(handler)))
}

/// What clients send behind the prefix.
const PATHS: &str = "/ /admin /admin/ /admin/x /ADMIN /Admin/ /admin/X /public /public/ /public/x /PUBLIC/x \
     /v1/admin /v1/admin/ /v1/public/x /v1/v1/admin /x /x/admin /x/public /administrator /public-x \
     /api/admin /api/public/x /a/b/admin /t/admin/admin /%61dmin /%61dmin/x /%70ublic/x /admin/%78 \
     //admin /admin// /public/../admin /public/%2e%2e/admin /admin%2fx /public%2fx /admin;x /public/x;y \
     /public/\\x /public/%00";

/// The answers of a layer in front of the inner router, given the place that it serves.
fn expected(area: Area) -> [u16; 3] {
    match area {
        Area::Open => [200, 200, 200],
        Area::Member => [401, 200, 200],
        Area::Admin => [401, 403, 200],
    }
}

/// A path that the inner router and the rules read in the same way.
fn is_plain(path: &str) -> bool {
    !path.contains(['%', ';', '\\']) && !path.contains("//") && !path.contains("/../")
}

// (M09: path of the inner service, A17: nested routers, A19: rewritten requests)
#[test]
fn rules_match_path_that_inner_router_serves() {
    let mut compared = 0;
    let mut served = [0; 3];
    for Arrangement {
        name,
        prefix,
        sent,
        nest,
    } in arrangements()
    {
        // The same places, named by full paths with a declared prefix, and relative to the router
        // without one.
        let full = layer(&rules(prefix)).nested_at(prefix).unwrap();
        let relative = layer(&rules(""));
        let root = relative.clone().nested_at("/").unwrap();
        let layers = [("full", full), ("relative", relative), ("root", root)];
        for (change_name, change) in CHANGES {
            let stack = |app: App| nest(boxed(rewrite(change).layer(app)));
            let bare = stack(boxed(inner()));
            let guarded = layers
                .iter()
                .map(|(kind, auth)| (*kind, stack(boxed(inner().layer(auth.clone())))));
            for (kind, app) in guarded {
                for is_second in [false, true] {
                    let (bare, app, first) = match is_second {
                        false => (bare.clone(), app.clone(), ""),
                        true => (
                            dispatched_again(bare.clone()),
                            dispatched_again(app.clone()),
                            "/first",
                        ),
                    };
                    for path in [""].into_iter().chain(PATHS.split_whitespace()) {
                        let target = format!("{first}{sent}{path}");
                        let case = format!("{name}, {change_name}, {kind} rules, GET {target}");
                        let without = send(&bare, &target, None);
                        // The router in front knows no such path, so no request arrives.
                        let Some(area) = Area::of(&without) else {
                            continue;
                        };
                        let seen = without.headers()["x-path"].to_str().unwrap();
                        let found = statuses(&app, &target);
                        if is_plain(seen) {
                            assert_eq!(found, expected(area), "{case}, served as {seen}");
                            compared += 1;
                        }
                        for (index, token) in CALLERS.iter().enumerate() {
                            if found[index] != 200 {
                                continue;
                            }
                            let reached = Area::of(&send(&app, &target, *token)).unwrap();
                            assert_eq!(reached, area, "{case}");
                            let limit = [Area::Open, Area::Member, Area::Admin][index];
                            assert!(reached <= limit, "{case}: {token:?} reached {reached:?}");
                            served[index] += 1;
                        }
                    }
                }
            }
        }
    }
    assert!(compared >= 5_000, "{compared} answers compared");
    assert!(served.iter().all(|count| *count >= 500), "{served:?}");
}

// (M09: path of the inner service) The cases by which the fault was found, with the answers that
// both feature sets give.
#[test]
fn decisions_are_equal_with_and_without_feature_axum() {
    let under = |path: &str, rule: Rule| {
        let builder = Policies::<User>::builder();
        match rule {
            Rule::Deny => builder.under(path, deny()),
            Rule::Public => builder.under(path, public()),
        }
        .build()
        .unwrap()
    };
    enum Rule {
        Deny,
        Public,
    }
    let api = under("/api/admin", Rule::Deny);
    let go = under("/go", Rule::Public);
    let admin = under("/admin", Rule::Deny);
    let at = |policies: &Policies<User>, prefix: Option<&str>| {
        let layer = layer(policies);
        let layer = match prefix {
            Some(prefix) => layer.nested_at(prefix).unwrap(),
            None => layer,
        };
        boxed(inner().layer(layer))
    };
    let change = |index: usize, app| boxed(rewrite(CHANGES[index].1).layer(app));
    let nest = |prefix: &str, app| boxed(Router::new().nest_service(prefix, app));
    let own_strip = |app| {
        let strip = rewrite(|path| strip("/acme", path));
        boxed(Router::new().fallback_service(strip.layer(app)))
    };
    let trimmed = nest("/api", change(1, at(&api, Some("/api"))));
    let lowered = nest("/api", change(2, at(&api, Some("/api"))));
    let undeclared = nest("/api", at(&api, None));
    let rewritten = nest("/go", change(4, at(&go, Some("/go"))));
    let rewritten_undeclared = nest("/go", change(4, at(&go, None)));
    for (name, app, target, answers) in [
        ("trim", &trimmed, "/api/admin", [401, 403, 403]),
        ("trim", &trimmed, "/api/admin/", [401, 403, 403]),
        ("case", &lowered, "/api/admin", [401, 403, 403]),
        ("case", &lowered, "/api/ADMIN", [401, 403, 403]),
        // The declared prefix is public, and all that the inner router serves is below it.
        ("rewrite", &rewritten, "/go/y", [200, 200, 200]),
        ("rewrite", &rewritten_undeclared, "/go/y", [401, 200, 200]),
        // Rules with full paths without a declaration mean other paths.
        ("undeclared", &undeclared, "/api/admin", [401, 200, 200]),
        (
            "own strip",
            &own_strip(at(&admin, None)),
            "/acme/admin/keys",
            [401, 403, 403],
        ),
        (
            "relative rules in a nest",
            &nest("/acme", at(&admin, None)),
            "/acme/admin/keys",
            [401, 403, 403],
        ),
    ] {
        assert_eq!(statuses(app, target), answers, "{name}: {target}");
    }
}

// ===== Details of the prefix =====

/// A layer that is nested at a prefix, in front of a service that answers 200. It receives the path
/// below the prefix.
fn below(prefix: &str, policies: &Policies<User>) -> App {
    let ok = service_fn(|_: Request<Body>| ready(Ok(Response::new(Body::empty()))));
    boxed(layer(policies).nested_at(prefix).unwrap().layer(ok))
}

// (M09: path of the inner service)
#[test]
fn root_of_nested_router_is_prefix_itself() {
    let open = |path| Policies::builder().at(path, public()).build().unwrap();
    let closed = |path| Policies::builder().at(path, role("admin")).build().unwrap();
    for (name, policies, answers) in [
        ("open", open("/api"), [200, 200, 200]),
        ("open with a slash", open("/api/"), [401, 200, 200]),
        ("open below", open("/api/x"), [401, 200, 200]),
        ("closed", closed("/api"), [401, 403, 200]),
        ("closed with a slash", closed("/api/"), [401, 403, 200]),
        (
            "closed by an empty segment",
            closed("/api/{id}"),
            [401, 403, 200],
        ),
        ("closed below", closed("/api/x"), [401, 200, 200]),
        ("closed above", closed("/"), [401, 200, 200]),
    ] {
        assert_eq!(statuses(&below("/api", &policies), "/"), answers, "{name}");
    }
    let named = Policies::builder()
        .deny_unmatched()
        .at("/api", role("admin"))
        .build()
        .unwrap();
    assert_eq!(statuses(&below("/api", &named), "/"), [401, 403, 200]);
    assert_eq!(statuses(&below("/api", &named), "/x"), [401, 403, 403]);
}

// (M09: path of the inner service)
#[test]
fn prefix_parameter_restricts_for_any_value_and_opens_for_none() {
    let policies = Policies::builder()
        .under("/t/acme/admin", role("admin"))
        .under("/t/other/admin/keys", deny())
        .under("/t/acme/public", public())
        .under("/t/{tenant}/open", public())
        .at("/t/acme", public())
        .under("/x/acme/open/no", deny())
        .build()
        .unwrap();
    let app = below("/t/{any}", &policies);
    for (target, answers) in [
        ("/admin", [401, 403, 200]),
        ("/admin/keys", [401, 403, 403]),
        ("/%61dmin/keys", [401, 403, 403]),
        ("/public", [401, 200, 200]),
        ("/open", [200, 200, 200]),
        ("/open/x", [200, 200, 200]),
        ("/op%65n", [401, 200, 200]),
        ("/", [401, 200, 200]),
        ("/elsewhere", [401, 200, 200]),
        ("/open//x", [400, 400, 400]),
    ] {
        assert_eq!(statuses(&app, target), answers, "{target}");
    }
    // A rule that only possibly matches names no path, so the path is denied with the rest.
    let policies = Policies::builder()
        .deny_unmatched()
        .under("/t/acme/me", role("admin"))
        .under("/t/{tenant}/me", role("admin"))
        .under("/t/acme/only", role("admin"))
        .build()
        .unwrap();
    let app = below("/t/{any}", &policies);
    assert_eq!(statuses(&app, "/me"), [401, 403, 200]);
    assert_eq!(statuses(&app, "/only"), [401, 403, 403]);
}

// (M09: path of the inner service)
#[test]
fn second_prefix_replaces_first_and_policy_without_paths_ignores_both() {
    let policies = Policies::builder()
        .under("/b/x", role("admin"))
        .build()
        .unwrap();
    let ok =
        || service_fn(|_: Request<Body>| ready(Ok::<_, Infallible>(Response::new(Body::empty()))));
    let twice = layer(&policies).nested_at("/a").unwrap();
    let kept = boxed(twice.clone().layer(ok()));
    let twice = boxed(twice.nested_at("/b").unwrap().layer(ok()));
    assert_eq!(statuses(&twice, "/x"), [401, 403, 200]);
    assert_eq!(statuses(&kept, "/x"), [401, 200, 200]);

    let single = layer(&policies)
        .with_policy(role("admin"))
        .nested_at("/b")
        .unwrap();
    let app = boxed(single.layer(ok()));
    // A policy without path rules reads no path, not even an ambiguous one.
    for target in ["/", "/x", "/a//b", "*"] {
        assert_eq!(statuses(&app, target), [401, 403, 200], "{target}");
    }
}

// (M09: path of the inner service, A02: dot segments, A09: query and fragment, A10: request
// targets, A24: every transport)
#[test]
fn every_form_of_request_target_is_read_below_prefix() {
    let policies = Policies::builder()
        .under("/api/admin", role("admin"))
        .under("/api/é", role("admin"))
        .under("/api/public", public())
        .build()
        .unwrap();
    let app = below("/api", &policies);
    for (target, answers) in [
        ("http://host/admin", [401, 403, 200]),
        ("https://user@host:8443/public/x?/admin", [200, 200, 200]),
        ("http://host", [401, 200, 200]),
        ("/%61dmin", [401, 403, 200]),
        ("/%C3%A9/x", [401, 403, 200]),
        ("/api/admin", [401, 200, 200]),
        ("/public/../admin", [400, 400, 400]),
        ("/public/%2e%2e/%2e%2e/admin", [400, 400, 400]),
        ("/..%2fapi/admin", [400, 400, 400]),
        ("host:80", [400, 400, 400]),
        ("*", [400, 400, 400]),
    ] {
        assert_eq!(statuses(&app, target), answers, "{target}");
    }
    // Where dot segments are allowed, none leads out of the prefix.
    let policies = Policies::builder()
        .insecure_allow_path(PathAmbiguity::DotSegment)
        .under("/api/admin", role("admin"))
        .under("/public", public())
        .build()
        .unwrap();
    let app = below("/api", &policies);
    assert_eq!(statuses(&app, "/x/../../admin"), [401, 403, 200]);
    assert_eq!(statuses(&app, "/../../public"), [401, 200, 200]);
}

// (M09: path of the inner service, A15: unlisted methods, A16: CORS preflights)
#[test]
fn methods_and_preflights_are_decided_below_prefix() {
    let policies = Policies::builder()
        .under("/api/orders", role("admin").on([Method::GET]))
        .under("/api/orders", public())
        .build()
        .unwrap();
    let auth = layer(&policies)
        .nested_at("/api")
        .unwrap()
        .allow_cors_preflight();
    let app = boxed(auth.layer(service_fn(|_: Request<Body>| {
        ready(Ok(Response::new(Body::empty())))
    })));
    for (method, headers, status) in [
        ("GET", &[][..], 401),
        ("HEAD", &[], 401),
        ("CONNECT", &[], 401),
        ("PROPFIND", &[], 401),
        ("POST", &[], 200),
        ("OPTIONS", &[], 200),
        ("OPTIONS", &["origin", "access-control-request-method"], 200),
    ] {
        let mut request = Request::builder().method(method).uri("/orders/7");
        for name in headers {
            request = request.header(*name, "GET");
        }
        let request = request.body(Body::empty()).unwrap();
        let response = app.clone().oneshot(request).now_or_never().unwrap();
        assert_eq!(response.unwrap().status(), status, "{method} {headers:?}");
    }
    // A gRPC method is a path; a service behind a prefix that a proxy strips is one as well.
    let grpc = Policies::builder()
        .under("/rpc/shop.Orders", role("admin"))
        .at("/rpc/shop.Orders/List", public())
        .build()
        .unwrap();
    let app = below("/rpc", &grpc);
    let mut request = Request::post("/shop.Orders/List");
    request = request.header("content-type", "application/grpc");
    let request = request.body(Body::empty()).unwrap();
    let response = app.oneshot(request).now_or_never().unwrap().unwrap();
    assert_eq!(response.headers()["grpc-status"], "16");
}

// ===== The value of a parameter in the prefix =====

/// Returns the status for a known value. Without the feature `axum` no value is known.
fn if_known(status: u16) -> u16 {
    if cfg!(feature = "axum") { status } else { 503 }
}

fn tenant_app(prefix: &'static str, rule: impl IntoRule<User>, nest: &str) -> App {
    let policies = Policies::builder().under(prefix, rule).build().unwrap();
    let auth = layer(&policies).nested_at(prefix).unwrap();
    boxed(Router::new().nest_service(nest, inner().layer(auth)))
}

fn member_status(app: &App, target: &str) -> u16 {
    send(app, target, MEMBER).status().as_u16()
}

// (M09: path of the inner service)
#[test]
fn value_of_prefix_parameter_comes_from_original_path_or_fails_closed() {
    let nest = "/t/{id}";
    let of_tenant = tenant_app("/t/{tenant}", tenant("tenant"), nest);
    let of_others = tenant_app("/t/{tenant}", tenant("tenant").not(), nest);
    let by_closure = tenant_app(
        "/t/{tenant}",
        // Without a value this policy would allow the request, if its decision counted.
        policy_fn(|cx: &PolicyContext<'_, User>| {
            cx.segment("tenant").as_deref() != Some("blocked")
        }),
        nest,
    );
    let by_future = tenant_app(
        "/t/{tenant}",
        policy_fn(|cx: &PolicyContext<'_, User>| {
            let is_blocked = cx.segment("tenant").as_deref() == Some("blocked");
            ready(if is_blocked {
                Err(Denial::forbidden())
            } else {
                Ok(())
            })
        }),
        nest,
    );
    struct NotBlocked;
    impl tower_bearer::Policy<User> for NotBlocked {
        fn decide(&self, cx: &PolicyContext<'_, User>) -> tower_bearer::policy::Decision {
            (cx.segment("tenant").as_deref() != Some("blocked")).into()
        }
    }
    let by_type = tenant_app("/t/{tenant}", guard(NotBlocked), nest);
    let by_permit = {
        let policies = Policies::builder()
            .under("/t/{tenant}", permit(tenant("tenant")))
            .under("/t/{tenant}", deny())
            .build()
            .unwrap();
        let auth = layer(&policies).nested_at("/t/{tenant}").unwrap();
        boxed(Router::new().nest_service(nest, inner().layer(auth)))
    };
    let by_owner = tenant_app("/t/{tenant}", owner("tenant"), nest);
    for (name, app, value, status) in [
        ("tenant", &of_tenant, "acme", 200),
        ("tenant, encoded", &of_tenant, "acm%65", 200),
        ("another tenant", &of_tenant, "other", 403),
        ("not tenant", &of_others, "acme", 403),
        ("not another tenant", &of_others, "other", 200),
        ("closure", &by_closure, "acme", 200),
        ("closure, blocked", &by_closure, "blocked", 403),
        ("future", &by_future, "acme", 200),
        ("future, blocked", &by_future, "blocked", 403),
        ("type", &by_type, "acme", 200),
        ("type, blocked", &by_type, "blocked", 403),
        ("permit", &by_permit, "acme", 200),
        ("permit, another tenant", &by_permit, "other", 403),
        ("owner", &by_owner, "alice", 200),
        ("another owner", &by_owner, "bob", 403),
    ] {
        let target = format!("/t/{value}/x");
        assert_eq!(member_status(app, &target), if_known(status), "{name}");
    }
    // An ambiguous value is no value.
    for value in ["acme%2fx", "..", "acme;x", "acme%00", "acm%2565"] {
        let target = format!("/t/{value}/x");
        for (name, app) in [
            ("tenant", &of_tenant),
            ("not tenant", &of_others),
            ("closure", &by_closure),
            ("future", &by_future),
            ("type", &by_type),
            ("permit", &by_permit),
        ] {
            assert_eq!(member_status(app, &target), 503, "{name}: {target}");
        }
    }
    // An alternative that needs no value is enough.
    let closure = policy_fn(|cx: &PolicyContext<'_, User>| cx.segment("tenant").is_none());
    for either in [
        tenant_app("/t/{tenant}", tenant("tenant").or(role("admin")), nest),
        tenant_app("/t/{tenant}", closure.or(role("admin")), nest),
    ] {
        let response = send(&either, "/t/a%2fb/x", ADMIN);
        assert_eq!(response.status(), 200);
        assert_eq!(member_status(&either, "/t/a%2fb/x"), 503);
    }
}

// (M09: path of the inner service, A19: rewritten requests)
#[test]
fn stale_or_foreign_original_path_gives_no_value() {
    let policies = Policies::builder()
        .under("/t/{tenant}", tenant("tenant"))
        .build()
        .unwrap();
    let auth = || layer(&policies).nested_at("/t/{tenant}").unwrap();
    let nested = || Router::new().nest_service("/t/{tenant}", inner().layer(auth()));
    let to = |path: &'static str| rewrite(move |_| path.to_owned());
    let apps = [
        // The first router saw a path with other literals.
        (
            "other literals",
            boxed(Router::new().fallback_service(to("/t/acme/x").layer(nested()))),
            "/somewhere/else",
        ),
        // The first router saw the tenant that the client named, the second serves another one.
        (
            "the same nest twice",
            boxed(Router::new().nest_service("/t/{tenant}", to("/t/other/x").layer(nested()))),
            "/t/acme/x",
        ),
        // No router kept the original path.
        ("no router", below("/t/{tenant}", &policies), "/x"),
        // The path is too short for the prefix.
        (
            "too short",
            boxed(Router::new().fallback_service(to("/x").layer(inner().layer(auth())))),
            "/t",
        ),
    ];
    for (name, app, target) in apps {
        assert_eq!(member_status(&app, target), 503, "{name}");
        let response = send(&app, target, MEMBER);
        let rejection = response.extensions().get::<Rejection>().unwrap();
        let source = std::error::Error::source(rejection).unwrap();
        assert_eq!(
            source.downcast_ref::<ConfigError>(),
            Some(&ConfigError::UnknownPrefixValue {
                segment: "tenant".to_owned()
            }),
            "{name}"
        );
    }
    // A layer between the nest and this one changes what is below the prefix, not the value.
    let stack = rewrite(|path| strip("/v1", path)).layer(inner().layer(auth()));
    let app = boxed(Router::new().nest_service("/t/{tenant}", stack));
    assert_eq!(member_status(&app, "/t/acme/v1/x/"), if_known(200));
    assert_eq!(member_status(&app, "/t/other/v1/x/"), if_known(403));
    // A literal of the prefix is a known value, with and without the feature.
    let policies = Policies::builder()
        .under("/t/{tenant}", tenant("tenant"))
        .build()
        .unwrap();
    let acme = boxed(inner().layer(layer(&policies).nested_at("/t/acme").unwrap()));
    let other = boxed(inner().layer(layer(&policies).nested_at("/t/other").unwrap()));
    assert_eq!(member_status(&acme, "/x"), 200);
    assert_eq!(member_status(&other, "/x"), 403);
}

// (M09: path of the inner service, A19: rewritten requests) A handler gets the parameter that the
// router matched, and a policy gets the same value or none.
#[test]
fn value_not_matched_by_router_is_unknown() {
    let policies = Policies::builder()
        .under("/{tenant}", tenant("tenant"))
        .build()
        .unwrap();
    let auth = layer(&policies).nested_at("/{tenant}").unwrap();
    let nested = Router::new().nest_service("/{tenant}", inner().layer(auth.clone()));
    let behind = |change: fn(&str) -> String| {
        boxed(Router::new().fallback_service(rewrite(change).layer(nested.clone())))
    };
    let without_first = behind(|path| {
        let second = path.get(1..).and_then(|path| path.find('/'));
        second.map_or(path, |at| &path[at + 1..]).to_owned()
    });
    let renamed = behind(|path| path.replace("acme", "victim"));
    let lowered = behind(str::to_ascii_lowercase);
    let unchanged = behind(str::to_owned);
    for (name, app, target, status) in [
        // The client names its own tenant first, and the router serves the second segment.
        ("strip", &without_first, "/acme/victim/x", 503),
        ("rename", &renamed, "/acme/x", 503),
        ("lower case", &lowered, "/ACME/x", 503),
        ("lower case already", &lowered, "/acme/x", if_known(200)),
        ("no change", &unchanged, "/acme/x", if_known(200)),
        ("no change, encoded", &unchanged, "/acm%65/x", if_known(200)),
        ("no change, other", &unchanged, "/other/x", if_known(403)),
    ] {
        assert_eq!(member_status(app, target), status, "{name}: {target}");
    }
    // Two levels, whose parameters have other names than those of the rule, with and without a
    // parameter below.
    let policies = Policies::builder()
        .under("/a/{x}/b/{tenant}", tenant("tenant"))
        .build()
        .unwrap();
    let deep = layer(&policies).nested_at("/a/{x}/b/{tenant}").unwrap();
    let levels = |router: Router| {
        let router = router.layer(deep.clone());
        boxed(Router::new().nest("/a/{y}", Router::new().nest("/b/{id}", router)))
    };
    let parameters = levels(Router::new().route("/{file}", place(Area::Member)));
    let literals = levels(inner());
    for app in [&parameters, &literals] {
        assert_eq!(member_status(app, "/a/other/b/acme/admin"), if_known(200));
        assert_eq!(member_status(app, "/a/acme/b/other/admin"), if_known(403));
    }
    // Where the application strips the prefix, the router has matched no parameter.
    let strip = rewrite(|path| strip("/acme", path)).layer(inner().layer(auth));
    let strip = boxed(Router::new().fallback_service(strip));
    assert_eq!(member_status(&strip, "/acme/x"), 503);
}

// (M09: path of the inner service, A03: encoded separators) Only the prefix is read for a value,
// with the setting of the list for what is below.
#[test]
fn path_that_list_allows_below_prefix_does_not_hide_value() {
    let policies = Policies::builder()
        .insecure_allow_path(PathAmbiguity::EncodedSlash)
        .under("/t/{tenant}", tenant("tenant"))
        .build()
        .unwrap();
    let auth = layer(&policies).nested_at("/t/{tenant}").unwrap();
    let app = boxed(Router::new().nest_service("/t/{tenant}", inner().layer(auth)));
    assert_eq!(member_status(&app, "/t/acme/a%2fb"), if_known(200));
    assert_eq!(member_status(&app, "/t/other/a%2fb"), if_known(403));
    assert_eq!(member_status(&app, "/t/acme%2fx/a"), 503);
}

// (M09: path of the inner service) A decision without the value counts nowhere in a combination.
#[test]
fn closure_beside_policy_does_not_hide_its_unknown_value() {
    struct NotBlocked;
    impl tower_bearer::Policy<User> for NotBlocked {
        fn decide(&self, cx: &PolicyContext<'_, User>) -> tower_bearer::policy::Decision {
            (cx.segment("tenant").as_deref() != Some("blocked")).into()
        }
    }
    fn app(rule: impl IntoRule<User>) -> App {
        let policies = Policies::builder().under("/{tenant}", rule).build();
        below("/{tenant}", &policies.unwrap())
    }
    let closure = |passes| policy_fn(move |_: &PolicyContext<'_, User>| passes);
    let apps = [
        app(guard(NotBlocked)),
        app(guard(NotBlocked).and(closure(false).or(role("admin")))),
        app(guard(NotBlocked).and(closure(true).or(role("admin")))),
        app(guard(NotBlocked).and(closure(true))),
        app(guard(NotBlocked).and(closure(false).not())),
        app(closure(true).and(guard(NotBlocked))),
        app(guard(NotBlocked).or(closure(true))),
    ];
    for (index, app) in apps.iter().enumerate() {
        assert_eq!(statuses(app, "/x"), [401, 503, 503], "{index}");
    }
}

// ===== The warning =====

#[cfg(all(feature = "axum", feature = "tracing"))]
#[path = "support/dispatcher.rs"]
mod dispatcher;

#[cfg(all(feature = "axum", feature = "tracing"))]
mod warning {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    /// A log in memory.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Returns the warnings that `work` logs.
    fn warnings(work: impl FnOnce()) -> Vec<String> {
        dispatcher::register_second();
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, work);
        let bytes = log.0.lock().unwrap().clone();
        let text = String::from_utf8(bytes).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    fn auth(prefix: Option<&str>) -> Auth<impl Validator<Principal = User> + use<>> {
        let layer = layer(&rules(""));
        match prefix {
            Some(prefix) => layer.nested_at(prefix).unwrap(),
            None => layer,
        }
    }

    fn ask(app: Router, target: &str, times: usize) -> Vec<String> {
        let app = boxed(app);
        warnings(|| {
            for _ in 0..times {
                send(&app, target, ADMIN);
            }
        })
    }

    // (M09: path of the inner service)
    #[test]
    fn nest_that_differs_from_declared_prefix_is_logged_once() {
        let nest = |at: &str, prefix| Router::new().nest_service(at, inner().layer(auth(prefix)));
        let two_levels = |prefix| Router::new().nest("/a", nest("/b", prefix));
        for (name, app, target, nested_path) in [
            ("undeclared", nest("/api", None), "/api/x", "/api"),
            ("another", nest("/api", Some("/apis")), "/api/x", "/api"),
            ("longer", nest("/api", Some("/api/v1")), "/api/x", "/api"),
            ("shorter", two_levels(Some("/a")), "/a/b/x", "/a/b"),
            ("inner alone", two_levels(Some("/b")), "/a/b/x", "/a/b"),
            ("literal", nest("/{t}", Some("/t")), "/t/x", "/{t}"),
            ("parameter", nest("/t", Some("/{t}")), "/t/x", "/t"),
        ] {
            let logged = ask(app, target, 3);
            let [line] = &logged[..] else {
                panic!("{name}: {logged:?}");
            };
            assert!(line.contains("WARN tower_bearer: "), "{name}: {line}");
            assert!(
                line.contains("BearerAuthLayer::nested_at"),
                "{name}: {line}"
            );
            let field = format!("nested_path={nested_path:?}");
            assert!(line.contains(&field), "{name}: {line}");
        }
    }

    // (M09: path of the inner service)
    #[test]
    fn nest_that_agrees_with_declared_prefix_is_not_logged() {
        let nest = |at: &str, prefix| Router::new().nest_service(at, inner().layer(auth(prefix)));
        let two_levels = |prefix| Router::new().nest("/a/{t}", nest("/b", prefix));
        let no_path_rules = auth(None).with_policy(role("admin"));
        let no_path_rules = Router::new().nest_service("/api", inner().layer(no_path_rules));
        for (name, app, target) in [
            ("not nested", inner().layer(auth(None)), "/x"),
            ("declared", nest("/api", Some("/api")), "/api/x"),
            ("with a slash", nest("/api/", Some("/api")), "/api/x"),
            ("relative rules", nest("/api", Some("/")), "/api/x"),
            ("two levels", two_levels(Some("/a/{tenant}/b")), "/a/x/b/x"),
            ("escaped", nest("/%C3%A9", Some("/é")), "/%C3%A9/x"),
            (
                "escaped in lower case",
                nest("/%c3%a9", Some("/é")),
                "/%c3%a9/x",
            ),
            ("no path rules", no_path_rules, "/api/x"),
        ] {
            assert_eq!(ask(app, target, 2), [""; 0], "{name}");
        }
    }

    // (M09: path of the inner service)
    #[test]
    fn each_layer_is_compared_for_its_first_requests() {
        // A layer in two nests, of which the second is a mistake.
        let shared = auth(Some("/api"));
        let app = Router::new()
            .nest_service("/api", inner().layer(shared.clone()))
            .nest_service("/other", inner().layer(shared.clone()));
        let app = boxed(app);
        let logged = warnings(|| {
            for target in ["/api/x", "/other/x", "/other/x", "/api/x"] {
                send(&app, target, ADMIN);
            }
        });
        assert_eq!(logged.len(), 1, "{logged:?}");
        // The warning is that of the layer, so the same layer logs no other one.
        let again = Router::new().nest_service("/third", inner().layer(shared.clone()));
        assert_eq!(ask(again, "/third/x", 1).len(), 0);
        // A layer with another setting is another layer.
        let changed = shared.with_realm("other");
        let changed = Router::new().nest_service("/third", inner().layer(changed));
        assert_eq!(ask(changed, "/third/x", 2).len(), 1);
        // The comparison ends after 1,000 requests.
        let busy = auth(Some("/api"));
        let right = Router::new().nest_service("/api", inner().layer(busy.clone()));
        assert_eq!(ask(right, "/api/x", 1_000).len(), 0);
        let wrong = Router::new().nest_service("/other", inner().layer(busy));
        assert_eq!(ask(wrong, "/other/x", 2).len(), 0);
    }
}
