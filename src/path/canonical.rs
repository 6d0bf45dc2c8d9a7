//! The two readings of a path.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::path_ambiguity::PathAmbiguity;

/// The kinds of ambiguity that a list lets through.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Allowed(u16);

impl Allowed {
    pub(crate) fn insert(&mut self, kind: PathAmbiguity) {
        self.0 |= 1 << kind as u16;
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = PathAmbiguity> {
        PathAmbiguity::ALL
            .into_iter()
            .filter(move |kind| self.contains(*kind))
    }

    fn contains(self, kind: PathAmbiguity) -> bool {
        self.0 & (1 << kind as u16) != 0
    }

    fn check(
        self,
        found: bool,
        kind: PathAmbiguity,
        loose: &mut bool,
    ) -> Result<(), PathAmbiguity> {
        if !found {
            return Ok(());
        }
        if !self.contains(kind) {
            return Err(kind);
        }
        *loose = true;
        Ok(())
    }
}

/// How a path is read besides its raw form.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Raw and canonical form are the same.
    Plain,
    /// The canonical form: everything decoded, so what a file server would look for.
    Decoded {
        path: String,
        /// Whether an ambiguity was let through, so that the segments of the two forms need not
        /// correspond.
        loose: bool,
    },
}

/// Reads `raw` a second time, or says why it has no single meaning.
///
/// The canonical form decodes every escape, not only those of unreserved characters as
/// [RFC 3986 section 6.2.2](https://www.rfc-editor.org/rfc/rfc3986#section-6.2.2) has it: a file
/// server behind the layer decodes them all, so `/a%2Bb` is `/a+b` to it.
#[inline]
pub(crate) fn read(raw: &str, allowed: Allowed) -> Result<Reading, PathAmbiguity> {
    if is_plain(raw.as_bytes()) {
        return Ok(Reading::Plain);
    }
    read_odd(raw, allowed)
}

/// What a byte may mean for the readings of a path.
const ODD: u8 = 1;
const SLASH: u8 = 2;
const SLASH_OR_DOT: u8 = 4;

const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b'/' => SLASH | SLASH_OR_DOT,
            b'.' => SLASH_OR_DOT,
            b'%' | b'\\' | b';' => ODD,
            0x21..=0x7e => 0,
            _ => ODD,
        };
        byte += 1;
    }
    classes
};

/// Whether the path is absolute and holds nothing that could be read in two ways. May say no to a
/// harmless path, which is then read with care.
#[inline]
fn is_plain(bytes: &[u8]) -> bool {
    let Some((b'/', rest)) = bytes.split_first() else {
        return false;
    };
    let mut before = SLASH;
    let mut odd = 0;
    for &byte in rest {
        let class = CLASSES[usize::from(byte)];
        // Anything odd, and a slash or a dot behind a slash.
        odd |= (class & ODD) | (((before & SLASH) << 1) & class);
        before = class;
    }
    odd == 0
}

