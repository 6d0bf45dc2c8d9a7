//! A closure as a policy.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;

use super::Policy;
use super::context::PolicyContext;
use super::decision::Decision;
use super::denial::Denial;
use super::guard::{Guard, guard};

/// Makes a policy of a closure that takes the [`PolicyContext`].
///
/// It may return a `bool`, a `Result<(), Denial>`, a [`Decision`], or a future of one of the first
/// two that owns what it needs. The type of the context has to be written, since it is what tells the
/// closure whose policy it is. Give it a name for tables and logs with [`Guard::named`].
///
/// # Example
///
/// ```
/// use tower_bearer::policy::{Denial, Policies, PolicyContext, policy_fn};
///
/// struct User {
///     id: u64,
///     active: bool,
/// }
///
/// # #[derive(Clone)] struct Database;
/// # impl Database { async fn owner_of(&self, _: &str) -> Result<u64, std::io::Error> { Ok(1) } }
/// # let database = Database;
/// let policies: Policies<User> = Policies::builder()
///     .under("/", policy_fn(|cx: &PolicyContext<'_, User>| cx.principal().active).named("active"))
///     .under("/tasks/{task}", policy_fn(move |cx: &PolicyContext<'_, User>| {
///         let user = cx.principal().id;
///         let task = cx.segment("task").unwrap_or_default().into_owned();
///         let database = database.clone();
///         async move {
///             match database.owner_of(&task).await {
///                 Ok(owner) if owner == user => Ok(()),
///                 Ok(_) => Err(Denial::forbidden()),
///                 Err(error) => Err(Denial::unavailable().with_source(error)),
///             }
///         }
///     }).named("owner"))
///     .build()?;
/// # Ok::<(), tower_bearer::ConfigError>(())
/// ```
pub fn policy_fn<T, F, R, M>(f: F) -> Guard<PolicyFn<T, F, M>>
where
    T: ?Sized,
    F: Fn(&PolicyContext<'_, T>) -> R + Send + Sync,
    R: IntoDecision<M>,
{
    guard(PolicyFn {
        f,
        name: Cow::Borrowed("policy_fn"),
        marker: PhantomData,
    })
}

/// A policy made by [`policy_fn`].
pub struct PolicyFn<T: ?Sized, F, M> {
    f: F,
    name: Cow<'static, str>,
    marker: PhantomData<fn(&T) -> M>,
}

impl<T: ?Sized, F, M> PolicyFn<T, F, M> {
    pub(super) fn named(mut self, name: Cow<'static, str>) -> Self {
        self.name = name;
        self
    }
}

impl<T: ?Sized, F, M> fmt::Debug for PolicyFn<T, F, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyFn")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl<T, F, R, M> Policy<T> for PolicyFn<T, F, M>
where
    T: ?Sized,
    F: Fn(&PolicyContext<'_, T>) -> R + Send + Sync,
    R: IntoDecision<M>,
{
    fn decide(&self, cx: &PolicyContext<'_, T>) -> Decision {
        cx.settled(|| (self.f)(cx).into_decision())
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// What a closure given to [`policy_fn`] may return.
///
/// `bool`, `Result<(), Denial>`, [`Decision`], or a `Send + 'static` future of `bool` or
/// `Result<(), Denial>`.
#[diagnostic::on_unimplemented(
    message = "a closure given to `policy_fn` cannot return `{Self}`",
    label = "this closure returns something that is no decision",
    note = "return `bool`, `Result<(), tower_bearer::policy::Denial>`, or an `async move` block with such an output that is `Send` and borrows nothing"
)]
pub trait IntoDecision<M> {
    /// Turns it into a decision.
    fn into_decision(self) -> Decision;
}

/// Types that keep the forms of [`IntoDecision`] apart. Never written by hand.
pub mod decision_markers {
    /// The closure decides at once.
    #[derive(Debug)]
    #[non_exhaustive]
    pub struct Ready;

    /// The closure returns a future.
    #[derive(Debug)]
    #[non_exhaustive]
    pub struct Future;
}

impl IntoDecision<decision_markers::Ready> for bool {
    fn into_decision(self) -> Decision {
        self.into()
    }
}

impl IntoDecision<decision_markers::Ready> for Result<(), Denial> {
    fn into_decision(self) -> Decision {
        self.into()
    }
}

impl IntoDecision<decision_markers::Ready> for Decision {
    fn into_decision(self) -> Decision {
        self
    }
}

impl<F> IntoDecision<decision_markers::Future> for F
where
    F: Future + Send + 'static,
    F::Output: IntoDecision<decision_markers::Ready>,
{
    fn into_decision(self) -> Decision {
        Decision::pending(async move {
            match self.await.into_decision() {
                Decision::Allow => Ok(()),
                Decision::Deny(denial) => Err(denial),
                Decision::Pending(future) => future.await,
            }
        })
    }
}
