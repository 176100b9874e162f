//! Appends to one lane, rotates its segments, and removes the drained ones. Used by the committer's thread alone.

use super::{
    Context, Draft, Lane, Mark, RecordBody, SpoolError,
    block::{self, Entry},
    log::{self, Log, Slot},
    segment::{self, Segment, SegmentError},
};
use crate::state::{StateDir, StateError, create_private_dir};
use serde::{Deserialize, Serialize};
use std::{
    collections::VecDeque,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, atomic::Ordering},
};

/// A segment is closed when its blocks have this many octets.
const SEGMENT_BYTES: usize = if cfg!(test) { 16 * 1024 } else { 8 * 1024 * 1024 };
/// Positions are reserved in steps of this: so many may be skipped when the newest segment is lost.
const RESERVE: u64 = 8192;
const LANE_FILE: &str = "lane";

/// A lane's small durable state, the file `lane`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct LaneFile {
    /// Everything up to here is acknowledged.
    cursor: u64,
    /// Where the first segment starts.
    oldest: Mark,
    /// Where the lane ended when the file was written: it does not end before.
    head: Mark,
    /// Nothing beyond was ever written.
    reserved: Mark,
    /// The first position of the newest segment that was completely created: nothing was answered in a later one.
    born: u64,
}

/// The writing side of a lane.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) log: Arc<Log>,
    files: StateDir,
    quarantine: PathBuf,
    next: Mark,
    saved: LaneFile,
    active: Option<(Arc<Segment>, usize)>,
}

impl Writer {
    /// Opens the lane in `spool`. `on_note` gets the notes after position `checkpoint`, in order.
    pub(super) fn open(
        spool: &Path,
        lane: Lane,
        checkpoint: u64,
        mut on_note: impl FnMut(&[u8]),
    ) -> Result<Self, SpoolError> {
        let files = StateDir::open(spool.join(lane.name()))?;
        let listed = segment::list(files.path()).map_err(|e| SpoolError::io(files.path(), e))?;
        let file: Option<LaneFile> = match files.read(LANE_FILE) {
            Ok(file) => file,
            Err(StateError::Corrupt { path, .. }) if listed.is_empty() => {
                return Err(SpoolError::Unrecoverable(path));
            }
            Err(e @ StateError::Corrupt { .. }) => {
                tracing::error!("{e}; everything still spooled in this lane will be sent again");
                None
            }
            Err(e) => return Err(e.into()),
        };
        let mut slots: VecDeque<Slot> = listed.into_iter().map(|(pos, dir)| Slot::new(pos, dir)).collect();
        // Without its file, nothing of the lane is held to be unborn.
        let file = file.unwrap_or_else(|| LaneFile {
            born: slots.back().map_or(0, |slot| slot.first_pos),
            ..LaneFile::default()
        });
        while let Some(unborn) = slots.back().filter(|slot| slot.first_pos > file.born) {
            segment::remove(&unborn.dir).map_err(|e| SpoolError::io(&unborn.dir, e))?;
            slots.pop_back();
        }
        let tail = recover(&mut slots, checkpoint, &mut on_note)?;
        let intact = tail.as_ref().map_or(slots.is_empty(), |tail| tail.pos >= file.head.pos);
        let next = match tail {
            Some(tail) if intact => tail,
            _ if slots.is_empty() => file.head.clone(),
            _ if file.reserved.pos >= slots.back().map_or(0, |slot| slot.first_pos) => {
                Mark { exact: false, ..file.reserved.clone() }
            }
            _ => return Err(SpoolError::Unrecoverable(files.path().to_owned())),
        };
        let cursor = file.cursor.min(next.pos - 1);
        let log = Arc::new(Log::new(lane, slots, file.oldest.clone(), next.pos, cursor));
        let quarantine = spool.join("quarantine");
        let mut writer = Self { log, files, quarantine, next, saved: file, active: None };
        if !intact {
            tracing::error!(
                lane = lane.name(),
                "the end of the newest segment is lost; writing goes on in a new one"
            );
            writer.rotate()?;
        }
        Ok(writer)
    }

