//! Decisions for audit logs and metrics.

use std::any::Any;
use std::fmt;

use http::{Extensions, Method};

use crate::extract::{CredentialSource, Scheme};
use crate::principal::Presented;
use crate::rejection::{Rejection, RejectionKind};
use crate::trace;

/// One decision of the layer, as the hook of
/// [`BearerAuthLayer::on_decision`](crate::BearerAuthLayer::on_decision) sees it.
///
/// It holds no token, no header and no path: a path may contain a secret, and as a metric label it
/// is without bound. The rule that decided names the path by its pattern.
pub struct DecisionEvent<'a> {
    pub(crate) outcome: Outcome<'a>,
    pub(crate) rule: Option<&'a str>,
    pub(crate) latency: Latency,
    pub(crate) method: &'a Method,
    pub(crate) presented: Option<Presented>,
    pub(crate) principal: Option<&'a (dyn Any + Send + Sync)>,
    pub(crate) extensions: &'a Extensions,
}

/// How a request ended at the layer.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Outcome<'a> {
    /// It goes on with a principal.
    Allowed,
    /// It goes on without a principal: the path is public or optional.
    Anonymous,
    /// It goes on as a CORS preflight.
    Preflight,
    /// The layer rejected the request.
    Rejected(&'a Rejection),
}

/// Whether the decision had to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Latency {
    /// Decided within the call.
    Immediate,
    /// A validator or a policy had to look something up.
    Waited,
}

impl<'a> DecisionEvent<'a> {
    /// How the request ended.
    #[must_use]
    pub fn outcome(&self) -> Outcome<'a> {
        self.outcome
    }

    /// The one rule that decided, as the list prints it: the one that made the path public or
    /// optional, or the one that refused. `None` where no single rule did: for a request that all its
    /// rules let pass, and for one that was refused for its credential or its path.
    #[must_use]
    pub fn rule(&self) -> Option<&'a str> {
        self.rule
    }

    /// Whether it had to wait.
    #[must_use]
    pub fn latency(&self) -> Latency {
        self.latency
    }

    /// The method of the request. A stranger can invent methods: as a metric label, map those that
    /// are not standard to one value.
    #[must_use]
    pub fn method(&self) -> &'a Method {
        self.method
    }

    /// The scheme of the credential, if one was presented and could be read.
    #[must_use]
    pub fn scheme(&self) -> Option<Scheme> {
        self.presented.map(|presented| presented.scheme)
    }

    /// Where the credential stood, if one was presented and could be read.
    #[must_use]
    pub fn source(&self) -> Option<CredentialSource> {
        self.presented.map(|presented| presented.source)
    }

    /// The principal, once a validator has named it, also where a policy refuses it then. `T` is the
    /// validator's principal.
    ///
    /// ```
    /// use tower_bearer::{BearerAuthLayer, Credential, Failure, Outcome, validator_fn};
    ///
    /// struct User {
    ///     id: u64,
    /// }
    ///
    /// let validator = validator_fn(|_: Credential<'_>| Ok::<_, Failure>(User { id: 7 }));
    /// let layer = BearerAuthLayer::new(validator).on_decision(|event| {
    ///     if let Outcome::Rejected(rejection) = event.outcome() {
    ///         let user = event.principal::<User>().map(|user| user.id);
    ///         eprintln!("{} {rejection} user={user:?} rule={:?}", event.method(), event.rule());
    ///     }
    /// });
    /// # let _ = layer;
    /// ```
    #[must_use]
    pub fn principal<T: 'static>(&self) -> Option<&'a T> {
        self.principal
            .and_then(|principal| principal.downcast_ref())
    }
}

impl<'a> DecisionEvent<'a> {
    /// What an outer layer has put into the request extensions, such as a request id.
    #[must_use]
    pub fn extension<T: Send + Sync + 'static>(&self) -> Option<&'a T> {
        self.extensions.get()
    }
}

impl DecisionEvent<'_> {
    /// Logs the decision, with the feature `tracing`.
    pub(crate) fn log(&self) {
        let rule = self.rule().unwrap_or_default();
        let scheme = self.scheme().map(Scheme::as_str).unwrap_or_default();
        let source = self
            .source()
            .map(CredentialSource::as_str)
            .unwrap_or_default();
        match self.outcome() {
            Outcome::Allowed => trace::allowed(scheme, source),
            Outcome::Anonymous => trace::anonymous(rule),
            Outcome::Preflight => trace::preflight(),
            Outcome::Rejected(rejection) => {
                let kind = rejection.kind();
                trace::rejected(&trace::RejectionFields {
                    outcome: kind.as_str(),
                    reason: kind.reason().unwrap_or_default(),
                    rule,
                    scheme,
                    source,
                    status: rejection.status().as_u16(),
                    is_outage: kind == RejectionKind::Unavailable,
                });
            }
        }
    }
}

impl fmt::Debug for DecisionEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecisionEvent")
            .field("outcome", &self.outcome)
            .field("rule", &self.rule)
            .field("latency", &self.latency)
            .field("method", self.method)
            .finish_non_exhaustive()
    }
}
