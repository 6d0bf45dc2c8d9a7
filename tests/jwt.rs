//! JWTs: what the application sets, and what it gets.

#[path = "support/pem.rs"]
mod pem;
#[path = "support/tokens.rs"]
mod tokens;

use std::error::Error as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{Request, Response};
use serde_json::{Value, json};
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_bearer::clock::ManualClock;
use tower_bearer::jwt::{
    AccessToken, Algorithm, ByShape, ClaimPath, ClaimsLayout, CryptoBackend, JwksOptions,
    JwtIssuers, JwtValidator, JwtValidatorBuilder, Key, KeyError, KeySet, PublicKey, SharedSecret,
    TokenError,
};
use tower_bearer::policy::Claims as _;
use tower_bearer::{
    Authenticated, BearerAuthLayer, Credential, Failure, FailureKind, InvalidReason, RequestView,
    Validator, Verdict, validator_fn,
};

use pem::{damaged_pems, pem_spellings};
use tokens::{
    AUDIENCE, ISSUER, NOW, SECRET, Signer, claims, der, now, private_pem, public_pem, read, with,
};

/// A validator of `claims` with what `set` does to the builder, at [`now`].
#[allow(
    clippy::needless_pass_by_value,
    reason = "reads better at the many calls"
)]
fn check(set: impl FnOnce(JwtValidatorBuilder) -> JwtValidatorBuilder, claims: Value) -> Outcome {
    let signer = Signer::new("EdDSA");
    let key = PublicKey::from_pem(public_pem("ed25519")).unwrap();
    let builder = set(JwtValidator::builder(key));
    run(
        &builder.build().unwrap(),
        &signer.token_with(&json!({"alg": "EdDSA"}), &claims),
    )
}

type Outcome = Result<Arc<AccessToken>, TokenError>;

/// What a validator says at once.
fn run(validator: &impl Validator<Principal = AccessToken>, token: &str) -> Outcome {
    let request = Request::new(());
    let clock = ManualClock::new(now());
    let credential = Credential::bearer(token).unwrap();
    match validator.validate(&credential, &RequestView::with_clock(&request, &clock)) {
        Verdict::Ready(Ok(validated)) => Ok(Arc::clone(validated.principal())),
        Verdict::Ready(Err(failure)) => Err(failure
            .source()
            .and_then(|source| source.downcast_ref::<TokenError>())
            .cloned()
            .unwrap_or(TokenError::NotAJwt)),
        Verdict::Pending(_) => panic!("nothing here has to wait"),
    }
}

fn usual(builder: JwtValidatorBuilder) -> JwtValidatorBuilder {
    builder.issuer(ISSUER).audience(AUDIENCE)
}

fn list<'t>(texts: impl Iterator<Item = &'t str>) -> Vec<&'t str> {
    texts.collect()
}

#[test]
fn an_access_token_has_all_that_rfc_9068_names() {
    let token = check(
        usual,
        with(
            claims(),
            json!({
                "aud": ["https://other.example", AUDIENCE], "nbf": NOW - 30, "auth_time": NOW as f64 - 300.5,
                "acr": "mfa", "amr": ["pwd", "otp"], "roles": ["editor", {"value": "author"}],
                "groups": ["staff"], "entitlements": ["beta"], "scope": "orders:read orders:write",
                "department": {"name": "sales", "number": 7},
            }),
        ),
    )
    .unwrap();
    assert_eq!(token.issuer(), Some(ISSUER));
    assert_eq!(token.subject(), Some("alice"));
    assert_eq!(list(token.audience()), ["https://other.example", AUDIENCE]);
    assert_eq!(token.client_id(), Some("shop"));
    assert_eq!(token.token_id(), Some("t-1"));
    let at = |seconds: f64| Some(SystemTime::UNIX_EPOCH + Duration::from_secs_f64(seconds));
    assert_eq!(token.issued_at(), at(NOW as f64 - 60.0));
    assert_eq!(token.expires_at(), at(NOW as f64 + 3_540.0));
    assert_eq!(token.not_before(), at(NOW as f64 - 30.0));
    assert_eq!(token.auth_time(), at(NOW as f64 - 300.5));
    assert_eq!(token.acr(), Some("mfa"));
    assert_eq!(list(token.amr()), ["pwd", "otp"]);
    assert_eq!(list(token.scopes()), ["orders:read", "orders:write"]);
    assert_eq!(list(token.roles()), ["editor", "author"]);
    assert_eq!(list(token.groups()), ["staff"]);
    assert_eq!(list(token.entitlements()), ["beta"]);
    assert_eq!(token.tenant(), None);
    assert_eq!(token.confirmation(), None);
    assert_eq!(token.claim("department").unwrap()["number"], 7);
    #[derive(serde::Deserialize)]
    struct Department {
        name: String,
    }
    let department = token
        .read_claim::<Department>("department")
        .unwrap()
        .unwrap();
    assert_eq!(department.name, "sales");
    assert!(token.read_claim::<u32>("department").unwrap().is_err());
    assert!(token.read_claim::<u32>("nothing").is_none());

    // What the built-in policies ask.
    assert!(token.has_scope("orders:write") && !token.has_scope("orders"));
    assert!(token.has_role("author") && !token.has_role("Author"));
    assert!(!token.has_tenant("acme"));
    assert_eq!(format!("{token:?}"), "AccessToken { .. }");
}

