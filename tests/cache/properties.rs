//! Properties of what is remembered: with it, nobody gets another answer than without.

use std::cell::Cell;
use std::convert::Infallible;
use std::error::Error;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{Request, Response};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use tower::{Layer as _, service_fn};
use tower_bearer::ValidatorExt as _;
use tower_bearer::cache::CacheSettings;
use tower_bearer::clock::ManualClock;
use tower_bearer::jwt::{AccessToken, JwtIssuers, JwtValidator, KeySet, SharedSecret};
use tower_bearer::policy::{Claims, Policies, authenticated, scope};
use tower_bearer::provider::{Fetch, FetchError, RemoteKeys};
use tower_bearer::revocation::{RevocationClaims, RevocationList, Revocations};
use tower_bearer::{
    Authenticated, BearerAuthLayer, BoxFuture, Credential, Failure, InvalidReason, RequestView,
    UncheckedCredential, Validated, Validator, Verdict,
};

use crate::support::{Body, send};
use crate::tokens::{AUDIENCE, ISSUER, NOW, SECRET, Signer, claims, jwks, now, with};

const OTHER_ISSUER: &str = "https://other-issuer.example";
/// The first half of the other one.
const OTHER_SECRET: &[u8] = SECRET.split_at(32).0;

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// A validator, and how often it said something from memory.
struct Counting<V> {
    validator: V,
    hits: Arc<AtomicUsize>,
}

impl<V: Validator> Validator for Counting<V> {
    type Principal = V::Principal;

    fn validate(
        &self,
        credential: &Credential<'_>,
        request: &RequestView<'_>,
    ) -> Verdict<V::Principal> {
        self.validator.validate(credential, request)
    }

    fn cached_verdict(
        &self,
        unchecked: &UncheckedCredential<'_>,
        request: &RequestView<'_>,
    ) -> Option<Verdict<V::Principal>> {
        let verdict = self.validator.cached_verdict(unchecked, request);
        if let Some(Verdict::Ready(Ok(_))) = verdict {
            self.hits.fetch_add(1, Ordering::Relaxed);
        }
        verdict
    }
}

type Judge<T> = Arc<dyn Validator<Principal = T>>;

/// All that can be told from outside.
#[derive(Debug, PartialEq)]
struct Said {
    status: u16,
    challenges: Vec<String>,
    retry_after: Option<String>,
    body: String,
}

/// One layer that remembers and one that does not, before the same service and with the same clock.
struct Pair<T> {
    remembers: BearerAuthLayer<Judge<T>>,
    forgets: BearerAuthLayer<Judge<T>>,
    /// Any of them may be put in place of another while a validator stays.
    policies: [Policies<T>; 3],
    hits: Arc<AtomicUsize>,
    /// Whether `Retry-After` is the same too. With keys that both share it is not: whoever comes second finds that
    /// they have just been asked for.
    retries_alike: bool,
    clock: ManualClock,
    /// Since when the clock counts from [`now`], in nanoseconds.
    time: Cell<i128>,
}

impl<T: Show> Pair<T> {
    fn new<V, W>(remembers: V, forgets: W, clock: ManualClock) -> Self
    where
        V: Validator<Principal = T> + 'static,
        W: Validator<Principal = T> + 'static,
    {
        let hits = Arc::default();
        let remembers: Judge<T> = Arc::new(Counting {
            validator: remembers,
            hits: Arc::clone(&hits),
        });
        let forgets: Judge<T> = Arc::new(forgets);
        let layer = |judge| BearerAuthLayer::new(judge).with_clock(clock.clone());
        let needs = |scope| Policies::builder().under("/", scope).build().unwrap();
        Self {
            remembers: layer(remembers),
            forgets: layer(forgets),
            policies: [
                Policies::builder()
                    .under("/", authenticated())
                    .build()
                    .unwrap(),
                needs(scope("orders:read")),
                needs(scope("orders:write")),
            ],
            hits,
            retries_alike: true,
            clock,
            time: Cell::new(0),
        }
    }

