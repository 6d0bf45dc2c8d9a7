//! Many threads over one cache and one list: what has been taken back by the time a request begins is refused.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Request, Response};
use serde_json::json;
use tokio::runtime::{Builder, Runtime};
use tower_bearer::ValidatorExt as _;
use tower_bearer::cache::{CacheSettings, Cached, VerdictCache};
use tower_bearer::clock::ManualClock;
use tower_bearer::jwt::{JwtIssuers, JwtValidator, JwtValidatorBuilder, SharedSecret};
use tower_bearer::provider::{Fetch, FetchError, RemoteKeys};
use tower_bearer::revocation::{RevocationClaims, RevocationList, Revocations};
use tower_bearer::{
    BoxFuture, Credential, Failure, InvalidReason, RequestView, Validated, Validator, Verdict,
};

use crate::support::User;
use crate::tokens::{AUDIENCE, ISSUER, SECRET, Signer, claims, jwks, now, with};

/// How many threads take back.
const WRITERS: usize = 2;
/// How many present what was, is or will be.
const READERS: usize = 6;
/// How often each writer takes something back.
const ROUNDS: usize = 100;
const HOUR: Duration = Duration::from_secs(3_600);

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// Whether a token is accepted now. Waits on the runtime of its thread.
fn is_accepted<V: Validator>(validator: &V, token: &str, runtime: &Runtime) -> bool {
    let verdict = {
        let request = Request::new(());
        let clock = ManualClock::new(now());
        let credential = Credential::bearer(token).unwrap();
        let view = RequestView::with_clock(&request, &clock);
        let _entered = runtime.enter();
        match validator.cached_verdict(&credential.unchecked(), &view) {
            Some(verdict) => verdict,
            None => validator.validate(&credential, &view),
        }
    };
    match verdict {
        Verdict::Ready(answer) => answer.is_ok(),
        Verdict::Pending(answer) => runtime.block_on(answer).is_ok(),
    }
}

/// Ends the others when its own thread panics, so that nobody waits for it.
struct Alarm<'a>(&'a AtomicBool);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store(true, Ordering::SeqCst);
        }
    }
}

/// Lets each writer take back its tokens one by one, while readers present those that are gone and those that are
/// not yet. `take_back` gets the number of a writer and that of its token, and returns when it has been done.
fn race<V: Validator>(
    name: &str,
    validator: &V,
    token: impl Fn(usize, usize) -> String + Sync,
    take_back: impl Fn(usize, usize) + Sync,
    disturb: impl Fn(usize) + Sync,
) {
    // How many of each writer's tokens are gone, and how often the next one was accepted, and the last that went
    // refused.
    let counters = || [const { AtomicUsize::new(0) }; WRITERS];
    let (gone, seen, missed) = (counters(), counters(), counters());
    let (working, broken) = (AtomicUsize::new(WRITERS), AtomicBool::new(false));
    let wait_for = |counter: &AtomicUsize| {
        while counter.swap(0, Ordering::SeqCst) == 0 && !broken.load(Ordering::SeqCst) {
            thread::yield_now();
        }
    };
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (gone, seen, missed) = (&gone[writer], &seen[writer], &missed[writer]);
            let (working, broken, take_back, wait_for) = (&working, &broken, &take_back, &wait_for);
            scope.spawn(move || {
                let _alarm = Alarm(broken);
                for round in 0..ROUNDS {
                    // Somebody has used it, so that it may be remembered by now.
                    wait_for(seen);
                    take_back(writer, round);
                    missed.store(0, Ordering::SeqCst);
                    gone.store(round + 1, Ordering::SeqCst);
                    wait_for(missed);
                }
                working.fetch_sub(1, Ordering::SeqCst);
            });
        }
        for reader in 0..READERS {
            let (gone, seen, missed, working) = (&gone, &seen, &missed, &working);
            let (broken, token, disturb) = (&broken, &token, &disturb);
            scope.spawn(move || {
                let _alarm = Alarm(broken);
                let runtime = runtime();
                let mut turn = reader;
                while working.load(Ordering::SeqCst) > 0 && !broken.load(Ordering::SeqCst) {
                    turn += 1;
                    let writer = turn % WRITERS;
                    let by_now = gone[writer].load(Ordering::SeqCst);
                    // The next one, and now and then the last that went.
                    let number = match turn % 5 {
                        0 | 1 => by_now.saturating_sub(1),
                        _ => by_now,
                    };
                    let accepted = is_accepted(validator, &token(writer, number), &runtime);
                    if number < by_now {
                        assert!(!accepted, "{name}: {number} of {writer} was gone");
                        missed[writer].fetch_add(1, Ordering::SeqCst);
                    } else if accepted {
                        seen[writer].fetch_add(1, Ordering::SeqCst);
                    }
                    if turn % 97 == 0 {
                        disturb(turn);
                    }
                }
            });
        }
    });
}

