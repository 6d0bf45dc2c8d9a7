//! Sessions as users and operators see and end them.

use super::*;
use std::collections::BTreeSet;
use tower_bearer::issuing::store::{SessionRecord, SessionStore as _};

async fn list(world: &World, of: SessionsOf<'_>) -> Vec<SessionId> {
    let sessions = world.issuer.sessions(of, None, 1_000).await.unwrap();
    sessions.iter().map(|session| session.id()).collect()
}

#[tokio::test]
async fn session_info_has_label_times_and_scopes() {
    let world = World::new().await;
    world.clock.advance(SECOND / 2);
    let grant = Grant::new("alice", "web").scope("read write");
    let tokens = world.issuer.issue(grant.label("Firefox")).await.unwrap();
    world.at(MINUTE);
    world.refresh(&tokens).await.unwrap();
    let of = SessionsOf::Subject("alice");
    let sessions = world.issuer.sessions(of, None, 10).await.unwrap();
    let [shown] = &sessions[..] else {
        panic!("{sessions:?}")
    };
    assert_eq!(shown.id(), session(&tokens));
    assert_eq!((shown.subject(), shown.client()), ("alice", "web"));
    assert_eq!(shown.scopes().collect::<Vec<_>>(), ["read", "write"]);
    assert_eq!(shown.label(), Some("Firefox"));
    assert_eq!(shown.started_at(), now());
    assert_eq!(shown.last_used_at(), now() + MINUTE);
    assert_eq!(shown.idle_ends_at(), now() + MINUTE + 7 * DAY);
    assert_eq!(shown.ends_at(), now() + 30 * DAY);
    let unnamed = world.issue_to("bob", "web").await;
    let of = SessionsOf::Subject("bob");
    let sessions = world.issuer.sessions(of, None, 10).await.unwrap();
    assert_eq!(sessions[0].id(), session(&unnamed));
    assert_eq!(sessions[0].label(), None);
}

#[tokio::test]
async fn session_list_is_paged_and_excludes_expired_sessions() {
    let world = World::with(|builder| builder.refresh_ttl(HOUR)).await;
    // Of each four, three are over soon, so that whole pages are.
    let mut living = BTreeSet::new();
    let mut kept = Vec::new();
    for number in 0..40 {
        let tokens = world.issue().await;
        world.issue_to("alicf", "web").await;
        if number % 4 == 0 {
            living.insert(session(&tokens));
            kept.push(tokens);
        }
    }
    // Kept alive, so that in between there is nothing that could be cleared away.
    world.at(HOUR / 2);
    for tokens in &kept {
        world.refresh(tokens).await.unwrap();
    }
    for (after, expected) in [(HOUR - SECOND, 40), (HOUR, 10), (3 * HOUR / 2, 0)] {
        world.at(after);
        for limit in [1, 3, 7, 10, 40, 1_000] {
            let mut found = Vec::new();
            let mut last = None;
            loop {
                let of = SessionsOf::Subject("alice");
                let page = world.issuer.sessions(of, last, limit).await.unwrap();
                assert!(page.len() <= limit);
                let is_full = page.len() == limit;
                last = page.last().map(|session| session.id()).or(last);
                found.extend(page.iter().map(|session| session.id()));
                if !is_full {
                    break;
                }
            }
            assert_eq!(found.len(), expected, "{after:?} {limit}");
            assert!(found.is_sorted());
            if expected == 10 {
                assert!(found.iter().all(|id| living.contains(id)));
            }
        }
    }
    let of = SessionsOf::Subject("alice");
    world.at(Duration::ZERO);
    assert_eq!(world.issuer.sessions(of, None, 0).await.unwrap(), []);
}

#[tokio::test]
async fn session_list_is_limited_to_user_and_client() {
    let world = World::new().await;
    let mut all = Vec::new();
    for (subject, client) in [
        ("alice", "web"),
        ("alice", "app"),
        ("alic", "web"),
        ("alice2", "web"),
        ("web", "alice"),
        ("ALICE", "web"),
    ] {
        all.push(session(&world.issue_to(subject, client).await));
    }
    let of_alice = list(&world, SessionsOf::Subject("alice")).await;
    assert_eq!(
        BTreeSet::from_iter(of_alice),
        BTreeSet::from([all[0], all[1]])
    );
    assert_eq!(list(&world, SessionsOf::Subject("web")).await, [all[4]]);
    assert_eq!(list(&world, SessionsOf::Client("alice")).await, [all[4]]);
    assert_eq!(list(&world, SessionsOf::Client("web")).await.len(), 4);
    assert_eq!(list(&world, SessionsOf::Client("")).await, []);
}

