//! A valid logout token revokes the session or the user (K03: logout tokens).

use super::*;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tower_bearer::Failure;
use tower_bearer::logout::LogoutToken;

const REVOKED: Result<(), FailureKind> = Err(FailureKind::Invalid(InvalidReason::Revoked));

#[tokio::test]
async fn cached_token_of_session_is_rejected_immediately() {
    // (K01: revocation on hits, K03: logout tokens)
    let service = Service::new(builder().build().unwrap());
    let access = access_token(json!({}));
    let of_others = access_token(json!({"sid": "s-2", "sub": "bob", "jti": "t-2"}));
    for token in [&access, &of_others] {
        assert_eq!(service.access(token), (Ok(()), false));
        assert_eq!(service.access(token), (Ok(()), true));
    }
    assert_eq!(service.post(&logout_token(json!({}))).await.status(), 200);
    assert_eq!(service.access(&access).0, REVOKED);
    assert_eq!(service.access(&of_others).0, Ok(()));
    // As long as the last token of the session may be good.
    let last = access_token(json!({"iat": NOW - 5, "exp": NOW + 3_595}));
    service.clock.advance(HOUR - Duration::from_secs(10));
    assert_eq!(service.access(&last).0, REVOKED);
}

#[tokio::test]
async fn logout_token_revokes_exactly_the_named_session_or_subject() {
    let at = |iat: u64| json!({"iat": iat});
    struct Case {
        name: &'static str,
        logout: Value,
        access: Value,
        /// Whether it is taken back, and whether by the letter of the specification.
        revoked: [bool; 2],
    }
    let cases = [
        Case {
            name: "the session",
            logout: json!({"sub": null}),
            access: json!({}),
            revoked: [true, true],
        },
        Case {
            name: "the session, of somebody else's token",
            logout: json!({"sub": null}),
            access: json!({"sid": "s-2"}),
            revoked: [false, false],
        },
        Case {
            name: "both, another session of the user",
            logout: json!({}),
            access: json!({"sid": "s-2"}),
            revoked: [true, false],
        },
        Case {
            name: "both, a token without a session",
            logout: json!({}),
            access: json!({"sid": null}),
            revoked: [true, false],
        },
        Case {
            name: "the user, another session",
            logout: json!({"sid": null}),
            access: json!({"sid": "s-2"}),
            revoked: [true, true],
        },
        Case {
            name: "the user, the second of the logout",
            logout: json!({"sid": null}),
            access: at(NOW - 5),
            revoked: [true, true],
        },
        Case {
            name: "the user, a later login",
            logout: json!({"sid": null}),
            access: at(NOW - 4),
            revoked: [false, false],
        },
        Case {
            name: "the session, refreshed since",
            logout: json!({}),
            access: at(NOW - 4),
            revoked: [true, true],
        },
        Case {
            name: "both, a later login",
            logout: json!({}),
            access: json!({"sid": "s-2", "iat": NOW - 4}),
            revoked: [false, false],
        },
        Case {
            name: "another user",
            logout: json!({"sid": null}),
            access: json!({"sub": "bob"}),
            revoked: [false, false],
        },
    ];
    for case in cases {
        for (narrow, revoked) in [false, true].into_iter().zip(case.revoked) {
            let validator = builder().build().unwrap();
            let service = match narrow {
                false => Service::with(validator, BackChannelLogout::revoking),
                true => Service::with(validator, BackChannelLogout::revoking_session),
            };
            let access = access_token(case.access.clone());
            assert_eq!(service.access(&access).0, Ok(()), "{}", case.name);
            let answer = service.post(&logout_token(case.logout.clone())).await;
            assert_eq!(answer.status(), 200, "{}", case.name);
            let expected = if revoked { REVOKED } else { Ok(()) };
            assert_eq!(
                service.access(&access).0,
                expected,
                "{} {narrow}",
                case.name
            );
        }
    }
}

