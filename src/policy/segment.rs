//! Policies about a segment of the path: whose tenant, whose own.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::Policy;
use super::claims::Claims;
use super::context::{PolicyContext, SegmentValue};
use super::decision::Decision;
use super::denial::Denial;
use super::guard::{Guard, guard};
use crate::error::ConfigError;

/// Requires the principal to belong to the tenant that the segment `{name}` of the path names: 403
/// otherwise. An empty segment belongs to nobody.
///
/// # Example
///
/// ```
/// use tower_bearer::policy::{Claims, Policies, tenant};
///
/// # struct User;
/// # impl Claims for User {}
/// let policies: Policies<User> = Policies::builder()
///     .under("/tenants/{tenant}", tenant("tenant"))
///     .build()?;
///
/// // A name that the pattern lacks is an error of `build`.
/// assert!(Policies::<User>::builder().under("/tenants/{id}", tenant("tenant")).build().is_err());
/// # Ok::<(), tower_bearer::ConfigError>(())
/// ```
pub fn tenant(segment: impl Into<Arc<str>>) -> Guard<Tenant> {
    guard(Tenant {
        segment: segment.into(),
    })
}

/// Requires the principal to be the subject that the segment `{name}` of the path names: 403 otherwise.
pub fn owner(segment: impl Into<Arc<str>>) -> Guard<Owner> {
    guard(Owner {
        segment: segment.into(),
    })
}

/// A policy about tenants. Made by [`tenant`].
#[derive(Clone, Debug)]
pub struct Tenant {
    segment: Arc<str>,
}

/// A policy about ownership. Made by [`owner`].
#[derive(Clone, Debug)]
pub struct Owner {
    segment: Arc<str>,
}

impl<T: Claims + ?Sized> Policy<T> for Tenant {
    fn decide(&self, cx: &PolicyContext<'_, T>) -> Decision {
        match value(cx, &self.segment) {
            Ok(value) => (!value.is_empty() && cx.principal().has_tenant(&value)).into(),
            Err(denial) => Decision::Deny(denial),
        }
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tenant({{{}}})", self.segment)
    }

    fn check(&self, segments: &[&str]) -> Result<(), ConfigError> {
        check(&self.segment, segments)
    }

    fn is_fully_described(&self) -> bool {
        true
    }
}

impl<T: Claims + ?Sized> Policy<T> for Owner {
    fn decide(&self, cx: &PolicyContext<'_, T>) -> Decision {
        match value(cx, &self.segment) {
            Ok(value) => {
                (!value.is_empty() && cx.principal().subject() == Some(value.as_ref())).into()
            }
            Err(denial) => Decision::Deny(denial),
        }
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "owner({{{}}})", self.segment)
    }

    fn check(&self, segments: &[&str]) -> Result<(), ConfigError> {
        check(&self.segment, segments)
    }

    fn is_fully_described(&self) -> bool {
        true
    }
}

/// Outside of a list, where no pattern names the segment, nothing can be told; not even the opposite.
fn value<'a, T: ?Sized>(cx: &PolicyContext<'a, T>, segment: &str) -> Result<Cow<'a, str>, Denial> {
    match cx.lookup(segment) {
        SegmentValue::Known(value) => Ok(value),
        SegmentValue::Unknown(position) => Err(cx.unknown_value(position)),
        SegmentValue::Unnamed => Err(Denial::misconfigured(&ConfigError::UnknownSegment {
            segment: segment.to_owned(),
        })),
    }
}

fn check(segment: &str, segments: &[&str]) -> Result<(), ConfigError> {
    if segments.contains(&segment) {
        return Ok(());
    }
    Err(ConfigError::UnknownSegment {
        segment: segment.to_owned(),
    })
}
