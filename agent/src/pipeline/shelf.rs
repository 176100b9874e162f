//! Pick-ups and put-backs from weights.
//!
//! A weight within a third of a unit of a whole number of units is a level; a level read three times in a row, or once
//! from a device that waits for it to settle, is stable. A step from one stable level to another is an event. Levels are
//! absolute, so an error does not add up, and what readings and a controller's own changes both tell is one step: the
//! second finds nothing new. Changes come in order; one that a later reading has overtaken is passed over; a tare moves the level without
//! a step, as nobody took anything. Distances are not understood yet.
//! Drift of the scale, wrong products and broken sensors are not dealt with here yet: a weight that is no whole
//! number of units is only counted.
//!
//! Two things are remembered, and may be a step apart after a crash: the level up to which pick-ups and put-backs
//! were told, and whether the facing was said to be empty. The second follows the first.

use super::{Counters, Note, Output};
use crate::{
    capture::{ShelfChange, ShelfReading, measured},
    clock::Now,
    ids::Ids,
    plan::{self, Plan},
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use vitrine_protocol::{
    Id,
    event::{Body, EventId, Facing, OutOfStock, Restock, ShelfStep},
    shelf::{Change, Quantity},
    time::Timestamp,
};

/// Readings of the same level that make it stable.
const STABLE: u8 = 3;
/// How far the times of a reading and of a change may be off against each other: they come over a line.
const JITTER_MS: i64 = 250;

/// A facing's level and what is needed to find the next one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FacingState {
    /// The last reading's boot number.
    pub boot: u32,
    /// The last reading's counter.
    pub counter: u64,
    /// Units at the last stable level.
    pub level: Option<u32>,
    /// Another level, and how often in a row it was read.
    pub candidate: Option<(u32, u8)>,
    /// When the last reading was measured.
    #[serde(default)]
    pub measured: Option<Timestamp>,
    /// Changes that were taken.
    #[serde(default)]
    pub changes: u64,
}

type Place = (Id, Id);

/// All facings that were read.
#[derive(Debug)]
pub(super) struct Shelves {
    ids: Ids,
    facings: BTreeMap<Place, FacingState>,
    /// Facings that were said to be empty, and since when they are.
    empty: BTreeMap<Place, Timestamp>,
}

impl Shelves {
    pub(super) fn new(ids: Ids) -> Self {
        Self { ids, facings: BTreeMap::new(), empty: BTreeMap::new() }
    }

    /// The reading's facing must be in the plan; other readings are dropped.
    pub(super) fn handle(
        &mut self,
        plan: &Plan,
        reading: &ShelfReading,
        now: Now,
        counters: &mut Counters,
        outputs: &mut VecDeque<Output>,
    ) {
        let place = (reading.shelf, reading.facing);
        let Some(facing) = plan.facings.get(&place) else {
            counters.not_in_plan += 1;
            return;
        };
        let known = self.facings.get(&place).copied();
        if known.is_some_and(|state| state.boot == reading.boot && reading.counter <= state.counter) {
            counters.repeats += 1;
            return;
        }
        let at = measured(now, Some(reading.age_ms));
        let mut state = known.unwrap_or_default();
        (state.boot, state.counter, state.measured) = (reading.boot, reading.counter, Some(at.utc));
        let units = whole_units(reading.quantity, facing);
        counters.odd_weights += u64::from(units.is_none());
        state.candidate = units.map(|units| match state.candidate {
            _ if reading.settled => (units, STABLE),
            Some((candidate, times)) if candidate == units => (units, times.saturating_add(1)),
            _ => (units, 1),
        });
        let stable = state.candidate.filter(|(_, times)| *times >= STABLE).map(|(units, _)| units);
        let before = state.level;
        state.level = stable.or(before);
        self.facings.insert(place, state);
        self.tell_step(plan, place, before, at, outputs);
        self.tell_stock(plan, place, at, outputs);
    }

    /// The change must be new; its facing must be in the plan, otherwise it is dropped.
    pub(super) fn handle_change(
        &mut self,
        plan: &Plan,
        change: &ShelfChange,
        now: Now,
        counters: &mut Counters,
        outputs: &mut VecDeque<Output>,
    ) {
        let place = (change.shelf, change.facing);
        let Some(facing) = plan.facings.get(&place) else {
            counters.not_in_plan += 1;
            return;
        };
        let at = measured(now, change.age_ms);
        let mut state = self.facings.get(&place).copied().unwrap_or_default();
        let is_overtaken = state.measured.is_some_and(|last| at.utc.plus_ms(JITTER_MS) < last);
        if change.age_ms.is_some() && is_overtaken {
            counters.late_changes += 1;
            return;
        }
        let (Change::Step { before, after } | Change::Tare { before, after }) = change.change;
        let after = whole_units(after, facing);
        counters.odd_weights += u64::from(after.is_none());
        let before = state.level.or_else(|| whole_units(before, facing));
        state.level = match change.change {
            Change::Step { .. } => after.or(before),
            Change::Tare { .. } => after,
        };
        (state.candidate, state.changes) = (None, state.changes + 1);
        self.facings.insert(place, state);
        if let Change::Step { .. } = change.change {
            self.tell_step(plan, place, before, at, outputs);
        }
        self.tell_stock(plan, place, at, outputs);
    }

