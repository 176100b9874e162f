//! All that the agent says of itself at one moment, for its tools and the metrics.

use super::{Ears, Health};
use crate::{
    capture::RadioCounters,
    clock::Clock,
    line::LineCounters,
    pipeline::Counters,
    plan::Plan,
    spool::{self, Spool},
    uplink,
};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, PoisonError, atomic::Ordering};
use vitrine_protocol::{
    Id,
    envelope::VERSION,
    event,
    metrics::{Metrics, RadioMetrics, ReceiverMetrics, SpoolMetrics, UplinkMetrics},
    time::Timestamp,
    topic::Gateway,
};

/// How the agent is. A tool is of the same version or a later one, so it is not frozen.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// The agent's version.
    pub version: String,
    /// The plan's version.
    pub plan: Id,
    /// The agent's time.
    pub now: Timestamp,
    /// What that rests on.
    pub clock: event::Clock,
    /// Seconds since the agent was started.
    pub up_s: u64,
    /// What became of advertisements before the pipeline.
    pub radio: RadioStats,
    /// The receivers, and what is silent.
    pub ears: Ears,
    /// What the pipeline counted.
    pub pipeline: Counters,
    /// How the spool stands.
    pub spool: spool::Stats,
    /// What the uplink did.
    pub uplink: uplink::Snapshot,
}

/// [`RadioCounters`] at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RadioStats {
    /// Advertisements heard.
    pub advertisements: u64,
    /// Of these, malformed in some part.
    pub malformed: u64,
    /// Of these, from senders that are not in the plan.
    pub not_in_plan: u64,
    /// Frames and advertisements dropped because there was no room for them.
    pub dropped: u64,
    /// Advertisements lost because the receiver gave no signal strength.
    pub no_rssi: u64,
}

impl From<&RadioCounters> for RadioStats {
    fn from(counters: &RadioCounters) -> Self {
        let RadioCounters { advertisements, malformed, not_in_plan, dropped, no_rssi } = counters;
        let [advertisements, malformed, not_in_plan, dropped, no_rssi] =
            [advertisements, malformed, not_in_plan, dropped, no_rssi].map(|n| n.load(Ordering::Relaxed));
        Self { advertisements, malformed, not_in_plan, dropped, no_rssi }
    }
}

/// The parts that a [`Status`] is asked of.
#[derive(Clone)]
pub struct Observed {
    /// The plan.
    pub plan: Arc<Plan>,
    /// The time.
    pub clock: Clock,
    /// When the agent was started, by the monotonic clock.
    pub started_ms: u64,
    /// What became of advertisements.
    pub radio: Arc<RadioCounters>,
    /// The ears.
    pub health: Arc<Health>,
    /// The pipeline's counters.
    pub line: LineCounters,
    /// The spool.
    pub spool: Spool,
    /// The uplink's counters.
    pub uplink: Arc<uplink::Stats>,
}

impl Observed {
    /// The status now. Looks at files of the spool, which may block.
    pub fn status(&self) -> Status {
        let now = self.clock.now();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            plan: self.plan.version,
            now: now.utc,
            clock: now.source,
            up_s: (now.mono_ms - self.started_ms) / 1000,
            radio: (&*self.radio).into(),
            ears: self.health.ears(),
            pipeline: *self.line.lock().unwrap_or_else(PoisonError::into_inner),
            spool: self.spool.stats(),
            uplink: self.uplink.snapshot(),
        }
    }

    /// What the platform is told of it. Looks at files of the spool, which may block.
    pub fn metrics(&self, from: Gateway) -> Metrics {
        let Status { version, plan, now, clock, up_s, radio, ears, spool, uplink, .. } = self.status();
        let receiver = |(id, receiver): (Id, super::Receiver)| {
            let state = receiver.state.map(|(state, _)| state);
            let recoveries = receiver.recoveries.values().sum();
            (id, ReceiverMetrics { state, advertisements: receiver.advertisements, recoveries })
        };
        Metrics {
            v: VERSION,
            from,
            time: now,
            clock,
            spool_id: spool.spool_id,
            version,
            plan,
            up_s,
            radio: RadioMetrics {
                advertisements: radio.advertisements,
                malformed: radio.malformed,
                not_in_plan: radio.not_in_plan,
                dropped: radio.dropped,
            },
            receivers: ears.receivers.into_iter().map(receiver).collect(),
            silent_devices: ears.silent.len() as u64,
            spool: SpoolMetrics {
                backlog: spool.lanes.iter().map(|lane| lane.backlog_records).sum(),
                disk_bytes: spool.lanes.iter().map(|lane| lane.disk_bytes).sum(),
                events: spool.events,
                lost_events: spool.lost_events,
                is_full: spool.is_full,
            },
            uplink: UplinkMetrics {
                connections: uplink.connections,
                events: uplink
                    .published
                    .iter()
                    .map(|(&stream, published)| (stream, published.events))
                    .collect(),
                resent_events: uplink.resent_events,
                refused_events: uplink.refused_events,
                no_subscribers_batches: uplink.no_subscribers_batches,
                resting_streams: uplink.refused_streams.len() as u64,
            },
        }
    }
}
