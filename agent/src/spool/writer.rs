//! Appends to one lane, starts its segments, and removes those that are drained or have to go. Used by the committer's thread
//! alone.

use super::{
    Context, Draft, MAX_BLOCK, Mark, SpoolError,
    dense::Dense,
    dirs,
    log::{Evicted, Log, Slot},
    mark::Loss,
    pack::{self, Packer},
    room,
    scan::Scan,
    segment::{Segment, SegmentError},
    spare::Spare,
    twin::Twin,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use vitrine_protocol::{event::GapReason, time::Timestamp, topic::Stream};

/// A segment is closed as well when its file is this much larger than its blocks should be: sled writes small blocks more than
/// once.
const FILE_FACTOR: u64 = 2;
/// No file of sled's is smaller.
const FILE_BYTES_MIN: u64 = 512 * 1024;
/// Positions are reserved in steps of this, or of so many commits like the last: so many may be skipped when the newest segment is
/// lost. Each step costs a sync.
const RESERVE: u64 = 8192;
const RESERVE_COMMITS: u64 = 32;
pub(super) const LANE_FILE: &str = "lane";
/// What writing the lane's file costs: a page.
const LANE_FILE_BYTES: u64 = 4096;

/// A lane's small durable state, the file `lane`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LaneFile {
    /// Everything before is acknowledged.
    pub(super) cursor: Mark,
    /// Where the first segment starts: those before are to be removed.
    pub(super) oldest: u64,
    /// Where the lane ended when the file was written: it does not end before.
    pub(super) head: Mark,
    /// Nothing beyond was ever written, and nothing of a stream that is not in it.
    pub(super) reserved: Mark,
    /// What is missing of a stream below this number is stated in a gap.
    pub(super) stated: BTreeMap<Stream, u64>,
    /// Segments that had to go, until a gap says so.
    pub(super) evicted: Option<Evicted>,
}

/// Where a lane is, and what it shares with the others.
#[derive(Debug)]
pub(super) struct Surroundings {
    pub(super) dir: PathBuf,
    pub(super) quarantine: PathBuf,
    pub(super) quarantine_bytes_max: u64,
    pub(super) segment_bytes: u64,
    pub(super) spare: Spare,
    /// Octets that were written to the disk.
    pub(super) written_bytes: Arc<AtomicU64>,
}

/// The writing side of a lane.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) log: Arc<Log>,
    at: Surroundings,
    next: Mark,
    file: Twin,
    saved: LaneFile,
    stated: BTreeMap<Stream, u64>,
    active: Option<Active>,
    packer: Packer,
    dense: Dense,
}

/// The segment that is written to.
#[derive(Debug)]
struct Active {
    segment: Arc<Segment>,
    bytes: u64,
    blocks: u64,
}

impl Writer {
    /// A lane that ends at `next`, with a new segment to come. `saved` is what its file says.
    pub(super) fn new(log: Arc<Log>, at: Surroundings, next: Mark, file: Twin, saved: LaneFile) -> Self {
        let stated = saved.stated.clone();
        Self {
            log,
            at,
            next,
            file,
            saved,
            stated,
            active: None,
            packer: Packer::default(),
            dense: Dense::default(),
        }
    }

