//! What lies on a facing: stream `stock`.

use super::Facing;
use crate::Id;
use serde::{Deserialize, Serialize};

/// A facing that became empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OutOfStock {
    /// The place and product.
    #[serde(flatten)]
    pub facing: Facing,
}

/// An empty facing that has units again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Restock {
    /// The place and product.
    #[serde(flatten)]
    pub facing: Facing,
    /// Units on it now.
    pub level: u32,
    /// How long it was empty, in seconds.
    pub empty_s: u64,
}

/// How many units lie on a facing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Level {
    /// The place and product.
    #[serde(flatten)]
    pub facing: Facing,
    /// Units.
    pub level: u32,
    /// Units of a full facing.
    pub capacity: u32,
}

/// A facing that has fewer units than the plan wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LowStock {
    /// The place and product.
    #[serde(flatten)]
    pub facing: Facing,
    /// Units.
    pub level: u32,
    /// Units from which on there are enough.
    pub enough: u32,
}

/// A weight on a facing, for some time, that no number of its product's units makes: something else lies there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Misplaced {
    /// The place and the product that belongs there.
    #[serde(flatten)]
    pub facing: Facing,
    /// What lies there, in grams.
    pub weight_g: i32,
}

/// A facing whose measurements are not to be trusted, or are again. Its level is unknown while the fault lasts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Fault {
    /// The shelf.
    pub shelf: Id,
    /// The facing on the shelf.
    pub facing: Id,
    /// What is wrong.
    pub fault: SensorFault,
    /// Whether it has begun, or ended.
    pub active: bool,
}

/// What is wrong with a facing's sensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(transform = crate::schema::grows))]
#[serde(rename_all = "snake_case")]
pub enum SensorFault {
    /// The sensor does not answer.
    NoSignal,
    /// It measures the same, noise included, again and again.
    Stuck,
    /// It measures what cannot be.
    OutOfRange,
    /// It does not come to rest.
    Unsettled,
    /// A fault that this reader does not know; never written.
    #[serde(other, skip_serializing)]
    Unknown,
}
