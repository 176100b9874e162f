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
pub(super) const LINGER: Duration = Duration::from_millis(50);

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
        let mut rest = self.waiting.remove(index)?;
        let most = events_max(&rest);
        let batch = match rest.split(most) {
            Some(first) => {
                self.insert(rest);
                first
            }
            None => rest,
        };
        self.waiting_events -= batch.positions.len();
        Some((batch, self.source))
    }

    /// A batch was refused, and is to be sent once more. Nothing of its stream was sent after it.
    pub(super) fn put_back(&mut self, batch: Batch) {
        self.waiting_events += batch.positions.len();
        self.insert(batch);
    }

    /// Puts a batch where it stands by its first position: what waits is in that order, for the cursor is below its front.
    fn insert(&mut self, batch: Batch) {
        let index = self.waiting.partition_point(|other| other.first_pos() < batch.first_pos());
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

    /// Whether the platform's mark of `stream` is waited for.
    pub(super) fn awaits_mark_of(&self, stream: Stream) -> bool {
        self.unconfirmed.values().any(|batch| batch.stream == stream)
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
mod tests;
