//! Single visits, coarsened: stream `visits`, of the profile `pseudonymous` alone.

use super::{Band, EventId};
use crate::{Id, time::Timestamp};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// A visit that ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Visit {
    /// A random name, which lives for 24 h at most.
    pub visit: EventId,
    /// The start of the slot in which it ended.
    pub slot: Timestamp,
    /// The zones, in order.
    pub stays: Vec<Stay>,
    /// Its length in seconds.
    pub length_s: Band,
    /// Whether it reached a checkout.
    pub reached_checkout: bool,
}

/// A stay of a visit in a zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Stay {
    /// The zone.
    pub zone: Id,
    /// Its length in seconds.
    pub dwell_s: Band,
}