fn builder() -> JwtValidatorBuilder {
    JwtValidator::builder(SharedSecret::hs256(SECRET).unwrap())
        .issuer(ISSUER)
        .audience(AUDIENCE)
}

/// A token for each round of each writer, and one more.
fn tokens(claims_of: impl Fn(usize, usize) -> serde_json::Value) -> Vec<Vec<String>> {
    let signer = Signer::new("HS256");
    (0..WRITERS)
        .map(|writer| {
            (0..=ROUNDS)
                .map(|round| signer.token(&with(claims(), claims_of(writer, round))))
                .collect()
        })
        .collect()
}

#[test]
fn revoked_token_is_rejected_from_then_on() {
    // (K01: revocation on hits)
    let all = tokens(|writer, round| {
        let name = format!("{writer}-{round}");
        json!({"jti": name, "sid": name, "sub": name})
    });
    for kind in ["token", "session", "subject"] {
        let list = RevocationList::new();
        let validator = builder()
            .revocations(list.clone())
            .cache(CacheSettings::new().with_max_entries(50))
            .build()
            .unwrap();
        let cache = validator.cache().unwrap();
        race(
            kind,
            &validator,
            |writer, round| all[writer][round].clone(),
            |writer, round| {
                let name = format!("{writer}-{round}");
                let until = now() + HOUR;
                match kind {
                    "token" => list.revoke_token(Some(ISSUER), &name, until),
                    "session" => list.revoke_session(Some(ISSUER), &name, until),
                    _ => list.revoke_subject(Some(ISSUER), &name, now(), until),
                }
                .unwrap();
            },
            |turn| match turn % 3 {
                0 => cache.clear(),
                1 => {
                    cache.remove(&all[0][turn % ROUNDS]);
                }
                _ => {
                    let other = format!("other-{turn}");
                    list.revoke_token(None, &other, now() + HOUR).unwrap();
                }
            },
        );
        assert!(cache.len() <= 50);
    }
}

/// How much of it a validator is asked to do between looking and answering.
#[derive(Clone, Copy, Debug)]
enum Pace {
    AtOnce,
    Slowly,
    Waiting,
}

/// Says yes to the tokens of each writer from a number on.
struct Table {
    first: [AtomicUsize; WRITERS],
    pace: Pace,
}

impl Table {
    fn remembered(pace: Pace, settings: CacheSettings) -> (Arc<Self>, Cached<Arc<Self>>) {
        let table = Arc::new(Self {
            first: [const { AtomicUsize::new(0) }; WRITERS],
            pace,
        });
        (Arc::clone(&table), table.cached(settings))
    }

    /// No longer says yes to this one.
    fn end(&self, writer: usize, round: usize) {
        self.first[writer].store(round + 1, Ordering::SeqCst);
    }
}

fn name(writer: usize, round: usize) -> String {
    format!("{writer}-{round}")
}

impl Validator for Table {
    type Principal = User;

