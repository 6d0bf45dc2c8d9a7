//! What a document says about a layer is what the layer does.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use http::{HeaderName, Method, Request, Response, StatusCode};
use proptest::prelude::*;
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};
use tower_bearer::openapi::{BearerScheme, OAuthFlow, OpenApiError, Security};
use tower_bearer::policy::{
    Claims, PathAmbiguity, Policies, PoliciesBuilder, Requirement, all_scopes, any_scope,
    authenticated, optional, owner, permit, public, role, scope, tenant,
};
use tower_bearer::{
    BearerAuthLayer, Credential, Failure, InvalidReason, Policy, Source, Validator, validator_fn,
};

/// Has the role `editor`, belongs to every tenant, and is called 7.
#[derive(Clone, Debug, Default)]
struct User {
    scopes: BTreeSet<String>,
}

impl Claims for User {
    fn subject(&self) -> Option<&str> {
        Some("7")
    }

    fn has_scope(&self, scope: &str) -> bool {
        self.scopes.contains(scope)
    }

    fn has_role(&self, role: &str) -> bool {
        role == "editor"
    }

    fn has_tenant(&self, _: &str) -> bool {
        true
    }
}

/// Who comes with the token `good`.
type Who = Arc<Mutex<User>>;

fn layer<P: Policy<User>>(
    policy: P,
) -> (BearerAuthLayer<impl Validator<Principal = User>, P>, Who) {
    let who = Who::default();
    let good = Arc::clone(&who);
    let validator = validator_fn(move |credential: Credential<'_>| match credential.token() {
        "good" => Ok(good.lock().unwrap().clone()),
        _ => Err(Failure::invalid(InvalidReason::Unknown)),
    });
    (BearerAuthLayer::new(validator).with_policy(policy), who)
}

fn status<V, P>(
    layer: &BearerAuthLayer<V, P>,
    method: &Method,
    path: &str,
    token: Option<&str>,
) -> StatusCode
where
    V: Validator<Principal = User>,
    P: Policy<User>,
{
    let service = layer.layer(service_fn(|_: Request<()>| async {
        Ok::<_, Infallible>(Response::new(String::new()))
    }));
    let mut request = Request::builder().method(method).uri(path);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let response = service.oneshot(request.body(()).unwrap()).now_or_never();
    response.expect("nothing waits").unwrap().status()
}

fn document(version: &str, operations: &[(Method, &str)]) -> Value {
    let mut paths = json!({});
    for (method, path) in operations {
        let key = method.as_str().to_lowercase();
        paths[*path][key.as_str()] =
            json!({ "responses": { "200": { "description": "It is there." } } });
    }
    json!({ "openapi": version, "info": { "title": "T", "version": "1" }, "paths": paths })
}

fn security_of<'d>(document: &'d Value, method: &Method, path: &str) -> &'d Value {
    &document["paths"][path][method.as_str().to_lowercase().as_str()]["security"]
}

/// The alternatives of an operation as a reader of the document understands them: whether one may come
/// without a credential, and the scopes of a credential, if one is of any use.
fn read(security: &Value) -> (bool, Option<BTreeSet<String>>) {
    let alternatives = security.as_array().expect("an array");
    let anonymous = alternatives.is_empty()
        || alternatives
            .iter()
            .any(|alternative| alternative.as_object().unwrap().is_empty());
    let scopes = alternatives.iter().find_map(|alternative| {
        let (_, scopes) = alternative.as_object()?.iter().next()?;
        let scopes = scopes.as_array().expect("scopes");
        Some(
            scopes
                .iter()
                .map(|scope| scope.as_str().unwrap().to_owned())
                .collect(),
        )
    });
    (anonymous, scopes)
}

