//! The page: its cookies, and who may send a request with them.

use std::collections::HashMap;

use http::Method;
use serde_json::json;

use crate::client::{Answer, Client, FORM, form};
use crate::service::{ALICE, Service};

const ACCESS: &str = "__Host-access";
const REFRESH: &str = "__Secure-refresh";
const SAME_ORIGIN: (&str, &str) = ("sec-fetch-site", "same-origin");

/// The cookies that an answer sets: value and attributes by name.
fn cookies(answer: &Answer) -> HashMap<&str, (&str, Vec<&str>)> {
    let all = answer.headers.get_all("set-cookie").iter();
    let all = all.map(|value| {
        let mut parts = value.to_str().unwrap().split("; ");
        let (name, value) = parts.next().unwrap().split_once('=').unwrap();
        (name, (value, parts.collect()))
    });
    all.collect()
}

/// What the browser would send.
fn jar(answer: &Answer) -> String {
    let cookies = cookies(answer);
    let value = |name| cookies[name].0;
    format!("{ACCESS}={}; {REFRESH}={}", value(ACCESS), value(REFRESH))
}

async fn log_in(client: &Client, headers: &[(&str, &str)]) -> Answer {
    let body = form(&[("username", "alice"), ("password", ALICE)]);
    let headers = [&[FORM], headers].concat();
    client.send(Method::POST, "/session", &headers, &body).await
}

#[tokio::test]
async fn tokens_are_in_cookies_that_no_script_reads() {
    let service = Service::start();
    let client = Client::new(service.address);
    let first = log_in(&client, &[SAME_ORIGIN]).await;
    let jar = jar(&first);
    let headers = [SAME_ORIGIN, ("cookie", &*jar)];
    let second = client
        .send(Method::POST, "/session/refresh", &headers, "")
        .await;
    for answer in [&first, &second] {
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.json(), json!({"expires_in": 900}));
        let cookies = cookies(answer);
        assert_eq!(cookies.len(), 2);
        for (name, path, age) in [
            (ACCESS, "Path=/", "Max-Age=900"),
            (REFRESH, "Path=/session", "Max-Age=604800"),
        ] {
            let (value, attributes) = &cookies[name];
            assert!(value.len() >= 64, "{name}");
            let expected = [path, "Secure", "HttpOnly", "SameSite=Strict", age];
            assert_eq!(*attributes, expected, "{name}");
        }
    }
    assert_ne!(first.headers["set-cookie"], second.headers["set-cookie"]);

    let jar = self::jar(&second);
    let headers = [SAME_ORIGIN, ("cookie", &*jar)];
    let answer = client.send(Method::DELETE, "/session", &headers, "").await;
    assert_eq!(answer.status, 204);
    for (name, path) in [(ACCESS, "Path=/"), (REFRESH, "Path=/session")] {
        let expected = (
            "",
            vec![path, "Secure", "HttpOnly", "SameSite=Strict", "Max-Age=0"],
        );
        assert_eq!(cookies(&answer)[name], expected);
    }
    let answer = client.send(Method::GET, "/me", &headers, "").await;
    assert_eq!(answer.status, 401, "the logout works for a copy, too");
    let answer = client
        .send(Method::POST, "/session/refresh", &headers, "")
        .await;
    answer.is_error(400, "invalid_grant");
    assert_eq!(cookies(&answer)[REFRESH].0, "");
    // The access token alone ends as well.
    let third = log_in(&client, &[SAME_ORIGIN]).await;
    let access = format!("{ACCESS}={}", cookies(&third)[ACCESS].0);
    let headers = [SAME_ORIGIN, ("cookie", &*access)];
    for (method, path, status) in [
        (Method::GET, "/me", 200),
        (Method::DELETE, "/session", 204),
        (Method::GET, "/me", 401),
    ] {
        let answer = client.send(method, path, &headers, "").await;
        assert_eq!(answer.status, status, "{path}");
    }
    // There may be nothing to end.
    let answer = client
        .send(Method::DELETE, "/session", &[SAME_ORIGIN], "")
        .await;
    assert_eq!(answer.status, 204);
}

