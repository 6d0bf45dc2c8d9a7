//! Finding the rules of a path without looking at the others.
//!
//! A tree of segments, built once. Each node holds the complete, ordered list of the rules for a path
//! that ends there, and for one that goes on where the tree does not. So a path without a choice
//! between a literal and a `{name}` is answered with one list, whatever the number of rules.

use std::collections::HashMap;

use crate::path::{Extent, PathPattern, Segment, encode_segment};

/// The position of a rule in its list.
pub(crate) type RuleIndex = u32;

/// What the tree has to know of a rule.
pub(crate) struct TreeRule<'a> {
    pub(crate) pattern: &'a PathPattern,
    /// An opening rule matches a path to the letter; a restricting one matches what a neighbour
    /// might take for it as well: with a trailing slash or without, and an empty last segment.
    pub(crate) opening: bool,
}

#[derive(Debug)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
    lists: Vec<Box<[RuleIndex]>>,
    /// No literal is longer, so a longer segment need not be hashed.
    longest: usize,
}

#[derive(Debug, Default)]
struct Node {
    children: Children,
    variable: Option<usize>,
    /// Rules for a path that ends here, without and with a trailing slash.
    ends: [usize; 2],
    /// Rules for a path that goes on below, where no child matches.
    below: usize,
    /// Rules for a path whose last segment is empty where this node's `{name}` stands.
    empty: usize,
}

/// The lists of the branches that a path took. Rules that stand in several count once.
#[derive(Debug)]
pub(crate) struct Lists<'t> {
    /// The usual case: no choice between a literal and a `{name}` on the way.
    first: &'t [RuleIndex],
    second: &'t [RuleIndex],
    more: Vec<&'t [RuleIndex]>,
}

impl<'t> Lists<'t> {
    fn new() -> Self {
        Self {
            first: &[],
            second: &[],
            more: Vec::new(),
        }
    }

    /// Returns an iterator over the lists.
    fn into_lists(self) -> impl Iterator<Item = &'t [RuleIndex]> {
        [self.first, self.second].into_iter().chain(self.more)
    }

    fn push(&mut self, list: &'t [RuleIndex]) {
        if list.is_empty() {
        } else if self.first.is_empty() {
            self.first = list;
        } else if self.second.is_empty() {
            self.second = list;
        } else {
            self.more.push(list);
        }
    }

    /// The rules of all lists, each once, in the order of their positions.
    #[inline]
    pub(crate) fn iter(&self) -> ListsIter<'_> {
        ListsIter {
            lists: self,
            next: 0,
        }
    }
}

/// The rules of a path below a prefix.
#[derive(Debug)]
pub(crate) struct NestedLists<'t> {
    /// The rules that match the path.
    pub(crate) certain: Lists<'t>,
    /// The rules that match the path if a parameter of the prefix has the value of a literal.
    pub(crate) possible: Vec<&'t [RuleIndex]>,
}

impl<'t> NestedLists<'t> {
    fn add(&mut self, lists: Lists<'t>, is_certain: bool) {
        for list in lists.into_lists().filter(|list| !list.is_empty()) {
            if is_certain {
                self.certain.push(list);
            } else {
                self.possible.push(list);
            }
        }
    }

    /// Returns the rules that apply, each once, in the order of their positions. Of the possible rules, only
    /// restricting ones apply.
    pub(crate) fn collect(&self, is_opening: impl Fn(RuleIndex) -> bool) -> Vec<RuleIndex> {
        let possible = self.possible.iter().flat_map(|list| list.iter().copied());
        let mut rules: Vec<RuleIndex> = self
            .certain
            .iter()
            .chain(possible.filter(|rule| !is_opening(*rule)))
            .collect();
        rules.sort_unstable();
        rules.dedup();
        rules
    }
}

/// The rules of a path, in order.
#[derive(Debug)]
pub(crate) struct ListsIter<'l> {
    lists: &'l Lists<'l>,
    /// With one list a place in it, with more the lowest rule that may come.
    next: RuleIndex,
}

impl Iterator for ListsIter<'_> {
    type Item = RuleIndex;

    #[inline]
    fn next(&mut self) -> Option<RuleIndex> {
        if self.lists.second.is_empty() {
            let rule = self.lists.first.get(self.next as usize).copied();
            self.next += 1;
            return rule;
        }
        self.next_of_several()
    }
}

