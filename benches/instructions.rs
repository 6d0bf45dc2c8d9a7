//! How many instructions the main ways of a request take. To be run under callgrind: `benches/instructions.sh`.
//!
//! `instructions <case> <count>` sends so many requests of one kind, made in advance, through [`measured`],
//! which is the only function that the script counts. Without arguments each case is run once, so that a case
//! that does not answer as expected is found without callgrind.

#[path = "support/mod.rs"]
mod support;
#[path = "../tests/support/tokens.rs"]
mod tokens;

use std::hint::black_box;
use std::time::{Duration, SystemTime};

use http::{Request, StatusCode};
use serde_json::json;
use support::{Body, TOKEN, User, bare, call, request, ten_rules};
use tokens::{AUDIENCE, ISSUER, SECRET, Signer, claims, with};
use tower::{Layer as _, Service};
use tower_bearer::jwt::{JwtValidator, JwtValidatorBuilder, SharedSecret};
use tower_bearer::revocation::RevocationList;
use tower_bearer::{BearerAuthLayer, OpaqueTokens};

const KID: &str = "2026-11";

struct Case {
    name: &'static str,
    expected: StatusCode,
    run: fn(&Tokens, usize, StatusCode),
}

struct Tokens {
    good: String,
    bad_signature: String,
    other_issuer: String,
    other_kid: String,
    garbage: String,
    oversized: String,
}

impl Tokens {
    fn new() -> Self {
        let signer = Signer::new("HS256").kid(KID);
        // The clock of the system is the one that is read in production.
        let claims = with(
            claims(),
            json!({"iat": 1_700_000_000, "exp": 4_000_000_000_u64}),
        );
        let good = signer.token(&claims);
        let mut bad_signature = good.clone();
        let at = good.len() - 10;
        let other = if good.as_bytes()[at] == b'A' {
            "B"
        } else {
            "A"
        };
        bad_signature.replace_range(at..=at, other);
        Self {
            bad_signature,
            other_issuer: signer.token(&with(
                claims.clone(),
                json!({"iss": "https://else.example"}),
            )),
            other_kid: Signer::new("HS256").kid("2026-12").token(&claims),
            garbage: TOKEN.repeat(10),
            oversized: "a".repeat(9_000),
            good,
        }
    }
}

fn validator() -> JwtValidatorBuilder {
    JwtValidator::builder(SharedSecret::hs256(SECRET).unwrap().with_kid(KID).unwrap())
        .issuer(ISSUER)
        .audience(AUDIENCE)
}

fn opaque() -> OpaqueTokens<User> {
    let tokens = OpaqueTokens::new();
    tokens.insert(TOKEN, User).unwrap();
    tokens
}

macro_rules! jwt {
    ($token:ident $(, $setting:ident)*) => {
        |tokens, count, expected| {
            let validator = validator()$(.$setting())*.build().unwrap();
            run(
                BearerAuthLayer::new(validator).with_policy(ten_rules()).layer(bare()),
                || request("/orders/7", Some(&format!("Bearer {}", tokens.$token))),
                count,
                expected,
            );
        }
    };
}

const CASES: &[Case] = &[
    Case {
        name: "bare service",
        expected: StatusCode::OK,
        run: |tokens, count, expected| {
            let authorization = format!("Bearer {}", tokens.good);
            run(
                bare(),
                || request("/orders/7", Some(&authorization)),
                count,
                expected,
            );
        },
    },
    Case {
        name: "public path",
        expected: StatusCode::OK,
        run: |_, count, expected| {
            let layer = BearerAuthLayer::new(opaque()).with_policy(ten_rules());
            run(
                layer.layer(bare()),
                || request("/health", None),
                count,
                expected,
            );
        },
    },
    Case {
        name: "opaque token, allowed",
        expected: StatusCode::OK,
        run: |_, count, expected| {
            let layer = BearerAuthLayer::new(opaque()).with_policy(ten_rules());
            let authorization = format!("Bearer {TOKEN}");
            run(
                layer.layer(bare()),
                || request("/orders/7", Some(&authorization)),
                count,
                expected,
            );
        },
    },
    Case {
        name: "JWT, remembered",
        expected: StatusCode::OK,
        run: jwt!(good),
    },
    Case {
        name: "JWT, remembered, revocations asked",
        expected: StatusCode::OK,
        run: |tokens, count, expected| {
            let revoked = RevocationList::new();
            let until = SystemTime::now() + Duration::from_secs(3_600);
            revoked
                .revoke_token(Some(ISSUER), "another", until)
                .unwrap();
            let validator = validator().revocations(revoked).build().unwrap();
            let layer = BearerAuthLayer::new(validator).with_policy(ten_rules());
            let authorization = format!("Bearer {}", tokens.good);
            run(
                layer.layer(bare()),
                || request("/orders/7", Some(&authorization)),
                count,
                expected,
            );
        },
    },
    Case {
        name: "JWT with HS256, not remembered",
        expected: StatusCode::OK,
        run: jwt!(good, without_cache),
    },
    Case {
        name: "JWT, bad signature",
        expected: StatusCode::UNAUTHORIZED,
        run: jwt!(bad_signature),
    },
    Case {
        name: "JWT, unknown issuer",
        expected: StatusCode::UNAUTHORIZED,
        run: jwt!(other_issuer),
    },
    Case {
        name: "JWT, unknown kid",
        expected: StatusCode::UNAUTHORIZED,
        run: jwt!(other_kid),
    },
    Case {
        name: "no JWT",
        expected: StatusCode::UNAUTHORIZED,
        run: jwt!(garbage),
    },
    Case {
        name: "too long",
        expected: StatusCode::BAD_REQUEST,
        run: jwt!(oversized),
    },
    Case {
        name: "no token",
        expected: StatusCode::UNAUTHORIZED,
        run: |_, count, expected| {
            let layer = BearerAuthLayer::new(opaque()).with_policy(ten_rules());
            run(
                layer.layer(bare()),
                || request("/orders/7", None),
                count,
                expected,
            );
        },
    },
];

fn run<S, B>(mut service: S, make: impl Fn() -> Request<Body>, count: usize, expected: StatusCode)
where
    S: Service<Request<Body>, Response = http::Response<B>>,
    S::Error: std::fmt::Debug,
{
    // The first request fills caches and sets up what a thread sets up once.
    let response = call(&mut service, make());
    assert_eq!(response.status(), expected);
    let requests: Vec<_> = (0..count).map(|_| make()).collect();
    measured(&mut service, requests);
}

/// What is counted.
#[inline(never)]
fn measured<S>(service: &mut S, requests: Vec<Request<Body>>)
where
    S: Service<Request<Body>>,
    S::Error: std::fmt::Debug,
{
    for request in requests {
        black_box(call(service, request));
    }
}

fn main() {
    let tokens = Tokens::new();
    let mut arguments = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with("--"));
    match (arguments.next(), arguments.next()) {
        (Some(name), Some(count)) => {
            let case = CASES
                .iter()
                .find(|case| case.name == name)
                .expect("a case of that name");
            (case.run)(&tokens, count.parse().expect("a count"), case.expected);
        }
        _ => {
            for case in CASES {
                (case.run)(&tokens, 1, case.expected);
                println!("{}", case.name);
            }
        }
    }
}