    /// Appends drafts as one commit. Durable when this returns; on an error nothing was appended, and the same may
    /// be tried again.
    pub(super) fn append(&mut self, drafts: &[(Context, Draft)]) -> Result<(), SpoolError> {
        let mut next = Mark { exact: true, ..self.next.clone() };
        let entries: Vec<Entry> =
            drafts.iter().map(|(context, draft)| entry(*context, draft, &mut next)).collect();
        if next.pos > self.saved.reserved.pos {
            let mut reserved = next.clone();
            reserved.skip(self.log.lane, RESERVE);
            self.save(LaneFile { reserved, ..self.saved.clone() })?;
        }
        if self.active.as_ref().is_none_or(|(_, bytes)| *bytes >= SEGMENT_BYTES) {
            self.rotate()?;
        }
        let Some((segment, bytes)) = &mut self.active else { return Ok(()) };
        let mut pos = self.next.pos;
        let blocks = block::pack(&entries).into_iter().map(|(count, block)| {
            let first_pos = pos;
            pos += count as u64;
            (first_pos, block)
        });
        let blocks: Vec<_> = blocks.collect();
        if let Err(error) = segment.write(&blocks) {
            self.active = None;
            return Err(self.segment_failed(error));
        }
        *bytes += blocks.iter().map(|(_, block)| block.len()).sum::<usize>();
        self.next = next;
        self.log.durable.store(self.next.pos, Ordering::Release);
        Ok(())
    }

    /// Stops writing to the segment that starts at `first_pos`, if that is the one being written.
    pub(super) fn abandon(&mut self, first_pos: u64) -> Result<(), SpoolError> {
        let newest = self.log.slots().back().map(|slot| slot.first_pos);
        if newest == Some(first_pos) && first_pos < self.next.pos {
            self.rotate()?;
        }
        Ok(())
    }

    /// Makes the cursor durable, and frees the segments that it and `checkpoint` have passed.
    pub(super) fn housekeep(&mut self, checkpoint: u64) -> Result<(), SpoolError> {
        let cursor = self.log.cursor.load(Ordering::Acquire);
        let (drained, oldest) = self.drained(cursor.min(checkpoint) + 1);
        *self.log.oldest.lock().unwrap_or_else(PoisonError::into_inner) = oldest.clone();
        let file = LaneFile { cursor, oldest, head: self.next.clone(), ..self.saved.clone() };
        let saved = if file == self.saved { Ok(()) } else { self.save(file) };
        // On a full disk this is what makes room again; a cursor that is behind only repeats.
        let freed: Vec<_> = drained.into_iter().map(|slot| self.free(slot)).collect();
        freed.into_iter().collect::<Result<(), _>>().and(saved)
    }

    /// The last word before the process ends: nothing was reserved in vain.
    pub(super) fn finish(&mut self, checkpoint: u64) -> Result<(), SpoolError> {
        self.housekeep(checkpoint)?;
        self.save(LaneFile { reserved: self.next.clone(), ..self.saved.clone() })
    }

    /// The position after the last record.
    pub(super) fn next_pos(&self) -> u64 {
        self.next.pos
    }

    /// Takes the slots off the list of which everything is below `free_below`, but for the one being written; with
    /// them, where the first one left starts.
    fn drained(&self, free_below: u64) -> (Vec<Slot>, Mark) {
        let mut slots = self.log.slots();
        let ends = slots.iter().skip(1).map(|slot| slot.first_pos);
        let written_end = if self.active.is_some() { u64::MAX } else { self.next.pos };
        let count = ends.chain([written_end]).take(slots.len()).take_while(|&end| end <= free_below).count();
        let drained: Vec<Slot> = slots.drain(..count).collect();
        let known = self.log.oldest.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let oldest = match slots.front() {
            Some(_) if drained.is_empty() => known,
            // Where the segment was never opened, the old start is the best that is known.
            Some(slot) => slot.mark.clone().unwrap_or(known),
            None => self.next.clone(),
        };
        (drained, oldest)
    }

    fn free(&self, slot: Slot) -> Result<(), SpoolError> {
        drop(slot.segment);
        let done = if slot.damaged {
            let name = format!("{}-{}", self.log.lane.name(), segment::dir_name(slot.first_pos));
            create_private_dir(&self.quarantine)
                .and_then(|()| fs::rename(&slot.dir, self.quarantine.join(name)))
        } else {
            segment::remove(&slot.dir)
        };
        done.map_err(|e| SpoolError::io(&slot.dir, e))
    }