impl ListsIter<'_> {
    fn next_of_several(&mut self) -> Option<RuleIndex> {
        let lists = self.lists;
        let rule = [lists.first, lists.second]
            .iter()
            .chain(&lists.more)
            .filter_map(|list| {
                let at = list.partition_point(|rule| *rule < self.next);
                list.get(at).copied()
            })
            .min()?;
        self.next = rule + 1;
        Some(rule)
    }
}

impl Tree {
    pub(crate) fn new<'a>(rules: impl Iterator<Item = TreeRule<'a>> + Clone) -> Self {
        let mut tree = Self {
            nodes: vec![Node::default()],
            lists: vec![Box::default()],
            longest: 0,
        };
        let mut own: Vec<Own> = vec![Own::default()];
        for (index, rule) in (0..).zip(rules) {
            let mut at = 0;
            for segment in rule.pattern.segments() {
                at = tree.child(at, segment, &mut own);
            }
            let own = &mut own[at];
            match (rule.pattern.extent(), rule.opening) {
                (Extent::Under, true) => own.under_opening.push(index),
                (Extent::Under, false) => own.under.push(index),
                (Extent::At, false) => own.at.push(index),
                (Extent::At, true) => {
                    own.at_opening[usize::from(rule.pattern.trailing_slash())].push(index);
                }
            }
        }
        tree.finish(&own);
        tree
    }

    fn child(&mut self, at: usize, segment: &Segment, own: &mut Vec<Own>) -> usize {
        let known = match segment {
            Segment::Literal(text) => self.nodes[at].children.get(text),
            Segment::Variable(_) => self.nodes[at].variable,
        };
        if let Some(known) = known {
            return known;
        }
        let new = self.nodes.len();
        self.nodes.push(Node::default());
        own.push(Own::default());
        match segment {
            Segment::Literal(text) => {
                // A client sends the escaped form, the canonical form is the decoded one.
                let encoded = encode_segment(text);
                self.longest = self.longest.max(encoded.len());
                let children = &mut self.nodes[at].children;
                if encoded != *text {
                    children.insert(encoded, new);
                }
                children.insert(text.clone(), new);
            }
            Segment::Variable(_) => self.nodes[at].variable = Some(new),
        }
        new
    }

    /// Fills in the lists, parents first: a child has a higher index than its parent.
    fn finish(&mut self, own: &[Own]) {
        for at in 0..self.nodes.len() {
            let inherited = self.nodes[at].below;
            let here = &own[at];
            let below = self.list(inherited, &[&here.under, &here.under_opening]);
            let ends = [0, 1].map(|slash| self.list(below, &[&here.at, &here.at_opening[slash]]));
            let empty = match self.nodes[at].variable {
                Some(variable) => {
                    let variable = &own[variable];
                    self.list(below, &[&variable.at, &variable.under])
                }
                None => 0,
            };
            let node = &mut self.nodes[at];
            node.below = below;
            node.ends = ends;
            node.empty = empty;
            let children: Vec<usize> = node.children.nodes().chain(node.variable).collect();
            for child in children {
                self.nodes[child].below = below;
            }
        }
    }

    /// The list at `base` with more rules in it; the same list if there are none.
    fn list(&mut self, base: usize, more: &[&[RuleIndex]]) -> usize {
        if more.iter().all(|rules| rules.is_empty()) {
            return base;
        }
        let mut rules = self.lists[base].to_vec();
        for more in more {
            rules.extend_from_slice(more);
        }
        rules.sort_unstable();
        self.lists.push(rules.into());
        self.lists.len() - 1
    }

    /// The rules that mean `path`; none if it does not begin with `/`.
    #[inline]
    pub(crate) fn find(&self, path: &str) -> Lists<'_> {
        let mut lists = Lists::new();
        if let Some(rest) = path.strip_prefix('/') {
            self.walk(0, rest, &mut lists);
        }
        lists
    }

    /// Returns the rules that match `path` below `prefix`; none if `path` does not begin with `/`.
    ///
    /// The path `/` is the prefix itself. The client may have sent it with or without a trailing slash.
    /// Restricting rules therefore match both spellings, and opening rules the one without the slash.
    #[inline]
    pub(crate) fn find_below(&self, prefix: &[Segment], path: &str) -> NestedLists<'_> {
        let mut found = NestedLists {
            certain: Lists::new(),
            possible: Vec::new(),
        };
        if prefix.is_empty() {
            found.certain = self.find(path);
        } else if let Some(rest) = path.strip_prefix('/') {
            self.descend(0, prefix, rest, true, &mut found);
        }
        found
    }

    /// Walks down from `at` through the remaining segments of a prefix, then through `rest`. Recurses once
    /// for each branch that the prefix may take, so never deeper than the prefix.
    fn descend<'t>(
        &'t self,
        at: usize,
        prefix: &[Segment],
        rest: &str,
        is_certain: bool,
        found: &mut NestedLists<'t>,
    ) {
        let node = &self.nodes[at];
        let Some((segment, more)) = prefix.split_first() else {
            let mut lists = Lists::new();
            if rest.is_empty() {
                lists.push(&self.lists[node.ends[0]]);
                lists.push(&self.lists[node.empty]);
            } else {
                self.walk(at, rest, &mut lists);
            }
            found.add(lists, is_certain);
            return;
        };
        if let Some(variable) = node.variable {
            self.descend(variable, more, rest, is_certain, found);
        }
        let is_unknown = match segment {
            Segment::Literal(text) => {
                if let Some(literal) = node.children.get(text) {
                    self.descend(literal, more, rest, is_certain, found);
                    return;
                }
                false
            }
            Segment::Variable(_) => true,
        };
        if node.variable.is_none() {
            let mut lists = Lists::new();
            lists.push(&self.lists[node.below]);
            found.add(lists, is_certain);
        }
        if is_unknown {
            for literal in node.children.nodes() {
                self.descend(literal, more, rest, false, found);
            }
        }
    }

    /// Walks down from `at`; `rest` is what follows the slash. Recurses only where a literal and a
    /// `{name}` both match, so never deeper than the longest pattern.
    fn walk<'t>(&'t self, mut at: usize, mut rest: &str, lists: &mut Lists<'t>) {
        loop {
            let node = &self.nodes[at];
            let Some((segment, more)) = split(rest) else {
                // An empty rest is the path with a trailing slash, the root among them.
                lists.push(&self.lists[node.ends[1]]);
                lists.push(&self.lists[node.empty]);
                return;
            };
            let literal = if segment.len() <= self.longest {
                node.children.get(segment)
            } else {
                None
            };
            let next = match (literal, node.variable) {
                (None, None) => {
                    lists.push(&self.lists[node.below]);
                    return;
                }
                (Some(only), None) | (None, Some(only)) => only,
                (Some(literal), Some(variable)) => {
                    match more {
                        Some(more) => self.walk(variable, more, lists),
                        None => lists.push(&self.lists[self.nodes[variable].ends[0]]),
                    }
                    literal
                }
            };
            let Some(more) = more else {
                lists.push(&self.lists[self.nodes[next].ends[0]]);
                return;
            };
            at = next;
            rest = more;
        }
    }
}

