//! The proof of authentication: the one place that grants it and takes it back.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::SystemTime;

use http::Request;

use crate::extract::{CredentialSource, Scheme, UncheckedCredential};
use crate::request::RequestView;
use crate::validator::Validated;

/// Who is calling: a handle to the principal, put into the request extensions.
///
/// Only the layer makes one, after its validator has accepted the credential, so finding it in a
/// request is the proof. One that came in with the request, from an outer layer or a copied request,
/// is taken out before anything else happens, on public paths too. It derefs to the principal, and a
/// clone costs one reference count.
///
/// # Example
///
/// ```
/// use http::Request;
/// use tower_bearer::Authenticated;
///
/// struct User {
///     name: String,
/// }
///
/// fn greeting<B>(request: &Request<B>) -> String {
///     match request.extensions().get::<Authenticated<User>>() {
///         Some(user) => format!("hello {}", user.name),
///         None => String::from("hello stranger"), // only behind `public` or `optional`
///     }
/// }
/// # assert_eq!(greeting(&Request::new(())), "hello stranger");
/// ```
pub struct Authenticated<T: ?Sized> {
    principal: Arc<T>,
    expires_at: Option<SystemTime>,
    scheme: Scheme,
    source: CredentialSource,
}

impl<T> Authenticated<T> {
    /// The only constructor. Called where a validator has just said yes.
    pub(crate) fn assertion(validated: Validated<T>, presented: Presented) -> Self {
        let (principal, limits) = validated.into_parts();
        Self {
            principal,
            expires_at: limits.expires_at(),
            scheme: presented.scheme,
            source: presented.source,
        }
    }
}

impl<T: ?Sized> Authenticated<T> {
    /// The principal that the validator named.
    #[must_use]
    pub fn principal(&self) -> &T {
        &self.principal
    }

    /// The principal as a shared pointer.
    #[must_use]
    pub fn shared(&self) -> &Arc<T> {
        &self.principal
    }

    /// The moment from which the credential is refused, if it ends by itself. A stream or a socket
    /// that outlives it should end then.
    #[must_use]
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.expires_at
    }

    /// The scheme of the credential.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Where in the request the credential stood.
    #[must_use]
    pub fn source(&self) -> CredentialSource {
        self.source
    }

    pub(crate) fn presented(&self) -> Presented {
        Presented {
            scheme: self.scheme,
            source: self.source,
        }
    }

    /// Reads the clock only if there is an end.
    #[inline]
    pub(crate) fn is_expired(&self, request: &RequestView<'_>) -> bool {
        self.expires_at
            .is_some_and(|expires_at| request.now() >= expires_at)
    }
}

impl<T: ?Sized> Clone for Authenticated<T> {
    fn clone(&self) -> Self {
        Self {
            principal: Arc::clone(&self.principal),
            expires_at: self.expires_at,
            scheme: self.scheme,
            source: self.source,
        }
    }
}

impl<T: ?Sized> Deref for Authenticated<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.principal
    }
}

impl<T: ?Sized> fmt::Debug for Authenticated<T> {
    /// Without the principal, which may hold anything.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticated")
            .field("scheme", &self.scheme)
            .field("source", &self.source)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// What the proof keeps of the credential after the credential itself is gone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Presented {
    pub(crate) scheme: Scheme,
    pub(crate) source: CredentialSource,
}

impl From<&UncheckedCredential<'_>> for Presented {
    fn from(credential: &UncheckedCredential<'_>) -> Self {
        Self {
            scheme: credential.scheme(),
            source: credential.source(),
        }
    }
}

/// Removes a proof that this layer did not give.
#[inline]
pub(crate) fn revoke<T: Send + Sync + 'static, B>(request: &mut Request<B>) {
    request.extensions_mut().remove::<Authenticated<T>>();
}

/// Puts the proof into the request.
#[inline]
pub(crate) fn grant<T: Send + Sync + 'static, B>(
    request: &mut Request<B>,
    authenticated: Authenticated<T>,
) {
    request.extensions_mut().insert(authenticated);
}
