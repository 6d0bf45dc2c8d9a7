//! Rules of sessions that hold on every store: with calls that fail, clocks that differ and settings that change.

#![allow(dead_code, reason = "each test uses some of it")]

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use http::Request;
use tower_bearer::clock::ManualClock;
use tower_bearer::issuing::RevocationHub;
use tower_bearer::issuing::store::{
    Changes, Cursor, RevocationStore, SessionId, SessionRecord, SessionStore, SessionsOf,
    StoreError, StoreFuture,
};
use tower_bearer::issuing::{
    Grant, InvalidGrant, IssuingError, SigningKey, SigningKeys, TokenIssuer, TokenIssuerBuilder,
    TokenResponse,
};
use tower_bearer::jwt::{Algorithm, JwtValidator};
use tower_bearer::revocation::Revocation;
use tower_bearer::{Credential, RequestView, Validator as _, Verdict};

const AUDIENCE: &str = "https://api.example";
const FORUM: &str = "https://forum.example";
const BANK: &str = "https://bank.example";
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
/// How far the clock of the store is ahead when it removes entries.
const STORE_AHEAD: Duration = Duration::from_secs(55);
/// The longest leeway of a validator.
const LEEWAY: Duration = Duration::from_secs(300);

/// A store, empty when the test begins.
pub(crate) trait Stores {
    type Store: SessionStore + RevocationStore + Clone + 'static;

    fn store(&self) -> impl Future<Output = Self::Store>;

    /// The hub of a process that starts now. A store that keeps no revocations has one hub for all.
    fn hub(
        &self,
        store: &Faulty<Self::Store>,
        clock: &ManualClock,
    ) -> impl Future<Output = RevocationHub> {
        let hub = RevocationHub::builder(store.clone()).clock(clock.clone());
        async { hub.open().await.unwrap() }
    }
}

/// Machines that share a store.
struct World<'a, S: Stores> {
    stores: &'a S,
    store: Faulty<S::Store>,
    start: SystemTime,
    keys: SigningKeys,
    /// The clock by which the hubs remove entries.
    time: ManualClock,
}

/// A process on a machine with its own clock.
struct Machine {
    clock: ManualClock,
    issuer: TokenIssuer,
    validator: JwtValidator,
}

impl<'a, S: Stores> World<'a, S> {
    async fn new(stores: &'a S) -> Self {
        // A whole second of these days, since a store may have a clock of its own.
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(since.unwrap().as_secs() + 60);
        Self {
            stores,
            store: Faulty::new(stores.store().await, ManualClock::new(start)),
            start,
            keys: keys(),
            time: ManualClock::new(start),
        }
    }

    async fn machine(&self) -> Machine {
        self.machine_of(FORUM, &self.keys, |builder| builder).await
    }

    async fn machine_with(
        &self,
        change: impl FnOnce(TokenIssuerBuilder) -> TokenIssuerBuilder,
    ) -> Machine {
        self.machine_of(FORUM, &self.keys, change).await
    }

    async fn machine_of(
        &self,
        issuer: &str,
        keys: &SigningKeys,
        change: impl FnOnce(TokenIssuerBuilder) -> TokenIssuerBuilder,
    ) -> Machine {
        let clock = ManualClock::new(tower_bearer::clock::Clock::now(&self.time));
        let builder = TokenIssuer::builder(issuer, keys.clone())
            .audience(AUDIENCE)
            .sessions(self.store.clone())
            .revocations(self.stores.hub(&self.store, &self.time).await)
            .clock(clock.clone());
        let issuer = change(builder).build().unwrap();
        let validator = issuer.validator_builder().leeway(LEEWAY);
        Machine {
            validator: validator.build().unwrap(),
            clock,
            issuer,
        }
    }

