//! Bounds on the cost of one client, user or failure, and errors that must not be hidden.

use super::*;
use std::collections::BTreeSet;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use tower_bearer::issuing::RevocationHubBuilder;
use tower_bearer::issuing::store::{
    MemoryStore, SessionRecord, SessionStore, StoreError, StoreFuture,
};
use tower_bearer::jwt::ClaimsLayout;
use tower_bearer::revocation::Revocation;

/// A process with its own clock on a store that others share.
async fn process(
    store: &TestStore,
    keys: &SigningKeys,
    clock: &ManualClock,
    change: impl FnOnce(TokenIssuerBuilder) -> TokenIssuerBuilder,
) -> World {
    process_with(store, keys, clock, |hub| hub, change).await
}

async fn process_with(
    store: &TestStore,
    keys: &SigningKeys,
    clock: &ManualClock,
    hub: impl FnOnce(RevocationHubBuilder) -> RevocationHubBuilder,
    change: impl FnOnce(TokenIssuerBuilder) -> TokenIssuerBuilder,
) -> World {
    let builder = RevocationHub::builder(store.clone()).clock(clock.clone());
    let builder = TokenIssuer::builder(ISSUER, keys.clone())
        .audience(AUDIENCE)
        .sessions(store.clone())
        .revocations(hub(builder).open().await.unwrap())
        .clock(clock.clone());
    let issuer = change(builder).build().unwrap();
    let validator = issuer.validator_builder().leeway(300 * SECOND);
    World {
        validator: validator.build().unwrap(),
        store: store.clone(),
        clock: clock.clone(),
        issuer,
    }
}

/// Removes the revocations that have expired by `time`.
fn expire(store: &TestStore, time: SystemTime) {
    store.retain_revocations(|text| {
        let revocation = Revocation::from_text(text.as_bytes()).unwrap();
        revocation.expires_at() > time
    });
}

