//! One connection's life: connect, send from the cursors on, listen, leave.
//!
//! | module | what |
//! |---|---|
//! | here | the loop, and what wakes it |
//! | `sending` | which batch goes next, and how |
//! | `hearing` | what an answer changes |

mod hearing;
mod sending;

use super::{
    Uplink,
    batch::{Batch, Limits},
    changed,
    reader::{LINGER, Reader},
    session::{Heard, Lost, Session, Target, Terms},
    settings::Delivery,
    window::Window,
};
use crate::spool::Lane;
use std::{collections::BTreeMap, time::Duration};
use tokio::time::{Instant, sleep_until};
use tracing::info;
use vitrine_protocol::{
    envelope::{MqttVersion, State, Status, VERSION},
    event::EventId,
    topic::Stream,
};

/// Longest time without an acknowledgement while something is in flight.
const SILENCE_MAX: Duration = Duration::from_secs(15);

/// Longest sleep before looking at the clock again, which may have been set meanwhile.
const NAP_MAX: Duration = Duration::from_secs(10);

/// A connection that the broker accepted.
pub(super) struct Link<'a> {
    uplink: &'a mut Uplink,
    session: Session,
    id: EventId,
    version: MqttVersion,
    limits: Limits,
    window: Window<Sent>,
    /// When the broker last acknowledged something, or something was sent with nothing in flight.
    last_sign: Instant,
    /// The status was acknowledged: the connection works.
    is_proven: bool,
    /// Batches may go.
    is_open: bool,
    /// Too much was sent of late.
    throttled_until: Option<Instant>,
    metrics_due: Option<Instant>,
    /// Since when the platform's mark is waited for, or it moved last.
    awaits_marks_since: BTreeMap<Stream, Instant>,
    warned_no_subscribers: bool,
    warned_marks: bool,
}

enum Sent {
    Status,
    Metrics,
    Batch(InFlight),
}

struct InFlight {
    lane: Lane,
    stream: Stream,
    positions: Vec<u64>,
    first_seq: u64,
    live_since: Option<Instant>,
    /// The batch itself, where it may come back.
    kept: Option<Batch>,
}

impl InFlight {
    fn last_seq(&self) -> u64 {
        self.first_seq + (self.positions.len() as u64).saturating_sub(1)
    }
}

/// What wakes the loop.
enum Wake {
    Heard(Heard),
    Changed,
    Timer,
    Leaving,
}

impl<'a> Link<'a> {
    /// Connects, rewinds every lane to its cursor, and says that the gateway is online.
    pub(super) async fn connect(uplink: &'a mut Uplink) -> Result<Self, Lost> {
        let (server, version) = uplink.route.next();
        let settings = &uplink.config.settings;
        let Some(server) = settings.servers.get(server) else { return Err(Lost::Unknown) };
        let mut id = EventId([0; 16]);
        getrandom::fill(&mut id.0)?;
        let will = serde_json::to_vec(&status(uplink, id, version, State::Lost))?;
        let target = Target { gateway: uplink.config.gateway, server, settings, version };
        let mut session = Session::open(target, will)?;
        let Terms { receive_maximum, packet_bytes_max } = match session.heard().await {
            Heard::Connected(terms) => terms,
            Heard::Lost(lost) => return Err(lost),
            _ => return Err(Lost::Unknown),
        };
        info!(%server, session = %id, ?version, "the uplink is up");
        let is_open = settings.delivery == Delivery::Broker;
        if !is_open {
            session.subscribe(uplink.config.gateway.acks().to_string());
        }
        let drain = settings.drain;
        for lane in Lane::ALL {
            uplink.lanes.rewind(lane, uplink.spool.cursor(lane), uplink.spool.end(lane), drain);
        }
        uplink.route.accepted();
        uplink.stats.update(|stats| {
            stats.connected = true;
            stats.connections += 1;
        });
        let now = Instant::now();
        let mut link = Self {
            metrics_due: uplink.config.settings.metrics_every.map(|every| now + every),
            uplink,
            session,
            id,
            version,
            limits: Limits::new(packet_bytes_max),
            window: Window::new(receive_maximum),
            last_sign: now,
            is_proven: false,
            is_open,
            throttled_until: None,
            awaits_marks_since: BTreeMap::new(),
            warned_no_subscribers: false,
            warned_marks: false,
        };
        link.publish_status(State::Online)?;
        Ok(link)
    }

    /// Publishes until it has left in good order, or the connection is over.
    pub(super) async fn run(mut self) -> Result<(), Lost> {
        let result = self.work().await;
        if let Err(lost) = &result {
            self.account_for(lost);
        }
        result
    }