    /// Asserts that no process that starts within the next hours accepts any of the tokens.
    async fn assert_ended(&self, tokens: &[&TokenResponse], what: &str) {
        for after in [0, 2, 6, 12, 19, 21, 60, 64, 66, 120, 1_500] {
            self.time.set(self.start + MINUTE * after);
            self.store
                .remove_ended_at(self.start + MINUTE * after + STORE_AHEAD);
            let machine = self.machine().await;
            for tokens in tokens {
                let accepted = machine.accepts(tokens);
                assert!(!accepted, "{what}: access token after {after} minutes");
            }
        }
        // The newest token first, since a spent token ends a session that is still valid.
        let machine = self.machine().await;
        for tokens in tokens.iter().rev() {
            if tokens.refresh_token().is_some() {
                assert!(machine.refresh(tokens).await.is_err(), "{what}: refresh");
            }
        }
        self.time.set(self.start);
        self.store.remove_ended_at(self.start);
    }
}

impl Machine {
    fn at(&self, time: SystemTime) -> &Self {
        self.clock.set(time);
        self
    }

    async fn login(&self) -> TokenResponse {
        self.login_as("alice").await
    }

    async fn login_as(&self, subject: &str) -> TokenResponse {
        self.issuer.issue(Grant::new(subject, "web")).await.unwrap()
    }

    async fn refresh(&self, tokens: &TokenResponse) -> Result<TokenResponse, IssuingError> {
        let token = tokens.refresh_token().unwrap();
        self.issuer.refresh(token, "web", None).await
    }

    fn accepts(&self, tokens: &TokenResponse) -> bool {
        let request = Request::new(());
        let credential = Credential::bearer(tokens.access_token()).unwrap();
        let view = RequestView::with_clock(&request, &self.clock);
        match self.validator.validate(&credential, &view) {
            Verdict::Ready(answer) => answer.is_ok(),
            Verdict::Pending(_) => panic!("local keys need no future"),
        }
    }

    async fn sessions(&self, subject: &str) -> Vec<SessionId> {
        let of = SessionsOf::Subject(subject);
        let sessions = self.issuer.sessions(of, None, 10_000).await.unwrap();
        sessions.iter().map(|session| session.id()).collect()
    }
}

fn keys() -> SigningKeys {
    SigningKeys::new(SigningKey::generate(Algorithm::Ed25519).unwrap()).unwrap()
}

fn reason<T: std::fmt::Debug>(result: Result<T, IssuingError>) -> InvalidGrant {
    match result {
        Err(IssuingError::InvalidGrant { reason }) => reason,
        other => panic!("{other:?}"),
    }
}

const ALICE: SessionsOf<'_> = SessionsOf::Subject("alice");

/// M01: a session, a refresh token and a revocation belong to one issuer.
pub(crate) async fn issuers_in_one_store_are_separate(stores: &impl Stores) {
    let world = World::new(stores).await;
    let other_keys = keys();
    // Also with the same keys: the names decide.
    for keys in [&world.keys, &other_keys] {
        let forum = world.machine().await;
        let bank = world
            .machine_of(BANK, keys, |builder| builder.max_sessions_per_user(2))
            .await;
        let entries = bank.issuer.revocations().len();
        let at_forum = [
            forum.login().await,
            forum.login().await,
            forum.login().await,
        ];
        let at_bank = [bank.login().await, bank.login().await];
        for tokens in &at_forum {
            assert_eq!(reason(bank.refresh(tokens).await), InvalidGrant::Unknown);
            let token = tokens.refresh_token().unwrap();
            bank.issuer.revoke(token, "web").await.unwrap();
            let token = tokens.access_token();
            bank.issuer.revoke(token, "web").await.unwrap();
            let id = tokens.session().unwrap();
            assert!(!bank.issuer.end_session(id).await.unwrap());
            assert!(!bank.issuer.end_session_of("alice", id).await.unwrap());
            assert!(!bank.accepts(tokens));
        }
        // It takes no capacity of the hub either.
        assert_eq!(bank.issuer.revocations().len(), entries);
        assert_eq!(forum.sessions("alice").await.len(), 3);
        assert_eq!(bank.sessions("alice").await.len(), 2);
        for of in [ALICE, SessionsOf::Client("web")] {
            assert_eq!(bank.issuer.end_sessions(of).await.unwrap() % 2, 0);
        }
        let bank = world.machine_of(BANK, keys, |builder| builder).await;
        for tokens in &at_bank {
            assert!(!bank.accepts(tokens));
            assert!(bank.refresh(tokens).await.is_err());
        }
        let forum = world.machine().await;
        for tokens in &at_forum {
            assert!(forum.accepts(tokens));
            let next = forum.refresh(tokens).await.unwrap();
            assert!(forum.accepts(&next));
        }
        assert_eq!(forum.issuer.end_sessions(ALICE).await.unwrap(), 3);
    }
}

