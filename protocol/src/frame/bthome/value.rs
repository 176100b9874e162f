//! What an object holds once it is read: exact numbers, flags, events, text.
//!
//! Numbers stay integers with a count of decimals: what the sensor sent is what the reader gets, without a
//! rounding in between.

use core::fmt;

use super::object::{Layout, Object};

/// One object of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measurement<'a> {
    /// What was measured: its name and unit.
    pub object: &'static Object,
    /// The value, in that unit.
    pub value: Value<'a>,
}

/// The value of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Value<'a> {
    /// A number in the object's unit.
    Number(Decimal),
    /// A binary sensor; what `true` means depends on the object.
    Flag(bool),
    /// A button's event.
    Button(Button),
    /// A dimmer's event.
    Dimmer(Dimmer),
    /// A command for another device.
    Command(Command<'a>),
    /// Text.
    Text(&'a str),
    /// Octets that the specification gives no meaning; also a text that is not UTF-8.
    Raw(&'a [u8]),
    /// A point in time, in seconds since 1970-01-01T00:00:00Z.
    Time {
        /// Seconds.
        unix_s: u64,
    },
    /// A version number, its least significant part first: `[0, 1, 2, 4]` is 4.2.1.0.
    Version(&'a [u8]),
}

/// An exact number: `mantissa / 10^decimals`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    /// All digits, as an integer.
    pub mantissa: i64,
    /// How many of them stand behind the point.
    pub decimals: u8,
}

/// Written with all its decimals, `25.00`: a JSON number, and the sensor's resolution stays visible.
impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(one) = 10u64.checked_pow(self.decimals.into()) else {
            return write!(f, "{}e-{}", self.mantissa, self.decimals);
        };
        let (sign, digits) = (if self.mantissa < 0 { "-" } else { "" }, self.mantissa.unsigned_abs());
        match usize::from(self.decimals) {
            0 => write!(f, "{sign}{digits}"),
            width => write!(f, "{sign}{}.{:0width$}", digits / one, digits % one),
        }
    }
}

/// What was done to a button.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Button {
    /// Nothing: it keeps the place of one of several buttons.
    None,
    /// Pressed once.
    Press,
    /// Pressed twice.
    DoublePress,
    /// Pressed three times.
    TriplePress,
    /// Pressed for long.
    LongPress,
    /// Pressed twice, then held.
    LongDoublePress,
    /// Pressed three times, then held.
    LongTriplePress,
    /// Is being held.
    HoldPress,
    /// Was let go after holding. Sent by Shelly's devices; not yet on the format's page.
    HoldRelease,
    /// A code that the specification does not have.
    Other(u8),
}

const BUTTONS: [(u8, Button, &str); 9] = [
    (0x00, Button::None, ""),
    (0x01, Button::Press, "press"),
    (0x02, Button::DoublePress, "double_press"),
    (0x03, Button::TriplePress, "triple_press"),
    (0x04, Button::LongPress, "long_press"),
    (0x05, Button::LongDoublePress, "long_double_press"),
    (0x06, Button::LongTriplePress, "long_triple_press"),
    (0x80, Button::HoldPress, "hold_press"),
    (0x81, Button::HoldRelease, "hold_release"),
];

impl Button {
    /// The event's name, for example `long_press`; `None` for no event and for codes that have no name.
    pub fn name(self) -> Option<&'static str> {
        let row = BUTTONS.iter().find(|row| row.1 == self)?;
        Some(row.2).filter(|name| !name.is_empty())
    }

    /// The code on air.
    pub fn code(self) -> u8 {
        match self {
            Self::Other(code) => code,
            known => BUTTONS.iter().find(|row| row.1 == known).map_or(0, |row| row.0),
        }
    }

    fn of(code: u8) -> Self {
        BUTTONS.iter().find(|row| row.0 == code).map_or(Self::Other(code), |row| row.1)
    }
}

/// How far a dimmer was turned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dimmer {
    /// The code on air: 0 nothing, 1 to the left, 2 to the right.
    pub code: u8,
    /// By how many steps.
    pub steps: u8,
}

