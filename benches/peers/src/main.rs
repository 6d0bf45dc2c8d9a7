//! What checking a bearer token costs with this crate and with its peers: one run, the same request, the
//! same token, the same checks.
//!
//! Run with `cargo bench && ./table.py` in this folder. Before anything is measured, every contender is
//! sent a token that it has to accept and five that it has to refuse; what it does otherwise is printed
//! and becomes a footnote of the table.

mod by_hand;
mod harness;
mod key_server;
mod peer;
mod raw;
mod tokens;

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use harness::{Contender, Made, request};
use http::StatusCode;
use jsonwebtoken::Algorithm;
use tokens::{ALGORITHMS, Keys, Tokens};

type Maker = fn(&Keys, &Tokens) -> Made;

/// In the order in which they are measured. Those whose name begins with `axum` run in a router.
const CONTENDERS: [(&str, Maker); 15] = [
    ("bare", peer::bare::service),
    ("tower-http bearer", peer::tower_http_bearer::service),
    ("tower-bearer cold", peer::tower_bearer::cold),
    ("tower-bearer cached", peer::tower_bearer::cached),
    ("tower-http async", peer::tower_http_async::service),
    ("jwt-authorizer", peer::jwt_authorizer::service),
    (
        "tower-oauth2-resource-server",
        peer::tower_oauth2_resource_server::service,
    ),
    ("aliri_tower", peer::aliri_tower::service),
    ("tower-mcp", peer::tower_mcp::service),
    ("axum bare", peer::bare::axum),
    ("axum tower-bearer cold", peer::tower_bearer::axum_cold),
    ("axum tower-bearer cached", peer::tower_bearer::axum_cached),
    ("axum from_fn", peer::axum_from_fn::axum),
    ("axum axum-jwt-auth", peer::axum_jwt_auth::axum),
    ("axum authkestra-axum", peer::authkestra::axum),
];

/// Sends each token once. Returns in what a contender differs from the rest.
fn check(name: &str, contender: &mut dyn Contender, tokens: &Tokens) -> Vec<String> {
    let mut send = |token: &str| contender.send(request(token));
    assert_eq!(
        send(&tokens.allowed).status,
        StatusCode::OK,
        "{name}: the good token"
    );
    let mut notes = Vec::new();
    if name.ends_with("bare") {
        return notes;
    }
    let mut unchallenged = false;
    for (what, token) in [
        ("a bad signature", &tokens.bad_signature),
        ("garbage", &tokens.garbage),
        ("a wrong issuer", &tokens.wrong_issuer),
        ("a wrong audience", &tokens.wrong_audience),
        ("an expired token", &tokens.expired),
    ] {
        let answer = send(token);
        if answer.status.is_success() {
            notes.push(format!("accepts {what}"));
        } else if answer.status != StatusCode::UNAUTHORIZED {
            notes.push(format!("answers {} to {what}", answer.status.as_u16()));
        }
        unchallenged |= !answer.challenge;
    }
    if unchallenged {
        notes.push("refuses without `WWW-Authenticate`".to_owned());
    }
    for fatal in ["accepts a bad signature", "accepts garbage"] {
        assert!(!notes.iter().any(|note| note == fatal), "{name} {fatal}");
    }
    notes
}

/// The contenders of an algorithm, checked; and a line of the report about each.
fn contenders(
    keys: &Keys,
    tokens: &Tokens,
    report: &mut String,
) -> Vec<(&'static str, Box<dyn Contender>)> {
    let mut made = Vec::new();
    for (name, make) in CONTENDERS {
        let (state, notes) = match make(keys, tokens) {
            Ok(mut contender) => {
                let notes = check(name, &mut *contender, tokens).join("; ");
                made.push((name, contender));
                ("measured", notes)
            }
            Err(why) => ("unsupported", why.to_owned()),
        };
        let algorithm = keys.algorithm;
        writeln!(report, "{algorithm:?}\t{name}\t{state}\t{notes}").unwrap();
    }
    made
}

fn peers(c: &mut Criterion) {
    // Some peers turn on both back ends of jsonwebtoken. Then one has to be chosen: the faster.
    jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER
        .install_default()
        .unwrap();
    jsonwebtoken_10::crypto::aws_lc::DEFAULT_PROVIDER
        .install_default()
        .unwrap();

    let mut report = String::new();
    let rounds = ALGORITHMS.map(|algorithm| {
        let keys = Keys::new(algorithm);
        let tokens = Tokens::new(&keys);
        let contenders = contenders(&keys, &tokens, &mut report);
        eprintln!("{algorithm:?}: a token of {} bytes", tokens.allowed.len());
        (keys, tokens, contenders)
    });
    eprint!("{report}");
    // For `table.py`.
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("peers.tsv");
    std::fs::write(file, report).unwrap();

    for (keys, tokens, mut contenders) in rounds {
        for (case, token) in [
            ("allowed", &tokens.allowed),
            ("bad signature", &tokens.bad_signature),
            ("garbage", &tokens.garbage),
        ] {
            // Without a header, there is no algorithm either.
            if case == "garbage" && keys.algorithm != Algorithm::RS256 {
                continue;
            }
            let mut group = c.benchmark_group(format!("{:?} {case}", keys.algorithm));
            if case == "allowed" {
                raw::bench(&mut group, &keys, token);
            }
            for (name, contender) in &mut contenders {
                contender.bench(&mut group, name, &|| request(token));
            }
            group.finish();
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3));
    targets = peers
}
criterion_main!(benches);
