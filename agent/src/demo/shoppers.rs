//! Who walks where, and when: one store-day of visits, drawn in advance.
//!
//! Departments follow one another as in a real supermarket: the first ones and the transitions are those of three days
//! and 4400 customers in the course data of senzelden/supermarket_simulation (MIT). Dwell times are lognormal.

use super::{
    chance::Chance,
    layout::{BADGES, BAY, CARTS, CHECKOUT, ENTRANCE, Layout},
};
use crate::plan::ZoneIndex;
use vitrine_protocol::{Id, time::Timestamp};

/// When the store opens: 4 March 2026, 08:00 in Paris.
pub const OPENS: Timestamp = Timestamp::from_ms(1_772_607_600_000);
/// When it closes: 20:00. Everybody has left by then.
pub const CLOSES: Timestamp = OPENS.plus_ms(12 * 3_600_000);
/// The most shoppers of a day.
pub const SHOPPERS_MAX: usize = 10_000;

/// Arrivals in each hour of the day, relative to each other.
const DAY_CURVE: [f64; 12] = [4.0, 6.0, 9.0, 11.0, 11.0, 8.0, 7.0, 8.0, 9.0, 12.0, 11.0, 4.0];
/// Nobody enters in the last minutes, so that all can leave in time.
const LAST_ENTRY_MS: i64 = (11 * 60 + 35) * 60_000;
/// How long a shopper waits for a cart before leaving without.
const PATIENCE_MS: i64 = 180_000;
/// How long a cart stays in the bay between two shoppers, at least.
const REST_MS: i64 = 60_000;
/// Who has shopped for so long goes to the checkout.
const TIRED_MS: i64 = 600_000;

/// The departments with goods, each with its zones and their median dwell in seconds.
const DEPARTMENTS: [&[(ZoneIndex, f64)]; 4] =
    [&[(3, 80.0), (4, 75.0)], &[(6, 65.0), (7, 85.0)], &[(5, 60.0)], &[(8, 75.0)]];
/// How likely a shopper begins in each department.
const FIRST: [f64; 4] = [0.377, 0.293, 0.173, 0.157];
/// How likely each department follows each, the checkout last.
const NEXT: [[f64; 5]; 4] = [
    [0.0, 0.236, 0.123, 0.130, 0.512],
    [0.188, 0.0, 0.204, 0.220, 0.388],
    [0.150, 0.330, 0.0, 0.274, 0.246],
    [0.227, 0.028, 0.207, 0.0, 0.537],
];
/// The spread of dwell times: with it one stay in 200 is shorter than 20 s.
const DWELL_SIGMA: f64 = 0.5;

/// A cart's way through the store, from taking it out of the bay to bringing it back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visit {
    /// The cart: its beacon's place, below [`CARTS`].
    pub cart: usize,
    /// Where it was, without gaps: the entrance first, the checkout last, never the bay.
    pub stays: Vec<Stay>,
}

/// A cart's time in one zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stay {
    /// The zone.
    pub zone: ZoneIndex,
    /// When the cart came.
    pub from: Timestamp,
    /// When it left.
    pub to: Timestamp,
}

impl Stay {
    /// How long the cart stayed.
    pub fn dwell_ms(&self) -> i64 {
        self.to.as_ms() - self.from.as_ms()
    }
}

impl Visit {
    /// When the cart left the bay.
    pub fn start(&self) -> Timestamp {
        self.stays.first().map_or(OPENS, |stay| stay.from)
    }

    /// When it was back.
    pub fn end(&self) -> Timestamp {
        self.stays.last().map_or(OPENS, |stay| stay.to)
    }

    /// The moves from zone to zone.
    pub fn moves(&self) -> impl Iterator<Item = (ZoneIndex, ZoneIndex)> {
        self.stays.windows(2).map(|pair| (pair[0].zone, pair[1].zone))
    }

    /// The departments in order, repeats in a row taken as one.
    pub fn departments(&self, layout: &Layout) -> Vec<Id> {
        let mut path: Vec<Id> =
            self.stays.iter().map(|stay| layout.zones[usize::from(stay.zone)].department).collect();
        path.dedup();
        path
    }
}

