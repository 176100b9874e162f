//! How a spool stands, as far as its files tell: what waits in each lane, since when, and where numbers go on.
//!
//! Of the segments, only the first that waits and the newest are read: what they are between is [`super::verify`]'s to find out.

use super::{
    Aside, Bound, Evicted, Lane, LaneFiles, Mark, Scan, SeqRange, SpoolError, Stats, View, trail::Trail,
};
use serde::Serialize;
use std::path::PathBuf;
use vitrine_protocol::{
    event::{EventId, GapReason},
    time::Timestamp,
    topic::Stream,
};

/// How a spool stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// Where it is.
    pub dir: PathBuf,
    /// Its birth id, where that can be read.
    pub spool_id: Option<EventId>,
    /// Whether an agent has it.
    pub is_running: bool,
    /// The lanes, as [`Lane::ALL`].
    pub lanes: Vec<LaneStanding>,
    /// What was put aside.
    pub aside: Vec<Aside>,
    /// What the agent has done with it since it was started.
    pub since_start: Option<Stats>,
}

/// How a lane stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LaneStanding {
    /// The lane.
    pub lane: Lane,
    /// The position up to which everything is acknowledged.
    pub cursor: u64,
    /// The position after the last record.
    pub next_pos: u64,
    /// Events that wait for acknowledgement.
    pub waiting_events: u64,
    /// Notes that wait with them; `None` where something is missing.
    pub waiting_notes: Option<u64>,
    /// When the oldest record that waits was written.
    pub oldest_at: Option<Timestamp>,
    /// Segments on the disk.
    pub segments: u64,
    /// Octets they take.
    pub disk_bytes: u64,
    /// Octets they may take, where that is known.
    pub bytes_max: Option<u64>,
    /// Its streams that ever had an event.
    pub streams: Vec<StreamStanding>,
    /// Evicted, and in no gap yet.
    pub evicted: Vec<SeqRange>,
    /// Why.
    pub evicted_reason: Option<GapReason>,
}

/// Where a stream stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct StreamStanding {
    /// The stream.
    pub stream: Stream,
    /// The first number that is not acknowledged.
    pub first_seq: u64,
    /// The number that the next event gets.
    pub next_seq: u64,
}

impl StreamStanding {
    /// Events that wait.
    pub fn waiting_events(&self) -> u64 {
        self.next_seq.saturating_sub(self.first_seq)
    }
}

impl Standing {
    /// Looks at the spool. `bounds` are what is configured, by lane, and `stats` what the agent says that has it.
    ///
    /// # Errors
    /// [`SpoolError::Io`], [`SpoolError::NoAnswer`]
    pub fn of(
        view: &View,
        bounds: Option<[Bound; Lane::ALL.len()]>,
        stats: Option<Stats>,
    ) -> Result<Self, SpoolError> {
        let mut is_running = false;
        let lanes = Lane::ALL.into_iter().map(|lane| {
            let of_agent = stats.as_ref().and_then(|stats| stats.lanes.get(lane as usize));
            let configured = bounds.map(|bounds| bounds[lane as usize].bytes_max);
            let bytes_max = of_agent.map(|lane| lane.bytes_max).or(configured);
            let files = view.lane(lane)?;
            is_running |= files.live_end_pos.is_some();
            Ok(LaneStanding::of(&files, bytes_max))
        });
        let lanes = lanes.collect::<Result<_, SpoolError>>()?;
        Ok(Self {
            dir: view.dir().to_owned(),
            spool_id: view.id(),
            is_running,
            lanes,
            aside: view.aside(),
            since_start: stats,
        })
    }
}

impl LaneStanding {
    fn of(files: &LaneFiles, bytes_max: Option<u64>) -> Self {
        let (next, is_whole) = next(files);
        let first = files.segments.first().and_then(|first| Scan::of(&first.dir).ok()?.mark());
        // What lies before the first segment does not wait.
        let from = first.clone().filter(|first| first.pos > files.cursor.pos).unwrap_or(files.cursor.clone());
        let streams = files.lane.streams().filter_map(|stream| {
            let next_seq = next.seq(stream).max(from.seq(stream));
            (next_seq > 1).then(|| StreamStanding { stream, first_seq: from.seq(stream), next_seq })
        });
        let streams: Vec<_> = streams.collect();
        let waiting_events = streams.iter().map(StreamStanding::waiting_events).sum();
        let waiting_records = next.pos.saturating_sub(from.pos);
        let evicted = files.evicted.as_ref().zip(first.as_ref());
        let evicted = evicted.map(|(Evicted { from, reason }, first)| first.losses_since(from, *reason));
        Self {
            lane: files.lane,
            cursor: files.cursor.pos - 1,
            next_pos: next.pos,
            waiting_events,
            waiting_notes: waiting_records.checked_sub(waiting_events).filter(|_| is_whole),
            oldest_at: if waiting_records > 0 { oldest_at(files, from.pos) } else { None },
            segments: files.segments.len() as u64,
            disk_bytes: files.segments.iter().map(|segment| segment.disk_bytes).sum(),
            bytes_max,
            streams,
            evicted: evicted.into_iter().flatten().map(SeqRange::from).collect(),
            evicted_reason: files.evicted.as_ref().map(|evicted| evicted.reason),
        }
    }
}

/// Where the lane goes on, and whether nothing is missing in the newest segment, which tells.
fn next(files: &LaneFiles) -> (Mark, bool) {
    let Some(newest) = files.segments.last() else { return (files.head.clone(), true) };
    let scan = Scan::of(&newest.dir);
    let end = files.end_pos(newest, scan.as_ref().ok());
    let mut trail = Trail::from_pos(newest.first_pos);
    let start = trail.clone();
    match &scan {
        Ok(scan) => drop(trail.follow(&newest.dir, scan, newest.first_pos, end)),
        Err(_) => trail.skip_to(&newest.dir, end),
    }
    let is_whole = !trail.has_lost_since(&start);
    let mut next = trail.at().clone();
    // What is missing at the end, the lane's file may know of.
    if !is_whole && files.head.pos >= next.pos {
        next = files.head.clone();
    }
    (next, is_whole)
}

fn oldest_at(files: &LaneFiles, from: u64) -> Option<Timestamp> {
    let waits = files.segments.iter().find(|segment| segment.end_pos.is_none_or(|end| end > from))?;
    let scan = Scan::of(&waits.dir).ok()?;
    scan.blocks().iter().find(|block| block.end_pos() > from).map(|block| block.written_at)
}
