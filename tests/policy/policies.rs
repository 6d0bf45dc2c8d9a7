//! What the built-in policies say, alone and in lists.

use std::time::Duration;

use http::{Method, Request};
use tower::Layer as _;
use tower_bearer::clock::ManualClock;
use tower_bearer::policy::{
    Claims, Decision, Denial, IntoRule, PathAmbiguity, Policies, Policy, PolicyContext,
    RoleHierarchy, acr, all_scopes, any_role, any_scope, deny, guard, max_age, optional, owner,
    permit, policy_fn, public, role, scope, tenant,
};
use tower_bearer::{BearerAuthLayer, Credential, Failure, validator_fn};

use crate::support::{Body, Greet, User, send, start};

async fn status<P>(user: User, policy: P, method: &str, path: &str) -> u16
where
    P: Policy<User>,
{
    let validator = validator_fn(move |_: Credential<'_>| Ok::<_, Failure>(user.clone()));
    let service = BearerAuthLayer::new(validator)
        .with_policy(policy)
        .with_clock(ManualClock::new(start()))
        .layer(Greet);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", "Bearer x")
        .body(Body::default())
        .unwrap();
    send(service, request).await.status()
}

fn under(path: &str, rule: impl IntoRule<User>) -> Policies<User> {
    Policies::builder().under(path, rule).build().unwrap()
}

fn alice() -> User {
    User {
        subject: "alice",
        scope: "read write",
        roles: &["editor"],
        tenant: "acme",
        acr: Some("mfa"),
        auth_time: Some(start() - Duration::from_secs(60)),
    }
}

#[tokio::test]
async fn each_policy_requires_its_named_claim() {
    let roles = RoleHierarchy::builder()
        .above("admin", "editor")
        .above("editor", "viewer")
        .build()
        .unwrap();
    let cases: Vec<(&str, Policies<User>, &str, u16)> = vec![
        ("scope", under("/", scope("read")), "/", 200),
        ("scope, other", under("/", scope("delete")), "/", 403),
        (
            "all scopes",
            under("/", all_scopes(["read", "write"])),
            "/",
            200,
        ),
        (
            "all scopes, one missing",
            under("/", all_scopes(["read", "delete"])),
            "/",
            403,
        ),
        (
            "any scope",
            under("/", any_scope(["delete", "write"])),
            "/",
            200,
        ),
        (
            "any scope, none",
            under("/", any_scope(["delete", "list"])),
            "/",
            403,
        ),
        ("role", under("/", role("editor")), "/", 200),
        ("role, other", under("/", role("admin")), "/", 403),
        (
            "any role",
            under("/", any_role(["admin", "editor"])),
            "/",
            200,
        ),
        ("role below", under("/", roles.role("viewer")), "/", 200),
        ("role itself", under("/", roles.role("editor")), "/", 200),
        ("role above", under("/", roles.role("admin")), "/", 403),
        (
            "role below, without hierarchy",
            under("/", role("viewer")),
            "/",
            403,
        ),
        ("tenant", under("/t/{t}", tenant("t")), "/t/acme/x", 200),
        (
            "tenant, escaped",
            under("/t/{t}", tenant("t")),
            "/t/%61cme",
            200,
        ),
        (
            "tenant, other",
            under("/t/{t}", tenant("t")),
            "/t/globex",
            403,
        ),
        (
            "tenant, longer",
            under("/t/{t}", tenant("t")),
            "/t/acme2",
            403,
        ),
        ("tenant, empty", under("/t/{t}", tenant("t")), "/t/", 403),
        ("owner", under("/u/{u}", owner("u")), "/u/alice", 200),
        ("owner, other", under("/u/{u}", owner("u")), "/u/bob", 403),
        (
            "owner, other case",
            under("/u/{u}", owner("u")),
            "/u/Alice",
            403,
        ),
        ("acr", under("/", acr(["phr", "mfa"])), "/", 200),
        ("acr, other", under("/", acr(["phr"])), "/", 401),
        (
            "max_age, just",
            under("/", max_age(Duration::from_secs(60))),
            "/",
            200,
        ),
        (
            "max_age, over",
            under("/", max_age(Duration::from_secs(59))),
            "/",
            401,
        ),
        ("deny", under("/", deny()), "/", 403),
        ("not", under("/", role("admin").not()), "/", 200),
        ("not, has", under("/", role("editor").not()), "/", 403),
        (
            "and",
            under("/", role("editor").and(scope("read"))),
            "/",
            200,
        ),
        (
            "and, one missing",
            under("/", role("editor").and(scope("delete"))),
            "/",
            403,
        ),
        ("or", under("/", role("admin").or(scope("read"))), "/", 200),
        (
            "or, none",
            under("/", role("admin").or(scope("delete"))),
            "/",
            403,
        ),
        (
            "not and, both",
            under("/", role("editor").and(scope("read")).not()),
            "/",
            403,
        ),
    ];
    for (name, policies, path, expected) in cases {
        assert_eq!(
            status(alice(), policies, "GET", path).await,
            expected,
            "{name}"
        );
    }
}

#[tokio::test]
async fn absent_claim_never_satisfies_policy() {
    // (D08: absent claims)
    struct Silent;

    impl Claims for Silent {}

    let lists: Vec<(&str, Policies<Silent>, u16)> = vec![
        (
            "scope",
            Policies::builder()
                .under("/{x}", scope("a"))
                .build()
                .unwrap(),
            403,
        ),
        (
            "any_scope",
            Policies::builder()
                .under("/{x}", any_scope(["a"]))
                .build()
                .unwrap(),
            403,
        ),
        (
            "role",
            Policies::builder()
                .under("/{x}", role("a"))
                .build()
                .unwrap(),
            403,
        ),
        (
            "tenant",
            Policies::builder()
                .under("/{x}", tenant("x"))
                .build()
                .unwrap(),
            403,
        ),
        (
            "owner",
            Policies::builder()
                .under("/{x}", owner("x"))
                .build()
                .unwrap(),
            403,
        ),
        (
            "acr",
            Policies::builder()
                .under("/{x}", acr(["a"]))
                .build()
                .unwrap(),
            401,
        ),
        (
            "max_age",
            Policies::builder()
                .under("/{x}", max_age(Duration::MAX))
                .build()
                .unwrap(),
            401,
        ),
    ];
    for (name, policies, expected) in lists {
        let validator = validator_fn(|_: Credential<'_>| Ok::<_, Failure>(Silent));
        let service = BearerAuthLayer::new(validator)
            .with_policy(policies)
            .layer(Greet);
        let request = Request::get("/a").header("authorization", "Bearer x");
        let answer = send(service, request.body(Body::default()).unwrap()).await;
        assert_eq!(answer.status(), expected, "{name}");
    }
    // Not even the empty subject and the empty tenant.
    for (name, rule) in [
        ("owner", under("/{x}", owner("x"))),
        ("tenant", under("/{x}", tenant("x"))),
    ] {
        assert_eq!(
            status(User::default(), rule, "GET", "/").await,
            403,
            "{name}"
        );
    }
}

#[tokio::test]
async fn rules_are_evaluated_in_order() {
    let later = |passes: bool| {
        policy_fn(move |_: &PolicyContext<'_, User>| async move {
            tokio::task::yield_now().await;
            passes
        })
    };
    let down =
        || policy_fn(|_: &PolicyContext<'_, User>| async { Err::<(), _>(Denial::unavailable()) });
    let list = Policies::<User>::builder;
    let cases: Vec<(&str, Policies<User>, u16)> = vec![
        (
            "permit before deny",
            list()
                .under("/", permit(role("editor")))
                .under("/", deny())
                .build()
                .unwrap(),
            200,
        ),
        (
            "permit that does not",
            list()
                .under("/", permit(role("x")))
                .under("/", deny())
                .build()
                .unwrap(),
            403,
        ),
        (
            "deny before permit",
            list()
                .under("/", role("x"))
                .under("/", permit(role("editor")))
                .build()
                .unwrap(),
            403,
        ),
        (
            "optional does not lift what stands above",
            list()
                .under("/", role("x"))
                .under("/", optional())
                .build()
                .unwrap(),
            403,
        ),
        (
            "public does not lift what stands above",
            list()
                .under("/", role("x"))
                .under("/", public())
                .build()
                .unwrap(),
            403,
        ),
        (
            "optional ends",
            list()
                .at("/", optional())
                .under("/", role("x"))
                .build()
                .unwrap(),
            200,
        ),
        (
            "all restrict",
            list()
                .under("/", role("editor"))
                .under("/", scope("x"))
                .build()
                .unwrap(),
            403,
        ),
        (
            "waiting permit",
            list()
                .under("/", permit(later(true)))
                .under("/", deny())
                .build()
                .unwrap(),
            200,
        ),
        (
            "waiting permit that does not",
            list()
                .under("/", permit(later(false)))
                .under("/", role("editor"))
                .build()
                .unwrap(),
            200,
        ),
        (
            "waiting permit that does not, deny",
            list()
                .under("/", permit(later(false)))
                .under("/", deny())
                .build()
                .unwrap(),
            403,
        ),
        (
            "waiting restriction",
            list()
                .under("/", later(true))
                .under("/", role("editor"))
                .build()
                .unwrap(),
            200,
        ),
        (
            "waiting restriction that refuses",
            list()
                .under("/", later(false))
                .under("/", role("editor"))
                .build()
                .unwrap(),
            403,
        ),
        (
            "waiting restriction before a permit",
            list()
                .under("/", later(false))
                .under("/", permit(role("editor")))
                .build()
                .unwrap(),
            403,
        ),
        (
            "waiting restriction that refuses, before a waiting permit",
            list()
                .under("/", later(false))
                .under("/", permit(later(true)))
                .build()
                .unwrap(),
            403,
        ),
        (
            "waiting restriction before a waiting permit",
            list()
                .under("/", later(true))
                .under("/", permit(later(true)))
                .build()
                .unwrap(),
            200,
        ),
        (
            "two that wait",
            list()
                .under("/", later(true))
                .under("/", later(false))
                .build()
                .unwrap(),
            403,
        ),
        (
            "waiting permit before waiting restriction",
            list()
                .under("/", permit(later(true)))
                .under("/", later(false))
                .build()
                .unwrap(),
            200,
        ),
        ("outage", list().under("/", down()).build().unwrap(), 503),
        (
            "outage of a permit, then yes",
            list()
                .under("/", permit(down()))
                .under("/", role("editor"))
                .build()
                .unwrap(),
            200,
        ),
        (
            "outage of a permit, then no",
            list()
                .under("/", permit(down()))
                .under("/", role("x"))
                .build()
                .unwrap(),
            503,
        ),
        (
            "outage of a permit, then a waiting no",
            list()
                .under("/", permit(down()))
                .under("/", later(false))
                .build()
                .unwrap(),
            503,
        ),
        (
            "not an outage",
            list().under("/", down().not()).build().unwrap(),
            503,
        ),
    ];
    for (name, policies, expected) in cases {
        assert_eq!(
            status(alice(), policies, "GET", "/").await,
            expected,
            "{name}"
        );
    }
}

#[tokio::test]
async fn policy_list_works_inside_another_policy() {
    let inner = || {
        Policies::<User>::builder()
            .under("/a", scope("read"))
            .under("/b", scope("delete"))
            .at("/open", public())
            .build()
            .unwrap()
    };
    // Its rules for the path are found anew, and what it opens is still behind a credential.
    for (path, expected) in [
        ("/a", 200),
        ("/b", 403),
        ("/open", 200),
        ("/else", 200),
        ("/a//b", 400),
    ] {
        let nested = under("/", guard(inner()).and(role("editor")));
        assert_eq!(
            status(alice(), nested, "GET", path).await,
            expected,
            "{path}"
        );
    }
    let service = BearerAuthLayer::new(validator_fn(|_: Credential<'_>| Ok::<_, Failure>(alice())))
        .with_policy(under("/", guard(inner())))
        .layer(Greet);
    let request = Request::get("/open").body(Body::default()).unwrap();
    assert_eq!(send(service, request).await.status(), 401);
}

#[tokio::test]
async fn nested_list_is_indeterminate_for_unreadable_path() {
    let inner = || {
        guard(
            Policies::<User>::builder()
                .under("/a", role("x"))
                .build()
                .unwrap(),
        )
    };
    // Asked about the path before anything else.
    let both = inner().not().and(role("editor"));
    assert_eq!(status(alice(), both, "GET", "//a").await, 400);
    assert_eq!(status(alice(), inner().not(), "GET", "//a").await, 400);
    assert_eq!(
        status(alice(), inner().or(role("editor")), "GET", "/a/..").await,
        400
    );
    // The outer list lets the path through, the inner one does not.
    for rule in [under_loose(inner()), under_loose(inner().not())] {
        assert_eq!(status(alice(), rule, "GET", "//a").await, 503);
    }
}

fn under_loose(rule: impl IntoRule<User>) -> Policies<User> {
    Policies::builder()
        .under("/", rule)
        .insecure_allow_path(PathAmbiguity::RepeatedSlash)
        .build()
        .unwrap()
}

#[tokio::test]
async fn segment_must_match_in_both_readings_of_path() {
    let loose = |kind| {
        Policies::<User>::builder()
            .under("/tenants/{tenant}", tenant("tenant"))
            .insecure_allow_path(kind)
            .build()
            .unwrap()
    };
    for (name, kind, path, expected) in [
        ("own", PathAmbiguity::DotSegment, "/tenants/acme/x", 200),
        (
            "away from own",
            PathAmbiguity::DotSegment,
            "/tenants/acme/../globex",
            403,
        ),
        (
            "to own",
            PathAmbiguity::DotSegment,
            "/tenants/globex/../acme",
            403,
        ),
        (
            "slash in own",
            PathAmbiguity::EncodedSlash,
            "/tenants/acme%2Fx",
            403,
        ),
        (
            "twice encoded",
            PathAmbiguity::DoubleEncoding,
            "/tenants/%2561cme",
            403,
        ),
        ("no UTF-8", PathAmbiguity::BadEscape, "/tenants/%ff", 403),
    ] {
        assert_eq!(
            status(alice(), loose(kind), "GET", path).await,
            expected,
            "{name}"
        );
    }
}

#[tokio::test]
async fn unnamed_segment_is_indeterminate_also_when_negated() {
    assert_eq!(status(alice(), owner("u"), "GET", "/u/alice").await, 503);
    assert_eq!(
        status(alice(), owner("u").not(), "GET", "/u/alice").await,
        503
    );
    assert_eq!(status(alice(), tenant("t").not(), "GET", "/t/x").await, 503);
}

#[tokio::test]
async fn deny_fallback_matches_paths_as_opening_rules_do() {
    let policies = || {
        Policies::<User>::builder()
            .at(
                "/open",
                policy_fn(|_: &PolicyContext<'_, User>| true).on([Method::GET]),
            )
            .under("/below", role("editor"))
            .at("/item/{id}", role("editor"))
            .deny_unmatched()
            .build()
            .unwrap()
    };
    for (method, path, expected) in [
        ("GET", "/open", 200),
        ("HEAD", "/open", 200),
        ("POST", "/open", 403),
        ("PROPFIND", "/open", 403),
        ("get", "/open", 403),
        ("GET", "/open/", 403),
        ("GET", "/%6fpen", 403),
        ("GET", "/below", 200),
        ("GET", "/below/", 200),
        ("PROPFIND", "/below/x", 200),
        ("GET", "/item/7", 200),
        ("GET", "/item/", 403),
        ("GET", "/item/%37", 200),
    ] {
        assert_eq!(
            status(alice(), policies(), method, path).await,
            expected,
            "{method} {path}"
        );
        let explained = policies().explain(&method.parse().unwrap(), path);
        assert_eq!(
            explained.is_unmatched_and_denied(),
            expected == 403,
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn auth_time_in_the_future_counts_as_fresh() {
    let ahead = User {
        auth_time: Some(start() + Duration::from_secs(60)),
        ..alice()
    };
    assert_eq!(
        status(ahead, under("/", max_age(Duration::ZERO)), "GET", "/").await,
        200
    );
    // What is told in whole seconds is asked in whole seconds.
    let just = User {
        auth_time: Some(start() - Duration::from_millis(1_500)),
        ..alice()
    };
    assert_eq!(
        status(
            just,
            under("/", max_age(Duration::from_millis(1_900))),
            "GET",
            "/"
        )
        .await,
        401
    );
}

#[tokio::test]
async fn custom_policy_works_beside_built_in_policies() {
    struct Even;

    impl Policy<User> for Even {
        fn decide(&self, cx: &PolicyContext<'_, User>) -> Decision {
            let number = cx.segment("n").and_then(|text| text.parse::<u64>().ok());
            number.is_some_and(|number| number % 2 == 0).into()
        }
    }

    let rules = || under("/{n}", guard(Even).and(role("editor")).on([Method::POST]));
    for (method, path, expected) in [
        ("POST", "/2", 200),
        ("POST", "/3", 403),
        ("POST", "/x", 403),
        ("GET", "/3", 200),
    ] {
        assert_eq!(
            status(alice(), rules(), method, path).await,
            expected,
            "{method} {path}"
        );
    }
    // Behind a pointer, and erased, it is a policy too.
    let erased: Box<dyn Policy<User>> = Box::new(role("editor"));
    assert_eq!(status(alice(), erased, "GET", "/").await, 200);
    let shared: std::sync::Arc<dyn Policy<User>> = std::sync::Arc::new(role("admin"));
    assert_eq!(status(alice(), shared, "GET", "/").await, 403);
}
