//! How far one lane is read, sent and acknowledged. Pure: what was read and what time it is are arguments.
//!
//! The lane's cursor is the position up to which everything is acknowledged, has no record, or was given up. Batches
//! of a lane interleave, so that is one below the first position of any batch that waits, is in flight, or waits for
//! the platform's mark, or everything read when there is none.
//!
//! Batches of a stream that rests wait beside what others send: reading goes on past them, up to a bound.

use super::{
    batch::{self, Batch, Limits, Refused},
    passed::Passed,
};
use crate::spool::Chunk;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};
use tokio::time::Instant;
use vitrine_protocol::{time::Timestamp, topic::Stream};

/// While something is in flight, what comes in is gathered for so long.
const LINGER: Duration = Duration::from_millis(50);

/// Reading goes on past streams that rest while fewer events wait.
const WAITING_EVENTS_MAX: usize = 4096;

/// Sending goes on while fewer events wait for the platform's mark: less than the spool remembers the numbers of.
const UNCONFIRMED_EVENTS_MAX: usize = 32 * 1024;

/// A lane as the uplink sees it.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// Where to read on.
    next_pos: u64,
    /// Where to stop reading, if not at the lane's end.
    stop_pos: Option<u64>,
    /// What was read and not sent, by first position.
    waiting: VecDeque<Batch>,
    waiting_events: usize,
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
    /// Positions above the cursor that are acknowledged: at most as many as a window, and what waits for marks, hold.
    acknowledged: BTreeSet<u64>,
    /// Positions that are not to be sent again.
    passed: Passed,
    /// Batches that the broker has, and the platform not yet, by first position.
    unconfirmed: BTreeMap<u64, Unconfirmed>,
    unconfirmed_events: usize,
    /// The highest position that was refused.
    refused_upto: u64,
}

#[derive(Debug)]
struct Unconfirmed {
    stream: Stream,
    last_seq: u64,
    events: usize,
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
    /// Forgets what was read beyond `cursor`: a new connection starts there, and reads up to `stop_pos`.
    pub(super) fn rewind(&mut self, cursor: u64, stop_pos: Option<u64>) {
        self.cursor = cursor;
        self.next_pos = cursor + 1;
        self.stop_pos = stop_pos;
        self.waiting.clear();
        self.waiting_events = 0;
        self.unconfirmed.clear();
        self.unconfirmed_events = 0;
        self.at_end = false;
        self.held_until = None;
        self.changed_at = None;
    }

    /// Starts at `pos`, where nothing was ever sent.
    pub(super) fn start_new(&mut self, pos: u64) {
        *self = Self { caught_up_once: true, ..Self::default() };
        self.rewind(pos.saturating_sub(1), None);
    }

    /// Where to read on, if it is time to. `may` says of a batch whether it may be sent; `is_idle`, whether nothing is
    /// in flight.
    pub(super) fn read_from(&self, may: impl Fn(&Batch) -> bool, now: Instant, is_idle: bool) -> Option<u64> {
        let lingers = !is_idle && self.lingers_until().is_some_and(|until| now < until);
        let is_time =
            !self.at_end && !lingers && !self.is_stalled() && self.waiting_events < WAITING_EVENTS_MAX;
        (is_time && self.front(may).is_none()).then_some(self.next_pos)
    }

    /// Until when what comes in is gathered, if something is in flight.
    pub(super) fn lingers_until(&self) -> Option<Instant> {
        self.changed_at.map(|at| at + LINGER)
    }

    /// What was read at [`Reader::read_from`]. Returns the events that are refused, each only once.
    pub(super) fn read(&mut self, chunk: Chunk, limits: Limits) -> Vec<Refused> {
        let Chunk { mut records, mut next_pos, mut held_until, is_obstructed } = chunk;
        self.source =
            Source { may_be_older_than_the_agent: !self.caught_up_once, live_since: self.changed_at.take() };
        let found_nothing = records.is_empty();
        let mut is_stopped = false;
        if let Some(stop_pos) = self.stop_pos {
            records.retain(|record| record.pos < stop_pos);
            is_stopped = next_pos >= stop_pos;
            next_pos = next_pos.min(stop_pos);
            held_until = held_until.filter(|_| !is_stopped);
        }
        self.at_end = held_until.is_some() || is_stopped || (found_nothing && next_pos <= self.next_pos);
        self.caught_up_once |= self.at_end && !is_obstructed && self.stop_pos.is_none();
        self.held_until = held_until;
        self.next_pos = self.next_pos.max(next_pos);
        records.retain(|record| !self.passed.has(record.pos));
        let (batches, mut refused) = batch::cut(records, limits);
        self.waiting_events += batches.iter().map(|batch| batch.positions.len()).sum::<usize>();
        self.waiting.extend(batches);
        refused.retain(|event| event.pos > self.refused_upto);
        self.refused_upto = refused.last().map_or(self.refused_upto, |event| event.pos);
        refused
    }

