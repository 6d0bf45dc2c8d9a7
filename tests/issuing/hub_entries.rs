//! What the hub is told, and what issuer and validator make of it.

use super::*;
use tower_bearer::issuing::store::StoreError;
use tower_bearer::jwt::JwtValidatorBuilder;
use tower_bearer::revocation::{Revocation, RevocationClaims, Revocations as _};

async fn revoke(world: &World, revocation: Revocation) {
    let hub = world.issuer.revocations();
    hub.revoke(&revocation).await.unwrap();
}

fn until() -> SystemTime {
    now() + HOUR
}

#[tokio::test]
async fn lower_versions_are_rejected_and_no_others() {
    let world = World::new().await;
    let grant = |version: Option<u64>| {
        let grant = Grant::new("alice", "web");
        match version {
            Some(version) => grant.token_version(version),
            None => grant,
        }
    };
    let mut all = Vec::new();
    for version in [None, Some(0), Some(3), Some(4), Some(5), Some(u64::MAX)] {
        let tokens = world.issuer.issue(grant(version)).await.unwrap();
        let alone = world.issuer.issue_access_token(grant(version)).unwrap();
        for tokens in [&tokens, &alone] {
            assert_eq!(world.status(tokens).await, 200);
        }
        all.push((version.unwrap_or(0), tokens, alone));
    }
    let other = world.issue_to("bob", "web").await;
    for below in [0, 1, 4, 3, 5, u64::MAX] {
        let revocation = Revocation::versions_below(Some(ISSUER), "alice", below, until());
        revoke(&world, revocation).await;
        // What was once too low stays so.
        let highest = below.max(if below == 3 { 4 } else { 0 });
        for (version, tokens, alone) in &all {
            let expected = if *version < highest { 401 } else { 200 };
            for tokens in [tokens, alone] {
                let name = format!("{version} below {below}");
                assert_eq!(world.status(tokens).await, expected, "{name}");
            }
        }
        assert_eq!(world.status(&other).await, 200);
    }
    for (version, tokens, _) in &all {
        let next = world.refresh(tokens).await;
        match version {
            &u64::MAX => assert_eq!(world.status(&next.unwrap()).await, 200),
            _ => assert_eq!(reason(next), InvalidGrant::Revoked, "{version}"),
        }
    }
    // The sessions have gone with their versions.
    assert_eq!(world.store.sessions(), 2);
    let later = world.issuer.issue(grant(Some(u64::MAX))).await.unwrap();
    assert_eq!(world.status(&later).await, 200);
    // One that would be dead from the beginning is not given out.
    let none = world.issuer.issue(grant(None)).await;
    assert!(matches!(none, Err(IssuingError::Grant { .. })), "{none:?}");
}

#[tokio::test]
async fn subject_or_client_revocation_rejects_tokens_issued_until_then() {
    // (K06: same second)
    for is_client in [false, true] {
        let world = World::new().await;
        let mut all = Vec::new();
        for millis in [0, 999, 1_000, 1_999, 2_000] {
            world.at(Duration::from_millis(millis));
            let tokens = world.issue().await;
            assert_eq!(world.status(&tokens).await, 200);
            all.push((millis, tokens));
        }
        let other = world.issue_to("bob", "app").await;
        // With its whole second, at which end of it that may be.
        for moment in [Duration::from_millis(999), Duration::from_millis(1_000)] {
            let moment = now() + moment;
            let revocation = match is_client {
                true => Revocation::client(Some(ISSUER), "web", moment, until()),
                false => Revocation::subject(Some(ISSUER), "alice", moment, until()),
            };
            revoke(&world, revocation).await;
            let bound = if moment < now() + SECOND {
                1_000
            } else {
                2_000
            };
            for (millis, tokens) in &all {
                let expected = if *millis < bound { 401 } else { 200 };
                assert_eq!(world.status(tokens).await, expected, "{millis} {moment:?}");
            }
            assert_eq!(world.status(&other).await, 200);
        }
        for (millis, tokens) in &all {
            let next = world.refresh(tokens).await;
            assert_eq!(next.is_ok(), *millis >= 2_000, "{millis}");
        }
        assert!(world.issue_to("carol", "app").await.session().is_some());
    }
}

#[tokio::test]
async fn issuer_revocation_rejects_all_tokens() {
    let world = World::new().await;
    let before = world.issue().await;
    assert_eq!(world.status(&before).await, 200);
    revoke(&world, Revocation::issuer(Some(ISSUER), now(), until())).await;
    assert_eq!(world.status(&before).await, 401);
    world.at(SECOND);
    let after = world.issue().await;
    assert_eq!(world.status(&after).await, 200);
    assert!(world.refresh(&after).await.is_ok());
    assert_eq!(reason(world.refresh(&before).await), InvalidGrant::Revoked);
    assert_eq!(world.store.sessions(), 1);
}

