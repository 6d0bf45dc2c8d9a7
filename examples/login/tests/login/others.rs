//! What a user may not do to others, or take too much of.

use std::time::{SystemTime, UNIX_EPOCH};

use http::Method;
use serde_json::{Value, json};

use crate::client::{Answer, Client, FORM, form};
use crate::service::{ADMIN, ALICE, Service};

async fn add(client: &Client, token: &str, task: &Value) -> Answer {
    let token = format!("Bearer {token}");
    let headers = [
        ("authorization", &*token),
        ("content-type", "application/json"),
    ];
    client
        .send(Method::POST, "/tasks", &headers, &task.to_string())
        .await
}

async fn count(client: &Client, path: &str, token: &str) -> usize {
    client
        .get(path, token)
        .await
        .json()
        .as_array()
        .unwrap()
        .len()
}

#[tokio::test]
async fn users_have_what_is_theirs() {
    let service = Service::start();
    let client = Client::new(service.address);
    let alice = client.log_in("alice", ALICE).await.access;
    let admin = client.log_in("admin", ADMIN).await.access;

    let answer = add(&client, &alice, &json!({"text": "water the plants"})).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let task = format!("/tasks/{}", answer.json()["id"]);
    assert_eq!(client.get(&task, &alice).await.status, 200);
    let foreign = client.get(&task, &admin).await;
    let missing = client.get("/tasks/99999", &alice).await;
    assert_eq!((foreign.status, missing.status), (404, 404));
    assert_eq!(foreign.body, missing.body);
    assert_eq!(count(&client, "/tasks", &admin).await, 0);
    // The owner is who calls, whatever the body says; and to write takes a scope.
    let answer = add(
        &client,
        &alice,
        &json!({"text": "x", "owner": "admin", "id": 7}),
    )
    .await;
    assert_eq!((answer.status, &answer.json()["id"]), (201, &json!(1)));
    assert_eq!(count(&client, "/tasks", &admin).await, 0);
    assert_eq!(
        add(&client, &admin, &json!({"text": "x"})).await.status,
        403
    );

    let own = client.get("/auth/sessions", &alice).await.json();
    let session = format!("/auth/sessions/{}", own[0]["id"].as_str().unwrap());
    for id in [
        &session,
        "/auth/sessions/00000000000000000000000000000000",
        "/auth/sessions/x",
    ] {
        let answer = client.call(Method::DELETE, id, &admin).await;
        assert_eq!((answer.status, &*answer.body), (404, ""), "{id}");
    }
    let (post, path) = (Method::POST, "/admin/users/admin/logout");
    assert_eq!(client.call(post, path, &alice).await.status, 403);
    assert_eq!(client.get("/me", &admin).await.status, 200);
    assert_eq!(client.get("/me", &alice).await.status, 200);
    let answer = client.call(Method::DELETE, &session, &alice).await;
    assert_eq!(answer.status, 204);
    assert_eq!(client.get("/me", &alice).await.status, 401);
}

#[tokio::test]
async fn users_are_told_when_their_token_expires() {
    let service = Service::with(&[("ACCESS_TTL", "100"), ("ALICE_PASSWORD", ALICE)]);
    let client = Client::new(service.address);
    let answer = client.try_password("alice", ALICE).await;
    assert_eq!(answer.json()["expires_in"], 100);
    let me = client.get("/me", &answer.tokens().access).await.json();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let left = me["expires_at"].as_u64().unwrap() - now.as_secs();
    assert!((70..=100).contains(&left), "{me}");
    assert_eq!(me["scopes"], json!(["tasks:read", "tasks:write"]));
}

#[tokio::test]
async fn nobody_takes_more_than_there_is() {
    let service = Service::start();
    let client = Client::new(service.address);
    let alice = client.log_in("alice", ALICE).await.access;
    for _ in 0..100 {
        let answer = add(&client, &alice, &json!({"text": "x"})).await;
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    assert_eq!(
        add(&client, &alice, &json!({"text": "x"})).await.status,
        409
    );

    let long = "x".repeat(16_384);
    assert_eq!(
        add(&client, &alice, &json!({"text": long})).await.status,
        413
    );
    for path in ["/auth/token", "/auth/refresh", "/auth/revoke", "/session"] {
        let answer = client.form(path, &[("username", &*long)]).await;
        assert_eq!(answer.status, 413, "{path} {answer:?}");
    }
    // More than is granted is not granted.
    for scope in [
        "tasks:delete",
        "tasks:read admin",
        "tasks:read  tasks:write",
        " ",
    ] {
        let pairs = [
            ("grant_type", "password"),
            ("client_id", "cli"),
            ("username", "alice"),
            ("password", ALICE),
            ("scope", scope),
        ];
        let answer = client.form("/auth/token", &pairs).await;
        answer.is_error(400, "invalid_scope");
    }
    // A client that there is not, and one that has no secret.
    for (id, secret) in [("other", None), ("", None), ("cli", Some("secret"))] {
        let mut pairs = vec![
            ("grant_type", "password"),
            ("username", "alice"),
            ("password", ALICE),
        ];
        pairs.push(("client_id", id));
        pairs.extend(secret.map(|secret| ("client_secret", secret)));
        let answer = client.form("/auth/token", &pairs).await;
        assert!([400, 401].contains(&answer.status), "{id}: {answer:?}");
        assert!(!answer.body.contains("access_token"));
    }
}

#[tokio::test]
async fn every_method_and_path_has_its_rule() {
    let service = Service::start();
    let client = Client::new(service.address);
    let cases = [
        (Method::HEAD, "/", 200),
        (Method::HEAD, "/me", 401),
        (Method::OPTIONS, "/me", 401),
        (Method::OPTIONS, "/session", 405),
        (Method::GET, "/session", 405),
        (Method::POST, "/", 401),
        (Method::GET, "/page.css", 200),
        (Method::GET, "/page.css/", 401),
        (Method::GET, "/session/other", 401),
        (Method::GET, "/docs/", 200),
        (Method::GET, "/docs/../me", 400),
        (Method::GET, "/docs%2f..%2fme", 400),
        (Method::GET, "/auth/token", 405),
        (Method::GET, "/auth/token/x", 401),
        (Method::GET, "/nowhere", 401),
        (Method::GET, "/.well-known/jwks.json", 200),
    ];
    for (method, path, status) in cases {
        let answer = client.send(method.clone(), path, &[], "").await;
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        if method == Method::HEAD {
            assert_eq!(answer.body, "");
        }
    }
    // Nothing is for a cache but the keys, which are for everybody.
    let alice = client.log_in("alice", ALICE).await.access;
    for (path, directive) in [
        ("/", "no-store"),
        ("/me", "no-store"),
        ("/tasks", "no-store"),
        ("/tasks/99", "no-store"),
        ("/auth/sessions", "no-store"),
        ("/.well-known/jwks.json", "public, max-age=300"),
    ] {
        let answer = client.get(path, &alice).await;
        assert_eq!(answer.header("cache-control"), directive, "{path}");
    }
    // Nothing in a URL logs anybody in, where it would be logged.
    let query = form(&[
        ("grant_type", "password"),
        ("client_id", "cli"),
        ("username", "alice"),
        ("password", ALICE),
    ]);
    let path = format!("/auth/token?{query}");
    let answer = client.send(Method::POST, &path, &[FORM], "").await;
    answer.is_error(400, "invalid_request");
    let path = format!("/me?access_token={alice}");
    assert_eq!(client.send(Method::GET, &path, &[], "").await.status, 401);
}
