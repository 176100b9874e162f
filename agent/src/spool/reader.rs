//! Reads a lane in order, and notices what is missing.
//!
//! The reader carries the number that each stream should have next. A mark or an event that is ahead of it tells of a loss,
//! whatever the reason: a block that does not read, a segment that is gone. Which losses are stated already is the committer's
//! to know.
//!
//! The segment being written is read through its database. A closed one is read by [`super::scan`]: for sled to open it would
//! write to it (measured: 5 % of its size), keep it in memory as a whole, and change what is damaged.

use super::{
    Chunk, Context, Mark, Record,
    block::{Codec, Content, Header},
    log::{Log, Place},
    mark::{Loss, RecordBody},
    scan::Scan,
    segment::{Segment, SegmentError, guarded},
};
use std::sync::{Arc, atomic::Ordering};
use vitrine_protocol::{event::GapReason, time::Timestamp};

/// A read ends after so many records, or so many octets of events.
const CHUNK_RECORDS: usize = 1024;
const CHUNK_BYTES: usize = 256 * 1024;
/// How long to wait before a segment is tried again that cannot be read for now.
const RETRY_MS: i64 = 1000;
/// A hold that lies farther ahead than this (a slot has at most an hour) can only come from a clock that was set back since;
/// it is over.
const LONGEST_HOLD_MS: i64 = 2 * 3600 * 1000;

/// Where the last read of a lane ended.
#[derive(Debug)]
pub(super) struct Reader {
    /// Whether it tells the lane what is missing, and what was read.
    is_watching: bool,
    at: Mark,
    /// Whether the sequence numbers of `at` are known, so that missing ones show.
    is_known: bool,
    /// What the next loss is due to.
    reason: GapReason,
    /// Positions from here to `at`, where the lane ends for now, are missing.
    hole_from: Option<u64>,
    source: Option<Source>,
    codec: Codec,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            is_watching: true,
            at: Mark { pos: 0, ..Mark::default() },
            is_known: false,
            reason: GapReason::Corrupt,
            hole_from: None,
            source: None,
            codec: Codec::default(),
        }
    }
}

/// The segment being read.
#[derive(Clone, Debug)]
struct Source {
    first_pos: u64,
    /// What it was opened to read up to.
    limit: u64,
    blocks: Blocks,
}

#[derive(Clone, Debug)]
enum Blocks {
    Live(Arc<Segment>),
    Scan(Arc<Scan>),
    /// Its file is not there, or unreadable.
    None,
}

/// First positions of segments newly found to be damaged, and how.
pub(super) type Damaged = Vec<(u64, SegmentError)>;

/// Why reading a segment ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// There is nothing more to read in it.
    Exhausted,
    /// The chunk is full, or a record is held.
    Early,
}

/// A read under way.
struct Walk<'a> {
    log: &'a Log,
    from: u64,
    now: Timestamp,
    chunk: Chunk,
    bytes: usize,
}

/// What is read of one segment.
#[derive(Clone, Copy)]
struct Part {
    first_pos: u64,
    limit: u64,
    /// Whether anything missing is an error.
    is_strict: bool,
}

impl Reader {
    /// One that only reads.
    pub(super) fn unwatching() -> Self {
        Self { is_watching: false, ..Self::default() }
    }

