//! That the cost of a request does not grow with the rules that do not mean it.
//!
//! Run with `cargo bench -p benches --bench rules`.

#[path = "support/mod.rs"]
mod support;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use http::StatusCode;
use support::{BATCH, TOKEN, User, bare, call, request};
use tower::Layer;
use tower_bearer::policy::{Policies, public, scope};
use tower_bearer::{BearerAuthLayer, OpaqueTokens};

/// `count` rules over as many services; every tenth is public.
fn policies(count: usize) -> Policies<User> {
    let mut policies = Policies::builder();
    for index in 0..count {
        policies = if index % 10 == 9 {
            policies.at(&format!("/service-{index}/health"), public())
        } else {
            policies.under(
                &format!("/service-{index}/{{tenant}}/orders"),
                scope("orders:read"),
            )
        };
    }
    policies.build().unwrap()
}

fn rules(c: &mut Criterion) {
    let bearer = format!("Bearer {TOKEN}");
    for (name, path) in [
        ("matching", "/service-5/acme/orders/7"),
        ("not matching", "/elsewhere/acme/orders/7"),
        ("public", "/service-9/health"),
    ] {
        let mut group = c.benchmark_group(format!("rules, {name}"));
        for count in [10, 100, 1_000, 10_000] {
            let tokens = OpaqueTokens::new();
            tokens.insert(TOKEN, User).unwrap();
            let mut service = BearerAuthLayer::new(tokens)
                .with_policy(policies(count))
                .layer(bare());
            let make = || request(path, Some(&bearer));
            assert_eq!(
                call(&mut service, make()).status(),
                StatusCode::OK,
                "{name}, {count}"
            );
            group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
                bencher.iter_batched(make, |request| call(&mut service, request), BATCH);
            });
        }
        group.finish();
    }
}

criterion_group!(benches, rules);
criterion_main!(benches);