/// Tokens as the documentation of each provider shows them.
#[test]
fn each_preset_finds_what_its_provider_puts_somewhere_else() {
    struct Expected {
        scopes: &'static [&'static str],
        roles: &'static [&'static str],
        groups: &'static [&'static str],
        tenant: Option<&'static str>,
        client: Option<&'static str>,
    }
    let keycloak = json!({
        "typ": "Bearer", "azp": "web", "client_id": null, "scope": "openid email", "nonce": "n",
        "realm_access": {"roles": ["admin", "offline_access"]},
        "resource_access": {"orders": {"roles": ["clerk"]}, "account": {"roles": ["manage-account"]}},
    });
    let cases = [
        (
            "keycloak, realm",
            ClaimsLayout::keycloak_realm(),
            keycloak.clone(),
            Expected {
                scopes: &["openid", "email"],
                roles: &["admin", "offline_access"],
                groups: &[],
                tenant: None,
                client: Some("web"),
            },
        ),
        (
            "keycloak, client",
            ClaimsLayout::keycloak_client("orders"),
            keycloak,
            Expected {
                scopes: &["openid", "email"],
                roles: &["clerk"],
                groups: &[],
                tenant: None,
                client: Some("web"),
            },
        ),
        (
            "auth0",
            ClaimsLayout::auth0().with_roles_at(["https://example.com/roles"]),
            json!({
                "azp": "my_client", "client_id": null, "scope": "openid read:orders",
                "permissions": ["write:orders"], "org_id": "org_9yb", "https://example.com/roles": ["clerk"],
                "roles": ["not-this-one"],
            }),
            Expected {
                scopes: &["openid", "read:orders", "write:orders"],
                roles: &["clerk"],
                groups: &[],
                tenant: Some("org_9yb"),
                client: Some("my_client"),
            },
        ),
        (
            "entra id",
            ClaimsLayout::entra_id(),
            json!({
                "ver": "1.0", "appid": "00000003", "client_id": null, "scope": null, "scp": "Files.Read User.Read",
                "roles": ["Orders.Manage"], "groups": ["11a8"], "tid": "72f988bf", "oid": "690222be",
            }),
            Expected {
                scopes: &["Files.Read", "User.Read"],
                roles: &["Orders.Manage"],
                groups: &["11a8"],
                tenant: Some("72f988bf"),
                client: Some("00000003"),
            },
        ),
        (
            "okta",
            ClaimsLayout::okta(),
            json!({"cid": "nmdP1fcyvdVO11AL7ECm", "client_id": null, "uid": "00ujmkLgagxeRrAg20g3", "scope": null, "scp": ["openid", "orders"], "groups": ["Everyone"]}),
            Expected {
                scopes: &["openid", "orders"],
                roles: &[],
                groups: &["Everyone"],
                tenant: None,
                client: Some("nmdP1fcyvdVO11AL7ECm"),
            },
        ),
        (
            "cognito",
            ClaimsLayout::cognito(),
            json!({"aud": null, "client_id": AUDIENCE, "token_use": "access", "cognito:groups": ["admins"], "version": 2, "username": "my-test-user"}),
            Expected {
                scopes: &["orders:read"],
                roles: &["admins"],
                groups: &["admins"],
                tenant: None,
                client: Some(AUDIENCE),
            },
        ),
        (
            "google",
            ClaimsLayout::google(),
            json!({"azp": "1123", "client_id": null, "scope": null, "hd": "example.com", "email_verified": true, "at_hash": "x", "nonce": "n"}),
            Expected {
                scopes: &[],
                roles: &[],
                groups: &[],
                tenant: Some("example.com"),
                client: Some("1123"),
            },
        ),
    ];
    for (name, layout, changes, expected) in cases {
        let set = |builder: JwtValidatorBuilder| match name {
            "google" => usual(builder)
                .claims_layout(layout)
                .insecure_accept_id_tokens(),
            _ => usual(builder).claims_layout(layout),
        };
        let token =
            check(set, with(claims(), changes)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(list(token.scopes()), expected.scopes, "{name}");
        assert_eq!(list(token.roles()), expected.roles, "{name}");
        assert_eq!(list(token.groups()), expected.groups, "{name}");
        assert_eq!(token.tenant(), expected.tenant, "{name}");
        assert_eq!(token.client_id(), expected.client, "{name}");
    }
}

#[test]
fn a_preset_refuses_what_its_provider_marks_as_another_kind() {
    // D07
    let kind = |layout: ClaimsLayout, changes| match check(
        |builder| usual(builder).claims_layout(layout),
        with(claims(), changes),
    ) {
        Err(TokenError::TokenType { .. }) => false,
        Err(other) => panic!("{other}"),
        Ok(_) => true,
    };
    for (expected, layout, changes) in [
        (
            true,
            ClaimsLayout::keycloak_realm(),
            json!({"typ": "Bearer"}),
        ),
        (false, ClaimsLayout::keycloak_realm(), json!({"typ": "ID"})),
        (
            false,
            ClaimsLayout::keycloak_realm(),
            json!({"typ": "Refresh"}),
        ),
        (false, ClaimsLayout::keycloak_realm(), json!({})),
        (
            true,
            ClaimsLayout::cognito(),
            json!({"token_use": "access"}),
        ),
        (false, ClaimsLayout::cognito(), json!({"token_use": "id"})),
        (false, ClaimsLayout::cognito(), json!({})),
        // Their ID tokens, without `nonce` and `at_hash`, which the code flow leaves out.
        (
            false,
            ClaimsLayout::entra_id(),
            json!({"client_id": null, "scope": null, "roles": ["Admin"], "ver": "2.0"}),
        ),
        (
            true,
            ClaimsLayout::entra_id(),
            json!({"client_id": null, "scope": null, "roles": ["Admin"], "azp": "a"}),
        ),
        (
            true,
            ClaimsLayout::entra_id(),
            json!({"client_id": null, "scope": null, "appid": "a"}),
        ),
        (
            false,
            ClaimsLayout::okta(),
            json!({"client_id": null, "scope": null, "jti": "ID.x", "idp": "i"}),
        ),
        (
            true,
            ClaimsLayout::okta(),
            json!({"client_id": null, "scope": null, "cid": "a"}),
        ),
        (
            false,
            ClaimsLayout::auth0(),
            json!({"client_id": null, "scope": null, "email": "a@b.c"}),
        ),
        (
            true,
            ClaimsLayout::auth0(),
            json!({"client_id": null, "scope": null, "azp": "a"}),
        ),
        (
            true,
            ClaimsLayout::new().with_access_token_claims(["uid"]),
            json!({"uid": "a", "nonce": "n"}),
        ),
        (
            false,
            ClaimsLayout::new().with_access_token_claims(["uid"]),
            json!({}),
        ),
        (
            false,
            ClaimsLayout::new().with_access_token_claims(["uid"]),
            json!({"uid": "a", "token_use": "id"}),
        ),
        (false, ClaimsLayout::new(), json!({"nonce": "n"})),
        (
            true,
            ClaimsLayout::new(),
            json!({"nonce": "n", "typ": "Bearer"}),
        ),
        (false, ClaimsLayout::new(), json!({"typ": "id"})),
        (false, ClaimsLayout::new(), json!({"events": {}})),
        (true, ClaimsLayout::new(), json!({"events": "x"})),
    ] {
        assert_eq!(kind(layout, changes.clone()), expected, "{changes}");
    }
    // The client stands in for the audience only with Cognito, and only where there is no audience.
    let cognito = |changes| {
        check(
            |builder| usual(builder).claims_layout(ClaimsLayout::cognito()),
            with(with(claims(), json!({"token_use": "access"})), changes),
        )
        .err()
    };
    let other = "https://other.example";
    assert_eq!(cognito(json!({"aud": null, "client_id": AUDIENCE})), None);
    assert_eq!(cognito(json!({"aud": null})), Some(TokenError::Audience));
    assert_eq!(
        cognito(json!({"aud": other, "client_id": AUDIENCE})),
        Some(TokenError::Audience)
    );
    let plain = check(
        usual,
        with(claims(), json!({"aud": null, "client_id": AUDIENCE})),
    );
    assert!(matches!(plain, Err(TokenError::MissingClaim { .. })));
}

