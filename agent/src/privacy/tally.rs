//! Counts of the visits of one window. Adding a visit is all that is ever done with it.

use crate::{
    pipeline::{ClosedVisit, Stay},
    plan::Plan,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use vitrine_protocol::{Id, event::Window};

/// Upper ends of the bands of a stay's dwell, in seconds; the last band is open.
pub(super) const STAY_BANDS_S: [u32; 5] = [30, 120, 300, 900, 1800];
/// Upper ends of the bands of a visit's length, in seconds; the last band is open.
pub(super) const VISIT_BANDS_S: [u32; 4] = [300, 900, 1800, 3600];
/// Departments of a path; what comes after is cut off.
const MAX_PATH: usize = 12;

/// The counts of one window. Maps are kept in the order of their keys, so that a release is always the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tallies {
    pub(super) window: Window,
    pub(super) visits: u32,
    pub(super) lost_open: u32,
    pub(super) door_in: u32,
    pub(super) zones: BTreeMap<Id, ZoneTally>,
    #[serde(with = "pairs")]
    pub(super) moves: BTreeMap<(Id, Id), u32>,
    #[serde(with = "pairs")]
    pub(super) paths: BTreeMap<Vec<Id>, PathTally>,
}

/// Visits that touched a zone, by the band of their dwell in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ZoneTally {
    pub(super) dwell: [u32; STAY_BANDS_S.len() + 1],
}

/// Visits of a path, by the band of their length.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PathTally {
    pub(super) length: [u32; VISIT_BANDS_S.len() + 1],
}

impl Tallies {
    pub(super) fn new(window: Window) -> Self {
        Self {
            window,
            visits: 0,
            lost_open: 0,
            door_in: 0,
            zones: BTreeMap::new(),
            moves: BTreeMap::new(),
            paths: BTreeMap::new(),
        }
    }

    /// Whether nothing at all was counted.
    pub(super) fn is_empty(&self) -> bool {
        (self.visits, self.lost_open, self.door_in) == (0, 0, 0)
    }

    pub(super) fn add(&mut self, plan: &Plan, visit: &ClosedVisit) {
        self.visits += 1;
        let mut dwell_ms: BTreeMap<Id, u64> = BTreeMap::new();
        for Stay { zone, dwell_ms: ms } in &visit.stays {
            *dwell_ms.entry(plan.zone(*zone).id).or_default() += ms;
        }
        let length_ms = dwell_ms.values().sum();
        for (zone, dwell_ms) in dwell_ms {
            self.zones.entry(zone).or_default().dwell[band(&STAY_BANDS_S, dwell_ms)] += 1;
        }
        let moves =
            visit.stays.windows(2).map(|pair| (plan.zone(pair[0].zone).id, plan.zone(pair[1].zone).id));
        // A visit counts once, however often it goes to and fro: k is a number of visits.
        for pair in moves.collect::<BTreeSet<_>>() {
            *self.moves.entry(pair).or_default() += 1;
        }
        let mut path: Vec<Id> = visit.stays.iter().map(|stay| plan.zone(stay.zone).department).collect();
        path.dedup();
        path.truncate(MAX_PATH);
        self.paths.entry(path).or_default().length[band(&VISIT_BANDS_S, length_ms)] += 1;
    }
}

/// The band that a time lies in.
fn band(ends_s: &[u32], ms: u64) -> usize {
    ends_s.partition_point(|&end| u64::from(end) * 1000 <= ms)
}

/// Maps whose keys are no text, as lists of pairs.
mod pairs {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::collections::BTreeMap;

    pub(super) fn serialize<K: Serialize, V: Serialize, S: Serializer>(
        map: &BTreeMap<K, V>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(map)
    }

    pub(super) fn deserialize<'de, K, V, D>(deserializer: D) -> Result<BTreeMap<K, V>, D::Error>
    where
        K: Deserialize<'de> + Ord,
        V: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        Ok(Vec::<(K, V)>::deserialize(deserializer)?.into_iter().collect())
    }
}
