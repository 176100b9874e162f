//! How long to wait before the next attempt to connect: exponential, with full jitter, so that gateways which
//! lost a broker together do not come back together.

use std::time::Duration;

const BASE: Duration = Duration::from_millis(500);
const CAP: Duration = Duration::from_secs(30);

/// Counts failures in a row.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after one more failure: uniform between zero and `min(CAP, BASE * 2^failures before)`, in whole
    /// milliseconds, for a uniform `random`.
    pub(crate) fn next(&mut self, random: u64) -> Duration {
        let ceiling = BASE.saturating_mul(2_u32.saturating_pow(self.failures)).min(CAP);
        self.failures = self.failures.saturating_add(1);
        let ms = ((ceiling.as_millis() + 1) * u128::from(random)) >> 64;
        Duration::from_millis(u64::try_from(ms).unwrap_or(u64::MAX))
    }

    /// The broker is well again: the next failure is the first.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_ceiling_doubles_up_to_the_cap_and_starts_again_after_a_reset() {
        let mut backoff = Backoff::default();
        let ceilings: Vec<_> = (0..9).map(|_| backoff.next(u64::MAX).as_millis()).collect();
        assert_eq!(ceilings, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
        backoff.reset();
        assert_eq!(backoff.next(u64::MAX).as_millis(), 500);
    }

    proptest! {
        #[test]
        fn the_wait_is_within_bounds_and_rises_with_the_random_number(
            failures in 0_u32..100, a: u64, b: u64,
        ) {
            let wait = |random| Backoff { failures }.next(random);
            prop_assert!(wait(a) <= CAP);
            prop_assert!(wait(a.min(b)) <= wait(a.max(b)));
            prop_assert_eq!(wait(0), Duration::ZERO);
            prop_assert_eq!(wait(u64::MAX / 2).as_millis(), wait(u64::MAX).as_millis() / 2);
        }
    }
}