#[test]
fn what_a_layout_finds_in_another_shape_is_refused() {
    // D01, D11
    let layout = || {
        ClaimsLayout::new()
            .with_roles_at([ClaimPath::from(["app", "roles"])])
            .with_tenant_at(["app", "tenant"])
    };
    let set = |builder: JwtValidatorBuilder| usual(builder).claims_layout(layout());
    let roles = |app: Value| {
        check(set, with(claims(), json!({"app": app}))).map(|token| {
            token
                .roles()
                .map(String::from)
                .collect::<Vec<_>>()
                .join(",")
        })
    };
    let claim = |name: &str| Err(TokenError::Claim { claim: name.into() });
    for (app, expected) in [
        (json!({"roles": ["a", "b"]}), Ok("a,b".to_owned())),
        (json!({"roles": "a b"}), Ok("a b".to_owned())),
        (json!({"roles": []}), Ok(String::new())),
        (json!({}), Ok(String::new())),
        (json!("roles"), Ok(String::new())),
        (json!({"roles": ["a", 1]}), claim("app.roles")),
        (json!({"roles": {"a": true}}), claim("app.roles")),
        (json!({"roles": [{"name": "a"}]}), claim("app.roles")),
        (json!({"roles": null}), claim("app.roles")),
        (json!({"tenant": ["acme"]}), claim("app.tenant")),
        (json!({"tenant": 7}), claim("app.tenant")),
    ] {
        assert_eq!(roles(app.clone()), expected, "{app}");
    }
    // Several places add up only if both were named.
    let both = with(claims(), json!({"scope": "a", "scp": ["b"]}));
    let token = check(usual, both.clone()).unwrap();
    assert_eq!(list(token.scopes()), ["a"]);
    let layout = ClaimsLayout::new().with_scopes_at(["scope", "scp"]);
    let token = check(|builder| usual(builder).claims_layout(layout), both).unwrap();
    assert_eq!(list(token.scopes()), ["a", "b"]);
}

#[test]
fn every_setting_that_cannot_work_is_named() {
    type Set = fn(JwtValidatorBuilder) -> JwtValidatorBuilder;
    let cases: &[(&str, &str, Set)] = &[
        ("issuer", "missing", |b| b.audience("a")),
        ("audience", "missing", |b| b.issuer("i")),
        ("issuer", "empty", |b| b.issuer("").audience("a")),
        ("audience", "empty", |b| b.issuer("i").audience("")),
        ("insecure_any_issuer", "contradicts", |b| {
            usual(b).insecure_any_issuer()
        }),
        ("insecure_any_audience", "contradicts", |b| {
            usual(b).insecure_any_audience()
        }),
        ("leeway", "300", |b| {
            usual(b).leeway(Duration::from_secs(301))
        }),
        ("max_lifetime", "zero", |b| {
            usual(b).max_lifetime(Duration::ZERO)
        }),
        ("insecure_accept_id_tokens", "rfc9068", |b| {
            usual(b).rfc9068().insecure_accept_id_tokens()
        }),
        ("insecure_without_expiry", "rfc9068", |b| {
            usual(b).rfc9068().insecure_without_expiry()
        }),
        ("token_type", "empty", |b| usual(b).token_type("")),
        ("token_type", "never an access token", |b| {
            usual(b).token_type("application/DPoP+jwt")
        }),
        ("require", "empty", |b| usual(b).require("")),
        ("subject", "empty", |b| usual(b).subject("")),
        ("max_length", "16384", |b| usual(b).max_length(16_385)),
        ("max_length", "64", |b| usual(b).max_length(0)),
    ];
    for (setting, part, set) in cases {
        let key = PublicKey::from_pem(public_pem("ed25519")).unwrap();
        let error = set(JwtValidator::builder(key)).build().unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with(&format!("setting `{setting}`: ")) && text.contains(part),
            "{setting}: {text}"
        );
    }
    let key = PublicKey::from_pem(public_pem("ed25519")).unwrap();
    let google = usual(JwtValidator::builder(key)).claims_layout(ClaimsLayout::google());
    let text = google.build().unwrap_err().to_string();
    assert!(text.contains("insecure_accept_id_tokens"), "{text}");
    for layout in [
        ClaimsLayout::new().with_roles_at(["scope"]),
        ClaimsLayout::new().with_groups_at(["aud"]),
        ClaimsLayout::new().with_entitlements_at([["sub", "x"]]),
        ClaimsLayout::new().with_scopes_at(["amr"]),
        ClaimsLayout::new().with_roles_at([ClaimPath::from_iter([] as [&str; 0])]),
    ] {
        let key = PublicKey::from_pem(public_pem("ed25519")).unwrap();
        let built = usual(JwtValidator::builder(key))
            .claims_layout(layout)
            .build();
        assert!(built.unwrap_err().to_string().contains("claims_layout"));
    }
    let key = PublicKey::from_pem(public_pem("ed25519")).unwrap();
    let lost = usual(JwtValidator::builder(key))
        .check(|_| Ok(()))
        .claims::<Value>();
    assert!(
        lost.build()
            .unwrap_err()
            .to_string()
            .contains("before `claims`")
    );
    let none = KeySet::new(Vec::<PublicKey>::new()).unwrap_err();
    assert_eq!(none, KeyError::NoUsableKey { skipped: None });
    let key = PublicKey::from_pem(public_pem("ed25519")).unwrap();
    let secret = SharedSecret::hs256(SECRET).unwrap();
    let mixed = KeySet::new([Key::from(key), Key::from(secret)]).unwrap_err();
    assert_eq!(mixed, KeyError::Mixed);
}

