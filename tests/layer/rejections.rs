//! The table of answers: each way to be refused, over HTTP and over gRPC.

use std::error::Error as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use tower::Layer as _;
use tower_bearer::clock::ManualClock;
use tower_bearer::policy::{
    Denial, Policies, PolicyContext, acr, all_scopes, any_scope, authenticated, max_age, optional,
    permit, policy_fn, public, role, scope,
};
use tower_bearer::{
    BearerAuthLayer, Credential, Failure, InvalidReason, Outcome, Rejection, RejectionKind,
    RequestView, Source, Validated, Validator, Verdict, validator_fn,
};

use crate::support::{Answer, Body, Greet, Unreachable, User, send, start};

/// Knows a few tokens, and answers some as if it could not tell.
#[derive(Clone)]
struct Directory;

impl Validator for Directory {
    type Principal = User;

    fn validate(&self, credential: &Credential<'_>, _: &RequestView<'_>) -> Verdict<User> {
        let (name, later) = match credential.token().strip_prefix("later-") {
            Some(name) => (name.to_owned(), true),
            None => (credential.token().to_owned(), false),
        };
        let result = answer(&name);
        if later {
            return Verdict::pending(async move {
                tokio::task::yield_now().await;
                result
            });
        }
        result.into()
    }
}

fn answer(name: &str) -> Result<Validated<User>, Failure> {
    let user = User {
        subject: "alice",
        scope: "orders:read",
        ..User::default()
    };
    match name {
        "alice" => Ok(Validated::new(user)),
        "mfa" => Ok(Validated::new(User {
            acr: Some("mfa"),
            auth_time: Some(start() - Duration::from_secs(301)),
            ..user
        })),
        "fresh" => Ok(Validated::new(User {
            acr: Some("mfa"),
            auth_time: Some(start() - Duration::from_secs(300)),
            ..user
        })),
        "ending" => Ok(Validated::new(user).with_expiry(start() + Duration::from_secs(1))),
        "ended" => Ok(Validated::new(user).with_expiry(start())),
        "down" => Err(Failure::unavailable("secret-text of the store")),
        "busy" => Err(Failure::throttled(Duration::from_millis(1_500))),
        "malformed" => Err(Failure::invalid(InvalidReason::Malformed)),
        "foreign" => Err(Failure::unrecognized()),
        _ => Err(Failure::invalid(InvalidReason::Unknown)),
    }
}

fn layer() -> BearerAuthLayer<Directory, Policies<User>> {
    let policies = Policies::builder()
        .at("/health", public())
        .under("/optional", optional())
        .under("/orders", scope("orders:read"))
        .under("/orders", scope("orders:write").on([Method::POST]))
        .under("/reports", all_scopes(["reports:read", "orders:read"]))
        .under("/any", any_scope(["small", "large"]))
        .under("/admin", role("admin"))
        .under("/transfers", acr(["phr", "mfa"]))
        .under("/transfers", max_age(Duration::from_secs(300)))
        .under(
            "/store",
            policy_fn(|_: &PolicyContext<'_, User>| {
                Err::<(), _>(Denial::unavailable().with_retry_after(Duration::from_secs(30)))
            }),
        )
        .under(
            "/slow",
            policy_fn(|_: &PolicyContext<'_, User>| async {
                tokio::task::yield_now().await;
                false
            }),
        )
        .build()
        .unwrap();
    BearerAuthLayer::new(Directory)
        .with_policy(policies)
        .with_clock(ManualClock::new(start()))
}

fn request(method: &str, path: &str, tokens: &[&str]) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for token in tokens {
        request = request.header("authorization", *token);
    }
    request.body(Body::default()).unwrap()
}

struct Case {
    name: &'static str,
    method: &'static str,
    path: &'static str,
    authorization: &'static [&'static str],
    status: u16,
    challenge: Option<&'static str>,
    error: Option<&'static str>,
    grpc: &'static str,
    retry_after: Option<&'static str>,
    kind: &'static str,
}

const REFUSED: Case = Case {
    name: "",
    method: "GET",
    path: "/me",
    authorization: &[],
    status: 401,
    challenge: None,
    error: None,
    grpc: "16",
    retry_after: None,
    kind: "",
};

