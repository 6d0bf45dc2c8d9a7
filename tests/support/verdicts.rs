//! What a validator says about a token, to the letter.

#![allow(dead_code, reason = "each test uses some of it")]

use std::convert::Infallible;
use std::error::Error as _;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use futures_util::FutureExt as _;
use http::{HeaderName, HeaderValue, Request, Response};
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_bearer::clock::ManualClock;
use tower_bearer::jwt::{AccessToken, TokenError};
use tower_bearer::{
    BearerAuthLayer, Credential, Failure, FailureKind, RequestView, Source, Validated, Validator,
    Verdict,
};

/// A validator of access tokens, whatever it is made of.
pub(crate) type Judge = Arc<dyn Validator<Principal = AccessToken>>;

/// Why a token did not get through.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Refusal {
    /// The validator refuses it.
    Token(TokenError),
    /// The validator leaves it to others.
    Unrecognized,
    /// No request can present it, so no validator ever sees it.
    NoCredential,
}

impl From<TokenError> for Refusal {
    fn from(error: TokenError) -> Self {
        Self::Token(error)
    }
}

/// Asks `judge` about `token` at `now`: as a bearer credential, or, if it has characters that none can
/// have, as an API key, which takes all that is printable.
pub(crate) fn ask(
    judge: &Judge,
    token: impl AsRef<[u8]>,
    now: SystemTime,
) -> Result<Validated<AccessToken>, Refusal> {
    let token = token.as_ref();
    let bearer = std::str::from_utf8(token).ok().and_then(Credential::bearer);
    let answer = match bearer {
        Some(credential) => {
            let clock = ManualClock::new(now);
            let request = Request::new(());
            let view = RequestView::with_clock(&request, &clock);
            ready(judge.validate(&credential, &view))
        }
        None => ask_with_api_key(judge, token, now).ok_or(Refusal::NoCredential)?,
    };
    let validated = answer.map_err(|failure| explain(&failure))?;
    assert!(
        !validated.is_expired(now),
        "accepted, and over for the layer"
    );
    Ok(validated)
}

fn ready<T>(verdict: Verdict<T>) -> Result<Validated<T>, Failure> {
    match verdict {
        Verdict::Ready(answer) => answer,
        Verdict::Pending(_) => panic!("there is nothing to wait for"),
    }
}

/// The kind of a failure has to go with its source.
fn explain(failure: &Failure) -> Refusal {
    let source = failure.source().map(|source| {
        let error = source.downcast_ref::<TokenError>();
        error.expect("the source is a `TokenError`").clone()
    });
    match (failure.kind(), source) {
        (FailureKind::Invalid(_), Some(error)) => Refusal::Token(error),
        (FailureKind::Unrecognized, None) => Refusal::Unrecognized,
        (kind, source) => panic!("{kind:?} with the source {source:?}"),
    }
}

/// Hands on what the layer gives it, and remembers the answer.
struct Overheard {
    judge: Judge,
    answer: Mutex<Option<Result<Validated<AccessToken>, Failure>>>,
}

impl Validator for Overheard {
    type Principal = AccessToken;

    fn validate(
        &self,
        credential: &Credential<'_>,
        view: &RequestView<'_>,
    ) -> Verdict<AccessToken> {
        let answer = ready(self.judge.validate(credential, view));
        *self.answer.lock().unwrap() = Some(answer.clone());
        answer.into()
    }
}

fn ask_with_api_key(
    judge: &Judge,
    token: &[u8],
    now: SystemTime,
) -> Option<Result<Validated<AccessToken>, Failure>> {
    let header = HeaderName::from_static("x-token");
    let mut request = Request::new(());
    request
        .headers_mut()
        .insert(&header, HeaderValue::from_bytes(token).ok()?);
    let overheard = Arc::new(Overheard {
        judge: Arc::clone(judge),
        answer: Mutex::new(None),
    });
    let service = BearerAuthLayer::new(Arc::clone(&overheard))
        .with_sources([Source::api_key(header)])
        .unwrap()
        .with_clock(ManualClock::new(now))
        .layer(service_fn(|_: Request<()>| async {
            Ok::<_, Infallible>(Response::new(String::new()))
        }));
    let _ = service.oneshot(request).now_or_never().unwrap().unwrap();
    overheard.answer.lock().unwrap().take()
}
