//! The claims of a token, read once and strictly. Whether they are to be believed is not known here.

use std::fmt;
use std::time::{Duration, SystemTime};

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::error::TokenError;
use super::json::{self, StrictValue, Text};
use super::layout::ClaimsLayout;
use crate::revocation::RevocationClaims;

/// The last second of the year 9999: what lies beyond is not a date but a mistake, such as
/// milliseconds.
const LAST_SECOND: u64 = 253_402_300_799;

/// Claims as they were read, borrowed from their text. A claim whose value is `null` is absent (M13: `null` is
/// absence), with the exception of `cnf`.
///
/// The claims that always decide have their type here, and another type is an error (D01: a wrong type is not
/// absence). Those that decide only where a setting or a policy uses them (`jti`, `client_id`, `acr`, `amr`,
/// `auth_time`) are `None` if they have another type, and their value is in `rest` (M12: unused claims).
#[derive(Debug, Default)]
pub(crate) struct RawClaims<'p> {
    /// What they were read from.
    pub(crate) text: &'p str,
    pub(crate) iss: Option<Text<'p>>,
    pub(crate) sub: Option<Text<'p>>,
    pub(crate) aud: Option<Texts<'p>>,
    pub(crate) times: Times,
    pub(crate) jti: Option<Text<'p>>,
    pub(crate) client_id: Option<Text<'p>>,
    pub(crate) scope: Option<Texts<'p>>,
    pub(crate) scp: Option<Texts<'p>>,
    pub(crate) acr: Option<Text<'p>>,
    pub(crate) amr: Option<Texts<'p>>,
    pub(crate) auth_time: Option<NumericDate>,
    /// Any value, `null` included: bound is bound (H02: unreadable `cnf`).
    pub(crate) cnf: Option<Value>,
    /// All others. No value is `null`.
    pub(crate) rest: Map<String, Value>,
}

/// From when until when a token is good, as it says itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Times {
    pub(crate) exp: Option<NumericDate>,
    pub(crate) nbf: Option<NumericDate>,
    pub(crate) iat: Option<NumericDate>,
}

impl<'p> RawClaims<'p> {
    /// Reads one JSON object that names no member twice.
    pub(crate) fn read(text: &'p str) -> Result<Self, TokenError> {
        let mut claims = Self {
            text,
            ..Self::default()
        };
        let mut at = None;
        let mut reader = serde_json::Deserializer::from_str(text);
        let visitor = ClaimsVisitor {
            claims: &mut claims,
            at: &mut at,
        };
        match reader.deserialize_map(visitor).and_then(|()| reader.end()) {
            Ok(()) => Ok(claims),
            Err(_) => Err(at.map_or(TokenError::Claims, TokenError::claim)),
        }
    }

    /// Returns the value of a claim that is in none of the fields, below the names of `path`. `None` also for `null`.
    pub(crate) fn value_at(&self, path: &[Box<str>]) -> Option<&Value> {
        let (first, below) = path.split_first()?;
        below
            .iter()
            .try_fold(self.rest.get(&**first)?, |value, name| value.get(&**name))
            .filter(|value| !value.is_null())
    }

