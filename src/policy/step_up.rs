//! Step-up authentication (RFC 9470): how and when the user was authenticated.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::Policy;
use super::claims::Claims;
use super::context::PolicyContext;
use super::decision::Decision;
use super::denial::Denial;
use super::guard::{Guard, guard, write_words};
use super::scope::is_scope_token;
use crate::error::ConfigError;

/// Requires the user to have been authenticated by one of these context classes, best first: 401
/// `insufficient_user_authentication` with `acr_values` otherwise
/// ([RFC 9470 section 3](https://www.rfc-editor.org/rfc/rfc9470#section-3)). A principal without an
/// [`acr`](Claims::acr) never passes.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use tower_bearer::policy::{Claims, Policies, acr, max_age};
///
/// # struct User;
/// # impl Claims for User {}
/// let policies: Policies<User> = Policies::builder()
///     .under("/transfers", acr(["phr", "mfa"]))
///     .under("/transfers", max_age(Duration::from_secs(300)))
///     .build()?;
/// # Ok::<(), tower_bearer::ConfigError>(())
/// ```
pub fn acr<I>(values: I) -> Guard<Acr>
where
    I: IntoIterator,
    I::Item: Into<Arc<str>>,
{
    let mut acr = Acr {
        values: values.into_iter().map(Into::into).collect(),
        fault: None,
    };
    acr.fault = acr.find_fault();
    guard(acr)
}

/// Requires the user to have been authenticated no longer ago than this, in whole seconds: 401
/// `insufficient_user_authentication` with `max_age` otherwise
/// ([RFC 9470 section 3](https://www.rfc-editor.org/rfc/rfc9470#section-3)).
///
/// A principal without an [`auth_time`](Claims::auth_time) never passes. One from the future, as a
/// clock that runs ahead produces it, passes.
pub fn max_age(age: Duration) -> Guard<MaxAge> {
    // What is told to the client is what is asked of it.
    guard(MaxAge {
        age: Duration::from_secs(age.as_secs()),
    })
}

/// A policy about how the user was authenticated. Made by [`acr`].
#[derive(Clone, Debug)]
pub struct Acr {
    values: Vec<Arc<str>>,
    fault: Option<ConfigError>,
}

impl Acr {
    fn find_fault(&self) -> Option<ConfigError> {
        if self.values.is_empty() {
            return Some(ConfigError::Empty { policy: "acr" });
        }
        self.values
            .iter()
            .find(|value| !is_scope_token(value))
            .map(|value| ConfigError::Acr {
                acr: value.to_string(),
            })
    }
}

impl<T: Claims + ?Sized> Policy<T> for Acr {
    fn decide(&self, cx: &PolicyContext<'_, T>) -> Decision {
        if let Some(fault) = &self.fault {
            return Denial::misconfigured(fault).into();
        }
        let acr = cx.principal().acr();
        if self.values.iter().any(|value| Some(value.as_ref()) == acr) {
            return Decision::Allow;
        }
        Decision::Deny(Denial::step_up(self.values.iter().cloned(), None))
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("acr(")?;
        write_words(f, &self.values)?;
        f.write_str(")")
    }

    fn check(&self, _: &[&str]) -> Result<(), ConfigError> {
        self.fault.clone().map_or(Ok(()), Err)
    }

    fn is_fully_described(&self) -> bool {
        true
    }
}

/// A policy about when the user was authenticated. Made by [`max_age`].
#[derive(Clone, Copy, Debug)]
pub struct MaxAge {
    age: Duration,
}

impl<T: Claims + ?Sized> Policy<T> for MaxAge {
    fn decide(&self, cx: &PolicyContext<'_, T>) -> Decision {
        // D12: `auth_time`, never the time of issue.
        let fresh = cx.principal().auth_time().is_some_and(|time| {
            cx.request()
                .now()
                .duration_since(time)
                .map_or(true, |age| age <= self.age)
        });
        if fresh {
            return Decision::Allow;
        }
        let none: [&str; 0] = [];
        Decision::Deny(Denial::step_up(none, Some(self.age)))
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "max_age({} s)", self.age.as_secs())
    }

    fn is_fully_described(&self) -> bool {
        true
    }
}
