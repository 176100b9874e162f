//! What scanners that a store already owns send: the messages of each make, read into advertisements.
//!
//! A [`Format`] is a pure reader: it knows no broker, no clock and no plan. Who carries a message here, which receiver a
//! relay is, and what an advertisement means is others' work. What each make sends, and what is lost on its way, is in
//! `docs/relays.md`.
//!
//! Everything is bounded: a message has at most [`MESSAGE_MAX`] octets and gives at most [`ITEMS_MAX`] advertisements. A bad
//! item is counted and does not hide a good one. No error tells what was in a message: that may be an address.

mod aruba;
mod cisco;
mod decoded;
mod espresense;
mod json;
pub mod mapping;
mod minew;
mod openmqttgateway;
mod payloads;
mod protobuf;
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
use mapping::Mapping;
use vitrine_protocol::time::Timestamp;

/// Most octets of a message.
pub const MESSAGE_MAX: usize = 256 * 1024;
/// Most advertisements that are taken out of one message; the rest is counted.
pub const ITEMS_MAX: usize = 2048;

/// The make of a relay, by what it sends.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "a store has a handful of relays")]
pub enum Format {
    /// Minew's gateways.
    Minew,
    /// Ruuvi Gateway.
    Ruuvi,
    /// OpenMQTTGateway and Theengs Gateway.
    OpenMqttGateway,
    /// ESPresense.
    Espresense,
    /// HPE Aruba access points.
    Aruba,
    /// Cisco access points, by way of the IoT Orchestrator.
    Cisco,
    /// Any other, as the configuration describes it.
    Mapping(Mapping),
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
    /// Who heard it, as the message or its topic names it: compare with [`plain_name`].
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
    /// After this no time is meant, 2100-01-01: more is a wrong unit, or nonsense.
    const LATEST_MS: i64 = 4_102_444_800_000;

    /// Milliseconds since the epoch by the relay's clock.
    fn at_ms(ms: f64) -> Self {
        let is_time = (Self::EARLIEST_MS as f64..Self::LATEST_MS as f64).contains(&ms);
        if is_time { Self::At(Timestamp::from_ms(ms as i64)) } else { Self::Unknown }
    }

    /// Seconds since the epoch by the relay's clock.
    fn at_s(s: f64) -> Self {
        Self::at_ms(s * 1000.0)
    }

    /// A date and time in words.
    fn at_rfc_3339(text: &str) -> Self {
        text.parse().map_or(Self::Unknown, |time: jiff::Timestamp| Self::at_ms(time.as_millisecond() as f64))
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
    /// The makes, by their names in `gateway.toml`.
    pub const MAKES: [(&'static str, Self); 6] = [
        ("minew", Self::Minew),
        ("ruuvi", Self::Ruuvi),
        ("openmqttgateway", Self::OpenMqttGateway),
        ("espresense", Self::Espresense),
        ("aruba", Self::Aruba),
        ("cisco", Self::Cisco),
    ];

    /// The format of a make.
    pub fn named(name: &str) -> Option<Self> {
        Self::MAKES.into_iter().find_map(|(make, format)| (make == name).then_some(format))
    }

    /// The MQTT topic filter of what relays send unless they are set up otherwise; `None` where they do not by themselves.
    pub fn topics(&self) -> Option<&str> {
        match self {
            Self::Minew => Some("/gw/+/status"),
            Self::Ruuvi => Some("ruuvi/#"),
            Self::OpenMqttGateway => Some("home/+/BTtoMQTT/#"),
            Self::Espresense => Some("espresense/devices/#"),
            Self::Aruba => None,
            Self::Cisco => Some("cisco/iotorchestrator/v1/#"),
            Self::Mapping(mapping) => mapping.topic.as_ref().map(mapping::Topic::filter),
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
            Self::Minew => minew::read(message, &mut items),
            Self::Ruuvi => ruuvi::read(message, &mut items),
            Self::OpenMqttGateway => openmqttgateway::read(message, &mut items),
            Self::Espresense => espresense::read(message, &mut items),
            Self::Aruba => aruba::read(message, &mut items),
            Self::Cisco => cisco::read(message, &mut items),
            Self::Mapping(mapping) => mapping.read(message, &mut items),
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

/// A relay's name as it is compared: makes' own names are addresses, written with or without colons, in either case.
pub fn plain_name(name: &str) -> String {
    name.chars().filter(|c| !":-".contains(*c)).map(|c| c.to_ascii_lowercase()).collect()
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
mod tests;