    /// Starts a new segment at the next position.
    fn rotate(&mut self) -> Result<(), SpoolError> {
        self.active = None;
        let first_pos = self.next.pos;
        let dir = self.files.path().join(segment::dir_name(first_pos));
        // Nothing was ever committed to a segment that starts here.
        let mut slots = self.log.slots();
        let stale = slots.back().is_some_and(|slot| slot.first_pos == first_pos).then(|| slots.pop_back());
        drop(slots);
        drop(stale);
        if dir.exists() {
            segment::remove(&dir).map_err(|e| SpoolError::io(&dir, e))?;
        }
        let segment = Arc::new(Segment::create(&dir, self.next.clone()).map_err(|e| self.segment_failed(e))?);
        let mut slot = Slot::new(first_pos, dir);
        slot.opened(&Ok(segment.clone()));
        self.log.slots().push_back(slot);
        self.save(LaneFile { born: first_pos, ..self.saved.clone() })?;
        self.active = Some((segment, 0));
        Ok(())
    }

    fn save(&mut self, file: LaneFile) -> Result<(), SpoolError> {
        self.files.write(LANE_FILE, &file)?;
        self.saved = file;
        Ok(())
    }

    fn segment_failed(&self, error: SegmentError) -> SpoolError {
        SpoolError::Write { lane: self.log.lane, why: error.to_string() }
    }
}

/// Gives a draft its place.
fn entry(context: Context, draft: &Draft, next: &mut Mark) -> Entry {
    let (hold_until, body) = match draft {
        Draft::Event { stream, hold_until, json } => {
            (*hold_until, RecordBody::Event { stream: *stream, seq: next.seq(*stream), json: json.clone() })
        }
        Draft::Note { bytes, .. } => (None, RecordBody::Note(bytes.clone())),
    };
    next.advance(&body);
    Entry { context, hold_until, body }
}

/// Reads the notes after `checkpoint`, and finds where the lane ends: after the last complete commit. `None` where
/// there is no segment, or the newest one cannot be read.
fn recover(
    slots: &mut VecDeque<Slot>,
    checkpoint: u64,
    on_note: &mut impl FnMut(&[u8]),
) -> Result<Option<Mark>, SpoolError> {
    let ends: Vec<u64> = slots.iter().skip(1).map(|slot| slot.first_pos).chain([u64::MAX]).collect();
    let newest = slots.len().saturating_sub(1);
    let mut tail = None;
    for (index, (slot, end)) in slots.iter_mut().zip(ends).enumerate() {
        if index != newest && end <= checkpoint + 1 {
            continue;
        }
        let opened = log::open(&slot.dir, None);
        slot.opened(&opened);
        let read =
            opened.and_then(|segment| log::guarded(|| read_to_end(&segment, end, checkpoint, on_note)));
        match read {
            Ok(mark) => tail = Some(mark),
            Err(error) if error.is_passing() => {
                return Err(SpoolError::io(&slot.dir, io::Error::other(error)));
            }
            Err(error) => {
                tracing::error!(segment = %slot.dir.display(), %error, "damaged");
                slot.damaged = true;
                tail = None;
            }
        }
        slot.segment = None;
    }
    Ok(tail)
}

fn read_to_end(
    segment: &Segment,
    end: u64,
    checkpoint: u64,
    on_note: &mut impl FnMut(&[u8]),
) -> Result<Mark, SegmentError> {
    let mut at = segment.mark().clone();
    let mut complete = at.clone();
    let mut notes = Vec::new();
    for item in segment.blocks(at.pos) {
        let (pos, value) = item?;
        if pos >= end {
            break;
        }
        let block = log::checked(pos, at.pos, &value)?;
        for body in block.records {
            let pos = at.pos;
            at.advance(&body);
            if let RecordBody::Note(note) = body
                && pos > checkpoint
            {
                notes.push(note);
            }
        }
        if block.ends_commit {
            complete = at.clone();
            notes.drain(..).for_each(|note| on_note(&note));
        }
    }
    Ok(complete)
}
