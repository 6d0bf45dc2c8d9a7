//! The rules of sessions and revocations together, with calls that fail, clocks that differ and settings that change.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::Request;

use super::faulty::{Faulty, When};
use super::rule::{Store, rule};
use crate::clock::{Clock as _, ManualClock};
use crate::extract::Credential;
use crate::issuing::store::{RevocationStore, SessionId, SessionStore, SessionsOf};
use crate::issuing::{
    Grant, InvalidGrant, IssuingError, RevocationHub, SigningKey, SigningKeys, TokenIssuer,
    TokenIssuerBuilder, TokenResponse,
};
use crate::jwt::{Algorithm, JwtValidator};
use crate::request::RequestView;
use crate::validator::{Validator as _, Verdict};

const AUDIENCE: &str = "https://api.example";
const FORUM: &str = "https://forum.example";
const BANK: &str = "https://bank.example";
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
/// How far the clock of the store is ahead when it removes entries.
const STORE_AHEAD: Duration = Duration::from_secs(55);
/// The longest leeway of a validator.
const LEEWAY: Duration = Duration::from_secs(300);

/// The number of concurrent logins.
const LOGINS: usize = 1_000;

/// Tests token issuers and revocation hubs that share a store: machines whose clocks differ, calls of the store that
/// fail before or after they take effect, and processes that are restarted.
///
/// `new_store` returns an empty store each time; clones of it share their content. Several hubs read it, so the store
/// returns its revocations to each of them. Run this test on a runtime of several threads.
///
/// # Panics
///
/// If the store breaks one of the nine rules. The message contains the rule.
pub async fn check_issuers<S>(new_store: impl AsyncFn() -> S)
where
    S: SessionStore + RevocationStore + Clone + 'static,
{
    let new_store = &new_store;
    rule(
        "a session, a refresh token and a revocation belong to one issuer (M01: one issuer per session)",
        issuers_in_one_store_are_separate(new_store),
    )
    .await;
    rule(
        "a logout revokes the tokens of machines with other clocks and settings (M02: records decide)",
        logout_revokes_tokens_of_machines_with_other_clocks(new_store),
    )
    .await;
    rule(
        "a token without a session survives a logout by at most the difference of the clocks (M02: records decide)",
        tokens_without_session_survive_by_the_clock_difference(new_store),
    )
    .await;
    rule(
        "logins succeed after a logout on a machine whose clock is ahead by less than a minute",
        logins_continue_after_logout_on_a_machine_ahead(new_store),
    )
    .await;
    rule(
        "an interrupted logout stays in effect, whichever call of the store fails (M03: endings that resume)",
        interrupted_ending_stays_in_effect(new_store),
    )
    .await;
    rule(
        "a revocation takes effect for the longest leeway (M04: revocations cover every leeway)",
        revocation_covers_every_leeway(new_store),
    )
    .await;
    rule(
        "a client that revokes its tokens takes a bounded number of revocations (M05: bounded revocations)",
        revocations_of_one_session_are_bounded(new_store),
    )
    .await;
    rule(
        "the limit of sessions holds for concurrent logins on two machines (M06: limit of sessions)",
        session_limit_holds_under_concurrency(new_store),
    )
    .await;
    rule(
        "sessions that have expired or ended do not count towards the limit (M06: limit of sessions)",
        session_limit_ignores_expired_and_ended_sessions(new_store),
    )
    .await;
}

/// Machines that share a store.
struct World<S> {
    store: Faulty<S>,
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

impl<S: Store> World<S> {
    async fn new(new_store: impl AsyncFn() -> S) -> Self {
        // A whole second of these days, since a store may have a clock of its own.
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(since.unwrap().as_secs() + 60);
        Self {
            store: Faulty::new(new_store().await, ManualClock::new(start)),
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
        let clock = ManualClock::new(self.time.now());
        let hub = RevocationHub::builder(self.store.clone()).clock(self.time.clone());
        let builder = TokenIssuer::builder(issuer, keys.clone())
            .audience(AUDIENCE)
            .sessions(self.store.clone())
            .revocations(hub.open().await.unwrap())
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
async fn issuers_in_one_store_are_separate<S: Store>(new_store: &impl AsyncFn() -> S) {
    let world = World::new(new_store).await;
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
async fn logout_revokes_tokens_of_machines_with_other_clocks<S: Store>(
    new_store: &impl AsyncFn() -> S,
) {
    for all in [false, true] {
        let end = async |machine: &Machine, tokens: &TokenResponse| match all {
            false => {
                let id = tokens.session().unwrap();
                assert!(machine.issuer.end_session(id).await.unwrap());
            }
            true => assert!(machine.issuer.end_sessions(ALICE).await.unwrap() > 0),
        };
        // The clock of one machine is set back by a second.
        let world = World::new(new_store).await;
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
        let world = World::new(new_store).await;
        let (ahead, right) = (world.machine().await, world.machine().await);
        ahead.at(world.start + SECOND * 50);
        let first = right.login().await;
        let second = ahead.refresh(&first).await.unwrap();
        let third = right.refresh(&second).await.unwrap();
        end(&right, &first).await;
        let tokens = [&first, &second, &third];
        world.assert_ended(&tokens, "machine ahead").await;

        // The same answer again within the grace period, on the machine that is ahead.
        let world = World::new(new_store).await;
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
        let world = World::new(new_store).await;
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
async fn tokens_without_session_survive_by_the_clock_difference<S: Store>(
    new_store: &impl AsyncFn() -> S,
) {
    let world = World::new(new_store).await;
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
async fn logins_continue_after_logout_on_a_machine_ahead<S: Store>(
    new_store: &impl AsyncFn() -> S,
) {
    for (ahead_by, works) in [(1, true), (50, true), (59, true), (61, false)] {
        let world = World::new(new_store).await;
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
async fn interrupted_ending_stays_in_effect<S: Store>(new_store: &impl AsyncFn() -> S) {
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
                let world = World::new(new_store).await;
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
                let world = World::new(new_store).await;
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
async fn revocation_covers_every_leeway<S: Store>(new_store: &impl AsyncFn() -> S) {
    for (now, what) in [
        (0, "valid"),
        (1_000, "100 seconds past its end"),
        (1_199, "at the end of the longest leeway"),
        (1_210, "by a clock that is ahead"),
        (5_000, "by a clock that is an hour ahead"),
    ] {
        let world = World::new(new_store).await;
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
    let world = World::new(new_store).await;
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
async fn revocations_of_one_session_are_bounded<S: Store>(new_store: &impl AsyncFn() -> S) {
    let world = World::new(new_store).await;
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

/// M06: the limit of sessions holds for concurrent logins, in two processes.
async fn session_limit_holds_under_concurrency<S: Store>(new_store: &impl AsyncFn() -> S) {
    const LIMIT: usize = 100;
    let world = World::new(new_store).await;
    let limit = |builder: TokenIssuerBuilder| builder.max_sessions_per_user(LIMIT);
    let machines = [
        Arc::new(world.machine_with(limit).await),
        Arc::new(world.machine_with(limit).await),
    ];
    let tasks: Vec<_> = (0..LOGINS)
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
async fn session_limit_ignores_expired_and_ended_sessions<S: Store>(
    new_store: &impl AsyncFn() -> S,
) {
    let world = World::new(new_store).await;
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
