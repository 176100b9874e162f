//! What a shelf tells: readings, and what its controller found and keeps until it is safe.
//!
//! A reading is a state, and the next one is as good. A change or a trouble is told once, and sent again until it is
//! durable: it has an id. How these become events is the pipeline's.

use crate::clock::Now;
use vitrine_protocol::{
    Id,
    event::{self, EventId},
    shelf::{Change, Quantity},
};

/// What a shelf measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShelfReading {
    /// The shelf.
    pub shelf: Id,
    /// The facing on it.
    pub facing: Id,
    /// A number that the shelf's controller draws when it starts, so that its counter may start again.
    pub boot: u32,
    /// Rises with every reading of the shelf's controller: a reading not above the last one is a repeat.
    pub counter: u64,
    /// How long ago it was measured.
    pub age_ms: u32,
    /// What lies on the facing.
    pub quantity: Quantity,
    /// Whether the device itself waited for it to come to rest; otherwise several have to be alike.
    pub settled: bool,
}

/// A change that a shelf's controller found itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShelfChange {
    /// The shelf.
    pub shelf: Id,
    /// The facing on it.
    pub facing: Id,
    /// The controller's name for it, the same when it is sent again.
    pub id: EventId,
    /// How long ago it was; `None` if that is not known.
    pub age_ms: Option<u32>,
    /// What changed.
    pub change: Change,
}

/// A fault that a shelf's controller reports, or that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShelfTrouble {
    /// The controller's name for it, the same when it is sent again.
    pub id: EventId,
    /// How long ago it was; `None` if that is not known.
    pub age_ms: Option<u32>,
    /// What is wrong.
    pub trouble: Trouble,
}

/// Where something is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// At the sensor of one facing.
    Facing(event::Fault),
    /// At the controller.
    Shelf(event::ShelfFault),
}

/// The time `age_ms` before `now`. Where the age is not known, or is at the end of its range, the time is of unknown
/// error.
pub(crate) fn measured(now: Now, age_ms: Option<u32>) -> Now {
    match age_ms {
        Some(u32::MAX) => Now { source: event::Clock::Unsynced, ..now.earlier(u64::from(u32::MAX)) },
        Some(age_ms) => now.earlier(u64::from(age_ms)),
        None => Now { source: event::Clock::Unsynced, ..now },
    }
}
