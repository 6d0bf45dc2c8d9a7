//! What can be set, and what is refused.

use std::net::IpAddr;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Request};
use tower_bearer::throttle::{
    Attempt, ClientAddress, PeerAddress, ProxyHeader, Throttle, ThrottleBuilder, Throttled,
};
use tower_bearer::{ConfigError, RequestView};

use super::{clock, guesses, seconds, v4, with};

#[test]
fn invalid_settings_are_rejected() {
    type Change = fn(ThrottleBuilder) -> ThrottleBuilder;
    const DAY: u64 = 24 * 60 * 60;
    let cases: [(&str, Change, Change); 8] = [
        (
            "per_address",
            |b| b.per_address(1, seconds(1)),
            |b| b.per_address(0, seconds(1)),
        ),
        (
            "per_address_and_account",
            |b| b.per_address_and_account(1, Duration::from_nanos(1)),
            |b| b.per_address_and_account(1, Duration::ZERO),
        ),
        (
            "per_account",
            |b| b.per_account(366, seconds(DAY)),
            |b| b.per_account(367, seconds(DAY)),
        ),
        (
            "per_account",
            |b| b.per_account(5, seconds(1)),
            |b| b.per_account(4, seconds(1)),
        ),
        (
            "reserve",
            |b| b.reserve(seconds(366 * DAY)),
            |b| b.reserve(seconds(366 * DAY + 1)),
        ),
        (
            "reserve",
            |b| b.reserve(seconds(1)),
            |b| b.reserve(Duration::ZERO),
        ),
        (
            "max_entries",
            |b| b.max_entries(1_000),
            |b| b.max_entries(999),
        ),
        (
            "per_address",
            |b| b.per_address(u32::MAX, Duration::from_nanos(1)),
            |b| b.per_address(u32::MAX, Duration::MAX),
        ),
    ];
    for (name, good, bad) in cases {
        good(Throttle::builder()).build().unwrap();
        match bad(Throttle::builder()).build() {
            Err(ConfigError::Setting { setting, .. }) => assert_eq!(setting, name),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn configured_budgets_take_effect() {
    let clock = clock();
    let throttle = with(&clock, |builder| {
        builder
            .per_address(7, seconds(10))
            .per_address_and_account(3, seconds(30))
            .per_account(4, seconds(1_000))
            .reserve(seconds(50))
    });
    assert_eq!(guesses(&throttle, v4(1), "alice", 100), 3);
    assert_eq!(guesses(&throttle, v4(1), "bob", 100), 3);
    assert_eq!(guesses(&throttle, v4(1), "carol", 100), 1);
    // One from the account's budget, one from the reserve.
    assert_eq!(guesses(&throttle, v4(2), "alice", 100), 2);
    clock.advance(seconds(50));
    assert_eq!(guesses(&throttle, v4(2), "alice", 100), 1);
}

#[test]
fn clock_moved_backwards_refills_nothing_and_clock_moved_forwards_refills() {
    let clock = clock();
    let throttle = with(&clock, |builder| builder);
    clock.advance(seconds(1_000));
    assert_eq!(guesses(&throttle, v4(1), "alice", 100), 5);
    clock.set(crate::support::start() - seconds(1_000_000));
    let refused = throttle.attempt(v4(1), "alice").unwrap_err();
    assert_eq!(refused.retry_after(), seconds(120));
    assert_eq!(guesses(&throttle, v4(2), "alice", 100), 5);
    clock.set(crate::support::start() + seconds(1_120));
    assert_eq!(guesses(&throttle, v4(1), "alice", 100), 1);
    // As far as a clock can go.
    clock.set(std::time::SystemTime::UNIX_EPOCH + seconds(i64::MAX as u64));
    assert_eq!(guesses(&throttle, v4(1), "alice", 100), 5);
    assert_eq!(guesses(&throttle, v4(1), "alice", 100), 0);
}

#[test]
fn throttle_types_are_send_and_sync() {
    fn shared<T: Send + Sync>() {}
    shared::<Throttle>();
    shared::<Attempt>();
    shared::<ClientAddress>();
    shared::<Throttled<()>>();
}

#[test]
fn proxies_are_addresses_or_networks() {
    for good in [
        "10.0.0.0/8",
        "10.1.2.3/8",
        "10.0.0.1",
        "fd00::/8",
        "::1",
        "::ffff:10.0.0.1",
    ] {
        let client = ClientAddress::from_connection();
        let built = client.behind_proxies(ProxyHeader::Forwarded, [good]);
        assert!(built.is_ok(), "{good}");
    }
    for bad in [
        "",
        "10.0.0",
        "10.0.0.0/33",
        "10.0.0.0/",
        "0.0.0.0/0",
        "::/0",
        "::ffff:10.0.0.0/104",
        "proxy.example.com",
        "10.0.0.1:80",
        " 10.0.0.1",
    ] {
        let client = ClientAddress::from_connection();
        match client.behind_proxies(ProxyHeader::Forwarded, ["10.0.0.1", bad]) {
            Err(ConfigError::Network { network }) => assert_eq!(network, bad),
            other => panic!("{bad}: {other:?}"),
        }
    }
    let none = ClientAddress::from_connection().behind_proxies(ProxyHeader::Forwarded, []);
    assert!(matches!(none, Err(ConfigError::Setting { .. })));
}

#[test]
fn client_address_is_peer_address_unless_peer_is_proxy() {
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    let plain = ClientAddress::from_connection();
    let behind = plain
        .clone()
        .behind_proxies(
            ProxyHeader::XForwardedFor,
            ["10.0.0.0/8", "::ffff:192.0.2.53"],
        )
        .unwrap();
    let mut headers = HeaderMap::new();
    headers.append("x-forwarded-for", HeaderValue::from_static("192.0.2.1"));
    headers.append("forwarded", HeaderValue::from_static("for=192.0.2.2"));
    for (peer, without, with) in [
        ("198.51.100.7", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "10.0.0.1", "192.0.2.1"),
        ("::ffff:10.0.0.1", "10.0.0.1", "192.0.2.1"),
        ("192.0.2.53", "192.0.2.53", "192.0.2.1"),
        ("11.0.0.1", "11.0.0.1", "11.0.0.1"),
    ] {
        assert_eq!(plain.resolve(address(peer), &headers), address(without));
        assert_eq!(behind.resolve(address(peer), &headers), address(with));
    }

    let mut request = Request::new(());
    *request.headers_mut() = headers;
    assert_eq!(behind.of(&RequestView::new(&request)), None);
    let peer = PeerAddress(([10, 0, 0, 1], 5_000).into());
    request.extensions_mut().insert(peer);
    let view = RequestView::new(&request);
    assert_eq!(behind.of(&view), Some(address("192.0.2.1")));
    assert_eq!(plain.of(&view), Some(address("10.0.0.1")));
    let closure = ClientAddress::from_fn(|_| Some(v4(7)));
    assert_eq!(closure.of(&view), Some(v4(7)));
}
