//! What is configured wrongly is said clearly, and never with the password.

use std::error::Error as _;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use tower_bearer::issuing::store::StoreError;
use tower_bearer_redis::RedisStore;

use crate::redis_server::{RedisServer, free_port};
use crate::{SECOND, is_unavailable, store};

const PASSWORD: &str = "hunter2";

/// All that an error says, for users and for developers.
fn everything(error: &StoreError) -> String {
    let source = error.source().map(ToString::to_string);
    format!("{error} {error:?} {}", source.unwrap_or_default())
}

#[track_caller]
fn is_refused(answer: Result<RedisStore, StoreError>, why: &str) {
    let error = answer.unwrap_err();
    let said = everything(&error);
    assert!(matches!(error, StoreError::Open { .. }), "{said}");
    assert!(said.contains(why), "{said}");
    assert!(!said.contains(PASSWORD), "{said}");
}

/// Answers whatever comes with `answer`, `ECHO` in it replaced by what came.
fn answering(answer: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut heard = [0; 1_024];
            let length = stream.read(&mut heard).unwrap();
            let heard = String::from_utf8_lossy(&heard[..length]).replace("\r\n", " ");
            let answer = answer.replace("ECHO", &heard);
            _ = stream.write_all(answer.as_bytes());
            // Until the other side has had enough.
            _ = stream.read(&mut [0; 1_024]);
        }
    });
    port
}

#[tokio::test]
async fn a_url_that_cannot_be_read_is_refused() {
    for url in [
        "",
        "localhost",
        "http://:hunter2@localhost",
        "redis://:hunter2@h:x",
    ] {
        is_refused(RedisStore::connect(url).await, "expected redis://");
    }
    is_refused(RedisStore::connect("rediss://:hunter2@h").await, "TLS");
}

#[tokio::test]
async fn a_prefix_that_is_no_hash_tag_is_refused() {
    let server = RedisServer::start();
    for prefix in ["", "a}b", "{a"] {
        let builder = RedisStore::builder(&server.url()).prefix(prefix);
        is_refused(builder.connect().await, "prefix");
    }
}

#[tokio::test]
async fn nobody_there_is_said_at_once() {
    let start = Instant::now();
    let url = format!("redis://:{PASSWORD}@127.0.0.1:{}", free_port());
    let error = RedisStore::connect(&url).await.unwrap_err();
    let said = everything(&error);
    assert!(said.contains("onnection refused"), "{said}");
    assert!(said.contains("redis://127.0.0.1:"), "{said}");
    assert!(!said.contains(PASSWORD), "{said}");
    is_unavailable(Err::<(), _>(error));
    assert!(start.elapsed() < SECOND);

    is_unavailable(RedisStore::connect("redis://nobody.invalid").await);
    #[cfg(unix)]
    is_unavailable(RedisStore::connect("redis+unix:///nowhere/redis.sock").await);
}

#[tokio::test]
async fn who_says_nothing_is_not_waited_for() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let limit = Duration::from_millis(150);
    let start = Instant::now();
    let url = format!("redis://:{PASSWORD}@127.0.0.1:{port}");
    let error = RedisStore::builder(&url).timeout(limit).connect().await;
    let said = everything(error.as_ref().unwrap_err());
    assert!(said.contains("150ms") && !said.contains(PASSWORD), "{said}");
    is_unavailable(error);
    assert!((limit..SECOND).contains(&start.elapsed()));
}

#[tokio::test]
async fn what_is_no_redis_is_refused() {
    for (answer, why) in [
        ("HTTP/1.1 400 Bad Request\r\n\r\nECHO", "no Redis"),
        (
            "-ERR unknown command `HELLO`, with args: ECHO\r\n",
            "older than Redis 6",
        ),
        ("+OK ECHO\r\n", "no Redis"),
        ("*0\r\n", "no Redis"),
        ("*2\r\n$4\r\nmode\r\n$7\r\ncluster\r\n", "Cluster"),
        ("*2\r\n$4\r\nmode\r\n$8\r\nsentinel\r\n", "Sentinel"),
    ] {
        let url = format!("redis://:{PASSWORD}@127.0.0.1:{}", answering(answer));
        is_refused(RedisStore::connect(&url).await, why);
    }
    // Other errors may pass.
    for answer in [
        "-ERR max number of clients reached\r\n",
        "-LOADING Redis is loading ECHO\r\n",
        "-DENIED Redis is running in protected mode ECHO\r\n",
        "-ECHO\r\n",
    ] {
        let url = format!("redis://:{PASSWORD}@127.0.0.1:{}", answering(answer));
        let error = RedisStore::connect(&url).await.unwrap_err();
        assert!(!everything(&error).contains(PASSWORD), "{error:?}");
        is_unavailable(Err::<(), _>(error));
    }
}

#[tokio::test]
async fn wrong_credentials_and_databases_are_refused() {
    let server = RedisServer::start_with(&["--requirepass", PASSWORD, "--databases", "2"]);
    let at = format!("127.0.0.1:{}", server.port());
    for (url, why) in [
        (format!("redis://{at}"), "wants a password"),
        (
            format!("redis://:wrong@{at}"),
            "refuses the user or the password",
        ),
        (
            format!("redis://alice:{PASSWORD}@{at}"),
            "refuses the user or the password",
        ),
        (format!("redis://:{PASSWORD}@{at}/2"), "no database 2"),
    ] {
        is_refused(RedisStore::connect(&url).await, why);
    }
    let url = format!("redis://:{PASSWORD}@{at}/1");
    let store = RedisStore::connect(&url).await.unwrap();
    let said = format!("{store:?} {:?}", RedisStore::builder(&url));
    assert!(said.contains("/1") && !said.contains(PASSWORD), "{said}");
}

#[tokio::test]
async fn a_replica_is_refused() {
    let master = RedisServer::start();
    store(&master).await;
    let port = master.port().to_string();
    let replica = RedisServer::start_with(&["--replicaof", "127.0.0.1", &port]);
    is_refused(RedisStore::connect(&replica.url()).await, "replica");
}
