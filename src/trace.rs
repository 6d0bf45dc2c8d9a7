//! Events for `tracing`, the one place that knows the feature.
//!
//! The fields are an allow-list: kind, reason, rule, scheme, place and status. No path, no header,
//! no claim and no text of an error.

/// Whether events go anywhere at all.
pub(crate) const ENABLED: bool = cfg!(feature = "tracing");

/// Logs a request that the inner service receives with a principal.
pub(crate) fn allowed(scheme: &str, source: &str) {
    #[cfg(feature = "tracing")]
    tracing::trace!(target: "tower_bearer", outcome = "allowed", scheme, source);
    let _ = (scheme, source);
}

/// Logs a request that the inner service receives without a principal.
pub(crate) fn anonymous(rule: &str) {
    #[cfg(feature = "tracing")]
    tracing::trace!(target: "tower_bearer", outcome = "anonymous", rule);
    let _ = rule;
}

/// Logs a CORS preflight.
pub(crate) fn preflight() {
    #[cfg(feature = "tracing")]
    tracing::trace!(target: "tower_bearer", outcome = "preflight");
}

/// The fields of a rejection. Empty texts where there is no value.
#[cfg_attr(
    not(feature = "tracing"),
    expect(dead_code, reason = "read by the feature")
)]
pub(crate) struct RejectionFields<'a> {
    pub(crate) outcome: &'a str,
    pub(crate) reason: &'a str,
    pub(crate) rule: &'a str,
    pub(crate) scheme: &'a str,
    pub(crate) source: &'a str,
    pub(crate) status: u16,
    /// An outage is for the operator: a warning. Any unauthenticated client can cause the other rejections.
    pub(crate) is_outage: bool,
}

/// Logs a request that the layer rejected.
pub(crate) fn rejected(fields: &RejectionFields<'_>) {
    #[cfg(feature = "tracing")]
    {
        let RejectionFields {
            outcome,
            reason,
            rule,
            scheme,
            source,
            status,
            is_outage,
        } = *fields;
        if is_outage {
            tracing::warn!(target: "tower_bearer", outcome, reason, rule, scheme, source, status);
        } else {
            tracing::debug!(target: "tower_bearer", outcome, reason, rule, scheme, source, status);
        }
    }
    let _ = fields;
}

/// An authorization server does not let this service ask about tokens: for the operator
/// (E13: rejected client credentials).
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
/// the address without its query, and nothing of an answer (E14: details for the operator).
#[cfg(all(feature = "jwks", feature = "tracing"))]
pub(crate) fn keys_not_fetched(error: &dyn std::fmt::Display) {
    tracing::warn!(target: "tower_bearer", outcome = "keys-not-fetched", reason = %error);
}

#[cfg(all(feature = "jwks", not(feature = "tracing")))]
pub(crate) fn keys_not_fetched(_: &dyn std::fmt::Display) {}

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