    /// See [`super::Spool::read`].
    pub(super) fn read(&mut self, log: &Log, from: u64, now: Timestamp) -> (Chunk, Damaged) {
        let mut walk = Walk { log, from, now, chunk: Chunk::default(), bytes: 0 };
        let mut damaged = Damaged::new();
        if self.at.pos != from {
            let acknowledged = log.acknowledged();
            let is_cursor = self.is_watching
                && from == 1 + log.cursor.load(Ordering::Acquire)
                && acknowledged.pos <= from;
            let at = if is_cursor { acknowledged } else { Mark { pos: from, ..Mark::default() } };
            self.start(log, at, is_cursor, GapReason::Corrupt);
        }
        let durable = log.durable.load(Ordering::Acquire);
        loop {
            if self.is_watching
                && let Some(evicted) = log.evicted_ahead()
            {
                // What was read by now comes first, and only once.
                if !walk.chunk.records.is_empty() {
                    break;
                }
                self.start(log, evicted.from, true, evicted.reason);
            }
            let Some(place) = log.place_of(self.at.pos) else { break };
            if self.at.pos >= durable && place.first_pos < self.at.pos {
                break;
            }
            let limit = place.end.unwrap_or(u64::MAX).min(durable);
            let source = self.open(log, &place, limit, &mut damaged);
            match source.and_then(|source| self.read_segment(&source, &mut walk)) {
                Ok(Ended::Early) => break,
                Ok(Ended::Exhausted) => {
                    self.skip_to(limit);
                    if place.end.is_none_or(|end| end > limit) {
                        break;
                    }
                }
                Err(error) if error.is_passing() => {
                    tracing::warn!(segment = place.first_pos, %error, "cannot be read now; trying again");
                    walk.chunk.held_until = Some(now.plus_ms(RETRY_MS));
                    walk.chunk.is_obstructed = true;
                    break;
                }
                // The committer has removed or replaced it meanwhile.
                Err(_) if !log.is_at(&place) => self.source = None,
                // Once more, by a scan.
                Err(error) => {
                    self.source = None;
                    if log.mark_unreadable(place.first_pos) {
                        damaged.push((place.first_pos, error));
                    }
                }
            }
        }
        let mut chunk = walk.chunk;
        // What a hole at the end has held, the next mark tells: until then no cursor may pass it.
        chunk.next_pos = self.hole_from.unwrap_or(self.at.pos).max(from);
        let events = chunk.records.iter().map(|record| (record.pos, record.stream, record.seq));
        if self.is_known && self.is_watching {
            log.read_ahead(events, &Mark { pos: chunk.next_pos, ..self.at.clone() });
        }
        (chunk, damaged)
    }

    /// Goes to `at`. The next mark that is ahead of it is so for `reason`.
    fn start(&mut self, log: &Log, at: Mark, is_known: bool, reason: GapReason) {
        if self.is_watching {
            log.read_again(at.pos);
        }
        (self.at, self.is_known, self.reason, self.hole_from) = (at, is_known, reason, None);
    }

    fn open(
        &mut self,
        log: &Log,
        place: &Place,
        limit: u64,
        damaged: &mut Damaged,
    ) -> Result<Source, SegmentError> {
        let first_pos = place.first_pos;
        if let Some(open) = place.open.as_ref().filter(|open| !open.is_poisoned()) {
            self.source = None;
            return Ok(Source { first_pos, limit, blocks: Blocks::Live(open.clone()) });
        }
        if let Some(source) = &self.source
            && (source.first_pos, source.limit) == (first_pos, limit)
        {
            return Ok(source.clone());
        }
        self.source = None;
        let (blocks, error) = match Scan::of(&place.dir).map_err(SegmentError::from) {
            Ok(scan) => {
                let error = scan.holes(first_pos, Some(limit)).first().map(SegmentError::hole);
                (Blocks::Scan(Arc::new(scan)), error)
            }
            Err(error) if error.is_passing() || !log.is_at(place) => return Err(error),
            Err(error) => (Blocks::None, Some(error)),
        };
        if let Some(error) = error
            && self.is_watching
            && log.mark_damaged(first_pos)
        {
            damaged.push((first_pos, error));
        }
        let source = Source { first_pos, limit, blocks };
        self.source = Some(source.clone());
        Ok(source)
    }

    fn read_segment(&mut self, source: &Source, walk: &mut Walk<'_>) -> Result<Ended, SegmentError> {
        let pos = self.at.pos;
        let part = Part { first_pos: source.first_pos, limit: source.limit, is_strict: false };
        match &source.blocks {
            Blocks::Live(segment) => guarded(|| {
                let part = Part { is_strict: true, ..part };
                let ended = self.read_blocks(segment.blocks(pos), part, walk)?;
                // sled takes damage in the middle of its file for the file's end.
                if ended == Ended::Exhausted && self.at.pos < part.limit {
                    return Err(SegmentError::hole(&(self.at.pos..part.limit)));
                }
                Ok(ended)
            }),
            Blocks::Scan(scan) => {
                let blocks = scan.octets(pos);
                let blocks = blocks.map(|block| block.map_err(|error| SegmentError::Block { pos, error }));
                self.read_blocks(blocks, part, walk)
            }
            Blocks::None => Ok(Ended::Exhausted),
        }
    }

