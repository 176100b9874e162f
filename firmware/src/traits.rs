//! What a board supplies besides its [radio](crate::radio) and its [store](crate::store).
//!
//! None of these can fail: a part that is missing or broken has a value that says so.

use crate::Triggers;

/// Tells the time since power-up, and sleeps.
pub trait Clock {
    /// Milliseconds since a fixed moment, power-up as a rule. Never goes back and does not wrap.
    fn now_ms(&mut self) -> u64;

    /// Sleeps until [`now_ms`](Self::now_ms) is at least `deadline_ms`, or until an input fires, and returns the
    /// inputs that did; returns at once where the deadline has passed. A board without inputs returns
    /// [`Triggers::NONE`].
    ///
    /// The deadline is absolute on purpose: sleeping for a length instead adds the time spent awake to every
    /// interval, and the beacon runs slow.
    fn sleep_until(&mut self, deadline_ms: u64) -> Triggers;
}

/// A source of random numbers, for spreading transmissions in time and for addresses. Not used for keys.
pub trait Entropy {
    /// 32 bits, each value as likely as any other. Beacons next to each other need different sequences.
    fn next_u32(&mut self) -> u32;
}

/// Measures what telemetry reports.
pub trait BatteryMonitor {
    /// Measures now. Called right after a transmission, when a weak battery shows.
    fn sample(&mut self) -> BatteryReading;
}

/// One measurement of a [`BatteryMonitor`]. The default is a board that measures nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct BatteryReading {
    /// Battery voltage in mV; `None` where there is no battery, or it is not measured.
    pub battery_mv: Option<u16>,
    /// Temperature in 1/256 °C; `None` where it is not measured.
    pub temperature_c_256: Option<i16>,
}
