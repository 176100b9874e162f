//! A shelf controller after [`vitrine_protocol::shelf`], without a line: octets and time in, octets out.
//!
//! It keeps its counters and its events over a restart, as one with a battery does.

use std::collections::{BTreeMap, VecDeque};
use vitrine_protocol::shelf::{
    Acknowledgement, Change, Channel, Command, Configuration, Decoder, Event, Fault, FaultReport, Hello,
    Message, Quantity, RETRY_MS, Reading, Report, Stamp, Text, Unit,
};

const READING_EVERY_MS: u64 = 1_000;

/// A controller of scales.
#[derive(Debug)]
pub struct ShelfController {
    serial: Text,
    boot: u32,
    /// Grams, by channel.
    channels: Vec<i32>,
    /// The configuration in force.
    pub configuration: Option<Configuration>,
    /// Whether it takes a configuration.
    pub is_obedient: bool,
    decoder: Decoder,
    greets: bool,
    /// Events and faults that are not acknowledged, and when each was.
    kept: VecDeque<(Report, u64)>,
    /// What was acknowledged, in order.
    pub acknowledged: Vec<Acknowledgement>,
    /// The time that it was told.
    pub time_ms: Option<u64>,
    counter: u64,
    readings: u64,
    repeat_from_ms: u64,
    reading_from_ms: BTreeMap<u8, u64>,
}

impl ShelfController {
    /// One with scales that carry `grams`.
    pub fn new(serial: &str, boot: u32, grams: &[i32]) -> Self {
        Self {
            serial: Text::from(serial).unwrap(),
            boot,
            channels: grams.to_vec(),
            configuration: None,
            is_obedient: true,
            decoder: Decoder::new(),
            greets: true,
            kept: VecDeque::new(),
            acknowledged: Vec::new(),
            time_ms: None,
            counter: 0,
            readings: 0,
            repeat_from_ms: 0,
            reading_from_ms: BTreeMap::new(),
        }
    }

    /// The load of a channel is another one: an event.
    pub fn put(&mut self, channel: u8, grams: i32, now_ms: u64) {
        let before = std::mem::replace(&mut self.channels[usize::from(channel)], grams);
        let (before, after) = (Quantity::Grams(before), Quantity::Grams(grams));
        let (stamp, channel) = (self.stamp(), Channel::new(channel).unwrap());
        let change = Change::Step { before, after };
        self.kept.push_back((Report::Event(Event { stamp, channel, change }), now_ms));
    }

    /// Something is wrong.
    pub fn fail(&mut self, channel: Option<u8>, fault: Fault, now_ms: u64) {
        let (stamp, channel) = (self.stamp(), channel.map(|channel| Channel::new(channel).unwrap()));
        let report = FaultReport { stamp, channel, fault, active: true };
        self.kept.push_back((Report::Fault(report), now_ms));
    }

    /// It starts anew, and greets.
    pub fn restart(&mut self) {
        (self.greets, self.decoder, self.repeat_from_ms) = (true, Decoder::new(), 0);
    }

    /// Whether all that it had to say is acknowledged.
    pub fn is_done(&self) -> bool {
        self.kept.is_empty()
    }

    /// Octets came from the gateway.
    pub fn handle_octets(&mut self, octets: &[u8]) {
        for &octet in octets {
            let Some(Ok(Message::Command(command))) = self.decoder.push(octet) else { continue };
            match command {
                Command::Identify => self.greets = true,
                Command::Configure(configuration) => {
                    self.greets = true;
                    if self.is_obedient && configuration.channels.len() == self.channels.len() {
                        self.configuration = Some(configuration);
                    }
                }
                Command::Acknowledge(acknowledgement) => {
                    let Acknowledgement { boot, counter } = acknowledgement;
                    let is_oldest = |(report, _): &(Report, u64)| {
                        let stamp = stamp_of(report);
                        (stamp.boot, stamp.counter) == (boot, counter)
                    };
                    if self.kept.front().is_some_and(is_oldest) {
                        self.kept.pop_front();
                        self.acknowledged.push(acknowledgement);
                        self.repeat_from_ms = 0;
                    }
                }
                Command::Time { unix_ms } => self.time_ms = Some(unix_ms),
            }
        }
    }

    /// The next frame that it sends.
    pub fn poll_transmit(&mut self, now_ms: u64) -> Option<Vec<u8>> {
        let report = self.report(now_ms)?;
        Some(Message::Report(report).encode().to_vec())
    }

    fn report(&mut self, now_ms: u64) -> Option<Report> {
        if std::mem::take(&mut self.greets) {
            return Some(Report::Hello(Hello {
                serial: self.serial,
                hardware: Text::from("model").unwrap(),
                firmware: Text::from("1.0").unwrap(),
                boot: self.boot,
                configuration: self.configuration.as_ref().map(|configuration| configuration.revision),
                channels: self.channels.iter().map(|_| Unit::Grams).collect(),
            }));
        }
        if let Some((report, at_ms)) = self.kept.front()
            && now_ms >= self.repeat_from_ms
        {
            self.repeat_from_ms = now_ms + u64::from(RETRY_MS);
            let mut report = report.clone();
            stamp_of_mut(&mut report).age_ms = u32::try_from(now_ms - at_ms).ok();
            return Some(report);
        }
        for (number, &grams) in (0..).zip(&self.channels) {
            let from_ms = self.reading_from_ms.entry(number).or_default();
            if now_ms >= *from_ms {
                *from_ms = now_ms + READING_EVERY_MS;
                self.readings += 1;
                let stamp = Stamp { boot: self.boot, counter: self.readings, age_ms: Some(0) };
                let (channel, quantity) = (Channel::new(number).unwrap(), Quantity::Grams(grams));
                return Some(Report::Reading(Reading { stamp, channel, quantity, stable: true }));
            }
        }
        None
    }

    fn stamp(&mut self) -> Stamp {
        self.counter += 1;
        Stamp { boot: self.boot, counter: self.counter, age_ms: None }
    }
}

fn stamp_of(report: &Report) -> Stamp {
    stamp_of_mut(&mut report.clone()).to_owned()
}

fn stamp_of_mut(report: &mut Report) -> &mut Stamp {
    match report {
        Report::Reading(reading) => &mut reading.stamp,
        Report::Event(event) => &mut event.stamp,
        Report::Fault(fault) => &mut fault.stamp,
        Report::Hello(_) => unreachable!("a greeting is not kept"),
    }
}
