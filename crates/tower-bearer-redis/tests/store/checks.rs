//! M08: connecting checks everything that is needed later, and each failure names what is missing.

use std::error::Error as _;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Instant, SystemTime};

use tower_bearer::issuing::RevocationHub;
use tower_bearer::issuing::store::conformance::{check_revocations, check_sessions};
use tower_bearer::issuing::store::{RevocationStore as _, SessionStore as _, StoreError};
use tower_bearer_redis::RedisStore;

use crate::redis_server::{RedisServer, free_port};
use crate::{SECOND, id, record, session, store, until};

const PASSWORD: &str = "hunter2";
const POLICIES: [&str; 8] = [
    "noeviction",
    "allkeys-lru",
    "allkeys-lfu",
    "allkeys-random",
    "volatile-lru",
    "volatile-lfu",
    "volatile-random",
    "volatile-ttl",
];

/// The ACL rules that the documentation names.
fn documented_rules() -> Vec<String> {
    let docs = include_str!("../../src/store.rs");
    let line: String = docs
        .lines()
        .skip_while(|line| !line.contains("ACL SETUSER <user>"))
        .take_while(|line| !line.contains("```"))
        .map(|line| line.trim_start_matches("/// ").trim_end_matches('\\'))
        .collect();
    let rules = line
        .strip_prefix("ACL SETUSER <user> on ><password> ")
        .unwrap();
    rules.split_whitespace().map(String::from).collect()
}

/// Recreates the user `shop`.
fn set_user(server: &RedisServer, rules: &[&str]) {
    server.command(&["ACL", "DELUSER", "shop"]);
    let start = ["ACL", "SETUSER", "shop", "on", ">hunter2"];
    let answer = server.command(&[&start[..], rules].concat());
    assert_eq!(answer, "OK", "{rules:?}");
}

fn url_of_user(server: &RedisServer) -> String {
    // Another database than 0, so that SELECT is needed too.
    format!("redis://shop:{PASSWORD}@127.0.0.1:{}/1", server.port())
}

#[track_caller]
fn problem(answer: Result<RedisStore, StoreError>) -> String {
    match answer.unwrap_err() {
        StoreError::Open { store, problem } => {
            let text = format!("{store} {problem}");
            assert!(!text.contains(PASSWORD) && !text.contains("shop"), "{text}");
            problem
        }
        error => panic!("{error:?}"),
    }
}

fn keys(server: &RedisServer) -> String {
    server.command(&["INFO", "keyspace"])
}

#[tokio::test(flavor = "multi_thread")]
async fn documented_rights_are_enough_for_everything() {
    // M08: checks when connecting
    let server = RedisServer::start();
    let rules = documented_rules();
    let rules: Vec<_> = rules.iter().map(String::as_str).collect();
    set_user(&server, &rules);
    let empty = async || {
        server.command(&["FLUSHALL"]);
        RedisStore::connect(&url_of_user(&server)).await.unwrap()
    };
    check_sessions(empty).await;
    check_revocations(empty).await;
    RevocationHub::open(empty().await).await.unwrap();
    assert_eq!(keys(&server), "# Keyspace", "nothing is left behind");
}

#[tokio::test]
async fn each_missing_right_is_named() {
    // M08: checks when connecting
    let server = RedisServer::start();
    let rules = documented_rules();
    let commands: Vec<_> = rules
        .iter()
        .filter_map(|rule| rule.strip_prefix('+'))
        .collect();
    assert!(commands.len() > 15, "{commands:?}");
    for missing in &commands {
        let rules: Vec<_> = rules
            .iter()
            .map(String::as_str)
            .filter(|rule| rule.strip_prefix('+') != Some(missing))
            .collect();
        set_user(&server, &rules);
        let problem = problem(RedisStore::connect(&url_of_user(&server)).await);
        let command = missing.to_uppercase().replace('|', " ");
        let expected = format!("its user may not run {command}: add +{missing}; ");
        assert!(problem.contains(&expected), "{missing}: {problem}");
        // The whole line is in the error too, as documented.
        let line = documented_rules().join(" ");
        assert!(problem.contains(&line), "{problem}");
    }
    // All missing rights are named at once.
    set_user(&server, &["~*", "+@read", "+select", "+info"]);
    let answer = problem(RedisStore::connect(&url_of_user(&server)).await);
    for command in [
        "DEL",
        "EVALSHA",
        "SCRIPT LOAD",
        "SET",
        "TIME",
        "XADD",
        "ZREM",
    ] {
        assert!(answer.contains(command), "{answer}");
    }
    assert!(
        !answer.contains("may not run DEL, EVALSHA, EXISTS"),
        "{answer}"
    );
    assert_eq!(keys(&server), "# Keyspace");
}

