//! Allocations of one request.

use std::future::Future as _;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use http::{Extensions, Method, Request};
use tower::{Layer as _, Service};
use tower_bearer::policy::{Policies, public, scope};
use tower_bearer::{BearerAuth, BearerAuthLayer, OpaqueTokens, Policy, Validator};

use crate::allocator::allocations;
use crate::support::{Body, Greet, User};

fn count<T>(f: impl FnOnce() -> T) -> usize {
    let before = allocations();
    let result = f();
    let after = allocations();
    drop(result);
    after - before
}

const TOKEN: &str = "mF2bYt5Qe0rLk9VhXw3NcZ7uPj1sDa6gKo8iTyRnUEA";

fn service() -> BearerAuth<Greet, OpaqueTokens<User>, Policies<User>> {
    let tokens = OpaqueTokens::new();
    let user = User {
        subject: "alice",
        scope: "orders:read",
        ..User::default()
    };
    tokens.insert(TOKEN, user).unwrap();
    let mut policies = Policies::builder()
        .at("/health", public())
        .under("/orders", scope("orders:read"))
        .under("/orders", scope("orders:write").on([Method::POST]));
    for other in 3..10 {
        policies = policies.under(&format!("/other/{other}"), scope("other"));
    }
    // A literal and a name that both match must not cost anything either.
    policies = policies.under("/{any}/never", scope("other"));
    BearerAuthLayer::new(tokens)
        .with_policy(policies.build().unwrap())
        .layer(Greet)
}

fn request(path: &str) -> Request<Body> {
    request_with(path, TOKEN)
}

fn request_with(path: &str, token: &str) -> Request<Body> {
    let authorization = format!("Bearer {token}");
    Request::get(path)
        .header("authorization", authorization)
        .body(Body::default())
        .unwrap()
}

/// How much more than the bare service the layer allocates.
fn ours(make: impl Fn() -> Request<Body>, expected: &str) -> usize {
    ours_with(service(), make, expected)
}

fn ours_with<V, P>(
    mut service: BearerAuth<Greet, V, P>,
    make: impl Fn() -> Request<Body>,
    expected: &str,
) -> usize
where
    V: Validator,
    P: Policy<V::Principal>,
{
    let mut cx = Context::from_waker(Waker::noop());
    let mut run = |request: Request<Body>| {
        let mut future = pin!(service.call(request));
        let Poll::Ready(Ok(response)) = future.as_mut().poll(&mut cx) else {
            panic!("nothing here waits");
        };
        response
    };
    // Thread-locals of the table and the like are set up once.
    let response = run(make());
    assert_eq!(response.status(), 200);
    drop(response);
    let request = make();
    let with = count(|| run(request));
    let request = make();
    let bare = count(|| {
        let mut future = pin!(Greet.call(request));
        future.as_mut().poll(&mut cx).is_ready()
    });
    println!("{expected}: {with} with the layer, {bare} without");
    with - bare
}

#[test]
fn public_path_allocates_nothing() {
    assert_eq!(ours(|| request("/health"), "public"), 0);
    let plain = || Request::get("/health").body(Body::default()).unwrap();
    assert_eq!(ours(plain, "public, no headers"), 0);
}

// (M09: path of the inner service)
#[test]
fn path_below_declared_prefix_adds_no_allocation() {
    let nested = |prefix: &str| {
        let tokens = OpaqueTokens::new();
        tokens.insert(TOKEN, User::default()).unwrap();
        let policies = Policies::builder()
            .at("/api/{tenant}/health", public())
            .under("/api/{tenant}/admin", scope("admin"))
            .build()
            .unwrap();
        BearerAuthLayer::new(tokens)
            .with_policy(policies)
            .nested_at(prefix)
            .unwrap()
            .layer(Greet)
    };
    let make = || request("/health");
    let public = nested("/api/{any}");
    assert_eq!(ours_with(public, make, "below a parameter"), 0);
    let public = nested("/api/acme");
    assert_eq!(ours_with(public, make, "below literals"), 0);
    let allowed = nested("/other");
    let own = ours(|| request("/orders/7"), "allowed");
    assert_eq!(
        ours_with(allowed, || request("/orders/7"), "allowed, below"),
        own
    );
}

#[test]
fn allowed_request_allocates_only_authenticated_extension() {
    // Servers and routers have put something into the extensions before us.
    let routed = || {
        let mut request = request("/orders/7");
        request.extensions_mut().insert(());
        request
    };
    assert_eq!(ours(routed, "allowed"), 1);
}

