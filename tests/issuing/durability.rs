//! What has been ended stays so: when revocations are forgotten, clocks differ, clients hang up, and there is no room.

use super::*;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use tower_bearer::issuing::RevocationHubBuilder;
use tower_bearer::issuing::store::MemoryStore;

/// Everything in the hub that concerns access tokens has ended by then, and a restart has forgotten it.
const LATER: Duration = Duration::from_secs(22 * 60);

fn hub(store: &TestStore, clock: &ManualClock) -> RevocationHubBuilder {
    RevocationHub::builder(store.clone()).clock(clock.clone())
}

/// The same service after a restart, at a time of one's own.
async fn again(world: &World, keys: &SigningKeys, clock: &ManualClock) -> World {
    let hub = hub(&world.store, clock).open().await.unwrap();
    let issuer = TokenIssuer::builder(ISSUER, keys.clone())
        .audience(AUDIENCE)
        .revocations(hub)
        .sessions(world.store.clone())
        .clock(clock.clone());
    let issuer = issuer.build().unwrap();
    World {
        validator: issuer.validator().unwrap(),
        clock: clock.clone(),
        store: world.store.clone(),
        issuer,
    }
}

async fn world() -> (World, SigningKeys) {
    let world = World::new().await;
    let keys = world.issuer.keys().clone();
    (world, keys)
}

#[tokio::test]
async fn lower_versions_stay_revoked_over_time() {
    let (world, keys) = world().await;
    let grant = |version| Grant::new("alice", "web").token_version(version);
    let old = world.issuer.issue(grant(3)).await.unwrap();
    world
        .issuer
        .revoke_versions_below("alice", 4)
        .await
        .unwrap();
    assert_eq!(world.status(&old).await, 401);
    let new = world.issuer.issue(grant(4)).await.unwrap();
    for after in [LATER, DAY * 6] {
        world.at(after);
        let world = again(&world, &keys, &world.clock).await;
        assert_eq!(reason(world.refresh(&old).await), InvalidGrant::Unknown);
    }
    let next = world.refresh(&new).await.unwrap();
    assert_eq!(world.status(&next).await, 200);
}

#[tokio::test]
async fn login_in_progress_does_not_survive_forced_logout() {
    let (world, keys) = world().await;
    let issuer = world.issuer.clone();
    // All of alice's sessions are ended while one is about to be kept.
    world.store.meanwhile(Op::Insert, move || {
        let other = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            let all = issuer.end_sessions(SessionsOf::Subject("alice"));
            runtime.unwrap().block_on(all).unwrap()
        });
        assert_eq!(other.join().unwrap(), 0);
    });
    let login = world.issuer.issue(Grant::new("alice", "web")).await;
    assert!(matches!(login, Err(IssuingError::Revocations { .. })));
    assert_eq!(world.store.sessions(), 0);
    // The next login succeeds.
    let login = world.issue().await;
    assert_eq!(world.status(&login).await, 200);
    world.at(LATER);
    let world = again(&world, &keys, &world.clock).await;
    assert!(world.refresh(&login).await.is_ok());
}

#[tokio::test]
async fn session_ending_completes_after_client_disconnects() {
    for which in ["reuse", "revoke", "session", "sessions"] {
        let (world, keys) = world().await;
        let first = world.issue().await;
        let newest = world.refresh(&first).await.unwrap();
        world.store.yields();
        let issuer = &world.issuer;
        let (spent, current) = (refresh_token(&first), refresh_token(&newest));
        {
            let mut work = pin!(async {
                match which {
                    "reuse" => issuer.refresh(spent, "web", None).await.map(|_| ()),
                    "revoke" => issuer.revoke(current, "web").await,
                    "session" => issuer.end_session(session(&first)).await.map(|_| ()),
                    _ => issuer
                        .end_sessions(SessionsOf::Subject("alice"))
                        .await
                        .map(|_| ()),
                }
            });
            // Until the access tokens are taken back, and the session is not.
            for polls in 0.. {
                if world.status(&newest).await == 401 {
                    break;
                }
                assert!(polls < 1_000, "{which}");
                poll_fn(|cx| {
                    let _ = work.as_mut().poll(cx);
                    Poll::Ready(())
                })
                .await;
                tokio::task::yield_now().await;
            }
        }
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
        assert_eq!(world.store.sessions(), 0, "{which}");
        world.at(LATER);
        let world = again(&world, &keys, &world.clock).await;
        let refused = reason(world.refresh(&newest).await);
        assert_eq!(refused, InvalidGrant::Unknown, "{which}");
    }
}

