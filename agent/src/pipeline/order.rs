//! Sightings in the order of their times, although some come late.
//!
//! A relay sends what it heard in batches, seconds after the gateway's own radio has told of the same moment. So each
//! sighting waits until it is as old as the latest that may still come. Where nothing comes late nothing waits.

use crate::capture::Heard;
use std::{cmp::Ordering, collections::BinaryHeap};

/// Sightings that wait at most; above this the oldest goes on early.
const WAITING_MAX: usize = 16_384;

/// Sightings that wait for earlier ones.
#[derive(Debug)]
pub(crate) struct Order {
    late_ms: u64,
    /// Tells sightings of one millisecond apart, so that they go on as they came.
    number: u64,
    waiting: BinaryHeap<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    key: (u64, u64),
    heard: Heard,
}

impl Order {
    /// Sightings come at most `late_ms` after they were heard.
    pub(crate) fn new(late_ms: u64) -> Self {
        Self { late_ms, number: 0, waiting: BinaryHeap::new() }
    }

    /// A sighting came.
    pub(crate) fn push(&mut self, heard: Heard) {
        self.number += 1;
        self.waiting.push(Waiting { key: (heard.at.mono_ms, self.number), heard });
    }

    /// The next sighting that nothing earlier can come for any more.
    pub(crate) fn pop(&mut self, now_ms: u64) -> Option<Heard> {
        let first_ms = self.waiting.peek()?.key.0;
        let due = first_ms.saturating_add(self.late_ms) <= now_ms || self.waiting.len() > WAITING_MAX;
        if due { self.waiting.pop().map(|first| first.heard) } else { None }
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The earliest is the greatest, which the heap has on top.
impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> Ordering {
        other.key.cmp(&self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Now;
    use vitrine_protocol::{Id, event::Clock, time::Timestamp};

    fn heard(mono_ms: u64, rssi_dbm: i8) -> Heard {
        let at = Now { mono_ms, utc: Timestamp::from_ms(0), source: Clock::Synced };
        let receiver = Id::new("door").unwrap();
        Heard { at, receiver, address: None, rssi_dbm, frame: None, beacon: None }
    }

    fn popped(order: &mut Order, now_ms: u64) -> Vec<(u64, i8)> {
        std::iter::from_fn(|| order.pop(now_ms)).map(|heard| (heard.at.mono_ms, heard.rssi_dbm)).collect()
    }

    #[test]
    fn what_comes_late_takes_its_place() {
        let mut order = Order::new(5_000);
        [(9_000, -1), (4_000, -2), (9_000, -3), (6_000, -4)]
            .iter()
            .for_each(|&(ms, dbm)| order.push(heard(ms, dbm)));
        assert_eq!(popped(&mut order, 8_999), []);
        assert_eq!(popped(&mut order, 11_000), [(4_000, -2), (6_000, -4)]);
        assert_eq!(popped(&mut order, u64::MAX), [(9_000, -1), (9_000, -3)]);
    }

    #[test]
    fn nothing_waits_where_nothing_comes_late_and_never_too_many_do() {
        let mut order = Order::new(0);
        order.push(heard(7, -1));
        assert_eq!(popped(&mut order, 7), [(7, -1)]);
        let mut order = Order::new(5_000);
        (0..20_000).for_each(|ms| order.push(heard(ms, -1)));
        assert_eq!(popped(&mut order, 0).len(), 20_000 - WAITING_MAX);
    }
}