#[test]
fn first_extensions_entry_allocates_the_map() {
    // `http` makes its map when the first entry comes, whoever brings it.
    let map = count(|| {
        let mut extensions = Extensions::new();
        extensions.insert(());
        extensions
    });
    assert_eq!(
        ours(
            || request("/orders/7"),
            "allowed, nothing in the extensions"
        ),
        1 + map
    );
}

#[cfg(feature = "aws_lc_rs")]
mod jwt {
    use std::time::{Duration, SystemTime};

    use serde_json::json;
    use tower_bearer::clock::ManualClock;
    use tower_bearer::jwt::{JwtIssuers, JwtValidator, PublicKey, SharedSecret};
    use tower_bearer::{Credential, RequestView, Verdict};

    use super::*;
    use crate::tokens::{AUDIENCE, ISSUER, SECRET, Signer, claims, now, public_pem, with};

    fn token() -> String {
        let seconds = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let now = seconds(SystemTime::now());
        let times = json!({
            "iat": (now - Duration::from_secs(60)).as_secs(),
            "exp": (now + Duration::from_secs(3_600)).as_secs(),
        });
        Signer::new("RS256").token(&with(claims(), times))
    }

    #[test]
    fn cached_token_allocates_only_authenticated_extension() {
        let key = || PublicKey::from_pem(public_pem("rsa")).unwrap();
        let builder = || {
            JwtValidator::builder(key())
                .issuer(ISSUER)
                .audience(AUDIENCE)
        };
        let token = token();
        let routed = || {
            let mut request = request_with("/orders/7", &token);
            request.extensions_mut().insert(());
            request
        };
        let policies = || {
            Policies::builder()
                .under("/orders", scope("orders:read"))
                .build()
                .unwrap()
        };
        let service = BearerAuthLayer::new(builder().build().unwrap())
            .with_policy(policies())
            .layer(Greet);
        assert_eq!(ours_with(service, routed, "remembered"), 1);

        #[cfg(feature = "revocation")]
        {
            let revoked = tower_bearer::revocation::RevocationList::new();
            let until = SystemTime::now() + Duration::from_secs(3_600);
            revoked
                .revoke_token(Some(ISSUER), "another", until)
                .unwrap();
            let validator = builder().revocations(revoked).build().unwrap();
            let service = BearerAuthLayer::new(validator)
                .with_policy(policies())
                .layer(Greet);
            assert_eq!(
                ours_with(service, routed, "remembered, revocations asked"),
                1
            );
        }
    }

    fn validator() -> JwtValidator {
        let secret = SharedSecret::hs256(SECRET).unwrap().with_kid("a").unwrap();
        let builder = JwtValidator::builder(secret);
        builder
            .issuer(ISSUER)
            .audience(AUDIENCE)
            .without_cache()
            .build()
            .unwrap()
    }

    #[test]
    fn uncached_token_allocates_only_its_kept_claims() {
        let [ours, unknown] = ["a", "b"].map(|kid| Signer::new("HS256").kid(kid));
        let issuers = JwtIssuers::new().without_cache();
        issuers.insert(validator()).unwrap();
        let good = ours.token(&claims());
        let (signed, _) = good.rsplit_once('.').unwrap();
        let forged = format!("{signed}.{}", "A".repeat(43));
        let foreign = with(claims(), json!({"iss": "https://other.example"}));
        for (name, token, is_good, expected) in [
            // The principal, and its texts.
            ("good", good.clone(), true, 2),
            // The error.
            ("unknown key", unknown.token(&claims()), false, 1),
            ("foreign", ours.token(&foreign), false, 1),
            ("forged", forged, false, 1),
            ("no JWT", "a.b.c".to_owned(), false, 0),
        ] {
            let credential = Credential::bearer(&token).unwrap();
            let request = Request::new(());
            let clock = ManualClock::new(now());
            let run = |validator: &dyn Validator<Principal = _>| {
                let view = RequestView::with_clock(&request, &clock);
                match validator.validate(&credential, &view) {
                    Verdict::Ready(answer) => answer,
                    Verdict::Pending(_) => panic!("the key is at hand"),
                }
            };
            for validator in [&validator() as &dyn Validator<Principal = _>, &issuers] {
                // What is remembered of a good token is remembered once.
                assert_eq!(run(validator).is_ok(), is_good, "{name}");
                assert_eq!(count(|| run(validator)), expected, "{name}");
            }
        }
    }
}
