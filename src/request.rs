//! What validators and policies see of a request: everything but its body.

use std::cell::Cell;
use std::fmt;
use std::time::SystemTime;

use http::{Extensions, HeaderMap, Method, Request, Uri};

use crate::clock::{Clock, SystemClock};
use crate::path::{NOT_NESTED, Nest};

/// A borrowed view of a request without its body.
///
/// A [`Validator`](crate::Validator) and a [`Policy`](crate::Policy) are given this view, so that
/// neither ever names a body type. It lives only as long as the call: what an asynchronous
/// validator or policy needs later, it copies out before it returns its future.
pub struct RequestView<'a> {
    method: &'a Method,
    uri: &'a Uri,
    headers: &'a HeaderMap,
    extensions: &'a Extensions,
    clock: &'a dyn Clock,
    now: Cell<Option<SystemTime>>,
    nest: &'a Nest,
}

impl<'a> RequestView<'a> {
    /// A view of `request`, with the time of the operating system.
    ///
    /// The layer makes its own views; this is for testing validators and policies alone.
    ///
    /// # Example
    ///
    /// ```
    /// use http::{Method, Request};
    /// use tower_bearer::RequestView;
    ///
    /// let request = Request::post("/orders?page=2").body(()).unwrap();
    /// let view = RequestView::new(&request);
    /// assert_eq!(view.method(), Method::POST);
    /// assert_eq!(view.path(), "/orders");
    /// ```
    #[must_use]
    pub fn new<B>(request: &'a Request<B>) -> Self {
        Self::with_clock(request, &SystemClock)
    }

    /// A view of `request` with the time of `clock`.
    #[must_use]
    pub fn with_clock<B>(request: &'a Request<B>, clock: &'a dyn Clock) -> Self {
        Self::in_layer(request, clock, &NOT_NESTED)
    }

    /// Creates a view of `request` as a layer with these settings sees it.
    #[inline]
    pub(crate) fn in_layer<B>(
        request: &'a Request<B>,
        clock: &'a dyn Clock,
        nest: &'a Nest,
    ) -> Self {
        Self {
            method: request.method(),
            uri: request.uri(),
            headers: request.headers(),
            extensions: request.extensions(),
            clock,
            now: Cell::new(None),
            nest,
        }
    }

    /// The method of the request.
    #[must_use]
    #[inline]
    pub fn method(&self) -> &'a Method {
        self.method
    }

    /// Returns the URI as the layer receives it. Inside `Router::nest` of axum the prefix is stripped.
    #[must_use]
    #[inline]
    pub fn uri(&self) -> &'a Uri {
        self.uri
    }

    /// Returns the raw path of [`uri`](Self::uri), without query.
    ///
    /// Rules are matched against this path, behind the prefix of
    /// [`nested_at`](crate::BearerAuthLayer::nested_at) if the layer has one.
    #[must_use]
    #[inline]
    pub fn path(&self) -> &'a str {
        self.uri.path()
    }

    /// Returns the nesting that the layer declares.
    #[inline]
    pub(crate) fn nest(&self) -> &'a Nest {
        self.nest
    }

    /// The header fields of the request, the credential among them.
    #[must_use]
    #[inline]
    pub fn headers(&self) -> &'a HeaderMap {
        self.headers
    }

    /// The extensions that outer layers have put into the request.
    #[must_use]
    #[inline]
    pub fn extensions(&self) -> &'a Extensions {
        self.extensions
    }

    /// The time of the layer's clock. Read at most once a request, and only if asked for.
    #[must_use]
    #[inline]
    pub fn now(&self) -> SystemTime {
        if let Some(now) = self.now.get() {
            return now;
        }
        let now = self.clock.now();
        self.now.set(Some(now));
        now
    }
}

impl fmt::Debug for RequestView<'_> {
    /// Method only: a path, a query or a header may hold a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestView")
            .field("method", self.method)
            .finish_non_exhaustive()
    }
}
