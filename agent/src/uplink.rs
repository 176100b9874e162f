//! The spool's events, published over MQTT.
//!
//! [`run`] connects, publishes what it reads from the spool's cursor on as QoS 1 batches, and moves the cursor when
//! the broker has acknowledged. The rules:
//!
//! - **Rewind.** Nothing survives a connection but the cursors. After any error, a CONNACK that will not do, or 15 s
//!   without an acknowledgement while something is in flight, the connection is dropped, the uplink backs off,
//!   connects anew, and sends again from the cursor on. So the platform gets every event at least once, and within a
//!   connection every stream in order.
//! - **The cursor** of a lane passes a position only when everything up to it is acknowledged, or was given up because
//!   nothing can carry it: then a gap says so. With [`Delivery::EndToEnd`], it is the platform that acknowledges.
//! - **A refusal** concerns one stream, which rests; see `refusal`. No message is tried for ever.
//! - **Urgency.** Whenever the window has room, the most urgent lane with something to send goes first; see `turn`. With
//!   [`Drain::LiveFirst`], what happens now goes before any backlog; see `lanes`.
//! - **`replayed`** is true of a batch that starts at or below the highest number sent of its stream since the
//!   agent started, of a backlog behind what is live, and of everything read before its lane's end was first reached,
//!   for the agent may have sent that before it was started anew: a batch is never said to be new when it may not be.
//! - **Status.** Each connection publishes a retained `online` with its own session id, leaves a last will
//!   (`lost`), and, going down in good order, publishes `offline` before DISCONNECT.
//!
//! | module | what |
//! |---|---|
//! | `settings`, `server` | what it is told |
//! | `session` | one MQTT connection; the only one that knows the client |
//! | `route`, `backoff` | which broker is next, in which version, and when: pure |
//! | `batch`, `window`, `refusal`, `marks`, `bucket`, `turn` | the decisions: pure |
//! | `reader`, `lanes`, `passed` | how far each lane is: pure |
//! | `link` | one connection's life: the loop |
//! | here | connecting again and again |
//!
//! Left out: commands, the plan from the platform.

pub(crate) mod backoff;
mod batch;
mod bucket;
mod lanes;
mod link;
mod marks;
mod passed;
mod reader;
mod refusal;
mod route;
mod server;
mod session;
mod settings;
mod stats;
mod turn;
mod window;

pub use server::{Proxy, Scheme, Server};
pub use settings::{Config, Delivery, Drain, FileError, Login, Protocol, Secret, Settings, TlsFiles};
pub use stats::{Published, Snapshot, Stats};

use crate::{
    clock::Clock,
    spool::{Lane, Spool},
};
use backoff::Backoff;
use batch::Limits;
use bucket::Bucket;
use lanes::Lanes;
use link::Link;
use marks::Marks;
use reader::Reader;
use refusal::{Drops, Refusals};
use route::Route;
use session::Lost;
use std::{collections::BTreeMap, future, pin::pin, sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout_at},
};
use tracing::{debug, info, warn};
use turn::Turn;
use vitrine_protocol::{metrics::Metrics, topic::Stream};

/// Of the grace at the end, what is kept for leaving in good order; at most a quarter of it.
const LEAVING: Duration = Duration::from_secs(1);

const DAY: Duration = Duration::from_secs(86_400);

/// How long the platform may be silent on what the broker has, before it is sent again; doubled each time.
const MARKS_PATIENCE: Duration = Duration::from_secs(60);
const MARKS_PATIENCE_MAX: Duration = Duration::from_secs(600);

/// Tells how the agent is. It may block for a moment.
pub type MetricsSource = Arc<dyn Fn() -> Metrics + Send + Sync>;

/// Publishes until `shutdown` resolves to the grace that is left, and then until everything readable is
/// acknowledged or the grace is over, whichever comes first. What is not acknowledged stays in the spool.
pub async fn run(
    config: Config,
    spool: Spool,
    clock: Clock,
    stats: Arc<Stats>,
    metrics: Option<MetricsSource>,
    shutdown: impl Future<Output = Duration>,
) {
    let (leave, leaving) = watch::channel(None);
    let mut uplink = Uplink {
        changes: spool.changes(),
        route: Route::new(config.settings.servers.len(), config.settings.protocol),
        bucket: config.settings.bandwidth_bytes_per_s.map(|rate| Bucket::new(rate, Instant::now())),
        marks: Marks::new(spool.id()),
        marks_patience: MARKS_PATIENCE,
        marks_overdue: None,
        metrics,
        config,
        spool,
        clock,
        stats: stats.clone(),
        leaving,
        lanes: Lanes::default(),
        refusals: Refusals::default(),
        drops: Drops::default(),
        sent_upto: BTreeMap::new(),
        turn: Turn::default(),
        backoff: Backoff::default(),
        progressed: false,
    };
    let mut work = pin!(uplink.work());
    tokio::select! {
        () = &mut work => {}
        grace = shutdown => {
            let grace = grace.min(DAY);
            let end = Instant::now() + grace;
            leave.send_replace(Some(end - LEAVING.min(grace / 4)));
            if timeout_at(end, work).await.is_err() {
                info!("the uplink's time to leave is over: what is not acknowledged stays in the spool");
            }
        }
    }
    stats.update(|stats| (stats.connected, stats.in_flight_messages) = (false, 0));
}

