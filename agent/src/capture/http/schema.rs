//! What devices post, as it is documented (feature `schema`): the forms that `parse.rs` takes, each with the
//! fields that belong to it. Nothing here is run; an end-to-end test compares these forms with the agent's answers.

#![allow(dead_code, reason = "the fields are read by the derive alone")]

use super::{COUNTERS, INTERACTIONS, Problem, READINGS, radio::SIGHTINGS};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use std::borrow::Cow;
use vitrine_protocol::{Id, event::Action, time::Timestamp};

/// A route that takes a JSON array.
#[derive(Debug)]
pub struct Route {
    /// The path.
    pub path: &'static str,
    /// A name for the operation.
    pub operation: &'static str,
    /// What it is for.
    pub summary: &'static str,
    /// The form of an item.
    pub item: Schema,
}

/// Every route that takes something, with its form.
pub fn routes(generator: &mut SchemaGenerator) -> [Route; 4] {
    [
        Route {
            path: READINGS,
            operation: "postReadings",
            summary: "Weights as shelves measured them",
            item: generator.subschema_for::<Reading>(),
        },
        Route {
            path: INTERACTIONS,
            operation: "postInteractions",
            summary: "What was done at kiosks",
            item: generator.subschema_for::<KioskInteraction>(),
        },
        Route {
            path: COUNTERS,
            operation: "postCounts",
            summary: "Entries, exits and transactions since the last report",
            item: generator.subschema_for::<Count>(),
        },
        Route {
            path: SIGHTINGS,
            operation: "postSightings",
            summary: "Fixed beacons, as receivers that move with a person or a cart heard them",
            item: generator.subschema_for::<Sighting>(),
        },
    ]
}

/// The form of a problem (RFC 9457).
pub fn problem(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<Problem>()
}

/// What a facing weighs. Readings are states: they may come again, and some may be missing.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Reading {
    /// The shelf, by its name in the plan.
    shelf: Id,
    /// The facing on the shelf, by its name in the plan.
    facing: Id,
    /// A number that the shelf's controller draws when it starts and cannot keep its counter; otherwise always the same.
    boot: u32,
    /// Rises with every reading of the controller. A reading not above the facing's last one is taken for a repeat.
    counter: u64,
    /// Grams on the facing.
    grams: i32,
}

/// A touch on a kiosk. Fields that do not belong to its kind are dropped: free text and tokens go nowhere.
#[derive(Serialize, JsonSchema)]
struct KioskInteraction {
    /// The kiosk's own name for the touch, the same when it is sent again.
    id: Uuid,
    /// The kiosk, by its name in the plan.
    kiosk: Id,
    #[serde(flatten)]
    action: Action,
}

/// A count since the last one: of a door, or of a till, as the plan says of the counter.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
enum Count {
    Door(Door),
    Till(Till),
}

/// People through a door.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Door {
    /// The counter's own name for the count, the same when it is sent again.
    id: Uuid,
    /// The counter, by its name in the plan.
    counter: Id,
    /// Entries.
    #[serde(rename = "in")]
    entries: u32,
    /// Exits.
    #[serde(rename = "out")]
    exits: u32,
}

/// Transactions at a till; never a receipt.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Till {
    /// The counter's own name for the count, the same when it is sent again.
    id: Uuid,
    /// The counter, by its name in the plan.
    counter: Id,
    /// Transactions.
    transactions: u32,
}

/// A fixed beacon that a moving receiver heard: when, and one way to say which.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Sighting {
    /// The receiver, by its name in the plan, where it has `mobile = true`.
    receiver: Id,
    /// How long before this request, in milliseconds. Either this or `time`; more than two minutes is too old.
    #[serde(skip_serializing_if = "Option::is_none")]
    age_ms: Option<u64>,
    /// When, by the receiver's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<Timestamp>,
    /// Signal strength in dBm.
    #[schemars(range(min = -127, max = 20))]
    rssi_dbm: i8,
    /// The AD structures, as hexadecimal digits. One of this, `ibeacon` and `eddystone_uid`.
    #[serde(skip_serializing_if = "Option::is_none")]
    adv_hex: Option<String>,
    /// An iBeacon.
    #[serde(skip_serializing_if = "Option::is_none")]
    ibeacon: Option<SeenIBeacon>,
    /// An Eddystone-UID.
    #[serde(skip_serializing_if = "Option::is_none")]
    eddystone_uid: Option<SeenUid>,
}

/// What an iBeacon transmits.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct SeenIBeacon {
    /// Proximity UUID.
    uuid: String,
    /// Major number.
    major: u16,
    /// Minor number.
    minor: u16,
}

/// What an Eddystone-UID transmits.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct SeenUid {
    /// 20 hexadecimal digits.
    namespace: String,
    /// 12 hexadecimal digits.
    instance: String,
}

/// A UUID, drawn once and sent with every repeat.
#[derive(Serialize)]
struct Uuid;

impl JsonSchema for Uuid {
    fn schema_name() -> Cow<'static, str> {
        "Uuid".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "A UUID; its hyphens may be left out.",
            "pattern": "^[0-9A-Fa-f]{8}-?([0-9A-Fa-f]{4}-?){3}[0-9A-Fa-f]{12}$"
        })
    }
}
