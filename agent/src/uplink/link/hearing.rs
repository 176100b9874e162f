//! What an answer of the broker, or a mark of the platform, changes.

use super::{InFlight, Link, Sent};
use crate::{
    spool::Lane,
    uplink::{
        MARKS_PATIENCE,
        lanes::{Feed, GivenUp, Lanes},
        refusal::{Reason, Verdict},
        session::{Answer, Heard, Lost},
        settings::Delivery,
    },
};
use tokio::time::Instant;
use tracing::{debug, warn};
use vitrine_protocol::{envelope::Ack, topic::Stream};

impl Link<'_> {
    pub(super) fn heard(&mut self, heard: Heard) -> Result<(), Lost> {
        match heard {
            Heard::Answered { number, answer } => {
                self.last_sign = Instant::now();
                match (self.window.acknowledge(number), answer) {
                    (None, _) | (Some(Sent::Metrics), Answer::Taken | Answer::NobodySubscribes) => Ok(()),
                    (Some(Sent::Status), Answer::Taken | Answer::NobodySubscribes) => {
                        self.is_proven = true;
                        Ok(())
                    }
                    (Some(Sent::Status), Answer::Refused(reason)) => Err(Lost::Refused(reason)),
                    (Some(Sent::Metrics), Answer::Refused(reason)) => {
                        warn!("the broker refuses metrics: {reason}");
                        self.metrics_due = None;
                        Ok(())
                    }
                    (Some(Sent::Batch(batch)), Answer::Refused(reason)) => self.refused(batch, reason),
                    (Some(Sent::Batch(batch)), answer) => {
                        self.acknowledged(&batch, answer == Answer::NobodySubscribes);
                        Ok(())
                    }
                }
            }
            Heard::Subscribed { is_granted: true } => {
                self.is_open = true;
                Ok(())
            }
            Heard::Subscribed { is_granted: false } => Err(Lost::NoMarks),
            Heard::Message { topic, payload } => {
                self.marked(&topic, &payload);
                Ok(())
            }
            Heard::Lost(lost) => Err(lost),
            Heard::Connected(_) | Heard::Left => Err(Lost::Unknown),
        }
    }

    fn acknowledged(&mut self, batch: &InFlight, nobody_subscribes: bool) {
        let InFlight { lane, stream, ref positions, live_since, .. } = *batch;
        if nobody_subscribes && !self.warned_no_subscribers {
            self.warned_no_subscribers = true;
            warn!(%stream, "the broker takes events, but nobody subscribes to them");
        }
        self.pass_probation(stream, batch.last_seq());
        let feed = self.feed_of(batch);
        let reader = self.uplink.lanes.get_mut(feed);
        let events = reader.acknowledged(positions);
        if self.uplink.config.settings.delivery == Delivery::EndToEnd {
            reader.await_mark(positions, stream, batch.last_seq());
            reader.confirm(stream, self.uplink.marks.upto(stream));
            if !self.uplink.lanes.get(feed).awaits_mark_of(stream) {
                self.awaits_marks_since.remove(&stream);
            } else {
                self.awaits_marks_since.entry(stream).or_insert_with(Instant::now);
            }
        }
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
    }

    fn feed_of(&self, batch: &InFlight) -> Feed {
        self.uplink.lanes.feed_of(batch.lane, batch.positions.first().copied().unwrap_or(0))
    }

    fn pass_probation(&mut self, stream: Stream, last_seq: u64) {
        let refusals = &mut self.uplink.refusals;
        if refusals.passed(stream, last_seq) {
            let reasons = refusals.reasons();
            self.uplink.stats.update(|stats| stats.refused_streams = reasons);
            tracing::info!(%stream, "the broker takes this stream again");
        }
        if !self.uplink.refusals.is_on_probation(stream) {
            self.uplink.drops.passed(stream, last_seq);
        }
    }

    /// The broker will not have a batch.
    fn refused(&mut self, mut batch: InFlight, reason: Reason) -> Result<(), Lost> {
        if self.judge(&batch, reason) == Verdict::GiveUp {
            self.give_up_batch(&batch, reason);
            return Ok(());
        }
        match batch.kept.take() {
            // On probation, nothing of the stream was sent after it.
            Some(kept) if !self.is_in_flight(batch.stream) => {
                let feed = self.feed_of(&batch);
                self.uplink.lanes.get_mut(feed).put_back(kept);
                Ok(())
            }
            _ => Err(Lost::Refused(reason)),
        }
    }

    fn judge(&mut self, batch: &InFlight, reason: Reason) -> Verdict {
        let seqs = batch.first_seq..=batch.last_seq();
        let now = Instant::now();
        let verdict = self.uplink.refusals.refused(batch.stream, &seqs, reason, now);
        let reasons = self.uplink.refusals.reasons();
        self.uplink.stats.update(|stats| stats.refused_streams = reasons);
        let rests_ms = self.uplink.refusals.rests_until(now).map_or(0, |until| (until - now).as_millis());
        warn!(stream = %batch.stream, first_seq = batch.first_seq, rests_ms, "the broker refuses a batch: {reason}");
        verdict
    }

    fn give_up_batch(&mut self, batch: &InFlight, reason: Reason) {
        let feed = self.feed_of(batch);
        for (&pos, seq) in batch.positions.iter().zip(batch.first_seq..) {
            self.give_up(feed, GivenUp { pos, stream: batch.stream, seq }, &reason);
        }
        self.pass_probation(batch.stream, batch.last_seq());
        self.settle(batch.lane);
    }

    /// The connection is over: was it a batch that the broker would not have?
    pub(super) fn account_for(&mut self, lost: &Lost) {
        let oldest = self.window.in_flight().find_map(|sent| match sent {
            Sent::Batch(batch) => Some((batch.stream, batch.first_seq)),
            Sent::Status | Sent::Metrics => None,
        });
        if !self.uplink.drops.ended(oldest.filter(|_| lost.is_brokers_doing() && self.is_proven)) {
            return;
        }
        let reason = match lost {
            Lost::Disconnected(reason) => *reason,
            _ => Reason::Dropped,
        };
        let Some(Sent::Batch(batch)) = self.window.pop_oldest() else { return };
        if self.judge(&batch, reason) == Verdict::GiveUp {
            self.give_up_batch(&batch, reason);
        }
    }

    /// A message came on one of the topics of the platform's marks.
    fn marked(&mut self, topic: &str, payload: &[u8]) {
        let name = topic.rsplit('/').next().unwrap_or_default();
        let stream = Stream::ALL.iter().copied().find(|stream| stream.name() == name);
        let read = stream.zip(serde_json::from_slice::<Ack>(payload).ok());
        let taken = match read {
            Some((stream, ack)) => {
                let (sent_upto, is_all) = self.sent_upto(stream);
                let taken = self.uplink.marks.take(stream, ack, sent_upto, is_all);
                taken.map(|()| stream).map_err(|why| why.to_string())
            }
            None => Err("it is none".to_owned()),
        };
        match taken {
            Ok(stream) => self.look_at_marks(stream),
            Err(why) => {
                self.uplink.stats.update(|stats| stats.ignored_marks += 1);
                if !std::mem::replace(&mut self.warned_marks, true) {
                    warn!(topic, "a mark of the platform is ignored: {why}");
                } else {
                    debug!(topic, "a mark of the platform is ignored: {why}");
                }
            }
        }
    }

    fn sent_upto(&self, stream: Stream) -> (u64, bool) {
        let main = Feed { lane: Lane::of(stream), is_live: false };
        let is_all = self.uplink.lanes.get(main).caught_up_once();
        (self.uplink.sent_upto.get(&stream).copied().unwrap_or(0), is_all)
    }

    /// Something was sent, or the platform has spoken: does that free anything?
    pub(super) fn look_at_marks(&mut self, stream: Stream) {
        let (sent_upto, is_all) = self.sent_upto(stream);
        let Some(upto) = self.uplink.marks.moved(stream, sent_upto, is_all) else { return };
        let lane = Lane::of(stream);
        let reader = self.uplink.lanes.get_mut(Feed { lane, is_live: false });
        reader.confirm(stream, upto);
        if reader.awaits_mark_of(stream) {
            self.awaits_marks_since.insert(stream, Instant::now());
        } else {
            self.awaits_marks_since.remove(&stream);
        }
        // One stream that stands still for good is no reason to come back every minute.
        if self.uplink.marks_overdue.is_none_or(|overdue| overdue == stream) {
            self.uplink.marks_overdue = None;
            self.uplink.marks_patience = MARKS_PATIENCE;
        }
        self.settle(lane);
    }

    /// Moves the lane's cursor as far as it goes.
    pub(super) fn settle(&mut self, lane: Lane) {
        let window = &self.window;
        let first_in_flight = |lanes: &Lanes, feed: Feed| {
            let firsts = window.in_flight().filter_map(|sent| match sent {
                Sent::Batch(batch) if batch.lane == lane => batch.positions.first().copied(),
                _ => None,
            });
            firsts.filter(|&pos| lanes.feed_of(lane, pos) == feed).min()
        };
        let moved = self.uplink.lanes.settle(lane, first_in_flight);
        self.state_given_up();
        if let Some(cursor) = moved {
            self.uplink.spool.acknowledge(lane, cursor);
            self.uplink.progressed = true;
        }
    }
}