    fn read_blocks(
        &mut self,
        blocks: impl Iterator<Item = Result<impl AsRef<[u8]>, SegmentError>>,
        part: Part,
        walk: &mut Walk<'_>,
    ) -> Result<Ended, SegmentError> {
        for block in blocks {
            match block.and_then(|block| self.read_block(block.as_ref(), part, walk)) {
                Ok(None) => {}
                Ok(Some(ended)) => return Ok(ended),
                Err(error) if part.is_strict => return Err(error),
                // The next one shows what is missing.
                Err(_) => {}
            }
        }
        Ok(Ended::Exhausted)
    }

    /// Takes in one block; says so when it is to be the last one.
    fn read_block(
        &mut self,
        block: &[u8],
        part: Part,
        walk: &mut Walk<'_>,
    ) -> Result<Option<Ended>, SegmentError> {
        let pos = self.at.pos;
        let unreadable = |error| SegmentError::Block { pos, error };
        let (header, _) = Header::read(block).map_err(unreadable)?;
        let starts_segment = header.is_mark && header.pos == part.first_pos;
        if header.pos >= part.limit && !starts_segment {
            return Ok(Some(Ended::Exhausted));
        }
        let is_past =
            if header.is_mark { self.is_known && header.pos < pos } else { header.end_pos() <= pos };
        if is_past {
            return Ok(None);
        }
        if part.is_strict && self.is_known && header.pos > pos && !starts_segment {
            return Err(SegmentError::hole(&(pos..header.pos)));
        }
        if let Some(hold) = header.hold_until.filter(|&hold| !walk.is_due(hold)) {
            walk.chunk.held_until = Some(hold);
            return Ok(Some(Ended::Early));
        }
        match self.codec.decode(block).map_err(unreadable)?.1 {
            Content::Mark(mark) => self.pass(mark, walk.log),
            Content::Records(context, records) => {
                self.skip_to(header.pos);
                let start = self.at.pos;
                for (pos, body) in (header.pos..).zip(records).skip_while(|(pos, _)| *pos < start) {
                    self.take(pos, body, context, walk);
                }
            }
        }
        let is_full = walk.chunk.records.len() >= CHUNK_RECORDS || walk.bytes >= CHUNK_BYTES;
        Ok(is_full.then_some(Ended::Early))
    }

    fn take(&mut self, pos: u64, body: RecordBody, context: Context, walk: &mut Walk<'_>) {
        if let RecordBody::Event { stream, seq, .. } = body
            && self.is_known
            && self.is_watching
            && seq > self.at.seq(stream)
        {
            let first_seq = self.at.seq(stream);
            let reason = GapReason::Corrupt;
            walk.log.lost([Loss { stream, first_seq, last_seq: seq - 1, reason, exact: true }]);
        }
        self.at.advance(body.as_ref());
        self.hole_from = None;
        if let RecordBody::Event { stream, seq, json } = body
            && pos >= walk.from
        {
            walk.bytes += json.len();
            walk.chunk.records.push(Record { pos, stream, seq, context, json });
        }
    }

    /// Comes to a mark; what should have come before it, and did not, is lost.
    fn pass(&mut self, mark: Mark, log: &Log) {
        if self.is_known && self.is_watching {
            log.lost(mark.losses_since(&self.at, self.reason));
        }
        if self.reason != GapReason::Corrupt {
            log.pass_evicted();
        }
        self.at = mark;
        self.is_known = true;
        self.reason = GapReason::Corrupt;
        self.hole_from = None;
    }

    fn skip_to(&mut self, pos: u64) {
        if pos > self.at.pos {
            self.hole_from.get_or_insert(self.at.pos);
            self.at.pos = pos;
        }
    }
}

impl Walk<'_> {
    fn is_due(&self, hold: Timestamp) -> bool {
        hold <= self.now || hold > self.now.plus_ms(LONGEST_HOLD_MS)
    }
}
