//! The wrapper of a batch: one MQTT message.
//!
//! A batch holds events of one stream with contiguous sequence numbers: the number of an event is `first_seq`
//! plus its index. Batches may be repeated, and cut differently when they are repeated; a reader drops
//! duplicates by (`spool_id`, `stream`, number).

use crate::{
    Id,
    event::{Event, EventId},
    time::Timestamp,
    topic::{Gateway, Stream},
};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// The version of the envelope that is written.
pub const VERSION: u8 = 1;

/// A batch of events. `E` is [`Event`] for a reader; a writer may have the events serialised already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope<E = Event> {
    /// [`VERSION`].
    pub v: u8,
    /// Who sends it.
    #[serde(flatten)]
    pub from: Gateway,
    /// The stream of all the events.
    pub stream: Stream,
    /// The birth id of the gateway's spool: sequence numbers start anew under another one.
    pub spool_id: EventId,
    /// The first event's sequence number, from 1, below 2^53.
    pub first_seq: u64,
    /// How many events.
    pub count: u32,
    /// When the batch was sent.
    pub sent_at: Timestamp,
    /// Whether it may have been sent before.
    pub replayed: bool,
    /// The version of the tagging plan in force when the events were made.
    pub plan: Id,
    /// The store-day of the events, in the plan's time zone.
    pub business_date: jiff::civil::Date,
    /// The events.
    pub events: Vec<E>,
}

/// What the retained message on the status topic says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// [`VERSION`].
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
}

/// See [`Status::state`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Connected.
    Online,
    /// Left in good order.
    Offline,
    /// The connection broke: the broker says so on the agent's behalf.
    Lost,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::value::RawValue;
    use std::boxed::Box;

    #[test]
    fn an_envelope_is_as_documented() {
        let id = |text| Id::new(text).unwrap();
        let envelope = Envelope {
            v: VERSION,
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
}