    /// By what the token may be taken back.
    pub(crate) fn identity(
        &self,
        layout: &ClaimsLayout,
    ) -> Result<RevocationClaims<'_>, TokenError> {
        // A claim that cannot be compared with the revocations must not count as absent (D01: a wrong type is
        // not absence).
        let session = match self.rest.get("sid") {
            None => None,
            Some(Value::String(session)) => Some(session.as_str()),
            Some(_) => return Err(TokenError::claim("sid")),
        };
        let version = match self.rest.get("token_version") {
            None => None,
            Some(version) => Some(
                version
                    .as_u64()
                    .ok_or_else(|| TokenError::claim("token_version"))?,
            ),
        };
        if self.is_unreadable("jti") {
            return Err(TokenError::claim("jti"));
        }
        Ok(RevocationClaims::new()
            .with_issuer(self.iss.as_deref())
            .with_client(layout.client(self)?)
            .with_version(version)
            .with_token_id(self.jti.as_deref())
            .with_subject(self.sub.as_deref())
            .with_session(session)
            .with_issued_at(self.times.iat.map(NumericDate::time)))
    }

    /// Returns whether a registered claim that decides nothing by itself is present with a wrong type.
    pub(crate) fn is_unreadable(&self, name: &str) -> bool {
        matches!(name, "jti" | "client_id" | "acr" | "amr" | "auth_time")
            && self.rest.contains_key(name)
    }

    /// What the claims that are kept as JSON take besides their text, roughly: a list of empty objects is a hundred
    /// times as long in memory.
    pub(crate) fn heap(&self) -> usize {
        json::heap_of_map(&self.rest)
    }

    /// Returns whether there is a claim of this name, in any field. An empty text or list counts as absent
    /// (D08: absence satisfies nothing), and so does a registered claim with a wrong type.
    pub(crate) fn has(&self, name: &str) -> bool {
        let text = |text: &Option<Text<'_>>| text.as_ref().is_some_and(|text| !text.is_empty());
        let scopes = |scopes: &Option<Texts<'_>>| match scopes {
            Some(Texts::One(text)) => words(text).next().is_some(),
            Some(Texts::List(list)) => list.iter().any(|text| is_word(text)),
            None => false,
        };
        let texts = |texts: &Option<Texts<'_>>| {
            let all = texts.as_ref().map_or(&[][..], Texts::as_slice);
            all.iter().any(|text| !text.is_empty())
        };
        match name {
            "iss" => text(&self.iss),
            "sub" => text(&self.sub),
            "aud" => texts(&self.aud),
            "exp" => self.times.exp.is_some(),
            "nbf" => self.times.nbf.is_some(),
            "iat" => self.times.iat.is_some(),
            "jti" => text(&self.jti),
            "client_id" => text(&self.client_id),
            "scope" => scopes(&self.scope),
            "scp" => scopes(&self.scp),
            "acr" => text(&self.acr),
            "amr" => texts(&self.amr),
            "auth_time" => self.auth_time.is_some(),
            "cnf" => self.cnf.as_ref().is_some_and(|cnf| !cnf.is_null()),
            _ => match self.rest.get(name) {
                None => false,
                Some(Value::String(text)) => !text.is_empty(),
                Some(Value::Array(items)) => !items.is_empty(),
                Some(_) => true,
            },
        }
    }
}

struct ClaimsVisitor<'c, 'p> {
    claims: &'c mut RawClaims<'p>,
    /// The registered claim being read, for the error.
    at: &'c mut Option<&'static str>,
}

impl<'de> Visitor<'de> for ClaimsVisitor<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a claims set")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let claims = self.claims;
        // A bit for each registered claim, since a claim that was `null` may not be repeated either (D06:
        // repeated members).
        let mut seen = 0_u16;
        let mut has_null = false;
        while let Some(Text(name)) = map.next_key::<Text<'de>>()? {
            macro_rules! registered {
                (
                    decides: $($claim:literal => $($field:ident).+, $bit:literal;)*
                    optional: $($optional:literal => $own:ident, $kind:ident, $own_bit:literal;)*
                ) => {
                    match &*name {
                        $($claim => {
                            *self.at = Some($claim);
                            once(&mut seen, $bit)?;
                            claims.$($field).+ = map.next_value()?;
                            *self.at = None;
                        })*
                        $($optional => {
                            *self.at = Some($optional);
                            once(&mut seen, $own_bit)?;
                            match map.next_value_seed($kind)? {
                                LenientValue::UnknownKeyIds => {}
                                LenientValue::Read(value) => claims.$own = Some(value),
                                LenientValue::Other(value) => {
                                    json::insert(&mut claims.rest, name.into_owned(), value)?;
                                }
                            }
                            *self.at = None;
                        })*
                        "cnf" => {
                            let value = map.next_value_seed(StrictValue { depth: 1 })?;
                            if claims.cnf.replace(value).is_some() {
                                return Err(de::Error::custom("a claim is named twice"));
                            }
                        }
                        _ => {
                            let value = map.next_value_seed(StrictValue { depth: 1 })?;
                            has_null |= value.is_null();
                            json::insert(&mut claims.rest, name.into_owned(), value)?;
                        }
                    }
                };
            }
            registered! {
                decides:
                    "iss" => iss, 0;
                    "sub" => sub, 1;
                    "aud" => aud, 2;
                    "exp" => times.exp, 3;
                    "nbf" => times.nbf, 4;
                    "iat" => times.iat, 5;
                    "scope" => scope, 6;
                    "scp" => scp, 7;
                optional:
                    "jti" => jti, LenientText, 8;
                    "client_id" => client_id, LenientText, 9;
                    "acr" => acr, LenientText, 10;
                    "amr" => amr, LenientTexts, 11;
                    "auth_time" => auth_time, LenientDate, 12;
            }
        }
        if has_null {
            claims.rest.retain(|_, value| !value.is_null());
        }
        Ok(())
    }
}

