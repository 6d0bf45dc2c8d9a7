//! Any header fields against every source of credentials.
//!
//! Each line of the input is one field: a byte that selects the name, then the value. The model: the validator sees only a
//! credential that a field contains, the request is allowed only with the valid token, and no response contains a credential with a mark.
#![no_main]

use std::cell::RefCell;
use std::sync::LazyLock;

use http::header::{
    AUTHORIZATION, COOKIE, HOST, ORIGIN, SEC_WEBSOCKET_PROTOCOL, UPGRADE, WWW_AUTHENTICATE,
};
use http::{HeaderName, HeaderValue, Method, Request};
use libfuzzer_sys::fuzz_target;
use tower::Layer;
use tower_bearer::{
    BearerAuthLayer, Credential, Failure, InvalidReason, RequestView, Source, Validated, Validator,
    Verdict,
};
use tower_bearer_fuzz::{call, inner, is_allowed};

const VALID: &str = "W3n5iYp2Tn6Vd8qR0sXkLw";
/// Part of credentials that are looked for in responses.
const MARK: &[u8] = b"SECRET";

static NAMES: [HeaderName; 8] = [
    AUTHORIZATION,
    COOKIE,
    SEC_WEBSOCKET_PROTOCOL,
    HeaderName::from_static("x-api-key"),
    UPGRADE,
    HeaderName::from_static("sec-fetch-site"),
    ORIGIN,
    HOST,
];

thread_local! {
    /// The credential that the validator received.
    static SEEN: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

struct Recorder;

impl Validator for Recorder {
    type Principal = ();

    fn validate(&self, credential: &Credential<'_>, _: &RequestView<'_>) -> Verdict<()> {
        SEEN.with_borrow_mut(|seen| *seen = Some(credential.token_bytes().to_vec()));
        // Reads user and password of a Basic credential, which must not panic.
        let _ = credential.basic();
        Verdict::Ready(if credential.token_bytes() == VALID.as_bytes() {
            Ok(Validated::new(()))
        } else {
            Err(Failure::invalid(InvalidReason::Unknown))
        })
    }
}

static LAYER: LazyLock<BearerAuthLayer<Recorder>> = LazyLock::new(|| {
    BearerAuthLayer::new(Recorder)
        .with_sources([
            Source::bearer(),
            Source::basic(),
            Source::api_key(HeaderName::from_static("x-api-key")),
            Source::cookie("session"),
            Source::websocket_protocol("bearer"),
        ])
        .expect("the sources are valid")
});

fuzz_target!(|data: &[u8]| {
    let Some((&selector, data)) = data.split_first() else {
        return;
    };
    let method = [Method::GET, Method::POST, Method::CONNECT, Method::OPTIONS]
        [usize::from(selector & 3)]
    .clone();
    let mut request = Request::new(());
    *request.method_mut() = method;
    for line in data.split(|byte| *byte == b'\n') {
        let Some((&name, value)) = line.split_first() else {
            continue;
        };
        let Ok(value) = HeaderValue::from_bytes(value) else {
            continue;
        };
        request
            .headers_mut()
            .append(NAMES[usize::from(name) % NAMES.len()].clone(), value);
    }
    let values: Vec<Vec<u8>> = request
        .headers()
        .values()
        .map(|value| value.as_bytes().to_vec())
        .collect();

    SEEN.with_borrow_mut(|seen| *seen = None);
    let response = call(&mut LAYER.layer(inner()), request);
    let seen = SEEN.with_borrow_mut(Option::take);

    if let Some(token) = &seen {
        assert!(!token.is_empty(), "an empty credential is malformed");
        assert!(token.is_ascii(), "a credential is ASCII");
        let contains = |value: &Vec<u8>| {
            value
                .windows(token.len())
                .any(|window| window == token.as_slice())
        };
        assert!(
            values.iter().any(contains),
            "the credential is from a field"
        );
        // Fixed texts of a response, such as `cookie-name="session"`, can be credentials too, but they have no mark.
        if token.windows(MARK.len()).any(|window| window == MARK) {
            for value in response.headers().values() {
                assert!(
                    !contains(&value.as_bytes().to_vec()),
                    "a response contains the credential"
                );
            }
        }
    }
    if is_allowed(&response) {
        assert_eq!(
            seen.as_deref(),
            Some(VALID.as_bytes()),
            "only the valid token is accepted"
        );
        return;
    }
    match response.status().as_u16() {
        400 | 403 => {}
        401 => assert!(response.headers().contains_key(WWW_AUTHENTICATE)),
        status => panic!("unexpected status {status}"),
    }
});
