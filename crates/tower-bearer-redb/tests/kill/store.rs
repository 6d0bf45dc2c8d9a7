//! Sessions and revocations in a file.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use tower_bearer::issuing::store::{
    RevocationStore, SessionId, SessionRecord, SessionStore, SessionsOf,
};
use tower_bearer::revocation::Revocation;
use tower_bearer_redb::RedbStore;

use super::directory::Directory;
use super::worker::{Random, Said, Worker, begin, done, seed};

const ISSUER: &str = "https://issuer.example";
const ROUNDS: u64 = 40;
/// So many work side by side, each on sessions of its own.
const TASKS: usize = 4;
/// Each has so many of them at most.
const SESSIONS: u64 = 12;

const FILE: &str = "TOWER_BEARER_KILL_FILE";
const SEED: &str = "TOWER_BEARER_KILL_SEED";

/// Something that is done to a store. What it is done to says the rest: see [`record`].
#[derive(Clone, Copy, Debug, PartialEq)]
enum Operation {
    Insert { session: u64 },
    Remove { session: u64 },
    Replace { session: u64, version: u64 },
    Revoke { name: u64 },
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Insert { session } => write!(f, "insert {session}"),
            Self::Remove { session } => write!(f, "remove {session}"),
            Self::Replace { session, version } => write!(f, "replace {session} {version}"),
            Self::Revoke { name } => write!(f, "revoke {name}"),
        }
    }
}

impl FromStr for Operation {
    type Err = Box<dyn std::error::Error>;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let words: Vec<_> = text.split(' ').collect();
        Ok(match words[..] {
            ["insert", session] => Self::Insert {
                session: session.parse()?,
            },
            ["remove", session] => Self::Remove {
                session: session.parse()?,
            },
            ["replace", session, version] => Self::Replace {
                session: session.parse()?,
                version: version.parse()?,
            },
            ["revoke", name] => Self::Revoke {
                name: name.parse()?,
            },
            _ => return Err(format!("no operation: {text}").into()),
        })
    }
}

fn far() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000)
}

fn subject(task: usize) -> String {
    format!("user{task}")
}

/// Everything about it follows from its name and version, so what is found is known to the last byte.
fn record(task: usize, session: u64, version: u64) -> SessionRecord {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&(task as u64).to_be_bytes());
    id[8..].copy_from_slice(&session.to_be_bytes());
    let mut random = Random(session ^ version << 32);
    // Now and then one that takes several pages.
    let length = match random.below(8) {
        0 => random.below(20_000),
        _ => random.below(300),
    };
    let data = (0..length).map(|_| random.next() as u8).collect();
    let end = far() + Duration::from_secs(random.below(1_000));
    let id = SessionId::from_bytes(id);
    SessionRecord::new(id, version, ISSUER, &subject(task), "web", end, data)
}

fn number(record: &SessionRecord) -> u64 {
    u64::from_be_bytes(*record.id().as_bytes().last_chunk().unwrap())
}

fn revocation(name: u64) -> Revocation {
    Revocation::session(Some("https://login.example.com/"), &name.to_string(), far())
}

/// Works until it is killed, on whatever store there is.
async fn work(store: &(impl SessionStore + RevocationStore), task: usize, mut random: Random) {
    let now = SystemTime::now();
    let mut there = sessions(store, task).await;
    loop {
        let session = random.below(SESSIONS);
        let operation = match (random.below(10), there.get(&session).copied()) {
            (0..2, _) => Operation::Revoke {
                name: random.below(1 << 40),
            },
            (_, None) => Operation::Insert { session },
            (2..4, Some(_)) => Operation::Remove { session },
            (_, Some(version)) => Operation::Replace {
                session,
                version: version + 1,
            },
        };
        begin(task, &operation.to_string());
        match operation {
            Operation::Insert { session } => {
                store.insert(record(task, session, 0), now).await.unwrap();
                there.insert(session, 0);
            }
            Operation::Remove { session } => {
                let id = record(task, session, 0).id();
                assert!(store.remove(id).await.unwrap());
                there.remove(&session);
            }
            Operation::Replace { session, version } => {
                let next = record(task, session, version);
                assert!(store.replace(next).await.unwrap());
                there.insert(session, version);
            }
            Operation::Revoke { name } => store.add(&revocation(name), now).await.unwrap(),
        }
        done(task, "");
    }
}

