//! What it costs that tokens can be taken back, and what a session costs in each store.
//!
//! Run with `cargo bench -p benches --bench stores --features stores`. Slow parts are skipped when it runs as a test.
//! With `REDIS_URL` set, refreshes are measured against that Redis too. Files are written below the directory for temporary
//! files: set `TMPDIR` to measure another disk.

#[path = "../crates/tower-bearer-redb/tests/store/directory.rs"]
mod directory;
#[path = "support/mod.rs"]
mod support;
#[path = "../tests/support/tokens.rs"]
mod tokens;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use directory::Directory;
use futures_util::future::join_all;
use http::StatusCode;
use serde_json::json;
use support::{BATCH, bare, call, request};
use tokens::{AUDIENCE, ISSUER, SECRET, Signer, claims, with};
use tokio::runtime::{Builder, Runtime};
use tower::Layer as _;
use tower_bearer::BearerAuthLayer;
use tower_bearer::issuing::RevocationHub;
use tower_bearer::issuing::store::{
    MemoryStore, RevocationStore, SessionId, SessionRecord, SessionStore, SessionsOf,
};
use tower_bearer::issuing::{Grant, SigningKey, SigningKeys, TokenIssuer};
use tower_bearer::jwt::{Algorithm, JwtValidator, SharedSecret};
use tower_bearer::revocation::Revocation;
use tower_bearer_redb::RedbStore;
use tower_bearer_redis::RedisStore;

/// So many are in the file whose size and times are printed.
const MANY: u64 = 100_000;
/// So many are asked for at once while it is filled.
const TOGETHER: u64 = 1_000;

fn is_measured() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

fn runtime() -> Runtime {
    Builder::new_current_thread().build().unwrap()
}

fn far() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000)
}

/// As long as those that an issuer makes: two digests, some times, and a few scopes.
fn record(number: u64, version: u64) -> SessionRecord {
    let mut id = [0; 16];
    // Spread as random ones are.
    id[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    let subject = format!("user-{}", number / 3);
    let id = SessionId::from_bytes(id);
    SessionRecord::new(id, version, ISSUER, &subject, "web", far(), vec![7; 200])
}

fn revocation(number: u64) -> Revocation {
    Revocation::session(Some(ISSUER), &format!("session-{number:015}"), far())
}

fn requests_with_a_hub(c: &mut Criterion) {
    let mut group = c.benchmark_group("revocation hub");
    let own = json!({
        "iat": 1_700_000_000, "exp": 3_900_000_000_u64, "sub": "alice", "jti": "token", "sid": "session",
    });
    let token = Signer::new("HS256").kid("k").token(&with(claims(), own));
    let authorization = format!("Bearer {token}");
    let sizes = [None, Some(0), Some(1_000), Some(1_000_000)];
    for size in sizes {
        if size > Some(1_000) && !is_measured() {
            continue;
        }
        let key = SharedSecret::hs256(SECRET).unwrap().with_kid("k").unwrap();
        let mut validator = JwtValidator::builder(key).issuer(ISSUER).audience(AUDIENCE);
        if let Some(size) = size {
            let hub = RevocationHub::in_memory();
            runtime().block_on(async {
                for number in 0..size {
                    hub.revoke(&revocation(number)).await.unwrap();
                }
            });
            assert_eq!(hub.len() as u64, size);
            validator = validator.revocations(hub);
        }
        let mut service = BearerAuthLayer::new(validator.build().unwrap()).layer(bare());
        let response = call(&mut service, request("/", Some(&authorization)));
        assert_eq!(response.status(), StatusCode::OK);
        let size = size.map_or("without".into(), |size| size.to_string());
        group.bench_function(BenchmarkId::new("remembered token", size), |bencher| {
            bencher.iter_batched(
                || request("/", Some(&authorization)),
                |request| call(&mut service, request),
                BATCH,
            );
        });
    }
    group.finish();
}

/// Time for `count` replacements by `tasks` that work side by side, each on a session of its own.
fn replace(
    runtime: &Runtime,
    store: &impl SessionStore,
    versions: &mut [u64],
    count: u64,
) -> Duration {
    let tasks = versions.len() as u64;
    let started = Instant::now();
    let work = (0..)
        .zip(versions.iter_mut())
        .map(|(task, version)| async move {
            for _ in 0..count.div_ceil(tasks) {
                *version += 1;
                assert!(store.replace(record(task, *version)).await.unwrap());
            }
        });
    runtime.block_on(join_all(work));
    // For as many as were asked for.
    started
        .elapsed()
        .mul_f64(count as f64 / (count.div_ceil(tasks) * tasks) as f64)
}

fn replacing_a_session(c: &mut Criterion) {
    let runtime = runtime();
    let directory = Directory::new();
    let mut group = c.benchmark_group("replace a session");
    group.sample_size(10);
    for tasks in [1, 64] {
        let (memory, file) = (
            MemoryStore::new(),
            RedbStore::open(directory.file()).unwrap(),
        );
        for number in 0..tasks {
            let now = SystemTime::now();
            runtime
                .block_on(memory.insert(record(number, 0), now))
                .unwrap();
            // The one for the other number of tasks may be there.
            let _ = runtime.block_on(file.remove(record(number, 0).id()));
            runtime
                .block_on(file.insert(record(number, 0), now))
                .unwrap();
        }
        let mut versions = vec![0; tasks as usize];
        group.bench_function(BenchmarkId::new("memory", tasks), |bencher| {
            bencher.iter_custom(|count| replace(&runtime, &memory, &mut versions, count));
        });
        versions.fill(0);
        group.bench_function(BenchmarkId::new("redb", tasks), |bencher| {
            bencher.iter_custom(|count| replace(&runtime, &file, &mut versions, count));
        });
    }
    group.finish();
}

/// `TokenIssuer::refresh`, with its signature, on each store.
fn refreshing(_: &mut Criterion) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let directory = Directory::new();
    refresh(&runtime, "memory", &MemoryStore::new());
    refresh(
        &runtime,
        "redb",
        &RedbStore::open(directory.file()).unwrap(),
    );
    if let Ok(url) = std::env::var("REDIS_URL") {
        let store = RedisStore::connect(&url);
        let store = runtime.block_on(store).unwrap();
        refresh(&runtime, "redis", &store);
        memory_of_redis(&runtime, &url, &store);
    }
}

