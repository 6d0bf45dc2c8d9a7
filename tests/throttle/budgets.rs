//! How many guesses one client has.

use std::net::IpAddr;

use tower_bearer::throttle::TooManyAttempts;
use tower_bearer::{Failure, FailureKind};

use super::{clock, guesses, seconds, throttle, v4};

const GUESSER: u32 = 0xc000_0201;

#[test]
fn address_has_five_guesses_per_account_then_one_every_two_minutes() {
    let clock = clock();
    let throttle = throttle(&clock);
    assert_eq!(guesses(&throttle, v4(GUESSER), "alice", 100), 5);
    let refused = throttle.attempt(v4(GUESSER), "alice").unwrap_err();
    assert_eq!(refused.retry_after(), seconds(120));

    clock.advance(seconds(119));
    let refused = throttle.attempt(v4(GUESSER), "alice").unwrap_err();
    assert_eq!(refused.retry_after(), seconds(1));
    clock.advance(seconds(1));
    assert_eq!(guesses(&throttle, v4(GUESSER), "alice", 100), 1);

    // Asking while refused does not make it longer.
    clock.advance(seconds(5 * 120));
    assert_eq!(guesses(&throttle, v4(GUESSER), "alice", 100), 5);
    // Nor is more saved up than the budget.
    clock.advance(seconds(1_000_000));
    assert_eq!(guesses(&throttle, v4(GUESSER), "alice", 100), 5);
}

#[test]
fn address_has_hundred_guesses_at_all_accounts_then_one_every_twenty_seconds() {
    let clock = clock();
    let throttle = throttle(&clock);
    let spray = |from: u32| {
        (0..1_000)
            .take_while(|n| {
                throttle
                    .attempt(v4(GUESSER), &format!("user{}", from + n))
                    .is_ok()
            })
            .count()
    };
    assert_eq!(spray(0), 100);
    let refused = throttle.attempt(v4(GUESSER), "alice").unwrap_err();
    assert_eq!(refused.retry_after(), seconds(20));
    clock.advance(seconds(60));
    assert_eq!(spray(2_000), 3);
    // Another address is another client.
    assert!(throttle.attempt(v4(GUESSER + 1), "alice").is_ok());
}

#[test]
fn account_has_twenty_guesses_from_unknown_addresses_then_one_per_address_every_ten_minutes() {
    let clock = clock();
    let throttle = throttle(&clock);
    let botnet = |from: u32| -> usize {
        (0..1_000)
            .map(|n| guesses(&throttle, v4(from + n), "alice", 100))
            .sum()
    };
    // Four of them use up the account's budget and their own. All others have one attempt from the reserve.
    assert_eq!(botnet(0x0b00_0000), 20 + 996);
    assert_eq!(botnet(0x0b00_0000), 0);
    // Now the four have one as well.
    clock.advance(seconds(599));
    assert_eq!(botnet(0x0b00_0000), 4);
    clock.advance(seconds(1));
    assert_eq!(botnet(0x0b00_0000), 996);
    assert_eq!(botnet(0x0b00_0000), 0);
}

#[test]
fn successful_attempt_uses_no_budget() {
    let clock = clock();
    let throttle = throttle(&clock);
    for n in 0..10_000_u32 {
        let account = format!("user{}", n % 7);
        throttle.attempt(v4(GUESSER), &account).unwrap().succeeded();
    }
    assert_eq!(guesses(&throttle, v4(GUESSER), "user0", 100), 5);
}

#[test]
fn undecided_attempt_uses_no_budget() {
    let clock = clock();
    let throttle = throttle(&clock);
    for _ in 0..1_000 {
        throttle.attempt(v4(GUESSER), "alice").unwrap().undecided();
    }
    assert_eq!(guesses(&throttle, v4(GUESSER), "alice", 100), 5);
    // It does not make the address known either.
    for n in 0..100 {
        guesses(&throttle, v4(n), "alice", 100);
    }
    assert_eq!(guesses(&throttle, v4(GUESSER + 1), "alice", 100), 1);
}

#[test]
fn dropped_attempt_counts_as_failed() {
    let clock = clock();
    let throttle = throttle(&clock);
    for _ in 0..5 {
        drop(throttle.attempt(v4(GUESSER), "alice").unwrap());
    }
    assert!(throttle.attempt(v4(GUESSER), "alice").is_err());
}

#[test]
fn successful_login_to_own_account_restores_no_guesses() {
    let clock = clock();
    let throttle = throttle(&clock);
    let mut made = 0;
    for n in 0..1_000 {
        if let Ok(attempt) = throttle.attempt(v4(GUESSER), "mallory") {
            attempt.succeeded();
        }
        made += guesses(&throttle, v4(GUESSER), &format!("victim{n}"), 1);
    }
    assert_eq!(made, 100);
}