#[cold]
fn read_odd(raw: &str, allowed: Allowed) -> Result<Reading, PathAmbiguity> {
    use PathAmbiguity as Kind;
    let mut loose = false;
    allowed.check(!raw.starts_with('/'), Kind::NotAbsolute, &mut loose)?;

    allowed.check(has_bad_escape(raw), Kind::BadEscape, &mut loose)?;
    let raw_slashes = slashes(raw);
    let mut path = decode(raw, allowed, &mut loose)?;
    // Looked for in what is decoded: the digits behind a `%25` may be escaped themselves.
    let double = has_escape(&path);
    allowed.check(double, Kind::DoubleEncoding, &mut loose)?;
    if double {
        path = decode(&path, allowed, &mut loose)?.into_owned().into();
        if has_escape(&path) {
            // Encoded three times or more: no end in sight.
            return Err(Kind::DoubleEncoding);
        }
    }
    allowed.check(
        path.chars()
            .any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')),
        Kind::ControlCharacter,
        &mut loose,
    )?;
    allowed.check(slashes(&path) > raw_slashes, Kind::EncodedSlash, &mut loose)?;
    allowed.check(path.contains('\\'), Kind::Backslash, &mut loose)?;
    allowed.check(path.contains(';'), Kind::PathParameter, &mut loose)?;

    // With what was let through, the canonical form is the most generous reading there is.
    let mut segments: Vec<&str> = Vec::new();
    let text = path.replace('\\', "/");
    let absolute = text.strip_prefix('/').unwrap_or(&text);
    let mut parts = absolute.split('/').peekable();
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        let part = part.split(';').next().unwrap_or_default();
        match part {
            "" if last => segments.push(""),
            "" => allowed.check(true, Kind::RepeatedSlash, &mut loose)?,
            "." | ".." => {
                allowed.check(true, Kind::DotSegment, &mut loose)?;
                if part == ".." {
                    segments.pop();
                }
                if last {
                    segments.push("");
                }
            }
            part => segments.push(part),
        }
    }
    let mut canonical = String::with_capacity(text.len() + 1);
    for segment in segments {
        canonical.push('/');
        canonical.push_str(segment);
    }
    if canonical.is_empty() {
        canonical.push('/');
    }
    if canonical == raw && !loose {
        return Ok(Reading::Plain);
    }
    Ok(Reading::Decoded {
        path: canonical,
        loose,
    })
}

fn slashes(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'/').count()
}

fn decode<'a>(
    text: &'a str,
    allowed: Allowed,
    loose: &mut bool,
) -> Result<Cow<'a, str>, PathAmbiguity> {
    match percent_decode_str(text).decode_utf8() {
        Ok(decoded) => Ok(decoded),
        Err(_) => {
            allowed.check(true, PathAmbiguity::BadEscape, loose)?;
            Ok(percent_decode_str(text).decode_utf8_lossy())
        }
    }
}

/// Whether two hexadecimal digits stand at `at`.
fn hex_at(bytes: &[u8], at: usize) -> bool {
    matches!(
        bytes.get(at..at + 2),
        Some([a, b]) if a.is_ascii_hexdigit() && b.is_ascii_hexdigit()
    )
}

fn has_escape(text: &str) -> bool {
    let bytes = text.as_bytes();
    (0..bytes.len()).any(|at| bytes[at] == b'%' && hex_at(bytes, at + 1))
}

