//! Logins, refreshes and revocations against a file.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use http::{Request, Response, StatusCode};
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_bearer::BearerAuthLayer;
use tower_bearer::issuing::RevocationHub;
use tower_bearer::issuing::store::SessionsOf;
use tower_bearer::issuing::{
    Grant, InvalidGrant, IssuingError, SigningKey, SigningKeys, TokenIssuer,
};
use tower_bearer::jwt::{JwtValidator, SharedSecret};
use tower_bearer_redb::RedbStore;

use super::directory::Directory;
use super::worker::{Random, Said, Worker, begin, done, seed};

const ROUNDS: u64 = 24;
const TASKS: usize = 4;
const NAME: &str = "https://api.example.com";

const FILE: &str = "TOWER_BEARER_KILL_ISSUER_FILE";
const SEED: &str = "TOWER_BEARER_KILL_ISSUER_SEED";

/// The same in each process.
async fn issuer(file: &Path) -> TokenIssuer {
    let secret = SharedSecret::hs256(b"k3Jp0sXw9QmZt7Rv2Ly5Hn8Cf1Bd4Gae")
        .unwrap()
        .with_kid("1")
        .unwrap();
    let keys = SigningKeys::new(SigningKey::from_secret(secret).unwrap()).unwrap();
    let store = RedbStore::open(file).unwrap();
    TokenIssuer::builder(NAME, keys)
        .audience(NAME)
        .revocations(RevocationHub::open(store.clone()).await.unwrap())
        .sessions(store)
        .max_sessions_per_user(usize::MAX)
        .build()
        .unwrap()
}

fn user(task: usize) -> String {
    format!("user{task}")
}

/// Works until it is killed, on sessions of its own.
async fn work(issuer: &TokenIssuer, task: usize, mut random: Random) {
    let mut sessions: Vec<(String, String)> = Vec::new();
    loop {
        let chosen = random.below(sessions.len().max(1) as u64) as usize;
        let operation = match sessions.is_empty() {
            true => 0,
            false => random.below(10),
        };
        match operation {
            0..3 => {
                begin(task, "login");
                let tokens = issuer.issue(Grant::new(user(task), "web")).await.unwrap();
                let refresh = tokens.refresh_token().unwrap().to_owned();
                done(task, &format!("{refresh} {}", tokens.access_token()));
                sessions.push((refresh, tokens.access_token().to_owned()));
            }
            3..8 => {
                let (refresh, access) = &mut sessions[chosen];
                begin(task, &format!("refresh {refresh}"));
                let tokens = issuer.refresh(refresh, "web", None).await.unwrap();
                tokens.refresh_token().unwrap().clone_into(refresh);
                tokens.access_token().clone_into(access);
                done(task, &format!("{refresh} {access}"));
            }
            8 => {
                let (refresh, _) = sessions.swap_remove(chosen);
                begin(task, &format!("end {refresh}"));
                issuer.revoke(&refresh, "web").await.unwrap();
                done(task, "");
            }
            _ => {
                let access = &sessions[chosen].1;
                begin(task, &format!("revoke {access}"));
                issuer.revoke(access, "web").await.unwrap();
                done(task, "");
            }
        }
    }
}

/// Whether something holds for sure.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Is {
    Good,
    Bad,
    /// The process was killed before it had said so.
    Unknown,
}

/// A session as far as it was acknowledged.
struct Session {
    task: usize,
    current: String,
    is_current: Is,
    spent: Vec<String>,
    access: BTreeMap<String, Is>,
    is_alive: Is,
}

#[derive(Default)]
struct Acknowledged(Vec<Session>);

impl Acknowledged {
    fn hear(&mut self, said: Vec<Said>) {
        let mut begun: [Option<String>; TASKS] = Default::default();
        for said in said {
            match said {
                Said::Begin { task, operation } => begun[task] = Some(operation),
                Said::Done { task, result } => {
                    let operation = begun[task].take().unwrap();
                    self.apply(task, &operation, Some(&result));
                }
            }
        }
        for (task, operation) in begun.into_iter().enumerate() {
            if let Some(operation) = operation {
                self.apply(task, &operation, None);
            }
        }
    }

    fn apply(&mut self, task: usize, operation: &str, result: Option<&str>) {
        let (verb, token) = operation.split_once(' ').unwrap_or((operation, ""));
        let tokens = result.and_then(|result| result.split_once(' '));
        let mut sessions = self.0.iter_mut();
        match (verb, tokens) {
            ("login", Some((refresh, access))) => self.0.push(Session {
                task,
                current: refresh.into(),
                is_current: Is::Good,
                spent: Vec::new(),
                access: BTreeMap::from([(access.into(), Is::Good)]),
                is_alive: Is::Good,
            }),
            ("login", None) => {}
            ("refresh", tokens) => {
                let session = sessions.find(|session| session.current == token).unwrap();
                match tokens {
                    Some((refresh, access)) => {
                        let spent = std::mem::replace(&mut session.current, refresh.into());
                        session.spent.push(spent);
                        session.access.insert(access.into(), Is::Good);
                    }
                    None => session.is_current = Is::Unknown,
                }
            }
            ("end", _) => {
                let session = sessions.find(|session| session.current == token).unwrap();
                session.is_alive = match result {
                    Some(_) => Is::Bad,
                    None => Is::Unknown,
                };
            }
            ("revoke", _) => {
                let session = sessions.find(|session| session.access.contains_key(token));
                let now = match result {
                    Some(_) => Is::Bad,
                    None => Is::Unknown,
                };
                session.unwrap().access.insert(token.into(), now);
            }
            other => panic!("{other:?}"),
        }
    }

