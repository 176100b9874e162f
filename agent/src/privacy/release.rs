//! From a window's counts to what is released: everything below k is left out, and coverage says how much that was.

use super::tally::{PathTally, STAY_BANDS_S, Tallies, VISIT_BANDS_S, ZoneTally};
use crate::{
    ids::Ids,
    plan::{Plan, Zone},
};
use vitrine_protocol::event::{Body, Carriers, Coverage, DwellBand, EventId, Flow, Rung, Trace, Window};

/// The events of a window's release, always in the same order and with the same names. An empty part of a window
/// that was released before says nothing.
pub(super) fn release(plan: &Plan, ids: Ids, tallies: &Tallies) -> Vec<(EventId, Body)> {
    let window = tallies.window;
    if tallies.is_empty() && window.part > 0 {
        return Vec::new();
    }
    let mut events = Vec::new();
    for (&zone, tally) in &tallies.zones {
        let k = k_of(plan, |known| known.id == zone);
        let visits = tally.dwell.iter().sum();
        if visits >= k {
            let body = Body::Carriers(Carriers { window, zone, visits, dwell: bands(tally, k), k });
            events.push((id(ids, window, &[b"carriers", zone.as_str().as_bytes()]), body));
        }
    }
    for (&(from, to), &n) in &tallies.moves {
        let k = k_of(plan, |known| known.id == from || known.id == to);
        if n >= k {
            let name = [b"flow".as_slice(), from.as_str().as_bytes(), to.as_str().as_bytes()];
            events.push((id(ids, window, &name), Body::Flow(Flow { window, from, to, n, k })));
        }
    }
    let mut released = 0;
    for (path, tally) in &tallies.paths {
        let k = k_of(plan, |known| path.contains(&known.department));
        let n = tally.length.iter().sum();
        if n >= k {
            released += n;
            let name: Vec<&[u8]> = [b"trace".as_slice()]
                .into_iter()
                .chain(path.iter().map(|id| id.as_str().as_bytes()))
                .collect();
            let (path, dwell) = (path.clone(), median_band(tally));
            let rung = Rung::DepartmentPath;
            let trace = Trace { window, rung, path, n, dwell, reached_checkout: None, k };
            events.push((id(ids, window, &name), Body::Trace(trace)));
        }
    }
    let k = plan.privacy.k;
    let carriers = Some(tallies.visits).filter(|&visits| visits == 0 || visits >= k);
    let (lost_open, door_in) = (tallies.lost_open, tallies.door_in);
    let coverage = Coverage { window, carriers, released, lost_open, door_in, k };
    events.push((id(ids, window, &[b"coverage"]), Body::Coverage(coverage)));
    events
}

/// The largest k of the zones concerned; of all zones, where the plan does not know them any more.
fn k_of(plan: &Plan, concerned: impl Fn(&Zone) -> bool) -> u32 {
    let largest = |zones: &mut dyn Iterator<Item = &Zone>| zones.map(|zone| zone.k).max();
    let known = largest(&mut plan.zones.iter().filter(|zone| concerned(zone)));
    known.or_else(|| largest(&mut plan.zones.iter())).unwrap_or(0).max(plan.privacy.k)
}

fn id(ids: Ids, window: Window, name: &[&[u8]]) -> EventId {
    let start = window.start.as_ms().to_be_bytes();
    let (s, part) = (window.s.to_be_bytes(), window.part.to_be_bytes());
    let parts: Vec<&[u8]> = [&start[..], &s, &part].into_iter().chain(name.iter().copied()).collect();
    ids.derive(&parts)
}

/// Joins neighbouring bands until each holds at least `k`. There are at least `k` in all.
fn bands(tally: &ZoneTally, k: u32) -> Vec<DwellBand> {
    let starts = [0].into_iter().chain(STAY_BANDS_S);
    let ends = STAY_BANDS_S.into_iter().map(Some).chain([None]);
    let mut joined: Vec<DwellBand> = Vec::new();
    for ((from_s, to_s), &n) in starts.zip(ends).zip(&tally.dwell) {
        match joined.last_mut() {
            Some(last) if last.n < k => {
                last.n += n;
                last.to_s = to_s;
            }
            _ => joined.push(DwellBand { from_s, to_s, n }),
        }
    }
    if let [.., before, last] = &mut joined[..]
        && last.n < k
    {
        before.n += last.n;
        before.to_s = last.to_s;
        joined.pop();
    }
    joined
}

/// The band of the median visit; `None` where all visits lie in it.
fn median_band(tally: &PathTally) -> Option<String> {
    let n: u32 = tally.length.iter().sum();
    let mut below = 0;
    let median = tally.length.iter().position(|count| {
        below += count;
        2 * below > n
    })?;
    let label = match (median, VISIT_BANDS_S.get(median)) {
        (0, Some(end)) => format!("0-{}min", end / 60),
        (median, Some(end)) => format!("{}-{}min", VISIT_BANDS_S[median - 1] / 60, end / 60),
        (median, None) => format!("{}min-", VISIT_BANDS_S[median - 1] / 60),
    };
    (tally.length[median] < n).then_some(label)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn joined_bands_adjoin_hold_k_each_and_add_up(dwell in proptest::array::uniform6(0..40u32), k in 1..25u32) {
            let total: u32 = dwell.iter().sum();
            prop_assume!(total >= k);
            let bands = bands(&ZoneTally { dwell }, k);
            prop_assert!(bands.iter().all(|band| band.n >= k), "{bands:?}");
            prop_assert_eq!(bands.iter().map(|band| band.n).sum::<u32>(), total);
            prop_assert_eq!((bands[0].from_s, bands[bands.len() - 1].to_s), (0, None));
            prop_assert!(bands.windows(2).all(|pair| pair[0].to_s == Some(pair[1].from_s)));
        }
    }

    #[test]
    fn the_median_band_is_told_unless_all_lie_in_it() {
        let band = |length| median_band(&PathTally { length });
        assert_eq!(band([0, 10, 5, 0, 0]), Some("5-15min".into()));
        assert_eq!(band([6, 4, 0, 0, 0]), Some("0-5min".into()));
        assert_eq!(band([1, 0, 0, 0, 11]), Some("60min-".into()));
        assert_eq!(band([0, 10, 0, 0, 0]), None);
    }
}