#[tokio::test]
async fn optional_parts_of_specification_are_accepted() {
    for (name, changes) in [
        ("aud as a list", json!({"aud": [CLIENT]})),
        (
            "members in the event",
            json!({"events": {EVENT: {"reason": "admin"}}}),
        ),
        (
            "another event beside it",
            json!({"events": {EVENT: {}, "https://example.com/x": 1}}),
        ),
        ("claims that nobody knows", json!({"x": {"y": [1]}})),
        (
            "within the leeway",
            json!({"iat": NOW + 60, "exp": NOW + 61}),
        ),
        (
            "as old as may be",
            json!({"iat": NOW - 180, "exp": NOW - 59}),
        ),
        ("with fractions", json!({"iat": 1_799_999_999.5})),
    ] {
        let service = Service::new(builder().build().unwrap());
        let answer = service.post(&logout_token(changes)).await;
        assert_eq!(answer.status(), 200, "{name}");
        assert_eq!(
            service.access(&access_token(json!({}))).0,
            REVOKED,
            "{name}"
        );
    }
    // (M13: `null` is absence)
    for name in ["sid", "sub", "nonce", "x"] {
        let service = Service::new(builder().build().unwrap());
        let base = with(logout(), json!({name: null})).to_string();
        let claims = format!("{{\"{name}\":null,{}", &base[1..]);
        let token = signer().token_of(&header().to_string(), &claims);
        assert_eq!(service.post(&token).await.status(), 200, "{name}");
        let access = service.access(&access_token(json!({})));
        assert_eq!(access.0, REVOKED, "{name}");
    }
    let both = builder().audience("shop-backend").build().unwrap();
    let both = Service::new(both);
    let token = logout_token(json!({"aud": ["shop-backend", CLIENT]}));
    assert_eq!(both.post(&token).await.status(), 200);
    let older = Service::new(builder().max_age(HOUR).build().unwrap());
    let token = logout_token(json!({"iat": NOW - 3_600}));
    assert_eq!(older.post(&token).await.status(), 200);
    // Beside other parameters, and escaped.
    let service = Service::new(builder().build().unwrap());
    let token = logout_token(json!({})).replace('.', "%2E");
    let parameters = [("state", "x"), ("logout_token", &*token), ("id", "y")];
    assert_eq!(service.send(form(&parameters)).await.status(), 200);
}

#[tokio::test]
async fn handler_receives_claims_of_logout_token() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let by = Arc::clone(&heard);
    let endpoint =
        BackChannelLogout::new(builder().build().unwrap(), move |logout: LogoutToken| {
            let by = Arc::clone(&by);
            async move {
                by.lock().unwrap().push(logout);
                Ok::<_, std::io::Error>(())
            }
        })
        .with_clock(ManualClock::new(now()));
    let token = logout_token(json!({"sub": null}));
    let answer = send(endpoint.clone(), form(&[("logout_token", &token)])).await;
    assert_eq!(answer.status(), 200);
    let heard = heard.lock().unwrap().pop().unwrap();
    assert_eq!(heard.issuer(), ISSUER);
    assert_eq!(heard.token_id(), "l-1");
    assert_eq!(heard.session(), Some("s-1"));
    assert_eq!(heard.subject(), None);
    assert_eq!(heard.issued_at(), now() - Duration::from_secs(5));
    // (J03: no secrets in texts, J05: bounded labels)
    let texts = format!(
        "{heard:?} {endpoint:?} {answer:?}",
        answer = answer.response
    );
    for secret in ["s-1", "l-1", &token] {
        assert!(!texts.contains(secret), "{texts}");
    }
}

#[tokio::test]
async fn failed_handler_is_called_again_on_retry() {
    // (K02: revocation outages)
    let fails = Arc::new(AtomicBool::new(true));
    let calls = Arc::new(AtomicUsize::new(0));
    let (failing, counting) = (Arc::clone(&fails), Arc::clone(&calls));
    let endpoint = BackChannelLogout::new(builder().build().unwrap(), move |_| {
        let is_down = failing.load(Ordering::SeqCst);
        counting.fetch_add(1, Ordering::SeqCst);
        async move {
            match is_down {
                true => Err("redis://sessions.internal is gone"),
                false => Ok(()),
            }
        }
    })
    .with_clock(ManualClock::new(now()));
    let token = logout_token(json!({}));
    let post = || send(endpoint.clone(), form(&[("logout_token", &token)]));
    let answer = post().await;
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.header("retry-after"), Some("5"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.body, "");
    let failure = answer.response.extensions().get::<Failure>().unwrap();
    let source = std::error::Error::source(failure).unwrap();
    assert_eq!(source.to_string(), "redis://sessions.internal is gone");
    fails.store(false, Ordering::SeqCst);
    assert_eq!(post().await.status(), 200);
    assert_eq!(post().await.status(), 400);
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn concurrent_requests_with_one_token_call_handler_one_at_a_time() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&calls);
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let waiting = Arc::clone(&gate);
    let endpoint = BackChannelLogout::new(builder().build().unwrap(), move |_| {
        counting.fetch_add(1, Ordering::SeqCst);
        let gate = Arc::clone(&waiting);
        async move { gate.acquire().await.map(drop) }
    })
    .with_clock(ManualClock::new(now()));
    let token = logout_token(json!({}));
    let post = || {
        let endpoint = endpoint.clone();
        let request = form(&[("logout_token", &token)]);
        async move { send(endpoint, request).await.status() }
    };
    let first = tokio::spawn(post());
    while calls.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(post().await, 503);
    // Given up by its sender: whoever comes next may.
    first.abort();
    assert!(first.await.is_err());
    gate.add_permits(1);
    assert_eq!(post().await, 200);
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    assert_eq!(post().await, 400);
}

