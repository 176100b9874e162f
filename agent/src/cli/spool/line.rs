//! An event of a spool as a line of JSON, with all that its envelope would say: the platform can take it from there.

use crate::spool::{Entry, Lane, Record};
use serde::Serialize;
use serde_json::value::RawValue;
use std::io::{self, Write};
use vitrine_protocol::{Id, event::EventId, time::Timestamp, topic::Stream};

#[derive(Serialize)]
struct Line<'a> {
    spool_id: Option<EventId>,
    lane: Lane,
    pos: u64,
    stream: Stream,
    seq: u64,
    plan: Id,
    business_date: jiff::civil::Date,
    written_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    held_until: Option<Timestamp>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    unconfirmed: bool,
    event: Event<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Event<'a> {
    Json(&'a RawValue),
    /// The spool takes any text.
    Text(&'a str),
}

/// Prints an event of the spool that was born as `spool_id`.
pub(super) fn print(
    out: &mut impl Write,
    spool_id: Option<EventId>,
    entry: &Entry,
    unconfirmed: bool,
) -> io::Result<()> {
    let Entry { record, written_at, hold_until } = entry;
    let Record { pos, stream, seq, context, json } = record;
    let line = Line {
        spool_id,
        lane: Lane::of(*stream),
        pos: *pos,
        stream: *stream,
        seq: *seq,
        plan: context.plan,
        business_date: context.business_date,
        written_at: *written_at,
        held_until: *hold_until,
        unconfirmed,
        event: serde_json::from_str(json).map_or(Event::Text(json), Event::Json),
    };
    serde_json::to_writer(&mut *out, &line)?;
    out.write_all(b"\n")
}
