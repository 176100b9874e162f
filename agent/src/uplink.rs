//! The spool's events, published over MQTT.
//!
//! [`run`] connects, publishes what it reads from the spool's cursor on as QoS 1 batches, and moves the cursor when
//! the broker has acknowledged. The rules:
//!
//! - **Rewind.** Nothing survives a connection but the cursors. After any error, a CONNACK that will not do, a
//!   refused message, or 15 s without an acknowledgement while something is in flight, the connection is dropped,
//!   the uplink backs off, connects anew, and sends again from the cursor on. So the platform gets every event
//!   at least once, and within a connection every stream in order.
//! - **The cursor** of a lane passes a position only when everything up to it is acknowledged, or was refused
//!   because no message can hold it (logged, counted).
//! - **Urgency.** Whenever the window has room, the most urgent lane with something to send goes first; see `turn`.
//! - **`replayed`** is true of a batch that starts at or below the highest number sent of its stream since the
//!   agent started, and of everything read before its lane's end was first reached, for the agent may have sent
//!   that before it was started anew: a batch is never said to be new when it may not be.
//! - **Status.** Each connection publishes a retained `online` with its own session id, leaves a last will
//!   (`lost`), and, going down in good order, publishes `offline` before DISCONNECT.
//!
//! | module | what |
//! |---|---|
//! | `session` | one MQTT connection; the only one that knows the client |
//! | `window`, `reader`, `batch`, `turn`, `backoff` | the decisions: pure |
//! | `link` | one connection's life: the loop |
//! | here | connecting again and again |
//!
//! Left out: TLS, several brokers, MQTT 3.1.1, commands, the platform's own acknowledgements, bandwidth limits.

pub(crate) mod backoff;
mod batch;
mod link;
mod reader;
mod session;
mod stats;
mod turn;
mod window;

pub use stats::{Published, Snapshot, Stats};

use crate::{
    clock::Clock,
    spool::{Lane, Spool},
};
use backoff::Backoff;
use batch::Limits;
use link::Link;
use reader::Reader;
use session::Lost;
use std::{collections::BTreeMap, future, pin::pin, sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout_at},
};
use tracing::{debug, info, warn};
use turn::Turn;
use vitrine_protocol::{
    Id,
    topic::{Gateway, Stream},
};

/// Of the grace at the end, what is kept for leaving in good order; at most a quarter of it.
const LEAVING: Duration = Duration::from_secs(1);

const DAY: Duration = Duration::from_secs(86_400);

/// Where to publish, and as whom. Not `Debug`: it holds a password.
#[derive(Clone)]
pub struct Config {
    /// The gateway, which names the topics and the MQTT client.
    pub gateway: Gateway,
    /// The version of the tagging plan that the status tells.
    pub plan: Id,
    /// The broker's name or address.
    pub host: String,
    /// The broker's port.
    pub port: u16,
    /// User and password.
    pub credentials: Option<(String, String)>,
}

/// Publishes until `shutdown` resolves to the grace that is left, and then until everything readable is
/// acknowledged or the grace is over, whichever comes first. What is not acknowledged stays in the spool.
pub async fn run(
    config: Config,
    spool: Spool,
    clock: Clock,
    stats: Arc<Stats>,
    shutdown: impl Future<Output = Duration>,
) {
    let (leave, leaving) = watch::channel(None);
    let mut uplink = Uplink {
        changes: spool.changes(),
        config,
        spool,
        clock,
        stats: stats.clone(),
        leaving,
        lanes: Default::default(),
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
    /// As [`Lane::ALL`].
    lanes: [Reader; Lane::ALL.len()],
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
        let mut last_reason = String::new();
        while !(self.is_leaving() && self.nothing_readable().await) {
            self.progressed = false;
            let Err(lost) = self.publish().await else { return };
            if self.progressed && !lost.is_refusal() {
                self.backoff.reset();
            }
            let wait = self.backoff.next(getrandom::u64().unwrap_or(u64::MAX));
            let (reason, next_attempt_ms) = (lost.to_string(), wait.as_millis());
            let was_connected = self.stats.snapshot().connected;
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
            tokio::select! {
                () = sleep(wait) => {}
                () = changed(&mut self.leaving) => {}
            }
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
            let mut reader = Reader::default();
            reader.rewind(self.spool.cursor(lane));
            while let Some(from) = reader.read_from() {
                reader.read(self.spool.read(lane, from, now).await, Limits::new(None));
            }
            if !reader.is_drained() {
                return false;
            }
        }
        true
    }
}

/// Waits for a change; for ever where the other end is gone.
async fn changed<T>(watched: &mut watch::Receiver<T>) {
    if watched.changed().await.is_err() {
        future::pending::<()>().await;
    }
}