fn once<E: de::Error>(seen: &mut u16, bit: u32) -> Result<(), E> {
    let bit = 1_u16 << bit;
    if *seen & bit != 0 {
        return Err(E::custom("a claim is named twice"));
    }
    *seen |= bit;
    Ok(())
}

/// The value of a claim that decides nothing by itself.
enum LenientValue<T> {
    /// `null`
    UnknownKeyIds,
    Read(T),
    /// Of another type.
    Other(Value),
}

/// Reads one text.
struct LenientText;
/// Reads one text, or a list of texts.
struct LenientTexts;
/// Reads a date.
struct LenientDate;

impl<'de> DeserializeSeed<'de> for LenientText {
    type Value = LenientValue<Text<'de>>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        let visitor = LenientVisitor {
            depth: 1,
            lists: false,
        };
        Ok(match reader.deserialize_any(visitor)? {
            LenientValue::Read(Texts::One(text)) => LenientValue::Read(text),
            LenientValue::Other(value) => LenientValue::Other(value),
            LenientValue::UnknownKeyIds | LenientValue::Read(Texts::List(_)) => {
                LenientValue::UnknownKeyIds
            }
        })
    }
}

impl<'de> DeserializeSeed<'de> for LenientTexts {
    type Value = LenientValue<Texts<'de>>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_any(LenientVisitor {
            depth: 1,
            lists: true,
        })
    }
}

impl<'de> DeserializeSeed<'de> for LenientDate {
    type Value = LenientValue<NumericDate>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        let value = StrictValue { depth: 1 }.deserialize(reader)?;
        Ok(match NumericDate::deserialize(&value) {
            Ok(date) => LenientValue::Read(date),
            Err(_) if value.is_null() => LenientValue::UnknownKeyIds,
            Err(_) => LenientValue::Other(value),
        })
    }
}

#[derive(Clone, Copy)]
struct LenientVisitor {
    /// How deep the value is in the claims.
    depth: usize,
    lists: bool,
}

impl LenientVisitor {
    fn strict(self) -> StrictValue {
        StrictValue { depth: self.depth }
    }
}

