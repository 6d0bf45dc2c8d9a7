//! Events for `tracing`, the one place that knows the feature.
//!
//! The fields are an allow-list: kind, reason, rule, scheme, place and status. No path, no header,
//! no claim and no text of an error.

use crate::observe::DecisionEvent;

/// Whether events go anywhere at all.
pub(crate) const ENABLED: bool = cfg!(feature = "tracing");

#[cfg(feature = "tracing")]
pub(crate) fn decision(event: &DecisionEvent<'_>) {
    use crate::extract::{CredentialSource, Scheme};
    use crate::observe::Outcome;
    use crate::rejection::RejectionKind;

    let rule = event.rule().unwrap_or_default();
    let scheme = event.scheme().map(Scheme::as_str).unwrap_or_default();
    let source = event
        .source()
        .map(CredentialSource::as_str)
        .unwrap_or_default();
    match event.outcome() {
        Outcome::Allowed => {
            tracing::trace!(target: "tower_bearer", outcome = "allowed", scheme, source);
        }
        Outcome::Anonymous => {
            tracing::trace!(target: "tower_bearer", outcome = "anonymous", rule);
        }
        Outcome::Preflight => {
            tracing::trace!(target: "tower_bearer", outcome = "preflight");
        }
        Outcome::Rejected(rejection) => {
            let kind = rejection.kind();
            let reason = kind.reason().unwrap_or_default();
            let status = rejection.status().as_u16();
            // An outage is for the operator. The rest is what any stranger can cause.
            if kind == RejectionKind::Unavailable {
                tracing::warn!(
                    target: "tower_bearer",
                    outcome = kind.as_str(), reason, rule, scheme, source, status
                );
            } else {
                tracing::debug!(
                    target: "tower_bearer",
                    outcome = kind.as_str(), reason, rule, scheme, source, status
                );
            }
        }
    }
}

#[cfg(not(feature = "tracing"))]
pub(crate) fn decision(_: &DecisionEvent<'_>) {}

/// An authorization server does not let this service ask about tokens: for the operator (E13).
#[cfg(all(feature = "introspection", feature = "tracing"))]
pub(crate) fn credentials_refused(status: u16) {
    tracing::error!(
        target: "tower_bearer",
        outcome = "introspection-credentials-refused",
        status
    );
}

#[cfg(all(feature = "introspection", not(feature = "tracing")))]
pub(crate) fn credentials_refused(_: u16) {}

/// The keys of an issuer could not be fetched: for the operator, before there are refusals. The text names
/// the address without its query, and nothing of an answer (E14).
#[cfg(all(feature = "jwks", feature = "tracing"))]
pub(crate) fn keys_not_fetched(error: &crate::provider::ProviderError) {
    tracing::warn!(target: "tower_bearer", outcome = "keys-not-fetched", reason = %error);
}

#[cfg(all(feature = "jwks", not(feature = "tracing")))]
pub(crate) fn keys_not_fetched(_: &crate::provider::ProviderError) {}

/// Somebody was logged out elsewhere, and nobody could be told here: for the operator.
#[cfg(all(feature = "logout", feature = "tracing"))]
pub(crate) fn logout_not_done() {
    tracing::warn!(target: "tower_bearer", outcome = "logout-not-done");
}

#[cfg(all(feature = "logout", not(feature = "tracing")))]
pub(crate) fn logout_not_done() {}

/// What came as a logout token is none.
#[cfg(all(feature = "logout", feature = "tracing"))]
pub(crate) fn logout_refused(reason: &'static str) {
    tracing::debug!(target: "tower_bearer", outcome = "logout-refused", reason);
}

#[cfg(all(feature = "logout", not(feature = "tracing")))]
pub(crate) fn logout_refused(_: &'static str) {}

/// A store of revocations that others may add to could not be read: for the operator, before there are refusals.
#[cfg(all(feature = "issuing", feature = "tracing"))]
pub(crate) fn revocations_not_followed() {
    tracing::warn!(target: "tower_bearer", outcome = "revocations-not-followed");
}

#[cfg(all(feature = "issuing", not(feature = "tracing")))]
pub(crate) fn revocations_not_followed() {}

/// Logs a warning for the operator: Redis keeps sessions and revocations in memory only, or in a snapshot
/// that is minutes old.
#[cfg(all(feature = "redis", feature = "tracing"))]
pub(crate) fn redis_without_append_only_file() {
    tracing::warn!(target: "tower_bearer", outcome = "redis-without-append-only-file");
}

#[cfg(all(feature = "redis", not(feature = "tracing")))]
pub(crate) fn redis_without_append_only_file() {}

/// Logs a warning for the operator: axum reports another nest than the one that a layer with path rules
/// declares. Both texts are configuration; neither is part of a request.
#[cfg(all(feature = "axum", feature = "tracing"))]
pub(crate) fn nest_differs(nested_path: &str, declared: Option<&str>) {
    tracing::warn!(
        target: "tower_bearer",
        outcome = "nest-differs",
        nested_path,
        nested_at = declared.unwrap_or_default(),
        "path rules inside a nested router: declare its prefix with `BearerAuthLayer::nested_at`, or `nested_at(\"/\")` \
         if the rules are relative to the router"
    );
}
