//! One connection's life: connect, send from the cursor on, listen, leave.

use super::{
    Config, Uplink,
    batch::{self, Batch, Limits},
    changed,
    reader::{Reader, Source},
    session::{Heard, Lost, Session, Terms},
    window::Window,
};
use crate::spool::Lane;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use tracing::{error, info, warn};
use vitrine_protocol::{
    envelope::{State, Status, VERSION},
    event::EventId,
    time::Timestamp,
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
    limits: Limits,
    window: Window<Sent>,
    /// When the broker last acknowledged something, or something was sent with nothing in flight.
    last_sign: Instant,
    warned_no_subscribers: bool,
}

enum Sent {
    Status,
    Batch { lane: usize, stream: Stream, positions: Vec<u64>, live_since: Option<Instant> },
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
        let mut id = EventId([0; 16]);
        getrandom::fill(&mut id.0)?;
        let will = serde_json::to_vec(&status(uplink, id, State::Lost))?;
        let mut session = Session::open(&uplink.config, will);
        let Terms { receive_maximum, packet_bytes_max } = match session.heard().await {
            Heard::Connected(terms) => terms,
            Heard::Lost(lost) => return Err(lost),
            Heard::Acknowledged { .. } | Heard::Left => return Err(Lost::Ended),
        };
        for (reader, lane) in uplink.lanes.iter_mut().zip(Lane::ALL) {
            reader.rewind(uplink.spool.cursor(lane));
        }
        uplink.stats.update(|stats| {
            stats.connected = true;
            stats.connections += 1;
        });
        let Config { host, port, .. } = &uplink.config;
        info!(host, port, session = %id, "the uplink is up");
        let mut link = Self {
            uplink,
            session,
            id,
            limits: Limits::new(packet_bytes_max),
            window: Window::new(receive_maximum),
            last_sign: Instant::now(),
            warned_no_subscribers: false,
        };
        link.publish_status(State::Online)?;
        Ok(link)
    }

    /// Publishes until it has left in good order, or the connection is over.
    pub(super) async fn run(mut self) -> Result<(), Lost> {
        loop {
            self.send().await?;
            let in_flight = self.window.len();
            self.uplink.stats.update(|stats| stats.in_flight_messages = in_flight);
            let leave_by = *self.uplink.leaving.borrow();
            let drained = in_flight == 0 && self.uplink.lanes.iter().all(Reader::is_drained);
            if leave_by.is_some_and(|leave_by| drained || leave_by <= Instant::now()) {
                return self.leave().await;
            }
            match self.wake().await {
                Wake::Heard(heard) => self.heard(heard)?,
                Wake::Changed | Wake::Leaving => {
                    let now = Instant::now();
                    self.uplink.lanes.iter_mut().for_each(|lane| lane.changed(now));
                }
                Wake::Timer if in_flight > 0 && self.last_sign.elapsed() >= SILENCE_MAX => {
                    return Err(Lost::Silent(SILENCE_MAX.as_secs()));
                }
                Wake::Timer => {}
            }
        }
    }

    /// Sends what the window has room for, the most urgent first.
    async fn send(&mut self) -> Result<(), Lost> {
        let now = self.uplink.clock.now().utc;
        self.uplink.lanes.iter_mut().for_each(|lane| lane.release(now));
        while self.window.has_room(0) {
            let mut next = None;
            for lane in self.uplink.turn.order() {
                if let Some(bytes_max) = self.next_batch(lane, now).await {
                    next = Some((lane, bytes_max));
                    break;
                }
            }
            match next {
                Some((lane, bytes_max)) if self.window.has_room(bytes_max) => {
                    if let Some((batch, source)) = self.uplink.lanes[lane as usize].pop() {
                        self.uplink.turn.sent(lane);
                        self.publish(lane as usize, batch, source)?;
                    }
                }
                Some(_) | None => break,
            }
        }
        Ok(())
    }

    /// Reads on in `lane` until a batch waits, and returns how large its message may become; `None` at the lane's end.
    async fn next_batch(&mut self, lane: Lane, now: Timestamp) -> Option<usize> {
        let index = lane as usize;
        loop {
            if let Some(from) = self.uplink.lanes[index].read_from() {
                let chunk = self.uplink.spool.read(lane, from, now).await;
                for refused in self.uplink.lanes[index].read(chunk, self.limits) {
                    let batch::Refused { stream, seq, why, .. } = refused;
                    error!(%stream, seq, "an event cannot be sent and is passed over: {why}");
                    self.uplink.stats.update(|stats| stats.refused_events += 1);
                }
                self.settle(index);
            }
            let reader = &self.uplink.lanes[index];
            match reader.front() {
                Some(batch) => return Some(batch.packet_bytes_max()),
                None if reader.is_drained() => return None,
                None => {}
            }
        }
    }

    fn publish(&mut self, lane: usize, batch: Batch, source: Source) -> Result<(), Lost> {
        let sent_upto = self.uplink.sent_upto.entry(batch.stream).or_default();
        let resent = (*sent_upto).min(batch.last_seq()).saturating_sub(batch.first_seq.saturating_sub(1));
        *sent_upto = batch.last_seq().max(*sent_upto);
        let replayed = resent > 0 || source.may_be_older_than_the_agent;
        let gateway = self.uplink.config.gateway;
        let payload = batch.encode(gateway, self.uplink.spool.id(), self.uplink.clock.now().utc, replayed)?;
        let topic = gateway.events(batch.stream).to_string();
        let Batch { stream, positions, .. } = batch;
        let sent = Sent::Batch { lane, stream, positions, live_since: source.live_since };
        self.hand_over(topic, false, payload, sent)?;
        self.uplink.stats.update(|stats| stats.resent_events += resent);
        Ok(())
    }

    fn publish_status(&mut self, state: State) -> Result<(), Lost> {
        let payload = serde_json::to_vec(&status(self.uplink, self.id, state))?;
        let topic = self.uplink.config.gateway.status().to_string();
        self.hand_over(topic, true, payload, Sent::Status)
    }

    fn hand_over(&mut self, topic: String, retain: bool, payload: Vec<u8>, sent: Sent) -> Result<(), Lost> {
        if self.window.len() == 0 {
            self.last_sign = Instant::now();
        }
        self.window.push(payload.len(), sent);
        if !self.session.publish(topic, retain, payload) {
            loop {
                let heard = self.session.heard_already();
                self.heard(heard)?;
            }
        }
        Ok(())
    }

    fn heard(&mut self, heard: Heard) -> Result<(), Lost> {
        let (number, nobody_subscribes) = match heard {
            Heard::Acknowledged { number, nobody_subscribes } => (number, nobody_subscribes),
            Heard::Lost(lost) => return Err(lost),
            Heard::Connected(_) | Heard::Left => return Err(Lost::Ended),
        };
        self.last_sign = Instant::now();
        let Some(Sent::Batch { lane, stream, positions, live_since }) = self.window.acknowledge(number)
        else {
            return Ok(());
        };
        if nobody_subscribes && !self.warned_no_subscribers {
            self.warned_no_subscribers = true;
            warn!(%stream, "the broker takes events, but nobody subscribes to them");
        }
        let events = self.uplink.lanes[lane].acknowledged(&positions);
        let latency_ms = live_since.map_or(0, |since| since.elapsed().as_millis());
        self.uplink.stats.update(|stats| {
            let published = stats.published.entry(stream).or_default();
            published.batches += 1;
            published.events += events;
            stats.no_subscribers_batches += u64::from(nobody_subscribes);
            stats.live_latency_max_ms =
                stats.live_latency_max_ms.max(u64::try_from(latency_ms).unwrap_or(u64::MAX));
        });
        self.settle(lane);
        Ok(())
    }

    /// Moves the cursor of the lane at `index` as far as it goes.
    fn settle(&mut self, index: usize) {
        let first_in_flight = self.window.in_flight().filter_map(|sent| match sent {
            Sent::Batch { lane, positions, .. } if *lane == index => positions.first().copied(),
            Sent::Batch { .. } | Sent::Status => None,
        });
        if let Some(cursor) = self.uplink.lanes[index].settle(first_in_flight.min()) {
            self.uplink.spool.acknowledge(Lane::ALL[index], cursor);
            self.uplink.progressed = true;
        }
    }

    /// Waits until there is something to do.
    async fn wake(&mut self) -> Wake {
        let Uplink { clock, lanes, changes, leaving, .. } = &mut *self.uplink;
        let look_again = lanes.iter().filter_map(Reader::held_until).min().map(|until| {
            let wait_ms = u64::try_from(until.as_ms() - clock.now().utc.as_ms()).unwrap_or(0);
            Instant::now() + clock.nap(wait_ms).min(NAP_MAX)
        });
        let silent = (self.window.len() > 0).then(|| self.last_sign + SILENCE_MAX);
        let leave_by = *leaving.borrow();
        let timer = [look_again, silent, leave_by].into_iter().flatten().min();
        tokio::select! {
            heard = self.session.heard() => Wake::Heard(heard),
            () = changed(changes) => Wake::Changed,
            () = changed(leaving) => Wake::Leaving,
            () = sleep_until(timer.unwrap_or_else(Instant::now)), if timer.is_some() => Wake::Timer,
        }
    }

    /// Leaves in good order. The grace bounds it from outside.
    async fn leave(mut self) -> Result<(), Lost> {
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

fn status(uplink: &Uplink, session: EventId, state: State) -> Status {
    Status {
        v: VERSION,
        from: uplink.config.gateway,
        state,
        session,
        spool_id: uplink.spool.id(),
        version: env!("CARGO_PKG_VERSION").into(),
        plan: uplink.config.plan,
        clock: uplink.clock.now().source,
    }
}
