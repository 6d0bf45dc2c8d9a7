//! That neither token nor secret shows in any text.

use std::fmt::Write as _;

use super::*;

const SECRETS: [&str; 5] = [
    TOKEN,
    "the-client-secret",
    // Both in base64.
    "b3JkZXJzLWFwaTp0aGUtY2xpZW50LXNlY3JldA",
    "claim-of-alice",
    "topsecret",
];

fn texts_of(answer: &Answer) -> String {
    let mut texts = format!("{:?}", answer.response);
    // The service itself greets by name.
    if answer.status() != 200 {
        texts += &answer.body;
    }
    if let Some(rejection) = answer.response.extensions().get::<Rejection>() {
        write!(texts, "{rejection:?} {rejection:#?} {rejection}").unwrap();
        let mut error: &dyn std::error::Error = rejection;
        while let Some(source) = error.source() {
            write!(texts, "{source:?} {source:#?} {source}").unwrap();
            error = source;
        }
    }
    texts
}

#[tokio::test]
async fn secrets_are_absent_from_debug_display_and_log() {
    // (J03: no secrets in texts, J04: error texts, E11: introspection requests, E14: details for
    // the operator)
    #[cfg(feature = "tracing")]
    let (log, _guard) = log::keep();
    let mut texts = String::new();
    let claims = json!({"sub": "claim-of-alice", "username": "claim-of-alice"});
    let faulty = json!({"error": "claim-of-alice", "exp": "claim-of-alice"});
    for reply in [
        active(&claims),
        active(&faulty),
        active(&json!({"aud": "claim-of-alice"})),
        active(&json!({"roles": {"claim-of-alice": 1}})),
        inactive(),
        Reply::json(format!("{TOKEN} the-client-secret")),
        Reply::text(&claims),
        Reply::status(401),
        Reply::status(500),
        Reply::Close,
        Reply::redirect(&format!("https://elsewhere.example/?token={TOKEN}")),
        Reply::redirect(&format!("https://elsewhere.example/{TOKEN}")),
        Reply::redirect(&format!("/{TOKEN}")),
        good().header(http::header::CONTENT_ENCODING, TOKEN),
    ] {
        let path = "/introspect?tenant=topsecret";
        let server = HttpServer::with(path, reply);
        let builder = Introspection::builder(server.url(path))
            .client(client())
            .audience(AUDIENCE)
            .cache(SECOND);
        write!(texts, "{builder:?} {builder:#?}").unwrap();
        let validator = builder.build().unwrap();
        let service = service(validator.clone());
        for _ in 0..2 {
            texts += &texts_of(&get(&service, TOKEN).await);
            texts += &texts_of(&grpc(&service, TOKEN).await);
        }
        write!(texts, "{validator:?} {validator:#?} {:?}", client()).unwrap();
        assert!(server.total() > 0);
    }
    #[cfg(feature = "tracing")]
    {
        let log = log.text();
        let alarm = r#"outcome="introspection-credentials-refused" status=401"#;
        let alarms: Vec<_> = log.lines().filter(|line| line.contains(alarm)).collect();
        assert_eq!(alarms.len(), 4, "one for each call (E13):\n{log}");
        assert!(
            alarms
                .iter()
                .all(|line| line.contains("ERROR tower_bearer")),
            "{log}"
        );
        texts += &log;
    }
    for secret in SECRETS {
        let place = texts.find(secret);
        let around = place.map(|at| &texts[at.saturating_sub(200)..at]);
        assert_eq!(around, None, "before {secret}");
    }
    assert!(texts.contains("?...") && texts.contains("ClientAuthentication(basic)"));
}

#[cfg(feature = "tracing")]
mod log {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt::MakeWriter;

    #[derive(Clone, Default)]
    pub(super) struct Log(Arc<Mutex<Vec<u8>>>);

    /// Until the guard is dropped, for this thread.
    pub(super) fn keep() -> (Log, tracing::subscriber::DefaultGuard) {
        crate::dispatcher::register_second();
        let log = Log::default();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
            .with_ansi(false)
            .with_writer(log.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    impl Log {
        pub(super) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

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
}
