//! A model of sessions that is simple enough to be reviewed, and random histories that are compared with it.

use std::panic::AssertUnwindSafe;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use futures_util::FutureExt as _;
use http::Request;

use super::random::{Random, random_seed};
use super::rule::{Store, text_of};
use crate::clock::ManualClock;
use crate::extract::Credential;
use crate::issuing::store::{RevocationStore, SessionStore, SessionsOf};
use crate::issuing::{
    Grant, InvalidGrant, IssuingError, RevocationHub, SigningKey, SigningKeys, TokenIssuer,
    TokenResponse,
};
use crate::jwt::{Algorithm, JwtValidator};
use crate::request::RequestView;
use crate::revocation::Revocation;
use crate::validator::{Validator as _, Verdict};

/// Returns an error unless the condition holds.
macro_rules! ensure {
    ($condition:expr) => {
        ensure!($condition, "{}", stringify!($condition))
    };
    ($condition:expr, $($format:tt)+) => {{
        let holds: bool = $condition;
        if !holds {
            return Err(format!($($format)+));
        }
    }};
}

/// Returns an error unless both values are equal.
macro_rules! ensure_eq {
    ($left:expr, $right:expr) => {
        ensure_eq!($left, $right, "{}", stringify!($left))
    };
    ($left:expr, $right:expr, $($format:tt)+) => {{
        let (left, right) = (&$left, &$right);
        if left != right {
            return Err(format!("{}: {left:?} and not {right:?}", format!($($format)+)));
        }
    }};
}

const ISSUER: &str = "https://issuer.example";
const AUDIENCE: &str = "https://api.example";
const SUBJECTS: [&str; 2] = ["alice", "bob"];
const CLIENTS: [&str; 2] = ["web", "app"];
/// In seconds.
const ACCESS: u64 = 900;
/// A session ends while its access tokens are valid.
const IDLE: u64 = 600;
const SESSION: u64 = 1_500;
/// The time for which a validator accepts an expired token.
const LEEWAY: u64 = 60;
/// The steps of the clock, in milliseconds.
const TIMES: [u64; 11] = [
    1, 400, 1_000, 3_000, 9_000, 10_000, 60_000, 300_000, 599_000, 600_000, 900_000,
];
/// The number of histories, unless it is set.
const HISTORIES: u32 = 128;
/// The number of runs that look for a shorter history that fails.
const MAX_SHRINKS: u32 = 200;

/// A step of a history.
#[derive(Clone, Copy, Debug)]
enum Step {
    Issue {
        subject: usize,
        client: usize,
        version: Option<u64>,
    },
    IssueAlone {
        subject: usize,
        client: usize,
        version: Option<u64>,
    },
    Refresh {
        token: usize,
        by: By,
        scope: Scope,
    },
    RevokeRefreshToken {
        token: usize,
        by: By,
    },
    RevokeAccessToken {
        token: usize,
        by: By,
    },
    EndSession {
        session: usize,
        by: By,
    },
    EndAllOfSubject(usize),
    EndAllOfClient(usize),
    VersionsBelow {
        subject: usize,
        version: u64,
    },
    /// In milliseconds.
    Advance(u64),
    Restart,
}

