//! Refresh tokens: good once, for one client, for a time, and for no more than was granted.

use super::*;

#[tokio::test]
async fn each_refresh_rotates_token_and_keeps_session() {
    let world = World::new().await;
    let first = world.issue().await;
    let mut all = vec![first.clone()];
    for _ in 0..5 {
        let next = world.refresh(all.last().unwrap()).await.unwrap();
        assert_eq!(next.session(), first.session());
        assert!(
            all.iter()
                .all(|other| other.refresh_token() != next.refresh_token())
        );
        all.push(next);
    }
    // The access tokens before it count until they expire.
    for tokens in &all {
        assert_eq!(world.status(tokens).await, 200);
        let sid = claims_of(tokens.access_token())["sid"].clone();
        assert_eq!(sid, session(&first).to_string());
    }
    assert_eq!(world.store.sessions(), 1);
}

#[tokio::test]
async fn refresh_with_spent_token_ends_session_and_revokes_its_tokens() {
    // (K01: revocation on hits) RFC 9700 section 4.14.2
    for spent in 0..3 {
        let world = World::new().await;
        let other = world.issue().await;
        let mut all = vec![world.issue().await];
        for _ in 0..3 {
            all.push(world.refresh(all.last().unwrap()).await.unwrap());
        }
        // All of them are remembered.
        for tokens in all.iter().chain(&all).chain([&other]) {
            assert_eq!(world.status(tokens).await, 200);
        }
        assert_eq!(world.validator.cache().unwrap().len(), 5);
        let expected = InvalidGrant::Reused {
            session: session(&all[0]),
        };
        assert_eq!(reason(world.refresh(&all[spent]).await), expected);
        for tokens in &all {
            assert_eq!(world.status(tokens).await, 401);
            assert_eq!(reason(world.refresh(tokens).await), InvalidGrant::Unknown);
        }
        assert!(!world.is_alive(session(&all[0])).await);
        // Another session of the same user does not know of it.
        assert_eq!(world.status(&other).await, 200);
        assert!(world.refresh(&other).await.is_ok());
    }
}

#[tokio::test]
async fn spent_token_is_detected_with_any_requested_scope() {
    let world = World::new().await;
    let first = world.issue().await;
    let second = world.refresh(&first).await.unwrap();
    let asked = world
        .issuer
        .refresh(refresh_token(&first), "web", Some("admin"))
        .await;
    assert!(is_reused(asked));
    assert_eq!(world.status(&second).await, 401);
}

#[tokio::test]
async fn refresh_narrows_scopes_and_session_keeps_all() {
    // RFC 6749 section 6
    let world = World::new().await;
    let mut tokens = world.issue().await;
    for bad in ["admin", "read admin", "READ", "rea", "read  write", "", " "] {
        let asked = world
            .issuer
            .refresh(refresh_token(&tokens), "web", Some(bad));
        assert!(
            matches!(asked.await, Err(IssuingError::InvalidScope)),
            "{bad:?}"
        );
    }
    for (asked, expected) in [
        (Some("read"), "read"),
        (None, "read write"),
        (Some("write read"), "write read"),
        (Some("write"), "write"),
        (Some("read write"), "read write"),
    ] {
        // What was refused has spent nothing.
        tokens = world
            .issuer
            .refresh(refresh_token(&tokens), "web", asked)
            .await
            .unwrap();
        assert_eq!(claims_of(tokens.access_token())["scope"], expected);
        let scopes: Vec<_> = tokens.scopes().collect();
        assert_eq!(scopes.join(" "), expected);
        let sessions = world.issuer.sessions(SessionsOf::Subject("alice"), None, 9);
        let sessions = sessions.await.unwrap();
        let kept: Vec<_> = sessions[0].scopes().collect();
        assert_eq!(kept, ["read", "write"]);
    }
    // Of nothing there is no part.
    let nothing = world.issuer.issue(Grant::new("bob", "web")).await.unwrap();
    let asked = world
        .issuer
        .refresh(refresh_token(&nothing), "web", Some("read"))
        .await;
    assert!(matches!(asked, Err(IssuingError::InvalidScope)));
    let next = world.refresh(&nothing).await.unwrap();
    assert_eq!(next.scopes().count(), 0);
}

#[tokio::test]
async fn refresh_token_is_bound_to_its_client() {
    let world = World::new().await;
    let first = world.issue().await;
    let second = world.refresh(&first).await.unwrap();
    for client in ["app", "we", "webb", "WEB", ""] {
        for tokens in [&second, &first] {
            let asked = world.issuer.refresh(refresh_token(tokens), client, None);
            assert_eq!(reason(asked.await), InvalidGrant::Client, "{client:?}");
        }
    }
    // Neither spent nor ended.
    assert_eq!(world.status(&second).await, 200);
    assert!(world.refresh(&second).await.is_ok());
}

