//! Why a path has no single meaning.

use std::fmt;

/// Why a path has no single meaning. Routers, proxies and file servers read each of these in
/// different ways, so a request with one of them is refused with 400 before any rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PathAmbiguity {
    /// A `\` or `%5c`, which some read as `/`.
    Backslash,
    /// A `%` that is not followed by two hexadecimal digits, or escapes that are not UTF-8.
    BadEscape,
    /// A control character (U+0000 to U+001F, U+007F to U+009F) or a line or paragraph separator
    /// (U+2028, U+2029), raw or escaped.
    ControlCharacter,
    /// A segment `.` or `..`, raw or escaped.
    DotSegment,
    /// An escaped `%` before two hexadecimal digits, as in `%2561`, which becomes another path if
    /// decoded twice.
    DoubleEncoding,
    /// A `%2f`, which some read as `/`.
    EncodedSlash,
    /// A path that does not begin with `/`, such as `*` with another method than `OPTIONS`, or none at
    /// all.
    NotAbsolute,
    /// A `;` or `%3b`, behind which some drop the rest of the segment.
    PathParameter,
    /// An empty segment within the path, as in `//`.
    RepeatedSlash,
}

impl PathAmbiguity {
    pub(crate) const ALL: [Self; 9] = [
        PathAmbiguity::Backslash,
        PathAmbiguity::BadEscape,
        PathAmbiguity::ControlCharacter,
        PathAmbiguity::DotSegment,
        PathAmbiguity::DoubleEncoding,
        PathAmbiguity::EncodedSlash,
        PathAmbiguity::NotAbsolute,
        PathAmbiguity::PathParameter,
        PathAmbiguity::RepeatedSlash,
    ];

    /// The reason in one word, for logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            PathAmbiguity::Backslash => "backslash",
            PathAmbiguity::BadEscape => "bad-escape",
            PathAmbiguity::ControlCharacter => "control-character",
            PathAmbiguity::DotSegment => "dot-segment",
            PathAmbiguity::DoubleEncoding => "double-encoding",
            PathAmbiguity::EncodedSlash => "encoded-slash",
            PathAmbiguity::NotAbsolute => "not-absolute",
            PathAmbiguity::PathParameter => "path-parameter",
            PathAmbiguity::RepeatedSlash => "repeated-slash",
        }
    }
}

impl fmt::Display for PathAmbiguity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PathAmbiguity::Backslash => "a backslash",
            PathAmbiguity::BadEscape => "a bad percent escape",
            PathAmbiguity::ControlCharacter => "a control character",
            PathAmbiguity::DotSegment => "a dot segment",
            PathAmbiguity::DoubleEncoding => "a double encoding",
            PathAmbiguity::EncodedSlash => "an encoded slash",
            PathAmbiguity::NotAbsolute => "no leading slash",
            PathAmbiguity::PathParameter => "a path parameter (`;`)",
            PathAmbiguity::RepeatedSlash => "a repeated slash",
        })
    }
}
