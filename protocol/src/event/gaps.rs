//! What was lost, and why: stream `gaps`.

use crate::{Id, time::Timestamp, topic::Stream};
use serde::{Deserialize, Serialize};

/// Events of one stream that will not come: a range of its sequence numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Gap {
    /// The stream.
    pub stream: Stream,
    /// The first sequence number that will not come.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = crate::envelope::SEQ_MAX)))]
    pub first_seq: u64,
    /// The last one.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = crate::envelope::SEQ_MAX)))]
    pub last_seq: u64,
    /// Why.
    pub reason: GapReason,
    /// Whether each of these numbers had been given to an event; otherwise the range is an upper bound.
    pub exact: bool,
}

/// A period in which something could not be heard: what happened then became no event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CaptureGap {
    /// What could not be heard.
    pub capture: Capture,
    /// The receiver, shelf, kiosk or counter; absent where it is all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<Id>,
    /// From.
    pub from: Timestamp,
    /// To.
    pub to: Timestamp,
    /// Why.
    pub reason: GapReason,
    /// Whether nothing was heard all the time; otherwise the period is an upper bound.
    pub exact: bool,
}

/// A kind of capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(transform = crate::schema::grows))]
#[serde(rename_all = "snake_case")]
pub enum Capture {
    /// All of it: the agent was down.
    All,
    /// Beacons.
    Radio,
    /// Shelves.
    Shelves,
    /// Kiosks.
    Kiosks,
    /// Doors and tills.
    Counters,
    /// A kind that this reader does not know; never written.
    #[serde(other, skip_serializing)]
    Unknown,
}

/// Why something was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(transform = crate::schema::grows))]
#[serde(rename_all = "snake_case")]
pub enum GapReason {
    /// The spool was full, and these were the first to go.
    Evicted,
    /// Storage could not be read back.
    Corrupt,
    /// The disk was full.
    DiskFull,
    /// The stream's numbering was begun anew.
    Reset,
    /// The person that they were about withdrew.
    Withdrawn,
    /// A receiver or device was away, or its driver was.
    CaptureDown,
    /// The agent was started again.
    Restart,
    /// The broker, or the agent itself, refused these: no message could carry them.
    Refused,
    /// A reason that this reader does not know; never written.
    #[serde(other, skip_serializing)]
    Unknown,
}