    /// The batch to send next.
    pub(super) fn front(&self, may: impl Fn(&Batch) -> bool) -> Option<&Batch> {
        self.waiting.iter().find(|batch| may(batch)).filter(|_| !self.is_stalled())
    }

    /// Takes the batch to send next, or its beginning, if `events_max` allows no more.
    pub(super) fn pop(
        &mut self,
        may: impl Fn(&Batch) -> bool,
        events_max: impl Fn(&Batch) -> usize,
    ) -> Option<(Batch, Source)> {
        let index = self.waiting.iter().position(may).filter(|_| !self.is_stalled())?;
        let waiting = self.waiting.get_mut(index)?;
        let most = events_max(waiting);
        let batch = match waiting.split(most) {
            Some(first) => first,
            None => self.waiting.remove(index)?,
        };
        self.waiting_events -= batch.positions.len();
        Some((batch, self.source))
    }

    /// A batch was refused, and is to be sent once more. Nothing of its stream was sent after it.
    pub(super) fn put_back(&mut self, batch: Batch) {
        let index = self.waiting.partition_point(|other| other.first_pos() < batch.first_pos());
        self.waiting_events += batch.positions.len();
        self.waiting.insert(index, batch);
    }

    /// The positions from `first` to `last` are not to be sent again.
    pub(super) fn pass(&mut self, first: u64, last: u64) {
        self.passed.add(first, last);
    }

