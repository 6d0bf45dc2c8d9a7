//! A path pattern: literal segments and `{name}`.

use std::borrow::Cow;
use std::fmt;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use super::canonical::{self, Allowed, Reading};
use crate::error::PatternProblem;

/// What a client has to escape in a path segment
/// ([RFC 3986 section 3.3](https://www.rfc-editor.org/rfc/rfc3986#section-3.3)).
const NOT_IN_SEGMENT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'/')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// How much of the path space a rule means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Extent {
    /// One path.
    At,
    /// A path and all below it.
    Under,
}

/// A path in one of its readings.
#[derive(Clone, Copy, Debug)]
pub(crate) enum FormOfPath<'p> {
    Raw(&'p str),
    Decoded(&'p str),
}

impl<'p> FormOfPath<'p> {
    /// Returns the segment at `index`, decoded once.
    pub(crate) fn segment(self, index: usize) -> Option<Cow<'p, str>> {
        match self {
            FormOfPath::Raw(path) => {
                let raw = path.split('/').nth(index + 1)?;
                // Invalid UTF-8 is possible only if the list allows it. It equals no name.
                Some(percent_decode_str(raw).decode_utf8_lossy())
            }
            FormOfPath::Decoded(path) => path.split('/').nth(index + 1).map(Cow::Borrowed),
        }
    }
}

/// One segment of a pattern.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Segment {
    /// Decoded text.
    Literal(String),
    /// `{name}`.
    Variable(String),
}

/// A path pattern: `/`, followed by segments that are either literal or `{name}`, which stands for
/// exactly one segment.
///
/// A literal may be written decoded (`/é`) or escaped (`/%C3%A9`); both mean the same path. There are
/// no wildcards: a subtree is meant by [`under`](super::PoliciesBuilder::under).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PathPattern {
    text: String,
    segments: Vec<Segment>,
    trailing_slash: bool,
    extent: Extent,
}

impl PathPattern {
    pub(crate) fn parse(text: &str, extent: Extent) -> Result<Self, PatternProblem> {
        if !text.starts_with('/') {
            return Err(PatternProblem::NotAbsolute);
        }
        if text.contains(['?', '#']) {
            return Err(PatternProblem::Query);
        }
        let reading =
            canonical::read(text, Allowed::default()).map_err(PatternProblem::Ambiguous)?;
        let decoded = match &reading {
            Reading::Plain => text,
            Reading::Decoded { path, .. } => path,
        };
        let mut segments: Vec<Segment> = Vec::new();
        // There are no escaped slashes, so both have the same number of segments.
        let mut parts: Vec<(&str, &str)> =
            text.split('/').zip(decoded.split('/')).skip(1).collect();
        let trailing_slash = parts.last() == Some(&("", ""));
        if trailing_slash {
            parts.pop();
        }
        for (part, decoded) in parts {
            let segment = parse_segment(part, decoded).ok_or_else(|| PatternProblem::Capture {
                segment: part.to_owned(),
            })?;
            if let Segment::Variable(name) = &segment
                && segments.contains(&segment)
            {
                return Err(PatternProblem::DuplicateName { name: name.clone() });
            }
            segments.push(segment);
        }
        if extent == Extent::Under && trailing_slash && !segments.is_empty() {
            return Err(PatternProblem::TrailingSlash);
        }
        Ok(Self {
            text: text.to_owned(),
            segments,
            trailing_slash,
            extent,
        })
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    #[inline]
    pub(crate) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    pub(crate) fn trailing_slash(&self) -> bool {
        self.trailing_slash
    }

    pub(crate) fn extent(&self) -> Extent {
        self.extent
    }

    /// Returns the position of the segment `{name}`.
    pub(crate) fn index(&self, name: &str) -> Option<usize> {
        self.segments
            .iter()
            .position(|segment| matches!(segment, Segment::Variable(known) if known == name))
    }

    /// Whether every path that `other` means is meant by `self` too.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        let prefix = self.segments.len() <= other.segments.len()
            && self
                .segments
                .iter()
                .zip(&other.segments)
                .all(|(mine, theirs)| matches!(mine, Segment::Variable(_)) || mine == theirs);
        match (self.extent, other.extent) {
            (Extent::Under, _) => prefix,
            (Extent::At, Extent::Under) => false,
            (Extent::At, Extent::At) => {
                prefix
                    && self.segments.len() == other.segments.len()
                    && self.trailing_slash == other.trailing_slash
            }
        }
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self.extent {
            Extent::At => "at",
            Extent::Under => "under",
        };
        write!(f, "{verb} {}", self.text)
    }
}

