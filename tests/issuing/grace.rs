//! A client that has lost the answer asks again.

use super::*;

async fn world() -> World {
    World::with(|builder| builder.reuse_grace(10 * SECOND)).await
}

#[tokio::test]
async fn refresh_within_grace_period_returns_same_token() {
    let world = world().await;
    let first = world.issue().await;
    world.at(MINUTE);
    let second = world.refresh(&first).await.unwrap();
    for after in [60, 61, 69, 51] {
        world.at(after * SECOND);
        let again = world.refresh(&first).await.unwrap();
        assert_eq!(again.refresh_token(), second.refresh_token(), "{after}");
        assert_ne!(again.access_token(), second.access_token(), "{after}");
        assert_eq!(world.status(&again).await, 200);
    }
    // With less scope, if it likes.
    let again = world
        .issuer
        .refresh(refresh_token(&first), "web", Some("read"))
        .await
        .unwrap();
    assert_eq!(claims_of(again.access_token())["scope"], "read");
    assert_eq!(again.refresh_token(), second.refresh_token());
    assert!(world.refresh(&second).await.is_ok());
}

#[tokio::test]
async fn grace_period_ends_when_successor_is_used() {
    let world = world().await;
    let first = world.issue().await;
    let second = world.refresh(&first).await.unwrap();
    let third = world.refresh(&second).await.unwrap();
    // The one before the last may still ask again.
    let again = world.refresh(&second).await.unwrap();
    assert_eq!(again.refresh_token(), third.refresh_token());
    assert!(is_reused(world.refresh(&first).await));
    for tokens in [&first, &second, &third, &again] {
        assert_eq!(world.status(tokens).await, 401);
    }
    assert_eq!(reason(world.refresh(&third).await), InvalidGrant::Unknown);
}

#[tokio::test]
async fn grace_period_expires() {
    for (after, is_good) in [(9, true), (10, false), (-9, true), (-10, false)] {
        let world = world().await;
        let first = world.issue().await;
        world.at(MINUTE);
        let second = world.refresh(&first).await.unwrap();
        world.at(Duration::from_secs(
            60_u64.checked_add_signed(after).unwrap(),
        ));
        let again = world.refresh(&first).await;
        assert_eq!(again.is_ok(), is_good, "{after}");
        assert_eq!(world.is_alive(session(&first)).await, is_good, "{after}");
        assert_eq!(world.refresh(&second).await.is_ok(), is_good, "{after}");
    }
}

#[tokio::test]
async fn repeated_refresh_does_not_extend_grace_period() {
    let world = world().await;
    let first = world.issue().await;
    world.refresh(&first).await.unwrap();
    for after in [4, 8] {
        world.at(after * SECOND);
        world.refresh(&first).await.unwrap();
    }
    world.at(12 * SECOND);
    assert!(is_reused(world.refresh(&first).await));
}

#[tokio::test]
async fn grace_period_is_disabled_by_default() {
    let world = World::new().await;
    let first = world.issue().await;
    world.refresh(&first).await.unwrap();
    assert!(is_reused(world.refresh(&first).await));
}

#[tokio::test]
async fn grace_period_excludes_other_clients_and_wider_scopes() {
    let world = world().await;
    let first = world.issue().await;
    let second = world.refresh(&first).await.unwrap();
    let other = world.issuer.refresh(refresh_token(&first), "app", None);
    assert_eq!(reason(other.await), InvalidGrant::Client);
    let more = world
        .issuer
        .refresh(refresh_token(&first), "web", Some("admin"));
    assert!(matches!(more.await, Err(IssuingError::InvalidScope)));
    assert!(world.refresh(&second).await.is_ok());
}

#[tokio::test]
async fn grace_period_ends_with_session() {
    let world = world().await;
    let first = world.issue().await;
    world.refresh(&first).await.unwrap();
    world.issuer.end_session(session(&first)).await.unwrap();
    assert_eq!(reason(world.refresh(&first).await), InvalidGrant::Unknown);
}
