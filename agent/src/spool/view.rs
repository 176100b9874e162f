//! A spool as tools see it, whether an agent has it or not. Nothing is changed by looking.
//!
//! What a segment holds is [`super::Scan`]'s to tell, which needs no agent. Of a spool in use the agent is asked for what files
//! do not show: up to where records are durable, what the platform has, and which segments count. Files are locked only while a lane is
//! looked at, so that an agent may start at any time; a segment may be gone a moment later, and then the lane is looked at again.

use super::{
    Lane, Mark, Scan, Spool, SpoolError, dirs, files,
    log::Evicted,
    recover,
    twin::{self, Certainty, Found},
    writer::{LANE_FILE, LaneFile},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::atomic::Ordering,
    thread,
    time::Duration,
};
use vitrine_protocol::{event::EventId, topic::Stream};

/// A spool that is looked at.
pub struct View {
    dir: PathBuf,
    id: Option<EventId>,
    ask: Option<Ask>,
}

/// Asks the agent that has the spool.
type Ask = Box<dyn Fn() -> Result<Live, SpoolError>>;

/// An agent that starts or stops has its spool for a moment without answering: how often, and after which pause, it is asked.
const ATTEMPTS: u32 = 12;
const PAUSE: Duration = Duration::from_millis(250);

/// What an agent says of the spool that it has open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Live {
    /// Its birth id.
    pub spool_id: EventId,
    /// The lanes, as [`Lane::ALL`].
    pub lanes: Vec<LiveLane>,
}

/// What an agent says of a lane that it has open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveLane {
    /// The lane.
    pub lane: Lane,
    /// Everything before is acknowledged.
    pub cursor: Mark,
    /// The position after the last durable record.
    pub next_pos: u64,
    /// Its segments, in order.
    pub segments: Vec<SegmentFiles>,
}

/// A lane as it lies on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneFiles {
    /// The lane.
    pub lane: Lane,
    /// Its directory.
    pub dir: PathBuf,
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
    /// What was evicted and is in no gap yet.
    pub evicted: Option<Evicted>,
    /// Its segments, in order.
    pub segments: Vec<SegmentFiles>,
    /// The position after the last durable record, as the agent says that has the spool.
    pub live_end_pos: Option<u64>,
}

/// How a lane's file reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// Something that was put aside, and is no part of the spool any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Aside {
    /// The file or directory.
    pub path: PathBuf,
    /// Octets it takes on the disk.
    pub disk_bytes: u64,
}

impl View {
    /// Looks at the spool in `dir`, which no agent has, unless one may be [asked](Self::asking).
    ///
    /// # Errors
    /// [`SpoolError::Format`] if this version does not know it, [`SpoolError::Io`] if there is none.
    pub fn open(dir: &Path) -> Result<Self, SpoolError> {
        files::check_is_spool(dir)?;
        let birth = files::look(dir);
        birth.as_ref().map_or(Ok(()), |birth| files::check_format(dir, birth))?;
        Ok(Self { dir: dir.to_owned(), id: birth.map(|birth| birth.id), ask: None })
    }

    /// While an agent has the spool, `ask` gives its [`Spool::live`].
    #[must_use]
    pub fn asking(self, ask: impl Fn() -> Result<Live, SpoolError> + 'static) -> Self {
        Self { ask: Some(Box::new(ask)), ..self }
    }

    /// Where it is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The spool's birth id; `None` where it cannot be read.
    pub fn id(&self) -> Option<EventId> {
        self.id
    }

    /// Whether an agent has it now.
    pub fn is_running(&self) -> bool {
        matches!(files::lock_to_look(&self.dir), Err(SpoolError::Locked(_)))
    }