#[tokio::test]
async fn requests_of_other_sites_change_nothing() {
    let service = Service::start();
    let client = Client::new(service.address);
    let jar = jar(&log_in(&client, &[SAME_ORIGIN]).await);
    let cookie = ("cookie", &*jar);
    let id = {
        let answer = client
            .send(Method::GET, "/auth/sessions", &[cookie], "")
            .await;
        answer.json()[0]["id"].as_str().unwrap().to_owned()
    };
    let session = format!("/auth/sessions/{id}");
    let credentials = form(&[("username", "alice"), ("password", ALICE)]);
    let task = json!({"text": "pay mallory"}).to_string();
    let json = ("content-type", "application/json");
    let requests = [
        (Method::POST, "/session", FORM, &*credentials),
        (Method::POST, "/session/refresh", FORM, ""),
        (Method::DELETE, "/session", FORM, ""),
        (Method::POST, "/tasks", json, &*task),
        (Method::POST, "/auth/logout", FORM, ""),
        (Method::DELETE, &*session, FORM, ""),
    ];
    let own = format!("http://{}", service.address);
    let foreign: [&[(&str, &str)]; 9] = [
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        // (L02: unknown values)
        &[("sec-fetch-site", "unheard-of")],
        &[
            ("sec-fetch-site", "same-origin"),
            ("sec-fetch-site", "cross-site"),
        ],
        &[("sec-fetch-site", "cross-site"), ("origin", &own)],
        &[("origin", "https://evil.example")],
        &[("origin", "http://127.0.0.1:1")],
        &[("origin", "null")],
        &[("origin", &own), ("origin", "https://evil.example")],
    ];
    for (method, path, kind, body) in &requests {
        for headers in foreign {
            let headers = [headers, &[*kind, cookie]].concat();
            let answer = client.send(method.clone(), path, &headers, body).await;
            assert_eq!(
                answer.status, 403,
                "{method} {path} {headers:?}: {answer:?}"
            );
            assert!(
                answer.headers.get("set-cookie").is_none(),
                "{method} {path}"
            );
        }
    }
    for (path, count) in [("/tasks", 0), ("/auth/sessions", 1)] {
        let answer = client.send(Method::GET, path, &[cookie], "").await;
        assert_eq!(answer.json().as_array().unwrap().len(), count, "{path}");
    }
    // The same from the page itself, or from a browser that is too old to say more.
    let headers = [SAME_ORIGIN, cookie, json];
    let answer = client.send(Method::POST, "/tasks", &headers, &task).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let headers = [("origin", &*own), cookie, FORM];
    let answer = client
        .send(Method::POST, "/session/refresh", &headers, "")
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test]
async fn a_cookie_that_is_there_twice_is_none() {
    let service = Service::start();
    let client = Client::new(service.address);
    let own = jar(&log_in(&client, &[SAME_ORIGIN]).await);
    let mallorys = jar(&log_in(&client, &[SAME_ORIGIN]).await);
    // As another host of the domain could put it there, for a longer path.
    let both = format!("{mallorys}; {own}");
    for headers in [
        vec![SAME_ORIGIN, ("cookie", &*both)],
        vec![SAME_ORIGIN, ("cookie", &*mallorys), ("cookie", &*own)],
    ] {
        let answer = client
            .send(Method::POST, "/session/refresh", &headers, "")
            .await;
        answer.is_error(400, "invalid_grant");
        let answer = client.send(Method::GET, "/me", &headers, "").await;
        assert_eq!(answer.status, 400, "{answer:?}");
    }
    // Neither was used up, nor is a cookie whose name ends alike looked at.
    for jar in [
        own.clone(),
        format!("x{mallorys}; x{REFRESH}=1; {own}; empty=; alone"),
    ] {
        let headers = [SAME_ORIGIN, ("cookie", &*jar)];
        let answer = client.send(Method::GET, "/me", &headers, "").await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let headers = [SAME_ORIGIN, ("cookie", &*own)];
    let answer = client
        .send(Method::POST, "/session/refresh", &headers, "")
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test]
async fn the_page_runs_nothing_but_its_own_script() {
    let service = Service::start();
    let client = Client::new(service.address);
    for (path, kind) in [
        ("/", "text/html"),
        ("/page.js", "text/javascript"),
        ("/page.css", "text/css"),
    ] {
        let answer = client.send(Method::GET, path, &[], "").await;
        assert!(answer.header("content-type").starts_with(kind), "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        let policy = answer.header("content-security-policy");
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        ] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert!(!answer.body.contains("innerHTML"), "{path}");
    }
    let policy = client.send(Method::GET, "/docs/", &[], "").await;
    let policy = policy.header("content-security-policy");
    assert!(policy.contains("script-src 'self';"), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    // What a session is called is a text of at most 200 characters, whatever the browser calls itself.
    let agent = format!("<script>alert(1)</script>{}", "x".repeat(5_000));
    let answer = log_in(&client, &[SAME_ORIGIN, ("user-agent", &agent)]).await;
    let jar = jar(&answer);
    let answer = client
        .send(Method::GET, "/auth/sessions", &[("cookie", &jar)], "")
        .await;
    assert_eq!(answer.header("content-type"), "application/json");
    let label = answer.json()[0]["label"].as_str().unwrap().to_owned();
    assert_eq!(label, agent[..200]);
}
