//! When the next advertising event is due.
//!
//! Bluetooth Core Specification 5.4, Vol 6, Part B, section 4.4.2.2.1: events are `advInterval + advDelay`
//! apart. The interval is fixed; the delay is drawn for each event, so that beacons that once collided drift
//! apart. Both are whole milliseconds here, and the delay is one of 0, 1, ..., 10 ms.
//!
//! Each deadline is counted from the one before, never from the time at which an event was sent: waking up late
//! delays one event and shifts none. Events whose time has wholly passed are left out, not made up for.

use crate::Entropy;
use core::{fmt, num::NonZeroU16, num::NonZeroU64};

/// The longest advDelay.
const DELAY_MAX_MS: u32 = 10;

/// An advertising interval: 20 ms to 10.24 s, in steps of 5 ms.
///
/// The specification counts in steps of 0.625 ms, of which every eighth is a whole millisecond, and 10.24 s is
/// what HCI can express.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval(NonZeroU16);

/// An advertising interval is 20 ms to 10 240 ms, in steps of 5 ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidInterval;

impl fmt::Display for InvalidInterval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an advertising interval is 20 to 10240 ms, in steps of 5 ms")
    }
}

impl core::error::Error for InvalidInterval {}

impl Interval {
    /// Checks `ms`.
    ///
    /// # Errors
    /// [`InvalidInterval`]
    pub const fn from_ms(ms: u16) -> Result<Self, InvalidInterval> {
        match NonZeroU16::new(ms) {
            Some(checked) if ms >= 20 && ms <= 10_240 && ms.is_multiple_of(5) => Ok(Self(checked)),
            _ => Err(InvalidInterval),
        }
    }

    /// The interval in ms.
    pub const fn as_ms(self) -> u16 {
        self.0.get()
    }
}

/// The deadlines of one beacon.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    interval_ms: NonZeroU64,
    due_ms: u64,
}

impl Schedule {
    /// The first event is due at `start_ms`.
    pub(crate) fn new(interval: Interval, start_ms: u64) -> Self {
        Self { interval_ms: interval.0.into(), due_ms: start_ms }
    }

    /// When the next event is due.
    pub(crate) fn due_ms(&self) -> u64 {
        self.due_ms
    }

    /// Takes the due event as sent at `now_ms` and moves on to the next that is still ahead. Returns how many
    /// were left out, because `now_ms` is past them too.
    pub(crate) fn advance(&mut self, now_ms: u64, entropy: &mut impl Entropy) -> u64 {
        let next_ms = self.due_ms.saturating_add(self.interval_ms.get()).saturating_add(delay_ms(entropy));
        let missed = match now_ms.checked_sub(next_ms) {
            Some(late_ms) => late_ms / self.interval_ms + 1,
            None => 0,
        };
        self.due_ms = next_ms.saturating_add(missed.saturating_mul(self.interval_ms.get()));
        missed
    }
}

/// An advDelay, each value equally likely: draws below `SURPLUS` are thrown away, which leaves every remainder
/// with as many draws as any other. A working source does so once in 10^9 draws; one that is stuck ends with 0.
fn delay_ms(entropy: &mut impl Entropy) -> u64 {
    const VALUES: u32 = DELAY_MAX_MS + 1;
    const SURPLUS: u32 = (u32::MAX % VALUES + 1) % VALUES; // 2^32 mod VALUES
    const DRAWS_MAX: usize = 4;
    let draw = (0..DRAWS_MAX).map(|_| entropy.next_u32()).find(|&draw| draw >= SURPLUS);
    u64::from(draw.unwrap_or(0) % VALUES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Draws, Seeded};
    use std::vec::Vec;

    #[test]
    fn intervals_are_20_ms_to_10_24_s_in_steps_of_5_ms() {
        for ms in [20, 25, 100, 1_000, 10_240] {
            assert_eq!(Interval::from_ms(ms).map(Interval::as_ms), Ok(ms));
        }
        for ms in [0, 5, 15, 19, 21, 333, 10_241, 10_245, u16::MAX] {
            assert_eq!(Interval::from_ms(ms), Err(InvalidInterval), "{ms}");
        }
    }

    #[test]
    fn delays_are_uniform_over_0_to_10_ms() {
        let mut counts = [0_u32; 11];
        let mut entropy = Seeded::new(1);
        for _ in 0..110_000 {
            counts[delay_ms(&mut entropy) as usize] += 1; // panics above 10
        }
        let chi_square: f64 = counts.iter().map(|&n| (f64::from(n) - 10_000.0).powi(2) / 10_000.0).sum();
        assert!(chi_square < 29.6, "{chi_square} for {counts:?}: p < 0.001 with 10 degrees of freedom");
    }

    /// Exactly: of the 2^32 draws, four are thrown away and the others are a whole number of rounds over 0..=10.
    #[test]
    fn the_draws_kept_are_a_multiple_of_eleven() {
        assert_eq!(delay_ms(&mut Draws::new([0, 1, 3, 15])), 15 % 11);
        assert_eq!(delay_ms(&mut Draws::new([4])), 4);
        assert_eq!(delay_ms(&mut Draws::new([u32::MAX])), u64::from(u32::MAX % 11));
        assert_eq!((u64::from(u32::MAX) + 1 - 4) % 11, 0);
    }

    #[test]
    fn a_stuck_source_of_entropy_does_not_stop_the_beacon() {
        assert_eq!(delay_ms(&mut Draws::new([0; 4])), 0);
    }

    #[test]
    fn deadlines_are_the_sum_of_intervals_and_delays_however_late_each_event_is() {
        let interval = Interval::from_ms(100).unwrap();
        let mut schedule = Schedule::new(interval, 7_000);
        let (mut entropy, mut same, mut lateness) = (Seeded::new(2), Seeded::new(2), Seeded::new(3));
        let mut expected_ms = 7_000;
        for _ in 0..10_000 {
            let late_ms = u64::from(lateness.next_u32() % 100);
            assert_eq!(schedule.advance(expected_ms + late_ms, &mut entropy), 0);
            expected_ms += 100 + delay_ms(&mut same);
            assert_eq!(schedule.due_ms(), expected_ms);
        }
    }

    #[test]
    fn events_wholly_passed_are_left_out_and_the_rhythm_is_kept() {
        let next = |now_ms| {
            let mut schedule = Schedule::new(Interval::from_ms(100).unwrap(), 1_000);
            let missed = schedule.advance(now_ms, &mut Draws::new([11]));
            (schedule.due_ms(), missed)
        };
        let table: Vec<_> = [0, 1_000, 1_099, 1_100, 1_199, 1_200, 4_650].map(next).into();
        assert_eq!(
            table,
            [(1_100, 0), (1_100, 0), (1_100, 0), (1_200, 1), (1_200, 1), (1_300, 2), (4_700, 36)]
        );
    }

    #[test]
    fn the_end_of_time_is_no_panic() {
        let mut schedule = Schedule::new(Interval::from_ms(20).unwrap(), u64::MAX - 5);
        for now_ms in [0, u64::MAX, u64::MAX] {
            schedule.advance(now_ms, &mut Seeded::new(4));
            assert_eq!(schedule.due_ms(), u64::MAX);
        }
        let mut schedule = Schedule::new(Interval::from_ms(20).unwrap(), 0);
        assert!(schedule.advance(u64::MAX, &mut Seeded::new(4)) > u64::MAX / 21);
    }
}