/// M02: what was issued is in the record, so neither a clock nor a setting revives it.
pub(crate) async fn logout_revokes_tokens_of_machines_with_other_clocks(stores: &impl Stores) {
    for all in [false, true] {
        let end = async |machine: &Machine, tokens: &TokenResponse| match all {
            false => {
                let id = tokens.session().unwrap();
                assert!(machine.issuer.end_session(id).await.unwrap());
            }
            true => assert!(machine.issuer.end_sessions(ALICE).await.unwrap() > 0),
        };
        // The clock of one machine is set back by a second.
        let world = World::new(stores).await;
        let machine = world.machine().await;
        let first = machine.login().await;
        let second = machine
            .at(world.start + SECOND * 10)
            .refresh(&first)
            .await
            .unwrap();
        machine.at(world.start + SECOND * 9);
        let third = machine.refresh(&second).await.unwrap();
        end(&machine, &first).await;
        let tokens = [&first, &second, &third];
        world.assert_ended(&tokens, "clock set back").await;

        // Two machines, one of which is 50 seconds ahead.
        let world = World::new(stores).await;
        let (ahead, right) = (world.machine().await, world.machine().await);
        ahead.at(world.start + SECOND * 50);
        let first = right.login().await;
        let second = ahead.refresh(&first).await.unwrap();
        let third = right.refresh(&second).await.unwrap();
        end(&right, &first).await;
        let tokens = [&first, &second, &third];
        world.assert_ended(&tokens, "machine ahead").await;

        // The same answer again within the grace period, on the machine that is ahead.
        let world = World::new(stores).await;
        let grace = |builder: TokenIssuerBuilder| builder.reuse_grace(MINUTE);
        let ahead = world.machine_with(grace).await;
        let right = world.machine_with(grace).await;
        ahead.at(world.start + SECOND * 50);
        let first = right.login().await;
        let second = right.refresh(&first).await.unwrap();
        let again = ahead.refresh(&first).await.unwrap();
        assert_eq!(second.refresh_token(), again.refresh_token());
        end(&right, &first).await;
        let tokens = [&first, &second, &again];
        world
            .assert_ended(&tokens, "grace on a machine ahead")
            .await;

        // A release that issues tokens for an hour, and one that ends the session with five minutes configured.
        let world = World::new(stores).await;
        let long = world
            .machine_with(|builder| builder.access_ttl(MINUTE * 60))
            .await;
        let first = long.login().await;
        let alone = long.issuer.issue_access_token(Grant::new("alice", "web"));
        let alone = alone.unwrap();
        let short = world
            .machine_with(|builder| builder.access_ttl(MINUTE * 5).refresh_ttl(MINUTE * 5))
            .await;
        end(&short, &first).await;
        world.assert_ended(&[&first], "shorter lifetime").await;
        if all {
            world.assert_ended(&[&alone], "without a session").await;
        }
    }
}

