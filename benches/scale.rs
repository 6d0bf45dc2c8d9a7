//! That the cost of a request does not grow with what is remembered, taken back, or configured, and what
//! several tasks at once do to it.
//!
//! Run with `cargo bench -p benches --bench scale && benches/scale_ratios.sh`. It takes some
//! gigabytes of memory for the largest sizes, which are left out when it is run as a test.

#[path = "support/mod.rs"]
mod support;
#[path = "../tests/support/tokens.rs"]
mod tokens;

use std::hint::black_box;
use std::time::{Duration, Instant, SystemTime};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use http::{Request, StatusCode};
use serde_json::{Value, json};
use support::{BATCH, Body, bare, call, request, ten_rules};
use tokens::{AUDIENCE, ISSUER, SECRET, Signer, claims, with};
use tokio::runtime::Builder;
use tower::{Layer as _, Service};
use tower_bearer::BearerAuthLayer;
use tower_bearer::cache::CacheSettings;
use tower_bearer::jwt::{JwtIssuers, JwtValidator, JwtValidatorBuilder, SharedSecret};
use tower_bearer::revocation::{RevocationClaims, RevocationList, Revocations as _};

const KID: &str = "2026-11";

/// Without the largest ones where only one round is run.
fn sizes(all: &[usize]) -> impl Iterator<Item = usize> {
    let is_measured = std::env::args().any(|argument| argument == "--bench");
    let most = if is_measured { usize::MAX } else { 100 };
    all.iter().copied().filter(move |size| *size <= most)
}

fn signer() -> Signer {
    Signer::new("HS256").kid(KID)
}

/// Claims that are good for decades.
fn lasting(changes: Value) -> Value {
    let times = json!({"iat": 1_700_000_000, "exp": 4_000_000_000_u64});
    with(with(claims(), times), changes)
}

fn validator(issuer: &str) -> JwtValidatorBuilder {
    JwtValidator::builder(SharedSecret::hs256(SECRET).unwrap().with_kid(KID).unwrap())
        .issuer(issuer)
        .audience(AUDIENCE)
}

/// Room for all, however many and long they are.
fn roomy() -> CacheSettings {
    CacheSettings::new()
        .with_time_to_live(Duration::from_secs(86_400))
        .with_max_entries(2_000_000)
        .with_max_bytes(8 << 30)
}

fn authorization(token: &str) -> String {
    format!("Bearer {token}")
}

fn order(authorization: &str) -> Request<Body> {
    request("/orders/7", Some(authorization))
}

/// Requests with one token after the other, in an order that no prefetcher foresees.
struct Scattered<'t> {
    tokens: &'t [String],
    at: std::cell::Cell<usize>,
}

impl<'t> Scattered<'t> {
    fn new(tokens: &'t [String]) -> Self {
        let at = std::cell::Cell::new(1);
        Self { tokens, at }
    }

    fn next(&self) -> Request<Body> {
        let at = self.at.get();
        // Knuth's generator: its upper bits are spread well enough.
        let next = at
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.at.set(next);
        order(&self.tokens[(next >> 33) % self.tokens.len()])
    }
}

fn remembered_tokens(c: &mut Criterion) {
    let mut group = c.benchmark_group("remembered tokens");
    let signer = signer();
    let mut tokens = Vec::new();
    for count in sizes(&[1, 100, 10_000, 100_000, 1_000_000]) {
        while tokens.len() < count {
            let number = tokens.len();
            let own = json!({"sub": format!("user-{number}"), "jti": format!("token-{number}")});
            tokens.push(authorization(&signer.token(&lasting(own))));
        }
        let validator = validator(ISSUER).cache(roomy()).build().unwrap();
        let mut service = BearerAuthLayer::new(validator.clone())
            .with_policy(ten_rules())
            .layer(bare());
        for token in &tokens {
            let response = call(&mut service, order(token));
            assert_eq!(response.status(), StatusCode::OK);
        }
        assert_eq!(validator.cache().unwrap().len(), count);
        let all = Scattered::new(&tokens);
        group.bench_function(BenchmarkId::new("any of them", count), |bencher| {
            bencher.iter_batched(|| all.next(), |request| call(&mut service, request), BATCH);
        });
        let few = Scattered::new(&tokens[..count.min(1_000)]);
        group.bench_function(BenchmarkId::new("a thousand of them", count), |bencher| {
            bencher.iter_batched(|| few.next(), |request| call(&mut service, request), BATCH);
        });
        let mut bare = bare();
        group.bench_function(BenchmarkId::new("bare", count), |bencher| {
            bencher.iter_batched(|| all.next(), |request| call(&mut bare, request), BATCH);
        });
    }
    group.finish();
}

