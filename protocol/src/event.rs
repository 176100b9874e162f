//! What the platform receives.
//!
//! An [`Event`] is a head (`id`, `time`, `clock`) and a [`Body`], which its `type` names. The bodies are drafts:
//! their form is frozen when every stream exists. Readers ignore fields and types that they do not know.
//! Quantities are integers with the unit in the name. Which body may leave the store when, and at what
//! resolution its time is stated, is the agent's privacy module to decide, not the form's.

use crate::{Id, time::Timestamp, topic::Stream};
use alloc::{string::String, vec::Vec};
use core::fmt;
use serde::{Deserialize, Serialize};

/// One event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[serde(rename_all = "snake_case")]
pub enum Clock {
    /// A clock that the system holds to be synchronised.
    Synced,
    /// A clock of unknown error.
    Unsynced,
    /// The times of a recording.
    File,
}

/// What happened; `type` on the wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[allow(missing_docs, reason = "each variant is documented at its type")]
pub enum Body {
    Carriers(Carriers),
    Flow(Flow),
    Trace(Trace),
    Coverage(Coverage),
    Gap(Gap),
    PickUp(ShelfStep),
    PutBack(ShelfStep),
    Interaction(Interaction),
    Session(Session),
    DoorCount(DoorCount),
    TillCount(TillCount),
    OutOfStock(OutOfStock),
    Restock(Restock),
}

impl Body {
    /// The stream that carries it.
    pub fn stream(&self) -> Stream {
        match self {
            Self::Carriers(_) => Stream::Carriers,
            Self::Flow(_) => Stream::Flows,
            Self::Trace(_) => Stream::Traces,
            Self::Coverage(_) => Stream::Coverage,
            Self::Gap(_) => Stream::Gaps,
            Self::PickUp(_) | Self::PutBack(_) => Stream::Shelf,
            Self::Interaction(_) | Self::Session(_) => Stream::Kiosk,
            Self::DoorCount(_) => Stream::Door,
            Self::TillCount(_) => Stream::Till,
            Self::OutOfStock(_) | Self::Restock(_) => Stream::Stock,
        }
    }
}

/// A window of time over which something was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Window {
    /// Its clock-aligned start.
    pub start: Timestamp,
    /// Its length in seconds.
    pub s: u32,
    /// 0, or for a further part of the same window a number that no other part of it has: an agent that is stopped
    /// within a window, or a store that closes, releases what it has, and what follows is another part.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub part: u32,
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// Visits that touched one zone in a window, at least `k`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carriers {
    /// The window in which the visits ended.
    pub window: Window,
    /// The zone.
    pub zone: Id,
    /// Visits.
    pub visits: u32,
    /// Their dwell in the zone, in adjoining bands of at least `k` visits each; they add up to `visits`.
    pub dwell: Vec<DwellBand>,
    /// The smallest count that is released.
    pub k: u32,
}

/// How many visits dwelt between two times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DwellBand {
    /// From this many seconds.
    pub from_s: u32,
    /// To less than this many seconds; `null` for the open end.
    pub to_s: Option<u32>,
    /// Visits.
    pub n: u32,
}

/// Visits that moved from one zone to another in a window, at least `k`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// The window in which the visits ended.
    pub window: Window,
    /// The zone left.
    pub from: Id,
    /// The zone entered.
    pub to: Id,
    /// Visits, each once, however often it made the move.
    pub n: u32,
    /// The smallest count that is released.
    pub k: u32,
}

/// A class of visits that took the same generalised path; never one visit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// The window in which the visits ended.
    pub window: Window,
    /// How far the path is generalised.
    pub rung: Rung,
    /// The path, of zones or departments as `rung` says.
    pub path: Vec<Id>,
    /// Visits in the class.
    pub n: u32,
    /// The band of the median visit's length; absent where all lie in one band, which would tell it of each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dwell: Option<String>,
    /// The smallest class that is released.
    pub k: u32,
}

/// A level of generalisation of traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rung {
    /// The ordered departments of a visit, repeats in a row taken as one; window of 4 h (or as configured).
    #[serde(rename = "department_path_4h")]
    DepartmentPath,
}

