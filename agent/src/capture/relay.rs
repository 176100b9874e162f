//! What scanners that a store already owns send: the messages of each make, read into advertisements.
//!
//! A [`Format`] is a pure reader: it knows no broker, no clock and no plan. Who carries a message here, which receiver a
//! relay is, and what an advertisement means is others' work. What each make sends, and what is lost on its way, is in
//! `docs/relays.md`.
//!
//! Everything is bounded: a message has at most [`MESSAGE_MAX`] octets and gives at most [`ITEMS_MAX`] advertisements. A bad
//! item is counted and does not hide a good one. No error tells what was in a message: that may be an address.

mod json;
mod ruuvi;

pub mod broker;
mod offset;
pub mod outbox;
pub mod relays;
pub mod satellites;
mod silence;

use super::source::Content;
use crate::{clock::Now, private::Address};
use json::BadJson;
use vitrine_protocol::time::Timestamp;

/// Most octets of a message.
pub const MESSAGE_MAX: usize = 256 * 1024;
/// Most advertisements that are taken out of one message; the rest is counted.
pub const ITEMS_MAX: usize = 2048;

/// The make of a relay, by what it sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// Ruuvi Gateway, over MQTT or HTTP.
    Ruuvi,
}

/// A message as it came in.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    /// Its MQTT topic; empty over HTTP.
    pub topic: &'a str,
    /// What is in it.
    pub payload: &'a [u8],
}

/// One advertisement that a relay heard.
#[derive(Clone, Copy, Debug)]
pub struct Relayed<'a> {
    /// Who heard it, as the message or its topic names it: compare with [`is_same_relay`].
    pub relay: Option<&'a str>,
    /// The sender's address.
    pub address: Option<Address>,
    /// Signal strength in dBm; never invented.
    pub rssi_dbm: Option<i8>,
    /// What was said, as far as the relay tells.
    pub content: Content<'a>,
    /// When.
    pub heard: Heard,
}

/// When a relay heard an advertisement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Then, by the relay's clock.
    At(Timestamp),
    /// So many milliseconds before the message was sent.
    Ago(u64),
    /// The relay does not say, or its clock was never set.
    Unknown,
}

impl Heard {
    /// Before this no relay was made: 2015-01-01. A clock that shows less was never set.
    const EARLIEST_MS: i64 = 1_420_070_400_000;

    /// Milliseconds since the epoch by the relay's clock.
    fn at_ms(ms: f64) -> Self {
        if ms >= Self::EARLIEST_MS as f64 { Self::At(Timestamp::from_ms(ms as i64)) } else { Self::Unknown }
    }

    /// Seconds since the epoch by the relay's clock.
    fn at_s(s: f64) -> Self {
        Self::at_ms(s * 1000.0)
    }

    /// The point in time, for a message that came in `now`. What lies in the future, or is not known, is now.
    #[must_use]
    pub fn place(self, now: Now) -> Now {
        let age_ms = match self {
            Self::At(at) => now.utc.as_ms().saturating_sub(at.as_ms()).max(0),
            Self::Ago(ms) => i64::try_from(ms).unwrap_or(i64::MAX),
            Self::Unknown => 0,
        };
        let mono_ms = now.mono_ms.saturating_sub(age_ms.unsigned_abs());
        Now { mono_ms, utc: now.utc.plus_ms(-age_ms), source: now.source }
    }
}

/// What became of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Advertisements handed on.
    pub read: usize,
    /// Items that could not be read.
    pub bad: usize,
    /// Items not looked at, because there were [`ITEMS_MAX`] before them.
    pub cut: usize,
}

/// Why nothing of a message could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It is longer than [`MESSAGE_MAX`]: let the relay send more often, or filter.
    #[error(
        "the message has {octets} octets, and {MESSAGE_MAX} at most are read: let the relay send more often"
    )]
    TooLong {
        /// Its length.
        octets: usize,
    },
    /// It is not well-formed JSON.
    #[error("the message is no JSON from line {line}, column {column} on")]
    NotJson {
        /// Where, from 1.
        line: usize,
        /// Where, from 1.
        column: usize,
    },
    /// It is well-formed, but of another make or setting than its relay is configured for.
    #[error("the message is not of this format: expected {expected}")]
    OtherFormat {
        /// What the format has.
        expected: &'static str,
    },
}

