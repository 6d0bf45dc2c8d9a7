//! The compact serialization of a JWS ([RFC 7515 section 7.1](https://www.rfc-editor.org/rfc/rfc7515#section-7.1)),
//! read strictly. Nothing here is verified.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{self, Deserializer as _, MapAccess, Visitor};

use super::algorithm::Algorithm;
use super::error::TokenError;
use super::json::{StrictValue, Text};
use super::key::MAX_KID;

/// The longest header that is decoded, in characters of base64url.
const MAX_HEADER: usize = 4096;
/// How many members a header may have.
const MAX_HEADER_MEMBERS: usize = 24;

/// A token taken apart, with its header read. What it claims has not been looked at, and who signed it
/// is not known.
pub(crate) struct UnverifiedToken<'t> {
    signing_input: &'t str,
    payload: &'t str,
    signature: &'t str,
    header: Header,
}

/// What a header says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// `None`: one that is not supported, or `none`.
    pub(crate) algorithm: Option<Algorithm>,
    pub(crate) kid: Option<Box<str>>,
    pub(crate) typ: Option<Box<str>>,
}

impl<'t> UnverifiedToken<'t> {
    /// Takes a token apart: exactly three parts, none of them empty (C13, G01), and a header that is
    /// strict JSON.
    pub(crate) fn parse(token: &'t str) -> Result<Self, TokenError> {
        let (signing_input, signature) = token.rsplit_once('.').ok_or(TokenError::NotAJwt)?;
        let (header, payload) = signing_input.split_once('.').ok_or(TokenError::NotAJwt)?;
        if header.is_empty()
            || payload.is_empty()
            || signature.is_empty()
            || payload.contains('.')
            // The first six bits of `{`, or of white space before it.
            || !header.starts_with(['e', 'I', 'C', 'D'])
        {
            return Err(TokenError::NotAJwt);
        }
        if header.len() > MAX_HEADER {
            return Err(TokenError::header("longer than 4096 characters"));
        }
        Ok(Self {
            signing_input,
            payload,
            signature,
            header: Header::read(header)?,
        })
    }

    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    pub(crate) fn signing_input(&self) -> &'t [u8] {
        self.signing_input.as_bytes()
    }

    /// The claims as text. Not verified.
    pub(crate) fn payload(&self) -> Result<Vec<u8>, TokenError> {
        decode(self.payload).ok_or(TokenError::Claims)
    }

    pub(crate) fn signature(&self) -> Result<Vec<u8>, TokenError> {
        decode(self.signature).ok_or(TokenError::Signature)
    }
}

/// Strict base64url (C14): no padding, no other alphabet, no white space, no stray bits at the end.
fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Whether a token looks like a JWT, signed or encrypted: parts with dots between them, and a JSON
/// object in front.
pub(crate) fn looks_like_a_jwt(token: &str) -> bool {
    token.split_once('.').is_some_and(|(header, rest)| {
        rest.contains('.')
            && header.len() <= MAX_HEADER
            && decode(header).is_some_and(|header| header.trim_ascii_start().first() == Some(&b'{'))
    })
}

impl Header {
    fn read(text: &str) -> Result<Self, TokenError> {
        let text = decode(text).ok_or(TokenError::NotAJwt)?;
        if text.trim_ascii_start().first() != Some(&b'{') {
            return Err(TokenError::NotAJwt);
        }
        let unreadable = TokenError::header("not one JSON object that names no member twice");
        let Ok(text) = std::str::from_utf8(&text) else {
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
            .is_some_and(|Text(cty)| media_type(&cty).eq_ignore_ascii_case("jwt"))
        {
            return Err(TokenError::header("`cty`: a nested token is not accepted"));
        }
        let Some(Text(alg)) = self.alg else {
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
            kid: self.kid.map(|Text(kid)| kid.into()),
            typ: self.typ.map(|Text(typ)| typ.into()),
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