fn distinct(store: &TestStore) -> usize {
    store
        .revocations()
        .into_iter()
        .collect::<BTreeSet<_>>()
        .len()
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

const ALICE: SessionsOf<'_> = SessionsOf::Subject("alice");

#[tokio::test]
async fn lower_versions_stay_revoked_after_two_setting_changes() {
    // (M02: records of issued tokens) A release with a short `refresh_ttl` revokes, and the
    // previous release returns.
    let (store, keys, clock) = (TestStore::new(), keys(), ManualClock::new(now()));
    let long = |builder: TokenIssuerBuilder| builder.refresh_ttl(DAY * 30);
    let before = process(&store, &keys, &clock, long).await;
    let grant = |version| Grant::new("alice", "web").token_version(version);
    let old = before.issuer.issue(grant(1)).await.unwrap();
    let kept = before.issuer.issue(grant(2)).await.unwrap();
    let short = process(&store, &keys, &clock, |builder| builder.refresh_ttl(DAY)).await;
    short
        .issuer
        .revoke_versions_below("alice", 2)
        .await
        .unwrap();
    assert_eq!(store.sessions(), 1);
    clock.set(now() + DAY * 3);
    expire(&store, now() + DAY * 3);
    assert_eq!(store.revocations().len(), 0);
    let after = process(&store, &keys, &clock, long).await;
    assert_eq!(reason(after.refresh(&old).await), InvalidGrant::Unknown);
    assert!(after.refresh(&kept).await.is_ok());
}

#[tokio::test]
async fn entries_of_one_session_are_bounded_with_an_issuer_entry() {
    // (M05: bounded entries)
    let world = World::new().await;
    let past = now() - SECOND * 100;
    let revocation = Revocation::issuer(Some(ISSUER), past, now() + DAY);
    world
        .issuer
        .revocations()
        .revoke(&revocation)
        .await
        .unwrap();
    let mut tokens = world.issue().await;
    for count in 0.. {
        assert!(count < 20);
        let text = tokens.access_token();
        world.issuer.revoke(text, "web").await.unwrap();
        match world.refresh(&tokens).await {
            Ok(next) => tokens = next,
            Err(_) => break,
        }
    }
    assert_eq!(distinct(&world.store), 1 + 16 + 1);
}

#[tokio::test]
async fn revocations_for_ended_session_add_few_entries() {
    // (M05: bounded entries) Bounded entries, although each token has its own expiry.
    let world = World::new().await;
    let mut tokens = world.issue().await;
    let mut all = vec![tokens.clone()];
    for second in 1..200 {
        world.at(SECOND * second);
        tokens = world.refresh(&tokens).await.unwrap();
        all.push(tokens.clone());
    }
    world.issuer.end_session(session(&tokens)).await.unwrap();
    for tokens in &all {
        let text = tokens.access_token();
        world.issuer.revoke(text, "web").await.unwrap();
    }
    assert!(distinct(&world.store) <= 3, "{}", distinct(&world.store));
}

#[tokio::test]
async fn repeated_revocation_of_one_access_token_keeps_session() {
    // (M05: bounded entries) The limit counts tokens, not attempts. A stolen access token must not
    // end the session.
    let world = World::new().await;
    let tokens = world.issue().await;
    world.store.yields();
    let tasks: Vec<_> = (0..40)
        .map(|_| {
            let (issuer, tokens) = (world.issuer.clone(), tokens.clone());
            tokio::spawn(async move { issuer.revoke(tokens.access_token(), "web").await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(world.status(&tokens).await, 401);
    assert!(world.refresh(&tokens).await.is_ok());
    // Retries of a revocation for which the hub has no capacity do not end the session either.
    let (store, keys, clock) = (TestStore::new(), keys(), ManualClock::new(now()));
    let full = process_with(&store, &keys, &clock, |hub| hub.limit(0), |builder| builder).await;
    let tokens = full.issue().await;
    for _ in 0..40 {
        let text = tokens.access_token();
        assert_eq!(status_of(full.issuer.revoke(text, "web").await), 503);
    }
    assert!(full.refresh(&tokens).await.is_ok());
}

#[tokio::test]
async fn dropped_and_failed_logins_do_not_exceed_limit() {
    // (M06: concurrent limits) The client disconnects between two calls of the store, or the answer
    // of the store is lost.
    let world = World::with(|builder| builder.max_sessions_per_user(2)).await;
    world.store.yields();
    for polls in 0..60 {
        let mut login = Box::pin(world.issuer.issue(Grant::new("alice", "web")));
        for _ in 0..polls % 20 {
            if poll(login.as_mut()).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(login);
    }
    for _ in 0..5_000 {
        tokio::task::yield_now().await;
    }
    assert!(world.store.sessions() <= 2, "{}", world.store.sessions());

    let world = World::with(|builder| builder.max_sessions_per_user(2)).await;
    world.store.fail(Op::Insert, When::After);
    for _ in 0..50 {
        let login = world.issuer.issue(Grant::new("alice", "web")).await;
        assert_eq!(status_of(login), 503);
    }
    assert!(world.store.sessions() <= 2, "{}", world.store.sessions());
    // The limit also holds if the session cannot be removed.
    world.store.fail(Op::Remove, When::Before);
    for _ in 0..50 {
        let login = world.issuer.issue(Grant::new("alice", "web")).await;
        assert_eq!(status_of(login), 503);
    }
    let sessions = world.issuer.sessions(ALICE, None, 100).await.unwrap();
    assert!(sessions.len() <= 2, "{}", sessions.len());
}

#[tokio::test]
async fn login_after_limit_was_lowered_does_bounded_work() {
    // (M06: concurrent limits)
    let (store, keys, clock) = (TestStore::new(), keys(), ManualClock::new(now()));
    let many = |builder: TokenIssuerBuilder| builder.max_sessions_per_user(2_000);
    let world = process(&store, &keys, &clock, many).await;
    for _ in 0..700 {
        world.issue().await;
    }
    let few = |builder: TokenIssuerBuilder| builder.max_sessions_per_user(2);
    let world = process(&store, &keys, &clock, few).await;
    for left in [445, 190, 2, 2] {
        let before = store.calls();
        let newest = world.issue().await;
        assert!(store.calls() - before < 850, "{}", store.calls() - before);
        assert_eq!(store.sessions(), left);
        assert_eq!(world.status(&newest).await, 200);
    }
    let before = store.calls();
    world.issue().await;
    // Two lists, an insert, and one session that ends.
    assert_eq!(store.calls() - before, 6);
}

#[tokio::test]
async fn expired_and_ended_records_are_bounded() {
    // (M06: concurrent limits) Limits hold for expired sessions whose access tokens are valid, and
    // for endings for which the hub had no capacity.
    let world = World::with(|builder| {
        builder
            .max_sessions_per_user(2)
            .access_ttl(DAY)
            .refresh_ttl(SECOND)
            .session_ttl(SECOND)
    })
    .await;
    for second in 0..100 {
        world.at(SECOND * 2 * second);
        world.issue().await;
    }
    assert!(world.store.sessions() <= 4, "{}", world.store.sessions());

    let (store, keys, clock) = (TestStore::new(), keys(), ManualClock::new(now()));
    let two = |builder: TokenIssuerBuilder| builder.max_sessions_per_user(2);
    let full = process_with(&store, &keys, &clock, |hub| hub.limit(0), two).await;
    for _ in 0..60 {
        let tokens = full.issue().await;
        let ended = full.issuer.end_session(session(&tokens)).await;
        assert_eq!(status_of(ended), 503);
    }
    assert!(store.sessions() <= 4, "{}", store.sessions());
}

#[tokio::test]
async fn login_contacts_unavailable_hub_once_and_not_per_ended_session() {
    // One timeout of the hub, however many endings are to be completed.
    let world = World::with(|builder| builder.max_sessions_per_user(100)).await;
    world.store.fail(Op::Add, When::Before);
    for _ in 0..30 {
        let tokens = world.issue().await;
        let ended = world.issuer.end_session(session(&tokens)).await;
        assert_eq!(status_of(ended), 503);
    }
    let before = world.store.calls();
    world.issue().await;
    // Two lists, an insert, and one revocation for each list.
    assert_eq!(world.store.calls() - before, 5);
    world.store.recover();
    world.issue().await;
    assert_eq!(world.store.sessions(), 2);
}

#[tokio::test]
async fn ending_many_sessions_yields_to_other_tasks() {
    // In memory, no call of the store waits.
    let world = World::with(|builder| builder.max_sessions_per_user(usize::MAX)).await;
    for _ in 0..2_600 {
        world.issue().await;
    }
    let ending = tokio::spawn({
        let issuer = world.issuer.clone();
        async move { issuer.end_sessions(ALICE).await }
    });
    let mut turns = 0;
    while !ending.is_finished() {
        turns += 1;
        tokio::task::yield_now().await;
    }
    assert_eq!(ending.await.unwrap().unwrap(), 2_600);
    assert!(turns > 10, "{turns}");
}

#[tokio::test]
async fn login_that_waited_during_end_of_all_sessions_fails() {
    let world = World::with(|builder| builder.max_sessions_per_user(100)).await;
    world.store.yields();
    let mut one = pin!(world.issuer.issue(Grant::new("alice", "web")));
    let mut two = pin!(world.issuer.issue(Grant::new("alice", "web")));
    assert!(poll(one.as_mut()).is_pending());
    assert!(poll(two.as_mut()).is_pending());
    world.at(SECOND * 5);
    world.issuer.end_sessions(ALICE).await.unwrap();
    for login in [one.await, two.await] {
        match login {
            Ok(tokens) => {
                // The login was complete before, and its session has ended.
                assert_eq!(world.status(&tokens).await, 401);
                assert!(world.refresh(&tokens).await.is_err());
            }
            Err(error) => assert!(matches!(error, IssuingError::Revocations { .. })),
        }
    }
    assert_eq!(world.store.sessions(), 0);
}

#[tokio::test]
async fn failed_login_does_not_delay_waiting_logins() {
    // All waiting logins fail after one timeout of the store.
    let world = World::with(|builder| builder.max_sessions_per_user(100)).await;
    world.store.yields();
    world.store.fail(Op::List, When::Before);
    let logins: Vec<_> = (0..50)
        .map(|_| {
            let issuer = world.issuer.clone();
            tokio::spawn(async move { issuer.issue(Grant::new("alice", "web")).await })
        })
        .collect();
    let before = world.store.calls();
    let mut answers = Vec::new();
    for login in logins {
        answers.push(login.await.unwrap().map_err(|error| error.to_string()));
    }
    assert!(answers.iter().all(Result::is_err), "{answers:?}");
    let calls = world.store.calls() - before;
    assert!(calls <= 2, "{calls}");
    world.store.recover();
    assert_eq!(world.status(&world.issue().await).await, 200);
}

#[tokio::test]
async fn revocation_ignores_unrelated_claims() {
    // (M04: revoke or fail) Authenticity decides. This validator cannot read the roles.
    let world = World::new().await;
    let grant = Grant::new("alice", "web").claim("roles", json!({"admin": {}}));
    let tokens = world.issuer.issue(grant).await.unwrap();
    let layout = ClaimsLayout::new().with_roles_at(["my_roles"]);
    let other = world.issuer.validator_builder().claims_layout(layout);
    let world = World {
        validator: other.build().unwrap(),
        ..world
    };
    assert_eq!(world.status(&tokens).await, 200);
    let text = tokens.access_token();
    world.issuer.revoke(text, "web").await.unwrap();
    assert_eq!(world.status(&tokens).await, 401);
}

#[tokio::test]
async fn revoking_token_signed_by_another_process_is_an_error() {
    // (M04: revoke or fail) The new key has not arrived in this process.
    let (store, clock) = (TestStore::new(), ManualClock::new(now()));
    let (old, new) = (keys(), keys());
    let here = process(&store, &old, &clock, |builder| builder).await;
    let there = process(&store, &new, &clock, |builder| builder).await;
    let tokens = there.issue().await;
    let text = tokens.access_token();
    let answer = here.issuer.revoke(text, "web").await;
    assert!(
        matches!(answer, Err(IssuingError::UnknownKey)),
        "{answer:?}"
    );
    assert_eq!(status_of(answer), 503);
    // A token that no validator accepts any more is no error.
    clock.set(now() + DAY * 2);
    here.issuer.revoke(text, "web").await.unwrap();
    // A key that has retired here still verifies what it has signed.
    clock.set(now());
    let tokens = here.issue().await;
    let next = SigningKey::generate(Algorithm::ES256).unwrap();
    old.rotate(next, now(), SECOND * 30).unwrap();
    clock.set(now() + MINUTE);
    let text = tokens.access_token();
    here.issuer.revoke(text, "web").await.unwrap();
    let jti = claims_of(text)["jti"].as_str().unwrap().to_owned();
    assert!(store.revocations().iter().any(|entry| entry.contains(&jti)));
}

#[tokio::test]
async fn entry_of_one_token_outlives_clock_skew_of_store() {
    // (M04: revoke or fail)
    let (store, keys, clock) = (TestStore::new(), keys(), ManualClock::new(now()));
    let world = process(&store, &keys, &clock, |builder| builder).await;
    let tokens = world.issue().await;
    let text = tokens.access_token();
    world.issuer.revoke(text, "web").await.unwrap();
    let late = now() + SECOND * (900 + 299);
    expire(&store, late + SECOND * 50);
    clock.set(late);
    let world = process(&store, &keys, &clock, |builder| builder).await;
    assert_eq!(world.status(&tokens).await, 401);
}

#[tokio::test]
async fn refresh_token_reuse_is_reported_after_outage() {
    // The first attempt returns the error of the store. The reuse is still reported later.
    let world = World::new().await;
    let first = world.issue().await;
    world.refresh(&first).await.unwrap();
    world.store.fail(Op::Add, When::Before);
    assert_eq!(status_of(world.refresh(&first).await), 503);
    world.store.recover();
    assert!(is_reused(world.refresh(&first).await));
}

#[tokio::test]
async fn tokens_dated_ahead_for_one_user_do_not_affect_other_users() {
    let world = World::new().await;
    for _ in 0..59 {
        let mallory = SessionsOf::Subject("mallory");
        world.issuer.end_sessions(mallory).await.unwrap();
    }
    let grant = Grant::new("mallory", "job");
    let ahead = world.issuer.issue_access_token(grant).unwrap();
    let iat = claims_of(ahead.access_token())["iat"].as_u64();
    assert_eq!(iat, Some(NOW + 59));
    world.issuer.end_sessions(ALICE).await.unwrap();
    let tokens = world.issue().await;
    let iat = claims_of(tokens.access_token())["iat"].as_u64();
    assert_eq!(iat, Some(NOW + 1));
    // The token dated ahead ends with its client.
    let job = SessionsOf::Client("job");
    world.issuer.end_sessions(job).await.unwrap();
    world.at(SECOND * 59);
    assert_eq!(world.status(&ahead).await, 401);
}

/// A store in which one record changes before every replacement.
#[derive(Clone)]
struct Contended {
    store: TestStore,
    contended: Arc<Mutex<Option<SessionId>>>,
}

impl SessionStore for Contended {
    fn insert(&self, record: SessionRecord, now: SystemTime) -> StoreFuture<'_, ()> {
        self.store.insert(record, now)
    }

    fn find(&self, id: SessionId) -> StoreFuture<'_, Option<SessionRecord>> {
        self.store.find(id)
    }

    fn replace(&self, record: SessionRecord) -> StoreFuture<'_, bool> {
        match *self.contended.lock().unwrap() == Some(record.id()) {
            true => Box::pin(std::future::ready(Ok(false))),
            false => self.store.replace(record),
        }
    }

    fn remove(&self, id: SessionId) -> StoreFuture<'_, bool> {
        self.store.remove(id)
    }

    fn list<'a>(
        &'a self,
        issuer: &'a str,
        of: SessionsOf<'a>,
        after: Option<SessionId>,
        limit: usize,
    ) -> StoreFuture<'a, Vec<SessionRecord>> {
        self.store.list(issuer, of, after, limit)
    }
}

#[tokio::test]
async fn full_hub_reports_session_that_did_not_end() {
    for which in 0..3 {
        let store = Contended {
            store: TestStore::new(),
            contended: Arc::default(),
        };
        let hub = RevocationHub::builder(MemoryStore::new()).limit(0);
        let hub = hub.open().await.unwrap();
        let sessions = store.clone();
        let world = World::with(|builder| builder.sessions(sessions).revocations(hub)).await;
        let mut all = Vec::new();
        for _ in 0..3 {
            all.push(world.issue().await);
        }
        all.sort_by_key(TokenResponse::session);
        *store.contended.lock().unwrap() = all[which].session();
        let error = world.issuer.end_sessions(ALICE).await.unwrap_err();
        let is_contended = matches!(error, IssuingError::Store(StoreError::Contended));
        assert!(is_contended, "{error:?}");
        *store.contended.lock().unwrap() = None;
        let error = world.issuer.end_sessions(ALICE).await.unwrap_err();
        assert!(error.to_string().contains("full"), "{error}");
        for tokens in &all {
            assert!(world.refresh(tokens).await.is_err());
        }
    }
}
