//! How large the spool may become, and how often it writes.

use super::Lane;
use std::{path::PathBuf, time::Duration};

const MIB: u64 = 1024 * 1024;
/// What is written or read of an open segment stays in memory: four of them, at most, are open at once.
const SEGMENT_BYTES: u64 = 4 * MIB;

/// What a spool is to keep to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The spool's directory, its own.
    pub dir: PathBuf,
    /// Of the lanes, as [`Lane::ALL`] has them.
    pub bounds: [Bound; Lane::ALL.len()],
    /// A segment is closed when its blocks have so many octets. Small ones are for tests.
    pub segment_bytes: u64,
    /// How long commits are gathered before they are written and synced. A longer delay wears flash less.
    pub commit_delay: Duration,
    /// Octets that are left free on the file system, for others.
    pub free_space_floor_bytes: u64,
    /// The most octets of segments that could not be read and are kept for `vitrine spool salvage`.
    pub quarantine_bytes_max: u64,
}

/// How large a lane may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Octets on the disk, at least [`Config::BYTES_MIN`] unless segments are smaller. Two segments of it are kept in reserve.
    pub bytes_max: u64,
    /// What happens then.
    pub when_full: WhenFull,
}

/// What gives way when a lane is full, or the disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenFull {
    /// The oldest segment is removed, and a gap says so.
    EvictOldest,
    /// Producers are told to come again.
    PushBack,
}

impl Config {
    /// The least that a lane may be bounded to: a few segments.
    pub const BYTES_MIN: u64 = 8 * SEGMENT_BYTES;

    /// A spool in `dir`, with the bounds that a store gets which says nothing else.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        let bound = |bytes_max| Bound { bytes_max, when_full: WhenFull::EvictOldest };
        let mut config = Self {
            dir: dir.into(),
            bounds: [bound(0); Lane::ALL.len()],
            segment_bytes: SEGMENT_BYTES,
            commit_delay: Duration::from_millis(20),
            free_space_floor_bytes: 256 * MIB,
            quarantine_bytes_max: 64 * MIB,
        };
        *config.bound_mut(Lane::Critical) = bound(256 * MIB);
        *config.bound_mut(Lane::Slots) = bound(1024 * MIB);
        *config.bound_mut(Lane::Facts) = bound(256 * MIB);
        config
    }

    /// The bound of a lane.
    pub fn bound(&self, lane: Lane) -> Bound {
        self.bounds[lane as usize]
    }

    /// The bound of a lane, to be changed.
    pub fn bound_mut(&mut self, lane: Lane) -> &mut Bound {
        &mut self.bounds[lane as usize]
    }
}
