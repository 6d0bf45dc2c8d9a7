//! Random histories on two machines whose clocks differ and step both ways, with releases of other settings
//! in between: no machine ever accepts a token that was revoked or whose session has ended (M02: records of issued tokens, M03:
//! records, and endings that resume).
//!
//! `TOWER_BEARER_HISTORIES` sets the number of histories.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use http::Request;
use tower_bearer::clock::Clock;
use tower_bearer::issuing::RevocationHub;
use tower_bearer::issuing::store::{
    Changes, Cursor, MemoryStore, RevocationStore, SessionId, SessionsOf, StoreFuture,
};
use tower_bearer::issuing::{
    Grant, InvalidGrant, IssuingError, SigningKey, SigningKeys, TokenIssuer, TokenResponse,
};
use tower_bearer::jwt::{Algorithm, JwtValidator};
use tower_bearer::revocation::Revocation;
use tower_bearer::{Credential, RequestView, Validator as _, Verdict};

const AUDIENCE: &str = "https://api.example";
/// The first two machines issue for one name. The third is another issuer in the same store, with the same keys.
const ISSUERS: [&str; 3] = [
    "https://forum.example",
    "https://forum.example",
    "https://bank.example",
];
const SUBJECTS: [&str; 2] = ["alice", "bob"];
const CLIENTS: [&str; 2] = ["web", "app"];
const STEPS: u64 = 24;
/// In milliseconds since 1970.
const START: u64 = 1_800_000_000_000;
/// The maximum deviation of a clock.
const MAX_OFFSET: u64 = 55_000;

/// xorshift64*, so that a number names a history.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

fn time(millis: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(millis)
}

/// The clock of a machine, in milliseconds since 1970.
#[derive(Clone)]
struct Hand(Arc<AtomicU64>);

impl Hand {
    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, millis: u64) {
        self.0.store(millis, Ordering::Relaxed);
    }
}

impl Clock for Hand {
    fn now(&self) -> SystemTime {
        time(self.get())
    }
}

/// The clock of a hub: never ahead of the time that has passed since it was made, like the default one.
#[derive(Clone)]
struct Clamped {
    machine: Hand,
    passing: Hand,
    start: (u64, u64),
}

impl Clock for Clamped {
    fn now(&self) -> SystemTime {
        let (machine, passing) = self.start;
        time(
            self.machine
                .get()
                .min(machine + self.passing.get() - passing),
        )
    }
}

/// Revocations that all machines share.
#[derive(Clone)]
struct Log {
    entries: Arc<Mutex<Vec<String>>>,
    is_muted: Arc<Mutex<bool>>,
}

impl RevocationStore for Log {
    fn add<'a>(&'a self, revocation: &'a Revocation, _: SystemTime) -> StoreFuture<'a, ()> {
        if !*self.is_muted.lock().unwrap() {
            self.entries.lock().unwrap().push(revocation.to_text());
        }
        Box::pin(std::future::ready(Ok(())))
    }

    fn changes<'a>(&'a self, _: Option<&'a Cursor>) -> StoreFuture<'a, Changes> {
        let entries = self.entries.lock().unwrap();
        let read = |text: &String| Revocation::from_text(text.as_bytes()).unwrap();
        let all = entries.iter().map(read).collect();
        let changes = Changes::new(all, Cursor::new("end"), false);
        Box::pin(std::future::ready(Ok(changes)))
    }

    fn is_shared(&self) -> bool {
        false
    }
}

/// Nothing has to wait: the stores are in memory.
fn now_or_never<T>(future: impl Future<Output = T>) -> T {
    let mut cx = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut cx) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("a store in memory answers at once"),
    }
}

struct Machine {
    clock: Hand,
    hub: RevocationHub,
    issuer: TokenIssuer,
    validator: JwtValidator,
    /// The number of log entries that the hub has read.
    seen: usize,
}

impl Machine {
    fn accepts(&self, token: &str) -> bool {
        let request = Request::new(());
        let credential = Credential::bearer(token).unwrap();
        let view = RequestView::with_clock(&request, &self.clock);
        let verdict = match self
            .validator
            .cached_verdict(&credential.unchecked(), &view)
        {
            Some(verdict) => verdict,
            None => self.validator.validate(&credential, &view),
        };
        match verdict {
            Verdict::Ready(answer) => answer.is_ok(),
            Verdict::Pending(_) => panic!("local keys need no future"),
        }
    }
}

struct Access {
    text: String,
    subject: usize,
    client: usize,
    session: Option<usize>,
    issuer: &'static str,
    version: u64,
    iat: u64,
    is_dead: bool,
}

