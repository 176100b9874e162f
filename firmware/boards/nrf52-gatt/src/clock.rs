//! The clock: embassy's, on RTC1.

use embassy_time::{Instant, Timer};
use vitrine_firmware::{Triggers, asynch::AsyncClock};

/// Time since power-up.
pub(crate) struct Time;

impl AsyncClock for Time {
    fn now_ms(&mut self) -> u64 {
        Instant::now().as_millis()
    }

    async fn sleep_until(&mut self, deadline_ms: u64) -> Triggers {
        Timer::at(Instant::from_millis(deadline_ms)).await;
        Triggers::NONE
    }
}
