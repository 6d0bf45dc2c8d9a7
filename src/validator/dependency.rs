//! What a verdict rests on besides the credential.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

/// Something that a verdict rests on, and that may go before the credential ends: a key, an issuer, a
/// session.
///
/// A cache asks at each hit. Once the answer is no, the kept verdict is gone and the validator decides anew.
/// So the answer has to be quick, must not block, and errs on the side of no.
///
/// An [`AtomicBool`] is one: it holds as long as it is `true`.
///
/// # Example
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicBool, Ordering};
/// use std::time::SystemTime;
/// use tower_bearer::{
///     Credential, Dependency, Failure, InvalidReason, Validated, Verdict, validator_fn,
/// };
///
/// let tenant_is_active = Arc::new(AtomicBool::new(true));
/// let active = Arc::clone(&tenant_is_active);
/// let validator = validator_fn(move |_: Credential<'_>| {
///     Verdict::from(match active.load(Ordering::Acquire) {
///         true => Ok(Validated::new("alice").with_dependency(active.clone())),
///         false => Err(Failure::invalid(InvalidReason::Revoked)),
///     })
/// });
///
/// // From now on no cache answers for this tenant.
/// tenant_is_active.store(false, Ordering::Release);
/// assert!(!tenant_is_active.holds(SystemTime::now()));
/// # let _ = validator;
/// ```
pub trait Dependency: Send + Sync {
    /// Whether verdicts that rest on it still stand at `now`.
    fn holds(&self, now: SystemTime) -> bool;
}

impl Dependency for AtomicBool {
    fn holds(&self, _: SystemTime) -> bool {
        self.load(Ordering::Acquire)
    }
}

impl<D: Dependency + ?Sized> Dependency for Arc<D> {
    fn holds(&self, now: SystemTime) -> bool {
        (**self).holds(now)
    }
}

/// All that a verdict rests on.
#[derive(Clone, Default)]
pub(crate) struct Dependencies(Option<Arc<dyn Dependency>>);

impl Dependencies {
    #[cfg(feature = "jwt")]
    pub(crate) fn of(dependency: Arc<dyn Dependency>) -> Self {
        Self(Some(dependency))
    }

    #[cfg(any(test, feature = "cache"))]
    #[inline]
    pub(crate) fn hold(&self, now: SystemTime) -> bool {
        match &self.0 {
            None => true,
            Some(dependency) => dependency.holds(now),
        }
    }

    #[must_use]
    pub(crate) fn and(self, other: Self) -> Self {
        Self(match (self.0, other.0) {
            (Some(one), Some(other)) => Some(Arc::new(Both(one, other))),
            (one, other) => one.or(other),
        })
    }
}

impl<D: Dependency + 'static> From<Arc<D>> for Dependencies {
    fn from(dependency: Arc<D>) -> Self {
        Self(Some(dependency))
    }
}

impl fmt::Debug for Dependencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            None => "None",
            Some(_) => "Some(..)",
        })
    }
}

struct Both(Arc<dyn Dependency>, Arc<dyn Dependency>);

impl Dependency for Both {
    fn holds(&self, now: SystemTime) -> bool {
        self.0.holds(now) && self.1.holds(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdict_is_valid_while_all_dependencies_hold() {
        let now = SystemTime::UNIX_EPOCH;
        let on = |value| Dependencies::from(Arc::new(AtomicBool::new(value)));
        assert!(Dependencies::default().hold(now));
        for (one, other) in [(true, true), (true, false), (false, true), (false, false)] {
            assert_eq!(on(one).hold(now), one);
            assert_eq!(on(one).and(on(other)).hold(now), one && other);
            assert_eq!(on(one).and(Dependencies::default()).hold(now), one);
            assert_eq!(Dependencies::default().and(on(other)).hold(now), other);
        }
    }
}