/// The client or user that makes the request.
#[derive(Clone, Copy, Debug, PartialEq)]
enum By {
    Owner,
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Scope {
    All,
    Less,
    More,
}

/// The steps of one history.
fn random_steps(random: &mut Random) -> Vec<Step> {
    let length = 1 + random.below(39);
    (0..length).map(|_| random_step(random)).collect()
}

fn random_step(random: &mut Random) -> Step {
    let step = random.below(42);
    let (subject, client) = (random.below(2), random.below(2));
    let version = match random.below(8) {
        version @ 0..4 => Some(version as u64),
        _ => None,
    };
    let by = match random.below(10) {
        0 => By::Other,
        _ => By::Owner,
    };
    let scope = match random.below(9) {
        0..6 => Scope::All,
        6 | 7 => Scope::Less,
        _ => Scope::More,
    };
    let index = random.below(1_000);
    match step {
        0..6 => Step::Issue {
            subject,
            client,
            version,
        },
        6 => Step::IssueAlone {
            subject,
            client,
            version,
        },
        7..23 => Step::Refresh {
            token: index,
            by,
            scope,
        },
        23 => Step::RevokeRefreshToken { token: index, by },
        24 | 25 => Step::RevokeAccessToken { token: index, by },
        26 => Step::EndSession { session: index, by },
        27 | 28 => Step::EndAllOfSubject(subject),
        29 | 30 => Step::EndAllOfClient(client),
        31 => Step::VersionsBelow {
            subject,
            version: random.below(5) as u64,
        },
        32..40 => Step::Advance(random.pick(&TIMES)),
        _ => Step::Restart,
    }
}

struct Session {
    subject: usize,
    client: usize,
    version: Option<u64>,
    idle_end: u64,
    end: u64,
    /// The index of the valid refresh token.
    current: usize,
    /// The index of the refresh token before, and the time of its use.
    previous: Option<(usize, u64)>,
    has_ended: bool,
}

struct Access {
    subject: usize,
    client: usize,
    version: Option<u64>,
    issued: u64,
    session: Option<usize>,
    is_revoked: bool,
    text: String,
}

struct Refresh {
    session: usize,
    text: String,
}

#[derive(Default)]
struct Model {
    grace: u64,
    sessions: Vec<Session>,
    access: Vec<Access>,
    refresh: Vec<Refresh>,
    versions: [u64; 2],
    /// The times at which all sessions of a user or client were ended.
    ends: Vec<u64>,
}

/// The result that the model expects for a refresh token.
#[derive(Debug, PartialEq)]
enum Expected {
    New,
    /// The token that was issued before.
    Again(usize),
    Client,
    Expired,
    Reused,
    Revoked,
    Scope,
    Unknown,
}

impl Model {
    fn is_valid(&self, access: &Access, now: u64) -> bool {
        let session = access.session.map(|session| &self.sessions[session]);
        now < access.issued + ACCESS + LEEWAY
            && !access.is_revoked
            && !session.is_some_and(|session| session.has_ended)
            && access.version.unwrap_or(0) >= self.versions[access.subject]
    }

    fn expect(&self, token: usize, by: By, scope: Scope, now: u64) -> Expected {
        let session = &self.sessions[self.refresh[token].session];
        if session.has_ended {
            return Expected::Unknown;
        }
        if now >= session.idle_end {
            return Expected::Expired;
        }
        if by == By::Other {
            return Expected::Client;
        }
        let expected = match session.previous {
            _ if session.current == token => Expected::New,
            Some((previous, at)) if previous == token && now < at + self.grace => {
                Expected::Again(session.current)
            }
            _ => return Expected::Reused,
        };
        if scope == Scope::More {
            return Expected::Scope;
        }
        if session.version.unwrap_or(0) < self.versions[session.subject] {
            return Expected::Revoked;
        }
        expected
    }
}

/// The issuer and the validator under test.
struct World<L> {
    location: L,
    clock: ManualClock,
    keys: SigningKeys,
    grace: u64,
    open: Option<(TokenIssuer, JwtValidator)>,
}

impl<L: AsyncFn() -> S, S: Store> World<L> {
    async fn open(&mut self) {
        // Dropped first, for a store that is opened once at a time.
        self.open = None;
        let store = (self.location)().await;
        let hub = RevocationHub::builder(store.clone()).clock(self.clock.clone());
        let issuer = TokenIssuer::builder(ISSUER, self.keys.clone())
            .audience(AUDIENCE)
            .access_ttl(Duration::from_secs(ACCESS))
            .refresh_ttl(Duration::from_secs(IDLE))
            .session_ttl(Duration::from_secs(SESSION))
            .reuse_grace(Duration::from_secs(self.grace))
            .sessions(store)
            .revocations(hub.open().await.unwrap())
            .clock(self.clock.clone())
            .build()
            .unwrap();
        let validator = issuer.validator().unwrap();
        self.open = Some((issuer, validator));
    }

    fn issuer(&self) -> &TokenIssuer {
        &self.open.as_ref().unwrap().0
    }

    fn accepts(&self, token: &str) -> bool {
        let validator = &self.open.as_ref().unwrap().1;
        let request = Request::new(());
        let credential = Credential::bearer(token).unwrap();
        let view = RequestView::with_clock(&request, &self.clock);
        let verdict = match validator.cached_verdict(&credential.unchecked(), &view) {
            Some(verdict) => verdict,
            None => validator.validate(&credential, &view),
        };
        match verdict {
            Verdict::Ready(result) => result.is_ok(),
            Verdict::Pending(_) => panic!("local keys need no future"),
        }
    }
}

fn client_of(client: usize, by: By) -> &'static str {
    match by {
        By::Owner => CLIENTS[client],
        By::Other => CLIENTS[1 - client],
    }
}

