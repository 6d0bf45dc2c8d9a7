//! A store that fails: nothing that was acknowledged is lost, and nothing is let through.

use super::*;

const BOTH: [When; 2] = [When::Before, When::After];

/// The same after a restart, with what the store has.
async fn restarted(world: &World) -> World {
    let hub = RevocationHub::builder(world.store.clone()).clock(world.clock.clone());
    let issuer = TokenIssuer::builder(ISSUER, world.issuer.keys().clone())
        .audience(AUDIENCE)
        .revocations(hub.open().await.unwrap())
        .sessions(world.store.clone())
        .clock(world.clock.clone())
        .build()
        .unwrap();
    World {
        validator: issuer.validator().unwrap(),
        store: world.store.clone(),
        clock: world.clock.clone(),
        issuer,
    }
}

/// That the tokens are worth nothing, here and after a restart.
async fn assert_over(world: &World, all: &[&TokenResponse], name: &str) {
    for world in [world, &restarted(world).await] {
        for tokens in all {
            assert_eq!(world.status(tokens).await, 401, "{name}");
            assert!(world.refresh(tokens).await.is_err(), "{name}");
        }
    }
}

#[tokio::test]
async fn unstored_tokens_are_not_returned() {
    for when in BOTH {
        let world = World::new().await;
        world.store.fail(Op::Insert, when);
        let asked = world.issuer.issue(Grant::new("alice", "web")).await;
        assert_eq!(status_of(asked), 503, "{when:?}");
        world.store.recover();
        let tokens = world.issue().await;
        assert_eq!(world.status(&tokens).await, 200);
        assert!(restarted(&world).await.refresh(&tokens).await.is_ok());
    }
}

#[tokio::test]
async fn failed_refresh_can_be_retried() {
    for (grace, op, when, survives) in [
        (0, Op::Find, When::Before, true),
        (0, Op::Find, When::After, true),
        (0, Op::Replace, When::Before, true),
        // Nobody can tell it from a thief, unless there is a grace.
        (0, Op::Replace, When::After, false),
        (10, Op::Replace, When::Before, true),
        (10, Op::Replace, When::After, true),
    ] {
        let name = format!("{grace} {op:?} {when:?}");
        let world = World::with(|builder| builder.reuse_grace(grace * SECOND)).await;
        let tokens = world.issue().await;
        world.store.fail(op, when);
        for _ in 0..2 {
            let asked = world.refresh(&tokens).await;
            match (&asked, survives) {
                // By then it has been seen to be spent.
                (Err(IssuingError::InvalidGrant { .. }), false) => {}
                _ => assert_eq!(status_of(asked), 503, "{name}"),
            }
            if when == When::After {
                break;
            }
        }
        world.store.recover();
        let again = world.refresh(&tokens).await;
        assert_eq!(again.is_ok(), survives, "{name}");
        match again {
            Ok(next) => {
                assert_eq!(world.status(&next).await, 200, "{name}");
                assert!(restarted(&world).await.refresh(&next).await.is_ok());
            }
            Err(_) => assert_over(&world, &[&tokens], &name).await,
        }
    }
}

#[tokio::test]
async fn stolen_token_gains_nothing_from_outage() {
    for (op, when) in [
        (Op::Replace, When::Before),
        (Op::Replace, When::After),
        (Op::Add, When::Before),
        (Op::Add, When::After),
        (Op::Remove, When::Before),
        (Op::Remove, When::After),
    ] {
        let name = format!("{op:?} {when:?}");
        let world = World::new().await;
        let first = world.issue().await;
        let second = world.refresh(&first).await.unwrap();
        assert_eq!(world.status(&second).await, 200);
        world.store.fail(op, when);
        // The session has ended without the last step. The record expires.
        let expected = if op == Op::Remove { 400 } else { 503 };
        assert_eq!(status_of(world.refresh(&first).await), expected, "{name}");
        // In this process the session has ended, also while the store fails.
        assert_eq!(world.status(&second).await, 401, "{name}");
        assert!(world.refresh(&second).await.is_err(), "{name}");
        world.store.recover();
        // Whoever comes first, and with which token: it is over.
        assert!(world.refresh(&second).await.is_err(), "{name}");
        assert_over(&world, &[&first, &second], &name).await;
    }
}

