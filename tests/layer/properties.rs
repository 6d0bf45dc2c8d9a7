//! Properties of the parsers and writers that a stranger reaches.

use http::header::{AUTHORIZATION, COOKIE, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderName, HeaderValue, Method, Request};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tower::Layer as _;
use tower_bearer::policy::{Claims, Policies, owner, public, scope, scope_list_contains, tenant};
use tower_bearer::{
    BearerAuthLayer, Challenge, Credential, Failure, Rejection, RejectionKind, Source, validator_fn,
};

use crate::support::{Body, Greet, User, send};

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

/// Accepts whatever the sources let through, and remembers it as the subject.
fn echo() -> impl tower_bearer::Validator<Principal = Echo> {
    validator_fn(|credential: Credential<'_>| {
        let token = credential.token().to_owned();
        Ok::<_, Failure>(Echo(token))
    })
}

struct Echo(String);

impl Claims for Echo {
    fn subject(&self) -> Option<&str> {
        Some(&self.0)
    }
}

fn header_bytes() -> impl Strategy<Value = Vec<u8>> {
    // What the `http` crate and hyper accept: no control characters but the tab.
    let byte = prop_oneof![
        8 => 0x20_u8..0x7f,
        2 => 0x80_u8..=0xff,
        1 => Just(b'\t'),
        4 => prop::sample::select(&b" =,;\"bBe/"[..]),
    ];
    let noise = prop_oneof![
        prop::collection::vec(byte, 0..40),
        // Noise alone is hardly ever a credential.
        "[A-Za-z0-9._~-]{1,24}={0,2}".prop_map(String::into_bytes),
    ];
    let start = prop::sample::select(vec![
        "",
        "Bearer ",
        "bearer  ",
        "Basic ",
        "sid=",
        "bearer, ",
        "a=b; sid=",
    ]);
    (start, noise).prop_map(|(start, noise)| [start.as_bytes(), &noise].concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_024, failure_persistence: None, ..ProptestConfig::default() })]

    // (I01: grammatical headers)
    #[test]
    fn challenge_parses_to_its_inputs_within_the_grammar(
        realm in ".{0,20}", error in ".{0,20}", scopes in prop::collection::vec(".{0,8}", 0..4),
    ) {
        let value = Challenge::bearer(&realm).error(&error).scope(&scopes).to_header_value();
        let text = value.to_str().unwrap();
        let parsed: Vec<_> = http_auth::parser::ChallengeParser::new(text)
            .collect::<Result<_, _>>()
            .map_err(|error| TestCaseError::fail(format!("{text}: {error}")))?;
        prop_assert_eq!(parsed.len(), 1);
        prop_assert_eq!(parsed[0].scheme, "Bearer");
        let keep = |text: &str| text.chars().filter(|c| matches!(c, ' '..='~') && *c != '"' && *c != '\\').collect::<String>();
        let scope = scopes.iter().map(|scope| keep(scope).replace(' ', "")).filter(|scope| !scope.is_empty()).collect::<Vec<_>>().join(" ");
        let mut expected = vec![("realm", keep(&realm)), ("error", keep(&error))];
        if !scope.is_empty() {
            expected.push(("scope", scope));
        }
        let found: Vec<_> = parsed[0].params.iter().map(|(name, value)| (*name, value.to_unescaped())).collect();
        prop_assert_eq!(found, expected);
    }

    // (G05: no panics, A11: invalid characters)
    #[test]
    fn arbitrary_path_does_not_panic_rules(path in "(/|%|2|f|[.]|\\\\|;|a|\\PC|\\x00|e){0,24}") {
        let policies: Policies<User> = Policies::builder()
            .at("/a", public())
            .under("/{t}/a", tenant("t"))
            .under("/a/{u}", owner("u"))
            .under("/é", scope("s"))
            .build()
            .unwrap();
        let explanation = policies.explain(&Method::GET, &path);
        prop_assert!(!explanation.to_string().is_empty());
        if !path.starts_with('/') {
            prop_assert!(explanation.requirement().is_err(), "A10");
        }
    }

    #[test]
    fn arbitrary_request_path_does_not_panic_service(
        path in "/(/|%|2|f|[.]|;|a|[!-~]|é|e){0,24}", token in "[a-z]{1,3}",
    ) {
        let Ok(uri) = path.parse::<http::Uri>() else { return Ok(()) };
        let policies = Policies::builder()
            .under("/{user}/a", owner("user"))
            .under("/a/{user}", owner("user"))
            .build()
            .unwrap();
        let mut request = Request::new(Body::default());
        *request.uri_mut() = uri;
        request.headers_mut().insert(AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
        let service = BearerAuthLayer::new(echo()).with_policy(policies).layer(Greet);
        let answer = wait(send(service, request));
        match answer.response.extensions().get::<Rejection>().map(Rejection::kind) {
            None => prop_assert_eq!(answer.status(), 200),
            Some(RejectionKind::AmbiguousPath(_)) => prop_assert_eq!(answer.status(), 400),
            Some(kind) => prop_assert_eq!(kind, RejectionKind::Forbidden),
        }
    }

    // (D10: whole scopes)
    #[test]
    fn scope_list_contains_exactly_its_words(
        words in prop::collection::vec("[a-c:]{1,3}", 0..5), asked in "[a-c: ]{0,4}",
    ) {
        let list = words.join(" ");
        prop_assert_eq!(scope_list_contains(&list, &asked), words.contains(&asked));
    }
}

