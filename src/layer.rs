//! The layer and its settings.

use std::fmt;
use std::sync::Arc;

use tower_layer::Layer;

use crate::clock::{Clock, SystemClock};
use crate::error::ConfigError;
use crate::extract::{Source, Sources};
use crate::observe::DecisionEvent;
use crate::path::Nest;
use crate::policy::{AuthenticatedOnly, Guard, Policy, authenticated};
use crate::rejection::{ProblemDetails, RejectionResponses, Responder};
use crate::service::BearerAuth;
use crate::validator::Validator;

/// Puts authentication and authorization in front of a service.
///
/// `V` says who is calling ([`Validator`]), `P` whether they may ([`Policy`]). Without a policy every
/// request needs a valid credential and nothing more.
///
/// Configuring and cloning are cheap, and [`layer`](Layer::layer) is one reference count: axum calls
/// it for every route, and clones the service for every request.
///
/// # Example
///
/// ```
/// use tower_bearer::policy::{Claims, Policies, public, scope};
/// use tower_bearer::{BearerAuthLayer, ConfigError, OpaqueTokens};
///
/// struct User;
///
/// impl Claims for User {
///     fn has_scope(&self, scope: &str) -> bool {
///         scope == "orders:read"
///     }
/// }
///
/// fn layer(tokens: OpaqueTokens<User>) -> Result<BearerAuthLayer<OpaqueTokens<User>, Policies<User>>, ConfigError> {
///     let policies = Policies::builder()
///         .at("/health", public())
///         .under("/orders", scope("orders:read"))
///         .build()?;
///     Ok(BearerAuthLayer::new(tokens).with_policy(policies).with_realm("orders"))
/// }
/// # layer(OpaqueTokens::new()).unwrap();
/// ```
#[must_use]
pub struct BearerAuthLayer<V, P = Guard<AuthenticatedOnly>> {
    shared: Arc<Shared<V, P>>,
}

/// What all services of a layer share: one pointer each.
pub(crate) struct Shared<V, P> {
    pub(crate) validator: Arc<V>,
    pub(crate) policy: Arc<P>,
    pub(crate) settings: Settings,
}

pub(crate) type Hook = Arc<dyn Fn(&DecisionEvent<'_>) + Send + Sync>;

#[derive(Clone)]
pub(crate) struct Settings {
    realm: Arc<str>,
    pub(crate) sources: Sources,
    pub(crate) max_length: usize,
    pub(crate) responses: RejectionResponses,
    pub(crate) hook: Option<Hook>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) nest: Nest,
    pub(crate) allow_preflight: bool,
    pub(crate) remove_credential: bool,
}

impl<V> BearerAuthLayer<V> {
    /// A layer that needs a credential which `validator` accepts for every request.
    pub fn new(validator: V) -> Self
    where
        V: Validator,
    {
        let sources = Sources::default();
        let realm: Arc<str> = Arc::from("api");
        Self {
            shared: Arc::new(Shared {
                validator: Arc::new(validator),
                policy: Arc::new(authenticated()),
                settings: Settings {
                    responses: RejectionResponses::new(Arc::new(ProblemDetails), &sources, &realm),
                    realm,
                    sources,
                    max_length: 8 * 1024,
                    hook: None,
                    clock: Arc::new(SystemClock),
                    nest: Nest::undeclared(),
                    allow_preflight: false,
                    remove_credential: false,
                },
            }),
        }
    }
}

impl<V, P> BearerAuthLayer<V, P> {
    /// Replaces the policy: one for every path, such as `scope("orders:read")`, or a list of
    /// [`Policies`](crate::policy::Policies).
    ///
    /// A list has been checked by its `build`. A single policy has not; one with a fault, such as a
    /// scope with a space in it, refuses every request with 503, and the source of the
    /// [`Rejection`](crate::Rejection) is the [`ConfigError`].
    pub fn with_policy<P2>(self, policy: P2) -> BearerAuthLayer<V, P2>
    where
        V: Validator,
        P2: Policy<V::Principal>,
    {
        BearerAuthLayer {
            shared: Arc::new(Shared {
                validator: Arc::clone(&self.shared.validator),
                policy: Arc::new(policy),
                settings: self.shared.settings.clone(),
            }),
        }
    }

