//! How a spool stands, in numbers.

use super::{Lane, Shared, WhenFull, scan::Scan};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::atomic::Ordering};
use vitrine_protocol::{event::EventId, time::Timestamp, topic::Stream};

/// How a spool stands. Counts are since it was opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Its birth id.
    pub spool_id: EventId,
    /// The lanes, as [`Lane::ALL`].
    pub lanes: Vec<LaneStats>,
    /// Events made durable.
    pub events: u64,
    /// Octets of their JSON.
    pub payload_bytes: u64,
    /// Octets written to the disk for them: pages of segments and of state files, as far as the spool knows.
    pub written_bytes: u64,
    /// Commits of the storage.
    pub commits: u64,
    /// Events that are lost; gaps say which.
    pub lost_events: u64,
    /// Segments removed to make room.
    pub evicted_segments: u64,
    /// Segments found to be damaged.
    pub damaged_segments: u64,
    /// Octets of damaged segments that are kept.
    pub quarantine_bytes: u64,
    /// The spool takes nothing on for now.
    pub is_full: bool,
}

/// How a lane stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneStats {
    /// The lane.
    pub lane: Lane,
    /// The position up to which everything is acknowledged.
    pub cursor: u64,
    /// The position after the last record.
    pub next_pos: u64,
    /// Records, notes included, that wait for acknowledgement.
    pub backlog_records: u64,
    /// Segments on the disk.
    pub segments: u64,
    /// Octets they take.
    pub disk_bytes: u64,
    /// Octets they may take.
    pub bytes_max: u64,
    /// What happens then.
    pub when_full: WhenFull,
    /// The first number of each stream that is not acknowledged.
    pub first_seqs: BTreeMap<Stream, u64>,
    /// When the oldest record that waits was written.
    pub oldest_at: Option<Timestamp>,
}

impl Stats {
    pub(super) fn of(shared: &Shared) -> Self {
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &shared.counters;
        Self {
            spool_id: shared.id,
            lanes: Lane::ALL.into_iter().map(|lane| LaneStats::of(shared, lane)).collect(),
            events: count(&counters.events),
            payload_bytes: count(&counters.payload_bytes),
            written_bytes: count(&shared.written_bytes),
            commits: count(&counters.commits),
            lost_events: count(&counters.lost_events),
            evicted_segments: count(&counters.evicted_segments),
            damaged_segments: count(&counters.damaged_segments),
            quarantine_bytes: super::dirs::disk_bytes(&shared.config.dir.join("quarantine")),
            is_full: shared.full().is_some(),
        }
    }
}

impl LaneStats {
    fn of(shared: &Shared, lane: Lane) -> Self {
        let (log, bound) = (&shared.logs[lane as usize], shared.config.bound(lane));
        let acknowledged = log.acknowledged();
        let (segments, disk_bytes) = {
            let slots = log.slots();
            (slots.len() as u64, slots.iter().map(|slot| slot.disk_bytes()).sum())
        };
        let backlog_records = log.backlog();
        let oldest_at = log.place_of(acknowledged.pos).filter(|_| backlog_records > 0).and_then(|place| {
            let scan = Scan::of(&place.dir).ok()?;
            let waits = scan.blocks().iter().find(|block| block.end_pos() > acknowledged.pos);
            waits.map(|block| block.written_at)
        });
        Self {
            lane,
            cursor: acknowledged.pos - 1,
            next_pos: log.durable.load(Ordering::Acquire),
            backlog_records,
            segments,
            disk_bytes,
            bytes_max: bound.bytes_max,
            when_full: bound.when_full,
            first_seqs: acknowledged.seqs,
            oldest_at,
        }
    }
}
