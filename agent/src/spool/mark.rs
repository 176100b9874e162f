//! Records, the numbers they get, and what is missing between two points of a lane.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use vitrine_protocol::{event::GapReason, topic::Stream};

/// The content of a record, as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RecordBody {
    Event { stream: Stream, seq: u64, json: Box<str> },
    Note(Box<[u8]>),
}

/// The content of a record that is to be written, or looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RecordRef<'a> {
    Event { stream: Stream, seq: u64, json: &'a str },
    Note(&'a [u8]),
}

impl RecordBody {
    pub(super) fn as_ref(&self) -> RecordRef<'_> {
        match self {
            Self::Event { stream, seq, json } => RecordRef::Event { stream: *stream, seq: *seq, json },
            Self::Note(bytes) => RecordRef::Note(bytes),
        }
    }
}

impl<'a> RecordRef<'a> {
    pub(super) fn bytes(self) -> &'a [u8] {
        match self {
            Self::Event { json, .. } => json.as_bytes(),
            Self::Note(bytes) => bytes,
        }
    }
}

/// A point in a lane: the next position, and the next sequence number of each stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The position of the next record.
    pub pos: u64,
    /// The next number of each stream; one that is not here has had no event.
    pub seqs: BTreeMap<Stream, u64>,
    /// Whether every number below was given to an event, or some were skipped for safety.
    pub exact: bool,
}

impl Default for Mark {
    fn default() -> Self {
        Self { pos: 1, seqs: BTreeMap::new(), exact: true }
    }
}

impl Mark {
    /// The next number of `stream`.
    pub fn seq(&self, stream: Stream) -> u64 {
        self.seqs.get(&stream).copied().unwrap_or(1)
    }

    pub(super) fn advance(&mut self, body: RecordRef<'_>) {
        self.pos += 1;
        if let RecordRef::Event { stream, seq, .. } = body {
            self.seqs.insert(stream, seq + 1);
        }
    }

    /// Skips `n` positions, any of which may have been an event of any of `streams`.
    pub(super) fn skip(&mut self, streams: impl IntoIterator<Item = Stream>, n: u64) {
        self.pos += n;
        self.exact = false;
        for stream in streams {
            *self.seqs.entry(stream).or_insert(1) += n;
        }
    }

    /// Whether everything before was reserved for its stream.
    pub(super) fn is_within(&self, reserved: &Self) -> bool {
        self.pos <= reserved.pos && self.seqs.keys().all(|stream| reserved.seqs.contains_key(stream))
    }

    /// What is missing between `earlier` and this mark.
    pub(super) fn losses_since(&self, earlier: &Self, reason: GapReason) -> Vec<Loss> {
        let loss = |(&stream, &next): (&Stream, &u64)| {
            let first_seq = earlier.seq(stream);
            (first_seq < next).then(|| Loss {
                stream,
                first_seq,
                last_seq: next - 1,
                reason,
                exact: self.exact,
            })
        };
        self.seqs.iter().filter_map(loss).collect()
    }
}

/// Sequence numbers that will not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Loss {
    pub(super) stream: Stream,
    pub(super) first_seq: u64,
    pub(super) last_seq: u64,
    pub(super) reason: GapReason,
    pub(super) exact: bool,
}

impl Loss {
    /// Events in it, at most.
    pub(super) fn events(&self) -> u64 {
        self.last_seq + 1 - self.first_seq
    }

    /// The part that does not lie below what `stated` holds as stated already.
    pub(super) fn unstated(self, stated: &BTreeMap<Stream, u64>) -> Option<Self> {
        let first_seq = self.first_seq.max(stated.get(&self.stream).copied().unwrap_or(1));
        (first_seq <= self.last_seq).then_some(Self { first_seq, ..self })
    }
}
