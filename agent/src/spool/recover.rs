//! Takes a lane up where an earlier process has left it. sled opens nothing here: segments are looked through by
//! [`super::scan`], and only those that hold notes since the last checkpoint, and the newest.

use super::{
    Lane, Mark, SpoolError,
    block::{Codec, Content},
    dirs,
    log::{Log, Slot},
    mark::RecordBody,
    scan::Scan,
    segment::is_passing,
    twin::{self, Certainty, Twin},
    writer::{LANE_FILE, LaneFile, Surroundings, Writer},
};
use std::{
    collections::{BTreeMap, VecDeque},
    path::{Path, PathBuf},
    sync::Arc,
};
use vitrine_protocol::{
    event::{Body, Event},
    topic::Stream,
};

/// What was found in a lane besides its end.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Notes after the checkpoint.
    pub(super) notes: Vec<Box<[u8]>>,
    /// Numbers below which the gaps in the newest segment state what is missing. Which gaps a crash has kept a lane's own file from
    /// knowing stands there.
    pub(super) stated: BTreeMap<Stream, u64>,
}

/// Opens the lane. Notes after position `checkpoint` are added to `found`.
pub(super) fn open(
    at: Surroundings,
    lane: Lane,
    checkpoint: u64,
    found: &mut Found,
) -> Result<Writer, SpoolError> {
    let dir = at.dir.clone();
    let io = |e| SpoolError::io(&dir, e);
    dirs::tidy(&dir).map_err(io)?;
    let mut listed = dirs::list(&dir).map_err(io)?;
    let path = dir.join(LANE_FILE);
    let (twin, read) = Twin::open::<LaneFile>(&path).map_err(|e| SpoolError::io(&path, e))?;
    // Those that a hole may have held something of.
    let streams: Vec<Stream> = match &read {
        twin::Found::Value(file, Certainty::Last) => file.reserved.seqs.keys().copied().collect(),
        _ => lane.streams().collect(),
    };
    let file = lane_file(read, &path, &listed)?;
    // A crash has kept these from being removed.
    for (_, gone) in listed.extract_if(.., |(pos, _)| *pos < file.oldest) {
        dirs::remove(&gone).map_err(|e| SpoolError::io(&gone, e))?;
    }
    let mut slots: VecDeque<Slot> = listed.into_iter().map(|(pos, dir)| Slot::new(pos, dir)).collect();
    let tail = look_through(&streams, &mut slots, checkpoint, found)?;
    let is_intact = tail.as_ref().map_or(slots.is_empty(), |tail| tail.pos >= file.head.pos);
    let next = match tail {
        Some(tail) if is_intact => tail,
        _ if slots.is_empty() => file.head.clone(),
        _ if file.reserved.pos >= slots.back().map_or(0, |slot| slot.first_pos) => {
            Mark { exact: false, ..file.reserved.clone() }
        }
        _ => return Err(SpoolError::Unrecoverable(dir)),
    };
    let cursor = if file.cursor.pos > next.pos { next.clone() } else { file.cursor.clone() };
    let log = Arc::new(Log::new(lane, slots, next.pos, cursor, file.evicted.clone()));
    if !(is_intact && next.exact) {
        tracing::error!(
            lane = lane.name(),
            "a part of the newest segment is lost; writing goes on in a new one"
        );
    }
    Ok(Writer::new(log, at, next, twin, file))
}

/// What the lane's file says, as far as it can be relied on.
fn lane_file(
    read: twin::Found<LaneFile>,
    path: &Path,
    listed: &[(u64, PathBuf)],
) -> Result<LaneFile, SpoolError> {
    match read {
        twin::Found::Value(file, Certainty::Last) => Ok(file),
        twin::Found::Value(file, Certainty::Perhaps) => {
            tracing::warn!("{}: a part of it is damaged; the rest may be a little older", path.display());
            Ok(file)
        }
        twin::Found::Nothing if listed.is_empty() => Ok(LaneFile::default()),
        // There never is a file without a segment.
        twin::Found::Damaged if listed.is_empty() => Err(SpoolError::Unrecoverable(path.to_owned())),
        twin::Found::Nothing | twin::Found::Damaged => {
            tracing::error!(
                "{}: lost; everything still spooled in this lane will be sent again",
                path.display()
            );
            let mark = listed.first().and_then(|(_, first)| Scan::of(first).ok()?.mark());
            let first_pos = listed.first().map_or(1, |(pos, _)| *pos);
            let cursor = mark.unwrap_or(Mark { pos: first_pos, ..Mark::default() });
            Ok(LaneFile { cursor, ..LaneFile::default() })
        }
    }
}

