//! The ordered, path-scoped list of rules.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::Method;

use super::Policy;
use super::builder::PoliciesBuilder;
use super::context::PolicyContext;
use super::decision::{Decision, RequiredScopes};
use super::denial::Denial;
use super::explain::{AppliedRule, Explanation, write_table};
use super::plan::{Plan, Requirement};
use super::rule::{Effect, Rule};
use super::tree::{Lists, ListsIter, NestedLists, RuleIndex, Tree, TreeRule};
use crate::path::{self, Allowed, FormOfPath, NOT_NESTED, Nest, Reading, Segment};
use crate::path_ambiguity::PathAmbiguity;
use crate::request::RequestView;

/// An ordered list of rules for paths; itself a [`Policy`].
///
/// Rules are read from the top. A restricting one ([`Guard`](super::Guard)) refuses, or lets the
/// reading go on; an opening one ([`Opening`](super::Opening)) ends it. At the end an authenticated
/// request passes, unless the list was built with
/// [`deny_unmatched`](PoliciesBuilder::deny_unmatched). So adding a restricting rule anywhere never
/// lets more through; only an opening rule does, and it covers what stands below it.
///
/// A path is read twice: as the layer receives it, which is what routers match, and decoded, which is what
/// file servers look for. A restricting rule applies if either form matches, an opening one only if both do. If an
/// [`optional`](super::optional()) rule matches one form, a later [`public`](super::public()) rule still rejects an invalid
/// credential.
/// A path without a single meaning ([`PathAmbiguity`]) is refused with 400 before any rule. Query and
/// fragment are never looked at, case matters, and no header changes what is matched. `OPTIONS *`, a request
/// to the server as a whole ([RFC 9110 section 9.3.7](https://www.rfc-editor.org/rfc/rfc9110#section-9.3.7)),
/// is matched like the path `/*`: rules for every path apply, such as those `under("/", ..)`, and rules whose
/// first segment is a parameter. Without such a rule, no rule names the request. With any other method, `*`
/// is rejected with 400.
///
/// What it costs to find the rules of a path does not depend on the rules that do not mean it: a tree of
/// segments is walked, not the list.
///
/// # Example
///
/// ```
/// use http::Method;
/// use tower_bearer::policy::{Claims, Policies, public, role, scope, tenant};
///
/// # struct User;
/// # impl Claims for User {}
/// let policies: Policies<User> = Policies::builder()
///     .at("/health", public())
///     .under("/admin", role("admin"))
///     .under("/orders", scope("orders:read"))
///     .under("/orders", scope("orders:write").on([Method::POST, Method::DELETE]))
///     .under("/tenants/{tenant}", tenant("tenant"))
///     .build()?;
///
/// println!("{policies}"); // a table, for review and for snapshot tests
/// let explanation = policies.explain(&Method::POST, "/orders/7");
/// let rules: Vec<&str> = explanation.rules().iter().map(|rule| rule.rule()).collect();
/// assert_eq!(rules, [
///     "under /orders: scope(orders:read)",
///     "under /orders: scope(orders:write) on POST, DELETE",
/// ]);
/// # Ok::<(), tower_bearer::ConfigError>(())
/// ```
#[must_use]
pub struct Policies<T: ?Sized> {
    inner: Arc<Inner<T>>,
}

struct Inner<T: ?Sized> {
    id: ListId,
    rules: Vec<Rule<T>>,
    tree: Tree,
    allowed: Allowed,
    /// Where a request that no rule names is refused.
    unmatched_denial: Option<UnmatchedDenial>,
}

struct UnmatchedDenial {
    label: Arc<str>,
    /// To be named is to be let through, so a path is named the way it is opened: to the letter, in
    /// both readings, by a method that stands there.
    named: Tree,
}

/// The rules that mean a path.
pub(crate) struct RuleMatch<'p> {
    /// The list that it belongs to.
    owner: ListId,
    found: Found<'p>,
}

enum Found<'p> {
    /// The path reads the same in both forms.
    Plain(Lists<'p>),
    Merged {
        /// The decoded form, if it differs.
        decoded: Option<String>,
        rules: Vec<(RuleIndex, Form)>,
        /// The `optional()` rules that match only one form, or only for some values of a parameter of the
        /// prefix. They open nothing, and no later `public()` rule applies unless they would.
        uncertain: Vec<RuleIndex>,
    },
}