impl Format {
    /// The format of a make, by its name in `gateway.toml`.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "ruuvi" => Some(Self::Ruuvi),
            _ => None,
        }
    }

    /// The MQTT topics that its relays send on, unless they are set up otherwise.
    pub fn topics(&self) -> Option<&'static str> {
        match self {
            Self::Ruuvi => Some("ruuvi/#"),
        }
    }

    /// The advertisements of a message, each to `each`, in order. A message that says something else (a relay's own state, say)
    /// is read too: there is nothing in it.
    ///
    /// # Errors
    /// [`Unreadable`] when nothing of it can be read.
    pub fn read(
        &self,
        message: &Message<'_>,
        each: &mut dyn FnMut(Relayed<'_>),
    ) -> Result<Summary, Unreadable> {
        let octets = message.payload.len();
        if octets > MESSAGE_MAX {
            return Err(Unreadable::TooLong { octets });
        }
        let mut items = Items { each, summary: Summary::default() };
        let read = match self {
            Self::Ruuvi => ruuvi::read(message, &mut items),
        };
        match read {
            // The message broke off: what was before that is good.
            Err(_) if items.summary.read > 0 => items.summary.bad += 1,
            Err(unreadable) => return Err(unreadable),
            Ok(()) => {}
        }
        Ok(items.summary)
    }
}

/// Whether `a` and `b` name one relay: names of makes' own are addresses, written with or without colons, in either case.
pub fn is_same_relay(a: &str, b: &str) -> bool {
    let letters = |name: &str| -> Vec<u8> {
        name.bytes().filter(|b| !b":-".contains(b)).map(|b| b.to_ascii_lowercase()).collect()
    };
    letters(a) == letters(b)
}

/// Where a reader puts what it reads.
struct Items<'e> {
    each: &'e mut dyn FnMut(Relayed<'_>),
    summary: Summary,
}

impl Items<'_> {
    /// Whether the next item is not to be read; then it is counted.
    fn cut(&mut self) -> bool {
        let full = self.summary.read + self.summary.bad >= ITEMS_MAX;
        self.summary.cut += usize::from(full);
        full
    }

    fn good(&mut self, relayed: Relayed<'_>) {
        self.summary.read += 1;
        (self.each)(relayed);
    }

    fn bad(&mut self) {
        self.summary.bad += 1;
    }

    /// One that was readable, or not.
    fn put(&mut self, relayed: Option<Relayed<'_>>) {
        match relayed {
            Some(relayed) => self.good(relayed),
            None => self.bad(),
        }
    }
}

impl From<BadJson> for Unreadable {
    fn from(BadJson { line, column }: BadJson) -> Self {
        Self::NotJson { line, column }
    }
}

/// Bluetooth Core 5.4, vol. 4 part E 7.7.65.2: -127 to 20 dBm; 127 says "not available".
fn rssi_dbm(rssi: f64) -> Option<i8> {
    (-127.0..=20.0).contains(&rssi).then_some(rssi.round() as i8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{capture::Told, plan::Layouts};
    use expect_test::Expect;

    /// What a message gives, one advertisement a line, and what became of the rest.
    pub(super) fn check(format: &Format, topic: &str, payload: &[u8], expected: Expect) {
        let mut text = String::new();
        let read = format.read(&Message { topic, payload }, &mut |relayed| {
            let Relayed { relay, address, rssi_dbm, content, heard } = relayed;
            let rssi = rssi_dbm.map_or("no RSSI".to_owned(), |rssi| format!("{rssi} dBm"));
            let heard = match heard {
                Heard::At(at) => format!("at {at}"),
                Heard::Ago(ms) => format!("{ms} ms ago"),
                Heard::Unknown => "now".to_owned(),
            };
            let addressed = if address.is_some() { "addressed" } else { "no address" };
            text += &format!("{} {rssi} {heard} {addressed}", relay.unwrap_or("?"));
            let (told, malformed) = content.told(&Layouts::default());
            for Told { frame, .. } in told {
                text += &frame.map(|frame| format!(" {}", frame.format())).unwrap_or_default();
            }
            text += if malformed.is_some() { " malformed\n" } else { "\n" };
        });
        text += &match read {
            Ok(Summary { read: _, bad: 0, cut: 0 }) => String::new(),
            Ok(Summary { read: _, bad, cut }) => format!("{bad} bad, {cut} cut\n"),
            Err(unreadable) => format!("{unreadable}\n"),
        };
        expected.assert_eq(&text);
    }
}
