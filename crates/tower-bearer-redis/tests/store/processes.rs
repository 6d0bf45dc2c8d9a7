//! Two processes on one Redis: what one takes back, the other refuses.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use http::Request;
use tower_bearer::clock::ManualClock;
use tower_bearer::issuing::RevocationHub;
use tower_bearer::jwt::{JwtValidator, SharedSecret};
use tower_bearer::revocation::Revocation;
use tower_bearer::{Credential, RequestView, Verdict};
use tower_bearer_redis::RedisStore;

use crate::redis_server::RedisServer;
use crate::tokens::{self, AUDIENCE, ISSUER, SECRET, now};
use crate::{DEADLINE, HOUR};

/// Where the Redis is, for a process that is one of the two.
pub(crate) const URL: &str = "TOWER_BEARER_TEST_REDIS";

/// A test again, in a process of its own, which does as it is told line by line.
pub(crate) struct Process {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Process {
    pub(crate) fn start(server: &RedisServer, test: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture", "--test-threads=1"])
            .env(URL, server.url())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let mut process = Self {
            child,
            stdin,
            stdout,
        };
        assert_eq!(process.answer(), "ready");
        process
    }

    pub(crate) fn tell(&mut self, line: &str) -> String {
        self.begin(line);
        self.answer()
    }

    /// Does not wait for the answer.
    pub(crate) fn begin(&mut self, line: &str) {
        writeln!(self.stdin, "{line}").unwrap();
    }

    /// The next line for us, among those of the test harness.
    pub(crate) fn answer(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert!(
                self.stdout.read_line(&mut line).unwrap() > 0,
                "it has ended"
            );
            if let Some((_, answer)) = line.split_once("answer: ") {
                return answer.trim().into();
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_process_takes_back_the_other_refuses() {
    if let Ok(url) = std::env::var(URL) {
        return work(&url).await;
    }
    let mut server = RedisServer::start();
    let test = "processes::what_one_process_takes_back_the_other_refuses";
    let start = || Process::start(&server, test);
    let (mut one, mut other) = (start(), start());
    let mut times = Vec::new();
    for number in 0..50 {
        if number == 25 {
            server.kill();
            server.start_again();
            for process in [&mut one, &mut other] {
                is_told(process, "ask back", "accepted");
            }
        }
        let name = format!("s-{number}");
        let (ask, revoke) = (format!("ask {name}"), format!("revoke {name}"));
        assert_eq!(one.tell(&ask), "accepted");
        assert_eq!(other.tell(&ask), "accepted");
        let start = Instant::now();
        // The first after a restart may meet the dead connection.
        is_told(&mut one, &revoke, "revoked");
        is_told(&mut other, &ask, "Invalid(Revoked)");
        times.push(start.elapsed());
        assert_eq!(one.tell(&ask), "Invalid(Revoked)");
    }
    times.sort_unstable();
    let (half, most): (Duration, Duration) = (times[25], times[49]);
    println!("between processes: refused after {half:?} (median), {most:?} (longest of 50)");
    assert!(most < Duration::from_secs(2));
}

#[track_caller]
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

pub(crate) async fn next_line() -> String {
    let line = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map(|_| line)
    });
    line.await.unwrap().unwrap()
}

/// What each of the two does.
async fn work(url: &str) {
    let store = RedisStore::connect(url).await.unwrap();
    let hub = RevocationHub::open(store).await.unwrap();
    let validator = JwtValidator::builder(SharedSecret::hs256(SECRET).unwrap())
        .issuer(ISSUER)
        .audience(AUDIENCE)
        .revocations(hub.clone())
        .build()
        .unwrap();
    println!("answer: ready");
    loop {
        let line = next_line().await;
        let answer = match line.trim().split_once(' ') {
            Some(("ask", name)) => ask(&validator, name),
            Some(("revoke", name)) => {
                let until = SystemTime::now() + HOUR;
                let revocation = Revocation::session(Some(ISSUER), name, until);
                match hub.revoke(&revocation).await {
                    Ok(()) => "revoked".into(),
                    Err(error) => error.to_string(),
                }
            }
            _ => return,
        };
        println!("answer: {answer}");
    }
}

fn ask<V: tower_bearer::Validator>(validator: &V, session: &str) -> String {
    let token = tokens::token(session);
    let (request, clock) = (Request::new(()), ManualClock::new(now()));
    let view = RequestView::with_clock(&request, &clock);
    match validator.validate(&Credential::bearer(&token).unwrap(), &view) {
        Verdict::Ready(Ok(_)) => "accepted".into(),
        Verdict::Ready(Err(failure)) => format!("{:?}", failure.kind()),
        Verdict::Pending(_) => "later".into(),
    }
}