/// M02: without a session, a token survives by as much as the clocks differ, and no more.
pub(crate) async fn tokens_without_session_survive_by_the_clock_difference(stores: &impl Stores) {
    let world = World::new(stores).await;
    let (ahead, right) = (world.machine().await, world.machine().await);
    ahead.at(world.start + SECOND * 50);
    let alone = |machine: &Machine| {
        let tokens = machine
            .issuer
            .issue_access_token(Grant::new("alice", "web"));
        tokens.unwrap()
    };
    let (early, late) = (alone(&right), alone(&ahead));
    right.at(world.start + SECOND * 49);
    right.issuer.end_sessions(ALICE).await.unwrap();
    let machine = world.machine().await;
    machine.at(world.start + SECOND * 49);
    assert!(!machine.accepts(&early));
    assert!(machine.accepts(&late));
    right.at(world.start + SECOND * 50);
    right.issuer.end_sessions(ALICE).await.unwrap();
    world.assert_ended(&[&early, &late], "both").await;
}

/// A machine whose clock is ahead ends all sessions: within a minute of difference, logins elsewhere succeed.
pub(crate) async fn logins_continue_after_logout_on_a_machine_ahead(stores: &impl Stores) {
    for (ahead_by, works) in [(1, true), (50, true), (59, true), (61, false)] {
        let world = World::new(stores).await;
        let ahead = world.machine().await;
        ahead.at(world.start + SECOND * ahead_by);
        let before = world.machine().await.login().await;
        ahead.issuer.end_sessions(ALICE).await.unwrap();
        let right = world.machine().await;
        let login = right.issuer.issue(Grant::new("alice", "web")).await;
        assert!(!right.accepts(&before), "{ahead_by}");
        if !works {
            // The clocks differ by more than validators allow for.
            let Err(error @ IssuingError::Revocations { .. }) = login else {
                panic!("{login:?}");
            };
            assert!(error.to_string().contains("clocks"), "{error}");
            right.at(world.start + SECOND * 2);
            assert!(right.accepts(&right.login().await));
            continue;
        }
        let login = login.unwrap();
        for machine in [&right, &ahead] {
            assert!(machine.accepts(&login), "{ahead_by}");
        }
        // Also with the default leeway.
        let validator = right.issuer.validator().unwrap();
        let strict = Machine {
            validator,
            clock: right.clock.clone(),
            issuer: right.issuer.clone(),
        };
        assert!(strict.accepts(&login), "{ahead_by}");
        let next = right.refresh(&login).await.unwrap();
        assert!(right.accepts(&next), "{ahead_by}");
        // Tokens dated ahead are revoked like any other token.
        right.issuer.end_sessions(ALICE).await.unwrap();
        let tokens = [&before, &login, &next];
        world.assert_ended(&tokens, "dated ahead").await;
    }
}

