//! What doors and tills counted: streams `door` and `till`.

use crate::Id;
use serde::{Deserialize, Serialize};

/// Entries and exits at a door, as a counter reported them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TillCount {
    /// The counter.
    pub counter: Id,
    /// Transactions.
    pub transactions: u32,
}