#[tokio::test]
async fn revocation_reaches_store_after_client_disconnects() {
    for which in ["version", "token"] {
        let (world, _) = world().await;
        let tokens = world.issue().await;
        world.store.yields();
        {
            let issuer = &world.issuer;
            let mut work = pin!(async {
                match which {
                    "version" => issuer.revoke_versions_below("alice", 1).await,
                    _ => issuer.revoke(tokens.access_token(), "web").await,
                }
            });
            // Until it holds in this process.
            for polls in 0.. {
                if world.status(&tokens).await == 401 {
                    break;
                }
                assert!(polls < 1_000, "{which}");
                poll_fn(|cx| {
                    let _ = work.as_mut().poll(cx);
                    Poll::Ready(())
                })
                .await;
                tokio::task::yield_now().await;
            }
        }
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
        assert_eq!(world.store.revocations().len(), 1, "{which}");
    }
}

#[tokio::test]
async fn clock_that_was_ahead_keeps_no_session_alive() {
    for all in [true, false] {
        let (world, keys) = world().await;
        world.at(HOUR);
        let tokens = world.issue().await;
        world.at(Duration::ZERO);
        if all {
            let of = SessionsOf::Subject("alice");
            assert_eq!(world.issuer.end_sessions(of).await.unwrap(), 1);
        } else {
            assert!(world.issuer.end_session(session(&tokens)).await.unwrap());
        }
        assert_eq!(world.store.sessions(), 0);
        for after in [HOUR, HOUR + MINUTE * 14] {
            world.at(after);
            let world = again(&world, &keys, &world.clock).await;
            assert_eq!(world.status(&tokens).await, 401, "{all} {after:?}");
        }
    }
}

#[tokio::test]
async fn machine_with_late_clock_revokes_tokens() {
    let (world, keys) = world().await;
    let ahead = ManualClock::new(now() + SECOND * 3);
    let other = again(&world, &keys, &ahead).await;
    // Both have one hub, as they would have one store.
    let other = {
        let issuer = TokenIssuer::builder(ISSUER, keys.clone())
            .audience(AUDIENCE)
            .revocations(world.issuer.revocations().clone())
            .sessions(world.store.clone())
            .clock(ahead.clone())
            .build()
            .unwrap();
        World {
            validator: issuer.validator().unwrap(),
            issuer,
            ..other
        }
    };
    let fresh = other.issue().await;
    let old = world.issue().await;
    let old = other.refresh(&old).await.unwrap();
    let of = SessionsOf::Subject("alice");
    assert_eq!(world.issuer.end_sessions(of).await.unwrap(), 2);
    for tokens in [&fresh, &old] {
        assert_eq!(other.status(tokens).await, 401);
        assert_eq!(reason(other.refresh(tokens).await), InvalidGrant::Unknown);
    }
}