    fn validate(&self, credential: &Credential<'_>, _: &RequestView<'_>) -> Verdict<User> {
        let (writer, round) = credential.token().split_once('-').unwrap();
        let (writer, round): (usize, usize) = (writer.parse().unwrap(), round.parse().unwrap());
        let answer = match round >= self.first[writer].load(Ordering::SeqCst) {
            true => Ok(Validated::new(User::default())),
            false => Err(Failure::invalid(InvalidReason::Revoked)),
        };
        match self.pace {
            Pace::AtOnce => answer.into(),
            Pace::Slowly => {
                thread::yield_now();
                answer.into()
            }
            Pace::Waiting => Verdict::pending(async move {
                for _ in 0..round % 4 {
                    thread::yield_now();
                    tokio::task::yield_now().await;
                }
                answer
            }),
        }
    }
}

#[test]
fn removed_token_is_validated_again_from_then_on() {
    // (F05: removal of cached results)
    for pace in [Pace::AtOnce, Pace::Slowly, Pace::Waiting] {
        for settings in [
            CacheSettings::new(),
            CacheSettings::new().with_max_entries(1),
        ] {
            let (table, validator) = Table::remembered(pace, settings);
            let cache = validator.cache();
            race(
                &format!("removed {pace:?}"),
                &validator,
                name,
                |writer, round| {
                    table.end(writer, round);
                    cache.remove(&name(writer, round));
                },
                |turn| match turn % 7 {
                    0 => cache.clear(),
                    _ => {
                        cache.remove(&name(turn % WRITERS, turn % ROUNDS));
                    }
                },
            );
        }
    }
}

#[test]
fn cleared_token_is_validated_again_from_then_on() {
    // (F05: removal of cached results)
    for pace in [Pace::AtOnce, Pace::Slowly, Pace::Waiting] {
        let (table, validator) = Table::remembered(pace, CacheSettings::new());
        let cache = validator.cache();
        race(
            &format!("cleared {pace:?}"),
            &validator,
            name,
            |writer, round| {
                table.end(writer, round);
                cache.clear();
            },
            |turn| {
                cache.remove(&name(turn % WRITERS, turn % ROUNDS));
            },
        );
    }
}

/// A validator whose principal is the token.
struct Named(Arc<Table>);

impl Validator for Named {
    type Principal = String;

    fn validate(&self, credential: &Credential<'_>, view: &RequestView<'_>) -> Verdict<String> {
        let name = credential.token().to_owned();
        match self.0.validate(credential, view) {
            Verdict::Ready(answer) => answer.map(|_| Validated::new(name)).into(),
            Verdict::Pending(answer) => {
                Verdict::pending(async move { answer.await.map(|_| Validated::new(name)) })
            }
        }
    }
}

#[test]
fn results_removed_by_principal_stay_removed() {
    // (F05: removal of cached results) No validation that began before `retain` returned restores a
    // result.
    for pace in [Pace::AtOnce, Pace::Slowly, Pace::Waiting] {
        for settings in [
            CacheSettings::new(),
            CacheSettings::new().with_max_entries(1),
        ] {
            let table = Table::remembered(pace, settings).0;
            let validator = Named(Arc::clone(&table)).cached(settings);
            let cache = validator.cache();
            race(
                &format!("retained {pace:?}"),
                &validator,
                name,
                |writer, round| {
                    table.end(writer, round);
                    let ended = name(writer, round);
                    cache.retain(|principal| *principal != ended);
                },
                |turn| match turn % 7 {
                    0 => cache.clear(),
                    1 => {
                        cache.remove(&name(turn % WRITERS, turn % ROUNDS));
                    }
                    // Several concurrent calls, which remove no valid result.
                    _ => {
                        cache.retain(|_| true);
                    }
                },
            );
        }
    }
}