/// The part of a request that rules are matched against.
#[derive(Clone, Copy)]
struct Target<'a> {
    method: &'a Method,
    /// The raw path behind the prefix.
    path: &'a str,
    nest: &'a Nest,
}

impl<'a> Target<'a> {
    #[inline]
    fn of(request: &RequestView<'a>) -> Self {
        Self::new(request.method(), request.path(), request.nest())
    }

    /// Creates the target of a request. `OPTIONS *` is a request to the server as a whole ([RFC 9110 section
    /// 9.3.7](https://www.rfc-editor.org/rfc/rfc9110#section-9.3.7)). It is matched like the path `/*`: by
    /// rules for every path, and by those whose first segment is a parameter.
    #[inline]
    fn new(method: &'a Method, path: &'a str, nest: &'a Nest) -> Self {
        let path = if path == "*" && *method == Method::OPTIONS {
            "/*"
        } else {
            path
        };
        Self { method, path, nest }
    }

    #[inline]
    fn prefix(&self) -> &'a [Segment] {
        self.nest.segments()
    }
}

/// Which form of the path a rule reads its segments from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Raw,
    Decoded,
    Both,
}

/// The identity of a list. The clones of a list share it, and no other list ever has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ListId(u64);

impl ListId {
    fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

impl RuleMatch<'_> {
    /// Returns the same match without borrows.
    pub(super) fn into_owned(self) -> RuleMatch<'static> {
        let found = match self.found {
            Found::Plain(lists) => Found::Merged {
                decoded: None,
                rules: lists.iter().map(|rule| (rule, Form::Raw)).collect(),
                uncertain: Vec::new(),
            },
            Found::Merged {
                decoded,
                rules,
                uncertain,
            } => Found::Merged {
                decoded,
                rules,
                uncertain,
            },
        };
        RuleMatch {
            owner: self.owner,
            found,
        }
    }

    #[inline]
    fn iter(&self) -> RuleMatchIter<'_> {
        match &self.found {
            Found::Plain(lists) => RuleMatchIter::Plain(lists.iter()),
            Found::Merged { rules, .. } => RuleMatchIter::Merged(rules.iter()),
        }
    }
}

enum RuleMatchIter<'m> {
    Plain(ListsIter<'m>),
    Merged(std::slice::Iter<'m, (RuleIndex, Form)>),
}

impl Iterator for RuleMatchIter<'_> {
    type Item = (RuleIndex, Form);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self {
            RuleMatchIter::Plain(lists) => lists.next().map(|rule| (rule, Form::Raw)),
            RuleMatchIter::Merged(rules) => rules.next().copied(),
        }
    }
}

impl<T: ?Sized> Policies<T> {
    /// A list without rules, to be filled.
    pub fn builder() -> PoliciesBuilder<T> {
        PoliciesBuilder::new()
    }

    pub(super) fn new(
        rules: Vec<Rule<T>>,
        tree: Tree,
        allowed: Allowed,
        deny_unmatched: bool,
    ) -> Self {
        let unmatched_denial = deny_unmatched.then(|| UnmatchedDenial {
            label: Arc::from("the rest: deny()"),
            named: Tree::new(rules.iter().map(|rule| TreeRule {
                pattern: &rule.pattern,
                opening: true,
            })),
        });
        Self {
            inner: Arc::new(Inner {
                id: ListId::next(),
                rules,
                tree,
                allowed,
                unmatched_denial,
            }),
        }
    }

    /// Says which rules apply to a request, in which order and with which effect, without a
    /// principal and without a request.
    ///
    /// `path` is the raw path without query, as the rules name it: with
    /// [`nested_at`](crate::BearerAuthLayer::nested_at) the prefix, followed by the path that the layer
    /// receives.
    #[must_use]
    pub fn explain(&self, method: &Method, path: &str) -> Explanation {
        let target = Target::new(method, path, &NOT_NESTED);
        let matched = match self.find(target) {
            Ok(matched) => matched,
            Err(ambiguity) => return Explanation::refused(method, path, ambiguity),
        };
        let (requirement, _) = self.requirement(&matched, method);
        let mut rules = Vec::new();
        let mut opened = false;
        for (index, rule) in self.applying(&matched, method) {
            rules.push(AppliedRule::new(
                index,
                Arc::clone(&rule.label),
                &rule.effect,
            ));
            opened = matches!(rule.effect, Effect::Public | Effect::Optional);
            if opened {
                break;
            }
        }
        let denied = !opened && self.unmatched_denial(&matched, target).is_some();
        Explanation::new(method, path, requirement, rules, denied)
    }

