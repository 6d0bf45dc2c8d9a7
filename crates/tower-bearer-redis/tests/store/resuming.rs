//! M05: resuming readers. A reader continues at its cursor after a lost connection, and reads everything if
//! Redis may have lost data.

use std::collections::HashSet;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use tower_bearer::issuing::RevocationHub;
use tower_bearer::issuing::store::{Changes, Cursor, RevocationStore, StoreFuture};
use tower_bearer::revocation::Revocation;
use tower_bearer_redis::RedisStore;

use crate::redis_server::RedisServer;
use crate::{HOUR, ISSUER, SECOND, asks, session, store, until};

const STREAM: &str = "{tower-bearer}:revocations";

/// Counts the revocations that are read.
#[derive(Clone)]
struct Counting {
    store: RedisStore,
    read: Arc<AtomicUsize>,
}

impl Counting {
    async fn new(server: &RedisServer) -> Self {
        Self {
            store: store(server).await,
            read: Arc::default(),
        }
    }

    fn take(&self) -> usize {
        self.read.swap(0, Ordering::SeqCst)
    }
}

impl RevocationStore for Counting {
    fn add<'a>(&'a self, revocation: &'a Revocation, now: SystemTime) -> StoreFuture<'a, ()> {
        self.store.add(revocation, now)
    }

    fn changes<'a>(&'a self, cursor: Option<&'a Cursor>) -> StoreFuture<'a, Changes> {
        Box::pin(async move {
            let changes = self.store.changes(cursor).await?;
            self.read
                .fetch_add(changes.revocations.len(), Ordering::SeqCst);
            Ok(changes)
        })
    }

    fn is_shared(&self) -> bool {
        true
    }
}

/// Adds `count` revocations of sessions at once.
fn fill(server: &RedisServer, count: usize) {
    let script = "for number = 1, tonumber(ARGV[1]) do \
                  local text = string.gsub(ARGV[2], 'NUMBER', number) \
                  redis.call('XADD', KEYS[1], '*', 'r', text, 't', 'filled' .. number) end";
    let text = session("filled-NUMBER").to_text();
    server.command(&["EVAL", script, "1", STREAM, &count.to_string(), &text]);
}

/// Adds a revocation with this id, as Redis does with a clock of its own.
fn add_with_id(server: &RedisServer, id: &str, name: &str, token: &str) -> String {
    let text = session(name).to_text();
    server.command(&["XADD", STREAM, id, "r", &text, "t", token])
}

fn break_connections(server: &RedisServer) {
    server.command(&["CLIENT", "KILL", "TYPE", "normal"]);
}

fn last_id(server: &RedisServer) -> String {
    let entry = server.command(&["XREVRANGE", STREAM, "+", "-", "COUNT", "1"]);
    entry.lines().next().unwrap().into()
}

/// Reads up to the end, again after a broken connection.
async fn read(store: &Counting, mut cursor: Option<Cursor>) -> (Vec<String>, Cursor) {
    let mut names = Vec::new();
    for _ in 0..1_000 {
        let Ok(changes) = store.changes(cursor.as_ref()).await else {
            continue;
        };
        names.extend(changes.revocations.iter().map(Revocation::to_text));
        if !changes.more {
            return (names, changes.cursor);
        }
        cursor = Some(changes.cursor);
    }
    panic!("it cannot be read");
}