    /// Appends drafts as one commit. Durable when this returns; on an error nothing was appended, and the same may
    /// be tried again.
    pub(super) fn append(&mut self, drafts: &[(Context, Draft)], now: Timestamp) -> Result<(), SpoolError> {
        let mut next = Mark { exact: true, ..self.next.clone() };
        let entries = pack::entries(drafts, &mut next);
        if !next.is_within(&self.saved.reserved) {
            let mut reserved = next.clone();
            let ahead = RESERVE.max(RESERVE_COMMITS * entries.len() as u64);
            reserved.skip(next.seqs.keys().copied(), ahead);
            self.save(LaneFile { reserved, ..self.saved.clone() })?;
        }
        if self.needs_segment() {
            self.rotate(now)?;
        }
        let Some(active) = &mut self.active else { return Ok(()) };
        let mut mark = Mark { exact: true, ..self.next.clone() };
        let blocks = self.packer.pack(&entries, &mut mark, now);
        match active.segment.write(&blocks, now) {
            Ok(written) => self.at.written_bytes.fetch_add(written, Ordering::Relaxed),
            Err(error) => {
                self.close_active();
                return Err(self.segment_failed(error));
            }
        };
        active.bytes += blocks.iter().map(|block| block.bytes.len() as u64).sum::<u64>();
        active.blocks += blocks.len() as u64;
        if active.bytes >= self.at.segment_bytes / 2 {
            self.at.spare.prepare();
        }
        self.next = next;
        self.log.durable.store(self.next.pos, Ordering::Release);
        Ok(())
    }

    /// Makes the cursor durable, and frees the segments that it and `checkpoint` have passed.
    pub(super) fn housekeep(&mut self, checkpoint: u64) -> Result<(), SpoolError> {
        let cursor = self.durable_cursor();
        let drained = self.drained(cursor.pos.min(checkpoint + 1));
        let oldest = self.log.slots().front().map_or(self.saved.oldest, |slot| slot.first_pos);
        let file = LaneFile {
            cursor,
            oldest,
            head: self.next.clone(),
            stated: self.stated.clone(),
            ..self.saved.clone()
        };
        let saved = if file == self.saved { Ok(()) } else { self.save(file) };
        // On a full disk this is what makes room again; a cursor that is behind only repeats.
        let freed: Vec<_> = drained.into_iter().map(|slot| self.free(slot)).collect();
        self.swap_dense();
        freed.into_iter().collect::<Result<(), _>>().and(saved)
    }

    /// The last word before the process ends: nothing was reserved in vain.
    pub(super) fn finish(&mut self, checkpoint: u64) -> Result<(), SpoolError> {
        self.close_active();
        self.dense.finish();
        self.housekeep(checkpoint)?;
        let file = LaneFile { reserved: self.next.clone(), ..self.saved.clone() };
        if file == self.saved { Ok(()) } else { self.save(file) }
    }

    /// Whether the next commit goes to a new segment.
    pub(super) fn needs_segment(&self) -> bool {
        self.active.as_ref().is_none_or(|active| {
            let bytes_max = self.at.segment_bytes;
            active.bytes >= bytes_max
                || active.segment.disk_bytes() >= (FILE_FACTOR * bytes_max).max(FILE_BYTES_MIN)
                || active.segment.is_poisoned()
        })
    }

    /// The point after the last record.
    pub(super) fn next(&self) -> &Mark {
        &self.next
    }

    /// Octets that the lane takes on the disk.
    pub(super) fn disk_bytes(&self) -> u64 {
        self.log.slots().iter().map(Slot::disk_bytes).sum()
    }

    /// The losses that were found and not stated yet: how many were found, and what of them is new.
    pub(super) fn losses(&self) -> (usize, Vec<Loss>) {
        let found = self.log.unstated_losses();
        let mut stated = self.stated.clone();
        let new = found.iter().filter_map(|loss| {
            // What is given up comes in its own time, not in the order of numbers.
            if loss.reason == GapReason::Refused {
                return Some(*loss);
            }
            let new = loss.unstated(&stated)?;
            stated.insert(loss.stream, loss.last_seq + 1);
            Some(new)
        });
        (found.len(), new.collect())
    }

    /// Gaps say what [`Writer::losses`] told. Durable when this returns.
    pub(super) fn stated(&mut self, count: usize, losses: &[Loss]) -> Result<(), SpoolError> {
        let in_order = losses.iter().filter(|loss| loss.reason != GapReason::Refused);
        self.stated.extend(in_order.map(|loss| (loss.stream, loss.last_seq + 1)));
        self.log.stated(count);
        let evicted = self.saved.evicted.clone().filter(|_| self.log.is_evicted());
        self.save(LaneFile { stated: self.stated.clone(), evicted, ..self.saved.clone() })
    }