/// M03: whichever call of the store fails, and wherever the process dies, an ending that has begun stays in effect.
pub(crate) async fn interrupted_ending_stays_in_effect(stores: &impl Stores) {
    #[derive(Clone, Copy, Debug)]
    enum How {
        Reuse,
        Revoke,
        End,
        EndAll,
    }
    for how in [How::Reuse, How::Revoke, How::End, How::EndAll] {
        for call in 0.. {
            let mut failed = 0;
            for when in [When::Before, When::After] {
                let what = format!("{how:?}, call {call} fails {when:?} it was done");
                let world = World::new(stores).await;
                let machine = world.machine().await;
                let first = machine.login().await;
                let second = machine.refresh(&first).await.unwrap();
                world.store.fail_from(call, when);
                let ended = match how {
                    How::Reuse => match machine.refresh(&first).await {
                        Err(IssuingError::InvalidGrant {
                            reason: InvalidGrant::Reused { .. },
                        }) => Ok(()),
                        other => other.map(|_| ()),
                    },
                    How::Revoke => {
                        let token = first.refresh_token().unwrap();
                        machine.issuer.revoke(token, "web").await
                    }
                    How::End => {
                        let id = first.session().unwrap();
                        machine.issuer.end_session(id).await.map(|_| ())
                    }
                    How::EndAll => machine.issuer.end_sessions(ALICE).await.map(|_| ()),
                };
                failed += usize::from(world.store.failures() > 0);
                let is_marked = world.store.marks() > 0;
                world.store.recover();
                // The process dies with its hub, and comes back after every entry about access tokens has ended.
                world.time.set(world.start + MINUTE * 22);
                let machine = world.machine().await;
                if ended.is_ok() || is_marked {
                    for tokens in [&second, &first] {
                        assert!(machine.refresh(tokens).await.is_err(), "{what}");
                    }
                    assert!(machine.sessions("alice").await.is_empty(), "{what}");
                }
                if ended.is_ok() {
                    world.time.set(world.start);
                    world.assert_ended(&[&first, &second], &what).await;
                    continue;
                }
                assert!(
                    matches!(ended, Err(IssuingError::Store(_))),
                    "{what}: {ended:?}"
                );
                // The next request that meets a mark completes the ending.
                let world = World::new(stores).await;
                let machine = world.machine().await;
                let first = machine.login().await;
                let second = machine.refresh(&first).await.unwrap();
                world.store.fail_from(call, when);
                let id = first.session().unwrap();
                let _ = machine.issuer.end_session(id).await;
                let is_marked = world.store.marks() > 0;
                world.store.recover();
                if is_marked {
                    let next = world.machine().await;
                    assert!(next.refresh(&second).await.is_err(), "{what}");
                    world.assert_ended(&[&first, &second], &what).await;
                }
            }
            if failed == 0 {
                assert!(call >= 2, "{how:?}");
                break;
            }
        }
    }
}

/// M04: a revocation revokes or is an error, also for a token that only some validators still accept.
pub(crate) async fn revocation_covers_every_leeway(stores: &impl Stores) {
    for (now, what) in [
        (0, "valid"),
        (1_000, "100 seconds past its end"),
        (1_199, "at the end of the longest leeway"),
        (1_210, "by a clock that is ahead"),
        (5_000, "by a clock that is an hour ahead"),
    ] {
        let world = World::new(stores).await;
        let machine = world.machine().await;
        let tokens = machine.login().await;
        let other = machine.login().await;
        machine.at(world.start + SECOND * now);
        let token = tokens.access_token();
        machine.issuer.revoke(token, "web").await.unwrap();
        for second in [0, 899, 1_000, 1_199] {
            let time = world.start + SECOND * second;
            world.store.remove_ended_at(time + STORE_AHEAD);
            let machine = world.machine().await;
            machine.at(time);
            assert!(!machine.accepts(&tokens), "{what}, at {second}");
            assert!(machine.accepts(&other), "{what}, at {second}");
        }
        // The session continues.
        let machine = world.machine().await;
        assert!(machine.refresh(&tokens).await.is_ok());
    }
    // Issued by a machine whose clock is ahead.
    let world = World::new(stores).await;
    let ahead = world.machine().await;
    let tokens = ahead.at(world.start + SECOND * 75).login().await;
    let machine = world.machine().await;
    assert!(machine.accepts(&tokens));
    let token = tokens.access_token();
    machine.issuer.revoke(token, "web").await.unwrap();
    assert!(!machine.accepts(&tokens));
    assert!(!world.machine().await.accepts(&tokens));
}

