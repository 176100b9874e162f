//! The simulated store's shelves: what shoppers take and put back, and what the scales report of it.
//!
//! A shelf reports all its facings every 5 s, and every second for 10 s after a change.

use super::{
    chance::Chance,
    layout::{Facing, Layout},
    shoppers::{CLOSES, OPENS, Visit},
};
use crate::capture::{Input, ShelfReading};
use std::{cmp::Reverse, collections::BinaryHeap};
use vitrine_protocol::{Id, shelf::Quantity, time::Timestamp};

const READING_MS: i64 = 5_000;
const LIVELY_READING_MS: i64 = 1_000;
const LIVELY_MS: i64 = 10_000;
/// The spread of the scales' noise in grams, and its bound: a twentieth of the lightest unit.
const NOISE_G: f64 = 2.5;
const NOISE_MAX_G: f64 = 8.0;
/// How many of the stays beside a shelf end with a product taken, and how many of those with some of it put back.
const TAKES: f64 = 0.3;
const PUTS_BACK: f64 = 0.12;

/// A change of what is on a facing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShelfChange {
    /// When.
    pub at: Timestamp,
    /// The facing, by its place in [`Layout::facings`].
    pub facing: usize,
    /// Units: more than 0 put on, less than 0 taken.
    pub units: i32,
    /// Units on it afterwards.
    pub level: u32,
    /// Whether staff refilled it.
    pub refill: bool,
}

/// What somebody means to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Wish {
    /// Take so many, and put so many of them back after a while.
    Take {
        units: u32,
        back: u32,
        back_after_ms: i64,
    },
    PutBack {
        units: u32,
    },
    Refill,
}

/// The day's changes, by time: what shoppers wish, as far as there is stock. A facing that ran out is refilled later.
pub(super) fn changes(chance: &mut Chance, layout: &Layout, visits: &[Visit]) -> Vec<ShelfChange> {
    let mut wishes: BinaryHeap<_> = wishes(chance, layout, visits).into_iter().map(Reverse).collect();
    let mut levels: Vec<u32> = layout.facings.iter().map(|facing| facing.capacity).collect();
    let mut changes = Vec::new();
    while let Some(Reverse((at, facing, wish))) = wishes.pop() {
        let level = levels[facing];
        let capacity = layout.facings[facing].capacity;
        let after = match wish {
            Wish::Take { units, back, back_after_ms } => {
                let taken = units.min(level);
                let back = back.min(taken);
                if back > 0 {
                    wishes.push(Reverse((at.plus_ms(back_after_ms), facing, Wish::PutBack { units: back })));
                }
                if taken > 0 && taken == level {
                    let refill_at = at.plus_ms(i64::from(chance.whole(20, 50)) * 60_000);
                    wishes.push(Reverse((refill_at, facing, Wish::Refill)));
                }
                level - taken
            }
            Wish::PutBack { units } => (level + units).min(capacity),
            Wish::Refill => capacity,
        };
        if after != level && at < CLOSES {
            levels[facing] = after;
            let units = after as i32 - level as i32;
            changes.push(ShelfChange { at, facing, units, level: after, refill: wish == Wish::Refill });
        }
    }
    changes
}

fn wishes(chance: &mut Chance, layout: &Layout, visits: &[Visit]) -> Vec<(Timestamp, usize, Wish)> {
    let mut wishes = Vec::new();
    for stay in visits.iter().flat_map(|visit| &visit.stays) {
        let here = |&facing: &usize| layout.facings[facing].zone == stay.zone;
        let facings: Vec<usize> = (0..layout.facings.len()).filter(here).collect();
        if facings.is_empty() || !chance.happens(TAKES) {
            continue;
        }
        let units = [1, 2, 3][chance.pick(&[0.6, 0.3, 0.1])];
        let back = if chance.happens(PUTS_BACK) { chance.whole(1, units) } else { 0 };
        let back_after_ms = i64::from(chance.whole(12_000, 30_000));
        let at = stay.from.plus_ms((chance.between(0.2, 0.8) * stay.dwell_ms() as f64) as i64);
        let facing = facings[chance.index(facings.len())];
        wishes.push((at, facing, Wish::Take { units, back, back_after_ms }));
    }
    wishes
}

#[derive(Debug)]
struct Shelf {
    id: Id,
    facings: Vec<usize>,
    boot: u32,
    counter: u64,
    next_reading: Timestamp,
    lively_until: Timestamp,
}

/// The scales.
#[derive(Debug)]
pub(super) struct Scales {
    facings: Vec<Facing>,
    shelves: Vec<Shelf>,
    levels: Vec<u32>,
    changes: std::vec::IntoIter<ShelfChange>,
    chance: Chance,
}

impl Scales {
    pub(super) fn new(mut chance: Chance, layout: &Layout, changes: Vec<ShelfChange>) -> Self {
        let shelves = layout.shelves.iter().enumerate().map(|(index, &id)| Shelf {
            id,
            facings: (0..layout.facings.len()).filter(|&f| layout.facings[f].shelf == index).collect(),
            boot: chance.whole(0, u32::MAX),
            counter: 0,
            next_reading: OPENS.plus_ms(i64::from(chance.whole(0, READING_MS as u32 - 1))),
            lively_until: OPENS,
        });
        Self {
            shelves: shelves.collect(),
            facings: layout.facings.clone(),
            levels: layout.facings.iter().map(|facing| facing.capacity).collect(),
            changes: changes.into_iter(),
            chance,
        }
    }

