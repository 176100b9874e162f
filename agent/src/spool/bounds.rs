//! What gives way when a lane is full, or the disk is: the committer's part that makes room.

use super::{Draft, Full, Lane, SpoolError, WhenFull, committer::Committer, room};
use std::{sync::atomic::Ordering, time::Duration};
use vitrine_protocol::{event::GapReason, topic::Stream};

/// When producers are to come again that a full lane turns away.
const FULL_RETRY_AFTER: Duration = Duration::from_secs(5);
/// Which lane gives way first when the disk is full.
const EVICT_ORDER: [Lane; Lane::ALL.len()] = [Lane::Facts, Lane::Slots, Lane::Critical];

impl Committer {
    /// Makes room on a full disk, by what costs least. `false` when there is nothing left to give.
    pub(super) fn make_room(&mut self, reason: GapReason) -> bool {
        if self.ballast.release() {
            self.spare.discard();
            return true;
        }
        EVICT_ORDER.into_iter().any(|lane| self.evict(lane, reason))
    }

    fn may_evict(&self, lane: Lane) -> bool {
        self.config.bound(lane).when_full == WhenFull::EvictOldest && self.writers[lane as usize].can_evict()
    }

    /// Evicts the oldest segment of a lane, if that may be.
    fn evict(&mut self, lane: Lane, reason: GapReason) -> bool {
        if !self.may_evict(lane) {
            return false;
        }
        let kept = if lane == Lane::Critical { self.keep_gaps() } else { Ok(()) };
        match kept.and_then(|()| self.writers[lane as usize].evict(reason)) {
            Ok(evicted) => {
                self.shared.counters.evicted_segments.fetch_add(u64::from(evicted), Ordering::Relaxed);
                self.shared.changed.send_modify(|changes| *changes += 1);
                evicted
            }
            Err(error) => {
                tracing::error!(%error, lane = lane.name(), "cannot evict");
                false
            }
        }
    }

    /// Appends the gaps again that the oldest segment of the critical lane would take with it.
    fn keep_gaps(&mut self) -> Result<(), SpoolError> {
        let context = self.context;
        let drafts: Vec<_> = self.writers[Lane::Critical as usize]
            .gaps_to_keep()
            .into_iter()
            .map(|json| (context, Draft::Event { stream: Stream::Gaps, hold_until: None, json }))
            .collect();
        if drafts.is_empty() {
            return Ok(());
        }
        self.writers[Lane::Critical as usize].append(&drafts, self.clock.now().utc)
    }

    /// Keeps lanes within their bounds.
    pub(super) fn keep_bounds(&mut self) {
        let mut full = None;
        if self.is_below_floor && !EVICT_ORDER.into_iter().any(|lane| self.may_evict(lane)) {
            full = Some(Full { lane: None, retry_after: FULL_RETRY_AFTER });
        }
        for lane in Lane::ALL {
            let bound = self.config.bound(lane);
            // The segment that is written, and the next one, have their room already.
            let bytes_max = bound.bytes_max.saturating_sub(2 * self.config.segment_bytes);
            // Where gaps fill the lane, which are kept, to evict them all makes no room.
            let segments = self.writers[lane as usize].log.slots().len();
            for _ in 0..segments {
                if self.writers[lane as usize].disk_bytes() <= bytes_max {
                    break;
                }
                if !self.evict(lane, GapReason::Evicted) {
                    if bound.when_full == WhenFull::PushBack {
                        full = Some(Full { lane: Some(lane), retry_after: FULL_RETRY_AFTER });
                    }
                    break;
                }
            }
        }
        self.shared.refuse(full);
    }

    /// Looks whether the disk has the room that others are to have.
    pub(super) fn watch_disk(&mut self) {
        let floor_bytes = self.config.free_space_floor_bytes;
        match room::free_bytes(&self.config.dir) {
            Ok(free_bytes) => {
                self.is_below_floor = free_bytes < floor_bytes;
                self.ballast.restore(free_bytes, floor_bytes);
                self.keep_bounds();
            }
            Err(error) => tracing::warn!(%error, "free space on the spool's disk is not known"),
        }
    }

    /// Where others need the room, the spool does not grow: for a new segment of `lane`, an old one goes.
    pub(super) fn make_way(&mut self, lane: Lane) {
        if self.is_below_floor && self.writers[lane as usize].needs_segment() {
            EVICT_ORDER.into_iter().any(|lane| self.evict(lane, GapReason::DiskFull));
        }
    }
}
