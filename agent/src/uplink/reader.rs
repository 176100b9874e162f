//! How far one lane is read, sent and acknowledged. Pure: what was read and what time it is are arguments.
//!
//! The lane's cursor is the position up to which everything is acknowledged, has no record, or was refused. Batches
//! of a lane interleave, so that is one below the first position of any batch that waits or is in flight, or
//! everything read when there is none.

use super::batch::{self, Batch, Limits, Refused};
use crate::spool::Chunk;
use std::collections::{BTreeSet, VecDeque};
use tokio::time::Instant;
use vitrine_protocol::time::Timestamp;

/// A lane as the uplink sees it.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// Where to read on.
    next_pos: u64,
    /// What was read and not sent: at most one chunk.
    waiting: VecDeque<Batch>,
    /// There was nothing more to read when last looked.
    at_end: bool,
    held_until: Option<Timestamp>,
    /// The lane was read to its end since the agent started.
    caught_up_once: bool,
    /// When the lane, read to its end, was said to have changed, until it is read.
    changed_at: Option<Instant>,
    /// Of the chunk read last.
    source: Source,
    cursor: u64,
    /// Positions above the cursor that are acknowledged: at most as many as a window holds.
    acknowledged: BTreeSet<u64>,
    /// The highest position that was refused.
    refused_upto: u64,
}

/// Where the batches of a chunk come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Source {
    /// They may have been sent before the agent started. The spool does not say how far it reached then, so this
    /// holds of everything until the lane's end was reached once.
    pub(super) may_be_older_than_the_agent: bool,
    /// When the change was seen that they are due to, if the lane had been at its end.
    pub(super) live_since: Option<Instant>,
}

impl Reader {
    /// Forgets what was read beyond `cursor`: a new connection starts there.
    pub(super) fn rewind(&mut self, cursor: u64) {
        self.cursor = cursor;
        self.next_pos = cursor + 1;
        self.waiting.clear();
        self.at_end = false;
        self.held_until = None;
        self.changed_at = None;
    }

    /// Where to read on, if it is time to.
    pub(super) fn read_from(&self) -> Option<u64> {
        (self.waiting.is_empty() && !self.at_end).then_some(self.next_pos)
    }

    /// What was read at [`Reader::read_from`]. Returns the events that are refused, each only once.
    pub(super) fn read(&mut self, chunk: Chunk, limits: Limits) -> Vec<Refused> {
        let Chunk { records, next_pos, held_until, is_obstructed } = chunk;
        self.source =
            Source { may_be_older_than_the_agent: !self.caught_up_once, live_since: self.changed_at.take() };
        self.at_end = held_until.is_some() || (records.is_empty() && next_pos <= self.next_pos);
        self.caught_up_once |= self.at_end && !is_obstructed;
        self.held_until = held_until;
        self.next_pos = self.next_pos.max(next_pos);
        let (batches, mut refused) = batch::cut(records, limits);
        self.waiting.extend(batches);
        refused.retain(|event| event.pos > self.refused_upto);
        self.refused_upto = refused.last().map_or(self.refused_upto, |event| event.pos);
        refused
    }

    /// The batch to send next.
    pub(super) fn front(&self) -> Option<&Batch> {
        self.waiting.front()
    }

    /// Takes the batch to send next.
    pub(super) fn pop(&mut self) -> Option<(Batch, Source)> {
        Some((self.waiting.pop_front()?, self.source))
    }

    /// Something was committed, in this lane or another.
    pub(super) fn changed(&mut self, now: Instant) {
        if self.at_end {
            self.at_end = false;
            self.changed_at = Some(now);
        }
    }

    /// When to look again for what is held back.
    pub(super) fn held_until(&self) -> Option<Timestamp> {
        self.held_until
    }

    /// Looks whether what is held back has become readable.
    pub(super) fn release(&mut self, now: Timestamp) {
        if self.held_until.is_some_and(|until| until <= now) {
            self.held_until = None;
            self.at_end = false;
        }
    }

    /// The events at `positions` are acknowledged. Returns how many of them had not been before.
    pub(super) fn acknowledged(&mut self, positions: &[u64]) -> u64 {
        let above = positions.iter().filter(|&&pos| pos > self.cursor);
        above.map(|&pos| u64::from(self.acknowledged.insert(pos))).sum()
    }

    /// Moves the cursor, where `first_in_flight` is the first position of any batch in flight. Returns the new
    /// cursor if it moved.
    pub(super) fn settle(&mut self, first_in_flight: Option<u64>) -> Option<u64> {
        let first_waiting = self.waiting.front().map(Batch::first_pos);
        let first = [first_in_flight, first_waiting].into_iter().flatten().min().unwrap_or(self.next_pos);
        let cursor = first.saturating_sub(1);
        if cursor <= self.cursor {
            return None;
        }
        self.cursor = cursor;
        self.acknowledged = self.acknowledged.split_off(&first);
        Some(cursor)
    }

