//! Which advertisement is due, and what it says: the beacon without its hardware.
//!
//! Each slot has a schedule of its own. How often a slot is sent depends on the moment: on inputs that last, on quiet
//! hours, on the battery. That is looked up whenever one of its events is due, so that a change takes effect with the
//! next event; only an input that begins brings an event forward.
//!
//! A rotating beacon changes identifier, address and rhythm together, before the first event in a new window: who
//! heard the old identifier finds neither its address nor its beat again.

use crate::{
    Address, BatteryReading, Cipher, Config, Content, Counters, Entropy, Interval, LowBattery, Pdu,
    QuietHours, Settings, Slot, Triggers,
    identity::Keys,
    pdu::AdvertisingData,
    schedule::Schedule,
    time::Calendar,
    trigger::{self, Active},
};
use vitrine_protocol::{
    frame::{Counter, EddystoneTlm},
    identity::{Aes128, seal},
};

/// How old a battery's reading may be when an event has been sent before another is taken.
const SAMPLE_EVERY_MS: u64 = 60_000;
/// How often at most a slot that keeps quiet looks whether it still has to.
const QUIET_STEP: Interval = match Interval::from_ms(10_000) {
    Ok(interval) => interval,
    Err(_) => Interval::MAX,
};

/// What goes on air: one PDU on all three channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) pdu: Pdu,
    pub(crate) power_dbm: i8,
}

/// The state of all slots.
#[derive(Debug)]
pub(crate) struct Advertiser<A> {
    config: Config,
    address: Address,
    calendar: Calendar,
    start_ms: u64,
    /// One for each slot; what is left over is never due.
    schedules: [Schedule; Settings::SLOTS_MAX],
    active: Active,
    battery: Battery,
    rotation: Option<Rotation<A>>,
    pub(crate) counters: Counters,
}

/// The last reading, and what follows from it.
#[derive(Clone, Copy, Debug, Default)]
struct Battery {
    reading: BatteryReading,
    next_sample_ms: u64,
    low: bool,
}

/// Of a beacon that rotates.
#[derive(Debug)]
struct Rotation<A> {
    keys: Keys<A>,
    /// Start of the window that address and rhythm were drawn for.
    window_start_s: u32,
}

impl<A: Aes128> Advertiser<A> {
    pub(crate) fn new(
        config: Config,
        address: Address,
        calendar: Calendar,
        cipher: Cipher<A>,
        now_ms: u64,
        entropy: &mut impl Entropy,
    ) -> Self {
        let keys = match &config.identity {
            Some(identity) if config.rotates() => Some(Keys::new(identity, cipher)),
            _ => None,
        };
        let mut advertiser = Self {
            schedules: [Schedule::NEVER; Settings::SLOTS_MAX],
            config,
            address,
            rotation: keys
                .map(|keys| Rotation { window_start_s: keys.window_start_s(calendar.time_s(now_ms)), keys }),
            calendar,
            start_ms: now_ms,
            active: Active::default(),
            battery: Battery::default(),
            counters: Counters::default(),
        };
        advertiser.begin(now_ms, entropy);
        advertiser
    }

    /// Draws when each slot is first due and, where the beacon rotates, its address.
    fn begin(&mut self, now_ms: u64, entropy: &mut impl Entropy) {
        if self.rotation.is_some() {
            self.address = random_address(entropy).unwrap_or(self.address);
        }
        let mut schedules = self.schedules;
        for (slot, schedule) in self.config.slots.iter().zip(&mut schedules) {
            *schedule = match self.pace(slot, now_ms) {
                Pace::Every(interval) | Pace::Quiet(interval) => {
                    Schedule::scattered(interval, now_ms, entropy)
                }
                Pace::Never => Schedule::NEVER,
            };
        }
        self.schedules = schedules;
    }

    /// Rotates where beacon time has come to another window.
    fn rotate(&mut self, now_ms: u64, entropy: &mut impl Entropy) {
        let time_s = self.calendar.time_s(now_ms);
        let Some(rotation) = &mut self.rotation else { return };
        let window_start_s = rotation.keys.window_start_s(time_s);
        if window_start_s != rotation.window_start_s {
            rotation.window_start_s = window_start_s;
            self.begin(now_ms, entropy);
        }
    }

    /// When the next event is due.
    pub(crate) fn next_ms(&self) -> u64 {
        self.schedules.iter().map(Schedule::due_ms).min().unwrap_or(u64::MAX)
    }

    pub(crate) fn calendar(&self) -> &Calendar {
        &self.calendar
    }

    /// Takes in inputs that fired: slots whose fast interval begins by it are due at once.
    pub(crate) fn fire(&mut self, fired: Triggers, now_ms: u64, entropy: &mut impl Entropy) {
        let begun = self.active.fire(fired, self.config.holds, now_ms);
        for (slot, schedule) in self.config.slots.iter().zip(&mut self.schedules) {
            if slot.fast.is_some_and(|fast| fast.on.meets(begun)) {
                let soon = Schedule::soon(now_ms, entropy);
                if soon.due_ms() < schedule.due_ms() {
                    *schedule = soon;
                }
            }
        }
    }