    pub(super) fn restore(&mut self, place: Place, state: FacingState) {
        self.facings.insert(place, state);
    }

    pub(super) fn restore_empty(&mut self, place: Place, since: Option<Timestamp>) {
        match since {
            Some(since) => self.empty.insert(place, since),
            None => self.empty.remove(&place),
        };
    }

    /// A crash may have come between the step and what follows from it.
    pub(super) fn resume(&mut self, plan: &Plan, now: Now, outputs: &mut VecDeque<Output>) {
        for place in self.facings.keys().copied().collect::<Vec<_>>() {
            if plan.facings.contains_key(&place) {
                self.tell_stock(plan, place, now, outputs);
            }
        }
    }

    /// What has to be remembered of a facing after a reading.
    pub(super) fn note(&self, (shelf, facing): Place) -> Option<Note> {
        let state = *self.facings.get(&(shelf, facing))?;
        Some(Note::Facing { shelf, facing, state })
    }

    pub(super) fn notes(&self) -> impl Iterator<Item = Note> {
        let empty = self.empty.iter();
        let empty = empty.map(|(&(shelf, facing), &since)| Note::Empty { shelf, facing, since: Some(since) });
        self.facings.keys().filter_map(|&place| self.note(place)).chain(empty)
    }

    /// The event that a reading or a change completed.
    fn id(&self, what: &[u8], (shelf, facing): Place, state: &FacingState) -> EventId {
        let (shelf, facing) = (shelf.as_str().as_bytes(), facing.as_str().as_bytes());
        let (boot, counter, changes) =
            (state.boot.to_be_bytes(), state.counter.to_be_bytes(), state.changes.to_be_bytes());
        self.ids.derive(&[what, shelf, facing, &boot, &counter, &changes])
    }

    fn tell_step(
        &self,
        plan: &Plan,
        place: Place,
        before: Option<u32>,
        at: Now,
        outputs: &mut VecDeque<Output>,
    ) {
        let Some(state) = self.facings.get(&place) else { return };
        if let (Some(before), Some(level)) = (before, state.level)
            && before != level
        {
            let step = ShelfStep { facing: describe(plan, place), quantity: before.abs_diff(level), level };
            let body = if level < before { Body::PickUp(step) } else { Body::PutBack(step) };
            outputs.push_back(Output::Event { id: self.id(b"step", place, state), at, body });
        }
    }

    fn tell_stock(&mut self, plan: &Plan, place: Place, now: Now, outputs: &mut VecDeque<Output>) {
        let Some(state) = self.facings.get(&place) else { return };
        let (since, body) = match (state.level, self.empty.get(&place)) {
            (Some(0), None) => {
                (Some(now.utc), Body::OutOfStock(OutOfStock { facing: describe(plan, place) }))
            }
            (Some(level @ 1..), Some(&since)) => {
                let empty_s = now.utc.as_ms().saturating_sub(since.as_ms()).max(0).unsigned_abs() / 1000;
                (None, Body::Restock(Restock { facing: describe(plan, place), level, empty_s }))
            }
            _ => return,
        };
        outputs.push_back(Output::Event { id: self.id(b"stock", place, state), at: now, body });
        let (shelf, facing) = place;
        outputs.push_back(Output::Note(Note::Empty { shelf, facing, since }));
        self.restore_empty(place, since);
    }
}

/// The name of a controller's change.
pub(super) fn change_id(ids: Ids, change: &ShelfChange) -> EventId {
    let (shelf, facing) = (change.shelf.as_str().as_bytes(), change.facing.as_str().as_bytes());
    ids.derive(&[b"shelf change", shelf, facing, &change.id.0])
}

/// The whole number of units that a quantity is; `None` where it is none, within a third of a unit, or more than can be.
fn whole_units(quantity: Quantity, facing: &plan::Facing) -> Option<u32> {
    let units = match quantity {
        Quantity::Grams(grams) => {
            let (grams, unit_g) = (i64::from(grams), i64::from(facing.unit_g.max(1)));
            let units = (grams + unit_g / 2).div_euclid(unit_g);
            let is_near = 3 * (grams - units * unit_g).abs() <= unit_g;
            u32::try_from(units).ok().filter(|_| is_near)?
        }
        Quantity::Count(units) => units,
        Quantity::DistanceMm(_) => return None,
    };
    (units <= facing.capacity.saturating_mul(2)).then_some(units)
}

fn describe(plan: &Plan, (shelf, facing): Place) -> Facing {
    let product = plan.facings.get(&(shelf, facing));
    Facing {
        shelf,
        facing,
        sku: product.map(|product| product.sku.clone()).unwrap_or_default(),
        gtin: product.and_then(|product| product.gtin.clone()),
    }
}
