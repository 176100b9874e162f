//! What devices post, as it is documented (feature `schema`): the forms that `parse.rs` takes, each with the
//! fields that belong to it. Nothing here is run; an end-to-end test compares these forms with the agent's answers.

#![allow(dead_code, reason = "the fields are read by the derive alone")]

use super::{COUNTERS, INTERACTIONS, Problem, READINGS};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use std::borrow::Cow;
use vitrine_protocol::{Id, event::Action};

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
pub fn routes(generator: &mut SchemaGenerator) -> [Route; 3] {
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