impl<'de> DeserializeSeed<'de> for LenientVisitor {
    type Value = LenientValue<Texts<'de>>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for LenientVisitor {
    type Value = LenientValue<Texts<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(LenientValue::Read(Texts::One(text.into())))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(LenientValue::Read(Texts::One(text.to_owned().into())))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(LenientValue::UnknownKeyIds)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Self::Value, E> {
        self.strict().visit_bool(value).map(LenientValue::Other)
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Self::Value, E> {
        self.strict().visit_i64(value).map(LenientValue::Other)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Self::Value, E> {
        self.strict().visit_u64(value).map(LenientValue::Other)
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Self::Value, E> {
        self.strict().visit_f64(value).map(LenientValue::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Self::Value, A::Error> {
        self.strict().visit_map(members).map(LenientValue::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        if !self.lists {
            return self.strict().visit_seq(items).map(LenientValue::Other);
        }
        let item = Self {
            depth: self.depth + 1,
            lists: false,
        };
        let mut texts = Vec::new();
        let other = loop {
            match items.next_element_seed(item)? {
                None => return Ok(LenientValue::Read(Texts::List(texts))),
                Some(LenientValue::Read(text)) => texts.extend_from_slice(text.as_slice()),
                Some(LenientValue::UnknownKeyIds) => break Value::Null,
                Some(LenientValue::Other(value)) => break value,
            }
        };
        let texts = texts.into_iter().map(|Text(text)| Value::from(text));
        let mut values: Vec<_> = texts.chain([other]).collect();
        while let Some(value) = items.next_element_seed(item.strict())? {
            values.push(value);
        }
        Ok(LenientValue::Other(Value::Array(values)))
    }
}

/// Seconds since 1970 ([RFC 7519 section 2](https://www.rfc-editor.org/rfc/rfc7519#section-2)), from 0
/// to the end of the year 9999. May have a fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NumericDate(pub(crate) Duration);

impl NumericDate {
    pub(crate) fn time(self) -> SystemTime {
        // A year that fits into four digits fits into every system's time.
        SystemTime::UNIX_EPOCH
            .checked_add(self.0)
            .unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct Seconds;
        impl<'de> Visitor<'de> for Seconds {
            type Value = NumericDate;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("seconds since 1970")
            }

            fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<NumericDate, E> {
                if seconds > LAST_SECOND {
                    return Err(E::custom("after the year 9999"));
                }
                Ok(NumericDate(Duration::from_secs(seconds)))
            }

            fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<NumericDate, E> {
                u64::try_from(seconds)
                    .map_err(|_| E::custom("before 1970"))
                    .and_then(|seconds| self.visit_u64(seconds))
            }

            fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<NumericDate, E> {
                match Duration::try_from_secs_f64(seconds) {
                    Ok(duration) if duration.as_secs() <= LAST_SECOND => Ok(NumericDate(duration)),
                    _ => Err(E::custom("not a date")),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<NumericDate, A::Error> {
                match members.next_key::<Text<'de>>()? {
                    Some(Text(name)) if json::is_number(&name) => {
                        self.visit_f64(json::number(&mut members)?)
                    }
                    _ => Err(de::Error::custom("not a date")),
                }
            }
        }
        reader.deserialize_any(Seconds)
    }
}

/// One text, or a list of texts. Scopes are either a text with spaces between them ([RFC 8693 section
/// 4.2](https://www.rfc-editor.org/rfc/rfc8693#section-4.2)) or a list.
#[derive(Clone, Debug)]
pub(crate) enum Texts<'p> {
    One(Text<'p>),
    List(Vec<Text<'p>>),
}

impl<'p> Texts<'p> {
    pub(crate) fn as_slice(&self) -> &[Text<'p>] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::List(list) => list,
        }
    }
}

impl<'de> Deserialize<'de> for Texts<'de> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct TextsVisitor;
        impl<'de> Visitor<'de> for TextsVisitor {
            type Value = Texts<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of texts")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Texts<'de>, E> {
                Ok(Texts::One(text.into()))
            }

            fn visit_str<E>(self, text: &str) -> Result<Texts<'de>, E> {
                Ok(Texts::One(text.to_owned().into()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Texts<'de>, A::Error> {
                let mut list = Vec::new();
                while let Some(text) = items.next_element()? {
                    list.push(text);
                }
                Ok(Texts::List(list))
            }
        }
        reader.deserialize_any(TextsVisitor)
    }
}

/// The scopes of one text.
pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(' ').filter(|word| !word.is_empty())
}

/// Whether an item of a list is a scope. What a list has between its commas is never split, so a text
/// with a space is no scope at all (D10: whole scopes).
pub(crate) fn is_word(item: &str) -> bool {
    !item.is_empty() && !item.contains(' ')
}

/// Reads a claim of the application as a list: a list of texts, a list of objects with a `value` (the
/// SCIM shape of RFC 9068 section 2.2.3.1), or one text.
pub(crate) fn texts(value: &Value) -> Option<Vec<Text<'_>>> {
    match value {
        Value::String(text) => Some(vec![text.as_str().into()]),
        Value::Array(items) => items
            .iter()
            .map(|item| match item {
                Value::String(text) => Some(text.as_str().into()),
                Value::Object(object) => match object.get("value") {
                    Some(Value::String(text)) => Some(text.as_str().into()),
                    _ => None,
                },
                _ => None,
            })
            .collect(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde::de::value::{Error, MapDeserializer};

    use super::*;

    #[test]
    fn fractional_date_is_parsed_with_any_serde_json_feature() {
        // (D05: expiry)
        for (name, text, expected) in [
            (
                "$serde_json::private::Number",
                "1.5",
                Some(Duration::from_millis(1_500)),
            ),
            ("$serde_json::private::Number", "-1.5", None),
            ("$serde_json::private::Number", "1e400", None),
            ("$serde_json::private::Number", "253402300800.0", None),
            ("number", "1.5", None),
        ] {
            let reader = MapDeserializer::<_, Error>::new([(name, text)].into_iter());
            let read = NumericDate::deserialize(reader).ok().map(|date| date.0);
            assert_eq!(read, expected, "{name} {text}");
        }
    }
}