    fn hits(&self) -> usize {
        self.hits.load(Ordering::Relaxed)
    }

    /// Moves the clock, also back.
    fn advance(&self, by: i64) {
        self.time.set(self.time.get() + i128::from(by));
        let by = Duration::from_nanos(u64::try_from(self.time.get().unsigned_abs()).unwrap());
        self.clock.set(match self.time.get() < 0 {
            true => now() - by,
            false => now() + by,
        });
    }

    /// Presents `authorization` to both.
    async fn present(&self, authorization: &str, policy: usize) -> Result<Said, TestCaseError> {
        let said = self.said(&self.remembers, authorization, policy).await;
        let expected = self.said(&self.forgets, authorization, policy).await;
        prop_assert_eq!(&said, &expected, "{}, {}", authorization, policy);
        Ok(said)
    }

    async fn said(
        &self,
        layer: &BearerAuthLayer<Judge<T>>,
        authorization: &str,
        policy: usize,
    ) -> Said {
        let policy = self.policies[policy].clone();
        let service = layer.clone().with_policy(policy).layer(service_fn(
            |request: Request<Body>| async move {
                let proof = request.extensions().get::<Authenticated<T>>().unwrap();
                let text = format!("{} until {:?}", proof.show(), proof.expires_at());
                Ok::<_, Infallible>(Response::new(Body::from(text)))
            },
        ));
        let request = Request::get("/orders")
            .header(AUTHORIZATION, authorization)
            .body(Body::default())
            .unwrap();
        let answer = send(service, request).await;
        Said {
            status: answer.status(),
            challenges: answer.challenges().into_iter().map(String::from).collect(),
            retry_after: answer
                .header("retry-after")
                .map(|seconds| match self.retries_alike {
                    true => seconds.to_owned(),
                    false => String::from("some seconds"),
                }),
            body: answer.body,
        }
    }
}

/// A principal that can be compared as a text.
trait Show: Claims + Send + Sync + 'static {
    fn show(&self) -> String;
}

impl Show for AccessToken {
    fn show(&self) -> String {
        format!(
            "{:?} {:?} {:?} {:?} {:?}",
            self.issuer(),
            self.subject(),
            self.token_id(),
            self.scopes().collect::<Vec<_>>(),
            self.claim("sid"),
        )
    }
}

/// A time to move the clock by, in nanoseconds: often just what something else is counted with.
fn step() -> impl Strategy<Value = i64> {
    const SECOND: i64 = 1_000_000_000;
    let seconds = prop::sample::select(vec![1, 2, 4, 5, 6, 10, 29, 30, 31, 59, 60, 61, 120])
        .prop_map(|seconds: i64| seconds * SECOND);
    let long = prop::sample::select(vec![299, 300, 301, 600, 3_600])
        .prop_map(|seconds: i64| seconds * SECOND);
    let by = prop_oneof![
        2 => Just(1),
        2 => Just(SECOND / 2),
        6 => seconds,
        1 => long,
    ];
    (by, prop::bool::weighted(0.25)).prop_map(|(by, back)| if back { -by } else { by })
}

fn policy() -> impl Strategy<Value = usize> {
    prop_oneof![2 => Just(0_usize), 2 => Just(1), 1 => Just(2)]
}

fn settings() -> impl Strategy<Value = CacheSettings> {
    let time_to_live = prop::sample::select(vec![1, 10, 300, 100_000]);
    let max_entries = prop::sample::select(vec![1, 3, 10, 10_000]);
    let max_token_length = prop_oneof![4 => Just(4_096), 1 => Just(300)];
    (time_to_live, max_entries, max_token_length).prop_map(|(time_to_live, entries, length)| {
        CacheSettings::new()
            .with_time_to_live(Duration::from_secs(time_to_live))
            .with_max_entries(entries)
            .with_max_token_length(length)
    })
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
        .block_on(future)
}

/// A store that may be down, or without epochs.
#[derive(Clone)]
struct Store(Arc<Inner>);

struct Inner {
    list: RevocationList,
    is_down: AtomicBool,
    has_epochs: AtomicBool,
}