/// Whether there is a `%` without two digits.
fn has_bad_escape(text: &str) -> bool {
    let bytes = text.as_bytes();
    (0..bytes.len()).any(|at| bytes[at] == b'%' && !hex_at(bytes, at + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(raw: &str) -> Result<String, PathAmbiguity> {
        read(raw, Allowed::default()).map(|reading| match reading {
            Reading::Plain => raw.to_owned(),
            Reading::Decoded { path, .. } => path,
        })
    }

    #[test]
    fn path_is_canonical_or_ambiguous() {
        use PathAmbiguity::*;
        let cases: &[(&str, Result<&str, PathAmbiguity>)] = &[
            ("/", Ok("/")),
            ("/admin", Ok("/admin")),
            ("/admin/", Ok("/admin/")),
            ("/.well-known/x", Ok("/.well-known/x")),
            ("/a..b/..c/d..", Ok("/a..b/..c/d..")),
            ("/...", Ok("/...")),
            // (A02: dot segments)
            ("/public/../admin", Err(DotSegment)),
            ("/public/./x", Err(DotSegment)),
            ("/public/..", Err(DotSegment)),
            ("/public/.", Err(DotSegment)),
            ("/%2e%2e/admin", Err(DotSegment)),
            ("/.%2E/admin", Err(DotSegment)),
            ("/%2e/admin", Err(DotSegment)),
            // (A03: encoded separators)
            ("/admin%2fx", Err(EncodedSlash)),
            ("/admin%2Fx", Err(EncodedSlash)),
            ("/admin%5cx", Err(Backslash)),
            ("/admin%5Cx", Err(Backslash)),
            // (A04: encoded paths)
            ("/%61dmin", Ok("/admin")),
            ("/a%2Bb", Ok("/a+b")),
            ("/a%20b", Ok("/a b")),
            ("/%C3%A9", Ok("/é")),
            ("/é", Ok("/é")),
            ("/50%25", Ok("/50%")),
            // (A05: double encoding)
            ("/%2561dmin", Err(DoubleEncoding)),
            ("/%252f", Err(DoubleEncoding)),
            ("/%25252f", Err(DoubleEncoding)),
            ("/%25%36%31dmin", Err(DoubleEncoding)),
            ("/%256%31dmin", Err(DoubleEncoding)),
            ("/%25%32%66", Err(DoubleEncoding)),
            // (A06: repeated slashes)
            ("//admin", Err(RepeatedSlash)),
            ("/api//x", Err(RepeatedSlash)),
            ("/api//", Err(RepeatedSlash)),
            ("//", Err(RepeatedSlash)),
            // (A08: path parameters)
            ("/admin;x=y", Err(PathParameter)),
            ("/admin/a;/b", Err(PathParameter)),
            ("/admin%3bx", Err(PathParameter)),
            ("/..;/admin", Err(PathParameter)),
            // (A10: request targets)
            ("*", Err(NotAbsolute)),
            ("", Err(NotAbsolute)),
            ("admin", Err(NotAbsolute)),
            ("%2fadmin", Err(NotAbsolute)),
            // (A11: invalid characters)
            ("/a\\b", Err(Backslash)),
            ("/a%00", Err(ControlCharacter)),
            ("/a%0d%0ab", Err(ControlCharacter)),
            ("/a%7f", Err(ControlCharacter)),
            ("/a%c2%85", Err(ControlCharacter)),
            ("/a%e2%80%a8", Err(ControlCharacter)),
            ("/a\u{2029}", Err(ControlCharacter)),
            ("/a%ff", Err(BadEscape)),
            ("/a%c3", Err(BadEscape)),
            ("/a%", Err(BadEscape)),
            ("/a%4", Err(BadEscape)),
            ("/a%zz", Err(BadEscape)),
            ("/a%u0061", Err(BadEscape)),
        ];
        for (raw, expected) in cases {
            assert_eq!(reading(raw), expected.map(str::to_owned), "{raw:?}");
        }
    }

    #[test]
    fn allowed_ambiguity_is_matched_in_its_most_permissive_form() {
        use PathAmbiguity::*;
        let cases: &[(PathAmbiguity, &str, &str)] = &[
            (EncodedSlash, "/a%2fb", "/a/b"),
            (RepeatedSlash, "//a///b//", "/a/b/"),
            (DotSegment, "/a/../b/./c", "/b/c"),
            (DotSegment, "/../../a/..", "/"),
            (Backslash, "/a\\b", "/a/b"),
            (PathParameter, "/a;v=1/b;w", "/a/b"),
            (DoubleEncoding, "/%2561", "/a"),
            (BadEscape, "/a%zz", "/a%zz"),
            (ControlCharacter, "/a%00b", "/a\0b"),
            (NotAbsolute, "*", "/*"),
            (NotAbsolute, "", "/"),
        ];
        for (kind, raw, expected) in cases {
            let mut allowed = Allowed::default();
            allowed.insert(*kind);
            let expected = Reading::Decoded {
                path: (*expected).to_owned(),
                loose: true,
            };
            assert_eq!(read(raw, allowed), Ok(expected), "{raw:?}");
        }
    }

    #[test]
    fn allowing_one_ambiguity_allows_no_other() {
        use PathAmbiguity::*;
        for (kind, raw, expected) in [
            (EncodedSlash, "/a%2f..%2fb", DotSegment),
            (EncodedSlash, "/a%2f%2fb", RepeatedSlash),
            (PathParameter, "/a/..;x/b", DotSegment),
            (Backslash, "/a\\..\\b", DotSegment),
            (DoubleEncoding, "/a%252fb", EncodedSlash),
            (DoubleEncoding, "/a%25252561", DoubleEncoding),
            (DoubleEncoding, "/%252e%252e/b", DotSegment),
            (RepeatedSlash, "//a/../b", DotSegment),
        ] {
            let mut allowed = Allowed::default();
            allowed.insert(kind);
            assert_eq!(read(raw, allowed), Err(expected), "{raw:?}");
        }
    }
}