struct Run<L> {
    world: World<L>,
    restarts: bool,
    model: Model,
    start: SystemTime,
    /// The time since the start.
    millis: u64,
}

impl<L: AsyncFn() -> S, S: Store> Run<L> {
    async fn new(location: L, restarts: bool, grace: u64) -> Self {
        // A whole second near the present, since a store may have a clock of its own.
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let start = Duration::from_secs(since.unwrap().as_secs() + 60);
        let start = SystemTime::UNIX_EPOCH + start;
        let mut world = World {
            location,
            clock: ManualClock::new(start),
            keys: SigningKeys::new(SigningKey::generate(Algorithm::Ed25519).unwrap()).unwrap(),
            grace,
            open: None,
        };
        world.open().await;
        Self {
            world,
            restarts,
            model: Model {
                grace,
                ..Model::default()
            },
            start,
            millis: 0,
        }
    }

    fn now(&self) -> u64 {
        self.millis / 1_000
    }

    /// Returns the time of issue of a token: now, or one of the next seconds after a logout in this one.
    fn issued_at(&self, token: &str) -> u64 {
        let since = self.start.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let issued = claims_of(token)["iat"].as_u64().unwrap() - since.as_secs();
        assert!((self.now()..self.now() + 5).contains(&issued));
        issued
    }

    /// Adds an access token to the model.
    fn add_access(
        &mut self,
        tokens: &TokenResponse,
        session: Option<usize>,
        owner: (usize, usize),
    ) {
        let version = session.map(|session| self.model.sessions[session].version);
        self.model.access.push(Access {
            subject: owner.0,
            client: owner.1,
            version: version.flatten(),
            issued: self.issued_at(tokens.access_token()),
            session,
            is_revoked: false,
            text: tokens.access_token().to_owned(),
        });
    }

    /// Returns the tokens, unless the version has been revoked.
    fn issued(
        &self,
        tokens: Result<TokenResponse, IssuingError>,
        subject: usize,
        version: Option<u64>,
    ) -> Result<Option<TokenResponse>, String> {
        if version.unwrap_or(0) >= self.model.versions[subject] {
            return Ok(Some(tokens.unwrap()));
        }
        let is_refused = matches!(tokens, Err(IssuingError::Grant { .. }));
        ensure!(is_refused, "{tokens:?}");
        Ok(None)
    }

