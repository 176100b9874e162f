//! Frames heard before: the same transmission through another receiver, or a recording played back.
//!
//! One [`ReplayGuard`] for each beacon sees its secure frames after they were opened. A frame is new if its
//! counter is ahead of the highest so far; the [`LATE`] counters behind that one are remembered one by one,
//! since receivers and relays deliver out of order. "Ahead" is by serial numbers (RFC 1982): less than half a
//! round of 2^24. A beacon away for so long that its counter seems to be behind (46 h at 20 ms, 97 days at 1 s)
//! shows a later window than any before, and that cannot be a repetition either.
//!
//! What it cannot see: a frame recorded where no receiver of ours heard it, played while its window lasts.
//! After a restart of the gateway it begins anew; keep [`ReplayGuard`]s over a restart where that matters.

use crate::frame::Counter;

/// Counters behind the highest that may still come in.
pub const LATE: u32 = 64;

const HALF_ROUND: u32 = Counter::COUNT / 2;

/// What a frame is, by its counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Heard for the first time.
    Fresh,
    /// A recent frame once more: another receiver or channel. Good for RSSI, not for telemetry.
    Duplicate,
    /// From the past: a recording. Not to be used.
    Replayed,
}

/// What one beacon has sent so far. 24 octets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReplayGuard {
    newest: Option<Newest>,
    /// Bit n: the counter n behind the newest was heard.
    heard: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Newest {
    counter: Counter,
    /// The latest window seen, in the beacon's time.
    window_start_s: u32,
}

impl ReplayGuard {
    /// Judges a frame that was opened with the window at `window_start_s`, and remembers it.
    pub fn handle(&mut self, window_start_s: u32, counter: Counter) -> Verdict {
        let Some(newest) = &mut self.newest else {
            *self = Self { newest: Some(Newest { counter, window_start_s }), heard: 1 };
            return Verdict::Fresh;
        };
        let later = is_later(window_start_s, newest.window_start_s);
        if later {
            newest.window_start_s = window_start_s;
        }
        let ahead = counter.since(newest.counter);
        let behind = newest.counter.since(counter);
        if 0 < ahead && ahead < HALF_ROUND {
            newest.counter = counter;
            self.heard = self.heard.checked_shl(ahead).unwrap_or(0) | 1;
            Verdict::Fresh
        } else if behind < LATE {
            let bit = 1 << behind;
            let known = self.heard & bit != 0;
            self.heard |= bit;
            if known { Verdict::Duplicate } else { Verdict::Fresh }
        } else if later {
            newest.counter = counter;
            self.heard = 1;
            Verdict::Fresh
        } else {
            Verdict::Replayed
        }
    }
}

/// Whether one time of a clock of 32 bits is later than another, by serial numbers.
fn is_later(time_s: u32, than_s: u32) -> bool {
    (time_s.wrapping_sub(than_s) as i32) > 0
}

#[cfg(test)]
mod tests {
    use super::{Verdict::*, *};
    use proptest::prelude::*;

    fn guard(heard: &[(u32, u32)]) -> ReplayGuard {
        let mut guard = ReplayGuard::default();
        for &(window, counter) in heard {
            guard.handle(window * 1024, Counter::wrapping(counter));
        }
        guard
    }

    #[track_caller]
    fn check(heard: &[(u32, u32)], (window, counter): (u32, u32), verdict: Verdict) {
        assert_eq!(guard(heard).handle(window * 1024, Counter::wrapping(counter)), verdict);
    }

    #[test]
    fn counters_rise_within_a_window() {
        check(&[], (1, 9), Fresh);
        check(&[(1, 9)], (1, 10), Fresh);
        check(&[(1, 9)], (1, 5000), Fresh);
        check(&[(1, 9)], (1, 9), Duplicate);
        check(&[(1, 5000)], (1, 9), Replayed);
    }

    #[test]
    fn what_is_late_passes_once() {
        check(&[(1, 100)], (1, 37), Fresh);
        check(&[(1, 100), (1, 37)], (1, 37), Duplicate);
        check(&[(1, 100)], (1, 36), Replayed);
        check(&[(1, 100), (1, 163)], (1, 100), Duplicate);
        check(&[(1, 100), (1, 164)], (1, 100), Replayed);
    }

    #[test]
    fn a_new_window_does_not_clear_the_past() {
        check(&[(1, 9), (2, 500)], (1, 9), Replayed);
        check(&[(1, 9), (2, 10)], (1, 9), Duplicate);
    }

    #[test]
    fn the_counter_goes_round() {
        check(&[(1, 0xff_ffff)], (1, 0), Fresh);
        check(&[(1, 0xff_ffff), (1, 0)], (1, 0xff_ffff), Duplicate);
        check(&[(1, 5)], (1, 0xff_0000), Replayed);
    }

    #[test]
    fn a_beacon_away_for_over_half_a_round_is_welcome_in_its_later_window() {
        let away = HALF_ROUND + 500;
        check(&[(1, 9)], (1, away), Replayed);
        check(&[(1, 9)], (8000, away), Fresh);
        check(&[(1, 9), (8000, away)], (8000, 9), Fresh); // half a round ahead again: it went on
        check(&[(1, 9), (8000, away)], (8000, away - 100), Replayed);
    }

    proptest! {
        /// Whatever the order of arrival, nothing is fresh twice.
        #[test]
        fn nothing_is_fresh_twice(frames in proptest::collection::vec((0_u32..3, 0_u32..300), 1..200)) {
            let mut guard = ReplayGuard::default();
            let mut fresh = std::collections::HashSet::new();
            for (window, counter) in frames {
                // A counter belongs to one window: later windows hold higher counters.
                let counter = window * 300 + counter;
                if guard.handle(window * 1024, Counter::wrapping(counter)) == Fresh {
                    prop_assert!(fresh.insert(counter));
                }
            }
        }

        /// An honest beacon, heard by receivers that deliver at most [`LATE`] frames late, is never accused.
        #[test]
        fn an_honest_beacon_is_never_accused(start: u32, delays in proptest::collection::vec(0_u32..LATE, 1..300)) {
            let mut arrivals: std::vec::Vec<_> =
                delays.iter().zip(0_u32..).map(|(delay, n)| (n + delay, n)).collect();
            arrivals.sort();
            let mut guard = ReplayGuard::default();
            for (_, n) in arrivals {
                prop_assert_eq!(guard.handle(n / 100 * 1024, Counter::wrapping(start).plus(n)), Fresh);
            }
        }
    }
}