    /// Replaces the realm of the challenges. Characters that a challenge must not contain (`"`, `\`
    /// and all but printable ASCII) are left out.
    ///
    /// Default: `api`.
    pub fn with_realm(self, realm: &str) -> Self {
        self.with(|settings| {
            settings.realm = Arc::from(realm);
            settings.rebuild_challenges();
        })
    }

    /// Replaces the places where a credential is looked for. The order is that of the challenges.
    ///
    /// Default: [`Source::bearer`] alone.
    ///
    /// # Errors
    ///
    /// [`ConfigError::NoSource`], [`ConfigError::DuplicateSource`], [`ConfigError::Source`] or
    /// [`ConfigError::Origin`].
    pub fn with_sources(
        self,
        sources: impl IntoIterator<Item = Source>,
    ) -> Result<Self, ConfigError> {
        let sources = Sources::new(sources.into_iter().collect())?;
        Ok(self.with(|settings| {
            settings.sources = sources;
            settings.rebuild_challenges();
        }))
    }

    /// Replaces the greatest length of a credential in bytes, for `Authorization` with its scheme.
    /// A longer one is refused with 400 before anything else is done with it.
    ///
    /// Default: 8192, which is what most servers and proxies let through anyway.
    pub fn with_max_credential_length(self, bytes: usize) -> Self {
        self.with(|settings| settings.max_length = bytes)
    }

    /// Replaces what makes the body of a refusal.
    ///
    /// Default: [`ProblemDetails`].
    pub fn with_responder(self, responder: impl Responder + 'static) -> Self {
        self.with(|settings| {
            settings.responses = settings.responses.with_responder(Arc::new(responder));
        })
    }

    /// Replaces the clock that validators and policies read.
    ///
    /// Default: the clock of the system.
    pub fn with_clock(self, clock: impl Clock + 'static) -> Self {
        self.with(|settings| settings.clock = Arc::new(clock))
    }

    /// Sets the prefix at which the router behind this layer is nested, so that rules are written with
    /// full paths.
    ///
    /// A nest strips the prefix from the URI before this layer receives the request. It is made by
    /// `Router::nest` or `Router::nest_service` of axum, a layer of the application, or a proxy. Rules
    /// are matched against the path that the layer receives, because the inner service sees the same
    /// path. With a prefix, the path of a rule is the prefix followed by that path. A rewrite between
    /// the nest and this layer, such as a trimmed slash or another case, is therefore seen by the rules
    /// exactly as by the inner service. No request extension and no feature changes the path of a rule.
    ///
    /// * The path `/` of the nested router is the prefix itself: with `/api`, an opening rule names it
    ///   `/api`. A restricting rule covers it with and without a trailing slash.
    /// * A parameter `{name}` in the prefix stands for any one segment. A restricting rule with a
    ///   literal in that place applies for every value; an opening rule does not.
    /// * A policy that needs the *value* of such a parameter, for example [`tenant`](crate::policy::tenant),
    ///   reads it from the path before axum stripped it (`OriginalUri`, feature `axum`). All literal segments
    ///   of the prefix have to agree with that path, and the router of axum has to have matched the same
    ///   value for the parameter, which is the value that handlers extract. Otherwise, for example after a
    ///   rewrite in front of the router, the value is unknown and the request is rejected with 503. Without
    ///   the feature `axum`, and where axum does not strip the prefix, the value is always unknown. Each use
    ///   of such a value clones the request extensions.
    /// * A rule for a path outside of the prefix never applies, because no request has such a path. Rules
    ///   that are relative to the router therefore restrict nothing behind a declared prefix.
    /// * The prefix `/` declares that the rules are relative to the router. It changes no decision, and
    ///   turns off the warning below.
    ///
    /// [`Policies::explain`](crate::Policies::explain) takes the full path: the prefix followed by the
    /// path that the layer receives. The setting has no effect on a policy without path rules.
    ///
    /// With the features `axum` and `tracing`, a layer with path rules logs one warning if axum reports
    /// another nest (`NestedPath`) than the one declared, or a nest where none is declared. It compares
    /// the first 1,000 requests.
    ///
    /// A second call replaces the prefix. Default: none. Rules are relative to what the layer receives.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Prefix`] if `prefix` is not a valid path pattern: it begins with `/`, has no
    /// trailing slash, no query, no ambiguous part (such as `..` or `//`) and each parameter is a whole
    /// segment.
    ///
    /// # Example
    ///
    /// ```
    /// use http::{Request, Response, StatusCode};
    /// use tower::{Layer, ServiceExt, service_fn};
    /// use tower_bearer::policy::{Policies, public};
    /// use tower_bearer::{BearerAuthLayer, Failure, validator_fn};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let policies = Policies::builder().at("/api/health", public()).build()?;
    /// let layer = BearerAuthLayer::new(validator_fn(|_| Ok::<_, Failure>(())))
    ///     .with_policy(policies)
    ///     .nested_at("/api")?;
    ///
    /// // With axum: `Router::new().nest("/api", router.layer(layer))`. The layer receives `/health`.
    /// let service = layer.layer(service_fn(|_| async {
    ///     Ok::<_, std::convert::Infallible>(Response::new(String::new()))
    /// }));
    /// let response = service.oneshot(Request::get("/health").body(())?).await?;
    /// assert_eq!(response.status(), StatusCode::OK);
    /// # Ok(())
    /// # }
    /// ```
    pub fn nested_at(self, prefix: &str) -> Result<Self, ConfigError> {
        let nest = Nest::declared(prefix)?;
        Ok(self.with(|settings| settings.nest = nest))
    }