#[tokio::test]
async fn session_ends_by_id() {
    let world = World::new().await;
    let (tokens, other) = (world.issue().await, world.issue().await);
    let next = world.refresh(&tokens).await.unwrap();
    for tokens in [&tokens, &next, &other] {
        assert_eq!(world.status(tokens).await, 200);
    }
    assert!(world.issuer.end_session(session(&tokens)).await.unwrap());
    for tokens in [&tokens, &next] {
        assert_eq!(world.status(tokens).await, 401);
        assert_eq!(reason(world.refresh(tokens).await), InvalidGrant::Unknown);
    }
    assert!(!world.issuer.end_session(session(&tokens)).await.unwrap());
    assert_eq!(world.status(&other).await, 200);
    assert!(world.refresh(&other).await.is_ok());
}

#[tokio::test]
async fn user_cannot_end_session_of_another_user() {
    let world = World::new().await;
    let tokens = world.issue().await;
    let id = session(&tokens);
    for subject in ["bob", "", "alice ", "Alice", "web"] {
        assert!(
            !world.issuer.end_session_of(subject, id).await.unwrap(),
            "{subject:?}"
        );
    }
    let nobody = SessionId::from_bytes([0; 16]);
    assert!(!world.issuer.end_session_of("alice", nobody).await.unwrap());
    assert_eq!(world.status(&tokens).await, 200);
    assert!(world.issuer.revocations().is_empty());
    assert!(world.issuer.end_session_of("alice", id).await.unwrap());
    assert_eq!(world.status(&tokens).await, 401);
    assert!(!world.issuer.end_session_of("alice", id).await.unwrap());
}

#[tokio::test]
async fn end_sessions_ends_all_of_user_or_client_and_no_others() {
    for (name, of) in [
        ("user", SessionsOf::Subject("alice")),
        ("client", SessionsOf::Client("web")),
    ] {
        let world = World::new().await;
        let alone = |subject: &str, client: &str| {
            let grant = Grant::new(subject, client);
            world.issuer.issue_access_token(grant).unwrap()
        };
        let both = world.issue().await;
        let user = world.issue_to("alice", "app").await;
        let client = world.issue_to("bob", "web").await;
        let neither = world.issue_to("bob", "app").await;
        let robot = (alone("alice", "web"), alone("bob", "app"));
        let refreshed = world.refresh(&both).await.unwrap();
        let (ended, survives) = match of {
            SessionsOf::Subject(_) => (&user, &client),
            _ => (&client, &user),
        };
        for tokens in [&both, &user, &client, &neither, &robot.0, &robot.1] {
            assert_eq!(world.status(tokens).await, 200, "{name}");
        }
        world.at(SECOND / 2);
        assert_eq!(world.issuer.end_sessions(of).await.unwrap(), 2, "{name}");
        for tokens in [&both, ended, &refreshed, &robot.0] {
            assert_eq!(world.status(tokens).await, 401, "{name}");
        }
        for tokens in [survives, &neither, &robot.1] {
            assert_eq!(world.status(tokens).await, 200, "{name}");
        }
        assert_eq!(world.store.sessions(), 2);
        assert_eq!(
            reason(world.refresh(&refreshed).await),
            InvalidGrant::Unknown
        );
        // (K06: same second) Within the same second it is not told apart, so what comes next is
        // dated to the next one,
        let (next, robot) = (world.issue().await, alone("alice", "web"));
        let next = world.refresh(&next).await.unwrap();
        assert_eq!(world.status(&next).await, 200, "{name}");
        assert_eq!(world.status(&robot).await, 200, "{name}");
        // and ends like the others, however soon.
        assert_eq!(world.issuer.end_sessions(of).await.unwrap(), 1, "{name}");
        assert_eq!(world.status(&next).await, 401, "{name}");
        assert_eq!(world.status(&robot).await, 401, "{name}");
        assert!(!world.is_alive(session(&next)).await);
        let again = world.issue().await;
        assert_eq!(world.status(&again).await, 200, "{name}");
        world.issuer.end_session(session(&again)).await.unwrap();
        world.at(SECOND);
        let (later, robot) = (world.issue().await, alone("alice", "web"));
        assert_eq!(world.status(&later).await, 200, "{name}");
        assert_eq!(world.status(&robot).await, 200, "{name}");
        assert!(world.refresh(&later).await.is_ok(), "{name}");
        assert_eq!(world.issuer.end_sessions(of).await.unwrap(), 1, "{name}");
        assert_eq!(world.status(&later).await, 401, "{name}");
    }
}

