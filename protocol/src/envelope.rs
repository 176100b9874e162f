//! The wrapper of a batch, the status, and the platform's acknowledgement: one MQTT message each. The metrics are in
//! [`crate::metrics`].
//!
//! A batch holds events of one stream with contiguous sequence numbers: the number of an event is `first_seq`
//! plus its index. For a reader they are [`Event`]s; a writer may have them serialised already. Batches may be
//! repeated, and cut differently when they are repeated; a reader drops duplicates by (`spool_id`, `stream`, number).
//!
//! # Versions
//! `v` is the version of the message's form, `event_v` that of the events in it. Both come before what they speak of.
//! A reader takes every version from the oldest to the newest that it knows, and names any other in its error.

use crate::{
    Id,
    event::{self, Event, EventId},
    time::Timestamp,
    topic::{Gateway, Stream},
};
use alloc::vec::Vec;
use core::ops::RangeInclusive;
use serde::{Deserialize, Deserializer, Serialize, de::Error};

/// The version of the messages that is written.
pub const VERSION: u8 = 1;
/// The oldest version of the messages that is read.
pub const VERSION_MIN: u8 = 1;
/// The largest sequence number, 2^53 - 1: larger ones would not be exact everywhere that reads JSON.
pub const SEQ_MAX: u64 = (1 << 53) - 1;
/// The most events in a batch.
pub const EVENTS_MAX: usize = 128;

/// A batch of events of one stream. The sequence number of an event is `first_seq` plus its index. A batch may be
/// repeated, and cut differently: drop duplicates by (`spool_id`, `stream`, number). Ignore fields that you do not know,
/// and pass over events, kinds and values of later versions; their numbers count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Envelope<E = Event> {
    /// The version of the envelope.
    #[serde(deserialize_with = "read_version")]
    #[cfg_attr(feature = "schema", schemars(range(min = VERSION_MIN, max = VERSION)))]
    pub v: u8,
    /// The version of the events; left out for 0, the draft.
    #[serde(default, skip_serializing_if = "is_draft", deserialize_with = "read_event_version")]
    #[cfg_attr(feature = "schema", schemars(range(min = event::VERSION_MIN, max = event::VERSION)))]
    pub event_v: u8,
    /// Who sends it.
    #[serde(flatten)]
    pub from: Gateway,
    /// The stream of all the events.
    pub stream: Stream,
    /// The birth id of the gateway's spool: sequence numbers start anew under another one.
    pub spool_id: EventId,
    /// The first event's sequence number, from 1, below 2^53.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = SEQ_MAX)))]
    pub first_seq: u64,
    /// How many events: 1 to 128.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = EVENTS_MAX)))]
    pub count: u32,
    /// When the batch was sent.
    pub sent_at: Timestamp,
    /// Whether it may have been sent before.
    pub replayed: bool,
    /// The version of the tagging plan in force when the events were made.
    pub plan: Id,
    /// The store-day of the events, in the plan's time zone.
    pub business_date: jiff::civil::Date,
    /// The events, in the order of their numbers.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = EVENTS_MAX)))]
    pub events: Vec<E>,
}

/// What the retained message on the status topic says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Status {
    /// The version of the status.
    #[serde(deserialize_with = "read_version")]
    #[cfg_attr(feature = "schema", schemars(range(min = VERSION_MIN, max = VERSION)))]
    pub v: u8,
    /// Who.
    #[serde(flatten)]
    pub from: Gateway,
    /// Whether the agent is connected, has left in good order, or was lost (its last will).
    pub state: State,
    /// Differs at every connection.
    pub session: EventId,
    /// The birth id of the gateway's spool.
    pub spool_id: EventId,
    /// The agent's version.
    pub version: alloc::string::String,
    /// The version of the tagging plan.
    pub plan: Id,
    /// What the agent's times rest on.
    pub clock: crate::event::Clock,
    /// What the agent is set to do beyond publishing plain batches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<Capability>,
    /// The version of MQTT that it speaks to the broker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mqtt: Option<MqttVersion>,
}

/// What an agent is set to do beyond publishing plain batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(transform = crate::schema::grows))]
#[serde(rename_all = "snake_case")]
pub enum Capability {
    /// Its batches are compressed, and come on topics that end in `-zst`.
    Zstd,
    /// It keeps events until the platform has acknowledged them on `ack/{stream}`.
    EndToEnd,
    /// After an outage, what happens now comes before what happened then: a stream's numbers jump ahead, and what
    /// was jumped over comes later.
    LiveFirst,
    /// The line is metered: nothing but the critical streams comes (carriers, flows, traces, coverage, queues, visits,
    /// identified, audit, gaps).
    Metered,
    /// It publishes metrics.
    Metrics,
    /// A capability that this reader does not know; never written.
    #[serde(other, skip_serializing)]
    Unknown,
}