/// The literal segments below a node. A few are compared one by one, more are hashed.
#[derive(Debug)]
enum Children {
    Few(Vec<(Box<str>, usize)>),
    Many(HashMap<Box<str>, usize>),
}

impl Default for Children {
    fn default() -> Self {
        Children::Few(Vec::new())
    }
}

impl Children {
    const FEW: usize = 6;

    #[inline]
    fn get(&self, segment: &str) -> Option<usize> {
        match self {
            Children::Few(list) => list
                .iter()
                .find(|(known, _)| **known == *segment)
                .map(|(_, node)| *node),
            Children::Many(map) => map.get(segment).copied(),
        }
    }

    fn insert(&mut self, segment: String, node: usize) {
        match self {
            Children::Few(list) if list.len() < Self::FEW => list.push((segment.into(), node)),
            Children::Few(list) => {
                let mut map: HashMap<_, _> = list.drain(..).collect();
                map.insert(segment.into(), node);
                *self = Children::Many(map);
            }
            Children::Many(map) => {
                map.insert(segment.into(), node);
            }
        }
    }

    fn nodes(&self) -> impl Iterator<Item = usize> {
        let (few, many) = match self {
            Children::Few(list) => (&list[..], None),
            Children::Many(map) => (&[][..], Some(map)),
        };
        few.iter()
            .map(|(_, node)| *node)
            .chain(many.into_iter().flat_map(|map| map.values().copied()))
    }
}

/// The first segment, and what follows its slash if there is one. `None` at the end.
fn split(rest: &str) -> Option<(&str, Option<&str>)> {
    if rest.is_empty() {
        return None;
    }
    // InlineText segments: a plain loop beats a search that is made for long texts.
    Some(match rest.bytes().position(|byte| byte == b'/') {
        Some(end) => (&rest[..end], Some(&rest[end + 1..])),
        None => (rest, None),
    })
}