#[tokio::test]
async fn each_missing_key_is_named() {
    // M08: checks when connecting
    let server = RedisServer::start();
    let rules = documented_rules();
    let commands: Vec<_> = rules
        .iter()
        .map(String::as_str)
        .filter(|rule| rule.starts_with('+'))
        .collect();
    let kinds = [
        "session:*",
        "subject:*",
        "client:*",
        "ends",
        "revocations",
        "revocation-ends",
        "revocation-texts",
    ];
    let pattern = |kind: &str| format!("~{{tower-bearer}}:{kind}");
    let all = kinds.map(pattern);
    let all: Vec<_> = all.iter().map(String::as_str).collect();
    set_user(&server, &[&all[..], &commands].concat());
    RedisStore::connect(&url_of_user(&server)).await.unwrap();
    for (index, kind) in kinds.iter().enumerate() {
        for instead in [None, Some('R'), Some('W')] {
            let instead = instead.map(|right| format!("%{right}{}", pattern(kind)));
            let mut patterns = all.clone();
            match &instead {
                Some(pattern) => patterns[index] = pattern,
                None => _ = patterns.remove(index),
            }
            set_user(&server, &[&patterns[..], &commands].concat());
            let problem = problem(RedisStore::connect(&url_of_user(&server)).await);
            let key = format!("{{tower-bearer}}:{}", kind.trim_end_matches('*'));
            assert!(problem.contains(&key), "{kind} {instead:?}: {problem}");
            assert!(problem.contains("add ~{tower-bearer}:*"), "{problem}");
        }
    }
    for rule in ["~other:*", "%R~*", "%W~*"] {
        set_user(&server, &[&[rule], &commands[..]].concat());
        let problem = problem(RedisStore::connect(&url_of_user(&server)).await);
        assert!(
            problem.contains("may not read and write the keys"),
            "{problem}"
        );
    }
    // With a custom prefix, the ACL line names that prefix.
    let builder = || RedisStore::builder(&url_of_user(&server)).prefix("a*b c");
    let problem = problem(builder().connect().await);
    assert!(problem.contains(r"add ~{a\*b?c}:*"), "{problem}");
    set_user(&server, &[&[r"~{a\*b?c}:*"], &commands[..]].concat());
    builder().connect().await.unwrap();
}

#[tokio::test]
async fn right_that_is_removed_later_is_named_and_returns() {
    // M08: checks when connecting. NOPERM is not an outage.
    let server = RedisServer::start();
    let rules = documented_rules();
    let rules: Vec<_> = rules.iter().map(String::as_str).collect();
    set_user(&server, &rules);
    let store = RedisStore::connect(&url_of_user(&server)).await.unwrap();
    let now = SystemTime::now();
    for (right, command) in [("get", "GET"), ("xadd", "XADD"), ("evalsha", "EVALSHA")] {
        store.insert(record(1, 0), now).await.unwrap();
        server.command(&["ACL", "SETUSER", "shop", &format!("-{right}")]);
        let answers = [
            store.find(id(1)).await.map(|_| ()),
            store.add(&session(right), now).await,
            store.remove(id(1)).await.map(|_| ()),
        ];
        let errors: Vec<_> = answers.into_iter().filter_map(Result::err).collect();
        assert!(!errors.is_empty(), "{right}");
        for error in &errors {
            let text = format!("{error} {error:?}");
            assert!(
                matches!(error, StoreError::Rejected { .. } | StoreError::Open { .. }),
                "{text}"
            );
            assert!(!text.contains("cannot be reached"), "{text}");
            assert!(!text.contains(PASSWORD) && !text.contains("shop"), "{text}");
        }
        // After that, the connection is checked again.
        let error = store.find(id(1)).await.unwrap_err().to_string();
        assert!(
            error.contains(&format!("may not run {command}: add +{right}")),
            "{error}"
        );
        server.command(&["ACL", "SETUSER", "shop", &format!("+{right}")]);
        store.remove(id(1)).await.unwrap();
        store.add(&session(right), now).await.unwrap();
    }
}

