//! Where a carrier is: the zone of the strongest anchor, with hysteresis and a hold time.
//!
//! An anchor is a receiver that hears the carrier, or a fixed beacon that the carrier hears. RSSI is smoothed per anchor.
//! The strongest one counts, and within it the band that the signal lies in.
//! Another zone must be better by the plan's hysteresis, at every sighting for the plan's hold time; so a carrier never
//! bounces between two zones within the hold time.

use super::identify::Sighted;
use crate::plan::{Anchor, VisitRules, ZoneIndex};
use arrayvec::ArrayVec;
use std::collections::HashMap;
use vitrine_protocol::Id;

/// Anchors remembered for a carrier; of more, the one unheard for longest is forgotten.
const ANCHORS: usize = 8;
/// An anchor without a sighting for so long does not count.
const FRESH_MS: u64 = 15_000;
/// The weight of a new sample in the mean.
const SMOOTHING: f32 = 0.3;

/// A carrier's signals, and the zone they make.
#[derive(Clone, Debug, Default)]
pub(super) struct Tracker {
    signals: ArrayVec<Signal, ANCHORS>,
    zone: Option<ZoneIndex>,
    /// Another zone, and since when it has been better.
    candidate: Option<(ZoneIndex, u64)>,
}

#[derive(Clone, Copy, Debug)]
struct Signal {
    anchor: Id,
    rssi_dbm: f32,
    last_ms: u64,
}

/// A carrier went from one zone to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Move {
    /// The zone it is in now.
    pub(super) to: ZoneIndex,
    /// When it was first better there.
    pub(super) at_ms: u64,
}

impl Tracker {
    /// The carrier was sighted at `now_ms`.
    pub(super) fn handle(
        &mut self,
        rules: &VisitRules,
        sighted: Sighted<'_>,
        rssi_dbm: i8,
        now_ms: u64,
    ) -> Option<Move> {
        let Sighted { anchor, anchors, .. } = sighted;
        self.hear(anchor, f32::from(rssi_dbm) + f32::from(anchors.get(&anchor)?.offset_db), now_ms);
        let best = self.best_zone(rules, anchors, now_ms)?;
        let Some(zone) = self.zone else {
            self.zone = Some(best);
            return Some(Move { to: best, at_ms: now_ms });
        };
        if best == zone {
            self.candidate = None;
            return None;
        }
        match self.candidate {
            Some((candidate, since_ms)) if candidate == best => {
                if now_ms.saturating_sub(since_ms) < rules.hold_ms {
                    return None;
                }
                self.zone = Some(best);
                self.candidate = None;
                Some(Move { to: best, at_ms: since_ms })
            }
            _ => {
                self.candidate = Some((best, now_ms));
                None
            }
        }
    }

    fn hear(&mut self, anchor: Id, rssi_dbm: f32, now_ms: u64) {
        if let Some(signal) = self.signals.iter_mut().find(|signal| signal.anchor == anchor) {
            let stale = now_ms.saturating_sub(signal.last_ms) > FRESH_MS;
            let weight = if stale { 1.0 } else { SMOOTHING };
            signal.rssi_dbm += weight * (rssi_dbm - signal.rssi_dbm);
            signal.last_ms = signal.last_ms.max(now_ms);
            return;
        }
        if self.signals.is_full()
            && let Some(oldest) = (0..ANCHORS).min_by_key(|&i| self.signals[i].last_ms)
        {
            self.signals.swap_remove(oldest);
        }
        self.signals.push(Signal { anchor, rssi_dbm, last_ms: now_ms });
    }

    /// The zone of the strongest signal. The zone that the carrier is in has the advantage of the hysteresis, between
    /// receivers and between the bands of one.
    fn best_zone(&self, rules: &VisitRules, anchors: &HashMap<Id, Anchor>, now_ms: u64) -> Option<ZoneIndex> {
        let fresh = self.signals.iter().filter(|signal| now_ms.saturating_sub(signal.last_ms) <= FRESH_MS);
        let strength = |signal: &Signal, anchor: &Anchor| {
            let here = anchor.bands.iter().any(|band| Some(band.zone) == self.zone);
            signal.rssi_dbm + if here { f32::from(rules.hysteresis_db) } else { 0.0 }
        };
        let known = fresh.filter_map(|signal| Some((signal, anchors.get(&signal.anchor)?)));
        let (signal, anchor) = known.max_by(|a, b| strength(a.0, a.1).total_cmp(&strength(b.0, b.1)))?;
        Some(self.band(anchor, signal.rssi_dbm, f32::from(rules.hysteresis_db) / 2.0))
    }