    async fn step(&mut self, step: Step) -> Result<(), String> {
        let now = self.now();
        match step {
            Step::Issue {
                subject,
                client,
                version,
            } => {
                let grant = grant(subject, client, version);
                let tokens = self.world.issuer().issue(grant).await;
                let Some(tokens) = self.issued(tokens, subject, version)? else {
                    return Ok(());
                };
                let session = self.model.sessions.len();
                let begin = self.issued_at(tokens.access_token());
                self.model.sessions.push(Session {
                    subject,
                    client,
                    version,
                    idle_end: begin + IDLE,
                    end: begin + SESSION,
                    current: self.model.refresh.len(),
                    previous: None,
                    has_ended: false,
                });
                self.model.refresh.push(Refresh {
                    session,
                    text: tokens.refresh_token().unwrap().to_owned(),
                });
                self.add_access(&tokens, Some(session), (subject, client));
            }
            Step::IssueAlone {
                subject,
                client,
                version,
            } => {
                let grant = grant(subject, client, version);
                let tokens = self.world.issuer().issue_access_token(grant);
                let Some(tokens) = self.issued(tokens, subject, version)? else {
                    return Ok(());
                };
                self.add_access(&tokens, None, (subject, client));
                self.model.access.last_mut().unwrap().version = version;
            }
            Step::Refresh { token, by, scope } => {
                if !self.model.refresh.is_empty() {
                    let token = token % self.model.refresh.len();
                    self.refresh(token, by, scope).await?;
                }
            }
            Step::RevokeRefreshToken { token, by } => {
                if self.model.refresh.is_empty() {
                    return Ok(());
                }
                let token = &self.model.refresh[token % self.model.refresh.len()];
                let session = &mut self.model.sessions[token.session];
                let client = client_of(session.client, by);
                let result = self.world.issuer().revoke(&token.text, client).await;
                match by {
                    By::Owner => {
                        ensure!(result.is_ok(), "{result:?}");
                        session.has_ended = true;
                    }
                    By::Other => ensure!(result.is_err() || !session.is_live(now)),
                }
            }
            Step::RevokeAccessToken { token, by } => {
                if self.model.access.is_empty() {
                    return Ok(());
                }
                let count = self.model.access.len();
                let access = &mut self.model.access[token % count];
                let client = client_of(access.client, by);
                let result = self.world.issuer().revoke(&access.text, client).await;
                match by {
                    By::Owner => {
                        ensure!(result.is_ok(), "{result:?}");
                        access.is_revoked = true;
                    }
                    By::Other => {
                        // M04: as long as any validator may accept it, by any clock.
                        let is_past = now >= access.issued + ACCESS + 86_400;
                        ensure_eq!(result.is_err(), !is_past);
                    }
                }
            }
            Step::EndSession { session, by } => {
                if self.model.sessions.is_empty() {
                    return Ok(());
                }
                let count = self.model.sessions.len();
                let model = &mut self.model.sessions[session % count];
                let token = &self.model.refresh[model.current];
                let tokens = self.model.access.iter();
                let sid = tokens
                    .filter(|access| access.session == Some(token.session))
                    .map(|access| claims_of(&access.text)["sid"].clone())
                    .next()
                    .unwrap();
                let sid = sid.as_str().unwrap().parse().unwrap();
                let subject = match by {
                    By::Owner => SUBJECTS[model.subject],
                    By::Other => SUBJECTS[1 - model.subject],
                };
                let ended = self.world.issuer().end_session_of(subject, sid).await;
                let ended = ended.unwrap();
                if model.is_live(now) || model.has_ended || by == By::Other {
                    ensure_eq!(ended, !model.has_ended && by == By::Owner);
                }
                model.has_ended |= by == By::Owner;
            }
            Step::EndAllOfSubject(subject) => {
                let of = SessionsOf::Subject(SUBJECTS[subject]);
                self.end_all(of, |owner, _| owner == subject).await?;
            }
            Step::EndAllOfClient(client) => {
                let of = SessionsOf::Client(CLIENTS[client]);
                self.end_all(of, |_, owner| owner == client).await?;
            }
            Step::VersionsBelow { subject, version } => {
                let until = self.start + Duration::from_secs(1_000_000);
                let name = SUBJECTS[subject];
                let revocation = Revocation::versions_below(Some(ISSUER), name, version, until);
                let hub = self.world.issuer().revocations();
                hub.revoke(&revocation).await.unwrap();
                let known = &mut self.model.versions[subject];
                *known = version.max(*known);
            }
            Step::Advance(millis) => self.advance(millis),
            Step::Restart if self.restarts => {
                // A restart takes time. The next process does not recognise tokens that were dated ahead just before.
                self.advance(5_000);
                self.world.open().await;
            }
            Step::Restart => {}
        }
        Ok(())
    }

    fn advance(&mut self, millis: u64) {
        self.millis += millis;
        let now = self.start + Duration::from_millis(self.millis);
        self.world.clock.set(now);
    }

    async fn end_all(
        &mut self,
        of: SessionsOf<'_>,
        is_meant: impl Fn(usize, usize) -> bool,
    ) -> Result<(), String> {
        let now = self.now();
        // After more logouts within a second, the next tokens would have to be dated too far ahead.
        let lately = self.model.ends.iter().filter(|end| **end + 5 > now);
        if lately.count() >= 4 {
            return Ok(());
        }
        self.model.ends.push(now);
        let ended = self.world.issuer().end_sessions(of).await.unwrap();
        let sessions = self.model.sessions.iter_mut();
        let (mut live, mut there) = (0, 0);
        for session in sessions.filter(|session| is_meant(session.subject, session.client)) {
            live += usize::from(session.is_live(now));
            there += usize::from(!session.has_ended);
            session.has_ended = true;
        }
        ensure!(live <= ended && ended <= there, "{live} {ended} {there}");
        let access = self.model.access.iter_mut();
        for access in access.filter(|access| is_meant(access.subject, access.client)) {
            access.is_revoked = true;
        }
        Ok(())
    }

