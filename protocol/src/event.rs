//! What the platform receives.
//!
//! An [`Event`] is a head (`id`, `time`, `clock`) and a [`Body`], which its `type` names. Quantities are integers with
//! the unit in the name. Which body may leave the store when, and at what resolution its time is stated, is the
//! agent's privacy module to decide, not the form's.
//!
//! # Versions
//! The bodies are drafts, [`VERSION`] 0: until they are frozen as 1, a change may break a reader. After that a version
//! only grows: fields, types, kinds and values are added, and readers pass over those that they do not know (a type,
//! a kind or a value is then `Unknown`, which cannot be written). Everything else is a new version, which the
//! [envelope](crate::envelope) names, and which is in force for a whole batch.
//!
//! | module | streams |
//! |---|---|
//! | `release` | `carriers` `flows` `traces` `coverage` |
//! | `queues`, `visits`, `identified`, `audit`, `gaps`, `devices` | of the same name |
//! | `shelf`, `stock`, `kiosk` | of the same name |
//! | `counts` | `door` `till` |

use crate::{time::Timestamp, topic::Stream};
use serde::{Deserialize, Serialize};

mod audit;
mod counts;
mod devices;
mod gaps;
mod id;
mod identified;
mod kiosk;
mod queues;
mod release;
mod shelf;
mod stock;
mod visits;

pub use audit::{AuditEntry, AuditHead, Recorded};
pub use counts::{DoorCount, TillCount};
pub use devices::{
    BatteryLow, BeaconTelemetry, CloneSuspected, ControllerFault, DeviceBack, DeviceKind, DeviceSilent,
    Radio, RadioState, ReplaySuspected, ShelfFault,
};
pub use gaps::{Capture, CaptureGap, Gap, GapReason};
pub use id::EventId;
pub use identified::{Basis, Identified, Sealed};
pub use kiosk::{Action, Fulfilment, Interaction, Session, SessionEnd};
pub use queues::{Crowding, Queue};
pub use release::{Carriers, Coverage, DwellBand, Flow, Rung, Share, Trace, Window};
pub use shelf::{Considered, Facing, ShelfStep};
pub use stock::{Fault, Level, LowStock, Misplaced, OutOfStock, Restock, SensorFault};
pub use visits::{Stay, Visit};

/// The version of the bodies that is written: 0 is the draft.
pub const VERSION: u8 = 0;
/// The oldest version of the bodies that is read.
pub const VERSION_MIN: u8 = 0;

/// One event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Event {
    /// The same for every copy of the event, different for every other event of the store.
    pub id: EventId,
    /// When it happened, at the resolution that its stream allows (a slot's or a window's start or end).
    pub time: Timestamp,
    /// What `time` rests on.
    pub clock: Clock,
    /// What happened.
    #[serde(flatten)]
    pub body: Body,
}

/// What a time rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    /// A clock that the system holds to be synchronised.
    Synced,
    /// A clock of unknown error.
    Unsynced,
    /// The times of a recording.
    File,
}

/// A range of a quantity: an exact figure would tell too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Band {
    /// From this on.
    pub from: u32,
    /// To less than this; `null` for the open end.
    pub to: Option<u32>,
}

/// A type of event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventType {
    /// What `type` says.
    pub name: &'static str,
    /// The stream that carries it.
    pub stream: Stream,
    /// Whether an agent publishes it by now; otherwise the form alone is there, for readers to prepare.
    pub is_published: bool,
}