#[tokio::test]
async fn second_logout_within_one_second_is_effective() {
    // (K06: same second) Tokens that are dated to the next second because of the one end are those
    // of the other nevertheless.
    let of = [SessionsOf::Subject("alice"), SessionsOf::Client("web")];
    for (first, second) in [(of[0], of[1]), (of[1], of[0])] {
        let world = World::new().await;
        world.issuer.end_sessions(first).await.unwrap();
        let tokens = world.issue().await;
        let alone = Grant::new("alice", "web");
        let alone = world.issuer.issue_access_token(alone).unwrap();
        let next = world.refresh(&tokens).await.unwrap();
        for tokens in [&tokens, &next, &alone] {
            assert_eq!(world.status(tokens).await, 200);
        }
        assert_eq!(world.issuer.end_sessions(second).await.unwrap(), 1);
        for tokens in [&tokens, &next, &alone] {
            assert_eq!(world.status(tokens).await, 401);
        }
        assert!(world.refresh(&next).await.is_err());
        let later = world.issue().await;
        assert_eq!(world.status(&later).await, 200);
        assert!(world.refresh(&later).await.is_ok());
    }
}

#[tokio::test]
async fn tokens_dated_ahead_by_another_process_are_revoked() {
    let world = World::new().await;
    world
        .issuer
        .end_sessions(SessionsOf::Subject("alice"))
        .await
        .unwrap();
    let tokens = world.issue().await;
    assert_eq!(world.status(&tokens).await, 200);
    let other = TokenIssuer::builder(ISSUER, world.issuer.keys().clone())
        .audience(AUDIENCE)
        .revocations(world.issuer.revocations().clone())
        .sessions(world.store.clone())
        .clock(world.clock.clone())
        .build()
        .unwrap();
    let ended = other.end_sessions(SessionsOf::Client("web")).await;
    assert_eq!(ended.unwrap(), 1);
    assert_eq!(world.status(&tokens).await, 401);
    assert!(world.refresh(&tokens).await.is_err());
}

#[tokio::test]
async fn token_issued_during_end_of_all_sessions_is_revoked() {
    // One of the sessions may be refreshed until it is removed.
    let world = World::new().await;
    world.issue().await;
    let issued = std::sync::Arc::new(std::sync::Mutex::new(None));
    let (clock, issuer, tell) = (world.clock.clone(), world.issuer.clone(), issued.clone());
    world.store.meanwhile(Op::Remove, move || {
        clock.advance(5 * SECOND);
        let tokens = issuer.issue_access_token(Grant::new("alice", "web"));
        *tell.lock().unwrap() = Some(tokens.unwrap());
    });
    let of = SessionsOf::Subject("alice");
    assert_eq!(world.issuer.end_sessions(of).await.unwrap(), 1);
    let tokens = issued.lock().unwrap().take().unwrap();
    assert_eq!(world.status(&tokens).await, 401);
}

#[tokio::test]
async fn clock_that_was_ahead_revokes_no_later_token() {
    let world = World::new().await;
    let of = SessionsOf::Subject("alice");
    world.at(DAY);
    world.issuer.end_sessions(of).await.unwrap();
    world.issue().await;
    world.at(Duration::ZERO);
    world
        .issuer
        .end_sessions(SessionsOf::Client("web"))
        .await
        .unwrap();
    world.at(SECOND);
    let bob = world.issue_to("bob", "web").await;
    assert_eq!(world.status(&bob).await, 200);
}

#[tokio::test]
async fn end_sessions_ends_more_than_one_page() {
    let world = World::new().await;
    let mut last = world.issue().await;
    for _ in 0..600 {
        last = world.issue().await;
    }
    let of = SessionsOf::Subject("alice");
    assert_eq!(world.issuer.end_sessions(of).await.unwrap(), 601);
    assert_eq!(world.store.sessions(), 0);
    assert_eq!(reason(world.refresh(&last).await), InvalidGrant::Unknown);
}

#[tokio::test]
async fn unreadable_session_does_not_keep_others_alive() {
    let world = World::new().await;
    let garbage = |byte, data: &[u8]| {
        let id = SessionId::from_bytes([byte; 16]);
        SessionRecord::new(id, 0, ISSUER, "alice", "web", now() + DAY, data.to_vec())
    };
    for (byte, data) in [(0, &b""[..]), (0xff, b"{}")] {
        world
            .store
            .insert(garbage(byte, data), now())
            .await
            .unwrap();
    }
    let tokens = world.issue().await;
    let of = SessionsOf::Subject("alice");
    let listed = world.issuer.sessions(of, None, 10).await;
    assert_eq!(status_of(listed), 503);
    assert_eq!(world.issuer.end_sessions(of).await.unwrap(), 3);
    assert_eq!(world.store.sessions(), 0);
    assert_eq!(reason(world.refresh(&tokens).await), InvalidGrant::Unknown);
}
