//! The beacon: what goes on air, and what is counted.
//!
//! An advertising event is one PDU on channels 37, 38 and 39. Events are numbered from 1; every
//! [`tlm_every`](Config::tlm_every)th carries Eddystone-TLM, the others iBeacon. Other frames, triggers and an
//! address that rotates are not here.
//!
//! The core has no loop of its own unless asked: a simulator calls [`Beacon::advertise`] at
//! [`Beacon::next_ms`], a board calls [`Beacon::run`], which does just that.

use crate::{
    Address, BatteryMonitor, BatteryReading, Channel, Clock, Entropy, Interval, Pdu, Radio,
    schedule::Schedule,
};
use core::ops::ControlFlow;
use vitrine_protocol::frame::{EddystoneTlm, IBeacon};

/// What a beacon sends. Every value of this type can be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// The address it sends from.
    pub address: Address,
    /// The advertising interval.
    pub interval: Interval,
    /// Transmit power in dBm, as asked of the radio.
    pub power_dbm: i8,
    /// The frame that says who it is.
    pub ibeacon: IBeacon,
    /// One event in this many carries telemetry: 1 for all, 0 for none.
    pub tlm_every: u16,
}

/// What happened since power-up. The counters wrap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// PDUs sent: three for an event that went well. Telemetry reports this one: Eddystone defines its count
    /// (ADV_CNT) as that of advertising PDUs, so it is three times that of events.
    pub pdus_sent: u32,
    /// PDUs that the radio failed to send.
    pub pdus_failed: u32,
    /// Events left out because the beacon was woken up too late for them.
    pub events_missed: u32,
}

/// A beacon with its radio, its entropy and its battery.
#[derive(Debug)]
pub struct Beacon<R, E, B> {
    config: Config,
    radio: R,
    entropy: E,
    battery: B,
    schedule: Schedule,
    start_ms: u64,
    /// Number of the event that is due. Where it wraps, one telemetry frame comes early or late.
    event: u32,
    reading: BatteryReading,
    counters: Counters,
}

/// What an event carries.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Slot {
    IBeacon,
    Tlm,
}

impl<R: Radio, E: Entropy, B: BatteryMonitor> Beacon<R, E, B> {
    /// A beacon powered up at `now_ms`, when its first event is due.
    pub fn new(config: Config, radio: R, entropy: E, battery: B, now_ms: u64) -> Self {
        Self {
            schedule: Schedule::new(config.interval, now_ms),
            config,
            radio,
            entropy,
            battery,
            start_ms: now_ms,
            event: 1,
            reading: BatteryReading::default(),
            counters: Counters::default(),
        }
    }

    /// When the next advertising event is due, on the scale of the `now_ms` given to [`new`](Self::new).
    pub fn next_ms(&self) -> u64 {
        self.schedule.due_ms()
    }

    /// Sends the event that is due, and schedules the next: later than `now_ms`, and at a whole number of
    /// intervals, plus advDelays, after the first. To be called at [`next_ms`](Self::next_ms) or as soon after
    /// as possible; events that `now_ms` is already past are left out and counted.
    ///
    /// The battery is measured after the event before each telemetry frame: right after transmitting, when a
    /// weak one shows. Where there was no such event (`tlm_every` is 1), the first frame reports no battery.
    ///
    /// # Errors
    /// The radio's first error. The other channels were tried all the same, the failures are counted, and the
    /// next event is scheduled: the caller may go on.
    pub fn advertise(&mut self, now_ms: u64) -> Result<(), R::Error> {
        let address = self.config.address;
        let pdu = match self.slot() {
            Slot::IBeacon => Pdu::nonconnectable(address, &self.config.ibeacon.encode()),
            Slot::Tlm => Pdu::nonconnectable(address, &self.telemetry(now_ms).encode()),
        };
        let outcome = self.transmit(&pdu);

        let missed = self.schedule.advance(now_ms, &mut self.entropy);
        self.counters.events_missed = self.counters.events_missed.wrapping_add(missed as u32);
        self.event = self.event.wrapping_add(1);
        if self.slot() == Slot::Tlm {
            self.reading = self.battery.sample();
        }
        outcome
    }

    /// Advertises on `clock`, which must count on the scale of [`new`](Self::new)'s `now_ms`. After each event
    /// `after` gets its outcome: the place to feed a watchdog, or to reset a radio that fails again and again.
    /// Returns only when `after` breaks.
    pub fn run<C: Clock, T>(
        &mut self,
        clock: &mut C,
        mut after: impl FnMut(&mut Self, Result<(), R::Error>) -> ControlFlow<T>,
    ) -> T {
        loop {
            clock.sleep_until(self.next_ms());
            let outcome = self.advertise(clock.now_ms());
            if let ControlFlow::Break(value) = after(self, outcome) {
                return value;
            }
        }
    }

    /// What happened since power-up.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The radio, to reset it or to read what a simulated one has sent.
    pub fn radio_mut(&mut self) -> &mut R {
        &mut self.radio
    }

    /// What the event that is due carries.
    fn slot(&self) -> Slot {
        match self.event.checked_rem(self.config.tlm_every.into()) {
            Some(0) => Slot::Tlm,
            _ => Slot::IBeacon,
        }
    }

    fn telemetry(&self, now_ms: u64) -> EddystoneTlm {
        EddystoneTlm {
            battery_mv: self.reading.battery_mv,
            temperature_c_256: self.reading.temperature_c_256,
            advertisements: self.counters.pdus_sent,
            uptime_ds: (now_ms.saturating_sub(self.start_ms) / 100) as u32, // wraps after 13 years
        }
    }

    fn transmit(&mut self, pdu: &Pdu) -> Result<(), R::Error> {
        let mut outcome = Ok(());
        for channel in Channel::ALL {
            match self.radio.transmit(channel, pdu, self.config.power_dbm) {
                Ok(()) => self.counters.pdus_sent = self.counters.pdus_sent.wrapping_add(1),
                Err(error) => {
                    self.counters.pdus_failed = self.counters.pdus_failed.wrapping_add(1);
                    outcome = outcome.and(Err(error));
                }
            }
        }
        outcome
    }
}

#[cfg(test)]
mod tests;
