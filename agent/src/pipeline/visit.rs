//! Stays and visits of carriers.
//!
//! A visit starts when a carrier is heard in a zone that is not a bay. It ends when the carrier leaves the checkout,
//! comes to a bay, is not heard for the plan's silence, or at the day's end. After the checkout the next one starts only
//! when the carrier was in a bay or away from the checkout for the plan's silence: a cart that stands near the tills is
//! not many visits. One that passes by for less than the plan's least length is none. What comes out has no carrier
//! in it.

use super::{Output, identify::Sighted, zone::Tracker};
use crate::{
    capture::Heard,
    clock::Now,
    plan::{Plan, ZoneIndex, ZoneKind},
    private::CarrierId,
};
use std::collections::{HashMap, VecDeque};

/// Stays of one visit; the last one takes in all that comes later.
const MAX_STAYS: usize = 64;

/// A visit that ended: where, how long, in order. Nothing in it tells whose it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosedVisit {
    /// The stays, at least one.
    pub stays: Vec<Stay>,
}

/// A carrier's time in one zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stay {
    /// The zone.
    pub zone: ZoneIndex,
    /// How long.
    pub dwell_ms: u64,
}

/// All carriers in the store.
#[derive(Debug)]
pub(super) struct Visits {
    carriers: HashMap<CarrierId, Carrier>,
}

#[derive(Debug, Default)]
struct Carrier {
    tracker: Tracker,
    last_heard_ms: u64,
    visit: Option<Visit>,
    /// Since when it has been on its way back from the checkout.
    paid_ms: Option<u64>,
}

#[derive(Debug)]
struct Visit {
    stays: Vec<Stay>,
    zone: ZoneIndex,
    since_ms: u64,
}

impl Visits {
    /// At most `carriers` are ever remembered.
    pub(super) fn new(carriers: u32) -> Self {
        Self { carriers: HashMap::with_capacity(carriers as usize) }
    }

    pub(super) fn handle(
        &mut self,
        plan: &Plan,
        sighted: Sighted<'_>,
        heard: &Heard,
        outputs: &mut VecDeque<Output>,
    ) {
        let carrier = self.carriers.entry(sighted.carrier).or_default();
        let now_ms = heard.at.mono_ms;
        carrier.last_heard_ms = carrier.last_heard_ms.max(now_ms);
        let moved = carrier.tracker.handle(&plan.visits, sighted, heard.rssi_dbm, now_ms);
        if let Some(moved) = moved {
            carrier.enter(plan, moved.to, moved.at_ms, outputs);
        }
    }

    pub(super) fn handle_timeout(&mut self, plan: &Plan, now: Now, outputs: &mut VecDeque<Output>) {
        let silence_ms = plan.visits.silence_ms;
        self.carriers.retain(|_, carrier| {
            let heard = now.mono_ms.saturating_sub(carrier.last_heard_ms) < silence_ms;
            if !heard {
                carrier.close(plan, carrier.last_heard_ms, outputs);
            }
            heard
        });
    }

    pub(super) fn close(&mut self, plan: &Plan, now: Now, outputs: &mut VecDeque<Output>) {
        for (_, mut carrier) in self.carriers.drain() {
            carrier.close(plan, now.mono_ms.min(carrier.last_heard_ms), outputs);
        }
    }

    pub(super) fn open(&self) -> u32 {
        self.carriers.values().filter(|carrier| carrier.visit.is_some()).count() as u32
    }
}

impl Carrier {
    fn enter(&mut self, plan: &Plan, zone: ZoneIndex, at_ms: u64, outputs: &mut VecDeque<Output>) {
        let kind = plan.zone(zone).kind;
        if self.visit.as_ref().is_some_and(|visit| plan.zone(visit.zone).kind == ZoneKind::Checkout) {
            self.close(plan, at_ms, outputs);
            self.paid_ms = Some(at_ms);
        }
        match (kind, self.paid_ms) {
            (ZoneKind::Bay, _) => {
                self.close(plan, at_ms, outputs);
                self.paid_ms = None;
                return;
            }
            (ZoneKind::Checkout, Some(_)) => {
                self.paid_ms = Some(at_ms);
                return;
            }
            (_, Some(paid_ms)) if at_ms.saturating_sub(paid_ms) < plan.visits.silence_ms => return,
            (_, _) => self.paid_ms = None,
        }
        match &mut self.visit {
            Some(visit) if visit.stays.len() + 1 < MAX_STAYS => visit.go_on(zone, at_ms),
            Some(visit) => visit.zone = zone,
            None => self.visit = Some(Visit { stays: Vec::new(), zone, since_ms: at_ms }),
        }
    }

    fn close(&mut self, plan: &Plan, at_ms: u64, outputs: &mut VecDeque<Output>) {
        if let Some(mut visit) = self.visit.take() {
            visit.go_on(visit.zone, at_ms);
            let length_ms: u64 = visit.stays.iter().map(|stay| stay.dwell_ms).sum();
            if length_ms >= plan.visits.least_ms {
                outputs.push_back(Output::Visit(ClosedVisit { stays: visit.stays }));
            }
        }
    }
}

impl Visit {
    fn go_on(&mut self, zone: ZoneIndex, at_ms: u64) {
        self.stays.push(Stay { zone: self.zone, dwell_ms: at_ms.saturating_sub(self.since_ms) });
        (self.zone, self.since_ms) = (zone, at_ms);
    }
}
