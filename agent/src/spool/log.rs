//! One lane on disk: its segments in order, and where writing and reading stand.
//!
//! [`Log`] is what the committer and readers share; [`super::writer`] appends to it, this file reads from it.

use super::{
    Chunk, Lane, Loss, Mark, Record, RecordBody,
    block::{self, Block},
    segment::{self, Segment, SegmentError},
};
use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};
use vitrine_protocol::time::Timestamp;

/// A read ends after so many records, or so many octets of events.
const CHUNK_RECORDS: usize = 512;
const CHUNK_BYTES: usize = 256 * 1024;
/// How long to wait before a segment is tried again that cannot be read for now.
const RETRY_MS: i64 = 1000;
/// A hold that lies farther ahead than this (a slot has at most an hour) can only come from a clock that was set back since; it is over.
const LONGEST_HOLD_MS: i64 = 2 * 3600 * 1000;

/// A lane's segments and positions.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) lane: Lane,
    slots: Mutex<VecDeque<Slot>>,
    /// Where the first of the slots starts: known even where that segment cannot be read.
    pub(super) oldest: Mutex<Mark>,
    reader: Mutex<Reader>,
    /// The position after the last durable record.
    pub(super) durable: AtomicU64,
    /// The position up to which everything is acknowledged.
    pub(super) cursor: AtomicU64,
}

/// A segment of the lane, open or not.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) first_pos: u64,
    pub(super) dir: PathBuf,
    pub(super) segment: Option<Arc<Segment>>,
    /// Where it starts; known once it was opened or created.
    pub(super) mark: Option<Mark>,
    /// Some part of it cannot be read. It is set aside, instead of removed, once the rest is drained.
    pub(super) damaged: bool,
    /// It cannot be opened, which is not tried again.
    pub(super) closed: bool,
}

impl Slot {
    pub(super) fn new(first_pos: u64, dir: PathBuf) -> Self {
        Self { first_pos, dir, segment: None, mark: None, damaged: false, closed: false }
    }

    /// Remembers how opening it went.
    pub(super) fn opened(&mut self, opened: &Result<Arc<Segment>, SegmentError>) {
        match opened {
            Ok(segment) => {
                self.mark = Some(segment.mark().clone());
                self.segment = Some(segment.clone());
            }
            Err(error) => self.closed |= !error.is_passing(),
        }
    }
}

/// Opens the segment in `dir`, if it is not `open`; one that was poisoned gets new files. Takes a while: not to be called
/// with the slots locked.
pub(super) fn open(dir: &Path, open: Option<Arc<Segment>>) -> Result<Arc<Segment>, SegmentError> {
    match open {
        Some(segment) if !segment.is_poisoned() => Ok(segment),
        Some(_) => {
            segment::copy(dir).map_err(SegmentError::Copy)?;
            Ok(Arc::new(Segment::open(dir)?))
        }
        None => Ok(Arc::new(Segment::open(dir)?)),
    }
}

/// Runs something that goes through sled, which may panic on damaged files.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T, SegmentError>) -> Result<T, SegmentError> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or(Err(SegmentError::Panicked))
}

/// Where the last read ended.
#[derive(Debug, Default)]
struct Reader {
    at: Mark,
    /// Whether the sequence numbers of `at` are known, so that missing ones show at the next segment.
    seqs_known: bool,
    /// The segment being read, by first position.
    slot: Option<u64>,
}

/// What a read came across besides records.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// First positions of segments newly found to be damaged, and how.
    pub(super) damaged: Vec<(u64, SegmentError)>,
    /// Sequence numbers that are missing.
    pub(super) losses: Vec<Loss>,
}

/// Why reading a segment ended.
enum Ended {
    /// There is nothing more to read in it.
    Exhausted,
    /// The chunk is full, or a record is held.
    Early,
}

impl Log {
    pub(super) fn new(lane: Lane, slots: VecDeque<Slot>, oldest: Mark, durable: u64, cursor: u64) -> Self {
        Self {
            lane,
            slots: Mutex::new(slots),
            oldest: Mutex::new(oldest),
            reader: Mutex::default(),
            durable: AtomicU64::new(durable),
            cursor: AtomicU64::new(cursor),
        }
    }

