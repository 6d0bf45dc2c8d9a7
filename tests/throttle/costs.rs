//! Allocations of an attempt, and the memory that a throttle keeps.

use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};

use http::Request;
use tower_bearer::ValidatorExt as _;
use tower_bearer::throttle::{ClientAddress, PeerAddress, Throttle};
use tower_bearer::{Credential, Failure, RequestView, Validated, Validator, Verdict};

use super::{clock, guesses, v4, with};
use crate::allocator::{self, held_bytes};

fn allocations(f: impl FnOnce()) -> usize {
    let before = allocator::allocations();
    f();
    allocator::allocations() - before
}

fn kept<T>(f: impl FnOnce() -> T) -> (T, isize) {
    let before = held_bytes();
    let value = f();
    (value, held_bytes() - before)
}

/// Answers without an allocation.
struct Known(std::sync::Arc<u8>);

impl Validator for Known {
    type Principal = u8;

    fn validate(&self, credential: &Credential<'_>, _: &RequestView<'_>) -> Verdict<u8> {
        match credential.token() {
            "good" => Verdict::Ready(Ok(Validated::from_shared(self.0.clone()))),
            _ => Verdict::Ready(Err(Failure::unrecognized())),
        }
    }
}

fn request(last: u8) -> Request<()> {
    let mut request = Request::new(());
    let peer = SocketAddr::from(([192, 0, 2, last], 5_000));
    request.extensions_mut().insert(PeerAddress(peer));
    request
}

#[test]
fn valid_credential_allocates_nothing_during_attack() {
    let clock = clock();
    let throttle = with(&clock, |builder| builder);
    let find = ClientAddress::from_fn(|request| {
        ASKED.set(ASKED.get() + 1);
        let peer: &PeerAddress = request.extensions().get()?;
        Some(peer.0.ip())
    });
    thread_local! {
        static ASKED: Cell<usize> = const { Cell::new(0) };
    }
    let validator = Known(std::sync::Arc::new(7)).throttled(throttle, find);
    let (good, bad) = (
        Credential::bearer("good").unwrap(),
        Credential::bearer("bad").unwrap(),
    );
    let (mine, others) = (request(1), request(2));
    let (mine, others) = (RequestView::new(&mine), RequestView::new(&others));
    let is_ready = |verdict| matches!(verdict, Verdict::Ready(Ok(_)));

    assert_eq!(
        allocations(|| assert!(is_ready(validator.validate(&good, &mine)))),
        0
    );
    assert_eq!(
        ASKED.get(),
        0,
        "nobody is refused, so nobody asks for the address"
    );

    for _ in 0..200 {
        let _ = validator.validate(&bad, &others);
    }
    assert!(!is_ready(validator.validate(&good, &others)));
    ASKED.set(0);
    assert_eq!(
        allocations(|| assert!(is_ready(validator.validate(&good, &mine)))),
        0
    );
    assert_eq!(ASKED.get(), 1);

    // When the last may pass again, it is as before.
    clock.advance(super::seconds(2_000));
    ASKED.set(0);
    assert!(is_ready(validator.validate(&good, &mine)));
    assert_eq!(ASKED.get(), 0);
}

/// The number in the documentation of the module.
const ENTRY: isize = 220;

#[test]
fn memory_is_bounded_for_many_names_and_addresses() {
    const ENTRIES: usize = 1_000;
    let clock = clock();
    let make = || with(&clock, |builder| builder.max_entries(ENTRIES));
    let (throttle, empty) = kept(make);
    println!("empty: {empty} bytes");
    assert!(empty < 64 * 1024, "{empty} bytes for an empty throttle");
    let flood = |throttle: &Throttle, from: u32| {
        for n in from..from + 4_000 {
            let name = format!("user{n}");
            // To be refused too, and to be known.
            guesses(throttle, v4(n), &name, 6);
            let address = IpAddr::from([0x2001, (n >> 16) as u16, n as u16, 1, 0, 0, 0, 1]);
            throttle.attempt(address, &name).unwrap().succeeded();
            for other in 0..12 {
                let _ = throttle.attempt(v4(n + (other << 28)), "alice");
            }
        }
    };
    let ((), first) = kept(|| flood(&throttle, 0));
    println!("{first} bytes, {} an entry", first / (5 * ENTRIES as isize));
    assert!(first < 5 * ENTRIES as isize * ENTRY, "{first} bytes");
    let ((), second) = kept(|| flood(&throttle, 4_000));
    assert!(
        second < first / 20,
        "{second} bytes more after as many more"
    );
}

#[test]
fn long_name_uses_same_memory_as_short_name() {
    let clock = clock();
    let long = "x".repeat(1 << 20);
    let sizes = ["x", &long].map(|name| {
        let throttle = with(&clock, |builder| builder);
        kept(|| throttle.attempt(v4(1), name).unwrap().failed()).1
    });
    assert_eq!(sizes[0], sizes[1]);
}

/// What is asked for stays, so an attack is not hidden by a flood of names and addresses.
#[test]
fn flood_does_not_evict_budget_of_attacked_account() {
    let clock = clock();
    let throttle = with(&clock, |builder| builder.max_entries(2_000));
    throttle.attempt(v4(u32::MAX), "alice").unwrap().succeeded();
    let mut made = 0;
    for n in 0..15_000 {
        let _ = throttle.attempt(v4(n), &format!("user{n}"));
        if n % 100 == 0 {
            made += guesses(&throttle, v4(0xdead_beef), "alice", 100);
        }
    }
    // 5 of the pair.
    assert_eq!(made, 5);
    // Names alone push nothing out: their address is refused before they are kept.
    let throttle = with(&clock, |builder| builder.max_entries(1_000));
    assert_eq!(guesses(&throttle, v4(2), "bob", 100), 5);
    for n in 0..20_000 {
        let _ = throttle.attempt(v4(1), &format!("user{n}"));
    }
    assert_eq!(guesses(&throttle, v4(2), "bob", 100), 0);
}
