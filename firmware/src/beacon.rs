//! The beacon: the advertiser with its radio, its entropy, its battery and its store.
//!
//! An advertising event is one PDU on channels 37, 38 and 39. A simulator calls [`Beacon::advertise`] at
//! [`Beacon::next_ms`]; a board calls [`Beacon::step`] for ever, which sleeps in between.

use crate::{
    Address, BatteryMonitor, Channel, Cipher, Clock, Config, Entropy, Error, Radio, Store, Triggers,
    advertiser::{Advertiser, Event},
    store::NoStore,
    time::{Calendar, LOG_EVERY_S, Log, Start},
};
use vitrine_protocol::{
    frame::Counter,
    identity::{
        Aes128, SoftwareAes,
        sequence::{Reservation, Sequence},
    },
};

/// How long [`Beacon::step`] sleeps at most: a watchdog's time-out must be longer, 30 s for instance.
pub const STEP_MAX_MS: u64 = 10_000;

/// After that many events of which no PDU was sent, one after the other, a beacon is not
/// [healthy](Beacon::is_healthy).
const FAILED_EVENTS_MAX: u8 = 8;

/// What happened since power-up. The counters wrap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Counters {
    /// PDUs sent: three for an event that went well. Telemetry reports this one: Eddystone defines its count
    /// (ADV_CNT) as that of advertising PDUs, so it is three times that of events.
    pub pdus_sent: u32,
    /// PDUs that the radio failed to send.
    pub pdus_failed: u32,
    /// Events left out because the beacon was woken up too late for them.
    pub events_missed: u32,
    /// Events left out in quiet hours.
    pub events_quiet: u32,
    /// Entries of the clock's log that the store failed to take.
    pub entries_failed: u32,
}

/// The parts of a beacon that a board supplies, but for its clock.
#[derive(Clone, Copy, Debug)]
pub struct Parts<R, E, B, S = NoStore, A = SoftwareAes> {
    /// The radio.
    pub radio: R,
    /// The source of random numbers.
    pub entropy: E,
    /// What measures battery and temperature.
    pub battery: B,
    /// The flash; [`NoStore`] where there is none.
    pub store: S,
    /// The AES for rotating identities.
    pub cipher: Cipher<A>,
}

/// A beacon.
#[derive(Debug)]
pub struct Beacon<R, E, B, S = NoStore, A = SoftwareAes> {
    advertiser: Advertiser<A>,
    parts: Parts<R, E, B, S, A>,
    /// `None` where there is no store.
    log: Option<Log>,
    sequence: Sequence,
    /// Beacon time when an entry of the log is due.
    log_due_s: u32,
    /// In a row.
    failed_events: u8,
}

impl<R, E: Entropy, B: BatteryMonitor, S: Store, A: Aes128> Beacon<R, E, B, S, A> {
    /// A beacon powered up at `now_ms`. Each slot's first event is due within its interval, at random. `address` is
    /// the beacon's own; one that rotates does not use it.
    pub fn new(
        config: Config,
        address: Address,
        mut parts: Parts<R, E, B, S, A>,
        start: Start,
        now_ms: u64,
    ) -> Self {
        let Start { calendar, log } = start;
        Self {
            advertiser: Advertiser::new(config, address, calendar, parts.cipher, now_ms, &mut parts.entropy),
            parts,
            log,
            sequence: Sequence::resume(log.and_then(|log| log.last())),
            log_due_s: calendar.time_s(now_ms),
            failed_events: 0,
        }
    }

    /// When the next advertising event is due, on the scale of the `now_ms` given to [`new`](Self::new). Inputs may
    /// bring it forward.
    pub fn next_ms(&self) -> u64 {
        self.advertiser.next_ms()
    }

    /// Takes in inputs that fired.
    pub fn trigger(&mut self, fired: Triggers, now_ms: u64) {
        self.advertiser.fire(fired, now_ms, &mut self.parts.entropy);
    }

    /// Whether the radio works. A board feeds its watchdog only while it does, and so starts anew where it does not.
    pub fn is_healthy(&self) -> bool {
        self.failed_events < FAILED_EVENTS_MAX
    }

    /// What happened since power-up.
    pub fn counters(&self) -> Counters {
        self.advertiser.counters
    }

    /// The beacon's time.
    pub fn calendar(&self) -> &Calendar {
        self.advertiser.calendar()
    }