    pub(super) fn slots(&self) -> MutexGuard<'_, VecDeque<Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads on from position `from`; see [`super::Spool::read`].
    pub(super) fn read(&self, from: u64, now: Timestamp) -> (Chunk, Findings) {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut chunk, mut found) = (Chunk::default(), Findings::default());
        if reader.at.pos != from {
            *reader = Reader::default();
        }
        let mut wanted = reader.slot.unwrap_or(from);
        while let Some((segment, first_pos, end)) = self.segment_at(wanted) {
            let limit = end.unwrap_or(u64::MAX).min(self.durable.load(Ordering::Acquire));
            let ended = segment.and_then(|segment| {
                if reader.slot != Some(first_pos) {
                    found.losses.extend(reader.enter(segment.mark(), first_pos));
                }
                let ended = guarded(|| reader.read(&segment, from, limit, now, &mut chunk))?;
                match end {
                    // sled takes damage in the middle of its file for the file's end.
                    Some(found) if matches!(ended, Ended::Exhausted) && reader.at.pos < found => {
                        Err(SegmentError::Hole { expected: reader.at.pos, found })
                    }
                    _ => Ok(ended),
                }
            });
            match ended {
                Ok(Ended::Early) => break,
                Ok(Ended::Exhausted) => {}
                Err(error) if error.is_passing() => {
                    tracing::warn!(segment = first_pos, %error, "cannot be read now; trying again");
                    chunk.held_until = Some(now.plus_ms(RETRY_MS));
                    chunk.is_obstructed = true;
                    break;
                }
                Err(error) => {
                    if self.mark_damaged(first_pos) {
                        found.damaged.push((first_pos, error));
                    }
                    if !reader.seqs_known {
                        let oldest = self.oldest.lock().unwrap_or_else(PoisonError::into_inner).clone();
                        *reader = Reader { at: oldest, seqs_known: true, slot: None };
                    }
                }
            }
            match end {
                Some(next) => wanted = next,
                None => break,
            }
        }
        chunk.next_pos = reader.at.pos.max(from);
        (chunk, found)
    }

    /// The segment that holds position `pos` (or the first one, if they all start later), where it starts, and
    /// where the next one starts. Segments before it are closed.
    #[allow(clippy::type_complexity, reason = "a name for it would say less")]
    fn segment_at(&self, pos: u64) -> Option<(Result<Arc<Segment>, SegmentError>, u64, Option<u64>)> {
        let mut slots = self.slots();
        let index = slots.partition_point(|slot| slot.first_pos <= pos).saturating_sub(1);
        let passed: Vec<_> = slots.iter_mut().take(index).filter_map(|slot| slot.segment.take()).collect();
        let end = slots.get(index + 1).map(|next| next.first_pos);
        let slot = slots.get(index)?;
        let (first_pos, dir) = (slot.first_pos, slot.dir.clone());
        let (segment, closed) = (slot.segment.clone(), slot.closed);
        drop(slots);
        drop(passed);
        if closed {
            return Some((Err(SegmentError::Closed), first_pos, end));
        }
        let before = segment.as_ref().map(Arc::as_ptr);
        let opened = open(&dir, segment);
        // Unless the committer has put another segment there meanwhile.
        let unchanged = |slot: &&mut Slot| {
            slot.first_pos == first_pos && slot.segment.as_ref().map(Arc::as_ptr) == before
        };
        if let Some(slot) = self.slots().iter_mut().find(unchanged) {
            slot.opened(&opened);
        }
        Some((opened, first_pos, end))
    }

    /// Remembers that a segment is damaged; `false` if that was known.
    fn mark_damaged(&self, first_pos: u64) -> bool {
        let mut slots = self.slots();
        let slot = slots.iter_mut().find(|slot| slot.first_pos == first_pos);
        slot.is_some_and(|slot| !std::mem::replace(&mut slot.damaged, true))
    }
}

impl Reader {
    /// Goes to the start of a segment; what should have come before it, and did not, is lost.
    fn enter(&mut self, mark: &Mark, first_pos: u64) -> Vec<Loss> {
        let losses = if self.seqs_known { mark.losses_since(&self.at) } else { Vec::new() };
        *self = Self { at: mark.clone(), seqs_known: true, slot: Some(first_pos) };
        losses
    }

    fn read(
        &mut self,
        segment: &Segment,
        from: u64,
        limit: u64,
        now: Timestamp,
        chunk: &mut Chunk,
    ) -> Result<Ended, SegmentError> {
        let mut bytes = 0;
        for item in segment.blocks(self.at.pos) {
            let (pos, value) = item?;
            if pos >= limit {
                break;
            }
            let block = checked(pos, self.at.pos, &value)?;
            let due = |hold: Timestamp| hold <= now || hold > now.plus_ms(LONGEST_HOLD_MS);
            if let Some(hold) = block.hold_until.filter(|&hold| !due(hold)) {
                chunk.held_until = Some(hold);
                return Ok(Ended::Early);
            }
            for body in block.records {
                let pos = self.at.pos;
                self.at.advance(&body);
                if let RecordBody::Event { stream, seq, json } = body
                    && pos >= from
                {
                    bytes += json.len();
                    chunk.records.push(Record { pos, stream, seq, context: block.context, json });
                }
            }
            if chunk.records.len() >= CHUNK_RECORDS || bytes >= CHUNK_BYTES {
                return Ok(Ended::Early);
            }
        }
        Ok(Ended::Exhausted)
    }
}

/// Decodes the block at `pos`, where one at `expected` should come next.
pub(super) fn checked(pos: u64, expected: u64, value: &[u8]) -> Result<Block, SegmentError> {
    if pos != expected {
        return Err(SegmentError::Hole { expected, found: pos });
    }
    block::decode(value).map_err(|error| SegmentError::Block { pos, error })
}
