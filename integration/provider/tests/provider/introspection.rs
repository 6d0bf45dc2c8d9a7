//! `Introspection` and a provider.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use tower_bearer::clock::{ManualClock, SystemClock};
use tower_bearer::jwt::{JwtOrOpaque, JwtValidator};
use tower_bearer::provider::{ClientAuthentication, Introspection, IntrospectionBuilder};
use tower_bearer::{InvalidReason, RejectionKind, Validator as _};

use crate::api::{Answer, Api};
use crate::realm::{API_BASIC, API_POST, Realm, for_mallory};

const OPAQUE: &str = "https://opaque.example";
const OTHER: &str = "https://other-opaque.example";
const JWT: &str = "https://rs256.example";
const SCOPE: &str = "orders:read";

pub(crate) async fn opaque_tokens_are_asked_about(folder: PathBuf) {
    let realm = Realm::start(&folder);
    let basic = ClientAuthentication::basic(API_BASIC.0, API_BASIC.1);
    let post = ClientAuthentication::post(API_POST.0, API_POST.1);
    for client in [basic, post] {
        let introspection = introspection(&realm)
            .client(client)
            .connect()
            .await
            .unwrap();
        assert_eq!(introspection.issuer(), Some(&*realm.issuer));
        let api = Api::new(introspection, SystemClock::default());
        realm.requests();

        let user = realm.user_token("alice", OPAQUE, SCOPE).await;
        api.get(&user).await.is_from("alice: orders:read");
        let client = realm.client_token(OPAQUE, "orders:write orders:read").await;
        api.get(&client)
            .await
            .is_from("shop: orders:write orders:read");
        assert_eq!(asked(&realm), 2);

        let other = realm.user_token("alice", OTHER, SCOPE).await;
        api.get(&other)
            .await
            .is_refused("`aud` does not name this service");
        is_unknown(&api.get("nobody-knows-this-token").await);
        assert_eq!(asked(&realm), 2);

        for token in [user, client] {
            realm.revoke(&token).await;
            is_unknown(&api.get(&token).await);
        }
        assert_eq!(asked(&realm), 2);
    }
}

pub(crate) async fn wrong_credentials_are_our_failure(folder: PathBuf) {
    let realm = Realm::start(&folder);
    let token = realm.user_token("alice", OPAQUE, SCOPE).await;
    let refused = "refuses the credentials of this service with status 401";
    for (client, cause) in [
        (ClientAuthentication::basic(API_BASIC.0, "guessed"), refused),
        (ClientAuthentication::post(API_POST.0, "guessed"), refused),
        (ClientAuthentication::basic("nobody", API_BASIC.1), refused),
        // It has no such authentication.
        (ClientAuthentication::bearer("guessed"), "got 400"),
    ] {
        let introspection = introspection(&realm)
            .client(client)
            .connect()
            .await
            .unwrap();
        let api = Api::new(introspection, SystemClock::default());
        for _ in 0..2 {
            let answer = api.get(&token).await;
            answer.is_unavailable();
            assert!(answer.cause().contains(cause), "{}", answer.cause());
        }
        assert_eq!(asked(&realm), 2, "it is not kept");
    }
}

pub(crate) async fn kept_answers_end(folder: PathBuf) {
    let realm = Realm::start(&folder);
    let clock = ManualClock::new(SystemTime::now());
    let seconds = Duration::from_secs;
    let client = ClientAuthentication::basic(API_BASIC.0, API_BASIC.1);
    let introspection = introspection(&realm).client(client).cache(seconds(60));
    let api = Api::new(introspection.connect().await.unwrap(), clock.clone());
    let token = realm.user_token("alice", OPAQUE, SCOPE).await;
    for _ in 0..3 {
        api.get(&token).await.is_from("alice: orders:read");
    }
    assert_eq!(asked(&realm), 1);
    realm.revoke(&token).await;
    clock.advance(seconds(59));
    api.get(&token).await.is_from("alice: orders:read");
    assert_eq!(asked(&realm), 0);
    clock.advance(seconds(1));
    is_unknown(&api.get(&token).await);
    is_unknown(&api.get(&token).await);
    assert_eq!(asked(&realm), 1);
    clock.advance(seconds(5));
    is_unknown(&api.get(&token).await);
    assert_eq!(asked(&realm), 1);
}

