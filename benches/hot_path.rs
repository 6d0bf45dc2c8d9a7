//! What a request costs: the bare service, tower-http's layer for one static token, and ours.
//!
//! Run with `cargo bench -p benches --features axum --bench hot_path`. All figures are of one run; the ratios to
//! `bare` are what README.md quotes. Each iteration makes its request anew, outside of the measured
//! time.

#[path = "support/mod.rs"]
mod support;
#[path = "../tests/support/tokens.rs"]
mod tokens;

use std::hint::black_box;

use axum::Router;
use axum::routing::get;
use criterion::{Criterion, criterion_group, criterion_main};
use http::{Extensions, Request, StatusCode};
use serde_json::json;
use support::{BATCH, Body, TOKEN, User, bare, call, request, ten_rules};
use tokens::{AUDIENCE, ISSUER, Signer, claims, public_pem, with};
use tower::{Layer, Service};
use tower_bearer::jwt::{JwtValidator, PublicKey};
use tower_bearer::policy::Policies;
use tower_bearer::{BearerAuthLayer, OpaqueTokens, TokenDigest};
use tower_http::validate_request::ValidateRequestHeaderLayer;

fn layer() -> BearerAuthLayer<OpaqueTokens<User>, Policies<User>> {
    let tokens = OpaqueTokens::new();
    tokens.insert(TOKEN, User).unwrap();
    for other in 0..1_000 {
        tokens
            .insert(&format!("another-token-{other}"), User)
            .unwrap();
    }
    BearerAuthLayer::new(tokens).with_policy(ten_rules())
}

/// A token that is good for decades, and who remembers it.
fn remembered() -> (String, JwtValidator) {
    let signer = Signer::new("RS256").kid("2026-11");
    let times = json!({"iat": 1_700_000_000, "exp": 4_000_000_000_u64});
    let key = PublicKey::from_pem(public_pem("rsa")).unwrap();
    let validator = JwtValidator::builder(key)
        .issuer(ISSUER)
        .audience(AUDIENCE)
        .build()
        .unwrap();
    (signer.token(&with(claims(), times)), validator)
}

fn measure<S>(
    group: &mut criterion::BenchmarkGroup<'_, criterion::measurement::WallTime>,
    name: &str,
    mut service: S,
    expected: StatusCode,
    make: impl Fn() -> Request<Body>,
) where
    S: Service<Request<Body>>,
    S::Error: std::fmt::Debug,
    S::Response: HasStatus,
{
    assert_eq!(call(&mut service, make()).code(), expected, "{name}");
    group.bench_function(name, |bencher| {
        bencher.iter_batched(&make, |request| call(&mut service, request), BATCH);
    });
}

trait HasStatus {
    fn code(&self) -> StatusCode;
}

impl<B> HasStatus for http::Response<B> {
    fn code(&self) -> StatusCode {
        self.status()
    }
}

#[expect(deprecated, reason = "this is the check that the layer replaces")]
fn static_token()
-> ValidateRequestHeaderLayer<tower_http::auth::require_authorization::Bearer<Body>> {
    ValidateRequestHeaderLayer::bearer(TOKEN)
}

fn hot_path(c: &mut Criterion) {
    let bearer = format!("Bearer {TOKEN}");
    let wrong = format!("Bearer {}", TOKEN.to_ascii_lowercase());
    let mut group = c.benchmark_group("hot_path");
    let order = |authorization: Option<&str>| request("/orders/7", authorization);

    measure(&mut group, "bare", bare(), StatusCode::OK, || {
        order(Some(&bearer))
    });
    measure(&mut group, "bare, no token", bare(), StatusCode::OK, || {
        request("/health", None)
    });
    measure(
        &mut group,
        "tower-http static bearer",
        static_token().layer(bare()),
        StatusCode::OK,
        || order(Some(&bearer)),
    );
    let service = || layer().layer(bare());
    measure(&mut group, "public path", service(), StatusCode::OK, || {
        request("/health", None)
    });
    measure(
        &mut group,
        "opaque allowed",
        service(),
        StatusCode::OK,
        || order(Some(&bearer)),
    );
    let (jwt, validator) = remembered();
    let jwt = format!("Bearer {jwt}");
    measure(&mut group, "bare, JWT", bare(), StatusCode::OK, || {
        order(Some(&jwt))
    });
    let remembering = BearerAuthLayer::new(validator).with_policy(ten_rules());
    measure(
        &mut group,
        "JWT remembered",
        remembering.layer(bare()),
        StatusCode::OK,
        || order(Some(&jwt)),
    );
    measure(
        &mut group,
        "opaque refused",
        service(),
        StatusCode::UNAUTHORIZED,
        || order(Some(&wrong)),
    );
    measure(
        &mut group,
        "missing",
        service(),
        StatusCode::UNAUTHORIZED,
        || order(None),
    );
    measure(
        &mut group,
        "malformed",
        service(),
        StatusCode::BAD_REQUEST,
        || order(Some("Bearer a,b")),
    );
    measure(
        &mut group,
        "oversized",
        service(),
        StatusCode::BAD_REQUEST,
        {
            let oversized = format!("Bearer {}", "a".repeat(9_000));
            move || order(Some(&oversized))
        },
    );
    // What no layer that keeps digests and hands on a principal can do without.
    group.bench_function("digest of the token", |bencher| {
        bencher.iter(|| TokenDigest::of(black_box(TOKEN)));
    });
    group.bench_function("first entry of the extensions", |bencher| {
        bencher.iter(|| {
            let mut extensions = Extensions::new();
            extensions.insert(black_box([0_u64; 5]));
            black_box(extensions)
        });
    });
    group.finish();

    let router = || {
        Router::new()
            .route("/health", get(|| async {}))
            .route("/orders/{id}", get(|| async {}))
    };
    let mut group = c.benchmark_group("axum");
    let axum = |path: &str, authorization: Option<&str>| {
        let request = request(path, authorization);
        request.map(axum::body::Body::new)
    };
    let mut measure_axum =
        |name: &str, app: Router, path: &str, authorization: Option<&str>, expected| {
            // As `axum::serve` uses it: prepared once, cloned for every request.
            let app = app.with_state(());
            assert_eq!(
                call(&mut app.clone(), axum(path, authorization)).status(),
                expected,
                "{name}"
            );
            group.bench_function(name, |bencher| {
                bencher.iter_batched(
                    || axum(path, authorization),
                    |request| call(&mut app.clone(), request),
                    BATCH,
                );
            });
        };
    measure_axum(
        "bare router",
        router(),
        "/orders/7",
        Some(&bearer),
        StatusCode::OK,
    );
    measure_axum(
        "bare router, public path",
        router(),
        "/health",
        None,
        StatusCode::OK,
    );
    measure_axum(
        "public path",
        router().layer(layer()),
        "/health",
        None,
        StatusCode::OK,
    );
    measure_axum(
        "opaque allowed",
        router().layer(layer()),
        "/orders/7",
        Some(&bearer),
        StatusCode::OK,
    );
    group.finish();
}

criterion_group!(benches, hot_path);
criterion_main!(benches);
