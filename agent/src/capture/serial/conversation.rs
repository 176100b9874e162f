//! The gateway's side of [`vitrine_protocol::shelf`]: who is there, how it is to measure, what it says, what is safe.
//!
//! Only the oldest event or fault is on the line, and it is acknowledged when it is durable here; what is not taken
//! comes again. Readings are states: of each channel the latest is kept, until it is taken. They wait while events come,
//! because a reading of now would overtake the events of an hour in which nobody listened.

mod settings;
mod told;

pub use settings::Controller;

use self::{settings::Configuring, told::Key};
use super::{Counts, Dialogue, rarely::Rarely};
use crate::{
    capture::{Input, ShelfReading},
    clock::Now,
};
use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};
use vitrine_protocol::{
    event,
    shelf::{
        Acknowledgement, CHANNELS_MAX, Channel, Command, Decoder, Hello, Message, RETRY_MS, Reading, Report,
        Stamp,
    },
};

/// Readings wait for so long after an event: when no other follows within the controller's time to repeat, none is left.
const QUIET_MS: u64 = RETRY_MS as u64 + 500;
/// How far the times of a reading and of a change may be off against each other.
const JITTER_MS: u64 = 250;
/// How long until inputs that were refused are offered again.
const AGAIN_AFTER_MS: u64 = 1_000;
/// How often an unknown one is asked who it is; after a few times, or where the answer was of no use, less often.
const ASK_EVERY_MS: u64 = 2_000;
const ASK_OFTEN: u32 = 5;
const ASK_SELDOM_MS: u64 = 10_000;
/// A controller that has said nothing for so long is asked whether it is there.
const ASK_AFTER_MS: u64 = 20_000;
/// How often a controller is told the time, and how soon again where it is not known well.
const TIME_EVERY_MS: u64 = 600_000;
const TIME_AGAIN_MS: u64 = 60_000;

/// A conversation with whatever controller is at the end of a line.
#[derive(Debug)]
pub struct Conversation {
    port: String,
    controllers: Arc<[Controller]>,
    decoder: Decoder,
    peer: Peer,
    heard_ms: u64,
    heard: Option<usize>,
    /// When it was last asked who it is, and how often since it is unknown.
    asked: Option<u64>,
    asked_times: u32,
    time_due_ms: u64,
    acknowledge: Option<Key>,
    /// The last event or fault that is durable.
    durable: Option<Key>,
    /// An event or fault that is to be handed on.
    waiting: Option<Waiting>,
    /// The latest readings that are to be handed on, by channel.
    readings: BTreeMap<Channel, Held>,
    handed: Option<Handed>,
    readings_from_ms: u64,
    inputs_from_ms: u64,
    /// When each channel's last change was.
    changed_ms: [Option<u64>; CHANNELS_MAX],
    /// The controller that spoke last, and its last numbers.
    last: Option<usize>,
    last_reading: Option<Key>,
    last_report: Option<Key>,
    counts: Counts,
    garbage: Rarely,
    strangers: Rarely,
}

/// Who is at the other end.
#[derive(Debug)]
enum Peer {
    Unknown,
    /// One that is not in the configuration.
    Stranger,
    Known(Known),
}

#[derive(Debug)]
struct Known {
    /// Its place among the controllers.
    index: usize,
    hello: Hello,
    configuring: Configuring,
}

#[derive(Debug)]
struct Waiting {
    key: Key,
    inputs: Vec<Input>,
    received_ms: u64,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    reading: ShelfReading,
    received_ms: u64,
}

/// What was handed on and is not answered.
#[derive(Debug)]
enum Handed {
    Report(Key),
    Readings(BTreeMap<Channel, Held>),
}

impl Conversation {
    /// A conversation on `port` with one of `controllers`.
    pub fn new(port: String, controllers: Arc<[Controller]>) -> Self {
        Self {
            port,
            controllers,
            decoder: Decoder::new(),
            peer: Peer::Unknown,
            heard_ms: 0,
            heard: None,
            asked: None,
            asked_times: 0,
            time_due_ms: 0,
            acknowledge: None,
            durable: None,
            waiting: None,
            readings: BTreeMap::new(),
            handed: None,
            readings_from_ms: 0,
            inputs_from_ms: 0,
            changed_ms: [None; CHANNELS_MAX],
            last: None,
            last_reading: None,
            last_report: None,
            counts: Counts::default(),
            garbage: Rarely::default(),
            strangers: Rarely::default(),
        }
    }