/// What part of the carriers a window's release stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// The window.
    pub window: Window,
    /// Visits that ended in the window; `null` where there were some, but fewer than `k`.
    pub carriers: Option<u32>,
    /// Visits that a released trace stands for.
    pub released: u32,
    /// Visits that were open when the agent was interrupted, and are in no count.
    pub lost_open: u32,
    /// Entries that the doors counted.
    pub door_in: u32,
    /// The smallest class that is released.
    pub k: u32,
}

/// Events of one stream that were lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The stream.
    pub stream: Stream,
    /// The first sequence number that will not come.
    pub first_seq: u64,
    /// The last one.
    pub last_seq: u64,
    /// Why.
    pub reason: GapReason,
    /// Whether each of these numbers had been given to an event; otherwise the range is an upper bound.
    pub exact: bool,
}

/// Why events were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapReason {
    /// Storage could not be read back.
    Corrupt,
}

/// Units of one product taken from (`pick_up`) or put on (`put_back`) a facing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShelfStep {
    /// The place and product.
    #[serde(flatten)]
    pub facing: Facing,
    /// Units, at least 1.
    pub quantity: u32,
    /// Units on the facing afterwards.
    pub level: u32,
}

/// A facing: one product's place on a shelf.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facing {
    /// The shelf.
    pub shelf: Id,
    /// The facing on the shelf.
    pub facing: Id,
    /// The product.
    pub sku: String,
    /// The product's GTIN, where the plan has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gtin: Option<String>,
}

/// A facing that became empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutOfStock {
    /// The place and product.
    #[serde(flatten)]
    pub facing: Facing,
}

/// An empty facing that has units again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restock {
    /// The place and product.
    #[serde(flatten)]
    pub facing: Facing,
    /// Units on it now.
    pub level: u32,
    /// How long it was empty, in seconds.
    pub empty_s: u64,
}

/// One touch on a kiosk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interaction {
    /// The kiosk.
    pub kiosk: Id,
    /// The session it belongs to: random, ends with the session, meets no visit.
    pub session: EventId,
    /// What was done.
    #[serde(flatten)]
    pub action: Action,
}

/// What was done at a kiosk; `kind` on the wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Action {
    /// A product's page was opened.
    ProductView {
        /// The product.
        sku: String,
    },
    /// A search; its words never leave the kiosk.
    Search {
        /// The category searched in, if any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        category: Option<Id>,
        /// How many results.
        results: u32,
    },
    /// Availability of a product was asked for.
    AvailabilityCheck {
        /// The product.
        sku: String,
        /// What the answer was.
        in_stock: bool,
    },
    /// An order was placed.
    Order {
        /// How it reaches the customer.
        fulfilment: Fulfilment,
    },
    /// An order was collected.
    ClickAndCollectPickup,
    /// Somebody checked in; who is not told.
    CheckIn,
    /// Staff was called.
    AssistanceRequest,
    /// An offer was shown.
    OfferShown {
        /// The offer.
        offer: Id,
    },
    /// A score was given.
    Feedback {
        /// 1 (worst) to 5.
        score: u8,
    },
    /// The visit was handed over to the web site; the token is not told.
    StoreToWebHandoff,
    /// The session was ended at the kiosk.
    SessionEnd,
}

impl Action {
    /// The kinds, as they are written.
    pub const KINDS: [&str; 11] = [
        "product_view",
        "search",
        "availability_check",
        "order",
        "click_and_collect_pickup",
        "check_in",
        "assistance_request",
        "offer_shown",
        "feedback",
        "store_to_web_handoff",
        "session_end",
    ];
}

/// How an order reaches the customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fulfilment {
    /// Taken along here.
    Here,
    /// Collected in another store.
    OtherStore,
    /// Delivered.
    Home,
}

/// A kiosk session that ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The kiosk.
    pub kiosk: Id,
    /// The session.
    pub session: EventId,
    /// Its interactions, the end not counted.
    pub interactions: u32,
    /// From the first to the last of them, in seconds; `null` where the agent was restarted in between.
    pub duration_s: Option<u64>,
    /// How it ended.
    pub end: SessionEnd,
}