#[tokio::test]
async fn full_revocation_list_is_503() {
    // (K02: revocation outages)
    let clock = ManualClock::new(now());
    let revoked = RevocationList::with_clock(1, clock.clone());
    let validator = builder().build().unwrap();
    let endpoint =
        BackChannelLogout::revoking(validator, revoked.clone(), Duration::MAX).with_clock(clock);
    let post = |changes| {
        let token = logout_token(changes);
        send(endpoint.clone(), form(&[("logout_token", &token)]))
    };
    assert_eq!(post(json!({"sub": null})).await.status(), 200);
    let full = json!({"sub": null, "sid": "s-2", "jti": "l-2"});
    assert_eq!(post(full.clone()).await.status(), 503);
    // It has not been used, so it may come again.
    assert_eq!(post(full).await.status(), 503);
    assert_eq!(revoked.len(), 1);
}

#[tokio::test]
async fn direct_check_uses_logout_token_once() {
    let validator = builder().build().unwrap();
    let token = logout_token(json!({}));
    let logout = validator.validate(&token, now()).await.unwrap();
    assert_eq!(logout.session(), Some("s-1"));
    let again = validator.clone().validate(&token, now()).await.unwrap_err();
    assert!(matches!(again.kind(), FailureKind::Invalid(_)));
    let none = validator.validate("none", now()).await.unwrap_err();
    assert_eq!(none.kind(), FailureKind::Unrecognized);
}

#[tokio::test]
async fn client_secret_signature_is_accepted() {
    let secret = tower_bearer::jwt::SharedSecret::hs256(crate::tokens::SECRET).unwrap();
    let validator = LogoutTokenValidator::builder(secret)
        .issuer(ISSUER)
        .audience(CLIENT)
        .build()
        .unwrap();
    let service = Service::new(validator);
    let header = json!({"alg": "HS256", "typ": "logout+jwt"});
    let token = Signer::new("HS256").token_with(&header, &logout());
    assert_eq!(service.post(&logout_token(json!({}))).await.status(), 400);
    assert_eq!(service.post(&token).await.status(), 200);
}

#[cfg(feature = "issuing")]
#[tokio::test]
async fn signing_keys_of_same_process_are_followed_after_rotation() {
    // (E03: replaced key sets)
    use tower_bearer::issuing::{SigningKey, SigningKeys};
    use tower_bearer::jwt::Algorithm;

    let generate = || SigningKey::generate(Algorithm::ES256).unwrap();
    let keys = SigningKeys::new(generate()).unwrap();
    let validator = LogoutTokenValidator::builder(&keys)
        .issuer(ISSUER)
        .audience(CLIENT)
        .build()
        .unwrap();
    let service = Service::new(validator);
    let sign = |jti: &str| {
        let claims = with(logout(), json!({"jti": jti}));
        keys.current().sign_jwt("logout+jwt", &claims).unwrap()
    };
    let former = sign("1");
    assert_eq!(service.post(&sign("2")).await.status(), 200);
    keys.rotate(generate(), now(), Duration::ZERO).unwrap();
    assert_eq!(service.post(&sign("3")).await.status(), 200);
    assert_eq!(service.post(&former).await.status(), 400);
}

#[cfg(feature = "issuing")]
#[tokio::test]
async fn logout_reaches_revocation_hub() {
    use tower_bearer::issuing::RevocationHub;
    use tower_bearer::revocation::{RevocationClaims, Revocations as _};
    let hub = RevocationHub::in_memory();
    let clock = ManualClock::new(now());
    let validator = builder().build().unwrap();
    let endpoint = BackChannelLogout::revoking(validator, hub.clone(), HOUR).with_clock(clock);
    let token = logout_token(json!({}));
    let answer = send(endpoint, form(&[("logout_token", &token)])).await;
    assert_eq!(answer.status(), 200);
    let session = RevocationClaims::new()
        .with_issuer(ISSUER)
        .with_session("s-1");
    assert!(hub.is_revoked(&session, now()).unwrap());
    let issued = |seconds| {
        let then = now() - Duration::from_secs(seconds);
        let alice = RevocationClaims::new()
            .with_issuer(ISSUER)
            .with_subject("alice");
        hub.is_revoked(&alice.with_issued_at(then), now()).unwrap()
    };
    assert!(issued(6) && !issued(4));
}
