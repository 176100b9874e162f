//! One identity in two places at once: a copied key, or frames that somebody sends on elsewhere.
//!
//! One [`Whereabouts`] for each beacon sees where it was heard. A *hop* is a beacon heard at a place that is not
//! near the last one, sooner than anyone could have carried it there. One hop can be a freak of the radio, and
//! counts back and forth as two; [`Rules::hops`] within [`Rules::within_ms`] are a suspicion.
//!
//! What is *near* is the caller's to say, and decides over false alarms: places whose receivers hear each
//! other's beacons are near, such as zones that are neighbours and theirs. All receivers' clocks have to agree
//! to about a second.
//!
//! Every sighting is to be shown, also those that [`replay`](super::replay) calls duplicates or replayed: a frame
//! that is sent on is one of these. A suspicion is a reason to look, never one to drop a beacon by itself.

use crate::frame::Counter;

/// A beacon heard somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hearing<P> {
    /// Where: a zone or a receiver.
    pub place: P,
    /// When, in milliseconds of the gateway's clock.
    pub time_ms: u64,
    /// The secure frame's counter; `None` for formats without.
    pub counter: Option<Counter>,
}

/// What two places at once look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The counters of both places belong together: frames are sent on from one place to the other, or the
    /// radio reaches further than the plan knows.
    Relayed,
    /// Each place has its own counters: a second beacon has the key. The device key has to be changed.
    Copied,
    /// The format has no counter to tell by.
    Uncounted,
}

/// A beacon seems to be in two places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suspicion<P> {
    /// How it looks.
    pub kind: Kind,
    /// The place heard last, and the one before it.
    pub places: [P; 2],
    /// When the first of the hops was, in milliseconds.
    pub since_ms: u64,
}

/// What is taken for a suspicion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The shortest time in which a carrier gets from a place to one that is not near it.
    pub travel_ms: u64,
    /// So many hops…
    pub hops: u8,
    /// …within this time.
    pub within_ms: u64,
    /// How long nothing more is said of the beacon then.
    pub quiet_ms: u64,
}

impl Default for Rules {
    fn default() -> Self {
        Self { travel_ms: 5_000, hops: 6, within_ms: 30_000, quiet_ms: 15 * 60_000 }
    }
}

/// Counters so close belong to one sequence.
const SAME_SEQUENCE: u32 = 1024;