#[test]
fn dependency_of_cached_verdict_is_checked_from_then_on() {
    // (F05: removal of cached results)
    struct Resting {
        active: Vec<Vec<Arc<AtomicBool>>>,
        waits: bool,
    }
    impl Validator for Resting {
        type Principal = User;

        fn validate(&self, credential: &Credential<'_>, _: &RequestView<'_>) -> Verdict<User> {
            let (writer, round) = credential.token().split_once('-').unwrap();
            let writer = &self.active[writer.parse::<usize>().unwrap()];
            let active = &writer[round.parse::<usize>().unwrap()];
            let answer = match active.load(Ordering::SeqCst) {
                true => Ok(Validated::new(User::default()).with_dependency(Arc::clone(active))),
                false => Err(Failure::invalid(InvalidReason::Revoked)),
            };
            match self.waits {
                true => Verdict::pending(async move {
                    thread::yield_now();
                    tokio::task::yield_now().await;
                    answer
                }),
                false => answer.into(),
            }
        }
    }
    for waits in [false, true] {
        let flags = || {
            (0..=ROUNDS)
                .map(|_| Arc::new(AtomicBool::new(true)))
                .collect()
        };
        let active: Vec<Vec<_>> = (0..WRITERS).map(|_| flags()).collect();
        let validator = Resting {
            active: active.clone(),
            waits,
        }
        .cached(CacheSettings::new());
        race(
            &format!("rested, {waits}"),
            &validator,
            name,
            |writer, round| active[writer][round].store(false, Ordering::SeqCst),
            |_| {},
        );
    }
}

/// What holds at the moment: a state that everybody may count on, or one that changes.
#[derive(Default)]
struct Phase(AtomicUsize);

