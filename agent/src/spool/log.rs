//! One lane, as the committer and readers share it: its segments in order, and where writing, reading and the platform stand.
//!
//! [`super::writer`] appends to it, [`super::reader`] reads from it.

use super::{
    Lane, Mark, SegmentFiles,
    acknowledged::Acknowledged,
    dirs,
    mark::Loss,
    reader::{Damaged, Reader},
    segment::Segment,
};
use crate::spool::Chunk;
use serde::{Deserialize, Serialize};
use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};
use vitrine_protocol::{event::GapReason, time::Timestamp, topic::Stream};

/// A lane's segments and positions.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) lane: Lane,
    slots: Mutex<VecDeque<Slot>>,
    reader: Mutex<Reader>,
    live_reader: Mutex<Reader>,
    acknowledged: Mutex<Acknowledged>,
    unstated: Mutex<Unstated>,
    /// The position after the last durable record.
    pub(super) durable: AtomicU64,
    /// The position up to which everything is acknowledged.
    pub(super) cursor: AtomicU64,
}

/// A segment of the lane.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) first_pos: u64,
    pub(super) dir: PathBuf,
    /// The database, while it is written to.
    pub(super) open: Option<Arc<Segment>>,
    /// Octets on the disk; what is open is asked instead.
    pub(super) disk_bytes: u64,
    /// Some part of it cannot be read. It is set aside, instead of removed, once the rest is drained.
    pub(super) damaged: bool,
}

/// A slot as it was when it was looked at.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) first_pos: u64,
    /// Where the next segment starts.
    pub(super) end: Option<u64>,
    pub(super) dir: PathBuf,
    pub(super) open: Option<Arc<Segment>>,
}

/// Segments that are gone, and were not all acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evicted {
    /// Everything from here to the first segment that is left.
    pub from: Mark,
    /// Why they had to go.
    pub reason: GapReason,
}

/// Losses that are known and in no gap yet.
#[derive(Debug, Default)]
struct Unstated {
    found: Vec<Loss>,
    evicted: Option<Evicted>,
    /// The reader has come to where what is left starts.
    is_evicted_passed: bool,
}

impl Slot {
    pub(super) fn new(first_pos: u64, dir: PathBuf) -> Self {
        let disk_bytes = dirs::disk_bytes(&dir);
        Self { first_pos, dir, open: None, disk_bytes, damaged: false }
    }

    pub(super) fn disk_bytes(&self) -> u64 {
        self.open.as_ref().map_or(self.disk_bytes, |segment| segment.disk_bytes())
    }
}

impl Log {
    pub(super) fn new(
        lane: Lane,
        slots: VecDeque<Slot>,
        durable: u64,
        cursor: Mark,
        evicted: Option<Evicted>,
    ) -> Self {
        Self {
            lane,
            slots: Mutex::new(slots),
            reader: Mutex::default(),
            live_reader: Mutex::new(Reader::unwatching()),
            durable: AtomicU64::new(durable),
            cursor: AtomicU64::new(cursor.pos - 1),
            acknowledged: Mutex::new(Acknowledged::new(cursor)),
            unstated: Mutex::new(Unstated { evicted, ..Unstated::default() }),
        }
    }

