//! Follows the blocks of a lane in order, from file to file, and notices what is missing: what [`super::reader`] does for the
//! uplink, for tools that have files alone. Pure, but for reading the blocks.
//!
//! What a hole has held shows later: in the number of the next event of a stream, or at the next mark. Until then it is open.

use super::{
    Mark, Scan,
    block::{Codec, Content},
    mark::{Loss, RecordBody, RecordRef},
};
use serde::Serialize;
use std::{
    ops::Range,
    path::{Path, PathBuf},
};
use vitrine_protocol::{event::GapReason, topic::Stream};

/// Sequence numbers of a stream, from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct SeqRange {
    /// The stream.
    pub stream: Stream,
    /// The first.
    pub first_seq: u64,
    /// The last.
    pub last_seq: u64,
}

/// Positions that no block holds: a hole, or several of which it does not show which has held what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Missing {
    /// By the segments in which they should be, in order.
    pub(super) holes: Vec<(PathBuf, Range<u64>)>,
    /// The numbers that they have held; the rest were notes.
    pub(super) losses: Vec<Loss>,
    /// Whether `losses` tells all of them.
    pub(super) is_told: bool,
}

/// How far a lane was followed.
#[derive(Clone, Debug)]
pub(super) struct Trail {
    at: Mark,
    /// Whether the numbers of `at` are known.
    is_known: bool,
    open: Option<Missing>,
    closed: Vec<Missing>,
}

/// What was read on the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Passed {
    pub(super) blocks: u64,
    pub(super) events: u64,
    pub(super) notes: u64,
}

impl From<Loss> for SeqRange {
    fn from(loss: Loss) -> Self {
        Self { stream: loss.stream, first_seq: loss.first_seq, last_seq: loss.last_seq }
    }
}

impl Missing {
    fn is_accounted_for(&self) -> bool {
        let positions: u64 = self.holes.iter().map(|(_, hole)| hole.end - hole.start).sum();
        positions <= self.losses.iter().map(Loss::events).sum()
    }
}

impl Trail {
    /// Starts at a point, of which the numbers are known.
    pub(super) fn from(mark: Mark) -> Self {
        Self { at: mark, is_known: true, open: None, closed: Vec::new() }
    }

    /// Starts at a position, of which they are not.
    pub(super) fn from_pos(pos: u64) -> Self {
        Self { is_known: false, ..Self::from(Mark { pos, ..Mark::default() }) }
    }

    /// Where it is.
    pub(super) fn at(&self) -> &Mark {
        &self.at
    }

    /// Whether something is missing since `earlier`.
    pub(super) fn has_lost_since(&self, earlier: &Self) -> bool {
        (self.closed.len(), &self.open) != (earlier.closed.len(), &earlier.open)
    }

    /// Follows the segment in `dir`, which `scan` has looked through, from position `first_pos` up to `end`.
    pub(super) fn follow(&mut self, dir: &Path, scan: &Scan, first_pos: u64, end: u64) -> Passed {
        let (mut codec, mut passed) = (Codec::default(), Passed::default());
        for block in scan.octets(first_pos) {
            // What does not read is missing.
            let Ok((header, content)) = block.and_then(|block| codec.decode(&block)) else { continue };
            let starts_segment = header.is_mark && header.pos == first_pos;
            if header.pos >= end && !starts_segment {
                break;
            }
            passed.blocks += 1;
            match content {
                Content::Mark(mark) => self.pass(dir, mark),
                Content::Records(_, records) => {
                    self.skip_to(dir, header.pos);
                    let at_pos = self.at.pos;
                    for (_, body) in (header.pos..).zip(records).skip_while(|(pos, _)| *pos < at_pos) {
                        match body {
                            RecordBody::Event { .. } => passed.events += 1,
                            RecordBody::Note(_) => passed.notes += 1,
                        }
                        self.take(body.as_ref());
                    }
                }
            }
        }
        self.skip_to(dir, end);
        passed
    }

    /// Everything up to position `pos` is missing, if it was not passed.
    pub(super) fn skip_to(&mut self, dir: &Path, pos: u64) {
        if pos > self.at.pos {
            let hole = self.at.pos..pos;
            self.at.pos = pos;
            self.open.get_or_insert_default().holes.push((dir.to_owned(), hole));
        }
    }

    /// Comes to a point of which the numbers are known. Those that should have come before are lost.
    pub(super) fn pass(&mut self, dir: &Path, mark: Mark) {
        if mark.pos < self.at.pos {
            return;
        }
        self.skip_to(dir, mark.pos);
        let losses = mark.losses_since(&self.at, GapReason::Corrupt);
        if self.is_known && !losses.is_empty() {
            self.open.get_or_insert_default().losses.extend(losses);
        }
        self.close(self.is_known);
        (self.at, self.is_known) = (mark, true);
    }

    /// Goes on at a position, of which the numbers are not known. What is open stays unknown.
    pub(super) fn leave_to(&mut self, pos: u64) {
        self.close(false);
        (self.at, self.is_known) = (Mark { pos, ..Mark::default() }, false);
    }

    /// What is missing in all.
    pub(super) fn finish(mut self) -> Vec<Missing> {
        self.close(false);
        self.closed
    }

    fn take(&mut self, body: RecordRef<'_>) {
        if let RecordRef::Event { stream, seq, .. } = body
            && self.is_known
            && seq > self.at.seq(stream)
        {
            let first_seq = self.at.seq(stream);
            let open = self.open.get_or_insert_default();
            let reason = GapReason::Corrupt;
            open.losses.push(Loss { stream, first_seq, last_seq: seq - 1, reason, exact: true });
            if open.is_accounted_for() {
                self.close(true);
            }
        }
        self.at.advance(body);
    }

    fn close(&mut self, is_told: bool) {
        self.closed.extend(self.open.take().map(|missing| Missing { is_told, ..missing }));
    }
}
