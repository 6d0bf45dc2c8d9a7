//! That no token, digest, password or claim shows in any text that leaves the crate.

use std::fmt::{Debug, Write as _};
use std::io;
use std::sync::{Arc, Mutex};

use http::{HeaderName, Request};
use tower::Layer as _;
use tower_bearer::policy::{
    Decision, Denial, Policies, PolicyContext, owner, permit, policy_fn, public, role, scope,
    tenant,
};
use tower_bearer::{
    Authenticated, BearerAuthLayer, Credential, Failure, InvalidReason, OpaqueTokens, Rejection,
    RequestView, Scheme, Source, TokenDigest, Validated, Validator, Verdict, validator_fn,
};
use tracing_subscriber::fmt::MakeWriter;

use crate::support::{Body, Greet, User, send};

const TOKEN: &str = "t0pSecretT0kenWhichNobodyMaySee";
const CLAIM: &str = "secret-claim-of-the-principal";

/// A log that is kept.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

fn user() -> User {
    User {
        subject: CLAIM,
        scope: "a",
        ..User::default()
    }
}

fn policies() -> Policies<User> {
    Policies::builder()
        .at("/public", public())
        .under("/scope", scope("b"))
        .under("/role", permit(role("admin")))
        .under("/role", role("editor"))
        .under("/t/{tenant}", tenant("tenant"))
        .under("/u/{user}", owner("user"))
        .under(
            "/closure",
            policy_fn(|_: &PolicyContext<'_, User>| async { false }),
        )
        .build()
        .unwrap()
}

/// Everything that was written, to be searched at the end.
#[derive(Default)]
struct Texts(String);

impl Texts {
    fn debug(&mut self, value: &dyn Debug) {
        writeln!(self.0, "{value:?}\n{value:#?}").unwrap();
    }
}

#[tokio::test]
async fn secrets_are_absent_from_debug_display_and_log() {
    // (B13: hidden credentials, J03: no secrets in texts, J04: error texts)
    crate::dispatcher::register_second();
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(log.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let mut texts = Texts::default();

    let tokens = OpaqueTokens::new();
    tokens.insert(TOKEN, user()).unwrap();
    let store = validator_fn(|credential: Credential<'_>| match credential.token() {
        "down" => Err(Failure::unavailable(format!(
            "{TOKEN} could not be looked up"
        ))),
        _ => Err::<User, _>(Failure::unrecognized()),
    });
    let held: Arc<Mutex<Vec<String>>> = Arc::default();
    let events = Arc::clone(&held);
    let layer = BearerAuthLayer::new(tokens.clone().or(store))
        .with_policy(policies())
        .with_sources([
            Source::bearer(),
            Source::basic(),
            Source::api_key(HeaderName::from_static("x-api-key")),
            Source::cookie("sid"),
            Source::websocket_protocol("bearer"),
        ])
        .unwrap()
        .on_decision(move |event| {
            events.lock().unwrap().push(format!("{event:?} {event:#?}"));
        });
    texts.debug(&layer);
    texts.debug(&layer.layer(Greet));
    texts.debug(&tokens);
    texts.debug(&TokenDigest::of(TOKEN));
    texts.debug(&policies());
    writeln!(texts.0, "{}", policies()).unwrap();
    texts.debug(&Validated::new(user()));
    texts.debug(&Verdict::Ready(Ok(Validated::new(user()))));
    texts.debug(&tokens.insert("t0pSecretT0ken WhichNobodyMaySee", user()));
    texts.debug(&TokenDigest::from_hex(TOKEN));
    texts.debug(&Failure::unavailable(TOKEN));
    texts.debug(&Failure::invalid(InvalidReason::Unknown).with_source(TOKEN));
    writeln!(texts.0, "{}", Failure::unavailable(TOKEN)).unwrap();

    let denial = Denial::unavailable().with_source(TOKEN);
    texts.debug(&denial);
    texts.debug(&Decision::Deny(denial));
    texts.debug(&tokens.clone().or(tokens.clone()));
    texts.debug(&tokens.clone().for_scheme(Scheme::Bearer));
    texts.debug(&tokens.clone().expiring(|_: &User| None));
    texts.debug(&policies().explain(&http::Method::GET, "/u/x"));

    let credential = Credential::bearer(TOKEN).unwrap();
    texts.debug(&credential);
    texts.debug(&credential.clone().into_owned());
    let probe = Request::get(format!("/?access_token={TOKEN}"))
        .header("authorization", format!("Bearer {TOKEN}"))
        .body(())
        .unwrap();
    texts.debug(&RequestView::new(&probe));
    texts.debug(&tokens.validate(&credential, &RequestView::new(&probe)));

    let paths = [
        "/public", "/scope", "/role", "/t/x", "/u/x", "/closure", "/me", "//",
    ];
    let mut answers = 0;
    for path in paths {
        for (name, value) in [
            ("authorization", format!("Bearer {TOKEN}")),
            ("authorization", format!("Bearer {TOKEN}x")),
            ("authorization", format!("Bearer {TOKEN} {TOKEN}")),
            ("authorization", format!("Basic {TOKEN}")),
            ("authorization", format!("Unknown {TOKEN}")),
            ("authorization", String::from("Bearer down")),
            ("x-api-key", TOKEN.to_owned()),
            ("cookie", format!("sid={TOKEN}")),
            ("cookie", format!("sid={TOKEN}; sid={TOKEN}")),
            ("sec-websocket-protocol", format!("bearer, {TOKEN}")),
        ] {
            let mut request = Request::get(path).header(name, value);
            if name == "sec-websocket-protocol" {
                request = request.header("upgrade", "websocket");
            }
            let service = layer.layer(tower::service_fn(|request: Request<Body>| async move {
                // The header is marked, so that even a careless log of the request is safe.
                let mut response =
                    http::Response::new(Body::from(format!("{:?}", request.headers())));
                if let Some(user) = request.extensions().get::<Authenticated<User>>() {
                    response
                        .extensions_mut()
                        .insert(format!("{user:?} {user:#?}"));
                }
                Ok::<_, std::convert::Infallible>(response)
            }));
            let answer = send(service, request.body(Body::default()).unwrap()).await;
            // With a scheme of its own no source knows the header as a credential's.
            texts.debug(&answer.response.headers());
            writeln!(texts.0, "{}", answer.body).unwrap();
            if let Some(text) = answer.response.extensions().get::<String>() {
                texts.0.push_str(text);
            }
            if let Some(rejection) = answer.response.extensions().get::<Rejection>() {
                texts.debug(rejection);
                writeln!(texts.0, "{rejection} {}", rejection.problem()).unwrap();
            }
            answers += 1;
        }
    }
    assert_eq!(answers, 80);

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(
        log.contains("invalid-token") && log.contains("WARN"),
        "the log is not empty: {log}"
    );
    let events = held.lock().unwrap().join("\n");
    assert!(events.contains("DecisionEvent"), "the hook was called");

    for (place, text) in [("texts", &texts.0), ("log", &log), ("events", &events)] {
        for secret in [TOKEN, &TOKEN[4..], CLAIM] {
            assert!(!text.contains(secret), "{place} shows {secret}:\n{text}");
        }
    }
}
