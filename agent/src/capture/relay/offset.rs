//! By how much a sender's clock differs from ours, found from when its messages come.
//!
//! A message cannot come before it was sent: of all that came lately the quickest tells the difference best, and whatever
//! came slower was late. A clock that is set forward is noticed at once; one that is set back makes all that
//! follows look late until [`PERIOD_MS`] has passed twice.

/// The quickest message of this and of the last period counts.
const PERIOD_MS: u64 = 300_000;

/// What is known of a sender's clock.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Offset {
    /// When this period began, by our clock.
    since_ms: u64,
    /// The least of ours minus theirs, in this period and in the last one.
    least_ms: [Option<i64>; 2],
}

impl Offset {
    /// Something that was dated `their_ms` by the sender has come at `now_ms`.
    pub(super) fn observe(&mut self, their_ms: i64, now_ms: u64) {
        let difference_ms = signed(now_ms).saturating_sub(their_ms);
        if now_ms.saturating_sub(self.since_ms) >= PERIOD_MS {
            let last =
                if now_ms.saturating_sub(self.since_ms) < 2 * PERIOD_MS { self.least_ms[0] } else { None };
            (self.since_ms, self.least_ms) = (now_ms, [None, last]);
        }
        let least_ms = self.least_ms[0].map_or(difference_ms, |least_ms| least_ms.min(difference_ms));
        self.least_ms[0] = Some(least_ms);
    }

    /// How long ago `their_ms` was, for something that was observed; never negative.
    pub(super) fn age_ms(&self, their_ms: i64, now_ms: u64) -> u64 {
        let difference_ms = signed(now_ms).saturating_sub(their_ms);
        let least_ms = self.least_ms.iter().flatten().min().copied().unwrap_or(difference_ms);
        u64::try_from(difference_ms.saturating_sub(least_ms)).unwrap_or(0)
    }
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds (their time, ours) and gives the age of each.
    fn ages(observed: impl IntoIterator<Item = (i64, u64)>) -> Vec<u64> {
        let mut offset = Offset::default();
        let mut age = |(their_ms, now_ms)| {
            offset.observe(their_ms, now_ms);
            offset.age_ms(their_ms, now_ms)
        };
        observed.into_iter().map(&mut age).collect()
    }

    #[test]
    fn a_clock_that_is_wrong_by_years_is_as_good_as_any() {
        let wrong_ms = -400_000_000_000;
        assert_eq!(
            ages([(wrong_ms, 1_000), (wrong_ms + 1_000, 2_000), (wrong_ms + 1_500, 6_000)]),
            [0, 0, 3_500]
        );
    }

    #[test]
    fn the_quickest_message_lately_counts() {
        // 40 ms on the way, then 10 ms, then 60 ms.
        assert_eq!(ages([(0, 40), (1_000, 1_010), (2_000, 2_060)]), [0, 0, 50]);
    }

    #[test]
    fn a_clock_that_is_set_is_believed_again() {
        assert_eq!(ages([(1_000, 1_000), (900_000, 2_000), (901_000, 3_000)]), [0, 0, 0], "forward: at once");
        let back = (0..=100u64).map(|n| (if n == 0 { 100_000 } else { n as i64 * 10_000 }, n * 10_000));
        let ages = ages(back);
        assert_eq!((ages[1], ages[59], ages[61]), (100_000, 100_000, 0), "back: after two periods");
    }

    #[test]
    fn nothing_overflows() {
        assert_eq!(ages([(i64::MIN, u64::MAX), (i64::MAX, 0), (0, u64::MAX)]).len(), 3);
    }
}