/// The sessions of a task with their versions. Each has to be what it was when it was written.
async fn sessions(store: &impl SessionStore, task: usize) -> BTreeMap<u64, u64> {
    let name = subject(task);
    let list = store.list(ISSUER, SessionsOf::Subject(&name), None, 1_000);
    let mut versions = BTreeMap::new();
    for found in list.await.unwrap() {
        let (session, version) = (number(&found), found.version());
        assert!(
            found == record(task, session, version),
            "{session} is not whole"
        );
        assert_eq!(store.find(found.id()).await.unwrap(), Some(found));
        versions.insert(session, version);
    }
    versions
}

async fn revocations(store: &impl RevocationStore) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let mut cursor = None;
    loop {
        let changes = store.changes(cursor.as_ref()).await.unwrap();
        all.extend(changes.revocations.iter().map(Revocation::to_text));
        if !changes.more {
            return all;
        }
        cursor = Some(changes.cursor);
    }
}

/// What has to be in the store.
#[derive(Default)]
struct Acknowledged {
    sessions: [BTreeMap<u64, u64>; TASKS],
    revocations: BTreeSet<String>,
}

impl Acknowledged {
    fn apply(&mut self, task: usize, operation: Operation) {
        let sessions = &mut self.sessions[task];
        match operation {
            Operation::Insert { session } => _ = sessions.insert(session, 0),
            Operation::Remove { session } => _ = sessions.remove(&session),
            Operation::Replace { session, version } => _ = sessions.insert(session, version),
            Operation::Revoke { name } => _ = self.revocations.insert(revocation(name).to_text()),
        }
    }

    /// Takes in what was said, and returns what every task had begun and not done.
    fn hear(&mut self, said: Vec<Said>) -> [Option<Operation>; TASKS] {
        let mut begun = [None; TASKS];
        for said in said {
            match said {
                Said::Begin { task, operation } => begun[task] = Some(operation.parse().unwrap()),
                Said::Done { task, .. } => self.apply(task, begun[task].take().unwrap()),
            }
        }
        begun
    }

    /// Compares it with what is there. What was under way is in it entirely or not at all.
    async fn check(
        &mut self,
        store: &(impl SessionStore + RevocationStore),
        under_way: [Option<Operation>; TASKS],
    ) {
        let revoked = revocations(store).await;
        for (task, under_way) in under_way.into_iter().enumerate() {
            let found = sessions(store, task).await;
            if let Some(operation) = under_way {
                let mut done = Self::default();
                done.sessions[task] = self.sessions[task].clone();
                done.apply(task, operation);
                let was_done = match operation {
                    Operation::Revoke { name } => revoked.contains(&revocation(name).to_text()),
                    _ => done.sessions[task] == found,
                };
                if was_done {
                    self.apply(task, operation);
                }
            }
            assert_eq!(
                found, self.sessions[task],
                "task {task}, under way: {under_way:?}"
            );
        }
        assert!(
            revoked == self.revocations,
            "a revocation is missing, or one too many"
        );
    }
}

#[test]
fn nothing_acknowledged_is_lost_when_the_process_is_killed() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let seed = seed();
    let mut random = Random(seed);
    let directory = Directory::new();
    let mut acknowledged = Acknowledged::default();
    let mut count = 0;
    for round in 0..ROUNDS {
        let seed = random.next().to_string();
        let worker = Worker::start(
            "store::worker",
            &[
                (FILE, directory.file().as_os_str()),
                (SEED, OsStr::new(&seed)),
            ],
        );
        // Now and then while the file is being made or opened.
        let kill_after = match round % 8 {
            0 => 0,
            _ => random.below(60),
        };
        // A commit takes that long, or making a file.
        let later = Duration::from_micros(random.below(8_000));
        let said = worker.kill_after(usize::try_from(kill_after).unwrap(), later);
        count += said
            .iter()
            .filter(|said| matches!(said, Said::Done { .. }))
            .count();
        let under_way = acknowledged.hear(said);
        let store = RedbStore::open(directory.file()).unwrap();
        runtime.block_on(acknowledged.check(&store, under_way));
        drop(store);
    }
    println!("{ROUNDS} kills, {count} acknowledged operations");
    assert!(count > 100, "{count}");
}

#[test]
fn worker() {
    let Some(file) = std::env::var_os(FILE) else {
        return;
    };
    let random = Random(std::env::var(SEED).unwrap().parse().unwrap());
    let store = RedbStore::open(file).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let tasks = (0..TASKS).map(|task| {
            let random = Random(random.clone().next() ^ task as u64);
            work(&store, task, random)
        });
        futures_util::future::join_all(tasks).await;
    });
}
