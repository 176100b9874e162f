//! What is handed to the spool, and what comes out of it.

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use vitrine_protocol::{Id, time::Timestamp, topic::Stream};

/// A lane: streams of one priority class, in one order of positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    /// carriers flows traces coverage queues visits identified audit gaps: sent at once, before all others.
    Critical,
    /// stock devices: facts about things, sent at once.
    Facts,
    /// shelf kiosk door till: readable up to the last closed slot.
    Slots,
}

impl Lane {
    /// All lanes, the most urgent first.
    pub const ALL: [Self; 3] = [Self::Critical, Self::Facts, Self::Slots];

    /// The lane of a stream.
    pub const fn of(stream: Stream) -> Self {
        match stream {
            Stream::Carriers
            | Stream::Flows
            | Stream::Traces
            | Stream::Coverage
            | Stream::Queues
            | Stream::Visits
            | Stream::Identified
            | Stream::Audit
            | Stream::Gaps => Self::Critical,
            Stream::Stock | Stream::Devices => Self::Facts,
            Stream::Shelf | Stream::Kiosk | Stream::Door | Stream::Till => Self::Slots,
        }
    }

    /// The streams of the lane.
    pub fn streams(self) -> impl Iterator<Item = Stream> {
        Stream::ALL.iter().copied().filter(move |&stream| Self::of(stream) == self)
    }

    /// The lane's directory.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Facts => "facts",
            Self::Slots => "slots",
        }
    }
}

/// What an envelope says of all its events: batches are cut where it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// The plan's version.
    pub plan: Id,
    /// The store-day.
    pub business_date: jiff::civil::Date,
}

/// Something to be made durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Draft {
    /// An event for the platform.
    Event {
        /// Its stream.
        stream: Stream,
        /// When it may be sent; `None` for at once.
        hold_until: Option<Timestamp>,
        /// The event as JSON, at most [`super::MAX_RECORD`] octets.
        json: Box<str>,
    },
    /// A note of the agent to itself, given back by [`super::Spool::open`].
    Note {
        /// The lane of the events that it belongs to: both are durable together.
        lane: Lane,
        /// At most [`super::MAX_RECORD`] octets.
        bytes: Box<[u8]>,
    },
}

/// Drafts that become durable together, in each lane, and those who wait for it.
#[derive(Debug)]
pub struct Commit {
    /// What the events' envelopes say.
    pub context: Context,
    /// The drafts, in order; none is fine: the reply then says that all before is durable.
    pub drafts: Vec<Draft>,
    /// Answered when all is durable.
    pub reply: Option<oneshot::Sender<()>>,
}

/// A durable event, as the uplink reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Position in its lane, from 1.
    pub pos: u64,
    /// Its stream.
    pub stream: Stream,
    /// Its number in the stream, from 1.
    pub seq: u64,
    /// What its envelope says.
    pub context: Context,
    /// The event as JSON, byte for byte as it was appended.
    pub json: Box<str>,
}

/// What [`super::Spool::read`] found.
#[derive(Clone, Debug, Default)]
pub struct Chunk {
    /// Records by position; not every position has one (some hold notes).
    pub records: Vec<Record>,
    /// Where to read on: the position after the last one looked at.
    pub next_pos: u64,
    /// When to read on, if a record is held back, or cannot be read for now.
    pub held_until: Option<Timestamp>,
    /// Whether it is the latter.
    pub is_obstructed: bool,
}

/// What [`super::Spool::open`] found from earlier.
#[derive(Debug)]
pub struct Recovery<S> {
    /// The last checkpoint's state.
    pub state: Option<S>,
    /// The notes since, in order within a lane.
    pub notes: Vec<Box<[u8]>>,
}