    async fn refresh(&mut self, token: usize, by: By, scope: Scope) -> Result<(), String> {
        let now = self.now();
        let expected = self.model.expect(token, by, scope, now);
        let Refresh { session, text } = &self.model.refresh[token];
        let index = *session;
        let session = &mut self.model.sessions[index];
        let (owner, client) = ((session.subject, session.client), session.client);
        let scopes = match scope {
            Scope::All => None,
            Scope::Less => Some("write"),
            Scope::More => Some("write admin"),
        };
        let issuer = self.world.issuer();
        let result = issuer.refresh(text, client_of(client, by), scopes).await;
        let reason = match &result {
            Err(IssuingError::InvalidGrant { reason }) => Some(*reason),
            _ => None,
        };
        match expected {
            Expected::New | Expected::Again(_) => {
                let tokens = match result {
                    Ok(tokens) => tokens,
                    Err(error) => return Err(format!("{expected:?} {error:?}")),
                };
                let expected_scopes = scopes.unwrap_or("read write");
                let scopes: Vec<_> = tokens.scopes().collect();
                ensure_eq!(scopes.join(" "), expected_scopes);
                let next = tokens.refresh_token().unwrap().to_owned();
                match expected {
                    Expected::Again(current) => {
                        ensure_eq!(&next, &self.model.refresh[current].text);
                    }
                    _ => {
                        let is_new = self.model.refresh.iter().all(|other| other.text != next);
                        ensure!(is_new);
                        session.previous = Some((token, now));
                        session.current = self.model.refresh.len();
                        session.idle_end = session.end.min(now + IDLE);
                        self.model.refresh.push(Refresh {
                            session: index,
                            text: next,
                        });
                    }
                }
                self.add_access(&tokens, Some(index), owner);
            }
            Expected::Scope => {
                ensure!(
                    matches!(result, Err(IssuingError::InvalidScope)),
                    "{result:?}"
                );
            }
            Expected::Client => ensure_eq!(reason, Some(InvalidGrant::Client)),
            // An expired session may have been removed.
            Expected::Expired => ensure!(
                matches!(
                    reason,
                    Some(InvalidGrant::Expired | InvalidGrant::Client | InvalidGrant::Unknown)
                ),
                "{reason:?}"
            ),
            Expected::Reused => {
                ensure!(
                    matches!(reason, Some(InvalidGrant::Reused { .. })),
                    "{reason:?}"
                );
                session.has_ended = true;
            }
            Expected::Revoked => {
                ensure_eq!(reason, Some(InvalidGrant::Revoked));
                session.has_ended = true;
            }
            Expected::Unknown => ensure_eq!(reason, Some(InvalidGrant::Unknown)),
        }
        Ok(())
    }

    /// Compares the result for every access token with the model. Returns the number of valid tokens.
    fn check(&self, step: Option<Step>) -> Result<usize, String> {
        let mut good = 0;
        for (number, access) in self.model.access.iter().enumerate() {
            let expected = self.model.is_valid(access, self.now());
            good += usize::from(expected);
            ensure_eq!(
                self.world.accepts(&access.text),
                expected,
                "token {} after {:?} at {} ms",
                number,
                step,
                self.millis
            );
        }
        Ok(good)
    }
}

impl Session {
    fn is_live(&self, now: u64) -> bool {
        !self.has_ended && now < self.idle_end
    }
}

fn grant(subject: usize, client: usize, version: Option<u64>) -> Grant {
    let grant = Grant::new(SUBJECTS[subject], CLIENTS[client]).scope("read write");
    match version {
        Some(version) => grant.token_version(version),
        None => grant,
    }
}

fn claims_of(token: &str) -> serde_json::Value {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap());
    serde_json::from_slice(&claims.unwrap()).unwrap()
}

/// A test of random histories: logins, refreshes, logouts, revocations, steps of the clock and restarts. After each
/// step, every access token is accepted or rejected as by a model of a few lines.
///
/// The seed is printed. It is random unless it is set by [`seed`](Self::seed) or the environment variable
/// `TOWER_BEARER_SEED`. The variable `TOWER_BEARER_HISTORIES` sets the number of histories.
#[derive(Clone, Debug)]
#[must_use]
pub struct SessionModel {
    histories: u32,
    seed: Option<u64>,
    restarts: bool,
}