/// Where one beacon was heard of late.
#[derive(Clone, Copy, Debug)]
pub struct Whereabouts<P> {
    last: Option<Hearing<P>>,
    hops: Hops,
    quiet_until_ms: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Hops {
    count: u8,
    since_ms: u64,
    /// How many of them had counters of one sequence, and of two.
    relayed: u8,
    copied: u8,
}

impl<P> Default for Whereabouts<P> {
    fn default() -> Self {
        Self { last: None, hops: Hops::default(), quiet_until_ms: 0 }
    }
}

impl<P: Copy + PartialEq> Whereabouts<P> {
    /// Takes note of a sighting. `near` says whether two places are near each other; it is not asked for a place
    /// and itself.
    pub fn handle(
        &mut self,
        hearing: Hearing<P>,
        near: impl Fn(P, P) -> bool,
        rules: &Rules,
    ) -> Option<Suspicion<P>> {
        let last = self.last.replace(hearing)?;
        let together = last.place == hearing.place || near(last.place, hearing.place);
        if together || hearing.time_ms.abs_diff(last.time_ms) >= rules.travel_ms {
            return None;
        }
        if hearing.time_ms < self.quiet_until_ms {
            return None;
        }
        let hops = &mut self.hops;
        if hops.count == 0 || hearing.time_ms.abs_diff(hops.since_ms) >= rules.within_ms {
            *hops = Hops { since_ms: hearing.time_ms, ..Hops::default() };
        }
        hops.count = hops.count.saturating_add(1);
        if let (Some(a), Some(b)) = (last.counter, hearing.counter) {
            let one_sequence = a.since(b).min(b.since(a)) < SAME_SEQUENCE;
            let of_kind = if one_sequence { &mut hops.relayed } else { &mut hops.copied };
            *of_kind = of_kind.saturating_add(1);
        }
        if hops.count < rules.hops {
            return None;
        }
        let suspicion =
            Suspicion { kind: hops.kind(), places: [hearing.place, last.place], since_ms: hops.since_ms };
        self.hops = Hops::default();
        self.quiet_until_ms = hearing.time_ms.saturating_add(rules.quiet_ms);
        Some(suspicion)
    }
}

impl Hops {
    fn kind(&self) -> Kind {
        match (self.relayed, self.copied) {
            (0, 0) => Kind::Uncounted,
            (relayed, copied) if relayed >= copied => Kind::Relayed,
            _ => Kind::Copied,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Places on a line; those up to 1 apart are near.
    fn near(a: i32, b: i32) -> bool {
        (a - b).abs() <= 1
    }

    /// Suspicions over sightings of (seconds, place, counter).
    fn suspicions(
        sightings: impl IntoIterator<Item = (u64, i32, Option<u32>)>,
    ) -> std::vec::Vec<Suspicion<i32>> {
        let mut whereabouts = Whereabouts::default();
        sightings
            .into_iter()
            .filter_map(|(s, place, counter)| {
                let counter = counter.map(Counter::wrapping);
                let hearing = Hearing { place, time_ms: s * 1000, counter };
                whereabouts.handle(hearing, near, &Rules::default())
            })
            .collect()
    }

    /// The kinds of suspicion when a beacon is heard at place 0 and 9 in turn.
    fn in_turn(counter: impl Fn(u64, bool) -> Option<u32>) -> std::vec::Vec<Kind> {
        let turns = (0..20).flat_map(|s| [(s, 0, counter(s, false)), (s, 9, counter(s, true))]);
        suspicions(turns).iter().map(|suspicion| suspicion.kind).collect()
    }

    #[test]
    fn a_copied_key_shows_as_two_sequences() {
        assert_eq!(in_turn(|s, there| Some(s as u32 + if there { 500_000 } else { 7 })), [Kind::Copied]);
    }

    #[test]
    fn frames_sent_on_show_as_one_sequence() {
        assert_eq!(in_turn(|s, _| Some(s as u32)), [Kind::Relayed]);
        assert_eq!(
            in_turn(|s, there| Some(s as u32 + u32::from(!there) * 30)),
            [Kind::Relayed],
            "with delay"
        );
        let wrap = Counter::COUNT - 3;
        assert_eq!(in_turn(|s, _| Some(wrap + s as u32)), [Kind::Relayed], "where the counter goes round");
    }

    #[test]
    fn formats_without_a_counter_are_suspected_too() {
        assert_eq!(in_turn(|_, _| None), [Kind::Uncounted]);
    }

    #[test]
    fn a_suspicion_names_places_and_time_and_comes_again_after_a_while() {
        let found = suspicions((0..1000).map(|s| (s, if s % 2 == 0 { 0 } else { 9 }, None)));
        let at = |places, since_ms| Suspicion { kind: Kind::Uncounted, places, since_ms };
        assert_eq!(found, [at([0, 9], 1000), at([9, 0], 906_000)]);
    }

    #[test]
    fn one_frame_heard_by_receivers_near_each_other_is_no_suspicion() {
        assert_eq!(suspicions((0..100).flat_map(|s| [(s, 4, Some(7)), (s, 5, Some(7)), (s, 4, None)])), []);
    }

    #[test]
    fn a_carrier_that_walks_is_no_suspicion() {
        let walk = (0..1000).map(|s: u64| (s, (s / 10 % 40) as i32, Some(s as u32)));
        // At the end of the line it is carried back to the start, out of sight for a while.
        assert_eq!(suspicions(walk.filter(|(s, ..)| s % 400 < 390)), []);
    }

    #[test]
    fn a_freak_of_the_radio_now_and_then_is_no_suspicion() {
        assert_eq!(suspicions((0..5000).map(|s| (s, if s % 25 == 0 { 9 } else { 0 }, None))), []);
    }

    #[test]
    fn sightings_out_of_order_do_no_harm() {
        assert_eq!(
            suspicions([(100, 0, None), (2, 9, None), (101, 0, None), (3, 9, None), (102, 0, None)]),
            []
        );
    }
}