/// Compares a document with a service. `minimal`: no rule knows another way in.
fn compare<P: Policy<User> + 'static>(
    policy: P,
    operations: &[(Method, &str)],
    values: &[&str],
    minimal: bool,
) {
    let (layer, who) = layer(policy);
    let mut described = document("3.1.0", operations);
    Security::of(&layer).apply(&mut described).unwrap();
    for (method, template) in operations {
        let (anonymous, scopes) = read(security_of(&described, method, template));
        for value in values {
            let path = fill(template, value);
            let ask = |token| status(&layer, method, &path, token);
            let name = format!("{method} {template} as {path}");

            let expected = if anonymous { 200 } else { 401 };
            assert_eq!(ask(None), expected, "{name}, without a credential");
            let Some(scopes) = &scopes else {
                // Nobody looks at what comes with a public request.
                assert_eq!(ask(Some("bad")), 200, "{name}, public");
                continue;
            };
            assert_eq!(ask(Some("bad")), 401, "{name}, with a bad credential");
            who.lock().unwrap().scopes = scopes.clone();
            assert_eq!(ask(Some("good")), 200, "{name}, with {scopes:?}");
            for lacking in scopes.iter().filter(|_| minimal) {
                who.lock().unwrap().scopes.remove(lacking);
                assert_eq!(ask(Some("good")), 403, "{name}, without {lacking}");
                who.lock().unwrap().scopes.insert(lacking.clone());
            }
        }
    }
}

fn fill(template: &str, value: &str) -> String {
    let mut path = String::new();
    for segment in template.split('/').skip(1) {
        path.push('/');
        path.push_str(if segment.starts_with('{') {
            value
        } else {
            segment
        });
    }
    path
}

#[test]
fn document_matches_layer_decisions() {
    let policies = Policies::builder()
        .at("/health", public())
        .under("/news", optional().on([Method::GET]))
        .under("/news", scope("news:write"))
        .at("/users/me", public())
        .under("/users/admin", scope("admin"))
        .at("/users/{id}", scope("users:read").on([Method::GET]))
        .under("/users/{id}/notes", owner("id"))
        .under("/orders", scope("orders:read"))
        .under(
            "/orders",
            all_scopes(["orders:write", "orders:read"]).on([Method::POST, Method::DELETE]),
        )
        .under("/drafts", role("editor").and(scope("drafts")))
        .under("/tenants/{tenant}", tenant("tenant"))
        .under("/tenants/{tenant}/bills", scope("bills"))
        .build()
        .unwrap();
    let operations = [
        (Method::GET, "/health"),
        (Method::POST, "/health"),
        (Method::GET, "/news"),
        (Method::HEAD, "/news/{id}"),
        (Method::POST, "/news/{id}"),
        (Method::GET, "/users/me"),
        (Method::GET, "/users/admin"),
        (Method::GET, "/users/{id}"),
        (Method::PUT, "/users/{id}"),
        (Method::GET, "/users/{id}/notes/{note}"),
        (Method::GET, "/orders"),
        (Method::GET, "/orders/{id}"),
        (Method::POST, "/orders"),
        (Method::DELETE, "/orders/{id}"),
        (Method::PATCH, "/drafts/{id}"),
        (Method::GET, "/tenants/{tenant}/bills/{bill}"),
        (Method::GET, "/{anything}"),
        (Method::OPTIONS, "/"),
    ];
    compare(policies, &operations, &["7", "%37"], true);
}

#[test]
fn single_policy_is_described() {
    let operations = [(Method::GET, "/"), (Method::POST, "/a/{b}")];
    compare(authenticated(), &operations, &["7"], true);
    compare(optional(), &operations, &["7"], true);
    compare(
        scope("a").and(all_scopes(["b", "c"])),
        &operations,
        &["7"],
        true,
    );
    compare(
        scope("a").or(role("admin").and(scope("b"))),
        &operations,
        &["7"],
        true,
    );
    compare(
        any_scope(["a", "b"]).and(scope("b")),
        &operations,
        &["7"],
        false,
    );
}

