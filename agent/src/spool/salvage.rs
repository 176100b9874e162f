//! Recovers the events of segments that no agent reads any more, or that one has: whatever has a right checksum.
//!
//! A directory may hold several copies of what was once a segment (`seg-*`, `*-dense`, `new-*`, `dead-*`, one in the quarantine): each position is
//! told once. What comes after the position at which the next segment starts was never answered, and its numbers were given to other
//! events: it is left out. Where that position is not known, the events of a last commit that is not whole are *unconfirmed*.

use super::{
    Entry, Lane, Scan, SeqRange, dirs, files, recover,
    segment::DB_FILE,
    spare,
    trail::{Missing, Trail},
};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    fs, io,
    ops::Range,
    path::{Path, PathBuf},
};
use vitrine_protocol::{event::EventId, topic::Stream};

/// Segments lie at most so deep below the directory that is searched: state, spool, lane, segment.
const DEPTH: u32 = 4;

/// The segments of one spool that are to be recovered.
#[derive(Debug)]
pub struct Copies {
    /// The spool's birth id, where that can be read.
    pub spool_id: Option<EventId>,
    /// Their directories.
    pub dirs: Vec<PathBuf>,
}

/// What was recovered of them.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Recovered {
    /// Segments that were looked through.
    pub segments: u64,
    /// Events that were recovered.
    pub events: u64,
    /// Of these, such as may never have been answered.
    pub unconfirmed_events: u64,
    /// By stream.
    pub streams: Vec<StreamRecovered>,
    /// What is missing, as far as that shows.
    pub missing: Vec<Lost>,
    /// Files that could not be read.
    pub unreadable: Vec<Unreadable>,
}

/// What was recovered of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct StreamRecovered {
    /// The stream.
    pub stream: Stream,
    /// Events.
    pub events: u64,
    /// The first number; not each one up to the last need be there.
    pub first_seq: u64,
    /// The last number.
    pub last_seq: u64,
}

/// Positions that are in no copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lost {
    /// The segment.
    pub dir: PathBuf,
    /// Records in it that are lost.
    pub records: u64,
    /// The numbers that they have held, as far as known.
    pub seqs: Vec<SeqRange>,
}

/// A segment that could not be read at all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unreadable {
    /// The segment.
    pub dir: PathBuf,
    /// What was said.
    pub error: String,
}

/// A recovery under way.
#[derive(Debug, Default)]
pub struct Salvage {
    recovered: Recovered,
    streams: BTreeMap<Stream, StreamRecovered>,
    seen: BTreeMap<Lane, Positions>,
    missing: Vec<(Lane, Missing)>,
}

/// Segments in `dir`, which is one, or holds some: by the spools that they belong to.
///
/// # Errors
/// If a directory cannot be listed.
pub fn copies(dir: &Path) -> io::Result<Vec<Copies>> {
    let dir = fs::canonicalize(dir)?;
    let mut found = Vec::new();
    search(&dir, DEPTH, &mut found)?;
    let mut spools = BTreeMap::<PathBuf, Vec<PathBuf>>::new();
    for segment in found {
        let spool = segment.ancestors().nth(2).unwrap_or(&segment).to_owned();
        spools.entry(spool).or_default().push(segment);
    }
    let copies = |(spool, mut dirs): (PathBuf, Vec<PathBuf>)| {
        // Those that count come first.
        dirs.sort_by_key(|dir| (!is_counted(dir), first_pos(dir), dir.clone()));
        Copies { spool_id: files::look(&spool).map(|birth| birth.id), dirs }
    };
    Ok(spools.into_iter().map(copies).collect())
}

impl Salvage {
    /// Recovers what is in the segment in `dir`. `on_event` gets each event that was not recovered from another copy, and whether it is
    /// unconfirmed.
    ///
    /// # Errors
    /// Those of `on_event`; a segment that cannot be read is only noted.
    pub fn read(
        &mut self,
        dir: &Path,
        mut on_event: impl FnMut(&Entry, bool) -> io::Result<()>,
    ) -> io::Result<()> {
        self.recovered.segments += 1;
        let scan = match Scan::of(dir) {
            Ok(scan) => scan,
            Err(error) => {
                self.recovered.unreadable.push(Unreadable { dir: dir.to_owned(), error: error.to_string() });
                return Ok(());
            }
        };
        let Some(first_pos) = first_pos(dir).or_else(|| Some(scan.blocks().first()?.pos)) else {
            return Ok(());
        };
        let next_pos = next_pos(dir, first_pos);
        let confirmed = next_pos.unwrap_or_else(|| recover::end_of(&scan, first_pos));
        let mut lane = lane_of(dir);
        for (block, entries) in scan.decoded(0) {
            let Ok(entries) = entries else { continue };
            lane = lane.or_else(|| Some(Lane::of(entries.first()?.record.stream)));
            let seen = self.seen.entry(lane.unwrap_or(Lane::Critical)).or_default();
            for entry in entries {
                let Entry { record, .. } = &entry;
                if next_pos.is_some_and(|next_pos| record.pos >= next_pos) || seen.has(record.pos) {
                    continue;
                }
                let is_unconfirmed = record.pos >= confirmed;
                on_event(&entry, is_unconfirmed)?;
                self.recovered.events += 1;
                self.recovered.unconfirmed_events += u64::from(is_unconfirmed);
                let StreamRecovered { events, first_seq, last_seq, .. } =
                    self.streams.entry(record.stream).or_insert(StreamRecovered {
                        stream: record.stream,
                        events: 0,
                        first_seq: record.seq,
                        last_seq: record.seq,
                    });
                *events += 1;
                (*first_seq, *last_seq) = ((*first_seq).min(record.seq), (*last_seq).max(record.seq));
            }
            seen.add(block.pos..block.end_pos());
        }
        let mut trail = Trail::from_pos(first_pos);
        let end = next_pos.unwrap_or_else(|| scan.blocks().last().map_or(first_pos, |block| block.end_pos()));
        trail.follow(dir, &scan, first_pos, end);
        let lane = lane.unwrap_or(Lane::Critical);
        self.missing.extend(trail.finish().into_iter().map(|missing| (lane, missing)));
        Ok(())
    }

