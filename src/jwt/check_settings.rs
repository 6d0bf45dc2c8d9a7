//! The settings of claims that the builders of `JwtValidator` and `Introspection` share.

use super::checks::Checks;

/// Writes the setters of a builder with the fields `checks`, `any_audience`, `own`, which holds checks of `$claims`, and `max_length`. The
/// documentation of three setters differs between the builders, so it is an argument.
macro_rules! check_setters {
    (
        claims: $claims:ty,
        $(#[$issuer:meta])* issuer,
        $(#[$leeway:meta])* leeway,
        $(#[$id_tokens:meta])* insecure_accept_id_tokens,
        $(#[$layout:meta])* claims_layout,
        $(#[$check:meta])* check $(,)?
    ) => {
        $(#[$issuer])*
        pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
            self.checks.issuer = Some(issuer.into().into_boxed_str());
            self
        }

        /// Sets the audience: one of the values of `aud` has to be this text. If it is set more than once, one of them
        /// is enough.
        pub fn audience(mut self, audience: impl Into<String>) -> Self {
            self.checks.audiences.push(audience.into().into_boxed_str());
            self
        }

        /// Accepts tokens for any audience, or for none. Another service that receives a token can then use it here.
        pub fn insecure_any_audience(mut self) -> Self {
            self.any_audience = true;
            self
        }

        $(#[$leeway])*
        pub fn leeway(mut self, leeway: std::time::Duration) -> Self {
            self.checks.leeway = leeway;
            self
        }

        $(#[$id_tokens])*
        pub fn insecure_accept_id_tokens(mut self) -> Self {
            self.checks.accept_id_tokens = true;
            self
        }

        /// Accepts tokens that are bound to a sender (`cnf`, or a token type of DPoP) without checking that the sender
        /// presents them: for services behind a proxy that has checked it.
        pub fn insecure_ignore_sender_constraint(mut self) -> Self {
            self.checks.ignore_confirmation = true;
            self
        }

        /// Requires this subject (`sub`): for a service that one other service calls.
        pub fn subject(mut self, subject: impl Into<String>) -> Self {
            self.checks.subject = Some(subject.into().into_boxed_str());
            self
        }

        /// Requires a claim, with any value but `null`, the empty text and the empty list.
        pub fn require(mut self, claim: impl Into<String>) -> Self {
            self.checks.required.push(claim.into().into_boxed_str());
            self
        }

        $(#[$layout])*
        pub fn claims_layout(mut self, layout: $crate::jwt::ClaimsLayout) -> Self {
            self.checks.layout = layout;
            self
        }

        /// Sets the maximum length of a token, in bytes. Default: 8192, from 64 to 16,384. The layer has a limit of its
        /// own, which comes first, so raise both:
        /// [`with_max_credential_length`](crate::BearerAuthLayer::with_max_credential_length).
        pub fn max_length(mut self, max_length: usize) -> Self {
            self.max_length = max_length;
            self
        }

        $(#[$check])*
        pub fn check<F>(mut self, check: F) -> Self
        where
            F: Fn(&$claims) -> Result<(), $crate::failure::Failure> + Send + Sync + 'static,
        {
            self.own.push(Box::new(check));
            self
        }
    };
}
pub(crate) use check_setters;

/// Returns the first of the shared settings that cannot work, and its problem.
pub(crate) fn problem(checks: &Checks, any_audience: bool) -> Option<(&'static str, &'static str)> {
    let is_empty = |text: &str| text.is_empty();
    if let Some(problem) = checks.layout.problem() {
        return Some(("claims_layout", problem));
    }
    if checks.issuer.as_deref().is_some_and(is_empty) {
        let problem = "is empty; give the text that the provider puts into `iss`";
        return Some(("issuer", problem));
    }
    if checks.audiences.is_empty() && !any_audience {
        let problem = "is missing; give the text by which the provider names this service in `aud`";
        return Some(("audience", problem));
    }
    if !checks.audiences.is_empty() && any_audience {
        let problem = "contradicts `audience`; leave one of them out";
        return Some(("insecure_any_audience", problem));
    }
    if checks.audiences.iter().any(|text| is_empty(text)) {
        return Some(("audience", "is empty; give the text of `aud`"));
    }
    if checks.subject.as_deref().is_some_and(is_empty) {
        return Some(("subject", "is empty; give the text of `sub`"));
    }
    if checks.required.iter().any(|claim| is_empty(claim)) {
        return Some(("require", "is empty; give the name of a claim"));
    }
    None
}