impl Dimmer {
    /// The event's name, `rotate_left` or `rotate_right`; `None` for no event and for codes that have no name.
    pub fn name(self) -> Option<&'static str> {
        match self.code {
            1 => Some("rotate_left"),
            2 => Some("rotate_right"),
            _ => None,
        }
    }
}

/// A command. Anyone can send one in the clear: act on those alone that came encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command<'a> {
    /// The operation: 0 off, 1 on, 2 toggle, 3 step up, 4 step down.
    pub code: u8,
    /// Up to 31 octets; of a step, how many.
    pub arguments: &'a [u8],
}

impl Command<'_> {
    /// The operation's name, for example `step_up`; `None` for codes that have no name.
    pub fn name(&self) -> Option<&'static str> {
        ["off", "on", "toggle", "step_up", "step_down"].get(usize::from(self.code)).copied()
    }
}

/// An object as it stands in a payload, its length checked.
#[derive(Clone, Copy)]
pub(super) struct Item<'a> {
    pub(super) object: &'static Object,
    /// Version 1 says with each object whether it has a sign; version 2 with the object's id.
    pub(super) signed: bool,
    /// Without id and length. At least as long as the layout needs.
    pub(super) data: &'a [u8],
}

impl<'a> Item<'a> {
    pub(super) fn measurement(&self) -> Measurement<'a> {
        Measurement { object: self.object, value: self.value() }
    }

    fn value(&self) -> Value<'a> {
        let first = self.data.first().copied().unwrap_or(0);
        match self.object.layout {
            Layout::Unsigned(_) | Layout::Signed(_) => Value::Number(Decimal {
                mantissa: self.integer() * i64::from(self.object.multiplier),
                decimals: self.object.decimals,
            }),
            Layout::Flag => Value::Flag(first != 0),
            Layout::Button => Value::Button(Button::of(first)),
            Layout::Dimmer => {
                Value::Dimmer(Dimmer { code: first, steps: self.data.get(1).copied().unwrap_or(0) })
            }
            Layout::Command => {
                Value::Command(Command { code: first, arguments: self.data.get(1..).unwrap_or(&[]) })
            }
            Layout::Text => core::str::from_utf8(self.data).map_or(Value::Raw(self.data), Value::Text),
            Layout::Raw => Value::Raw(self.data),
            Layout::Time => Value::Time { unix_s: self.integer().unsigned_abs() },
            Layout::Version(_) => Value::Version(self.data),
        }
    }

    /// The octets as a number, little endian; of more than [`MAX_INTEGER`] octets, the first.
    pub(super) fn integer(&self) -> i64 {
        let fill = if self.signed && self.data.last().is_some_and(|&top| top >= 0x80) { 0xff } else { 0 };
        let mut octets = [fill; 8];
        octets.iter_mut().zip(self.data.iter().take(MAX_INTEGER)).for_each(|(to, from)| *to = *from);
        i64::from_le_bytes(octets)
    }
}

/// The longest number that is read, in octets: with it the largest multiplier does not overflow an `i64`.
pub(super) const MAX_INTEGER: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn decimals_are_written_in_full() {
        let written = |mantissa, decimals| Decimal { mantissa, decimals }.to_string();
        assert_eq!(written(2506, 2), "25.06");
        assert_eq!(written(2500, 2), "25.00");
        assert_eq!(written(-5, 2), "-0.05");
        assert_eq!(written(-3_123_456, 6), "-3.123456");
        assert_eq!(written(97, 0), "97");
        assert_eq!(written(i64::MIN, 0), "-9223372036854775808");
        assert_eq!(written(7, 200), "7e-200");
    }

    #[test]
    fn every_button_code_is_kept() {
        for code in 0..=255 {
            assert_eq!(Button::of(code).code(), code);
        }
        assert_eq!(Button::of(0x80).name(), Some("hold_press"));
        assert_eq!(Button::of(0x00).name(), None);
        assert_eq!(Button::of(0x07).name(), None);
    }
}
