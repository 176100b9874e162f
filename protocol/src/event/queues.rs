//! How long people wait: stream `queues`.

use super::{Band, Window};
use crate::Id;
use serde::{Deserialize, Serialize};

/// A queue over a slot, in bands. Exact figures stay in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Queue {
    /// The slot.
    pub window: Window,
    /// The queue.
    pub queue: Id,
    /// How many stood in it, as the median over the slot; absent where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<Band>,
    /// How long they waited, as the median over those who were served, in seconds; absent where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_s: Option<Band>,
    /// How crowded the place was.
    pub crowding: Crowding,
}

/// How crowded a place is, by the thresholds of the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Crowding {
    /// Below the lower threshold.
    Calm,
    /// Between the thresholds.
    Busy,
    /// Above the upper threshold.
    Crowded,
}