/// Only what is written plainly is a capture; an escaped brace is a brace.
fn parse_segment(text: &str, decoded: &str) -> Option<Segment> {
    if !text.contains(['{', '}', '*']) && !text.starts_with(':') {
        return Some(Segment::Literal(decoded.to_owned()));
    }
    let name = text.strip_prefix('{')?.strip_suffix('}')?;
    let is_name = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_name.then(|| Segment::Variable(name.to_owned()))
}

/// The text that a client sends for a decoded segment.
pub(crate) fn encode_segment(segment: &str) -> String {
    utf8_percent_encode(segment, NOT_IN_SEGMENT).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path_ambiguity::PathAmbiguity;

    #[test]
    fn pattern_is_unambiguous_or_an_error() {
        use PatternProblem::*;
        let capture = |segment: &str| Capture {
            segment: segment.to_owned(),
        };
        let cases = [
            ("", NotAbsolute),
            ("admin", NotAbsolute),
            ("*", NotAbsolute),
            ("/a/../b", Ambiguous(PathAmbiguity::DotSegment)),
            ("/a//b", Ambiguous(PathAmbiguity::RepeatedSlash)),
            ("/a;b", Ambiguous(PathAmbiguity::PathParameter)),
            ("/a%2fb", Ambiguous(PathAmbiguity::EncodedSlash)),
            ("/a?x=1", Query),
            ("/a#b", Query),
            // (A12: no regular expressions, A14: no suffix lists)
            ("/a/*", capture("*")),
            ("/a/{*rest}", capture("{*rest}")),
            ("/*.png", capture("*.png")),
            ("/:id", capture(":id")),
            ("/a{id}", capture("a{id}")),
            ("/{}", capture("{}")),
            ("/{a b}", capture("{a b}")),
            (
                "/{a}/{a}",
                DuplicateName {
                    name: "a".to_owned(),
                },
            ),
        ];
        for (text, problem) in cases {
            assert_eq!(
                PathPattern::parse(text, Extent::At),
                Err(problem),
                "{text:?}"
            );
        }
        assert!(PathPattern::parse("/a/", Extent::At).is_ok());
        assert!(PathPattern::parse("/", Extent::Under).is_ok());
        assert_eq!(PathPattern::parse("/a/", Extent::Under), Err(TrailingSlash));
    }

    #[test]
    fn parameter_value_is_one_decoded_segment() {
        let pattern = PathPattern::parse("/t/{tenant}/r/{id}", Extent::Under).unwrap();
        for (path, tenant, id) in [
            ("/t/acme/r/7", Some("acme"), Some("7")),
            ("/t/ac%6De/r/7/more", Some("acme"), Some("7")),
            ("/t/a%20b/r/", Some("a b"), Some("")),
            ("/t/acme", Some("acme"), None),
        ] {
            let value = |name, path: FormOfPath<'static>| path.segment(pattern.index(name)?);
            let raw = FormOfPath::Raw(path);
            assert_eq!(value("tenant", raw).as_deref(), tenant, "{path}");
            assert_eq!(value("id", raw).as_deref(), id, "{path}");
            assert_eq!(value("other", raw), None, "{path}");
        }
        // What is decoded already is not decoded again.
        let decoded = FormOfPath::Decoded("/t/%61cme");
        assert_eq!(decoded.segment(1).as_deref(), Some("%61cme"));
    }

    #[test]
    fn escaped_brace_matches_a_literal_brace() {
        let pattern = PathPattern::parse("/%7Bx%7D", Extent::At).unwrap();
        assert_eq!(pattern.segments(), [Segment::Literal("{x}".to_owned())]);
    }
}