/// A beacon's change of zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// When.
    pub at: Timestamp,
    /// The beacon.
    pub beacon: usize,
    /// The zone that it is in from then on.
    pub zone: ZoneIndex,
}

/// People through the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passage {
    /// When.
    pub at: Timestamp,
    /// How many came in.
    pub entries: u32,
    /// How many went out.
    pub exits: u32,
}

/// A day of shoppers and staff.
#[derive(Clone, Debug)]
pub struct Day {
    /// The visits, by their end.
    pub visits: Vec<Visit>,
    /// Every beacon's moves, by time. All begin in the bay.
    pub moves: Vec<Move>,
    /// Who passed the door, by time: also companions, and those who found no cart.
    pub passages: Vec<Passage>,
}

/// Draws a day on which `shoppers` people, at most [`SHOPPERS_MAX`], come for a cart.
pub(super) fn day(chance: &mut Chance, shoppers: usize) -> Day {
    let mut arrivals: Vec<i64> = (0..shoppers.min(SHOPPERS_MAX)).map(|_| arrival_ms(chance)).collect();
    arrivals.sort_unstable();
    let (mut visits, mut passages) = (Vec::new(), Vec::new());
    let mut free_from = [0; CARTS];
    for arrival_ms in arrivals {
        let people = if chance.happens(0.2) { 2 } else { 1 };
        let reaches_bay_ms = arrival_ms + chance.whole(15_000, 40_000) as i64;
        let left_ms = match take_cart(chance, &free_from, reaches_bay_ms) {
            Some(cart) => {
                let visit = walk(chance, cart, reaches_bay_ms.max(free_from[cart]));
                let back_ms = visit.end().as_ms() - OPENS.as_ms();
                free_from[cart] = back_ms + REST_MS;
                visits.push(visit);
                back_ms + chance.whole(15_000, 40_000) as i64
            }
            None => reaches_bay_ms + PATIENCE_MS,
        };
        passages.push(Passage { at: OPENS.plus_ms(arrival_ms), entries: people, exits: 0 });
        passages.push(Passage { at: OPENS.plus_ms(left_ms), entries: 0, exits: people });
    }
    visits.sort_by_key(Visit::end);
    passages.sort_by_key(|passage| passage.at);
    let mut moves: Vec<Move> = visits.iter().flat_map(cart_moves).collect();
    (0..BADGES).for_each(|badge| badge_moves(chance, CARTS + badge, &mut moves));
    moves.sort_by_key(|step| (step.at, step.beacon));
    Day { visits, moves, passages }
}

fn arrival_ms(chance: &mut Chance) -> i64 {
    loop {
        let hour = chance.pick(&DAY_CURVE) as i64;
        let at_ms = hour * 3_600_000 + i64::from(chance.whole(0, 3_599_999));
        if at_ms <= LAST_ENTRY_MS {
            return at_ms;
        }
    }
}

/// Any free cart, or else the one that comes back first, if that is soon.
fn take_cart(chance: &mut Chance, free_from: &[i64; CARTS], at_ms: i64) -> Option<usize> {
    let free: Vec<usize> = (0..CARTS).filter(|&cart| free_from[cart] <= at_ms).collect();
    if free.is_empty() {
        return (0..CARTS)
            .min_by_key(|&cart| free_from[cart])
            .filter(|&cart| free_from[cart] <= at_ms + PATIENCE_MS);
    }
    Some(free[chance.index(free.len())])
}

fn walk(chance: &mut Chance, cart: usize, start_ms: i64) -> Visit {
    let (mut stays, mut now) = (Vec::new(), OPENS.plus_ms(start_ms));
    let mut stay = |zone, dwell_s: f64| {
        let from = now;
        now = from.plus_ms((dwell_s * 1000.0) as i64);
        stays.push(Stay { zone, from, to: now });
        now.as_ms() - OPENS.as_ms() - start_ms
    };
    stay(ENTRANCE, chance.between(25.0, 60.0));
    let mut department = Some(chance.pick(&FIRST));
    while let Some(here) = department {
        let zones = DEPARTMENTS[here];
        let mut place = chance.index(zones.len());
        let spent_ms = loop {
            let (zone, median_s) = zones[place];
            let spent_ms = stay(zone, chance.lognormal(median_s, DWELL_SIGMA).clamp(12.0, 240.0));
            if spent_ms > TIRED_MS || zones.len() == 1 || !chance.happens(0.45) {
                break spent_ms;
            }
            place = 1 - place;
        };
        department = Some(chance.pick(&NEXT[here])).filter(|&next| next < NEXT.len() && spent_ms <= TIRED_MS);
    }
    stay(CHECKOUT, chance.between(60.0, 180.0));
    Visit { cart, stays }
}

