//! A client gives back a token (RFC 7009).

use super::*;

#[tokio::test]
async fn revoked_refresh_token_ends_its_session() {
    // RFC 7009 section 2.1: and the access tokens of the same grant.
    for spent in [false, true] {
        let world = World::new().await;
        let (first, other) = (world.issue().await, world.issue().await);
        let second = world.refresh(&first).await.unwrap();
        for tokens in [&first, &second, &other] {
            assert_eq!(world.status(tokens).await, 200);
        }
        // A spent one will do: who gives it back wants the end of it.
        let given = if spent { &first } else { &second };
        for _ in 0..2 {
            let revoked = world.issuer.revoke(refresh_token(given), "web").await;
            revoked.unwrap();
            for tokens in [&first, &second] {
                assert_eq!(world.status(tokens).await, 401);
            }
            assert_eq!(reason(world.refresh(&second).await), InvalidGrant::Unknown);
        }
        assert_eq!(world.status(&other).await, 200);
        assert!(world.refresh(&other).await.is_ok());
    }
}

#[tokio::test]
async fn revoked_access_token_leaves_session() {
    let world = World::new().await;
    let first = world.issue().await;
    let second = world.refresh(&first).await.unwrap();
    let alone = Grant::new("robot", "web");
    let alone = world.issuer.issue_access_token(alone).unwrap();
    for tokens in [&first, &second, &alone] {
        assert_eq!(world.status(tokens).await, 200);
    }
    for tokens in [&second, &alone] {
        let text = tokens.access_token();
        world.issuer.revoke(text, "web").await.unwrap();
        assert_eq!(world.status(tokens).await, 401);
    }
    assert_eq!(world.status(&first).await, 200);
    let third = world.refresh(&second).await.unwrap();
    assert_eq!(world.status(&third).await, 200);
    // For as long as it would be accepted anywhere.
    for after in [899, 900, 959, 960, 1_200] {
        world.at(after * SECOND);
        assert_eq!(world.status(&second).await, 401, "{after}");
    }
    assert_eq!(world.issuer.revocations().len(), 2);
}

#[tokio::test]
async fn client_cannot_revoke_token_of_another_client() {
    let world = World::new().await;
    let first = world.issue().await;
    let second = world.refresh(&first).await.unwrap();
    for client in ["app", "", "WEB", "web "] {
        for text in [
            refresh_token(&second),
            refresh_token(&first),
            second.access_token(),
        ] {
            let revoked = world.issuer.revoke(text, client).await;
            assert_eq!(reason(revoked), InvalidGrant::Client, "{client:?}");
        }
    }
    assert_eq!(world.status(&second).await, 200);
    assert!(world.refresh(&second).await.is_ok());
    assert!(world.issuer.revocations().is_empty());
}

#[tokio::test]
async fn unknown_token_is_no_error() {
    // RFC 7009 section 2.2
    let world = World::new().await;
    let tokens = world.issue().await;
    let forged = {
        let mut parts: Vec<&str> = tokens.access_token().split('.').collect();
        let signature = base64url([1; 64]);
        parts[2] = &signature;
        parts.join(".")
    };
    let elsewhere = TokenIssuer::builder(ISSUER, keys())
        .audience(AUDIENCE)
        .clock(world.clock.clone())
        .build()
        .unwrap();
    let elsewhere = elsewhere.issue(Grant::new("alice", "web")).await.unwrap();
    let unknown = base64url([9; 48]);
    for text in [
        "",
        "garbage",
        "a.b.c",
        "..",
        &forged,
        &unknown,
        refresh_token(&elsewhere),
        &"x".repeat(100_000),
    ] {
        world.issuer.revoke(text, "web").await.unwrap();
        // Nor does it matter who asks.
        world.issuer.revoke(text, "app").await.unwrap();
    }
    assert!(world.issuer.revocations().is_empty());
    assert_eq!(world.status(&tokens).await, 200);
    // What has expired is over anyway.
    world.at(DAY * 2);
    let text = tokens.access_token();
    world.issuer.revoke(text, "web").await.unwrap();
    assert!(world.issuer.revocations().is_empty());
}