/// The rules that stand at one node itself, while the tree is built.
#[derive(Debug, Default)]
struct Own {
    under: Vec<RuleIndex>,
    under_opening: Vec<RuleIndex>,
    at: Vec<RuleIndex>,
    /// Without and with a trailing slash.
    at_opening: [Vec<RuleIndex>; 2],
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(path: &str, patterns: &[(&str, Extent, bool)]) -> Vec<RuleIndex> {
        let parsed: Vec<(PathPattern, bool)> = patterns
            .iter()
            .map(|(text, extent, opening)| (PathPattern::parse(text, *extent).unwrap(), *opening))
            .collect();
        let tree = Tree::new(parsed.iter().map(|(pattern, opening)| TreeRule {
            pattern,
            opening: *opening,
        }));
        tree.find(path).iter().collect()
    }

    #[test]
    fn path_finds_exactly_its_matching_rules() {
        use Extent::{At, Under};
        const RESTRICT: bool = false;
        const OPEN: bool = true;
        let patterns = [
            ("/", Under, RESTRICT),           // 0
            ("/admin", Under, RESTRICT),      // 1
            ("/admin", At, RESTRICT),         // 2
            ("/health", At, OPEN),            // 3
            ("/users/{id}", At, RESTRICT),    // 4
            ("/users/me", At, RESTRICT),      // 5
            ("/{tenant}/x", Under, RESTRICT), // 6
            ("/users/{id}/x", Under, OPEN),   // 7
            ("/", At, OPEN),                  // 8
            ("/public", Under, OPEN),         // 9
            ("/health/", At, OPEN),           // 10
            ("/é", Under, RESTRICT),          // 11
        ];
        let cases: &[(&str, &[RuleIndex])] = &[
            ("/", &[0, 8]),
            // (A01: whole segments)
            ("/admin", &[0, 1, 2]),
            ("/admin/a", &[0, 1]),
            ("/administrator", &[0]),
            ("/admi", &[0]),
            ("/Admin", &[0]),
            ("/public..", &[0]),
            ("/public-admin", &[0]),
            ("/public", &[0, 9]),
            ("/public/a/b", &[0, 9]),
            // (A07: trailing slashes)
            ("/admin/", &[0, 1, 2]),
            ("/health", &[0, 3]),
            ("/health/", &[0, 10]),
            ("/health/x", &[0, 6]),
            ("/users/7", &[0, 4]),
            ("/users/7/", &[0, 4]),
            ("/users/me", &[0, 4, 5]),
            ("/users/me/", &[0, 4, 5]),
            // a router takes an empty segment for `{id}`
            ("/users/", &[0, 4]),
            ("/users", &[0]),
            ("/users/7/x", &[0, 7]),
            ("/users/7/x/y", &[0, 7]),
            ("/users/x", &[0, 4, 6]),
            ("/users/me/x", &[0, 7]),
            ("/acme/x/y", &[0, 6]),
            ("/admin/x", &[0, 1, 6]),
            ("/%C3%A9/a", &[0, 11]),
            ("/é", &[0, 11]),
            ("/nothing/here", &[0]),
        ];
        for (path, expected) in cases {
            assert_eq!(rules(path, &patterns), *expected, "{path}");
        }
    }

    #[test]
    fn literal_matches_its_percent_encoded_form_of_any_length() {
        let patterns = [("/ééé", Extent::At, true)];
        assert_eq!(rules("/%C3%A9%C3%A9%C3%A9", &patterns), [0]);
        assert_eq!(rules("/ééé", &patterns), [0]);
    }

    #[test]
    fn matches_of_many_branches_keep_rule_order() {
        use Extent::Under;
        let patterns = [
            ("/{a}/{b}/c", Under, false),
            ("/a/{b}/c", Under, false),
            ("/{a}/b/c", Under, false),
            ("/a/b/c", Under, false),
            ("/a/b/{c}", Under, false),
            ("/{a}/{b}/{c}", Under, false),
            ("/a/{b}/{c}", Under, false),
            ("/{a}/b/{c}", Under, false),
        ];
        assert_eq!(rules("/a/b/c", &patterns), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(rules("/x/b/c/d", &patterns), [0, 2, 5, 7]);
        assert_eq!(rules("/a/b/", &patterns), [4, 5, 6, 7]);
    }
}
