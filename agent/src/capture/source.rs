//! The seam between whoever hears advertisements and whoever wants them.
//!
//! An [`AdvertSource`] is a radio, a relay or a recording: it hears, and decides nothing. A [`Listener`] is the plan, the
//! installer's table or a recorder: it decides, and knows of no radio. Both ends are bounded by rule: a source asks
//! [`Listener::wants`] before it remembers anything for a sender, so that the 100 000 random addresses of phones that a
//! store sees in a day are given no memory.

use super::Told;
use crate::{
    clock::{Clock, Now},
    plan::Layouts,
    private::Address,
};
use futures_util::future::BoxFuture;
use std::sync::Arc;
use tokio::sync::watch;
use vitrine_protocol::{
    Id,
    advertisement::{self, Malformed},
    event::{DeviceKind, RadioState},
    frame::Frame,
    layout::Payload,
    time::Timestamp,
};

/// One advertisement, or as much of it as its source tells at once.
#[derive(Clone, Copy, Debug)]
pub struct Advertisement<'a> {
    /// When it was heard.
    pub at: Now,
    /// By whom: a receiver's name in the plan.
    pub receiver: Id,
    /// The sender's address; `None` where the source does not tell it.
    pub address: Option<Address>,
    /// Signal strength in dBm; `None` where the source does not know it. It is never invented.
    pub rssi_dbm: Option<i8>,
    /// What was said.
    pub content: Content<'a>,
}

/// What an advertisement says, in the form in which its source has it.
#[derive(Clone, Copy, Debug)]
pub enum Content<'a> {
    /// All of it: AD structures.
    Raw(&'a [u8]),
    /// Some payloads of it.
    Payloads(&'a [Payload<'a>]),
    /// A frame that the source has decoded itself.
    Frame(Frame),
    /// Nothing: only the sender is known.
    Nothing,
}

impl Content<'_> {
    /// Each frame, and each beacon of `layouts`, that it holds, and what is malformed in it.
    pub(crate) fn told(self, layouts: &Layouts) -> (Vec<Told>, Option<Malformed>) {
        let (mut told, mut malformed) = (Vec::new(), None);
        let mut add = |one: Result<Told, Malformed>| match one {
            Ok(one) if one.is_something() => told.push(one),
            Ok(_) => {}
            Err(error) => malformed = Some(error),
        };
        match self {
            Self::Raw(octets) => advertisement::structures(octets).for_each(|structure| {
                add(structure.and_then(|structure| {
                    Told::new(Frame::from_structure(structure), Payload::of(structure), layouts)
                }));
            }),
            Self::Payloads(payloads) => {
                payloads.iter().for_each(|&payload| add(Told::new(frame(payload), Some(payload), layouts)));
            }
            Self::Frame(frame) => add(Ok(Told { frame: Some(frame), beacon: None })),
            Self::Nothing => {}
        }
        (told, malformed)
    }
}

fn frame(payload: Payload<'_>) -> Result<Option<Frame>, Malformed> {
    match payload {
        Payload::Manufacturer { company, data } => Frame::from_manufacturer_data(company, data),
        Payload::Service16 { uuid, data } => Frame::from_service_data(uuid, data),
        Payload::Service128 { .. } => Ok(None),
    }
}

/// What happened to a receiver, a relay or a sensor itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A radio of this gateway changed its state.
    Radio {
        /// The receiver, by its name in the plan.
        receiver: Id,
        /// Its state from now on.
        state: RadioState,
    },
    /// A radio hears again after it was helped.
    Recovered {
        /// The receiver.
        receiver: Id,
        /// What had been wrong, in a few words that are always the same.
        cause: &'static str,
    },
    /// Whether static advertisements come through each time, or are filtered out as duplicates.
    Duplicates {
        /// The receiver.
        receiver: Id,
        /// Whether they are filtered out.
        filtered: bool,
    },
    /// A device has not been heard for longer than it should.
    Silent {
        /// What kind of device.
        kind: DeviceKind,
        /// Its name.
        device: Id,
        /// When it was last heard.
        since: Timestamp,
    },
    /// A silent device is heard again.
    Back {
        /// What kind of device.
        kind: DeviceKind,
        /// Its name.
        device: Id,
    },
}

/// Whoever wants advertisements. Nothing in it waits: what there is no room for is dropped and counted.
pub trait Listener: Send + Sync {
    /// Whether the advertisement matters, whatever its signal strength: asked before anything is remembered for its
    /// sender.
    fn wants(&self, advertisement: &Advertisement<'_>) -> bool;

    /// Takes an advertisement; also one that it does not want, to count it.
    fn hear(&self, advertisement: &Advertisement<'_>);

    /// Takes advertisements that a source had to drop before it read them.
    fn lost(&self, receiver: Id, count: u64);

    /// Resolves when there is room for an advertisement: asked by sources that can wait.
    fn room(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    /// Takes what happened to a source.
    fn notice(&self, notice: Notice, now: Now);
}

/// Whoever hears advertisements.
pub trait AdvertSource: Send {
    /// Hears until `stop` turns true, through everything that it can recover from by itself.
    ///
    /// # Errors
    /// [`SourceError`] when only a new process can help.
    fn run(
        self: Box<Self>,
        listener: Arc<dyn Listener>,
        clock: Clock,
        stop: Stop,
    ) -> BoxFuture<'static, Result<(), SourceError>>;
}

/// Turns true when it is time to stop; a sender that is gone means the same.
pub type Stop = watch::Receiver<bool>;

/// Resolves when it is time to stop.
pub async fn stopped(mut stop: Stop) {
    stop.wait_for(|stop| *stop).await.ok();
}

/// A source is at its end: the process has to be started again.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {why}")]
pub struct SourceError {
    /// Which source, such as `bluez`.
    pub name: &'static str,
    /// What is wrong, and what to do.
    pub why: String,
}
