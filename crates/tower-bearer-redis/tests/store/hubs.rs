//! Two hubs on one Redis.

use std::time::{Duration, Instant, SystemTime};

use tower_bearer::clock::{Clock as _, ManualClock};
use tower_bearer::issuing::RevocationHub;
use tower_bearer::issuing::store::RevocationStore as _;
use tower_bearer::revocation::{Revocation, RevocationCheck, RevocationClaims};
use tower_bearer::{FailureKind, InvalidReason};
use tower_bearer_redis::RedisStore;

use crate::redis_server::RedisServer;
use crate::{DEADLINE, HOUR, ISSUER, SECOND, asks, is_unavailable, session, store, until};

const MAX_SILENCE: Duration = Duration::from_millis(1_500);

async fn hub(server: &RedisServer) -> RevocationHub {
    let builder = RevocationHub::builder(store(server).await).max_staleness(MAX_SILENCE);
    builder.open().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_revoked_in_one_is_refused_in_the_other() {
    let server = RedisServer::start();
    let (one, other) = (hub(&server).await, hub(&server).await);
    let mut times = Vec::new();
    for number in 0..200 {
        let name = format!("s-{number}");
        assert_eq!(asks(&other, &name), Some(false));
        let revocation = session(&name);
        let start = Instant::now();
        one.revoke(&revocation).await.unwrap();
        assert_eq!(asks(&one, &name), Some(true));
        until("the other hears of it", || {
            asks(&other, &name) == Some(true)
        })
        .await;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    let (half, most) = (times[100], times[199]);
    println!("revoked in one, refused in the other: median {half:?}, longest of 200 {most:?}");
    assert!(most < MAX_SILENCE, "{most:?}");

    // A third that comes later knows all of it, in spite of pages.
    let hub = hub(&server).await;
    assert_eq!(hub.len(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_a_page_is_read_to_the_end() {
    let server = RedisServer::start();
    let store = store(&server).await;
    let mut expected = 0;
    for count in [999, 1, 1, 1_000, 100] {
        let all = (expected..expected + count).map(|number| {
            let (store, revocation) = (&store, session(&format!("s-{number}")));
            async move { store.add(&revocation, SystemTime::now()).await }
        });
        expected += count;
        for added in futures_util::future::join_all(all).await {
            added.unwrap();
        }
        let mut changes = store.changes(None).await.unwrap();
        let mut found = changes.revocations.len();
        let start = Instant::now();
        while changes.more {
            changes = store.changes(Some(&changes.cursor)).await.unwrap();
            found += changes.revocations.len();
        }
        assert_eq!(found, expected);
        assert!(start.elapsed() < Duration::from_millis(450), "it waited");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_is_added_to_meanwhile_misses_nothing() {
    let server = RedisServer::start();
    let store = store(&server).await;
    let adding = tokio::spawn({
        let store = store.clone();
        async move {
            for number in 0..2_000 {
                let name = format!("s-{number}");
                store.add(&session(&name), SystemTime::now()).await.unwrap();
            }
        }
    });
    let mut hubs = Vec::new();
    for _ in 0..8 {
        hubs.push(hub(&server).await);
    }
    adding.await.unwrap();
    for hub in hubs {
        until("it knows all", || hub.len() == 2_000).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_says_within_its_bound_that_it_cannot_tell_and_comes_back_by_itself() {
    let mut server = RedisServer::start();
    let (one, other) = (hub(&server).await, hub(&server).await);
    one.revoke(&session("before")).await.unwrap();
    until("the other hears of it", || {
        asks(&other, "before") == Some(true)
    })
    .await;
    for is_killed in [false, true] {
        match is_killed {
            true => server.kill(),
            false => server.pause(),
        }
        let hubs = [&one, &other];
        let silence = until("they know that they know nothing", || {
            hubs.iter()
                .all(|hub| asks(hub, "unknown").is_none() && !hub.is_synced())
        });
        let silence = silence.await;
        println!("killed: {is_killed}; cannot tell after {silence:?}");
        assert!(
            silence < MAX_SILENCE + Duration::from_millis(100),
            "{silence:?}"
        );
        until("they say why", || {
            hubs.iter().all(|hub| hub.last_error().is_some())
        })
        .await;
        // What is known to be revoked stays so.
        assert_eq!(asks(&other, "before"), Some(true));

        // What is revoked now is refused here at once, and nobody is told that it is everywhere.
        let name = format!("during-{is_killed}");
        is_unavailable(one.revoke(&session(&name)).await);
        assert_eq!(asks(&one, &name), Some(true));
        assert_eq!(asks(&other, &name), None);

        match is_killed {
            true => server.start_again(),
            false => server.resume(),
        }
        let back = until("they are back", || {
            hubs.iter().all(|hub| asks(hub, "unknown") == Some(false))
        });
        println!("back after {:?}", back.await);
        until("nothing is wrong any more", || {
            hubs.iter().all(|hub| hub.last_error().is_none())
        })
        .await;
        one.revoke(&session(&name)).await.unwrap();
        until("the other hears of it", || {
            asks(&other, &name) == Some(true)
        })
        .await;
        for hub in hubs {
            assert_eq!(asks(hub, "before"), Some(true));
        }
        let newcomer = self::hub(&server).await;
        assert_eq!(asks(&newcomer, "before"), Some(true));
        assert_eq!(asks(&newcomer, &name), Some(true));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_let_through_in_an_outage_for_their_time_only() {
    let mut server = RedisServer::start();
    let hub = hub(&server).await;
    hub.revoke(&session("revoked")).await.unwrap();
    let clock = ManualClock::new(SystemTime::now());
    let closed = RevocationCheck::new(hub.clone());
    let allowed = 30 * SECOND;
    let open = RevocationCheck::new(hub.clone()).insecure_allow_in_outage(allowed);
    let says = |check: &RevocationCheck, name: &str| {
        let token = RevocationClaims::new()
            .with_issuer(ISSUER)
            .with_session(name);
        check
            .check(&token, clock.now())
            .map_err(|failure| failure.kind())
    };
    let revoked = Err(FailureKind::Invalid(InvalidReason::Revoked));
    let unavailable = Err(FailureKind::Unavailable);
    for check in [&closed, &open] {
        assert_eq!(says(check, "good"), Ok(()));
        assert_eq!(says(check, "revoked"), revoked);
    }
    server.kill();
    until("it cannot tell", || !hub.is_synced()).await;
    for (after, expected) in [
        (SECOND, Ok(())),
        (28 * SECOND, Ok(())),
        (3 * SECOND, unavailable),
    ] {
        clock.advance(after);
        assert_eq!(says(&closed, "good"), unavailable);
        assert_eq!(says(&open, "good"), expected);
        assert_eq!(says(&open, "revoked"), revoked);
    }
    server.start_again();
    until("it is back", || hub.is_synced()).await;
    for check in [&closed, &open] {
        assert_eq!(says(check, "good"), Ok(()));
        assert_eq!(says(check, "revoked"), revoked);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_has_lost_everything_takes_nothing_from_a_hub() {
    let mut server = RedisServer::start();
    let (one, other) = (hub(&server).await, hub(&server).await);
    for (number, lose) in ["FLUSHALL", "DEL", "restart"].into_iter().enumerate() {
        let name = |word: &str| format!("{word}-{number}");
        one.revoke(&session(&name("before"))).await.unwrap();
        until("the other hears of it", || {
            asks(&other, &name("before")) == Some(true)
        })
        .await;
        match lose {
            "FLUSHALL" => _ = server.command(&["FLUSHALL"]),
            "DEL" => _ = server.command(&["DEL", "{tower-bearer}:revocations"]),
            _ => {
                server.kill();
                server.lose_everything();
                server.start_again();
            }
        }
        // An id as if from before, which nobody would ask for who goes on from where it was.
        let text = session(&name("behind")).to_text();
        server.command(&[
            "XADD",
            "{tower-bearer}:revocations",
            &format!("{}-1", number + 1),
            "r",
            &text,
        ]);
        for hub in [&one, &other] {
            until("it is heard of", || {
                asks(hub, &name("behind")) == Some(true)
            })
            .await;
            assert_eq!(asks(hub, &name("before")), Some(true));
        }
        until("they are in touch", || one.is_synced() && other.is_synced()).await;
        one.revoke(&session(&name("after"))).await.unwrap();
        until("the other hears of it", || {
            asks(&other, &name("after")) == Some(true)
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_not_passed_over() {
    let server = RedisServer::start();
    let hub = hub(&server).await;
    let stream = "{tower-bearer}:revocations";
    let kind_of_a_later_version = r#"{"k":"device","i":null,"n":"d-1","b":0,"u":99999999999}"#;
    let id = server.command(&["XADD", stream, "*", "r", kind_of_a_later_version]);
    until("it cannot tell", || !hub.is_synced()).await;
    assert_eq!(asks(&hub, "unknown"), None);
    assert!(RevocationHub::open(store(&server).await).await.is_err());
    server.command(&["XDEL", stream, &id]);
    until("it can tell", || asks(&hub, "unknown") == Some(false)).await;
}

#[tokio::test]
async fn revocations_go_once_both_clocks_say_that_they_have_ended() {
    let server = RedisServer::start();
    let store = store(&server).await;
    let now = SystemTime::now();
    let counts = || {
        [
            "XLEN {tower-bearer}:revocations",
            "ZCARD {tower-bearer}:revocation-ends",
            "HLEN {tower-bearer}:revocation-texts",
        ]
        .map(|command| server.command(&command.split(' ').collect::<Vec<_>>()))
    };
    let next = std::cell::Cell::new(0);
    let add = async |until: SystemTime, now: SystemTime| {
        let name = format!("s-{}", next.replace(next.get() + 1));
        let revocation = Revocation::session(None, &name, until);
        store.add(&revocation, now).await.unwrap();
        // The same once more takes no room.
        store.add(&revocation, now).await.unwrap();
    };
    for _ in 0..100 {
        add(now - HOUR, SystemTime::UNIX_EPOCH).await;
    }
    assert_eq!(counts(), ["100"; 3]);
    // Expired entries stay for five minutes after the next entry was added (M05: resuming readers). These
    // minutes pass here.
    let five_minutes_pass = || {
        let age = "for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1])) do \
                   redis.call('ZADD', KEYS[1], 1, id) end";
        let soon = now.duration_since(SystemTime::UNIX_EPOCH).unwrap() + HOUR / 2;
        let soon = soon.as_secs().to_string();
        server.command(&["EVAL", age, "1", "{tower-bearer}:revocation-ends", &soon]);
    };
    add(now - HOUR, now).await;
    assert_eq!(counts(), ["101"; 3]);
    five_minutes_pass();
    let before = store.changes(None).await.unwrap();
    assert_eq!(before.revocations.len(), 101);
    add(now + HOUR, now).await;
    assert_eq!(counts(), ["38"; 3]);
    five_minutes_pass();
    add(now + HOUR, now + 1_000_000 * HOUR).await;
    assert_eq!(counts(), ["2"; 3]);
    // The entry behind which it goes on is gone, and what follows is there.
    let after = store.changes(Some(&before.cursor)).await.unwrap();
    assert_eq!(after.revocations.len(), 2);
    assert_eq!(store.changes(None).await.unwrap().revocations.len(), 2);
    // The newest stays although it has ended, so that nobody takes it for lost.
    add(now - HOUR, now).await;
    assert_eq!(counts(), ["3"; 3]);
    let last = store.changes(Some(&after.cursor)).await.unwrap();
    assert_eq!(last.revocations.len(), 1);
    // A stream with lower ids than those seen is another stream, so all of it is read.
    for id in ["*", "1-1"] {
        server.command(&["DEL", "{tower-bearer}:revocations"]);
        let text = Revocation::session(None, "s", now + HOUR).to_text();
        server.command(&["XADD", "{tower-bearer}:revocations", id, "r", &text]);
        for cursor in [None, Some(&last.cursor)] {
            assert_eq!(store.changes(cursor).await.unwrap().revocations.len(), 1);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_nothing_new_the_answer_comes_after_half_a_second() {
    let server = RedisServer::start();
    let store: RedisStore = store(&server).await;
    let changes = store.changes(None).await.unwrap();
    let start = Instant::now();
    let changes = store.changes(Some(&changes.cursor)).await.unwrap();
    assert!(changes.revocations.is_empty() && !changes.more);
    let waited = start.elapsed();
    assert!(
        (Duration::from_millis(450)..SECOND).contains(&waited),
        "{waited:?}"
    );
    // Meanwhile others are answered: it waits on a connection of its own.
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.changes(Some(&changes.cursor)).await.unwrap() }
    });
    let start = Instant::now();
    store.add(&session("s"), SystemTime::now()).await.unwrap();
    assert_eq!(waiting.await.unwrap().revocations.len(), 1);
    assert!(start.elapsed() < Duration::from_millis(400).min(DEADLINE));
}
