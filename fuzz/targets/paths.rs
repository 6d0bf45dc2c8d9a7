//! Any request path against a list of rules.
//!
//! The first byte of the input selects method and token, the rest is the path. A naive reader that decodes and normalizes
//! everything is the model: a request that it locates below a restricted path is allowed only with the right token.
#![no_main]

use std::sync::LazyLock;

use http::{Method, Request, Uri};
use libfuzzer_sys::fuzz_target;
use percent_encoding::percent_decode;
use tower::Layer;
use tower_bearer::policy::{Claims, Policies, Requirement, authenticated, public, scope};
use tower_bearer::{BearerAuthLayer, OpaqueTokens};
use tower_bearer_fuzz::{call, inner, is_allowed};

const TOKENS: [Option<&str>; 4] = [
    None,
    Some("user-token"),
    Some("orders-token"),
    Some("admin-token"),
];

#[derive(Clone)]
struct User(&'static str);

impl Claims for User {
    fn has_scope(&self, scope: &str) -> bool {
        self.0 == scope
    }
}

static LAYER: LazyLock<BearerAuthLayer<OpaqueTokens<User>, Policies<User>>> = LazyLock::new(|| {
    let tokens = OpaqueTokens::new();
    for (token, scope) in [
        ("user-token", ""),
        ("orders-token", "orders"),
        ("admin-token", "admin"),
    ] {
        tokens
            .insert(token, User(scope))
            .expect("the token is valid");
    }
    BearerAuthLayer::new(tokens).with_policy(POLICIES.clone())
});

static POLICIES: LazyLock<Policies<User>> = LazyLock::new(|| {
    Policies::builder()
        .at("/health", public())
        .under("/orders/{id}", scope("orders"))
        .under("/admin", scope("admin"))
        .under("/", authenticated())
        .build()
        .expect("the list is valid")
});

/// Returns the segments that a path can mean: as it is, and decoded once, twice and three times, each with path
/// parameters, empty segments and dot segments resolved.
fn readings(path: &[u8]) -> Vec<Vec<Vec<u8>>> {
    let mut readings = Vec::new();
    let mut path = path.to_vec();
    for _ in 0..4 {
        let mut segments: Vec<Vec<u8>> = Vec::new();
        for segment in path.split(|byte| matches!(byte, b'/' | b'\\')) {
            let name = segment
                .split(|byte| *byte == b';')
                .next()
                .unwrap_or_default();
            match name {
                b"" | b"." => {}
                b".." => {
                    segments.pop();
                }
                name => segments.push(name.to_vec()),
            }
        }
        readings.push(segments);
        path = percent_decode(&path).collect();
    }
    readings
}

fuzz_target!(|data: &[u8]| {
    let Some((&selector, path)) = data.split_first() else {
        return;
    };
    let Ok(uri) = Uri::try_from(path) else { return };
    let token = TOKENS[usize::from(selector & 3)];
    let method = [Method::GET, Method::POST, Method::OPTIONS, Method::HEAD]
        [usize::from(selector >> 2 & 3)]
    .clone();

    let explanation = POLICIES.explain(&method, uri.path());
    let is_explained_public = matches!(explanation.requirement(), Ok(Requirement::Public));
    let path = uri.path().as_bytes().to_vec();

    let mut request = Request::builder().method(method).uri(uri);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let request = request.body(()).expect("the request is valid");
    let response = call(&mut LAYER.layer(inner()), request);
    let allowed = is_allowed(&response);

    if explanation.requirement().is_err() {
        assert_eq!(response.status(), 400, "an ambiguous path is rejected");
    }
    if !allowed {
        assert!(
            matches!(response.status().as_u16(), 400 | 401 | 403),
            "{}",
            response.status()
        );
        return;
    }
    assert!(
        token.is_some() || is_explained_public,
        "without a token, only a public path is allowed"
    );
    for segments in readings(&path) {
        match segments.first().map(Vec::as_slice) {
            Some(b"admin") => assert_eq!(token, Some("admin-token"), "{segments:?}"),
            Some(b"orders") if segments.len() > 1 => {
                assert_eq!(token, Some("orders-token"), "{segments:?}")
            }
            Some(b"health") if segments.len() == 1 => {}
            _ => assert!(token.is_some(), "{segments:?}"),
        }
    }
});