fn issuers(c: &mut Criterion) {
    let mut group = c.benchmark_group("issuers");
    let name = |number: usize| format!("https://issuer-{number}.example");
    let signer = signer();
    for count in sizes(&[1, 10, 100, 1_000]) {
        for (kind, issuers) in [
            ("remembered", JwtIssuers::new().with_cache(roomy())),
            ("not remembered", JwtIssuers::new().without_cache()),
        ] {
            for number in 0..count {
                let validator = validator(&name(number)).build().unwrap();
                issuers.insert(validator).unwrap();
            }
            let tokens: Vec<_> = (0..count)
                .map(|number| authorization(&signer.token(&lasting(json!({"iss": name(number)})))))
                .collect();
            let mut service = BearerAuthLayer::new(issuers)
                .with_policy(ten_rules())
                .layer(bare());
            for token in &tokens {
                assert_eq!(call(&mut service, order(token)).status(), StatusCode::OK);
            }
            let all = Scattered::new(&tokens);
            group.bench_function(BenchmarkId::new(kind, count), |bencher| {
                bencher.iter_batched(|| all.next(), |request| call(&mut service, request), BATCH);
            });
        }
    }
    group.finish();
}

fn revocations(c: &mut Criterion) {
    let mut group = c.benchmark_group("revocations");
    let until = SystemTime::now() + Duration::from_secs(86_400);
    let token = RevocationClaims::new()
        .with_issuer(ISSUER)
        .with_token_id("t-1")
        .with_session("s-1")
        .with_subject("alice")
        .with_issued_at(SystemTime::now());
    let authorization = authorization(&signer().token(&lasting(json!({}))));
    for count in sizes(&[0, 1_000, 1_000_000]) {
        let revoked = RevocationList::new();
        for number in 0..count {
            let name = format!("another-{number}");
            revoked.revoke_token(Some(ISSUER), &name, until).unwrap();
        }
        group.bench_function(BenchmarkId::new("one look", count), |bencher| {
            bencher.iter(|| revoked.is_revoked(black_box(&token), until).unwrap());
        });
        let validator = validator(ISSUER).revocations(revoked).build().unwrap();
        let mut service = BearerAuthLayer::new(validator)
            .with_policy(ten_rules())
            .layer(bare());
        group.bench_function(BenchmarkId::new("remembered token", count), |bencher| {
            let make = || order(&authorization);
            bencher.iter_batched(make, |request| call(&mut service, request), BATCH);
        });
    }
    group.finish();
}

/// Time for one request of each task while all of them run.
fn tasks(c: &mut Criterion) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let runtime = Builder::new_multi_thread()
        .worker_threads(cores)
        .build()
        .unwrap();
    let mut group = c.benchmark_group("tasks");
    let signer = signer();
    let tokens: Vec<_> = (0..16)
        .map(|number| {
            authorization(&signer.token(&lasting(json!({"sub": format!("user-{number}")}))))
        })
        .collect();
    for count in sizes(&[1, 2, 4, 8, 16]) {
        for (kind, tokens) in [("one token", &tokens[..1]), ("a token each", &tokens[..])] {
            let layer =
                BearerAuthLayer::new(validator(ISSUER).build().unwrap()).with_policy(ten_rules());
            group.bench_function(BenchmarkId::new(kind, count), |bencher| {
                bencher.iter_custom(|rounds| {
                    run_tasks(&runtime, count, rounds, tokens, &layer.layer(bare()))
                });
            });
            group.bench_function(
                BenchmarkId::new(format!("bare, {kind}"), count),
                |bencher| {
                    bencher
                        .iter_custom(|rounds| run_tasks(&runtime, count, rounds, tokens, &bare()));
                },
            );
        }
    }
    group.finish();
}

/// Shares `rounds` requests among so many tasks, and yields the sum of what they took, without the time in
/// which requests are made.
fn run_tasks<S>(
    runtime: &tokio::runtime::Runtime,
    count: usize,
    rounds: u64,
    tokens: &[String],
    service: &S,
) -> Duration
where
    S: Service<Request<Body>> + Clone + Send + 'static,
    S::Error: std::fmt::Debug,
    S::Response: Send,
{
    const AT_ONCE: u64 = 16;
    let each = rounds.div_ceil(count as u64);
    let tasks: Vec<_> = (0..count)
        .map(|task| {
            let token = tokens[task % tokens.len()].clone();
            let mut service = service.clone();
            runtime.spawn(async move {
                let mut taken = Duration::ZERO;
                let mut left = each;
                while left > 0 {
                    let now = left.min(AT_ONCE);
                    let requests: Vec<_> = (0..now).map(|_| order(&token)).collect();
                    let start = Instant::now();
                    for request in requests {
                        black_box(call(&mut service, request));
                    }
                    taken += start.elapsed();
                    left -= now;
                    tokio::task::yield_now().await;
                }
                taken
            })
        })
        .collect();
    let all: Duration = tasks
        .into_iter()
        .map(|task| runtime.block_on(task).unwrap())
        .sum();
    // What the benchmark wants to know is the time for `rounds` requests.
    all.mul_f64(rounds as f64 / (each * count as u64) as f64)
}

criterion_group!(benches, remembered_tokens, issuers, revocations, tasks);
criterion_main!(benches);
