//! Cutting what was read from the spool into batches, one MQTT message each.
//!
//! A batch holds events of one stream, of contiguous sequence numbers and one [`Context`]; it is closed when it is
//! full. Batches stand in the order of their first positions, so those of one stream are in order. An event too
//! large for any message is refused: kept back it would stop its lane for ever.

use crate::spool::{Context, Record};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use vitrine_protocol::{
    envelope::{EVENTS_MAX, Envelope, VERSION},
    event::{self, EventId},
    time::Timestamp,
    topic::{Gateway, Stream},
};

/// Upper bound of what an MQTT message has around its events: MQTT's header, the topic, the envelope, the commas.
pub(super) const OVERHEAD_BYTES: usize = 1024;

/// The smallest maximum packet size of a broker with which events can be sent.
pub(super) const PACKET_BYTES_MIN: u32 = 8 << 10;

/// How large batches may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// Bytes of events in a batch of more than one.
    batch_bytes: usize,
    /// Bytes of one event.
    event_bytes: usize,
}

impl Limits {
    /// The limits towards a broker that takes packets of up to `packet_bytes_max`, if it says so.
    pub(super) fn new(packet_bytes_max: Option<u32>) -> Self {
        let most = packet_bytes_max.map_or(usize::MAX, |bytes| bytes as usize).saturating_sub(OVERHEAD_BYTES);
        Self { batch_bytes: most.min(32 << 10), event_bytes: most.min(128 << 10) }
    }
}

/// Events that are sent as one message.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) stream: Stream,
    pub(super) first_seq: u64,
    context: Context,
    /// The events' positions in the lane, rising.
    pub(super) positions: Vec<u64>,
    events: Vec<Box<RawValue>>,
    /// Bytes of the events.
    bytes: usize,
}

/// An event that is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) pos: u64,
    pub(super) stream: Stream,
    pub(super) seq: u64,
    pub(super) why: Refusal,
}

/// Why an event is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("it has {bytes} bytes, and a message holds at most {limit_bytes}")]
    TooLarge { bytes: usize, limit_bytes: usize },
    #[error("it is not JSON")]
    NotJson,
}

/// Cuts `records` into batches, and says which cannot be sent.
pub(super) fn cut(records: Vec<Record>, limits: Limits) -> (Vec<Batch>, Vec<Refused>) {
    let mut batches: Vec<Batch> = Vec::new();
    let mut refused = Vec::new();
    let mut newest = BTreeMap::new();
    for Record { pos, stream, seq, context, json } in records {
        let event = match check(json, limits) {
            Ok(event) => event,
            Err(why) => {
                refused.push(Refused { pos, stream, seq, why });
                continue;
            }
        };
        let bytes = event.get().len();
        let open = newest.get(&stream).and_then(|&index: &usize| batches.get_mut(index));
        match open.filter(|batch| batch.takes(seq, context, bytes, limits)) {
            Some(batch) => {
                batch.positions.push(pos);
                batch.events.push(event);
                batch.bytes += bytes;
            }
            None => {
                newest.insert(stream, batches.len());
                let (positions, events) = (vec![pos], vec![event]);
                batches.push(Batch { stream, first_seq: seq, context, positions, events, bytes });
            }
        }
    }
    (batches, refused)
}

fn check(json: Box<str>, limits: Limits) -> Result<Box<RawValue>, Refusal> {
    if json.len() > limits.event_bytes {
        return Err(Refusal::TooLarge { bytes: json.len(), limit_bytes: limits.event_bytes });
    }
    RawValue::from_string(json.into_string()).map_err(|_| Refusal::NotJson)
}

impl Batch {
    fn takes(&self, seq: u64, context: Context, bytes: usize, limits: Limits) -> bool {
        seq == self.first_seq + self.events.len() as u64
            && context == self.context
            && self.events.len() < EVENTS_MAX
            && self.bytes + bytes <= limits.batch_bytes
    }

