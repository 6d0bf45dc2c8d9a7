//! What a policy answers.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use super::denial::Denial;
use crate::validator::BoxFuture;

/// The answer of a policy.
///
/// Made from a `bool` (`false` is [`Denial::forbidden`]) or a `Result<(), Denial>` as well.
#[expect(
    clippy::exhaustive_enums,
    reason = "whoever combines policies has to handle every answer"
)]
pub enum Decision {
    /// Allows the request. Where several policies apply, the others are evaluated too.
    Allow,
    /// Denies the request.
    Deny(Denial),
    /// The decision needs a lookup. The future owns what it needs.
    Pending(BoxFuture<Result<(), Denial>>),
}

impl Decision {
    /// Creates a decision that has to be awaited.
    pub fn pending<F>(future: F) -> Self
    where
        F: Future<Output = Result<(), Denial>> + Send + 'static,
    {
        Decision::Pending(Box::pin(future))
    }

    /// Both must pass. What is certain to be refused is refused without waiting.
    pub(super) fn and(self, other: impl FnOnce() -> Self) -> Self {
        match self {
            Decision::Allow => other(),
            Decision::Deny(denial) if denial.is_step_up() => match other() {
                Decision::Deny(other) => Decision::Deny(denial.and(other)),
                Decision::Allow | Decision::Pending(_) => Decision::Deny(denial),
            },
            Decision::Deny(denial) => Decision::Deny(denial),
            Decision::Pending(first) => match other() {
                Decision::Allow => Decision::Pending(first),
                Decision::Deny(denial) => Decision::Deny(denial),
                Decision::Pending(second) => Decision::pending(async move {
                    first.await?;
                    second.await
                }),
            },
        }
    }

    /// One must pass.
    pub(super) fn or(self, other: impl FnOnce() -> Self) -> Self {
        match self {
            Decision::Allow => Decision::Allow,
            Decision::Deny(first) => match other() {
                Decision::Allow => Decision::Allow,
                Decision::Deny(second) => Decision::Deny(first.or(second)),
                Decision::Pending(second) => {
                    Decision::pending(
                        async move { second.await.map_err(|second| first.or(second)) },
                    )
                }
            },
            Decision::Pending(first) => match other() {
                Decision::Allow => Decision::Allow,
                Decision::Deny(second) => {
                    Decision::pending(async move { first.await.map_err(|first| first.or(second)) })
                }
                Decision::Pending(second) => Decision::pending(async move {
                    match first.await {
                        Ok(()) => Ok(()),
                        Err(first) => second.await.map_err(|second| first.or(second)),
                    }
                }),
            },
        }
    }

    /// What would pass is refused, and the other way round; what cannot be told stays so.
    pub(super) fn not(self) -> Self {
        fn invert(result: Result<(), Denial>) -> Result<(), Denial> {
            match result {
                Ok(()) => Err(Denial::forbidden()),
                Err(denial) if denial.is_unavailable() => Err(denial),
                Err(_) => Ok(()),
            }
        }
        match self {
            Decision::Allow => invert(Ok(())).into(),
            Decision::Deny(denial) => invert(Err(denial)).into(),
            Decision::Pending(future) => Decision::pending(async move { invert(future.await) }),
        }
    }
}

impl Decision {
    /// As [`or`](Self::or), but what speaks against `self` is not told: `other` decides alone, unless
    /// `self` could not tell.
    pub(super) fn or_else(self, other: impl FnOnce() -> Self) -> Self {
        fn choose(first: Denial, second: Denial) -> Denial {
            if first.is_unavailable() {
                first
            } else {
                second
            }
        }
        match self {
            Decision::Allow => Decision::Allow,
            Decision::Deny(first) => match other() {
                Decision::Allow => Decision::Allow,
                Decision::Deny(second) => Decision::Deny(choose(first, second)),
                Decision::Pending(second) => Decision::pending(async move {
                    second.await.map_err(|second| choose(first, second))
                }),
            },
            Decision::Pending(first) => {
                let other = other();
                Decision::pending(async move {
                    match first.await {
                        Ok(()) => Ok(()),
                        Err(first) => other
                            .resolve()
                            .await
                            .map_err(|second| choose(first, second)),
                    }
                })
            }
        }
    }

    async fn resolve(self) -> Result<(), Denial> {
        match self {
            Decision::Allow => Ok(()),
            Decision::Deny(denial) => Err(denial),
            Decision::Pending(future) => future.await,
        }
    }

