//! A model of sessions that is simple enough to be seen to be right, and a run that compares it with the real thing.

#![allow(dead_code, reason = "each test uses some of it")]

use std::future::Future;
use std::time::{Duration, SystemTime};

use http::Request;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tower_bearer::clock::ManualClock;
use tower_bearer::issuing::RevocationHub;
use tower_bearer::issuing::store::{RevocationStore, SessionStore, SessionsOf};
use tower_bearer::issuing::{
    Grant, InvalidGrant, IssuingError, SigningKey, SigningKeys, TokenIssuer, TokenResponse,
};
use tower_bearer::jwt::{Algorithm, JwtValidator};
use tower_bearer::revocation::Revocation;
use tower_bearer::{Credential, RequestView, Validator as _, Verdict};

const ISSUER: &str = "https://issuer.example";
const AUDIENCE: &str = "https://api.example";
const SUBJECTS: [&str; 2] = ["alice", "bob"];
const CLIENTS: [&str; 2] = ["web", "app"];
/// In seconds.
const ACCESS: u64 = 900;
/// A session ends while access tokens of it are good.
const IDLE: u64 = 600;
const SESSION: u64 = 1_500;
/// For which a validator accepts a token after its end.
const LEEWAY: u64 = 60;

/// Where a run keeps its sessions.
pub(crate) trait Place {
    type Store: SessionStore + RevocationStore + Clone + 'static;

    /// Whether what was kept is there after a restart.
    const LASTS: bool;

    /// The store, with all that was put into it. Nobody else holds it at the moment.
    fn open(&self) -> impl Future<Output = Self::Store>;
}

/// What happens.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
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

/// Whose token it is that somebody presents.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum By {
    Owner,
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Scope {
    All,
    Less,
    More,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let by = || prop_oneof![9 => Just(By::Owner), 1 => Just(By::Other)];
    let version = || prop::option::of(0..4_u64);
    let scope = prop_oneof![
        6 => Just(Scope::All),
        2 => Just(Scope::Less),
        1 => Just(Scope::More),
    ];
    const TIMES: [u64; 11] = [
        1, 400, 1_000, 3_000, 9_000, 10_000, 60_000, 300_000, 599_000, 600_000, 900_000,
    ];
    let any = 0..1_000_usize;
    let step = prop_oneof![
        6 => (0..2_usize, 0..2_usize, version())
            .prop_map(|(subject, client, version)| Step::Issue { subject, client, version }),
        1 => (0..2_usize, 0..2_usize, version())
            .prop_map(|(subject, client, version)| Step::IssueAlone { subject, client, version }),
        16 => (any.clone(), by(), scope)
            .prop_map(|(token, by, scope)| Step::Refresh { token, by, scope }),
        1 => (any.clone(), by()).prop_map(|(token, by)| Step::RevokeRefreshToken { token, by }),
        2 => (any.clone(), by()).prop_map(|(token, by)| Step::RevokeAccessToken { token, by }),
        1 => (any, by()).prop_map(|(session, by)| Step::EndSession { session, by }),
        2 => (0..2_usize).prop_map(Step::EndAllOfSubject),
        2 => (0..2_usize).prop_map(Step::EndAllOfClient),
        1 => (0..2_usize, 0..5_u64)
            .prop_map(|(subject, version)| Step::VersionsBelow { subject, version }),
        8 => prop::sample::select(&TIMES[..]).prop_map(Step::Advance),
        2 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 1..40)
}

struct Session {
    subject: usize,
    client: usize,
    version: Option<u64>,
    idle_end: u64,
    end: u64,
    /// Which refresh token is good.
    current: usize,
    /// Which one was before, and when it was spent.
    previous: Option<(usize, u64)>,
    is_over: bool,
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
    /// When everything of somebody was ended.
    ends: Vec<u64>,
}

/// What the model says about a refresh token.
#[derive(Debug, PartialEq)]
enum Says {
    New,
    /// The token that was given out before.
    Again(usize),
    Client,
    Over,
    Reused,
    Revoked,
    Scope,
    Unknown,
}

impl Model {
    fn is_good(&self, access: &Access, now: u64) -> bool {
        let session = access.session.map(|session| &self.sessions[session]);
        now < access.issued + ACCESS + LEEWAY
            && !access.is_revoked
            && !session.is_some_and(|session| session.is_over)
            && access.version.unwrap_or(0) >= self.versions[access.subject]
    }

    fn present(&self, token: usize, by: By, scope: Scope, now: u64) -> Says {
        let session = &self.sessions[self.refresh[token].session];
        if session.is_over {
            return Says::Unknown;
        }
        if now >= session.idle_end {
            return Says::Over;
        }
        if by == By::Other {
            return Says::Client;
        }
        let says = match session.previous {
            _ if session.current == token => Says::New,
            Some((previous, at)) if previous == token && now < at + self.grace => {
                Says::Again(session.current)
            }
            _ => return Says::Reused,
        };
        if scope == Scope::More {
            return Says::Scope;
        }
        if session.version.unwrap_or(0) < self.versions[session.subject] {
            return Says::Revoked;
        }
        says
    }
}