    /// A crash has kept the lane's file from knowing of these gaps.
    pub(super) fn recover_stated(&mut self, found: &BTreeMap<Stream, u64>) {
        for (&stream, &next) in found.iter().filter(|(stream, _)| super::Lane::of(**stream) == self.log.lane)
        {
            let stated = self.stated.entry(stream).or_default();
            *stated = next.max(*stated);
        }
    }

    /// Whether there is a segment that [`Writer::evict`] can remove: the newest one stays.
    pub(super) fn can_evict(&self) -> bool {
        self.log.slots().len() > 1
    }

    /// Gaps in the oldest segment that the platform does not have.
    pub(super) fn gaps_to_keep(&self) -> Vec<Box<str>> {
        let slots = self.log.slots();
        let Some(dir) = slots.front().map(|slot| slot.dir.clone()) else { return Vec::new() };
        let end = slots.get(1).map_or(self.next.pos, |slot| slot.first_pos);
        drop(slots);
        let Ok(scan) = Scan::of(&dir) else { return Vec::new() };
        let records = scan.records(self.log.acknowledged().pos).flatten();
        let records = records.filter(|record| record.stream == Stream::Gaps && record.pos < end);
        records.map(|record| record.json).collect()
    }

    /// Removes the oldest segment, unless it is being written, whoever still needs it. Returns whether there was one.
    pub(super) fn evict(&mut self, reason: GapReason) -> Result<bool, SpoolError> {
        if !self.can_evict() {
            return Ok(false);
        }
        let oldest = self.log.slots().get(1).map_or(self.next.pos, |slot| slot.first_pos);
        let cursor = self.durable_cursor();
        let mut evicted = self.saved.evicted.clone();
        if evicted.is_none() && cursor.pos < oldest {
            evicted = Some(Evicted { from: cursor.clone(), reason });
        }
        self.save(LaneFile { cursor, oldest, evicted: evicted.clone(), ..self.saved.clone() })?;
        let Some(slot) = self.log.slots().pop_front() else { return Ok(false) };
        self.log.evicted(evicted);
        tracing::warn!(lane = self.log.lane.name(), segment = slot.first_pos, ?reason, "evicted");
        dirs::remove(&slot.dir).map_err(|e| SpoolError::io(&slot.dir, e))?;
        Ok(true)
    }

    /// Starts a new segment at the next position.
    fn rotate(&mut self, now: Timestamp) -> Result<(), SpoolError> {
        self.close_active();
        let first_pos = self.next.pos;
        let dir = self.at.dir.join(dirs::name(first_pos));
        let (segment, written) = self.begin(&dir, now).map_err(|e| self.segment_failed(e))?;
        self.at.written_bytes.fetch_add(written, Ordering::Relaxed);
        let segment = Arc::new(segment);
        let slot = Slot { open: Some(segment.clone()), ..Slot::new(first_pos, dir) };
        let mut slots = self.log.slots();
        // One that starts here already holds no commit that was answered.
        slots.retain(|slot| slot.first_pos != first_pos);
        slots.push_back(slot);
        self.active = Some(Active { segment, bytes: 0, blocks: 0 });
        Ok(())
    }

    /// Makes a segment that starts at the next position, and has its name only when it says so itself.
    fn begin(&self, dir: &Path, now: Timestamp) -> Result<(Segment, u64), SegmentError> {
        let (segment, made_in) = match self.at.spare.take() {
            Some(spare) => spare,
            None => {
                let new = dirs::new(dir);
                dirs::remove_all(&new)?;
                (Segment::create(&new)?, new)
            }
        };
        let begun = segment.begin(&self.next, now).and_then(|written| {
            if dir.exists() {
                dirs::remove(dir)?;
            }
            segment.move_to(&made_in, dir)?;
            Ok(written)
        });
        match begun {
            Ok(written) => Ok((segment, written)),
            Err(error) => {
                segment.abandon();
                Err(error)
            }
        }
    }

