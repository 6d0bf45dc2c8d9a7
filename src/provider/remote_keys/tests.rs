use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};

use super::*;
use crate::clock::ManualClock;
use crate::provider::{Fetch, FetchError};
use crate::validator::BoxFuture;

/// Answers with the set of the moment.
#[derive(Clone)]
struct Issuer(Arc<Shared>);

struct Shared {
    jwks: Mutex<String>,
    asked: AtomicUsize,
}

impl Fetch for Issuer {
    fn fetch(&self, _: Request<Bytes>, _: usize) -> BoxFuture<Result<Response<Bytes>, FetchError>> {
        self.0.asked.fetch_add(1, Ordering::SeqCst);
        let body = Bytes::from(self.0.jwks.lock().unwrap().clone());
        Box::pin(async move { Ok(Response::new(body)) })
    }
}

impl Issuer {
    fn set(&self, kid: &str) {
        *self.0.jwks.lock().unwrap() = format!(
            r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","kid":"{kid}","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}}]}}"#
        );
    }

    fn asked(&self) -> usize {
        self.0.asked.load(Ordering::SeqCst)
    }
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

async fn connected(kid: &str) -> (Issuer, RemoteKeys) {
    let issuer = Issuer(Arc::new(Shared {
        jwks: Mutex::default(),
        asked: AtomicUsize::new(0),
    }));
    issuer.set(kid);
    let keys = RemoteKeys::builder("https://issuer.example/jwks")
        .fetcher(issuer.clone())
        .clock(ManualClock::new(now()))
        .connect()
        .await
        .unwrap();
    (issuer, keys)
}

fn at_hand(keys: &RemoteKeys) -> Arc<KeySet> {
    match keys.current(now()) {
        Current::Keys(keys) => keys,
        Current::Pending(_) => panic!("no keys at hand"),
        Current::Unavailable(failure) => panic!("{failure}"),
    }
}

async fn waited(missing: Missing) -> Option<Arc<KeySet>> {
    match missing {
        Missing::Pending(keys) => Some(keys.await.unwrap()),
        Missing::Definitive => None,
        Missing::Unavailable(failure) => panic!("{failure}"),
    }
}

#[tokio::test]
async fn request_with_a_stale_key_set_uses_the_fetched_set() {
    // E08: a request reads the keys, a fetch brings others, and then the request finds no key.
    let (issuer, keys) = connected("old").await;
    let before = at_hand(&keys);
    issuer.set("new");
    assert!(waited(keys.missing(Some("another"), now())).await.is_some());
    assert_eq!(issuer.asked(), 2);
    let after = at_hand(&keys);
    assert!(!Arc::ptr_eq(&before, &after));
    for missing in [
        keys.missing(Some("new"), now()),
        keys.missing(None, now()),
        keys.suspicious(now()),
    ] {
        let found = waited(missing).await.unwrap();
        assert!(Arc::ptr_eq(&found, &after));
    }
    assert!(waited(keys.missing(Some("another"), now())).await.is_none());
    assert!(waited(keys.missing(Some("a third"), now())).await.is_none());
    assert_eq!(issuer.asked(), 2);
}

#[tokio::test]
async fn unchanged_key_set_keeps_its_allocation() {
    // F05: whatever is bound to a set lasts as long as the set.
    let (issuer, keys) = connected("a").await;
    let before = at_hand(&keys);
    keys.refresh().await.unwrap();
    assert!(Arc::ptr_eq(&before, &at_hand(&keys)));
    issuer.set("b");
    keys.refresh().await.unwrap();
    assert!(!Arc::ptr_eq(&before, &at_hand(&keys)));
    assert_eq!(issuer.asked(), 3);
}

#[tokio::test]
async fn lookup_during_a_refresh_decision_is_answered() {
    // E08: with usable keys, nobody waits for a lock.
    let (_, keys) = connected("a").await;
    let due = now() + Duration::from_secs(600);
    let deciding = keys.key_cache.lock();
    let (tell, told) = std::sync::mpsc::channel();
    let other = keys.clone();
    std::thread::spawn(move || tell.send(matches!(other.current(due), Current::Keys(_))));
    assert_eq!(told.recv_timeout(Duration::from_secs(30)), Ok(true));
    drop(deciding);
}
