//! Reads everything in a spool, and says what is damaged, and what that costs.
//!
//! Damage is what cannot be read and should be: a block of which no copy is left, a segment's start, a file of which one copy or both
//! are gone. What nobody reads may be damaged without being found: sled keeps pages that it does not use any more, and second copies of
//! some blocks; so does a commit that was cut off by a crash, which was never answered.
//!
//! In a spool that is in use, a segment may be drained, evicted or written anew while it is read. So what seems to be damaged
//! is looked at again.

use super::{
    Aside, FileState, Lane, LaneFiles, Scan, SegmentFiles, SeqRange, SpoolError, View,
    files::{self, Birth, CHECKPOINT_FILE, Checkpoint},
    mark::Loss,
    trail::{Missing, Passed, Trail},
};
use serde::{Serialize, de::IgnoredAny};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    ops::Range,
    path::PathBuf,
    thread,
    time::Duration,
};

/// How often, and after which pause, damage in a spool that is in use is looked at again. A lane's file is written about every 200 ms.
const LOOKS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(150);

/// What [`verify`] has found.
#[derive(Debug, Default, Serialize)]
pub struct Verified {
    /// Segments that count.
    pub segments: u64,
    /// Blocks of records and marks in them.
    pub blocks: u64,
    /// Events in these.
    pub events: u64,
    /// Notes in these.
    pub notes: u64,
    /// What is damaged.
    pub findings: Vec<Finding>,
    /// What was put aside earlier: told apart, as it is no part of the spool.
    pub aside: Vec<Aside>,
}

/// Something that is damaged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The file or directory.
    pub path: PathBuf,
    /// The lane; `None` of a file of the whole spool.
    pub lane: Option<Lane>,
    /// What is damaged.
    pub damage: Damage,
    /// What was said when it was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The positions that cannot be read.
    pub positions: Vec<PosRange>,
    /// The numbers that they have held, as far as known: where several segments in a row cannot be read, those of all of them.
    pub seqs: Vec<SeqRange>,
    /// What it costs.
    pub consequence: Consequence,
}

/// Positions of a lane, from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PosRange {
    /// The first.
    pub first_pos: u64,
    /// The last.
    pub last_pos: u64,
}

/// What is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Damage {
    /// Blocks of a segment.
    Blocks,
    /// A segment's file, as a whole.
    Segment,
    /// The mark that a segment starts with.
    SegmentStart,
    /// A lane's file.
    LaneFile,
    /// One of the two places in a lane's file.
    LaneFileCopy,
    /// Both copies of the spool's birth.
    Birth,
    /// One copy of the spool's birth.
    BirthCopy,
    /// The checkpoint.
    Checkpoint,
}

/// What damage costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Consequence {
    /// Nothing: there is a copy, or the platform has what was lost.
    Nothing,
    /// The platform was told what is lost.
    Stated,
    /// Events are lost. A gap will say so when the uplink comes there.
    Lost,
    /// What the agent remembers of shelves, sessions and inputs is older than it was.
    Memory,
    /// What was acknowledged and is still there is sent again.
    Repeated,
    /// At the next start, the spool is set aside as a whole, and a new one is begun.
    Unusable,
}

/// Reads everything.
///
/// # Errors
/// [`SpoolError::Io`] if the spool's directories cannot be listed, [`SpoolError::NoAnswer`] if the agent goes away meanwhile.
pub fn verify(view: &View) -> Result<Verified, SpoolError> {
    let mut verified = Verified { aside: view.aside(), ..Verified::default() };
    verified.check_own_files(view);
    for lane in Lane::ALL {
        verified.check_lane(view, lane)?;
    }
    Ok(verified)
}