/// M05: a client that revokes one access token after another takes a bounded number of entries.
pub(crate) async fn revocations_of_one_session_are_bounded(stores: &impl Stores) {
    let world = World::new(stores).await;
    let machine = world.machine().await;
    let mut tokens = machine.login().await;
    let mut revoked = Vec::new();
    let revoke = async |tokens: &TokenResponse| {
        let token = tokens.access_token();
        machine.issuer.revoke(token, "web").await.unwrap();
    };
    let ended = loop {
        // The same token again does not count.
        for _ in 0..3 {
            revoke(&tokens).await;
        }
        revoked.push(tokens.clone());
        match machine.refresh(&tokens).await {
            Ok(next) => tokens = next,
            Err(error) => break error,
        }
        assert!(revoked.len() < 100);
    };
    assert_eq!(reason::<()>(Err(ended)), InvalidGrant::Unknown);
    assert_eq!(revoked.len(), 17);
    // Tokens of a session that has ended do not count either.
    let mut tokens = machine.login().await;
    let mut all = vec![tokens.clone()];
    for _ in 0..30 {
        tokens = machine.refresh(&tokens).await.unwrap();
        all.push(tokens.clone());
    }
    machine
        .issuer
        .end_session(tokens.session().unwrap())
        .await
        .unwrap();
    for tokens in &all {
        revoke(tokens).await;
    }
    assert!(machine.issuer.revocations().len() <= 18);
    revoked.extend(all);
    let all: Vec<_> = revoked.iter().collect();
    world
        .assert_ended(&all, "session of a client that revokes")
        .await;
}

/// M06: the limit of sessions holds for `logins` at once, in two processes.
pub(crate) async fn session_limit_holds_under_concurrency(stores: &impl Stores, logins: usize) {
    const LIMIT: usize = 100;
    let world = World::new(stores).await;
    let limit = |builder: TokenIssuerBuilder| builder.max_sessions_per_user(LIMIT);
    let machines = [
        Arc::new(world.machine_with(limit).await),
        Arc::new(world.machine_with(limit).await),
    ];
    let tasks: Vec<_> = (0..logins)
        .map(|number| {
            let machine = Arc::clone(&machines[number % 2]);
            tokio::spawn(async move { machine.login().await })
        })
        .collect();
    let mut all = Vec::new();
    for task in tasks {
        all.push(task.await.unwrap());
    }
    let machine = world.machine_with(limit).await;
    assert_eq!(machine.sessions("alice").await.len(), LIMIT);
    let accepted = all.iter().filter(|tokens| machine.accepts(tokens));
    assert_eq!(accepted.count(), LIMIT);
    // One after another, the newest stays, whichever clock it has: also in one second, or behind all others.
    for behind in [0, 0, 0, 50] {
        machine.at(world.start - SECOND * behind);
        let newest = machine.login().await;
        assert!(machine.accepts(&newest), "{behind}");
        assert!(
            machine
                .sessions("alice")
                .await
                .contains(&newest.session().unwrap())
        );
        assert_eq!(machine.sessions("alice").await.len(), LIMIT);
    }
}

/// Sessions that have expired, have ended or belong to another issuer do not count, and a failing store is an error.
pub(crate) async fn session_limit_ignores_expired_and_ended_sessions(stores: &impl Stores) {
    let world = World::new(stores).await;
    let two = |builder: TokenIssuerBuilder| {
        builder
            .max_sessions_per_user(2)
            .refresh_ttl(MINUTE)
            .session_ttl(MINUTE * 60)
    };
    let machine = world.machine_with(two).await;
    let over = machine.login().await;
    let later = world.start + SECOND * 70;
    machine.at(later);
    // The first session has expired, its access token has not.
    let first = machine.login().await;
    let second = machine.login().await;
    for tokens in [&over, &first, &second] {
        assert!(machine.accepts(tokens));
    }
    assert_eq!(machine.sessions("alice").await.len(), 2);
    // An ending that stopped after the mark is completed by the next login.
    world.store.fail_add();
    let id = first.session().unwrap();
    assert!(machine.issuer.end_session(id).await.is_err());
    world.store.recover();
    let third = machine.login().await;
    for tokens in [&second, &third] {
        assert!(machine.accepts(tokens));
        assert!(
            machine
                .sessions("alice")
                .await
                .contains(&tokens.session().unwrap())
        );
    }
    let restarted = world.machine_with(two).await;
    assert!(!restarted.at(later).accepts(&first));
    // Every call that a login makes may fail.
    for when in [When::Before, When::After] {
        for call in 0.. {
            world.store.fail_from(call, when);
            let login = machine.issuer.issue(Grant::new("alice", "web")).await;
            let failures = world.store.failures();
            let only_removal = world.store.only_removal_failed();
            world.store.recover();
            if failures == 0 {
                assert!(login.is_ok() && call > 3, "{call}");
                break;
            }
            if !only_removal {
                let is_error = matches!(login, Err(IssuingError::Store(_)));
                assert!(is_error, "call {call} {when:?}: {login:?}");
            }
            // After any failure, the next login keeps to the limit.
            let newest = machine.login().await;
            let sessions = machine.sessions("alice").await;
            assert!(sessions.len() <= 2 && sessions.contains(&newest.session().unwrap()));
        }
    }
}