// (B08: bytes beyond ASCII, G05: no panics)
#[test]
fn arbitrary_header_neither_panics_nor_passes_forbidden_credential() {
    let accepted = std::cell::Cell::new(0);
    let config = ProptestConfig {
        cases: 4_096,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let cases = (
        prop::collection::vec((0..4_usize, header_bytes()), 0..4),
        any::<bool>(),
    );
    let ran = TestRunner::new(config).run(&cases, |(lines, remove)| {
        let names = [
            AUTHORIZATION,
            HeaderName::from_static("x-api-key"),
            COOKIE,
            SEC_WEBSOCKET_PROTOCOL,
        ];
        let mut request = Request::get("/")
            .header("upgrade", "websocket")
            .body(Body::default())
            .unwrap();
        for (name, value) in &lines {
            request
                .headers_mut()
                .append(&names[*name], HeaderValue::from_bytes(value).unwrap());
        }
        let mut layer = BearerAuthLayer::new(echo())
            .with_sources([
                Source::bearer(),
                Source::basic(),
                Source::api_key(names[1].clone()),
                Source::cookie("sid"),
                Source::websocket_protocol("bearer"),
            ])
            .unwrap();
        if remove {
            layer = layer.remove_credential();
        }
        let seen = wait(send(
            layer.layer(tower::service_fn(|request: Request<Body>| async move {
                let echo = request
                    .extensions()
                    .get::<tower_bearer::Authenticated<Echo>>()
                    .unwrap();
                let left: Vec<u8> = request
                    .headers()
                    .iter()
                    .flat_map(|(_, value)| [value.as_bytes(), b"\n"].concat())
                    .collect();
                let mut response = http::Response::new(Body::default());
                response.extensions_mut().insert((echo.0.clone(), left));
                Ok::<_, std::convert::Infallible>(response)
            })),
            request,
        ));
        if let Some((token, left)) = seen.response.extensions().get::<(String, Vec<u8>)>() {
            accepted.set(accepted.get() + 1);
            prop_assert!(!token.is_empty());
            prop_assert!(
                token.bytes().all(|byte| byte.is_ascii_graphic()),
                "{token:?}"
            );
            if remove && token.len() > 6 {
                prop_assert!(
                    !left
                        .windows(token.len())
                        .any(|window| window == token.as_bytes()),
                    "the service still sees {token:?}"
                );
            }
        } else {
            prop_assert!(
                matches!(seen.status(), 400 | 401 | 403),
                "{}",
                seen.status()
            );
        }
        Ok(())
    });
    ran.unwrap();
    // Or nothing would be shown of what passes.
    assert!(accepted.get() >= 100, "{} were accepted", accepted.get());
}
