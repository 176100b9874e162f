//! Names of tenants, stores, gateways, zones, shelves and the like: `[a-z0-9_-]{1,40}`.
//!
//! They appear in MQTT topics, in events and in file names; the alphabet is safe in all of them.

use core::fmt;

/// Longest [`Id`], in octets.
pub const ID_MAX: usize = 40;

/// A name of 1 to 40 characters out of `a-z`, `0-9`, `_` and `-`. `Copy`, no heap.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Id {
    length: u8,
    bytes: [u8; ID_MAX],
}

/// The text is empty, longer than [`ID_MAX`], or has a character outside the alphabet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidId;

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id has 1 to 40 characters out of a-z, 0-9, _ and -")
    }
}

impl core::error::Error for InvalidId {}

impl Id {
    /// Checks `text`.
    ///
    /// # Errors
    /// [`InvalidId`]
    pub fn new(text: &str) -> Result<Self, InvalidId> {
        let allowed = |b: &u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
        if text.is_empty() || text.len() > ID_MAX || !text.as_bytes().iter().all(allowed) {
            return Err(InvalidId);
        }
        let mut bytes = [0; ID_MAX];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Ok(Self { length: text.len() as u8, bytes })
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.bytes[..usize::from(self.length)]).unwrap_or_default()
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl Ord for Id {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl PartialOrd for Id {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl core::str::FromStr for Id {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Self::new(text)
    }
}

#[cfg(feature = "alloc")]
mod serde_impls {
    use super::{Id, fmt};
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    impl Serialize for Id {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_str(self.as_str())
        }
    }

    impl<'de> Deserialize<'de> for Id {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Visitor;
            impl de::Visitor<'_> for Visitor {
                type Value = Id;

                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("1 to 40 characters out of a-z, 0-9, _ and -")
                }

                fn visit_str<E: de::Error>(self, text: &str) -> Result<Id, E> {
                    Id::new(text).map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
                }
            }
            deserializer.deserialize_str(Visitor)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn accepts_the_alphabet_and_nothing_else() {
        for text in ["a", "store-7_b", "0123456789012345678901234567890123456789"] {
            assert_eq!(Id::new(text).unwrap().to_string(), text);
        }
        for text in ["", "A", "a/b", "a+", "é", "a b", "01234567890123456789012345678901234567890"] {
            assert_eq!(Id::new(text), Err(InvalidId), "{text:?}");
        }
    }

    #[test]
    fn orders_as_its_text_does() {
        let mut ids = ["b", "ab", "a-b", "a"].map(|t| Id::new(t).unwrap());
        ids.sort();
        assert_eq!(ids.map(|id| id.to_string()), ["a", "a-b", "ab", "b"]);
    }
}