    /// Compares it with what the service says after a restart. Of those that are alive, some are ended by the use of a spent
    /// token, the others go on.
    async fn check(&mut self, issuer: &TokenIssuer, random: &mut Random) {
        let validator = issuer.validator().unwrap();
        let mut listed = Vec::new();
        for task in 0..TASKS {
            let name = user(task);
            let own = SessionsOf::Subject(&name);
            let sessions = issuer.sessions(own, None, 100_000).await.unwrap();
            listed.push(
                sessions
                    .iter()
                    .map(|session| session.id())
                    .collect::<Vec<_>>(),
            );
        }
        for session in &mut self.0 {
            for (access, is_good) in &session.access {
                let status = present(&validator, access).await;
                let expected = match (session.is_alive, *is_good) {
                    (Is::Bad, _) | (_, Is::Bad) => StatusCode::UNAUTHORIZED,
                    (Is::Good, Is::Good) => StatusCode::OK,
                    _ => continue,
                };
                assert_eq!(status, expected, "{:?} {is_good:?}", session.is_alive);
            }
            match (session.is_alive, session.is_current) {
                (Is::Bad, _) => {
                    let all = session.spent.iter().chain([&session.current]);
                    for refresh in all {
                        let refused = refuse(issuer, refresh).await;
                        assert_eq!(refused, InvalidGrant::Unknown);
                    }
                }
                (Is::Good, Is::Good) => {
                    let tokens = match session.spent.last() {
                        Some(spent) if random.below(4) == 0 => {
                            let refused = refuse(issuer, spent).await;
                            assert!(matches!(refused, InvalidGrant::Reused { .. }), "{refused}");
                            session.is_alive = Is::Bad;
                            continue;
                        }
                        _ => issuer.refresh(&session.current, "web", None).await.unwrap(),
                    };
                    assert!(listed[session.task].contains(&tokens.session().unwrap()));
                    let next = tokens.refresh_token().unwrap().to_owned();
                    let spent = std::mem::replace(&mut session.current, next);
                    session.spent.push(spent);
                }
                // Whatever had been done, a token that was spent before is worth nothing.
                _ => {
                    if let Some(spent) = session.spent.last() {
                        refuse(issuer, spent).await;
                        session.is_alive = Is::Bad;
                    }
                }
            }
        }
    }
}

async fn refuse(issuer: &TokenIssuer, refresh: &str) -> InvalidGrant {
    match issuer.refresh(refresh, "web", None).await {
        Err(IssuingError::InvalidGrant { reason }) => reason,
        other => panic!("{other:?}"),
    }
}

async fn present(validator: &JwtValidator, access: &str) -> StatusCode {
    let inner =
        service_fn(|_| async { Ok::<_, std::convert::Infallible>(Response::new(String::new())) });
    let service = BearerAuthLayer::new(validator.clone()).layer(inner);
    let request = Request::get("/").header("authorization", format!("Bearer {access}"));
    service
        .oneshot(request.body(()).unwrap())
        .await
        .unwrap()
        .status()
}

#[test]
fn no_session_and_no_revocation_is_lost_and_no_spent_token_works() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let mut random = Random(seed());
    let directory = Directory::new();
    let mut acknowledged = Acknowledged::default();
    for _ in 0..ROUNDS {
        let seed = random.next().to_string();
        let file = directory.file();
        let worker = Worker::start(
            "issuer::worker",
            &[(FILE, file.as_os_str()), (SEED, OsStr::new(&seed))],
        );
        let count = usize::try_from(random.below(60)).unwrap();
        let said = worker.kill_after(count, Duration::from_micros(random.below(8_000)));
        acknowledged.hear(said);
        runtime.block_on(async {
            let issuer = issuer(&file).await;
            acknowledged.check(&issuer, &mut random).await;
        });
    }
    let count = |is| {
        acknowledged
            .0
            .iter()
            .filter(|session| session.is_alive == is)
            .count()
    };
    let spent: usize = acknowledged
        .0
        .iter()
        .map(|session| session.spent.len())
        .sum();
    println!(
        "{ROUNDS} kills, {} sessions alive, {} ended, {spent} tokens spent",
        count(Is::Good),
        count(Is::Bad)
    );
    assert!(count(Is::Good) > 20 && count(Is::Bad) > 20 && spent > 100);
}

#[test]
fn worker() {
    let Some(file) = std::env::var_os(FILE) else {
        return;
    };
    let random = Random(std::env::var(SEED).unwrap().parse().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let issuer = issuer(Path::new(&file)).await;
        let tasks = (0..TASKS).map(|task| {
            let random = Random(random.clone().next() ^ task as u64);
            work(&issuer, task, random)
        });
        futures_util::future::join_all(tasks).await;
    });
}
