//! Shelves on serial lines: controllers that speak [`vitrine_protocol::shelf`], and scales that print lines of text.
//!
//! What is said on a line is a [`Dialogue`]'s, which is pure: a [`Conversation`] with a controller, or a [`Scale`].
//! Here are the tasks around it, one a port, so that a stuck one harms no other: they open the port, again and again
//! where it is not there, carry octets in both directions, and hand inputs on, one lot at a time: what is not taken
//! now is offered again, or comes again.

mod attendance;
mod conversation;
mod pattern;
mod port;
mod rarely;
mod scale;
mod settle;

pub use attendance::{Attendance, SILENT_AFTER_MS};
pub use conversation::{Controller, Conversation};
pub use pattern::{Pattern, Unit};
pub use port::{Framing, Parity};
pub use scale::{Scale, ScaleSettings};
pub use settle::{Settle, Settling};

use self::port::Tty;
use super::{
    Admission, Ingest, Input,
    source::{Notice, Stop, stopped},
};
use crate::clock::{Clock, Now};
use std::{
    io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::{interval, sleep},
};
use vitrine_protocol::Id;

/// How long until a port that is not there is looked for again: doubled each time, up to the longest.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
const AGAIN_AFTER_MAX: Duration = Duration::from_secs(10);
/// How often a dialogue is asked what it wants when nothing is heard.
const TICK: Duration = Duration::from_millis(250);
const READ_MAX: usize = 1024;

/// What is plugged in, and who may speak.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// The ports.
    pub ports: Vec<Port>,
    /// The controllers, on whichever port of their kind.
    pub controllers: Vec<Controller>,
}

impl Setup {
    /// Every shelf and facing that is named, and for whom.
    pub fn places(&self) -> impl Iterator<Item = ((Id, Id), String)> {
        let of_controllers = self.controllers.iter().flat_map(|controller| {
            let named_for = format!("controller {}", controller.serial_number);
            controller.places().map(move |place| (place, named_for.clone()))
        });
        let of_ports = self.ports.iter().flat_map(|port| {
            let named_for = port.path.display().to_string();
            port.places().map(move |place| (place, named_for.clone()))
        });
        of_controllers.chain(of_ports)
    }
}

impl Port {
    /// The shelf and facing that the port itself belongs to, where it does.
    pub fn places(&self) -> impl Iterator<Item = (Id, Id)> {
        let place = match &self.protocol {
            Protocol::Vitrine => None,
            Protocol::Scale(scale) => Some((scale.shelf, scale.facing)),
        };
        place.into_iter()
    }
}

/// A serial port.
#[derive(Clone, Debug, PartialEq)]
pub struct Port {
    /// The device; best a name that stays, in `/dev/serial/by-id`.
    pub path: PathBuf,
    /// Bits per second.
    pub baud: u32,
    /// How an octet is sent.
    pub framing: Framing,
    /// What is spoken.
    pub protocol: Protocol,
}

/// What is spoken on a port.
#[derive(Clone, Debug, PartialEq)]
pub enum Protocol {
    /// Frames of a shelf controller.
    Vitrine,
    /// Lines of text.
    Scale(ScaleSettings),
}

/// Where what is heard goes.
#[derive(Clone)]
pub struct Hands {
    /// Whether inputs are taken on now.
    pub admission: Admission,
    /// Inputs.
    pub ingest: mpsc::Sender<Ingest>,
    /// Shelves that fell silent, or are back.
    pub notices: mpsc::Sender<(Notice, Now)>,
    /// The time.
    pub clock: Clock,
}

/// What was counted on a line since the agent was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Readings that were handed on.
    pub readings: u64,
    /// Readings that never came.
    pub readings_missed: u64,
    /// Events and faults that are durable.
    pub reports: u64,
    /// Events and faults that never came.
    pub reports_missed: u64,
    /// Events and faults that came again.
    pub repeats: u64,
    /// Inputs that were not taken on, and offered again.
    pub refused: u64,
    /// Frames or lines that could not be read.
    pub malformed: u64,
    /// Reports about channels that have no facing.
    pub unplaced: u64,
    /// Reports of somebody who has not said who it is, or is not known.
    pub unidentified: u64,
    /// Configurations that a controller refused.
    pub configurations_refused: u64,
}

/// What is said on one line. Pure: octets, answers and time in; octets and inputs out.
pub trait Dialogue: Send {
    /// The line is new: nobody is known to be at its end, and what was under way is not.
    fn handle_open(&mut self, now: Now);

    /// Octets were heard.
    fn handle_octets(&mut self, octets: &[u8], now: Now);

    /// What [`Dialogue::poll_input`] gave last is durable.
    fn handle_durable(&mut self, now: Now);

    /// What [`Dialogue::poll_input`] gave last was not taken.
    fn handle_refused(&mut self, now: Now);

    /// What is to be said next. To be asked whenever the line is free.
    fn poll_transmit(&mut self, now: Now) -> Option<Vec<u8>>;

    /// What is to be handed on next. Not to be asked again before an answer.
    fn poll_input(&mut self, now: Now) -> Option<Vec<Input>>;

    /// The source, as [`Attendance`] counts them, that has been heard since this was last asked.
    fn take_heard(&mut self) -> Option<usize>;

    /// What was counted.
    fn counts(&self) -> Counts;
}