#[tokio::test]
async fn command_that_server_does_not_have_is_named() {
    // M08: checks when connecting
    let server = RedisServer::start_with(&["--rename-command", "ZADD", ""]);
    let problem = problem(RedisStore::connect(&server.url()).await);
    assert!(
        problem.contains("does not have the command ZADD"),
        "{problem}"
    );
}

#[tokio::test]
async fn policy_other_than_noeviction_is_rejected() {
    // M08: checks when connecting
    let mut server = RedisServer::start();
    for policy in POLICIES {
        for is_restarted in [false, true] {
            if is_restarted {
                server.kill();
                server.start_again_with(&["--maxmemory-policy", policy]);
            } else {
                server.command(&["CONFIG", "SET", "maxmemory-policy", policy]);
            }
            let connected = RedisStore::connect(&server.url()).await;
            if policy == "noeviction" {
                connected.unwrap();
            } else {
                let problem = problem(connected);
                assert!(
                    problem.contains(&format!("maxmemory-policy is {policy}")),
                    "{problem}"
                );
                assert!(problem.contains("insecure_allow_eviction"), "{problem}");
            }
            let builder = RedisStore::builder(&server.url()).insecure_allow_eviction();
            let store = builder.connect().await.unwrap();
            RevocationHub::open(store).await.unwrap();
        }
    }
}