impl Phase {
    /// From now on nobody may count on anything.
    fn leave(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    /// From now on the next state holds.
    fn enter(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    /// The number of the state that holds, if one does.
    fn now(&self) -> Option<usize> {
        let number = self.0.load(Ordering::SeqCst);
        number.is_multiple_of(2).then_some(number / 2)
    }
}

/// Changes between two states, while readers see in each that `expected` holds from its beginning to its end.
fn alternate(
    name: &str,
    rounds: usize,
    change: impl Fn(usize) + Sync,
    expected: impl Fn(usize, usize, &Runtime) -> bool + Sync,
) {
    let (phase, done) = (Phase::default(), AtomicBool::new(false));
    let (checked, broken) = (AtomicUsize::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        for reader in 0..READERS + WRITERS - 1 {
            let (phase, done, checked, broken) = (&phase, &done, &checked, &broken);
            let expected = &expected;
            scope.spawn(move || {
                let _alarm = Alarm(broken);
                let runtime = runtime();
                let mut turn = reader;
                while !done.load(Ordering::SeqCst) && !broken.load(Ordering::SeqCst) {
                    turn += 1;
                    let before = phase.now();
                    let holds = expected(before.unwrap_or(0), turn, &runtime);
                    // Otherwise it has changed meanwhile.
                    if before.is_some() && before == phase.now() {
                        assert!(holds, "{name}: {before:?}");
                        checked.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
        for round in 0..rounds {
            while checked.load(Ordering::SeqCst) < 3 && !broken.load(Ordering::SeqCst) {
                thread::yield_now();
            }
            phase.leave();
            change(round + 1);
            checked.store(0, Ordering::SeqCst);
            phase.enter();
        }
        done.store(true, Ordering::SeqCst);
    });
}

#[test]
fn tokens_of_removed_issuer_are_rejected_immediately() {
    // (F05: removal of cached results)
    let issuers = JwtIssuers::new();
    let other = "https://other.example";
    let of = |issuer: &str| {
        JwtValidator::builder(SharedSecret::hs256(SECRET).unwrap())
            .issuer(issuer)
            .audience(AUDIENCE)
            .build()
            .unwrap()
    };
    issuers.insert(of(ISSUER)).unwrap();
    issuers.insert(of(other)).unwrap();
    let signer = Signer::new("HS256");
    let tokens: Vec<_> = (0..10)
        .map(|number| signer.token(&with(claims(), json!({"jti": number.to_string()}))))
        .collect();
    let of_other = signer.token(&with(claims(), json!({"iss": other})));
    alternate(
        "issuers",
        ROUNDS,
        |state| match state % 2 {
            0 => issuers.insert(of(ISSUER)).unwrap(),
            _ => assert!(issuers.remove(ISSUER)),
        },
        |state, turn, runtime| {
            let accepted = is_accepted(&issuers, &tokens[turn % tokens.len()], runtime);
            accepted == (state % 2 == 0) && is_accepted(&issuers, &of_other, runtime)
        },
    );
}

/// An issuer in this process.
#[derive(Clone)]
struct Published(Arc<Mutex<String>>);

impl Fetch for Published {
    fn fetch(&self, _: Request<Bytes>, _: usize) -> BoxFuture<Result<Response<Bytes>, FetchError>> {
        let body = Bytes::from(self.0.lock().unwrap().clone());
        Box::pin(async move { Ok(Response::new(body)) })
    }
}

#[test]
fn tokens_of_removed_key_are_rejected_immediately() {
    // (E03: replaced key sets, F05: removal of cached results)
    let signers =
        ["ed25519", "ed25519-other"].map(|file| Signer::with_key("EdDSA", file).kid(file));
    let sets = signers.each_ref().map(|signer| jwks([signer]).to_string());
    let published = Published(Arc::new(Mutex::new(sets[0].clone())));
    let writing = runtime();
    let keys = writing
        .block_on(
            RemoteKeys::builder("https://issuer.example/jwks")
                .fetcher(published.clone())
                .clock(ManualClock::new(now()))
                .connect(),
        )
        .unwrap();
    let validator = JwtValidator::builder(keys.clone())
        .issuer(ISSUER)
        .audience(AUDIENCE)
        .build()
        .unwrap();
    let tokens = signers.each_ref().map(|signer| signer.token(&claims()));
    let writing = Mutex::new(writing);
    alternate(
        "keys",
        ROUNDS,
        |state| {
            published.0.lock().unwrap().clone_from(&sets[state % 2]);
            // The first may join a fetch that has begun before.
            for _ in 0..2 {
                let writing = writing.lock().unwrap();
                writing.block_on(keys.refresh()).unwrap();
            }
        },
        |state, turn, runtime| {
            let own = turn % 2;
            is_accepted(&validator, &tokens[own], runtime) == (state % 2 == own)
        },
    );
}

#[test]
fn concurrent_cleanup_and_growth_keep_effective_revocations() {
    // (G09: bounded tables, K01: revocation on hits)
    let clock = ManualClock::new(now());
    let list = RevocationList::with_clock(1_000_000, clock.clone());
    let done = [const { AtomicUsize::new(0) }; WRITERS];
    let working = AtomicUsize::new(WRITERS);
    let per_writer = 20 * ROUNDS;
    let is_revoked = |writer: usize, number: usize| {
        let name = name(writer, number);
        let token = RevocationClaims::new();
        let token = match number % 3 {
            0 => token.with_token_id(&*name),
            1 => token.with_session(&*name),
            _ => token.with_subject(&*name),
        };
        list.is_revoked(&token, now()).unwrap()
    };
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (list, clock, done, working) = (&list, &clock, &done, &working);
            scope.spawn(move || {
                for number in 0..per_writer {
                    let name = name(writer, number);
                    // Each other one is gone when the clock has been moved on.
                    let until = match number % 2 {
                        0 => now() + 1_000 * HOUR,
                        _ => now(),
                    };
                    match number % 3 {
                        0 => list.revoke_token(None, &name, until),
                        1 => list.revoke_session(None, &name, until),
                        _ => list.revoke_subject(None, &name, now(), until),
                    }
                    .unwrap();
                    done[writer].store(number + 1, Ordering::SeqCst);
                    if number == per_writer / 4 {
                        clock.set(now() + HOUR);
                    }
                }
                working.fetch_sub(1, Ordering::SeqCst);
            });
        }
        for reader in 0..READERS {
            let (done, working, is_revoked) = (&done, &working, &is_revoked);
            scope.spawn(move || {
                let mut turn = reader;
                while working.load(Ordering::SeqCst) > 0 {
                    turn += 7;
                    let writer = turn % WRITERS;
                    let by_now = done[writer].load(Ordering::SeqCst);
                    if by_now > 0 {
                        let number = match turn % 3 {
                            0 => by_now - 1,
                            _ => turn % by_now,
                        } & !1;
                        assert!(is_revoked(writer, number), "{number} of {writer}");
                    }
                    assert!(!is_revoked(writer, per_writer + turn));
                }
            });
        }
    });
    let lasting = WRITERS * per_writer / 2;
    assert!(list.len() >= lasting, "{}", list.len());
    assert!(list.len() < lasting + lasting / 2, "{}", list.len());
    for writer in 0..WRITERS {
        assert!(
            (0..per_writer)
                .step_by(2)
                .all(|number| is_revoked(writer, number))
        );
    }
}

#[test]
fn cache_stays_within_limits_with_many_threads_and_tokens() {
    // (F06: bounded cache)
    let (_, validator) = Table::remembered(Pace::AtOnce, CacheSettings::new().with_max_entries(64));
    let cache: &VerdictCache<User> = validator.cache();
    thread::scope(|scope| {
        for reader in 0..READERS + WRITERS {
            let validator = &validator;
            scope.spawn(move || {
                let runtime = runtime();
                for turn in 0..20 * ROUNDS {
                    let token = name(reader % WRITERS, turn * 31 % 1_000);
                    assert!(is_accepted(validator, &token, &runtime));
                    assert!(cache.len() <= 64, "{}", cache.len());
                    match turn % 500 {
                        0 => cache.clear(),
                        1 => {
                            cache.remove(&token);
                        }
                        _ => {}
                    }
                }
            });
        }
    });
}

#[test]
fn clock_differences_between_threads_do_not_extend_entries() {
    // (F04: expiry on hits) Each thread reads a clock of its own, which is a little ahead or
    // behind.
    struct Until(SystemTime, AtomicUsize);
    impl Validator for Until {
        type Principal = SystemTime;

        fn validate(&self, _: &Credential<'_>, view: &RequestView<'_>) -> Verdict<SystemTime> {
            self.1.fetch_add(1, Ordering::SeqCst);
            Ok(Validated::new(view.now()).with_expiry(self.0)).into()
        }
    }
    let ends = now() + Duration::from_secs(100);
    let time_to_live = Duration::from_secs(10);
    let validator = Until(ends, AtomicUsize::new(0))
        .cached(CacheSettings::new().with_time_to_live(time_to_live));
    thread::scope(|scope| {
        for reader in 0..READERS + WRITERS {
            let validator = &validator;
            scope.spawn(move || {
                for turn in 0..20 * ROUNDS {
                    let jitter = Duration::from_millis((reader * 500) as u64);
                    let time = now() + Duration::from_millis((turn * 17) as u64) + jitter;
                    let clock = ManualClock::new(time);
                    let request = Request::new(());
                    let view = RequestView::with_clock(&request, &clock);
                    let credential = Credential::bearer("abc").unwrap();
                    let Some(verdict) = validator.cached_verdict(&credential.unchecked(), &view)
                    else {
                        drop(validator.validate(&credential, &view));
                        continue;
                    };
                    let Verdict::Ready(Ok(validated)) = verdict else {
                        panic!("{verdict:?}");
                    };
                    let asked = **validated.principal();
                    assert!(asked <= time && time < asked + time_to_live && time < ends);
                }
            });
        }
    });
}