impl Store {
    fn new(clock: &ManualClock) -> Self {
        Self(Arc::new(Inner {
            list: RevocationList::with_clock(1_000, clock.clone()),
            is_down: AtomicBool::new(false),
            has_epochs: AtomicBool::new(true),
        }))
    }
}

impl Revocations for Store {
    fn is_revoked(
        &self,
        token: &RevocationClaims<'_>,
        now: SystemTime,
    ) -> Result<bool, Box<dyn Error + Send + Sync>> {
        match self.0.is_down.load(Ordering::SeqCst) {
            true => Err("down".into()),
            false => self.0.list.is_revoked(token, now),
        }
    }

    fn epoch(&self) -> Option<u64> {
        let is_down = self.0.is_down.load(Ordering::SeqCst);
        match !is_down && self.0.has_epochs.load(Ordering::SeqCst) {
            true => self.0.list.epoch(),
            false => None,
        }
    }
}

/// What is presented.
struct Presented {
    name: &'static str,
    authorization: String,
}

/// Tokens of all kinds, the first four of which are good at the start.
fn presented(signers: &[Signer; 3], other: &Signer) -> Vec<Presented> {
    let [first, second, unknown] = signers;
    let base = || with(claims(), json!({"sid": "s-1", "exp": NOW + 10_000}));
    let of = |signer: &Signer, changes: Value| signer.token(&with(base(), changes));
    let good = of(first, json!({}));
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let forged = format!("{signed}.{}", signature.chars().rev().collect::<String>());
    let long = "x".repeat(300);
    [
        ("good", good.clone()),
        (
            "another good",
            of(first, json!({"jti": "t-2", "sid": "s-2", "iat": NOW - 30})),
        ),
        ("of another issuer", of(other, json!({"iss": OTHER_ISSUER}))),
        (
            "without most",
            of(
                first,
                json!({"jti": null, "sid": null, "iat": null, "scope": null}),
            ),
        ),
        (
            "of bob",
            of(
                first,
                json!({"sub": "bob", "jti": "t-3", "scope": "orders:write"}),
            ),
        ),
        (
            "ends in a second",
            of(first, json!({"exp": NOW + 1, "jti": "t-4"})),
        ),
        (
            "ends soon",
            of(first, json!({"exp": NOW + 30, "jti": "t-5"})),
        ),
        (
            "ends in a while",
            of(first, json!({"exp": NOW + 300, "jti": "t-6"})),
        ),
        ("ended", of(first, json!({"exp": NOW - 1}))),
        (
            "begins soon",
            of(first, json!({"nbf": NOW + 10, "iat": null})),
        ),
        (
            "begins in a while",
            of(first, json!({"nbf": NOW + 120, "iat": null})),
        ),
        ("issued soon", of(first, json!({"iat": NOW + 5}))),
        (
            "signed with the next key",
            of(second, json!({"jti": "t-7"})),
        ),
        ("signed with no key", of(unknown, json!({}))),
        ("signed with the key of the other", of(other, json!({}))),
        (
            "of the other, signed with ours",
            of(first, json!({"iss": OTHER_ISSUER})),
        ),
        (
            "for somebody else",
            of(first, json!({"aud": "https://elsewhere.example"})),
        ),
        (
            "bound to its sender",
            of(first, json!({"cnf": {"jkt": "x"}})),
        ),
        ("long", of(first, json!({"note": long, "jti": "t-8"}))),
        ("forged", forged),
        ("cut", good[..good.len() - 1].to_owned()),
        ("longer", format!("{good}A")),
        ("two of them", format!("{good} {good}")),
        ("with a comma", format!("{good},")),
        ("garbage", "garbage".to_owned()),
        (
            "what looks like one",
            "eyJhbGciOiJub25lIn0.e30.c2ln".to_owned(),
        ),
        ("nothing", String::new()),
    ]
    .into_iter()
    .map(|(name, token)| Presented {
        name,
        authorization: format!("Bearer {token}"),
    })
    .chain([Presented {
        name: "in small letters and far away",
        authorization: format!("bearer   {good}"),
    }])
    .collect()
}

