//! What satellites and the hub tell each other, over the store's own MQTT broker. Nothing of it leaves the store.
//!
//! ```text
//! vitrine-local/v1/plan                 StorePlan, retained: the hub's tagging plan
//! vitrine-local/v1/sighting/{gateway}   Sightings of the plan's beacons, by one satellite, QoS 0
//! ```
//!
//! Who sent a message is its topic's to say, because the broker's access list binds the topic and not the payload. A
//! beacon goes by its name in the plan, never by its address or what it transmits. Times are of the satellite's own
//! clock that never jumps and counts from its start: the hub finds out by how much it differs from its own.
//!
//! A version only grows: fields are added, and readers pass over those that they do not know.

use crate::Id;
use alloc::{format, string::String, vec::Vec};
use serde::{Deserialize, Serialize};

/// The version that is written.
pub const VERSION: u8 = 1;
/// Where the hub publishes its plan.
pub const PLAN_TOPIC: &str = "vitrine-local/v1/plan";
/// What the topics of all satellites start with.
const SIGHTINGS: &str = "vitrine-local/v1/sighting/";
/// Most sightings of one message.
pub const SIGHTINGS_MAX: usize = 512;

/// Where a satellite publishes what it hears.
pub fn topic(satellite: Id) -> String {
    format!("{SIGHTINGS}{satellite}")
}

/// The satellite that publishes on a topic.
pub fn satellite(topic: &str) -> Option<Id> {
    Id::new(topic.strip_prefix(SIGHTINGS)?).ok()
}

/// What a satellite heard since its last message; an empty one says that it is well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sightings {
    /// [`VERSION`].
    pub v: u8,
    /// A number that the satellite draws when it starts: its clock and its counter start again with it.
    pub boot: u32,
    /// Rises by one with every message.
    pub counter: u64,
    /// The version of the plan that it knows.
    pub plan: Id,
    /// When this was sent, in milliseconds of the satellite's clock.
    pub sent_ms: u64,
    /// Sightings that it had to drop since its start, because the broker was away.
    pub dropped: u64,
    /// The sightings, in the order of their times.
    pub sightings: Vec<Sighting>,
}

/// A beacon of the plan, as one receiver of the satellite heard it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    /// When, in milliseconds of the satellite's clock.
    pub at_ms: u64,
    /// The receiver, by its name in the plan.
    pub receiver: Id,
    /// The beacon, by its name in the plan.
    pub beacon: Id,
    /// Signal strength in dBm.
    pub rssi_dbm: i8,
}

/// The tagging plan that a hub works by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorePlan {
    /// [`VERSION`].
    pub v: u8,
    /// Its version, as the retailer counts.
    pub plan: Id,
    /// The whole of `store.toml`.
    pub toml: String,
}