#[test]
fn each_setting_does_what_it_says() {
    let missing = |claim: &str| {
        Err(TokenError::MissingClaim {
            claim: claim.into(),
        })
    };
    let hour = Duration::from_secs(3_600);
    let changed = |changes| with(claims(), changes);
    let outcome = |set: fn(JwtValidatorBuilder) -> JwtValidatorBuilder, claims| {
        check(set, claims).map(|_| ())
    };
    assert_eq!(
        outcome(
            |b| b.insecure_any_issuer().audience(AUDIENCE),
            changed(json!({"iss": null}))
        ),
        Ok(())
    );
    assert_eq!(
        outcome(
            |b| b.issuer(ISSUER).insecure_any_audience(),
            changed(json!({"aud": null}))
        ),
        Ok(())
    );
    assert_eq!(
        outcome(usual, changed(json!({"exp": null}))),
        missing("exp")
    );
    assert_eq!(
        outcome(
            |b| usual(b).insecure_without_expiry(),
            changed(json!({"exp": null}))
        ),
        Ok(())
    );
    assert_eq!(
        outcome(
            |b| usual(b).insecure_without_expiry(),
            changed(json!({"exp": 1}))
        ),
        Err(TokenError::Expired)
    );
    assert_eq!(
        outcome(
            |b| usual(b).audience("https://second.example"),
            changed(json!({"aud": "https://second.example"}))
        ),
        Ok(())
    );
    assert_eq!(
        outcome(
            |b| usual(b).leeway(Duration::ZERO),
            changed(json!({"exp": NOW}))
        ),
        Err(TokenError::Expired)
    );
    assert_eq!(
        outcome(
            |b| usual(b).leeway(Duration::from_secs(300)),
            changed(json!({"exp": NOW - 299}))
        ),
        Ok(())
    );
    assert_eq!(outcome(|b| usual(b).subject("alice"), claims()), Ok(()));
    assert_eq!(
        outcome(|b| usual(b).subject("Alice"), claims()),
        Err(TokenError::Subject)
    );
    assert_eq!(
        outcome(|b| usual(b).subject("alice"), changed(json!({"sub": null}))),
        Err(TokenError::Subject)
    );
    assert_eq!(
        outcome(|b| usual(b).require("org"), claims()),
        missing("org")
    );
    assert_eq!(
        outcome(|b| usual(b).require("org"), changed(json!({"org": ""}))),
        missing("org")
    );
    assert_eq!(
        outcome(|b| usual(b).require("org"), changed(json!({"org": 0}))),
        Ok(())
    );
    assert_eq!(
        outcome(|b| usual(b).max_length(64), claims())
            .err()
            .map(|error| matches!(error, TokenError::TooLong { limit: 64, .. })),
        Some(true)
    );
    assert_eq!(
        outcome(
            |b| usual(b).max_lifetime(Duration::from_secs(3_599)),
            claims()
        ),
        Err(TokenError::Lifetime)
    );
    assert_eq!(
        check(|b| usual(b).max_lifetime(hour), claims()).map(|_| ()),
        Ok(())
    );
    assert_eq!(
        check(
            |b| usual(b).max_lifetime(hour),
            changed(json!({"iat": null}))
        )
        .map(|_| ()),
        missing("iat")
    );
    let bound = changed(json!({"cnf": {"jkt": "x"}}));
    assert_eq!(
        outcome(usual, bound.clone()),
        Err(TokenError::SenderConstrained)
    );
    let token = check(|b| usual(b).insecure_ignore_sender_constraint(), bound).unwrap();
    assert_eq!(token.confirmation().unwrap()["jkt"], "x");
    let own = check(
        |b| {
            usual(b).check(|token| match token.client_id() {
                Some("shop") => Err(TokenError::Subject.into()),
                _ => Ok(()),
            })
        },
        claims(),
    );
    assert_eq!(own.map(|_| ()), Err(TokenError::Subject));
}

#[test]
fn the_claims_can_be_a_type_of_the_application() {
    #[derive(Debug, serde::Deserialize)]
    struct Session {
        sub: String,
        level: u8,
    }
    let signer = Signer::new("EdDSA");
    let validator = usual(JwtValidator::builder(
        PublicKey::from_pem(public_pem("ed25519")).unwrap(),
    ))
    .claims::<Session>()
    .check(|session| match session.level {
        0 => Err(Failure::invalid(InvalidReason::Revoked)),
        _ => Ok(()),
    })
    .build()
    .unwrap();
    let run = |changes| {
        let request = Request::new(());
        let clock = ManualClock::new(now());
        let token = signer.token(&with(claims(), changes));
        let view = RequestView::with_clock(&request, &clock);
        match validator.validate(&Credential::bearer(&token).unwrap(), &view) {
            Verdict::Ready(result) => result,
            Verdict::Pending(_) => panic!("nothing here has to wait"),
        }
    };
    let session = run(json!({"level": 3})).unwrap();
    assert_eq!(
        (session.principal().sub.as_str(), session.principal().level),
        ("alice", 3)
    );
    let ends = Duration::from_secs(NOW + 3_540 + 60);
    assert_eq!(session.expires_at(), Some(SystemTime::UNIX_EPOCH + ends));
    for (changes, reason) in [
        (json!({"level": 0}), InvalidReason::Revoked),
        (json!({"level": "3"}), InvalidReason::Claims),
        (json!({}), InvalidReason::Claims),
        (json!({"level": 3, "exp": 1}), InvalidReason::Expired),
        (json!({"level": 3, "aud": "other"}), InvalidReason::Audience),
    ] {
        let failure = run(changes.clone()).unwrap_err();
        assert_eq!(failure.kind(), FailureKind::Invalid(reason), "{changes}");
    }
}