/// When a call of the store fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// Before the call takes effect.
    Before,
    /// After the call took effect: the answer is lost.
    After,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Every call from this one on.
    From(usize, When),
    /// Every revocation.
    Add,
}

/// A store whose calls fail on demand, and that returns no expired revocations. Clones share everything.
#[derive(Clone)]
pub(crate) struct Faulty<S> {
    store: S,
    /// The clock by which revocations expire.
    time: ManualClock,
    faults: Arc<Faults>,
}

#[derive(Default)]
struct Faults {
    fault: Mutex<Option<Fault>>,
    calls: AtomicUsize,
    failures: AtomicUsize,
    removals: AtomicUsize,
    /// Records that were replaced since the fault was set.
    marks: AtomicUsize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Call {
    Add,
    Remove,
    Replace,
    Other,
}

impl<S> Faulty<S> {
    fn new(store: S, time: ManualClock) -> Self {
        Self {
            store,
            time,
            faults: Arc::default(),
        }
    }

    /// Hides revocations that have expired by this time.
    fn remove_ended_at(&self, time: SystemTime) {
        self.time.set(time);
    }

    /// Lets `call` calls succeed, and no more.
    fn fail_from(&self, call: usize, when: When) {
        let faults = &*self.faults;
        for count in [
            &faults.calls,
            &faults.failures,
            &faults.removals,
            &faults.marks,
        ] {
            count.store(0, Ordering::SeqCst);
        }
        *faults.fault.lock().unwrap() = Some(Fault::From(call, when));
    }

    fn fail_add(&self) {
        *self.faults.fault.lock().unwrap() = Some(Fault::Add);
    }

    fn recover(&self) {
        *self.faults.fault.lock().unwrap() = None;
    }

    fn failures(&self) -> usize {
        self.faults.failures.load(Ordering::SeqCst)
    }

    fn only_removal_failed(&self) -> bool {
        self.failures() == self.faults.removals.load(Ordering::SeqCst)
    }

    fn marks(&self) -> usize {
        self.faults.marks.load(Ordering::SeqCst)
    }

    async fn run<'a, T>(
        &'a self,
        call: Call,
        // A store may do its work before its future is polled.
        work: impl FnOnce() -> StoreFuture<'a, T> + Send,
    ) -> Result<T, StoreError>
    where
        T: Send,
    {
        let faults = &*self.faults;
        let fault = *faults.fault.lock().unwrap();
        let number = faults.calls.fetch_add(1, Ordering::SeqCst);
        let fails = match fault {
            Some(Fault::From(from, when)) if number >= from => Some(when),
            Some(Fault::Add) if call == Call::Add => Some(When::Before),
            _ => None,
        };
        let done = match fails {
            Some(When::Before) => None,
            _ => Some(work().await?),
        };
        if call == Call::Replace && done.is_some() {
            faults.marks.fetch_add(1, Ordering::SeqCst);
        }
        if fails.is_some() {
            faults.failures.fetch_add(1, Ordering::SeqCst);
            if call == Call::Remove {
                faults.removals.fetch_add(1, Ordering::SeqCst);
            }
        }
        match (fails, done) {
            (None, Some(done)) => Ok(done),
            _ => Err(StoreError::unavailable("of the test", "a fault was set")),
        }
    }
}