#[derive(Clone, Debug)]
enum Effect {
    AllScopes(Vec<&'static str>),
    AnyScope(Vec<&'static str>),
    Authenticated,
    Optional,
    Permit(&'static str),
    Public,
    Scope(&'static str),
}

#[derive(Clone, Debug)]
struct Line {
    path: String,
    under: bool,
    methods: Option<Method>,
    effect: Effect,
}

impl Line {
    fn add_to(&self, builder: PoliciesBuilder<User>) -> PoliciesBuilder<User> {
        macro_rules! add {
            ($rule:expr) => {
                match (&self.methods, self.under) {
                    (None, false) => builder.at(&self.path, $rule),
                    (None, true) => builder.under(&self.path, $rule),
                    (Some(method), false) => builder.at(&self.path, $rule.on([method.clone()])),
                    (Some(method), true) => builder.under(&self.path, $rule.on([method.clone()])),
                }
            };
        }
        match &self.effect {
            Effect::AllScopes(scopes) => add!(all_scopes(scopes.iter().copied())),
            Effect::AnyScope(scopes) => add!(any_scope(scopes.iter().copied())),
            Effect::Authenticated => add!(authenticated()),
            Effect::Optional => add!(optional()),
            Effect::Permit(name) => add!(permit(scope(*name))),
            Effect::Public => add!(public()),
            Effect::Scope(name) => add!(scope(*name)),
        }
    }
}

fn path() -> impl Strategy<Value = String> {
    // Names differ by place, so that none stands twice.
    let segment = prop_oneof![Just("a"), Just("b"), Just("{}")];
    prop::collection::vec(segment, 0..4).prop_map(|segments| {
        if segments.is_empty() {
            return "/".to_owned();
        }
        (0..)
            .zip(segments)
            .map(|(at, segment)| match segment {
                "{}" => format!("/{{v{at}}}"),
                literal => format!("/{literal}"),
            })
            .collect()
    })
}

fn line() -> impl Strategy<Value = Line> {
    let name = || prop::sample::select(vec!["r", "s", "t"]);
    let names = move || prop::collection::vec(name(), 1..3);
    let effect = prop_oneof![
        names().prop_map(Effect::AllScopes),
        names().prop_map(Effect::AnyScope),
        Just(Effect::Authenticated),
        Just(Effect::Optional),
        name().prop_map(Effect::Permit),
        Just(Effect::Public),
        name().prop_map(Effect::Scope),
    ];
    let methods = prop::option::of(prop::sample::select(vec![Method::GET, Method::POST]));
    (path(), any::<bool>(), methods, effect).prop_map(|(path, under, methods, effect)| Line {
        path,
        under,
        methods,
        effect,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn document_matches_layer_decisions_for_random_rules(
        lines in prop::collection::vec(line(), 0..8),
        paths in prop::collection::vec(path(), 1..6),
    ) {
        // A line without effect makes `build` fail; the others are a list as well.
        let mut kept: Vec<Line> = Vec::new();
        let build = |lines: &[Line]| {
            lines.iter().fold(Policies::builder(), |builder, line| line.add_to(builder)).build()
        };
        for line in lines {
            kept.push(line);
            if build(&kept).is_err() {
                kept.pop();
            }
        }
        let minimal = !kept
            .iter()
            .any(|line| matches!(line.effect, Effect::AnyScope(_) | Effect::Permit(_)));
        let operations: Vec<(Method, &str)> = paths
            .iter()
            .flat_map(|path| [Method::GET, Method::POST, Method::HEAD].map(|method| (method, &**path)))
            .collect();
        compare(build(&kept).unwrap(), &operations, &["7", "c", "%63"], minimal);
    }
}

#[test]
fn each_source_becomes_a_security_scheme() {
    let (layer, _) = layer(scope("orders"));
    let layer = layer
        .with_sources([
            Source::cookie("session"),
            Source::bearer(),
            Source::basic(),
            Source::api_key(HeaderName::from_static("x-api-key")),
            Source::api_key(HeaderName::from_static("x-other-key")),
            Source::websocket_protocol("bearer"),
        ])
        .unwrap();
    let security = Security::of(&layer)
        .with_bearer(
            "login",
            BearerScheme::oauth2(
                OAuthFlow::authorization_code("https://a.test/authorize", "https://a.test/token")
                    .with_refresh_url("/refresh")
                    .add_scope("orders", "Orders"),
            )
            .with_description("Log in."),
        )
        .unwrap()
        .add_bearer(
            "issuer",
            BearerScheme::openid_connect("https://a.test/.well-known/openid-configuration"),
        )
        .unwrap()
        .add_bearer("pasted", BearerScheme::http_with_format("JWT"))
        .unwrap();
    assert_eq!(
        security.schemes(),
        json!({
            "cookieAuth": { "type": "apiKey", "in": "cookie", "name": "session" },
            "login": {
                "type": "oauth2",
                "description": "Log in.",
                "flows": { "authorizationCode": {
                    "authorizationUrl": "https://a.test/authorize",
                    "tokenUrl": "https://a.test/token",
                    "refreshUrl": "/refresh",
                    "scopes": { "orders": "Orders" },
                } },
            },
            "issuer": {
                "type": "openIdConnect",
                "openIdConnectUrl": "https://a.test/.well-known/openid-configuration",
            },
            "pasted": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" },
            "basicAuth": { "type": "http", "scheme": "basic" },
            "apiKeyAuth": { "type": "apiKey", "in": "header", "name": "x-api-key" },
            "apiKeyAuth2": { "type": "apiKey", "in": "header", "name": "x-other-key" },
        })
    );
    // 3.0 knows scopes for two types only; the order is that of the sources.
    for (version, of_others) in [("3.0.3", json!([])), ("3.1.0", json!(["orders"]))] {
        let operation = [(Method::GET, "/orders")];
        let mut document = document(version, &operation);
        security.apply(&mut document).unwrap();
        assert_eq!(
            document["paths"]["/orders"]["get"]["security"],
            json!([
                { "cookieAuth": of_others },
                { "login": ["orders"] },
                { "issuer": ["orders"] },
                { "pasted": of_others },
                { "basicAuth": of_others },
                { "apiKeyAuth": of_others },
                { "apiKeyAuth2": of_others },
            ]),
            "{version}"
        );
    }
}

#[test]
fn oauth_flow_lists_every_required_scope() {
    let policies = Policies::builder()
        .under("/orders", scope("orders:read"))
        .under("/orders", scope("orders:write").on([Method::POST]))
        .under("/hidden", scope("not-in-the-document"))
        .build()
        .unwrap();
    let (layer, _) = layer(policies);
    let flow = OAuthFlow::password("/login")
        .add_scope("orders:read", "old")
        .add_scope("orders:read", "See orders")
        .add_scope("profile", "See yourself");
    let security = Security::of(&layer)
        .with_bearer("oauth2", BearerScheme::oauth2(flow))
        .unwrap();
    let mut document = document(
        "3.0.3",
        &[(Method::GET, "/orders"), (Method::POST, "/orders")],
    );
    security.apply(&mut document).unwrap();
    assert_eq!(
        document["components"]["securitySchemes"]["oauth2"]["flows"]["password"]["scopes"],
        json!({ "orders:read": "See orders", "orders:write": "", "profile": "See yourself" })
    );
}

#[test]
fn other_document_content_is_kept_and_nothing_is_duplicated() {
    let (layer, _) = layer(Policies::builder().at("/open", public()).build().unwrap());
    let security = Security::of(&layer);
    let mut document = json!({
        "openapi": "3.1.0",
        "info": { "title": "T", "version": "1" },
        "x-mine": [1],
        "security": [{ "old": [] }],
        "paths": {
            "x-paths": 1,
            "/open": {
                "summary": "S",
                "parameters": [],
                "x-item": null,
                "get": { "operationId": "open", "security": [{ "old": [] }] },
            },
        },
        "webhooks": { "hook": { "post": { "responses": {} } } },
        "components": {
            "schemas": { "A": {} },
            "securitySchemes": { "old": { "type": "http", "scheme": "digest" } },
        },
    });
    let mut expected = document.clone();
    expected["paths"]["/open"]["get"]["security"] = json!([]);
    expected["components"]["securitySchemes"]["bearerAuth"] =
        json!({ "type": "http", "scheme": "bearer" });
    for _ in 0..2 {
        security.apply(&mut document).unwrap();
        assert_eq!(document, expected);
    }
}

#[test]
fn rejections_are_described_with_opt_in_and_without_overwriting() {
    let (layer, _) = layer(
        Policies::builder()
            .at("/open", public())
            .at("/maybe", optional())
            .build()
            .unwrap(),
    );
    let mut described = json!({
        "openapi": "3.1.0",
        "paths": {
            "/open": { "get": {} },
            "/maybe": { "get": {} },
            "/mine": { "get": { "responses": { "401": "mine" } } },
            "/range": { "get": { "responses": { "4XX": "mine" } } },
        },
    });
    Security::of(&layer)
        .document_refusals()
        .apply(&mut described)
        .unwrap();
    for (path, expected) in [
        ("/open", &[][..]),
        ("/maybe", &["401"]),
        ("/mine", &["401", "403"]),
        ("/range", &["4XX"]),
    ] {
        let responses = described["paths"][path]["get"]["responses"].as_object();
        let statuses: Vec<&str> = responses.unwrap().keys().map(String::as_str).collect();
        assert_eq!(statuses, expected, "{path}");
    }
    assert_eq!(
        described["paths"]["/mine"]["get"]["responses"]["401"],
        "mine"
    );
}

#[test]
fn methods_match_openapi_version() {
    let (layer, _) = layer(authenticated());
    let security = Security::of(&layer);
    for (version, is_known) in [("3.1.1", false), ("3.2.0", true)] {
        let mut document = json!({
            "openapi": version,
            "paths": { "/a": { "query": {}, "additionalOperations": { "COPY": {} } } },
        });
        security.apply(&mut document).unwrap();
        let item = &document["paths"]["/a"];
        assert_eq!(item["query"].get("security").is_some(), is_known);
        let copy = &item["additionalOperations"]["COPY"];
        assert_eq!(copy.get("security").is_some(), is_known);
    }
}

#[test]
fn indescribable_layer_is_an_error_and_document_is_unchanged() {
    let (layer, _) = layer(
        Policies::builder()
            .under("/", authenticated())
            .build()
            .unwrap(),
    );
    let shape = |pointer: &str, expected| OpenApiError::Shape {
        pointer: pointer.to_owned(),
        expected,
    };
    let version = |found: Option<&str>| OpenApiError::Version {
        found: found.map(ToOwned::to_owned),
    };
    let path = |path: &str| OpenApiError::Path {
        path: path.to_owned(),
    };
    let with = |paths: Value| json!({ "openapi": "3.2.0", "paths": paths });
    let object = "an object";
    for (document, expected) in [
        (json!(null), shape("", object)),
        (json!([]), shape("", object)),
        (json!({}), version(None)),
        (json!({ "openapi": 3.1 }), version(None)),
        (json!({ "openapi": "2.0" }), version(Some("2.0"))),
        (json!({ "openapi": "3" }), version(Some("3"))),
        (json!({ "openapi": "3.x.0" }), version(Some("3.x.0"))),
        (json!({ "openapi": "3.1.0" }), shape("/paths", object)),
        (with(json!("none")), shape("/paths", object)),
        (with(json!({ "/a/b": 1 })), shape("/paths/~1a~1b", object)),
        (
            with(json!({ "/a~": { "get": [] } })),
            shape("/paths/~1a~0/get", object),
        ),
        (
            with(json!({ "/a": { "additionalOperations": { "a b": {} } } })),
            shape(
                "/paths/~1a/additionalOperations/a b",
                "the name of a method",
            ),
        ),
        (with(json!({ "a": { "get": {} } })), path("a")),
        (with(json!({ "/a?b": { "get": {} } })), path("/a?b")),
        (with(json!({ "/{a": { "get": {} } })), path("/{a")),
        (
            with(json!({ "/a": { "get": {} }, "/b/../c": { "get": {} } })),
            OpenApiError::AmbiguousPath {
                path: "/b/../c".to_owned(),
                ambiguity: PathAmbiguity::DotSegment,
            },
        ),
        (
            with(json!({ "/a": { "get": {} }, "/b": { "$ref": "#/components/pathItems/b" } })),
            OpenApiError::Reference {
                path: "/b".to_owned(),
            },
        ),
        (
            json!({ "openapi": "3.0.0", "paths": {}, "components": [] }),
            shape("/components", object),
        ),
        (
            json!({ "openapi": "3.0.0", "paths": {}, "components": { "securitySchemes": [] } }),
            shape("/components/securitySchemes", object),
        ),
        (
            json!({
                "openapi": "3.0.0",
                "paths": { "/a": { "get": {} } },
                "components": { "securitySchemes": { "bearerAuth": { "type": "http", "scheme": "basic" } } },
            }),
            OpenApiError::SchemeTaken {
                name: "bearerAuth".to_owned(),
            },
        ),
    ] {
        let mut changed = document.clone();
        let error = Security::of(&layer).apply(&mut changed).unwrap_err();
        assert_eq!(error, expected, "{document}");
        assert_eq!(changed, document);
    }
}

#[test]
fn layer_without_scheme_is_not_described_as_public() {
    let (layer, _) = layer(Policies::builder().at("/open", public()).build().unwrap());
    let layer = layer
        .with_sources([Source::websocket_protocol("bearer")])
        .unwrap();
    let security = Security::of(&layer);
    assert_eq!(
        security.requirements(&Method::GET, "/open").unwrap(),
        json!([])
    );
    assert_eq!(
        security.requirements(&Method::GET, "/socket").unwrap_err(),
        OpenApiError::NoScheme {
            method: Method::GET,
            path: "/socket".to_owned(),
        }
    );
    assert_eq!(
        security.with_bearer("b", BearerScheme::http()).unwrap_err(),
        OpenApiError::BearerNotOffered {
            name: "b".to_owned(),
        }
    );
}

#[test]
fn names_and_urls_are_checked() {
    let (layer, _) = layer(authenticated());
    let layer = layer
        .with_sources([Source::bearer(), Source::basic()])
        .unwrap();
    let security = || Security::of(&layer);
    for name in ["", "a b", "a/b", "ä", "a{"] {
        let expected = OpenApiError::SchemeName {
            name: name.to_owned(),
        };
        let scheme = BearerScheme::http();
        assert_eq!(security().with_bearer(name, scheme).unwrap_err(), expected);
        assert_eq!(security().rename("basicAuth", name).unwrap_err(), expected);
    }
    assert!(security().rename("basicAuth", "A.z-0_").is_ok());
    assert!(security().rename("basicAuth", "basicAuth").is_ok());
    let taken = OpenApiError::DuplicateScheme {
        name: "basicAuth".to_owned(),
    };
    let scheme = BearerScheme::http();
    assert_eq!(
        security().rename("bearerAuth", "basicAuth").unwrap_err(),
        taken
    );
    assert_eq!(
        security()
            .add_bearer("basicAuth", scheme.clone())
            .unwrap_err(),
        taken
    );
    // What is replaced leaves its name free.
    assert!(security().with_bearer("bearerAuth", scheme).is_ok());
    for url in ["", "a b", "/ä", "/a\n"] {
        let expected = OpenApiError::Url {
            url: url.to_owned(),
        };
        for scheme in [
            BearerScheme::openid_connect(url),
            BearerScheme::oauth2(OAuthFlow::password(url)),
            BearerScheme::oauth2(OAuthFlow::client_credentials("/t").with_refresh_url(url)),
            BearerScheme::oauth2(OAuthFlow::authorization_code(url, "/t")),
        ] {
            assert_eq!(security().add_bearer("x", scheme).unwrap_err(), expected);
        }
    }
    for base_path in ["", "/", "api", "/api/", "/a?b", "/{a"] {
        assert_eq!(
            security().with_base_path(base_path).unwrap_err(),
            OpenApiError::BasePath {
                base_path: base_path.to_owned(),
            }
        );
    }
}

#[test]
fn base_path_prefixes_every_path() {
    let (layer, _) = layer(
        Policies::builder()
            .at("/{tenant}/api/", public())
            .at("/{tenant}/api/health", public())
            .at("/health", optional())
            .build()
            .unwrap(),
    );
    let bare = Security::of(&layer);
    let based = bare.clone().with_base_path("/{tenant}/api").unwrap();
    for (path, bare_requirement, based_requirement) in [
        ("/health", Requirement::Optional, Requirement::Public),
        ("/", Requirement::Credential, Requirement::Public),
        ("/other", Requirement::Credential, Requirement::Credential),
    ] {
        let requirement = |security: &Security| {
            let access = security.access(&Method::GET, path).unwrap();
            access.requirement()
        };
        assert_eq!(requirement(&bare), bare_requirement, "{path}");
        assert_eq!(requirement(&based), based_requirement, "{path}");
    }
}

// (M09: path of the inner service)
#[test]
fn layer_with_declared_prefix_is_described_by_full_paths() {
    let policies = || {
        Policies::builder()
            .at("/api", public())
            .at("/api/health", public())
            .under("/t/acme/admin", scope("admin"))
            .under("/t/{tenant}/read", scope("read"))
            .build()
            .unwrap()
    };
    let at = |prefix: &str| layer(policies()).0.nested_at(prefix).unwrap();
    let api = Security::of(&at("/api"));
    let requirement = |security: &Security, path: &str| {
        let access = security.access(&Method::GET, path);
        access.map(|access| (access.requirement(), access.scopes().len()))
    };
    let public = Ok((Requirement::Public, 0));
    assert_eq!(requirement(&api, "/api/health"), public);
    // The nested router serves both as `/`.
    assert_eq!(requirement(&api, "/api"), public);
    assert_eq!(requirement(&api, "/api/"), public);
    let below = api.clone().with_base_path("/api").unwrap();
    assert_eq!(requirement(&below, "/health"), public);
    assert_eq!(
        requirement(&api, "/health"),
        Err(OpenApiError::OutsidePrefix {
            path: "/health".to_owned(),
            prefix: "/api".to_owned(),
        })
    );
    for path in ["/apis/health", "/{any}/health", "/API/health"] {
        assert!(requirement(&api, path).is_err(), "{path}");
    }
    let tenants = Security::of(&at("/t/{tenant}"));
    for path in ["/t/{tenant}/admin", "/t/acme/admin", "/t/{id}/read"] {
        let expected = Ok((Requirement::Credential, 1));
        assert_eq!(requirement(&tenants, path), expected, "{path}");
    }
}

mod with_utoipa {
    use utoipa::OpenApi;

    use super::*;

    #[expect(dead_code, reason = "only its description is used")]
    #[utoipa::path(get, path = "/health", responses((status = 200)))]
    async fn health() {}

    #[expect(dead_code, reason = "only its description is used")]
    #[utoipa::path(
        post,
        path = "/orders/{id}",
        params(("id" = u64, Path)),
        responses((status = 200)),
        security(("forgotten" = []))
    )]
    async fn change() {}

    #[derive(OpenApi)]
    #[openapi(paths(health, change))]
    struct ApiDoc;

    #[test]
    fn utoipa_document_parses_after_change_except_for_one_flow() {
        let policies = Policies::builder()
            .at("/health", public())
            .under("/orders", scope("orders:write"))
            .build()
            .unwrap();
        let (layer, _) = layer(policies);
        let layer = layer
            .with_sources([
                Source::bearer(),
                Source::cookie("session"),
                Source::basic(),
                Source::api_key(HeaderName::from_static("x-api-key")),
            ])
            .unwrap();
        let flow = OAuthFlow::password("/login").with_refresh_url("/refresh");
        let code = OAuthFlow::authorization_code("/authorize", "/token");
        let security = Security::of(&layer)
            .with_bearer("password", BearerScheme::oauth2(flow))
            .unwrap()
            .add_bearer("code", BearerScheme::oauth2(code))
            .unwrap()
            .add_bearer(
                "client",
                BearerScheme::oauth2(OAuthFlow::client_credentials("/token")),
            )
            .unwrap()
            .add_bearer("oidc", BearerScheme::openid_connect("https://a.test/oidc"))
            .unwrap()
            .add_bearer("pasted", BearerScheme::http_with_format("JWT"))
            .unwrap()
            .document_refusals();

        let mut document = serde_json::to_value(ApiDoc::openapi()).unwrap();
        security.apply(&mut document).unwrap();
        assert_eq!(document["paths"]["/health"]["get"]["security"], json!([]));
        let first = &document["paths"]["/orders/{id}"]["post"]["security"][0];
        assert_eq!(*first, json!({ "password": ["orders:write"] }));
        let read = document.clone();
        // utoipa 6 takes this flow for the implicit one, which has no such member; the rest it keeps.
        let flow =
            &mut document["components"]["securitySchemes"]["code"]["flows"]["authorizationCode"];
        let read_back =
            serde_json::to_value(serde_json::from_value::<utoipa::openapi::OpenApi>(read).unwrap())
                .unwrap();
        let token_url = flow.as_object_mut().unwrap().remove("tokenUrl");
        assert_eq!(token_url, Some(json!("/token")));
        assert_eq!(read_back, document);
    }
}