#[tokio::test]
async fn a_user_is_loaded_behind_the_token() {
    struct User {
        name: String,
    }
    let key = PublicKey::from_pem(public_pem("ed25519")).unwrap();
    let validator = usual(JwtValidator::builder(key)).build().unwrap().and_then(
        |token: Arc<AccessToken>| async move {
            match token.subject() {
                Some("alice") => Ok(User {
                    name: "Alice".into(),
                }),
                Some("down") => Err(Failure::unavailable("the table of users")),
                _ => Err(Failure::invalid(InvalidReason::Revoked)),
            }
        },
    );
    let service = BearerAuthLayer::new(validator)
        .with_clock(ManualClock::new(now()))
        .layer(service_fn(|request: Request<()>| async move {
            let user = request.extensions().get::<Authenticated<User>>().unwrap();
            Ok::<_, std::convert::Infallible>(Response::new(user.name.clone()))
        }));
    for (subject, expected) in [("alice", 200), ("mallory", 401), ("down", 503)] {
        let token = Signer::new("EdDSA").token(&with(claims(), json!({"sub": subject})));
        let request = Request::get("/").header("authorization", format!("Bearer {token}"));
        let response = service
            .clone()
            .oneshot(request.body(()).unwrap())
            .await
            .unwrap();
        assert_eq!(response.status(), expected, "{subject}");
    }
}

#[test]
fn every_issuer_has_its_own_keys_and_audience() {
    // C10, D03, E02, G09
    let signer = |file| Signer::with_key("EdDSA", file).kid("1");
    let validator = |issuer: &str, file| {
        let key = PublicKey::from_pem(public_pem(file)).and_then(|key| key.with_kid("1"));
        JwtValidator::builder(key.unwrap())
            .issuer(issuer)
            .audience(AUDIENCE)
            .build()
            .unwrap()
    };
    let issuers = JwtIssuers::with_limit(2);
    issuers
        .insert(validator("https://one.example", "ed25519"))
        .unwrap();
    issuers
        .insert(validator("https://two.example", "ed25519-other"))
        .unwrap();
    let token = |file, iss: Value| signer(file).token(&with(claims(), json!({"iss": iss})));
    let outcome = |token: &str| run(&issuers, token).map(|_| ());
    let one = token("ed25519", json!("https://one.example"));
    assert_eq!(outcome(&one), Ok(()));
    assert_eq!(
        outcome(&token("ed25519-other", json!("https://two.example"))),
        Ok(())
    );
    // The key of one, in the name of the other, by the same `kid`.
    let crossed = token("ed25519", json!("https://two.example"));
    assert_eq!(outcome(&crossed), Err(TokenError::Signature));
    for iss in [
        "https://three.example",
        "https://one.example/",
        "HTTPS://one.example",
        "",
    ] {
        assert_eq!(
            outcome(&token("ed25519", json!(iss))),
            Err(TokenError::Issuer),
            "{iss}"
        );
    }
    let missing = Err(TokenError::MissingClaim {
        claim: "iss".into(),
    });
    assert_eq!(outcome(&token("ed25519", Value::Null)), missing);
    let wrong = Err(TokenError::Claim {
        claim: "iss".into(),
    });
    assert_eq!(
        outcome(&token("ed25519", json!(["https://one.example"]))),
        wrong
    );
    assert_eq!(outcome("opaque"), Err(TokenError::NotAJwt));

    let full = issuers
        .insert(validator("https://three.example", "ed25519"))
        .unwrap_err();
    assert!(full.to_string().contains("with_limit"), "{full}");
    issuers
        .insert(validator("https://one.example", "ed25519-other"))
        .unwrap();
    assert_eq!(outcome(&one), Err(TokenError::Signature), "replaced");
    let clone = issuers.clone();
    assert!(clone.remove("https://one.example") && !clone.remove("https://one.example"));
    assert_eq!(outcome(&one), Err(TokenError::Issuer), "removed");
    assert_eq!(issuers.issuers(), ["https://two.example"]);
    let key = PublicKey::from_pem(public_pem("ed25519")).unwrap();
    let any = JwtValidator::builder(key)
        .insecure_any_issuer()
        .audience(AUDIENCE)
        .build()
        .unwrap();
    assert!(
        issuers
            .insert(any)
            .unwrap_err()
            .to_string()
            .contains("issuer")
    );
}

#[test]
fn a_key_without_a_name_stands_in_for_no_named_one_and_no_other_algorithm() {
    // C02, C10
    let key = |file, alg: &str, kid: Option<&str>| {
        let key = PublicKey::from_pem(public_pem(file)).unwrap();
        let key = key.with_algorithm(alg.parse().unwrap()).unwrap();
        match kid {
            Some(kid) => key.with_kid(kid).unwrap(),
            None => key,
        }
    };
    let keys = KeySet::new([
        key("rsa", "RS256", Some("a")),
        key("rsa-other", "RS256", None),
        key("p256", "ES256", None),
        key("rsa-other", "PS256", Some("b")),
    ]);
    let validator = usual(JwtValidator::builder(keys.unwrap())).build().unwrap();
    let outcome = |signer: &Signer| run(&validator, &signer.token(&claims())).map(|_| ());
    let named = |alg, file, kid| Signer::with_key(alg, file).kid(kid);
    assert_eq!(outcome(&named("RS256", "rsa", "a")), Ok(()));
    assert_eq!(outcome(&named("RS256", "rsa-other", "any")), Ok(()));
    assert_eq!(outcome(&Signer::with_key("RS256", "rsa-other")), Ok(()));
    assert_eq!(outcome(&named("ES256", "p256", "any")), Ok(()));
    let signature = Err(TokenError::Signature);
    assert_eq!(
        outcome(&named("RS256", "rsa", "any")),
        signature,
        "a named key for another name"
    );
    assert_eq!(
        outcome(&Signer::with_key("RS256", "rsa")),
        signature,
        "or for none"
    );
    assert_eq!(
        outcome(&named("RS256", "rsa-other", "a")),
        signature,
        "another key for a name"
    );
    assert_eq!(
        outcome(&named("PS256", "rsa-other", "a")),
        Err(TokenError::Algorithm)
    );
    // The header names one algorithm, the signature is of another, and a key for each is there.
    let header = json!({"alg": "RS256", "kid": "any"});
    let crossed = Signer::with_key("ES256", "p256").token_with(&header, &claims());
    assert_eq!(run(&validator, &crossed).map(|_| ()), signature);
    let header = json!({"alg": "RS256", "kid": "any"});
    let crossed = Signer::with_key("PS256", "rsa-other").token_with(&header, &claims());
    assert_eq!(run(&validator, &crossed).map(|_| ()), signature);
}