    pub(super) fn slots(&self) -> MutexGuard<'_, VecDeque<Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads on from position `from`; see [`super::Spool::read`].
    pub(super) fn read(&self, from: u64, now: Timestamp) -> (Chunk, Damaged) {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner).read(self, from, now)
    }

    /// Reads on from position `from`; see [`super::Spool::read_live`].
    pub(super) fn read_live(&self, from: u64, now: Timestamp) -> Chunk {
        self.live_reader.lock().unwrap_or_else(PoisonError::into_inner).read(self, from, now).0
    }

    /// The segments, for who reads their files.
    pub(super) fn segments(&self) -> Vec<SegmentFiles> {
        let slots = self.slots();
        let ends = slots.iter().skip(1).map(|next| Some(next.first_pos)).chain([None]);
        let segment = |(slot, end_pos): (&Slot, _)| SegmentFiles {
            first_pos: slot.first_pos,
            end_pos,
            dir: slot.dir.clone(),
            disk_bytes: slot.disk_bytes(),
        };
        slots.iter().zip(ends).map(segment).collect()
    }

    /// The segment that holds position `pos`, or the first one, if they all start later.
    pub(super) fn place_of(&self, pos: u64) -> Option<Place> {
        let slots = self.slots();
        let index = slots.partition_point(|slot| slot.first_pos <= pos).saturating_sub(1);
        let slot = slots.get(index)?;
        Some(Place {
            first_pos: slot.first_pos,
            end: slots.get(index + 1).map(|next| next.first_pos),
            dir: slot.dir.clone(),
            open: slot.open.clone(),
        })
    }

    /// Whether the segment is still there.
    pub(super) fn is_at(&self, place: &Place) -> bool {
        let slots = self.slots();
        slots.iter().any(|slot| slot.first_pos == place.first_pos && slot.dir == place.dir)
    }

    /// Has the segment that is written at `first_pos` be read by a scan, and no more be written; `false` if that is so already.
    pub(super) fn mark_unreadable(&self, first_pos: u64) -> bool {
        let slots = self.slots();
        let open = slots.iter().find(|slot| slot.first_pos == first_pos).and_then(|slot| slot.open.as_ref());
        open.is_some_and(|segment| segment.poison())
    }

    /// Remembers that a part of a segment cannot be read at all; `false` if that was known.
    pub(super) fn mark_damaged(&self, first_pos: u64) -> bool {
        let mut slots = self.slots();
        let slot = slots.iter_mut().find(|slot| slot.first_pos == first_pos);
        slot.is_some_and(|slot| !std::mem::replace(&mut slot.damaged, true))
    }

    /// Records that wait for acknowledgement, notes included.
    pub(super) fn backlog(&self) -> u64 {
        let first_pos = self.slots().front().map_or(1, |slot| slot.first_pos);
        let from = first_pos.max(1 + self.cursor.load(Ordering::Acquire));
        self.durable.load(Ordering::Acquire).saturating_sub(from)
    }

    /// Everything up to position `upto` is acknowledged.
    pub(super) fn acknowledge(&self, upto: u64) {
        if self.cursor.fetch_max(upto, Ordering::AcqRel) >= upto {
            return;
        }
        self.acknowledged_mut().acknowledge(upto);
    }

    /// The point up to which everything is acknowledged.
    pub(super) fn acknowledged(&self) -> Mark {
        self.acknowledged_mut().mark().clone()
    }

    /// Remembers which events were read, up to `at`.
    pub(super) fn read_ahead(&self, events: impl ExactSizeIterator<Item = (u64, Stream, u64)>, at: &Mark) {
        self.acknowledged_mut().read_ahead(events, at);
    }

    /// Reading starts again at position `from`.
    pub(super) fn read_again(&self, from: u64) {
        self.acknowledged_mut().read_again(from);
    }

    fn acknowledged_mut(&self) -> MutexGuard<'_, Acknowledged> {
        self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was evicted has changed: the reader has to come to it.
    pub(super) fn evicted(&self, evicted: Option<Evicted>) {
        let mut unstated = self.unstated();
        (unstated.evicted, unstated.is_evicted_passed) = (evicted, false);
    }

    /// What was evicted, until the reader has passed it.
    pub(super) fn evicted_ahead(&self) -> Option<Evicted> {
        let unstated = self.unstated();
        unstated.evicted.clone().filter(|_| !unstated.is_evicted_passed)
    }

    /// The reader has come to where what is left starts.
    pub(super) fn pass_evicted(&self) {
        self.unstated().is_evicted_passed = true;
    }

    /// Losses that the reader has found.
    pub(super) fn lost(&self, losses: impl IntoIterator<Item = Loss>) {
        self.unstated().found.extend(losses);
    }

    /// Whether something was evicted of which no gap tells.
    pub(super) fn is_evicted(&self) -> bool {
        self.unstated().evicted.is_some()
    }

    /// Whether there are losses that [`Log::stated`] has to be told of.
    pub(super) fn has_unstated(&self) -> bool {
        let unstated = self.unstated();
        !unstated.found.is_empty() || unstated.evicted.is_some() && unstated.is_evicted_passed
    }

    /// The losses that were found.
    pub(super) fn unstated_losses(&self) -> Vec<Loss> {
        self.unstated().found.clone()
    }

    /// The first `count` of the losses found are in gaps now.
    pub(super) fn stated(&self, count: usize) {
        let mut unstated = self.unstated();
        unstated.found.drain(..count);
        if unstated.is_evicted_passed {
            unstated.evicted = None;
        }
    }

    fn unstated(&self) -> MutexGuard<'_, Unstated> {
        self.unstated.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