/// What sessions and revocations take in the memory of a Redis.
fn memory_of_redis(runtime: &Runtime, url: &str, store: &RedisStore) {
    let client = redis::Client::open(url).unwrap();
    let used = || {
        let mut connection = client.get_connection().unwrap();
        let info: String = redis::cmd("INFO")
            .arg("memory")
            .query(&mut connection)
            .unwrap();
        let line = info
            .lines()
            .find_map(|line| line.strip_prefix("used_memory:"));
        line.unwrap().trim().parse::<f64>().unwrap()
    };
    let count = if is_measured() { 20_000 } else { 10 };
    let now = SystemTime::now();
    let before = used();
    for first in (0..count).step_by(1_000) {
        let inserts = (first..count.min(first + 1_000))
            .map(|number| store.insert(record(number + 1_000_000, 0), now));
        runtime.block_on(join_all(inserts));
    }
    let between = used();
    for first in (0..count).step_by(1_000) {
        let all: Vec<_> = (first..count.min(first + 1_000)).map(revocation).collect();
        runtime.block_on(join_all(
            all.iter().map(|revocation| store.add(revocation, now)),
        ));
    }
    let (session, revocation) = (
        (between - before) / count as f64,
        (used() - between) / count as f64,
    );
    println!(
        "in Redis a session with 200 bytes of data takes {session:.0} bytes, a revocation {revocation:.0}"
    );
}

