//! Two processes on one Redis that issue tokens for one another.

use std::time::{Duration, Instant};

use http::{Request, Response};
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_bearer::BearerAuthLayer;
use tower_bearer::issuing::RevocationHub;
use tower_bearer::issuing::{Grant, SigningKey, SigningKeys, TokenIssuer};
use tower_bearer::jwt::{JwtValidator, SharedSecret};
use tower_bearer_redis::RedisStore;

use crate::DEADLINE;
use crate::processes::{Process, URL, next_line};
use crate::redis_server::RedisServer;

const NAME: &str = "https://api.example.com";
/// So many refresh one token at once, in each of the two.
const STORM: usize = 50;

fn is_told(process: &mut Process, line: &str, expected: &str) {
    let start = Instant::now();
    loop {
        let answer = process.tell(line);
        if answer == expected {
            return;
        }
        assert!(start.elapsed() < DEADLINE, "{line}: {answer}");
    }
}

/// Until it is neither an outage nor a broken connection.
fn log_in(process: &mut Process) -> (String, String) {
    let start = Instant::now();
    loop {
        let answer = process.tell("login");
        if let Some((refresh, access)) = answer.split_once(' ')
            && refresh != "error"
        {
            return (refresh.into(), access.into());
        }
        assert!(start.elapsed() < DEADLINE, "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_lives_and_ends_in_both_of_two_processes() {
    if let Ok(url) = std::env::var(URL) {
        return work(&url).await;
    }
    let mut server = RedisServer::start();
    let test = "issuers::a_session_lives_and_ends_in_both_of_two_processes";
    let start = || Process::start(&server, test);
    let (mut one, mut other) = (start(), start());
    let mut times = Vec::new();
    let mut kept = Vec::new();
    for round in 0..12 {
        if round == 6 {
            server.kill();
            // Nobody says yes meanwhile: not to a token whose end may have been missed, not to a login.
            let (_, access) = &kept[0];
            is_told(&mut one, &format!("ask {access}"), "503");
            is_told(&mut other, &format!("ask {access}"), "503");
            assert!(one.tell("login").starts_with("error 503"));
            server.start_again();
        }
        let (refresh, access) = log_in(&mut one);
        is_told(&mut other, &format!("ask {access}"), "200");

        // Of a hundred in both, one wins; and then the session is over, in both.
        one.begin(&format!("storm {refresh}"));
        other.begin(&format!("storm {refresh}"));
        let won: usize = [one.answer(), other.answer()]
            .map(|count| count.parse::<usize>().unwrap())
            .iter()
            .sum();
        assert_eq!(won, 1, "round {round}");
        is_told(&mut one, &format!("ask {access}"), "401");
        is_told(&mut other, &format!("ask {access}"), "401");

        // What ends in one, ends in the other.
        let (refresh, access) = log_in(&mut other);
        is_told(&mut one, &format!("ask {access}"), "200");
        let begun = Instant::now();
        is_told(&mut other, &format!("end {refresh}"), "ended");
        is_told(&mut one, &format!("ask {access}"), "401");
        times.push(begun.elapsed());
        assert!(
            one.tell(&format!("refresh {refresh}"))
                .starts_with("error 400")
        );
        kept.push(log_in(&mut one));
    }
    // What was acknowledged before Redis was killed is there.
    for (refresh, access) in &kept {
        assert_eq!(other.tell(&format!("ask {access}")), "200");
        let answer = other.tell(&format!("refresh {refresh}"));
        let (next, access) = answer.split_once(' ').unwrap();
        assert_eq!(one.tell(&format!("ask {access}")), "200");
        assert!(
            one.tell(&format!("refresh {refresh}"))
                .starts_with("error 400"),
            "a spent one"
        );
        assert!(
            other
                .tell(&format!("refresh {next}"))
                .starts_with("error 400"),
            "of an ended session"
        );
    }
    times.sort_unstable();
    println!(
        "from the end in one to the refusal in the other: {:?} (median of {})",
        times[times.len() / 2],
        times.len()
    );
    assert!(times[times.len() - 1] < Duration::from_secs(2), "{times:?}");
}

async fn work(url: &str) {
    let store = RedisStore::connect(url).await.unwrap();
    let secret = SharedSecret::hs256(b"k3Jp0sXw9QmZt7Rv2Ly5Hn8Cf1Bd4Gae")
        .unwrap()
        .with_kid("1")
        .unwrap();
    let issuer = TokenIssuer::builder(
        NAME,
        SigningKeys::new(SigningKey::from_secret(secret).unwrap()).unwrap(),
    )
    .audience(NAME)
    .revocations(RevocationHub::open(store.clone()).await.unwrap())
    .sessions(store)
    .build()
    .unwrap();
    let validator = issuer.validator().unwrap();
    println!("answer: ready");
    loop {
        let line = next_line().await;
        let (verb, token) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
        let answer = match verb {
            "login" => said(issuer.issue(Grant::new("alice", "web")).await),
            "refresh" => said(issuer.refresh(token, "web", None).await),
            "ask" => status(&validator, token).await.to_string(),
            "end" => match issuer.revoke(token, "web").await {
                Ok(()) => "ended".into(),
                Err(error) => format!("error {}", error.status()),
            },
            "storm" => {
                let tasks: Vec<_> = (0..STORM)
                    .map(|_| {
                        let (issuer, token) = (issuer.clone(), token.to_owned());
                        tokio::spawn(
                            async move { issuer.refresh(&token, "web", None).await.is_ok() },
                        )
                    })
                    .collect();
                let mut won = 0;
                for task in tasks {
                    won += usize::from(task.await.unwrap());
                }
                won.to_string()
            }
            _ => return,
        };
        println!("answer: {answer}");
    }
}

fn said(
    tokens: Result<tower_bearer::issuing::TokenResponse, tower_bearer::issuing::IssuingError>,
) -> String {
    match tokens {
        Ok(tokens) => format!(
            "{} {}",
            tokens.refresh_token().unwrap(),
            tokens.access_token()
        ),
        Err(error) => format!("error {}", error.status()),
    }
}

async fn status(validator: &JwtValidator, access: &str) -> u16 {
    let inner =
        service_fn(|_| async { Ok::<_, std::convert::Infallible>(Response::new(String::new())) });
    let service = BearerAuthLayer::new(validator.clone()).layer(inner);
    let request = Request::get("/").header("authorization", format!("Bearer {access}"));
    service
        .oneshot(request.body(()).unwrap())
        .await
        .unwrap()
        .status()
        .as_u16()
}