struct Session {
    id: SessionId,
    subject: usize,
    client: usize,
    issuer: &'static str,
    version: u64,
    /// The newest last.
    refresh: Vec<String>,
    is_dead: bool,
}

struct World {
    random: Random,
    keys: SigningKeys,
    sessions_store: MemoryStore,
    log: Log,
    passing: Hand,
    machines: Vec<Machine>,
    access: Vec<Access>,
    sessions: Vec<Session>,
    trace: Vec<String>,
}

impl World {
    fn new(seed: u64, keys: &SigningKeys) -> Self {
        let mut world = Self {
            random: Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            keys: keys.clone(),
            sessions_store: MemoryStore::new(),
            log: Log {
                entries: Arc::default(),
                is_muted: Arc::default(),
            },
            passing: Hand(Arc::new(AtomicU64::new(START))),
            machines: Vec::new(),
            access: Vec::new(),
            sessions: Vec::new(),
            trace: Vec::new(),
        };
        for place in 0..ISSUERS.len() {
            let machine = world.start(place, Hand(Arc::new(AtomicU64::new(START))));
            world.machines.push(machine);
            world.step_clock(place);
        }
        world
    }

    /// Starts a process with settings of its own, and with what the store of revocations has not removed.
    fn start(&mut self, place: usize, clock: Hand) -> Machine {
        let passing = self.passing.get();
        // Like a store that removes expired entries.
        self.log.entries.lock().unwrap().retain(|text| {
            let revocation = Revocation::from_text(text.as_bytes()).unwrap();
            revocation.expires_at() > time(passing)
        });
        let seen = self.log.entries.lock().unwrap().len();
        for machine in &mut self.machines {
            machine.seen = machine.seen.min(seen);
        }
        let hub = RevocationHub::builder(self.log.clone()).clock(Clamped {
            machine: clock.clone(),
            passing: self.passing.clone(),
            start: (clock.get(), passing),
        });
        let hub = now_or_never(hub.open()).unwrap();
        let access_ttl = self.random.pick(&[300, 900, 3_600]);
        let grace = self.random.pick(&[0, 10, 60]);
        let limit = self.random.pick(&[1, 2, 100]);
        let refresh_ttl = self.random.pick(&[900, 86_400, 604_800]);
        let leeway = self.random.pick(&[60, 300]);
        self.trace.push(format!(
            "start {place}: access_ttl {access_ttl}, refresh_ttl {refresh_ttl}, grace {grace}, limit {limit}, \
             leeway {leeway}"
        ));
        let issuer = TokenIssuer::builder(ISSUERS[place], self.keys.clone())
            .audience(AUDIENCE)
            .access_ttl(Duration::from_secs(access_ttl))
            .refresh_ttl(Duration::from_secs(refresh_ttl))
            .reuse_grace(Duration::from_secs(grace))
            .max_sessions_per_user(limit)
            .sessions(self.sessions_store.clone())
            .revocations(hub.clone())
            .clock(clock.clone())
            .build()
            .unwrap();
        Machine {
            validator: issuer
                .validator_builder()
                .leeway(Duration::from_secs(leeway))
                .build()
                .unwrap(),
            clock,
            hub,
            issuer,
            seen,
        }
    }

    fn restart(&mut self, place: usize) {
        let clock = self.machines[place].clock.clone();
        let machine = self.start(place, clock);
        self.machines[place] = machine;
    }

    fn step_clock(&mut self, place: usize) {
        let offset = self.random.next() % (2 * MAX_OFFSET);
        let millis = self.passing.get() + offset - MAX_OFFSET;
        self.trace
            .push(format!("clock of {place}: {offset} - {MAX_OFFSET}"));
        self.machines[place].clock.set(millis);
    }

    fn advance(&mut self, millis: u64) {
        self.trace.push(format!("advance {millis}"));
        self.passing.set(self.passing.get() + millis);
        for machine in &self.machines {
            machine.clock.set(machine.clock.get() + millis);
        }
    }

    /// Every hub receives what the others have added.
    fn follow(&mut self) {
        let entries = self.log.entries.lock().unwrap().clone();
        *self.log.is_muted.lock().unwrap() = true;
        for machine in &mut self.machines {
            for text in &entries[machine.seen..] {
                let revocation = Revocation::from_text(text.as_bytes()).unwrap();
                now_or_never(machine.hub.revoke(&revocation)).unwrap();
            }
            machine.seen = entries.len();
        }
        *self.log.is_muted.lock().unwrap() = false;
    }

