//! What to do about messages that a broker will not have. Pure.
//!
//! A stream that was refused is *on probation*: it rests for a while, and then one of its batches at a time is in
//! flight, until one is accepted. What the reason speaks of decides how it goes on:
//!
//! - **the stream** (no permission, quota): it rests 2 s, twice as long each time, 10 min at most. Nothing is lost.
//! - **the message** (too large, format): after 5 tries the batch goes again as single events, and the event that is
//!   refused 5 times more is given up: a gap says so. Never gaps themselves: their stream rests.
//!
//! A broker that closes the connection instead of answering (all that MQTT 3.1.1 has) is understood by [`Drops`]: after
//! 3 connections in a row that it closed over the same batch, one batch at a time is in flight, and each further drop
//! counts as a refusal of that batch. Only where the connection was seen to work: the status was acknowledged on it.

use std::{collections::BTreeMap, fmt, ops::RangeInclusive, time::Duration};
use tokio::time::Instant;
use vitrine_protocol::{envelope::EVENTS_MAX, topic::Stream};

const REST: Duration = Duration::from_secs(2);
const REST_MAX: Duration = Duration::from_secs(600);
/// Between two tries of one message.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
const TRIES: u32 = 5;
const DROPS: u32 = 3;

/// Why a broker refused a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    Unspecified,
    Implementation,
    NotAuthorized,
    Topic,
    PacketId,
    Quota,
    TooLarge,
    PayloadFormat,
    /// It closed the connection.
    Dropped,
}

impl Reason {
    fn is_about_the_message(self) -> bool {
        matches!(self, Self::TooLarge | Self::PayloadFormat | Self::Dropped)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unspecified => "0x80 without a reason",
            Self::Implementation => "0x83 for a reason of its own",
            Self::NotAuthorized => {
                "0x87 not authorized: the broker's access list must let this gateway publish there"
            }
            Self::Topic => "0x90 topic name invalid",
            Self::PacketId => "0x91 packet identifier in use",
            Self::Quota => "0x97 quota exceeded: the broker has no room for more",
            Self::TooLarge => "0x95 packet too large",
            Self::PayloadFormat => "0x99 payload format invalid",
            Self::Dropped => "it closes the connection over it",
        })
    }
}

/// What is to become of a refused batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is sent again, when its stream may.
    Again,
    /// It is one event, and it is given up.
    GiveUp,
}

/// The streams on probation.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    streams: BTreeMap<Stream, Probation>,
}

#[derive(Debug)]
struct Probation {
    reason: Reason,
    rests_until: Instant,
    /// Rests so far.
    rests: u32,
    /// Tries of one message.
    tries: u32,
    /// Up to here, events go one by one.
    single_upto: u64,
}

impl Refusals {
    /// Whether a batch of `stream` may be sent, of which `in_flight` says whether another one is in flight.
    pub(super) fn may_send(&self, stream: Stream, now: Instant, in_flight: impl FnOnce() -> bool) -> bool {
        self.streams.get(&stream).is_none_or(|it| it.rests_until <= now && !in_flight())
    }

    /// Whether `stream` is on probation: what is sent of it may come back.
    pub(super) fn is_on_probation(&self, stream: Stream) -> bool {
        self.streams.contains_key(&stream)
    }

    /// The most events of a batch that starts with this number.
    pub(super) fn events_max(&self, stream: Stream, first_seq: u64) -> usize {
        let is_single = self.streams.get(&stream).is_some_and(|it| first_seq <= it.single_upto);
        if is_single { 1 } else { EVENTS_MAX }
    }

    /// When the next stream has rested.
    pub(super) fn rests_until(&self, now: Instant) -> Option<Instant> {
        self.streams.values().map(|it| it.rests_until).filter(|&until| until > now).min()
    }

    /// The streams on probation, and why.
    pub(super) fn reasons(&self) -> BTreeMap<Stream, String> {
        self.streams.iter().map(|(&stream, it)| (stream, it.reason.to_string())).collect()
    }

    /// A batch with these numbers was refused.
    pub(super) fn refused(
        &mut self,
        stream: Stream,
        seqs: &RangeInclusive<u64>,
        reason: Reason,
        now: Instant,
    ) -> Verdict {
        let it = self.streams.entry(stream).or_insert(Probation {
            reason,
            rests_until: now,
            rests: 0,
            tries: 0,
            single_upto: 0,
        });
        it.reason = reason;
        if reason.is_about_the_message() && it.tries < TRIES {
            it.tries += 1;
            it.rests_until = now + AGAIN_AFTER;
            if it.tries < TRIES {
                return Verdict::Again;
            }
            let is_single = seqs.start() == seqs.end();
            if !is_single {
                (it.tries, it.single_upto) = (0, *seqs.end());
                return Verdict::Again;
            }
            if stream != Stream::Gaps {
                return Verdict::GiveUp;
            }
        }
        let rest = REST.saturating_mul(2_u32.saturating_pow(it.rests)).min(REST_MAX);
        it.rests = it.rests.saturating_add(1);
        it.rests_until = now + rest;
        Verdict::Again
    }