    async fn work(&mut self) -> Result<(), Lost> {
        loop {
            self.send().await?;
            let in_flight = self.window.len();
            self.uplink.stats.update(|stats| stats.in_flight_messages = in_flight);
            let leave_by = *self.uplink.leaving.borrow();
            let drained =
                in_flight == 0 && self.uplink.lanes.are_drained(self.uplink.config.settings.metered);
            if leave_by.is_some_and(|leave_by| drained || leave_by <= Instant::now()) {
                return self.leave().await;
            }
            match self.wake().await {
                Wake::Heard(heard) => self.heard(heard)?,
                Wake::Changed | Wake::Leaving => {
                    let now = Instant::now();
                    self.uplink.lanes.readers_mut().for_each(|lane| lane.changed(now));
                }
                Wake::Timer => self.look_at_the_time().await?,
            }
        }
    }

    async fn look_at_the_time(&mut self) -> Result<(), Lost> {
        let now = Instant::now();
        if self.silent_at().is_some_and(|at| at <= now) {
            return Err(Lost::Silent(SILENCE_MAX.as_secs()));
        }
        if let Some((due, stream)) = self.marks_due()
            && due <= now
        {
            self.uplink.marks_overdue = Some(stream);
            return Err(Lost::MarksStandStill);
        }
        if self.metrics_due.is_some_and(|due| due <= now) {
            self.metrics_due = self.uplink.config.settings.metrics_every.map(|every| now + every);
            self.publish_metrics().await?;
        }
        Ok(())
    }

    /// When a platform's mark is waited for no longer, and of which stream.
    fn marks_due(&self) -> Option<(Instant, Stream)> {
        let (&stream, &since) = self.awaits_marks_since.iter().min_by_key(|(_, since)| **since)?;
        Some((since + self.uplink.marks_patience, stream))
    }

    /// When the broker has been silent for too long, if it owes an answer.
    fn silent_at(&self) -> Option<Instant> {
        (self.window.len() > 0 || !self.is_open).then(|| self.last_sign + SILENCE_MAX)
    }

    /// Waits until there is something to do.
    async fn wake(&mut self) -> Wake {
        let now = Instant::now();
        let (silent, marks_due) = (self.silent_at(), self.marks_due().map(|(due, _)| due));
        let rests_until = self.uplink.refusals.rests_until(now);
        let is_idle = self.window.len() == 0;
        let Uplink { clock, lanes, changes, leaving, .. } = &mut *self.uplink;
        let held = lanes.readers().filter_map(Reader::held_until).min().map(|until| {
            let wait_ms = u64::try_from(until.as_ms() - clock.now().utc.as_ms()).unwrap_or(0);
            now + clock.nap(wait_ms).min(NAP_MAX)
        });
        // What is overdue waits for room, not for time.
        let lingers = lanes.readers().filter_map(Reader::lingers_until).filter(|_| !is_idle).min();
        let lingers = lingers.map(|until| if until > now { until } else { now + LINGER });
        let leave_by = *leaving.borrow();
        let timers =
            [held, lingers, silent, leave_by, rests_until, marks_due, self.throttled_until, self.metrics_due];
        let timer = timers.into_iter().flatten().min();
        tokio::select! {
            heard = self.session.heard() => Wake::Heard(heard),
            () = changed(changes) => Wake::Changed,
            () = changed(leaving) => Wake::Leaving,
            () = sleep_until(timer.unwrap_or(now)), if timer.is_some() => Wake::Timer,
        }
    }

    /// Leaves in good order. The grace bounds it from outside.
    async fn leave(&mut self) -> Result<(), Lost> {
        self.publish_status(State::Offline)?;
        while self.window.in_flight().any(|sent| matches!(sent, Sent::Status)) {
            let heard = self.session.heard().await;
            self.heard(heard)?;
        }
        self.session.disconnect();
        while !matches!(self.session.heard().await, Heard::Left | Heard::Lost(_)) {}
        info!("the uplink has left");
        Ok(())
    }
}

fn status(uplink: &Uplink, session: EventId, version: MqttVersion, state: State) -> Status {
    Status {
        v: VERSION,
        from: uplink.config.gateway,
        state,
        session,
        spool_id: uplink.spool.id(),
        version: env!("CARGO_PKG_VERSION").into(),
        plan: uplink.config.plan,
        clock: uplink.clock.now().source,
        capabilities: uplink.config.settings.capabilities(),
        mqtt: Some(version),
    }
}
