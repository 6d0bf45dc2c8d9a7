//! The prefix at which the router behind a layer is nested.

use std::borrow::Cow;

use http::Extensions;

use super::pattern::{Extent, PathPattern, Segment};
use crate::error::ConfigError;

/// The nesting of a layer: the prefix that something in front of it strips from the path.
#[derive(Clone, Debug)]
pub(crate) struct Nest {
    /// `None` if no prefix is declared, without segments for the declared prefix `/`.
    prefix: Option<PathPattern>,
    checks: Checks,
}

/// No prefix, and never compared with the nest that axum reports.
pub(crate) static NOT_NESTED: Nest = Nest {
    prefix: None,
    checks: Checks::none(),
};

impl Nest {
    /// Creates a nest without a declared prefix.
    pub(crate) const fn undeclared() -> Self {
        Self {
            prefix: None,
            checks: Checks::new(),
        }
    }

    /// Creates a nest with the declared prefix `prefix`.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Prefix`] if `prefix` is not a valid pattern for a subtree.
    pub(crate) fn declared(prefix: &str) -> Result<Self, ConfigError> {
        match PathPattern::parse(prefix, Extent::Under) {
            Ok(pattern) => Ok(Self {
                prefix: Some(pattern),
                checks: Checks::new(),
            }),
            Err(problem) => Err(ConfigError::Prefix {
                prefix: prefix.to_owned(),
                problem,
            }),
        }
    }

    /// Returns the declared prefix as text.
    pub(crate) fn text(&self) -> Option<&str> {
        self.prefix.as_ref().map(PathPattern::text)
    }

    /// Returns the segments of the declared prefix; none if there is no prefix.
    #[inline]
    pub(crate) fn segments(&self) -> &[Segment] {
        match &self.prefix {
            Some(prefix) => prefix.segments(),
            None => &[],
        }
    }

    /// Returns what follows the prefix in `path`, which is `/` for the prefix itself. `None` if `path`
    /// is outside of the prefix.
    #[cfg(feature = "openapi")]
    pub(crate) fn strip<'p>(&self, path: &'p str) -> Option<&'p str> {
        let mut rest = path;
        for segment in self.segments() {
            let below = rest.strip_prefix('/')?;
            let end = below.find('/').unwrap_or(below.len());
            let (value, more) = below.split_at(end);
            if let Segment::Literal(literal) = segment
                && !is_spelling(literal, value)
            {
                return None;
            }
            rest = more;
        }
        Some(if rest.is_empty() { "/" } else { rest })
    }

    /// Returns the value of the prefix segment at `index`, decoded. `None` if the value of a
    /// parameter is unknown.
    pub(crate) fn value<'a>(
        &'a self,
        index: usize,
        extensions: &'a Extensions,
    ) -> Option<Cow<'a, str>> {
        match self.segments().get(index)? {
            Segment::Literal(text) => Some(Cow::Borrowed(text)),
            Segment::Variable(_) => self.original_value(index, extensions),
        }
    }

    /// Reads a parameter from the path that axum kept before it stripped the prefix.
    ///
    /// axum sets `OriginalUri` once for a request and does not replace it when the request is rewritten or
    /// dispatched again (A19: rewritten requests). So the value counts only if all literal segments of the
    /// prefix agree, if the nests that axum counted are not more than those declared, and if axum matched the
    /// same value for the parameter, which is the value that a handler receives.
    #[cfg(feature = "axum")]
    fn original_value<'a>(&self, index: usize, extensions: &'a Extensions) -> Option<Cow<'a, str>> {
        use axum::extract::{NestedPath, OriginalUri};

        use super::canonical::{self, Allowed, Reading};

        let nested = extensions.get::<NestedPath>()?.as_str();
        if !self.begins_with(nested) {
            return None;
        }
        let name = parameter_name(nested_segments(nested).nth(index)?)?;
        let original = extensions.get::<OriginalUri>()?.0.path();
        // The path below the prefix may be ambiguous if a list allows it.
        let prefix = match original.match_indices('/').nth(self.segments().len()) {
            Some((end, _)) => &original[..end],
            None => original,
        };
        let value = match canonical::read(prefix, Allowed::default()).ok()? {
            Reading::Plain => Cow::Borrowed(self.value_in(prefix, index)?),
            Reading::Decoded { path, .. } => Cow::Owned(self.value_in(&path, index)?.to_owned()),
        };
        is_matched_value(name, &value, extensions).then_some(value)
    }

    /// Returns `None`: without the feature `axum` no original path is known.
    #[cfg(not(feature = "axum"))]
    #[expect(clippy::unused_self, reason = "the same signature as with the feature")]
    fn original_value<'a>(&self, _: usize, _: &'a Extensions) -> Option<Cow<'a, str>> {
        None
    }

    /// Returns the segment at `index` of a decoded path that agrees with the prefix.
    #[cfg(feature = "axum")]
    fn value_in<'p>(&self, path: &'p str, index: usize) -> Option<&'p str> {
        let mut values = path.split('/').skip(1);
        let mut found = None;
        for (position, segment) in self.segments().iter().enumerate() {
            let value = values.next()?;
            match segment {
                Segment::Literal(literal) if literal != value => return None,
                _ if position == index => found = Some(value),
                _ => {}
            }
        }
        found
    }

    /// Returns whether the declared prefix begins with the segments of `nested`, the text of axum's
    /// `NestedPath`.
    #[cfg(feature = "axum")]
    fn begins_with(&self, nested: &str) -> bool {
        let mut declared = self.segments().iter();
        nested_segments(nested).all(|text| {
            declared
                .next()
                .is_some_and(|segment| is_same_segment(segment, text))
        })
    }

    /// Logs one warning if axum reports another nest than the declared one. Only the first requests are
    /// compared, so later requests cost one load.
    #[inline]
    pub(crate) fn check(&self, extensions: &Extensions) {
        if self.checks.is_due() {
            self.compare(extensions);
        }
    }

    #[cold]
    #[cfg(all(feature = "axum", feature = "tracing"))]
    fn compare(&self, extensions: &Extensions) {
        use axum::extract::NestedPath;

        if let Some(nested) = extensions.get::<NestedPath>()
            && !self.is_nested_at(nested.as_str())
        {
            if self.checks.finish() {
                crate::trace::nest_differs(nested.as_str(), self.text());
            }
            return;
        }
        self.checks.count();
    }

    #[cfg(not(all(feature = "axum", feature = "tracing")))]
    #[expect(
        clippy::unused_self,
        reason = "the same signature as with the features"
    )]
    fn compare(&self, _: &Extensions) {}

    /// Returns whether the declared prefix agrees with a router that axum has nested at `nested`. The prefix
    /// `/` is the explicit way to write rules relative to the router.
    #[cfg(all(feature = "axum", feature = "tracing"))]
    fn is_nested_at(&self, nested: &str) -> bool {
        match &self.prefix {
            None => false,
            Some(prefix) if prefix.segments().is_empty() => true,
            Some(prefix) => {
                prefix.segments().len() == nested_segments(nested).count()
                    && self.begins_with(nested)
            }
        }
    }
}