    fn keep(&mut self, place: usize, tokens: &TokenResponse, of: (usize, usize, Option<usize>)) {
        let (subject, client, session) = of;
        let text = tokens.access_token().to_owned();
        let claims = claims_of(&text);
        let iat = claims["iat"].as_u64().unwrap();
        let version = claims["token_version"].as_u64().unwrap_or(0);
        // A session that began on a machine ahead is not dated back: a validator behind it accepts its leeway.
        let machine = &self.machines[place];
        if iat <= machine.clock.get() / 1_000 + 60 {
            assert!(machine.accepts(&text), "issued and not accepted");
        }
        self.access.push(Access {
            text,
            subject,
            client,
            session,
            issuer: ISSUERS[place],
            version,
            iat,
            is_dead: false,
        });
    }

    fn step(&mut self) {
        let place = self.random.pick(&[0, 0, 1, 1, 2]);
        let subject = self.random.below(2);
        let client = self.random.below(2);
        let version = self.random.pick(&[0, 1, 2, 2]);
        let grant = || {
            let grant = Grant::new(SUBJECTS[subject], CLIENTS[client]);
            match version {
                0 => grant,
                _ => grant.token_version(version),
            }
        };
        let issuer = self.machines[place].issuer.clone();
        match self.random.below(27) {
            0..=4 => match now_or_never(issuer.issue(grant())) {
                Ok(tokens) => {
                    let session = self.sessions.len();
                    self.trace
                        .push(format!("login at {place}: session {session}"));
                    self.sessions.push(Session {
                        id: tokens.session().unwrap(),
                        subject,
                        client,
                        issuer: ISSUERS[place],
                        version,
                        refresh: vec![tokens.refresh_token().unwrap().to_owned()],
                        is_dead: false,
                    });
                    self.keep(place, &tokens, (subject, client, Some(session)));
                }
                Err(IssuingError::Revocations { .. } | IssuingError::Grant { .. }) => {}
                Err(error) => panic!("{error:?}"),
            },
            5 => match issuer.issue_access_token(grant()) {
                Ok(tokens) => {
                    self.trace.push(format!("token without session at {place}"));
                    self.keep(place, &tokens, (subject, client, None));
                }
                Err(IssuingError::Revocations { .. } | IssuingError::Grant { .. }) => {}
                Err(error) => panic!("{error:?}"),
            },
            6..=13 => self.refresh(place, &issuer),
            14 | 15 => {
                if self.sessions.is_empty() {
                    return;
                }
                let index = self.random.below(self.sessions.len());
                let session = &mut self.sessions[index];
                let ended = now_or_never(issuer.end_session(session.id)).unwrap();
                self.trace.push(format!("end {index} at {place}: {ended}"));
                if session.issuer == ISSUERS[place] {
                    self.kill_session(index);
                } else {
                    assert!(!ended, "ended by another issuer");
                }
            }
            16 | 17 => {
                let now = self.machines[place].clock.get() / 1_000;
                let by_subject = self.random.below(3) > 0;
                let of = match by_subject {
                    true => SessionsOf::Subject(SUBJECTS[subject]),
                    false => SessionsOf::Client(CLIENTS[client]),
                };
                self.trace.push(format!("end all at {place}: {of:?}"));
                now_or_never(issuer.end_sessions(of)).unwrap();
                let is_meant = |of: (usize, usize), issuer| {
                    let (other_subject, other_client) = of;
                    issuer == ISSUERS[place]
                        && match by_subject {
                            true => other_subject == subject,
                            false => other_client == client,
                        }
                };
                for access in &mut self.access {
                    let is_old = access.session.is_some() || access.iat <= now;
                    access.is_dead |=
                        is_old && is_meant((access.subject, access.client), access.issuer);
                }
                for session in &mut self.sessions {
                    session.is_dead |= is_meant((session.subject, session.client), session.issuer);
                }
            }
            18 => {
                if self.access.is_empty() {
                    return;
                }
                let index = self.random.below(self.access.len());
                let access = &mut self.access[index];
                let revoked = issuer.revoke(&access.text, CLIENTS[access.client]);
                now_or_never(revoked).unwrap();
                self.trace.push(format!("revoke token {index} at {place}"));
                access.is_dead |= access.issuer == ISSUERS[place];
            }
            19 => {
                let below = self.random.pick(&[1, 2]);
                self.trace
                    .push(format!("versions below {below} of {subject} at {place}"));
                let revoked = issuer.revoke_versions_below(SUBJECTS[subject], below);
                now_or_never(revoked).unwrap();
                for access in &mut self.access {
                    access.is_dead |= access.issuer == ISSUERS[place]
                        && access.subject == subject
                        && access.version < below;
                }
                for session in &mut self.sessions {
                    session.is_dead |= session.issuer == ISSUERS[place]
                        && session.subject == subject
                        && session.version < below;
                }
            }
            20..=22 => self.step_clock(place),
            23..=25 => {
                let millis = self
                    .random
                    .pick(&[1, 300, 1_000, 3_000, 10_000, 60_000, 300_000, 900_000]);
                self.advance(millis);
            }
            _ => self.restart(place),
        }
    }