/// How many of them there are.
const KINDS: usize = 28;

#[test]
fn generated_credentials_are_distinct() {
    for all in [&*WITH_SECRETS, &*WITH_KEYS] {
        assert_eq!(all.len(), KINDS);
        for (number, one) in all.iter().enumerate() {
            let others = &all[..number];
            assert!(
                others
                    .iter()
                    .all(|other| other.authorization != one.authorization),
                "{}",
                one.name
            );
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Present(usize),
    Advance(i64),
    Policy(usize),
    /// The issuer, and what becomes of it.
    Issuer(usize, usize),
    /// Which kind, which name, and how long after the start it was issued.
    Revoke(usize, usize, u64),
    Clear,
    Remove(usize),
    /// Whether the application accepts bob.
    Check(bool),
    Down(bool),
    Epochs(bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        24 => prop_oneof![3 => 0..4_usize, 1 => 4..KINDS].prop_map(Step::Present),
        6 => step().prop_map(Step::Advance),
        2 => policy().prop_map(Step::Policy),
        2 => (0..2_usize, 0..5_usize).prop_map(|(issuer, change)| Step::Issuer(issuer, change)),
        1 => (prop::sample::select(vec![0, 0, 1, 1, 2, 3]), 0..4_usize, 0..100_u64)
            .prop_map(|(kind, name, issued)| Step::Revoke(kind, name, issued)),
        1 => Just(Step::Clear),
        1 => (0..KINDS).prop_map(Step::Remove),
        1 => any::<bool>().prop_map(Step::Check),
        1 => prop::bool::weighted(0.2).prop_map(Step::Down),
        1 => any::<bool>().prop_map(Step::Epochs),
    ];
    prop::collection::vec(step, 30..70)
}

fn revoke(list: &RevocationList, kind: usize, name: usize, issued: u64) {
    let until = now() + Duration::from_secs(100_000);
    let issued = now() - Duration::from_secs(60) + Duration::from_secs(issued);
    match kind {
        0 => list.revoke_token(Some(ISSUER), ["t-1", "t-2", "t-3", "t-9"][name], until),
        1 => list.revoke_session(Some(ISSUER), ["s-1", "s-2", "s-9", "t-1"][name], until),
        2 => list.revoke_subject(
            Some(ISSUER),
            ["alice", "bob", "", "s-1"][name],
            issued,
            until,
        ),
        _ => {
            let issuer = [ISSUER, OTHER_ISSUER, "", AUDIENCE][name];
            list.revoke_issuer(Some(issuer), issued, until)
        }
    }
    .unwrap();
}

/// How often each of two things was seen, so that a property shows something.
#[derive(Default)]
struct Seen {
    hits: Cell<usize>,
    accepted: Cell<usize>,
    refused: Cell<usize>,
}

impl Seen {
    fn add(&self, said: &Said) {
        let place = match said.status {
            200 => &self.accepted,
            _ => &self.refused,
        };
        place.set(place.get() + 1);
    }

    /// At least so many hundredths of what was accepted were said from memory, and so many were refused.
    fn check(&self, name: &str, hits: usize, refused: usize) {
        let all = self.accepted.get() + self.refused.get();
        println!(
            "{name}: {all} presented, {} accepted, {} of them from memory",
            self.accepted.get(),
            self.hits.get(),
        );
        assert!(all >= 5_000, "{name}: {all} presented");
        assert!(
            self.hits.get() * 100 >= self.accepted.get() * hits,
            "{name}"
        );
        assert!(self.refused.get() * 100 >= all * refused, "{name}");
    }
}

fn secret(bytes: &[u8]) -> SharedSecret {
    SharedSecret::hs256(bytes).unwrap()
}

/// A token of each kind, signed with shared secrets.
static WITH_SECRETS: LazyLock<Vec<Presented>> = LazyLock::new(|| {
    let of = |kid: &str| Signer::new("HS256").kid(kid);
    // The secret is the same: the name of the key is what tells them apart.
    presented(&[of("1"), of("2"), of("9")], &of("other"))
});

/// Accepts what is signed with the key of this name.
fn with_key(
    kid: &str,
    issuer: &str,
    audience: &str,
    store: &Store,
    bob: &Arc<AtomicBool>,
) -> JwtValidator {
    let keys = KeySet::new([
        secret(SECRET).with_kid(kid).unwrap(),
        secret(OTHER_SECRET).with_kid("0").unwrap(),
    ])
    .unwrap();
    let bob = Arc::clone(bob);
    JwtValidator::builder(keys)
        .issuer(issuer)
        .audience(audience)
        .leeway(Duration::from_secs(5))
        .revocations(store.clone())
        .check(move |token| match token.subject() {
            Some("bob") if !bob.load(Ordering::SeqCst) => {
                Err(Failure::throttled(Duration::from_secs(3)))
            }
            _ => Ok(()),
        })
        .build()
        .unwrap()
}

#[test]
fn issuers_return_equal_verdicts_with_and_without_cache() {
    // (F07: equal results)
    let seen = Seen::default();
    let ran = TestRunner::new(config(400)).run(&(settings(), steps()), |(settings, steps)| {
        let clock = ManualClock::new(now());
        let (store, bob) = (Store::new(&clock), Arc::new(AtomicBool::new(true)));
        let remembers = JwtIssuers::with_limit(10).with_cache(settings);
        let forgets = JwtIssuers::with_limit(10).without_cache();
        let change = |issuer: usize, change: usize| {
            let (name, kid) = [(ISSUER, "1"), (OTHER_ISSUER, "other")][issuer];
            let validator = match change {
                0 => {
                    assert_eq!(remembers.remove(name), forgets.remove(name));
                    return;
                }
                1 => with_key("2", name, AUDIENCE, &store, &bob),
                2 => with_key(kid, name, "https://elsewhere.example", &store, &bob),
                _ => with_key(kid, name, AUDIENCE, &store, &bob),
            };
            remembers.insert(validator.clone()).unwrap();
            forgets.insert(validator).unwrap();
        };
        change(0, 9);
        change(1, 9);
        let pair = Pair::new(remembers.clone(), forgets.clone(), clock);
        let mut policy = 0;
        wait(async {
            for step in steps {
                match step {
                    Step::Present(kind) => {
                        let said = pair
                            .present(&WITH_SECRETS[kind].authorization, policy)
                            .await;
                        seen.add(&said.map_err(|error| {
                            TestCaseError::fail(format!("{}: {error}", WITH_SECRETS[kind].name))
                        })?);
                    }
                    Step::Advance(by) => pair.advance(by),
                    Step::Policy(other) => policy = other,
                    Step::Issuer(issuer, to) => change(issuer, to),
                    Step::Revoke(kind, name, issued) => revoke(&store.0.list, kind, name, issued),
                    Step::Clear => remembers.cache().unwrap().clear(),
                    Step::Remove(kind) => {
                        let text = &WITH_SECRETS[kind].authorization;
                        remembers.cache().unwrap().remove(&text["Bearer ".len()..]);
                    }
                    Step::Check(accepts) => bob.store(accepts, Ordering::SeqCst),
                    Step::Down(is_down) => store.0.is_down.store(is_down, Ordering::SeqCst),
                    Step::Epochs(has) => store.0.has_epochs.store(has, Ordering::SeqCst),
                }
            }
            seen.hits.set(seen.hits.get() + pair.hits());
            Ok(())
        })
    });
    ran.unwrap();
    seen.check("several issuers", 20, 20);
}

/// An issuer in this process, with the keys of the moment.
#[derive(Clone)]
struct Published(Arc<Mutex<Option<String>>>);

impl Fetch for Published {
    fn fetch(&self, _: Request<Bytes>, _: usize) -> BoxFuture<Result<Response<Bytes>, FetchError>> {
        let body = self.0.lock().unwrap().clone();
        Box::pin(async move {
            match body {
                Some(body) => Ok(Response::new(Bytes::from(body))),
                None => {
                    let mut response = Response::new(Bytes::new());
                    *response.status_mut() = http::StatusCode::BAD_GATEWAY;
                    Ok(response)
                }
            }
        })
    }
}

fn key(kid: &str) -> Signer {
    Signer::with_key("EdDSA", "ed25519").kid(kid)
}

fn other_key(kid: &str) -> Signer {
    Signer::with_key("EdDSA", "ed25519-other").kid(kid)
}

/// A token of each kind, signed with keys that are published.
static WITH_KEYS: LazyLock<Vec<Presented>> = LazyLock::new(|| {
    presented(
        &[key("1"), other_key("2"), other_key("9")],
        &other_key("other"),
    )
});

/// What the issuer publishes, by number.
fn published(number: usize) -> Option<String> {
    let set = match number {
        0 => jwks([&key("1")]),
        1 => jwks([&key("1"), &other_key("2")]),
        2 => jwks([&other_key("2")]),
        // The same name for another key.
        3 => jwks([&other_key("1")]),
        4 => json!({"keys": []}),
        _ => return None,
    };
    Some(set.to_string())
}

#[test]
fn remote_keys_return_equal_verdicts_with_and_without_cache() {
    // (F05: removal of cached results, F07: equal results)
    let seen = Seen::default();
    let what = (settings(), any::<bool>(), steps());
    let ran = TestRunner::new(config(300)).run(&what, |(settings, own, steps)| {
        wait(async {
            let clock = ManualClock::new(now());
            let (store, bob) = (Store::new(&clock), Arc::new(AtomicBool::new(true)));
            let issuer = Published(Arc::new(Mutex::new(published(1))));
            let keys = RemoteKeys::builder("https://issuer.example/jwks")
                .fetcher(issuer.clone())
                .clock(clock.clone())
                .connect()
                .await
                .unwrap();
            let builder = || {
                let bob = Arc::clone(&bob);
                JwtValidator::builder(keys.clone())
                    .issuer(ISSUER)
                    .audience(AUDIENCE)
                    .revocations(store.clone())
                    .check(move |token| match token.subject() {
                        Some("bob") if !bob.load(Ordering::SeqCst) => {
                            Err(Failure::invalid(InvalidReason::Claims))
                        }
                        _ => Ok(()),
                    })
            };
            let forgets = builder().without_cache().build().unwrap();
            // What it remembers by itself, or what is put before it.
            let (mut pair, cache) = match own {
                true => {
                    let remembers = builder().cache(settings).build().unwrap();
                    let cache = remembers.cache().unwrap().clone();
                    (Pair::new(remembers, forgets, clock), cache)
                }
                false => {
                    let remembers = forgets.clone().cached(settings);
                    let cache = remembers.cache().clone();
                    (Pair::new(remembers, forgets, clock), cache)
                }
            };
            pair.retries_alike = false;
            let mut policy = 0;
            for step in steps {
                match step {
                    Step::Present(kind) => {
                        let said = pair.present(&WITH_KEYS[kind].authorization, policy).await;
                        seen.add(&said.map_err(|error| {
                            TestCaseError::fail(format!("{}: {error}", WITH_KEYS[kind].name))
                        })?);
                    }
                    Step::Advance(by) => pair.advance(by),
                    Step::Policy(other) => policy = other,
                    Step::Issuer(at_once, number) => {
                        *issuer.0.lock().unwrap() = published(number + at_once);
                        if at_once == 1 {
                            let _ = keys.refresh().await;
                        }
                    }
                    Step::Revoke(kind, name, issued) => revoke(&store.0.list, kind, name, issued),
                    Step::Clear => cache.clear(),
                    Step::Remove(kind) => {
                        let text = &WITH_KEYS[kind].authorization;
                        cache.remove(&text["Bearer ".len()..]);
                    }
                    Step::Check(accepts) => bob.store(accepts, Ordering::SeqCst),
                    Step::Down(is_down) => store.0.is_down.store(is_down, Ordering::SeqCst),
                    Step::Epochs(has) => store.0.has_epochs.store(has, Ordering::SeqCst),
                }
                // What was started in the background comes to its end between two requests.
                for _ in 0..10 {
                    tokio::task::yield_now().await;
                }
            }
            seen.hits.set(seen.hits.get() + pair.hits());
            Ok(())
        })
    });
    ran.unwrap();
    seen.check("fetched keys", 20, 20);
}

/// Says yes to what is in its table, as long as it is.
#[derive(Clone, Debug)]
struct Table {
    entries: Arc<[Entry]>,
    /// Whether the answer takes its time.
    waits: bool,
    /// Of the tokens of this one alone, so that two of them can stand side by side.
    prefix: &'static str,
    calls: Arc<AtomicUsize>,
}

impl Table {
    /// The same table, with a count of its own.
    fn counted(&self) -> Self {
        Self {
            calls: Arc::default(),
            ..self.clone()
        }
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

#[derive(Clone, Debug)]
struct Entry {
    /// Between these two it is good, in seconds from the start.
    begins: i64,
    ends: i64,
    scope: &'static str,
    /// Nothing in the table changes but this, which the verdict rests on.
    is_active: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Session {
    name: String,
    scope: &'static str,
}

impl Claims for Session {
    fn has_scope(&self, scope: &str) -> bool {
        self.scope == scope
    }
}

impl Show for Session {
    fn show(&self) -> String {
        format!("{self:?}")
    }
}

fn at(seconds: i64) -> SystemTime {
    let by = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 { now() - by } else { now() + by }
}

impl Validator for Table {
    type Principal = Session;

    fn validate(&self, credential: &Credential<'_>, request: &RequestView<'_>) -> Verdict<Session> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let name = credential.token();
        let entry = name
            .strip_prefix(self.prefix)
            .and_then(|number| self.entries.get(number.parse::<usize>().ok()?));
        let answer = match entry {
            None => Err(Failure::unrecognized()),
            Some(entry) if !entry.is_active.load(Ordering::SeqCst) => {
                Err(Failure::invalid(InvalidReason::Unknown))
            }
            Some(entry) if request.now() < at(entry.begins) => {
                Err(Failure::invalid(InvalidReason::NotYetValid))
            }
            Some(entry) => Ok(Validated::new(Session {
                name: name.to_owned(),
                scope: entry.scope,
            })
            .with_expiry(at(entry.ends))
            .with_dependency(Arc::clone(&entry.is_active))),
        };
        match self.waits {
            true => Verdict::pending(async move {
                tokio::task::yield_now().await;
                answer
            }),
            false => answer.into(),
        }
    }
}

const ENTRIES: usize = 12;

fn table(prefix: &'static str) -> impl Strategy<Value = Table> {
    let entry = (
        prop::sample::select(vec![-1_000, -1_000, -1_000, -1_000, 1, 10, 60]),
        prop::sample::select(vec![-1, 1, 5, 30, 300, 1_000, 100_000, 100_000, 100_000]),
        prop::sample::select(vec!["orders:read", "orders:read", "orders:write", ""]),
        prop::bool::weighted(0.9),
    )
        .prop_map(|(begins, ends, scope, is_active)| Entry {
            begins,
            ends,
            scope,
            is_active: Arc::new(AtomicBool::new(is_active)),
        });
    (prop::collection::vec(entry, ENTRIES), any::<bool>()).prop_map(move |(entries, waits)| Table {
        entries: entries.into(),
        waits,
        prefix,
        calls: Arc::default(),
    })
}

fn identify(session: &Session) -> RevocationClaims<'_> {
    RevocationClaims::new()
        .with_token_id(&*session.name)
        .with_session(session.scope)
        .with_issued_at(now())
}

/// A way to put a cache among two validators and a list of what was taken back.
fn arranged(
    way: usize,
    [one, other]: [Table; 2],
    store: &Store,
    settings: CacheSettings,
) -> Judge<Session> {
    let store = store.clone();
    match way {
        0 => Arc::new(one.or(other).revocable(store, identify).cached(settings)),
        1 => Arc::new(one.or(other).cached(settings).revocable(store, identify)),
        2 => Arc::new(
            one.cached(settings)
                .or(other.cached(settings))
                .revocable(store, identify),
        ),
        3 => Arc::new(
            one.cached(settings)
                .or(other)
                .revocable(store, identify)
                .cached(settings.with_time_to_live(Duration::from_secs(50))),
        ),
        _ => {
            let steps = one
                .or(other)
                .and_then(|session: Arc<Session>| {
                    Verdict::from(Ok(Validated::from_shared(session)))
                })
                .revocable(store, identify)
                .expiring(|_| None);
            Arc::new(Box::new(Arc::new(steps)).cached(settings))
        }
    }
}

#[derive(Clone, Debug)]
enum Turn {
    Present(bool, usize),
    Advance(i64),
    Policy(usize),
    Flip(bool, usize),
    Revoke(bool, usize),
    Epochs(bool),
    Down(bool),
}

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let number = || prop_oneof![2 => 0..3_usize, 1 => 0..ENTRIES + 1];
    let turn = prop_oneof![
        24 => (any::<bool>(), number()).prop_map(|(which, number)| Turn::Present(which, number)),
        6 => step().prop_map(Turn::Advance),
        2 => policy().prop_map(Turn::Policy),
        3 => (any::<bool>(), number()).prop_map(|(which, number)| Turn::Flip(which, number)),
        1 => (any::<bool>(), number()).prop_map(|(which, number)| Turn::Revoke(which, number)),
        1 => any::<bool>().prop_map(Turn::Epochs),
        1 => prop::bool::weighted(0.2).prop_map(Turn::Down),
    ];
    prop::collection::vec(turn, 30..70)
}

#[test]
fn cache_at_any_position_does_not_change_verdicts() {
    // (F05: removal of cached results, F07: equal results) Wherever the cache stands.
    let seen = [0; 5].map(|_| Seen::default());
    let what = (
        0..5_usize,
        settings(),
        table("one-"),
        table("other-"),
        turns(),
    );
    let ran = TestRunner::new(config(1_200)).run(&what, |(way, settings, one, other, turns)| {
        let clock = ManualClock::new(now());
        let store = Store::new(&clock);
        let tables = [one, other];
        let counted = [tables[0].counted(), tables[1].counted()];
        let remembers = arranged(way, counted.clone(), &store, settings);
        let [one, other] = tables.clone();
        let forgets = one.or(other).revocable(store.clone(), identify);
        let pair = Pair::new(remembers, forgets, clock);
        let mut policy = 0;
        wait(async {
            for turn in turns {
                match turn {
                    Turn::Present(which, number) => {
                        let prefix = tables[usize::from(which)].prefix;
                        let authorization = format!("Bearer {prefix}{number}");
                        seen[way].add(&pair.present(&authorization, policy).await?);
                    }
                    Turn::Advance(by) => pair.advance(by),
                    Turn::Policy(other) => policy = other,
                    Turn::Flip(which, number) => {
                        if let Some(entry) = tables[usize::from(which)].entries.get(number) {
                            entry.is_active.fetch_xor(true, Ordering::SeqCst);
                        }
                    }
                    Turn::Revoke(which, number) => {
                        let name = format!("{}{number}", tables[usize::from(which)].prefix);
                        let until = now() + Duration::from_secs(1_000_000);
                        store.0.list.revoke_token(None, &name, until).unwrap();
                    }
                    Turn::Epochs(has) => store.0.has_epochs.store(has, Ordering::SeqCst),
                    Turn::Down(is_down) => store.0.is_down.store(is_down, Ordering::SeqCst),
                }
            }
            // Each hit saves a call, and nothing costs one more.
            let [without, with] =
                [&tables, &counted].map(|[one, other]| one.calls() + other.calls());
            prop_assert!(with <= without, "{} instead of {}", with, without);
            seen[way].hits.set(seen[way].hits.get() + without - with);
            Ok(())
        })
    });
    ran.unwrap();
    for (way, seen) in seen.iter().enumerate() {
        seen.check(&format!("way {way}"), 30, 20);
    }
}