/// Returns the segments of axum's `NestedPath`.
#[cfg(feature = "axum")]
fn nested_segments(nested: &str) -> impl Iterator<Item = &str> {
    nested.split('/').filter(|segment| !segment.is_empty())
}

/// Returns the name in a segment `{name}` of one of axum's patterns.
#[cfg(feature = "axum")]
fn parameter_name(pattern: &str) -> Option<&str> {
    pattern.strip_prefix('{')?.strip_suffix('}')
}

/// Returns whether a segment of the prefix and one of axum's patterns mean the same. The name of a parameter
/// does not matter.
#[cfg(feature = "axum")]
fn is_same_segment(segment: &Segment, pattern: &str) -> bool {
    match segment {
        Segment::Literal(literal) => is_spelling(literal, pattern),
        Segment::Variable(_) => parameter_name(pattern).is_some(),
    }
}

/// Returns whether axum's routers matched `value`, and no other one, for the parameter `name`.
#[cfg(feature = "axum")]
fn is_matched_value(name: &str, value: &str, extensions: &Extensions) -> bool {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use axum::extract::{FromRequestParts as _, RawPathParams};

    // An extractor is the only access to the parameters that axum keeps. It takes owned extensions, and never waits.
    let (mut parts, ()) = http::Request::new(()).into_parts();
    parts.extensions = extensions.clone();
    let params = pin!(RawPathParams::from_request_parts(&mut parts, &()));
    let Poll::Ready(Ok(params)) = params.poll(&mut Context::from_waker(Waker::noop())) else {
        return false;
    };
    let mut values = params
        .iter()
        .filter_map(|(known, value)| (known == name).then_some(value))
        .peekable();
    values.peek().is_some() && values.all(|known| known == value)
}

/// Returns whether `text` is `literal`, decoded or escaped.
#[cfg(any(feature = "axum", feature = "openapi"))]
fn is_spelling(literal: &str, text: &str) -> bool {
    literal == text || percent_encoding::percent_decode_str(text).eq(literal.bytes())
}

/// The number of requests that are still to be compared with the declared prefix.
#[derive(Debug)]
struct Checks {
    #[cfg(all(feature = "axum", feature = "tracing"))]
    left: std::sync::atomic::AtomicU32,
}

#[cfg(all(feature = "axum", feature = "tracing"))]
impl Checks {
    /// Enough requests to see each nest of a layer that is used in several nests.
    const LIMIT: u32 = 1_000;

    const fn new() -> Self {
        Self {
            left: std::sync::atomic::AtomicU32::new(Self::LIMIT),
        }
    }

    const fn none() -> Self {
        Self {
            left: std::sync::atomic::AtomicU32::new(0),
        }
    }

    #[inline]
    fn is_due(&self) -> bool {
        self.left.load(std::sync::atomic::Ordering::Relaxed) != 0
    }

    fn count(&self) {
        use std::sync::atomic::Ordering::Relaxed;
        // Of two concurrent requests, one may not be counted. A finished count stays at 0.
        let left = self.left.load(Relaxed);
        let _ = self
            .left
            .compare_exchange(left, left.saturating_sub(1), Relaxed, Relaxed);
    }

    /// Ends the comparison. Returns `false` if it had ended already.
    fn finish(&self) -> bool {
        self.left.swap(0, std::sync::atomic::Ordering::Relaxed) != 0
    }
}

#[cfg(not(all(feature = "axum", feature = "tracing")))]
impl Checks {
    const fn new() -> Self {
        Self {}
    }

    const fn none() -> Self {
        Self {}
    }

    #[inline]
    #[expect(
        clippy::unused_self,
        reason = "the same signature as with the features"
    )]
    fn is_due(&self) -> bool {
        false
    }
}

/// A changed copy of a layer is another layer, with its own warning.
impl Clone for Checks {
    fn clone(&self) -> Self {
        Self::new()
    }
}
