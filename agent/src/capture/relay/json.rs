//! JSON as devices write it: item by item, numbers in quotes or not.
//!
//! Arrays and objects are walked without being built, so that a bad item hides no good one and a long list costs no
//! memory. Errors say where, and never what: serde's own messages quote the text, which may be an address.

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use std::{borrow::Cow, fmt};

/// Not well-formed JSON from here on.
#[derive(Debug)]
pub(super) struct BadJson {
    pub(super) line: usize,
    pub(super) column: usize,
}

impl From<serde_json::Error> for BadJson {
    fn from(error: serde_json::Error) -> Self {
        Self { line: error.line(), column: error.column() }
    }
}

/// What a JSON text is at its outermost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Object,
    Array,
    Other,
}

pub(super) fn kind(text: &[u8]) -> Kind {
    match text.trim_ascii_start().first() {
        Some(b'{') => Kind::Object,
        Some(b'[') => Kind::Array,
        _ => Kind::Other,
    }
}

/// Reads a whole text.
pub(super) fn parse<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, BadJson> {
    serde_json::from_slice(text).map_err(BadJson::from)
}

/// Reads an item; `None` where it is not what it should be.
pub(super) fn item<'a, T: Deserialize<'a>>(item: &'a RawValue) -> Option<T> {
    serde_json::from_str(item.get()).ok()
}

/// Each item of an array.
pub(super) fn items<'a>(text: &'a [u8], each: &mut dyn FnMut(&'a RawValue)) -> Result<(), BadJson> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    deserializer.deserialize_seq(Walk(&mut |_, item| each(item)))?;
    Ok(deserializer.end()?)
}

/// Each entry of an object.
pub(super) fn entries<'a>(text: &'a [u8], each: &mut dyn FnMut(&str, &'a RawValue)) -> Result<(), BadJson> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    deserializer.deserialize_map(Walk(each))?;
    Ok(deserializer.end()?)
}

struct Walk<'e, 'a>(&'e mut dyn FnMut(&str, &'a RawValue));

impl<'a> Visitor<'a> for Walk<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut array: A) -> Result<(), A::Error> {
        while let Some(item) = array.next_element()? {
            (self.0)("", item);
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'a>>(self, mut object: A) -> Result<(), A::Error> {
        while let Some((Text(key), value)) = object.next_entry()? {
            (self.0)(&key, value);
        }
        Ok(())
    }
}

/// A text, borrowed where nothing in it is escaped.
#[derive(Debug)]
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'a> Visitor<'a> for Visit {
            type Value = Text<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'a str) -> Result<Text<'a>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text<'a>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Visit)
    }
}

/// A number, in quotes or not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Number(pub(super) f64);

impl<'a> Deserialize<'a> for Number {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl Visitor<'_> for Visit {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Number, E> {
                Ok(Number(number as f64))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Number, E> {
                Ok(Number(number as f64))
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Number, E> {
                Ok(Number(number))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Number, E> {
                text.trim().parse().map(Number).map_err(|_| E::custom("not a number"))
            }
        }
        deserializer.deserialize_any(Visit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_walked_up_to_where_it_is_broken() {
        let mut seen = Vec::new();
        let BadJson { line, column } =
            items(b"[1, {\"a\": [2]},\n \"x\", ", &mut |item| seen.push(item.get())).unwrap_err();
        assert_eq!((seen, line, column), (vec!["1", "{\"a\": [2]}", "\"x\""], 2, 6));
        assert!(items(b"{}", &mut |_| {}).is_err());
        assert!(items(b"[] x", &mut |_| {}).is_err());
    }

    #[test]
    fn an_object_is_walked_too() {
        let mut seen = Vec::new();
        entries(br#" {"a\u0062": 1, "c": []} "#, &mut |key, value| seen.push((key.to_owned(), value.get())))
            .unwrap();
        assert_eq!(seen, [("ab".to_owned(), "1"), ("c".to_owned(), "[]")]);
    }

    #[test]
    fn numbers_may_stand_in_quotes() {
        for (text, number) in
            [("-71", -71.0), ("\"-71\"", -71.0), ("1.5", 1.5), ("\"1653633986\"", 1_653_633_986.0)]
        {
            assert_eq!(parse::<Number>(text.as_bytes()).unwrap(), Number(number));
        }
        assert!(parse::<Number>(b"\"x\"").is_err() && parse::<Number>(b"null").is_err());
    }

    #[test]
    fn depth_overflows_no_stack() {
        let deep = "[".repeat(200_000);
        assert!(parse::<serde_json::Value>(deep.as_bytes()).is_err());
        assert!(items(deep.as_bytes(), &mut |_| {}).is_err());
    }
}
