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
use vitrine_protocol::{Id, event, time::Timestamp};

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
}