fn cart_moves(visit: &Visit) -> impl Iterator<Item = Move> {
    let step = |at, zone| Move { at, beacon: visit.cart, zone };
    let back = step(visit.end(), BAY);
    visit.stays.iter().map(move |stay| step(stay.from, stay.zone)).chain([back])
}

/// Staff is all over the store, all day.
fn badge_moves(chance: &mut Chance, beacon: usize, moves: &mut Vec<Move>) {
    let mut at = OPENS;
    while at < CLOSES {
        moves.push(Move { at, beacon, zone: chance.whole(0, 8) as ZoneIndex });
        at = at.plus_ms((chance.lognormal(240.0, 0.6) * 1000.0) as i64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn days() -> impl Iterator<Item = Day> {
        (1..=5).map(|seed| day(&mut Chance::new(seed), 640))
    }

    #[test]
    fn at_least_600_visits_of_at_most_20_minutes_with_40_carts() {
        for day in days() {
            assert!(day.visits.len() >= 600, "{}", day.visits.len());
            let length = |visit: &Visit| visit.end().as_ms() - visit.start().as_ms();
            assert!(day.visits.iter().all(|visit| length(visit) <= 20 * 60_000 && visit.end() < CLOSES));
            let mut last_end = [OPENS; CARTS];
            let mut by_start: Vec<_> = day.visits.iter().collect();
            by_start.sort_by_key(|visit| visit.start());
            for visit in by_start {
                assert!(visit.start() >= last_end[visit.cart], "a cart is in one place");
                last_end[visit.cart] = visit.end();
            }
        }
    }

    #[test]
    fn everybody_who_comes_in_goes_out_before_the_store_closes() {
        for day in days() {
            let (entries, exits) = day.passages.iter().fold((0, 0), |(i, o), p| (i + p.entries, o + p.exits));
            assert_eq!(entries, exits);
            assert!(entries as usize >= day.visits.len());
            assert!(day.passages.iter().all(|passage| passage.at < CLOSES.plus_ms(-1000)));
        }
    }

    #[test]
    fn dwell_is_rarely_under_20_s_and_its_median_is_60_to_90_s() {
        let days: Vec<_> = days().collect();
        let sales = |stay: &&Stay| stay.zone > CHECKOUT;
        let stays = days.iter().flat_map(|day| &day.visits).flat_map(|visit| &visit.stays).filter(sales);
        let mut dwells: Vec<i64> = stays.map(Stay::dwell_ms).collect();
        dwells.sort_unstable();
        let median_ms = dwells[dwells.len() / 2];
        assert!((60_000..90_000).contains(&median_ms), "{median_ms}");
        let short = dwells.iter().filter(|&&dwell_ms| dwell_ms < 20_000).count();
        assert!(short * 50 < dwells.len(), "{short} of {}", dwells.len());
    }

    #[test]
    fn a_good_part_of_the_visits_share_their_path_with_nine_others_of_the_window() {
        let layout = Layout::default();
        for day in days() {
            let mut classes = BTreeMap::new();
            for visit in &day.visits {
                let window = visit.end().floor_to(4 * 3_600_000);
                *classes.entry((window, visit.departments(&layout))).or_insert(0) += 1;
            }
            let shared: usize = classes.values().filter(|&&n| n >= 10).sum();
            let share = shared as f64 / day.visits.len() as f64;
            assert!((0.25..=0.65).contains(&share), "{share}");
        }
    }

    #[test]
    fn more_shoppers_than_carts_leave_without() {
        let day = day(&mut Chance::new(1), usize::MAX);
        assert!(day.visits.len() < SHOPPERS_MAX / 2, "{}", day.visits.len());
        assert!(day.passages.len() == 2 * SHOPPERS_MAX && day.passages.iter().all(|p| p.at < CLOSES));
    }
}
