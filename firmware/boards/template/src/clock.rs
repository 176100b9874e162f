//! The clock.
//!
//! Yours is a timer that runs on in sleep, on a 32 kHz crystal. It gives 64 bits, never goes back, and is slept on to
//! absolute deadlines: a timer of 16 or 24 bits is extended here.

use crate::chip;
use vitrine_firmware::{Clock, Triggers};

/// Milliseconds since the start.
pub(crate) struct Millis(());

impl Millis {
    /// Starts the timer at 0.
    pub(crate) fn start() -> Self {
        chip::start_timer();
        Self(())
    }
}

impl Clock for Millis {
    fn now_ms(&mut self) -> u64 {
        chip::timer_ms()
    }

    /// Sleeps as deeply as the chip can while a pin or the timer still wakes it. Pins that became active are returned
    /// as the inputs that they are wired to.
    fn sleep_until(&mut self, deadline_ms: u64) -> Triggers {
        while chip::timer_ms() < deadline_ms {
            chip::wait_for_interrupt();
        }
        Triggers::NONE
    }
}