#[tokio::test]
async fn unused_session_expires() {
    for (after, is_good) in [
        (100 * SECOND - Duration::from_nanos(1), true),
        (100 * SECOND, false),
        (HOUR, false),
    ] {
        let world = World::with(|builder| builder.refresh_ttl(100 * SECOND)).await;
        let tokens = world.issue().await;
        world.at(after);
        assert_eq!(world.is_alive(session(&tokens)).await, is_good, "{after:?}");
        match is_good {
            true => assert!(world.refresh(&tokens).await.is_ok()),
            false => assert_eq!(reason(world.refresh(&tokens).await), InvalidGrant::Expired),
        }
    }
}

#[tokio::test]
async fn session_expires_at_maximum_lifetime_despite_use() {
    let world = World::with(|builder| {
        builder
            .refresh_ttl(100 * SECOND)
            .session_ttl(250 * SECOND)
            .access_ttl(HOUR)
    })
    .await;
    let mut tokens = world.issue().await;
    for after in [99, 198, 249] {
        world.at(after * SECOND);
        tokens = world.refresh(&tokens).await.unwrap();
        assert!(world.is_alive(session(&tokens)).await);
    }
    world.at(250 * SECOND);
    assert!(!world.is_alive(session(&tokens)).await);
    assert_eq!(reason(world.refresh(&tokens).await), InvalidGrant::Expired);
    // A spent token of it is no news either.
    assert_eq!(world.status(&tokens).await, 200);
}

#[tokio::test]
async fn temporary_clock_jump_ends_no_session() {
    for back in [false, true] {
        let world = World::new().await;
        let tokens = world.issue().await;
        match back {
            true => world.clock.set(now() - DAY),
            false => world.at(365 * DAY),
        }
        let asked = world.refresh(&tokens).await;
        assert_eq!(asked.is_ok(), back);
        let tokens = asked.unwrap_or(tokens);
        world.at(SECOND);
        let next = world.refresh(&tokens).await.unwrap();
        assert_eq!(world.status(&next).await, 200);
        assert!(world.is_alive(session(&next)).await);
    }
    // Used while it was ahead: the session is no longer for it than it was to be.
    let world = World::new().await;
    let tokens = world.issue().await;
    world.at(6 * DAY);
    let tokens = world.refresh(&tokens).await.unwrap();
    world.at(SECOND);
    let tokens = world.refresh(&tokens).await.unwrap();
    world.at(7 * DAY + SECOND);
    assert_eq!(reason(world.refresh(&tokens).await), InvalidGrant::Expired);
}

/// Texts that are not tokens of the session, whatever somebody knows of it who never held one.
fn made_up(tokens: &TokenResponse) -> Vec<String> {
    let token = refresh_token(tokens);
    let id = session(tokens);
    let half = |family: &[u8]| base64url([family, &[7; 32]].concat());
    let family = URL_SAFE_NO_PAD.decode(token).unwrap()[..16].to_vec();
    vec![
        String::new(),
        half(&[7; 16]),
        // The name of the session in place of the secret half, in several ways.
        half(id.as_bytes()),
        format!("{id}{}", &token[22..]),
        id.to_string(),
        // All but a letter, a letter too much, another alphabet, another way to write it.
        token[..63].to_owned(),
        token[..60].to_owned(),
        token[1..].to_owned(),
        format!("{token}A"),
        format!("{token}AAAA"),
        format!("{token}="),
        format!(" {token}"),
        format!("{token}\n"),
        "+".repeat(64),
        base64::engine::general_purpose::STANDARD.encode([0xfb; 48]),
        base64url(&family),
        tokens.access_token().to_owned(),
    ]
}

#[tokio::test]
async fn forged_refresh_tokens_end_no_session() {
    // (C16: whole tokens)
    let world = World::new().await;
    let tokens = world.issue().await;
    for text in made_up(&tokens) {
        let asked = world.issuer.refresh(&text, "web", None).await;
        assert_eq!(reason(asked), InvalidGrant::Unknown, "{text}");
        if text != tokens.access_token() {
            world.issuer.revoke(&text, "web").await.unwrap();
        }
        assert!(world.is_alive(session(&tokens)).await, "{text}");
        assert_eq!(world.status(&tokens).await, 200, "{text}");
    }
    assert!(world.refresh(&tokens).await.is_ok());
    assert_eq!(world.store.revocations(), Vec::<String>::new());
}

#[tokio::test]
async fn refresh_token_with_altered_second_half_counts_as_reuse() {
    // A list of spent tokens is not needed to know them.
    let world = World::new().await;
    let tokens = world.issue().await;
    let mut bytes = URL_SAFE_NO_PAD.decode(refresh_token(&tokens)).unwrap();
    bytes[47] ^= 1;
    let asked = world.issuer.refresh(&base64url(bytes), "web", None).await;
    assert!(is_reused(asked));
    assert_eq!(world.status(&tokens).await, 401);
}
