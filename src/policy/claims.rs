//! What the built-in policies ask a principal.

use std::sync::Arc;
use std::time::SystemTime;

/// What a principal claims about itself, as the built-in policies ask for it.
///
/// Implement the methods for the policies that you use; each default answers "no" or "not known",
/// and what is not known never satisfies a policy.
///
/// # Example
///
/// ```
/// use tower_bearer::policy::{Claims, scope_list_contains};
///
/// struct User {
///     id: String,
///     scope: String, // "orders:read orders:write"
///     roles: Vec<String>,
/// }
///
/// impl Claims for User {
///     fn subject(&self) -> Option<&str> {
///         Some(&self.id)
///     }
///
///     fn has_scope(&self, scope: &str) -> bool {
///         scope_list_contains(&self.scope, scope)
///     }
///
///     fn has_role(&self, role: &str) -> bool {
///         self.roles.iter().any(|known| known == role)
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "the built-in policies cannot ask a `{Self}` for its scopes, roles, tenant or subject",
    note = "implement `tower_bearer::policy::Claims` for `{Self}` with the methods of the policies in use; all others answer \"no\" by default"
)]
pub trait Claims {
    /// Who it is: compared by [`owner`](super::owner).
    fn subject(&self) -> Option<&str> {
        None
    }

    /// Whether `scope` was granted, compared as a whole and with regard to case
    /// ([RFC 6749 section 3.3](https://www.rfc-editor.org/rfc/rfc6749#section-3.3)). Asked by
    /// [`scope`](super::scope). [`scope_list_contains`](super::scope_list_contains) reads the
    /// usual space-separated list.
    fn has_scope(&self, scope: &str) -> bool {
        let _ = scope;
        false
    }

    /// Whether it has `role`, without regard to a hierarchy. Asked by [`role`](super::role).
    fn has_role(&self, role: &str) -> bool {
        let _ = role;
        false
    }

    /// Whether it belongs to `tenant`. Asked by [`tenant`](super::tenant).
    fn has_tenant(&self, tenant: &str) -> bool {
        let _ = tenant;
        false
    }

    /// How the user was authenticated: the authentication context class
    /// ([RFC 9470](https://www.rfc-editor.org/rfc/rfc9470#section-6.1)). Asked by
    /// [`acr`](super::acr).
    fn acr(&self) -> Option<&str> {
        None
    }

    /// When the user was last authenticated, which is not when the token was issued. Asked by
    /// [`max_age`](super::max_age).
    fn auth_time(&self) -> Option<SystemTime> {
        None
    }
}

macro_rules! forward {
    ($($pointer:ty),*) => {$(
        impl<C: Claims + ?Sized> Claims for $pointer {
            fn subject(&self) -> Option<&str> {
                (**self).subject()
            }

            fn has_scope(&self, scope: &str) -> bool {
                (**self).has_scope(scope)
            }

            fn has_role(&self, role: &str) -> bool {
                (**self).has_role(role)
            }

            fn has_tenant(&self, tenant: &str) -> bool {
                (**self).has_tenant(tenant)
            }

            fn acr(&self) -> Option<&str> {
                (**self).acr()
            }

            fn auth_time(&self) -> Option<SystemTime> {
                (**self).auth_time()
            }
        }
    )*};
}

forward!(&C, Arc<C>, Box<C>);