    /// Names the rule that refuses, if it does.
    pub(super) fn by_rule(self, rule: &Arc<str>) -> Self {
        match self {
            Decision::Allow => Decision::Allow,
            Decision::Deny(denial) => Decision::Deny(denial.by_rule(rule)),
            Decision::Pending(future) => {
                let rule = Arc::clone(rule);
                Decision::pending(
                    async move { future.await.map_err(|denial| denial.by_rule(&rule)) },
                )
            }
        }
    }
}

impl From<bool> for Decision {
    fn from(passes: bool) -> Self {
        if passes {
            Decision::Allow
        } else {
            Decision::Deny(Denial::forbidden())
        }
    }
}

impl From<Denial> for Decision {
    fn from(denial: Denial) -> Self {
        Decision::Deny(denial)
    }
}

impl From<Result<(), Denial>> for Decision {
    fn from(result: Result<(), Denial>) -> Self {
        match result {
            Ok(()) => Decision::Allow,
            Err(denial) => Decision::Deny(denial),
        }
    }
}

impl fmt::Debug for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Decision::Allow => f.write_str("Pass"),
            Decision::Deny(denial) => f.debug_tuple("Deny").field(denial).finish(),
            Decision::Pending(_) => f.write_str("Wait(..)"),
        }
    }
}

/// What a client has to bring for a request, collected for a challenge.
#[derive(Clone, Debug, Default)]
pub struct RequiredScopes {
    scopes: Vec<Arc<str>>,
}

impl RequiredScopes {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a scope, unless it is there already.
    pub fn add_scope(&mut self, scope: impl Into<Arc<str>>) {
        let scope = scope.into();
        if !self.scopes.contains(&scope) {
            self.scopes.push(scope);
        }
    }

    /// The scopes, in the order in which they were added.
    #[must_use]
    pub fn scopes(&self) -> &[Arc<str>] {
        &self.scopes
    }

    pub(crate) fn into_scopes(self) -> Vec<Arc<str>> {
        self.scopes
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::policy::DenialKind;

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Say {
        Yes,
        No,
        Scope,
        Down,
    }

    use Say::{Down, No, Scope, Yes};

    fn result(say: Say) -> Result<(), Denial> {
        match say {
            Yes => Ok(()),
            No => Err(Denial::forbidden()),
            Scope => Err(Denial::insufficient_scope(["s"])),
            Down => Err(Denial::unavailable()),
        }
    }

    fn now(say: Say) -> Decision {
        result(say).into()
    }

    fn later(say: Say) -> Decision {
        Decision::pending(async move { result(say) })
    }

    fn end(decision: Decision) -> Say {
        let result = match decision {
            Decision::Allow => Ok(()),
            Decision::Deny(denial) => Err(denial),
            Decision::Pending(future) => {
                match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
                    Poll::Ready(result) => result,
                    Poll::Pending => unreachable!("no test future waits"),
                }
            }
        };
        match result {
            Ok(()) => Yes,
            Err(denial) => match denial.kind() {
                DenialKind::Forbidden => No,
                DenialKind::InsufficientScope { .. } => Scope,
                _ => Down,
            },
        }
    }

    #[test]
    fn combinators_have_the_same_truth_table_for_ready_and_pending() {
        let table = [
            // first, second, and, or
            (Yes, Yes, Yes, Yes),
            (Yes, No, No, Yes),
            (No, Yes, No, Yes),
            (No, No, No, No),
            (No, Scope, No, Scope),
            (Scope, No, Scope, Scope),
            (Yes, Down, Down, Yes),
            (Down, Yes, Down, Yes),
            (No, Down, No, Down),
            (Scope, Down, Scope, Down),
            (Down, Scope, Down, Down),
        ];
        for (a, b, and, or) in table {
            for first in [now, later] {
                for second in [now, later] {
                    assert_eq!(end(first(a).or(|| second(b))), or, "{a:?} or {b:?}");
                    let both = end(first(a).and(|| second(b)));
                    // Of two reasons against it, the one known first may be named.
                    assert_eq!(both == Yes, and == Yes, "{a:?} and {b:?}");
                }
            }
            assert_eq!(end(now(a).and(|| now(b))), and, "{a:?} and {b:?}");
        }
        for (say, not) in [(Yes, No), (No, Yes), (Scope, Yes), (Down, Down)] {
            assert_eq!(end(now(say).not()), not, "not {say:?}");
            assert_eq!(end(later(say).not()), not, "not {say:?}");
        }
    }
}
