//! The values of a lock as serde wants them: each is read when it is asked for, out of the text that it stands in.

use std::fmt;

use memchr::memchr;
use serde::de::value::{BorrowedStrDeserializer, MapDeserializer, SeqDeserializer};
use serde::de::{DeserializeSeed, Deserializer, Error, IntoDeserializer, MapAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::{Node, Raw, line, string};

/// More digits may be no number of TOML.
const MAX_DIGITS: usize = 18;

/// Some text that the TOML parser is to read.
#[derive(Debug)]
pub(super) struct OtherSpelling;

impl fmt::Display for OtherSpelling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not spelled as kiln does")
    }
}

impl std::error::Error for OtherSpelling {}

impl Error for OtherSpelling {
    fn custom<T: fmt::Display>(_: T) -> Self {
        OtherSpelling
    }
}

/// What stands in a line of a list; of any other line nothing, which is no value.
fn item(line: &str) -> Raw<'_> {
    Raw::Line(line.strip_prefix("  ").and_then(|line| line.strip_suffix(',')).unwrap_or_default())
}

struct Items<'de>(&'de str);

impl<'de> Iterator for Items<'de> {
    type Item = Raw<'de>;

    fn next(&mut self) -> Option<Raw<'de>> {
        let (first, rest) = (!self.0.is_empty()).then(|| line(self.0))?;
        self.0 = rest;
        Some(item(first))
    }
}

/// The strings of a list in one line.
fn strings(list: &str) -> Option<Vec<Raw<'_>>> {
    let mut rest = list.strip_prefix('[')?.strip_suffix(']')?;
    let mut items = Vec::new();
    while !rest.is_empty() {
        let (_, after) = string(rest)?;
        items.push(Raw::Line(&rest[..rest.len() - after.len()]));
        rest = match after.strip_prefix(", ") {
            // `["a", ]` is TOML, too.
            Some("") => return None,
            Some(after) => after,
            None if after.is_empty() => after,
            None => return None,
        };
    }
    Some(items)
}

fn number(text: &str) -> Option<i64> {
    let is_spelled_so = text.len() <= MAX_DIGITS
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && (text == "0" || !text.starts_with('0'));
    if is_spelled_so { text.parse().ok() } else { None }
}

impl<'de> IntoDeserializer<'de, OtherSpelling> for Node<'de> {
    type Deserializer = Node<'de>;

    fn into_deserializer(self) -> Node<'de> {
        self
    }
}

impl<'de> Deserializer<'de> for Node<'de> {
    type Error = OtherSpelling;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, OtherSpelling> {
        match self {
            Node::Table(table) => visitor.visit_map(MapDeserializer::new(table.into_iter())),
            Node::Value(value) => value.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, OtherSpelling> {
        visitor.visit_some(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, OtherSpelling> {
        match self {
            Node::Table(_) => Err(OtherSpelling),
            Node::Value(value) => value.deserialize_enum(name, variants, visitor),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, OtherSpelling> {
        match self {
            Node::Table(_) => self.deserialize_any(visitor),
            Node::Value(value) => value.deserialize_struct(name, fields, visitor),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct newtype_struct
        seq tuple tuple_struct map identifier ignored_any
    }
}

impl<'de> IntoDeserializer<'de, OtherSpelling> for Raw<'de> {
    type Deserializer = Raw<'de>;

    fn into_deserializer(self) -> Raw<'de> {
        self
    }
}

impl<'de> Deserializer<'de> for Raw<'de> {
    type Error = OtherSpelling;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, OtherSpelling> {
        let text = match self {
            Raw::Lines(lines) => return visitor.visit_seq(SeqDeserializer::new(Items(lines))),
            Raw::Line(text) => text,
        };
        match text.as_bytes().first() {
            Some(b'"') => match string(text) {
                Some((string, "")) => visitor.visit_borrowed_str(string),
                _ => Err(OtherSpelling),
            },
            Some(b'[') => visitor.visit_seq(SeqDeserializer::new(strings(text).ok_or(OtherSpelling)?.into_iter())),
            Some(b't') if text == "true" => visitor.visit_bool(true),
            Some(b'f') if text == "false" => visitor.visit_bool(false),
            _ => visitor.visit_i64(number(text).ok_or(OtherSpelling)?),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, OtherSpelling> {
        match self {
            Raw::Line(text) => match string(text) {
                Some((string, "")) => visitor.visit_enum(BorrowedStrDeserializer::new(string)),
                _ => Err(OtherSpelling),
            },
            Raw::Lines(_) => Err(OtherSpelling),
        }
    }

    /// Only these read tables in a line: what is derived of them refuses a key that is there twice.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, OtherSpelling> {
        let Raw::Line(text) = self else { return Err(OtherSpelling) };
        let inner = text.strip_prefix("{ ").and_then(|text| text.strip_suffix(" }")).ok_or(OtherSpelling)?;
        visitor.visit_map(Inline { rest: inner, value: "" })
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, OtherSpelling> {
        visitor.visit_some(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct newtype_struct
        seq tuple tuple_struct map identifier ignored_any
    }
}

/// A table in a line.
struct Inline<'de> {
    /// From the next key on.
    rest: &'de str,
    value: &'de str,
}

impl<'de> MapAccess<'de> for Inline<'de> {
    type Error = OtherSpelling;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, OtherSpelling> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (key, value) = self.entry().ok_or(OtherSpelling)?;
        self.value = value;
        seed.deserialize(BorrowedStrDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, OtherSpelling> {
        seed.deserialize(Raw::Line(self.value))
    }
}

impl<'de> Inline<'de> {
    /// Takes a key and its value. No field of a lock has a name that needs quotes, so any other key is an unknown one.
    fn entry(&mut self) -> Option<(&'de str, &'de str)> {
        let space = memchr(b' ', self.rest.as_bytes())?;
        let (key, rest) = self.rest.split_at(space);
        let rest = rest.strip_prefix(" = ")?;
        let after = match rest.starts_with('"') {
            true => string(rest)?.1,
            false => &rest[memchr(b',', rest.as_bytes()).unwrap_or(rest.len())..],
        };
        let value = &rest[..rest.len() - after.len()];
        self.rest = match after.strip_prefix(", ") {
            Some("") => return None,
            Some(next) => next,
            None if after.is_empty() => after,
            None => return None,
        };
        Some((key, value))
    }
}