#[test]
fn a_jwt_is_not_handed_on_by_shape_and_is_by_or() {
    let key = PublicKey::from_pem(public_pem("ed25519")).unwrap();
    let jwt = usual(JwtValidator::builder(key)).build().unwrap();
    let opaque = || {
        validator_fn(|_: Credential<'_>| {
            Err::<AccessToken, _>(Failure::throttled(Duration::from_secs(1)))
        })
    };
    let kind = |validator: &dyn Validator<Principal = AccessToken>, token: &str| {
        let request = Request::new(());
        let clock = ManualClock::new(now());
        let credential = Credential::bearer(token).unwrap();
        match validator.validate(&credential, &RequestView::with_clock(&request, &clock)) {
            Verdict::Ready(result) => result.map(|_| ()).map_err(|failure| failure.kind()),
            Verdict::Pending(_) => panic!("nothing here has to wait"),
        }
    };
    let signature = Err(FailureKind::Invalid(InvalidReason::Signature));
    let asked = Err(FailureKind::Throttled);
    let good = Signer::new("EdDSA").token(&claims());
    let forged = Signer::with_key("EdDSA", "ed25519-other").token(&claims());
    let encrypted = format!("{}.x.x.x.x", good.split('.').next().unwrap());
    for (token, by_shape, or) in [
        (good.as_str(), Ok(()), Ok(())),
        (&forged, signature, asked),
        (&encrypted, Err(FailureKind::Unrecognized), asked),
        ("W3n5iYp2Tn6Vd8qR0sXkLw", asked, asked),
        ("a.b.c", asked, asked),
        ("v4.public.eyJzdWIiOiJhbGljZSJ9", asked, asked),
    ] {
        assert_eq!(
            kind(&ByShape::new(jwt.clone(), opaque()), token),
            by_shape,
            "{token}"
        );
        assert_eq!(kind(&jwt.clone().or(opaque()), token), or, "{token}");
    }
}

