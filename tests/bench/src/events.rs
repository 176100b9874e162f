//! The events that all contenders are given: what a store's kiosks, shelves and releases say, as the agent spools it.

use vitrine_protocol::{
    Id,
    event::{
        Action, Body, Clock, Event, EventId, Facing, Flow, Interaction, Level, Rung, Share, ShelfStep, Trace,
        Window,
    },
    time::Timestamp,
};

const START_MS: i64 = 1_772_622_000_000;
const SLOT_MS: i64 = 900_000;
const SLOT_EVENTS: i64 = 2000;
const KIOSKS: usize = 8;
const ZONES: [&str; 8] =
    ["entrance", "shoes", "fitting", "sports", "outdoor", "kids", "window-display", "checkout"];

/// The same events in every run.
pub(crate) struct Events {
    random: fastrand::Rng,
    sessions: [EventId; KIOSKS],
    number: i64,
}

impl Default for Events {
    fn default() -> Self {
        Self { random: fastrand::Rng::with_seed(7), sessions: [EventId([0; 16]); KIOSKS], number: 0 }
    }
}

impl Events {
    /// The next events, as JSON.
    pub(crate) fn take(&mut self, count: usize) -> Vec<Box<str>> {
        (0..count).map(|_| self.next()).collect()
    }

    fn next(&mut self) -> Box<str> {
        let body = match self.random.u32(..20) {
            0..10 => self.interaction(),
            10..15 => self.step(),
            15..18 => self.level(),
            18 => self.trace(),
            _ => self.flow(),
        };
        let time = Timestamp::from_ms(START_MS + SLOT_MS * (self.number / SLOT_EVENTS));
        self.number += 1;
        let event = Event { id: self.id(), time, clock: Clock::Synced, body };
        serde_json::to_string(&event).expect("its keys are text").into()
    }

    /// As in life, random: this is what does not compress.
    fn id(&mut self) -> EventId {
        EventId(self.random.u128(..).to_be_bytes())
    }

    fn interaction(&mut self) -> Body {
        let kiosk = self.random.usize(..KIOSKS);
        if self.random.u32(..5) == 0 {
            self.sessions[kiosk] = self.id();
        }
        let action = match self.random.u32(..10) {
            0..4 => Action::ProductView { sku: self.facing().sku },
            4..6 => Action::Search { category: Some(self.zone()), results: self.random.u32(..60) },
            6..9 => Action::AvailabilityCheck { sku: self.facing().sku, in_stock: self.random.bool() },
            _ => Action::SessionEnd,
        };
        let session = self.sessions[kiosk];
        Body::Interaction(Interaction { kiosk: name(&format!("kiosk-{}", kiosk + 1)), session, action })
    }

    fn step(&mut self) -> Body {
        let (quantity, level) = (self.random.u32(1..4), self.random.u32(..12));
        let step = ShelfStep { facing: self.facing(), quantity, level };
        if self.random.bool() { Body::PickUp(step) } else { Body::PutBack(step) }
    }

    fn level(&mut self) -> Body {
        Body::Level(Level { facing: self.facing(), level: self.random.u32(..12), capacity: 12 })
    }

    fn trace(&mut self) -> Body {
        let stays = self.random.usize(2..6);
        Body::Trace(Trace {
            window: self.window(),
            rung: Rung::Path,
            path: (0..stays).map(|_| self.zone()).collect(),
            n: self.random.u32(10..60),
            dwell: Some("15-30min".to_owned()),
            reached_checkout: Some(if self.random.bool() { Share::Most } else { Share::Few }),
            k: 10,
        })
    }

    fn flow(&mut self) -> Body {
        let (from, to) = (self.zone(), self.zone());
        Body::Flow(Flow { window: self.window(), from, to, n: self.random.u32(10..200), k: 10 })
    }

    fn window(&self) -> Window {
        let start = Timestamp::from_ms(START_MS + SLOT_MS * (self.number / SLOT_EVENTS / 16) * 16);
        Window { start, s: 14_400, part: 0 }
    }

    fn zone(&mut self) -> Id {
        name(ZONES[self.random.usize(..ZONES.len())])
    }

    /// One of 2000, each with its product.
    fn facing(&mut self) -> Facing {
        let number = self.random.u32(..2000);
        let product = u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        Facing {
            shelf: name(&format!("shelf-{}", number / 10)),
            facing: name(&format!("facing-{}", number % 10)),
            sku: format!("{}-{}", product % 9000 + 1000, product / 9000 % 90 + 10),
            gtin: Some(format!("40063813{:05}", product % 100_000)),
        }
    }
}

fn name(text: &str) -> Id {
    Id::new(text).expect("it is a name")
}