    fn refresh(&mut self, place: usize, issuer: &TokenIssuer) {
        if self.sessions.is_empty() {
            return;
        }
        let index = self.random.below(self.sessions.len());
        // Mostly the newest.
        let back = self.random.pick(&[0, 0, 0, 0, 1, 1, 2]);
        let session = &mut self.sessions[index];
        let token = session.refresh.len().saturating_sub(1 + back);
        let token = session.refresh[token].clone();
        let client = CLIENTS[session.client];
        let answer = now_or_never(issuer.refresh(&token, client, None));
        self.trace
            .push(format!("refresh {index} at {place}: {answer:?}"));
        match answer {
            Ok(tokens) => {
                assert!(!session.is_dead, "an ended session was refreshed");
                assert!(session.issuer == ISSUERS[place], "by another issuer");
                let next = tokens.refresh_token().unwrap();
                if session.refresh.last().unwrap() != next {
                    session.refresh.push(next.to_owned());
                }
                let of = (session.subject, session.client, Some(index));
                self.keep(place, &tokens, of);
            }
            Err(IssuingError::InvalidGrant { reason }) => {
                if matches!(reason, InvalidGrant::Reused { .. }) {
                    self.kill_session(index);
                }
            }
            Err(error) => panic!("{error:?}"),
        }
    }

    fn kill_session(&mut self, index: usize) {
        self.sessions[index].is_dead = true;
        for access in &mut self.access {
            access.is_dead |= access.session == Some(index);
        }
    }

    /// Asserts that no machine accepts a dead token, or a token of another issuer.
    fn check(&self, which: impl Fn(usize) -> bool) {
        for (index, access) in self.access.iter().enumerate() {
            if !which(index) {
                continue;
            }
            for (place, machine) in self.machines.iter().enumerate() {
                if access.is_dead || access.issuer != ISSUERS[place] {
                    let accepted = machine.accepts(&access.text);
                    assert!(!accepted, "token {index} is accepted by {place}");
                }
            }
        }
    }

    /// Returns how many tokens are dead at the end.
    fn run(&mut self) -> usize {
        for _ in 0..STEPS {
            self.step();
            self.follow();
            let some = self.random.below(4);
            self.check(|index| index % 4 == some);
        }
        // With the hubs there are, and with new ones; now, and until every token has expired everywhere.
        for minutes in [0, 1, 4, 9, 2, 40, 5, 4] {
            self.advance(minutes * 60_000);
            for place in 0..ISSUERS.len() {
                self.step_clock(place);
            }
            self.check(|_| true);
            for place in 0..ISSUERS.len() {
                self.restart(place);
            }
            self.check(|_| true);
        }
        for index in 0..self.sessions.len() {
            let session = &self.sessions[index];
            if !session.is_dead {
                continue;
            }
            for token in &session.refresh {
                for machine in &self.machines {
                    let refresh = machine.issuer.refresh(token, CLIENTS[session.client], None);
                    assert!(
                        now_or_never(refresh).is_err(),
                        "session {index} is refreshed"
                    );
                }
            }
        }
        self.access.iter().filter(|access| access.is_dead).count()
    }
}

fn claims_of(token: &str) -> serde_json::Value {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap());
    serde_json::from_slice(&claims.unwrap()).unwrap()
}

#[test]
fn revoked_tokens_stay_revoked_whatever_the_clocks_and_settings() {
    let wanted = std::env::var("TOWER_BEARER_HISTORIES").ok();
    let histories: u64 = wanted.map_or(2_000, |wanted| wanted.parse().unwrap());
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let dead = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let dead = &dead;
            scope.spawn(move || {
                let key = SigningKey::generate(Algorithm::HS256).unwrap();
                let keys = SigningKeys::new(key).unwrap();
                for seed in (thread..histories).step_by(threads as usize) {
                    let mut world = World::new(seed + 1, &keys);
                    let run = std::panic::AssertUnwindSafe(|| world.run());
                    match std::panic::catch_unwind(run) {
                        Ok(count) => _ = dead.fetch_add(count as u64, Ordering::Relaxed),
                        Err(failure) => {
                            eprintln!("history {seed}:\n  {}", world.trace.join("\n  "));
                            std::panic::resume_unwind(failure);
                        }
                    }
                }
            });
        }
    });
    // Most histories revoke something.
    assert!(dead.into_inner() > histories * 2);
}
