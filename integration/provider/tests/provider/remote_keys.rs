//! `RemoteKeys` and a provider.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use tokio::sync::mpsc;
use tower_bearer::clock::{ManualClock, SystemClock};
use tower_bearer::jwt::{Algorithm, JwtValidator};
use tower_bearer::provider::RemoteKeys;

use crate::api::Api;
use crate::realm::{Realm, for_mallory, header};

const RESOURCES: [&str; 3] = [
    "https://rs256.example",
    "https://es256.example",
    "https://eddsa.example",
];
const SCOPE: &str = "orders:read";
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

pub(crate) async fn discovery_finds_the_keys(folder: PathBuf) {
    let realm = Realm::start(&folder);
    let issuer = realm.issuer.as_str();
    for (resource, alg) in RESOURCES.into_iter().zip(["RS256", "ES256", "EdDSA"]) {
        let validator = JwtValidator::discover(issuer).await.unwrap();
        let validator = validator.audience(resource).rfc9068().build().unwrap();
        assert_eq!(validator.issuer(), Some(issuer));
        let api = Api::new(validator, SystemClock::default());

        let token = realm.user_token("alice", resource, SCOPE).await;
        assert_eq!(header(&token)["alg"], alg);
        api.get(&token).await.is_from("alice: orders:read");
        let client = realm
            .client_token(resource, "orders:read orders:write")
            .await;
        api.get(&client)
            .await
            .is_from("shop: orders:read orders:write");

        for other in RESOURCES.into_iter().filter(|other| *other != resource) {
            let token = realm.user_token("alice", other, SCOPE).await;
            api.get(&token)
                .await
                .is_refused("`aud` does not name this service");
        }
        api.get(&for_mallory(&token))
            .await
            .is_refused("the signature does not match");
        let opaque = realm
            .user_token("alice", "https://opaque.example", SCOPE)
            .await;
        for garbage in [
            &opaque,
            "garbage",
            "a.b.c",
            token.rsplit_once('.').unwrap().0,
        ] {
            api.get(garbage).await.is_refused("");
        }
    }
    let requests = realm.requests();
    // Once each for every `discover`, and one more JWK Set for each bad signature (E09: reused `kid`).
    assert_eq!(requests["/.well-known/openid-configuration"], 3);
    assert_eq!(requests["/jwks"], 6);

    let strange = JwtValidator::discover(format!("{issuer}/"))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        strange.contains(issuer) && strange.contains("character by character"),
        "{strange}"
    );
    let nobody = JwtValidator::discover(issuer.replace("shop", "nobody"))
        .await
        .unwrap_err();
    assert!(
        nobody.to_string().contains("publishes no metadata"),
        "{nobody}"
    );
}

/// Requests with tokens as they are issued, while the provider changes its keys.
struct Traffic<'t> {
    realm: &'t Realm,
    api: &'t Api,
    stop: AtomicBool,
}

impl Traffic<'_> {
    /// Runs until `stop`. Every request has to be accepted; by which key is said to `accepted`.
    async fn run(&self, resource: &str, accepted: mpsc::UnboundedSender<String>) {
        while !self.stop.load(Ordering::Relaxed) {
            let token = self.realm.user_token("alice", resource, SCOPE).await;
            self.api.get(&token).await.is_from("alice: orders:read");
            let kid = header(&token)["kid"].as_str().unwrap().to_owned();
            let _ = accepted.send(kid);
        }
    }
}

