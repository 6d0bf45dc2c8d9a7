//! JWTs: what the application sets, and what it gets.

use std::error::Error as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{Request, Response};
use serde_json::{Value, json};
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_bearer::clock::ManualClock;
use tower_bearer::jwt::{
    AccessToken, Algorithm, ClaimPath, ClaimsLayout, CryptoBackend, JwksOptions, JwtIssuers,
    JwtOrOpaque, JwtValidator, JwtValidatorBuilder, Key, KeyError, KeySet, PublicKey, SharedSecret,
    TokenError,
};
use tower_bearer::policy::Claims as _;
use tower_bearer::{
    Authenticated, BearerAuthLayer, Credential, Failure, FailureKind, InvalidReason, RequestView,
    Validator, Verdict, validator_fn,
};

use crate::pem::{damaged_pems, pem_spellings};
use crate::tokens::{
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
fn access_token_exposes_every_claim_of_rfc_9068() {
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
fn preset_reads_claims_from_locations_of_its_provider() {
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
fn preset_rejects_other_token_kinds_of_its_provider() {
    // (D07: access tokens only)
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

/// For each preset: an access token, and the ID token of the same login, as the provider writes them. Both are for our
/// audience, so that nothing but their kind tells them apart.
#[test]
fn preset_accepts_access_tokens_and_rejects_id_tokens_of_its_provider() {
    // (M14: kinds of tokens, M12: unused claims, M13: `null` is absence, D07: access tokens only)
    struct Case {
        name: &'static str,
        layout: fn() -> ClaimsLayout,
        access: Value,
        id: Value,
        roles: &'static [&'static str],
        scopes: &'static [&'static str],
        client: Option<&'static str>,
    }
    // The claims that all of them have.
    let common = json!({"iss": ISSUER, "aud": AUDIENCE, "sub": "248289761001", "iat": NOW - 60, "exp": NOW + 3_540});
    let cases = [
        Case {
            name: "authentik",
            layout: ClaimsLayout::authentik,
            // Derived from the ID token, `nonce` included.
            access: json!({
                "auth_time": NOW - 90, "acr": "goauthentik.io/providers/oauth2/default", "amr": ["pwd", "mfa"],
                "nonce": "n-0S6_WzA2Mj", "sid": "9f86d081884c7d65", "email": "ak@example.com", "email_verified": true,
                "name": "A K", "groups": ["staff"], "roles": ["clerk"], "entitlements": ["beta"],
                "azp": "2fKq", "uid": "b7XvG1dYk3",
            }),
            id: json!({
                "auth_time": NOW - 90, "acr": "goauthentik.io/providers/oauth2/default", "amr": ["pwd", "mfa"],
                "nonce": "n-0S6_WzA2Mj", "sid": "9f86d081884c7d65", "email": "ak@example.com", "email_verified": true,
                "name": "A K", "groups": ["staff"], "roles": ["clerk"], "entitlements": ["beta"],
            }),
            roles: &["clerk"],
            scopes: &[],
            client: Some("2fKq"),
        },
        Case {
            name: "Auth0",
            layout: || ClaimsLayout::auth0().with_roles_at(["https://example.com/roles"]),
            access: json!({
                "azp": "my_client", "scope": "openid read:orders", "permissions": ["write:orders"], "gty": "password",
                "https://example.com/roles": ["clerk"],
            }),
            id: json!({
                "nickname": "jane", "name": "Jane", "email": "jane@example.com", "email_verified": true, "sid": "s",
                "updated_at": "2026-11-01T10:00:00.000Z", "https://example.com/roles": ["clerk"],
            }),
            roles: &["clerk"],
            scopes: &["openid", "read:orders", "write:orders"],
            client: Some("my_client"),
        },
        Case {
            name: "Cognito",
            layout: ClaimsLayout::cognito,
            access: json!({
                "aud": null, "client_id": AUDIENCE, "origin_jti": "o", "event_id": "e", "token_use": "access",
                "scope": "aws.cognito.signin.user.admin", "auth_time": NOW - 90, "jti": "j", "username": "jane",
                "cognito:groups": ["clerk"], "version": 2,
            }),
            id: json!({
                "token_use": "id", "auth_time": NOW - 90, "cognito:username": "jane", "cognito:groups": ["clerk"],
                "origin_jti": "o", "event_id": "e", "jti": "j", "email": "jane@example.com", "email_verified": true,
            }),
            roles: &["clerk"],
            scopes: &["aws.cognito.signin.user.admin"],
            client: Some(AUDIENCE),
        },
        Case {
            name: "Entra ID, version 1",
            layout: ClaimsLayout::entra_id,
            access: json!({
                "ver": "1.0", "appid": "c44b", "appidacr": "0", "scp": "Orders.Read", "roles": ["clerk"], "acr": "1",
                "amr": ["pwd"], "tid": "fa15d692", "oid": "690222be", "uti": "u", "nbf": NOW - 60, "name": "Jane",
            }),
            id: json!({
                "ver": "1.0", "roles": ["clerk"], "amr": ["pwd"], "tid": "fa15d692", "oid": "690222be", "uti": "u",
                "nbf": NOW - 60, "name": "Jane", "rh": "r", "unique_name": "jane@example.com",
            }),
            roles: &["clerk"],
            scopes: &["Orders.Read"],
            client: Some("c44b"),
        },
        Case {
            name: "Entra ID, version 2",
            layout: ClaimsLayout::entra_id,
            access: json!({
                "ver": "2.0", "azp": "c44b", "azpacr": "0", "scp": "Orders.Read", "roles": ["clerk"], "aio": "A",
                "tid": "fa15d692", "oid": "690222be", "uti": "u", "nbf": NOW - 60, "name": "Jane",
            }),
            id: json!({
                "ver": "2.0", "roles": ["clerk"], "aio": "A", "tid": "fa15d692", "oid": "690222be", "uti": "u",
                "nbf": NOW - 60, "name": "Jane", "preferred_username": "jane@example.com", "nonce": "123523",
            }),
            roles: &["clerk"],
            scopes: &["Orders.Read"],
            client: Some("c44b"),
        },
        Case {
            name: "ForgeRock",
            layout: ClaimsLayout::forgerock,
            access: json!({
                "cts": "OAUTH2_STATELESS_GRANT", "auth_level": 0, "auditTrackingId": "5b13", "subname": "jane",
                "tokenName": "access_token", "token_type": "Bearer", "authGrantId": "Pq8L", "client_id": "shop",
                "nonce": "random", "nbf": NOW - 60, "grant_type": "authorization_code", "scope": ["openid", "orders"],
                "auth_time": NOW - 90, "realm": "/alpha", "expires_in": 3600, "jti": "kLGT", "amr": ["Login"],
            }),
            id: json!({
                "at_hash": "zjr2", "auditTrackingId": "5b13", "subname": "jane", "tokenName": "id_token", "acr": "0",
                "azp": "shop", "nonce": "random", "c_hash": "xBVx", "org.forgerock.openidconnect.ops": "tAEd",
                "s_hash": "bKE9", "auth_time": NOW - 90, "realm": "/alpha", "tokenType": "JWTToken",
            }),
            roles: &[],
            scopes: &["openid", "orders"],
            client: Some("shop"),
        },
        Case {
            name: "Keycloak, realm",
            layout: ClaimsLayout::keycloak_realm,
            access: json!({
                "auth_time": NOW - 90, "jti": "o", "typ": "Bearer", "azp": "web", "nonce": "n", "sid": "s", "acr": "1",
                "realm_access": {"roles": ["clerk"]}, "scope": "openid email",
            }),
            id: json!({
                "auth_time": NOW - 90, "jti": "o", "typ": "ID", "azp": "web", "nonce": "n", "sid": "s", "acr": "1",
                "at_hash": "h", "realm_access": {"roles": ["clerk"]}, "email_verified": false,
            }),
            roles: &["clerk"],
            scopes: &["openid", "email"],
            client: Some("web"),
        },
        Case {
            name: "Keycloak, client",
            layout: || ClaimsLayout::keycloak_client("orders"),
            access: json!({
                "jti": "o", "typ": "Bearer", "azp": "web", "sid": "s",
                "resource_access": {"orders": {"roles": ["clerk"]}}, "scope": "email",
            }),
            id: json!({
                "jti": "o", "typ": "ID", "azp": "web", "sid": "s",
                "resource_access": {"orders": {"roles": ["clerk"]}}, "email_verified": false,
            }),
            roles: &["clerk"],
            scopes: &["email"],
            client: Some("web"),
        },
        Case {
            name: "Okta",
            layout: ClaimsLayout::okta,
            access: json!({
                "ver": 1, "jti": "AT.0mP4JK", "cid": "nmdP", "uid": "00uj", "scp": ["openid", "orders"],
                "auth_time": NOW - 90,
            }),
            id: json!({
                "ver": 1, "jti": "ID.4eAWJO", "amr": ["pwd"], "idp": "00ok", "nonce": "n", "auth_time": NOW - 90,
                "at_hash": "h", "preferred_username": "jane@example.com", "name": "Jane",
            }),
            roles: &[],
            scopes: &["openid", "orders"],
            client: Some("nmdP"),
        },
        Case {
            name: "Supabase",
            layout: ClaimsLayout::supabase,
            access: json!({
                "email": "jane@example.com", "phone": "", "app_metadata": {"provider": "email", "providers": ["email"]},
                "user_metadata": {"role": "admin", "roles": ["admin"]}, "role": "authenticated", "aal": "aal1",
                "amr": [{"method": "password", "timestamp": NOW - 90}], "session_id": "2e1f", "is_anonymous": false,
            }),
            // A token of its OAuth server, whose audience is otherwise the client.
            id: json!({
                "nonce": "n", "auth_time": NOW - 90, "email": "jane@example.com", "email_verified": true,
                "phone_number_verified": false, "name": "Jane", "client_id": "9a8b",
            }),
            roles: &["authenticated"],
            scopes: &[],
            client: None,
        },
        Case {
            name: "Zitadel",
            layout: ClaimsLayout::zitadel,
            access: json!({
                "aud": ["250123", AUDIENCE], "nbf": NOW - 60, "jti": "V2_250-at_250", "client_id": "shop@acme",
                "urn:zitadel:iam:org:project:roles": {"clerk": {"165": "acme.example.com"}, "auditor": {"165": "acme.example.com", "166": "b.example.com"}},
                "urn:zitadel:iam:org:project:247:roles": {"other": {"165": "acme.example.com"}},
            }),
            id: json!({
                "aud": [AUDIENCE, "shop@acme"], "auth_time": NOW - 90, "amr": ["pwd", "mfa", "otp"], "azp": "shop@acme",
                "client_id": "shop@acme", "at_hash": "h", "sid": "V1_250",
                "urn:zitadel:iam:org:project:roles": {"clerk": {"165": "acme.example.com"}},
            }),
            roles: &["auditor", "clerk"],
            scopes: &[],
            client: Some("shop@acme"),
        },
        Case {
            name: "Zitadel, one project",
            layout: || ClaimsLayout::zitadel_project("247"),
            access: json!({
                "jti": "V2_250-at_250", "azp": "shop@acme",
                "urn:zitadel:iam:org:project:roles": {"other": {"165": "acme.example.com"}},
                "urn:zitadel:iam:org:project:247:roles": {"clerk": {"165": "acme.example.com"}, "gone": {}, "none": null},
            }),
            // An ID token of the implicit flow, without `at_hash`.
            id: json!({
                "auth_time": NOW - 90, "nonce": "n", "azp": "shop@acme",
                "urn:zitadel:iam:org:project:247:roles": {"clerk": {"165": "acme.example.com"}},
            }),
            roles: &["clerk"],
            scopes: &[],
            client: Some("shop@acme"),
        },
    ];
    for case in cases {
        let name = case.name;
        let set = |builder: JwtValidatorBuilder| usual(builder).claims_layout((case.layout)());
        let token = check(set, with(common.clone(), case.access.clone()));
        let token = token.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(list(token.roles()), case.roles, "{name}");
        assert_eq!(list(token.scopes()), case.scopes, "{name}");
        assert_eq!(token.client_id(), case.client, "{name}");
        let found = check(set, with(common.clone(), case.id.clone())).err();
        assert!(
            matches!(found, Some(TokenError::TokenType { .. })),
            "{name}: {found:?}"
        );
        // ID tokens are also rejected without their typical claims, or with one of them.
        for changes in [
            json!({"nonce": null, "at_hash": null, "c_hash": null, "s_hash": null}),
            json!({"nonce": "n", "at_hash": null, "c_hash": null, "s_hash": null}),
        ] {
            let id = with(with(common.clone(), case.id.clone()), changes);
            let found = check(set, id).err();
            assert!(
                matches!(found, Some(TokenError::TokenType { .. })),
                "{name}: {found:?}"
            );
        }
        // The treatment of `null`, which all presets share.
        let mut access = with(common.clone(), case.access);
        for name in ["nonce", "x", "groups", "acr", "email"] {
            access[name] = Value::Null;
        }
        assert!(check(set, access).is_ok(), "{name}");
    }
    // All JWTs of Google are ID tokens: it takes an explicit opt-in.
    let key = PublicKey::from_pem(public_pem("ed25519")).unwrap();
    let google = usual(JwtValidator::builder(key)).claims_layout(ClaimsLayout::google());
    assert!(google.build().is_err());
}

#[test]
fn member_names_are_roles_only_if_values_are_objects() {
    // (M14: kinds of tokens, D01: wrong types)
    let layout =
        || ClaimsLayout::new().with_roles_at([ClaimPath::from(["app", "roles"]).member_names()]);
    let roles = |roles: Value| {
        let set = |builder: JwtValidatorBuilder| usual(builder).claims_layout(layout());
        let token = check(set, with(claims(), json!({"app": {"roles": roles}})))?;
        Ok(list(token.roles()).join(","))
    };
    let wrong = || {
        Err(TokenError::Claim {
            claim: "app.roles".into(),
        })
    };
    for (value, expected) in [
        (
            json!({"admin": {"1": "a"}, "clerk": {"2": "b"}}),
            Ok("admin,clerk".to_owned()),
        ),
        (json!({"admin": {"1": null}}), Ok("admin".to_owned())),
        (json!({}), Ok(String::new())),
        (json!(null), Ok(String::new())),
        (json!({"admin": {}}), Ok(String::new())),
        (
            json!({"admin": null, "clerk": {"2": "b"}}),
            Ok("clerk".to_owned()),
        ),
        (json!({"admin": false}), wrong()),
        (json!({"admin": true}), wrong()),
        (json!({"admin": "1"}), wrong()),
        (json!({"admin": 0}), wrong()),
        (json!({"admin": [{"1": "a"}]}), wrong()),
        (json!(["admin"]), wrong()),
        (json!("admin"), wrong()),
        (json!(1), wrong()),
    ] {
        assert_eq!(roles(value.clone()), expected, "{value}");
    }
    // Without `member_names`, an object is not a list of roles.
    let plain = |builder: JwtValidatorBuilder| {
        usual(builder).claims_layout(ClaimsLayout::new().with_roles_at([["app", "roles"]]))
    };
    let object = with(claims(), json!({"app": {"roles": {"admin": {"1": "a"}}}}));
    assert_eq!(check(plain, object).err(), wrong().err());
    // A tenant or a client is one text.
    for layout in [
        ClaimsLayout::new().with_tenant_at(ClaimPath::from("org").member_names()),
        ClaimsLayout::new().with_client_at([ClaimPath::from("azp").member_names()]),
        ClaimsLayout::new().with_access_token_values(ClaimPath::from("kind").member_names(), ["a"]),
    ] {
        let key = PublicKey::from_pem(public_pem("ed25519")).unwrap();
        let built = usual(JwtValidator::builder(key))
            .claims_layout(layout)
            .build();
        assert!(built.unwrap_err().to_string().contains("claims_layout"));
    }
}

#[test]
fn rule_denies_if_required_claim_is_unreadable() {
    // (M12: unused claims) An unreadable claim is absent, and absence never satisfies a rule (D08: absent claims).
    use tower_bearer::policy::{Policies, acr, max_age};
    let policies: Policies<AccessToken> = Policies::builder()
        .under("/acr", acr(["1"]))
        .under("/age", max_age(Duration::from_secs(600)))
        .build()
        .unwrap();
    let odd = json!({
        "acr": ["1"], "auth_time": (NOW - 5).to_string(), "amr": [{"method": "password", "timestamp": NOW - 5}],
        "azp": 7, "client_id": {"id": "shop"}, "email": ["a@b.c"], "groups": [{"id": 1}], "sid": 7, "jti": 7,
    });
    let good = json!({"acr": "1", "auth_time": NOW - 5});
    let key = PublicKey::from_pem(public_pem("ed25519")).unwrap();
    let validator = usual(JwtValidator::builder(key)).build().unwrap();
    let layer = BearerAuthLayer::new(validator)
        .with_policy(policies)
        .with_clock(ManualClock::new(now()));
    let status = |changes: &Value, path: &str| {
        let token = Signer::new("EdDSA").token(&with(claims(), changes.clone()));
        let inner = service_fn(|_: Request<()>| async {
            Ok::<_, std::convert::Infallible>(Response::new(String::new()))
        });
        let request = Request::get(path)
            .header("authorization", format!("Bearer {token}"))
            .body(())
            .unwrap();
        let response = futures_util::FutureExt::now_or_never(layer.layer(inner).oneshot(request));
        response.unwrap().unwrap().status().as_u16()
    };
    for (path, of_odd) in [("/other", 200), ("/acr", 401), ("/age", 401)] {
        assert_eq!(status(&odd, path), of_odd, "{path}");
        assert_eq!(status(&good, path), 200, "{path}");
    }
}

#[test]
fn claim_of_unexpected_type_is_rejected_by_layout() {
    // (D01: wrong types, D11: `scope` and `scp`)
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
        // (M13: `null` is absence)
        (json!({"roles": null}), Ok(String::new())),
        (json!(null), Ok(String::new())),
        (json!({"roles": ["a"], "tenant": null}), Ok("a".to_owned())),
        (json!({"roles": ["a", null]}), claim("app.roles")),
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
fn invalid_setting_is_named_in_error() {
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
fn each_setting_takes_effect() {
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
fn claims_deserialize_into_custom_type() {
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
async fn validator_loads_user_after_token_is_validated() {
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
fn each_issuer_has_separate_keys_and_audience() {
    // (C10: issuer and `kid`, D03: required issuer, E02: no needless fetch, G09: bounded tables)
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
fn key_without_kid_matches_no_other_kid_and_no_other_algorithm() {
    // (C02: algorithm of the key, C10: issuer and `kid`)
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
fn rejected_jwt_reaches_second_validator_with_or_but_not_with_jwt_or_opaque() {
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
            kind(&JwtOrOpaque::new(jwt.clone(), opaque()), token),
            by_shape,
            "{token}"
        );
        assert_eq!(kind(&jwt.clone().or(opaque()), token), or, "{token}");
    }
}

#[test]
fn keys_load_from_every_format() {
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
fn private_key_loads_only_with_private_key_constructor() {
    // (M15: key checks)
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
fn pem_loads_with_surrounding_white_space_and_text() {
    // (M15: key checks) RFC 7468 sections 2, 3 and 5.2
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
fn five_or_more_keys_without_kid_all_verify() {
    // (M15: key checks)
    let new_signer = || {
        let pair = aws_lc_rs::signature::Ed25519KeyPair::generate().unwrap();
        let x = aws_lc_rs::signature::KeyPair::public_key(&pair);
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": crate::tokens::base64url(x)});
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
            crate::tokens::base64url(header.to_string()),
            crate::tokens::base64url(claims().to_string())
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
                let signature = crate::tokens::base64url(pair.sign(input.as_bytes()));
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
fn keys_are_tried_in_turn_for_token_without_kid_only_with_opt_in() {
    // (M15: key checks)
    let signers = [
        Signer::with_key("RS256", "rsa").kid("a"),
        Signer::with_key("RS256", "rsa-other").kid("b"),
        Signer::with_key("EdDSA", "ed25519").kid("c"),
    ];
    let set = crate::tokens::jwks(&signers).to_string();
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
            // Only one key fits, so the token is not ambiguous.
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
            // (C02: algorithm of the key) Keys of other algorithms are not tried.
            let header = json!({"alg": "RS256"});
            let crossed = Signer::new("EdDSA").token_with(&header, &claims());
            assert_eq!(outcome(&crossed), Err(TokenError::Signature));
            assert_eq!(
                outcome(&without_kid("PS256", "rsa")),
                Err(TokenError::Algorithm)
            );
            // (C10: issuer and `kid`) A `kid` still names one key, and an unknown `kid` names none.
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
fn error_for_rsa_key_without_alg_names_the_option() {
    // (M15: key checks)
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
    // If no option helps, the error names none.
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
fn validator_is_independent_of_jsonwebtoken_provider() {
    let token = Signer::new("HS256").token(&with(claims(), json!({"exp": 4_000_000_000_u64})));
    let mut validation = jsonwebtoken::Validation::default();
    validation.set_audience(&[AUDIENCE]);
    let theirs = std::panic::catch_unwind(|| {
        let key = jsonwebtoken::DecodingKey::from_secret(SECRET)?;
        jsonwebtoken::decode::<Value>(&token, &key, &validation)
    });
    assert!(
        !matches!(theirs, Ok(Ok(_))),
        "both back ends of jsonwebtoken are on, and none is installed"
    );

    let secret = SharedSecret::hs256(SECRET).unwrap();
    let validator = usual(JwtValidator::builder(secret)).build().unwrap();
    assert!(run(&validator, &Signer::new("HS256").token(&claims())).is_ok());
}