impl<S: SessionStore> SessionStore for Faulty<S> {
    fn insert(&self, record: SessionRecord, now: SystemTime) -> StoreFuture<'_, ()> {
        Box::pin(self.run(Call::Other, move || self.store.insert(record, now)))
    }

    fn find(&self, id: SessionId) -> StoreFuture<'_, Option<SessionRecord>> {
        Box::pin(self.run(Call::Other, move || self.store.find(id)))
    }

    fn replace(&self, record: SessionRecord) -> StoreFuture<'_, bool> {
        Box::pin(self.run(Call::Replace, move || self.store.replace(record)))
    }

    fn remove(&self, id: SessionId) -> StoreFuture<'_, bool> {
        Box::pin(self.run(Call::Remove, move || self.store.remove(id)))
    }

    fn list<'a>(
        &'a self,
        issuer: &'a str,
        of: SessionsOf<'a>,
        after: Option<SessionId>,
        limit: usize,
    ) -> StoreFuture<'a, Vec<SessionRecord>> {
        Box::pin(self.run(Call::Other, move || {
            self.store.list(issuer, of, after, limit)
        }))
    }
}

impl<S: RevocationStore> RevocationStore for Faulty<S> {
    fn add<'a>(&'a self, revocation: &'a Revocation, now: SystemTime) -> StoreFuture<'a, ()> {
        Box::pin(self.run(Call::Add, move || self.store.add(revocation, now)))
    }

    fn changes<'a>(&'a self, cursor: Option<&'a Cursor>) -> StoreFuture<'a, Changes> {
        Box::pin(async move {
            let now = tower_bearer::clock::Clock::now(&self.time);
            let mut changes = self.store.changes(cursor).await?;
            changes.revocations.retain(|entry| entry.ends_at() > now);
            Ok(changes)
        })
    }

    fn is_shared(&self) -> bool {
        self.store.is_shared()
    }
}

/// The tests of all rules for one kind of store.
macro_rules! session_rules {
    ($stores:expr, $logins:expr) => {
        #[tokio::test]
        async fn issuers_in_one_store_are_separate() {
            session_rules::issuers_in_one_store_are_separate(&$stores).await;
        }

        #[tokio::test]
        async fn logout_revokes_tokens_of_machines_with_other_clocks() {
            session_rules::logout_revokes_tokens_of_machines_with_other_clocks(&$stores).await;
        }

        #[tokio::test]
        async fn tokens_without_session_survive_by_the_clock_difference() {
            session_rules::tokens_without_session_survive_by_the_clock_difference(&$stores).await;
        }

        #[tokio::test]
        async fn logins_continue_after_logout_on_a_machine_ahead() {
            session_rules::logins_continue_after_logout_on_a_machine_ahead(&$stores).await;
        }

        #[tokio::test]
        async fn interrupted_ending_stays_in_effect() {
            session_rules::interrupted_ending_stays_in_effect(&$stores).await;
        }

        #[tokio::test]
        async fn revocation_covers_every_leeway() {
            session_rules::revocation_covers_every_leeway(&$stores).await;
        }

        #[tokio::test]
        async fn revocations_of_one_session_are_bounded() {
            session_rules::revocations_of_one_session_are_bounded(&$stores).await;
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn session_limit_holds_under_concurrency() {
            session_rules::session_limit_holds_under_concurrency(&$stores, $logins).await;
        }

        #[tokio::test]
        async fn session_limit_ignores_expired_and_ended_sessions() {
            session_rules::session_limit_ignores_expired_and_ended_sessions(&$stores).await;
        }
    };
}
pub(crate) use session_rules;