    fn band(&self, anchor: &Anchor, rssi_dbm: f32, margin_db: f32) -> ZoneIndex {
        let current = anchor.bands.iter().position(|band| Some(band.zone) == self.zone);
        let at = |index: usize| f32::from(anchor.bands[index].min_rssi_dbm);
        let plain = (0..anchor.bands.len()).find(|&i| rssi_dbm >= at(i)).unwrap_or(anchor.bands.len() - 1);
        let index = match current {
            // Towards a nearer band: its limit must be passed by the margin.
            Some(current) if plain < current => {
                (plain..current).find(|&i| rssi_dbm >= at(i) + margin_db).unwrap_or(current)
            }
            // Towards a farther one: this one's limit must be missed by the margin.
            Some(current) if plain > current && rssi_dbm >= at(current) - margin_db => current,
            _ => plain,
        };
        anchor.bands[index].zone
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::private::CarrierId;

    const PLAN: &str = "version = 1
plan = '1'
zones = [{ id = 'near' }, { id = 'far' }, { id = 'other' }]
receivers = [
    { id = 'a', zones = [{ zone = 'near', min_rssi_dbm = -60 }, { zone = 'far' }] },
    { id = 'b', zone = 'other', offset_db = 10 },
]
";

    /// Feeds (seconds, receiver, RSSI) and gives the moves as (second, zone).
    fn moves(samples: impl IntoIterator<Item = (u64, &'static str, i8)>) -> Vec<(u64, &'static str)> {
        let plan = crate::plan::parse(PLAN).unwrap();
        let mut tracker = Tracker::default();
        let mut moves = Vec::new();
        for (second, receiver, rssi_dbm) in samples {
            let anchor = Id::new(receiver).unwrap();
            let sighted = Sighted { carrier: CarrierId::new(0), anchor, anchors: &plan.receivers };
            let moved = tracker.handle(&plan.visits, sighted, rssi_dbm, second * 1000);
            moves.extend(moved.map(|m| (m.at_ms / 1000, ["near", "far", "other"][usize::from(m.to)])));
        }
        moves
    }

    #[test]
    fn the_first_sighting_places_the_carrier_at_once() {
        assert_eq!(moves([(0, "a", -50)]), [(0, "near")]);
        assert_eq!(moves([(0, "a", -70)]), [(0, "far")]);
    }

    #[test]
    fn a_move_takes_the_hold_time_and_is_dated_to_its_start() {
        let walk = (0..30).map(|s| (s, "a", if s < 10 { -50 } else { -80 }));
        let moved = moves(walk);
        assert_eq!(moved.len(), 2);
        let (second, zone) = moved[1];
        assert_eq!(zone, "far");
        assert!((10..14).contains(&second), "{second}");
    }

    #[test]
    fn noise_at_a_band_limit_does_not_bounce() {
        let noisy = (0..600).map(|s| (s, "a", if s % 2 == 0 { -58 } else { -63 }));
        assert_eq!(moves(noisy), [(0, "near")]);
    }

    #[test]
    fn the_strongest_receiver_counts_with_its_offset() {
        let walk = (0..40).flat_map(|s| [(s, "a", if s < 20 { -50 } else { -75 }), (s, "b", -70)]);
        assert_eq!(moves(walk).last().unwrap().1, "other");
    }

    #[test]
    fn a_receiver_that_went_silent_does_not_hold_the_carrier() {
        let walk = (0..10).map(|s| (s, "a", -50)).chain((10..60).map(|s| (s, "b", -90)));
        assert_eq!(moves(walk).last().unwrap().1, "other");
    }

    #[test]
    fn moves_are_never_closer_than_the_hold_time() {
        // A seeded random walk of signals.
        let mut seed = 7u32;
        let mut next = move || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            seed >> 24
        };
        let samples: Vec<_> = (0..20_000)
            .map(|s| (s, if next() < 128 { "a" } else { "b" }, -40 - (next() / 4) as i8))
            .collect();
        let moved = moves(samples);
        assert!(moved.len() > 10, "{}", moved.len());
        assert!(moved.windows(2).skip(1).all(|pair| pair[1].0 >= pair[0].0 + 8), "{moved:?}");
    }
}