#[tokio::test]
async fn many_token_revocations_by_client_do_not_prevent_session_end() {
    let clock = ManualClock::new(now());
    let small = RevocationHub::builder(MemoryStore::new()).limit(50);
    let small = small.clock(clock).open().await.unwrap();
    let world = World::with(|builder| builder.revocations(small)).await;
    let first = world.issue().await;
    let newest = world.refresh(&first).await.unwrap();
    let mut tokens = world.issue_to("mallory", "web").await;
    let mut count = 0;
    while world
        .issuer
        .revoke(tokens.access_token(), "web")
        .await
        .is_ok()
    {
        count += 1;
        // (M05: bounded entries) Bounded entries, at most so many for one session.
        tokens = match count % 15 {
            0 => world.issue_to("mallory", "web").await,
            _ => world.refresh(&tokens).await.unwrap(),
        };
    }
    assert_eq!(count, 45);
    assert!(is_reused(world.refresh(&first).await));
    assert_eq!(world.status(&newest).await, 401);
    assert_eq!(reason(world.refresh(&newest).await), InvalidGrant::Unknown);

    // Even with no room at all a session is not renewed, and who asked is told that its tokens live on.
    while world.issuer.revocations().len() < 50 {
        let one = world.issue().await;
        world.issuer.end_session(session(&one)).await.unwrap();
    }
    for which in [0, 1] {
        let tokens = world.issue().await;
        let ended = match which {
            0 => world.issuer.end_session(session(&tokens)).await.map(|_| ()),
            _ => world
                .issuer
                .end_sessions(SessionsOf::Subject("alice"))
                .await
                .map(|_| ()),
        };
        assert_eq!(status_of(ended), 503);
        assert_eq!(reason(world.refresh(&tokens).await), InvalidGrant::Revoked);
    }
}

#[tokio::test]
async fn end_sessions_with_full_hub_ends_every_session() {
    // Of each session the access tokens are dated later than the clock of the machine that ends them, so each needs an
    // entry, and there is room for some.
    for room in [0, 1, 2, 5] {
        let clock = ManualClock::new(now());
        let small = RevocationHub::builder(MemoryStore::new()).limit(room);
        let small = small.clock(clock).open().await.unwrap();
        let world = World::with(|builder| builder.revocations(small)).await;
        world.at(SECOND * 30);
        let mut all = Vec::new();
        for _ in 0..5 {
            all.push(world.issue().await);
        }
        world.at(Duration::ZERO);
        let ended = world.issuer.end_sessions(SessionsOf::Subject("alice"));
        assert_eq!(status_of(ended.await), 503, "{room}");
        let sessions = world.issuer.sessions(SessionsOf::Subject("alice"), None, 9);
        assert_eq!(sessions.await.unwrap().len(), 0, "{room}");
        world.at(SECOND * 31);
        for tokens in &all {
            assert_eq!(reason_of_end(world.refresh(tokens).await), None, "{room}");
        }
        // As many as the hub had capacity for, apart from the entry for the user.
        let mut revoked = 0;
        for tokens in &all {
            revoked += usize::from(world.status(tokens).await == 401);
        }
        assert_eq!(revoked, room.saturating_sub(1), "{room}");
    }
}

/// `None` if the session has ended.
fn reason_of_end(answer: Result<TokenResponse, IssuingError>) -> Option<InvalidGrant> {
    match reason(answer) {
        InvalidGrant::Revoked | InvalidGrant::Unknown => None,
        other => Some(other),
    }
}

#[tokio::test]
async fn one_user_does_not_exhaust_capacity_of_others() {
    let world = World::with(|builder| builder.max_sessions_per_user(3)).await;
    let mut all = Vec::new();
    for second in 0..5 {
        world.at(SECOND * second);
        all.push(world.issue().await);
    }
    let other = world.issue_to("bob", "web").await;
    assert_eq!(world.store.sessions(), 4);
    for (index, tokens) in all.iter().enumerate() {
        let expected = if index < 2 { 401 } else { 200 };
        assert_eq!(world.status(tokens).await, expected, "{index}");
    }
    // The one that was not used for longest goes.
    world.at(SECOND * 6);
    let used = world.refresh(&all[2]).await.unwrap();
    world.issue().await;
    assert!(world.is_alive(session(&used)).await);
    assert!(!world.is_alive(session(&all[3])).await);
    assert_eq!(world.status(&other).await, 200);
    let none = TokenIssuer::builder(ISSUER, keys()).audience(AUDIENCE);
    assert!(none.max_sessions_per_user(0).build().is_err());
}