macro_rules! bodies {
    ($($(#[$doc:meta])* $variant:ident($content:ident) = $name:literal on $stream:ident, published: $published:literal;)*) => {
        /// What happened; `type` on the wire.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(tag = "type")]
        pub enum Body {
            $($(#[$doc])* #[serde(rename = $name)] $variant($content),)*
            /// A type that this reader does not know; never written.
            #[serde(other, skip_serializing)]
            Unknown,
        }

        impl Body {
            /// Every type.
            pub const TYPES: &[EventType] = &[$(
                EventType { name: $name, stream: Stream::$stream, is_published: $published },
            )*];

            /// The stream that carries it; `None` for an unknown one.
            pub const fn stream(&self) -> Option<Stream> {
                match self {
                    $(Self::$variant(_) => Some(Stream::$stream),)*
                    Self::Unknown => None,
                }
            }
        }
    };
}

bodies! {
    /// Visits to a zone over a window.
    Carriers(Carriers) = "carriers" on Carriers, published: true;
    /// Moves from one zone to another over a window.
    Flow(Flow) = "flow" on Flows, published: true;
    /// A class of visits that took the same generalised path.
    Trace(Trace) = "trace" on Traces, published: true;
    /// What a window's release stands for.
    Coverage(Coverage) = "coverage" on Coverage, published: true;
    /// A queue over a slot.
    Queue(Queue) = "queue" on Queues, published: false;
    /// A visit that ended.
    Visit(Visit) = "visit" on Visits, published: false;
    /// What a person agreed to tell.
    Identified(Identified) = "identified" on Identified, published: false;
    /// An entry of the audit log.
    AuditEntry(AuditEntry) = "audit_entry" on Audit, published: false;
    /// The newest entry of the audit log, signed.
    AuditHead(AuditHead) = "audit_head" on Audit, published: false;
    /// Events that will not come.
    Gap(Gap) = "gap" on Gaps, published: true;
    /// A period that became no events.
    CaptureGap(CaptureGap) = "capture_gap" on Gaps, published: true;
    /// Units were taken from a facing.
    PickUp(ShelfStep) = "pick_up" on Shelf, published: true;
    /// Units were put on a facing.
    PutBack(ShelfStep) = "put_back" on Shelf, published: true;
    /// Units were looked at.
    Considered(Considered) = "considered" on Shelf, published: false;
    /// A touch on a kiosk.
    Interaction(Interaction) = "interaction" on Kiosk, published: true;
    /// A kiosk session that ended.
    Session(Session) = "session" on Kiosk, published: true;
    /// A door's entries and exits.
    DoorCount(DoorCount) = "door_count" on Door, published: true;
    /// A till's transactions.
    TillCount(TillCount) = "till_count" on Till, published: true;
    /// What lies on a facing.
    Level(Level) = "level" on Stock, published: false;
    /// A facing runs low.
    LowStock(LowStock) = "low_stock" on Stock, published: false;
    /// A facing became empty.
    OutOfStock(OutOfStock) = "out_of_stock" on Stock, published: true;
    /// An empty facing has units again.
    Restock(Restock) = "restock" on Stock, published: true;
    /// Something lies where it does not belong.
    Misplaced(Misplaced) = "misplaced" on Stock, published: false;
    /// A facing's measurements are not to be trusted.
    Fault(Fault) = "fault" on Stock, published: true;
    /// What a beacon tells of itself.
    BeaconTelemetry(BeaconTelemetry) = "beacon_telemetry" on Devices, published: false;
    /// A beacon's battery has to be changed.
    BatteryLow(BatteryLow) = "battery_low" on Devices, published: false;
    /// A device is not heard any more.
    DeviceSilent(DeviceSilent) = "device_silent" on Devices, published: true;
    /// A device is heard again.
    DeviceBack(DeviceBack) = "device_back" on Devices, published: true;
    /// A beacon may have been copied.
    CloneSuspected(CloneSuspected) = "clone_suspected" on Devices, published: false;
    /// A beacon may have been recorded.
    ReplaySuspected(ReplaySuspected) = "replay_suspected" on Devices, published: false;
    /// A radio changed its state.
    Radio(Radio) = "radio" on Devices, published: true;
    /// A shelf controller reports a fault.
    ShelfFault(ShelfFault) = "shelf_fault" on Devices, published: true;
}

/// Whether a number is left out for being zero.
fn is_zero<N: Default + PartialEq>(n: &N) -> bool {
    *n == N::default()
}

#[cfg(test)]
mod tests;
