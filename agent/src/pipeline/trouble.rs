//! Faults that shelves' controllers report: an event each, at once.

use super::Output;
use crate::{
    capture::{ShelfTrouble, Trouble, measured},
    clock::Now,
    ids::Ids,
};
use vitrine_protocol::event::{Body, EventId};

/// The event, and its name.
pub(super) fn event(ids: Ids, trouble: ShelfTrouble, now: Now) -> (EventId, Output) {
    let ShelfTrouble { id, age_ms, trouble } = trouble;
    let (shelf, facing, body) = match trouble {
        Trouble::Facing(fault) => (fault.shelf, Some(fault.facing), Body::Fault(fault)),
        Trouble::Shelf(fault) => (fault.shelf, None, Body::ShelfFault(fault)),
    };
    let facing = facing.map(|facing| facing.as_str().to_owned()).unwrap_or_default();
    let id = ids.derive(&[b"trouble", shelf.as_str().as_bytes(), facing.as_bytes(), &id.0]);
    (id, Output::Event { id, at: measured(now, age_ms), body })
}