pub(crate) async fn an_outage_is_no_verdict(folder: PathBuf) {
    let realm = Realm::start(&folder);
    let client = ClientAuthentication::basic(API_BASIC.0, API_BASIC.1);
    let introspection = introspection(&realm)
        .client(client)
        .connect()
        .await
        .unwrap();
    let api = Api::new(introspection, SystemClock::default());
    let token = realm.user_token("alice", OPAQUE, SCOPE).await;
    api.get(&token).await.is_from("alice: orders:read");
    realm.kill();
    let answer = api.get(&token).await;
    answer.is_unavailable();
    assert!(
        answer.cause().contains("no connection could be made"),
        "{}",
        answer.cause()
    );
    realm.restart();
    // What it had issued is gone with it.
    is_unknown(&api.get(&token).await);
    let token = realm.user_token("alice", OPAQUE, SCOPE).await;
    api.get(&token).await.is_from("alice: orders:read");
}

pub(crate) async fn jwts_and_opaque_tokens_share_a_layer(folder: PathBuf) {
    let realm = Realm::start(&folder);
    let client = ClientAuthentication::basic(API_BASIC.0, API_BASIC.1);
    let introspection = introspection(&realm)
        .client(client)
        .connect()
        .await
        .unwrap();
    let jwt = JwtValidator::discover(&realm.issuer).await.unwrap();
    let jwt = jwt.audience(JWT).rfc9068().build().unwrap();
    let by_shape = JwtOrOpaque::new(jwt.clone(), introspection.clone());
    let by_shape = Api::new(by_shape, SystemClock::default());
    let or = Api::new(jwt.or(introspection), SystemClock::default());

    let alice = realm.user_token("alice", JWT, SCOPE).await;
    let bob = realm.user_token("bob", OPAQUE, SCOPE).await;
    let elsewhere = realm
        .user_token("alice", "https://es256.example", SCOPE)
        .await;
    for (name, api) in [("by shape", &by_shape), ("or", &or)] {
        api.get(&alice).await.is_from("alice: orders:read");
        assert_eq!(asked(&realm), 0, "{name}");
        api.get(&bob).await.is_from("bob: orders:read");
        is_unknown(&api.get("nobody-knows-this-token").await);
        assert_eq!(asked(&realm), 2, "{name}");
    }
    // What a JWT is worth can be told without the provider.
    for token in [for_mallory(&alice), elsewhere] {
        by_shape.get(&token).await.is_refused("");
        assert_eq!(asked(&realm), 0);
    }
}

pub(crate) async fn a_token_that_is_not_introspected_is_no_outage(folder: PathBuf) {
    let realm = Realm::start(&folder);
    let client = ClientAuthentication::basic(API_BASIC.0, API_BASIC.1);
    let introspection = introspection(&realm)
        .client(client)
        .connect()
        .await
        .unwrap();
    let jwt = JwtValidator::discover(&realm.issuer).await.unwrap();
    let jwt = jwt.audience(JWT).rfc9068().build().unwrap();
    let alone = Api::new(introspection.clone(), SystemClock::default());
    let or = Api::new(jwt.or(introspection), SystemClock::default());
    let token = realm.user_token("alice", JWT, SCOPE).await;
    // oidc-provider answers with 400 and `unsupported_token_type` to whatever is a JWT, which is no
    // outage: a stranger can send one.
    alone.get(&token).await.is_refused("");
    or.get(&for_mallory(&token))
        .await
        .is_refused("the signature does not match");
    assert_eq!(asked(&realm), 2);
}

fn introspection(realm: &Realm) -> IntrospectionBuilder {
    Introspection::discover(&realm.issuer).audience(OPAQUE)
}

/// How often the provider was asked about a token since the last time.
fn asked(realm: &Realm) -> u64 {
    let requests = realm.requests();
    requests.get("/token/introspection").copied().unwrap_or(0)
}

#[track_caller]
fn is_unknown(answer: &Answer) {
    answer.is_refused("");
    let kind = answer.rejection.as_ref().unwrap().kind();
    assert_eq!(kind, RejectionKind::InvalidToken(InvalidReason::Unknown));
}