/// A version of MQTT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum MqttVersion {
    /// MQTT 5.
    #[serde(rename = "5")]
    V5,
    /// MQTT 3.1.1.
    #[serde(rename = "3.1.1")]
    V311,
}

/// How it stands with an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Connected.
    Online,
    /// Left in good order.
    Offline,
    /// The connection broke: the broker says so on the agent's behalf.
    Lost,
}

/// How far the platform has got with a stream: it will never need this or an earlier number again. An agent with the
/// capability `end_to_end` keeps events until then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Ack {
    /// The version of the acknowledgement.
    #[serde(deserialize_with = "read_version")]
    #[cfg_attr(feature = "schema", schemars(range(min = VERSION_MIN, max = VERSION)))]
    pub v: u8,
    /// The birth id of the gateway's spool.
    pub spool_id: EventId,
    /// The number up to which everything is committed.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = SEQ_MAX)))]
    pub seq: u64,
}

fn is_draft(event_v: &u8) -> bool {
    *event_v == 0
}

pub(crate) fn read_version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u8, D::Error> {
    known("message", VERSION_MIN..=VERSION, u8::deserialize(deserializer)?)
}

fn read_event_version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u8, D::Error> {
    known("event", event::VERSION_MIN..=event::VERSION, u8::deserialize(deserializer)?)
}

fn known<E: Error>(what: &str, read: RangeInclusive<u8>, version: u8) -> Result<u8, E> {
    if read.contains(&version) {
        return Ok(version);
    }
    let (min, max) = read.into_inner();
    Err(E::custom(format_args!(
        "{what} version {version} is not known here: {min} to {max} are; update the reader"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::value::RawValue;
    use std::{boxed::Box, string::ToString};

    #[test]
    fn an_envelope_is_as_documented() {
        let id = |text| Id::new(text).unwrap();
        let envelope = Envelope {
            v: VERSION,
            event_v: event::VERSION,
            from: Gateway { tenant: id("acme"), store: id("s1"), gateway: id("gw-1") },
            stream: Stream::Stock,
            spool_id: EventId([7; 16]),
            first_seq: 41,
            count: 2,
            sent_at: Timestamp::from_ms(0),
            replayed: false,
            plan: id("7"),
            business_date: jiff::civil::date(2026, 3, 4),
            events: [r#"{"a":1}"#, r#"{"b":2}"#]
                .map(|json| serde_json::from_str::<Box<RawValue>>(json).unwrap())
                .to_vec(),
        };
        expect_test::expect![[r#"{"v":1,"tenant":"acme","store":"s1","gateway":"gw-1","stream":"stock","spool_id":"07070707070707070707070707070707","first_seq":41,"count":2,"sent_at":"1970-01-01T00:00:00.000Z","replayed":false,"plan":"7","business_date":"2026-03-04","events":[{"a":1},{"b":2}]}"#]]
            .assert_eq(&serde_json::to_string(&envelope).unwrap());
    }

    const BATCH: &str = r#"{"v":1,"tenant":"acme","store":"s1","gateway":"gw-1","stream":"stock","spool_id":"07070707070707070707070707070707","first_seq":1,"count":1,"sent_at":"1970-01-01T00:00:00.000Z","replayed":false,"plan":"7","business_date":"2026-03-04","events":[{"id":"00000000000000000000000000000000","time":"1970-01-01T00:00:00.000Z","clock":"synced","type":"dance","steps":[1]}]}"#;

    fn read(json: &str) -> Result<Envelope, std::string::String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn an_unknown_type_leaves_the_envelope_readable_and_is_never_written() {
        let envelope = read(BATCH).unwrap();
        assert_eq!(envelope.events[0].body, event::Body::Unknown);
        assert_eq!(envelope.events[0].body.stream(), None);
        assert!(serde_json::to_string(&envelope).is_err());
    }

    #[test]
    fn other_versions_are_named() {
        let of_message = read(&BATCH.replace(r#""v":1"#, r#""v":9,"shape":{}"#)).unwrap_err();
        assert!(of_message.starts_with("message version 9 is not known here: 1 to 1 are"), "{of_message}");
        let of_events = read(&BATCH.replace(r#""v":1"#, r#""v":1,"event_v":7"#)).unwrap_err();
        assert!(of_events.starts_with("event version 7 is not known here: 0 to 0 are"), "{of_events}");
        assert!(read(&BATCH.replace(r#""v":1"#, r#""v":1,"event_v":0"#)).is_ok());
    }
}
