//! The header of a token.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserializer as _, MapAccess, Visitor};

use super::algorithm::Algorithm;
use super::decode_buffer::HeaderBuffer;
use super::error::TokenError;
use super::inline_text::InlineText;
use super::json::{StrictValue, Text};
use super::key::MAX_KID;

/// How many members a header may have.
const MAX_HEADER_MEMBERS: usize = 24;

/// What a header says.
#[derive(Clone, Debug)]
pub(crate) struct Header {
    /// `None`: one that is not supported, or `none`.
    pub(crate) algorithm: Option<Algorithm>,
    kid: Option<InlineText<62>>,
    typ: Option<InlineText<30>>,
}

impl Header {
    /// Reads a header in base64url: strict JSON, and nothing in it that would have to be understood.
    pub(crate) fn read(text: &[u8]) -> Result<Self, TokenError> {
        let mut room = HeaderBuffer::new();
        let text = room.decode(text).ok_or(TokenError::NotAJwt)?;
        if text.trim_ascii_start().first() != Some(&b'{') {
            return Err(TokenError::NotAJwt);
        }
        let unreadable = TokenError::header("not one JSON object that names no member twice");
        let Ok(text) = std::str::from_utf8(text) else {
            return Err(unreadable);
        };
        let mut members = Members::default();
        let mut reader = serde_json::Deserializer::from_str(text);
        match reader
            .deserialize_map(HeaderVisitor(&mut members))
            .and_then(|()| reader.end())
        {
            Ok(()) => members.check(),
            Err(_) => Err(members.wrong_type.map_or(unreadable, TokenError::header)),
        }
    }

    /// The same, faster to read: for what is kept.
    pub(crate) fn to_kept(&self) -> Self {
        Self {
            algorithm: self.algorithm,
            kid: self.kid.as_ref().map(InlineText::to_kept),
            typ: self.typ.as_ref().map(InlineText::to_kept),
        }
    }

    pub(crate) fn kid(&self) -> Option<&str> {
        self.kid.as_ref().map(InlineText::as_str)
    }

    pub(crate) fn typ(&self) -> Option<&str> {
        self.typ.as_ref().map(InlineText::as_str)
    }
}

/// The members of a header that mean something here. Keys in a header (`jwk`, `jku`, `x5u`, `x5c`) do not:
/// they are ignored (C05: keys in headers). A member whose value is `null` is absent (M13: `null` is
/// absence); only `crit` is rejected in any form.
#[derive(Default)]
struct Members<'de> {
    alg: Option<Text<'de>>,
    kid: Option<Text<'de>>,
    typ: Option<Text<'de>>,
    cty: Option<Text<'de>>,
    b64: Option<bool>,
    /// One that asks for something that is not understood.
    refused: Option<&'static str>,
    /// The member being read is not of its type.
    wrong_type: Option<&'static str>,
    others: Vec<Cow<'de, str>>,
}

struct HeaderVisitor<'m, 'de>(&'m mut Members<'de>);

impl<'de> Visitor<'de> for HeaderVisitor<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JOSE header")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let members = self.0;
        let mut count = 0;
        // A bit for each known member, since a member that was `null` may not be repeated either (D06:
        // repeated members).
        let mut seen = 0_u8;
        while let Some(Text(name)) = map.next_key::<Text<'de>>()? {
            count += 1;
            if count > MAX_HEADER_MEMBERS {
                return Err(de::Error::custom("too many members"));
            }
            macro_rules! known {
                ($($member:literal => $field:ident, $bit:literal, $wrong:literal;)*) => {
                    match &*name {
                        $($member => {
                            if seen & 1 << $bit != 0 {
                                return Err(de::Error::custom("a member is named twice"));
                            }
                            seen |= 1 << $bit;
                            members.wrong_type = Some($wrong);
                            members.$field = map.next_value()?;
                            members.wrong_type = None;
                        })*
                        _ => {
                            let value = map.next_value_seed(StrictValue { depth: 1 })?;
                            members.other(name, value.is_null())?;
                        }
                    }
                };
            }
            known! {
                "alg" => alg, 0, "`alg` is not a string";
                "kid" => kid, 1, "`kid` is not a string";
                "typ" => typ, 2, "`typ` is not a string";
                "cty" => cty, 3, "`cty` is not a string";
                "b64" => b64, 4, "`b64` is not a boolean";
            }
        }
        Ok(())
    }
}

impl<'de> Members<'de> {
    fn other<E: de::Error>(&mut self, name: Cow<'de, str>, is_null: bool) -> Result<(), E> {
        if self.others.contains(&name) {
            return Err(E::custom("a member is named twice"));
        }
        match &*name {
            "crit" => self.refused = Some("`crit`: no extension is understood"),
            "enc" if !is_null => self.refused = Some("`enc`: an encrypted token is not accepted"),
            "zip" if !is_null => self.refused = Some("`zip`: compression is not accepted"),
            _ => {}
        }
        self.others.push(name);
        Ok(())
    }

    fn check(self) -> Result<Header, TokenError> {
        // (C08: critical headers, C11: encrypted tokens, G02: compression)
        if let Some(problem) = self.refused {
            return Err(TokenError::header(problem));
        }
        // RFC 7797: without `crit`, the payload is base64url in any case.
        if self.b64 == Some(false) {
            return Err(TokenError::header("`b64`: only `true` is accepted"));
        }
        if self
            .cty
            .is_some_and(|cty| media_type(&cty).eq_ignore_ascii_case("jwt"))
        {
            return Err(TokenError::header("`cty`: a nested token is not accepted"));
        }
        let Some(alg) = self.alg else {
            return Err(TokenError::header("`alg` is missing"));
        };
        // (C09: opaque `kid`)
        if self.kid.as_ref().is_some_and(|kid| kid.len() > MAX_KID) {
            return Err(TokenError::header("`kid` is longer than 256 bytes"));
        }
        let kid = self.kid.filter(|kid| !kid.is_empty());
        Ok(Header {
            algorithm: Algorithm::from_name(&alg),
            kid: kid.map(|kid| InlineText::from(&*kid)),
            typ: self.typ.map(|typ| InlineText::from(&*typ)),
        })
    }
}

/// Returns a media type without the prefix `application/`, which may be left out if no other slash follows
/// ([RFC 7515 section 4.1.9](https://www.rfc-editor.org/rfc/rfc7515#section-4.1.9)).
pub(crate) fn media_type(name: &str) -> &str {
    match name.split_once('/') {
        Some((prefix, rest))
            if prefix.eq_ignore_ascii_case("application") && !rest.contains('/') =>
        {
            rest
        }
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_type_gets_prefix_only_without_slash() {
        // M17: slash in `typ` (RFC 7515 section 4.1.9)
        for (one, other, same) in [
            ("at+jwt", "application/at+jwt", true),
            ("AT+JWT", "Application/at+JWT", true),
            ("at+jwt", "text/at+jwt", false),
            ("example/at+jwt", "application/example/at+jwt", false),
            ("a/b", "application/a/b", false),
            (
                "application/at+jwt",
                "application/application/at+jwt",
                false,
            ),
            ("", "application/", true),
            ("application", "application/application", true),
            ("at+jwt", "at+jwt; v=1", false),
        ] {
            let found = media_type(one).eq_ignore_ascii_case(media_type(other));
            assert_eq!(found, same, "{one:?} {other:?}");
        }
    }
}