    /// Reads what is due up to and including `to`; `send` gets each shelf's readings.
    pub(super) fn advance(&mut self, to: Timestamp, mut send: impl FnMut(Timestamp, Vec<Input>)) {
        loop {
            let reading = (0..self.shelves.len()).min_by_key(|&shelf| self.shelves[shelf].next_reading);
            let Some(shelf) = reading else { return };
            let at = self.shelves[shelf].next_reading;
            match self.changes.as_slice().first() {
                Some(&change) if change.at <= at.min(to) => {
                    self.changes.next();
                    self.apply(change);
                }
                _ if at <= to => send(at, self.read(shelf)),
                _ => return,
            }
        }
    }

    fn apply(&mut self, change: ShelfChange) {
        self.levels[change.facing] = change.level;
        let shelf = &mut self.shelves[self.facings[change.facing].shelf];
        shelf.next_reading = shelf.next_reading.min(change.at.plus_ms(LIVELY_READING_MS));
        shelf.lively_until = change.at.plus_ms(LIVELY_MS);
    }

    fn read(&mut self, shelf: usize) -> Vec<Input> {
        let Self { facings, levels, chance, shelves, .. } = self;
        let shelf = &mut shelves[shelf];
        let lively = shelf.next_reading < shelf.lively_until;
        shelf.next_reading = shelf.next_reading.plus_ms(if lively { LIVELY_READING_MS } else { READING_MS });
        let readings = shelf.facings.iter().map(|&facing| {
            let noise_g = (NOISE_G * chance.normal()).clamp(-NOISE_MAX_G, NOISE_MAX_G).round() as i32;
            let grams = (facings[facing].unit_g * levels[facing]) as i32 + noise_g;
            shelf.counter += 1;
            Input::Shelf(ShelfReading {
                shelf: shelf.id,
                facing: facings[facing].id,
                boot: shelf.boot,
                counter: shelf.counter,
                age_ms: 0,
                quantity: Quantity::Grams(grams),
                settled: false,
            })
        });
        readings.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::shoppers;
    use std::collections::{BTreeMap, BTreeSet};

    fn day() -> (Layout, Vec<ShelfChange>, Chance) {
        let (layout, mut chance) = (Layout::default(), Chance::new(3));
        let visits = shoppers::day(&mut chance, 640).visits;
        let changes = changes(&mut chance, &layout, &visits);
        (layout, changes, chance)
    }

    #[test]
    fn changes_add_up_and_a_few_facings_run_out_and_are_refilled() {
        let (layout, changes, _) = day();
        let mut levels: Vec<i32> = layout.facings.iter().map(|facing| facing.capacity as i32).collect();
        for change in &changes {
            levels[change.facing] += change.units;
            assert_eq!(levels[change.facing], change.level as i32);
            assert!(change.level <= layout.facings[change.facing].capacity);
            assert!(change.refill || change.units.abs() <= 3);
        }
        let emptied: BTreeSet<_> = changes.iter().filter(|c| c.level == 0).map(|c| c.facing).collect();
        assert!((1..=6).contains(&emptied.len()), "{emptied:?}");
        assert!(changes.iter().any(|change| change.refill));
        assert!(changes.iter().filter(|change| change.units > 0 && !change.refill).count() > 10);
    }

    #[test]
    fn readings_tell_the_levels_of_the_truth() {
        let (layout, changes, chance) = day();
        let mut scales = Scales::new(chance, &layout, changes.clone());
        let mut truth = changes.into_iter().peekable();
        let mut levels: BTreeMap<_, _> = layout
            .facings
            .iter()
            .map(|f| ((layout.shelves[f.shelf], f.id), (f.capacity, f.unit_g)))
            .collect();
        let (mut counters, mut readings) = (BTreeMap::new(), 0);
        scales.advance(CLOSES, |at, inputs| {
            while let Some(change) = truth.next_if(|change| change.at <= at) {
                let facing = &layout.facings[change.facing];
                levels.insert((layout.shelves[facing.shelf], facing.id), (change.level, facing.unit_g));
            }
            for input in inputs {
                let Input::Shelf(reading) = input else { panic!("{input:?}") };
                let (level, unit_g) = levels[&(reading.shelf, reading.facing)];
                let Quantity::Grams(grams) = reading.quantity else { panic!("{reading:?}") };
                assert!((grams - (level * unit_g) as i32).unsigned_abs() < unit_g / 8, "{reading:?}");
                let (boot, last) = counters
                    .insert(reading.shelf, (reading.boot, reading.counter))
                    .unwrap_or((reading.boot, 0));
                assert_eq!((reading.boot, reading.counter), (boot, last + 1));
                readings += 1;
            }
        });
        let per_facing = readings / layout.facings.len();
        assert!((12 * 720..12 * 900).contains(&per_facing), "{per_facing}");
    }
}