/// Listens on all ports until `stop` turns true.
pub async fn run(setup: Setup, hands: Hands, stop: Stop) {
    let Setup { ports, controllers } = setup;
    if ports.is_empty() {
        return;
    }
    let scales = ports.iter().filter_map(|port| match &port.protocol {
        Protocol::Vitrine => None,
        Protocol::Scale(scale) => Some((scale.shelf, scale.silent_after_ms)),
    });
    let sources = controllers.iter().map(|controller| (controller.shelf, SILENT_AFTER_MS)).chain(scales);
    let attendance = Arc::new(Mutex::new(Attendance::new(sources, hands.clock.now())));
    let mut next_source = controllers.len();
    let controllers: Arc<[Controller]> = controllers.into();
    let mut tasks = JoinSet::new();
    for port in ports {
        let name = port.path.display().to_string();
        let dialogue: Box<dyn Dialogue> = match &port.protocol {
            Protocol::Vitrine => Box::new(Conversation::new(name, controllers.clone())),
            Protocol::Scale(settings) => {
                next_source += 1;
                // The line has drawn its own numbers before: there are some.
                let boot = getrandom::u32().unwrap_or_default();
                Box::new(Scale::new(name, settings.clone(), boot, next_source - 1))
            }
        };
        let line =
            Line { port, dialogue, hands: hands.clone(), attendance: attendance.clone(), is_heard: false };
        tasks.spawn(line.keep(stop.clone()));
    }
    let mut tick = interval(AGAIN_AFTER);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = stopped(stop.clone()) => break,
        }
        let now = hands.clock.now();
        let silent = attendance.lock().unwrap_or_else(PoisonError::into_inner).silent(now);
        silent.into_iter().for_each(|notice| tell(&hands, notice, now));
    }
    while tasks.join_next().await.is_some() {}
}

fn tell(hands: &Hands, notice: Notice, now: Now) {
    if let Err(error) = hands.notices.try_send((notice, now)) {
        tracing::warn!(%error, "what happened to a shelf could not be passed on");
    }
}

/// A port, and what is said on it.
struct Line {
    port: Port,
    dialogue: Box<dyn Dialogue>,
    hands: Hands,
    attendance: Arc<Mutex<Attendance>>,
    /// Something sensible was heard since the port was opened.
    is_heard: bool,
}

impl Line {
    /// Opens the port, and opens it again when it is lost, until it is time to stop.
    async fn keep(mut self, stop: Stop) {
        let port = self.port.path.display().to_string();
        let (mut wait, mut told) = (AGAIN_AFTER, String::new());
        loop {
            let lost = match Tty::open(&self.port.path, self.port.baud, self.port.framing) {
                Ok(tty) => {
                    tracing::info!(port, "the serial port is open");
                    self.is_heard = false;
                    self.dialogue.handle_open(self.hands.clock.now());
                    let lost = tokio::select! {
                        lost = self.serve(&tty) => lost.to_string(),
                        () = stopped(stop.clone()) => break,
                    };
                    if self.is_heard {
                        (wait, told) = (AGAIN_AFTER, String::new());
                    }
                    format!("the serial port is lost ({lost}); is it unplugged?")
                }
                Err(error) => error.to_string(),
            };
            if lost != told {
                tracing::warn!(port, "{lost} It is looked for every {} s", AGAIN_AFTER_MAX.as_secs());
                told = lost;
            }
            tokio::select! {
                () = sleep(wait) => wait = (wait * 2).min(AGAIN_AFTER_MAX),
                () = stopped(stop.clone()) => break,
            }
        }
        tracing::info!(port, counts = ?self.dialogue.counts(), "the serial port is closed");
    }

    /// Carries what is said, until the port is lost.
    async fn serve(&mut self, tty: &Tty) -> io::Error {
        let mut read = [0; READ_MAX];
        let mut unsaid = Vec::new();
        let mut answer: Option<oneshot::Receiver<()>> = None;
        let mut tick = interval(TICK);
        loop {
            let now = self.hands.clock.now();
            if answer.is_none() {
                answer = self.hand_on(now);
            }
            if unsaid.is_empty() {
                unsaid = self.dialogue.poll_transmit(now).unwrap_or_default();
            }
            tokio::select! {
                count = tty.read(&mut read) => match count {
                    Ok(count) => {
                        let now = self.hands.clock.now();
                        self.dialogue.handle_octets(&read[..count], now);
                        self.note_heard(now);
                    }
                    Err(error) => return error,
                },
                count = tty.write(&unsaid), if !unsaid.is_empty() => match count {
                    Ok(count) => drop(unsaid.drain(..count)),
                    Err(error) => return error,
                },
                durable = answered(&mut answer) => {
                    answer = None;
                    let now = self.hands.clock.now();
                    match durable {
                        true => self.dialogue.handle_durable(now),
                        false => self.dialogue.handle_refused(now),
                    }
                }
                _ = tick.tick() => {}
            }
        }
    }

    /// Hands on what there is, if it is taken; where the answer will come.
    fn hand_on(&mut self, now: Now) -> Option<oneshot::Receiver<()>> {
        let inputs = self.dialogue.poll_input(now)?;
        let (reply, answer) = oneshot::channel();
        let is_taken = (self.hands.admission)().is_ok()
            && self.hands.ingest.try_send(Ingest { at: now, inputs, reply }).is_ok();
        if !is_taken {
            self.dialogue.handle_refused(now);
        }
        is_taken.then_some(answer)
    }

    fn note_heard(&mut self, now: Now) {
        let Some(source) = self.dialogue.take_heard() else { return };
        self.is_heard = true;
        let back = self.attendance.lock().unwrap_or_else(PoisonError::into_inner).heard(source, now);
        if let Some(notice) = back {
            tell(&self.hands, notice, now);
        }
    }
}

/// Whether what was handed on is durable; waits for ever where nothing was.
async fn answered(answer: &mut Option<oneshot::Receiver<()>>) -> bool {
    match answer {
        Some(answer) => answer.await.is_ok(),
        None => std::future::pending().await,
    }
}