#[tokio::test]
async fn acknowledged_session_end_is_permanent() {
    #[derive(Clone, Copy, Debug)]
    enum How {
        RefreshToken,
        AccessToken,
        Name,
        NameOfUser,
        User,
        Client,
    }
    let end = async |world: &World, tokens: &TokenResponse, how| {
        let issuer = &world.issuer;
        match how {
            How::RefreshToken => issuer.revoke(refresh_token(tokens), "web").await,
            How::AccessToken => issuer.revoke(tokens.access_token(), "web").await,
            How::Name => issuer.end_session(session(tokens)).await.map(|_| ()),
            How::NameOfUser => {
                let ended = issuer.end_session_of("alice", session(tokens)).await;
                ended.map(|_| ())
            }
            How::User => {
                let ended = issuer.end_sessions(SessionsOf::Subject("alice")).await;
                ended.map(|_| ())
            }
            How::Client => {
                let ended = issuer.end_sessions(SessionsOf::Client("web")).await;
                ended.map(|_| ())
            }
        }
    };
    for (how, ops) in [
        (
            How::RefreshToken,
            &[Op::Find, Op::Replace, Op::Add, Op::Remove][..],
        ),
        (How::AccessToken, &[Op::Find, Op::Replace, Op::Add]),
        (How::Name, &[Op::Find, Op::Replace, Op::Add, Op::Remove]),
        (
            How::NameOfUser,
            &[Op::Find, Op::Replace, Op::Add, Op::Remove],
        ),
        (How::User, &[Op::Add, Op::List, Op::Replace, Op::Remove]),
        (How::Client, &[Op::Add, Op::List, Op::Replace, Op::Remove]),
    ] {
        for op in ops {
            for when in BOTH {
                let name = format!("{how:?} {op:?} {when:?}");
                let world = World::new().await;
                let first = world.issue().await;
                let second = world.refresh(&first).await.unwrap();
                assert_eq!(world.status(&second).await, 200);
                world.store.fail(*op, when);
                let ended = end(&world, &second, how).await;
                match op {
                    // (M03: resumed endings) The record is marked, so removing it only saves space.
                    Op::Remove => ended.unwrap(),
                    _ => {
                        assert_eq!(status_of(ended), 503, "{name}");
                        world.store.recover();
                        end(&world, &second, how).await.unwrap();
                    }
                }
                world.store.recover();
                match how {
                    How::AccessToken => {
                        for world in [&world, &restarted(&world).await] {
                            assert_eq!(world.status(&second).await, 401, "{name}");
                            assert_eq!(world.status(&first).await, 200, "{name}");
                        }
                        assert!(world.refresh(&second).await.is_ok(), "{name}");
                    }
                    _ => assert_over(&world, &[&first, &second], &name).await,
                }
            }
        }
    }
}

#[tokio::test]
async fn access_tokens_are_revoked_before_session_record_is_removed() {
    // If it were the other way round, what fails in between would leave tokens that nobody can find any more.
    for when in BOTH {
        let world = World::new().await;
        let tokens = world.issue().await;
        world.store.fail(Op::Add, when);
        let id = session(&tokens);
        assert_eq!(status_of(world.issuer.end_session(id).await), 503);
        assert_eq!(world.store.sessions(), 1, "{when:?}");
        let of = SessionsOf::Subject("alice");
        assert_eq!(status_of(world.issuer.end_sessions(of).await), 503);
        assert_eq!(world.store.sessions(), 1, "{when:?}");
        // The same for one that is reused.
        world.store.recover();
        world.at(SECOND);
        let next = world.issue().await;
        world.refresh(&next).await.unwrap();
        world.store.fail(Op::Add, when);
        assert_eq!(status_of(world.refresh(&next).await), 503);
        assert_eq!(world.store.sessions(), 2, "{when:?}");
    }
}

#[tokio::test]
async fn unreadable_session_is_unavailable_without_details() {
    // (J04: error texts)
    use tower_bearer::issuing::store::{SessionRecord, SessionStore as _};
    let world = World::new().await;
    let tokens = world.issue().await;
    let id = session(&tokens);
    for data in [
        &b""[..],
        b"{}",
        b"\xff",
        br#"{"scope":"t0pSecret","started_at":"t0pSecret"}"#,
        br#"{"scope":"a","started_at":1,"last_used_at":1,"ends_at":1,"idle_ends_at":1,"current":"t0pSecret"}"#,
        br#"{"scope":{"t0pSecret":1}}"#,
    ] {
        world.store.remove(id).await.unwrap();
        let record = SessionRecord::new(id, 0, ISSUER, "alice", "web", now() + DAY, data.to_vec());
        world.store.insert(record, now()).await.unwrap();
        let error = world.refresh(&tokens).await.unwrap_err();
        assert_eq!(error.status(), 503);
        let mut text = format!("{error} {error:?} {error:#?}");
        let mut source = std::error::Error::source(&error);
        while let Some(error) = source {
            text.push_str(&format!("{error} {error:?}"));
            source = error.source();
        }
        assert!(!text.contains("t0pSecret"), "{text}");
    }
}
