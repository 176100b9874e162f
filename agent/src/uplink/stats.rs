//! What the uplink has done, for the local page and the metrics.

use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};
use vitrine_protocol::topic::Stream;

/// The uplink's counters, shared with whoever shows them.
#[derive(Debug, Default)]
pub struct Stats(Mutex<Snapshot>);

/// The counters at one moment. They start at zero with the agent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Whether a broker has accepted the connection.
    pub connected: bool,
    /// Connections that a broker accepted.
    pub connections: u64,
    /// Connections lost and attempts that failed: another attempt follows each.
    pub reconnects: u64,
    /// What the broker has acknowledged.
    pub published: BTreeMap<Stream, Published>,
    /// Events that were sent once more.
    pub resent_events: u64,
    /// Events that were given up because no message holds them, they cannot be read, or the broker refuses them again and
    /// again. Gaps say which.
    pub refused_events: u64,
    /// Batches that the broker acknowledged with a note that nobody subscribes to them.
    pub no_subscribers_batches: u64,
    /// Streams that the broker refuses, and why.
    #[serde(default)]
    pub refused_streams: BTreeMap<Stream, String>,
    /// The platform's marks that were ignored: of another spool, or beyond what was sent.
    #[serde(default)]
    pub ignored_marks: u64,
    /// Messages sent and not acknowledged.
    pub in_flight_messages: usize,
    /// Why the last connection or attempt failed.
    pub last_error: Option<String>,
    /// The longest time from the spool's word of a change to the acknowledgement of a batch that it brought, for
    /// batches of a lane that was read to its end when the word came: what is sent after an outage or out of a
    /// backlog does not count.
    pub live_latency_max_ms: u64,
}

/// What the broker has acknowledged of one stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// Batches, repeats too.
    pub batches: u64,
    /// Events, each once.
    pub events: u64,
}

impl Stats {
    /// The counters now.
    pub fn snapshot(&self) -> Snapshot {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut Snapshot)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
