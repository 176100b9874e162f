//! What is said on the line. The order of fields and variants is the wire format: never changed within a version.

use arrayvec::{ArrayString, ArrayVec};
use core::fmt;
use serde::{Deserialize, Serialize};

/// Most channels of a controller.
pub const CHANNELS_MAX: usize = 16;
/// Longest text, in octets.
pub const TEXT_MAX: usize = 32;

/// A short text: UTF-8, at most [`TEXT_MAX`] octets.
pub type Text = ArrayString<TEXT_MAX>;

/// Anything that is said on the line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::large_enum_variant, reason = "no heap; a message is handled and forgotten")]
pub enum Message {
    /// From the controller.
    Report(Report),
    /// From the gateway.
    Command(Command),
}

/// What a controller says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::large_enum_variant, reason = "no heap; a message is handled and forgotten")]
pub enum Report {
    /// Who it is.
    Hello(Hello),
    /// What it measures; not acknowledged.
    Reading(Reading),
    /// What has changed; repeated until acknowledged.
    Event(Event),
    /// What is wrong, or no longer is; repeated until acknowledged.
    Fault(FaultReport),
}

/// What a gateway says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::large_enum_variant, reason = "no heap; a message is handled and forgotten")]
pub enum Command {
    /// Asks for a [`Hello`].
    Identify,
    /// How to measure.
    Configure(Configuration),
    /// One event or fault is durable.
    Acknowledge(Acknowledgement),
    /// What time it is.
    Time {
        /// Milliseconds since the UNIX epoch.
        unix_ms: u64,
    },
}

/// Who a controller is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Its serial number: the same on whatever port it is plugged in.
    pub serial: Text,
    /// Model and revision of its hardware.
    pub hardware: Text,
    /// Version of its firmware.
    pub firmware: Text,
    /// The boot number of the reports to come.
    pub boot: u32,
    /// The revision of the configuration in force; `None` for the controller's own.
    pub configuration: Option<u32>,
    /// What each channel measures, from channel 0.
    pub channels: ArrayVec<Unit, CHANNELS_MAX>,
}

/// What one channel measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// Which reading.
    pub stamp: Stamp,
    /// Where.
    pub channel: Channel,
    /// What was measured.
    pub quantity: Quantity,
    /// Whether it lay within the channel's `tolerance` for its `settle_ms`.
    pub stable: bool,
}

/// A change that the controller found itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Which report.
    pub stamp: Stamp,
    /// Where.
    pub channel: Channel,
    /// What changed.
    pub change: Change,
}

/// Something is wrong, or no longer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultReport {
    /// Which report.
    pub stamp: Stamp,
    /// Where; `None` for the controller as a whole.
    pub channel: Option<Channel>,
    /// What.
    pub fault: Fault,
    /// Whether it has begun, or ended.
    pub active: bool,
}

/// Which report this is, and how old.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Drawn when the controller starts, or constant where its counters outlive a restart.
    pub boot: u32,
    /// From 1, rising by one; readings have a counter of their own, events and faults share the other.
    pub counter: u64,
    /// Milliseconds from the measurement to this transmission; `u32::MAX` for that or more, `None` when not known.
    pub age_ms: Option<u32>,
}

/// A measured quantity, in whole units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Quantity {
    /// The weight on the sensor above its tare, in grams.
    Grams(i32),
    /// Pieces that the controller counts itself.
    Count(u32),
    /// The distance to the first product, in millimetres.
    DistanceMm(u32),
}

/// What a channel measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unit {
    /// [`Quantity::Grams`]
    Grams,
    /// [`Quantity::Count`]
    Count,
    /// [`Quantity::DistanceMm`]
    DistanceMm,
}

/// From one stable quantity to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// Something was taken or put.
    Step {
        /// The last stable quantity.
        before: Quantity,
        /// The stable quantity now.
        after: Quantity,
    },
    /// The scale was set anew: the same load, read as `before`, reads as `after` from now on.
    Tare {
        /// What the load read as.
        before: Quantity,
        /// What it reads as now.
        after: Quantity,
    },
}

/// What can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    /// The sensor does not answer.
    NoSignal,
    /// The sensor gives the same raw value, noise included, again and again.
    Stuck,
    /// Overload, or another value that cannot be.
    OutOfRange,
    /// The quantity does not settle.
    Unsettled,
    /// The supply voltage is low.
    Supply,
    /// Events or faults were dropped because nobody acknowledged them.
    LostReports,
    /// The controller was restarted by its watchdog or by a failing supply.
    Restarted,
    /// The configuration was refused; the one before stays in force.
    Configuration,
}

/// How to measure, channel by channel. It is taken as a whole or refused as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    /// The gateway's number for it.
    pub revision: u32,
    /// From channel 0; as many as the controller has.
    pub channels: ArrayVec<ChannelConfig, CHANNELS_MAX>,
}

/// How one channel measures. `tolerance` and `step` are in the channel's unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelConfig {
    /// Time between two samples, in milliseconds; 0 switches the channel off.
    pub sample_ms: u16,
    /// Longest time between two readings when nothing changes, in seconds; 0 for none at all.
    pub report_s: u16,
    /// How long a quantity must stay within `tolerance` to be stable, in milliseconds.
    pub settle_ms: u16,
    /// How far samples of a stable quantity may lie apart.
    pub tolerance: u16,
    /// The least change between stable quantities that is an event; 0 for no events.
    pub step: u16,
}

/// One event or fault is durable at the gateway, and so is every one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledgement {
    /// [`Stamp::boot`] of the report.
    pub boot: u32,
    /// [`Stamp::counter`] of the report.
    pub counter: u64,
}

/// A channel's number: below [`CHANNELS_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
pub struct Channel(u8);

impl Channel {
    /// The channel of this number.
    ///
    /// # Errors
    /// [`InvalidChannel`]
    pub const fn new(number: u8) -> Result<Self, InvalidChannel> {
        if (number as usize) < CHANNELS_MAX { Ok(Self(number)) } else { Err(InvalidChannel) }
    }

    /// Its number.
    pub const fn number(self) -> u8 {
        self.0
    }
}

impl From<Channel> for u8 {
    fn from(channel: Channel) -> Self {
        channel.0
    }
}

impl TryFrom<u8> for Channel {
    type Error = InvalidChannel;

    fn try_from(number: u8) -> Result<Self, InvalidChannel> {
        Self::new(number)
    }
}

/// A channel's number is [`CHANNELS_MAX`] or more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidChannel;

impl fmt::Display for InvalidChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a channel has a number from 0 to {}", CHANNELS_MAX - 1)
    }
}

impl core::error::Error for InvalidChannel {}