impl Verified {
    fn check_own_files(&mut self, view: &View) {
        if Lane::ALL.iter().all(|lane| !view.dir().join(lane.name()).exists()) {
            // It was just being born.
            return;
        }
        let paths = files::BIRTH_FILES.map(|name| view.dir().join(name));
        let births = paths.each_ref().map(|path| crate::state::look::<Birth>(path));
        let is_left = births.iter().any(Option::is_some);
        for (path, birth) in paths.into_iter().zip(births) {
            if birth.is_none_or(|birth| Some(birth.id) != view.id()) {
                let (damage, consequence) = if is_left {
                    (Damage::BirthCopy, Consequence::Nothing)
                } else {
                    (Damage::Birth, Consequence::Unusable)
                };
                self.findings.push(Finding::of_file(path, None, damage, consequence));
            }
            if !is_left {
                break;
            }
        }
        let path = view.dir().join(CHECKPOINT_FILE);
        if path.exists() && crate::state::look::<Checkpoint<IgnoredAny>>(&path).is_none() {
            self.findings.push(Finding::of_file(path, None, Damage::Checkpoint, Consequence::Memory));
        }
    }

    fn check_lane(&mut self, view: &View, lane: Lane) -> Result<(), SpoolError> {
        let lane_files = self.check_lane_file(view, lane)?;
        let first_pos = lane_files.segments.first().map(|first| first.first_pos);
        let start = first_pos.unwrap_or(lane_files.head.pos);
        // Before the first segment, nothing may be missing that the platform does not have.
        let is_known = !matches!(lane_files.file, FileState::Absent | FileState::Damaged)
            && lane_files.evicted.is_none()
            && lane_files.cursor.pos <= start;
        let mut trail =
            if is_known { Trail::from(lane_files.cursor.clone()) } else { Trail::from_pos(start) };
        trail.skip_to(&lane_files.dir, start);

        let mut broken = Broken::default();
        for segment in &lane_files.segments {
            let Some(followed) = follow(view, &lane_files, segment, &trail)? else {
                trail.leave_to(segment.end_pos.unwrap_or(trail.at().pos));
                continue;
            };
            self.segments += 1;
            self.blocks += followed.passed.blocks;
            self.events += followed.passed.events;
            self.notes += followed.passed.notes;
            match followed.error {
                Some(error) => drop(broken.files.insert(followed.dir, error.to_string())),
                None if !followed.has_start => drop(broken.starts.insert(followed.dir)),
                None => {}
            }
            trail = followed.trail;
        }
        if lane_files.live_end_pos.is_none() && lane_files.head.pos >= trail.at().pos {
            trail.pass(&lane_files.dir, lane_files.head.clone());
        }
        for missing in trail.finish() {
            self.add_missing(&lane_files, missing, &mut broken);
        }
        let of_dir = |dir, damage| Finding::of_file(dir, Some(lane), damage, Consequence::Nothing);
        let of_file = |(dir, error)| Finding { error: Some(error), ..of_dir(dir, Damage::Segment) };
        self.findings.extend(broken.files.into_iter().map(of_file));
        self.findings.extend(broken.starts.into_iter().map(|dir| of_dir(dir, Damage::SegmentStart)));
        Ok(())
    }

    /// Adds a finding for each segment in which something is missing, and takes it off what is `broken`.
    fn add_missing(&mut self, lane_files: &LaneFiles, missing: Missing, broken: &mut Broken) {
        let is_stated = |loss: &Loss| loss.unstated(&lane_files.stated).is_none();
        let consequence = match missing.losses.as_slice() {
            [] if missing.is_told => Consequence::Memory,
            [_, ..] if missing.is_told && missing.losses.iter().all(is_stated) => Consequence::Stated,
            _ => Consequence::Lost,
        };
        let seqs: Vec<_> = missing.losses.into_iter().map(SeqRange::from).collect();
        for holes in missing.holes.chunk_by(|(dir, _), (next, _)| dir == next) {
            let dir = &holes[0].0;
            // Evicted, and the platform was told.
            if *dir == lane_files.dir && consequence == Consequence::Stated {
                continue;
            }
            broken.starts.remove(dir);
            let error = broken.files.remove(dir);
            let damage = if error.is_some() { Damage::Segment } else { Damage::Blocks };
            let is_acknowledged = holes.iter().all(|(_, hole)| hole.end <= lane_files.cursor.pos);
            let consequence = if is_acknowledged { Consequence::Nothing } else { consequence };
            self.findings.push(Finding {
                error,
                positions: holes.iter().map(|(_, hole)| PosRange::from(hole)).collect(),
                seqs: seqs.clone(),
                ..Finding::of_file(dir.clone(), Some(lane_files.lane), damage, consequence)
            });
        }
    }