    /// The event to be sent now, if one is; its slot moves on to the next. `counter` is asked for a fresh counter
    /// where the event is a secure frame; without one that frame is left out.
    pub(crate) fn take(
        &mut self,
        now_ms: u64,
        entropy: &mut impl Entropy,
        counter: impl FnOnce(u32) -> Option<Counter>,
    ) -> Option<Event> {
        self.rotate(now_ms, entropy);
        let due = self.schedules.iter().enumerate().min_by_key(|(_, schedule)| schedule.due_ms());
        let index = due.filter(|(_, schedule)| schedule.due_ms() <= now_ms)?.0;
        let pace = self.pace(self.config.slots.get(index)?, now_ms);
        let schedule = self.schedules.get_mut(index)?;
        match pace {
            Pace::Every(interval) => {
                let missed = schedule.advance(interval, now_ms, entropy);
                self.counters.events_missed = self.counters.events_missed.wrapping_add(missed);
            }
            Pace::Quiet(interval) => {
                schedule.advance(interval, now_ms, entropy);
                self.counters.events_quiet = self.counters.events_quiet.wrapping_add(1);
                return None;
            }
            Pace::Never => {
                *schedule = Schedule::NEVER;
                return None;
            }
        }
        let slot = self.config.slots.get(index)?;
        let pdu = match &slot.content {
            Content::Fixed(data) => Pdu::nonconnectable(self.address, data),
            rendered => Pdu::nonconnectable(self.address, &self.render(rendered, now_ms, entropy, counter)?),
        };
        Some(Event { pdu, power_dbm: slot.power_dbm })
    }

    /// Whether the battery is to be measured now that an event has been sent.
    pub(crate) fn wants_sample(&self, now_ms: u64) -> bool {
        now_ms >= self.battery.next_sample_ms
    }

    /// Takes in what was measured.
    pub(crate) fn sampled(&mut self, reading: BatteryReading, now_ms: u64) {
        let low = match (self.config.low_battery, reading.battery_mv) {
            (Some(LowBattery { below_mv, .. }), Some(mv)) => {
                let recovery_mv = if self.battery.low { LowBattery::RECOVERY_MV } else { 0 };
                mv < below_mv.saturating_add(recovery_mv)
            }
            _ => false,
        };
        self.battery = Battery { reading, next_sample_ms: now_ms.saturating_add(SAMPLE_EVERY_MS), low };
    }

    /// How often the slot is sent as things are.
    fn pace(&self, slot: &Slot, now_ms: u64) -> Pace {
        let stretch = match self.config.low_battery {
            Some(low) if self.battery.low => low.stretch,
            _ => 1,
        };
        match (slot.fast, slot.interval) {
            (Some(fast), _) if fast.on.meets(self.active.at(now_ms)) => {
                Pace::Every(fast.interval.stretched(stretch))
            }
            (_, None) => Pace::Never,
            (_, Some(interval)) if self.is_quiet(now_ms) => Pace::Quiet(interval.max(QUIET_STEP)),
            (_, Some(interval)) => Pace::Every(interval.stretched(stretch)),
        }
    }

    fn is_quiet(&self, now_ms: u64) -> bool {
        let covers = |quiet: QuietHours| quiet.covers(self.calendar.time_s(now_ms));
        self.calendar.is_certain() && self.config.quiet.is_some_and(covers)
    }

    /// Content that is made when it is sent.
    fn render(
        &self,
        content: &Content,
        now_ms: u64,
        entropy: &mut impl Entropy,
        counter: impl FnOnce(u32) -> Option<Counter>,
    ) -> Option<AdvertisingData> {
        let time_s = self.calendar.time_s(now_ms);
        let keys = self.rotation.as_ref().map(|rotation| &rotation.keys);
        let data: &[u8] = match content {
            Content::Fixed(data) => data,
            Content::Tlm => &self.telemetry(now_ms).encode(),
            Content::Eid { tx_power_dbm } => &keys?.eid(time_s, *tx_power_dbm).encode(),
            Content::Etlm => {
                let [a, b, ..] = entropy.next_u32().to_le_bytes();
                &keys?.etlm(time_s, [a, b], &self.telemetry(now_ms)).encode()
            }
            Content::Secure { company } => {
                &keys?.seal(time_s, counter(time_s)?, &self.sealed_telemetry(now_ms))?.encode(*company)
            }
        };
        data.try_into().ok()
    }

    fn telemetry(&self, now_ms: u64) -> EddystoneTlm {
        EddystoneTlm {
            battery_mv: self.battery.reading.battery_mv,
            temperature_c_256: self.battery.reading.temperature_c_256,
            advertisements: self.counters.pdus_sent,
            uptime_ds: (now_ms.saturating_sub(self.start_ms) / 100) as u32, // wraps after 13 years
        }
    }

    fn sealed_telemetry(&self, now_ms: u64) -> seal::Telemetry {
        let active = self.active.at(now_ms);
        seal::Telemetry {
            battery_mv: self.battery.reading.battery_mv,
            temperature_c_256: self.battery.reading.temperature_c_256,
            state: seal::State {
                moving: active.meets(Triggers::MOTION),
                button_held: active.meets(Triggers::BUTTON),
                contact_open: active.meets(Triggers::CONTACT),
                presence: active.meets(Triggers::PRESENCE),
                battery_low: self.battery.low,
                clock_restored: !self.calendar.is_certain(),
            },
            trigger: self.active.latest().and_then(trigger::sealed),
            triggers: self.active.count(),
        }
    }
}

/// Two draws; `None` once in 10^13 times.
fn random_address(entropy: &mut impl Entropy) -> Option<Address> {
    let [a, b, c, d] = entropy.next_u32().to_le_bytes();
    let [e, f, ..] = entropy.next_u32().to_le_bytes();
    Address::non_resolvable([a, b, c, d, e, f]).ok()
}

/// How often a slot is sent.
enum Pace {
    /// At this interval.
    Every(Interval),
    /// Not for now; look again after this interval.
    Quiet(Interval),
    /// Not until an input fires.
    Never,
}