#[tokio::test(flavor = "multi_thread")]
async fn hub_reads_only_new_entries_after_lost_connection() {
    // M05: resuming readers
    const COUNT: usize = 50_000;
    let mut server = RedisServer::start();
    fill(&server, COUNT);
    let counting = Counting::new(&server).await;
    let hub = RevocationHub::open(counting.clone()).await.unwrap();
    assert_eq!(counting.take(), COUNT);
    for round in 0..4 {
        let missed = format!("missed-{round}");
        match round {
            3 => {
                // Everything is there after a restart, since each change was written down.
                server.kill();
                server.start_again();
            }
            _ => break_connections(&server),
        }
        let adding = store(&server).await;
        adding
            .add(&session(&missed), SystemTime::now())
            .await
            .unwrap();
        until("the hub has read the entry", || {
            asks(&hub, &missed) == Some(true)
        })
        .await;
        until("the hub is in touch", || {
            hub.is_synced() && hub.last_error().is_none()
        })
        .await;
        assert_eq!(asks(&hub, "filled-1"), Some(true));
        assert_eq!(counting.take(), 1, "round {round}");
    }
    assert_eq!(hub.len(), COUNT + 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn hub_reads_everything_after_loss_and_keeps_known_revocations() {
    // M05: the lost entries come between those that are left and the cursor.
    for loss in ["FLUSHALL", "DEL", "empty restart", "older copy"] {
        let mut server = RedisServer::start();
        add_with_id(&server, "1000-0", "kept", "a");
        let copy = server.folder().join("copy");
        copy_directory(&server.folder().join("appendonlydir"), &copy);
        add_with_id(&server, "3000-0", "lost", "b");
        let counting = Counting::new(&server).await;
        let hub = RevocationHub::open(counting.clone()).await.unwrap();
        assert_eq!(counting.take(), 2, "{loss}");
        match loss {
            "FLUSHALL" => _ = server.command(&["FLUSHALL"]),
            "DEL" => _ = server.command(&["DEL", STREAM]),
            _ => {
                server.kill();
                server.lose_everything();
                if loss == "older copy" {
                    copy_directory(&copy, &server.folder().join("appendonlydir"));
                }
                server.start_again();
            }
        }
        let is_copy = loss == "older copy";
        assert_eq!(
            server.command(&["EXISTS", STREAM]) == "1",
            is_copy,
            "{loss}"
        );
        // By a clock that is behind, and then with the very id of the cursor.
        add_with_id(&server, "2000-0", "lower", "c");
        add_with_id(&server, "3000-0", "same-id", "d");
        add_with_id(&server, "4000-0", "greater", "e");
        for name in ["lower", "same-id", "greater"] {
            until("the hub has read the entry", || {
                asks(&hub, name) == Some(true)
            })
            .await;
        }
        for name in ["kept", "lost"] {
            assert_eq!(asks(&hub, name), Some(true), "{loss}: {name}");
        }
        until("the hub is in touch", || hub.is_synced()).await;
        // Those that were added by then, of which some may be read twice.
        assert!(counting.take() >= 3 + usize::from(is_copy), "{loss}");
    }
}

fn copy_directory(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-r").args([from, to]).status();
    assert!(status.unwrap().success());
}

#[tokio::test]
async fn stream_that_is_replaced_between_two_reads_is_read_from_its_beginning() {
    // M05: in one step, so that a reader that waits is woken by the entry with the greater id.
    let server = RedisServer::start();
    let replace = "redis.call('DEL', KEYS[1]) \
                   redis.call('XADD', KEYS[1], '1-1', 'r', ARGV[1], 't', 'x') \
                   redis.call('XADD', KEYS[1], '9999999999999-1', 'r', ARGV[2], 't', 'y')";
    let counting = Counting::new(&server).await;
    counting
        .add(&session("s"), SystemTime::now())
        .await
        .unwrap();
    let (_, mut cursor) = read(&counting, None).await;
    for round in 0..3 {
        let (lower, greater) = (format!("lower-{round}"), format!("greater-{round}"));
        // Once at the start of a new connection, then while the reader waits.
        let waiting = tokio::spawn({
            let (counting, cursor) = (counting.clone(), cursor.clone());
            async move { counting.changes(Some(&cursor)).await.unwrap() }
        });
        tokio::task::yield_now().await;
        let texts = [session(&lower).to_text(), session(&greater).to_text()];
        server.command(&["EVAL", replace, "1", STREAM, &texts[0], &texts[1]]);
        let changes = waiting.await.unwrap();
        let mut names: Vec<_> = changes
            .revocations
            .iter()
            .map(Revocation::to_text)
            .collect();
        let more = read(&counting, Some(changes.cursor)).await;
        names.extend(more.0);
        cursor = more.1;
        for text in texts {
            assert!(names.contains(&text), "{text}: {names:?}");
        }
    }
}

#[tokio::test]
async fn equal_id_and_text_with_another_token_are_no_anchor() {
    // M05: the same revocation, added again in the same millisecond after a loss.
    let server = RedisServer::start();
    let counting = Counting::new(&server).await;
    let text = session("s").to_text();
    let add = |token: &str| {
        server.command(&["XADD", STREAM, "5-0", "r", &text, "t", token]);
    };
    add("one");
    let (_, cursor) = read(&counting, None).await;
    server.command(&["DEL", STREAM]);
    add_with_id(&server, "4-0", "lower", "x");
    add("other");
    let (names, _) = read(&counting, Some(cursor)).await;
    assert_eq!(names.len(), 2);
}

#[tokio::test]
async fn id_of_another_revocation_does_not_count_as_added() {
    // M05: the stream was lost, its index was not, and Redis gives an id once more.
    let server = RedisServer::start();
    let store = store(&server).await;
    let now = SystemTime::now();
    let revocation = session("s");
    store.add(&revocation, now).await.unwrap();
    let id = last_id(&server);
    server.command(&["DEL", STREAM]);
    add_with_id(&server, &id, "other", "x");
    for _ in 0..2 {
        store.add(&revocation, now).await.unwrap();
        let changes = store.changes(None).await.unwrap();
        assert_eq!(changes.revocations.len(), 2);
        assert_eq!(changes.revocations[1], revocation);
    }
}

#[tokio::test]
async fn added_entries_have_different_tokens() {
    // M05: resuming readers
    let server = RedisServer::start();
    let store = store(&server).await;
    let revocation = session("s");
    let mut tokens = HashSet::new();
    for _ in 0..10 {
        store.add(&revocation, SystemTime::now()).await.unwrap();
        let get = "return redis.call('XRANGE', KEYS[1], '-', '+')[1][2][4]";
        assert!(tokens.insert(server.command(&["--no-raw", "EVAL", get, "1", STREAM])));
        server.command(&["DEL", STREAM]);
    }
}

#[tokio::test]
async fn reader_continues_though_newest_entry_has_ended_and_is_removed() {
    // M05: resuming readers
    const COUNT: usize = 5_000;
    let server = RedisServer::start();
    let counting = Counting::new(&server).await;
    fill(&server, COUNT);
    let (names, mut cursor) = read(&counting, None).await;
    assert_eq!(names.len(), COUNT);
    for round in 0..3 {
        let now = SystemTime::now();
        // The entry stays as the newest although it has expired, and the reader has read it last.
        let ended = Revocation::session(None, &format!("ended-{round}"), now - HOUR);
        counting.add(&ended, now).await.unwrap();
        cursor = read(&counting, Some(cursor)).await.1;
        let newest = last_id(&server);
        break_connections(&server);
        let adding = store(&server).await;
        let new = session(&format!("new-{round}"));
        adding.add(&new, now).await.unwrap();
        // The entry stays for five more minutes, after which other entries remove it.
        assert_eq!(server.command(&["XDEL", STREAM, &newest]), "1");
        let (names, next) = read(&counting, Some(cursor)).await;
        assert_eq!(names, [new.to_text()]);
        cursor = next;
    }
}

#[tokio::test]
async fn revocations_that_end_soon_do_not_make_reader_start_again() {
    // M05: a client revokes tokens, each of which expires earlier than the one before. The reader reads each, and its
    // cursor is full of them. When all have ended, one more revocation must not remove them at once.
    const COUNT: usize = 5_000;
    let server = RedisServer::start();
    let counting = Counting::new(&server).await;
    let now = SystemTime::now();
    let long = Revocation::session(Some(ISSUER), "long", now + 24 * HOUR);
    counting.add(&long, now).await.unwrap();
    fill(&server, COUNT);
    let (names, mut cursor) = read(&counting, None).await;
    assert_eq!(names.len(), COUNT + 1);
    for round in 0..3 {
        for number in 0..10 {
            let end = now - HOUR - number * SECOND;
            let name = format!("soon-{round}-{number}");
            let soon = Revocation::session(Some(ISSUER), &name, end);
            // By this clock the entries have not expired yet, so nothing is removed.
            counting.add(&soon, SystemTime::UNIX_EPOCH).await.unwrap();
            let (names, next) = read(&counting, Some(cursor)).await;
            assert_eq!(names, [soon.to_text()], "{round} {number}");
            cursor = next;
        }
        let more = session(&format!("more-{round}"));
        counting.add(&more, now).await.unwrap();
        let (names, next) = read(&counting, Some(cursor)).await;
        assert_eq!(names, [more.to_text()], "{round}");
        cursor = next;
    }
}

/// A small generator, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

#[tokio::test]
async fn reader_misses_nothing_in_random_histories() {
    // M05: clocks that are behind, losses, older copies, removals and broken connections in any order.
    let seed = getrandom::u64().unwrap();
    println!("to repeat this: seed {seed}");
    let mut random = Random(seed);
    let server = RedisServer::start();
    let counting = Counting::new(&server).await;
    let save = "local copy = redis.call('DUMP', KEYS[1]) if copy then redis.call('SET', KEYS[2], copy) end";
    let restore = "local copy = redis.call('GET', KEYS[2]) redis.call('DEL', KEYS[1]) \
                   if copy then redis.call('RESTORE', KEYS[1], 0, copy) end";
    // Expired entries are removed, except for the newest.
    let clear = "local entries = redis.call('XRANGE', KEYS[1], '-', '+') \
                 for index = 1, #entries - 1 do \
                   if string.find(entries[index][2][2], 'ended') then redis.call('XDEL', KEYS[1], entries[index][1]) end \
                 end";
    let mut known = HashSet::new();
    let mut cursor = None;
    for step in 0..200 {
        for _ in 0..random.below(4) {
            match random.below(12) {
                // The clock counts from the last id, which may be far behind what the reader has seen.
                0..7 => {
                    let last = server.command(&["EVAL", "local entry = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1] return entry and entry[1] or '0-0'", "1", STREAM]);
                    let time: u64 = last.split('-').next().unwrap().parse().unwrap();
                    let id = format!("{}-0", time + 1 + random.below(3));
                    let kind = if random.below(4) == 0 { "ended" } else { "s" };
                    let name = format!("{kind}-{}", random.below(30));
                    let end = SystemTime::now() + HOUR * (1 + random.below(9) as u32);
                    let text = Revocation::session(None, &name, end).to_text();
                    let token = format!("{step}-{}", random.below(1 << 30));
                    server.command(&["XADD", STREAM, &id, "r", &text, "t", &token]);
                }
                7 => _ = server.command(&["EVAL", save, "2", STREAM, "copy"]),
                8 | 9 => _ = server.command(&["EVAL", restore, "2", STREAM, "copy"]),
                10 => _ = server.command(&["DEL", STREAM]),
                _ => _ = server.command(&["EVAL", clear, "1", STREAM]),
            }
        }
        // A new connection does not wait.
        break_connections(&server);
        let (names, next) = read(&counting, cursor).await;
        known.extend(names);
        cursor = Some(next);
        let fresh = Counting::new(&server).await;
        let (all, _) = read(&fresh, None).await;
        for text in all {
            let is_known = known.contains(&text) || text.contains("ended");
            assert!(is_known, "step {step}, seed {seed}: {text}");
        }
        // A new reader knows nothing from before a loss.
        if random.below(10) == 0 {
            known.clear();
            cursor = None;
            let (names, next) = read(&counting, cursor).await;
            known.extend(names);
            cursor = Some(next);
        }
    }
}
