//! Slowing clients that guess: how often, whom it must not shut out, and what it costs.

#[path = "../support/allocator.rs"]
mod allocator;
#[path = "../support/mod.rs"]
mod support;

mod attacks;
mod budgets;
mod concurrency;
mod configuration;
mod costs;
mod server;
mod validator;

use std::net::IpAddr;
use std::time::Duration;

use tower_bearer::clock::ManualClock;
use tower_bearer::throttle::{Throttle, ThrottleBuilder};

fn clock() -> ManualClock {
    ManualClock::new(crate::support::start())
}

fn throttle(clock: &ManualClock) -> Throttle {
    with(clock, |builder| builder)
}

fn with(clock: &ManualClock, change: impl FnOnce(ThrottleBuilder) -> ThrottleBuilder) -> Throttle {
    let builder = Throttle::builder().clock(clock.clone());
    change(builder).build().unwrap()
}

fn v4(number: u32) -> IpAddr {
    IpAddr::V4(number.into())
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// How many attempts in a row are admitted, all of which fail; at most `most`.
fn guesses(throttle: &Throttle, address: IpAddr, account: &str, most: usize) -> usize {
    (0..most)
        .take_while(|_| match throttle.attempt(address, account) {
            Ok(attempt) => {
                attempt.failed();
                true
            }
            Err(_) => false,
        })
        .count()
}