    fn handle_report(&mut self, report: Report, now: Now) {
        let stamp = match &report {
            Report::Hello(hello) => return self.handle_hello(hello, now),
            Report::Reading(reading) => reading.stamp,
            Report::Event(event) => event.stamp,
            Report::Fault(fault) => fault.stamp,
        };
        let known = match &self.peer {
            Peer::Known(known) if known.hello.boot == stamp.boot => known,
            peer => {
                self.counts.unidentified += 1;
                if matches!(peer, Peer::Known(_)) {
                    // It has started anew, and its greeting was lost.
                    self.forget_peer();
                }
                return;
            }
        };
        (self.heard, self.heard_ms) = (Some(known.index), now.mono_ms);
        let (serial, controller) = (known.hello.serial, &self.controllers[known.index]);
        match report {
            Report::Hello(_) => {}
            Report::Reading(reading) => {
                let told = told::reading(controller, &serial, &reading);
                self.handle_reading(&reading, told, now);
            }
            Report::Event(event) => {
                let age_ms = u64::from(stamp.age_ms.unwrap_or(0));
                let changed_ms = &mut self.changed_ms[usize::from(event.channel.number())];
                *changed_ms = Some(now.mono_ms.saturating_sub(age_ms)).max(*changed_ms);
                let told = told::event(controller, &serial, &event);
                self.drop_overtaken(event.channel);
                self.handle_kept(stamp, told, now);
            }
            Report::Fault(fault) => {
                let told = told::fault(controller, &serial, &fault);
                self.handle_kept(stamp, told, now);
            }
        }
    }

    fn handle_hello(&mut self, hello: &Hello, now: Now) {
        let Some(index) = self.controllers.iter().position(|c| c.serial_number == hello.serial) else {
            self.counts.unidentified += 1;
            if self.strangers.is_due(now.mono_ms) {
                tracing::error!(
                    port = self.port,
                    "shelf controller {} is not in gateway.toml: nothing that it says is taken. Add it under \
                     [[shelf_controllers]] with serial_number = {:?}",
                    hello.serial,
                    hello.serial.as_str()
                );
            }
            self.forget_peer();
            (self.peer, self.asked, self.asked_times) = (Peer::Stranger, Some(now.mono_ms), ASK_OFTEN);
            return;
        };
        let before = match std::mem::replace(&mut self.peer, Peer::Unknown) {
            Peer::Known(known) if known.index == index && known.hello.boot == hello.boot => Some(known),
            _ => None,
        };
        let controllers = self.controllers.clone();
        let controller = &controllers[index];
        let mut configuring = match before {
            Some(known) => known.configuring,
            None => {
                self.forget_peer();
                let port = &self.port;
                let (shelf, firmware, channels) = (controller.shelf, hello.firmware, hello.channels.len());
                tracing::info!(port, %shelf, "shelf controller {}, firmware {firmware}, {channels} channels", hello.serial);
                controller.warn_of_channels(port, hello);
                Configuring::default()
            }
        };
        if configuring.handle_hello(controller, hello, now.mono_ms) {
            self.counts.configurations_refused += 1;
            let in_force = hello.configuration;
            tracing::error!(port = self.port, shelf = %controller.shelf, ?in_force, "the shelf controller does not take its settings: change `settings` of {} in gateway.toml", hello.serial);
        }
        if self.last.replace(index) != Some(index) {
            (self.last_reading, self.last_report) = (None, None);
        }
        self.peer = Peer::Known(Known { index, hello: hello.clone(), configuring });
        (self.heard, self.heard_ms, self.asked_times) = (Some(index), now.mono_ms, 0);
        self.hold_readings(now);
    }

    fn handle_reading(&mut self, reading: &Reading, told: Option<ShelfReading>, now: Now) {
        let key = Key::of(reading.stamp);
        self.counts.readings_missed += key.missed_since(&mut self.last_reading);
        let Some(told) = told else {
            self.counts.unplaced += 1;
            return;
        };
        // What moves is no state yet.
        if told.settled {
            self.readings.insert(reading.channel, Held { reading: told, received_ms: now.mono_ms });
            self.drop_overtaken(reading.channel);
        }
    }

    /// An event or fault, which is repeated until it is acknowledged.
    fn handle_kept(&mut self, stamp: Stamp, inputs: Vec<Input>, now: Now) {
        let key = Key::of(stamp);
        self.hold_readings(now);
        if self.durable == Some(key) {
            self.counts.repeats += 1;
            self.acknowledge = Some(key);
            return;
        }
        if matches!(self.handed, Some(Handed::Report(handed)) if handed == key) {
            self.counts.repeats += 1;
            return;
        }
        let missed = key.missed_since(&mut self.last_report);
        if missed > 0 {
            self.counts.reports_missed += missed;
            tracing::warn!(
                port = self.port,
                missed,
                "the shelf controller has dropped events before they were acknowledged"
            );
        }
        if inputs.is_empty() {
            self.counts.unplaced += 1;
            (self.durable, self.acknowledge) = (Some(key), Some(key));
            return;
        }
        self.waiting = Some(Waiting { key, inputs, received_ms: now.mono_ms });
    }

    /// A reading from before a channel's last change is no news; in doubt it is taken for one, as the change tells the same.
    fn drop_overtaken(&mut self, channel: Channel) {
        if let Entry::Occupied(held) = self.readings.entry(channel) {
            let Held { reading, received_ms } = held.get();
            let measured_ms = received_ms.saturating_sub(u64::from(reading.age_ms));
            let changed_ms = self.changed_ms[usize::from(channel.number())];
            if changed_ms.is_some_and(|changed_ms| measured_ms < changed_ms + JITTER_MS) {
                held.remove();
            }
        }
    }