#[tokio::test]
async fn eviction_policy_is_read_by_any_allowed_command() {
    // M08: checks when connecting
    let server = RedisServer::start();
    let rules = documented_rules();
    let rules: Vec<_> = rules
        .iter()
        .map(String::as_str)
        .filter(|rule| *rule != "+info")
        .collect();
    let connect = async || RedisStore::connect(&url_of_user(&server)).await;
    for (more, expected) in [
        (&["+config|get"][..], None),
        (&["+info"], None),
        (&["+info", "+config|get"], None),
        (&[], Some("may not run INFO: add +info")),
    ] {
        set_user(&server, &[&rules[..], more].concat());
        match (connect().await, expected) {
            (Ok(store), None) => {
                let hub = RevocationHub::open(store).await.unwrap();
                server.command(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
                let problem = problem(connect().await);
                assert!(problem.contains("is allkeys-lru"), "{problem}");
                until("the hub notices", || hub.last_error().is_some()).await;
                server.command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
            }
            (answer, Some(expected)) => {
                let problem = problem(answer);
                assert!(problem.contains(expected), "{problem}");
            }
            (answer, _) => panic!("{more:?}: {answer:?}"),
        }
    }
    let builder = RedisStore::builder(&url_of_user(&server)).insecure_allow_eviction();
    let store = builder.connect().await.unwrap();
    assert_eq!(store.has_append_only_file(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn change_of_policy_role_or_rights_is_noticed() {
    // M08: checks when connecting
    let mut server = RedisServer::start();
    let other = RedisServer::start();
    let port = other.port().to_string();
    let store = store(&server).await;
    let hub = RevocationHub::open(store.clone()).await.unwrap();
    let message = || {
        hub.last_error()
            .map(|error| error.to_string())
            .unwrap_or_default()
    };
    let policy = "is allkeys-lru";
    let role = "is a replica";
    for (change, back, expected) in [
        (
            vec!["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"],
            vec!["CONFIG", "SET", "maxmemory-policy", "noeviction"],
            policy,
        ),
        (
            vec!["REPLICAOF", "127.0.0.1", &port],
            vec!["REPLICAOF", "NO", "ONE"],
            role,
        ),
    ] {
        server.command(&change);
        until("the hub notices", || message().contains(expected)).await;
        until("the hub reports an outage", || !hub.is_synced()).await;
        server.command(&back);
        until("the hub is in touch", || hub.is_synced()).await;
    }
    for (options, expected) in [
        (vec!["--maxmemory-policy", "allkeys-lru"], policy),
        (vec!["--replicaof", "127.0.0.1", &port], role),
        (
            vec![
                "--user", "default", "on", "nopass", "~*", "+@all", "-xread", "-xadd",
            ],
            "may not run XADD, XREAD",
        ),
    ] {
        server.kill();
        server.start_again_with(&options);
        let error = loop {
            match store.find(id(1)).await {
                Err(StoreError::Open { problem, .. }) => break problem,
                // The dead connection.
                Err(StoreError::Unavailable { .. }) => {}
                answer => panic!("{answer:?}"),
            }
        };
        assert!(error.contains(expected), "{error}");
        let of_hub = expected.rsplit(", ").next().unwrap();
        until("the hub notices", || message().contains(of_hub)).await;
        until("the hub reports an outage", || !hub.is_synced()).await;
        server.kill();
        server.start_again_with(&[]);
        until("the hub is in touch", || hub.is_synced()).await;
        _ = store.find(id(1)).await;
        store.find(id(1)).await.unwrap();
    }
}

#[tokio::test]
async fn redis_that_accepts_no_writes_is_rejected() {
    // M08: checks when connecting
    for (options, expected) in [
        (&["--maxmemory", "1"][..], "OOM: its memory is full"),
        (
            &["--min-replicas-to-write", "1"],
            "NOREPLICAS: it has fewer replicas",
        ),
    ] {
        let server = RedisServer::start_with(options);
        let error = RedisStore::connect(&server.url()).await.unwrap_err();
        assert!(matches!(error, StoreError::Rejected { .. }), "{error:?}");
        assert!(error.to_string().contains(expected), "{error}");
    }
    // Reading continues if this state begins later.
    let server = RedisServer::start();
    let store = store(&server).await;
    let hub = RevocationHub::open(store.clone()).await.unwrap();
    server.command(&["CONFIG", "SET", "maxmemory", "1"]);
    let error = store
        .add(&session("s"), SystemTime::now())
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::Rejected { .. }), "{error:?}");
    assert!(error.to_string().contains("its memory is full"), "{error}");
    store.find(id(1)).await.unwrap();
    store.changes(None).await.unwrap();
    assert!(hub.is_synced());
    // Clients that try again cause no new connections.
    let connections = || {
        let stats = server.command(&["INFO", "stats"]);
        let mut lines = stats.lines();
        let count = lines.find_map(|line| line.strip_prefix("total_connections_received:"));
        count.unwrap().trim().parse::<u32>().unwrap()
    };
    let before = connections();
    for _ in 0..20 {
        store
            .add(&session("s"), SystemTime::now())
            .await
            .unwrap_err();
    }
    // The counting command has its own connection.
    assert_eq!(connections(), before + 1);
    assert_eq!(server.command(&["DBSIZE"]), "0");
}

#[tokio::test]
async fn keys_of_another_application_are_named() {
    // M08: checks when connecting
    let server = RedisServer::start();
    server.command(&["SET", "{tower-bearer}:revocations", "x"]);
    let problem = problem(RedisStore::connect(&server.url()).await);
    assert!(problem.contains("choose another prefix"), "{problem}");
    RedisStore::builder(&server.url())
        .prefix("other")
        .connect()
        .await
        .unwrap();
}

#[tokio::test]
async fn durability_is_reported() {
    // M08: checks when connecting
    let server = RedisServer::start();
    assert_eq!(store(&server).await.has_append_only_file(), Some(true));
    server.command(&["CONFIG", "SET", "appendonly", "no"]);
    assert_eq!(store(&server).await.has_append_only_file(), Some(false));
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_connections_disturb_neither_each_other_nor_the_data() {
    // M08: checks when connecting
    let server = RedisServer::start();
    let now = SystemTime::now();
    let first = store(&server).await;
    first.insert(record(1, 0), now).await.unwrap();
    first.add(&session("s"), now).await.unwrap();
    let before = server.command(&["DEBUG", "DIGEST"]);
    let connecting = (0..100).map(|_| {
        let url = server.url();
        tokio::spawn(async move {
            RedisStore::builder(&url)
                .timeout(20 * SECOND)
                .connect()
                .await
        })
    });
    let connecting: Vec<_> = connecting.collect();
    for connected in connecting {
        connected.await.unwrap().unwrap();
    }
    assert_eq!(server.command(&["DEBUG", "DIGEST"]), before);
}

/// Forwards each connection to the server, and copies the sent bytes to `sent`.
fn relay(server: &RedisServer, sent: &Arc<Mutex<Vec<u8>>>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, upstream) = (listener.local_addr().unwrap().port(), server.port());
    let sent = Arc::clone(sent);
    thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            let mut server = TcpStream::connect(("127.0.0.1", upstream)).unwrap();
            let mut answers = (server.try_clone().unwrap(), client.try_clone().unwrap());
            thread::spawn(move || _ = std::io::copy(&mut answers.0, &mut answers.1));
            let sent = Arc::clone(&sent);
            thread::spawn(move || {
                let mut buffer = [0; 4_096];
                while let Ok(count @ 1..) = client.read(&mut buffer) {
                    sent.lock().unwrap().extend(&buffer[..count]);
                    server.write_all(&buffer[..count]).unwrap();
                }
            });
        }
    });
    port
}