    /// Something was committed, in this lane or another.
    pub(super) fn changed(&mut self, now: Instant) {
        if self.at_end && self.stop_pos.is_none() {
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

    /// Of the batch at these positions, the platform's mark is waited for.
    pub(super) fn await_mark(&mut self, positions: &[u64], stream: Stream, last_seq: u64) {
        let Some(&first) = positions.first() else { return };
        let events = positions.len();
        if self.unconfirmed.insert(first, Unconfirmed { stream, last_seq, events }).is_none() {
            self.unconfirmed_events += events;
        }
    }

    /// The platform has `stream` up to this number.
    pub(super) fn confirm(&mut self, stream: Stream, upto: u64) {
        let is_had = |of: Stream, last_seq| of == stream && last_seq <= upto;
        self.unconfirmed.retain(|_, batch| !is_had(batch.stream, batch.last_seq));
        self.unconfirmed_events = self.unconfirmed.values().map(|batch| batch.events).sum();
        self.waiting.retain(|batch| !is_had(batch.stream, batch.last_seq()));
        self.waiting_events = self.waiting.iter().map(|batch| batch.positions.len()).sum();
    }

    /// Whether a platform's mark is waited for.
    pub(super) fn awaits_marks(&self) -> bool {
        !self.unconfirmed.is_empty()
    }

    fn is_stalled(&self) -> bool {
        self.unconfirmed_events >= UNCONFIRMED_EVENTS_MAX
    }

    /// Moves the cursor, where `first_in_flight` is the first position of any batch in flight. Returns the new
    /// cursor if it moved.
    pub(super) fn settle(&mut self, first_in_flight: Option<u64>) -> Option<u64> {
        let first_waiting = self.waiting.front().map(Batch::first_pos);
        let first_unconfirmed = self.unconfirmed.first_key_value().map(|(&first, _)| first);
        let firsts = [first_in_flight, first_waiting, first_unconfirmed];
        let first = firsts.into_iter().flatten().min().unwrap_or(self.next_pos);
        self.move_to(first.saturating_sub(1))
    }

    /// Moves the cursor up to `cursor`. Returns it if that is a move.
    pub(super) fn move_to(&mut self, cursor: u64) -> Option<u64> {
        if cursor <= self.cursor {
            return None;
        }
        self.cursor = cursor;
        self.acknowledged = self.acknowledged.split_off(&(cursor + 1));
        self.passed.forget(cursor);
        Some(cursor)
    }

    /// The lane's cursor.
    pub(super) fn cursor(&self) -> u64 {
        self.cursor
    }

    /// Whether something that was read waits to be sent.
    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Everything that was there before the agent started was sent.
    pub(super) fn has_caught_up(&mut self) {
        self.caught_up_once = true;
    }

    /// Whether everything was sent that was there before the agent started.
    pub(super) fn caught_up_once(&self) -> bool {
        self.caught_up_once
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
        reader.rewind(0, None);
        reader
    }

    fn read_from(reader: &Reader) -> Option<u64> {
        reader.read_from(|_| true, Instant::now(), true)
    }

    fn pop(reader: &mut Reader) -> Option<(Batch, Source)> {
        reader.pop(|_| true, |_| usize::MAX)
    }

    fn read(reader: &mut Reader, chunk: Chunk) {
        assert_eq!(reader.read(chunk, Limits::new(None)), []);
    }

    #[test]
    fn reads_on_until_the_end_and_again_after_a_change() {
        let mut reader = reader();
        assert_eq!(read_from(&reader), Some(1));
        read(&mut reader, chunk([(1, Stream::Stock)], 2));
        assert_eq!(read_from(&reader), None, "a batch waits");
        pop(&mut reader).unwrap();
        read(&mut reader, chunk([], 5));
        assert_eq!(read_from(&reader), Some(5), "positions without records are passed over");
        assert!(!reader.is_drained());
        read(&mut reader, chunk([], 5));
        assert_eq!((read_from(&reader), reader.is_drained()), (None, true));
        reader.changed(Instant::now());
        assert_eq!((read_from(&reader), reader.is_drained()), (Some(5), false));
    }

    #[test]
    fn only_what_a_change_brings_to_a_lane_at_its_end_is_live() {
        let (mut reader, now) = (reader(), Instant::now());
        let source = |reader: &mut Reader, pos| {
            read(reader, chunk([(pos, Stream::Stock)], pos + 1));
            pop(reader).unwrap().1
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
        assert_eq!((reader.held_until(), read_from(&reader)), (Some(due), None));
        reader.release(due);
        assert_eq!((reader.held_until(), read_from(&reader)), (None, Some(1)));
    }

    #[test]
    fn refuses_an_event_once_and_passes_over_it() {
        let mut reader = reader();
        for expected in [1, 0] {
            let mut chunk = chunk([(1, Stream::Stock)], 2);
            chunk.records[0].json = "no".into();
            assert_eq!(reader.read(chunk, Limits::new(None)).len(), expected);
            reader.rewind(0, None);
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
        pop(&mut reader).unwrap();
        assert_eq!(reader.settle(None), Some(1));
        reader.rewind(1, None);
        assert_eq!(reader.acknowledged(&[3]), 0);
        assert_eq!(reader.acknowledged(&[2]), 1);
        read(&mut reader, chunk([], 4));
        assert_eq!(reader.settle(None), Some(3));
        assert_eq!(reader.acknowledged(&[3]), 0);
        assert_eq!(reader.acknowledged, BTreeSet::new());
    }

    #[test]
    fn what_comes_while_something_is_in_flight_is_gathered() {
        let (mut reader, now) = (reader(), Instant::now());
        read(&mut reader, chunk([], 1));
        reader.changed(now);
        reader.changed(now + LINGER / 2);
        assert_eq!(reader.read_from(|_| true, now, true), Some(1), "at once when idle");
        assert_eq!(reader.read_from(|_| true, now + LINGER * 9 / 10, false), None);
        assert_eq!(reader.read_from(|_| true, now + LINGER, false), Some(1));
    }

    #[test]
    fn a_stream_that_rests_is_read_past_and_holds_the_cursor() {
        let mut reader = reader();
        read(&mut reader, chunk([(1, Stream::Door), (2, Stream::Till), (3, Stream::Till)], 4));
        let may = |batch: &Batch| batch.stream != Stream::Door;
        assert_eq!(reader.pop(may, |_| 1).unwrap().0.positions, [2]);
        assert_eq!(reader.pop(may, |_| 1).unwrap().0.positions, [3]);
        assert_eq!((reader.read_from(may, Instant::now(), true), reader.settle(None)), (Some(4), None));
        let (door, _) = pop(&mut reader).unwrap();
        assert_eq!(reader.settle(Some(1)), None);
        reader.put_back(door);
        assert_eq!(reader.settle(None), None);
        pop(&mut reader).unwrap();
        assert_eq!(reader.settle(None), Some(3));
    }

    #[test]
    fn the_platforms_mark_frees_what_it_covers_and_a_backlog_stops_where_it_is_told() {
        let mut reader = reader();
        reader.rewind(0, Some(4));
        read(&mut reader, chunk([(1, Stream::Door), (3, Stream::Door), (4, Stream::Door)], 5));
        while let Some((batch, _)) = pop(&mut reader) {
            reader.await_mark(&batch.positions, batch.stream, batch.last_seq());
        }
        reader.changed(Instant::now());
        assert!(reader.is_drained() && reader.awaits_marks());
        assert_eq!(reader.settle(None), None);
        reader.confirm(Stream::Till, 9);
        reader.confirm(Stream::Door, 2);
        assert_eq!(reader.settle(None), Some(2));
        reader.confirm(Stream::Door, 3);
        assert_eq!((reader.settle(None), reader.awaits_marks()), (Some(3), false));
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
                let (send, choice) = order.next().map_or((reader.front(|_| true).is_some(), None), |(s, c)| (s, Some(c)));
                if send || in_flight.is_empty() {
                    in_flight.extend(pop(&mut reader).map(|(batch, _)| batch));
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