/// Reads what is needed of the segments. Returns where the newest ends; `None` where that cannot be told.
fn look_through(
    streams: &[Stream],
    slots: &mut VecDeque<Slot>,
    checkpoint: u64,
    found: &mut Found,
) -> Result<Option<Mark>, SpoolError> {
    let ends: Vec<Option<u64>> =
        slots.iter().skip(1).map(|slot| Some(slot.first_pos)).chain([None]).collect();
    let mut tail = None;
    for (slot, end) in slots.iter_mut().zip(ends) {
        if end.is_some_and(|end| end <= checkpoint + 1) {
            continue;
        }
        match Scan::of(&slot.dir) {
            Ok(scan) => {
                let walk = Walk { streams, checkpoint, is_newest: end.is_none() };
                tail = walk.run(
                    &scan,
                    slot.first_pos,
                    end.unwrap_or_else(|| end_of(&scan, slot.first_pos)),
                    found,
                );
            }
            Err(error) if is_passing(&error) => return Err(SpoolError::io(&slot.dir, error)),
            Err(error) => {
                tracing::error!(segment = %slot.dir.display(), %error, "damaged");
                (slot.damaged, tail) = (true, None);
            }
        }
    }
    Ok(tail)
}

/// Where the newest segment ends: after its last commit, if that is complete, otherwise before. All commits before the last
/// were answered, since one is written when the one before is durable; so what is missing of those is damage.
pub(super) fn end_of(scan: &Scan, first_pos: u64) -> u64 {
    let Some(commit_pos) = scan.blocks().iter().map(|block| block.commit_pos).max() else { return first_pos };
    let mut end = commit_pos;
    for block in scan.blocks().iter().filter(|block| block.commit_pos == commit_pos) {
        if block.pos != end {
            return commit_pos;
        }
        end = block.end_pos();
        if block.ends_commit {
            return end;
        }
    }
    commit_pos
}

struct Walk<'a> {
    streams: &'a [Stream],
    checkpoint: u64,
    is_newest: bool,
}

impl Walk<'_> {
    fn run(&self, scan: &Scan, first_pos: u64, end: u64, found: &mut Found) -> Option<Mark> {
        let mut codec = Codec::default();
        let mut at: Option<Mark> = None;
        for block in scan.octets(first_pos) {
            let Ok((header, content)) = block.and_then(|block| codec.decode(&block)) else { continue };
            if header.pos >= end && !(header.is_mark && header.pos == first_pos) {
                break;
            }
            match content {
                Content::Mark(mark) => at = Some(mark),
                Content::Records(_, records) => {
                    if let Some(at) = &mut at {
                        self.skip_to(at, header.pos);
                    }
                    for (pos, body) in (header.pos..).zip(records) {
                        at.iter_mut().for_each(|at| at.advance(body.as_ref()));
                        self.note(pos, body, found);
                    }
                }
            }
        }
        at.iter_mut().for_each(|at| self.skip_to(at, end));
        at
    }

    fn skip_to(&self, at: &mut Mark, pos: u64) {
        if pos > at.pos {
            at.skip(self.streams.iter().copied(), pos - at.pos);
        }
    }

    fn note(&self, pos: u64, body: RecordBody, found: &mut Found) {
        match body {
            RecordBody::Note(note) if pos > self.checkpoint => found.notes.push(note),
            RecordBody::Event { stream: Stream::Gaps, json, .. } if self.is_newest => {
                if let Ok(Event { body: Body::Gap(gap), .. }) = serde_json::from_str(&json) {
                    let next = found.stated.entry(gap.stream).or_default();
                    *next = (*next).max(gap.last_seq + 1);
                }
            }
            _ => {}
        }
    }
}