struct Uplink {
    config: Config,
    spool: Spool,
    clock: Clock,
    stats: Arc<Stats>,
    changes: watch::Receiver<u64>,
    /// Going down: when to stop publishing.
    leaving: watch::Receiver<Option<Instant>>,
    metrics: Option<MetricsSource>,
    route: Route,
    bucket: Option<Bucket>,
    lanes: Lanes,
    refusals: Refusals,
    drops: Drops,
    marks: Marks,
    /// How long the platform's marks may stand still now.
    marks_patience: Duration,
    /// The stream whose mark stood still for longer than that.
    marks_overdue: Option<Stream>,
    /// The highest number sent of each stream.
    sent_upto: BTreeMap<Stream, u64>,
    turn: Turn,
    backoff: Backoff,
    /// A cursor moved during this connection.
    progressed: bool,
}

impl Uplink {
    /// Connects, again and again; returns when it has left.
    async fn work(&mut self) {
        let jitter = self.config.settings.start_jitter;
        if !jitter.is_zero() && !self.is_leaving() {
            let part = f64::from(u32::try_from(random() >> 32).unwrap_or(u32::MAX)) / f64::from(u32::MAX);
            self.pause(jitter.mul_f64(part)).await;
        }
        let mut last_reason = String::new();
        while !(self.is_leaving() && self.nothing_readable().await) {
            self.progressed = false;
            let Err(lost) = self.publish().await else { return };
            if self.progressed && !lost.is_refusal() {
                self.backoff.reset();
            }
            let was_connected = self.stats.snapshot().connected;
            // A broker that lets in and then does nothing is no better than one that is not there.
            let is_of_use =
                self.progressed || !matches!(lost, Lost::Silent(_) | Lost::NoMarks | Lost::Refused(_));
            let is_next_at_once = if was_connected && is_of_use {
                self.route.ended();
                false
            } else {
                self.route.failed(lost.is_about_the_version())
            };
            if matches!(lost, Lost::MarksStandStill) {
                self.marks_patience = (self.marks_patience * 2).min(MARKS_PATIENCE_MAX);
            }
            let wait = if is_next_at_once { Duration::ZERO } else { self.backoff.next(random()) };
            let (reason, next_attempt_ms) = (lost.to_string(), wait.as_millis());
            self.stats.update(|stats| {
                (stats.connected, stats.in_flight_messages) = (false, 0);
                stats.last_error = Some(reason.clone());
                stats.reconnects += 1;
            });
            if was_connected || reason != last_reason {
                warn!(reason, next_attempt_ms, "the uplink is down");
            } else {
                debug!(reason, next_attempt_ms, "the uplink is still down");
            }
            last_reason = reason;
            self.pause(wait).await;
        }
    }

    /// Waits, unless it is time to leave.
    async fn pause(&mut self, wait: Duration) {
        tokio::select! {
            () = sleep(wait) => {}
            () = changed(&mut self.leaving) => {}
        }
    }

    /// One connection, from the cursors on. `Ok` when it has left in good order.
    async fn publish(&mut self) -> Result<(), Lost> {
        Link::connect(self).await?.run().await
    }

    fn is_leaving(&self) -> bool {
        self.leaving.borrow().is_some()
    }

    /// Whether the spool has nothing to send now.
    async fn nothing_readable(&self) -> bool {
        let now = self.clock.now().utc;
        for lane in Lane::ALL {
            if self.config.settings.metered && lane != Lane::Critical {
                continue;
            }
            let mut reader = Reader::default();
            reader.rewind(self.spool.cursor(lane), None);
            while let Some(from) = reader.read_from(|_| true, Instant::now(), true) {
                reader.read(self.spool.read(lane, from, now).await, Limits::new(None));
            }
            if !reader.is_drained() {
                return false;
            }
        }
        true
    }
}

fn random() -> u64 {
    getrandom::u64().unwrap_or(u64::MAX)
}

/// Waits for a change; for ever where the other end is gone.
async fn changed<T>(watched: &mut watch::Receiver<T>) {
    if watched.changed().await.is_err() {
        future::pending::<()>().await;
    }
}