#[tokio::test]
async fn entry_of_another_issuer_or_kind_has_no_effect() {
    let world = World::new().await;
    let tokens = world.issue().await;
    let id = session(&tokens).to_string();
    let jti = claims_of(tokens.access_token())["jti"].clone();
    let jti = jti.as_str().unwrap();
    for other in [None, Some("https://other.example"), Some("")] {
        revoke(&world, Revocation::token(other, jti, until())).await;
        revoke(&world, Revocation::session(other, &id, until())).await;
        let moment = now() + HOUR;
        revoke(&world, Revocation::subject(other, "alice", moment, until())).await;
        revoke(&world, Revocation::client(other, "web", moment, until())).await;
        revoke(&world, Revocation::issuer(other, moment, until())).await;
        revoke(
            &world,
            Revocation::versions_below(other, "alice", 9, until()),
        )
        .await;
    }
    let moment = now() + HOUR;
    let own = Some(ISSUER);
    revoke(&world, Revocation::token(own, &id, until())).await;
    revoke(&world, Revocation::session(own, jti, until())).await;
    revoke(&world, Revocation::subject(own, "web", moment, until())).await;
    revoke(&world, Revocation::client(own, "alice", moment, until())).await;
    revoke(&world, Revocation::versions_below(own, "web", 9, until())).await;
    assert_eq!(world.status(&tokens).await, 200);
    let next = world.refresh(&tokens).await.unwrap();
    assert_eq!(world.status(&next).await, 200);
}

#[tokio::test]
async fn entries_expire_with_last_possible_token() {
    let clock = ManualClock::new(now());
    let store = TestStore::new();
    let open = || {
        let builder = RevocationHub::builder(store.clone()).limit(3);
        builder.clock(clock.clone()).open()
    };
    let hub = open().await.unwrap();
    let add = |name: &'static str, until: SystemTime| {
        let hub = hub.clone();
        async move { hub.revoke(&Revocation::session(None, name, until)).await }
    };
    let is_revoked = |hub: &RevocationHub, name: &str| {
        let token = RevocationClaims::new().with_session(name);
        hub.is_revoked(&token, now()).unwrap()
    };
    add("a", now() + MINUTE).await.unwrap();
    add("b", now() + HOUR).await.unwrap();
    // Rounded up.
    add("c", now() + HOUR + SECOND / 2).await.unwrap();
    // For the longest leeway there is.
    clock.set(now() + MINUTE + 299 * SECOND);
    let full = add("d", now() + HOUR).await;
    assert!(
        matches!(full, Err(StoreError::Full { limit: 3, .. })),
        "{full:?}"
    );
    assert!(is_revoked(&hub, "a") && !is_revoked(&hub, "d"));
    assert_eq!(hub.len(), 3);
    // What there is can be made longer nevertheless.
    add("b", now() + HOUR).await.unwrap();
    clock.set(now() + MINUTE + 300 * SECOND);
    add("d", now() + 2 * HOUR).await.unwrap();
    assert!(!is_revoked(&hub, "a") && is_revoked(&hub, "d"));
    assert_eq!(hub.len(), 3);

    // And after a restart. What has ended is taken in as well, since the clock may be set right later.
    clock.set(now() + HOUR + 299 * SECOND);
    let again = open().await.unwrap();
    for name in ["b", "c", "d"] {
        assert!(is_revoked(&again, name), "{name}");
    }
    clock.set(now() + DAY);
    let later = open().await.unwrap();
    clock.set(now());
    assert!(["b", "c", "d"].iter().all(|name| is_revoked(&later, name)));
}

#[tokio::test]
async fn ended_session_stays_revoked_for_longest_token_lifetime() {
    // Issued at the last moment, and accepted with all the leeway that there may be.
    let world = World::new().await;
    let leeway = |builder: JwtValidatorBuilder| builder.leeway(300 * SECOND).build().unwrap();
    let world = World {
        validator: leeway(world.issuer.validator_builder()),
        ..world
    };
    let tokens = world.issue().await;
    assert_eq!(world.status(&tokens).await, 200);
    world.issuer.end_session(session(&tokens)).await.unwrap();
    world.at(1_199 * SECOND);
    let clock = world.clock.clone();
    let hub = RevocationHub::builder(world.store.clone()).clock(clock);
    let hub = hub.open().await.unwrap();
    assert_eq!(hub.len(), 1);
    assert_eq!(world.status(&tokens).await, 401);
}

#[tokio::test]
async fn revocation_works_without_store() {
    let issuer = TokenIssuer::builder(ISSUER, keys())
        .audience(AUDIENCE)
        .build()
        .unwrap();
    let clock = ManualClock::new(SystemTime::now());
    let world = World {
        validator: issuer.validator().unwrap(),
        store: TestStore::new(),
        clock,
        issuer,
    };
    let tokens = world.issue().await;
    assert_eq!(world.status(&tokens).await, 200);
    let next = world.refresh(&tokens).await.unwrap();
    assert!(is_reused(world.refresh(&tokens).await));
    for tokens in [&tokens, &next] {
        assert_eq!(world.status(tokens).await, 401);
    }
    let hub = world.issuer.revocations();
    assert!(hub.is_synced() && hub.len() == 1);
}