    /// The radio, to reset it or to read what a simulated one has sent.
    pub fn radio_mut(&mut self) -> &mut R {
        &mut self.parts.radio
    }

    /// Takes in how the PDUs of an event went, and does what is to be done after one.
    pub(crate) fn finish(&mut self, sent: u8, failed: u8, now_ms: u64) {
        let counters = &mut self.advertiser.counters;
        counters.pdus_sent = counters.pdus_sent.wrapping_add(sent.into());
        counters.pdus_failed = counters.pdus_failed.wrapping_add(failed.into());
        self.failed_events = if sent > 0 { 0 } else { self.failed_events.saturating_add(1) };
        if self.advertiser.wants_sample(now_ms) {
            self.advertiser.sampled(self.parts.battery.sample(), now_ms);
        }
    }

    pub(crate) fn take(&mut self, now_ms: u64) -> Option<Event> {
        let Self { advertiser, parts, log, sequence, .. } = self;
        let mut failed = 0;
        let counter = |time_s| -> Option<Counter> {
            let log = log.as_mut()?;
            let taken = sequence.take(time_s, |reservation| log.append(&mut parts.store, reservation));
            failed = u32::from(taken.is_err());
            taken.ok()
        };
        let event = advertiser.take(now_ms, &mut parts.entropy, counter);
        advertiser.counters.entries_failed = advertiser.counters.entries_failed.wrapping_add(failed);
        event
    }

    /// Logs the beacon's time where it is time to.
    pub(crate) fn keep_time(&mut self, now_ms: u64) {
        let time_s = self.advertiser.calendar().time_s(now_ms);
        let Some(log) = &mut self.log else { return };
        if time_s < self.log_due_s {
            return;
        }
        self.log_due_s = time_s.saturating_add(LOG_EVERY_S);
        let ceiling = log.last().map_or(Counter::default(), |entry| entry.ceiling);
        if log.append(&mut self.parts.store, Reservation { ceiling, time_s }).is_err() {
            let counters = &mut self.advertiser.counters;
            counters.entries_failed = counters.entries_failed.wrapping_add(1);
        }
    }
}

impl<R: Radio, E: Entropy, B: BatteryMonitor, S: Store, A: Aes128> Beacon<R, E, B, S, A> {
    /// Sends the event that is due, if one is: to be called at [`next_ms`](Self::next_ms) or as soon after as
    /// possible. Where several slots are due, one is sent and [`next_ms`](Self::next_ms) has passed still. Events of
    /// a slot that `now_ms` is already past are left out and counted.
    ///
    /// Afterwards the battery is measured where a minute has passed since it last was: right after transmitting,
    /// when a weak one shows.
    ///
    /// # Errors
    /// [`Error::Radio`], the first. The other channels were tried all the same, the failures are counted, and the
    /// next event is scheduled: the caller may go on.
    pub fn advertise(&mut self, now_ms: u64) -> Result<(), Error<R::Error>> {
        let mut outcome = Ok(());
        if let Some(event) = self.take(now_ms) {
            let (mut sent, mut failed) = (0, 0);
            self.parts.radio.wake();
            for channel in Channel::ALL {
                match self.parts.radio.transmit(channel, &event.pdu, event.power_dbm) {
                    Ok(()) => sent += 1,
                    Err(cause) => {
                        failed += 1;
                        outcome = outcome.and(Err(Error::Radio { channel, cause }));
                    }
                }
            }
            self.parts.radio.rest();
            self.finish(sent, failed, now_ms);
        }
        self.keep_time(now_ms);
        outcome
    }

    /// Sleeps until something is to be done, [`STEP_MAX_MS`] at most, and does it. A board calls this for ever, and
    /// each time feeds its watchdog if the beacon [is healthy](Self::is_healthy). `clock` counts on the scale of
    /// [`new`](Self::new)'s `now_ms`.
    ///
    /// # Errors
    /// As [`advertise`](Self::advertise).
    pub fn step<C: Clock>(&mut self, clock: &mut C) -> Result<(), Error<R::Error>> {
        let deadline_ms = self.next_ms().min(clock.now_ms().saturating_add(STEP_MAX_MS));
        let fired = clock.sleep_until(deadline_ms);
        let now_ms = clock.now_ms();
        if !fired.is_none() {
            self.trigger(fired, now_ms);
        }
        self.advertise(now_ms)
    }
}

#[cfg(test)]
mod tests;