#[tokio::test]
async fn every_hello_names_protocol_version() {
    // M08: checks when connecting. Redis 6.0 answers to a HELLO without a version with an error.
    let server = RedisServer::start();
    let sent = Arc::default();
    let url = format!("redis://127.0.0.1:{}", relay(&server, &sent));
    let store = RedisStore::connect(&url).await.unwrap();
    let changes = store.changes(None).await.unwrap();
    store.changes(Some(&changes.cursor)).await.unwrap();
    let sent = String::from_utf8_lossy(&sent.lock().unwrap()).into_owned();
    let mut parts = sent.split("HELLO\r\n");
    _ = parts.next();
    let after: Vec<_> = parts.map(|part| part.starts_with("$1\r\n2\r\n")).collect();
    assert_eq!(after, [true; 4], "one for each connection and each read");
}

#[tokio::test]
async fn old_version_is_named() {
    // M08: checks when connecting
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        _ = stream.read(&mut [0; 1_024]);
        _ = stream.write_all(
            b"*4\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$7\r\nversion\r\n$5\r\n5.0.7\r\n",
        );
        _ = stream.read(&mut [0; 1_024]);
    });
    let problem = problem(RedisStore::connect(&format!("redis://127.0.0.1:{port}")).await);
    assert!(problem.contains("older than Redis 6"), "{problem}");
}

/// Closes connections that do not begin with a TLS record, with or without an alert, and answers to the rest
/// with `answer`.
fn tls_server(alert: &'static [u8], answer: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut start = [0; 5];
            stream.read_exact(&mut start).unwrap();
            match start {
                [22, 3, ..] => {
                    let length = usize::from(u16::from_be_bytes([start[3], start[4]]));
                    let mut hello = vec![0; length];
                    stream.read_exact(&mut hello).unwrap();
                    assert_eq!(hello[0], 1, "a ClientHello");
                    let of_hello = usize::from(u16::from_be_bytes([hello[2], hello[3]]));
                    assert_eq!(of_hello + 4, length);
                    stream.write_all(answer).unwrap();
                    _ = stream.read(&mut [0; 1]);
                }
                // Closing a connection with unread data resets it.
                _ => _ = stream.write_all(alert),
            }
        }
    });
    port
}

#[tokio::test]
async fn tls_without_rediss_is_recognised() {
    // M08: checks when connecting
    let alert: &[u8] = &[21, 3, 3, 0, 2, 2, 40];
    for (first, answer) in [
        (&[][..], alert),
        (alert, alert),
        (&[], &[22, 3, 3, 0, 90, 2, 0, 0]),
    ] {
        let url = format!(
            "redis://:{PASSWORD}@127.0.0.1:{}",
            tls_server(first, answer)
        );
        let start = Instant::now();
        let problem = problem(RedisStore::connect(&url).await);
        assert!(problem.contains("seems to speak TLS"), "{problem}");
        assert!(start.elapsed() < SECOND);
    }
    // A server that closes every connection is no proof.
    let url = format!("redis://127.0.0.1:{}", tls_server(&[], &[]));
    let error = RedisStore::connect(&url).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
    let url = format!(
        "redis://127.0.0.1:{}",
        tls_server(&[], b"-ERR unknown command\r\n")
    );
    let error = RedisStore::connect(&url).await.unwrap_err();
    let source = error.source().map(ToString::to_string).unwrap_or_default();
    assert!(!format!("{error} {source}").contains("TLS"), "{error:?}");
}

#[tokio::test]
async fn tls_port_of_redis_is_recognised() {
    // M08: checks when connecting
    let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keys");
    let (certificate, key) = (keys.join("p256.certificate.pem"), keys.join("p256.pem"));
    let port = free_port().to_string();
    let server = RedisServer::start_with(&[
        "--tls-port",
        &port,
        "--tls-cert-file",
        certificate.to_str().unwrap(),
        "--tls-key-file",
        key.to_str().unwrap(),
        "--tls-ca-cert-file",
        certificate.to_str().unwrap(),
        "--tls-auth-clients",
        "no",
    ]);
    let url = format!("redis://:{PASSWORD}@127.0.0.1:{port}");
    let problem = problem(RedisStore::connect(&url).await);
    assert!(problem.contains("seems to speak TLS"), "{problem}");
    store(&server).await;
}