    /// Everything up to this number was accepted, or given up. Returns whether that ends the stream's probation.
    pub(super) fn passed(&mut self, stream: Stream, last_seq: u64) -> bool {
        let Some(it) = self.streams.get_mut(&stream) else { return false };
        (it.tries, it.rests) = (0, 0);
        let is_over = it.single_upto <= last_seq;
        if is_over {
            self.streams.remove(&stream);
        }
        is_over
    }
}

/// Connections that a broker closed over a batch.
#[derive(Debug, Default)]
pub(super) struct Drops {
    /// The oldest batch that was in flight, by its first number.
    over: Option<(Stream, u64)>,
    in_a_row: u32,
    is_careful: bool,
}

impl Drops {
    /// Whether one batch at a time is to be in flight.
    pub(super) fn is_careful(&self) -> bool {
        self.is_careful
    }

    /// A connection is over, which the broker closed over a batch, or not. Returns whether that counts as a refusal of
    /// the batch in flight.
    pub(super) fn ended(&mut self, over: Option<(Stream, u64)>) -> bool {
        if over.is_none() {
            *self = Self::default();
            return false;
        }
        let counts = self.is_careful;
        self.in_a_row = if self.over == over { self.in_a_row + 1 } else { 1 };
        self.over = over;
        self.is_careful |= self.in_a_row >= DROPS;
        counts
    }

    /// The broker has `stream` up to this number, and it is not on probation.
    pub(super) fn passed(&mut self, stream: Stream, last_seq: u64) {
        if self.over.is_some_and(|(over, first_seq)| over == stream && first_seq <= last_seq) {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: Stream = Stream::Stock;

    #[test]
    fn a_stream_without_permission_rests_ever_longer_and_is_never_given_up() {
        let (mut refusals, mut now) = (Refusals::default(), Instant::now());
        let mut rests = Vec::new();
        for _ in 0..11 {
            assert_eq!(refusals.refused(STREAM, &(1..=1), Reason::NotAuthorized, now), Verdict::Again);
            let until = refusals.rests_until(now).unwrap();
            assert!(!refusals.may_send(STREAM, until - Duration::from_millis(1), || false));
            assert!(refusals.may_send(Stream::Till, now, || true), "another stream goes on");
            rests.push((until - now).as_secs());
            now = until;
        }
        assert_eq!(rests, [2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]);
        assert!(refusals.may_send(STREAM, now, || false) && !refusals.may_send(STREAM, now, || true));
        assert!(refusals.passed(STREAM, 1));
        assert!(refusals.may_send(STREAM, now, || true));
    }

    /// Sends 1 to 20 in batches of 8 to a broker that will not have number 6; returns what is given up.
    fn drain(reason: Reason, stream: Stream) -> (Vec<u64>, u32) {
        let (mut refusals, mut now, mut given_up, mut refused) =
            (Refusals::default(), Instant::now(), Vec::new(), 0);
        let mut next = 1;
        while next <= 20 && refused < 50 {
            now = refusals.rests_until(now).unwrap_or(now);
            let last = (next + refusals.events_max(stream, next).min(8) as u64 - 1).min(20);
            if (next..=last).contains(&6) {
                refused += 1;
                if refusals.refused(stream, &(next..=last), reason, now) == Verdict::Again {
                    continue;
                }
                given_up.extend(next..=last);
            }
            refusals.passed(stream, last);
            next = last + 1;
        }
        (given_up, refused)
    }

    #[test]
    fn a_message_is_cut_down_to_the_event_that_is_refused() {
        assert_eq!(drain(Reason::PayloadFormat, STREAM), (vec![6], 10));
        assert_eq!(drain(Reason::Dropped, STREAM), (vec![6], 10));
        assert_eq!(drain(Reason::Quota, STREAM), (vec![], 50));
        assert_eq!(drain(Reason::TooLarge, Stream::Gaps), (vec![], 50), "gaps are never given up");
    }

    #[test]
    fn a_closed_connection_is_a_refusal_only_when_it_is_closed_again_and_again() {
        let (mut drops, one, other) = (Drops::default(), Some((STREAM, 1)), Some((STREAM, 9)));
        assert!(!drops.ended(one) && !drops.ended(one) && !drops.ended(other) && !drops.ended(other));
        assert!(!drops.ended(None) && !drops.ended(other) && !drops.ended(other) && !drops.is_careful());
        assert!(!drops.ended(other) && drops.is_careful());
        assert!(drops.ended(other) && drops.ended(other));
        drops.passed(Stream::Till, 100);
        drops.passed(STREAM, 8);
        assert!(drops.is_careful());
        drops.passed(STREAM, 9);
        assert!(!drops.is_careful() && !drops.ended(other));
    }
}