pub(crate) async fn keys_rotate_without_a_failed_request(folder: PathBuf) {
    let realm = Realm::start(&folder);
    let clock = ManualClock::new(SystemTime::now());
    let keys = RemoteKeys::discover(&realm.issuer).clock(clock.clone());
    let keys = keys.connect().await.unwrap();
    let validator = JwtValidator::builder(keys.clone()).rfc9068();
    let validator = RESOURCES
        .into_iter()
        .fold(validator, |validator, it| validator.audience(it));
    let api = Api::new(validator.build().unwrap(), clock.clone());
    let mut old = Vec::new();
    for resource in RESOURCES {
        old.push(realm.user_token("alice", resource, SCOPE).await);
    }

    let traffic = Traffic {
        realm: &realm,
        api: &api,
        stop: AtomicBool::new(false),
    };
    let (sender, mut accepted) = mpsc::unbounded_channel();
    let rotation = async {
        let mut seen = async |generation: &str| {
            // Two of each kind, so that one was asked for after this was.
            for alg in ["RS256", "ES256", "EdDSA"] {
                let expected = format!("{alg}-{generation}");
                for _ in 0..2 {
                    while accepted.recv().await.unwrap() != expected {}
                }
            }
        };
        let of_old = async || {
            for token in &old {
                api.get(token).await.is_from("alice: orders:read");
            }
        };
        // As it should be done: the new keys are published before they sign.
        seen("1").await;
        realm.publish();
        seen("1").await;
        realm.sign();
        seen("2").await;
        of_old().await;
        realm.remove();
        seen("2").await;
        // Nobody has asked since, so the old ones still count, and one fetch sufficed for all three.
        of_old().await;
        assert_eq!(realm.requests()["/jwks"], 2);
        keys.refresh().await.unwrap();
        for token in &old {
            api.get(token).await.is_refused("no key has this `kid`");
        }
        seen("2").await;
        // Within the cooldown nobody was asked about them.
        assert_eq!(realm.requests()["/jwks"], 1);

        // Carelessly: all at once, but not within the cooldown.
        clock.advance(MINUTE);
        realm.publish();
        realm.sign();
        realm.remove();
        seen("3").await;
        traffic.stop.store(true, Ordering::Relaxed);
        assert_eq!(realm.requests()["/jwks"], 1);
    };
    let [first, second, third] = RESOURCES;
    tokio::join!(
        rotation,
        traffic.run(first, sender.clone()),
        traffic.run(second, sender.clone()),
        traffic.run(third, sender),
    );
    let status = keys.status();
    assert_eq!(
        status.keys().collect::<Vec<_>>(),
        [
            (Some("RS256-3"), Algorithm::RS256),
            (Some("ES256-3"), Algorithm::ES256),
            (Some("EdDSA-3"), Algorithm::Ed25519),
        ]
    );
    assert!(status.skipped().is_empty());
}

pub(crate) async fn keys_outlive_their_provider_for_a_time(folder: PathBuf) {
    let realm = Realm::start(&folder);
    let clock = ManualClock::new(SystemTime::now());
    let keys = RemoteKeys::discover(&realm.issuer)
        .clock(clock.clone())
        .default_ttl(10 * MINUTE)
        .max_stale(60 * MINUTE)
        .cooldown(30 * SECOND);
    let keys = keys.connect().await.unwrap();
    let validator = JwtValidator::builder(keys.clone())
        .audience(RESOURCES[0])
        .rfc9068();
    let api = Api::new(validator.build().unwrap(), clock.clone());
    let token = realm.user_token("alice", RESOURCES[0], SCOPE).await;
    api.get(&token).await.is_from("alice: orders:read");

    realm.kill();
    api.get(&token).await.is_from("alice: orders:read");
    clock.advance(10 * MINUTE);
    api.get(&token).await.is_from("alice: orders:read");
    let error = keys.refresh().await.unwrap_err().to_string();
    assert!(
        error.contains("/jwks: no connection could be made"),
        "{error}"
    );
    assert_eq!(keys.status().last_error(), Some(&*error));
    clock.advance(60 * MINUTE - SECOND);
    api.get(&token).await.is_from("alice: orders:read");
    clock.advance(SECOND);
    let answer = api.get(&token).await;
    answer.is_unavailable();
    assert!(
        answer.cause().contains("no connection could be made"),
        "{}",
        answer.cause()
    );
    assert_eq!(answer.body.find("127.0.0.1"), None);
    // That it is no token at all can still be told.
    api.get("garbage").await.is_refused("");

    realm.restart();
    api.get(&token).await.is_unavailable();
    clock.advance(30 * SECOND);
    let fresh = realm.user_token("bob", RESOURCES[0], SCOPE).await;
    api.get(&fresh).await.is_from("bob: orders:read");
    // It came back with other keys of the same names.
    api.get(&token)
        .await
        .is_refused("the signature does not match");
}

pub(crate) async fn a_forged_token_is_no_outage(folder: PathBuf) {
    let realm = Realm::start(&folder);
    let validator = JwtValidator::discover(&realm.issuer).await.unwrap();
    let validator = validator.audience(RESOURCES[0]).rfc9068().build().unwrap();
    let api = Api::new(validator, SystemClock::default());
    let token = realm.user_token("alice", RESOURCES[0], SCOPE).await;
    realm.kill();
    api.get(&token).await.is_from("alice: orders:read");
    // Its key is at hand, and what the provider would say is nothing to wait for or to report.
    for _ in 0..2 {
        let answer = api.get(&for_mallory(&token)).await;
        answer.is_refused("the signature does not match");
    }
}
