//! Several processes with one store.

use super::*;
use std::time::Instant;
use tower_bearer::issuing::store::StoreError;
use tower_bearer::revocation::{Revocation, RevocationClaims, Revocations as _};

/// Nobody waits longer for what has to happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until it is so.
async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn open(store: &TestStore) -> RevocationHub {
    RevocationHub::builder(store.clone())
        .clock(ManualClock::new(now()))
        .open()
        .await
        .unwrap()
}

fn of_session(name: &str) -> Revocation {
    Revocation::session(Some(ISSUER), name, now() + HOUR)
}

fn is_revoked(hub: &RevocationHub, name: &str) -> Option<bool> {
    let token = RevocationClaims::new()
        .with_issuer(ISSUER)
        .with_session(name);
    hub.is_revoked(&token, now()).ok()
}

/// An issuer of which there are several.
fn instance(store: &TestStore, keys: &SigningKeys, hub: &RevocationHub) -> World {
    let clock = ManualClock::new(now());
    let issuer = TokenIssuer::builder(ISSUER, keys.clone())
        .audience(AUDIENCE)
        .sessions(store.clone())
        .revocations(hub.clone())
        .clock(clock.clone())
        .build()
        .unwrap();
    World {
        validator: issuer.validator().unwrap(),
        store: store.clone(),
        clock,
        issuer,
    }
}

#[tokio::test]
async fn revocation_of_one_process_is_effective_in_all() {
    // (K01: revocation on hits)
    let (store, keys) = (TestStore::shared(), keys());
    let (first, second) = (open(&store).await, open(&store).await);
    let here = instance(&store, &keys, &first);
    let there = instance(&store, &keys, &second);
    let tokens = here.issue().await;
    // Remembered there.
    for _ in 0..2 {
        assert_eq!(there.status(&tokens).await, 200);
    }
    let next = there.refresh(&tokens).await.unwrap();
    assert!(is_reused(here.refresh(&tokens).await));
    for tokens in [&tokens, &next] {
        assert_eq!(here.status(tokens).await, 401);
    }
    until("it arrives", || !second.is_empty()).await;
    for tokens in [&tokens, &next] {
        assert_eq!(there.status(tokens).await, 401);
    }
    // More than is read at a time, in both directions.
    for number in 0..9 {
        let hub = if number % 2 == 0 { &first } else { &second };
        hub.revoke(&of_session(&number.to_string())).await.unwrap();
    }
    until("all arrive", || first.len() == 10 && second.len() == 10).await;
    for number in 0..9 {
        for hub in [&first, &second] {
            assert_eq!(is_revoked(hub, &number.to_string()), Some(true));
        }
    }
    // And for who comes later.
    let third = open(&store).await;
    assert_eq!(third.len(), 10);
    assert_eq!(is_revoked(&third, "8"), Some(true));
}

#[tokio::test]
async fn hub_without_contact_is_unavailable() {
    // (K02: revocation outages)
    let (store, keys) = (TestStore::shared(), keys());
    let builder = RevocationHub::builder(store.clone()).max_staleness(Duration::ZERO);
    let hub = builder.open().await.unwrap();
    let other = open(&store).await;
    let world = instance(&store, &keys, &hub);
    let (tokens, revoked) = (world.issue().await, world.issue().await);
    let id = session(&revoked).to_string();
    hub.revoke(&of_session(&id)).await.unwrap();
    assert_eq!(world.status(&tokens).await, 200);
    let epoch = hub.epoch();
    assert!(epoch.is_some());

    store.fail(Op::Changes, When::Before);
    assert!(hub.is_synced());
    until("touch is lost", || !hub.is_synced()).await;
    let answer = world.present(&tokens).await;
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.header("retry-after"), Some("5"));
    assert_eq!(hub.epoch(), None);
    // What is known stays known.
    assert_eq!(world.status(&revoked).await, 401);
    assert_eq!(is_revoked(&hub, &id), Some(true));
    assert_eq!(is_revoked(&hub, "unknown"), None);
    // Nobody is given new tokens meanwhile, and nothing is spent.
    let asked = world.refresh(&tokens).await;
    assert!(matches!(asked, Err(IssuingError::Revocations { .. })));
    assert_eq!(status_of(asked), 503);
    // What is taken back elsewhere meanwhile is known afterwards, and at once.
    let id = session(&tokens).to_string();
    other.revoke(&of_session(&id)).await.unwrap();
    assert_eq!(is_revoked(&hub, &id), None);
    store.recover();
    until("touch is found again", || hub.is_synced()).await;
    assert_eq!(world.status(&tokens).await, 401);
    assert_eq!(reason(world.refresh(&tokens).await), InvalidGrant::Revoked);
    let new = world.issue().await;
    assert_eq!(world.status(&new).await, 200);
}

