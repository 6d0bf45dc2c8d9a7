//! Requests with a token that is being validated.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use tower_bearer::ValidatorExt as _;

use http::Response;
use tokio::sync::oneshot;
use tower::Service as _;
use tower_bearer::Dependency;

use super::*;

type Outcome = Result<Validated<User>, Failure>;

/// A validator whose answers the test gives, one by one.
#[derive(Clone, Default)]
struct Slow(Arc<Mutex<Vec<Call>>>);

struct Call {
    answer: Option<oneshot::Sender<Outcome>>,
    is_dropped: Arc<AtomicBool>,
}

/// Tells that the future of a call is gone.
struct Landed(Arc<AtomicBool>);

impl Drop for Landed {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Validator for Slow {
    type Principal = User;

    fn validate(&self, _: &Credential<'_>, _: &RequestView<'_>) -> Verdict<User> {
        let (answer, told) = oneshot::channel();
        let is_dropped = Arc::new(AtomicBool::new(false));
        let landed = Landed(Arc::clone(&is_dropped));
        self.0.lock().unwrap().push(Call {
            answer: Some(answer),
            is_dropped,
        });
        Verdict::pending(async move {
            let _landed = landed;
            told.await
                .unwrap_or_else(|_| Err(Failure::unavailable("the test gives no answer")))
        })
    }
}

impl Slow {
    fn calls(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// Answers a call, the first one being 0.
    fn answer(&self, call: usize, outcome: Outcome) {
        let answer = self.0.lock().unwrap()[call].answer.take().unwrap();
        let _ = answer.send(outcome);
    }

    fn is_dropped(&self, call: usize) -> bool {
        self.0.lock().unwrap()[call]
            .is_dropped
            .load(Ordering::SeqCst)
    }
}

/// A request that has got as far as it can without waiting.
type Waiting = Pin<Box<dyn Future<Output = (u16, Option<String>)> + Send>>;

fn begin<V>(validator: &V, token: &str, clock: &ManualClock) -> Waiting
where
    V: Validator<Principal = User> + Clone + 'static,
{
    let mut service = service(validator.clone(), clock);
    let answer = service.call(request(token));
    Box::pin(async move {
        let response: Response<_> = answer.await.unwrap();
        let retry = response.headers().get("retry-after");
        let retry = retry.map(|value| value.to_str().unwrap().to_owned());
        (response.status().as_u16(), retry)
    })
}

fn poll(waiting: &mut Waiting) -> Option<(u16, Option<String>)> {
    let mut cx = Context::from_waker(Waker::noop());
    match waiting.as_mut().poll(&mut cx) {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => None,
    }
}

fn slow() -> (Slow, Cached<Slow>, ManualClock) {
    let slow = Slow::default();
    let validator = slow.clone().cached(CacheSettings::new());
    (slow, validator, clock())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn hundred_requests_with_one_token_make_one_validation() {
    let (slow, validator, clock) = slow();
    let waiting: Vec<_> = (0..100)
        .map(|_| tokio::spawn(begin(&validator, "abc", &clock)))
        .collect();
    let other = tokio::spawn(begin(&validator, "abd", &clock));
    assert_eq!(slow.calls(), 2);
    slow.answer(0, Ok(alice()));
    for waiting in waiting {
        assert_eq!(waiting.await.unwrap().0, 200);
    }
    slow.answer(1, Err(refusal(InvalidReason::Unknown)));
    assert_eq!(other.await.unwrap().0, 401);
    // From now on it is remembered.
    let mut hit = begin(&validator, "abc", &clock);
    assert_eq!(poll(&mut hit), Some((200, None)));
    assert_eq!((slow.calls(), validator.cache().len()), (2, 1));
}

#[tokio::test]
async fn rejection_is_shared_by_waiters_and_not_cached() {
    // (E10: bounded negative results)
    for (failure, expected, retry) in [
        (refusal(InvalidReason::Revoked), 401, None),
        (Failure::unavailable("down"), 503, Some("5")),
        (Failure::throttled(9 * SECOND), 429, Some("9")),
    ] {
        let (slow, validator, clock) = slow();
        let waiting: Vec<_> = (0..10).map(|_| begin(&validator, "abc", &clock)).collect();
        slow.answer(0, Err(failure));
        for waiting in waiting {
            let answer = waiting.await;
            assert_eq!((answer.0, answer.1.as_deref()), (expected, retry));
        }
        assert!(validator.cache().is_empty());
        let next = begin(&validator, "abc", &clock);
        assert_eq!(slow.calls(), 2);
        slow.answer(1, Ok(alice()));
        assert_eq!(next.await.0, 200);
    }
}

#[tokio::test]
async fn waiter_continues_after_others_are_dropped() {
    // (E08: shared fetches, F08: unfinished validations)
    let (slow, validator, clock) = slow();
    let mut waiting: Vec<_> = (0..4).map(|_| begin(&validator, "abc", &clock)).collect();
    // The first two have begun to wait, the third has never been looked at.
    assert_eq!((poll(&mut waiting[0]), poll(&mut waiting[1])), (None, None));
    let last = waiting.pop().unwrap();
    let last = tokio::spawn(last);
    tokio::task::yield_now().await;
    drop(waiting.remove(0));
    assert!(!slow.is_dropped(0));
    drop(waiting);
    assert!(!slow.is_dropped(0));
    slow.answer(0, Ok(alice()));
    assert_eq!(last.await.unwrap().0, 200);
    assert!(slow.is_dropped(0));
    assert!(recalls(&validator, "abc", &clock));
    assert_eq!(slow.calls(), 1);
}

#[tokio::test]
async fn unpolled_waiter_takes_over_after_others_are_dropped() {
    // (E08: shared fetches)
    let (slow, validator, clock) = slow();
    let mut first = begin(&validator, "abc", &clock);
    let last = begin(&validator, "abc", &clock);
    assert_eq!(poll(&mut first), None);
    slow.answer(0, Ok(alice()));
    // It has been woken, and goes before it looks.
    drop(first);
    assert_eq!(last.await.0, 200);
    assert_eq!(slow.calls(), 1);
}

#[test]
fn abandoned_validation_leaves_no_entry() {
    // (F08: unfinished validations)
    for (name, polled) in [("never looked at", 0), ("one has", 1), ("all have", 3)] {
        let (slow, validator, clock) = slow();
        for round in 0..3 {
            let mut waiting: Vec<_> = (0..3).map(|_| begin(&validator, "abc", &clock)).collect();
            assert_eq!(slow.calls(), round + 1, "{name}");
            for waiting in &mut waiting[..polled] {
                assert_eq!(poll(waiting), None, "{name}");
            }
            drop(waiting);
            assert!(slow.is_dropped(round), "{name}");
            slow.answer(round, Ok(alice()));
            assert!(validator.cache().is_empty(), "{name}");
        }
        let mut waiting = begin(&validator, "abc", &clock);
        slow.answer(3, Ok(alice()));
        assert_eq!(poll(&mut waiting), Some((200, None)), "{name}");
    }
}

#[test]
fn completed_but_unpolled_validation_is_not_cached() {
    // (F08: unfinished validations)
    let (slow, validator, clock) = slow();
    let mut waiting = begin(&validator, "abc", &clock);
    assert_eq!(poll(&mut waiting), None);
    slow.answer(0, Ok(alice()));
    drop(waiting);
    assert!(validator.cache().is_empty());
    assert!(!recalls(&validator, "abc", &clock));
}

#[tokio::test]
async fn panic_is_unavailable_for_all_waiters_and_not_cached() {
    // (F08: unfinished validations)
    let source = Source::new(|_| Verdict::pending(async { panic!("as the test wants it") }));
    let clock = clock();
    let validator = source.remembered();
    for round in 1..=2 {
        let waiting: Vec<_> = (0..100).map(|_| begin(&validator, "abc", &clock)).collect();
        for waiting in waiting {
            assert_eq!(waiting.await, (503, Some("5".to_owned())));
        }
        assert_eq!((source.calls(), validator.cache().len()), (round, 0));
    }
    *source.0.answer.lock().unwrap() = Box::new(|_| Verdict::pending(async { Ok(alice()) }));
    assert_eq!(begin(&validator, "abc", &clock).await.0, 200);
}

#[test]
fn waiters_on_different_runtimes_share_validation() {
    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
    }
    let (slow, validator, clock) = slow();
    let (first, second, third) = (
        begin(&validator, "abc", &clock),
        begin(&validator, "abc", &clock),
        begin(&validator, "abc", &clock),
    );
    // The first one has driven it, on a runtime that is gone before the answer comes.
    let gone = runtime();
    gone.block_on(async {
        let task = tokio::spawn(first);
        tokio::task::yield_now().await;
        assert!(!task.is_finished());
    });
    drop(gone);
    let others =
        [second, third].map(|waiting| std::thread::spawn(move || runtime().block_on(waiting)));
    slow.answer(0, Ok(alice()));
    for other in others {
        assert_eq!(other.join().unwrap().0, 200);
    }
    assert_eq!(slow.calls(), 1);
}

/// What may happen between two requests with one token.
type Event = fn(&Cached<Slow>, &ManualClock);

#[tokio::test]
async fn request_joins_validation_only_if_its_verdict_would_apply() {
    // (F04: expiry on hits, F05: removal of cached results)
    let cases: [(&str, Event, bool); 11] = [
        ("nothing", |_, _| {}, true),
        ("time goes on", |_, clock| clock.advance(SECOND), true),
        (
            "almost five seconds",
            |_, clock| clock.advance(5 * SECOND - Duration::from_nanos(1)),
            true,
        ),
        (
            "the time to live",
            |_, clock| clock.advance(TIME_TO_LIVE),
            false,
        ),
        (
            "the clock is set back a little",
            |_, clock| clock.set(start() - Duration::from_nanos(1)),
            false,
        ),
        (
            "the clock is set back",
            |_, clock| clock.set(start() - MINUTE),
            false,
        ),
        (
            "the clock is set back, and on again",
            |validator, clock| {
                clock.set(start() - MINUTE);
                assert!(!recalls(validator, "another", clock));
                clock.set(start());
            },
            false,
        ),
        (
            "it is removed",
            |validator, _| assert!(!validator.cache().remove("abc")),
            false,
        ),
        (
            "another is removed",
            |validator, _| assert!(!validator.cache().remove("abd")),
            true,
        ),
        (
            "all are cleared",
            |validator, _| validator.cache().clear(),
            false,
        ),
        (
            "it is removed of a clone",
            |validator, _| assert!(!validator.clone().cache().clone().remove("abc")),
            false,
        ),
    ];
    for (name, event, joins) in cases {
        let (slow, validator, clock) = slow();
        let mut first = begin(&validator, "abc", &clock);
        assert_eq!(poll(&mut first), None, "{name}");
        event(&validator, &clock);
        let (second, third) = (
            begin(&validator, "abc", &clock),
            begin(&validator, "abc", &clock),
        );
        assert_eq!(slow.calls(), if joins { 1 } else { 2 }, "{name}");
        slow.answer(0, Ok(alice()));
        assert_eq!(first.await.0, 200, "who came before: {name}");
        if !joins {
            // The verdict of the first is not for those who come now.
            assert!(!recalls(&validator, "abc", &clock), "{name}");
            let mut fourth = begin(&validator, "abc", &clock);
            assert_eq!(slow.calls(), 2, "{name}");
            assert_eq!(poll(&mut fourth), None, "{name}");
            slow.answer(1, Err(refusal(InvalidReason::Revoked)));
            assert_eq!(fourth.await.0, 401, "{name}");
        }
        let expected = if joins { 200 } else { 401 };
        assert_eq!(second.await.0, expected, "{name}");
        assert_eq!(third.await.0, expected, "{name}");
    }
}

#[tokio::test]
async fn hanging_validation_does_not_block_later_requests() {
    // G
    let (slow, validator, clock) = slow();
    let mut first = begin(&validator, "abc", &clock);
    assert_eq!(poll(&mut first), None);
    clock.advance(5 * SECOND);
    let (mut second, mut third) = (
        begin(&validator, "abc", &clock),
        begin(&validator, "abc", &clock),
    );
    assert_eq!(slow.calls(), 2, "one more, for both of them");
    assert_eq!(poll(&mut second), None);
    assert_eq!(poll(&mut third), None);
    slow.answer(1, Ok(alice()));
    assert_eq!(second.await.0, 200);
    assert_eq!(third.await.0, 200);
    assert_eq!(poll(&mut first), None, "it hangs still");
    assert!(recalls(&validator, "abc", &clock));
}

#[tokio::test]
async fn token_removed_during_validation_is_not_cached() {
    // (F05: removal of cached results)
    let cases: [(&str, Event); 5] = [
        ("removed", |validator, _| {
            validator.cache().remove("abc");
        }),
        // (F05: removal of cached results)
        ("removed by principal", |validator, _| {
            assert_eq!(validator.cache().retain(|_| false), 0);
        }),
        // Its principal is not known yet, so the result is not cached either.
        ("retained", |validator, _| {
            assert_eq!(validator.cache().retain(|_| true), 0);
        }),
        ("cleared", |validator, _| validator.cache().clear()),
        ("set back", |validator, clock| {
            clock.set(start() - 6 * SECOND);
            assert!(!recalls(validator, "another", clock));
        }),
    ];
    for (name, event) in cases {
        for looked_at in [false, true] {
            let (slow, validator, clock) = slow();
            assert!(!recalls(&validator, "another", &clock));
            let mut waiting = begin(&validator, "abc", &clock);
            if looked_at {
                assert_eq!(poll(&mut waiting), None);
            }
            event(&validator, &clock);
            slow.answer(0, Ok(alice()));
            assert_eq!(waiting.await.0, 200, "it began before: {name}");
            assert!(validator.cache().is_empty(), "{name}");
            clock.set(start());
            let next = begin(&validator, "abc", &clock);
            assert_eq!(slow.calls(), 2, "{name}");
            slow.answer(1, Ok(alice()));
            assert_eq!(next.await.0, 200, "{name}");
            assert!(recalls(&validator, "abc", &clock), "{name}");
        }
    }
}

#[tokio::test]
async fn validation_started_within_retain_is_not_cached() {
    // (F05: removal of cached results)
    let (slow, validator, clock) = slow();
    let mut waiting = begin(&validator, "abc", &clock);
    slow.answer(0, Ok(alice()));
    assert_eq!(poll(&mut waiting).unwrap().0, 200);
    let mut later = None;
    validator.cache().retain(|_| {
        let mut within = begin(&validator, "abd", &clock);
        assert_eq!(poll(&mut within), None);
        later = Some(within);
        // A validation that completes meanwhile.
        let mut at_once = begin(&validator, "abe", &clock);
        slow.answer(slow.calls() - 1, Ok(alice()));
        assert_eq!(poll(&mut at_once).unwrap().0, 200);
        true
    });
    slow.answer(1, Ok(alice()));
    assert_eq!(later.unwrap().await.0, 200);
    assert!(recalls(&validator, "abc", &clock));
    assert!(!recalls(&validator, "abd", &clock));
    assert!(!recalls(&validator, "abe", &clock));
    assert_eq!(validator.cache().len(), 1);
    // Later results are cached again.
    let waiting = begin(&validator, "abd", &clock);
    slow.answer(3, Ok(alice()));
    assert_eq!(waiting.await.0, 200);
    assert!(recalls(&validator, "abd", &clock));
}

#[tokio::test]
async fn request_after_retain_joins_no_earlier_validation() {
    // (F05: removal of cached results)
    let (slow, validator, clock) = slow();
    let mut first = begin(&validator, "abc", &clock);
    assert_eq!(poll(&mut first), None);
    let joined = begin(&validator, "abc", &clock);
    validator.cache().retain(|_| true);
    let after = begin(&validator, "abc", &clock);
    let after_too = begin(&validator, "abc", &clock);
    assert_eq!(
        slow.calls(),
        2,
        "the earlier one, and one for both that came later"
    );
    slow.answer(0, Ok(alice()));
    assert_eq!(first.await.0, 200);
    assert_eq!(joined.await.0, 200, "it waited before");
    slow.answer(1, Err(refusal(InvalidReason::Revoked)));
    assert_eq!(after.await.0, 401);
    assert_eq!(after_too.await.0, 401);
    assert!(validator.cache().is_empty());
}

#[tokio::test]
async fn waiting_time_counts_towards_lifetime() {
    // (F04: expiry on hits)
    let (slow, validator, clock) = slow();
    let ends = start() + MINUTE;
    let waiting: Vec<_> = (0..3).map(|_| begin(&validator, "abc", &clock)).collect();
    slow.answer(0, Ok(alice().with_expiry(ends)));
    clock.set(ends);
    for waiting in waiting {
        assert_eq!(waiting.await.0, 401);
    }
    assert!(!recalls(&validator, "abc", &clock));
    // The time to live is counted from the question.
    let waiting = begin(&validator, "abd", &clock);
    clock.advance(TIME_TO_LIVE - SECOND);
    slow.answer(1, Ok(alice()));
    assert_eq!(waiting.await.0, 200);
    assert!(recalls(&validator, "abd", &clock));
    clock.advance(SECOND);
    assert!(!recalls(&validator, "abd", &clock));
}

#[tokio::test]
async fn coalesced_request_rejects_verdict_with_invalid_dependency() {
    // (F05: removal of cached results, K01: revocation on hits) The first request began before, the
    // second after.
    let (slow, validator, clock) = slow();
    let session = Arc::new(AtomicBool::new(true));
    let first = begin(&validator, "abc", &clock);
    let joined_before = begin(&validator, "abc", &clock);
    session.store(false, Ordering::SeqCst);
    let joined_after = begin(&validator, "abc", &clock);
    // The session was looked up before it went.
    slow.answer(0, Ok(alice().with_dependency(Arc::clone(&session))));
    assert_eq!(first.await.0, 200, "as without a cache");
    let overtaken = (503, Some("1".to_owned()));
    assert_eq!(joined_after.await, overtaken);
    assert_eq!(joined_before.await, overtaken);
    let next = begin(&validator, "abc", &clock);
    assert_eq!(slow.calls(), 2);
    slow.answer(1, Err(refusal(InvalidReason::Revoked)));
    assert_eq!(next.await.0, 401);
}

#[tokio::test]
async fn coalesced_request_is_checked_at_its_own_arrival_time() {
    /// Holds until a moment.
    struct Until(std::time::SystemTime);
    impl Dependency for Until {
        fn holds(&self, now: std::time::SystemTime) -> bool {
            now < self.0
        }
    }
    let (slow, validator, clock) = slow();
    let first = begin(&validator, "abc", &clock);
    clock.advance(SECOND);
    let in_time = begin(&validator, "abc", &clock);
    clock.advance(SECOND);
    let too_late = begin(&validator, "abc", &clock);
    let until = Arc::new(Until(start() + 2 * SECOND));
    slow.answer(0, Ok(alice().with_dependency(until)));
    assert_eq!(first.await.0, 200);
    assert_eq!(in_time.await.0, 200);
    assert_eq!(too_late.await.0, 503);
}

#[tokio::test]
async fn immediate_validation_does_not_wait_for_pending_validation() {
    let waits = Arc::new(AtomicBool::new(true));
    let slow = Arc::clone(&waits);
    let source = Source::new(move |_| match slow.load(Ordering::SeqCst) {
        true => Verdict::pending(std::future::pending()),
        false => Ok(alice()).into(),
    });
    let clock = clock();
    let validator = source.remembered();
    let mut stuck = begin(&validator, "abc", &clock);
    assert_eq!(poll(&mut stuck), None);
    waits.store(false, Ordering::SeqCst);
    // Another token, and the same when nobody waits for the other any more.
    assert_eq!(begin(&validator, "abd", &clock).await.0, 200);
    let mut joined = begin(&validator, "abc", &clock);
    assert_eq!(poll(&mut joined), None);
    drop((stuck, joined));
    assert_eq!(begin(&validator, "abc", &clock).await.0, 200);
    // A validation that never ends is not waited for by those who come too late to have its verdict.
    waits.store(true, Ordering::SeqCst);
    let _stuck = begin(&validator, "abe", &clock);
    waits.store(false, Ordering::SeqCst);
    clock.advance(TIME_TO_LIVE);
    assert_eq!(begin(&validator, "abe", &clock).await.0, 200);
}

#[test]
fn shared_validations_are_bounded() {
    // (G09: bounded tables)
    const MOST: usize = 10_000;
    let (slow, validator, clock) = slow();
    let mut waiting: Vec<_> = (0..MOST)
        .map(|number| begin(&validator, &number.to_string(), &clock))
        .collect();
    assert_eq!(slow.calls(), MOST);
    for number in [0, MOST / 2, MOST - 1] {
        waiting.push(begin(&validator, &number.to_string(), &clock));
        assert_eq!(slow.calls(), MOST, "{number} is shared");
    }
    let mut alone: Vec<_> = (0..3).map(|_| begin(&validator, "alone", &clock)).collect();
    assert_eq!(slow.calls(), MOST + 3);
    for (call, waiting) in alone.iter_mut().enumerate() {
        assert_eq!(poll(waiting), None);
        slow.answer(MOST + call, Ok(alice()));
        assert_eq!(poll(waiting), Some((200, None)));
    }
    // As soon as there is room, it is shared again.
    drop(waiting);
    assert!(slow.is_dropped(0) && slow.is_dropped(MOST - 1));
    let _two = [0, 1].map(|_| begin(&validator, "shared", &clock));
    assert_eq!(slow.calls(), MOST + 4);
}

#[tokio::test]
async fn dropped_old_validation_does_not_remove_its_replacement() {
    let (slow, validator, clock) = slow();
    let old = begin(&validator, "abc", &clock);
    validator.cache().clear();
    let new = begin(&validator, "abc", &clock);
    assert_eq!(slow.calls(), 2);
    drop(old);
    assert!(slow.is_dropped(0) && !slow.is_dropped(1));
    let joined = begin(&validator, "abc", &clock);
    assert_eq!(slow.calls(), 2);
    slow.answer(1, Ok(alice()));
    assert_eq!((new.await.0, joined.await.0), (200, 200));
}

#[tokio::test]
async fn validator_that_removes_or_clears_during_call_is_not_cached() {
    // (F05: removal of cached results) In between being asked and being waited for.
    for clears in [false, true] {
        let place: Arc<Mutex<Option<tower_bearer::cache::VerdictCache<User>>>> = Arc::default();
        let (inside, slow) = (Arc::clone(&place), Slow::default());
        let asked = slow.clone();
        let source = Source::new(move |_| {
            if let Some(cache) = inside.lock().unwrap().take() {
                match clears {
                    true => cache.clear(),
                    false => {
                        cache.remove("abc");
                    }
                }
            }
            let request = Request::new(());
            let credential = Credential::bearer("abc").unwrap();
            asked.validate(&credential, &RequestView::new(&request))
        });
        let validator = source.remembered();
        *place.lock().unwrap() = Some(validator.cache().clone());
        let clock = clock();
        let first = begin(&validator, "abc", &clock);
        let second = begin(&validator, "abc", &clock);
        assert_eq!(slow.calls(), 2, "the second came after the removal");
        slow.answer(0, Ok(alice()));
        assert_eq!(first.await.0, 200);
        assert!(!recalls(&validator, "abc", &clock));
        slow.answer(1, Ok(alice()));
        assert_eq!(second.await.0, 200);
        assert!(recalls(&validator, "abc", &clock));
    }
}