    /// Nothing more is written to the active segment, as it is full, or has failed.
    fn close_active(&mut self) {
        let Some(active) = self.active.take() else { return };
        let disk_bytes = active.segment.disk_bytes();
        let is_sparse = active.blocks > 0
            && (active.bytes / active.blocks < MAX_BLOCK as u64 / 3 || disk_bytes > active.bytes * 5 / 4);
        let mut slots = self.log.slots();
        if let Some(slot) = slots.back_mut()
            && slot.open.take().is_some()
        {
            slot.disk_bytes = dirs::disk_bytes(&slot.dir);
            if is_sparse {
                self.dense.push(slot.first_pos, slot.dir.clone(), self.next.pos);
            }
        }
    }

    /// Puts what was written anew, in less room, in the place of what it was written from, and goes on with the next one.
    pub(super) fn swap_dense(&mut self) {
        if let Some((first_pos, dir)) = self.dense.poll()
            && let Err(error) = self.swap(first_pos, &dir)
        {
            tracing::warn!(%error, "a segment cannot be replaced by a denser one");
        }
        // What is about to be sent is not worth it.
        self.dense.start(self.log.cursor.load(Ordering::Acquire) + 1);
    }

    fn swap(&self, first_pos: u64, dir: &Path) -> std::io::Result<()> {
        let mut slots = self.log.slots();
        let slot = slots.iter_mut().find(|slot| slot.first_pos == first_pos && !slot.damaged);
        let Some(slot) = slot else { return dirs::remove_all(&dirs::new(dir)) };
        slot.dir = dirs::publish(dir)?;
        slot.disk_bytes = dirs::disk_bytes(&slot.dir);
        self.at.written_bytes.fetch_add(slot.disk_bytes, Ordering::Relaxed);
        drop(slots);
        dirs::remove(dir)
    }

    /// The point up to which the platform has everything, or a gap in its place: a cursor that has passed a loss waits until a
    /// gap has stated it.
    fn durable_cursor(&self) -> Mark {
        // In this order: a loss is known before anything beyond it is acknowledged.
        let cursor = self.log.acknowledged();
        if self.log.has_unstated() { self.saved.cursor.clone() } else { cursor }
    }

    /// Takes the slots off the list of which everything is below `free_below`. The newest stays: it tells how far numbering
    /// went, should the lane's file be lost.
    fn drained(&self, free_below: u64) -> Vec<Slot> {
        let mut slots = self.log.slots();
        let count = slots.iter().skip(1).take_while(|next| next.first_pos <= free_below).count();
        slots.drain(..count).collect()
    }

    fn free(&self, slot: Slot) -> Result<(), SpoolError> {
        let done = if slot.damaged {
            let name = format!("{}-{}", self.log.lane.name(), dirs::name(slot.first_pos));
            room::quarantine(&slot.dir, &self.at.quarantine, &name, self.at.quarantine_bytes_max)
        } else {
            dirs::remove(&slot.dir)
        };
        done.map_err(|e| SpoolError::io(&slot.dir, e))
    }

    fn save(&mut self, file: LaneFile) -> Result<(), SpoolError> {
        self.file.write(&file).map_err(|e| SpoolError::io(&self.at.dir.join(LANE_FILE), e))?;
        self.at.written_bytes.fetch_add(LANE_FILE_BYTES, Ordering::Relaxed);
        self.saved = file;
        Ok(())
    }

    fn segment_failed(&self, error: SegmentError) -> SpoolError {
        SpoolError::Write { lane: self.log.lane, why: error.to_string(), is_full: error.is_full() }
    }
}
