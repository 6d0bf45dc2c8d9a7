//! Who guesses learns nothing and is slowed down.

use std::time::{Duration, Instant};

use crate::client::{Answer, Client};
use crate::service::{ADMIN, ALICE, Service};

/// So many failures an address has for one account.
const BUDGET: usize = 5;

/// Nothing but the date.
fn without_date(answer: &Answer) -> (u16, String, String) {
    let mut headers = answer.headers.clone();
    headers.remove("date").expect("a date");
    (answer.status, format!("{headers:?}"), answer.body.clone())
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

#[tokio::test]
async fn no_answer_tells_which_users_there_are() {
    let service = Service::start();
    let client = Client::new(service.address);
    let long = "x".repeat(5_000);
    let mut times = [const { Vec::new() }; 3];
    let mut answers = Vec::new();
    // Before anything is measured: a connection, and the code in memory.
    client.try_password("somebody", "wrong").await;
    for round in 0..2 * BUDGET {
        // Both accounts have a budget, and of names that nobody has each is another account.
        let known = ["alice", "admin"][round % 2];
        let names = [known, &format!("nobody{round}"), &format!("{long}{round}")];
        for (times, name) in times.iter_mut().zip(names) {
            let start = Instant::now();
            let answer = client.try_password(name, "wrong").await;
            times.push(start.elapsed());
            answer.is_error(400, "invalid_grant");
            answers.push(without_date(&answer));
        }
    }
    assert!(
        answers.iter().all(|answer| *answer == answers[0]),
        "{answers:#?}"
    );

    // Where no hash is computed, it is a thirtieth.
    let [known, unknown, long] = times.each_mut().map(|times| median(times));
    for (name, time) in [("unknown", unknown), ("long", long)] {
        let ratio = time.as_secs_f64() / known.as_secs_f64();
        assert!(
            (0.5..2.0).contains(&ratio),
            "{name}: {time:?}, known: {known:?}"
        );
    }
}

#[tokio::test]
async fn guessing_is_slowed_down_for_one_account_at_one_address() {
    let service = Service::start();
    let client = Client::new(service.address);
    // Upper case makes no other account of it.
    for name in ["alice", "Alice", "alice", "ALICE", "alice"] {
        let answer = client.try_password(name, "wrong").await;
        answer.is_error(400, "invalid_grant");
    }
    for password in ["wrong", ALICE] {
        let answer = client.try_password("alice", password).await;
        answer.is_error(429, "slow_down");
        let seconds: u64 = answer.header("retry-after").parse().unwrap();
        assert!((1..=120).contains(&seconds), "{seconds}");
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    // The same door, by the page.
    let form = [("username", "alice"), ("password", ALICE)];
    let answer = client.form("/session", &form).await;
    answer.is_error(429, "slow_down");
    assert!(answer.headers.get("set-cookie").is_none());

    client.log_in("admin", ADMIN).await;
    // Only there is every 127.x.y.z an address of this machine.
    if cfg!(target_os = "linux") {
        let elsewhere = Client::from(Some([127, 0, 0, 2].into()), service.address);
        elsewhere.log_in("alice", ALICE).await;
    }
}