#[tokio::test]
async fn token_within_leeway_can_be_revoked() {
    let world = World::new().await;
    let tokens = world.issue().await;
    world.at(930 * SECOND);
    assert_eq!(world.status(&tokens).await, 200);
    let text = tokens.access_token();
    world.issuer.revoke(text, "web").await.unwrap();
    assert_eq!(world.status(&tokens).await, 401);
}

#[tokio::test]
async fn expired_session_is_ended_while_its_access_tokens_are_valid() {
    for (name, by_token) in [("by its token", true), ("by its name", false)] {
        let world = World::with(|builder| builder.refresh_ttl(MINUTE)).await;
        let tokens = world.issue().await;
        world.at(900 * SECOND);
        // On this occasion what is over is cleared away.
        world.issue().await;
        assert!(!world.is_alive(session(&tokens)).await);
        assert_eq!(world.status(&tokens).await, 200);
        match by_token {
            true => {
                let revoked = world.issuer.revoke(refresh_token(&tokens), "web").await;
                revoked.unwrap();
            }
            false => assert!(world.issuer.end_session(session(&tokens)).await.unwrap()),
        }
        assert_eq!(world.status(&tokens).await, 401, "{name}");
    }
}

#[tokio::test]
async fn session_record_is_removed_after_last_token_expires() {
    let world = World::with(|builder| builder.refresh_ttl(MINUTE)).await;
    world.issue().await;
    // A minute, the access token that may be issued at its end, and the longest leeway.
    for (after, expected) in [(1_259, 2), (1_260, 2)] {
        world.at(after * SECOND);
        world.issue_to("bob", "web").await;
        assert_eq!(world.store.sessions(), expected, "{after}");
    }
}

#[tokio::test]
async fn revocation_checks_signature_issuer_and_type_alone() {
    // (M04: revoke or fail) Authenticity decides. Signed with the keys of the issuer, which also
    // sign tokens of other kinds.
    let world = World::new().await;
    let key = world.issuer.keys().current();
    let claims = |change: &dyn Fn(&mut Value)| {
        let mut claims = json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "client_id": "web",
            "iat": NOW, "exp": NOW + 900, "jti": "t-1",
        });
        change(&mut claims);
        claims
    };
    let revoke = async |typ, claims: Value| {
        let token = key.sign_jwt(typ, &claims).unwrap();
        let answer = world.issuer.revoke(&token, "web").await;
        (answer, world.issuer.revocations().len())
    };
    // A token of another kind or issuer is answered with 200, and nothing is stored.
    for (typ, claims) in [
        ("JWT", claims(&|_| {})),
        ("dpop+jwt", claims(&|_| {})),
        ("logout+jwt", claims(&|_| {})),
        (
            "at+jwt",
            claims(&|claims| claims["iss"] = json!("https://other.example")),
        ),
        ("at+jwt", claims(&|claims| claims["events"] = json!({}))),
    ] {
        let (answer, entries) = revoke(typ, claims.clone()).await;
        assert!(answer.is_ok() && entries == 0, "{typ} {claims}: {answer:?}");
    }
    // A token that cannot be revoked individually is not reported as revoked.
    for name in ["jti", "exp"] {
        let without = claims(&|claims| _ = claims.as_object_mut().unwrap().remove(name));
        let (answer, entries) = revoke("at+jwt", without).await;
        assert_eq!(status_of(answer), 400, "{name}");
        assert_eq!(entries, 0);
    }
    // All other tokens are revoked. Dates, audience and binding are checked by validators.
    for (number, change) in [
        &(|_: &mut Value| {}) as &dyn Fn(&mut Value),
        &|claims| claims["aud"] = json!("https://elsewhere.example"),
        &|claims| claims["nbf"] = json!(NOW + 800),
        &|claims| claims["iat"] = json!(NOW + 75),
        &|claims| claims["exp"] = json!(NOW - 299),
        &|claims| claims["cnf"] = json!({"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}),
    ]
    .iter()
    .enumerate()
    {
        let mut claims = claims(change);
        claims["jti"] = json!(format!("t-{number}"));
        let (answer, entries) = revoke("at+jwt", claims.clone()).await;
        assert!(answer.is_ok(), "{claims}: {answer:?}");
        assert_eq!(entries, number + 1, "{claims}");
    }
}