/// One case for each rejection (I02: error codes, I03: challenge of a 401, I04: client texts,
/// I05: no storing, I06: trailers-only).
fn cases() -> Vec<Case> {
    let invalid_token = Some(r#"Bearer realm="api", error="invalid_token""#);
    let invalid_request = Some(r#"Bearer realm="api", error="invalid_request""#);
    vec![
        Case {
            name: "no credential",
            challenge: Some(r#"Bearer realm="api""#),
            kind: "missing-credential",
            ..REFUSED
        },
        Case {
            name: "another scheme",
            authorization: &["Digest username=x"],
            challenge: Some(r#"Bearer realm="api""#),
            kind: "missing-credential",
            ..REFUSED
        },
        Case {
            name: "no credential, scope known",
            path: "/orders/7",
            challenge: Some(r#"Bearer realm="api", scope="orders:read""#),
            kind: "missing-credential",
            ..REFUSED
        },
        Case {
            name: "no credential, all scopes of the method",
            method: "POST",
            path: "/orders",
            challenge: Some(r#"Bearer realm="api", scope="orders:read orders:write""#),
            kind: "missing-credential",
            ..REFUSED
        },
        Case {
            name: "two credentials",
            authorization: &["Bearer alice", "Bearer alice"],
            status: 400,
            challenge: invalid_request,
            error: Some("invalid_request"),
            kind: "invalid-request",
            ..REFUSED
        },
        Case {
            name: "malformed header",
            authorization: &["Bearer a b"],
            status: 400,
            challenge: invalid_request,
            error: Some("invalid_request"),
            kind: "invalid-request",
            ..REFUSED
        },
        Case {
            name: "malformed, says the validator",
            authorization: &["Bearer malformed"],
            status: 400,
            challenge: invalid_request,
            error: Some("invalid_request"),
            kind: "invalid-request",
            ..REFUSED
        },
        Case {
            name: "unknown token",
            authorization: &["Bearer nonsense"],
            challenge: invalid_token,
            error: Some("invalid_token"),
            kind: "invalid-token",
            ..REFUSED
        },
        // (B16: placeholder tokens)
        Case {
            name: "placeholder",
            authorization: &["Bearer undefined"],
            challenge: invalid_token,
            error: Some("invalid_token"),
            kind: "invalid-token",
            ..REFUSED
        },
        Case {
            name: "unrecognized token",
            authorization: &["Bearer foreign"],
            challenge: invalid_token,
            error: Some("invalid_token"),
            kind: "invalid-token",
            ..REFUSED
        },
        Case {
            name: "expired token",
            authorization: &["Bearer ended"],
            challenge: invalid_token,
            error: Some("invalid_token"),
            kind: "invalid-token",
            ..REFUSED
        },
        Case {
            name: "bad token where none is needed",
            path: "/optional",
            authorization: &["Bearer nonsense"],
            challenge: invalid_token,
            error: Some("invalid_token"),
            kind: "invalid-token",
            ..REFUSED
        },
        Case {
            name: "stronger and fresher login, in one",
            path: "/transfers",
            authorization: &["Bearer alice"],
            challenge: Some(
                r#"Bearer realm="api", error="insufficient_user_authentication", acr_values="phr mfa", max_age="300""#,
            ),
            error: Some("insufficient_user_authentication"),
            kind: "step-up",
            ..REFUSED
        },
        Case {
            name: "fresher login",
            path: "/transfers",
            authorization: &["Bearer mfa"],
            challenge: Some(
                r#"Bearer realm="api", error="insufficient_user_authentication", max_age="300""#,
            ),
            error: Some("insufficient_user_authentication"),
            kind: "step-up",
            ..REFUSED
        },
        Case {
            name: "lacks one of two scopes, told both",
            method: "POST",
            path: "/orders",
            authorization: &["Bearer alice"],
            status: 403,
            challenge: Some(
                r#"Bearer realm="api", error="insufficient_scope", scope="orders:read orders:write""#,
            ),
            error: Some("insufficient_scope"),
            grpc: "7",
            kind: "insufficient-scope",
            ..REFUSED
        },
        Case {
            name: "lacks one of all scopes",
            path: "/reports",
            authorization: &["Bearer alice"],
            status: 403,
            challenge: Some(
                r#"Bearer realm="api", error="insufficient_scope", scope="reports:read orders:read""#,
            ),
            error: Some("insufficient_scope"),
            grpc: "7",
            kind: "insufficient-scope",
            ..REFUSED
        },
        Case {
            name: "lacks any scope, told the smallest",
            path: "/any",
            authorization: &["Bearer alice"],
            status: 403,
            challenge: Some(r#"Bearer realm="api", error="insufficient_scope", scope="small""#),
            error: Some("insufficient_scope"),
            grpc: "7",
            kind: "insufficient-scope",
            ..REFUSED
        },
        Case {
            name: "role",
            path: "/admin",
            authorization: &["Bearer alice"],
            status: 403,
            challenge: Some(r#"Bearer realm="api""#),
            grpc: "7",
            kind: "forbidden",
            ..REFUSED
        },
        Case {
            name: "refused after a lookup",
            path: "/slow",
            authorization: &["Bearer alice"],
            status: 403,
            challenge: Some(r#"Bearer realm="api""#),
            grpc: "7",
            kind: "forbidden",
            ..REFUSED
        },
        Case {
            name: "path without one meaning",
            path: "/a/../b",
            authorization: &["Bearer alice"],
            status: 400,
            grpc: "3",
            kind: "ambiguous-path",
            ..REFUSED
        },
        Case {
            name: "validator cannot tell",
            authorization: &["Bearer down"],
            status: 503,
            grpc: "14",
            retry_after: Some("5"),
            kind: "unavailable",
            ..REFUSED
        },
        Case {
            name: "policy cannot tell",
            path: "/store",
            authorization: &["Bearer alice"],
            status: 503,
            grpc: "14",
            retry_after: Some("30"),
            kind: "unavailable",
            ..REFUSED
        },
        Case {
            name: "too many attempts, rounded up",
            authorization: &["Bearer busy"],
            status: 429,
            grpc: "8",
            retry_after: Some("2"),
            kind: "throttled",
            ..REFUSED
        },
    ]
}

fn check_common(case: &Case, answer: &Answer) {
    let name = case.name;
    assert_eq!(
        answer.challenges(),
        case.challenge.into_iter().collect::<Vec<_>>(),
        "{name}"
    );
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{name}");
    assert_eq!(answer.header("retry-after"), case.retry_after, "{name}");
    let rejection = answer.response.extensions().get::<Rejection>().expect(name);
    assert_eq!(rejection.kind().as_str(), case.kind, "{name}");
    assert_eq!(rejection.status(), case.status, "{name}");
    assert_eq!(rejection.error_code(), case.error, "{name}");
}

#[tokio::test]
async fn each_rejection_maps_to_its_http_response() {
    for case in cases() {
        for later in [false, true] {
            let authorization: Vec<String> = case
                .authorization
                .iter()
                .map(|value| match (later, value.strip_prefix("Bearer ")) {
                    (true, Some(token)) if !token.contains(' ') => format!("Bearer later-{token}"),
                    _ => (*value).to_owned(),
                })
                .collect();
            let tokens: Vec<&str> = authorization.iter().map(String::as_str).collect();
            let answer = send(
                layer().layer(Unreachable),
                request(case.method, case.path, &tokens),
            )
            .await;
            let name = case.name;
            assert_eq!(answer.status(), case.status, "{name}");
            check_common(&case, &answer);
            assert_eq!(
                answer.header("content-type"),
                Some("application/problem+json"),
                "{name}"
            );
            let problem: Value = serde_json::from_str(&answer.body).expect(name);
            assert_eq!(problem["status"], json!(case.status), "{name}");
            assert_eq!(problem["type"], json!("about:blank"), "{name}");
            let reason = answer.response.status().canonical_reason().unwrap();
            assert_eq!(problem["title"], json!(reason), "{name}");
            assert_eq!(
                problem.get("error").and_then(Value::as_str),
                case.error,
                "{name}"
            );
            assert!(
                problem["detail"]
                    .as_str()
                    .is_some_and(|detail| !detail.is_empty()),
                "{name}"
            );
            assert!(!answer.body.contains("secret-text"), "{name}");
        }
    }
}

#[tokio::test]
async fn each_rejection_maps_to_its_grpc_status() {
    for mut case in cases() {
        if case.path == "/orders/7" {
            // gRPC is always POST, and for that the rules name a scope more.
            case.challenge = Some(r#"Bearer realm="api", scope="orders:read orders:write""#);
        }
        let mut request = request("POST", case.path, case.authorization);
        request
            .headers_mut()
            .insert("content-type", "application/grpc+proto".parse().unwrap());
        let answer = send(layer().layer(Unreachable), request).await;
        let name = case.name;
        assert_eq!(answer.status(), 200, "{name}");
        check_common(&case, &answer);
        assert_eq!(
            answer.header("content-type"),
            Some("application/grpc+proto"),
            "{name}"
        );
        assert_eq!(answer.header("grpc-status"), Some(case.grpc), "{name}");
        assert!(
            answer
                .header("grpc-message")
                .is_some_and(|text| !text.is_empty()),
            "{name}"
        );
        assert_eq!(answer.body, "", "{name}");
    }
}

#[tokio::test]
async fn grpc_content_type_without_post_gets_http_status() {
    for (method, path) in [("GET", "/me"), ("PUT", "/me")] {
        let mut request = request(method, path, &[]);
        request
            .headers_mut()
            .insert("content-type", "application/grpc".parse().unwrap());
        let answer = send(layer().layer(Unreachable), request).await;
        assert_eq!(answer.status(), 401, "{method}");
    }
}

#[tokio::test]
async fn rejection_of_head_has_no_body() {
    // (I07: HTTP framing)
    for case in cases() {
        if case.method != "GET" {
            continue;
        }
        let answer = send(
            layer().layer(Unreachable),
            request("HEAD", case.path, case.authorization),
        )
        .await;
        assert_eq!(answer.status(), case.status, "{}", case.name);
        assert_eq!(answer.body, "", "{}", case.name);
        check_common(&case, &answer);
    }
}

#[tokio::test]
async fn allowed_request_reaches_inner_service() {
    for (name, path, authorization, subject) in [
        ("public", "/health", &[][..], "nobody"),
        (
            "public, with a credential",
            "/health",
            &["Bearer alice"],
            "nobody",
        ),
        (
            "public, with a bad one",
            "/health",
            &["Bearer a", "Bearer b"],
            "nobody",
        ),
        ("optional, without", "/optional", &[], "nobody"),
        ("optional, with", "/optional", &["Bearer alice"], "alice"),
        ("scope", "/orders/7", &["Bearer alice"], "alice"),
        ("no rule", "/me", &["Bearer alice"], "alice"),
        ("later", "/me", &["Bearer later-alice"], "alice"),
        ("not yet expired", "/me", &["Bearer ending"], "alice"),
        ("fresh enough", "/transfers", &["Bearer fresh"], "alice"),
    ] {
        let answer = send(layer().layer(Greet), request("GET", path, authorization)).await;
        assert_eq!((answer.status(), &*answer.body), (200, subject), "{name}");
    }
}

#[tokio::test]
async fn unmatched_path_is_denied_with_deny_fallback() {
    // (A20: unmatched requests)
    let policies = || {
        Policies::builder()
            .under("/", permit(role("root")))
            .under("/", scope("orders:read"))
            .at("/health", public())
            .at("/me", authenticated())
            .under(
                "/slow",
                policy_fn(|_: &PolicyContext<'_, User>| async { true }),
            )
            .deny_unmatched()
    };
    let service = BearerAuthLayer::new(Directory)
        .with_policy(policies().build().unwrap())
        .layer(Greet);
    for (path, authorization, status) in [
        ("/me", &["Bearer alice"][..], 200),
        ("/slow", &["Bearer alice"], 200),
        ("/else", &["Bearer alice"], 403),
        ("/me/else", &["Bearer alice"], 403),
        ("/else", &[], 401),
        // restricted by a rule above, and so for nobody without a credential
        ("/health", &[], 401),
        ("/health", &["Bearer alice"], 200),
    ] {
        let answer = send(service.clone(), request("GET", path, authorization)).await;
        assert_eq!(answer.status(), status, "{path} {authorization:?}");
    }
}

#[tokio::test]
async fn credential_is_expired_exactly_at_expiry() {
    let clock = ManualClock::new(start());
    let service = layer().with_clock(clock.clone()).layer(Greet);
    let ask = || send(service.clone(), request("GET", "/me", &["Bearer ending"]));
    assert_eq!(ask().await.status(), 200);
    clock.advance(Duration::from_secs(1));
    assert_eq!(ask().await.status(), 401);
}

#[tokio::test]
async fn credential_that_expires_during_validation_is_rejected() {
    let clock = ManualClock::new(start());
    let moved = clock.clone();
    let service = BearerAuthLayer::new(Directory)
        .with_policy(policy_fn(move |_: &PolicyContext<'_, User>| {
            let clock = moved.clone();
            async move {
                clock.advance(Duration::from_secs(1));
                true
            }
        }))
        .with_clock(clock)
        .layer(Unreachable);
    let answer = send(service, request("GET", "/me", &["Bearer ending"])).await;
    assert_eq!(answer.status(), 401);
}

#[tokio::test]
async fn principal_in_incoming_extensions_is_removed() {
    // (B15: stale principals)
    let stolen: Arc<Mutex<Option<tower_bearer::Authenticated<User>>>> = Arc::default();
    let keep = Arc::clone(&stolen);
    let thief = layer().layer(tower::service_fn(move |request: Request<Body>| {
        *keep.lock().unwrap() = request.extensions().get().cloned();
        async { Ok::<_, std::convert::Infallible>(Response::new(Body::default())) }
    }));
    send(thief, request("GET", "/me", &["Bearer alice"])).await;
    let stolen = stolen
        .lock()
        .unwrap()
        .take()
        .expect("the service saw the principal");

    for (name, path) in [("public", "/health"), ("optional", "/optional")] {
        let mut request = request("GET", path, &[]);
        request.extensions_mut().insert(stolen.clone());
        let answer = send(layer().layer(Greet), request).await;
        assert_eq!((answer.status(), &*answer.body), (200, "nobody"), "{name}");
    }
    let mut request = request("GET", "/me", &[]);
    request.extensions_mut().insert(stolen);
    assert_eq!(
        send(layer().layer(Unreachable), request).await.status(),
        401
    );
}

#[tokio::test]
async fn each_offered_scheme_has_a_separate_challenge_line() {
    let layer = layer()
        .with_realm("shop")
        .with_sources([
            Source::basic(),
            Source::bearer(),
            Source::api_key(HeaderName::from_static("x-api-key")),
            Source::cookie("sid"),
        ])
        .unwrap();
    let plain = [
        r#"Basic realm="shop", charset="UTF-8""#,
        r#"Bearer realm="shop""#,
        r#"ApiKey realm="shop", header="x-api-key""#,
        r#"Cookie realm="shop", cookie-name="sid""#,
    ];
    let answer = send(layer.layer(Unreachable), request("GET", "/me", &[])).await;
    assert_eq!(answer.challenges(), plain);

    // The error stands in the challenge of the scheme that was used, and only there.
    let answer = send(
        layer.layer(Unreachable),
        request("GET", "/me", &["Bearer nonsense"]),
    )
    .await;
    let bearer = r#"Bearer realm="shop", error="invalid_token""#;
    assert_eq!(answer.challenges(), [plain[0], bearer, plain[2], plain[3]]);
    let answer = send(
        layer.layer(Unreachable),
        request("GET", "/me", &["Basic YTpi"]),
    )
    .await;
    assert_eq!(answer.challenges(), plain);

    // More than one at once: all are in doubt.
    let mut two = request("GET", "/me", &["Bearer alice"]);
    two.headers_mut()
        .insert("x-api-key", "alice".parse().unwrap());
    let answer = send(layer.layer(Unreachable), two).await;
    assert_eq!(answer.status(), 400);
    assert_eq!(
        answer.challenges()[1],
        r#"Bearer realm="shop", error="invalid_request""#
    );

    // A 403 concerns the credential that was used.
    let mut key = request("GET", "/admin", &[]);
    key.headers_mut()
        .insert("x-api-key", "alice".parse().unwrap());
    let answer = send(layer.layer(Unreachable), key).await;
    assert_eq!(
        (answer.status(), answer.challenges()),
        (403, vec![plain[2]])
    );
}

#[tokio::test]
async fn responder_sets_body_and_layer_sets_status_and_headers() {
    let layer = layer().with_responder(|rejection: &Rejection, request: &RequestView<'_>| {
        let mut response = Response::new(Bytes::from(format!("{} {rejection}", request.path())));
        *response.status_mut() = match rejection.status() {
            StatusCode::FORBIDDEN => StatusCode::NOT_FOUND,
            status => status,
        };
        response
    });
    let answer = send(layer.layer(Unreachable), request("GET", "/me", &[])).await;
    assert_eq!(
        (answer.status(), &*answer.body),
        (401, "/me missing-credential")
    );
    assert_eq!(answer.challenges(), [r#"Bearer realm="api""#]);

    // (I09: hidden resources) What is hidden as 404 must not be given away by a challenge.
    let answer = send(
        layer.layer(Unreachable),
        request("GET", "/admin", &["Bearer alice"]),
    )
    .await;
    assert_eq!((answer.status(), answer.challenges().len()), (404, 0));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let rejection = answer.response.extensions().get::<Rejection>().unwrap();
    assert_eq!(rejection.kind(), RejectionKind::Forbidden);
    assert_eq!(rejection.rule(), Some("under /admin: role(admin)"));
}

#[tokio::test]
async fn outage_source_is_available_to_the_hook() {
    let answer = send(
        layer().layer(Unreachable),
        request("GET", "/me", &["Bearer down"]),
    )
    .await;
    let rejection = answer.response.extensions().get::<Rejection>().unwrap();
    assert_eq!(
        rejection.source().unwrap().to_string(),
        "secret-text of the store"
    );
    assert!(!format!("{rejection:?} {rejection}").contains("secret-text"));
}

#[tokio::test]
async fn hook_sees_source_of_policy_outage_and_extensions_of_outer_layers() {
    #[derive(Clone)]
    struct RequestId(u32);

    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = Arc::clone(&seen);
    let layer = BearerAuthLayer::new(Directory)
        .with_policy(policy_fn(|_: &PolicyContext<'_, User>| async {
            Err::<(), _>(Denial::unavailable().with_source("secret-text of the store"))
        }))
        .on_decision(move |event| {
            let Outcome::Rejected(rejection) = event.outcome() else {
                return;
            };
            let cause = rejection.source().map(ToString::to_string);
            let id = event.extension::<RequestId>().map(|id| id.0);
            log.lock().unwrap().push(format!("{id:?} {cause:?}"));
        });
    let mut request = request("GET", "/", &["Bearer alice"]);
    request.extensions_mut().insert(RequestId(7));
    let answer = send(layer.layer(Unreachable), request).await;
    assert_eq!(answer.status(), 503);
    assert!(!answer.body.contains("secret-text"));
    assert_eq!(
        *seen.lock().unwrap(),
        [r#"Some(7) Some("secret-text of the store")"#]
    );
}

#[tokio::test]
async fn responder_can_set_custom_challenge() {
    let own = "Bearer realm=\"own\"";
    let layer = layer().with_responder(move |rejection: &Rejection, _: &RequestView<'_>| {
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = rejection.status();
        response
            .headers_mut()
            .insert("www-authenticate", own.parse().unwrap());
        response
    });
    let answer = send(layer.layer(Unreachable), request("GET", "/me", &[])).await;
    assert_eq!(answer.challenges(), [own]);
}

// (B10: cross-site requests, M10: attached credentials) Browsers attach Basic credentials by
// themselves, like cookies.
#[tokio::test]
async fn cross_site_basic_credential_is_rejected_like_a_cookie() {
    const APP: &str = "https://app.example.com";
    let cross_site = ("sec-fetch-site", "cross-site");
    let basic = ("authorization", "Basic alice");
    let bearer = ("authorization", "Bearer alice");
    let cookie = ("cookie", "sid=alice");
    let upgrade = ("upgrade", "websocket");
    let foreign = ("origin", "https://evil.example");
    let layers = [
        ("basic", vec![Source::basic()]),
        ("bearer, basic", vec![Source::bearer(), Source::basic()]),
        (
            "basic, cookie",
            vec![Source::basic(), Source::cookie("sid")],
        ),
        (
            "trusted",
            vec![
                Source::bearer(),
                Source::basic().trust_origin(APP),
                Source::cookie("sid"),
            ],
        ),
    ];
    for (name, sources) in layers {
        let offers = |wanted: &str| name.contains(wanted) || name == "trusted";
        let is_trusted = if name == "trusted" { 200 } else { 403 };
        let layer = layer().with_sources(sources).unwrap();
        for (method, fields, status) in [
            ("POST", &[basic, cross_site][..], 403),
            ("DELETE", &[basic, cross_site], 403),
            ("PROPFIND", &[basic, cross_site], 403),
            ("POST", &[basic, ("sec-fetch-site", "same-site")], 403),
            ("POST", &[basic, ("sec-fetch-site", "unheard-of")], 403),
            ("POST", &[basic, foreign], 403),
            ("POST", &[basic, ("origin", "null")], 403),
            // The scheme is compared without regard to case.
            ("POST", &[("authorization", "bAsIc alice"), cross_site], 403),
            // A handshake is a GET, but not a safe one.
            ("GET", &[basic, upgrade, foreign], 403),
            // Navigations, pages of the same origin, the user, and clients that are no browsers.
            ("GET", &[basic, cross_site], 200),
            ("HEAD", &[basic, cross_site], 200),
            ("POST", &[basic, ("sec-fetch-site", "same-origin")], 200),
            ("POST", &[basic, ("sec-fetch-site", "none")], 200),
            ("POST", &[basic], 200),
            ("POST", &[basic, cross_site, ("origin", APP)], is_trusted),
            ("POST", &[bearer, cross_site], 200),
            ("POST", &[cookie, cross_site], 403),
            ("POST", &[cookie, cross_site, ("origin", APP)], 403),
        ] {
            let needed = [("bearer", bearer), ("cookie", cookie)];
            let is_offered = needed
                .iter()
                .all(|(source, field)| !fields.contains(field) || offers(source));
            if !is_offered {
                continue;
            }
            let mut request = Request::builder().method(method).uri("/me");
            request = request.header("host", "api.example.com");
            for (field, value) in fields {
                request = request.header(*field, *value);
            }
            let request = request.body(Body::default()).unwrap();
            let answer = send(layer.layer(Greet), request).await;
            assert_eq!(answer.status(), status, "{name}: {method} {fields:?}");
            if status == 403 {
                let used = if fields.contains(&cookie) {
                    "Cookie"
                } else {
                    "Basic"
                };
                let challenges = answer.challenges();
                assert_eq!(challenges.len(), 1, "{name}");
                assert!(challenges[0].starts_with(used), "{name}: {challenges:?}");
            }
        }
    }
    // On a public path no credential is read, and an optional one is defended all the same.
    let layer = layer().with_sources([Source::basic()]).unwrap();
    for (path, status) in [("/health", 200), ("/optional", 403)] {
        let mut request = request("POST", path, &["Basic alice"]);
        let site = "cross-site".parse().unwrap();
        request.headers_mut().insert("sec-fetch-site", site);
        assert_eq!(
            send(layer.layer(Greet), request).await.status(),
            status,
            "{path}"
        );
    }
}

#[tokio::test]
async fn cookie_as_only_source_is_protected_from_cross_site_requests() {
    // (B10: cross-site requests)
    let layer = layer().with_sources([Source::cookie("sid")]).unwrap();
    for (method, site, status) in [
        ("POST", "cross-site", 403),
        ("POST", "same-origin", 200),
        ("GET", "cross-site", 200),
    ] {
        let mut request = request(method, "/me", &[]);
        request
            .headers_mut()
            .insert("cookie", "sid=alice".parse().unwrap());
        request
            .headers_mut()
            .insert("sec-fetch-site", site.parse().unwrap());
        assert_eq!(
            send(layer.layer(Greet), request).await.status(),
            status,
            "{method} {site}"
        );
    }
}

#[tokio::test]
async fn api_key_longer_than_limit_is_rejected() {
    // (B07: length limit)
    let key = HeaderName::from_static("x-api-key");
    let layer = layer()
        .with_sources([Source::api_key(key.clone())])
        .unwrap()
        .with_max_credential_length(5);
    for (value, status) in [("alice", 200), ("alice2", 400)] {
        let mut request = request("GET", "/me", &[]);
        request.headers_mut().insert(&key, value.parse().unwrap());
        assert_eq!(
            send(layer.layer(Greet), request).await.status(),
            status,
            "{value}"
        );
    }
}

#[tokio::test]
async fn rest_of_cookie_field_stays_sensitive_after_credential_removal() {
    // (B13: hidden credentials)
    let layer = layer()
        .with_sources([
            Source::bearer(),
            Source::cookie("sid"),
            Source::websocket_protocol("bearer"),
        ])
        .unwrap()
        .remove_credential();
    let service = layer.layer(tower::service_fn(|request: Request<Body>| async move {
        let cookie = request.headers().get("cookie").unwrap();
        assert!(cookie.is_sensitive());
        assert_eq!(cookie, "a=1; b=2");
        let protocols = request.headers().get("sec-websocket-protocol").unwrap();
        assert_eq!(protocols, "bearer, chat");
        Ok::<_, std::convert::Infallible>(Response::new(Body::default()))
    }));
    let mut request = request("GET", "/me", &[]);
    request
        .headers_mut()
        .insert("cookie", "a=1; sid=alice; b=2".parse().unwrap());
    // No handshake, so no source reads it; but what looks like a credential goes all the same.
    request.headers_mut().insert(
        "sec-websocket-protocol",
        "bearer, token, chat".parse().unwrap(),
    );
    assert_eq!(send(service, request).await.status(), 200);
}

#[tokio::test]
async fn validator_for_one_scheme_receives_only_that_scheme() {
    let any = || {
        validator_fn(|_: Credential<'_>| {
            Ok::<_, Failure>(User {
                subject: "any",
                ..User::default()
            })
        })
    };
    let key = HeaderName::from_static("x-api-key");
    let layer = BearerAuthLayer::new(any().for_scheme(tower_bearer::Scheme::ApiKey))
        .with_sources([Source::bearer(), Source::api_key(key.clone())])
        .unwrap();
    assert_eq!(
        send(layer.layer(Unreachable), request("GET", "/", &["Bearer x"]))
            .await
            .status(),
        401
    );
    let mut with_key = request("GET", "/", &[]);
    with_key.headers_mut().insert(&key, "x".parse().unwrap());
    assert_eq!(send(layer.layer(Greet), with_key).await.body, "any");
}

#[tokio::test]
async fn earlier_expiry_applies_with_combined_validators() {
    for later in [false, true] {
        for (inner, own, status) in [(1, 2, 401), (2, 1, 401), (2, 2, 200)] {
            let at = |seconds| start() + Duration::from_secs(seconds);
            let validator = validator_fn(move |_: Credential<'_>| {
                let result = Ok(Validated::new(User::default()).with_expiry(at(inner)));
                if later {
                    Verdict::pending(async move { result })
                } else {
                    Verdict::Ready(result)
                }
            })
            .expiring(move |_: &User| Some(at(own)));
            let service = BearerAuthLayer::new(validator)
                .with_clock(ManualClock::new(at(1)))
                .layer(Greet);
            let answer = send(service, request("GET", "/", &["Bearer x"])).await;
            assert_eq!(answer.status(), status, "{inner} {own} {later}");
        }
    }
}

#[tokio::test]
async fn maximum_retry_after_does_not_overflow() {
    let validator =
        validator_fn(|_: Credential<'_>| Err::<User, _>(Failure::throttled(Duration::MAX)));
    let answer = send(
        BearerAuthLayer::new(validator).layer(Unreachable),
        request("GET", "/", &["Bearer x"]),
    )
    .await;
    assert_eq!(answer.header("retry-after"), Some("18446744073709551615"));
}

#[tokio::test]
async fn header_outside_sources_is_ignored() {
    let layer = layer().with_sources([Source::cookie("sid")]).unwrap();
    let mut request = request("GET", "/me", &["Bearer a b", "Other"]);
    request
        .headers_mut()
        .insert("cookie", "sid=alice".parse().unwrap());
    assert_eq!(send(layer.layer(Greet), request).await.body, "alice");
}

#[tokio::test]
async fn hook_sees_every_decision() {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = Arc::clone(&seen);
    let service = layer()
        .allow_cors_preflight()
        .on_decision(move |event| {
            let outcome = match event.outcome() {
                Outcome::Rejected(rejection) => rejection.kind().as_str(),
                Outcome::Allowed => "allowed",
                Outcome::Anonymous => "anonymous",
                Outcome::Preflight => "preflight",
                _ => "other",
            };
            log.lock().unwrap().push(format!(
                "{} {outcome} {:?} {:?} {:?} {:?} {}",
                event.method(),
                event.latency(),
                event.rule(),
                event.scheme(),
                event.source(),
                event
                    .principal::<User>()
                    .map_or("nobody", |user| user.subject),
            ));
        })
        .layer(Greet);
    let preflight = || {
        let mut request = request("OPTIONS", "/orders", &[]);
        request
            .headers_mut()
            .insert("origin", "https://a.example".parse().unwrap());
        request
            .headers_mut()
            .insert("access-control-request-method", "POST".parse().unwrap());
        request
    };
    for request in [
        request("GET", "/health", &["Bearer alice"]),
        request("GET", "/me", &["Bearer alice"]),
        request("GET", "/me", &["Bearer later-alice"]),
        request("GET", "/admin", &["Bearer alice"]),
        request("GET", "/slow", &["Bearer alice"]),
        request("GET", "/me", &["Bearer nonsense"]),
        request("GET", "/me", &[]),
        request("GET", "//", &[]),
        preflight(),
    ] {
        send(service.clone(), request).await;
    }
    let alice = "Some(Bearer) Some(Authorization) alice";
    assert_eq!(
        *seen.lock().unwrap(),
        [
            r#"GET anonymous Immediate Some("at /health: public()") None None nobody"#.to_owned(),
            format!("GET allowed Immediate None {alice}"),
            format!("GET allowed Waited None {alice}"),
            format!(r#"GET forbidden Immediate Some("under /admin: role(admin)") {alice}"#),
            format!(r#"GET forbidden Waited Some("under /slow: policy_fn") {alice}"#),
            "GET invalid-token Immediate None Some(Bearer) Some(Authorization) nobody".to_owned(),
            "GET missing-credential Immediate None None None nobody".to_owned(),
            "GET ambiguous-path Immediate None None None nobody".to_owned(),
            "OPTIONS preflight Immediate None None None nobody".to_owned(),
        ]
    );
}

#[tokio::test]
async fn only_real_preflight_is_allowed_and_only_with_opt_in() {
    // (A16: CORS preflights)
    for (name, pass, method, fields, status) in [
        (
            "asked for",
            true,
            "OPTIONS",
            &["origin", "access-control-request-method"][..],
            200,
        ),
        (
            "not asked for",
            false,
            "OPTIONS",
            &["origin", "access-control-request-method"],
            401,
        ),
        ("no method", true, "OPTIONS", &["origin"], 401),
        (
            "no origin",
            true,
            "OPTIONS",
            &["access-control-request-method"],
            401,
        ),
        ("bare OPTIONS", true, "OPTIONS", &[], 401),
        (
            "not OPTIONS",
            true,
            "GET",
            &["origin", "access-control-request-method"],
            401,
        ),
    ] {
        let mut layer = layer();
        if pass {
            layer = layer.allow_cors_preflight();
        }
        let mut request = request(method, "/me", &[]);
        for field in fields {
            request
                .headers_mut()
                .insert(HeaderName::from_static(field), "x".parse().unwrap());
        }
        assert_eq!(
            send(layer.layer(Greet), request).await.status(),
            status,
            "{name}"
        );
    }
}

#[tokio::test]
async fn faulty_policy_denies_everything_also_when_negated() {
    for (name, policy) in [("scope", scope("a b")), ("empty", any_scope([""; 0]))] {
        let answer = send(
            BearerAuthLayer::new(Directory)
                .with_policy(policy.clone())
                .layer(Unreachable),
            request("GET", "/", &["Bearer alice"]),
        )
        .await;
        assert_eq!(answer.status(), 503, "{name}");
        let answer = send(
            BearerAuthLayer::new(Directory)
                .with_policy(policy.not())
                .layer(Unreachable),
            request("GET", "/", &["Bearer alice"]),
        )
        .await;
        assert_eq!(answer.status(), 503, "not {name}");
    }
}

#[tokio::test]
async fn closure_works_as_validator() {
    let validator = validator_fn(|credential: Credential<'_>| match credential.token() {
        "alice" => Ok(User {
            subject: "alice",
            ..User::default()
        }),
        _ => Err(Failure::invalid(InvalidReason::Unknown)),
    })
    .expiring(|user: &User| (user.subject == "alice").then(start));
    let clock = ManualClock::new(start() - Duration::from_secs(1));
    let service = BearerAuthLayer::new(validator)
        .with_clock(clock.clone())
        .layer(Greet);
    let ask = || send(service.clone(), request("GET", "/", &["Bearer alice"]));
    assert_eq!(ask().await.body, "alice");
    clock.set(start());
    assert_eq!(ask().await.status(), 401);
}
