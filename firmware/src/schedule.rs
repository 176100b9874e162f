//! When a slot's next advertising event is due.
//!
//! Bluetooth Core Specification 5.4, Vol 6, Part B, section 4.4.2.2.1: events are `advInterval + advDelay`
//! apart. The interval is fixed; the delay is drawn for each event, so that beacons that once collided drift
//! apart. Both are whole milliseconds here, and the delay is one of 0, 1, ..., 10 ms.
//!
//! Each deadline is counted from the one before, never from the time at which an event was sent: waking up late
//! delays one event and shifts none. Events whose time has wholly passed are left out, not made up for.

use crate::Entropy;
use core::{fmt, num::NonZeroU32};

/// The longest advDelay.
const DELAY_MAX_MS: u32 = 10;

/// An advertising interval: 20 ms to an hour, in steps of 5 ms.
///
/// The specification counts in steps of 0.625 ms, of which every eighth is a whole millisecond, and goes on to
/// nearly three hours (HCI's older commands end at 10.24 s).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Interval(NonZeroU32);

/// An advertising interval is 20 ms to an hour, in steps of 5 ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct InvalidInterval;

impl fmt::Display for InvalidInterval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an advertising interval is 20 to 3600000 ms, in steps of 5 ms")
    }
}

impl core::error::Error for InvalidInterval {}

impl Interval {
    /// An hour.
    pub const MAX: Self = Self(NonZeroU32::MIN.saturating_add(3_600_000 - 1));

    /// Checks `ms`.
    ///
    /// # Errors
    /// [`InvalidInterval`]
    pub const fn from_ms(ms: u32) -> Result<Self, InvalidInterval> {
        match NonZeroU32::new(ms) {
            Some(checked) if ms >= 20 && ms <= Self::MAX.as_ms() && ms.is_multiple_of(5) => Ok(Self(checked)),
            _ => Err(InvalidInterval),
        }
    }

    /// The interval in ms.
    pub const fn as_ms(self) -> u32 {
        self.0.get()
    }

    /// `factor` times as long, at most an hour.
    pub(crate) fn stretched(self, factor: u8) -> Self {
        let ms = self.as_ms().saturating_mul(factor.max(1).into());
        Self::from_ms(ms).unwrap_or(Self::MAX)
    }
}

/// The deadlines of one slot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    due_ms: u64,
}

impl Schedule {
    /// Never due.
    pub(crate) const NEVER: Self = Self { due_ms: u64::MAX };

    /// The first event is due within an interval after `now_ms`, at a time drawn at random: beacons that one
    /// switch powers up, or one minute lets rotate, do not start together, and a board that resets again and
    /// again does not transmit at each start.
    pub(crate) fn scattered(interval: Interval, now_ms: u64, entropy: &mut impl Entropy) -> Self {
        Self { due_ms: now_ms.saturating_add(uniform(entropy, interval.as_ms()).into()) }
    }

    /// The first event is due now, but for its advDelay.
    pub(crate) fn soon(now_ms: u64, entropy: &mut impl Entropy) -> Self {
        Self { due_ms: now_ms.saturating_add(delay_ms(entropy)) }
    }

    /// When the next event is due.
    pub(crate) fn due_ms(&self) -> u64 {
        self.due_ms
    }

    /// Takes the due event as done at `now_ms` and moves on to the next that is still ahead. Returns how many
    /// were left out, because `now_ms` is past them too.
    pub(crate) fn advance(&mut self, interval: Interval, now_ms: u64, entropy: &mut impl Entropy) -> u32 {
        let interval_ms = u64::from(interval.as_ms());
        let next_ms = self.due_ms.saturating_add(interval_ms).saturating_add(delay_ms(entropy));
        let missed = match now_ms.checked_sub(next_ms) {
            Some(late_ms) => late_ms / core::num::NonZeroU64::from(interval.0) + 1,
            None => 0,
        };
        self.due_ms = next_ms.saturating_add(missed.saturating_mul(interval_ms));
        missed.try_into().unwrap_or(u32::MAX)
    }
}

/// An advDelay.
fn delay_ms(entropy: &mut impl Entropy) -> u64 {
    uniform(entropy, DELAY_MAX_MS + 1).into()
}

