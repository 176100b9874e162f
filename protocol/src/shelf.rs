//! Frames on the serial line between a gateway and a shelf controller (feature `shelf`).
//!
//! A controller measures up to 16 channels; a channel is one sensor under or over one facing. The line is any
//! stream of octets in both directions (a UART, USB, RS-485 with one controller); its settings are the gateway's
//! configuration. What a reading means for the stock is the agent's to find out. This page is the format's
//! specification; the types' documentation adds units and ranges.
//!
//! # Frame
//!
//! ```text
//! 00 | COBS( version | payload | CRC low | CRC high ) | 00
//! ```
//!
//! - **Delimiter** `00`, before and after every frame. Nothing between two delimiters is no frame and no error. The
//!   first one lets a frame be found whatever came before it.
//! - **COBS**: Cheshire and Baker, *Consistent Overhead Byte Stuffing*, IEEE/ACM Transactions on Networking 7(2),
//!   1999. What is stuffed is at most [`BODY_MAX`] = 253 octets, so stuffing adds exactly one, and a frame with both
//!   delimiters has at most [`FRAME_MAX`] = 256.
//! - **Version**: one octet, [`VERSION`] = 1.
//! - **CRC**: CRC-16/IBM-SDLC over version and payload, low octet first, as ISO/IEC 13239 (HDLC) has it:
//!   polynomial 0x1021, initial value 0xFFFF, reflected in and out, final XOR 0xFFFF; `"123456789"` gives 0x906E.
//! - **Payload**: one [`Message`], in postcard's wire format, and nothing after it:
//!
//! | type | octets |
//! |---|---|
//! | `u8` | one |
//! | `u16`, `u32`, `u64` | varint: seven bits an octet, the least significant first; bit 7 says that another follows |
//! | `i32` | n is written as the unsigned `(n << 1) ^ (n >> 31)` |
//! | `bool` | 0 or 1 |
//! | `Option` | 0, or 1 and the value |
//! | text | its octets as varint, then that many octets of UTF-8; at most [`TEXT_MAX`] = 32 |
//! | list | its items as varint, then the items; at most [`CHANNELS_MAX`] = 16 |
//! | `struct` | its fields in order |
//! | `enum` | the variant's place, from 0, as varint, then its fields in order |
//!
//! # Messages
//!
//! The first octet tells the direction, the second the kind. Fields are in this order:
//!
//! | octets | message | fields |
//! |---|---|---|
//! | `00 00` | [`Hello`] | `serial` text, `hardware` text, `firmware` text, `boot` u32, `configuration` Option u32, `channels` list of [`Unit`] |
//! | `00 01` | [`Reading`] | `stamp`, `channel` u8, `quantity`, `stable` bool |
//! | `00 02` | [`Event`] | `stamp`, `channel` u8, `change` |
//! | `00 03` | [`FaultReport`] | `stamp`, `channel` Option u8, `fault`, `active` bool |
//! | `01 00` | [`Command::Identify`] | none |
//! | `01 01` | [`Configuration`] | `revision` u32, `channels` list of [`ChannelConfig`] |
//! | `01 02` | [`Acknowledgement`] | `boot` u32, `counter` u64 |
//! | `01 03` | [`Command::Time`] | `unix_ms` u64 |
//!
//! with [`Stamp`] = `boot` u32, `counter` u64, `age_ms` Option u32; [`Quantity`] = `00` grams i32, `01` count u32,
//! `02` distance_mm u32; [`Change`] = `00` step, `01` tare, each `before` and `after` a quantity; [`Unit`] = `00`
//! grams, `01` count, `02` distance in mm; [`Fault`] = `00` no signal, `01` stuck, `02` out of range, `03` unsettled,
//! `04` supply, `05` lost reports, `06` restarted, `07` configuration; [`ChannelConfig`] = `sample_ms` u16,
//! `report_s` u16, `settle_ms` u16, `tolerance` u16, `step` u16.
//!
//! # Conversation
//!
//! - A controller sends `Hello` when it has started, when it is asked to (`Identify`), and after every
//!   `Configuration`, in which it then names the revision that is in force: the new one, or, when it refused, the
//!   one before, with a fault `configuration`.
//! - A **reading** is a state. It is never acknowledged nor repeated: a later one replaces it. Readings have a counter
//!   of their own, which rises by one with each, so that the gateway can count what it missed.
//! - **Events and faults** are kept by the controller until they are acknowledged. They share the other counter, and
//!   only the oldest is on the line: it is repeated every [`RETRY_MS`] until an `Acknowledgement` names its `boot` and
//!   `counter`, and only then comes the next. The gateway acknowledges when the report is durable, and acknowledges
//!   a repeat again.
//! - A controller whose memory for events is full drops the oldest and reports the fault `lost reports`; the
//!   counter's jump says how many.
//! - A controller that cannot keep its counters over a restart draws a new `boot` when it starts; one that can always
//!   sends the same.
//! - Time on the controller is how long ago something was (`age_ms`); the gateway dates it. `Time` is for
//!   controllers that keep events over a restart and have to tell their age.
//!
//! # Versions
//!
//! What stands between the delimiters and the CRC's place and kind never change. Everything inside the payload is
//! frozen within a version: fields, variants and texts of these tables are added to, at the end, under a new
//! version, and no number is used twice. A reader takes every version from [`VERSION_MIN`] to [`VERSION`] and names
//! any other one. A controller sends the one version that it knows; a gateway answers in the version in which it was
//! spoken to. So gateways are updated before controllers. `tests/versioning` holds frames of every version.

mod decoder;
mod frame;
mod message;

pub use decoder::{Counts, Decoder, Discarded, Reason};
pub use frame::{BODY_MAX, FRAME_MAX, Frame, VERSION, VERSION_MIN};
pub use message::{
    Acknowledgement, CHANNELS_MAX, Change, Channel, ChannelConfig, Command, Configuration, Event, Fault,
    FaultReport, Hello, InvalidChannel, Message, Quantity, Reading, Report, Stamp, TEXT_MAX, Text, Unit,
};

/// How long a controller waits for an acknowledgement before it repeats an event or fault, in milliseconds.
pub const RETRY_MS: u32 = 1_000;
