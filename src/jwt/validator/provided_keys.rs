//! Keys that may change: when to decide, when to fetch, when to wait.

use std::sync::Arc;
use std::time::SystemTime;

use super::{CheckError, Inner, JwtValidator};
use crate::failure::Failure;
use crate::jwt::claims::RawClaims;
use crate::jwt::decode_buffer::{PayloadBuffer, SignatureBuffer};
use crate::jwt::error::TokenError;
use crate::jwt::key_provider::{Current, KeyProvider, KeysFuture, Missing};
use crate::jwt::key_set::NoKey;
use crate::jwt::token::UnverifiedToken;
use crate::validator::Verdict;

impl<C: Send + Sync + 'static> JwtValidator<C> {
    pub(super) fn decide_with_provider(
        &self,
        provider: &Arc<dyn KeyProvider>,
        text: &[u8],
        token: &UnverifiedToken<'_>,
        claims: Option<RawClaims<'_>>,
        now: SystemTime,
    ) -> Verdict<C> {
        let plausible = || self.inner.plausible(token, now);
        let keys = match provider.current(now) {
            Current::Keys(keys) => keys,
            Current::Unavailable(failure) => {
                let failure = plausible().err().map_or(failure, Failure::from);
                return Verdict::Ready(Err(failure));
            }
            Current::Pending(fetch) => {
                return match plausible() {
                    Ok(()) => self.after(provider, fetch, None, text, now),
                    Err(error) => Verdict::Ready(Err(error.into())),
                };
            }
        };
        let rejected = match self.inner.check(token, claims, &keys, now) {
            Ok(validated) => {
                return Verdict::Ready(Ok(
                    validated.with_dyn_dependency(provider.dependency(&keys))
                ));
            }
            Err(rejected) => rejected,
        };
        // E02: nobody is asked about a token that would be refused in any case.
        let is_worth_asking = match &rejected {
            CheckError::Bad(_) | CheckError::Own(_) => false,
            CheckError::Key(_) | CheckError::Signature => {
                provider.can_fetch() && plausible().is_ok()
            }
        };
        if !is_worth_asking {
            return Verdict::Ready(Err(rejected.into_failure()));
        }
        // Its key is known and says no, or is for another algorithm.
        let is_known = matches!(
            rejected,
            CheckError::Signature | CheckError::Key(NoKey::Algorithm | NoKey::DefaultAlgorithm)
        );
        let missing = match is_known {
            true => provider.suspicious(now),
            false => provider.missing(token.header().kid(), now),
        };
        match missing {
            Missing::Definitive => Verdict::Ready(Err(rejected.into_failure())),
            // Otherwise a forger could make an outage of each forgery.
            Missing::Unavailable(_) if is_known => Verdict::Ready(Err(rejected.into_failure())),
            Missing::Unavailable(failure) => Verdict::Ready(Err(failure)),
            Missing::Pending(fetch) => {
                self.after(provider, fetch, is_known.then_some(rejected), text, now)
            }
        }
    }

    /// Checks a token once more when keys have arrived. If none do, `known` is the answer, or else that
    /// it cannot be told.
    fn after(
        &self,
        provider: &Arc<dyn KeyProvider>,
        fetch: KeysFuture,
        known: Option<CheckError>,
        text: &[u8],
        now: SystemTime,
    ) -> Verdict<C> {
        let inner = Arc::clone(&self.inner);
        let provider = Arc::clone(provider);
        let text = zeroize::Zeroizing::new(text.to_vec());
        Verdict::pending(async move {
            let keys = fetch
                .await
                .map_err(|failure| known.map_or(failure, CheckError::into_failure))?;
            let token = inner.parse(&text)?;
            let validated = inner
                .check(&token, None, &keys, now)
                .map_err(CheckError::into_failure)?;
            Ok(validated.with_dyn_dependency(provider.dependency(&keys)))
        })
    }
}

impl<C> Inner<C> {
    /// Whether a token could be good if only its key were known.
    fn plausible(&self, token: &UnverifiedToken<'_>, now: SystemTime) -> Result<(), TokenError> {
        let header = token.header();
        let typing = self.checks.token_type(header.typ())?;
        if self.checks.algorithm(header)?.is_symmetric() {
            return Err(TokenError::Algorithm);
        }
        let mut room = PayloadBuffer::new();
        let claims = token.parts.claims(&mut room)?;
        self.checks.issuer(&claims)?;
        token.parts.signature(&mut SignatureBuffer::new())?;
        self.checks.claims(&claims, typing, now).map(|_| ())
    }
}
