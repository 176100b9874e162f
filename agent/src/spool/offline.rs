//! A spool that no process has, looked at without changing it: for tools.
//!
//! What a segment holds is [`super::Scan`]'s to tell.

use super::{
    Lane, Mark, SpoolError, dirs, files,
    twin::{self, Certainty, Found},
    writer::{LANE_FILE, LaneFile},
};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
};
use vitrine_protocol::{event::EventId, topic::Stream};

/// A spool that is looked at. No agent can have it meanwhile.
#[derive(Debug)]
pub struct Offline {
    dir: PathBuf,
    id: Option<EventId>,
    _lock: File,
}

/// A lane of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OfflineLane {
    /// The lane.
    pub lane: Lane,
    /// How its file reads.
    pub file: FileState,
    /// Everything before is acknowledged.
    pub cursor: Mark,
    /// Where the lane ended when its file was written; the newest segment may go on.
    pub head: Mark,
    /// No position or number from here on was ever given away.
    pub reserved: Mark,
    /// What is missing of a stream below this number is stated in a gap.
    pub stated: BTreeMap<Stream, u64>,
    /// Where it starts what was evicted and is in no gap yet.
    pub evicted_from: Option<Mark>,
    /// Its segments, in order.
    pub segments: Vec<SegmentFiles>,
}

/// How a lane's file reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FileState {
    /// It is not there: nothing was ever written to the lane.
    Absent,
    /// It is whole.
    Whole,
    /// One of its two places is damaged; the other may be a little older.
    HalfDamaged,
    /// It cannot be read.
    Damaged,
}

/// A segment's directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SegmentFiles {
    /// The position of its first record.
    pub first_pos: u64,
    /// Where the next one starts.
    pub end_pos: Option<u64>,
    /// The directory.
    pub dir: PathBuf,
    /// Octets it takes on the disk.
    pub disk_bytes: u64,
}

impl Offline {
    /// Looks at the spool in `dir`.
    ///
    /// # Errors
    /// [`SpoolError::Locked`] if an agent has it, [`SpoolError::Format`] if this one does not know it, [`SpoolError::Io`] if there is
    /// none.
    pub fn open(dir: &Path) -> Result<Self, SpoolError> {
        let lock = files::lock_existing(dir)?;
        let birth = files::look(dir);
        birth.as_ref().map_or(Ok(()), |birth| files::check_format(dir, birth))?;
        Ok(Self { dir: dir.to_owned(), id: birth.map(|birth| birth.id), _lock: lock })
    }

    /// The spool's birth id; `None` where it cannot be read.
    pub fn id(&self) -> Option<EventId> {
        self.id
    }

    /// A lane.
    ///
    /// # Errors
    /// [`SpoolError::Io`]
    pub fn lane(&self, lane: Lane) -> Result<OfflineLane, SpoolError> {
        let dir = self.dir.join(lane.name());
        let listed =
            if dir.exists() { dirs::list(&dir).map_err(|e| SpoolError::io(&dir, e))? } else { Vec::new() };
        let path = dir.join(LANE_FILE);
        let found = twin::look::<LaneFile>(&path).map_err(|e| SpoolError::io(&path, e))?.1;
        let (file, state) = match found {
            Found::Nothing => (LaneFile::default(), FileState::Absent),
            Found::Value(file, Certainty::Last) => (file, FileState::Whole),
            Found::Value(file, Certainty::Perhaps) => (file, FileState::HalfDamaged),
            Found::Damaged => (LaneFile::default(), FileState::Damaged),
        };
        let ends = listed.iter().skip(1).map(|(pos, _)| Some(*pos)).chain([None]);
        let segment = |((first_pos, dir), end_pos): (&(u64, PathBuf), _)| SegmentFiles {
            first_pos: *first_pos,
            end_pos,
            dir: dir.clone(),
            disk_bytes: dirs::disk_bytes(dir),
        };
        Ok(OfflineLane {
            lane,
            file: state,
            segments: listed.iter().zip(ends).map(segment).collect(),
            cursor: file.cursor,
            head: file.head,
            reserved: file.reserved,
            stated: file.stated,
            evicted_from: file.evicted.map(|evicted| evicted.from),
        })
    }

    /// Directories of segments of which some part could not be read.
    pub fn quarantined(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.dir.join("quarantine")).into_iter().flatten();
        let mut dirs: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        dirs.sort();
        dirs
    }
}