#[tokio::test]
async fn token_revoked_at_issuance_is_not_returned() {
    let world = World::new().await;
    for _ in 0..61 {
        world
            .issuer
            .end_sessions(SessionsOf::Subject("alice"))
            .await
            .unwrap();
    }
    let grant = || Grant::new("alice", "web");
    assert_eq!(status_of(world.issuer.issue(grant()).await), 503);
    assert_eq!(status_of(world.issuer.issue_access_token(grant())), 503);
    world.at(SECOND * 2);
    let tokens = world.issue().await;
    assert_eq!(world.status(&tokens).await, 200);
}

#[tokio::test]
async fn many_users_end_all_sessions_within_one_second() {
    let world = World::new().await;
    let mut all = Vec::new();
    for number in 0..9 {
        let name = format!("user-{number}");
        let before = world.issue_to(&name, "web").await;
        world
            .issuer
            .end_sessions(SessionsOf::Subject(&name))
            .await
            .unwrap();
        assert_eq!(world.status(&before).await, 401);
        all.push(world.issue_to(&name, "web").await);
    }
    for tokens in &all {
        assert_eq!(world.status(tokens).await, 200);
    }
}

#[tokio::test]
async fn two_processes_filling_one_hub_do_not_block_other_users() {
    let clock = ManualClock::new(now());
    let store = TestStore::shared();
    let (one, other) = (
        hub(&store, &clock).limit(4).open().await.unwrap(),
        hub(&store, &clock).limit(4).open().await.unwrap(),
    );
    use tower_bearer::revocation::Revocation;
    let of = |name: String| Revocation::session(Some(ISSUER), &name, now() + HOUR);
    // Each has room for its own when it adds it, and hears of the other's after that.
    for number in 0..4 {
        let (here, there) = (of(format!("one-{number}")), of(format!("other-{number}")));
        let _ = tokio::join!(one.revoke(&here), other.revoke(&there));
    }
    let begun = std::time::Instant::now();
    while one.len() != other.len() {
        assert!(begun.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(one.len() >= 4 && one.is_synced() && other.is_synced());
    assert_eq!(
        status_of(
            one.revoke(&of("more".into()))
                .await
                .map_err(IssuingError::from)
        ),
        503
    );
}

#[tokio::test]
async fn shorter_refresh_ttl_applies_to_existing_sessions() {
    let (world, keys) = world().await;
    let grant = Grant::new("alice", "web").token_version(3);
    let old = world.issuer.issue(grant).await.unwrap();
    let hub = hub(&world.store, &world.clock).open().await.unwrap();
    let issuer = TokenIssuer::builder(ISSUER, keys)
        .audience(AUDIENCE)
        .revocations(hub)
        .sessions(world.store.clone())
        .refresh_ttl(DAY)
        .clock(world.clock.clone())
        .build()
        .unwrap();
    world.at(DAY * 2);
    let refused = issuer.refresh(refresh_token(&old), "web", None).await;
    assert_eq!(reason(refused), InvalidGrant::Expired);
}

#[tokio::test]
async fn overfull_hub_recovers_after_entries_expire() {
    let clock = ManualClock::new(now());
    let store = TestStore::shared();
    let small = hub(&store, &clock).limit(2).open().await.unwrap();
    use tower_bearer::issuing::store::RevocationStore as _;
    use tower_bearer::revocation::Revocation;
    // Twice the limit, and more than the rest.
    for number in 0..20 {
        let revocation = Revocation::session(Some(ISSUER), &number.to_string(), now() + SECOND);
        store.add(&revocation, now()).await.unwrap();
    }
    let until = async |is_synced: bool| {
        let begun = std::time::Instant::now();
        while small.is_synced() != is_synced {
            assert!(begun.elapsed() < Duration::from_secs(30));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    until(false).await;
    // They are all there, and have ended.
    clock.set(now() + HOUR);
    until(true).await;
}