impl Default for SessionModel {
    fn default() -> Self {
        Self::new()
    }
}

impl SessionModel {
    /// Creates a test of 128 histories with restarts and a random seed.
    pub fn new() -> Self {
        Self {
            histories: HISTORIES,
            seed: None,
            restarts: true,
        }
    }

    /// Sets the number of histories.
    pub fn histories(mut self, histories: u32) -> Self {
        self.histories = histories;
        self
    }

    /// Sets the seed, to repeat a failure. The same seed gives the same steps. Identifiers and keys differ.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Leaves restarts out, for a store owner content does not survive them.
    pub fn without_restarts(mut self) -> Self {
        self.restarts = false;
        self
    }

    /// Runs the test. `new_location` returns an empty location for each history: a function that opens the store, with
    /// what it contains. At a restart, the store is dropped and opened again.
    ///
    /// # Panics
    ///
    /// If the store differs from the model, with the seed and a short history that shows it.
    pub async fn check<S, L>(&self, new_location: impl Fn() -> L)
    where
        S: SessionStore + RevocationStore + Clone + 'static,
        L: AsyncFn() -> S,
    {
        let seed = variable("TOWER_BEARER_SEED").or(self.seed);
        let seed = seed.unwrap_or_else(random_seed);
        let histories = variable("TOWER_BEARER_HISTORIES").unwrap_or(self.histories);
        println!("session model: {histories} histories, TOWER_BEARER_SEED={seed}");
        let mut random = Random::new(seed);
        let mut valid = 0;
        for history in 0..histories {
            let grace = random.pick(&[0, 10]);
            let steps = random_steps(&mut random);
            match self.run(new_location(), grace, &steps).await {
                Ok(count) => valid += count,
                Err(problem) => {
                    let (steps, problem) = self.shrink(&new_location, grace, steps, problem).await;
                    panic!(
                        "the store breaks the rule \"every token is accepted or rejected as by the model\": {problem}\n\
                         history {history} with TOWER_BEARER_SEED={seed}, reuse grace {grace} s, steps {steps:#?}"
                    );
                }
            }
        }
        // A store that rejects every token does not conform.
        assert!(
            valid >= histories as usize,
            "only {valid} tokens were accepted in {histories} histories"
        );
    }

    /// Runs one history. Returns how many times a token was accepted.
    async fn run<S: Store, L: AsyncFn() -> S>(
        &self,
        location: L,
        grace: u64,
        steps: &[Step],
    ) -> Result<usize, String> {
        let history = async {
            let mut run = Run::new(location, self.restarts, grace).await;
            let mut valid = 0;
            for step in steps {
                run.step(*step).await?;
                valid += run.check(Some(*step))?;
            }
            // Each session continues exactly if it should.
            for session in 0..run.model.sessions.len() {
                let current = run.model.sessions[session].current;
                run.refresh(current, By::Owner, Scope::All).await?;
            }
            Ok(valid + run.check(None)?)
        };
        match AssertUnwindSafe(history).catch_unwind().await {
            Ok(result) => result,
            Err(panic) => Err(text_of(&*panic).into()),
        }
    }

    /// Removes steps as long as the history fails.
    async fn shrink<S: Store, L: AsyncFn() -> S>(
        &self,
        new_location: &impl Fn() -> L,
        grace: u64,
        mut steps: Vec<Step>,
        mut problem: String,
    ) -> (Vec<Step>, String) {
        let mut runs = 0;
        let mut length = steps.len() / 2;
        while length > 0 {
            let mut start = 0;
            while start < steps.len() && runs < MAX_SHRINKS {
                let mut shorter = steps.clone();
                shorter.drain(start..steps.len().min(start + length));
                runs += 1;
                match self.run(new_location(), grace, &shorter).await {
                    Ok(_) => start += length,
                    Err(still) => (steps, problem) = (shorter, still),
                }
            }
            length /= 2;
        }
        (steps, problem)
    }
}

/// Returns the number in a variable of the environment.
fn variable<T: FromStr>(name: &str) -> Option<T> {
    let value = std::env::var(name).ok()?;
    let number = value.parse().ok();
    assert!(number.is_some(), "{name} is not a number: {value:?}");
    number
}