#[tokio::test]
async fn store_with_restarted_sequence_is_read_from_start() {
    let store = TestStore::shared();
    let builder = RevocationHub::builder(store.clone()).max_staleness(Duration::ZERO);
    let hub = builder.open().await.unwrap();
    for name in ["a", "b", "c"] {
        hub.revoke(&of_session(name)).await.unwrap();
    }
    // Until the hub has seen them go by.
    let other = open(&store).await;
    other.revoke(&of_session("d")).await.unwrap();
    until("it arrives", || hub.len() == 4).await;
    store.fail(Op::Changes, When::Before);
    until("touch is lost", || !hub.is_synced()).await;
    store.lose_revocations();
    other.revoke(&of_session("e")).await.unwrap();
    store.recover();
    until("touch is found again", || hub.is_synced()).await;
    assert_eq!(is_revoked(&hub, "e"), Some(true));
    // What was known is not forgotten with the store.
    assert_eq!(is_revoked(&hub, "a"), Some(true));
}

#[tokio::test]
async fn responding_store_keeps_hub_synced() {
    let store = TestStore::shared();
    let builder = RevocationHub::builder(store.clone()).max_staleness(Duration::ZERO);
    let hub = builder.open().await.unwrap();
    let mut start = Instant::now();
    let mut last = start;
    while start.elapsed() < Duration::from_millis(2_200) {
        let is_synced = hub.is_synced();
        // A machine that stands still for a moment tells nothing.
        if last.elapsed() > Duration::from_millis(200) {
            start = Instant::now();
        } else {
            assert!(is_synced, "after {:?}", start.elapsed());
        }
        last = Instant::now();
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn hub_over_capacity_is_unavailable() {
    let store = TestStore::shared();
    let builder = || RevocationHub::builder(store.clone()).limit(2);
    let hub = builder()
        .clock(ManualClock::new(now()))
        .open()
        .await
        .unwrap();
    let other = open(&store).await;
    for name in ["a", "b"] {
        other.revoke(&of_session(name)).await.unwrap();
    }
    until("both arrive", || hub.len() == 2).await;
    assert_eq!(is_revoked(&hub, "x"), Some(false));
    // Others may add some while they do not know better.
    for number in 0..20 {
        other
            .revoke(&of_session(&number.to_string()))
            .await
            .unwrap();
    }
    until("too many arrive", || !hub.is_synced()).await;
    assert_eq!(is_revoked(&hub, "a"), Some(true));
    assert_eq!(is_revoked(&hub, "19"), None);
    assert_eq!(hub.epoch(), None);
    let full = builder().clock(ManualClock::new(now())).open().await;
    assert!(
        matches!(full, Err(StoreError::Full { limit: 2, .. })),
        "{full:?}"
    );
}

#[tokio::test]
async fn unreadable_store_accepts_no_token() {
    for is_shared in [false, true] {
        let store = match is_shared {
            true => TestStore::shared(),
            false => TestStore::new(),
        };
        store.fail(Op::Changes, When::Before);
        let hub = RevocationHub::open(store.clone()).await;
        assert!(matches!(hub, Err(StoreError::Unavailable { .. })));
    }
}

#[tokio::test]
async fn dropped_hub_stops_following_store() {
    let store = TestStore::shared();
    let hub = open(&store).await;
    let clone = hub.clone();
    drop(hub);
    clone.revoke(&of_session("a")).await.unwrap();
    assert!(store.holders() > 1);
    drop(clone);
    until("it ends", || store.holders() == 1).await;
}

#[tokio::test]
async fn single_process_store_is_read_once() {
    let store = TestStore::new();
    let hub = open(&store).await;
    for number in 0..5 {
        hub.revoke(&of_session(&number.to_string())).await.unwrap();
    }
    let again = open(&store).await;
    assert_eq!(again.len(), 5);
    assert_eq!(is_revoked(&again, "4"), Some(true));
    assert_eq!(is_revoked(&again, "5"), Some(false));
    // What happens to it then makes no difference.
    store.fail(Op::Changes, When::Before);
    assert!(again.is_synced() && again.epoch().is_some());
    assert_eq!(store.holders(), 3);
}

#[tokio::test]
async fn unstored_revocation_is_effective_in_own_process() {
    let store = TestStore::new();
    let hub = open(&store).await;
    let epoch = hub.epoch();
    store.fail(Op::Add, When::Before);
    let answer = hub.revoke(&of_session("a")).await;
    assert!(matches!(answer, Err(StoreError::Unavailable { .. })));
    assert_eq!(is_revoked(&hub, "a"), Some(true));
    assert_ne!(hub.epoch(), epoch);
    assert_eq!(store.revocations(), Vec::<String>::new());
    // Trying again does it.
    store.recover();
    hub.revoke(&of_session("a")).await.unwrap();
    assert_eq!(is_revoked(&open(&store).await, "a"), Some(true));
}