#[test]
fn open_attempt_restores_no_guess() {
    let clock = clock();
    let throttle = throttle(&clock);
    let held: Vec<_> = (0..5)
        .map(|_| throttle.attempt(v4(GUESSER), "alice").unwrap())
        .collect();
    // By now time has given everything back.
    clock.advance(seconds(600));
    assert_eq!(guesses(&throttle, v4(GUESSER), "alice", 100), 5);
    for attempt in held {
        attempt.succeeded();
    }
    assert_eq!(guesses(&throttle, v4(GUESSER), "alice", 100), 0);
}

#[test]
fn slow_successful_logins_use_no_budget() {
    let clock = clock();
    let throttle = throttle(&clock);
    // A gateway from which all logins come, 50 at a time, a quarter of a second each.
    for round in 0..2_000 {
        let attempts: Vec<_> = (0..50)
            .map(|n| throttle.attempt(v4(GUESSER), &format!("user{n}")))
            .collect::<Result<_, _>>()
            .unwrap_or_else(|_| panic!("refused in round {round}"));
        clock.advance(seconds(1) / 4);
        for attempt in attempts {
            attempt.succeeded();
        }
    }
}

#[test]
fn spellings_of_one_name_share_one_budget() {
    let clock = clock();
    let throttle = throttle(&clock);
    let names = ["alice", "Alice", " ALICE", "aLiCe ", "alicE"];
    for name in names {
        assert_eq!(guesses(&throttle, v4(GUESSER), name, 1), 1);
    }
    assert_eq!(guesses(&throttle, v4(GUESSER), "alice", 1), 0);
}

#[test]
fn client_is_ipv4_address_or_64_bit_prefix() {
    let clock = clock();
    let throttle = throttle(&clock);
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    assert_eq!(
        guesses(&throttle, address("2001:db8:0:1::1"), "alice", 100),
        5
    );
    assert_eq!(
        guesses(&throttle, address("2001:db8:0:1:ffff::2"), "alice", 100),
        0
    );
    assert_eq!(
        guesses(&throttle, address("2001:db8:0:2::1"), "alice", 100),
        5
    );

    assert_eq!(guesses(&throttle, address("192.0.2.1"), "bob", 100), 5);
    assert_eq!(
        guesses(&throttle, address("::ffff:192.0.2.1"), "bob", 100),
        0
    );
    assert_eq!(guesses(&throttle, address("192.0.2.2"), "bob", 100), 5);
}

#[test]
fn site_with_65536_networks_has_one_guess_at_attacked_account() {
    let clock = clock();
    let throttle = throttle(&clock);
    for n in 0..10 {
        guesses(&throttle, v4(n), "alice", 100);
    }
    let made: usize = (0..1_000_u16)
        .map(|n| {
            let address = IpAddr::from([0x2001, 0xdb8, 7, n, 0, 0, 0, 1]);
            guesses(&throttle, address, "alice", 100)
        })
        .sum();
    assert_eq!(made, 1);
}

#[test]
fn clients_without_address_share_one_budget() {
    let clock = clock();
    let throttle = throttle(&clock);
    for _ in 0..5 {
        throttle.attempt(None, "alice").unwrap().failed();
    }
    assert!(throttle.attempt(None, "alice").is_err());
    assert!(throttle.attempt(v4(0), "alice").is_ok());
}

// (I05: no storing)
#[test]
fn throttled_error_converts_to_response_and_failure() {
    let clock = clock();
    let throttle = super::with(&clock, |builder| {
        builder.per_address_and_account(1, seconds(1) / 4)
    });
    throttle.attempt(v4(GUESSER), "alice").unwrap().failed();
    let refused: TooManyAttempts = throttle.attempt(v4(GUESSER), "alice").unwrap_err();
    assert_eq!(refused.retry_after(), seconds(1) / 4);
    assert_eq!(refused.to_string(), "too many attempts");

    let response = refused.to_response();
    assert_eq!(response.status(), 429);
    let header = |name: &str| response.headers()[name].to_str().unwrap();
    assert_eq!(header("retry-after"), "1", "rounded up, never at once");
    assert_eq!(header("content-type"), "application/problem+json");
    assert_eq!(header("cache-control"), "no-store");
    let body: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(body["status"], 429);

    assert_eq!(Failure::from(refused).kind(), FailureKind::Throttled);
}

// (J03: no secrets in texts)
#[test]
fn names_and_addresses_are_absent_from_debug_output() {
    let clock = clock();
    let throttle = throttle(&clock);
    let attempt = throttle
        .attempt(v4(GUESSER), "alice-and-her-secret")
        .unwrap();
    for shown in [format!("{attempt:?}"), format!("{throttle:?}")] {
        assert!(!shown.contains("secret"), "{shown}");
        assert!(!shown.contains("192.0.2.1"), "{shown}");
    }
}
