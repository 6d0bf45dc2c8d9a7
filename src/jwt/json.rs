//! JSON in which no object names a member twice, at any depth
//! ([RFC 7519 section 4](https://www.rfc-editor.org/rfc/rfc7519#section-4)), and which nests and
//! branches within limits.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// How deep objects and arrays may stand in each other (D15: depth limits). Nothing real needs more than 6.
pub(crate) const MAX_DEPTH: usize = 16;
/// How many members one object may have.
pub(crate) const MAX_MEMBERS: usize = 256;

/// As what `serde_json` hands over a number with a fraction if any crate of the binary turns on its feature
/// `arbitrary_precision`: an object with this one member, whose value is the number as text.
const NUMBER: &str = "$serde_json::private::Number";

/// Reads the value of [`NUMBER`], whose name has been read.
pub(crate) fn number<'de, A: MapAccess<'de>>(members: &mut A) -> Result<f64, A::Error> {
    let Text(text) = members.next_value::<Text<'de>>()?;
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
    number.ok_or_else(|| de::Error::custom("not a finite number"))
}

/// Whether an object is [a number](NUMBER).
pub(crate) fn is_number(name: &str) -> bool {
    name == NUMBER
}

/// Reads a whole text as one object.
pub(crate) fn object(text: &[u8]) -> Result<Map<String, Value>, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    let value = StrictValue { depth: 0 }.deserialize(&mut reader)?;
    reader.end()?;
    match value {
        Value::Object(object) => Ok(object),
        _ => Err(de::Error::custom("not an object")),
    }
}

/// Reads one value, `depth` levels below the top.
#[derive(Clone, Copy)]
pub(crate) struct StrictValue {
    pub(crate) depth: usize,
}

impl<'de> DeserializeSeed<'de> for StrictValue {
    type Value = Value;

    fn deserialize<D: de::Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl StrictValue {
    fn below<E: de::Error>(self) -> Result<Self, E> {
        if self.depth >= MAX_DEPTH {
            return Err(E::custom("nested too deeply"));
        }
        Ok(Self {
            depth: self.depth + 1,
        })
    }
}

impl<'de> Visitor<'de> for StrictValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let below = self.below()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(below)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let below = self.below()?;
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if object.is_empty() && is_number(&name) {
                return self.visit_f64(number(&mut members)?);
            }
            let value = members.next_value_seed(below)?;
            insert(&mut object, name, value)?;
        }
        Ok(Value::Object(object))
    }
}

/// Adds a member, unless there are too many or one of its name.
pub(crate) fn insert<E: de::Error>(
    object: &mut Map<String, Value>,
    name: String,
    value: Value,
) -> Result<(), E> {
    if object.len() >= MAX_MEMBERS {
        return Err(E::custom("too many members"));
    }
    if object.insert(name, value).is_some() {
        return Err(E::custom("a member is named twice"));
    }
    Ok(())
}

/// A text that may be borrowed from the input: it is, unless it has escapes.
#[derive(Clone, Debug)]
pub(crate) struct Text<'de>(pub(crate) Cow<'de, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'t> From<&'t str> for Text<'t> {
    fn from(text: &'t str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Self(Cow::Owned(text))
    }
}

impl<'de> de::Deserialize<'de> for Text<'de> {
    fn deserialize<D: de::Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct Borrow;
        impl<'de> Visitor<'de> for Borrow {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(text.into())
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(text.to_owned().into())
            }
        }
        reader.deserialize_str(Borrow)
    }
}

/// What a map takes on the heap, roughly.
pub(crate) fn heap_of_map(map: &Map<String, Value>) -> usize {
    // A node of a tree has room for eleven, and is made for one.
    const NODE: usize = 11 * (size_of::<String>() + size_of::<Value>()) + 16;
    let nodes = map.len().div_ceil(5);
    map.iter()
        .map(|(name, value)| name.len() + heap_of(value))
        .sum::<usize>()
        .saturating_add(nodes.saturating_mul(NODE))
}

fn heap_of(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len() + 16,
        Value::Array(items) => {
            items.capacity() * size_of::<Value>() + items.iter().map(heap_of).sum::<usize>() + 16
        }
        Value::Object(map) => heap_of_map(map),
    }
}

#[cfg(test)]
mod tests {
    use serde::de::value::{Error, MapDeserializer};

    use super::*;

    #[test]
    fn serde_json_features_of_other_crates_have_no_effect() {
        // (D05: expiry)
        for (text, expected) in [
            ("1.5", Some(Value::from(1.5))),
            ("-0.0", Some(Value::from(-0.0))),
            ("1e400", None),
            ("NaN", None),
            ("x", None),
        ] {
            let members = [(NUMBER, text)].into_iter();
            let reader = MapDeserializer::<_, Error>::new(members);
            let read = StrictValue { depth: 0 }.deserialize(reader);
            assert_eq!(read.ok(), expected, "{text}");
        }
    }

    #[test]
    fn duplicate_member_is_rejected_at_any_depth() {
        // (D06: duplicate members, D15: depth limits)
        let deep = |levels: usize| format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
        let wide = |members: usize| {
            let members: Vec<_> = (0..members).map(|n| format!(r#""m{n}":1"#)).collect();
            format!("{{{}}}", members.join(","))
        };
        for (text, good) in [
            (r#"{"a":1,"b":[{"a":1},{"a":2}]}"#.to_owned(), true),
            (r#"{"a":1,"a":1}"#.to_owned(), false),
            (r#"{"a":1,"\u0061":2}"#.to_owned(), false),
            (r#"{"a":{"b":1,"b":2}}"#.to_owned(), false),
            (r#"{"a":[{"b":1,"b":2}]}"#.to_owned(), false),
            (r#"{"a":1}x"#.to_owned(), false),
            (r#"{"a":1} "#.to_owned(), true),
            (r#"[1]"#.to_owned(), false),
            (r#"{"a":1e400}"#.to_owned(), false),
            (r#"{"a":NaN}"#.to_owned(), false),
            ("{\"a\":\"\u{0}\"}".to_owned(), false),
            (r#"{"a":"\u0000"}"#.to_owned(), true),
            (r#"{"a":"\ud800"}"#.to_owned(), false),
            ("\u{feff}{}".to_owned(), false),
            (deep(MAX_DEPTH), true),
            (deep(MAX_DEPTH + 1), false),
            (deep(10_000), false),
            (wide(MAX_MEMBERS), true),
            (wide(MAX_MEMBERS + 1), false),
            (String::new(), false),
        ] {
            assert_eq!(object(text.as_bytes()).is_ok(), good, "{text:.60}");
        }
        assert!(object(b"{\"a\":\"\xff\"}").is_err());
    }
}