    fn hold_readings(&mut self, now: Now) {
        self.readings_from_ms = now.mono_ms + QUIET_MS;
    }

    fn forget_peer(&mut self) {
        self.peer = Peer::Unknown;
        (self.asked, self.asked_times) = (None, 0);
        (self.acknowledge, self.durable, self.waiting, self.handed) = (None, None, None, None);
        self.readings.clear();
        self.changed_ms = [None; CHANNELS_MAX];
        self.time_due_ms = 0;
    }

    /// Whether it is to be asked who it is, now.
    fn is_to_be_asked(&self, now_ms: u64) -> bool {
        let since_asked = self.asked.map_or(u64::MAX, |asked_ms| now_ms.saturating_sub(asked_ms));
        match self.peer {
            Peer::Unknown if self.asked_times < ASK_OFTEN => since_asked >= ASK_EVERY_MS,
            Peer::Unknown | Peer::Stranger => since_asked >= ASK_SELDOM_MS,
            Peer::Known(_) => {
                now_ms.saturating_sub(self.heard_ms) >= ASK_AFTER_MS && since_asked >= ASK_SELDOM_MS
            }
        }
    }

    fn command(&mut self, now: Now) -> Option<Command> {
        if let Some(Key { boot, counter }) = self.acknowledge.take() {
            return Some(Command::Acknowledge(Acknowledgement { boot, counter }));
        }
        if self.is_to_be_asked(now.mono_ms) {
            (self.asked, self.asked_times) = (Some(now.mono_ms), self.asked_times.saturating_add(1));
            return Some(Command::Identify);
        }
        let Peer::Known(Known { index, hello, configuring }) = &mut self.peer else { return None };
        if let Some(configuration) = configuring.poll(&self.controllers[*index], hello, now.mono_ms) {
            return Some(Command::Configure(configuration));
        }
        if now.mono_ms < self.time_due_ms {
            return None;
        }
        let is_known = now.source == event::Clock::Synced;
        self.time_due_ms = now.mono_ms + if is_known { TIME_EVERY_MS } else { TIME_AGAIN_MS };
        is_known.then(|| Command::Time { unix_ms: u64::try_from(now.utc.as_ms()).unwrap_or(0) })
    }
}

impl Dialogue for Conversation {
    fn handle_open(&mut self, _now: Now) {
        self.decoder = Decoder::new();
        self.forget_peer();
        self.inputs_from_ms = 0;
    }

    fn handle_octets(&mut self, octets: &[u8], now: Now) {
        for &octet in octets {
            match self.decoder.push(octet) {
                Some(Ok(Message::Report(report))) => self.handle_report(report, now),
                // An echo of the line.
                Some(Ok(Message::Command(_))) | None => {}
                Some(Err(discarded)) => {
                    self.counts.malformed += 1;
                    if self.garbage.is_due(now.mono_ms) {
                        let (port, in_all) = (&self.port, self.counts.malformed);
                        tracing::warn!(port, in_all, "{discarded}; are `baud` and the cable right?");
                    }
                }
            }
        }
    }

    fn handle_durable(&mut self, now: Now) {
        match self.handed.take() {
            Some(Handed::Report(key)) => {
                self.counts.reports += 1;
                (self.durable, self.acknowledge) = (Some(key), Some(key));
                self.hold_readings(now);
            }
            Some(Handed::Readings(readings)) => self.counts.readings += readings.len() as u64,
            None => {}
        }
    }

    fn handle_refused(&mut self, now: Now) {
        self.counts.refused += 1;
        self.inputs_from_ms = now.mono_ms + AGAIN_AFTER_MS;
        // An event comes again by itself.
        if let Some(Handed::Readings(readings)) = self.handed.take() {
            for (channel, held) in readings {
                self.readings.entry(channel).or_insert(held);
                self.drop_overtaken(channel);
            }
        }
    }

    fn poll_transmit(&mut self, now: Now) -> Option<Vec<u8>> {
        self.command(now).map(|command| Message::Command(command).encode().to_vec())
    }

    fn poll_input(&mut self, now: Now) -> Option<Vec<Input>> {
        if now.mono_ms < self.inputs_from_ms {
            return None;
        }
        if let Some(Waiting { key, mut inputs, received_ms }) = self.waiting.take() {
            self.handed = Some(Handed::Report(key));
            let waited_ms = now.mono_ms.saturating_sub(received_ms);
            inputs.iter_mut().for_each(|input| told::add_age(input, waited_ms));
            return Some(inputs);
        }
        if self.readings.is_empty() || now.mono_ms < self.readings_from_ms {
            return None;
        }
        let readings = std::mem::take(&mut self.readings);
        let input = |held: &Held| {
            let mut input = Input::Shelf(held.reading);
            told::add_age(&mut input, now.mono_ms.saturating_sub(held.received_ms));
            input
        };
        let inputs = readings.values().map(input).collect();
        self.handed = Some(Handed::Readings(readings));
        Some(inputs)
    }

    fn take_heard(&mut self) -> Option<usize> {
        self.heard.take()
    }

    fn counts(&self) -> Counts {
        self.counts
    }
}

#[cfg(test)]
mod tests;