    /// Calls `hook` for every decision: for audit logs and metrics. It replaces an earlier one, and
    /// costs nothing where there is none. It runs within the request, so it must not block.
    pub fn on_decision(self, hook: impl Fn(&DecisionEvent<'_>) + Send + Sync + 'static) -> Self {
        self.with(|settings| settings.hook = Some(Arc::new(hook)))
    }

    /// Lets CORS preflights through without a credential: `OPTIONS` with `Origin` and
    /// `Access-Control-Request-Method`, which a browser sends without one
    /// ([Fetch, CORS-preflight request](https://fetch.spec.whatwg.org/#cors-preflight-request)).
    ///
    /// Only needed where the service behind this layer answers them. A CORS layer is better put in
    /// front of this one, so that responses can be read by the browser too.
    ///
    /// Anybody can send such a request, so what answers `OPTIONS` behind this layer must do nothing else.
    ///
    /// Default: a preflight is a request like any other.
    pub fn allow_cors_preflight(self) -> Self {
        self.with(|settings| settings.allow_preflight = true)
    }

    /// Takes the credential out of the request before the service sees it.
    ///
    /// Whatever else stands in the offered sources goes as well, on public paths too.
    ///
    /// Default: it stays, its header marked as sensitive, so that `Debug` does not show it.
    pub fn remove_credential(self) -> Self {
        self.with(|settings| settings.remove_credential = true)
    }

    #[cfg(feature = "openapi")]
    pub(crate) fn shared(&self) -> &Arc<Shared<V, P>> {
        &self.shared
    }

    fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        // Copies only if the layer was cloned before; services that were made stay as they are.
        change(&mut Arc::make_mut(&mut self.shared).settings);
        self
    }
}

impl Settings {
    fn rebuild_challenges(&mut self) {
        let responder = self.responses.responder();
        self.responses = RejectionResponses::new(responder, &self.sources, &self.realm);
    }
}

impl<V, P> Clone for Shared<V, P> {
    fn clone(&self) -> Self {
        Self {
            validator: Arc::clone(&self.validator),
            policy: Arc::clone(&self.policy),
            settings: self.settings.clone(),
        }
    }
}

impl<V, P> Clone for BearerAuthLayer<V, P> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<V, P> fmt::Debug for BearerAuthLayer<V, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerAuthLayer")
            .field("settings", &self.shared.settings)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("sources", &self.sources)
            .field("max_length", &self.max_length)
            .field("nested_at", &self.nest.text())
            .field("challenges", &self.responses)
            .field("allow_preflight", &self.allow_preflight)
            .field("remove_credential", &self.remove_credential)
            .finish_non_exhaustive()
    }
}

impl<S, V, P> Layer<S> for BearerAuthLayer<V, P> {
    type Service = BearerAuth<S, V, P>;

    fn layer(&self, inner: S) -> Self::Service {
        BearerAuth::new(inner, Arc::clone(&self.shared))
    }
}
