//! Points in time as the platform reads them: RFC 3339, UTC, milliseconds.

use core::fmt;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Milliseconds since the UNIX epoch, between the years 0000 and 9999.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(i64);

const MIN_MS: i64 = -62_167_219_200_000;
const MAX_MS: i64 = 253_402_207_200_000;

impl Timestamp {
    /// The time `ms` after the epoch; out of range is brought to the nearest end of the range.
    pub const fn from_ms(ms: i64) -> Self {
        Self(if ms < MIN_MS {
            MIN_MS
        } else if ms > MAX_MS {
            MAX_MS
        } else {
            ms
        })
    }

    /// Milliseconds since the epoch.
    pub const fn as_ms(self) -> i64 {
        self.0
    }

    /// The time `ms` later.
    #[must_use]
    pub const fn plus_ms(self, ms: i64) -> Self {
        Self::from_ms(self.0.saturating_add(ms))
    }

    /// The start of the clock-aligned span of `span_ms` that this time lies in. `span_ms` of zero is taken as 1.
    #[must_use]
    pub const fn floor_to(self, span_ms: i64) -> Self {
        let span = if span_ms > 0 { span_ms } else { 1 };
        Self::from_ms(self.0.div_euclid(span).saturating_mul(span))
    }

    /// The same point in time, for calendar arithmetic.
    pub fn to_jiff(self) -> jiff::Timestamp {
        jiff::Timestamp::from_millisecond(self.0).unwrap_or_default()
    }
}

impl From<jiff::Timestamp> for Timestamp {
    fn from(time: jiff::Timestamp) -> Self {
        Self::from_ms(time.as_millisecond())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_jiff().strftime("%Y-%m-%dT%H:%M:%S.%3fZ").fmt(f)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Timestamp;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an RFC 3339 time, such as 2026-03-04T11:00:00.000Z")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Timestamp, E> {
                text.parse::<jiff::Timestamp>()
                    .map(Timestamp::from)
                    .map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn prints_milliseconds_and_reads_itself_back() {
        let time = Timestamp::from_ms(1_772_622_000_007);
        assert_eq!(time.to_string(), "2026-03-04T11:00:00.007Z");
        let json = serde_json::to_string(&time).unwrap();
        assert_eq!(serde_json::from_str::<Timestamp>(&json).unwrap(), time);
        assert_eq!(Timestamp::from_ms(-1).to_string(), "1969-12-31T23:59:59.999Z");
    }

    #[test]
    fn floors_towards_the_past() {
        let hour = 3_600_000;
        assert_eq!(Timestamp::from_ms(hour + 1).floor_to(hour), Timestamp::from_ms(hour));
        assert_eq!(Timestamp::from_ms(-1).floor_to(hour), Timestamp::from_ms(-hour));
    }

    #[test]
    fn any_number_makes_a_printable_time() {
        for ms in [i64::MIN, MIN_MS, MAX_MS, i64::MAX] {
            assert_eq!(Timestamp::from_ms(ms).to_string().len(), "2026-03-04T11:00:00.007Z".len(), "{ms}");
        }
    }
}
