//! Counts of doors and tills: an event each, at once.

use super::Output;
use crate::{
    capture::{Count, CountInput},
    clock::Now,
    ids::Ids,
};
use vitrine_protocol::event::{Body, DoorCount, EventId, TillCount};

pub(super) fn event_id(ids: Ids, input: &CountInput) -> EventId {
    ids.derive(&[b"count", input.counter.as_str().as_bytes(), &input.id.0])
}

pub(super) fn event(id: EventId, input: &CountInput, at: Now) -> Output {
    let counter = input.counter;
    let body = match input.count {
        Count::Door { entries, exits } => Body::DoorCount(DoorCount { counter, entries, exits }),
        Count::Till { transactions } => Body::TillCount(TillCount { counter, transactions }),
    };
    Output::Event { id, at, body }
}
