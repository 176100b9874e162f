//! How an agent is, in numbers: the message on the topic `metrics`.
//!
//! Counts are since the agent's start, which `up_s` tells; a reader takes differences. It names receivers by their
//! names in the plan, and nothing of whom they hear.

use crate::{
    Id,
    event::{Clock, EventId, RadioState},
    time::Timestamp,
    topic::{Gateway, Stream},
};
use alloc::{collections::BTreeMap, string::String};
use serde::{Deserialize, Serialize};

/// How an agent is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Metrics {
    /// The version of the message.
    #[serde(deserialize_with = "crate::envelope::read_version")]
    #[cfg_attr(feature = "schema", schemars(range(min = crate::envelope::VERSION_MIN, max = crate::envelope::VERSION)))]
    pub v: u8,
    /// Who.
    #[serde(flatten)]
    pub from: Gateway,
    /// When.
    pub time: Timestamp,
    /// What that rests on.
    pub clock: Clock,
    /// The birth id of the gateway's spool.
    pub spool_id: EventId,
    /// The agent's version.
    pub version: String,
    /// The version of the tagging plan.
    pub plan: Id,
    /// Seconds since the agent was started.
    pub up_s: u64,
    /// What became of advertisements.
    pub radio: RadioMetrics,
    /// The receivers, by their names in the plan.
    pub receivers: BTreeMap<Id, ReceiverMetrics>,
    /// Devices that are silent.
    pub silent_devices: u64,
    /// The spool.
    pub spool: SpoolMetrics,
    /// The uplink.
    pub uplink: UplinkMetrics,
}

/// What became of advertisements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RadioMetrics {
    /// Heard.
    pub advertisements: u64,
    /// Of these, malformed in some part.
    pub malformed: u64,
    /// Of these, from senders that are not in the plan.
    pub not_in_plan: u64,
    /// Dropped because there was no room for them.
    pub dropped: u64,
}

/// One receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReceiverMetrics {
    /// Its state; absent where nobody watches it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<RadioState>,
    /// Advertisements heard, of whomever.
    pub advertisements: u64,
    /// Times that it had to be helped.
    pub recoveries: u64,
}

/// The spool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SpoolMetrics {
    /// Records that wait for acknowledgement.
    pub backlog: u64,
    /// Octets on the disk.
    pub disk_bytes: u64,
    /// Events made durable.
    pub events: u64,
    /// Events that are lost; gaps say which.
    pub lost_events: u64,
    /// Whether it takes nothing on for now.
    pub is_full: bool,
}

/// The uplink.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UplinkMetrics {
    /// Connections that a broker accepted.
    pub connections: u64,
    /// Events that the broker acknowledged, each once.
    pub events: BTreeMap<Stream, u64>,
    /// Events that were sent once more.
    pub resent_events: u64,
    /// Events that were given up because nothing could carry them; gaps say which.
    pub refused_events: u64,
    /// Batches that the broker acknowledged with a note that nobody subscribes to them.
    pub no_subscribers_batches: u64,
    /// Streams that the broker refuses, for now.
    pub resting_streams: u64,
}
