//! Guesses made at the same time.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::{clock, seconds, throttle, v4};

#[test]
fn concurrent_guesses_stay_within_budget() {
    for round in 0..50 {
        let clock = clock();
        let throttle = throttle(&clock);
        let (start, admitted) = (Barrier::new(8), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    start.wait();
                    for _ in 0..20 {
                        if let Ok(attempt) = throttle.attempt(v4(1), "alice") {
                            admitted.fetch_add(1, Ordering::Relaxed);
                            attempt.failed();
                        }
                    }
                });
            }
        });
        assert_eq!(admitted.into_inner(), 5, "round {round}");
    }
}

#[test]
fn concurrent_botnet_stays_within_budget() {
    let clock = clock();
    let throttle = throttle(&clock);
    let (start, admitted) = (Barrier::new(8), AtomicUsize::new(0));
    thread::scope(|scope| {
        for thread in 0..8_u32 {
            let (throttle, start, admitted) = (&throttle, &start, &admitted);
            scope.spawn(move || {
                start.wait();
                for n in 0..500 {
                    let address = v4(thread * 1_000 + n / 5);
                    if throttle.attempt(address, "alice").is_ok() {
                        admitted.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let admitted = admitted.into_inner();
    assert!((800..=820).contains(&admitted), "{admitted}");
}

/// What succeeds at the same time as others fail gives back what it took and no more.
#[test]
fn concurrent_successes_restore_no_guesses() {
    let clock = clock();
    let throttle = throttle(&clock);
    let (start, admitted) = (Barrier::new(8), AtomicUsize::new(0));
    thread::scope(|scope| {
        for thread in 0..8_u32 {
            let (throttle, start, admitted) = (&throttle, &start, &admitted);
            scope.spawn(move || {
                start.wait();
                for n in 0..2_000 {
                    let own = thread % 2 == 0;
                    let account = match own {
                        true => format!("own{thread}"),
                        false => format!("victim{thread}-{n}"),
                    };
                    match throttle.attempt(v4(1), &account) {
                        Ok(attempt) if own => attempt.succeeded(),
                        Ok(attempt) => {
                            admitted.fetch_add(1, Ordering::Relaxed);
                            attempt.failed();
                        }
                        Err(_) => {}
                    }
                }
            });
        }
    });
    let admitted = admitted.into_inner();
    assert!(admitted <= 100, "{admitted}");
    // Nothing was lost either.
    clock.advance(seconds(100 * 20));
    let made = (0..200)
        .filter(|n| throttle.attempt(v4(1), &format!("later{n}")).is_ok())
        .count();
    assert_eq!(made, 100);
}
