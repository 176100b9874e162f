//! What carriers did, counted over a window: streams `carriers`, `flows`, `traces` and `coverage`.

use crate::{Id, time::Timestamp};
use alloc::{string::String, vec::Vec};
use serde::{Deserialize, Serialize};

/// A window of time over which something was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Window {
    /// Its clock-aligned start.
    pub start: Timestamp,
    /// Its length in seconds.
    pub s: u32,
    /// 0, or for a further part of the same window a number that no other part of it has: an agent that is stopped
    /// within a window, or a store that closes, releases what it has, and what follows is another part.
    #[serde(default, skip_serializing_if = "super::is_zero")]
    pub part: u32,
}

/// Visits that touched one zone in a window, at least `k`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Trace {
    /// The window in which the visits ended.
    pub window: Window,
    /// How far the path is generalised.
    pub rung: Rung,
    /// The path, of zones or departments as `rung` says.
    pub path: Vec<Id>,
    /// Visits in the class.
    pub n: u32,
    /// The band of the median visit's length, such as `15-30min` or `60min-`; absent where all lie in one band, which would tell it of each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dwell: Option<String>,
    /// What share of them reached a checkout; absent where that is not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reached_checkout: Option<Share>,
    /// The smallest class that is released.
    pub k: u32,
}

/// A level of generalisation of traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(transform = crate::schema::grows))]
#[serde(rename_all = "snake_case")]
pub enum Rung {
    /// The ordered zones of a visit; window of 4 h (or as configured).
    #[serde(rename = "path_4h")]
    Path,
    /// The zones of a visit, each once, sorted by name.
    #[serde(rename = "zone_set_4h")]
    ZoneSet,
    /// The ordered departments of a visit, repeats in a row taken as one; window of 4 h (or as configured).
    #[serde(rename = "department_path_4h")]
    DepartmentPath,
    /// The departments of a visit, each once, sorted by name.
    #[serde(rename = "department_set_4h")]
    DepartmentSet,
    /// The same, over a store-day.
    #[serde(rename = "department_set_day")]
    DepartmentSetDay,
    /// A level that this reader does not know; never written.
    #[serde(other, skip_serializing)]
    Unknown,
}

/// A share of a class, in words: an exact one would tell of single visits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Share {
    /// Fewer than a half.
    Few,
    /// A half or more.
    Most,
}

/// What part of the carriers a window's release stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
