//! The platform's marks: how far it has got with each stream, and which of its words count. Pure.

use std::collections::BTreeMap;
use vitrine_protocol::{envelope::Ack, event::EventId, topic::Stream};

/// The newest mark of each stream.
#[derive(Debug)]
pub(super) struct Marks {
    spool_id: EventId,
    said: BTreeMap<Stream, u64>,
    /// What counted last.
    counted: BTreeMap<Stream, u64>,
}

/// A mark that does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Ignored {
    #[error("it is of another spool")]
    OtherSpool,
    #[error("it lies beyond what was ever sent")]
    Ahead,
}

impl Marks {
    pub(super) fn new(spool_id: EventId) -> Self {
        Self { spool_id, said: BTreeMap::new(), counted: BTreeMap::new() }
    }

    /// The platform says so of `stream`, of which `sent_upto` is the last number sent since the agent was started, and
    /// everything that was before if `is_all`. Otherwise a mark may lie beyond it, and counts when that is sent again.
    ///
    /// # Errors
    /// [`Ignored`]
    pub(super) fn take(
        &mut self,
        stream: Stream,
        ack: Ack,
        sent_upto: u64,
        is_all: bool,
    ) -> Result<(), Ignored> {
        if ack.spool_id != self.spool_id {
            return Err(Ignored::OtherSpool);
        }
        if is_all && ack.seq > sent_upto {
            return Err(Ignored::Ahead);
        }
        let said = self.said.entry(stream).or_default();
        *said = ack.seq.max(*said);
        Ok(())
    }

    /// The number up to which the platform has `stream`, if that has changed since it was last asked.
    pub(super) fn moved(&mut self, stream: Stream, sent_upto: u64, is_all: bool) -> Option<u64> {
        let said = *self.said.get(&stream)?;
        if said > sent_upto && is_all {
            // Held until all was sent, and it was of no event.
            self.said.remove(&stream);
            return None;
        }
        let counts = said.min(sent_upto);
        let before = self.counted.insert(stream, counts).unwrap_or(0);
        (counts > before).then_some(counts)
    }

    /// The number up to which the platform has `stream`.
    pub(super) fn upto(&self, stream: Stream) -> u64 {
        self.counted.get(&stream).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPOOL: EventId = EventId([1; 16]);

    fn ack(seq: u64) -> Ack {
        Ack { v: 1, spool_id: SPOOL, seq }
    }

    #[test]
    fn a_mark_counts_as_far_as_was_sent() {
        let mut marks = Marks::new(SPOOL);
        let other = Ack { spool_id: EventId([2; 16]), ..ack(3) };
        assert_eq!(marks.take(Stream::Till, other, 10, true), Err(Ignored::OtherSpool));
        assert_eq!(marks.take(Stream::Till, ack(11), 10, true), Err(Ignored::Ahead));
        assert_eq!((marks.moved(Stream::Till, 10, true), marks.upto(Stream::Till)), (None, 0));
        assert_eq!(marks.take(Stream::Till, ack(7), 10, true), Ok(()));
        assert_eq!(marks.take(Stream::Till, ack(5), 10, true), Ok(()));
        assert_eq!((marks.moved(Stream::Till, 10, true), marks.upto(Stream::Till)), (Some(7), 7));
        assert_eq!(marks.moved(Stream::Till, 10, true), None, "it never goes back");
    }

    #[test]
    fn after_a_start_a_mark_waits_for_what_is_sent_again() {
        let mut marks = Marks::new(SPOOL);
        assert_eq!(marks.take(Stream::Till, ack(100), 0, false), Ok(()));
        assert_eq!(marks.moved(Stream::Till, 0, false), None);
        assert_eq!(marks.moved(Stream::Till, 64, false), Some(64));
        assert_eq!(marks.moved(Stream::Till, 128, false), Some(100));
        assert_eq!(marks.take(Stream::Till, ack(9000), 0, false), Ok(()));
        assert_eq!(marks.moved(Stream::Till, 128, true), None, "there never were so many");
        assert_eq!(marks.upto(Stream::Till), 100);
    }
}