fn refresh<S>(runtime: &Runtime, name: &str, store: &S)
where
    S: SessionStore + RevocationStore + Clone + 'static,
{
    let keys = SigningKeys::new(SigningKey::generate(Algorithm::ES256).unwrap()).unwrap();
    let hub = runtime
        .block_on(RevocationHub::open(store.clone()))
        .unwrap();
    let issuer = TokenIssuer::builder(ISSUER, keys)
        .audience(AUDIENCE)
        .revocations(hub)
        .sessions(store.clone())
        .build()
        .unwrap();
    for tasks in [1, 64] {
        let each = if is_measured() { 2_000 / tasks } else { 1 };
        let issued = (0..tasks).map(|task| {
            let grant = Grant::new(format!("user-{task}"), "web").scope("orders:read");
            issuer.issue(grant)
        });
        let issued = runtime.block_on(join_all(issued));
        let work = issued.into_iter().map(async |issued| {
            let mut tokens = issued.unwrap();
            for _ in 0..each {
                let refresh_token = tokens.refresh_token().unwrap();
                tokens = issuer.refresh(refresh_token, "web", None).await.unwrap();
            }
        });
        let started = Instant::now();
        runtime.block_on(join_all(work));
        let rate = f64::from(each * tasks) / started.elapsed().as_secs_f64();
        println!("refreshes a second, {name}, {tasks} at once: {rate:.0}");
    }
}

/// What stands in a file with many in it, and how long it takes to open.
fn sizes_and_times(_: &mut Criterion) {
    if !is_measured() {
        return;
    }
    let runtime = runtime();
    let (sessions, revocations) = (Directory::new(), Directory::new());
    let now = SystemTime::now();

    let store = RedbStore::open(sessions.file()).unwrap();
    let before = size(&sessions.file());
    let started = Instant::now();
    for first in (0..MANY).step_by(TOGETHER as usize) {
        let inserts = (first..first + TOGETHER).map(|number| store.insert(record(number, 0), now));
        for inserted in runtime.block_on(join_all(inserts)) {
            inserted.unwrap();
        }
    }
    report("insert, 1,000 at once", started.elapsed() / MANY as u32);
    let started = Instant::now();
    for number in 0..10_000 {
        let found = runtime.block_on(store.find(record(number * 7, 0).id()));
        assert!(found.unwrap().is_some());
    }
    report("find", started.elapsed() / 10_000);
    let started = Instant::now();
    for number in 0..1_000 {
        let name = format!("user-{number}");
        let list = store.list(ISSUER, SessionsOf::Subject(&name), None, 100);
        assert_eq!(runtime.block_on(list).unwrap().len(), 3);
    }
    report("list 3 of a user", started.elapsed() / 1_000);
    // As a kill would leave it.
    let killed = Directory::new();
    fs::copy(sessions.file(), killed.file()).unwrap();
    drop(store);
    let bytes = (size(&sessions.file()) - before) as f64 / MANY as f64;
    println!("a session with 200 bytes of data takes {bytes:.0} bytes of a file");
    let started = Instant::now();
    drop(RedbStore::open(sessions.file()).unwrap());
    report(
        &format!("open and close with {MANY} sessions"),
        started.elapsed(),
    );
    let started = Instant::now();
    drop(RedbStore::open(killed.file()).unwrap());
    report("the same after a kill", started.elapsed());

    let store = RedbStore::open(revocations.file()).unwrap();
    let before = size(&revocations.file());
    for first in (0..MANY).step_by(TOGETHER as usize) {
        let all: Vec<_> = (first..first + TOGETHER).map(revocation).collect();
        let adds = all.iter().map(|revocation| store.add(revocation, now));
        for added in runtime.block_on(join_all(adds)) {
            added.unwrap();
        }
    }
    let started = Instant::now();
    let hub = runtime
        .block_on(RevocationHub::open(store.clone()))
        .unwrap();
    assert_eq!(hub.len() as u64, MANY);
    report(
        &format!("open a hub with {MANY} revocations"),
        started.elapsed(),
    );
    drop((store, hub));
    let bytes = (size(&revocations.file()) - before) as f64 / MANY as f64;
    println!("a revocation takes {bytes:.0} bytes of a file");
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).unwrap().len()
}

fn report(what: &str, time: Duration) {
    println!("{what}: {time:.1?}");
}

criterion_group!(
    benches,
    requests_with_a_hub,
    replacing_a_session,
    refreshing,
    sizes_and_times
);
criterion_main!(benches);
