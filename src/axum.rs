//! The axum extractor.

use std::any::type_name;
use std::fmt;
use std::marker::PhantomData;

use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use axum_core::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;

use crate::principal::Authenticated;

/// Who is calling, as an argument of a handler. Needs the feature `axum`.
///
/// `Authenticated<User>` fails with 500 and [`NotAuthenticated`] where there is no principal: the
/// layer is missing, or the path is `public` or `optional`. There, take
/// `Option<Authenticated<User>>`, which is `None` for a request without a principal. It is `None` too
/// where the layer is missing or its principal is another type, so use it only on such paths.
///
/// # Example
///
/// ```
/// use axum::Router;
/// use axum::routing::get;
/// use tower_bearer::{Authenticated, BearerAuthLayer, Credential, Failure, validator_fn};
///
/// struct User {
///     name: String,
/// }
///
/// async fn me(user: Authenticated<User>) -> String {
///     user.name.clone()
/// }
///
/// let validator = validator_fn(|_: Credential<'_>| {
///     Ok::<_, Failure>(User { name: "alice".into() })
/// });
/// let app: Router = Router::new()
///     .route("/me", get(me))
///     .layer(BearerAuthLayer::new(validator));
/// # let _ = app;
/// ```
impl<S, T> FromRequestParts<S> for Authenticated<T>
where
    S: Send + Sync,
    T: Send + Sync + 'static,
{
    type Rejection = NotAuthenticated<T>;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or(NotAuthenticated {
                principal: PhantomData,
            })
    }
}

impl<S, T> OptionalFromRequestParts<S> for Authenticated<T>
where
    S: Send + Sync,
    T: Send + Sync + 'static,
{
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Self::Rejection> {
        Ok(parts.extensions.get::<Self>().cloned())
    }
}

/// A handler asked for an [`Authenticated<T>`] that no layer has put there: a mistake in the server,
/// so 500.
pub struct NotAuthenticated<T> {
    principal: PhantomData<fn() -> T>,
}

impl<T> fmt::Debug for NotAuthenticated<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NotAuthenticated").finish_non_exhaustive()
    }
}

impl<T> fmt::Display for NotAuthenticated<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let principal = type_name::<T>();
        write!(
            f,
            "the request has no `Authenticated<{principal}>`: is a `BearerAuthLayer` whose validator's \
             principal is `{principal}` in front of this route, and the route neither `public()` nor \
             `optional()`? There, take `Option<Authenticated<{principal}>>`"
        )
    }
}

impl<T> std::error::Error for NotAuthenticated<T> {}

impl<T> IntoResponse for NotAuthenticated<T> {
    /// In a build with debug assertions the body says which layer is missing; in others it says
    /// nothing, since the names of types are nobody's business.
    fn into_response(self) -> Response {
        let body = if cfg!(debug_assertions) {
            self.to_string()
        } else {
            String::from("internal server error")
        };
        (StatusCode::INTERNAL_SERVER_ERROR, body).into_response()
    }
}

#[cfg(feature = "issuing")]
mod issue {
    use axum_core::body::Body;
    use axum_core::response::{IntoResponse, Response};

    use crate::issuing::{IssuingError, TokenResponse};

    impl IntoResponse for TokenResponse {
        fn into_response(self) -> Response {
            self.to_response().map(Body::new)
        }
    }

    impl IntoResponse for IssuingError {
        fn into_response(self) -> Response {
            self.to_response().map(Body::new)
        }
    }
}