/// One of 0, 1, ..., `values` - 1, each equally likely: draws below 2^32 mod `values` are thrown away, which
/// leaves every remainder with as many draws as any other. For an advDelay a working source has to draw again once
/// in 10^9 times; one that is stuck ends with 0. No values: 0.
fn uniform(entropy: &mut impl Entropy, values: u32) -> u32 {
    const DRAWS_MAX: usize = 4;
    let Some(values) = NonZeroU32::new(values) else { return 0 };
    let surplus = values.get().wrapping_neg() % values; // 2^32 mod values
    let draw = (0..DRAWS_MAX).map(|_| entropy.next_u32()).find(|&draw| draw >= surplus);
    draw.unwrap_or(0) % values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Draws, Seeded};
    use std::vec::Vec;

    fn interval(ms: u32) -> Interval {
        Interval::from_ms(ms).unwrap()
    }

    #[test]
    fn intervals_are_20_ms_to_an_hour_in_steps_of_5_ms() {
        for ms in [20, 25, 100, 1_000, 10_240, 60_000, 3_600_000] {
            assert_eq!(Interval::from_ms(ms).map(Interval::as_ms), Ok(ms));
        }
        for ms in [0, 5, 15, 19, 21, 333, 3_600_001, 3_600_005, u32::MAX] {
            assert_eq!(Interval::from_ms(ms), Err(InvalidInterval), "{ms}");
        }
        assert_eq!(interval(1_000).stretched(4).as_ms(), 4_000);
        assert_eq!(interval(1_000).stretched(0).as_ms(), 1_000);
        assert_eq!(interval(3_000_000).stretched(255).as_ms(), 3_600_000);
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
    fn the_draws_kept_are_a_multiple_of_the_values() {
        assert_eq!(delay_ms(&mut Draws::new([0, 1, 3, 15])), 15 % 11);
        assert_eq!(delay_ms(&mut Draws::new([4])), 4);
        assert_eq!(delay_ms(&mut Draws::new([u32::MAX])), u64::from(u32::MAX % 11));
        assert_eq!((u64::from(u32::MAX) + 1 - 4) % 11, 0);
        let thousand_millions = 1_000_000_000;
        assert_eq!(uniform(&mut Draws::new([294_967_295, 294_967_296]), thousand_millions), 294_967_296);
        assert_eq!(uniform(&mut Draws::new([]), 0), 0);
    }

    #[test]
    fn a_stuck_source_of_entropy_does_not_stop_the_beacon() {
        assert_eq!(delay_ms(&mut Draws::new([0; 4])), 0);
    }

    #[test]
    fn deadlines_are_the_sum_of_intervals_and_delays_however_late_each_event_is() {
        let mut schedule = Schedule { due_ms: 7_000 };
        let (mut entropy, mut same, mut lateness) = (Seeded::new(2), Seeded::new(2), Seeded::new(3));
        let mut expected_ms = 7_000;
        for _ in 0..10_000 {
            let late_ms = u64::from(lateness.next_u32() % 100);
            assert_eq!(schedule.advance(interval(100), expected_ms + late_ms, &mut entropy), 0);
            expected_ms += 100 + delay_ms(&mut same);
            assert_eq!(schedule.due_ms(), expected_ms);
        }
    }

    #[test]
    fn events_wholly_passed_are_left_out_and_the_rhythm_is_kept() {
        let next = |now_ms| {
            let mut schedule = Schedule { due_ms: 1_000 };
            let missed = schedule.advance(interval(100), now_ms, &mut Draws::new([11]));
            (schedule.due_ms(), missed)
        };
        let table: Vec<_> = [0, 1_000, 1_099, 1_100, 1_199, 1_200, 4_650].map(next).into();
        assert_eq!(
            table,
            [(1_100, 0), (1_100, 0), (1_100, 0), (1_200, 1), (1_200, 1), (1_300, 2), (4_700, 36)]
        );
    }

    #[test]
    fn starts_are_scattered_over_the_whole_interval() {
        let mut entropy = Seeded::new(5);
        let mut starts = [0_u32; 10];
        for _ in 0..10_000 {
            let due_ms = Schedule::scattered(interval(1_000), 5_000, &mut entropy).due_ms();
            starts[((due_ms - 5_000) / 100) as usize] += 1;
        }
        assert!(starts.iter().all(|n| (900..1_100).contains(n)), "{starts:?}");
    }

    #[test]
    fn the_end_of_time_is_no_panic() {
        let mut schedule = Schedule { due_ms: u64::MAX - 5 };
        for now_ms in [0, u64::MAX, u64::MAX] {
            schedule.advance(interval(20), now_ms, &mut Seeded::new(4));
            assert_eq!(schedule.due_ms(), u64::MAX);
        }
        let mut schedule = Schedule { due_ms: 0 };
        assert_eq!(schedule.advance(interval(20), u64::MAX, &mut Seeded::new(4)), u32::MAX);
    }
}