    /// A lane, as it is now.
    ///
    /// # Errors
    /// [`SpoolError::Locked`] if an agent has the spool that cannot be asked, [`SpoolError::NoAnswer`] if it does not answer,
    /// [`SpoolError::Io`].
    pub fn lane(&self, lane: Lane) -> Result<LaneFiles, SpoolError> {
        for attempt in 1.. {
            match (files::lock_to_look(&self.dir), &self.ask) {
                (Ok(_lock), _) => return LaneFiles::read(&self.dir, lane),
                (Err(SpoolError::Locked(_)), Some(ask)) => match ask() {
                    // In this order: what the agent has evicted, its file says already.
                    Ok(live) => {
                        let live = live.lanes.into_iter().find(|live| live.lane == lane);
                        return Ok(LaneFiles::read(&self.dir, lane)?.told_by(live));
                    }
                    Err(SpoolError::NoAnswer { .. }) if attempt < ATTEMPTS => thread::sleep(PAUSE),
                    Err(error) => return Err(error),
                },
                (Err(error), _) => return Err(error),
            }
        }
        unreachable!("the last attempt ends it")
    }

    /// Segments of which some part could not be read, files that could not be, and whole spools: what an agent has put aside
    /// for people to look at.
    pub fn aside(&self) -> Vec<Aside> {
        let lanes = Lane::ALL.map(|lane| self.dir.join(lane.name()));
        let corrupt = [self.dir.clone()].into_iter().chain(lanes).flat_map(|dir| entries(&dir));
        let corrupt = corrupt.filter(|path| path.extension().is_some_and(|end| end == "corrupt"));
        let siblings = self.dir.parent().into_iter().flat_map(entries);
        let spools = siblings.filter(|path| {
            let end = path.extension().and_then(|end| end.to_str());
            path.file_stem() == self.dir.file_stem() && end.is_some_and(|end| end.starts_with("damaged-"))
        });
        let paths = entries(&self.dir.join("quarantine")).into_iter().chain(corrupt).chain(spools);
        paths.map(Aside::of).collect()
    }
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("View").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl LaneFiles {
    fn read(spool: &Path, lane: Lane) -> Result<Self, SpoolError> {
        let dir = spool.join(lane.name());
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
        Ok(Self {
            lane,
            dir,
            file: state,
            segments: listed.iter().zip(ends).map(segment).collect(),
            cursor: file.cursor,
            head: file.head,
            reserved: file.reserved,
            stated: file.stated,
            evicted: file.evicted,
            live_end_pos: None,
        })
    }

    /// With what the agent says that has the spool.
    fn told_by(self, live: Option<LiveLane>) -> Self {
        let Some(LiveLane { cursor, next_pos, segments, .. }) = live else { return self };
        Self { cursor, segments, live_end_pos: Some(next_pos), ..self }
    }

    /// Whether nothing has changed since `earlier`, and no agent was there that could have.
    pub fn is_still(&self, earlier: &Self) -> bool {
        self.live_end_pos.is_none() && self == earlier
    }

    /// The file of the lane's marks.
    pub fn file_path(&self) -> PathBuf {
        self.dir.join(LANE_FILE)
    }

    /// The position after the last record that counts in `segment`, whose file `scan` has looked through. What comes after
    /// it was never answered.
    pub fn end_pos(&self, segment: &SegmentFiles, scan: Option<&Scan>) -> u64 {
        let first_pos = segment.first_pos;
        let told = segment.end_pos.into_iter().chain(self.live_end_pos).min();
        told.unwrap_or_else(|| {
            let written = scan.map_or(first_pos, |scan| recover::end_of(scan, first_pos));
            written.max(self.head.pos)
        })
    }
}

impl Spool {
    /// Where the records of its lanes are, for a [`View`] of another process.
    pub fn live(&self) -> Live {
        let lanes = Lane::ALL.into_iter().zip(&self.shared.logs);
        let live = |(lane, log): (_, &std::sync::Arc<super::Log>)| {
            // In this order: what is durable lies in the segments, and what is no more in them was acknowledged.
            let next_pos = log.durable.load(Ordering::Acquire);
            let segments = log.segments();
            LiveLane { lane, cursor: log.acknowledged(), next_pos, segments }
        };
        Live { spool_id: self.id(), lanes: lanes.map(live).collect() }
    }
}

impl Aside {
    fn of(path: PathBuf) -> Self {
        let file_bytes =
            fs::metadata(&path).ok().filter(fs::Metadata::is_file).map(|file| file.blocks() * 512);
        Self { disk_bytes: file_bytes.unwrap_or_else(|| dirs::disk_bytes(&path)), path }
    }
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten();
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}
