//! The header of a token.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserializer as _, MapAccess, Visitor};

use super::algorithm::Algorithm;
use super::error::TokenError;
use super::json::{StrictValue, Text};
use super::key::MAX_KID;
use super::room::HeaderRoom;
use super::short::Short;

/// How many members a header may have.
const MAX_HEADER_MEMBERS: usize = 24;

/// What a header says.
#[derive(Clone, Debug)]
pub(crate) struct Header {
    /// `None`: one that is not supported, or `none`.
    pub(crate) algorithm: Option<Algorithm>,
    kid: Option<Short<62>>,
    typ: Option<Short<30>>,
}

impl Header {
    /// Reads a header in base64url: strict JSON, and nothing in it that would have to be understood.
    pub(crate) fn read(text: &[u8]) -> Result<Self, TokenError> {
        let mut room = HeaderRoom::new();
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
            kid: self.kid.as_ref().map(Short::to_kept),
            typ: self.typ.as_ref().map(Short::to_kept),
        }
    }

    pub(crate) fn kid(&self) -> Option<&str> {
        self.kid.as_ref().map(Short::as_str)
    }

    pub(crate) fn typ(&self) -> Option<&str> {
        self.typ.as_ref().map(Short::as_str)
    }
}

/// The members of a header that mean something here. Keys in a header (`jwk`, `jku`, `x5u`, `x5c`) do
/// not: they are read over (C05).
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
        while let Some(Text(name)) = map.next_key::<Text<'de>>()? {
            count += 1;
            if count > MAX_HEADER_MEMBERS {
                return Err(de::Error::custom("too many members"));
            }
            macro_rules! known {
                ($($member:literal => $field:ident, $wrong:literal;)*) => {
                    match &*name {
                        $($member => {
                            members.wrong_type = Some($wrong);
                            if members.$field.replace(map.next_value()?).is_some() {
                                members.wrong_type = None;
                                return Err(de::Error::custom("a member is named twice"));
                            }
                            members.wrong_type = None;
                        })*
                        _ => {
                            map.next_value_seed(StrictValue { depth: 1 })?;
                            members.other(name)?;
                        }
                    }
                };
            }
            known! {
                "alg" => alg, "`alg` is not a string";
                "kid" => kid, "`kid` is not a string";
                "typ" => typ, "`typ` is not a string";
                "cty" => cty, "`cty` is not a string";
                "b64" => b64, "`b64` is not a boolean";
            }
        }
        Ok(())
    }
}

impl<'de> Members<'de> {
    fn other<E: de::Error>(&mut self, name: Cow<'de, str>) -> Result<(), E> {
        if self.others.contains(&name) {
            return Err(E::custom("a member is named twice"));
        }
        match &*name {
            "crit" => self.refused = Some("`crit`: no extension is understood"),
            "enc" => self.refused = Some("`enc`: an encrypted token is not accepted"),
            "zip" => self.refused = Some("`zip`: compression is not accepted"),
            _ => {}
        }
        self.others.push(name);
        Ok(())
    }

    fn check(self) -> Result<Header, TokenError> {
        // C08, C11, G02
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
        // C09
        let wrong_length = |kid: &Text<'_>| kid.0.is_empty() || kid.0.len() > MAX_KID;
        if self.kid.as_ref().is_some_and(wrong_length) {
            return Err(TokenError::header(
                "`kid` is empty or longer than 256 bytes",
            ));
        }
        Ok(Header {
            algorithm: Algorithm::from_name(&alg),
            kid: self.kid.map(|kid| Short::from(&*kid)),
            typ: self.typ.map(|typ| Short::from(&*typ)),
        })
    }
}

/// A media type without the `application/` that may be left out
/// ([RFC 7515 section 4.1.9](https://www.rfc-editor.org/rfc/rfc7515#section-4.1.9)).
pub(crate) fn media_type(name: &str) -> &str {
    const PREFIX: &str = "application/";
    match name.get(..PREFIX.len()) {
        Some(prefix) if prefix.eq_ignore_ascii_case(PREFIX) => &name[PREFIX.len()..],
        _ => name,
    }
}
