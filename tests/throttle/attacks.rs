//! Strangers slow themselves down and nobody else.

use std::net::IpAddr;

use proptest::prelude::*;

use super::{clock, guesses, seconds, throttle, v4};

const HOME: u32 = 0xc633_6407;
const FRESH: u32 = 0xcb00_7109;

#[test]
fn known_address_is_not_affected_by_attack_from_elsewhere() {
    let clock = clock();
    let throttle = throttle(&clock);
    throttle.attempt(v4(HOME), "alice").unwrap().succeeded();
    for n in 0..1_000 {
        guesses(&throttle, v4(n), "alice", 100);
    }
    // The owner mistypes as often as on any other day.
    assert_eq!(guesses(&throttle, v4(HOME), "alice", 100), 5);
    clock.advance(seconds(120));
    throttle.attempt(v4(HOME), "alice").unwrap().succeeded();
}

#[test]
fn new_address_has_one_attempt_during_attack_and_becomes_known_after_success() {
    let clock = clock();
    let throttle = throttle(&clock);
    for n in 0..1_000 {
        guesses(&throttle, v4(n), "alice", 100);
    }
    throttle.attempt(v4(FRESH), "alice").unwrap().succeeded();
    assert_eq!(guesses(&throttle, v4(FRESH), "alice", 100), 5);

    assert_eq!(guesses(&throttle, v4(FRESH + 1), "alice", 100), 1);
    let refused = throttle.attempt(v4(FRESH + 1), "alice").unwrap_err();
    assert_eq!(refused.retry_after(), seconds(600));
}

#[test]
fn failures_of_known_address_do_not_use_budget_of_unknown_addresses() {
    let clock = clock();
    let throttle = throttle(&clock);
    for n in 0..8 {
        throttle.attempt(v4(HOME + n), "alice").unwrap().succeeded();
    }
    for n in 0..8 {
        assert_eq!(guesses(&throttle, v4(HOME + n), "alice", 100), 5);
    }
    assert_eq!(guesses(&throttle, v4(FRESH), "alice", 100), 5);
}

#[test]
fn attacker_behind_same_nat_does_not_block_known_users() {
    let clock = clock();
    let throttle = throttle(&clock);
    for n in 0..500 {
        throttle
            .attempt(v4(HOME), &format!("worker{n}"))
            .unwrap()
            .succeeded();
    }
    for n in 0..1_000 {
        guesses(&throttle, v4(HOME), &format!("somebody{n}"), 1);
    }
    assert!(throttle.attempt(v4(HOME), "somebody").is_err());
    for n in 0..500 {
        throttle
            .attempt(v4(HOME), &format!("worker{n}"))
            .unwrap()
            .succeeded();
    }
    // One guess at each of them every ten minutes is what the guesser is left with.
    assert_eq!(guesses(&throttle, v4(HOME), "worker7", 100), 1);
    clock.advance(seconds(300));
    // By now the address has attempts again.
    assert_eq!(guesses(&throttle, v4(HOME), "somebody", 1), 1);
}

#[derive(Clone, Debug)]
enum Act {
    /// A guess from one of many addresses.
    Guess {
        from: u16,
        spelling: bool,
    },
    /// A login to an account of the stranger's own.
    Own {
        from: u16,
    },
    /// An attempt that is held open.
    Hold {
        from: u16,
    },
    /// The stranger asks and gives the attempt back.
    Undecided {
        from: u16,
    },
    Wait(u16),
    /// The owner logs in from an address that nobody has used.
    Owner {
        succeeds: bool,
    },
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => (any::<u16>(), any::<bool>()).prop_map(|(from, spelling)| Act::Guess { from: from % 64, spelling }),
        2 => (0..64_u16).prop_map(|from| Act::Own { from }),
        1 => (0..64_u16).prop_map(|from| Act::Hold { from }),
        1 => (0..64_u16).prop_map(|from| Act::Undecided { from }),
        1 => (0..900_u16).prop_map(Act::Wait),
        1 => any::<bool>().prop_map(|succeeds| Act::Owner { succeeds }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Whatever strangers do, the owner is admitted from a fresh address. And they never have more guesses than the
    /// budgets say.
    #[test]
    fn owner_at_new_address_is_always_admitted(acts in proptest::collection::vec(act(), 1..400), v6: bool) {
        let clock = clock();
        let throttle = throttle(&clock);
        let stranger = |from: u16| match v6 {
            true => IpAddr::from([0x2001, 0xdb8, from, 1, 0, 0, 0, 1]),
            false => v4(0x0b00_0000 + u32::from(from)),
        };
        let mut held = Vec::new();
        let mut fresh = 0_u16;
        let (mut made, mut waited) = (0_u64, 0_u64);
        for act in acts {
            match act {
                Act::Guess { from, spelling } => {
                    let name = if spelling { "ALICE" } else { "alice" };
                    made += guesses(&throttle, stranger(from), name, 1) as u64;
                }
                Act::Own { from } => {
                    if let Ok(attempt) = throttle.attempt(stranger(from), "mallory") {
                        attempt.succeeded();
                    }
                }
                Act::Hold { from } => held.extend(throttle.attempt(stranger(from), "alice").ok()),
                Act::Undecided { from } => {
                    if let Ok(attempt) = throttle.attempt(stranger(from), "alice") {
                        attempt.undecided();
                    }
                }
                Act::Wait(time) => {
                    waited += u64::from(time);
                    clock.advance(seconds(time.into()));
                }
                Act::Owner { succeeds } => {
                    fresh += 1;
                    let address = match v6 {
                        true => IpAddr::from([0x2001, 0xdb9, fresh, 1, 0, 0, 0, 1]),
                        false => v4(FRESH + u32::from(fresh)),
                    };
                    let attempt = throttle.attempt(address, "alice");
                    prop_assert!(attempt.is_ok(), "refused: {:?}", attempt);
                    if succeeds {
                        attempt.unwrap().succeeded();
                    }
                }
            }
        }
        let most = 20 + waited / 900 + 64 * (1 + waited / 600);
        prop_assert!(made <= most, "{made} guesses, {most} expected at most");
    }
}