/// The real thing.
struct World<P: Place> {
    place: P,
    clock: ManualClock,
    keys: SigningKeys,
    grace: u64,
    open: Option<(TokenIssuer, JwtValidator)>,
}

impl<P: Place> World<P> {
    async fn open(&mut self) {
        // Before, so that a store that can be had once is free.
        self.open = None;
        let store = self.place.open().await;
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
            Verdict::Ready(answer) => answer.is_ok(),
            Verdict::Pending(_) => panic!("nothing has to wait"),
        }
    }
}

fn client_of(client: usize, by: By) -> &'static str {
    match by {
        By::Owner => CLIENTS[client],
        By::Other => CLIENTS[1 - client],
    }
}

struct Run<P: Place> {
    world: World<P>,
    model: Model,
    start: SystemTime,
    /// Since the beginning.
    millis: u64,
}

impl<P: Place> Run<P> {
    async fn new(place: P, grace: u64) -> Self {
        // A full second of our days, since a store may have an idea of time.
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let start = Duration::from_secs(since.unwrap().as_secs() + 60);
        let start = SystemTime::UNIX_EPOCH + start;
        let mut world = World {
            place,
            clock: ManualClock::new(start),
            keys: SigningKeys::new(SigningKey::generate(Algorithm::Ed25519).unwrap()).unwrap(),
            grace,
            open: None,
        };
        world.open().await;
        Self {
            world,
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

    /// When a token says that it was issued: now, or at one of the next seconds, if all was ended in this one.
    fn issued_at(&self, token: &str) -> u64 {
        let since = self.start.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let issued = claims_of(token)["iat"].as_u64().unwrap() - since.as_secs();
        assert!((self.now()..self.now() + 5).contains(&issued));
        issued
    }

    /// Remembers what a client was given.
    fn keep(&mut self, tokens: &TokenResponse, session: Option<usize>, whose: (usize, usize)) {
        let version = session.map(|session| self.model.sessions[session].version);
        self.model.access.push(Access {
            subject: whose.0,
            client: whose.1,
            version: version.flatten(),
            issued: self.issued_at(tokens.access_token()),
            session,
            is_revoked: false,
            text: tokens.access_token().to_owned(),
        });
    }

    /// The tokens, unless the version has been taken back.
    fn issued(
        &self,
        tokens: Result<TokenResponse, IssuingError>,
        subject: usize,
        version: Option<u64>,
    ) -> Result<Option<TokenResponse>, TestCaseError> {
        if version.unwrap_or(0) >= self.model.versions[subject] {
            return Ok(Some(tokens.unwrap()));
        }
        let is_refused = matches!(tokens, Err(IssuingError::Grant { .. }));
        prop_assert!(is_refused, "{tokens:?}");
        Ok(None)
    }

    async fn step(&mut self, step: Step) -> Result<(), TestCaseError> {
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
                    is_over: false,
                });
                self.model.refresh.push(Refresh {
                    session,
                    text: tokens.refresh_token().unwrap().to_owned(),
                });
                self.keep(&tokens, Some(session), (subject, client));
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
                self.keep(&tokens, None, (subject, client));
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
                let answer = self.world.issuer().revoke(&token.text, client).await;
                match by {
                    By::Owner => {
                        prop_assert!(answer.is_ok(), "{answer:?}");
                        session.is_over = true;
                    }
                    By::Other => prop_assert!(answer.is_err() || !session.is_live(now)),
                }
            }
            Step::RevokeAccessToken { token, by } => {
                if self.model.access.is_empty() {
                    return Ok(());
                }
                let count = self.model.access.len();
                let access = &mut self.model.access[token % count];
                let client = client_of(access.client, by);
                let answer = self.world.issuer().revoke(&access.text, client).await;
                match by {
                    By::Owner => {
                        prop_assert!(answer.is_ok(), "{answer:?}");
                        access.is_revoked = true;
                    }
                    By::Other => {
                        // M04: as long as any validator may accept it, by any clock.
                        let is_past = now >= access.issued + ACCESS + 86_400;
                        prop_assert_eq!(answer.is_err(), !is_past);
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
                if model.is_live(now) || model.is_over || by == By::Other {
                    prop_assert_eq!(ended, !model.is_over && by == By::Owner);
                }
                model.is_over |= by == By::Owner;
            }
            Step::EndAllOfSubject(subject) => {
                let of = SessionsOf::Subject(SUBJECTS[subject]);
                self.end_all(of, |whose, _| whose == subject).await?;
            }
            Step::EndAllOfClient(client) => {
                let of = SessionsOf::Client(CLIENTS[client]);
                self.end_all(of, |_, whose| whose == client).await?;
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
            Step::Restart if P::LASTS => {
                // It takes a while: what was dated ahead just before is not told apart by the next process.
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
    ) -> Result<(), TestCaseError> {
        let now = self.now();
        // More often than that within a second, the next tokens would have to be dated too far ahead.
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
            there += usize::from(!session.is_over);
            session.is_over = true;
        }
        prop_assert!(live <= ended && ended <= there, "{live} {ended} {there}");
        let access = self.model.access.iter_mut();
        for access in access.filter(|access| is_meant(access.subject, access.client)) {
            access.is_revoked = true;
        }
        Ok(())
    }

    async fn refresh(&mut self, token: usize, by: By, scope: Scope) -> Result<(), TestCaseError> {
        let now = self.now();
        let says = self.model.present(token, by, scope, now);
        let Refresh { session, text } = &self.model.refresh[token];
        let index = *session;
        let session = &mut self.model.sessions[index];
        let (whose, client) = ((session.subject, session.client), session.client);
        let asked = match scope {
            Scope::All => None,
            Scope::Less => Some("write"),
            Scope::More => Some("write admin"),
        };
        let issuer = self.world.issuer();
        let answer = issuer.refresh(text, client_of(client, by), asked).await;
        let reason = match &answer {
            Err(IssuingError::InvalidGrant { reason }) => Some(*reason),
            _ => None,
        };
        match says {
            Says::New | Says::Again(_) => {
                let tokens = match answer {
                    Ok(tokens) => tokens,
                    Err(error) => return Err(TestCaseError::fail(format!("{says:?} {error:?}"))),
                };
                let expected = asked.unwrap_or("read write");
                let scopes: Vec<_> = tokens.scopes().collect();
                prop_assert_eq!(scopes.join(" "), expected);
                let next = tokens.refresh_token().unwrap().to_owned();
                match says {
                    Says::Again(current) => {
                        prop_assert_eq!(&next, &self.model.refresh[current].text);
                    }
                    _ => {
                        let is_new = self.model.refresh.iter().all(|other| other.text != next);
                        prop_assert!(is_new);
                        session.previous = Some((token, now));
                        session.current = self.model.refresh.len();
                        session.idle_end = session.end.min(now + IDLE);
                        self.model.refresh.push(Refresh {
                            session: index,
                            text: next,
                        });
                    }
                }
                self.keep(&tokens, Some(index), whose);
            }
            Says::Scope => {
                prop_assert!(
                    matches!(answer, Err(IssuingError::InvalidScope)),
                    "{answer:?}"
                );
            }
            Says::Client => prop_assert_eq!(reason, Some(InvalidGrant::Client)),
            // It may be there for a while, or be gone.
            Says::Over => prop_assert!(
                matches!(
                    reason,
                    Some(InvalidGrant::Expired | InvalidGrant::Client | InvalidGrant::Unknown)
                ),
                "{reason:?}"
            ),
            Says::Reused => {
                prop_assert!(
                    matches!(reason, Some(InvalidGrant::Reused { .. })),
                    "{reason:?}"
                );
                session.is_over = true;
            }
            Says::Revoked => {
                prop_assert_eq!(reason, Some(InvalidGrant::Revoked));
                session.is_over = true;
            }
            Says::Unknown => prop_assert_eq!(reason, Some(InvalidGrant::Unknown)),
        }
        Ok(())
    }

    /// That every access token is judged as the model does. Returns how many of them are good.
    fn check(&self, step: Option<Step>) -> Result<usize, TestCaseError> {
        let mut good = 0;
        for (number, access) in self.model.access.iter().enumerate() {
            let expected = self.model.is_good(access, self.now());
            good += usize::from(expected);
            prop_assert_eq!(
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
        !self.is_over && now < self.idle_end
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

/// Does whatever may happen, in a new place each time, `cases` times, or as often as `PROPTEST_CASES` says.
pub(crate) fn holds_for<P: Place>(cases: u32, place: impl Fn() -> P) {
    let wanted = std::env::var("PROPTEST_CASES").ok();
    let cases = wanted.map_or(cases, |wanted| wanted.parse().unwrap());
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let good = std::cell::Cell::new(0);
    let graces = prop::sample::select(&[0, 10][..]);
    let result = TestRunner::new(config).run(&(graces, steps()), |(grace, steps)| {
        runtime.block_on(async {
            let mut run = Run::new(place(), grace).await;
            for step in steps {
                run.step(step).await?;
                good.set(good.get() + run.check(Some(step))?);
            }
            // Each session goes on exactly if it should.
            for session in 0..run.model.sessions.len() {
                let current = run.model.sessions[session].current;
                run.refresh(current, By::Owner, Scope::All).await?;
            }
            good.set(good.get() + run.check(None)?);
            Ok(())
        })
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    // Refusing everything would not do.
    assert!(good.get() >= cases as usize);
}
