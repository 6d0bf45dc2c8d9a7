//! Configurations that cannot work: each is refused when it is made, with the input and what to do.

use std::time::Duration;

use http::{HeaderName, Method};
use tower_bearer::policy::{
    PathAmbiguity, Policies, PoliciesBuilder, PolicyContext, Requirement, RoleHierarchy, acr,
    any_role, any_scope, authenticated, deny, max_age, optional, owner, permit, policy_fn, public,
    role, scope, tenant,
};
use tower_bearer::{
    BearerAuthLayer, ConfigError, Credential, Failure, OpaqueTokens, Source, TokenDigest,
    validator_fn,
};

use crate::support::User;

fn rules() -> PoliciesBuilder<User> {
    Policies::builder()
}

fn sources<const N: usize>(sources: [Source; N]) -> Result<(), ConfigError> {
    let validator = validator_fn(|_: Credential<'_>| Ok::<_, Failure>(User::default()));
    BearerAuthLayer::new(validator)
        .with_sources(sources)
        .map(drop)
}

#[test]
fn each_configuration_error_names_input_and_expectation() {
    // (A21: rules without effect)
    let none: [&str; 0] = [];
    let roles = RoleHierarchy::builder()
        .above("admin", "editor")
        .build()
        .unwrap();
    let build = |builder: PoliciesBuilder<User>| builder.build().map(drop);
    let cases: Vec<(Result<(), ConfigError>, &str)> = vec![
        (
            build(rules().at("admin", public())),
            r#"path pattern "admin": does not begin with `/`"#,
        ),
        (
            build(rules().under("/files/*", public())),
            r#"path pattern "/files/*": segment "*" is not understood: a variable segment is a whole `{name}` of letters, digits and `_`; for everything below a path use `under`"#,
        ),
        (
            build(rules().under("/admin/", role("admin"))),
            r#"path pattern "/admin/": ends with `/`; leave it out: the path with and without it, and all paths below, are covered anyway"#,
        ),
        (
            build(rules().at("/a?b", public())),
            r#"path pattern "/a?b": contains `?` or `#`; a query or fragment is never matched"#,
        ),
        (
            build(
                rules()
                    .under("/docs", public())
                    .at("/docs/secret", role("admin")),
            ),
            "rule 1 `at /docs/secret: role(admin)` can never take effect: rule 0 `under /docs: public()` stands above it and decides every request it names; move it up or remove it",
        ),
        (
            build(rules().under("/", deny()).at("/health", public())),
            "rule 1 `at /health: public()` can never take effect: rule 0 `under /: deny()` stands above it and decides every request it names; move it up or remove it",
        ),
        (
            build(
                rules()
                    .under("/{any}", optional())
                    .under("/a/b", scope("x").on([Method::POST])),
            ),
            "rule 1 `under /a/b: scope(x) on POST` can never take effect: rule 0 `under /{any}: optional()` stands above it and decides every request it names; move it up or remove it",
        ),
        (
            build(
                rules()
                    .at("/a", public().on([Method::GET]))
                    .at("/a", role("x").on([Method::HEAD])),
            ),
            "rule 1 `at /a: role(x) on HEAD` can never take effect: rule 0 `at /a: public() on GET` stands above it and decides every request it names; move it up or remove it",
        ),
        (
            build(
                rules()
                    .under("/a", deny().on([Method::GET]))
                    .at("/a", role("x").on(["PROPFIND".parse().unwrap()])),
            ),
            "rule 1 `at /a: role(x) on PROPFIND` can never take effect: rule 0 `under /a: deny() on GET` stands above it and decides every request it names; move it up or remove it",
        ),
        (
            build(
                rules()
                    .under("/a", permit(authenticated()))
                    .at("/a", role("x")),
            ),
            "rule 1 `at /a: role(x)` can never take effect: rule 0 `under /a: permit(authenticated())` stands above it and decides every request it names; move it up or remove it",
        ),
        (
            build(rules().at("/a", public().on([]))),
            "rule `at /a: public() on no method`: `.on([])` names no method, so it would never apply; leave `.on` out for all methods",
        ),
        (
            build(rules().under("/t/{id}", tenant("tenant"))),
            r#"rule `under /t/{id}: tenant({tenant})`: reads the segment "tenant", which no pattern names: write `{tenant}` into the path of the rule"#,
        ),
        (
            build(rules().under(
                "/u/{id}",
                role("admin").or(owner("user")).not().and(authenticated()),
            )),
            r#"rule `under /u/{id}: (not (role(admin) or owner({user})) and authenticated())`: reads the segment "user", which no pattern names: write `{user}` into the path of the rule"#,
        ),
        (
            build(rules().under("/a", permit(scope("orders read")))),
            r#"rule `under /a: permit(scope(orders read))`: scope "orders read" is not one scope token: 1 or more printable ASCII characters without space, `"` and `\` (RFC 6749 section 3.3)"#,
        ),
        (
            build(rules().under("/a", any_scope(none))),
            "rule `under /a: any_scope()`: `any_scope` was given nothing to look for, so no request could ever satisfy it; name at least one value",
        ),
        (
            build(rules().under("/a", any_role(none))),
            "rule `under /a: role()`: `any_role` was given nothing to look for, so no request could ever satisfy it; name at least one value",
        ),
        (
            build(rules().under("/a", acr(["m\"fa"]))),
            r#"rule `under /a: acr(m"fa)`: acr value "m\"fa" is not usable: 1 or more printable ASCII characters without space, `"` and `\` (RFC 9470 section 3)"#,
        ),
        (
            build(rules().under("/a", roles.role("editr"))),
            r#"rule `under /a: role(editr)`: role "editr" is not in the hierarchy, which knows ["admin", "editor"]"#,
        ),
        (
            RoleHierarchy::builder()
                .above("a", "b")
                .above("b", "a")
                .build()
                .map(drop),
            r#"roles stand above each other in a circle: ["a", "b"]"#,
        ),
        (
            build(rules().under("/a", role(""))),
            "rule `under /a: role()`: `role` was given nothing to look for, so no request could ever satisfy it; name at least one value",
        ),
        (
            sources([Source::bearer().trust_origin("https://a.example")]),
            "credential source `Bearer`: expected no trusted origin: only cookies and Basic credentials have trusted origins",
        ),
        (
            sources([Source::api_key(HeaderName::from_static("origin"))]),
            "credential source `header origin`: expected a header field of the application's own, such as x-api-key",
        ),
        (
            sources([]),
            "no credential source was given; name at least one, for example `Source::bearer()`",
        ),
        (
            sources([Source::bearer(), Source::bearer()]),
            "credential source `Bearer` is given twice",
        ),
        (
            sources([
                Source::cookie("a"),
                Source::cookie("a").trust_origin("https://x"),
            ]),
            "credential source `cookie a` is given twice",
        ),
        (
            sources([Source::api_key(HeaderName::from_static("authorization"))]),
            "credential source `header authorization`: expected a header field of the application's own, such as x-api-key",
        ),
        (
            sources([Source::cookie("a b")]),
            "credential source `cookie a b`: expected a cookie name: a token of RFC 9110 section 5.6.2",
        ),
        (
            sources([Source::cookie("a").trust_origin("https://a.example/")]),
            r#"trusted origin "https://a.example/": expected `scheme://host` or `scheme://host:port`, in lower case, without a path or a trailing slash"#,
        ),
        (
            OpaqueTokens::new().insert("a b", User::default()),
            "token: expected 1 or more printable ASCII characters without space, got 3 bytes",
        ),
        (
            TokenDigest::from_hex("abc").map(drop),
            "token digest: expected 64 hexadecimal digits, got 3 bytes",
        ),
    ];
    for (result, expected) in cases {
        assert_eq!(result.unwrap_err().to_string(), expected);
    }
}

#[test]
fn trusted_origin_must_have_the_form_that_browsers_send() {
    for (origin, expected) in [
        ("https://app.example.com", true),
        ("http://localhost:5173", true),
        ("https://[::1]:8443", true),
        // (M11: default ports)
        ("https://app.example.com:443", true),
        ("http://app.example.com:80", true),
        ("https://app.example.com:", false),
        ("https://app.example.com:08443", false),
        ("https://*.example.com", false),
        ("https://App.example.com", false),
        ("https://user@app.example.com", false),
        ("https://app.example.com/x", false),
        ("app.example.com", false),
        ("null", false),
        ("", false),
    ] {
        let source = Source::cookie("sid").trust_origin(origin);
        assert_eq!(sources([source]).is_ok(), expected, "{origin}");
    }
}

#[test]
fn reachable_rule_that_resembles_a_shadowed_one_is_accepted() {
    for builder in [
        rules().at("/docs", public()).under("/docs", role("admin")),
        rules()
            .under("/docs", public().on([Method::GET]))
            .under("/docs", role("admin")),
        rules()
            .under("/docs", permit(role("admin")))
            .under("/docs", role("editor")),
        rules().at("/a", public()).at("/a/", role("admin")),
        rules().at("/{name}", public()).under("/a", role("admin")),
        rules().at("/a", public()).at("/{name}", role("admin")),
        rules()
            .at("/a", public().on([Method::HEAD]))
            .at("/a", role("x").on([Method::GET])),
        // Each takes effect for requests that the other does not match.
        rules().under("/a", role("x")).at("/a", role("x")),
        rules()
            .under("/a", role("x").on([Method::GET]))
            .under("/a", role("x")),
        rules()
            .under("/a", role("x").on([Method::GET]))
            .under("/a", role("x").on([Method::POST])),
        rules().at("/a", role("x")).at("/a/", role("x")),
        rules().under("/{a}", owner("a")).under("/{b}", owner("b")),
        rules().under("/a", role("x")).under("/a", role("y")),
        rules().under("/a", scope("x")).under("/a", role("x")),
        rules()
            .under("/a", role("x").and(role("y")))
            .under("/a", role("y")),
        // The first restricts PROPFIND and does not name it.
        rules()
            .deny_unmatched()
            .at("/a", role("x").on([Method::GET]))
            .at(
                "/a",
                role("x").on([Method::from_bytes(b"PROPFIND").unwrap()]),
            ),
        // Closures, and names that could be read in two ways, are not compared.
        rules()
            .under("/a", policy_fn(|_: &PolicyContext<'_, User>| true))
            .under("/a", policy_fn(|_: &PolicyContext<'_, User>| false)),
        rules()
            .under("/a", any_role(["x", "y"]))
            .under("/a", role("x, y")),
        // A permission is not a restriction.
        rules()
            .under("/a", permit(role("x")))
            .under("/a", permit(role("x"))),
    ] {
        if let Err(error) = builder.build() {
            panic!("{error}");
        }
    }
}

// (A21: rules without effect)
#[test]
fn restricting_rule_that_repeats_earlier_one_is_rejected_by_build() {
    type Builder = PoliciesBuilder<User>;
    let twice = |add: &dyn Fn(Builder) -> Builder| add(add(rules().under("/", role("first"))));
    for builder in [
        twice(&|rules| rules.under("/a", role("x"))),
        twice(&|rules| rules.at("/a", scope("a"))),
        twice(&|rules| rules.under("/a", any_role(["x", "y"]))),
        twice(&|rules| rules.under("/a", authenticated())),
        twice(&|rules| rules.under("/a", acr(["mfa"]))),
        twice(&|rules| rules.under("/a", max_age(Duration::from_secs(60)))),
        twice(&|rules| rules.under("/{a}", owner("a").or(role("x")))),
        twice(&|rules| rules.under("/{a}", tenant("a").and(role("x").not()))),
        twice(&|rules| rules.under("/a", role("x").on([Method::POST]))),
        // The first covers more methods.
        rules()
            .under("/", role("first"))
            .under("/a", role("x"))
            .under("/a", role("x").on([Method::GET])),
        rules()
            .under("/", role("first"))
            .under("/a", role("x").on([Method::GET]))
            .under("/a", role("x").on([Method::HEAD])),
        // Two spellings of one path.
        rules()
            .under("/", role("first"))
            .under("/é", role("x"))
            .under("/%C3%A9", role("x")),
        // An opening rule in between changes nothing.
        rules()
            .under("/a", role("x"))
            .under("/a", permit(role("y")))
            .under("/a", role("x")),
    ] {
        let error = builder.build().unwrap_err();
        let text = error.to_string();
        let ConfigError::DuplicateRule {
            duplicate_index: 2,
            duplicate,
            first,
            ..
        } = error
        else {
            panic!("{text}");
        };
        assert!(text.contains(&duplicate) && text.contains(&first), "{text}");
    }
}

// (M09: path of the inner service)
#[test]
fn nest_prefix_is_checked_like_a_pattern() {
    let layer = || {
        let validator = validator_fn(|_: Credential<'_>| Ok::<_, Failure>(User::default()));
        BearerAuthLayer::new(validator)
    };
    for prefix in ["/", "/api", "/a/{tenant}/b", "/é", "/%C3%A9", "/{a}/{b}"] {
        assert!(layer().nested_at(prefix).is_ok(), "{prefix}");
    }
    for prefix in [
        "", "api", "*", "/api/", "/a//b", "//", "/a/../b", "/a%2fb", "/a;b", "/a?b", "/a#b",
        "/a/*", "/{*rest}", "/a{b}", "/{}", "/{a}/{a}", "/:a", "/a%", "/a\\b",
    ] {
        let error = layer().nested_at(prefix).unwrap_err();
        let ConfigError::Prefix { prefix: named, .. } = &error else {
            panic!("{prefix}: {error}");
        };
        assert_eq!(named, prefix);
        let expected = format!("prefix {prefix:?} of `nested_at`: ");
        assert!(error.to_string().starts_with(&expected), "{error}");
    }
    let debug = format!("{:?}", layer().nested_at("/api").unwrap());
    assert!(debug.contains(r#"nested_at: Some("/api")"#), "{debug}");
}

#[test]
fn policy_list_displays_as_table() {
    let policies = rules()
        .at("/health", public())
        .under("/admin", role("admin"))
        .under(
            "/orders",
            scope("orders:write").on([Method::POST, Method::DELETE]),
        )
        .under("/users/{user}", owner("user").or(role("admin")))
        .build()
        .unwrap();
    let expected = "\
#  path                 methods       rule
0  at /health           *             public()
1  under /admin         *             role(admin)
2  under /orders        POST, DELETE  scope(orders:write)
3  under /users/{user}  *             (owner({user}) or role(admin))
-  the rest             *             authenticated()
";
    assert_eq!(policies.to_string(), expected);
    let closed = rules().deny_unmatched().build().unwrap();
    assert!(
        closed
            .to_string()
            .ends_with("-  the rest  *        deny()\n"),
        "{closed}"
    );
}

#[test]
fn explain_works_without_principal() {
    let policies = rules()
        .under("/", permit(role("root")))
        .at("/health", public().on([Method::GET]))
        .under("/orders", scope("orders:read"))
        .under("/orders", scope("orders:write").on([Method::POST]))
        .deny_unmatched()
        .build()
        .unwrap();
    for (method, path, expected) in [
        (
            Method::HEAD,
            "/health",
            "HEAD /health is public\n  0 may permit under /: permit(role(root))\n  1 opens      at /health: public() on GET\n",
        ),
        (
            Method::POST,
            "/orders/7",
            "POST /orders/7 needs a valid credential\n  0 may permit under /: permit(role(root))\n  2 restricts  under /orders: scope(orders:read)\n  3 restricts  under /orders: scope(orders:write) on POST\n  then passes, if they do\n",
        ),
        (
            Method::GET,
            "/a//b",
            "GET /a//b is refused with 400: a repeated slash\n",
        ),
    ] {
        assert_eq!(policies.explain(&method, path).to_string(), expected);
    }
    // A permission may be given or not; what it leaves is denied, but not for everybody.
    let explanation = policies.explain(&Method::GET, "/b");
    assert!(!explanation.is_unmatched_and_denied());
    assert!(
        explanation
            .to_string()
            .ends_with("then is refused with 403: no rule names it\n")
    );
    // A rule for every path names none.
    let closed = rules()
        .under("/", role("user"))
        .at("/a", authenticated())
        .deny_unmatched()
        .build()
        .unwrap();
    assert!(!closed.explain(&Method::GET, "/a").is_unmatched_and_denied());
    let explanation = closed.explain(&Method::GET, "/b");
    assert!(explanation.is_unmatched_and_denied());
    assert_eq!(
        explanation.to_string(),
        "GET /b needs a valid credential\n  0 restricts  under /: role(user)\n  then is refused with 403: no rule names it\n"
    );
}

#[test]
fn path_rule_does_not_open_non_path_target() {
    // (A10: request targets)
    let policies = rules()
        .at("/", public())
        .under("/admin", role("admin"))
        .insecure_allow_path(PathAmbiguity::NotAbsolute)
        .build()
        .unwrap();
    for target in ["", "*", "admin"] {
        let explanation = policies.explain(&Method::GET, target);
        assert_eq!(
            explanation.requirement(),
            Ok(Requirement::Credential),
            "{target:?}"
        );
    }
    assert_eq!(policies.explain(&Method::GET, "admin").rules().len(), 1);
}

#[test]
fn ten_thousand_public_paths_build_in_linear_time() {
    let mut builder = rules();
    for index in 0..10_000 {
        builder = builder.under(&format!("/service-{index}"), public());
    }
    let fault = builder
        .at("/service-9999/admin", role("admin"))
        .build()
        .unwrap_err();
    assert!(
        matches!(
            fault,
            ConfigError::UnreachableRule {
                hiding_index: 9_999,
                ..
            }
        ),
        "{fault}"
    );
}
