//! Which batch goes next, and how.

use super::{InFlight, Link, Sent, status};
use crate::{
    spool::Lane,
    uplink::{
        batch::{self, Batch},
        lanes::{Feed, GivenUp},
        reader::Source,
        session::Lost,
    },
};
use std::time::Duration;
use tokio::{task::spawn_blocking, time::Instant};
use tracing::error;
use vitrine_protocol::{envelope::State, time::Timestamp, topic::Stream};

/// A good deal of what zstd can do with JSON, at a small part of a core.
const ZSTD_LEVEL: i32 = 3;

/// What a message has besides its payload, about: MQTT's header and the topic.
const HEADER_BYTES: usize = 80;

impl Link<'_> {
    /// Sends what the window and the bandwidth have room for, the most urgent first.
    pub(super) async fn send(&mut self) -> Result<(), Lost> {
        let now = self.uplink.clock.now().utc;
        self.uplink.lanes.readers_mut().for_each(|lane| lane.release(now));
        self.throttled_until = None;
        while self.is_open && self.has_room(0) {
            let mut next = None;
            for feed in self.uplink.lanes.order(self.uplink.turn, self.uplink.config.settings.metered) {
                if let Some(bytes_max) = self.next_batch(feed, now).await
                    && !self.is_throttled(feed)
                {
                    next = Some((feed, bytes_max));
                    break;
                }
            }
            let Some((feed, bytes_max)) = next else { break };
            if !self.has_room(bytes_max) {
                break;
            }
            if let Some((batch, source)) = self.pop(feed) {
                self.uplink.turn.sent(feed.lane);
                self.publish(feed, batch, source)?;
            }
        }
        Ok(())
    }

    fn has_room(&self, bytes: usize) -> bool {
        self.window.has_room(bytes) && !(self.uplink.drops.is_careful() && self.window.len() > 0)
    }

    /// Whether `feed` has to wait because too much was sent of late. What is live and what is critical has some credit.
    fn is_throttled(&mut self, feed: Feed) -> bool {
        let Some(bucket) = &mut self.uplink.bucket else { return false };
        let now = Instant::now();
        let wait = bucket.wait(feed.is_live || feed.lane == Lane::Critical, now);
        if wait == Duration::ZERO {
            return false;
        }
        // Not too early, and not for ever.
        let until = now + wait + Duration::from_millis(1);
        self.throttled_until = Some(self.throttled_until.map_or(until, |other| other.min(until)));
        true
    }

    /// Whether a batch may be sent now, as far as its stream is concerned.
    fn may_send(&self, batch: &Batch, now: Instant) -> bool {
        self.uplink.refusals.may_send(batch.stream, now, || self.is_in_flight(batch.stream))
    }

    pub(super) fn is_in_flight(&self, stream: Stream) -> bool {
        self.window.in_flight().any(|sent| matches!(sent, Sent::Batch(batch) if batch.stream == stream))
    }

    fn pop(&mut self, feed: Feed) -> Option<(Batch, Source)> {
        let now = Instant::now();
        let is_ready: Vec<Stream> = feed
            .lane
            .streams()
            .filter(|&s| self.uplink.refusals.may_send(s, now, || self.is_in_flight(s)))
            .collect();
        let refusals = &self.uplink.refusals;
        let events_max = |batch: &Batch| refusals.events_max(batch.stream, batch.first_seq);
        self.uplink.lanes.get_mut(feed).pop(|batch| is_ready.contains(&batch.stream), events_max)
    }

    /// Reads on in `feed` until a batch waits, and returns how large its message may become; `None` if there is none to
    /// be sent now.
    async fn next_batch(&mut self, feed: Feed, utc: Timestamp) -> Option<usize> {
        loop {
            let now = Instant::now();
            let reader = self.uplink.lanes.get(feed);
            if let Some(batch) = reader.front(|batch| self.may_send(batch, now)) {
                return Some(batch.packet_bytes_max());
            }
            if self.uplink.lanes.is_paused(feed) {
                return None;
            }
            let is_idle = self.window.len() == 0;
            let from = reader.read_from(|batch| self.may_send(batch, now), now, is_idle)?;
            let chunk = match feed.is_live {
                true => self.uplink.spool.read_live(feed.lane, from, utc).await,
                false => self.uplink.spool.read(feed.lane, from, utc).await,
            };
            let reader = self.uplink.lanes.get_mut(feed);
            let refused = reader.read(chunk, self.limits);
            for stream in feed.lane.streams() {
                reader.confirm(stream, self.uplink.marks.upto(stream));
            }
            for batch::Refused { pos, stream, seq, why } in refused {
                self.give_up(feed, GivenUp { pos, stream, seq }, &why);
            }
            self.settle(feed.lane);
        }
    }

    /// An event cannot be sent: a gap takes its place.
    pub(super) fn give_up(&mut self, feed: Feed, event: GivenUp, why: &dyn std::fmt::Display) {
        let GivenUp { stream, seq, .. } = event;
        error!(%stream, seq, "an event is given up, and a gap says so: {why}");
        self.uplink.stats.update(|stats| stats.refused_events += 1);
        self.uplink.lanes.give_up(feed, event);
        self.state_given_up();
    }

    /// Has gaps say what is given up, before the cursor passes it.
    pub(super) fn state_given_up(&mut self) {
        for GivenUp { stream, seq, .. } in self.uplink.lanes.take_given_up() {
            self.uplink.spool.refuse(stream, seq);
        }
    }

    fn publish(&mut self, feed: Feed, batch: Batch, source: Source) -> Result<(), Lost> {
        let (stream, first_seq, last_seq) = (batch.stream, batch.first_seq, batch.last_seq());
        let sent_upto = self.uplink.sent_upto.entry(stream).or_default();
        let is_backlog = !feed.is_live && self.uplink.lanes.has_backlog(feed.lane);
        let known = if is_backlog { 0 } else { *sent_upto };
        let resent = known.min(last_seq).saturating_sub(first_seq.saturating_sub(1));
        *sent_upto = last_seq.max(*sent_upto);
        let replayed = resent > 0 || is_backlog || source.may_be_older_than_the_agent;
        let gateway = self.uplink.config.gateway;
        let payload = batch.encode(gateway, self.uplink.spool.id(), self.uplink.clock.now().utc, replayed)?;
        let (topic, payload) = if self.uplink.config.settings.compress {
            let payload = zstd::bulk::compress(&payload, ZSTD_LEVEL).map_err(Lost::Compress)?;
            (gateway.compressed_events(stream).to_string(), payload)
        } else {
            (gateway.events(stream).to_string(), payload)
        };
        let kept = self.uplink.refusals.is_on_probation(stream);
        let in_flight = InFlight {
            lane: feed.lane,
            stream,
            positions: batch.positions.clone(),
            first_seq,
            live_since: source.live_since,
            kept: kept.then_some(batch),
        };
        self.hand_over(topic, false, payload, Sent::Batch(in_flight))?;
        self.uplink.stats.update(|stats| stats.resent_events += resent);
        self.look_at_marks(stream);
        Ok(())
    }

    pub(super) fn publish_status(&mut self, state: State) -> Result<(), Lost> {
        let payload = serde_json::to_vec(&status(self.uplink, self.id, self.version, state))?;
        let topic = self.uplink.config.gateway.status().to_string();
        self.hand_over(topic, true, payload, Sent::Status)
    }

    pub(super) async fn publish_metrics(&mut self) -> Result<(), Lost> {
        let Some(source) = self.uplink.metrics.clone() else { return Ok(()) };
        // It looks at files.
        let Ok(metrics) = spawn_blocking(move || source()).await else { return Ok(()) };
        if self.window.len() + 1 >= crate::uplink::window::MESSAGES_MAX || !self.has_room(0) {
            return Ok(());
        }
        let payload = serde_json::to_vec(&metrics)?;
        let topic = self.uplink.config.gateway.metrics().to_string();
        self.hand_over(topic, false, payload, Sent::Metrics)
    }

    fn hand_over(&mut self, topic: String, retain: bool, payload: Vec<u8>, sent: Sent) -> Result<(), Lost> {
        let now = Instant::now();
        if self.window.len() == 0 {
            self.last_sign = now;
        }
        self.window.push(payload.len(), sent);
        if let Some(bucket) = &mut self.uplink.bucket {
            bucket.take(payload.len() + HEADER_BYTES, now);
        }
        if !self.session.publish(topic, retain, payload) {
            loop {
                let heard = self.session.heard_already();
                self.heard(heard)?;
            }
        }
        Ok(())
    }
}