    #[inline]
    fn find(&self, target: Target<'_>) -> Result<RuleMatch<'_>, PathAmbiguity> {
        let inner = &*self.inner;
        let found = match path::read(target.path, inner.allowed)? {
            Reading::Plain if target.prefix().is_empty() => {
                Found::Plain(inner.tree.find(target.path))
            }
            Reading::Plain => self.find_below(target),
            Reading::Decoded { path, loose } => {
                let (rules, uncertain) = self.merge(target, &path, loose);
                Found::Merged {
                    decoded: Some(path),
                    rules,
                    uncertain,
                }
            }
        };
        Ok(RuleMatch {
            owner: self.inner.id,
            found,
        })
    }

    /// Returns the rules of a path whose two forms are equal, below a prefix.
    fn find_below(&self, target: Target<'_>) -> Found<'_> {
        let lists = self.inner.tree.find_below(target.prefix(), target.path);
        if lists.possible.is_empty() {
            return Found::Plain(lists.certain);
        }
        let rules = lists.collect(|index| self.is_opening(index));
        Found::Merged {
            decoded: None,
            rules: rules.into_iter().map(|index| (index, Form::Raw)).collect(),
            uncertain: self.possible_optional(&lists).collect(),
        }
    }

    fn is_opening(&self, index: RuleIndex) -> bool {
        self.inner
            .rules
            .get(index as usize)
            .is_some_and(|rule| rule.effect.is_opening())
    }

    /// Returns the `optional()` rules that match for some values of a parameter of the prefix.
    fn possible_optional(&self, lists: &NestedLists<'_>) -> impl Iterator<Item = RuleIndex> {
        let possible = lists.possible.iter().flat_map(|list| list.iter().copied());
        possible.filter(|index| self.is_optional(*index))
    }

    fn is_optional(&self, index: RuleIndex) -> bool {
        let rule = self.inner.rules.get(index as usize);
        rule.is_some_and(|rule| matches!(rule.effect, Effect::Optional))
    }

    /// How a request is refused that no rule names, if it is.
    fn unmatched_denial(&self, matched: &RuleMatch<'_>, target: Target<'_>) -> Option<&Arc<str>> {
        let rest = self.inner.unmatched_denial.as_ref()?;
        let names = |index: &RuleIndex| {
            self.inner
                .rules
                .get(*index as usize)
                .is_some_and(|rule| rule.names(target.method))
        };
        // A named path is an opened path, so rules that only possibly match are ignored.
        let find = |path| rest.named.find_below(target.prefix(), path).certain;
        let by_raw = find(target.path);
        let mut by_raw = by_raw.iter().filter(names);
        let named = match &matched.found {
            Found::Merged {
                decoded: Some(decoded),
                ..
            } => {
                let by_decoded: Vec<RuleIndex> = find(decoded).iter().collect();
                by_raw.any(|index| by_decoded.contains(&index))
            }
            Found::Merged { decoded: None, .. } | Found::Plain(_) => by_raw.next().is_some(),
        };
        (!named).then_some(&rest.label)
    }

    /// Returns the rules of both forms: a restricting one if either matches, an opening one if both do. Also returns the
    /// uncertain rules.
    #[cold]
    fn merge(
        &self,
        target: Target<'_>,
        decoded: &str,
        loose: bool,
    ) -> (Vec<(RuleIndex, Form)>, Vec<RuleIndex>) {
        let mut uncertain = Vec::new();
        let mut rules_of = |path| {
            let lists = self.inner.tree.find_below(target.prefix(), path);
            uncertain.extend(self.possible_optional(&lists));
            lists.collect(|index| self.is_opening(index))
        };
        let by_raw = rules_of(target.path);
        let by_decoded = rules_of(decoded);
        let mut all: Vec<RuleIndex> = by_raw.iter().chain(&by_decoded).copied().collect();
        all.sort_unstable();
        all.dedup();
        let rules = all
            .into_iter()
            .filter_map(|index| {
                let raw = by_raw.binary_search(&index).is_ok();
                let decoded = by_decoded.binary_search(&index).is_ok();
                let opening = self.is_opening(index);
                match (raw, decoded) {
                    // Segment by segment the forms say the same, unless something was let through.
                    (true, true) if loose => Some((index, Form::Both)),
                    (true, true) => Some((index, Form::Raw)),
                    _ if opening => {
                        uncertain.extend(self.is_optional(index).then_some(index));
                        None
                    }
                    (true, false) => Some((index, Form::Raw)),
                    (false, _) => Some((index, Form::Decoded)),
                }
            })
            .collect();
        (rules, uncertain)
    }

    /// The rules for this path and method, in order, up to the end of the list.
    fn applying<'a>(
        &'a self,
        matched: &RuleMatch<'_>,
        method: &Method,
    ) -> impl Iterator<Item = (usize, &'a Rule<T>)> {
        matched.iter().filter_map(|(index, _)| {
            let index = index as usize;
            let rule = self.inner.rules.get(index)?;
            rule.applies(method).then_some((index, rule))
        })
    }

    fn requirement(&self, matched: &RuleMatch<'_>, method: &Method) -> (Requirement, Option<&str>) {
        for (index, rule) in self.applying(matched, method) {
            match rule.effect {
                // Nobody without a principal passes a restricting rule, whatever stands below.
                Effect::Restrict(_) => break,
                Effect::Permit(_) => {}
                Effect::Public => {
                    // If the uncertain rule applied, an invalid credential would be rejected.
                    return match self.uncertain_before(index, matched, method) {
                        Some(optional) => (Requirement::Optional, Some(&optional.label)),
                        None => (Requirement::Public, Some(&rule.label)),
                    };
                }
                Effect::Optional => return (Requirement::Optional, Some(&rule.label)),
            }
        }
        (Requirement::Credential, None)
    }

    /// Returns the first uncertain rule in front of the rule `index`, for this method.
    fn uncertain_before(
        &self,
        index: usize,
        matched: &RuleMatch<'_>,
        method: &Method,
    ) -> Option<&Rule<T>> {
        let Found::Merged { uncertain, .. } = &matched.found else {
            return None;
        };
        let before = uncertain.iter().map(|other| *other as usize);
        let first = before.filter(|other| *other < index).filter(|other| {
            let rule = self.inner.rules.get(*other);
            rule.is_some_and(|rule| rule.applies(method))
        });
        self.inner.rules.get(first.min()?)
    }

    /// Reads what is left of the rules.
    fn evaluate(
        &self,
        mut rules: RuleMatchIter<'_>,
        matched: &RuleMatch<'_>,
        cx: &PolicyContext<'_, T>,
    ) -> Decision {
        let mut so_far = Decision::Allow;
        let target = Target::of(cx.request());
        while let Some((index, form)) = rules.next() {
            let Some(rule) = self.inner.rules.get(index as usize) else {
                continue;
            };
            if !rule.applies(target.method) {
                continue;
            }
            match &rule.effect {
                Effect::Public | Effect::Optional => return so_far,
                Effect::Restrict(policy) => match decide(rule, policy, form, matched, target, cx) {
                    Decision::Allow => {}
                    Decision::Deny(denial) if denial.is_step_up() => {
                        return Decision::Deny(self.one_login(denial, rules, matched, cx));
                    }
                    Decision::Deny(denial) => return Decision::Deny(denial),
                    waiting @ Decision::Pending(_) => so_far = so_far.and(|| waiting),
                },
                Effect::Permit(policy) => match decide(rule, policy, form, matched, target, cx) {
                    Decision::Allow => return so_far,
                    Decision::Deny(denial) if !denial.is_unavailable() => {}
                    undecided => {
                        return so_far
                            .and(|| undecided.or_else(|| self.evaluate(rules, matched, cx)));
                    }
                },
            }
        }
        match self.unmatched_denial(matched, target) {
            Some(label) => Decision::Deny(Denial::forbidden().by_rule(label)),
            None => so_far,
        }
    }

    /// Joins a demand for another login with those of the rules below, so that one login is enough.
    #[cold]
    fn one_login(
        &self,
        mut denial: Denial,
        rules: RuleMatchIter<'_>,
        matched: &RuleMatch<'_>,
        cx: &PolicyContext<'_, T>,
    ) -> Denial {
        let target = Target::of(cx.request());
        for (index, form) in rules {
            let Some(rule) = self.inner.rules.get(index as usize) else {
                continue;
            };
            if !rule.applies(cx.request().method()) {
                continue;
            }
            let Effect::Restrict(policy) = &rule.effect else {
                break;
            };
            if let Decision::Deny(more) = decide(rule, policy, form, matched, target, cx) {
                denial = denial.and(more);
            }
        }
        denial
    }
}

/// Asks the policy of one rule, for each form of the path that it has to hold for.
#[inline]
fn decide<T: ?Sized>(
    rule: &Rule<T>,
    policy: &Arc<dyn Policy<T>>,
    form: Form,
    matched: &RuleMatch<'_>,
    target: Target<'_>,
    cx: &PolicyContext<'_, T>,
) -> Decision {
    let ask = |path| {
        let cx = cx.for_rule(&rule.pattern, path);
        cx.settled(|| policy.decide(&cx))
    };
    let as_sent = || ask(FormOfPath::Raw(target.path));
    let decoded = || match &matched.found {
        Found::Merged {
            decoded: Some(decoded),
            ..
        } => ask(FormOfPath::Decoded(decoded)),
        Found::Merged { decoded: None, .. } | Found::Plain(_) => as_sent(),
    };
    let decision = match form {
        Form::Raw => as_sent(),
        Form::Decoded => decoded(),
        Form::Both => as_sent().and(decoded),
    };
    match decision {
        Decision::Allow => Decision::Allow,
        other => other.by_rule(&rule.label),
    }
}

impl<T: ?Sized> Policy<T> for Policies<T> {
    #[inline]
    fn plan(&self, request: &RequestView<'_>) -> Result<Plan<'_>, PathAmbiguity> {
        request.nest().check(request.extensions());
        let matched = self.find(Target::of(request))?;
        let (requirement, opened_by) = self.requirement(&matched, request.method());
        Ok(Plan::matched(requirement, matched, opened_by))
    }

    #[inline]
    fn decide(&self, cx: &PolicyContext<'_, T>) -> Decision {
        // Inside of another policy the plan is that policy's, so the search starts anew.
        match cx.plan().rules() {
            Some(matched) if matched.owner == self.inner.id => {
                self.evaluate(matched.iter(), matched, cx)
            }
            _ => match self.find(Target::of(cx.request())) {
                Ok(matched) => self.evaluate(matched.iter(), &matched, cx),
                // Not "no", because `not` would turn that into "yes".
                Err(_) => Decision::Deny(Denial::unavailable()),
            },
        }
    }

    fn required_scopes(
        &self,
        request: &RequestView<'_>,
        plan: &Plan<'_>,
        needs: &mut RequiredScopes,
    ) {
        let anew;
        let matched = match plan.rules() {
            Some(matched) if matched.owner == self.inner.id => matched,
            _ => match self.find(Target::of(request)) {
                Ok(matched) => {
                    anew = matched;
                    &anew
                }
                Err(_) => return,
            },
        };
        for (_, rule) in self.applying(matched, request.method()) {
            match &rule.effect {
                Effect::Restrict(policy) => policy.required_scopes(request, plan, needs),
                Effect::Permit(_) => {}
                Effect::Public | Effect::Optional => break,
            }
        }
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "policies({} rules)", self.inner.rules.len())
    }
}

impl<T: ?Sized> Clone for Policies<T> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<T: ?Sized> fmt::Debug for Policies<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.inner.rules.iter().map(|rule| &rule.label))
            .finish()
    }
}

/// A table: position, path, methods, rule. Its last line says what happens to the rest; below it stands
/// what [`insecure_allow_path`](super::PoliciesBuilder::insecure_allow_path) lets through.
impl<T: ?Sized> fmt::Display for Policies<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.inner.rules.iter().map(|rule| {
            [
                rule.pattern.to_string(),
                rule.methods
                    .as_ref()
                    .map_or_else(|| String::from("*"), ToString::to_string),
                rule.effect.to_string(),
            ]
        });
        let rest = match self.inner.unmatched_denial {
            Some(_) => "deny()",
            None => "authenticated()",
        };
        write_table(f, rows.collect(), rest)?;
        for ambiguity in self.inner.allowed.iter() {
            writeln!(f, "insecure: lets through a path with {ambiguity}")?;
        }
        Ok(())
    }
}
