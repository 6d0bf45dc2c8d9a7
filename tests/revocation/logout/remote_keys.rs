//! Logout tokens that are verified with remote keys (K03: logout tokens).

use tower_bearer::provider::RemoteKeys;

use super::*;
use crate::http_server::{HttpServer, Reply};
use crate::tokens::{base64url, jwks};

const JWKS: &str = "/jwks";
/// The default of the cooldown.
const COOLDOWN: Duration = Duration::from_secs(30);

fn other() -> Signer {
    Signer::with_key("EdDSA", "ed25519-other").kid("next")
}

fn token_of(signer: &Signer, number: u64) -> String {
    let header = json!({"alg": "EdDSA", "typ": "logout+jwt", "kid": signer.kid});
    let jti = json!({"jti": number.to_string(), "exp": NOW + 1_000, "iat": NOW});
    signer.token_with(&header, &with(logout(), jti))
}

fn service(server: &HttpServer) -> Service {
    let clock = ManualClock::new(now());
    let keys = RemoteKeys::builder(server.url(JWKS))
        .clock(clock.clone())
        .connect_lazily()
        .unwrap();
    let validator = LogoutTokenValidator::builder(keys)
        .issuer(ISSUER)
        .audience(CLIENT)
        .max_age(HOUR)
        .build()
        .unwrap();
    let mut service = Service::new(validator);
    service.endpoint = service.endpoint.with_clock(clock.clone());
    service.clock = clock;
    service
}

#[tokio::test]
async fn rotated_provider_key_is_fetched() {
    let server = HttpServer::with(JWKS, Reply::json(jwks([&signer()])));
    let service = service(&server);
    assert_eq!(service.post(&token_of(&signer(), 1)).await.status(), 200);
    assert_eq!(server.count(JWKS), 1);
    server.set(JWKS, Reply::json(jwks([&signer(), &other()])));
    assert_eq!(service.post(&token_of(&other(), 2)).await.status(), 200);
    assert_eq!(server.count(JWKS), 2);
    // (E03: replaced key sets) The former key goes.
    server.set(JWKS, Reply::json(jwks([&other()])));
    service.clock.advance(COOLDOWN);
    let unknown = Signer::with_key("EdDSA", "ed25519").kid("unknown");
    assert_eq!(service.post(&token_of(&unknown, 3)).await.status(), 400);
    assert_eq!(service.post(&token_of(&signer(), 4)).await.status(), 400);
    assert_eq!(service.post(&token_of(&other(), 5)).await.status(), 200);
}

#[tokio::test]
async fn invalid_logout_token_causes_no_fetch() {
    // (E02: no needless fetch)
    let server = HttpServer::with(JWKS, Reply::json(jwks([&signer()])));
    let service = service(&server);
    assert_eq!(service.post(&token_of(&signer(), 1)).await.status(), 200);
    let header = |changes| {
        with(
            json!({"alg": "EdDSA", "typ": "logout+jwt", "kid": "x"}),
            changes,
        )
    };
    for (name, header, changes) in [
        ("typ", header(json!({"typ": "JWT"})), json!({})),
        ("alg", header(json!({"alg": "HS256"})), json!({})),
        (
            "issuer",
            header(json!({})),
            json!({"iss": "https://other.example"}),
        ),
        ("audience", header(json!({})), json!({"aud": AUDIENCE})),
        ("events", header(json!({})), json!({"events": null})),
        ("nonce", header(json!({})), json!({"nonce": "n"})),
        ("age", header(json!({})), json!({"iat": 1})),
        ("over", header(json!({})), json!({"exp": 1})),
        ("jti", header(json!({})), json!({"jti": null})),
    ] {
        let claims = with(logout(), changes);
        let parts = [header.to_string(), claims.to_string()].map(base64url);
        let token = format!("{}.{}.{}", parts[0], parts[1], base64url([1; 64]));
        assert_eq!(service.post(&token).await.status(), 400, "{name}");
    }
    assert_eq!(server.count(JWKS), 1);
}

#[tokio::test]
async fn key_outage_is_503_and_token_can_be_retried() {
    // (E14: details for the operator, K02: revocation outages)
    let mut server = HttpServer::with(JWKS, Reply::json(jwks([&signer()])));
    let service = service(&server);
    server.stop();
    let access = access_token(json!({}));
    let token = token_of(&signer(), 1);
    let answer = service.post(&token).await;
    assert_eq!(answer.status(), 503);
    assert_eq!(service.access(&access).0, Ok(()));
    server.restart();
    service.clock.advance(COOLDOWN);
    assert_eq!(service.post(&token).await.status(), 200);
    assert!(service.access(&access).0.is_err());
    assert_eq!(service.post(&token).await.status(), 400);
    // An unknown key in an outage: nobody can tell.
    server.stop();
    service.clock.advance(COOLDOWN);
    assert_eq!(service.post(&token_of(&other(), 2)).await.status(), 503);
    // What is known needs nobody.
    assert_eq!(service.post(&token_of(&signer(), 3)).await.status(), 200);
}