    /// Whether all that could be read was sent.
    pub(super) fn is_drained(&self) -> bool {
        self.at_end && self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::{Context, Record};
    use proptest::prelude::*;
    use vitrine_protocol::{Id, topic::Stream};

    fn chunk(positions: impl IntoIterator<Item = (u64, Stream)>, next_pos: u64) -> Chunk {
        let context = Context { plan: Id::new("7").unwrap(), business_date: jiff::civil::date(2026, 3, 4) };
        let record = |(pos, stream)| Record { pos, stream, seq: pos, context, json: "1".into() };
        Chunk { records: positions.into_iter().map(record).collect(), next_pos, ..Chunk::default() }
    }

    fn reader() -> Reader {
        let mut reader = Reader::default();
        reader.rewind(0);
        reader
    }

    fn read(reader: &mut Reader, chunk: Chunk) {
        assert_eq!(reader.read(chunk, Limits::new(None)), []);
    }

    #[test]
    fn reads_on_until_the_end_and_again_after_a_change() {
        let mut reader = reader();
        assert_eq!(reader.read_from(), Some(1));
        read(&mut reader, chunk([(1, Stream::Stock)], 2));
        assert_eq!(reader.read_from(), None, "a batch waits");
        reader.pop().unwrap();
        read(&mut reader, chunk([], 5));
        assert_eq!(reader.read_from(), Some(5), "positions without records are passed over");
        assert!(!reader.is_drained());
        read(&mut reader, chunk([], 5));
        assert_eq!((reader.read_from(), reader.is_drained()), (None, true));
        reader.changed(Instant::now());
        assert_eq!((reader.read_from(), reader.is_drained()), (Some(5), false));
    }

    #[test]
    fn only_what_a_change_brings_to_a_lane_at_its_end_is_live() {
        let (mut reader, now) = (reader(), Instant::now());
        let source = |reader: &mut Reader, pos| {
            read(reader, chunk([(pos, Stream::Stock)], pos + 1));
            reader.pop().unwrap().1
        };
        reader.changed(now);
        let old = Source { may_be_older_than_the_agent: true, live_since: None };
        assert_eq!(source(&mut reader, 1), old);
        read(&mut reader, chunk([], 2));
        reader.changed(now);
        reader.changed(now + std::time::Duration::from_secs(1));
        let live = Source { may_be_older_than_the_agent: false, live_since: Some(now) };
        assert_eq!(source(&mut reader, 2), live);
        reader.changed(now);
        assert_eq!(source(&mut reader, 3), Source { live_since: None, ..live }, "a backlog");
    }

    #[test]
    fn looks_again_when_what_is_held_is_due() {
        let (mut reader, due) = (reader(), Timestamp::from_ms(900_000));
        read(&mut reader, Chunk { held_until: Some(due), ..chunk([], 1) });
        reader.release(due.plus_ms(-1));
        assert_eq!((reader.held_until(), reader.read_from()), (Some(due), None));
        reader.release(due);
        assert_eq!((reader.held_until(), reader.read_from()), (None, Some(1)));
    }

    #[test]
    fn refuses_an_event_once_and_passes_over_it() {
        let mut reader = reader();
        for expected in [1, 0] {
            let mut chunk = chunk([(1, Stream::Stock)], 2);
            chunk.records[0].json = "no".into();
            assert_eq!(reader.read(chunk, Limits::new(None)).len(), expected);
            reader.rewind(0);
        }
        read(&mut reader, chunk([], 2));
        assert_eq!(reader.settle(None), Some(1));
    }

    #[test]
    fn counts_an_event_once_however_often_it_is_acknowledged() {
        let mut reader = reader();
        read(&mut reader, chunk([(1, Stream::Door), (2, Stream::Till), (3, Stream::Door)], 4));
        assert_eq!(reader.acknowledged(&[1, 3]), 2);
        assert_eq!(reader.acknowledged(&[1]), 0);
        reader.pop().unwrap();
        assert_eq!(reader.settle(None), Some(1));
        reader.rewind(1);
        assert_eq!(reader.acknowledged(&[3]), 0);
        assert_eq!(reader.acknowledged(&[2]), 1);
        read(&mut reader, chunk([], 4));
        assert_eq!(reader.settle(None), Some(3));
        assert_eq!(reader.acknowledged(&[3]), 0);
        assert_eq!(reader.acknowledged, BTreeSet::new());
    }

    proptest! {
        /// Batches acknowledged in any order: the cursor is always just below the first position that still
        /// counts, and nothing is left in the end.
        #[test]
        fn the_cursor_never_passes_what_is_not_acknowledged(
            steps in prop::collection::vec((any::<bool>(), 1_u64..4), 1..300),
            order in prop::collection::vec((any::<bool>(), any::<prop::sample::Index>()), 0..40),
        ) {
            let mut reader = reader();
            let mut pos = 0;
            let positions: Vec<_> = steps.into_iter().map(|(door, step)| {
                pos += step;
                (pos, if door { Stream::Door } else { Stream::Till })
            }).collect();
            let mut open: BTreeSet<u64> = positions.iter().map(|&(pos, _)| pos).collect();
            read(&mut reader, chunk(positions, pos + 3));
            let mut in_flight: Vec<Batch> = Vec::new();
            let mut order = order.into_iter();
            while !open.is_empty() {
                let (send, choice) = order.next().map_or((reader.front().is_some(), None), |(s, c)| (s, Some(c)));
                if send || in_flight.is_empty() {
                    in_flight.extend(reader.pop().map(|(batch, _)| batch));
                } else {
                    let choice = choice.map_or(0, |choice| choice.index(in_flight.len()));
                    let batch = in_flight.swap_remove(choice);
                    prop_assert_eq!(reader.acknowledged(&batch.positions), batch.positions.len() as u64);
                    batch.positions.iter().for_each(|pos| { open.remove(pos); });
                }
                reader.settle(in_flight.iter().map(Batch::first_pos).min());
                let first_open = open.first().copied().unwrap_or(pos + 3);
                prop_assert!(reader.cursor < first_open);
            }
            prop_assert_eq!(reader.cursor, pos + 2);
        }
    }
}