/// How a kiosk session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionEnd {
    /// Ended at the kiosk.
    Ended,
    /// Nobody touched the kiosk for its idle time.
    Idle,
    /// The agent stopped.
    Interrupted,
}

/// Entries and exits at a door, as a counter reported them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoorCount {
    /// The counter.
    pub counter: Id,
    /// Entries.
    #[serde(rename = "in")]
    pub entries: u32,
    /// Exits.
    #[serde(rename = "out")]
    pub exits: u32,
}

/// Transactions at a till; never a receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TillCount {
    /// The counter.
    pub counter: Id,
    /// Transactions.
    pub transactions: u32,
}

/// 128 bits that name an event or a session: 32 hexadecimal digits on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId(pub [u8; 16]);

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for EventId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EventId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let number = (text.len() == 32).then(|| u128::from_str_radix(&text, 16).ok()).flatten();
        let number = number.ok_or_else(|| serde::de::Error::custom("an id has 32 hexadecimal digits"))?;
        Ok(Self(number.to_be_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(body: Body, wire: Expect) {
        let event =
            Event { id: EventId([0xab; 16]), time: Timestamp::from_ms(0), clock: Clock::Synced, body };
        let json = serde_json::to_string(&event).unwrap();
        wire.assert_eq(&json);
        assert_eq!(serde_json::from_str::<Event>(&json).unwrap(), event);
    }

    fn id(text: &str) -> Id {
        Id::new(text).unwrap()
    }

    #[test]
    fn a_trace_is_a_class() {
        let window = Window { start: Timestamp::from_ms(1_772_622_000_000), s: 14_400, part: 0 };
        let path = ["entrance", "shoes", "checkout"].map(id).to_vec();
        let dwell = Some("15-30min".into());
        check(
            Body::Trace(Trace { window, rung: Rung::DepartmentPath, path, n: 14, dwell, k: 10 }),
            expect![[
                r#"{"id":"abababababababababababababababab","time":"1970-01-01T00:00:00.000Z","clock":"synced","type":"trace","window":{"start":"2026-03-04T11:00:00.000Z","s":14400},"rung":"department_path_4h","path":["entrance","shoes","checkout"],"n":14,"dwell":"15-30min","k":10}"#
            ]],
        );
    }

    #[test]
    fn nested_parts_are_flat_on_the_wire() {
        let facing = Facing { shelf: id("s1"), facing: id("f2"), sku: "4711".into(), gtin: None };
        check(
            Body::PickUp(ShelfStep { facing, quantity: 2, level: 5 }),
            expect![[
                r#"{"id":"abababababababababababababababab","time":"1970-01-01T00:00:00.000Z","clock":"synced","type":"pick_up","shelf":"s1","facing":"f2","sku":"4711","quantity":2,"level":5}"#
            ]],
        );
        let action = Action::AvailabilityCheck { sku: "4711".into(), in_stock: false };
        check(
            Body::Interaction(Interaction { kiosk: id("k1"), session: EventId([1; 16]), action }),
            expect![[
                r#"{"id":"abababababababababababababababab","time":"1970-01-01T00:00:00.000Z","clock":"synced","type":"interaction","kiosk":"k1","session":"01010101010101010101010101010101","kind":"availability_check","sku":"4711","in_stock":false}"#
            ]],
        );
    }

    #[test]
    fn every_kind_of_action_can_be_read() {
        let fields = r#""sku":"1","results":1,"in_stock":true,"fulfilment":"home","offer":"o","score":3"#;
        for kind in Action::KINDS {
            let action: Action =
                serde_json::from_str(&alloc::format!(r#"{{"kind":"{kind}",{fields}}}"#)).unwrap();
            assert!(serde_json::to_string(&action).unwrap().contains(kind));
        }
    }

    #[test]
    fn readers_ignore_fields_that_they_do_not_know() {
        let json = r#"{"id":"abababababababababababababababab","time":"1970-01-01T00:00:00.000Z","clock":"file","type":"till_count","counter":"t1","transactions":3,"new":{"x":1}}"#;
        let event: Event = serde_json::from_str(json).unwrap();
        assert_eq!(event.body, Body::TillCount(TillCount { counter: id("t1"), transactions: 3 }));
    }
}