#[test]
fn keys_are_read_from_every_format() {
    for (file, alg) in [
        ("rsa", Algorithm::RS256),
        ("p256", Algorithm::ES256),
        ("p384", Algorithm::ES384),
        ("p521", Algorithm::ES512),
        ("ed25519", Algorithm::Ed25519),
    ] {
        let (public, private) = (public_pem(file), private_pem(file));
        let windows = public.replace('\n', "\r\n");
        for key in [
            PublicKey::from_pem(&public),
            PublicKey::from_pem(&windows),
            PublicKey::from_private_pem(&private),
            PublicKey::from_der(der(&public)),
            PublicKey::from_private_der(der(&private)),
        ] {
            let key = key.unwrap_or_else(|error| panic!("{file}: {error}"));
            assert_eq!(key.algorithm(), alg, "{file}");
            let token = Signer::with_key(alg.name(), file).token(&claims());
            let validator = usual(JwtValidator::builder(key)).build().unwrap();
            assert!(run(&validator, &token).is_ok(), "{file}");
        }
    }
    // PKCS#1 and X.509, as openssl makes them of the key pairs above.
    for (file, key, alg) in [
        ("rsa", "rsa.pkcs1.pem", "RS256"),
        ("rsa", "rsa.certificate.pem", "RS256"),
        ("p256", "p256.certificate.pem", "ES256"),
        ("ed25519", "ed25519.certificate.pem", "EdDSA"),
    ] {
        let pem = read(key);
        let token = Signer::with_key(alg, file).token(&claims());
        for key in [PublicKey::from_pem(&pem), PublicKey::from_der(der(&pem))] {
            let validator = usual(JwtValidator::builder(key.unwrap())).build().unwrap();
            assert!(run(&validator, &token).is_ok(), "{pem}");
        }
    }
    for (text, part) in [
        (
            public_pem("p256").replace("PUBLIC", "DSA PUBLIC"),
            "`PUBLIC KEY`",
        ),
        (
            public_pem("rsa").replace("MII", "MIJ"),
            "SubjectPublicKeyInfo",
        ),
        (
            public_pem("rsa").replace("-----END PUBLIC KEY-----", ""),
            "PEM block",
        ),
        (public_pem("rsa-1024"), "2048 bits"),
        (
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI".to_owned(),
            "PEM block",
        ),
        (String::new(), "PEM block"),
    ] {
        let error = PublicKey::from_pem(&text).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    assert!(PublicKey::from_der(b"\x30\x03\x02\x01\x01").is_err());
}

#[test]
fn private_key_is_read_by_the_constructor_for_private_keys_alone() {
    // M15
    let block = |label: &str| {
        let body = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg";
        format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
    };
    let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nMIIB\n-----END RSA PRIVATE KEY-----\n";
    for private in [
        private_pem("rsa"),
        private_pem("p256"),
        private_pem("ed25519"),
        private_pem("rsa-1024"),
        read("rsa.private.pkcs1.pem"),
        block("EC PRIVATE KEY"),
        block("ENCRYPTED PRIVATE KEY"),
        block("OPENSSH PRIVATE KEY"),
        old.to_owned(),
    ] {
        let error = PublicKey::from_pem(&private).unwrap_err().to_string();
        for constructor in ["`PublicKey::from_private_pem`", "`SigningKey::from_pem`"] {
            assert!(error.contains(constructor), "{error}");
        }
        assert!(!error.contains("MI"), "{error}");
    }
    let pkcs1 = read("rsa.private.pkcs1.pem");
    for private in [private_pem("rsa"), private_pem("ed25519"), pkcs1.clone()] {
        let error = PublicKey::from_der(der(&private)).unwrap_err().to_string();
        for constructor in ["`PublicKey::from_private_der`", "`SigningKey::from_der`"] {
            assert!(error.contains(constructor), "{error}");
        }
    }
    for key in [
        PublicKey::from_private_pem(&pkcs1),
        PublicKey::from_private_der(der(&pkcs1)),
    ] {
        let validator = usual(JwtValidator::builder(key.unwrap())).build().unwrap();
        let token = Signer::new("RS256").token(&claims());
        assert!(run(&validator, &token).is_ok());
    }
    for (text, part) in [
        (public_pem("rsa"), "`PublicKey::from_pem`"),
        (read("p256.certificate.pem"), "`PublicKey::from_pem`"),
        (block("EC PRIVATE KEY"), "openssl pkey"),
        (block("ENCRYPTED PRIVATE KEY"), "decrypts"),
        (old.to_owned(), "decrypts"),
        (private_pem("rsa-1024"), "2048 bits"),
        (String::new(), "PEM block"),
    ] {
        let error = PublicKey::from_private_pem(&text).unwrap_err().to_string();
        assert!(error.contains(part), "{part}: {error}");
    }
    assert!(PublicKey::from_private_der(der(&public_pem("rsa"))).is_err());
    assert!(PublicKey::from_private_der(b"").is_err());
}

#[test]
fn pem_loads_with_harmless_white_space_and_text_around_it() {
    // M15: RFC 7468 sections 2, 3 and 5.2
    for (name, text) in pem_spellings(&public_pem("ed25519")) {
        let key = PublicKey::from_pem(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let validator = usual(JwtValidator::builder(key)).build().unwrap();
        let token = Signer::new("EdDSA").token(&claims());
        assert!(run(&validator, &token).is_ok(), "{name}");
    }
    for (name, text) in pem_spellings(&private_pem("rsa")) {
        PublicKey::from_private_pem(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    for (name, text) in pem_spellings(&read("rsa.certificate.pem")) {
        PublicKey::from_pem(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    for (name, text) in damaged_pems(&public_pem("ed25519")) {
        assert!(PublicKey::from_pem(&text).is_err(), "{name}: {text:?}");
    }
}

#[test]
fn more_than_four_keys_without_kid_all_verify() {
    // M15
    let new_signer = || {
        let pair = aws_lc_rs::signature::Ed25519KeyPair::generate().unwrap();
        let x = aws_lc_rs::signature::KeyPair::public_key(&pair);
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": tokens::base64url(x)});
        (pair, jwk)
    };
    let signers: Vec<_> = (0..6).map(|_| new_signer()).collect();
    let mut jwks: Vec<_> = signers.iter().map(|(_, jwk)| jwk.clone()).collect();
    // The limit is for each algorithm.
    jwks.push(Signer::new("ES256").jwk());
    let set = json!({"keys": jwks}).to_string();
    let input = |kid: Option<&str>| {
        let header = with(json!({"alg": "EdDSA"}), json!({"kid": kid}));
        format!(
            "{}.{}",
            tokens::base64url(header.to_string()),
            tokens::base64url(claims().to_string())
        )
    };
    for backend in CryptoBackend::available() {
        let options = JwksOptions::new().with_backend(*backend);
        let keys = KeySet::from_jwks_with(&set, &options).unwrap();
        assert_eq!((keys.len(), keys.skipped().len()), (7, 0));
        let validator = usual(JwtValidator::builder(keys)).build().unwrap();
        for (number, (pair, _)) in signers.iter().enumerate() {
            for kid in [None, Some("any")] {
                let input = input(kid);
                let signature = tokens::base64url(pair.sign(input.as_bytes()));
                let outcome = run(&validator, &format!("{input}.{signature}")).map(|_| ());
                assert_eq!(outcome, Ok(()), "{number} {kid:?} {backend:?}");
            }
        }
        let outcome = run(&validator, &Signer::new("EdDSA").token(&claims())).map(|_| ());
        assert_eq!(outcome, Err(TokenError::Signature), "a key of nobody");
        // Beyond the limit a key is skipped, and named with the option.
        let options = options.with_max_keys_without_kid(4);
        let keys = KeySet::from_jwks_with(&set, &options).unwrap();
        assert_eq!((keys.len(), keys.skipped().len()), (5, 2));
        let reason = keys.skipped()[0].reason().to_string();
        assert!(reason.contains("with_max_keys_without_kid"), "{reason}");
    }
}

#[test]
fn keys_are_tried_in_turn_for_a_token_without_kid_by_opt_in_alone() {
    // M15
    let signers = [
        Signer::with_key("RS256", "rsa").kid("a"),
        Signer::with_key("RS256", "rsa-other").kid("b"),
        Signer::with_key("EdDSA", "ed25519").kid("c"),
    ];
    let set = tokens::jwks(&signers).to_string();
    let ambiguous = |outcome: &Result<(), TokenError>| matches!(outcome, Err(TokenError::Key { problem }) if problem.contains("with_max_trials_without_kid"));
    let without_kid = |alg, file| Signer::with_key(alg, file).token(&claims());
    for backend in CryptoBackend::available() {
        let validator = |max: Option<usize>| {
            let mut options = JwksOptions::new().with_backend(*backend);
            if let Some(max) = max {
                options = options.with_max_trials_without_kid(max);
            }
            let keys = KeySet::from_jwks_with(&set, &options).unwrap();
            usual(JwtValidator::builder(keys)).build().unwrap()
        };
        for max in [None, Some(0), Some(1)] {
            let validator = validator(max);
            for file in ["rsa", "rsa-other"] {
                let outcome = run(&validator, &without_kid("RS256", file)).map(|_| ());
                assert!(ambiguous(&outcome), "{max:?} {outcome:?}");
            }
            // One key fits: that is no choice.
            assert!(
                run(&validator, &without_kid("EdDSA", "ed25519")).is_ok(),
                "{max:?}"
            );
        }
        for max in [2, 100] {
            let validator = validator(Some(max));
            let outcome = |token: &str| run(&validator, token).map(|_| ());
            assert_eq!(outcome(&without_kid("RS256", "rsa")), Ok(()), "{max}");
            assert_eq!(outcome(&without_kid("RS256", "rsa-other")), Ok(()), "{max}");
            // C02: of other algorithms none is tried.
            let header = json!({"alg": "RS256"});
            let crossed = Signer::new("EdDSA").token_with(&header, &claims());
            assert_eq!(outcome(&crossed), Err(TokenError::Signature));
            assert_eq!(
                outcome(&without_kid("PS256", "rsa")),
                Err(TokenError::Algorithm)
            );
            // C10: a `kid` still names one key, and an unknown one none.
            let named = |kid| Signer::with_key("RS256", "rsa").kid(kid).token(&claims());
            assert_eq!(outcome(&named("a")), Ok(()));
            assert_eq!(outcome(&named("b")), Err(TokenError::Signature));
            assert!(matches!(outcome(&named("x")), Err(TokenError::Key { .. })));
        }
    }
    // Keys without a name count as well.
    let key = |file| PublicKey::from_pem(public_pem(file)).unwrap();
    let keys = || [key("rsa").with_kid("a").unwrap(), key("rsa-other")];
    let options = |max| JwksOptions::new().with_max_trials_without_kid(max);
    for (max, named, unnamed) in [(1, Err(TokenError::Signature), Ok(())), (2, Ok(()), Ok(()))] {
        let keys = KeySet::new_with(keys(), &options(max)).unwrap();
        let validator = usual(JwtValidator::builder(keys)).build().unwrap();
        let outcome = |token: &str| run(&validator, token).map(|_| ());
        assert_eq!(outcome(&without_kid("RS256", "rsa")), named, "{max}");
        assert_eq!(
            outcome(&without_kid("RS256", "rsa-other")),
            unnamed,
            "{max}"
        );
    }
}

#[test]
fn rsa_key_without_alg_and_token_with_another_rsa_algorithm_names_the_option() {
    // M15
    let mut jwk = Signer::new("RS256").kid("a").jwk();
    jwk.as_object_mut().unwrap().remove("alg");
    let set = json!({"keys": [jwk]}).to_string();
    let default = JwksOptions::new();
    let validator = |options: &JwksOptions| {
        let keys = KeySet::from_jwks_with(&set, options).unwrap();
        usual(JwtValidator::builder(keys)).build().unwrap()
    };
    for alg in ["RS384", "RS512", "PS256", "PS384", "PS512"] {
        for kid in [None, Some("a")] {
            let signer = match kid {
                Some(kid) => Signer::new(alg).kid(kid),
                None => Signer::new(alg),
            };
            let error = run(&validator(&default), &signer.token(&claims())).map(|_| ());
            let error = error.unwrap_err();
            assert_eq!(error, TokenError::DefaultAlgorithm, "{alg} {kid:?}");
            let text = error.to_string();
            assert!(
                text.contains("`JwksOptions::with_rsa_algorithms`"),
                "{text}"
            );
            let options = JwksOptions::new().with_rsa_algorithms([alg.parse().unwrap()]);
            assert!(
                run(&validator(&options), &signer.token(&claims())).is_ok(),
                "{alg}"
            );
        }
        let token = Signer::new(alg).token(&claims());
        let outcome = |key| run(&usual(JwtValidator::builder(key)).build().unwrap(), &token);
        let key = || PublicKey::from_pem(public_pem("rsa")).unwrap();
        let error = outcome(key()).map(|_| ()).unwrap_err();
        assert!(
            error.to_string().contains("`PublicKey::with_algorithm`"),
            "{error}"
        );
        assert!(outcome(key().with_algorithm(alg.parse().unwrap()).unwrap()).is_ok());
    }
    // Where no option helps, none is named.
    let explicit = PublicKey::from_pem(public_pem("rsa")).unwrap();
    let explicit = explicit.with_algorithm(Algorithm::RS256).unwrap();
    let validator = usual(JwtValidator::builder(explicit)).build().unwrap();
    for alg in ["PS256", "ES256", "EdDSA"] {
        let outcome = run(&validator, &Signer::new(alg).token(&claims())).map(|_| ());
        assert_eq!(outcome, Err(TokenError::Algorithm), "{alg}");
    }
    let unnamed = KeySet::from_jwks(&set).unwrap();
    let validator = usual(JwtValidator::builder(unnamed)).build().unwrap();
    let outcome = run(&validator, &Signer::new("ES256").token(&claims())).map(|_| ());
    assert_eq!(outcome, Err(TokenError::Algorithm));
    let outcome = run(&validator, &Signer::new("PS256").kid("x").token(&claims())).map(|_| ());
    assert!(
        matches!(outcome, Err(TokenError::Key { .. })),
        "{outcome:?}"
    );
}

/// Another crate of the same binary turns on one crypto back end of `jsonwebtoken`, a third crate the
/// other one: `jsonwebtoken` then panics unless somebody has chosen. Both are dev-dependencies here.
#[test]
fn what_other_crates_choose_makes_no_difference() {
    let token = Signer::new("HS256").token(&with(claims(), json!({"exp": 4_000_000_000_u64})));
    let key = jsonwebtoken::DecodingKey::from_secret(SECRET);
    let mut validation = jsonwebtoken::Validation::default();
    validation.set_audience(&[AUDIENCE]);
    let theirs = std::panic::catch_unwind(|| {
        jsonwebtoken::decode::<Value>(&token, &key, &validation).is_ok()
    });
    assert!(
        theirs.is_err(),
        "both back ends of jsonwebtoken are on, and none is installed"
    );

    let secret = SharedSecret::hs256(SECRET).unwrap();
    let validator = usual(JwtValidator::builder(secret)).build().unwrap();
    assert!(run(&validator, &Signer::new("HS256").token(&claims())).is_ok());
}
