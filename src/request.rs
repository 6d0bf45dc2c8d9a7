//! What validators and policies see of a request: everything but its body.

use std::cell::Cell;
use std::fmt;
use std::time::SystemTime;

use http::{Extensions, HeaderMap, Method, Request, Uri};

use crate::clock::{Clock, SystemClock};

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
    /// Whether rules are matched against axum's `OriginalUri`, once that has been looked at.
    #[cfg(feature = "axum")]
    original: Cell<Option<bool>>,
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
        Self {
            method: request.method(),
            uri: request.uri(),
            headers: request.headers(),
            extensions: request.extensions(),
            clock,
            now: Cell::new(None),
            #[cfg(feature = "axum")]
            original: Cell::new(None),
        }
    }

    /// The method of the request.
    #[must_use]
    #[inline]
    pub fn method(&self) -> &'a Method {
        self.method
    }

    /// The URI as the layer sees it. Inside `Router::nest` of axum that is the stripped one;
    /// rules are matched against [`path`](Self::path).
    #[must_use]
    #[inline]
    pub fn uri(&self) -> &'a Uri {
        self.uri
    }

    /// The raw path, without query, that path rules are matched against.
    ///
    /// This is the path of [`uri`](Self::uri). With the feature `axum`, inside `Router::nest`, it is
    /// the full path: that of axum's `OriginalUri`, if what is left in the URI is its end. A URI that
    /// something else has rewritten is taken as it is.
    #[must_use]
    #[inline]
    pub fn path(&self) -> &'a str {
        let path = self.uri.path();
        #[cfg(feature = "axum")]
        if self.original.get() != Some(false) {
            return self.full_path(path);
        }
        path
    }

    #[cfg(feature = "axum")]
    fn full_path(&self, path: &'a str) -> &'a str {
        let original = self.extensions.get::<axum::extract::OriginalUri>();
        // `nest("/api", ..)` leaves `/x` of `/api/x`, and `/` of `/api`. axum sets the extension
        // once for a request and does not know of a rewrite or of a second dispatch.
        let original = original
            .map(|original| original.0.path())
            .filter(|original| original.ends_with(path) || path == "/");
        self.original.set(Some(original.is_some()));
        original.unwrap_or(path)
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