    /// Takes the first `count` events off, if there are more.
    pub(super) fn split(&mut self, count: usize) -> Option<Self> {
        if count >= self.events.len() {
            return None;
        }
        let (rest_positions, rest_events) = (self.positions.split_off(count), self.events.split_off(count));
        let (positions, events) = (
            std::mem::replace(&mut self.positions, rest_positions),
            std::mem::replace(&mut self.events, rest_events),
        );
        let bytes = events.iter().map(|event| event.get().len()).sum();
        let (stream, first_seq, context) = (self.stream, self.first_seq, self.context);
        self.bytes -= bytes;
        self.first_seq += count as u64;
        Some(Self { stream, first_seq, context, positions, events, bytes })
    }

    /// The position of the first event.
    pub(super) fn first_pos(&self) -> u64 {
        self.positions.first().copied().unwrap_or(u64::MAX)
    }

    /// The sequence number of the last event.
    pub(super) fn last_seq(&self) -> u64 {
        self.first_seq + self.events.len() as u64 - 1
    }

    /// Upper bound of the message's size.
    pub(super) fn packet_bytes_max(&self) -> usize {
        self.bytes + OVERHEAD_BYTES
    }

    /// The message's payload.
    ///
    /// # Errors
    /// None that is known: an envelope is made of text and numbers.
    pub(super) fn encode(
        &self,
        from: Gateway,
        spool_id: EventId,
        sent_at: Timestamp,
        replayed: bool,
    ) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(&Envelope::<&RawValue> {
            v: VERSION,
            event_v: event::VERSION,
            from,
            stream: self.stream,
            spool_id,
            first_seq: self.first_seq,
            count: u32::try_from(self.events.len()).unwrap_or(u32::MAX),
            sent_at,
            replayed,
            plan: self.context.plan,
            business_date: self.context.business_date,
            events: self.events.iter().map(|event| &**event).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use vitrine_protocol::Id;

    fn context(plan: u8) -> Context {
        Context { plan: Id::new(&plan.to_string()).unwrap(), business_date: jiff::civil::date(2026, 3, 4) }
    }

    fn record(pos: u64, stream: Stream, seq: u64, bytes: usize) -> Record {
        let json = format!("\"{}\"", "x".repeat(bytes - 2)).into();
        Record { pos, stream, seq, context: context(7), json }
    }

    fn seqs(batches: &[Batch]) -> Vec<(Stream, u64, u64)> {
        batches.iter().map(|batch| (batch.stream, batch.first_seq, batch.last_seq())).collect()
    }

    #[test]
    fn cuts_at_holes_at_other_contexts_and_at_128_events() {
        let mut records: Vec<_> = (1..=300).map(|n| record(n, Stream::Stock, n, 10)).collect();
        records.remove(4);
        records[200].context = context(8);
        let (batches, refused) = cut(records, Limits::new(None));
        let stock = |first, last| (Stream::Stock, first, last);
        assert_eq!(
            seqs(&batches),
            [stock(1, 4), stock(6, 133), stock(134, 201), stock(202, 202), stock(203, 300)]
        );
        assert_eq!(refused, []);
    }

    #[test]
    fn streams_interleave_and_batches_stand_by_first_position() {
        let records =
            (1..=6).map(|n| record(n, [Stream::Door, Stream::Till][n as usize % 2], n.div_ceil(2), 10));
        let (batches, _) = cut(records.collect(), Limits::new(None));
        assert_eq!(seqs(&batches), [(Stream::Till, 1, 3), (Stream::Door, 1, 3)]);
        assert_eq!(batches[1].positions, [2, 4, 6]);
    }

    #[test]
    fn a_large_event_goes_alone_and_a_larger_one_is_refused() {
        let record = |n, bytes| record(n, Stream::Stock, n, bytes);
        let records = vec![record(1, 10), record(2, 128 << 10), record(3, (128 << 10) + 1), record(4, 10)];
        let (batches, refused) = cut(records.clone(), Limits::new(None));
        assert_eq!(batches.iter().map(|b| &*b.positions).collect::<Vec<_>>(), [[1], [2], [4]]);
        let why = Refusal::TooLarge { bytes: 131_073, limit_bytes: 131_072 };
        assert_eq!(refused, [Refused { pos: 3, stream: Stream::Stock, seq: 3, why }]);

        let (batches, refused) = cut(records, Limits::new(Some(PACKET_BYTES_MIN)));
        assert_eq!((batches.len(), refused.len()), (2, 2), "a broker's smaller limit holds");
    }

    #[test]
    fn split_batches_put_together_are_the_batch() {
        let records: Vec<_> = (1..=5).map(|n| record(n, Stream::Stock, n, 10 * n as usize)).collect();
        let batch = || cut(records.clone(), Limits::new(None)).0.remove(0);
        for count in 1..5 {
            let mut rest = batch();
            let first = rest.split(count).unwrap();
            assert_eq!(
                seqs(&[first, rest]),
                [(Stream::Stock, 1, count as u64), (Stream::Stock, count as u64 + 1, 5)]
            );
        }
        assert!(batch().split(5).is_none());
        let mut rest = batch();
        assert_eq!((rest.split(2).unwrap().bytes, rest.bytes, &*rest.positions), (30, 120, &[3, 4, 5][..]));
    }

    #[test]
    fn what_is_not_json_is_refused() {
        let mut broken = record(1, Stream::Stock, 1, 10);
        broken.json = "{".into();
        let (batches, refused) = cut(vec![broken, record(2, Stream::Stock, 2, 10)], Limits::new(None));
        assert_eq!((batches.len(), refused[0].why), (1, Refusal::NotJson));
    }

    #[test]
    fn the_overhead_is_an_upper_bound() {
        let id = Id::new(&"x".repeat(40)).unwrap();
        let from = Gateway { tenant: id, store: id, gateway: id };
        let mut records: Vec<_> = (0..128).map(|n| record(n, Stream::Coverage, (1 << 53) + n, 10)).collect();
        records.iter_mut().for_each(|record| record.context.plan = id);
        let (batches, _) = cut(records, Limits::new(None));
        assert_eq!(batches.len(), 1);
        let payload = batches[0].encode(from, EventId([1; 16]), Timestamp::from_ms(0), false).unwrap();
        let mqtt_header = 1 + 4 + 2 + 2 + 1;
        let packet = mqtt_header + from.events(Stream::Coverage).to_string().len() + payload.len();
        assert!(packet <= batches[0].packet_bytes_max(), "{packet} > {}", batches[0].packet_bytes_max());
    }

    const STREAMS: [Stream; 3] = [Stream::Door, Stream::Shelf, Stream::Kiosk];

    prop_compose! {
        /// Records of one lane, by position: streams interleaved, holes in positions and numbers.
        fn records()(steps in prop::collection::vec((0..3_usize, 1_u64..3, 0_u64..20, 0_u8..40, 3_usize..3000), 0..400))
            -> Vec<Record>
        {
            let (mut pos, mut seqs, mut plan) = (0, [0; 3], 1);
            steps.into_iter().map(|(stream, step, hole, change, bytes)| {
                pos += step;
                seqs[stream] += if hole == 0 { 2 } else { 1 };
                plan += u8::from(change == 0);
                Record { context: context(plan), ..record(pos, STREAMS[stream], seqs[stream], bytes) }
            }).collect()
        }
    }

    proptest! {
        #[test]
        fn batches_put_together_are_what_was_read(records in records(), packet in prop::option::of(8192_u32..60_000)) {
            let limits = Limits::new(packet);
            let (batches, refused) = cut(records.clone(), limits);
            prop_assert_eq!(refused, []);
            prop_assert!(batches.is_sorted_by_key(Batch::first_pos));
            for batch in &batches {
                prop_assert!(batch.events.len() <= EVENTS_MAX);
                prop_assert_eq!(batch.bytes, batch.events.iter().map(|e| e.get().len()).sum::<usize>());
                prop_assert!(batch.bytes <= limits.batch_bytes || batch.events.len() == 1);
            }
            let mut sent: Vec<_> = batches.into_iter().flat_map(|batch| {
                let (stream, context) = (batch.stream, batch.context);
                let seqs = batch.first_seq..;
                batch.positions.into_iter().zip(seqs).zip(batch.events).map(move |((pos, seq), event)| {
                    Record { pos, stream, seq, context, json: event.get().into() }
                })
            }).collect();
            for stream in STREAMS {
                let of_stream = sent.iter().filter(|record| record.stream == stream);
                prop_assert!(of_stream.is_sorted_by_key(|record| record.pos), "a stream out of order");
            }
            sent.sort_by_key(|record| record.pos);
            prop_assert_eq!(sent, records);
        }
    }
}