    /// What was recovered, and what is in no copy.
    pub fn finish(mut self) -> Recovered {
        self.recovered.streams = self.streams.into_values().collect();
        for (lane, missing) in self.missing {
            let seen = self.seen.entry(lane).or_default();
            let records = missing.holes.iter().map(|(_, hole)| seen.count_missing(hole)).sum();
            let Some((dir, _)) = missing.holes.first().cloned() else { continue };
            // Another copy may miss the same.
            missing.holes.into_iter().for_each(|(_, hole)| seen.add(hole));
            if records > 0 {
                let seqs = missing.losses.into_iter().map(SeqRange::from).collect();
                self.recovered.missing.push(Lost { dir, records, seqs });
            }
        }
        self.recovered
    }
}

/// Positions, as ranges in order.
#[derive(Debug, Default)]
struct Positions(Vec<Range<u64>>);

impl Positions {
    fn has(&self, pos: u64) -> bool {
        let next = self.0.partition_point(|range| range.start <= pos);
        next > 0 && self.0[next - 1].end > pos
    }

    /// How many positions of `range` are not there.
    fn count_missing(&self, range: &Range<u64>) -> u64 {
        let within = |has: &Range<u64>| has.end.min(range.end).saturating_sub(has.start.max(range.start));
        range.end - range.start - self.0.iter().map(within).sum::<u64>()
    }

    fn add(&mut self, new: Range<u64>) {
        let from = self.0.partition_point(|range| range.end < new.start);
        let to = self.0.partition_point(|range| range.start <= new.end);
        let joined = self.0[from..to]
            .iter()
            .fold(new, |joined, range| joined.start.min(range.start)..joined.end.max(range.end));
        self.0.splice(from..to, [joined]);
    }
}

fn search(dir: &Path, depth: u32, found: &mut Vec<PathBuf>) -> io::Result<()> {
    if dir.ends_with(spare::DIR) {
        // It is empty.
        return Ok(());
    }
    if dir.join(DB_FILE).exists() {
        found.push(dir.to_owned());
        return Ok(());
    }
    if depth == 0 {
        return Ok(());
    }
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            search(&entry.path(), depth - 1, found)?;
        }
    }
    Ok(())
}

/// The name of a segment's directory, without what was put before it: `dead-`, `new-`, or a lane in the quarantine.
fn name(dir: &Path) -> Option<&str> {
    let name = dir.file_name()?.to_str()?;
    name.find("seg-").map(|at| &name[at..])
}

fn first_pos(dir: &Path) -> Option<u64> {
    name(dir).and_then(dirs::first_pos)
}

/// Whether it is one of its lane's segments.
fn is_counted(dir: &Path) -> bool {
    dir.file_name().and_then(|name| name.to_str()).and_then(dirs::first_pos).is_some()
}

/// Its lane, from its name in the quarantine, or from the directory that it is in.
fn lane_of(dir: &Path) -> Option<Lane> {
    let parent = dir.parent()?.file_name()?.to_str()?;
    let name = dir.file_name()?.to_str()?;
    let prefix = name.split_once("-seg-").map(|(prefix, _)| prefix);
    Lane::ALL.into_iter().find(|lane| parent == lane.name() || prefix == Some(lane.name()))
}

/// Where the next segment of its lane starts.
fn next_pos(dir: &Path, first_pos: u64) -> Option<u64> {
    let lane = dir.parent().filter(|parent| Lane::ALL.iter().any(|lane| parent.ends_with(lane.name())))?;
    dirs::list(lane).ok()?.into_iter().map(|(pos, _)| pos).find(|pos| *pos > first_pos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_joined() {
        let mut positions = Positions::default();
        for range in [10..20, 30..40, 20..25, 5..7, 24..31, 50..51] {
            positions.add(range);
        }
        assert_eq!(positions.0, [5..7, 10..40, 50..51]);
        assert_eq!((positions.count_missing(&(0..60)), positions.count_missing(&(12..38))), (60 - 33, 0));
        assert!(positions.has(39) && positions.has(5) && !positions.has(40) && !positions.has(4));
    }
}
