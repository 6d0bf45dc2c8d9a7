//! How much memory a remembered token, a rule, an entry of a revocation list and a session take, counted by the allocator.
//!
//! Run with `cargo bench -p benches --bench memory --features issuing`. The figures are the same each time.

#[path = "support/mod.rs"]
mod support;
#[path = "../tests/support/tokens.rs"]
mod tokens;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use serde_json::json;
use support::{User, bare, call, request};
use tokens::{AUDIENCE, ISSUER, SECRET, Signer, claims, public_pem, with};
use tower::Layer as _;
use tower_bearer::BearerAuthLayer;
use tower_bearer::cache::CacheSettings;
use tower_bearer::issuing::store::MemoryStore;
use tower_bearer::issuing::{Grant, SigningKey, SigningKeys, TokenIssuer};
use tower_bearer::jwt::{Algorithm, JwtValidator, KeySource, PublicKey, SharedSecret};
use tower_bearer::policy::{Policies, scope};
use tower_bearer::revocation::RevocationList;

struct Counting;

static BYTES: AtomicUsize = AtomicUsize::new(0);

/// As malloc hands it out: 8 bytes of its own for each piece, in steps of 16, 32 at least.
fn taken(bytes: usize) -> usize {
    (bytes + 8).next_multiple_of(16).max(32)
}

// SAFETY: hands everything on to the system allocator.
#[expect(unsafe_code, reason = "an allocator cannot be written without")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.fetch_add(taken(layout.size()), Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        BYTES.fetch_sub(taken(layout.size()), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes for each of `count` things that `make` makes and returns.
fn each<T>(count: usize, make: impl FnOnce() -> T) -> usize {
    let before = BYTES.load(Ordering::Relaxed);
    let made = make();
    let after = BYTES.load(Ordering::Relaxed);
    drop(made);
    (after - before) / count
}

fn remembered(alg: &'static str, key: KeySource, count: usize) {
    let signer = Signer::new(alg).kid("2026-11");
    let times = json!({"iat": 1_700_000_000, "exp": 4_000_000_000_u64});
    let tokens: Vec<_> = (0..count)
        .map(|number| {
            let own = json!({"sub": format!("user-{number}"), "jti": format!("token-{number}")});
            signer.token(&with(with(claims(), times.clone()), own))
        })
        .collect();
    let settings = CacheSettings::new()
        .with_max_entries(count * 2)
        .with_max_bytes(1 << 30);
    let validator = JwtValidator::builder(key)
        .issuer(ISSUER)
        .audience(AUDIENCE)
        .cache(settings)
        .build()
        .unwrap();
    let mut service = BearerAuthLayer::new(validator.clone()).layer(bare());
    let bytes = each(count, || {
        for token in &tokens {
            let authorization = format!("Bearer {token}");
            let response = call(&mut service, request("/", Some(&authorization)));
            assert_eq!(response.status(), 200);
        }
    });
    assert_eq!(validator.cache().unwrap().len(), count);
    let length = tokens[0].len();
    println!("a remembered token with {alg}, {length} bytes long: {bytes}");
}

fn main() {
    let is_measured = std::env::args().any(|argument| argument == "--bench");
    let count = if is_measured { 20_000 } else { 20 };

    let secret = SharedSecret::hs256(SECRET).unwrap();
    remembered("HS256", secret.into(), count);
    let key = PublicKey::from_pem(public_pem("rsa")).unwrap();
    remembered("RS256", key.into(), count.min(1_000));

    let bytes = each(count, || {
        let mut policies = Policies::<User>::builder();
        for index in 0..count {
            policies = policies.under(
                &format!("/service-{index}/{{tenant}}/orders"),
                scope("orders:read"),
            );
        }
        policies.build().unwrap()
    });
    println!("a rule: {bytes}");

    let until = SystemTime::now() + Duration::from_secs(3_600);
    let count = if is_measured { 1_000_000 } else { 20 };
    let bytes = each(count, || {
        let revoked = RevocationList::new();
        for number in 0..count {
            let name = format!("session-{number}");
            // Single tokens may not take all of it.
            revoked.revoke_session(Some(ISSUER), &name, until).unwrap();
        }
        revoked
    });
    println!("an entry of a revocation list of {count}: {bytes}");

    let count = if is_measured { 100_000 } else { 20 };
    let keys = SigningKeys::new(SigningKey::generate(Algorithm::HS256).unwrap()).unwrap();
    let bytes = each(count, || {
        let store = MemoryStore::new();
        let issuer = TokenIssuer::builder(ISSUER, keys)
            .audience(AUDIENCE)
            .sessions(store.clone())
            .build()
            .unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        for number in 0..count {
            let grant = Grant::new(format!("user-{}", number / 3), "web")
                .scope("orders:read orders:write")
                .label("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0");
            runtime.block_on(issuer.issue(grant)).unwrap();
        }
        store
    });
    println!("a session in memory: {bytes}");
}
