//! What is heard in the store, and the channels it comes in on.
//!
//! Radio is lossy anyway: a full [`Radio`] channel drops and counts. Shelves, kiosks and counters are not: a full
//! [`Ingest`] channel pushes back on the producer, who is answered through [`Reply`] only when every event that its
//! input completes is durable. What an observation means is the pipeline's.

pub mod ble;
pub mod desk;
pub mod http;
pub mod relay;
pub mod replay;
pub mod serial;
mod shelf;
pub mod source;

pub(crate) use shelf::measured;
pub use shelf::{ShelfChange, ShelfReading, ShelfTrouble, Trouble};

use crate::{
    clock::Now,
    plan::Layouts,
    private::{Address, LayoutBeacon},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::{mpsc, oneshot};
use vitrine_protocol::{
    Id,
    advertisement::Malformed,
    event::{Action, EventId},
    frame::Frame,
    layout::Payload,
};

/// Frames of one advertisement that are waited for; more are sent by nobody.
const FRAMES_MAX: usize = 16;

/// One frame of one advertisement, as one receiver heard it.
#[derive(Clone, Copy, Debug)]
pub struct Heard {
    /// When.
    pub at: Now,
    /// The receiver, by its name in the plan.
    pub receiver: Id,
    /// The sender's address; `None` where the source does not tell it.
    pub address: Option<Address>,
    /// Signal strength in dBm.
    pub rssi_dbm: i8,
    /// The frame; `None` where only the sender is known, or the payload is of no known format.
    pub frame: Option<Frame>,
    /// The beacon of the plan that sent it, where one of the plan's layouts says so.
    pub beacon: Option<LayoutBeacon>,
}

/// What one payload of an advertisement told.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Told {
    pub(crate) frame: Option<Frame>,
    pub(crate) beacon: Option<LayoutBeacon>,
}

impl Told {
    /// Of a payload and the `frame` that is in it. What one of the plan's layouts reads is not malformed, whatever a
    /// format that looks like it makes of it.
    fn new(
        frame: Result<Option<Frame>, Malformed>,
        payload: Option<Payload<'_>>,
        layouts: &Layouts,
    ) -> Result<Self, Malformed> {
        match (frame, payload.and_then(|payload| layouts.identify(payload))) {
            (Err(malformed), None) => Err(malformed),
            (frame, beacon) => Ok(Self { frame: frame.ok().flatten(), beacon }),
        }
    }

    fn is_something(&self) -> bool {
        self.frame.is_some() || self.beacon.is_some()
    }
}

/// One input of a device on the store's network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A shelf's reading.
    Shelf(ShelfReading),
    /// A change that a shelf's controller found.
    ShelfChange(ShelfChange),
    /// A fault of a shelf.
    ShelfTrouble(ShelfTrouble),
    /// A touch on a kiosk.
    Kiosk(KioskInput),
    /// A count of a door or a till.
    Count(CountInput),
    /// What happened to a receiver or a sensor itself.
    Notice(source::Notice),
}

/// A touch on a kiosk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KioskInput {
    /// The kiosk.
    pub kiosk: Id,
    /// The kiosk's own name for the touch, the same when it is sent again.
    pub id: EventId,
    /// What was done.
    pub action: Action,
}

/// A count since the last one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountInput {
    /// The counter.
    pub counter: Id,
    /// The counter's own name for the count, the same when it is sent again.
    pub id: EventId,
    /// What was counted.
    pub count: Count,
}

/// What a counter counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// People through a door.
    Door {
        /// Entries.
        entries: u32,
        /// Exits.
        exits: u32,
    },
    /// Transactions at a till.
    Till {
        /// Transactions.
        transactions: u32,
    },
}

/// Inputs that a producer sent at once, and the way to answer it.
#[derive(Debug)]
pub struct Ingest {
    /// When they came in.
    pub at: Now,
    /// The inputs, in order.
    pub inputs: Vec<Input>,
    /// Where to say that they are durable.
    pub reply: Reply,
}

/// Answers a producer when all is durable. Dropped unanswered, the producer is told to come again.
pub type Reply = oneshot::Sender<()>;

/// Asked before an input is taken on: when to come again, where there is no room for it now.
pub type Admission = Arc<dyn Fn() -> Result<(), Duration> + Send + Sync>;

/// The sending end of the radio channel: never blocks, drops and counts when the channel is full.
#[derive(Clone, Debug)]
pub struct Radio {
    channel: mpsc::Sender<Heard>,
    counters: Arc<RadioCounters>,
}

/// What became of advertisements before the pipeline.
#[derive(Debug, Default)]
pub struct RadioCounters {
    /// Advertisements heard.
    pub advertisements: AtomicU64,
    /// Of these, malformed in some part.
    pub malformed: AtomicU64,
    /// Of these, from senders that are not in the plan: dropped at once.
    pub not_in_plan: AtomicU64,
    /// Frames and advertisements dropped because there was no room for them.
    pub dropped: AtomicU64,
    /// Advertisements lost because the receiver gave no signal strength.
    pub no_rssi: AtomicU64,
}

impl Radio {
    /// A radio channel that holds `capacity` frames.
    pub fn channel(capacity: usize) -> (Self, mpsc::Receiver<Heard>) {
        let (channel, receiver) = mpsc::channel(capacity);
        (Self { channel, counters: Arc::default() }, receiver)
    }

    /// The channel's counters.
    pub fn counters(&self) -> &Arc<RadioCounters> {
        &self.counters
    }

    /// Counts one advertisement, malformed or not.
    pub fn count(&self, malformed: bool) {
        self.counters.advertisements.fetch_add(1, Ordering::Relaxed);
        self.counters.malformed.fetch_add(u64::from(malformed), Ordering::Relaxed);
    }

    /// Hands a frame to the pipeline, or drops and counts it.
    pub fn send(&self, heard: Heard) {
        if self.channel.try_send(heard).is_err() {
            self.counters.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether no frame waits.
    pub fn is_idle(&self) -> bool {
        self.channel.capacity() == self.channel.max_capacity()
    }

    /// Resolves when there is room for the frames of an advertisement, or the agent is going down.
    pub async fn room(&self) {
        let frames = FRAMES_MAX.min(self.channel.max_capacity());
        drop(self.channel.reserve_many(frames).await);
    }

    /// Hands a frame to the pipeline, waiting for room: for sources that can wait (a recording, a simulation).
    /// `false` when the agent is going down.
    pub async fn send_waiting(&self, heard: Heard) -> bool {
        self.channel.send(heard).await.is_ok()
    }
}

/// Whether `text` can be a product's number: 1 to 40 letters, digits, dots, hyphens or underscores. Free text is not.
pub fn is_sku(text: &str) -> bool {
    (1..=40).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}
