//! A clock over a delay.

use crate::{Clock, Triggers};
use embedded_hal::delay::DelayNs;

/// A [`Clock`] that counts the time it has slept in a [`DelayNs`].
///
/// It does not see time spent awake, so it runs slow: by some 1.5 ms an advertising event of three full PDUs
/// (376 µs each at 1 Mbit/s, and the radio's ramp-up), which is 0.15 % at an interval of one second. Uptime in
/// telemetry runs slow with it. A delay also tends to keep the processor busy. Both are good enough to see a new
/// board on air; a product implements [`Clock`] over a timer that runs through sleep.
#[derive(Debug)]
pub struct DelayClock<D> {
    delay: D,
    slept_ms: u64,
}

impl<D: DelayNs> DelayClock<D> {
    /// A clock that starts at 0 ms.
    pub fn new(delay: D) -> Self {
        Self { delay, slept_ms: 0 }
    }

    /// Gives the delay back.
    pub fn release(self) -> D {
        self.delay
    }
}

impl<D: DelayNs> Clock for DelayClock<D> {
    fn now_ms(&mut self) -> u64 {
        self.slept_ms
    }

    fn sleep_until(&mut self, deadline_ms: u64) -> Triggers {
        while let Some(left_ms) = deadline_ms.checked_sub(self.slept_ms).filter(|&ms| ms > 0) {
            let nap_ms = u32::try_from(left_ms).unwrap_or(u32::MAX);
            self.delay.delay_ms(nap_ms);
            self.slept_ms = self.slept_ms.saturating_add(nap_ms.into());
        }
        Triggers::NONE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use embedded_hal_mock::eh1::delay::{CheckedDelay, Transaction};

    #[test]
    fn sleeps_what_is_left_until_each_deadline() {
        let expected = [1_000, 250].map(Transaction::delay_ms);
        let mut clock = DelayClock::new(CheckedDelay::new(&expected));
        for (deadline_ms, now_ms) in [(0, 0), (1_000, 1_000), (1_000, 1_000), (400, 1_000), (1_250, 1_250)] {
            clock.sleep_until(deadline_ms);
            assert_eq!(clock.now_ms(), now_ms);
        }
        clock.release().done();
    }

    #[test]
    fn sleeps_longer_than_one_delay_can() {
        let expected = [u32::MAX, 5].map(Transaction::delay_ms);
        let mut clock = DelayClock::new(CheckedDelay::new(&expected));
        clock.sleep_until(u64::from(u32::MAX) + 5);
        clock.release().done();
    }
}
