//! What the platform has, in positions and in numbers: where each stream goes on after the cursor. Pure.
//!
//! A cursor is a position. To tell what is lost beyond it, the numbers at that position have to be known; they are those of the events read
//! and acknowledged so far.

use super::Mark;
use std::collections::VecDeque;
use vitrine_protocol::topic::Stream;

/// Steps read and not acknowledged that are remembered. More than any window holds.
const AHEAD_MAX: usize = 64 * 1024;

/// What the platform has.
#[derive(Debug, Default)]
pub(super) struct Acknowledged {
    /// The position after the cursor, and the numbers that streams should have next. Where more was read ahead than is remembered,
    /// it lies before the cursor.
    mark: Mark,
    /// What was read beyond.
    ahead: VecDeque<Ahead>,
    /// Whether `ahead` has left something out since `mark`.
    is_behind: bool,
    /// The position after what was read.
    read_upto: u64,
}

/// A step of the reader.
#[derive(Debug)]
enum Ahead {
    Event {
        pos: u64,
        stream: Stream,
        seq: u64,
    },
    /// A read ended here.
    At(Mark),
    /// Events from here on are left out, up to the next mark.
    LeftOut {
        pos: u64,
    },
}

impl Acknowledged {
    /// The platform has everything before `mark`.
    pub(super) fn new(mark: Mark) -> Self {
        Self { mark, ..Self::default() }
    }

    /// The point up to which it has everything.
    pub(super) fn mark(&self) -> &Mark {
        &self.mark
    }

    /// The events at these positions, with these numbers, were read, up to `at`.
    pub(super) fn read_ahead(
        &mut self,
        mut events: impl ExactSizeIterator<Item = (u64, Stream, u64)>,
        at: &Mark,
    ) {
        self.read_upto = at.pos;
        if self.ahead.len() + events.len() < AHEAD_MAX {
            self.ahead.extend(events.map(|(pos, stream, seq)| Ahead::Event { pos, stream, seq }));
        } else if self.ahead.len() < 2 * AHEAD_MAX {
            let pos = events.next().map_or(at.pos, |(pos, ..)| pos);
            self.ahead.push_back(Ahead::LeftOut { pos });
        } else {
            // Of too many marks, the last counts.
            self.ahead.pop_back();
        }
        self.ahead.push_back(Ahead::At(at.clone()));
    }

    /// Reading starts again at position `from`.
    pub(super) fn read_again(&mut self, from: u64) {
        self.ahead.retain(|step| step.last_pos() < from);
        self.read_upto = self.read_upto.min(from);
    }

    /// The platform has everything up to position `upto`.
    pub(super) fn acknowledge(&mut self, upto: u64) {
        while let Some(step) = self.ahead.front()
            && step.last_pos() <= upto
        {
            match self.ahead.pop_front() {
                Some(Ahead::Event { stream, seq, .. }) if !self.is_behind => {
                    self.mark.seqs.insert(stream, seq + 1);
                }
                Some(Ahead::At(mark)) => (self.mark, self.is_behind) = (mark, false),
                Some(Ahead::LeftOut { .. }) => self.is_behind = true,
                Some(Ahead::Event { .. }) | None => {}
            }
        }
        if !self.is_behind {
            self.mark.pos = self.mark.pos.max(self.read_upto.min(upto + 1));
        }
    }
}

impl Ahead {
    fn last_pos(&self) -> u64 {
        match self {
            Self::Event { pos, .. } | Self::LeftOut { pos } => *pos,
            Self::At(mark) => mark.pos - 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_point_is_exact_or_lies_before() {
        let mut acknowledged = Acknowledged::default();
        for from in (0..1000).map(|n| 1 + n * 300) {
            // Every third is a note.
            let events: Vec<_> =
                (from..from + 300).filter(|pos| pos % 3 != 0).map(|pos| (pos, Stream::Till, pos)).collect();
            let at = Mark { pos: from + 300, seqs: [(Stream::Till, from + 299)].into(), exact: true };
            acknowledged.read_ahead(events.into_iter(), &at);
        }
        assert!(acknowledged.ahead.len() < 2 * AHEAD_MAX);
        for upto in [1, 2, 3, 299, 300, 301, 60_001, 200_000, 299_999, 300_000, 300_500] {
            acknowledged.acknowledge(upto);
            let mark = acknowledged.mark();
            assert!(mark.pos <= upto + 1 && (mark.pos == upto + 1 || upto > 90_000), "{upto}: {mark:?}");
            let last_event = (1..mark.pos).rev().find(|pos| pos % 3 != 0).unwrap();
            assert_eq!(mark.seq(Stream::Till), last_event + 1, "{upto}: {mark:?}");
        }
        assert_eq!(acknowledged.mark().pos, 300_001, "what was not read is not acknowledged");
    }
}