    fn check_lane_file(&mut self, view: &View, lane: Lane) -> Result<LaneFiles, SpoolError> {
        let mut lane_files = view.lane(lane)?;
        for _ in 1..LOOKS {
            // One of its places may just be written.
            let is_certain = lane_files.live_end_pos.is_none() || lane_files.file == FileState::Whole;
            if is_certain {
                break;
            }
            thread::sleep(PAUSE);
            lane_files = view.lane(lane)?;
        }
        let (damage, consequence) = match lane_files.file {
            FileState::Absent if lane_files.segments.is_empty() => return Ok(lane_files),
            FileState::Whole => return Ok(lane_files),
            FileState::HalfDamaged => (Damage::LaneFileCopy, Consequence::Nothing),
            // There never is a file without a segment.
            FileState::Damaged if lane_files.segments.is_empty() => (Damage::LaneFile, Consequence::Unusable),
            FileState::Absent | FileState::Damaged => (Damage::LaneFile, Consequence::Repeated),
        };
        self.findings.push(Finding::of_file(lane_files.file_path(), Some(lane), damage, consequence));
        Ok(lane_files)
    }
}

impl From<&Range<u64>> for PosRange {
    fn from(hole: &Range<u64>) -> Self {
        Self { first_pos: hole.start, last_pos: hole.end - 1 }
    }
}

impl Finding {
    fn of_file(path: PathBuf, lane: Option<Lane>, damage: Damage, consequence: Consequence) -> Self {
        Self { path, lane, damage, error: None, positions: Vec::new(), seqs: Vec::new(), consequence }
    }
}

/// Segments of a lane that are damaged, unless it shows in what is missing.
#[derive(Default)]
struct Broken {
    /// Files that cannot be read, and what was said.
    files: BTreeMap<PathBuf, String>,
    /// Such as have lost their first mark.
    starts: BTreeSet<PathBuf>,
}

/// A segment that was followed.
struct Followed {
    dir: PathBuf,
    trail: Trail,
    passed: Passed,
    error: Option<io::Error>,
    has_start: bool,
}

/// Follows a segment from `trail` on. `None` if it is no part of the spool any more.
fn follow(
    view: &View,
    lane_files: &LaneFiles,
    segment: &SegmentFiles,
    trail: &Trail,
) -> Result<Option<Followed>, SpoolError> {
    let (mut segment, mut seen) = (segment.clone(), lane_files.clone());
    for look in 1.. {
        let followed = follow_once(lane_files, &segment, trail.clone());
        let is_well = followed.error.is_none() && followed.has_start && !followed.trail.has_lost_since(trail);
        if is_well || look == LOOKS {
            return Ok(Some(followed));
        }
        let now = view.lane(lane_files.lane)?;
        if now.is_still(&seen) {
            return Ok(Some(followed));
        }
        seen = now;
        let same = seen.segments.iter().find(|now| now.first_pos == segment.first_pos);
        let Some(same) = same else { break };
        segment.dir.clone_from(&same.dir);
        thread::sleep(PAUSE);
    }
    Ok(None)
}

fn follow_once(lane_files: &LaneFiles, segment: &SegmentFiles, mut trail: Trail) -> Followed {
    let (dir, first_pos) = (segment.dir.clone(), segment.first_pos);
    let scan = Scan::of(&dir);
    let end = lane_files.end_pos(segment, scan.as_ref().ok());
    let (passed, has_start, error) = match scan {
        Ok(scan) => (trail.follow(&dir, &scan, first_pos, end), scan.has_mark_at(first_pos), None),
        Err(error) => {
            trail.skip_to(&dir, end);
            (Passed::default(), false, Some(error))
        }
    };
    Followed { dir, trail, passed, error, has_start }
}
